/* Working a change of the live plan out: who is meant, what they get, what has to be tuned again, what it
 * costs. */
#include "core/budget/live.h"
#include "core/budget/scores.h"

#include "core/base/alloc.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const struct srq_scheme untouched = { .grid = SRQ_GRID_NONE, .bits = 16 };

struct making {
    const struct srq_change_context *ctx;
    const struct srq_change *change;
    struct srq_change_result *out;
    struct srq_live_plan *next; /* &out->next */
    bool *named;                /* [layers] by a pattern of the request */
    int *touched;               /* [layers] by which pin of the request, ties included; -1: none */
    bool *released;             /* [layers] lost their pin */
    bool *again;                /* [units] asked to be tuned again */
    int matched;
    bool holds; /* the running unit was told to finish as it is */
    struct srq_error *err;
};

static int layers_of(const struct making *m)
{
    return m->next->plan.count;
}

static struct srq_plan_layer *layer(const struct making *m, int i)
{
    return &m->next->plan.layers[i];
}

/* ---- who is meant ------------------------------------------------------------------------------------------------ */

/* Calls `each` for the layers that a pattern names; a pattern that names none is an error. */
static int for_matches(struct making *m, const char *text, bool (*each)(struct making *m, int i, bool exact, int which),
                       int which)
{
    struct srq_pattern *pattern;
    int found = 0, rc = srq_pattern_compile(text, &pattern, m->err);

    if (rc != 0)
        return rc;
    for (int i = 0; i < layers_of(m); i++) {
        const char *name = layer(m, i)->info->name;

        if (!srq_pattern_match(pattern, name))
            continue;
        found++;
        if (each(m, i, srq_pattern_exact(pattern, name), which) && !m->named[i]) {
            m->named[i] = true;
            m->matched++;
        }
    }
    srq_pattern_free(pattern);
    return found > 0 ? 0 : srq_plan_no_match(&m->next->plan, text, m->err);
}

/* Layers tied to layer i: calls fn for each. They are neighbours in the model's order. */
static int for_ties(struct making *m, int i, int (*fn)(struct making *m, int i, int other))
{
    const struct srq_plan_layer *a = layer(m, i);
    int first = i, rc = 0;

    while (first > 0 && layer(m, first - 1)->info->block == a->info->block)
        first--;
    for (int k = first; rc == 0 && k < layers_of(m) && layer(m, k)->info->block == a->info->block; k++) {
        if (k != i && srq_plan_tied(a, layer(m, k)))
            rc = fn(m, i, k);
    }
    return rc;
}

/* ---- pin --------------------------------------------------------------------------------------------------------- */

static void decide(struct making *m, int i, const struct srq_scheme *scheme, int which, bool untied)
{
    struct srq_plan_layer *l = layer(m, i);

    l->asked = *scheme;
    l->source = SRQ_SOURCE_PIN;
    l->untied = untied;
    m->touched[i] = which;
}

static bool pin_layer(struct making *m, int i, bool exact, int which)
{
    const struct srq_pin *p = &m->change->pins[which];

    /* What is outside the blocks is meant only by its own name, unless the job quantizes it anyway. */
    if (layer(m, i)->info->block < 0 && !m->next->quant_lm_head && !exact)
        return false;
    decide(m, i, &p->scheme, which, p->untied);
    return true;
}

static int pin_tie(struct making *m, int i, int other)
{
    const struct srq_plan_layer *a = layer(m, i), *b = layer(m, other);
    char x[32], y[32];

    if (m->touched[other] < 0) {
        if (b->source != SRQ_SOURCE_PIN || !b->untied) /* one that was untied goes its own way */
            decide(m, other, &a->asked, m->touched[i], false);
        return 0;
    }
    if (b->untied || srq_scheme_equal(&a->asked, &b->asked))
        return 0;
    return srq_fail_field(
        m->err, -SRQ_EINVAL, "pins",
        "%s is pinned to %s and %s to %s, but runtimes fuse them: give them one scheme, or say \"untied\"",
        a->info->name, srq_scheme_text(&a->asked, x, sizeof(x)), b->info->name,
        srq_scheme_text(&b->asked, y, sizeof(y)));
}

static int keep_pin(struct making *m, const struct srq_pin *p)
{
    struct srq_live_plan *lp = m->next;
    struct srq_pin *pins;
    int n = 0;

    for (int i = 0; i < lp->pin_count; i++) { /* the same words said before mean this now */
        if (strcmp(lp->pins[i].pattern, p->pattern) == 0)
            srq_free(lp->pins[i].pattern);
        else
            lp->pins[n++] = lp->pins[i];
    }
    lp->pin_count = n;
    pins = srq_reallocarray(lp->pins, (size_t)n + 2, sizeof(*pins));
    if (pins == NULL)
        return srq_fail(m->err, -SRQ_ENOMEM, "out of memory for a pin");
    lp->pins = pins;
    pins[n] = *p;
    pins[n].pattern = srq_strdup(p->pattern);
    if (pins[n].pattern == NULL)
        return srq_fail(m->err, -SRQ_ENOMEM, "out of memory for a pin");
    lp->pin_count = n + 1;
    return 0;
}

/* Whether the pin is for any layer: not where all that it names lies outside the blocks. */
static bool decides(const struct making *m, int which)
{
    for (int i = 0; i < layers_of(m); i++) {
        if (m->touched[i] == which)
            return true;
    }
    return false;
}

static int apply_pins(struct making *m)
{
    int rc = 0;

    for (int p = 0; rc == 0 && p < m->change->pin_count; p++) {
        rc = for_matches(m, m->change->pins[p].pattern, pin_layer, p);
        if (rc == 0 && decides(m, p))
            rc = keep_pin(m, &m->change->pins[p]);
    }
    for (int i = 0; rc == 0 && i < layers_of(m); i++) {
        if (m->named[i] && !layer(m, i)->untied && layer(m, i)->info->tie >= 0)
            rc = for_ties(m, i, pin_tie);
    }
    for (int p = 0; rc == 0 && p < m->change->pin_count; p++) {
        int widened = 0;
        char text[32];

        for (int i = 0; i < layers_of(m); i++)
            widened += m->touched[i] == p && !m->named[i];
        if (widened > 0)
            srq_plan_note(m->out->warnings,
                          "pin \"%.200s\" = %s also applies to %d layer%s that runtimes fuse with its own",
                          m->change->pins[p].pattern, srq_scheme_text(&m->change->pins[p].scheme, text, sizeof(text)),
                          widened, widened == 1 ? "" : "s");
    }
    return rc;
}

/* ---- unpin, retune ----------------------------------------------------------------------------------------------- */

static bool name_layer(struct making *m, int i, bool exact, int which)
{
    (void)m;
    (void)i;
    (void)exact;
    (void)which;
    return true;
}

static void take_default(struct making *m, int i)
{
    struct srq_plan_layer *l = layer(m, i);

    l->asked = l->info->block < 0 && !m->next->quant_lm_head ? untouched : srq_plan_default(l->info, &m->next->scheme);
    l->source = SRQ_SOURCE_DEFAULT;
}

static void release(struct making *m, int i)
{
    struct srq_plan_layer *l = layer(m, i);

    if (l->source != SRQ_SOURCE_PIN)
        return;
    take_default(m, i);
    l->untied = false;
    m->released[i] = true;
}

static int release_tie(struct making *m, int i, int other)
{
    (void)i;
    if (!layer(m, other)->untied)
        release(m, other);
    return 0;
}

/* Forgets the pins of which no layer is left. */
static int drop_pins(struct making *m)
{
    struct srq_live_plan *lp = m->next;
    int n = 0, rc = 0;

    for (int p = 0; p < lp->pin_count; p++) {
        struct srq_pattern *pattern = NULL;
        bool alive = false;

        if (rc == 0)
            rc = srq_pattern_compile(lp->pins[p].pattern, &pattern, m->err);
        for (int i = 0; rc == 0 && !alive && i < lp->plan.count; i++)
            alive = lp->plan.layers[i].source == SRQ_SOURCE_PIN &&
                    srq_pattern_match(pattern, lp->plan.layers[i].info->name);
        srq_pattern_free(pattern);
        if (alive || rc != 0)
            lp->pins[n++] = lp->pins[p];
        else
            srq_free(lp->pins[p].pattern);
    }
    lp->pin_count = n;
    return rc;
}

static int apply_unpin(struct making *m)
{
    int rc = 0, pinned = 0;

    for (int p = 0; rc == 0 && p < m->change->pattern_count; p++)
        rc = for_matches(m, m->change->patterns[p], name_layer, p);
    for (int i = 0; rc == 0 && i < layers_of(m); i++) {
        bool untied = layer(m, i)->untied;

        if (!m->named[i] || layer(m, i)->source != SRQ_SOURCE_PIN)
            continue;
        pinned++;
        release(m, i);
        if (!untied && layer(m, i)->info->tie >= 0)
            rc = for_ties(m, i, release_tie);
    }
    if (rc == 0 && pinned == 0)
        srq_plan_note(m->out->warnings, "none of the %d layer%s that match is pinned", m->matched,
                      m->matched == 1 ? "" : "s");
    return rc == 0 ? drop_pins(m) : rc;
}

static int apply_retune(struct making *m)
{
    const struct srq_live_state *st = m->ctx->state;
    int rc = 0, waiting = 0;

    for (int p = 0; rc == 0 && p < m->change->pattern_count; p++)
        rc = for_matches(m, m->change->patterns[p], name_layer, p);
    for (int i = 0; rc == 0 && i < layers_of(m); i++) {
        if (m->named[i])
            m->again[srq_layer_unit(m->next, i)] = true;
    }
    for (int u = 0; rc == 0 && u < m->next->units; u++) {
        enum srq_unit_state s = srq_live_unit(m->next, st, u);

        if (!m->again[u])
            continue;
        if ((s == SRQ_UNIT_FINISHED || s == SRQ_UNIT_STALE) && st->unit[u].generation > 0) {
            m->next->wanted[u] = st->unit[u].generation + 1;
        } else {
            m->again[u] = false;
            waiting++;
        }
    }
    if (waiting > 0)
        srq_plan_note(m->out->warnings, "%d block%s not been tuned to the end yet, so there is nothing to do again",
                      waiting, waiting == 1 ? " has" : "s have");
    return rc;
}

/* ---- the budget -------------------------------------------------------------------------------------------------- */

/* What the allocator may not touch: pins, what is outside the blocks, and what is tuned already. */
static bool constant(const struct making *m, int i)
{
    const struct srq_change *c = m->change;
    enum srq_unit_state s = srq_live_unit(m->ctx->now, m->ctx->state, srq_layer_unit(m->next, i));

    if (layer(m, i)->source == SRQ_SOURCE_PIN || layer(m, i)->info->block < 0)
        return true;
    if (m->released[i] || c->release || s == SRQ_UNIT_PENDING)
        return false;
    return s != SRQ_UNIT_RUNNING || c->after;
}

static int ask_solver(void *ctx, struct srq_plan *plan, const bool *fixed, struct srq_error *err)
{
    const struct making *m = ctx;

    return m->ctx->solver->allocate(m->ctx->solver->ctx, plan, fixed, m->next->bits, err);
}

static struct srq_plan_request fit_request(const struct making *m)
{
    const struct srq_change_context *x = m->ctx;

    return (struct srq_plan_request){ .refuse_incompatible = x->refuse_incompatible,
                                      .formats = x->formats,
                                      .formats_ctx = x->formats_ctx };
}

/* Where a budget is not possible since blocks are tuned already, that is what there is to say. */
static void name_finished(struct making *m, const bool *fixed)
{
    int count = 0;
    size_t len;

    for (int i = 0; i < layers_of(m); i++)
        count += fixed[i] && layer(m, i)->source != SRQ_SOURCE_PIN && layer(m, i)->info->block >= 0;
    if (count == 0 || m->err == NULL || strcmp(m->err->field, "budget.bits") != 0)
        return;
    len = strlen(m->err->text);
    snprintf(m->err->text + len, sizeof(m->err->text) - len,
             "; %d layer%s of blocks that are tuned count%s as they are, unless they are released", count,
             count == 1 ? "" : "s", count == 1 ? "s" : "");
}

static int solve(struct making *m)
{
    struct srq_live_plan *lp = m->next;
    struct srq_plan_request req = fit_request(m);
    int n = lp->plan.count, rc = 0;
    bool *fixed = srq_calloc((size_t)n + 1, sizeof(*fixed));

    if (fixed == NULL)
        rc = srq_fail(m->err, -SRQ_ENOMEM, "out of memory for the budget");
    for (int i = 0; rc == 0 && i < n; i++) {
        fixed[i] = constant(m, i);
        m->matched += m->change->op == SRQ_CHANGE_BUDGET && !fixed[i];
    }
    if (rc == 0)
        rc = srq_allocate_fitting(&lp->plan, fixed, &req, ask_solver, m, m->err);
    if (rc == -SRQ_EINVAL)
        name_finished(m, fixed);
    if (rc == 0) {
        cJSON *data = m->ctx->solver->describe(m->ctx->solver->ctx);

        cJSON_Delete(lp->allocation);
        lp->allocation = data;
        m->out->solved = true;
        if (data == NULL)
            rc = srq_fail(m->err, -SRQ_ENOMEM, "out of memory for the budget");
    }
    srq_free(fixed);
    return rc;
}

static int apply_budget(struct making *m)
{
    const struct srq_change_context *x = m->ctx;

    if (!isnan(m->change->bits) && x->solver == NULL && x->expect == NULL)
        return srq_fail_field(m->err, -SRQ_ESTATE, "bits", "job %s has no sensitivity scores; submit it with --budget",
                              x->job);
    for (int i = 0; isnan(m->change->bits) && srq_live_plan_open(m->next) && i < layers_of(m); i++) {
        if (layer(m, i)->source != SRQ_SOURCE_PIN) /* nobody will choose for it */
            take_default(m, i);
    }
    m->next->bits = m->change->bits;
    return 0;
}

/* Options say nothing of layers: the plan stays, with another revision. */
static void apply_set(struct making *m)
{
    for (int i = 0; i < SRQ_LIVE_OPTIONS; i++) {
        if (m->change->sets[i])
            m->next->option[i] = m->change->option[i];
    }
}

static bool moves_layers(const struct srq_change *c)
{
    return c->op != SRQ_CHANGE_RETUNE && c->op != SRQ_CHANGE_SET;
}

/* Whether the allocator had yet to choose then, and has chosen since: it does so again. */
static bool chooses_again(const struct making *m)
{
    return m->change->op == SRQ_CHANGE_REVERT && m->ctx->solver != NULL && srq_live_plan_open(m->change->past);
}

/* What was decided then is decided again; what was tuned and is wanted since stays. Where nothing was chosen then,
 * layers that nobody had pinned are the allocator's, whose choice for those that are finished stays. */
static int apply_revert(struct making *m)
{
    const struct srq_live_plan *past = m->change->past;
    bool open = chooses_again(m);

    for (int i = 0; i < layers_of(m); i++) {
        struct srq_plan_layer *l = layer(m, i);
        const struct srq_plan_layer *then = &past->plan.layers[i];

        m->matched += !srq_plan_layer_equal(l, then);
        m->released[i] = open && l->source == SRQ_SOURCE_PIN && then->source != SRQ_SOURCE_PIN;
        if (open && l->source == SRQ_SOURCE_ALLOCATOR && then->source != SRQ_SOURCE_PIN)
            continue;
        l->asked = then->asked;
        l->source = then->source;
        l->untied = then->untied;
    }
    m->next->bits = past->bits;
    if (!open) {
        cJSON_Delete(m->next->allocation);
        m->next->allocation = past->allocation != NULL ? cJSON_Duplicate(past->allocation, true) : NULL;
        if (past->allocation != NULL && m->next->allocation == NULL)
            return srq_fail(m->err, -SRQ_ENOMEM, "out of memory for a plan of before");
    }
    memcpy(m->next->option, past->option, sizeof(m->next->option));
    return srq_live_plan_pins(m->next, past->pins, past->pin_count, m->err);
}

static int apply(struct making *m)
{
    int rc = 0;

    switch (m->change->op) {
    case SRQ_CHANGE_PIN:
        rc = apply_pins(m);
        break;
    case SRQ_CHANGE_UNPIN:
        rc = apply_unpin(m);
        break;
    case SRQ_CHANGE_BUDGET:
        rc = apply_budget(m);
        break;
    case SRQ_CHANGE_RETUNE:
        rc = apply_retune(m);
        break;
    case SRQ_CHANGE_SET:
        apply_set(m);
        break;
    case SRQ_CHANGE_REVERT:
        rc = apply_revert(m);
        break;
    case SRQ_CHANGE_ALLOCATE:
        break;
    }
    if (rc != 0 || isnan(m->next->bits) || !moves_layers(m->change))
        return rc;
    if (m->ctx->solver != NULL)
        return m->change->op != SRQ_CHANGE_REVERT || chooses_again(m) ? solve(m) : 0;
    if (m->ctx->expect == NULL || !srq_live_plan_open(m->next))
        return 0;
    srq_plan_note(m->out->warnings, "the bits of all %slayers are chosen once they are scored",
                  m->next->pin_count > 0 ? "other " : "");
    return m->ctx->expect(m->ctx->formats_ctx, &m->next->plan, m->next->bits, m->err);
}

/* ---- what can be stored ------------------------------------------------------------------------------------------ */

/* A pin that has to be left alone on every layer it is for decides nothing. */
static int check_pins(struct making *m)
{
    for (int p = 0; p < m->change->pin_count; p++) {
        const struct srq_plan_layer *first = NULL;
        bool held = false;
        char text[32];

        for (int i = 0; i < layers_of(m) && !held; i++) {
            if (m->touched[i] != p)
                continue;
            held = layer(m, i)->why[0] == '\0';
            first = first == NULL && m->named[i] ? layer(m, i) : first;
        }
        if (first != NULL && !held)
            return srq_fail_field(m->err, -SRQ_EINVAL, "pins", "no layer that \"%.200s\" names can be %s: %.100s: %s",
                                  m->change->pins[p].pattern,
                                  srq_scheme_text(&m->change->pins[p].scheme, text, sizeof(text)), first->info->name,
                                  first->why);
    }
    return 0;
}

static int fit(struct making *m)
{
    const struct srq_change_context *x = m->ctx;
    struct srq_plan_request req = fit_request(m);
    struct srq_plan_size size;
    int rc = srq_plan_fit(&m->next->plan, &req, m->err);

    if (rc == 0 && x->check != NULL)
        rc = x->check(x->check_ctx, &m->next->plan, m->err);
    if (rc == 0)
        rc = check_pins(m);
    if (rc != 0)
        return rc;
    srq_plan_note_left(&m->next->plan, &x->now->plan, m->out->warnings);
    size = srq_plan_size(&m->next->plan, x->model_bytes);
    if (!isnan(m->next->bits) && m->next->allocation != NULL && size.average_bits > m->next->bits * (1 + 1e-9))
        srq_plan_note(m->out->warnings, "the plan takes %.4g bits a weight on average, more than the budget of %.4g",
                      size.average_bits, m->next->bits);
    return 0;
}

/* ---- what has to be tuned again ---------------------------------------------------------------------------------- */

static bool differs(const struct making *m, int unit, const struct srq_scheme *schemes)
{
    for (int i = 0; i < layers_of(m); i++) {
        const struct srq_scheme *other = schemes != NULL ? &schemes[i] : &m->ctx->now->plan.layers[i].scheme;

        if (srq_layer_unit(m->next, i) == unit && !srq_scheme_equal(&layer(m, i)->scheme, other))
            return true;
    }
    return false;
}

/* The first unit that gets other weights by this change; -1: none that has been begun. */
static int first_touched(const struct making *m)
{
    const struct srq_live_state *st = m->ctx->state;

    for (int u = 0; u < m->next->units; u++) {
        if (m->again[u] || ((u == st->running || st->unit[u].generation > 0) && differs(m, u, NULL)))
            return u;
    }
    return -1;
}

/* Everything behind the first unit touched saw its old weights. */
static void propagate(struct making *m)
{
    const struct srq_live_state *st = m->ctx->state;
    struct srq_live_plan *lp = m->next;
    int from = first_touched(m);

    if (!m->change->propagate || from < 0)
        return;
    m->out->leave = st->running > from;
    for (int u = from + 1; u < lp->units; u++) {
        int64_t made = st->unit[u].generation;

        if (made > 0 && lp->wanted[u] <= made)
            lp->wanted[u] = made + 1;
        lp->back = lp->back || (made == 0 && srq_live_unit(lp, st, u) != SRQ_UNIT_FINISHED);
    }
    if (m->out->leave && lp->hold == st->running)
        lp->hold = -1;
}

static void treat_running(struct making *m)
{
    const struct srq_live_state *st = m->ctx->state;
    struct srq_live_plan *lp = m->next;

    if (st->running < 0 || m->out->leave || !differs(m, st->running, NULL))
        return; /* one that is held stays so */
    lp->hold = -1;
    if (!differs(m, st->running, st->tuning))
        return;
    if (!m->change->after) {
        m->out->restart = true;
        return;
    }
    m->holds = true;
    lp->hold = st->running;
    lp->hold_generation = st->running_generation;
    memcpy(lp->held, st->tuning, (size_t)lp->plan.count * sizeof(lp->held[0]));
}

/* Whether this change is why the unit will be tuned again. */
static bool retunes(const struct making *m, int unit)
{
    const struct srq_live_state *st = m->ctx->state;

    if (unit == st->running)
        return m->holds || (m->out->leave && st->unit[unit].generation > 0);
    return srq_live_unit(m->next, st, unit) == SRQ_UNIT_STALE &&
           (m->again[unit] || srq_live_unit(m->ctx->now, st, unit) != SRQ_UNIT_STALE);
}

/* ---- what it brings ---------------------------------------------------------------------------------------------- */

/* With what the export would take, where that is known. */
static struct srq_plan_size size_of(const struct making *m, const struct srq_plan *plan)
{
    struct srq_plan_size size = srq_plan_size(plan, m->ctx->model_bytes);
    uint64_t stored = m->ctx->stored != NULL ? m->ctx->stored(m->ctx->formats_ctx, plan) : 0;

    if (stored > 0)
        size.after_bytes = stored;
    return size;
}

/* The sum of a plan's scores; where one is not known, `missing` says which, unless it says something already. */
static double sum_scores(const struct making *m, const struct srq_plan *plan)
{
    const struct srq_solver *solver = m->ctx->solver;
    char *missing = m->out->forecast_missing, text[32];
    double sum = 0;

    for (int i = 0; i < plan->count; i++) {
        const struct srq_scheme *s = &plan->layers[i].scheme;
        double score = s->grid != SRQ_GRID_NONE ? solver->score(solver->ctx, i, s) : 0;

        if (!isfinite(score) && missing[0] == '\0')
            snprintf(missing, sizeof(m->out->forecast_missing), "%.200s was not scored as %s",
                     plan->layers[i].info->name, srq_scheme_text(s, text, sizeof(text)));
        sum += score;
    }
    return sum;
}

/* Tuning again, and bringing the chains to where that is, from the start of the model at worst. */
static double cost(const struct making *m)
{
    const struct srq_live_state *st = m->ctx->state;
    double sum = m->out->restart || m->out->leave ? st->spent_s : 0;
    int last = -1;

    for (int u = 0; u < m->next->units; u++) {
        if (!m->out->retunes[u])
            continue;
        last = u;
        sum += u == st->running ? st->spent_s : st->unit[u].cost_s;
    }
    return last > 0 && isfinite(st->replay_s) ? sum + last * st->replay_s : sum;
}

static bool same_pins(const struct srq_live_plan *a, const struct srq_live_plan *b)
{
    int found = 0;

    for (int i = 0; i < a->pin_count; i++) { /* the order does not matter where all layers are decided alike */
        for (int k = 0; k < b->pin_count; k++) {
            const struct srq_pin *x = &a->pins[i], *y = &b->pins[k];

            if (strcmp(x->pattern, y->pattern) == 0 && srq_scheme_equal(&x->scheme, &y->scheme) &&
                x->untied == y->untied) {
                found++;
                break;
            }
        }
    }
    return a->pin_count == b->pin_count && found == a->pin_count;
}

static bool same_bits(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* Whether anything at all is another than before. */
static bool has_effect(const struct making *m)
{
    const struct srq_live_plan *a = m->ctx->now, *b = m->next;

    if (m->change->op == SRQ_CHANGE_ALLOCATE || m->out->restart || m->out->leave || a->back != b->back ||
        a->hold != b->hold || a->hold_generation != b->hold_generation || !same_bits(a->bits, b->bits) ||
        !same_pins(a, b) || !srq_live_options_equal(a->option, b->option))
        return true;
    for (int i = 0; i < a->plan.count; i++) {
        if (!srq_plan_layer_equal(&a->plan.layers[i], &b->plan.layers[i]))
            return true;
    }
    return memcmp(a->wanted, b->wanted, (size_t)a->units * sizeof(a->wanted[0])) != 0;
}

/* Where nothing changes a sentence says why, unless one does already. */
static void say_idle(struct making *m)
{
    const struct srq_change *c = m->change;
    cJSON *notes = m->out->warnings;

    if (cJSON_GetArraySize(notes) > 0)
        return;
    if (c->op == SRQ_CHANGE_PIN && m->matched == 0)
        srq_plan_note(notes, "what lies outside the blocks is pinned by its whole name only");
    else if (c->op == SRQ_CHANGE_PIN)
        srq_plan_note(notes, "the %d layer%s that match %s pinned so already", m->matched, m->matched == 1 ? "" : "s",
                      m->matched == 1 ? "is" : "are");
    else if (c->op == SRQ_CHANGE_BUDGET && isnan(c->bits))
        srq_plan_note(notes, "there is no budget");
    else if (c->op == SRQ_CHANGE_BUDGET)
        srq_plan_note(notes, "the budget is %.15g bits already, and the plan what it chooses", c->bits);
    else if (c->op == SRQ_CHANGE_RETUNE)
        srq_plan_note(notes, "the blocks are to be tuned again already");
    else if (c->op == SRQ_CHANGE_SET)
        srq_plan_note(notes, "the options have these values already");
    else if (c->op == SRQ_CHANGE_REVERT)
        srq_plan_note(notes, "pins, schemes and budget are those of revision %" PRId64 " already", c->to);
}

static void answer(struct making *m)
{
    struct srq_change_result *r = m->out;

    r->idle = !has_effect(m);
    if (r->idle)
        say_idle(m);
    else
        m->next->plan.revision++;
    for (int u = 0; u < m->next->units; u++)
        r->retunes[u] = retunes(m, u);
    r->matched = m->matched;
    r->size_now = size_of(m, &m->ctx->now->plan);
    r->size = size_of(m, &m->next->plan);
    r->forecast_now = r->forecast = (double)NAN;
    if (m->ctx->solver != NULL) {
        r->forecast_now = sum_scores(m, &m->ctx->now->plan);
        r->forecast = sum_scores(m, &m->next->plan);
    }
    r->cost_s = cost(m);
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static int make(struct making *m)
{
    size_t layers = (size_t)m->next->plan.count + 1;
    int rc;

    m->named = srq_calloc(layers, sizeof(*m->named));
    m->touched = srq_calloc(layers, sizeof(*m->touched));
    m->released = srq_calloc(layers, sizeof(*m->released));
    m->again = srq_calloc((size_t)m->next->units + 1, sizeof(*m->again));
    m->out->warnings = cJSON_CreateArray();
    m->out->retunes = srq_calloc((size_t)m->next->units + 1, sizeof(*m->out->retunes));
    if (m->named == NULL || m->touched == NULL || m->released == NULL || m->again == NULL || m->out->warnings == NULL ||
        m->out->retunes == NULL)
        return srq_fail(m->err, -SRQ_ENOMEM, "out of memory changing the plan");
    for (size_t i = 0; i < layers; i++)
        m->touched[i] = -1;
    rc = apply(m);
    if (rc == 0 && moves_layers(m->change))
        rc = fit(m);
    if (rc != 0)
        return rc;
    propagate(m);
    treat_running(m);
    answer(m);
    return 0;
}

int srq_change_make(const struct srq_change_context *ctx, const struct srq_change *change,
                    struct srq_change_result *out, struct srq_error *err)
{
    struct making m = { .ctx = ctx, .change = change, .out = out, .next = &out->next, .err = err };
    int64_t now = ctx->now->plan.revision;
    int rc;

    memset(out, 0, sizeof(*out));
    out->next.hold = -1;
    if (change->revision >= 0 && change->revision != now)
        return srq_fail_field(err, -SRQ_ESTATE, "revision",
                              "the plan of job %s is at revision %" PRId64 " and no longer at %" PRId64
                              "; look at it again",
                              ctx->job, now, change->revision);
    rc = srq_live_plan_copy(ctx->now, &out->next, err);
    if (rc == 0)
        rc = make(&m);
    srq_free(m.named);
    srq_free(m.touched);
    srq_free(m.released);
    srq_free(m.again);
    return rc;
}

void srq_change_result_fini(struct srq_change_result *r)
{
    cJSON_Delete(r->warnings);
    srq_free(r->retunes);
    r->warnings = NULL;
    r->retunes = NULL;
    srq_live_plan_fini(&r->next);
}

void srq_change_fini(struct srq_change *c)
{
    if (c->past != NULL)
        srq_live_plan_fini(c->past);
    srq_free(c->past);
    for (int i = 0; i < c->pin_count; i++)
        srq_free(c->pins[i].pattern);
    for (int i = 0; i < c->pattern_count; i++)
        srq_free(c->patterns[i]);
    srq_free(c->pins);
    srq_free(c->patterns);
    memset(c, 0, sizeof(*c));
}
