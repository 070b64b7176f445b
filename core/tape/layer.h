/* What linear layers and convolutions share: the rounding of a layer's input and output, and integer arithmetic. */
#ifndef SRQ_TAPE_LAYER_H
#define SRQ_TAPE_LAYER_H

#include "core/tape/record.h"

/* x as the layer's product is to read it: x itself unless the layer rounds its input. */
struct srq_var *srq_layer_input(struct srq_tape *t, struct srq_var *x, const struct srq_linear *l);
/* The layer's output, from what its product of `fed` = srq_layer_input(x) gave. */
struct srq_var *srq_layer_output(struct srq_tape *t, struct srq_var *x, struct srq_var *fed, struct srq_var *y,
                                 const struct srq_linear *l);
/* The layer on integer arithmetic (l->integer), its input and output rounded: of a matrix, or with `c` of pictures that
 * fit it. Nothing is recorded. */
struct srq_var *srq_layer_integer(struct srq_tape *t, struct srq_var *x, const struct srq_linear *l,
                                  const struct srq_conv *c);

#endif
