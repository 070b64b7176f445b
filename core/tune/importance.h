/* Importance of the inputs of a block's layers: for each column the sum of squares over calibration tokens, taken while
 * samples run through the block (spec signround 6). */
#ifndef SRQ_TUNE_IMPORTANCE_H
#define SRQ_TUNE_IMPORTANCE_H

#include "core/model/model.h"

struct srq_importance; /* of one block after the other, in memory for the largest */

uint64_t srq_importance_bytes(const struct srq_model *m); /* for the plan */
int srq_importance_create(const struct srq_model *m, struct srq_importance **out, struct srq_error *err);
void srq_importance_free(struct srq_importance *im);

/* Forgets all sums and listens to every layer of a loaded block (their taps), until srq_importance_end. */
void srq_importance_begin(struct srq_importance *im, struct srq_block *b);
void srq_importance_end(struct srq_importance *im);
/* Without a block: forgets all sums and adds inputs x [tokens, in] of one layer outside the blocks, whose sums are then
 * those of layer 0. x is F32 or BF16. */
void srq_importance_of_input(struct srq_importance *im, const struct srq_tensor *x);
/* [layers of the block], [in] each: the sums so far, in the model's order of layers; all
 * ones for a layer that no data reached. Valid until the next begin. For
 * the same batches in the same order they are the same with any number of threads. */
const float *const *srq_importance_sums(struct srq_importance *im);

#endif
