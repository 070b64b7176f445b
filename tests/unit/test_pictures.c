/* Pictures that srqctl draws: what is in the PNG file, what is in the SVG, what a report's page holds. */
#include "tests/unit/test.h"

#include "tui/srqctl/chart.h"
#include "tui/srqctl/font.h"
#include "tui/srqctl/heatmap.h"
#include "tui/srqctl/report_html.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <unistd.h>

/* The file as libpng reads it; width*height*3 bytes. */
static uint8_t *read_png(const char *path, int *width, int *height)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    uint8_t *rgb;

    assert_int_not_equal(png_image_begin_read_from_file(&image, path), 0);
    image.format = PNG_FORMAT_RGB;
    *width = (int)image.width;
    *height = (int)image.height;
    rgb = malloc(PNG_IMAGE_SIZE(image));
    assert_non_null(rgb);
    assert_int_not_equal(png_image_finish_read(&image, NULL, rgb, 0, NULL), 0);
    return rgb;
}

static uint32_t pixel(const uint8_t *rgb, int width, int x, int y)
{
    const uint8_t *p = rgb + 3 * ((size_t)y * (size_t)width + (size_t)x);

    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static uint8_t *drawn(const struct ctl_picture *p, int *width, int *height)
{
    char path[] = "/tmp/srq-picture-XXXXXX";
    struct srq_error err = { 0 };
    uint8_t *rgb;
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(ctl_picture_png(p, path, &err), 0);
    rgb = read_png(path, width, height);
    unlink(path);
    return rgb;
}

static void png_has_shapes_where_they_were_put(void **state)
{
    struct ctl_picture p;
    uint8_t *rgb;
    int w, h, ink = 0;

    (void)state;
    ctl_picture_init(&p, 120, 80);
    ctl_picture_rect(&p, 10, 20, 30, 10, 0x123456);
    ctl_picture_line(&p, 0, 60, 119, 60, 4, 0x0072b2);
    ctl_picture_text(&p, 60, 40, CTL_MIDDLE, 0, "I");
    rgb = drawn(&p, &w, &h);
    assert_int_equal(w, 120);
    assert_int_equal(h, 80);
    assert_int_equal(pixel(rgb, w, 10, 20), 0x123456);
    assert_int_equal(pixel(rgb, w, 39, 29), 0x123456);
    assert_int_equal(pixel(rgb, w, 40, 29), 0xffffff);
    assert_int_equal(pixel(rgb, w, 9, 20), 0xffffff);
    assert_int_equal(pixel(rgb, w, 60, 60), 0x0072b2);
    assert_int_equal(pixel(rgb, w, 60, 66), 0xffffff);
    for (int y = 30; y < 50; y++)
        for (int x = 50; x < 70; x++)
            ink += pixel(rgb, w, x, y) == 0;
    assert_int_equal(ink, 4 * (3 + 5 + 3)); /* an I of the font has 3 + 5 + 3 pixels, each drawn as 2 by 2 */
    free(rgb);
    ctl_picture_fini(&p);
}

static void every_printable_character_has_a_glyph_of_its_own(void **state)
{
    (void)state;
    for (char a = '!'; a <= '~'; a++) {
        bool empty = true;

        for (int y = 0; y < CTL_FONT_HEIGHT; y++)
            empty = empty && ctl_font_glyph(a)[y] == 0;
        assert_false(empty);
        for (char b = (char)(a + 1); b <= '~'; b++)
            assert_memory_not_equal(ctl_font_glyph(a), ctl_font_glyph(b), CTL_FONT_HEIGHT);
    }
    assert_ptr_equal(ctl_font_glyph('\n'), ctl_font_glyph('?'));
    assert_ptr_equal(ctl_font_glyph((char)0xe2), ctl_font_glyph('?'));
}

static void picture_that_cannot_be_written_names_its_file(void **state)
{
    struct srq_error err = { 0 };
    struct ctl_picture p;

    (void)state;
    ctl_picture_init(&p, 10, 10);
    assert_true(ctl_picture_png(&p, "/nonexistent/x.png", &err) < 0);
    assert_non_null(strstr(err.text, "/nonexistent"));
    ctl_picture_fini(&p);
    ctl_picture_init(&p, 1000000, 1000000);
    assert_int_equal(ctl_picture_png(&p, "/tmp/never.png", &err), -SRQ_ELIMIT);
    ctl_picture_fini(&p);
}

static cJSON *heat(const char *cells)
{
    char text[2000];
    cJSON *reply;

    snprintf(text, sizeof(text), "{\"by\":\"loss\",\"revision\":0,\"cells\":[%s]}", cells);
    reply = cJSON_Parse(text);
    assert_non_null(reply);
    return reply;
}

#define CELL(block, module, value, pin)                                                                        \
    "{\"layer\":\"l\",\"block\":" block ",\"module\":\"" module "\",\"value\":" value ",\"scheme\":\"w4g64\"," \
    "\"pin\":" pin ",\"state\":\"finished\"}"

static void heatmap_scale_is_logarithmic_only_where_values_are_far_apart(void **state)
{
    cJSON *near = heat(CELL("0", "a", "1", "false") "," CELL("1", "a", "3", "false"));
    cJSON *far =
        heat(CELL("0", "a", "0.001", "false") "," CELL("1", "a", "1", "false") "," CELL("2", "a", "null", "false"));
    struct ctl_heat_scale s = ctl_heat_scale(cJSON_GetObjectItem(near, "cells"));

    (void)state;
    assert_false(s.log);
    assert_true(fabs(ctl_heat_share(&s, 2) - 0.5) < 1e-12);
    s = ctl_heat_scale(cJSON_GetObjectItem(far, "cells"));
    assert_true(s.log);
    assert_true(fabs(ctl_heat_share(&s, 0.1) - 2.0 / 3) < 1e-12);
    assert_int_equal(ctl_heat_blocks(cJSON_GetObjectItem(far, "cells")), 3);
    cJSON_Delete(near);
    cJSON_Delete(far);
}

static void heatmap_shows_extremes_unknown_and_pins_apart(void **state)
{
    cJSON *reply = heat(CELL("0", "m.a_proj", "1", "false") "," CELL("0", "m.b_proj", "9", "true") "," CELL(
        "1", "m.a_proj", "null", "false"));
    struct ctl_picture p;
    uint8_t *rgb;
    int w, h;

    (void)state;
    ctl_chart_heatmap(&p, reply);
    rgb = drawn(&p, &w, &h);
    /* Cells are 108 by 26 from (120, 96); look at a corner inside of each, beside the number. */
    assert_int_equal(pixel(rgb, w, 120 + 6, 96 + 6), 0x440154);
    assert_int_equal(pixel(rgb, w, 120 + 108 + 6, 96 + 6), 0xfde725);
    assert_int_equal(pixel(rgb, w, 120 + 108 + 1, 96 + 10), 0xd55e00);
    assert_int_equal(pixel(rgb, w, 120 + 1, 96 + 10), 0xffffff);
    assert_int_equal(pixel(rgb, w, 120 + 6, 96 + 26 + 6), 0xeeeeee);
    free(rgb);
    ctl_picture_fini(&p);
    cJSON_Delete(reply);
}

static void curve_runs_from_corner_to_corner(void **state)
{
    const double x[] = { 0, 50, 100 }, y[] = { 10, NAN, 0 };
    struct ctl_curve c = { .name = "loss", .x = x, .y = y, .count = 3 };
    struct ctl_picture p;
    const struct ctl_shape *line = NULL;

    (void)state;
    ctl_picture_init(&p, 600, 300);
    ctl_chart_curves(&p, "t", "iteration", "loss", &c, 1, false);
    for (int i = 0; i < p.count; i++)
        if (p.shapes[i].kind == CTL_SHAPE_LINE && p.shapes[i].rgb == 0x0072b2) {
            assert_null(line); /* the unknown point is left out: one line */
            line = &p.shapes[i];
        }
    assert_non_null(line);
    assert_true(line->x < line->w && line->y < line->h); /* to the right, downwards */
    assert_true(line->x >= 0 && line->w <= 600 && line->y >= 0 && line->h <= 300);
    ctl_picture_fini(&p);
}

static void svg_escapes_what_it_is_given(void **state)
{
    struct ctl_picture p;
    struct srq_buf out;

    (void)state;
    ctl_picture_init(&p, 10, 10);
    ctl_picture_text(&p, 1, 1, CTL_LEFT, 0, "<script>&'\"\x01");
    srq_buf_init(&out, 1 << 16);
    ctl_picture_svg(&p, "a<b", &out);
    assert_null(strstr(out.data, "<script"));
    assert_non_null(strstr(out.data, "&lt;script&gt;&amp;&#39;&quot;<"));
    assert_non_null(strstr(out.data, "<title>a&lt;b</title>"));
    srq_buf_fini(&out);
    ctl_picture_fini(&p);
}

static void page_holds_result_layers_and_no_script(void **state)
{
    cJSON *report =
        cJSON_Parse(""
                    "{\"eval\":{\"before\":{\"perplexity\":20.5,\"kl\":null,\"top1\":null},\"rtn\":null,\"after\":{"
                    "\"perplexity\":21.25,\"kl\":0.0125,\"top1\":0.9}},\"blocks\":[{\"name\":\"b.0\",\"loss_first\":4,"
                    "\"loss_best\":1,\"best_iteration\":7}],\"size\":{\"before_bytes\":2048,\"after_bytes\":1024,"
                    "\"average_bits\":4.25},\"allocation\":{\"average_bits\":3,\"loss\":2,\"gap\":0,\"front\":[{"
                    "\"average_bits\":2,\"loss\":9},{\"average_bits\":4,\"loss\":1}]}}");
    cJSON *layers = cJSON_Parse("[{\"name\":\"x<y\",\"scheme\":\"w4g64\",\"source\":\"pin\",\"error_first\":0.5,"
                                "\"error_best\":0.25}]");
    cJSON *job = cJSON_Parse("{\"model\":\"/m/tiny\",\"method\":\"signround\",\"scheme\":\"w4g64\"}");
    cJSON *series = cJSON_Parse("{\"points\":[{\"iter\":0,\"value\":4},{\"iter\":10,\"value\":1}]}");
    const cJSON *probe[] = { series };
    struct ctl_report_parts parts = { .job = job, .report = report, .layers = layers, .probe = probe, .blocks = 1 };
    struct srq_buf out;

    (void)state;
    srq_buf_init(&out, 1 << 20);
    ctl_report_html(&parts, &out);
    assert_non_null(strstr(out.data, "<title>tiny by signround, w4g64</title>"));
    assert_non_null(strstr(out.data, "21.2"));
    assert_non_null(strstr(out.data, "x&lt;y"));
    assert_non_null(strstr(out.data, "75.0 %"));
    assert_non_null(strstr(out.data, "<polyline"));
    assert_non_null(strstr(out.data, "Pareto front"));
    assert_null(strstr(out.data, "<script"));
    assert_null(strstr(out.data, "src="));
    assert_null(strstr(out.data, "nan"));
    srq_buf_fini(&out);
    cJSON_Delete(report);
    cJSON_Delete(layers);
    cJSON_Delete(job);
    cJSON_Delete(series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_has_shapes_where_they_were_put),
        cmocka_unit_test(every_printable_character_has_a_glyph_of_its_own),
        cmocka_unit_test(picture_that_cannot_be_written_names_its_file),
        cmocka_unit_test(heatmap_scale_is_logarithmic_only_where_values_are_far_apart),
        cmocka_unit_test(heatmap_shows_extremes_unknown_and_pins_apart),
        cmocka_unit_test(curve_runs_from_corner_to_corner),
        cmocka_unit_test(svg_escapes_what_it_is_given),
        cmocka_unit_test(page_holds_result_layers_and_no_script),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
