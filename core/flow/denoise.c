/* A walk over all units, batch by batch. */
#include "core/flow/denoise.h"

#include "core/base/alloc.h"

struct srq_denoiser {
    struct srq_denoiser_config cfg;
    struct srq_walk *walk;
    struct srq_states *states;
};

static struct srq_walk_config walk_of(const struct srq_denoiser_config *c)
{
    int64_t batch = c->apart ? 1 : c->batch;

    return (struct srq_walk_config){
        c->model, c->compute, c->compute, batch, 1, .roundings = c->roundings != NULL, .integers = c->integers
    };
}

static struct srq_states_config states_of(const struct srq_denoiser_config *c)
{
    return (struct srq_states_config){ c->model, c->compute, c->batch, 1, false, NULL };
}

int srq_denoiser_bytes(const struct srq_denoiser_config *c, size_t *bytes, struct srq_error *err)
{
    const struct srq_walk_config walk = walk_of(c);
    const struct srq_states_config states = states_of(c);
    struct srq_walk_memory m = { 0, 0, 0 };
    int rc = srq_walk_measure(&walk, &m, err);

    *bytes = 0;
    if (rc == 0)
        rc = srq_states_bytes(&states, bytes, err);
    *bytes += m.block + m.rope + m.tape;
    return rc;
}

int srq_denoiser_create(const struct srq_denoiser_config *c, struct srq_denoiser **out, struct srq_error *err)
{
    const struct srq_walk_config walk = walk_of(c);
    const struct srq_states_config states = states_of(c);
    struct srq_denoiser *d = srq_calloc(1, sizeof(*d));
    int rc;

    *out = NULL;
    if (d == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a diffusion model");
    d->cfg = *c;
    rc = srq_walk_create(&walk, &d->walk, err);
    if (rc == 0)
        rc = srq_states_create(&states, &d->states, err);
    if (rc != 0) {
        srq_denoiser_free(d);
        return rc;
    }
    srq_walk_round(d->walk, c->roundings);
    *out = d;
    return 0;
}

void srq_denoiser_free(struct srq_denoiser *d)
{
    if (d == NULL)
        return;
    srq_walk_free(d->walk);
    srq_states_free(d->states);
    srq_free(d);
}

struct srq_tape *srq_denoiser_tape(const struct srq_denoiser *d)
{
    return srq_walk_tape(d->walk);
}

int srq_states_put_pictures(const struct srq_states *s, const float *x, const struct srq_moment *at, int64_t n,
                            struct srq_error *err)
{
    const struct srq_states_config *c = srq_states_config(s);
    struct srq_pictures p = srq_model_pictures(c->model);
    int64_t pixels = p.height * p.width * p.channels, width = srq_model_port(c->model, SRQ_PORT_TIME)->cols;
    int64_t row = p.classes > 0 ? srq_model_port(c->model, SRQ_PORT_CLASS)->cols : 0;
    int64_t most = pixels > width ? pixels : width;
    float *one = srq_malloc((size_t)(most > row ? most : row) * sizeof(*one));
    int rc = one != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for a picture");

    for (int64_t i = 0; rc == 0 && i < n; i++) {
        memcpy(one, x + i * pixels, (size_t)pixels * sizeof(*one));
        srq_model_enter(c->model, one);
        (void)srq_convert(one, SRQ_F32, srq_states_at(s, SRQ_PORT_PICTURE, i), c->dtype, pixels);
        srq_model_time(c->model, at[i].t, one);
        (void)srq_convert(one, SRQ_F32, srq_states_at(s, SRQ_PORT_TIME, i), c->dtype, width);
        if (row == 0)
            continue;
        rc = srq_model_class(c->model, at[i].class, one, err);
        if (rc == 0)
            (void)srq_convert(one, SRQ_F32, srq_states_at(s, SRQ_PORT_CLASS, i), c->dtype, row);
    }
    srq_free(one);
    return rc;
}

int srq_states_put_text(const struct srq_states *s, const float *text, int64_t n, struct srq_error *err)
{
    const struct srq_states_config *c = srq_states_config(s);
    int64_t size = SRQ_TEXT_WORDS * srq_model_pictures(c->model).text_width;

    if (size > 0 && text == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model",
                              "%s is told a text, as an encoder gives it, and there is none",
                              srq_model_info(c->model)->path);
    for (int64_t i = 0; size > 0 && i < n; i++)
        (void)srq_convert(text + i * size, SRQ_F32, srq_states_at(s, SRQ_PORT_TEXT, i), c->dtype, size);
    return 0;
}

int srq_denoise(struct srq_denoiser *d, const float *x, const struct srq_moment *when, int64_t n, float *y,
                struct srq_error *err)
{
    struct srq_pictures p = srq_model_pictures(d->cfg.model);
    int64_t in = p.height * p.width * p.channels, out = p.height * p.width * p.out_channels;
    int64_t text = SRQ_TEXT_WORDS * p.text_width;
    int rc = 0;

    for (int64_t at = 0; rc == 0 && at < n; at += d->cfg.batch) {
        int64_t count = n - at < d->cfg.batch ? n - at : d->cfg.batch;

        rc = srq_states_put_pictures(d->states, x + at * in, when + at, count, err);
        if (rc == 0)
            rc = srq_states_put_text(d->states, d->cfg.text != NULL ? d->cfg.text + at * text : NULL, count, err);
        if (rc == 0)
            rc = srq_walk_units(d->walk, d->states, count, d->cfg.weights, err);
        if (rc == 0)
            rc = srq_convert(srq_states_final(d->states, 0), d->cfg.compute, y + at * out, SRQ_F32, count * out);
    }
    return rc;
}
