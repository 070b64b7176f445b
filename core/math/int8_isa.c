/* Sums of codes by the processor's vectors. Compiled once for each instruction set; SRQ_INT8_ENGINE names the engine.
 *
 * A weight lies in strips of as many columns as a vector has lanes: [pieces][quads][lanes][4], a quad being four codes
 * of a column that follow each other, those beyond the end of a piece 0. A lane adds up the four products of a quad;
 * the four codes of a row are the same for all lanes. */
#include "core/math/int8_backend.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

#ifdef __AVX512VNNI__
#define ENGINE_NAME "vnni"
#define LANES 16
#define ROWS 12 /* of the largest tile */
typedef __m512i ivec;

INLINE ivec load(const void *p)
{
    return _mm512_loadu_si512(p);
}

INLINE void store(void *p, ivec v)
{
    _mm512_storeu_si512(p, v);
}

INLINE ivec spread(uint32_t quad)
{
    return _mm512_set1_epi32((int)quad);
}

/* The instruction multiplies and adds in 32 bits: nothing saturates. */
INLINE ivec dot(ivec sum, ivec a, ivec b)
{
    return _mm512_dpbusd_epi32(sum, a, b);
}

static bool has_isa(void)
{
    return __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#else
#define ENGINE_NAME "avx2"
#define LANES 8
#define ROWS 4
typedef __m256i ivec;

INLINE ivec load(const void *p)
{
    return _mm256_loadu_si256(p);
}

INLINE void store(void *p, ivec v)
{
    _mm256_storeu_si256(p, v);
}

INLINE ivec spread(uint32_t quad)
{
    return _mm256_set1_epi32((int)quad);
}

/* u8 times s8 as the instruction for it adds up pairs in 16 bits, which saturate. So codes are widened: those at even
 * places and those at odd ones apart, two products of each to a sum of 32 bits. */
INLINE ivec dot(ivec sum, ivec a, ivec b)
{
    ivec even_a = _mm256_and_si256(a, _mm256_set1_epi16(0xff)), odd_a = _mm256_srli_epi16(a, 8);
    ivec even_b = _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8), odd_b = _mm256_srai_epi16(b, 8);

    return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(even_a, even_b), _mm256_madd_epi16(odd_a, odd_b)));
}

static bool has_isa(void)
{
    return __builtin_cpu_supports("avx2");
}
#endif

_Static_assert(SRQ_INT8_BLOCK_COLS % (2 * LANES) == 0 && SRQ_INT8_BLOCK_ROWS % ROWS == 0, "tiles fill a block");

extern const struct srq_int8_engine SRQ_INT8_ENGINE;

/* ---- weights ---- */

static int64_t quads_of(const struct srq_int8_weight *w)
{
    return (w->piece + 3) / 4;
}

static int64_t strip_bytes(const struct srq_int8_weight *w)
{
    return w->pieces * quads_of(w) * LANES * 4;
}

static size_t bytes(const struct srq_int8_weight *w)
{
    return (size_t)((w->n + LANES - 1) / LANES * strip_bytes(w));
}

static void pack(const struct srq_int8_weight *w, const int8_t *from, int8_t *to)
{
    memset(to, 0, bytes(w));
    for (int64_t j = 0; j < w->n; j++) {
        int8_t *column = to + j / LANES * strip_bytes(w) + j % LANES * 4;

        for (int64_t s = 0; s < w->pieces; s++)
            for (int64_t i = 0; i < w->piece; i++)
                column[(s * quads_of(w) + i / 4) * LANES * 4 + i % 4] = *from++;
    }
}

/* ---- a tile of sums: up to ROWS rows, one strip or two ---- */

struct tile {
    const uint8_t *const *a; /* the rows */
    int64_t pieces, quads;   /* of a row, and whole ones of a piece */
    int64_t rest, step;      /* codes beyond those, and bytes from piece to piece */
    const int8_t *b;
    int64_t strip; /* bytes from one strip to the next */
    const int32_t *begin;
    int32_t *sums;
};

INLINE uint32_t quad_at(const uint8_t *a)
{
    uint32_t q;

    memcpy(&q, a, sizeof(q));
    return q;
}

/* The last one of a piece: nothing beyond it is read. */
INLINE uint32_t part_at(const uint8_t *a, int64_t rest)
{
    return a[0] | (rest > 1 ? (uint32_t)a[1] << 8 : 0) | (rest > 2 ? (uint32_t)a[2] << 16 : 0);
}

INLINE void add_tile(const struct tile *t, int rows, int strips)
{
    ivec sum[ROWS][2], b0, b1;
    const int8_t *b = t->b;

#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        sum[i][0] = load(t->begin);
        if (strips > 1)
            sum[i][1] = load(t->begin + LANES);
    }
    for (int64_t s = 0; s < t->pieces; s++) {
        for (int64_t q = 0; q < t->quads; q++, b += LANES * 4) {
            b0 = load(b);
            b1 = strips > 1 ? load(b + t->strip) : b0;
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
                ivec x = spread(quad_at(t->a[i] + s * t->step + q * 4));

                sum[i][0] = dot(sum[i][0], x, b0);
                if (strips > 1)
                    sum[i][1] = dot(sum[i][1], x, b1);
            }
        }
        if (t->rest == 0)
            continue;
        b0 = load(b);
        b1 = strips > 1 ? load(b + t->strip) : b0;
        b += LANES * 4;
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            ivec x = spread(part_at(t->a[i] + s * t->step + t->quads * 4, t->rest));

            sum[i][0] = dot(sum[i][0], x, b0);
            if (strips > 1)
                sum[i][1] = dot(sum[i][1], x, b1);
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        store(t->sums + i * SRQ_INT8_BLOCK_COLS, sum[i][0]);
        if (strips > 1)
            store(t->sums + i * SRQ_INT8_BLOCK_COLS + LANES, sum[i][1]);
    }
}

/* All rows of a block by tiles as large as there are rows for. */
INLINE void add_rows(struct tile t, int64_t rows, int strips)
{
    int64_t i = 0;

    for (; i + ROWS <= rows; i += ROWS, t.a += ROWS, t.sums += ROWS * SRQ_INT8_BLOCK_COLS)
        add_tile(&t, ROWS, strips);
    for (; i + 4 <= rows; i += 4, t.a += 4, t.sums += 4 * SRQ_INT8_BLOCK_COLS)
        add_tile(&t, 4, strips);
    for (; i < rows; i++, t.a++, t.sums += SRQ_INT8_BLOCK_COLS)
        add_tile(&t, 1, strips);
}

/* The same as srq_int8_row for each of them, with divisions for the first row of a line only. */
static void find_rows(const struct srq_int8_rows *from, int64_t first, int64_t rows, const uint8_t **a)
{
    int64_t in_line = from->in_line > 0 ? from->in_line : INT64_MAX;

    for (int64_t i = 0; i < rows;) {
        const uint8_t *at = srq_int8_row(from, first + i);
        int64_t left = in_line - (first + i) % in_line;

        for (; i < rows && left > 0; i++, left--, at += from->step)
            a[i] = at;
    }
}

static void block(const struct srq_int8_product *p, const struct srq_int8_block *c)
{
    const struct srq_int8_weight *w = p->b;
    const uint8_t *a[SRQ_INT8_BLOCK_ROWS];
    struct tile t = { .a = a, .pieces = w->pieces, .quads = w->piece / 4, .rest = w->piece % 4, .step = p->a.piece };

    t.strip = strip_bytes(w);
    find_rows(&p->a, c->first, c->rows, a);
    for (int64_t j = 0; j < c->cols; j += 2 * LANES) {
        t.b = w->codes + (c->col + j) / LANES * t.strip;
        t.sums = c->sums + j;
        t.begin = c->begin + j;
        if (c->cols - j > LANES)
            add_rows(t, c->rows, 2);
        else
            add_rows(t, c->rows, 1);
    }
}

/* ---- the engine ---- */

static int start(struct srq_error *err)
{
    __builtin_cpu_init();
    return has_isa() ? 0 : srq_fail(err, -SRQ_EUNSUPPORTED, "this processor has not the instructions for it");
}

static void stop(void)
{
}

const struct srq_int8_engine SRQ_INT8_ENGINE = {
    .name = ENGINE_NAME,
    .start = start,
    .stop = stop,
    .bytes = bytes,
    .pack = pack,
    .block = block,
};
