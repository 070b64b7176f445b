/* Where the values of ports are. */
#include "core/flow/states.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGN 64

struct place {
    size_t sample;       /* bytes of one */
    size_t at, gradient; /* offsets */
};

struct srq_states {
    struct srq_states_config cfg;
    struct place *ports; /* [ports of the model] */
    uint8_t *memory;
    size_t bytes;
};

/* ---- places ------------------------------------------------------------------------------------------------------ */

/* A stretch of memory that one port after the other has. */
struct slot {
    size_t bytes, at;
    bool taken;
};

struct layout {
    struct slot *slots;
    int count;
    int *slot; /* [ports] */
};

static int new_slot(struct layout *l, size_t bytes)
{
    l->slots[l->count] = (struct slot){ .bytes = bytes, .taken = true };
    return l->count++;
}

/* The smallest free one that is large enough, or a new one. */
static int take_slot(struct layout *l, size_t bytes)
{
    int best = -1;

    for (int i = 0; i < l->count; i++)
        if (!l->slots[i].taken && l->slots[i].bytes >= bytes && (best < 0 || l->slots[i].bytes < l->slots[best].bytes))
            best = i;
    if (best < 0)
        return new_slot(l, bytes);
    l->slots[best].taken = true;
    return best;
}

/* An input of the unit that nobody reads afterwards, of the same size a sample: its place can be overwritten a batch at
 * a time. -1: none. */
static int dying_input(const struct srq_states *s, const struct srq_unit_info *u, int unit, const bool *inherited,
                       size_t sample)
{
    for (int i = 0; i < u->ins; i++)
        if (!inherited[i] && srq_model_port(s->cfg.model, u->in[i])->last_reader == unit &&
            s->ports[u->in[i]].sample == sample)
            return i;
    return -1;
}

/* Places that are shared, unit by unit. */
static void share_places(const struct srq_states *s, struct layout *l)
{
    const struct srq_model *m = s->cfg.model;
    size_t n = (size_t)s->cfg.nsamples;

    for (int p = 0; p < srq_model_port_count(m); p++)
        if (srq_model_port(m, p)->writer < 0)
            l->slot[p] = new_slot(l, n * s->ports[p].sample);
    for (int unit = 0; unit < srq_model_unit_count(m); unit++) {
        const struct srq_unit_info *u = srq_model_unit(m, unit);
        bool inherited[SRQ_UNIT_PORTS] = { false };

        for (int i = 0; i < u->outs; i++) {
            int heir = dying_input(s, u, unit, inherited, s->ports[u->out[i]].sample);

            if (heir >= 0)
                inherited[heir] = true;
            l->slot[u->out[i]] = heir >= 0 ? l->slot[u->in[heir]] : take_slot(l, n * s->ports[u->out[i]].sample);
        }
        for (int i = 0; i < u->ins; i++)
            if (!inherited[i] && srq_model_port(m, u->in[i])->last_reader == unit)
                l->slots[l->slot[u->in[i]]].taken = false;
    }
}

/* A place for every port, and for gradients that cannot take that of the value. */
static void own_places(const struct srq_states *s, struct layout *l, int *gradient)
{
    size_t n = (size_t)s->cfg.nsamples;

    for (int p = 0; p < srq_model_port_count(s->cfg.model); p++) {
        l->slot[p] = new_slot(l, n * s->ports[p].sample);
        gradient[p] = srq_model_port(s->cfg.model, p)->readers > 1 ? new_slot(l, n * s->ports[p].sample) : l->slot[p];
    }
}

static int sample_sizes(struct srq_states *s, struct srq_error *err)
{
    for (int p = 0; p < srq_model_port_count(s->cfg.model); p++) {
        const struct srq_port_info *port = srq_model_port(s->cfg.model, p);
        size_t rows = (size_t)(port->rows > 0 ? port->rows : s->cfg.seq), all;

        if (!srq_mul_size(rows, (size_t)port->cols, &s->ports[p].sample) ||
            !srq_mul_size(s->ports[p].sample, srq_dtype_size(s->cfg.dtype), &s->ports[p].sample) ||
            !srq_mul_size(s->ports[p].sample, (size_t)s->cfg.nsamples, &all) || all > SIZE_MAX / 4)
            return srq_fail(err, -SRQ_ELIMIT, "activations of %" PRId64 " samples are too many", s->cfg.nsamples);
    }
    return 0;
}

static int find_places(struct srq_states *s, struct srq_error *err)
{
    size_t ports = (size_t)srq_model_port_count(s->cfg.model);
    struct layout l = { srq_calloc(2 * ports, sizeof(*l.slots)), 0, srq_calloc(2 * ports, sizeof(int)) };
    int rc = s->ports != NULL && l.slots != NULL && l.slot != NULL
                 ? sample_sizes(s, err)
                 : srq_fail(err, -SRQ_ENOMEM, "out of memory for stored activations");

    if (rc == 0 && s->cfg.keep)
        own_places(s, &l, l.slot + ports);
    else if (rc == 0)
        share_places(s, &l);
    for (int i = 0; rc == 0 && i < l.count; i++) {
        l.slots[i].at = s->bytes;
        if (!srq_add_size(s->bytes, (l.slots[i].bytes + ALIGN - 1) / ALIGN * ALIGN, &s->bytes))
            rc = srq_fail(err, -SRQ_ELIMIT, "activations of %" PRId64 " samples are too many", s->cfg.nsamples);
    }
    for (size_t p = 0; rc == 0 && p < ports; p++) {
        s->ports[p].at = l.slots[l.slot[p]].at;
        s->ports[p].gradient = l.slots[l.slot[s->cfg.keep ? ports + p : p]].at;
    }
    srq_free(l.slots);
    srq_free(l.slot);
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

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

static int make(const struct srq_states_config *c, struct srq_states **out, struct srq_error *err)
{
    struct srq_states *s = srq_calloc(1, sizeof(*s));
    int rc;

    *out = s;
    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for stored activations");
    s->cfg = *c;
    s->ports = srq_calloc((size_t)srq_model_port_count(c->model), sizeof(*s->ports));
    rc = find_places(s, err);
    return rc;
}

int srq_states_bytes(const struct srq_states_config *c, size_t *bytes, struct srq_error *err)
{
    struct srq_states *s;
    int rc = make(c, &s, err);

    *bytes = rc == 0 ? s->bytes : 0;
    srq_states_free(s);
    return rc;
}

int srq_states_create(const struct srq_states_config *c, struct srq_states **out, struct srq_error *err)
{
    struct srq_states *s;
    int rc = make(c, &s, err);

    *out = NULL;
    if (rc == 0 && c->dir != NULL)
        rc = map_file(c->dir, s->bytes, &s->memory, err);
    else if (rc == 0 && (s->memory = srq_pages_alloc(s->bytes)) == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory storing activations (%zu bytes)", s->bytes);
    if (rc != 0)
        srq_states_free(s);
    else
        *out = s;
    return rc;
}

void srq_states_free(struct srq_states *s)
{
    if (s == NULL)
        return;
    if (s->memory != NULL && s->cfg.dir != NULL)
        munmap(s->memory, s->bytes);
    else if (s->memory != NULL)
        srq_pages_free(s->memory, s->bytes);
    srq_free(s->ports);
    srq_free(s);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

const struct srq_states_config *srq_states_config(const struct srq_states *s)
{
    return &s->cfg;
}

size_t srq_states_sample_bytes(const struct srq_states *s, int port)
{
    return s->ports[port].sample;
}

uint8_t *srq_states_at(const struct srq_states *s, int port, int64_t sample)
{
    return s->memory + s->ports[port].at + (size_t)sample * s->ports[port].sample;
}

uint8_t *srq_states_gradient(const struct srq_states *s, int port, int64_t sample)
{
    return s->memory + s->ports[port].gradient + (size_t)sample * s->ports[port].sample;
}

uint8_t *srq_states_final(const struct srq_states *s, int64_t sample)
{
    return srq_states_at(s, srq_model_port_count(s->cfg.model) - 1, sample);
}

uint8_t *srq_states_final_gradient(const struct srq_states *s, int64_t sample)
{
    return srq_states_gradient(s, srq_model_port_count(s->cfg.model) - 1, sample);
}

int srq_states_embed(const struct srq_states *s, const int32_t *ids, int64_t n, struct srq_error *err)
{
    return srq_model_embed(s->cfg.model, ids, n * s->cfg.seq, srq_states_at(s, 0, 0), s->cfg.dtype, err);
}

int srq_states_live(const struct srq_states *s, int unit, int *ports, int cap)
{
    int n = 0;

    for (int p = 0; p < srq_model_port_count(s->cfg.model) && n < cap; p++) {
        const struct srq_port_info *port = srq_model_port(s->cfg.model, p);

        if (port->writer < unit && port->last_reader >= unit)
            ports[n++] = p;
    }
    return n;
}
