/* Element types: sizes, names, conversions. All rounding is to nearest, ties to even. */
#ifndef SRQ_TENSOR_DTYPE_H
#define SRQ_TENSOR_DTYPE_H

#include <srq/error.h>
#include <srq/types.h>

#include <string.h>

size_t srq_dtype_size(enum srq_dtype d);                     /* bytes of one element */
const char *srq_dtype_name(enum srq_dtype d);                /* safetensors spelling: "F32", "BF16", "F8_E4M3" … */
bool srq_dtype_parse(const char *name, enum srq_dtype *out); /* safetensors spelling */
bool srq_dtype_is_float(enum srq_dtype d);                   /* F16, BF16, F32, F64 */

static inline float srq_bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;

    memcpy(&f, &u, sizeof(f));
    return f;
}

/* NaN stays NaN (quiet). Without a branch, for loops. */
static inline uint16_t srq_f32_to_bf16(float f)
{
    uint32_t u, rounded, quiet;

    memcpy(&u, &f, sizeof(u));
    rounded = (u + 0x7fffu + (u >> 16 & 1)) >> 16;
    quiet = u >> 16 | 0x40u;
    return (uint16_t)((u & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

float srq_f16_to_f32(uint16_t h);
uint16_t srq_f32_to_f16(float f); /* overflow gives infinity */
static inline float srq_round_f16(float f)
{
    return srq_f16_to_f32(srq_f32_to_f16(f));
}

float srq_e4m3_to_f32(uint8_t b);
uint8_t srq_f32_to_e4m3(float f); /* saturates at ±448; NaN gives 0x7f */

float srq_e2m1_to_f32(uint8_t b); /* the low four bits: 0 0.5 1 1.5 2 3 4 6, bit 3 the sign */
uint8_t srq_f32_to_e2m1(float f); /* saturates at ±6; NaN gives 7 */
float srq_e8m0_to_f32(uint8_t b); /* 2^(b-127); 255 is NaN. 0 is no normal F32 */
uint8_t srq_f32_to_e8m0(
    float f); /* the power of two at or below |f|, for f from 2^-126 on; zero gives 0, NaN and infinity 255 */

/* Converts n contiguous elements; from F32, F16, BF16 to F32, F16 or BF16 (others: -SRQ_EUNSUPPORTED). One thread. */
int srq_convert(const void *src, enum srq_dtype from, void *dst, enum srq_dtype to, int64_t n);

#endif
