/* What srqtop knows: making it, forgetting it, and its curves. */
#include "tui/srqtop/model.h"

#include "core/base/alloc.h"
#include "core/base/log.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct metric top_known(double v)
{
    return (struct metric){ .known = isfinite(v), .v = isfinite(v) ? v : 0 };
}

struct metric top_gain(struct metric first, struct metric last)
{
    if (!first.known || !last.known || first.v == 0)
        return (struct metric){ 0 };
    return top_known(1 - last.v / first.v);
}

/* Bytes 80 … 9f as characters (C1 controls) move terminals too; they are two bytes, c2 80 … c2 9f. */
static void soften(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
        if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
}

void top_set_text(char **to, const char *text)
{
    size_t cap = text != NULL ? 4 * strlen(text) + 1 : 0;
    char *copy = text != NULL ? srq_malloc(cap) : NULL;

    if (copy != NULL) {
        srq_escape_control(text, copy, cap);
        soften(copy);
    }
    srq_free(*to);
    *to = copy;
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

void top_series_begin(struct top_series *s)
{
    s->rewind = true;
}

void top_series_fini(struct top_series *s)
{
    srq_free(s->points);
    memset(s, 0, sizeof(*s));
}

static bool make_room(struct top_series *s)
{
    int cap = s->cap == 0 ? 64 : 2 * s->cap;
    struct top_point *p;

    if (s->count < s->cap)
        return true;
    if (s->count >= TOP_POINTS) { /* every second one goes */
        for (int i = 0; 2 * i < s->count; i++)
            s->points[i] = s->points[2 * i];
        s->count = (s->count + 1) / 2;
        s->pending = s->stride; /* from the last that stayed to the one that went */
        s->stride *= 2;
        return true;
    }
    cap = cap < TOP_POINTS ? cap : TOP_POINTS;
    p = srq_reallocarray(s->points, (size_t)cap, sizeof(*p));
    if (p == NULL)
        return false;
    s->points = p;
    s->cap = cap;
    return true;
}

/* A run that goes on from a checkpoint repeats its last iterations; one that begins anew repeats all. */
static void take_back(struct top_series *s, float iter)
{
    while (s->count > 0 && s->points[s->count - 1].iter >= iter)
        s->count--;
    s->pending = 0;
    if (s->count == 0)
        s->stride = 1;
    s->rewind = false;
}

void top_series_add(struct top_series *s, double iter, double value)
{
    struct top_point p = { (float)iter, 0 };

    if (!isfinite(iter) || !isfinite(value) || fabs(value) > FLT_MAX)
        return;
    p.value = (float)value;
    if (s->stride < 1)
        s->stride = 1;
    if (s->rewind)
        take_back(s, p.iter);
    if (s->count > 0 && p.iter <= s->points[s->count - 1].iter)
        return;
    /* The newest point is always there; it makes way for the next unless it is one that stays. */
    if (s->pending > 0 && s->count > 0)
        s->count--;
    if (!make_room(s))
        return;
    s->points[s->count++] = p;
    s->pending = (s->pending + 1) % s->stride;
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

void top_layer_fini(struct top_layer *l)
{
    srq_free(l->name);
    srq_free(l->module);
    srq_free((char *)(uintptr_t)l->tie);
    srq_free(l->scored);
    top_series_fini(&l->errors);
}

void top_block_fini(struct top_block *b)
{
    srq_free(b->name);
    top_series_fini(&b->loss);
    top_series_fini(&b->probe);
}

static void diffusion_fini(struct top_diffusion *d)
{
    struct top_series *series[] = { &d->sqnr, &d->sqnr_high, &d->sqnr_first, &d->task, &d->kd };

    for (int k = 0; k < SRQ_SAMPLINGS; k++)
        srq_free(d->of[k].pictures.bytes);
    for (size_t i = 0; i < sizeof(series) / sizeof(series[0]); i++)
        top_series_fini(series[i]);
    *d = (struct top_diffusion){ 0 };
}

void top_job_close(struct top_job *j)
{
    for (int i = 0; i < j->layer_count; i++)
        top_layer_fini(&j->layers[i]);
    for (int i = 0; i < j->block_count; i++)
        top_block_fini(&j->blocks[i]);
    for (int i = 0; i < j->line_count; i++)
        srq_free(j->lines[i].text);
    srq_free(j->layers);
    srq_free(j->blocks);
    srq_free(j->lines);
    top_series_fini(&j->transform.loss);
    top_series_fini(&j->transform.probe);
    j->transform = (struct top_transform){ 0 };
    diffusion_fini(&j->diffusion);
    srq_free(j->front);
    srq_free(j->candidates);
    srq_free(j->changed_by);
    srq_free(j->change);
    j->layers = NULL;
    j->blocks = NULL;
    j->lines = NULL;
    j->front = NULL;
    j->candidates = j->changed_by = j->change = NULL;
    j->layer_count = j->block_count = j->line_count = j->front_count = 0;
    j->opened = j->plan_known = j->plan_stale = false;
    j->revision = j->skipped = j->last_seq = 0;
    j->budget_bits = (struct metric){ 0 };
    j->before = j->rtn = j->after = (struct top_eval){ 0 };
}

void top_job_fini(struct top_job *j)
{
    char **texts[] = { &j->id,     &j->name,   &j->owner,  &j->model, &j->method,
                       &j->scheme, &j->output, &j->reason, &j->stage, &j->unit };

    top_job_close(j);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        srq_free(*texts[i]);
        *texts[i] = NULL;
    }
}

struct top_block *top_job_block(struct top_job *j, int64_t index)
{
    struct top_block *b;

    if (index < 0 || index >= TOP_BLOCKS)
        return NULL;
    if (index >= j->block_count) {
        b = srq_reallocarray(j->blocks, (size_t)index + 1, sizeof(*b));
        if (b == NULL)
            return NULL;
        j->blocks = b;
        for (int i = j->block_count; i <= index; i++)
            b[i] = (struct top_block){ .index = i };
        j->block_count = (int)index + 1;
    }
    return &j->blocks[index];
}

void top_job_log(struct top_job *j, double time, int level, const char *text)
{
    const int batch = TOP_LINES / 10; /* the oldest go a tenth at a time: moving all for every line would cost */
    struct top_line *p;

    if (j->line_count >= TOP_LINES) {
        for (int i = 0; i < batch; i++)
            srq_free(j->lines[i].text);
        memmove(j->lines, j->lines + batch, (size_t)(j->line_count - batch) * sizeof(*j->lines));
        j->line_count -= batch;
    } else if ((j->line_count & (j->line_count - 1)) == 0) { /* room doubles at every power of two */
        size_t cap = j->line_count > 0 ? 2 * (size_t)j->line_count : 1;

        p = srq_reallocarray(j->lines, cap < TOP_LINES ? cap : TOP_LINES, sizeof(*p));
        if (p == NULL)
            return;
        j->lines = p;
    }
    p = &j->lines[j->line_count];
    *p = (struct top_line){ .time = time, .level = level };
    top_set_text(&p->text, text);
    if (p->text != NULL)
        j->line_count++;
}

struct top_layer *top_job_layer(const struct top_job *j, const char *name)
{
    for (int i = 0; name != NULL && i < j->layer_count; i++)
        if (strcmp(j->layers[i].name, name) == 0)
            return &j->layers[i];
    return NULL;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void top_preview_reset(struct top_preview *p)
{
    for (int i = 0; i < p->warning_count; i++)
        srq_free(p->warnings[i]);
    srq_free(p->warnings);
    srq_free(p->refused);
    srq_free(p->missing);
    *p = (struct top_preview){ .restarts = -1 };
}

void top_model_init(struct top_model *m)
{
    *m = (struct top_model){ .preview.restarts = -1, .uid = -1 };
}

void top_model_fini(struct top_model *m)
{
    for (int i = 0; i < m->job_count; i++)
        top_job_fini(&m->jobs[i]);
    srq_free(m->jobs);
    srq_free(m->link_text);
    srq_free(m->server);
    srq_free(m->ended);
    srq_free(m->notice);
    top_preview_reset(&m->preview);
    top_model_init(m);
}

struct top_job *top_model_job(const struct top_model *m, const char *id)
{
    for (int i = 0; id != NULL && id[0] != '\0' && i < m->job_count; i++)
        if (m->jobs[i].id != NULL && strcmp(m->jobs[i].id, id) == 0)
            return &m->jobs[i];
    return NULL;
}

void top_model_say(struct top_model *m, bool bad, const char *fmt, ...)
{
    char text[1200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    top_set_text(&m->notice, text);
    m->notice_bad = bad;
    m->changed = true;
}
