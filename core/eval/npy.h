/* Writing a matrix in NumPy's own file format (version 1.0), row by row. */
#ifndef SRQ_EVAL_NPY_H
#define SRQ_EVAL_NPY_H

#include <srq/error.h>

#include <stdint.h>

struct srq_npy;

/* A matrix [rows, cols] of F32, little-endian. It appears under `path` only when it is complete. */
int srq_npy_create(const char *path, int64_t rows, int64_t cols, struct srq_npy **out, struct srq_error *err);
int srq_npy_add(struct srq_npy *f, const float *data, int64_t rows, struct srq_error *err);
/* Fsync and rename; -SRQ_ESTATE when rows are missing. */
int srq_npy_finish(struct srq_npy *f, struct srq_error *err);
void srq_npy_free(struct srq_npy *f); /* removes an unfinished file; NULL is fine */

#endif
