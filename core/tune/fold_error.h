/* How far a model with scales folded in is from the stored one. */
#ifndef SRQ_TUNE_FOLD_ERROR_H
#define SRQ_TUNE_FOLD_ERROR_H

#include "core/model/model.h"

/* Logits of `tokens` [n] as one sequence, both in F32, relative L2. A fold above SRQ_FOLD_TOLERANCE is not exact.
 * Leaves the model folded as it was. */
#define SRQ_FOLD_TOLERANCE 1e-5
int srq_fold_error(struct srq_model *m, const int32_t *tokens, int64_t n, double *relative, struct srq_error *err);

#endif
