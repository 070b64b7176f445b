/* Tiles by VDPBF16PS: 14 rows by two vectors of columns, 28 sums in registers. */
#include "core/math/panels.h"
#include "core/math/panels_avx512.h"

#include "core/base/clock.h"

#include <immintrin.h>
#include <math.h>

#define ROWS 14
#define AHEAD 32 /* rows */

INLINE __m512bh pair(const uint16_t *p)
{
    int32_t two;

    memcpy(&two, p, sizeof(two));
    return (__m512bh)_mm512_set1_epi32(two);
}

/* Row r is reached from every third one: as many addresses as there are registers for. */
INLINE const uint16_t *row_at(const uint16_t *const *thirds, int64_t lda, int r)
{
    return thirds[r / 3] + r % 3 * lda;
}

INLINE void add_rows(const struct srq_panel_tile *t, const int rows)
{
    const uint16_t *thirds[(ROWS + 2) / 3], *a = t->a, *b = t->b;
    const int64_t lda = t->lda;
    __m512 sum[ROWS][2];

#pragma GCC unroll 5
    for (int i = 0; i < (rows + 2) / 3; i++)
        thirds[i] = a + i * 3 * lda;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        sum[r][0] = t->add ? _mm512_loadu_ps(t->c + r * t->ldc) : _mm512_setzero_ps();
        sum[r][1] = t->add ? _mm512_loadu_ps(t->c + r * t->ldc + 16) : _mm512_setzero_ps();
    }
    for (int64_t p = 0; p < t->steps; p++, b += 2 * SRQ_PANEL_COLS) {
        const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b), b1 = (__m512bh)_mm512_loadu_si512(b + 32);

#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const __m512bh x = pair(row_at(thirds, lda, r));

            sum[r][0] = _mm512_dpbf16_ps(sum[r][0], x, b0);
            sum[r][1] = _mm512_dpbf16_ps(sum[r][1], x, b1);
        }
#pragma GCC unroll 5
        for (int i = 0; i < (rows + 2) / 3; i++)
            thirds[i] += 2;
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        _mm512_storeu_ps(t->c + r * t->ldc, sum[r][0]);
        _mm512_storeu_ps(t->c + r * t->ldc + 16, sum[r][1]);
    }
}

static void tile(const struct srq_panel_tile *t, int rows)
{
    struct srq_panel_tile rest = *t;
    const uint16_t *a = t->a;

    if (rows == ROWS) {
        add_rows(t, ROWS);
        return;
    }
    for (; rows >= 4; rows -= 4, rest.a = a += 4 * rest.lda, rest.c += 4 * rest.ldc)
        add_rows(&rest, 4);
    for (; rows > 0; rows--, rest.a = a += rest.lda, rest.c += rest.ldc)
        add_rows(&rest, 1);
}

static bool usable(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

/* ---- how fast its instruction is ---- */

#define SUMS 24 /* that do not wait for each other */
#define ROUNDS 500
#define TRIES 40 /* a millisecond in all */

#define LOOP(name, flops, type, x, instruction)                                           \
    double name(int64_t rounds, float *keep)                                              \
    {                                                                                     \
        const type a = x;                                                                 \
        __m512 sum[SUMS];                                                                 \
                                                                                          \
        for (int j = 0; j < SUMS; j++)                                                    \
            sum[j] = _mm512_setzero_ps();                                                 \
        for (int64_t i = 0; i < rounds; i++) {                                            \
            _Pragma("GCC unroll 24") for (int j = 0; j < SUMS; j++) sum[j] = instruction; \
        }                                                                                 \
        for (int j = 0; j < SUMS; j++)                                                    \
            *keep += _mm512_reduce_add_ps(sum[j]);                                        \
        return (flops)*SUMS * (double)rounds;                                             \
    }

LOOP(srq_loop_of_dots, 64, __m512bh, (__m512bh)_mm512_set1_epi32(0x3f803f80), _mm512_dpbf16_ps(sum[j], a, a))
LOOP(srq_loop_of_fmas, 32, __m512, _mm512_set1_ps(1e-9f), _mm512_fmadd_ps(a, a, sum[j]))

/* FLOPs a second. */
static double rate(double (*loop)(int64_t rounds, float *keep), float *keep)
{
    const double since = srq_clock_s(), flops = loop(ROUNDS, keep);

    return flops / (srq_clock_s() - since);
}

/* By turns and at their fastest, since others may have the processor in between; and clearly slower, so that a
 * processor always gets the same answer. */
bool srq_panels_avx512_slow(void)
{
    double dots = 0, fmas = 0;
    volatile float keep;
    float sum = 0;

    if (!usable())
        return false;
    for (int i = 0; i < TRIES; i++) {
        dots = fmax(dots, rate(srq_loop_of_dots, &sum));
        fmas = fmax(fmas, rate(srq_loop_of_fmas, &sum));
    }
    keep = sum;
    (void)keep;
    return fmas > 1.3 * dots;
}

/* ---- sums to C ---- */

INLINE __mmask16 lanes(int64_t n)
{
    return n >= 16 ? (__mmask16)0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0;
}

INLINE void store_f32(const struct srq_panel_out *o, float *c, __m512 lo, __m512 hi)
{
    const __mmask16 first = lanes(o->cols), last = lanes(o->cols - 16);

    if (o->add) {
        lo = _mm512_add_ps(lo, _mm512_maskz_loadu_ps(first, c));
        hi = _mm512_add_ps(hi, _mm512_maskz_loadu_ps(last, c + 16));
    }
    _mm512_mask_storeu_ps(c, first, lo);
    _mm512_mask_storeu_ps(c + 16, last, hi);
}

INLINE __m512 widen(__m512i two, int half)
{
    const __m256i h = half == 0 ? _mm512_castsi512_si256(two) : _mm512_extracti64x4_epi64(two, 1);

    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

INLINE void store_bf16(const struct srq_panel_out *o, uint16_t *c, __m512 lo, __m512 hi)
{
    const __mmask32 mask = o->cols >= 32 ? 0xffffffffu : (__mmask32)(((uint32_t)1 << o->cols) - 1);

    if (o->add) {
        const __m512i was = _mm512_maskz_loadu_epi16(mask, c);

        lo = _mm512_add_ps(lo, widen(was, 0));
        hi = _mm512_add_ps(hi, widen(was, 1));
    }
    _mm512_mask_storeu_epi16(c, mask, (__m512i)_mm512_cvtne2ps_pbh(hi, lo));
}

void srq_panel_store_avx512(const struct srq_panel_out *o)
{
    const __m512 alpha = _mm512_set1_ps(o->alpha);

    for (int64_t r = 0; r < o->rows; r++) {
        const __m512 lo = _mm512_mul_ps(alpha, _mm512_loadu_ps(o->sums + r * o->ld));
        const __m512 hi = _mm512_mul_ps(alpha, _mm512_loadu_ps(o->sums + r * o->ld + 16));

        if (o->dtype == SRQ_F32)
            store_f32(o, (float *)o->c + r * o->ldc, lo, hi);
        else
            store_bf16(o, (uint16_t *)o->c + r * o->ldc, lo, hi);
    }
}

/* ---- packing ---- */

/* 16 vectors of 16 dwords become their columns. */
INLINE void transpose(__m512i r[16])
{
    __m512i t[16];

#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    /* r[4g + c]: in its lane l the dwords of rows 4g … 4g + 3 of column 4l + c. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const __m512i a = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x88), b = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xdd);
        const __m512i d = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x88),
                      e = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xdd);

        t[c] = _mm512_shuffle_i32x4(a, d, 0x88);
        t[8 + c] = _mm512_shuffle_i32x4(a, d, 0xdd);
        t[4 + c] = _mm512_shuffle_i32x4(b, e, 0x88);
        t[12 + c] = _mm512_shuffle_i32x4(b, e, 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        r[i] = t[i];
}

/* Rows `i` and `i + 1` of the source, 32 elements from `at` on, element by element: pairs of columns at … and at + 16 …
 */
INLINE void interleave(const struct srq_panel_source *s, int64_t i, int64_t k, int64_t at, int64_t n, __m512i *lo,
                       __m512i *hi)
{
    const uint16_t *data = (const uint16_t *)s->data + at;
    const int64_t ahead = i + AHEAD < k - 1 ? i + AHEAD : 0;
    const __m512i even = i < k ? some(data + i * s->ld, n) : _mm512_setzero_si512();
    const __m512i odd = i + 1 < k ? some(data + (i + 1) * s->ld, n) : _mm512_setzero_si512();
    const __m512i a = _mm512_unpacklo_epi16(even, odd), b = _mm512_unpackhi_epi16(even, odd);
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0),
                  last = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);

    /* Rows lie far apart: no processor sees by itself what comes. */
    if (ahead > 0) {
        _mm_prefetch((const char *)(data + ahead * s->ld), _MM_HINT_T0);
        _mm_prefetch((const char *)(data + (ahead + 1) * s->ld), _MM_HINT_T0);
    }
    *lo = _mm512_permutex2var_epi64(a, first, b);
    *hi = _mm512_permutex2var_epi64(a, last, b);
}

/* 16 rows of 16 pairs each, from element `at` on. */
INLINE void load_rows(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t at, int64_t k, __m512i r[16])
{
    const uint16_t *data = s->data;

#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        r[i] = i < rows ? some(data + (row + i) * s->ld + at, k - at) : _mm512_setzero_si512();
}

void srq_pack_panel_avx512(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps,
                           void *panel)
{
    uint16_t *to = panel;
    __m512i r[16];

    if (s->across) {
        for (int64_t p = 0; p < steps; p++) {
            interleave(s, 2 * p, k, col, n - col, &r[0], &r[1]);
            _mm512_storeu_si512(to + p * 64, r[0]);
            _mm512_storeu_si512(to + p * 64 + 32, r[1]);
        }
        return;
    }
    for (int64_t p = 0; p < steps; p += 16) {
        for (int half = 0; half < 2; half++) {
            load_rows(s, col + 16 * half, n - col - 16 * half, 2 * p, k, r);
            transpose(r);
            for (int i = 0; i < 16 && p + i < steps; i++)
                _mm512_storeu_si512(to + (p + i) * 64 + 32 * half, r[i]);
        }
    }
}

void srq_pack_rows_avx512(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                          void *copy, int64_t ld)
{
    const uint16_t *data = s->data;
    uint16_t *to = copy;
    __m512i lo[16], hi[16];

    for (int64_t r = 0; !s->across && r < padded; r++)
        for (int64_t i = 0; i < ld; i += 32)
            _mm512_storeu_si512(to + r * ld + i,
                                r < rows ? some(data + (row + r) * s->ld + i, k - i) : _mm512_setzero_si512());
    for (int64_t r = 0; s->across && r < padded; r += 32) {
        for (int64_t i = 0; i < ld; i += 32) {
            for (int p = 0; p < 16; p++)
                interleave(s, i + 2 * p, k, row + r, rows - r, &lo[p], &hi[p]);
            transpose(lo);
            transpose(hi);
            for (int p = 0; p < 16 && r + p < padded; p++)
                _mm512_storeu_si512(to + (r + p) * ld + i, lo[p]);
            for (int p = 0; p < 16 && r + 16 + p < padded; p++)
                _mm512_storeu_si512(to + (r + 16 + p) * ld + i, hi[p]);
        }
    }
}

const struct srq_panel_kernel srq_panels_avx512 = {
    .name = "avx512_bf16",
    .dtype = SRQ_BF16,
    .packed = SRQ_BF16,
    .rows = ROWS,
    .row_step = 1,
    .k_step = 2,
    .tiles = 4,
    .stretch = 1024,
    .usable = usable,
    .tile = tile,
    .pack_panel = srq_pack_panel_avx512,
    .pack_rows = srq_pack_rows_avx512,
    .store = srq_panel_store_avx512,
    .of_packed = &srq_panels_avx512,
};
