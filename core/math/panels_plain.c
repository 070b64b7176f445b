/* Panels in plain C: what the others are held against, with the tiles of the largest of them, so that all that is done
 * around a kernel can be tried on any processor. */
#include "core/math/panels.h"

#include "core/tensor/dtype.h"

static uint16_t element(const struct srq_panel_source *s, int64_t r, int64_t i)
{
    const uint16_t *data = s->data;

    return s->across ? data[i * s->ld + r] : data[r * s->ld + i];
}

void srq_pack_panel_plain(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t steps, void *to)
{
    uint16_t *p = to;

    for (int64_t i = 0; i < 2 * steps; i++)
        for (int64_t j = 0; j < SRQ_PANEL_COLS; j++)
            p[(i / 2 * SRQ_PANEL_COLS + j) * 2 + i % 2] = i < k && col + j < n ? element(s, col + j, i) : 0;
}

void srq_pack_rows_plain(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                         void *to, int64_t ld)
{
    uint16_t *p = to;

    for (int64_t r = 0; r < padded; r++)
        for (int64_t i = 0; i < ld; i++)
            p[r * ld + i] = r < rows && i < k ? element(s, row + r, i) : 0;
}

static void store(const struct srq_panel_out *o)
{
    for (int64_t r = 0; r < o->rows; r++) {
        for (int64_t j = 0; j < o->cols; j++) {
            float v = o->alpha * o->sums[r * o->ld + j], *f = (float *)o->c + r * o->ldc + j;
            uint16_t *h = (uint16_t *)o->c + r * o->ldc + j;

            if (o->dtype == SRQ_F32)
                *f = o->add ? *f + v : v;
            else
                *h = srq_f32_to_bf16(o->add ? srq_bf16_to_f32(*h) + v : v);
        }
    }
}

static void tile(const struct srq_panel_tile *t, int rows)
{
    const uint16_t *a = t->a, *b = t->b;

    for (int r = 0; r < rows; r++) {
        for (int j = 0; j < SRQ_PANEL_COLS; j++) {
            float sum = t->add ? t->c[r * t->ldc + j] : 0;

            for (int64_t i = 0; i < 2 * t->steps; i++)
                sum +=
                    srq_bf16_to_f32(a[r * t->lda + i]) * srq_bf16_to_f32(b[(i / 2 * SRQ_PANEL_COLS + j) * 2 + i % 2]);
            t->c[r * t->ldc + j] = sum;
        }
    }
}

static bool usable(void)
{
    return true;
}

const struct srq_panel_kernel srq_panels_plain = {
    .name = "panels",
    .dtype = SRQ_BF16,
    .packed = SRQ_BF16,
    .rows = 32,
    .row_step = 16,
    .k_step = 32,
    .tiles = 4,
    .stretch = 1024,
    .usable = usable,
    .tile = tile,
    .pack_panel = srq_pack_panel_plain,
    .pack_rows = srq_pack_rows_plain,
    .store = store,
    .of_packed = &srq_panels_plain,
};
