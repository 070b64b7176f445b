/* Shapes of packed layers, and the checks that every layout shares. */
#include "core/grid/pack_layout.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/grid/pack_fields.h"
#include "core/math/team.h"

#include <inttypes.h>
#include <string.h>

static const char *layout_name(enum srq_pack_layout layout)
{
    switch (layout) {
    case SRQ_PACK_GPTQ_V1:
        return "GPTQ v1";
    case SRQ_PACK_GPTQ_V2:
        return "GPTQ v2";
    case SRQ_PACK_AWQ:
        return "AWQ";
    }
    return "unknown";
}

static int check_shape(enum srq_pack_layout layout, int bits, int group, int64_t out, int64_t in, struct srq_error *err)
{
    const char *name = layout_name(layout);

    if (layout == SRQ_PACK_AWQ ? bits != 4 : bits != 2 && bits != 3 && bits != 4 && bits != 8)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "the %s layout holds %s bits, not %d", name,
                        layout == SRQ_PACK_AWQ ? "4" : "2, 3, 4 or 8", bits);
    if (group == 0 || group < -1)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "the %s layout has no %s", name,
                        group == 0 ? "group that spans the whole tensor" : "such group size");
    if (out <= 0 || in <= 0 || out > INT32_MAX || in > INT32_MAX)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "a weight of %" PRId64 " x %" PRId64 " cannot be packed", out, in);
    if (out % 32 != 0 || in % 32 != 0)
        return srq_fail(err, -SRQ_EUNSUPPORTED,
                        "a weight of %" PRId64 " x %" PRId64 " does not fill words: both must be multiples of 32", out,
                        in);
    if (group > 0 && group < in && in % group != 0)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "group %d does not divide rows of %" PRId64 " elements", group, in);
    return 0;
}

int srq_packed_init(struct srq_packed *p, enum srq_pack_layout layout, int bits, int group, int64_t out, int64_t in,
                    struct srq_error *err)
{
    int rc = check_shape(layout, bits, group, out, in, err);

    if (rc != 0)
        return rc;
    memset(p, 0, sizeof(*p));
    p->layout = layout;
    p->bits = bits;
    p->out = out;
    p->in = in;
    p->group = group < 0 || group > in ? in : group;
    p->groups = in / p->group;
    p->qweight_shape[0] = layout == SRQ_PACK_AWQ ? in : in * bits / 32;
    p->qweight_shape[1] = layout == SRQ_PACK_AWQ ? out / 8 : out;
    p->qzeros_shape[0] = p->groups;
    p->qzeros_shape[1] = out * bits / 32;
    return 0;
}

int srq_packed_planes(const struct srq_packed *p, bool indexed, const int32_t *g_idx, struct srq_plane out[SRQ_PLANES])
{
    const int64_t scales[2] = { p->groups, p->out };

    out[0] = (struct srq_plane){ "qweight", srq_tensor_make(p->qweight, SRQ_I32, 2, p->qweight_shape) };
    out[1] = (struct srq_plane){ "qzeros", srq_tensor_make(p->qzeros, SRQ_I32, 2, p->qzeros_shape) };
    out[2] = (struct srq_plane){ "scales", srq_tensor_make(p->scales, SRQ_F16, 2, scales) };
    if (indexed)
        out[3] = (struct srq_plane){ "g_idx", srq_tensor_make((void *)(uintptr_t)g_idx, SRQ_I32, 1, &p->in) };
    return indexed ? 4 : 3;
}

size_t srq_packed_qweight_bytes(const struct srq_packed *p)
{
    return (size_t)(p->qweight_shape[0] * p->qweight_shape[1]) * sizeof(uint32_t);
}

size_t srq_packed_qzeros_bytes(const struct srq_packed *p)
{
    return (size_t)(p->qzeros_shape[0] * p->qzeros_shape[1]) * sizeof(uint32_t);
}

size_t srq_packed_scales_bytes(const struct srq_packed *p)
{
    return (size_t)(p->groups * p->out) * sizeof(uint16_t);
}

int srq_packed_alloc(struct srq_packed *p, struct srq_error *err)
{
    p->qweight = srq_malloc(srq_packed_qweight_bytes(p));
    p->qzeros = srq_malloc(srq_packed_qzeros_bytes(p));
    p->scales = srq_malloc(srq_packed_scales_bytes(p));
    if (p->qweight != NULL && p->qzeros != NULL && p->scales != NULL)
        return 0;
    srq_packed_fini(p);
    return srq_fail(err, -SRQ_ENOMEM, "out of memory packing a weight of %" PRId64 " x %" PRId64, p->out, p->in);
}

void srq_packed_fini(struct srq_packed *p)
{
    srq_free(p->qweight);
    srq_free(p->qzeros);
    srq_free(p->scales);
    p->qweight = p->qzeros = NULL;
    p->scales = NULL;
}

static int check_codes(const struct srq_codes *c, const struct srq_packed *p, struct srq_error *err)
{
    bool asym = c->scheme.grid == SRQ_GRID_INT_ASYM;

    if (!asym && c->scheme.grid != SRQ_GRID_INT_SYM)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "only integer grids can be packed in the %s layout",
                        layout_name(p->layout));
    if (c->scheme.bits != p->bits || c->groups.out != p->out || c->groups.in != p->in ||
        c->groups.per_row != p->groups || c->groups.len != p->group || c->groups.count != p->out * p->groups)
        return srq_fail(err, -SRQ_EINVAL,
                        "codes of %d bits, %" PRId64 " x %" PRId64 ", group %" PRId64
                        " do not fit a packed layer of %d bits, %" PRId64 " x %" PRId64 ", group %" PRId64,
                        c->scheme.bits, c->groups.out, c->groups.in, c->groups.len, p->bits, p->out, p->in, p->group);
    return 0;
}

/* Scales are transposed to [groups, out]; a layout that cannot hold a value exactly must not hold another one. */
static int pack_scales(const struct srq_codes *c, struct srq_packed *p, struct srq_error *err)
{
    int top = (1 << p->bits) - 1, low = p->layout == SRQ_PACK_GPTQ_V1 ? 1 : 0;

    for (int64_t r = 0; r < p->out; r++) {
        for (int64_t g = 0; g < p->groups; g++) {
            float s = c->scale[r * p->groups + g];
            uint16_t h = srq_f32_to_f16(s);
            int z = c->zero[r * p->groups + g];

            if (srq_f16_to_f32(h) != s || (h & 0x7fff) == 0 || (h & 0x7c00) == 0x7c00)
                return srq_fail(err, -SRQ_ENUMERIC,
                                "row %" PRId64 ", group %" PRId64 ": scale %g is zero or not exact in F16", r, g,
                                (double)s);
            /* v1 stores z-1: 2^bits fits there, 0 does not. */
            if (z < low || z > top)
                return srq_fail(err, -SRQ_ENUMERIC,
                                "row %" PRId64 ", group %" PRId64 ": zero-point %d is not in %d … %d of %s", r, g, z,
                                low, top, layout_name(p->layout));
            p->scales[g * p->out + r] = h;
        }
    }
    return 0;
}

struct code_range {
    const uint8_t *codes;
    int64_t in;
    int top;
    uint8_t *row_bad; /* [out] */
};

SRQ_SIMD static uint8_t highest(const uint8_t *codes, int64_t n)
{
    uint8_t top = 0;

    for (int64_t i = 0; i < n; i++)
        top = codes[i] > top ? codes[i] : top;
    return top;
}

static void find_large_codes(void *ctx, int64_t begin, int64_t end)
{
    struct code_range *r = ctx;

    for (int64_t i = begin; i < end; i++)
        r->row_bad[i] = highest(r->codes + i * r->in, r->in) > r->top;
}

static int check_range(const struct srq_codes *c, const struct srq_packed *p, struct srq_error *err)
{
    struct code_range r = { .codes = c->codes, .in = p->in, .top = (1 << p->bits) - 1 };
    int64_t bad = -1;

    r.row_bad = srq_malloc((size_t)p->out);
    if (r.row_bad == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory checking codes");
    srq_parallel(p->out, 16, find_large_codes, &r);
    for (int64_t i = 0; i < p->out && bad < 0; i++)
        if (r.row_bad[i])
            bad = i;
    srq_free(r.row_bad);
    if (bad >= 0)
        return srq_fail(err, -SRQ_ENUMERIC, "row %" PRId64 " has a code above %d", bad, r.top);
    return 0;
}

int srq_pack(const struct srq_codes *c, struct srq_packed *p, struct srq_error *err)
{
    int rc = check_codes(c, p, err);

    if (rc == 0)
        rc = check_range(c, p, err);
    if (rc == 0)
        rc = pack_scales(c, p, err);
    if (rc != 0)
        return rc;
    if (p->layout == SRQ_PACK_AWQ)
        srq_pack_awq(c, p);
    else
        srq_pack_gptq(c, p, p->layout == SRQ_PACK_GPTQ_V1 ? 1 : 0);
    return 0;
}
