/* Which grids this build has. */
#include "core/grid/grid.h"

#include "core/grid/int_rows.h"

const struct srq_grid_ops *srq_grid(enum srq_grid_kind kind)
{
    switch (kind) {
    case SRQ_GRID_INT_SYM:
        return &int_sym_ops;
    case SRQ_GRID_INT_ASYM:
        return &int_asym_ops;
    default:
        return NULL;
    }
}
