/* Super-blocks of k-quants: one table says where the parts of each type lie, so that writing and reading agree. */
#include "core/grid/pack_k.h"

#include "core/grid/pack_f16.h"

#include <string.h>

/* Bytes from the beginning of a super-block; -1: it has none. */
struct places {
    int low, high;     /* bits of the codes: the lower four or two, and what is above them */
    int multiples;     /* of scales and minima */
    int d, dmin, size; /* size: of the super-block */
};

static struct places places_of(const struct k_type *t)
{
    static const struct places places[] = {
        [2] = { 16, -1, 0, 80, 82, 84 }, [3] = { 32, 0, 96, 108, -1, 110 },   [4] = { 16, -1, 4, 0, 2, 144 },
        [5] = { 48, 16, 4, 0, 2, 176 },  [6] = { 0, 128, 192, 208, -1, 210 },
    };

    return places[t->bits];
}

/* ---- bits of the codes ------------------------------------------------------------------------------------------- */

/* Where element e's bits are: `wide` of them in byte `at` from bit `shift` on. */
struct bits {
    int at, shift, wide;
};

static struct bits low_bits(const struct k_type *t, int e)
{
    int half = e / 128, r = e % 128;

    switch (t->bits) {
    case 2:
    case 3:
        return (struct bits){ 32 * half + r % 32, 2 * (r / 32), 2 };
    case 6:
        return (struct bits){ 64 * half + r % 64, 4 * (r / 64), 4 };
    default:
        return (struct bits){ e / 64 * 32 + e % 32, 4 * (e % 64 / 32), 4 };
    }
}

static struct bits high_bits(const struct k_type *t, int e)
{
    if (t->bits == 6)
        return (struct bits){ e / 128 * 32 + e % 32, 2 * (e % 128 / 32), 2 };
    return (struct bits){ e % 32, e / 32, 1 };
}

static void put(uint8_t *dst, struct bits b, int value)
{
    dst[b.at] |= (uint8_t)((value & ((1 << b.wide) - 1)) << b.shift);
}

static int get(const uint8_t *src, struct bits b)
{
    return src[b.at] >> b.shift & ((1 << b.wide) - 1);
}

/* ---- multiples --------------------------------------------------------------------------------------------------- */

/* Six bits each, in twelve bytes: j of 0 … 15, of which the types with minima have those at 8 and up. The lower bits,
 * and those above them; none there where the first has all. */
static void six_bits(const struct k_type *t, int j, struct bits out[2])
{
    int of = j % 8, half = j / 8;

    if (!t->minima) {
        out[0] = (struct bits){ of, 4 * half, 4 };
        out[1] = (struct bits){ 8 + j % 4, 2 * (j / 4), 2 };
    } else if (of < 4) {
        out[0] = (struct bits){ of + 4 * half, 0, 6 };
        out[1] = (struct bits){ 0, 0, 0 };
    } else {
        out[0] = (struct bits){ of + 4, 4 * half, 4 };
        out[1] = (struct bits){ of - 4 + 4 * half, 6, 2 };
    }
}

static void put_six(const struct k_type *t, uint8_t *dst, int j, int value)
{
    struct bits b[2];

    six_bits(t, j, b);
    put(dst, b[0], value);
    put(dst, b[1], value >> b[0].wide);
}

static int get_six(const struct k_type *t, const uint8_t *src, int j)
{
    struct bits b[2];

    six_bits(t, j, b);
    return get(src, b[0]) | get(src, b[1]) << b[0].wide;
}

/* Those of group j: `m` has a meaning where there are minima. */
static void put_multiples(const struct k_type *t, uint8_t *dst, int j, int s, int m)
{
    if (t->bits == 2) {
        dst[j] = (uint8_t)(s | m << 4);
    } else if (t->bits == 6) {
        dst[j] = (uint8_t)s; /* signed */
    } else if (t->bits == 3) {
        put_six(t, dst, j, s + 32);
    } else {
        put_six(t, dst, j, s);
        put_six(t, dst, 8 + j, m);
    }
}

static void get_multiples(const struct k_type *t, const uint8_t *src, int j, int *s, int *m)
{
    *m = 0;
    if (t->bits == 2) {
        *s = src[j] & 15;
        *m = src[j] >> 4;
    } else if (t->bits == 6) {
        *s = (int8_t)src[j];
    } else if (t->bits == 3) {
        *s = get_six(t, src, j) - 32;
    } else {
        *s = get_six(t, src, j);
        *m = get_six(t, src, 8 + j);
    }
}

/* ---- super-blocks ------------------------------------------------------------------------------------------------ */

void k_pack(const struct srq_codes *c, int64_t at, uint8_t *dst)
{
    const struct k_type *t = k_type_of(c->scheme.bits);
    const struct places p = places_of(t);
    const uint8_t *code = c->codes + at * K_SUPER;
    const float *super = c->super + 2 * at;

    memset(dst, 0, (size_t)p.size);
    for (int e = 0; e < K_SUPER; e++) {
        struct bits low = low_bits(t, e);

        put(dst + p.low, low, code[e]);
        if (p.high >= 0)
            put(dst + p.high, high_bits(t, e), code[e] >> low.wide);
    }
    for (int j = 0; j < t->groups; j++) {
        int64_t group = at * t->groups + j;

        put_multiples(t, dst + p.multiples, j, (int)(c->scale[group] / super[0]), c->zero[group]);
    }
    put_f16(dst + p.d, super[0]);
    if (p.dmin >= 0)
        put_f16(dst + p.dmin, super[1]);
}

void k_unpack(const struct k_type *t, const uint8_t *src, float dst[K_SUPER])
{
    const struct places p = places_of(t);
    float d = get_f16(src + p.d), dmin = p.dmin >= 0 ? get_f16(src + p.dmin) : 0;

    for (int j = 0; j < t->groups; j++) {
        int s, m;

        get_multiples(t, src + p.multiples, j, &s, &m);
        for (int e = j * t->len; e < (j + 1) * t->len; e++) {
            struct bits low = low_bits(t, e);
            int code = get(src + p.low, low);

            if (p.high >= 0)
                code |= get(src + p.high, high_bits(t, e)) << low.wide;
            dst[e] = d * (float)s * (float)(code + t->lo) - dmin * (float)m;
        }
    }
}
