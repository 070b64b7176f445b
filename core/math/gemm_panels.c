/* Products by the kernels of panels.h.
 *
 * B is laid out in panels, as many at a time as a few megabytes hold, by the whole team. Then C is cut into blocks of a
 * few tiles of rows by the columns of all or some panels, handed to the team one by one; a block's rows of A are copied
 * where a kernel cannot read them as they are. Sums go over k in stretches, in F32, in an order that does not depend on
 * the number of threads. */
#include "core/math/gemm_backend.h"
#include "core/math/panels.h"

#include "core/base/alloc.h"
#include "core/math/team.h"
#include "core/tensor/dtype.h"

#include <pthread.h>

#define ACROSS 8         /* panels whose sums are kept at a time where k takes several stretches */
#define STEP 4           /* bytes of a column */
#define STRETCH_STEPS 32 /* a stretch is a multiple of them, as every kernel's longest one is */
#define LINE 64
#define PAGE 4096
#define PANELS_BYTES ((int64_t)8 << 20) /* of B at a time, one panel at least */
#define COPIES_BYTES ((int64_t)1 << 20) /* of A in a thread, one tile at least */
#define NEAR_BYTES ((int64_t)1 << 19)   /* of A that stay near beside everything else */

struct space {
    char *data;
    size_t bytes;
};

static struct space panels, rows; /* of B; of A, and the sums, a part for each thread */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int started;
/* A taker that multiplies would wait for the space that its rows are in: another engine computes that. */
static _Thread_local bool giving;

struct work {
    const struct srq_panel_kernel *kernel;
    const struct srq_product *p;
    int64_t steps, panels; /* of a panel; of B, at a time */
    int64_t cols;          /* of a panel */
    int64_t stretch;       /* steps at a time */
    int64_t size, stored;  /* of an element of what is laid out; of an operand */
    int64_t first;         /* panel of B */
    int64_t rows, down;    /* of a block; blocks one below the other */
    int64_t across;        /* panels of a block */
    int64_t kept, ld;      /* panels whose sums are kept at a time; row stride of the sums */
    bool direct;           /* C is where they are kept */
    bool copies;           /* A's rows */
    bool pieces;           /* a stretch of them at a time */
    int64_t lda;           /* of the copies */
    size_t room, sums_at;  /* of a thread; where in it its sums are */
};

/* Rows one page apart would all fall into the same few places of the first cache. */
static bool reads_as_it_is(const struct srq_panel_kernel *k, const struct srq_product *p)
{
    return k->packed == k->dtype && !p->a.trans && p->k % k->k_step == 0 && p->m % k->row_step == 0 &&
           p->a.ld * (int64_t)srq_dtype_size(k->dtype) % 1024 != 0;
}

static size_t panel_bytes(const struct work *w)
{
    return (size_t)(w->steps * SRQ_PANEL_COLS * STEP + w->cols * srq_scale_bytes(w->kernel));
}

/* Whether the sums are C itself: nothing is beside a tile's elements, and nothing is done to them. */
static bool is_direct(const struct srq_panel_kernel *k, const struct srq_product *p)
{
    return p->taker == NULL && p->c.dtype == SRQ_F32 && !p->add && srq_product_factor(p) == 1 &&
           p->n % srq_panel_cols(k) == 0 && p->m % k->row_step == 0;
}

/* How many panels there are at a time, and how many a block has. A taker gets whole rows: all panels at once. */
static void plan_panels(struct work *w)
{
    const int64_t all = (w->p->n + w->cols - 1) / w->cols;
    const int64_t fit = PANELS_BYTES / (int64_t)panel_bytes(w) > 0 ? PANELS_BYTES / (int64_t)panel_bytes(w) : 1;

    w->panels = w->p->taker != NULL || all < fit ? all : fit;
    w->kept = w->p->taker != NULL ? all : w->steps > w->stretch ? ACROSS : 1;
    w->direct = is_direct(w->kernel, w->p);
    w->ld = w->direct ? w->p->c.ld : w->kept * w->cols;
}

/* Row stride of copies. */
static int64_t copy_ld(const struct work *w, int64_t steps)
{
    const int64_t wide = srq_round_up(steps * STEP, LINE);

    return (wide + (wide % 1024 == 0 ? LINE : 0)) / w->size;
}

static void plan_rows(struct work *w)
{
    const struct srq_panel_kernel *k = w->kernel;
    const int64_t m = w->p->m;

    w->copies = !reads_as_it_is(k, w->p);
    w->rows = (int64_t)k->tiles * k->rows;
    w->lda = copy_ld(w, w->steps);
    w->pieces = w->copies && w->p->taker != NULL && w->rows * w->lda * w->size > NEAR_BYTES;
    if (w->pieces)
        w->lda = copy_ld(w, w->stretch);
    while (w->rows > k->rows && ((w->copies && w->rows * w->lda * w->size > COPIES_BYTES) ||
                                 (m + w->rows - 1) / w->rows * w->panels < 8 * srq_team_size()))
        w->rows -= k->rows;
    w->down = (m + w->rows - 1) / w->rows;
    /* Few rows: blocks get fewer columns, so that all threads have some. */
    w->across = w->panels;
    while (w->p->taker == NULL && w->across > 1 &&
           w->down * ((w->panels + w->across - 1) / w->across) < 4 * srq_team_size())
        w->across = (w->across + 1) / 2;
}

/* Steps at a time: `most` of them, or fewer, so that all stretches have one length and none is a short rest. */
static int64_t even_stretch(int64_t steps, int64_t most)
{
    const int64_t n = (steps + most - 1) / most;

    return srq_round_up((steps + n - 1) / n, STRETCH_STEPS);
}

static void plan(struct work *w, const struct srq_panel_kernel *k, const struct srq_product *p)
{
    *w = (struct work){ .kernel = k, .p = p };
    w->size = srq_row_element_bytes(k->packed);
    w->cols = srq_panel_cols(k);
    w->stored = (int64_t)srq_dtype_size(k->dtype);
    w->steps = srq_round_up(p->k, k->k_step) / srq_step_elements(k->packed);
    w->stretch = even_stretch(w->steps, k->stretch);
    plan_panels(w);
    plan_rows(w);
    w->sums_at = w->copies ? (size_t)srq_round_up(w->rows * (w->lda * w->size + srq_scale_bytes(k)), PAGE) : 0;
    w->room = w->sums_at + (w->direct ? 0 : (size_t)srq_round_up(w->rows * w->ld * (int64_t)sizeof(float), PAGE));
}

static bool hold(struct space *s, size_t bytes)
{
    if (bytes <= s->bytes)
        return true;
    srq_pages_free(s->data, s->bytes);
    s->data = srq_pages_alloc(bytes);
    s->bytes = s->data != NULL ? bytes : 0;
    return s->data != NULL;
}

static bool hold_all(const struct work *w)
{
    return hold(&panels, panel_bytes(w) * (size_t)w->panels) && hold(&rows, w->room * (size_t)srq_team_size());
}

/* ---- B ---- */

static char *panel(const struct work *w, int64_t i)
{
    return panels.data + panel_bytes(w) * (size_t)i;
}

static void pack_item(void *ctx, int64_t item, int thread)
{
    const struct work *w = ctx;
    const struct srq_mat *b = &w->p->b;
    const struct srq_panel_source s = { b->data, b->ld, !b->trans };

    (void)thread;
    w->kernel->pack_panel(&s, (w->first + item) * w->cols, w->p->n, w->p->k, w->steps, panel(w, item));
}

/* ---- C ---- */

struct block {
    const struct work *w;
    int64_t row, rows; /* of C; rows of it */
    const char *a;
    int64_t lda;
    void *room;          /* for copies of them */
    const float *scales; /* of the copies */
    float *sums;
};

/* Steps [at, at + steps) of A's rows, to where the block's copies are. */
static void copy_rows(const struct block *b, int64_t at, int64_t steps)
{
    const struct work *w = b->w;
    const struct srq_mat *a = &w->p->a;
    const int64_t each = srq_step_elements(w->kernel->packed), from = at * each, count = steps * each;
    const struct srq_panel_source s = { (const char *)a->data + from * (a->trans ? a->ld : 1) * w->stored, a->ld,
                                        a->trans };

    w->kernel->pack_rows(&s, b->row, b->rows, srq_round_up(b->rows, w->kernel->row_step),
                         w->p->k - from < count ? w->p->k - from : count, b->room, w->lda);
}

/* Sums of `count` panels from `first` on. */
static void add_up(const struct block *b, int64_t first, int64_t count)
{
    const struct srq_panel_kernel *kernel = b->w->kernel;
    const int64_t stretch = b->w->stretch, padded = srq_round_up(b->rows, kernel->row_step), cols = b->w->cols;
    const bool scaled = srq_scale_bytes(kernel) > 0;

    for (int64_t at = 0; at < b->w->steps; at += stretch) {
        int64_t steps = b->w->steps - at < stretch ? b->w->steps - at : stretch;

        if (b->w->pieces)
            copy_rows(b, at, steps);
        for (int64_t j = 0; j < count; j++) {
            const char *a = b->w->pieces ? b->a : b->a + at * STEP;
            const char *near = panel(b->w, first + j), *scales = near + b->w->steps * STEP * SRQ_PANEL_COLS;
            struct srq_panel_tile t = { .steps = steps,
                                        .a = a,
                                        .lda = b->lda,
                                        .b = near + at * STEP * SRQ_PANEL_COLS,
                                        .c = b->sums + j * cols,
                                        .ldc = b->w->ld,
                                        .add = at > 0,
                                        .a_scale = scaled ? b->scales : NULL,
                                        .b_scale = scaled ? (const float *)(const void *)scales : NULL };

            for (int64_t i = 0; i < padded; i += kernel->rows) {
                int64_t n = padded - i < kernel->rows ? padded - i : kernel->rows;

                kernel->tile(&t, (int)n);
                t.a = a += n * t.lda * b->w->size;
                t.c += n * t.ldc;
                t.a_scale += scaled ? n : 0;
            }
        }
    }
}

static void store(const struct block *b, int64_t first, int64_t count)
{
    const struct srq_product *p = b->w->p;
    const int64_t size = p->c.dtype == SRQ_F32 ? 4 : 2;

    for (int64_t j = 0; j < count; j++) {
        int64_t col = (b->w->first + first + j) * b->w->cols;
        const struct srq_panel_out o = { .sums = b->sums + j * b->w->cols,
                                         .ld = b->w->ld,
                                         .rows = b->rows,
                                         .cols = p->n - col < b->w->cols ? p->n - col : b->w->cols,
                                         .alpha = srq_product_factor(p),
                                         .add = p->add,
                                         .dtype = p->c.dtype,
                                         .c = (char *)p->c.data + (b->row * p->c.ld + col) * size,
                                         .ldc = p->c.ld };

        b->w->kernel->store(&o);
    }
}

/* Whole rows to who takes them, one behind the other. */
static void give(const struct block *b)
{
    const struct srq_product *p = b->w->p;
    const float alpha = srq_product_factor(p);

    for (int64_t i = 1; b->w->ld != p->n && i < b->rows; i++)
        memmove(b->sums + i * p->n, b->sums + i * b->w->ld, (size_t)p->n * sizeof(float));
    for (int64_t i = 0; alpha != 1 && i < b->rows * p->n; i++)
        b->sums[i] *= alpha;
    giving = true;
    p->taker->take(p->taker->ctx, b->row, b->rows, b->sums);
    giving = false;
}

/* Rows of C from `row` on, as many as a block has and there are before `row_end`, by panels [first, end). */
static void make_block(const struct work *w, int64_t row, int64_t row_end, int64_t first, int64_t end, int thread)
{
    const struct srq_product *p = w->p;
    char *room = rows.data + w->room * (size_t)thread;
    struct block b = { .w = w, .row = row, .room = room, .sums = (float *)(void *)(room + w->sums_at) };

    b.rows = row_end - row < w->rows ? row_end - row : w->rows;
    b.a = (const char *)p->a.data + b.row * p->a.ld * w->stored;
    b.lda = p->a.ld;
    if (w->copies) {
        if (!w->pieces)
            copy_rows(&b, 0, w->steps);
        b.a = room;
        b.lda = w->lda;
        b.scales = (const float *)(const void *)(room + srq_round_up(b.rows, w->kernel->row_step) * w->lda * w->size);
    }
    if (w->kernel->enter != NULL)
        w->kernel->enter();
    for (int64_t j = first; j < end; j += w->kept) {
        int64_t count = end - j < w->kept ? end - j : w->kept;

        if (w->direct)
            b.sums = (float *)p->c.data + row * p->c.ld + (w->first + j) * w->cols;
        add_up(&b, j, count);
        if (p->taker != NULL)
            give(&b);
        else if (!w->direct)
            store(&b, j, count);
    }
    if (w->kernel->leave != NULL)
        w->kernel->leave();
}

static void block_item(void *ctx, int64_t item, int thread)
{
    const struct work *w = ctx;
    int64_t first = item / w->down * w->across, end = first + w->across < w->panels ? first + w->across : w->panels;

    make_block(w, item % w->down * w->rows, w->p->m, first, end, thread);
}

/* Of a taker's rows each thread has a share of its own, of whole tiles: blocks would be too few to share evenly. It
 * takes them in blocks of about one size, since one of few rows would read all panels for little. */
static void share_of_tiles(void *ctx, int64_t begin, int64_t end)
{
    const struct work *w = ctx;
    const int64_t tile = w->kernel->rows, most = w->rows / tile, blocks = (end - begin + most - 1) / most;

    for (int64_t i = 0; i < blocks; i++) {
        const int64_t from = begin + (end - begin) * i / blocks, to = begin + (end - begin) * (i + 1) / blocks;

        make_block(w, from * tile, to * tile < w->p->m ? to * tile : w->p->m, 0, w->panels, srq_team_thread());
    }
}

/* ---- the engines ---- */

static bool run_with(const struct srq_panel_kernel *k, const struct srq_product *p)
{
    struct work w;
    bool ok;

    if (p->b.dtype != k->dtype || giving)
        return false;
    /* Products inside a parallel region take turns in the one space. */
    pthread_mutex_lock(&lock);
    plan(&w, k, p);
    ok = hold_all(&w);
    for (int64_t left = (p->n + srq_panel_cols(k) - 1) / srq_panel_cols(k); ok && left > 0; left -= w.panels) {
        w.panels = left < w.panels ? left : w.panels;
        srq_parallel_items(w.panels, pack_item, &w);
        if (p->taker != NULL)
            srq_parallel((p->m + k->rows - 1) / k->rows, 1, share_of_tiles, &w);
        else
            srq_parallel_items(w.down * ((w.panels + w.across - 1) / w.across), block_item, &w);
        w.first += w.panels;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

static void rehearse_with(const struct srq_panel_kernel *k, const struct srq_product *p)
{
    struct work w;

    pthread_mutex_lock(&lock);
    plan(&w, k, p);
    if (hold_all(&w)) {
        memset(panels.data, 0, panel_bytes(&w) * (size_t)w.panels);
        if (w.room > 0) /* sums straight to C, and rows read where they are, take none */
            memset(rows.data, 0, w.room * (size_t)srq_team_size());
    }
    pthread_mutex_unlock(&lock);
}

static void forget(void)
{
    srq_pages_free(panels.data, panels.bytes);
    srq_pages_free(rows.data, rows.bytes);
    panels = rows = (struct space){ 0 };
}

static int start_with(const struct srq_panel_kernel *k, struct srq_error *err)
{
    if (!k->usable())
        return srq_fail(err, -SRQ_EUNSUPPORTED, "this processor, or this system, has not the instructions for it");
    started++;
    return 0;
}

static void stop(void)
{
    if (started > 0)
        forget();
    started = 0;
}

#define F16_ERROR 2e-3 /* 2^-11 for each of the sums of a chunk at worst, which cancel out */

/* One engine for each instruction set: the kernel for operands of its own dtype, and one for others, or NULL. */
#define ENGINE(engine, kernel, other, called, most_error)                                                  \
    static const struct srq_panel_kernel *of_##kernel(enum srq_dtype dtype)                                \
    {                                                                                                      \
        const struct srq_panel_kernel *second = other;                                                     \
                                                                                                           \
        return dtype == kernel.dtype ? &kernel : second != NULL && dtype == second->dtype ? second : NULL; \
    }                                                                                                      \
    static bool takes_##kernel(enum srq_dtype dtype)                                                       \
    {                                                                                                      \
        return of_##kernel(dtype) != NULL;                                                                 \
    }                                                                                                      \
    static bool native_##kernel(enum srq_dtype dtype)                                                      \
    {                                                                                                      \
        return dtype == kernel.dtype;                                                                      \
    }                                                                                                      \
    static int start_##kernel(struct srq_error *err)                                                       \
    {                                                                                                      \
        return start_with(&kernel, err);                                                                   \
    }                                                                                                      \
    static bool run_##kernel(const struct srq_product *p)                                                  \
    {                                                                                                      \
        return takes_##kernel(p->a.dtype) && run_with(of_##kernel(p->a.dtype), p);                         \
    }                                                                                                      \
    static void rehearse_##kernel(const struct srq_product *p)                                             \
    {                                                                                                      \
        if (takes_##kernel(p->a.dtype))                                                                    \
            rehearse_with(of_##kernel(p->a.dtype), p);                                                     \
    }                                                                                                      \
    static void describe_##kernel(char *out, size_t cap)                                                   \
    {                                                                                                      \
        snprintf(out, cap, "srq %s", called);                                                              \
    }                                                                                                      \
    const struct srq_gemm_engine engine = {                                                                \
        .name = called,                                                                                    \
        .start = start_##kernel,                                                                           \
        .stop = stop,                                                                                      \
        .takes = takes_##kernel,                                                                           \
        .native = native_##kernel,                                                                         \
        .run = run_##kernel,                                                                               \
        .panels = of_##kernel,                                                                             \
        .error = most_error,                                                                               \
        .takers = true,                                                                                    \
        .rehearse = rehearse_##kernel,                                                                     \
        .forget = forget,                                                                                  \
        .describe = describe_##kernel,                                                                     \
    }

ENGINE(srq_gemm_panels, srq_panels_plain, NULL, "panels", 0);
#ifdef SRQ_PANEL_KERNELS
ENGINE(srq_gemm_amx, srq_panels_amx, NULL, "amx", 0);
ENGINE(srq_gemm_avx512_bf16, srq_panels_avx512, NULL, "avx512_bf16", 0);
#endif
#ifdef SRQ_FP16_KERNEL
ENGINE(srq_gemm_avx512_fp16, srq_panels_fp16, NULL, "avx512_fp16", F16_ERROR);
#endif
#ifdef SRQ_X86_KERNELS
ENGINE(srq_gemm_avx512, srq_panels_f32_avx512, &srq_panels_wide_avx512, "avx512", 0);
ENGINE(srq_gemm_avx2, srq_panels_f32_avx2, &srq_panels_wide_avx2, "avx2", 0);
#endif
