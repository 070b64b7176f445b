/* What the user is about to ask for: schemes proposed for layers, and the one request made of them. */
#ifndef SRQ_TUI_SRQTOP_EDITS_H
#define SRQ_TUI_SRQTOP_EDITS_H

#include "tui/srqtop/model.h"

#include <srq/error.h>

#include <cjson/cJSON.h>

/* Proposes `scheme` for a layer and for those that change together with it; the scheme it has, NULL or "" takes the
 * proposal back. False: no scheme of that length. */
bool top_edit_scheme(struct top_job *j, struct top_layer *l, const char *scheme);
/* Proposes the layer's present (or proposed) scheme with other bits, group size and all else kept; from 16 bits the
 * job's default scheme is the pattern. 16: "bf16". False where no scheme comes of it. */
bool top_edit_bits(struct top_job *j, struct top_layer *l, int bits);
/* One step up or down the bits that the layer can be stored in, as the daemon lists them; where it lists none, the
 * usual 2, 3, 4, 8. 16 is bf16. False: there is no further one. */
bool top_edit_step(struct top_job *j, struct top_layer *l, int direction);
/* Whether a layer, and those that change with it, can be stored in so many bits; 16 is bf16, which each can. */
bool top_edit_can_hold(const struct top_job *j, const struct top_layer *l, int bits);
/* What top_edit_bits would propose for the layer as it is; false: it does not fit. */
bool top_edit_name(const struct top_job *j, const struct top_layer *l, int bits, char *out, size_t cap);
int top_edits_count(const struct top_job *j);
void top_edits_drop(struct top_job *j);

struct top_edit_options {
    bool untied, propagate, after; /* after: a running block ends first */
};

/* Parameters of job.pin for all edits: {job, pins, revision, dry_run, …}; untied: but for those that only go along with
 * another. NULL: no edits, or no memory. */
cJSON *top_edits_params(const struct top_job *j, const struct top_edit_options *options, bool dry_run);

/* Reply of a plan change (dry or not) → the preview; with `result` NULL, why it was refused. */
void top_preview_take(struct top_preview *p, const cJSON *result, const struct srq_error *err);
/* "4 layers changed; plan revision 5, 3.62 bits, block 3 begins again, 2 blocks are tuned again" */
void top_change_text(const cJSON *result, char *out, size_t cap);
/* Whether a refusal says that the plan changed meanwhile. */
bool top_is_stale_revision(const struct srq_error *err);

/* When to ask: previews at most every TOP_PREVIEW_S, one at a time, the newest edits win. Times are monotonic. */
#define TOP_PREVIEW_S 0.2
struct top_edit_clock {
    bool wanted, asked;
    double last_s;
};
/* Seconds until the next preview may be asked for; 0: now; negative: none is wanted, or one is under way. */
double top_edit_due(const struct top_edit_clock *c, double now);

#endif
