/* Which samples make a batch, and their rows side by side. The order is a function of seed, unit and epoch alone, so
 * that a resumed block sees what the undisturbed one would have seen. */
#include "core/tune/tuner.h"

#include "core/base/rng.h"
#include "core/math/team.h"

#define STREAM ((uint64_t)1 << 60) /* apart from other users of the job's seed */

const int64_t *data_batch(struct srq_tuner *t, int64_t iter)
{
    int64_t n = t->io->nsamples, steps = n / t->step_samples; /* a partial tail is dropped */
    int64_t epoch = iter / steps;

    if (t->perm_epoch != epoch) {
        srq_rng_shuffle(t->cfg.seed, STREAM | (uint64_t)(t->unit + 1) << 32 | (uint64_t)epoch, t->perm, n);
        t->perm_epoch = epoch;
    }
    return t->perm + iter % steps * t->step_samples;
}

struct gather {
    const struct srq_tuner *t;
    const int64_t *samples;
};

/* Sample `from` of all, of n elements, becomes sample `to` of the batch. */
static void take_sample(const void *all, enum srq_dtype dtype, int64_t from, void *batch, enum srq_dtype wanted,
                        int64_t to, int64_t n)
{
    (void)srq_convert((const char *)all + (size_t)(from * n) * srq_dtype_size(dtype), dtype,
                      (char *)batch + (size_t)(to * n) * srq_dtype_size(wanted), wanted, n);
}

static void gather_share(void *ctx, int64_t begin, int64_t end)
{
    const struct gather *g = ctx;
    const struct srq_block_io *io = g->t->io;
    enum srq_dtype xtype = g->t->block != NULL ? g->t->compute : SRQ_F32;
    enum srq_dtype ytype = g->t->block != NULL ? io->dtype : SRQ_F32;
    for (int64_t i = begin; i < end; i++) {
        size_t s = (size_t)g->samples[i];

        for (int k = 0; k < g->t->ins; k++)
            take_sample(io->input[k], io->dtype, g->samples[i], g->t->x[k], xtype, i, g->t->x_size[k]);
        for (int k = 0; k < g->t->outs; k++)
            take_sample(io->target[k], io->dtype, g->samples[i], g->t->y[k], ytype, i, g->t->y_size[k]);
        if (io->mask != NULL)
            memcpy(g->t->mask + i * io->seq, io->mask + s * (size_t)io->seq, (size_t)io->seq);
    }
}

void data_gather(struct srq_tuner *t, const int64_t *samples, int64_t n)
{
    struct gather g = { t, samples };

    srq_parallel(n, 1, gather_share, &g);
}

int64_t data_valid(const struct srq_tuner *t, int64_t n)
{
    int64_t tokens = n * t->io->seq, valid = 0;

    if (t->io->mask == NULL)
        return tokens;
    for (int64_t i = 0; i < tokens; i++)
        valid += t->mask[i] != 0;
    return valid;
}
