/* Triangular factor of an inverse, and rounding with feedback. Both are blocked, so that nearly all work is in
 * products. */
#include "core/tune/feedback.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"
#include "core/math/team.h"

#include <math.h>
#include <string.h>

#define NB 64      /* columns of a factor that are eliminated together */
#define STRIPE 512 /* rows of the trailing matrix in one product */

/* ---- the factor -------------------------------------------------------------------------------------------------- */

/* Lower Cholesky of the n-by-n block at a, in double; only its lower half is read and written. */
static bool factor_block(float *a, int64_t ld, int64_t n)
{
    double l[NB][NB];

    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j <= i; j++) {
            double sum = (double)a[i * ld + j];

            for (int64_t k = 0; k < j; k++)
                sum -= l[i][k] * l[j][k];
            if (i == j && !(sum > 0))
                return false;
            l[i][j] = i == j ? sqrt(sum) : sum / l[j][j];
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j <= i; j++)
            a[i * ld + j] = (float)l[i][j];
    return true;
}

struct solve {
    const float *l; /* [n, n], lower */
    float *x;       /* [rows, n] */
    int64_t ld, n;
};

/* Rows of X become those of X L⁻ᵀ. */
static void solve_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct solve *s = ctx;

    for (int64_t r = begin; r < end; r++) {
        float *x = s->x + r * s->ld;

        for (int64_t j = 0; j < s->n; j++) {
            double sum = (double)x[j];

            for (int64_t k = 0; k < j; k++)
                sum -= (double)x[k] * (double)s->l[j * s->ld + k];
            x[j] = (float)(sum / (double)s->l[j * s->ld + j]);
        }
    }
}

/* The lower half of a becomes its Cholesky factor. */
static bool factor(float *a, int64_t n)
{
    for (int64_t k = 0; k < n; k += NB) {
        int64_t nb = n - k < NB ? n - k : NB, rest = k + nb;
        struct solve s = { a + k * n + k, a + rest * n + k, n, nb };

        if (!factor_block(a + k * n + k, n, nb))
            return false;
        srq_parallel(n - rest, 16, solve_rows, &s);
        for (int64_t i = rest; i < n; i += STRIPE) { /* each stripe to the end of its diagonal */
            int64_t rows = n - i < STRIPE ? n - i : STRIPE;
            const struct srq_mat p = { a + i * n + k, SRQ_F32, n, false }, q = { a + rest * n + k, SRQ_F32, n, true };

            srq_gemm(&(struct srq_product){ rows, i + rows - rest, nb, p, q, .c = { a + i * n + rest, SRQ_F32, n },
                                            .alpha = -1, .add = true });
        }
    }
    return true;
}

/* The inverse of a lower triangle of at most NB rows, in double. */
static void invert_block(const float *l, int64_t ld, int64_t n, float *out, int64_t out_ld)
{
    double m[NB][NB] = { { 0 } };

    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = j; i < n; i++) {
            double sum = i == j ? 1 : 0;

            for (int64_t k = j; k < i; k++)
                sum -= (double)l[i * ld + k] * m[k][j];
            m[i][j] = sum / (double)l[i * ld + i];
        }
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            out[i * out_ld + j] = (float)m[i][j];
}

/* m [n, n], zeros, becomes L⁻¹. Row by row of blocks: M_i = -L_ii⁻¹ (L_i M), with the product first. */
static bool invert(const float *l, int64_t n, float *m)
{
    float *product = srq_malloc((size_t)(NB * n) * sizeof(*product));

    if (product == NULL)
        return false;
    for (int64_t k = 0; k < n; k += NB) {
        int64_t nb = n - k < NB ? n - k : NB;
        const struct srq_mat left = { l + k * n, SRQ_F32, n, false }, right = { m, SRQ_F32, n, false };
        const struct srq_mat inverse = { m + k * n + k, SRQ_F32, n, false }, middle = { product, SRQ_F32, k, false };

        invert_block(l + k * n + k, n, nb, m + k * n + k, n);
        if (k == 0)
            continue;
        srq_gemm(&(struct srq_product){ nb, k, k, left, right, .c = { product, SRQ_F32, k } });
        srq_gemm(&(struct srq_product){ nb, k, nb, inverse, middle, .c = { m + k * n, SRQ_F32, n }, .alpha = -1 });
    }
    srq_free(product);
    return true;
}

static void reverse(float *m, int64_t n)
{
    for (int64_t a = 0, b = n * n - 1; a < b; a++, b--) {
        float v = m[a];

        m[a] = m[b];
        m[b] = v;
    }
}

int srq_inverse_factor(const float *h, int64_t n, double damp, float *u)
{
    size_t bytes = (size_t)(n * n) * sizeof(float);
    float *a = srq_malloc(bytes > 0 ? bytes : 1);
    int rc = -SRQ_ENOMEM;

    if (a == NULL)
        return rc;
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < n; j++)
            a[i * n + j] = h[(n - 1 - i) * n + n - 1 - j];
        a[i * n + i] = (float)((double)a[i * n + i] + damp);
    }
    memset(u, 0, bytes);
    if (!factor(a, n))
        rc = -SRQ_ENUMERIC;
    else if (invert(a, n, u))
        rc = 0;
    srq_free(a);
    reverse(u, n); /* both ways round: a lower triangle becomes an upper one */
    for (int64_t i = 0; rc == 0 && i < n; i++)
        if (!isfinite(u[i * n + i]) || u[i * n + i] <= 0)
            rc = -SRQ_ENUMERIC;
    return rc;
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

struct columns {
    float *w;
    const float *u;
    float *error; /* [rows, block] */
    int64_t n, first, count, block;
    srq_round_fn round;
    void *ctx;
};

SRQ_SIMD static void take_away(float *w, const float *u, float e, int64_t n)
{
    for (int64_t t = 0; t < n; t++)
        w[t] -= e * u[t];
}

static void round_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct columns *c = ctx;

    for (int64_t r = begin; r < end; r++) {
        float *w = c->w + r * c->n, *error = c->error + r * c->block;

        for (int64_t k = 0; k < c->count; k++) {
            int64_t col = c->first + k;
            const float *u = c->u + col * c->n + col;
            float value = c->round(c->ctx, r, col, w);

            error[k] = (w[col] - value) / u[0];
            w[col] = value;
            take_away(w + col + 1, u + 1, error[k], c->count - k - 1);
        }
    }
}

int srq_column_feedback(float *w, int64_t rows, int64_t n, const float *u, int64_t block, srq_round_fn round, void *ctx)
{
    struct columns c = { .w = w,
                         .u = u,
                         .n = n,
                         .block = block < 1   ? 1
                                  : block < n ? block
                                              : n,
                         .round = round,
                         .ctx = ctx };

    c.error = srq_malloc((size_t)(rows * c.block + 1) * sizeof(*c.error));
    if (c.error == NULL)
        return -SRQ_ENOMEM;
    for (c.first = 0; c.first < n; c.first += c.block) {
        int64_t rest = c.first + c.block;

        c.count = n - c.first < c.block ? n - c.first : c.block;
        srq_parallel(rows, 1, round_rows, &c);
        if (rest < n) {
            const struct srq_mat e = { c.error, SRQ_F32, c.block, false },
                                 f = { u + c.first * n + rest, SRQ_F32, n, false };

            srq_gemm(&(struct srq_product){ rows, n - rest, c.count, e, f, .c = { w + rest, SRQ_F32, n }, .alpha = -1,
                                            .add = true });
        }
    }
    srq_free(c.error);
    return 0;
}

uint64_t srq_feedback_bytes(int64_t rows, int64_t n)
{
    return (3 * (uint64_t)n + (uint64_t)rows + 1) * (uint64_t)n * sizeof(float);
}
