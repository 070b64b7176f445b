/* What a job's journal says of its layers and blocks: scores, errors, saturation, how far each block is. Kept with the
 * job between requests, so that only what the journal has got since is read. */
#ifndef SRQD_LAYER_VIEW_H
#define SRQD_LAYER_VIEW_H

#include "daemon/srqd/workers/layer_file.h"

/* NaN where it is not known. */
struct layer_facts {
    double error_first, error_best, error_last, saturation;
};

struct layer_view;

/* The job's view, brought up to date with its plan.json and its journal. It lives until the loop goes on. 1: one of
 * them is long and still being read; layer_view_wait, and ask again when told. */
int layer_view_refresh(struct job *j, const struct layer_view **out, struct srq_error *err);
/* The same with the plan only. */
int layer_view_plan(struct job *j, const struct layer_view **out, struct srq_error *err);
/* `ready` is called once, after the reading or when the view goes. */
int layer_view_wait(struct job *j, void (*ready)(void *ctx), void *ctx, struct srq_error *err);
void layer_view_drop(struct job *j); /* its view, if it has one */

struct layer_file *layer_view_file(const struct layer_view *v); /* plan.json */
bool layer_view_has(const struct layer_view *v, const char *layer);
size_t layer_view_count(const struct layer_view *v);
const char *layer_view_name(const struct layer_view *v, size_t layer); /* "" where the plan has none */
size_t layer_view_blocks(const struct layer_view *v);
bool layer_view_outside(const struct layer_view *v); /* whether there is a layer outside the blocks */

/* By the layer's place in the plan. */
struct layer_facts layer_view_facts(const struct layer_view *v, size_t layer);
/* Score of the layer in that scheme; `scheme` NULL: in the one with the fewest bits. NaN: not known. */
double layer_view_score(const struct layer_view *v, size_t layer, const char *scheme);
/* What the journal last said of the layer's block. */
enum srq_work_state layer_view_state(const struct layer_view *v, size_t layer);
/* {before_bytes, after_bytes, average_bits} of the last change, or NULL; the view's. */
const cJSON *layer_view_size(const struct layer_view *v);

#endif
