/* One pass of gathered samples through the block: forward with the fake-quantized weights, loss, and backward into the
 * sinks of the layers. The loss leaves out the errors that the block's rules say, also where it is only measured. */
#include "core/tune/tuner.h"

int pass_run(struct srq_tuner *t, int64_t n, bool backward, double *loss, struct srq_error *err)
{
    int64_t tokens = n * t->io->seq;
    struct srq_tensor x = srq_tensor_2d(t->x, t->compute, tokens, t->io->hidden);
    struct srq_tensor y = srq_tensor_2d(t->y, t->io->dtype, tokens, t->io->hidden);
    struct srq_var *out, *mse;
    int rc;

    if (t->block == NULL)
        return single_pass(t, n, backward, loss, err);
    srq_tape_reset(t->tape);
    srq_tape_record(t->tape, backward);
    unit_sinks(t, backward);
    out = srq_block_forward(t->block, t->tape, srq_tape_input(t->tape, &x, false), n, t->io->seq);
    mse = srq_op_mse_dropping(t->tape, out, &y, t->io->mask != NULL ? t->mask : NULL, t->rules.drop_largest);
    rc = srq_tape_error(t->tape, err);
    if (rc == 0 && mse == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "no memory for the tables of block %d", t->unit);
    if (rc == 0) {
        *loss = (double)*(const float *)mse->value.data;
        rc = backward ? srq_tape_backward(t->tape, mse, err) : 0;
    }
    unit_sinks(t, false);
    return rc;
}
