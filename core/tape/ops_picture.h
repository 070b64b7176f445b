/* Operations on pictures. A batch of `batch` pictures of height x width pixels with C channels is a matrix
 * [batch*height*width, C]: pixels row by row, channels last. So linear layers are 1x1 convolutions, and channels of two
 * matrices stand side by side in one. */
#ifndef SRQ_TAPE_OPS_PICTURE_H
#define SRQ_TAPE_OPS_PICTURE_H

#include "core/tape/ops.h"

struct srq_conv {
    int64_t batch, height, width; /* of the input */
    int kernel, stride;
    int pad_before, pad_after; /* rows above and columns left of the picture; below and right of it: zeros */
};

/* Rows or columns that a convolution gives for `size` of them. */
static inline int64_t srq_conv_size(const struct srq_conv *c, int64_t size)
{
    int64_t room = size + c->pad_before + c->pad_after - c->kernel;

    return room >= 0 ? room / c->stride + 1 : 0;
}

/* Convolution as a linear layer over patches: x [batch*height*width, C] -> [batch*oh*ow, out], l->in = C*kernel*kernel.
 * Columns of the weight are in the order of checkpoints, (channel, kernel row, kernel column), and so are those of the
 * patches [rows, in] that a tap gets, strip by strip in order, and of the gradient that the sink gets, once a pass. */
struct srq_var *srq_op_conv(struct srq_tape *t, struct srq_var *x, struct srq_linear *l, const struct srq_conv *c);

/* y = gain (x - mean) / sqrt(var + eps) + bias, with mean and (biased) variance over the pixels of a picture and the
 * channels of a group; x [batch*pixels, C], gain and bias [C]. */
struct srq_group_norm {
    int64_t batch, groups;
    const struct srq_vector *gain, *bias;
    float eps;
};
struct srq_var *srq_op_group_norm(struct srq_tape *t, struct srq_var *x, const struct srq_group_norm *g);

/* Nearest neighbour, twice as high and wide: [batch*height*width, C] -> [batch*2*height*2*width, C]. */
struct srq_var *srq_op_upsample(struct srq_tape *t, struct srq_var *x, int64_t batch, int64_t height, int64_t width);
/* Columns of a, then those of b. */
struct srq_var *srq_op_concat(struct srq_tape *t, struct srq_var *a, struct srq_var *b);
/* x [batch*rows, C] + e [batch, C], for all rows of each sample. */
struct srq_var *srq_op_add_each(struct srq_tape *t, struct srq_var *x, struct srq_var *e, int64_t batch);
/* x (1 + scale) + shift: x [batch*rows, C], e [batch, 2C], scale then shift. */
struct srq_var *srq_op_modulate(struct srq_tape *t, struct srq_var *x, struct srq_var *e, int64_t batch);

#endif
