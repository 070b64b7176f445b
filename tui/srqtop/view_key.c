/* What each key does to the view, to tags and to edits. */
#include "core/base/alloc.h"
#include "tui/srqtop/edits.h"
#include "tui/srqtop/figures.h"
#include "tui/srqtop/keys.h"
#include "tui/srqtop/layout.h"
#include "tui/srqtop/panels.h"
#include "tui/srqtop/prompt.h"
#include "tui/srqtop/tabs.h"
#include "tui/srqtop/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { FAR = 1 << 20, WHEEL = 3, WHOLE_BITS = 16, LOG_STEP = 8 };

static void say(struct top_view *v, bool bad, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(struct top_view *v, bool bad, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(v->message, sizeof(v->message), fmt, ap);
    va_end(ap);
    v->message_bad = bad;
}

/* ---- moving */

static int clamp(int at, int count)
{
    return at >= count ? (count > 0 ? count - 1 : 0) : at < 0 ? 0 : at;
}

static void move_queue(const struct top_model *m, struct top_view *v, int by)
{
    int *order, n = panel_queue_order(m, v, &order);

    v->queue_at = clamp(v->queue_at + by, n);
    if (n > 0 && m->jobs[order[v->queue_at]].id != NULL)
        snprintf(v->queue_id, sizeof(v->queue_id), "%s", m->jobs[order[v->queue_at]].id);
    srq_free(order);
}

static void move_tree(const struct top_job *j, struct top_view *v, int by)
{
    struct tree_row *rows;
    int n = tree_rows(j, v, &rows);

    v->tree_at = clamp(v->tree_at + by, n);
    if (n > 0) {
        v->tree_block = rows[v->tree_at].block;
        v->tree_layer = rows[v->tree_at].layer;
    }
    srq_free(rows);
}

static void move(const struct top_model *m, struct top_view *v, int by)
{
    const struct top_job *j = view_job(m, v);

    switch (v->panel) {
    case TOP_PANEL_QUEUE:
        move_queue(m, v, by);
        break;
    case TOP_PANEL_JOB:
        v->follow = false;
        if (j != NULL)
            move_tree(j, v, by);
        break;
    case TOP_PANEL_HEATMAP:
        v->follow = false;
        v->heat_block += by; /* settling brings all of these into range */
        break;
    case TOP_PANEL_LOG:
        v->follow = by >= FAR;
        v->log_top += by;
        break;
    case TOP_PANEL_DIFF:
        v->diff_top += by;
        break;
    default:
        v->help_top += by;
    }
}

static int page(const struct top_view *v)
{
    int h = layout(v->width, v->height, v->panel, v).main.h;

    return h > 2 ? h - 2 : 1;
}

static void show_panel(struct top_view *v, enum top_panel panel)
{
    if (panel == TOP_PANEL_HELP && v->panel != TOP_PANEL_HELP)
        v->back = v->panel;
    v->panel = panel;
}

/* ---- folding */

static bool *fold_of(struct top_view *v, int block)
{
    return v->folded == NULL || block > v->folded_count ? NULL : &v->folded[block >= 0 ? block : v->folded_count];
}

static void fold(struct top_view *v, bool folded)
{
    bool *f = fold_of(v, v->tree_block);

    if (f != NULL && v->tree_at >= 0) {
        *f = folded;
        if (folded)
            v->tree_layer = -1;
    }
}

static void fold_toggle(struct top_view *v)
{
    const bool *f = fold_of(v, v->tree_block);

    if (f != NULL)
        fold(v, !*f);
}

static void fold_all(struct top_view *v)
{
    bool any = false;

    if (v->folded == NULL)
        return;
    for (int b = 0; b <= v->folded_count; b++)
        any = any || !v->folded[b];
    for (int b = 0; b <= v->folded_count; b++)
        v->folded[b] = any;
    if (any)
        v->tree_layer = -1;
}

/* ---- searching: items are numbered as the panel shows them, folded ones too */

struct items {
    int count, at;
    int *order;             /* queue, log */
    struct tree_row *rows;  /* tree, with nothing folded */
    struct map map;
};

static void items_init(struct items *it, const struct top_model *m, struct top_view *v)
{
    const struct top_job *j = view_job(m, v);
    bool *folded = v->folded;

    memset(it, 0, sizeof(*it));
    switch (v->panel) {
    case TOP_PANEL_QUEUE:
        it->count = panel_queue_order(m, v, &it->order);
        it->at = v->queue_at;
        break;
    case TOP_PANEL_JOB:
        v->folded = srq_calloc((size_t)v->folded_count + 1, 1);
        if (j != NULL && v->folded != NULL) {
            it->count = tree_rows(j, v, &it->rows);
            it->at = tree_find(it->rows, it->count, v->tree_block, v->tree_layer);
        }
        srq_free(v->folded);
        v->folded = folded;
        break;
    case TOP_PANEL_HEATMAP:
        if (j != NULL && map_init(&it->map, j)) {
            it->count = it->map.rows * it->map.columns;
            it->at = v->heat_block * it->map.columns + v->heat_module;
        }
        break;
    case TOP_PANEL_LOG:
        it->count = j != NULL ? panel_log_lines(j, v, &it->order) : 0;
        it->at = v->log_top;
        break;
    default:
        break;
    }
}

static void items_fini(struct items *it)
{
    srq_free(it->order);
    srq_free(it->rows);
    map_fini(&it->map);
}

static bool item_matches(const struct top_model *m, const struct top_view *v, const struct items *it, int i)
{
    const struct top_job *j = view_job(m, v), *q;

    switch (v->panel) {
    case TOP_PANEL_QUEUE:
        q = &m->jobs[it->order[i]];
        return view_matches(q->name, v->search) || view_matches(q->id, v->search) || view_matches(q->model, v->search);
    case TOP_PANEL_JOB:
        return view_matches(it->rows[i].layer >= 0 ? j->layers[it->rows[i].layer].name : tree_block_name(j, it->rows[i].block),
                            v->search);
    case TOP_PANEL_HEATMAP:
        return it->map.cells[i] >= 0 && view_matches(j->layers[it->map.cells[i]].name, v->search);
    default:
        return view_matches(j->lines[it->order[i]].text, v->search);
    }
}

static void go_to_item(const struct top_model *m, struct top_view *v, const struct items *it, int i)
{
    bool *f;

    v->follow = v->follow && v->panel == TOP_PANEL_QUEUE;
    switch (v->panel) {
    case TOP_PANEL_QUEUE:
        v->queue_at = i;
        snprintf(v->queue_id, sizeof(v->queue_id), "%s", m->jobs[it->order[i]].id != NULL ? m->jobs[it->order[i]].id : "");
        break;
    case TOP_PANEL_JOB:
        f = fold_of(v, it->rows[i].block);
        if (f != NULL && it->rows[i].layer >= 0)
            *f = false;
        v->tree_block = it->rows[i].block;
        v->tree_layer = it->rows[i].layer;
        break;
    case TOP_PANEL_HEATMAP:
        v->heat_block = i / it->map.columns;
        v->heat_module = i % it->map.columns;
        break;
    default:
        v->log_top = i;
    }
}

/* The next match in direction `step`, around the end. */
static void search(const struct top_model *m, struct top_view *v, int step)
{
    struct items it;

    if (v->search[0] == '\0') {
        say(v, false, "nothing was searched for yet: / searches");
        return;
    }
    items_init(&it, m, v);
    for (int k = 1; k <= it.count; k++) {
        int i = (int)(((int64_t)it.at + (int64_t)step * k) % it.count);

        i = i < 0 ? i + it.count : i;
        if (item_matches(m, v, &it, i)) {
            go_to_item(m, v, &it, i);
            items_fini(&it);
            return;
        }
    }
    items_fini(&it);
    say(v, true, "nothing here matches \"%.200s\"", v->search);
}

/* ---- tags */

static void tag(struct top_job *j, struct top_view *v)
{
    bool all = true;
    int block = v->tree_block, layer = v->tree_layer;

    if (v->panel == TOP_PANEL_HEATMAP) {
        struct map map;

        layer = map_init(&map, j) ? map.cells[v->heat_block * map.columns + v->heat_module] : -1;
        map_fini(&map);
        if (layer < 0)
            return;
    }
    if (layer >= 0) {
        j->layers[layer].tagged = !j->layers[layer].tagged;
        return;
    }
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].block == block)
            all = all && j->layers[i].tagged;
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].block == block)
            j->layers[i].tagged = !all;
}

static void tag_matching(struct top_job *j, struct top_view *v)
{
    const char *filter = v->filter[TOP_PANEL_JOB];
    int n = 0;

    for (int i = 0; i < j->layer_count; i++) {
        const char *block = tree_block_name(j, j->layers[i].block);

        if ((filter[0] != '\0' && !view_matches(j->layers[i].name, filter) && !view_matches(block, filter)) ||
            (v->search[0] != '\0' && !view_matches(j->layers[i].name, v->search)))
            continue;
        j->layers[i].tagged = true;
        n++;
    }
    say(v, n == 0, "%d layer%s tagged", n, n == 1 ? "" : "s");
}

static void untag(struct top_job *j)
{
    for (int i = 0; i < j->layer_count; i++)
        j->layers[i].tagged = false;
}

/* ---- edits */

static bool may_edit(const struct top_model *m, struct top_view *v)
{
    const struct top_job *j = view_job(m, v);

    if (v->readonly || m->readonly)
        say(v, true, "read-only: nothing can be changed");
    else if (j == NULL)
        say(v, true, "no job is open");
    else if (!j->own)
        say(v, true, "this job belongs to %.64s, who alone may change it", j->owner != NULL ? j->owner : "someone else");
    else if (j->state == TOP_DONE || j->state == TOP_FAILED || j->state == TOP_CANCELED)
        say(v, true, "this job is %s: its plan is fixed", figure_job_state(j->state));
    else
        return true;
    return false;
}

/* What is proposed: a scheme, or bits, or a step. */
struct proposal {
    const char *scheme;
    int bits, step;
};

static bool propose_one(struct top_job *j, struct top_layer *l, struct proposal p)
{
    return p.scheme != NULL ? top_edit_scheme(j, l, p.scheme) : p.step != 0 ? top_edit_step(j, l, p.step) : top_edit_bits(j, l, p.bits);
}

static enum top_action propose(struct top_model *m, struct top_view *v, struct proposal p)
{
    struct top_job *j = view_job(m, v);
    int n = view_selected(m, v, NULL, 0), failed = 0;
    int *at = srq_calloc((size_t)n + 1, sizeof(*at));
    char (*old)[sizeof(j->layers->edit)] = srq_calloc((size_t)n + 1, sizeof(*old));

    if (at != NULL && old != NULL) {
        n = view_selected(m, v, at, n);
        for (int i = 0; i < n; i++)
            memcpy(old[i], j->layers[at[i]].edit, sizeof(*old));
        for (int i = 0; i < n; i++) {
            struct top_layer *l = &j->layers[at[i]];

            /* One that followed a tied layer before it has had its step. */
            if (strcmp(l->edit, old[i]) == 0)
                failed += !propose_one(j, l, p);
        }
    }
    srq_free(at);
    srq_free(old);
    v->edits = top_edits_count(j);
    if (n == 0)
        say(v, true, "no layer is selected");
    else if (failed > 0)
        say(v, true, "%d layer%s cannot take that", failed, failed == 1 ? "" : "s");
    return v->edits > 0 ? TOP_DO_EDIT : TOP_DO_DROP;
}

static enum top_action drop(struct top_model *m, struct top_view *v)
{
    struct top_job *j = view_job(m, v);

    if (j != NULL)
        top_edits_drop(j);
    v->edits = 0;
    return TOP_DO_DROP;
}

/* ---- opening and comparing */

static enum top_action open_job(const struct top_model *m, struct top_view *v)
{
    const struct top_job *j = view_queue_job(m, v);

    if (j == NULL || j->id == NULL)
        return TOP_DO_NOTHING;
    show_panel(v, TOP_PANEL_JOB);
    if (strcmp(v->job, j->id) == 0)
        return TOP_DO_NOTHING;
    view_open(v, j->id);
    return TOP_DO_OPEN;
}

static enum top_action compare_with(struct top_view *v, const struct top_job *j)
{
    snprintf(v->other, sizeof(v->other), "%s", j->id);
    v->diff_top = 0;
    show_panel(v, TOP_PANEL_DIFF);
    return TOP_DO_OPEN_OTHER;
}

static enum top_action compare(const struct top_model *m, struct top_view *v)
{
    const struct top_job *j = v->panel == TOP_PANEL_QUEUE ? view_queue_job(m, v) : NULL;

    if (view_job(m, v) == NULL) {
        say(v, true, "open a job first, then compare it with another");
        return TOP_DO_NOTHING;
    }
    if (j != NULL && j->id != NULL && strcmp(j->id, v->job) != 0)
        return compare_with(v, j);
    prompt_open(v, TOP_PROMPT_OTHER, "");
    return TOP_DO_NOTHING;
}

/* The job of that id or name, or the only one whose id begins so. */
static enum top_action compare_named(const struct top_model *m, struct top_view *v, const char *name)
{
    const struct top_job *found = NULL;
    int n = 0;

    for (int i = 0; i < m->job_count; i++) {
        const struct top_job *j = &m->jobs[i];

        if (j->id == NULL)
            continue;
        if (strcmp(j->id, name) == 0)
            return compare_with(v, j);
        if (strncmp(j->id, name, strlen(name)) == 0 || (j->name != NULL && strcmp(j->name, name) == 0)) {
            found = j;
            n++;
        }
    }
    if (n == 1)
        return compare_with(v, found);
    say(v, true, n == 0 ? "no job is called \"%.200s\"" : "more than one job is called \"%.200s\"", name);
    return TOP_DO_NOTHING;
}

/* ---- prompts */

static enum top_action accepted(struct top_model *m, struct top_view *v, enum top_prompt prompt)
{
    switch (prompt) {
    case TOP_PROMPT_SEARCH:
        memcpy(v->search, v->line, sizeof(v->search));
        if (v->search[0] != '\0')
            search(m, v, 1);
        return TOP_DO_NOTHING;
    case TOP_PROMPT_FILTER:
        memcpy(v->filter[v->panel], v->line, sizeof(v->filter[v->panel]));
        return TOP_DO_NOTHING;
    case TOP_PROMPT_BITS:
        if (v->line[0] == '\0' || !may_edit(m, v))
            return TOP_DO_NOTHING;
        return propose(m, v, (struct proposal){ .scheme = v->line });
    case TOP_PROMPT_OTHER:
        return v->line[0] != '\0' ? compare_named(m, v, v->line) : TOP_DO_NOTHING;
    case TOP_PROMPT_COMMAND:
        return TOP_DO_COMMAND;
    default:
        return TOP_DO_NOTHING;
    }
}

/* ---- mouse */

static enum top_action click(const struct top_model *m, struct top_view *v, int x, int y)
{
    struct layout l = layout(v->width, v->height, v->panel, v);
    enum top_panel tab = tab_at(l.tabs, x, y);
    struct rect r = l.main;
    const struct top_job *j = view_job(m, v);
    int title = r.h > (v->panel == TOP_PANEL_JOB ? 2 : 1), row = y - r.y - title;
    struct map map;

    if (tab != TOP_PANEL_COUNT) {
        show_panel(v, tab);
        return TOP_DO_NOTHING;
    }
    if (x < r.x || x >= r.x + r.w || row < 0 || y >= r.y + r.h)
        return TOP_DO_NOTHING;
    if (v->panel == TOP_PANEL_QUEUE) {
        move_queue(m, v, v->queue_top + row - v->queue_at);
    } else if (v->panel == TOP_PANEL_JOB && j != NULL) {
        v->follow = false;
        move_tree(j, v, v->tree_top + row - v->tree_at);
    } else if (v->panel == TOP_PANEL_HEATMAP && j != NULL) {
        if (map_init(&map, j)) {
            struct heat_shape s = panel_heat_shape(j, r, map.columns);

            v->follow = false;
            v->heat_block = v->heat_top + row;
            if (x >= r.x + s.label)
                v->heat_module = v->heat_left + (x - r.x - s.label) / s.cell;
        }
        map_fini(&map);
    }
    return TOP_DO_NOTHING;
}

static enum top_action double_click(const struct top_model *m, struct top_view *v, const struct top_key *key)
{
    struct rect r = layout(v->width, v->height, v->panel, v).main;
    int title = r.h > (v->panel == TOP_PANEL_JOB ? 2 : 1);

    click(m, v, key->x, key->y);
    if (key->y < r.y + title || key->y >= r.y + r.h || key->x < r.x || key->x >= r.x + r.w)
        return TOP_DO_NOTHING;
    if (v->panel == TOP_PANEL_QUEUE)
        return open_job(m, v);
    if (v->panel == TOP_PANEL_JOB)
        fold_toggle(v);
    return TOP_DO_NOTHING;
}

/* ---- dispatch */

static enum top_action escape(struct top_model *m, struct top_view *v)
{
    if (v->panel == TOP_PANEL_HELP) {
        v->panel = v->back;
        return TOP_DO_NOTHING;
    }
    if (v->edits > 0)
        return drop(m, v);
    v->search[0] = v->filter[v->panel][0] = '\0';
    return TOP_DO_NOTHING;
}

static void next_sort(struct top_view *v)
{
    static const int counts[TOP_PANEL_COUNT] = { [TOP_PANEL_QUEUE] = QUEUE_SORTS, [TOP_PANEL_JOB] = TREE_SORTS, [TOP_PANEL_DIFF] = 2 };
    int *sort = &v->sort[v->panel];

    *sort = counts[v->panel] > 0 ? (*sort + 1) % counts[v->panel] : 0;
    if (v->panel == TOP_PANEL_QUEUE)
        say(v, false, "jobs %s%s", *sort == 0 ? "" : "by ", panel_queue_sort_name(*sort));
    else if (v->panel == TOP_PANEL_JOB)
        say(v, false, "blocks and layers by %s", tree_sort_name(*sort));
    else
        say(v, false, *sort == 0 ? "all layers" : "layers whose schemes differ");
}

/* Switches that change only how things look. */
static void toggle(struct top_view *v, enum key_act act)
{
    switch (act) {
    case ACT_PAUSE:
        v->paused = !v->paused;
        break;
    case ACT_LOG_SCALE:
        v->log_scale = !v->log_scale;
        say(v, false, "%s scale", v->log_scale ? "logarithmic" : "linear");
        break;
    case ACT_OVERLAY:
        v->overlay = !v->overlay;
        say(v, false, v->overlay ? "curves of all tagged layers" : "curve of the selection");
        break;
    case ACT_FOLLOW:
        v->follow = !v->follow;
        v->followed = -1;
        say(v, false, v->follow ? "following" : "not following");
        break;
    case ACT_MEASURE:
        v->heat = (enum top_heat)(((int)v->heat + 1) % TOP_HEAT_COUNT);
        break;
    case ACT_MEASURE_BACK:
        v->heat = (enum top_heat)(((int)v->heat + TOP_HEAT_COUNT - 1) % TOP_HEAT_COUNT);
        break;
    case ACT_MORE_LEVELS:
        v->log_level++;
        break;
    default:
        v->log_level--;
    }
}

static enum top_action enter(struct top_model *m, struct top_view *v)
{
    if (v->panel == TOP_PANEL_QUEUE)
        return open_job(m, v);
    if (v->edits > 0)
        return TOP_DO_COMMIT;
    if (v->panel == TOP_PANEL_JOB)
        fold_toggle(v);
    else
        say(v, false, "there are no edits to commit");
    return TOP_DO_NOTHING;
}

static void sideways(struct top_view *v, int by)
{
    if (v->panel == TOP_PANEL_JOB)
        fold(v, by < 0);
    else if (v->panel == TOP_PANEL_HEATMAP)
        v->heat_module += by;
    else if (v->panel == TOP_PANEL_LOG)
        v->log_left += by * LOG_STEP;
}

static void change_tags(struct top_model *m, struct top_view *v, enum key_act act)
{
    struct top_job *j = view_job(m, v);

    if (j == NULL)
        return;
    if (act == ACT_TAG_MATCHING) {
        tag_matching(j, v);
    } else if (act == ACT_UNTAG) {
        untag(j);
    } else {
        tag(j, v);
        move(m, v, 1);
    }
}

static enum top_action act_on(struct top_model *m, struct top_view *v, const struct key_row *row, const struct top_key *key)
{
    switch (row->act) {
    case ACT_QUIT:
        return TOP_DO_QUIT;
    case ACT_HELP:
        show_panel(v, v->panel == TOP_PANEL_HELP ? v->back : TOP_PANEL_HELP);
        break;
    case ACT_NEXT_PANEL:
        show_panel(v, (enum top_panel)(((int)v->panel + 1) % TOP_PANEL_COUNT));
        break;
    case ACT_PREVIOUS_PANEL:
        show_panel(v, (enum top_panel)(((int)v->panel + TOP_PANEL_COUNT - 1) % TOP_PANEL_COUNT));
        break;
    case ACT_PANEL:
        show_panel(v, (enum top_panel)(key->code - '1'));
        break;
    case ACT_FUNCTION:
        show_panel(v, (enum top_panel)(key->code - TOP_KEY_F1));
        break;
    case ACT_COMMAND:
        prompt_open(v, TOP_PROMPT_COMMAND, "");
        break;
    case ACT_SEARCH:
        prompt_open(v, TOP_PROMPT_SEARCH, "");
        break;
    case ACT_FILTER:
        prompt_open(v, TOP_PROMPT_FILTER, v->filter[v->panel]);
        break;
    case ACT_AGAIN:
        search(m, v, 1);
        break;
    case ACT_AGAIN_BACK:
        search(m, v, -1);
        break;
    case ACT_SORT:
        next_sort(v);
        break;
    case ACT_REFRESH:
        return TOP_DO_REFRESH;
    case ACT_SUSPEND:
        return TOP_DO_SUSPEND;
    case ACT_ESCAPE:
        return escape(m, v);
    case ACT_UP:
        move(m, v, -1);
        break;
    case ACT_DOWN:
        move(m, v, 1);
        break;
    case ACT_LEFT:
        sideways(v, -1);
        break;
    case ACT_RIGHT:
        sideways(v, 1);
        break;
    case ACT_PAGE_UP:
        move(m, v, -page(v));
        break;
    case ACT_PAGE_DOWN:
        move(m, v, page(v));
        break;
    case ACT_FIRST:
        move(m, v, -FAR);
        break;
    case ACT_LAST:
        move(m, v, FAR);
        break;
    case ACT_WHEEL_UP:
        move(m, v, -WHEEL);
        break;
    case ACT_WHEEL_DOWN:
        move(m, v, WHEEL);
        break;
    case ACT_ENTER:
        return enter(m, v);
    case ACT_DIFF:
        return compare(m, v);
    case ACT_TAG:
    case ACT_TAG_MATCHING:
    case ACT_UNTAG:
        change_tags(m, v, row->act);
        break;
    case ACT_MORE_BITS:
        return propose(m, v, (struct proposal){ .step = 1 });
    case ACT_FEWER_BITS:
        return propose(m, v, (struct proposal){ .step = -1 });
    case ACT_BITS:
        return propose(m, v, (struct proposal){ .bits = key->code - '0' });
    case ACT_WHOLE_BITS:
        return propose(m, v, (struct proposal){ .bits = WHOLE_BITS });
    case ACT_SCHEME:
        prompt_open(v, TOP_PROMPT_BITS, "");
        break;
    case ACT_FOLD_ALL:
        fold_all(v);
        break;
    case ACT_CLICK:
        return click(m, v, key->x, key->y);
    case ACT_DOUBLE_CLICK:
        return double_click(m, v, key);
    default:
        toggle(v, row->act);
    }
    return TOP_DO_NOTHING;
}

enum top_action view_key(struct top_model *m, struct top_view *v, const struct top_key *key)
{
    enum top_action action = TOP_DO_NOTHING;
    const struct key_row *row;
    enum top_prompt prompt = v->prompt;

    if (key->code == TOP_KEY_RESIZE || key->code == TOP_KEY_NONE)
        return TOP_DO_NOTHING;
    v->message[0] = '\0';
    view_settle(m, v);
    if (prompt != TOP_PROMPT_NONE) {
        if (prompt_key(v, key->code) == PROMPT_ACCEPTED)
            action = accepted(m, v, prompt);
    } else {
        row = key_find(key->code, v->panel);
        if (row != NULL && (!row->edits || may_edit(m, v)))
            action = act_on(m, v, row, key);
    }
    view_settle(m, v);
    return action;
}
