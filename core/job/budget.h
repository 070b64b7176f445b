/* A job with a budget: what its layers may become, on what data they are scored, who chooses. */
#ifndef SRQ_JOB_BUDGET_H
#define SRQ_JOB_BUDGET_H

#include "core/job/resolved.h"
#include "core/tune/scoring.h"

/* All of these do nothing for a job without a budget. */

/* Creates scorer and allocator and asks on what data scores are taken. Before the plan is made. */
int srq_budget_open(struct srq_resolved *r, struct srq_error *err);
/* After the plan: which layer can carry which candidate (shape, quantizer, formats), without those that none can, and
 * srq_budget_expect. -SRQ_EUNSUPPORTED where an export format cannot mix the candidates, or no candidate is left. */
int srq_budget_settle(struct srq_resolved *r, struct srq_error *err);
/* Until the allocator has chosen: whether `bits` are possible with the pins of `plan`, as srq_allocate refuses them.
 * Layers that it will choose for, and that cannot have what the plan asks for, get the candidate nearest to that.
 * `resolved` is a struct srq_resolved. */
int srq_budget_expect(void *resolved, struct srq_plan *plan, double bits, struct srq_error *err);
void srq_budget_close(struct srq_resolved *r);

/* The request for srq_allocate. */
struct srq_allocate_request srq_budget_request(const struct srq_resolved *r, const struct srq_scores *scores,
                                               double bits, const bool *fixed);
/* How layers are scored, `nsamples` of them at hand. */
struct srq_scoring_config srq_budget_scoring(const struct srq_resolved *r, int64_t nsamples);
/* Schemes for a scoring pass: every layer in a block that can carry the candidate does, whatever its plan. */
void srq_budget_point(const struct srq_resolved *r, int candidate, struct srq_scheme *schemes);
/* Adds what the score and allocate stages need to r->footprint.memory. */
int srq_budget_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err);
/* Schemes [layers] that need the most of memory and disk among what the allocator may choose: what is planned until it
 * has chosen. */
int srq_budget_largest(struct srq_resolved *r, struct srq_scheme *schemes, struct srq_error *err);

/* Scores that an earlier job found, in the user's cache folder ($SRQ_CACHE_DIR, else $XDG_CACHE_HOME/srq/scores, else
 * ~/.cache/srq/scores; SRQ_CACHE_DIR empty: none is used). A file is named by a hash of all that one candidate's scores
 * depend on: model, tokens, scorer with its options, scheme, element type, products, instruction set, threads. */
struct srq_score_key {
    const char *model, *tokens; /* hashes */
    const struct srq_job *job;
    int candidate;
    struct srq_scoring_config data;
};
/* Fills score[layers] of one candidate; false where there are none that hold. */
bool srq_score_cache_read(const struct srq_score_key *key, double *score);
/* Does without where it cannot be written: then `why` says so. */
bool srq_score_cache_write(const struct srq_score_key *key, const double *score, struct srq_error *why);

#endif
