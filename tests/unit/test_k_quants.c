/* k-quants: super-blocks as the package gguf reads them, a torch dump differentiated operator by operator, and
 * properties of rounding, search and packing. */
#include "tests/unit/grid_layer.h"

#include "core/base/rng.h"
#include "core/grid/k_quants.h"
#include "core/grid/pack_gguf.h"
#include "core/grid/pack_k.h"

enum { OUT = 2, IN = 256, ALL = OUT * IN, GROUPS = ALL / 16 };

static const int widths[] = { 2, 3, 4, 5, 6 };

static void k_layer_init(struct layer *l, const void *w, enum srq_dtype dtype, const char *scheme)
{
    struct srq_error err = { 0 };
    struct srq_scheme s;

    assert_ok(srq_scheme_parse(scheme, &s, &err), &err);
    layer_init(l, w, dtype, OUT, IN, &s);
}

static void layer_search(struct layer *l, const float *importance)
{
    l->args.start = NULL;
    l->args.start_min = l->start_min;
    l->ops->search(&l->args, importance, 0, OUT, l->start);
    l->args.start = l->start;
}

static char *scheme_name(int bits)
{
    static char name[8];

    snprintf(name, sizeof(name), "q%d_k", bits);
    return name;
}

/* ---- the dump ---------------------------------------------------------------------------------------------------- */

static uint8_t hex_at(const char *hex, int i)
{
    const char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

    return (uint8_t)strtol(digits, NULL, 16);
}

static void check_blocks(struct reference_text *r)
{
    uint8_t bytes[2 * 210];
    float want[ALL], got[ALL];
    struct srq_error err = { 0 };
    const struct srq_gguf_type *type;
    struct srq_scheme s;
    const char *hex, *name = reference_word(r);
    int n;

    assert_ok(srq_scheme_parse(name, &s, &err), &err);
    type = srq_gguf_type_for(&s, IN, &err);
    assert_non_null(type);
    assert_int_equal(strncasecmp(type->name, name, 4), 0);
    hex = reference_word(r);
    n = (int)strlen(hex) / 2;
    assert_int_equal(n, 2 * type->bytes);
    for (int i = 0; i < n; i++)
        bytes[i] = hex_at(hex, i);
    assert_int_equal(reference_array(r, "values", want, ALL), 2 * K_SUPER);
    srq_gguf_unpack(type, bytes, 2 * K_SUPER, got);
    reference_near(name, "values", got, want, 2 * K_SUPER, 0);
}

struct reference {
    struct layer_reference of;
    float w[ALL], v[ALL], alpha[GROUPS], beta[GROUPS], start[GROUPS], start_min[GROUPS];
    bool searched;
};

static void check_case(const char *name, const struct reference *f, const void *w, enum srq_dtype dtype)
{
    struct layer l;

    k_layer_init(&l, w, dtype, name);
    l.args.v = f->v;
    l.args.alpha = f->alpha;
    l.args.beta = f->beta;
    l.args.start = f->searched ? f->start : NULL;
    memcpy(l.start_min, f->start_min, sizeof(f->start_min));
    l.args.start_min = f->searched ? l.start_min : NULL;
    layer_agrees(&l, name, &f->of);
    srq_codes_fini(&l.codes);
}

static void blocks_and_gradients_agree_with_others(void **state)
{
    struct reference_text r = reference_open("k_reference.txt");
    static struct reference f = { .of = { .ga_within = 2e-5, .gb_within = 2e-5 } };
    uint16_t bf[ALL];
    char name[8];
    int cases = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        assert_string_equal(reference_word(&r), "blocks");
        check_blocks(&r);
    }
    assert_int_equal(reference_array(&r, "weight", f.w, ALL), ALL);
    reference_array(&r, "v", f.v, ALL);
    reference_array(&r, "grad", f.of.g, ALL);
    assert_int_equal(srq_convert(f.w, SRQ_F32, bf, SRQ_BF16, ALL), 0);
    while (strcmp(reference_word(&r), "case") == 0) {
        snprintf(name, sizeof(name), "%s", reference_word(&r));
        f.searched = strtol(reference_word(&r), NULL, 10) != 0;
        reference_array(&r, "alpha", f.alpha, GROUPS);
        reference_array(&r, "beta", f.beta, GROUPS);
        reference_array(&r, "start", f.start, GROUPS);
        reference_array(&r, "start_min", f.start_min, GROUPS);
        reference_array(&r, "fake", f.of.fake, ALL);
        reference_array(&r, "codes", f.of.codes, ALL);
        reference_array(&r, "scale", f.of.scale, GROUPS);
        reference_array(&r, "gv", f.of.gv, ALL);
        reference_array(&r, "ga", f.of.ga, GROUPS);
        reference_array(&r, "gb", f.of.gb, GROUPS);
        check_case(name, &f, f.w, SRQ_F32);
        check_case(name, &f, bf, SRQ_BF16);
        cases++;
    }
    assert_int_equal(cases, 10);
    srq_free(r.text);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

/* Weights of several kinds: spread, small, one-sided, all zero. */
static void draw(float *w, uint64_t seed, float size)
{
    for (int i = 0; i < ALL; i++)
        w[i] = size * ((float)srq_rng_uniform(seed, 0, (uint64_t)i) - 0.5f);
    for (int i = 64; i < 96; i++)
        w[i] = fabsf(w[i]);
    for (int i = 96; i < 128; i++)
        w[i] = 0;
    for (int i = 128; i < 160; i++)
        w[i] *= 1e-4f;
}

static double error_of(struct layer *l, const float *w, const float *h)
{
    float fake[ALL];
    double sum = 0;

    l->ops->fake(&l->args, 0, OUT, fake, SRQ_F32, IN);
    for (int i = 0; i < ALL; i++)
        sum += (h != NULL ? (double)h[i % IN] : 1) * pow((double)fake[i] - (double)w[i], 2);
    return sum;
}

static void a_search_rounds_better_and_is_stored_as_found(void **state)
{
    float w[ALL], h[IN];

    (void)state;
    for (int i = 0; i < IN; i++)
        h[i] = 0.1f + (float)srq_rng_uniform(9, 0, (uint64_t)i);
    for (size_t i = 0; i < 3 * sizeof(widths) / sizeof(widths[0]); i++) {
        const float *importance = i % 3 == 2 ? h : NULL;
        struct layer l;
        double plain, searched;

        draw(w, i, i % 3 == 0 ? 1 : 0.02f);
        k_layer_init(&l, w, SRQ_F32, scheme_name(widths[i / 3]));
        plain = error_of(&l, w, importance);
        layer_search(&l, importance);
        searched = error_of(&l, w, importance);
        assert_true(searched < 0.98 * plain);
        layer_encode(&l);
        for (int64_t g = 0; g < l.groups.count; g++) {
            assert_true(l.codes.scale[g] == l.start[g]);
            if (k_type_of(l.scheme.bits)->minima)
                assert_true(l.codes.super[2 * (g / k_type_of(l.scheme.bits)->groups) + 1] * l.codes.zero[g] ==
                            l.start_min[g]);
        }
        srq_codes_fini(&l.codes);
    }
}

static void what_is_stored_is_what_was_tuned(void **state)
{
    static const float sizes[] = { 1, 3e4f, 1e-3f, 1e-6f };
    float w[ALL], v[ALL], fake[ALL], read[ALL];
    uint8_t bytes[OUT * 210];

    (void)state;
    for (size_t i = 0; i < 4 * sizeof(widths) / sizeof(widths[0]); i++) {
        struct srq_error err = { 0 };
        const struct srq_gguf_type *type;
        struct layer l;

        draw(w, 77 + i, sizes[i % 4]);
        for (int k = 0; k < ALL; k++)
            v[k] = (float)srq_rng_uniform(3, 0, (uint64_t)k) - 0.5f;
        k_layer_init(&l, w, SRQ_F32, scheme_name(widths[i / 4]));
        l.args.v = v;
        l.ops->fake(&l.args, 0, OUT, fake, SRQ_F32, IN);
        layer_encode(&l);
        type = srq_gguf_type_for(&l.scheme, IN, &err);
        assert_int_equal(srq_scheme_bits(&l.scheme, OUT, IN), OUT * type->bytes * 8);
        for (int row = 0; row < OUT; row++)
            srq_gguf_pack_row(&l.codes, type, row, bytes + row * type->bytes);
        srq_gguf_unpack(type, bytes, ALL, read);
        assert_memory_equal(read, fake, sizeof(read));
        srq_codes_fini(&l.codes);
    }
}

static void values_without_a_minimum_lose_little(void **state)
{
    float w[ALL] = { 0 }, fake[ALL];

    (void)state;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        struct layer l;

        for (int k = 0; k < ALL; k++)
            w[k] = 0.5f * (float)srq_rng_uniform(21, 0, (uint64_t)k);
        k_layer_init(&l, w, SRQ_F32, scheme_name(widths[i]));
        l.ops->fake(&l.args, 0, OUT, fake, SRQ_F32, IN);
        for (int k = 0; k < ALL; k++)
            assert_true(fabsf(fake[k] - w[k]) <= 0.5f / (float)((1 << (widths[i] - 1)) - 1));
        srq_codes_fini(&l.codes);
    }
}

/* A plugin that knows nothing of minima still gets a scale that goes with the group's own. */
static void a_search_without_minima_is_plain(void **state)
{
    float w[ALL], plain[ALL], fake[ALL];
    struct layer l;

    (void)state;
    draw(w, 5, 1);
    k_layer_init(&l, w, SRQ_F32, "q4_k");
    l.ops->fake(&l.args, 0, OUT, plain, SRQ_F32, IN);
    l.ops->search(&l.args, NULL, 0, OUT, l.start);
    l.args.start = l.start;
    l.ops->fake(&l.args, 0, OUT, fake, SRQ_F32, IN);
    assert_memory_equal(fake, plain, sizeof(fake));
    srq_codes_fini(&l.codes);
}

static void assert_unstorable(struct layer *l, const char *word)
{
    struct srq_error err = { 0 };

    assert_refused(srq_codes_check(&l->codes, "m.layer", &err), -SRQ_ENUMERIC, &err, word);
    assert_non_null(strstr(err.text, "m.layer"));
}

static void results_that_cannot_be_stored_are_refused(void **state)
{
    float w[ALL];
    struct layer l;

    (void)state;
    draw(w, 5, 1);
    k_layer_init(&l, w, SRQ_F32, "q4_k");
    layer_encode(&l);
    l.codes.scale[3] *= 1.01f;
    assert_unstorable(&l, "group 3");
    layer_encode(&l);
    l.codes.scale[9] = 64 * l.codes.super[2];
    assert_unstorable(&l, "group 9");
    layer_encode(&l);
    l.codes.zero[1] = 64;
    assert_unstorable(&l, "minimum 64");
    layer_encode(&l);
    l.codes.super[2] = 0.1f;
    assert_unstorable(&l, "super-block 1");
    layer_encode(&l);
    l.codes.super[1] = -0.5f;
    assert_unstorable(&l, "super-block 0");
    layer_encode(&l);
    l.codes.codes[7] = 16;
    assert_unstorable(&l, "code 16");
    srq_codes_fini(&l.codes);

    for (int i = 0; i < ALL; i++)
        w[i] *= 1e9f;
    k_layer_init(&l, w, SRQ_F32, "q6_k"); /* beyond half precision */
    struct srq_result r = srq_codes_result(&l.codes);

    l.ops->encode(&l.args, 0, OUT, &r);
    assert_unstorable(&l, "half-precision");
    srq_codes_fini(&l.codes);
}

static void schemes_have_names_sizes_and_widths(void **state)
{
    static const double bits[] = { 2.625, 3.4375, 4.5, 5.5, 6.5625 };
    static const char *const others[][2] = { { "q4_0", "w4g32" }, { "Q5_0", "w5g32" }, { "q8_0", "w8g32" } };
    struct srq_scheme s, other;
    struct srq_error err = { 0 };
    char text[16];

    (void)state;
    for (size_t i = 0; i < 3; i++) { /* GGUF's names of integers */
        assert_ok(srq_scheme_parse(others[i][0], &s, &err), &err);
        assert_string_equal(srq_scheme_text(&s, text, sizeof(text)), others[i][1]);
    }
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        assert_ok(srq_scheme_parse(scheme_name(widths[i]), &s, &err), &err);
        assert_string_equal(srq_scheme_text(&s, text, sizeof(text)), scheme_name(widths[i]));
        assert_true((double)srq_scheme_bits(&s, 3, 512) == bits[i] * 3 * 512);
        assert_null(srq_scheme_refuses(&s, 3, 512));
        assert_non_null(strstr(srq_scheme_refuses(&s, 32, 576), "256"));
        for (int to = 2; to <= 8; to++) {
            assert_int_equal(srq_scheme_widen(&s, to, &other), to <= 6);
            if (to <= 6)
                assert_string_equal(srq_scheme_text(&other, text, sizeof(text)), scheme_name(to));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_gradients_agree_with_others),
        cmocka_unit_test(a_search_rounds_better_and_is_stored_as_found),
        cmocka_unit_test(what_is_stored_is_what_was_tuned),
        cmocka_unit_test(values_without_a_minimum_lose_little),
        cmocka_unit_test(a_search_without_minima_is_plain),
        cmocka_unit_test(results_that_cannot_be_stored_are_refused),
        cmocka_unit_test(schemes_have_names_sizes_and_widths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
