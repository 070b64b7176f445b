/* Which grids this build has. */
#include "core/grid/ops.h"

const struct srq_grid_ops *srq_grid(enum srq_grid_kind kind)
{
    switch (kind) {
    case SRQ_GRID_INT_SYM:
        return &int_sym_ops;
    case SRQ_GRID_INT_ASYM:
        return &int_asym_ops;
    case SRQ_GRID_MXFP4:
        return &mxfp4_ops;
    case SRQ_GRID_MXFP8:
        return &mxfp8_ops;
    case SRQ_GRID_NVFP4:
        return &nvfp4_ops;
    case SRQ_GRID_FP8:
        return &fp8_ops;
    case SRQ_GRID_K:
        return &k_ops;
    default:
        return NULL;
    }
}
