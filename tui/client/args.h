/* Command lines by tables of options, read with getopt_long: what was given, and what is wrong with it. */
#ifndef SRQ_CLIENT_ARGS_H
#define SRQ_CLIENT_ARGS_H

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>

/* What a shell may offer for a value; the names are those of the completion scripts. */
enum ctl_complete {
    CTL_C_NONE,
    CTL_C_FILE,
    CTL_C_DIR,
    CTL_C_JOB,        /* one, and nothing after it */
    CTL_C_JOBS,       /* any number */
    CTL_C_JOB_LAYERS, /* one, then layers of it */
    CTL_C_LAYER,      /* of the job that was named before */
    CTL_C_SET,        /* keys of --set */
    CTL_C_PLUGIN,
    CTL_C_VERB,
    CTL_C_WORDS,  /* `words` of the row, separated by blanks, and others */
    CTL_C_CHOICE, /* `words` of the row and no others; of an option that may be given many times, lists with commas */
};

/* One option. Tables end with a NULL name. */
struct ctl_option {
    const char *name; /* long name without dashes */
    char letter;      /* short name or 0 */
    const char *arg;  /* what its value is called in --help; NULL: takes none */
    enum ctl_complete complete;
    const char *words;
    const char *help; /* one line, without a full stop */
    bool many;        /* may be given more than once; otherwise two different values are an error */
};

struct ctl_grammar {
    const struct ctl_option *tables[2]; /* either may be NULL */
    const char *help;                   /* the command that explains them: "srqctl submit --help" */
    bool stop;                          /* options end at the first other word */
};

/* What was typed. Values point into the words. */
struct ctl_args {
    struct ctl_value {
        const struct ctl_option *option;
        const char *value; /* NULL for an option without one */
        bool short_form;   /* typed as a letter */
    } * values;
    size_t value_count;
    const char **positional;
    int positional_count;
};

/* A negative number is no option: it is a value, or one of the other words. -SRQ_EINVAL with a sentence that names an
 * option as it was typed; ctl_args_fini in any case. */
int ctl_args_read(const struct ctl_grammar *g, int count, const char *const *words, struct ctl_args *out,
                  struct srq_error *err);
void ctl_args_fini(struct ctl_args *a);
bool ctl_given(const struct ctl_args *a, const char *name);
const char *ctl_value(const struct ctl_args *a, const char *name); /* the last one; NULL: not given */
/* The next value of an option that may be given many times; *at starts at 0. NULL at the end. */
const char *ctl_next_value(const struct ctl_args *a, const char *name, size_t *at);
/* The option as it was typed, for messages: "-n" or "--lines"; the long form where it was not given. Returns out. */
#define CTL_FLAG 80
const char *ctl_flag(const struct ctl_args *a, const char *name, char *out);
/* The next of the names that `name` was given, each value being a list with commas: their text and length; *n starts
 * as zeros. 1, 0 at the end, -SRQ_EINVAL for an empty name. */
struct ctl_names {
    size_t at;        /* of the values */
    const char *rest; /* of the value begun; NULL: none */
};
int ctl_next_name(const struct ctl_args *a, const char *name, struct ctl_names *n, const char **text, size_t *len,
                  struct srq_error *err);
/* A whole number or not: as ctl_number. */
int ctl_whole(const struct ctl_args *a, const char *name, double min, double max, double *out, struct srq_error *err);
/* A word that has to be one of `words` (separated by blanks): -SRQ_EINVAL, listing them with the nearest first; `what`
 * names what it was given to. */
int ctl_choice(const char *what, const char *words, const char *text, size_t len, struct srq_error *err);
/* A time in seconds, or with s, m, h, d behind its numbers ("90", "1.5h", "1h30m"); otherwise as ctl_number. */
int ctl_duration(const struct ctl_args *a, const char *name, double min, double max, double *out,
                 struct srq_error *err);
/* A number given to an option: -SRQ_EINVAL when it is none or outside [min, max]. Leaves *out alone when not given. */
int ctl_number(const struct ctl_args *a, const char *name, double min, double max, double *out, struct srq_error *err);

#endif
