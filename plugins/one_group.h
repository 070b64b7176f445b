/* One group of a layer by itself: what plugins fit ranges of that look at a group at a time. */
#ifndef ONE_GROUP_H
#define ONE_GROUP_H

#include <srq/plugin.h>

struct one_group {
    struct srq_grid_args args;
    struct srq_tensor weight;
    struct srq_scheme scheme;
    struct srq_groups groups;
};

/* The n weights at w as a layer of one row and one group, with the grid and bits of `layer` and the range [*lo, *hi].
 * All that is pointed to has to stay, `g` in its place. */
void one_group_make(struct one_group *g, const struct srq_layer *layer, const float *w, int64_t n, const float *lo,
                    const float *hi);

#endif
