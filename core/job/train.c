/* Jobs on diffusion models, from their specification. */
#include "core/job/train.h"

#include "core/base/alloc.h"
#include "core/flow/integers.h"
#include "core/job/preview_plan.h"
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
    for (int i = 0; i < s->format_count; i++) {
        if (strcmp(s->formats[i], "fake") != 0 && strcmp(s->formats[i], "int8") != 0) {
            snprintf(what, sizeof(what), "format %s is one of language models, give \"fake\" or \"int8\"",
                     s->formats[i]);
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
    int rc;

    if (p.text_width > 0) /* it is not sampled, and its schedulers are others */
        return 0;
    rc = srq_model_scheduler(r->job.model, &text, &len, err);
    if (rc == 0)
        rc = srq_schedule_read(text, len, &r->job.noise, err);
    srq_free(text);
    if (rc == 0 && r->job.noise->unknown[0] != '\0')
        srq_resolved_note(r, SRQ_SCHEDULE_UNKNOWN, r->job.noise->unknown);
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
    if (rc == 0 && s->calib_count > 0 && srq_model_pictures(job->model).classes > 0)
        rc = not_for(job, "calib", "it is told classes, and given pictures have none: leave them out", err);
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
    if (rc == 0 && s->trainer != s->quantizer && job->train.steps > 0)
        rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, "method",
                            "%s trains weights to bear its own rounding, and %s behind it would round them otherwise: "
                            "give %s alone, or diffusion-ptq before %s",
                            p->name, srq_spec_quantizer(s)->name, p->name, srq_spec_quantizer(s)->name);
    if (rc == 0 && job->train.noisy == SRQ_NOISY_UNIFORM && job->pictures == NULL)
        rc = srq_fail_field(err, -SRQ_EINVAL, "calib",
                            "%s is to learn from given pictures (calib=uniform_t): give \"calib\" a set of them",
                            p->name);
    return rc > 0 ? -SRQ_EINVAL : rc;
}

bool srq_job_train_refused(const struct srq_job *job, char *out, size_t cap)
{
    if (!job->info->pictures || srq_model_pictures(job->model).text_width == 0 ||
        (srq_spec_trainer(&job->spec) == NULL && !job->calibrates && job->spec.opt.samples == 0))
        return false;
    snprintf(out, cap,
             "%.500s is told a text (%s), and srq runs no text encoder: such a model can be planned, and its weights "
             "rounded by rtn with samples=0, but it is neither tuned, trained nor sampled",
             job->info->path, job->info->family);
    return true;
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
                                  "method %s observes none; diffusion-ptq does, alone or before it (diffusion-ptq,%s), "
                                  "and diffusion-qat",
                                  r->job.layers[i]->name, srq_spec_quantizer(&r->job.spec)->name,
                                  srq_spec_quantizer(&r->job.spec)->name);
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

struct srq_denoiser_config srq_job_sample_config(const struct srq_job *job, enum srq_sample_role role)
{
    static struct srq_layer_roundings some; /* that there are some */
    int64_t n = job->spec.opt.samples;
    struct srq_denoiser_config d = { .model = job->model,
                                     .compute = role == SRQ_SAMPLE_HIGH ? srq_job_high_dtype(job) : SRQ_F32,
                                     .batch = n < 1                  ? 1
                                              : n < SRQ_SAMPLE_BATCH ? n
                                                                     : SRQ_SAMPLE_BATCH };

    if (role == SRQ_SAMPLE_QUANTIZED && srq_spec_trainer(&job->spec) != NULL) {
        d.roundings = &some;
        d.integers = true;
    }
    return d;
}

static int sample_needs(const struct srq_job *job, struct srq_needs *memory, struct srq_error *err)
{
    static const char *const names[] = { "sampling: full precision", "sampling: full precision of the mix",
                                         "sampling: quantized" };
    struct srq_pictures p = srq_model_pictures(job->model);
    int rc = 0;

    if (job->spec.opt.samples == 0)
        return 0;
    for (int role = SRQ_SAMPLE_FULL; rc == 0 && role <= SRQ_SAMPLE_QUANTIZED; role++) {
        const struct srq_denoiser_config d = srq_job_sample_config(job, (enum srq_sample_role)role);
        size_t bytes = 0;

        if (role == SRQ_SAMPLE_HIGH && d.compute == SRQ_F32)
            continue; /* it is the first of them */
        rc = srq_denoiser_bytes(&d, &bytes, err);
        srq_needs_add(memory, "evaluate", names[role], bytes);
        if (rc == 0 && d.integers)
            srq_needs_add(memory, "evaluate", "sampling: codes", srq_integers_bytes(job->model));
    }
    srq_needs_add(memory, "evaluate", "sampling: pictures",
                  (uint64_t)(job->spec.opt.samples * p.height * p.width * p.channels) * 3 * sizeof(float));
    return rc;
}

int srq_job_train_needs(const struct srq_resolved *r, struct srq_needs *memory, struct srq_error *err)
{
    const struct srq_noisy_config noisy = srq_job_noisy_config(&r->job);
    struct srq_memory_rows rows = { .count = 0 };
    int rc = 0;

    if (!r->job.info->pictures)
        return 0;
    if (srq_spec_trainer(&r->job.spec) != NULL) {
        const struct srq_train_config cfg = srq_job_train_config(r);

        rc = srq_train_footprint(&cfg, &rows, err);
        srq_needs_add_all(memory, "transform", &rows);
        srq_needs_add(memory, "transform", "train: trajectories of the full-precision model", srq_noisy_bytes(&noisy));
        srq_needs_add(memory, "transform", "train: previews", srq_preview_bytes(&r->job));
    }
    return rc == 0 ? sample_needs(&r->job, memory, err) : rc;
}
