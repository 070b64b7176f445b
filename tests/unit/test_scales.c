/* Scales across families and grids: their gradients against differences of the loss (spec teq 14.3), and files of them
 * that are taken or refused. */
#include "tests/unit/test.h"
#include "tests/unit/block_through.h"
#include "tests/unit/math_start.h"

#include "tests/unit/model_folder.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/tune/transform.h"

#include <math.h>
#include <unistd.h>

enum { PAIRS = 32, SAMPLES = 8, SEQ = 16, LAYERS_MAX = 64 };

/* What the test's own plugin is told to do, and what it saw. */
struct trial {
    struct srq_transform_schedule schedule;
    float *slope[PAIRS]; /* gradients of the last step, by pair */
    double loss;         /* of the last step */
};

struct fixture {
    char *folder;
    bool shared; /* the folder is shipped */
    struct srq_model *model;
    struct srq_scheme schemes[LAYERS_MAX];
    int32_t ids[SAMPLES * SEQ];
    struct srq_samples samples;
    struct trial trial;
};

static void open_model(struct fixture *f, const char *name, const char *scheme)
{
    struct srq_error err = { 0 };
    const char *top = getenv("top_srcdir");
    double vocab;

    memset(f, 0, sizeof(*f));
    f->shared = strcmp(name, "demo-lm") == 0;
    f->folder = f->shared ? srq_asprintf("%s/share/models/demo-lm", top != NULL ? top : ".") : folder_of(name);
    assert_ok(srq_model_open(f->folder, true, &f->model, &err), &err);
    assert_true(srq_model_pair_count(f->model) <= PAIRS);
    assert_true(srq_model_layer_count(f->model) <= LAYERS_MAX);
    for (int i = 0; i < srq_model_layer_count(f->model); i++) {
        assert_ok(srq_scheme_parse(scheme, &f->schemes[i], &err), &err);
        if (srq_model_layer(f->model, i)->block < 0)
            assert_ok(srq_scheme_parse("bf16", &f->schemes[i], &err), &err);
    }
    vocab = (double)srq_model_info(f->model)->vocab;
    for (int i = 0; i < SAMPLES * SEQ; i++) /* small ids are the frequent ones */
        f->ids[i] = (int32_t)(pow(srq_rng_uniform(3, 1, (uint64_t)i), 3) * vocab);
    f->samples = (struct srq_samples){ .count = SAMPLES, .seqlen = SEQ, .ids = f->ids };
    f->trial.schedule = (struct srq_transform_schedule){
        .size = sizeof(f->trial.schedule), .objective = SRQ_OBJECTIVE_CE, .steps = 1, .batch = SAMPLES, .lr = 0.001
    };
    for (int i = 0; i < srq_model_pair_count(f->model); i++) {
        f->trial.slope[i] = calloc((size_t)srq_model_pair(f->model, i)->channels, sizeof(float));
        assert_non_null(f->trial.slope[i]);
    }
}

static void close_model(struct fixture *f)
{
    for (int i = 0; i < PAIRS; i++)
        free(f->trial.slope[i]);
    srq_model_close(f->model);
    if (f->shared)
        srq_free(f->folder);
    else
        folder_remove(f->folder);
}

/* ---- a plugin of the test's own ---------------------------------------------------------------------------------- */

static const char *all_kinds(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return "ABCD";
}

static int give_schedule(const struct srq_host *h, void *self, struct srq_transform_schedule *out,
                         struct srq_error *err)
{
    (void)h;
    (void)err;
    srq_copy_known(out, &((struct trial *)self)->schedule);
    return 0;
}

static float start_of(int pair, int64_t channel)
{
    return (float)exp2(srq_rng_uniform(5, (uint64_t)pair, (uint64_t)channel) - 0.5);
}

static int set_start(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)err;
    for (int64_t j = 0; j < g->channels; j++)
        g->scale[j] = start_of(g->index, j);
    return 0;
}

/* Scales stay; the gradient is kept. */
static int keep_slope(const struct srq_host *h, void *self, struct srq_scale_group *g, const struct srq_step *step,
                      float *grad, struct srq_error *err)
{
    (void)h;
    (void)step;
    (void)err;
    memcpy(((struct trial *)self)->slope[g->index], grad, (size_t)g->channels * sizeof(float));
    return 0;
}

static const struct srq_transform part = {
    .size = sizeof(part), .kinds = all_kinds, .schedule = give_schedule, .begin = set_start, .step = keep_slope
};
static const struct srq_plugin plugin = { .magic = SRQ_PLUGIN_MAGIC,
                                          .abi_major = SRQ_ABI_MAJOR,
                                          .abi_minor = SRQ_ABI_MINOR,
                                          .size = sizeof(plugin),
                                          .name = "trial",
                                          .transform = &part };

static void on_point(void *ctx, int64_t step, double loss, double lr)
{
    (void)step;
    (void)lr;
    ((struct trial *)ctx)->loss = loss;
}

static struct srq_transformer *make(struct fixture *f)
{
    struct srq_transform_config cfg = { .model = f->model,
                                        .plugin = &plugin,
                                        .self = &f->trial,
                                        .schemes = f->schemes,
                                        .nsamples = SAMPLES,
                                        .seq = SEQ,
                                        .batch = f->trial.schedule.batch,
                                        .compute = SRQ_F32,
                                        .seed = 7 };
    struct srq_transformer *t;
    struct srq_error err = { 0 };

    assert_ok(srq_transform_create(&cfg, &f->samples, &t, &err), &err);
    return t;
}

static void take_step(struct fixture *f, struct srq_transformer *t)
{
    struct srq_transform_events events = { .ctx = &f->trial, .point = on_point };
    struct srq_error err = { 0 };

    assert_ok(srq_transform_run(t, NULL, &events, &err), &err);
}

/* ---- the loss, computed here ------------------------------------------------------------------------------------- */

/* Scales start + eps * sign of the gradient found for one pair, start for the others. */
struct point {
    const struct fixture *f;
    int pair;
    double eps;
};

static double scale_at(const struct point *p, int pair, int64_t channel, double *start)
{
    float slope = p->f->trial.slope[pair][channel];

    *start = (double)start_of(pair, channel);
    return *start + (pair == p->pair ? p->eps * (slope > 0 ? 1 : -1) : 0);
}

static int pair_of(const struct srq_model *m, int layer)
{
    for (int i = 0; i < srq_model_pair_count(m); i++)
        for (int k = 0; k < srq_model_pair(m, i)->consumer_count; k++)
            if (srq_model_pair(m, i)->consumers[k] == layer && srq_model_pair(m, i)->kind != 'E')
                return i;
    return -1;
}

/* By how much the step of the group that element k lies in grows as scales go from a0 to a: asymmetric integers, w = W
 * a0. */
static double growth(const struct point *p, int pair, const struct srq_layer_info *l, int group, const float *w,
                     int64_t k)
{
    int64_t from = k - k % l->in + k % l->in / group * group, end = from + group;
    double lo[2] = { 0, 0 }, hi[2] = { 0, 0 }, start;

    end = end < k - k % l->in + l->in ? end : k - k % l->in + l->in;
    for (int64_t i = from; i < end; i++) {
        double now = scale_at(p, pair, srq_pair_channel(srq_model_pair(p->f->model, pair), i % l->in), &start);
        double moved[2] = { (double)w[i], (double)w[i] / start * now };

        for (int m = 0; m < 2; m++) {
            lo[m] = fmin(lo[m], moved[m]);
            hi[m] = fmax(hi[m], moved[m]);
        }
    }
    return (hi[1] - lo[1]) / (hi[0] - lo[0]);
}

/* The layer's weight where rounding passes changes straight through: ((Q(W a0) - W a0) growth + W a) / a, with a growth
 * of 1 where ranges count as constants. */
static void straight_through(const struct point *p, int layer, float *dst)
{
    const struct srq_layer_info *l = srq_model_layer(p->f->model, layer);
    const struct srq_grid_ops *grid = srq_grid(p->f->schemes[layer].grid);
    struct srq_groups groups = srq_groups_of(l->out, l->in, p->f->schemes[layer].group);
    float *w = calloc((size_t)(l->out * l->in), sizeof(float)), *q = calloc((size_t)(l->out * l->in), sizeof(float));
    float *lo = calloc((size_t)groups.count, sizeof(float)), *hi = calloc((size_t)groups.count, sizeof(float));
    struct srq_tensor stored, scaled = srq_tensor_2d(q, SRQ_F32, l->out, l->in);
    struct srq_grid_args a = { .size = sizeof(a),
                               .weight = &scaled,
                               .scheme = &p->f->schemes[layer],
                               .groups = &groups,
                               .lo = lo,
                               .hi = hi,
                               .tensor_scale = 1 };
    struct srq_error err = { 0 };
    int pair = pair_of(p->f->model, layer);
    double start;

    assert_ok(srq_model_weight(p->f->model, layer, &stored, &err), &err);
    assert_int_equal(srq_convert(stored.data, stored.dtype, w, SRQ_F32, l->out * l->in), 0);
    for (int64_t i = 0; i < l->out * l->in; i++) {
        if (pair >= 0)
            (void)scale_at(p, pair, srq_pair_channel(srq_model_pair(p->f->model, pair), i % l->in), &start);
        q[i] = pair >= 0 ? w[i] * (float)start : w[i];
    }
    if (grid != NULL) {
        assert_int_equal(grid->extrema(&a, lo, hi), 0);
        grid->fake(&a, 0, l->out, dst, SRQ_F32, l->in);
    } else {
        memcpy(dst, q, (size_t)(l->out * l->in) * sizeof(float));
    }
    for (int64_t i = 0; pair >= 0 && i < l->out * l->in; i++) {
        double now = scale_at(p, pair, srq_pair_channel(srq_model_pair(p->f->model, pair), i % l->in), &start);
        double grown = p->f->trial.schedule.ranges ? growth(p, pair, l, p->f->schemes[layer].group, q, i) : 1;

        dst[i] = (float)((((double)dst[i] - (double)q[i]) * grown + (double)w[i] * now) / now);
    }
    free(w);
    free(q);
    free(lo);
    free(hi);
}

/* States through block b, rounded or as stored. */
static void through(const struct point *p, struct srq_block *block, struct srq_tape *tape, int b, bool rounded,
                    const float *from, float *to)
{
    int64_t n = SAMPLES * SEQ, width = srq_model_info(p->f->model)->hidden;
    struct srq_tensor x = srq_tensor_2d((void *)(uintptr_t)from, SRQ_F32, n, width);
    struct srq_error err = { 0 };
    struct srq_var *y;

    assert_ok(srq_block_load(block, b, &err), &err);
    for (int i = 0; rounded && i < srq_block_linear_count(block); i++)
        straight_through(p, b * srq_block_linear_count(block) + i, srq_block_linear(block, i)->weight.data);
    srq_tape_reset(tape);
    srq_tape_record(tape, false);
    y = block_through(block, tape, srq_tape_input(tape, &x, false), SAMPLES, SEQ);
    assert_ok(srq_tape_error(tape, &err), &err);
    memcpy(to, y->value.data, (size_t)(n * width) * sizeof(float));
}

static double log_sum(const float *z, int64_t n)
{
    double top = (double)z[0], sum = 0;

    for (int64_t k = 1; k < n; k++)
        top = fmax(top, (double)z[k]);
    for (int64_t k = 0; k < n; k++)
        sum += exp((double)z[k] - top);
    return top + log(sum);
}

/* Mean cross-entropy of the next token, or divergence from the words of `full`. */
static double of_words(const struct fixture *f, const float *states, const float *full)
{
    int64_t n = SAMPLES * SEQ, vocab = srq_model_info(f->model)->vocab, tokens = 0;
    float *q = calloc((size_t)(n * vocab), sizeof(float)), *p = calloc((size_t)(n * vocab), sizeof(float));
    struct srq_error err = { 0 };
    struct srq_head *h;
    double sum = 0;

    assert_ok(srq_head_create(f->model, &h, &err), &err);
    assert_ok(srq_head_logits(h, states, SRQ_F32, n, q, &err), &err);
    assert_ok(srq_head_logits(h, full, SRQ_F32, n, p, &err), &err);
    for (int64_t i = 0; i < n; i++) {
        double lq = log_sum(q + i * vocab, vocab), lp = log_sum(p + i * vocab, vocab);

        if (i % SEQ == SEQ - 1)
            continue;
        tokens++;
        if (f->trial.schedule.objective == SRQ_OBJECTIVE_CE) {
            sum += lq - (double)q[i * vocab + f->ids[i + 1]];
            continue;
        }
        for (int64_t k = 0; k < vocab; k++) {
            double a = (double)p[i * vocab + k] - lp, b = (double)q[i * vocab + k] - lq;

            sum += exp(a) * (a - b);
        }
    }
    srq_head_free(h);
    free(p);
    free(q);
    return sum / (double)tokens;
}

static double mean_square(const float *a, const float *b, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum / (double)n;
}

static double loss_at(const struct fixture *f, int pair, double eps)
{
    struct point p = { f, pair, eps };
    int64_t n = SAMPLES * SEQ * srq_model_info(f->model)->hidden;
    float *x = calloc((size_t)n, sizeof(float)), *full = calloc((size_t)n, sizeof(float)), *y;
    struct srq_error err = { 0 };
    struct srq_block *block;
    struct srq_tape *tape;
    double loss = 0;
    bool blocks = f->trial.schedule.objective == SRQ_OBJECTIVE_BLOCK_MSE;

    y = calloc((size_t)n, sizeof(float));
    assert_ok(srq_block_create(f->model, SRQ_F32, &block, &err), &err);
    assert_ok(srq_tape_create((size_t)64 << 20, SRQ_F32, false, &tape, &err), &err);
    assert_ok(srq_model_embed(f->model, f->ids, SAMPLES * SEQ, x, SRQ_F32, &err), &err);
    memcpy(full, x, (size_t)n * sizeof(float));
    for (int b = 0; b < srq_model_info(f->model)->blocks; b++) {
        through(&p, block, tape, b, true, blocks ? full : x, y);
        memcpy(x, y, (size_t)n * sizeof(float));
        through(&p, block, tape, b, false, full, y);
        memcpy(full, y, (size_t)n * sizeof(float));
        loss += blocks ? mean_square(x, full, n) : 0;
    }
    if (!blocks)
        loss = of_words(f, x, full);
    srq_tape_free(tape);
    srq_block_free(block);
    free(x);
    free(y);
    free(full);
    return loss;
}

/* ---- gradients (14.3) -------------------------------------------------------------------------------------------- */

static void compare(struct fixture *f, const char *what)
{
    const double eps = 0.004;

    for (int i = 0; i < srq_model_pair_count(f->model); i++) {
        double found = 0, expected;

        if (srq_model_pair(f->model, i)->kind == 'E')
            continue;
        for (int64_t j = 0; j < srq_model_pair(f->model, i)->channels; j++)
            found += fabs((double)f->trial.slope[i][j]);
        expected = (loss_at(f, i, eps) - loss_at(f, i, -eps)) / (2 * eps);
        if (!(found > 0) || fabs(found - expected) > 0.02 * found)
            fail_msg("%s: along the gradient of %s the loss rises by %g, differences give %g", what,
                     srq_model_pair(f->model, i)->name, found, expected);
    }
}

static void gradients_are_those_of_differences_in_every_family(void **state)
{
    static const struct {
        const char *model, *scheme;
        int objective;
        bool ranges;
    } cases[] = {
        { "llama-default", "w3g16", SRQ_OBJECTIVE_CE, false },
        { "qwen2", "w3z", SRQ_OBJECTIVE_KD, false },
        { "llama-tied", "w2g16", SRQ_OBJECTIVE_BLOCK_MSE, false },
        { "qwen3", "w4gt", SRQ_OBJECTIVE_CE, false },
        { "mistral", "mxfp4", SRQ_OBJECTIVE_BLOCK_MSE, false },
        { "gemma", "w3g8", SRQ_OBJECTIVE_CE, false },
        { "gemma-untied", "w3g8z", SRQ_OBJECTIVE_BLOCK_MSE, true },
        { "llama-default", "w3g16z", SRQ_OBJECTIVE_CE, true },
        { "qwen2", "w4g8z", SRQ_OBJECTIVE_BLOCK_MSE, true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct srq_transformer *t;
        struct fixture f;
        double expected;

        open_model(&f, cases[i].model, cases[i].scheme);
        f.trial.schedule.objective = cases[i].objective;
        f.trial.schedule.ranges = cases[i].ranges;
        t = make(&f);
        take_step(&f, t);
        srq_transform_free(t);
        expected = loss_at(&f, -1, 0);
        if (fabs(f.trial.loss - expected) > 1e-4 * expected)
            fail_msg("%s: loss %g, computed otherwise %g", cases[i].model, f.trial.loss, expected);
        compare(&f, cases[i].model);
        close_model(&f);
    }
}

/* ---- files of scales --------------------------------------------------------------------------------------------- */

enum { NOTHING, FOREIGN, NOT_A_NUMBER, SHORT };

/* A file of scales for the model `like`, with something wrong. Returns its path, to be freed. */
static char *scales_file(const char *dir, const struct srq_model *like, int wrong)
{
    bool wanted[PAIRS];
    struct srq_scales s = { 0 };
    struct srq_error err = { 0 };
    char *path = srq_asprintf("%s/scales.safetensors", dir);

    for (int i = 0; i < srq_model_pair_count(like); i++)
        wanted[i] = srq_model_pair(like, i)->kind != 'E';
    assert_ok(srq_scales_alloc(like, wanted, &s, &err), &err);
    s.alpha[0][3] = wrong == NOT_A_NUMBER ? NAN : 1.5f;
    assert_ok(srq_scales_write(&s, like, dir, "scales", &err), &err);
    srq_scales_fini(&s);
    if (wrong == SHORT)
        assert_int_equal(truncate(path, 700), 0);
    return path;
}

static int load(struct fixture *f, const char *path, struct srq_error *err)
{
    struct srq_transformer *t;
    int rc;

    f->trial.schedule.load = path;
    t = make(f);
    rc = srq_transform_run(t, NULL, NULL, err);
    if (rc == 0)
        assert_true(srq_transform_scales(t)->alpha[0][3] == 1.5f);
    srq_transform_free(t);
    return rc;
}

static void files_of_scales_are_taken_or_refused_by_name(void **state)
{
    static const struct {
        int wrong, code;
        const char *names[2];
    } cases[] = {
        { NOTHING, 0, { "", "" } },
        { FOREIGN, -SRQ_EINVAL, { "model.layers.0.input_layernorm.scale", "scales.safetensors" } },
        { NOT_A_NUMBER, -SRQ_ENUMERIC, { "model.layers.0.input_layernorm", "3" } },
        { SHORT, -SRQ_EFORMAT, { "scales.safetensors", "" } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char dir[] = "/tmp/srq-scales.XXXXXX", *path;
        struct srq_error err = { 0 };
        struct fixture f, other;
        int rc;

        open_model(&f, "llama-default", "w3g16");
        open_model(&other, "demo-lm", "w3g16");
        assert_non_null(mkdtemp(dir));
        path = scales_file(dir, cases[i].wrong == FOREIGN ? other.model : f.model, cases[i].wrong);
        rc = load(&f, path, &err);
        if (rc != cases[i].code ||
            (rc != 0 && (strstr(err.text, cases[i].names[0]) == NULL || strstr(err.text, cases[i].names[1]) == NULL)))
            fail_msg("case %zu gave %d: %s", i, rc, err.text);
        unlink(path);
        rmdir(dir);
        srq_free(path);
        close_model(&other);
        close_model(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_differences_in_every_family),
        cmocka_unit_test(files_of_scales_are_taken_or_refused_by_name),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
