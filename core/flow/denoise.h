/* What a diffusion model says of noisy pictures (core/model/pictures.h): all of its units over one batch. */
#ifndef SRQ_FLOW_DENOISE_H
#define SRQ_FLOW_DENOISE_H

#include "core/flow/walk.h"
#include "core/model/pictures.h"

struct srq_denoiser;

struct srq_denoiser_config {
    const struct srq_model *model;
    enum srq_dtype compute;                /* F32 or BF16 */
    int64_t batch;                         /* pictures at a time */
    const struct srq_weights *weights;     /* NULL: the model's */
    struct srq_layer_roundings *roundings; /* [layers] of the model; NULL: nothing is rounded */
    bool apart; /* products are of one picture each: the same bits for a picture whatever it is in a batch with, for up
                   to twice the time where pictures are small */
    const float *text; /* of a model that is told one: [n, SRQ_TEXT_WORDS*text_width] for the pictures of every call */
    bool integers; /* layers compute on the codes that weights->integer gives (walk.h); with roundings and weights */
};

int srq_denoiser_bytes(const struct srq_denoiser_config *c, size_t *bytes, struct srq_error *err);
int srq_denoiser_create(const struct srq_denoiser_config *c, struct srq_denoiser **out, struct srq_error *err);
void srq_denoiser_free(struct srq_denoiser *d);

/* x [n, height*width*channels] of which the model is told `when` [n] → y [n, height*width*out_channels], F32. Any n. */
int srq_denoise(struct srq_denoiser *d, const float *x, const struct srq_moment *when, int64_t n, float *y,
                struct srq_error *err);

/* The tape of its walk, for whoever times it. */
struct srq_tape *srq_denoiser_tape(const struct srq_denoiser *d);

/* The input ports of a store, from sample 0 on, from pictures and what is told of them. */
int srq_states_put_pictures(const struct srq_states *s, const float *x, const struct srq_moment *at, int64_t n,
                            struct srq_error *err);
/* And its text, [n, SRQ_TEXT_WORDS*text_width], where the model is told one; -SRQ_EUNSUPPORTED where `text` is NULL. */
int srq_states_put_text(const struct srq_states *s, const float *text, int64_t n, struct srq_error *err);

#endif
