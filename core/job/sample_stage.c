/* The evaluate stage of a diffusion model: pictures from equal noise by the original, by the quantized model, and by
 * the mix of both, with what sets them apart (spec diffusion-qat 4, 10). */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/diffusion/sampler.h"
#include "core/eval/bootstrap.h"
#include "core/eval/features.h"
#include "core/eval/frechet.h"
#include "core/eval/picture_scores.h"
#include "core/format/picture_sheet.h"
#include "core/job/sample_models.h"
#include "core/job/show.h"
#include "core/job/tasks.h"

#include <inttypes.h>
#include <math.h>

#define KEY_LEN (SRQ_HASH_HEX + 33 + 2 * SRQ_LIVE_OPTIONS * 12)
#define SHEET_PICTURES 16 /* of each model */
#define DRAWS 1000        /* of the bootstrap */

/* One of the models; the mix computes with the two others. */
enum { FULL = SRQ_SAMPLED_FULL, QUANTIZED = SRQ_SAMPLED_QUANTIZED, MIXED = SRQ_SAMPLED_MIXED, MODELS = SRQ_SAMPLINGS };

struct sampling {
    struct srq_run *run;
    struct srq_pictures shape;
    int64_t n, pixels;
    struct srq_sample_models *models;
    struct srq_high_steps high;
    bool again; /* other steps are wanted meanwhile */
    int model;
    struct srq_moment when[SRQ_SAMPLE_BATCH];
    float *other;                   /* [batch, pixels] */
    double *signal, *noise, *sqnr;  /* [steps] of what both say of the original's way; dB, once that is known */
    float *pictures[MODELS];        /* [n, pixels] */
    double seconds[MODELS], high_s; /* high_s: of the mix, for its full-precision steps */
    int64_t high_n;                 /* pictures that passed in those */
    struct srq_error tick_error;
};

static int begin(struct sampling *s, struct srq_error *err)
{
    const struct srq_job *job = s->run->job;
    size_t steps = (size_t)job->spec.opt.sample_steps;
    bool ok;

    s->shape = srq_model_pictures(job->model);
    s->pixels = s->shape.height * s->shape.width * s->shape.channels;
    s->n = job->spec.opt.samples;
    s->high = srq_job_high_steps(job, s->run->option, NULL);
    s->other = srq_calloc((size_t)(SRQ_SAMPLE_BATCH * s->pixels), sizeof(*s->other));
    s->signal = srq_calloc(3 * steps, sizeof(*s->signal));
    ok = s->other != NULL && s->signal != NULL;
    s->noise = ok ? s->signal + steps : NULL;
    s->sqnr = ok ? s->noise + steps : NULL;
    for (int m = 0; ok && m < MODELS; m++)
        ok = (s->pictures[m] = srq_calloc((size_t)(s->n * s->pixels), sizeof(float))) != NULL;
    return ok ? srq_sample_models_open(s->run, &s->models, err)
              : srq_fail(err, -SRQ_ENOMEM, "out of memory for sampling");
}

static void end(struct sampling *s)
{
    srq_sample_models_close(s->models);
    srq_free(s->other);
    srq_free(s->signal);
    for (int m = 0; m < MODELS; m++)
        srq_free(s->pictures[m]);
}

/* ---- sampling ---------------------------------------------------------------------------------------------------- */

/* On the original's way the quantized model is asked too: how far it is off at each step. */
static int compare_step(struct sampling *s, int step, const float *x, int64_t n, const float *said,
                        struct srq_error *err)
{
    int rc = srq_denoise(s->models->quantized, x, s->when, n, s->other, err);

    for (int64_t i = 0; rc == 0 && i < n * s->pixels; i++) {
        double off = (double)s->other[i] - (double)said[i];

        s->signal[step] += (double)said[i] * (double)said[i];
        s->noise[step] += off * off;
    }
    return rc;
}

static int predict(void *ctx, const struct srq_asked *q, float *out, struct srq_error *err)
{
    struct sampling *s = ctx;
    int steps = (int)s->run->job->spec.opt.sample_steps;
    bool high = s->model == MIXED && srq_step_is_high(q->step, steps, s->high.first, s->high.last);
    struct srq_denoiser *who = s->model == FULL ? s->models->full : high ? s->models->high : s->models->quantized;
    double since = srq_clock_s();
    int rc;

    srq_model_moments(s->run->job->model, q->t, q->first, q->n, s->when);
    rc = srq_denoise(who, q->x, s->when, q->n, out, err);
    since = srq_clock_s() - since;
    s->seconds[s->model] += since;
    s->high_s += high ? since : 0;
    s->high_n += high ? q->n : 0;
    /* on the first pictures' way: one batch tells it well enough */
    return rc == 0 && s->model == FULL && s->signal[q->step] == 0 ? compare_step(s, q->step, q->x, q->n, out, err) : rc;
}

/* Once the original's way is known. */
static void measure_steps(struct sampling *s)
{
    for (int64_t i = 0; i < s->run->job->spec.opt.sample_steps; i++)
        s->sqnr[i] = s->noise[i] > 0 ? 10 * log10(s->signal[i] / s->noise[i]) : (double)INFINITY;
}

/* How many of its steps the mix leaves to the quantized model, as users want it now. */
static struct srq_high_steps high_now(const struct sampling *s)
{
    srq_tasks_sync_options(s->run->tasks);
    return srq_job_high_steps(s->run->job, s->run->option, s->sqnr);
}

/* The mix begins anew where other steps are wanted meanwhile. */
static int follow_options(struct sampling *s, struct srq_error *err)
{
    struct srq_high_steps now = s->high;

    if (s->model == MIXED)
        now = high_now(s);
    s->again = now.first != s->high.first || now.last != s->high.last;
    return s->again ? srq_fail(err, -SRQ_ECANCELED, "the steps of high precision changed") : 0;
}

static int tick(void *ctx, int64_t done, int64_t total)
{
    struct sampling *s = ctx;
    int rc = follow_options(s, &s->tick_error);

    if (rc != 0)
        return rc;

    srq_event_progress(&s->run->events, (double)(s->model * total + done), (double)(MODELS * total), "picture-steps",
                       srq_sampled_words[s->model]);
    if (srq_tasks_unfinished(s->run->tasks))
        return srq_fail(&s->tick_error, -SRQ_ECANCELED, "the plan changed");
    return srq_run_check(s->run, &s->tick_error);
}

static int sample(struct sampling *s, struct srq_error *err)
{
    const struct srq_job *job = s->run->job;
    const struct srq_sampler sampler = { .schedule = job->noise,
                                         .scheduler =
                                             job->spec.opt.sampler == 0 ? SRQ_SCHEDULER_DDIM : SRQ_SCHEDULER_DDPM,
                                         .steps = (int)job->spec.opt.sample_steps,
                                         .seed = (uint64_t)job->spec.opt.seed,
                                         .pixels = s->pixels,
                                         .batch = srq_job_sample_config(job, SRQ_SAMPLE_FULL).batch,
                                         .predict = predict,
                                         .tick = tick,
                                         .ctx = s };
    int rc = 0;

    while (rc == 0 && s->model < MODELS) {
        s->again = false;
        if (s->model == MIXED) {
            s->seconds[MIXED] = s->high_s = 0;
            s->high_n = 0;
            s->high = high_now(s);
        }
        rc = srq_sample(&sampler, 0, s->n, s->pictures[s->model], err);
        if (rc == -SRQ_ECANCELED && s->again) {
            s->tick_error.code = rc = 0;
            continue;
        }
        if (s->model == FULL)
            measure_steps(s);
        s->model++;
    }
    return rc;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static bool put_interval(cJSON *o, const char *name, const struct srq_interval *i)
{
    cJSON *list = cJSON_AddArrayToObject(o, name);

    return list != NULL && cJSON_AddItemToArray(list, cJSON_CreateNumber(i->low)) &&
           cJSON_AddItemToArray(list, cJSON_CreateNumber(i->high));
}

/* Of one model's pictures against the original's. */
static int score(const struct sampling *s, int model, cJSON *o, struct srq_error *err)
{
    double *mse = srq_calloc((size_t)s->n, sizeof(*mse)), ssim = 0, one = 0;
    struct srq_interval mean = { 0 };
    bool small = s->shape.height < 11 || s->shape.width < 11;
    int rc = mse != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for scores");

    for (int64_t i = 0; rc == 0 && i < s->n; i++) {
        const float *a = s->pictures[FULL] + i * s->pixels, *b = s->pictures[model] + i * s->pixels;

        mse[i] = srq_picture_mse(a, b, s->pixels);
        if (!small)
            rc = srq_picture_ssim(a, b, s->shape.height, s->shape.width, s->shape.channels, &one, err);
        ssim += one / (double)s->n;
    }
    if (rc == 0)
        rc = srq_bootstrap_mean(mse, s->n, DRAWS, (uint64_t)s->run->job->spec.opt.seed, &mean, err);
    if (rc == 0 && (!srq_put_number(o, "pair_mse", mean.mean) || !put_interval(o, "pair_mse_interval", &mean) ||
                    !srq_put_number(o, "psnr", mean.mean > 0 ? srq_picture_psnr(mean.mean) : (double)NAN) ||
                    !srq_put_number(o, "ssim", small ? (double)NAN : ssim)))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for scores");
    srq_free(mse);
    return rc;
}

/* Features of n pictures [n, pixels], or of the first n given ones. */
static int look(const struct sampling *s, const struct srq_features *f, const float *pictures, int64_t n, float *out,
                struct srq_error *err)
{
    float *one = pictures == NULL ? srq_malloc((size_t)(SRQ_SAMPLE_BATCH * s->pixels) * sizeof(*one)) : NULL;
    int rc = pictures != NULL || one != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for features");

    for (int64_t at = 0; rc == 0 && at < n; at += SRQ_SAMPLE_BATCH) {
        int64_t count = n - at < SRQ_SAMPLE_BATCH ? n - at : SRQ_SAMPLE_BATCH;
        struct srq_picture_batch b = { pictures != NULL ? pictures + at * s->pixels : one, count, s->shape.height,
                                       s->shape.width, s->shape.channels };

        if (pictures == NULL)
            rc = srq_pictures_get(s->run->job->like, at, count, one, err);
        if (rc == 0)
            rc = srq_features_run(f, &b, out + at * srq_features_count(f), err);
    }
    srq_free(one);
    return rc;
}

/* Fréchet distances of all models from the given pictures, as many of them as were sampled at most. */
static int distances(const struct sampling *s, double out[MODELS], struct srq_error *err)
{
    const struct srq_job *job = s->run->job;
    struct srq_features *f = NULL;
    float *given = NULL, *made = NULL;
    int64_t n, d;
    int rc;

    for (int m = 0; m < MODELS; m++)
        out[m] = (double)NAN;
    if (job->like == NULL || job->spec.features == NULL)
        return 0;
    rc = srq_features_open(job->spec.features, &f, err);
    if (rc != 0)
        return rc;
    d = srq_features_count(f);
    n = srq_pictures_shape(job->like).count;
    given = srq_malloc((size_t)(n * d) * sizeof(*given));
    made = srq_malloc((size_t)(s->n * d) * sizeof(*made));
    rc = given != NULL && made != NULL ? look(s, f, NULL, n, given, err)
                                       : srq_fail(err, -SRQ_ENOMEM, "out of memory for features");
    for (int m = 0; rc == 0 && m < MODELS; m++) {
        rc = look(s, f, s->pictures[m], s->n, made, err);
        if (rc == 0)
            rc = srq_frechet(made, s->n, given, n, d, &out[m], err);
    }
    srq_free(given);
    srq_free(made);
    srq_features_close(f);
    return rc;
}

static bool add_steps(const struct sampling *s, cJSON *root)
{
    cJSON *list = cJSON_AddArrayToObject(root, "step_sqnr");
    bool ok = list != NULL;

    for (int64_t i = 0; ok && i < s->run->job->spec.opt.sample_steps; i++)
        ok = cJSON_AddItemToArray(list, s->noise[i] > 0 ? cJSON_CreateNumber(s->sqnr[i]) : cJSON_CreateNull());
    return ok;
}

static int describe(const struct sampling *s, cJSON *root, struct srq_error *err)
{
    double fid[MODELS], all = (double)(s->n * s->run->job->spec.opt.sample_steps);
    int rc = distances(s, fid, err);
    bool ok = srq_put_number(root, "samples", (double)s->n) &&
              srq_put_number(root, "steps", (double)s->run->job->spec.opt.sample_steps) &&
              srq_put_number(root, "hp_first", s->high.first) && srq_put_number(root, "hp_last", s->high.last) &&
              srq_put_text(root, "hp_dtype", srq_job_high_dtype(s->run->job) == SRQ_BF16 ? "bf16" : "f32") &&
              srq_put_number(root, "integer_layers", s->models->integer_layers) &&
              srq_put_text(root, "int8", srq_int8_backend()) &&
              srq_put_number(root, "high_step_s", s->high_n > 0 ? s->high_s / (double)s->high_n : (double)NAN) &&
              add_steps(s, root);

    for (int m = 0; rc == 0 && ok && m < MODELS; m++) {
        cJSON *o = cJSON_AddObjectToObject(root, srq_sampled_words[m]);

        ok = o != NULL && srq_put_number(o, "fid", fid[m]) && srq_put_number(o, "picture_step_s", s->seconds[m] / all);
        if (ok && m != FULL)
            rc = score(s, m, o, err);
    }
    return rc != 0 || ok ? rc : srq_fail(err, -SRQ_ENOMEM, "out of memory for scores");
}

/* Rows of the sheet: the original, the quantized model, the mix, from equal noise. */
static int write_sheet(const struct sampling *s, struct srq_error *err)
{
    int64_t n = s->n < SHEET_PICTURES ? s->n : SHEET_PICTURES;
    float *all = srq_malloc((size_t)(MODELS * n * s->pixels) * sizeof(*all));
    char *path = srq_path_join(s->run->ckpt, SRQ_SHEET_FILE);
    struct srq_picture_sheet sheet = {
        all, MODELS * n, s->shape.height, s->shape.width, s->shape.channels, n, 2, s->shape.width < 64 ? 2 : 1
    };
    int rc;

    for (int m = 0; all != NULL && m < MODELS; m++)
        memcpy(all + m * n * s->pixels, s->pictures[m], (size_t)(n * s->pixels) * sizeof(*all));
    rc = all != NULL && path != NULL ? srq_picture_sheet_write(path, &sheet, err)
                                     : srq_fail(err, -SRQ_ENOMEM, "out of memory for a sheet of pictures");
    srq_free(all);
    srq_free(path);
    return rc;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static void tell(struct srq_run *run, const cJSON *fact)
{
    static const char *const keys[] = { "fid", "pair_mse", "psnr", "ssim", "picture_step_s" };

    if (run->samples_told)
        return;
    run->samples_told = true;
    for (int m = 0; m < MODELS; m++) {
        const cJSON *of = cJSON_GetObjectItemCaseSensitive(fact, srq_sampled_words[m]);
        cJSON *data = cJSON_CreateObject();

        if (data == NULL)
            return;
        cJSON_AddStringToObject(data, "which", srq_sampled_words[m]);
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            srq_put_number(data, keys[i], srq_member_number(of, keys[i]));
        srq_event_send(&run->events, "sample.result", data, true);
    }
}

static void show(const struct sampling *s)
{
    for (int m = 0; m < MODELS; m++) {
        const struct srq_shown shown = {
            .which = (enum srq_sampled)m,
            .train_step = -1,
            .pictures = s->pictures[m],
            .count = s->n,
            .shape = { .height = s->shape.height, .width = s->shape.width, .channels = s->shape.channels },
            .steps = (int)s->run->job->spec.opt.sample_steps,
            .high = &s->high,
            .signal = m == QUANTIZED ? s->signal : NULL,
            .noise = m == QUANTIZED ? s->noise : NULL
        };

        srq_show_pictures(s->run, &shown);
    }
}

/* What pictures are of: results, and the options that were changed. */
static void make_key(const struct srq_run *run, char key[KEY_LEN])
{
    int n = snprintf(key, KEY_LEN, "%s%016" PRIx64 "%016" PRIx64, run->basis, srq_tasks_plan_key(run->tasks),
                     srq_tasks_inputs(run->tasks, srq_tasks_units(run->tasks)));

    for (int i = SRQ_LIVE_HP_FIRST; i <= SRQ_LIVE_HP_LAST; i++)
        n += isnan(run->option[i]) ? 0 : snprintf(key + n, KEY_LEN - (size_t)n, " %d %.0f", i, run->option[i]);
}

static int make(struct srq_run *run, struct srq_error *err)
{
    struct sampling s = { .run = run };
    cJSON *fact = cJSON_CreateObject();
    double since = srq_clock_s();
    char key[KEY_LEN];
    int rc = fact != NULL ? begin(&s, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory for sampling");

    srq_event_stage(&run->events, SRQ_STAGE_EVALUATE, 0, (double)(MODELS * s.n * run->job->spec.opt.sample_steps),
                    "picture-steps");
    if (rc == 0)
        rc = sample(&s, err);
    if (rc != 0 && s.tick_error.code != 0)
        *err = s.tick_error;
    if (rc == 0)
        rc = describe(&s, fact, err);
    if (rc == 0)
        rc = write_sheet(&s, err);
    if (rc == 0)
        show(&s);
    make_key(run, key);
    if (rc == 0 && (!srq_put_text(fact, "of", key) || !srq_put_number(fact, "elapsed_s", srq_clock_s() - since)))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for sampling");
    if (rc == 0)
        rc = srq_fact_write(run->ckpt, SRQ_SAMPLES_FACT, fact, err);
    if (rc == 0) {
        run->samples_told = false;
        tell(run, fact);
    }
    end(&s);
    cJSON_Delete(fact);
    return rc;
}

int srq_stage_sample(struct srq_run *run, struct srq_error *err)
{
    cJSON *fact = srq_fact_read(run->ckpt, SRQ_SAMPLES_FACT);
    const char *of = srq_member_text(fact, "of");
    char key[KEY_LEN];
    bool known;

    srq_tasks_sync_options(run->tasks);
    make_key(run, key);
    known = of != NULL && strcmp(of, key) == 0;
    if (known)
        tell(run, fact);
    cJSON_Delete(fact);
    return known || run->job->spec.opt.samples == 0 ? 0 : make(run, err);
}
