/* What keys do in srqtop: cursor, tags, edits, search, filter, prompts, mouse. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "tests/unit/top_model.h"
#include "tui/srqtop/command.h"
#include "tui/srqtop/edits.h"
#include "tui/srqtop/keys.h"
#include "tui/srqtop/layout.h"
#include "tui/srqtop/screen.h"
#include "tui/srqtop/tabs.h"
#include "tui/srqtop/tree.h"

enum { BLOCKS = 6, MODULES = 7 };

struct fixture {
    struct top_model m;
    struct top_view v;
    struct top_job *job;
};

/* "j-run" open in the job panel, everything unfolded, cursor at q_proj of block 1, follow off. */
static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    top_fixture(&f->m, BLOCKS, 20);
    f->job = &f->m.jobs[0];
    view_init(&f->v);
    f->v.panel = TOP_PANEL_JOB;
    f->v.follow = false;
    view_open(&f->v, "j-run");
    view_settle(&f->m, &f->v);
    for (int b = 0; b <= BLOCKS; b++)
        f->v.folded[b] = false;
    f->v.tree_block = 1;
    f->v.tree_layer = MODULES;
    view_settle(&f->m, &f->v);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;

    view_fini(&f->v);
    top_model_fini(&f->m);
    free(f);
    return 0;
}

static enum top_action press(struct fixture *f, int code)
{
    return view_key(&f->m, &f->v, &(struct top_key){ .code = code });
}

/* A row of the screen, what is beyond ASCII as '?'. */
static const char *line_text(const struct canvas *c, int y)
{
    static char text[400];
    int n = 0;

    for (int x = 0; x < c->w && n < 399; x++) {
        uint32_t ch = c->cells[y * c->w + x].code;

        text[n++] = (char)(ch == 0 ? ' ' : ch < 127 ? ch : '?');
    }
    text[n] = '\0';
    return text;
}

static enum top_action type(struct fixture *f, const char *text)
{
    for (; *text != '\0'; text++)
        press(f, (unsigned char)*text);
    return press(f, TOP_KEY_ENTER);
}

static const char *edit_of(struct fixture *f, int block, int module)
{
    return f->job->layers[block * MODULES + module].edit;
}

static void more_bits_reach_tied_layers_and_no_others(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(press(f, '+'), TOP_DO_EDIT);
    for (int m = 0; m < 3; m++)
        assert_string_equal(edit_of(f, 1, m), "w8g128z");
    assert_string_equal(edit_of(f, 1, 3), "");
    assert_string_equal(edit_of(f, 2, 0), "");
    assert_int_equal(f->v.edits, 3);
}

static void tied_layers_tagged_together_take_one_step(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++)
        press(f, ' '); /* tags and goes on */
    assert_int_equal(press(f, '-'), TOP_DO_EDIT);
    for (int m = 0; m < 3; m++)
        assert_string_equal(edit_of(f, 1, m), "w3g128z");
}

static void going_back_to_the_plan_is_no_edit(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(press(f, '8'), TOP_DO_EDIT);
    assert_string_equal(edit_of(f, 1, 0), "w8g128z");
    assert_int_equal(press(f, '4'), TOP_DO_DROP);
    assert_int_equal(f->v.edits, 0);
}

static void zero_means_bf16_and_digits_come_back_from_it(void **state)
{
    struct fixture *f = *state;

    press(f, '0');
    assert_string_equal(edit_of(f, 1, 0), "bf16");
    press(f, '3');
    assert_string_equal(edit_of(f, 1, 0), "w3g128z");
}

static void a_typed_scheme_goes_to_the_selection(void **state)
{
    struct fixture *f = *state;

    press(f, '=');
    assert_int_equal(f->v.prompt, TOP_PROMPT_BITS);
    assert_int_equal(type(f, "nvfp4"), TOP_DO_EDIT);
    assert_string_equal(edit_of(f, 1, 2), "nvfp4");
}

static void enter_commits_and_escape_drops(void **state)
{
    struct fixture *f = *state;

    press(f, '+');
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_DO_COMMIT);
    assert_int_equal(press(f, TOP_KEY_ESC), TOP_DO_NOTHING);
    assert_int_equal(press(f, 'y'), TOP_DO_DROP);
    assert_int_equal(top_edits_count(f->job), 0);
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_DO_NOTHING);
}

static void paste(struct fixture *f, const char *text)
{
    view_key(&f->m, &f->v, &(struct top_key){ .code = TOP_KEY_PASTE });
    for (; *text != '\0'; text++)
        assert_int_equal(
            view_key(&f->m, &f->v, &(struct top_key){ .code = *text == '\n' ? TOP_KEY_ENTER : *text, .pasted = true }),
            TOP_DO_NOTHING);
}

static void a_paste_outside_a_prompt_does_nothing(void **state)
{
    struct fixture *f = *state;

    paste(f, "8\n0\nq:quit\n");
    assert_int_equal(top_edits_count(f->job), 0);
    assert_int_equal(f->v.prompt, TOP_PROMPT_NONE);
    assert_non_null(strstr(f->v.message, "a paste is no command"));
    press(f, '8');
    press(f, 'q');
    paste(f, "yyy\n"); /* it is no answer either */
    assert_int_equal(f->v.question, TOP_ASK_QUIT);
    assert_int_equal(press(f, 'n'), TOP_DO_NOTHING);
    assert_int_equal(f->v.edits, 3);
}

static void a_paste_at_a_prompt_is_text_and_runs_nothing(void **state)
{
    struct fixture *f = *state;

    press(f, ':');
    paste(f, "cancel j-run\ndelete\033[A\t\003x\n");
    assert_int_equal(f->v.prompt, TOP_PROMPT_COMMAND);
    assert_string_equal(f->v.line, "cancel j-run delete [A x ");
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_DO_COMMAND);
}

static void leaving_with_edits_asks_first(void **state)
{
    static const int keys[] = { 'q', 3 };
    struct fixture *f = *state;

    assert_int_equal(press(f, 'q'), TOP_DO_QUIT);
    press(f, '8');
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(press(f, keys[i]), TOP_DO_NOTHING);
        assert_non_null(strstr(f->v.message, "3 edits not committed"));
        assert_int_equal(press(f, 'n'), TOP_DO_NOTHING);
        assert_int_equal(f->v.edits, 3);
        press(f, keys[i]);
        assert_int_equal(press(f, 'y'), TOP_DO_QUIT);
    }
    assert_int_equal(view_leave(&f->m, &f->v), TOP_DO_NOTHING); /* :quit */
    press(f, 'n');
    view_open(&f->v, "j-done"); /* edits of a job that is not shown */
    assert_int_equal(press(f, 'q'), TOP_DO_NOTHING);
}

static void escape_with_edits_asks_first(void **state)
{
    struct fixture *f = *state;

    press(f, '8');
    assert_int_equal(press(f, TOP_KEY_ESC), TOP_DO_NOTHING);
    assert_non_null(strstr(f->v.message, "drop 3 edits? (y/n)"));
    assert_int_equal(press(f, TOP_KEY_ESC), TOP_DO_NOTHING);
    assert_int_equal(f->v.edits, 3);
}

static void edits_do_not_touch_what_the_filter_hides(void **state)
{
    struct fixture *f = *state;

    press(f, '\\');
    type(f, "down_proj");
    f->v.tree_block = 1;
    f->v.tree_layer = -1;
    press(f, '4'); /* the block's row: its layers that are shown */
    assert_string_equal(edit_of(f, 1, 6), "w4g128");
    assert_int_equal(top_edits_count(f->job), 1);
}

static void tags_that_the_filter_hides_are_left_alone(void **state)
{
    struct fixture *f = *state;

    f->job->layers[3].tagged = f->job->layers[6].tagged = true;
    press(f, '\\');
    type(f, "down_proj");
    press(f, '3');
    assert_string_equal(edit_of(f, 0, 3), "");
    assert_string_equal(edit_of(f, 0, 6), "w3g128");
    assert_non_null(strstr(f->v.message, "1 tagged layer"));
    f->job->layers[6].tagged = false;
    press(f, '2'); /* only hidden tags: nothing, and not what is under the cursor instead */
    assert_int_equal(top_edits_count(f->job), 1);
    assert_non_null(strstr(f->v.message, "hides all 1 tagged"));
}

static void layers_fused_with_hidden_ones_are_left_alone(void **state)
{
    struct fixture *f = *state;

    press(f, '\\');
    type(f, "q_proj");
    f->v.tree_block = 1;
    f->v.tree_layer = MODULES;
    assert_int_equal(press(f, '8'), TOP_DO_DROP);
    assert_int_equal(top_edits_count(f->job), 0);
    assert_non_null(strstr(f->v.message, "fuse"));
}

static void committing_hidden_edits_asks_first(void **state)
{
    struct fixture *f = *state;

    press(f, '8');
    press(f, '\\');
    type(f, "down_proj");
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_DO_NOTHING);
    assert_non_null(strstr(f->v.message, "hides 3 of 3 edits"));
    assert_int_equal(press(f, 'x'), TOP_DO_NOTHING);
    press(f, TOP_KEY_ENTER);
    assert_int_equal(press(f, 'y'), TOP_DO_COMMIT);
}

static void space_on_a_filtered_block_tags_what_is_shown(void **state)
{
    struct fixture *f = *state;

    press(f, '\\');
    type(f, "mlp");
    f->v.tree_block = 2;
    f->v.tree_layer = -1;
    press(f, ' ');
    for (int m = 0; m < MODULES; m++)
        assert_int_equal(f->job->layers[2 * MODULES + m].tagged, m >= 4);
}

static void steps_stay_in_what_can_be_stored(void **state)
{
    struct fixture *f = *state;

    for (int m = 0; m < 3; m++)
        f->job->layers[MODULES + m].widths = 1u << 3 | 1u << 4 | 1u << 5 | 1u << 8;
    press(f, '+');
    assert_string_equal(edit_of(f, 1, 0), "w5g128z");
    f->job->layers[MODULES + 1].widths = 1u << 4; /* fused with it, and of another shape */
    press(f, '+');
    assert_string_equal(edit_of(f, 1, 0), "bf16");
    press(f, '-');
    assert_string_equal(edit_of(f, 1, 0), ""); /* 4 bits again, as planned */
    press(f, '-');
    assert_non_null(strstr(f->v.message, "cannot take that"));
}

static void every_warning_of_the_preview_can_be_read(void **state)
{
    static const struct {
        int w, h;
    } sizes[] = { { 120, 40 }, { 80, 24 }, { 40, 10 }, { 30, 6 }, { 20, 4 } };
    struct fixture *f = *state;
    struct top_preview *p = &f->m.preview;

    press(f, '8');
    p->known = true;
    p->warnings = srq_calloc(3, sizeof(*p->warnings));
    p->warning_count = 3;
    for (int i = 0; i < 3; i++)
        top_set_text(&p->warnings[i], i == 0   ? "alpha stays in 16 bits: no format of this job has a place for it"
                                      : i == 1 ? "beta is also changed"
                                               : "gamma costs more than the budget of 4 bits allows");
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct canvas c;
        char seen[3] = { 0 };

        canvas_init(&c);
        assert_true(canvas_resize(&c, sizes[s].w, sizes[s].h));
        f->v.warning_top = 0;
        for (int page = 0; page < 20; page++) {
            char *text;

            screen_draw(&f->m, &f->v, &c);
            text = canvas_text(&c);
            assert_non_null(text);
            seen[0] |= strstr(text, "alpha") != NULL;
            seen[1] |= strstr(text, "beta") != NULL;
            seen[2] |= strstr(text, "gamma") != NULL;
            assert_true(sizes[s].h < 8 || strstr(text, "3 warning") != NULL);
            srq_free(text);
            press(f, 'w');
        }
        if (!seen[0] || !seen[1] || !seen[2])
            fail_msg("%d x %d hides a warning", sizes[s].w, sizes[s].h);
        canvas_fini(&c);
    }
}

static void read_only_says_so_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const char keys[] = "+-0=8";

    f->v.readonly = true;
    for (const char *k = keys; *k != '\0'; k++) {
        assert_int_equal(press(f, *k), TOP_DO_NOTHING);
        assert_non_null(strstr(f->v.message, "read-only"));
        assert_int_equal(f->v.prompt, TOP_PROMPT_NONE);
    }
    assert_int_equal(top_edits_count(f->job), 0);
}

static void another_users_job_is_refused_with_the_name(void **state)
{
    struct fixture *f = *state;

    f->job->own = false;
    assert_int_equal(press(f, '+'), TOP_DO_NOTHING);
    assert_non_null(strstr(f->v.message, "ada"));
}

static void an_ended_jobs_plan_is_fixed(void **state)
{
    struct fixture *f = *state;

    f->job->state = SRQ_JOB_DONE;
    assert_int_equal(press(f, '+'), TOP_DO_NOTHING);
    assert_non_null(strstr(f->v.message, "done"));
}

static void space_on_a_block_tags_all_its_layers(void **state)
{
    struct fixture *f = *state;
    int tagged = 0;

    f->v.tree_layer = -1;
    press(f, ' ');
    for (int i = 0; i < f->job->layer_count; i++)
        tagged += f->job->layers[i].tagged;
    assert_int_equal(tagged, MODULES);
    assert_true(f->job->layers[MODULES].tagged && f->job->layers[2 * MODULES - 1].tagged);
    press(f, 'U');
    assert_int_equal(view_selected(&f->m, &f->v, NULL, 0), 1);
}

static void tag_matching_takes_what_the_filter_shows(void **state)
{
    struct fixture *f = *state;
    int layers[BLOCKS];

    press(f, '\\');
    type(f, "model.layers.?.mlp.down*");
    press(f, 'T');
    assert_int_equal(view_selected(&f->m, &f->v, layers, BLOCKS), BLOCKS);
    for (int b = 0; b < BLOCKS; b++)
        assert_int_equal(layers[b], b * MODULES + 6);
}

static void search_opens_the_block_of_what_it_finds(void **state)
{
    struct fixture *f = *state;

    press(f, 'z'); /* all folded */
    assert_true(f->v.folded[4]);
    press(f, '/');
    type(f, "4.mlp.up");
    assert_int_equal(f->v.tree_block, 4);
    assert_int_equal(f->v.tree_layer, 4 * MODULES + 5);
    assert_false(f->v.folded[4]);
    press(f, '/');
    type(f, "no such layer");
    assert_true(f->v.message_bad);
    assert_int_equal(f->v.tree_layer, 4 * MODULES + 5);
}

static void next_match_goes_around(void **state)
{
    struct fixture *f = *state;

    press(f, '/');
    type(f, "down_proj");
    assert_int_equal(f->v.tree_layer, MODULES + 6);
    for (int i = 0; i < BLOCKS; i++)
        press(f, 'n');
    assert_int_equal(f->v.tree_layer, MODULES + 6);
    press(f, 'N');
    assert_int_equal(f->v.tree_layer, 6);
}

static void filter_hides_and_escape_shows_all(void **state)
{
    struct fixture *f = *state;
    struct tree_row *rows;
    int all = tree_rows(f->job, &f->v, &rows);

    srq_free(rows);
    assert_int_equal(all, BLOCKS * (MODULES + 1) + 2); /* and lm_head below its heading */
    press(f, '\\');
    type(f, "k_proj");
    assert_int_equal(tree_rows(f->job, &f->v, &rows), 2 * BLOCKS);
    srq_free(rows);
    press(f, TOP_KEY_ESC);
    assert_int_equal(tree_rows(f->job, &f->v, &rows), all);
    srq_free(rows);
}

static void sorting_by_loss_puts_the_worst_first_and_the_unknown_last(void **state)
{
    struct fixture *f = *state;
    struct tree_row *rows;
    double last = 1e300;
    bool unknown = false;
    int n;

    press(f, 's');
    press(f, 'z');
    n = tree_rows(f->job, &f->v, &rows);
    for (int i = 0; i < n && rows[i].block >= 0; i++) {
        struct metric loss = f->job->blocks[rows[i].block].loss_best;

        assert_false(loss.known && unknown);
        unknown = unknown || !loss.known;
        if (loss.known) {
            assert_true(loss.v <= last);
            last = loss.v;
        }
    }
    assert_true(unknown && last < 1e300);
    srq_free(rows);
}

static void cursor_stays_on_its_layer_when_the_order_changes(void **state)
{
    struct fixture *f = *state;
    int at = f->v.tree_at;

    press(f, 's');
    assert_int_equal(f->v.tree_layer, MODULES);
    assert_int_not_equal(f->v.tree_at, at);
}

static void folding_moves_the_cursor_to_the_block(void **state)
{
    struct fixture *f = *state;

    press(f, TOP_KEY_LEFT);
    assert_int_equal(f->v.tree_layer, -1);
    assert_int_equal(f->v.tree_block, 1);
    press(f, TOP_KEY_DOWN);
    assert_int_equal(f->v.tree_block, 2);
    assert_int_equal(f->v.tree_layer, -1);
}

static void follow_goes_to_the_block_that_begins(void **state)
{
    struct fixture *f = *state;

    press(f, 'f');
    assert_true(f->v.follow);
    assert_int_equal(f->job->blocks[f->v.tree_block].state, SRQ_WORK_RUNNING);
    f->job->blocks[f->v.tree_block].state = SRQ_WORK_FINISHED;
    f->job->blocks[5].state = SRQ_WORK_RUNNING;
    for (int b = 0; b < 5; b++)
        if (f->job->blocks[b].state == SRQ_WORK_RUNNING)
            f->job->blocks[b].state = SRQ_WORK_FINISHED;
    view_settle(&f->m, &f->v);
    assert_int_equal(f->v.tree_block, 5);
}

static void queue_cursor_stays_on_its_job_when_another_comes(void **state)
{
    struct fixture *f = *state;
    struct top_job first;

    f->v.panel = TOP_PANEL_QUEUE;
    press(f, TOP_KEY_DOWN);
    press(f, TOP_KEY_DOWN);
    assert_string_equal(view_queue_job(&f->m, &f->v)->id, "j-done");
    first = f->m.jobs[0]; /* two change places above it, and the list is one shorter */
    f->m.jobs[0] = f->m.jobs[2];
    f->m.jobs[2] = first;
    view_settle(&f->m, &f->v);
    assert_string_equal(view_queue_job(&f->m, &f->v)->id, "j-done");
    assert_int_equal(f->v.queue_at, 0);
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_DO_OPEN);
    assert_string_equal(f->v.job, "j-done");
    assert_int_equal(f->v.panel, TOP_PANEL_JOB);
}

static void digits_choose_panels_where_they_are_not_bits(void **state)
{
    struct fixture *f = *state;

    press(f, '4');
    assert_int_equal(f->v.panel, TOP_PANEL_JOB);
    press(f, TOP_KEY_F4);
    assert_int_equal(f->v.panel, TOP_PANEL_LOG);
    press(f, '1');
    assert_int_equal(f->v.panel, TOP_PANEL_QUEUE);
    press(f, '?');
    press(f, TOP_KEY_ESC);
    assert_int_equal(f->v.panel, TOP_PANEL_QUEUE);
}

static void comparing_finds_a_job_by_the_beginning_of_its_id(void **state)
{
    struct fixture *f = *state;

    press(f, 'd');
    assert_int_equal(type(f, "j-do"), TOP_DO_OPEN_OTHER);
    assert_string_equal(f->v.other, "j-done");
    assert_int_equal(f->v.panel, TOP_PANEL_DIFF);
    press(f, 'd');
    assert_int_equal(type(f, "j-"), TOP_DO_NOTHING);
    assert_non_null(strstr(f->v.message, "more than one"));
    press(f, 'd');
    assert_int_equal(type(f, "nothing"), TOP_DO_NOTHING);
    assert_non_null(strstr(f->v.message, "\"nothing\""));
}

static void a_click_selects_the_row_and_a_tab_its_panel(void **state)
{
    struct fixture *f = *state;
    struct layout l = layout(f->v.width, f->v.height, f->v.panel, &f->v);
    char label[32];
    struct rect tab;

    view_key(&f->m, &f->v, &(struct top_key){ .code = TOP_KEY_CLICK, .x = l.main.x + 5, .y = l.main.y + 1 + 2 });
    assert_int_equal(f->v.tree_at, f->v.tree_top + 2);
    tab = tab_place(l.tabs, TOP_PANEL_HEATMAP, label);
    view_key(&f->m, &f->v, &(struct top_key){ .code = TOP_KEY_CLICK, .x = tab.x + 1, .y = tab.y });
    assert_int_equal(f->v.panel, TOP_PANEL_HEATMAP);
    view_key(&f->m, &f->v, &(struct top_key){ .code = TOP_KEY_WHEEL_DOWN });
    assert_int_equal(f->v.heat_block, 3);
}

static void a_line_is_edited_by_characters_not_bytes(void **state)
{
    struct fixture *f = *state;

    press(f, ':');
    press(f, 'a');
    press(f, 0xe4);
    press(f, 0x6a21);
    press(f, 'b');
    assert_string_equal(f->v.line, "aä模b");
    press(f, TOP_KEY_LEFT);
    press(f, TOP_KEY_BACKSPACE);
    assert_string_equal(f->v.line, "aäb");
    press(f, TOP_KEY_LEFT);
    press(f, TOP_KEY_DELETE);
    assert_string_equal(f->v.line, "ab");
    press(f, 5);
    press(f, 'c');
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_DO_COMMAND);
    assert_string_equal(f->v.line, "abc");
}

static void command_lines_come_back_from_history(void **state)
{
    struct fixture *f = *state;

    press(f, ':');
    type(f, "budget 3.2");
    press(f, ':');
    type(f, "pause");
    press(f, ':');
    press(f, TOP_KEY_UP);
    assert_string_equal(f->v.line, "pause");
    press(f, TOP_KEY_UP);
    press(f, TOP_KEY_UP); /* there is no older one */
    assert_string_equal(f->v.line, "budget 3.2");
    press(f, TOP_KEY_DOWN);
    press(f, TOP_KEY_DOWN);
    assert_string_equal(f->v.line, "");
    assert_int_equal(press(f, TOP_KEY_ESC), TOP_DO_NOTHING);
    assert_int_equal(f->v.prompt, TOP_PROMPT_NONE);
}

static void keys_are_about_the_job_and_what_cannot_be_taken_back_is_asked(void **state)
{
    static const struct {
        int key;
        const char *line;
        bool asks;
    } rows[] = { { 'p', "pause", false }, { 'R', "resume", false },      { 'E', "finish", true },
                 { 'X', "cancel", true }, { '<', "priority -1", false }, { '>', "priority 1", false } };
    struct fixture *f = *state;
    const struct top_job *j;

    for (int panel = 0; panel < 2; panel++) {
        f->v.panel = panel == 0 ? TOP_PANEL_QUEUE : TOP_PANEL_JOB;
        f->v.queue_id[0] = '\0';
        f->v.queue_at = 1;
        j = panel == 0 ? view_queue_job(&f->m, &f->v) : view_job(&f->m, &f->v);
        assert_non_null(j);
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct top_command c;

            assert_int_equal(press(f, rows[i].key), TOP_DO_COMMAND);
            assert_string_equal(f->v.line, rows[i].line);
            top_command_read(&f->m, &f->v, f->v.line, &c);
            assert_int_equal(c.kind, TOP_CMD_REQUEST);
            assert_string_equal(c.job, j->id);
            assert_int_equal(c.confirm, rows[i].asks);
            top_command_fini(&c);
        }
    }
    f->v.panel = TOP_PANEL_JOB;
    assert_int_equal(press(f, 'u'), TOP_DO_COMMAND);
    assert_string_equal(f->v.line, "undo");
    f->v.job[0] = '\0';
    assert_int_equal(press(f, 'X'), TOP_DO_NOTHING);
    assert_non_null(strstr(f->v.message, "no job is open"));
}

static void freezing_is_of_the_picture_alone(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(press(f, 'F'), TOP_DO_NOTHING);
    assert_true(f->v.frozen);
    assert_non_null(strstr(f->v.message, "frozen"));
    press(f, 'F');
    assert_false(f->v.frozen);
}

static void what_matches_nothing_is_said(void **state)
{
    struct fixture *f = *state;
    struct top_job *j = view_job(&f->m, &f->v);
    int jobs;

    f->v.panel = TOP_PANEL_JOB;
    press(f, 'U');
    assert_non_null(strstr(f->v.message, "no layer is tagged"));
    press(f, 'o');
    assert_non_null(strstr(f->v.message, "no layer is tagged"));
    press(f, '\\');
    type(f, "nowhere");
    assert_non_null(strstr(f->v.message, "\"nowhere\" matches nothing"));
    press(f, '\\');
    for (int i = 0; i < 7; i++)
        press(f, TOP_KEY_BACKSPACE);
    press(f, TOP_KEY_ENTER);
    f->v.tree_block = 0;
    f->v.tree_layer = 0;
    press(f, '=');
    type(f, j->layers[0].scheme); /* what it has */
    assert_int_equal(f->v.edits, 0);
    assert_non_null(strstr(f->v.message, "that already"));
    jobs = f->m.job_count;
    f->m.job_count = 0;
    f->v.panel = TOP_PANEL_QUEUE;
    press(f, TOP_KEY_ENTER);
    assert_non_null(strstr(f->v.message, "no job under the cursor"));
    f->m.job_count = jobs;
}

static void the_heatmap_opens_on_what_exists(void **state)
{
    struct fixture *f = *state;
    struct canvas c = { 0 };

    f->v.panel = TOP_PANEL_HEATMAP;
    view_settle(&f->m, &f->v);
    assert_int_equal(f->v.heat, SRQ_HEAT_SENSITIVITY);
    for (int i = 0; i < f->job->layer_count; i++)
        f->job->layers[i].score.known = false;
    view_settle(&f->m, &f->v);
    assert_int_equal(f->v.heat, SRQ_HEAT_BITS);
    press(f, 'M'); /* asked for all the same: it stays, and the screen says why it is empty */
    view_settle(&f->m, &f->v);
    assert_int_equal(f->v.heat, SRQ_HEAT_SENSITIVITY);
    for (int i = 0; i < f->job->layer_count; i++)
        f->job->layers[i].scored_count = 0;
    assert_true(canvas_resize(&c, 100, 30));
    screen_draw(&f->m, &f->v, &c);
    assert_non_null(strstr(line_text(&c, 2), "budget only"));
    canvas_fini(&c);
}

static void keys_at_a_prompt_are_text(void **state)
{
    struct fixture *f = *state;

    press(f, ':');
    assert_int_equal(press(f, 'q'), TOP_DO_NOTHING);
    assert_string_equal(f->v.line, "q");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(more_bits_reach_tied_layers_and_no_others),
        CASE(tied_layers_tagged_together_take_one_step),
        CASE(going_back_to_the_plan_is_no_edit),
        CASE(zero_means_bf16_and_digits_come_back_from_it),
        CASE(a_typed_scheme_goes_to_the_selection),
        CASE(enter_commits_and_escape_drops),
        CASE(a_paste_outside_a_prompt_does_nothing),
        CASE(a_paste_at_a_prompt_is_text_and_runs_nothing),
        CASE(leaving_with_edits_asks_first),
        CASE(escape_with_edits_asks_first),
        CASE(edits_do_not_touch_what_the_filter_hides),
        CASE(tags_that_the_filter_hides_are_left_alone),
        CASE(layers_fused_with_hidden_ones_are_left_alone),
        CASE(committing_hidden_edits_asks_first),
        CASE(space_on_a_filtered_block_tags_what_is_shown),
        CASE(steps_stay_in_what_can_be_stored),
        CASE(every_warning_of_the_preview_can_be_read),
        CASE(read_only_says_so_and_changes_nothing),
        CASE(another_users_job_is_refused_with_the_name),
        CASE(an_ended_jobs_plan_is_fixed),
        CASE(space_on_a_block_tags_all_its_layers),
        CASE(tag_matching_takes_what_the_filter_shows),
        CASE(search_opens_the_block_of_what_it_finds),
        CASE(next_match_goes_around),
        CASE(filter_hides_and_escape_shows_all),
        CASE(sorting_by_loss_puts_the_worst_first_and_the_unknown_last),
        CASE(cursor_stays_on_its_layer_when_the_order_changes),
        CASE(folding_moves_the_cursor_to_the_block),
        CASE(follow_goes_to_the_block_that_begins),
        CASE(queue_cursor_stays_on_its_job_when_another_comes),
        CASE(digits_choose_panels_where_they_are_not_bits),
        CASE(comparing_finds_a_job_by_the_beginning_of_its_id),
        CASE(a_click_selects_the_row_and_a_tab_its_panel),
        CASE(a_line_is_edited_by_characters_not_bytes),
        CASE(command_lines_come_back_from_history),
        CASE(keys_are_about_the_job_and_what_cannot_be_taken_back_is_asked),
        CASE(freezing_is_of_the_picture_alone),
        CASE(what_matches_nothing_is_said),
        CASE(the_heatmap_opens_on_what_exists),
        CASE(keys_at_a_prompt_are_text),
    };

    return cmocka_run_group_tests_name("srqtop's keys", tests, NULL, NULL);
}
