/* Panels and rows, element by element. */
#include "core/math/panels.h"

static uint16_t element(const struct srq_panel_source *s, int64_t r, int64_t i)
{
    return s->across ? s->data[i * s->ld + r] : s->data[r * s->ld + i];
}

void srq_pack_panel_plain(const struct srq_panel_source *s, int64_t col, int64_t n, int64_t k, int64_t pairs,
                          uint16_t *to)
{
    for (int64_t i = 0; i < 2 * pairs; i++)
        for (int64_t j = 0; j < SRQ_PANEL_COLS; j++)
            to[(i / 2 * SRQ_PANEL_COLS + j) * 2 + i % 2] = i < k && col + j < n ? element(s, col + j, i) : 0;
}

void srq_pack_rows_plain(const struct srq_panel_source *s, int64_t row, int64_t rows, int64_t padded, int64_t k,
                         uint16_t *to, int64_t ld)
{
    for (int64_t r = 0; r < padded; r++)
        for (int64_t i = 0; i < ld; i++)
            to[r * ld + i] = r < rows && i < k ? element(s, row + r, i) : 0;
}
