/* F32 tiles by fused multiplications: rows by two vectors of columns at a time, as many sums as there are registers.
 * BF16 operands are widened while they are laid out. Compiled once for each instruction set: SRQ_LANES is 16 or 8,
 * SRQ_PANELS and SRQ_PANELS_WIDE what the kernels for F32 and for BF16 are called. */
#include "core/math/lanes.h"
#include "core/math/panels.h"

#include "core/tensor/dtype.h"

#include <immintrin.h>

#if LANES == 16
#define ROWS 14
#define SPREAD 10 /* rows from this one on are spread by the multiplications: fewer instructions, more loads */
#define TILES 8
#define ISA_NAME "avx512"
#else
#define ROWS 6
#define SPREAD ROWS
#define TILES 12
#define ISA_NAME "avx2"
#endif
#define UNROLL 4
#define SQUARE 8     /* rows and columns that are turned at a time */
#define AHEAD 16     /* rows */
#define NEXT_STEP 16 /* that is fetched */

/* ---- tiles ---- */

/* Row r is reached from every third one: as many addresses as there are registers for. */
INLINE const float *at_row(const float *const *thirds, int64_t lda, int r, int step)
{
    return thirds[r / 3] + r % 3 * lda + step;
}

/* sum + *x * b, *x being read by the multiplication. */
INLINE vec add_spread(vec sum, const float *x, vec b)
{
#if LANES == 16
    __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(b), "m"(*x));
    return sum;
#else
    return sum + *x * b;
#endif
}

INLINE void add_step(vec sum[ROWS][2], const float *const *thirds, int64_t lda, const float *b, const int rows,
                     int step)
{
    const vec b0 = *(const vec_any *)(b + step * SRQ_PANEL_COLS);
    const vec b1 = *(const vec_any *)(b + step * SRQ_PANEL_COLS + LANES);

#if LANES == 16
    _mm_prefetch((const char *)(b + (step + NEXT_STEP) * SRQ_PANEL_COLS), _MM_HINT_T0);
    _mm_prefetch((const char *)(b + (step + NEXT_STEP) * SRQ_PANEL_COLS + LANES), _MM_HINT_T0);
#endif
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        const float *x = at_row(thirds, lda, r, step);

        sum[r][0] = r < SPREAD ? sum[r][0] + *x * b0 : add_spread(sum[r][0], x, b0);
        sum[r][1] = r < SPREAD ? sum[r][1] + *x * b1 : add_spread(sum[r][1], x, b1);
    }
}

/* Columns [col, col + 2 LANES) of the panel. */
INLINE void add_rows(const struct srq_panel_tile *t, int col, const int rows)
{
    const float *thirds[(ROWS + 2) / 3], *a = t->a, *b = (const float *)t->b + col;
    float *c = t->c + col;
    const int64_t lda = t->lda;
    int64_t left = t->steps;
    vec sum[ROWS][2];

#pragma GCC unroll 5
    for (int i = 0; i < (rows + 2) / 3; i++)
        thirds[i] = a + i * 3 * lda;
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        sum[r][0] = t->add ? (vec) * (vec_any *)(c + r * t->ldc) : (vec){ 0 };
        sum[r][1] = t->add ? (vec) * (vec_any *)(c + r * t->ldc + LANES) : (vec){ 0 };
    }
    for (; left >= UNROLL; left -= UNROLL, b += UNROLL * SRQ_PANEL_COLS) {
#pragma GCC unroll 4
        for (int step = 0; step < UNROLL; step++)
            add_step(sum, thirds, lda, b, rows, step);
#pragma GCC unroll 5
        for (int i = 0; i < (rows + 2) / 3; i++)
            thirds[i] += UNROLL;
    }
    for (; left > 0; left--, b += SRQ_PANEL_COLS) {
        add_step(sum, thirds, lda, b, rows, 0);
#pragma GCC unroll 5
        for (int i = 0; i < (rows + 2) / 3; i++)
            thirds[i]++;
    }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        *(vec_any *)(c + r * t->ldc) = sum[r][0];
        *(vec_any *)(c + r * t->ldc + LANES) = sum[r][1];
    }
}

static void tile(const struct srq_panel_tile *t, int rows)
{
    for (int col = 0; col < SRQ_PANEL_COLS; col += 2 * LANES) {
        struct srq_panel_tile rest = *t;
        const float *a = t->a;
        int left = rows;

        for (; left >= ROWS; left -= ROWS, rest.a = a += ROWS * rest.lda, rest.c += ROWS * rest.ldc)
            add_rows(&rest, col, ROWS);
        for (; left >= 4; left -= 4, rest.a = a += 4 * rest.lda, rest.c += 4 * rest.ldc)
            add_rows(&rest, col, 4);
        for (; left > 0; left--, rest.a = a += rest.lda, rest.c += rest.ldc)
            add_rows(&rest, col, 1);
    }
}

/* ---- packing: `half` says that what is read is BF16 ---- */

INLINE const void *element(const void *data, int64_t i, const bool half)
{
    return (const char *)data + i * (half ? 2 : 4);
}

INLINE __m256 eight(const void *p, const bool half)
{
    return half ? _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16))
                : _mm256_loadu_ps(p);
}

INLINE float one(const void *data, int64_t i, const bool half)
{
    return half ? srq_bf16_to_f32(((const uint16_t *)data)[i]) : ((const float *)data)[i];
}

/* `to` [SQUARE, SQUARE] of row stride to_ld gets what `from` has across. */
INLINE void turn(const void *from, int64_t ld, float *to, int64_t to_ld, const bool half)
{
    __m256 r[SQUARE], t[SQUARE];

#pragma GCC unroll 8
    for (int i = 0; i < SQUARE; i++)
        r[i] = eight(element(from, i * ld, half), half);
#pragma GCC unroll 4
    for (int i = 0; i < SQUARE; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < SQUARE; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    /* r[c]: columns c and c + 4 of rows 0 … 3, r[4 + c] of rows 4 … 7. */
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        _mm256_storeu_ps(to + c * to_ld, _mm256_permute2f128_ps(r[c], r[4 + c], 0x20));
        _mm256_storeu_ps(to + (4 + c) * to_ld, _mm256_permute2f128_ps(r[c], r[4 + c], 0x31));
    }
}

/* The part of a square that lies within `rows` by `cols` of what is turned; the rest 0. */
INLINE void turn_some(const void *from, int64_t ld, int64_t rows, int64_t cols, float *to, int64_t to_ld,
                      const bool half)
{
    float whole[SQUARE][SQUARE] = { { 0 } };

    for (int64_t i = 0; i < rows && i < SQUARE; i++)
        for (int64_t j = 0; j < cols && j < SQUARE; j++)
            whole[i][j] = one(from, i * ld + j, half);
    turn(whole[0], SQUARE, to, to_ld, false);
}

/* [rows, cols] of `from` as [padded[1], padded[0]] across, both multiples of SQUARE. */
INLINE void turn_all(const void *from, int64_t ld, int64_t rows, int64_t cols, float *to, int64_t to_ld,
                     const int64_t padded[2], const bool half)
{
    for (int64_t i = 0; i < padded[1]; i += SQUARE) {
        for (int64_t j = 0; j < padded[0]; j += SQUARE) {
            const void *square = element(from, i * ld + j, half);

            /* Rows lie far apart: no processor sees by itself what comes. */
            for (int64_t ahead = i + AHEAD; ahead < i + AHEAD + SQUARE && ahead < rows; ahead++)
                _mm_prefetch((const char *)element(from, ahead * ld + j, half), _MM_HINT_T0);
            if (i + SQUARE <= rows && j + SQUARE <= cols)
                turn(square, ld, to + j * to_ld + i, to_ld, half);
            else
                turn_some(square, ld, rows - i, cols - j, to + j * to_ld + i, to_ld, half);
        }
    }
}

INLINE void copy_row(const void *from, int64_t n, float *to, int64_t padded, const bool half)
{
    int64_t i = 0;

    n = n < padded ? n : padded;
    if (!half && n > 0)
        memcpy(to, from, (size_t)n * sizeof(float));
    for (; half && i + LANES <= n; i += LANES)
        *(vec_any *)(to + i) = get(SRQ_BF16, from, i, LANES);
    for (; half && i < n; i++)
        to[i] = one(from, i, true);
    if (n < padded)
        memset(to + (n > 0 ? n : 0), 0, (size_t)(padded - (n > 0 ? n : 0)) * sizeof(float));
}

INLINE void fill_panel(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps, float *to,
                       const bool half)
{
    const int64_t whole = steps / SQUARE * SQUARE, rest = steps - whole;
    float last[SQUARE * SRQ_PANEL_COLS];
    const void *data;

    if (s->across) {
        for (int64_t p = 0; p < steps; p++, to += SRQ_PANEL_COLS) {
            if (p + AHEAD < k)
                for (int i = 0; i < SRQ_PANEL_COLS; i += half ? 32 : 16)
                    _mm_prefetch((const char *)element(s->data, (p + AHEAD) * s->ld + col + i, half), _MM_HINT_T0);
            copy_row(element(s->data, p * s->ld + col, half), p < k ? n - col : 0, to, SRQ_PANEL_COLS, half);
        }
        return;
    }
    data = element(s->data, col * s->ld, half);
    turn_all(data, s->ld, n - col, k, to, SRQ_PANEL_COLS, (const int64_t[]){ whole, SRQ_PANEL_COLS }, half);
    if (rest > 0) {
        turn_all(element(data, whole, half), s->ld, n - col, k - whole, last, SRQ_PANEL_COLS,
                 (const int64_t[]){ SQUARE, SRQ_PANEL_COLS }, half);
        memcpy(to + whole * SRQ_PANEL_COLS, last, (size_t)(rest * SRQ_PANEL_COLS) * sizeof(float));
    }
}

/* Rows [row, row + rows) of m, `padded` of them made. */
struct some_rows {
    int64_t row, rows, padded, k;
};

INLINE void fill_rows(const struct srq_panel_source *s, const struct some_rows *m, float *to, int64_t ld,
                      const bool half)
{
    const int64_t whole = m->padded / SQUARE * SQUARE;
    const void *data = element(s->data, m->row, half);

    for (int64_t r = 0; !s->across && r < m->padded; r++)
        copy_row(element(s->data, (m->row + r) * s->ld, half), r < m->rows ? m->k : 0, to + r * ld, ld, half);
    if (!s->across)
        return;
    turn_all(data, s->ld, m->k, m->rows, to, ld, (const int64_t[]){ whole, ld }, half);
    for (int64_t r = whole; r < m->padded; r++)
        for (int64_t i = 0; i < ld; i++)
            to[r * ld + i] = r < m->rows && i < m->k ? one(data, i * s->ld + r, half) : 0;
}

static void pack_panel(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps, void *panel)
{
    fill_panel(s, col, n, k, steps, panel, false);
}

static void pack_panel_wide(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps,
                            void *panel)
{
    fill_panel(s, col, n, k, steps, panel, true);
}

static void pack_rows(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                      void *copy, int64_t ld)
{
    fill_rows(s, &(struct some_rows){ row, rows, padded, k }, copy, ld, false);
}

static void pack_rows_wide(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                           void *copy, int64_t ld)
{
    fill_rows(s, &(struct some_rows){ row, rows, padded, k }, copy, ld, true);
}

/* ---- sums to C ---- */

INLINE void store_as(const struct srq_panel_out *o, const enum srq_dtype dtype, const bool add)
{
    const int64_t whole = o->cols / LANES * LANES, rest = o->cols - whole, rows = o->rows;
    const float alpha = o->alpha, *sums = o->sums;
    char *c = o->c;

    for (int64_t r = 0; r < rows; r++, sums += o->ld, c += o->ldc * (dtype == SRQ_F32 ? 4 : 2)) {
        for (int64_t j = 0; j < whole; j += LANES)
            put_add(dtype, c, j, LANES, alpha * *(const vec_any *)(sums + j), add);
        if (rest > 0)
            put_add(dtype, c, whole, rest, alpha * *(const vec_any *)(sums + whole), add);
    }
}

static void store(const struct srq_panel_out *o)
{
    if (o->dtype == SRQ_F32)
        store_as(o, SRQ_F32, o->add);
    else if (o->add)
        store_as(o, SRQ_BF16, true);
    else
        store_as(o, SRQ_BF16, false);
}

static bool usable(void)
{
    __builtin_cpu_init();
#if LANES == 16
    if (!__builtin_cpu_supports("avx512f"))
        return false;
#endif
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#define KERNEL(operands, panels, rows_of_a)                                                                           \
    {                                                                                                                 \
        .name = ISA_NAME, .dtype = operands, .packed = SRQ_F32, .rows = ROWS, .row_step = 1, .k_step = 1,             \
        .tiles = TILES, .stretch = 640, .usable = usable, .tile = tile, .pack_panel = panels, .pack_rows = rows_of_a, \
        .store = store, .of_packed = &SRQ_PANELS,                                                                     \
    }

const struct srq_panel_kernel SRQ_PANELS = KERNEL(SRQ_F32, pack_panel, pack_rows);
const struct srq_panel_kernel SRQ_PANELS_WIDE = KERNEL(SRQ_BF16, pack_panel_wide, pack_rows_wide);
