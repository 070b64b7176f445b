/* The completion script for fish. */
#include "tui/srqctl/completion.h"

#include "tui/srqctl/verb.h"

#include <string.h>

static const char head[] =
    "# fish completion of srqctl, written by: srqctl completion fish\n"
    "function __srqctl_jobs\n"
    "    srqctl daemon info >/dev/null 2>&1; or return\n"
    "    echo @last\n"
    "    srqctl list 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
    "end\n"
    "function __srqctl_plugins\n"
    "    srqctl daemon info >/dev/null 2>&1; or return\n"
    "    srqctl plugin list 2>/dev/null | awk 'NR > 1 { print $1 }'\n"
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
        srq_buf_puts(b, " -a '(__srqctl_jobs)'");
        break;
    case CTL_C_PLUGIN:
        srq_buf_puts(b, " -a '(__srqctl_plugins)'");
        break;
    case CTL_C_VERB:
        srq_buf_puts(b, " -a '");
        ctl_verb_words(b, NULL);
        srq_buf_puts(b, "'");
        break;
    case CTL_C_WORDS:
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
        for (const struct ctl_option *o = v->options; o != NULL && o->name != NULL; o++)
            put_option(b, v->name, o);
        if (v->complete != CTL_C_NONE) {
            srq_buf_printf(b, "complete -c srqctl -n '__srqctl_at -b %s'", v->name);
            put_values(b, v->complete, v->words);
            srq_buf_puts(b, "\n");
        }
    }
}
