/* A group as a layer of its own. */
#include "plugins/one_group.h"

void one_group_make(struct one_group *g, const struct srq_layer *layer, const float *w, int64_t n, const float *lo,
                    const float *hi)
{
    *g = (struct one_group){
        .weight = { .size = sizeof(g->weight),
                    .dtype = SRQ_F32,
                    .rank = 2,
                    .data = (void *)(uintptr_t)w,
                    .shape = { 1, n } },
        .scheme = { .size = sizeof(g->scheme) },
        .groups = { .size = sizeof(g->groups), .out = 1, .in = n, .len = n, .per_row = 1, .count = 1 },
        .args = { .size = sizeof(g->args),
                  .tensor_scale = 1,
                  .weight = &g->weight,
                  .scheme = &g->scheme,
                  .groups = &g->groups,
                  .lo = lo,
                  .hi = hi },
    };
    srq_copy_known(&g->scheme, layer->scheme);
    g->scheme.group = -1;
}
