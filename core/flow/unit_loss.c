/* Mean squared errors of a unit's outputs. */
#include "core/flow/unit_loss.h"

#include "core/base/alloc.h"
#include "core/tape/ops_round.h"

static struct srq_tensor matrix(const struct srq_unit_target *k, const struct srq_port_info *p, const void *data,
                                enum srq_dtype dtype)
{
    return srq_tensor_2d((void *)(uintptr_t)data, dtype, k->n * (p->rows > 0 ? p->rows : k->seq), p->cols);
}

/* One pass; the losses of the output ports, as the tape has them. */
static int run(struct srq_block *b, struct srq_tape *t, const struct srq_unit_target *k, bool backward,
               struct srq_var **loss, struct srq_error *err)
{
    const struct srq_model *m = srq_block_model(b);
    const struct srq_unit_info *u = srq_model_unit(m, srq_block_unit(b));
    struct srq_var *in[SRQ_UNIT_PORTS], *out[SRQ_UNIT_PORTS];
    int rc;

    srq_tape_reset(t);
    srq_tape_record(t, backward);
    for (int i = 0; i < u->ins; i++) {
        struct srq_tensor x = matrix(k, srq_model_port(m, u->in[i]), k->input[i], srq_tape_dtype(t));

        in[i] = srq_tape_input(t, &x, false);
    }
    srq_block_forward(b, t, in, out, k->n, k->seq);
    for (int i = 0; i < u->outs; i++) {
        const struct srq_port_info *p = srq_model_port(m, u->out[i]);
        struct srq_tensor y = matrix(k, p, k->target[i], k->dtype);

        loss[i] = srq_op_mse_dropping(t, out[i], &y, p->rows > 0 ? NULL : k->mask, k->drop_largest);
    }
    rc = srq_tape_error(t, err);
    return rc == 0 && backward ? srq_tape_backward_from(t, loss, u->outs, err) : rc;
}

int srq_unit_loss(struct srq_block *b, struct srq_tape *t, const struct srq_unit_target *target, bool backward,
                  double *loss, struct srq_error *err)
{
    struct srq_var *of[SRQ_UNIT_PORTS];
    int rc = run(b, t, target, backward, of, err);

    *loss = 0;
    for (int i = 0; rc == 0 && i < srq_model_unit(srq_block_model(b), srq_block_unit(b))->outs; i++)
        *loss += (double)*(const float *)of[i]->value.data;
    return rc;
}

static void hear_nothing(void *ctx, int64_t row, int64_t rows, float *grad)
{
    (void)ctx;
    (void)row;
    (void)rows;
    (void)grad;
}

int srq_unit_loss_bytes(const struct srq_model *m, enum srq_dtype compute, const struct srq_unit_target *target,
                        size_t *bytes, struct srq_error *err)
{
    struct srq_rounding *rounded = srq_calloc((size_t)srq_model_unit_layers(m) + 1, sizeof(*rounded));
    struct srq_var *of[SRQ_UNIT_PORTS];
    struct srq_block *b = NULL;
    struct srq_tape *t = NULL;
    int rc = rounded != NULL ? srq_block_create(m, compute, &b, err)
                             : srq_fail(err, -SRQ_ENOMEM, "out of memory for a block's losses");

    if (rc == 0)
        rc = srq_tape_create(0, compute, true, &t, err);
    for (int unit = 0; rc == 0 && unit < srq_model_info(m)->blocks; unit++) {
        if (srq_model_unit(m, unit)->alike != unit)
            continue;
        srq_block_describe(b, unit);
        for (int i = 0; i < srq_block_linear_count(b); i++) {
            srq_block_linear(b, i)->sink = hear_nothing;
            srq_rounding_measure(&rounded[i],
                                 target->split ? srq_model_layer(m, srq_model_unit(m, unit)->first + i)->split : 0);
            srq_block_linear(b, i)->input = srq_block_linear(b, i)->output = target->roundings ? &rounded[i] : NULL;
        }
        rc = run(b, t, target, true, of, err);
        if (rc == 0)
            rc = run(b, t, target, false, of, err);
    }
    *bytes = rc == 0 ? srq_tape_peak(t) : 0;
    srq_tape_free(t);
    srq_block_free(b);
    srq_free(rounded);
    return rc;
}
