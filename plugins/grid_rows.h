/* Rows of a layer through its grid, shared out to the host's threads: what every plugin does that tunes one. */
#ifndef GRID_ROWS_H
#define GRID_ROWS_H

#include <srq/plugin.h>

/* Fake-quantized weights [out, in] to `dst`, F32 or of two bytes. */
void grid_rows_fake(const struct srq_host *h, const struct srq_layer *layer, const struct srq_grid_args *args,
                    struct srq_tensor *dst);
/* Codes, scales and zero-points to `out`. */
void grid_rows_encode(const struct srq_host *h, const struct srq_layer *layer, const struct srq_grid_args *args,
                      struct srq_result *out);

#endif
