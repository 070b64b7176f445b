/* What srqctl compare runs, and what it makes of the reports: methods by schemes, each with some seeds. */
#ifndef SRQ_CTL_COMPARE_H
#define SRQ_CTL_COMPARE_H

#include "tui/srqctl/verb.h"

enum ctl_run_state { CTL_RUN_DONE, CTL_RUN_REUSED, CTL_RUN_REFUSED, CTL_RUN_FAILED, CTL_RUN_STOPPED };

/* One job. */
struct ctl_compare_run {
    int64_t seed;
    cJSON *spec;                        /* as it is submitted */
    char key[33];                       /* of all that its result depends on */
    char *folder;                       /* DIR/runs/KEY */
    const struct ctl_compare_run *twin; /* one before it with the same key, whose job is this one's too; or NULL */
    char *job;                          /* its id; NULL: not submitted */
    enum ctl_run_state state;
    char *reason;  /* why it was refused or failed */
    cJSON *report; /* NULL: there is none */
};

/* One method under one scheme. */
struct ctl_compare_row {
    char *label, *method, *scheme;
    bool named; /* the label was given */
    struct ctl_compare_run *runs;
    int count;
};

struct ctl_compare {
    struct ctl_compare_row *rows; /* all schemes of the first method, then of the second */
    int count;
};

/* From --methods, --schemes and --seeds over a base specification (model, texts, options). A method is
 * [LABEL=]PLUGIN[+PLUGIN…][:KEY=VALUE…]. folder: DIR, absolute. -SRQ_EINVAL with what cannot be. */
int ctl_compare_make(const struct ctl_args *a, const cJSON *base, const char *folder, struct ctl_compare *out,
                     struct srq_error *err);
void ctl_compare_fini(struct ctl_compare *c);

/* ---- figures of a row over its runs (compare_stats.c); NaN: not known */

struct ctl_compare_figures {
    int done;                     /* runs with a report */
    double perplexity, low, high; /* of the mean loss; bounds of its 95 % interval over windows */
    double deviation;             /* of perplexity between seeds; NaN for one seed */
    double kl, top1, bits, bytes, seconds, memory;
    double against_rtn, rtn_low,
        rtn_high; /* mean difference of a window's loss from plain rounding's, paired, and its bounds */
};

void ctl_compare_figures(const struct ctl_compare_row *row, struct ctl_compare_figures *out);
/* "better", "worse", "same" within the paired interval, or "". */
const char *ctl_compare_verdict(const struct ctl_compare_figures *f);
/* Half the width of the 95 % interval of the mean of x [n] (Student's t); NaN for fewer than two. *mean may be NULL. */
double ctl_interval(const double *x, int n, double *mean);

/* ---- what is shown (compare_show.c) */

void ctl_compare_table(const struct ctl_compare *c);
cJSON *ctl_compare_json(const struct ctl_compare *c);
void ctl_compare_csv(const struct ctl_compare *c, struct srq_buf *out);
void ctl_compare_html(const struct ctl_compare *c, const char *model, struct srq_buf *out);
/* Perplexity against size, a line for each label. */
int ctl_compare_png(const struct ctl_compare *c, const char *path, struct srq_error *err);

#endif
