/* Heatmaps in characters. */
#include "tui/srqctl/heatmap_text.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "tui/srqctl/csv.h"
#include "tui/srqctl/heatmap.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"
#include "tui/srqctl/verb.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NAMED 16 /* modules that get a column heading; more are numbered, with a list below */
#define HEAD 64

/* ---- the scale --------------------------------------------------------------------------------------------------- */

static const char *const blocks[] = { "░", "▒", "▓", "█" };
static const char *const ascii[] = { ".", ":", "-", "=", "+", "*", "#", "%", "@" };

struct scale {
    struct ctl_heat_scale of;
    const char *const *shade;
    int shades;
};

static struct scale make_scale(const cJSON *cells, bool utf8)
{
    return (struct scale){ .of = ctl_heat_scale(cells),
                           .shade = utf8 ? blocks : ascii,
                           .shades = utf8 ? (int)(sizeof(blocks) / sizeof(blocks[0]))
                                          : (int)(sizeof(ascii) / sizeof(ascii[0])) };
}

static const char *shade_of(const struct scale *s, double v)
{
    int i = (int)(ctl_heat_share(&s->of, v) * s->shades);

    return s->shade[i < 0 ? 0 : i >= s->shades ? s->shades - 1 : i];
}

/* ---- modules ----------------------------------------------------------------------------------------------------- */

/* Of a column; ctl_table_create wants no '|' in it. */
static const char *heading(const struct ctl_heat_modules *m, int i, char out[HEAD])
{
    char name[HEAD], raw[HEAD];
    int same = 0;

    if (m->count > NAMED) {
        snprintf(out, HEAD, "%d", i + 1);
        return out;
    }
    ctl_heat_short_name(m->name[i], raw, HEAD);
    for (int k = 0; k < m->count; k++)
        same += strcmp(ctl_heat_short_name(m->name[k], name, HEAD), raw) == 0;
    if (same > 1)
        snprintf(raw, sizeof(raw), "%.60s", m->name[i]);
    srq_escape_control(raw, out, HEAD);
    for (char *bar = out; (bar = strchr(bar, '|')) != NULL;)
        *bar = '/';
    return out;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void put_cell(const struct scale *s, const cJSON *cell, bool numbers, struct ctl_table *t)
{
    double v = cell != NULL ? ctl_num(cell, "value") : NAN;
    const char *pin = cell != NULL && cJSON_IsTrue(ctl_get(cell, "pin")) ? "!" : " ";
    char n[CTL_HUMAN];

    if (cell == NULL)
        ctl_table_cell(t, "");
    else if (isnan(v))
        ctl_table_cellf(t, "-%s", pin);
    else if (numbers)
        ctl_table_cellf(t, "%s%s", ctl_heat_number(&s->of, v, n), pin);
    else
        ctl_table_cellf(t, "%s%s%s", shade_of(s, v), shade_of(s, v), pin);
}

/* One row of blocks' cells; they stand together in the plan. Gives the first cell of the next block. */
static const cJSON *put_block(const struct scale *s, const struct ctl_heat_modules *m, const cJSON *cell, bool numbers,
                              struct ctl_table *t, const cJSON **at)
{
    double block = ctl_num(cell, "block");

    memset(at, 0, (size_t)m->count * sizeof(*at));
    for (; cell != NULL && ctl_num(cell, "block") == block; cell = cell->next) {
        int i = ctl_heat_module_at(m, ctl_str(cell, "module"));

        if (i >= 0)
            at[i] = cell;
    }
    ctl_table_cellf(t, "%.0f", block);
    for (int i = 0; i < m->count; i++)
        put_cell(s, at[i], numbers, t);
    return cell;
}

/* A table has few columns; a wider map is cut into several. */
static void put_blocks(const struct scale *s, const struct ctl_heat_modules *all, const cJSON *cells, bool numbers,
                       struct srq_buf *out)
{
    const cJSON **at = srq_calloc((size_t)all->count + 1, sizeof(*at));

    for (int from = 0; at != NULL && from < all->count; from += 15) {
        struct ctl_heat_modules m = { all->name + from, all->count - from < 15 ? all->count - from : 15 };
        char columns[17 * (HEAD + 2)] = ">block", head[HEAD];
        const cJSON *cell = cells != NULL ? cells->child : NULL;
        struct ctl_table *t;

        for (int i = 0; i < m.count; i++) {
            size_t n = strlen(columns);

            snprintf(columns + n, sizeof(columns) - n, "|%s%s ", numbers ? ">" : "", heading(all, from + i, head));
        }
        t = ctl_table_create(columns);
        if (t == NULL)
            break;
        while (cell != NULL)
            cell = cJSON_IsNumber(ctl_get(cell, "block")) ? put_block(s, &m, cell, numbers, t, at) : cell->next;
        ctl_table_text(t, out);
        ctl_table_free(t);
        srq_buf_puts(out, "\n");
    }
    srq_free(at);
}

/* Layers outside the blocks, such as the output layer. */
static void put_others(const struct scale *s, const cJSON *cells, bool numbers, struct srq_buf *out)
{
    char name[400], n[CTL_HUMAN];
    bool any = false;
    const cJSON *c;

    cJSON_ArrayForEach(c, cells)
    {
        double v = ctl_num(c, "value");

        if (cJSON_IsNumber(ctl_get(c, "block")))
            continue;
        any = true;
        srq_buf_printf(out, "%s  %s%s\n", srq_escape_control(ctl_str(c, "layer"), name, sizeof(name)),
                       isnan(v)  ? "-"
                       : numbers ? ctl_heat_number(&s->of, v, n)
                                 : shade_of(s, v),
                       cJSON_IsTrue(ctl_get(c, "pin")) ? "!" : "");
    }
    if (any)
        srq_buf_puts(out, "\n");
}

static void put_legend(const struct scale *s, const struct ctl_heat_modules *m, const char *by, struct srq_buf *out)
{
    char a[CTL_HUMAN], b[CTL_HUMAN], name[400];

    for (int i = 0; m->count > NAMED && i < m->count; i++)
        srq_buf_printf(out, "%d: %s\n", i + 1, srq_escape_control(m->name[i], name, sizeof(name)));
    if (isnan(s->of.low)) {
        srq_buf_printf(out, "%s: nothing is known yet%s\n", by,
                       strcmp(by, "sensitivity") == 0 ? "; jobs submitted with --budget measure it" : "");
        return;
    }
    srq_buf_printf(out, "%s: %s is %s, %s is %s%s; ! pinned, - not known\n", by, s->shade[0],
                   ctl_heat_number(&s->of, s->of.low, a), s->shade[s->shades - 1],
                   ctl_heat_number(&s->of, s->of.high, b), s->of.log ? ", logarithmic" : "");
}

void ctl_heatmap_text(const cJSON *reply, bool numbers, bool utf8, struct srq_buf *out)
{
    const cJSON *cells = ctl_get(reply, "cells");
    struct scale s = make_scale(cells, utf8);
    struct ctl_heat_modules m = ctl_heat_modules(cells);

    put_blocks(&s, &m, cells, numbers, out);
    put_others(&s, cells, numbers, out);
    put_legend(&s, &m, ctl_str(reply, "by"), out);
    ctl_heat_modules_fini(&m);
}

void ctl_heatmap_csv(const cJSON *reply, struct srq_buf *out)
{
    const cJSON *c;

    srq_buf_puts(out, "layer,block,module,value,scheme,pin,state\n");
    cJSON_ArrayForEach(c, ctl_get(reply, "cells"))
    {
        ctl_csv_text(out, true, ctl_str(c, "layer"));
        ctl_csv_number(out, false, ctl_num(c, "block"));
        ctl_csv_text(out, false, ctl_str(c, "module"));
        ctl_csv_number(out, false, ctl_num(c, "value"));
        ctl_csv_text(out, false, ctl_str(c, "scheme"));
        ctl_csv_text(out, false, cJSON_IsTrue(ctl_get(c, "pin")) ? "true" : "false");
        ctl_csv_text(out, false, ctl_str(c, "state"));
        ctl_csv_end(out);
    }
}
