/* Unpacking of compressed-tensors layers: each field is located by arithmetic of its own position. */
#include "core/grid/pack_ct.h"

#include <inttypes.h>
#include <math.h>

/* Field k of `bits` bits, 4 or 8, in little-endian bytes. */
static inline uint8_t field(const uint8_t *bytes, int64_t k, int bits)
{
    return bits == 8 ? bytes[k] : (uint8_t)(bytes[k / 2] >> 4 * (k % 2) & 15);
}

/* Byte b of the 32-bit word w of an array whose words are `stride` apart. */
static inline uint8_t byte_of(const uint32_t *words, int64_t stride, int64_t b)
{
    return (uint8_t)(words[b / 4 * stride] >> 8 * (b % 4));
}

static void read_codes(const struct srq_ct *p, int64_t row, int64_t rows, uint8_t *codes)
{
    int64_t in = p->groups.in, row_bytes = in * p->scheme.bits / 8;
    const struct srq_tensor *t = &p->part[0].t;

    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *bytes = (const uint8_t *)t->data + (row + r) * row_bytes;
        const uint32_t *words = (const uint32_t *)t->data + (row + r) * (row_bytes / 4);

        for (int64_t i = 0; i < in; i++) {
            if (t->dtype == SRQ_I8) {
                codes[r * in + i] =
                    (uint8_t)(((const int8_t *)t->data)[(row + r) * in + i] + (1 << (p->scheme.bits - 1)));
            } else if (t->dtype == SRQ_I32) {
                uint8_t b = byte_of(words, 1, i * p->scheme.bits / 8);

                codes[r * in + i] = p->scheme.bits == 8 ? b : (uint8_t)(b >> 4 * (i % 2) & 15);
            } else {
                codes[r * in + i] = field(bytes, i, p->scheme.bits);
            }
        }
    }
}

static float read_scale(const struct srq_tensor *t, int64_t i)
{
    float f = 0;

    switch (t->dtype) {
    case SRQ_F16:
        return srq_f16_to_f32(((const uint16_t *)t->data)[i]);
    case SRQ_BF16:
        return srq_bf16_to_f32(((const uint16_t *)t->data)[i]);
    case SRQ_F8_E4M3:
        return srq_e4m3_to_f32(((const uint8_t *)t->data)[i]);
    case SRQ_U8:
        return srq_e8m0_to_f32(((const uint8_t *)t->data)[i]);
    default:
        memcpy(&f, (const float *)t->data + i, sizeof(f));
        return f;
    }
}

static void read_zeros(const struct srq_ct *p, int64_t row, int64_t rows, uint8_t *zero)
{
    int64_t per_row = p->groups.per_row;
    int bits = p->scheme.bits;

    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < per_row; j++) {
            int64_t k = row + r;
            uint8_t b;

            if (p->scheme.grid != SRQ_GRID_INT_ASYM) {
                zero[r * per_row + j] = p->scheme.grid == SRQ_GRID_INT_SYM ? (uint8_t)(1 << (bits - 1)) : 0;
                continue;
            }
            b = byte_of((const uint32_t *)p->part[3].t.data + j, per_row, k * bits / 8);
            zero[r * per_row + j] = bits == 8 ? b : (uint8_t)(b >> 4 * (k % 2) & 15);
        }
    }
}

static int check_values(const struct srq_ct *p, int64_t row, int64_t rows, const uint8_t *codes, const float *scale,
                        int64_t scales, float tensor_scale, struct srq_error *err)
{
    bool integer = srq_scheme_is_integer(&p->scheme);

    for (int64_t i = 0; i < scales; i++)
        if (!isfinite(scale[i]) || (!integer && scale[i] < 0))
            return srq_fail(err, -SRQ_ENUMERIC, "row %" PRId64 ": weight_scale holds a value that is %s",
                            row + i / p->groups.per_row, isfinite(scale[i]) ? "negative" : "not finite");
    if (!isfinite(tensor_scale) || !(tensor_scale > 0))
        return srq_fail(err, -SRQ_ENUMERIC, "weight_global_scale %g is not a positive number", (double)tensor_scale);
    if (p->part[0].t.dtype == SRQ_I8)
        for (int64_t i = 0; i < rows * p->groups.in; i++)
            if (codes[i] >> p->scheme.bits != 0)
                return srq_fail(err, -SRQ_ENUMERIC, "row %" PRId64 " holds a code of more than %d bits",
                                row + i / p->groups.in, p->scheme.bits);
    if (integer || p->scheme.bits != 8)
        return 0;
    for (int64_t i = 0; i < rows * p->groups.in; i++)
        if ((codes[i] & 0x7f) == 0x7f)
            return srq_fail(err, -SRQ_ENUMERIC, "row %" PRId64 " holds NaN", row + i / p->groups.in);
    return 0;
}

int srq_ct_unpack_rows(const struct srq_ct *p, int64_t row, int64_t rows, uint8_t *codes, float *scale, uint8_t *zero,
                       float *tensor_scale, struct srq_error *err)
{
    int64_t per_row = p->groups.per_row, scales = p->scheme.group == 0 ? 1 : rows * per_row;

    read_codes(p, row, rows, codes);
    for (int64_t i = 0; i < scales; i++)
        scale[i] = read_scale(&p->part[1].t, p->scheme.group == 0 ? 0 : row * per_row + i);
    if (p->scheme.group == 0)
        zero[0] = 0;
    else
        read_zeros(p, row, rows, zero);
    *tensor_scale = p->scheme.grid == SRQ_GRID_NVFP4 ? read_scale(&p->part[2].t, 0) : 1;
    return check_values(p, row, rows, codes, scale, scales, *tensor_scale, err);
}
