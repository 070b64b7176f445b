/* Time of drawing one frame of srqtop: 80 blocks of 7 modules, curves of 1,000 points, for every panel and set of
 * characters at 200 × 60. Prints milliseconds a frame (mean of many). */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "tests/unit/top_model.h"
#include "tui/srqtop/keys.h"
#include "tui/srqtop/screen.h"

#include <stdio.h>
#include <string.h>

enum { BLOCKS = 80, POINTS = 1000, FRAMES = 200, WIDTH = 200, HEIGHT = 60 };

static double frame_ms(struct top_model *m, struct top_view *v, struct canvas *c)
{
    double begin = srq_clock_s();

    for (int i = 0; i < FRAMES; i++)
        screen_draw(m, v, c);
    return (srq_clock_s() - begin) * 1000 / FRAMES;
}

int main(void)
{
    static const char *const sets[GLYPHS_COUNT] = { "braille", "blocks", "ascii" };
    struct top_model m;
    struct top_view v;
    struct canvas c;

    top_fixture(&m, BLOCKS, POINTS);
    view_init(&v);
    canvas_init(&c);
    if (!canvas_resize(&c, WIDTH, HEIGHT))
        return 1;
    view_open(&v, "j-done"); /* all of it has been tuned */
    snprintf(v.other, sizeof(v.other), "j-run");
    v.follow = false;
    view_settle(&m, &v);
    for (int b = 0; v.folded != NULL && b <= v.folded_count; b++)
        v.folded[b] = false;
    for (int i = 0; i < 5; i++) /* six curves over each other */
        m.jobs[2].layers[7 * i].tagged = true;
    v.overlay = true;
    for (int p = 0; p < TOP_PANEL_COUNT; p++)
        for (int g = 0; g < GLYPHS_COUNT; g++) {
            v.panel = (enum top_panel)p;
            v.glyphs = (enum glyph_set)g;
            printf("screen %-8s %-8s %8.3f ms a frame\n", panel_name(v.panel), sets[g], frame_ms(&m, &v, &c));
        }
    canvas_fini(&c);
    view_fini(&v);
    top_model_fini(&m);
    return 0;
}
