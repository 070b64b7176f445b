/* The completion script for zsh. */
#include "tui/srqctl/completion.h"

#include "tui/srqctl/verb.h"

#include <string.h>

static const char head[] = "#compdef srqctl\n"
                           "# zsh completion of srqctl, written by: srqctl completion zsh\n"
                           "# Words that srqctl knows: jobs, plugins, keys of --set, layers of a job.\n"
                           "_srqctl_known() {\n"
                           "    local -a known\n"
                           "    known=(${(f)\"$(srqctl completion $1 $2 2>/dev/null)\"})\n"
                           "    compadd ${argv[3,-1]} -a known\n"
                           "}\n"
                           "_srqctl_layers() { _srqctl_known layers ${job:-@last} }\n"
                           "_srqctl_keys() { _srqctl_known keys '' -S = }\n"
                           "_srqctl_jobs() { _srqctl_known jobs }\n"
                           "_srqctl_plugins() { _srqctl_known plugins }\n";

/* Text inside single quotes of an _arguments or _describe specification. */
static void put_text(struct srq_buf *b, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            srq_buf_puts(b, "'\\''");
        else if (strchr("[]:\\", *text) != NULL)
            srq_buf_printf(b, "\\%c", *text);
        else
            srq_buf_printf(b, "%c", *text);
    }
}

static void put_action(struct srq_buf *b, enum ctl_complete c, const char *words)
{
    switch (c) {
    case CTL_C_FILE:
        srq_buf_puts(b, "_files");
        break;
    case CTL_C_DIR:
        srq_buf_puts(b, "_files -/");
        break;
    case CTL_C_JOB:
    case CTL_C_JOBS:
    case CTL_C_JOB_LAYERS: /* the first; the others are said by put_verb */
        srq_buf_puts(b, "_srqctl_jobs");
        break;
    case CTL_C_LAYER:
        srq_buf_puts(b, "_srqctl_layers");
        break;
    case CTL_C_SET:
        srq_buf_puts(b, "_srqctl_keys");
        break;
    case CTL_C_PLUGIN:
        srq_buf_puts(b, "_srqctl_plugins");
        break;
    case CTL_C_VERB:
        srq_buf_puts(b, "(");
        ctl_verb_words(b, NULL);
        srq_buf_puts(b, ")");
        break;
    case CTL_C_WORDS:
    case CTL_C_CHOICE:
        srq_buf_printf(b, "(%s)", words);
        break;
    case CTL_C_NONE:
        srq_buf_puts(b, " ");
        break;
    }
}

static void put_option(struct srq_buf *b, const struct ctl_option *o)
{
    srq_buf_puts(b, " \\\n            ");
    if (o->letter != 0 && o->many)
        srq_buf_printf(b, "'*'{-%c,--%s}'[", o->letter, o->name);
    else if (o->letter != 0)
        srq_buf_printf(b, "'(-%c --%s)'{-%c,--%s}'[", o->letter, o->name, o->letter, o->name);
    else
        srq_buf_printf(b, "'%s--%s[", o->many ? "*" : "", o->name);
    put_text(b, o->help);
    srq_buf_puts(b, "]");
    if (o->arg != NULL) {
        srq_buf_puts(b, ":");
        put_text(b, o->arg);
        srq_buf_puts(b, ":");
        put_action(b, o->complete, o->words);
    }
    srq_buf_puts(b, "'");
}

static void put_verb(struct srq_buf *b, const struct ctl_verb *v)
{
    const char *alias = ctl_alias_of(v);

    srq_buf_printf(b, "    ('%s'%s%s)\n        _arguments -s -S", v->name, alias != NULL ? "|" : "",
                   alias != NULL ? alias : "");
    for (const struct ctl_option *o = v->options; o != NULL && o->name != NULL; o++)
        put_option(b, o);
    for (const struct ctl_option *o = ctl_common_options; o->name != NULL; o++)
        put_option(b, o);
    if (v->max_args > 0) {
        srq_buf_printf(b, " \\\n            '%s", v->max_args > 2 && v->complete != CTL_C_JOB_LAYERS ? "*:" : "1:");
        put_text(b, v->args);
        srq_buf_puts(b, ":");
        put_action(b, v->complete, v->words);
        srq_buf_puts(b, "'");
        if (v->complete == CTL_C_JOB_LAYERS)
            srq_buf_puts(b, " \\\n            '*:layer:_srqctl_layers'");
    }
    srq_buf_puts(b, "\n        ;;\n");
}

/* 'name:help' lines; second words of `first`, or all first words. */
static void put_choices(struct srq_buf *b, const char *first)
{
    const char *last = "";

    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        const char *gap = strchr(v->name, ' ');
        size_t n = strcspn(v->name, " ");

        if (first != NULL ? gap == NULL || strlen(first) != n || strncmp(first, v->name, n) != 0
                          : gap != NULL && strncmp(last, v->name, n + 1) == 0)
            continue;
        last = v->name;
        srq_buf_printf(b, " \\\n            '%.*s:", first != NULL ? (int)strlen(gap + 1) : (int)n,
                       first != NULL ? gap + 1 : v->name);
        if (first == NULL && gap != NULL)
            srq_buf_printf(b, "verbs about the %.*ss", (int)n, v->name);
        else
            put_text(b, v->help);
        srq_buf_puts(b, "'");
    }
    for (const struct ctl_alias *a = ctl_aliases; first == NULL && a->alias != NULL; a++)
        srq_buf_printf(b, " \\\n            '%s:as %s'", a->alias, a->verb);
}

void ctl_completion_zsh(struct srq_buf *b)
{
    static const char *const firsts[] = { "plugin", "daemon" };

    srq_buf_puts(b, head);
    srq_buf_puts(b, "_srqctl() {\n"
                    "    local verb job\n"
                    "    local -a choices\n"
                    "    if (( CURRENT == 2 )); then\n"
                    "        choices=(");
    put_choices(b, NULL);
    srq_buf_puts(b, "\n        )\n        _describe verb choices\n        return\n    fi\n");
    for (size_t i = 0; i < 2; i++) {
        srq_buf_printf(b, "    if [[ $words[2] == %s ]] && (( CURRENT == 3 )); then\n        choices=(", firsts[i]);
        put_choices(b, firsts[i]);
        srq_buf_puts(b, "\n        )\n        _describe verb choices\n        return\n    fi\n");
    }
    /* _arguments counts from the word after the verb. */
    srq_buf_puts(b, "    verb=$words[2]\n"
                    "    if [[ $verb == (plugin|daemon) ]]; then\n"
                    "        verb=\"$verb $words[3]\"\n"
                    "        shift words\n"
                    "        (( CURRENT-- ))\n"
                    "    fi\n"
                    "    shift words\n"
                    "    (( CURRENT-- ))\n"
                    "    (( CURRENT > 2 )) && job=$words[2]\n"
                    "    case $verb in\n");
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
        put_verb(b, v);
    srq_buf_puts(b, "    esac\n}\n"
                    "if [[ $funcstack[1] == _srqctl ]]; then\n"
                    "    _srqctl \"$@\"\n"
                    "else\n"
                    "    compdef _srqctl srqctl\n"
                    "fi\n");
}
