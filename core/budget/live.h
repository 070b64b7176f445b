/* The live plan (design 5): what a job keeps beside the schemes, and the engine that turns a request into a new
 * plan.
 *
 * A unit is what is tuned at once: block 0 … blocks-1, and unit `blocks` for the layer outside the blocks, as events
 * number them. The result of a unit carries the schemes it was made with and a generation: 1 for the first, larger each
 * time it is tuned again. A unit with a result is stale when those schemes are not the plan's, or when its generation
 * is below the one wanted.
 *
 * The engine does no input or output: it is told where the job is and gives a new plan and the reply. */
#ifndef SRQ_BUDGET_LIVE_H
#define SRQ_BUDGET_LIVE_H

#include "core/budget/plan.h"

/* ---- options that may be changed while a job runs ------------------------------------------------------------------
 */

enum srq_live_option {
    SRQ_LIVE_LR,       /* learning rate of a trainer; rates of single tensors move in proportion */
    SRQ_LIVE_HP_FIRST, /* steps that the mix computes in high precision, first and last; whole numbers */
    SRQ_LIVE_HP_LAST,
    SRQ_LIVE_OPTIONS
};
extern const char *const srq_live_option_words[]; /* [SRQ_LIVE_OPTIONS + 1], ends with NULL */
/* Whether both [SRQ_LIVE_OPTIONS] say the same; NaN, as submitted, is itself. */
bool srq_live_options_equal(const double *a, const double *b);

/* ---- what a job keeps -------------------------------------------------------------------------------------------- */

struct srq_live_plan {
    struct srq_plan plan;
    int units;            /* blocks + 1; of a diffusion model blocks */
    struct srq_pin *pins; /* those in force, oldest first; owned */
    int pin_count;
    bool quant_lm_head; /* of the specification, like `scheme`, not in the file */
    struct srq_scheme scheme;
    double bits;                   /* the budget: average bits; NaN: none */
    struct srq_scheme *candidates; /* of the budget; kept when there is none any more */
    int candidate_count;
    cJSON *allocation;               /* data of the last plan.allocated, or NULL: the allocator has not run yet */
    int64_t *wanted;                 /* [units] generation that a unit's result must have; 0 or 1: any */
    double option[SRQ_LIVE_OPTIONS]; /* NaN: as submitted */
    bool back; /* what is stale comes before what is pending: a change that propagates came in the first pass */
    /* The running unit goes on under the schemes it began with, though the plan has others. */
    int hold; /* unit, -1: none */
    int64_t hold_generation;
    struct srq_scheme *held; /* [layers]; those of the unit count */
    cJSON *last_change;      /* what was told of the change that made this revision, or NULL */
};

/* The plan of a new job. `plan` is taken over, pins are copied. Free with srq_live_plan_fini, also after an error. */
int srq_live_plan_init(struct srq_live_plan *lp, struct srq_plan *plan, const struct srq_pin *pins, int pin_count,
                       struct srq_error *err);
/* Puts copies of these pins in the place of those it has. */
int srq_live_plan_pins(struct srq_live_plan *lp, const struct srq_pin *pins, int count, struct srq_error *err);
/* `bits` NaN: no budget. Candidates are copied. */
int srq_live_plan_budget(struct srq_live_plan *lp, double bits, const struct srq_scheme *candidates, int count,
                         struct srq_error *err);
/* Whether the allocator has yet to choose: schemes that it chooses, and so sizes, are not known. */
bool srq_live_plan_open(const struct srq_live_plan *lp);
void srq_live_plan_fini(struct srq_live_plan *lp);
int srq_live_plan_copy(const struct srq_live_plan *from, struct srq_live_plan *to, struct srq_error *err);

/* Schemes under which unit `unit` is tuned as generation `generation`: the held ones, else the plan's. [layers] */
const struct srq_scheme *srq_live_plan_held(const struct srq_live_plan *lp, int unit, int64_t generation); /* or NULL */
int srq_layer_unit(const struct srq_live_plan *lp, int layer);

/* ---- where the job is -------------------------------------------------------------------------------------------- */

enum srq_unit_state { SRQ_UNIT_PENDING, SRQ_UNIT_RUNNING, SRQ_UNIT_FINISHED, SRQ_UNIT_STALE };

struct srq_unit {
    int64_t generation; /* of its result; 0: none */
    double cost_s;      /* time that making it took; NaN: unknown */
};

struct srq_live_state {
    struct srq_unit *unit;   /* [units] */
    struct srq_scheme *made; /* [layers] schemes of the results; of units that have one */
    int running;             /* unit being tuned, -1: none */
    int64_t running_generation;
    struct srq_scheme *tuning; /* [layers] schemes that the running unit is tuned under */
    int64_t iter;              /* of the running unit; -1: unknown */
    double spent_s;            /* on the running unit so far; NaN: unknown */
    double replay_s;           /* time that chains take through one block; NaN: unknown */
};

enum srq_unit_state srq_live_unit(const struct srq_live_plan *lp, const struct srq_live_state *st, int unit);
/* The unit to tune next: what is pending, then what is stale, each ascending; with `back` the first of either. -1:
 * none. */
int srq_live_next(const struct srq_live_plan *lp, const struct srq_live_state *st);

/* ---- the allocator, as the engine calls it ----------------------------------------------------------------------- */

struct srq_solver {
    void *ctx;
    /* Chooses a scheme for every layer that is not fixed (pins, layers of finished blocks, layers outside the blocks
     * that are left alone), so that the plan's average_bits (srq_plan_size) is at most `bits`: those ask for it from
     * then on, with source `allocator`, but a layer that no candidate suits stays as it is. Layers that share a tie get
     * one scheme, and none gets a scheme that its shape cannot carry. Cannot be met: -SRQ_EINVAL, naming what is
     * possible. */
    int (*allocate)(void *ctx, struct srq_plan *plan, const bool *fixed, double bits, struct srq_error *err);
    /* Data of plan.allocated for the call of allocate() before this one; the caller's. NULL when out of memory. */
    cJSON *(*describe)(void *ctx);
    /* What a layer adds to the predicted loss under a scheme: 0 for "bf16", NaN where it is not known. */
    double (*score)(void *ctx, int layer, const struct srq_scheme *scheme);
};

/* ---- a change ---------------------------------------------------------------------------------------------------- */

enum srq_change_op {
    SRQ_CHANGE_PIN,
    SRQ_CHANGE_UNPIN,
    SRQ_CHANGE_BUDGET,
    SRQ_CHANGE_RETUNE,
    SRQ_CHANGE_SET,
    SRQ_CHANGE_REVERT,
    SRQ_CHANGE_ALLOCATE, /* the job's own, once its layers are scored; not in requests from outside */
};

struct srq_change {
    enum srq_change_op op;
    struct srq_pin *pins; /* pin; owned */
    int pin_count;
    char **patterns; /* unpin, retune; owned */
    int pattern_count;
    double bits;                     /* budget; NaN: none any more */
    bool sets[SRQ_LIVE_OPTIONS];     /* set: which options */
    double option[SRQ_LIVE_OPTIONS]; /* set: their values; NaN: as submitted */
    int64_t to;                      /* revert: the revision whose decisions come back */
    struct srq_live_plan *past;      /* revert: a plan with those decisions; owned, NULL until it is looked up */
    bool release, propagate, after, dry_run; /* after: the running unit finishes as it is */
    int64_t revision;                        /* that the plan must have; -1: any */
    char by[304];
};

void srq_change_fini(struct srq_change *c);

struct srq_change_context {
    const char *job; /* for messages */
    const struct srq_live_plan *now;
    const struct srq_live_state *state;
    uint64_t model_bytes;
    /* Bytes of the export under a plan, 0: not known; its ctx is formats_ctx. NULL: scales and codes are counted. */
    uint64_t (*stored)(void *ctx, const struct srq_plan *plan);
    bool refuse_incompatible;
    srq_plan_formats formats; /* or NULL */
    void *formats_ctx;
    const struct srq_solver *solver; /* NULL: the job has no scores (yet) */
    /* Where it will have them: refuses a budget that the pins of a plan leave impossible, and gives layers that the
     * allocator will choose for a scheme that they can hold till then. Its ctx is formats_ctx. NULL: it will not. */
    int (*expect)(void *ctx, struct srq_plan *plan, double bits, struct srq_error *err);
    /* Whether the job can do what the plan asks (plugin, memory, disk); NULL: yes. A refusal ends the change. */
    int (*check)(void *ctx, const struct srq_plan *plan, struct srq_error *err);
    void *check_ctx;
};

struct srq_change_result {
    struct srq_live_plan next; /* its last_change is that of the plan before */
    bool solved;               /* the allocator chose, and next.allocation is what it says of that */
    bool idle;                 /* nothing would change: `warnings` says why, and `next` keeps the revision */
    bool restart;              /* the running unit has to begin again */
    bool leave;                /* it has to be left for an earlier one */
    bool *retunes;             /* [units] tuned again because of it */
    int matched;               /* layers that the patterns name */
    struct srq_plan_size size_now, size;
    double forecast_now, forecast; /* predicted loss; not finite: not known */
    char forecast_missing[300];    /* why it is not, though layers were scored; else empty */
    double cost_s;                 /* time that tuning again takes; not finite: not known */
    cJSON *warnings;               /* sentences for people */
};

/* Works a change out. The present plan stays as it is; `out` is filled also in a dry run, srq_change_result_fini frees
 * it in any case. A stale revision: -SRQ_ESTATE, field "revision". A pin that none of its layers can hold: -SRQ_EINVAL,
 * field "pins", with the reason. */
int srq_change_make(const struct srq_change_context *ctx, const struct srq_change *change,
                    struct srq_change_result *out, struct srq_error *err);
void srq_change_result_fini(struct srq_change_result *r);

#endif
