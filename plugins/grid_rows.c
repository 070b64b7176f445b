/* Rows of a layer through its grid. */
#include "plugins/grid_rows.h"

struct rows {
    const struct srq_grid_ops *grid;
    const struct srq_grid_args *args;
    struct srq_tensor *dst;
    struct srq_result *out;
};

static void fake(void *ctx, int64_t from, int64_t to)
{
    const struct rows *r = ctx;
    int64_t in = r->args->groups->in;
    size_t size = r->dst->dtype == SRQ_F32 ? 4 : 2;

    r->grid->fake(r->args, from, to - from, (char *)r->dst->data + (size_t)(from * in) * size, r->dst->dtype, in);
}

void grid_rows_fake(const struct srq_host *h, const struct srq_layer *layer, const struct srq_grid_args *args,
                    struct srq_tensor *dst)
{
    struct rows r = { .grid = h->grid(layer->scheme->grid), .args = args, .dst = dst };

    h->parallel(layer->groups->out, 8, fake, &r);
}

static void encode(void *ctx, int64_t from, int64_t to)
{
    const struct rows *r = ctx;

    r->grid->encode(r->args, from, to - from, r->out);
}

void grid_rows_encode(const struct srq_host *h, const struct srq_layer *layer, const struct srq_grid_args *args,
                      struct srq_result *out)
{
    struct rows r = { .grid = h->grid(layer->scheme->grid), .args = args, .out = out };

    h->parallel(layer->groups->out, 16, encode, &r);
}
