/* Events of a job into its journal. */
#include "core/job/events.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <math.h>

void srq_events_init(struct srq_events *e, struct srq_journal *j, struct srq_job_flags *flags)
{
    memset(e, 0, sizeof(*e));
    e->journal = j;
    e->flags = flags;
}

int srq_events_check(const struct srq_events *e, struct srq_error *err)
{
    if (e->first.code == 0)
        return 0;
    if (err != NULL)
        *err = e->first;
    return -e->first.code;
}

bool srq_json_number(cJSON *object, const char *key, double value)
{
    return cJSON_AddItemToObject(object, key, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

bool srq_json_text_or_null(cJSON *object, const char *key, const char *text)
{
    return cJSON_AddItemToObject(object, key, text != NULL ? cJSON_CreateString(text) : cJSON_CreateNull());
}

void srq_event_send(struct srq_events *e, const char *event, cJSON *data, bool sync)
{
    struct srq_error err = { 0 };

    if (data == NULL)
        srq_fail(&err, -SRQ_ENOMEM, "out of memory writing event %s", event);
    else
        srq_journal_append(e->journal, event, data, sync, &err);
    if (err.code != 0 && e->first.code == 0)
        e->first = err;
}

void srq_event_state(struct srq_events *e, const char *state, const char *reason)
{
    cJSON *data = cJSON_CreateObject();

    if (data != NULL) {
        cJSON_AddStringToObject(data, "state", state);
        srq_json_text_or_null(data, "reason", reason);
    }
    srq_event_send(e, "job.state", data, true);
}

void srq_event_log(struct srq_events *e, enum srq_log_level level, const char *fmt, ...)
{
    char text[1200];
    cJSON *data = cJSON_CreateObject();
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (data != NULL) {
        cJSON_AddStringToObject(data, "level", srq_log_level_name(level));
        cJSON_AddStringToObject(data, "text", text);
    }
    srq_event_send(e, "log", data, false);
}

static void send_progress(struct srq_events *e, double done, double total, const char *unit, const char *detail)
{
    double elapsed = srq_clock_s() - e->stage_start, rate = NAN;
    cJSON *data = cJSON_CreateObject();

    if (elapsed > 0.05 && done > e->base_done)
        rate = (done - e->base_done) / elapsed;
    if (data != NULL) {
        cJSON_AddStringToObject(data, "stage", srq_stage_name(e->stage));
        cJSON_AddNumberToObject(data, "done", done);
        srq_json_number(data, "total", total > 0 ? total : NAN);
        cJSON_AddStringToObject(data, "unit", unit);
        cJSON_AddNumberToObject(data, "elapsed_s", elapsed);
        srq_json_number(data, "rate", rate);
        srq_json_number(data, "eta_s", total > 0 ? (total - done) / rate : NAN);
        if (detail != NULL)
            cJSON_AddStringToObject(data, "detail", detail);
    }
    srq_event_send(e, "stage.progress", data, false);
    e->last_sent = srq_clock_s();
}

void srq_event_stage(struct srq_events *e, enum srq_stage stage, double done, double total, const char *unit)
{
    e->stage = stage;
    e->stage_start = srq_clock_s();
    e->base_done = done;
    atomic_store(&e->flags->stage, (unsigned)stage);
    send_progress(e, done, total, unit, NULL);
}

void srq_event_progress(struct srq_events *e, double done, double total, const char *unit, const char *detail)
{
    double now = srq_clock_s(), gap = (now - e->stage_start) / 200;

    gap = gap < 0.25 ? 0.25 : gap > 5 ? 5 : gap;
    if (now - e->last_sent >= gap || (total > 0 && done >= total))
        send_progress(e, done, total, unit, detail);
}
