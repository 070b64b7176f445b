/* The rule of mixed precision in a folder of a quantized diffusion model (spec diffusion-qat 4): which steps of its
 * sampling a full-precision model computes, as srq_sampling.json says it, and that model, in the folder "high". Steps
 * are counted, whatever their number. */
#ifndef SRQ_DIFFUSION_HIGH_RULE_H
#define SRQ_DIFFUSION_HIGH_RULE_H

#include "core/model/model.h"

#define SRQ_HIGH_FOLDER "high"

struct srq_high_rule {
    int first, last;      /* steps at each end */
    enum srq_dtype dtype; /* BF16 or F32: what they are computed in */
};

/* Writes the file of `dir`, durably. */
int srq_high_rule_write(const struct srq_high_rule *r, const char *dir, struct srq_error *err);
/* 1: read; 0: the folder has none. -SRQ_EFORMAT naming file and key. */
int srq_high_rule_read(const char *dir, struct srq_high_rule *r, struct srq_error *err);

#endif
