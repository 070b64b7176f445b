/* What keys do in srqtop: cursor, tags, edits, search, filter, prompts, mouse. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "tests/unit/top_model.h"
#include "tui/srqtop/edits.h"
#include "tui/srqtop/keys.h"
#include "tui/srqtop/layout.h"
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
    return view_key(&f->m, &f->v, &(struct top_key){ code, 0, 0 });
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
        assert_string_equal(edit_of(f, 1, m), "w5g128z");
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
    assert_int_equal(press(f, TOP_KEY_ESC), TOP_DO_DROP);
    assert_int_equal(top_edits_count(f->job), 0);
    assert_int_equal(press(f, TOP_KEY_ENTER), TOP_DO_NOTHING);
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

    f->job->state = TOP_DONE;
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
    assert_int_equal(f->job->blocks[f->v.tree_block].state, TOP_TUNING);
    f->job->blocks[f->v.tree_block].state = TOP_FINISHED;
    f->job->blocks[5].state = TOP_TUNING;
    for (int b = 0; b < 5; b++)
        if (f->job->blocks[b].state == TOP_TUNING)
            f->job->blocks[b].state = TOP_FINISHED;
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

    view_key(&f->m, &f->v, &(struct top_key){ TOP_KEY_CLICK, l.main.x + 5, l.main.y + 1 + 2 });
    assert_int_equal(f->v.tree_at, f->v.tree_top + 2);
    tab = tab_place(l.tabs, TOP_PANEL_HEATMAP, label);
    view_key(&f->m, &f->v, &(struct top_key){ TOP_KEY_CLICK, tab.x + 1, tab.y });
    assert_int_equal(f->v.panel, TOP_PANEL_HEATMAP);
    view_key(&f->m, &f->v, &(struct top_key){ TOP_KEY_WHEEL_DOWN, 0, 0 });
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
        CASE(keys_at_a_prompt_are_text),
    };

    return cmocka_run_group_tests_name("srqtop's keys", tests, NULL, NULL);
}
