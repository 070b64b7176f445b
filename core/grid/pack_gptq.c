/* GPTQ packing: `bits`-wide fields as one continuous little-endian bit stream (spec formats 4.2).
 *
 * 32 fields fill exactly `bits` words, so everything is done in runs of 32: element k of a run starts at bit bits*k of
 * its words. At 3 bits values 10 and 21 straddle words, which the 64-bit accumulator takes care of. */
#include "core/grid/pack_fields.h"

#include "core/grid/pack_layout.h"
#include "core/math/team.h"

/* Packs 32 fields taken at src[k*step] into `bits` words written at dst[w*stride]. */
static inline void pack_run(const uint8_t *src, int64_t step, int less, int bits, uint32_t *dst, int64_t stride)
{
    uint64_t acc = 0;
    int have = 0;

    for (int k = 0; k < 32; k++) {
        acc |= (uint64_t)(uint8_t)(src[k * step] - less) << have;
        have += bits;
        if (have >= 32) {
            *dst = (uint32_t)acc;
            dst += stride;
            acc >>= 32;
            have -= 32;
        }
    }
}

struct job {
    const struct srq_codes *c;
    struct srq_packed *p;
    int less;
};

/* Columns of qweight [begin, end) are rows of the weight. The loop over rows is inside, so that words are written side
 * by side. */
static void pack_columns(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    const struct srq_packed *p = j->p;

    for (int64_t run = 0; run < p->in / 32; run++)
        for (int64_t r = begin; r < end; r++)
            pack_run(j->c->codes + r * p->in + run * 32, 1, 0, p->bits, p->qweight + run * p->bits * p->out + r,
                     p->out);
}

static void pack_zeros(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    const struct srq_packed *p = j->p;
    int64_t runs = p->out / 32;

    for (int64_t i = begin; i < end; i++) {
        int64_t g = i / runs, run = i % runs;

        pack_run(j->c->zero + run * 32 * p->groups + g, p->groups, j->less, p->bits,
                 p->qzeros + g * p->qzeros_shape[1] + run * p->bits, 1);
    }
}

void srq_pack_gptq(const struct srq_codes *c, struct srq_packed *p, int less)
{
    struct job j = { .c = c, .p = p, .less = less };

    srq_parallel(p->out, 64, pack_columns, &j);
    srq_parallel(p->groups * (p->out / 32), 64, pack_zeros, &j);
}
