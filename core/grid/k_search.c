/* k-quants: the scales and minima that a search finds (spec signround 9.5, formats 5.5).
 *
 * Of every group: codes for candidate ranges, of each the scale and minimum of least squares, and of those the pair
 * that rounds best. They become multiples; then each group tries those beside its own, which the super-block's largest
 * scale and largest minimum keep, so that d and dmin stay what they are. */
#include "core/grid/k_quants.h"

#include "core/base/simd.h"
#include "core/grid/rows.h"
#include "core/grid/weights_of_error.h"

#include <math.h>

#define TRIES 48 /* candidates of a group at most, in whole vectors */

struct tries {
    float s[TRIES], m[TRIES];
    float error[TRIES];
};

/* One group of a super-block. */
struct group {
    const float *w, *h;
    int n;
};

INLINE float coded(float x, float lo, float hi)
{
    x = x < lo ? lo : x;
    x = x > hi ? hi : x;
    return nearest_whole(x);
}

/* sum of h (Ŵ - W)^2 of every candidate: the loop over these is the one that is vectorized. */
SRQ_SIMD static void add_errors(const struct group *g, float lo, float hi, struct tries *restrict t)
{
    float inv[TRIES];

    for (int k = 0; k < TRIES; k++) {
        inv[k] = 1 / t->s[k];
        t->error[k] = 0;
    }
    for (int i = 0; i < g->n; i++) {
        float w = g->w[i], h = g->h[i];

        for (int k = 0; k < TRIES; k++) {
            float d = t->s[k] * coded((w + t->m[k]) * inv[k], lo, hi) - t->m[k] - w;

            t->error[k] += h * (d * d);
        }
    }
}

/* Least squares for the codes that each candidate gives. */
SRQ_SIMD static void fit(const struct group *g, bool minima, float lo, float hi, struct tries *restrict t)
{
    float l[TRIES] = { 0 }, ll[TRIES] = { 0 }, xl[TRIES] = { 0 }, inv[TRIES], sum = 0, x = 0;

    for (int k = 0; k < TRIES; k++)
        inv[k] = 1 / t->s[k];
    for (int i = 0; i < g->n; i++) {
        float w = g->w[i], h = g->h[i];

        sum += h;
        x += h * w;
        for (int k = 0; k < TRIES; k++) {
            float e = coded((w + t->m[k]) * inv[k], lo, hi), he = h * e;

            l[k] += he;
            ll[k] += he * e;
            xl[k] += he * w;
        }
    }
    for (int k = 0; k < TRIES; k++) {
        float det = sum * ll[k] - l[k] * l[k];
        float s = det > 0 ? (sum * xl[k] - x * l[k]) / det : 0, m = det > 0 ? (l[k] * xl[k] - ll[k] * x) / det : 0;

        if (!minima || !(m > 0)) { /* a minimum is never above zero */
            s = ll[k] > 0 ? xl[k] / ll[k] : 0;
            m = 0;
        }
        if (minima ? s > 0 : s != 0) {
            t->s[k] = s;
            t->m[k] = m;
        }
    }
}

static int best_of(const struct tries *t)
{
    int best = 0;

    for (int k = 1; k < TRIES; k++)
        best = t->error[k] < t->error[best] ? k : best;
    return best;
}

/* The ranges that are tried first, the nominal one at place 0 again and again where there are fewer. */
static void list_ranges(const struct k_type *type, const struct group *g, struct tries *t)
{
    float least = 0, most = 0;

    for (int i = 0; i < g->n; i++) {
        least = fminf(least, g->w[i]);
        most = fmaxf(most, g->w[i]);
    }
    for (int k = 0; k < TRIES; k++) {
        float step = k < 37 ? (float)(k == 0 ? 0 : k <= 18 ? -k : k - 18) : 0; /* 0, -1 … -18, 1 … 18 */

        t->m[k] = type->minima ? -least : 0;
        t->s[k] = type->minima ? (most - least) / ((float)type->hi + 0.05f * step)
                               : (most < -least ? -least : -most) / ((float)-type->lo * (1 + 0.02f * step));
        if (t->s[k] == 0)
            t->s[k] = K_LEAST;
    }
}

/* Scale and minimum of one group, before they become multiples. */
static void search_group(const struct k_type *type, const struct group *g, float lo, float hi, float *s, float *m)
{
    struct tries plain, fitted;
    int p, f;

    list_ranges(type, g, &plain);
    fitted = plain;
    fit(g, type->minima, lo, hi, &fitted);
    add_errors(g, lo, hi, &plain);
    add_errors(g, lo, hi, &fitted);
    p = best_of(&plain);
    f = best_of(&fitted);
    *s = fitted.error[f] < plain.error[p] ? fitted.s[f] : plain.s[p];
    *m = fitted.error[f] < plain.error[p] ? fitted.m[f] : plain.m[p];
}

/* The multiples beside a group's own; the largest of the super-block stay. */
static void refine_group(const struct k_type *type, const struct group *g, float lo, float hi, struct k_super *k, int j)
{
    int own = (int)lrintf(k->s[j] / k->d), best;
    bool s_stays = own == (type->minima ? type->most : type->least), m_stays = k->minimum[j] == type->most;
    struct tries t;

    for (int c = 0; c < TRIES; c++) { /* first its own, and from 35 on again */
        int a = own + (c < 35 && !s_stays ? (c % 7 + 3) % 7 - 3 : 0);
        int b = k->minimum[j] + (c < 35 && !m_stays ? (c / 7 + 2) % 5 - 2 : 0);

        a = a < type->least ? type->least : a > type->most ? type->most : a;
        b = b < 0 ? 0 : b > type->most ? type->most : b;
        t.s[c] = k->d * (float)(a != 0 ? a : own);
        t.m[c] = k->dmin * (float)b;
    }
    add_errors(g, lo, hi, &t);
    best = best_of(&t);
    k->s[j] = t.s[best];
    k->m[j] = t.m[best];
}

/* One super-block from weights and the weights of their errors. */
static void search_super(const struct k_type *type, const float *w, const float *h, struct k_super *out)
{
    float s[K_GROUPS_MOST], m[K_GROUPS_MOST], lo = (float)type->lo, hi = (float)type->hi;

    for (int j = 0; j < type->groups; j++) {
        struct group g = { w + j * type->len, h + j * type->len, type->len };

        search_group(type, &g, lo, hi, &s[j], &m[j]);
    }
    k_super_round(type, s, type->minima ? m : NULL, out);
    for (int j = 0; j < type->groups; j++) {
        struct group g = { w + j * type->len, h + j * type->len, type->len };

        refine_group(type, &g, lo, hi, out, j);
    }
}

/* Errors of large weights count for more: h sqrt(2 mean w^2 + w^2), as spec formats 5.5 has it. */
static void weigh_large(const float *w, float *h)
{
    float mean = 0;

    for (int i = 0; i < K_SUPER; i++)
        mean += w[i] * w[i] / K_SUPER;
    for (int i = 0; i < K_SUPER; i++)
        h[i] *= sqrtf(2 * mean + w[i] * w[i]);
}

void k_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows, float *start)
{
    const struct k_type *type = k_type_of(a->scheme->bits);
    int64_t in = a->groups->in, per_row = a->groups->per_row;

    if (type->minima && a->start_min == NULL) { /* one number a group says nothing of a minimum: plainly */
        for (int64_t g = row * per_row; g < (row + rows) * per_row; g++)
            start[g] = (a->hi[g] - a->lo[g]) / (float)type->hi;
        return;
    }
    for (int64_t r = row; r < row + rows; r++) {
        for (int64_t i = 0; i < in; i += K_SUPER) {
            int64_t group = r * per_row + i / type->len;
            float w[K_SUPER], h[K_SUPER];
            struct k_super k;

            load_run(a->weight, r * in + i, w, K_SUPER);
            for (int j = 0; j < type->groups; j++) {
                int64_t from = i + j * type->len;
                struct error_weights e = error_weights_of(a, importance, r, from, from + type->len);

                error_weights_run(&e, w + j * type->len, from, type->len, h + j * type->len);
            }
            weigh_large(w, h);
            search_super(type, w, h, &k);
            memcpy(start + group, k.s, (size_t)type->groups * sizeof(*start));
            if (type->minima)
                memcpy(a->start_min + group, k.m, (size_t)type->groups * sizeof(*start));
        }
    }
}
