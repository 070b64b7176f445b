/* What a budget adds to a resolved job. */
#include "core/job/budget.h"

#include "core/base/alloc.h"
#include "core/math/team.h"

#include <math.h>

/* Partial plans: lists grow with the layers, and end where the search does. */
#define SOLVER_BYTES_LAYER ((uint64_t)64 << 10)
#define SOLVER_BYTES_MOST ((uint64_t)40 << 20)

/* ---- scorer and allocator ---------------------------------------------------------------------------------------- */

static int create(const struct srq_resolved *r, int plugin, void **self, struct srq_error *err)
{
    const struct srq_spec_plugin *p = &r->job.spec.plugins[plugin];
    int rc = p->handle.plugin->create(srq_host_services(), p->options, self, err);

    return rc > 0 ? -SRQ_EINVAL : rc;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What the scorer asks for, where it does not care what the job has, and what the model has positions for. */
static int ask_data(struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_scorer *scorer = srq_spec_scorer(&r->job.spec)->scorer;
    struct srq_score_data d = { .size = sizeof(d) };
    int rc = scorer->data(srq_host_services(), r->job.scorer_self, &d, err);

    if (rc != 0)
        return rc < 0 ? rc : -SRQ_EINVAL;
    d.nsamples = d.nsamples > 0 ? d.nsamples : r->job.spec.opt.nsamples;
    d.seqlen = d.seqlen > 0 ? d.seqlen : r->job.spec.opt.seqlen;
    d.batch = smaller(d.batch > 0 ? d.batch : r->choice.batch, d.nsamples);
    if (r->job.info->max_positions > 0 && d.seqlen > r->job.info->max_positions)
        d.seqlen = r->job.info->max_positions;
    if (d.seqlen < 2)
        return srq_fail(err, -SRQ_EINVAL, "%s wants samples of %lld tokens", srq_spec_scorer(&r->job.spec)->name,
                        (long long)d.seqlen);
    r->job.score_data = d;
    return 0;
}

int srq_budget_open(struct srq_resolved *r, struct srq_error *err)
{
    int rc;

    if (!srq_spec_has_budget(&r->job.spec))
        return 0;
    rc = create(r, r->job.spec.scorer, &r->job.scorer_self, err);
    if (rc == 0 && r->job.spec.allocator == r->job.spec.scorer)
        r->job.allocator_self = r->job.scorer_self;
    else if (rc == 0)
        rc = create(r, r->job.spec.allocator, &r->job.allocator_self, err);
    return rc == 0 ? ask_data(r, err) : rc;
}

void srq_budget_close(struct srq_resolved *r)
{
    if (r->job.allocator_self != NULL && r->job.allocator_self != r->job.scorer_self)
        srq_spec_allocator(&r->job.spec)->destroy(srq_host_services(), r->job.allocator_self);
    if (r->job.scorer_self != NULL)
        srq_spec_scorer(&r->job.spec)->destroy(srq_host_services(), r->job.scorer_self);
    r->job.scorer_self = r->job.allocator_self = NULL;
    srq_candidates_fini(&r->job.candidates);
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

static bool *allowed(const struct srq_resolved *r, int layer, int candidate)
{
    return &r->job.candidates.allowed[(size_t)layer * (size_t)r->job.candidates.count + (size_t)candidate];
}

static bool up_to_allocator(const struct srq_resolved *r, int layer)
{
    return r->job.layers[layer]->block >= 0 && r->choice.plan.layers[layer].source != SRQ_SOURCE_PIN;
}

/* What a layer has that the allocator does not choose for. A pin counts as asked for: whether it can be stored may hang
 * on what the allocator gives to the layers that are fused with it. */
static struct srq_scheme decided(const struct srq_resolved *r, int layer)
{
    const struct srq_plan_layer *l = &r->choice.plan.layers[layer];

    return l->source == SRQ_SOURCE_PIN ? l->asked : l->scheme;
}

/* The quantizer's own word on a layer under a scheme. */
static bool accepted(const struct srq_resolved *r, int layer, const struct srq_scheme *s)
{
    const struct srq_plugin *p = srq_spec_quantizer(&r->job.spec);
    const struct srq_layer_info *info = r->job.layers[layer];
    struct srq_tensor weight = srq_tensor_2d(NULL, info->dtype, info->out, info->in);
    struct srq_groups groups = srq_groups_of(info->out, info->in, s->group);
    struct srq_layer l = { .size = sizeof(l),
                           .name = info->name,
                           .block = info->block,
                           .weight = &weight,
                           .scheme = s,
                           .groups = &groups,
                           .tensor_scale = 1 };

    for (int i = layer; i > 0 && r->job.layers[i - 1]->block == info->block; i--)
        l.index++;
    return s->grid == SRQ_GRID_NONE || p->accepts == NULL ||
           p->accepts(srq_host_services(), r->job.self, &l, NULL) == 0;
}

static void ask_shapes(struct srq_resolved *r)
{
    for (int i = 0; i < r->job.layer_count; i++) {
        for (int c = 0; c < r->job.candidates.count; c++) {
            const struct srq_scheme *s = &r->job.candidates.scheme[c];

            *allowed(r, i, c) =
                r->job.layers[i]->block >= 0 && (s->grid == SRQ_GRID_NONE || srq_grid(s->grid) != NULL) &&
                srq_scheme_refuses(s, r->job.layers[i]->out, r->job.layers[i]->in) == NULL && accepted(r, i, s);
        }
    }
}

typedef char reason_text[SRQ_PLAN_REASON_MAX];

/* Every candidate on all layers at once: what a format refuses, a layer cannot become. */
static int ask_each(struct srq_resolved *r, struct srq_scheme *schemes, reason_text *reason, struct srq_error *err)
{
    int rc = 0;

    for (int c = 0; rc >= 0 && c < r->job.candidates.count; c++) {
        for (int i = 0; i < r->job.layer_count; i++) {
            schemes[i] = up_to_allocator(r, i) && *allowed(r, i, c) ? r->job.candidates.scheme[c] : decided(r, i);
            reason[i][0] = '\0';
        }
        rc = srq_resolved_formats(r, schemes, reason, err);
        for (int i = 0; rc > 0 && i < r->job.layer_count; i++) {
            if (reason[i][0] != '\0' && up_to_allocator(r, i))
                *allowed(r, i, c) = false;
        }
    }
    return rc < 0 ? rc : 0;
}

/* A mixed plan: each tie group gets another candidate that all of it can have. */
static void mix(struct srq_resolved *r, struct srq_scheme *schemes, bool *mixed)
{
    int turn = 0;

    for (int i = 0; i < r->job.layer_count; i++) {
        int before = i - 1, c;

        schemes[i] = decided(r, i);
        mixed[i] = false;
        if (!up_to_allocator(r, i))
            continue;
        while (before >= 0 && r->job.layers[before]->block == r->job.layers[i]->block &&
               !(srq_layers_tied(r->job.layers[before], r->job.layers[i]) && up_to_allocator(r, before)))
            before--;
        if (before >= 0 && r->job.layers[before]->block == r->job.layers[i]->block) {
            schemes[i] = schemes[before];
            mixed[i] = mixed[before];
            continue;
        }
        for (int k = 0; k < r->job.candidates.count && !mixed[i]; k++) {
            bool all = true;

            c = (turn + k) % r->job.candidates.count;
            for (int m = i; m < r->job.layer_count && r->job.layers[m]->block == r->job.layers[i]->block; m++)
                all = all && ((m != i && !srq_layers_tied(r->job.layers[m], r->job.layers[i])) ||
                              !up_to_allocator(r, m) || *allowed(r, m, c));
            mixed[i] = all;
            if (all)
                schemes[i] = r->job.candidates.scheme[c];
        }
        turn++;
    }
}

/* Formats with one scheme for all layers have nothing to allocate. */
static int ask_mixed(struct srq_resolved *r, struct srq_scheme *schemes, reason_text *reason, bool *mixed,
                     struct srq_error *err)
{
    int rc;

    mix(r, schemes, mixed);
    for (int i = 0; i < r->job.layer_count; i++)
        reason[i][0] = '\0';
    rc = srq_resolved_formats(r, schemes, reason, err);
    for (int i = 0; rc > 0 && i < r->job.layer_count; i++) {
        if (reason[i][0] != '\0' && mixed[i])
            return srq_fail_field(err, -SRQ_EUNSUPPORTED, "formats",
                                  "a budget mixes schemes, which an export format of the job cannot carry: %s",
                                  reason[i]);
    }
    return rc < 0 ? rc : 0;
}

/* Against the smallest plan that can be stored: what stays in 16 bits counts as that. */
static int check_bounds(struct srq_resolved *r, bool *fixed, struct srq_error *err)
{
    struct srq_plan_request fit = { .refuse_incompatible = r->job.spec.refuse_incompatible,
                                    .formats = srq_resolved_formats,
                                    .formats_ctx = r };
    struct srq_allocate_request req = srq_budget_request(r, &r->choice.plan, NULL, fixed);
    struct srq_plan least = { 0 };
    int rc = srq_plan_copy(&r->choice.plan, &least, err);

    if (rc == 0)
        rc = srq_allocate_fitting(&least, fixed, &fit, srq_allocate_least, &req, err);
    if (rc == 0)
        rc = srq_allocate_check(&req, &least, err);
    srq_plan_fini(&least);
    return rc;
}

int srq_budget_settle(struct srq_resolved *r, struct srq_error *err)
{
    size_t n = (size_t)r->job.layer_count + 1;
    struct srq_scheme *schemes;
    reason_text *reason;
    bool *flags;
    int rc;

    if (!srq_spec_has_budget(&r->job.spec))
        return 0;
    schemes = srq_calloc(n, sizeof(*schemes));
    reason = srq_calloc(n, sizeof(*reason));
    flags = srq_calloc(n, sizeof(*flags));
    rc = srq_candidates_init(&r->job.candidates, r->job.spec.candidates, r->job.spec.candidate_count,
                             r->job.layer_count, err);
    if (rc == 0 && (schemes == NULL || reason == NULL || flags == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory looking at candidates");
    if (rc == 0) {
        ask_shapes(r);
        rc = ask_each(r, schemes, reason, err);
    }
    if (rc == 0)
        rc = ask_mixed(r, schemes, reason, flags, err);
    if (rc == 0)
        rc = check_bounds(r, flags, err);
    srq_free(flags);
    srq_free(reason);
    srq_free(schemes);
    return rc;
}

struct srq_allocate_request srq_budget_request(const struct srq_resolved *r, const struct srq_plan *plan,
                                               const struct srq_scores *scores, bool *fixed)
{
    for (int i = 0; i < plan->count; i++)
        fixed[i] = plan->layers[i].source == SRQ_SOURCE_PIN;
    return (struct srq_allocate_request){ .solver = srq_spec_allocator(&r->job.spec)->allocator,
                                          .self = r->job.allocator_self,
                                          .host = srq_host_services(),
                                          .candidates = &r->job.candidates,
                                          .scores = scores,
                                          .bits = r->job.spec.budget_bits,
                                          .fixed = fixed };
}

/* ---- scoring ----------------------------------------------------------------------------------------------------- */

struct srq_scoring_config srq_budget_scoring(const struct srq_resolved *r, int64_t nsamples)
{
    int64_t batch = smaller(r->job.score_data.batch, nsamples), all = (nsamples + batch - 1) / batch * batch;

    return (struct srq_scoring_config){ .model = r->job.model,
                                        .plugin = srq_spec_scorer(&r->job.spec),
                                        .self = r->job.scorer_self,
                                        .candidates = r->job.candidates.scheme,
                                        .candidate_count = r->job.candidates.count,
                                        .nsamples = nsamples,
                                        .seq = r->job.score_data.seqlen,
                                        .batch = batch,
                                        .sweep = r->choice.score_sweep > 0 ? smaller(r->choice.score_sweep * batch, all)
                                                                           : all,
                                        .compute = r->job.compute };
}

void srq_budget_point(const struct srq_resolved *r, int candidate, struct srq_scheme *schemes)
{
    const struct srq_scheme *s = &r->job.candidates.scheme[candidate],
                            untouched = { .grid = SRQ_GRID_NONE, .bits = 16 };

    for (int i = 0; i < r->job.layer_count; i++) {
        bool carries =
            r->job.layers[i]->block >= 0 && srq_scheme_refuses(s, r->job.layers[i]->out, r->job.layers[i]->in) == NULL;

        schemes[i] = carries ? *s : untouched;
    }
}

int srq_budget_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err)
{
    struct srq_scoring_config cfg;
    struct srq_memory_rows rows = { .count = 0 };
    uint64_t solver = (uint64_t)r->job.layer_count * SOLVER_BYTES_LAYER;
    int rc;

    if (!srq_spec_has_budget(&r->job.spec))
        return 0;
    cfg = srq_budget_scoring(r, r->job.score_data.nsamples);
    rc = srq_scoring_footprint(&cfg, &rows, err);
    srq_needs_add(memory, "score", "scoring: token ids", (uint64_t)(cfg.nsamples * cfg.seq) * sizeof(int32_t));
    if (rc == 0)
        srq_needs_add_all(memory, "score", &rows);
    srq_needs_add(memory, "all", "scores",
                  (uint64_t)r->job.layer_count * (uint64_t)r->job.candidates.count * sizeof(double));
    srq_needs_add(memory, "allocate", "partial plans", solver < SOLVER_BYTES_MOST ? solver : SOLVER_BYTES_MOST);
    return rc;
}

/* What cannot be stored stays in 16 bits; every round takes a layer away. */
static int leave_refused(struct srq_resolved *r, struct srq_scheme *schemes, struct srq_error *err)
{
    reason_text *reason = srq_calloc((size_t)r->job.layer_count + 1, sizeof(*reason));
    int rc = reason != NULL ? 1 : srq_fail(err, -SRQ_ENOMEM, "out of memory planning a budget");

    while (rc > 0) {
        memset(reason, 0, (size_t)r->job.layer_count * sizeof(*reason));
        rc = srq_resolved_formats(r, schemes, reason, err);
        for (int i = 0; rc > 0 && i < r->job.layer_count; i++) {
            if (reason[i][0] != '\0')
                schemes[i] = srq_scheme_none();
        }
    }
    srq_free(reason);
    return rc;
}

int srq_budget_largest(struct srq_resolved *r, struct srq_scheme *schemes, struct srq_error *err)
{
    for (int i = 0; i < r->job.layer_count; i++) {
        const struct srq_layer_info *l = r->job.layers[i];
        int64_t most = -1;

        schemes[i] = decided(r, i);
        for (int c = 0; up_to_allocator(r, i) && c < r->job.candidates.count; c++) {
            const struct srq_scheme *s = &r->job.candidates.scheme[c];
            int64_t groups = s->grid != SRQ_GRID_NONE ? srq_groups_of(l->out, l->in, s->group).count : 0;

            if (!*allowed(r, i, c) || groups <= most)
                continue;
            most = groups;
            schemes[i] = *s;
        }
    }
    return leave_refused(r, schemes, err);
}
