/* Inputs of layers, rounded token by token: to the integer grid, a token being a row with one group. */
#include "core/flow/round_inputs.h"

#define ROWS 16 /* tokens that are rounded together */

static void round_tokens(void *ctx, const struct srq_tensor *x, int64_t row, int64_t rows, void *to)
{
    const struct srq_scheme *layer = ctx;
    const struct srq_grid_ops *grid = srq_grid(SRQ_GRID_INT_SYM);
    const struct srq_scheme s = {
        .size = sizeof(s), .grid = SRQ_GRID_INT_SYM, .bits = layer->act_bits, .group = layer->act_group
    };
    int64_t in = x->shape[x->rank - 1];
    size_t bytes = (size_t)in * srq_dtype_size(x->dtype);

    for (int64_t at = 0; at < rows; at += ROWS) {
        int64_t n = rows - at < ROWS ? rows - at : ROWS;
        struct srq_tensor tokens = srq_tensor_2d((uint8_t *)x->data + (size_t)(row + at) * bytes, x->dtype, n, in);
        struct srq_groups groups = srq_groups_of(n, in, s.group);
        float lo[ROWS], hi[ROWS];
        struct srq_grid_args a = {
            .size = sizeof(a), .weight = &tokens, .scheme = &s, .lo = lo, .hi = hi, .groups = &groups, .tensor_scale = 1
        };

        (void)grid->extrema(&a, lo, hi);
        grid->fake(&a, 0, n, (uint8_t *)to + (size_t)at * bytes, x->dtype, in);
    }
}

void srq_round_inputs(struct srq_linear *l, const struct srq_scheme *s)
{
    l->feed = s->act_bits > 0 ? round_tokens : NULL;
    l->feed_ctx = (void *)(uintptr_t)s;
}
