/* srqctl log: a job's messages, those that are there and, followed, those that come. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/follow.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LOOK_S 0.5 /* how often a worker's output is asked for */

const struct ctl_option ctl_log_options[] = {
    { "lines", 'n', "N", CTL_C_NONE, NULL, "only the last N", false },
    { "follow", 'f', NULL, CTL_C_NONE, NULL, "go on until the job ends", false },
    { "worker", 0, NULL, CTL_C_NONE, NULL, "what its worker printed, instead", false },
    { .name = NULL },
};

static void print_line(const cJSON *l)
{
    char date[CTL_HUMAN], text[8192];

    if (!isnan(ctl_num(l, "time")))
        printf("%s ", ctl_human_date(ctl_num(l, "time"), date));
    if (ctl_str(l, "level")[0] != '\0')
        printf("%-7s ", ctl_str(l, "level"));
    puts(srq_escape_control(ctl_str(l, "text"), text, sizeof(text)));
}

/* One line, followed: people see it as the others, programs as an object of its own. */
static void tell(struct ctl *ctl, const cJSON *line)
{
    if (ctl->json)
        ctl_print_json(cJSON_Duplicate(line, true));
    else
        print_line(line);
}

/* Lines from `offset` on, negative: the last ones; `limit` 0: all of them. */
static int get_lines(struct ctl *ctl, const char *id, double offset, double limit, cJSON **reply)
{
    cJSON *p = ctl_job_params(id);

    cJSON_AddStringToObject(p, "source", ctl_given(&ctl->args, "worker") ? "worker" : "events");
    if (offset != 0)
        cJSON_AddNumberToObject(p, "offset", offset);
    if (limit > 0)
        cJSON_AddNumberToObject(p, "limit", limit);
    return limit > 0 ? ctl_call(ctl, "job.log", p, reply) : ctl_call_paged(ctl, "job.log", p, reply);
}

/* Tells the lines of a reply that come after number `seq` of the journal, and moves it. */
static void tell_lines(struct ctl *ctl, const cJSON *reply, double *seq)
{
    const cJSON *l;

    cJSON_ArrayForEach(l, ctl_get(reply, "lines"))
    {
        double n = ctl_num(l, "seq");

        if (n <= *seq)
            continue;
        if (!isnan(n))
            *seq = n;
        tell(ctl, l);
    }
    fflush(stdout);
}

static void on_event(void *ctx, const char *event, const cJSON *params)
{
    if (strcmp(event, "log") == 0)
        tell(ctx, params);
    fflush(stdout);
}

/* What a worker prints is no event: it is asked for, line by line where the last answer ended. */
static int follow_worker(struct ctl *ctl, const char *id, double next)
{
    for (;;) {
        cJSON *job = NULL, *reply = NULL;
        double seq = 0;
        int rc = ctl_call(ctl, "job.get", ctl_job_params(id), &job);
        bool ended = rc == CTL_OK && srq_word_place(srq_job_state_words, ctl_str(job, "state")) >= SRQ_JOB_DONE;
        bool done = ended && strcmp(ctl_str(job, "state"), srq_job_state_words[SRQ_JOB_DONE]) == 0;

        cJSON_Delete(job);
        if (rc == CTL_OK)
            rc = get_lines(ctl, id, next, 0, &reply);
        if (rc != CTL_OK)
            return rc;
        next += cJSON_GetArraySize(ctl_get(reply, "lines"));
        tell_lines(ctl, reply, &seq);
        cJSON_Delete(reply);
        if (ended)
            return done ? CTL_OK : CTL_JOB_FAILED;
        if (ctl_follow_pause(LOOK_S))
            return CTL_INTERRUPTED;
    }
}

static int follow(struct ctl *ctl, const char *id, const cJSON *before)
{
    double seq = 0;
    cJSON *reply = NULL;
    int rc, code;

    ctl_catch_signals();
    tell_lines(ctl, before, &seq);
    if (ctl_given(&ctl->args, "worker"))
        return follow_worker(ctl, id, ctl_num(before, "total"));
    code = ctl_follow_log(ctl, id, &seq, on_event, ctl);
    if (code != CTL_OK && code != CTL_JOB_FAILED)
        return code;
    rc = get_lines(ctl, id, 0, 0, &reply); /* the last words of one that ends may be in no event any more */
    if (rc != CTL_OK)
        return rc;
    tell_lines(ctl, reply, &seq);
    cJSON_Delete(reply);
    return code;
}

int ctl_cmd_log(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    cJSON *job = NULL, *reply = NULL;
    double lines = 0;
    const cJSON *l;
    int rc;

    if (ctl_whole(&ctl->args, "lines", 1, 10000, &lines, &err) != 0)
        return ctl_complain(ctl, CTL_USAGE, &err);
    rc = ctl_connect(ctl, true);
    if (rc == CTL_OK) /* @last may be another one later */
        rc = ctl_call(ctl, "job.get", ctl_job_params(ctl->args.positional[0]), &job);
    if (rc == CTL_OK)
        rc = get_lines(ctl, ctl_str(job, "job"), -lines, lines, &reply);
    if (rc != CTL_OK) {
        cJSON_Delete(job);
        return rc;
    }
    if (ctl_given(&ctl->args, "follow")) {
        rc = follow(ctl, ctl_str(job, "job"), reply);
        cJSON_Delete(reply);
    } else if (ctl->json) {
        rc = ctl_print_json(reply);
    } else {
        cJSON_ArrayForEach(l, ctl_get(reply, "lines")) print_line(l);
        cJSON_Delete(reply);
        rc = ctl_flush(ctl);
    }
    cJSON_Delete(job);
    return rc;
}
