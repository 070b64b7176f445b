/* Cursor, selection and scroll positions within what the model holds. */
#include "tui/srqtop/view.h"

#include "core/base/alloc.h"
#include "tui/srqtop/edits.h"
#include "tui/srqtop/layout.h"
#include "tui/srqtop/panels.h"
#include "tui/srqtop/tree.h"

#include <stdio.h>
#include <string.h>

struct top_job *view_queue_job(const struct top_model *m, const struct top_view *v)
{
    int *order, n = panel_queue_order(m, v, &order);
    struct top_job *j = v->queue_at >= 0 && v->queue_at < n ? &m->jobs[order[v->queue_at]] : NULL;

    srq_free(order);
    return j;
}

/* The layer under the cursor of the map, -1: none. */
static int map_layer(const struct top_job *j, const struct top_view *v)
{
    struct map map;
    int at = -1;

    if (map_init(&map, j) && v->heat_block >= 0 && v->heat_block < map.rows && v->heat_module >= 0 &&
        v->heat_module < map.columns)
        at = map.cells[v->heat_block * map.columns + v->heat_module];
    map_fini(&map);
    return at;
}

bool view_hides(const struct top_view *v, const struct top_job *j, int layer)
{
    const struct top_layer *l = &j->layers[layer];
    const char *filter = v->filter[TOP_PANEL_JOB];

    if (v->panel == TOP_PANEL_HEATMAP || filter[0] == '\0' || view_matches(l->name, filter))
        return false;
    return l->block < 0 || !view_matches(tree_block_name(j, l->block), filter);
}

/* Adds layer `i` to the selection unless it is hidden. */
static void select_layer(const struct top_view *v, const struct top_job *j, int i, int *layers, int cap, int *n)
{
    if (view_hides(v, j, i))
        return;
    if (*n < cap)
        layers[*n] = i;
    ++*n;
}

int view_selected(const struct top_model *m, const struct top_view *v, int *layers, int cap)
{
    const struct top_job *j = view_job(m, v);
    bool tags = false;
    int n = 0, one;

    if (j == NULL)
        return 0;
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].tagged) {
            tags = true;
            select_layer(v, j, i, layers, cap, &n);
        }
    if (tags)
        return n;
    one = v->panel == TOP_PANEL_HEATMAP ? map_layer(j, v) : v->tree_layer;
    if (one >= 0 && one < j->layer_count) {
        select_layer(v, j, one, layers, cap, &n);
        return n;
    }
    for (int i = 0; v->panel != TOP_PANEL_HEATMAP && v->tree_at >= 0 && i < j->layer_count; i++)
        if (j->layers[i].block == v->tree_block)
            select_layer(v, j, i, layers, cap, &n);
    return n;
}

static int clamp(int v, int low, int high)
{
    return v > high ? (high > low ? high : low) : v < low ? low : v;
}

/* Moves *top so that row `at` of `count` shows within `rows` rows, and the last page is full. */
static void scroll(int *top, int at, int count, int rows)
{
    rows = rows > 1 ? rows : 1;
    if (at < *top)
        *top = at;
    if (at >= *top + rows)
        *top = at - rows + 1;
    *top = clamp(*top, 0, count - rows);
}

static int body_rows(const struct top_view *v, int titled_from)
{
    int h = layout(v->width, v->height, v->panel, v).main.h;

    return h >= titled_from ? h - 1 : h;
}

static void settle_queue(const struct top_model *m, struct top_view *v)
{
    int *order, n = panel_queue_order(m, v, &order);

    v->queue_at = clamp(v->queue_at, 0, n - 1);
    for (int i = 0; v->queue_id[0] != '\0' && i < n; i++)
        if (m->jobs[order[i]].id != NULL && strcmp(m->jobs[order[i]].id, v->queue_id) == 0)
            v->queue_at = i;
    if (n > 0 && m->jobs[order[v->queue_at]].id != NULL)
        snprintf(v->queue_id, sizeof(v->queue_id), "%s", m->jobs[order[v->queue_at]].id);
    if (v->panel == TOP_PANEL_QUEUE)
        scroll(&v->queue_top, v->queue_at, n, body_rows(v, 2));
    srq_free(order);
}

/* Folds of another job or of more blocks: all folded. */
static bool settle_folds(const struct top_job *j, struct top_view *v)
{
    bool other = strcmp(v->tree_job, v->job) != 0, *folded;

    if (!other && v->folded != NULL && v->folded_count == j->block_count)
        return true;
    folded = srq_malloc((size_t)j->block_count + 1);
    if (folded == NULL)
        return false;
    for (int b = 0; b <= j->block_count; b++)
        folded[b] = other || v->folded == NULL || b >= v->folded_count || v->folded[b];
    srq_free(v->folded);
    v->folded = folded;
    v->folded_count = j->block_count;
    if (other) {
        snprintf(v->tree_job, sizeof(v->tree_job), "%s", v->job);
        v->tree_block = v->followed = -1;
        v->tree_layer = -1;
        v->tree_at = v->tree_top = v->heat_block = v->heat_module = v->heat_top = v->heat_left = v->log_top =
            v->log_left = 0;
    }
    return true;
}

/* With follow, the cursor goes to a block when it begins; it does not hold it there. */
static void follow_block(const struct top_job *j, struct top_view *v)
{
    if (!v->follow)
        return;
    for (int b = 0; b < j->block_count; b++)
        if (j->blocks[b].state == SRQ_WORK_RUNNING && b != v->followed) {
            v->followed = v->tree_block = v->heat_block = b;
            v->tree_layer = -1;
            return;
        }
}

static void settle_tree(struct top_job *j, struct top_view *v)
{
    struct tree_row *rows;
    int n, at;

    if (!settle_folds(j, v))
        return;
    follow_block(j, v);
    n = tree_rows(j, v, &rows);
    at = tree_find(rows, n, v->tree_block, v->tree_layer);
    v->tree_at = n == 0 ? -1 : at >= 0 ? at : clamp(v->tree_at, 0, n - 1);
    if (n > 0) {
        v->tree_block = rows[v->tree_at].block;
        v->tree_layer = rows[v->tree_at].layer;
    } else {
        v->tree_block = v->tree_layer = -1;
    }
    if (v->panel == TOP_PANEL_JOB)
        scroll(&v->tree_top, v->tree_at, n, body_rows(v, 3));
    srq_free(rows);
}

static void settle_map(const struct top_job *j, struct top_view *v)
{
    struct rect main = layout(v->width, v->height, v->panel, v).main;
    struct map map;
    bool scored = false;

    for (int i = 0; i < j->layer_count && !scored; i++)
        scored = map_value(&j->layers[i], SRQ_HEAT_SENSITIVITY).known;
    if (!v->heat_chosen)
        v->heat = scored ? SRQ_HEAT_SENSITIVITY : SRQ_HEAT_BITS;
    if (map_init(&map, j)) {
        v->heat_block = clamp(v->heat_block, 0, map.rows - 1);
        v->heat_module = clamp(v->heat_module, 0, map.columns - 1);
        scroll(&v->heat_top, v->heat_block, map.rows, main.h > 1 ? main.h - 1 : 1);
        scroll(&v->heat_left, v->heat_module, map.columns, panel_heat_shape(j, main, map.columns).columns);
    } else {
        v->heat_block = v->heat_module = v->heat_top = v->heat_left = 0;
    }
    map_fini(&map);
}

static void settle_log(const struct top_job *j, struct top_view *v)
{
    int *lines, n = panel_log_lines(j, v, &lines), rows = body_rows(v, 1 << 20);

    v->log_level = clamp(v->log_level, 0, 3);
    v->log_left = clamp(v->log_left, 0, 4096);
    v->log_top = v->follow ? n : v->log_top;
    v->log_top = clamp(v->log_top, 0, n - rows);
    srq_free(lines);
}

void view_settle(struct top_model *m, struct top_view *v)
{
    struct top_job *j = view_job(m, v);

    v->edits = j != NULL ? top_edits_count(j) : 0;
    v->warning_rows = v->edits > 0 ? panel_edit_warning_rows(&m->preview, v->width) : 0;
    v->warning_top = v->warning_top < v->warning_rows ? v->warning_top : 0;
    settle_queue(m, v);
    if (j != NULL) {
        settle_tree(j, v);
        if (v->panel == TOP_PANEL_HEATMAP)
            settle_map(j, v);
        if (v->panel == TOP_PANEL_LOG)
            settle_log(j, v);
        v->picture = clamp(v->picture, 0, panel_diffusion_last(j));
    } else {
        v->tree_at = v->tree_block = v->tree_layer = -1;
        v->picture = 0;
    }
    if (v->panel == TOP_PANEL_DIFF)
        v->diff_top = clamp(v->diff_top, 0, panel_diff_rows(m, v) - body_rows(v, 2));
    if (v->panel == TOP_PANEL_HELP)
        v->help_top = clamp(v->help_top, 0, panel_help_rows(v->width) - body_rows(v, 1 << 20));
}
