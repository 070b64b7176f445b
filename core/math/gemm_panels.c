/* Products of BF16 operands by the kernels of panels.h.
 *
 * B is laid out in panels, as many at a time as a few megabytes hold, by the whole team. Then C is cut into blocks of a
 * few tiles of rows by the columns of all or some panels, handed to the team one by one; a block's rows of A are copied
 * where a kernel cannot read them as they are. Sums go over k in stretches of STRETCH, in F32, in an order that does
 * not depend on the number of threads. */
#include "core/math/panels.h"

#ifdef SRQ_PANEL_KERNELS

#include "core/base/alloc.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

#include <pthread.h>

#define TILES 4      /* of rows of a block */
#define ACROSS 8     /* panels whose sums are kept at a time */
#define STRETCH 2048 /* elements of a panel that are read over and over */
#define SUM_COLS ((int64_t)ACROSS * SRQ_PANEL_COLS)
#define PAGE 4096
#define PANELS_BYTES ((int64_t)8 << 20) /* of B at a time, one panel at least */
#define COPIES_BYTES ((int64_t)1 << 20) /* of A in a thread, one tile at least */

struct space {
    char *data;
    size_t bytes;
};

static struct space panels, rows; /* of B; of A, and the sums, a part for each thread */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int started;

struct work {
    const struct srq_panel_kernel *kernel;
    const struct srq_product *p;
    int64_t pairs, panels; /* of a panel; of B, at a time */
    int64_t first;         /* panel of B */
    int64_t rows, down;    /* of a block; blocks one below the other */
    int64_t across;        /* panels of a block */
    bool copies;           /* A's rows */
    int64_t lda;           /* of the copies */
    size_t room, sums_at;  /* of a thread; where in it its sums are */
};

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Rows one page apart would all fall into the same few places of the first cache. */
static bool reads_as_it_is(const struct srq_panel_kernel *k, const struct srq_product *p)
{
    return !p->a.trans && p->k % k->k_step == 0 && p->m % k->row_step == 0 && p->a.ld * 2 % 1024 != 0;
}

static size_t panel_bytes(const struct work *w)
{
    return (size_t)(w->pairs * 2 * SRQ_PANEL_COLS) * sizeof(uint16_t);
}

static void plan(struct work *w, const struct srq_panel_kernel *k, const struct srq_product *p)
{
    int64_t wide, sums, at_a_time;

    *w = (struct work){ .kernel = k, .p = p };
    w->pairs = round_up(p->k, k->k_step) / 2;
    w->panels = (p->n + SRQ_PANEL_COLS - 1) / SRQ_PANEL_COLS;
    at_a_time = PANELS_BYTES / (int64_t)panel_bytes(w) > 0 ? PANELS_BYTES / (int64_t)panel_bytes(w) : 1;
    if (w->panels > at_a_time)
        w->panels = at_a_time;
    w->copies = !reads_as_it_is(k, p);
    wide = round_up(2 * w->pairs, 32);
    w->lda = wide + (wide * 2 % 1024 == 0 ? 32 : 0);
    w->rows = (int64_t)TILES * k->rows;
    while (w->copies && w->rows > k->rows && w->rows * w->lda * 2 > COPIES_BYTES)
        w->rows -= k->rows;
    while (w->rows > k->rows && (p->m + w->rows - 1) / w->rows * w->panels < 8 * srq_team_size())
        w->rows -= k->rows;
    w->down = (p->m + w->rows - 1) / w->rows;
    /* Few rows: blocks get fewer columns, so that all threads have some. */
    w->across = w->panels;
    while (w->across > 1 && w->down * ((w->panels + w->across - 1) / w->across) < 4 * srq_team_size())
        w->across = (w->across + 1) / 2;
    sums = w->rows * SUM_COLS * (int64_t)sizeof(float);
    w->sums_at = w->copies ? (size_t)round_up(w->rows * w->lda * 2, PAGE) : 0;
    w->room = w->sums_at + (size_t)round_up(sums, PAGE);
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

static uint16_t *panel(const struct work *w, int64_t i)
{
    return (uint16_t *)(void *)(panels.data + panel_bytes(w) * (size_t)i);
}

static void pack_item(void *ctx, int64_t item, int thread)
{
    const struct work *w = ctx;
    const struct srq_mat *b = &w->p->b;
    const struct srq_panel_source s = { b->data, b->ld, !b->trans };

    (void)thread;
    srq_pack_panel_avx512(&s, (w->first + item) * SRQ_PANEL_COLS, w->p->n, w->p->k, w->pairs, panel(w, item));
}

/* ---- C ---- */

struct block {
    const struct work *w;
    int64_t row, rows; /* of C; rows of it */
    const uint16_t *a;
    int64_t lda;
    float *sums;
};

/* Sums of `count` panels from `first` on. */
static void add_up(const struct block *b, int64_t first, int64_t count)
{
    const struct srq_panel_kernel *kernel = b->w->kernel;
    int64_t padded = round_up(b->rows, kernel->row_step);

    for (int64_t at = 0; at < b->w->pairs; at += STRETCH / 2) {
        int64_t pairs = b->w->pairs - at < STRETCH / 2 ? b->w->pairs - at : STRETCH / 2;

        for (int64_t j = 0; j < count; j++) {
            struct srq_panel_tile t = { pairs,
                                        b->a + 2 * at,
                                        b->lda,
                                        panel(b->w, first + j) + at * 2 * SRQ_PANEL_COLS,
                                        b->sums + j * SRQ_PANEL_COLS,
                                        SUM_COLS,
                                        at > 0 };

            for (int64_t i = 0; i < padded; i += kernel->rows) {
                int64_t n = padded - i < kernel->rows ? padded - i : kernel->rows;

                kernel->tile(&t, (int)n);
                t.a += n * t.lda;
                t.c += n * t.ldc;
            }
        }
    }
}

static void store(const struct block *b, int64_t first, int64_t count)
{
    const struct srq_product *p = b->w->p;
    int64_t col = (b->w->first + first) * SRQ_PANEL_COLS, n = count * SRQ_PANEL_COLS;
    int64_t size = p->c.dtype == SRQ_F32 ? 4 : 2;

    n = p->n - col < n ? p->n - col : n;
    for (int64_t i = 0; i < b->rows; i++)
        srq_kernels()->store(p->c.dtype, b->sums + i * SUM_COLS, srq_product_factor(p),
                             (char *)p->c.data + ((b->row + i) * p->c.ld + col) * size, n, p->add);
}

static void block_item(void *ctx, int64_t item, int thread)
{
    const struct work *w = ctx;
    const struct srq_product *p = w->p;
    char *room = rows.data + w->room * (size_t)thread;
    int64_t first = item / w->down * w->across, end = first + w->across < w->panels ? first + w->across : w->panels;
    struct block b = { .w = w, .row = item % w->down * w->rows, .sums = (float *)(void *)(room + w->sums_at) };

    b.rows = p->m - b.row < w->rows ? p->m - b.row : w->rows;
    b.a = (const uint16_t *)p->a.data + b.row * p->a.ld;
    b.lda = p->a.ld;
    if (w->copies) {
        const struct srq_panel_source s = { p->a.data, p->a.ld, p->a.trans };

        srq_pack_rows_avx512(&s, b.row, b.rows, round_up(b.rows, w->kernel->row_step), p->k, (uint16_t *)(void *)room,
                             w->lda);
        b.a = (const uint16_t *)(const void *)room;
        b.lda = w->lda;
    }
    if (w->kernel->enter != NULL)
        w->kernel->enter();
    for (int64_t j = first; j < end; j += ACROSS) {
        int64_t count = end - j < ACROSS ? end - j : ACROSS;

        add_up(&b, j, count);
        store(&b, j, count);
    }
    if (w->kernel->leave != NULL)
        w->kernel->leave();
}

/* ---- the engines ---- */

static bool run_with(const struct srq_panel_kernel *k, const struct srq_product *p)
{
    struct work w;
    bool ok;

    if (p->a.dtype != SRQ_BF16)
        return false;
    /* Products inside a parallel region take turns in the one space. */
    pthread_mutex_lock(&lock);
    plan(&w, k, p);
    ok = hold_all(&w);
    for (int64_t left = (p->n + SRQ_PANEL_COLS - 1) / SRQ_PANEL_COLS; ok && left > 0; left -= w.panels) {
        w.panels = left < w.panels ? left : w.panels;
        srq_parallel_items(w.panels, pack_item, &w);
        srq_parallel_items(w.down * ((w.panels + w.across - 1) / w.across), block_item, &w);
        w.first += w.panels;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

static void rehearse_with(const struct srq_panel_kernel *k, const struct srq_product *p)
{
    struct work w;

    if (p->a.dtype != SRQ_BF16)
        return;
    pthread_mutex_lock(&lock);
    plan(&w, k, p);
    if (hold_all(&w)) {
        memset(panels.data, 0, panel_bytes(&w) * (size_t)w.panels);
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

static bool native(enum srq_dtype dtype)
{
    return dtype == SRQ_BF16;
}

static int start_amx(struct srq_error *err)
{
    return start_with(&srq_panels_amx, err);
}

static bool run_amx(const struct srq_product *p)
{
    return run_with(&srq_panels_amx, p);
}

static void rehearse_amx(const struct srq_product *p)
{
    rehearse_with(&srq_panels_amx, p);
}

static void describe_amx(char *out, size_t cap)
{
    snprintf(out, cap, "srq amx");
}

static int start_avx512(struct srq_error *err)
{
    return start_with(&srq_panels_avx512, err);
}

static bool run_avx512(const struct srq_product *p)
{
    return run_with(&srq_panels_avx512, p);
}

static void rehearse_avx512(const struct srq_product *p)
{
    rehearse_with(&srq_panels_avx512, p);
}

static void describe_avx512(char *out, size_t cap)
{
    snprintf(out, cap, "srq avx512_bf16");
}

const struct srq_gemm_engine srq_gemm_amx = {
    .name = "amx",
    .start = start_amx,
    .stop = stop,
    .native = native,
    .run = run_amx,
    .rehearse = rehearse_amx,
    .forget = forget,
    .describe = describe_amx,
};

const struct srq_gemm_engine srq_gemm_avx512_bf16 = {
    .name = "avx512_bf16",
    .start = start_avx512,
    .stop = stop,
    .native = native,
    .run = run_avx512,
    .rehearse = rehearse_avx512,
    .forget = forget,
    .describe = describe_avx512,
};

#endif
