/* A made-up model for tests of srqtop's screen. */
#include "tests/unit/top_model.h"

#include "core/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODULES = 7 };

static const char *const modules[MODULES] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                              "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                              "mlp.down_proj" };
static const char *const ties[MODULES] = { "qkv", "qkv", "qkv", NULL, "gate_up", "gate_up", NULL };

static struct metric known(double v)
{
    return (struct metric){ true, v };
}

/* Falls from `first` towards a tenth of it, with a ripple. */
static void curve(struct top_series *s, int points, double first)
{
    for (int i = 0; i < points; i++) {
        double t = (double)i / (points > 1 ? points - 1 : 1);

        top_series_add(s, i, first * (0.1 + 0.9 * exp(-4 * t)) * (1 + 0.05 * sin(40 * t)));
    }
}

static void layer(struct top_job *j, int at, int block, int module, int points, bool whole)
{
    struct top_layer *l = &j->layers[at];
    double first = 0.002 * (1 + (block * 5 + module * 3) % 11);

    l->block = block;
    l->name = module < MODULES ? srq_asprintf("model.layers.%d.%s", block, modules[module]) : srq_strdup("lm_head");
    l->module = srq_strdup(module < MODULES ? modules[module] : "lm_head");
    l->tie = module < MODULES && ties[module] != NULL ? srq_strdup(ties[module]) : NULL;
    l->out = module == 4 || module == 5 ? 1536 : 576;
    l->in = module == 6 ? 1536 : 576;
    snprintf(l->scheme, sizeof(l->scheme), "%s",
             module >= MODULES      ? "bf16"
             : module == 6          ? "w8g128"
             : whole && module == 3 ? "w3g128z"
                                    : "w4g128z");
    l->bits = srq_scheme_look(l->scheme).bits;
    l->pin = module == 6 && block % 2 == 0;
    l->source = l->pin ? SRQ_BY_PIN : SRQ_BY_DEFAULT;
    l->state = block >= 0 ? j->blocks[block].state : SRQ_WORK_PENDING;
    if (module < MODULES)
        l->score = known(1e-4 * (1 + (block * 7 + module * 13) % 29));
    if (l->state == SRQ_WORK_PENDING)
        return;
    l->error_first = known(first);
    l->error_last = l->error_best = known(first * (module == 3 ? 1.1 : 0.2 + 0.05 * module) * (whole ? 0.93 : 1));
    curve(&l->errors, points, first);
    if (l->state != SRQ_WORK_RUNNING)
        l->saturation = known(0.01 * (module + 1));
}

static void open_job(struct top_job *j, int blocks, int points, bool whole)
{
    j->opened = j->plan_known = true;
    j->revision = 3;
    j->layer_count = blocks * MODULES + 1;
    j->layers = srq_calloc((size_t)j->layer_count, sizeof(*j->layers));
    j->block_count = blocks;
    j->blocks = srq_calloc((size_t)blocks, sizeof(*j->blocks));
    for (int b = 0; b < blocks; b++) {
        struct top_block *k = &j->blocks[b];
        double first = 0.001 * (b + 1);

        k->index = b;
        k->name = srq_asprintf("model.layers.%d", b);
        k->first = b * MODULES;
        k->count = MODULES;
        k->iters = 200;
        k->state = whole || 3 * b < blocks ? SRQ_WORK_FINISHED
                   : 3 * (b - 1) < blocks  ? SRQ_WORK_RUNNING
                                           : SRQ_WORK_PENDING;
        if (!whole && b == 0)
            k->state = SRQ_WORK_STALE;
        if (k->state != SRQ_WORK_PENDING) {
            k->loss_first = known(first);
            k->loss_best = k->loss_last = known(first * 0.21);
            curve(&k->loss, points, first);
        }
        if (k->state == SRQ_WORK_RUNNING)
            k->iter = known(117);
        for (int m = 0; m < MODULES; m++)
            layer(j, b * MODULES + m, b, m, points, whole);
    }
    layer(j, blocks * MODULES, -1, MODULES, points, whole);
}

static void named(struct top_job *j, const char *id, const char *name, const char *owner, enum srq_job_state state)
{
    j->id = srq_strdup(id);
    j->name = name != NULL ? srq_strdup(name) : NULL;
    j->owner = srq_strdup(owner);
    j->model = srq_strdup("/srv/models/SmolLM2-135M");
    j->method = srq_strdup("signround");
    j->scheme = srq_strdup("w4g128z");
    j->output = srq_strdup("/srv/out/smol-w4");
    j->state = state;
    j->own = strcmp(owner, "ada") == 0;
    j->submitted = known(1767225600); /* 2026-01-01 00:00:00 UTC */
    j->before_bytes = known(269e6);
    j->threads = known(2);
}

static void logged(struct top_job *j)
{
    static const char *const texts[] = { "reading /srv/models/SmolLM2-135M",
                                         "no bf16 matrix unit: computing in f32",
                                         "block 0: loss 0.00100 to 0.00021 in 41.2 s",
                                         "wrote checkpoint of 1.2 MB",
                                         "probe set has 8 samples",
                                         "block 1 diverged twice; kept the plain rounding" };
    static const int levels[] = { 2, 1, 2, 3, 3, 0 };

    for (int i = 0; i < 60; i++)
        top_job_log(j, 1767225600 + 7 * i, levels[i % 6], texts[i % 6]);
}

static void metered(struct top_model *m)
{
    m->meter = (struct top_meter){ .known = true,
                                   .running = known(1),
                                   .waiting = known(1),
                                   .most_running = known(4),
                                   .threads = known(8),
                                   .most_threads = known(16),
                                   .memory_bytes = known(1.31e9),
                                   .disk_free_bytes = known(87.2e9),
                                   .disk_total_bytes = known(500e9) };
}

void top_fixture(struct top_model *m, int blocks, int points)
{
    struct top_job *j;

    top_model_init(m);
    m->link = TOP_LINK_UP;
    m->server = srq_strdup("srqd 0.1.0");
    m->now = 1767229200;
    m->job_count = 5;
    m->jobs = srq_calloc(5, sizeof(*m->jobs));
    j = m->jobs;
    named(j, "j-run", "smol w4", "ada", SRQ_JOB_RUNNING);
    j->stage = srq_strdup("quantize");
    j->unit = srq_strdup("blocks");
    j->done = known(blocks / 3);
    j->total = known(blocks);
    j->rate = known(0.0243);
    j->eta_s = known(192);
    j->started = known(1767225660);
    j->after_bytes = known(88.4e6);
    j->average_bits = known(4.6231);
    j->memory_bytes = known(1.31e9);
    j->before.perplexity = known(17.46);
    j->rtn.perplexity = known(24.93);
    j->rtn.kl = known(0.2817);
    open_job(j, blocks, points, false);
    logged(j);
    j->score_batches = known(32);
    for (int i = 0; i < j->layer_count; i++) {
        struct top_layer *l = &j->layers[i];

        l->scored = srq_calloc(1, sizeof(*l->scored));
        l->scored[l->scored_count++] = (struct top_score){ "w8g128z", known(l->score.v / 12) };
    }
    named(++j, "j-wait", NULL, "bob", SRQ_JOB_QUEUED);
    j->position = known(1);
    j->reason = srq_strdup("waits for 12.0 GiB of memory");
    named(++j, "j-done", "smol w4 älter 模型", "ada", SRQ_JOB_DONE);
    j->after_bytes = known(79.1e6);
    j->average_bits = known(4.15);
    j->started = known(1767139200);
    j->ended = known(1767140000);
    j->before.perplexity = known(17.46);
    j->after.perplexity = known(19.02);
    j->after.kl = known(0.0831);
    j->after.top1 = known(0.874);
    open_job(j, blocks, points, true);
    named(++j, "j-fail", "bad\x1b[31mname\xff", "eve", SRQ_JOB_FAILED);
    j->reason = srq_strdup("worker died three times: out of memory");
    named(++j, "j-pause", "llama", "ada", SRQ_JOB_PAUSED);
    j->done = known(3);
    j->total = known(80);
    j->stage = srq_strdup("quantize");
    metered(m);
}

void top_fixture_preview(struct top_model *m)
{
    m->preview = (struct top_preview){ .known = true,
                                       .changed = 3,
                                       .before_bytes = known(88.4e6),
                                       .after_bytes = known(91.0e6),
                                       .average_bits_now = known(4.6231),
                                       .average_bits = known(4.81),
                                       .forecast_now = known(0.0312),
                                       .forecast = known(0.0287),
                                       .cost_s = known(83),
                                       .restarts = 2,
                                       .retunes = 1,
                                       .revision = 3 };
}

/* Discs of growing size on a slope, with a ripple that stands for what rounding does; 20 x 16 pixels, coloured. */
static void draw_pictures(struct top_pictures *p, int ripple)
{
    enum { COUNT = 4, H = 16, W = 20, CHANNELS = 3 };
    uint8_t *at;

    *p = (struct top_pictures){ .count = COUNT, .height = H, .width = W, .channels = CHANNELS, .steps = 10 };
    p->bytes = at = srq_malloc((size_t)COUNT * H * W * CHANNELS);
    for (int n = 0; n < COUNT; n++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < CHANNELS; c++) {
                    int far = (x - W / 2) * (x - W / 2) + (y - H / 2) * (y - H / 2);
                    int v = far < 12 * (n + 1) ? 255 - 60 * c : 4 * (x + y);

                    v += ripple * ((x * 7 + y * 5 + c) % 3 - 1);
                    *at++ = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
                }
}

void top_fixture_diffusion(struct top_model *m, bool sampled)
{
    struct top_job *j = &m->jobs[0];
    struct top_diffusion *d = &j->diffusion;
    int steps = sampled ? 50 : 10;

    srq_free(j->method);
    srq_free(j->stage);
    j->method = srq_strdup("diffusion-qat");
    j->stage = srq_strdup(sampled ? "export" : "transform");
    j->done = known(130);
    j->total = known(300);
    for (int i = 0; i < 130; i++) {
        top_series_add(&j->transform.loss, i, 0.02 + 0.3 * exp(-i / 30.0));
        top_series_add(&d->task, i, 0.015 + 0.2 * exp(-i / 30.0));
        top_series_add(&d->kd, i, 0.005 + 0.1 * exp(-i / 30.0));
    }
    d->sample_steps = 50;
    d->hp_first = d->hp_last = 5;
    d->sqnr_steps = steps;
    for (int i = 0; i < steps; i++) {
        double at = (double)i / steps;

        top_series_add(&d->sqnr, i, 36 - 18 * at * at);
        if (at < 0.1 || at >= 0.9)
            top_series_add(&d->sqnr_high, i, 36 - 18 * at * at);
        if (!sampled)
            top_series_add(&d->sqnr_first, i, 32 - 17 * at * at);
    }
    for (int k = 0; k < (sampled ? SRQ_SAMPLINGS : SRQ_SAMPLED_MIXED); k++) {
        draw_pictures(&d->of[k].pictures, 40 * k);
        d->of[k].pictures.steps = steps;
        if (!sampled)
            d->of[k].pictures.train_step = known(k == SRQ_SAMPLED_FULL ? 0 : 128);
        else
            d->of[k].picture_step_s = known(0.0123 / (k + 1));
        if (sampled && k != SRQ_SAMPLED_FULL) {
            d->of[k].pair_mse = known(0.0042 / k);
            d->of[k].psnr = known(29.8 + k);
            d->of[k].ssim = known(0.96);
        }
    }
}
