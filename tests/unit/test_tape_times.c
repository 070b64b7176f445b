/* What the tape says of the work of its operations: FLOPs and bytes that follow from shapes. */
#include "tests/unit/test.h"
#include "tests/unit/math_start.h"

#include "core/tape/ops.h"
#include "core/tape/times.h"

enum { ROWS = 6, IN = 8, OUT = 4 };

static uint8_t memory[(ROWS + OUT) * IN * sizeof(float)]; /* zeros of either type: an input, and a weight */

static struct srq_tape *open_tape(enum srq_dtype dtype)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;

    assert_ok(srq_tape_create((size_t)1 << 20, dtype, false, &t, &err), &err);
    srq_tape_timing(t, true);
    return t;
}

static struct srq_tape_time times_of(struct srq_tape *t, enum srq_tape_kind kind)
{
    struct srq_tape_time all[SRQ_TAPE_KINDS];

    assert_int_equal(srq_tape_times(t, all, SRQ_TAPE_KINDS, false), SRQ_TAPE_KINDS);
    return all[kind];
}

static void assert_work(struct srq_tape_work work, double flops, double bytes)
{
    if (work.flops != flops || work.bytes != bytes)
        fail_msg("%g FLOPs and %g bytes, wanted %g and %g", work.flops, work.bytes, flops, bytes);
}

static void hear(void *ctx, int64_t row, int64_t rows, float *grad)
{
    (void)ctx, (void)row, (void)rows, (void)grad;
}

static struct srq_var *input(struct srq_tape *t)
{
    const struct srq_tensor x = srq_tensor_2d(memory, srq_tape_dtype(t), ROWS, IN);

    return srq_tape_input(t, &x, true);
}

/* y [ROWS, cols] is to become 0. */
static void go_back(struct srq_tape *t, struct srq_var *y, int64_t cols)
{
    const struct srq_tensor target = srq_tensor_2d(memory, srq_tape_dtype(t), ROWS, cols);
    struct srq_error err = { 0 };

    assert_ok(srq_tape_backward(t, srq_op_mse(t, y, &target, NULL), &err), &err);
}

/* All three products read two of x [6, 8], W [4, 8] and y [6, 4] and write the third; the weight's gradient is F32. */
static void products_move_their_operands_and_result_once(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        enum srq_dtype dtype = bf16 ? SRQ_BF16 : SRQ_F32;
        struct srq_tape *t = open_tape(dtype);
        struct srq_linear l = { .name = "l", .out = OUT, .in = IN, .sink = hear };
        double size = bf16 ? 2 : 4;

        l.weight = srq_tensor_2d(memory + ROWS * IN * sizeof(float), dtype, OUT, IN);
        go_back(t, srq_op_linear(t, input(t), &l), OUT);
        assert_work(times_of(t, SRQ_TAPE_LINEAR).forward, 2 * 6 * 4 * 8, size * (48 + 32 + 24));
        assert_work(times_of(t, SRQ_TAPE_LINEAR).backward, 2 * 6 * 4 * 8, size * (48 + 32 + 24));
        assert_work(times_of(t, SRQ_TAPE_WEIGHT_GRAD).backward, 2 * 6 * 4 * 8, size * (48 + 24) + 4 * 32);
        srq_tape_free(t);
    }
}

static void a_pass_over_elements_counts_what_it_reads_and_writes(void **state)
{
    struct srq_tape *t = open_tape(SRQ_F32);

    (void)state;
    go_back(t, srq_op_scale(t, input(t), 2), IN);
    assert_work(times_of(t, SRQ_TAPE_SCALE).forward, 48, 4 * 2 * 48);
    assert_work(times_of(t, SRQ_TAPE_SCALE).backward, 48, 4 * 2 * 48);
    assert_work(times_of(t, SRQ_TAPE_MSE).forward, 4 * 48, 4 * 3 * 48); /* its gradient is made at once */
    assert_work(times_of(t, SRQ_TAPE_MSE).backward, 0, 0);
    srq_tape_free(t);
}

/* What is handed on is no work; what is added to another gradient is. */
static void a_gradient_is_work_only_where_it_is_added(void **state)
{
    struct srq_tape *t = open_tape(SRQ_F32);
    struct srq_var *x = input(t);

    (void)state;
    go_back(t, srq_op_add(t, x, input(t)), IN);
    assert_work(times_of(t, SRQ_TAPE_ADD).forward, 48, 4 * 3 * 48);
    assert_work(times_of(t, SRQ_TAPE_ADD).backward, 0, 0);
    srq_tape_reset(t);
    x = input(t);
    go_back(t, srq_op_add(t, x, x), IN);
    assert_work(times_of(t, SRQ_TAPE_ADD).backward, 48, 4 * 3 * 48);
    srq_tape_free(t);
}

static void attention_counts_the_pairs_that_it_sees(void **state)
{
    const struct srq_attention a = { 1, ROWS, 2, 2, IN / 2, 0, .scale = 1 };
    struct srq_tape *t = open_tape(SRQ_F32);
    double pairs = ROWS * (ROWS + 1) / 2.0, sums = 2 * ROWS;

    (void)state;
    go_back(t, srq_op_attention(t, input(t), input(t), input(t), &a), IN);
    assert_work(times_of(t, SRQ_TAPE_ATTENTION).forward, 2 * 2 * pairs * IN, 4 * (4 * 48 + sums));
    assert_work(times_of(t, SRQ_TAPE_ATTENTION).backward, 5 * 2 * pairs * IN, 4 * (8 * 48 + sums));
    srq_tape_free(t);
}

static void nothing_is_counted_unless_it_is_timed(void **state)
{
    struct srq_tape *t = open_tape(SRQ_F32);

    (void)state;
    srq_tape_timing(t, false);
    go_back(t, srq_op_scale(t, input(t), 2), IN);
    srq_tape_account(t, SRQ_TAPE_STEP, false, srq_tape_clock(t), (struct srq_tape_work){ 1, 1 });
    assert_work(times_of(t, SRQ_TAPE_SCALE).forward, 0, 0);
    assert_work(times_of(t, SRQ_TAPE_STEP).forward, 0, 0);
    srq_tape_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_move_their_operands_and_result_once),
        cmocka_unit_test(a_pass_over_elements_counts_what_it_reads_and_writes),
        cmocka_unit_test(a_gradient_is_work_only_where_it_is_added),
        cmocka_unit_test(attention_counts_the_pairs_that_it_sees),
        cmocka_unit_test(nothing_is_counted_unless_it_is_timed),
    };

    return cmocka_run_group_tests_name("tape times", tests, math_start, math_stop);
}
