/* Patches of pictures as rows of a matrix (im2col), and back.
 *
 * A line is a row of output pixels; lines of all pictures are counted through: line i is line i % oh of picture i / oh.
 * A row of patches is [kernel row][kernel column][channel], the order in which a patch lies in a picture. */
#ifndef SRQ_TAPE_PATCHES_H
#define SRQ_TAPE_PATCHES_H

#include "core/tape/ops_picture.h"

struct srq_patches {
    struct srq_conv c;
    int64_t channels, oh, ow;
    int64_t in;           /* a patch: channels * kernel * kernel */
    enum srq_dtype dtype; /* of pictures and patches */
    int64_t strip_lines;  /* lines that are made at a time: of whole pictures, or fewer than one has */
    bool whole;           /* which of the two */
};

/* Lines [first, first + lines): of whole pictures, or of one. */
struct srq_strip {
    int64_t first, lines;
};

/* With strips of at most `bytes` of patches in F32, unless one line has more. */
struct srq_patches srq_patches_of(const struct srq_conv *c, int64_t channels, enum srq_dtype dtype, int64_t bytes);
/* Goes to the strip after *s, or the first after {0, 0}; false: there is none. */
bool srq_next_strip(const struct srq_patches *p, struct srq_strip *s);

/* Patches of a strip, [lines*ow, in], from pictures x. Parallel. */
void srq_unfold(const struct srq_patches *p, const void *x, const struct srq_strip *s, void *patches);

/* Adds the F32 gradients `from` of a strip's patches up to dx, in an order of their own. Strips must come in order.
 * sums: floats [srq_fold_floats]. Parallel. */
struct srq_fold {
    const float *from;
    float *sums;
    struct srq_tensor dx; /* [batch*height*width, channels] */
    bool add;             /* to what dx holds */
};
int64_t srq_fold_floats(const struct srq_patches *p);
void srq_fold(const struct srq_patches *p, const struct srq_strip *s, const struct srq_fold *f);

/* Rows [rows, in] of `size` bytes an element: `from` in the order of patches, `to` in that of checkpoints, [channel]
 * [kernel row][kernel column], or the reverse. Not in place. */
void srq_patch_row_out(const struct srq_patches *p, const void *from, void *to, size_t size);
void srq_patch_row_in(const struct srq_patches *p, const void *from, void *to, size_t size);

#endif
