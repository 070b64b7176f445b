/* Inputs of layers rounded as schemes say (spec signround 9.4): symmetric integers of `act_bits` with a scale that is
 * made as the grid of weights makes it (2.1), dynamic, one for each token. */
#ifndef SRQ_FLOW_ROUND_INPUTS_H
#define SRQ_FLOW_ROUND_INPUTS_H

#include "core/grid/grid.h"
#include "core/tape/ops.h"

/* From here on the layer computes with rounded inputs where the scheme quantizes activations, with inputs as they are
 * where it does not. The scheme stays as long as the layer does. */
void srq_round_inputs(struct srq_linear *l, const struct srq_scheme *s);

#endif
