/* Scoring: the head's loss against finite differences, scores against PyTorch, and what must not change them. */
#include "tests/unit/test.h"
#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/tune/options.h"
#include "core/tune/scoring.h"
#include "tests/unit/model_folder.h"

#include <math.h>

static struct srq_model *open_model(const char *name, char **folder)
{
    struct srq_error err = { 0 };
    struct srq_model *m;
    const char *top = getenv("top_srcdir");

    *folder = strcmp(name, "demo-lm") == 0 ? srq_asprintf("%s/share/models/demo-lm", top != NULL ? top : ".")
                                           : folder_of(name);
    assert_ok(srq_model_open(*folder, true, &m, &err), &err);
    return m;
}

static void close_model(const char *name, struct srq_model *m, char *folder)
{
    srq_model_close(m);
    if (strcmp(name, "demo-lm") == 0)
        srq_free(folder);
    else
        folder_remove(folder);
}

/* ---- the head's loss --------------------------------------------------------------------------------------------- */

/* The sum of losses by srq_head_logits, in double. */
static double loss_of(const struct srq_model *m, const float *hidden, int64_t n, const int32_t *target)
{
    int64_t vocab = srq_model_info(m)->vocab;
    float *logits = srq_calloc((size_t)(n * vocab), sizeof(*logits));
    struct srq_error err = { 0 };
    struct srq_head *h;
    double loss = 0;

    assert_ok(srq_head_create(m, &h, &err), &err);
    assert_ok(srq_head_logits(h, hidden, SRQ_F32, n, logits, &err), &err);
    for (int64_t i = 0; i < n; i++) {
        const float *z = logits + i * vocab;
        double sum = 0;

        for (int64_t k = 0; target[i] >= 0 && k < vocab; k++)
            sum += exp((double)z[k] - (double)z[target[i]]);
        loss += target[i] >= 0 ? log(sum) : 0;
    }
    srq_head_free(h);
    srq_free(logits);
    return loss;
}

static void a_heads_gradient_is_that_of_finite_differences(void **state)
{
    static const char *const names[] = { "demo-lm", "llama-default" }; /* tied, untied */

    (void)state;
    for (int which = 0; which < 2; which++) {
        char *folder;
        struct srq_model *m = open_model(names[which], &folder);
        int64_t width = srq_model_info(m)->hidden, n = 5;
        float *x = srq_calloc((size_t)(n * width), sizeof(*x)), *g = srq_calloc((size_t)(n * width), sizeof(*g));
        int32_t target[5] = { 3, 60, -1, 17, 0 };
        const struct srq_head_words words = {
            .n = n, .dtype = SRQ_F32, .hidden = x, .target = target, .factor = 0.25f, .grad = g
        };
        struct srq_error err = { 0 };
        struct srq_head_loss *l;
        struct srq_head *h;
        double loss, expected;

        for (int64_t i = 0; i < n * width; i++)
            x[i] = (float)(2 * srq_rng_uniform(1, 1, (uint64_t)i) - 1);
        assert_ok(srq_head_create(m, &h, &err), &err);
        assert_ok(srq_head_loss_create(h, NULL, n, &l, &err), &err);
        assert_ok(srq_head_loss_run(l, &words, &loss, &err), &err);
        expected = loss_of(m, x, n, target);
        assert_true(fabs(loss - expected) < 1e-5 * expected);
        for (int64_t i = 0; i < n * width; i += which == 0 ? 101 : 7) {
            float keep = x[i], step = 0.02f;
            double up, down;

            x[i] = keep + step;
            up = loss_of(m, x, n, target);
            x[i] = keep - step;
            down = loss_of(m, x, n, target);
            x[i] = keep;
            if (fabs(0.25 * (up - down) / (2 * (double)step) - (double)g[i]) > 3e-4 + 0.01 * fabs((double)g[i]))
                fail_msg("gradient %lld of %s is %g, differences give %g", (long long)i, names[which], (double)g[i],
                         0.25 * (up - down) / (2 * (double)step));
        }
        for (int64_t i = 2 * width; i < 3 * width; i++)
            assert_true(g[i] == 0); /* this token predicts nothing */
        srq_head_loss_free(l);
        srq_head_free(h);
        srq_free(g);
        srq_free(x);
        close_model(names[which], m, folder);
    }
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

struct scorer {
    struct srq_plugin_handle handle;
    struct srq_options *options;
    void *self;
};

static void scorer_open(struct scorer *s)
{
    const char *top = getenv("top_builddir");
    char *path = srq_asprintf("%s/plugins/deltaloss/.libs", top != NULL ? top : ".");
    struct srq_error err = { 0 };

    setenv("SRQ_PLUGIN_PATH", path, 1);
    srq_free(path);
    assert_ok(srq_plugin_load("deltaloss", &s->handle, &err), &err);
    assert_ok(srq_options_create(s->handle.plugin, &s->options, &err), &err);
    assert_ok(srq_options_finish(s->options, NULL, NULL, &err), &err);
    assert_ok(s->handle.plugin->create(srq_host_services(), s->options, &s->self, &err), &err);
}

static void scorer_close(struct scorer *s)
{
    s->handle.plugin->destroy(srq_host_services(), s->self);
    srq_options_free(s->options);
    srq_plugin_unload(&s->handle);
}

enum { LAYERS_MAX = 64, TOKENS_MAX = 256 };

struct data {
    struct srq_samples samples;
    int32_t ids[TOKENS_MAX];
};

/* The ids that tests/reference/deltaloss_reference.py takes. */
static void make_ids(struct data *d, const struct srq_model *m, int samples, int seq)
{
    int64_t vocab = srq_model_info(m)->vocab;

    for (int64_t i = 0; i < samples * seq; i++)
        d->ids[i] = (int32_t)((i * i * 7 + i * 31 + i / 5) % vocab);
    d->samples = (struct srq_samples){ .count = samples, .seqlen = seq, .ids = d->ids };
}

static void run(const struct srq_model *m, struct srq_scoring_config cfg, const char *scheme, const struct data *d,
                double *score, double *loss)
{
    struct srq_scheme schemes[LAYERS_MAX] = { { .grid = SRQ_GRID_NONE } }, one;
    struct srq_error err = { 0 };
    struct srq_scoring *s;
    struct scorer scorer;

    scorer_open(&scorer);
    assert_ok(srq_scheme_parse(scheme, &one, &err), &err);
    for (int i = 0; i < srq_model_layer_count(m); i++) {
        schemes[i] = one;
        if (srq_model_layer(m, i)->block < 0)
            schemes[i] = srq_scheme_none();
    }
    cfg.model = m;
    cfg.plugin = scorer.handle.plugin;
    cfg.self = scorer.self;
    cfg.candidates = &one;
    cfg.candidate_count = 1;
    assert_ok(srq_scoring_create(&cfg, &s, &err), &err);
    assert_ok(srq_scoring_run(s, schemes, &d->samples, NULL, NULL, score, loss, &err), &err);
    srq_scoring_free(s);
    scorer_close(&scorer);
}

static void scores_are_those_of_pytorch(void **state)
{
    const char *top = getenv("top_srcdir");
    char path[4096], name[64], scheme[32];
    int samples, seq, batch, layers, cases = 0;
    double want_loss;
    FILE *f;

    (void)state;
    snprintf(path, sizeof(path), "%s/tests/reference/deltaloss_reference.txt", top != NULL ? top : ".");
    f = fopen(path, "r");
    assert_non_null(f);
    while (fscanf(f, "%63s %31s %d %d %d %d %lf", name, scheme, &samples, &seq, &batch, &layers, &want_loss) == 7) {
        struct srq_scoring_config cfg = { .nsamples = samples,
                                          .seq = seq,
                                          .batch = batch,
                                          .compute = SRQ_F32,
                                          .sweep = (samples + batch - 1) / batch * batch };
        double score[LAYERS_MAX], loss;
        struct data d;
        char *folder;
        struct srq_model *m = open_model(name, &folder);

        make_ids(&d, m, samples, seq);
        run(m, cfg, scheme, &d, score, &loss);
        assert_true(fabs(loss - want_loss) < 2e-5 * want_loss);
        for (int i = 0; i < layers; i++) {
            char layer[128];
            double want;

            assert_int_equal(fscanf(f, "%127s %lf", layer, &want), 2);
            assert_string_equal(layer, srq_model_layer(m, i)->name);
            if (fabs(score[i] - want) > 1e-3 * want)
                fail_msg("%s under %s scores %.9g, PyTorch's is %.9g", layer, scheme, score[i], want);
        }
        cases++;
        close_model(name, m, folder);
    }
    fclose(f);
    assert_int_equal(cases, 4);
}

/* Fewer block inputs kept at once is a matter of memory alone; and so is who computes what. */
static void scores_do_not_depend_on_sweeps_or_repetition(void **state)
{
    struct srq_scoring_config cfg = { .nsamples = 4, .seq = 32, .batch = 2, .sweep = 4, .compute = SRQ_F32 };
    double whole[LAYERS_MAX], halves[LAYERS_MAX], again[LAYERS_MAX], loss[3];
    struct data d;
    char *folder;
    struct srq_model *m = open_model("demo-lm", &folder);

    (void)state;
    make_ids(&d, m, 4, 32);
    run(m, cfg, "w3g64", &d, whole, &loss[0]);
    run(m, cfg, "w3g64", &d, again, &loss[1]);
    cfg.sweep = 2;
    run(m, cfg, "w3g64", &d, halves, &loss[2]);
    for (int i = 0; i < srq_model_layer_count(m); i++) {
        assert_true(whole[i] == again[i]);
        assert_true(whole[i] == halves[i]);
        assert_true(whole[i] > 0);
    }
    assert_true(loss[0] == loss[1] && loss[0] == loss[2]);
    close_model("demo-lm", m, folder);
}

static void padding_is_not_predicted(void **state)
{
    struct srq_scoring_config cfg = { .nsamples = 2, .seq = 24, .batch = 2, .sweep = 2, .compute = SRQ_F32 };
    struct srq_scoring_config short_cfg = { .nsamples = 2, .seq = 16, .batch = 2, .sweep = 2, .compute = SRQ_F32 };
    double padded[LAYERS_MAX], plain[LAYERS_MAX], loss[2];
    uint8_t mask[48];
    struct data d, cut;
    char *folder;
    struct srq_model *m = open_model("demo-lm", &folder);

    (void)state;
    make_ids(&d, m, 2, 24);
    cut = d;
    for (int i = 0; i < 48; i++)
        mask[i] = i % 24 < 16;
    for (int i = 0; i < 32; i++)
        cut.ids[i] = d.ids[i / 16 * 24 + i % 16];
    d.samples.ids = d.ids;
    d.samples.mask = mask;
    cut.samples = (struct srq_samples){ .count = 2, .seqlen = 16, .ids = cut.ids };
    run(m, cfg, "w3g64", &d, padded, &loss[0]);
    run(m, short_cfg, "w3g64", &cut, plain, &loss[1]);
    assert_true(fabs(loss[0] - loss[1]) < 1e-5);
    for (int i = 0; i < srq_model_layer_count(m); i++)
        assert_true(fabs(padded[i] - plain[i]) < 1e-3 * plain[i]);
    close_model("demo-lm", m, folder);
}

/* Scores in bf16 arithmetic rank candidates as those in F32 do. */
static void scores_in_bf16_are_close(void **state)
{
    struct srq_scoring_config cfg = { .nsamples = 2, .seq = 64, .batch = 2, .sweep = 2, .compute = SRQ_F32 };
    double f32[LAYERS_MAX], bf16[LAYERS_MAX], loss[2];
    struct data d;
    char *folder;
    struct srq_model *m = open_model("demo-lm", &folder);

    (void)state;
    make_ids(&d, m, 2, 64);
    run(m, cfg, "w4g64", &d, f32, &loss[0]);
    cfg.compute = SRQ_BF16;
    run(m, cfg, "w4g64", &d, bf16, &loss[1]);
    assert_true(fabs(loss[0] - loss[1]) < 0.02 * loss[0]);
    for (int i = 0; i < srq_model_layer_count(m); i++)
        assert_true(fabs(bf16[i] - f32[i]) < 0.1 * f32[i]);
    close_model("demo-lm", m, folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heads_gradient_is_that_of_finite_differences),
        cmocka_unit_test(scores_are_those_of_pytorch),
        cmocka_unit_test(scores_do_not_depend_on_sweeps_or_repetition),
        cmocka_unit_test(padding_is_not_predicted),
        cmocka_unit_test(scores_in_bf16_are_close),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
