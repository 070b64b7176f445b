/* The operations of every grid in this build. */
#ifndef SRQ_GRID_OPS_H
#define SRQ_GRID_OPS_H

#include "core/grid/grid.h"

extern const struct srq_grid_ops int_sym_ops, int_asym_ops, mxfp4_ops, mxfp8_ops, nvfp4_ops, fp8_ops, k_ops;

#endif
