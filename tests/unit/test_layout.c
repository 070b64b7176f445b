/* Layout, columns, tables of themes, glyphs and keys, and the canvas of srqtop. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "tui/srqtop/canvas.h"
#include "tui/srqtop/columns.h"
#include "tui/srqtop/keys.h"
#include "tui/srqtop/layout.h"
#include "tui/srqtop/picture_cells.h"
#include "tui/srqtop/tabs.h"
#include "tui/srqtop/theme.h"

#include <math.h>

static void parts_of(const struct layout *l, struct rect out[LAYOUT_PARTS])
{
    const struct rect all[LAYOUT_PARTS] = { l->tabs, l->head, l->main, l->side, l->edit, l->notice, l->bar };

    memcpy(out, all, sizeof(all));
}

static bool overlap(struct rect a, struct rect b)
{
    return a.w > 0 && a.h > 0 && b.w > 0 && b.h > 0 && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h &&
           b.y < a.y + a.h;
}

static void check_layout(int w, int h, enum top_panel panel, const struct top_view *v)
{
    struct layout l = layout(w, h, panel, v);
    struct rect r[LAYOUT_PARTS];
    int area = 0;

    parts_of(&l, r);
    for (int i = 0; i < LAYOUT_PARTS; i++) {
        if (r[i].x < 0 || r[i].y < 0 || r[i].w < 0 || r[i].h < 0 || r[i].x + r[i].w > w || r[i].y + r[i].h > h)
            fail_msg("part %d of %dx%d panel %d lies outside", i, w, h, (int)panel);
        for (int k = 0; k < i; k++)
            if (overlap(r[i], r[k]))
                fail_msg("parts %d and %d of %dx%d panel %d overlap", k, i, w, h, (int)panel);
        area += r[i].w * r[i].h;
    }
    if (l.main.w < 1 || l.main.h < 1)
        fail_msg("%dx%d panel %d has no main part", w, h, (int)panel);
    if (area != w * h)
        fail_msg("%dx%d panel %d uses %d of %d cells", w, h, (int)panel, area, w * h);
    if (v->prompt != TOP_PROMPT_NONE && h >= 2 && l.notice.h != 1)
        fail_msg("%dx%d panel %d has no line to type in", w, h, (int)panel);
}

static void layout_covers_every_size_without_overlap(void **state)
{
    struct top_view v;

    (void)state;
    view_init(&v);
    for (int w = 1; w <= 300; w++)
        for (int h = 1; h <= 100; h++)
            for (int p = 0; p < TOP_PANEL_COUNT; p++)
                for (int mode = 0; mode < 4; mode++) {
                    v.edits = mode & 1;
                    v.prompt = mode & 2 ? TOP_PROMPT_COMMAND : TOP_PROMPT_NONE;
                    check_layout(w, h, (enum top_panel)p, &v);
                }
    view_fini(&v);
}

static void columns_stay_within_any_width(void **state)
{
    const struct column columns[] = {
        { "a", 1, 1, 0, false }, { "b", 8, 30, 0, false }, { "c", 5, 9, 2, true }, { "d", 6, 6, 1, true }
    };
    struct column_place p[4];

    (void)state;
    for (int w = 1; w <= 120; w++) {
        int end = 7;

        columns_fit(columns, 4, 7, w, p);
        for (int i = 0; i < 4; i++)
            if (p[i].w > 0) {
                assert_true(p[i].x >= end);
                end = p[i].x + p[i].w;
                assert_true(end <= 7 + w);
            }
        if (p[2].w > 0) /* rank 2 goes before rank 1 */
            assert_true(p[3].w > 0);
    }
}

/* A half block in both colours; without colours, or without such characters, one as dense as they are light. */
static void pixels_are_shown_as_the_terminal_can(void **state)
{
    const struct pixel dark = { { 0, 0, 0 } }, light = { { 255, 255, 255 } }, red = { { 255, 0, 0 } };
    struct canvas c;

    (void)state;
    canvas_init(&c);
    assert_true(canvas_resize(&c, 4, 1));
    canvas_pixels(&c, 0, 0, light, light);
    canvas_pixels(&c, 1, 0, dark, dark);
    c.pixels = true;
    canvas_pixels(&c, 2, 0, red, light);
    canvas_pixels(&c, 4, 0, red, light); /* outside */
    c.ascii = true;
    canvas_pixels(&c, 3, 0, light, light);
    assert_int_equal(c.cells[0].code, '@');
    assert_int_equal(c.cells[1].code, ' ');
    assert_int_equal(c.cells[2].code, 0x2580);
    assert_memory_equal(&c.cells[2].top, &red, sizeof(red));
    assert_memory_equal(&c.cells[2].bottom, &light, sizeof(light));
    assert_int_equal(c.cells[3].code, '@');
    canvas_fini(&c);
}

static void pictures_fit_every_rectangle(void **state)
{
    struct top_pictures p = { .count = 4, .channels = 1 };

    (void)state;
    for (p.height = 1; p.height <= TOP_PICTURE_SIDE; p.height += 9)
        for (p.width = 1; p.width <= TOP_PICTURE_SIDE; p.width += 9)
            for (int w = 0; w <= 90; w++)
                for (int h = 0; h <= 60; h += 3) {
                    struct picture_fit f = picture_fit(&p, w, h);

                    if (f.count == 0) {
                        assert_true(w < 1 || h < 1);
                        continue;
                    }
                    assert_true(f.w >= 1 && f.h >= 2 && f.h % 2 == 0 && f.across * f.down >= f.count);
                    assert_true(f.across * (f.w + 1) - 1 <= w);
                    if (p.height <= 2 * p.width) /* a tall one of less than a column is cut */
                        assert_true(f.down * (f.h / 2 + 1) - 1 <= h || f.w == 1);
                    assert_true(f.count == 1 || 4 * f.w >= 3 * p.width);
                }
}

static void themes_say_how_every_role_looks(void **state)
{
    (void)state;
    for (const struct theme *t = themes; t->name != NULL; t++) {
        assert_ptr_equal(theme_find(t->name), t);
        for (int r = 0; r < ROLE_COUNT; r++) {
            const struct theme_look *looks[2] = { &t->deep[r], &t->plain[r] };

            for (int k = 0; k < 2; k++) {
                bool said = looks[k]->fg != 0 || looks[k]->bg != 0 || looks[k]->attr != 0;

                if (!said) /* a forgotten row is all zero: black on black */
                    fail_msg("theme %s forgets role %d", t->name, r);
                assert_in_range(looks[k]->fg + 1, 0, k == 0 ? 256 : 16);
                assert_in_range(looks[k]->bg + 1, 0, k == 0 ? 256 : 8);
                if (looks[k]->fg >= 0)
                    assert_int_not_equal(looks[k]->fg, looks[k]->bg);
            }
        }
    }
    assert_null(theme_find("no such theme"));
}

/* Relative luminance of a colour of the 256-colour cube and grey ramp (ITU-R BT.709 weights, sRGB curve). */
static double luminance(int colour)
{
    static const int levels[6] = { 0, 95, 135, 175, 215, 255 };
    const double weights[3] = { 0.2126, 0.7152, 0.0722 };
    int rgb[3];
    double y = 0;

    for (int i = 0; i < 3; i++)
        rgb[i] = colour >= 232 ? 8 + 10 * (colour - 232) : levels[(colour - 16) / (i == 0 ? 36 : i == 1 ? 6 : 1) % 6];
    for (int i = 0; i < 3; i++) {
        double c = rgb[i] / 255.0;

        y += weights[i] * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
    }
    return y;
}

static void heat_grows_lighter_step_by_step_and_its_text_stands_out(void **state)
{
    (void)state;
    for (const struct theme *t = themes; t->name != NULL; t++)
        for (int i = 0; i < HEAT_ROLES; i++) {
            const struct theme_look *look = &t->deep[ROLE_HEAT_0 + i];
            double a = luminance(look->fg), b = luminance(look->bg);

            if (i > 0)
                assert_true(b > luminance(look[-1].bg));
            /* WCAG 2 contrast of text: at least 4.5 : 1 */
            assert_true((fmax(a, b) + 0.05) / (fmin(a, b) + 0.05) >= 4.5);
        }
}

static void roles_have_letters_of_their_own(void **state)
{
#define ROLE_LETTER(name, letter) letter,
    const char letters[] = { ROLE_LIST(ROLE_LETTER) 0 };
#undef ROLE_LETTER

    (void)state;
    assert_int_equal(strlen(letters), ROLE_COUNT);
    for (int i = 0; i < ROLE_COUNT; i++)
        assert_ptr_equal(strchr(letters, letters[i]), &letters[i]);
}

static void glyphs_are_one_column_wide_and_ascii_is_ascii(void **state)
{
    (void)state;
    for (int s = 0; s < GLYPHS_COUNT; s++) {
        const struct glyphs *g = glyphs_of((enum glyph_set)s);
        const uint32_t *all = (const uint32_t *)g;

        for (size_t i = 0; i < offsetof(struct glyphs, dots_x) / sizeof(*all); i++) {
            assert_int_equal(canvas_width_of(all[i]), 1);
            if (s == GLYPHS_ASCII)
                assert_in_range(all[i], 0x21, 0x7e);
        }
    }
}

/* Unicode 16, chapter 21.1: dots 1 to 8 of a braille cell are bits 0 to 7 above U+2800; 1 2 3 7 stand on the left. */
static void dots_become_the_right_characters(void **state)
{
    (void)state;
    assert_int_equal(glyphs_dots(GLYPHS_BRAILLE, 1u << 0), 0x2801);
    assert_int_equal(glyphs_dots(GLYPHS_BRAILLE, 1u << 1), 0x2808);
    assert_int_equal(glyphs_dots(GLYPHS_BRAILLE, 1u << 6), 0x2840);
    assert_int_equal(glyphs_dots(GLYPHS_BRAILLE, 1u << 7), 0x2880);
    assert_int_equal(glyphs_dots(GLYPHS_BRAILLE, 0xff), 0x28ff);
    assert_int_equal(glyphs_dots(GLYPHS_BLOCK, 1), 0x2598);  /* quadrant upper left */
    assert_int_equal(glyphs_dots(GLYPHS_BLOCK, 12), 0x2584); /* lower half block */
    assert_int_equal(glyphs_dots(GLYPHS_BLOCK, 15), 0x2588); /* full block */
}

static void no_key_means_two_things_in_a_panel(void **state)
{
    (void)state;
    for (const struct key_row *a = key_rows; a->keys != NULL; a++) {
        assert_true(a->panels != 0 && a->codes[0] != 0);
        assert_non_null(a->help);
        for (const struct key_row *b = a + 1; b->keys != NULL; b++)
            for (int i = 0; i < KEY_CODES && a->codes[i] != 0; i++)
                for (int k = 0; k < KEY_CODES && b->codes[k] != 0; k++)
                    if (a->codes[i] == b->codes[k] && (a->panels & b->panels) != 0)
                        fail_msg("\"%s\" (%s) and \"%s\" (%s) share a key", a->keys, a->help, b->keys, b->help);
    }
}

static void every_panel_can_be_left_moved_in_and_quit(void **state)
{
    (void)state;
    for (int p = 0; p < TOP_PANEL_COUNT; p++) {
        assert_int_equal(key_find('q', (enum top_panel)p)->act, ACT_QUIT);
        assert_int_equal(key_find(TOP_KEY_TAB, (enum top_panel)p)->act, ACT_NEXT_PANEL);
        assert_int_equal(key_find(TOP_KEY_DOWN, (enum top_panel)p)->act, ACT_DOWN);
        assert_int_equal(key_find('?', (enum top_panel)p)->act, ACT_HELP);
    }
}

static void tabs_are_found_where_they_are_drawn(void **state)
{
    char label[32];

    (void)state;
    for (int w = 1; w < 200; w++)
        for (int p = 0; p < TOP_PANEL_COUNT; p++) {
            struct rect all = { 0, 0, w, 1 }, r = tab_place(all, (enum top_panel)p, label);

            assert_true(r.x + r.w <= w);
            if (r.w > 0) {
                assert_int_equal(tab_at(all, r.x, 0), p);
                assert_int_equal(tab_at(all, r.x + r.w - 1, 0), p);
            }
        }
}

static void canvas_keeps_wide_characters_whole(void **state)
{
    struct canvas c;
    char *text;

    (void)state;
    canvas_init(&c);
    assert_true(canvas_resize(&c, 8, 2));
    assert_int_equal(canvas_str(&c, 0, 0, 8, "a模型b", ROLE_TEXT, 0), 6);
    canvas_put(&c, 2, 0, '|', ROLE_TEXT, 0);                                /* the right half goes, and so the left */
    assert_int_equal(canvas_str(&c, 0, 1, 4, "模型模型", ROLE_TEXT, 0), 3); /* cut at a whole character */
    text = canvas_text(&c);
    assert_string_equal(text, "a |型b\n模…\n");
    srq_free(text);
    canvas_fini(&c);
}

static void canvas_shows_no_control_characters_or_broken_bytes(void **state)
{
    struct canvas c;
    char *text;

    (void)state;
    canvas_init(&c);
    assert_true(canvas_resize(&c, 20, 2));
    canvas_str(&c, 0, 0, 20,
               "a\x1b[2Jb\xff\xc2\x9b"
               "c\tq",
               ROLE_TEXT, 0);
    c.ascii = true;
    canvas_str(&c, 0, 1, 20, "ä模z", ROLE_TEXT, 0);
    text = canvas_text(&c);
    assert_string_equal(text, "a?[2Jb??c?q\n??z\n");
    srq_free(text);
    canvas_fini(&c);
}

static void nothing_is_drawn_outside_the_clip(void **state)
{
    struct canvas c;
    struct rect old;
    char *text;

    (void)state;
    canvas_init(&c);
    assert_true(canvas_resize(&c, 5, 3));
    old = canvas_clip(&c, (struct rect){ 1, 1, 3, 1 });
    canvas_fill(&c, (struct rect){ -5, -5, 50, 50 }, 'x', ROLE_TEXT, 0);
    canvas_unclip(&c, old);
    text = canvas_text(&c);
    assert_string_equal(text, "\n xxx\n\n");
    srq_free(text);
    canvas_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_covers_every_size_without_overlap),
        cmocka_unit_test(columns_stay_within_any_width),
        cmocka_unit_test(pixels_are_shown_as_the_terminal_can),
        cmocka_unit_test(pictures_fit_every_rectangle),
        cmocka_unit_test(themes_say_how_every_role_looks),
        cmocka_unit_test(heat_grows_lighter_step_by_step_and_its_text_stands_out),
        cmocka_unit_test(roles_have_letters_of_their_own),
        cmocka_unit_test(glyphs_are_one_column_wide_and_ascii_is_ascii),
        cmocka_unit_test(dots_become_the_right_characters),
        cmocka_unit_test(no_key_means_two_things_in_a_panel),
        cmocka_unit_test(every_panel_can_be_left_moved_in_and_quit),
        cmocka_unit_test(tabs_are_found_where_they_are_drawn),
        cmocka_unit_test(canvas_keeps_wide_characters_whole),
        cmocka_unit_test(canvas_shows_no_control_characters_or_broken_bytes),
        cmocka_unit_test(nothing_is_drawn_outside_the_clip),
    };

    return cmocka_run_group_tests_name("srqtop's layout and tables", tests, NULL, NULL);
}
