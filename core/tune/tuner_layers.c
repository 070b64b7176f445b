/* The layers of a unit: their arrays, and every call of the plugin. */
#include "core/tune/tuner.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/math/team.h"
#include "core/tape/times.h"
#include "core/tune/tensor_scale.h"

#define GRAIN_BYTES (1 << 20)

/* ---- placing ----------------------------------------------------------------------------------------------------- */

static enum area_kind area_of(int kind)
{
    return kind == SRQ_PARAM_TUNED ? AREA_TUNED : kind == SRQ_PARAM_STATE ? AREA_STATE : AREA_SCRATCH;
}

static void mix(uint64_t *hash, uint64_t value)
{
    uint64_t both[2] = { *hash, value };

    *hash = srq_hash64(both, sizeof(both));
}

/* One layer's arrays in the areas. */
static int place_layer(struct srq_tuner *t, struct tuned_layer *l, struct srq_error *err)
{
    struct srq_plane plane[SRQ_PLANES];
    void *p = NULL;
    int rc;

    rc = srq_params_ask(srq_host_services(), t->plugin, t->self, &l->layer, &l->declared, err);
    if (rc != 0)
        return rc;
    for (int k = 0; k < l->declared.count; k++) {
        const struct srq_param *d = &l->declared.at[k];

        rc = area_take(t, area_of(d->kind), (size_t)d->count * sizeof(float), &p, err);
        if (rc != 0)
            return rc;
        l->param[k] = p;
        mix(&t->layout, (uint64_t)d->count);
        mix(&t->layout, (uint64_t)d->kind);
    }
    srq_codes_planes(&l->codes, plane);
    for (int k = 0; k < srq_codes_arrays(&l->codes); k++) {
        size_t bytes;

        if (!srq_tensor_bytes(&plane[k].t, &bytes))
            return srq_fail(err, -SRQ_EINVAL, "codes of %s have no size", l->layer.name);
        if ((rc = area_take(t, AREA_CODES, bytes, &p, err)) != 0)
            return rc;
        srq_codes_set_plane(&l->codes, k, p);
    }
    return 0;
}

int64_t tile_rows(int64_t in)
{
    int64_t rows = 262144 / in;

    return rows < 8 ? 8 : rows > 128 ? 128 : rows;
}

static int place_errors(struct srq_tuner *t, struct srq_error *err)
{
    size_t x = 0, w = 0, y = 0;
    void *p[4];
    size_t bytes[4];

    for (int i = 0; i < t->count; i++) {
        const struct srq_groups *g = t->layers[i].layer.groups;
        size_t tile = (size_t)tile_rows(g->in);

        if (!t->layers[i].active)
            continue;
        x = (size_t)g->in > x ? (size_t)g->in : x;
        w = tile * (size_t)g->in > w ? tile * (size_t)g->in : w;
        y = tile > y ? tile : y;
    }
    bytes[0] = x * ERROR_TOKENS * sizeof(float);
    bytes[1] = bytes[2] = w * sizeof(float);
    bytes[3] = y * ERROR_TOKENS * sizeof(float);
    for (int k = 0; k < 4; k++) {
        int rc = area_take(t, AREA_ERROR, bytes[k], &p[k], err);

        if (rc != 0)
            return rc;
    }
    t->err_x = p[0];
    t->err_w = p[1];
    t->err_d = p[2];
    t->err_y = p[3];
    return 0;
}

/* Elements of a port for one sample: for as many tokens as the present data have, or as were planned. */
static int64_t port_size(const struct srq_tuner *t, int port)
{
    const struct srq_port_info *p = srq_model_port(t->model, port);

    return (p->rows > 0 ? p->rows : t->io != NULL ? t->io->seq : t->cfg.seq) * p->cols;
}

/* Gathered rows: the layer outside the blocks computes in F32 on both sides. */
static int place_batch(struct srq_tuner *t, bool single, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_model_unit(t->model, t->unit);
    size_t x = single ? sizeof(float) : srq_dtype_size(t->compute),
           y = single ? sizeof(float) : srq_dtype_size(t->cfg.cache);
    void *mask;
    int rc = 0;

    t->ins = single ? 1 : u->ins;
    t->outs = single ? 1 : u->outs;
    for (int i = 0; rc == 0 && i < t->ins; i++) {
        t->x_size[i] = port_size(t, u->in[i]);
        rc = area_take(t, AREA_BATCH, (size_t)(t->batch * t->x_size[i]) * x, &t->x[i], err);
    }
    for (int i = 0; rc == 0 && i < t->outs; i++) {
        t->y_size[i] = port_size(t, single ? u->in[i] : u->out[i]);
        rc = area_take(t, AREA_BATCH, (size_t)(t->batch * t->y_size[i]) * y, &t->y[i], err);
    }
    if (rc == 0)
        rc = area_take(t, AREA_BATCH, (size_t)(t->batch * t->cfg.seq), &mask, err);
    if (rc == 0)
        t->mask = mask;
    return rc;
}

static int place_single(struct srq_tuner *t, struct srq_error *err)
{
    struct tuned_layer *l = &t->layers[0];
    int64_t out = l->layer.groups->out, in = l->layer.groups->in;
    size_t tokens = (size_t)(t->batch * t->cfg.seq), tile;
    void *fake, *w, *e, *g;
    int rc;

    t->head_tile = tile_rows(in);
    tile = (size_t)t->head_tile;
    if ((rc = area_take(t, AREA_HEAD, (size_t)out * (size_t)in * sizeof(float), &fake, err)) != 0 ||
        (rc = area_take(t, AREA_HEAD, tile * (size_t)in * sizeof(float), &w, err)) != 0 ||
        (rc = area_take(t, AREA_HEAD, tile * tokens * sizeof(float), &e, err)) != 0 ||
        (rc = area_take(t, AREA_HEAD, tile * (size_t)in * sizeof(float), &g, err)) != 0)
        return rc;
    l->fake = srq_tensor_2d(fake, SRQ_F32, out, in);
    t->head_w = w;
    t->head_e = e;
    t->head_g = g;
    return 0;
}

static void describe_layer(struct srq_tuner *t, int i, const struct srq_scheme *schemes)
{
    const struct srq_layer_info *info = srq_model_layer(t->model, t->first + i);
    struct tuned_layer *l = &t->layers[i];
    char text[64];

    memset(l, 0, sizeof(*l));
    l->tuner = t;
    l->weight = srq_tensor_2d(NULL, info->dtype, info->out, info->in);
    l->codes = (struct srq_codes){ .scheme = schemes[t->first + i],
                                   .groups = srq_groups_of(info->out, info->in, schemes[t->first + i].group),
                                   .tensor_scale = 1 };
    l->layer = (struct srq_layer){
        .size = sizeof(l->layer),
        .name = info->name,
        .block = info->block,
        .index = i,
        .weight = &l->weight,
        .scheme = &l->codes.scheme,
        .groups = &l->codes.groups,
        .param = l->param,
        .tensor_scale = 1, /* until unit_begin() */
    };
    l->active = l->codes.scheme.grid != SRQ_GRID_NONE;
    srq_scheme_text(&l->codes.scheme, text, sizeof(text));
    mix(&t->layout, srq_hash64(text, strlen(text)));
    mix(&t->layout, srq_hash64(info->name, strlen(info->name)));
}

/* What the plugin wants for this block. A layer outside the blocks has its output computed in tiles, never as a whole,
 * so there are no rules for it. */
static int unit_rules(struct srq_tuner *t, bool single, struct srq_error *err)
{
    const struct srq_tunable *tunable = t->plugin->tunable;
    int n = 0, rc;

    t->rules = (struct srq_block_rules){ .size = sizeof(t->rules) };
    for (int i = 0; i < t->count; i++) {
        if (t->layers[i].active)
            t->active[n++] = &t->layers[i].layer;
    }
    if (tunable->rules == NULL || single || n == 0)
        return 0;
    rc = tunable->rules(srq_host_services(), t->self, t->active, n, &t->rules, err);
    if (rc != 0)
        return rc;
    if (!(t->rules.drop_largest >= 0 && t->rules.drop_largest < 1))
        return srq_fail(err, -SRQ_EINVAL, "plugin %s leaves a share of %g of the errors out", t->plugin->name,
                        t->rules.drop_largest);
    if (t->tape != NULL && t->rules.drop_largest > t->tape_drop)
        return srq_fail(err, -SRQ_ELIMIT,
                        "tuner: activations needs more where errors are left out, as was not planned");
    mix(&t->layout, (uint64_t)(t->rules.drop_largest * 1e12));
    return 0;
}

static void mix_config(struct srq_tuner *t)
{
    const uint64_t parts[] = { (uint64_t)t->cfg.batch,       (uint64_t)t->cfg.seq,
                               (uint64_t)t->cfg.nsamples,    t->cfg.seed,
                               (uint64_t)t->cfg.probe_every, (uint64_t)t->cfg.probe_samples,
                               (uint64_t)t->compute,         (uint64_t)t->sched.iters,
                               (uint64_t)t->sched.accum,     t->sched.keep_best,
                               (uint64_t)t->sched.patience,  (uint64_t)t->unit };

    t->layout = srq_hash64(parts, sizeof(parts));
}

int unit_place(struct srq_tuner *t, int unit, const struct srq_scheme *schemes, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_model_unit(t->model, unit);
    bool single = u->kind == SRQ_UNIT_HEAD;
    void *p;
    int rc = 0;

    t->first = u->first;
    t->count = u->count;
    t->unit = unit;
    mix_config(t);
    for (int k = 0; k < AREA_COUNT; k++)
        t->area[k].used = 0;
    for (int i = 0; rc == 0 && i < t->count; i++) {
        describe_layer(t, i, schemes);
        if (t->layers[i].active)
            rc = place_layer(t, &t->layers[i], err);
    }
    if (rc == 0)
        rc = unit_rules(t, single, err);
    if (rc == 0 && t->sched.keep_best && t->sched.iters > 0)
        rc = area_take(t, AREA_BEST, t->area[AREA_TUNED].used, &p, err);
    if (rc == 0)
        rc = place_errors(t, err);
    if (rc == 0)
        rc = place_batch(t, single, err);
    if (rc == 0 && single)
        rc = place_single(t, err);
    return rc;
}

/* ---- the plugin's calls ------------------------------------------------------------------------------------------ */

struct fill {
    float *p;
    float value;
};

static void fill_share(void *ctx, int64_t begin, int64_t end)
{
    const struct fill *f = ctx;

    for (int64_t i = begin; i < end; i++)
        f->p[i] = f->value;
}

int unit_begin(struct srq_tuner *t, struct srq_error *err)
{
    for (int i = 0; i < t->count; i++) {
        struct tuned_layer *l = &t->layers[i];
        int rc;

        if (!l->active)
            continue;
        if (t->block != NULL) {
            l->linear = srq_block_linear(t->block, i);
            l->fake = l->linear->weight;
        }
        l->layer.importance = t->io->importance != NULL ? t->io->importance[i] : NULL;
        if ((t->needs & SRQ_NEED_IMPORTANCE) != 0 && l->layer.importance == NULL)
            return srq_fail_field(err, -SRQ_EINVAL, l->layer.name, "plugin %s needs the importance of the inputs of %s",
                                  t->plugin->name, l->layer.name);
        rc = srq_model_weight(t->model, t->first + i, &l->weight, err);
        if (rc == 0)
            rc = srq_tensor_scale(t->model, t->first + i, l->layer.scheme, &l->layer.tensor_scale, err);
        if (rc != 0)
            return rc;
        l->codes.tensor_scale = l->layer.tensor_scale;
        for (int k = 0; k < l->declared.count; k++) {
            struct fill f = { l->param[k], l->declared.at[k].init };

            srq_parallel(l->declared.at[k].count, GRAIN_BYTES / 4, fill_share, &f);
        }
        rc = t->plugin->tunable->begin(srq_host_services(), t->self, &l->layer, err);
        if (rc != 0)
            return rc;
    }
    t->weights_fresh = false;
    return 0;
}

/* The stored weight, what the plugin tunes of it, and what comes out. */
static double weights_bytes(const struct srq_tuner *t)
{
    double all = 0;

    for (int i = 0; i < t->count; i++) {
        const struct tuned_layer *l = &t->layers[i];
        double n = (double)(l->codes.groups.out * l->codes.groups.in);

        all += l->active ? n * (double)(srq_dtype_size(l->weight.dtype) + srq_dtype_size(l->fake.dtype)) : 0;
        for (int k = 0; l->active && k < l->declared.count; k++)
            if (l->declared.at[k].kind == SRQ_PARAM_TUNED)
                all += (double)l->declared.at[k].count * sizeof(float);
    }
    return all;
}

int unit_weights(struct srq_tuner *t, struct srq_error *err)
{
    double since = srq_tape_clock(t->tape);

    if (t->weights_fresh)
        return 0;
    for (int i = 0; i < t->count; i++) {
        struct tuned_layer *l = &t->layers[i];
        int rc = l->active ? t->plugin->tunable->weight(srq_host_services(), t->self, &l->layer, &l->fake, err) : 0;

        if (rc != 0)
            return rc;
    }
    t->weights_fresh = true;
    srq_tape_account(t->tape, SRQ_TAPE_WEIGHTS, false, since, (struct srq_tape_work){ .bytes = weights_bytes(t) });
    return 0;
}

static void sink(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct tuned_layer *l = ctx;
    struct srq_tuner *t = l->tuner;

    t->plugin->tunable->sink(srq_host_services(), t->self, &l->layer, &t->step, row, rows, grad);
}

void unit_sinks(struct srq_tuner *t, bool on)
{
    for (int i = 0; i < t->count; i++) {
        if (t->layers[i].linear != NULL) {
            t->layers[i].linear->sink = on ? sink : NULL;
            t->layers[i].linear->sink_ctx = &t->layers[i];
        }
    }
}

int unit_step(struct srq_tuner *t, struct srq_error *err)
{
    double since = srq_tape_clock(t->tape);

    t->weights_fresh = false;
    for (int i = 0; i < t->count; i++) {
        struct tuned_layer *l = &t->layers[i];
        int rc = l->active ? t->plugin->tunable->step(srq_host_services(), t->self, &l->layer, &t->step, err) : 0;

        if (rc != 0)
            return rc;
    }
    srq_tape_account(t->tape, SRQ_TAPE_STEP, false, since, (struct srq_tape_work){ 0, 0 });
    return 0;
}

int unit_finish(struct srq_tuner *t, struct srq_error *err)
{
    for (int i = 0; i < t->count; i++) {
        struct tuned_layer *l = &t->layers[i];
        struct srq_result r = srq_codes_result(&l->codes);
        int rc;

        if (!l->active)
            continue;
        rc = t->plugin->tunable->finish(srq_host_services(), t->self, &l->layer, &r, err);
        if (rc == 0)
            rc = srq_codes_check(&l->codes, l->layer.name, err);
        if (rc == 0)
            rc = srq_codes_decode(&l->codes, l->fake.data, l->fake.dtype, err);
        if (rc != 0)
            return rc;
        srq_tensors_release(srq_model_tensors(t->model), &l->weight);
    }
    return 0;
}

/* ---- the best iterate -------------------------------------------------------------------------------------------- */

struct copy {
    char *to;
    const char *from;
};

static void copy_share(void *ctx, int64_t begin, int64_t end)
{
    const struct copy *c = ctx;

    memcpy(c->to + begin, c->from + begin, (size_t)(end - begin));
}

void unit_keep_best(struct srq_tuner *t)
{
    struct copy c = { t->area[AREA_BEST].base, t->area[AREA_TUNED].base };

    if (t->sched.keep_best && t->sched.iters > 0)
        srq_parallel((int64_t)t->area[AREA_TUNED].used, GRAIN_BYTES, copy_share, &c);
}

void unit_restore_best(struct srq_tuner *t)
{
    struct copy c = { t->area[AREA_TUNED].base, t->area[AREA_BEST].base };

    if (t->sched.keep_best && t->sched.iters > 0 && t->best_iter >= 0)
        srq_parallel((int64_t)t->area[AREA_TUNED].used, GRAIN_BYTES, copy_share, &c);
    t->weights_fresh = false;
}

const struct srq_codes *srq_tuner_codes(const struct srq_tuner *t, int layer_in_block)
{
    if (layer_in_block < 0 || layer_in_block >= t->count || !t->layers[layer_in_block].active)
        return NULL;
    return &t->layers[layer_in_block].codes;
}
