/* Curves, sparklines and bars of srqtop. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "tui/srqtop/figures.h"
#include "tui/srqtop/plot.h"

#include <math.h>

enum { WIDTH = 20, HEIGHT = 8 };

static void fill(struct top_series *s, int count, double (*f)(double))
{
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < count; i++)
        top_series_add(s, i, f((double)i / (count - 1)));
}

static double line(double t)
{
    return 1 + t;
}

static double exponential(double t)
{
    return pow(10, 1 + t);
}

static double falling(double t)
{
    return 2 - t;
}

static double hole(double t)
{
    return t > 0.4 && t < 0.6 ? -1 : 1 + t;
}

/* The curve alone: too narrow for axes, too low for a heading. */
static char *draw(const struct top_series *s, bool log, enum glyph_set set)
{
    struct plot p = { .curves = { { .series = s, .label = "curve" } }, .count = 1, .log = log, .set = set };
    struct canvas c;
    char *text;

    canvas_init(&c);
    assert_true(canvas_resize(&c, WIDTH, HEIGHT));
    plot_draw(&c, (struct rect){ 0, 0, WIDTH, HEIGHT }, &p);
    text = canvas_text(&c);
    canvas_fini(&c);
    return text;
}

static void a_straight_line_goes_from_corner_to_corner(void **state)
{
    struct top_series s;
    struct canvas c;
    struct plot p = { .curves = { { .series = &s, .label = "line" } }, .count = 1, .set = GLYPHS_ASCII };

    (void)state;
    fill(&s, 50, line);
    canvas_init(&c);
    assert_true(canvas_resize(&c, WIDTH, 2));
    plot_draw(&c, (struct rect){ 0, 0, WIDTH, 2 }, &p);
    assert_int_equal(c.cells[WIDTH].code, glyphs_of(GLYPHS_ASCII)->marker[0]);     /* lower left */
    assert_int_equal(c.cells[WIDTH - 1].code, glyphs_of(GLYPHS_ASCII)->marker[0]); /* upper right */
    assert_int_equal(c.cells[0].code, ' ');
    assert_int_equal(c.cells[2 * WIDTH - 1].code, ' ');
    canvas_fini(&c);
    top_series_fini(&s);
}

static void logarithmic_scale_makes_an_exponential_straight(void **state)
{
    struct top_series straight, curved;

    (void)state;
    fill(&straight, 40, line);
    fill(&curved, 40, exponential);
    for (int g = 0; g < GLYPHS_COUNT; g++) {
        char *a = draw(&straight, false, (enum glyph_set)g), *b = draw(&curved, true, (enum glyph_set)g), *line_end;

        /* the legend tells other values: compare what is below it */
        line_end = strchr(a, '\n');
        assert_string_equal(line_end, strchr(b, '\n'));
        srq_free(a);
        srq_free(b);
    }
    top_series_fini(&straight);
    top_series_fini(&curved);
}

static void values_without_a_logarithm_are_left_out(void **state)
{
    struct top_series s;
    char *text;

    (void)state;
    fill(&s, 40, hole);
    text = draw(&s, true, GLYPHS_ASCII);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    assert_non_null(strchr(text, '*'));
    srq_free(text);
    top_series_fini(&s);
}

static void no_points_say_so(void **state)
{
    const struct top_series none = { 0 };
    char *text = draw(&none, true, GLYPHS_BRAILLE);

    (void)state;
    assert_non_null(strstr(text, "no points yet"));
    srq_free(text);
}

static void a_falling_curves_sparkline_falls(void **state)
{
    struct top_series s;
    struct canvas c;
    uint32_t last;

    (void)state;
    fill(&s, 100, falling);
    canvas_init(&c);
    assert_true(canvas_resize(&c, 10, 1));
    plot_spark(&c, 0, 0, 10, &s, GLYPHS_BRAILLE);
    assert_int_equal(c.cells[0].code, 0x2588); /* full block */
    assert_int_equal(c.cells[9].code, 0x2581); /* lower one eighth block */
    last = c.cells[0].code;
    for (int x = 1; x < 10; x++) {
        assert_true(c.cells[x].code <= last);
        last = c.cells[x].code;
    }
    canvas_fini(&c);
    top_series_fini(&s);
}

static int eighths(double share, bool is_known)
{
    struct canvas c;
    int sum = 0;

    canvas_init(&c);
    canvas_resize(&c, 5, 1);
    figure_bar(&c, 0, 0, 5, (struct metric){ is_known, share }, GLYPHS_BRAILLE);
    for (int x = 0; x < 5; x++) /* U+2588 is 8/8, U+258F 1/8 */
        sum += c.cells[x].code >= 0x2588 && c.cells[x].code <= 0x258f ? 0x2590 - (int)c.cells[x].code : 0;
    canvas_fini(&c);
    return sum;
}

static void a_bar_is_as_long_as_its_share_and_full_only_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(eighths(0, true), 0);
    assert_int_equal(eighths(0.5, true), 20);
    assert_int_equal(eighths(0.999, true), 39);
    assert_int_equal(eighths(1, true), 40);
    assert_int_equal(eighths(7, true), 40);
    assert_int_equal(eighths(0.5, false), 0);
    assert_int_equal(eighths(NAN, true), 0);
}

static void changes_read_alike_are_written_once(void **state)
{
    char text[FIGURE];

    (void)state;
    assert_string_equal(figure_change(known(4.001), known(4.002), figure_bits, '>', text), "4.00");
    assert_string_equal(figure_change(known(4), known(4.5), figure_bits, '>', text), "4.00 > 4.50");
    assert_string_equal(figure_change((struct metric){ false, 0 }, known(4.5), figure_bits, '>', text), "- > 4.50");
}

static void groups_are_read_from_schemes(void **state)
{
    const struct {
        const char *scheme, *group;
    } cases[] = { { "w4g128", "128" }, { "w3g64z", "64" }, { "w8", "row" }, { "w4gt", "tensor" },
                  { "w4g64a8", "64" }, { "bf16", "-" },    { "nvfp4", "-" } };
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(figure_scheme_group(cases[i].scheme, text), cases[i].group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_straight_line_goes_from_corner_to_corner),
        cmocka_unit_test(logarithmic_scale_makes_an_exponential_straight),
        cmocka_unit_test(values_without_a_logarithm_are_left_out),
        cmocka_unit_test(no_points_say_so),
        cmocka_unit_test(a_falling_curves_sparkline_falls),
        cmocka_unit_test(a_bar_is_as_long_as_its_share_and_full_only_at_the_end),
        cmocka_unit_test(changes_read_alike_are_written_once),
        cmocka_unit_test(groups_are_read_from_schemes),
    };

    return cmocka_run_group_tests_name("srqtop's curves and figures", tests, NULL, NULL);
}
