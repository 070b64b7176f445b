/* The job specification: what srq-job(5) describes, parsed strictly and normalised.
 *
 * A normalised specification has every default filled in and parses to itself. */
#ifndef SRQ_JOB_SPEC_H
#define SRQ_JOB_SPEC_H

#include "core/budget/scores.h"
#include "core/job/options.h"
#include "core/tune/plugin_host.h"

#include <cjson/cJSON.h>

/* One plugin of the method, with its options for this job. */
struct srq_spec_plugin {
    char *name;
    struct srq_plugin_handle handle;
    struct srq_options *options;
};

struct srq_spec {
    char *model;                     /* absolute */
    struct srq_spec_plugin *plugins; /* in the method's order */
    int plugin_count;
    int quantizer;         /* which plugin makes the codes, found by what it can do; -1: none does */
    int trainer;           /* which plugin trains the model, often the quantizer too; -1: none */
    int transform;         /* which plugin gives scales to fold into the model; -1: none */
    int scorer, allocator; /* which plugins choose schemes under the budget; -1: there is no budget */
    double budget_bits;    /* average bits a weight; NaN: no budget */
    struct srq_scheme candidates[SRQ_CANDIDATES_MAX];
    int candidate_count;
    struct srq_scheme scheme;
    struct srq_scheme embedding; /* grid SRQ_GRID_NONE: it stays as it is */
    struct srq_pin *pins;
    int pin_count;
    char **calib, **eval, **formats; /* absolute names; export formats */
    int calib_count, eval_count, format_count;
    char *output, *name, *on_end; /* name and on_end may be NULL */
    char *features;               /* network that tells what pictures look like, or NULL */
    bool format_chosen; /* nobody named a format: it follows from the scheme, and from the model once that is opened */
    bool force, refuse_incompatible, quant_lm_head, accept_drift;
    int64_t priority;
    double time_limit_s; /* at a stretch, kept by srqd; 0: none */
    struct srq_job_options opt;
};

enum {
    SRQ_SPEC_RELATIVE = 1, /* relative names are taken from the working directory, else they are refused */
    SRQ_SPEC_STORED =
        2, /* a spec.json accepted earlier: names are as they shall be, and files are not looked for again */
    SRQ_SPEC_AGAIN = 4, /* a user's, of a job that was accepted earlier: files are not looked for again */
};

/* Unknown keys, wrong types, values out of range, missing files: -SRQ_EINVAL (or what the file gave) with err->field
 * naming the key. Loads the plugins of the method. */
int srq_spec_parse(const cJSON *json, unsigned flags, struct srq_spec *out, struct srq_error *err);
int srq_spec_parse_text(const char *text, size_t len, unsigned flags, struct srq_spec *out, struct srq_error *err);
void srq_spec_fini(struct srq_spec *s);
cJSON *srq_spec_json(const struct srq_spec *s); /* normalised; NULL when out of memory */
/* A transform alone quantizes nothing: then this is a plugin without any part, and srq_spec_quantizes is false. */
const struct srq_plugin *srq_spec_quantizer(const struct srq_spec *s);
bool srq_spec_quantizes(const struct srq_spec *s);
char *srq_spec_method(const struct srq_spec *s); /* "a,b"; srq_free */

bool srq_spec_has_budget(const struct srq_spec *s);
/* The part, or NULL where the job has no budget. */
const struct srq_plugin *srq_spec_scorer(const struct srq_spec *s);
const struct srq_plugin *srq_spec_allocator(const struct srq_spec *s);
/* The trainer, or NULL where the method has none. */
const struct srq_plugin *srq_spec_trainer(const struct srq_spec *s);
/* The transform, or NULL where the method has none. */
const struct srq_plugin *srq_spec_transform(const struct srq_spec *s);

/* A scheme in JSON: its spelling, or {"bits":4,"group_size":128,"sym":true}. */
int srq_scheme_from_json(const cJSON *item, const char *field, struct srq_scheme *out, struct srq_error *err);

/* {"plugins":[…], "job_options":[…]}: plugins found (all, or the one named). */
int srq_describe(const char *name, cJSON **out, struct srq_error *err);

#endif
