/* SignRound: learns, block by block, which way every weight is rounded and how far every group's range reaches, by
 * steps of fixed length against the sign of the gradient (Cheng et al. 2024, arXiv 2309.05516; spec signround 2-5).
 *
 * For every weight an offset V in the rounding, for every group factors alpha and beta in [0, 1] on its extrema.
 *
 * With alg_ext (version 2, arXiv 2512.04746; spec signround 8) a group's scale starts from a search that weighs errors
 * by the importance of the inputs, one factor beta in [0, 2] moves it from there, and for 2 and 3 bits the largest
 * errors of a block's output stay out of the loss. For grids that have such a search; layers on others are tuned as
 * without it. The scales of k-quants, which share what they are multiples of, stay as they were found unless a pace
 * says otherwise: moving them measured worse.
 *
 * The recipe "published" has the values of the first paper. The defaults differ where measurements say so: alg_ext,
 * with ranges that move slowly once they were searched for; steps that shrink by a cosine; more samples where there are
 * few; the scales of the finished result tuned end to end. A search without leaving errors out is nothing to have at
 * few bits: where some tokens have massive activations the loss is theirs alone, and ranges that start narrow do not
 * reach them again. */
#include "plugins/grid_rows.h"

#define DROPPED 0.001 /* share of a block's output errors that version 2 leaves out (spec signround 8.3) */

/* Arrays of a layer, in the order in which declare() asks for them; -1 where a layer needs none. */
struct slots {
    int v, lo, hi;
    int start, start_min; /* version 2; the second of k-quants */
    int alpha, beta, galpha, gbeta;
    int v_buf, alpha_buf, beta_buf; /* momentum */
    int v_grad;                     /* sum over micro-batches */
    int count;
};

struct signround {
    int64_t iters, accum, patience;
    double lr, minmax_lr, range_pace, momentum;
    int decay;
    bool minmax, keep_best, alg_ext;
    bool asked, plain_told; /* for alg_ext by the user; that a layer is tuned without */
    struct slots at[3];     /* of layers tuned by version 1 and 2, and of k-quants by version 2 */
};

enum { FIRST, SECOND, SECOND_K };

/* The arrays of one version, numbered. */
static void number_slots(const struct signround *s, int version, struct slots *at)
{
    bool second = version != FIRST;
    bool ranges = s->minmax && (version != SECOND_K || s->range_pace > 0 || s->minmax_lr > 0);
    int n = 0;

    *at = (struct slots){ -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0 };
    at->v = n++;
    at->lo = n++;
    at->hi = n++;
    if (second)
        at->start = n++;
    if (version == SECOND_K)
        at->start_min = n++;
    if (ranges) {
        at->alpha = second ? -1 : n++;
        at->beta = n++;
        at->galpha = n++;
        at->gbeta = n++;
    }
    if (s->momentum > 0) {
        at->v_buf = n++;
        at->alpha_buf = ranges && !second ? n++ : -1;
        at->beta_buf = ranges ? n++ : -1;
    }
    if (s->accum > 1)
        at->v_grad = n++;
    at->count = n;
}

/* One factor on a scale that was searched for: for grids with a search. */
static bool is_second(const struct srq_host *h, const struct signround *s, const struct srq_layer *layer)
{
    const struct srq_grid_ops *grid = s->alg_ext ? h->grid(layer->scheme->grid) : NULL;

    return grid != NULL && grid->search != NULL;
}

static const struct slots *slots_of(const struct srq_host *h, const struct signround *s, const struct srq_layer *layer)
{
    return &s->at[!is_second(h, s, layer) ? FIRST : layer->scheme->grid == SRQ_GRID_K ? SECOND_K : SECOND];
}

static int create(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err)
{
    struct signround *s = h->alloc(sizeof(*s));

    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for signround");
    s->iters = h->opt_int(o, "iters");
    s->accum = h->opt_int(o, "accum");
    s->patience = h->opt_int(o, "patience");
    s->lr = h->opt_float(o, "lr");
    s->minmax_lr = h->opt_float(o, "minmax_lr");
    s->range_pace = h->opt_float(o, "range_pace");
    s->momentum = h->opt_float(o, "momentum");
    s->decay = strcmp(h->opt_string(o, "decay"), "cosine") == 0 ? SRQ_DECAY_COSINE : SRQ_DECAY_LINEAR;
    s->minmax = h->opt_bool(o, "minmax");
    s->keep_best = h->opt_bool(o, "keep_best");
    s->alg_ext = h->opt_bool(o, "alg_ext");
    s->asked = h->opt_set(o, "alg_ext");
    for (int version = FIRST; version <= SECOND_K; version++)
        number_slots(s, version, &s->at[version]);
    *self = s;
    return 0;
}

static void destroy(const struct srq_host *h, void *self)
{
    h->free(self);
}

/* 1/T; 2/T for at most 3 bits when there are many iterations (spec signround 4). A cosine keeps the steps long for half
 * of the way and short at the end, and then wants a longer one to begin with. */
static double learning_rate(const struct signround *s, const struct srq_layer *layer)
{
    double t = (double)(s->iters > 0 ? s->iters : 1);

    if (s->lr > 0)
        return s->lr;
    if (layer != NULL && layer->scheme->bits <= 3 && s->iters >= 1000)
        return 2 / t;
    return s->decay == SRQ_DECAY_COSINE ? 1.5 / t : 1 / t;
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
    out->decay = s->decay;
    return 0;
}

static uint32_t needs(const struct srq_host *h, void *self)
{
    const struct signround *s = self;

    (void)h;
    return s->alg_ext ? SRQ_NEED_IMPORTANCE : 0;
}

/* Few bits make a few large errors, and the mean would be about them alone. */
static int rules(const struct srq_host *h, void *self, const struct srq_layer *const *layers, int count,
                 struct srq_block_rules *out, struct srq_error *err)
{
    const struct signround *s = self;

    (void)err;
    for (int i = 0; i < count; i++) {
        const struct srq_scheme *scheme = layers[i]->scheme;
        bool coarse = scheme->bits < 4 || (scheme->act_bits > 0 && scheme->act_bits <= 4);

        if (s->alg_ext && coarse && is_second(h, s, layers[i]))
            out->drop_largest = DROPPED;
    }
    return 0;
}

/* With one group for a whole tensor, rows are handed to several threads that would all add to one gradient: each row
 * gets an entry of its own, and step() adds them up in order. */
static int64_t range_grads(const struct srq_layer *layer)
{
    return layer->scheme->group == 0 ? layer->groups->out : layer->groups->count;
}

static int declare(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_params *to,
                   struct srq_error *err)
{
    const struct slots *at = slots_of(h, self, layer);
    int64_t weights = layer->groups->out * layer->groups->in, groups = layer->groups->count;

    const struct {
        int at; /* -1: not wanted */
        const char *name;
        int64_t count;
        float init;
        int kind;
    } arrays[] = {
        { at->v, "v", weights, 0, SRQ_PARAM_TUNED },
        { at->lo, "lo", groups, 0, SRQ_PARAM_SCRATCH },
        { at->hi, "hi", groups, 0, SRQ_PARAM_SCRATCH },
        { at->start, "start", groups, 1, SRQ_PARAM_SCRATCH },
        { at->start_min, "start_min", groups, 0, SRQ_PARAM_SCRATCH },
        { at->alpha, "alpha", groups, 1, SRQ_PARAM_TUNED },
        { at->beta, "beta", groups, 1, SRQ_PARAM_TUNED },
        { at->galpha, "galpha", range_grads(layer), 0, SRQ_PARAM_SCRATCH },
        { at->gbeta, "gbeta", range_grads(layer), 0, SRQ_PARAM_SCRATCH },
        { at->v_buf, "v_momentum", weights, 0, SRQ_PARAM_STATE },
        { at->alpha_buf, "alpha_momentum", groups, 0, SRQ_PARAM_STATE },
        { at->beta_buf, "beta_momentum", groups, 0, SRQ_PARAM_STATE },
        { at->v_grad, "v_grad", weights, 0, SRQ_PARAM_SCRATCH },
    };

    (void)err;
    for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
        struct srq_param param = { .size = sizeof(param),
                                   .kind = arrays[i].kind,
                                   .init = arrays[i].init,
                                   .name = arrays[i].name,
                                   .count = arrays[i].count };

        if (arrays[i].at >= 0)
            h->declare(to, &param);
    }
    return 0;
}

static float *array(const struct srq_layer *layer, int at)
{
    return at >= 0 ? layer->param[at] : NULL;
}

static struct srq_grid_args grid_args(const struct slots *at, const struct srq_layer *layer)
{
    return (struct srq_grid_args){
        .size = sizeof(struct srq_grid_args),
        .weight = layer->weight,
        .scheme = layer->scheme,
        .groups = layer->groups,
        .lo = array(layer, at->lo),
        .hi = array(layer, at->hi),
        .v = array(layer, at->v),
        .alpha = array(layer, at->alpha),
        .beta = array(layer, at->beta),
        .start = array(layer, at->start),
        .start_min = array(layer, at->start_min),
        .tensor_scale = layer->tensor_scale,
    };
}

struct searching {
    const struct srq_grid_ops *grid;
    struct srq_grid_args args;
    const float *importance;
    float *start;
};

static void search_rows(void *ctx, int64_t from, int64_t to)
{
    const struct searching *s = ctx;

    s->grid->search(&s->args, s->importance, from, to - from, s->start);
}

/* Where the scales of version 2 start, before any iteration; the same again after a resume. */
static void search(const struct srq_host *h, const struct srq_layer *layer, const struct slots *at)
{
    struct searching s = { h->grid(layer->scheme->grid), grid_args(at, layer), layer->importance,
                           array(layer, at->start) };

    s.args.start = NULL;
    if (layer->scheme->group == 0) /* one group: its rows cannot be shared out */
        search_rows(&s, 0, layer->groups->out);
    else
        h->parallel(layer->groups->out, 1, search_rows, &s);
}

static int begin(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_error *err)
{
    struct signround *s = self;
    const struct slots *at = slots_of(h, s, layer);
    const struct srq_grid_ops *grid = h->grid(layer->scheme->grid);
    struct srq_grid_args args = grid_args(at, layer);
    int rc;

    if (grid == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "the grid of %s is not in this build", layer->name);
    rc = grid->extrema(&args, array(layer, at->lo), array(layer, at->hi));
    if (rc != 0)
        return srq_fail_field(err, rc, layer->name, "the ranges of %s could not be found", layer->name);
    if (at->start >= 0) {
        search(h, layer, at);
    } else if (s->alg_ext && s->asked && !s->plain_told) {
        h->log(SRQ_LOG_INFO,
               "signround.alg_ext has no search for the grid of %s: it and others like it are tuned without",
               layer->name);
        s->plain_told = true;
    }
    return 0;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void project(float *p, int64_t n, float most)
{
    for (int64_t i = 0; p != NULL && i < n; i++)
        p[i] = p[i] < 0 ? 0 : p[i] > most ? most : p[i];
}

static void project_ranges(const struct slots *at, struct srq_layer *layer)
{
    project(array(layer, at->alpha), layer->groups->count, 1);
    project(array(layer, at->beta), layer->groups->count, at->start >= 0 ? 2 : 1);
}

static int weight(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_tensor *dst,
                  struct srq_error *err)
{
    const struct slots *at = slots_of(h, self, layer);
    struct srq_grid_args args = grid_args(at, layer);

    (void)err;
    project_ranges(at, layer);
    grid_rows_fake(h, layer, &args, dst);
    return 0;
}

static void move_v(const struct srq_host *h, const struct signround *s, const struct srq_layer *layer,
                   const struct srq_step *step, int64_t from, int64_t n, const float *grad)
{
    const struct slots *at = slots_of(h, s, layer);
    float *v = array(layer, at->v) + from;
    float lr = (float)(learning_rate(s, layer) * step->schedule);

    if (at->v_buf >= 0)
        h->sign_momentum_step(v, array(layer, at->v_buf) + from, grad, lr, (float)s->momentum, step->iter == 0, n);
    else
        h->sign_step(v, grad, lr, n);
}

/* Row by row, so that a row's gradient, weight and offsets are still in the cache for each thing done with them. */
static void sink(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                 int64_t row, int64_t rows, float *grad)
{
    const struct signround *s = self;
    const struct slots *at = slots_of(h, s, layer);
    const struct srq_grid_ops *grid = h->grid(layer->scheme->grid);
    struct srq_grid_args args = grid_args(at, layer);
    int64_t in = layer->groups->in;
    float *galpha = array(layer, at->galpha), *gbeta = array(layer, at->gbeta), *sum = array(layer, at->v_grad);

    for (int64_t r = row; r < row + rows; r++, grad += in) {
        int64_t shift = galpha != NULL && layer->scheme->group == 0 ? r : 0;

        grid->grad(&args, r, 1, grad, galpha != NULL ? galpha + shift : NULL, gbeta != NULL ? gbeta + shift : NULL);
        if (sum == NULL) {
            move_v(h, s, layer, step, r * in, in, grad);
            continue;
        }
        for (int64_t i = 0; i < in; i++)
            sum[r * in + i] = step->micro == 0 ? grad[i] : sum[r * in + i] + grad[i];
    }
}

/* A searched scale starts near its end, extrema may be far from it. */
static double range_rate(const struct srq_host *h, const struct signround *s, const struct srq_layer *layer)
{
    double pace = s->range_pace > 0 ? s->range_pace : is_second(h, s, layer) ? 0.25 : 1;

    return s->minmax_lr > 0 ? s->minmax_lr : pace * learning_rate(s, layer);
}

static void move_range(const struct srq_host *h, const struct signround *s, const struct srq_layer *layer,
                       const struct srq_step *step, float *p, float *grad, float *buf)
{
    int64_t n = layer->groups->count, parts = range_grads(layer);
    float lr = (float)(range_rate(h, s, layer) * step->schedule);

    if (p == NULL)
        return;
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

    move_v(m->h, m->s, m->layer, m->step, from, to - from,
           array(m->layer, slots_of(m->h, m->s, m->layer)->v_grad) + from);
}

static int step(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *now,
                struct srq_error *err)
{
    const struct signround *s = self;
    const struct slots *at = slots_of(h, s, layer);
    struct move m = { h, s, layer, now };

    (void)err;
    if (at->v_grad >= 0)
        h->parallel(layer->groups->out * layer->groups->in, 16384, move_summed, &m);
    move_range(h, s, layer, now, array(layer, at->alpha), array(layer, at->galpha), array(layer, at->alpha_buf));
    move_range(h, s, layer, now, array(layer, at->beta), array(layer, at->gbeta), array(layer, at->beta_buf));
    return 0;
}

static int finish(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                  struct srq_error *err)
{
    const struct slots *at = slots_of(h, self, layer);
    struct srq_grid_args args = grid_args(at, layer);

    (void)err;
    project_ranges(at, layer);
    grid_rows_encode(h, layer, &args, out);
    return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static const struct srq_option options[] = {
    SRQ_OPTION(.name = "recipe", .type = SRQ_OPT_CHOICE, .choices = "default,best,light,published", .value = "default",
               .help = "Set of defaults: best is about five times slower, light about three times faster, published as "
                       "in the first paper."),
    SRQ_OPTION(.name = "iters", .type = SRQ_OPT_INT, .unit = "iterations", .max = 100000, .value = "200",
               .help = "Steps per block; 0 rounds plainly."),
    SRQ_OPTION(.name = "lr", .type = SRQ_OPT_FLOAT, .max = 1, .value = "0",
               .help = "Step of the rounding offsets; 0: 1/iters (1.5/iters with decay=cosine), or 2/iters for at most "
                       "3 bits when iters is at least 1000."),
    SRQ_OPTION(.name = "minmax_lr", .type = SRQ_OPT_FLOAT, .max = 1, .value = "0",
               .help = "Step of the range factors; 0: range_pace times that of the rounding offsets."),
    SRQ_OPTION(.name = "range_pace", .type = SRQ_OPT_FLOAT, .max = 10, .value = "0",
               .help = "Pace of the range factors, as a share of the offsets'; 0: a quarter where scales start from a "
                       "search (k-quants: they stay), else the same."),
    SRQ_OPTION(.name = "decay", .type = SRQ_OPT_CHOICE, .choices = "linear,cosine", .value = "cosine",
               .help = "How the steps shrink to nothing over the iterations; linear is the published method."),
    SRQ_OPTION(.name = "minmax", .type = SRQ_OPT_BOOL, .value = "true", .help = "Tune the range of every group too."),
    SRQ_OPTION(.name = "alg_ext", .type = SRQ_OPT_BOOL, .value = "true",
               .help = "Version 2: search, and for 2 and 3 bits the largest errors are left out of the loss; "
                       "asymmetric integers and fp8 are tuned as without it."),
    SRQ_OPTION(.name = "momentum", .type = SRQ_OPT_FLOAT, .max = 0.999, .value = "0",
               .help = "Share of the earlier gradients that is kept."),
    SRQ_OPTION(.name = "accum", .type = SRQ_OPT_INT, .unit = "micro-batches", .min = 1, .max = 1024, .value = "1",
               .help = "Micro-batches whose gradients make one step."),
    SRQ_OPTION(.name = "keep_best", .type = SRQ_OPT_BOOL, .value = "true",
               .help = "Keep the iterate with the lowest loss on the probe samples; false: the last one."),
    SRQ_OPTION(.name = "patience", .type = SRQ_OPT_INT, .unit = "iterations", .max = 100000, .value = "0",
               .help = "Stop a block after so many iterations without a better one; 0: never."),
};

static const struct srq_recipe_row recipes[] = {
    SRQ_RECIPE("default", "iters", "200"),
    SRQ_RECIPE("default", "job.nsamples", "128"),
    SRQ_RECIPE("default", "job.seqlen", "2048"),
    SRQ_RECIPE("default", "job.batch", "8"),
    SRQ_RECIPE("default", "job.refine", "2"),
    SRQ_RECIPE("default", "job.resample", "65536"),
    SRQ_RECIPE("best", "iters", "1000"),
    SRQ_RECIPE("best", "job.nsamples", "512"),
    SRQ_RECIPE("best", "job.seqlen", "2048"),
    SRQ_RECIPE("best", "job.batch", "8"),
    SRQ_RECIPE("best", "job.refine", "4"),
    SRQ_RECIPE("best", "job.resample", "65536"),
    SRQ_RECIPE("light", "iters", "50"),
    SRQ_RECIPE("light", "lr", "0.005"),
    SRQ_RECIPE("light", "job.nsamples", "128"),
    SRQ_RECIPE("light", "job.seqlen", "2048"),
    SRQ_RECIPE("light", "job.batch", "8"),
    SRQ_RECIPE("light", "job.refine", "1"),
    SRQ_RECIPE("light", "job.resample", "65536"),
    SRQ_RECIPE("published", "iters", "200"),
    SRQ_RECIPE("published", "job.nsamples", "128"),
    SRQ_RECIPE("published", "job.seqlen", "2048"),
    SRQ_RECIPE("published", "job.batch", "8"),
    SRQ_RECIPE("published", "decay", "linear"),
    SRQ_RECIPE("published", "range_pace", "1"),
    SRQ_RECIPE("published", "alg_ext", "false"),
    SRQ_RECIPE("published", "job.refine", "0"),
    SRQ_RECIPE("published", "job.resample", "0"),
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
    .needs = needs,
    .rules = rules,
};

const struct srq_plugin srq_plugin = {
    SRQ_PLUGIN_HEAD,
    .name = "signround",
    .version = "1.1",
    .summary =
        "Learns the rounding of every weight and the range of every group by signed gradient steps on each block.",
    SRQ_OPTIONS(options),
    SRQ_RECIPES(recipes),
    .create = create,
    .destroy = destroy,
    .tunable = &tunable,
};
