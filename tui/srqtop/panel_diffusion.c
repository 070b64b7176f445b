/* Diffusion: pictures from equal noise, the error of each step, the loss and its parts, what was measured. */
#include "tui/srqtop/panels.h"

#include "tui/srqtop/figures.h"
#include "tui/srqtop/picture_cells.h"
#include "tui/srqtop/plot.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { TABLE = 4, GAP = 2, LATENCY = 64 };

static bool any_pictures(const struct top_diffusion *d)
{
    for (int k = 0; k < SRQ_SAMPLINGS; k++)
        if (d->of[k].pictures.count > 0)
            return true;
    return false;
}

static bool any_scores(const struct top_diffusion *d)
{
    for (int k = 0; k < SRQ_SAMPLINGS; k++)
        if (d->of[k].picture_step_s.known || d->of[k].pair_mse.known || d->of[k].fid.known)
            return true;
    return false;
}

/* ---- head */

static void head_job(const struct draw *d, struct rect r)
{
    const struct top_job *j = d->job;
    int x = r.x, end = r.x + r.w;
    char text[FIGURE];

    x += canvas_str(d->c, x, r.y, r.w / 3, j->name != NULL && j->name[0] != '\0' ? j->name : j->id, ROLE_TEXT,
                    ATTR_BOLD) +
         1;
    x += canvas_str(d->c, x, r.y, end - x, figure_job_state(j), figure_job_role(j->state), 0) + 2;
    x += canvas_printf(d->c, x, r.y, end - x, ROLE_TEXT, 0, "%s %s", j->method != NULL ? j->method : "-",
                       j->scheme != NULL ? j->scheme : "-") +
         2;
    if (j->state == SRQ_JOB_RUNNING && j->stage != NULL) {
        x += canvas_printf(d->c, x, r.y, end - x, ROLE_RUNNING, 0, "%s %s", j->stage,
                           figure_percent(figure_share(j->done, j->total), text)) +
             2;
        if (j->eta_s.known)
            canvas_printf(d->c, x, r.y, end - x, ROLE_TEXT, 0, "%s left", figure_seconds(j->eta_s, text));
    }
}

/* How the mix divides the steps, and once it was sampled what a step takes. */
static void head_rule(const struct draw *d, struct rect r)
{
    const struct top_diffusion *f = &d->job->diffusion;
    int x = r.x, end = r.x + r.w;
    char text[FIGURE];

    if (f->sample_steps == 0) {
        canvas_str(d->c, x, r.y, r.w, "- steps in full precision: known with the first pictures", ROLE_FAINT, 0);
        return;
    }
    x += canvas_printf(d->c, x, r.y, end - x, ROLE_TEXT, 0, "full precision: first %lld, last %lld of %lld steps",
                       (long long)f->hp_first, (long long)f->hp_last, (long long)f->sample_steps) +
         2;
    if (!any_scores(f) || end - x < LATENCY) /* the table has it too */
        return;
    x += canvas_str(d->c, x, r.y, end - x, "a picture's step", ROLE_FAINT, 0);
    for (int k = 0; k < SRQ_SAMPLINGS; k++)
        x += canvas_printf(d->c, x, r.y, end - x, ROLE_TEXT, 0, " %s %s", srq_sampled_words[k],
                           figure_seconds(f->of[k].picture_step_s, text));
}

void panel_diffusion_head(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);

    if (d->job != NULL) {
        head_job(d, r);
        if (r.h > 1)
            head_rule(d, (struct rect){ r.x, r.y + 1, r.w, 1 });
    }
    canvas_unclip(d->c, old);
}

/* ---- pictures */

/* Why there is no picture. */
static const char *why_none(const struct top_job *j)
{
    bool learns = j->method != NULL && strstr(j->method, "diffusion-") != NULL;

    if (j->state == SRQ_JOB_QUEUED || j->state == SRQ_JOB_STARTING)
        return "- no pictures yet: the job has not begun";
    if (j->state >= SRQ_JOB_DONE)
        return "- no pictures: the job's model is no diffusion model, or preview and samples are 0";
    if (learns)
        return "- no pictures yet: the first come when activations were observed, unless preview is 0";
    return "- no pictures yet: a diffusion model's come when it is sampled; a language model has none";
}

static void name_of(const struct top_pictures *p, int which, char *out, size_t cap)
{
    char text[FIGURE];

    if (!p->train_step.known)
        snprintf(out, cap, "%s", srq_sampled_words[which]);
    else if (which == SRQ_SAMPLED_FULL)
        snprintf(out, cap, "teacher");
    else
        snprintf(out, cap, "student, step %s", figure_count(p->train_step, text));
}

/* Those of one model under its name; how many of them fitted. */
static int column(const struct draw *d, struct rect r, int which)
{
    const struct top_pictures *p = &d->job->diffusion.of[which].pictures;
    struct picture_fit fit = picture_fit(p, r.w, r.h - 1);
    int first = d->v->picture < p->count - fit.count ? d->v->picture : p->count - fit.count;
    char name[60];

    name_of(p, which, name, sizeof(name));
    canvas_str(d->c, r.x, r.y, r.w, name, ROLE_HEAD, 0);
    picture_draw(d->c, (struct rect){ r.x, r.y + 1, r.w, r.h - 1 }, p, first > 0 ? first : 0, fit);
    return fit.count;
}

static void pictures(const struct draw *d, struct rect r)
{
    const struct top_diffusion *f = &d->job->diffusion;
    int known = 0, at = 0, w;

    for (int k = 0; k < SRQ_SAMPLINGS; k++)
        known += f->of[k].pictures.count > 0;
    w = (r.w - (known - 1) * GAP) / known;
    for (int k = 0; k < SRQ_SAMPLINGS; k++)
        if (f->of[k].pictures.count > 0 && w > 0)
            column(d, (struct rect){ r.x + at++ * (w + GAP), r.y, w, r.h }, k);
}

int panel_diffusion_last(const struct top_job *j)
{
    int most = 0;

    for (int k = 0; k < SRQ_SAMPLINGS; k++)
        most = j->diffusion.of[k].pictures.count > most ? j->diffusion.of[k].pictures.count : most;
    return most > 0 ? most - 1 : 0;
}

/* ---- what was measured */

struct score {
    const char *title;
    size_t at; /* in struct top_sampled */
    char *(*figure)(struct metric, char *);
};
static const struct score columns[] = {
    { "pair MSE", offsetof(struct top_sampled, pair_mse), figure_number },
    { "PSNR", offsetof(struct top_sampled, psnr), figure_number },
    { "step", offsetof(struct top_sampled, picture_step_s), figure_seconds },
    { "SSIM", offsetof(struct top_sampled, ssim), figure_number },
    { "FID", offsetof(struct top_sampled, fid), figure_number },
};

static struct metric score_of(const struct top_diffusion *d, int which, const struct score *s)
{
    struct metric m;

    memcpy(&m, (const char *)&d->of[which] + s->at, sizeof(m));
    return m;
}

static void score_column(const struct draw *d, struct rect r, const struct score *s)
{
    char text[FIGURE];

    canvas_str_right(d->c, r.x, r.y, r.w, s->title, ROLE_HEAD, 0);
    for (int k = 0; k < SRQ_SAMPLINGS && k + 1 < r.h; k++) {
        struct metric m = score_of(&d->job->diffusion, k, s);

        canvas_str_right(d->c, r.x, r.y + 1 + k, r.w, s->figure(m, text), m.known ? ROLE_TEXT : ROLE_FAINT, 0);
    }
}

/* As many columns as fit; one of which nothing is known takes no room. */
static void table(const struct draw *d, struct rect r)
{
    enum { NAME = 10, WIDTH = 9 };
    int x = r.x + NAME;

    for (int k = 0; k < SRQ_SAMPLINGS && k + 1 < r.h; k++)
        canvas_str(d->c, r.x, r.y + 1 + k, NAME - 1, srq_sampled_words[k], ROLE_TEXT, 0);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]) && x + WIDTH <= r.x + r.w; i++) {
        bool any = false;

        for (int k = 0; k < SRQ_SAMPLINGS; k++)
            any = any || score_of(&d->job->diffusion, k, &columns[i]).known;
        if (any)
            score_column(d, (struct rect){ x, r.y, WIDTH, r.h }, &columns[i]);
        x += any ? WIDTH + 1 : 0;
    }
}

/* In the last rows of *r, which they are taken off. */
static void scores(const struct draw *d, struct rect *r)
{
    bool known = any_scores(&d->job->diffusion);
    int rows = known ? TABLE : 1;

    if (r->h < rows + 6)
        return;
    r->h -= rows;
    if (known)
        table(d, (struct rect){ r->x, r->y + r->h, r->w, rows });
    else
        canvas_str(d->c, r->x, r->y + r->h, r->w, "- scores come when the result is sampled", ROLE_FAINT, 0);
}

void panel_diffusion(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);

    if (d->job == NULL) {
        canvas_str(d->c, r.x, r.y + r.h / 2, r.w, "no job is open: choose one in the queue and press Enter", ROLE_FAINT,
                   0);
    } else if (!any_pictures(&d->job->diffusion)) {
        if (any_scores(&d->job->diffusion))
            scores(d, &r);
        canvas_str(d->c, r.x, r.y, r.w, why_none(d->job), ROLE_FAINT, 0);
    } else {
        scores(d, &r);
        pictures(d, r);
    }
    canvas_unclip(d->c, old);
}

/* ---- curves */

static void error_curve(const struct draw *d, struct rect r)
{
    const struct top_diffusion *f = &d->job->diffusion;
    struct plot p = { .title = "SQNR of each step, dB", .x_title = "step", .set = d->v->glyphs };

    p.curves[p.count++] = (struct plot_curve){ .series = &f->sqnr, .label = "quantized" };
    if (f->sqnr_first.count > 0)
        p.curves[p.count++] = (struct plot_curve){ .series = &f->sqnr_first, .label = "before training" };
    if (f->sqnr_high.count > 0)
        p.curves[p.count++] =
            (struct plot_curve){ .series = &f->sqnr_high, .label = "in full precision in the mix", .apart = true };
    plot_draw(d->c, r, &p);
}

static void loss_curve(const struct draw *d, struct rect r)
{
    const struct top_job *j = d->job;
    struct plot p = { .title = "loss", .x_title = "training step", .log = d->v->log_scale, .set = d->v->glyphs };

    p.curves[p.count++] = (struct plot_curve){ .series = &j->transform.loss, .label = "total" };
    if (j->diffusion.task.count > 0)
        p.curves[p.count++] = (struct plot_curve){ .series = &j->diffusion.task, .label = "task" };
    if (j->diffusion.kd.count > 0)
        p.curves[p.count++] = (struct plot_curve){ .series = &j->diffusion.kd, .label = "kd" };
    plot_draw(d->c, r, &p);
}

/* One below the other; a method that only calibrates has no loss, nor has a job that trains nothing. */
void panel_diffusion_curves(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    bool beside = r.x > 0;

    if (d->job == NULL) {
        canvas_unclip(d->c, old);
        return;
    }
    if (beside) {
        for (int y = r.y; y < r.y + r.h; y++)
            canvas_put(d->c, r.x, y, d->g->vline, ROLE_AXIS, 0);
        r.x += 2;
        r.w -= 2;
    } else {
        canvas_fill(d->c, (struct rect){ r.x, r.y, r.w, 1 }, d->g->hline, ROLE_AXIS, 0);
        r.y++;
        r.h--;
    }
    if (d->job->transform.loss.count > 0 && beside) {
        int upper = r.h / 2;

        error_curve(d, (struct rect){ r.x, r.y, r.w, upper });
        loss_curve(d, (struct rect){ r.x, r.y + upper, r.w, r.h - upper });
    } else if (d->job->transform.loss.count > 0 && r.w >= 60) {
        int left = r.w / 2;

        error_curve(d, (struct rect){ r.x, r.y, left - 1, r.h });
        loss_curve(d, (struct rect){ r.x + left, r.y, r.w - left, r.h });
    } else {
        error_curve(d, r);
    }
    canvas_unclip(d->c, old);
}
