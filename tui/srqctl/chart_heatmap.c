/* A heatmap of blocks by modules. */
#include "tui/srqctl/chart.h"

#include "tui/srqctl/heatmap.h"
#include "tui/client/human.h"
#include "tui/srqctl/verb.h"

#include <math.h>
#include <string.h>

#define INK 0x222222
#define UNKNOWN 0xeeeeee
#define PIN 0xd55e00
#define CELL_W 108
#define CELL_H 26
#define LEFT 120
#define TOP 96
#define STEPS 64 /* of the scale beside the map */

/* Dark to light with even steps of lightness, legible without colour (the "viridis" map at nine places). */
static const uint32_t ramp[] = { 0x440154, 0x472d7b, 0x3b528b, 0x2c728e, 0x21918c,
                                 0x28ae80, 0x5ec962, 0xaddc30, 0xfde725 };

static uint32_t colour(double share)
{
    double at = (share < 0 ? 0 : share > 1 ? 1 : share) * 8;
    int i = at >= 8 ? 7 : (int)at;
    uint32_t rgb = 0;

    for (int shift = 16; shift >= 0; shift -= 8) {
        double a = (ramp[i] >> shift) & 0xff, b = (ramp[i + 1] >> shift) & 0xff;

        rgb |= (uint32_t)lround(a + (b - a) * (at - i)) << shift;
    }
    return rgb;
}

static void put_cell(struct ctl_picture *p, const struct ctl_heat_scale *s, const cJSON *cell, double x, double y)
{
    double v = ctl_num(cell, "value"), share = ctl_heat_share(s, v);
    char text[CTL_HUMAN];

    if (cJSON_IsTrue(ctl_get(cell, "pin")))
        ctl_picture_rect(p, x, y, CELL_W - 2, CELL_H - 2, PIN);
    ctl_picture_rect(p, x + 3, y + 3, CELL_W - 8, CELL_H - 8, isnan(v) ? UNKNOWN : colour(share));
    ctl_picture_text(p, x + CELL_W / 2.0, y + CELL_H / 2.0 - 1, CTL_MIDDLE, !isnan(v) && share < 0.6 ? 0xffffff : INK,
                     ctl_heat_number(s, v, text));
}

static void put_scale(struct ctl_picture *p, const struct ctl_heat_scale *s, double x)
{
    double high = STEPS * 3;
    char text[CTL_HUMAN];

    if (isnan(s->low)) {
        ctl_picture_text(p, x, TOP + 10, CTL_LEFT, INK, "nothing is known yet");
        return;
    }
    for (int i = 0; i < STEPS; i++)
        ctl_picture_rect(p, x, TOP + high - (i + 1) * 3, 24, 3, colour((i + 0.5) / STEPS));
    ctl_picture_text(p, x + 32, TOP + 6, CTL_LEFT, INK, ctl_heat_number(s, s->high, text));
    ctl_picture_text(p, x + 32, TOP + high - 6, CTL_LEFT, INK, ctl_heat_number(s, s->low, text));
    if (s->log)
        ctl_picture_text(p, x, TOP + high + 16, CTL_LEFT, INK, "logarithmic");
    ctl_picture_rect(p, x, TOP + high + 34, 24, 18, PIN);
    ctl_picture_rect(p, x + 3, TOP + high + 37, 18, 12, 0xffffff);
    ctl_picture_text(p, x + 32, TOP + high + 43, CTL_LEFT, INK, "pinned");
}

void ctl_chart_heatmap(struct ctl_picture *p, const cJSON *reply)
{
    const cJSON *cells = ctl_get(reply, "cells"), *c;
    struct ctl_heat_scale s = ctl_heat_scale(cells);
    struct ctl_heat_modules m = ctl_heat_modules(cells);
    int blocks = ctl_heat_blocks(cells), tall;
    char text[CTL_PICTURE_LABEL], name[64];

    tall = TOP + blocks * CELL_H + 30 > TOP + STEPS * 3 + 80 ? TOP + blocks * CELL_H + 30 : TOP + STEPS * 3 + 80;
    ctl_picture_init(p, LEFT + (m.count + 1) * CELL_W + 260, tall);
    snprintf(text, sizeof(text), "%s of every layer", ctl_str(reply, "by"));
    ctl_picture_text(p, LEFT, 24, CTL_LEFT, INK, text);
    for (int i = 0; i < m.count; i++)
        ctl_picture_text(p, LEFT + (i + 0.5) * CELL_W, TOP - (i % 2 != 0 ? 34 : 14), CTL_MIDDLE, INK,
                         ctl_heat_short_name(m.name[i], name, sizeof(name)));
    for (int b = 0; b < blocks; b++) {
        snprintf(text, sizeof(text), "block %d", b);
        ctl_picture_text(p, LEFT - 10, TOP + (b + 0.5) * CELL_H, CTL_RIGHT, INK, text);
    }
    cJSON_ArrayForEach(c, cells)
    {
        int i = cJSON_IsNumber(ctl_get(c, "block")) ? ctl_heat_module_at(&m, ctl_str(c, "module")) : -1;

        if (i >= 0)
            put_cell(p, &s, c, LEFT + i * CELL_W, TOP + ctl_num(c, "block") * CELL_H);
    }
    put_scale(p, &s, LEFT + m.count * CELL_W + 40);
    ctl_heat_modules_fini(&m);
}
