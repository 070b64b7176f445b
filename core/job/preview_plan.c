/* How much previews may cost, in pictures that pass through the model. */
#include "core/job/preview_plan.h"

#include "core/diffusion/sampler.h"
#include "core/model/pictures.h"

enum { FEWEST_STEPS = 5, LARGE = 3 * 128 * 128 /* values of a picture of which one has to do */ };

static double passes(struct srq_preview_plan p)
{
    return (double)p.pictures * (double)p.steps * (p.refreshes > 0 ? 1 + 2 * (double)p.refreshes : 0);
}

/* A step of training is five passes of its batch: one of the teacher, one of the student, about three on the way
 * back. */
static double training_passes(const struct srq_job *job)
{
    const struct srq_trainer_schedule *t = &job->train;
    const struct srq_job_options *o = &job->spec.opt;

    return (double)t->batch * (double)(5 * t->steps + t->warmup) +
           (t->noisy == SRQ_NOISY_TRAJECTORY ? (double)(o->nsamples * o->sample_steps) : 0);
}

struct srq_preview_plan srq_preview_plan_of(const struct srq_job *job)
{
    const struct srq_job_options *o = &job->spec.opt;
    struct srq_pictures shape = srq_model_pictures(job->model);
    bool asked = (o->set & srq_job_option_bit("preview")) != 0;
    double most = training_passes(job) / SRQ_PREVIEW_COST;
    int fewest = o->sample_steps < FEWEST_STEPS ? (int)o->sample_steps : FEWEST_STEPS;
    struct srq_preview_plan p = {
        .refreshes = job->train.steps == 0 && o->preview > 1 ? 1 : (int)o->preview,
        .steps = o->sample_steps < SRQ_PREVIEW_STEPS ? (int)o->sample_steps : SRQ_PREVIEW_STEPS,
        .pictures = shape.height * shape.width * shape.channels > LARGE ? 1 : SRQ_PREVIEW_PICTURES,
    };

    while (p.steps > fewest && passes(p) > most)
        p.steps--;
    while (!asked && p.refreshes > 2 && passes(p) > most)
        p.refreshes--;
    return p;
}

double srq_preview_passes(const struct srq_job *job)
{
    return passes(srq_preview_plan_of(job));
}

uint64_t srq_preview_bytes(const struct srq_job *job)
{
    struct srq_preview_plan p = srq_preview_plan_of(job);
    struct srq_pictures s = srq_model_pictures(job->model);
    int64_t pixels = s.height * s.width * s.channels;

    return p.refreshes == 0 ? 0
                            : (uint64_t)(pixels * p.pictures * (2 * p.steps + 2)) * sizeof(float) +
                                  srq_sampler_bytes(pixels, p.pictures, p.steps);
}
