/* How far a unit's outputs are from what they should be: mean squared errors, summed over its output ports, with their
 * gradient for the sinks of its layers (spec signround 5). */
#ifndef SRQ_FLOW_UNIT_LOSS_H
#define SRQ_FLOW_UNIT_LOSS_H

#include "core/model/model.h"

struct srq_unit_target {
    int64_t n, seq;                     /* samples, of so many tokens */
    void *input[SRQ_UNIT_PORTS];        /* [n*rows, cols] of each input port, in the tape's dtype */
    const void *target[SRQ_UNIT_PORTS]; /* the same of each output port, in `dtype` */
    enum srq_dtype dtype;               /* F32 or BF16 */
    const uint8_t *mask;                /* [n*rows], 0 leaves a token out; or NULL */
    double drop_largest;                /* see srq_op_mse_dropping */
    bool roundings;                     /* where it is measured: inputs and outputs of layers may be rounded, */
    bool split;                         /* inputs of two parts by a grid for each */
};

/* The samples through the block, which is loaded. With `backward` the sinks get the gradient. */
int srq_unit_loss(struct srq_block *b, struct srq_tape *t, const struct srq_unit_target *target, bool backward,
                  double *loss, struct srq_error *err);

/* What that takes on the tape at most, for any block of the model; `target` points to no data. */
int srq_unit_loss_bytes(const struct srq_model *m, enum srq_dtype compute, const struct srq_unit_target *target,
                        size_t *bytes, struct srq_error *err);

#endif
