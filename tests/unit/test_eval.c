/* Evaluation: scores of single positions against their definition, the demo model against PyTorch's figures, and the
 * ways in which a run may be cut, resumed and stopped. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/eval/evaluator.h"
#include "core/eval/npy.h"
#include "core/eval/scores.h"
#include "core/math/team.h"
#include "tests/interop/round_plainly.h"
#include "tests/unit/math_start.h"

#include <math.h>
#include <unistd.h>

static const char *top_srcdir(void)
{
    const char *top = getenv("top_srcdir");

    return top != NULL ? top : ".";
}

/* ---- single positions -------------------------------------------------------------------------------------------- */

/* log softmax by definition, in double. */
static double log_p(const float *z, int64_t n, int64_t i)
{
    double top = -INFINITY, sum = 0;

    for (int64_t k = 0; k < n; k++)
        top = (double)z[k] > top ? (double)z[k] : top;
    for (int64_t k = 0; k < n; k++)
        sum += exp((double)z[k] - top);
    return (double)z[i] - top - log(sum);
}

static void random_logits(float *z, int64_t n, uint64_t stream, float scale)
{
    for (int64_t i = 0; i < n; i++)
        z[i] = scale * (float)(srq_rng_uniform(5, stream, (uint64_t)i) - 0.5);
}

static void losses_and_divergences_follow_their_definition(void **state)
{
    static const int64_t sizes[] = { 1, 3, 16, 1000, 1025, 5003 };
    float p[5003], q[5003];

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        int64_t n = sizes[s], top_p = 0, top_q = 0;
        double kl = 0;
        bool same;

        random_logits(p, n, s, 24);
        random_logits(q, n, s + 100, 24);
        for (int64_t i = 0; i < n; i++) {
            double lp = log_p(p, n, i);

            kl += exp(lp) * (lp - log_p(q, n, i));
            top_p = p[i] > p[top_p] ? i : top_p;
            top_q = q[i] > q[top_q] ? i : top_q;
        }
        assert_true(fabs(srq_token_loss(p, n, (int32_t)(n / 2)) + log_p(p, n, n / 2)) < 1e-5);
        assert_true(fabs(srq_token_kl(p, q, n, &same) - kl) < 1e-5 * (1 + kl));
        assert_int_equal(same, top_p == top_q);
        assert_true(srq_token_kl(p, p, n, &same) == 0 && same);
    }
}

static void logits_that_are_not_finite_give_no_score(void **state)
{
    float z[40];

    (void)state;
    random_logits(z, 40, 1, 4);
    z[17] = NAN;
    assert_false(isfinite(srq_token_loss(z, 40, 3)));
    z[17] = INFINITY;
    assert_false(isfinite(srq_token_loss(z, 40, 3)));
}

static void npy_file_has_the_documented_bytes(void **state)
{
    const float rows[6] = { 1, 2, 3, 4, 5, 6 };
    char dir[] = "/tmp/srq-test-npy-XXXXXX", path[128], *data;
    struct srq_error err = { 0 };
    struct srq_npy *f;
    size_t len;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/a.npy", dir);
    assert_ok(srq_npy_create(path, 2, 3, &f, &err), &err);
    assert_ok(srq_npy_add(f, rows, 1, &err), &err);
    assert_refused(srq_npy_finish(f, &err), -SRQ_ESTATE, &err, "1 of 2 rows");
    assert_false(srq_path_exists(path));
    assert_ok(srq_npy_add(f, rows + 3, 1, &err), &err);
    assert_ok(srq_npy_finish(f, &err), &err);
    srq_npy_free(f);
    assert_ok(srq_read_file(path, 4096, &data, &len, &err), &err);
    assert_int_equal(len, 128 + sizeof(rows));
    assert_memory_equal(data, "\x93NUMPY\x01\x00\x76\x00", 10);
    assert_non_null(strstr(data + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
    assert_int_equal(data[127], '\n');
    assert_memory_equal(data + 128, rows, sizeof(rows));
    srq_free(data);
    assert_ok(srq_remove_tree(dir, &err), &err);
}

/* ---- the demo model ---------------------------------------------------------------------------------------------- */

struct fixture {
    struct srq_model *model;
    struct srq_samples samples;
    struct srq_scheme scheme;
    struct srq_codes codes;
    double loss, rounded_loss, rounded_kl, rounded_top1; /* PyTorch's, of tests/reference/eval_reference.txt */
    int64_t stop_at;
};

static void read_reference(struct fixture *f)
{
    char path[1024], *text, *at, *save = NULL;
    struct srq_error err = { 0 };
    size_t len;

    snprintf(path, sizeof(path), "%s/tests/reference/eval_reference.txt", top_srcdir());
    assert_ok(srq_read_file(path, 1 << 20, &text, &len, &err), &err);
    for (at = strtok_r(text, "\n", &save); at != NULL; at = strtok_r(NULL, "\n", &save)) {
        if (strncmp(at, "shape ", 6) == 0) {
            f->samples.count = strtol(at + 6, &at, 10);
            f->samples.seqlen = strtol(at, NULL, 10);
        } else if (strncmp(at, "ids ", 4) == 0) {
            f->samples.ids = calloc((size_t)(f->samples.count * f->samples.seqlen), sizeof(int32_t));
            at += 4;
            for (int64_t i = 0; i < f->samples.count * f->samples.seqlen; i++)
                f->samples.ids[i] = (int32_t)strtol(at, &at, 10);
        } else {
            sscanf(at, "loss %lf", &f->loss);
            sscanf(at, "rounded_loss %lf", &f->rounded_loss);
            sscanf(at, "rounded_kl %lf", &f->rounded_kl);
            sscanf(at, "rounded_top1 %lf", &f->rounded_top1);
        }
    }
    srq_free(text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct srq_error err = { 0 };
    char path[1024];

    snprintf(path, sizeof(path), "%s/share/models/demo-lm", top_srcdir());
    if (srq_model_open(path, true, &f->model, &err) != 0 || srq_scheme_parse("w3g32", &f->scheme, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    read_reference(f);
    *state = f;
    return f->samples.ids != NULL && f->rounded_top1 > 0 ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    srq_codes_fini(&f->codes);
    free(f->samples.ids);
    srq_model_close(f->model);
    free(f);
    return 0;
}

static int rounded_codes(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct fixture *f = ctx;

    srq_codes_fini(&f->codes);
    *out = &f->codes;
    return round_plainly(f->model, layer, &f->scheme, &f->codes, err);
}

static void figures_are_those_of_another_implementation(void **state)
{
    struct fixture *f = *state;
    const struct srq_eval_weights rounded = { f, rounded_codes };
    struct srq_eval_config cfg = { 0 };
    struct srq_eval_result before, after;
    struct srq_error err = { 0 };
    struct srq_eval *e;

    assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
    assert_ok(srq_eval_reference(e, NULL, &before, &err), &err);
    assert_int_equal(before.tokens, 4 * 47);
    assert_true(fabs(before.loss - f->loss) < 2e-5);
    assert_true(fabs(before.perplexity - exp(f->loss)) < 2e-3);
    assert_true(isnan(before.kl) && isnan(before.top1));
    assert_ok(srq_eval_run(e, &rounded, NULL, NULL, &after, &err), &err);
    assert_true(fabs(after.loss - f->rounded_loss) < 1e-4);
    assert_true(fabs(after.kl - f->rounded_kl) < 2e-4);
    assert_true(fabs(after.top1 - f->rounded_top1) < 1.5 / (4 * 47));
    srq_eval_free(e);
}

/* Inputs of layers rounded token by token: loss and divergence of numpy's model in double
 * (tests/reference/act_reference.py). What lies between two codes falls to either side with F32's last bits, and all
 * that follows with it: the divergence stays, while the loss may move by its spread over so many tokens. */
static void figures_with_rounded_inputs_are_those_of_another_implementation(void **state)
{
    struct fixture *f = *state;
    const struct srq_scheme before = f->scheme;
    const struct srq_eval_weights rounded = { f, rounded_codes };
    struct srq_eval_config cfg = { .inputs = true };
    char path[1024], *text, *save = NULL;
    struct srq_error err = { 0 };
    int rows = 0;
    size_t len;

    snprintf(path, sizeof(path), "%s/tests/reference/act_reference.txt", top_srcdir());
    assert_ok(srq_read_file(path, 1 << 20, &text, &len, &err), &err);
    for (char *at = strtok_r(text, "\n", &save); at != NULL; at = strtok_r(NULL, "\n", &save)) {
        struct srq_eval_result original, r;
        struct srq_eval *e;
        char scheme[16];
        double loss, kl;

        if (sscanf(at, "w%14s %lf %lf", scheme + 1, &loss, &kl) != 3)
            continue;
        scheme[0] = 'w';
        assert_ok(srq_scheme_parse(scheme, &f->scheme, &err), &err);
        assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
        assert_ok(srq_eval_reference(e, NULL, &original, &err), &err);
        assert_true(fabs(original.loss - f->loss) < 2e-5); /* nothing of the original is rounded */
        assert_ok(srq_eval_run(e, &rounded, NULL, NULL, &r, &err), &err);
        print_message("%s: loss %.6f, %.6f elsewhere; kl %.6f, %.6f\n", scheme, r.loss, loss, r.kl, kl);
        assert_true(fabs(r.kl - kl) < 0.03 * kl);
        assert_true(fabs(r.loss - loss) < 2 * sqrt(2 * kl / (double)r.tokens));
        srq_eval_free(e);
        rows++;
    }
    assert_int_equal(rows, 3);
    srq_free(text);
    f->scheme = before;
}

static void model_as_stored_is_its_own_reference(void **state)
{
    struct fixture *f = *state;
    struct srq_eval_config cfg = { 0 };
    struct srq_eval_result a, b;
    struct srq_error err = { 0 };
    struct srq_eval *e;

    assert_ok(srq_eval_create(f->model, f->model, &f->samples, &cfg, &e, &err), &err);
    assert_ok(srq_eval_reference(e, NULL, &a, &err), &err);
    assert_ok(srq_eval_run(e, NULL, NULL, NULL, &b, &err), &err);
    assert_true(a.loss == b.loss);
    assert_true(b.kl == 0);
    assert_true(b.top1 == 1);
    srq_eval_free(e);
}

/* Batch and chunk sizes change memory, not figures. */
static void cutting_the_work_changes_no_figure(void **state)
{
    static const int64_t cut[][2] = { { 1, 7 }, { 3, 48 }, { 4, 1000 } };
    struct fixture *f = *state;
    struct srq_error err = { 0 };

    for (size_t i = 0; i < 3; i++) {
        struct srq_eval_config cfg = { .batch = cut[i][0], .logit_rows = cut[i][1] };
        struct srq_eval_result r;
        struct srq_eval *e;

        assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
        assert_ok(srq_eval_run(e, NULL, NULL, NULL, &r, &err), &err);
        assert_true(fabs(r.loss - f->loss) < 2e-5);
        srq_eval_free(e);
    }
}

static void reference_states_survive_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    const struct srq_eval_weights rounded = { f, rounded_codes };
    struct srq_eval_config cfg = { .windows = 2 };
    struct srq_eval_result first, a, b;
    struct srq_error err = { 0 };
    struct srq_eval *e, *resumed;
    const void *states;
    size_t bytes;

    assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
    assert_null(srq_eval_kept(e, &bytes));
    assert_ok(srq_eval_reference(e, NULL, &first, &err), &err);
    states = srq_eval_kept(e, &bytes);
    assert_int_equal(bytes, 2 * 48 * 256 * sizeof(float));
    assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &resumed, &err), &err);
    assert_refused(srq_eval_keep(resumed, states, bytes - 4, &err), -SRQ_EINVAL, &err, "reference states");
    assert_ok(srq_eval_keep(resumed, states, bytes, &err), &err);
    assert_ok(srq_eval_run(e, &rounded, NULL, NULL, &a, &err), &err);
    assert_ok(srq_eval_run(resumed, &rounded, NULL, NULL, &b, &err), &err);
    assert_true(a.loss == b.loss && a.kl == b.kl && a.top1 == b.top1);
    srq_eval_free(e);
    srq_eval_free(resumed);
}

static void padding_is_not_scored(void **state)
{
    struct fixture *f = *state;
    struct srq_samples samples = f->samples;
    struct srq_eval_config cfg = { 0 };
    struct srq_eval_result all, one;
    struct srq_error err = { 0 };
    struct srq_eval *e;

    samples.mask = calloc((size_t)(samples.count * samples.seqlen), 1);
    memset(samples.mask, 1, (size_t)samples.seqlen);
    memset(samples.mask + samples.seqlen, 1, 10);
    assert_ok(srq_eval_create(f->model, NULL, &samples, &cfg, &e, &err), &err);
    assert_ok(srq_eval_run(e, NULL, NULL, NULL, &one, &err), &err);
    assert_int_equal(one.tokens, 47 + 9);
    memset(samples.mask, 0, (size_t)(samples.count * samples.seqlen));
    assert_refused(srq_eval_run(e, NULL, NULL, NULL, &all, &err), -SRQ_EINVAL, &err, "padding");
    srq_eval_free(e);
    free(samples.mask);
}

static void logits_are_written_for_every_position(void **state)
{
    struct fixture *f = *state;
    struct srq_eval_config cfg = { .windows = 2, .logit_rows = 31 };
    char dir[] = "/tmp/srq-test-logits-XXXXXX", path[128], *data;
    struct srq_error err = { 0 };
    struct srq_eval_result r;
    struct srq_eval *e;
    double loss = 0;
    size_t len;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/z.npy", dir);
    assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
    assert_ok(srq_eval_run(e, NULL, path, NULL, &r, &err), &err);
    assert_ok(srq_read_file(path, 1 << 26, &data, &len, &err), &err);
    assert_int_equal(len, 128 + 2 * 48 * 2048 * sizeof(float));
    for (int64_t t = 0; t < 2 * 48; t++)
        if (t % 48 != 47)
            loss -= log_p((const float *)(const void *)(data + 128) + t * 2048, 2048, f->samples.ids[t + 1]);
    assert_true(fabs(loss / (2 * 47) - r.loss) < 1e-5);
    srq_free(data);
    srq_eval_free(e);
    assert_ok(srq_remove_tree(dir, &err), &err);
}

static int stop(void *ctx, int64_t done, int64_t total)
{
    struct fixture *f = ctx;

    assert_true(done <= total);
    assert_int_equal(total, 4 * 7);
    return done >= f->stop_at ? -SRQ_ECANCELED : 0;
}

static void a_run_can_be_stopped_anywhere(void **state)
{
    static const int64_t at[] = { 1, 11, 25 };
    struct fixture *f = *state;
    const struct srq_eval_events events = { f, stop };
    struct srq_eval_config cfg = { .batch = 1, .logit_rows = 48 };
    struct srq_eval_result r;
    struct srq_error err = { 0 };
    struct srq_eval *e;

    assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        f->stop_at = at[i];
        assert_refused(srq_eval_reference(e, &events, &r, &err), -SRQ_ECANCELED, &err, "stopped");
    }
    f->stop_at = 29;
    assert_ok(srq_eval_reference(e, &events, &r, &err), &err);
    srq_eval_free(e);
}

static uint64_t now, peak;

static bool count_allocation(size_t size, void *ctx)
{
    (void)ctx;
    if (size > peak)
        peak = size;
    now++;
    return true;
}

static void plan_covers_the_largest_allocation(void **state)
{
    struct fixture *f = *state;
    struct srq_eval_config cfg = { 0 };
    struct srq_eval_memory plan, none;
    struct srq_eval_result r;
    struct srq_error err = { 0 };
    struct srq_eval *e;

    assert_ok(srq_eval_footprint(f->model, &cfg, 4, 48, true, &plan, &err), &err);
    assert_int_equal(plan.hidden, 4 * 48 * 256 * sizeof(float));
    assert_int_equal(plan.reference, plan.hidden);
    assert_true(plan.tape > 0 && plan.block > 0 && plan.head > 0);
    assert_int_equal(plan.logits, 2 * 4 * 48 * 2048 * sizeof(float));
    assert_true(plan.total >= plan.hidden + plan.reference + plan.logits);
    assert_refused(srq_eval_footprint(f->model, &cfg, 4, 1, true, &none, &err), -SRQ_EINVAL, &err, "1 tokens");
    peak = 0;
    srq_set_alloc_hook(count_allocation, NULL);
    assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
    assert_ok(srq_eval_run(e, NULL, NULL, NULL, &r, &err), &err);
    srq_set_alloc_hook(NULL, NULL);
    assert_true(now > 0);
    assert_true(peak <= plan.total);
    srq_eval_free(e);
}

static uint64_t fail_after;

static bool fail_allocation(size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    return fail_after-- != 0;
}

/* Whichever allocation fails, the run says so and the next one works. */
static void want_of_memory_is_reported(void **state)
{
    struct fixture *f = *state;
    struct srq_eval_config cfg = { .windows = 1 };
    struct srq_eval_result r;
    struct srq_error err = { 0 };
    struct srq_eval *e;

    assert_ok(srq_eval_create(f->model, NULL, &f->samples, &cfg, &e, &err), &err);
    assert_ok(srq_eval_reference(e, NULL, &r, &err), &err);
    for (uint64_t n = 0; n < 12; n++) {
        int rc;

        fail_after = n;
        srq_set_alloc_hook(fail_allocation, NULL);
        rc = srq_eval_run(e, NULL, NULL, NULL, &r, &err);
        srq_set_alloc_hook(NULL, NULL);
        assert_int_equal(rc, -SRQ_ENOMEM);
    }
    assert_ok(srq_eval_run(e, NULL, NULL, NULL, &r, &err), &err);
    srq_eval_free(e);
}

#define DEMO_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_and_divergences_follow_their_definition),
        cmocka_unit_test(logits_that_are_not_finite_give_no_score),
        cmocka_unit_test(npy_file_has_the_documented_bytes),
        DEMO_TEST(figures_are_those_of_another_implementation),
        DEMO_TEST(figures_with_rounded_inputs_are_those_of_another_implementation),
        DEMO_TEST(model_as_stored_is_its_own_reference),
        DEMO_TEST(cutting_the_work_changes_no_figure),
        DEMO_TEST(reference_states_survive_a_checkpoint),
        DEMO_TEST(padding_is_not_scored),
        DEMO_TEST(logits_are_written_for_every_position),
        DEMO_TEST(a_run_can_be_stopped_anywhere),
        DEMO_TEST(plan_covers_the_largest_allocation),
        DEMO_TEST(want_of_memory_is_reported),
    };

    return cmocka_run_group_tests_name("eval", tests, math_start, math_stop);
}
