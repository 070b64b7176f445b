/* Jobs on diffusion models, from their specification. */
#include "core/job/train.h"

#include "core/base/alloc.h"
#include "core/flow/denoise.h"
#include "core/job/preview.h"
#include "core/model/export.h"

#include <inttypes.h>

/* ---- what fits --------------------------------------------------------------------------------------------------- */

static int not_for(const struct srq_job *job, const char *field, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, field, "%s is a diffusion model (%s): %s", job->info->path,
                          job->info->family, what);
}

static int check_method(const struct srq_job *job, struct srq_error *err)
{
    const struct srq_spec *s = &job->spec;
    char what[240];

    if (srq_spec_has_budget(s))
        return not_for(job, "budget", "layers are not scored yet, give schemes instead of a budget", err);
    if (srq_spec_transform(s) != NULL) {
        snprintf(what, sizeof(what), "%s scales layers of language models only", srq_spec_transform(s)->name);
        return not_for(job, "method", what, err);
    }
    if (job->calibrates) {
        snprintf(what, sizeof(what), "%s learns from text; diffusion-qat, diffusion-ptq and rtn fit it",
                 srq_spec_quantizer(s)->name);
        return not_for(job, "method", what, err);
    }
    for (int i = 0; i < s->format_count; i++) {
        if (strcmp(s->formats[i], "fake") != 0) {
            snprintf(what, sizeof(what), "format %s is one of language models, give \"fake\"", s->formats[i]);
            return not_for(job, "formats", what, err);
        }
    }
    if (s->calib_count > 1 || s->eval_count > 1)
        return not_for(job, s->calib_count > 1 ? "calib" : "eval", "give one set of pictures", err);
    return 0;
}

/* Pictures that are given have to be the model's own size. */
static int open_set(const struct srq_job *job, const char *path, const char *field, struct srq_picture_set **out,
                    struct srq_error *err)
{
    struct srq_pictures p = srq_model_pictures(job->model);
    struct srq_picture_shape s;
    int rc = srq_pictures_open(path, out, err);

    if (rc != 0)
        return rc;
    s = srq_pictures_shape(*out);
    if (s.height == p.height && s.width == p.width && s.channels == p.channels)
        return 0;
    return srq_fail_field(err, -SRQ_EINVAL, field,
                          "pictures of %s are %" PRId64 " x %" PRId64 " with %" PRId64
                          " channels; the model's are %" PRId64 " x %" PRId64 " with %" PRId64,
                          path, s.height, s.width, s.channels, p.height, p.width, p.channels);
}

static int open_schedule(struct srq_resolved *r, struct srq_error *err)
{
    struct srq_pictures p = srq_model_pictures(r->job.model);
    char *text = NULL;
    size_t len = 0;
    int rc = srq_model_scheduler(r->job.model, &text, &len, err);

    if (rc == 0)
        rc = srq_schedule_read(text, len, &r->job.noise, err);
    srq_free(text);
    if (rc == 0 && p.out_channels != p.channels)
        rc =
            not_for(&r->job, "model", "it says a variance beside the noise (learned_range), which is not sampled", err);
    if (rc == 0 && r->job.spec.opt.sample_steps > r->job.noise->times)
        rc = srq_fail_field(err, -SRQ_EINVAL, "options.sample_steps",
                            "sample_steps %" PRId64 " is more than the %d times of the model's schedule",
                            r->job.spec.opt.sample_steps, r->job.noise->times);
    return rc;
}

int srq_job_train_open(struct srq_resolved *r, struct srq_error *err)
{
    struct srq_job *job = &r->job;
    const struct srq_spec *s = &job->spec;
    const struct srq_plugin *p = srq_spec_trainer(s);
    int rc;

    if (!job->info->pictures)
        return p == NULL ? 0
                         : srq_fail_field(err, -SRQ_EUNSUPPORTED, "method",
                                          "%s trains diffusion models; %s is a language model (%s)", p->name,
                                          job->info->path, job->info->family);
    rc = check_method(job, err);
    if (rc == 0)
        rc = open_schedule(r, err);
    if (rc == 0 && s->calib_count > 0)
        rc = open_set(job, s->calib[0], "calib", &job->pictures, err);
    if (rc == 0 && s->eval_count > 0)
        rc = open_set(job, s->eval[0], "eval", &job->like, err);
    if (rc != 0 || p == NULL)
        return rc;
    job->trainer_self = job->self;
    if (s->trainer != s->quantizer)
        rc = p->create(srq_host_services(), s->plugins[s->trainer].options, &job->trainer_self, err);
    job->train.pictures = job->pictures != NULL;
    if (rc == 0)
        rc = srq_train_schedule_of(p, job->trainer_self, &job->train, err);
    if (rc == 0 && job->train.noisy == SRQ_NOISY_UNIFORM && job->pictures == NULL)
        rc = srq_fail_field(err, -SRQ_EINVAL, "calib",
                            "%s is to learn from given pictures (calib=uniform_t): give \"calib\" a set of them",
                            p->name);
    return rc > 0 ? -SRQ_EINVAL : rc;
}

void srq_job_train_close(struct srq_resolved *r)
{
    struct srq_job *job = &r->job;

    if (job->trainer_self != NULL && job->spec.trainer != job->spec.quantizer)
        srq_spec_trainer(&job->spec)->destroy(srq_host_services(), job->trainer_self);
    job->trainer_self = NULL;
    srq_pictures_close(job->pictures);
    srq_pictures_close(job->like);
    srq_schedule_free(job->noise);
    job->pictures = job->like = NULL;
    job->noise = NULL;
}

int srq_job_train_check_plan(const struct srq_resolved *r, struct srq_error *err)
{
    if (!r->job.info->pictures || srq_spec_trainer(&r->job.spec) != NULL)
        return 0;
    for (int i = 0; i < r->job.layer_count; i++)
        if (r->choice.schemes[i].act_bits > 0)
            return srq_fail_field(err, -SRQ_EUNSUPPORTED, "scheme",
                                  "%s: activations of a diffusion model are rounded within ranges that were observed: "
                                  "method %s observes none, diffusion-ptq and diffusion-qat do",
                                  r->job.layers[i]->name, srq_spec_quantizer(&r->job.spec)->name);
    return 0;
}

/* ---- data and memory --------------------------------------------------------------------------------------------- */

struct srq_noisy_config srq_job_noisy_config(const struct srq_job *job)
{
    int64_t n = job->spec.opt.nsamples;

    return (struct srq_noisy_config){ .model = job->model,
                                      .schedule = job->noise,
                                      .set = job->train.noisy == SRQ_NOISY_UNIFORM ? job->pictures : NULL,
                                      .trajectories = n,
                                      .steps = job->spec.opt.sample_steps,
                                      .batch = n < SRQ_SAMPLE_BATCH ? n : SRQ_SAMPLE_BATCH,
                                      .seed = (uint64_t)job->spec.opt.seed };
}

struct srq_train_config srq_job_train_config(const struct srq_resolved *r)
{
    return (struct srq_train_config){ .model = r->job.model,
                                      .plugin = srq_spec_trainer(&r->job.spec),
                                      .self = r->job.trainer_self,
                                      .schemes = r->choice.schemes,
                                      .schedule = r->job.train,
                                      .batch = srq_noisy_batch };
}

int64_t srq_job_sample_batch(const struct srq_job *job)
{
    int64_t n = job->spec.opt.samples;

    return n < 1 ? 1 : n < SRQ_SAMPLE_BATCH ? n : SRQ_SAMPLE_BATCH;
}

struct srq_high_steps srq_job_high_steps(const struct srq_job *job)
{
    const struct srq_job_options *o = &job->spec.opt;
    int tenth = (int)((o->sample_steps + 5) / 10);

    return (struct srq_high_steps){ o->hp_first >= 0 ? (int)o->hp_first : tenth,
                                    o->hp_last >= 0 ? (int)o->hp_last : tenth };
}

int srq_job_train_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err)
{
    const struct srq_noisy_config noisy = srq_job_noisy_config(&r->job);
    const struct srq_job_options *o = &r->job.spec.opt;
    struct srq_denoiser_config d = { .model = r->job.model,
                                     .compute = SRQ_F32,
                                     .batch = srq_job_sample_batch(&r->job) };
    struct srq_memory_rows rows = { .count = 0 };
    struct srq_layer_roundings none;
    struct srq_pictures p;
    size_t bytes = 0;
    int rc = 0;

    if (!r->job.info->pictures)
        return 0;
    p = srq_model_pictures(r->job.model);
    if (srq_spec_trainer(&r->job.spec) != NULL) {
        const struct srq_train_config cfg = srq_job_train_config(r);

        rc = srq_train_footprint(&cfg, &rows, err);
        srq_needs_add_all(memory, "transform", &rows);
        srq_needs_add(memory, "transform", "train: trajectories of the full-precision model", srq_noisy_bytes(&noisy));
        srq_needs_add(memory, "transform", "train: previews", srq_preview_bytes(&r->job));
    }
    if (rc != 0 || o->samples == 0)
        return rc;
    rc = srq_denoiser_bytes(&d, &bytes, err);
    srq_needs_add(memory, "evaluate", "sampling: full precision", bytes);
    d.roundings = &none; /* that there are some */
    if (rc == 0)
        rc = srq_denoiser_bytes(&d, &bytes, err);
    srq_needs_add(memory, "evaluate", "sampling: quantized", bytes);
    srq_needs_add(memory, "evaluate", "sampling: pictures",
                  (uint64_t)(o->samples * p.height * p.width * p.channels) * 3 * sizeof(float));
    return rc;
}
