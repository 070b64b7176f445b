/* The change engine: who is meant, what they get, what is tuned again; plan.json and back. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/change_json.h"
#include "core/job/history.h"
#include "core/job/plan_file.h"

#include <math.h>
#include <unistd.h>

#define BLOCKS 4
#define PER_BLOCK 4
#define LAYERS (BLOCKS * PER_BLOCK + 1)

static const struct {
    const char *module, *tie;
} modules[PER_BLOCK] = { { "q_proj", "qkv" }, { "k_proj", "qkv" }, { "o_proj", NULL }, { "down_proj", NULL } };

static struct srq_layer_info infos[LAYERS];
static const struct srq_layer_info *layers[LAYERS];
static char names[LAYERS][64];

/* A job in the middle: blocks below `running` have results, `running` is tuned as its first generation. */
struct bed {
    struct srq_live_plan plan;
    struct srq_live_state state;
    struct srq_unit unit[BLOCKS + 1];
    struct srq_scheme made[LAYERS], tuning[LAYERS];
    struct srq_change_context ctx;
    cJSON *told; /* event of the last change applied */
};
static struct bed bed;

static struct srq_scheme scheme(const char *text)
{
    struct srq_error err = { 0 };
    struct srq_scheme s;

    assert_ok(srq_scheme_parse(text, &s, &err), &err);
    return s;
}

/* The first layer of the block with the same tie. */
static int tie_of(int i)
{
    for (int k = i / PER_BLOCK * PER_BLOCK; modules[i % PER_BLOCK].tie != NULL; k++)
        if (modules[k % PER_BLOCK].tie != NULL && strcmp(modules[k % PER_BLOCK].tie, modules[i % PER_BLOCK].tie) == 0)
            return k;
    return -1;
}

static int make_layers(void **state)
{
    (void)state;
    for (int i = 0; i < LAYERS; i++) {
        int m = i % PER_BLOCK;

        if (i == LAYERS - 1) {
            snprintf(names[i], sizeof(names[i]), "lm_head");
            infos[i] = (struct srq_layer_info){ names[i], "lm_head", -1,   128, 64,
                                                SRQ_BF16, false,     NULL, -1,  .unit = (LAYERS - 1) / PER_BLOCK };
        } else {
            snprintf(names[i], sizeof(names[i]), "layers.%d.%s", i / PER_BLOCK, modules[m].module);
            infos[i] = (struct srq_layer_info){
                names[i],       modules[m].module, i / PER_BLOCK,        64, 64, SRQ_BF16, false,
                modules[m].tie, tie_of(i),         .unit = i / PER_BLOCK
            };
        }
        layers[i] = &infos[i];
    }
    return 0;
}

static int set_up(void **state)
{
    struct srq_plan_request req = { .scheme = scheme("w4g32") };
    struct srq_error err = { 0 };
    struct srq_plan plan;
    int running = 2;

    (void)state;
    memset(&bed, 0, sizeof(bed));
    assert_ok(srq_plan_make(layers, LAYERS, &req, &plan, NULL, &err), &err);
    assert_ok(srq_live_plan_init(&bed.plan, &plan, NULL, 0, &err), &err);
    bed.plan.scheme = req.scheme;
    for (int u = 0; u <= BLOCKS; u++)
        bed.unit[u] = (struct srq_unit){ u < running ? 1 : 0, u < running ? 10 : (double)NAN };
    for (int i = 0; i < LAYERS; i++)
        bed.made[i] = bed.tuning[i] = bed.plan.plan.layers[i].scheme;
    bed.state = (struct srq_live_state){ .unit = bed.unit,
                                         .made = bed.made,
                                         .tuning = bed.tuning,
                                         .running = running,
                                         .running_generation = 1,
                                         .iter = 5,
                                         .spent_s = 3,
                                         .replay_s = (double)NAN };
    bed.ctx = (struct srq_change_context){ .job = "j", .now = &bed.plan, .state = &bed.state, .model_bytes = 1000000 };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    srq_live_plan_fini(&bed.plan);
    cJSON_Delete(bed.told);
    return 0;
}

/* Works out a change given as JSON. What is said of it, where it is possible: the answer and the event. */
static int change(const char *json, struct srq_change_result *out, cJSON **reply, cJSON **event, struct srq_error *err)
{
    cJSON *params = cJSON_Parse(json);
    struct srq_change c;
    int rc;

    assert_non_null(params);
    memset(out, 0, sizeof(*out));
    out->next.hold = -1;
    rc = srq_change_parse(params, &c, err);
    if (rc == 0)
        rc = srq_change_make(&bed.ctx, &c, out, err);
    *reply = rc == 0 ? srq_change_reply(&bed.ctx, &c, out) : NULL;
    *event = rc == 0 ? srq_change_event(&bed.ctx, &c, out) : NULL;
    srq_change_fini(&c);
    cJSON_Delete(params);
    return rc;
}

/* The same, and it becomes the plan; the answer. */
static cJSON *apply(const char *json, bool *restart)
{
    struct srq_change_result r;
    struct srq_error err = { 0 };
    cJSON *reply, *event;

    assert_ok(change(json, &r, &reply, &event, &err), &err);
    cJSON_Delete(bed.told);
    bed.told = event;
    srq_live_plan_fini(&bed.plan);
    bed.plan = r.next;
    memset(&r.next, 0, sizeof(r.next));
    if (restart != NULL)
        *restart = r.restart;
    srq_change_result_fini(&r);
    return reply;
}

static const char *now(const char *name)
{
    static char text[32];

    for (int i = 0; i < LAYERS; i++) {
        if (strcmp(names[i], name) == 0)
            return srq_scheme_text(&bed.plan.plan.layers[i].scheme, text, sizeof(text));
    }
    fail_msg("no layer %s", name);
    return NULL;
}

static double number(const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}

static char *list(const cJSON *o, const char *key)
{
    static char text[256];
    char *json = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(o, key));

    assert_non_null(json);
    snprintf(text, sizeof(text), "%s", json);
    cJSON_free(json);
    return text;
}

#define PIN(pattern, scheme, more) \
    "{\"op\":\"pin\",\"by\":\"t\",\"pins\":[{\"pattern\":\"" pattern "\",\"scheme\":\"" scheme "\"" more "}]"

static void a_pending_layer_changes_at_once_and_nothing_is_tuned_again(void **state)
{
    bool restart;
    cJSON *reply = apply(PIN("layers.3.down_proj", "w8g32", "") "}", &restart);

    (void)state;
    assert_string_equal(now("layers.3.down_proj"), "w8g32");
    assert_false(restart);
    assert_string_equal(list(reply, "retunes"), "[]");
    assert_true(number(reply, "changed") == 1 && number(reply, "revision") == 1);
    assert_int_equal(bed.plan.pin_count, 1);
    cJSON_Delete(reply);
}

static void globs_and_expressions_pin_what_they_match(void **state)
{
    (void)state;
    cJSON_Delete(apply(PIN("*.o_proj", "w8g32", "") "}", NULL));
    cJSON_Delete(apply(PIN("re:^layers\\\\.[13]\\\\.down", "w3g32", "") "}", NULL));
    for (int b = 0; b < BLOCKS; b++) {
        char name[64];

        snprintf(name, sizeof(name), "layers.%d.o_proj", b);
        assert_string_equal(now(name), "w8g32");
        snprintf(name, sizeof(name), "layers.%d.down_proj", b);
        assert_string_equal(now(name), b % 2 == 1 ? "w3g32" : "w4g32");
    }
    assert_string_equal(now("lm_head"), "bf16");
}

static void fused_layers_change_together_unless_untied(void **state)
{
    cJSON *reply = apply(PIN("layers.3.q_proj", "w8g32", "") "}", NULL);

    (void)state;
    assert_string_equal(now("layers.3.k_proj"), "w8g32");
    assert_true(number(reply, "matched") == 1 && number(reply, "changed") == 2);
    assert_non_null(strstr(list(reply, "warnings"), "runtimes fuse"));
    cJSON_Delete(reply);
    cJSON_Delete(apply(PIN("layers.3.q_proj", "w3g32", ",\"untied\":true") "}", NULL));
    assert_string_equal(now("layers.3.q_proj"), "w3g32");
    assert_string_equal(now("layers.3.k_proj"), "w8g32");
}

static void a_finished_block_becomes_stale_and_comes_last(void **state)
{
    cJSON *reply = apply(PIN("layers.0.down_proj", "w3g32", "") "}", NULL);

    (void)state;
    assert_string_equal(list(reply, "retunes"), "[0]");
    assert_true(number(reply, "cost_s") == 10);
    assert_string_equal(list(bed.told, "states"), "[\"stale\",\"finished\",\"running\",\"pending\",\"finished\"]");
    assert_int_equal(srq_live_unit(&bed.plan, &bed.state, 0), SRQ_UNIT_STALE);
    bed.state.running = -1;
    assert_int_equal(srq_live_next(&bed.plan, &bed.state), 2);
    bed.unit[2].generation = bed.unit[3].generation = 1;
    assert_int_equal(srq_live_next(&bed.plan, &bed.state), 0);
    cJSON_Delete(reply);
    /* back to what it was made with: nothing is left to do */
    reply = apply("{\"op\":\"unpin\",\"by\":\"t\",\"patterns\":[\"layers.0.*\"]}", NULL);
    assert_string_equal(now("layers.0.down_proj"), "w4g32");
    assert_int_equal(srq_live_next(&bed.plan, &bed.state), -1);
    assert_int_equal(bed.plan.pin_count, 0);
    cJSON_Delete(reply);
}

static void the_running_block_restarts_or_is_held(void **state)
{
    bool restart;
    cJSON *reply = apply(PIN("layers.2.o_proj", "w8g32", "") "}", &restart);

    (void)state;
    assert_true(restart && number(reply, "restarts") == 2 && number(reply, "cost_s") == 3);
    assert_null(srq_live_plan_held(&bed.plan, 2, 1));
    cJSON_Delete(reply);
    reply = apply(PIN("layers.2.down_proj", "w8g32", "") ",\"running\":\"after\"}", &restart);
    assert_false(restart);
    assert_string_equal(list(reply, "retunes"), "[2]");
    assert_non_null(srq_live_plan_held(&bed.plan, 2, 1));
    assert_null(srq_live_plan_held(&bed.plan, 2, 2));
    assert_true(srq_scheme_equal(&srq_live_plan_held(&bed.plan, 2, 1)[2 * PER_BLOCK + 3], &bed.tuning[0]));
    cJSON_Delete(reply);
    /* a change elsewhere leaves the hold; a restart ends it */
    cJSON_Delete(apply(PIN("layers.3.o_proj", "w8g32", "") "}", &restart));
    assert_false(restart);
    assert_non_null(srq_live_plan_held(&bed.plan, 2, 1));
    cJSON_Delete(apply(PIN("layers.2.down_proj", "w3g32", "") "}", &restart));
    assert_true(restart);
    assert_null(srq_live_plan_held(&bed.plan, 2, 1));
}

static void propagating_takes_the_job_back(void **state)
{
    struct srq_change_result r;
    struct srq_error err = { 0 };
    cJSON *reply, *event;

    (void)state;
    assert_ok(change(PIN("layers.0.o_proj", "w8g32", "") ",\"propagate\":true}", &r, &reply, &event, &err), &err);
    assert_true(r.leave && r.next.back);
    assert_string_equal(list(reply, "retunes"), "[0,1]");
    /* the block that was left has no result, so that it waits for its first */
    assert_string_equal(list(event, "states"), "[\"stale\",\"stale\",\"pending\",\"pending\",\"finished\"]");
    assert_true(number(event, "restarts") == 2);
    cJSON_Delete(reply);
    cJSON_Delete(event);
    bed.state.running = -1;
    assert_int_equal(srq_live_next(&r.next, &bed.state), 0);
    bed.unit[0].generation = 2;
    bed.made[2] = scheme("w8g32");
    assert_int_equal(srq_live_next(&r.next, &bed.state), 1);
    bed.unit[1].generation = 2;
    assert_int_equal(srq_live_next(&r.next, &bed.state), 2);
    srq_change_result_fini(&r);
}

static void retuning_asks_for_another_generation(void **state)
{
    cJSON *reply = apply("{\"op\":\"retune\",\"by\":\"t\",\"patterns\":[\"layers.*.o_proj\"]}", NULL);

    (void)state;
    assert_string_equal(list(reply, "retunes"), "[0,1]");
    assert_true(number(reply, "changed") == 0 && number(reply, "matched") == BLOCKS);
    assert_non_null(strstr(list(reply, "warnings"), "2 blocks have not been tuned to the end"));
    assert_int_equal(bed.plan.wanted[1], 2);
    cJSON_Delete(reply);
}

static void options_change_no_layer(void **state)
{
    cJSON *reply = apply("{\"op\":\"set\",\"by\":\"t\",\"options\":{\"lr\":0.5,\"hp_last\":3}}", NULL);

    (void)state;
    assert_string_equal(list(reply, "options"), "{\"lr\":0.5,\"hp_first\":null,\"hp_last\":3}");
    assert_string_equal(list(reply, "retunes"), "[]");
    assert_true(number(reply, "changed") == 0 && number(reply, "revision") == 1);
    assert_string_equal(list(bed.told, "options"), list(reply, "options"));
    cJSON_Delete(reply);
    reply = apply("{\"op\":\"set\",\"by\":\"t\",\"options\":{\"lr\":null}}", NULL);
    assert_true(isnan(bed.plan.option[SRQ_LIVE_LR]) && bed.plan.option[SRQ_LIVE_HP_LAST] == 3);
    cJSON_Delete(reply);
}

static void a_stale_revision_is_refused_with_both(void **state)
{
    struct srq_change_result r;
    struct srq_error err = { 0 };
    cJSON *reply, *event;

    (void)state;
    cJSON_Delete(apply(PIN("layers.3.o_proj", "w8g32", "") ",\"revision\":0}", NULL));
    assert_refused(change(PIN("nowhere", "w8g32", "") ",\"revision\":0}", &r, &reply, &event, &err), -SRQ_ESTATE, &err,
                   "at revision 1 and no longer at 0");
    assert_string_equal(err.field, "revision");
    srq_change_result_fini(&r);
}

static void what_cannot_be_meant_is_refused(void **state)
{
    static const struct {
        const char *json, *words;
        int code;
    } cases[] = {
        { PIN("layers.9.*", "w8g32", "") "}", "matches nothing", -SRQ_ENOENT },
        { "{\"op\":\"pin\",\"by\":\"t\",\"pins\":[{\"pattern\":\"layers.3.q_proj\",\"scheme\":\"w8g32\"},"
          "{\"pattern\":\"layers.3.k_proj\",\"scheme\":\"w3g32\"}]}",
          "runtimes fuse them", -SRQ_EINVAL },
        { "{\"op\":\"budget\",\"by\":\"t\",\"bits\":3}", "has no sensitivity scores", -SRQ_ESTATE },
        { "{\"op\":\"budget\",\"by\":\"t\"}", "bits", -SRQ_EINVAL },
        { "{\"op\":\"retune\",\"by\":\"t\",\"patterns\":[\"*\"],\"running\":\"after\"}", "running", -SRQ_EINVAL },
        { PIN("*", "w8g32", "") ",\"running\":\"soon\"}", "restart", -SRQ_EINVAL },
        { "{\"op\":\"set\",\"by\":\"t\",\"options\":{\"steps\":3}}", "lr, hp_first and hp_last can", -SRQ_EINVAL },
        { "{\"op\":\"set\",\"by\":\"t\",\"options\":{\"hp_last\":1.5}}", "number of steps", -SRQ_EINVAL },
        { "{\"op\":\"set\",\"by\":\"t\",\"options\":{}}", "at least one option", -SRQ_EINVAL },
        { PIN("*", "w8g32", "") ",\"options\":{\"lr\":1}}", "does not belong", -SRQ_EINVAL },
        { "{\"op\":\"drop\",\"by\":\"t\"}", "pin, unpin", -SRQ_EINVAL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct srq_change_result r;
        struct srq_error err = { 0 };
        cJSON *reply, *event;

        assert_refused(change(cases[i].json, &r, &reply, &event, &err), cases[i].code, &err, cases[i].words);
        srq_change_result_fini(&r);
    }
    assert_int_equal(bed.plan.plan.revision, 0);
}

/* 64x64 codes of 8 bits and, a group of 32, a 16-bit scale and an 8-bit zero-point, against 4 bits each. */
static void sizes_are_right_to_the_byte(void **state)
{
    cJSON *reply = apply(PIN("layers.3.down_proj", "w8g32", "") ",\"dry_run\":true}", NULL);
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(reply, "size");
    const cJSON *before = cJSON_GetObjectItemCaseSensitive(reply, "size_now");
    double elements = 64 * 64, groups = elements / 32;

    (void)state;
    assert_true(number(size, "after_bytes") - number(before, "after_bytes") == (elements * 4 + groups * 4) / 8);
    assert_true(number(before, "after_bytes") ==
                1000000 - BLOCKS * PER_BLOCK * (elements * 2 - (elements * 4 + groups * 20) / 8));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply, "applied")));
    assert_true(number(reply, "revision") == 0);
    cJSON_Delete(reply);
}

/* ---- an allocator that gives w2g32 to all that it may ------------------------------------------------------------ */

static bool was_fixed[LAYERS];

static int unsuited = -1; /* a layer that no candidate suits */

static int allocate(void *ctx, struct srq_plan *plan, const bool *fixed, double bits, struct srq_error *err)
{
    (void)ctx;
    if (bits < 2)
        return srq_fail_field(err, -SRQ_EINVAL, "budget.bits", "at least 2");
    for (int i = 0; i < plan->count; i++) {
        was_fixed[i] = fixed[i];
        if (fixed[i] || i == unsuited)
            continue;
        plan->layers[i].scheme = plan->layers[i].asked = scheme("w2g32");
        plan->layers[i].source = SRQ_SOURCE_ALLOCATOR;
    }
    return 0;
}

static int choices;

static cJSON *describe(void *ctx)
{
    cJSON *o = cJSON_CreateObject();

    (void)ctx;
    cJSON_AddNumberToObject(o, "choice", ++choices);
    return o;
}

static double score(void *ctx, int layer, const struct srq_scheme *s)
{
    (void)ctx;
    (void)layer;
    return 1.0 / s->bits;
}

static void a_budget_keeps_pins_and_what_is_finished(void **state)
{
    const struct srq_solver solver = { NULL, allocate, describe, score };
    cJSON *reply, *other, *event;
    struct srq_change_result r;
    struct srq_error err = { 0 };
    const cJSON *f;

    (void)state;
    bed.ctx.solver = &solver;
    cJSON_Delete(apply(PIN("layers.3.o_proj", "w8g32", "") "}", NULL));
    reply = apply("{\"op\":\"budget\",\"by\":\"t\",\"bits\":3}", NULL);
    assert_string_equal(now("layers.0.o_proj"), "w4g32");
    assert_string_equal(now("layers.3.o_proj"), "w8g32");
    assert_string_equal(now("layers.3.down_proj"), "w2g32");
    assert_string_equal(now("layers.2.down_proj"), "w2g32");
    assert_true(was_fixed[0] && was_fixed[LAYERS - 1] && !was_fixed[2 * PER_BLOCK]);
    f = cJSON_GetObjectItemCaseSensitive(reply, "forecast");
    assert_true(fabs(number(f, "now") - (15.0 / 4 + 1.0 / 8)) < 1e-12);
    assert_true(fabs(number(f, "then") - (8.0 / 4 + 1.0 / 8 + 7.0 / 2)) < 1e-12);
    assert_true(number(reply, "moved") == number(reply, "changed") && number(reply, "moved") == 7);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(reply, "forecast_missing")));
    assert_string_equal(list(reply, "retunes"), "[]");
    cJSON_Delete(reply);
    assert_refused(change("{\"op\":\"budget\",\"by\":\"t\",\"bits\":1}", &r, &other, &event, &err), -SRQ_EINVAL, &err,
                   "8 layers of blocks that are tuned count as they are, unless they are released");
    srq_change_result_fini(&r);
    /* every later change is solved again; released layers may change though they are finished */
    reply = apply("{\"op\":\"budget\",\"by\":\"t\",\"bits\":3,\"release\":true}", NULL);
    assert_string_equal(list(reply, "retunes"), "[0,1]");
    assert_int_equal(bed.plan.plan.layers[0].source, SRQ_SOURCE_ALLOCATOR);
    cJSON_Delete(reply);
    reply = apply("{\"op\":\"budget\",\"by\":\"t\",\"bits\":null}", NULL);
    assert_true(number(reply, "changed") == 0 && isnan(bed.plan.bits));
    cJSON_Delete(reply);
}

static void what_no_candidate_suits_stays_by_default(void **state)
{
    const struct srq_solver solver = { NULL, allocate, describe, score };

    (void)state;
    bed.ctx.solver = &solver;
    unsuited = 3 * PER_BLOCK;
    cJSON_Delete(apply("{\"op\":\"budget\",\"by\":\"t\",\"bits\":3}", NULL));
    unsuited = -1;
    assert_int_equal(bed.plan.plan.layers[3 * PER_BLOCK].source, SRQ_SOURCE_DEFAULT);
    assert_true(srq_scheme_equal(&bed.plan.plan.layers[3 * PER_BLOCK].scheme, &bed.plan.scheme));
    assert_int_equal(bed.plan.plan.layers[3 * PER_BLOCK + 1].source, SRQ_SOURCE_ALLOCATOR);
}

/* ---- before there are scores: pins leave at least 3 bits; the first layer, if it may be chosen, is not w4g32 ------
 */

static int expect(void *ctx, struct srq_plan *plan, double bits, struct srq_error *err)
{
    (void)ctx;
    if (bits < 3)
        return srq_fail_field(err, -SRQ_EINVAL, "budget.bits", "3 to 9 on average");
    for (int i = 0; i < plan->count; i++) {
        if (plan->layers[i].source == SRQ_SOURCE_PIN && plan->layers[i].asked.grid == SRQ_GRID_NONE && bits < 9)
            return srq_fail_field(err, -SRQ_EINVAL, "budget.bits", "9 to 16 on average");
    }
    if (plan->layers[0].source != SRQ_SOURCE_PIN)
        plan->layers[0].asked = scheme("w3g32");
    return 0;
}

static void assert_no_size(const cJSON *o, const char *key)
{
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(o, key);

    assert_true(cJSON_IsObject(size) && number(size, "before_bytes") > 0);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(size, "after_bytes")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(size, "average_bits")));
}

static void changes_before_scores_keep_the_budget_possible_and_tell_no_size(void **state)
{
    static const char *const impossible[] = {
        PIN("*.o_proj", "bf16", "") "}",
        "{\"op\":\"budget\",\"by\":\"t\",\"bits\":2.5}",
        "{\"op\":\"unpin\",\"by\":\"t\",\"patterns\":[\"*.down_proj\"]}",
    };
    struct srq_change_result r;
    struct srq_error err = { 0 };
    cJSON *reply, *event;

    (void)state;
    bed.state.running = -1;
    memset(bed.unit, 0, sizeof(bed.unit));
    bed.ctx.expect = expect;
    bed.plan.bits = 4;
    reply = apply(PIN("*.down_proj", "w8g32", "") "}", NULL);
    assert_no_size(reply, "size");
    assert_no_size(reply, "size_now");
    assert_no_size(bed.told, "size");
    assert_string_equal(now("layers.0.q_proj"), "w3g32");
    cJSON_Delete(reply);
    for (int i = 0; i < 3; i++) {
        bed.plan.bits = i < 2 ? 4 : 2; /* the last is not possible once that pin is gone */
        assert_refused(change(impossible[i], &r, &reply, &event, &err), -SRQ_EINVAL, &err, "on average");
        assert_string_equal(err.field, "budget.bits");
        srq_change_result_fini(&r);
    }
    bed.plan.bits = 4;
    cJSON_Delete(apply("{\"op\":\"budget\",\"by\":\"t\",\"bits\":5}", NULL));
    assert_true(bed.plan.bits == 5);
    /* Without a budget nobody will choose: what is planned is what will be, and its size is known. */
    reply = apply("{\"op\":\"budget\",\"by\":\"t\",\"bits\":null}", NULL);
    assert_string_equal(now("layers.0.q_proj"), "w4g32");
    assert_string_equal(now("layers.0.down_proj"), "w8g32");
    assert_no_size(reply, "size_now");
    assert_true(number(cJSON_GetObjectItemCaseSensitive(reply, "size"), "average_bits") > 4);
    cJSON_Delete(reply);
}

static void a_saved_plan_is_the_same_again(void **state)
{
    char path[] = "/tmp/srq-live-XXXXXX";
    struct srq_error err = { 0 };
    struct srq_live_plan other;
    struct srq_scheme candidates[2] = { scheme("w2g32"), scheme("w4g32") };
    struct srq_plan copy;
    char *a, *b;
    size_t na, nb;

    (void)state;
    close(mkstemp(path));
    assert_ok(srq_live_plan_budget(&bed.plan, 3.5, candidates, 2, &err), &err);
    cJSON_Delete(apply(PIN("layers.2.q_proj", "w8g32", ",\"untied\":true") ",\"running\":\"after\"}", NULL));
    cJSON_Delete(apply(PIN("layers.0.o_proj", "w8g32", "") ",\"propagate\":true}", NULL));
    cJSON_Delete(apply("{\"op\":\"set\",\"by\":\"t\",\"options\":{\"lr\":1e-05}}", NULL));
    assert_ok(srq_live_plan_save(&bed.plan, path, &err), &err);
    assert_ok(srq_read_file(path, 1 << 20, &a, &na, &err), &err);
    assert_ok(srq_plan_copy(&bed.plan.plan, &copy, &err), &err);
    assert_ok(srq_live_plan_init(&other, &copy, NULL, 0, &err), &err);
    assert_ok(srq_live_plan_load(&other, path, &err), &err);
    assert_int_equal(other.plan.revision, 3);
    assert_true(other.option[SRQ_LIVE_LR] == 1e-5 && isnan(other.option[SRQ_LIVE_HP_FIRST]));
    assert_int_equal(other.pin_count, 2);
    assert_true(other.bits == 3.5 && other.candidate_count == 2 && other.back && other.wanted[1] == 2);
    assert_true(other.plan.layers[2 * PER_BLOCK].untied);
    assert_ok(srq_live_plan_save(&other, path, &err), &err);
    assert_ok(srq_read_file(path, 1 << 20, &b, &nb, &err), &err);
    assert_string_equal(a, b);
    srq_free(a);
    srq_free(b);
    srq_live_plan_fini(&other);
    unlink(path);
}

static void what_changes_nothing_keeps_the_revision_and_says_why(void **state)
{
    static const struct {
        const char *json, *why;
    } cases[] = {
        { PIN("*.o_proj", "w8g32", "") "}", "the 4 layers that match are pinned so already" },
        { PIN("lm_h*", "w8g32", "") "}", "pinned by its whole name" },
        { "{\"op\":\"unpin\",\"by\":\"t\",\"patterns\":[\"*.q_proj\"]}", "none of the 4 layers" },
        { "{\"op\":\"budget\",\"by\":\"t\",\"bits\":null}", "there is no budget" },
        { "{\"op\":\"retune\",\"by\":\"t\",\"patterns\":[\"layers.3.*\"]}", "not been tuned to the end yet" },
    };

    (void)state;
    cJSON_Delete(apply(PIN("*.o_proj", "w8g32", "") "}", NULL));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cJSON *reply = apply(cases[i].json, NULL);

        assert_int_equal(bed.plan.plan.revision, 1);
        assert_true(number(reply, "revision") == 1);
        assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply, "applied")));
        assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply, "effect")));
        assert_non_null(strstr(list(reply, "warnings"), cases[i].why));
        cJSON_Delete(reply);
    }
    /* one that only says who decided is a change: no allocator may touch the layer from now on */
    cJSON_Delete(apply(PIN("layers.3.down_proj", "w4g32", "") "}", NULL));
    assert_int_equal(bed.plan.plan.revision, 2);
    /* and asking twice for the same tuning is not */
    cJSON_Delete(apply("{\"op\":\"retune\",\"by\":\"t\",\"patterns\":[\"layers.0.*\"]}", NULL));
    cJSON_Delete(apply("{\"op\":\"retune\",\"by\":\"t\",\"patterns\":[\"layers.0.*\"]}", NULL));
    assert_int_equal(bed.plan.plan.revision, 3);
}

/* A layout without 6 bits. */
static int no_six(void *ctx, const struct srq_scheme *schemes, char (*reason)[SRQ_PLAN_REASON_MAX],
                  struct srq_error *err)
{
    int refused = 0;

    (void)ctx;
    (void)err;
    for (int i = 0; i < LAYERS; i++) {
        if (schemes[i].bits != 6)
            continue;
        snprintf(reason[i], sizeof(reason[i]), "the layout has no 6 bits");
        refused++;
    }
    return refused;
}

static void a_pin_that_no_layer_can_hold_is_refused_with_the_reason(void **state)
{
    struct srq_change_result r;
    struct srq_error err = { 0 };
    cJSON *reply, *event;

    (void)state;
    bed.ctx.formats = no_six;
    assert_refused(change(PIN("*.k_proj", "w6g32", "") "}", &r, &reply, &event, &err), -SRQ_EINVAL, &err,
                   "no layer that \"*.k_proj\" names can be w6g32: layers.0.k_proj: the layout");
    assert_string_equal(err.field, "pins");
    srq_change_result_fini(&r);
}

/* Works a change out, tells the history of it, and makes it the plan. */
static void remember(cJSON *history, const char *json)
{
    cJSON *params = cJSON_Parse(json);
    struct srq_change_result r;
    struct srq_error err = { 0 };
    struct srq_live_plan past = { .hold = -1 };
    struct srq_change c;

    assert_ok(srq_change_parse(params, &c, &err), &err);
    if (c.op == SRQ_CHANGE_REVERT) {
        assert_ok(srq_history_past(history, &bed.plan, c.to, &past, &err), &err);
        c.past = srq_calloc(1, sizeof(*c.past));
        *c.past = past;
    }
    assert_ok(srq_change_make(&bed.ctx, &c, &r, &err), &err);
    assert_false(r.idle);
    assert_ok(srq_history_add(history, &bed.plan, &c, &r.next, 1000, &err), &err);
    srq_live_plan_fini(&bed.plan);
    bed.plan = r.next;
    memset(&r.next, 0, sizeof(r.next));
    srq_change_result_fini(&r);
    srq_change_fini(&c);
    cJSON_Delete(params);
}

static cJSON *decisions(void)
{
    cJSON *all = cJSON_CreateArray();
    char text[32];

    for (int i = 0; i < LAYERS; i++) {
        const struct srq_plan_layer *l = &bed.plan.plan.layers[i];

        cJSON_AddItemToArray(all, cJSON_CreateString(srq_scheme_text(&l->asked, text, sizeof(text))));
        cJSON_AddItemToArray(all, cJSON_CreateNumber(l->source * 2 + l->untied));
    }
    for (int i = 0; i < bed.plan.pin_count; i++)
        cJSON_AddItemToArray(all, cJSON_CreateString(bed.plan.pins[i].pattern));
    cJSON_AddItemToArray(all, isnan(bed.plan.bits) ? cJSON_CreateNull() : cJSON_CreateNumber(bed.plan.bits));
    return all;
}

/* Whatever was done since, what was decided at a revision can be had again, and is another revision. */
static void any_revision_that_is_kept_can_be_had_again(void **state)
{
    static const char *const steps[] = {
        PIN("*.o_proj", "w8g32", "") "}",
        PIN("layers.2.q_proj", "w2g32", ",\"untied\":true") "}",
        "{\"op\":\"unpin\",\"by\":\"t\",\"patterns\":[\"layers.0.*\"]}",
        PIN("lm_head", "w8g32", "") "}",
    };
    char dir[] = "/tmp/srq-history-XXXXXX", path[80], text[80];
    cJSON *then[5], *history, *again;
    struct srq_error err = { 0 };
    struct srq_live_plan past;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_ok(srq_history_load(dir, 0, &history, &err), &err);
    then[0] = decisions();
    for (int i = 0; i < 4; i++) {
        remember(history, steps[i]);
        then[i + 1] = decisions();
    }
    for (int to = 4, now = 4; to-- > 0; now++) {
        snprintf(text, sizeof(text), "{\"op\":\"revert\",\"by\":\"t\",\"to\":%d}", to);
        remember(history, text);
        again = decisions();
        assert_true(cJSON_Compare(again, then[to], true));
        assert_int_equal(bed.plan.plan.revision, now + 1);
        cJSON_Delete(again);
    }
    assert_refused(srq_history_past(history, &bed.plan, 9, &past, &err), -SRQ_EINVAL, &err, "no revision 9");
    srq_live_plan_fini(&past);
    /* A revision that never became the plan, since the job was killed in between, is not told. */
    assert_ok(srq_history_save(history, dir, &err), &err);
    assert_ok(srq_history_load(dir, 6, &again, &err), &err);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(again, "revisions")), 6);
    cJSON_Delete(again);
    /* Old ones go, and are refused. */
    for (int i = 0; i < SRQ_HISTORY_MOST; i++)
        remember(history, i % 2 == 0 ? steps[0] : "{\"op\":\"unpin\",\"by\":\"t\",\"patterns\":[\"*\"]}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(history, "revisions")), SRQ_HISTORY_MOST);
    assert_refused(srq_history_past(history, &bed.plan, 7, &past, &err), -SRQ_EINVAL, &err,
                   "the oldest that is kept is 8");
    srq_live_plan_fini(&past);
    snprintf(path, sizeof(path), "%s/" SRQ_HISTORY_FILE, dir);
    unlink(path);
    rmdir(dir);
    for (int i = 0; i < 5; i++)
        cJSON_Delete(then[i]);
    cJSON_Delete(history);
}

static double choice(void)
{
    return number(bed.plan.allocation, "choice");
}

/* A revision from before the allocator chose has no choice to go back to: it chooses again. What it said of a plan
 * comes back with the plan. */
static void a_revision_before_the_choice_is_chosen_for_again(void **state)
{
    const struct srq_solver solver = { NULL, allocate, describe, score };
    cJSON *history = cJSON_CreateObject();
    struct srq_error err = { 0 };
    struct srq_change change = { .op = SRQ_CHANGE_ALLOCATE, .bits = (double)NAN, .revision = -1 };
    struct srq_change_result r;
    double first;

    (void)state;
    cJSON_AddArrayToObject(history, "revisions");
    bed.ctx.solver = &solver;
    bed.plan.bits = 3;
    remember(history, PIN("layers.3.o_proj", "w8g32", "") "}");
    cJSON_Delete(bed.plan.allocation); /* as if scores came only now */
    bed.plan.allocation = NULL;
    assert_ok(srq_change_make(&bed.ctx, &change, &r, &err), &err);
    assert_ok(srq_history_add(history, &bed.plan, &change, &r.next, 1000, &err), &err);
    srq_live_plan_fini(&bed.plan);
    bed.plan = r.next;
    memset(&r.next, 0, sizeof(r.next));
    srq_change_result_fini(&r);
    first = choice();

    remember(history, PIN("layers.2.o_proj", "w8g32", "") "}");
    assert_true(choice() > first);
    remember(history, "{\"op\":\"revert\",\"by\":\"t\",\"to\":2}");
    assert_true(choice() == first);
    assert_string_equal(now("layers.2.o_proj"), "w2g32");
    assert_string_equal(now("layers.3.o_proj"), "w8g32");

    remember(history, PIN("*.o_proj", "w4g32", "") "}");
    remember(history, "{\"op\":\"revert\",\"by\":\"t\",\"to\":1}");
    assert_true(choice() > first && bed.plan.bits == 3);
    assert_string_equal(now("layers.3.o_proj"), "w8g32");
    assert_string_equal(now("layers.3.down_proj"), "w2g32");
    assert_int_equal(bed.plan.plan.layers[3 * PER_BLOCK].source, SRQ_SOURCE_ALLOCATOR);
    cJSON_Delete(history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(a_pending_layer_changes_at_once_and_nothing_is_tuned_again),
        T(globs_and_expressions_pin_what_they_match),
        T(fused_layers_change_together_unless_untied),
        T(a_finished_block_becomes_stale_and_comes_last),
        T(the_running_block_restarts_or_is_held),
        T(propagating_takes_the_job_back),
        T(retuning_asks_for_another_generation),
        T(options_change_no_layer),
        T(what_changes_nothing_keeps_the_revision_and_says_why),
        T(a_pin_that_no_layer_can_hold_is_refused_with_the_reason),
        T(any_revision_that_is_kept_can_be_had_again),
        T(a_revision_before_the_choice_is_chosen_for_again),
        T(a_stale_revision_is_refused_with_both),
        T(what_cannot_be_meant_is_refused),
        T(sizes_are_right_to_the_byte),
        T(a_budget_keeps_pins_and_what_is_finished),
        T(what_no_candidate_suits_stays_by_default),
        T(changes_before_scores_keep_the_budget_possible_and_tell_no_size),
        T(a_saved_plan_is_the_same_again),
    };

    return cmocka_run_group_tests_name("live", tests, make_layers, NULL);
}
