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
    CTL_C_JOB,
    CTL_C_PLUGIN,
    CTL_C_VERB,
    CTL_C_WORDS, /* `words` of the row, separated by blanks */
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
    } * values;
    size_t value_count;
    const char **positional;
    int positional_count;
};

/* -SRQ_EINVAL with a sentence; ctl_args_fini in any case. */
int ctl_args_read(const struct ctl_grammar *g, int count, const char *const *words, struct ctl_args *out,
                  struct srq_error *err);
void ctl_args_fini(struct ctl_args *a);
bool ctl_given(const struct ctl_args *a, const char *name);
const char *ctl_value(const struct ctl_args *a, const char *name); /* the last one; NULL: not given */
/* The next value of an option that may be given many times; *at starts at 0. NULL at the end. */
const char *ctl_next_value(const struct ctl_args *a, const char *name, size_t *at);
/* A number given to an option: -SRQ_EINVAL when it is none or outside [min, max]. Leaves *out alone when not given. */
int ctl_number(const struct ctl_args *a, const char *name, double min, double max, double *out, struct srq_error *err);

#endif
