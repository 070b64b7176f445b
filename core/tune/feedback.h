/* Rounding with error feedback (spec seed-methods 4, GPTQ; service S3): what rounding one column does to a layer's
 * output is made up for in the columns that are not rounded yet. */
#ifndef SRQ_TUNE_FEEDBACK_H
#define SRQ_TUNE_FEEDBACK_H

#include <srq/plugin.h>

/* u [n, n] becomes the upper triangular U with Uᵀ U = (H + damp I)⁻¹, zeros below its diagonal. h [n, n] symmetric, may
 * not be u. One factorization: of H with rows and columns in reverse, whose triangle is inverted. 0; -SRQ_ENUMERIC
 * where H + damp I is not positive definite (or not finite), u being undefined then; -SRQ_ENOMEM. Uses the team. */
int srq_inverse_factor(const float *h, int64_t n, double damp, float *u);

/* Columns 0 … n-1 of w [rows, n] are rounded one after the other: `round` says the value of column `col` in row `row`,
 * whose weights (with all feedback so far) are `w`, [n]; it is called from several threads for different rows. Then
 * w[col] is that value, and (w - value) / U[col, col] times the rest of U's row is taken from the columns behind it.
 * `block` columns are updated at once and those behind them together afterwards: a choice of speed, not of results (to
 * rounding). The first column of every block sees all feedback in every column behind it; one inside a block sees it up
 * to its end. */
typedef float (*srq_round_fn)(void *ctx, int64_t row, int64_t col, const float *w);
int srq_column_feedback(float *w, int64_t rows, int64_t n, const float *u, int64_t block, srq_round_fn round,
                        void *ctx);

/* For the plan: what rounding a layer [rows, n] so takes beside the second moment itself: a copy of that, the same
 * being factored, the triangle, and the weights with their feedback. */
uint64_t srq_feedback_bytes(int64_t rows, int64_t n);

#endif
