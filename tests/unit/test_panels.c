/* Panels and tiles of products. The AMX kernel runs here on any processor: its instructions are stood in for by
 * plain C that does what the instruction set reference says of them. */
#include "test.h"

#include "core/math/panels.h"
#include "tests/unit/skip.h"

#include "core/base/rng.h"
#include "core/tensor/dtype.h"

#include <math.h>

#define K_MAX 140
#define ROWS_MAX 33

static uint16_t element(uint64_t stream, int64_t i)
{
    return srq_f32_to_bf16((float)(2 * srq_rng_uniform(5, stream, (uint64_t)i) - 1));
}

static const int64_t shapes[][2] = { { 1, 1 }, { 7, 2 }, { 16, 31 }, { 31, 32 }, { 32, 33 }, { 33, 64 }, { 5, 139 } };
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static void plain_panels_hold_pairs_and_zeros(void **state)
{
    const uint16_t m[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } }; /* [2, 3] */
    const struct srq_panel_source along = { m[0], 3, false }, across = { m[0], 3, true };
    uint16_t to[4 * SRQ_PANEL_COLS], rows[2 * 4];

    (void)state;
    srq_pack_panel_plain(&along, 0, 2, 3, 2, to); /* two columns of three elements */
    assert_true(to[0] == 1 && to[1] == 2 && to[2] == 4 && to[3] == 5 && to[4] == 0);
    assert_true(to[64] == 3 && to[65] == 0 && to[66] == 6 && to[67] == 0);
    srq_pack_panel_plain(&across, 0, 3, 2, 1, to); /* three columns of two */
    assert_true(to[0] == 1 && to[1] == 4 && to[2] == 2 && to[3] == 5 && to[4] == 3 && to[5] == 6 && to[6] == 0);
    srq_pack_rows_plain(&across, 1, 2, 2, 2, rows, 4);
    assert_true(rows[0] == 2 && rows[1] == 5 && rows[2] == 0 && rows[4] == 3 && rows[5] == 6 && rows[7] == 0);
}

SKIPPABLE(vectors_pack_what_plain_c_packs);
SKIPPABLE(an_avx512_tile_is_the_sum_of_products);
SKIPPABLE(an_amx_tile_is_the_sum_of_products);
SKIPPABLE(f16_tiles_are_sums_of_scaled_products);

/* Every number of rows that a kernel takes, sums begun and gone on with, beside rows that are not its own. */
static void check_tile(const struct srq_panel_kernel *kernel, int rows, int64_t k, bool add)
{
    const int64_t padded = (k + kernel->k_step - 1) / kernel->k_step * kernel->k_step, lda = padded + 8, ldc = 40;
    uint16_t a[ROWS_MAX * (K_MAX + 40)], b[(K_MAX + 32) * SRQ_PANEL_COLS];
    float c[ROWS_MAX * 40];
    const struct srq_panel_tile t = { padded / 2, a, lda, b, c, ldc, add, NULL, NULL };

    for (int64_t i = 0; i < rows * lda; i++)
        a[i] = i % lda < k ? element(2, i) : 0;
    for (int64_t i = 0; i < padded * SRQ_PANEL_COLS; i++)
        b[i] = element(3, i);
    for (int i = 0; i < ROWS_MAX * 40; i++)
        c[i] = (float)i / 64;
    if (kernel->enter != NULL)
        kernel->enter();
    kernel->tile(&t, rows);
    if (kernel->leave != NULL)
        kernel->leave();
    for (int r = 0; r < ROWS_MAX; r++) {
        for (int j = 0; j < 40; j++) {
            const float was = (float)(r * 40 + j) / 64;
            double sum = add ? was : 0, size = fabs(sum);

            for (int64_t i = 0; j < SRQ_PANEL_COLS && r < rows && i < k; i++) {
                double term = (double)srq_bf16_to_f32(a[r * lda + i]) *
                              srq_bf16_to_f32(b[(i / 2 * SRQ_PANEL_COLS + j) * 2 + i % 2]);

                sum += term;
                size += fabs(term);
            }
            if (j >= SRQ_PANEL_COLS || r >= rows)
                assert_true(c[r * 40 + j] == was);
            else if (!(fabs(c[r * 40 + j] - sum) <= 2e-6 * (size + 1)))
                fail_msg("%s, %d rows, k %d: (%d,%d) is %g, not %g", kernel->name, rows, (int)k, r, j,
                         (double)c[r * 40 + j], sum);
        }
    }
}

static void check_kernel(const struct srq_panel_kernel *kernel)
{
    for (int rows = kernel->row_step; rows <= kernel->rows; rows += kernel->row_step)
        for (size_t s = 0; s < SHAPES; s++)
            for (int add = 0; add < 2; add++)
                check_tile(kernel, rows, shapes[s][1], add != 0);
}

static void a_plain_tile_is_the_sum_of_products(void **state)
{
    (void)state;
    check_kernel(&srq_panels_plain);
}

#ifdef SRQ_PANEL_KERNELS

static void compare_packing(int64_t n, int64_t k, bool across)
{
    const int64_t ld = (across ? n : k) + 3, pairs = (k + 31) / 32 * 16, wide = 2 * pairs;
    uint16_t src[(K_MAX + 3) * (ROWS_MAX + 3)], want[K_MAX * 64 + 64], got[K_MAX * 64 + 64];
    const struct srq_panel_source s = { src, ld, across };

    for (int64_t i = 0; i < ld * (across ? k : n); i++)
        src[i] = element(1, i);
    for (int64_t p = (k + 1) / 2; p <= pairs; p++) { /* panels of every padding */
        for (int64_t col = 0; col < n; col += SRQ_PANEL_COLS) {
            memset(got, 0xff, sizeof(got));
            memset(want, 0xff, sizeof(want));
            srq_pack_panel_plain(&s, col, n, k, p, want);
            srq_pack_panel_avx512(&s, col, n, k, p, got);
            assert_memory_equal(got, want, sizeof(want));
        }
    }
    for (int64_t row = 0; row < n; row += 14) {
        int64_t rows = n - row < 14 ? n - row : 14, padded = rows + row % 3;

        memset(got, 0xff, sizeof(got));
        memset(want, 0xff, sizeof(want));
        srq_pack_rows_plain(&s, row, rows, padded, k, want, wide);
        srq_pack_rows_avx512(&s, row, rows, padded, k, got, wide);
        assert_memory_equal(got, want, sizeof(want));
    }
}

/* ---- tiles in plain C ---- */

static struct {
    bool set;
    uint32_t dwords[16][16];
} tiles[8];

static void emulated_config(const void *config)
{
    const uint8_t *c = config;

    assert_int_equal(c[0], 1);
    for (int i = 0; i < 8; i++) {
        assert_true(c[16 + 2 * i] == 64 && c[17 + 2 * i] == 0 && c[48 + i] == 16);
        tiles[i].set = true;
    }
}

static void emulated_release(void)
{
    memset(tiles, 0, sizeof(tiles));
}

static void emulated_zero(int t)
{
    assert_true(tiles[t].set);
    memset(tiles[t].dwords, 0, sizeof(tiles[t].dwords));
}

static void emulated_load(int t, const void *p, int64_t step)
{
    assert_true(tiles[t].set);
    for (int r = 0; r < 16; r++)
        memcpy(tiles[t].dwords[r], (const char *)p + r * step, 64);
}

static void emulated_store(int t, void *p, int64_t step)
{
    assert_true(tiles[t].set);
    for (int r = 0; r < 16; r++)
        memcpy((char *)p + r * step, tiles[t].dwords[r], 64);
}

static void emulated_dot(int c, int a, int b)
{
    for (int m = 0; m < 16; m++) {
        for (int k = 0; k < 16; k++) {
            for (int n = 0; n < 16; n++) {
                const uint32_t x = tiles[a].dwords[m][k], y = tiles[b].dwords[k][n];
                float sum;

                memcpy(&sum, &tiles[c].dwords[m][n], sizeof(sum));
                sum += srq_bf16_to_f32((uint16_t)x) * srq_bf16_to_f32((uint16_t)y);
                sum += srq_bf16_to_f32((uint16_t)(x >> 16)) * srq_bf16_to_f32((uint16_t)(y >> 16));
                memcpy(&tiles[c].dwords[m][n], &sum, sizeof(sum));
            }
        }
    }
}

#include <immintrin.h>

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_loadconfig emulated_config
#define _tile_release emulated_release
#define _tile_zero emulated_zero
#define _tile_loadd emulated_load
#define _tile_stored emulated_store
#define _tile_dpbf16ps emulated_dot
#define srq_panels_amx emulated_amx
extern const struct srq_panel_kernel emulated_amx;
#include "core/math/panels_amx.c"

static void vectors_pack_what_plain_c_packs(void **state)
{
    (void)state;
    if (!srq_panels_avx512.usable()) {
        skip_because(vectors_pack_what_plain_c_packs, "this processor has no AVX512-BF16");
        return;
    }
    for (size_t s = 0; s < SHAPES; s++)
        for (int across = 0; across < 2; across++)
            compare_packing(shapes[s][0], shapes[s][1], across != 0);
}

static void an_avx512_tile_is_the_sum_of_products(void **state)
{
    (void)state;
    if (!srq_panels_avx512.usable()) {
        skip_because(an_avx512_tile_is_the_sum_of_products, "this processor has no AVX512-BF16");
        return;
    }
    check_kernel(&srq_panels_avx512);
}

static void an_amx_tile_is_the_sum_of_products(void **state)
{
    (void)state;
    check_kernel(&emulated_amx);
    for (int i = 0; i < 8; i++)
        assert_false(tiles[i].set); /* given back */
}

#else

static void vectors_pack_what_plain_c_packs(void **state)
{
    (void)state;
    skip_because(vectors_pack_what_plain_c_packs, "this build has no such kernels");
}

static void an_avx512_tile_is_the_sum_of_products(void **state)
{
    (void)state;
    skip_because(an_avx512_tile_is_the_sum_of_products, "this build has no such kernels");
}

static void an_amx_tile_is_the_sum_of_products(void **state)
{
    (void)state;
    skip_because(an_amx_tile_is_the_sum_of_products, "this build has no such kernels");
}

#endif

/* ---- F32 ---- */

SKIPPABLE(f32_tiles_by_avx512_are_sums_of_products);
SKIPPABLE(f32_tiles_by_avx2_are_sums_of_products);

#ifdef SRQ_X86_KERNELS

static float value(uint64_t stream, int64_t i)
{
    return (float)(2 * srq_rng_uniform(6, stream, (uint64_t)i) - 1);
}

static void check_f32_tile(const struct srq_panel_kernel *kernel, int rows, int64_t k, bool add)
{
    const int64_t lda = k + 3, ldc = 40;
    float a[ROWS_MAX * (K_MAX + 3)], b[K_MAX * SRQ_PANEL_COLS], c[ROWS_MAX * 40];
    const struct srq_panel_tile t = { k, a, lda, b, c, ldc, add, NULL, NULL };

    for (int64_t i = 0; i < rows * lda; i++)
        a[i] = value(2, i);
    for (int64_t i = 0; i < k * SRQ_PANEL_COLS; i++)
        b[i] = value(3, i);
    for (int i = 0; i < ROWS_MAX * 40; i++)
        c[i] = (float)i / 64;
    kernel->tile(&t, rows);
    for (int r = 0; r < ROWS_MAX; r++) {
        for (int j = 0; j < 40; j++) {
            const float was = (float)(r * 40 + j) / 64;
            double sum = add ? was : 0;

            for (int64_t i = 0; j < SRQ_PANEL_COLS && r < rows && i < k; i++)
                sum += (double)a[r * lda + i] * b[i * SRQ_PANEL_COLS + j];
            if (j >= SRQ_PANEL_COLS || r >= rows)
                assert_true(c[r * 40 + j] == was);
            else
                assert_true(fabs(c[r * 40 + j] - sum) <= 1e-6 * (double)(k + 30));
        }
    }
}

/* A panel holds column after column what the source has, and rows are copied, with zeros behind both; nothing else is
 * written. BF16 is widened. */
static void check_f32_packing(const struct srq_panel_kernel *kernel, int64_t n, int64_t k, bool across)
{
    const int64_t ld = (across ? n : k) + 3, steps = k + 3, wide = (k + 15) / 16 * 16;
    float src[(K_MAX + 3) * (ROWS_MAX + 3)], got[(K_MAX + 16) * 64];
    uint16_t halves[(K_MAX + 3) * (ROWS_MAX + 3)];
    const bool wide_of_half = kernel->dtype == SRQ_BF16;
    const struct srq_panel_source s = { wide_of_half ? (const void *)halves : src, ld, across };

    for (int64_t i = 0; i < ld * (across ? k : n); i++) {
        halves[i] = srq_f32_to_bf16(value(1, i));
        src[i] = wide_of_half ? srq_bf16_to_f32(halves[i]) : value(1, i);
    }
    for (int64_t col = 0; col < n; col += SRQ_PANEL_COLS) {
        got[steps * SRQ_PANEL_COLS] = 7;
        kernel->pack_panel(&s, col, n, k, steps, got);
        for (int64_t i = 0; i < steps * SRQ_PANEL_COLS; i++) {
            const int64_t p = i / SRQ_PANEL_COLS, j = col + i % SRQ_PANEL_COLS;

            assert_true(got[i] == (p >= k || j >= n ? 0 : across ? src[p * ld + j] : src[j * ld + p]));
        }
        assert_true(got[steps * SRQ_PANEL_COLS] == 7);
    }
    for (int64_t row = 0; row < n; row += 14) {
        const int64_t rows = n - row < 14 ? n - row : 14, padded = rows + row % 3;

        got[padded * wide] = 7;
        kernel->pack_rows(&s, row, rows, padded, k, got, wide);
        for (int64_t i = 0; i < padded * wide; i++) {
            const int64_t r = i / wide, p = i % wide;

            assert_true(got[i] == (r >= rows || p >= k ? 0 : across ? src[p * ld + row + r] : src[(row + r) * ld + p]));
        }
        assert_true(got[padded * wide] == 7);
    }
}

/* Sums become what the one way of rounding makes of them, NaN, infinities and ties too; nothing beside them is written.
 */
static void check_store(const struct srq_panel_kernel *kernel, int64_t cols, float alpha, bool add)
{
    static const uint32_t odd[] = { 0x7fc00001, 0xff800001, 0x7f800000, 0xff800000, 0x3f808000, 0x3f818000,
                                    0x7f7fffff, 0x00000001, 0x80000000, 0x3f807fff, 0x3f808001, 0x7f800001 };
    float sums[3 * 40], f[3 * 36];
    uint16_t h[3 * 36];
    struct srq_panel_out o = { sums, 40, 3, cols, alpha, add, SRQ_F32, f, 36 };

    for (int i = 0; i < 3 * 40; i++) {
        sums[i] = value(4, i);
        if (i % 3 == 0)
            memcpy(&sums[i], &odd[i / 3 % 12], sizeof(sums[i]));
    }
    for (int i = 0; i < 3 * 36; i++)
        h[i] = srq_f32_to_bf16(f[i] = (float)i / 64);
    kernel->store(&o);
    o.dtype = SRQ_BF16;
    o.c = h;
    kernel->store(&o);
    for (int i = 0; i < 3 * 36; i++) {
        const float was = (float)i / 64, sum = alpha * sums[i / 36 * 40 + i % 36];
        const float want = i % 36 >= cols ? was : add ? was + sum : sum;
        const float half = i % 36 >= cols ? was : add ? srq_bf16_to_f32(srq_f32_to_bf16(was)) + sum : sum;

        if (isnan(want))
            assert_true(isnan(f[i]) && isnan(srq_bf16_to_f32(h[i])));
        else
            assert_true(memcmp(&f[i], &want, sizeof(want)) == 0 && h[i] == srq_f32_to_bf16(half));
    }
}

static void check_f32(const struct srq_panel_kernel *kernel)
{
    for (int i = 0; i < 8; i++)
        check_store(kernel, i & 1 ? SRQ_PANEL_COLS : 17, i & 2 ? 0.5f : 1.0f, (i & 4) != 0);
    for (size_t s = 0; s < SHAPES; s++) {
        for (int rows = 1; rows <= 17; rows++) {
            check_f32_tile(kernel, rows, shapes[s][1], false);
            check_f32_tile(kernel, rows, shapes[s][1], true);
        }
        check_f32_packing(kernel, shapes[s][0], shapes[s][1], false);
        check_f32_packing(kernel, shapes[s][0], shapes[s][1], true);
    }
}

#define CHECK_F32(test, isa)               \
    if (srq_panels_f32_##isa.usable()) {   \
        check_f32(&srq_panels_f32_##isa);  \
        check_f32(&srq_panels_wide_##isa); \
    } else                                 \
        skip_because(test, "this processor has no such instructions")

#else
#define CHECK_F32(test, isa) skip_because(test, "this build has no such kernels")
#endif

#ifdef SRQ_FP16_KERNEL

/* Elements whose rows and columns have sizes of their own: `spread` 0 makes all of them -1, 0 or 1, whose sums F16
 * holds exactly; else powers of two between 2^-spread and 2^spread are before them. */
static float of_size(uint64_t stream, int64_t line, int64_t i, int spread)
{
    const double x = 2 * srq_rng_uniform(7, stream, (uint64_t)(line * 1000 + i)) - 1;
    const int size = (int)(srq_rng_uniform(8, stream, (uint64_t)line) * (2 * spread + 1)) - spread;

    return spread == 0 ? (float)lrint(1.4 * x) : srq_bf16_to_f32(srq_f32_to_bf16(ldexpf((float)x, size)));
}

/* Element i of row or column `line` of what lies along or across. */
static void lay_out(uint16_t *to, int64_t lines, int64_t k, bool across, uint64_t stream, int spread)
{
    for (int64_t line = 0; line < lines; line++)
        for (int64_t i = 0; i < k; i++)
            to[across ? i * (lines + 3) + line : line * (k + 3) + i] =
                srq_f32_to_bf16(of_size(stream, line, i, spread));
}

/* [rows, k] by [k, cols], packed and multiplied, in two stretches where k allows it. */
static void check_halves(int rows, int64_t cols, int64_t k, const bool across[2], int spread)
{
    enum { COLS = 2 * SRQ_PANEL_COLS };
    const int64_t lda = (k + 15) / 16 * 16, first = k > 40 ? 40 : k;
    const struct srq_panel_kernel *kernel = &srq_panels_fp16;
    uint16_t a[ROWS_MAX * (K_MAX + 16)], b[COLS * (K_MAX + 16)];
    float rows_of_a[ROWS_MAX * (K_MAX + 16) + ROWS_MAX + 1], panel[K_MAX * SRQ_PANEL_COLS + COLS + 1];
    float c[ROWS_MAX * COLS];
    const struct srq_panel_source along_a = { a, across[0] ? rows + 3 : k + 3, across[0] };
    const struct srq_panel_source along_b = { b, across[1] ? cols + 3 : k + 3, across[1] };
    struct srq_panel_tile t = {
        first, rows_of_a, lda, panel, c, COLS, false, rows_of_a + rows * lda, panel + k * SRQ_PANEL_COLS
    };

    lay_out(a, rows, k, across[0], 1, spread);
    lay_out(b, cols, k, across[1], 2, spread);
    rows_of_a[rows * lda + rows] = panel[k * SRQ_PANEL_COLS + COLS] = 7;
    kernel->pack_rows(&along_a, 0, rows, rows, k, rows_of_a, lda);
    kernel->pack_panel(&along_b, 0, cols, k, k, panel);
    assert_true(rows_of_a[rows * lda + rows] == 7 && panel[k * SRQ_PANEL_COLS + COLS] == 7);
    kernel->tile(&t, rows);
    t.a = rows_of_a + first;
    t.b = panel + first * SRQ_PANEL_COLS;
    t.steps = k - first;
    t.add = true;
    kernel->tile(&t, rows);
    for (int r = 0; r < rows; r++) {
        for (int64_t j = 0; j < COLS; j++) {
            double sum = 0, size = 0;

            for (int64_t i = 0; j < cols && i < k; i++) {
                const double term = (double)of_size(1, r, i, spread) * of_size(2, j, i, spread);

                sum += term;
                size += fabs(term);
            }
            assert_true(fabs(c[r * COLS + j] - sum) <= (spread == 0 ? 0 : 2e-3) * size);
        }
    }
}

/* A number that is none makes its own row of sums none, and no other. */
static void check_special(uint16_t bits, bool in_a)
{
    enum { COLS = 2 * SRQ_PANEL_COLS, K = 33, LDA = 48 };
    uint16_t a[4 * K], b[COLS * K];
    float rows_of_a[4 * LDA + 4], panel[K * SRQ_PANEL_COLS + COLS], c[4 * COLS];
    const struct srq_panel_source along_a = { a, K, false }, along_b = { b, K, false };
    const struct srq_panel_tile t = {
        K, rows_of_a, LDA, panel, c, COLS, false, rows_of_a + 4 * LDA, panel + K * SRQ_PANEL_COLS
    };

    for (int i = 0; i < 4 * K; i++)
        a[i] = srq_f32_to_bf16(0.5f);
    for (int i = 0; i < COLS * K; i++)
        b[i] = srq_f32_to_bf16(0.25f);
    (in_a ? a : b)[2 * K + 5] = bits;
    srq_panels_fp16.pack_rows(&along_a, 0, 4, 4, K, rows_of_a, LDA);
    srq_panels_fp16.pack_panel(&along_b, 0, COLS, K, K, panel);
    srq_panels_fp16.tile(&t, 4);
    for (int r = 0; r < 4; r++)
        for (int j = 0; j < COLS; j++)
            assert_true((in_a ? r : j) == 2 ? !isfinite(c[r * COLS + j]) : c[r * COLS + j] == 0.125f * K);
}

static void f16_tiles_are_sums_of_scaled_products(void **state)
{
    (void)state;
    if (!srq_panels_fp16.usable()) {
        skip_because(f16_tiles_are_sums_of_scaled_products, "this processor has no AVX512-FP16");
        return;
    }
    for (size_t s = 0; s < SHAPES; s++) {
        for (int way = 0; way < 4; way++) {
            for (int rows = 1; rows <= ROWS_MAX; rows += 4) {
                check_halves(rows, 2 * shapes[s][0] - 2 + rows % 2, shapes[s][1], (const bool[]){ way & 1, way & 2 },
                             0);
                check_halves(rows, shapes[s][0], shapes[s][1], (const bool[]){ way & 1, way & 2 }, 60);
            }
        }
    }
    for (int i = 0; i < 6; i++)
        check_special((const uint16_t[]){ 0x7f80, 0xff80, 0x7fc1 }[i / 2], i % 2 != 0);
    check_halves(5, 40, 64, (const bool[]){ false, true }, 1);
}

#else
static void f16_tiles_are_sums_of_scaled_products(void **state)
{
    (void)state;
    skip_because(f16_tiles_are_sums_of_scaled_products, "this build has no such kernel");
}
#endif

static void f32_tiles_by_avx512_are_sums_of_products(void **state)
{
    (void)state;
    CHECK_F32(f32_tiles_by_avx512_are_sums_of_products, avx512);
}

static void f32_tiles_by_avx2_are_sums_of_products(void **state)
{
    (void)state;
    CHECK_F32(f32_tiles_by_avx2_are_sums_of_products, avx2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_panels_hold_pairs_and_zeros),
        cmocka_unit_test(a_plain_tile_is_the_sum_of_products),
        skippable_unit_test(vectors_pack_what_plain_c_packs),
        skippable_unit_test(an_avx512_tile_is_the_sum_of_products),
        skippable_unit_test(f32_tiles_by_avx512_are_sums_of_products),
        skippable_unit_test(f32_tiles_by_avx2_are_sums_of_products),
        skippable_unit_test(an_amx_tile_is_the_sum_of_products),
        skippable_unit_test(f16_tiles_are_sums_of_scaled_products),
    };

    return cmocka_run_group_tests_name("panels", tests, NULL, NULL);
}
