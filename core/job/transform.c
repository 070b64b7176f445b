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
    const struct srq_plugin *p = srq_spec_transform(&r->job.spec);
    struct srq_transform_schedule *s = &r->job.transform;

    if (!srq_transform_wants_samples(p, r->job.transform_self, s)) {
        s->nsamples = s->seqlen = 0;
        return 0;
    }
    if (r->job.spec.calib_count == 0)
        return srq_fail_field(err, -SRQ_EINVAL, "calib", "%s needs calibration text: give \"calib\" a file", p->name);
    s->nsamples = s->nsamples > 0 ? s->nsamples : r->job.spec.opt.nsamples;
    s->seqlen = s->seqlen > 0 ? s->seqlen : r->job.spec.opt.seqlen;
    if (r->job.info->max_positions > 0 && s->seqlen > r->job.info->max_positions)
        s->seqlen = r->job.info->max_positions;
    if (s->seqlen < 2 || s->nsamples <= s->holdout)
        return srq_fail(err, -SRQ_EINVAL, "%s wants %lld samples of %lld tokens and holds out %lld of them", p->name,
                        (long long)s->nsamples, (long long)s->seqlen, (long long)s->holdout);
    return 0;
}

/* A file of scales has to be one for this model before anything is measured or queued. */
static int check_load(const struct srq_resolved *r, struct srq_error *err)
{
    bool *wanted = srq_calloc((size_t)srq_model_pair_count(r->job.model) + 1, sizeof(*wanted));
    struct srq_scales scales = { 0 };
    int rc = 0;

    if (wanted == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for the pairs of a model");
    if (rc == 0)
        rc = srq_transform_pairs(r->job.model, srq_spec_transform(&r->job.spec), r->job.transform_self, wanted, err);
    if (rc == 0)
        rc = srq_scales_alloc(r->job.model, wanted, &scales, err);
    if (rc == 0)
        rc = srq_scales_read(&scales, r->job.model, r->job.transform.load, err);
    srq_scales_fini(&scales);
    srq_free(wanted);
    return rc;
}

int srq_job_transform_open(struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_plugin *p = srq_spec_transform(&r->job.spec);
    int rc;

    if (p == NULL)
        return 0;
    if (srq_model_pair_count(r->job.model) == 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model", "%s has no layers whose inputs %s could scale",
                              r->job.info->path, p->name);
    rc =
        p->create(srq_host_services(), r->job.spec.plugins[r->job.spec.transform].options, &r->job.transform_self, err);
    if (rc == 0)
        rc = srq_transform_schedule_of(p, r->job.transform_self, &r->job.transform, err);
    if (rc == 0)
        rc = settle_samples(r, err);
    if (rc == 0 && r->job.transform.load != NULL)
        rc = check_load(r, err);
    return rc > 0 ? -SRQ_EINVAL : rc;
}

void srq_job_transform_close(struct srq_resolved *r)
{
    if (r->job.transform_self != NULL)
        srq_spec_transform(&r->job.spec)->destroy(srq_host_services(), r->job.transform_self);
    r->job.transform_self = NULL;
    srq_free(r->job.aims);
    r->job.aims = NULL;
}

int srq_job_transform_aim(struct srq_resolved *r, struct srq_plan_request *req, struct srq_error *err)
{
    if (srq_spec_transform(&r->job.spec) == NULL || srq_spec_quantizes(&r->job.spec))
        return 0;
    r->job.aims = srq_calloc((size_t)r->job.layer_count + 1, sizeof(r->job.aims[0]));
    if (r->job.aims == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %d layers", r->job.layer_count);
    for (int i = 0; i < r->job.layer_count; i++)
        r->job.aims[i] = r->choice.plan.layers[i].scheme;
    srq_plan_fini(&r->choice.plan);
    req->scheme = srq_scheme_none();
    req->pin_count = 0;
    return srq_plan_make(r->job.layers, r->job.layer_count, req, &r->choice.plan, r->notes, err);
}

/* ---- data and memory --------------------------------------------------------------------------------------------- */

struct srq_transform_config srq_job_transform_config(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_transform_schedule *s = &r->job.transform;
    int64_t batch = s->objective != SRQ_OBJECTIVE_NONE ? s->batch : r->choice.batch;

    return (struct srq_transform_config){ .model = r->job.model,
                                          .plugin = srq_spec_transform(&r->job.spec),
                                          .self = r->job.transform_self,
                                          .schemes = r->job.aims != NULL ? r->job.aims : r->choice.schemes,
                                          .nsamples = nsamples,
                                          .seq = s->seqlen,
                                          .batch = nsamples > 0 ? smaller(batch, nsamples) : batch,
                                          .compute = r->job.compute,
                                          .seed = (uint64_t)r->job.spec.opt.seed };
}

/* Holding the folded model against the stored one: a block in F32, a forward pass of some tokens, their logits
 * twice. */
static int add_check(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err)
{
    const struct srq_walk_config walk = { r->job.model, SRQ_F32, SRQ_F32, 1, SRQ_FOLD_TOKENS, .backward = false };
    struct srq_walk_memory forward = { 0, 0, 0 };
    int rc = srq_walk_measure(&walk, &forward, err);

    srq_needs_add(memory, "check", "fold: block parameters in F32", forward.block);
    srq_needs_add(memory, "check", "fold: forward pass of some tokens", forward.tape);
    srq_needs_add(memory, "check", "fold: states and logits, folded and stored",
                  2 * (uint64_t)SRQ_FOLD_TOKENS * (uint64_t)(r->job.info->vocab + r->job.info->hidden) * sizeof(float));
    srq_needs_add(memory, "check", "fold: head", srq_head_bytes(r->job.model, SRQ_FOLD_TOKENS));
    return rc;
}

int srq_job_transform_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err)
{
    static const char *const after[] = { "check", "quantize", "refine", "evaluate",
                                         "export" }; /* once scales are found */
    struct srq_transform_config cfg;
    struct srq_memory_rows rows = { .count = 0 };
    int rc;

    if (srq_spec_transform(&r->job.spec) == NULL)
        return 0;
    cfg = srq_job_transform_config(r, r->job.transform.nsamples);
    rc = srq_transform_footprint(&cfg, &rows, err);
    srq_needs_add(memory, "all", "transform: token ids", (uint64_t)(cfg.nsamples * cfg.seq) * sizeof(int32_t));
    if (rc == 0)
        srq_needs_add_all(memory, "transform", &rows);
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++)
        srq_needs_add(memory, after[i], "scales and what they are folded into", srq_model_fold_bytes(r->job.model));
    return rc == 0 ? add_check(r, memory, err) : rc;
}
