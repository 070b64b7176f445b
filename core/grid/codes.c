/* Codes, scales and zero-points of a layer: memory, decoding, and the host's check of what a plugin gave. */
#include "core/grid/int_rows.h"
#include "core/grid/k_quants.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/team.h"

#include <math.h>

#define SEGMENT 512 /* elements converted at a time through a buffer on the stack */

enum { CODES, SCALE, ZERO, EXTRA }; /* the last: super or tensor_scale */

struct srq_result srq_codes_result(const struct srq_codes *c)
{
    return (struct srq_result){
        .size = sizeof(struct srq_result), .codes = c->codes, .scale = c->scale, .zero = c->zero, .super = c->super
    };
}

int srq_codes_arrays(const struct srq_codes *c)
{
    return c->scheme.grid == SRQ_GRID_K ? EXTRA + 1 : EXTRA;
}

int srq_codes_planes(const struct srq_codes *c, struct srq_plane out[SRQ_PLANES])
{
    const int64_t one = 1, supers[2] = { c->groups.out * c->groups.in / K_SUPER, 2 };

    out[CODES] = (struct srq_plane){ "codes", srq_tensor_2d(c->codes, SRQ_U8, c->groups.out, c->groups.in) };
    out[SCALE] = (struct srq_plane){ "scale", srq_tensor_make(c->scale, SRQ_F32, 1, &c->groups.count) };
    out[ZERO] = (struct srq_plane){ "zero", srq_tensor_make(c->zero, SRQ_U8, 1, &c->groups.count) };
    if (c->scheme.grid == SRQ_GRID_K)
        out[EXTRA] = (struct srq_plane){ "super", srq_tensor_make(c->super, SRQ_F32, 2, supers) };
    else if (c->scheme.grid == SRQ_GRID_NVFP4)
        out[EXTRA] = (struct srq_plane){ "tensor_scale",
                                         srq_tensor_make((void *)(uintptr_t)&c->tensor_scale, SRQ_F32, 1, &one) };
    else
        return EXTRA;
    return EXTRA + 1;
}

void srq_codes_set_plane(struct srq_codes *c, int k, void *data)
{
    switch (k) {
    case CODES:
        c->codes = data;
        break;
    case SCALE:
        c->scale = data;
        break;
    case ZERO:
        c->zero = data;
        break;
    default:
        if (c->scheme.grid == SRQ_GRID_K)
            c->super = data;
        else
            memcpy(&c->tensor_scale, data, sizeof(c->tensor_scale));
    }
}

uint64_t srq_codes_bytes(const struct srq_scheme *s, int64_t out, int64_t in)
{
    struct srq_codes c = { .scheme = *s, .groups = srq_groups_of(out, in, s->group) };
    struct srq_plane plane[SRQ_PLANES];
    int count = s->grid == SRQ_GRID_NONE ? 0 : srq_codes_planes(&c, plane);
    uint64_t sum = 0;

    for (int k = 0; k < count; k++)
        sum += (uint64_t)srq_tensor_count(&plane[k].t) * srq_dtype_size(plane[k].t.dtype);
    return sum;
}

int srq_codes_alloc(int64_t out, int64_t in, const struct srq_scheme *s, struct srq_codes *c, struct srq_error *err)
{
    struct srq_plane plane[SRQ_PLANES];
    size_t n;

    *c = (struct srq_codes){ .scheme = *s, .groups = srq_groups_of(out, in, s->group), .tensor_scale = 1 };
    if (out <= 0 || in <= 0 || !srq_mul_size((size_t)out, (size_t)in, &n))
        return srq_fail(err, -SRQ_EINVAL, "codes for a weight of %lld x %lld", (long long)out, (long long)in);
    srq_codes_planes(c, plane);
    for (int k = 0; k < srq_codes_arrays(c); k++) {
        void *data = srq_tensor_bytes(&plane[k].t, &n) ? srq_calloc(n, 1) : NULL;

        srq_codes_set_plane(c, k, data);
        if (data == NULL) {
            srq_codes_fini(c);
            return srq_fail(err, -SRQ_ENOMEM, "no memory for the codes of %lld x %lld weights", (long long)out,
                            (long long)in);
        }
    }
    return 0;
}

void srq_codes_fini(struct srq_codes *c)
{
    srq_free(c->codes);
    srq_free(c->scale);
    srq_free(c->zero);
    srq_free(c->super);
    c->super = NULL;
    c->codes = NULL;
    c->scale = NULL;
    c->zero = NULL;
}

SRQ_SIMD static void decode_run(const uint8_t *codes, float scale, float zero, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = scale * ((float)codes[i] - zero);
}

SRQ_SIMD static void decode_above(const uint8_t *codes, float scale, float minimum, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = scale * (float)codes[i] - minimum;
}

SRQ_SIMD static void look_up_run(const uint8_t *codes, float scale, const float *element, float *dst, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = scale * element[codes[i]];
}

static bool has_minima(const struct srq_scheme *s)
{
    return s->grid == SRQ_GRID_K && k_type_of(s->bits)->minima;
}

float srq_nvfp4_tensor_scale(float top)
{
    float gs = 448.0f * 6 / top;

    return !(top > 0) ? 1 : gs < 0x1p126f ? gs : 0x1p126f;
}

struct decode {
    const struct srq_codes *c;
    char *dst; /* of row `first` */
    int64_t first;
    enum srq_dtype dtype;
    float element[256]; /* floating-point grids: what each code stands for */
};

static void decode_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct decode *d = ctx;
    const struct srq_groups *g = &d->c->groups;
    size_t size = srq_dtype_size(d->dtype);
    float part[SEGMENT];

    for (int64_t r = begin; r < end; r++) {
        for (int64_t i = 0; i < g->in;) {
            int64_t group = g->count == 1 ? 0 : r * g->per_row + i / g->len;
            int64_t stop = (i / g->len + 1) * g->len;
            int64_t n = (stop < g->in ? stop : g->in) - i;
            void *to = d->dst + (size_t)((r - d->first) * g->in + i) * size;
            float *f;

            n = n < SEGMENT ? n : SEGMENT;
            f = d->dtype == SRQ_F32 ? to : part;
            if (has_minima(&d->c->scheme))
                decode_above(d->c->codes + r * g->in + i, d->c->scale[group],
                             d->c->super[(r * g->in + i) / K_SUPER * 2 + 1] * d->c->zero[group], f, n);
            else if (srq_scheme_is_even(&d->c->scheme))
                decode_run(d->c->codes + r * g->in + i, d->c->scale[group], d->c->zero[group], f, n);
            else
                look_up_run(d->c->codes + r * g->in + i, d->c->scale[group] / d->c->tensor_scale, d->element, f, n);
            if (f == part)
                srq_convert(part, SRQ_F32, to, d->dtype, n);
            i += n;
        }
    }
}

static struct decode decode_of(const struct srq_codes *c, int64_t first, void *dst, enum srq_dtype dtype)
{
    struct decode d = { .c = c, .dst = dst, .first = first, .dtype = dtype };

    for (int i = 0; !srq_scheme_is_even(&c->scheme) && i < 256; i++)
        d.element[i] = c->scheme.bits == 4 ? srq_e2m1_to_f32((uint8_t)(i & 15)) : srq_e4m3_to_f32((uint8_t)i);
    return d;
}

void srq_codes_decode_rows(const struct srq_codes *c, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    struct decode d = decode_of(c, row, dst, dtype);

    decode_rows(&d, row, row + rows);
}

int srq_codes_decode(const struct srq_codes *c, void *dst, enum srq_dtype dtype, struct srq_error *err)
{
    struct decode d = decode_of(c, 0, dst, dtype);

    if (dtype != SRQ_F32 && dtype != SRQ_BF16 && dtype != SRQ_F16)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "weights are not decoded into %s", srq_dtype_name(dtype));
    srq_parallel(c->groups.out, 16, decode_rows, &d);
    return 0;
}

/* What is wrong with a scale, or NULL. */
static const char *scale_fault(const struct srq_codes *c, float s)
{
    if (!isfinite(s))
        return "not finite";
    if (s == 0)
        return "zero";
    switch (c->scheme.grid) {
    case SRQ_GRID_INT_SYM:
    case SRQ_GRID_INT_ASYM:
        return srq_round_f16(s) != s ? "not a half-precision number" : NULL;
    case SRQ_GRID_MXFP4:
    case SRQ_GRID_MXFP8:
        return srq_e8m0_to_f32(srq_f32_to_e8m0(s)) != s ? "not a power of two of E8M0" : NULL;
    case SRQ_GRID_NVFP4:
        return s < 0 || srq_e4m3_to_f32(srq_f32_to_e4m3(s)) != s ? "not a positive number of E4M3" : NULL;
    default:
        return s < 0 ? "negative" : NULL;
    }
}

/* k-quants: what is shared by 256 weights, and how often each group has it. */
static int check_super(const struct srq_codes *c, const char *layer, struct srq_error *err)
{
    const struct k_type *t = k_type_of(c->scheme.bits);

    for (int64_t g = 0; g < c->groups.count; g++) {
        const float *super = c->super + g / t->groups * 2;
        float times = c->scale[g] / super[0];

        if (super[0] == 0 || !isfinite(super[0]) || srq_round_f16(super[0]) != super[0] ||
            !(super[1] >= 0 && srq_round_f16(super[1]) == super[1] && isfinite(super[1])))
            return srq_fail_field(err, -SRQ_ENUMERIC, layer,
                                  "the scales %g and %g of super-block %lld of %s are no half-precision numbers",
                                  (double)super[0], (double)super[1], (long long)(g / t->groups), layer);
        if (!(times >= (float)t->least && times <= (float)t->most) || times != rintf(times) || times == 0)
            return srq_fail_field(err, -SRQ_ENUMERIC, layer,
                                  "scale %g of group %lld of %s is %g times %g, which is not stored",
                                  (double)c->scale[g], (long long)g, layer, (double)times, (double)super[0]);
        if (t->minima ? c->zero[g] > t->most : c->zero[g] != -t->lo)
            return srq_fail_field(err, -SRQ_ENUMERIC, layer, "minimum %d of group %lld of %s is not stored", c->zero[g],
                                  (long long)g, layer);
    }
    return 0;
}

static int check_codes(const struct srq_codes *c, const char *layer, struct srq_error *err)
{
    int64_t n = c->groups.out * c->groups.in;
    int most = (1 << c->scheme.bits) - 1, top = 0, nans = 0;

    for (int64_t i = 0; i < n; i++) {
        top = c->codes[i] > top ? c->codes[i] : top;
        nans += (c->codes[i] & 0x7f) == 0x7f;
    }
    if (top > most)
        return srq_fail_field(err, -SRQ_ENUMERIC, layer, "code %d of %s passes %d", top, layer, most);
    if (nans > 0 && (c->scheme.grid == SRQ_GRID_MXFP8 || c->scheme.grid == SRQ_GRID_FP8))
        return srq_fail_field(err, -SRQ_ENUMERIC, layer, "%d codes of %s are NaN", nans, layer);
    return 0;
}

/* The scales and zero-points of other grids. */
static int check_groups(const struct srq_codes *c, const char *layer, struct srq_error *err)
{
    int most = srq_scheme_is_integer(&c->scheme) ? (1 << c->scheme.bits) - 1 : 0;

    for (int64_t g = 0; g < c->groups.count; g++) {
        const char *fault = scale_fault(c, c->scale[g]);

        if (fault != NULL)
            return srq_fail_field(err, -SRQ_ENUMERIC, layer, "scale %g of group %lld of %s is %s", (double)c->scale[g],
                                  (long long)g, layer, fault);
        if (c->zero[g] > most)
            return srq_fail_field(err, -SRQ_ENUMERIC, layer, "zero-point %d of group %lld of %s passes %d", c->zero[g],
                                  (long long)g, layer, most);
    }
    return 0;
}

int srq_codes_check(const struct srq_codes *c, const char *layer, struct srq_error *err)
{
    int rc;

    if (c->scheme.grid == SRQ_GRID_NVFP4 && !(isfinite(c->tensor_scale) && c->tensor_scale > 0))
        return srq_fail_field(err, -SRQ_ENUMERIC, layer, "the tensor scale %g of %s is not a positive number",
                              (double)c->tensor_scale, layer);
    rc = c->scheme.grid == SRQ_GRID_K ? check_super(c, layer, err) : check_groups(c, layer, err);
    return rc == 0 ? check_codes(c, layer, err) : rc;
}

/* Of the group's elements in row r: their weights' largest magnitude, or -1 where a code stands for more than zero. */
static float largest_at_zero(const struct srq_codes *c, const struct srq_tensor *weight, int64_t r, int64_t group)
{
    const struct srq_groups *g = &c->groups;
    int64_t begin = group % g->per_row * g->len, end = begin + g->len;
    const uint8_t *codes = c->codes + r * g->in;
    float part[SEGMENT], most = 0;

    end = end < g->in ? end : g->in;
    for (int64_t i = begin; i < end; i++)
        if (codes[i] != c->zero[group])
            return -1;
    for (int64_t i = begin; i < end; i += SEGMENT) {
        int64_t n = end - i < SEGMENT ? end - i : SEGMENT;

        (void)srq_convert((const char *)weight->data + (size_t)(r * g->in + i) * srq_dtype_size(weight->dtype),
                          weight->dtype, part, SRQ_F32, n);
        for (int64_t k = 0; k < n; k++)
            most = fmaxf(most, fabsf(part[k]));
    }
    return most;
}

int64_t srq_codes_erased(const struct srq_codes *c, const struct srq_tensor *weight, float *most)
{
    const struct srq_groups *g = &c->groups;
    int64_t erased = 0, rows = g->count > 0 ? g->out * g->per_row / g->count : 0;

    if (!srq_scheme_is_integer(&c->scheme))
        return 0;
    for (int64_t group = 0; group < g->count; group++) {
        float largest = 0, row = 0;

        if (fabsf(c->scale[group]) > int_scale_floor())
            continue;
        for (int64_t r = 0; row >= 0 && r < rows; r++) {
            row = largest_at_zero(c, weight, group / g->per_row + r, group);
            largest = fmaxf(largest, row);
        }
        if (row >= 0 && largest > 0) {
            *most = fmaxf(*most, largest);
            erased++;
        }
    }
    return erased;
}

double srq_codes_saturation(const struct srq_codes *c)
{
    int64_t n = c->groups.out * c->groups.in, ends = 0;
    uint8_t low = 0, high = (uint8_t)((1 << c->scheme.bits) - 1), mask = 0xff;

    if (!srq_scheme_is_even(&c->scheme)) { /* both signs of the largest magnitude; E4M3's is below its NaN */
        low = high = c->scheme.bits == 4 ? 0x07 : 0x7e;
        mask = c->scheme.bits == 4 ? 0x07 : 0x7f;
    }
    for (int64_t i = 0; i < n; i++) {
        uint8_t v = c->codes[i] & mask;

        ends += v == low || v == high;
    }
    return n > 0 ? (double)ends / (double)n : 0;
}
