/* Job: name and phases, tree of blocks and layers, curves of the selection. */
#include "tui/srqtop/panels.h"

#include "core/base/alloc.h"
#include "core/proto/proto.h"
#include "tui/srqtop/columns.h"
#include "tui/srqtop/figures.h"
#include "tui/srqtop/plot.h"
#include "tui/srqtop/tree.h"

#include <stdio.h>
#include <string.h>

enum { MARK, NAME, BITS, GROUP, FIRST, BEST, GAIN, STATE, SPARK, SCORE, SOURCE, COLUMNS };

static const struct column columns[COLUMNS] = {
    [MARK] = { "", 3, 3, 0, false },         [NAME] = { "block / layer", 20, 44, 0, false },
    [BITS] = { "bits", 5, 12, 1, false },    [GROUP] = { "group", 5, 6, 7, true },
    [FIRST] = { "initial", 8, 9, 4, true },  [BEST] = { "best", 8, 9, 2, true },
    [GAIN] = { "gain", 7, 7, 3, true },      [STATE] = { "state", 10, 10, 5, false },
    [SPARK] = { "curve", 8, 20, 6, false },  [SCORE] = { "score", 8, 9, 8, true },
    [SOURCE] = { "source", 9, 9, 9, false },
};

/* ---- head */

static bool stage_is(const struct top_job *j, enum srq_stage s)
{
    return j->stage != NULL && strcmp(j->stage, srq_stage_words[s]) == 0;
}

/* The original is measured before anything is tuned, the result after all is: one stage name for both. */
static bool measures_original(const struct top_job *j)
{
    if (!stage_is(j, SRQ_STAGE_EVALUATE))
        return false;
    for (int b = 0; b < j->block_count; b++)
        if (j->blocks[b].state != SRQ_WORK_PENDING)
            return false;
    return !j->after.perplexity.known;
}

static bool has_stage(const struct top_job *j, enum srq_stage s)
{
    if (s == SRQ_STAGE_SCORE || s == SRQ_STAGE_ALLOCATE)
        return stage_is(j, s) || j->budget_bits.known || j->candidates != NULL || j->front_count > 0;
    return stage_is(j, s) || (s != SRQ_STAGE_TRANSFORM && s != SRQ_STAGE_REFINE);
}

/* Stages in the order of this job; *now: place of the present one, SRQ_STAGES when all are done, -1: not known. */
static void stage_order(const struct top_job *j, enum srq_stage order[SRQ_STAGES], int *now)
{
    bool early = measures_original(j);
    int n = 0;

    for (enum srq_stage s = SRQ_STAGE_LOAD; s <= SRQ_STAGE_ALLOCATE; s++)
        order[n++] = s;
    if (early)
        order[n++] = SRQ_STAGE_EVALUATE;
    order[n++] = SRQ_STAGE_TRANSFORM;
    order[n++] = SRQ_STAGE_QUANTIZE;
    order[n++] = SRQ_STAGE_REFINE;
    if (!early)
        order[n++] = SRQ_STAGE_EVALUATE;
    order[n] = SRQ_STAGE_EXPORT;
    *now = j->state == SRQ_JOB_DONE ? SRQ_STAGES : -1;
    for (int i = 0; *now < 0 && i < SRQ_STAGES; i++)
        if (stage_is(j, order[i]))
            *now = i;
}

/* "✓load ✓calibrate ▶quantize ▇▇▇░░ 42.0 % 3m12s left ·evaluate ·export" */
static void phases(const struct draw *d, struct rect r, int y)
{
    const struct top_job *j = d->job;
    enum srq_stage order[SRQ_STAGES];
    int now, x = r.x, end = r.x + r.w;
    char text[FIGURE];

    stage_order(j, order, &now);
    for (int i = 0; i < SRQ_STAGES && x < end; i++) {
        bool ended = i < now, here = i == now;
        enum role role = ended                        ? ROLE_GOOD
                         : !here                      ? ROLE_WAITING
                         : j->state == SRQ_JOB_FAILED ? ROLE_BAD
                         : j->state == SRQ_JOB_PAUSED ? ROLE_WAITING
                                                      : ROLE_RUNNING;
        uint32_t mark = ended                        ? d->g->finished
                        : !here                      ? d->g->pending
                        : j->state == SRQ_JOB_FAILED ? d->g->failed
                                                     : d->g->tuning;

        if (!has_stage(j, order[i]))
            continue;
        canvas_put(d->c, x, y, mark, role, 0);
        x += 1 + canvas_str(d->c, x + 1, y, end - x - 1, srq_stage_words[order[i]], role, 0) + 1;
        if (!here)
            continue;
        if (end - x > 30) {
            figure_bar(d->c, x, y, 10, figure_share(j->done, j->total), d->v->glyphs);
            x += 11;
        }
        x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "%s ",
                           figure_percent(figure_share(j->done, j->total), text));
        if (j->eta_s.known)
            x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "%s left ", figure_seconds(j->eta_s, text));
    }
}

static int eval_part(const struct draw *d, int x, int y, int end, const char *label, const struct top_eval *e)
{
    char text[FIGURE];

    x += canvas_printf(d->c, x, y, end - x, ROLE_FAINT, 0, "  %s ", label);
    x += canvas_str(d->c, x, y, end - x, figure_number(e->perplexity, text), ROLE_TEXT, 0);
    if (e->kl.known)
        x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, " KL %s", figure_number(e->kl, text));
    if (e->top1.known)
        x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, " top-1 %s", figure_percent(e->top1, text));
    return x;
}

static void evaluation(const struct draw *d, struct rect r, int y)
{
    int x = r.x, end = r.x + r.w;

    x += canvas_str(d->c, x, y, r.w, "perplexity", ROLE_FAINT, 0);
    x = eval_part(d, x, y, end, "before", &d->job->before);
    x = eval_part(d, x, y, end, "rtn", &d->job->rtn);
    eval_part(d, x, y, end, "after", &d->job->after);
}

/* "transform loss 4.455 → 4.212, scales A 0.02 B 0.01 C 0.05 D 0.04": while scales are trained. */
static void transform(const struct draw *d, struct rect r, int y)
{
    const struct top_transform *t = &d->job->transform;
    struct metric gain = top_gain(t->loss_first, t->loss_best);
    char text[FIGURE];
    int x = r.x, end = r.x + r.w;

    x += canvas_str(d->c, x, y, r.w, "held out ", ROLE_FAINT, 0);
    x += canvas_str(d->c, x, y, end - x, figure_change(t->loss_first, t->loss_best, figure_number, d->g->arrow, text),
                    gain.known && gain.v > 0 ? ROLE_LOSS_GOOD : ROLE_TEXT, 0);
    x += canvas_str(d->c, x, y, end - x, "  spread of scales", ROLE_FAINT, 0);
    for (int k = 0; k < TOP_PAIR_KINDS; k++)
        if (t->spread[k].known)
            x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, " %c %s", 'A' + k, figure_number(t->spread[k], text));
}

/* Name, state, size, bits, revision, budget. */
static void title(const struct draw *d, struct rect r, int y)
{
    const struct top_job *j = d->job;
    char text[FIGURE], when[CTL_HUMAN];
    int x = r.x, end = r.x + r.w;

    x +=
        canvas_str(d->c, x, y, r.w / 2, j->name != NULL && j->name[0] != '\0' ? j->name : j->id, ROLE_TEXT, ATTR_BOLD) +
        1;
    x += canvas_str(d->c, x, y, end - x, figure_job_state(j), figure_job_role(j->state), 0) + 2;
    x += canvas_str(d->c, x, y, end - x,
                    figure_change(j->before_bytes, j->after_bytes, figure_bytes, d->g->arrow, text), ROLE_TEXT, 0) +
         2;
    x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "%s bits", figure_bits(j->average_bits, text)) + 2;
    if (j->budget_bits.known)
        x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "budget %s", figure_bits(j->budget_bits, text)) + 2;
    if (j->plan_known)
        x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "revision %lld", (long long)j->revision) + 2;
    if (j->started.known)
        x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "%s%s", j->ended.known ? "took " : "for ",
                           figure_seconds(figure_elapsed(j, d->m->now), text)) +
             2;
    if (j->ended.known)
        x += canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "ended %s", ctl_human_date(j->ended.v, when)) + 2;
    if (d->v->sort[TOP_PANEL_JOB] != 0)
        x += canvas_printf(d->c, x, y, end - x, ROLE_FAINT, 0, "by %s", tree_sort_name(d->v->sort[TOP_PANEL_JOB])) + 2;
    if (j->reason != NULL)
        x += canvas_str(d->c, x, y, end - x, j->reason, j->state == SRQ_JOB_FAILED ? ROLE_BAD : ROLE_FAINT, 0) + 2;
    if (j->change != NULL)
        canvas_printf(d->c, x, y, end - x, ROLE_FAINT, 0, "%s: %s", j->changed_by != NULL ? j->changed_by : "-",
                      j->change);
}

void panel_job_head(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);

    if (d->job != NULL) {
        if (r.h >= 2)
            title(d, r, r.y);
        phases(d, r, r.h >= 2 ? r.y + 1 : r.y);
        if (r.h >= 3 && stage_is(d->job, SRQ_STAGE_TRANSFORM))
            transform(d, r, r.y + 2);
        else if (r.h >= 3)
            evaluation(d, r, r.y + 2);
    }
    canvas_unclip(d->c, old);
}

/* ---- tree */

static uint32_t state_mark(const struct glyphs *g, enum srq_work_state s)
{
    return s == SRQ_WORK_PENDING    ? g->pending
           : s == SRQ_WORK_RUNNING  ? g->tuning
           : s == SRQ_WORK_FINISHED ? g->finished
                                    : g->stale;
}

static void number(const struct draw *d, const struct column_place *p, int y, const char *text, enum role role)
{
    canvas_str_right(d->c, p->x, y, p->w, text, strcmp(text, "-") == 0 ? ROLE_FAINT : role, 0);
}

static void losses(const struct draw *d, const struct column_place *p, int y, struct metric first, struct metric best)
{
    struct metric gain = top_gain(first, best);
    char text[FIGURE];

    number(d, &p[FIRST], y, figure_number(first, text), ROLE_TEXT);
    number(d, &p[BEST], y, figure_number(best, text),
           !gain.known   ? ROLE_TEXT
           : gain.v >= 0 ? ROLE_LOSS_GOOD
                         : ROLE_LOSS_BAD);
    number(d, &p[GAIN], y, figure_percent(gain, text),
           !gain.known   ? ROLE_TEXT
           : gain.v >= 0 ? ROLE_LOSS_GOOD
                         : ROLE_LOSS_BAD);
}

static void state_cell(const struct draw *d, const struct column_place *p, int y, enum srq_work_state s)
{
    if (p->w == 0)
        return;
    canvas_put(d->c, p->x, y, state_mark(d->g, s), figure_work_role(s), 0);
    canvas_str(d->c, p->x + 2, y, p->w - 2, figure_work_state(s), figure_work_role(s), 0);
}

/* The part of a layer's name behind its block's: "mlp.down_proj". */
static const char *short_name(const struct top_job *j, const struct top_layer *l)
{
    const char *block = l->block >= 0 ? tree_block_name(j, l->block) : "";
    size_t n = strlen(block);

    if (l->name == NULL)
        return "-";
    return n > 0 && strncmp(l->name, block, n) == 0 && l->name[n] == '.' ? l->name + n + 1 : l->name;
}

static bool found(const struct draw *d, const char *name)
{
    return d->v->search[0] != '\0' && view_matches(name, d->v->search);
}

static void layer_row(const struct draw *d, const struct top_layer *l, const struct column_place *p, int y)
{
    char text[FIGURE], group[16], label[80];
    const char *name = short_name(d->job, l);

    canvas_put(d->c, p[MARK].x + 1, y, l->tagged ? d->g->tagged : ' ', ROLE_TAGGED, 0);
    canvas_put(d->c, p[MARK].x + 2, y, l->pin ? d->g->pinned : ' ', ROLE_PINNED, 0);
    canvas_str_tail(d->c, p[NAME].x + 2, y, p[NAME].w - 2, name,
                    l->name != NULL && found(d, l->name) ? ROLE_MATCH
                    : l->tagged                          ? ROLE_TAGGED
                                                         : ROLE_TEXT,
                    0);
    if (l->edit[0] != '\0') {
        struct metric old = figure_scheme_bits(l->scheme), new = figure_scheme_bits(l->edit);

        /* Where the bits stay it is the group that changes. */
        if (p[BITS].w >= 10 || (old.known && new.known &&old.v == new.v))
            snprintf(label, sizeof(label), "%.12s", l->edit);
        else
            figure_count(new, label);
        canvas_put(d->c, p[BITS].x, y, d->g->edited, ROLE_EDITED, 0);
        canvas_str(d->c, p[BITS].x + 1, y, p[BITS].w - 1, label, ROLE_EDITED, 0);
    } else {
        const char *bits = figure_count((struct metric){ l->bits > 0, l->bits }, text);

        canvas_str(d->c, p[BITS].x, y, p[BITS].w, p[BITS].w >= 8 && l->scheme[0] != '\0' ? l->scheme : bits,
                   l->pin ? ROLE_PINNED : ROLE_TEXT, 0);
    }
    number(d, &p[GROUP], y, figure_scheme_group(l->edit[0] != '\0' ? l->edit : l->scheme, group), ROLE_TEXT);
    losses(d, p, y, l->error_first, l->error_best);
    state_cell(d, &p[STATE], y, l->state);
    if (p[SPARK].w > 0)
        plot_spark(d->c, p[SPARK].x, y, p[SPARK].w, &l->errors, d->v->glyphs);
    number(d, &p[SCORE], y, figure_number(l->score, text), ROLE_TEXT);
    canvas_str(d->c, p[SOURCE].x, y, p[SOURCE].w, srq_decider_words[l->source], ROLE_FAINT, 0);
}

/* Where the running block is, "120/200", in place of its state when there is room. */
static void block_state(const struct draw *d, const struct top_block *b, const struct column_place *p, int y)
{
    char text[FIGURE], iter[FIGURE];

    if (b->state != SRQ_WORK_RUNNING || !b->iter.known || p->w == 0) {
        state_cell(d, p, y, b->state);
        return;
    }
    snprintf(text, sizeof(text), "%.20s/%lld", figure_count(b->iter, iter), (long long)b->iters);
    canvas_put(d->c, p->x, y, d->g->tuning, ROLE_RUNNING, 0);
    canvas_str(d->c, p->x + 2, y, p->w - 2, text, ROLE_RUNNING, 0);
}

/* How many layers of a block are tagged, pinned and edited: shown while they are folded away. */
static void block_marks(const struct draw *d, int block, const struct column_place *p, int y)
{
    bool tagged = false, pinned = false;
    const struct top_job *j = d->job;

    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].block == block) {
            tagged = tagged || j->layers[i].tagged;
            pinned = pinned || j->layers[i].pin;
        }
    canvas_put(d->c, p[MARK].x + 1, y, tagged ? d->g->tagged : ' ', ROLE_TAGGED, 0);
    canvas_put(d->c, p[MARK].x + 2, y, pinned ? d->g->pinned : ' ', ROLE_PINNED, 0);
}

static bool block_edited(const struct top_job *j, int block)
{
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].block == block && j->layers[i].edit[0] != '\0')
            return true;
    return false;
}

static void block_row(const struct draw *d, int block, bool open, const struct column_place *p, int y)
{
    const struct top_block *b = block >= 0 ? &d->job->blocks[block] : NULL;
    const char *name = tree_block_name(d->job, block);
    char text[FIGURE];
    bool edited = block_edited(d->job, block);
    int x = p[BITS].x;

    block_marks(d, block, p, y);
    canvas_put(d->c, p[NAME].x, y, open ? d->g->open : d->g->closed, ROLE_TEXT, 0);
    canvas_str_tail(d->c, p[NAME].x + 2, y, p[NAME].w - 2, name, found(d, name) ? ROLE_MATCH : ROLE_TEXT, ATTR_BOLD);
    if (edited)
        canvas_put(d->c, x++, y, d->g->edited, ROLE_EDITED, 0);
    canvas_str(d->c, x, y, p[BITS].w - edited, figure_bits(tree_block_bits(d->job, block), text),
               edited ? ROLE_EDITED : ROLE_TEXT, 0);
    if (b == NULL)
        return;
    losses(d, p, y, b->loss_first, b->loss_best);
    block_state(d, b, &p[STATE], y);
    if (p[SPARK].w > 0)
        plot_spark(d->c, p[SPARK].x, y, p[SPARK].w, &b->loss, d->v->glyphs);
    number(d, &p[SCORE], y, figure_number(tree_block_score(d->job, block), text), ROLE_TEXT);
}

static void rows(const struct draw *d, struct rect r)
{
    struct column_place place[COLUMNS];
    struct tree_row *tree;
    int n = tree_rows(d->job, d->v, &tree), title_rows = r.h > 2;

    columns_fit(columns, COLUMNS, r.x, r.w, place);
    if (title_rows > 0)
        columns_titles(d->c, r.y, columns, COLUMNS, place);
    for (int y = 0; y + title_rows < r.h && d->v->tree_top + y < n; y++) {
        int at = d->v->tree_top + y, line = r.y + title_rows + y;

        canvas_put(d->c, place[MARK].x, line, at == d->v->tree_at ? d->g->cursor : ' ', ROLE_TEXT, 0);
        if (tree[at].layer >= 0)
            layer_row(d, &d->job->layers[tree[at].layer], place, line);
        else
            block_row(d, tree[at].block, at + 1 < n && tree[at + 1].layer >= 0, place, line);
        if (at == d->v->tree_at)
            canvas_mark(d->c, (struct rect){ r.x, line, r.w, 1 }, ROLE_SELECTED, 0);
    }
    if (n == 0)
        canvas_str(d->c, r.x, r.y + title_rows, r.w,
                   d->v->filter[TOP_PANEL_JOB][0] != '\0' ? "no block or layer matches the filter"
                                                          : "- no plan known yet",
                   ROLE_FAINT, 0);
    srq_free(tree);
}

void panel_job(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);

    if (d->job == NULL)
        canvas_str(d->c, r.x, r.y + r.h / 2, r.w, "no job is open: choose one in the queue and press Enter", ROLE_FAINT,
                   0);
    else
        rows(d, r);
    canvas_unclip(d->c, old);
}

/* ---- curves */

static void add_curve(struct plot *p, const struct top_series *s, const char *label)
{
    if (p->count < PLOT_CURVES)
        p->curves[p->count++] = (struct plot_curve){ .series = s, .label = label };
}

/* The tagged layers, and with overlay the item under the cursor too; else the item under the cursor alone. While scales
 * are trained no block has begun: then it is their loss. */
static void choose(const struct draw *d, struct plot *p)
{
    const struct top_job *j = d->job;
    int block = d->v->tree_block, layer = d->v->tree_layer;

    if (stage_is(j, SRQ_STAGE_TRANSFORM)) {
        add_curve(p, &j->transform.loss, "batches");
        if (j->transform.probe.count > 0)
            add_curve(p, &j->transform.probe, "held out");
        p->title = "loss of the transform";
        return;
    }
    if (layer >= 0 && layer < j->layer_count) {
        add_curve(p, &j->layers[layer].errors, j->layers[layer].name != NULL ? j->layers[layer].name : "-");
        p->title = "relative output error of the layer";
    } else if (block >= 0 && block < j->block_count) {
        add_curve(p, &j->blocks[block].loss, tree_block_name(j, block));
        if (j->blocks[block].probe.count > 0)
            add_curve(p, &j->blocks[block].probe, "probe set");
        p->title = "loss of the block";
    }
    if (!d->v->overlay)
        return;
    p->title = "loss of blocks, error of layers";
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].tagged && i != layer)
            add_curve(p, &j->layers[i].errors, j->layers[i].name != NULL ? j->layers[i].name : "-");
}

enum { CURVE_ROWS = 8, TABLE_WIDTH = 46, CURVE_WIDTH = 30 };

/* The table of candidates below the curve, or on its right, where there is room; the curve gets the rest. */
static void candidates(const struct draw *d, struct rect *r)
{
    const struct top_job *j = d->job;
    int layer = d->v->tree_layer, rows;
    struct rect table = *r;

    if (layer < 0 || layer >= j->layer_count || j->layers[layer].scheme[0] == '\0')
        return;
    rows = panel_candidates_rows(j, &j->layers[layer]);
    if (r->h >= rows + 1 + CURVE_ROWS) {
        table.y = r->y + r->h - rows;
        table.h = rows;
        r->h -= rows + 1;
    } else if (r->w >= TABLE_WIDTH + CURVE_WIDTH && r->h >= 3) {
        table.x = r->x + r->w - TABLE_WIDTH;
        table.w = TABLE_WIDTH;
        r->w -= TABLE_WIDTH + 2;
    } else {
        return;
    }
    panel_candidates(d, table, &j->layers[layer]);
}

void panel_job_curves(const struct draw *d, struct rect r)
{
    struct plot p = { .x_title = "iteration", .log = d->v->log_scale, .set = d->v->glyphs };

    if (d->job == NULL)
        return;
    choose(d, &p);
    if (r.y + r.h >= 1 && r.x > 0) { /* beside the tree: a line between the two */
        for (int y = r.y; y < r.y + r.h; y++)
            canvas_put(d->c, r.x, y, d->g->vline, ROLE_AXIS, 0);
        r.x += 2;
        r.w -= 2;
    } else {
        canvas_fill(d->c, (struct rect){ r.x, r.y, r.w, 1 }, d->g->hline, ROLE_AXIS, 0);
        if (p.title != NULL)
            canvas_printf(d->c, r.x + 2, r.y, r.w - 4, ROLE_HEAD, 0, " %s%s ", p.title, p.log ? " (log)" : "");
        p.title = NULL;
        r.y++;
        r.h--;
    }
    candidates(d, &r);
    if (p.count > 0)
        plot_draw(d->c, r, &p);
    else
        canvas_str(d->c, r.x, r.y, r.w, "- nothing selected", ROLE_FAINT, 0);
}
