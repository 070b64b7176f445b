/* How many pictures of which size. */
#ifndef SRQ_FORMAT_PICTURE_SHAPE_H
#define SRQ_FORMAT_PICTURE_SHAPE_H

#include <stdint.h>

#define SRQ_PICTURE_SIDE_MAX 16384 /* pixels of height and of width */

struct srq_picture_shape {
    int64_t count, height, width;
    int64_t channels; /* 1 gray, 3 red, green, blue */
};

#endif
