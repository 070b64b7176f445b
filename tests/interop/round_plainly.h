/* Plain rounding of one layer through the grids, for tests that need codes with the shape of real ones. */
#ifndef SRQ_TEST_ROUND_PLAINLY_H
#define SRQ_TEST_ROUND_PLAINLY_H

#include "core/grid/grid.h"
#include "core/model/model.h"
#include "core/tune/tensor_scale.h"

#include <stdlib.h>

/* Codes of the layer's stored weight under `s`; free with srq_codes_fini. */
static inline int round_plainly(const struct srq_model *m, int layer, const struct srq_scheme *s, struct srq_codes *c,
                                struct srq_error *err)
{
    const struct srq_layer_info *l = srq_model_layer(m, layer);
    const struct srq_grid_ops *g = srq_grid(s->grid);
    struct srq_grid_args a = { .size = sizeof(a), .scheme = s };
    struct srq_result out = { .size = sizeof(out) };
    struct srq_tensor w;
    float *lo, *hi;
    int rc = srq_model_weight(m, layer, &w, err);

    if (rc == 0)
        rc = srq_codes_alloc(l->out, l->in, s, c, err);
    if (rc == 0)
        rc = srq_tensor_scale(m, layer, s, &c->tensor_scale, err);
    if (rc != 0)
        return rc;
    lo = malloc((size_t)c->groups.count * sizeof(*lo));
    hi = malloc((size_t)c->groups.count * sizeof(*hi));
    a.weight = &w;
    a.tensor_scale = c->tensor_scale;
    a.groups = &c->groups;
    a.lo = lo;
    a.hi = hi;
    out.codes = c->codes;
    out.scale = c->scale;
    out.zero = c->zero;
    rc = lo == NULL || hi == NULL ? -SRQ_ENOMEM : g->extrema(&a, lo, hi);
    if (rc == 0)
        g->encode(&a, 0, l->out, &out);
    free(lo);
    free(hi);
    return rc;
}

#endif
