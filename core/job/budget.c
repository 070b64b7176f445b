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

/* Why a layer cannot have a scheme, by its shape or in the quantizer's own words; NULL: it can. */
static const char *refuses(const struct srq_resolved *r, int layer, const struct srq_scheme *s, struct srq_error *words)
{
    const struct srq_plugin *p = srq_spec_quantizer(&r->job.spec);
    const struct srq_layer_info *info = r->job.layers[layer];
    const char *shape = srq_scheme_refuses(s, info->out, info->in);
    struct srq_tensor weight = srq_tensor_2d(NULL, info->dtype, info->out, info->in);
    struct srq_groups groups = srq_groups_of(info->out, info->in, s->group);
    struct srq_layer l = { .size = sizeof(l),
                           .name = info->name,
                           .block = info->block,
                           .weight = &weight,
                           .scheme = s,
                           .groups = &groups,
                           .tensor_scale = 1 };

    if (shape != NULL || s->grid == SRQ_GRID_NONE || p->accepts == NULL)
        return shape;
    for (int i = layer; i > 0 && r->job.layers[i - 1]->block == info->block; i--)
        l.index++;
    return p->accepts(srq_host_services(), r->job.self, &l, words) == 0 ? NULL : words->text;
}

typedef char reason_text[SRQ_PLAN_REASON_MAX];

/* The first reason against a candidate is kept, with the layer that it is about. */
static void keep_reason(char *kept, const char *layer, const char *reason)
{
    bool named = strncmp(reason, layer, strlen(layer)) == 0;

    if (kept[0] == '\0')
        snprintf(kept, SRQ_PLAN_REASON_MAX, "%.100s%s%.130s", named ? "" : layer, named ? "" : ": ", reason);
}

/* The candidates of the specification; behind them, for layers whose rows are no super-blocks, what k-quants become
 * there by default. Returns how many. */
static int list_candidates(const struct srq_resolved *r, struct srq_scheme list[SRQ_CANDIDATES_MAX])
{
    const struct srq_spec *spec = &r->job.spec;
    int count = spec->candidate_count;

    memcpy(list, spec->candidates, (size_t)count * sizeof(*list));
    for (int c = 0; c < spec->candidate_count; c++) {
        for (int i = 0; i < r->job.layer_count && list[c].grid == SRQ_GRID_K; i++) {
            struct srq_scheme instead = srq_plan_default(r->job.layers[i], &list[c]);
            bool there = r->job.layers[i]->block < 0;

            for (int k = 0; k < count; k++)
                there = there || srq_scheme_equal(&list[k], &instead);
            if (!there && count < SRQ_CANDIDATES_MAX)
                list[count++] = instead;
        }
    }
    return count;
}

/* Whether a layer that could have one of the k-quants is offered what stands in for them. */
static bool is_needless(const struct srq_resolved *r, int layer, int candidate)
{
    const struct srq_layer_info *info = r->job.layers[layer];
    bool holds = false;

    for (int c = 0; c < r->job.spec.candidate_count; c++)
        holds = holds || (r->job.candidates.scheme[c].grid == SRQ_GRID_K &&
                          srq_scheme_refuses(&r->job.candidates.scheme[c], info->out, info->in) == NULL);
    return holds && candidate >= r->job.spec.candidate_count;
}

static void ask_shapes(struct srq_resolved *r, reason_text *against)
{
    for (int i = 0; i < r->job.layer_count; i++) {
        for (int c = 0; c < r->job.candidates.count; c++) {
            struct srq_error words = { 0 };
            const char *why = refuses(r, i, &r->job.candidates.scheme[c], &words);

            *allowed(r, i, c) = r->job.layers[i]->block >= 0 && why == NULL && !is_needless(r, i, c);
            if (r->job.layers[i]->block >= 0 && why != NULL)
                keep_reason(against[c], r->job.layers[i]->name, why);
        }
    }
}

/* One candidate on all layers at once: what a format refuses, a layer cannot become. Pinned layers are asked as if they
 * were not, for pins may be taken back; the others with the pins beside them. */
static int ask_one(struct srq_resolved *r, int c, bool pinned, struct srq_scheme *schemes, reason_text *reason,
                   char *against, struct srq_error *err)
{
    int rc;

    for (int i = 0; i < r->job.layer_count; i++) {
        bool takes = r->job.layers[i]->block >= 0 && (pinned || up_to_allocator(r, i)) && *allowed(r, i, c);

        schemes[i] = takes ? r->job.candidates.scheme[c] : decided(r, i);
        reason[i][0] = '\0';
    }
    rc = srq_resolved_formats(r, schemes, reason, err);
    for (int i = 0; rc > 0 && i < r->job.layer_count; i++) {
        if (reason[i][0] == '\0' || r->job.layers[i]->block < 0 || pinned == up_to_allocator(r, i))
            continue;
        *allowed(r, i, c) = false;
        keep_reason(against, r->job.layers[i]->name, reason[i]);
    }
    return rc < 0 ? rc : 0;
}

static int ask_each(struct srq_resolved *r, struct srq_scheme *schemes, reason_text *reason, reason_text *against,
                    struct srq_error *err)
{
    bool pins = false;
    int rc = 0;

    for (int i = 0; i < r->job.layer_count; i++)
        pins = pins || (r->job.layers[i]->block >= 0 && !up_to_allocator(r, i));
    for (int c = 0; rc == 0 && c < r->job.candidates.count; c++) {
        rc = ask_one(r, c, false, schemes, reason, against[c], err);
        if (rc == 0 && pins)
            rc = ask_one(r, c, true, schemes, reason, against[c], err);
    }
    return rc;
}

/* Candidates that no layer can hold would be scored for nothing. */
static int drop_useless(struct srq_resolved *r, const reason_text *against, struct srq_error *err)
{
    struct srq_candidates *all = &r->job.candidates;
    bool keep[SRQ_CANDIDATES_MAX] = { false }, any = false;
    char text[32];

    for (int i = 0; i < all->layers * all->count; i++)
        keep[i % all->count] = keep[i % all->count] || all->allowed[i];
    for (int c = 0; c < all->count; c++)
        any = any || keep[c];
    if (!any)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "budget.candidates",
                              "no layer can hold any of the candidates; %s: %s",
                              srq_scheme_text(&all->scheme[0], text, sizeof(text)), against[0]);
    for (int c = 0; c < all->count; c++) {
        if (!keep[c])
            srq_resolved_note(r, "candidate %s is left out, no layer can hold it: %s",
                              srq_scheme_text(&all->scheme[c], text, sizeof(text)), against[c]);
    }
    srq_candidates_keep(all, keep);
    return 0;
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

/* ---- until the allocator has chosen ------------------------------------------------------------------------------ */

static struct srq_plan_request fit_request(const struct srq_resolved *r)
{
    return (struct srq_plan_request){ .refuse_incompatible = r->job.spec.refuse_incompatible,
                                      .formats = srq_resolved_formats,
                                      .formats_ctx = (void *)(uintptr_t)r };
}

/* Whether the layer has to stay in 16 bits though the allocator has a candidate for it. */
static bool left(const struct srq_resolved *r, const struct srq_plan *plan, int i)
{
    return plan->layers[i].why[0] != '\0' && plan->layers[i].info->block >= 0 &&
           plan->layers[i].source != SRQ_SOURCE_PIN && !srq_candidates_none(&r->job.candidates, plan, i);
}

static bool any_left(const struct srq_resolved *r, const struct srq_plan *plan)
{
    bool any = false;

    for (int i = 0; i < plan->count && !any; i++)
        any = left(r, plan, i);
    return any;
}

/* Against the smallest plan that can be stored: what stays in 16 bits counts as that. */
static int check_bounds(const struct srq_resolved *r, const struct srq_plan *plan, double bits, bool *fixed,
                        struct srq_error *err)
{
    struct srq_plan_request fit = fit_request(r);
    struct srq_allocate_request req = srq_budget_request(r, NULL, bits, fixed);
    struct srq_plan least = { 0 };
    int rc = srq_plan_copy(plan, &least, err);

    for (int i = 0; i < plan->count; i++)
        fixed[i] = plan->layers[i].source == SRQ_SOURCE_PIN;
    if (rc == 0)
        rc = srq_allocate_fitting(&least, fixed, &fit, srq_allocate_least, &req, err);
    if (rc == 0)
        rc = srq_allocate_check(&req, &least, err);
    srq_plan_fini(&least);
    return rc;
}

int srq_budget_expect(void *resolved, struct srq_plan *plan, double bits, struct srq_error *err)
{
    const struct srq_resolved *r = resolved;
    struct srq_plan_request fit = fit_request(r), lenient = fit;
    bool *fixed = srq_calloc((size_t)plan->count + 1, sizeof(*fixed));
    struct srq_allocate_request req = srq_budget_request(r, NULL, bits, fixed);
    int rc = fixed != NULL ? check_bounds(r, plan, bits, fixed, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    lenient.refuse_incompatible = false;
    if (rc == 0)
        rc = srq_plan_fit(plan, &lenient, err);
    /* First those alone that cannot have the default; where that cannot be mixed with candidates, all. */
    for (int all = 0; rc == 0 && all < 2 && any_left(r, plan); all++) {
        for (int i = 0; i < plan->count; i++)
            fixed[i] = plan->layers[i].source == SRQ_SOURCE_PIN || (!all && !left(r, plan, i));
        rc = srq_allocate_fitting(plan, fixed, &lenient, srq_allocate_nearest, &req, err);
    }
    srq_free(fixed);
    return rc == 0 ? srq_plan_fit(plan, &fit, err) : rc;
}

/* Layers that no candidate suits, one sentence for each scheme that they are stored in. */
static void note_none(struct srq_resolved *r, bool *none)
{
    const struct srq_plan *p = &r->choice.plan;
    char text[32];

    for (int i = 0; i < p->count; i++)
        none[i] = srq_candidates_none(&r->job.candidates, p, i);
    for (int i = 0; i < p->count; i++) {
        bool told = !none[i];
        int same = 0;

        for (int k = 0; k < p->count && !told; k++) {
            bool like = k != i && none[k] && srq_scheme_equal(&p->layers[k].scheme, &p->layers[i].scheme);

            told = like && k < i;
            same += like;
        }
        srq_scheme_text(&p->layers[i].scheme, text, sizeof(text));
        if (!told && same > 0)
            srq_resolved_note(r, "no candidate suits %s and %d more, which are stored as %s", p->layers[i].info->name,
                              same, text);
        else if (!told)
            srq_resolved_note(r, "no candidate suits %s, which is stored as %s", p->layers[i].info->name, text);
    }
}

int srq_budget_settle(struct srq_resolved *r, struct srq_error *err)
{
    size_t n = (size_t)r->job.layer_count + 1;
    struct srq_scheme *schemes;
    struct srq_scheme list[SRQ_CANDIDATES_MAX];
    reason_text *reason, *against;
    bool *flags;
    int rc;

    if (!srq_spec_has_budget(&r->job.spec))
        return 0;
    schemes = srq_calloc(n, sizeof(*schemes));
    reason = srq_calloc(n, sizeof(*reason));
    against = srq_calloc(SRQ_CANDIDATES_MAX, sizeof(*against));
    flags = srq_calloc(n, sizeof(*flags));
    rc = srq_candidates_init(&r->job.candidates, list, list_candidates(r, list), r->job.layer_count, err);
    if (rc == 0 && (schemes == NULL || reason == NULL || against == NULL || flags == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory looking at candidates");
    if (rc == 0) {
        ask_shapes(r, against);
        rc = ask_each(r, schemes, reason, against, err);
    }
    if (rc == 0)
        rc = drop_useless(r, (const reason_text *)against, err);
    if (rc == 0)
        rc = ask_mixed(r, schemes, reason, flags, err);
    if (rc == 0)
        rc = srq_budget_expect(r, &r->choice.plan, r->job.spec.budget_bits, err);
    if (rc == 0)
        note_none(r, flags);
    srq_free(flags);
    srq_free(against);
    srq_free(reason);
    srq_free(schemes);
    return rc;
}

struct srq_allocate_request srq_budget_request(const struct srq_resolved *r, const struct srq_scores *scores,
                                               double bits, const bool *fixed)
{
    return (struct srq_allocate_request){ .solver = srq_spec_allocator(&r->job.spec)->allocator,
                                          .self = r->job.allocator_self,
                                          .host = srq_host_services(),
                                          .candidates = &r->job.candidates,
                                          .scores = scores,
                                          .bits = bits,
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
