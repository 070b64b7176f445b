/* The daemon, as verbs use it: connect, call, complain; and the members of what it answers. */
#include "tui/srqctl/verb.h"

#include "core/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CALL_WAIT_S 300.0 /* planning a model on a slow file system takes a while */

volatile sig_atomic_t ctl_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    ctl_interrupted = 1;
}

void ctl_catch_signals(void)
{
    /* The second Ctrl-C ends us in any case. */
    struct sigaction sa = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };

    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
}

int ctl_connect(struct ctl *ctl, bool start)
{
    struct srq_client_options o = {
        .socket = ctl->socket,
        .user_only = ctl->user_only,
        .start = start,
        .name = "srqctl " PACKAGE_VERSION,
        .interrupted = &ctl_interrupted,
    };
    struct srq_error err = { 0 };
    int rc;

    if (ctl->client != NULL)
        return CTL_OK;
    rc = srq_client_open(&o, &ctl->client, &err);
    if (rc == 0)
        return CTL_OK;
    if (ctl_interrupted)
        return CTL_INTERRUPTED;
    return ctl_complain(ctl, rc == -SRQ_EPERM ? CTL_DENIED : CTL_NO_DAEMON, &err);
}

static int call(struct ctl *ctl, bool paged, const char *method, cJSON *params, cJSON **result)
{
    struct srq_error err = { 0 };
    int rc = paged ? srq_client_call_paged(ctl->client, method, params, CALL_WAIT_S, result, &err)
                   : srq_client_call(ctl->client, method, params, CALL_WAIT_S, result, &err);

    if (rc == 0)
        return CTL_OK;
    if (rc == -SRQ_ECANCELED && ctl_interrupted)
        return CTL_INTERRUPTED;
    return ctl_complain(ctl, srq_client_lost(ctl->client) ? CTL_NO_DAEMON : ctl_exit_of(&err), &err);
}

int ctl_call(struct ctl *ctl, const char *method, cJSON *params, cJSON **result)
{
    return call(ctl, false, method, params, result);
}

int ctl_call_paged(struct ctl *ctl, const char *method, cJSON *params, cJSON **result)
{
    return call(ctl, true, method, params, result);
}

cJSON *ctl_job_params(const char *id)
{
    cJSON *p = cJSON_CreateObject();

    cJSON_AddStringToObject(p, "job", id);
    return p;
}

const cJSON *ctl_get(const cJSON *object, const char *path)
{
    char name[64];

    while (object != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");

        snprintf(name, sizeof(name), "%.*s", (int)n, path);
        object = cJSON_GetObjectItemCaseSensitive(object, name);
        path += n + (path[n] == '.');
    }
    return object;
}

const char *ctl_str(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(ctl_get(object, name));

    return text != NULL ? text : "";
}

double ctl_num(const cJSON *object, const char *name)
{
    const cJSON *v = ctl_get(object, name);

    return cJSON_IsNumber(v) ? v->valuedouble : (double)NAN;
}
