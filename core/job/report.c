/* report.json (design 10): what came out of a job, with its measurements. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/job/plan_json.h"
#include "core/job/size.h"
#include "core/job/tasks.h"
#include "core/math/gemm.h"

#include <math.h>

struct sums {
    double tune_s, loop_s;
    int64_t iters;
};

/* What is known of one layer; NaN: nothing. */
struct layer_numbers {
    double score, error_first, error_best, saturation;
};

static bool add_layer(cJSON *layers, const struct srq_plan_layer *l, const struct layer_numbers *n)
{
    cJSON *o = cJSON_CreateObject();

    return cJSON_AddItemToArray(layers, o) && srq_put_text(o, "name", l->info->name) && srq_put_decision(o, l) &&
           srq_put_number(o, "score", n->score) && srq_put_number(o, "error_first", n->error_first) &&
           srq_put_number(o, "error_best", n->error_best) && srq_put_number(o, "saturation", n->saturation) &&
           srq_put_text(o, "why", l->why[0] != '\0' ? l->why : NULL);
}

static bool add_block(cJSON *blocks, const char *name, const struct srq_block_result *r)
{
    cJSON *o = cJSON_CreateObject();

    return o != NULL && cJSON_AddItemToArray(blocks, o) && srq_put_text(o, "name", name) &&
           srq_put_number(o, "loss_first", r->loss_first) && srq_put_number(o, "loss_best", r->loss_best) &&
           srq_put_number(o, "best_iteration", r->best_iter >= 0 ? (double)r->best_iter : NAN) &&
           srq_put_number(o, "iterations", (double)r->iters_done) && srq_put_number(o, "elapsed_s", r->elapsed_s);
}

/* Of the layer under its scheme; unknown where nothing was scored. */
static double score_of(const struct srq_run *run, int layer)
{
    return run->scores.layers > 0 ? srq_scores_of(&run->scores, layer, &run->resolved.choice.schemes[layer])
                                  : (double)NAN;
}

/* Which scales were folded in, and how they were found. */
static bool add_transform(struct srq_run *run, cJSON *root)
{
    const struct srq_scales_outcome *o = &run->scales.outcome;
    cJSON *fact = srq_fact_read(run->ckpt, SRQ_FOLD_FACT), *t;
    double least, most;
    bool ok;

    if (run->scales.pairs == 0) {
        cJSON_Delete(fact);
        return cJSON_AddNullToObject(root, "transform") != NULL;
    }
    srq_scales_range(&run->scales, run->job->model, &least, &most);
    t = cJSON_AddObjectToObject(root, "transform");
    ok = t != NULL && srq_put_text(t, "plugin", srq_spec_transform(&run->job->spec)->name) &&
         srq_put_number(t, "steps", (double)o->steps) && srq_put_number(t, "best_step", (double)o->best_step);
    if (ok) {
        srq_put_number(t, "loss_first", o->loss_first);
        srq_put_number(t, "loss_best", o->loss_best);
        srq_put_number(t, "scale_min", least);
        srq_put_number(t, "scale_max", most);
        srq_put_copy(t, "fold_error", cJSON_GetObjectItemCaseSensitive(fact, "error"));
    }
    cJSON_Delete(fact);
    return ok;
}

/* What the allocator made of the budget, or null. */
static bool add_allocation(struct srq_run *run, cJSON *root)
{
    cJSON *last = srq_tasks_allocation(run->tasks);

    return cJSON_AddItemToObject(root, "allocation", last != NULL ? last : cJSON_CreateNull());
}

/* One block's part of `blocks` and `layers`. */
static int add_results(struct srq_run *run, int unit, cJSON *blocks, cJSON *layers, struct sums *sums,
                       struct srq_error *err)
{
    const struct srq_unit_info *u = srq_run_unit(run, unit);
    int first = u->first, n = u->count, rc;
    struct srq_ckpt_block *b = NULL;
    const struct srq_block_result *r;
    bool ok = true;

    if (n == 0)
        return 0;
    if (u->kind == SRQ_UNIT_HEAD &&
        (run->resolved.choice.schemes[first].grid == SRQ_GRID_NONE || !srq_ckpt_block_exists(run->ckpt, unit))) {
        for (int i = 0; ok && i < n; i++)
            ok = add_layer(layers, &run->resolved.choice.plan.layers[first + i],
                           &(struct layer_numbers){ score_of(run, first + i), NAN, NAN, NAN });
        return ok ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory writing the report");
    }
    rc = srq_ckpt_block_open(run->ckpt, unit, run->job->layers + first, n, &b, err);
    if (rc != 0)
        return rc;
    r = srq_ckpt_block_result(b);
    sums->tune_s += r->elapsed_s;
    if (r->iters_done > 0) {
        sums->loop_s += r->tune_s;
        sums->iters += r->iters_done;
    }
    if (u->kind == SRQ_UNIT_BLOCK)
        ok = add_block(blocks, u->name, r);
    for (int i = 0; ok && i < n; i++)
        ok = add_layer(
            layers, &run->resolved.choice.plan.layers[first + i],
            &(struct layer_numbers){ score_of(run, first + i), r->error_first[i], r->error_best[i], r->saturation[i] });
    srq_ckpt_block_close(b);
    return ok ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory writing the report");
}

/* eval.{before,rtn,after}.{perplexity,kl,top1,windows}; null where not asked for. Adds up the time. */
static bool add_eval(struct srq_run *run, cJSON *root, double *eval_s)
{
    static const char *const keys[] = { "perplexity", "kl", "top1" };
    cJSON *eval = cJSON_AddObjectToObject(root, "eval");

    for (int w = 0; eval != NULL && w < SRQ_MEASUREMENTS; w++) {
        char name[32];
        cJSON *fact, *o = cJSON_AddObjectToObject(eval, srq_measured_words[w]);

        snprintf(name, sizeof(name), "eval-%s", srq_measured_words[w]);
        fact = srq_fact_read(run->ckpt, name);
        for (size_t k = 0; o != NULL && k < sizeof(keys) / sizeof(keys[0]); k++) {
            srq_put_number(o, keys[k], srq_member_number(fact, keys[k]));
        }
        if (fact != NULL) {
            double s = srq_member_number(fact, "elapsed_s");

            srq_put_member(o, "windows", fact);
            *eval_s += isnan(s) ? 0 : s;
        }
        cJSON_Delete(fact);
    }
    return eval != NULL;
}

/* diffusion.{fid,pair_mse,psnr,ssim,latency}.{full,quantized,mixed} and what holds for all; null for a language
 * model. */
static bool add_diffusion(struct srq_run *run, cJSON *root)
{
    static const char *const keys[][2] = {
        { "fid", "fid" },   { "pair_mse", "pair_mse" }, { "pair_mse_interval", "pair_mse_interval" },
        { "psnr", "psnr" }, { "ssim", "ssim" },         { "latency", "picture_step_s" }
    };
    static const char *const whole[] = { "samples",  "steps",     "hp_first",      "hp_last",
                                         "hp_dtype", "step_sqnr", "integer_layers" };
    const struct srq_plugin *p = srq_spec_trainer(&run->job->spec);
    cJSON *fact = srq_fact_read(run->ckpt, SRQ_SAMPLES_FACT), *trained = srq_fact_read(run->ckpt, SRQ_TRAINED_FACT), *d;
    double steps = srq_member_number(trained, "steps");
    bool ok = true;

    cJSON_Delete(trained);
    if (!run->job->info->pictures) {
        cJSON_Delete(fact);
        return cJSON_AddNullToObject(root, "diffusion") != NULL;
    }
    d = cJSON_AddObjectToObject(root, "diffusion");
    ok = d != NULL && srq_put_text(d, "trainer", p != NULL ? p->name : NULL) &&
         srq_put_number(d, "train_steps", p != NULL ? steps : (double)NAN);
    for (size_t i = 0; ok && i < sizeof(whole) / sizeof(whole[0]); i++)
        srq_put_member(d, whole[i], fact);
    for (size_t k = 0; ok && k < sizeof(keys) / sizeof(keys[0]); k++) {
        cJSON *o = cJSON_AddObjectToObject(d, keys[k][0]);

        ok = o != NULL;
        for (size_t m = 0; ok && m < SRQ_SAMPLINGS; m++)
            srq_put_copy(o, srq_sampled_words[m],
                         cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(fact, srq_sampled_words[m]),
                                                          keys[k][1]));
    }
    if (ok)
        srq_put_copy(cJSON_GetObjectItemCaseSensitive(d, "latency"), "high",
                     cJSON_GetObjectItemCaseSensitive(fact, "high_step_s"));
    cJSON_Delete(fact);
    return ok;
}

/* scheme_bytes: what the plan's schemes take, whatever the format adds, or stores instead ("fake"). */
static bool add_size(const struct srq_run *run, cJSON *root)
{
    cJSON *size = cJSON_AddObjectToObject(root, "size");
    uint64_t made = srq_resolved_size_made(&run->resolved, srq_run_high_steps(run));
    uint64_t schemes = srq_plan_size(&run->resolved.choice.plan, run->resolved.job.info->bytes).after_bytes;

    return size != NULL && srq_put_number(size, "before_bytes", (double)run->resolved.choice.size.before_bytes) &&
           srq_put_number(size, "after_bytes", (double)made) && srq_put_number(size, "scheme_bytes", (double)schemes) &&
           srq_put_number(size, "average_bits", run->resolved.choice.size.average_bits);
}

/* Of this run and those before it. */
static bool add_stages(const struct srq_run *run, cJSON *timing)
{
    cJSON *o = cJSON_AddObjectToObject(timing, "stages");

    for (int i = 0; i < SRQ_STAGES; i++) {
        double s = run->prior_stage_s[i] + srq_events_spent(&run->events, (enum srq_stage)i);

        if (s > 0 && !srq_put_number(o, srq_stage_words[i], s))
            return false;
    }
    return o != NULL;
}

static bool add_timing(struct srq_run *run, cJSON *root, const struct sums *sums, double eval_s)
{
    cJSON *t = cJSON_AddObjectToObject(root, "timing");

    return t != NULL && add_stages(run, t) && srq_put_number(t, "load_s", run->load_s) &&
           srq_put_number(t, "tune_s", sums->tune_s) &&
           srq_put_number(t, "eval_s", run->eval.count > 0 ? eval_s : NAN) &&
           srq_put_number(t, "export_s", run->export_s) &&
           srq_put_number(t, "total_s", run->prior_s + srq_clock_s() - run->start) &&
           srq_put_number(t, "block_iteration_s", sums->iters > 0 ? sums->loop_s / (double)sums->iters : NAN);
}

static bool add_memory(struct srq_run *run, cJSON *root)
{
    cJSON *m = srq_needs_json(&run->resolved.footprint.memory, run->resolved.footprint.planned_bytes);
    uint64_t peak = srq_usage_peak(run->usage);

    srq_run_watch_memory(run); /* of this stage, which is not over */

    return m != NULL && cJSON_AddItemToObject(root, "memory", m) && srq_put_number(m, "peak_rss_bytes", (double)peak) &&
           srq_put_number(m, "over_plan_bytes", (double)srq_needs_over(run->resolved.footprint.planned_bytes, peak)) &&
           srq_put_text(m, "over_plan_stage", run->over_stage);
}

static bool add_head(struct srq_run *run, cJSON *root)
{
    const struct srq_spec *s = &run->job->spec;
    const struct srq_scheme *embedding = srq_model_embedding(run->job->model);
    char *method = srq_spec_method(s);
    cJSON *formats = cJSON_CreateStringArray((const char *const *)s->formats, s->format_count);
    bool ok = method != NULL && formats != NULL && srq_put_text(root, "job", run->id) &&
              srq_put_text(root, "name", s->name) && srq_put_number(root, "created", run->created) &&
              srq_put_text(root, "model", s->model) && srq_put_text(root, "method", method) &&
              srq_put_scheme(root, "scheme", &s->scheme) &&
              (embedding == NULL || srq_put_scheme(root, "embedding", embedding)) &&
              cJSON_AddItemToObject(root, "formats", formats);

    srq_free(method);
    return ok;
}

cJSON *srq_report_json(struct srq_run *run, struct srq_error *err)
{
    cJSON *root = cJSON_CreateObject(), *blocks = NULL, *layers = NULL;
    struct sums sums = { 0 };
    double eval_s = 0;
    bool ok = root != NULL && add_head(run, root) &&
              srq_put_number(root, "plan_revision", (double)run->resolved.choice.plan.revision) &&
              (blocks = cJSON_AddArrayToObject(root, "blocks")) != NULL &&
              (layers = cJSON_AddArrayToObject(root, "layers")) != NULL;
    int rc = 0;

    for (int u = 0; ok && rc == 0 && u < srq_model_unit_count(run->job->model); u++)
        rc = add_results(run, u, blocks, layers, &sums, err);
    if (rc != 0) {
        cJSON_Delete(root);
        return NULL;
    }
    ok = ok && cJSON_AddItemToObject(root, "finish", srq_run_finish_json(run)) &&
         cJSON_AddItemToObject(root, "refine", srq_run_refine_json(run)) && add_transform(run, root) &&
         add_allocation(run, root) && add_eval(run, root, &eval_s) && add_diffusion(run, root) && add_size(run, root) &&
         add_timing(run, root, &sums, eval_s) && add_memory(run, root) &&
         cJSON_AddStringToObject(root, "gemm_backend", srq_gemm_backend(run->job->compute)) &&
         cJSON_AddStringToObject(root, "compute", run->job->compute == SRQ_BF16 ? "bf16" : "f32") &&
         srq_put_number(root, "threads", (double)run->job->spec.opt.threads) &&
         srq_put_number(root, "seed", (double)run->job->spec.opt.seed) &&
         srq_put_text(root, "version", PACKAGE_VERSION);
    if (ok)
        return root;
    srq_fail(err, -SRQ_ENOMEM, "out of memory writing the report");
    cJSON_Delete(root);
    return NULL;
}
