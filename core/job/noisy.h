/* Noisy pictures that a trainer or a block learns from (spec diffusion-qat 3, 11): given pictures with noise of a
 * random time, or what the full-precision model passes through while it samples. A batch is a function of seed and step
 * alone.
 */
#ifndef SRQ_JOB_NOISY_H
#define SRQ_JOB_NOISY_H

#include "core/diffusion/schedule.h"
#include "core/format/pictures.h"
#include "core/model/pictures.h"
#include "core/tune/trainer.h"

struct srq_noisy;

struct srq_noisy_config {
    const struct srq_model *model;
    const struct srq_noise_schedule *schedule;
    const struct srq_picture_set *set; /* the given pictures; NULL: trajectories */
    int64_t trajectories, steps;       /* pictures that are sampled, and their steps */
    int64_t batch;                     /* pictures computed at once while that is done */
    uint64_t seed;
    int (*tick)(void *ctx, int64_t done, int64_t total); /* while trajectories are made: non-zero ends it */
    void *ctx;
};

uint64_t srq_noisy_bytes(const struct srq_noisy_config *c); /* of the trajectories that are kept */
int srq_noisy_create(const struct srq_noisy_config *c, struct srq_noisy **out, struct srq_error *err);
void srq_noisy_free(struct srq_noisy *n);
/* A srq_train_config.batch, `noisy` a struct srq_noisy; of given pictures without the target where that is NULL. */
int srq_noisy_batch(void *noisy, int64_t step, const struct srq_noisy_batch *out, struct srq_error *err);

#endif
