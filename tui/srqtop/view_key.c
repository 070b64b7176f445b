/* What each key does to the view, to tags and to edits. */
#include "core/base/alloc.h"
#include "tui/srqtop/keys.h"
#include "tui/srqtop/layout.h"
#include "tui/srqtop/panels.h"
#include "tui/srqtop/prompt.h"
#include "tui/srqtop/tabs.h"
#include "tui/srqtop/tree.h"
#include "tui/srqtop/view_parts.h"

#include <stdio.h>
#include <string.h>

enum { FAR = 1 << 20, WHEEL = 3, WHOLE_BITS = 16, LOG_STEP = 8 };

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
    case TOP_PANEL_DIFFUSION:
        v->picture += by;
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
    int *order;            /* queue, log */
    struct tree_row *rows; /* tree, with nothing folded */
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
        return view_matches(it->rows[i].layer >= 0 ? j->layers[it->rows[i].layer].name
                                                   : tree_block_name(j, it->rows[i].block),
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
        snprintf(v->queue_id, sizeof(v->queue_id), "%s",
                 m->jobs[it->order[i]].id != NULL ? m->jobs[it->order[i]].id : "");
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
        view_say(v, false, "nothing was searched for yet: / searches");
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
    view_say(v, true, "nothing here matches \"%.200s\"", v->search);
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
        if (layer < 0) {
            view_say(v, true, "there is no layer under the cursor");
            return;
        }
    }
    if (layer >= 0) {
        j->layers[layer].tagged = !j->layers[layer].tagged;
        return;
    }
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].block == block && !view_hides(v, j, i))
            all = all && j->layers[i].tagged;
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].block == block && !view_hides(v, j, i))
            j->layers[i].tagged = !all;
}

static void tag_matching(struct top_job *j, struct top_view *v)
{
    int n = 0;

    for (int i = 0; i < j->layer_count; i++) {
        if (view_hides(v, j, i) || (v->search[0] != '\0' && !view_matches(j->layers[i].name, v->search)))
            continue;
        j->layers[i].tagged = true;
        n++;
    }
    view_say(v, n == 0, "%d layer%s tagged", n, n == 1 ? "" : "s");
}

static int count_tags(const struct top_job *j)
{
    int n = 0;

    for (int i = 0; j != NULL && i < j->layer_count; i++)
        n += j->layers[i].tagged;
    return n;
}

static void untag(struct top_job *j, struct top_view *v)
{
    int n = count_tags(j);

    for (int i = 0; i < j->layer_count; i++)
        j->layers[i].tagged = false;
    view_say(v, n == 0, n == 0 ? "no layer is tagged" : "%d layer%s no longer tagged", n, n == 1 ? " is" : "s are");
}

/* How many things the panel's filter lets through, of how many. */
static int passing(const struct top_model *m, struct top_view *v, int *all)
{
    const struct top_job *j = view_job(m, v);
    int *order = NULL, n = 0;

    *all = 0;
    if (v->panel == TOP_PANEL_QUEUE) {
        n = panel_queue_order(m, v, &order);
        *all = m->job_count;
    } else if (v->panel == TOP_PANEL_LOG && j != NULL) {
        n = panel_log_lines(j, v, &order);
        *all = j->line_count;
    } else if (j != NULL) {
        for (int i = 0; i < j->layer_count; i++)
            n += !view_hides(v, j, i);
        *all = j->layer_count;
    }
    srq_free(order);
    return n;
}

static void filtered(const struct top_model *m, struct top_view *v)
{
    int all, n = v->filter[v->panel][0] != '\0' ? passing(m, v, &all) : -1;

    if (n == 0 && all > 0)
        view_say(v, true, "the filter \"%.100s\" matches nothing; Esc shows all", v->filter[v->panel]);
}

/* ---- opening and comparing */

static enum top_action open_job(const struct top_model *m, struct top_view *v)
{
    const struct top_job *j = view_queue_job(m, v);

    if (j == NULL || j->id == NULL) {
        view_say(v, true, "there is no job under the cursor");
        return TOP_DO_NOTHING;
    }
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
        view_say(v, true, "open a job first, then compare it with another");
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
    view_say(v, true, n == 0 ? "no job is called \"%.200s\"" : "more than one job is called \"%.200s\"", name);
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
        filtered(m, v);
        return TOP_DO_NOTHING;
    case TOP_PROMPT_BITS:
        if (v->line[0] == '\0' || !view_may_edit(m, v))
            return TOP_DO_NOTHING;
        return view_propose(m, v, (struct view_proposal){ .scheme = v->line });
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

static enum top_action escape(struct top_view *v)
{
    char edits[40];

    if (v->panel == TOP_PANEL_HELP) {
        v->panel = v->back;
        return TOP_DO_NOTHING;
    }
    if (v->edits > 0) {
        v->question = TOP_ASK_DROP;
        view_say(v, true, "drop %s? (y/n)", view_count_edits(v->edits, edits));
        return TOP_DO_NOTHING;
    }
    v->search[0] = v->filter[v->panel][0] = '\0';
    return TOP_DO_NOTHING;
}

static void next_sort(struct top_view *v)
{
    static const int counts[TOP_PANEL_COUNT] = {
        [TOP_PANEL_QUEUE] = QUEUE_SORTS, [TOP_PANEL_JOB] = TREE_SORTS, [TOP_PANEL_DIFF] = 2
    };
    int *sort = &v->sort[v->panel];

    *sort = counts[v->panel] > 0 ? (*sort + 1) % counts[v->panel] : 0;
    if (v->panel == TOP_PANEL_QUEUE)
        view_say(v, false, "jobs %s%s", *sort == 0 ? "" : "by ", panel_queue_sort_name(*sort));
    else if (v->panel == TOP_PANEL_JOB)
        view_say(v, false, "blocks and layers by %s", tree_sort_name(*sort));
    else
        view_say(v, false, *sort == 0 ? "all layers" : "layers whose schemes differ");
}

/* A command about the job under the cursor of the queue, or the one shown; who runs commands asks what is to be asked.
 */
static enum top_action job_command(const struct top_model *m, struct top_view *v, enum key_act act)
{
    static const char *const verbs[] = { [ACT_UNDO] = "undo",
                                         [ACT_JOB_PAUSE] = "pause",
                                         [ACT_JOB_RESUME] = "resume",
                                         [ACT_JOB_FINISH] = "finish",
                                         [ACT_JOB_CANCEL] = "cancel" };
    const struct top_job *j = v->panel == TOP_PANEL_QUEUE ? view_queue_job(m, v) : view_job(m, v);
    int by = act == ACT_JOB_SOONER ? 1 : -1;

    if (j == NULL) {
        view_say(v, true, v->panel == TOP_PANEL_QUEUE ? "there is no job under the cursor" : "no job is open");
        return TOP_DO_NOTHING;
    }
    if (act == ACT_JOB_SOONER || act == ACT_JOB_LATER)
        snprintf(v->line, sizeof(v->line), "priority %d", j->priority + by);
    else
        snprintf(v->line, sizeof(v->line), "%s", verbs[act]);
    v->line_at = (int)strlen(v->line);
    return TOP_DO_COMMAND;
}

/* Switches that change only how things look. */
static void toggle(const struct top_model *m, struct top_view *v, enum key_act act)
{
    switch (act) {
    case ACT_FREEZE:
        v->frozen = !v->frozen;
        view_say(v, false, v->frozen ? "the picture is frozen; jobs go on" : "the picture goes on");
        break;
    case ACT_LOG_SCALE:
        v->log_scale = !v->log_scale;
        view_say(v, false, "%s scale", v->log_scale ? "logarithmic" : "linear");
        break;
    case ACT_OVERLAY:
        v->overlay = !v->overlay;
        if (v->overlay && count_tags(view_job(m, v)) == 0)
            view_say(v, true, "no layer is tagged: curves of all that will be");
        else
            view_say(v, false, v->overlay ? "curves of all tagged layers" : "curve of the selection");
        break;
    case ACT_FOLLOW:
        v->follow = !v->follow;
        v->followed = -1;
        view_say(v, false, v->follow ? "following" : "not following");
        break;
    case ACT_MEASURE:
        v->heat = (enum srq_heat)(((int)v->heat + 1) % SRQ_HEATS);
        v->heat_chosen = true;
        break;
    case ACT_MEASURE_BACK:
        v->heat = (enum srq_heat)(((int)v->heat + SRQ_HEATS - 1) % SRQ_HEATS);
        v->heat_chosen = true;
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
        return view_commit(m, v);
    if (v->panel == TOP_PANEL_JOB)
        fold_toggle(v);
    else
        view_say(v, false, "there are no edits to commit");
    return TOP_DO_NOTHING;
}

/* The preview's warnings a page further, around the end; where they have no room of their own, line by line here. */
static void next_warnings(const struct top_model *m, struct top_view *v)
{
    int rows = layout_warning_rows(v->height, v);
    char line[sizeof(v->message)];

    if (v->warning_rows == 0) {
        view_say(v, false, v->edits > 0 ? "the preview warns of nothing" : "there are no edits");
        return;
    }
    if (rows == 0) {
        panel_edit_warning(&m->preview, v->width, v->warning_top, line, sizeof(line));
        view_say(v, true, "%s", line);
    }
    v->warning_top += rows > 0 ? rows : 1;
    if (v->warning_top >= v->warning_rows)
        v->warning_top = 0;
}

static void sideways(struct top_view *v, int by)
{
    if (v->panel == TOP_PANEL_JOB)
        fold(v, by < 0);
    else if (v->panel == TOP_PANEL_HEATMAP)
        v->heat_module += by;
    else if (v->panel == TOP_PANEL_LOG)
        v->log_left += by * LOG_STEP;
    else if (v->panel == TOP_PANEL_DIFFUSION)
        v->picture += by;
}

static void change_tags(struct top_model *m, struct top_view *v, enum key_act act)
{
    struct top_job *j = view_job(m, v);

    if (j == NULL) {
        view_say(v, true, "no job is open");
        return;
    }
    if (act == ACT_TAG_MATCHING) {
        tag_matching(j, v);
    } else if (act == ACT_UNTAG) {
        untag(j, v);
    } else {
        tag(j, v);
        move(m, v, 1);
    }
}

static enum top_action act_on(struct top_model *m, struct top_view *v, const struct key_row *row,
                              const struct top_key *key)
{
    switch (row->act) {
    case ACT_QUIT:
        return view_leave(m, v);
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
        return escape(v);
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
        return view_propose(m, v, (struct view_proposal){ .step = 1 });
    case ACT_FEWER_BITS:
        return view_propose(m, v, (struct view_proposal){ .step = -1 });
    case ACT_BITS:
        return view_propose(m, v, (struct view_proposal){ .bits = key->code - '0' });
    case ACT_WHOLE_BITS:
        return view_propose(m, v, (struct view_proposal){ .bits = WHOLE_BITS });
    case ACT_SCHEME:
        prompt_open(v, TOP_PROMPT_BITS, "");
        break;
    case ACT_FOLD_ALL:
        fold_all(v);
        break;
    case ACT_WARNINGS:
        next_warnings(m, v);
        break;
    case ACT_UNDO:
    case ACT_JOB_PAUSE:
    case ACT_JOB_RESUME:
    case ACT_JOB_FINISH:
    case ACT_JOB_CANCEL:
    case ACT_JOB_SOONER:
    case ACT_JOB_LATER:
        return job_command(m, v, row->act);
    case ACT_CLICK:
        return click(m, v, key->x, key->y);
    case ACT_DOUBLE_CLICK:
        return double_click(m, v, key);
    default:
        toggle(m, v, row->act);
    }
    return TOP_DO_NOTHING;
}

static void paste(struct top_view *v, const struct top_key *key)
{
    if (v->question != TOP_ASK_NOTHING)
        return;
    if (v->prompt != TOP_PROMPT_NONE && key->pasted)
        prompt_paste(v, key->code);
    else if (v->prompt == TOP_PROMPT_NONE && key->code == TOP_KEY_PASTE)
        view_say(v, true, "a paste is no command: it does something only in a line that is being typed");
}

enum top_action view_key(struct top_model *m, struct top_view *v, const struct top_key *key)
{
    enum top_action action = TOP_DO_NOTHING;
    const struct key_row *row;
    enum top_prompt prompt = v->prompt;

    if (key->code == TOP_KEY_RESIZE || key->code == TOP_KEY_NONE)
        return TOP_DO_NOTHING;
    if (key->pasted || key->code == TOP_KEY_PASTE) { /* text for a prompt; never keys, never an answer */
        paste(v, key);
        return TOP_DO_NOTHING;
    }
    v->message[0] = '\0';
    view_settle(m, v);
    if (v->question != TOP_ASK_NOTHING) {
        action = view_answer(m, v, key->code);
    } else if (prompt != TOP_PROMPT_NONE) {
        if (prompt_key(v, key->code) == PROMPT_ACCEPTED)
            action = accepted(m, v, prompt);
    } else {
        row = key_find(key->code, v->panel);
        if (row != NULL && (!row->edits || view_may_edit(m, v)))
            action = act_on(m, v, row, key);
    }
    view_settle(m, v);
    return action;
}
