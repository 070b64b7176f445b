/* What a resume must find unchanged for the same bytes to come out (design 3). */
#ifndef SRQ_JOB_FINGERPRINT_H
#define SRQ_JOB_FINGERPRINT_H

#include "core/base/hash.h"
#include "core/job/resolved.h"
#include "core/text/samples.h"

/* What was read for the job; a set with count 0 was not wanted. */
struct srq_fingerprint_texts {
    const struct srq_samples *calib, *score, *scaling, *eval;
};

/* {srq, spec, model, files, calibration, evaluation, scales, plugins, gemm, simd, threads}: texts. srq and plugins:
 * version and hash of the program's file; files: those that the export carries along; scales: the file that a transform
 * loads. Reads the whole model. */
int srq_fingerprint_make(const struct srq_job *job, const struct srq_fingerprint_texts *texts, cJSON **out,
                         struct srq_error *err);
/* Compares with `path`, or writes it where there is none. A field that differs: -SRQ_EDRIFT naming it with both values,
 * unless `accept`: then *drift is set to the sentence (srq_free) and the new one is written. */
int srq_fingerprint_check(const char *path, const cJSON *now, bool accept, char **drift, struct srq_error *err);
/* A hash of all of it: what was stored under another one is not of this job as it is now. */
int srq_fingerprint_basis(const cJSON *now, char out[SRQ_HASH_HEX], struct srq_error *err);
/* The model's hash, of the fingerprint.json in job directory `dir`. */
int srq_fingerprint_model(const char *dir, char *out, size_t cap, struct srq_error *err);

#endif
