/* The loss that leaves the largest errors out: against sorting all errors in a plain way, on values with many ties,
 * with masks, in both dtypes. */
#include "test.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/math/team.h"
#include "core/tape/largest_errors.h"
#include "core/tape/ops.h"

#include <math.h>

/* ---- a plain implementation -------------------------------------------------------------------------------------- */

struct sample {
    int64_t rows, cols, n;
    enum srq_dtype dtype;
    void *x, *target;
    struct srq_tensor xt, tt;
    uint8_t *mask; /* NULL: none */
    bool *dropped; /* [n] */
    int64_t valid, drops;
};

static double value(const struct srq_tensor *t, int64_t i)
{
    float f;

    (void)srq_convert((const char *)t->data + (size_t)i * srq_dtype_size(t->dtype), t->dtype, &f, SRQ_F32, 1);
    return (double)f;
}

/* `levels` > 0: errors have so few values that most are ties. */
static struct sample *sample_make(int64_t rows, int64_t cols, enum srq_dtype dtype, int levels, bool masked)
{
    struct sample *s = srq_calloc(1, sizeof(*s));
    float *x, *y;

    s->rows = rows;
    s->cols = cols;
    s->n = rows * cols;
    s->dtype = dtype;
    x = srq_calloc((size_t)s->n, sizeof(*x));
    y = srq_calloc((size_t)s->n, sizeof(*y));
    for (int64_t i = 0; i < s->n; i++) {
        double u = srq_rng_uniform(9, 1, (uint64_t)i) - 0.5, e = srq_rng_uniform(9, 2, (uint64_t)i) - 0.5;

        y[i] = levels > 0 ? 1 : (float)u;
        x[i] = levels > 0 ? 1 + (float)(floor(e * levels) / 16) : (float)(u + e * e * e);
    }
    s->x = srq_calloc((size_t)s->n, srq_dtype_size(dtype));
    s->target = srq_calloc((size_t)s->n, srq_dtype_size(dtype));
    (void)srq_convert(x, SRQ_F32, s->x, dtype, s->n);
    (void)srq_convert(y, SRQ_F32, s->target, dtype, s->n);
    srq_free(x);
    srq_free(y);
    s->xt = srq_tensor_2d(s->x, dtype, rows, cols);
    s->tt = srq_tensor_2d(s->target, dtype, rows, cols);
    s->mask = masked ? srq_calloc((size_t)rows, 1) : NULL;
    for (int64_t r = 0; r < rows; r++) {
        bool on = srq_rng_uniform(9, 3, (uint64_t)r) < 0.7;

        if (masked)
            s->mask[r] = on;
        s->valid += !masked || on ? cols : 0;
    }
    s->dropped = srq_calloc((size_t)s->n, sizeof(*s->dropped));
    return s;
}

static void sample_free(struct sample *s)
{
    srq_free(s->x);
    srq_free(s->target);
    srq_free(s->mask);
    srq_free(s->dropped);
    srq_free(s);
}

struct ranked {
    float error;
    int64_t at;
};

static int by_error(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;

    if (p->error != q->error)
        return p->error < q->error ? 1 : -1;
    return p->at < q->at ? -1 : p->at > q->at;
}

/* Marks what is to be left out, by sorting everything. */
static void choose(struct sample *s, double share)
{
    struct ranked *all = srq_calloc((size_t)s->n, sizeof(*all));
    int64_t count = 0;

    for (int64_t i = 0; i < s->n; i++) {
        if (s->mask == NULL || s->mask[i / s->cols] != 0)
            all[count++] = (struct ranked){ fabsf((float)value(&s->xt, i) - (float)value(&s->tt, i)), i };
    }
    qsort(all, (size_t)count, sizeof(*all), by_error);
    s->drops = (int64_t)floor((double)count * share);
    s->drops = s->drops < 1 ? 1 : s->drops;
    s->drops = s->drops < count ? s->drops : count;
    for (int64_t i = 0; i < s->drops; i++)
        s->dropped[all[i].at] = true;
    srq_free(all);
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static void check_found(int64_t rows, int64_t cols, enum srq_dtype dtype, int levels, bool masked, double share)
{
    struct sample *s = sample_make(rows, cols, dtype, levels, masked);
    struct srq_error_matrix m = { &s->xt, &s->tt, s->mask, rows, cols };
    float *peaks = srq_calloc((size_t)srq_error_peaks(rows, cols), sizeof(*peaks));
    int64_t *found, n = 0;

    choose(s, share);
    found = srq_calloc((size_t)s->drops, sizeof(*found));
    assert_int_equal(srq_largest_errors(&m, s->drops, peaks, found), s->drops);
    for (int64_t i = 0; i < s->n; i++) {
        if (s->dropped[i])
            assert_int_equal(found[n++], i);
    }
    srq_free(peaks);
    srq_free(found);
    sample_free(s);
}

static void the_largest_errors_are_those_that_sorting_gives(void **state)
{
    (void)state;
    for (int masked = 0; masked < 2; masked++) {
        for (int levels = 0; levels < 40; levels += 13) { /* 0: hardly any ties; 13, 26, 39: nearly all */
            check_found(40, 100, SRQ_F32, levels, masked, 0.001);
            check_found(40, 100, SRQ_BF16, levels, masked, 0.001);
            check_found(40, 100, SRQ_F32, levels, masked, 0.3);
            check_found(7, 64, SRQ_BF16, levels, masked, 0.02);
            check_found(300, 3, SRQ_F32, levels, masked, 0.5);
            check_found(5, 1, SRQ_F32, levels, masked, 0.001);
        }
    }
    check_found(200, 577, SRQ_BF16, 0, false, 0.001);
    check_found(200, 577, SRQ_F32, 5, true, 0.001);
}

static void errors_that_are_not_numbers_are_never_among_them(void **state)
{
    float x[6] = { 1, NAN, 3, -5, NAN, 2 }, y[6] = { 0 }, peaks[2];
    struct srq_tensor xt = srq_tensor_2d(x, SRQ_F32, 2, 3), yt = srq_tensor_2d(y, SRQ_F32, 2, 3);
    struct srq_error_matrix m = { &xt, &yt, NULL, 2, 3 };
    int64_t found[2];

    (void)state;
    assert_int_equal(srq_largest_errors(&m, 2, peaks, found), 2);
    assert_int_equal(found[0], 2);
    assert_int_equal(found[1], 3);
}

static void nothing_is_found_where_all_is_masked(void **state)
{
    float x[6] = { 1, 2, 3, 4, 5, 6 }, y[6] = { 0 }, peaks[2];
    uint8_t mask[2] = { 0, 0 };
    struct srq_tensor xt = srq_tensor_2d(x, SRQ_F32, 2, 3), yt = srq_tensor_2d(y, SRQ_F32, 2, 3);
    struct srq_error_matrix m = { &xt, &yt, mask, 2, 3 };
    int64_t found[1];

    (void)state;
    assert_int_equal(srq_largest_errors(&m, 1, peaks, found), 0);
}

/* ---- the loss ---------------------------------------------------------------------------------------------------- */

static void check_loss(int64_t rows, int64_t cols, enum srq_dtype dtype, int levels, bool masked, double share)
{
    struct sample *s = sample_make(rows, cols, dtype, levels, masked);
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *x, *loss;
    double sum = 0, unit = 2.0 / (double)s->valid, tolerance = dtype == SRQ_BF16 ? 1.0 / 128 : 1e-6;

    choose(s, share);
    assert_ok(srq_tape_create((size_t)16 << 20, dtype, false, &t, &err), &err);
    x = srq_tape_input(t, &s->xt, true);
    loss = srq_op_mse_dropping(t, x, &s->tt, s->mask, share);
    assert_ok(srq_tape_error(t, &err), &err);
    assert_ok(srq_tape_backward(t, loss, &err), &err);
    for (int64_t i = 0; i < s->n; i++) {
        double d = value(&s->xt, i) - value(&s->tt, i), got = value(&x->grad, i);

        if (s->dropped[i] || (s->mask != NULL && s->mask[i / cols] == 0)) {
            assert_true(got == 0);
            continue;
        }
        sum += d * d;
        assert_true(fabs(got - unit * d) <= tolerance * fabs(unit * d) + 1e-12);
    }
    /* the mean is over all valid elements, also those left out */
    assert_true(fabs((double)*(float *)loss->value.data - sum / (double)s->valid) <= 1e-5 * sum / (double)s->valid);
    srq_tape_free(t);
    sample_free(s);
}

static void what_is_left_out_has_no_part_in_loss_and_gradient(void **state)
{
    (void)state;
    for (int masked = 0; masked < 2; masked++) {
        check_loss(40, 100, SRQ_F32, 0, masked, 0.001);
        check_loss(40, 100, SRQ_BF16, 0, masked, 0.001);
        check_loss(40, 100, SRQ_F32, 20, masked, 0.05);
        check_loss(33, 70, SRQ_BF16, 20, masked, 0.05);
        check_loss(9, 5, SRQ_F32, 0, masked, 0.9);
        check_loss(64, 576, SRQ_F32, 0, masked, 0.001);
    }
}

static void a_share_of_zero_is_the_plain_loss(void **state)
{
    struct sample *s = sample_make(30, 50, SRQ_F32, 0, true);
    struct srq_error err = { 0 };
    struct srq_tape *t;
    struct srq_var *x[2], *loss[2];

    (void)state;
    assert_ok(srq_tape_create((size_t)16 << 20, SRQ_F32, false, &t, &err), &err);
    for (int i = 0; i < 2; i++)
        x[i] = srq_tape_input(t, &s->xt, true);
    loss[0] = srq_op_mse(t, x[0], &s->tt, s->mask);
    loss[1] = srq_op_mse_dropping(t, x[1], &s->tt, s->mask, 0);
    assert_ok(srq_tape_error(t, &err), &err);
    assert_memory_equal(loss[0]->value.data, loss[1]->value.data, sizeof(float));
    srq_tape_free(t);
    sample_free(s);
}

static void a_share_of_one_or_more_is_refused(void **state)
{
    struct sample *s = sample_make(3, 5, SRQ_F32, 0, false);
    struct srq_error err = { 0 };
    struct srq_tape *t;

    (void)state;
    assert_ok(srq_tape_create(1 << 16, SRQ_F32, false, &t, &err), &err);
    assert_null(srq_op_mse_dropping(t, srq_tape_input(t, &s->xt, true), &s->tt, NULL, 1));
    assert_refused(srq_tape_error(t, &err), -SRQ_EINVAL, &err, "a share of 1");
    srq_tape_free(t);
    sample_free(s);
}

static size_t pass_peak(struct sample *s, size_t bytes, bool measure)
{
    struct srq_error err = { 0 };
    struct srq_tape *t;
    size_t peak;

    assert_ok(srq_tape_create(bytes, s->dtype, measure, &t, &err), &err);
    assert_ok(srq_tape_backward(t, srq_op_mse_dropping(t, srq_tape_input(t, &s->xt, true), &s->tt, NULL, 0.01), &err),
              &err);
    peak = srq_tape_peak(t);
    srq_tape_free(t);
    return peak;
}

static void measuring_counts_what_finding_takes(void **state)
{
    struct sample *s = sample_make(50, 130, SRQ_BF16, 0, false);
    size_t need = pass_peak(s, 0, true);

    (void)state;
    assert_int_equal(pass_peak(s, need, false), need);
    sample_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_errors_are_those_that_sorting_gives),
        cmocka_unit_test(errors_that_are_not_numbers_are_never_among_them),
        cmocka_unit_test(nothing_is_found_where_all_is_masked),
        cmocka_unit_test(what_is_left_out_has_no_part_in_loss_and_gradient),
        cmocka_unit_test(a_share_of_zero_is_the_plain_loss),
        cmocka_unit_test(a_share_of_one_or_more_is_refused),
        cmocka_unit_test(measuring_counts_what_finding_takes),
    };
    struct srq_error err;

    if (srq_team_start(3, &err) != 0)
        return 1;
    return cmocka_run_group_tests_name("loss_filter", tests, NULL, NULL);
}
