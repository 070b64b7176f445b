/* Inside core/tune: the block tuner's parts. A unit is what is tuned at once: a block, or one layer outside them. */
#ifndef SRQ_TUNE_TUNER_H
#define SRQ_TUNE_TUNER_H

#include "core/tune/block_tuner.h"
#include "core/tune/params.h"

#define ERROR_TOKENS 128 /* tokens on which layer errors are taken */

/* Arenas; each is one row of the memory plan. */
enum area_kind {
    AREA_TUNED,   /* parameters of the plugin */
    AREA_BEST,    /* their best values */
    AREA_STATE,   /* momentum and the like */
    AREA_SCRATCH, /* ranges, gradients of ranges */
    AREA_CODES,
    AREA_BATCH, /* gathered rows of the present batch */
    AREA_ERROR, /* rows for layer errors */
    AREA_HEAD,  /* Ŵ of a layer outside the blocks and its tiles */
    AREA_COUNT
};

struct area {
    char *base; /* NULL while measuring */
    size_t size, used;
};

struct tuned_layer {
    bool active; /* quantized by the plugin */
    struct srq_layer layer;
    struct srq_tensor weight;
    struct srq_params declared;
    float *param[SRQ_MAX_PARAMS];
    struct srq_codes codes;    /* their scheme and groups are the layer's */
    struct srq_linear *linear; /* of the block; NULL for a single layer */
    struct srq_tensor fake;    /* where Ŵ is written */
    double num, den;           /* of the layer error being taken */
    struct srq_tuner *tuner;
};

struct srq_tuner {
    const struct srq_model *model;
    const struct srq_plugin *plugin;
    void *self;
    struct srq_tune_config cfg; /* its schemes are those of the plan, not of a task */
    enum srq_dtype compute;
    uint32_t needs; /* SRQ_NEED_… of the plugin */
    struct srq_schedule sched;
    struct srq_tape *tape;
    size_t tape_bytes;
    double tape_drop; /* largest share of errors left out that the tape was measured for */
    struct area area[AREA_COUNT];

    /* the present unit */
    int unit;                        /* block, or the number of blocks for a layer outside them */
    int first, count;                /* its layers in the model's table */
    struct tuned_layer *layers;      /* [most layers of a unit] */
    const struct srq_layer **active; /* those that are quantized, as rules() sees them */
    struct srq_block_rules rules;
    int layers_cap;
    struct srq_block *block; /* NULL for a single layer */
    const struct srq_block_io *io;
    const struct srq_tune_events *events;
    uint64_t layout; /* hash of what the saved arrays depend on */

    /* data order */
    int64_t batch, step_samples; /* samples of a micro-batch and of a step */
    int64_t *perm, perm_epoch;   /* [nsamples]; epoch that perm holds, -1: none */
    int64_t *probe, probe_count; /* sample indices */

    /* gathered rows (AREA_BATCH) */
    int ins, outs;                                          /* ports of the unit; 1 and 1 for a single layer */
    int64_t x_size[SRQ_UNIT_PORTS], y_size[SRQ_UNIT_PORTS]; /* elements of a sample */
    void *x[SRQ_UNIT_PORTS], *y[SRQ_UNIT_PORTS];
    uint8_t *mask;

    /* layer errors (AREA_ERROR) */
    float *err_x, *err_w, *err_d, *err_y;
    int64_t err_picks[ERROR_TOKENS], err_quota;
    int err_count;

    /* a single layer (AREA_HEAD) */
    float *head_w, *head_e, *head_g;
    int64_t head_tile;

    /* the loop */
    bool running; /* srq_tuner_save has something to save */
    struct srq_step step;
    int64_t iter, best_iter, last_probe;
    double loss_first, loss_best, loss_last;
    double *error_first, *error_best, *error_last; /* [layers_cap] each */
    bool weights_fresh;
};

/* tuner_area.c */
/* Takes `bytes` of an area, 64-byte aligned; while measuring NULL with the need counted. -SRQ_ELIMIT when it is
 * full. */
int area_take(struct srq_tuner *t, enum area_kind kind, size_t bytes, void **out, struct srq_error *err);
const char *area_name(enum area_kind kind);

/* tuner_layers.c: the layers of a unit */
/* Finds the unit's layers and takes their arrays, batch rows and tiles from the areas (or measures them). */
int unit_place(struct srq_tuner *t, int unit, const struct srq_scheme *schemes, struct srq_error *err);
int unit_begin(struct srq_tuner *t, struct srq_error *err);   /* weights, initial values, the plugin's begin() */
int unit_weights(struct srq_tuner *t, struct srq_error *err); /* Ŵ of all layers, unless they are fresh */
int unit_step(struct srq_tuner *t, struct srq_error *err);
int unit_finish(struct srq_tuner *t, struct srq_error *err); /* codes, checked, decoded into the block */
int64_t tile_rows(int64_t in); /* rows of a weight taken at a time where errors and single layers are computed */
void unit_sinks(struct srq_tuner *t, bool on);
void unit_keep_best(struct srq_tuner *t);    /* parameters -> best */
void unit_restore_best(struct srq_tuner *t); /* best -> parameters */

/* tuner_data.c: which samples, and their rows */
const int64_t *data_batch(struct srq_tuner *t, int64_t iter); /* step_samples indices */
void data_gather(struct srq_tuner *t, const int64_t *samples, int64_t n);
int64_t data_valid(const struct srq_tuner *t, int64_t n); /* valid tokens among the first n gathered samples */

/* tuner_pass.c, tuner_single.c: loss of the n gathered samples; with `backward` the sinks get the gradient */
int pass_run(struct srq_tuner *t, int64_t n, bool backward, double *loss, struct srq_error *err);
int single_pass(struct srq_tuner *t, int64_t n, bool backward, double *loss, struct srq_error *err);

/* tuner_probe.c */
int probe_run(struct srq_tuner *t, struct srq_error *err);

/* tuner_state.c */
int state_restore(struct srq_tuner *t, const struct srq_part *state, struct srq_error *err);

#endif
