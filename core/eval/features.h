/* Features of pictures: a small convolutional classifier up to its first linear layer (spec diffusion-qat 10, quality
 * without Inception). */
#ifndef SRQ_EVAL_FEATURES_H
#define SRQ_EVAL_FEATURES_H

#include <srq/error.h>

#include <stdint.h>

struct srq_features; /* an opened network; read-only, usable from several threads */

/* Reads `path`, a safetensors file. Its shapes say what the network is:
 *     conv1, conv2, … .weight [out, in, k, k] with k odd, .bias [out]: stride 2, padding (k-1)/2, then ReLU; at least
 * one fc1.weight [features, in], fc1.bias [features], then ReLU: the features, of the last convolution's output
 *     flattened channel by channel, as PyTorch does.
 * Other tensors (fc2, which tells classes) are not looked at. -SRQ_EFORMAT naming file and tensor that is missing or
 * does not fit to the one before it; errors of reading. The caller closes it. */
int srq_features_open(const char *path, struct srq_features **out, struct srq_error *err);
void srq_features_close(struct srq_features *f); /* NULL is fine */

int64_t srq_features_count(const struct srq_features *f); /* features of a picture */

/* What pictures look like: n of them, [n, height, width, channels] F32 in [-1, 1]. */
struct srq_picture_batch {
    const float *pictures;
    int64_t n, height, width, channels;
};

/* out [n, count]. A picture's features do not depend on the others. Uses the team's threads. -SRQ_EFORMAT where
 * pictures of this size are not what the network is for, -SRQ_ENOMEM. */
int srq_features_run(const struct srq_features *f, const struct srq_picture_batch *batch, float *out,
                     struct srq_error *err);

#endif
