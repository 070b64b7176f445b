/* Making a job concrete: from its specification and what stands in headers. */
#ifndef SRQ_JOB_RESOLVE_H
#define SRQ_JOB_RESOLVE_H

#include "core/job/resolved.h"

/* Flags: SRQ_SPEC_…. Starts the thread team and the products. With SRQ_SPEC_STORED or SRQ_SPEC_AGAIN the output
 * is not looked at: a job that goes on may have written it. */
int srq_resolve(const cJSON *json, unsigned flags, struct srq_resolved *out, struct srq_error *err);
int srq_resolve_text(const char *text, size_t len, unsigned flags, struct srq_resolved *out, struct srq_error *err);
void srq_resolved_fini(struct srq_resolved *r);
/* What --plan answers. */
cJSON *srq_resolved_json(const struct srq_resolved *r);

#endif
