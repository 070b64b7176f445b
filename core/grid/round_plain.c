/* Rounding without tuning and without a search. */
#include "core/grid/round_plain.h"

#include "core/base/alloc.h"
#include "core/math/team.h"

struct encode {
    const struct srq_grid_ops *grid;
    struct srq_grid_args args;
    struct srq_result result;
};

static void encode_rows(void *ctx, int64_t begin, int64_t end)
{
    struct encode *e = ctx;

    e->grid->encode(&e->args, begin, end - begin, &e->result);
}

int srq_round_plain(const struct srq_tensor *weight, const char *layer, struct srq_codes *out, struct srq_error *err)
{
    struct encode e = { .grid = srq_grid(out->scheme.grid), .result = srq_codes_result(out) };
    float *range = srq_malloc(2 * (size_t)out->groups.count * sizeof(*range));
    int rc;

    if (e.grid == NULL || range == NULL) {
        srq_free(range);
        return range == NULL ? srq_fail_field(err, -SRQ_ENOMEM, layer, "out of memory rounding %s", layer)
                             : srq_fail_field(err, -SRQ_EUNSUPPORTED, layer, "%s: no such grid in this build", layer);
    }
    e.args = (struct srq_grid_args){ .size = sizeof(e.args),
                                     .weight = weight,
                                     .scheme = &out->scheme,
                                     .groups = &out->groups,
                                     .lo = range,
                                     .hi = range + out->groups.count,
                                     .tensor_scale = out->tensor_scale };
    rc = e.grid->extrema(&e.args, range, range + out->groups.count);
    if (rc == 0) {
        srq_parallel(out->groups.out, 8, encode_rows, &e);
        rc = srq_codes_check(out, layer, err);
    } else {
        srq_fail_field(err, rc, layer, "the ranges of %s could not be found", layer);
    }
    srq_free(range);
    return rc;
}
