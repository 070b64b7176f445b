/* Floating-point grids and searched scales: published vectors, a torch dump differentiated operator by operator, the
 * tables of the element formats, and identities. */
#include "tests/unit/grid_layer.h"

#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/math/team.h"

#include <float.h>

static struct srq_scheme scheme_of(const char *text, int group)
{
    struct srq_error err = { 0 };
    struct srq_scheme s;

    assert_ok(srq_scheme_parse(text, &s, &err), &err);
    if (group >= 0)
        s.group = group;
    return s;
}

/* ---- the hand-checkable vectors of the specification (one group of 8) -------------------------------------------- */

static const float vector_w[8] = { .12f, -.53f, .31f, .08f, -.22f, .47f, -.05f, .02f };

static void check_vector(const char *scheme, float tensor_scale, double scale, const float *y)
{
    struct srq_scheme s = scheme_of(scheme, 8);
    struct layer l;
    float fake[8];

    layer_init(&l, vector_w, SRQ_F32, 1, 8, &s);
    l.args.tensor_scale = tensor_scale;
    layer_encode(&l);
    l.ops->fake(&l.args, 0, 1, fake, SRQ_F32, 8);
    assert_true((double)l.codes.scale[0] == scale);
    for (int i = 0; i < 8; i++) {
        assert_true(srq_e2m1_to_f32(l.codes.codes[i]) == y[i]);
        assert_true(fake[i] == l.codes.scale[0] / tensor_scale * y[i]);
    }
    srq_codes_fini(&l.codes);
}

static void published_vectors_are_reproduced(void **state)
{
    (void)state;
    check_vector("mxfp4", 1, 0.125, (const float[]){ 1, -4, 2, .5f, -2, 4, -.5f, 0 });
    check_vector("nvfp4", srq_nvfp4_tensor_scale(2), 120, (const float[]){ 1.5f, -6, 3, 1, -2, 6, -.5f, 0 });
    assert_true(srq_nvfp4_tensor_scale(2) == 1344);
    assert_true(srq_nvfp4_tensor_scale(0) == 1);
    assert_true(isfinite(srq_nvfp4_tensor_scale(1e-38f)));
}

/* Sum of h (Ŵ - W)^2 at the start that stands in l->start. */
static double error_at(struct layer *l, const float *w, const float *h)
{
    float fake[LAYER_MOST];
    int64_t n = l->groups.out * l->groups.in;
    double sum = 0;

    l->args.start = l->start;
    l->ops->fake(&l->args, 0, l->groups.out, fake, SRQ_F32, l->groups.in);
    for (int64_t i = 0; i < n; i++)
        sum += (h != NULL ? (double)h[i % l->groups.in] : 1) * pow((double)fake[i] - (double)w[i], 2);
    return sum;
}

static void published_searches_are_reproduced(void **state)
{
    static const double want[3][2] = { { 1, .0071875 }, { .5, .0380469 }, { 2, .01125 } };
    struct srq_scheme s = scheme_of("mxfp4", 8);
    struct layer l;

    (void)state;
    layer_init(&l, vector_w, SRQ_F32, 1, 8, &s);
    for (int i = 0; i < 3; i++) {
        l.start[0] = (float)want[i][0];
        assert_float_equal(error_at(&l, vector_w, NULL), want[i][1], 1e-7);
    }
    l.args.start = NULL;
    l.ops->search(&l.args, NULL, 0, 1, l.start);
    assert_true(l.start[0] == 1);
    srq_codes_fini(&l.codes);

    s = scheme_of("w2g8", 8);
    layer_init(&l, vector_w, SRQ_F32, 1, 8, &s);
    l.start[0] = .53f / 2; /* the published errors are those of scales before they are rounded */
    assert_float_equal(error_at(&l, vector_w, NULL), .069775, 1e-4);
    l.args.start = NULL;
    l.ops->search(&l.args, NULL, 0, 1, l.start);
    assert_float_equal(l.start[0], .53 / 1.80, 1e-6);
    assert_float_equal(error_at(&l, vector_w, NULL), .0637716, 1e-5);
    srq_codes_fini(&l.codes);
}

/* ---- the torch dump ---------------------------------------------------------------------------------------------- */

enum { REF_OUT = 3, REF_IN = 64, REF_ALL = REF_OUT * REF_IN };

struct reference {
    struct layer_reference of;
    float w[REF_ALL], v[REF_ALL], beta[REF_ALL], start[REF_ALL];
    float tensor_scale;
    bool searched;
};

static void check_case(const char *name, const struct reference *f, const void *w, enum srq_dtype dtype)
{
    struct srq_scheme s = scheme_of(name, -1);
    struct layer l;

    layer_init(&l, w, dtype, REF_OUT, REF_IN, &s);
    l.args.v = f->v;
    l.args.beta = f->beta;
    l.args.start = f->searched ? f->start : NULL;
    l.args.tensor_scale = f->tensor_scale;
    layer_agrees(&l, name, &f->of);
    srq_codes_fini(&l.codes);
}

static void gradients_agree_with_torch_operator_by_operator(void **state)
{
    char name[32];
    struct reference_text r = reference_open("float_grid_reference.txt");
    struct reference f = { .of.gb_within = 1e-5 }; /* alpha has no part in them: its gradient is zero */
    uint16_t bf[REF_ALL];
    int cases = 0;

    (void)state;
    assert_int_equal(reference_array(&r, "weight", f.w, REF_ALL), REF_ALL);
    reference_array(&r, "v", f.v, REF_ALL);
    reference_array(&r, "grad", f.of.g, REF_ALL);
    assert_int_equal(srq_convert(f.w, SRQ_F32, bf, SRQ_BF16, REF_ALL), 0);
    while (strcmp(reference_word(&r), "case") == 0) {
        snprintf(name, sizeof(name), "%s", reference_word(&r));
        f.tensor_scale = strtof(reference_word(&r), NULL);
        f.searched = strtol(reference_word(&r), NULL, 10) != 0;
        reference_array(&r, "beta", f.beta, REF_ALL);
        reference_array(&r, "start", f.start, REF_ALL);
        reference_array(&r, "fake", f.of.fake, REF_ALL);
        reference_array(&r, "codes", f.of.codes, REF_ALL);
        reference_array(&r, "scale", f.of.scale, REF_ALL);
        reference_array(&r, "gv", f.of.gv, REF_ALL);
        reference_array(&r, "gb", f.of.gb, REF_ALL);
        check_case(name, &f, f.w, SRQ_F32);
        check_case(name, &f, bf, SRQ_BF16);
        cases++;
    }
    assert_int_equal(cases, 11);
    srq_free(r.text);
}

/* ---- element formats (formats 6) --------------------------------------------------------------------------------- */

static void e2m1_rounds_as_its_table_says(void **state)
{
    static const struct {
        float from, to; /* bounds of |x|: the first is in when `in` */
        bool in;
        float value;
    } row[] = { { 0, .25f, true, 0 },          { .25f, .75f, false, .5f }, { .75f, 1.25f, true, 1 },
                { 1.25f, 1.75f, false, 1.5f }, { 1.75f, 2.5f, true, 2 },   { 2.5f, 3.5f, false, 3 },
                { 3.5f, 5, true, 4 },          { 5, 1e30f, false, 6 } };

    (void)state;
    for (int i = 0; i < 8; i++) {
        float inside = row[i].from + (row[i].to < 10 ? (row[i].to - row[i].from) / 3 : 100);
        float low = row[i].in ? row[i].from : nextafterf(row[i].from, INFINITY);
        float high = row[i].in ? row[i].to : nextafterf(row[i].to, 0);

        assert_int_equal(srq_f32_to_e2m1(inside), i);
        assert_int_equal(srq_f32_to_e2m1(low), i);
        assert_int_equal(srq_f32_to_e2m1(high), i);
        assert_int_equal(srq_f32_to_e2m1(-inside), i | 8);
        assert_true(srq_e2m1_to_f32((uint8_t)i) == row[i].value);
        assert_true(srq_e2m1_to_f32((uint8_t)(i | 8)) == -row[i].value);
    }
}

static void every_code_of_e4m3_and_e8m0_has_its_value(void **state)
{
    (void)state;
    for (int b = 0; b < 256; b++) {
        int e = b >> 3 & 15, m = b & 7;
        double size = e == 0 ? m * pow(2, -9) : (1 + m / 8.0) * pow(2, e - 7);
        float f = srq_e4m3_to_f32((uint8_t)b);

        if ((b & 0x7f) == 0x7f) {
            assert_true(isnan(f));
        } else {
            assert_true((double)f == (b & 0x80 ? -size : size));
            assert_int_equal(srq_f32_to_e4m3(f), b);
        }
        if (b == 255) {
            assert_true(isnan(srq_e8m0_to_f32(255)));
        } else {
            float power = srq_e8m0_to_f32((uint8_t)b);
            uint32_t bits;

            memcpy(&bits, &power, sizeof(bits)); /* 2^-127 is subnormal, which a thread may flush */
            assert_true(b == 0 ? bits == 1u << 22 : (double)power == pow(2, b - 127));
            assert_int_equal(srq_f32_to_e8m0(srq_e8m0_to_f32((uint8_t)b)), b);
        }
    }
    assert_int_equal(srq_f32_to_e4m3(1e9f), 0x7e);
    assert_int_equal(srq_f32_to_e8m0(INFINITY), 255);
}

/* The vectorized rounding of the grids against the conversions of single numbers, on a group whose scale is 1. */
static void grids_round_like_single_conversions(void **state)
{
    struct srq_scheme four = scheme_of("mxfp4", 0), eight = scheme_of("mxfp8", 0);

    (void)state;
    for (uint64_t stream = 0; stream < 400; stream++) {
        float w[LAYER_MOST];
        struct layer a, b;

        for (int i = 0; i < LAYER_MOST; i++) {
            double u = srq_rng_uniform(3, stream, (uint64_t)i);

            w[i] = (float)(exp2(u * 24 - 15) * (i % 2 ? -1 : 1) * (i % 7 == 0 ? 0 : 1));
            if (i % 5 == 0) /* the middle of two elements of E4M3, and of E2M1 */
                w[i] = srq_e4m3_to_f32((uint8_t)(8 + i % 100)) * (1 + 0x1p-4f);
            w[i] = fminf(fmaxf(w[i], -500), 500);
        }
        w[0] = 511; /* exponent 8: 2^0 for mxfp8, 2^6 for mxfp4 */
        layer_init(&a, w, SRQ_F32, 1, LAYER_MOST, &four);
        layer_init(&b, w, SRQ_F32, 1, LAYER_MOST, &eight);
        layer_encode(&a);
        layer_encode(&b);
        assert_true(a.codes.scale[0] == 64 && b.codes.scale[0] == 1);
        for (int i = 0; i < LAYER_MOST; i++) {
            /* nothing but the sign of a zero may differ */
            assert_true(srq_e2m1_to_f32(a.codes.codes[i]) == srq_e2m1_to_f32(srq_f32_to_e2m1(w[i] / 64)));
            assert_true(srq_e4m3_to_f32(b.codes.codes[i]) == srq_e4m3_to_f32(srq_f32_to_e4m3(w[i])));
        }
        srq_codes_fini(&a.codes);
        srq_codes_fini(&b.codes);
    }
}

/* ---- identities -------------------------------------------------------------------------------------------------- */

static const char *const float_schemes[] = { "mxfp4", "mxfp8", "nvfp4", "fp8", "fp8t" };

static float largest(const float *w, int64_t n)
{
    float top = 0;

    for (int64_t i = 0; i < n; i++)
        top = fmaxf(top, fabsf(w[i]));
    return top;
}

/* Weights of every size that F32 has, with zeros, in every dtype: what is tuned is what is stored. */
static void decoding_gives_what_was_tuned(void **state)
{
    enum { OUT = 4, IN = 128, ALL = OUT * IN };
    static const float sizes[] = { 1, 1e-3f, 1e3f, 1e-20f, 3e38f, 1e-38f, 1e-42f, 0 };

    (void)state;
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        for (int dtype = SRQ_F32; dtype <= SRQ_BF16; dtype++) {
            float w[ALL], v[ALL], fake[ALL], decoded[ALL];
            uint16_t narrow[ALL];
            void *data = w;

            for (int i = 0; i < ALL; i++) {
                w[i] = (float)(srq_rng_uniform(4, k, (uint64_t)i) * 2 - 1) * sizes[k] * (i % 9 == 0 ? 0.0f : 1.0f);
                w[i] = dtype == SRQ_F16 ? fmaxf(fminf(w[i], 65504), -65504) : w[i];
                v[i] = (float)srq_rng_uniform(5, k, (uint64_t)i) - 0.5f;
            }
            if (dtype != SRQ_F32) {
                assert_int_equal(srq_convert(w, SRQ_F32, narrow, (enum srq_dtype)dtype, ALL), 0);
                assert_int_equal(srq_convert(narrow, (enum srq_dtype)dtype, w, SRQ_F32, ALL), 0);
                data = narrow;
            }
            for (size_t i = 0; i < sizeof(float_schemes) / sizeof(float_schemes[0]); i++) {
                struct srq_scheme s = scheme_of(float_schemes[i], -1);
                struct srq_error err = { 0 };
                struct layer l;

                layer_init(&l, data, (enum srq_dtype)dtype, OUT, IN, &s);
                if (s.grid == SRQ_GRID_NVFP4)
                    l.args.tensor_scale = srq_nvfp4_tensor_scale(largest(w, ALL));
                l.args.v = v;
                layer_encode(&l);
                l.ops->fake(&l.args, 0, OUT, fake, SRQ_F32, IN);
                assert_ok(srq_codes_decode(&l.codes, decoded, SRQ_F32, &err), &err);
                for (int j = 0; j < ALL; j++) {
                    assert_true(isfinite(decoded[j]));
                    assert_true(decoded[j] == fake[j]);
                }
                srq_codes_fini(&l.codes);
            }
        }
    }
}

/* Elements as they are stored survive being quantized again. */
static void representable_weights_stay(void **state)
{
    enum { OUT = 2, IN = 64, ALL = OUT * IN };

    (void)state;
    for (size_t k = 0; k < sizeof(float_schemes) / sizeof(float_schemes[0]); k++) {
        struct srq_scheme s = scheme_of(float_schemes[k], -1);
        float w[ALL], fake[ALL];
        struct layer l;

        for (int i = 0; i < ALL; i++)
            w[i] = s.bits == 4 ? srq_e2m1_to_f32((uint8_t)(srq_rng_below(6, k, (uint64_t)i, 16)))
                               : srq_e4m3_to_f32((uint8_t)(srq_rng_below(6, k, (uint64_t)i, 127) + (i % 2) * 128u));
        for (int i = 0; i < ALL; i += 16)
            w[i] = s.bits == 4 ? 6 : 448;
        layer_init(&l, w, SRQ_F32, OUT, IN, &s);
        l.args.tensor_scale = s.grid == SRQ_GRID_NVFP4 ? srq_nvfp4_tensor_scale(6) : 1;
        l.ops->fake(&l.args, 0, OUT, fake, SRQ_F32, IN);
        for (int i = 0; i < ALL; i++)
            assert_true(fake[i] == w[i]);
        srq_codes_fini(&l.codes);
    }
}

static void bf16_output_is_the_f32_one_rounded(void **state)
{
    enum { OUT = 2, IN = 1056, ALL = OUT * IN }; /* more than one pass over a row */

    (void)state;
    for (size_t k = 0; k < sizeof(float_schemes) / sizeof(float_schemes[0]); k++) {
        static float w[ALL], fake[ALL], lo[ALL], hi[ALL];
        static uint16_t brain[ALL], want[ALL];
        struct srq_scheme s = scheme_of(float_schemes[k], -1);
        struct srq_tensor weight = srq_tensor_2d(w, SRQ_F32, OUT, IN);
        struct srq_groups groups = srq_groups_of(OUT, IN, s.group);
        struct srq_grid_args a = { .size = sizeof(a),
                                   .weight = &weight,
                                   .scheme = &s,
                                   .lo = lo,
                                   .hi = hi,
                                   .groups = &groups,
                                   .tensor_scale = 448 * 6 / 0.5f };

        for (int i = 0; i < ALL; i++)
            w[i] = (float)srq_rng_uniform(7, k, (uint64_t)i) - 0.5f;
        assert_int_equal(srq_grid(s.grid)->extrema(&a, lo, hi), 0);
        srq_grid(s.grid)->fake(&a, 0, OUT, fake, SRQ_F32, IN);
        srq_grid(s.grid)->fake(&a, 0, OUT, brain, SRQ_BF16, IN);
        srq_convert(fake, SRQ_F32, want, SRQ_BF16, ALL);
        assert_memory_equal(brain, want, sizeof(want));
    }
}

/* ---- searches ---------------------------------------------------------------------------------------------------- */

/* No candidate of the specification's list is better than what the search found, in arithmetic of its own. */
static void search_finds_the_best_candidate(void **state)
{
    enum { OUT = 2, IN = 64, ALL = OUT * IN };
    static const char *const schemes[] = { "w2g32", "w3g16", "w4g32", "w8", "w4gt", "mxfp4", "mxfp8", "nvfp4" };

    (void)state;
    for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++) {
        struct srq_scheme s = scheme_of(schemes[k], -1);
        float w[ALL], h[IN], found[ALL];
        bool mx = s.grid == SRQ_GRID_MXFP4 || s.grid == SRQ_GRID_MXFP8, nv = s.grid == SRQ_GRID_NVFP4;
        int count = mx ? 3 : nv ? 102 : s.bits == 2 ? 181 : 201;
        double best, nominal = 0;
        struct layer l;

        for (int i = 0; i < ALL; i++)
            w[i] = (float)((srq_rng_uniform(8, k, (uint64_t)i) - 0.5) * (i % 11 == 0 ? 3 : 1));
        for (int i = 0; i < IN; i++)
            h[i] = 0.1f + (float)srq_rng_uniform(9, k, (uint64_t)i);
        layer_init(&l, w, SRQ_F32, OUT, IN, &s);
        l.args.tensor_scale = nv ? srq_nvfp4_tensor_scale(largest(w, ALL)) : 1;
        if (s.group == 0) {
            l.ops->search(&l.args, h, 0, OUT, l.start);
        } else {
            l.ops->search(&l.args, h, 0, 1, l.start);
            l.ops->search(&l.args, h, 1, 1, l.start);
        }
        memcpy(found, l.start, sizeof(found));
        best = error_at(&l, w, h);
        for (int c = 0; c < count; c++) { /* every group takes candidate c: each alone must not be better */
            for (int64_t g = 0; g < l.groups.count; g++) {
                double half = 1 << (s.bits - 1), step = s.bits == 2 ? 0.01 : 0.0075 * half, other;
                float top = -l.lo[g] > l.hi[g] ? l.lo[g] : l.hi[g];
                double factor = half - step * (c - (s.bits == 2 ? 90 : 100));

                memcpy(l.start, found, sizeof(found));
                l.start[g] = mx   ? (float)(0.5 * (1 << c))
                             : nv ? 0.5f + 0.01f * (float)c
                                  : (float)(-(double)top / factor);
                other = error_at(&l, w, h);
                if (other < best * (1 - 1e-6))
                    fail_msg("%s: start %g of group %d is better than %g: %g < %g", schemes[k], (double)l.start[g],
                             (int)g, (double)found[g], other, best);
            }
        }
        l.args.start = NULL;
        for (int64_t g = 0; g < l.groups.count; g++)
            l.start[g] = mx || nv ? 1 : -(-l.lo[g] > l.hi[g] ? l.lo[g] : l.hi[g]) / (float)(1 << (s.bits - 1));
        nominal = error_at(&l, w, h);
        assert_true(best <= nominal);
        srq_codes_fini(&l.codes);
    }
}

/* Importance that is all the same, or of channels that no data reached, is as good as none; one heavy channel
 * counts. */
static void search_heeds_importance(void **state)
{
    struct srq_scheme s = scheme_of("w2g8", -1);
    float w[16], same[8], heavy[8], ones[2], got[2];
    struct layer l;

    (void)state;
    for (int i = 0; i < 16; i++) {
        w[i] = vector_w[i % 8] * (i < 8 ? 1.0f : -0.7f);
        same[i % 8] = 7;
        heavy[i % 8] = 1e-3f;
    }
    heavy[5] = 100;
    layer_init(&l, w, SRQ_F32, 2, 8, &s);
    l.ops->search(&l.args, NULL, 0, 2, ones);
    l.ops->search(&l.args, same, 0, 2, got);
    assert_true(got[0] == ones[0] && got[1] == ones[1]);
    same[2] = same[3] = 0; /* a few holes take the mean of the others */
    l.ops->search(&l.args, same, 0, 2, got);
    assert_true(got[0] == ones[0] && got[1] == ones[1]);
    l.ops->search(&l.args, heavy, 0, 2, l.start);
    l.args.start = l.start;
    l.ops->fake(&l.args, 0, 1, w, SRQ_F32, 8);
    assert_float_equal(w[5], .47, 0.005);
    srq_codes_fini(&l.codes);
}

/* A group of zeros keeps the least scale, and every scale that a search gives can be stored. */
static void searched_scales_are_storable(void **state)
{
    static const char *const schemes[] = { "w2g32", "w4g32", "mxfp4", "nvfp4" };
    float w[64] = { 0 };

    (void)state;
    w[40] = 1e-9f;
    for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++) {
        struct srq_scheme s = scheme_of(schemes[k], -1);
        struct layer l;

        layer_init(&l, w, SRQ_F32, 1, 64, &s);
        l.ops->search(&l.args, NULL, 0, 1, l.start);
        l.args.start = l.start;
        layer_encode(&l); /* checks them */
        assert_true(l.start[0] > 0 && isfinite(l.start[1]));
        srq_codes_fini(&l.codes);
    }
}

static void bad_results_are_refused(void **state)
{
    static const struct {
        const char *scheme;
        float scale;
        uint8_t code, zero;
        float tensor_scale;
        const char *part;
    } row[] = {
        { "mxfp4", 0.3f, 0, 0, 1, "not a power of two of E8M0" },
        { "mxfp4", 0, 0, 0, 1, "is zero" },
        { "mxfp8", -2, 0, 0, 1, "not a power of two" },
        { "mxfp4", 1, 16, 0, 1, "code 16 of a.b passes 15" },
        { "mxfp8", 1, 0x7f, 0, 1, "1 codes of a.b are NaN" },
        { "fp8", 1, 0xff, 0, 1, "are NaN" },
        { "nvfp4", 449, 0, 0, 1, "not a positive number of E4M3" },
        { "nvfp4", -1, 0, 0, 1, "not a positive number" },
        { "nvfp4", 1, 0, 0, 0, "tensor scale 0 of a.b" },
        { "fp8t", -1, 0, 0, 1, "is negative" },
        { "fp8", NAN, 0, 0, 1, "not finite" },
        { "mxfp4", 1, 0, 1, 1, "zero-point 1" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct srq_scheme s = scheme_of(row[i].scheme, -1);
        struct srq_error err = { 0 };
        struct srq_codes c;

        assert_ok(srq_codes_alloc(2, 64, &s, &c, &err), &err);
        for (int64_t g = 0; g < c.groups.count; g++)
            c.scale[g] = 1;
        assert_ok(srq_codes_check(&c, "a.b", &err), &err);
        c.scale[c.groups.count - 1] = row[i].scale;
        c.zero[0] = row[i].zero;
        c.codes[77] = row[i].code;
        c.tensor_scale = row[i].tensor_scale;
        assert_refused(srq_codes_check(&c, "a.b", &err), -SRQ_ENUMERIC, &err, row[i].part);
        srq_codes_fini(&c);
    }
}

static int start_team(void **state)
{
    (void)state;
    return srq_team_start(2, NULL);
}

/* Planes have the layout that checkpoints keep, and setting each by its number gives the same codes. */
static void planes_hold_all_of_a_layer(void **state)
{
    static const struct {
        const char *scheme;
        int planes;
        uint64_t bytes;
    } cases[] = {
        { "w4g32", 3, 64 * 96 + 64 * 3 * 5 },     { "w4gt", 3, 64 * 96 + 5 }, { "mxfp4", 3, 64 * 96 + 64 * 3 * 5 },
        { "nvfp4", 4, 64 * 96 + 64 * 6 * 5 + 4 }, { "fp8t", 3, 64 * 96 + 5 },
    };
    static const char *const names[] = { "codes", "scale", "zero", "tensor_scale" };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct srq_plane plane[SRQ_PLANES];
        struct srq_error err = { 0 };
        struct srq_codes c, other;
        struct srq_scheme s;

        assert_ok(srq_scheme_parse(cases[i].scheme, &s, &err), &err);
        assert_int_equal(srq_codes_bytes(&s, 64, 96), cases[i].bytes);
        assert_ok(srq_codes_alloc(64, 96, &s, &c, &err), &err);
        c.tensor_scale = 3.5f;
        assert_int_equal(srq_codes_planes(&c, plane), cases[i].planes);
        other = (struct srq_codes){ .scheme = s, .groups = c.groups, .tensor_scale = 1 };
        for (int k = 0; k < cases[i].planes; k++) {
            assert_string_equal(plane[k].suffix, names[k]);
            assert_non_null(plane[k].t.data);
            srq_codes_set_plane(&other, k, plane[k].t.data);
        }
        assert_ptr_equal(other.codes, c.codes);
        assert_ptr_equal(other.scale, c.scale);
        assert_ptr_equal(other.zero, c.zero);
        assert_float_equal(other.tensor_scale, cases[i].planes == 4 ? 3.5f : 1, 0);
        srq_codes_fini(&c);
    }
    assert_int_equal(srq_codes_bytes(&(struct srq_scheme){ .grid = SRQ_GRID_NONE }, 64, 96), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_are_reproduced),
        cmocka_unit_test(published_searches_are_reproduced),
        cmocka_unit_test(gradients_agree_with_torch_operator_by_operator),
        cmocka_unit_test(e2m1_rounds_as_its_table_says),
        cmocka_unit_test(every_code_of_e4m3_and_e8m0_has_its_value),
        cmocka_unit_test(grids_round_like_single_conversions),
        cmocka_unit_test(decoding_gives_what_was_tuned),
        cmocka_unit_test(representable_weights_stay),
        cmocka_unit_test(bf16_output_is_the_f32_one_rounded),
        cmocka_unit_test(search_finds_the_best_candidate),
        cmocka_unit_test(search_heeds_importance),
        cmocka_unit_test(searched_scales_are_storable),
        cmocka_unit_test(planes_hold_all_of_a_layer),
        cmocka_unit_test(bad_results_are_refused),
    };

    return cmocka_run_group_tests_name("float grids", tests, start_team, NULL);
}
