/* F32 tiles by fused multiplications: rows by two vectors of columns at a time, as many sums as there are registers.
 * Compiled once for each instruction set: SRQ_LANES is 16 or 8, SRQ_PANELS what the kernel is called. */
#include "core/math/panels.h"

#include "core/tensor/dtype.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES SRQ_LANES
#if LANES == 16
#define ROWS 14
#define TILES 6
#define ISA_NAME "avx512"
#else
#define ROWS 6
#define TILES 12
#define ISA_NAME "avx2"
#endif
#define UNROLL 4
#define SQUARE 8 /* rows and columns that are turned at a time */
#define AHEAD 16 /* rows */

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef float vec_any __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* ---- tiles ---- */

/* Row r is reached from every third one: as many addresses as there are registers for. */
INLINE float at_row(const float *const *thirds, int64_t lda, int r, int step)
{
    return (thirds[r / 3] + r % 3 * lda)[step];
}

INLINE void add_step(vec sum[ROWS][2], const float *const *thirds, int64_t lda, const float *b, const int rows,
                     int step)
{
    const vec b0 = *(const vec_any *)(b + step * SRQ_PANEL_COLS);
    const vec b1 = *(const vec_any *)(b + step * SRQ_PANEL_COLS + LANES);

#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) {
        const float x = at_row(thirds, lda, r, step);

        sum[r][0] += x * b0;
        sum[r][1] += x * b1;
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

/* ---- packing ---- */

/* `to` [SQUARE, SQUARE] of row stride to_ld gets what `from` has across. */
INLINE void turn(const float *from, int64_t ld, float *to, int64_t to_ld)
{
    __m256 r[SQUARE], t[SQUARE];

#pragma GCC unroll 8
    for (int i = 0; i < SQUARE; i++)
        r[i] = _mm256_loadu_ps(from + i * ld);
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
static void turn_some(const float *from, int64_t ld, int64_t rows, int64_t cols, float *to, int64_t to_ld)
{
    float whole[SQUARE][SQUARE] = { { 0 } };

    for (int64_t i = 0; i < rows && i < SQUARE; i++)
        for (int64_t j = 0; j < cols && j < SQUARE; j++)
            whole[i][j] = from[i * ld + j];
    turn(whole[0], SQUARE, to, to_ld);
}

/* [rows, cols] of `from` as [to_rows, to_cols] across, both multiples of SQUARE. */
static void turn_all(const float *from, int64_t ld, int64_t rows, int64_t cols, float *to, int64_t to_ld,
                     const int64_t padded[2])
{
    for (int64_t i = 0; i < padded[1]; i += SQUARE) {
        for (int64_t j = 0; j < padded[0]; j += SQUARE) {
            /* Rows lie far apart: no processor sees by itself what comes. */
            for (int64_t ahead = i + AHEAD; ahead < i + AHEAD + SQUARE && ahead < rows; ahead++)
                _mm_prefetch((const char *)(from + ahead * ld + j), _MM_HINT_T0);
            if (i + SQUARE <= rows && j + SQUARE <= cols)
                turn(from + i * ld + j, ld, to + j * to_ld + i, to_ld);
            else
                turn_some(from + i * ld + j, ld, rows - i, cols - j, to + j * to_ld + i, to_ld);
        }
    }
}

static void copy_row(const float *from, int64_t n, float *to, int64_t padded)
{
    n = n < padded ? n : padded;
    if (n > 0)
        memcpy(to, from, (size_t)n * sizeof(float));
    if (n < padded)
        memset(to + (n > 0 ? n : 0), 0, (size_t)(padded - (n > 0 ? n : 0)) * sizeof(float));
}

static void pack_panel(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps, void *panel)
{
    const float *data = s->data;
    float *to = panel, last[SQUARE * SRQ_PANEL_COLS];
    const int64_t whole = steps / SQUARE * SQUARE, rest = steps - whole;

    if (s->across) {
        for (int64_t p = 0; p < steps; p++, to += SRQ_PANEL_COLS) {
            if (p + AHEAD < k)
                for (int i = 0; i < SRQ_PANEL_COLS; i += 16)
                    _mm_prefetch((const char *)(data + (p + AHEAD) * s->ld + col + i), _MM_HINT_T0);
            copy_row(data + p * s->ld + col, p < k ? n - col : 0, to, SRQ_PANEL_COLS);
        }
        return;
    }
    data += col * s->ld;
    turn_all(data, s->ld, n - col, k, to, SRQ_PANEL_COLS, (const int64_t[]){ whole, SRQ_PANEL_COLS });
    if (rest > 0) {
        turn_all(data + whole, s->ld, n - col, k - whole, last, SRQ_PANEL_COLS,
                 (const int64_t[]){ SQUARE, SRQ_PANEL_COLS });
        memcpy(to + whole * SRQ_PANEL_COLS, last, (size_t)(rest * SRQ_PANEL_COLS) * sizeof(float));
    }
}

static void pack_rows(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                      void *copy, int64_t ld)
{
    const float *data = s->data;
    float *to = copy;
    const int64_t whole = padded / SQUARE * SQUARE;

    for (int64_t r = 0; !s->across && r < padded; r++)
        copy_row(data + (row + r) * s->ld, r < rows ? k : 0, to + r * ld, ld);
    if (!s->across)
        return;
    data += row;
    turn_all(data, s->ld, k, rows, to, ld, (const int64_t[]){ whole, ld });
    for (int64_t r = whole; r < padded; r++)
        for (int64_t i = 0; i < ld; i++)
            to[r * ld + i] = r < rows && i < k ? data[i * s->ld + r] : 0;
}

/* ---- sums to C ---- */

static void store(const struct srq_panel_out *o)
{
    for (int64_t r = 0; r < o->rows; r++) {
        const float *sums = o->sums + r * o->ld;
        float *f = (float *)o->c + r * o->ldc;
        uint16_t *h = (uint16_t *)o->c + r * o->ldc;

        if (o->dtype == SRQ_F32 && o->add)
            for (int64_t j = 0; j < o->cols; j++)
                f[j] += o->alpha * sums[j];
        else if (o->dtype == SRQ_F32)
            for (int64_t j = 0; j < o->cols; j++)
                f[j] = o->alpha * sums[j];
        else
            for (int64_t j = 0; j < o->cols; j++)
                h[j] = srq_f32_to_bf16((o->add ? srq_bf16_to_f32(h[j]) : 0) + o->alpha * sums[j]);
    }
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

const struct srq_panel_kernel SRQ_PANELS = {
    .name = ISA_NAME,
    .dtype = SRQ_F32,
    .rows = ROWS,
    .row_step = 1,
    .k_step = 1,
    .tiles = TILES,
    .stretch = 640,
    .usable = usable,
    .tile = tile,
    .pack_panel = pack_panel,
    .pack_rows = pack_rows,
    .store = store,
};
