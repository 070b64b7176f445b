/* A verb of srqctl is one const row: parsing, --help, completions and the manual page come from it. */
#ifndef SRQ_CTL_VERB_H
#define SRQ_CTL_VERB_H

#include "tui/client/args.h"
#include "tui/client/client.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

/* Exit codes (design 9). */
enum ctl_exit {
    CTL_OK = 0,
    CTL_REFUSED = 1,
    CTL_USAGE = 2,
    CTL_NO_DAEMON = 3,
    CTL_NO_JOB = 4,
    CTL_DENIED = 5,
    CTL_TIMEOUT = 6,
    CTL_JOB_FAILED = 7,
    CTL_INTERRUPTED = 130,
};

struct ctl; /* one run of srqctl */

struct ctl_verb {
    const char *name;  /* "submit", "plugin list" */
    const char *group; /* heading in srqctl --help */
    const char *args;  /* positional arguments as --help shows them; "" for none */
    int min_args, max_args;
    enum ctl_complete complete; /* of the positional arguments */
    const char *words;
    const char *help;                 /* one line for the list of verbs, no full stop */
    const char *more;                 /* further lines for its own --help, or NULL */
    const struct ctl_option *options; /* besides the common ones; NULL: none */
    const char *examples[2];          /* whole command lines */
    int (*run)(struct ctl *ctl);      /* gives an exit code */
};

extern const struct ctl_verb ctl_verbs[];            /* ends with a NULL name, in the order of srqctl --help */
extern const struct ctl_option ctl_common_options[]; /* every verb's, also allowed before the verb */

struct ctl {
    struct ctl_args args;
    bool json;
    bool tty; /* standard output is a terminal */
    const char *socket;
    bool user_only;
    struct srq_client *client; /* opened by ctl_connect */
};

/* Another word for a verb, as other programs have it. The table ends with a NULL alias. */
struct ctl_alias {
    const char *alias, *verb;
};
extern const struct ctl_alias ctl_aliases[];
/* The alias of a verb, NULL: it has none. */
const char *ctl_alias_of(const struct ctl_verb *v);
/* The verb that `words` (at least one) begin with, by its name or alias; two-word names are tried first. *used: words
 * that name it. NULL: none. */
const struct ctl_verb *ctl_find_verb(int count, const char *const *words, int *used);

/* ---- what was typed (verb.c) */

/* Parses the words after the verb. -SRQ_EINVAL with a sentence; ctl_args_fini in any case. */
int ctl_parse(const struct ctl_verb *verb, int count, const char *const *words, struct ctl_args *out,
              struct srq_error *err);
/* The names that an option with lists was given, in order: "--format a,b --format c"; *list (the caller's) stays NULL
 * where it was not given. -SRQ_EINVAL for an empty one. */
int ctl_names(const struct ctl_args *a, const char *option, cJSON **list, struct srq_error *err);
/* Options before the verb: only common ones. The words from the verb on are the positional ones. */
int ctl_parse_common(int count, const char *const *words, struct ctl_args *out, struct srq_error *err);

/* ---- help (help.c): text into `b` */
void ctl_help_overview(struct srq_buf *b);
void ctl_help_verb(const struct ctl_verb *v, struct srq_buf *b);
/* Prints the help of a verb, NULL: of all. An exit code. */
int ctl_print_help(const struct ctl_verb *v);
/* Says that there is no verb `word`, and what may be meant. CTL_USAGE. */
int ctl_unknown_verb(const struct ctl *ctl, const char *word);
/* The verb that may be meant by a word; NULL: none is near. */
const char *ctl_nearest_verb(const char *word);

/* ---- completion scripts from the tables (cmd_completion.c); shell: "bash", "zsh" or "fish"; false: another */
bool ctl_completion_script(const char *shell, struct srq_buf *b);

/* ---- talking (report_error.c) */

/* Says what went wrong, on stderr or as JSON on stdout, and gives `exit_code` back. */
int ctl_complain(const struct ctl *ctl, int exit_code, const struct srq_error *err);
/* The same with the exit code that the error's code means for a request of a job or of the daemon. */
int ctl_refused(const struct ctl *ctl, const struct srq_error *err);
int ctl_exit_of(const struct srq_error *err);
/* Prints JSON on one line and deletes it; gives CTL_OK, or CTL_REFUSED when standard output fails. */
int ctl_print_json(cJSON *json);
/* Prints text and frees it; gives what ctl_flush gives. */
int ctl_print_text(struct srq_buf *text);
/* Ends standard output: CTL_OK unless it could not be written. */
int ctl_flush(const struct ctl *ctl);

/* ---- the daemon (session.c) */

/* Connects; `start` brings a daemon up when none answers. CTL_OK or the exit code after having complained. */
int ctl_connect(struct ctl *ctl, bool start);
/* Calls and complains: CTL_OK, or the exit code. `result` may be NULL. */
int ctl_call(struct ctl *ctl, const char *method, cJSON *params, cJSON **result);
int ctl_call_paged(struct ctl *ctl, const char *method, cJSON *params, cJSON **result);
/* An object {"job": id} for a call; the daemon finds the job behind the beginning of an id, or @last. */
cJSON *ctl_job_params(const char *id);

/* ---- members of replies; defaults where missing or null */
const char *ctl_str(const cJSON *object, const char *name);  /* "" */
double ctl_num(const cJSON *object, const char *name);       /* NaN */
const cJSON *ctl_get(const cJSON *object, const char *path); /* dots go deeper; NULL */

/* Ctrl-C and a hang-up while waiting: the flag that srq_client watches. */
extern volatile sig_atomic_t ctl_interrupted;
void ctl_catch_signals(void);

#endif
