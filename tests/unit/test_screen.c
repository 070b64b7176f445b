/* Pictures of srqtop's panels against stored ones, and random keys and sizes.
 *
 * A stored picture (tests/unit/golden) holds three grids: characters; roles, one letter a cell (role.h), from which
 * colours follow; attributes without colour, as the sum of bold 1, underline 2, reverse 4. SRQ_GOLDEN_WRITE=1 writes
 * them anew: read the difference before you believe it. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/rng.h"
#include "tests/unit/top_model.h"
#include "tui/srqtop/edits.h"
#include "tui/srqtop/screen.h"
#include "tui/srqtop/theme.h"

#include <time.h>

enum { TEXT_MOST = 1 << 20 };

static void add_mono(struct srq_buf *b, const struct canvas *c)
{
    for (int y = 0; y < c->h; y++) {
        const struct cell *row = c->cells + (size_t)y * (size_t)c->w;
        int end = 0;

        for (int x = 0; x < c->w; x++)
            if ((row[x].attr | theme_look_of(themes, (enum role)row[x].role, 0).attr) != 0)
                end = x + 1;
        for (int x = 0; x < end; x++) {
            int attr = row[x].attr | theme_look_of(themes, (enum role)row[x].role, 0).attr;

            srq_buf_printf(b, "%c", attr == 0 ? ' ' : '0' + attr);
        }
        srq_buf_puts(b, "\n");
    }
}

static char *picture(const struct canvas *c)
{
    char *text = canvas_text(c), *roles = canvas_roles(c);
    struct srq_buf b;

    srq_buf_init(&b, TEXT_MOST);
    srq_buf_printf(&b, "%d x %d\n---- characters\n", c->w, c->h);
    srq_buf_puts(&b, text);
    srq_buf_puts(&b, "---- roles\n");
    srq_buf_puts(&b, roles);
    srq_buf_puts(&b, "---- attributes without colour\n");
    add_mono(&b, c);
    srq_free(text);
    srq_free(roles);
    return srq_buf_take(&b);
}

static void golden_path(char *out, size_t cap, const char *name)
{
    const char *top = getenv("top_srcdir");

    snprintf(out, cap, "%s/tests/unit/golden/%s.txt", top != NULL ? top : "..", name);
}

static char *read_all(const char *path)
{
    char *text = calloc(TEXT_MOST, 1);
    FILE *f = fopen(path, "r");
    size_t n = f != NULL ? fread(text, 1, TEXT_MOST - 1, f) : 0;

    if (f != NULL)
        fclose(f);
    text[n] = '\0';
    return text;
}

static int line_of(const char *a, const char *b)
{
    int line = 1;

    for (; *a == *b && *a != '\0'; a++, b++)
        line += *a == '\n';
    return line;
}

static void compare(const char *name, const struct canvas *c)
{
    char path[4096], *got = picture(c), *want;

    golden_path(path, sizeof(path), name);
    if (getenv("SRQ_GOLDEN_WRITE") != NULL) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        fputs(got, f);
        assert_int_equal(fclose(f), 0);
    }
    want = read_all(path);
    if (strcmp(got, want) != 0) {
        print_message("# got:\n%s", got);
        fail_msg("%s differs from its stored picture at line %d", name, line_of(got, want));
    }
    free(want);
    srq_free(got);
}

/* Brings the view to what a picture shows. */
static void look(struct top_model *m, struct top_view *v, const char *panel)
{
    static const char *const names[] = { "queue", "job", "heatmap", "log", "diff", "diffusion", "help" };

    view_open(v, "j-run");
    for (int p = 0; p < TOP_PANEL_COUNT; p++)
        if (strcmp(panel, names[p]) == 0)
            v->panel = (enum top_panel)p;
    snprintf(v->other, sizeof(v->other), "j-done");
    view_settle(m, v);
    if (v->panel == TOP_PANEL_HEATMAP) {
        v->heat_block = 1;
        v->heat_module = 3;
    }
    if (v->panel == TOP_PANEL_JOB || strcmp(panel, "edit") == 0) {
        v->panel = TOP_PANEL_JOB;
        v->folded[1] = false;
        v->tree_block = 1;
        v->tree_layer = 7 + 2;
    }
    if (strcmp(panel, "overlay") == 0) {
        v->panel = TOP_PANEL_JOB;
        v->overlay = true;
        v->log_scale = false;
        v->tree_block = 1;
        for (int i = 0; i < 3; i++)
            m->jobs[0].layers[7 + 2 * i].tagged = true;
    }
    if (v->panel == TOP_PANEL_DIFFUSION || strcmp(panel, "sampled") == 0) {
        v->panel = TOP_PANEL_DIFFUSION;
        top_fixture_diffusion(m, strcmp(panel, "sampled") == 0);
    }
    if (strcmp(panel, "edit") == 0) {
        m->jobs[0].layers[7 + 6].tagged = true;
        assert_true(top_edit_bits(&m->jobs[0], &m->jobs[0].layers[7], 3));
        assert_true(top_edit_scheme(&m->jobs[0], &m->jobs[0].layers[7 + 6], "w4g64"));
        top_fixture_preview(m);
    }
}

static void check_panel(const char *panel)
{
    const int sizes[][2] = { { 80, 24 }, { 40, 10 }, { 200, 60 } };
    const enum glyph_set sets[] = { GLYPHS_BRAILLE, GLYPHS_ASCII };

    for (size_t s = 0; s < 3; s++)
        for (size_t g = 0; g < 2; g++) {
            struct top_model m;
            struct top_view v;
            struct canvas c;
            char name[100];

            top_fixture(&m, 6, 60);
            view_init(&v);
            v.glyphs = sets[g];
            canvas_init(&c);
            assert_true(canvas_resize(&c, sizes[s][0], sizes[s][1]));
            v.width = sizes[s][0];
            v.height = sizes[s][1];
            look(&m, &v, panel);
            screen_draw(&m, &v, &c);
            snprintf(name, sizeof(name), "srqtop-%s-%dx%d-%s", panel, c.w, c.h, g == 0 ? "utf8" : "ascii");
            compare(name, &c);
            canvas_fini(&c);
            view_fini(&v);
            top_model_fini(&m);
        }
}

#define PICTURE(panel)                                \
    static void panel##_looks_as_stored(void **state) \
    {                                                 \
        (void)state;                                  \
        check_panel(#panel);                          \
    }
PICTURE(queue)
PICTURE(job)
PICTURE(heatmap)
PICTURE(edit)
PICTURE(overlay)
PICTURE(log)
PICTURE(diff)
PICTURE(diffusion)
PICTURE(sampled)
PICTURE(help)

static void unknown_numbers_are_dashes(void **state)
{
    struct top_model m;
    struct top_view v;
    struct canvas c;
    char *text;

    (void)state;
    top_model_init(&m);
    m.link = TOP_LINK_UP;
    m.job_count = 1;
    m.jobs = srq_calloc(1, sizeof(*m.jobs));
    m.jobs[0].id = srq_strdup("x");
    view_init(&v);
    canvas_init(&c);
    assert_true(canvas_resize(&c, 120, 6));
    screen_draw(&m, &v, &c);
    text = canvas_text(&c);
    for (const char *p = strstr(text, "\n▶ x"); p != NULL && *++p != '\n';)
        if (*p >= '0' && *p <= '9')
            fail_msg("a number is shown for a job of which nothing is known: %s", text);
    assert_non_null(strstr(text, "\n▶ x"));
    srq_free(text);
    canvas_fini(&c);
    view_fini(&v);
    top_model_fini(&m);
}

/* The losses of what is held out, how far scales are from 1, and both curves. */
static void training_of_scales_is_shown(void **state)
{
    struct top_model m;
    struct top_view v;
    struct canvas c;
    struct top_job *j;
    char *text;

    (void)state;
    top_fixture(&m, 6, 20);
    j = &m.jobs[0];
    top_set_text(&j->stage, "transform");
    j->transform.loss_first = (struct metric){ true, 4.5 };
    j->transform.loss_best = (struct metric){ true, 4.25 };
    j->transform.spread[0] = (struct metric){ true, 0.125 };
    j->transform.spread[3] = (struct metric){ true, 0.0625 };
    for (int i = 0; i < 30; i++)
        top_series_add(&j->transform.loss, i, 5 - 0.01 * i);
    top_series_add(&j->transform.probe, 0, 4.5);
    top_series_add(&j->transform.probe, 30, 4.25);
    view_init(&v);
    v.panel = TOP_PANEL_JOB;
    view_open(&v, "j-run");
    view_settle(&m, &v);
    canvas_init(&c);
    assert_true(canvas_resize(&c, 160, 40));
    screen_draw(&m, &v, &c);
    text = canvas_text(&c);
    assert_non_null(strstr(text, "held out 4.50"));
    assert_non_null(strstr(text, "spread of scales A 0.125 D 0.0625"));
    assert_non_null(strstr(text, "loss of the transform"));
    assert_non_null(strstr(text, "batches"));
    srq_free(text);
    canvas_fini(&c);
    view_fini(&v);
    top_model_fini(&m);
}

static struct top_key random_key(uint64_t step)
{
    static const char typed[] = "jkgGhl+-=0245678 TUzmMofvVnNsdpr?/\\:q1234567 aw*_\x7f\x15";
    struct top_key k = { 0 };
    int r = (int)(srq_rng_uniform(7, 1, step) * 100);
    double u = srq_rng_uniform(7, 2, step);

    if (r < 50)
        k.code = typed[(int)(u * (double)(sizeof(typed) - 1))];
    else if (r < 80)
        k.code = TOP_KEY_SPECIAL + 1 + (int)(u * (TOP_KEY_LAST - TOP_KEY_SPECIAL - 1));
    else
        k.code = r < 88 ? TOP_KEY_ENTER : r < 98 ? TOP_KEY_ESC : r < 99 ? TOP_KEY_TAB : (int)(u * 0x10ffff);
    k.x = (int)(srq_rng_uniform(7, 3, step) * 320) - 5;
    k.y = (int)(srq_rng_uniform(7, 4, step) * 110) - 5;
    k.pasted = srq_rng_uniform(7, 5, step) < 0.05;
    return k;
}

/* As the data side would: a job goes, another comes, the plan is forgotten, the link is lost. */
static void disturb(struct top_model *m, uint64_t step)
{
    int what = (int)(srq_rng_uniform(7, 5, step) * 400);

    if (what == 0 && m->job_count > 1)
        top_job_fini(&m->jobs[--m->job_count]);
    else if (what == 1)
        top_job_close(&m->jobs[0]);
    else if (what == 2)
        m->link = m->link == TOP_LINK_UP ? TOP_LINK_LOST : TOP_LINK_UP;
    else if (what == 3 || m->job_count < 2) {
        top_model_fini(m);
        top_fixture(m, 1 + (int)(srq_rng_uniform(7, 6, step) * 30), 40);
    }
}

static void ten_thousand_random_keys_and_sizes_do_no_harm(void **state)
{
    struct top_model m;
    struct top_view v;
    struct canvas c;
    int panels = 0, edits = 0;

    (void)state;
    top_fixture(&m, 6, 40);
    view_init(&v);
    canvas_init(&c);
    for (uint64_t step = 0; step < 10000; step++) {
        struct top_key k = random_key(step);
        int w = 1 + (int)(srq_rng_uniform(7, 8, step / 10) * 200), h = 1 + (int)(srq_rng_uniform(7, 9, step / 10) * 60);
        enum top_action action;

        v.glyphs = (enum glyph_set)(step / 1000 % GLYPHS_COUNT);
        action = view_key(&m, &v, &k);
        assert_in_range(action, TOP_DO_NOTHING, TOP_DO_SUSPEND);
        if (action == TOP_DO_COMMIT)
            top_edits_drop(&m.jobs[0]);
        disturb(&m, step);
        assert_true(canvas_resize(&c, w, h));
        screen_draw(&m, &v, &c);
        assert_true(v.line_at >= 0 && (size_t)v.line_at <= strlen(v.line));
        assert_true(c.cursor_x < w && c.cursor_y < h);
        panels |= 1 << v.panel;
        edits += v.edits > 0;
    }
    assert_int_equal(panels, (1 << TOP_PANEL_COUNT) - 1); /* the keys did get everywhere */
    assert_true(edits > 50);
    canvas_fini(&c);
    view_fini(&v);
    top_model_fini(&m);
}

static int fix_time(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

/* Numbers of the edits before are no preview of those that are proposed now. */
static void an_old_average_is_no_preview(void **state)
{
    struct top_model m;
    struct top_view v;
    struct canvas c = { 0 };
    char *text;

    (void)state;
    top_fixture(&m, 4, 20);
    view_init(&v);
    look(&m, &v, "job");
    top_fixture_preview(&m);
    assert_true(canvas_resize(&c, 120, 40));
    snprintf(m.jobs[0].layers[0].edit, sizeof(m.jobs[0].layers[0].edit), "w8g128");
    view_settle(&m, &v);
    screen_draw(&m, &v, &c);
    text = picture(&c);
    assert_non_null(strstr(text, "4.81"));
    srq_free(text);
    m.preview.waiting = true;
    screen_draw(&m, &v, &c);
    text = picture(&c);
    assert_null(strstr(text, "4.81"));
    assert_non_null(strstr(text, "asking the daemon"));
    srq_free(text);
    canvas_fini(&c);
    view_fini(&v);
    top_model_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_looks_as_stored),        cmocka_unit_test(job_looks_as_stored),
        cmocka_unit_test(heatmap_looks_as_stored),      cmocka_unit_test(edit_looks_as_stored),
        cmocka_unit_test(log_looks_as_stored),          cmocka_unit_test(diff_looks_as_stored),
        cmocka_unit_test(overlay_looks_as_stored),      cmocka_unit_test(diffusion_looks_as_stored),
        cmocka_unit_test(sampled_looks_as_stored),      cmocka_unit_test(help_looks_as_stored),
        cmocka_unit_test(an_old_average_is_no_preview), cmocka_unit_test(unknown_numbers_are_dashes),
        cmocka_unit_test(training_of_scales_is_shown),  cmocka_unit_test(ten_thousand_random_keys_and_sizes_do_no_harm),
    };

    return cmocka_run_group_tests_name("srqtop's pictures", tests, fix_time, NULL);
}
