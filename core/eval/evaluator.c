/* The evaluation loop: all windows through one block after the other, then logits a few hundred tokens at a time. */
#include "core/eval/evaluator.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/eval/npy.h"
#include "core/eval/scores.h"
#include "core/flow/round_inputs.h"
#include "core/flow/walk.h"
#include "core/math/team.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define LOGIT_BYTES ((int64_t)96 << 20)
#define LOGIT_ROWS_MAX 1024

struct srq_eval {
    const struct srq_model *model, *reference;
    const struct srq_samples *samples;
    int64_t windows, seqlen, hidden, vocab, batch, logit_rows;
    bool inputs; /* some are rounded, maybe */
    float *kept; /* [windows*seqlen, hidden], or NULL */
    size_t state_bytes;
    double *window_loss;    /* [windows]: sums while a run scores, then means */
    int64_t *window_tokens; /* [windows] */
};

/* One run over one model. */
struct run {
    struct srq_eval *e;
    const struct srq_model *model;
    const struct srq_eval_weights *weights; /* or NULL */
    const struct srq_eval_events *events;   /* or NULL */
    struct srq_states *states;
    const struct srq_codes *codes; /* of the layer whose weight is being decoded */
    int64_t done, total;           /* window-blocks */
    struct srq_npy *npy;           /* or NULL */
    bool compare;                  /* with the reference's states */
    struct srq_error *err;
};

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static int64_t batch_of(const struct srq_eval_config *cfg, int64_t windows, int64_t seqlen)
{
    if (cfg->batch > 0)
        return cfg->batch < windows ? cfg->batch : windows;
    return srq_walk_samples(windows, seqlen);
}

static int64_t logit_rows_of(const struct srq_eval_config *cfg, int64_t vocab, int64_t tokens)
{
    int64_t rows = LOGIT_BYTES / (vocab * (int64_t)sizeof(float));

    rows = rows < 16 ? 16 : rows > LOGIT_ROWS_MAX ? LOGIT_ROWS_MAX : rows;
    rows = cfg->logit_rows > 0 ? cfg->logit_rows : rows;
    return rows < tokens ? rows : tokens;
}

static struct srq_walk_config walk_config(const struct srq_model *m, int64_t batch, int64_t seqlen, bool inputs)
{
    return (struct srq_walk_config){ m, SRQ_F32, SRQ_F32, batch, seqlen, .inputs = inputs };
}

/* Whether inputs are rounded at all: by what is evaluated, or by what a folder says. */
static bool rounds_inputs(const struct srq_model *m, const struct srq_eval_config *cfg)
{
    return cfg->inputs || srq_model_info(m)->rounds_inputs;
}

static struct srq_states_config states_config(const struct srq_model *m, int64_t windows, int64_t seqlen)
{
    return (struct srq_states_config){ m, SRQ_F32, windows, seqlen, false, NULL };
}

int srq_eval_footprint(const struct srq_model *m, const struct srq_eval_config *cfg, int64_t windows, int64_t seqlen,
                       bool reference, struct srq_eval_memory *out, struct srq_error *err)
{
    const struct srq_model_info *info = srq_model_info(m);
    struct srq_walk_config walk;
    struct srq_states_config states;
    struct srq_walk_memory memory;
    size_t hidden = 0;
    uint64_t rows;
    int rc;

    memset(out, 0, sizeof(*out));
    if (windows <= 0 || seqlen < 2)
        return srq_fail(err, -SRQ_EINVAL, "%" PRId64 " windows of %" PRId64 " tokens cannot be scored", windows,
                        seqlen);
    windows = cfg->windows > 0 && cfg->windows < windows ? cfg->windows : windows;
    walk = walk_config(m, batch_of(cfg, windows, seqlen), seqlen, rounds_inputs(m, cfg));
    states = states_config(m, windows, seqlen);
    rc = srq_walk_measure(&walk, &memory, err);
    if (rc == 0)
        rc = srq_states_bytes(&states, &hidden, err);
    if (rc != 0)
        return rc;
    rows = (uint64_t)logit_rows_of(cfg, info->vocab, windows * seqlen);
    out->hidden = hidden;
    out->reference = reference ? (uint64_t)(windows * seqlen) * (uint64_t)info->hidden * sizeof(float) : 0;
    out->block = memory.block + memory.rope;
    out->tape = memory.tape;
    out->head = srq_head_bytes(m, (int64_t)rows) * (reference ? 2 : 1);
    out->logits = rows * (uint64_t)info->vocab * sizeof(float) * (reference ? 2 : 1);
    /* Blocks are given back before the head and the logits come. */
    out->total = out->hidden + out->reference;
    out->total += out->block + out->tape > out->head + out->logits ? out->block + out->tape : out->head + out->logits;
    return 0;
}

/* ---- creation ---------------------------------------------------------------------------------------------------- */

int srq_eval_create(const struct srq_model *m, const struct srq_model *reference, const struct srq_samples *samples,
                    const struct srq_eval_config *cfg, struct srq_eval **out, struct srq_error *err)
{
    const struct srq_model_info *info = srq_model_info(m);
    struct srq_eval *e;
    size_t bytes;

    *out = NULL;
    if (reference == NULL)
        reference = m;
    if (samples->seqlen < 2 || samples->count < 1)
        return srq_fail_field(err, -SRQ_EINVAL, "eval.seqlen",
                              "%" PRId64 " windows of %" PRId64 " tokens cannot be scored; a window needs at least 2",
                              samples->count, samples->seqlen);
    if (srq_model_info(reference)->vocab != info->vocab)
        return srq_fail_field(err, -SRQ_EINVAL, "reference",
                              "the vocabularies of model and reference differ: %" PRId64 " and %" PRId64, info->vocab,
                              srq_model_info(reference)->vocab);
    e = srq_calloc(1, sizeof(*e));
    if (e == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for an evaluation");
    e->model = m;
    e->reference = reference;
    e->samples = samples;
    e->windows = cfg->windows > 0 && cfg->windows < samples->count ? cfg->windows : samples->count;
    e->seqlen = samples->seqlen;
    e->inputs = rounds_inputs(m, cfg) || rounds_inputs(reference, cfg);
    e->hidden = info->hidden;
    e->vocab = info->vocab;
    e->batch = batch_of(cfg, e->windows, e->seqlen);
    e->logit_rows = logit_rows_of(cfg, e->vocab, e->windows * e->seqlen);
    if (!srq_mul_size((size_t)(e->windows * e->seqlen), (size_t)srq_model_info(reference)->hidden * sizeof(float),
                      &bytes)) {
        srq_free(e);
        return srq_fail(err, -SRQ_ELIMIT, "%" PRId64 " windows are too many", samples->count);
    }
    e->state_bytes = bytes;
    e->window_loss = srq_calloc((size_t)e->windows, sizeof(*e->window_loss));
    e->window_tokens = srq_calloc((size_t)e->windows, sizeof(*e->window_tokens));
    if (e->window_loss == NULL || e->window_tokens == NULL) {
        srq_eval_free(e);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for an evaluation");
    }
    *out = e;
    return 0;
}

void srq_eval_free(struct srq_eval *e)
{
    if (e == NULL)
        return;
    if (e->kept != NULL)
        srq_pages_free(e->kept, e->state_bytes);
    srq_free(e->window_loss);
    srq_free(e->window_tokens);
    srq_free(e);
}

const double *srq_eval_window_losses(const struct srq_eval *e, int64_t *count)
{
    *count = e->windows;
    return e->window_loss;
}

const void *srq_eval_kept(const struct srq_eval *e, size_t *bytes)
{
    *bytes = e->kept != NULL ? e->state_bytes : 0;
    return e->kept;
}

int srq_eval_keep(struct srq_eval *e, const void *states, size_t bytes, struct srq_error *err)
{
    if (bytes != e->state_bytes)
        return srq_fail(err, -SRQ_EINVAL, "reference states of %zu bytes where %zu are due", bytes, e->state_bytes);
    if (e->kept == NULL)
        e->kept = srq_pages_alloc(e->state_bytes);
    if (e->kept == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for reference states of %zu bytes", bytes);
    memcpy(e->kept, states, bytes);
    return 0;
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static int tick(struct run *r, int64_t windows, struct srq_error *err)
{
    int rc;

    r->done += windows;
    if (r->events == NULL || r->events->tick == NULL)
        return 0;
    rc = r->events->tick(r->events->ctx, r->done, r->total);
    return rc == 0 ? 0 : srq_fail(err, rc, "evaluation stopped on request");
}

static int before_batch(void *ctx, int block, int64_t done, int64_t all)
{
    struct run *r = ctx;

    r->done = block * all + done;
    return tick(r, 0, r->err);
}

static int has_codes(void *ctx, int layer, struct srq_error *err)
{
    struct run *r = ctx;
    int rc;

    r->codes = NULL;
    if (r->weights == NULL)
        return 0;
    rc = r->weights->codes(r->weights->ctx, layer, &r->codes, err);
    return rc == 0 ? r->codes != NULL : rc;
}

static const struct srq_scheme *inputs_of(void *ctx, int layer)
{
    const struct run *r = ctx;

    return r->codes != NULL ? &r->codes->scheme : srq_model_inputs(r->model, layer);
}

static void decode_rows(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    const struct run *r = ctx;

    (void)layer;
    srq_codes_decode_rows(r->codes, row, rows, dst, dtype);
}

static int run_blocks(struct run *r, struct srq_error *err)
{
    const struct srq_eval *e = r->e;
    const struct srq_walk_config config = walk_config(r->model, e->batch, e->seqlen, e->inputs);
    const struct srq_weights weights = { r, NULL, has_codes, decode_rows, inputs_of, NULL };
    const struct srq_walk_tick tick = { before_batch, r };
    struct srq_walk *walk = NULL;
    int rc = srq_walk_create(&config, &walk, err);

    r->err = err;
    if (rc == 0)
        rc = srq_walk_model(walk, r->states, e->samples->ids, e->windows,
                            r->weights != NULL || e->inputs ? &weights : NULL, &tick, err);
    srq_walk_free(walk);
    r->done = srq_model_info(r->model)->blocks * e->windows;
    return rc;
}

/* ---- logits ------------------------------------------------------------------------------------------------------ */

/* The head with its weight, which may be decoded from codes. */
struct head {
    struct srq_head *head;
    float *decoded;
    struct srq_scheme inputs;
};

static void head_fini(struct head *h)
{
    srq_head_free(h->head);
    srq_free(h->decoded);
}

static void round_head(struct head *h, const struct srq_scheme *s)
{
    h->inputs = s != NULL ? *s : srq_scheme_none();
    srq_round_inputs(srq_head_linear(h->head), &h->inputs);
}

static int head_init(struct head *h, const struct srq_model *m, const struct srq_eval_weights *weights,
                     struct srq_error *err)
{
    int layer = srq_model_layer_count(m) - 1, rc = srq_head_create(m, &h->head, err);
    struct srq_linear *l = rc == 0 ? srq_head_linear(h->head) : NULL;
    const struct srq_codes *c = NULL;

    if (rc != 0 || l == NULL)
        return rc;
    if (weights != NULL)
        rc = weights->codes(weights->ctx, layer, &c, err);
    round_head(h, c != NULL ? &c->scheme : srq_model_inputs(m, layer));
    if (rc != 0 || c == NULL)
        return rc;
    h->decoded = srq_malloc((size_t)(l->out * l->in) * sizeof(float));
    if (h->decoded == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the decoded %s", l->name);
    l->weight = srq_tensor_2d(h->decoded, SRQ_F32, l->out, l->in);
    return srq_codes_decode(c, h->decoded, SRQ_F32, err);
}

/* Scores of the positions of one chunk, computed by the team, then added up in their order. */
struct chunk {
    const struct srq_eval *e;
    int64_t first, rows;             /* tokens of all windows */
    const float *logits, *reference; /* [rows, vocab]; reference may be NULL */
    double *loss, *kl;
    uint8_t *scored, *same;
};

static bool is_scored(const struct srq_eval *e, int64_t token)
{
    const uint8_t *mask = e->samples->mask;

    if (token % e->seqlen == e->seqlen - 1)
        return false;
    return mask == NULL || (mask[token] && mask[token + 1]);
}

static void score_share(void *ctx, int64_t begin, int64_t end)
{
    struct chunk *c = ctx;

    for (int64_t i = begin; i < end; i++) {
        const float *z = c->logits + i * c->e->vocab;
        bool same = false;

        c->scored[i] = is_scored(c->e, c->first + i);
        if (!c->scored[i])
            continue;
        c->loss[i] = srq_token_loss(z, c->e->vocab, c->e->samples->ids[c->first + i + 1]);
        if (c->reference != NULL)
            c->kl[i] = srq_token_kl(c->reference + i * c->e->vocab, z, c->e->vocab, &same);
        c->same[i] = same;
    }
}

struct sums {
    double loss, kl;
    int64_t same, tokens;
};

static int add_up(const struct chunk *c, struct sums *s, struct srq_error *err)
{
    for (int64_t i = 0; i < c->rows; i++) {
        if (!c->scored[i])
            continue;
        if (!isfinite(c->loss[i]) || (c->reference != NULL && !isfinite(c->kl[i])))
            return srq_fail(err, -SRQ_ENUMERIC, "the logits of window %" PRId64 ", position %" PRId64 " are not finite",
                            (c->first + i) / c->e->seqlen, (c->first + i) % c->e->seqlen);
        s->loss += c->loss[i];
        c->e->window_loss[(c->first + i) / c->e->seqlen] += c->loss[i];
        c->e->window_tokens[(c->first + i) / c->e->seqlen]++;
        s->kl += c->reference != NULL ? c->kl[i] : 0;
        s->same += c->same[i];
        s->tokens++;
    }
    return 0;
}

/* Everything that exists per chunk. */
struct room {
    float *logits, *reference;
    struct chunk chunk;
};

static void room_fini(struct room *m)
{
    srq_free(m->logits);
    srq_free(m->reference);
    srq_free(m->chunk.loss);
    srq_free(m->chunk.kl);
    srq_free(m->chunk.scored);
    srq_free(m->chunk.same);
}

static int room_init(struct room *m, const struct run *r, struct srq_error *err)
{
    size_t rows = (size_t)r->e->logit_rows, vocab = (size_t)r->e->vocab;

    m->logits = srq_malloc(rows * vocab * sizeof(float));
    m->reference = r->compare ? srq_malloc(rows * vocab * sizeof(float)) : NULL;
    m->chunk.e = r->e;
    m->chunk.loss = srq_malloc(rows * sizeof(double));
    m->chunk.kl = srq_malloc(rows * sizeof(double));
    m->chunk.scored = srq_malloc(rows);
    m->chunk.same = srq_malloc(rows);
    if (m->logits != NULL && (!r->compare || m->reference != NULL) && m->chunk.loss != NULL && m->chunk.kl != NULL &&
        m->chunk.scored != NULL && m->chunk.same != NULL)
        return 0;
    return srq_fail(err, -SRQ_ENOMEM, "out of memory for the logits of %zu tokens", rows);
}

static float *final_of(const struct run *r)
{
    return (float *)(void *)srq_states_final(r->states, 0);
}

static int score_chunk(struct run *r, struct room *m, const struct head *own, const struct head *reference,
                       struct sums *s, struct srq_error *err)
{
    struct chunk *c = &m->chunk;
    int64_t width = srq_model_info(r->model)->hidden, other = srq_model_info(r->e->reference)->hidden;
    int rc = srq_head_logits(own->head, final_of(r) + c->first * width, SRQ_F32, c->rows, m->logits, err);

    if (rc == 0 && r->compare)
        rc = srq_head_logits(reference->head, r->e->kept + c->first * other, SRQ_F32, c->rows, m->reference, err);
    if (rc == 0 && r->npy != NULL)
        rc = srq_npy_add(r->npy, m->logits, c->rows, err);
    if (rc != 0)
        return rc;
    c->logits = m->logits;
    c->reference = r->compare ? m->reference : NULL;
    srq_parallel(c->rows, 1, score_share, c);
    return add_up(c, s, err);
}

static int run_head(struct run *r, struct srq_eval_result *out, struct srq_error *err)
{
    int64_t tokens = r->e->windows * r->e->seqlen, base = r->done;
    struct head own = { 0 }, reference = { 0 };
    struct room m = { 0 };
    struct sums s = { 0 };
    int rc = head_init(&own, r->model, r->weights, err);

    memset(r->e->window_loss, 0, (size_t)r->e->windows * sizeof(double));
    memset(r->e->window_tokens, 0, (size_t)r->e->windows * sizeof(int64_t));
    if (rc == 0 && r->compare)
        rc = head_init(&reference, r->e->reference, NULL, err);
    if (rc == 0)
        rc = room_init(&m, r, err);
    for (int64_t at = 0; at < tokens && rc == 0; at += r->e->logit_rows) {
        m.chunk.first = at;
        m.chunk.rows = tokens - at < r->e->logit_rows ? tokens - at : r->e->logit_rows;
        rc = score_chunk(r, &m, &own, &reference, &s, err);
        if (rc == 0)
            rc = tick(r, base + (at + m.chunk.rows) / r->e->seqlen - r->done, err);
    }
    room_fini(&m);
    head_fini(&own);
    head_fini(&reference);
    if (rc == 0 && s.tokens == 0)
        rc = srq_fail(err, -SRQ_EINVAL, "no position of the text can be scored: all is padding");
    if (rc != 0)
        return rc;
    for (int64_t w = 0; w < r->e->windows; w++)
        r->e->window_loss[w] =
            r->e->window_tokens[w] > 0 ? r->e->window_loss[w] / (double)r->e->window_tokens[w] : (double)NAN;
    out->tokens = s.tokens;
    out->loss = s.loss / (double)s.tokens;
    out->perplexity = exp(out->loss);
    out->kl = !r->compare ? (double)NAN
              : s.kl < 0  ? 0
                          : s.kl / (double)s.tokens; /* rounding may leave nothing below 0 */
    out->top1 = r->compare ? (double)s.same / (double)s.tokens : (double)NAN;
    return 0;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static int run_model(struct run *r, const char *logits_path, struct srq_eval_result *out, struct srq_error *err)
{
    const struct srq_states_config states = states_config(r->model, r->e->windows, r->e->seqlen);
    double begin = srq_clock_s();
    int rc = srq_states_create(&states, &r->states, err);

    r->total = r->e->windows * (srq_model_info(r->model)->blocks + 1);
    if (rc == 0 && logits_path != NULL)
        rc = srq_npy_create(logits_path, r->e->windows * r->e->seqlen, r->e->vocab, &r->npy, err);
    if (rc == 0)
        rc = run_blocks(r, err);
    if (rc == 0)
        rc = run_head(r, out, err);
    if (rc == 0 && r->npy != NULL)
        rc = srq_npy_finish(r->npy, err);
    srq_npy_free(r->npy);
    out->elapsed_s = srq_clock_s() - begin;
    return rc;
}

int srq_eval_reference(struct srq_eval *e, const struct srq_eval_events *events, struct srq_eval_result *out,
                       struct srq_error *err)
{
    struct run r = { .e = e, .model = e->reference, .events = events };
    int rc = run_model(&r, NULL, out, err);

    if (rc == 0)
        rc = srq_eval_keep(e, final_of(&r), e->state_bytes, err);
    srq_states_free(r.states);
    return rc;
}

int srq_eval_run(struct srq_eval *e, const struct srq_eval_weights *weights, const char *logits_path,
                 const struct srq_eval_events *events, struct srq_eval_result *out, struct srq_error *err)
{
    struct run r = { .e = e, .model = e->model, .weights = weights, .events = events, .compare = e->kept != NULL };
    int rc = run_model(&r, logits_path, out, err);

    srq_states_free(r.states);
    return rc;
}
