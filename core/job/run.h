/* Inside core/job: one run of a job, shared by its stages. */
#ifndef SRQ_JOB_RUN_H
#define SRQ_JOB_RUN_H

#include "core/base/hash.h"
#include "core/budget/live.h"
#include "core/eval/evaluator.h"
#include "core/job/checkpoint.h"
#include "core/job/events.h"
#include "core/job/high_steps.h"
#include "core/job/noisy_pictures.h"
#include "core/job/resolved.h"
#include "core/job/usage.h"
#include "core/tune/scales.h"

struct srq_task;
struct srq_tasks;

struct srq_run {
    struct srq_resolved resolved;
    const struct srq_job *job; /* its job */
    const char *dir;           /* absolute */
    const char *id;            /* the directory's name */
    char *ckpt;                /* DIR/ckpt */
    struct srq_events events;
    struct srq_job_flags *flags;
    struct srq_tasks *tasks;
    double option[SRQ_LIVE_OPTIONS]; /* that were changed; NaN: as submitted */
    struct srq_usage *usage;
    struct srq_samples calib;        /* with the copies whose words are drawn anew; count 0: none */
    struct srq_noisy_pictures noisy; /* of a diffusion model, in the place of its words; n 0: none */
    struct srq_samples score;        /* what layers are scored on; count 0: none */
    struct srq_samples scaling;      /* what scales are found with; count 0: none */
    struct srq_scales scales;        /* of the transform stage, once it is over; pairs 0: there are none */
    struct srq_samples eval;
    /* What memory is planned with, under the lock of the tasks: calibration samples with their copies (as many as asked
     * for, until they are read) and evaluation windows (0 until then). */
    int64_t planned_samples, planned_windows;
    char basis[SRQ_HASH_HEX];         /* of the fingerprint: what measurements stand on */
    struct srq_scores scores;         /* once they are known; layers 0: not */
    struct srq_allocation allocation; /* of the allocator's last call, under the lock of the tasks */
    /* from the journal */
    double created; /* wall time of its first line */
    double prior_s; /* spent in earlier runs */
    double prior_stage_s[SRQ_STAGES];
    int last_state; /* enum srq_job_state; queued: none yet */
    int64_t *told;  /* [units] generation of the last block.end in the journal; 0: none */
    bool eval_told[SRQ_MEASUREMENTS];
    bool samples_told;
    /* of this run */
    double start; /* monotonic */
    double load_s, export_s;
    uint64_t told_bytes;    /* used when it was last told that the plan is exceeded */
    const char *over_stage; /* where that was last; NULL: nowhere */
    bool finish;            /* what is left is rounded plainly */
    float *refined;         /* scales that results have in the place of their own; NULL: none */
    int64_t *refined_at;    /* [layers] where a layer's begin in them; -1: it keeps its own */
};

/* 0, or why the run shall end at once: -SRQ_ECANCELED (pause or cancel asked for), or the journal cannot be written. */
int srq_run_check(struct srq_run *run, struct srq_error *err);

/* Tells (job.memory, and a warning that names the stage) when the job has come to use more than was planned, and again
 * when that has grown by an eighth. Between batches and at the end of stages. */
void srq_run_watch_memory(struct srq_run *run);
void srq_run_tell_memory(struct srq_run *run); /* planned and used as they are now */

const struct srq_unit_info *srq_run_unit(const struct srq_run *run, int unit);
bool srq_run_is_block(const struct srq_run *run, int unit);

/* The stages. Each picks up where the files in ckpt/ say it was. */
int srq_stage_load(struct srq_run *run, struct srq_error *err);
int srq_stage_calibrate(struct srq_run *run, struct srq_error *err);
/* A part of calibrate, of diffusion models: run->noisy, drawn or as an earlier run drew them on trajectories, with
 * their number and hash in run->calib. Deterministic by the job's seed. */
int srq_run_draw_pictures(struct srq_run *run, struct srq_error *err);
/* Parts of calibrate: room for copies behind the samples that were read, then the copies' words, or those that they had
 * got. */
int srq_run_extend_samples(struct srq_run *run, struct srq_error *err);
int srq_stage_resample(struct srq_run *run, struct srq_error *err);
int srq_stage_score(struct srq_run *run, struct srq_error *err);
int srq_stage_allocate(struct srq_run *run, struct srq_error *err);
void srq_run_offer_solver(
    struct srq_run *run); /* from here on changes of the plan ask the allocator; scores are known */
int srq_stage_evaluate_before(struct srq_run *run, struct srq_error *err);
#define SRQ_SCALES_FILE "scales" /* in ckpt/, .safetensors: what the transform stage found */
#define SRQ_FOLD_FACT "fold"     /* how far the folded model is from the stored one */
/* Finds scales, or takes up those that were found, and folds them into the model. */
int srq_stage_transform(struct srq_run *run, struct srq_error *err);
/* The model with the scales of the transform stage; without one: the stored model. */
int srq_run_fold(struct srq_run *run, struct srq_error *err);
/* Trains a diffusion model, or takes up what was trained: it takes the place of the stored one from then on. */
#define SRQ_TRAINED_FILE "trained" /* in ckpt/, .safetensors */
int srq_stage_train(struct srq_run *run, struct srq_error *err);
struct srq_layer_roundings;
/* [layers] how inputs and outputs of layers are rounded under schemes [layers], once it is trained. */
int srq_run_roundings(const struct srq_run *run, const struct srq_scheme *schemes, struct srq_layer_roundings *out,
                      struct srq_error *err);
int srq_stage_quantize(struct srq_run *run, struct srq_error *err);
/* Samples a diffusion model and what became of it. */
#define SRQ_TRAINED_FACT "trained"   /* in ckpt/, .json: how many steps it was trained for */
#define SRQ_SAMPLES_FACT "samples"   /* in ckpt/, .json: what sets them apart */
#define SRQ_SHEET_FILE "samples.png" /* in ckpt/: some of the pictures */
int srq_stage_sample(struct srq_run *run, struct srq_error *err);
/* Tunes the scales of the result end to end, or takes up those that were found for it. */
int srq_stage_refine(struct srq_run *run, struct srq_error *err);
void srq_run_forget_refined(struct srq_run *run);
bool srq_run_refine_begun(const struct srq_run *run); /* by what is in ckpt/ */
/* {"steps", "loss_first", "loss_last", "kept"}, or null. */
cJSON *srq_run_refine_json(const struct srq_run *run);
int srq_stage_evaluate_after(struct srq_run *run, struct srq_error *err);
int srq_stage_export(struct srq_run *run, struct srq_error *err);

/* Codes of any layer from the results of finished blocks, one block's file open at a time. */
struct srq_results {
    struct srq_run *run;
    struct srq_ckpt_block *open;
    const struct srq_unit_info *unit; /* whose result that is */
    struct srq_codes refined;         /* of the layer asked for last, where its scales are others than stored */
};
void srq_results_init(struct srq_results *r, struct srq_run *run);
int srq_results_codes(void *results, int layer, const struct srq_codes **out, struct srq_error *err);
void srq_results_fini(struct srq_results *r);

/* What is known of the inputs of a unit's layers, asked for in their order. */
struct srq_unit_inputs {
    void *ctx;
    int (*of)(void *ctx, int layer, struct srq_layer *out, struct srq_error *err);
    int (*rounded)(void *ctx, int layer, const struct srq_codes *codes, struct srq_error *err); /* or NULL */
};

/* Told to finish, at an iteration of a unit (0: before it began): kept, so that a resume obeys it too. From then on the
 * rest is rounded plainly. */
int srq_run_keep_finish(struct srq_run *run, int unit, int64_t iter, struct srq_error *err);
/* The same in a stage of steps, which ends after `step` of them; 0: it was not told so there. */
int srq_run_keep_finish_step(struct srq_run *run, enum srq_stage stage, int64_t step, struct srq_error *err);
int64_t srq_run_finish_step(const struct srq_run *run, enum srq_stage stage);
/* {"stage", "block", "name", "iteration", "step"} of that, the last null of blocks and those before it of steps; or
 * null. */
cJSON *srq_run_finish_json(const struct srq_run *run);

/* One task without tuning: by the plugin's one-shot part, or plainly where it has none or the job was told to finish;
 * then layers that have their scheme already keep their codes. Writes its result and tells it; -SRQ_ECANCELED when the
 * plan changed meanwhile. */
int srq_run_round_task(struct srq_run *run, const struct srq_task *task, const struct srq_unit_inputs *inputs,
                       struct srq_error *err);
/* Sends an event of a unit with how far that is now; data is consumed. */
void srq_run_tell_block(struct srq_run *run, const char *event, int unit, cJSON *data, bool sync);
/* After a unit's result is on disk: tells it. schemes: of its layers. */
int srq_run_tell_result(struct srq_run *run, int unit, const struct srq_block_result *result,
                        const struct srq_scheme *schemes, struct srq_error *err);

/* Whether the output is there already, published by this very job before it was killed. */
bool srq_run_published(const struct srq_run *run);

/* Steps of full precision as sampling has settled them; without samples, as the job says. */
struct srq_high_steps srq_run_high_steps(const struct srq_run *run);

/* The report (design 10), for OUT and for the job directory. */
cJSON *srq_report_json(struct srq_run *run, struct srq_error *err);

#endif
