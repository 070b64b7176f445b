/* Shapes and packing of compressed-tensors layers. */
#include "core/grid/pack_ct.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/team.h"

#include <inttypes.h>

const char *srq_ct_format(const struct srq_scheme *s)
{
    if (srq_scheme_has_act(s))
        return s->grid == SRQ_GRID_INT_SYM ? "int-quantized" : NULL;
    switch (s->grid) {
    case SRQ_GRID_INT_SYM:
    case SRQ_GRID_INT_ASYM:
        return "pack-quantized";
    case SRQ_GRID_MXFP4:
        return "mxfp4-pack-quantized";
    case SRQ_GRID_MXFP8:
        return "mxfp8-quantized";
    case SRQ_GRID_NVFP4:
        return "nvfp4-pack-quantized";
    case SRQ_GRID_FP8:
        return "float-quantized";
    default:
        return NULL;
    }
}

static void add(struct srq_ct *p, const char *suffix, enum srq_dtype dtype, int rank, int64_t a, int64_t b)
{
    int64_t shape[2] = { a, b };

    p->part[p->count++] = (struct srq_plane){ suffix, srq_tensor_make(NULL, dtype, rank, shape) };
}

static int init_integer(struct srq_ct *p, struct srq_error *err)
{
    const struct srq_groups *g = &p->groups;
    int bits = p->scheme.bits;

    if (bits != 4 && bits != 8)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "compressed-tensors holds integers of 4 or 8 bits, not %d", bits);
    if (p->scheme.group == 0)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "compressed-tensors has no integer group that spans the whole tensor");
    if (g->out % 32 != 0 || g->in % 32 != 0)
        return srq_fail(err, -SRQ_EUNSUPPORTED,
                        "a weight of %" PRId64 " x %" PRId64 " does not fill words: both must be multiples of 32",
                        g->out, g->in);
    if (srq_scheme_has_act(&p->scheme)) { /* kernels take the codes as they are, one in a byte */
        add(p, "weight", SRQ_I8, 2, g->out, g->in);
        add(p, "weight_scale", SRQ_F16, 2, g->out, g->per_row);
        return 0;
    }
    add(p, "weight_packed", SRQ_I32, 2, g->out, g->in * bits / 32);
    add(p, "weight_scale", SRQ_F16, 2, g->out, g->per_row);
    add(p, "weight_shape", SRQ_I64, 1, 2, 0);
    if (p->scheme.grid == SRQ_GRID_INT_ASYM)
        add(p, "weight_zero_point", SRQ_I32, 2, g->out * bits / 32, g->per_row);
    return 0;
}

int srq_ct_init(struct srq_ct *p, const struct srq_scheme *s, int64_t out, int64_t in, struct srq_error *err)
{
    struct srq_groups g;

    *p = (struct srq_ct){ .scheme = *s };
    if (out <= 0 || in <= 0 || out > INT32_MAX || in > INT32_MAX)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "a weight of %" PRId64 " x %" PRId64 " cannot be packed", out, in);
    if (srq_scheme_has_act(s) && s->grid != SRQ_GRID_INT_SYM)
        return srq_fail(err, -SRQ_EUNSUPPORTED,
                        "compressed-tensors holds symmetric integers only where activations are quantized");
    p->groups = g = srq_groups_of(out, in, s->group);
    if (s->group != 0 && in % g.len != 0)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "group %d does not divide rows of %" PRId64 " elements", s->group, in);
    if (srq_scheme_is_integer(s))
        return init_integer(p, err);
    if ((s->grid == SRQ_GRID_MXFP4 || s->grid == SRQ_GRID_MXFP8 || s->grid == SRQ_GRID_NVFP4) && g.len != s->group)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "rows of %" PRId64 " elements are shorter than a group of %d", in,
                        s->group);
    switch (s->grid) {
    case SRQ_GRID_MXFP4:
    case SRQ_GRID_NVFP4:
        add(p, "weight_packed", SRQ_U8, 2, out, in / 2);
        add(p, "weight_scale", s->grid == SRQ_GRID_MXFP4 ? SRQ_U8 : SRQ_F8_E4M3, 2, out, g.per_row);
        if (s->grid == SRQ_GRID_NVFP4)
            add(p, "weight_global_scale", SRQ_F32, 1, 1, 0);
        return 0;
    case SRQ_GRID_MXFP8:
        add(p, "weight", SRQ_F8_E4M3, 2, out, in);
        add(p, "weight_scale", SRQ_U8, 2, out, g.per_row);
        return 0;
    case SRQ_GRID_FP8:
        add(p, "weight", SRQ_F8_E4M3, 2, out, in);
        if (s->group == 0)
            add(p, "weight_scale", SRQ_F32, 1, 1, 0);
        else
            add(p, "weight_scale", SRQ_F32, 2, out, g.per_row);
        return 0;
    default:
        return srq_fail(err, -SRQ_EUNSUPPORTED, "compressed-tensors does not hold this grid, gguf does");
    }
}

int srq_ct_alloc(struct srq_ct *p, struct srq_error *err)
{
    p->owned = true;
    for (int i = 0; i < p->count; i++) {
        size_t bytes;

        if (srq_tensor_bytes(&p->part[i].t, &bytes))
            p->part[i].t.data = srq_malloc(bytes);
        if (p->part[i].t.data == NULL) {
            srq_ct_fini(p);
            return srq_fail(err, -SRQ_ENOMEM, "out of memory packing a weight of %" PRId64 " x %" PRId64, p->groups.out,
                            p->groups.in);
        }
    }
    return 0;
}

void srq_ct_fini(struct srq_ct *p)
{
    for (int i = 0; p->owned && i < p->count; i++) {
        srq_free(p->part[i].t.data);
        p->part[i].t.data = NULL;
    }
    p->owned = false;
}

/* ---- packing ----------------------------------------------------------------------------------------------------- */

struct packing {
    const struct srq_codes *c;
    struct srq_ct *p;
};

static void pack_words(const uint8_t *codes, int64_t stride, int bits, int64_t words, int64_t word_stride,
                       uint32_t *dst)
{
    int each = 32 / bits;

    for (int64_t w = 0; w < words; w++) {
        uint32_t word = 0;

        for (int k = 0; k < each; k++)
            word |= (uint32_t)codes[(w * each + k) * stride] << (bits * k);
        dst[w * word_stride] = word;
    }
}

SRQ_SIMD static void pack_nibbles(const uint8_t *codes, int64_t bytes, uint8_t *dst)
{
    for (int64_t i = 0; i < bytes; i++)
        dst[i] = (uint8_t)(codes[2 * i] | codes[2 * i + 1] << 4);
}

/* q = code - 2^(bits-1) */
static void pack_signed(const uint8_t *codes, int64_t n, int bits, int8_t *dst)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = (int8_t)(codes[i] - (1 << (bits - 1)));
}

static void pack_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct packing *k = ctx;
    int64_t in = k->c->groups.in;
    int bits = k->c->scheme.bits;
    void *to = k->p->part[0].t.data;

    for (int64_t r = begin; r < end; r++) {
        const uint8_t *codes = k->c->codes + r * in;

        if (k->p->part[0].t.dtype == SRQ_I8)
            pack_signed(codes, in, bits, (int8_t *)to + r * in);
        else if (srq_scheme_is_integer(&k->c->scheme))
            pack_words(codes, 1, bits, in * bits / 32, 1, (uint32_t *)to + r * (in * bits / 32));
        else if (bits == 4)
            pack_nibbles(codes, in / 2, (uint8_t *)to + r * (in / 2));
        else
            memcpy((uint8_t *)to + r * in, codes, (size_t)in);
    }
}

static void pack_scales(const struct srq_codes *c, const struct srq_ct *p)
{
    void *to = p->part[1].t.data;

    for (int64_t i = 0; i < c->groups.count; i++) {
        switch (p->part[1].t.dtype) {
        case SRQ_F16:
            ((uint16_t *)to)[i] = srq_f32_to_f16(c->scale[i]);
            break;
        case SRQ_F8_E4M3:
            ((uint8_t *)to)[i] = srq_f32_to_e4m3(c->scale[i]);
            break;
        case SRQ_U8:
            ((uint8_t *)to)[i] = srq_f32_to_e8m0(c->scale[i]);
            break;
        default:
            ((float *)to)[i] = c->scale[i];
            break;
        }
    }
}

int srq_ct_pack(const struct srq_codes *c, struct srq_ct *p, struct srq_error *err)
{
    struct packing k = { c, p };
    const struct srq_groups *g = &p->groups;

    if (c->scheme.grid != p->scheme.grid || c->scheme.bits != p->scheme.bits || c->groups.out != g->out ||
        c->groups.in != g->in || c->groups.count != g->count)
        return srq_fail(err, -SRQ_EINVAL, "codes of %d bits, %" PRId64 " x %" PRId64 " do not fit the layer as planned",
                        c->scheme.bits, c->groups.out, c->groups.in);
    srq_parallel(g->out, 16, pack_rows, &k);
    pack_scales(c, p);
    if (p->scheme.grid == SRQ_GRID_NVFP4)
        memcpy(p->part[2].t.data, &c->tensor_scale, sizeof(float));
    if (p->part[0].t.dtype == SRQ_I32)
        memcpy(p->part[2].t.data, (int64_t[]){ g->out, g->in }, 2 * sizeof(int64_t));
    if (p->scheme.grid == SRQ_GRID_INT_ASYM)
        for (int64_t j = 0; j < g->per_row; j++)
            pack_words(c->zero + j, g->per_row, p->scheme.bits, g->out * p->scheme.bits / 32, g->per_row,
                       (uint32_t *)p->part[3].t.data + j);
    return 0;
}
