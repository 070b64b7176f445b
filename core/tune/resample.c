/* Samples with words drawn anew. */
#include "core/tune/resample.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/math/team.h"
#include "core/flow/walk.h"

#include <math.h>

#define WHETHER ((uint64_t)0x7277) /* streams: whether a word is replaced, and by which */
#define WHICH ((uint64_t)0x7278)
#define SHARE 0.6
#define STATES_MOST ((int64_t)256 << 20) /* bytes of states that go through the model together */
#define ROWS 256                         /* tokens whose logits are made at once */

struct resample {
    const struct srq_model *model;
    struct srq_resample_config cfg;
    int64_t hidden, vocab, part; /* samples that go through the model together */
    size_t states_bytes;
    struct srq_walk_config walk_config;
    struct srq_states_config states_config;
    struct srq_walk_memory memory;
    struct srq_walk *walk;
    struct srq_states *states;
    struct srq_head *head;
    float *logits; /* [ROWS, vocab] */
    struct srq_samples *samples;
    int64_t first; /* token of the first row of logits, counted over all samples that were read */
};

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

int64_t srq_resample_copies(int64_t wanted, int64_t nsamples, int64_t seq)
{
    int64_t tokens = nsamples * seq, copies;

    if (wanted <= tokens || tokens <= 0)
        return 0;
    copies = (wanted + tokens - 1) / tokens - 1;
    return copies < SRQ_RESAMPLE_MOST ? copies : SRQ_RESAMPLE_MOST;
}

static int measure(struct resample *r, const struct srq_resample_config *cfg, struct srq_error *err)
{
    const struct srq_model *m = cfg->model;
    int64_t sample;
    int rc;

    memset(r, 0, sizeof(*r));
    r->model = m;
    r->cfg = *cfg;
    r->hidden = srq_model_info(m)->hidden;
    r->vocab = srq_model_info(m)->vocab;
    sample = cfg->seq * r->hidden * (int64_t)srq_dtype_size(cfg->compute);
    r->part = STATES_MOST / sample;
    r->part = r->part < cfg->batch ? cfg->batch : r->part;
    r->part = r->part < cfg->nsamples ? r->part : cfg->nsamples;
    r->walk_config = (struct srq_walk_config){ m,
                                               cfg->compute,
                                               cfg->compute,
                                               srq_walk_samples(cfg->batch < r->part ? cfg->batch : r->part, cfg->seq),
                                               cfg->seq,
                                               .backward = false };
    r->states_config = (struct srq_states_config){ m, cfg->compute, r->part, cfg->seq, false, NULL };
    rc = srq_states_bytes(&r->states_config, &r->states_bytes, err);
    return rc == 0 ? srq_walk_measure(&r->walk_config, &r->memory, err) : rc;
}

int srq_resample_footprint(const struct srq_resample_config *cfg, struct srq_memory_rows *rows, struct srq_error *err)
{
    struct resample r;
    int rc = cfg->copies > 0 ? measure(&r, cfg, err) : 0;

    if (rc != 0 || cfg->copies == 0)
        return rc;
    srq_memory_add(rows, "words drawn anew: block parameters", r.memory.block);
    srq_memory_add(rows, "words drawn anew: rope tables", r.memory.rope);
    srq_memory_add(rows, "words drawn anew: states", r.states_bytes);
    srq_memory_add(rows, "words drawn anew: forward pass of a batch", r.memory.tape);
    srq_memory_add(rows, "words drawn anew: head and logits",
                   srq_head_bytes(cfg->model, ROWS) + (size_t)(ROWS * r.vocab) * sizeof(float));
    return 0;
}

int srq_resample_extend(struct srq_samples *s, int64_t copies, struct srq_error *err)
{
    size_t n = (size_t)(s->count * s->seqlen), all = n * (size_t)(copies + 1);
    int32_t *ids = srq_malloc(all * sizeof(*ids));
    uint8_t *mask = s->mask != NULL ? srq_malloc(all) : NULL;

    if (ids == NULL || (s->mask != NULL && mask == NULL)) {
        srq_free(ids);
        srq_free(mask);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %lld copies of the calibration samples",
                        (long long)copies);
    }
    for (size_t c = 0; c <= (size_t)copies; c++) {
        memcpy(ids + c * n, s->ids, n * sizeof(*ids));
        if (mask != NULL)
            memcpy(mask + c * n, s->mask, n);
    }
    srq_free(s->ids);
    srq_free(s->mask);
    s->ids = ids;
    s->mask = mask;
    s->count *= copies + 1;
    return 0;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

/* The word at which `part` of the whole weight lies below; weight [vocab], its sum `sum`. */
static int32_t word_at(const float *weight, int64_t vocab, double part)
{
    double below = 0;
    int64_t last = 0;

    for (int64_t i = 0; i < vocab; i++) {
        below += (double)weight[i];
        last = weight[i] > 0 ? i : last;
        if (below > part)
            return (int32_t)i;
    }
    return (int32_t)last; /* of rounding: part is nearly the sum */
}

/* What follows one token, in all copies. */
static void draw_row(void *ctx, int64_t begin, int64_t end)
{
    const struct resample *r = ctx;
    struct srq_samples *s = r->samples;
    int64_t tokens = r->cfg.nsamples * r->cfg.seq;

    for (int64_t row = begin; row < end; row++) {
        int64_t next = r->first + row + 1; /* the token that this row expects */
        float *weight = r->logits + row * r->vocab, most = weight[0];
        double sum = 0;

        if (next % r->cfg.seq == 0 || (s->mask != NULL && (s->mask[next - 1] == 0 || s->mask[next] == 0)))
            continue;
        for (int64_t i = 1; i < r->vocab; i++)
            most = weight[i] > most ? weight[i] : most;
        for (int64_t i = 0; i < r->vocab; i++) {
            weight[i] = expf(weight[i] - most);
            sum += (double)weight[i];
        }
        for (int64_t c = 1; c <= r->cfg.copies; c++) {
            uint64_t at = (uint64_t)(c * tokens + next);

            if (srq_rng_uniform(r->cfg.seed, WHETHER, at) < SHARE)
                s->ids[at] = word_at(weight, r->vocab, sum * srq_rng_uniform(r->cfg.seed, WHICH, at));
        }
    }
}

/* Samples [from, from + n): their final states are there. */
static int draw(struct resample *r, int64_t from, int64_t n, struct srq_error *err)
{
    int64_t tokens = n * r->cfg.seq;
    int rc = 0;

    for (int64_t at = 0; rc == 0 && at < tokens; at += ROWS) {
        int64_t rows = tokens - at < ROWS ? tokens - at : ROWS;

        rc = srq_head_logits(r->head,
                             srq_states_final(r->states, 0) + (size_t)(at * r->hidden) * srq_dtype_size(r->cfg.compute),
                             r->cfg.compute, rows, r->logits, err);
        r->first = from * r->cfg.seq + at;
        for (int64_t i = 0; rc == 0 && i < rows * r->vocab; i += r->vocab) {
            if (!isfinite(r->logits[i]))
                rc = srq_fail(err, -SRQ_ENUMERIC,
                              "the model's logits for token %lld of the calibration text are no numbers",
                              (long long)(r->first + i / r->vocab));
        }
        if (rc == 0)
            srq_parallel(rows, 1, draw_row, r);
    }
    return rc;
}

/* Where a part of the samples is on its way, for the caller's tick. */
struct progress {
    int64_t done, all; /* blocks before this part; of all parts, drawing counted as one more */
    int (*tick)(void *ctx, int64_t done, int64_t all);
    void *ctx;
};

static int on_batch(void *ctx, int block, int64_t done, int64_t all)
{
    const struct progress *p = ctx;

    (void)done;
    (void)all;
    return p->tick != NULL ? p->tick(p->ctx, p->done + block, p->all) : 0;
}

int srq_resample_run(const struct srq_resample_config *cfg, struct srq_samples *samples,
                     int (*tick)(void *ctx, int64_t done, int64_t all), void *ctx, struct srq_error *err)
{
    int blocks = srq_model_info(cfg->model)->blocks;
    struct progress p = { .tick = tick, .ctx = ctx };
    const struct srq_walk_tick on = { on_batch, &p };
    struct resample r;
    int rc = measure(&r, cfg, err);

    r.samples = samples;
    if (rc == 0 && (samples->count != cfg->nsamples * (cfg->copies + 1) || samples->seqlen != cfg->seq))
        rc = srq_fail(err, -SRQ_EINVAL, "%lld samples of %lld tokens have no room for %lld copies of %lld",
                      (long long)samples->count, (long long)samples->seqlen, (long long)cfg->copies,
                      (long long)cfg->nsamples);
    if (rc == 0) {
        r.logits = srq_pages_alloc((size_t)(ROWS * r.vocab) * sizeof(float));
        if (r.logits == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory drawing words anew");
    }
    if (rc == 0)
        rc = srq_states_create(&r.states_config, &r.states, err);
    if (rc == 0)
        rc = srq_walk_create(&r.walk_config, &r.walk, err);
    if (rc == 0)
        rc = srq_head_create(cfg->model, &r.head, err);
    p.all = (cfg->nsamples + r.part - 1) / r.part * (blocks + 1);
    for (int64_t i = 0; rc == 0 && i < cfg->nsamples; i += r.part, p.done += blocks + 1) {
        int64_t n = cfg->nsamples - i < r.part ? cfg->nsamples - i : r.part;

        rc = srq_walk_model(r.walk, r.states, samples->ids + i * cfg->seq, n, NULL, &on, err);
        if (rc == 0)
            rc = on_batch(&p, blocks, 0, 0);
        if (rc == 0)
            rc = draw(&r, i, n, err);
    }
    srq_head_free(r.head);
    srq_walk_free(r.walk);
    srq_states_free(r.states);
    if (r.logits != NULL)
        srq_pages_free(r.logits, (size_t)(ROWS * r.vocab) * sizeof(float));
    return rc;
}
