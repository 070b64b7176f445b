/* Training of scales: gradients against differences of the loss itself, what is kept, checkpoints (acceptance tests of
 * spec teq 14 by their numbers). */
#include "tests/unit/test.h"
#include "tests/unit/block_through.h"
#include "tests/unit/math_start.h"

#include "tests/unit/model_folder.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/grid/round_plain.h"
#include "core/tune/transform.h"

#include <math.h>
#include <unistd.h>

enum { SAMPLES = 6, SEQ = 12, BLOCKS = 2, LINEARS = 7, PAIRS = 8 };

/* ---- a plugin of this test --------------------------------------------------------------------------------------- */

static struct script {
    struct srq_transform_schedule schedule;
    const char *kinds;
    double push;        /* every step multiplies scales by this to the sign of the gradient */
    bool random;        /* scales begin at random */
    float *grad[PAIRS]; /* of the last step */
    int64_t steps;
} script;

static const char *kinds(const struct srq_host *h, void *self)
{
    (void)h;
    (void)self;
    return script.kinds;
}

static int schedule(const struct srq_host *h, void *self, struct srq_transform_schedule *out, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)err;
    srq_copy_known(out, &script.schedule);
    return 0;
}

static int begin(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)err;
    for (int64_t j = 0; script.random && j < g->channels; j++)
        g->scale[j] = (float)exp2(srq_rng_uniform(1, (uint64_t)g->index, (uint64_t)j) - 0.5);
    return 0;
}

static int step(const struct srq_host *h, void *self, struct srq_scale_group *g, const struct srq_step *s, float *grad,
                struct srq_error *err)
{
    (void)h;
    (void)self;
    (void)err;
    free(script.grad[g->index]);
    script.grad[g->index] = malloc((size_t)g->channels * sizeof(float));
    memcpy(script.grad[g->index], grad, (size_t)g->channels * sizeof(float));
    for (int64_t j = 0; j < g->channels && script.push > 0; j++)
        g->scale[j] *= (float)pow(script.push, grad[j] > 0 ? -s->schedule : s->schedule);
    if (g->state[0] != NULL)
        g->state[0][0] += 1;
    script.steps = s->iter + 1;
    return 0;
}

static const struct srq_transform transform = {
    .size = sizeof(transform), .kinds = kinds, .schedule = schedule, .begin = begin, .step = step
};
static const struct srq_plugin plugin = {
    .size = sizeof(plugin), .name = "script", .version = "1", .summary = "", .transform = &transform
};

/* ---- a bed ------------------------------------------------------------------------------------------------------- */

struct bed {
    char *folder;
    struct srq_model *model;
    struct srq_scheme schemes[32];
    int32_t ids[SAMPLES * SEQ];
    struct srq_samples samples;
    struct srq_transform_config cfg;
    struct srq_transformer *t;
};

static void forget_gradients(void)
{
    for (int i = 0; i < PAIRS; i++) {
        free(script.grad[i]);
        script.grad[i] = NULL;
    }
}

static void open_bed(struct bed *b, const char *scheme, int objective, int64_t steps)
{
    struct srq_error err = { 0 };

    memset(b, 0, sizeof(*b));
    forget_gradients(); /* of another bed that is open */
    memset(&script, 0, sizeof(script));
    b->folder = folder_of("llama-default");
    assert_ok(srq_model_open(b->folder, true, &b->model, &err), &err);
    for (int i = 0; i < srq_model_layer_count(b->model); i++)
        assert_ok(srq_scheme_parse(i < BLOCKS * LINEARS ? scheme : "bf16", &b->schemes[i], &err), &err);
    for (int i = 0; i < SAMPLES * SEQ; i++)
        b->ids[i] = (int32_t)srq_rng_below(3, 0, (uint64_t)i, 64);
    b->samples = (struct srq_samples){ .ids = b->ids, .count = SAMPLES, .seqlen = SEQ };
    b->cfg = (struct srq_transform_config){ .model = b->model,
                                            .plugin = &plugin,
                                            .schemes = b->schemes,
                                            .nsamples = SAMPLES,
                                            .seq = SEQ,
                                            .batch = 2,
                                            .compute = SRQ_F32,
                                            .seed = 5 };
    script.kinds = "ABCD";
    script.schedule = (struct srq_transform_schedule){ .size = sizeof(script.schedule),
                                                       .objective = objective,
                                                       .steps = steps,
                                                       .batch = 2,
                                                       .holdout = 2,
                                                       .probe_every = 2,
                                                       .keep_best = true,
                                                       .lr = 1,
                                                       .states = 1 };
}

static void make(struct bed *b)
{
    struct srq_error err = { 0 };

    assert_ok(srq_transform_create(&b->cfg, &b->samples, &b->t, &err), &err);
}

static void close_bed(struct bed *b)
{
    forget_gradients();
    srq_transform_free(b->t);
    srq_model_close(b->model);
    folder_remove(b->folder);
}

static void run(struct bed *b, const char *resume, const struct srq_transform_events *events)
{
    struct srq_error err = { 0 };

    assert_ok(srq_transform_run(b->t, resume, events, &err), &err);
}

/* ---- the loss with weights of this test's own -------------------------------------------------------------------- */

/* W_eff = W + c/a with c = Q(W a0) - W a0 held still: what "rounding passes gradients straight through" means. */
struct surrogate {
    float *w[BLOCKS * LINEARS], *c[BLOCKS * LINEARS];
    float *alpha[PAIRS];
};

static int pair_of(const struct srq_model *m, int layer)
{
    for (int p = 0; p < srq_model_pair_count(m); p++)
        for (int k = 0; k < srq_model_pair(m, p)->consumer_count; k++)
            if (srq_model_pair(m, p)->consumers[k] == layer)
                return p;
    fail_msg("layer %d has no pair", layer);
    return -1;
}

static void make_surrogate(const struct bed *b, struct surrogate *s)
{
    for (int p = 0; p < PAIRS; p++) {
        int64_t n = srq_model_pair(b->model, p)->channels;

        s->alpha[p] = malloc((size_t)n * sizeof(float));
        for (int64_t j = 0; j < n; j++)
            s->alpha[p][j] = (float)exp2(srq_rng_uniform(1, (uint64_t)p, (uint64_t)j) - 0.5);
    }
    for (int i = 0; i < BLOCKS * LINEARS; i++) {
        const struct srq_layer_info *l = srq_model_layer(b->model, i);
        const struct srq_pair_info *p = srq_model_pair(b->model, pair_of(b->model, i));
        int64_t n = l->out * l->in;
        struct srq_error err = { 0 };
        struct srq_codes codes = { 0 };
        struct srq_tensor w, scaled;

        s->w[i] = malloc((size_t)n * sizeof(float));
        s->c[i] = malloc((size_t)n * sizeof(float));
        assert_ok(srq_model_weight(b->model, i, &w, &err), &err);
        assert_ok(srq_convert(w.data, w.dtype, s->w[i], SRQ_F32, n), &err);
        for (int64_t k = 0; k < n; k++)
            s->c[i][k] = s->w[i][k] * s->alpha[pair_of(b->model, i)][srq_pair_channel(p, k % l->in)];
        scaled = srq_tensor_2d(s->c[i], SRQ_F32, l->out, l->in);
        assert_ok(srq_codes_alloc(l->out, l->in, &b->schemes[i], &codes, &err), &err);
        assert_ok(srq_round_plain(&scaled, l->name, &codes, &err), &err);
        {
            float *q = malloc((size_t)n * sizeof(float));

            assert_ok(srq_codes_decode(&codes, q, SRQ_F32, &err), &err);
            for (int64_t k = 0; k < n; k++)
                s->c[i][k] = q[k] - s->c[i][k];
            free(q);
        }
        srq_codes_fini(&codes);
    }
}

static void free_surrogate(struct surrogate *s)
{
    for (int p = 0; p < PAIRS; p++)
        free(s->alpha[p]);
    for (int i = 0; i < BLOCKS * LINEARS; i++) {
        free(s->w[i]);
        free(s->c[i]);
    }
}

/* States [SAMPLES*SEQ, 32] after the blocks, with the surrogate's weights or (NULL) the stored ones. inputs: where not
 * NULL, [BLOCKS+1] states of the stored model, and every block is given those; errors are summed. */
static double walk(const struct bed *b, const struct surrogate *s, float *x, float **inputs, int64_t first,
                   int64_t count)
{
    struct srq_error err = { 0 };
    struct srq_block *block;
    struct srq_tape *tape;
    int64_t rows = count * SEQ;
    double sum = 0;

    assert_ok(srq_block_create(b->model, SRQ_F32, &block, &err), &err);
    assert_ok(srq_tape_create((size_t)32 << 20, SRQ_F32, false, &tape, &err), &err);
    assert_ok(srq_model_embed(b->model, b->ids + first * SEQ, rows, x, SRQ_F32, &err), &err);
    srq_tape_record(tape, false);
    for (int k = 0; k < BLOCKS; k++) {
        struct srq_tensor in = srq_tensor_2d(inputs != NULL && s != NULL ? inputs[k] : x, SRQ_F32, rows, 32);
        struct srq_var *y;

        assert_ok(srq_block_load(block, k, &err), &err);
        for (int i = 0; s != NULL && i < LINEARS; i++) {
            int layer = k * LINEARS + i, p = pair_of(b->model, layer);
            struct srq_linear *l = srq_block_linear(block, i);
            float *w = l->weight.data;

            for (int64_t e = 0; e < l->out * l->in; e++)
                w[e] = s->w[layer][e] +
                       s->c[layer][e] / s->alpha[p][srq_pair_channel(srq_model_pair(b->model, p), e % l->in)];
        }
        if (inputs != NULL && s == NULL)
            memcpy(inputs[k], x, (size_t)(rows * 32) * sizeof(float));
        srq_tape_reset(tape);
        y = block_through(block, tape, srq_tape_input(tape, &in, false), count, SEQ);
        assert_ok(srq_tape_error(tape, &err), &err);
        memcpy(x, y->value.data, (size_t)(rows * 32) * sizeof(float));
        for (int64_t e = 0; inputs != NULL && s != NULL && e < rows * 32; e++)
            sum += pow((double)x[e] - (double)inputs[k + 1][e], 2) / (double)(rows * 32);
        if (inputs != NULL && s == NULL)
            memcpy(inputs[k + 1], x, (size_t)(rows * 32) * sizeof(float));
    }
    srq_tape_free(tape);
    srq_block_free(block);
    return sum;
}

static double log_sum(const float *z)
{
    double top = -INFINITY, sum = 0;

    for (int i = 0; i < 64; i++)
        top = fmax(top, (double)z[i]);
    for (int i = 0; i < 64; i++)
        sum += exp((double)z[i] - top);
    return top + log(sum);
}

static double loss_of(const struct bed *b, const struct surrogate *s, int objective, int64_t first, int64_t count)
{
    float x[SAMPLES * SEQ * 32], z[SAMPLES * SEQ * 64], teacher[SAMPLES * SEQ * 64], a[BLOCKS + 1][SAMPLES * SEQ * 32];
    float *inputs[BLOCKS + 1] = { a[0], a[1], a[2] };
    struct srq_error err = { 0 };
    struct srq_head *head;
    int64_t rows = count * SEQ, words = 0;
    double sum = 0;

    if (objective == SRQ_OBJECTIVE_BLOCK_MSE) {
        walk(b, NULL, x, inputs, first, count);
        return walk(b, s, x, inputs, first, count);
    }
    assert_ok(srq_head_create(b->model, &head, &err), &err);
    walk(b, NULL, x, NULL, first, count);
    assert_ok(srq_head_logits(head, x, SRQ_F32, rows, teacher, &err), &err);
    walk(b, s, x, NULL, first, count);
    assert_ok(srq_head_logits(head, x, SRQ_F32, rows, z, &err), &err);
    srq_head_free(head);
    for (int64_t t = 0; t < rows; t++) {
        double lz = log_sum(z + t * 64), lt = log_sum(teacher + t * 64);

        if (t % SEQ == SEQ - 1)
            continue;
        words++;
        if (objective == SRQ_OBJECTIVE_CE)
            sum += lz - (double)z[t * 64 + b->ids[first * SEQ + t + 1]];
        for (int k = 0; objective == SRQ_OBJECTIVE_KD && k < 64; k++)
            sum += exp((double)teacher[t * 64 + k] - lt) *
                   ((double)teacher[t * 64 + k] - lt - ((double)z[t * 64 + k] - lz));
    }
    return sum / (double)words;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

/* The order of samples is the transformer's; with all of them in one batch it does not matter. */
static void check_gradient(int objective)
{
    struct surrogate s;
    struct bed b;
    double worst = 0;

    open_bed(&b, "w3g8z", objective, 1);
    script.random = true;
    script.schedule.holdout = 2;
    script.schedule.batch = b.cfg.batch = SAMPLES - 2;
    make(&b);
    run(&b, NULL, NULL);
    assert_int_equal(script.steps, 1);
    make_surrogate(&b, &s);
    for (int p = 0; p < PAIRS; p++) {
        int64_t n = srq_model_pair(b.model, p)->channels;
        double square = 0;

        for (int64_t j = 0; j < n; j++)
            square += pow((double)script.grad[p][j], 2) / (double)n;
        assert_true(square > 0);
        for (int64_t j = 0; j < n; j += 5) {
            float was = s.alpha[p][j];
            double up, down, want;

            s.alpha[p][j] = was * 1.02f;
            up = loss_of(&b, &s, objective, 0, SAMPLES - 2);
            s.alpha[p][j] = was / 1.02f;
            down = loss_of(&b, &s, objective, 0, SAMPLES - 2);
            s.alpha[p][j] = was;
            want = (up - down) / ((double)was * (1.02 - 1 / 1.02));
            worst = fmax(worst, fabs(want - (double)script.grad[p][j]) / sqrt(square));
        }
    }
    print_message("largest difference of a gradient from that of the loss: %.4f of its group's root mean square\n",
                  worst);
    assert_true(worst < 0.05);
    free_surrogate(&s);
    close_bed(&b);
}

/* Spec teq 14.3, against differences of the loss. */
static void test_gradient_ce(void **state)
{
    (void)state;
    check_gradient(SRQ_OBJECTIVE_CE);
}

static void test_gradient_kd(void **state)
{
    (void)state;
    check_gradient(SRQ_OBJECTIVE_KD);
}

static void test_gradient_block_mse(void **state)
{
    (void)state;
    check_gradient(SRQ_OBJECTIVE_BLOCK_MSE);
}

/* Spec teq 14.3: nothing is rounded, nothing pulls. */
static void test_no_gradient_without_rounding(void **state)
{
    struct bed b;

    (void)state;
    open_bed(&b, "bf16", SRQ_OBJECTIVE_CE, 1);
    make(&b);
    run(&b, NULL, NULL);
    for (int p = 0; p < PAIRS; p++)
        for (int64_t j = 0; j < srq_model_pair(b.model, p)->channels; j++)
            assert_true(script.grad[p][j] == 0);
    close_bed(&b);
}

/* ---- gradients by two terms -------------------------------------------------------------------------------------- */

/* A block of the folded model: gains and the rows of producers divided by scales, consumers rounded with them. */
struct folded {
    float *weight[LINEARS], *dw[LINEARS]; /* [out, in] */
    float gain[2][32], dgain[2][32];      /* of the norms before attention and MLP */
};

struct listener {
    float *to;
    int64_t n; /* of a row, or of the vector */
};

static void take_rows(void *ctx, int64_t row, int64_t rows, float *grad)
{
    const struct listener *l = ctx;

    memcpy(l->to + row * l->n, grad, (size_t)(rows * l->n) * sizeof(*grad));
}

static void take_vector(void *ctx, const float *grad)
{
    const struct listener *l = ctx;

    memcpy(l->to, grad, (size_t)l->n * sizeof(*grad));
}

/* The pair whose producer a linear is, -1 where it is none. */
static int made_for(const struct bed *b, int layer)
{
    for (int p = 0; p < PAIRS; p++)
        if (srq_model_pair(b->model, p)->producer == layer)
            return p;
    return -1;
}

/* Makes the block's weights from the surrogate's: Q(W a) = c + W a, its rows divided where it is a producer. */
static void fold_block(const struct bed *b, const struct surrogate *s, int k, struct srq_block *block, struct folded *f)
{
    for (int i = 0; i < LINEARS; i++) {
        int layer = k * LINEARS + i, reads = pair_of(b->model, layer), makes = made_for(b, layer);
        const struct srq_layer_info *l = srq_model_layer(b->model, layer);

        f->weight[i] = srq_block_linear(block, i)->weight.data;
        f->dw[i] = calloc((size_t)(l->out * l->in), sizeof(float));
        for (int64_t e = 0; e < l->out * l->in; e++) {
            float a = s->alpha[reads][srq_pair_channel(srq_model_pair(b->model, reads), e % l->in)];

            f->weight[i][e] = s->c[layer][e] + s->w[layer][e] * a;
            f->weight[i][e] /= makes >= 0 ? s->alpha[makes][e / l->in] : 1;
        }
    }
    for (int v = 0; v < 2; v++)
        for (int j = 0; j < 32; j++)
            f->gain[v][j] = srq_block_vector(block, v)->value[j] / s->alpha[4 * k + v][j];
}

/* Forwards and backwards through it: dL/dweight of every linear, dL/dgain of both norms, L the block's error. */
static void listen_to_block(struct srq_block *block, struct srq_tape *tape, float *const *inputs, int k, int64_t count,
                            struct folded *f)
{
    const struct srq_tensor in = srq_tensor_2d(inputs[k], SRQ_F32, count * SEQ, 32),
                            out = srq_tensor_2d(inputs[k + 1], SRQ_F32, count * SEQ, 32);
    struct listener weights[LINEARS], gains[2];
    struct srq_error err = { 0 };
    struct srq_var *y;

    for (int i = 0; i < LINEARS; i++) {
        struct srq_linear *l = srq_block_linear(block, i);

        weights[i] = (struct listener){ f->dw[i], l->in };
        l->sink = take_rows;
        l->sink_ctx = &weights[i];
    }
    for (int v = 0; v < 2; v++) {
        struct srq_vector *gain = srq_block_vector(block, v);

        gains[v] = (struct listener){ f->dgain[v], 32 };
        gain->value = f->gain[v];
        gain->sink = take_vector;
        gain->sink_ctx = &gains[v];
    }
    srq_tape_reset(tape);
    y = block_through(block, tape, srq_tape_input(tape, &in, false), count, SEQ);
    assert_ok(srq_tape_backward(tape, srq_op_mse(tape, y, &out, NULL), &err), &err);
}

/* The two ways in which a scale reaches the loss: it divides what its producer gives, and multiplies what is rounded.
 */
static void two_terms(const struct bed *b, const struct surrogate *s, int k, const struct folded *f, int pair,
                      double *divides, double *multiplies)
{
    const struct srq_pair_info *p = srq_model_pair(b->model, pair);
    const float *a = s->alpha[pair];

    for (int64_t j = 0; j < p->channels; j++) {
        int64_t in = p->producer >= 0 ? srq_model_layer(b->model, p->producer)->in : 0;
        int at = p->producer - k * LINEARS, v = pair - 4 * k;

        divides[j] = p->producer < 0 ? -(double)f->dgain[v][j] * (double)f->gain[v][j] / (double)a[j] : 0;
        multiplies[j] = 0;
        for (int64_t i = 0; i < in; i++)
            divides[j] -= (double)f->dw[at][j * in + i] * (double)f->weight[at][j * in + i] / (double)a[j];
    }
    for (int c = 0; c < p->consumer_count; c++) {
        int layer = p->consumers[c], makes = made_for(b, layer);
        const struct srq_layer_info *l = srq_model_layer(b->model, layer);

        for (int64_t e = 0; e < l->out * l->in; e++)
            multiplies[srq_pair_channel(p, e % l->in)] += (double)f->dw[layer - k * LINEARS][e] *
                                                          (double)s->w[layer][e] /
                                                          (makes >= 0 ? (double)s->alpha[makes][e / l->in] : 1);
    }
}

/* Spec teq 14.3: the closed form is what differentiating the folded and rounded model gives, by both ways in which a
 * scale is in it. They cancel for the most part, so what F32 leaves is measured against their size. */
static void check_two_terms(const char *const *schemes, int count)
{
    enum { COUNT = SAMPLES - 2 };
    static float a[BLOCKS + 1][SAMPLES * SEQ * 32], x[SAMPLES * SEQ * 32];
    float *inputs[BLOCKS + 1] = { a[0], a[1], a[2] };
    struct srq_error err = { 0 };
    struct srq_block *block;
    struct srq_tape *tape;
    struct surrogate s;
    struct bed b;
    double worst = 0;

    open_bed(&b, schemes[0], SRQ_OBJECTIVE_BLOCK_MSE, 1);
    for (int i = 0; i < BLOCKS * LINEARS; i++)
        assert_ok(srq_scheme_parse(schemes[i % count], &b.schemes[i], &err), &err);
    script.random = true;
    script.schedule.batch = b.cfg.batch = COUNT;
    make(&b);
    run(&b, NULL, NULL);
    make_surrogate(&b, &s);
    walk(&b, NULL, x, inputs, 0, COUNT);
    assert_ok(srq_block_create(b.model, SRQ_F32, &block, &err), &err);
    assert_ok(srq_tape_create((size_t)32 << 20, SRQ_F32, false, &tape, &err), &err);
    for (int k = 0; k < BLOCKS; k++) {
        struct folded f;

        assert_ok(srq_block_load(block, k, &err), &err);
        fold_block(&b, &s, k, block, &f);
        listen_to_block(block, tape, inputs, k, COUNT, &f);
        for (int p = 4 * k; p < 4 * k + 4; p++) {
            double one[64], two[64], square = 0, off = 0;
            int64_t n = srq_model_pair(b.model, p)->channels;

            two_terms(&b, &s, k, &f, p, one, two);
            for (int64_t j = 0; j < n; j++) {
                square += one[j] * one[j] + two[j] * two[j];
                off += pow(one[j] + two[j] - (double)script.grad[p][j], 2);
            }
            worst = fmax(worst, sqrt(off / square));
        }
        for (int i = 0; i < LINEARS; i++)
            free(f.dw[i]);
    }
    print_message("difference from the sum of both terms: at most %.1e of their size, root mean squares\n", worst);
    assert_true(worst <= 1e-6);
    srq_tape_free(tape);
    srq_block_free(block);
    free_surrogate(&s);
    close_bed(&b);
}

static void test_gradient_is_that_of_two_terms(void **state)
{
    static const char *const one[] = { "w3g8z" };

    (void)state;
    check_two_terms(one, 1);
}

/* The same where a plan gives every layer bits and groups of its own, those that read one thing too: the reference
 * trains all of them against the last one's (spec teq 11). */
static void test_every_layer_is_rounded_under_its_own_scheme(void **state)
{
    static const char *const several[] = { "w3g8z", "w2", "w4g16", "w5z", "w2g8" };

    (void)state;
    check_two_terms(several, 5);
}

/* ---- keeping ----------------------------------------------------------------------------------------------------- */

/* Spec teq 14.6, its second half: steps that only make it worse leave the scales where they began. */
static void test_keeps_the_start(void **state)
{
    struct bed b;
    const struct srq_scales *s;

    (void)state;
    open_bed(&b, "w4g8z", SRQ_OBJECTIVE_BLOCK_MSE, 6);
    script.push = 1 / 16.0; /* up the slope */
    make(&b);
    run(&b, NULL, NULL);
    s = srq_transform_scales(b.t);
    assert_int_equal(s->outcome.best_step, 0);
    assert_true(s->outcome.loss_best == s->outcome.loss_first);
    for (int p = 0; p < PAIRS; p++)
        for (int64_t j = 0; j < srq_model_pair(b.model, p)->channels; j++)
            assert_true(s->alpha[p][j] == 1);
    close_bed(&b);
}

/* Without keep_best the outcome tells of the scales that are kept, the last, also where training ends between two
 * probes. */
static void test_tells_of_the_last(void **state)
{
    for (int steps = 5; steps <= 6; steps++) {
        struct bed b;
        const struct srq_scales *s;

        (void)state;
        open_bed(&b, "w4g8z", SRQ_OBJECTIVE_BLOCK_MSE, steps);
        script.push = 1 / 16.0; /* up the slope */
        script.schedule.keep_best = false;
        script.schedule.probe_every = 4;
        make(&b);
        run(&b, NULL, NULL);
        s = srq_transform_scales(b.t);
        assert_int_equal(s->outcome.steps, steps);
        assert_int_equal(s->outcome.best_step, steps);
        assert_true(s->outcome.loss_best > s->outcome.loss_first);
        close_bed(&b);
    }
}

static void test_lowers_the_loss(void **state)
{
    struct bed b;

    (void)state;
    open_bed(&b, "w2z", SRQ_OBJECTIVE_BLOCK_MSE, 60);
    script.push = 1.02;
    make(&b);
    run(&b, NULL, NULL);
    print_message("block errors %g at first, %g at best\n", srq_transform_scales(b.t)->outcome.loss_first,
                  srq_transform_scales(b.t)->outcome.loss_best);
    assert_true(srq_transform_scales(b.t)->outcome.loss_best < 0.97 * srq_transform_scales(b.t)->outcome.loss_first);
    close_bed(&b);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

struct stopping {
    struct srq_transformer *t;
    const char *dir;
    int64_t at;
    double last;
};

static int stop_at(void *ctx, double done, double total, const char *unit, bool at_step)
{
    struct stopping *s = ctx;
    struct srq_error err = { 0 };

    (void)total;
    (void)unit;
    if (!at_step || s->t == NULL || (int64_t)done != s->at)
        return 0;
    assert_ok(srq_transform_save(s->t, s->dir, "running", &err), &err);
    return -SRQ_ECANCELED;
}

static void test_resume_is_the_same(void **state)
{
    char dir[] = "/tmp/srq-test-transform-XXXXXX", file[64];
    struct srq_error err = { 0 };
    struct bed a, b;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof(file), "%s/running.safetensors", dir);
    open_bed(&a, "w3g8z", SRQ_OBJECTIVE_KD, 9);
    script.push = 1.05;
    make(&a);
    run(&a, NULL, NULL);
    for (int64_t at = 1; at < 9; at += 3) {
        struct stopping s = { .dir = dir, .at = at };
        struct srq_transform_events events = { .ctx = &s, .tick = stop_at };

        open_bed(&b, "w3g8z", SRQ_OBJECTIVE_KD, 9);
        script.push = 1.05;
        make(&b);
        s.t = b.t;
        assert_int_equal(srq_transform_run(b.t, NULL, &events, &err), -SRQ_ECANCELED);
        assert_int_equal(srq_transform_step(b.t), at);
        srq_transform_free(b.t);
        make(&b);
        run(&b, file, NULL);
        assert_true(srq_transform_scales(a.t)->outcome.loss_best == srq_transform_scales(b.t)->outcome.loss_best);
        for (int p = 0; p < PAIRS; p++)
            assert_memory_equal(srq_transform_scales(a.t)->alpha[p], srq_transform_scales(b.t)->alpha[p],
                                (size_t)srq_model_pair(a.model, p)->channels * sizeof(float));
        close_bed(&b);
    }
    /* Of another job: named by file and tensor. */
    open_bed(&b, "w3g8z", SRQ_OBJECTIVE_KD, 9);
    script.schedule.states = 2;
    make(&b);
    assert_refused(srq_transform_run(b.t, file, NULL, &err), -SRQ_EFORMAT, &err, "input_layernorm.state1");
    close_bed(&b);
    close_bed(&a);
    srq_remove_tree(dir, NULL);
}

static void test_schedule_is_checked(void **state)
{
    struct srq_error err = { 0 };
    struct bed b;

    (void)state;
    open_bed(&b, "w3g8z", SRQ_OBJECTIVE_CE, 3);
    script.schedule.holdout = 0;
    assert_refused(srq_transform_create(&b.cfg, &b.samples, &b.t, &err), -SRQ_EINVAL, &err,
                   "hold out at least one sample");
    script.schedule.holdout = 1;
    script.kinds = "AX";
    assert_refused(srq_transform_create(&b.cfg, &b.samples, &b.t, &err), -SRQ_EINVAL, &err, "\"AX\"");
    close_bed(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_ce),
        cmocka_unit_test(test_gradient_kd),
        cmocka_unit_test(test_gradient_block_mse),
        cmocka_unit_test(test_no_gradient_without_rounding),
        cmocka_unit_test(test_gradient_is_that_of_two_terms),
        cmocka_unit_test(test_every_layer_is_rounded_under_its_own_scheme),
        cmocka_unit_test(test_keeps_the_start),
        cmocka_unit_test(test_tells_of_the_last),
        cmocka_unit_test(test_lowers_the_loss),
        cmocka_unit_test(test_resume_is_the_same),
        cmocka_unit_test(test_schedule_is_checked),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
