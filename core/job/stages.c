/* The load and calibrate stages: weights are looked over, texts become tokens, the fingerprint is taken. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/digits.h"
#include "core/base/fs.h"
#include "core/grid/round_plain.h"
#include "core/job/fingerprint.h"
#include "core/job/footprint.h"
#include "core/job/resample.h"
#include "core/job/tasks.h"
#include "core/tune/tensor_scale.h"

#include <inttypes.h>

int srq_run_check(struct srq_run *run, struct srq_error *err)
{
    srq_run_watch_memory(run);
    if (atomic_load(&run->flags->cancel))
        return srq_fail(err, -SRQ_ECANCELED, "canceled");
    if (atomic_load(&run->flags->pause))
        return srq_fail(err, -SRQ_ECANCELED, "paused");
    return srq_events_check(&run->events, err);
}

/* Groups of weights too small for the least scale: plain rounding makes zeros of them. */
struct erased {
    int layers, first;        /* how many have such groups, and which is the first */
    int64_t groups, of_layer; /* of all, and of the layer at hand with the scheme that erases most */
    float most;               /* the largest magnitude among them */
};

/* The scales of a layer, rounded plainly: what its values cannot be stored in is known at once. */
static int check_scales(struct srq_run *run, int layer, const struct srq_scheme *scheme, struct erased *erased,
                        struct srq_error *err)
{
    const struct srq_resolved *r = &run->resolved;
    const struct srq_layer_info *info = r->job.layers[layer];
    struct srq_codes codes = { 0 };
    struct srq_error why = { 0 };
    struct srq_tensor weight;
    int64_t groups;
    char text[32];
    int rc = srq_model_weight(r->job.model, layer, &weight, err);

    if (rc == 0)
        rc = srq_codes_alloc(info->out, info->in, scheme, &codes, err);
    if (rc == 0)
        rc = srq_tensor_scale(r->job.model, layer, scheme, &codes.tensor_scale, err);
    if (rc == 0) {
        rc = srq_round_plain(&weight, info->name, &codes, &why);
        if (rc != 0)
            rc = srq_fail_field(err, rc, info->name,
                                "%s; it cannot be stored as %s: give it another scheme, such as bf16", why.text,
                                srq_scheme_text(scheme, text, sizeof(text)));
    }
    if (rc == 0 && (groups = srq_codes_erased(&codes, &weight, &erased->most)) > erased->of_layer)
        erased->of_layer = groups;
    srq_codes_fini(&codes);
    srq_tensors_release(srq_model_tensors(r->job.model), &weight);
    return rc;
}

/* All schemes that the layer may get: its own, or those that an allocator chooses from. */
static int check_layer(struct srq_run *run, int layer, struct erased *erased, struct srq_error *err)
{
    const struct srq_resolved *r = &run->resolved;
    bool chosen = srq_spec_has_budget(&r->job.spec) && !r->choice.allocated && r->job.layers[layer]->block >= 0 &&
                  r->choice.plan.layers[layer].source != SRQ_SOURCE_PIN;
    int rc = 0;

    erased->of_layer = 0;
    if (!chosen && r->choice.schemes[layer].grid != SRQ_GRID_NONE)
        rc = check_scales(run, layer, &r->choice.schemes[layer], erased, err);
    for (int c = 0; rc == 0 && chosen && c < r->job.candidates.count; c++) {
        if (r->job.candidates.allowed[(size_t)layer * (size_t)r->job.candidates.count + (size_t)c] &&
            r->job.candidates.scheme[c].grid != SRQ_GRID_NONE)
            rc = check_scales(run, layer, &r->job.candidates.scheme[c], erased, err);
    }
    if (erased->of_layer > 0 && erased->layers++ == 0)
        erased->first = layer;
    erased->groups += erased->of_layer;
    return rc;
}

static void tell_erased(struct srq_run *run, const struct erased *e)
{
    const char *first = run->job->layers[e->first]->name;
    char more[32] = "";

    if (e->layers > 1)
        snprintf(more, sizeof(more), " and %d more", e->layers - 1);
    if (e->layers > 0)
        srq_event_log(&run->events, SRQ_LOG_WARN,
                      "%" PRId64 " groups of %s%s are all zero once rounded: their weights, of at most %.3g, are too "
                      "small for the least scale, 1e-5; keep such layers in 16 bits (bf16)",
                      e->groups, first, more, (double)e->most);
}

static int check_unit(struct srq_run *run, int unit, struct erased *erased, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_run_unit(run, unit);
    int rc = srq_run_check(run, err);

    if (rc == 0)
        rc = srq_model_check_finite(run->job->model, unit, err);
    for (int i = 0; rc == 0 && i < u->count && srq_spec_quantizes(&run->job->spec); i++)
        rc = check_layer(run, u->first + i, erased, err);
    return rc;
}

static int check_formats(struct srq_run *run, struct srq_error *err)
{
    const struct srq_spec *s = &run->job->spec;
    int rc = 0;

    for (int i = 0; rc == 0 && i < s->format_count; i++) {
        const struct srq_format *f = srq_format_find(s->formats[i], err);

        rc = f != NULL ? srq_export_check_values(f, run->job->model, run->resolved.choice.schemes, err) : -SRQ_EINVAL;
    }
    return rc;
}

/* Every weight is looked at once before any work: what cannot be computed with or stored (a NaN, a value whose scale is
 * too large) and is found in the last block would cost the time of all others. A job that has been through this with
 * the plan that it has does not do it again. */
int srq_stage_load(struct srq_run *run, struct srq_error *err)
{
    int units = srq_model_unit_count(run->job->model), rc = srq_tasks_sync(run->tasks, err);
    cJSON *looked = srq_fact_read(run->ckpt, "weights");
    const char *of = srq_member_text(looked, "plan");
    struct erased erased = { 0 };
    char plan[24];
    bool known;

    snprintf(plan, sizeof(plan), "%016" PRIx64, srq_tasks_plan_key(run->tasks));
    known = of != NULL && strcmp(of, plan) == 0;
    srq_event_stage(&run->events, SRQ_STAGE_LOAD, 0, units, "blocks");
    for (int k = 0; rc == 0 && k < units && !known; k++) {
        rc = check_unit(run, (units - 1 + k) % units, &erased, err); /* the outside first: it is read most */
        srq_event_progress(&run->events, k + 1, units, "blocks", NULL);
    }
    tell_erased(run, &erased);
    if (rc == 0 && !known)
        rc = check_formats(run, err);
    if (rc == 0 && !known) {
        cJSON_Delete(looked);
        looked = cJSON_CreateObject();
        if (looked == NULL || !srq_put_text(looked, "plan", plan))
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
        else
            rc = srq_fact_write(run->ckpt, "weights", looked, err);
    }
    cJSON_Delete(looked);
    if (rc == 0 && srq_model_embedding(run->job->model) != NULL)
        rc = srq_model_make_embedding(run->job->model, run->ckpt, err);
    return rc;
}

static int read_samples(struct srq_run *run, const struct srq_tokenizer *tk, bool evaluation, struct srq_samples *out,
                        struct srq_error *err)
{
    const struct srq_spec *s = &run->job->spec;
    struct srq_sample_request req = {
        .files = (const char *const *)(evaluation ? s->eval : s->calib),
        .file_count = evaluation ? s->eval_count : s->calib_count,
        .sampling = evaluation ? SRQ_SAMPLING_WINDOWS : (enum srq_sampling)s->opt.sampling,
        .nsamples = evaluation ? s->opt.eval_windows : s->opt.nsamples,
        .seqlen = evaluation ? s->opt.eval_seqlen : s->opt.seqlen,
        .seed = (uint64_t)s->opt.seed,
        .vocab = run->job->info->vocab,
        .model_dir = run->job->info->folder,
    };

    return srq_samples_read(tk, &req, out, err);
}

/* Of the same texts, as many and as long as a scorer or a transform asks for. */
static int read_own_samples(struct srq_run *run, const struct srq_tokenizer *tk, int64_t nsamples, int64_t seqlen,
                            const char *use, struct srq_samples *out, struct srq_error *err)
{
    const struct srq_spec *s = &run->job->spec;
    struct srq_sample_request req = {
        .files = (const char *const *)s->calib,
        .file_count = s->calib_count,
        .sampling = (enum srq_sampling)s->opt.sampling,
        .nsamples = nsamples,
        .seqlen = seqlen,
        .seed = (uint64_t)s->opt.seed,
        .vocab = run->job->info->vocab,
        .model_dir = run->job->info->folder,
    };
    int rc = srq_samples_read(tk, &req, out, err);

    if (rc == 0 && out->count < nsamples)
        srq_event_log(&run->events, SRQ_LOG_WARN,
                      "calibration text gives %" PRId64 " samples of %" PRId64 " tokens to %s, not %" PRId64,
                      out->count, out->seqlen, use, nsamples);
    return rc;
}

static int take_fingerprint(struct srq_run *run, struct srq_error *err)
{
    char *path = srq_path_join(run->dir, "fingerprint.json"), *drift = NULL;
    cJSON *now = NULL;
    const struct srq_fingerprint_texts texts = { &run->calib, &run->score, &run->scaling, &run->eval };
    int rc = srq_fingerprint_make(run->job, &texts, &now, err);

    if (rc == 0)
        rc = srq_fingerprint_basis(now, run->basis, err);
    if (rc == 0 && path == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (rc == 0)
        rc = srq_fingerprint_check(path, now, run->job->spec.accept_drift, &drift, err);
    if (drift != NULL)
        srq_event_log(&run->events, SRQ_LOG_WARN, "%s", drift);
    srq_free(drift);
    srq_free(path);
    cJSON_Delete(now);
    return rc;
}

/* The batch that the job settled on when it first knew its samples; 0: it has not yet. Another plan may leave room for
 * a larger one later, which would give other bytes after a resume than without one. */
static int64_t settled_batch(const struct srq_run *run)
{
    cJSON *fact = srq_fact_read(run->ckpt, "batch");
    const cJSON *batch = cJSON_GetObjectItemCaseSensitive(fact, "batch");
    int64_t n =
        cJSON_IsNumber(batch) && batch->valuedouble >= 1 && batch->valuedouble <= (double)run->resolved.choice.batch
            ? (int64_t)batch->valuedouble
            : 0;

    cJSON_Delete(fact);
    return n;
}

static int settle_batch(const struct srq_run *run, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    int rc;

    if (fact == NULL || !srq_put_number(fact, "batch", (double)run->resolved.choice.batch))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    else
        rc = srq_fact_write(run->ckpt, "batch", fact, err);
    cJSON_Delete(fact);
    return rc;
}

/* The footprint again, now that the numbers of samples are known: what is used is held against it. */
static int settle_footprint(struct srq_run *run, struct srq_error *err)
{
    struct srq_resolved *r = &run->resolved;
    char table[900], planned[32];
    int notes = cJSON_GetArraySize(r->notes);
    int64_t batch = settled_batch(run);
    int rc;

    srq_tasks_lock(run->tasks); /* who asks for a change meanwhile looks at the same */
    if (batch > 0)
        r->choice.batch = batch;
    run->planned_windows = run->eval.count;
    rc = srq_footprint_settle(r, run->planned_samples, run->planned_windows, err);
    srq_tasks_unlock(run->tasks);
    if (rc == 0 && batch == 0 && r->job.tunes)
        rc = settle_batch(run, err);

    while (cJSON_GetArraySize(r->notes) > notes) {
        srq_event_log(&run->events, SRQ_LOG_WARN, "%s", cJSON_GetArrayItem(r->notes, notes)->valuestring);
        cJSON_DeleteItemFromArray(r->notes, notes);
    }
    if (rc != 0)
        return rc;
    srq_event_log(&run->events, SRQ_LOG_INFO, "memory planned: %s (%s)",
                  srq_bytes_text((double)r->footprint.planned_bytes, planned, sizeof(planned)),
                  srq_needs_text(&r->footprint.memory, table, sizeof(table)));
    srq_run_tell_memory(run);
    return 0;
}

int srq_stage_calibrate(struct srq_run *run, struct srq_error *err)
{
    const struct srq_spec *s = &run->job->spec;
    struct srq_tokenizer *tk = NULL;
    const struct srq_score_data *score = &run->job->score_data;
    const struct srq_transform_schedule *scale = &run->job->transform;
    int rc = 0, scored = srq_spec_has_budget(s) ? 1 : 0, scaled = scale->nsamples > 0 ? 1 : 0;
    int evaluated = s->eval_count > 0 && !run->job->info->pictures ? 1 : 0;
    bool words = run->job->calibrates && !run->job->info->pictures;
    int steps = (words ? 1 : 0) + evaluated + scored + scaled;

    srq_event_stage(&run->events, SRQ_STAGE_CALIBRATE, 0, steps + 1, "texts");
    if (steps > 0)
        rc = srq_tokenizer_open(run->job->info->folder, &tk, err);
    if (rc == 0 && words) {
        rc = read_samples(run, tk, false, &run->calib, err);
        if (rc == 0 && run->calib.count < s->opt.nsamples)
            srq_event_log(&run->events, SRQ_LOG_WARN,
                          "calibration text gives %" PRId64 " samples of %" PRId64 " tokens, not %" PRId64,
                          run->calib.count, run->calib.seqlen, s->opt.nsamples);
        srq_event_progress(&run->events, 1, steps + 1, "texts", NULL);
    }
    if (rc == 0 && scored > 0)
        rc = read_own_samples(run, tk, score->nsamples, score->seqlen, "score layers on", &run->score, err);
    if (rc == 0 && scaled > 0)
        rc = read_own_samples(run, tk, scale->nsamples, scale->seqlen, "find scales with", &run->scaling, err);
    if (rc == 0 && evaluated > 0)
        rc = read_samples(run, tk, true, &run->eval, err);
    srq_tokenizer_free(tk);
    if (rc == 0 && run->job->calibrates && !words)
        rc = srq_run_draw_pictures(run, err);
    if (rc == 0)
        rc = srq_run_check(run, err);
    if (rc == 0)
        rc = take_fingerprint(run, err);
    if (rc == 0)
        rc = srq_run_extend_samples(run, err);
    if (rc == 0)
        rc = settle_footprint(run, err);
    srq_event_progress(&run->events, steps + 1, steps + 1, "texts", NULL);
    return rc;
}
