/* --help, written from the tables. */
#include "tui/srqctl/verb.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 26

static void put_option(struct srq_buf *b, const struct ctl_option *o)
{
    char left[96];

    snprintf(left, sizeof(left), "  %s%c%s--%s%s%s%s", o->letter != 0 ? "-" : "", o->letter != 0 ? o->letter : ' ',
             o->letter != 0 ? ", " : "   ", o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "",
             o->many ? " ..." : "");
    if (strlen(left) >= HELP_COLUMN + 4)
        srq_buf_printf(b, "%s\n%*s", left, HELP_COLUMN + 5, "");
    else
        srq_buf_printf(b, "%-*s ", HELP_COLUMN + 4, left);
    srq_buf_printf(b, "%s\n", o->help);
}

void ctl_help_overview(struct srq_buf *b)
{
    const char *group = NULL;

    srq_buf_puts(b, "usage: srqctl VERB [ARGUMENTS]   (srqctl VERB --help says more)\n");
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        if (group == NULL || strcmp(group, v->group) != 0)
            srq_buf_printf(b, "\n%s\n", v->group);
        group = v->group;
        srq_buf_printf(b, "  %-15s %s\n", v->name, v->help);
    }
    srq_buf_puts(b, "\nEvery verb has --json, --user, --socket PATH and --help. A job is named by the beginning of its\n"
                    "id, or @last. Exit codes: 0 ok, 1 refused, 2 usage, 3 no daemon, 4 no such job, 5 permission,\n"
                    "6 timeout, 7 job failed.\n");
}

void ctl_help_verb(const struct ctl_verb *v, struct srq_buf *b)
{
    srq_buf_printf(b, "usage: srqctl %s%s%s%s\n", v->name, v->args[0] != '\0' ? " " : "", v->args,
                   v->options != NULL ? " [OPTIONS]" : "");
    srq_buf_printf(b, "%s.\n", v->help);
    if (v->more != NULL)
        srq_buf_printf(b, "%s\n", v->more);
    srq_buf_puts(b, "\n");
    for (const struct ctl_option *o = v->options; o != NULL && o->name != NULL; o++)
        put_option(b, o);
    for (const struct ctl_option *o = ctl_common_options; o->name != NULL; o++)
        put_option(b, o);
    srq_buf_puts(b, "\nExamples:\n");
    for (size_t i = 0; i < 2; i++)
        if (v->examples[i] != NULL)
            srq_buf_printf(b, "  %s\n", v->examples[i]);
}
