/* Inside core/job: where the option `resample` asks for it, calibration samples get copies in which most words are
 * drawn anew (core/tune/resample.h). The words are kept in ckpt/, so that a resume does not draw again. */
#ifndef SRQ_JOB_RESAMPLE_H
#define SRQ_JOB_RESAMPLE_H

#include "core/job/resolved.h"
#include "core/tune/resample.h"

/* Copies of each sample, where `samples` are read. */
int64_t srq_job_copies(const struct srq_resolved *r, int64_t samples);
/* How words are drawn, and rows of memory; nsamples: with r->choice.copies of each. */
struct srq_resample_config srq_job_resample_config(const struct srq_resolved *r, int64_t nsamples);
int srq_job_resample_needs(const struct srq_resolved *r, struct srq_needs *memory, int64_t nsamples,
                           struct srq_error *err);

#endif
