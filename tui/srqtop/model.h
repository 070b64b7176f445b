/* What srqtop knows: jobs, their blocks and layers, curves, log, as the daemon told them.
 *
 * The data side (feed.c) fills it from replies and events; panels only read it. What is not known is never shown as 0:
 * such numbers are a struct metric. Strings belong to the model; NULL where unknown. Indices into arrays hold until the
 * next event is fed. */
#ifndef SRQ_TUI_SRQTOP_MODEL_H
#define SRQ_TUI_SRQTOP_MODEL_H

#include "core/proto/words.h"

#include <stdbool.h>
#include <stdint.h>

struct metric {
    bool known;
    double v;
};

/* A curve, at most TOP_POINTS points; when it is full every second one goes. Ascending in iter within one run of a
 * block; a restart of the block begins it anew. */
#define TOP_POINTS 2000
struct top_point {
    float iter, value;
};
struct top_series {
    struct top_point *points;
    int count, cap;
    int stride, pending; /* thinning: one of `stride` samples stays; samples since the last that did (0: the tail) */
    bool rewind;         /* a run began anew: the next point says from where */
};

/* What a scorer said of a scheme for a layer. */
struct top_score {
    char scheme[32];
    struct metric score;
};
#define TOP_SCORES 32 /* of one layer; more are not kept */

struct top_layer {
    char *name, *module;
    int block; /* index into blocks, -1: outside them */
    int64_t out, in;
    char scheme[32]; /* of the plan */
    double bits;     /* of that scheme, without scales; 16 for bf16; 0: not known */
    unsigned widths; /* bits 2 … 8 that it can be stored in, as 1 << bits; 0: not known */
    enum srq_decider source;
    bool pin, untied; /* untied: a pin took it out of its tie */
    const char *tie;  /* layers of one block with the same text change together; NULL: none */
    enum srq_work_state state;
    struct metric score; /* of the present scheme */
    struct top_score *scored;
    int scored_count;
    struct metric error_first, error_last, error_best;
    struct metric saturation; /* share 0 … 1 */
    struct top_series errors;
    /* what the user is about to ask for */
    bool tagged;
    char edit[32]; /* scheme proposed; empty: none */
    bool along;    /* proposed for one that it is fused with, and so for this one */
};

struct top_block {
    int index;
    char *name;
    int first, count; /* its layers: layers[first … first+count) */
    enum srq_work_state state;
    int64_t iters;
    struct metric iter; /* where the running one is */
    struct metric loss_first, loss_last, loss_best, best_iter, elapsed_s;
    struct top_series loss, probe;
    bool again;        /* the run is (or was) not its first */
    int64_t begun_seq; /* journal line of its last block.begin; 0: none yet */
};
#define TOP_BLOCKS 20000 /* more are not believed */
#define TOP_LAYERS 200000

struct top_line {
    double time;
    int level; /* 0 error, 1 warning, 2 info, 3 debug */
    char *text;
};
#define TOP_LINES 5000 /* log lines kept, the newest */

struct top_eval {
    struct metric perplexity, kl, top1;
};

/* Scales of a transform, while and after they are trained. */
#define TOP_PAIR_KINDS 5 /* A to E */
struct top_transform {
    struct metric iter, loss_first, loss_last, loss_best; /* losses of probes */
    struct metric spread[TOP_PAIR_KINDS];                 /* mean of |log scale| by kinds of pairs */
    struct top_series loss, probe;
};

/* Some pictures of a diffusion model. */
#define TOP_PICTURES 16 /* more, or larger ones, are not believed */
#define TOP_PICTURE_SIDE 64
struct top_pictures {
    int count, height, width, channels; /* count 0: none; channels 1 gray, 3 red, green, blue */
    uint8_t *bytes;                     /* [count, height, width, channels], 0 dark … 255 light */
    struct metric train_step;           /* training steps done by then; unknown: of the job's result */
    int64_t steps;                      /* in which they were sampled */
};
/* What pictures are sampled with: the full-precision model, the quantized one, the mix of both over the steps. */
struct top_sampled {
    struct top_pictures pictures;
    struct metric fid, pair_mse, psnr, ssim, picture_step_s;
};
struct top_diffusion {
    struct top_sampled of[SRQ_SAMPLINGS];
    int64_t sample_steps, hp_first, hp_last; /* how the mix divides them; sample_steps 0: not known yet */
    /* dB by step 0 … sqnr_steps-1 of a trajectory: of the quantized model now, those of its steps that the mix computes
     * in full precision, and what it was before the first training step. */
    struct top_series sqnr, sqnr_high, sqnr_first;
    int64_t sqnr_steps;
    struct top_series task, kd; /* parts of the training loss, by training step */
};

struct top_front_point {
    double average_bits, loss;
};

struct top_job {
    /* as listed */
    char *id, *name, *owner, *model, *method, *scheme, *output, *reason, *stage, *unit;
    enum srq_job_state state;
    const char *wish; /* of srq_wish_words: what it was told and has not done yet; NULL: nothing */
    bool own;         /* the user may change it */
    int priority;
    struct metric position, submitted, started, ended;
    struct metric done, total, rate, eta_s;
    struct metric before_bytes, after_bytes, average_bits, memory_bytes, threads;
    int restarts;
    /* once it was opened */
    bool opened, plan_known;
    int64_t revision;
    struct metric budget_bits;
    struct metric score_batches; /* in how many batches scores are added up */
    struct top_layer *layers;
    int layer_count;
    struct top_block *blocks;
    int block_count;
    struct top_line *lines;
    int line_count;
    struct top_eval before, rtn, after;
    struct top_transform transform;
    struct top_diffusion diffusion;
    struct top_front_point *front; /* Pareto front of allocation, ascending bits */
    int front_count;
    int64_t skipped;           /* samples that the daemon left out because this client was slow */
    char *candidates;          /* schemes the allocator may choose from, separated by ", "; NULL: no budget */
    char *changed_by, *change; /* who changed the plan last, and what, in words; NULL: nobody since we look */
    int64_t last_seq;          /* last journal line fed */
    double progress_at;        /* time of the newest progress, for those that come late */
    bool plan_stale;           /* the plan must be asked for again */
};

/* What a proposed change would do, from a dry run. */
struct top_preview {
    bool known, waiting;
    int changed, moved; /* layers; those of them that the allocator chose again */
    char *missing;      /* why no loss is predicted; NULL: one is */
    struct metric before_bytes,
        after_bytes; /* size of the exported weights by the plan as it is, and after the change */
    struct metric average_bits_now, average_bits, forecast_now, forecast, cost_s;
    int restarts; /* block, -1: none */
    int retunes;  /* how many blocks */
    int64_t revision;
    char *refused;   /* why it would be refused; NULL: it would not */
    char **warnings; /* of the dry run, all of them; one may be NULL (no memory) */
    int warning_count;
};

enum top_link_state { TOP_LINK_CONNECTING, TOP_LINK_UP, TOP_LINK_LOST };

/* What the daemon has under way, of all users, and what it may at most. */
struct top_meter {
    bool known;
    struct metric running, waiting, most_running, threads, most_threads, memory_bytes, most_memory_bytes;
    struct metric disk_free_bytes, disk_total_bytes;
};

struct top_model {
    enum top_link_state link;
    struct top_meter meter;
    char *link_text; /* "no daemon at /run/…: trying again in 2 s" */
    char *server;    /* "srqd 0.1.0, pid 123, user" */
    bool admin, readonly;
    struct top_job *jobs; /* newest first, as the daemon lists them */
    int job_count;
    struct top_preview preview; /* of the edits of the job shown */
    char *ended;                /* what the user is to be notified of: own jobs that ended; NULL: nothing new */
    char *notice;               /* one line for the bottom: the last refusal or success; NULL: none */
    bool notice_bad;
    double now;      /* wall time of the last look, seconds */
    int64_t uid;     /* our user id, as the daemon sees it; -1: not known */
    bool list_stale; /* the list must be asked for again */
    bool changed;    /* something to draw came since the app last reset this */
};

void top_model_init(struct top_model *m);
void top_model_fini(struct top_model *m);
struct top_job *top_model_job(const struct top_model *m, const char *id);   /* NULL: none */
struct top_layer *top_job_layer(const struct top_job *j, const char *name); /* NULL: none */
/* 1 - last/first; unknown where either is. */
struct metric top_gain(struct metric first, struct metric last);

struct metric top_known(double v); /* unknown when v is not finite */
void top_job_fini(struct top_job *j);
void top_job_close(struct top_job *j); /* forgets what opening it brought */
void top_block_fini(struct top_block *b);
void top_layer_fini(struct top_layer *l);
/* The block with that index, made when it is new; NULL when that cannot be (too many, no memory). */
struct top_block *top_job_block(struct top_job *j, int64_t index);
void top_job_log(struct top_job *j, double time, int level, const char *text);
void top_preview_reset(struct top_preview *p);
void top_model_say(struct top_model *m, bool bad, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Replaces *to with a copy in which control characters are escaped; NULL: unknown. */
void top_set_text(char **to, const char *text);

/* Adds a point. Points of one run come in rising iter; others are left out. */
void top_series_add(struct top_series *s, double iter, double value);
void top_series_begin(struct top_series *s); /* a new run; the old curve stays until its first point */
void top_series_fini(struct top_series *s);

#endif
