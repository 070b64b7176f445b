/* The models of sampling. */
#include "core/job/sample_models.h"

#include "core/base/alloc.h"

static int has_codes(void *ctx, int layer, struct srq_error *err)
{
    const struct srq_sample_models *m = ctx;

    (void)err;
    return m->codes[layer] != NULL;
}

static void code_rows(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    const struct srq_sample_models *m = ctx;

    srq_codes_decode_rows(m->codes[layer], row, rows, dst, dtype);
}

static const struct srq_int8_weight *integer_of(void *ctx, int layer)
{
    const struct srq_sample_models *m = ctx;

    return srq_integers_get(m->integers, layer);
}

static int open_results(struct srq_sample_models *m, struct srq_error *err)
{
    const struct srq_job *job = m->run->job;
    int rc = 0;

    for (int u = 0; rc == 0 && u < job->info->blocks; u++) {
        const struct srq_unit_info *info = srq_run_unit(m->run, u);

        rc = srq_ckpt_block_open(m->run->ckpt, u, job->layers + info->first, info->count, &m->results[u], err);
        for (int i = 0; rc == 0 && i < info->count; i++)
            m->codes[info->first + i] = srq_ckpt_block_codes(m->results[u], i);
    }
    return rc;
}

static int open_denoisers(struct srq_sample_models *m, struct srq_error *err)
{
    const struct srq_job *job = m->run->job;
    struct srq_denoiser_config d = srq_job_sample_config(job, SRQ_SAMPLE_FULL);
    int rc;

    d.model = m->original;
    rc = srq_denoiser_create(&d, &m->full, err);
    m->high = m->full;
    d = srq_job_sample_config(job, SRQ_SAMPLE_HIGH);
    d.model = m->original;
    if (rc == 0 && d.compute != SRQ_F32)
        rc = srq_denoiser_create(&d, &m->high, err);
    d = srq_job_sample_config(job, SRQ_SAMPLE_QUANTIZED);
    d.weights = &m->weights;
    if (d.roundings != NULL)
        d.roundings = m->roundings;
    return rc == 0 ? srq_denoiser_create(&d, &m->quantized, err) : rc;
}

static int fill(struct srq_sample_models *m, struct srq_run *run, struct srq_error *err)
{
    const struct srq_job *job = run->job;
    int rc = srq_model_open(job->spec.model, true, &m->original, err);

    m->results = srq_calloc((size_t)job->info->blocks + 1, sizeof(m->results[0]));
    m->codes = srq_calloc((size_t)job->layer_count + 1, sizeof(m->codes[0]));
    m->roundings = srq_calloc((size_t)job->layer_count + 1, sizeof(m->roundings[0]));
    if (rc == 0 && (m->results == NULL || m->codes == NULL || m->roundings == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for sampling");
    if (rc == 0)
        rc = open_results(m, err);
    m->weights = (struct srq_weights){ .ctx = m, .has = has_codes, .rows = code_rows };
    if (rc != 0 || srq_spec_trainer(&job->spec) == NULL)
        return rc;
    rc = srq_run_roundings(run, run->resolved.choice.schemes, m->roundings, err);
    if (rc == 0)
        rc = srq_integers_create(job->model, m->codes, &m->integers, err);
    if (rc != 0)
        return rc;
    m->weights.integer = integer_of;
    m->integer_layers = srq_integers_count(m->integers, m->roundings);
    return 0;
}

int srq_sample_models_open(struct srq_run *run, struct srq_sample_models **out, struct srq_error *err)
{
    struct srq_sample_models *m = srq_calloc(1, sizeof(*m));
    int rc;

    *out = NULL;
    if (m == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for sampling");
    m->run = run;
    rc = fill(m, run, err);
    if (rc == 0)
        rc = open_denoisers(m, err);
    if (rc != 0)
        srq_sample_models_close(m);
    else
        *out = m;
    return rc;
}

void srq_sample_models_close(struct srq_sample_models *m)
{
    if (m == NULL)
        return;
    if (m->high != m->full)
        srq_denoiser_free(m->high);
    srq_denoiser_free(m->full);
    srq_denoiser_free(m->quantized);
    srq_integers_free(m->integers);
    for (int u = 0; m->results != NULL && u < m->run->job->info->blocks; u++)
        srq_ckpt_block_close(m->results[u]);
    srq_model_close(m->original);
    srq_free(m->results);
    srq_free(m->codes);
    srq_free(m->roundings);
    srq_free(m);
}
