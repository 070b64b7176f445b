/* dsyev as OpenBLAS has it. Its header for LAPACK is not everywhere beside the library, so the routine is declared
 * here. */
#include "core/math/symmetric.h"

#include "core/base/alloc.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>

#define ROWS_MAX 1000000

/* The last two are the lengths of the two texts, as Fortran compilers pass them. */
extern void dsyev_(const char *job, const char *half, const blasint *n, double *a, const blasint *lda, double *values,
                   double *work, const blasint *lwork, blasint *info, size_t job_len, size_t half_len);

int srq_symmetric_eigen(double *a, int64_t n, double *values, struct srq_error *err)
{
    blasint size = (blasint)n, ask = -1, info = 0, lwork;
    double best, *work;

    if (n < 1 || n > ROWS_MAX)
        return srq_fail(err, -SRQ_ELIMIT, "a matrix of %" PRId64 " rows has no eigenvalues here", n);
    for (int64_t i = 0; i < n * n; i++)
        if (!isfinite(a[i]))
            return srq_fail(err, -SRQ_ENUMERIC, "a matrix of %" PRId64 " rows has elements that are not finite", n);
    dsyev_("V", "U", &size, a, &size, values, &best, &ask, &info, 1, 1);
    lwork = (blasint)best;
    work = srq_calloc((size_t)lwork, sizeof(*work));
    if (work == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the eigenvalues of %" PRId64 " rows", n);
    /* Fortran's columns are C's rows. */
    dsyev_("V", "U", &size, a, &size, values, work, &lwork, &info, 1, 1);
    srq_free(work);
    return info == 0
               ? 0
               : srq_fail(err, -SRQ_ENUMERIC, "the eigenvalues of a matrix of %" PRId64 " rows were not found", n);
}
