/* Gradients of vectors that stand beside weights: sums over all rows of a pass, added up in an order that does not
 * depend on the number of threads. */
#ifndef SRQ_TAPE_VECTOR_GRAD_H
#define SRQ_TAPE_VECTOR_GRAD_H

#include "core/tape/record.h"

/* sum over rows i of dy[i, j] (x NULL), or of dy[i, j] x[i, j] scale[i], for each of the v->n columns; goes to v's
 * sink. dy and x [rows, v->n] of one dtype. Memory comes from the tape. */
int srq_vector_gradient(struct srq_tape *t, const struct srq_vector *v, const struct srq_tensor *dy,
                        const struct srq_tensor *x, const float *scale, int64_t rows, struct srq_error *err);

#endif
