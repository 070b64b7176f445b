/* Integer grids and schemes: published vectors, a torch dump differentiated operator by operator, and identities. */
#include "tests/unit/reference_text.h"

#include "core/base/rng.h"
#include "core/grid/round_plain.h"
#include "core/math/team.h"
#include "core/proto/words.h"

/* ---- the hand-checkable vectors of the specification (one group of 8) -------------------------------------------- */

static const float vector_w[8] = { .12f, -.53f, .31f, .08f, -.22f, .47f, -.05f, .02f };
static const float vector_v[8] = { .3f, -.2f, .1f, -.4f, .45f, 0, -.3f, .2f };
static const float vector_g[8] = { 1, -1, 2, -2, .5f, .5f, 1, -1 };

struct one {
    struct srq_grid_args args;
    struct srq_tensor weight;
    struct srq_scheme scheme;
    struct srq_groups groups;
    float lo[1], hi[1], alpha[1], beta[1];
    const struct srq_grid_ops *ops;
};

static void one_init(struct one *o, const float *w, const char *scheme)
{
    struct srq_error err = { 0 };

    memset(o, 0, sizeof(*o));
    o->weight = srq_tensor_2d((void *)(uintptr_t)w, SRQ_F32, 1, 8);
    o->args.size = sizeof(o->args);
    o->args.weight = &o->weight;
    o->args.scheme = &o->scheme;
    o->args.groups = &o->groups;
    assert_ok(srq_scheme_parse(scheme, &o->scheme, &err), &err);
    o->groups = srq_groups_of(1, 8, o->scheme.group);
    o->ops = srq_grid(o->scheme.grid);
    assert_int_equal(o->ops->extrema(&o->args, o->lo, o->hi), 0);
    o->args.lo = o->lo;
    o->args.hi = o->hi;
}

static void check_vector(const float *w, const char *scheme, double scale, int zero, const int *stored)
{
    uint8_t codes[8], z[1];
    float s[1], fake[8];
    struct srq_result r = { .size = sizeof(r), .codes = codes, .scale = s, .zero = z };
    struct one o;

    one_init(&o, w, scheme);
    o.ops->encode(&o.args, 0, 1, &r);
    o.ops->fake(&o.args, 0, 1, fake, SRQ_F32, 8);
    assert_true((double)s[0] == scale);
    assert_int_equal(z[0], zero);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(codes[i], stored[i]);
        assert_true(fake[i] == s[0] * (float)(stored[i] - zero));
    }
}

static void published_vectors_are_reproduced(void **state)
{
    float minus[8];

    (void)state;
    for (int i = 0; i < 8; i++)
        minus[i] = -vector_w[i];
    check_vector(vector_w, "w4g8", .06622314453125, 8, (const int[]){ 10, 0, 13, 9, 5, 15, 7, 8 });
    check_vector(minus, "w4g8", -.06622314453125, 8, (const int[]){ 10, 0, 13, 9, 5, 15, 7, 8 });
    check_vector(vector_w, "w2g8", .264892578125, 2, (const int[]){ 2, 0, 3, 2, 1, 3, 2, 2 });
    check_vector(vector_w, "w4g8z", .066650390625, 8, (const int[]){ 10, 0, 13, 9, 5, 15, 7, 8 });
}

static void check_tuned(const char *scheme, double scale, const int *stored, const int *k, double galpha, double gbeta)
{
    uint8_t codes[8], z[1];
    float s[1], grad[8], ga[1] = { 0 }, gb[1] = { 0 };
    struct srq_result r = { .size = sizeof(r), .codes = codes, .scale = s, .zero = z };
    struct one o;

    one_init(&o, vector_w, scheme);
    o.alpha[0] = .8f;
    o.beta[0] = .9f;
    o.args.alpha = o.alpha;
    o.args.beta = o.beta;
    o.args.v = vector_v;
    memcpy(grad, vector_g, sizeof(grad));
    o.ops->grad(&o.args, 0, 1, grad, ga, gb);
    o.ops->encode(&o.args, 0, 1, &r);
    assert_true((double)s[0] == scale);
    assert_float_equal(ga[0], galpha, 2e-6);
    assert_float_equal(gb[0], gbeta, 2e-6);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(codes[i], stored[i]);
        assert_true(grad[i] == (k[i] ? vector_g[i] * s[0] : 0));
    }
}

static void published_gradients_are_reproduced(void **state)
{
    static const int k[8] = { 1, 0, 1, 1, 1, 0, 1, 1 };

    (void)state;
    check_tuned("w4g8", .053009033203125, (const int[]){ 11, 0, 14, 9, 4, 15, 7, 9 }, k, .858210, 0);
    check_tuned("w4g8z", .05645751953125, (const int[]){ 10, 0, 14, 9, 5, 15, 7, 9 }, k, .588653, .287013);
}

/* ---- the torch dump ---------------------------------------------------------------------------------------------- */

#define REF_MAX 128

struct reference {
    float w[REF_MAX], v[REF_MAX], g[REF_MAX], alpha[REF_MAX], beta[REF_MAX], fake[REF_MAX], codes[REF_MAX];
    float scale[REF_MAX], zero[REF_MAX], gv[REF_MAX], ga[REF_MAX], gb[REF_MAX];
};

static void check_case(const struct reference *f, const struct srq_scheme *s, const void *w, enum srq_dtype wtype)
{
    struct srq_groups groups = srq_groups_of(3, 21, s->group);
    struct srq_tensor weight = srq_tensor_2d((void *)(uintptr_t)w, wtype, 3, 21);
    struct srq_grid_args a = { .size = sizeof(a), .weight = &weight, .scheme = s, .groups = &groups };
    const struct srq_grid_ops *ops = srq_grid(s->grid);
    float lo[9], hi[9], got[REF_MAX], ga[9] = { 0 }, gb[9] = { 0 };
    struct srq_codes c;
    struct srq_error err = { 0 };
    struct srq_result r = { .size = sizeof(r) };

    assert_int_equal(ops->extrema(&a, lo, hi), 0);
    a.lo = lo;
    a.hi = hi;
    a.v = f->v;
    a.alpha = f->alpha;
    a.beta = f->beta;
    ops->fake(&a, 0, 3, got, SRQ_F32, 21);
    reference_near("int", "fake", got, f->fake, 63, 0);
    memcpy(got, f->g, 63 * sizeof(float));
    for (int row = 0; row < 3; row++)
        ops->grad(&a, row, 1, got + 21 * row, ga, gb);
    reference_near("int", "gv", got, f->gv, 63, 1e-7);
    reference_near("int", "galpha", ga, f->ga, (int)groups.count, 2e-5);
    reference_near("int", "gbeta", gb, f->gb, (int)groups.count, 2e-5);

    assert_ok(srq_codes_alloc(3, 21, s, &c, &err), &err);
    r.codes = c.codes;
    r.scale = c.scale;
    r.zero = c.zero;
    ops->encode(&a, 0, 3, &r);
    assert_ok(srq_codes_check(&c, "layer", &err), &err);
    for (int i = 0; i < 63; i++)
        assert_int_equal(c.codes[i], (int)f->codes[i]);
    for (int i = 0; i < groups.count; i++) {
        assert_true(c.scale[i] == f->scale[i]);
        assert_int_equal(c.zero[i], (int)f->zero[i]);
    }
    assert_ok(srq_codes_decode(&c, got, SRQ_F32, &err), &err);
    reference_near("int", "decoded", got, f->fake, 63, 0);
    srq_codes_fini(&c);
}

static void gradients_agree_with_torch_operator_by_operator(void **state)
{
    struct reference_text r = reference_open("grid_reference.txt");
    struct reference f;
    uint16_t bf[REF_MAX];
    int cases = 0;

    (void)state;
    assert_int_equal(reference_array(&r, "weight", f.w, REF_MAX), 63);
    reference_array(&r, "v", f.v, REF_MAX);
    reference_array(&r, "grad", f.g, REF_MAX);
    assert_int_equal(srq_convert(f.w, SRQ_F32, bf, SRQ_BF16, 63), 0);
    while (strcmp(reference_word(&r), "case") == 0) {
        struct srq_scheme s = { .size = sizeof(s) };

        s.bits = (int)strtol(reference_word(&r), NULL, 10);
        s.grid = strtol(reference_word(&r), NULL, 10) ? SRQ_GRID_INT_SYM : SRQ_GRID_INT_ASYM;
        s.group = (int)strtol(reference_word(&r), NULL, 10);
        reference_array(&r, "alpha", f.alpha, REF_MAX);
        reference_array(&r, "beta", f.beta, REF_MAX);
        reference_array(&r, "fake", f.fake, REF_MAX);
        reference_array(&r, "codes", f.codes, REF_MAX);
        reference_array(&r, "scale", f.scale, REF_MAX);
        reference_array(&r, "zero", f.zero, REF_MAX);
        reference_array(&r, "gv", f.gv, REF_MAX);
        reference_array(&r, "ga", f.ga, REF_MAX);
        reference_array(&r, "gb", f.gb, REF_MAX);
        check_case(&f, &s, f.w, SRQ_F32);
        check_case(&f, &s, bf, SRQ_BF16);
        cases++;
    }
    assert_int_equal(cases, 22);
    srq_free(r.text);
}

/* ---- identities -------------------------------------------------------------------------------------------------- */

static void random_weight(float *w, int64_t n, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++)
        w[i] = (float)(srq_rng_uniform(5, stream, (uint64_t)i) - 0.5);
}

/* At a rounding offset that cancels rounding exactly, the grid reproduces a weight that nothing clamps: Ŵ = W and
 * k = 1, so that gV = G s. */
static void rounding_offset_can_cancel_rounding(void **state)
{
    enum { OUT = 4, IN = 96 };
    float w[OUT * IN], v[OUT * IN], lo[OUT * 3], hi[OUT * 3], got[OUT * IN];
    struct srq_tensor weight = srq_tensor_2d(w, SRQ_F32, OUT, IN);
    struct srq_groups groups = srq_groups_of(OUT, IN, 32);
    struct srq_scheme s;
    struct srq_grid_args a = { .size = sizeof(a), .weight = &weight, .scheme = &s, .groups = &groups };
    uint8_t zero[OUT * 3], codes[OUT * IN];
    float scale[OUT * 3];
    struct srq_result r = { .size = sizeof(r), .codes = codes, .scale = scale, .zero = zero };
    struct srq_error err = { 0 };

    (void)state;
    random_weight(w, OUT * IN, 1);
    assert_ok(srq_scheme_parse("w8g32", &s, &err), &err);
    assert_int_equal(srq_grid(s.grid)->extrema(&a, lo, hi), 0);
    a.lo = lo;
    a.hi = hi;
    srq_grid(s.grid)->encode(&a, 0, OUT, &r);
    for (int i = 0; i < OUT * IN; i++) { /* one code up, everywhere that is not the top code */
        codes[i] = (uint8_t)(codes[i] < 254 ? codes[i] + 1 : codes[i]);
        v[i] = (float)codes[i] - 128 - w[i] / scale[i / 32];
    }
    a.v = v;
    srq_grid(s.grid)->fake(&a, 0, OUT, got, SRQ_F32, IN);
    for (int i = 0; i < OUT * IN; i++)
        assert_true(got[i] == scale[i / 32] * ((float)codes[i] - 128));
}

static void fake_agrees_for_every_weight_and_output_dtype(void **state)
{
    enum { OUT = 3, IN = 77 };
    float wide[OUT * IN], lo[OUT * 3], hi[OUT * 3], from_half[OUT * IN], from_f32[OUT * IN];
    uint16_t half[OUT * IN], brain[OUT * IN], want[OUT * IN];
    struct srq_tensor weight = srq_tensor_2d(half, SRQ_F16, OUT, IN);
    struct srq_groups groups = srq_groups_of(OUT, IN, 32);
    struct srq_scheme s;
    struct srq_grid_args a = { .size = sizeof(a), .weight = &weight, .scheme = &s, .groups = &groups };
    struct srq_error err = { 0 };

    (void)state;
    random_weight(wide, OUT * IN, 2);
    wide[3] = 3e-7f; /* a half-precision subnormal */
    srq_convert(wide, SRQ_F32, half, SRQ_F16, OUT * IN);
    srq_convert(half, SRQ_F16, wide, SRQ_F32, OUT * IN);
    assert_ok(srq_scheme_parse("w4g32z", &s, &err), &err);
    assert_int_equal(srq_grid(s.grid)->extrema(&a, lo, hi), 0);
    a.lo = lo;
    a.hi = hi;
    srq_grid(s.grid)->fake(&a, 0, OUT, from_half, SRQ_F32, IN);
    srq_grid(s.grid)->fake(&a, 0, OUT, brain, SRQ_BF16, IN);
    weight = srq_tensor_2d(wide, SRQ_F32, OUT, IN);
    srq_grid(s.grid)->fake(&a, 0, OUT, from_f32, SRQ_F32, IN);
    assert_memory_equal(from_half, from_f32, sizeof(from_f32));
    srq_convert(from_f32, SRQ_F32, want, SRQ_BF16, OUT * IN);
    assert_memory_equal(brain, want, sizeof(want));
}

/* Tiny groups at 8 bits, all negative: half-precision rounding of the scale would put z at 256. */
static void zero_point_stays_storable(void **state)
{
    (void)state;
    for (int i = 1; i < 2000; i++) {
        float w[8] = { 0 };
        uint8_t codes[8], zero[1];
        float scale[1], fake[8];
        struct srq_result r = { .size = sizeof(r), .codes = codes, .scale = scale, .zero = zero };
        struct one o;

        w[3] = -0.0026f - 1e-6f * (float)i;
        one_init(&o, w, "w8g8z");
        o.ops->encode(&o.args, 0, 1, &r);
        o.ops->fake(&o.args, 0, 1, fake, SRQ_F32, 8);
        for (int j = 0; j < 8; j++)
            assert_true(fake[j] == scale[0] * (float)(codes[j] - zero[0]));
        assert_true(fabsf(fake[3] - w[3]) <= 1.01f * scale[0]);
    }
}

static void bad_results_are_refused(void **state)
{
    struct srq_scheme s;
    struct srq_codes c;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(srq_scheme_parse("w3g32", &s, &err), &err);
    assert_ok(srq_codes_alloc(2, 64, &s, &c, &err), &err);
    assert_refused(srq_codes_check(&c, "a.b", &err), -SRQ_ENUMERIC, &err, "a.b is zero");
    for (int i = 0; i < c.groups.count; i++)
        c.scale[i] = 0.5f;
    assert_ok(srq_codes_check(&c, "a.b", &err), &err);
    c.scale[3] = 0.1f;
    assert_refused(srq_codes_check(&c, "a.b", &err), -SRQ_ENUMERIC, &err, "group 3 of a.b is not a half-precision");
    c.scale[3] = NAN;
    assert_refused(srq_codes_check(&c, "a.b", &err), -SRQ_ENUMERIC, &err, "not finite");
    c.scale[3] = 1;
    c.codes[100] = 8;
    assert_refused(srq_codes_check(&c, "a.b", &err), -SRQ_ENUMERIC, &err, "code 8 of a.b passes 7");
    srq_codes_fini(&c);
}

/* ---- schemes ----------------------------------------------------------------------------------------------------- */

/* Rows of 96: groups of 32, 32 and 32. Too small for the least scale, large enough, all zero, and one large weight. */
static void groups_that_rounding_erases_are_counted(void **state)
{
    static const struct {
        const char *scheme;
        int64_t erased;
        float most;
    } cases[] = {
        { "w4g32", 2, 4e-6f }, { "w4g32z", 2, 4e-6f }, { "w4", 1, 4e-6f }, { "w4gt", 0, 0 }, { "mxfp8", 0, 0 },
    };
    float *w = calloc(2 * 96, sizeof(*w));

    (void)state;
    assert_non_null(w);
    for (int i = 0; i < 32; i++) {
        w[i] = 3e-6f;
        w[64 + i] = -4e-6f;
        w[96 + i] = 0.5f;
    }
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        struct srq_tensor t = srq_tensor_2d(w, SRQ_F32, 2, 96);
        struct srq_error err = { 0 };
        struct srq_scheme s;
        struct srq_codes c;
        float most = 0;

        assert_ok(srq_scheme_parse(cases[k].scheme, &s, &err), &err);
        assert_ok(srq_codes_alloc(2, 96, &s, &c, &err), &err);
        assert_ok(srq_round_plain(&t, "a.b", &c, &err), &err);
        assert_int_equal(srq_codes_erased(&c, &t, &most), cases[k].erased);
        assert_true(most == cases[k].most);
        srq_codes_fini(&c);
    }
    free(w);
}

static double squared_error(const struct srq_tensor *w, const struct srq_codes *c)
{
    int64_t n = w->shape[0] * w->shape[1];
    float *q = calloc((size_t)n, sizeof(*q));
    struct srq_error err = { 0 };
    double sum = 0;

    assert_non_null(q);
    assert_ok(srq_codes_decode(c, q, SRQ_F32, &err), &err);
    for (int64_t i = 0; i < n; i++)
        sum += ((double)q[i] - ((const float *)w->data)[i]) * ((double)q[i] - ((const float *)w->data)[i]);
    free(q);
    return sum;
}

static void a_search_leaves_less_error_where_it_is_worth_it(void **state)
{
    static const struct {
        const char *scheme;
        bool less;
    } cases[] = { { "w2g32", true },  { "w4g64", true }, { "w3gt", true },  { "w4g32z", false },
                  { "w8g32", false }, { "mxfp4", true }, { "nvfp4", true }, { "fp8", false },
                  { "q2_k", true },   { "q4_k", true },  { "q6_k", true } };
    enum { ROWS = 64, COLS = 256 };
    float *w = calloc(ROWS * COLS, sizeof(*w));
    struct srq_tensor t = srq_tensor_2d(w, SRQ_F32, ROWS, COLS);

    (void)state;
    assert_non_null(w);
    random_weight(w, ROWS * COLS, 77);
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        struct srq_error err = { 0 };
        struct srq_scheme s;
        struct srq_codes c;
        double plain;

        assert_ok(srq_scheme_parse(cases[k].scheme, &s, &err), &err);
        assert_ok(srq_codes_alloc(ROWS, COLS, &s, &c, &err), &err);
        if (s.grid == SRQ_GRID_NVFP4)
            c.tensor_scale = srq_nvfp4_tensor_scale(1);
        assert_ok(srq_round_plain(&t, "a.b", &c, &err), &err);
        plain = squared_error(&t, &c);
        assert_ok(srq_round_searched(&t, "a.b", NULL, &c, &err), &err);
        if (cases[k].less ? !(squared_error(&t, &c) < plain) : squared_error(&t, &c) != plain)
            fail_msg("%s: %.9g searched, %.9g plain", cases[k].scheme, squared_error(&t, &c), plain);
        srq_codes_fini(&c);
    }
    free(w);
}

static void every_spelling_is_read(void **state)
{
    static const struct {
        const char *text, *canonical;
        enum srq_grid_kind grid;
        int bits, group;
    } rows[] = {
        { "w4g128", "w4g128", SRQ_GRID_INT_SYM, 4, 128 }, { "w4g128z", "w4g128z", SRQ_GRID_INT_ASYM, 4, 128 },
        { "w3g64", "w3g64", SRQ_GRID_INT_SYM, 3, 64 },    { "w8", "w8", SRQ_GRID_INT_SYM, 8, -1 },
        { "w8z", "w8z", SRQ_GRID_INT_ASYM, 8, -1 },       { "w4gt", "w4gt", SRQ_GRID_INT_SYM, 4, 0 },
        { "w4gtz", "w4gtz", SRQ_GRID_INT_ASYM, 4, 0 },    { "W2A16", "w2g128", SRQ_GRID_INT_SYM, 2, 128 },
        { "W8A16", "w8g128", SRQ_GRID_INT_SYM, 8, 128 },  { "W2A16G32", "w2g32", SRQ_GRID_INT_SYM, 2, 32 },
        { "w4g64a16", "w4g64", SRQ_GRID_INT_SYM, 4, 64 }, { "bf16", "bf16", SRQ_GRID_NONE, 16, 0 },
        { "BF16", "bf16", SRQ_GRID_NONE, 16, 0 },         { "w5g32", "w5g32", SRQ_GRID_INT_SYM, 5, 32 },
        { "mxfp4", "mxfp4", SRQ_GRID_MXFP4, 4, 32 },      { "MXFP8", "mxfp8", SRQ_GRID_MXFP8, 8, 32 },
        { "NVFP4", "nvfp4", SRQ_GRID_NVFP4, 4, 16 },      { "fp8", "fp8", SRQ_GRID_FP8, 8, -1 },
        { "fp8t", "fp8t", SRQ_GRID_FP8, 8, 0 },           { "FPW8A16", "fp8t", SRQ_GRID_FP8, 8, 0 },
        { "mxfp4a16", "mxfp4", SRQ_GRID_MXFP4, 4, 32 },
    };
    struct srq_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct srq_scheme s, again;
        char text[64];

        assert_ok(srq_scheme_parse(rows[i].text, &s, &err), &err);
        assert_int_equal(s.grid, rows[i].grid);
        assert_int_equal(s.bits, rows[i].bits);
        assert_int_equal(s.group, rows[i].group);
        assert_false(srq_scheme_has_act(&s));
        assert_string_equal(srq_scheme_text(&s, text, sizeof(text)), rows[i].canonical);
        assert_ok(srq_scheme_parse(text, &again, &err), &err);
        assert_true(srq_scheme_equal(&s, &again));
    }
}

static void schemes_with_activations_keep_their_spelling(void **state)
{
    static const struct {
        const char *text, *canonical;
        enum srq_grid_kind grid;
        int bits, group, act;
    } rows[] = {
        { "w8a8", "w8a8", SRQ_GRID_INT_SYM, 8, -1, 8 },       { "W8A8", "w8a8", SRQ_GRID_INT_SYM, 8, -1, 8 },
        { "w4g64a8", "w4g64a8", SRQ_GRID_INT_SYM, 4, 64, 8 }, { "w4g64za8", "w4g64za8", SRQ_GRID_INT_ASYM, 4, 64, 8 },
        { "w4gta4", "w4gta4", SRQ_GRID_INT_SYM, 4, 0, 4 },    { "w3za2", "w3za2", SRQ_GRID_INT_ASYM, 3, -1, 2 },
    };
    struct srq_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct srq_scheme s, again, plain;
        char text[64];

        assert_ok(srq_scheme_parse(rows[i].text, &s, &err), &err);
        assert_true(s.grid == rows[i].grid && s.bits == rows[i].bits && s.group == rows[i].group);
        assert_true(s.act_bits == rows[i].act && s.act_group == -1 && srq_scheme_has_act(&s));
        assert_string_equal(srq_scheme_text(&s, text, sizeof(text)), rows[i].canonical);
        assert_ok(srq_scheme_parse(text, &again, &err), &err);
        assert_true(srq_scheme_equal(&s, &again));
        plain = s;
        plain.act_bits = plain.act_group = 0;
        assert_false(srq_scheme_equal(&s, &plain));
        assert_int_equal(srq_scheme_bits(&s, 64, 128), srq_scheme_bits(&plain, 64, 128)); /* nothing of it is stored */
    }
}

static void what_is_no_scheme_is_refused(void **state)
{
    static const char *const unknown[] = {
        "",        "w",       "w1",     "w9g128",   "w4g",   "w4g0",         "w4g-1",
        "w4g128x", "4g128",   "w4 g64", "w4g128zz", "w16",   "w4a",          "w4a1",
        "w4a9",    "w4a8g32", "w4a8z",  "w4gtt",    "q4",    "w99999999999", "w4g99999999999",
        "mxfp4x",  "fp8t8",   "nvfp4a", "mxfp4a99", "bf16a8"
    };
    static const char *const elsewhere[] = { "mxfp4a4", "NVFP4A4", "fp8a8",     "mxfp6",
                                             "q4_1",    "q4_k_m",  "fp8_block", "INT8" };
    struct srq_error err = { 0 };
    struct srq_scheme s;

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_refused(srq_scheme_parse(unknown[i], &s, &err), -SRQ_EINVAL, &err, "accepted are w2");
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
        assert_refused(srq_scheme_parse(elsewhere[i], &s, &err), -SRQ_EUNSUPPORTED, &err, "not in this build");
}

/* Average bits as published for these schemes. */
static void size_counts_scales_and_zero_points(void **state)
{
    static const struct {
        const char *scheme;
        double bits;
    } rows[] = { { "w4g128", 4.15625 }, { "w2g128", 2.140625 }, { "w2g64", 2.28125 }, { "bf16", 16 },
                 { "mxfp4", 4.25 },     { "mxfp8", 8.25 },      { "nvfp4", 4.5 } };
    struct srq_error err = { 0 };
    struct srq_scheme s;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_ok(srq_scheme_parse(rows[i].scheme, &s, &err), &err);
        assert_true((double)srq_scheme_bits(&s, 256, 1024) == rows[i].bits * 256 * 1024);
    }
    assert_ok(srq_scheme_parse("w4gt", &s, &err), &err);
    assert_int_equal(srq_scheme_bits(&s, 64, 64), 4 * 64 * 64 + 20);
    assert_ok(srq_scheme_parse("w4g48", &s, &err), &err);
    assert_int_equal(srq_scheme_bits(&s, 2, 100), 4 * 200 + 2 * 3 * 20);
}

/* What clients read off a scheme's name is what it means. */
static void names_look_as_they_mean(void **state)
{
    static const char *const names[] = { "w2g64", "w3",    "w4gt", "w4g128z", "w8z",  "w5g32", "mxfp4",
                                         "mxfp8", "nvfp4", "fp8",  "fp8t",    "bf16", "q2_k",  "q4_k" };
    char text[32];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct srq_error err = { 0 };
        struct srq_scheme s;
        struct srq_scheme_look look = srq_scheme_look(names[i]);

        assert_ok(srq_scheme_parse(names[i], &s, &err), &err);
        assert_string_equal(srq_scheme_text(&s, text, sizeof(text)), names[i]);
        assert_int_equal(look.bits, s.bits);
        assert_int_equal(look.integer, s.grid == SRQ_GRID_INT_SYM || s.grid == SRQ_GRID_INT_ASYM);
        assert_int_equal(look.zero_points, s.grid == SRQ_GRID_INT_ASYM);
        if (!look.integer)
            continue;
        assert_int_equal(look.group, s.group);
        s.bits = 6;
        assert_true(srq_scheme_with_bits(names[i], 6, text, sizeof(text)));
        assert_string_equal(text, srq_scheme_text(&s, (char[32]){ 0 }, 32));
    }
    assert_false(srq_scheme_with_bits("mxfp4", 6, text, sizeof(text)));
    assert_true(srq_scheme_with_bits("q4_k", 6, text, sizeof(text)));
    assert_string_equal(text, "q6_k");
    assert_false(srq_scheme_with_bits("q4_k", 8, text, sizeof(text)));
    assert_int_equal(srq_scheme_look("plain").bits, 0);
}

static void odd_shapes_are_named(void **state)
{
    struct srq_error err = { 0 };
    struct srq_scheme s;

    (void)state;
    assert_ok(srq_scheme_parse("w4g128", &s, &err), &err);
    assert_null(srq_scheme_refuses(&s, 64, 96));
    assert_non_null(srq_scheme_refuses(&s, 64, 100));
    assert_non_null(srq_scheme_refuses(&s, 33, 64));
    assert_ok(srq_scheme_parse("mxfp8", &s, &err), &err);
    assert_null(srq_scheme_refuses(&s, 33, 96));
    assert_non_null(srq_scheme_refuses(&s, 32, 80));
    assert_ok(srq_scheme_parse("nvfp4", &s, &err), &err);
    assert_null(srq_scheme_refuses(&s, 33, 80));
    assert_non_null(srq_scheme_refuses(&s, 32, 72));
    assert_ok(srq_scheme_parse("fp8", &s, &err), &err);
    assert_null(srq_scheme_refuses(&s, 33, 7));
    assert_ok(srq_scheme_parse("bf16", &s, &err), &err);
    assert_null(srq_scheme_refuses(&s, 33, 7));
}

static int start_team(void **state)
{
    (void)state;
    return srq_team_start(2, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_are_reproduced),
        cmocka_unit_test(published_gradients_are_reproduced),
        cmocka_unit_test(gradients_agree_with_torch_operator_by_operator),
        cmocka_unit_test(rounding_offset_can_cancel_rounding),
        cmocka_unit_test(fake_agrees_for_every_weight_and_output_dtype),
        cmocka_unit_test(zero_point_stays_storable),
        cmocka_unit_test(bad_results_are_refused),
        cmocka_unit_test(groups_that_rounding_erases_are_counted),
        cmocka_unit_test(a_search_leaves_less_error_where_it_is_worth_it),
        cmocka_unit_test(every_spelling_is_read),
        cmocka_unit_test(schemes_with_activations_keep_their_spelling),
        cmocka_unit_test(what_is_no_scheme_is_refused),
        cmocka_unit_test(size_counts_scales_and_zero_points),
        cmocka_unit_test(names_look_as_they_mean),
        cmocka_unit_test(odd_shapes_are_named),
    };

    return cmocka_run_group_tests_name("grid", tests, start_team, NULL);
}
