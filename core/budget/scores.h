/* Sensitivity scores, and choosing schemes under a size budget by them (spec signround 7).
 *
 * A scorer plugin says how much each layer suffers from each candidate scheme; the sum over layers forecasts what a
 * whole plan costs. An allocator plugin picks the plan of least sum inside a budget of bits. Both are about numbers
 * only: this file brings them together with layers, ties, pins and what has been decided already. */
#ifndef SRQ_BUDGET_SCORES_H
#define SRQ_BUDGET_SCORES_H

#include "core/budget/plan.h"

/* ---- candidates -------------------------------------------------------------------------------------------------- */

#define SRQ_CANDIDATES_MAX 32

/* What layers may become. */
struct srq_candidates {
    int count, layers;
    struct srq_scheme scheme[SRQ_CANDIDATES_MAX];
    bool *allowed; /* [layers * count], layer by layer: shape, quantizer and export formats all carry it. A layer with
                      none stays as the plan has it. */
};
/* All allowed, to be narrowed by the caller. */
int srq_candidates_init(struct srq_candidates *c, const struct srq_scheme *schemes, int count, int layers,
                        struct srq_error *err);
void srq_candidates_fini(struct srq_candidates *c);
/* Leaves only those with keep [count]. */
void srq_candidates_keep(struct srq_candidates *c, const bool *keep);
/* Whether no candidate suits layer i of the plan together with what shares its scheme, so that it keeps its default.
 * Not of pins, nor outside the blocks. */
bool srq_candidates_none(const struct srq_candidates *c, const struct srq_plan *plan, int i);

/* ---- scores ------------------------------------------------------------------------------------------------------ */

struct srq_scores {
    int layers, count;
    struct srq_scheme scheme[SRQ_CANDIDATES_MAX];
    double *score; /* [layers * count], layer by layer; NaN: not scored */
};
int srq_scores_init(struct srq_scores *s, const struct srq_scheme *schemes, int count, int layers,
                    struct srq_error *err); /* nothing scored yet; "bf16" scores 0 by definition */
void srq_scores_fini(struct srq_scores *s);
/* Of one layer under a scheme; 0 for bf16, NaN where it is not known. `s` may be NULL: nothing is known. */
double srq_scores_of(const struct srq_scores *s, int layer, const struct srq_scheme *scheme);
/* The sum over a plan; NaN when a quantized layer's scheme was not scored. */
double srq_scores_forecast(const struct srq_scores *s, const struct srq_plan *plan);

/* ---- allocation -------------------------------------------------------------------------------------------------- */

struct srq_allocate_request {
    const struct srq_allocator *solver;
    void *self;                  /* its instance */
    const struct srq_host *host; /* what it is served by */
    const struct srq_candidates *candidates;
    const struct srq_scores *scores; /* NULL: bounds only */
    double bits;       /* average over all layers that srq_plan_size counts, scales and zero-points included */
    const bool *fixed; /* [plan->count] layers that keep what the plan has: pinned, finished */
};

#define SRQ_FRONT_MAX 200
struct srq_allocation {
    double target_bits, average_bits;
    double loss, bound; /* sums of scores over all layers, the fixed ones too: of the plan; of the best possible */
    double least, most; /* average bits of the smallest and largest plan possible */
    int front_count;    /* the Pareto front of whole plans */
    struct {
        double average_bits, loss;
    } front[SRQ_FRONT_MAX];
};

/* "2.5625 to 8.7500": rounded inwards, so that both are possible. */
char *srq_allocate_bounds_text(double least, double most, char *out, size_t cap);
/* Average bits of the smallest and the largest plan that the free layers allow. */
int srq_allocate_bounds(const struct srq_allocate_request *req, const struct srq_plan *plan, double *least,
                        double *most, struct srq_error *err);
/* Whether the target is possible at all; scores may be NULL. As srq_allocate refuses it. */
int srq_allocate_check(const struct srq_allocate_request *req, const struct srq_plan *plan, struct srq_error *err);
/* Gives the free layers of `plan` the schemes of the best plan inside the budget, and source `allocator`; fixed layers
 * and those with no candidate stay. Layers of one block with the same tie that are free share a scheme. The revision
 * stays: bumping it is up to whoever keeps the plan. A target outside [least, most]: -SRQ_EINVAL naming both and what
 * no candidate suits, field "budget.bits" (1e-3 of slack above). On failure the plan is unchanged. */
int srq_allocate(const struct srq_allocate_request *req, struct srq_plan *plan, struct srq_allocation *out,
                 struct srq_error *err);
/* Chooses schemes that can be stored as they were counted. What export formats and shapes leave in 16 bits is known
 * only for a whole plan; so a choice is made, fitted (srq_plan_fit by `fit`), and where a layer takes more bits than it
 * was counted with, it is a constant of that size in the next choice, until nothing takes more. `choose` gives the
 * layers that are not fixed, and that it has something for, a scheme, which they ask for from then on; it counts the
 * others with theirs. In: `fixed` [plan->count], and every layer as asked for; out: the plan fitted, and in `fixed`
 * also the layers that had to be constants. */
typedef int (*srq_choose_schemes)(void *ctx, struct srq_plan *plan, const bool *fixed, struct srq_error *err);
int srq_allocate_fitting(struct srq_plan *plan, bool *fixed, const struct srq_plan_request *fit,
                         srq_choose_schemes choose, void *ctx, struct srq_error *err);
/* Gives free layers the smallest choice that they have: an srq_choose_schemes, ctx a struct srq_allocate_request whose
 * `fixed` is replaced. */
int srq_allocate_least(void *request, struct srq_plan *plan, const bool *fixed, struct srq_error *err);
/* Likewise the choice that is nearest in size to what they ask for. */
int srq_allocate_nearest(void *request, struct srq_plan *plan, const bool *fixed, struct srq_error *err);

#endif
