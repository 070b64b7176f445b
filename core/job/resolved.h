/* A job made concrete: its specification together with its model, plan, dtypes and needs. */
#ifndef SRQ_JOB_RESOLVED_H
#define SRQ_JOB_RESOLVED_H

#include "core/diffusion/schedule.h"
#include "core/format/pictures.h"
#include "core/job/needs.h"
#include "core/job/spec.h"
#include "core/model/export.h"

/* The job as a value: made once from specification and model, then only read. */
struct srq_job {
    struct srq_spec spec; /* normalised: threads, compute, cache, seqlen and batch are what will be used */
    struct srq_model *model;
    const struct srq_model_info *info;
    const struct srq_layer_info **layers; /* the model's */
    int layer_count;
    void *self;                              /* instance of the quantizer */
    void *scorer_self, *allocator_self;      /* where the job has a budget */
    struct srq_candidates candidates;        /* likewise; count 0: none */
    struct srq_score_data score_data;        /* likewise: on what layers are scored */
    void *transform_self;                    /* where the method has a transform */
    struct srq_transform_schedule transform; /* likewise: nsamples and seqlen of the samples that it gets; 0: none */
    struct srq_scheme *aims; /* likewise: what layers are scaled for, one a layer; the plan's schemes, or those
                                that were asked for where nothing is quantized */
    /* of a diffusion model */
    void *trainer_self;                /* where the method has a trainer; may be the quantizer's */
    struct srq_trainer_schedule train; /* likewise */
    struct srq_noise_schedule *noise;
    struct srq_picture_set *pictures; /* that are given to learn from, or NULL */
    struct srq_picture_set *like;     /* that samples should be like, or NULL */
    enum srq_dtype compute, cache;
    bool tunes;      /* the quantizer is tunable: there are chains, checkpoints inside blocks, samples */
    uint32_t needs;  /* SRQ_NEED_… of it */
    bool calibrates; /* it wants calibration data at all */
};

/* Tokens of a calibration sample; 1 of a diffusion model, whose samples are pictures. */
int64_t srq_job_seqlen(const struct srq_job *job);
/* Whether ranges of activations are observed beforehand, within which inputs of layers are rounded then. */
bool srq_job_observes(const struct srq_job *job);

/* What is decided about it, and may be decided anew while it runs. */
struct srq_choice {
    struct srq_plan plan;
    struct srq_scheme *schemes; /* of the plan, one a layer */
    bool allocated;             /* the plan is what the allocator chose; until then the largest is counted with */
    struct srq_plan_size size;  /* after_bytes: all tensors of the export, in the first format */
    int64_t batch;              /* samples that go through a block together */
    int64_t copies;             /* of each calibration sample, beside it, with words drawn anew */
    bool spill;                 /* the activation cache is a mapped file */
    int64_t score_sweep;        /* batches whose block inputs are kept together while layers are scored; 0: all */
    int snapshots;              /* of both chains that there is room for on disk */
};

/* What it needs with what is decided. */
struct srq_footprint {
    uint64_t baseline_bytes; /* memory of the process before any of what is counted */
    uint64_t library_bytes;  /* what libraries took so far for the products that were counted */
    struct srq_needs memory, disk;
    uint64_t planned_bytes, planned_disk_bytes;
};

struct srq_resolved {
    struct srq_job job;
    struct srq_choice choice;
    struct srq_footprint footprint;
    cJSON *notes; /* sentences for people */
};

void srq_resolved_note(struct srq_resolved *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The export formats' word on a plan: an srq_plan_formats, `resolved` a struct srq_resolved. */
int srq_resolved_formats(void *resolved, const struct srq_scheme *schemes, char (*reason)[SRQ_PLAN_REASON_MAX],
                         struct srq_error *err);
/* Whether the plan has layers whose inputs are rounded, for evaluation. */
bool srq_resolved_rounds_inputs(const struct srq_resolved *r);
/* The word of quantizer and trainer on every layer. */
int srq_resolved_accepts(const struct srq_resolved *r, struct srq_error *err);

#endif
