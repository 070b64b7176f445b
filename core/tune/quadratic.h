/* Output error of a layer from the second moment of its inputs. */
#ifndef SRQ_TUNE_QUADRATIC_H
#define SRQ_TUNE_QUADRATIC_H

#include <srq/types.h>

/* sum over rows of d_r H d_rᵀ: d [rows, n], h [n, n] symmetric, F32. The same with any number of threads as far as the
 * GEMM backend is. NaN when memory is out. */
double srq_quadratic(const float *d, int64_t rows, const float *h, int64_t n);

#endif
