/* What completion scripts ask for while Tab is pressed: names one a line. No daemon is started by it. */
#include "tui/srqctl/completion.h"

#include "core/base/log.h"
#include "tui/srqctl/worker_run.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char ctl_candidate_words[] = "jobs plugins keys layers";

static void add(cJSON *words, const char *text)
{
    if (text[0] != '\0')
        cJSON_AddItemToArray(words, cJSON_CreateString(text));
}

/* Shells take it as one word as it stands. */
static bool plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (strchr("._+,:@/-", *text) == NULL && !isalnum((unsigned char)*text))
            return false;
    return true;
}

/* Names and ids; a name that two jobs have is no way to say which. */
static int jobs(struct ctl *ctl, cJSON *words)
{
    cJSON *reply = NULL;
    const cJSON *job, *other;
    int rc = ctl_call_paged(ctl, "job.list", NULL, &reply);

    add(words, rc == CTL_OK ? "@last" : "");
    cJSON_ArrayForEach(job, ctl_get(reply, "jobs"))
    {
        int same = 0;

        cJSON_ArrayForEach(other, ctl_get(reply, "jobs")) same +=
            strcmp(ctl_str(job, "name"), ctl_str(other, "name")) == 0;
        add(words, ctl_str(job, "job"));
        if (same == 1 && plain(ctl_str(job, "name")))
            add(words, ctl_str(job, "name"));
    }
    cJSON_Delete(reply);
    return rc;
}

static int names(struct ctl *ctl, const char *method, cJSON *params, const char *list, cJSON *words)
{
    cJSON *reply = NULL;
    const cJSON *item;
    int rc = params != NULL ? ctl_call_paged(ctl, method, params, &reply) : ctl_call(ctl, method, NULL, &reply);

    cJSON_ArrayForEach(item, ctl_get(reply, list)) add(words, ctl_str(item, "name"));
    cJSON_Delete(reply);
    return rc;
}

/* Options of the job, then PLUGIN.OPTION; a worker describes both. */
static int keys(struct ctl *ctl, cJSON *words)
{
    static const char *const args[] = { "--describe", NULL };
    struct srq_error err = { 0 };
    const cJSON *plugin, *option;
    cJSON *reply = NULL;
    char key[200];

    if (ctl_worker_run(args, NULL, NULL, NULL, &reply, &err) != 0)
        return ctl_complain(ctl, CTL_REFUSED, &err);
    cJSON_ArrayForEach(option, ctl_get(reply, "job_options")) add(words, ctl_str(option, "name"));
    cJSON_ArrayForEach(plugin, ctl_get(reply, "plugins"))
    {
        cJSON_ArrayForEach(option, ctl_get(plugin, "options"))
        {
            snprintf(key, sizeof(key), "%.90s.%.90s", ctl_str(plugin, "name"), ctl_str(option, "name"));
            add(words, key);
        }
    }
    cJSON_Delete(reply);
    return CTL_OK;
}

static int gather(struct ctl *ctl, const char *what, const char *job, cJSON *words)
{
    int rc;

    if (strcmp(what, "keys") == 0)
        return keys(ctl, words);
    rc = ctl_connect(ctl, false);
    if (rc != CTL_OK)
        return rc;
    if (strcmp(what, "jobs") == 0)
        return jobs(ctl, words);
    if (strcmp(what, "plugins") == 0)
        return names(ctl, "plugin.list", NULL, "plugins", words);
    return names(ctl, "job.plan", ctl_job_params(job), "layers", words);
}

int ctl_print_candidates(struct ctl *ctl, const char *what, const char *job)
{
    cJSON *all = cJSON_CreateObject(), *words = cJSON_AddArrayToObject(all, "words");
    const cJSON *word;
    char text[2048];
    int rc = gather(ctl, what, job, words);

    if (rc == CTL_OK && ctl->json)
        return ctl_print_json(all);
    if (rc == CTL_OK) {
        cJSON_ArrayForEach(word, words) puts(srq_escape_control(word->valuestring, text, sizeof(text)));
        rc = ctl_flush(ctl);
    }
    cJSON_Delete(all);
    return rc;
}
