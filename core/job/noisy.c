/* Where noisy pictures come from. */
#include "core/job/noisy.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/diffusion/sampler.h"
#include "core/flow/denoise.h"

/* Streams of random numbers: a batch's choices, its noise. */
#define CHOICE_STREAM ((uint64_t)0x6e71 << 48)
#define NOISE_STREAM ((uint64_t)0x6e72 << 48)

struct srq_noisy {
    struct srq_noisy_config cfg;
    int64_t pixels;
    float *kept;    /* [steps, trajectories, pixels] */
    int32_t *times; /* [steps] */
    float *eps;     /* [pixels] */
    /* while trajectories are made */
    struct srq_denoiser *denoiser;
    struct srq_moment *at; /* [batch] */
};

static int64_t pixels_of(const struct srq_model *m)
{
    struct srq_pictures p = srq_model_pictures(m);

    return p.height * p.width * p.channels;
}

uint64_t srq_noisy_bytes(const struct srq_noisy_config *c)
{
    return c->set != NULL
               ? 0
               : (uint64_t)c->trajectories * (uint64_t)c->steps * (uint64_t)pixels_of(c->model) * sizeof(float);
}

/* ---- trajectories ------------------------------------------------------------------------------------------------ */

static int predict(void *ctx, const struct srq_asked *q, float *out, struct srq_error *err)
{
    struct srq_noisy *y = ctx;

    srq_model_moments(y->cfg.model, q->t, q->first, q->n, y->at);
    return srq_denoise(y->denoiser, q->x, y->at, q->n, out, err);
}

static void keep(void *ctx, const struct srq_asked *q)
{
    struct srq_noisy *y = ctx;

    memcpy(y->kept + ((int64_t)q->step * y->cfg.trajectories + q->first) * y->pixels, q->x,
           (size_t)(q->n * y->pixels) * sizeof(*q->x));
}

static int make_trajectories(struct srq_noisy *y, struct srq_error *err)
{
    const struct srq_noisy_config *c = &y->cfg;
    const struct srq_denoiser_config d = { .model = c->model, .compute = SRQ_F32, .batch = c->batch };
    const struct srq_sampler s = { .schedule = c->schedule,
                                   .scheduler = SRQ_SCHEDULER_DDIM,
                                   .steps = (int)c->steps,
                                   .seed = c->seed ^ 0x7472616a, /* not the pictures that are looked at later */
                                   .pixels = y->pixels,
                                   .batch = c->batch,
                                   .predict = predict,
                                   .seen = keep,
                                   .ctx = y };
    float *last = srq_malloc((size_t)(c->batch * y->pixels) * sizeof(*last));
    int rc = last != NULL ? srq_denoiser_create(&d, &y->denoiser, err)
                          : srq_fail(err, -SRQ_ENOMEM, "out of memory for trajectories");

    if (rc == 0)
        rc = srq_schedule_timesteps(c->schedule, (int)c->steps, y->times, err);
    for (int64_t first = 0; rc == 0 && first < c->trajectories; first += c->batch) {
        int64_t n = c->trajectories - first < c->batch ? c->trajectories - first : c->batch;

        rc = c->tick != NULL ? c->tick(c->ctx, first, c->trajectories) : 0;
        if (rc == 0)
            rc = srq_sample(&s, first, n, last, err);
    }
    srq_denoiser_free(y->denoiser);
    y->denoiser = NULL;
    srq_free(last);
    return rc;
}

int srq_noisy_create(const struct srq_noisy_config *c, struct srq_noisy **out, struct srq_error *err)
{
    struct srq_noisy *y = srq_calloc(1, sizeof(*y));
    int rc = 0;

    *out = NULL;
    if (y == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for noisy pictures");
    y->cfg = *c;
    y->pixels = pixels_of(c->model);
    y->eps = srq_malloc((size_t)y->pixels * sizeof(*y->eps));
    if (c->set == NULL) {
        y->kept = srq_pages_alloc((size_t)srq_noisy_bytes(c));
        y->times = srq_calloc((size_t)c->steps, sizeof(*y->times));
        y->at = srq_calloc((size_t)c->batch, sizeof(*y->at));
    }
    if (y->eps == NULL || (c->set == NULL && (y->kept == NULL || y->times == NULL || y->at == NULL)))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory for noisy pictures");
    if (rc == 0 && c->set == NULL)
        rc = make_trajectories(y, err);
    if (rc != 0)
        srq_noisy_free(y);
    else
        *out = y;
    return rc;
}

void srq_noisy_free(struct srq_noisy *y)
{
    if (y == NULL)
        return;
    if (y->kept != NULL)
        srq_pages_free(y->kept, (size_t)srq_noisy_bytes(&y->cfg));
    srq_free(y->times);
    srq_free(y->at);
    srq_free(y->eps);
    srq_free(y);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

static void draw_noise(const struct srq_noisy *y, uint64_t stream, int64_t picture)
{
    for (int64_t k = 0; k < y->pixels; k += 2) {
        double z[2];

        srq_rng_normals(y->cfg.seed, stream, ((uint64_t)picture << 32) + (uint64_t)k / 2, z);
        y->eps[k] = (float)z[0];
        if (k + 1 < y->pixels)
            y->eps[k + 1] = (float)z[1];
    }
}

/* A given picture with noise of a time that is drawn uniformly. */
static int draw_given(const struct srq_noisy *y, uint64_t at, int64_t i, const struct srq_noisy_batch *out,
                      struct srq_error *err)
{
    const struct srq_noisy_config *c = &y->cfg;
    uint64_t count = (uint64_t)srq_pictures_shape(c->set).count;
    int64_t which = (int64_t)srq_rng_below(c->seed, CHOICE_STREAM + at, 2 * (uint64_t)i, count);
    int32_t t = (int32_t)srq_rng_below(c->seed, CHOICE_STREAM + at, 2 * (uint64_t)i + 1, (uint64_t)c->schedule->times);
    float *x = out->x + i * y->pixels;
    int rc = srq_pictures_get(c->set, which, 1, x, err);

    if (rc != 0)
        return rc;
    draw_noise(y, NOISE_STREAM + at, i);
    out->at[i] = (struct srq_moment){ .t = t };
    if (out->target != NULL)
        srq_schedule_target(c->schedule, t, x, y->eps, y->pixels, out->target + i * y->pixels);
    srq_schedule_noise(c->schedule, t, x, y->eps, y->pixels, x);
    return 0;
}

int srq_noisy_batch(void *noisy, int64_t step, const struct srq_noisy_batch *out, struct srq_error *err)
{
    const struct srq_noisy *y = noisy;
    const struct srq_noisy_config *c = &y->cfg;
    uint64_t at = (uint64_t)(step + ((int64_t)1 << 40)); /* warm-up has steps below 0 */
    int rc = 0;

    for (int64_t i = 0; rc == 0 && i < out->n; i++) {
        uint64_t pick;

        if (c->set != NULL) {
            rc = draw_given(y, at, i, out, err);
            continue;
        }
        pick = srq_rng_below(c->seed, CHOICE_STREAM + at, (uint64_t)i, (uint64_t)(c->trajectories * c->steps));
        memcpy(out->x + i * y->pixels, y->kept + (int64_t)pick * y->pixels, (size_t)y->pixels * sizeof(float));
        srq_model_moments(c->model, y->times[(int64_t)pick / c->trajectories], (int64_t)pick % c->trajectories, 1,
                          &out->at[i]);
    }
    return rc;
}
