/* Layers as compressed-tensors stores them: the published bytes, and every format read back as it was packed. */
#include "tests/unit/test.h"

#include "core/base/rng.h"
#include "core/grid/pack_ct.h"
#include "core/math/team.h"

#include <math.h>

static void make(const char *scheme, int64_t out, int64_t in, struct srq_codes *c, struct srq_ct *p)
{
    struct srq_error err = { 0 };
    struct srq_scheme s;

    assert_ok(srq_scheme_parse(scheme, &s, &err), &err);
    assert_ok(srq_codes_alloc(out, in, &s, c, &err), &err);
    for (int64_t g = 0; g < c->groups.count; g++) {
        c->scale[g] = s.grid == SRQ_GRID_INT_SYM ? -0.5f : 2;
        c->zero[g] = s.grid == SRQ_GRID_INT_SYM ? (uint8_t)(1 << (s.bits - 1)) : 0;
    }
    assert_ok(srq_ct_init(p, &s, out, in, &err), &err);
    assert_ok(srq_ct_alloc(p, &err), &err);
}

/* Codes 0 … 7 give the bytes 10 32 54 76 (formats 6), as nibbles of bytes and of words. */
static void nibbles_lie_low_half_first(void **state)
{
    static const uint8_t want[] = { 0x10, 0x32, 0x54, 0x76 };
    static const char *const schemes[] = { "mxfp4", "nvfp4", "w4g32" };
    struct srq_error err = { 0 };

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct srq_codes c;
        struct srq_ct p;

        make(schemes[k], 32, 32, &c, &p);
        for (int i = 0; i < 32; i++)
            c.codes[i] = (uint8_t)(i % 8);
        assert_ok(srq_ct_pack(&c, &p, &err), &err);
        assert_string_equal(p.part[0].suffix, "weight_packed");
        assert_memory_equal(p.part[0].t.data, want, 4);
        srq_ct_fini(&p);
        srq_codes_fini(&c);
    }
}

static void scales_have_their_published_bytes(void **state)
{
    struct srq_error err = { 0 };
    struct srq_codes c;
    struct srq_ct p;
    float global;

    (void)state;
    make("mxfp4", 1, 96, &c, &p);
    c.scale[0] = 0x1p-126f;
    c.scale[1] = 0.125f;
    c.scale[2] = 0x1p127f;
    assert_ok(srq_ct_pack(&c, &p, &err), &err);
    assert_memory_equal(p.part[1].t.data, ((const uint8_t[]){ 1, 124, 254 }), 3);
    srq_ct_fini(&p);
    srq_codes_fini(&c);
    make("nvfp4", 1, 32, &c, &p);
    c.scale[0] = 120;
    c.scale[1] = 448;
    c.tensor_scale = 1344;
    assert_ok(srq_ct_pack(&c, &p, &err), &err);
    assert_memory_equal(p.part[1].t.data, ((const uint8_t[]){ 0x6f, 0x7e }), 2);
    memcpy(&global, p.part[2].t.data, sizeof(global));
    assert_true(global == 1344);
    srq_ct_fini(&p);
    srq_codes_fini(&c);
}

static void every_format_reads_back_what_it_packed(void **state)
{
    enum { OUT = 64, IN = 96 };
    static const char *const schemes[] = { "w4g32", "w4g32z", "w8",    "w8g32z", "w8a8", "w4g32a8",
                                           "mxfp4", "mxfp8",  "nvfp4", "fp8",    "fp8t" };
    struct srq_error err = { 0 };

    (void)state;
    for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++) {
        uint8_t codes[16 * IN], zero[16 * 6];
        struct srq_codes c;
        struct srq_ct p;
        float scale[16 * 6], tensor_scale;

        make(schemes[k], OUT, IN, &c, &p);
        c.tensor_scale = c.scheme.grid == SRQ_GRID_NVFP4 ? 1234.5f : 1;
        for (int i = 0; i < OUT * IN; i++)
            c.codes[i] = (uint8_t)srq_rng_below(1, k, (uint64_t)i, c.scheme.bits == 4 ? 16 : 127);
        for (int64_t g = 0; g < c.groups.count; g++) {
            c.scale[g] = (float)(1u << srq_rng_below(2, k, (uint64_t)g, 8));
            if (c.scheme.grid == SRQ_GRID_INT_ASYM)
                c.zero[g] = (uint8_t)srq_rng_below(3, k, (uint64_t)g, 1u << c.scheme.bits);
        }
        assert_ok(srq_ct_pack(&c, &p, &err), &err);
        for (int64_t row = 0; row < OUT; row += 16) {
            int64_t n = c.scheme.group == 0 ? 1 : 16 * c.groups.per_row,
                    first = c.scheme.group == 0 ? 0 : row * c.groups.per_row;

            assert_ok(srq_ct_unpack_rows(&p, row, 16, codes, scale, zero, &tensor_scale, &err), &err);
            assert_memory_equal(codes, c.codes + row * IN, sizeof(codes));
            assert_memory_equal(scale, c.scale + first, (size_t)n * sizeof(*scale));
            assert_memory_equal(zero, c.zero + first, (size_t)n);
            assert_true(tensor_scale == c.tensor_scale);
        }
        srq_ct_fini(&p);
        srq_codes_fini(&c);
    }
}

/* int-quantized: one signed code in a byte, q = code - 2^(b-1). */
static void codes_beside_quantized_activations_are_signed_bytes(void **state)
{
    static const int8_t want[] = { -8, -7, -6, 7 };
    struct srq_error err = { 0 };
    uint8_t codes[32], zero[1];
    float scale[1], tensor_scale;
    struct srq_scheme s;
    struct srq_codes c;
    struct srq_ct p;

    (void)state;
    make("w4a8", 32, 32, &c, &p);
    memcpy(c.codes, ((const uint8_t[]){ 0, 1, 2, 15 }), 4);
    assert_ok(srq_ct_pack(&c, &p, &err), &err);
    assert_string_equal(srq_ct_format(&c.scheme), "int-quantized");
    assert_string_equal(p.part[0].suffix, "weight");
    assert_memory_equal(p.part[0].t.data, want, 4);
    ((int8_t *)p.part[0].t.data)[5] = 8;
    assert_refused(srq_ct_unpack_rows(&p, 0, 1, codes, scale, zero, &tensor_scale, &err), -SRQ_ENUMERIC, &err,
                   "more than 4 bits");
    srq_ct_fini(&p);
    srq_codes_fini(&c);
    assert_ok(srq_scheme_parse("w8za8", &s, &err), &err);
    assert_refused(srq_ct_init(&p, &s, 32, 32, &err), -SRQ_EUNSUPPORTED, &err, "symmetric integers only");
}

static void values_that_cannot_be_decoded_are_refused(void **state)
{
    struct srq_error err = { 0 };
    uint8_t codes[64], zero[4];
    float scale[4], tensor_scale;
    struct srq_codes c;
    struct srq_ct p;

    (void)state;
    make("mxfp8", 1, 64, &c, &p);
    assert_ok(srq_ct_pack(&c, &p, &err), &err);
    ((uint8_t *)p.part[0].t.data)[9] = 0xff;
    assert_refused(srq_ct_unpack_rows(&p, 0, 1, codes, scale, zero, &tensor_scale, &err), -SRQ_ENUMERIC, &err, "NaN");
    ((uint8_t *)p.part[0].t.data)[9] = 0;
    ((uint8_t *)p.part[1].t.data)[1] = 255;
    assert_refused(srq_ct_unpack_rows(&p, 0, 1, codes, scale, zero, &tensor_scale, &err), -SRQ_ENUMERIC, &err,
                   "not finite");
    srq_ct_fini(&p);
    srq_codes_fini(&c);
    make("nvfp4", 1, 64, &c, &p);
    c.tensor_scale = -1;
    assert_ok(srq_ct_pack(&c, &p, &err), &err);
    assert_refused(srq_ct_unpack_rows(&p, 0, 1, codes, scale, zero, &tensor_scale, &err), -SRQ_ENUMERIC, &err,
                   "weight_global_scale -1");
    srq_ct_fini(&p);
    srq_codes_fini(&c);
}

static int start_team(void **state)
{
    (void)state;
    return srq_team_start(1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nibbles_lie_low_half_first),
        cmocka_unit_test(scales_have_their_published_bytes),
        cmocka_unit_test(every_format_reads_back_what_it_packed),
        cmocka_unit_test(codes_beside_quantized_activations_are_signed_bytes),
        cmocka_unit_test(values_that_cannot_be_decoded_are_refused),
    };

    return cmocka_run_group_tests_name("pack ct", tests, start_team, NULL);
}
