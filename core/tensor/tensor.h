/* Tensor descriptors: shape arithmetic with overflow checks. Storage belongs to others. */
#ifndef SRQ_TENSOR_TENSOR_H
#define SRQ_TENSOR_TENSOR_H

#include "core/tensor/dtype.h"

/* Number of elements; -1 when it does not fit in int64 or a dimension is negative. */
int64_t srq_tensor_count(const struct srq_tensor *t);
/* Bytes of all elements; false when that overflows. */
bool srq_tensor_bytes(const struct srq_tensor *t, size_t *bytes);
/* A descriptor over `data`. */
struct srq_tensor srq_tensor_make(void *data, enum srq_dtype dtype, int rank, const int64_t *shape);
struct srq_tensor srq_tensor_2d(void *data, enum srq_dtype dtype, int64_t rows, int64_t cols);
/* "[2048, 576]"; returns out. */
char *srq_tensor_shape_text(const struct srq_tensor *t, char *out, size_t cap);
/* Index of the first element that is NaN or infinite in a float tensor, -1 when all are finite. Parallel. */
int64_t srq_tensor_first_nonfinite(const struct srq_tensor *t);

#endif
