/* Scores and what an allocator made of them, as JSON. */
#ifndef SRQ_JOB_SCORES_JSON_H
#define SRQ_JOB_SCORES_JSON_H

#include "core/budget/scores.h"

/* A job keeps its scores as CKPT/scores.json, complete or with candidates still missing:
 * {"candidates":["w2g64",…], "layers":[{"name", "scores":[number|null,…]},…]}. */
int srq_scores_save(const struct srq_scores *s, const struct srq_layer_info *const *layers, const char *path,
                    struct srq_error *err);
/* -SRQ_ENOENT when there is no such file. */
int srq_scores_load(const char *path, const struct srq_layer_info *const *layers, int count, struct srq_scores *out,
                    struct srq_error *err);

/* {target_bits, average_bits, loss, bound, gap (relative), candidates, front:[{average_bits, loss}]}: event, report,
 * ckpt. */
cJSON *srq_allocation_json(const struct srq_allocation *a, const struct srq_candidates *c);

#endif
