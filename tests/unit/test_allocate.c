/* The knapsack allocator against brute force and on large problems; the host's side: ties, pins, budgets, forecasts. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/job/scores_json.h"
#include "core/tune/options.h"
#include "core/tune/plugin_host.h"

#include <math.h>
#include <unistd.h>

struct solver {
    struct srq_plugin_handle handle;
    struct srq_options *options;
    void *self;
};

static void solver_open(struct solver *s, const char *max_states)
{
    const char *top = getenv("top_builddir");
    char *path = srq_asprintf("%s/plugins/knapsack/.libs", top != NULL ? top : ".");
    struct srq_error err = { 0 };

    setenv("SRQ_PLUGIN_PATH", path, 1);
    srq_free(path);
    assert_ok(srq_plugin_load("knapsack", &s->handle, &err), &err);
    assert_ok(srq_options_create(s->handle.plugin, &s->options, &err), &err);
    if (max_states != NULL)
        assert_ok(srq_options_set(s->options, "max_states", max_states, &err), &err);
    assert_ok(srq_options_finish(s->options, NULL, NULL, &err), &err);
    assert_ok(s->handle.plugin->create(srq_host_services(), s->options, &s->self, &err), &err);
}

static void solver_close(struct solver *s)
{
    s->handle.plugin->destroy(srq_host_services(), s->self);
    srq_options_free(s->options);
    srq_plugin_unload(&s->handle);
}

/* ---- problems ---------------------------------------------------------------------------------------------------- */

enum { UNITS_MAX = 1000, CHOICES_MAX = 8, FRONT = 64 };

struct problem {
    int units, choices[UNITS_MAX];
    uint64_t bits[UNITS_MAX][CHOICES_MAX], least, most;
    double loss[UNITS_MAX][CHOICES_MAX];
    struct srq_alloc_unit unit[UNITS_MAX];
};

static double draw(uint64_t stream, uint64_t *at)
{
    return srq_rng_uniform(7, stream, (*at)++);
}

/* kind 0: anything. 1: losses fall with bits, sizes of real layers. 2: every bit worth nearly the same. 3: few values,
 * so that many plans are equally good. */
static void fill(struct problem *p, int kind, int units, int choices, uint64_t seed)
{
    static const uint64_t sizes[] = { 331776, 110592, 884736, 1769472 };
    uint64_t at = 0;

    p->units = units;
    p->least = p->most = 0;
    for (int u = 0; u < units; u++) {
        uint64_t n = sizes[(int)(draw(seed, &at) * 4)], least = UINT64_MAX, most = 0;
        double weight = exp(4 * draw(seed, &at));

        p->choices[u] = kind == 1 || kind == 2 ? choices : 1 + (int)(draw(seed, &at) * choices);
        for (int c = 0; c < p->choices[u]; c++) {
            uint64_t b = (uint64_t)(2 + c) * n + n / 64 * (uint64_t)(18 + c);

            if (kind == 0)
                b = (uint64_t)(draw(seed, &at) * 1000);
            if (kind == 3)
                b = (uint64_t)(draw(seed, &at) * 6);
            p->bits[u][c] = b;
            p->loss[u][c] = kind == 0   ? draw(seed, &at)
                            : kind == 1 ? weight * (double)n * pow(4, -c) * (0.5 + draw(seed, &at))
                            : kind == 2 ? 1e9 - (double)b + draw(seed, &at)
                                        : floor(draw(seed, &at) * 5);
            least = b < least ? b : least;
            most = b > most ? b : most;
        }
        p->least += least;
        p->most += most;
        p->unit[u] = (struct srq_alloc_unit){ sizeof(p->unit[u]), p->choices[u], p->bits[u], p->loss[u] };
    }
}

/* The least loss within the budget, by trying every plan; INFINITY when none fits. */
static double brute_force(const struct problem *p, int u, uint64_t budget)
{
    double best = (double)INFINITY;

    if (u == p->units)
        return 0;
    for (int c = 0; c < p->choices[u]; c++) {
        double rest = p->bits[u][c] <= budget ? brute_force(p, u + 1, budget - p->bits[u][c]) : (double)INFINITY;

        best = fmin(best, p->loss[u][c] + rest);
    }
    return best;
}

struct answer {
    struct srq_alloc_result r;
    int choice[UNITS_MAX];
    uint64_t front_bits[FRONT];
    double front_loss[FRONT];
};

static int solve(struct solver *s, const struct problem *p, uint64_t budget, struct answer *a, struct srq_error *err)
{
    const struct srq_alloc_unit *unit[UNITS_MAX];

    for (int u = 0; u < p->units; u++)
        unit[u] = &p->unit[u];
    a->r = (struct srq_alloc_result){ .size = sizeof(a->r),
                                      .front_cap = FRONT,
                                      .choice = a->choice,
                                      .front_bits = a->front_bits,
                                      .front_loss = a->front_loss };
    return s->handle.plugin->allocator->solve(srq_host_services(), s->self, unit, p->units, budget, &a->r, err);
}

/* What holds for every answer: figures that belong to the choice, inside the budget, a front that falls. */
static void assert_sound(const struct problem *p, uint64_t budget, const struct answer *a)
{
    uint64_t bits = 0;
    double loss = 0;

    for (int u = 0; u < p->units; u++) {
        assert_in_range(a->choice[u], 0, p->choices[u] - 1);
        bits += p->bits[u][a->choice[u]];
        loss += p->loss[u][a->choice[u]];
    }
    assert_int_equal(bits, a->r.bits);
    assert_true(bits <= budget);
    assert_true(fabs(loss - a->r.loss) <= 1e-9 * fabs(loss));
    assert_true(a->r.bound <= a->r.loss);
    assert_true(a->r.front_count >= 1 && a->r.front_count <= FRONT);
    for (int i = 1; i < a->r.front_count; i++) {
        assert_true(a->front_bits[i] > a->front_bits[i - 1]);
        assert_true(a->front_loss[i] < a->front_loss[i - 1]);
    }
    assert_int_equal(a->front_bits[0], p->least);
}

static void small_problems_are_solved_as_by_trying_every_plan(void **state)
{
    struct problem *p = srq_calloc(1, sizeof(*p));
    struct answer *a = srq_calloc(1, sizeof(*a));
    struct solver s;

    (void)state;
    solver_open(&s, NULL);
    for (uint64_t seed = 0; seed < 2000; seed++) {
        uint64_t budget;
        double best;

        fill(p, (int)(seed % 4), 1 + (int)(seed / 4 % 6), 2 + (int)(seed % 3), seed);
        for (int k = 0; k <= 4; k++) {
            struct srq_error err = { 0 };

            budget = p->least + (p->most - p->least) * (uint64_t)k / 4;
            best = brute_force(p, 0, budget);
            assert_ok(solve(&s, p, budget, a, &err), &err);
            assert_sound(p, budget, a);
            assert_true(fabs(a->r.loss - best) <= 1e-9 * (1 + fabs(best)));
            assert_true(a->r.loss - a->r.bound <= 1e-9 * (1 + fabs(best)));
        }
    }
    solver_close(&s);
    srq_free(a);
    srq_free(p);
}

/* With every budget at once: the front is what brute force gives as the budget grows. */
static void a_small_front_has_exactly_the_plans_that_no_other_beats(void **state)
{
    struct problem *p = srq_calloc(1, sizeof(*p));
    struct answer *a = srq_calloc(1, sizeof(*a));
    struct solver s;

    (void)state;
    solver_open(&s, NULL);
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct srq_error err = { 0 };
        double last = (double)INFINITY;
        int n = 0;

        fill(p, 3, 1 + (int)(seed % 5), 4, seed);
        assert_ok(solve(&s, p, p->most, a, &err), &err);
        for (uint64_t budget = p->least; budget <= p->most; budget++) {
            double best = brute_force(p, 0, budget);

            if (best >= last)
                continue;
            assert_true(n < a->r.front_count);
            assert_int_equal(a->front_bits[n], budget);
            assert_true(fabs(a->front_loss[n++] - best) < 1e-9);
            last = best;
        }
        assert_int_equal(n, a->r.front_count);
    }
    solver_close(&s);
    srq_free(a);
    srq_free(p);
}

/* More bits never cost loss, and the plan does not depend on the order of units. */
static void larger_budgets_and_other_orders_change_nothing_for_the_worse(void **state)
{
    struct problem *p = srq_calloc(1, sizeof(*p)), *q = srq_calloc(1, sizeof(*q));
    struct answer *a = srq_calloc(1, sizeof(*a));
    struct solver s;

    (void)state;
    solver_open(&s, NULL);
    for (int kind = 0; kind < 4; kind++) {
        double last = (double)INFINITY;

        fill(p, kind, 60, 5, 99 + (uint64_t)kind);
        *q = *p;
        for (int u = 0; u < q->units; u++)
            q->unit[u] = p->unit[p->units - 1 - u];
        for (uint64_t k = 0; k <= 20; k++) {
            uint64_t budget = p->least + (p->most - p->least) * k / 20;
            struct srq_error err = { 0 };
            double loss;

            assert_ok(solve(&s, p, budget, a, &err), &err);
            loss = a->r.loss;
            assert_true(loss <= last * (1 + 1e-12));
            last = loss;
            assert_true(a->r.bound >= loss * (1 - 1e-12)); /* proven */
            assert_ok(solve(&s, q, budget, a, &err), &err);
            assert_true(fabs(a->r.loss - loss) <= 1e-9 * fabs(loss));
        }
    }
    solver_close(&s);
    srq_free(a);
    srq_free(q);
    srq_free(p);
}

static void a_thousand_units_are_solved_with_proof(void **state)
{
    struct problem *p = srq_calloc(1, sizeof(*p));
    struct answer *a = srq_calloc(1, sizeof(*a));
    struct solver s;

    (void)state;
    solver_open(&s, NULL);
    for (int kind = 0; kind < 4; kind++) {
        for (uint64_t k = 1; k < 10; k += 2) {
            struct srq_error err = { 0 };
            uint64_t budget;

            fill(p, kind, UNITS_MAX, CHOICES_MAX, 5 + k);
            budget = p->least + (p->most - p->least) * k / 10 + 1;
            assert_ok(solve(&s, p, budget, a, &err), &err);
            assert_sound(p, budget, a);
            assert_true(a->r.loss - a->r.bound <= 1e-9 * fabs(a->r.loss));
        }
    }
    solver_close(&s);
    srq_free(a);
    srq_free(p);
}

/* Bits that have no divisor in common and losses in exact proportion to them: there is nothing to tell plans apart. */
static void a_search_cut_short_gives_a_plan_and_a_bound_that_holds(void **state)
{
    struct problem *p = srq_calloc(1, sizeof(*p));
    struct answer *cut = srq_calloc(1, sizeof(*cut)), *full = srq_calloc(1, sizeof(*full));
    struct solver few, many;
    int unproven = 0;

    (void)state;
    solver_open(&few, "1000");
    solver_open(&many, "20000000");
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct srq_error err = { 0 };
        uint64_t at = 0, budget;

        p->units = 24;
        p->least = p->most = 0;
        for (int u = 0; u < p->units; u++) {
            p->choices[u] = 2;
            p->bits[u][0] = 0;
            p->bits[u][1] = 2 * (uint64_t)(100000 + draw(seed, &at) * 900000);
            p->loss[u][0] = (double)p->bits[u][1];
            p->loss[u][1] = 0;
            p->most += p->bits[u][1];
            p->unit[u] = (struct srq_alloc_unit){ sizeof(p->unit[u]), 2, p->bits[u], p->loss[u] };
        }
        budget = p->most / 3;
        assert_ok(solve(&few, p, budget, cut, &err), &err);
        assert_ok(solve(&many, p, budget, full, &err), &err);
        assert_sound(p, budget, cut);
        assert_true(full->r.loss == full->r.bound);
        assert_true(cut->r.loss >= full->r.loss && cut->r.bound <= full->r.loss);
        unproven += cut->r.bound < cut->r.loss;
    }
    assert_true(unproven > 0);
    solver_close(&few);
    solver_close(&many);
    srq_free(full);
    srq_free(cut);
    srq_free(p);
}

static void a_budget_below_every_plan_is_refused_with_the_smallest(void **state)
{
    struct problem *p = srq_calloc(1, sizeof(*p));
    struct answer *a = srq_calloc(1, sizeof(*a));
    struct srq_error err = { 0 };
    struct solver s;
    char text[80];

    (void)state;
    solver_open(&s, NULL);
    fill(p, 1, 5, 3, 1);
    snprintf(text, sizeof(text), "fewer than %llu bits", (unsigned long long)p->least);
    assert_refused(solve(&s, p, p->least - 1, a, &err), -SRQ_EINVAL, &err, text);
    assert_ok(solve(&s, p, p->least, a, &err), &err);
    assert_int_equal(a->r.bits, p->least);
    solver_close(&s);
    srq_free(a);
    srq_free(p);
}

/* ---- the host's side --------------------------------------------------------------------------------------------- */

enum { LAYERS = 8 };
static const struct srq_layer_info infos[LAYERS] = {
    { .name = "b.0.q",
      .module = "q",
      .block = 0,
      .out = 64,
      .in = 64,
      .dtype = SRQ_BF16,
      .tie_name = "qk",
      .tie = 0,
      .unit = 0 },
    { .name = "b.0.k",
      .module = "k",
      .block = 0,
      .out = 32,
      .in = 64,
      .dtype = SRQ_BF16,
      .tie_name = "qk",
      .tie = 0,
      .unit = 0 },
    { .name = "b.0.o", .module = "o", .block = 0, .out = 64, .in = 64, .dtype = SRQ_BF16, .tie = -1, .unit = 0 },
    { .name = "b.1.q",
      .module = "q",
      .block = 1,
      .out = 64,
      .in = 64,
      .dtype = SRQ_BF16,
      .tie_name = "qk",
      .tie = 3,
      .unit = 1 },
    { .name = "b.1.k",
      .module = "k",
      .block = 1,
      .out = 32,
      .in = 64,
      .dtype = SRQ_BF16,
      .tie_name = "qk",
      .tie = 3,
      .unit = 1 },
    { .name = "b.1.o", .module = "o", .block = 1, .out = 64, .in = 64, .dtype = SRQ_BF16, .tie = -1, .unit = 1 },
    { .name = "b.2.o", .module = "o", .block = 2, .out = 64, .in = 64, .dtype = SRQ_BF16, .tie = -1, .unit = 2 },
    { .name = "lm_head",
      .module = "lm_head",
      .block = -1,
      .out = 128,
      .in = 64,
      .dtype = SRQ_BF16,
      .tie = -1,
      .unit = 3 },
};

struct bed {
    const struct srq_layer_info *list[LAYERS];
    struct solver solver;
    struct srq_candidates candidates;
    struct srq_scores scores;
    struct srq_plan plan;
    bool fixed[LAYERS];
    struct srq_allocate_request req;
};

static struct srq_scheme scheme(const char *text)
{
    struct srq_scheme s;
    struct srq_error err = { 0 };

    assert_ok(srq_scheme_parse(text, &s, &err), &err);
    return s;
}

static void bed_open(struct bed *b, const char *pin, const char *to)
{
    const struct srq_scheme candidates[] = { scheme("w2g64"), scheme("w3g64"), scheme("w4g64"), scheme("w8g64") };
    char pattern[64];
    struct srq_pin pins[1] = { { .pattern = pattern } };
    struct srq_plan_request plan = { .scheme = scheme("w4g64"), .pins = pins, .pin_count = pin != NULL };
    struct srq_error err = { 0 };
    uint64_t at = 0;

    memset(b, 0, sizeof(*b));
    solver_open(&b->solver, NULL);
    for (int i = 0; i < LAYERS; i++)
        b->list[i] = &infos[i];
    if (pin != NULL) {
        snprintf(pattern, sizeof(pattern), "%s", pin);
        pins[0].scheme = scheme(to);
    }
    assert_ok(srq_plan_make(b->list, LAYERS, &plan, &b->plan, NULL, &err), &err);
    assert_ok(srq_candidates_init(&b->candidates, candidates, 4, LAYERS, &err), &err);
    assert_ok(srq_scores_init(&b->scores, candidates, 4, LAYERS, &err), &err);
    for (int i = 0; i < LAYERS; i++) {
        b->fixed[i] = b->plan.layers[i].source == SRQ_SOURCE_PIN;
        for (int c = 0; c < 4; c++)
            b->scores.score[i * 4 + c] = (1 + 9 * draw(3, &at)) * pow(3, -c);
    }
    b->req = (struct srq_allocate_request){ .solver = b->solver.handle.plugin->allocator,
                                            .self = b->solver.self,
                                            .host = srq_host_services(),
                                            .candidates = &b->candidates,
                                            .scores = &b->scores,
                                            .bits = 3.5,
                                            .fixed = b->fixed };
}

static void bed_close(struct bed *b)
{
    srq_plan_fini(&b->plan);
    srq_candidates_fini(&b->candidates);
    srq_scores_fini(&b->scores);
    solver_close(&b->solver);
}

static void a_plan_keeps_budget_ties_and_pins(void **state)
{
    struct srq_error err = { 0 };
    struct srq_allocation a;
    struct bed b;

    (void)state;
    bed_open(&b, "b.1.o", "w8g64");
    assert_ok(srq_allocate(&b.req, &b.plan, &a, &err), &err);
    assert_true(srq_plan_size(&b.plan, 1000000).average_bits <= 3.5);
    assert_true(fabs(srq_plan_size(&b.plan, 1000000).average_bits - a.average_bits) < 1e-12);
    assert_true(fabs(srq_scores_forecast(&b.scores, &b.plan) - a.loss) < 1e-12);
    assert_true(srq_scheme_equal(&b.plan.layers[0].scheme, &b.plan.layers[1].scheme));
    assert_true(srq_scheme_equal(&b.plan.layers[3].scheme, &b.plan.layers[4].scheme));
    assert_int_equal(b.plan.layers[5].scheme.bits, 8);
    assert_int_equal(b.plan.layers[5].source, SRQ_SOURCE_PIN);
    assert_int_equal(b.plan.layers[0].source, SRQ_SOURCE_ALLOCATOR);
    assert_int_equal(b.plan.layers[7].scheme.grid, SRQ_GRID_NONE);
    assert_true(a.loss == a.bound);
    bed_close(&b);
}

/* All plans of the five decisions (two of them tied pairs), by hand. */
static void a_plan_is_the_best_of_all_plans_within_the_budget(void **state)
{
    static const int unit[LAYERS - 1] = { 0, 0, 1, 2, 2, 3, 4 };
    struct srq_error err = { 0 };
    struct srq_allocation a;
    struct bed b;

    (void)state;
    bed_open(&b, NULL, NULL);
    for (double bits = 2.4; bits < 8.3; bits += 0.37) {
        double best = (double)INFINITY;

        b.req.bits = bits;
        assert_ok(srq_allocate(&b.req, &b.plan, &a, &err), &err);
        for (int k = 0; k < 1024; k++) {
            double loss = 0, used = 0, elements = 0;

            for (int i = 0; i < LAYERS - 1; i++) {
                int c = k >> 2 * unit[i] & 3;
                double n = (double)(infos[i].out * infos[i].in);

                loss += b.scores.score[i * 4 + c];
                used += n * (double[]){ 2, 3, 4, 8 }[c] + n / 64 * (16 + (double[]){ 2, 3, 4, 8 }[c]);
                elements += n;
            }
            if (used <= floor(elements * bits))
                best = fmin(best, loss);
        }
        assert_true(fabs(best - a.loss) < 1e-9);
    }
    bed_close(&b);
}

static void a_budget_out_of_reach_is_refused_with_both_bounds(void **state)
{
    struct srq_error err = { 0 };
    struct srq_allocation a;
    double least, most;
    struct bed b;
    char text[80];

    (void)state;
    bed_open(&b, "b.*.o", "w8g64");
    assert_ok(srq_allocate_bounds(&b.req, &b.plan, &least, &most, &err), &err);
    snprintf(text, sizeof(text), "allow %.4f to %.4f on average", ceil(least * 1e4) / 1e4, floor(most * 1e4) / 1e4);
    b.req.bits = least - 0.01;
    assert_refused(srq_allocate(&b.req, &b.plan, &a, &err), -SRQ_EINVAL, &err, text);
    assert_string_equal(err.field, "budget.bits");
    b.req.bits = most + 0.01;
    assert_refused(srq_allocate(&b.req, &b.plan, &a, &err), -SRQ_EINVAL, &err, text);
    b.req.bits = least;
    assert_ok(srq_allocate(&b.req, &b.plan, &a, &err), &err);
    assert_true(fabs(a.average_bits - least) < 1e-9);
    bed_close(&b);
}

/* Whatever is printed can be asked for; where the range is finer than the digits, twice the same. */
static void printed_bounds_are_possible(void **state)
{
    static const char *const pins[] = { NULL, "b.1.o", "b.*.o", "b.0.q", "b.*" };
    struct srq_error err = { 0 };

    (void)state;
    for (int i = 0; i < 5; i++) {
        char text[40];
        double least, most, printed[2];
        struct bed b;

        bed_open(&b, pins[i], "w3g32");
        assert_ok(srq_allocate_bounds(&b.req, &b.plan, &least, &most, &err), &err);
        srq_allocate_bounds_text(least, most, text, sizeof(text));
        assert_int_equal(sscanf(text, "%lf to %lf", &printed[0], &printed[1]), 2);
        assert_true(printed[0] <= printed[1] && fabs(printed[0] - least) < 1.1e-4 && fabs(printed[1] - most) < 1.1e-4);
        for (int k = 0; k < 2; k++) {
            b.req.bits = printed[k];
            assert_ok(srq_allocate_check(&b.req, &b.plan, &err), &err);
        }
        bed_close(&b);
    }
    for (int i = 0; i < 1000; i++) { /* ranges of no width, at any place between the digits */
        double at = 3 + i / 700.0, low, high;
        char text[40];

        srq_allocate_bounds_text(at, at, text, sizeof(text));
        assert_int_equal(sscanf(text, "%lf to %lf", &low, &high), 2);
        assert_true(low >= at * (1 - 1e-9) && high >= low && high <= at + 1e-3);
    }
}

static void what_no_candidate_suits_is_named_where_a_budget_is_refused(void **state)
{
    const bool keep[] = { false, true, false, true };
    struct srq_error err = { 0 };
    struct bed b;

    (void)state;
    bed_open(&b, "b.2.o", "w8g64");
    for (int c = 0; c < 4; c++)
        b.candidates.allowed[1 * 4 + c] = b.candidates.allowed[6 * 4 + c] =
            false;                                                             /* k of block 0, and the pinned one */
    b.candidates.allowed[3 * 4 + 1] = b.candidates.allowed[4 * 4 + 3] = false; /* q and k have none in common then */
    srq_candidates_keep(&b.candidates, keep);
    assert_int_equal(b.candidates.count, 2);
    assert_int_equal(b.candidates.scheme[1].bits, 8);
    for (int i = 0; i < LAYERS; i++)
        assert_int_equal(srq_candidates_none(&b.candidates, &b.plan, i), i == 0 || i == 1 || i == 3 || i == 4);
    b.req.bits = 2;
    assert_refused(srq_allocate_check(&b.req, &b.plan, &err), -SRQ_EINVAL, &err,
                   "on average; no candidate suits b.0.q and 3 more, which count as w4g64");
    bed_close(&b);
}

static void candidates_that_a_layer_cannot_carry_are_not_chosen(void **state)
{
    struct srq_error err = { 0 };
    struct srq_allocation a;
    struct bed b;

    (void)state;
    bed_open(&b, NULL, NULL);
    b.req.bits = 8.375;
    b.candidates.allowed[1 * 4 + 3] = false; /* k cannot have w8, so q, fused with it, cannot either */
    for (int c = 0; c < 4; c++)
        b.candidates.allowed[6 * 4 + c] = false; /* nothing suits this one: it stays */
    b.req.bits = 6.5;
    assert_ok(srq_allocate(&b.req, &b.plan, &a, &err), &err);
    assert_int_equal(b.plan.layers[0].scheme.bits, 4);
    assert_int_equal(b.plan.layers[1].scheme.bits, 4);
    assert_int_equal(b.plan.layers[6].source, SRQ_SOURCE_DEFAULT);
    assert_int_equal(b.plan.layers[5].scheme.bits, 8);
    bed_close(&b);
}

/* A format that stores b.0.o in 16 bits under every candidate, and q and k of block 1 unless they have 8 bits. */
static int refuse_some(void *ctx, const struct srq_scheme *schemes, char (*reason)[SRQ_PLAN_REASON_MAX],
                       struct srq_error *err)
{
    int refused = 0;

    (void)ctx;
    (void)err;
    for (int i = 2; i <= 4; i++) {
        if (schemes[i].grid == SRQ_GRID_NONE || (i > 2 && schemes[i].bits == 8))
            continue;
        snprintf(reason[i], SRQ_PLAN_REASON_MAX, "cannot be stored");
        refused++;
    }
    return refused;
}

static int allocate(void *ctx, struct srq_plan *plan, const bool *fixed, struct srq_error *err)
{
    struct bed *b = ctx;
    struct srq_allocate_request req = b->req;
    struct srq_allocation a;

    req.fixed = fixed;
    return srq_allocate(&req, plan, &a, err);
}

static void what_formats_keep_in_16_bits_is_paid_for_by_the_others(void **state)
{
    struct srq_plan_request fit = { .formats = refuse_some };
    struct srq_error err = { 0 };
    struct bed b;

    (void)state;
    for (double bits = 7; bits < 12; bits += 0.25) {
        int rc;

        bed_open(&b, NULL, NULL);
        b.req.bits = bits;
        rc = srq_allocate_fitting(&b.plan, b.fixed, &fit, allocate, &b, &err);
        if (rc == 0) {
            assert_true(srq_plan_size(&b.plan, 1000000).average_bits <= bits);
            assert_int_equal(b.plan.layers[2].scheme.grid, SRQ_GRID_NONE);
            assert_true(b.fixed[2] && b.plan.layers[2].why[0] != '\0');
        } else {
            assert_refused(rc, -SRQ_EINVAL, &err, "on average");
        }
        bed_close(&b);
    }
    bed_open(&b, NULL, NULL);
    assert_ok(srq_allocate_fitting(&b.plan, b.fixed, &fit, srq_allocate_least, &b.req, &err), &err);
    for (int i = 0; i < LAYERS - 1; i++)
        assert_int_equal(b.plan.layers[i].scheme.grid == SRQ_GRID_NONE ? 16 : b.plan.layers[i].scheme.bits,
                         i >= 2 && i <= 4 ? 16 : 2);
    bed_close(&b);
}

static void stored_scores_come_back_exactly(void **state)
{
    struct srq_error err = { 0 };
    struct srq_scores again;
    struct bed b;
    char path[] = "/tmp/srq-scores.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    bed_open(&b, NULL, NULL);
    b.scores.score[5] = (double)NAN;
    b.scores.score[6] = 1.0 / 3;
    assert_ok(srq_scores_save(&b.scores, b.list, path, &err), &err);
    assert_ok(srq_scores_load(path, b.list, LAYERS, &again, &err), &err);
    for (int i = 0; i < 4 * LAYERS; i++)
        assert_true(again.score[i] == b.scores.score[i] || (isnan(again.score[i]) && i == 5));
    srq_scores_fini(&again);
    b.list[2] = &infos[5];
    assert_refused(srq_scores_load(path, b.list, LAYERS, &again, &err), -SRQ_EFORMAT, &err, "another layer");
    unlink(path);
    assert_refused(srq_scores_load(path, b.list, LAYERS, &again, &err), -SRQ_ENOENT, &err, "no scores");
    bed_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_problems_are_solved_as_by_trying_every_plan),
        cmocka_unit_test(a_small_front_has_exactly_the_plans_that_no_other_beats),
        cmocka_unit_test(larger_budgets_and_other_orders_change_nothing_for_the_worse),
        cmocka_unit_test(a_thousand_units_are_solved_with_proof),
        cmocka_unit_test(a_search_cut_short_gives_a_plan_and_a_bound_that_holds),
        cmocka_unit_test(a_budget_below_every_plan_is_refused_with_the_smallest),
        cmocka_unit_test(a_plan_keeps_budget_ties_and_pins),
        cmocka_unit_test(a_plan_is_the_best_of_all_plans_within_the_budget),
        cmocka_unit_test(a_budget_out_of_reach_is_refused_with_both_bounds),
        cmocka_unit_test(printed_bounds_are_possible),
        cmocka_unit_test(what_no_candidate_suits_is_named_where_a_budget_is_refused),
        cmocka_unit_test(candidates_that_a_layer_cannot_carry_are_not_chosen),
        cmocka_unit_test(what_formats_keep_in_16_bits_is_paid_for_by_the_others),
        cmocka_unit_test(stored_scores_come_back_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
