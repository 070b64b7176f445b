/* Plans: patterns, pins, ties, what shapes and formats carry, sizes, and the file. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/job/plan_json.h"
#include "core/proto/words.h"

#include <math.h>

#define BLOCKS 3
#define PER_BLOCK 7
#define LAYERS (BLOCKS * PER_BLOCK + 1)

static const struct {
    const char *module, *tie;
    int64_t out, in;
} modules[PER_BLOCK] = {
    { "self_attn.q_proj", "qkv", 256, 256 },  { "self_attn.k_proj", "qkv", 128, 256 },
    { "self_attn.v_proj", "qkv", 128, 256 },  { "self_attn.o_proj", NULL, 256, 256 },
    { "mlp.gate_proj", "gate_up", 512, 256 }, { "mlp.up_proj", "gate_up", 512, 256 },
    { "mlp.down_proj", NULL, 256, 512 },
};

static struct srq_layer_info infos[LAYERS];
static const struct srq_layer_info *layers[LAYERS];
static char names[LAYERS][64];

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
        int b = i / PER_BLOCK, m = i % PER_BLOCK;
        struct srq_layer_info *l = &infos[i];

        if (i == LAYERS - 1) {
            snprintf(names[i], sizeof(names[i]), "lm_head");
            *l = (struct srq_layer_info){ names[i], "lm_head", -1,   1024, 256,
                                          SRQ_BF16, false,     NULL, -1,   .unit = (LAYERS - 1) / PER_BLOCK };
        } else {
            snprintf(names[i], sizeof(names[i]), "model.layers.%d.%s", b, modules[m].module);
            *l = (struct srq_layer_info){
                names[i], modules[m].module, b,         modules[m].out,       modules[m].in, SRQ_BF16,
                false,    modules[m].tie,    tie_of(i), .unit = i / PER_BLOCK
            };
        }
        layers[i] = l;
    }
    return 0;
}

static struct srq_scheme scheme(const char *text)
{
    struct srq_error err = { 0 };
    struct srq_scheme s;

    assert_ok(srq_scheme_parse(text, &s, &err), &err);
    return s;
}

/* The scheme that the plan gives `name`, as text. */
static const char *planned(const struct srq_plan *p, const char *name)
{
    static char text[32];

    for (int i = 0; i < p->count; i++) {
        if (strcmp(p->layers[i].info->name, name) == 0)
            return srq_scheme_text(&p->layers[i].scheme, text, sizeof(text));
    }
    fail_msg("no layer %s", name);
    return NULL;
}

static int count_of(const struct srq_plan *p, const char *text)
{
    char have[32];
    int n = 0;

    for (int i = 0; i < p->count; i++)
        n += strcmp(srq_scheme_text(&p->layers[i].scheme, have, sizeof(have)), text) == 0;
    return n;
}

static struct srq_pin pin(const char *pattern, const char *text)
{
    return (struct srq_pin){ .pattern = (char *)(uintptr_t)pattern, .scheme = scheme(text) };
}

static void make(const struct srq_pin *pins, int n, struct srq_plan *p, cJSON *notes)
{
    struct srq_plan_request req = { .scheme = scheme("w4g64"), .pins = pins, .pin_count = n };
    struct srq_error err = { 0 };

    assert_ok(srq_plan_make(layers, LAYERS, &req, p, notes, &err), &err);
}

static void default_covers_blocks_and_leaves_the_head(void **state)
{
    struct srq_plan p;

    (void)state;
    make(NULL, 0, &p, NULL);
    assert_int_equal(count_of(&p, "w4g64"), LAYERS - 1);
    assert_string_equal(planned(&p, "lm_head"), "bf16");
    assert_int_equal(p.layers[0].source, SRQ_SOURCE_DEFAULT);
    srq_plan_fini(&p);
}

static void an_exact_name_pins_one_layer(void **state)
{
    struct srq_pin pins[] = { pin("model.layers.1.mlp.down_proj", "w8") };
    struct srq_plan p;

    (void)state;
    make(pins, 1, &p, NULL);
    assert_int_equal(count_of(&p, "w8"), 1);
    assert_string_equal(planned(&p, "model.layers.1.mlp.down_proj"), "w8");
    assert_int_equal(p.layers[13].source, SRQ_SOURCE_PIN);
    srq_plan_fini(&p);
}

static void a_star_crosses_dots(void **state)
{
    struct srq_pin pins[] = { pin("model.*.down_proj", "w8") };
    struct srq_plan p;

    (void)state;
    make(pins, 1, &p, NULL);
    assert_int_equal(count_of(&p, "w8"), BLOCKS);
    srq_plan_fini(&p);
}

static void a_regular_expression_is_searched_for(void **state)
{
    struct srq_pin pins[] = { pin("re:layers\\.(0|2)\\..*down", "w8") };
    struct srq_plan p;

    (void)state;
    make(pins, 1, &p, NULL);
    assert_int_equal(count_of(&p, "w8"), 2);
    assert_string_equal(planned(&p, "model.layers.1.mlp.down_proj"), "w4g64");
    srq_plan_fini(&p);
}

static void a_later_pin_wins(void **state)
{
    struct srq_pin pins[] = { pin("*down_proj", "w8"), pin("model.layers.0.mlp.down_proj", "w3g64") };
    struct srq_plan p;

    (void)state;
    make(pins, 2, &p, NULL);
    assert_string_equal(planned(&p, "model.layers.0.mlp.down_proj"), "w3g64");
    assert_int_equal(count_of(&p, "w8"), BLOCKS - 1);
    srq_plan_fini(&p);
}

static void a_pin_on_one_fused_layer_applies_to_all_and_says_so(void **state)
{
    struct srq_pin pins[] = { pin("model.layers.2.self_attn.k_proj", "w8") };
    cJSON *notes = cJSON_CreateArray();
    struct srq_plan p;

    (void)state;
    make(pins, 1, &p, notes);
    assert_int_equal(count_of(&p, "w8"), 3);
    assert_string_equal(planned(&p, "model.layers.2.self_attn.q_proj"), "w8");
    assert_string_equal(planned(&p, "model.layers.2.self_attn.o_proj"), "w4g64");
    assert_int_equal(cJSON_GetArraySize(notes), 1);
    assert_non_null(strstr(cJSON_GetArrayItem(notes, 0)->valuestring, "2 layers that runtimes fuse"));
    cJSON_Delete(notes);
    srq_plan_fini(&p);
}

static void an_untied_pin_stays_alone(void **state)
{
    struct srq_pin pins[] = { pin("model.layers.2.self_attn.k_proj", "w8") };
    struct srq_plan p;

    (void)state;
    pins[0].untied = true;
    make(pins, 1, &p, NULL);
    assert_int_equal(count_of(&p, "w8"), 1);
    srq_plan_fini(&p);
}

static void the_head_is_pinned_by_its_name_only(void **state)
{
    struct srq_pin all[] = { pin("*", "w8") }, head[] = { pin("lm_head", "w8") };
    struct srq_plan p;

    (void)state;
    make(all, 1, &p, NULL);
    assert_string_equal(planned(&p, "lm_head"), "bf16");
    srq_plan_fini(&p);
    make(head, 1, &p, NULL);
    assert_string_equal(planned(&p, "lm_head"), "w8");
    srq_plan_fini(&p);
}

/* Each bad set of pins with what its sentence names. */
static void bad_pins_are_refused_by_name(void **state)
{
    static const struct {
        const char *one, *one_scheme, *two, *two_scheme;
        int code;
        const char *part;
    } cases[] = {
        { "layers.99.*", "w8", NULL, NULL, SRQ_ENOENT, "\"layers.99.*\" matches nothing" },
        { "layers.99.*", "w8", NULL, NULL, SRQ_ENOENT, "model.layers.0.self_attn.q_proj … lm_head" },
        { "model.layers.0", "w8", NULL, NULL, SRQ_ENOENT, "matches nothing" },
        { "re:(", "w8", NULL, NULL, SRQ_EINVAL, "\"re:(\"" },
        { "re:layers\\.9", "w8", NULL, NULL, SRQ_ENOENT, "re:layers" },
        { "", "w8", NULL, NULL, SRQ_EINVAL, "empty" },
        { "*q_proj", "w8", "*k_proj", "w3g64", SRQ_EINVAL, "runtimes fuse them" },
        { "*gate_proj", "w8", "*up_proj", "bf16", SRQ_EINVAL, "model.layers.0.mlp.gate_proj is pinned to w8" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct srq_pin pins[2] = { pin(cases[i].one, cases[i].one_scheme) };
        struct srq_plan_request req = { .scheme = scheme("w4g64"), .pins = pins, .pin_count = 1 };
        struct srq_error err = { 0 };
        struct srq_plan p;

        if (cases[i].two != NULL)
            pins[req.pin_count++] = pin(cases[i].two, cases[i].two_scheme);
        assert_refused(srq_plan_make(layers, LAYERS, &req, &p, NULL, &err), -cases[i].code, &err, cases[i].part);
        assert_string_equal(err.field, "layers");
    }
}

/* A format that cannot carry q_proj of block 1, and then not what is fused with it. */
static int no_second_q(void *ctx, const struct srq_scheme *schemes, char (*reason)[SRQ_PLAN_REASON_MAX],
                       struct srq_error *err)
{
    int refused = 0;

    (void)ctx;
    (void)err;
    for (int i = PER_BLOCK; i < PER_BLOCK + 3; i++) {
        bool alone = i > PER_BLOCK && schemes[PER_BLOCK].grid == SRQ_GRID_NONE;

        if (schemes[i].grid == SRQ_GRID_NONE || (i > PER_BLOCK && !alone))
            continue;
        snprintf(reason[i], SRQ_PLAN_REASON_MAX, "%s: the format says no", names[i]);
        refused++;
    }
    return refused;
}

/* A format of 4 and 8 bits; the second q_proj takes 8 only. */
static int fours_and_eights(void *ctx, const struct srq_scheme *schemes, char (*reason)[SRQ_PLAN_REASON_MAX],
                            struct srq_error *err)
{
    int n = 0;

    (void)ctx;
    (void)err;
    for (int i = 0; i < LAYERS; i++) {
        bool holds =
            schemes[i].grid == SRQ_GRID_NONE || schemes[i].bits == 8 || (schemes[i].bits == 4 && i != PER_BLOCK);

        snprintf(reason[i], SRQ_PLAN_REASON_MAX, "%s", holds ? "" : "no such width");
        n += !holds;
    }
    return n;
}

static void a_plan_lists_the_widths_that_shape_and_formats_hold(void **state)
{
    struct srq_plan_request req = { .scheme = scheme("w8g64"), .formats = fours_and_eights };
    struct srq_error err = { 0 };
    struct srq_plan plan, again;
    int64_t rows = infos[3].out;
    cJSON *json;

    (void)state;
    infos[3].out = 250; /* no integer scheme has such a shape */
    assert_ok(srq_plan_make(layers, LAYERS, &req, &plan, NULL, &err), &err);
    assert_int_equal(plan.layers[0].widths, 1u << 4 | 1u << 8);
    assert_int_equal(plan.layers[3].widths, 0);
    assert_int_equal(plan.layers[PER_BLOCK].widths, 1u << 8);
    assert_int_equal(plan.layers[LAYERS - 1].widths, 1u << 4 | 1u << 8); /* the head, which stays as it is by default */
    json = srq_plan_json(&plan);
    assert_ok(srq_plan_from_json(layers, LAYERS, json, &again, &err), &err);
    for (int i = 0; i < LAYERS; i++)
        assert_int_equal(again.layers[i].widths, plan.layers[i].widths);
    cJSON_Delete(json);
    srq_plan_fini(&again);
    srq_plan_fini(&plan);
    req.formats = NULL;
    assert_ok(srq_plan_make(layers, LAYERS, &req, &plan, NULL, &err), &err);
    assert_int_equal(plan.layers[0].widths, 0x1fc);
    srq_plan_fini(&plan);
    infos[3].out = rows;
}

static void what_a_format_cannot_carry_stays_with_its_fused_layers(void **state)
{
    struct srq_plan_request req = { .scheme = scheme("w4g64"), .formats = no_second_q };
    struct srq_error err = { 0 };
    cJSON *notes = cJSON_CreateArray();
    struct srq_plan p;

    (void)state;
    assert_ok(srq_plan_make(layers, LAYERS, &req, &p, NULL, &err), &err);
    srq_plan_note_left(&p, NULL, notes);
    assert_string_equal(planned(&p, "model.layers.1.self_attn.q_proj"), "bf16");
    assert_string_equal(planned(&p, "model.layers.1.self_attn.v_proj"), "bf16");
    assert_string_equal(planned(&p, "model.layers.1.self_attn.o_proj"), "w4g64");
    assert_non_null(strstr(cJSON_GetArrayItem(notes, 0)->valuestring, "the format says no"));
    cJSON_Delete(notes);
    srq_plan_fini(&p);
    req.refuse_incompatible = true;
    assert_refused(srq_plan_make(layers, LAYERS, &req, &p, NULL, &err), -SRQ_EUNSUPPORTED, &err,
                   "model.layers.1.self_attn.q_proj [256, 256] cannot be stored as w4g64: the format says no");
}

static void a_shape_that_cannot_carry_the_scheme_stays_with_a_warning(void **state)
{
    struct srq_plan_request req = { .scheme = scheme("w4g64") };
    struct srq_error err = { 0 };
    cJSON *notes = cJSON_CreateArray();
    struct srq_plan p;

    (void)state;
    infos[3].out = 100; /* o_proj of block 0: not a multiple of 32 */
    assert_ok(srq_plan_make(layers, LAYERS, &req, &p, NULL, &err), &err);
    srq_plan_note_left(&p, NULL, notes);
    infos[3].out = 256;
    assert_string_equal(planned(&p, "model.layers.0.self_attn.o_proj"), "bf16");
    assert_int_equal(cJSON_GetArraySize(notes), 1);
    assert_non_null(strstr(cJSON_GetArrayItem(notes, 0)->valuestring, "model.layers.0.self_attn.o_proj stays in 16"));
    srq_plan_note_left(&p, &p, notes); /* it did so before */
    assert_int_equal(cJSON_GetArraySize(notes), 1);
    cJSON_Delete(notes);
    srq_plan_fini(&p);
}

/* w4g64: 4 bits and (16+4)/64 for scale and zero-point an element (spec signround 7.2). */
static void sizes_count_scales_and_zero_points(void **state)
{
    struct srq_plan p;
    struct srq_plan_size size;
    uint64_t elements = 0, all = 0;

    (void)state;
    make(NULL, 0, &p, NULL);
    for (int i = 0; i < LAYERS; i++) {
        all += (uint64_t)(infos[i].out * infos[i].in);
        if (infos[i].block >= 0)
            elements += (uint64_t)(infos[i].out * infos[i].in);
    }
    size = srq_plan_size(&p, all * 2 + 1000);
    assert_true(fabs(size.average_bits - (4 + 20.0 / 64)) < 1e-9);
    assert_int_equal(size.before_bytes, all * 2 + 1000);
    assert_int_equal(size.after_bytes, 1000 + (all - elements) * 2 + elements / 2 + elements / 64 * 20 / 8);
    srq_plan_fini(&p);
}

static void a_plan_in_json_reads_as_it_was(void **state)
{
    struct srq_pin pins[] = { pin("*down_proj", "w8"), pin("*o_proj", "bf16") };
    struct srq_error err = { 0 };
    struct srq_plan p, q;
    cJSON *json;

    (void)state;
    make(pins, 2, &p, NULL);
    p.revision = 5;
    json = srq_plan_json(&p);
    assert_ok(srq_plan_from_json(layers, LAYERS, json, &q, &err), &err);
    assert_int_equal(q.revision, 5);
    for (int i = 0; i < LAYERS; i++) {
        assert_true(srq_scheme_equal(&p.layers[i].scheme, &q.layers[i].scheme));
        assert_int_equal(p.layers[i].source, q.layers[i].source);
    }
    srq_plan_fini(&q);
    assert_int_equal(srq_plan_from_json(layers, LAYERS - 1, json, &q, &err), -SRQ_EFORMAT);
    cJSON_Delete(json);
    srq_plan_fini(&p);
}

static void k_quants_give_way_where_rows_are_no_super_blocks(void **state)
{
    struct srq_pin pinned = pin("*.0.mlp.down_proj", "q6_k");
    struct srq_plan_request req = { .scheme = scheme("q4_k"), .pins = &pinned, .pin_count = 1 };
    struct srq_error err = { 0 };
    cJSON *notes = cJSON_CreateArray();
    struct srq_plan p;

    (void)state;
    infos[3].in = 576; /* o_proj of block 0 */
    infos[6].in = 576; /* its down_proj, which is pinned */
    assert_ok(srq_plan_make(layers, LAYERS, &req, &p, notes, &err), &err);
    infos[3].in = 256;
    infos[6].in = 512;
    assert_string_equal(planned(&p, "model.layers.0.self_attn.o_proj"), "w5g32");
    assert_string_equal(planned(&p, "model.layers.0.mlp.down_proj"), "bf16");
    assert_non_null(strstr(p.layers[6].why, "256"));
    assert_string_equal(planned(&p, "model.layers.1.mlp.down_proj"), "q4_k");
    assert_int_equal(p.layers[0].widths, 0x7c); /* 2 to 6 bits */
    assert_int_equal(cJSON_GetArraySize(notes), 1);
    assert_non_null(strstr(cJSON_GetArrayItem(notes, 0)->valuestring, "1 layer as model.layers.0.self_attn.o_proj"));
    assert_non_null(strstr(cJSON_GetArrayItem(notes, 0)->valuestring, "has w5g32 by default"));
    cJSON_Delete(notes);
    srq_plan_fini(&p);
}

/* What clients say of a scheme by its name is what the plan counts. */
static void sizes_of_candidates_are_those_of_the_plan(void **state)
{
    static const char *const schemes[] = { "w2",   "w3g64", "w4g128", "w4g128z", "w4gt", "w8a8", "w4g64a8",
                                           "w8gt", "mxfp4", "mxfp8",  "nvfp4",   "fp8",  "fp8t", "bf16",
                                           "q2_k", "q3_k",  "q4_k",   "q5_k",    "q6_k" };
    static const int64_t shapes[][2] = { { 64, 64 }, { 5, 192 }, { 1536, 576 }, { 7, 100 }, { 3, 512 } };
    struct srq_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct srq_scheme s;

        assert_ok(srq_scheme_parse(schemes[i], &s, &err), &err);
        for (size_t k = 0; k < sizeof(shapes) / sizeof(shapes[0]); k++) {
            double want = (double)srq_scheme_bits(&s, shapes[k][0], shapes[k][1]),
                   got = srq_scheme_look_bits(schemes[i], shapes[k][0], shapes[k][1]);

            if (want != got)
                fail_msg("%s [%d, %d]: %.0f bits, the plan has %.0f", schemes[i], (int)shapes[k][0], (int)shapes[k][1],
                         got, want);
        }
    }
    assert_true(srq_scheme_look_bits("q9_x", 64, 64) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_candidates_are_those_of_the_plan),
        cmocka_unit_test(default_covers_blocks_and_leaves_the_head),
        cmocka_unit_test(an_exact_name_pins_one_layer),
        cmocka_unit_test(a_star_crosses_dots),
        cmocka_unit_test(a_regular_expression_is_searched_for),
        cmocka_unit_test(a_later_pin_wins),
        cmocka_unit_test(a_pin_on_one_fused_layer_applies_to_all_and_says_so),
        cmocka_unit_test(an_untied_pin_stays_alone),
        cmocka_unit_test(the_head_is_pinned_by_its_name_only),
        cmocka_unit_test(bad_pins_are_refused_by_name),
        cmocka_unit_test(a_plan_lists_the_widths_that_shape_and_formats_hold),
        cmocka_unit_test(what_a_format_cannot_carry_stays_with_its_fused_layers),
        cmocka_unit_test(a_shape_that_cannot_carry_the_scheme_stays_with_a_warning),
        cmocka_unit_test(k_quants_give_way_where_rows_are_no_super_blocks),
        cmocka_unit_test(sizes_count_scales_and_zero_points),
        cmocka_unit_test(a_plan_in_json_reads_as_it_was),
    };

    return cmocka_run_group_tests_name("plan", tests, make_layers, NULL);
}
