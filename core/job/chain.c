/* Chains of hidden states: storage, snapshots, running a block over them. */
#include "core/job/chain.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- storage ----------------------------------------------------------------------------------------------------- */

/* Reserved space, so that a full disk is an error here and not a signal later; nameless, so that nothing is left. */
static int map_file(const char *dir, size_t bytes, uint8_t **out, struct srq_error *err)
{
    char *name = srq_asprintf("%s/cache.XXXXXX", dir);
    void *p = MAP_FAILED;
    int fd = name != NULL ? mkostemp(name, O_CLOEXEC) : -1, e;

    if (fd < 0) {
        int rc = srq_fail_errno(err, "make a file for stored activations in", dir);

        srq_free(name);
        return rc;
    }
    unlink(name);
    e = posix_fallocate(fd, 0, (off_t)bytes);
    if (e == 0) {
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        e = p == MAP_FAILED ? errno : 0;
    }
    close(fd);
    srq_free(name);
    if (e != 0)
        return srq_fail_field(err, e == ENOSPC ? -SRQ_ENOSPC : -SRQ_EIO, dir,
                              "cannot reserve %zu bytes for stored activations in %s: %s", bytes, dir, strerror(e));
    *out = p;
    return 0;
}

static int make_chain(const char *dir, size_t bytes, uint8_t **out, struct srq_error *err)
{
    if (dir != NULL)
        return map_file(dir, bytes, out, err);
    *out = srq_pages_alloc(bytes);
    return *out != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory storing activations (%zu bytes)", bytes);
}

int srq_chains_create(const char *dir, bool both, enum srq_dtype dtype, int64_t nsamples, int64_t seq, int64_t hidden,
                      struct srq_chains *out, struct srq_error *err)
{
    size_t bytes;
    int rc;

    memset(out, 0, sizeof(*out));
    if (!srq_mul_size((size_t)nsamples, (size_t)seq, &bytes) || !srq_mul_size(bytes, (size_t)hidden, &bytes) ||
        !srq_mul_size(bytes, srq_dtype_size(dtype), &bytes))
        return srq_fail(err, -SRQ_ELIMIT, "activations of %" PRId64 " samples are too many", nsamples);
    *out = (struct srq_chains){
        .dtype = dtype, .nsamples = nsamples, .seq = seq, .hidden = hidden, .bytes = bytes, .mapped = dir != NULL
    };
    rc = make_chain(dir, bytes, &out->fp, err);
    if (rc == 0 && both)
        rc = make_chain(dir, bytes, &out->q, err);
    if (rc != 0)
        srq_chains_fini(out);
    return rc;
}

void srq_chains_fini(struct srq_chains *c)
{
    uint8_t *both[2] = { c->fp, c->q };

    for (int i = 0; i < 2; i++) {
        if (both[i] != NULL && c->mapped)
            munmap(both[i], c->bytes);
        else if (both[i] != NULL)
            srq_pages_free(both[i], c->bytes);
    }
    memset(c, 0, sizeof(*c));
}

int srq_chains_embed(struct srq_chains *c, const struct srq_model *m, const struct srq_samples *s,
                     struct srq_error *err)
{
    int rc = srq_model_embed(m, s->ids, c->nsamples * c->seq, c->fp, c->dtype, err);

    if (rc == 0 && c->q != NULL)
        memcpy(c->q, c->fp, c->bytes);
    return rc;
}

/* ---- snapshots --------------------------------------------------------------------------------------------------- */

#define SNAPSHOT_MAGIC "SRQCHN2"
struct snapshot_head {
    char magic[8];
    int64_t block, dtype, nsamples, seq, hidden;
    uint64_t inputs;
    uint64_t hash[2]; /* of the data of each chain */
};

static struct snapshot_head head_for(const struct srq_chains *c, int block, uint64_t inputs)
{
    struct snapshot_head h;

    memset(&h, 0, sizeof(h));
    memcpy(h.magic, SNAPSHOT_MAGIC, sizeof(h.magic));
    h.block = block;
    h.inputs = inputs;
    h.dtype = c->dtype;
    h.nsamples = c->nsamples;
    h.seq = c->seq;
    h.hidden = c->hidden;
    return h;
}

int srq_chains_save(const struct srq_chains *c, const char *ckpt, int block, uint64_t inputs, struct srq_error *err)
{
    char *name = srq_asprintf("%s/chain-%03d.bin", ckpt, block);
    struct snapshot_head h = head_for(c, block, inputs);
    const struct srq_part parts[] = { { &h, sizeof(h) }, { c->fp, c->bytes }, { c->q, c->bytes } };
    int rc;

    if (name == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory writing a snapshot");
    h.hash[0] = srq_hash64(c->fp, c->bytes);
    h.hash[1] = srq_hash64(c->q, c->bytes);
    rc = srq_write_parts_durable(name, "chain.tmp", parts, sizeof(parts) / sizeof(parts[0]), 0644, err);
    srq_free(name);
    return rc;
}

static bool snapshot_number(const char *name, int *block)
{
    char *end;
    long v;

    if (strncmp(name, "chain-", 6) != 0)
        return false;
    v = strtol(name + 6, &end, 10);
    *block = (int)v;
    return end != name + 6 && strcmp(end, ".bin") == 0 && v >= 0 && v < 1000000;
}

#define SNAPSHOTS_MAX 4096

/* Blocks that have a snapshot, ascending; returns how many. */
static int list_snapshots(const char *ckpt, int *blocks)
{
    DIR *dir = opendir(ckpt);
    struct dirent *e;
    int block, n = 0;

    if (dir == NULL)
        return 0;
    while (n < SNAPSHOTS_MAX && (e = readdir(dir)) != NULL) {
        int at = n;

        if (!snapshot_number(e->d_name, &block))
            continue;
        for (; at > 0 && blocks[at - 1] > block; at--)
            blocks[at] = blocks[at - 1];
        blocks[at] = block;
        n++;
    }
    closedir(dir);
    return n;
}

static int remove_snapshot(const char *ckpt, int block)
{
    char *name = srq_asprintf("%s/chain-%03d.bin", ckpt, block);
    int rc = name != NULL && (unlink(name) == 0 || errno == ENOENT) ? 0 : -1;

    srq_free(name);
    return rc;
}

void srq_chains_thin(const char *ckpt, int newest, int keep)
{
    int blocks[SNAPSHOTS_MAX], n = list_snapshots(ckpt, blocks);

    while (n > keep) {
        int drop = -1, least = 0;

        /* The one whose neighbours (block 0 needs no snapshot) are closest to each other. */
        for (int i = 0; i < n; i++) {
            int gap = (i + 1 < n ? blocks[i + 1] : blocks[i]) - (i > 0 ? blocks[i - 1] : 0);

            if ((blocks[i] != newest || keep == 0) && (drop < 0 || gap < least)) {
                drop = i;
                least = gap;
            }
        }
        if (drop < 0 || remove_snapshot(ckpt, blocks[drop]) != 0)
            return;
        for (n--; drop < n; drop++)
            blocks[drop] = blocks[drop + 1];
    }
}

int srq_chains_forget_behind(const char *ckpt, int block, struct srq_error *err)
{
    int blocks[SNAPSHOTS_MAX], n = list_snapshots(ckpt, blocks), removed = 0;

    for (int i = 0; i < n; i++) {
        if (blocks[i] <= block)
            continue;
        if (remove_snapshot(ckpt, blocks[i]) != 0)
            return srq_fail_field(err, -SRQ_EIO, ckpt, "cannot remove an old snapshot in %s: %s", ckpt,
                                  strerror(errno));
        removed++;
    }
    return removed > 0 ? srq_fsync_dir(ckpt, err) : 0;
}

/* Takes a snapshot in where it holds: *used. One that does not can be done without. */
static int load_one(struct srq_chains *c, const char *ckpt, int block, uint64_t inputs, bool *used,
                    struct srq_error *err)
{
    struct snapshot_head want = head_for(c, block, inputs), have;
    char *name = srq_asprintf("%s/chain-%03d.bin", ckpt, block);
    struct srq_map map;
    int rc =
        name != NULL ? srq_map_open(name, &map, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory reading a snapshot");

    *used = false;
    srq_free(name);
    if (rc != 0)
        return rc;
    if (map.size == sizeof(have) + 2 * c->bytes) {
        memcpy(&have, map.data, sizeof(have));
        want.hash[0] = have.hash[0];
        want.hash[1] = have.hash[1];
        *used = memcmp(&want, &have, sizeof(want)) == 0;
    }
    if (*used) {
        memcpy(c->fp, map.data + sizeof(have), c->bytes);
        memcpy(c->q, map.data + sizeof(have) + c->bytes, c->bytes);
        *used = have.hash[0] == srq_hash64(c->fp, c->bytes) && have.hash[1] == srq_hash64(c->q, c->bytes);
    }
    srq_map_close(&map);
    return 0;
}

int srq_chains_load(struct srq_chains *c, const char *ckpt, int most, uint64_t (*inputs)(void *ctx, int block),
                    void *ctx, int *block, struct srq_error *err)
{
    int blocks[SNAPSHOTS_MAX], n = list_snapshots(ckpt, blocks);

    *block = -1;
    for (int i = n - 1; i >= 0; i--) {
        bool used;
        int rc;

        if (blocks[i] > most)
            continue;
        rc = load_one(c, ckpt, blocks[i], inputs(ctx, blocks[i]), &used, err);
        if (rc != 0)
            return rc;
        if (used) {
            *block = blocks[i];
            return 0;
        }
    }
    return 0;
}

/* ---- running a block --------------------------------------------------------------------------------------------- */

struct srq_forward {
    const struct srq_model *model;
    enum srq_dtype compute;
    int64_t batch, seq, hidden;
    struct srq_tape *tape;
    void *staging; /* [batch*seq, hidden] in compute; made when the cache has another dtype */
};

int srq_forward_create(const struct srq_model *m, enum srq_dtype compute, int64_t batch, int64_t seq,
                       struct srq_forward **out, struct srq_error *err)
{
    struct srq_forward *f = srq_calloc(1, sizeof(*f));
    size_t bytes = 0;
    int rc = srq_block_forward_bytes(m, compute, batch, seq, &bytes, err);

    if (f == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a forward pass");
    f->model = m;
    f->compute = compute;
    f->batch = batch;
    f->seq = seq;
    f->hidden = srq_model_info(m)->hidden;
    if (rc == 0)
        rc = srq_tape_create(bytes, compute, false, &f->tape, err);
    if (rc != 0) {
        srq_forward_free(f);
        return rc;
    }
    srq_tape_record(f->tape, false);
    *out = f;
    return 0;
}

void srq_forward_free(struct srq_forward *f)
{
    if (f == NULL)
        return;
    srq_tape_free(f->tape);
    srq_free(f->staging);
    srq_free(f);
}

/* One batch of `n` samples at `at`; its output replaces it where `keep`. */
static int run_batch(struct srq_forward *f, struct srq_block *b, enum srq_dtype dtype, uint8_t *at, int64_t n,
                     bool keep, struct srq_error *err)
{
    int64_t elements = n * f->seq * f->hidden;
    struct srq_tensor x = srq_tensor_2d(at, f->compute, n * f->seq, f->hidden);
    struct srq_var *y;
    int rc = 0;

    if (dtype != f->compute) {
        if (f->staging == NULL)
            f->staging = srq_malloc((size_t)(f->batch * f->seq * f->hidden) * srq_dtype_size(f->compute));
        if (f->staging == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory for a forward pass");
        rc = srq_convert(at, dtype, f->staging, f->compute, elements);
        x.data = f->staging;
    }
    if (rc != 0)
        return srq_fail(err, rc, "activations cannot be converted to %s", srq_dtype_name(f->compute));
    srq_tape_reset(f->tape);
    y = srq_block_forward(b, f->tape, srq_tape_input(f->tape, &x, false), n, f->seq);
    rc = srq_tape_error(f->tape, err);
    if (rc == 0 && keep)
        rc = srq_convert(y->value.data, y->value.dtype, at, dtype, elements);
    return rc;
}

static int run_all(struct srq_forward *f, struct srq_block *b, struct srq_chains *c, uint8_t *chain, bool keep,
                   int (*tick)(void *ctx, int64_t done, int64_t total), void *ctx, struct srq_error *err)
{
    size_t sample = (size_t)(c->seq * c->hidden) * srq_dtype_size(c->dtype);

    for (int64_t i = 0; i < c->nsamples; i += f->batch) {
        int64_t n = c->nsamples - i < f->batch ? c->nsamples - i : f->batch;
        int rc = tick != NULL ? tick(ctx, i, c->nsamples) : 0;

        if (rc == 0)
            rc = run_batch(f, b, c->dtype, chain + (size_t)i * sample, n, keep, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int srq_forward_run(struct srq_forward *f, struct srq_block *b, struct srq_chains *c, uint8_t *chain,
                    int (*tick)(void *ctx, int64_t done, int64_t total), void *ctx, struct srq_error *err)
{
    return run_all(f, b, c, chain, true, tick, ctx, err);
}

int srq_forward_listen(struct srq_forward *f, struct srq_block *b, struct srq_chains *c, uint8_t *chain,
                       int (*tick)(void *ctx, int64_t done, int64_t total), void *ctx, struct srq_error *err)
{
    return run_all(f, b, c, chain, false, tick, ctx, err);
}
