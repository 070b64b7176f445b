/* What a resume must find unchanged for the same bytes to come out (design 3). */
#ifndef SRQ_JOB_FINGERPRINT_H
#define SRQ_JOB_FINGERPRINT_H

#include "core/job/jobdir.h"
#include "core/job/resolve.h"
#include "core/text/samples.h"

/* {srq, spec, model, calibration, plugins, gemm, simd, threads}: texts. `samples`, those that layers are scored on
 * and those that scales are found with may be NULL. Reads the whole model. */
int srq_fingerprint_make(const struct srq_resolved *r, const struct srq_samples *samples,
                         const struct srq_samples *scored, const struct srq_samples *scaled, cJSON **out,
                         struct srq_error *err);
/* Compares with `path`, or writes it where there is none. A field that differs: -SRQ_EDRIFT naming it with both values,
 * unless `accept`: then *drift is set to the sentence (srq_free) and the new one is written. */
int srq_fingerprint_check(const char *path, const cJSON *now, bool accept, char **drift, struct srq_error *err);
/* The model's hash, of the fingerprint.json that the job has. */
int srq_fingerprint_model(const struct srq_jobdir *dir, char *out, size_t cap, struct srq_error *err);

#endif
