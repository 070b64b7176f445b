/* Noise schedules: alpha_bar, times and steps against diffusers' schedulers, what is refused and how it is said. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/diffusion/steps.h"

#include <math.h>

#define N 2
#define PIXELS 6
#define COUNT (N * PIXELS)

static struct srq_error err;

static struct srq_noise_schedule *read_schedule(const char *text)
{
    struct srq_noise_schedule *s;

    assert_ok(srq_schedule_read(text, strlen(text), &s, &err), &err);
    return s;
}

/* ---- diffusers' figures ------------------------------------------------------------------------------------------ */

static void fill(float *out, double amplitude, double begin, double stride)
{
    for (int i = 0; i < COUNT; i++)
        out[i] = (float)(amplitude * sin(begin + stride * i));
}

static void check_times(const struct srq_noise_schedule *s, char *rest)
{
    int steps = (int)strtol(rest, &rest, 10);
    int32_t *times = calloc((size_t)steps, sizeof(*times));

    assert_non_null(times);
    assert_ok(srq_schedule_timesteps(s, steps, times, &err), &err);
    for (int i = 0; i < steps && i < 12; i++)
        assert_int_equal(times[i], strtol(rest, &rest, 10));
    free(times);
}

static void check_step(const struct srq_noise_schedule *s, bool ddim, char *rest)
{
    float x[COUNT], said[COUNT], z[COUNT], next[COUNT], scratch[2 * PIXELS];
    int steps = (int)strtol(rest, &rest, 10), i = (int)strtol(rest, &rest, 10);
    struct srq_sample_step step = { .schedule = s,
                                    .eta = strtod(rest, &rest),
                                    .n = N,
                                    .pixels = PIXELS,
                                    .x = x,
                                    .said = said,
                                    .z = z,
                                    .next = next,
                                    .scratch = scratch };
    int32_t times[64];

    fill(x, 1.5, 1.0, 0.7);
    fill(said, 1.1, 0.3, 1.1);
    fill(z, 1.2, 2.0, 1.3);
    assert_ok(srq_schedule_timesteps(s, steps, times, &err), &err);
    step.from = times[i];
    step.to = ddim ? times[i] - s->times / steps : i + 1 < steps ? times[i + 1] : -1;
    (ddim ? srq_step_ddim : srq_step_ddpm)(&step);
    for (int k = 0; k < COUNT; k++) {
        double want = strtod(rest, &rest), off = fabs((double)next[k] - want);

        if (!(off <= 1e-6 * (1 + fabs(want))))
            fail_msg("%s step %d of %d (time %d), eta %g, value %d: %.9g, not %.9g", ddim ? "ddim" : "ddpm", i, steps,
                     step.from, step.eta, k, (double)next[k], want);
    }
}

/* What the line's second word begins. */
static void check_line(const struct srq_noise_schedule *s, char *line, int *checked)
{
    char *rest = strchr(line, ' ');

    assert_non_null(rest);
    ++*checked;
    if (strncmp(line, "alpha ", 6) == 0) {
        int t = (int)strtol(rest, &rest, 10);

        assert_true(fabs(s->alpha_bar[t] - strtod(rest, &rest)) <= 1e-6);
    } else if (strncmp(line, "times ", 6) == 0) {
        check_times(s, rest);
    } else {
        check_step(s, strncmp(line, "ddim ", 5) == 0, rest);
    }
}

static void schedules_and_steps_are_those_of_diffusers(void **state)
{
    const char *top = getenv("top_srcdir");
    struct srq_noise_schedule *s = NULL;
    char path[1024], line[1024];
    int checked = 0;
    FILE *f;

    (void)state;
    snprintf(path, sizeof(path), "%s/tests/reference/diffusion_reference.txt", top != NULL ? top : ".");
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (line[0] == '#')
            continue;
        if (strncmp(line, "case ", 5) == 0) {
            srq_schedule_free(s);
            s = read_schedule(line + 5);
        } else {
            check_line(s, line, &checked);
        }
    }
    fclose(f);
    srq_schedule_free(s);
    assert_true(checked >= 250);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void defaults_are_those_of_the_format(void **state)
{
    struct srq_noise_schedule *s =
        read_schedule("{\"_class_name\": \"DDPMScheduler\", \"trained_betas\": null, \"else\": [1]}");

    (void)state;
    assert_int_equal(s->times, 1000);
    assert_int_equal(s->prediction, SRQ_PREDICTS_EPS);
    assert_int_equal(s->spacing, SRQ_SPACING_LEADING);
    assert_int_equal(s->variance, SRQ_VARIANCE_SMALL);
    assert_int_equal(s->offset, 0);
    assert_true(s->clip && !s->thresholding && s->alpha_to_one);
    assert_true(s->clip_range == 1 && s->threshold_ratio == 0.995 && s->threshold_max == 1);
    assert_true(fabs(s->alpha_bar[999] - 4.04e-5) < 1e-7);
    srq_schedule_free(s);
}

/* One wrong key in a configuration that is fine otherwise. */
static void what_cannot_be_read_is_refused_by_name(void **state)
{
    static const struct {
        int code;
        const char *key, *keys, *part;
    } rows[] = {
        { -SRQ_EUNSUPPORTED, "_class_name", "\"_class_name\":\"PNDMScheduler\"", "\"PNDMScheduler\" is not known" },
        { -SRQ_EFORMAT, "_class_name", "\"_class_name\":null", "_class_name is missing" },
        { -SRQ_EFORMAT, "_class_name", "\"_class_name\":7", "7 where a string" },
        { -SRQ_EUNSUPPORTED, "beta_schedule", "\"beta_schedule\":\"laplace\"", "\"laplace\" is not known" },
        { -SRQ_EUNSUPPORTED, "beta_schedule", "\"beta_schedule\":\"a\\nb\"", "\\x0a" },
        { -SRQ_EUNSUPPORTED, "prediction_type", "\"prediction_type\":\"flow\"", "\"flow\"" },
        { -SRQ_EUNSUPPORTED, "timestep_spacing", "\"timestep_spacing\":\"dense\"", "\"dense\"" },
        { -SRQ_EUNSUPPORTED, "variance_type", "\"variance_type\":\"learned\"", "learned is not supported" },
        { -SRQ_EUNSUPPORTED, "variance_type", "\"variance_type\":\"learned_range\"", "learned_range is not" },
        { -SRQ_EUNSUPPORTED, "variance_type", "\"variance_type\":\"fixed_large_log\"", "fixed_large_log is not" },
        { -SRQ_EUNSUPPORTED, "variance_type", "\"variance_type\":\"odd\"", "\"odd\" is not known" },
        { -SRQ_EUNSUPPORTED, "rescale_betas_zero_snr", "\"rescale_betas_zero_snr\":true", "epsilon" },
        { -SRQ_EFORMAT, "rescale_betas_zero_snr",
          "\"rescale_betas_zero_snr\":true,\"prediction_type\":\"sample\",\"num_train_timesteps\":1",
          "num_train_timesteps 1" },
        { -SRQ_EFORMAT, "num_train_timesteps", "\"num_train_timesteps\":0", "0, outside 1 … 100000" },
        { -SRQ_EFORMAT, "num_train_timesteps", "\"num_train_timesteps\":1000000000000", "1000000000000, outside" },
        { -SRQ_EFORMAT, "num_train_timesteps", "\"num_train_timesteps\":10.0", "10 where an integer" },
        { -SRQ_EFORMAT, "steps_offset", "\"steps_offset\":-1", "-1, outside" },
        { -SRQ_EFORMAT, "beta_start", "\"beta_start\":0", "0, which is not between 0 and 1" },
        { -SRQ_EFORMAT, "beta_end", "\"beta_end\":1", "1, which is not between" },
        { -SRQ_EFORMAT, "beta_end", "\"beta_end\":\"0.02\"", "\"0.02\" where a number" },
        { -SRQ_EFORMAT, "beta_schedule", "\"beta_start\":1e-9,\"beta_end\":1e-9", "no noise at time 0" },
        { -SRQ_EFORMAT, "beta_schedule", "\"beta_start\":0.9,\"beta_end\":0.9", "nothing of the picture at time" },
        { -SRQ_EFORMAT, "trained_betas", "\"trained_betas\":[0.1]", "1 values where num_train_timesteps is 1000" },
        { -SRQ_EFORMAT, "trained_betas", "\"trained_betas\":[0.1,2],\"num_train_timesteps\":2", "position 1" },
        { -SRQ_EFORMAT, "trained_betas", "\"trained_betas\":[\"a\"],\"num_train_timesteps\":1", "position 0" },
        { -SRQ_EFORMAT, "trained_betas", "\"trained_betas\":0.1", "0.1 where an array" },
        { -SRQ_EFORMAT, "clip_sample", "\"clip_sample\":1", "1 where true or false" },
        { -SRQ_EFORMAT, "clip_sample_range", "\"clip_sample_range\":0", "0, which is not" },
        { -SRQ_EFORMAT, "thresholding", "\"thresholding\":[]", "an array where true or false" },
        { -SRQ_EFORMAT, "dynamic_thresholding_ratio", "\"dynamic_thresholding_ratio\":1.5",
          "1.5, which is not within" },
        { -SRQ_EFORMAT, "sample_max_value", "\"sample_max_value\":-3", "-3, which is not" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool class = strcmp(rows[i].key, "_class_name") == 0;
        struct srq_noise_schedule *s;
        char text[256];

        snprintf(text, sizeof(text), "{%s%s}", class ? "" : "\"_class_name\":\"DDPMScheduler\",", rows[i].keys);
        assert_refused(srq_schedule_read(text, strlen(text), &s, &err), rows[i].code, &err, rows[i].part);
        assert_non_null(strstr(err.text, rows[i].key));
        assert_non_null(strstr(err.text, "scheduler_config.json"));
        assert_string_equal(err.field, rows[i].key);
        assert_null(s);
    }
}

static void keys_that_nobody_reads_are_named(void **state)
{
    struct srq_noise_schedule *s = read_schedule(
        "{\"_class_name\":\"DDIMScheduler\",\"_diffusers_version\":\"0.30\",\"skip_prk_steps\":true,\"interpolation\":"
        "null,\"trained_betas\":null,\"steps_offset\":1,\"use\\tkarras\":false}");
    char long_key[400];

    (void)state;
    assert_string_equal(s->unknown, "skip_prk_steps, use\\x09karras");
    srq_schedule_free(s);
    snprintf(long_key, sizeof(long_key), "{\"_class_name\":\"DDPMScheduler\",\"%0300d\":1,\"eta\":0}", 0);
    s = read_schedule(long_key);
    assert_true(strlen(s->unknown) < sizeof(s->unknown));
    assert_non_null(strstr(s->unknown, "eta"));
    srq_schedule_free(s);
}

static void a_text_that_is_absent_or_no_object_is_refused(void **state)
{
    struct srq_noise_schedule *s;

    (void)state;
    assert_refused(srq_schedule_read(NULL, 0, &s, &err), -SRQ_ENOENT, &err, "no scheduler_config.json");
    assert_refused(srq_schedule_read("[1]", 3, &s, &err), -SRQ_EFORMAT, &err, "scheduler_config.json is not");
    assert_refused(srq_schedule_read("{\"a\":", 5, &s, &err), -SRQ_EFORMAT, &err, "scheduler_config.json");
    assert_refused(srq_schedule_read("", 0, &s, &err), -SRQ_EFORMAT, &err, "scheduler_config.json");
}

static int allocations;

static bool fail_at(size_t size, void *ctx)
{
    (void)size;
    return ++allocations != *(int *)ctx;
}

static void running_out_of_memory_is_an_error(void **state)
{
    static const char text[] = "{\"_class_name\":\"DDIMScheduler\",\"num_train_timesteps\":50}";
    struct srq_noise_schedule *s;
    int rc = -1, n = 0;

    (void)state;
    while (rc != 0) {
        allocations = 0;
        n++;
        srq_set_alloc_hook(fail_at, &n);
        rc = srq_schedule_read(text, strlen(text), &s, &err);
        srq_set_alloc_hook(NULL, NULL);
        assert_true(rc == 0 || rc == -SRQ_ENOMEM);
    }
    assert_true(n > 3);
    srq_schedule_free(s);
}

/* ---- times ------------------------------------------------------------------------------------------------------- */

static void times_descend_and_stay_inside(void **state)
{
    static const char *const spacings[] = { "leading", "linspace", "trailing" };
    int32_t times[1000];

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct srq_noise_schedule *s;
        char text[128];

        snprintf(text, sizeof(text), "{\"_class_name\":\"DDIMScheduler\",\"timestep_spacing\":\"%s\"}", spacings[k]);
        s = read_schedule(text);
        for (int steps = 1; steps <= 1000; steps++) {
            assert_ok(srq_schedule_timesteps(s, steps, times, &err), &err);
            assert_true(times[0] < 1000 && times[steps - 1] >= 0);
            for (int i = 1; i < steps; i++)
                assert_true(times[i] < times[i - 1]);
        }
        srq_schedule_free(s);
    }
}

static void steps_that_the_schedule_does_not_have_are_refused(void **state)
{
    struct srq_noise_schedule *s = read_schedule("{\"_class_name\":\"DDIMScheduler\",\"steps_offset\":1}");
    int32_t times[1000];

    (void)state;
    assert_refused(srq_schedule_timesteps(s, 0, times, &err), -SRQ_EINVAL, &err, "0 sampling steps");
    assert_refused(srq_schedule_timesteps(s, 1001, times, &err), -SRQ_EINVAL, &err, "1001 sampling steps");
    assert_refused(srq_schedule_timesteps(s, 1000, times, &err), -SRQ_EINVAL, &err, "lead to time 1000");
    assert_ok(srq_schedule_timesteps(s, 500, times, &err), &err);
    assert_int_equal(times[0], 999);
    srq_schedule_free(s);
}

/* ---- forward process --------------------------------------------------------------------------------------------- */

static void noise_has_the_statistics_of_alpha_bar(void **state)
{
    enum { COUNT_ = 40000 };
    struct srq_noise_schedule *s = read_schedule("{\"_class_name\":\"DDPMScheduler\"}");
    static const int32_t times[] = { 0, 100, 400, 999 };
    float *x = malloc(COUNT_ * sizeof(*x)), *eps = malloc(COUNT_ * sizeof(*eps));

    (void)state;
    assert_true(x != NULL && eps != NULL);
    for (int i = 0; i < COUNT_; i += 2) {
        double two[2];

        srq_rng_normals(11, 5, (uint64_t)i, two);
        eps[i] = (float)two[0];
        eps[i + 1] = (float)two[1];
    }
    for (int k = 0; k < 4; k++) {
        double a = s->alpha_bar[times[k]], mean = 0, var = 0;

        for (int i = 0; i < COUNT_; i++)
            x[i] = 0.5f;
        srq_schedule_noise(s, times[k], x, eps, COUNT_, x);
        for (int i = 0; i < COUNT_; i++)
            mean += (double)x[i] / COUNT_;
        for (int i = 0; i < COUNT_; i++)
            var += ((double)x[i] - mean) * ((double)x[i] - mean) / COUNT_;
        assert_true(fabs(mean - 0.5 * sqrt(a)) < 4 * sqrt((1 - a) / COUNT_));
        assert_true(fabs(var / (1 - a) - 1) < 4 * sqrt(2.0 / COUNT_));
        assert_true(fabs(srq_schedule_snr(s, times[k]) * (1 - a) - a) < 1e-12);
    }
    free(x);
    free(eps);
    srq_schedule_free(s);
}

/* Whatever a model predicts: from its target, the picture and the noise come back. */
static void targets_give_picture_and_noise_back(void **state)
{
    static const char *const kinds[] = { "epsilon", "sample", "v_prediction" };
    float x0[COUNT], eps[COUNT], xt[COUNT], said[COUNT], back[COUNT];

    (void)state;
    fill(x0, 0.9, 0.2, 1.7);
    fill(eps, 1.4, 1.1, 2.3);
    for (int k = 0; k < 3; k++) {
        struct srq_noise_schedule *s;
        char text[128];

        snprintf(text, sizeof(text), "{\"_class_name\":\"DDPMScheduler\",\"prediction_type\":\"%s\"}", kinds[k]);
        s = read_schedule(text);
        for (int32_t t = 50; t < 700; t += 100) {
            srq_schedule_noise(s, t, x0, eps, COUNT, xt);
            srq_schedule_target(s, t, x0, eps, COUNT, said);
            srq_schedule_x0(s, t, xt, said, COUNT, back);
            for (int i = 0; i < COUNT; i++)
                assert_true(fabsf(back[i] - x0[i]) < 2e-6f);
            srq_schedule_eps(s, t, xt, said, COUNT, back);
            for (int i = 0; i < COUNT; i++)
                assert_true(fabsf(back[i] - eps[i]) < 2e-6f);
        }
        srq_schedule_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_and_steps_are_those_of_diffusers),
        cmocka_unit_test(defaults_are_those_of_the_format),
        cmocka_unit_test(what_cannot_be_read_is_refused_by_name),
        cmocka_unit_test(keys_that_nobody_reads_are_named),
        cmocka_unit_test(a_text_that_is_absent_or_no_object_is_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(times_descend_and_stay_inside),
        cmocka_unit_test(steps_that_the_schedule_does_not_have_are_refused),
        cmocka_unit_test(noise_has_the_statistics_of_alpha_bar),
        cmocka_unit_test(targets_give_picture_and_noise_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
