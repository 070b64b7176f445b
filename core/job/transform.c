/* What a transform adds to a resolved job. */
#include "core/job/transform.h"

#include "core/base/alloc.h"
#include "core/flow/walk.h"
#include "core/tune/fold_error.h"

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How many samples, and how long: what the plugin asks for, where it does not care what the job has, and what the model
 * has positions for. 0: it wants none. */
static int settle_samples(struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_plugin *p = srq_spec_transform(&r->spec);
    struct srq_transform_schedule *s = &r->transform;

    if (!srq_transform_wants_samples(p, r->transform_self, s)) {
        s->nsamples = s->seqlen = 0;
        return 0;
    }
    if (r->spec.calib_count == 0)
        return srq_fail_field(err, -SRQ_EINVAL, "calib", "%s needs calibration text: give \"calib\" a file", p->name);
    s->nsamples = s->nsamples > 0 ? s->nsamples : r->spec.opt.nsamples;
    s->seqlen = s->seqlen > 0 ? s->seqlen : r->spec.opt.seqlen;
    if (r->info->max_positions > 0 && s->seqlen > r->info->max_positions)
        s->seqlen = r->info->max_positions;
    if (s->seqlen < 2 || s->nsamples <= s->holdout)
        return srq_fail(err, -SRQ_EINVAL, "%s wants %lld samples of %lld tokens and holds out %lld of them", p->name,
                        (long long)s->nsamples, (long long)s->seqlen, (long long)s->holdout);
    return 0;
}

/* A file of scales has to be one for this model before anything is measured or queued. */
static int check_load(const struct srq_resolved *r, struct srq_error *err)
{
    bool *wanted = srq_calloc((size_t)srq_model_pair_count(r->model) + 1, sizeof(*wanted));
    struct srq_scales scales = { 0 };
    int rc = 0;

    if (wanted == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for the pairs of a model");
    if (rc == 0)
        rc = srq_transform_pairs(r->model, srq_spec_transform(&r->spec), r->transform_self, wanted, err);
    if (rc == 0)
        rc = srq_scales_alloc(r->model, wanted, &scales, err);
    if (rc == 0)
        rc = srq_scales_read(&scales, r->model, r->transform.load, err);
    srq_scales_fini(&scales);
    srq_free(wanted);
    return rc;
}

int srq_job_transform_open(struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_plugin *p = srq_spec_transform(&r->spec);
    int rc;

    if (p == NULL)
        return 0;
    if (srq_model_pair_count(r->model) == 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model", "%s has no layers whose inputs %s could scale",
                              r->info->path, p->name);
    rc = p->create(srq_host_services(), r->spec.plugins[r->spec.transform].options, &r->transform_self, err);
    if (rc == 0)
        rc = srq_transform_schedule_of(p, r->transform_self, &r->transform, err);
    if (rc == 0)
        rc = settle_samples(r, err);
    if (rc == 0 && r->transform.load != NULL)
        rc = check_load(r, err);
    return rc > 0 ? -SRQ_EINVAL : rc;
}

void srq_job_transform_close(struct srq_resolved *r)
{
    if (r->transform_self != NULL)
        srq_spec_transform(&r->spec)->destroy(srq_host_services(), r->transform_self);
    r->transform_self = NULL;
    srq_free(r->aims);
    r->aims = NULL;
}

int srq_job_transform_aim(struct srq_resolved *r, struct srq_plan_request *req, struct srq_error *err)
{
    if (srq_spec_transform(&r->spec) == NULL || srq_spec_quantizes(&r->spec))
        return 0;
    r->aims = srq_calloc((size_t)r->layer_count + 1, sizeof(r->aims[0]));
    if (r->aims == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %d layers", r->layer_count);
    for (int i = 0; i < r->layer_count; i++)
        r->aims[i] = r->plan.layers[i].scheme;
    srq_plan_fini(&r->plan);
    req->scheme = srq_scheme_none();
    req->pin_count = 0;
    return srq_plan_make(r->layers, r->layer_count, req, &r->plan, r->notes, err);
}

/* ---- data and memory --------------------------------------------------------------------------------------------- */

struct srq_transform_config srq_job_transform_config(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_transform_schedule *s = &r->transform;
    int64_t batch = s->objective != SRQ_OBJECTIVE_NONE ? s->batch : r->spec.opt.batch;

    return (struct srq_transform_config){ .model = r->model,
                                          .plugin = srq_spec_transform(&r->spec),
                                          .self = r->transform_self,
                                          .schemes = r->aims != NULL ? r->aims : r->schemes,
                                          .nsamples = nsamples,
                                          .seq = s->seqlen,
                                          .batch = nsamples > 0 ? smaller(batch, nsamples) : batch,
                                          .compute = r->compute,
                                          .seed = (uint64_t)r->spec.opt.seed };
}

/* Holding the folded model against the stored one: a block in F32, a forward pass of some tokens, their logits
 * twice. */
static int add_check(struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_walk_config walk = { r->model, SRQ_F32, SRQ_F32, 1, SRQ_FOLD_TOKENS, .backward = false };
    struct srq_walk_memory forward = { 0, 0, 0 };
    int rc = srq_walk_measure(&walk, &forward, err);

    srq_needs_add(&r->memory, "check", "fold: block parameters in F32", forward.block);
    srq_needs_add(&r->memory, "check", "fold: forward pass of some tokens", forward.tape);
    srq_needs_add(&r->memory, "check", "fold: states and logits, folded and stored",
                  2 * (uint64_t)SRQ_FOLD_TOKENS * (uint64_t)(r->info->vocab + r->info->hidden) * sizeof(float));
    srq_needs_add(&r->memory, "check", "fold: head", srq_head_bytes(r->model, SRQ_FOLD_TOKENS));
    return rc;
}

int srq_job_transform_needs(struct srq_resolved *r, struct srq_error *err)
{
    static const char *const after[] = { "check", "quantize", "refine", "evaluate",
                                         "export" }; /* once scales are found */
    struct srq_transform_config cfg;
    struct srq_memory_rows rows = { .count = 0 };
    int rc;

    if (srq_spec_transform(&r->spec) == NULL)
        return 0;
    cfg = srq_job_transform_config(r, r->transform.nsamples);
    rc = srq_transform_footprint(&cfg, &rows, err);
    srq_needs_add(&r->memory, "all", "transform: token ids", (uint64_t)(cfg.nsamples * cfg.seq) * sizeof(int32_t));
    if (rc == 0)
        srq_needs_add_all(&r->memory, "transform", &rows);
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++)
        srq_needs_add(&r->memory, after[i], "scales and what they are folded into", srq_model_fold_bytes(r->model));
    return rc == 0 ? add_check(r, err) : rc;
}
