/* Time from counts and speeds.
 *
 * Counted are floating-point operations of products, and elements that pass through loops of other kinds (norms,
 * softmax, fake-quantization), in units of one fake-quantized weight. Both speeds are measured at shapes like the job's
 * own. */
#include "core/job/estimate.h"

#include "core/job/footprint.h"
#include "core/job/noisy_pictures.h"
#include "core/job/preview_plan.h"
#include "core/job/refine.h"
#include "core/job/resample.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/text/samples.h"

#include <math.h>

#define PROBE_S 0.015      /* for each speed */
#define DISK_BYTES_S 500e6 /* reading weights, writing the output: not measured */
#define TEXT_BYTES_S 3e6   /* tokenizing, one thread */
#define START_S 0.3        /* a process, its tests of the products, and its files */
#define DECODE_PASSES 1.0  /* of codes into weights */
#define LOGIT_PASSES 3.0   /* of a logit: softmax, divergence */

struct speed {
    double compute, f32; /* operations a second in the job's dtype and in F32 */
    double elements;     /* fake-quantized weights a second */
};

/* ---- speeds ------------------------------------------------------------------------------------------------------ */

static int64_t at_most(int64_t v, int64_t most)
{
    return v < most ? v : most;
}

/* Calls `fn` until PROBE_S have passed, at least twice; seconds of the fastest call. */
static double fastest(void (*fn)(void *ctx), void *ctx)
{
    double start = srq_clock_s(), best = INFINITY, before = start, now;

    for (int i = 0; i < 2 || before - start < PROBE_S; i++) {
        fn(ctx);
        now = srq_clock_s();
        best = now - before < best ? now - before : best;
        before = now;
        if (i > 0 && now - start > 4 * PROBE_S)
            break;
    }
    return best;
}

static void multiply(void *ctx)
{
    srq_gemm(ctx);
}

static double product_speed(enum srq_dtype dtype, int64_t tokens, int64_t n, int64_t k)
{
    struct srq_product p = { .m = at_most(tokens, 256), .n = at_most(n, 1024), .k = at_most(k, 1024) };
    size_t size = srq_dtype_size(dtype);
    void *a = srq_calloc((size_t)(p.m * p.k), size), *b = srq_calloc((size_t)(p.n * p.k), size);
    float *c = srq_calloc((size_t)(p.m * p.n), sizeof(*c));
    double speed = NAN;

    p.a = (struct srq_mat){ a, dtype, p.k, false };
    p.b = (struct srq_mat){ b, dtype, p.k, true };
    p.c = (struct srq_mat_out){ c, SRQ_F32, p.n };
    if (a != NULL && b != NULL && c != NULL)
        speed = 2.0 * (double)p.m * (double)p.n * (double)p.k / fastest(multiply, &p);
    srq_free(a);
    srq_free(b);
    srq_free(c);
    return speed;
}

enum { PROBE_ROWS = 256, PROBE_COLS = 1024 };

struct faking {
    struct srq_grid_args args;
    float *dst;
};

static void fake_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct faking *f = ctx;

    srq_grid(f->args.scheme->grid)
        ->fake(&f->args, begin, end - begin, f->dst + begin * PROBE_COLS, SRQ_F32, PROBE_COLS);
}

static void fake(void *ctx)
{
    srq_parallel(PROBE_ROWS, 8, fake_rows, ctx);
}

static double element_speed(void)
{
    const struct srq_scheme scheme = { .size = sizeof(scheme), .grid = SRQ_GRID_INT_SYM, .bits = 4, .group = 64 };
    const int64_t n = (int64_t)PROBE_ROWS * PROBE_COLS;
    float *memory = srq_calloc((size_t)(3 * n), sizeof(*memory)), *range;
    struct srq_tensor weight = srq_tensor_2d(memory, SRQ_F32, PROBE_ROWS, PROBE_COLS);
    struct srq_groups groups = srq_groups_of(PROBE_ROWS, PROBE_COLS, scheme.group);
    struct faking f = { .args = { .size = sizeof(f.args), .weight = &weight, .scheme = &scheme, .groups = &groups } };
    double speed = NAN;

    range = srq_malloc(2 * (size_t)groups.count * sizeof(*range));
    if (memory != NULL && range != NULL) {
        for (int64_t i = 0; i < groups.count; i++) {
            range[i] = -1;
            range[groups.count + i] = 1;
        }
        f.args.lo = range;
        f.args.hi = range + groups.count;
        f.args.v = memory + n;
        f.dst = memory + 2 * n;
        speed = (double)n / fastest(fake, &f);
    }
    srq_free(memory);
    srq_free(range);
    return speed;
}

static struct speed measure(const struct srq_resolved *r)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    int64_t tokens = r->choice.batch * o->seqlen;
    struct speed s = { .elements = element_speed() };

    s.f32 = product_speed(SRQ_F32, tokens, r->job.info->intermediate, r->job.info->hidden);
    s.compute = r->job.compute == SRQ_F32
                    ? s.f32
                    : product_speed(r->job.compute, tokens, r->job.info->intermediate, r->job.info->hidden);
    return s;
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

struct model {
    double weights;  /* in the linears of all blocks */
    double rounded;  /* of them, quantized */
    double attended; /* operations of attention per token and token that it may see, all blocks */
    double heads;    /* scores of attention per token and token that it may see, all blocks */
    double elements; /* that pass through loops per token, all blocks */
    double head;     /* weights of the head */
};

static struct model count(const struct srq_resolved *r)
{
    const struct srq_model_info *i = r->job.info;
    double blocks = i->blocks;
    struct model m = { .attended = 4.0 * (double)(i->heads * i->head_dim) * blocks,
                       .heads = (double)i->heads * blocks,
                       .elements = (8.0 * (double)i->hidden + 4.0 * (double)i->intermediate) * blocks,
                       .head = (double)i->vocab * (double)i->hidden };

    for (int k = 0; k < r->job.layer_count; k++) {
        double n = (double)r->job.layers[k]->out * (double)r->job.layers[k]->in;

        m.weights += r->job.layers[k]->block >= 0 ? n : 0;
        m.rounded += r->choice.schemes[k].grid != SRQ_GRID_NONE ? n : 0;
    }
    return m;
}

/* All blocks forward over `tokens` in samples of `seq`; a position sees half of its sample on average. */
static double forward_s(const struct model *m, double speed, double elements, double tokens, double seq)
{
    double products = tokens * (2 * m->weights + m->attended * seq / 2);

    return products / speed + tokens * (m->elements + m->heads * seq / 2) / elements;
}

/* ---- stages ------------------------------------------------------------------------------------------------------ */

static double tune_s(const struct srq_resolved *r, const struct model *m, const struct speed *s, double samples)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    const struct srq_plugin *p = srq_spec_quantizer(&r->job.spec);
    struct srq_schedule sched = { .size = sizeof(sched), .accum = 1 };
    double seq = (double)o->seqlen, batch = fmin((double)r->choice.batch, samples), probed, pass, probes;

    if (p->tunable->schedule(srq_host_services(), r->job.self, &sched, NULL) != 0)
        return NAN;
    /* Backward computes twice the products of forward and passes twice over its elements; the weights are
     * fake-quantized, their gradient goes through the grid, and they are moved. */
    pass = 3 * forward_s(m, s->compute, s->elements, batch * seq, seq);
    probed = fmin((double)o->probe_samples, samples) * seq;
    probes = sched.iters > 0 ? (double)sched.iters / (double)o->probe_every + 2 : 0;
    return 2 * forward_s(m, s->compute, s->elements, samples * seq, seq) +
           (double)sched.iters *
               ((double)sched.accum * (pass + 2 * m->rounded / s->elements) + m->rounded / s->elements) +
           probes * forward_s(m, s->compute, s->elements, probed, seq);
}

/* Every candidate: all blocks rounded, then forward, forward again where the states of a block are made anew, and
 * backward, in F32; then the head both ways. */
static double score_s(const struct srq_resolved *r, const struct model *m, const struct speed *s)
{
    const struct srq_score_data *d = &r->job.score_data;
    double seq = (double)d->seqlen, tokens;

    if (!srq_spec_has_budget(&r->job.spec))
        return 0;
    tokens = fmin((double)d->nsamples,
                  (double)srq_footprint_windows(r->job.spec.calib, r->job.spec.calib_count, d->seqlen)) *
             seq;
    return r->job.candidates.count *
           (4 * forward_s(m, s->f32, s->elements, tokens, seq) + 3 * m->weights / s->elements +
            tokens * (6 * m->head / s->f32 + 2 * LOGIT_PASSES * (double)r->job.info->vocab / s->elements));
}

/* Calibration samples, copies included. */
static double samples_of(const struct srq_resolved *r)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    int64_t read = at_most(srq_footprint_windows(r->job.spec.calib, r->job.spec.calib_count, o->seqlen), o->nsamples);

    return (double)(read * (1 + srq_job_copies(r, read)));
}

static double quantize_s(const struct srq_resolved *r, const struct model *m, const struct speed *s)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    double samples = samples_of(r);
    double rounding = 2 * m->rounded / s->elements;

    if (r->job.tunes)
        return rounding + tune_s(r, m, s, samples);
    if (r->job.calibrates)
        rounding += forward_s(m, s->compute, s->elements, samples * (double)o->seqlen, (double)o->seqlen);
    return rounding;
}

/* Every step: blocks forward, forward again and backward, the student's and the teacher's logits twice and their way
 * back. */
static double refine_s(const struct srq_resolved *r, const struct model *m, const struct speed *s)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    double samples = samples_of(r);
    double seq = (double)o->seqlen, batch = fmin((double)r->choice.batch, samples),
           tokens = (double)o->refine * samples * 7 / 8 * seq;

    if (!srq_job_refines(r) || !(batch > 0))
        return 0;
    return 4 * forward_s(m, s->compute, s->elements, tokens, seq) +
           forward_s(m, s->compute, s->elements, samples * seq, seq) +
           tokens * (10 * m->head / s->f32 + 4 * LOGIT_PASSES * (double)r->job.info->vocab / s->elements) +
           tokens / (batch * seq) * (2 + DECODE_PASSES) * m->rounded / s->elements;
}

#define SEARCH 20 /* scales that are tried for a group, where second moments are asked for */

/* Scales: states of the samples, once through all blocks; where second moments are looked at, these, and a search of
 * each group's scales by them; then steps of training, as those of scales end to end, with probes on what is held
 * out. Another job's scales in the cache save it all, which nobody knows here. */
static double transform_s(const struct srq_resolved *r, const struct model *m, const struct speed *s)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    const struct srq_transform_schedule *t = &r->job.transform;
    const struct srq_plugin *p = srq_spec_transform(&r->job.spec);
    double samples = (double)(t->nsamples > 0 ? t->nsamples : o->nsamples),
           seq = (double)(t->seqlen > 0 ? t->seqlen : o->seqlen), logits, moments = 0, search = 0, step, probe;
    uint32_t needs;

    if (p == NULL || t->load != NULL)
        return 0;
    needs = p->transform->needs != NULL ? p->transform->needs(srq_host_services(), r->job.transform_self) : 0;
    for (int k = 0; (needs & SRQ_NEED_HESSIAN) != 0 && k < r->job.layer_count; k++) {
        double in = (double)r->job.layers[k]->in;

        moments += 2 * samples * seq * in * in;
        search += SEARCH * 2 * (double)r->job.layers[k]->out * in * in;
    }
    logits = 10 * m->head / s->f32 + 4 * LOGIT_PASSES * (double)r->job.info->vocab / s->elements;
    step = 4 * forward_s(m, s->compute, s->elements, (double)t->batch * seq, seq) + (double)t->batch * seq * logits +
           (2 + DECODE_PASSES) * m->rounded / s->elements;
    probe =
        forward_s(m, s->compute, s->elements, (double)t->holdout * seq, seq) + (double)t->holdout * seq * logits / 4;
    return (needs != 0 || t->steps > 0 ? forward_s(m, s->compute, s->elements, samples * seq, seq) : 0) +
           (moments + search) / s->f32 + (double)t->steps * step +
           (t->steps > 0 && t->probe_every > 0 ? (double)t->steps / (double)t->probe_every + 2 : 0) * probe;
}

/* Before, plainly rounded and after; the head also makes the original's logits again for the latter two. */
static double evaluate_s(const struct srq_resolved *r, const struct model *m, const struct speed *s)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    double seq = (double)o->eval_seqlen, tokens, head;
    int64_t windows = srq_footprint_windows(r->job.spec.eval, r->job.spec.eval_count, o->eval_seqlen);

    if (r->job.spec.eval_count == 0)
        return 0;
    windows = o->eval_windows > 0 ? at_most(windows, o->eval_windows) : windows;
    tokens = (double)windows * seq;
    head = tokens * (2 * m->head / s->f32 + LOGIT_PASSES * (double)r->job.info->vocab / s->elements);
    return 3 * forward_s(m, s->f32, s->elements, tokens, seq) + 5 * head +
           (3 + 2 * DECODE_PASSES) * m->rounded / s->elements;
}

/* Weights are looked over and hashed, texts read, the output written and read again. */
static double files_s(const struct srq_resolved *r)
{
    double text = (double)srq_samples_bytes((const char *const *)r->job.spec.calib,
                                            r->job.calibrates ? r->job.spec.calib_count : 0) +
                  (double)srq_samples_bytes((const char *const *)r->job.spec.eval, r->job.spec.eval_count);

    if (r->job.info->pictures) /* these are read as they are asked for */
        text = 0;

    return (2.0 * (double)r->job.info->bytes + 2.0 * r->job.spec.format_count * (double)r->choice.size.after_bytes) /
               DISK_BYTES_S +
           text / TEXT_BYTES_S;
}

/* ---- diffusion models -------------------------------------------------------------------------------------------- */

#define PICTURE_SHARE 0.6 /* of the time of a pass that products take */
#define PICTURE_ROWS 8192 /* on which their speed is measured */

/* Operations of products for a picture: layers work on every pixel, but those of a unit of convolutions that are none,
 * which look at the time. *widest: the layer with the most. */
static double picture_work(const struct srq_model *m, const struct srq_layer_info **widest)
{
    double sum = 0, most = 0;

    *widest = srq_model_layer(m, 0);
    for (int u = 0; u < srq_model_unit_count(m); u++) {
        const struct srq_unit_info *info = srq_model_unit(m, u);
        double rows = (double)srq_model_port(m, info->out[0])->rows;
        bool convolves = false;

        for (int i = info->first; i < info->first + info->count; i++)
            convolves = convolves || srq_model_layer(m, i)->kernel > 0;
        for (int i = info->first; i < info->first + info->count; i++) {
            const struct srq_layer_info *l = srq_model_layer(m, i);
            double work = 2 * rows * (double)l->out * (double)l->in;

            if (convolves && l->kernel == 0)
                continue;
            sum += work;
            if (work > most)
                *widest = l;
            most = work > most ? work : most;
        }
    }
    return sum;
}

/* Blocks that are tuned or rounded by what they read: as of words, in passes of a picture through all of them. */
static double picture_blocks(const struct srq_resolved *r, double one)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    const struct srq_plugin *p = srq_spec_quantizer(&r->job.spec);
    struct srq_schedule sched = { .size = sizeof(sched), .accum = 1 };
    double rounded = 0, elements = element_speed(), probes, samples = (double)o->nsamples;

    for (int k = 0; k < r->job.layer_count; k++)
        if (r->choice.schemes[k].grid != SRQ_GRID_NONE)
            rounded += (double)r->job.layers[k]->out * (double)r->job.layers[k]->in;
    if (!r->job.tunes)
        return 2 * samples * one + 2 * rounded / elements;
    if (p->tunable->schedule(srq_host_services(), r->job.self, &sched, NULL) != 0)
        return NAN;
    probes = sched.iters > 0 ? (double)sched.iters / (double)o->probe_every + 2 : 0;
    return 2 * samples * one + probes * fmin((double)o->probe_samples, samples) * one +
           (double)sched.iters *
               ((double)sched.accum * (3 * fmin((double)r->choice.batch, samples) * one + 2 * rounded / elements) +
                rounded / elements);
}

/* A step of training is a pass of the teacher and four of the student: forwards, again on the way back, and two
 * gradients. */
static void pictures_way(const struct srq_resolved *r, double out[SRQ_WAY_LENGTH])
{
    const struct srq_job_options *o = &r->job.spec.opt;
    const struct srq_trainer_schedule *t = &r->job.train;
    const struct srq_layer_info *widest;
    double work = picture_work(r->job.model, &widest), one, train = 0;

    one = work / product_speed(SRQ_F32, PICTURE_ROWS, widest->out, widest->in) / PICTURE_SHARE;
    if (r->job.trainer_self != NULL)
        train = srq_preview_passes(&r->job) + (double)t->batch * (double)(5 * t->steps + t->warmup) +
                (t->noisy == SRQ_NOISY_TRAJECTORY ? (double)(o->nsamples * o->sample_steps) : 0);
    if (r->job.calibrates)
        out[SRQ_WAY_QUANTIZE] = picture_blocks(r, one);
    out[SRQ_WAY_LOAD] = START_S + files_s(r) / 2 + srq_noisy_pictures_passes(r) * one;
    out[SRQ_WAY_TRANSFORM] = train * one;
    out[SRQ_WAY_RESULT] = 3 * (double)(o->samples * o->sample_steps) * one;
    out[SRQ_WAY_EXPORT] = files_s(r) / 2;
}

static void words_way(const struct srq_resolved *r, double out[SRQ_WAY_LENGTH])
{
    struct speed s = measure(r);
    struct model m = count(r);
    double files = files_s(r), eval = evaluate_s(r, &m, &s);

    out[SRQ_WAY_LOAD] = START_S + files / 2;
    out[SRQ_WAY_SCORE] = score_s(r, &m, &s);
    out[SRQ_WAY_ORIGINAL] = out[SRQ_WAY_ROUNDED] = out[SRQ_WAY_RESULT] = eval / 3;
    out[SRQ_WAY_TRANSFORM] = transform_s(r, &m, &s);
    out[SRQ_WAY_QUANTIZE] = quantize_s(r, &m, &s);
    out[SRQ_WAY_REFINE] = refine_s(r, &m, &s);
    out[SRQ_WAY_EXPORT] = files / 2;
}

void srq_estimate_way(const struct srq_resolved *r, double out[SRQ_WAY_LENGTH])
{
    for (int i = 0; i < SRQ_WAY_LENGTH; i++)
        out[i] = 0;
    if (r->job.info->pictures)
        pictures_way(r, out);
    else
        words_way(r, out);
}

double srq_estimate_s(const struct srq_resolved *r)
{
    double way[SRQ_WAY_LENGTH], sum = 0;

    srq_estimate_way(r, way);
    for (int i = 0; i < SRQ_WAY_LENGTH; i++)
        sum += way[i];
    return isfinite(sum) ? sum : NAN;
}
