/* Blocks of GGUF: 32 elements, what they share first, then their codes; or the super-blocks of k-quants. */
#include "core/grid/pack_gguf.h"

#include "core/grid/pack_f16.h"
#include "core/grid/pack_k.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK 32

/* Types of k-quants follow one another, by bits. */
static const struct srq_gguf_type *type_of_k(const struct k_type *t)
{
    return srq_gguf_type(SRQ_GGUF_Q2_K + (uint32_t)t->bits - 2);
}

/* NULL: it is none of them. */
static const struct k_type *k_of_type(const struct srq_gguf_type *type)
{
    return type->id < SRQ_GGUF_Q2_K ? NULL : k_type_of((int)(type->id - SRQ_GGUF_Q2_K) + 2);
}

const struct srq_gguf_type *srq_gguf_type_for(const struct srq_scheme *s, int64_t in, struct srq_error *err)
{
    const int64_t len = s->group > 0 && s->group < in ? s->group : in;
    char text[64];

    srq_scheme_text(s, text, sizeof(text));
    if (srq_scheme_has_act(s)) {
        srq_fail(err, -SRQ_EUNSUPPORTED, "gguf says nothing of how inputs are rounded (%s)", text);
        return NULL;
    }
    if (s->grid == SRQ_GRID_MXFP4 && in % BLOCK == 0)
        return srq_gguf_type(SRQ_GGUF_MXFP4);
    if (s->grid == SRQ_GRID_K && in % K_SUPER == 0)
        return type_of_k(k_type_of(s->bits));
    if (s->grid != SRQ_GRID_INT_SYM || (s->bits != 4 && s->bits != 5 && s->bits != 8)) {
        srq_fail(
            err, -SRQ_EUNSUPPORTED,
            "no type of gguf holds %s as it is: there are symmetric integers of 4, 5 and 8 bits, k-quants and mxfp4",
            text);
        return NULL;
    }
    if (in % BLOCK != 0 || len % BLOCK != 0) {
        srq_fail(err, -SRQ_EUNSUPPORTED,
                 "%s in rows of %" PRId64
                 ": a block of gguf is %d weights with one scale, and groups are made of blocks",
                 text, in, BLOCK);
        return NULL;
    }
    return srq_gguf_type(s->bits == 4 ? SRQ_GGUF_Q4_0 : s->bits == 5 ? SRQ_GGUF_Q5_0 : SRQ_GGUF_Q8_0);
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* The low four bits of elements j and j + 16 share a byte. */
static void put_nibbles(uint8_t *dst, const uint8_t *q)
{
    for (int j = 0; j < BLOCK / 2; j++)
        dst[j] = (uint8_t)((q[j] & 15) | (q[j + BLOCK / 2] & 15) << 4);
}

static void put_fifth_bits(uint8_t *dst, const uint8_t *q)
{
    memset(dst, 0, BLOCK / 8);
    for (int e = 0; e < BLOCK; e++)
        dst[e / 8] |= (uint8_t)((q[e] >> 4 & 1) << e % 8);
}

/* One block of integers or mxfp4. */
static void pack_block(const struct srq_gguf_type *type, const uint8_t *q, float scale, uint8_t *dst)
{
    switch (type->id) {
    case SRQ_GGUF_Q4_0:
        put_f16(dst, scale);
        put_nibbles(dst + 2, q);
        break;
    case SRQ_GGUF_Q5_0:
        put_f16(dst, scale);
        put_fifth_bits(dst + 2, q);
        put_nibbles(dst + 2 + BLOCK / 8, q);
        break;
    case SRQ_GGUF_Q8_0:
        put_f16(dst, scale);
        for (int e = 0; e < BLOCK; e++)
            dst[2 + e] = q[e] ^ 0x80; /* less 128, as a signed byte */
        break;
    default:
        dst[0] = srq_f32_to_e8m0(scale);
        put_nibbles(dst + 1, q);
    }
}

void srq_gguf_pack_row(const struct srq_codes *c, const struct srq_gguf_type *type, int64_t row, uint8_t *dst)
{
    const struct srq_groups *g = &c->groups;
    const bool super = k_of_type(type) != NULL;

    for (int64_t i = 0; i < g->in; i += type->block, dst += type->bytes) {
        if (super)
            k_pack(c, (row * g->in + i) / K_SUPER, dst);
        else
            pack_block(type, c->codes + row * g->in + i, c->scale[g->count == 1 ? 0 : row * g->per_row + i / g->len],
                       dst);
    }
}

/* ---- unpacking --------------------------------------------------------------------------------------------------- */

static int nibble(const uint8_t *src, int e)
{
    return e < BLOCK / 2 ? src[e] & 15 : src[e - BLOCK / 2] >> 4;
}

static int fifth_bit(const uint8_t *src, int e)
{
    return (src[e / 8] >> e % 8 & 1) << 4;
}

bool srq_gguf_unpacks(const struct srq_gguf_type *type)
{
    switch (type->id) {
    case SRQ_GGUF_Q4_0:
    case SRQ_GGUF_Q4_1:
    case SRQ_GGUF_Q5_0:
    case SRQ_GGUF_Q5_1:
    case SRQ_GGUF_Q8_0:
    case SRQ_GGUF_MXFP4:
        return true;
    default:
        return k_of_type(type) != NULL;
    }
}

/* Element e of a block of integers or mxfp4. */
static float element(const struct srq_gguf_type *type, const uint8_t *src, int e)
{
    switch (type->id) {
    case SRQ_GGUF_Q4_0:
        return get_f16(src) * (float)(nibble(src + 2, e) - 8);
    case SRQ_GGUF_Q4_1: /* the least value follows the scale */
        return get_f16(src) * (float)nibble(src + 4, e) + get_f16(src + 2);
    case SRQ_GGUF_Q5_0:
        return get_f16(src) * (float)((nibble(src + 6, e) | fifth_bit(src + 2, e)) - 16);
    case SRQ_GGUF_Q5_1:
        return get_f16(src) * (float)(nibble(src + 8, e) | fifth_bit(src + 4, e)) + get_f16(src + 2);
    case SRQ_GGUF_Q8_0:
        return get_f16(src) * (float)(int8_t)src[2 + e];
    default:
        return srq_e8m0_to_f32(src[0]) * srq_e2m1_to_f32((uint8_t)nibble(src + 1, e));
    }
}

void srq_gguf_unpack(const struct srq_gguf_type *type, const uint8_t *src, int64_t n, float *dst)
{
    const struct k_type *k = k_of_type(type);

    for (int64_t i = 0; i < n; i += type->block, src += type->bytes) {
        if (k != NULL)
            k_unpack(k, src, dst + i);
        for (int e = 0; k == NULL && e < BLOCK; e++)
            dst[i + e] = element(type, src, e);
    }
}
