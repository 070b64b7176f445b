/* Models of pictures: diffusion networks, which say from a noisy picture and a time what the noise is (spec
 * diffusion-qat 7 to 9). Their first port is the picture, their second the time as a vector; what they say is the last
 * port. Pictures are channels-last: [height*width, channels], pixels row by row. */
#ifndef SRQ_MODEL_PICTURES_H
#define SRQ_MODEL_PICTURES_H

#include "core/model/model.h"

enum { SRQ_PORT_PICTURE, SRQ_PORT_TIME, SRQ_PORT_TEXT, SRQ_PORT_CLASS = SRQ_PORT_TEXT };

#define SRQ_TEXT_WORDS 77 /* that text encoders of such models give, whatever the text's length */

struct srq_pictures {
    int64_t height, width, channels;
    int64_t out_channels; /* of what it says; twice `channels` where it also says a variance */
    int64_t text_width;   /* above 0: its third port is a text, [SRQ_TEXT_WORDS, text_width] as an encoder gives it
                             (srq runs none); 0: it is told nothing, and has no such port */
    int64_t classes;      /* above 0: its third port is the class of what is to be seen, [1, width of the time's
                             embedding]; 0: it is told none, and has no such port */
};

/* What the model is told of one picture. */
struct srq_moment {
    double t;
    int64_t class; /* 0 … classes-1; of models that are told none it is not looked at */
};

/* Of a model that is one of pictures (struct srq_model_info). */
struct srq_pictures srq_model_pictures(const struct srq_model *m);
/* What it is told at time t of pictures first … first+n-1 of the endless row of pictures of a seed, out [n]: classes,
 * where there are any, take turns. */
void srq_model_moments(const struct srq_model *m, double t, int64_t first, int64_t n, struct srq_moment *out);
/* The time t as the model's second port has it, [cols] F32: sines and cosines. */
void srq_model_time(const struct srq_model *m, double t, float *dst);
/* A class as the third port has it, [cols] F32. -SRQ_EINVAL: there is no such class; what reading the tensor gives. */
int srq_model_class(const struct srq_model *m, int64_t class, float *dst, struct srq_error *err);
/* A picture as the first port has it: x [height*width*channels], in place (some models are trained on 2x - 1). */
void srq_model_enter(const struct srq_model *m, float *x);

/* The scheduler's configuration of a diffusers folder, text of `*len` bytes and the caller's; NULL: it has none. */
int srq_model_scheduler(const struct srq_model *m, char **text, size_t *len, struct srq_error *err);

#endif
