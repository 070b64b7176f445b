/* The pairs of a model, from its family's rows. */
#include "core/model/internal.h"

#include "core/base/alloc.h"

int srq_between_check(enum srq_between between, const char *producer, const char *consumer, struct srq_error *err)
{
    const char *what = between == SRQ_BETWEEN_SILU ? "SiLU" : between == SRQ_BETWEEN_GELU ? "GELU" : NULL;

    if (what == NULL)
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, producer,
                          "%s and %s cannot share scales: %s lies between them, and %s(a*x) is not a*%s(x)", producer,
                          consumer, what, what, what);
}

static struct srq_pair_info *add_pair(struct srq_model *m, const char *name, char kind, int block, int64_t channels)
{
    struct srq_pair_info *p = &m->pairs[m->pair_count];

    *p = (struct srq_pair_info){ .name = srq_strdup(name),
                                 .kind = kind,
                                 .block = block,
                                 .channels = channels,
                                 .in = channels,
                                 .width = channels,
                                 .repeat = 1,
                                 .producer = -1 };
    if (p->name == NULL)
        return NULL;
    m->pair_count++;
    return p;
}

static void add_consumer(struct srq_model *m, struct srq_pair_info *p, int layer)
{
    p->consumers[p->consumer_count++] = layer;
    m->layers[layer].made_by = m->pair_count - 1;
}

static int add_row(struct srq_model *m, int unit, const struct srq_pair_row *row, struct srq_error *err)
{
    const struct srq_vector_row *vectors = m->units[unit].kind->vectors;
    const struct srq_config *c = &m->config;
    int first = m->units[unit].info.first;
    char name[SRQ_NAME_CAP];
    struct srq_pair_info *p;
    int64_t channels;
    int rc = 0;

    if (row->linear) {
        snprintf(name, sizeof(name), "%s", m->layers[first + row->producer].info.name);
        channels = m->layers[first + row->producer].info.out;
    } else {
        srq_model_block_name(m, unit, vectors[row->producer].module, "", name);
        channels = srq_config_dim(c, vectors[row->producer].dim);
    }
    for (int i = 0; i < row->count && rc == 0; i++)
        rc = srq_between_check(row->between, name, m->layers[first + row->consumers[i]].info.name, err);
    if (rc != 0)
        return rc;
    p = add_pair(m, name, row->kind, unit, channels);
    if (p == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the scale groups of %s", m->info.path);
    if (row->linear) {
        p->producer = first + row->producer;
        m->layers[p->producer].makes = m->pair_count - 1;
    }
    if (row->between == SRQ_BETWEEN_ATTENTION && c->heads > c->kv_heads) {
        p->width = c->head_dim;
        p->repeat = c->heads / c->kv_heads;
        p->in = channels * p->repeat;
    }
    for (int i = 0; i < row->count; i++)
        add_consumer(m, p, first + row->consumers[i]);
    return 0;
}

int srq_pairs_build(struct srq_model *m, struct srq_error *err)
{
    struct srq_pair_info *p;
    size_t most = 1;
    int rc = 0;

    if (m->quantized != NULL)
        return 0;
    for (int u = 0; u < m->info.blocks; u++)
        most += (size_t)m->units[u].kind->pair_count;
    m->pairs = srq_calloc(most, sizeof(*m->pairs));
    if (m->pairs == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the scale groups of %s", m->info.path);
    for (int u = 0; u < m->info.blocks && rc == 0; u++) {
        m->units[u].pair = m->pair_count;
        for (int i = 0; i < m->units[u].kind->pair_count && rc == 0; i++)
            rc = add_row(m, u, &m->units[u].kind->pairs[i], err);
    }
    if (rc != 0 || m->info.pictures)
        return rc;
    m->units[m->unit_count - 1].pair = m->pair_count;
    if (m->info.tied_head)
        return 0;
    p = add_pair(m, m->family->norm, 'E', -1, m->info.hidden);
    if (p == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the scale groups of %s", m->info.path);
    add_consumer(m, p, m->layer_count - 1);
    return 0;
}

void srq_pairs_fini(struct srq_model *m)
{
    for (int i = 0; i < m->pair_count; i++)
        srq_free((char *)(uintptr_t)m->pairs[i].name);
    srq_free(m->pairs);
}

int srq_model_pair_count(const struct srq_model *m)
{
    return m->pair_count;
}

const struct srq_pair_info *srq_model_pair(const struct srq_model *m, int i)
{
    return i >= 0 && i < m->pair_count ? &m->pairs[i] : NULL;
}

int64_t srq_pair_channel(const struct srq_pair_info *p, int64_t c)
{
    return c / p->width / p->repeat * p->width + c % p->width;
}
