/* The k elements of a matrix that differ most from their target: what a loss leaves out (spec signround 8.3). */
#ifndef SRQ_TAPE_LARGEST_ERRORS_H
#define SRQ_TAPE_LARGEST_ERRORS_H

#include "core/tensor/tensor.h"

/* Columns that share one entry of `peaks`. */
#define SRQ_ERROR_STRIP 64

/* Two matrices [rows, cols], each F32 or BF16; mask [rows] bytes, 0 leaves a row out, or NULL. */
struct srq_error_matrix {
    const struct srq_tensor *x, *target;
    const uint8_t *mask;
    int64_t rows, cols;
};

/* Entries that `peaks` must have. */
int64_t srq_error_peaks(int64_t rows, int64_t cols);
/* Writes the positions (row * cols + column, ascending) of the k largest |x - target| to `found` and returns how many
 * they are: k, unless there are fewer elements. Among equal errors those at lower positions are taken. What is not a
 * number counts as no error. `peaks` is scratch. Parallel inside. */
int64_t srq_largest_errors(const struct srq_error_matrix *m, int64_t k, float *peaks, int64_t *found);

#endif
