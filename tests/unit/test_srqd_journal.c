/* Reading journals: places found by halving, steps of the loop, the last words. */
#include "tests/unit/test.h"

#include "core/base/fs.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/workers/reading.h"
#include "daemon/srqd/workers/testament.h"

#include <sys/stat.h>

#define LINES 4000

static char folder[64];
static struct srqd d = { .places = { .jobs = folder } };
static struct job job = { .d = &d, .id = "jj" };

/* A journal of log lines 1 … LINES of 40 to 200 bytes, each 500th of 100,000: longer than what is looked at at once. */
static int make_journal(void **state)
{
    static char filling[100001];
    char path[128];
    FILE *f;

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/srqd-unit-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/jj", folder);
    if (mkdir(path, 0700) != 0)
        return -1;
    snprintf(path, sizeof(path), "%s/jj/journal.ndjson", folder);
    f = fopen(path, "w");
    memset(filling, 'x', sizeof(filling) - 1);
    for (int i = 1; f != NULL && i <= LINES; i++)
        fprintf(f,
                "{\"seq\":%d,\"time\":1,\"event\":\"log\",\"data\":{\"level\":\"%s\",\"text\":\"%d "
                "%.*s\"},\"sum\":\"0\"}\n",
                i, i == 17 ? "error" : "info", i, i % 500 == 0 ? 100000 : i * 7 % 160, filling);
    return f != NULL && fclose(f) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return srq_remove_tree(folder, NULL);
}

struct seen {
    int64_t first, last, count;
    int done;
};

static bool see(const struct journal_entry *e, void *ctx)
{
    struct seen *s = ctx;

    if (s->count == 0)
        s->first = e->seq;
    else
        assert_int_equal(e->seq, s->last + 1);
    s->last = e->seq;
    s->count++;
    return true;
}

static struct journal_view *open_journal(void)
{
    struct journal_view *v;
    struct srq_error err;

    assert_ok(journal_open(&job, &v, &err), &err);
    return v;
}

static void a_place_is_found_without_losing_or_repeating_a_line(void **state)
{
    static const int64_t places[] = { 0, 1, 2, 499, 500, 501, 1234, 2000, 3499, 3500, LINES - 1, LINES, LINES + 5 };

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const struct journal_filter after = { .since = places[i] };
        struct journal_view *v = open_journal();
        struct seen s = { 0 };

        journal_seek(v, places[i]);
        assert_int_equal(journal_read(v, &after, 0, see, &s), JOURNAL_END);
        assert_int_equal(s.count, places[i] < LINES ? LINES - places[i] : 0);
        if (s.count > 0)
            assert_int_equal(s.first, places[i] + 1);
        journal_close(v);
    }
}

static void the_end_of_a_long_journal_is_few_steps_away(void **state)
{
    const struct journal_filter after = { .since = LINES - 3 };
    struct journal_view *v = open_journal();
    struct seen s = { 0 };
    int from_the_beginning = 1, from_the_place = 1;

    (void)state;
    while (journal_read(v, &after, JOURNAL_STEP, see, &s) == JOURNAL_MORE)
        from_the_beginning++;
    journal_seek(v, LINES - 3);
    s = (struct seen){ 0 };
    while (journal_read(v, &after, JOURNAL_STEP, see, &s) == JOURNAL_MORE)
        from_the_place++;
    assert_int_equal(s.count, 3);
    assert_true(from_the_place <= 3 && from_the_beginning > 2 * from_the_place);
    journal_close(v);
}

static void older_lines_are_visited_only_where_they_are_asked_for(void **state)
{
    const struct journal_filter none = { .since = LINES - 10, .older = "job.state|job.memory" };
    const struct journal_filter all = { .since = LINES - 10, .older = "job.state|log" };
    struct journal_view *v = open_journal();
    struct seen s = { 0 };

    (void)state;
    assert_int_equal(journal_read(v, &none, 0, see, &s), JOURNAL_END);
    assert_int_equal(s.count, 10);
    s = (struct seen){ 0 };
    journal_seek(v, 0);
    assert_int_equal(journal_read(v, &all, 0, see, &s), JOURNAL_END);
    assert_int_equal(s.count, LINES);
    journal_close(v);
}

static void on_done(void *ctx)
{
    ((struct seen *)ctx)->done++;
}

static void a_long_journal_is_read_over_many_turns_of_the_loop(void **state)
{
    struct event_base *base = event_base_new();
    struct turns *in_turns = turns_create(base);
    struct seen s = { 0 };
    struct reading_wish wish = { .turns = in_turns, .close = true, .visit = see, .done = on_done, .ctx = &s };
    struct reading *reading;
    int turns = 0;

    (void)state;
    wish.journal = open_journal();
    reading_start(&wish, &reading);
    assert_non_null(reading);
    assert_true(s.done == 0 && s.count < LINES);
    while (s.done == 0 && ++turns < 1000)
        event_base_loop(base, EVLOOP_ONCE);
    assert_int_equal(s.done, 1);
    assert_int_equal(s.count, LINES);
    assert_true(turns > 3);
    assert_null(reading);
    /* One that is stopped tells nobody. */
    s = (struct seen){ 0 };
    wish.journal = open_journal();
    reading_start(&wish, &reading);
    reading_stop(&reading);
    event_base_loop(base, EVLOOP_NONBLOCK);
    assert_int_equal(s.done, 0);
    turns_free(in_turns);
    event_base_free(base);
}

static void lines_that_are_no_journals_end_it(void **state)
{
    struct seen s = { 0 };
    struct journal_view *v;
    struct srq_error err;
    struct job other = job;
    char path[128];
    FILE *f;

    (void)state;
    memcpy(other.id, "jk", 3);
    snprintf(path, sizeof(path), "%s/jk", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/jk/journal.ndjson", folder);
    assert_non_null(f = fopen(path, "w"));
    for (int i = 1; i <= 2000; i++) /* one of a journal, one that is none */
        fprintf(f,
                "{\"seq\":%d,\"time\":1,\"event\":\"log\",\"data\":{\"level\":\"info\",\"text\":\"x\"},\"sum\":\"0\"}\n"
                "{\"seq\":1}\n",
                i);
    assert_int_equal(fclose(f), 0);
    assert_ok(journal_open(&other, &v, &err), &err);
    assert_int_equal(journal_read(v, &(struct journal_filter){ 0 }, 0, see, &s), JOURNAL_END);
    assert_int_equal(s.count, 1001);
    assert_int_equal(journal_read(v, &(struct journal_filter){ 0 }, 0, see, &s), JOURNAL_END);
    assert_int_equal(s.count, 1001);
    journal_close(v);
}

static bool take(const struct journal_entry *e, void *ctx)
{
    testament_take(ctx, e);
    return true;
}

static void the_last_words_are_the_same_however_they_were_read(void **state)
{
    const struct journal_filter words = { .events = TESTAMENT_EVENTS };
    struct testament whole = { 0 }, parts = { 0 };
    struct journal_view *v = open_journal();

    (void)state;
    assert_int_equal(journal_read(v, &words, 0, take, &whole), JOURNAL_END);
    journal_seek(v, 0);
    while (journal_read(v, &words, JOURNAL_STEP, take, &parts) == JOURNAL_MORE)
        ;
    journal_close(v);
    assert_memory_equal(whole.error, "17 x", 4);
    assert_memory_equal(&whole, &parts, sizeof(whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_found_without_losing_or_repeating_a_line),
        cmocka_unit_test(the_end_of_a_long_journal_is_few_steps_away),
        cmocka_unit_test(older_lines_are_visited_only_where_they_are_asked_for),
        cmocka_unit_test(a_long_journal_is_read_over_many_turns_of_the_loop),
        cmocka_unit_test(lines_that_are_no_journals_end_it),
        cmocka_unit_test(the_last_words_are_the_same_however_they_were_read),
    };

    return cmocka_run_group_tests(tests, make_journal, remove_folder);
}
