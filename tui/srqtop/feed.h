/* Replies and events become what srqtop knows. Values of the wrong kind or out of all bounds are left out, never
 * believed: the daemon checks them too, but a viewer must not fall over. */
#ifndef SRQ_TUI_SRQTOP_FEED_H
#define SRQ_TUI_SRQTOP_FEED_H

#include "tui/srqtop/model.h"

#include <cjson/cJSON.h>

void top_feed_hello(struct top_model *m, const cJSON *reply);
/* Joined pages of job.list. What is known of opened jobs stays. */
void top_feed_list(struct top_model *m, const cJSON *reply);
/* Reply of job.get: one job more, or news of one. Returns it; NULL when the reply names none. */
struct top_job *top_feed_job(struct top_model *m, const cJSON *reply);
/* Joined pages of job.plan. Edits, tags and curves of layers that are still there stay. */
void top_feed_plan(struct top_model *m, struct top_job *j, const cJSON *reply);
void top_feed_event(struct top_model *m, const char *event, const cJSON *params);

/* From a reply of daemon.info. */
void top_feed_info(struct top_model *m, const cJSON *reply);
/* What a reply of job.get says of the job beyond the list: how scores are added up. */
void top_feed_spec(struct top_job *j, const cJSON *reply);

#endif
