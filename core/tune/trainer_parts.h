/* Inside the trainer: its tensors, its activations. */
#ifndef SRQ_TUNE_TRAINER_PARTS_H
#define SRQ_TUNE_TRAINER_PARTS_H

#include "core/tune/trainer.h"

/* One tensor that is trained. */
struct srq_train_tensor {
    struct srq_trained info;
    struct srq_layer layer; /* of a weight */
    struct srq_groups groups;
    struct srq_tensor weight;
    float *state[SRQ_TRAINER_STATES];
    char *name;
    int64_t n;
};

/* What a layer gets or gives; of an input of two parts, the second apart. */
enum { SRQ_TRAIN_INPUT, SRQ_TRAIN_OUTPUT, SRQ_TRAIN_REST, SRQ_TRAIN_SIDES };
struct srq_train_activation {
    struct srq_activation info;
    struct srq_train *t;
    int side;
};

/* What a unit gives, where that is distilled too. */
struct srq_train_feature {
    int unit, port;
    int64_t n;    /* elements of one picture */
    float *value; /* [batch, n]: the teacher's; after the loss, its gradient */
    double size;  /* sum of squares of the teacher's */
};

struct srq_train {
    struct srq_train_config cfg;
    const struct srq_trainer *part;
    struct srq_walk *walk;
    struct srq_states *states;
    int layers, count;                       /* count: of tensors; those of layers come first */
    struct srq_train_tensor *tensors;        /* [count] */
    int *first_vector;                       /* [blocks] tensors of a unit's vectors */
    struct srq_train_activation *activation; /* [SRQ_TRAIN_SIDES layers] */
    struct srq_layer_roundings *roundings;   /* [layers] */
    float *area;                             /* values, gradients and states */
    size_t area_bytes;
    struct srq_noisy_batch batch;
    float *taught;                      /* [batch, out] */
    double *kd;                         /* [batch] */
    struct srq_train_feature *features; /* [feature_count], NULL: none */
    int feature_count;
    float *feature_values;
    int64_t done;
    double rate; /* factor of all learning rates */
};

/* trainer_state.c: reads what srq_train_save wrote. */
int srq_train_load(struct srq_train *t, const char *path, struct srq_error *err);
/* First column of the second part of the layer's input; 0: it is one. */
int64_t srq_train_split(const struct srq_train_config *c, int layer);
/* Grids of activations as the schemes say now. */
void srq_train_take_schemes(struct srq_train *t);

/* trainer_features.c. Teach: after the teacher's pass. Loss: after the student's, before its way back (the mean over
 * units, unweighted). Push: before a unit's way back. */
uint64_t srq_train_features_bytes(const struct srq_train_config *c);
int srq_train_features_create(struct srq_train *t, struct srq_error *err);
void srq_train_features_free(struct srq_train *t);
void srq_train_features_teach(struct srq_train *t);
double srq_train_features_loss(struct srq_train *t);
void srq_train_features_push(struct srq_train *t, int unit);

#endif
