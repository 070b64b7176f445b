/* Allocation, the host's side: layers become units, what is decided becomes a constant, the solver's answer is checked
 * and becomes the plan (spec signround 7.2). */
#include "core/budget/scores.h"

#include "core/base/alloc.h"

#include <math.h>

/* Average bits by which a target may be above what is possible (spec signround 7.2); never below: a budget is what the
 * plan may take at most. */
#define SLACK 1e-3
#define ROUNDED 1e-9 /* of a target that is meant to be the least possible */

struct problem {
    const struct srq_allocate_request *req;
    const struct srq_plan *plan;
    int units;
    int *unit;         /* [layers] -1: the layer stays as it is */
    int *choices;      /* [units] */
    int *candidate;    /* [units * candidates]: which candidate a choice is */
    uint64_t *bits;    /* [units * candidates] */
    double *loss;      /* [units * candidates] */
    int *chosen;       /* [units] */
    uint64_t constant; /* bits of layers that stay */
    double constant_loss, elements;
    uint64_t least, most; /* bits of the free units */
};

/* As srq_plan_size counts: a layer that is left alone has its stored bits. */
static uint64_t layer_bits(const struct srq_layer_info *l, const struct srq_scheme *s)
{
    if (s->grid == SRQ_GRID_NONE)
        return (uint64_t)l->out * (uint64_t)l->in * srq_dtype_size(l->dtype) * 8;
    return srq_scheme_bits(s, l->out, l->in);
}

static bool allowed(const struct problem *p, int layer, int c)
{
    const struct srq_candidates *list = p->req->candidates;

    if (!list->allowed[(size_t)layer * (size_t)list->count + (size_t)c])
        return false;
    return p->req->scores == NULL || !isnan(srq_scores_of(p->req->scores, layer, &list->scheme[c]));
}

/* Layers outside blocks are never up to the allocator: runtimes and perplexity both want the head finer than the
 * rest. */
static bool is_free(const struct problem *p, int layer)
{
    return p->plan->layers[layer].info->block >= 0 && !(p->req->fixed != NULL && p->req->fixed[layer]);
}

/* Whether candidate c suits every free layer that `layer` is fused with. Ties are neighbours inside their block. */
static bool allowed_with_ties(const struct problem *p, int layer, int c)
{
    const struct srq_plan_layer *l = p->plan->layers;

    for (int i = layer; i < p->plan->count && l[i].info->block == l[layer].info->block; i++) {
        if ((i == layer || srq_layers_tied(l[i].info, l[layer].info)) && is_free(p, i) && !allowed(p, i, c))
            return false;
    }
    return true;
}

static int unit_before(const struct problem *p, int layer)
{
    const struct srq_plan_layer *l = p->plan->layers;

    for (int i = layer - 1; i >= 0 && l[i].info->block == l[layer].info->block; i--) {
        if (srq_layers_tied(l[i].info, l[layer].info) && is_free(p, i))
            return p->unit[i];
    }
    return -2;
}

static void add_constant(struct problem *p, int layer)
{
    const struct srq_plan_layer *l = &p->plan->layers[layer];
    double score = srq_scores_of(p->req->scores, layer, &l->scheme);

    if (l->info->block < 0 && l->scheme.grid == SRQ_GRID_NONE)
        return;
    p->constant += layer_bits(l->info, &l->scheme);
    p->constant_loss += isnan(score) ? 0 : score;
    p->elements += (double)l->info->out * (double)l->info->in;
}

/* Adds a layer's bits and scores to its unit. */
static void add_member(struct problem *p, int layer, int u)
{
    const struct srq_candidates *list = p->req->candidates;
    const struct srq_layer_info *info = p->plan->layers[layer].info;

    p->unit[layer] = u;
    p->elements += (double)info->out * (double)info->in;
    for (int k = 0; k < p->choices[u]; k++) {
        size_t at = (size_t)u * (size_t)list->count + (size_t)k;
        const struct srq_scheme *s = &list->scheme[p->candidate[at]];

        p->bits[at] += layer_bits(info, s);
        p->loss[at] += p->req->scores != NULL ? srq_scores_of(p->req->scores, layer, s) : 0;
    }
}

static void make_units(struct problem *p)
{
    const struct srq_candidates *list = p->req->candidates;

    for (int i = 0; i < p->plan->count; i++) {
        int u = is_free(p, i) ? unit_before(p, i) : -1;

        if (u == -2) { /* the first of its ties, or tied to none */
            u = p->units;
            for (int c = 0; c < list->count; c++) {
                if (allowed_with_ties(p, i, c))
                    p->candidate[(size_t)u * (size_t)list->count + (size_t)p->choices[u]++] = c;
            }
            if (p->choices[u] > 0)
                p->units++;
            else
                u = -1;
        }
        if (u >= 0)
            add_member(p, i, u);
        else {
            p->unit[i] = -1;
            add_constant(p, i);
        }
    }
    for (int u = 0; u < p->units; u++) {
        const uint64_t *bits = p->bits + (size_t)u * (size_t)list->count;
        uint64_t least = bits[0], most = bits[0];

        for (int k = 1; k < p->choices[u]; k++) {
            least = bits[k] < least ? bits[k] : least;
            most = bits[k] > most ? bits[k] : most;
        }
        p->least += least;
        p->most += most;
    }
}

static void problem_fini(struct problem *p)
{
    srq_free(p->unit);
    srq_free(p->choices);
    srq_free(p->candidate);
    srq_free(p->bits);
    srq_free(p->loss);
    srq_free(p->chosen);
}

static int problem_init(struct problem *p, const struct srq_allocate_request *req, const struct srq_plan *plan,
                        struct srq_error *err)
{
    size_t n = (size_t)plan->count + 1, all = n * (size_t)req->candidates->count;

    *p = (struct problem){ .req = req, .plan = plan };
    p->unit = srq_calloc(n, sizeof(p->unit[0]));
    p->choices = srq_calloc(n, sizeof(p->choices[0]));
    p->chosen = srq_calloc(n, sizeof(p->chosen[0]));
    p->candidate = srq_calloc(all, sizeof(p->candidate[0]));
    p->bits = srq_calloc(all, sizeof(p->bits[0]));
    p->loss = srq_calloc(all, sizeof(p->loss[0]));
    if (p->unit == NULL || p->choices == NULL || p->chosen == NULL || p->candidate == NULL || p->bits == NULL ||
        p->loss == NULL) {
        problem_fini(p);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory allocating bits to %d layers", plan->count);
    }
    make_units(p);
    return 0;
}

static double average(const struct problem *p, uint64_t bits)
{
    return p->elements > 0 ? ((double)p->constant + (double)bits) / p->elements : 0;
}

char *srq_allocate_bounds_text(double least, double most, char *out, size_t cap)
{
    double low = ceil(least * (1 - ROUNDED) * 1e4) / 1e4, high = floor(most * (1 + ROUNDED) * 1e4) / 1e4;

    snprintf(out, cap, "%.4f to %.4f", low, high > low ? high : low); /* the slack covers a range without any such */
    return out;
}

int srq_allocate_bounds(const struct srq_allocate_request *req, const struct srq_plan *plan, double *least,
                        double *most, struct srq_error *err)
{
    struct problem p;
    int rc = problem_init(&p, req, plan, err);

    if (rc != 0)
        return rc;
    *least = average(&p, p.least);
    *most = average(&p, p.most);
    problem_fini(&p);
    return 0;
}

/* The refusal of a budget, with both bounds and what they have from layers that no candidate suits. */
static int refuse(const struct problem *p, double least, double most, struct srq_error *err)
{
    const struct srq_plan_layer *first = NULL;
    char bounds[40], text[32], stuck[300] = "";
    int count = 0;

    for (int i = 0; i < p->plan->count; i++) {
        const struct srq_plan_layer *l = &p->plan->layers[i];

        if (!srq_candidates_none(p->req->candidates, p->plan, i))
            continue;
        first = first == NULL ? l : first;
        count += srq_scheme_equal(&l->scheme, &first->scheme);
    }
    if (count > 1)
        snprintf(stuck, sizeof(stuck), "; no candidate suits %.200s and %d more, which count as %s", first->info->name,
                 count - 1, srq_scheme_text(&first->scheme, text, sizeof(text)));
    else if (count > 0)
        snprintf(stuck, sizeof(stuck), "; no candidate suits %.200s, which counts as %s", first->info->name,
                 srq_scheme_text(&first->scheme, text, sizeof(text)));
    return srq_fail_field(err, -SRQ_EINVAL, "budget.bits",
                          "a budget of %.6g bits is not possible: candidates and pins allow %s on average%s",
                          p->req->bits, srq_allocate_bounds_text(least, most, bounds, sizeof(bounds)), stuck);
}

/* Bits for the free units; what cannot be is refused. */
static int budget_of(const struct problem *p, uint64_t *budget, struct srq_error *err)
{
    double bits = p->req->bits, least = average(p, p->least), most = average(p, p->most), total;

    if (!(bits >= least * (1 - ROUNDED) && bits <= most + SLACK))
        return refuse(p, least, most, err);
    total = floor(p->elements * bits + 1e-6) - (double)p->constant;
    *budget = total > (double)p->least ? (uint64_t)total : p->least;
    return 0;
}

int srq_allocate_check(const struct srq_allocate_request *req, const struct srq_plan *plan, struct srq_error *err)
{
    struct problem p;
    uint64_t budget;
    int rc = problem_init(&p, req, plan, err);

    if (rc != 0)
        return rc;
    rc = budget_of(&p, &budget, err);
    problem_fini(&p);
    return rc;
}

/* The host believes no plugin: the choice is looked over and its figures are computed again. */
static int check(const struct problem *p, uint64_t budget, struct srq_alloc_result *r, struct srq_error *err)
{
    int count = p->req->candidates->count;

    r->bits = 0;
    r->loss = 0;
    for (int u = 0; u < p->units; u++) {
        size_t at = (size_t)u * (size_t)count;

        if (r->choice[u] < 0 || r->choice[u] >= p->choices[u])
            return srq_fail(err, -SRQ_ESTATE, "the allocator chose %d where a layer has %d choices", r->choice[u],
                            p->choices[u]);
        r->bits += p->bits[at + (size_t)r->choice[u]];
        r->loss += p->loss[at + (size_t)r->choice[u]];
    }
    if (r->bits > budget)
        return srq_fail(err, -SRQ_ESTATE, "the allocator's plan has %llu bits where %llu were allowed",
                        (unsigned long long)r->bits, (unsigned long long)budget);
    if (r->front_count < 0 || r->front_count > r->front_cap || !(r->bound <= r->loss + 1e-9 * fabs(r->loss)))
        return srq_fail(err, -SRQ_ESTATE, "the allocator's bound or front is not possible");
    r->bound = r->bound < r->loss ? r->bound : r->loss;
    return 0;
}

static int solve(const struct problem *p, uint64_t budget, struct srq_alloc_result *r, struct srq_error *err)
{
    int count = p->req->candidates->count, rc;
    struct srq_alloc_unit *units = srq_calloc((size_t)p->units + 1, sizeof(*units));
    const struct srq_alloc_unit **shown = srq_calloc((size_t)p->units + 1, sizeof(*shown));

    for (int u = 0; units != NULL && shown != NULL && u < p->units; u++) {
        units[u] = (struct srq_alloc_unit){ .size = sizeof(units[u]),
                                            .choices = p->choices[u],
                                            .bits = p->bits + (size_t)u * (size_t)count,
                                            .loss = p->loss + (size_t)u * (size_t)count };
        shown[u] = &units[u];
    }
    if (units != NULL && shown != NULL)
        rc = p->req->solver->solve(p->req->host, p->req->self, shown, p->units, budget, r, err);
    else
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory allocating bits");
    srq_free(units);
    srq_free(shown);
    if (rc != 0)
        return rc < 0 ? rc : -SRQ_EINVAL;
    return check(p, budget, r, err);
}

static void take(const struct problem *p, struct srq_plan *plan, const struct srq_alloc_result *r,
                 struct srq_allocation *out)
{
    const struct srq_candidates *list = p->req->candidates;

    for (int i = 0; i < plan->count; i++) {
        struct srq_plan_layer *l = &plan->layers[i];
        size_t at;

        if (p->unit[i] < 0)
            continue;
        at = (size_t)p->unit[i] * (size_t)list->count + (size_t)r->choice[p->unit[i]];
        l->scheme = l->asked = list->scheme[p->candidate[at]];
        l->source = SRQ_SOURCE_ALLOCATOR;
        l->pin = -1;
        l->why[0] = '\0';
    }
    out->average_bits = average(p, r->bits);
    out->loss = p->constant_loss + r->loss;
    out->bound = p->constant_loss + r->bound;
    out->front_count = r->front_count;
    for (int k = 0; k < r->front_count; k++) {
        out->front[k].average_bits = average(p, r->front_bits[k]);
        out->front[k].loss = p->constant_loss + r->front_loss[k];
    }
}

int srq_allocate(const struct srq_allocate_request *req, struct srq_plan *plan, struct srq_allocation *out,
                 struct srq_error *err)
{
    uint64_t front_bits[SRQ_FRONT_MAX];
    double front_loss[SRQ_FRONT_MAX];
    struct srq_alloc_result r = {
        .size = sizeof(r), .front_cap = SRQ_FRONT_MAX, .front_bits = front_bits, .front_loss = front_loss
    };
    struct problem p;
    uint64_t budget = 0;
    int rc = problem_init(&p, req, plan, err);

    if (rc != 0)
        return rc;
    *out =
        (struct srq_allocation){ .target_bits = req->bits, .least = average(&p, p.least), .most = average(&p, p.most) };
    r.choice = p.chosen;
    rc = budget_of(&p, &budget, err);
    if (rc == 0)
        rc = solve(&p, budget, &r, err);
    if (rc == 0)
        take(&p, plan, &r, out);
    problem_fini(&p);
    return rc;
}

/* ---- choices that can be stored ---------------------------------------------------------------------------------- */

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Gives every free unit the choice that is nearest to the size of what its layers ask for, or to nothing. */
static int choose_by_size(const struct srq_allocate_request *request, struct srq_plan *plan, const bool *fixed,
                          bool nearest, struct srq_error *err)
{
    struct srq_allocate_request req = *request;
    uint64_t *have = srq_calloc((size_t)plan->count + 1, sizeof(*have));
    struct problem p;
    int rc;

    req.fixed = fixed;
    rc = problem_init(&p, &req, plan, err);
    if (rc == 0 && have == NULL) {
        problem_fini(&p);
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory allocating bits");
    }
    for (int i = 0; rc == 0 && nearest && i < plan->count; i++) {
        if (p.unit[i] >= 0)
            have[p.unit[i]] += layer_bits(plan->layers[i].info, &plan->layers[i].asked);
    }
    for (int i = 0; rc == 0 && i < plan->count; i++) {
        int u = p.unit[i], best = 0;
        size_t at = (size_t)(u < 0 ? 0 : u) * (size_t)req.candidates->count;

        if (u < 0)
            continue;
        for (int k = 1; k < p.choices[u]; k++)
            best = distance(p.bits[at + (size_t)k], have[u]) < distance(p.bits[at + (size_t)best], have[u]) ? k : best;
        plan->layers[i].scheme = plan->layers[i].asked = req.candidates->scheme[p.candidate[at + (size_t)best]];
    }
    if (rc == 0)
        problem_fini(&p);
    srq_free(have);
    return rc;
}

int srq_allocate_least(void *request, struct srq_plan *plan, const bool *fixed, struct srq_error *err)
{
    return choose_by_size(request, plan, fixed, false, err);
}

int srq_allocate_nearest(void *request, struct srq_plan *plan, const bool *fixed, struct srq_error *err)
{
    return choose_by_size(request, plan, fixed, true, err);
}

/* One choice, fitted; *more: some layer takes more bits than it was counted with, and is fixed now. */
static int choose_once(struct srq_plan *plan, bool *fixed, struct srq_scheme *counted,
                       const struct srq_plan_request *fit, srq_choose_schemes choose, void *ctx, bool *more,
                       struct srq_error *err)
{
    int rc = choose(ctx, plan, fixed, err);

    for (int i = 0; rc == 0 && i < plan->count; i++)
        counted[i] = plan->layers[i].scheme;
    if (rc == 0)
        rc = srq_plan_fit(plan, fit, err);
    *more = false;
    for (int i = 0; rc == 0 && i < plan->count; i++) {
        const struct srq_plan_layer *l = &plan->layers[i];

        if (layer_bits(l->info, &l->scheme) > layer_bits(l->info, &counted[i]))
            fixed[i] = *more = true;
    }
    return rc;
}

int srq_allocate_fitting(struct srq_plan *plan, bool *fixed, const struct srq_plan_request *fit,
                         srq_choose_schemes choose, void *ctx, struct srq_error *err)
{
    struct srq_scheme *counted = srq_calloc((size_t)plan->count + 1, sizeof(*counted));
    struct srq_plan_request first = *fit;
    bool more = true;
    int rc;

    first.refuse_incompatible = false; /* most of what is refused will be replaced */
    rc = counted != NULL ? srq_plan_fit(plan, &first, err)
                         : srq_fail(err, -SRQ_ENOMEM, "out of memory allocating bits to %d layers", plan->count);
    for (int i = 0; rc == 0 && i < plan->count; i++) {
        if (plan->layers[i].source == SRQ_SOURCE_PIN)
            plan->layers[i].scheme = plan->layers[i].asked;
    }
    while (rc == 0 && more) /* every round fixes another layer */
        rc = choose_once(plan, fixed, counted, fit, choose, ctx, &more, err);
    srq_free(counted);
    return rc;
}
