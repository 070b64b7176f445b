/* Importance with its holes filled. */
#include "core/grid/weights_of_error.h"

#include "core/grid/rows.h"

#include <math.h>

#define EMPTY 1e-30f

static float root_of_squares(const struct srq_grid_args *a, int64_t row, int64_t from, int64_t stop)
{
    float w[SEGMENT];
    double sum = 0;

    for (int64_t i = from; i < stop; i += SEGMENT) {
        int64_t n = stop - i < SEGMENT ? stop - i : SEGMENT;

        load_run(a->weight, row * a->groups->in + i, w, n);
        for (int64_t k = 0; k < n; k++)
            sum += (double)w[k] * (double)w[k];
    }
    return (float)sqrt(sum / 32);
}

struct error_weights error_weights_of(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t from,
                                      int64_t stop)
{
    struct error_weights e = { .importance = importance };
    int64_t empty = 0;
    double sum = 0;

    if (importance == NULL)
        return e;
    for (int64_t i = from; i < stop; i++) {
        bool none = !(importance[i] > EMPTY);

        empty += none;
        sum += none ? 0 : (double)importance[i];
    }
    if (empty > (stop - from) / 2) {
        e.by_weight = true;
        e.shift = a->scheme->bits <= 3 ? 0 : root_of_squares(a, row, from, stop);
    } else if (empty > 0) {
        e.fill = (float)(sum / (double)(stop - from - empty));
    }
    return e;
}

void error_weights_run(const struct error_weights *e, const float *w, int64_t column, int64_t n, float *h)
{
    if (e->importance == NULL) {
        for (int64_t i = 0; i < n; i++)
            h[i] = 1;
    } else if (e->by_weight) {
        for (int64_t i = 0; i < n; i++)
            h[i] = fabsf(w[i]) + e->shift;
    } else {
        for (int64_t i = 0; i < n; i++)
            h[i] = e->importance[column + i] > EMPTY ? e->importance[column + i] : e->fill;
    }
}
