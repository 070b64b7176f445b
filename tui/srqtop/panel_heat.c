/* Heatmap: blocks × modules, each cell a number of the layer. */
#include "tui/srqtop/panels.h"

#include "tui/srqtop/candidates.h"
#include "tui/srqtop/figures.h"
#include "tui/srqtop/tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scale {
    double low, high;
    bool known, log;
};

static struct scale scale_of(const struct top_job *j, enum srq_heat heat, bool log)
{
    struct scale s = { .log = log && (heat == SRQ_HEAT_SENSITIVITY || heat == SRQ_HEAT_LOSS) };

    for (int i = 0; i < j->layer_count; i++) {
        struct metric m = map_value(&j->layers[i], heat);

        if (!m.known || !isfinite(m.v))
            continue;
        if (!s.known) {
            s.known = true;
            s.low = s.high = m.v;
        }
        s.low = fmin(s.low, m.v);
        s.high = fmax(s.high, m.v);
        if (m.v <= 0)
            s.log = false;
    }
    return s;
}

/* 0 … 9 */
static int level_of(const struct scale *s, double v)
{
    double low = s->log ? log10(s->low) : s->low, high = s->log ? log10(s->high) : s->high;
    int level;

    v = s->log ? log10(v) : v;
    level = high > low ? (int)((v - low) / (high - low) * HEAT_ROLES) : HEAT_ROLES / 2;
    return level < 0 ? 0 : level >= HEAT_ROLES ? HEAT_ROLES - 1 : level;
}

static char *value_text(struct metric m, enum srq_heat heat, char *out)
{
    switch (heat) {
    case SRQ_HEAT_BITS:
        return figure_count(m, out);
    case SRQ_HEAT_GAIN:
    case SRQ_HEAT_SATURATION:
        return figure_percent(m, out);
    default:
        return figure_number(m, out);
    }
}

/* A number in at most `room` columns: three digits, else two with an exponent ("1.8e-3"); false: neither fits. */
static bool cell_text(struct metric m, enum srq_heat heat, int room, char *out)
{
    char digits[CTL_HUMAN], *e;

    value_text(m, heat, out);
    if (canvas_columns(out) <= room)
        return true;
    if (heat == SRQ_HEAT_GAIN || heat == SRQ_HEAT_SATURATION) {
        snprintf(out, FIGURE, "%.0f%%", m.v * 100);
    } else {
        snprintf(digits, sizeof(digits), "%.1e", m.v);
        e = strchr(digits, 'e');
        snprintf(out, FIGURE, "%.*s%d", e != NULL ? (int)(e - digits) + 1 : 0, digits,
                 e != NULL ? (int)strtol(e + 1, NULL, 10) : 0);
    }
    return canvas_columns(out) <= room;
}

/* Why a measure has no value yet, of any layer. */
static const char *missing(const struct top_job *j, enum srq_heat heat)
{
    const char *why = top_unscored_why(j);

    if (!j->plan_known && j->layer_count == 0)
        return "no plan is known yet";
    switch (heat) {
    case SRQ_HEAT_SENSITIVITY:
        return why != NULL ? why : "no layer was scored in the scheme that it has";
    case SRQ_HEAT_BITS:
        return "the schemes do not say";
    case SRQ_HEAT_SATURATION:
        return "it comes with the first block that is finished";
    default:
        return "it comes while the first block is tuned; plain rounding has none";
    }
}

void panel_heat_head(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    char low[FIGURE], high[FIGURE];
    int x = r.x, end = r.x + r.w;
    struct scale s;

    if (d->job == NULL) {
        canvas_unclip(d->c, old);
        return;
    }
    s = scale_of(d->job, d->v->heat, d->v->log_scale);
    for (int h = 0; h < SRQ_HEATS; h++) {
        bool on = h == (int)d->v->heat;

        canvas_put(d->c, x, r.y, on ? '[' : ' ', ROLE_HEAD, 0);
        x += 1 + canvas_str(d->c, x + 1, r.y, end - x - 1, srq_heat_words[h], on ? ROLE_HEAD : ROLE_FAINT, 0);
        canvas_put(d->c, x++, r.y, on ? ']' : ' ', ROLE_HEAD, 0);
    }
    if (r.h >= 2 && !s.known) {
        canvas_printf(d->c, r.x, r.y + 1, r.w, ROLE_FAINT, 0, "- %s", missing(d->job, d->v->heat));
    } else if (r.h >= 2) {
        x = r.x;
        value_text((struct metric){ s.known, s.low }, d->v->heat, low);
        value_text((struct metric){ s.known, s.high }, d->v->heat, high);
        x += canvas_printf(d->c, x, r.y + 1, end - x, ROLE_TEXT, 0, "low %s ", low);
        for (int i = 0; i < HEAT_ROLES; i++, x++)
            canvas_put(d->c, x, r.y + 1, d->g->shade[i / 2], (enum role)(ROLE_HEAT_0 + i), 0);
        x += canvas_printf(d->c, x, r.y + 1, end - x, ROLE_TEXT, 0, " %s high", high);
        if (s.log)
            x += canvas_str(d->c, x, r.y + 1, end - x, " (log)", ROLE_FAINT, 0);
        x += canvas_str(d->c, x + 3, r.y + 1, end - x - 3, "pinned ", ROLE_FAINT, 0) + 3;
        canvas_put(d->c, x, r.y + 1, d->g->pinned, ROLE_PINNED, 0);
        x += canvas_str(d->c, x + 3, r.y + 1, end - x - 3, "edited ", ROLE_FAINT, 0) + 3;
        canvas_put(d->c, x, r.y + 1, d->g->edited, ROLE_EDITED, 0);
        x += canvas_str(d->c, x + 3, r.y + 1, end - x - 3, "tagged ", ROLE_FAINT, 0) + 3;
        canvas_put(d->c, x, r.y + 1, d->g->tagged, ROLE_TAGGED, 0);
    }
    canvas_unclip(d->c, old);
}

struct heat_shape panel_heat_shape(const struct top_job *j, struct rect r, int map_columns)
{
    struct heat_shape s;
    int label = 4, room;

    for (int b = 0; b < j->block_count; b++) {
        int n = canvas_columns(tree_block_name(j, b));

        label = n > label ? n : label;
    }
    label += 2;
    s.label = label < r.w / 4 ? label : r.w / 4;
    room = r.w - s.label;
    s.cell = map_columns > 0 ? room / map_columns : 3;
    s.cell = s.cell > 10 ? 10 : s.cell < 3 ? 3 : s.cell;
    s.columns = room / s.cell < map_columns ? room / s.cell : map_columns;
    s.columns = s.columns < 1 ? 1 : s.columns;
    return s;
}

/* Number when the cell has room for it, else shade; marks at the right end, the cursor in brackets. */
static void cell(const struct draw *d, int x, int y, int w, const struct top_layer *l, const struct scale *s, bool here)
{
    struct metric m = map_value(l, d->v->heat);
    enum role role = m.known && isfinite(m.v) ? (enum role)(ROLE_HEAT_0 + level_of(s, m.v)) : ROLE_FAINT;
    char text[FIGURE];
    uint32_t mark = l->edit[0] != '\0' ? d->g->edited : l->pin ? d->g->pinned : l->tagged ? d->g->tagged : 0;
    int room = w - 1 - (here || mark == 0) - (mark != 0); /* beside the gap, the mark and the bracket */

    if (d->v->heat == SRQ_HEAT_BITS && l->edit[0] != '\0')
        m = figure_scheme_bits(l->edit);
    if (!m.known || !isfinite(m.v)) {
        canvas_str(d->c, x + 1, y, room, "-", ROLE_FAINT, 0);
    } else {
        uint32_t shade = d->g->shade[level_of(s, m.v) / 2];

        canvas_fill(d->c, (struct rect){ x, y, w - 1, 1 }, shade, role, 0);
        if (cell_text(m, d->v->heat, room, text)) {
            canvas_fill(d->c, (struct rect){ x, y, w - 1, 1 }, ' ', role, 0);
            canvas_str(d->c, x + (here || canvas_columns(text) < w - 1 - (mark != 0)), y, room, text, role, 0);
            if (canvas_columns(text) + 2 < w - 1)
                canvas_put(d->c, x, y, shade, role, 0);
        }
    }
    if (mark != 0)
        canvas_put(d->c, x + w - 2, y, mark,
                   l->edit[0] != '\0' ? ROLE_EDITED
                   : l->pin           ? ROLE_PINNED
                                      : ROLE_TAGGED,
                   ATTR_BOLD);
    if (here) {
        canvas_mark(d->c, (struct rect){ x, y, w - 1, 1 }, ROLE_SELECTED, 0);
        canvas_put(d->c, x, y, '[', ROLE_SELECTED, ATTR_BOLD);
        canvas_put(d->c, x + w - 1, y, ']', ROLE_SELECTED, ATTR_BOLD);
    }
}

/* The last part of a module's name, from its end when it does not fit: "down_proj", "n_proj". */
static void column_name(const struct draw *d, int x, int y, int w, const char *name, bool here)
{
    const char *dot = strrchr(name, '.');

    name = dot != NULL && dot[1] != '\0' ? dot + 1 : name;
    canvas_str(d->c, x, y, w - 1, name, ROLE_HEAD, here ? ATTR_BOLD : 0);
}

void panel_heat(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    struct map map;
    struct scale s;
    struct heat_shape shape;
    int title = r.h > 1;

    if (d->job == NULL || !map_init(&map, d->job)) {
        canvas_str(d->c, r.x, r.y + r.h / 2, r.w,
                   d->job == NULL ? "no job is open: choose one in the queue and press Enter" : "- no plan known yet",
                   ROLE_FAINT, 0);
        canvas_unclip(d->c, old);
        return;
    }
    s = scale_of(d->job, d->v->heat, d->v->log_scale);
    shape = panel_heat_shape(d->job, r, map.columns);
    for (int k = 0; title && k < shape.columns && d->v->heat_left + k < map.columns; k++)
        column_name(d, r.x + shape.label + k * shape.cell, r.y, shape.cell, map.names[d->v->heat_left + k],
                    d->v->heat_left + k == d->v->heat_module);
    for (int y = 0; y + title < r.h && d->v->heat_top + y < map.rows; y++) {
        int row = d->v->heat_top + y, line = r.y + title + y;
        bool on = row == d->v->heat_block;

        canvas_put(d->c, r.x, line, on ? d->g->cursor : ' ', ROLE_TEXT, 0);
        canvas_str_tail(d->c, r.x + 1, line, shape.label - 2, tree_block_name(d->job, row == map.outside ? -1 : row),
                        ROLE_TEXT, on ? ATTR_BOLD : 0);
        for (int k = 0; k < shape.columns && d->v->heat_left + k < map.columns; k++) {
            int column = d->v->heat_left + k, at = map.cells[row * map.columns + column];
            bool here = on && column == d->v->heat_module;
            int x = r.x + shape.label + k * shape.cell;

            if (at >= 0)
                cell(d, x, line, shape.cell, &d->job->layers[at], &s, here);
            else if (here)
                canvas_str(d->c, x, line, shape.cell, "[ ]", ROLE_SELECTED, 0);
        }
    }
    map_fini(&map);
    canvas_unclip(d->c, old);
}

void panel_heat_detail(const struct draw *d, struct rect r)
{
    struct rect old = canvas_clip(d->c, r);
    int at, x = r.x, end = r.x + r.w, y = r.y;
    char text[FIGURE];

    if (d->job != NULL && view_selected(d->m, d->v, NULL, 0) > 0) {
        struct map map;

        at = map_init(&map, d->job) ? map.cells[d->v->heat_block * map.columns + d->v->heat_module] : -1;
        map_fini(&map);
        if (at >= 0) {
            const struct top_layer *l = &d->job->layers[at];

            x += canvas_str(d->c, x, y, r.w / 2, l->name, ROLE_TEXT, ATTR_BOLD) + 2;
            x += canvas_printf(d->c, x, y, end - x, ROLE_HEAD, 0, "%s %s", srq_heat_words[d->v->heat],
                               value_text(map_value(l, d->v->heat), d->v->heat, text)) +
                 2;
            canvas_printf(d->c, x, y, end - x, ROLE_TEXT, 0, "%s%s%s  %s", l->scheme, l->edit[0] != '\0' ? " to " : "",
                          l->edit, srq_decider_words[l->source]);
            x = r.x;
            x += canvas_printf(d->c, x, y + 1, end - x, ROLE_TEXT, 0, "[%lld, %lld]  %s  score %s", (long long)l->out,
                               (long long)l->in, figure_work_state(l->state), figure_number(l->score, text)) +
                 2;
            x += canvas_printf(d->c, x, y + 1, end - x, ROLE_TEXT, 0, "error %s",
                               figure_change(l->error_first, l->error_best, figure_number, d->g->arrow, text)) +
                 2;
            canvas_printf(d->c, x, y + 1, end - x, ROLE_TEXT, 0, "saturation %s", figure_percent(l->saturation, text));
            if (r.h >= 3)
                panel_candidates_line(d, r.x, y + 2, r.w, l);
        }
    }
    canvas_unclip(d->c, old);
}
