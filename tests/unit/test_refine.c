/* Tuning scales end to end: its gradient against finite differences of the evaluator's divergence, resumes, what is
 * tuned. */
#include "tests/unit/test.h"
#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/eval/evaluator.h"
#include "core/grid/round_plain.h"
#include "core/tune/refine.h"

#include <math.h>

#define SEQ 24

struct bed {
    struct srq_model *model;
    struct srq_scheme *schemes;
    struct srq_codes *codes;
    struct srq_samples samples;
    int layers;
};

static void bed_open(struct bed *b, const char *scheme, int64_t samples)
{
    const char *top = getenv("top_srcdir");
    char *folder = srq_asprintf("%s/share/models/demo-lm", top != NULL ? top : ".");
    struct srq_error err = { 0 };

    memset(b, 0, sizeof(*b));
    assert_ok(srq_model_open(folder, true, &b->model, &err), &err);
    srq_free(folder);
    b->layers = srq_model_layer_count(b->model);
    b->schemes = srq_calloc((size_t)b->layers, sizeof(*b->schemes));
    b->codes = srq_calloc((size_t)b->layers, sizeof(*b->codes));
    for (int i = 0; i < b->layers; i++) {
        const struct srq_layer_info *l = srq_model_layer(b->model, i);
        struct srq_tensor w;

        assert_ok(srq_scheme_parse(scheme, &b->schemes[i], &err), &err);
        assert_ok(srq_model_weight(b->model, i, &w, &err), &err);
        assert_ok(srq_codes_alloc(l->out, l->in, &b->schemes[i], &b->codes[i], &err), &err);
        assert_ok(srq_round_plain(&w, l->name, &b->codes[i], &err), &err);
    }
    b->samples.count = samples;
    b->samples.seqlen = SEQ;
    b->samples.ids = srq_calloc((size_t)(samples * SEQ), sizeof(*b->samples.ids));
    for (int64_t i = 0; i < samples * SEQ; i++)
        b->samples.ids[i] = (int32_t)(srq_rng_uniform(5, 5, (uint64_t)i) * (double)srq_model_info(b->model)->vocab);
}

static void bed_close(struct bed *b)
{
    for (int i = 0; i < b->layers; i++)
        srq_codes_fini(&b->codes[i]);
    srq_free(b->codes);
    srq_free(b->schemes);
    srq_free(b->samples.ids);
    srq_model_close(b->model);
}

static int codes_of(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct bed *b = ctx;

    (void)err;
    *out = &b->codes[layer];
    return 0;
}

static double divergence(struct bed *b, struct srq_eval *e)
{
    struct srq_eval_weights weights = { b, codes_of };
    struct srq_eval_result r;
    struct srq_error err = { 0 };

    assert_ok(srq_eval_run(e, &weights, NULL, NULL, &r, &err), &err);
    return r.kl;
}

/* One step on one sample: what is left in the first moments is a tenth of the gradient. */
static void the_gradient_is_that_of_finite_differences(const char *scheme)
{
    struct bed b;
    struct srq_refine_config cfg = {
        .nsamples = 2, .seq = SEQ, .batch = 1, .epochs = 1, .seed = 3, .compute = SRQ_F32
    };
    struct srq_eval_config one = { .windows = 1 };
    struct srq_eval_result before;
    struct srq_refine_outcome outcome;
    struct srq_refine_state saved;
    struct srq_error err = { 0 };
    struct srq_refine *r;
    struct srq_eval *e;
    const float *m;
    size_t groups;
    int looked = 0;
    const struct srq_refine_caller caller = { &b, codes_of, NULL };

    bed_open(&b, scheme, 2);
    cfg.model = b.model;
    cfg.schemes = b.schemes;
    assert_ok(srq_refine_create(&cfg, &r, &err), &err);
    assert_ok(srq_refine_run(r, &b.samples, &caller, NULL, &outcome, &err), &err);
    assert_int_equal(outcome.steps, 1);
    srq_refine_save(r, &saved);
    (void)srq_refine_scales(r, &groups);
    assert_int_equal(saved.parts[1].len, 3 * groups * sizeof(float));
    m = (const float *)saved.parts[1].data + groups;
    assert_ok(srq_eval_create(b.model, NULL, &b.samples, &one, &e, &err), &err);
    assert_ok(srq_eval_reference(e, NULL, &before, &err), &err);
    for (int i = 0; i < b.layers; i += 5) {
        struct srq_codes *c = &b.codes[i];
        int64_t at = srq_refine_offset(b.model, b.schemes, i), most = 0;
        double up, down, step = 0.02, slope;
        float scale;

        for (int64_t g = 0; g < c->groups.count; g++)
            most = fabsf(m[at + g]) > fabsf(m[at + most]) ? g : most;
        scale = c->scale[most];
        c->scale[most] = (float)((double)scale * exp(step));
        up = divergence(&b, e);
        c->scale[most] = (float)((double)scale * exp(-step));
        down = divergence(&b, e);
        c->scale[most] = scale;
        slope = (up - down) / (2 * step);
        assert_true(fabs(10 * (double)m[at + most] - slope) < 0.03 * fabs(slope) + 2e-5);
        looked++;
    }
    assert_true(looked > 5);
    srq_eval_free(e);
    srq_refine_free(r);
    bed_close(&b);
}

static void gradients_of_symmetric_scales_are_those_of_finite_differences(void **state)
{
    (void)state;
    the_gradient_is_that_of_finite_differences("w3g64");
}

static void gradients_of_scales_with_zero_points_are_those_of_finite_differences(void **state)
{
    (void)state;
    the_gradient_is_that_of_finite_differences("w4g128z");
}

static int stop_at_three(void *ctx, int64_t step, int64_t steps)
{
    (void)ctx;
    (void)steps;
    return step == 3 ? -SRQ_ECANCELED : 0;
}

static void a_resume_gives_the_scales_of_an_undisturbed_run(void **state)
{
    struct bed bed;
    struct srq_refine_config cfg = {
        .nsamples = 9, .seq = SEQ, .batch = 2, .epochs = 2, .seed = 3, .compute = SRQ_F32
    };
    const struct srq_refine_caller quiet = { &bed, codes_of, NULL }, stop = { &bed, codes_of, stop_at_three };
    struct srq_refine_outcome whole, rest;
    struct srq_refine_state saved;
    struct srq_error err = { 0 };
    struct srq_refine *a, *b, *c;
    const float *x, *y;
    size_t n, k, len;
    struct srq_part part;
    char *bytes;

    (void)state;
    bed_open(&bed, "w2g64", 9);
    cfg.model = bed.model;
    cfg.schemes = bed.schemes;
    assert_ok(srq_refine_create(&cfg, &a, &err), &err);
    assert_ok(srq_refine_run(a, &bed.samples, &quiet, NULL, &whole, &err), &err);
    assert_int_equal(whole.steps, 8);
    assert_true(whole.kept && whole.loss_last < whole.loss_first);
    assert_ok(srq_refine_create(&cfg, &b, &err), &err);
    assert_int_equal(srq_refine_run(b, &bed.samples, &stop, NULL, &rest, &err), -SRQ_ECANCELED);
    srq_refine_save(b, &saved);
    len = saved.parts[0].len + saved.parts[1].len;
    bytes = srq_malloc(len);
    part = (struct srq_part){ bytes, len };
    memcpy(bytes, saved.parts[0].data, saved.parts[0].len);
    memcpy(bytes + saved.parts[0].len, saved.parts[1].data, saved.parts[1].len);
    assert_ok(srq_refine_create(&cfg, &c, &err), &err);
    assert_ok(srq_refine_run(c, &bed.samples, &quiet, &part, &rest, &err), &err);
    x = srq_refine_scales(a, &n);
    y = srq_refine_scales(c, &k);
    assert_int_equal(n, k);
    assert_memory_equal(x, y, n * sizeof(*x));
    assert_true(rest.loss_first == whole.loss_first && rest.loss_last == whole.loss_last);
    part.len -= 4;
    for (size_t i = 0; i < n; i++) /* as exports store them */
        assert_true(x[i] == srq_f16_to_f32(srq_f32_to_f16(x[i])) && x[i] != 0);
    assert_refused(srq_refine_run(c, &bed.samples, &quiet, &part, &rest, &err), -SRQ_EFORMAT, &err,
                   "is not one of these scales");
    srq_free(bytes);
    srq_refine_free(a);
    srq_refine_free(b);
    srq_refine_free(c);
    bed_close(&bed);
}

static void only_integers_with_groups_in_blocks_are_tuned(void **state)
{
    static const struct srq_layer_info inside = { .name = "b", .block = 0, .out = 64, .in = 64 };
    static const struct srq_layer_info outside = { .name = "lm_head", .block = -1, .out = 64, .in = 64 };
    static const struct {
        const char *scheme;
        bool tuned;
    } rows[] = { { "w4g32", true },  { "w2g64z", true }, { "w8", true },   { "w4gt", false },
                 { "mxfp4", false }, { "nvfp4", false }, { "fp8", false }, { "bf16", false } };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct srq_error err = { 0 };
        struct srq_scheme s;

        assert_ok(srq_scheme_parse(rows[i].scheme, &s, &err), &err);
        assert_int_equal(srq_refine_tunes(&inside, &s), rows[i].tuned);
        assert_false(srq_refine_tunes(&outside, &s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_symmetric_scales_are_those_of_finite_differences),
        cmocka_unit_test(gradients_of_scales_with_zero_points_are_those_of_finite_differences),
        cmocka_unit_test(a_resume_gives_the_scales_of_an_undisturbed_run),
        cmocka_unit_test(only_integers_with_groups_in_blocks_are_tuned),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
