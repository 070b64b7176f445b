/* Tiles of BF16 operands by FMAs of AVX512-FP16, which are twice as many a cycle as those of F32.
 *
 * Every row of A and every column of B is scaled by a power of two so that its largest element lies in [16, 32): F16
 * then holds BF16's eight bits of all that is not 2^18 times smaller, and loses what is 2^-29 times the largest. A
 * chunk of 32 products, at most 32 * 32 * 32 and so within F16, is summed in F16; these sums are added in F32. The
 * error, about 2^-10 of a sum of independent terms, is less than half of what rounding its terms' factors to BF16 was.
 */
#include "core/math/panels.h"
#include "core/math/panels_avx512.h"

#include <cpuid.h>
#include <immintrin.h>

#define ROWS 14
#define CHUNK 32
#define COLS (2 * SRQ_PANEL_COLS)
#define AHEAD 16    /* rows */
#define LARGEST 4   /* exponent of a row's or column's largest element as it is multiplied */
#define BIAS 127    /* of F32's exponents, and BF16's */
#define SMALLEST 6  /* biased: of what is scaled as the smallest numbers are; scales are no subnormal numbers */
#define SPECIAL 255 /* biased: of infinity and NaN */

/* ---- tiles ---- */

/* Row r is reached from every third one: as many addresses as there are registers for. */
INLINE const float *at_row(const float *const *thirds, int64_t lda, int r, int64_t step)
{
    return thirds[r / 3] + r % 3 * lda + step;
}

INLINE __m512h load(const uint16_t *p)
{
    return (__m512h)_mm512_loadu_si512(p);
}

/* Sums of `count` steps, in F16. */
INLINE void add_chunk(__m512h sum[ROWS][2], const float *const *thirds, int64_t lda, const uint16_t *b, int64_t count,
                      const int rows)
{
    __m512h b0 = load(b), b1 = load(b + 32);

#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        const __m512h x = (__m512h)_mm512_set1_ps(*at_row(thirds, lda, r, 0));

        sum[r][0] = _mm512_mul_ph(x, b0);
        sum[r][1] = _mm512_mul_ph(x, b1);
    }
#pragma GCC unroll 4
    for (int64_t step = 1; step < count; step++) {
        b0 = load(b + step * COLS);
        b1 = load(b + step * COLS + 32);
#pragma GCC unroll 14
        for (int r = 0; r < rows; r++) {
            const __m512h x = (__m512h)_mm512_set1_ps(*at_row(thirds, lda, r, step));

            sum[r][0] = _mm512_fmadd_ph(x, b0, sum[r][0]);
            sum[r][1] = _mm512_fmadd_ph(x, b1, sum[r][1]);
        }
    }
}

/* Sums in F16 to those in F32, by way of memory: that takes no shuffles. */
INLINE void add_to(float to[ROWS][COLS], __m512h sum[ROWS][2], const int rows)
{
    uint16_t kept[ROWS][COLS] __attribute__((aligned(64)));

#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        _mm512_store_si512(kept[r], (__m512i)sum[r][0]);
        _mm512_store_si512(kept[r] + 32, (__m512i)sum[r][1]);
    }
    __asm__ volatile("" : : "r"(kept) : "memory");
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int j = 0; j < COLS; j += 16) {
            const __m512 x = _mm512_cvtxph_ps((__m256h)_mm256_load_si256((const __m256i *)(const void *)(kept[r] + j)));

            _mm512_store_ps(to[r] + j, _mm512_add_ps(_mm512_load_ps(to[r] + j), x));
        }
    }
}

INLINE void add_rows(const struct srq_panel_tile *t, const int rows)
{
    const float *thirds[(ROWS + 2) / 3], *a = t->a;
    float total[ROWS][COLS] __attribute__((aligned(64)));
    const uint16_t *b = t->b;
    const int64_t lda = t->lda;
    __m512h sum[ROWS][2];

#pragma GCC unroll 5
    for (int i = 0; i < (rows + 2) / 3; i++)
        thirds[i] = a + i * 3 * lda;
    memset(total, 0, sizeof(total[0]) * (size_t)rows);
    for (int64_t at = 0; at < t->steps; at += CHUNK, b += CHUNK * COLS) {
        const int64_t left = t->steps - at;

        if (left >= CHUNK)
            add_chunk(sum, thirds, lda, b, CHUNK, rows);
        else
            add_chunk(sum, thirds, lda, b, left, rows);
        add_to(total, sum, rows);
#pragma GCC unroll 5
        for (int i = 0; i < (rows + 2) / 3; i++)
            thirds[i] += CHUNK;
    }
    for (int r = 0; r < rows; r++) {
        const __m512 scale = _mm512_set1_ps(t->a_scale[r]);
        float *c = t->c + r * t->ldc;

        for (int j = 0; j < COLS; j += 16) {
            const __m512 by = _mm512_mul_ps(scale, _mm512_loadu_ps(t->b_scale + j));
            const __m512 was = t->add ? _mm512_loadu_ps(c + j) : _mm512_setzero_ps();

            _mm512_storeu_ps(c + j, _mm512_fmadd_ps(_mm512_load_ps(total[r] + j), by, was));
        }
    }
}

static void tile(const struct srq_panel_tile *t, int rows)
{
    struct srq_panel_tile rest = *t;
    const float *a = t->a;

    for (; rows >= ROWS; rows -= ROWS, rest.a = a += ROWS * rest.lda, rest.c += ROWS * rest.ldc, rest.a_scale += ROWS)
        add_rows(&rest, ROWS);
    for (; rows >= 4; rows -= 4, rest.a = a += 4 * rest.lda, rest.c += 4 * rest.ldc, rest.a_scale += 4)
        add_rows(&rest, 4);
    for (; rows > 0; rows--, rest.a = a += rest.lda, rest.c += rest.ldc, rest.a_scale++)
        add_rows(&rest, 1);
}

/* ---- how fast its instruction is ---- */

#define SUMS 24 /* that do not wait for each other */

double srq_loop_of_halves(int64_t rounds, float *keep)
{
    const __m512h one = (__m512h)_mm512_set1_epi16(0x3c00), tiny = (__m512h)_mm512_set1_epi16(0x0400);
    __m512h sum[SUMS];

    for (int j = 0; j < SUMS; j++)
        sum[j] = (__m512h)_mm512_setzero_si512();
    for (int64_t i = 0; i < rounds; i++) {
#pragma GCC unroll 24
        for (int j = 0; j < SUMS; j++)
            sum[j] = _mm512_fmadd_ph(one, tiny, sum[j]);
    }
    for (int j = 0; j < SUMS; j++)
        *keep += _mm512_reduce_add_ps(_mm512_cvtxph_ps(_mm512_castph512_ph256(sum[j])));
    return 64.0 * SUMS * (double)rounds;
}

/* ---- scales ---- */

INLINE __m512i larger(__m512i most, __m512i x)
{
    return _mm512_max_epu16(most, _mm512_and_si512(x, _mm512_set1_epi16(0x7fff)));
}

/* Of 32 rows or columns, by the magnitudes of their largest elements: what they are multiplied by, and `back` what
 * their sums are. Infinities and NaN stay what they are. */
INLINE void scales_of(__m512i most, __m512 by[2], float *back)
{
    const __m512i e = _mm512_max_epu16(_mm512_srli_epi16(most, 7), _mm512_set1_epi16(SMALLEST));
    const __mmask32 special = _mm512_cmpeq_epi16_mask(e, _mm512_set1_epi16(SPECIAL));
    const __m512i one = _mm512_set1_epi16(BIAS);
    const __m512i up = _mm512_mask_mov_epi16(_mm512_sub_epi16(_mm512_set1_epi16(2 * BIAS + LARGEST), e), special, one);
    const __m512i down = _mm512_mask_mov_epi16(_mm512_sub_epi16(e, _mm512_set1_epi16(LARGEST)), special, one);

    by[0] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(up)), 23));
    by[1] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(up, 1)), 23));
    _mm512_storeu_si512(back, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(down)), 23));
    _mm512_storeu_si512(back + 16, _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(down, 1)), 23));
}

/* 32 elements as F16. */
INLINE __m512i scaled(__m512i x, __m512 low, __m512 high)
{
    const __m512i a = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(x)), 16);
    const __m512i b = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(x, 1)), 16);
    const __m256i lo = (__m256i)_mm512_cvtxps_ph(_mm512_mul_ps(_mm512_castsi512_ps(a), low));
    const __m256i hi = (__m256i)_mm512_cvtxps_ph(_mm512_mul_ps(_mm512_castsi512_ps(b), high));

    return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1);
}

/* The largest of k elements that follow each other: its exponent is what counts. */
INLINE __m512i most_of_row(const uint16_t *x, int64_t k)
{
    __m512i most = _mm512_setzero_si512();
    uint16_t each[32], all = 0;

    for (int64_t i = 0; i < k; i += 32)
        most = larger(most, some(x + i, k - i));
    _mm512_storeu_si512(each, most);
    for (int i = 0; i < 32; i++)
        all = each[i] > all ? each[i] : all;
    return _mm512_set1_epi16((short)all);
}

/* The largest of each of 32 columns, or the first n of them, of k rows. */
INLINE __m512i most_of_columns(const uint16_t *x, int64_t ld, int64_t k, int64_t n)
{
    __m512i most = _mm512_setzero_si512();

    for (int64_t i = 0; i < k; i++) {
        /* Rows lie far apart: no processor sees by itself what comes. */
        if (i + AHEAD < k)
            _mm_prefetch((const char *)(x + (i + AHEAD) * ld), _MM_HINT_T0);
        most = larger(most, some(x + i * ld, n));
    }
    return most;
}

/* ---- packing ---- */

/* Square of 32: rows become columns. Bit by bit of their numbers: element pairs within a dword, then dwords. */
INLINE void transpose(__m512i r[32])
{
    static const int32_t near[4][16] = { { 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30 },
                                         { 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29 },
                                         { 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27 },
                                         { 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23 } };
    static const int32_t far[4][16] = { { 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31 },
                                        { 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31 },
                                        { 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31 },
                                        { 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31 } };

#pragma GCC unroll 16
    for (int i = 0; i < 32; i += 2) {
        const __m512i a = r[i], b = r[i + 1];

        r[i] = _mm512_mask_blend_epi16(0xaaaaaaaau, a, _mm512_slli_epi32(b, 16));
        r[i + 1] = _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(a, 16), b);
    }
    for (int bit = 0; bit < 4; bit++) {
        const __m512i low = _mm512_loadu_si512(near[bit]), high = _mm512_loadu_si512(far[bit]);
        const int apart = 2 << bit;

        for (int i = 0; i < 32; i++) {
            if ((i & apart) == 0) {
                const __m512i a = r[i], b = r[i + apart];

                r[i] = _mm512_permutex2var_epi32(a, low, b);
                r[i + apart] = _mm512_permutex2var_epi32(a, high, b);
            }
        }
    }
}

/* Columns [col, col + 32) of n, to every COLS-th place from `to` on. */
INLINE void half_panel(const struct srq_panel_source *s, int64_t col, int64_t n, const int64_t sizes[2], uint16_t *to,
                       float *back)
{
    const int64_t k = sizes[0], steps = sizes[1];
    const uint16_t *data = (const uint16_t *)s->data + (col < n ? col : 0) * (s->across ? 1 : s->ld);
    __m512i r[32];
    __m512 by[2], rows[32];

    if (s->across) {
        scales_of(most_of_columns(data, s->ld, k, n - col), by, back);
        for (int64_t p = 0; p < steps; p++)
            _mm512_storeu_si512(to + p * COLS,
                                p < k ? scaled(some(data + p * s->ld, n - col), by[0], by[1]) : _mm512_setzero_si512());
        return;
    }
    for (int i = 0; i < 32; i++) {
        float of_row[32];

        scales_of(col + i < n ? most_of_row(data + i * s->ld, k) : _mm512_setzero_si512(), by, of_row);
        back[i] = of_row[0];
        rows[i] = by[0];
    }
    for (int64_t p = 0; p < steps; p += 32) {
        for (int i = 0; i < 32; i++)
            r[i] = col + i < n ? scaled(some(data + i * s->ld + p, k - p), rows[i], rows[i]) : _mm512_setzero_si512();
        transpose(r);
        for (int i = 0; i < 32 && p + i < steps; i++)
            _mm512_storeu_si512(to + (p + i) * COLS, r[i]);
    }
}

static void pack_panel(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps, void *panel)
{
    uint16_t *to = panel;
    float *back = (float *)(void *)(to + steps * COLS);

    for (int half = 0; half < 2; half++)
        half_panel(s, col + 32 * half, n, (const int64_t[]){ k, steps }, to + 32 * half, back + 32 * half);
}

/* 32 elements, each twice; the last of `room` places may be in the middle. */
INLINE void store_twice(uint32_t *to, int64_t room, __m512i x)
{
    const __m512i a = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(x));
    const __m512i b = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(x, 1));

    _mm512_storeu_si512(to, _mm512_or_si512(a, _mm512_slli_epi32(a, 16)));
    if (room > 16)
        _mm512_storeu_si512(to + 16, _mm512_or_si512(b, _mm512_slli_epi32(b, 16)));
}

static void pack_rows(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                      void *copy, int64_t ld)
{
    const uint16_t *data = s->data;
    uint32_t *to = copy;
    float *back = (float *)(void *)(to + padded * ld), some_back[32];
    __m512i r[32];
    __m512 by[2];

    for (int64_t i = 0; !s->across && i < padded; i++) {
        const uint16_t *x = data + (row + (i < rows ? i : 0)) * s->ld;
        const int64_t n = i < rows ? k : 0;

        scales_of(most_of_row(x, n), by, some_back);
        back[i] = some_back[0];
        for (int64_t j = 0; j < k; j += 32)
            store_twice(to + i * ld + j, ld - j, scaled(some(x + j, n - j), by[0], by[0]));
    }
    for (int64_t i = 0; s->across && i < padded; i += 32) {
        const int64_t n = padded - i < 32 ? padded - i : 32;

        scales_of(most_of_columns(data + row + i, s->ld, k, rows - i), by, some_back);
        memcpy(back + i, some_back, (size_t)n * sizeof(float));
        for (int64_t j = 0; j < k; j += 32) {
            for (int p = 0; p < 32; p++)
                r[p] = j + p < k ? scaled(some(data + (j + p) * s->ld + row + i, rows - i), by[0], by[1])
                                 : _mm512_setzero_si512();
            transpose(r);
            for (int p = 0; p < n; p++)
                store_twice(to + (i + p) * ld + j, ld - j, r[p]);
        }
    }
}

static void store(const struct srq_panel_out *o)
{
    srq_panels_wide_avx512.store(o);
}

static bool usable(void)
{
    unsigned a, b, c, d;

    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1u << 23) != 0;
}

const struct srq_panel_kernel srq_panels_fp16 = {
    .name = "avx512_fp16",
    .dtype = SRQ_BF16,
    .packed = SRQ_F16,
    .rows = ROWS,
    .row_step = 1,
    .k_step = 1,
    .tiles = 8,
    .stretch = 640,
    .usable = usable,
    .tile = tile,
    .pack_panel = pack_panel,
    .pack_rows = pack_rows,
    .store = store,
    .in_f32 = &srq_panels_wide_avx512,
};
