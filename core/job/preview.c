/* Previews of a trainer's student. */
#include "core/job/preview.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/diffusion/sampler.h"
#include "core/flow/denoise.h"
#include "core/job/show.h"

#include <math.h>

struct srq_preview {
    struct srq_run *run;
    struct srq_train *t;
    struct srq_preview_plan plan;
    int64_t pixels;
    int next; /* refresh that comes next */
    bool off, asked;
    bool taught;        /* the full-precision model's way is known: */
    float *way, *said;  /* [steps, pictures, pixels] what it was asked about, what it said */
    float *out, *other; /* [pictures, pixels] */
    struct srq_moment when[SRQ_PREVIEW_PICTURES];
    double at[SRQ_PREVIEW_STEPS], signal[SRQ_PREVIEW_STEPS], noise[SRQ_PREVIEW_STEPS];
    bool teaching;             /* while the full-precision model samples */
    double began, spent, last; /* seconds: when training began (monotonic), what previews took, the last of them */
    int64_t began_step;        /* -1: it has not */
};

/* Training steps after which a refresh is due. */
static int64_t due_at(const struct srq_preview *p, int refresh)
{
    int64_t steps = p->run->job->train.steps;

    return refresh + 1 >= p->plan.refreshes ? steps : steps * refresh / (p->plan.refreshes - 1);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int srq_preview_create(struct srq_run *run, struct srq_train *t, struct srq_preview **out, struct srq_error *err)
{
    struct srq_preview_plan plan = srq_preview_plan_of(run->job);
    struct srq_pictures s = srq_model_pictures(run->job->model);
    struct srq_preview *p;
    size_t one, way;

    *out = NULL;
    if (plan.refreshes == 0)
        return 0;
    p = srq_calloc(1, sizeof(*p));
    if (p == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for previews");
    p->run = run;
    p->t = t;
    p->plan = plan;
    p->asked = (run->job->spec.opt.set & srq_job_option_bit("preview")) != 0;
    p->began_step = -1;
    p->pixels = s.height * s.width * s.channels;
    one = (size_t)(p->pixels * plan.pictures);
    way = one * (size_t)plan.steps;
    p->way = srq_calloc(2 * way + 2 * one, sizeof(float));
    if (p->way == NULL) {
        srq_free(p);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for previews");
    }
    p->said = p->way + way;
    p->out = p->said + way;
    p->other = p->out + one;
    *out = p;
    return 0;
}

void srq_preview_free(struct srq_preview *p)
{
    if (p == NULL)
        return;
    srq_free(p->way);
    srq_free(p);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static int ask(struct srq_preview *p, bool taught, double t, const float *x, float *out, struct srq_error *err)
{
    srq_model_moments(p->run->job->model, t, 0, p->plan.pictures, p->when);
    return srq_train_denoise(p->t, taught, x, p->when, p->plan.pictures, out, err);
}

static int predict(void *ctx, const struct srq_asked *q, float *out, struct srq_error *err)
{
    struct srq_preview *p = ctx;
    size_t one = (size_t)(q->n * p->pixels), at = one * (size_t)q->step;
    int rc = ask(p, p->teaching, q->t, q->x, out, err);

    if (rc == 0 && p->teaching) {
        p->at[q->step] = q->t;
        memcpy(p->way + at, q->x, one * sizeof(*q->x));
        memcpy(p->said + at, out, one * sizeof(*out));
    }
    return rc;
}

static int tick(void *ctx, int64_t done, int64_t total)
{
    struct srq_preview *p = ctx;
    struct srq_error told = { 0 };

    (void)done;
    (void)total;
    return srq_run_check(p->run, &told);
}

static int sample(struct srq_preview *p, bool taught, struct srq_error *err)
{
    const struct srq_sampler s = { .schedule = p->run->job->noise,
                                   .scheduler = SRQ_SCHEDULER_DDIM,
                                   .steps = p->plan.steps,
                                   .seed = (uint64_t)p->run->job->spec.opt.seed,
                                   .pixels = p->pixels,
                                   .batch = p->plan.pictures,
                                   .predict = predict,
                                   .tick = tick,
                                   .ctx = p };

    p->teaching = taught;
    return srq_sample(&s, 0, p->plan.pictures, p->out, err);
}

/* How far off the student is at each step of the full-precision model's way. */
static int compare(struct srq_preview *p, struct srq_error *err)
{
    int64_t n = p->plan.pictures * p->pixels;
    int rc = 0;

    for (int s = 0; rc == 0 && s < p->plan.steps; s++) {
        const float *said = p->said + s * n;

        rc = tick(p, 0, 0);
        if (rc == 0)
            rc = ask(p, false, p->at[s], p->way + s * n, p->other, err);
        p->signal[s] = p->noise[s] = 0;
        for (int64_t i = 0; rc == 0 && i < n; i++) {
            double off = (double)p->other[i] - (double)said[i];

            p->signal[s] += (double)said[i] * (double)said[i];
            p->noise[s] += off * off;
        }
    }
    return rc;
}

static void show(const struct srq_preview *p, enum srq_sampled which, int64_t step)
{
    struct srq_pictures s = srq_model_pictures(p->run->job->model);
    bool student = which == SRQ_SAMPLED_QUANTIZED;
    const struct srq_shown shown = { .which = which,
                                     .train_step = step,
                                     .pictures = p->out,
                                     .count = p->plan.pictures,
                                     .shape = { .height = s.height, .width = s.width, .channels = s.channels },
                                     .steps = p->plan.steps,
                                     .signal = student ? p->signal : NULL,
                                     .noise = student ? p->noise : NULL };

    srq_show_pictures(p->run, &shown);
}

static int refresh(struct srq_preview *p, int64_t step, struct srq_error *err)
{
    int rc = 0;

    if (!p->taught) {
        rc = sample(p, true, err);
        p->taught = rc == 0;
        if (rc == 0)
            show(p, SRQ_SAMPLED_FULL, step);
    }
    if (rc == 0)
        rc = compare(p, err);
    if (rc == 0)
        rc = sample(p, false, err);
    if (rc == 0)
        show(p, SRQ_SAMPLED_QUANTIZED, step);
    return rc;
}

static void take_time(struct srq_preview *p, int64_t step)
{
    double since = srq_clock_s();
    struct srq_error err = { 0 };
    int rc = refresh(p, step, &err);

    p->last = srq_clock_s() - since;
    p->spent += p->last;
    if (p->began_step < 0) {
        p->began = srq_clock_s();
        p->began_step = step;
        p->spent = 0;
    }
    if (rc != 0 && rc != -SRQ_ECANCELED) {
        p->off = true;
        srq_event_log(&p->run->events, SRQ_LOG_WARN, "previews are left out from here on: %s", err.text);
    }
}

/* By the time that steps took so far, whether one more would bring all of them above their share. */
static bool too_dear(const struct srq_preview *p, int64_t step)
{
    double trained = srq_clock_s() - p->began - p->spent, steps = (double)(step - p->began_step);

    return !p->asked && p->began_step >= 0 && steps > 0 &&
           (p->spent + 2 * p->last) * SRQ_PREVIEW_COST > trained / steps * (double)p->run->job->train.steps;
}

void srq_preview_look(struct srq_preview *p, int64_t step)
{
    if (p == NULL || p->off || step < 0)
        return;
    /* A run that goes on where another was killed has missed some. */
    while (p->next + 2 < p->plan.refreshes && due_at(p, p->next + 1) <= step)
        p->next++;
    if (p->next + 1 >= p->plan.refreshes || due_at(p, p->next) > step)
        return;
    p->next++;
    if (!too_dear(p, step))
        take_time(p, step);
}

void srq_preview_end(struct srq_preview *p)
{
    if (p != NULL && !p->off)
        take_time(p, srq_train_step(p->t));
}
