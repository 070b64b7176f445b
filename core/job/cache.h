/* The user's cache folder: what jobs found and other jobs can take up. Files are named by a hash of all that their
 * content depends on; one that is not there is measured again. */
#ifndef SRQ_JOB_CACHE_H
#define SRQ_JOB_CACHE_H

#include "core/base/cache_dir.h"
#include "core/base/hash.h"
#include "core/job/resolved.h"

/* Adds a plugin's name, version and file, and all its options' values. */
void srq_cache_add_plugin(struct srq_hash *h, const struct srq_spec_plugin *p);
/* Adds what numbers depend on whatever the plugin: srq's version and file, element type, products, instruction set,
 * threads, and the scheme of an embedding that is rounded. */
void srq_cache_add_machine(struct srq_hash *h, const struct srq_job *job, enum srq_dtype compute);

#endif
