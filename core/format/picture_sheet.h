/* Pictures side by side in one PNG file. */
#ifndef SRQ_FORMAT_PICTURE_SHEET_H
#define SRQ_FORMAT_PICTURE_SHEET_H

#include <srq/error.h>

#include <stdint.h>

struct srq_picture_sheet {
    const float *pictures;              /* [n, height, width, channels] in [-1, 1]; beyond that is cut, NaN is black */
    int64_t n, height, width, channels; /* 1 or 3 channels */
    int64_t columns;                    /* pictures of a row, at least 1 */
    int64_t gap;                        /* white pixels between pictures and around them, not enlarged */
    int64_t scale;                      /* pixels of the sheet for one of a picture, each way, at least 1 */
};

/* What srq_picture_sheet_write would refuse of a sheet, before there are pictures: they may be NULL. */
int srq_picture_sheet_check(const char *path, const struct srq_picture_sheet *sheet, struct srq_error *err);

/* Writes the sheet, rows of pictures from the top left, to `path`: durably, complete or not at all. The same pictures
 * give the same bytes. -SRQ_EINVAL or -SRQ_ELIMIT (more than 64 million pixels) for a sheet that cannot be; -SRQ_EIO,
 * -SRQ_ENOSPC naming the file. */
int srq_picture_sheet_write(const char *path, const struct srq_picture_sheet *sheet, struct srq_error *err);

#endif
