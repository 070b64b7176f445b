/* Sums of codes by oneDNN: u8 times s8 to s32, strip by strip of rows, with primitives kept as in gemm_onednn.c.
 *
 * Rows that do not lie one below the other are copied first. On processors without VNNI or AMX oneDNN may add up pairs
 * in 16 bits, which saturate: the self-test finds that. */
#include "core/math/int8_backend.h"

#ifdef HAVE_DNNL

#include "core/base/alloc.h"
#include "core/math/team.h"

#include <dnnl.h>
#include <pthread.h>

#ifndef DNNL_VERSION_MAJOR
#include <dnnl_version.h>
#endif

typedef dnnl_memory_desc_t desc;
#if DNNL_VERSION_MAJOR >= 3
#define DESC_REF(d) (d)
#else
#define DESC_REF(d) (&(d))
#endif

#define CACHE_SIZE 64
#define STRIP_BYTES ((int64_t)1 << 20) /* of sums, and of copied rows */

struct entry {
    int64_t m, n, k, lda;       /* m 0: free */
    dnnl_primitive_t primitive; /* NULL: oneDNN does not offer this product */
    desc a, b, c;
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static struct entry *cache;
static int next; /* the entry that is given up when all are taken */
/* Sums of a strip and its rows, as much as any product has wanted so far. */
static int32_t *sums;
static uint8_t *copies;
static size_t sums_bytes, copies_bytes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- primitives ---- */

static bool make_desc(desc *out, int64_t rows, int64_t cols, dnnl_data_type_t type, int64_t row_step, int64_t col_step)
{
    dnnl_dims_t dims = { rows, cols }, strides = { row_step, col_step };

#if DNNL_VERSION_MAJOR >= 3
    return dnnl_memory_desc_create_with_strides(out, 2, dims, type, strides) == dnnl_success;
#else
    return dnnl_memory_desc_init_by_strides(out, 2, dims, type, strides) == dnnl_success;
#endif
}

static dnnl_primitive_t make_primitive(const struct entry *e)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_status_t rc;

#if DNNL_VERSION_MAJOR >= 3
    rc = dnnl_matmul_primitive_desc_create(&pd, engine, e->a, e->b, NULL, e->c, NULL);
#else
    dnnl_matmul_desc_t op;

    rc = dnnl_matmul_desc_init(&op, &e->a, &e->b, NULL, &e->c);
    if (rc == dnnl_success)
        rc = dnnl_primitive_desc_create(&pd, &op, NULL, engine, NULL);
#endif
    if (rc != dnnl_success)
        return NULL;
    if (dnnl_primitive_create(&primitive, pd) != dnnl_success)
        primitive = NULL;
    dnnl_primitive_desc_destroy(pd);
    return primitive;
}

static void clear(struct entry *e)
{
    if (e->m == 0)
        return;
    if (e->primitive != NULL)
        dnnl_primitive_destroy(e->primitive);
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_destroy(e->a);
    dnnl_memory_desc_destroy(e->b);
    dnnl_memory_desc_destroy(e->c);
#endif
    memset(e, 0, sizeof(*e));
}

static const struct entry *find(int64_t m, int64_t n, int64_t k, int64_t lda)
{
    struct entry *e;

    for (int i = 0; i < CACHE_SIZE; i++)
        if (cache[i].m == m && cache[i].n == n && cache[i].k == k && cache[i].lda == lda)
            return &cache[i];
    e = &cache[next];
    next = (next + 1) % CACHE_SIZE;
    clear(e);
    if (!make_desc(&e->a, m, k, dnnl_u8, lda, 1) || !make_desc(&e->b, k, n, dnnl_s8, 1, k) ||
        !make_desc(&e->c, m, n, dnnl_s32, n, 1))
        return NULL;
    e->m = m, e->n = n, e->k = k, e->lda = lda;
    e->primitive = make_primitive(e);
    return e;
}

static bool execute(const struct entry *e, const uint8_t *a, const int8_t *b)
{
    dnnl_memory_t ma = NULL, mb = NULL, mc = NULL;
    bool ok = dnnl_memory_create(&ma, DESC_REF(e->a), engine, (void *)a) == dnnl_success &&
              dnnl_memory_create(&mb, DESC_REF(e->b), engine, (void *)b) == dnnl_success &&
              dnnl_memory_create(&mc, DESC_REF(e->c), engine, sums) == dnnl_success;

    if (ok) {
        dnnl_exec_arg_t args[3] = { { DNNL_ARG_SRC, ma }, { DNNL_ARG_WEIGHTS, mb }, { DNNL_ARG_DST, mc } };

        ok = dnnl_primitive_execute(e->primitive, stream, 3, args) == dnnl_success &&
             dnnl_stream_wait(stream) == dnnl_success;
    }
    if (ma != NULL)
        dnnl_memory_destroy(ma);
    if (mb != NULL)
        dnnl_memory_destroy(mb);
    if (mc != NULL)
        dnnl_memory_destroy(mc);
    return ok;
}

/* ---- strips ---- */

struct strip {
    const struct srq_int8_product *p;
    int64_t first;
};

static void copy_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct strip *s = ctx;
    const struct srq_int8_weight *w = s->p->b;
    uint8_t *to = copies + begin * w->k;

    for (int64_t i = begin; i < end; i++) {
        const uint8_t *from = srq_int8_row(&s->p->a, s->first + i);

        for (int64_t piece = 0; piece < w->pieces; piece++, to += w->piece)
            memcpy(to, from + piece * s->p->a.piece, (size_t)w->piece);
    }
}

/* Rows of the strip, SRQ_INT8_BLOCK_COLS columns at a time; the zero point's share comes in here. */
static void finish_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct strip *s = ctx;
    int64_t n = s->p->b->n;
    int32_t spare[SRQ_INT8_BLOCK_COLS] = { 0 };
    struct srq_int8_columns c;

    for (int64_t col = 0; col < n; col += SRQ_INT8_BLOCK_COLS) {
        int64_t cols = n - col < SRQ_INT8_BLOCK_COLS ? n - col : SRQ_INT8_BLOCK_COLS;

        srq_int8_columns(s->p, col, cols, &c);
        for (int64_t i = begin; i < end; i++) {
            const struct srq_int8_block b = { s->first + i, 1, col, cols, spare, c.begin };

            for (int64_t j = 0; j < cols; j++)
                spare[j] = (int32_t)((uint32_t)sums[i * n + col + j] + (uint32_t)c.begin[j]);
            srq_int8_finish(s->p, &b, &c, SRQ_INT8_BLOCK_COLS);
        }
    }
}

static bool run_strip(struct strip *s, int64_t rows, bool copied)
{
    const struct srq_int8_weight *w = s->p->b;
    const struct entry *e = find(rows, w->n, w->k, copied ? w->k : s->p->a.step);

    if (e == NULL || e->primitive == NULL)
        return false;
    if (copied)
        srq_parallel(rows, 1 + 65536 / w->k, copy_rows, s);
    if (!execute(e, copied ? copies : srq_int8_row(&s->p->a, s->first), w->codes))
        return false;
    srq_parallel(rows, 1 + 16384 / w->n, finish_rows, s);
    return true;
}

/* The memory of a strip, and its rows in *rows. */
static bool hold_strip(const struct srq_int8_weight *w, int64_t m, bool copied, int64_t *rows)
{
    int64_t wide = w->n * 4 > w->k ? w->n * 4 : w->k;

    *rows = STRIP_BYTES / wide > 0 ? STRIP_BYTES / wide : 1;
    *rows = *rows < m ? *rows : m;
    if ((size_t)(*rows * w->n) * sizeof(*sums) > sums_bytes) {
        srq_pages_free(sums, sums_bytes);
        sums_bytes = (size_t)(*rows * w->n) * sizeof(*sums);
        sums = srq_pages_alloc(sums_bytes);
    }
    if (copied && (size_t)(*rows * w->k) > copies_bytes) {
        srq_pages_free(copies, copies_bytes);
        copies_bytes = (size_t)(*rows * w->k);
        copies = srq_pages_alloc(copies_bytes);
    }
    if (sums == NULL || (copied && copies == NULL)) {
        srq_pages_free(sums, sums_bytes);
        srq_pages_free(copies, copies_bytes);
        sums = NULL, copies = NULL;
        sums_bytes = copies_bytes = 0;
        return false;
    }
    return true;
}

/* What failed half-way is computed again from the start: nothing of it is read. */
static bool run(const struct srq_int8_product *p)
{
    struct strip s = { p, 0 };
    bool copied = p->b->pieces > 1 || (p->a.in_line > 0 && p->m > p->a.in_line), ok;
    int64_t rows;

    pthread_mutex_lock(&lock);
    ok = cache != NULL && hold_strip(p->b, p->m, copied, &rows);
    for (; ok && s.first < p->m; s.first += rows)
        ok = run_strip(&s, p->m - s.first < rows ? p->m - s.first : rows, copied);
    pthread_mutex_unlock(&lock);
    return ok;
}

/* ---- the engine ---- */

static void stop(void)
{
    for (int i = 0; cache != NULL && i < CACHE_SIZE; i++)
        clear(&cache[i]);
    srq_free(cache);
    srq_pages_free(sums, sums_bytes);
    srq_pages_free(copies, copies_bytes);
    cache = NULL, sums = NULL, copies = NULL;
    sums_bytes = copies_bytes = 0;
    next = 0;
    if (stream != NULL)
        dnnl_stream_destroy(stream);
    if (engine != NULL)
        dnnl_engine_destroy(engine);
    stream = NULL;
    engine = NULL;
}

static int start(struct srq_error *err)
{
    if (cache != NULL)
        return 0;
    cache = srq_calloc(CACHE_SIZE, sizeof(*cache));
    if (cache == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for oneDNN's primitives");
    if (dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&stream, engine, dnnl_stream_default_flags) != dnnl_success) {
        stop();
        return srq_fail(err, -SRQ_EUNSUPPORTED, "oneDNN has no processor engine here");
    }
    return 0;
}

/* As plain wants them, which computes what is declined here. */
static size_t bytes(const struct srq_int8_weight *w)
{
    return srq_int8_plain.bytes(w);
}

static void pack(const struct srq_int8_weight *w, const int8_t *from, int8_t *to)
{
    srq_int8_plain.pack(w, from, to);
}

static void block(const struct srq_int8_product *p, const struct srq_int8_block *b)
{
    srq_int8_plain.block(p, b);
}

const struct srq_int8_engine srq_int8_onednn = {
    .name = "onednn",
    .start = start,
    .stop = stop,
    .bytes = bytes,
    .pack = pack,
    .block = block,
    .run = run,
};

#endif
