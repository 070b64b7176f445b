/* Sampling: equal for any split into batches, the same as its steps one by one, DDIM and DDPM where they agree, and
 * what the loop hands to the model. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/diffusion/sampler.h"

#include <math.h>

#define PIXELS 15
#define STEPS 10
#define ALL 7

static struct srq_error err;

static struct srq_noise_schedule *read_schedule(const char *keys)
{
    struct srq_noise_schedule *s;
    char text[256];

    snprintf(text, sizeof(text), "{\"_class_name\":\"DDPMScheduler\"%s}", keys);
    assert_ok(srq_schedule_read(text, strlen(text), &s, &err), &err);
    return s;
}

/* What the callbacks saw. */
struct watch {
    int calls, seen, ticks, fail_at, stop_at;
    int64_t done, total;
    bool nan;
};

/* A smooth model; every value depends on its picture alone. */
static int predict(void *ctx, const struct srq_asked *q, float *out, struct srq_error *e)
{
    struct watch *w = ctx;

    assert_int_equal(w->seen, w->calls + 1);
    w->calls++;
    if (w->fail_at != 0 && q->step + 1 == w->fail_at)
        return srq_fail(e, -SRQ_EIO, "the model broke at step %d", q->step);
    for (int64_t i = 0; i < q->n * PIXELS; i++)
        out[i] = 0.8f * q->x[i] + 0.1f * (float)cos(q->t / 100) * sinf(3 * q->x[i]);
    if (w->nan)
        out[q->n * PIXELS - 1] = NAN;
    return 0;
}

static void seen(void *ctx, const struct srq_asked *q)
{
    struct watch *w = ctx;

    assert_int_equal((int)q->t, 900 - 100 * q->step);
    assert_true(q->n >= 1 && isfinite(q->x[q->n * PIXELS - 1]));
    w->seen++;
}

static int tick(void *ctx, int64_t done, int64_t total)
{
    struct watch *w = ctx;

    assert_true(done > w->done);
    w->done = done;
    w->total = total;
    return ++w->ticks == w->stop_at;
}

static struct srq_sampler make(const struct srq_noise_schedule *s, enum srq_scheduler scheduler, double eta,
                               struct watch *w)
{
    *w = (struct watch){ 0 };
    return (struct srq_sampler){ .schedule = s,
                                 .scheduler = scheduler,
                                 .steps = STEPS,
                                 .eta = eta,
                                 .seed = 42,
                                 .pixels = PIXELS,
                                 .batch = 3,
                                 .predict = predict,
                                 .seen = seen,
                                 .tick = tick,
                                 .ctx = w };
}

static void pictures_do_not_depend_on_the_batch(void **state)
{
    struct srq_noise_schedule *s = read_schedule("");
    static const int64_t batches[] = { 1, 2, 3, 7, 100 };
    float want[ALL * PIXELS], got[ALL * PIXELS];
    struct watch w;

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct srq_sampler sampler = make(s, (enum srq_scheduler)kind, 0.5, &w);

        assert_ok(srq_sample(&sampler, 0, ALL, want, &err), &err);
        assert_int_equal(w.done, w.total);
        assert_int_equal(w.total, ALL * STEPS);
        for (int b = 0; b < 5; b++) {
            w = (struct watch){ 0 };
            sampler.batch = batches[b];
            assert_ok(srq_sample(&sampler, 0, ALL, got, &err), &err);
            assert_memory_equal(got, want, sizeof(want));
        }
        w = (struct watch){ 0 };
        assert_ok(srq_sample(&sampler, 4, 2, got, &err), &err);
        assert_memory_equal(got, want + 4 * PIXELS, 2 * PIXELS * sizeof(*got));
        w = (struct watch){ 0 };
        sampler.seed++;
        assert_ok(srq_sample(&sampler, 0, ALL, got, &err), &err);
        assert_memory_not_equal(got, want, sizeof(want));
    }
    srq_schedule_free(s);
}

/* The loop is its steps, one after the other, with the documented noise. */
static void a_sample_is_its_steps(void **state)
{
    struct srq_noise_schedule *s = read_schedule("");
    float x[PIXELS], said[PIXELS], z[PIXELS], scratch[2 * PIXELS], got[PIXELS];
    struct watch w;

    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct srq_sampler sampler = make(s, (enum srq_scheduler)kind, 0.7, &w);

        assert_ok(srq_sample(&sampler, 5, 1, got, &err), &err);
        srq_picture_noise(42, 5, -1, PIXELS, x);
        for (int i = 0; i < STEPS; i++) {
            struct srq_sample_step step = {
                .schedule = s, .from = 900 - 100 * i, .to = 800 - 100 * i, .eta = 0.7, .n = 1
            };

            step.pixels = PIXELS;
            step.x = step.next = x;
            step.said = said;
            step.z = z;
            step.scratch = scratch;
            w = (struct watch){ .seen = 1 };
            assert_ok(predict(&w, &(const struct srq_asked){ i, step.from, 5, 1, x }, said, &err), &err);
            srq_picture_noise(42, 5, i, PIXELS, z);
            (kind == SRQ_SCHEDULER_DDPM ? srq_step_ddpm : srq_step_ddim)(&step);
        }
        assert_memory_equal(got, x, sizeof(x));
    }
    srq_schedule_free(s);
}

/* With leading spacing both have the same predecessors; nothing is clipped (spec 14.3). */
static void ddim_with_all_noise_is_ddpm(void **state)
{
    static const char *const kinds[] = { "epsilon", "sample", "v_prediction" };

    (void)state;
    for (int k = 0; k < 3; k++) {
        float a[ALL * PIXELS], b[ALL * PIXELS];
        struct srq_noise_schedule *s;
        struct srq_sampler sampler;
        struct watch w;
        char keys[96];

        snprintf(keys, sizeof(keys), ",\"clip_sample\":false,\"prediction_type\":\"%s\"", kinds[k]);
        s = read_schedule(keys);
        for (int i = 0; i < STEPS; i++) {
            float x[PIXELS], said[PIXELS], z[PIXELS], scratch[2 * PIXELS];
            struct srq_sample_step step = {
                .schedule = s, .from = 900 - 100 * i, .to = 800 - 100 * i, .eta = 1, .n = 1
            };

            srq_picture_noise(1, 0, -1, PIXELS, x);
            srq_picture_noise(1, 1, -1, PIXELS, said);
            srq_picture_noise(1, 2, -1, PIXELS, z);
            step.pixels = PIXELS;
            step.x = x;
            step.said = said;
            step.z = z;
            step.scratch = scratch;
            step.next = a;
            srq_step_ddpm(&step);
            step.next = b;
            srq_step_ddim(&step);
            for (int j = 0; j < PIXELS; j++)
                assert_true(fabs((double)a[j] - (double)b[j]) <= 1e-6 * fmax(1, fabs((double)a[j])));
        }
        sampler = make(s, SRQ_SCHEDULER_DDPM, 0, &w);
        assert_ok(srq_sample(&sampler, 0, ALL, a, &err), &err);
        sampler = make(s, SRQ_SCHEDULER_DDIM, 1, &w);
        assert_ok(srq_sample(&sampler, 0, ALL, b, &err), &err);
        for (int j = 0; j < ALL * PIXELS; j++)
            assert_true(fabs((double)a[j] - (double)b[j]) <= 1e-4 * fmax(1, fabs((double)a[j])));
        srq_schedule_free(s);
    }
}

/* Mean, variance, and the fourth moment, which tells normal numbers from others. */
static void noise_is_standard_normal_and_unlike_between_steps_and_pictures(void **state)
{
    enum { COUNT = 1 << 16 };
    float *a = malloc(COUNT * sizeof(*a)), *b = malloc(COUNT * sizeof(*b));
    double sum = 0, squares = 0, fourth = 0, pair = 0;

    (void)state;
    assert_true(a != NULL && b != NULL);
    srq_picture_noise(3, 17, 4, COUNT, a);
    for (int i = 0; i < COUNT; i++) {
        double v = (double)a[i];

        sum += v / COUNT;
        squares += v * v / COUNT;
        fourth += v * v * v * v / COUNT;
        pair += i > 0 ? v * (double)a[i - 1] / COUNT : 0;
    }
    assert_true(fabs(sum) < 4.0 / 256 && fabs(squares - 1) < 4 * sqrt(2) / 256);
    assert_true(fabs(fourth - 3) < 4 * sqrt(96) / 256 && fabs(pair) < 4.0 / 256);
    for (int other = 0; other < 3; other++) {
        double product = 0;

        srq_picture_noise(other == 2 ? 4 : 3, other == 0 ? 18 : 17, other == 1 ? 5 : 4, COUNT, b);
        for (int i = 0; i < COUNT; i++)
            product += (double)a[i] * (double)b[i] / COUNT;
        assert_true(fabs(product) < 4.0 / 256);
    }
    srq_picture_noise(3, 17, 4, 9, b); /* an odd number, and fewer: the same numbers */
    assert_memory_equal(a, b, 9 * sizeof(*a));
    free(a);
    free(b);
}

static void five_steps_at_each_end_are_of_high_precision(void **state)
{
    int high = 0, all = 0;

    (void)state;
    for (int i = 0; i < 50; i++) {
        high += srq_step_is_high(i, 50, 5, 5);
        assert_int_equal(srq_step_is_high(i, 50, 5, 5), i < 5 || i >= 45);
        assert_false(srq_step_is_high(i, 50, 0, 0));
    }
    assert_int_equal(high, 10);
    for (int i = 0; i < 8; i++)
        all += srq_step_is_high(i, 8, 4, 4);
    assert_int_equal(all, 8);
    assert_true(srq_step_is_high(0, 10, 1, 0) && !srq_step_is_high(9, 10, 1, 0) && srq_step_is_high(9, 10, 0, 1));
}

static void failures_and_stops_end_the_sampling(void **state)
{
    struct srq_noise_schedule *s = read_schedule("");
    float out[ALL * PIXELS];
    struct watch w;
    struct srq_sampler sampler = make(s, SRQ_SCHEDULER_DDIM, 0, &w);

    (void)state;
    w.fail_at = 3;
    assert_refused(srq_sample(&sampler, 0, ALL, out, &err), -SRQ_EIO, &err, "broke at step 2");
    w = (struct watch){ .stop_at = 4 };
    assert_refused(srq_sample(&sampler, 0, ALL, out, &err), -SRQ_ECANCELED, &err, "step 3");
    w = (struct watch){ .nan = true };
    assert_refused(srq_sample(&sampler, 0, ALL, out, &err), -SRQ_ENUMERIC, &err, "step 0 (time 900)");
    sampler.eta = 1.5;
    assert_refused(srq_sample(&sampler, 0, ALL, out, &err), -SRQ_EINVAL, &err, "eta 1.5");
    sampler.eta = 0;
    sampler.steps = 2000000000;
    assert_refused(srq_sample(&sampler, 0, ALL, out, &err), -SRQ_EINVAL, &err, "2000000000 sampling steps");
    sampler.steps = STEPS;
    sampler.batch = 0;
    assert_refused(srq_sample(&sampler, 0, ALL, out, &err), -SRQ_EINVAL, &err, "batches of 0");
    sampler.batch = 1;
    assert_ok(srq_sample(&sampler, 0, 0, out, &err), &err);
    srq_schedule_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_do_not_depend_on_the_batch),
        cmocka_unit_test(a_sample_is_its_steps),
        cmocka_unit_test(ddim_with_all_noise_is_ddpm),
        cmocka_unit_test(noise_is_standard_normal_and_unlike_between_steps_and_pictures),
        cmocka_unit_test(five_steps_at_each_end_are_of_high_precision),
        cmocka_unit_test(failures_and_stops_end_the_sampling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
