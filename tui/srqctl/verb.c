/* What a verb makes of the words behind it. */
#include "tui/srqctl/verb.h"

#include "core/base/alloc.h"

const struct ctl_option ctl_common_options[] = {
    { .name = "json", .help = "print JSON" },
    { .name = "user", .help = "use your own daemon, not the system service" },
    { .name = "socket", .arg = "PATH", .complete = CTL_C_FILE, .help = "the daemon's socket (default: $SRQ_SOCKET)" },
    { .name = "help", .letter = 'h', .help = "show this help" },
    { .name = "version", .letter = 'V', .help = "show the version" },
    { .name = NULL },
};

static int check_count(const struct ctl_verb *verb, const struct ctl_args *a, struct srq_error *err)
{
    if (a->positional_count < verb->min_args)
        return srq_fail_field(err, -SRQ_EINVAL, verb->args, "%s needs %s; usage: srqctl %s %s", verb->name, verb->args,
                              verb->name, verb->args);
    if (a->positional_count > verb->max_args)
        return srq_fail_field(err, -SRQ_EINVAL, a->positional[verb->max_args],
                              "%s does not expect \"%s\"; usage: srqctl %s%s%s", verb->name,
                              a->positional[verb->max_args], verb->name, verb->args[0] != '\0' ? " " : "", verb->args);
    return 0;
}

int ctl_parse(const struct ctl_verb *verb, int count, const char *const *words, struct ctl_args *out,
              struct srq_error *err)
{
    char help[100];
    const struct ctl_grammar g = { { verb->options, ctl_common_options }, help, false };
    int rc;

    snprintf(help, sizeof(help), "srqctl %s --help", verb->name);
    rc = ctl_args_read(&g, count, words, out, err);
    return rc == 0 && !ctl_given(out, "help") && !ctl_given(out, "version") ? check_count(verb, out, err) : rc;
}

int ctl_names(const struct ctl_args *a, const char *option, cJSON **list, struct srq_error *err)
{
    struct ctl_names n = { 0 };
    const char *text;
    size_t len;
    int rc;

    *list = NULL;
    while ((rc = ctl_next_name(a, option, &n, &text, &len, err)) > 0) {
        char *name = srq_strndup(text, len);

        if (*list == NULL)
            *list = cJSON_CreateArray();
        if (name == NULL || !cJSON_AddItemToArray(*list, cJSON_CreateString(name)))
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
        srq_free(name);
        if (rc < 0)
            break;
    }
    if (rc < 0) {
        cJSON_Delete(*list);
        *list = NULL;
    }
    return rc;
}

int ctl_parse_common(int count, const char *const *words, struct ctl_args *out, struct srq_error *err)
{
    const struct ctl_grammar g = { { ctl_common_options, NULL }, "srqctl --help", true };

    return ctl_args_read(&g, count, words, out, err);
}
