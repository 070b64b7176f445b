/* Time of the plugin's two element passes over the weights of one SmolLM2 block: making Ŵ, and taking dL/dŴ into the
 * parameters. Prints one line for each grid and dtype: milliseconds (fastest of several) and bytes moved a second.
 *
 * usage: bench_grid [THREADS] */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/math/team.h"
#include "core/tune/options.h"
#include "core/tune/params.h"
#include "core/tune/plugin_host.h"
#include "daemon/srq-worker/passive.h"
#include "tests/lib/layer_room.h"

#include <stdlib.h>

enum { LAYERS = 7, ROUNDS = 25, TILE = 64 };

static const int64_t shapes[LAYERS][2] = { { 576, 576 },  { 192, 576 },  { 192, 576 }, { 576, 576 },
                                           { 1536, 576 }, { 1536, 576 }, { 576, 1536 } };

struct bench {
    const struct srq_plugin *plugin;
    void *self;
    struct srq_layer layer[LAYERS];
    struct layer_room room[LAYERS];
    float *param[LAYERS][SRQ_MAX_PARAMS], *grad;
    struct srq_tensor fake[LAYERS];
    struct srq_step step;
    int now;
};

static int open_layer(struct bench *b, int i, const char *scheme, enum srq_dtype dtype, struct srq_error *err)
{
    int64_t out = shapes[i][0], in = shapes[i][1];
    struct srq_layer *l = &b->layer[i];
    struct srq_params declared;
    struct srq_scheme s;
    struct srq_tensor weight;
    uint16_t *w = srq_calloc((size_t)(out * in), sizeof(*w));
    void *fake = srq_calloc((size_t)(out * in), sizeof(float));
    int rc;

    if (w == NULL || fake == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the weights");
    for (int64_t k = 0; k < out * in; k++)
        w[k] = srq_f32_to_bf16((float)(srq_rng_uniform(1, (uint64_t)i, (uint64_t)k) - 0.5));
    weight = srq_tensor_2d(w, SRQ_BF16, out, in);
    b->fake[i] = srq_tensor_2d(fake, dtype, out, in);
    rc = srq_scheme_parse(scheme, &s, err);
    if (rc != 0)
        return rc;
    *l = layer_in(&b->room[i], &weight, &s);
    l->index = i;
    l->param = b->param[i];
    rc = srq_params_ask(srq_host_services(), b->plugin, b->self, l, &declared, err);
    for (int k = 0; rc == 0 && k < declared.count; k++) {
        const struct srq_param *p = &declared.at[k];

        b->param[i][k] = srq_calloc((size_t)p->count, sizeof(float));
        if (b->param[i][k] == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "no memory for the parameters");
        for (int64_t n = 0; n < p->count; n++)
            b->param[i][k][n] = p->init;
    }
    return rc != 0 ? rc : b->plugin->tunable->begin(srq_host_services(), b->self, l, err);
}

static void sink_share(void *ctx, int64_t begin, int64_t end)
{
    struct bench *b = ctx;
    struct srq_layer *l = &b->layer[b->now];

    for (int64_t row = begin * TILE; row < end * TILE; row += TILE)
        b->plugin->tunable->sink(srq_host_services(), b->self, l, &b->step, row, TILE, b->grad + row * l->groups->in);
}

/* Fastest of several rounds over all layers, seconds. */
static void time_passes(struct bench *b, double *weight_s, double *sink_s)
{
    *weight_s = *sink_s = 1e9;
    for (int r = 0; r < ROUNDS; r++) {
        double t0 = srq_clock_s(), t1;

        for (int i = 0; i < LAYERS; i++)
            (void)b->plugin->tunable->weight(srq_host_services(), b->self, &b->layer[i], &b->fake[i], NULL);
        t1 = srq_clock_s();
        *weight_s = t1 - t0 < *weight_s ? t1 - t0 : *weight_s;
        t0 = srq_clock_s();
        for (b->now = 0; b->now < LAYERS; b->now++)
            srq_parallel(shapes[b->now][0] / TILE, 1, sink_share, b);
        t1 = srq_clock_s();
        *sink_s = t1 - t0 < *sink_s ? t1 - t0 : *sink_s;
    }
}

static int bench_one(const struct srq_plugin *plugin, const char *scheme, enum srq_dtype dtype, struct srq_error *err)
{
    struct bench *b = srq_calloc(1, sizeof(*b));
    struct srq_options *o;
    double weight_s, sink_s, n = 0;
    int rc;

    if (b == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory");
    b->plugin = plugin;
    b->step = (struct srq_step){ .size = sizeof(b->step), .iters = 200, .accum = 1, .schedule = 1 };
    rc = srq_options_create(plugin, &o, err);
    if (rc == 0)
        rc = plugin->create(srq_host_services(), o, &b->self, err);
    for (int i = 0; rc == 0 && i < LAYERS; i++) {
        rc = open_layer(b, i, scheme, dtype, err);
        n += (double)(shapes[i][0] * shapes[i][1]);
    }
    b->grad = srq_calloc(1536 * 576, sizeof(float));
    if (rc != 0 || b->grad == NULL)
        return rc != 0 ? rc : srq_fail(err, -SRQ_ENOMEM, "no memory");
    for (int64_t k = 0; k < 1536 * 576; k++)
        b->grad[k] = (float)(srq_rng_uniform(2, 1, (uint64_t)k) - 0.5);
    time_passes(b, &weight_s, &sink_s);
    printf("%-8s %-5s %12.3f %12.1f %12.3f %12.1f\n", scheme, srq_dtype_name(dtype), weight_s * 1e3,
           n * (2 + 4 + (dtype == SRQ_F32 ? 4 : 2)) / weight_s * 1e-9, sink_s * 1e3, n * (2 + 8 + 8) / sink_s * 1e-9);
    return 0; /* the process ends soon: its memory goes with it */
}

int main(int argc, char **argv)
{
    static const char *const schemes[] = { "w4g64", "w4g64z", "w2g32", "w4" };
    struct srq_plugin_handle h;
    struct srq_error err = { 0 };
    int rc;

    worker_passive(argv);
    rc = srq_team_start(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0, &err);
    if (rc == 0)
        rc = srq_plugin_load("signround", &h, &err);
    if (rc == 0)
        printf("%d threads\n%-8s %-5s %12s %12s %12s %12s\n", srq_team_size(), "scheme", "Ŵ", "weight ms", "GB/s",
               "sink ms", "GB/s");
    for (size_t i = 0; rc == 0 && i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        rc = bench_one(h.plugin, schemes[i], SRQ_F32, &err);
        if (rc == 0)
            rc = bench_one(h.plugin, schemes[i], SRQ_BF16, &err);
    }
    if (rc != 0)
        fprintf(stderr, "bench_grid: %s\n", err.text);
    return rc != 0;
}
