/* Unpacking: each field is located by arithmetic of its own position, not by undoing the packers' loops. */
#include "core/grid/pack_layout.h"

#include <inttypes.h>

/* Field k of the bit stream whose word w is at words[w*stride]. */
static inline uint32_t stream_field(const uint32_t *words, int64_t stride, int64_t k, int bits)
{
    int64_t bit = k * bits;
    uint64_t two = words[bit / 32 * stride];

    if (bit % 32 + bits > 32)
        two |= (uint64_t)words[(bit / 32 + 1) * stride] << 32;
    return (uint32_t)(two >> bit % 32) & ((1u << bits) - 1);
}

/* Field of column `col` in a row of AWQ words: even columns lie in the low half of the word, odd ones in the high. */
static inline uint32_t awq_field(const uint32_t *row, int64_t col)
{
    int64_t in_word = col % 8, slot = in_word / 2 + (in_word % 2 ? 4 : 0);

    return row[col / 8] >> 4 * slot & 15;
}

static void unpack_codes(const struct srq_packed *p, int64_t row, int64_t rows, uint8_t *codes)
{
    const int64_t tile = 64;

    for (int64_t i0 = 0; i0 < p->in; i0 += tile) {
        int64_t i1 = i0 + tile < p->in ? i0 + tile : p->in;

        for (int64_t r = 0; r < rows; r++) {
            uint8_t *dst = codes + r * p->in;

            if (p->layout == SRQ_PACK_AWQ)
                for (int64_t i = i0; i < i1; i++)
                    dst[i] = (uint8_t)awq_field(p->qweight + i * p->qweight_shape[1], row + r);
            else
                for (int64_t i = i0; i < i1; i++)
                    dst[i] = (uint8_t)stream_field(p->qweight + row + r, p->out, i, p->bits);
        }
    }
}

int srq_unpack_rows(const struct srq_packed *p, int64_t row, int64_t rows, uint8_t *codes, float *scale, uint8_t *zero,
                    struct srq_error *err)
{
    uint32_t more = p->layout == SRQ_PACK_GPTQ_V1 ? 1 : 0;

    for (int64_t g = 0; g < p->groups; g++) {
        const uint32_t *words = p->qzeros + g * p->qzeros_shape[1];

        for (int64_t r = 0; r < rows; r++) {
            uint32_t z =
                p->layout == SRQ_PACK_AWQ ? awq_field(words, row + r) : stream_field(words, 1, row + r, p->bits);

            if (z + more >= 1u << p->bits)
                return srq_fail(err, -SRQ_ENUMERIC,
                                "row %" PRId64 ", group %" PRId64 ": the stored zero-point %" PRIu32
                                " means 2^%d, which readers disagree on",
                                row + r, g, z, p->bits);
            zero[r * p->groups + g] = (uint8_t)(z + more);
            scale[r * p->groups + g] = srq_f16_to_f32(p->scales[g * p->out + row + r]);
        }
    }
    unpack_codes(p, row, rows, codes);
    return 0;
}
