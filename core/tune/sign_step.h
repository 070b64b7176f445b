/* The optimizer of SignRound: a step of fixed length against the sign of the gradient (spec signround 4). */
#ifndef SRQ_TUNE_SIGN_STEP_H
#define SRQ_TUNE_SIGN_STEP_H

#include <stdbool.h>
#include <stdint.h>

/* p[i] -= lr * sign(g[i]), sign(0) = 0. */
void srq_sign_step(float *p, const float *g, float lr, int64_t n);
/* buf = mu*buf + g (first: buf = g), then p -= lr * sign(buf). */
void srq_sign_momentum_step(float *p, float *buf, const float *g, float lr, float mu, bool first, int64_t n);

#endif
