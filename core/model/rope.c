/* Rotary position embedding: frequencies of every scaling and their tables (spec formats 2.3).
 *
 * Frequencies and angles are F32 in the order in which the reference computes them, because a model is what it was
 * trained with: at position 8000 the last bit of a frequency is 0.0005 of an angle. */
#include "core/model/rope.h"

#include "core/base/alloc.h"

#include <math.h>
#include <string.h>

#define POSITIONS_MAX ((int64_t)1 << 31)

static const struct {
    const char *name;
    enum srq_rope_kind kind;
} kinds[] = {
    { "default", SRQ_ROPE_DEFAULT }, { "linear", SRQ_ROPE_LINEAR }, { "dynamic", SRQ_ROPE_DYNAMIC },
    { "llama3", SRQ_ROPE_LLAMA3 },   { "yarn", SRQ_ROPE_YARN },     { "longrope", SRQ_ROPE_LONGROPE },
    { "su", SRQ_ROPE_LONGROPE }, /* its name in old files */
};

static int read_kind(const struct srq_fields *f, struct srq_rope *r, struct srq_error *err)
{
    const char *name = "default", *key = srq_field(f, "rope_type") != NULL ? "rope_type" : "type";
    int rc = srq_field_string(f, key, &name, err);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            r->kind = kinds[i].kind;
            return 0;
        }
    }
    return srq_field_fail(f, key, err,
                          "\"%.60s\" is not a RoPE scaling that srq knows (default, linear, dynamic, "
                          "llama3, yarn, longrope)",
                          name);
}

/* An array of dim/2 positive numbers. */
static int read_divisors(const struct srq_fields *f, const char *key, int64_t n, float **out, struct srq_error *err)
{
    const json_t *v = srq_field(f, key);

    if (!json_is_array(v))
        return srq_field_fail(f, key, err, "an array of %lld numbers is due", (long long)n);
    if (json_array_size(v) != (size_t)n)
        return srq_field_fail(f, key, err, "%zu numbers where half the rotated dims, %lld, are due", json_array_size(v),
                              (long long)n);
    *out = srq_calloc((size_t)n, sizeof(float));
    if (*out == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading config.json");
    for (int64_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(v, (size_t)i);
        double d = json_is_number(e) ? json_number_value(e) : 0;

        if (!(d > 0) || !isfinite((float)d))
            return srq_field_fail(f, key, err, "element %lld is not a positive number", (long long)i);
        (*out)[i] = (float)d;
    }
    return 0;
}

static int read_llama3(const struct srq_fields *f, struct srq_rope *r, struct srq_error *err)
{
    int rc;

    if ((rc = srq_field_number(f, "factor", true, 1, 1e9, &r->factor, err)) != 0 ||
        (rc = srq_field_number(f, "low_freq_factor", true, 1e-6, 1e9, &r->low, err)) != 0 ||
        (rc = srq_field_number(f, "high_freq_factor", true, 1e-6, 1e9, &r->high, err)) != 0)
        return rc;
    if (!(r->low < r->high))
        return srq_field_fail(f, "low_freq_factor", err, "%g is not below high_freq_factor %g", r->low, r->high);
    return 0;
}

static double yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static int read_yarn(const struct srq_fields *f, struct srq_rope *r, struct srq_error *err)
{
    double mscale = 0, mscale_all = 0;
    int rc;

    r->factor = (double)r->max_positions / (double)r->original;
    if ((rc = srq_field_number(f, "factor", false, 1, 1e9, &r->factor, err)) != 0 ||
        (rc = srq_field_number(f, "beta_fast", false, 1e-3, 1e9, &r->beta_fast, err)) != 0 ||
        (rc = srq_field_number(f, "beta_slow", false, 1e-3, 1e9, &r->beta_slow, err)) != 0 ||
        (rc = srq_field_number(f, "mscale", false, 0, 1e6, &mscale, err)) != 0 ||
        (rc = srq_field_number(f, "mscale_all_dim", false, 0, 1e6, &mscale_all, err)) != 0 ||
        (rc = srq_field_bool(f, "truncate", &r->truncate, err)) != 0)
        return rc;
    if (r->factor < 1)
        return srq_field_fail(f, "original_max_position_embeddings", err, "%lld is above max_position_embeddings %lld",
                              (long long)r->original, (long long)r->max_positions);
    if (r->beta_fast < r->beta_slow)
        return srq_field_fail(f, "beta_fast", err, "%g is below beta_slow %g", r->beta_fast, r->beta_slow);
    r->amplitude = mscale > 0 && mscale_all > 0 ? yarn_scale(r->factor, mscale) / yarn_scale(r->factor, mscale_all)
                                                : yarn_scale(r->factor, 1);
    return srq_field_number(f, "attention_factor", false, 1e-6, 1e6, &r->amplitude, err);
}

static int read_longrope(const struct srq_fields *f, struct srq_rope *r, struct srq_error *err)
{
    int rc;

    r->factor = (double)r->max_positions / (double)r->original;
    if ((rc = read_divisors(f, "short_factor", r->dim / 2, &r->short_factor, err)) != 0 ||
        (rc = read_divisors(f, "long_factor", r->dim / 2, &r->long_factor, err)) != 0 ||
        (rc = srq_field_number(f, "factor", false, 1, 1e9, &r->factor, err)) != 0)
        return rc;
    if (r->factor > 1 && r->original < 2)
        return srq_field_fail(f, "original_max_position_embeddings", err, "%lld is below 2", (long long)r->original);
    if (r->factor > 1)
        r->amplitude = sqrt(1 + log(r->factor) / log((double)r->original));
    return srq_field_number(f, "attention_factor", false, 1e-6, 1e6, &r->amplitude, err);
}

static int read_scaling(const struct srq_fields *f, struct srq_rope *r, struct srq_error *err)
{
    switch (r->kind) {
    case SRQ_ROPE_DEFAULT:
        return 0;
    case SRQ_ROPE_DYNAMIC:
        if (r->dim <= 2)
            return srq_field_fail(f, "rope_type", err, "dynamic scaling needs more than 2 rotated dims");
        return srq_field_number(f, "factor", true, 1, 1e9, &r->factor, err);
    case SRQ_ROPE_LINEAR:
        return srq_field_number(f, "factor", true, 1, 1e9, &r->factor, err);
    case SRQ_ROPE_LLAMA3:
        return read_llama3(f, r, err);
    case SRQ_ROPE_YARN:
        return read_yarn(f, r, err);
    case SRQ_ROPE_LONGROPE:
        return read_longrope(f, r, err);
    }
    return srq_field_fail(f, "rope_type", err, "unknown kind %d", (int)r->kind);
}

/* The object that holds the parameters: rope_scaling when given, else rope_parameters, else nothing. */
static int parameters(const struct srq_fields *config, struct srq_fields *f, struct srq_error *err)
{
    static const char *const keys[] = { "rope_scaling", "rope_parameters" }, *const where[] = { "rope_scaling.",
                                                                                                "rope_parameters." };

    for (int i = 0; i < 2; i++) {
        const json_t *v = srq_field(config, keys[i]);
        const char *key;
        json_t *inner;

        if (v == NULL)
            continue;
        if (!json_is_object(v))
            return srq_field_fail(config, keys[i], err, "an object is due");
        if (json_object_size(v) == 0)
            continue;
        *f = (struct srq_fields){ v, where[i] };
        json_object_foreach((json_t *)(uintptr_t)v, key, inner)
        {
            if (json_is_object(inner))
                return srq_field_fail(f, key, err, "this family has one set of RoPE parameters, not one a layer type");
        }
        return 0;
    }
    return 0;
}

static int read_dims(const struct srq_fields *config, const struct srq_fields *f, int64_t head_dim, bool partial,
                     struct srq_rope *r, struct srq_error *err)
{
    const struct srq_fields *at = srq_field(f, "partial_rotary_factor") != NULL ? f : config;
    double part = 1;
    int rc = srq_field_number(at, "partial_rotary_factor", false, 1e-3, 1, &part, err);

    if (rc != 0)
        return rc;
    if (part != 1 && !partial)
        return srq_field_fail(at, "partial_rotary_factor", err, "%g, but this family rotates whole heads", part);
    r->dim = (int64_t)((double)head_dim * part);
    if (r->dim < 2 || r->dim % 2 != 0)
        return srq_field_fail(config, "head_dim", err, "RoPE over %lld dims; an even number is due", (long long)r->dim);
    return 0;
}

static int read_original(const struct srq_fields *f, struct srq_rope *r, struct srq_error *err)
{
    return srq_field_int(f, "original_max_position_embeddings", false, 1, POSITIONS_MAX, &r->original, err);
}

int srq_rope_read(const struct srq_fields *config, int64_t head_dim, int64_t max_positions, bool partial,
                  struct srq_rope *out, struct srq_error *err)
{
    struct srq_fields f = *config;
    int rc;

    memset(out, 0, sizeof(*out));
    out->theta = 10000;
    out->factor = out->amplitude = 1;
    out->beta_fast = 32;
    out->beta_slow = 1;
    out->truncate = true;
    out->max_positions = out->original = max_positions;
    if ((rc = parameters(config, &f, err)) != 0 || (rc = read_dims(config, &f, head_dim, partial, out, err)) != 0 ||
        (rc = srq_field_number(config, "rope_theta", false, 0, 1e30, &out->theta, err)) != 0 ||
        (rc = srq_field_number(&f, "rope_theta", false, 0, 1e30, &out->theta, err)) != 0)
        return rc;
    if (!(out->theta > 1))
        return srq_field_fail(&f, "rope_theta", err, "%g is not above 1", out->theta);
    if (f.object == config->object) /* no parameters: plain RoPE */
        return 0;
    if ((rc = read_original(&f, out, err)) != 0 || (rc = read_original(config, out, err)) != 0 ||
        (rc = read_kind(&f, out, err)) != 0 || (rc = read_scaling(&f, out, err)) != 0)
        srq_rope_fini(out);
    return rc;
}

void srq_rope_fini(struct srq_rope *r)
{
    srq_free(r->short_factor);
    srq_free(r->long_factor);
    r->short_factor = r->long_factor = NULL;
}

/* wl < L/high: f; wl > L/low: f/factor; between: interpolated. */
static float llama3_frequency(const struct srq_rope *r, float f)
{
    double wavelength = 2 * M_PI / (double)f, old = (double)r->original;
    float s;

    if (wavelength < old / r->high)
        return f;
    if (wavelength > old / r->low)
        return f / (float)r->factor;
    s = (float)((old / wavelength - r->low) / (r->high - r->low));
    return (1 - s) * f / (float)r->factor + s * f;
}

/* The dim at which a wave makes `rotations` turns over the original context. */
static double yarn_dim(const struct srq_rope *r, double rotations)
{
    return (double)r->dim * log((double)r->original / (rotations * 2 * M_PI)) / (2 * log(r->theta));
}

static void yarn_frequencies(const struct srq_rope *r, float *freq)
{
    double lo = yarn_dim(r, r->beta_fast), hi = yarn_dim(r, r->beta_slow);

    if (r->truncate) {
        lo = floor(lo);
        hi = ceil(hi);
    }
    lo = fmax(lo, 0);
    hi = fmin(hi, (double)(r->dim - 1));
    if (lo == hi)
        hi += 0.001;
    for (int64_t i = 0; i < r->dim / 2; i++) {
        float ramp = ((float)i - (float)lo) / (float)(hi - lo);

        ramp = fminf(fmaxf(ramp, 0), 1);
        freq[i] = freq[i] / (float)r->factor * ramp + freq[i] * (1 - ramp);
    }
}

void srq_rope_frequencies(const struct srq_rope *r, int64_t seq, float *freq)
{
    const float *divisor = seq > r->original ? r->long_factor : r->short_factor;
    double theta = r->theta, d = (double)r->dim;

    if (r->kind == SRQ_ROPE_DYNAMIC && seq > r->max_positions)
        theta *= pow(r->factor * (double)seq / (double)r->max_positions - (r->factor - 1), d / (d - 2));
    for (int64_t i = 0; i < r->dim / 2; i++) {
        float wave = powf((float)theta, (float)(2 * i) / (float)r->dim);

        freq[i] = 1 / (r->kind == SRQ_ROPE_LONGROPE ? divisor[i] * wave : wave);
        if (r->kind == SRQ_ROPE_LINEAR)
            freq[i] /= (float)r->factor;
        else if (r->kind == SRQ_ROPE_LLAMA3)
            freq[i] = llama3_frequency(r, freq[i]);
    }
    if (r->kind == SRQ_ROPE_YARN)
        yarn_frequencies(r, freq);
}

void srq_rope_divisors(const struct srq_rope *r, float *divisor)
{
    struct srq_rope plain = *r;
    float freq[SRQ_ROPE_DIM_MAX / 2];

    plain.kind = SRQ_ROPE_DEFAULT;
    srq_rope_frequencies(&plain, r->original, divisor);
    srq_rope_frequencies(r, r->original, freq);
    for (int64_t i = 0; i < r->dim / 2; i++)
        divisor[i] /= freq[i];
}

void srq_rope_tables(const struct srq_rope *r, int64_t seq, float *cosines, float *sines)
{
    int64_t half = r->dim / 2;
    float freq[SRQ_ROPE_DIM_MAX / 2];

    srq_rope_frequencies(r, seq, freq);
    for (int64_t p = 0; p < seq; p++) {
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)((float)p * freq[i]);

            cosines[p * half + i] = (float)(cos(angle) * r->amplitude);
            sines[p * half + i] = (float)(sin(angle) * r->amplitude);
        }
    }
}
