/* Where scales start: the full-precision model over all samples, a block at a time, and begin() of every group with the
 * statistics of its inputs. */
#include "core/tune/transform_parts.h"

#include "core/base/alloc.h"

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

struct passing {
    const struct srq_transformer *t;
    struct srq_error *err;
};

static int on_batch(void *ctx, int unit, int64_t done, int64_t all)
{
    const struct passing *p = ctx;

    return srq_transform_tick(p->t, unit + (double)done / (double)all, p->t->blocks, "blocks", false, p->err);
}

/* All samples through block `b`; statistics of the inputs of layers that groups have as consumers. */
static int pass_block(struct srq_transformer *t, int b, const bool *wanted, struct srq_error *err)
{
    struct passing p = { t, err };
    const struct srq_walk_tick tick = { on_batch, &p };
    int rc = srq_walk_load(t->walk, b, NULL, err);

    if (rc == 0 && t->statistics != NULL)
        srq_statistics_begin(t->statistics, srq_walk_block(t->walk), wanted);
    if (rc == 0)
        rc = srq_walk_over(t->walk, t->chain, t->cfg.nsamples, false, &tick, err);
    if (t->statistics != NULL)
        srq_statistics_end(t->statistics);
    return rc;
}

/* What the head gets is looked at a batch at a time: the states themselves are needed afterwards. */
static int pass_head(struct srq_transformer *t, struct srq_error *err)
{
    size_t bytes = srq_transform_final_bytes(t, t->cfg.batch);
    uint8_t *x = srq_pages_alloc(bytes);
    struct srq_head *head = NULL;
    int rc = x != NULL ? srq_head_create(t->model, &head, err)
                       : srq_fail(err, -SRQ_ENOMEM, "out of memory for the inputs of the head");

    for (int64_t at = 0; rc == 0 && at < t->cfg.nsamples; at += t->cfg.batch) {
        int64_t count = t->cfg.nsamples - at < t->cfg.batch ? t->cfg.nsamples - at : t->cfg.batch;
        struct srq_tensor rows = srq_tensor_2d(x, t->cfg.compute, count * t->cfg.seq, srq_model_info(t->model)->hidden);

        memcpy(x, srq_states_final(t->chain, at), srq_transform_final_bytes(t, count));
        rc = srq_head_norm(head, x, t->cfg.compute, count * t->cfg.seq, err);
        if (rc == 0)
            srq_statistics_of_input(t->statistics, &rows);
    }
    srq_head_free(head);
    if (x != NULL)
        srq_pages_free(x, bytes);
    return rc;
}

/* ---- begin() ----------------------------------------------------------------------------------------------------- */

static int show_weights(struct srq_transformer *t, struct srq_transform_group *g, struct srq_error *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < g->info.count; i++) {
        struct srq_input_statistics s;
        struct srq_layer *l = &g->layer[i];

        rc = srq_model_weight(t->model, g->pair->consumers[i], &g->weight[i], err);
        if (rc == 0 && t->statistics != NULL && srq_statistics_get(t->statistics, l->index, &s)) {
            l->in_max = s.max;
            l->in_mean = s.mean;
            l->hessian = s.hessian;
            l->tokens = s.tokens;
        }
    }
    return rc;
}

static void hide_weights(struct srq_transformer *t, struct srq_transform_group *g)
{
    for (int i = 0; i < g->info.count; i++) {
        struct srq_layer *l = &g->layer[i];

        if (g->weight[i].data != NULL)
            srq_tensors_release(srq_model_tensors(t->model), &g->weight[i]);
        g->weight[i].data = NULL;
        l->in_max = l->in_mean = l->hessian = NULL;
    }
}

static int begin_group(struct srq_transformer *t, struct srq_transform_group *g, struct srq_error *err)
{
    int rc = show_weights(t, g, err);

    if (rc == 0)
        rc = t->plugin->transform->begin(srq_host_services(), t->self, &g->info, err);
    hide_weights(t, g);
    if (rc == 0)
        rc = srq_scales_check(g->info.name, g->info.scale, g->info.channels, err);
    return rc > 0 ? -SRQ_EINVAL : rc;
}

static int begin_groups(struct srq_transformer *t, int block, struct srq_error *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < t->group_count; i++) {
        if (t->groups[i].pair->block == block)
            rc = begin_group(t, &t->groups[i], err);
    }
    return rc;
}

/* Layers of block `b` that have their inputs scaled; whether there are any. */
static bool consumers_of(const struct srq_transformer *t, int b, bool *wanted)
{
    bool any = false;

    memset(wanted, 0, (size_t)t->linears * sizeof(*wanted));
    for (int i = 0; i < t->group_count; i++) {
        for (int c = 0; t->groups[i].pair->block == b && c < t->groups[i].info.count; c++)
            any = wanted[t->groups[i].layer[c].index] = true;
    }
    return any;
}

int srq_transform_begin(struct srq_transformer *t, struct srq_error *err)
{
    bool *wanted = srq_calloc((size_t)t->linears + 1, sizeof(*wanted));
    bool outside = t->group_count > 0 && t->groups[t->group_count - 1].pair->block < 0;
    int rc = wanted != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory beginning the transform");

    if (rc == 0 && t->passes)
        rc = srq_states_embed(t->chain, t->samples->ids, t->cfg.nsamples, err);
    for (int b = 0; rc == 0 && b < t->blocks; b++) {
        (void)consumers_of(t, b, wanted);
        if (t->passes)
            rc = pass_block(t, b, wanted, err);
        if (rc == 0)
            rc = begin_groups(t, b, err);
        if (rc == 0)
            rc = srq_transform_tick(t, b + 1, t->blocks, "blocks", false, err);
    }
    if (rc == 0 && outside && t->statistics != NULL)
        rc = pass_head(t, err);
    if (rc == 0)
        rc = begin_groups(t, -1, err);
    srq_free(wanted);
    return rc;
}
