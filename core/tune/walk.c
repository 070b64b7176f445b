/* One block over a batch of samples. */
#include "core/tune/walk.h"

static struct srq_tensor states_of(const struct srq_walk *w, uint8_t *states, int64_t n)
{
    return srq_tensor_2d(states, w->compute, n * w->seq, w->hidden);
}

static size_t state_bytes(const struct srq_walk *w, int64_t n)
{
    return (size_t)(n * w->seq * w->hidden) * srq_dtype_size(w->compute);
}

int srq_walk_forward(const struct srq_walk *w, uint8_t *from, uint8_t *to, int64_t n, struct srq_error *err)
{
    struct srq_tensor x = states_of(w, from, n);
    struct srq_var *y;
    int rc;

    srq_tape_reset(w->tape);
    srq_tape_record(w->tape, false);
    y = srq_block_forward(w->block, w->tape, srq_tape_input(w->tape, &x, false), n, w->seq);
    rc = srq_tape_error(w->tape, err);
    if (rc == 0)
        memcpy(to, y->value.data, state_bytes(w, n));
    return rc;
}

int srq_walk_model(const struct srq_walk *w, const struct srq_model *m, const int32_t *ids, int64_t n, int64_t batch,
                   uint8_t *states, int (*tick)(void *ctx, int block), void *ctx, struct srq_error *err)
{
    int rc = srq_model_embed(m, ids, n * w->seq, states, w->compute, err);

    for (int b = 0; rc == 0 && b < srq_model_info(m)->blocks; b++) {
        rc = tick != NULL ? tick(ctx, b) : 0;
        if (rc == 0)
            rc = srq_block_load(w->block, b, err);
        for (int64_t i = 0; rc == 0 && i < n; i += batch) {
            uint8_t *at = states + state_bytes(w, i);

            rc = srq_walk_forward(w, at, at, n - i < batch ? n - i : batch, err);
        }
    }
    return rc;
}

int srq_walk_backward(const struct srq_walk *w, uint8_t *x, uint8_t *grad, int64_t n, bool inwards,
                      struct srq_error *err)
{
    struct srq_tensor states = states_of(w, x, n), g = states_of(w, grad, n);
    struct srq_var *in, *dot;
    int rc;

    srq_tape_reset(w->tape);
    srq_tape_record(w->tape, true);
    in = srq_tape_input(w->tape, &states, inwards);
    dot = srq_op_dot(w->tape, srq_block_forward(w->block, w->tape, in, n, w->seq), &g);
    rc = srq_tape_error(w->tape, err);
    if (rc == 0)
        rc = srq_tape_backward(w->tape, dot, err);
    if (rc == 0 && inwards)
        memcpy(x, in->grad.data, state_bytes(w, n));
    return rc;
}

void srq_walk_ignore_gradient(void *ctx, int64_t row, int64_t rows, float *grad)
{
    (void)ctx;
    (void)row;
    (void)rows;
    (void)grad;
}

int srq_walk_measure(const struct srq_model *m, enum srq_dtype compute, int64_t n, int64_t seq, size_t *bytes,
                     struct srq_error *err)
{
    struct srq_tensor x = srq_tensor_2d(NULL, compute, n * seq, srq_model_info(m)->hidden);
    struct srq_block *b = NULL;
    struct srq_tape *t = NULL;
    struct srq_var *dot;
    int rc = srq_block_create(m, compute, &b, err);

    if (rc == 0)
        rc = srq_tape_create(0, compute, true, &t, err);
    if (rc == 0) {
        for (int i = 0; i < srq_model_layer_count(m) && srq_model_layer(m, i)->block == 0; i++)
            srq_block_linear(b, i)->sink = srq_walk_ignore_gradient;
        dot = srq_op_dot(t, srq_block_forward(b, t, srq_tape_input(t, &x, true), n, seq), &x);
        rc = srq_tape_error(t, err);
        if (rc == 0)
            rc = srq_tape_backward(t, dot, err);
        srq_tape_reset(t);
        srq_tape_record(t, false);
        srq_block_forward(b, t, srq_tape_input(t, &x, false), n, seq);
        if (rc == 0)
            rc = srq_tape_error(t, err);
        *bytes = srq_tape_peak(t);
    }
    srq_tape_free(t);
    srq_block_free(b);
    return rc;
}
