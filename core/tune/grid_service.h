/* The operations of grids as plugins get them: what a plugin was not built to say is completed first. */
#ifndef SRQ_TUNE_GRID_SERVICE_H
#define SRQ_TUNE_GRID_SERVICE_H

#include <srq/plugin.h>

/* As srq_grid, which the host itself uses; struct srq_grid_args and what it points to may be those of any minor
 * version, by their sizes. Its scheme must be of this kind. NULL: not in this build. */
const struct srq_grid_ops *srq_grid_service(enum srq_grid_kind kind);

#endif
