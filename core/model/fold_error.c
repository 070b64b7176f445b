/* How far a folded model is from the stored one. */
#include "core/model/internal.h"

#include "core/base/alloc.h"

#include <math.h>

#define ROWS 64 /* of logits at a time */

/* Hidden states [n, hidden] after the last block. */
static int run_blocks(const struct srq_model *m, const int32_t *tokens, int64_t n, float *states, struct srq_error *err)
{
    struct srq_tensor x = srq_tensor_2d(states, SRQ_F32, n, m->info.hidden);
    struct srq_block *block = NULL;
    struct srq_tape *tape = NULL;
    size_t bytes = 0;
    int rc = srq_block_forward_bytes(m, SRQ_F32, 1, n, &bytes, err);

    if (rc == 0)
        rc = srq_block_create(m, SRQ_F32, &block, err);
    if (rc == 0)
        rc = srq_tape_create(bytes, SRQ_F32, false, &tape, err);
    if (rc == 0)
        rc = srq_model_embed(m, tokens, n, states, SRQ_F32, err);
    if (rc == 0)
        srq_tape_record(tape, false);
    for (int b = 0; b < m->info.blocks && rc == 0; b++) {
        struct srq_var *y;

        rc = srq_block_load(block, b, err);
        if (rc != 0)
            break;
        srq_tape_reset(tape);
        y = srq_block_forward(block, tape, srq_tape_input(tape, &x, false), 1, n);
        rc = srq_tape_error(tape, err);
        if (rc == 0)
            memcpy(states, y->value.data, (size_t)(n * m->info.hidden) * sizeof(float));
    }
    srq_tape_free(tape);
    srq_block_free(block);
    return rc;
}

/* Logits [n, vocab] of the two models, whose heads differ too, compared a few rows at a time. */
static int compare(const struct srq_head *stored, const struct srq_head *folded, const float *a, const float *b,
                   int64_t n, double *relative, struct srq_error *err)
{
    int64_t vocab = stored->linear.out, hidden = stored->linear.in;
    float *z = srq_malloc((size_t)(2 * ROWS * vocab) * sizeof(*z));
    double off = 0, all = 0;
    int rc = z != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for logits");

    for (int64_t i = 0; i < n && rc == 0; i += ROWS) {
        int64_t rows = n - i < ROWS ? n - i : ROWS;
        float *y = z + ROWS * vocab;

        rc = srq_head_logits(stored, a + i * hidden, SRQ_F32, rows, z, err);
        if (rc == 0)
            rc = srq_head_logits(folded, b + i * hidden, SRQ_F32, rows, y, err);
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

int srq_model_fold_error(struct srq_model *m, const int32_t *tokens, int64_t n, double *relative, struct srq_error *err)
{
    size_t bytes = (size_t)(n * m->info.hidden) * sizeof(float);
    float *a = srq_malloc(bytes), *b = srq_malloc(bytes);
    struct srq_head *stored = NULL, *folded = NULL;
    struct srq_fold *fold = m->fold;
    int rc = a != NULL && b != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for %lld states", (long long)n);

    *relative = 0;
    if (rc == 0)
        rc = run_blocks(m, tokens, n, b, err);
    if (rc == 0)
        rc = srq_head_create(m, &folded, err);
    m->fold = NULL;
    if (rc == 0)
        rc = run_blocks(m, tokens, n, a, err);
    if (rc == 0)
        rc = srq_head_create(m, &stored, err);
    m->fold = fold;
    if (rc == 0)
        rc = compare(stored, folded, a, b, n, relative, err);
    srq_head_free(stored);
    srq_head_free(folded);
    srq_free(a);
    srq_free(b);
    return rc;
}
