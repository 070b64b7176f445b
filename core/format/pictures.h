/* Sets of pictures in files: a folder of PNG, an IDX file (the layout of MNIST), a NumPy array. Hostile input stops
 * here. Pictures come out channels-last, [n, height, width, channels] F32 in [-1, 1]; none is ever resized. */
#ifndef SRQ_FORMAT_PICTURES_H
#define SRQ_FORMAT_PICTURES_H

#include "core/format/picture_shape.h"

#include <srq/error.h>

#include <stdint.h>

#define SRQ_PICTURES_FILES_MAX 10000000 /* PNG files of a folder */

struct srq_picture_set; /* an opened set; read-only, usable from several threads */

/* Opens `path`, which is told by what it is, not by its name:
 * - a folder: its *.png in the order of their names (bytes), hidden ones left out. All of one size, and all gray or all
 *   coloured. Palettes become colours; alpha is dropped, 16 bits a sample are rounded to 8, and gamma is not looked at,
 *   as loaders of data sets do.
 * - an IDX file of bytes with 3 dimensions [n, h, w], or 4.
 * - a .npy of u8, or of f32 with values in [-1, 1], C order, [n, h, w], [n, h, w, c] or [n, c, h, w]: c is the one of
 *   the two that is 1 or 3; where both are, or none is, the array is refused.
 * - either of these two compressed with gzip; it is unpacked into memory, of at most 2 GiB.
 * Plain arrays stay mapped; of PNG files only the headers are read here, the pictures when they are asked for. A byte v
 * becomes v / 127.5 - 1.
 *
 * -SRQ_EFORMAT, -SRQ_EUNSUPPORTED, -SRQ_ELIMIT, -SRQ_EIO, -SRQ_ENOENT naming the file and what is wrong with it. The
 * caller closes the set. */
int srq_pictures_open(const char *path, struct srq_picture_set **out, struct srq_error *err);
void srq_pictures_close(struct srq_picture_set *set); /* NULL is fine */

struct srq_picture_shape srq_pictures_shape(const struct srq_picture_set *set);

/* Pictures first … first+n-1, out [n, height, width, channels]. -SRQ_EINVAL where the set has no such pictures; errors
 * of a PNG file as above; -SRQ_EFORMAT naming file and picture where an f32 array leaves [-1, 1]. */
int srq_pictures_get(const struct srq_picture_set *set, int64_t first, int64_t n, float *out, struct srq_error *err);

#endif
