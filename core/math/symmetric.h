/* Eigenvalues and eigenvectors of symmetric matrices, by LAPACK (dsyev). */
#ifndef SRQ_MATH_SYMMETRIC_H
#define SRQ_MATH_SYMMETRIC_H

#include <srq/error.h>

#include <stdint.h>

/* Replaces the symmetric matrix a [n, n] by its eigenvectors, a row each, of length 1; values [n] ascending. Only one
 * half of a is read. -SRQ_ENUMERIC where the iteration does not come to an end (elements that are not finite),
 * -SRQ_ELIMIT for more than a million rows, -SRQ_ENOMEM. */
int srq_symmetric_eigen(double *a, int64_t n, double *values, struct srq_error *err);

#endif
