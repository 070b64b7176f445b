/* The synthetic layer of spec seed-methods 2.2: W 128 x 512 of Student's t with 5 degrees of freedom; 4096 inputs that
 * are AR(1) along the channels (0.9), times lognormal(0.7) scales, four channels twenty times larger. */
#ifndef SRQ_TEST_SYNTHETIC_LAYER_H
#define SRQ_TEST_SYNTHETIC_LAYER_H

#include "tests/unit/plugin_bench.h"

enum { SYNTHETIC_OUT = 128, SYNTHETIC_IN = 512, SYNTHETIC_TOKENS = 4096 };

struct synthetic {
    float *w;          /* [out, in] */
    float *x;          /* [tokens, in] */
    float *hessian;    /* [in, in] mean of x xᵀ */
    float *mean, *max; /* [in] of magnitudes */
};

void synthetic_make(struct synthetic *s, uint64_t seed);
void synthetic_free(struct synthetic *s);
/* The layer of a bench has this weight and these statistics. */
void synthetic_give(const struct synthetic *s, struct bench *b, const char *scheme);
/* sum over rows of (Ŵ - W) H (Ŵ - W)ᵀ, of Ŵ [out, in] or of codes. */
double synthetic_loss(const struct synthetic *s, const float *decoded);
double synthetic_loss_of(const struct synthetic *s, const struct srq_codes *c);
/* Runs a one-shot plugin over the layer; its loss. */
double synthetic_run(const struct synthetic *s, const char *plugin, const char *const *settings, const char *scheme);
/* A standard normal number. */
double synthetic_normal(uint64_t seed, uint64_t stream, uint64_t index);

#endif
