/* Trainers: a whole model is trained with the rounding of its layers in the loop, against its own full-precision self
 * (quantization-aware training with distillation). */
#ifndef SRQ_TRAINER_H
#define SRQ_TRAINER_H

#include <srq/error.h>
#include <srq/layer.h>
#include <srq/step.h>

struct srq_host;

#define SRQ_TRAINER_STATES 4

/* A tensor that is trained: the weight of a layer, or a vector beside weights (a bias, a norm's gain). Memory is the
 * host's and part of checkpoints. */
struct srq_trained {
    uint32_t size;
    int index;                     /* among all of the model */
    const char *name;              /* of the tensor */
    const struct srq_layer *layer; /* shapes and scheme ("bf16": it is not rounded); NULL: a vector */
    int64_t rows, cols;            /* [out, in] of a weight, 1 and its length of a vector */
    float *value;                  /* [rows, cols] */
    float *grad;                   /* [rows, cols] of the step that is taken */
    float *const *state;           /* [srq_trainer_schedule.states] of that size each, zero at first */
};

/* The input or output of a layer, rounded to codes 0 … 2^bits-1 of one static affine grid a tensor:
 * (clamp(rint(x/scale) + zero) - zero) * scale. */
struct srq_activation {
    uint32_t size;
    int bits;
    const char *layer;
    int output; /* of what the layer gives, else of what it gets, or (srq_trainer_schedule.split_skip) a part of it */
    int seen;   /* low and high hold what was observed before */
    float low, high; /* the range as far as it is known; part of checkpoints */
    float scale, zero;
};

/* Where the pictures that a trainer learns from are taken. */
enum {
    SRQ_NOISY_UNIFORM = 0, /* given pictures with noise of a time drawn uniformly (spec diffusion-qat 3) */
    SRQ_NOISY_TRAJECTORY,  /* what the full-precision model passes through while it samples (spec diffusion-qat 11) */
};

/* How the host shall train. */
struct srq_trainer_schedule {
    uint32_t size;
    int noisy;            /* SRQ_NOISY_… */
    int states;           /* arrays of a tensor, at most SRQ_TRAINER_STATES */
    int decay;            /* SRQ_DECAY_…, of srq_step.schedule; -1: none */
    int64_t steps, batch; /* steps 0: observing is all there is */
    int64_t warmup;       /* batches that are observed before the first step */
    double lr;            /* for display */
    double clip;          /* the norm of the whole gradient is at most that; 0: any */
    double task_weight;   /* of the mean squared error to what the noise is; needs given pictures */
    double kd_weight;     /* of the mean squared error to what the full-precision model says */
    int pictures;         /* whether pictures are given; the host's */
    int outputs;          /* outputs of layers are rounded too */
    /* Since 2.2: blocks whose outputs are distilled too, as patterns separated by commas ("mid_block.*"), and the
     * weight of the mean over them of mean((student - teacher)^2) / mean(teacher^2). NULL or "": none. */
    const char *kd_layers;
    double kd_layers_weight;
    /* Since 2.3: whether inputs that are two values side by side (what came up, and a skip) have a range for each. */
    int64_t split_skip;
};

struct srq_trainer {
    uint32_t size;
    int (*schedule)(const struct srq_host *h, void *self, struct srq_trainer_schedule *out, struct srq_error *err);
    /* The least and the largest value that a batch had: moves a->low and a->high, and gives a->scale and a->zero. */
    void (*observe)(const struct srq_host *h, void *self, struct srq_activation *a, float low, float high);
    /* Rows of a weight as the student computes with them, dst [rows, cols]. Called from several threads. */
    void (*weight)(const struct srq_host *h, void *self, const struct srq_trained *w, int64_t row, int64_t rows,
                   float *dst);
    /* From the gradient of those rows that of the value, in place. Called from several threads. */
    void (*gradient)(const struct srq_host *h, void *self, const struct srq_trained *w, int64_t row, int64_t rows,
                     float *grad);
    /* One step of one tensor; its gradient is to be multiplied by `shrink` (srq_trainer_schedule.clip). */
    int (*step)(const struct srq_host *h, void *self, struct srq_trained *t, const struct srq_step *step, double shrink,
                struct srq_error *err);
    /* After the last step, where there was one: t->value becomes what is kept. */
    int (*finish)(const struct srq_host *h, void *self, struct srq_trained *t, struct srq_error *err);
};

#endif
