/* The kernels themselves. Compiled several times, with SRQ_KERNELS naming the table and SRQ_LANES the floats that a
 * vector register holds; the compiler's vector types keep one source for all.
 *
 * A loop goes through whole vectors, then once more over the rest: `FOR_VECTORS` runs its body with `i` and `len`,
 * the elements that count (SRQ_LANES, except in the last round). */
#include "core/math/kernels.h"

#include "core/math/lanes.h"
#include "core/math/vec.h"

#include <math.h>

#define FOR_VECTORS(i, len, n) \
    for (int64_t i = 0, len = (n) < LANES ? (n) : LANES; i < (n); i += LANES, len = (n)-i < LANES ? (n)-i : LANES)

#if LANES == 16
#define ISA_NAME "avx512"
#define TILE_M 12
#elif LANES == 8
#define ISA_NAME "avx2"
#define TILE_M 6
#else
#define ISA_NAME "base"
#define TILE_M 4
#endif
#define TILE_N (2 * LANES)

_Static_assert(TILE_M <= SRQ_TILE_M_MAX && TILE_N <= SRQ_TILE_N_MAX, "a buffer of the caller would be too small");
_Static_assert(SRQ_TILE_M_MULTIPLE % TILE_M == 0, "callers pad rows to SRQ_TILE_M_MULTIPLE");

extern const struct srq_kernels SRQ_KERNELS;

/* ---- vectors ---- */

INLINE vec spread(float x)
{
    return x - (vec){ 0 };
}

INLINE vec choose(ivec mask, vec yes, vec no)
{
    return (vec)(((ivec)yes & mask) | ((ivec)no & ~mask));
}

INLINE vec largest(vec a, vec b)
{
    return choose(a > b, a, b);
}

INLINE float sum_of(vec v)
{
    float s[LANES];

    memcpy(s, &v, sizeof(s));
    for (int step = LANES / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++)
            s[i] += s[i + step];
    return s[0];
}

/* e^x as srq_expf, for x up to 88.3. */
INLINE vec exp_of(vec x)
{
    ivec small = x < -87.3f;
    vec in = choose(x > 88.3f, spread(88.3f), choose(small, spread(-87.3f), x));
    vec k = in * 1.44269504f + 12582912.0f, r, p;
    ivec ki = (ivec)k - 0x4b400000;

    k -= 12582912.0f;
    r = in - k * 0.693145752f;
    r = r - k * 1.42860677e-6f;
    p = r * 1.9841270e-4f + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 5.0000000e-1f;
    p = p * (r * r) + r + 1.0f;
    p *= (vec)((ki + 127) << 23);
    p = (vec)((ivec)p & ~small);
    return choose(x == x, p, x);
}

/* ---- products ---- */

static void tile(int64_t k, const float *a, int64_t a_row, int64_t a_k, const float *b, float *c, int64_t ldc, bool add)
{
    vec sum[TILE_M][2] = { { { 0 } } };

    for (int64_t p = 0; p < k; p++) {
        vec b0 = *(const vec_any *)(b + p * TILE_N), b1 = *(const vec_any *)(b + p * TILE_N + LANES);
        const float *ap = a + p * a_k;

#pragma GCC unroll 16
        for (int i = 0; i < TILE_M; i++) {
            float x = ap[i * a_row];

            sum[i][0] += x * b0;
            sum[i][1] += x * b1;
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < TILE_M; i++) {
        vec_any *c0 = (vec_any *)(c + i * ldc), *c1 = (vec_any *)(c + i * ldc + LANES);

        if (add) {
            sum[i][0] += *c0;
            sum[i][1] += *c1;
        }
        *c0 = sum[i][0];
        *c1 = sum[i][1];
    }
}

INLINE float element(enum srq_dtype dtype, const void *p, int64_t i)
{
    return dtype == SRQ_F32 ? ((const float *)p)[i] : srq_bf16_to_f32(((const uint16_t *)p)[i]);
}

INLINE void pack_as(enum srq_dtype dtype, const void *src, int64_t ld, bool across, int64_t k, int64_t n, float *dst)
{
    size_t size = dtype == SRQ_F32 ? 4 : 2;

    for (int64_t j = 0; j < n; j += TILE_N, dst += k * TILE_N) {
        int64_t cols = n - j < TILE_N ? n - j : TILE_N;

        if (cols < TILE_N)
            memset(dst, 0, (size_t)(k * TILE_N) * sizeof(float));
        if (across) {
            for (int64_t q = 0; q < cols; q++) {
                const char *row = (const char *)src + (size_t)((j + q) * ld) * size;

                for (int64_t p = 0; p < k; p++)
                    dst[p * TILE_N + q] = element(dtype, row, p);
            }
        } else {
            for (int64_t p = 0; p < k; p++) {
                const char *row = (const char *)src + (size_t)(p * ld + j) * size;

                FOR_VECTORS(q, len, cols)
                put(SRQ_F32, dst, p * TILE_N + q, len, get(dtype, row, q, len));
            }
        }
    }
}

/* ---- rows ---- */

INLINE float rms_forward_as(enum srq_dtype dtype, const void *x, const float *w, float eps, void *y, int64_t n)
{
    vec squares = { 0 };
    float r;

    FOR_VECTORS(i, len, n)
    {
        vec v = get(dtype, x, i, len);

        squares += v * v;
    }
    r = 1.0f / sqrtf(sum_of(squares) / (float)n + eps);
    FOR_VECTORS(i, len, n)
    put(dtype, y, i, len, get(dtype, x, i, len) * r * get(SRQ_F32, w, i, len));
    return r;
}

INLINE void rms_backward_as(enum srq_dtype dtype, const void *x, const float *w, float r, const void *dy, void *dx,
                            int64_t n, bool add)
{
    vec dots = { 0 };
    float along;

    FOR_VECTORS(i, len, n)
    dots += get(SRQ_F32, w, i, len) * get(dtype, dy, i, len) * get(dtype, x, i, len);
    along = r * r * sum_of(dots) / (float)n;
    FOR_VECTORS(i, len, n)
    {
        vec g = get(SRQ_F32, w, i, len) * get(dtype, dy, i, len) - get(dtype, x, i, len) * along;

        put_add(dtype, dx, i, len, g * r, add);
    }
}

INLINE void rope_as(enum srq_dtype dtype, const void *x, const struct srq_turn *t, void *y, bool add)
{
    const float *cos = t->cos, *sin = t->sin;
    int64_t rot = t->rot, half = rot / 2, rest = t->head_dim - rot;
    float sign = t->back ? -1.0f : 1.0f;

    FOR_VECTORS(i, len, half)
    {
        vec a = get(dtype, x, i, len), b = get(dtype, x, half + i, len);
        vec c = get(SRQ_F32, cos, i, len), s = get(SRQ_F32, sin, i, len) * sign;

        put_add(dtype, y, i, len, a * c - b * s, add);
        put_add(dtype, y, half + i, len, b * c + a * s, add);
    }
    FOR_VECTORS(i, len, rest)
    put_add(dtype, y, rot + i, len, get(dtype, x, rot + i, len), add);
}

/* Both gates are g sigmoid(z): SiLU with z = g, the tanh form of GELU with z = g (b + c g²), since (1 + tanh(z/2))/2 is
 * sigmoid(z). b = sqrt(8/pi), c = 0.044715 b. */
#define GELU_B 1.59576912f
#define GELU_C 0.0713548163f

INLINE vec gate_of(enum srq_gate act, vec g)
{
    return act == SRQ_GATE_SILU ? g : g * (GELU_B + GELU_C * g * g);
}

INLINE void gated_as(enum srq_dtype dtype, enum srq_gate act, const void *gate, const void *up, void *y, int64_t n)
{
    FOR_VECTORS(i, len, n)
    {
        vec g = get(dtype, gate, i, len);

        put(dtype, y, i, len, g / (1.0f + exp_of(-gate_of(act, g))) * get(dtype, up, i, len));
    }
}

/* The derivative is s + g s (1 - s) z' with s = sigmoid(z). */
INLINE void gated_backward_as(enum srq_dtype dtype, enum srq_gate act, const void *gate, const void *up, const void *dy,
                              struct srq_grad_to dgate, struct srq_grad_to dup, int64_t n)
{
    FOR_VECTORS(i, len, n)
    {
        vec g = get(dtype, gate, i, len), u = get(dtype, up, i, len), d = get(dtype, dy, i, len);
        vec s = 1.0f / (1.0f + exp_of(-gate_of(act, g)));
        vec rise = act == SRQ_GATE_SILU ? g * s * (1.0f - s) : g * s * (1.0f - s) * (GELU_B + 3 * GELU_C * g * g);

        if (dgate.to != NULL)
            put_add(dtype, dgate.to, i, len, d * u * (s + rise), dgate.add);
        if (dup.to != NULL)
            put_add(dtype, dup.to, i, len, d * g * s, dup.add);
    }
}

INLINE void silu_as(enum srq_dtype dtype, const void *x, void *y, int64_t n)
{
    FOR_VECTORS(i, len, n)
    {
        vec v = get(dtype, x, i, len);

        put(dtype, y, i, len, v / (1.0f + exp_of(-v)));
    }
}

INLINE void silu_backward_as(enum srq_dtype dtype, const void *x, const void *dy, void *dx, int64_t n, bool add)
{
    FOR_VECTORS(i, len, n)
    {
        vec v = get(dtype, x, i, len), s = 1.0f / (1.0f + exp_of(-v));

        put_add(dtype, dx, i, len, get(dtype, dy, i, len) * (s + v * s * (1.0f - s)), add);
    }
}

/* ---- columns ---- */

INLINE void affine_as(enum srq_dtype dtype, const void *x, const void *z, const struct srq_affine *by, void *y,
                      int64_t n, bool add)
{
    const float *a = by->a, *b = by->b, *c = by->c;

    FOR_VECTORS(i, len, n)
    {
        vec v = get(dtype, x, i, len);

        if (a != NULL)
            v *= get(SRQ_F32, a, i, len);
        if (z != NULL)
            v += get(dtype, z, i, len) * get(SRQ_F32, b, i, len);
        if (c != NULL)
            v += get(SRQ_F32, c, i, len);
        put_add(dtype, y, i, len, v, add);
    }
}

INLINE void column_sums_as(enum srq_dtype dtype, const void *x, int64_t ld, int64_t rows, int64_t n, float *sum)
{
    FOR_VECTORS(i, len, n)
    {
        vec s = { 0 };

        for (int64_t r = 0; r < rows; r++)
            s += get(dtype, x, r * ld + i, len);
        put(SRQ_F32, sum, i, len, s);
    }
}

INLINE void column_dots_as(enum srq_dtype dtype, const void *x, const void *z, const float *center, int64_t ld,
                           int64_t rows, int64_t n, float *sum)
{
    FOR_VECTORS(i, len, n)
    {
        vec s = { 0 }, c = center != NULL ? get(SRQ_F32, center, i, len) : s;

        for (int64_t r = 0; r < rows; r++)
            s += get(dtype, x, r * ld + i, len) * (get(dtype, z, r * ld + i, len) - c);
        put(SRQ_F32, sum, i, len, s);
    }
}

INLINE void column_squares_as(enum srq_dtype dtype, const void *x, const float *center, int64_t ld, int64_t rows,
                              int64_t n, float *sum)
{
    FOR_VECTORS(i, len, n)
    {
        vec s = { 0 }, c = get(SRQ_F32, center, i, len);

        for (int64_t r = 0; r < rows; r++) {
            vec d = get(dtype, x, r * ld + i, len) - c;

            s += d * d;
        }
        put(SRQ_F32, sum, i, len, s);
    }
}

/* ---- codes ---- */

/* The mask: bit b of word j of a block is for element b*MASK_WORDS + j, so that whole vectors make it. */
#define MASK_WORDS (SRQ_MASK_BLOCK / 32)

_Static_assert(MASK_WORDS % LANES == 0, "a row of a mask's block is whole vectors");

typedef uvec uvec_any __attribute__((aligned(4), may_alias));

INLINE vec code_of(vec x, const struct srq_code_range *to)
{
    const float most = 4194303.0f; /* what the sum below can round, and beyond any code's limit */
    vec v = x / to->scale;

    v = choose(v < -most, spread(-most), choose(v > most, spread(most), v));
    v += 12582912.0f; /* 1.5 * 2^23: the sum is rounded to a whole number, ties to even */
    return v - 12582912.0f + to->zero;
}

INLINE void round_as(enum srq_dtype dtype, const void *x, const struct srq_code_range *to, void *y, uint32_t *inside,
                     int64_t n)
{
    uvec bits[MASK_WORDS / LANES] = { { 0 } };

    FOR_VECTORS(i, len, n)
    {
        int64_t at = i % SRQ_MASK_BLOCK;
        vec q = code_of(get(dtype, x, i, len), to), kept;
        ivec under = q<to->low, over = q> to->high;

        kept = choose(under, spread(to->low), choose(over, spread(to->high), q));
        put(dtype, y, i, len, (kept - to->zero) * to->scale);
        bits[at % MASK_WORDS / LANES] |= (uvec)(~(under | over) & (q == q)) & 1u << at / MASK_WORDS;
        if (inside != NULL && (at == SRQ_MASK_BLOCK - LANES || i + LANES >= n)) {
            memcpy(inside + i / SRQ_MASK_BLOCK * MASK_WORDS, bits, sizeof(bits));
            memset(bits, 0, sizeof(bits));
        }
    }
}

INLINE void code_as(enum srq_dtype dtype, const void *x, const struct srq_code_range *to, uint8_t *y, int64_t n)
{
    FOR_VECTORS(i, len, n)
    {
        vec q = code_of(get(dtype, x, i, len), to);
        bvec code;

        q = choose(q < to->low, spread(to->low), choose(q > to->high, spread(to->high), q));
        q = choose(q == q, q, (vec){ 0 });
        code = __builtin_convertvector(__builtin_convertvector(q, ivec), bvec);
        memcpy(y + i, &code, (size_t)len);
    }
}

INLINE void scale_sums_as(enum srq_dtype dtype, const struct srq_sum_block *b, void *y, int64_t ldc)
{
    for (int64_t r = 0; r < b->rows; r++)
        FOR_VECTORS(i, len, b->n)
        {
            ivec sum = *(const ivec_any *)(b->sums + r * b->ld + i);
            vec v = __builtin_convertvector(sum, vec) * *(const vec_any *)(b->factor + i);

            put(dtype, (char *)y + r * ldc * (dtype == SRQ_F32 ? 4 : 2), i, len, v + *(const vec_any *)(b->bias + i));
        }
}

INLINE void keep_inside_as(enum srq_dtype dtype, const uint32_t *inside, const void *dy, void *dx, int64_t n, bool add)
{
    FOR_VECTORS(i, len, n)
    {
        int64_t at = i % SRQ_MASK_BLOCK;
        uvec bits = *(const uvec_any *)(inside + i / SRQ_MASK_BLOCK * MASK_WORDS + at % MASK_WORDS);
        ivec yes = (ivec)(bits & 1u << at / MASK_WORDS) != 0;

        put_add(dtype, dx, i, len, choose(yes, get(dtype, dy, i, len), (vec){ 0 }), add);
    }
}

INLINE float square_error_as(enum srq_dtype dtype, const void *x, enum srq_dtype target_dtype, const void *target,
                             float factor, void *grad, int64_t n)
{
    vec squares = { 0 };

    FOR_VECTORS(i, len, n)
    {
        vec d = get(dtype, x, i, len) - get(target_dtype, target, i, len);

        squares += d * d;
        if (grad != NULL)
            put(dtype, grad, i, len, d * factor);
    }
    return sum_of(squares);
}

INLINE float largest_error_as(enum srq_dtype dtype, const void *x, enum srq_dtype target_dtype, const void *target,
                              int64_t n)
{
    vec most = { 0 };
    float best = 0;

    FOR_VECTORS(i, len, n)
    {
        vec d = get(dtype, x, i, len) - get(target_dtype, target, i, len);

        most = largest((vec)((ivec)d & 0x7fffffff), most);
    }
    for (int j = 0; j < LANES; j++)
        best = most[j] > best ? most[j] : best;
    return best;
}

INLINE float dot_as(enum srq_dtype dtype, const void *a, const void *b, int64_t n)
{
    vec sum = { 0 };

    FOR_VECTORS(i, len, n)
    sum += get(dtype, a, i, len) * get(dtype, b, i, len);
    return sum_of(sum);
}

/* ---- logits ---- */

static float row_max(const float *x, float scale, int64_t n)
{
    vec most = spread(-INFINITY);
    float best = -INFINITY;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        most = largest(scale * *(const vec_any *)(x + i), most);
    for (int j = 0; j < LANES; j++)
        best = most[j] > best ? most[j] : best;
    for (; i < n; i++)
        best = scale * x[i] > best ? scale * x[i] : best;
    return best;
}

static float row_exp(float *x, float scale, float shift, int64_t n)
{
    vec sum = { 0 };

    FOR_VECTORS(i, len, n)
    {
        vec e = exp_of(get(SRQ_F32, x, i, len) * scale - shift);

        put(SRQ_F32, x, i, len, e);
        if (len < LANES)
            e = get(SRQ_F32, x, i, len);
        sum += e;
    }
    return sum_of(sum);
}

static void row_slope(const float *p, float *dp, float mean, float scale, int64_t n)
{
    FOR_VECTORS(i, len, n)
    put(SRQ_F32, dp, i, len, get(SRQ_F32, p, i, len) * (get(SRQ_F32, dp, i, len) - mean) * scale);
}

static float row_weights(const float *x, float scale, float shift, uint16_t *p, int64_t n)
{
    vec sum = { 0 };

    FOR_VECTORS(i, len, n)
    {
        vec e = exp_of(get(SRQ_F32, x, i, len) * scale - shift);

        put(SRQ_BF16, p, i, len, e);
        if (len < LANES)
            for (int j = (int)len; j < LANES; j++)
                e[j] = 0;
        sum += e;
    }
    return sum_of(sum);
}

static void row_slopes(const float *x, const float *dp, const struct srq_row_slope *by, uint16_t *p, uint16_t *ds,
                       int64_t n)
{
    FOR_VECTORS(i, len, n)
    {
        vec e = exp_of(get(SRQ_F32, x, i, len) * by->scale - by->shift);

        put(SRQ_BF16, p, i, len, e);
        put(SRQ_BF16, ds, i, len, e * (get(SRQ_F32, dp, i, len) - by->mean) * by->scale);
    }
}

/* ---- one function for each dtype, and the table ---- */

#define BOTH(call_f32, call_bf16) \
    do {                          \
        if (dtype == SRQ_F32)     \
            call_f32;             \
        else                      \
            call_bf16;            \
    } while (0)

static void pack(enum srq_dtype dtype, const void *src, int64_t ld, bool across, int64_t k, int64_t n, float *dst)
{
    BOTH(pack_as(SRQ_F32, src, ld, across, k, n, dst), pack_as(SRQ_BF16, src, ld, across, k, n, dst));
}

static float rms_forward(enum srq_dtype dtype, const void *x, const float *w, float eps, void *y, int64_t n)
{
    BOTH(return rms_forward_as(SRQ_F32, x, w, eps, y, n), return rms_forward_as(SRQ_BF16, x, w, eps, y, n));
}

static void rms_backward(enum srq_dtype dtype, const void *x, const float *w, float r, const void *dy, void *dx,
                         int64_t n, bool add)
{
    BOTH(rms_backward_as(SRQ_F32, x, w, r, dy, dx, n, add), rms_backward_as(SRQ_BF16, x, w, r, dy, dx, n, add));
}

static void rope(enum srq_dtype dtype, const void *x, const struct srq_turn *turn, void *y, bool add)
{
    BOTH(rope_as(SRQ_F32, x, turn, y, add), rope_as(SRQ_BF16, x, turn, y, add));
}

static void gated(enum srq_dtype dtype, enum srq_gate act, const void *gate, const void *up, void *y, int64_t n)
{
    if (act == SRQ_GATE_SILU)
        BOTH(gated_as(SRQ_F32, SRQ_GATE_SILU, gate, up, y, n), gated_as(SRQ_BF16, SRQ_GATE_SILU, gate, up, y, n));
    else
        BOTH(gated_as(SRQ_F32, SRQ_GATE_GELU_TANH, gate, up, y, n),
             gated_as(SRQ_BF16, SRQ_GATE_GELU_TANH, gate, up, y, n));
}

static void gated_backward(enum srq_dtype dtype, enum srq_gate act, const void *gate, const void *up, const void *dy,
                           struct srq_grad_to dgate, struct srq_grad_to dup, int64_t n)
{
    if (act == SRQ_GATE_SILU)
        BOTH(gated_backward_as(SRQ_F32, SRQ_GATE_SILU, gate, up, dy, dgate, dup, n),
             gated_backward_as(SRQ_BF16, SRQ_GATE_SILU, gate, up, dy, dgate, dup, n));
    else
        BOTH(gated_backward_as(SRQ_F32, SRQ_GATE_GELU_TANH, gate, up, dy, dgate, dup, n),
             gated_backward_as(SRQ_BF16, SRQ_GATE_GELU_TANH, gate, up, dy, dgate, dup, n));
}

static void silu(enum srq_dtype dtype, const void *x, void *y, int64_t n)
{
    BOTH(silu_as(SRQ_F32, x, y, n), silu_as(SRQ_BF16, x, y, n));
}

static void silu_backward(enum srq_dtype dtype, const void *x, const void *dy, void *dx, int64_t n, bool add)
{
    BOTH(silu_backward_as(SRQ_F32, x, dy, dx, n, add), silu_backward_as(SRQ_BF16, x, dy, dx, n, add));
}

static void affine(enum srq_dtype dtype, const void *x, const void *z, const struct srq_affine *by, void *y, int64_t n,
                   bool add)
{
    BOTH(affine_as(SRQ_F32, x, z, by, y, n, add), affine_as(SRQ_BF16, x, z, by, y, n, add));
}

static void scale_row(enum srq_dtype dtype, const void *x, float factor, void *y, int64_t n, bool add)
{
    FOR_VECTORS(i, len, n)
    BOTH(put_add(SRQ_F32, y, i, len, get(SRQ_F32, x, i, len) * factor, add),
         put_add(SRQ_BF16, y, i, len, get(SRQ_BF16, x, i, len) * factor, add));
}

static void column_sums(enum srq_dtype dtype, const void *x, int64_t ld, int64_t rows, int64_t n, float *sum)
{
    BOTH(column_sums_as(SRQ_F32, x, ld, rows, n, sum), column_sums_as(SRQ_BF16, x, ld, rows, n, sum));
}

static void column_dots(enum srq_dtype dtype, const void *x, const void *z, const float *center, int64_t ld,
                        int64_t rows, int64_t n, float *sum)
{
    BOTH(column_dots_as(SRQ_F32, x, z, center, ld, rows, n, sum),
         column_dots_as(SRQ_BF16, x, z, center, ld, rows, n, sum));
}

static void column_squares(enum srq_dtype dtype, const void *x, const float *center, int64_t ld, int64_t rows,
                           int64_t n, float *sum)
{
    BOTH(column_squares_as(SRQ_F32, x, center, ld, rows, n, sum),
         column_squares_as(SRQ_BF16, x, center, ld, rows, n, sum));
}

static void round_codes(enum srq_dtype dtype, const void *x, const struct srq_code_range *to, void *y, uint32_t *inside,
                        int64_t n)
{
    BOTH(round_as(SRQ_F32, x, to, y, inside, n), round_as(SRQ_BF16, x, to, y, inside, n));
}

static void code(enum srq_dtype dtype, const void *x, const struct srq_code_range *to, uint8_t *y, int64_t n)
{
    BOTH(code_as(SRQ_F32, x, to, y, n), code_as(SRQ_BF16, x, to, y, n));
}

static void scale_sums(enum srq_dtype dtype, const struct srq_sum_block *b, void *y, int64_t ldc)
{
    BOTH(scale_sums_as(SRQ_F32, b, y, ldc), scale_sums_as(SRQ_BF16, b, y, ldc));
}

static void keep_inside(enum srq_dtype dtype, const uint32_t *inside, const void *dy, void *dx, int64_t n, bool add)
{
    BOTH(keep_inside_as(SRQ_F32, inside, dy, dx, n, add), keep_inside_as(SRQ_BF16, inside, dy, dx, n, add));
}

static void add_rows(enum srq_dtype dtype, const void *a, const void *b, void *y, int64_t n)
{
    FOR_VECTORS(i, len, n)
    BOTH(put(SRQ_F32, y, i, len, get(SRQ_F32, a, i, len) + get(SRQ_F32, b, i, len)),
         put(SRQ_BF16, y, i, len, get(SRQ_BF16, a, i, len) + get(SRQ_BF16, b, i, len)));
}

static float square_error(enum srq_dtype dtype, const void *x, enum srq_dtype target_dtype, const void *target,
                          float factor, void *grad, int64_t n)
{
    if (target_dtype == SRQ_F32)
        BOTH(return square_error_as(SRQ_F32, x, SRQ_F32, target, factor, grad, n),
                    return square_error_as(SRQ_BF16, x, SRQ_F32, target, factor, grad, n));
    BOTH(return square_error_as(SRQ_F32, x, SRQ_BF16, target, factor, grad, n),
                return square_error_as(SRQ_BF16, x, SRQ_BF16, target, factor, grad, n));
}

static float largest_error(enum srq_dtype dtype, const void *x, enum srq_dtype target_dtype, const void *target,
                           int64_t n)
{
    if (target_dtype == SRQ_F32)
        BOTH(return largest_error_as(SRQ_F32, x, SRQ_F32, target, n),
                    return largest_error_as(SRQ_BF16, x, SRQ_F32, target, n));
    BOTH(return largest_error_as(SRQ_F32, x, SRQ_BF16, target, n),
                return largest_error_as(SRQ_BF16, x, SRQ_BF16, target, n));
}

static float dot(enum srq_dtype dtype, const void *a, const void *b, int64_t n)
{
    BOTH(return dot_as(SRQ_F32, a, b, n), return dot_as(SRQ_BF16, a, b, n));
}

static void store(enum srq_dtype dtype, const float *x, float factor, void *y, int64_t n, bool add)
{
    FOR_VECTORS(i, len, n)
    BOTH(put_add(SRQ_F32, y, i, len, get(SRQ_F32, x, i, len) * factor, add),
         put_add(SRQ_BF16, y, i, len, get(SRQ_F32, x, i, len) * factor, add));
}

static void load(enum srq_dtype dtype, const void *x, float *y, int64_t n)
{
    FOR_VECTORS(i, len, n)
    BOTH(put(SRQ_F32, y, i, len, get(SRQ_F32, x, i, len)), put(SRQ_F32, y, i, len, get(SRQ_BF16, x, i, len)));
}

const struct srq_kernels SRQ_KERNELS = {
    .name = ISA_NAME,
    .tile_m = TILE_M,
    .tile_n = TILE_N,
    .tile = tile,
    .pack = pack,
    .rms_forward = rms_forward,
    .rms_backward = rms_backward,
    .rope = rope,
    .gated = gated,
    .gated_backward = gated_backward,
    .silu = silu,
    .silu_backward = silu_backward,
    .affine = affine,
    .scale = scale_row,
    .column_sums = column_sums,
    .column_dots = column_dots,
    .column_squares = column_squares,
    .round = round_codes,
    .code = code,
    .scale_sums = scale_sums,
    .keep_inside = keep_inside,
    .add = add_rows,
    .square_error = square_error,
    .largest_error = largest_error,
    .row_max = row_max,
    .row_exp = row_exp,
    .row_slope = row_slope,
    .row_weights = row_weights,
    .row_slopes = row_slopes,
    .dot = dot,
    .store = store,
    .load = load,
};
