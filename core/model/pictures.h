/* Models of pictures: diffusion networks, which say from a noisy picture and a time what the noise is (spec
 * diffusion-qat 7 to 9). Their first port is the picture, their second the time as a vector; what they say is the last
 * port. Pictures are channels-last: [height*width, channels], pixels row by row. */
#ifndef SRQ_MODEL_PICTURES_H
#define SRQ_MODEL_PICTURES_H

#include "core/model/model.h"

enum { SRQ_PORT_PICTURE, SRQ_PORT_TIME, SRQ_PORT_TEXT };

#define SRQ_TEXT_WORDS 77 /* that text encoders of such models give, whatever the text's length */

struct srq_pictures {
    int64_t height, width, channels;
    int64_t out_channels; /* of what it says; twice `channels` where it also says a variance */
    int64_t text_width;   /* above 0: its third port is a text, [SRQ_TEXT_WORDS, text_width] as an encoder gives it
                             (srq runs none); 0: it is told nothing, and has no such port */
};
/* Of a model that is one of pictures (struct srq_model_info). */
struct srq_pictures srq_model_pictures(const struct srq_model *m);
/* The time t as the model's second port has it, [cols] F32: sines and cosines. */
void srq_model_time(const struct srq_model *m, double t, float *dst);
/* A picture as the first port has it: x [height*width*channels], in place (some models are trained on 2x - 1). */
void srq_model_enter(const struct srq_model *m, float *x);

/* The scheduler's configuration of a diffusers folder, text of `*len` bytes and the caller's; NULL: it has none. */
int srq_model_scheduler(const struct srq_model *m, char **text, size_t *len, struct srq_error *err);

#endif
