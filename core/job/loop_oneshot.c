/* One-shot quantizers that need to know their inputs.
 *
 * Importance alone is taken from the full-precision chain: one pass over the block, then all of its layers are rounded.
 * Statistics (second moments, ranges) are taken from inputs that came through the blocks before as they were quantized.
 * The pass over the block leaves the chain where it is; the chain follows once the block's codes are there. A quantizer
 * that wants to be truly sequential gets the inputs of one group of layers after the other, the groups before already
 * with their codes. */
#include "core/job/loop.h"

#include "core/base/alloc.h"

/* ---- importance -------------------------------------------------------------------------------------------------- */

static int importance_of(void *ctx, int layer, struct srq_layer *out, struct srq_error *err)
{
    struct srq_loop *l = ctx;

    (void)err;
    out->importance = srq_importance_sums(l->importance)[layer];
    return 0;
}

static int measure(struct srq_loop *l, struct srq_error *err)
{
    const struct srq_unit_inputs inputs = { .ctx = l, .of = importance_of };
    int rc = srq_loop_full(l, err);

    return rc == 0 ? srq_run_round_task(l->run, &l->task, &inputs, err) : rc;
}

/* ---- statistics -------------------------------------------------------------------------------------------------- */

struct gather {
    struct srq_loop *l;
    bool outside, sequential;
    bool *wanted; /* [layers] of the pass that ran last */
    bool passed;  /* one ran */
};

/* Layers whose inputs the next pass listens to: those that share the input of layer i, or all that are quantized. */
static void choose(struct gather *g, int i)
{
    struct srq_loop *l = g->l;
    const struct srq_layer_info *const *info = (const struct srq_layer_info *const *)l->run->job->layers + l->first;

    for (int k = 0; k < l->layers; k++) {
        bool same = k == i || srq_layers_tied(info[k], info[i]);

        g->wanted[k] = l->task.schemes[l->first + k].grid != SRQ_GRID_NONE && (same || !g->sequential);
    }
}

static int pass(struct gather *g, int i, struct srq_error *err)
{
    struct srq_loop *l = g->l;
    int rc;

    choose(g, i);
    g->passed = true;
    srq_statistics_begin(l->statistics, srq_walk_block(l->walk), g->wanted);
    rc = srq_loop_listen(l, l->fp, err);
    srq_statistics_end(l->statistics);
    return rc;
}

static int statistics_of(void *ctx, int i, struct srq_layer *out, struct srq_error *err)
{
    struct gather *g = ctx;
    struct srq_input_statistics s;
    int rc = g->outside || (g->passed && g->wanted[i]) ? 0 : pass(g, i, err);

    if (rc != 0)
        return rc;
    if (!srq_statistics_get(g->l->statistics, i, &s))
        return srq_fail(err, -SRQ_ESTATE, "no calibration sample reached %s",
                        g->l->run->job->layers[g->l->first + i]->name);
    out->in_max = s.max;
    out->in_mean = s.mean;
    out->hessian = s.hessian;
    out->tokens = s.tokens;
    return 0;
}

/* From here on the block computes with the layer's codes. */
static int take_codes(void *ctx, int i, const struct srq_codes *codes, struct srq_error *err)
{
    struct gather *g = ctx;

    return g->outside ? 0 : srq_codes_decode(codes, g->l->own[i].data, g->l->own[i].dtype, err);
}

static int gather(struct srq_loop *l, struct srq_error *err)
{
    struct gather g = { .l = l,
                        .outside = !srq_run_is_block(l->run, l->task.unit),
                        .sequential = (l->run->job->needs & SRQ_NEED_SEQUENTIAL) != 0 };
    const struct srq_unit_inputs inputs = { .ctx = &g, .of = statistics_of, .rounded = take_codes };
    int rc = g.outside ? srq_loop_full(l, err) : 0; /* through the final norm */

    g.wanted = srq_calloc((size_t)l->layers + 1, sizeof(*g.wanted));
    if (g.wanted == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory gathering statistics");
    if (rc == 0)
        rc = srq_run_round_task(l->run, &l->task, &inputs, err);
    if (rc == 0 && !g.outside)
        rc = srq_loop_forward(l, l->fp, err);
    srq_free(g.wanted);
    return rc;
}

/* ---- the task ---------------------------------------------------------------------------------------------------- */

int srq_loop_oneshot(struct srq_loop *l, const struct srq_task *task, struct srq_error *err)
{
    int rc = srq_loop_begin(l, task, err);

    if (rc == 0)
        rc = srq_loop_load(l, task->unit, err);
    if (rc == 0 && l->gathers)
        rc = srq_loop_round(l, NULL, err);
    if (rc == 0)
        rc = l->gathers ? gather(l, err) : measure(l, err);
    if (rc == 0 && srq_run_is_block(l->run, task->unit)) {
        l->at = task->unit + 1;
        l->ahead = false;
    } else if (rc == 0) {
        l->at = -1;
    }
    return rc;
}
