/* Inside core/job: the memory and the chains in which units are tuned or measured, one task after the other. */
#ifndef SRQ_JOB_LOOP_H
#define SRQ_JOB_LOOP_H

#include "core/flow/snapshot.h"
#include "core/flow/walk.h"
#include "core/job/pace.h"
#include "core/job/run.h"
#include "core/job/tasks.h"
#include "core/tune/block_tuner.h"
#include "core/tune/importance.h"
#include "core/tune/statistics.h"

struct srq_loop {
    struct srq_run *run;
    struct srq_states *fp, *q; /* the full-precision chain, and the quantized one: NULL where nothing is tuned */
    bool gathers;              /* one-shot with statistics: the one chain there is, fp, comes through the results */
    struct srq_walk *walk;
    struct srq_tuner *tuner;
    uint64_t tuner_key;                    /* of the schemes that it was made for */
    struct srq_importance *importance;     /* NULL: the quantizer does not need it */
    struct srq_statistics *statistics;     /* the same */
    struct srq_layer_roundings *roundings; /* [layers of the model] within observed ranges; NULL: nothing is rounded */
    struct srq_scheme *schemes;            /* [layers of the model] that they are of */
    struct srq_tensor *own;                /* the block's own weights, for decoded codes */
    int64_t iters;
    /* where the chains are: both enter block `at`, -1: nowhere. `ahead`: the full-precision one is past it already, or
     * both went through the final norm. */
    int at;
    bool ahead;
    /* the running task */
    struct srq_task task;
    int layers, first;
    const char *name;               /* of its unit */
    double began;                   /* monotonic */
    double before_s, tune_before_s; /* spent on it in earlier runs */
    double tune_began;
    struct srq_running resumed;        /* the checkpoint that it went on from, until the next one */
    double best;                       /* probe loss */
    struct srq_pace pace;              /* of checkpoints */
    double snapshot_at, snapshot_rate; /* last snapshot; bytes a second */
    struct srq_error tick_error;
};

/* loop.c */
int srq_loop_create(struct srq_run *run, struct srq_loop **out, struct srq_error *err);
void srq_loop_free(struct srq_loop *l);
/* Loads the task's block, or finds the layer outside the blocks. */
int srq_loop_load(struct srq_loop *l, int unit, struct srq_error *err);
/* The chains enter `unit`; where they are ahead of the very unit they stay so. */
int srq_loop_position(struct srq_loop *l, int unit, struct srq_error *err);
/* The full-precision chain over the loaded block, or through the final norm, with its inputs weighed where needed. */
int srq_loop_full(struct srq_loop *l, struct srq_error *err);
/* Runs the loaded block over a chain; a failure of the tick is the reason then. */
int srq_loop_forward(struct srq_loop *l, struct srq_states *chain, struct srq_error *err);
/* The same for whoever listens to its layers; the chain stays as it is. */
int srq_loop_listen(struct srq_loop *l, struct srq_states *chain, struct srq_error *err);
/* The loaded block rounds what its layers get and give from now on, where the job has observed ranges: as its result
 * says, or without one as the task does. What was loaded does not. */
int srq_loop_round(struct srq_loop *l, struct srq_ckpt_block *result, struct srq_error *err);
/* The block computes with its codes from now on: they are decoded over its own weights. */
int srq_loop_use_codes(struct srq_loop *l, const struct srq_codes *(*get)(void *from, int layer), void *from,
                       struct srq_error *err);

/* A task begins: the chains enter its unit. */
int srq_loop_begin(struct srq_loop *l, const struct srq_task *task, struct srq_error *err);

/* loop_tune.c: one task of a tunable quantizer, result and all. -SRQ_ECANCELED also when the plan changed. */
int srq_loop_tune(struct srq_loop *l, const struct srq_task *task, struct srq_error *err);
/* loop_oneshot.c: one task of a quantizer that needs to know its inputs and tunes nothing. */
int srq_loop_oneshot(struct srq_loop *l, const struct srq_task *task, struct srq_error *err);

#endif
