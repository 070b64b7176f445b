/* UNet2DModel (spec diffusion-qat 8, 9) and UNet2DConditionModel (6): their configuration, and what their blocks are.
 * Inside core/model. */
#ifndef SRQ_MODEL_UNET_H
#define SRQ_MODEL_UNET_H

#include "core/model/internal.h"

#define SRQ_UNET_LEVELS 8

struct srq_unet {
    int64_t height, width, in_channels, out_channels;
    int levels;
    int64_t channels[SRQ_UNET_LEVELS];                               /* C_0 … */
    bool down_attends[SRQ_UNET_LEVELS], up_attends[SRQ_UNET_LEVELS]; /* up: from the bottom */
    int64_t layers;                 /* resnets of a down level; one more of an up level */
    int64_t head_dim;               /* 0: one head of the whole width */
    int64_t text_width;             /* of what the model is told; 0: it is told nothing */
    int64_t classes;                /* of pictures, that the model is told; 0: it is not */
    char unknown[160];              /* keys of config.json that nobody reads, the first of them; "": there are none */
    int64_t heads[SRQ_UNET_LEVELS]; /* of a level, in a model that is told something */
    bool flat;                      /* proj_in and proj_out are stored as linears, not as 1x1 convolutions */
    int64_t groups, mid_groups;     /* mid_groups: of the middle's attention; 0: it has no norm */
    double eps, mid_scale;
    int64_t time_width; /* of the time embedding */
    double freq_shift;
    bool flip_sin_to_cos;
    bool pad_after;   /* down-sampling pads right and bottom only */
    bool scale_shift; /* the time scales and shifts instead of being added */
    bool mid, mid_attends;
    bool center;                 /* inputs become 2x - 1 */
    struct srq_unet_part *parts; /* in the order of units; their number is at most part_cap */
    int part_count, part_cap;
};

/* What a block computes with. */
struct srq_unet_shape {
    int64_t height, width; /* of its input */
    int64_t in, skip, out; /* channels; skip: of the second input, which follows the first; 0: there is none */
    int64_t heads, head_dim;
    int64_t groups;
    double eps, scale; /* the result is divided by it */
    bool pad_after, scale_shift, shortcut;
    int64_t words;   /* of the text that a transformer reads */
    bool told_class; /* of the time: a second input is added to it */
};

#define SRQ_UNET_LINEARS 12
#define SRQ_UNET_VECTORS 8

/* One block: its kind is its own, as shapes differ. */
struct srq_unet_part {
    struct srq_block_kind kind;
    struct srq_linear_row linears[SRQ_UNET_LINEARS];
    struct srq_vector_row vectors[SRQ_UNET_VECTORS];
    struct srq_unet_shape shape;
};

#define SRQ_UNET_CLASS_TABLE "class_embedding.weight"
/* Whether the table of classes is there, where the model is told one. */
int srq_unet_check_classes(const struct srq_model *m, struct srq_error *err);

#endif
