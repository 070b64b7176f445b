/* Weights of codes, their products block by block, and who computes the sums. */
#include "core/math/int8_backend.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/math/team.h"

#include <stdlib.h>

/* Multiplications that one thread does sooner than a second one is woken up. */
#define ALONE ((int64_t)1 << 20)

/* In order of preference. Measured on a Zen 5, a product of the layers of a small U-Net takes oneDNN 2.6 longer than
 * the kernels here: it wants patches copied, and gives sums that are read once more. */
static const struct srq_int8_engine *const engines[] = {
#ifdef SRQ_X86_KERNELS
    &srq_int8_vnni,
    &srq_int8_avx2,
#endif
#ifdef HAVE_DNNL
    &srq_int8_onednn,
#endif
    &srq_int8_plain,
};
#define ENGINES ((int)(sizeof(engines) / sizeof(engines[0])))

static const struct srq_int8_engine *chosen = &srq_int8_plain; /* NULL: the first usable one, when it is needed */

/* ---- choice ---- */

/* The one of this name, or the first (NULL). */
static const struct srq_int8_engine *find_usable(const char *name, struct srq_error *why)
{
    for (int i = 0; i < ENGINES; i++) {
        if (name != NULL && strcmp(engines[i]->name, name) != 0)
            continue;
        if (engines[i]->start(why) != 0)
            continue;
        if (srq_int8_check(engines[i], why) == 0)
            return engines[i];
        srq_log(SRQ_LOG_WARN, "integer backend %s is not used: %s", engines[i]->name, why->text);
        engines[i]->stop();
    }
    return NULL;
}

/* Most jobs have no products of codes, so "auto" tests nobody before there are some. The plain engine passes. */
static const struct srq_int8_engine *engine(void)
{
    struct srq_error why = { 0 };

    if (chosen == NULL)
        chosen = find_usable(NULL, &why);
    if (chosen == NULL)
        chosen = &srq_int8_plain;
    return chosen;
}

/* ---- weights ---- */

/* Rows [pieces][piece], from rows in the order of checkpoints; each row's sum. */
static void order_codes(const struct srq_int8_codes *c, const struct srq_int8_weight *w, int8_t *to)
{
    int64_t taps = (int64_t)w->kernel * w->kernel, channels = w->k / taps;

    for (int64_t j = 0; j < w->n; j++) {
        const int8_t *from = c->codes + j * w->k;
        int32_t sum = 0;

        for (int64_t t = 0; t < taps; t++) {
            for (int64_t i = 0; i < channels; i++) {
                *to = from[i * taps + t];
                sum += *to++;
            }
        }
        w->sums[j] = sum;
    }
}

static int fill(struct srq_int8_weight *w, const struct srq_int8_codes *c, struct srq_error *err)
{
    int8_t *ordered = srq_malloc((size_t)(w->n * w->k) + 1);

    w->scales = srq_calloc((size_t)w->n, sizeof(float));
    w->sums = srq_calloc((size_t)w->n, sizeof(int32_t));
    w->bytes = w->engine->bytes(w);
    w->codes = srq_pages_alloc(w->bytes);
    if (ordered == NULL || w->scales == NULL || w->sums == NULL || w->codes == NULL) {
        srq_free(ordered);
        return srq_fail(err, -SRQ_ENOMEM, "no memory for codes [%lld, %lld]", (long long)w->n, (long long)w->k);
    }
    memcpy(w->scales, c->scales, (size_t)w->n * sizeof(float));
    order_codes(c, w, ordered);
    w->engine->pack(w, ordered, w->codes);
    srq_free(ordered);
    return 0;
}

int srq_int8_weight_create_for(const struct srq_int8_engine *e, const struct srq_int8_codes *c,
                               struct srq_int8_weight **out, struct srq_error *err)
{
    int kernel = c->kernel > 0 ? c->kernel : 1;
    struct srq_int8_weight *w;
    int rc;

    *out = NULL;
    if (c->n <= 0 || c->n > INT32_MAX || c->k <= 0 || c->k > SRQ_INT8_K_MAX || kernel > 1024 ||
        c->k % (kernel * kernel) != 0)
        return srq_fail(err, -SRQ_EINVAL, "codes [%lld, %lld] with a kernel of %d are no weight", (long long)c->n,
                        (long long)c->k, c->kernel);
    w = srq_calloc(1, sizeof(*w));
    if (w == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for a weight of codes");
    *w = (struct srq_int8_weight){ .engine = c->k > SRQ_INT8_NARROW ? &srq_int8_plain : e,
                                   .n = c->n,
                                   .k = c->k,
                                   .kernel = kernel,
                                   .pieces = kernel,
                                   .piece = c->k / kernel };
    rc = fill(w, c, err);
    if (rc != 0)
        srq_int8_weight_free(w);
    else
        *out = w;
    return rc;
}

int srq_int8_weight_create(const struct srq_int8_codes *c, struct srq_int8_weight **out, struct srq_error *err)
{
    return srq_int8_weight_create_for(engine(), c, out, err);
}

void srq_int8_weight_free(struct srq_int8_weight *w)
{
    if (w == NULL)
        return;
    srq_free(w->scales);
    srq_free(w->sums);
    srq_pages_free(w->codes, w->bytes);
    srq_free(w);
}

size_t srq_int8_weight_bytes(const struct srq_int8_weight *w)
{
    return sizeof(*w) + (size_t)w->n * (sizeof(float) + sizeof(int32_t)) + w->bytes;
}

int64_t srq_int8_weight_n(const struct srq_int8_weight *w)
{
    return w->n;
}

int64_t srq_int8_weight_k(const struct srq_int8_weight *w)
{
    return w->k;
}

int srq_int8_weight_kernel(const struct srq_int8_weight *w)
{
    return w->kernel;
}

/* ---- products ---- */

void srq_int8_columns(const struct srq_int8_product *p, int64_t col, int64_t cols, struct srq_int8_columns *out)
{
    const struct srq_int8_weight *w = p->b;

    memset(out, 0, sizeof(*out));
    for (int64_t j = 0; j < cols; j++) {
        out->begin[j] = -p->zero_a * w->sums[col + j];
        out->factor[j] = p->scale_a * w->scales[col + j];
        out->bias[j] = p->bias != NULL ? p->bias[col + j] : 0;
    }
}

void srq_int8_finish(const struct srq_int8_product *p, const struct srq_int8_block *b, const struct srq_int8_columns *c,
                     int64_t ld)
{
    const struct srq_kernels *kern = srq_kernels();
    const struct srq_sum_block sums = { b->sums, b->rows, b->cols, ld, c->factor, c->bias };

    kern->scale_sums(p->c.dtype, &sums, srq_int8_out(p, b->first, b->col), p->c.ld);
    for (int64_t i = b->first; p->round.scale != 0 && i < b->first + b->rows; i++) {
        void *y = srq_int8_out(p, i, b->col);

        kern->round(p->c.dtype, y, &p->round, y, NULL, b->cols);
    }
}

struct blocks {
    const struct srq_int8_product *p;
    int64_t rows; /* of a block */
    int64_t down; /* blocks one below the other */
};

static void block_item(void *ctx, int64_t item, int thread)
{
    const struct blocks *of = ctx;
    const struct srq_int8_product *p = of->p;
    int32_t sums[SRQ_INT8_BLOCK_ROWS * SRQ_INT8_BLOCK_COLS];
    struct srq_int8_columns c;
    struct srq_int8_block b = { item % of->down * of->rows, of->rows, item / of->down * SRQ_INT8_BLOCK_COLS,
                                SRQ_INT8_BLOCK_COLS,        sums,     c.begin };

    (void)thread;
    b.rows = p->m - b.first < b.rows ? p->m - b.first : b.rows;
    b.cols = p->b->n - b.col < b.cols ? p->b->n - b.col : b.cols;
    if (p->b->k > SRQ_INT8_NARROW) {
        srq_int8_wide_block(p, &b);
        return;
    }
    srq_int8_columns(p, b.col, b.cols, &c);
    p->b->engine->block(p, &b);
    srq_int8_finish(p, &b, &c, SRQ_INT8_BLOCK_COLS);
}

static void run_blocks(const struct srq_int8_product *p)
{
    struct blocks b = { p, SRQ_INT8_BLOCK_ROWS, 0 };
    int64_t across = (p->b->n + SRQ_INT8_BLOCK_COLS - 1) / SRQ_INT8_BLOCK_COLS, items;

    /* Smaller ones where there would be too few for all threads. */
    while (b.rows > SRQ_INT8_BLOCK_ROWS / 4 && (p->m + b.rows - 1) / b.rows * across < 4 * srq_team_size())
        b.rows /= 2;
    b.down = (p->m + b.rows - 1) / b.rows;
    items = b.down * across;
    if (p->m * p->b->n * p->b->k > ALONE)
        srq_parallel_items(items, block_item, &b);
    else
        for (int64_t i = 0; i < items; i++)
            block_item(&b, i, 0);
}

void srq_int8_multiply(const struct srq_int8_product *p)
{
    if (p->m > 0 && (p->b->engine->run == NULL || !p->b->engine->run(p)))
        run_blocks(p);
}

/* ---- start ---- */

static bool known(const char *name)
{
    for (int i = 0; i < ENGINES; i++)
        if (strcmp(engines[i]->name, name) == 0)
            return true;
    return false;
}

int srq_int8_start(const char *backend, struct srq_error *err)
{
    struct srq_error why = { 0 };
    const struct srq_int8_engine *e;

    if (backend == NULL || backend[0] == '\0')
        backend = getenv("SRQ_INT8");
    if (backend == NULL || backend[0] == '\0')
        backend = "auto";
    if (strcmp(backend, "auto") == 0) {
        chosen = NULL;
        return 0;
    }
    if (!known(backend))
        return srq_fail_field(err, -SRQ_EINVAL, "int8",
                              "integer backend \"%s\" is not one of auto, vnni, avx2, onednn, plain, or not in this "
                              "build",
                              backend);
    e = find_usable(backend, &why);
    if (e == NULL)
        return srq_fail_field(err, -SRQ_ENUMERIC, "int8", "integer backend %s cannot be used here: %s", backend,
                              why.text);
    chosen = e;
    return 0;
}

void srq_int8_stop(void)
{
    for (int i = 0; i < ENGINES; i++)
        engines[i]->stop();
    chosen = &srq_int8_plain;
}

const char *srq_int8_backend(void)
{
    return engine()->name;
}
