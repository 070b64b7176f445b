/* Where scales of an equivalent transformation come from without training (spec teq 4, 12; seed-methods 4): rules that
 * more than one plugin has. Each sets g->scale, none of them below `least`. */
#ifndef SCALE_RULES_H
#define SCALE_RULES_H

#include <srq/plugin.h>

/* 1 / sqrt(largest weight of the channel). */
int scale_rules_weights(const struct srq_host *h, float least, struct srq_scale_group *g, struct srq_error *err);
/* SmoothQuant: largest input to the power `share` over the largest weight to 1 - share. Needs SRQ_NEED_RANGES. */
int scale_rules_smooth(const struct srq_host *h, float share, float least, struct srq_scale_group *g,
                       struct srq_error *err);
/* AWQ: of mean inputs to the power r, alone and over mean filled ranges to 1 - r, r = 0 … 19/20, and of all ones, the
 * one with the least squared error of the consumers' outputs under their schemes. Needs SRQ_NEED_RANGES and
 * SRQ_NEED_HESSIAN. */
int scale_rules_search(const struct srq_host *h, float least, struct srq_scale_group *g, struct srq_error *err);

#endif
