/* What a job will need of memory and disk, computed from shapes before any work (design 6). */
#ifndef SRQ_JOB_FOOTPRINT_H
#define SRQ_JOB_FOOTPRINT_H

#include "core/flow/walk.h"
#include "core/job/resolved.h"
#include "core/tune/block_tuner.h"

/* Windows of `seqlen` tokens that the texts give at most: bytes of text seldom are fewer than three a token. */
int64_t srq_footprint_windows(char *const *files, int count, int64_t seqlen);

/* How units are tuned on so many samples. */
struct srq_tune_config srq_job_tune_config(const struct srq_resolved *r, int64_t nsamples);
/* How the two chains, the original's and the quantized one's, go through a unit. */
struct srq_walk_config srq_job_chain_walk(const struct srq_resolved *r, int64_t nsamples);

/* Fills r->footprint.memory and r->footprint.disk for `nsamples` calibration samples and `windows` evaluation windows
 * (0: not known yet, then guessed from the options and the sizes of the files). Where memory allowed is too little,
 * first the activation cache goes to disk (r->choice.spill), then the batch shrinks, each with a note. What still does
 * not fit: -SRQ_ELIMIT or -SRQ_ENOSPC with the table. */
int srq_footprint_settle(struct srq_resolved *r, int64_t nsamples, int64_t windows, struct srq_error *err);
/* The same for a job under way whose plan is to change: where activations are and how large a batch is stay as they
 * are, so what does not fit then is refused. Only memory, disk and their sums in `r` are touched. */
int srq_footprint_again(struct srq_resolved *r, int64_t nsamples, int64_t windows, struct srq_error *err);

#endif
