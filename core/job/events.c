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
    e->place = -1;
    e->pace = 1;
    for (int i = 0; i < SRQ_WAY_LENGTH; i++)
        e->expected[i] = NAN;
}

void srq_event_expect(struct srq_events *e, const double expected[SRQ_WAY_LENGTH])
{
    memcpy(e->expected, expected, sizeof(e->expected));
}

/* ---- the time left ----------------------------------------------------------------------------------------------- */

#define PACE_MOST 20.0
#define SHARE_LEAST 0.02 /* of a part, from which on its pace is believed */

static const enum srq_stage way[SRQ_WAY_LENGTH] = {
    [SRQ_WAY_LOAD] = SRQ_STAGE_LOAD,           [SRQ_WAY_CALIBRATE] = SRQ_STAGE_CALIBRATE,
    [SRQ_WAY_SCORE] = SRQ_STAGE_SCORE,         [SRQ_WAY_ALLOCATE] = SRQ_STAGE_ALLOCATE,
    [SRQ_WAY_ORIGINAL] = SRQ_STAGE_EVALUATE,   [SRQ_WAY_ROUNDED] = SRQ_STAGE_EVALUATE,
    [SRQ_WAY_TRANSFORM] = SRQ_STAGE_TRANSFORM, [SRQ_WAY_QUANTIZE] = SRQ_STAGE_QUANTIZE,
    [SRQ_WAY_REFINE] = SRQ_STAGE_REFINE,       [SRQ_WAY_RESULT] = SRQ_STAGE_EVALUATE,
    [SRQ_WAY_EXPORT] = SRQ_STAGE_EXPORT,
};

/* The next place of that stage, or, where the job went back, its first. */
static int place_of(enum srq_stage stage, int after)
{
    for (int i = after + 1; i < SRQ_WAY_LENGTH; i++)
        if (way[i] == stage)
            return i;
    for (int i = 0; i < SRQ_WAY_LENGTH; i++)
        if (way[i] == stage)
            return i;
    return SRQ_WAY_LENGTH - 1;
}

/* The rest of this part, and all that follow at the pace that this one has. */
static double left(struct srq_events *e, double share, double elapsed, double eta)
{
    double expected = e->expected[e->place], rest = 0;

    if (share >= SHARE_LEAST && expected > 0 && way[e->place] != SRQ_STAGE_LOAD && way[e->place] != SRQ_STAGE_EXPORT)
        e->pace = fmin(fmax(elapsed / share / expected, 1 / PACE_MOST), PACE_MOST);
    for (int i = e->place + 1; i < SRQ_WAY_LENGTH; i++)
        rest += e->expected[i];
    if (!isfinite(eta))
        eta = expected * e->pace * (1 - share);
    return eta + rest * e->pace;
}

int srq_events_check(const struct srq_events *e, struct srq_error *err)
{
    if (e->first.code == 0)
        return 0;
    if (err != NULL)
        *err = e->first;
    return -e->first.code;
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

void srq_event_state(struct srq_events *e, enum srq_job_state state, const char *reason)
{
    cJSON *data = cJSON_CreateObject();

    if (data != NULL) {
        cJSON_AddStringToObject(data, "state", srq_job_state_words[state]);
        srq_put_text(data, "reason", reason);
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
    double elapsed = srq_clock_s() - e->stage_start, rate = NAN, eta;
    double share = total > e->base_done ? (done - e->base_done) / (total - e->base_done) : 0;
    cJSON *data = cJSON_CreateObject();

    if (elapsed > 0.05 && done > e->base_done)
        rate = (done - e->base_done) / elapsed;
    eta = total > 0 ? (total - done) / rate : NAN;
    if (data != NULL) {
        cJSON_AddStringToObject(data, "stage", srq_stage_words[e->stage]);
        cJSON_AddNumberToObject(data, "done", done);
        srq_put_number(data, "total", total > 0 ? total : NAN);
        cJSON_AddStringToObject(data, "unit", unit);
        cJSON_AddNumberToObject(data, "elapsed_s", elapsed);
        srq_put_number(data, "rate", rate);
        srq_put_number(data, "eta_s", eta);
        srq_put_number(data, "left_s", left(e, share, elapsed, eta));
        if (detail != NULL)
            cJSON_AddStringToObject(data, "detail", detail);
    }
    srq_event_send(e, "stage.progress", data, false);
    e->last_sent = srq_clock_s();
}

void srq_event_stage(struct srq_events *e, enum srq_stage stage, double done, double total, const char *unit)
{
    double now = srq_clock_s();

    if (e->since > 0)
        e->spent[e->stage] += now - e->since;
    e->since = now;
    e->stage = stage;
    e->place = place_of(stage, e->place);
    e->stage_start = now;
    e->base_done = done;
    atomic_store(&e->flags->stage, (unsigned)stage);
    send_progress(e, done, total, unit, NULL);
}

double srq_events_spent(const struct srq_events *e, enum srq_stage stage)
{
    return e->spent[stage] + (e->since > 0 && e->stage == stage ? srq_clock_s() - e->since : 0);
}

void srq_event_progress(struct srq_events *e, double done, double total, const char *unit, const char *detail)
{
    double now = srq_clock_s(), gap = (now - e->stage_start) / 200;

    gap = gap < 0.25 ? 0.25 : gap > 5 ? 5 : gap;
    if (now - e->last_sent >= gap || (total > 0 && done >= total))
        send_progress(e, done, total, unit, detail);
}
