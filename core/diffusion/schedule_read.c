/* scheduler_config.json: a row a key, typed and bounded. The file comes from strangers. */
#include "core/diffusion/schedule.h"

#include "core/base/alloc.h"
#include "core/diffusion/schedule_betas.h"
#include "core/format/json.h"
#include "core/format/st_header.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FILE_NAME "scheduler_config.json"
#define SHOWN 64 /* bytes of a string that an error repeats */

/* What is being read, before it is a schedule. */
struct reading {
    const json_t *object;
    json_t *left; /* members that nobody has asked for yet */
    struct srq_noise_schedule *s;
    double beta_start, beta_end;
    const char *beta_schedule;
    bool zero_snr;
    struct srq_error *err;
};

struct choice {
    const char *name;
    int value; /* below 0: known, and not for us */
};

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const json_t *value(const struct reading *r, const char *key)
{
    const json_t *v = json_object_get(r->object, key);

    (void)json_object_del(r->left, key);
    return json_is_null(v) ? NULL : v;
}

static int fail(const struct reading *r, const char *key, int code, const char *fmt, ...) SRQ_PRINTF(4, 5);
static int fail(const struct reading *r, const char *key, int code, const char *fmt, ...)
{
    char what[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    return srq_fail_field(r->err, code, key, FILE_NAME ": %s %s", key, what);
}

/* A value of the wrong type: as written where it is short, else its kind. */
static int fail_type(const struct reading *r, const char *key, const json_t *v, const char *due)
{
    static const char *const kinds[] = { "an object", "an array", "a string", "an integer",
                                         "a number",  "true",     "false",    "null" };

    char shown[SHOWN];

    if (json_is_integer(v))
        return fail(r, key, -SRQ_EFORMAT, "is %" JSON_INTEGER_FORMAT " where %s is due", json_integer_value(v), due);
    if (json_is_string(v))
        return fail(r, key, -SRQ_EFORMAT, "is \"%s\" where %s is due",
                    srq_st_show(json_string_value(v), shown, sizeof(shown)), due);
    if (json_is_real(v))
        return fail(r, key, -SRQ_EFORMAT, "is %.9g where %s is due", json_real_value(v), due);
    return fail(r, key, -SRQ_EFORMAT, "is %s where %s is due", kinds[json_typeof(v)], due);
}

static int read_int(const struct reading *r, const char *key, int min, int max, int *out)
{
    const json_t *v = value(r, key);

    if (v == NULL)
        return 0;
    if (!json_is_integer(v))
        return fail_type(r, key, v, "an integer");
    if (json_integer_value(v) < min || json_integer_value(v) > max)
        return fail(r, key, -SRQ_EFORMAT, "is %" JSON_INTEGER_FORMAT ", outside %d … %d", json_integer_value(v), min,
                    max);
    *out = (int)json_integer_value(v);
    return 0;
}

/* Both bounds are outside of what is allowed, unless `closed`. */
static int read_number(const struct reading *r, const char *key, double min, double max, bool closed, double *out)
{
    const json_t *v = value(r, key);
    double d;

    if (v == NULL)
        return 0;
    if (!json_is_number(v))
        return fail_type(r, key, v, "a number");
    d = json_number_value(v);
    if (!(closed ? d >= min && d <= max : d > min && d < max))
        return fail(r, key, -SRQ_EFORMAT, "is %.9g, which is not %s %g and %g", d, closed ? "within" : "between", min,
                    max);
    *out = d;
    return 0;
}

static int read_bool(const struct reading *r, const char *key, bool *out)
{
    const json_t *v = value(r, key);

    if (v == NULL)
        return 0;
    if (!json_is_boolean(v))
        return fail_type(r, key, v, "true or false");
    *out = json_is_true(v);
    return 0;
}

static int read_text(const struct reading *r, const char *key, const char **out)
{
    const json_t *v = value(r, key);

    if (v == NULL)
        return 0;
    if (!json_is_string(v))
        return fail_type(r, key, v, "a string");
    *out = json_string_value(v);
    return 0;
}

/* One of the choices; `known` lists them for the sentence. */
static int read_choice(const struct reading *r, const char *key, const struct choice *choices, const char *known,
                       int *out)
{
    char shown[SHOWN];
    const char *text = NULL;
    int rc = read_text(r, key, &text);

    if (rc != 0 || text == NULL)
        return rc;
    for (; choices->name != NULL; choices++) {
        if (strcmp(choices->name, text) != 0)
            continue;
        if (choices->value < 0)
            return fail(r, key, -SRQ_EUNSUPPORTED, "%s is not supported: srq reads %s", text, known);
        *out = choices->value;
        return 0;
    }
    return fail(r, key, -SRQ_EUNSUPPORTED, "\"%s\" is not known: srq reads %s", srq_st_show(text, shown, sizeof(shown)),
                known);
}

/* ---- groups of keys ---------------------------------------------------------------------------------------------- */

static int read_kinds(const struct reading *r)
{
    static const struct choice classes[] = { { "DDPMScheduler", SRQ_SCHEDULER_DDPM },
                                             { "DDIMScheduler", SRQ_SCHEDULER_DDIM },
                                             { NULL, 0 } };
    static const struct choice predictions[] = { { "epsilon", SRQ_PREDICTS_EPS },
                                                 { "sample", SRQ_PREDICTS_SAMPLE },
                                                 { "v_prediction", SRQ_PREDICTS_V },
                                                 { NULL, 0 } };
    static const struct choice spacings[] = { { "leading", SRQ_SPACING_LEADING },
                                              { "linspace", SRQ_SPACING_LINSPACE },
                                              { "trailing", SRQ_SPACING_TRAILING },
                                              { NULL, 0 } };
    static const struct choice variances[] = { { "fixed_small", SRQ_VARIANCE_SMALL },
                                               { "fixed_small_log", SRQ_VARIANCE_SMALL },
                                               { "fixed_large", SRQ_VARIANCE_LARGE },
                                               { "fixed_large_log", -1 },
                                               { "learned", -1 },
                                               { "learned_range", -1 },
                                               { NULL, 0 } };
    int class = -1, prediction = SRQ_PREDICTS_EPS, spacing = SRQ_SPACING_LEADING, variance = SRQ_VARIANCE_SMALL, rc;

    rc = read_choice(r, "_class_name", classes, "DDPMScheduler and DDIMScheduler", &class);
    if (rc == 0 && class < 0)
        rc = fail(r, "_class_name", -SRQ_EFORMAT, "is missing");
    if (rc == 0)
        rc = read_choice(r, "prediction_type", predictions, "epsilon, sample and v_prediction", &prediction);
    if (rc == 0)
        rc = read_choice(r, "timestep_spacing", spacings, "leading, linspace and trailing", &spacing);
    if (rc == 0)
        rc = read_choice(r, "variance_type", variances, "fixed_small, fixed_small_log and fixed_large", &variance);
    r->s->scheduler = (enum srq_scheduler) class;
    r->s->prediction = (enum srq_prediction)prediction;
    r->s->spacing = (enum srq_spacing)spacing;
    r->s->variance = (enum srq_variance)variance;
    return rc;
}

static int read_limits(const struct reading *r)
{
    struct srq_noise_schedule *s = r->s;
    int rc = read_bool(r, "clip_sample", &s->clip);

    if (rc == 0)
        rc = read_number(r, "clip_sample_range", 0, 1e6, false, &s->clip_range);
    if (rc == 0)
        rc = read_bool(r, "thresholding", &s->thresholding);
    if (rc == 0)
        rc = read_number(r, "dynamic_thresholding_ratio", 0, 1, true, &s->threshold_ratio);
    if (rc == 0)
        rc = read_number(r, "sample_max_value", 0, 1e6, false, &s->threshold_max);
    return rc;
}

static int read_times(struct reading *r)
{
    struct srq_noise_schedule *s = r->s;
    int rc = read_int(r, "num_train_timesteps", 1, SRQ_TIMES_MAX, &s->times);

    if (rc == 0)
        rc = read_int(r, "steps_offset", 0, SRQ_TIMES_MAX, &s->offset);
    if (rc == 0)
        rc = read_bool(r, "set_alpha_to_one", &s->alpha_to_one);
    if (rc == 0)
        rc = read_bool(r, "rescale_betas_zero_snr", &r->zero_snr);
    if (rc == 0)
        rc = read_number(r, "beta_start", 0, 1, false, &r->beta_start);
    if (rc == 0)
        rc = read_number(r, "beta_end", 0, 1, false, &r->beta_end);
    if (rc == 0)
        rc = read_text(r, "beta_schedule", &r->beta_schedule);
    return rc;
}

/* ---- betas ------------------------------------------------------------------------------------------------------- */

static int read_trained(const struct reading *r, const json_t *list, float *betas)
{
    const char *key = "trained_betas";

    if (!json_is_array(list))
        return fail_type(r, key, list, "an array");
    if (json_array_size(list) != (size_t)r->s->times)
        return fail(r, key, -SRQ_EFORMAT, "has %zu values where num_train_timesteps is %d", json_array_size(list),
                    r->s->times);
    for (int i = 0; i < r->s->times; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        double d = json_number_value(v);

        if (!json_is_number(v) || !(d > 0 && d < 1))
            return fail(r, key, -SRQ_EFORMAT, "has no number between 0 and 1 at position %d", i);
        betas[i] = (float)d;
    }
    return 0;
}

static int make_betas(const struct reading *r, float *betas, double *scratch)
{
    const json_t *trained = value(r, "trained_betas");
    srq_beta_schedule *fill = srq_beta_schedule_find(r->beta_schedule);
    char shown[SHOWN];
    int rc = 0;

    if (trained != NULL)
        rc = read_trained(r, trained, betas);
    else if (fill == NULL)
        rc = fail(r, "beta_schedule", -SRQ_EUNSUPPORTED, "\"%s\" is not known: srq reads %s",
                  srq_st_show(r->beta_schedule, shown, sizeof(shown)), srq_beta_schedule_names());
    else
        fill(r->beta_start, r->beta_end, r->s->times, betas);
    if (rc != 0 || !r->zero_snr)
        return rc;
    if (r->s->prediction == SRQ_PREDICTS_EPS)
        return fail(r, "rescale_betas_zero_snr", -SRQ_EUNSUPPORTED,
                    "is true with prediction_type epsilon: from noise alone the picture cannot be told");
    if (r->s->times < 2)
        return fail(r, "rescale_betas_zero_snr", -SRQ_EFORMAT, "is true with num_train_timesteps %d", r->s->times);
    srq_betas_zero_snr(betas, r->s->times, scratch);
    return 0;
}

/* Steps divide by 1 - alpha_bar at every time and by alpha_bar at all that another one is reached from. */
static int check_alphas(const struct reading *r, const double *alpha_bar)
{
    int last = r->s->times - 1, sure = r->s->prediction == SRQ_PREDICTS_EPS ? last : last - 1;

    if (!(alpha_bar[0] < 1))
        return fail(r, "beta_schedule", -SRQ_EFORMAT, "leaves no noise at time 0 (in 32-bit numbers)");
    for (int t = 0; t <= sure; t++)
        if (!(alpha_bar[t] > 0))
            return fail(r, "beta_schedule", -SRQ_EFORMAT, "leaves nothing of the picture at time %d of %d", t, last);
    return isfinite(alpha_bar[last]) && alpha_bar[last] >= 0
               ? 0
               : fail(r, "beta_schedule", -SRQ_EFORMAT, "has no value at time %d", last);
}

static int make_alphas(const struct reading *r)
{
    size_t n = (size_t)r->s->times;
    float *betas = srq_calloc(n, sizeof(*betas));
    double *alpha_bar = srq_calloc(n, sizeof(*alpha_bar));
    int rc;

    r->s->alpha_bar = alpha_bar;
    if (betas == NULL || alpha_bar == NULL)
        rc = srq_fail(r->err, -SRQ_ENOMEM, "out of memory for a noise schedule of %d times", r->s->times);
    else
        rc = make_betas(r, betas, alpha_bar);
    if (rc == 0) {
        srq_betas_product(betas, r->s->times, alpha_bar);
        rc = check_alphas(r, alpha_bar);
    }
    srq_free(betas);
    return rc;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static void take_unknown(const struct reading *r)
{
    const char *key;
    json_t *v;

    json_object_foreach(r->left, key, v)
    {
        if (!json_is_null(v) && key[0] != '_')
            srq_st_list(key, r->s->unknown, sizeof(r->s->unknown));
    }
}

static int read_all(struct reading *r)
{
    int rc;

    if (!json_is_object(r->object))
        return srq_fail(r->err, -SRQ_EFORMAT, FILE_NAME " is not a JSON object");
    rc = read_kinds(r);
    if (rc == 0)
        rc = read_limits(r);
    if (rc == 0)
        rc = read_times(r);
    if (rc == 0)
        rc = make_alphas(r);
    if (rc == 0)
        take_unknown(r);
    return rc;
}

int srq_schedule_read(const char *text, size_t len, struct srq_noise_schedule **out, struct srq_error *err)
{
    static const struct srq_noise_schedule defaults = {
        .times = 1000, .clip = true, .alpha_to_one = true, .clip_range = 1, .threshold_ratio = 0.995, .threshold_max = 1
    };
    struct reading r = { .beta_start = 1e-4, .beta_end = 0.02, .beta_schedule = "linear", .err = err };
    json_t *json = NULL;
    int rc;

    *out = NULL;
    if (text == NULL)
        return srq_fail_field(err, -SRQ_ENOENT, FILE_NAME,
                              "the model has no " FILE_NAME
                              ", which says how noise was added in training: take the one of the "
                              "pipeline that the network comes from");
    rc = srq_json_read_text(text, len, FILE_NAME, &json, err);
    if (rc != 0)
        return rc;
    r.object = json;
    r.left = json_is_object(json) ? json_copy(json) : json_object();
    r.s = srq_calloc(1, sizeof(*r.s));
    if (r.s == NULL || r.left == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading " FILE_NAME);
    if (rc == 0) {
        *r.s = defaults;
        rc = read_all(&r);
    }
    json_decref(r.left);
    json_decref(json);
    if (rc != 0)
        srq_schedule_free(r.s);
    else
        *out = r.s;
    return rc;
}

void srq_schedule_free(struct srq_noise_schedule *s)
{
    if (s == NULL)
        return;
    srq_free((void *)(uintptr_t)s->alpha_bar);
    srq_free(s);
}
