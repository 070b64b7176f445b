/* Diffusion models on integers: how much faster than F32 and BF16 convolutions are, and a step of a whole U-Net is.
 *
 * All that is compared is run in turn, round by round, and times are medians over the rounds: a machine that others use
 * changes its speed from one minute to the next, and ratios of such times stay. Codes are the simplest ones
 * (tests/unit/integer_model.h): what is right of the pictures is not asked here.
 *
 * usage: bench_int8 [--threads N] [--rounds N] MODEL */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/math/int8.h"
#include "core/math/team.h"
#include "core/tape/ops_picture.h"
#include "core/tape/ops_round.h"
#include "core/tape/times.h"
#include "daemon/srq-worker/passive.h"
#include "tests/unit/integer_model.h"

#include <stdlib.h>
#include <unistd.h>

#define ROUNDS_MAX 200

static int earlier(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts them. */
static double median(double *seconds, int n)
{
    qsort(seconds, (size_t)n, sizeof(*seconds), earlier);
    return n % 2 != 0 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
}

/* ---- one convolution ---- */

enum way { F32, BF16, INT8_F32, INT8_BF16, WAYS };
static const char *const way_names[WAYS] = { "f32", "bf16", "int8", "int8+bf16" };

enum { SIDE = 28, KERNEL = 3, ARENA = 128 << 20 };

static bool on_integers(enum way w)
{
    return w == INT8_F32 || w == INT8_BF16;
}

static enum srq_dtype dtype_of(enum way w)
{
    return w == F32 || w == INT8_F32 ? SRQ_F32 : SRQ_BF16;
}

struct convolution {
    struct srq_conv c;
    int64_t channels;
    struct srq_linear l[2]; /* F32, BF16 */
    struct srq_tensor x[2];
    struct srq_int8_weight *codes;
    struct srq_rounding grid;
    struct srq_tape *tape[2];
};

static struct srq_tensor filled(enum srq_dtype dtype, int64_t rows, int64_t cols)
{
    struct srq_tensor t = srq_tensor_2d(srq_calloc((size_t)(rows * cols), sizeof(float)), dtype, rows, cols);

    for (int64_t i = 0; t.data != NULL && i < rows * cols; i++) {
        float v = (float)(2 * srq_rng_uniform(1, 1, (uint64_t)i) - 1);

        if (dtype == SRQ_F32)
            ((float *)t.data)[i] = v;
        else
            ((uint16_t *)t.data)[i] = srq_f32_to_bf16(v);
    }
    return t;
}

static int conv_open(struct convolution *v, int64_t batch, int64_t channels, struct srq_error *err)
{
    int64_t in = channels * KERNEL * KERNEL;
    int8_t *codes = srq_calloc((size_t)(channels * in), 1);
    float *scales = srq_calloc((size_t)channels, sizeof(float));
    int rc = codes == NULL || scales == NULL ? srq_fail(err, -SRQ_ENOMEM, "no memory for a convolution") : 0;

    *v = (struct convolution){ .c = { batch, SIDE, SIDE, KERNEL, 1, 1, 1 }, .channels = channels };
    v->grid = (struct srq_rounding){ .scale = 2.0f / 255, .low = 0, .high = 255, .zero = 128 };
    for (int64_t i = 0; rc == 0 && i < channels * in; i++) {
        codes[i] = (int8_t)(i * 37 % 255 - 127);
        scales[i / in] = 0.01f;
    }
    if (rc == 0)
        rc = srq_int8_weight_create(&(struct srq_int8_codes){ channels, in, codes, scales, KERNEL }, &v->codes, err);
    for (int d = 0; rc == 0 && d < 2; d++) {
        enum srq_dtype dtype = d == 0 ? SRQ_F32 : SRQ_BF16;

        v->x[d] = filled(dtype, batch * SIDE * SIDE, channels);
        v->l[d] = (struct srq_linear){ .name = "conv", .out = channels, .in = in };
        v->l[d].weight = filled(dtype, channels, in);
        rc = srq_tape_create(ARENA, dtype, false, &v->tape[d], err);
        if (rc == 0 && (v->x[d].data == NULL || v->l[d].weight.data == NULL))
            rc = srq_fail(err, -SRQ_ENOMEM, "no memory for a convolution");
    }
    srq_free(codes);
    srq_free(scales);
    return rc;
}

static void conv_close(struct convolution *v)
{
    for (int d = 0; d < 2; d++) {
        srq_free(v->x[d].data);
        srq_free(v->l[d].weight.data);
        srq_tape_free(v->tape[d]);
    }
    srq_int8_weight_free(v->codes);
}

/* Seconds of one call, its input's codes made in it. */
static double conv_run(struct convolution *v, enum way way)
{
    int d = dtype_of(way) == SRQ_F32 ? 0 : 1;
    struct srq_linear *l = &v->l[d];
    struct srq_tape *t = v->tape[d];
    double since;

    l->integer = on_integers(way) ? v->codes : NULL;
    l->input = on_integers(way) ? &v->grid : NULL;
    srq_tape_reset(t);
    srq_tape_record(t, false);
    since = srq_clock_s();
    (void)srq_op_conv(t, srq_tape_input(t, &v->x[d], false), l, &v->c);
    return srq_clock_s() - since;
}

static int bench_conv(int64_t batch, int64_t channels, int rounds, struct srq_error *err)
{
    struct convolution v;
    double seconds[WAYS][ROUNDS_MAX], mid[WAYS],
        ops = 2.0 * (double)(batch * SIDE * SIDE * channels * channels * KERNEL * KERNEL);
    int rc = conv_open(&v, batch, channels, err);

    for (int r = -2; rc == 0 && r < rounds; r++) /* the first ones: code is made, pages are touched */
        for (int w = 0; w < WAYS; w++)
            seconds[w][r < 0 ? 0 : r] = conv_run(&v, (enum way)w);
    for (int d = 0; rc == 0 && d < 2; d++)
        rc = srq_tape_error(v.tape[d], err);
    if (rc == 0) {
        printf("%3d x %dx%d, %3d -> %-3d", (int)batch, SIDE, SIDE, (int)channels, (int)channels);
        for (int w = 0; w < WAYS; w++) {
            mid[w] = median(seconds[w], rounds);
            printf(" %10.0f", ops / mid[w] * 1e-9);
        }
        printf(" %9.2f %9.2f\n", mid[F32] / mid[INT8_F32], mid[BF16] / mid[INT8_BF16]);
    }
    conv_close(&v);
    return rc;
}

static int bench_convs(int rounds, struct srq_error *err)
{
    static const int64_t shapes[][2] = { { 1, 64 }, { 16, 64 }, { 32, 64 }, { 1, 32 }, { 16, 32 }, { 32, 32 } };
    int rc = 0;

    printf("Convolutions of %dx%d, Gop/s (median of %d), and how much faster integers are\n\n", KERNEL, KERNEL, rounds);
    printf("%-23s", "pictures, channels");
    for (int w = 0; w < WAYS; w++)
        printf(" %10s", way_names[w]);
    printf(" %9s %9s\n", "over f32", "over bf16");
    for (size_t i = 0; rc == 0 && i < sizeof(shapes) / sizeof(shapes[0]); i++)
        rc = bench_conv(shapes[i][0], shapes[i][1], rounds, err);
    return rc;
}

/* ---- a step of the whole model ---- */

/* `SIMULATED`: what a model that is to run on integers takes where it does not. */
enum { SIMULATED = WAYS, STEP_WAYS };
enum { KINDS = 32 };

struct step {
    struct srq_denoiser *d;
    double seconds[ROUNDS_MAX], sum, mid;
    struct srq_tape_time times[KINDS]; /* of all rounds, as `sum` is */
    int rounds, kinds;
};

static int step_open(const struct srq_model *m, struct integer_model *im, int way, int64_t batch, struct step *s,
                     struct srq_error *err)
{
    bool rounded = way == SIMULATED || on_integers((enum way)way);
    struct srq_denoiser_config c = { .model = m,
                                     .compute = way == SIMULATED ? SRQ_F32 : dtype_of((enum way)way),
                                     .batch = batch,
                                     .weights = rounded ? integer_model_weights(im) : NULL,
                                     .roundings = rounded ? integer_model_roundings(im) : NULL,
                                     .integers = way != SIMULATED && rounded };
    int rc;

    rc = srq_denoiser_create(&c, &s->d, err);
    if (rc == 0)
        srq_tape_timing(srq_denoiser_tape(s->d), true);
    return rc;
}

struct pictures {
    float *x, *y;
    struct srq_moment *t;
    int64_t n;
};

static int pictures_open(const struct srq_model *m, int64_t n, struct pictures *p, struct srq_error *err)
{
    struct srq_pictures size = srq_model_pictures(m);
    int64_t in = size.height * size.width * size.channels, out = size.height * size.width * size.out_channels;

    *p = (struct pictures){ srq_calloc((size_t)(n * in), 4), srq_calloc((size_t)(n * out), 4),
                            srq_calloc((size_t)n, sizeof(struct srq_moment)), n };
    if (p->x == NULL || p->y == NULL || p->t == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for pictures");
    for (int64_t i = 0; i < n * in; i++)
        p->x[i] = (float)(2 * srq_rng_uniform(2, 1, (uint64_t)i) - 1);
    for (int64_t i = 0; i < n; i++)
        p->t[i].t = (double)(i * 997 % 1000);
    return 0;
}

static void pictures_close(struct pictures *p)
{
    srq_free(p->x);
    srq_free(p->y);
    srq_free(p->t);
}

static int step_run(struct step *s, const struct pictures *p, bool count, struct srq_error *err)
{
    double since = srq_clock_s(), took;
    int rc = srq_denoise(s->d, p->x, p->t, p->n, p->y, err);

    took = srq_clock_s() - since;
    if (!count) { /* the first one: code is made, pages are touched */
        (void)srq_tape_times(srq_denoiser_tape(s->d), s->times, KINDS, true);
        return rc;
    }
    s->seconds[s->rounds++] = took;
    s->sum += took;
    return rc;
}

static double share(const struct step *s, const char *op)
{
    for (int k = 0; k < s->kinds; k++)
        if (strcmp(s->times[k].op, op) == 0)
            return s->times[k].forward_s / s->sum;
    return 0;
}

/* The most that integers can gain over a way: all that layers take away, and, as they are loaded for each step, most of
 * what is outside of operations. */
static void print_limit(const struct step *s, const char *name)
{
    double layers = share(s, "conv") + share(s, "linear") + share(s, "patches"), ops = 0;

    for (int k = 0; k < s->kinds; k++)
        ops += s->times[k].forward_s / s->sum;
    printf(
        "were convolutions, linears and patches free: %.2f times as fast as %s; all outside of operations too: %.2f\n",
        1 / (1 - layers), name, 1 / (ops - layers));
}

static void print_step(const struct step *all, int64_t batch)
{
    static const char *const names[STEP_WAYS] = { "f32", "bf16", "int8", "int8+bf16", "simulated" };
    static const char *const ops[] = { "conv", "linear", "patches", "round" };

    printf("\n%d at a time %9s %9s %9s", (int)batch, "ms", "over f32", "over bf16");
    for (int o = 0; o < 4; o++)
        printf(" %9s", ops[o]);
    printf(" %9s %9s\n", "other ops", "outside");
    for (int w = 0; w < STEP_WAYS; w++) {
        const struct step *s = &all[w];
        double ops_s = 0, named = 0;

        for (int k = 0; k < s->kinds; k++)
            ops_s += s->times[k].forward_s / s->sum;
        printf("%-12s %10.3f %9.2f %9.2f", names[w], s->mid * 1e3, all[F32].mid / s->mid, all[BF16].mid / s->mid);
        for (int o = 0; o < 4; o++) {
            printf(" %8.1f%%", 100 * share(s, ops[o]));
            named += share(s, ops[o]);
        }
        printf(" %8.1f%% %8.1f%%\n", 100 * (ops_s - named), 100 * (1 - ops_s));
    }
    print_limit(&all[F32], names[F32]);
    print_limit(&all[BF16], names[BF16]);
}

static int bench_step(const struct srq_model *m, struct integer_model *im, int64_t batch, int rounds,
                      struct srq_error *err)
{
    struct step all[STEP_WAYS] = { { 0 } };
    struct pictures p;
    int rc = pictures_open(m, batch, &p, err);

    for (int w = 0; rc == 0 && w < STEP_WAYS; w++)
        rc = step_open(m, im, w, batch, &all[w], err);
    for (int r = 0; rc == 0 && r <= rounds; r++)
        for (int w = 0; rc == 0 && w < STEP_WAYS; w++)
            rc = step_run(&all[w], &p, r > 0, err);
    for (int w = 0; rc == 0 && w < STEP_WAYS; w++) {
        all[w].kinds = srq_tape_times(srq_denoiser_tape(all[w].d), all[w].times, KINDS, true);
        all[w].mid = median(all[w].seconds, rounds);
    }
    if (rc == 0)
        print_step(all, batch);
    for (int w = 0; w < STEP_WAYS; w++)
        srq_denoiser_free(all[w].d);
    pictures_close(&p);
    return rc;
}

/* The grids of inputs see a batch of pictures at times from all over the range. */
static int calibrate(const struct srq_model *m, struct integer_model *im, struct srq_error *err)
{
    struct pictures p;
    struct step s = { 0 };
    int rc = pictures_open(m, 8, &p, err);

    if (rc == 0)
        rc = step_open(m, im, SIMULATED, p.n, &s, err);
    if (rc == 0)
        rc = step_run(&s, &p, false, err);
    integer_model_fix(im);
    srq_denoiser_free(s.d);
    pictures_close(&p);
    return rc;
}

static int bench_model(const char *path, int rounds, struct srq_error *err)
{
    struct srq_model *m = NULL;
    struct integer_model *im = NULL;
    int rc = srq_model_open(path, true, &m, err);

    if (rc == 0 && !srq_model_info(m)->pictures)
        rc = srq_fail(err, -SRQ_EINVAL, "%s is no diffusion model", path);
    if (rc == 0)
        rc = integer_model_create(m, &im, err);
    if (rc == 0)
        rc = calibrate(m, im, err);
    if (rc == 0)
        printf("\nA step of %s (median of %d); share of the time by operation\n", path, rounds);
    for (int64_t batch = 1; rc == 0 && batch <= 16; batch += 15)
        rc = bench_step(m, im, batch, rounds, err);
    integer_model_free(im);
    if (m != NULL)
        srq_model_close(m);
    return rc;
}

int main(int argc, char **argv)
{
    struct srq_error err = { 0 };
    int threads = 0, rounds = 50, i = 1, rc;

    worker_passive(argv);
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        int n = (int)strtol(argv[i + 1], NULL, 10);

        if (strcmp(argv[i], "--threads") == 0 && n >= 0)
            threads = n;
        else if (strcmp(argv[i], "--rounds") == 0 && n > 0 && n <= ROUNDS_MAX)
            rounds = n;
        else
            break;
    }
    if (i + 1 != argc) {
        fprintf(stderr, "usage: bench_int8 [--threads N] [--rounds N] MODEL\n");
        return 2;
    }
    rc = srq_team_start(threads, &err);
    if (rc == 0)
        rc = srq_gemm_start(NULL, &err);
    if (rc == 0)
        printf("srq %s, %d threads, %s; integers %s\n\n", PACKAGE_VERSION, srq_team_size(), srq_gemm_describe(),
               srq_int8_backend());
    if (rc == 0)
        rc = bench_convs(rounds * 4 < ROUNDS_MAX ? rounds * 4 : ROUNDS_MAX, &err);
    if (rc == 0 && access(argv[i], R_OK) != 0)
        printf("\nA step of a model: skipped, there is no %s\n", argv[i]);
    else if (rc == 0)
        rc = bench_model(argv[i], rounds, &err);
    if (rc != 0)
        fprintf(stderr, "bench_int8: %s\n", err.text);
    return rc != 0;
}
