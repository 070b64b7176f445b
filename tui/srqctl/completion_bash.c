/* The completion script for bash. */
#include "tui/srqctl/completion.h"

#include "tui/srqctl/verb.h"

#include <string.h>

static const char head[] =
    "# bash completion of srqctl, written by: srqctl completion bash\n"
    "# Words that srqctl knows: jobs, plugins, keys of --set, layers of a job.\n"
    "_srqctl_known() {\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$(srqctl completion \"$@\" 2>/dev/null)\" -- \"$cur\")\n"
    "}\n"
    "_srqctl_offer() { # kind, words\n"
    "    case $1 in\n"
    "    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
    "    dir) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
    "    job) [[ -z $job ]] && _srqctl_known jobs ;;\n"
    "    jobs) _srqctl_known jobs ;;\n"
    "    job_layers) if [[ -z $job ]]; then _srqctl_known jobs; else _srqctl_known layers \"$job\"; fi ;;\n"
    "    layer) [[ -n $job ]] && _srqctl_known layers \"$job\" ;;\n"
    "    set) compopt -o nospace; _srqctl_known keys; COMPREPLY=(\"${COMPREPLY[@]/%/=}\") ;;\n"
    "    plugin) _srqctl_known plugins ;;\n"
    "    words) mapfile -t COMPREPLY < <(compgen -W \"$2\" -- \"$cur\") ;;\n"
    "    esac\n"
    "}\n"
    "_srqctl() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local verb='' options='' kind='' words='' job='' i w\n"
    "    COMPREPLY=()\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        w=${COMP_WORDS[i]}\n"
    "        case $w in\n"
    "        --socket) ((i++)); continue ;;\n"
    "        -*) continue ;;\n"
    "        esac\n"
    "        case $verb in\n"
    "        '') verb=$w ;;\n"
    "        plugin | daemon) verb=\"$verb $w\"; break ;;\n"
    "        *) job=$w; break ;;\n"
    "        esac\n"
    "    done\n"
    "    case $prev in\n"
    "    --socket) _srqctl_offer file; return ;;\n"
    "    esac\n"
    "    case $verb in\n";

static const char tail[] = "    esac\n"
                           "    case $cur in\n"
                           "    -*) _srqctl_offer words \"$options\" ;;\n"
                           "    *) _srqctl_offer \"$kind\" \"$words\" ;;\n"
                           "    esac\n"
                           "}\n"
                           "complete -F _srqctl srqctl\n";

static const char *kind_name(enum ctl_complete c)
{
    static const char *const names[] = {
        [CTL_C_NONE] = "none",   [CTL_C_FILE] = "file",   [CTL_C_DIR] = "dir",
        [CTL_C_JOB] = "job",     [CTL_C_JOBS] = "jobs",   [CTL_C_JOB_LAYERS] = "job_layers",
        [CTL_C_LAYER] = "layer", [CTL_C_SET] = "set",     [CTL_C_PLUGIN] = "plugin",
        [CTL_C_VERB] = "words",  [CTL_C_WORDS] = "words", [CTL_C_CHOICE] = "words",
    };

    return names[c];
}

void ctl_verb_words(struct srq_buf *b, const char *first)
{
    const char *last = "";
    size_t last_len = 0;

    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        size_t n = strcspn(v->name, " ");

        if (first != NULL) {
            if (strlen(first) == n && strncmp(v->name, first, n) == 0 && v->name[n] == ' ')
                srq_buf_printf(b, "%s%s", last_len++ > 0 ? " " : "", v->name + n + 1);
            continue;
        }
        if (n == last_len && strncmp(last, v->name, n) == 0)
            continue;
        srq_buf_printf(b, "%s%.*s", last_len > 0 ? " " : "", (int)n, v->name);
        last = v->name;
        last_len = n;
    }
    for (const struct ctl_alias *a = ctl_aliases; first == NULL && a->alias != NULL; a++)
        srq_buf_printf(b, " %s", a->alias);
}

static void put_names(struct srq_buf *b, const struct ctl_option *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        if (o->letter != 0)
            srq_buf_printf(b, "-%c ", o->letter);
        srq_buf_printf(b, "--%s ", o->name);
    }
}

static void put_offer(struct srq_buf *b, enum ctl_complete c, const char *words)
{
    if (c == CTL_C_VERB) {
        srq_buf_puts(b, "words '");
        ctl_verb_words(b, NULL);
        srq_buf_puts(b, "'");
    } else {
        srq_buf_printf(b, "%s '%s'", kind_name(c), words != NULL ? words : "");
    }
}

/* What follows an option that takes a value. */
static void put_values(struct srq_buf *b, const struct ctl_option *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        if (o->arg == NULL)
            continue;
        srq_buf_puts(b, "        ");
        if (o->letter != 0)
            srq_buf_printf(b, "-%c | ", o->letter);
        srq_buf_printf(b, "--%s) _srqctl_offer ", o->name);
        put_offer(b, o->complete, o->words);
        srq_buf_puts(b, "; return ;;\n");
    }
}

void ctl_completion_bash(struct srq_buf *b)
{
    srq_buf_puts(b, head);
    srq_buf_puts(b, "    '')\n        kind=words words='");
    ctl_verb_words(b, NULL);
    srq_buf_puts(b, "' options='");
    put_names(b, ctl_common_options);
    srq_buf_puts(b, "'\n        ;;\n    plugin) kind=words words='");
    ctl_verb_words(b, "plugin");
    srq_buf_puts(b, "' ;;\n    daemon) kind=words words='");
    ctl_verb_words(b, "daemon");
    srq_buf_puts(b, "' ;;\n");
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        const char *alias = ctl_alias_of(v);

        srq_buf_printf(b, "    '%s'%s%s)\n        options='", v->name, alias != NULL ? " | " : "",
                       alias != NULL ? alias : "");
        put_names(b, v->options);
        put_names(b, ctl_common_options);
        srq_buf_puts(b, "'\n");
        if (v->options != NULL) {
            srq_buf_puts(b, "        case $prev in\n");
            put_values(b, v->options);
            srq_buf_puts(b, "        esac\n");
        }
        srq_buf_puts(b, "        set -- ");
        put_offer(b, v->complete, v->words);
        srq_buf_puts(b, "\n        kind=$1 words=$2\n        ;;\n");
    }
    srq_buf_puts(b, tail);
}
