/* Events on their way to subscribers. */
#ifndef SRQD_EVENTS_H
#define SRQD_EVENTS_H

#include "core/proto/proto.h"
#include "daemon/srqd/clients/client.h"

/* As struct job_watcher wants them; `all` is the struct clients.
 * Tells everybody concerned the job's present state. */
void events_announce_state(void *all, struct job *j);
/* Sends an event of `j` to everybody who subscribed and may see it. `params` stays the caller's. */
void events_publish(void *all, struct job *j, const char *event, const cJSON *params);
/* Tells one client the job's present state, as a job.state event. */
void events_tell_state(struct client *c, const struct job *j);
/* Ends subscriptions of one job, which is about to go. */
void events_forget_job(void *all, const struct job *j);

/* Subscriptions of a client. `names` NULL: all events. `since` < 0: no replay. */
int events_subscribe(struct client *c, struct job *j, const cJSON *names, int64_t since, char id[32],
                     struct srq_error *err);
int events_unsubscribe(struct client *c, const char *id, struct srq_error *err);
void events_drop_client(struct client *c);
/* The client's output ran low: sends samples held back and goes on with replays. */
void events_drained(struct client *c);
/* Takes a step of the client's replays. False: there is none to take now. */
bool events_replay(struct client *c);

#endif
