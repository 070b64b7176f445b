/* Jobs as replies show them. */
#include "daemon/srqd/clients/summary.h"

#include "daemon/srqd/clients/rpc.h"
#include "daemon/srqd/jobs/queue.h"

static double or_unknown(double v)
{
    return v > 0 ? v : -1;
}

static bool put_progress(cJSON *o, const struct job *j)
{
    return srq_put_text(o, "stage", j->stage[0] != '\0' ? j->stage : NULL) && put_number_or_null(o, "done", j->done) &&
           put_number_or_null(o, "total", j->total) && srq_put_text(o, "unit", j->unit[0] != '\0' ? j->unit : NULL) &&
           put_number_or_null(o, "rate", j->rate) && put_number_or_null(o, "eta_s", j->eta_s);
}

bool summary_put_wish(cJSON *o, const struct job *j)
{
    static const int wish[] = { [WISH_NONE] = -1,
                                [WISH_PAUSE] = SRQ_WISH_PAUSE,
                                [WISH_CANCEL] = SRQ_WISH_CANCEL,
                                [WISH_FINISH] = SRQ_WISH_FINISH,
                                [WISH_STOP] = -1 };

    return srq_put_text(o, "wish", wish[j->wish] >= 0 ? srq_wish_words[wish[j->wish]] : NULL);
}

bool summary_put(cJSON *o, const struct job *j)
{
    return srq_put_text(o, "job", j->id) && srq_put_text(o, "name", j->name) && srq_put_text(o, "owner", j->owner) &&
           srq_put_number(o, "uid", (double)j->uid) && srq_put_text(o, "state", srq_job_state_words[j->state]) &&
           srq_put_text(o, "reason", j->reason) && summary_put_wish(o, j) &&
           srq_put_number(o, "priority", j->priority) &&
           put_number_or_null(o, "position", or_unknown(queue_position(j))) && srq_put_text(o, "model", j->model) &&
           srq_put_text(o, "method", j->method) && srq_put_text(o, "scheme", j->scheme) &&
           srq_put_text(o, "output", j->output) && srq_put_number(o, "submitted", j->submitted) &&
           put_number_or_null(o, "started", or_unknown(j->started)) &&
           put_number_or_null(o, "ended", or_unknown(j->ended)) && put_progress(o, j) &&
           put_number_or_null(o, "before_bytes", j->before_bytes) &&
           put_number_or_null(o, "after_bytes", j->after_bytes) &&
           put_number_or_null(o, "average_bits", j->average_bits) &&
           put_number_or_null(o, "memory_bytes", or_unknown((double)j->memory_bytes)) &&
           (j->used_disk < 0 || srq_put_number(o, "disk_used_bytes", (double)j->used_disk)) &&
           put_number_or_null(o, "threads", or_unknown(j->threads)) &&
           put_number_or_null(o, "pid", or_unknown((double)j->pid)) && srq_put_number(o, "restarts", j->restarts);
}

bool summary_put_counts(cJSON *o, const char *name, const struct srqd *d)
{
    cJSON *counts = cJSON_AddObjectToObject(o, name);
    int n[SRQ_JOB_STATES] = { 0 };
    const struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry) n[j->state]++;
    for (int i = 0; i < SRQ_JOB_STATES; i++) {
        if (!srq_put_number(counts, srq_job_state_words[i], n[i]))
            return false;
    }
    return true;
}

bool summary_put_planned(cJSON *o, const cJSON *planned, bool with_size_and_threads)
{
    const cJSON *warnings = cJSON_GetObjectItemCaseSensitive(planned, "warnings");
    cJSON *copy = warnings != NULL ? cJSON_Duplicate(warnings, true) : cJSON_CreateArray();

    if (copy == NULL || !cJSON_AddItemToObject(o, "warnings", copy))
        return false;
    if (with_size_and_threads && (!srq_put_member(o, "size", planned) || !srq_put_member(o, "threads", planned)))
        return false;
    return srq_put_member(o, "memory", planned) && srq_put_member(o, "disk", planned) &&
           srq_put_member(o, "estimate_s", planned);
}
