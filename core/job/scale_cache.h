/* Scales that an earlier job found by statistics or training, in the user's cache folder (core/job/cache.h, "scales"):
 * another quantizer after the same transform, or another format, does not look for them again. A file is named by a
 * hash of model, tokens, plugin with its options, the schemes aimed at, and how samples went through the model. */
#ifndef SRQ_JOB_SCALE_CACHE_H
#define SRQ_JOB_SCALE_CACHE_H

#include "core/job/resolved.h"
#include "core/tune/transform.h"

struct srq_scale_key {
    const char *model, *tokens; /* hashes */
    const struct srq_job *job;
    struct srq_transform_config data;
};

/* Fills what srq_scales_alloc made; false where there are none that hold. */
bool srq_scale_cache_read(const struct srq_scale_key *key, struct srq_scales *out);
/* Does without where it cannot be written: then `why` says so. */
bool srq_scale_cache_write(const struct srq_scale_key *key, const struct srq_scales *s, struct srq_error *why);

#endif
