/* The loop over steps, batch by batch. */
#include "core/diffusion/sampler.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define NOISE_STREAM ((uint64_t)0x6e7a << 48) /* apart from other users of the job's seed */
#define PIXELS_MAX ((int64_t)1 << 32)

void srq_picture_noise(uint64_t seed, int64_t picture, int step, int64_t pixels, float *out)
{
    uint64_t stream = NOISE_STREAM + (uint64_t)picture, index = (uint64_t)(step + 1) << 32;

    for (int64_t k = 0; k < pixels; k += 2) {
        double two[2];

        srq_rng_normals(seed, stream, index + (uint64_t)(k / 2), two);
        out[k] = (float)two[0];
        if (k + 1 < pixels)
            out[k + 1] = (float)two[1];
    }
}

/* What a batch is worked on with; x is the caller's. */
struct work {
    int32_t *times;
    float *said, *z, *scratch;
};

static void work_fini(struct work *w)
{
    srq_free(w->times);
    srq_free(w->said);
    srq_free(w->z);
    srq_free(w->scratch);
}

static int work_init(const struct srq_sampler *s, int64_t batch, struct work *w, struct srq_error *err)
{
    size_t count;
    int rc;

    *w = (struct work){ 0 };
    if (!srq_mul_size((size_t)batch, (size_t)s->pixels, &count))
        return srq_fail(err, -SRQ_ELIMIT, "a batch of %" PRId64 " pictures of %" PRId64 " values is too large", batch,
                        s->pixels);
    w->times = srq_calloc((size_t)s->steps, sizeof(*w->times));
    w->said = srq_calloc(count, sizeof(*w->said));
    w->z = srq_calloc(count, sizeof(*w->z));
    w->scratch = srq_calloc((size_t)s->pixels, 2 * sizeof(*w->scratch));
    rc = w->times == NULL || w->said == NULL || w->z == NULL || w->scratch == NULL
             ? srq_fail(err, -SRQ_ENOMEM, "out of memory for a batch of %" PRId64 " pictures", batch)
             : srq_schedule_timesteps(s->schedule, s->steps, w->times, err);
    if (rc != 0)
        work_fini(w);
    return rc;
}

size_t srq_sampler_bytes(int64_t pixels, int64_t batch, int steps)
{
    return (size_t)steps * sizeof(int32_t) + (size_t)(2 * (batch + 1) * pixels) * sizeof(float);
}

static int check_said(const float *said, int64_t count, int step, int32_t t, struct srq_error *err)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(said[i]))
            return srq_fail(err, -SRQ_ENUMERIC, "the model's output is not finite at sampling step %d (time %d)", step,
                            t);
    return 0;
}

/* Where step i leads. DDIM takes a fixed stride through the times, also where the listed ones are spaced otherwise. */
static int32_t next_time(const struct srq_sampler *s, const int32_t *times, int i)
{
    if (s->scheduler == SRQ_SCHEDULER_DDIM)
        return times[i] - s->schedule->times / s->steps;
    return i + 1 < s->steps ? times[i + 1] : -1;
}

static int take_step(const struct srq_sampler *s, const struct work *w, int i, int64_t first, int64_t n, float *x,
                     struct srq_error *err)
{
    bool ddim = s->scheduler == SRQ_SCHEDULER_DDIM, noisy = !ddim || s->eta > 0;
    struct srq_sample_step step = {
        .schedule = s->schedule,
        .from = w->times[i],
        .to = next_time(s, w->times, i),
        .eta = s->eta,
        .n = n,
        .pixels = s->pixels,
        .x = x,
        .said = w->said,
        .z = noisy ? w->z : NULL,
        .next = x,
        .scratch = w->scratch,
    };
    const struct srq_asked asked = { i, step.from, first, n, x };
    int rc;

    if (s->seen != NULL)
        s->seen(s->ctx, &asked);
    rc = s->predict(s->ctx, &asked, w->said, err);
    if (rc == 0)
        rc = check_said(w->said, n * s->pixels, i, step.from, err);
    if (rc != 0)
        return rc;
    for (int64_t k = 0; noisy && k < n; k++)
        srq_picture_noise(s->seed, first + k, i, s->pixels, w->z + k * s->pixels);
    if (ddim)
        srq_step_ddim(&step);
    else
        srq_step_ddpm(&step);
    return 0;
}

static int check(const struct srq_sampler *s, int64_t first, int64_t n, struct srq_error *err)
{
    if (!(s->eta >= 0 && s->eta <= 1))
        return srq_fail_field(err, -SRQ_EINVAL, "eta", "eta %g is outside 0 … 1", s->eta);
    if (s->pixels < 1 || s->pixels > PIXELS_MAX || s->batch < 1 || s->steps < 1 || first < 0 || n < 0 ||
        first > INT64_MAX - n)
        return srq_fail(err, -SRQ_EINVAL,
                        "cannot sample pictures %" PRId64 " … of %" PRId64 " values in batches of %" PRId64
                        " and %d steps",
                        first, s->pixels, s->batch, s->steps);
    /* Too many steps are refused there, before anything is allocated by their number. */
    return s->steps > s->schedule->times ? srq_schedule_timesteps(s->schedule, s->steps, NULL, err) : 0;
}

/* What pictures at … at+count-1 of a run are before the first step. */
static void begin(const struct srq_sampler *s, int64_t first, int64_t at, int64_t count, float *x)
{
    if (s->start != NULL)
        memmove(x, s->start + at * s->pixels, (size_t)(count * s->pixels) * sizeof(*x));
    for (int64_t k = 0; s->start == NULL && k < count; k++)
        srq_picture_noise(s->seed, first + at + k, -1, s->pixels, x + k * s->pixels);
}

int srq_sample(const struct srq_sampler *s, int64_t first, int64_t n, float *out, struct srq_error *err)
{
    int64_t batch = s->batch < n ? s->batch : n, done = 0;
    struct work w;
    int rc = check(s, first, n, err);

    if (rc == 0)
        rc = work_init(s, batch, &w, err);
    if (rc != 0)
        return rc;
    for (int64_t at = 0; rc == 0 && at < n; at += batch) {
        int64_t count = batch < n - at ? batch : n - at;
        float *x = out + at * s->pixels;

        begin(s, first, at, count, x);
        for (int i = 0; rc == 0 && i < s->steps; i++) {
            rc = take_step(s, &w, i, first + at, count, x, err);
            done += count;
            if (rc == 0 && s->tick != NULL && s->tick(s->ctx, done, n * s->steps) != 0)
                rc = srq_fail(err, -SRQ_ECANCELED, "sampling was stopped at step %d", i);
        }
    }
    work_fini(&w);
    return rc;
}
