/* More calibration text out of little: copies of the samples in which most words are drawn anew from what the model
 * expects at their places. Roundings that were learned on few tokens fit these alone; the copies show other words in
 * contexts that the model takes for likely, and cost one pass of the original over the samples.
 *
 * A word is replaced with a probability of 0.6, by one that is drawn from the model's own distribution given the
 * sample's words before it (the original ones: all places are drawn in one pass). The first of a sample stays, and so
 * does padding. Every draw is a pure function of seed and place. */
#ifndef SRQ_TUNE_RESAMPLE_H
#define SRQ_TUNE_RESAMPLE_H

#include "core/model/model.h"
#include "core/text/samples.h"
#include "core/tune/block_tuner.h"

#define SRQ_RESAMPLE_MOST 3 /* copies */

struct srq_resample_config {
    const struct srq_model *model;
    int64_t nsamples; /* that were read */
    int64_t seq, batch;
    int64_t copies; /* 0 … SRQ_RESAMPLE_MOST */
    uint64_t seed;
    enum srq_dtype compute;
};

/* Copies of every sample with which there are `wanted` tokens, or as near as SRQ_RESAMPLE_MOST allows; 0: there are
 * enough. */
int64_t srq_resample_copies(int64_t wanted, int64_t nsamples, int64_t seq);
/* Makes room: all samples again `copies` times behind themselves, words and masks. The hash stays that of what was
 * read. */
int srq_resample_extend(struct srq_samples *samples, int64_t copies, struct srq_error *err);
/* Adds memory by purpose, beside the samples themselves. */
int srq_resample_footprint(const struct srq_resample_config *cfg, struct srq_memory_rows *rows, struct srq_error *err);
/* Draws the words of all copies; samples as srq_resample_extend left them. tick (may be NULL) before every block of
 * every part of the samples: a non-zero return ends with that code. */
int srq_resample_run(const struct srq_resample_config *cfg, struct srq_samples *samples,
                     int (*tick)(void *ctx, int64_t done, int64_t all), void *ctx, struct srq_error *err);

#endif
