/* The Fréchet distance between two sets of features (spec diffusion-qat 10). */
#ifndef SRQ_EVAL_FRECHET_H
#define SRQ_EVAL_FRECHET_H

#include <srq/error.h>

#include <stdint.h>

/* ||mu1 - mu2||^2 + Tr(S1 + S2 - 2 (S1 S2)^1/2) of a [na, d] and b [nb, d], S the covariances with n-1 below; also
 * where they are singular (fewer pictures than features). 0 for equal sets, up to rounding, and never below 0. Small
 * sets give larger distances than large ones of the same kind: compare only at equal numbers.
 * -SRQ_EINVAL: fewer than two of either; -SRQ_ENUMERIC: features that are not finite; -SRQ_ENOMEM. */
int srq_frechet(const float *a, int64_t na, const float *b, int64_t nb, int64_t d, double *out, struct srq_error *err);

#endif
