/* Schemes, layers and plans as JSON, spelled alike in plan.json, answers, events, the report and beside the export. */
#ifndef SRQ_JOB_PLAN_JSON_H
#define SRQ_JOB_PLAN_JSON_H

#include "core/budget/plan.h"

/* Each adds a member; false: out of memory, or `o` is NULL. */
bool srq_put_scheme(cJSON *o, const char *key, const struct srq_scheme *scheme);
bool srq_put_schemes(cJSON *o, const char *key, const struct srq_scheme *schemes, int count);
/* "scheme" and "source" of a layer. */
bool srq_put_decision(cJSON *o, const struct srq_plan_layer *l);
/* [{pattern, scheme, untied}] */
bool srq_put_pins(cJSON *o, const char *key, const struct srq_pin *pins, int count);
/* From the name of a scheme. -SRQ_EFORMAT: it is none. */
int srq_read_scheme(const cJSON *name, struct srq_scheme *out, struct srq_error *err);
/* From a list of names; *count of them, at most `most`. */
int srq_read_schemes(const cJSON *names, int most, struct srq_scheme *out, int *count, struct srq_error *err);
/* From {"pattern", "scheme", "untied"}; its pattern is the caller's, also after an error. -SRQ_EINVAL, field "pins". */
int srq_read_pin(const cJSON *o, struct srq_pin *out, struct srq_error *err);

/* {"revision", "layers":[{name, block, module, out, in, scheme, source, tie, widths; why, asked, untied where they
 * matter}]} */
cJSON *srq_plan_json(const struct srq_plan *p);
/* Takes schemes and sources from a stored plan; every layer must be there with its shape. */
int srq_plan_from_json(const struct srq_layer_info *const *layers, int count, const cJSON *json, struct srq_plan *out,
                       struct srq_error *err);

#endif
