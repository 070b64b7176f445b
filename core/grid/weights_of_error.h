/* The weights h of the errors that a search of scales adds up: the importance of the input channels, with the holes of
 * channels that no data reached filled in (spec signround 6). A group with more than half of its channels empty takes
 * |w| (at most 3 bits) or |w| + sqrt(sum w^2 / 32) instead; else empty ones get the mean of the others. */
#ifndef SRQ_GRID_WEIGHTS_OF_ERROR_H
#define SRQ_GRID_WEIGHTS_OF_ERROR_H

#include "core/grid/grid.h"

struct error_weights {
    const float *importance; /* [in], or NULL: all ones */
    bool by_weight;          /* |w| + shift */
    float shift;
    float fill; /* for an empty channel */
};

/* Columns [from, stop) of row `row` are one group's, or what of it is in this row. */
struct error_weights error_weights_of(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t from,
                                      int64_t stop);
/* h of n columns from `column` on, whose weights are w. */
void error_weights_run(const struct error_weights *e, const float *w, int64_t column, int64_t n, float *h);

#endif
