/* One block in memory: its parameters in compute dtype, its linears as the tape sees them, its forward pass. */
#include "core/model/internal.h"

#include "core/base/alloc.h"

#define ALIGN 64 /* of every array: a cache line, and what vector loads like */

/* Adds room for n elements of `size` bytes; returns where they begin. */
static size_t place(size_t *at, int64_t n, size_t size)
{
    size_t begin = *at;

    *at = (begin + (size_t)n * size + ALIGN - 1) / ALIGN * ALIGN;
    return begin;
}

/* Room for a vector, which (with `b`) becomes the block's next one. */
static void add_vector(struct srq_block *b, size_t *at, int64_t n, const char *name)
{
    size_t begin = place(at, n, sizeof(float));

    if (b == NULL)
        return;
    b->values[b->vector_count] = (float *)(void *)(b->memory + begin);
    b->vectors[b->vector_count] = (struct srq_vector){ name, n, b->values[b->vector_count], NULL, NULL };
    b->vector_count++;
}

/* Where everything of a block is; with `b` also sets its pointers. Returns the bytes. The products cannot overflow: the
 * tensors are in files of this size. */
static size_t lay_out(const struct srq_model *m, int unit, enum srq_dtype compute, struct srq_block *b)
{
    const struct srq_block_kind *k = m->units[unit].kind;
    size_t at = 0, begin;

    for (int i = 0; i < k->linear_count; i++) {
        const struct srq_layer_info *l = &m->layers[m->units[unit].info.first + i].info;

        begin = place(&at, l->out * l->in, srq_dtype_size(compute));
        if (b != NULL)
            b->weights[i] = b->memory + begin;
    }
    for (int i = 0; i < k->vector_count; i++)
        add_vector(b, &at, srq_config_dim(&m->config, k->vectors[i].dim), k->vectors[i].module);
    for (int i = 0; i < k->linear_count; i++) {
        const struct srq_layer_info *l = &m->layers[m->units[unit].info.first + i].info;

        if (l->has_bias)
            add_vector(b, &at, l->out, l->module);
    }
    return at;
}

size_t srq_block_bytes(const struct srq_model *m, enum srq_dtype compute)
{
    size_t most = 0;

    for (int u = 0; u < m->info.blocks; u++) {
        size_t bytes = m->units[u].info.alike == u ? lay_out(m, u, compute, NULL) : 0;

        most = bytes > most ? bytes : most;
    }
    return most;
}

size_t srq_block_rope_bytes(const struct srq_model *m, int64_t seq)
{
    return (size_t)seq * (size_t)m->config.rope.dim * sizeof(float);
}

/* The bias of linear i among the block's vectors, NULL where it has none. */
static struct srq_vector *bias_of(const struct srq_block *b, int i)
{
    const struct srq_layer_entry *l = b->model->layers + b->model->units[b->index].info.first;
    int at = b->kind->vector_count;

    for (int k = 0; k < i; k++)
        at += l[k].info.has_bias;
    return l[i].info.has_bias ? &b->vectors[at] : NULL;
}

/* Points linear i at the block's own weight, with nobody listening. */
static void reset_linear(struct srq_block *b, int i)
{
    const struct srq_layer_info *l = &b->model->layers[b->model->units[b->index].info.first + i].info;

    b->linears[i] = (struct srq_linear){
        .name = l->name,
        .out = l->out,
        .in = l->in,
        .weight = srq_tensor_2d(b->weights[i], b->compute, l->out, l->in),
        .bias = bias_of(b, i),
    };
}

int srq_block_create(const struct srq_model *m, enum srq_dtype compute, struct srq_block **out, struct srq_error *err)
{
    size_t linears = 1, vectors = 1;
    struct srq_block *b;

    *out = NULL;
    if (compute != SRQ_F32 && compute != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "blocks compute in F32 or BF16, not %s", srq_dtype_name(compute));
    for (int u = 0; u < m->info.blocks; u++) {
        const struct srq_block_kind *k = m->units[u].kind;

        linears = (size_t)k->linear_count > linears ? (size_t)k->linear_count : linears;
        vectors = (size_t)k->vector_count > vectors ? (size_t)k->vector_count : vectors;
    }
    b = srq_calloc(1, sizeof(*b));
    if (b == NULL)
        goto fail;
    b->model = m;
    b->compute = compute;
    b->index = -1;
    b->linears = srq_calloc(linears, sizeof(*b->linears));
    b->weights = srq_calloc(linears, sizeof(*b->weights));
    b->vectors = srq_calloc(vectors + linears, sizeof(*b->vectors));
    b->values = srq_calloc(vectors + linears, sizeof(*b->values));
    b->bytes = srq_block_bytes(m, compute);
    b->memory = srq_pages_alloc(b->bytes);
    if (b->linears == NULL || b->weights == NULL || b->vectors == NULL || b->values == NULL || b->memory == NULL)
        goto fail;
    *out = b;
    return 0;
fail:
    srq_block_free(b);
    return srq_fail(err, -SRQ_ENOMEM, "out of memory for a block of %zu bytes", srq_block_bytes(m, compute));
}

void srq_block_free(struct srq_block *b)
{
    if (b == NULL)
        return;
    srq_pages_free(b->memory, b->bytes);
    srq_free(b->linears);
    srq_free(b->weights);
    srq_free(b->vectors);
    srq_free(b->values);
    srq_free(b->rope_cos);
    srq_free(b);
}

/* A small tensor of the block into F32. */
static int load_vector(const struct srq_block *b, const char *module, const char *suffix, float *dst,
                       struct srq_error *err)
{
    struct srq_tensor t;

    if (!srq_model_block_tensor(b->model, b->index, module, suffix, &t))
        return srq_fail_field(err, -SRQ_ESTATE, module, "tensor %s.%s of block %d is gone", module, suffix, b->index);
    return srq_convert(t.data, t.dtype, dst, SRQ_F32, t.shape[0]);
}

void srq_block_describe(struct srq_block *b, int unit)
{
    b->index = unit;
    b->kind = b->model->units[unit].kind;
    b->loaded = false;
    b->vector_count = 0;
    lay_out(b->model, unit, b->compute, b);
    for (int i = 0; i < b->kind->linear_count; i++)
        reset_linear(b, i);
}

int srq_block_load_vectors(struct srq_block *b, int unit, struct srq_error *err)
{
    const struct srq_model *m = b->model;
    int rc = 0;

    if (unit < 0 || unit >= m->info.blocks)
        return srq_fail(err, -SRQ_EINVAL, "block %d of a model with %d", unit, m->info.blocks);
    srq_block_describe(b, unit);
    for (int i = 0; rc == 0 && i < b->kind->linear_count; i++) {
        const struct srq_vector *bias = bias_of(b, i);

        if (bias == NULL)
            continue;
        rc = load_vector(b, bias->name, "bias", b->values[bias - b->vectors], err);
        if (rc == 0)
            srq_fold_bias(m, m->units[unit].info.first + i, b->values[bias - b->vectors]);
    }
    for (int i = 0; rc == 0 && i < b->kind->vector_count; i++) {
        rc = load_vector(b, b->vectors[i].name, srq_vector_suffix(&b->kind->vectors[i]), b->values[i], err);
        if (rc == 0)
            srq_model_vector_use(m, unit, i, b->values[i], b->vectors[i].n);
    }
    b->loaded = rc == 0;
    return rc;
}

int srq_block_load_weight(struct srq_block *b, int i, struct srq_error *err)
{
    return srq_model_read_linear(b->model, b->model->units[b->index].info.first + i, b->weights[i], b->compute, err);
}

int srq_block_load(struct srq_block *b, int unit, struct srq_error *err)
{
    int rc = srq_block_load_vectors(b, unit, err);

    for (int i = 0; rc == 0 && i < b->kind->linear_count; i++)
        rc = srq_block_load_weight(b, i, err);
    if (rc == 0)
        rc = srq_tensors_check(b->model->tensors, err);
    b->loaded = rc == 0;
    return rc;
}

int srq_block_unit(const struct srq_block *b)
{
    return b->index;
}

const struct srq_model *srq_block_model(const struct srq_block *b)
{
    return b->model;
}

int srq_block_linear_count(const struct srq_block *b)
{
    return b->kind != NULL ? b->kind->linear_count : 0;
}

struct srq_linear *srq_block_linear(struct srq_block *b, int i)
{
    return &b->linears[i];
}

int srq_block_vector_count(const struct srq_block *b)
{
    return b->vector_count;
}

struct srq_vector *srq_block_vector(struct srq_block *b, int i)
{
    return &b->vectors[i];
}

void srq_block_vector_name(const struct srq_block *b, int i, char name[SRQ_NAME_CAP])
{
    const char *suffix = i < b->kind->vector_count ? srq_vector_suffix(&b->kind->vectors[i]) : "bias";

    srq_model_block_name(b->model, b->index, b->vectors[i].name, suffix, name);
}

/* Tables for sequences of `seq`, kept until another length is asked for. */
static bool prepare_rope(struct srq_block *b, int64_t seq)
{
    const struct srq_rope *r = &b->model->config.rope;

    if (b->rope_seq == seq || r->dim == 0)
        return true;
    srq_free(b->rope_cos);
    b->rope_seq = 0;
    b->rope_sin = NULL;
    b->rope_cos = srq_calloc((size_t)seq, (size_t)r->dim * sizeof(float));
    if (b->rope_cos == NULL)
        return false;
    b->rope_sin = b->rope_cos + seq * (r->dim / 2);
    b->rope_seq = seq;
    srq_rope_tables(r, seq, b->rope_cos, b->rope_sin);
    return true;
}

void srq_block_forward(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out,
                       int64_t batch, int64_t seq)
{
    const struct srq_unit_info *u = b->index >= 0 ? &b->model->units[b->index].info : NULL;

    for (int i = 0; i < SRQ_UNIT_PORTS && (u == NULL || i < u->outs); i++)
        out[i] = NULL;
    if (u == NULL || (!srq_tape_measuring(t) && !b->loaded))
        (void)srq_tape_fail(t, -SRQ_ESTATE, "no block has been loaded");
    else if (!srq_tape_measuring(t) && !prepare_rope(b, seq))
        (void)srq_tape_fail(t, -SRQ_ENOMEM, "out of memory for the positions of %lld tokens", (long long)seq);
    else
        b->kind->forward(b, t, in, out, batch, seq);
}
