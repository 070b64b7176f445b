/* What a job on a diffusion model samples with to see what came out: the original, the quantized model, and the
 * original as the first and last steps of the mix compute it (spec diffusion-qat 4). */
#ifndef SRQ_JOB_SAMPLE_MODELS_H
#define SRQ_JOB_SAMPLE_MODELS_H

#include "core/flow/integers.h"
#include "core/job/run.h"
#include "core/job/train.h"

struct srq_sample_models {
    struct srq_denoiser *full, *quantized, *high;
    int integer_layers; /* of the quantized model: they compute on integers, the others are simulated */
    /* what these compute with */
    const struct srq_run *run;
    struct srq_model *original;            /* as it is stored, whatever has taken its place */
    struct srq_ckpt_block **results;       /* [units] */
    const struct srq_codes **codes;        /* [layers]; NULL: left alone */
    struct srq_layer_roundings *roundings; /* [layers] */
    struct srq_integers *integers;
    struct srq_weights weights;
};

/* The results of all units are there. What it takes: srq_job_sample_needs. */
int srq_sample_models_open(struct srq_run *run, struct srq_sample_models **out, struct srq_error *err);
void srq_sample_models_close(struct srq_sample_models *m); /* NULL is fine */

#endif
