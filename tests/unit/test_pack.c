/* Packed integer layouts against the words that spec formats 4.2 and 4.3 give, and round trips. */
#include "tests/unit/test.h"

#include "core/base/rng.h"
#include "core/grid/pack_layout.h"

/* A layer of codes over arrays of its own: 32-bit words make every dimension a multiple of 32. */
struct layer {
    struct srq_codes c;
    uint8_t *codes, *zero;
    float *scale;
};

static void layer_init(struct layer *l, int64_t out, int64_t in, int bits, int group, bool asym)
{
    int64_t len = group < 0 || group > in ? in : group, per_row = in / len;

    l->codes = calloc((size_t)(out * in), 1);
    l->zero = malloc((size_t)(out * per_row));
    l->scale = malloc((size_t)(out * per_row) * sizeof(float));
    for (int64_t i = 0; i < out * per_row; i++) {
        l->zero[i] = (uint8_t)(1 << (bits - 1));
        l->scale[i] = 0.5f;
    }
    l->c = (struct srq_codes){
        .scheme = { .grid = asym ? SRQ_GRID_INT_ASYM : SRQ_GRID_INT_SYM, .bits = bits, .group = group },
        .groups = { .out = out, .in = in, .len = len, .per_row = per_row, .count = out * per_row },
        .codes = l->codes,
        .scale = l->scale,
        .zero = l->zero,
    };
}

static void layer_fini(struct layer *l)
{
    free(l->codes);
    free(l->zero);
    free(l->scale);
}

static void packed_make(struct srq_packed *p, enum srq_pack_layout layout, const struct srq_codes *c)
{
    struct srq_error err = { 0 };

    assert_ok(srq_packed_init(p, layout, c->scheme.bits, c->scheme.group, c->groups.out, c->groups.in, &err), &err);
    assert_ok(srq_packed_alloc(p, &err), &err);
    assert_ok(srq_pack(c, p, &err), &err);
}

/* Values k mod 8 down the input axis: fields 10 and 21 of a 3-bit stream straddle words. */
static void gptq_qweight_gives_the_published_words(void **state)
{
    const uint32_t want3[3] = { 0x88FAC688, 0xC688FAC6, 0xFAC688FA };
    struct srq_packed p;
    struct layer l;

    (void)state;
    layer_init(&l, 32, 32, 3, -1, false);
    for (int64_t i = 0; i < 32 * 32; i++)
        l.codes[i] = (uint8_t)(i % 8);
    packed_make(&p, SRQ_PACK_GPTQ_V1, &l.c);
    assert_int_equal(p.qweight_shape[0], 3);
    assert_int_equal(p.qweight_shape[1], 32);
    for (int w = 0; w < 3; w++)
        for (int o = 0; o < 32; o++)
            assert_int_equal(p.qweight[w * 32 + o], want3[w]);
    srq_packed_fini(&p);
    layer_fini(&l);

    layer_init(&l, 32, 32, 4, -1, false);
    for (int64_t i = 0; i < 32 * 32; i++)
        l.codes[i] = (uint8_t)(i % 8);
    packed_make(&p, SRQ_PACK_GPTQ_V2, &l.c);
    assert_int_equal(p.qweight[0], 0x76543210);
    srq_packed_fini(&p);
    layer_fini(&l);
}

static void gptq_symmetric_zero_words_are_the_published_ones(void **state)
{
    static const struct {
        int bits, words;
        uint32_t v1[3], v2[3];
    } row[] = {
        { 2, 2, { 0x55555555, 0x55555555 }, { 0xAAAAAAAA, 0xAAAAAAAA } },
        { 3, 3, { 0xDB6DB6DB, 0xB6DB6DB6, 0x6DB6DB6D }, { 0x24924924, 0x49249249, 0x92492492 } },
        { 4, 1, { 0x77777777 }, { 0x88888888 } },
        { 8, 1, { 0x7F7F7F7F }, { 0x80808080 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct srq_packed p;
        struct layer l;

        layer_init(&l, 32, 64, row[i].bits, 32, false);
        packed_make(&p, SRQ_PACK_GPTQ_V1, &l.c);
        assert_int_equal(p.qzeros_shape[0], 2);
        assert_int_equal(p.qzeros_shape[1], row[i].bits);
        for (int w = 0; w < row[i].words; w++)
            assert_int_equal(p.qzeros[w], row[i].v1[w]);
        srq_packed_fini(&p);
        packed_make(&p, SRQ_PACK_GPTQ_V2, &l.c);
        for (int w = 0; w < row[i].words; w++)
            assert_int_equal(p.qzeros[p.qzeros_shape[1] + w], row[i].v2[w]);
        srq_packed_fini(&p);
        layer_fini(&l);
    }
}

static void awq_word_holds_columns_in_the_published_order(void **state)
{
    struct srq_packed p;
    struct layer l;

    (void)state;
    layer_init(&l, 32, 32, 4, 32, false);
    for (int64_t o = 0; o < 32; o++)
        for (int64_t i = 0; i < 32; i++)
            l.codes[o * 32 + i] = (uint8_t)(o % 8);
    packed_make(&p, SRQ_PACK_AWQ, &l.c);
    assert_int_equal(p.qweight_shape[0], 32);
    assert_int_equal(p.qweight_shape[1], 4);
    for (int w = 0; w < 32 * 4; w++)
        assert_int_equal(p.qweight[w], 0x75316420);
    for (int w = 0; w < 4; w++)
        assert_int_equal(p.qzeros[w], 0x88888888);
    srq_packed_fini(&p);
    layer_fini(&l);
}

static void scales_are_transposed_with_their_sign(void **state)
{
    struct srq_packed p;
    struct layer l;

    (void)state;
    layer_init(&l, 32, 64, 4, 32, false);
    l.scale[2 * 5 + 1] = -0.25f;
    packed_make(&p, SRQ_PACK_GPTQ_V1, &l.c);
    assert_int_equal(p.scales[1 * 32 + 5], 0xb400);
    assert_int_equal(p.scales[1 * 32 + 4], 0x3800);
    srq_packed_fini(&p);
    layer_fini(&l);
}

static void unpacking_gives_back_what_was_packed(void **state)
{
    static const int widths[] = { 2, 3, 4, 8 };
    struct srq_error err = { 0 };

    (void)state;
    for (int layout = SRQ_PACK_GPTQ_V1; layout <= SRQ_PACK_AWQ; layout++) {
        for (size_t b = 0; b < 4; b++) {
            int bits = widths[b], low = layout == SRQ_PACK_GPTQ_V1 ? 1 : 0;
            uint8_t codes[7 * 160], zero[7 * 5];
            float scale[7 * 5];
            struct srq_packed p;
            struct layer l;

            if (layout == SRQ_PACK_AWQ && bits != 4)
                continue;
            layer_init(&l, 96, 160, bits, 32, true);
            for (uint64_t i = 0; i < 96 * 160; i++)
                l.codes[i] = (uint8_t)(srq_rng_uniform(1, (uint64_t)bits, i) * (1 << bits));
            for (uint64_t i = 0; i < 96 * 5; i++) {
                l.zero[i] = (uint8_t)(low + srq_rng_uniform(2, (uint64_t)bits, i) * ((1 << bits) - low));
                l.scale[i] = srq_round_f16((float)(srq_rng_uniform(3, 0, i) - 0.5));
            }
            packed_make(&p, (enum srq_pack_layout)layout, &l.c);
            assert_ok(srq_unpack_rows(&p, 41, 7, codes, scale, zero, &err), &err);
            assert_memory_equal(codes, l.codes + 41 * 160, sizeof(codes));
            assert_memory_equal(scale, l.scale + 41 * 5, sizeof(scale));
            assert_memory_equal(zero, l.zero + 41 * 5, sizeof(zero));
            srq_packed_fini(&p);
            layer_fini(&l);
        }
    }
}

static void what_a_layout_cannot_hold_is_refused(void **state)
{
    struct srq_error err = { 0 };
    struct srq_packed p;

    (void)state;
    assert_refused(srq_packed_init(&p, SRQ_PACK_AWQ, 8, 32, 32, 32, &err), -SRQ_EUNSUPPORTED, &err, "4 bits");
    assert_refused(srq_packed_init(&p, SRQ_PACK_GPTQ_V1, 5, 32, 32, 32, &err), -SRQ_EUNSUPPORTED, &err, "not 5");
    assert_refused(srq_packed_init(&p, SRQ_PACK_GPTQ_V2, 4, 0, 32, 32, &err), -SRQ_EUNSUPPORTED, &err, "whole tensor");
    assert_refused(srq_packed_init(&p, SRQ_PACK_GPTQ_V2, 4, 128, 64, 576, &err), -SRQ_EUNSUPPORTED, &err, "group 128");
    assert_refused(srq_packed_init(&p, SRQ_PACK_GPTQ_V2, 4, 32, 48, 64, &err), -SRQ_EUNSUPPORTED, &err, "48 x 64");
}

static void values_that_would_change_are_refused(void **state)
{
    struct srq_error err = { 0 };
    struct srq_packed p;
    struct layer l;

    (void)state;
    layer_init(&l, 32, 32, 4, 32, true);
    assert_ok(srq_packed_init(&p, SRQ_PACK_GPTQ_V1, 4, 32, 32, 32, &err), &err);
    assert_ok(srq_packed_alloc(&p, &err), &err);
    l.zero[3] = 0;
    assert_refused(srq_pack(&l.c, &p, &err), -SRQ_ENUMERIC, &err, "row 3, group 0: zero-point 0");
    p.layout = SRQ_PACK_GPTQ_V2;
    assert_ok(srq_pack(&l.c, &p, &err), &err);
    l.scale[4] = 0.1f;
    assert_refused(srq_pack(&l.c, &p, &err), -SRQ_ENUMERIC, &err, "row 4");
    l.scale[4] = 1.0f;
    l.codes[32 * 7 + 2] = 16;
    assert_refused(srq_pack(&l.c, &p, &err), -SRQ_ENUMERIC, &err, "row 7 has a code above 15");
    srq_packed_fini(&p);
    layer_fini(&l);
}

/* A v1 field of all ones would mean 2^bits once the reader has added one. */
static void ambiguous_v1_zero_is_refused_when_read(void **state)
{
    struct srq_error err = { 0 };
    uint8_t codes[32], zero[1];
    struct srq_packed p;
    struct layer l;
    float scale[1];

    (void)state;
    layer_init(&l, 32, 32, 4, 32, true);
    packed_make(&p, SRQ_PACK_GPTQ_V1, &l.c);
    p.qzeros[1] |= 0xfu << 8; /* column 10 */
    assert_ok(srq_unpack_rows(&p, 9, 1, codes, scale, zero, &err), &err);
    assert_refused(srq_unpack_rows(&p, 10, 1, codes, scale, zero, &err), -SRQ_ENUMERIC, &err, "row 10");
    srq_packed_fini(&p);
    layer_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gptq_qweight_gives_the_published_words),
        cmocka_unit_test(gptq_symmetric_zero_words_are_the_published_ones),
        cmocka_unit_test(awq_word_holds_columns_in_the_published_order),
        cmocka_unit_test(scales_are_transposed_with_their_sign),
        cmocka_unit_test(unpacking_gives_back_what_was_packed),
        cmocka_unit_test(what_a_layout_cannot_hold_is_refused),
        cmocka_unit_test(values_that_would_change_are_refused),
        cmocka_unit_test(ambiguous_v1_zero_is_refused_when_read),
    };

    return cmocka_run_group_tests_name("pack", tests, NULL, NULL);
}
