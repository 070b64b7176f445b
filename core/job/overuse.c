/* What a job uses held against what was planned for it: srqd counts the larger of both, people are told where it went
 * over. */
#include "core/job/run.h"

#include "core/base/digits.h"

void srq_run_tell_memory(struct srq_run *run)
{
    cJSON *data = cJSON_CreateObject();

    if (data != NULL) {
        cJSON_AddStringToObject(data, "stage", srq_stage_words[run->events.stage]);
        cJSON_AddNumberToObject(data, "planned_bytes", (double)run->resolved.footprint.planned_bytes);
        cJSON_AddNumberToObject(data, "used_bytes", (double)srq_usage_most(run->usage));
    }
    srq_event_send(&run->events, "job.memory", data, false);
}

void srq_run_watch_memory(struct srq_run *run)
{
    uint64_t used = srq_usage_most(run->usage);
    char have[32], want[32];

    if (used <= run->told_bytes + run->told_bytes / 8 ||
        srq_needs_over(run->resolved.footprint.planned_bytes, used) == 0)
        return;
    run->told_bytes = used;
    run->over_stage = srq_stage_words[run->events.stage];
    srq_run_tell_memory(run);
    srq_event_log(&run->events, SRQ_LOG_WARN, "stage %s uses %s of memory where %s were planned",
                  srq_stage_words[run->events.stage], srq_bytes_text((double)used, have, sizeof(have)),
                  srq_bytes_text((double)run->resolved.footprint.planned_bytes, want, sizeof(want)));
}
