/* One run of srqctl. */
#include "tui/srqctl/run.h"

#include "tui/srqctl/cmds.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct ctl_verb *ctl_find_verb(int count, const char *const *words, int *used)
{
    const struct ctl_verb *found = NULL;

    const char *first = words[0];

    for (const struct ctl_alias *a = ctl_aliases; a->alias != NULL; a++)
        if (strcmp(a->alias, first) == 0)
            first = a->verb;
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        const char *gap = strchr(v->name, ' ');

        if (gap == NULL && strcmp(v->name, first) == 0) {
            found = v;
            *used = 1;
        } else if (gap != NULL && count > 1 && strlen(first) == (size_t)(gap - v->name) &&
                   strncmp(v->name, first, (size_t)(gap - v->name)) == 0 && strcmp(gap + 1, words[1]) == 0) {
            *used = 2;
            return v;
        }
    }
    return found;
}

const char *ctl_alias_of(const struct ctl_verb *v)
{
    for (const struct ctl_alias *a = ctl_aliases; a->alias != NULL; a++)
        if (strcmp(a->verb, v->name) == 0)
            return a->alias;
    return NULL;
}

static void take_common(struct ctl *ctl, const struct ctl_args *a)
{
    ctl->json = ctl->json || ctl_given(a, "json");
    ctl->user_only = ctl->user_only || ctl_given(a, "user");
    if (ctl_value(a, "socket") != NULL)
        ctl->socket = ctl_value(a, "socket");
}

/* An error of the command line is JSON already when --json stands anywhere on it. */
static bool wants_json(int count, const char *const *words)
{
    for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], "--json") == 0)
            return true;
    return false;
}

static int run_verb(struct ctl *ctl, int count, const char *const *words)
{
    struct srq_error err = { 0 };
    const struct ctl_verb *v;
    int used = 0, rc;

    v = ctl_find_verb(count, words, &used);
    if (v == NULL)
        return ctl_unknown_verb(ctl, words[0]);
    rc = ctl_parse(v, count - used, words + used, &ctl->args, &err);
    if (rc != 0) {
        rc = ctl_complain(ctl, CTL_USAGE, &err);
    } else {
        take_common(ctl, &ctl->args);
        rc = ctl_given(&ctl->args, "help")      ? ctl_print_help(v)
             : ctl_given(&ctl->args, "version") ? ctl_cmd_version(ctl)
                                                : v->run(ctl);
    }
    ctl_args_fini(&ctl->args);
    return rc;
}

int ctl_main(int argc, char **argv)
{
    const char *const *words = (const char *const *)argv + 1;
    struct ctl ctl = { 0 };
    struct ctl_args before;
    struct srq_error err = { 0 };
    int rc;

    setlocale(LC_CTYPE, ""); /* numbers stay as JSON and options write them */
    signal(SIGPIPE, SIG_IGN);
    ctl.tty = isatty(STDOUT_FILENO) != 0;
    ctl.json = wants_json(argc - 1, words);
    rc = ctl_parse_common(argc - 1, words, &before, &err);
    if (rc != 0) {
        rc = ctl_complain(&ctl, CTL_USAGE, &err);
    } else {
        take_common(&ctl, &before);
        if (ctl_given(&before, "version") && !ctl_given(&before, "help")) {
            rc = ctl_cmd_version(&ctl);
        } else if (before.positional_count > 0) {
            rc = run_verb(&ctl, before.positional_count, before.positional);
        } else {
            rc = ctl_print_help(NULL);
            rc = ctl_given(&before, "help") ? rc : CTL_USAGE;
        }
    }
    ctl_args_fini(&before);
    srq_client_close(ctl.client);
    return rc;
}
