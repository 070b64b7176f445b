/* Statistics of a block's inputs against sums in double over what the taps of its layers see. */
#include "tests/unit/test.h"
#include "tests/unit/block_through.h"
#include "tests/unit/math_start.h"

#include "tests/unit/model_folder.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/tune/statistics.h"

#include <math.h>
#include <srq/plugin.h>

enum { SEQ = 300, LAYERS = 7, WIDEST = 40 }; /* more than one panel of tokens */

struct bed {
    char *folder;
    struct srq_model *model;
    struct srq_block *block;
    struct srq_tape *tape;
    float *x;
};

static void open_bed(struct bed *b)
{
    struct srq_error err = { 0 };

    b->folder = folder_of("llama-default");
    assert_ok(srq_model_open(b->folder, true, &b->model, &err), &err);
    assert_ok(srq_block_create(b->model, SRQ_F32, &b->block, &err), &err);
    assert_ok(srq_block_load(b->block, 1, &err), &err);
    assert_ok(srq_tape_create((size_t)64 << 20, SRQ_F32, false, &b->tape, &err), &err);
    srq_tape_record(b->tape, false);
    b->x = srq_malloc(SEQ * 32 * sizeof(float));
    for (int i = 0; i < SEQ * 32; i++)
        b->x[i] = (float)(srq_rng_uniform(1, 1, (uint64_t)i) - 0.3);
}

static void close_bed(struct bed *b)
{
    srq_free(b->x);
    srq_tape_free(b->tape);
    srq_block_free(b->block);
    srq_model_close(b->model);
    folder_remove(b->folder);
}

static void run(struct bed *b)
{
    struct srq_tensor x = srq_tensor_2d(b->x, SRQ_F32, SEQ, 32);
    struct srq_error err = { 0 };

    srq_tape_reset(b->tape);
    block_through(b->block, b->tape, srq_tape_input(b->tape, &x, false), 1, SEQ);
    assert_ok(srq_tape_error(b->tape, &err), &err);
}

struct seen {
    double max[WIDEST], mean[WIDEST], moment[WIDEST][WIDEST];
    int64_t tokens;
};

static void look(void *ctx, const struct srq_linear *l, const struct srq_tensor *x)
{
    struct seen *s = ctx;
    const float *v = x->data;

    (void)l;
    for (int64_t t = 0; t < x->shape[0]; t++, s->tokens++) {
        for (int64_t i = 0; i < x->shape[1]; i++) {
            double a = (double)v[t * x->shape[1] + i];

            s->max[i] = fmax(s->max[i], fabs(a));
            s->mean[i] += fabs(a);
            for (int64_t j = 0; j < x->shape[1]; j++)
                s->moment[i][j] += a * (double)v[t * x->shape[1] + j];
        }
    }
}

static void compare(const struct srq_input_statistics *got, const struct seen *want, int64_t in)
{
    assert_int_equal(got->tokens, want->tokens);
    for (int64_t i = 0; i < in; i++) {
        assert_true(fabs((double)got->max[i] - want->max[i]) < 1e-6);
        assert_true(fabs((double)got->mean[i] - want->mean[i] / (double)want->tokens) < 1e-5 * (1 + want->max[i]));
        for (int64_t j = 0; j < in; j++) {
            double m = want->moment[i][j] / (double)want->tokens;

            assert_true(fabs((double)got->hessian[i * in + j] - m) < 1e-4 * (want->max[i] * want->max[j] + 1e-3));
            assert_true(got->hessian[i * in + j] == got->hessian[j * in + i]);
        }
    }
}

static void test_all_layers(void **state)
{
    static struct seen seen[LAYERS];
    const uint32_t needs = SRQ_NEED_HESSIAN | SRQ_NEED_RANGES;
    struct srq_error err = { 0 };
    struct srq_statistics *s;
    struct bed b;

    (void)state;
    open_bed(&b);
    for (int i = 0; i < LAYERS; i++) {
        srq_block_linear(b.block, i)->tap = look;
        srq_block_linear(b.block, i)->tap_ctx = &seen[i];
    }
    run(&b);
    run(&b);
    for (int i = 0; i < LAYERS; i++)
        srq_block_linear(b.block, i)->tap = NULL;
    assert_ok(srq_statistics_create(b.model, needs, true, &s, &err), &err);
    assert_true(srq_statistics_bytes(b.model, needs, true) >= (3 * 32 * 32 + 40 * 40) * sizeof(float));
    srq_statistics_begin(s, b.block, NULL);
    run(&b);
    run(&b);
    srq_statistics_end(s);
    for (int i = 0; i < LAYERS; i++) {
        struct srq_input_statistics got, first;

        assert_null(srq_block_linear(b.block, i)->tap);
        assert_true(srq_statistics_get(s, i, &got));
        compare(&got, &seen[i], srq_block_linear(b.block, i)->in);
        assert_true(srq_statistics_get(s, 0, &first));
        assert_int_equal(got.hessian == first.hessian, i < 3); /* q, k and v read the same */
    }
    srq_statistics_free(s);
    close_bed(&b);
}

static void test_wanted(void **state)
{
    const bool wanted[LAYERS] = { [3] = true };
    struct srq_input_statistics got;
    struct srq_error err = { 0 };
    struct srq_statistics *s;
    struct srq_tensor x;
    struct bed b;

    (void)state;
    open_bed(&b);
    assert_ok(srq_statistics_create(b.model, SRQ_NEED_RANGES, false, &s, &err), &err);
    srq_statistics_begin(s, b.block, wanted);
    assert_false(srq_statistics_get(s, 3, &got)); /* nothing came yet */
    run(&b);
    assert_false(srq_statistics_get(s, 0, &got));
    assert_true(srq_statistics_get(s, 3, &got));
    assert_non_null(got.max);
    assert_null(got.hessian);
    x = srq_tensor_2d(b.x, SRQ_F32, SEQ, 32);
    srq_statistics_of_input(s, &x); /* forgets, and stops listening */
    assert_null(srq_block_linear(b.block, 3)->tap);
    assert_true(srq_statistics_get(s, 0, &got));
    assert_int_equal(got.tokens, SEQ);
    assert_false(srq_statistics_get(s, 3, &got));
    srq_statistics_free(s);
    assert_true(srq_statistics_bytes(b.model, 0, true) == 0);
    close_bed(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_layers),
        cmocka_unit_test(test_wanted),
    };

    return cmocka_run_group_tests(tests, math_start, math_stop);
}
