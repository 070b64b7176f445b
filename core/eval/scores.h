/* Scores of one position from its logits. */
#ifndef SRQ_EVAL_SCORES_H
#define SRQ_EVAL_SCORES_H

#include <stdbool.h>
#include <stdint.h>

/* -log softmax(z)[target], in nats; z [vocab]. NaN when a logit is not finite. One thread. */
double srq_token_loss(const float *z, int64_t vocab, int32_t target);
/* KL(softmax(p) ‖ softmax(q)), in nats, and whether both have their largest logit at the same place (the first of
 * equals). One thread. */
double srq_token_kl(const float *p, const float *q, int64_t vocab, bool *same_top);

#endif
