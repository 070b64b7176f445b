/* The completion script for fish. */
#include "tui/srqctl/completion.h"

#include "tui/srqctl/verb.h"

#include <string.h>

static const char head[] =
    "# fish completion of srqctl, written by: srqctl completion fish\n"
    "# Words that srqctl knows: jobs, plugins, keys of --set, layers of a job.\n"
    "function __srqctl_known\n"
    "    srqctl completion $argv 2>/dev/null\n"
    "end\n"
    "function __srqctl_layers\n"
    "    set -l plain (string match -v -- '-*' (commandline -opc))\n"
    "    test (count $plain) -ge 3; and __srqctl_known layers $plain[3]\n"
    "end\n"
    "function __srqctl_job_layers\n"
    "    test (count (string match -v -- '-*' (commandline -opc))) -ge 3; and __srqctl_layers; or __srqctl_known jobs\n"
    "end\n"
    "function __srqctl_keys\n"
    "    __srqctl_known keys | string replace -r '$' =\n"
    "end\n"
    "# The words that are no options, without srqctl, are exactly the given ones, or begin with them (with -b).\n"
    "function __srqctl_at\n"
    "    set -l begin 0\n"
    "    if test \"$argv[1]\" = -b\n"
    "        set begin 1\n"
    "        set -e argv[1]\n"
    "    end\n"
    "    set -l words (commandline -opc)\n"
    "    set -e words[1]\n"
    "    set -l plain\n"
    "    for w in $words\n"
    "        string match -q -- '-*' $w; or set -a plain $w\n"
    "    end\n"
    "    set -l n (count $argv)\n"
    "    test (count $plain) -ge $n; or return 1\n"
    "    test $begin = 1 -o (count $plain) -eq $n; or return 1\n"
    "    for i in (seq $n)\n"
    "        test \"$plain[$i]\" = \"$argv[$i]\"; or return 1\n"
    "    end\n"
    "end\n"
    "complete -c srqctl -f\n";

static void put_text(struct srq_buf *b, const char *text)
{
    srq_buf_puts(b, "'");
    for (; *text != '\0'; text++)
        srq_buf_printf(b, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    srq_buf_puts(b, "'");
}

static void put_values(struct srq_buf *b, enum ctl_complete c, const char *words)
{
    switch (c) {
    case CTL_C_FILE:
        srq_buf_puts(b, " -F");
        break;
    case CTL_C_DIR:
        srq_buf_puts(b, " -a '(__fish_complete_directories)'");
        break;
    case CTL_C_JOB:
    case CTL_C_JOBS:
        srq_buf_puts(b, " -a '(__srqctl_known jobs)'");
        break;
    case CTL_C_JOB_LAYERS:
        srq_buf_puts(b, " -a '(__srqctl_job_layers)'");
        break;
    case CTL_C_LAYER:
        srq_buf_puts(b, " -a '(__srqctl_layers)'");
        break;
    case CTL_C_SET:
        srq_buf_puts(b, " -a '(__srqctl_keys)'");
        break;
    case CTL_C_PLUGIN:
        srq_buf_puts(b, " -a '(__srqctl_known plugins)'");
        break;
    case CTL_C_VERB:
        srq_buf_puts(b, " -a '");
        ctl_verb_words(b, NULL);
        srq_buf_puts(b, "'");
        break;
    case CTL_C_WORDS:
    case CTL_C_CHOICE:
        srq_buf_printf(b, " -a '%s'", words);
        break;
    case CTL_C_NONE:
        break;
    }
}

static void put_option(struct srq_buf *b, const char *verb, const struct ctl_option *o)
{
    srq_buf_puts(b, "complete -c srqctl");
    if (verb != NULL)
        srq_buf_printf(b, " -n '__srqctl_at -b %s'", verb);
    srq_buf_printf(b, " -l %s", o->name);
    if (o->letter != 0)
        srq_buf_printf(b, " -s %c", o->letter);
    if (o->arg != NULL) {
        srq_buf_puts(b, " -r");
        put_values(b, o->complete, o->words);
    }
    srq_buf_puts(b, " -d ");
    put_text(b, o->help);
    srq_buf_puts(b, "\n");
}

/* What comes after a verb, or its alias. */
static void put_words_of(struct srq_buf *b, const struct ctl_verb *v, const char *name)
{
    for (const struct ctl_option *o = v->options; o != NULL && o->name != NULL; o++)
        put_option(b, name, o);
    if (v->complete == CTL_C_NONE)
        return;
    srq_buf_printf(b, "complete -c srqctl -n '__srqctl_at -b %s'", name);
    put_values(b, v->complete, v->words);
    srq_buf_puts(b, "\n");
}

void ctl_completion_fish(struct srq_buf *b)
{
    srq_buf_puts(b, head);
    for (const struct ctl_option *o = ctl_common_options; o->name != NULL; o++)
        put_option(b, NULL, o);
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        const char *gap = strchr(v->name, ' ');

        if (gap != NULL) {
            srq_buf_printf(b, "complete -c srqctl -n '__srqctl_at' -a %.*s\n", (int)(gap - v->name), v->name);
            srq_buf_printf(b, "complete -c srqctl -n '__srqctl_at %.*s' -a %s -d ", (int)(gap - v->name), v->name,
                           gap + 1);
        } else {
            srq_buf_printf(b, "complete -c srqctl -n '__srqctl_at' -a %s -d ", v->name);
        }
        put_text(b, v->help);
        srq_buf_puts(b, "\n");
        put_words_of(b, v, v->name);
        if (ctl_alias_of(v) != NULL) {
            srq_buf_printf(b, "complete -c srqctl -n '__srqctl_at' -a %s -d 'as %s'\n", ctl_alias_of(v), v->name);
            put_words_of(b, v, ctl_alias_of(v));
        }
    }
}
