/* Inside core/tune: what the files of the transformer share. */
#ifndef SRQ_TUNE_TRANSFORM_PARTS_H
#define SRQ_TUNE_TRANSFORM_PARTS_H

#include "core/tune/statistics.h"
#include "core/tune/transform.h"
#include "core/flow/walk.h"

/* Rows that are rounded together: few enough for a thread's caches. */
#define SRQ_TRANSFORM_ROWS 8

struct srq_transform_group {
    struct srq_scale_group info; /* what the plugin sees */
    const struct srq_pair_info *pair;
    int pair_index;
    struct srq_layer layer[SRQ_PAIR_CONSUMERS];
    const struct srq_layer *consumer[SRQ_PAIR_CONSUMERS];
    struct srq_tensor weight[SRQ_PAIR_CONSUMERS];
    struct srq_groups groups[SRQ_PAIR_CONSUMERS];
    float *state[SRQ_MAX_STATES];
    float *grad; /* [channels]; NULL where nothing is trained */
};

/* One linear of the loaded block. */
struct srq_effective_layer {
    struct srq_transformer *t;
    const struct srq_layer_info *info;
    const struct srq_grid_ops *grid; /* NULL: not quantized */
    struct srq_scheme scheme;
    struct srq_tensor weight;          /* as stored */
    struct srq_transform_group *group; /* whose scales its inputs have; NULL: none */
    float *column;                     /* [in] scale of every input channel */
    float lo, hi;                      /* of the whole scaled weight, where the scheme or nvfp4 needs them */
    float tensor_scale;                /* nvfp4 */
    double *sum;                       /* [threads, in] of E∘G over the rows that a thread had */
};

enum srq_transform_part {
    SRQ_PART_BLOCK,
    SRQ_PART_ROPE,
    SRQ_PART_TAPE,
    SRQ_PART_STATES,
    SRQ_PART_CHAIN,
    SRQ_PART_LAYERS,
    SRQ_PART_HEAD,
    SRQ_PART_SCALES,
    SRQ_PART_STATISTICS,
    SRQ_PART_COUNT
};

struct srq_transformer {
    const struct srq_model *model;
    const struct srq_plugin *plugin;
    void *self;
    const struct srq_scheme *schemes;
    struct srq_transform_config cfg;
    struct srq_transform_schedule schedule;
    const struct srq_samples *samples;
    const struct srq_transform_events *events; /* of the run */
    uint32_t needs;
    bool passes; /* the full-precision model runs over all samples: for statistics, or for the teacher's states */
    bool trains;
    int blocks, linears; /* most linears of a block */
    struct srq_scales scales, best;
    struct srq_transform_group *groups;
    int group_count;
    float *states; /* of the plugin, all groups */
    float *grads;
    size_t channels; /* of all groups */

    struct srq_walk *walk;
    struct srq_statistics *statistics;
    struct srq_states *chain; /* of all samples: final states of the original at the end of the pass */
    size_t bytes[SRQ_PART_COUNT];

    struct srq_effective_layer *layer; /* of the loaded unit by their place in it, where something is trained */
    const struct srq_unit_info *unit;  /* that is loaded */
    double *sums;                      /* of all of them */
    float *column;                     /* of all of them */
    float *rows; /* [threads][2][SRQ_TRANSFORM_ROWS, widest], then [threads][2][groups of those rows] */
    size_t row_floats, group_floats; /* of one thread */
    int loaded;                      /* the block that is in memory with its effective weights; -1: none */
    struct srq_training *training;
};

/* What the head gets: bytes of n samples. */
size_t srq_transform_final_bytes(const struct srq_transformer *t, int64_t n);
/* Of the walk and of the store of all samples. */
struct srq_walk_config srq_transform_walk_config(const struct srq_transformer *t);
struct srq_states_config srq_transform_states_config(const struct srq_transformer *t);
/* Tells how far it is; what the caller answers. */
int srq_transform_tick(const struct srq_transformer *t, double done, double total, const char *unit, bool at_step,
                       struct srq_error *err);

/* transform_begin.c: statistics and begin(). */
int srq_transform_begin(struct srq_transformer *t, struct srq_error *err);

/* transform_effective.c: a block with effective weights, and the gradients of its scales. */
size_t srq_effective_bytes(const struct srq_transformer *t); /* of layers, sums and rows */
int srq_effective_create(struct srq_transformer *t, struct srq_error *err);
void srq_effective_free(struct srq_transformer *t);
/* Loads a block; its quantized linears get W_eff. */
int srq_effective_load(struct srq_transformer *t, int block, struct srq_error *err);
/* Whether the layers listen to their gradients. Set anew after every load. */
void srq_effective_listen(struct srq_transformer *t, bool on);
/* Adds what the layers heard to their groups' gradients, and forgets it. */
void srq_effective_collect(struct srq_transformer *t);

/* transform_train.c */
int srq_training_measure(struct srq_transformer *t, struct srq_error *err); /* fills t->bytes */
int srq_training_create(struct srq_transformer *t, struct srq_error *err);
void srq_training_free(struct srq_transformer *t);
int srq_training_run(struct srq_transformer *t, const char *resume, struct srq_error *err);

/* transform_state.c: what a checkpoint of the training holds. */
struct srq_training_state {
    int64_t step;       /* steps done */
    double first, best; /* probes; NaN: none yet */
    int64_t best_step;
};
int srq_training_write(const struct srq_transformer *t, const struct srq_training_state *s, const char *dir,
                       const char *base, struct srq_error *err);
int srq_training_read(struct srq_transformer *t, struct srq_training_state *s, const char *path, struct srq_error *err);

#endif
