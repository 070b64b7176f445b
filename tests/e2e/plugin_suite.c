/* What every quantizer plugin must do, whichever it is: loads a plugin by its path, quantizes a layer with every
 * integer scheme that it takes, through the part that it has, and checks that the result is storable, near the weight,
 * and repeats.
 *
 * usage: plugin_suite PATH.so; prints what went wrong and exits 1 */
#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/math/team.h"
#include "core/tune/options.h"
#include "core/tune/params.h"
#include "core/tune/plugin_host.h"
#include "tests/lib/layer_room.h"

#include <math.h>
#include <stdlib.h>

enum { OUT = 64, IN = 160 };

static float weight_data[OUT * IN];
static float ones[IN], moment[IN * IN]; /* inputs that have nothing to do with one another */

struct run {
    const struct srq_plugin *plugin;
    void *self;
    struct srq_layer layer;
    struct layer_room room;
    struct srq_params declared;
    float *param[SRQ_MAX_PARAMS];
    struct srq_codes codes;
};

/* A tunable plugin: its arrays, a few iterations towards the weight itself, then its codes. */
static int run_tunable(struct run *r, struct srq_result *out, struct srq_error *err)
{
    const struct srq_host *h = srq_host_services();
    const struct srq_tunable *t = r->plugin->tunable;
    struct srq_schedule schedule = { .size = sizeof(schedule), .accum = 1 };
    float *fake = srq_calloc(OUT * IN, sizeof(*fake)), *grad = srq_calloc(OUT * IN, sizeof(*grad));
    struct srq_tensor dst = srq_tensor_2d(fake, SRQ_F32, OUT, IN);
    int rc = t->schedule(h, r->self, &schedule, err);

    if (rc == 0)
        rc = srq_params_ask(h, r->plugin, r->self, &r->layer, &r->declared, err);
    for (int k = 0; rc == 0 && k < r->declared.count; k++) {
        const struct srq_param *p = &r->declared.at[k];

        r->param[k] = srq_calloc((size_t)p->count, sizeof(float));
        for (int64_t i = 0; i < p->count; i++)
            r->param[k][i] = p->init;
    }
    r->layer.param = r->param;
    if (rc == 0)
        rc = t->begin(h, r->self, &r->layer, err);
    for (int64_t i = 0; rc == 0 && i < 5 && i < schedule.iters; i++) {
        struct srq_step s = { .size = sizeof(s), .iter = i, .iters = schedule.iters, .accum = schedule.accum };

        s.schedule = 1 - (double)i / (double)schedule.iters;
        rc = t->weight(h, r->self, &r->layer, &dst, err);
        for (s.micro = 0; rc == 0 && s.micro < s.accum; s.micro++) {
            for (int k = 0; k < OUT * IN; k++)
                grad[k] = fake[k] - weight_data[k];
            t->sink(h, r->self, &r->layer, &s, 0, OUT, grad);
        }
        if (rc == 0)
            rc = t->step(h, r->self, &r->layer, &s, err);
    }
    if (rc == 0)
        rc = t->finish(h, r->self, &r->layer, out, err);
    for (int k = 0; k < r->declared.count; k++)
        srq_free(r->param[k]);
    srq_free(fake);
    srq_free(grad);
    return rc;
}

static int quantize(struct run *r, const struct srq_scheme *scheme, struct srq_error *err)
{
    struct srq_tensor weight = srq_tensor_2d(weight_data, SRQ_F32, OUT, IN);
    struct srq_result out = { .size = sizeof(out) };
    int rc = srq_codes_alloc(OUT, IN, scheme, &r->codes, err);

    if (rc != 0)
        return rc;
    out.codes = r->codes.codes;
    out.scale = r->codes.scale;
    out.zero = r->codes.zero;
    r->layer = layer_in(&r->room, &weight, scheme);
    r->layer.name = "model.layers.0.mlp.up_proj";
    r->layer.importance = r->layer.in_max = r->layer.in_mean = ones;
    r->layer.hessian = moment;
    r->layer.tokens = 1000;
    if (r->plugin->accepts != NULL && r->plugin->accepts(srq_host_services(), r->self, &r->layer, err) != 0) {
        srq_codes_fini(&r->codes);
        return -SRQ_EUNSUPPORTED;
    }
    if (r->plugin->tunable != NULL)
        rc = run_tunable(r, &out, err);
    else
        rc = r->plugin->oneshot->quantize(srq_host_services(), r->self, &r->layer, &out, err);
    return rc != 0 ? rc : srq_codes_check(&r->codes, r->layer.name, err);
}

/* No weight may be further from its decoded value than a step and a half (the top code of a symmetric grid lies a step
 * below the end of the range) and a twentieth of the largest weight (a tuned range may be that much shorter). */
static int check_distance(const struct run *r, struct srq_error *err)
{
    const struct srq_groups *g = &r->codes.groups;
    static float decoded[OUT * IN];
    int rc = srq_codes_decode(&r->codes, decoded, SRQ_F32, err);

    for (int i = 0; rc == 0 && i < OUT * IN; i++) {
        int64_t group = g->count == 1 ? 0 : i / IN * g->per_row + i % IN / g->len;
        float step = fabsf(r->codes.scale[group]), off = fabsf(decoded[i] - weight_data[i]);

        if (!(off <= 1.6f * step + 0.025f))
            rc = srq_fail(err, -SRQ_ENUMERIC, "weight %d is %g, decoded %g with a step of %g", i,
                          (double)weight_data[i], (double)decoded[i], (double)step);
    }
    return rc;
}

static int check_scheme(struct run *r, const char *text, struct srq_error *err)
{
    struct srq_scheme scheme;
    struct srq_codes first;
    int rc = srq_scheme_parse(text, &scheme, err);

    if (rc == 0)
        rc = quantize(r, &scheme, err);
    if (rc == 0)
        rc = check_distance(r, err);
    if (rc != 0)
        return rc;
    first = r->codes;
    rc = quantize(r, &scheme, err);
    if (rc == 0 && (memcmp(first.codes, r->codes.codes, OUT * IN) != 0 ||
                    memcmp(first.scale, r->codes.scale, (size_t)first.groups.count * sizeof(float)) != 0 ||
                    memcmp(first.zero, r->codes.zero, (size_t)first.groups.count) != 0))
        rc = srq_fail(err, -SRQ_ENUMERIC, "the second run gave another result");
    srq_codes_fini(&first);
    srq_codes_fini(&r->codes);
    return rc;
}

int main(int argc, char **argv)
{
    static const char *const groups[] = { "", "g32", "g48", "g1024", "gt" };
    struct srq_plugin_handle h;
    struct srq_options *o = NULL;
    struct srq_error err = { 0 };
    struct run r = { 0 };
    int rc, sound = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: plugin_suite PATH.so\n");
        return 2;
    }
    for (int i = 0; i < OUT * IN; i++)
        weight_data[i] = (float)(srq_rng_uniform(1, 1, (uint64_t)i) - 0.5);
    for (int i = 0; i < IN; i++)
        ones[i] = moment[i * IN + i] = 1;
    rc = srq_team_start(2, &err);
    if (rc == 0)
        rc = srq_plugin_load_path(argv[1], &h, &err);
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    r.plugin = h.plugin;
    rc = srq_options_create(h.plugin, &o, &err);
    if (rc == 0)
        rc = srq_options_finish(o, NULL, NULL, &err);
    if (rc == 0)
        rc = h.plugin->create(srq_host_services(), o, &r.self, &err);
    for (int bits = 2; rc == 0 && bits <= 8; bits++) {
        for (int k = 0; rc == 0 && k < 10; k++) {
            char text[32];

            snprintf(text, sizeof(text), "w%d%s%s", bits, groups[k / 2], k % 2 != 0 ? "z" : "");
            rc = check_scheme(&r, text, &err);
            if (rc == -SRQ_EUNSUPPORTED && err.text[0] != '\0')
                rc = 0; /* it says so, before any work */
            else
                sound += rc == 0;
            if (rc != 0)
                fprintf(stderr, "%s with %s: %s\n", h.plugin->name, text, err.text);
        }
    }
    if (rc == 0 && sound == 0)
        rc = srq_fail(&err, -SRQ_EUNSUPPORTED, "%s takes none of the integer schemes", h.plugin->name);
    if (rc == 0)
        printf("%s %s: %d schemes give a sound result\n", h.plugin->name, h.plugin->version, sound);
    else
        fprintf(stderr, "%s\n", err.text);
    h.plugin->destroy(srq_host_services(), r.self);
    srq_options_free(o);
    srq_plugin_unload(&h);
    return rc != 0;
}
