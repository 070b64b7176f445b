/* AWQ packing: eight 4-bit columns a word, in the order its kernels unpack them (spec formats 4.3). */
#include "core/grid/pack_fields.h"

#include "core/grid/pack_layout.h"
#include "core/math/team.h"

static const uint8_t column_of_slot[8] = { 0, 2, 4, 6, 1, 3, 5, 7 };

/* One word from the eight fields at src[column*step]. */
static inline uint32_t pack_word(const uint8_t *src, int64_t step)
{
    uint32_t w = 0;

    for (int s = 0; s < 8; s++)
        w |= (uint32_t)src[column_of_slot[s] * step] << 4 * s;
    return w;
}

struct job {
    const struct srq_codes *c;
    struct srq_packed *p;
};

/* Words of columns [8*begin, 8*end) of qweight; a tile of inputs at a time, so that the eight rows stay in cache. */
static void pack_words(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    const struct srq_packed *p = j->p;
    const int64_t tile = 256;

    for (int64_t i0 = 0; i0 < p->in; i0 += tile) {
        int64_t i1 = i0 + tile < p->in ? i0 + tile : p->in;

        for (int64_t w = begin; w < end; w++)
            for (int64_t i = i0; i < i1; i++)
                p->qweight[i * p->qweight_shape[1] + w] = pack_word(j->c->codes + 8 * w * p->in + i, p->in);
    }
}

static void pack_zeros(void *ctx, int64_t begin, int64_t end)
{
    const struct job *j = ctx;
    const struct srq_packed *p = j->p;

    for (int64_t w = begin; w < end; w++)
        for (int64_t g = 0; g < p->groups; g++)
            p->qzeros[g * p->qzeros_shape[1] + w] = pack_word(j->c->zero + 8 * w * p->groups + g, p->groups);
}

void srq_pack_awq(const struct srq_codes *c, struct srq_packed *p)
{
    struct job j = { .c = c, .p = p };

    srq_parallel(p->out / 8, 8, pack_words, &j);
    srq_parallel(p->out / 8, 8, pack_zeros, &j);
}
