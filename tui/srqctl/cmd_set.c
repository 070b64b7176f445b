/* srqctl set: change options of a job while it runs. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "tui/srqctl/change.h"

#include <stdlib.h>
#include <string.h>

const struct ctl_option ctl_set_options[] = {
    CTL_CHANGE_GUARDS,
    { .name = NULL },
};

/* NAME=VALUE, or NAME=default for what was submitted. Which names there are the daemon says. */
static int take(const char *word, cJSON *options, struct srq_error *err)
{
    const char *eq = strchr(word, '=');
    char *name, *end;
    double value;
    bool ok;

    if (eq == NULL || eq == word || eq[1] == '\0')
        return srq_fail_field(err, SRQ_EINVAL, "options", "%s is not NAME=VALUE, e.g. lr=2e-5", word);
    value = strtod(eq + 1, &end);
    if (strcmp(eq + 1, "default") != 0 && *end != '\0')
        return srq_fail_field(err, SRQ_EINVAL, "options", "%s: %s is neither a number nor default", word, eq + 1);
    name = srq_strndup(word, (size_t)(eq - word));
    ok = name != NULL &&
         (*end != '\0' ? cJSON_AddNullToObject(options, name) : cJSON_AddNumberToObject(options, name, value)) != NULL;
    srq_free(name);
    return ok ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

int ctl_cmd_set(struct ctl *ctl)
{
    const struct ctl_args *a = &ctl->args;
    cJSON *p = ctl_job_params(a->positional[0]), *options = cJSON_AddObjectToObject(p, "options");
    struct srq_error err = { 0 };
    int rc = 0;

    for (int i = 1; rc == 0 && i < a->positional_count; i++)
        rc = take(a->positional[i], options, &err);
    if (rc == 0)
        return ctl_change(ctl, "job.set", p);
    cJSON_Delete(p);
    return ctl_complain(ctl, CTL_USAGE, &err);
}
