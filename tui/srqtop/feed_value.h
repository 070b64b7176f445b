/* Members of replies and events, and what both halves of the feed do with them. Only they include this. */
#ifndef SRQ_TUI_SRQTOP_FEED_VALUE_H
#define SRQ_TUI_SRQTOP_FEED_VALUE_H

#include "core/proto/members.h"
#include "tui/srqtop/model.h"

#include <cjson/cJSON.h>

struct metric feed_metric(const cJSON *o, const char *name);
/* Rounded towards 0; `other` where it is missing or not in [low, high]. */
int64_t feed_int(const cJSON *o, const char *name, int64_t low, int64_t high, int64_t other);
/* Place of a member in a list of words; `other` where it is missing or none of them. */
int feed_word(const cJSON *o, const char *name, const char *const *words, int other);

/* Gives a layer its scheme and who decided it; a proposal that asked for just that is fulfilled. */
void feed_scheme(struct top_layer *l, const char *scheme, const char *source);
/* Events of a diffusion model: sample.pictures, sample.result, and the parts of the loss in transform.point. */
void feed_sample_pictures(struct top_job *j, const cJSON *e);
void feed_sample_result(struct top_job *j, const cJSON *e);
void feed_loss_parts(struct top_job *j, const cJSON *e);
void feed_candidates(struct top_job *j, const cJSON *names);

#endif
