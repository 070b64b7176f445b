/* A sampler over one or two denoisers. */
#include "core/diffusion/generator.h"

#include "core/base/alloc.h"

#include <inttypes.h>

struct srq_generator {
    struct srq_generator_config cfg;
    struct srq_noise_schedule *schedule;
    struct srq_denoiser *most, *high; /* high: NULL where there is none */
    int64_t pixels;                   /* values of a picture */
    struct srq_moment *when;          /* [batch]: the time of a step, for every picture of a batch */
    const struct srq_generation *run;
};

/* ---- what cannot be ---------------------------------------------------------------------------------------------- */

static int check_model(const struct srq_model *m, struct srq_error *err)
{
    const struct srq_model_info *info = srq_model_info(m);
    struct srq_pictures p;

    if (!info->pictures)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model",
                              "%s is a language model (%s); pictures are made by a diffusion model", info->path,
                              info->family);
    p = srq_model_pictures(m);
    if (p.text_width > 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model",
                              "%s is told a text (%s), and srq runs no text encoder: it cannot be sampled", info->path,
                              info->family);
    if (p.out_channels != p.channels)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model",
                              "%s gives %" PRId64 " channels for pictures of %" PRId64
                              ": sampling with a variance that the model predicts is not supported",
                              info->path, p.out_channels, p.channels);
    return 0;
}

static int check_numbers(const struct srq_generator_config *c, struct srq_error *err)
{
    if (c->denoiser.batch < 1)
        return srq_fail_field(err, -SRQ_EINVAL, "batch", "%" PRId64 " pictures at a time are too few",
                              c->denoiser.batch);
    if (c->high_first < 0 || c->high_last < 0)
        return srq_fail_field(err, -SRQ_EINVAL, "high", "the first %d and last %d steps cannot be counted",
                              c->high_first, c->high_last);
    if (c->high == NULL && (c->high_first > 0 || c->high_last > 0))
        return srq_fail_field(err, -SRQ_EINVAL, "high", "no model is given for the first %d and last %d steps",
                              c->high_first, c->high_last);
    return 0;
}

static int read_schedule(const struct srq_model *m, struct srq_noise_schedule **out, struct srq_error *err)
{
    struct srq_error why = { 0 };
    char *text = NULL;
    size_t len = 0;
    int rc = srq_model_scheduler(m, &text, &len, err);

    *out = NULL;
    if (rc != 0)
        return rc;
    rc = srq_schedule_read(text, len, out, &why);
    srq_free(text);
    return rc == 0 ? 0 : srq_fail_field(err, rc, why.field, "%s: %s", srq_model_info(m)->path, why.text);
}

/* Two networks that are to take turns have to be of the same pictures and of the same noise. A folder without a
 * scheduler is taken at its user's word. */
static int check_pair(const struct srq_generator *g, const struct srq_model *high, struct srq_error *err)
{
    const struct srq_model *m = g->cfg.denoiser.model;
    const char *name = srq_model_info(m)->path, *high_name = srq_model_info(high)->path;
    struct srq_pictures a = srq_model_pictures(m), b = srq_model_pictures(high);
    struct srq_noise_schedule *s = NULL;
    int rc;

    if (a.height != b.height || a.width != b.width || a.channels != b.channels)
        return srq_fail_field(err, -SRQ_EINVAL, "high",
                              "%s makes pictures of %" PRId64 " x %" PRId64 " pixels and %" PRId64
                              " channels, %s of %" PRId64 " x %" PRId64 " and %" PRId64,
                              high_name, b.width, b.height, b.channels, name, a.width, a.height, a.channels);
    if (a.classes != b.classes)
        return srq_fail_field(err, -SRQ_EINVAL, "high", "%s has %" PRId64 " classes of pictures, %s has %" PRId64,
                              high_name, b.classes, name, a.classes);
    rc = read_schedule(high, &s, err);
    if (rc == -SRQ_ENOENT)
        return 0;
    if (rc == 0 && (s->prediction != g->schedule->prediction || s->times != g->schedule->times ||
                    memcmp(s->alpha_bar, g->schedule->alpha_bar, (size_t)s->times * sizeof(*s->alpha_bar)) != 0))
        rc = srq_fail_field(err, -SRQ_EINVAL, "high", "%s and %s were trained on different noise schedules", high_name,
                            name);
    srq_schedule_free(s);
    return rc;
}

/* ---- create and free --------------------------------------------------------------------------------------------- */

static struct srq_denoiser_config high_of(const struct srq_generator_config *c)
{
    struct srq_denoiser_config high = *c->high;

    high.batch = c->denoiser.batch;
    return high;
}

static int64_t pixels_of(const struct srq_model *m)
{
    struct srq_pictures p = srq_model_pictures(m);

    return p.height * p.width * p.channels;
}

int srq_generator_bytes(const struct srq_generator_config *c, size_t *bytes, struct srq_error *err)
{
    size_t more = 0;
    int rc = check_model(c->denoiser.model, err);

    *bytes = 0;
    if (rc == 0 && c->high != NULL)
        rc = check_model(c->high->model, err);
    if (rc == 0)
        rc = srq_denoiser_bytes(&c->denoiser, bytes, err);
    if (rc == 0 && c->high != NULL) {
        const struct srq_denoiser_config high = high_of(c);

        rc = srq_denoiser_bytes(&high, &more, err);
        *bytes += more;
    }
    if (rc == 0)
        *bytes += srq_sampler_bytes(pixels_of(c->denoiser.model), c->denoiser.batch, c->steps) +
                  (size_t)c->denoiser.batch * sizeof(struct srq_moment);
    return rc;
}

static int check_class(const struct srq_generator_config *c, struct srq_error *err)
{
    const struct srq_pictures p = srq_model_pictures(c->denoiser.model);
    const char *path = srq_model_info(c->denoiser.model)->path;

    if (!c->one_class || (c->class >= 0 && c->class < p.classes))
        return 0;
    return p.classes > 0
               ? srq_fail_field(err, -SRQ_EINVAL, "class", "class %" PRId64 " is none of 0 to %" PRId64 ", those of %s",
                                c->class, p.classes - 1, path)
               : srq_fail_field(err, -SRQ_EINVAL, "class", "%s is told no class, and so not %" PRId64, path, c->class);
}

static int open_schedule(struct srq_generator *g, struct srq_error *err)
{
    const struct srq_generator_config *c = &g->cfg;
    int rc = read_schedule(c->denoiser.model, &g->schedule, err);
    int32_t *times;

    if (rc == 0 && c->high != NULL)
        rc = check_pair(g, c->high->model, err);
    if (rc == 0 && (c->steps < 1 || c->steps > g->schedule->times))
        rc = srq_fail_field(err, -SRQ_EINVAL, "steps",
                            "%d sampling steps are outside 1 … %d, the num_train_timesteps of %s", c->steps,
                            g->schedule->times, srq_model_info(c->denoiser.model)->path);
    if (rc == 0)
        rc = check_class(c, err);
    if (rc != 0)
        return rc;
    times = srq_calloc((size_t)g->schedule->times, sizeof(*times)); /* what cannot be is refused before the work */
    rc = times != NULL ? srq_schedule_timesteps(g->schedule, c->steps, times, err)
                       : srq_fail(err, -SRQ_ENOMEM, "out of memory for %d sampling steps", c->steps);
    srq_free(times);
    return rc;
}

static int create(struct srq_generator *g, struct srq_error *err)
{
    const struct srq_generator_config *c = &g->cfg;
    int rc = open_schedule(g, err);

    if (rc != 0)
        return rc;
    g->pixels = pixels_of(c->denoiser.model);
    g->when = srq_calloc((size_t)c->denoiser.batch, sizeof(*g->when));
    if (g->when == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a batch of %" PRId64 " pictures", c->denoiser.batch);
    rc = srq_denoiser_create(&c->denoiser, &g->most, err);
    if (rc == 0 && c->high != NULL) {
        const struct srq_denoiser_config high = high_of(c);

        rc = srq_denoiser_create(&high, &g->high, err);
    }
    return rc;
}

int srq_generator_create(const struct srq_generator_config *c, struct srq_generator **out, struct srq_error *err)
{
    struct srq_generator *g;
    int rc = check_model(c->denoiser.model, err);

    *out = NULL;
    if (rc == 0 && c->high != NULL)
        rc = check_model(c->high->model, err);
    if (rc == 0)
        rc = check_numbers(c, err);
    if (rc != 0)
        return rc;
    g = srq_calloc(1, sizeof(*g));
    if (g == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a diffusion model");
    g->cfg = *c;
    rc = create(g, err);
    if (rc != 0)
        srq_generator_free(g);
    else
        *out = g;
    return rc;
}

void srq_generator_free(struct srq_generator *g)
{
    if (g == NULL)
        return;
    srq_denoiser_free(g->most);
    srq_denoiser_free(g->high);
    srq_schedule_free(g->schedule);
    srq_free(g->when);
    srq_free(g);
}

const struct srq_noise_schedule *srq_generator_schedule(const struct srq_generator *g)
{
    return g->schedule;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

static int predict(void *ctx, const struct srq_asked *q, float *out, struct srq_error *err)
{
    struct srq_generator *g = ctx;
    const struct srq_generator_config *c = &g->cfg;
    bool high = g->high != NULL && srq_step_is_high(q->step, c->steps, c->high_first, c->high_last);

    srq_model_moments(c->denoiser.model, q->t, q->first, q->n, g->when);
    for (int64_t i = 0; c->one_class && i < q->n; i++)
        g->when[i].class = c->class;
    return srq_denoise(high ? g->high : g->most, q->x, g->when, q->n, out, err);
}

static void seen(void *ctx, const struct srq_asked *q)
{
    const struct srq_generator *g = ctx;

    g->run->seen(g->run->ctx, q);
}

static int tick(void *ctx, int64_t done, int64_t total)
{
    const struct srq_generator *g = ctx;

    return g->run->tick(g->run->ctx, done, total);
}

int srq_generator_run(struct srq_generator *g, const struct srq_generation *run, float *out, struct srq_error *err)
{
    const struct srq_sampler sampler = {
        .schedule = g->schedule,
        .scheduler = g->cfg.scheduler,
        .steps = g->cfg.steps,
        .eta = g->cfg.eta,
        .seed = g->cfg.seed,
        .pixels = g->pixels,
        .batch = g->cfg.denoiser.batch,
        .start = run->start,
        .predict = predict,
        .seen = run->seen != NULL ? seen : NULL,
        .tick = run->tick != NULL ? tick : NULL,
        .ctx = g,
    };

    g->run = run;
    return srq_sample(&sampler, run->first, run->n, out, err);
}
