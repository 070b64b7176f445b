/* A layer as plugins see it, with the structs that it points to. */
#ifndef SRQ_TEST_LAYER_ROOM_H
#define SRQ_TEST_LAYER_ROOM_H

#include "core/grid/grid.h"

struct layer_room {
    struct srq_tensor weight;
    struct srq_scheme scheme;
    struct srq_groups groups;
};

/* The weight [out, in], which stays the caller's; `room` has to stay in its place. */
static inline struct srq_layer layer_in(struct layer_room *room, const struct srq_tensor *weight,
                                        const struct srq_scheme *scheme)
{
    room->weight = *weight;
    room->scheme = *scheme;
    room->groups = srq_groups_of(weight->shape[0], weight->shape[1], scheme->group);
    return (struct srq_layer){ .size = sizeof(struct srq_layer),
                               .tensor_scale = 1,
                               .name = "layer",
                               .weight = &room->weight,
                               .scheme = &room->scheme,
                               .groups = &room->groups };
}

#endif
