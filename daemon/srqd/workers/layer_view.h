/* What a job's journal says of its layers and blocks: scores, errors, saturation, how far each block is. Kept with the
 * job between requests, so that only what the journal has got since is read. */
#ifndef SRQD_LAYER_VIEW_H
#define SRQD_LAYER_VIEW_H

#include "daemon/srqd/jobs/job.h"

#include <cjson/cJSON.h>

enum block_state { BLOCK_PENDING, BLOCK_RUNNING, BLOCK_FINISHED, BLOCK_STALE };
const char *block_state_name(enum block_state s);

/* NaN where it is not known. */
struct layer_facts {
    double error_first, error_best, error_last, saturation;
};

struct layer_view;

/* The job's view, brought up to date with the journal and with `layers`, the array of its plan.json. It lives until the
 * loop goes on. 1: the journal is long and still being read; layer_view_wait, and ask again when told. */
int layer_view_refresh(struct job *j, const cJSON *layers, const struct layer_view **out, struct srq_error *err);
/* `ready` is called once, after the reading or when the view goes. */
int layer_view_wait(struct job *j, void (*ready)(void *ctx), void *ctx, struct srq_error *err);
void layer_view_drop(struct job *j); /* its view, if it has one */

/* By the layer's place in the plan. */
struct layer_facts layer_view_facts(const struct layer_view *v, size_t layer);
/* Score of the layer in that scheme; `scheme` NULL: in the one with the fewest bits. NaN: not known. */
double layer_view_score(const struct layer_view *v, size_t layer, const char *scheme);
/* State of the layer's block: stale when a change named it after its last end, or while it was being tuned and went
 * on. */
enum block_state layer_view_state(const struct layer_view *v, size_t layer);
/* {before_bytes, after_bytes, average_bits} of the last change, or NULL; the view's. */
const cJSON *layer_view_size(const struct layer_view *v);

/* Bits of a weight in a scheme as its name says them, scales not counted: the first number in it (w4g128, mxfp8, q4_k,
 * bf16). NaN where there is none. */
double scheme_bits(const char *scheme);

#endif
