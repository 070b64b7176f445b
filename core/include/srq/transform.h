/* Transforms: scales that leave the model as it is but make it lose less by rounding. */
#ifndef SRQ_TRANSFORM_H
#define SRQ_TRANSFORM_H

#include <srq/error.h>
#include <srq/layer.h>
#include <srq/step.h>

struct srq_host;

/* A producer and the layers that read what it makes, which can take one positive scale a channel without changing what
 * the model computes (spec teq 3): the producer gives x/scale, and every consumer's weight is multiplied by scale along
 * `in`. What is quantized then is W·diag(scale). */
struct srq_scale_group {
    uint32_t size;
    char kind; /* 'A' norm -> q, k, v; 'B' norm -> gate, up; 'C' v -> o; 'D' up -> down; 'E' final norm -> head */
    const char *name;                         /* the producer's module */
    int block, index;                         /* -1 for 'E'; place among all groups of the model */
    int64_t channels;                         /* of scale */
    int64_t in;                               /* input channels of the consumers */
    int64_t width, repeat;                    /* input channel c uses scale[c / width / repeat * width + c % width] */
    const struct srq_layer *const *consumers; /* [count] weights as stored, schemes as planned ("bf16": not quantized),
                                                 statistics of the full-precision inputs as far as asked for */
    int count;
    float *scale;        /* [channels] */
    float *const *state; /* [srq_transform_schedule.states] of [channels] each, zero at first; part of checkpoints */
    void *user;          /* the plugin's */
};

enum srq_objective {
    SRQ_OBJECTIVE_NONE = 0,  /* begin() is all there is */
    SRQ_OBJECTIVE_CE,        /* next-token cross-entropy of the whole model */
    SRQ_OBJECTIVE_KD,        /* Kullback-Leibler divergence from the full-precision model's words */
    SRQ_OBJECTIVE_BLOCK_MSE, /* each block for itself: full-precision input, mean squared error of the output */
};

#define SRQ_MAX_STATES 4

/* How the host shall train scales. Every step all quantized layers compute with Q(W·diag(scale))·diag(1/scale), Q being
 * plain rounding under the layer's own scheme. */
struct srq_transform_schedule {
    uint32_t size;
    int objective;            /* SRQ_OBJECTIVE_… */
    int64_t steps, batch;     /* samples a step */
    int64_t nsamples, seqlen; /* of the calibration set; 0: the job's own */
    int64_t holdout;          /* samples kept for probes, not trained on; at least 1 where keep_best is set */
    int64_t probe_every;      /* steps between probes on them */
    bool keep_best;           /* the scales of the best probe, those before the first step among them */
    bool ranges;              /* integers with groups inside a row: the gradient follows the ends of a group's range,
                                 which move with the scales of their channels; false: ranges count as constants */
    int decay;                /* SRQ_DECAY_…, of srq_step.schedule after the warm-up */
    int states;               /* arrays of a group, at most SRQ_MAX_STATES */
    double lr;                /* for display */
    double warmup;            /* share of the steps over which srq_step.schedule rises to 1 */
    const char *load; /* scales to take instead, from a file that an earlier job left; NULL: none. Lives as long as
                         the instance. */
};

struct srq_transform {
    uint32_t size;
    uint32_t (*needs)(const struct srq_host *h, void *self); /* SRQ_NEED_HESSIAN, SRQ_NEED_RANGES; NULL: nothing */
    /* Kinds that are scaled, a subset of "ABCDE". */
    const char *(*kinds)(const struct srq_host *h, void *self);
    int (*schedule)(const struct srq_host *h, void *self, struct srq_transform_schedule *out, struct srq_error *err);
    /* Sets g->scale, all ones on entry: what statistics say, or where training starts. In the order of blocks; with the
     * statistics of this group alone. */
    int (*begin)(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err);
    /* One step of training: grad [channels] is dL/dscale with rounding passed straight through (spec teq 5), and may be
     * overwritten. NULL where schedule() never asks for training. */
    int (*step)(const struct srq_host *h, void *self, struct srq_scale_group *g, const struct srq_step *step,
                float *grad, struct srq_error *err);
};

#endif
