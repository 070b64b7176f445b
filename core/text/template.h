/* Chat templates: the part of Jinja that they are written in, rendered as the transformers library renders them
 * (trim_blocks, lstrip_blocks, break and continue, an immutable sandbox).
 *
 * What a template uses beyond that part is refused by name and line when it is read. strftime_now tells a fixed day, 26
 * July 2024, midnight: the same job gives the same bytes on every day. Templates and texts come from strangers:
 * nesting, steps, memory and output are bounded. */
#ifndef SRQ_TEXT_TEMPLATE_H
#define SRQ_TEXT_TEMPLATE_H

#include "core/base/buf.h"

#include <srq/error.h>

#include <jansson.h>
#include <stdint.h>

#define SRQ_TEMPLATE_TEXT_MAX ((size_t)1 << 18)
#define SRQ_TEMPLATE_OUTPUT_MAX ((size_t)64 << 20)
#define SRQ_TEMPLATE_MEMORY_MAX ((size_t)256 << 20)
#define SRQ_TEMPLATE_STEPS_MAX ((uint64_t)50 * 1000 * 1000)

struct srq_template;

/* `text`: well-formed UTF-8; `what` names it in errors, beside the line. -SRQ_EUNSUPPORTED for what Jinja has and is
 * not among the supported, -SRQ_EFORMAT for what it does not have either. */
int srq_template_read(const char *text, size_t len, const char *what, struct srq_template **out, struct srq_error *err);
void srq_template_free(struct srq_template *t);

/* What a template sees beside its own variables. documents is none, add_generation_prompt false. */
struct srq_template_input {
    const json_t *messages; /* list of objects */
    const json_t *tools;    /* list, or NULL: none */
    const json_t *specials; /* object: texts by name, "bos_token" and others; or NULL */
    uint64_t steps_max;     /* 0: SRQ_TEMPLATE_STEPS_MAX */
    size_t memory_max;      /* 0: SRQ_TEMPLATE_MEMORY_MAX */
};

/* Replaces the contents of `out`. The template's own refusals (raise_exception) and everything that is an error in
 * Python is -SRQ_EFORMAT with its line; -SRQ_ELIMIT: a bound was reached. */
int srq_template_render(const struct srq_template *t, const struct srq_template_input *in, struct srq_buf *out,
                        struct srq_error *err);

#endif
