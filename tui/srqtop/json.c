/* The model as JSON. */
#include "tui/srqtop/json.h"

#include "core/base/alloc.h"
#include "core/base/base64.h"
#include "core/base/log.h"
#include "core/proto/members.h"

#include <math.h>

static const char *const links[] = { "connecting", "up", "lost" };

static void put(cJSON *o, const char *name, struct metric v)
{
    srq_put_number(o, name, v.known ? v.v : (double)NAN);
}

/* [[iteration, value], …] */
static void put_series(cJSON *o, const char *name, const struct top_series *s)
{
    cJSON *a = cJSON_AddArrayToObject(o, name);

    for (int i = 0; a != NULL && i < s->count; i++) {
        const float pair[2] = { s->points[i].iter, s->points[i].value };

        cJSON_AddItemToArray(a, cJSON_CreateFloatArray(pair, 2));
    }
}

static void put_eval(cJSON *o, const char *name, const struct top_eval *e)
{
    cJSON *v = cJSON_AddObjectToObject(o, name);

    put(v, "perplexity", e->perplexity);
    put(v, "kl", e->kl);
    put(v, "top1", e->top1);
}

static cJSON *layer_json(const struct top_layer *l)
{
    cJSON *o = cJSON_CreateObject();

    srq_put_text(o, "name", l->name);
    srq_put_text(o, "module", l->module);
    srq_put_number(o, "block", l->block >= 0 ? l->block : NAN);
    cJSON_AddNumberToObject(o, "out", (double)l->out);
    cJSON_AddNumberToObject(o, "in", (double)l->in);
    srq_put_text(o, "scheme", l->scheme);
    put(o, "bits", (struct metric){ l->bits > 0, l->bits });
    srq_put_text(o, "source", srq_decider_words[l->source]);
    cJSON_AddBoolToObject(o, "pin", l->pin);
    srq_put_text(o, "state", srq_work_state_words[l->state]);
    put(o, "score", l->score);
    put(o, "error_first", l->error_first);
    put(o, "error_last", l->error_last);
    put(o, "error_best", l->error_best);
    put(o, "saturation", l->saturation);
    put_series(o, "errors", &l->errors);
    return o;
}

static cJSON *block_json(const struct top_block *b)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "block", b->index);
    srq_put_text(o, "name", b->name);
    srq_put_text(o, "state", srq_work_state_words[b->state]);
    cJSON_AddNumberToObject(o, "iters", (double)b->iters);
    put(o, "iter", b->iter);
    put(o, "loss_first", b->loss_first);
    put(o, "loss_last", b->loss_last);
    put(o, "loss_best", b->loss_best);
    put(o, "best_iteration", b->best_iter);
    put(o, "elapsed_s", b->elapsed_s);
    put_series(o, "loss", &b->loss);
    put_series(o, "probe", &b->probe);
    return o;
}

static void put_transform(cJSON *o, const struct top_transform *t)
{
    cJSON *spread;

    put(o, "iter", t->iter);
    put(o, "loss_first", t->loss_first);
    put(o, "loss_last", t->loss_last);
    put(o, "loss_best", t->loss_best);
    put_series(o, "loss", &t->loss);
    put_series(o, "probe", &t->probe);
    spread = cJSON_AddObjectToObject(o, "spread");
    for (int k = 0; k < TOP_PAIR_KINDS; k++)
        put(spread, (const char[]){ (char)('A' + k), '\0' }, t->spread[k]);
}

/* Pixels as the event has them. */
static void put_pictures(cJSON *o, const struct top_pictures *p)
{
    size_t n = (size_t)(p->count * p->height * p->width * p->channels);
    char *text = p->bytes != NULL ? srq_malloc(SRQ_BASE64_LEN(n) + 1) : NULL;

    if (text == NULL) {
        cJSON_AddNullToObject(o, "pictures");
        return;
    }
    o = cJSON_AddObjectToObject(o, "pictures");
    srq_base64_put(p->bytes, n, text);
    put(o, "train_step", p->train_step);
    cJSON_AddNumberToObject(o, "steps", (double)p->steps);
    cJSON_AddNumberToObject(o, "count", p->count);
    cJSON_AddNumberToObject(o, "height", p->height);
    cJSON_AddNumberToObject(o, "width", p->width);
    cJSON_AddNumberToObject(o, "channels", p->channels);
    srq_put_text(o, "pixels", text);
    srq_free(text);
}

static void put_diffusion(cJSON *o, const struct top_diffusion *d)
{
    bool known = d->sample_steps > 0;

    put(o, "sample_steps", (struct metric){ known, (double)d->sample_steps });
    put(o, "hp_first", (struct metric){ known, (double)d->hp_first });
    put(o, "hp_last", (struct metric){ known, (double)d->hp_last });
    put_series(o, "step_sqnr", &d->sqnr);
    put_series(o, "step_sqnr_first", &d->sqnr_first);
    put_series(o, "task", &d->task);
    put_series(o, "kd", &d->kd);
    for (int k = 0; k < SRQ_SAMPLINGS; k++) {
        cJSON *of = cJSON_AddObjectToObject(o, srq_sampled_words[k]);

        put(of, "fid", d->of[k].fid);
        put(of, "pair_mse", d->of[k].pair_mse);
        put(of, "psnr", d->of[k].psnr);
        put(of, "ssim", d->of[k].ssim);
        put(of, "picture_step_s", d->of[k].picture_step_s);
        put_pictures(of, &d->of[k].pictures);
    }
}

static void put_opened(cJSON *o, const struct top_job *j)
{
    cJSON *eval, *a;

    cJSON_AddNumberToObject(o, "revision", (double)j->revision);
    put(o, "budget_bits", j->budget_bits);
    cJSON_AddNumberToObject(o, "skipped", (double)j->skipped);
    eval = cJSON_AddObjectToObject(o, "eval");
    put_eval(eval, "before", &j->before);
    put_eval(eval, "rtn", &j->rtn);
    put_eval(eval, "after", &j->after);
    put_transform(cJSON_AddObjectToObject(o, "transform"), &j->transform);
    put_diffusion(cJSON_AddObjectToObject(o, "diffusion"), &j->diffusion);
    a = cJSON_AddArrayToObject(o, "blocks");
    for (int i = 0; i < j->block_count; i++)
        cJSON_AddItemToArray(a, block_json(&j->blocks[i]));
    a = cJSON_AddArrayToObject(o, "layers");
    for (int i = 0; i < j->layer_count; i++)
        cJSON_AddItemToArray(a, layer_json(&j->layers[i]));
    a = cJSON_AddArrayToObject(o, "front");
    for (int i = 0; i < j->front_count; i++) {
        cJSON *p = cJSON_CreateObject();

        cJSON_AddNumberToObject(p, "average_bits", j->front[i].average_bits);
        cJSON_AddNumberToObject(p, "loss", j->front[i].loss);
        cJSON_AddItemToArray(a, p);
    }
    a = cJSON_AddArrayToObject(o, "log");
    for (int i = 0; i < j->line_count; i++) {
        cJSON *p = cJSON_CreateObject();

        put(p, "time", top_known(j->lines[i].time));
        srq_put_text(p, "level", srq_log_level_words[j->lines[i].level & 3]);
        srq_put_text(p, "text", j->lines[i].text);
        cJSON_AddItemToArray(a, p);
    }
}

static cJSON *job_json(const struct top_job *j)
{
    cJSON *o = cJSON_CreateObject();

    srq_put_text(o, "job", j->id);
    srq_put_text(o, "name", j->name);
    srq_put_text(o, "owner", j->owner);
    cJSON_AddBoolToObject(o, "own", j->own);
    srq_put_text(o, "state", srq_job_state_words[j->state]);
    srq_put_text(o, "wish", j->wish);
    srq_put_text(o, "reason", j->reason);
    cJSON_AddNumberToObject(o, "priority", j->priority);
    put(o, "position", j->position);
    srq_put_text(o, "model", j->model);
    srq_put_text(o, "method", j->method);
    srq_put_text(o, "scheme", j->scheme);
    srq_put_text(o, "output", j->output);
    put(o, "submitted", j->submitted);
    put(o, "started", j->started);
    put(o, "ended", j->ended);
    srq_put_text(o, "stage", j->stage);
    put(o, "done", j->done);
    put(o, "total", j->total);
    srq_put_text(o, "unit", j->unit);
    put(o, "rate", j->rate);
    put(o, "eta_s", j->eta_s);
    put(o, "before_bytes", j->before_bytes);
    put(o, "after_bytes", j->after_bytes);
    put(o, "average_bits", j->average_bits);
    put(o, "memory_bytes", j->memory_bytes);
    put(o, "threads", j->threads);
    cJSON_AddNumberToObject(o, "restarts", j->restarts);
    if (j->opened)
        put_opened(o, j);
    return o;
}

cJSON *top_json(const struct top_model *m)
{
    cJSON *o = cJSON_CreateObject(), *jobs;

    srq_put_text(o, "link", links[m->link]);
    srq_put_text(o, "server", m->server);
    jobs = cJSON_AddArrayToObject(o, "jobs");
    for (int i = 0; i < m->job_count; i++)
        cJSON_AddItemToArray(jobs, job_json(&m->jobs[i]));
    return o;
}
