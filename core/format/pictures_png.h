/* One PNG file as a picture. */
#ifndef SRQ_FORMAT_PICTURES_PNG_H
#define SRQ_FORMAT_PICTURES_PNG_H

#include "core/format/picture_shape.h"

#include <srq/error.h>

/* Its size and channels, from the header; `count` is 1. */
int srq_png_shape(const char *path, struct srq_picture_shape *out, struct srq_error *err);
/* Whether it is of the shape of those before it, from its header. */
int srq_png_check_shape(const char *path, const struct srq_picture_shape *want, struct srq_error *err);
/* Its samples, out [height, width, channels]; refused where it is not of this shape. */
int srq_png_read(const char *path, const struct srq_picture_shape *shape, uint8_t *out, struct srq_error *err);

#endif
