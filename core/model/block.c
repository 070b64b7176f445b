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

/* Where everything of a block is; with `b` also sets its pointers. All blocks of a model have the same shapes. Returns
 * the bytes. The products cannot overflow: the tensors are in files of this size. */
static size_t lay_out(const struct srq_model *m, enum srq_dtype compute, struct srq_block *b)
{
    const struct srq_family *f = m->family;
    size_t at = 0, begin;

    for (int i = 0; i < f->linear_count; i++) {
        const struct srq_layer_info *l = &m->layers[i].info;

        begin = place(&at, l->out * l->in, srq_dtype_size(compute));
        if (b != NULL)
            b->weights[i] = b->memory + begin;
        if (!l->has_bias)
            continue;
        begin = place(&at, l->out, sizeof(float));
        if (b != NULL)
            b->biases[i] = (float *)(void *)(b->memory + begin);
    }
    for (int i = 0; i < f->vector_count; i++) {
        begin = place(&at, srq_config_dim(&m->config, f->vectors[i].dim), sizeof(float));
        if (b != NULL)
            b->vectors[i] = (float *)(void *)(b->memory + begin);
    }
    return at;
}

size_t srq_block_bytes(const struct srq_model *m, enum srq_dtype compute)
{
    return lay_out(m, compute, NULL);
}

size_t srq_block_rope_bytes(const struct srq_model *m, int64_t seq)
{
    return (size_t)seq * (size_t)m->config.rope.dim * sizeof(float);
}

/* Points linear i at the block's own weight, with nobody listening. */
static void reset_linear(struct srq_block *b, int i)
{
    const struct srq_layer_info *l = &b->model->layers[i].info;

    b->linears[i] = (struct srq_linear){
        .name = b->names[i],
        .out = l->out,
        .in = l->in,
        .weight = srq_tensor_2d(b->weights[i], b->compute, l->out, l->in),
        .bias = b->biases[i],
    };
}

int srq_block_create(const struct srq_model *m, enum srq_dtype compute, struct srq_block **out, struct srq_error *err)
{
    size_t n = (size_t)m->family->linear_count;
    struct srq_block *b;

    *out = NULL;
    if (compute != SRQ_F32 && compute != SRQ_BF16)
        return srq_fail(err, -SRQ_EINVAL, "blocks compute in F32 or BF16, not %s", srq_dtype_name(compute));
    b = srq_calloc(1, sizeof(*b));
    if (b == NULL)
        goto fail;
    b->model = m;
    b->compute = compute;
    b->index = -1;
    b->linears = srq_calloc(n, sizeof(*b->linears));
    b->weights = srq_calloc(n, sizeof(*b->weights));
    b->biases = srq_calloc(n, sizeof(*b->biases));
    b->names = srq_calloc(n, sizeof(*b->names));
    b->vectors = srq_calloc((size_t)m->family->vector_count, sizeof(*b->vectors));
    b->bytes = srq_block_bytes(m, compute);
    b->memory = srq_pages_alloc(b->bytes);
    if (b->linears == NULL || b->weights == NULL || b->biases == NULL || b->names == NULL || b->vectors == NULL ||
        b->memory == NULL)
        goto fail;
    lay_out(m, compute, b);
    for (int i = 0; i < m->family->linear_count; i++)
        reset_linear(b, i);
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
    srq_free(b->biases);
    srq_free(b->names);
    srq_free(b->vectors);
    srq_free(b->rope_cos);
    srq_free(b);
}

int srq_block_forward_bytes(const struct srq_model *m, enum srq_dtype compute, int64_t n, int64_t seq, size_t *bytes,
                            struct srq_error *err)
{
    struct srq_tensor x = srq_tensor_2d(NULL, compute, n * seq, m->info.hidden);
    struct srq_block *b = NULL;
    struct srq_tape *t = NULL;
    int rc = srq_block_create(m, compute, &b, err);

    if (rc == 0)
        rc = srq_tape_create(0, compute, true, &t, err);
    if (rc == 0) {
        srq_tape_record(t, false);
        srq_block_forward(b, t, srq_tape_input(t, &x, false), n, seq);
        rc = srq_tape_error(t, err);
        *bytes = srq_tape_peak(t);
    }
    srq_tape_free(t);
    srq_block_free(b);
    return rc;
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

int srq_block_load(struct srq_block *b, int index, struct srq_error *err)
{
    const struct srq_model *m = b->model;
    const struct srq_family *f = m->family;
    int rc = 0;

    if (index < 0 || index >= m->info.blocks)
        return srq_fail(err, -SRQ_EINVAL, "block %d of a model with %d", index, m->info.blocks);
    b->index = index;
    for (int i = 0; rc == 0 && i < f->linear_count; i++) {
        int layer = index * f->linear_count + i;

        snprintf(b->names[i], SRQ_NAME_CAP, "%s", m->layers[layer].info.name);
        reset_linear(b, i);
        rc = srq_model_read_linear(m, layer, b->weights[i], b->compute, err);
        if (rc == 0 && b->biases[i] != NULL)
            rc = load_vector(b, f->linears[i].module, "bias", b->biases[i], err);
        if (rc == 0 && b->biases[i] != NULL)
            srq_fold_bias(m, layer, b->biases[i]);
    }
    for (int i = 0; rc == 0 && i < f->vector_count; i++) {
        rc = load_vector(b, f->vectors[i].module, "weight", b->vectors[i], err);
        if (rc == 0)
            srq_fold_vector(m, index, i, b->vectors[i]);
    }
    return rc != 0 ? rc : srq_tensors_check(m->tensors, err);
}

int srq_block_linear_count(const struct srq_block *b)
{
    return b->model->family->linear_count;
}

struct srq_linear *srq_block_linear(struct srq_block *b, int i)
{
    return &b->linears[i];
}

/* Tables for sequences of `seq`, kept until another length is asked for. */
static bool prepare_rope(struct srq_block *b, int64_t seq)
{
    const struct srq_rope *r = &b->model->config.rope;

    if (b->rope_seq == seq)
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

struct srq_var *srq_block_forward(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int64_t batch,
                                  int64_t seq)
{
    if (!srq_tape_measuring(t) && b->index < 0)
        return srq_tape_fail(t, -SRQ_ESTATE, "no block has been loaded");
    if (!srq_tape_measuring(t) && !prepare_rope(b, seq))
        return srq_tape_fail(t, -SRQ_ENOMEM, "out of memory for the positions of %lld tokens", (long long)seq);
    return b->model->family->forward(b, t, x, batch, seq);
}
