/* Rounding without tuning: every weight to the nearest value of its group's grid. */
#include "core/grid/round_plain.h"

#include "core/base/alloc.h"
#include "core/math/team.h"

struct encode {
    const struct srq_grid_ops *grid;
    struct srq_grid_args args;
    struct srq_result result;
    const float *importance; /* [in] of a search */
    float *start;            /* [count] what it finds */
};

static void encode_rows(void *ctx, int64_t begin, int64_t end)
{
    struct encode *e = ctx;

    e->grid->encode(&e->args, begin, end - begin, &e->result);
}

static void search_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct encode *e = ctx;

    e->grid->search(&e->args, e->importance, begin, end - begin, e->start);
}

static bool has_search(const struct srq_grid_ops *grid, const struct srq_scheme *s)
{
    return grid->search != NULL && (s->grid != SRQ_GRID_INT_SYM || s->bits < 8);
}

static int round_to_nearest(const struct srq_tensor *weight, const char *layer, bool search, const float *importance,
                            struct srq_codes *out, struct srq_error *err)
{
    const int64_t n = out->groups.count, rows = out->groups.out;
    struct encode e = { .grid = srq_grid(out->scheme.grid), .result = srq_codes_result(out), .importance = importance };
    float *range;
    int rc;

    if (e.grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer, "%s: no such grid in this build", layer);
    range = srq_malloc((search ? 4 : 2) * (size_t)n * sizeof(*range));
    if (range == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, layer, "out of memory rounding %s", layer);
    e.args = (struct srq_grid_args){ .size = sizeof(e.args),
                                     .weight = weight,
                                     .scheme = &out->scheme,
                                     .groups = &out->groups,
                                     .lo = range,
                                     .hi = range + n,
                                     .start_min = search ? range + 3 * n : NULL,
                                     .tensor_scale = out->tensor_scale };
    rc = e.grid->extrema(&e.args, range, range + n);
    if (rc == 0 && search) {
        e.start = range + 2 * n;
        srq_parallel(rows, out->scheme.group == 0 ? rows : 1, search_rows, &e); /* one group cannot be shared out */
        e.args.start = e.start;
    }
    if (rc == 0) {
        srq_parallel(rows, 8, encode_rows, &e);
        rc = srq_codes_check(out, layer, err);
    } else {
        srq_fail_field(err, rc, layer, "the ranges of %s could not be found", layer);
    }
    srq_free(range);
    return rc;
}

int srq_round_plain(const struct srq_tensor *weight, const char *layer, struct srq_codes *out, struct srq_error *err)
{
    return round_to_nearest(weight, layer, false, NULL, out, err);
}

int srq_round_searched(const struct srq_tensor *weight, const char *layer, const float *importance,
                       struct srq_codes *out, struct srq_error *err)
{
    const struct srq_grid_ops *grid = srq_grid(out->scheme.grid);

    return round_to_nearest(weight, layer, grid != NULL && has_search(grid, &out->scheme), importance, out, err);
}
