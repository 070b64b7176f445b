/* SignRound: learns, block by block, which way every weight is rounded and how far every group's range reaches, by
 * steps of fixed length against the sign of the gradient (Cheng et al. 2024, arXiv 2309.05516; spec signround 2-5).
 *
 * For every weight an offset V in the rounding, for every group factors alpha and beta in [0, 1] on its extrema. */
#include <srq/plugin.h>

/* Arrays of a layer, in the order in which declare() asks for them; -1 where a job needs none. */
struct slots {
    int v, lo, hi;
    int alpha, beta, galpha, gbeta;
    int v_buf, alpha_buf, beta_buf; /* momentum */
    int v_grad;                     /* sum over micro-batches */
    int count;
};

struct signround {
    int64_t iters, accum, patience;
    double lr, minmax_lr, momentum;
    bool minmax, keep_best;
    struct slots at;
};

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct signround *s = h->alloc(sizeof(*s));
    int n = 0;

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for signround");
    s->iters = h->opt_int(o, "iters");
    s->accum = h->opt_int(o, "accum");
    s->patience = h->opt_int(o, "patience");
    s->lr = h->opt_float(o, "lr");
    s->minmax_lr = h->opt_float(o, "minmax_lr");
    s->momentum = h->opt_float(o, "momentum");
    s->minmax = h->opt_bool(o, "minmax");
    s->keep_best = h->opt_bool(o, "keep_best");

    s->at = (struct slots){ -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0 };
    s->at.v = n++;
    s->at.lo = n++;
    s->at.hi = n++;
    if (s->minmax) {
        s->at.alpha = n++;
        s->at.beta = n++;
        s->at.galpha = n++;
        s->at.gbeta = n++;
    }
    if (s->momentum > 0) {
        s->at.v_buf = n++;
        if (s->minmax) {
            s->at.alpha_buf = n++;
            s->at.beta_buf = n++;
        }
    }
    if (s->accum > 1)
        s->at.v_grad = n++;
    s->at.count = n;
    *self = s;
    return 0;
}

static void destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

/* 1/T; 2/T for at most 3 bits when there are many iterations (spec signround 4). */
static double learning_rate(const struct signround *s, const struct srq_layer *layer)
{
    double t = (double)(s->iters > 0 ? s->iters : 1);

    if (s->lr > 0)
        return s->lr;
    return layer != NULL && layer->scheme.bits <= 3 && s->iters >= 1000 ? 2 / t : 1 / t;
}

static int schedule(const struct srq_host *h, void *self, struct srq_schedule *out, struct srq_error *err)
{
    const struct signround *s = self;

    (void)h;
    (void)err;
    out->iters = s->iters;
    out->accum = s->accum;
    out->keep_best = s->keep_best;
    out->patience = s->patience;
    out->lr = learning_rate(s, NULL);
    return 0;
}

/* With one group for a whole tensor, rows are handed to several threads that would all add to one gradient: each row
 * gets an entry of its own, and step() adds them up in order. */
static int64_t range_grads(const struct srq_layer *layer)
{
    return layer->scheme.group == 0 ? layer->groups.out : layer->groups.count;
}

static void declare_one(struct srq_param *param, int at, const char *name, int64_t count, float init, int kind)
{
    if (at >= 0)
        param[at] = (struct srq_param){ .name = name, .count = count, .init = init, .kind = kind };
}

static int declare(const struct srq_host *h, void *self, const struct srq_layer *layer,
                   struct srq_param param[SRQ_MAX_PARAMS], int *count, struct srq_error *err)
{
    const struct signround *s = self;
    const struct slots *at = &s->at;
    int64_t weights = layer->groups.out * layer->groups.in, groups = layer->groups.count;

    (void)h;
    (void)err;
    declare_one(param, at->v, "v", weights, 0, SRQ_PARAM_TUNED);
    declare_one(param, at->lo, "lo", groups, 0, SRQ_PARAM_SCRATCH);
    declare_one(param, at->hi, "hi", groups, 0, SRQ_PARAM_SCRATCH);
    declare_one(param, at->alpha, "alpha", groups, 1, SRQ_PARAM_TUNED);
    declare_one(param, at->beta, "beta", groups, 1, SRQ_PARAM_TUNED);
    declare_one(param, at->galpha, "galpha", range_grads(layer), 0, SRQ_PARAM_SCRATCH);
    declare_one(param, at->gbeta, "gbeta", range_grads(layer), 0, SRQ_PARAM_SCRATCH);
    declare_one(param, at->v_buf, "v_momentum", weights, 0, SRQ_PARAM_STATE);
    declare_one(param, at->alpha_buf, "alpha_momentum", groups, 0, SRQ_PARAM_STATE);
    declare_one(param, at->beta_buf, "beta_momentum", groups, 0, SRQ_PARAM_STATE);
    declare_one(param, at->v_grad, "v_grad", weights, 0, SRQ_PARAM_SCRATCH);
    *count = at->count;
    return 0;
}

static float *array(const struct srq_layer *layer, int at)
{
    return at >= 0 ? layer->param[at] : NULL;
}

static struct srq_grid_args grid_args(const struct signround *s, const struct srq_layer *layer)
{
    return (struct srq_grid_args){
        .size = sizeof(struct srq_grid_args),
        .weight = &layer->weight,
        .scheme = layer->scheme,
        .groups = layer->groups,
        .lo = array(layer, s->at.lo),
        .hi = array(layer, s->at.hi),
        .v = array(layer, s->at.v),
        .alpha = array(layer, s->at.alpha),
        .beta = array(layer, s->at.beta),
        .tensor_scale = layer->tensor_scale,
    };
}

static int begin(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_error *err)
{
    const struct signround *s = self;
    const struct srq_grid_ops *grid = h->grid(layer->scheme.grid);
    struct srq_grid_args args = grid_args(s, layer);
    int rc;

    if (grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "the grid of %s is not in this build", layer->name);
    rc = grid->extrema(&args, array(layer, s->at.lo), array(layer, s->at.hi));
    return rc != 0 ? srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name) : 0;
}

/* ---- the loop ------------------------------------------------------------------------------------------------- */

static void project(float *p, int64_t n)
{
    for (int64_t i = 0; p != NULL && i < n; i++)
        p[i] = p[i] < 0 ? 0 : p[i] > 1 ? 1 : p[i];
}

static void project_ranges(const struct signround *s, struct srq_layer *layer)
{
    project(array(layer, s->at.alpha), layer->groups.count);
    project(array(layer, s->at.beta), layer->groups.count);
}

struct rows {
    const struct srq_grid_ops *grid;
    struct srq_grid_args args;
    struct srq_tensor *dst;
    struct srq_result *out;
};

static void fake_rows(void *ctx, int64_t from, int64_t to)
{
    const struct rows *r = ctx;
    int64_t in = r->args.groups.in;
    size_t size = r->dst->dtype == SRQ_F32 ? 4 : 2;

    r->grid->fake(&r->args, from, to - from, (char *)r->dst->data + (size_t)(from * in) * size, r->dst->dtype, in);
}

static int weight(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_tensor *dst,
                  struct srq_error *err)
{
    const struct signround *s = self;
    struct rows r = { .grid = h->grid(layer->scheme.grid), .args = grid_args(s, layer), .dst = dst };

    (void)err;
    project_ranges(s, layer);
    h->parallel(layer->groups.out, 8, fake_rows, &r);
    return 0;
}

static void move_v(const struct srq_host *h, const struct signround *s, const struct srq_layer *layer,
                   const struct srq_step *step, int64_t from, int64_t n, const float *grad)
{
    float *v = array(layer, s->at.v) + from;
    float lr = (float)(learning_rate(s, layer) * step->schedule);

    if (s->at.v_buf >= 0)
        h->sign_momentum_step(v, array(layer, s->at.v_buf) + from, grad, lr, (float)s->momentum, step->iter == 0, n);
    else
        h->sign_step(v, grad, lr, n);
}

/* Row by row, so that a row's gradient, weight and offsets are still in the cache for each thing done with them. */
static void sink(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                 int64_t row, int64_t rows, float *grad)
{
    const struct signround *s = self;
    const struct srq_grid_ops *grid = h->grid(layer->scheme.grid);
    struct srq_grid_args args = grid_args(s, layer);
    int64_t in = layer->groups.in;
    float *galpha = array(layer, s->at.galpha), *gbeta = array(layer, s->at.gbeta), *sum = array(layer, s->at.v_grad);

    for (int64_t r = row; r < row + rows; r++, grad += in) {
        int64_t shift = galpha != NULL && layer->scheme.group == 0 ? r : 0;

        grid->grad(&args, r, 1, grad, galpha != NULL ? galpha + shift : NULL, gbeta != NULL ? gbeta + shift : NULL);
        if (sum == NULL) {
            move_v(h, s, layer, step, r * in, in, grad);
            continue;
        }
        for (int64_t i = 0; i < in; i++)
            sum[r * in + i] = step->micro == 0 ? grad[i] : sum[r * in + i] + grad[i];
    }
}

static void move_range(const struct srq_host *h, const struct signround *s, const struct srq_layer *layer,
                       const struct srq_step *step, float *p, float *grad, float *buf)
{
    int64_t n = layer->groups.count, parts = range_grads(layer);
    float lr = (float)((s->minmax_lr > 0 ? s->minmax_lr : learning_rate(s, layer)) * step->schedule);

    for (int64_t i = n; i < parts; i++)
        grad[0] += grad[i];
    if (buf != NULL)
        h->sign_momentum_step(p, buf, grad, lr, (float)s->momentum, step->iter == 0, n);
    else
        h->sign_step(p, grad, lr, n);
    for (int64_t i = 0; i < parts; i++)
        grad[i] = 0;
}

struct move {
    const struct srq_host *h;
    const struct signround *s;
    const struct srq_layer *layer;
    const struct srq_step *step;
};

static void move_summed(void *ctx, int64_t from, int64_t to)
{
    const struct move *m = ctx;

    move_v(m->h, m->s, m->layer, m->step, from, to - from, array(m->layer, m->s->at.v_grad) + from);
}

static int step(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *at,
                struct srq_error *err)
{
    const struct signround *s = self;
    struct move m = { h, s, layer, at };

    (void)err;
    if (s->at.v_grad >= 0)
        h->parallel(layer->groups.out * layer->groups.in, 16384, move_summed, &m);
    if (s->minmax) {
        move_range(h, s, layer, at, array(layer, s->at.alpha), array(layer, s->at.galpha),
                   array(layer, s->at.alpha_buf));
        move_range(h, s, layer, at, array(layer, s->at.beta), array(layer, s->at.gbeta), array(layer, s->at.beta_buf));
    }
    return 0;
}

static void encode_rows(void *ctx, int64_t from, int64_t to)
{
    const struct rows *r = ctx;

    r->grid->encode(&r->args, from, to - from, r->out);
}

static int finish(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                  struct srq_error *err)
{
    const struct signround *s = self;
    struct rows r = { .grid = h->grid(layer->scheme.grid), .args = grid_args(s, layer), .out = out };

    (void)err;
    project_ranges(s, layer);
    h->parallel(layer->groups.out, 16, encode_rows, &r);
    return 0;
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

static const struct srq_option options[] = {
    { "recipe", SRQ_OPT_CHOICE, NULL, 0, 0, "default,best,light", "default",
      "Set of defaults: best is about five times slower, light about three times faster." },
    { "iters", SRQ_OPT_INT, "iterations", 0, 100000, NULL, "200", "Steps per block; 0 rounds plainly." },
    { "lr", SRQ_OPT_FLOAT, NULL, 0, 1, NULL, "0",
      "Step of the rounding offsets; 0: 1/iters, or 2/iters for at most 3 bits when iters is at least 1000." },
    { "minmax_lr", SRQ_OPT_FLOAT, NULL, 0, 1, NULL, "0", "Step of the range factors; 0: that of the rounding offsets." },
    { "minmax", SRQ_OPT_BOOL, NULL, 0, 0, NULL, "true", "Tune the range of every group too." },
    { "momentum", SRQ_OPT_FLOAT, NULL, 0, 0.999, NULL, "0", "Share of the earlier gradients that is kept." },
    { "accum", SRQ_OPT_INT, "micro-batches", 1, 1024, NULL, "1", "Micro-batches whose gradients make one step." },
    { "keep_best", SRQ_OPT_BOOL, NULL, 0, 0, NULL, "true",
      "Keep the iterate with the lowest loss on the probe samples; false: the last one." },
    { "patience", SRQ_OPT_INT, "iterations", 0, 100000, NULL, "0",
      "Stop a block after so many iterations without a better one; 0: never." },
    { NULL, SRQ_OPT_BOOL, NULL, 0, 0, NULL, NULL, NULL },
};

static const struct srq_recipe_row recipes[] = {
    { "default", "iters", "200" },   { "default", "job.nsamples", "128" }, { "default", "job.seqlen", "2048" },
    { "default", "job.batch", "8" }, { "best", "iters", "1000" },          { "best", "job.nsamples", "512" },
    { "best", "job.seqlen", "2048" }, { "best", "job.batch", "8" },        { "light", "iters", "50" },
    { "light", "lr", "0.005" },      { "light", "job.nsamples", "128" },   { "light", "job.seqlen", "2048" },
    { "light", "job.batch", "8" },   { NULL, NULL, NULL },
};

static const struct srq_tunable tunable = {
    .size = sizeof(tunable),
    .schedule = schedule,
    .declare = declare,
    .begin = begin,
    .weight = weight,
    .sink = sink,
    .step = step,
    .finish = finish,
};

const struct srq_plugin srq_plugin = {
    .magic = SRQ_PLUGIN_MAGIC,
    .abi_major = SRQ_ABI_MAJOR,
    .abi_minor = SRQ_ABI_MINOR,
    .size = sizeof(struct srq_plugin),
    .name = "signround",
    .version = "1.0",
    .summary = "Learns the rounding of every weight and the range of every group by signed gradient steps on each block.",
    .options = options,
    .recipes = recipes,
    .create = create,
    .destroy = destroy,
    .tunable = &tunable,
};
