/* How far a folded model is from the stored one. */
#include "core/tune/fold_error.h"

#include "core/base/alloc.h"
#include "core/flow/walk.h"
#include "core/model/scale_pairs.h"

#include <math.h>

#define ROWS 64 /* of logits at a time */

/* The tokens as one sequence through all blocks. */
static int run_blocks(const struct srq_model *m, const int32_t *tokens, int64_t n, struct srq_states **states,
                      struct srq_error *err)
{
    const struct srq_walk_config config = { m, SRQ_F32, SRQ_F32, 1, n, .backward = false };
    const struct srq_states_config of = { m, SRQ_F32, 1, n, false, NULL };
    struct srq_walk *walk = NULL;
    int rc = srq_states_create(&of, states, err);

    if (rc == 0)
        rc = srq_walk_create(&config, &walk, err);
    if (rc == 0)
        rc = srq_walk_model(walk, *states, tokens, 1, NULL, NULL, err);
    srq_walk_free(walk);
    return rc;
}

/* Logits [n, vocab] of the two models, whose heads differ too, compared a few rows at a time. */
static int compare(const struct srq_model_info *info, struct srq_head *const head[2],
                   struct srq_states *const states[2], int64_t n, double *relative, struct srq_error *err)
{
    const float *a = (float *)(void *)srq_states_final(states[0], 0),
                *b = (float *)(void *)srq_states_final(states[1], 0);
    int64_t vocab = info->vocab, hidden = info->hidden;
    float *z = srq_malloc((size_t)(2 * ROWS * vocab) * sizeof(*z));
    double off = 0, all = 0;
    int rc = z != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for logits");

    for (int64_t i = 0; i < n && rc == 0; i += ROWS) {
        int64_t rows = n - i < ROWS ? n - i : ROWS;
        float *y = z + ROWS * vocab;

        rc = srq_head_logits(head[0], a + i * hidden, SRQ_F32, rows, z, err);
        if (rc == 0)
            rc = srq_head_logits(head[1], b + i * hidden, SRQ_F32, rows, y, err);
        for (int64_t k = 0; k < rows * vocab && rc == 0; k++) {
            double d = (double)y[k] - (double)z[k];

            off += d * d;
            all += (double)z[k] * (double)z[k];
        }
    }
    srq_free(z);
    *relative = off == 0 ? 0 : sqrt(off / all);
    return rc;
}

int srq_fold_error(struct srq_model *m, const int32_t *tokens, int64_t n, double *relative, struct srq_error *err)
{
    struct srq_states *states[2] = { NULL, NULL }; /* of the stored model, of the folded one */
    struct srq_head *head[2] = { NULL, NULL };
    int rc = 0;

    *relative = 0;
    for (int folded = 1; rc == 0 && folded >= 0; folded--) {
        srq_model_lay_aside(m, !folded);
        rc = run_blocks(m, tokens, n, &states[folded], err);
        if (rc == 0)
            rc = srq_head_create(m, &head[folded], err);
    }
    srq_model_lay_aside(m, false);
    if (rc == 0)
        rc = compare(srq_model_info(m), head, states, n, relative, err);
    for (int i = 0; i < 2; i++) {
        srq_head_free(head[i]);
        srq_states_free(states[i]);
    }
    return rc;
}
