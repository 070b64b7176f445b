/* One pass of gathered samples through the block: forward with the fake-quantized weights, loss, and backward into the
 * sinks of the layers. The loss leaves out the errors that the block's rules say, also where it is only measured. */
#include "core/tune/tuner.h"

#include "core/flow/unit_loss.h"

int pass_run(struct srq_tuner *t, int64_t n, bool backward, double *loss, struct srq_error *err)
{
    struct srq_unit_target target = { .n = n,
                                      .seq = t->io->seq,
                                      .dtype = t->io->dtype,
                                      .mask = t->io->mask != NULL ? t->mask : NULL,
                                      .drop_largest = t->rules.drop_largest };
    int rc;

    if (t->block == NULL)
        return single_pass(t, n, backward, loss, err);
    for (int i = 0; i < t->ins; i++)
        target.input[i] = t->x[i];
    for (int i = 0; i < t->outs; i++)
        target.target[i] = t->y[i];
    unit_sinks(t, backward);
    rc = srq_unit_loss(t->block, t->tape, &target, backward, loss, err);
    unit_sinks(t, false);
    return rc;
}
