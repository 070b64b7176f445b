/* One tuning iteration of a llama block with random weights: fake-quantized weights, forward, loss, backward with the
 * plugin's sink, and the plugin's step. */
#include "bench.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/math/team.h"
#include "core/tape/ops.h"
#include "core/tune/options.h"
#include "core/tune/params.h"
#include "core/tune/plugin_host.h"
#include "tests/lib/layer_room.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { Q, K, V, O, GATE, UP, DOWN, LAYERS };

static const struct {
    const char *name;
    int64_t out, in;
    bool dx; /* its input wants a gradient */
} shapes[LAYERS] = {
    [Q] = { "q_proj", BENCH_HEADS *BENCH_HEAD_DIM, BENCH_HIDDEN, false },
    [K] = { "k_proj", BENCH_KV_HEADS *BENCH_HEAD_DIM, BENCH_HIDDEN, false },
    [V] = { "v_proj", BENCH_KV_HEADS *BENCH_HEAD_DIM, BENCH_HIDDEN, false },
    [O] = { "o_proj", BENCH_HIDDEN, BENCH_HEADS *BENCH_HEAD_DIM, true },
    [GATE] = { "gate_proj", BENCH_INNER, BENCH_HIDDEN, true },
    [UP] = { "up_proj", BENCH_INNER, BENCH_HIDDEN, true },
    [DOWN] = { "down_proj", BENCH_HIDDEN, BENCH_INNER, true },
};

struct layer {
    struct srq_layer layer;
    struct srq_linear linear;
    struct layer_room room;
    struct srq_params declared;
    float *array[SRQ_MAX_PARAMS];
    const struct bench *bench;
};

struct bench {
    const struct srq_host *host;
    struct srq_plugin_handle handle;
    struct srq_options *options;
    void *self;
    struct srq_step step;
    struct layer layers[LAYERS];
    struct srq_tape *tape;
    enum srq_dtype dtype;
    struct srq_tensor input, target;
    float norm[BENCH_HIDDEN], cos[BENCH_SEQ * BENCH_HEAD_DIM / 2], sin[BENCH_SEQ * BENCH_HEAD_DIM / 2];
    uint64_t weight_bytes, param_bytes;
    double weight_s, step_s;
};

/* ---- set-up ---- */

static int random_tensor(enum srq_dtype dtype, int64_t rows, int64_t cols, double size, uint64_t stream,
                         struct srq_tensor *out, struct srq_error *err)
{
    *out = srq_tensor_2d(srq_pages_alloc((size_t)(rows * cols) * srq_dtype_size(dtype)), dtype, rows, cols);
    if (out->data == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for a tensor [%lld, %lld]", (long long)rows, (long long)cols);
    for (int64_t i = 0; i < rows * cols; i++) {
        double u = srq_rng_uniform(1, stream, (uint64_t)i) + srq_rng_uniform(2, stream, (uint64_t)i) - 1;
        float v = (float)(u * size);

        if (dtype == SRQ_F32)
            ((float *)out->data)[i] = v;
        else
            ((uint16_t *)out->data)[i] = srq_f32_to_bf16(v);
    }
    return 0;
}

static void sink(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct layer *l = ctx;
    const struct bench *b = l->bench;

    b->handle.plugin->tunable->sink(b->host, b->self, &l->layer, &b->step, row, rows, grad);
}

static int make_params(struct bench *b, struct layer *l, struct srq_error *err)
{
    int rc = srq_params_ask(b->host, b->handle.plugin, b->self, &l->layer, &l->declared, err);

    for (int p = 0; p < l->declared.count && rc == 0; p++) {
        const struct srq_param *param = &l->declared.at[p];
        size_t bytes = (size_t)param->count * sizeof(float);

        l->array[p] = srq_pages_alloc(bytes);
        if (l->array[p] == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "no memory for %s of %s", param->name, l->layer.name);
        for (int64_t i = 0; i < param->count; i++)
            l->array[p][i] = param->init;
        b->param_bytes += bytes;
    }
    l->layer.param = l->array;
    return rc != 0 ? rc : b->handle.plugin->tunable->begin(b->host, b->self, &l->layer, err);
}

static int make_layer(struct bench *b, int i, struct srq_error *err)
{
    struct layer *l = &b->layers[i];
    int64_t out = shapes[i].out, in = shapes[i].in;
    struct srq_scheme scheme = { .size = sizeof(scheme), .grid = SRQ_GRID_INT_SYM, .bits = 4, .group = BENCH_GROUP };
    struct srq_tensor weight;
    int rc;

    l->bench = b;
    l->linear = (struct srq_linear){ .name = shapes[i].name, .out = out, .in = in, .sink = sink, .sink_ctx = l };
    rc = random_tensor(SRQ_BF16, out, in, 1.5 / sqrt((double)in), (uint64_t)i, &weight, err);
    l->layer = layer_in(&l->room, &weight, &scheme);
    l->layer.name = shapes[i].name;
    l->layer.index = i;
    if (rc == 0)
        rc = random_tensor(b->dtype, out, in, 0, 0, &l->linear.weight, err);
    b->weight_bytes += (uint64_t)(out * in) * (2 + srq_dtype_size(b->dtype));
    return rc == 0 ? make_params(b, l, err) : rc;
}

static int load_plugin(struct bench *b, int iterations, struct srq_error *err)
{
    char text[24];
    int rc = srq_plugin_load("signround", &b->handle, err);

    if (rc != 0)
        return rc;
    b->host = srq_host_services();
    b->step = (struct srq_step){ .size = sizeof(b->step), .iters = iterations + 2, .accum = 1, .schedule = 1 };
    snprintf(text, sizeof(text), "%d", iterations + 2);
    rc = srq_options_create(b->handle.plugin, &b->options, err);
    if (rc == 0)
        rc = srq_options_set(b->options, "iters", text, err);
    if (rc == 0)
        rc = srq_options_finish(b->options, NULL, NULL, err);
    return rc == 0 ? b->handle.plugin->create(b->host, b->options, &b->self, err) : rc;
}

/* ---- the iteration ---- */

static struct srq_var *block(struct bench *b, struct srq_tape *t)
{
    struct srq_attention a = {
        BENCH_BATCH, BENCH_SEQ, BENCH_HEADS, BENCH_KV_HEADS, BENCH_HEAD_DIM, 0, .scale = 0.125f
    };
    struct srq_var *x = srq_tape_input(t, &b->input, false), *h, *q, *k, *v;
    struct layer *l = b->layers;
    static struct srq_vector gain = { .name = "norm", .n = BENCH_HIDDEN };

    gain.value = b->norm;
    h = srq_op_rmsnorm(t, x, &gain, 1e-5f);
    q = srq_op_linear(t, h, &l[Q].linear);
    k = srq_op_linear(t, h, &l[K].linear);
    v = srq_op_linear(t, h, &l[V].linear);
    q = srq_op_rope(t, q, BENCH_SEQ, BENCH_HEAD_DIM, BENCH_HEAD_DIM, b->cos, b->sin);
    k = srq_op_rope(t, k, BENCH_SEQ, BENCH_HEAD_DIM, BENCH_HEAD_DIM, b->cos, b->sin);
    x = srq_op_add(t, x, srq_op_linear(t, srq_op_attention(t, q, k, v, &a), &l[O].linear));
    h = srq_op_rmsnorm(t, x, &gain, 1e-5f);
    h = srq_op_swiglu(t, srq_op_linear(t, h, &l[GATE].linear), srq_op_linear(t, h, &l[UP].linear));
    x = srq_op_add(t, x, srq_op_linear(t, h, &l[DOWN].linear));
    return srq_op_mse(t, x, &b->target, NULL);
}

static int iterate(struct bench *b, struct srq_error *err)
{
    const struct srq_tunable *p = b->handle.plugin->tunable;
    double since = srq_clock_s();
    int rc = 0;

    for (int i = 0; i < LAYERS && rc == 0; i++)
        rc = p->weight(b->host, b->self, &b->layers[i].layer, &b->layers[i].linear.weight, err);
    b->weight_s += srq_clock_s() - since;
    srq_tape_reset(b->tape);
    if (rc == 0)
        rc = srq_tape_backward(b->tape, block(b, b->tape), err);
    since = srq_clock_s();
    for (int i = 0; i < LAYERS && rc == 0; i++)
        rc = p->step(b->host, b->self, &b->layers[i].layer, &b->step, err);
    b->step_s += srq_clock_s() - since;
    b->step.iter++;
    b->step.schedule = 1 - (double)b->step.iter / (double)b->step.iters;
    return rc;
}

/* ---- measuring ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void add_part(struct bench_block *out, const char *name, double seconds, double flops)
{
    if (out->part_count == BENCH_PARTS || seconds <= 0)
        return;
    out->parts[out->part_count].name = name;
    out->parts[out->part_count].seconds = seconds / out->iterations;
    out->parts[out->part_count++].flops = flops / out->iterations;
}

static void collect_parts(struct bench *b, struct bench_block *out, double total)
{
    static const char *const back[] = { "linear, dx",    "weight gradient", "sink",
                                        "rmsnorm, back", "rope, back",      "attention, back",
                                        "swiglu, back",  "add, back",       "mse, back" };
    struct srq_tape_time times[32];
    int n = srq_tape_times(b->tape, times, 32, true);
    double sum = b->weight_s + b->step_s;

    for (int i = 0; i < n; i++) {
        double f = times[i].forward_s, r = times[i].backward_s;

        sum += f + r;
        add_part(out, times[i].op, f, times[i].forward_flops);
        add_part(out, i < 9 ? back[i] : times[i].op, r, times[i].backward_flops);
    }
    add_part(out, "weight (fake-quantize)", b->weight_s, 0);
    add_part(out, "step", b->step_s, 0);
    add_part(out, "rest", total - sum, 0);
}

static uint64_t peak_rss(void)
{
    struct rusage u;

    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss * 1024 : 0;
}

static int measure(struct bench *b, int iterations, struct bench_block *out, struct srq_error *err)
{
    double *times = srq_calloc((size_t)iterations, sizeof(*times)), total = 0;
    int rc = times != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "no memory for %d times", iterations);

    for (int i = 0; i < 2 && rc == 0; i++)
        rc = iterate(b, err);
    b->weight_s = b->step_s = 0;
    srq_tape_timing(b->tape, true);
    for (int i = 0; i < iterations && rc == 0; i++) {
        double since = srq_clock_s();

        rc = iterate(b, err);
        times[i] = srq_clock_s() - since;
        total += times[i];
    }
    if (rc == 0) {
        out->iterations = iterations;
        collect_parts(b, out, total);
        qsort(times, (size_t)iterations, sizeof(*times), compare_doubles);
        out->median_s = times[iterations / 2];
        out->fastest_s = times[0];
        out->tape_bytes = srq_tape_peak(b->tape);
        out->weight_bytes = b->weight_bytes;
        out->param_bytes = b->param_bytes;
        out->peak_rss_bytes = peak_rss();
    }
    srq_free(times);
    return rc;
}

static int make_tape(struct bench *b, struct srq_error *err)
{
    struct srq_tape *measure;
    size_t need;
    int rc = srq_tape_create(0, b->dtype, true, &measure, err);

    if (rc != 0)
        return rc;
    rc = srq_tape_backward(measure, block(b, measure), err);
    need = srq_tape_peak(measure);
    srq_tape_free(measure);
    return rc == 0 ? srq_tape_create(need, b->dtype, false, &b->tape, err) : rc;
}

static int prepare(struct bench *b, int iterations, struct srq_error *err)
{
    int rc = load_plugin(b, iterations, err);

    for (int i = 0; i < BENCH_HIDDEN; i++)
        b->norm[i] = 1;
    for (int i = 0; i < BENCH_SEQ * BENCH_HEAD_DIM / 2; i++) {
        double angle = i / (BENCH_HEAD_DIM / 2) * pow(10000, -2.0 * (i % (BENCH_HEAD_DIM / 2)) / BENCH_HEAD_DIM);

        b->cos[i] = (float)cos(angle);
        b->sin[i] = (float)sin(angle);
    }
    for (int i = 0; i < LAYERS && rc == 0; i++)
        rc = make_layer(b, i, err);
    if (rc == 0)
        rc = random_tensor(b->dtype, BENCH_TOKENS, BENCH_HIDDEN, 1, 50, &b->input, err);
    if (rc == 0)
        rc = random_tensor(b->dtype, BENCH_TOKENS, BENCH_HIDDEN, 1, 51, &b->target, err);
    return rc == 0 ? make_tape(b, err) : rc;
}

static void free_tensor(struct srq_tensor *t)
{
    size_t bytes;

    if (t->data != NULL && srq_tensor_bytes(t, &bytes))
        srq_pages_free(t->data, bytes);
}

static void destroy(struct bench *b)
{
    for (int i = 0; i < LAYERS; i++) {
        struct layer *l = &b->layers[i];

        for (int p = 0; p < l->declared.count; p++)
            srq_pages_free(l->array[p], (size_t)l->declared.at[p].count * sizeof(float));
        free_tensor(&l->room.weight);
        free_tensor(&l->linear.weight);
    }
    free_tensor(&b->input);
    free_tensor(&b->target);
    srq_tape_free(b->tape);
    if (b->self != NULL)
        b->handle.plugin->destroy(b->host, b->self);
    srq_options_free(b->options);
    if (b->handle.plugin != NULL)
        srq_plugin_unload(&b->handle);
    srq_free(b);
}

int bench_block(const struct bench_gemm_row *rows, int row_count, int iterations, struct bench_block *out,
                struct srq_error *err)
{
    struct bench *b = srq_calloc(1, sizeof(*b));
    int rc;

    if (b == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the block");
    memset(out, 0, sizeof(*out));
    rc = srq_gemm_start(NULL, err);
    b->dtype = out->dtype = srq_gemm_preferred();
    if (rc == 0)
        rc = prepare(b, iterations, err);
    for (int i = 0; i < LAYERS && rc == 0; i++) {
        for (int p = 0; p < BENCH_PRODUCTS; p++) {
            if (p == BENCH_DX && !shapes[i].dx)
                continue;
            out->gemm_s +=
                bench_gemm_best(rows, row_count, b->dtype, shapes[i].out, shapes[i].in, (enum bench_product)p);
            out->gemm_flops += 2.0 * BENCH_TOKENS * (double)(shapes[i].out * shapes[i].in);
        }
    }
    if (rc == 0)
        rc = measure(b, iterations, out, err);
    destroy(b);
    srq_gemm_stop();
    return rc;
}
