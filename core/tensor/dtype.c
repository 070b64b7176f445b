/* Element types and conversions. */
#include "core/tensor/dtype.h"

#include "core/base/simd.h"

#include <math.h>

static const struct {
    const char *name;
    size_t size;
} table[SRQ_DTYPE_COUNT] = {
    [SRQ_F32] = { "F32", 4 },         [SRQ_F16] = { "F16", 2 },         [SRQ_BF16] = { "BF16", 2 },
    [SRQ_F64] = { "F64", 8 },         [SRQ_I8] = { "I8", 1 },           [SRQ_U8] = { "U8", 1 },
    [SRQ_I16] = { "I16", 2 },         [SRQ_U16] = { "U16", 2 },         [SRQ_I32] = { "I32", 4 },
    [SRQ_U32] = { "U32", 4 },         [SRQ_I64] = { "I64", 8 },         [SRQ_U64] = { "U64", 8 },
    [SRQ_BOOL] = { "BOOL", 1 },       [SRQ_F8_E4M3] = { "F8_E4M3", 1 }, [SRQ_F8_E5M2] = { "F8_E5M2", 1 },
    [SRQ_F8_E8M0] = { "F8_E8M0", 1 },
};

size_t srq_dtype_size(enum srq_dtype d)
{
    return (unsigned)d < SRQ_DTYPE_COUNT ? table[d].size : 0;
}

const char *srq_dtype_name(enum srq_dtype d)
{
    return (unsigned)d < SRQ_DTYPE_COUNT ? table[d].name : "unknown";
}

bool srq_dtype_parse(const char *name, enum srq_dtype *out)
{
    for (int d = 0; d < SRQ_DTYPE_COUNT; d++) {
        if (strcmp(name, table[d].name) == 0) {
            *out = (enum srq_dtype)d;
            return true;
        }
    }
    return false;
}

bool srq_dtype_is_float(enum srq_dtype d)
{
    return d == SRQ_F32 || d == SRQ_F16 || d == SRQ_BF16 || d == SRQ_F64;
}

float srq_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exp = h >> 10 & 31, man = h & 0x3ffu;
    uint32_t u;
    float f;

    if (exp == 31) {
        u = sign | 0x7f800000u | man << 13;
    } else if (exp != 0) {
        u = sign | (exp + 112) << 23 | man << 13;
    } else { /* zero and subnormals: man * 2^-24 is exact in f32 */
        f = (float)man * 0x1p-24f;
        memcpy(&u, &f, sizeof(u));
        u |= sign;
    }
    memcpy(&f, &u, sizeof(f));
    return f;
}

uint16_t srq_f32_to_f16(float f)
{
    uint32_t u, sign, abs;

    memcpy(&u, &f, sizeof(u));
    sign = u >> 16 & 0x8000u;
    abs = u & 0x7fffffffu;
    if (abs > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (abs >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (abs < 0x38800000u) { /* below 2^-14: a multiple of 2^-24; adding 0.5 rounds to even there */
        float a;

        memcpy(&a, &abs, sizeof(a));
        a += 0.5f;
        memcpy(&abs, &a, sizeof(abs));
        return (uint16_t)(sign | (abs - 0x3f000000u));
    }
    return (uint16_t)(sign | ((abs + 0xfffu + (abs >> 13 & 1) - 0x38000000u) >> 13));
}

float srq_e4m3_to_f32(uint8_t b)
{
    int exp = b >> 3 & 15, man = b & 7;
    float v;

    if (exp == 15 && man == 7)
        v = NAN;
    else if (exp == 0)
        v = (float)man * 0x1p-9f;
    else
        v = ldexpf((float)(8 + man), exp - 10);
    return b & 0x80 ? -v : v;
}

uint8_t srq_f32_to_e4m3(float f)
{
    uint8_t sign = signbit(f) ? 0x80 : 0;
    float a = fabsf(f);
    int exp;
    float q;

    if (isnan(f))
        return 0x7f;
    if (a >= 448.0f)
        return sign | 0x7e;
    if (a < 0x1p-6f) /* subnormals: multiples of 2^-9; 8 becomes the smallest normal */
        return sign | (uint8_t)rintf(a * 0x1p9f);
    exp = ilogbf(a);
    q = rintf(ldexpf(a, 3 - exp)); /* 8 … 16 */
    if (q >= 16.0f) {
        q = 8.0f;
        exp++;
    }
    return sign | (uint8_t)((exp + 7) << 3 | ((int)q - 8));
}

float srq_e2m1_to_f32(uint8_t b)
{
    static const float element[8] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };

    return b & 8 ? -element[b & 7] : element[b & 7];
}

uint8_t srq_f32_to_e2m1(float f)
{
    uint8_t sign = signbit(f) ? 8 : 0;
    float a = fabsf(f);

    if (isnan(f))
        return 7;
    if (a > 5)
        return sign | 7;
    if (a < 2)
        return sign | (uint8_t)rintf(a * 2); /* codes 0 … 4 */
    return sign | (uint8_t)(a < 4 ? 2 + rintf(a) : 4 + rintf(a / 2));
}

/* By bits: arithmetic may flush 2^-127. */
float srq_e8m0_to_f32(uint8_t b)
{
    uint32_t u = b == 255 ? 0x7fc00000u : b == 0 ? 0x00400000u : (uint32_t)b << 23;
    float f;

    memcpy(&f, &u, sizeof(f));
    return f;
}

uint8_t srq_f32_to_e8m0(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof(u));
    return (uint8_t)(u >> 23);
}

SRQ_SIMD static void bf16_to_f32(const uint16_t *s, float *d, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        d[i] = srq_bf16_to_f32(s[i]);
}

SRQ_SIMD static void f32_to_bf16(const float *s, uint16_t *d, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        d[i] = srq_f32_to_bf16(s[i]);
}

int srq_convert(const void *src, enum srq_dtype from, void *dst, enum srq_dtype to, int64_t n)
{
    if (from == to && srq_dtype_is_float(from)) {
        memcpy(dst, src, (size_t)n * srq_dtype_size(from));
        return 0;
    }
    if (from == SRQ_BF16 && to == SRQ_F32) {
        bf16_to_f32(src, dst, n);
    } else if (from == SRQ_F32 && to == SRQ_BF16) {
        f32_to_bf16(src, dst, n);
    } else if (from == SRQ_F16 && to == SRQ_F32) {
        for (int64_t i = 0; i < n; i++)
            ((float *)dst)[i] = srq_f16_to_f32(((const uint16_t *)src)[i]);
    } else if (from == SRQ_F32 && to == SRQ_F16) {
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = srq_f32_to_f16(((const float *)src)[i]);
    } else if (from == SRQ_BF16 && to == SRQ_F16) {
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = srq_f32_to_f16(srq_bf16_to_f32(((const uint16_t *)src)[i]));
    } else if (from == SRQ_F16 && to == SRQ_BF16) {
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)dst)[i] = srq_f32_to_bf16(srq_f16_to_f32(((const uint16_t *)src)[i]));
    } else {
        return -SRQ_EUNSUPPORTED;
    }
    return 0;
}
