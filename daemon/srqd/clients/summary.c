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
    return put_text_or_null(o, "stage", j->stage[0] != '\0' ? j->stage : NULL) &&
           put_number_or_null(o, "done", j->done) && put_number_or_null(o, "total", j->total) &&
           put_text_or_null(o, "unit", j->unit[0] != '\0' ? j->unit : NULL) && put_number_or_null(o, "rate", j->rate) &&
           put_number_or_null(o, "eta_s", j->eta_s);
}

bool summary_put(cJSON *o, const struct job *j)
{
    return cJSON_AddStringToObject(o, "job", j->id) != NULL && put_text_or_null(o, "name", j->name) &&
           cJSON_AddStringToObject(o, "owner", j->owner) != NULL &&
           cJSON_AddNumberToObject(o, "uid", (double)j->uid) != NULL &&
           cJSON_AddStringToObject(o, "state", srq_job_state_words[j->state]) != NULL &&
           put_text_or_null(o, "reason", j->reason) && cJSON_AddNumberToObject(o, "priority", j->priority) != NULL &&
           put_number_or_null(o, "position", or_unknown(queue_position(j))) &&
           cJSON_AddStringToObject(o, "model", j->model) != NULL &&
           cJSON_AddStringToObject(o, "method", j->method) != NULL &&
           cJSON_AddStringToObject(o, "scheme", j->scheme) != NULL &&
           cJSON_AddStringToObject(o, "output", j->output) != NULL &&
           cJSON_AddNumberToObject(o, "submitted", j->submitted) != NULL &&
           put_number_or_null(o, "started", or_unknown(j->started)) &&
           put_number_or_null(o, "ended", or_unknown(j->ended)) && put_progress(o, j) &&
           put_number_or_null(o, "before_bytes", j->before_bytes) &&
           put_number_or_null(o, "after_bytes", j->after_bytes) &&
           put_number_or_null(o, "average_bits", j->average_bits) &&
           put_number_or_null(o, "memory_bytes", or_unknown((double)j->memory_bytes)) &&
           put_number_or_null(o, "threads", or_unknown(j->threads)) &&
           put_number_or_null(o, "pid", or_unknown((double)j->pid)) &&
           cJSON_AddNumberToObject(o, "restarts", j->restarts) != NULL;
}

bool summary_put_counts(cJSON *o, const char *name, const struct srqd *d)
{
    cJSON *counts = cJSON_AddObjectToObject(o, name);
    int n[SRQ_JOB_STATES] = { 0 };
    const struct job *j;

    TAILQ_FOREACH(j, &d->jobs, entry) n[j->state]++;
    for (int i = 0; i < SRQ_JOB_STATES; i++) {
        if (cJSON_AddNumberToObject(counts, srq_job_state_words[i], n[i]) == NULL)
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
    if (with_size_and_threads && (!put_member(o, "size", planned) || !put_member(o, "threads", planned)))
        return false;
    return put_member(o, "memory", planned) && put_member(o, "disk", planned) && put_member(o, "estimate_s", planned);
}
