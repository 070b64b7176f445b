/* One tensor of a layer as it is stored: codes, scales, zero-points or whatever else a layout has, by name. */
#ifndef SRQ_GRID_PLANE_H
#define SRQ_GRID_PLANE_H

#include "core/tensor/tensor.h"

struct srq_plane {
    const char *suffix; /* of the layer's name: "qweight", "weight_scale" */
    struct srq_tensor t;
};

#define SRQ_PLANES 4 /* that a layer has, at most */

#endif
