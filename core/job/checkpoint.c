/* Checkpoint files. */
#include "core/job/checkpoint.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/ends.h"
#include "core/base/fs.h"
#include "core/base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#define OUTCOME "srq.outcome" /* F64 [7 + 3*layers]: see pack_outcome */
#define OUTCOME_HEAD 7
#define SCHEMES "srq.schemes" /* U8: a scheme's name and a newline for each layer */

/* ---- results ----------------------------------------------------------------------------------------------------- */

int srq_block_result_init(struct srq_block_result *r, int layers, struct srq_error *err)
{
    memset(r, 0, sizeof(*r));
    r->loss_first = r->loss_best = NAN;
    r->best_iter = -1;
    r->layers = layers;
    r->generation = 1;
    r->error_first = srq_malloc((size_t)layers * 3 * sizeof(double) + 1);
    if (r->error_first == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a block's result");
    r->error_best = r->error_first + layers;
    r->saturation = r->error_best + layers;
    for (int i = 0; i < 3 * layers; i++)
        r->error_first[i] = NAN;
    return 0;
}

void srq_block_result_fini(struct srq_block_result *r)
{
    srq_free(r->error_first);
    memset(r, 0, sizeof(*r));
}

static void pack_outcome(const struct srq_block_result *r, double *v)
{
    v[0] = r->loss_first;
    v[1] = r->loss_best;
    v[2] = (double)r->best_iter;
    v[3] = (double)r->iters_done;
    v[4] = r->elapsed_s;
    v[5] = r->tune_s;
    v[6] = (double)r->generation;
    memcpy(v + OUTCOME_HEAD, r->error_first, 3 * (size_t)r->layers * sizeof(double)); /* and what lies behind it */
}

static void unpack_outcome(struct srq_block_result *r, const double *v)
{
    r->loss_first = v[0];
    r->loss_best = v[1];
    r->best_iter = (int64_t)v[2];
    r->iters_done = (int64_t)v[3];
    r->elapsed_s = v[4];
    r->tune_s = v[5];
    r->generation = (int64_t)v[6];
    memcpy(r->error_first, v + OUTCOME_HEAD, 3 * (size_t)r->layers * sizeof(double));
}

/* ---- finished blocks --------------------------------------------------------------------------------------------- */

static void block_base(int unit, char *out, size_t cap)
{
    snprintf(out, cap, "block-%03d", unit);
}

static char *block_path(const char *ckpt, int unit)
{
    char base[32];

    block_base(unit, base, sizeof(base));
    return srq_asprintf("%s/%s.safetensors", ckpt, base);
}

bool srq_ckpt_block_exists(const char *ckpt, int unit)
{
    char *path = block_path(ckpt, unit);
    bool there = path != NULL && srq_path_exists(path);

    srq_free(path);
    return there;
}

/* The tensors of a layer's codes, declared (`put` false) or filled. */
static int codes_step(struct srq_tensor_writer *w, const struct srq_layer_info *l, const struct srq_codes *c, bool put,
                      struct srq_error *err)
{
    struct srq_plane plane[SRQ_PLANES];
    int count = srq_codes_planes(c, plane), rc = 0;

    for (int k = 0; rc == 0 && k < count; k++) {
        const struct srq_tensor *t = &plane[k].t;
        char *name = srq_asprintf("%s.%s", l->name, plane[k].suffix);
        size_t bytes;

        if (name == NULL || !srq_tensor_bytes(t, &bytes))
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory writing results of %s", l->name);
        else if (put)
            rc = srq_writer_put(w, name, 0, t->data, bytes, err);
        else
            rc = srq_writer_declare(w, name, t->dtype, t->rank, t->shape, err);
        srq_free(name);
    }
    return rc;
}

/* The names of the layers' schemes; srq_free. */
static char *scheme_names(const struct srq_codes *const *codes, int layers)
{
    struct srq_buf b;
    char text[32];
    bool ok = true;

    srq_buf_init(&b, (size_t)layers * sizeof(text) + 1);
    for (int i = 0; ok && i < layers; i++)
        ok = srq_buf_puts(&b, codes[i] != NULL ? srq_scheme_text(&codes[i]->scheme, text, sizeof(text)) : "bf16") &&
             srq_buf_puts(&b, "\n");
    if (ok)
        return srq_buf_take(&b);
    srq_buf_fini(&b);
    return NULL;
}

static int fill(struct srq_tensor_writer *w, const struct srq_layer_info *const *infos, int layers,
                const struct srq_codes *const *codes, const struct srq_block_result *result, struct srq_error *err)
{
    int64_t n = OUTCOME_HEAD + 3 * layers, named;
    double *outcome = srq_malloc((size_t)n * sizeof(*outcome));
    char *schemes = scheme_names(codes, layers);
    int rc =
        outcome != NULL && schemes != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory writing a block's result");

    named = schemes != NULL ? (int64_t)strlen(schemes) : 0;

    for (int i = 0; rc == 0 && i < layers; i++)
        rc = codes[i] != NULL ? codes_step(w, infos[i], codes[i], false, err) : 0;
    if (rc == 0)
        rc = srq_writer_declare(w, OUTCOME, SRQ_F64, 1, &n, err);
    if (rc == 0)
        rc = srq_writer_declare(w, SCHEMES, SRQ_U8, 1, &named, err);
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    for (int i = 0; rc == 0 && i < layers; i++)
        rc = codes[i] != NULL ? codes_step(w, infos[i], codes[i], true, err) : 0;
    if (rc == 0) {
        pack_outcome(result, outcome);
        rc = srq_writer_put(w, OUTCOME, 0, outcome, (size_t)n * sizeof(*outcome), err);
    }
    if (rc == 0)
        rc = srq_writer_put(w, SCHEMES, 0, schemes, (size_t)named, err);
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_free(schemes);
    srq_free(outcome);
    return rc;
}

int srq_ckpt_block_write(const char *ckpt, int unit, const struct srq_layer_info *const *infos, int layers,
                         const struct srq_codes *const *codes, const struct srq_block_result *result,
                         struct srq_error *err)
{
    struct srq_tensor_writer *w = NULL;
    char base[32];
    int rc;

    block_base(unit, base, sizeof(base));
    rc = srq_writer_create(ckpt, base, 0, &w, err);
    if (rc == 0)
        rc = fill(w, infos, layers, codes, result, err);
    srq_writer_free(w);
    return rc;
}

struct srq_ckpt_block {
    struct srq_tensors *tensors;
    int layers;
    struct srq_scheme *schemes;
    struct srq_codes *codes; /* point into the map */
    bool *there;
    struct srq_block_result result;
};

/* The planes of a layer's codes, in the file's map. */
static bool find_codes(const struct srq_tensors *ts, const char *layer, struct srq_codes *c)
{
    struct srq_plane plane[SRQ_PLANES];
    int count = srq_codes_planes(c, plane);
    bool ok = true;

    for (int k = 0; ok && k < count; k++) {
        char *name = srq_asprintf("%s.%s", layer, plane[k].suffix);
        struct srq_tensor t;

        ok = name != NULL && srq_tensors_get(ts, name, &t) && t.dtype == plane[k].t.dtype &&
             srq_tensor_count(&t) == srq_tensor_count(&plane[k].t);
        if (ok)
            srq_codes_set_plane(c, k, (void *)(uintptr_t)t.data);
        srq_free(name);
    }
    return ok;
}

static int read_schemes(struct srq_ckpt_block *b, const char *path, struct srq_error *err)
{
    struct srq_tensor t;
    const char *p, *end;

    if (!srq_tensors_get(b->tensors, SCHEMES, &t) || t.dtype != SRQ_U8)
        return srq_fail_field(err, -SRQ_EFORMAT, path, "%s lacks the schemes of its layers", path);
    p = t.data;
    end = p + srq_tensor_count(&t);
    for (int i = 0; i < b->layers; i++) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        char text[32];
        int rc;

        if (line == NULL || (size_t)(line - p) >= sizeof(text))
            return srq_fail_field(err, -SRQ_EFORMAT, path, "%s does not hold %d layers", path, b->layers);
        memcpy(text, p, (size_t)(line - p));
        text[line - p] = '\0';
        rc = srq_scheme_parse(text, &b->schemes[i], err);
        if (rc != 0)
            return rc;
        p = line + 1;
    }
    return p == end ? 0 : srq_fail_field(err, -SRQ_EFORMAT, path, "%s holds more than %d layers", path, b->layers);
}

static int read_block(struct srq_ckpt_block *b, const char *path, const struct srq_layer_info *const *infos,
                      struct srq_error *err)
{
    const struct srq_scheme *schemes = b->schemes;
    struct srq_tensor outcome;
    int rc = read_schemes(b, path, err);

    if (rc != 0)
        return rc;
    for (int i = 0; i < b->layers; i++) {
        const struct srq_layer_info *l = infos[i];
        struct srq_codes *c = &b->codes[i];

        if (schemes[i].grid == SRQ_GRID_NONE)
            continue;
        *c = (struct srq_codes){ .scheme = schemes[i],
                                 .groups = srq_groups_of(l->out, l->in, schemes[i].group),
                                 .tensor_scale = 1 };
        if (!find_codes(b->tensors, l->name, c))
            return srq_fail_field(err, -SRQ_EFORMAT, path, "%s does not hold %s as it says", path, l->name);
        b->there[i] = true;
    }
    if (!srq_tensors_get(b->tensors, OUTCOME, &outcome) || outcome.dtype != SRQ_F64 ||
        srq_tensor_count(&outcome) != OUTCOME_HEAD + 3 * b->layers)
        return srq_fail_field(err, -SRQ_EFORMAT, path, "%s lacks the outcome of its block", path);
    unpack_outcome(&b->result, outcome.data);
    return 0;
}

int srq_ckpt_block_open(const char *ckpt, int unit, const struct srq_layer_info *const *infos, int layers,
                        struct srq_ckpt_block **out, struct srq_error *err)
{
    struct srq_ckpt_block *b = srq_calloc(1, sizeof(*b));
    char *path = block_path(ckpt, unit);
    int rc = 0;

    if (b != NULL) {
        b->layers = layers;
        b->schemes = srq_calloc((size_t)layers + 1, sizeof(b->schemes[0]));
        b->codes = srq_calloc((size_t)layers + 1, sizeof(b->codes[0]));
        b->there = srq_calloc((size_t)layers + 1, sizeof(b->there[0]));
    }
    if (b == NULL || path == NULL || b->schemes == NULL || b->codes == NULL || b->there == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading a block's result");
    if (rc == 0)
        rc = srq_block_result_init(&b->result, layers, err);
    if (rc == 0)
        rc = srq_tensors_open(path, &b->tensors, err);
    if (rc == 0)
        rc = read_block(b, path, infos, err);
    srq_free(path);
    if (rc == 0)
        *out = b;
    else
        srq_ckpt_block_close(b);
    return rc;
}

const struct srq_codes *srq_ckpt_block_codes(const struct srq_ckpt_block *b, int layer)
{
    return b->there[layer] ? &b->codes[layer] : NULL;
}

const struct srq_scheme *srq_ckpt_block_scheme(const struct srq_ckpt_block *b, int layer)
{
    return &b->schemes[layer];
}

const struct srq_block_result *srq_ckpt_block_result(const struct srq_ckpt_block *b)
{
    return &b->result;
}

void srq_ckpt_block_close(struct srq_ckpt_block *b)
{
    if (b == NULL)
        return;
    srq_tensors_close(b->tensors);
    srq_block_result_fini(&b->result);
    srq_free(b->schemes);
    srq_free(b->codes);
    srq_free(b->there);
    srq_free(b);
}

/* ---- the running block ------------------------------------------------------------------------------------------- */

#define RUNNING_MAGIC "SRQRUN2"
struct running_head {
    char magic[8];
    int64_t block, iter;
    uint64_t key;
    double elapsed_s, tune_s;
    uint64_t len, hash; /* of the state behind the head */
};

int srq_running_write(const char *ckpt, const struct srq_running *r, const struct srq_part *state, size_t count,
                      struct srq_error *err)
{
    struct running_head h = { RUNNING_MAGIC, r->block, r->iter, r->key, r->elapsed_s, r->tune_s, 0, 0 };
    struct srq_part parts[1 + SRQ_RUNNING_PARTS] = { { &h, sizeof(h) } };
    char *name = srq_path_join(ckpt, "running.bin");
    int rc = 0;

    if (count > SRQ_RUNNING_PARTS)
        rc = srq_fail(err, -SRQ_EINVAL, "a checkpoint of %zu parts", count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        parts[1 + i] = state[i];
        h.len += state[i].len;
    }
    if (rc == 0 && (name == NULL || srq_hash64_parts(state, count, &h.hash) != 0))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory writing a checkpoint");
    if (rc == 0)
        rc = srq_write_parts_durable(name, "running.tmp", parts, 1 + count, 0644, err);
    srq_free(name);
    return rc;
}

bool srq_running_open(const char *ckpt, int block, uint64_t key, struct srq_running *out)
{
    char *name = srq_path_join(ckpt, "running.bin");
    struct running_head h;
    struct srq_map map = { 0 };
    bool ok = name != NULL && srq_map_open(name, &map, NULL) == 0;

    memset(out, 0, sizeof(*out));
    srq_free(name);
    if (!ok)
        return false;
    ok = map.size >= sizeof(h);
    if (ok) {
        memcpy(&h, map.data, sizeof(h));
        ok = memcmp(h.magic, RUNNING_MAGIC, sizeof(h.magic)) == 0 && h.block == block && h.key == key &&
             h.len == map.size - sizeof(h) && h.hash == srq_hash64(map.data + sizeof(h), h.len);
    }
    if (ok)
        *out =
            (struct srq_running){ h.block, h.iter, h.key, h.elapsed_s, h.tune_s, { map.data + sizeof(h), h.len }, map };
    else
        srq_map_close(&map);
    return ok;
}

void srq_running_close(struct srq_running *r)
{
    if (r->state.data != NULL)
        srq_map_close(&r->map);
    r->state = (struct srq_part){ NULL, 0 };
}

void srq_running_remove(const char *ckpt)
{
    char *name = srq_path_join(ckpt, "running.bin");

    if (name != NULL)
        unlink(name);
    srq_free(name);
}

/* ---- the end of a job -------------------------------------------------------------------------------------------- */

int srq_ckpt_clear(const char *ckpt, struct srq_error *err)
{
    DIR *dir = opendir(ckpt);
    const struct dirent *e;
    int rc = 0;

    if (dir == NULL)
        return errno == ENOENT ? 0 : srq_fail_errno(err, "open", ckpt);
    while ((e = readdir(dir)) != NULL) {
        char *path;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || srq_ends_with(e->d_name, ".json") ||
            srq_ends_with(e->d_name, ".png"))
            continue;
        path = srq_path_join(ckpt, e->d_name);
        if (path == NULL) {
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory clearing %s", ckpt);
            break;
        }
        if (unlink(path) != 0 && errno != ENOENT && rc == 0)
            rc = srq_fail_errno(err, "remove", path);
        srq_free(path);
    }
    closedir(dir);
    return rc;
}

/* ---- small facts ------------------------------------------------------------------------------------------------- */

/* A line of JSON and a line with its hash: of what was damaged since, nothing is believed. */
#define FACT_TAIL (SRQ_HASHED_HEX - 1 + 2) /* newline, hash, newline */

int srq_fact_write(const char *ckpt, const char *name, const cJSON *fact, struct srq_error *err)
{
    char *path = srq_asprintf("%s/%s.json", ckpt, name), *text = cJSON_PrintUnformatted(fact), *lines = NULL;
    char hash[SRQ_HASHED_HEX];
    int rc;

    if (text != NULL) {
        srq_hashed_text(text, strlen(text), hash);
        lines = srq_asprintf("%s\n%s\n", text, hash);
    }
    if (path == NULL || lines == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", name);
    else
        rc = srq_write_file_durable(path, lines, strlen(lines), 0644, err);
    srq_free(path);
    srq_free(lines);
    cJSON_free(text);
    return rc;
}

cJSON *srq_fact_read(const char *ckpt, const char *name)
{
    char *path = srq_asprintf("%s/%s.json", ckpt, name), *text = NULL;
    char hash[SRQ_HASHED_HEX], tail[FACT_TAIL + 1];
    size_t len;
    cJSON *json = NULL;

    if (path != NULL && srq_read_file(path, (size_t)16 << 20, &text, &len, NULL) == 0 && len > FACT_TAIL) {
        len -= FACT_TAIL;
        srq_hashed_text(text, len, hash);
        snprintf(tail, sizeof(tail), "\n%s\n", hash);
        if (memcmp(text + len, tail, FACT_TAIL) == 0)
            json = cJSON_ParseWithLength(text, len);
    }
    srq_free(text);
    srq_free(path);
    return json;
}

void srq_fact_remove(const char *ckpt, const char *name)
{
    char *path = srq_asprintf("%s/%s.json", ckpt, name);

    if (path != NULL)
        unlink(path);
    srq_free(path);
}

/* ---- bytes beside a fact ----------------------------------------------------------------------------------------- */

void srq_hashed_text(const void *data, size_t len, char hash[SRQ_HASHED_HEX])
{
    snprintf(hash, SRQ_HASHED_HEX, "%016" PRIx64, srq_hash64(data, len));
}

int srq_hashed_write(const char *ckpt, const char *name, const void *data, size_t len, struct srq_error *err)
{
    char *path = srq_path_join(ckpt, name);
    int rc = path != NULL ? srq_write_file_durable(path, data, len, 0644, err)
                          : srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", name);

    srq_free(path);
    return rc;
}

bool srq_hashed_open(const char *ckpt, const char *name, const char *hash, struct srq_map *out)
{
    char *path = srq_path_join(ckpt, name), is[SRQ_HASHED_HEX];
    bool ok = hash != NULL && path != NULL && srq_map_open(path, out, NULL) == 0;

    srq_free(path);
    if (!ok)
        return false;
    srq_hashed_text(out->data, out->size, is);
    ok = strcmp(is, hash) == 0;
    if (!ok)
        srq_map_close(out);
    return ok;
}
