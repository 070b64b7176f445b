/* Checkpoints within a share of the time. */
#include "core/job/pace.h"

#include "core/base/clock.h"

#include <math.h>

void srq_pace_init(struct srq_pace *p, struct srq_events *e, double asked_s)
{
    *p = (struct srq_pace){ .events = e, .asked_s = asked_s, .saved_at = srq_clock_s() };
}

bool srq_pace_due(struct srq_pace *p)
{
    double fair = p->cost_s * SRQ_PACE_COST;
    bool slow = p->asked_s > 0 && fair > p->asked_s;

    if (slow && !p->told) {
        p->told = true;
        srq_event_log(p->events, SRQ_LOG_INFO,
                      "a checkpoint takes %.2f s, so one is taken every %.0f s instead of every %.3g s", p->cost_s,
                      fair, p->asked_s);
    }
    return srq_clock_s() - p->saved_at >= (slow ? fair : p->asked_s);
}

void srq_pace_begin(struct srq_pace *p)
{
    p->began = srq_clock_s();
}

int srq_pace_end(struct srq_pace *p, int block, int64_t iter, size_t bytes, struct srq_error *err)
{
    cJSON *data = cJSON_CreateObject();

    p->saved_at = srq_clock_s();
    p->cost_s = p->saved_at - p->began;
    if (data != NULL) {
        srq_put_number(data, "block", block >= 0 ? block : (double)NAN);
        cJSON_AddNumberToObject(data, "iter", (double)iter);
        cJSON_AddNumberToObject(data, "bytes", (double)bytes);
        cJSON_AddNumberToObject(data, "elapsed_s", p->cost_s);
    }
    srq_event_send(p->events, "checkpoint", data, true);
    return srq_events_check(p->events, err);
}
