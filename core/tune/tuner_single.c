/* One layer outside the blocks (spec signround 5.1): E = X_q Ŵᵀ - X_fp Wᵀ, loss mean E², dŴ = 2/n Eᵀ X_q, a tile of
 * rows of the weight at a time, so that the output (tokens by vocabulary) never exists as a whole. A bias cancels. */
#include "core/tune/tuner.h"

#include "core/math/gemm.h"
#include "core/math/team.h"

static double sum_of_squares(const float *p, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += (double)p[i] * (double)p[i];
    return sum;
}

static void drop_masked(const struct srq_tuner *t, int64_t tokens, int64_t rows)
{
    for (int64_t i = 0; i < tokens; i++) {
        if (t->mask[i] == 0)
            memset(t->head_e + i * rows, 0, (size_t)rows * sizeof(float));
    }
}

struct sinking {
    struct srq_tuner *t;
    int64_t row;
};

static void sink_share(void *ctx, int64_t begin, int64_t end)
{
    const struct sinking *s = ctx;
    struct srq_tuner *t = s->t;
    struct srq_layer *l = &t->layers[0].layer;

    t->plugin->tunable->sink(srq_host_services(), t->self, l, &t->step, s->row + begin, end - begin,
                             t->head_g + begin * l->groups->in);
}

int single_pass(struct srq_tuner *t, int64_t n, bool backward, double *loss, struct srq_error *err)
{
    struct tuned_layer *l = &t->layers[0];
    int64_t out = l->layer.groups->out, in = l->layer.groups->in, tokens = n * t->io->seq, valid = data_valid(t, n);
    const struct srq_mat xq = { t->x[0], SRQ_F32, in, false }, xf = { t->y[0], SRQ_F32, in, false };
    size_t size = srq_dtype_size(l->weight.dtype);
    double sum = 0;

    (void)err;
    for (int64_t row = 0; row < out; row += t->head_tile) {
        int64_t rows = out - row < t->head_tile ? out - row : t->head_tile;
        const struct srq_mat fake = { (const float *)l->fake.data + row * in, SRQ_F32, in, true };
        const struct srq_mat w = { t->head_w, SRQ_F32, in, true }, e = { t->head_e, SRQ_F32, rows, true };
        struct sinking s = { t, row };

        (void)srq_convert((const char *)l->weight.data + (size_t)(row * in) * size, l->weight.dtype, t->head_w, SRQ_F32,
                          rows * in);
        srq_gemm(&(struct srq_product){ tokens, rows, in, xq, fake, .c = { t->head_e, SRQ_F32, rows } });
        srq_gemm(&(struct srq_product){ tokens, rows, in, xf, w, .c = { t->head_e, SRQ_F32, rows }, .alpha = -1,
                                        .add = true });
        if (t->io->mask != NULL)
            drop_masked(t, tokens, rows);
        sum += sum_of_squares(t->head_e, tokens * rows);
        if (!backward)
            continue;
        srq_gemm(&(struct srq_product){ rows, in, tokens, e, xq, .c = { t->head_g, SRQ_F32, in },
                                        .alpha = (float)(2 / ((double)valid * (double)out)) });
        srq_parallel(rows, 8, sink_share, &s);
    }
    *loss = valid > 0 ? sum / ((double)valid * (double)out) : 0;
    return 0;
}
