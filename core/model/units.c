/* The units and ports of a model, from its family's description. */
#include "core/model/internal.h"

#include "core/base/alloc.h"

struct srq_layout {
    struct srq_model *m;
    int units_cap, ports_cap;
};

/* Room for one more element in an array that holds `count`; NULL when out of memory. */
static void *grow(void *array, int count, int *cap, size_t size)
{
    int more = *cap > 0 ? 2 * *cap : 16;
    void *p;

    if (count < *cap)
        return array;
    p = srq_reallocarray(array, (size_t)more, size);
    if (p != NULL)
        *cap = more;
    return p;
}

int srq_layout_port(struct srq_layout *l, const char *name, int64_t cols)
{
    return srq_layout_matrix(l, name, 0, cols);
}

int srq_layout_matrix(struct srq_layout *l, const char *name, int64_t rows, int64_t cols)
{
    struct srq_model *m = l->m;
    struct srq_port_info *ports = grow(m->ports, m->port_count, &l->ports_cap, sizeof(*ports));

    if (ports == NULL)
        return -SRQ_ENOMEM;
    m->ports = ports;
    ports[m->port_count] =
        (struct srq_port_info){ .name = name, .rows = rows, .cols = cols, .writer = -1, .last_reader = -1 };
    return m->port_count++;
}

int srq_layout_named(struct srq_layout *l, const struct srq_layout_unit *n)
{
    struct srq_model *m = l->m;
    struct srq_unit_entry *units = grow(m->units, m->unit_count, &l->units_cap, sizeof(*units)), *u;
    char *name, *tensors;

    if (units == NULL)
        return -SRQ_ENOMEM;
    m->units = units;
    name = srq_strdup(n->name);
    tensors = srq_strdup(n->tensors);
    if (name == NULL || tensors == NULL) {
        srq_free(name);
        srq_free(tensors);
        return -SRQ_ENOMEM;
    }
    u = &units[m->unit_count];
    *u = (struct srq_unit_entry){ .kind = n->kind, .tensors = tensors };
    u->info = (struct srq_unit_info){
        .name = name, .kind = n->kind != NULL ? SRQ_UNIT_BLOCK : SRQ_UNIT_HEAD, .ins = n->ins, .outs = n->outs
    };
    for (int i = 0; i < n->ins; i++) {
        u->info.in[i] = n->in[i];
        m->ports[n->in[i]].readers++;
        m->ports[n->in[i]].last_reader = m->unit_count;
    }
    for (int i = 0; i < n->outs; i++) {
        u->info.out[i] = n->out[i];
        m->ports[n->out[i]].writer = m->unit_count;
    }
    return m->unit_count++;
}

int srq_layout_block(struct srq_layout *l, const struct srq_block_kind *kind, const int *in, int ins, const int *out,
                     int outs)
{
    struct srq_layout_unit u = { .kind = kind, .ins = ins, .outs = outs };
    char name[SRQ_NAME_CAP];

    if (ins > SRQ_UNIT_PORTS || outs > SRQ_UNIT_PORTS)
        return -SRQ_ELIMIT;
    snprintf(name, sizeof(name), "%s.%d", l->m->family->prefix, l->m->unit_count);
    u.name = u.tensors = name;
    memcpy(u.in, in, (size_t)ins * sizeof(*in));
    memcpy(u.out, out, (size_t)outs * sizeof(*out));
    return srq_layout_named(l, &u);
}

/* One block behind the other, all of the same kind. */
static int lay_out_alike(struct srq_layout *l, const struct srq_config *c)
{
    int rc = 0;

    for (int b = 0; rc >= 0 && b < c->layers; b++) {
        int out = srq_layout_port(l, "hidden", c->hidden);

        rc = out < 0 ? out : srq_layout_block(l, l->m->family->block, &b, 1, &out, 1);
    }
    return rc;
}

int srq_units_build(struct srq_model *m, struct srq_error *err)
{
    struct srq_layout l = { .m = m };
    bool head = m->family->head != NULL;
    int rc = head ? srq_layout_port(&l, "hidden", m->config.hidden) : 0;

    if (rc >= 0)
        rc = m->family->lay_out != NULL ? m->family->lay_out(&l, &m->config) : lay_out_alike(&l, &m->config);
    m->info.blocks = m->unit_count;
    if (rc >= 0 && head)
        rc = srq_layout_named(
            &l, &(const struct srq_layout_unit){
                    .name = m->family->head, .tensors = m->family->head, .in = { m->port_count - 1 }, .ins = 1 });
    return rc >= 0 ? 0 : srq_fail(err, rc, "the units of %s cannot be laid out: out of memory", m->info.path);
}

static bool same_widths(const struct srq_model *m, const int *a, const int *b, int n)
{
    for (int i = 0; i < n; i++)
        if (m->ports[a[i]].cols != m->ports[b[i]].cols || m->ports[a[i]].rows != m->ports[b[i]].rows)
            return false;
    return true;
}

static bool alike(const struct srq_model *m, const struct srq_unit_entry *a, const struct srq_unit_entry *b)
{
    return a->kind == b->kind && a->info.ins == b->info.ins && a->info.outs == b->info.outs &&
           same_widths(m, a->info.in, b->info.in, a->info.ins) &&
           same_widths(m, a->info.out, b->info.out, a->info.outs);
}

void srq_units_compare(struct srq_model *m)
{
    for (int u = 0; u < m->unit_count; u++) {
        struct srq_unit_info *info = &m->units[u].info;

        info->alike = u > 0 ? m->units[u - 1].info.alike : 0;
        if (alike(m, &m->units[u], &m->units[info->alike]))
            continue;
        for (info->alike = 0; !alike(m, &m->units[u], &m->units[info->alike]);)
            info->alike++;
    }
}

void srq_units_fini(struct srq_model *m)
{
    for (int u = 0; u < m->unit_count; u++) {
        srq_free((char *)(uintptr_t)m->units[u].info.name);
        srq_free(m->units[u].tensors);
    }
    srq_free(m->units);
    srq_free(m->ports);
}

int srq_model_unit_count(const struct srq_model *m)
{
    return m->unit_count;
}

const struct srq_unit_info *srq_model_unit(const struct srq_model *m, int u)
{
    return u >= 0 && u < m->unit_count ? &m->units[u].info : NULL;
}

int srq_model_port_count(const struct srq_model *m)
{
    return m->port_count;
}

const struct srq_port_info *srq_model_port(const struct srq_model *m, int p)
{
    return p >= 0 && p < m->port_count ? &m->ports[p] : NULL;
}

int srq_model_unit_layers(const struct srq_model *m)
{
    int most = 1;

    for (int u = 0; u < m->unit_count; u++)
        most = m->units[u].info.count > most ? m->units[u].info.count : most;
    return most;
}
