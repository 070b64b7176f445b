/* --help, written from the tables, and what is said to a verb that is in none. */
#include "tui/srqctl/verb.h"

#include "core/base/nearest.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 26
#define VERBS_MAX 64

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
        srq_buf_printf(b, ctl_alias_of(v) != NULL ? "  %-15s %s (also: %s)\n" : "  %-15s %s\n", v->name, v->help,
                       ctl_alias_of(v));
    }
    srq_buf_puts(b, "\n"
                    "Every verb has --json, --user, --socket PATH and --help. A job is named by the beginning of its\n"
                    "id, its name, or @last. srqctl --version says which srqctl this is. Exit codes: 0 ok, 1 refused,\n"
                    "2 usage, 3 no daemon, 4 no such job, 5 permission, 6 timeout, 7 job failed.\n");
}

void ctl_help_verb(const struct ctl_verb *v, struct srq_buf *b)
{
    srq_buf_printf(b, "usage: srqctl %s%s%s%s\n", v->name, v->args[0] != '\0' ? " " : "", v->args,
                   v->options != NULL ? " [OPTIONS]" : "");
    srq_buf_printf(b, ctl_alias_of(v) != NULL ? "%s. Also: srqctl %s.\n" : "%s.\n", v->help, ctl_alias_of(v));
    if (v->more != NULL)
        srq_buf_printf(b, "%s\n", v->more);
    srq_buf_puts(b, "\n");
    for (const struct ctl_option *o = v->options; o != NULL && o->name != NULL; o++)
        put_option(b, o);
    for (const struct ctl_option *o = ctl_common_options; o->name != NULL; o++)
        if (strcmp(o->name, "version") != 0) /* nobody asks a verb for it */
            put_option(b, o);
    srq_buf_puts(b, "\nExamples:\n");
    for (size_t i = 0; i < 2; i++)
        if (v->examples[i] != NULL)
            srq_buf_printf(b, "  %s\n", v->examples[i]);
}

int ctl_print_help(const struct ctl_verb *v)
{
    struct srq_buf b;

    srq_buf_init(&b, 1 << 16);
    if (v != NULL)
        ctl_help_verb(v, &b);
    else
        ctl_help_overview(&b);
    return ctl_print_text(&b);
}

/* "plugin" alone, or "plugin lst": names what there is. */
static bool half_verb(const char *word, char *list, size_t cap)
{
    size_t n = strlen(word), len = 0;

    list[0] = '\0';
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
        if (strncmp(v->name, word, n) == 0 && v->name[n] == ' ' && len < cap) {
            int more = snprintf(list + len, cap - len, "%s%s", len > 0 ? ", " : "", v->name);

            len += more > 0 ? (size_t)more : 0;
        }
    return list[0] != '\0';
}

const char *ctl_nearest_verb(const char *word)
{
    const char *names[VERBS_MAX] = { NULL };
    size_t n = 0;

    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL && n < VERBS_MAX; v++)
        names[n++] = v->name;
    for (const struct ctl_alias *a = ctl_aliases; a->alias != NULL && n < VERBS_MAX; a++)
        names[n++] = a->alias;
    return srq_nearest_word(word, names, n);
}

int ctl_unknown_verb(const struct ctl *ctl, const char *word)
{
    struct srq_error err = { 0 };
    const char *near = ctl_nearest_verb(word);
    char list[256];

    if (half_verb(word, list, sizeof(list)))
        srq_fail_field(&err, SRQ_EINVAL, "verb", "%s is one of: %s", word, list);
    else if (near != NULL)
        srq_fail_field(&err, SRQ_EINVAL, "verb", "unknown verb \"%s\"; did you mean %s?", word, near);
    else
        srq_fail_field(&err, SRQ_EINVAL, "verb", "unknown verb \"%s\"; srqctl --help lists them", word);
    return ctl_complain(ctl, CTL_USAGE, &err);
}
