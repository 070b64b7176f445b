/* Journal: checksummed lines, torn tails cut, damage refused. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/job/journal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64], path[128];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/srq-journal-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/journal.ndjson", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return srq_remove_tree(dir, NULL);
}

static struct srq_journal *open_journal(uint64_t want_cut)
{
    struct srq_error err = { 0 };
    struct srq_journal *j = NULL;
    uint64_t cut;

    assert_ok(srq_journal_open(path, &j, &cut, &err), &err);
    assert_int_equal(cut, want_cut);
    return j;
}

static void add(struct srq_journal *j, const char *event, int value)
{
    struct srq_error err = { 0 };
    cJSON *data = cJSON_CreateObject();

    cJSON_AddNumberToObject(data, "value", value);
    assert_ok(srq_journal_append(j, event, data, value % 2 == 0, &err), &err);
}

static void write_three(void)
{
    struct srq_journal *j = open_journal(0);

    for (int i = 1; i <= 3; i++)
        add(j, "log", i);
    srq_journal_close(j);
}

static char *contents(size_t *len)
{
    struct srq_error err = { 0 };
    char *text;

    assert_ok(srq_read_file(path, 1 << 20, &text, len, &err), &err);
    return text;
}

static void put(const char *text, size_t len)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* The line as the contract has it, taken apart by hand. */
static void a_line_carries_its_number_and_the_hash_of_what_precedes_it(void **state)
{
    char *text, *sum, want[32];
    size_t len;

    (void)state;
    write_three();
    text = contents(&len);
    assert_int_equal(strncmp(text, "{\"seq\":1,\"time\":", 16), 0);
    sum = strstr(text, ",\"sum\":\"");
    assert_non_null(sum);
    assert_int_equal(strncmp(sum - 9, "value\":1}", 9), 0);
    snprintf(want, sizeof(want), "%016" PRIx64, srq_hash64(text, (size_t)(sum - text)));
    assert_int_equal(strncmp(sum + 8, want, 16), 0);
    assert_int_equal(strncmp(sum + 24, "\"}\n", 3), 0);
    srq_free(text);
}

/* Cutting the file at every byte keeps exactly the lines that are whole, and appending goes on from there. */
static void a_tail_torn_at_any_byte_is_cut(void **state)
{
    char *text;
    size_t len, line1, line2;

    (void)state;
    write_three();
    text = contents(&len);
    line1 = (size_t)(strchr(text, '\n') - text) + 1;
    line2 = (size_t)(strchr(text + line1, '\n') - text) + 1;
    for (size_t at = 0; at <= len; at++) {
        size_t keep = at >= len ? len : at >= line2 ? line2 : at >= line1 ? line1 : 0;
        int64_t seq = keep == len ? 3 : keep == line2 ? 2 : keep == line1 ? 1 : 0;
        struct srq_journal *j;
        char *now;
        size_t now_len;

        put(text, at);
        j = open_journal(at - keep);
        assert_int_equal(srq_journal_seq(j), seq);
        add(j, "log", 9);
        assert_int_equal(srq_journal_seq(j), seq + 1);
        srq_journal_close(j);
        now = contents(&now_len);
        assert_memory_equal(now, text, keep);
        srq_free(now);
    }
    srq_free(text);
}

static void every_flipped_byte_of_the_last_line_is_noticed(void **state)
{
    char *text;
    size_t len, last;

    (void)state;
    write_three();
    text = contents(&len);
    last = (size_t)(strchr(strchr(text, '\n') + 1, '\n') - text) + 1;
    for (size_t at = last; at < len; at++) {
        struct srq_journal *j;

        text[at] ^= 1;
        put(text, len);
        text[at] ^= 1;
        j = open_journal(len - last);
        assert_int_equal(srq_journal_seq(j), 2);
        srq_journal_close(j);
    }
    srq_free(text);
}

static void damage_in_the_middle_is_refused_not_cut(void **state)
{
    struct srq_error err = { 0 };
    struct srq_journal *j;
    uint64_t cut;
    struct stat before, after;
    char *text;
    size_t len;

    (void)state;
    write_three();
    text = contents(&len);
    text[20] ^= 1;
    put(text, len);
    srq_free(text);
    assert_int_equal(stat(path, &before), 0);
    assert_refused(srq_journal_open(path, &j, &cut, &err), -SRQ_EFORMAT, &err, "damaged");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
}

static void a_missing_line_is_damage(void **state)
{
    struct srq_error err = { 0 };
    struct srq_journal *j;
    uint64_t cut;
    char *text;
    size_t len, second, third;

    (void)state;
    write_three();
    text = contents(&len);
    second = strcspn(text, "\n") + 1;
    third = second + strcspn(text + second, "\n") + 1;
    memmove(text + second, text + third, len - third);
    put(text, len - (third - second));
    srq_free(text);
    assert_refused(srq_journal_open(path, &j, &cut, &err), -SRQ_EFORMAT, &err, "damaged");
}

static int sum_values(void *ctx, const struct srq_journal_line *line)
{
    int *sum = ctx;

    *sum += (int)cJSON_GetObjectItemCaseSensitive(line->data, "value")->valuedouble;
    return 0;
}

static void reading_goes_on_where_it_stopped(void **state)
{
    struct srq_error err = { 0 };
    struct srq_journal *j = open_journal(0);
    uint64_t offset = 0;
    int sum = 0;

    (void)state;
    add(j, "log", 1);
    add(j, "log", 2);
    assert_ok(srq_journal_read(j, &offset, sum_values, &sum, &err), &err);
    assert_int_equal(sum, 3);
    add(j, "log", 4);
    assert_ok(srq_journal_read(j, &offset, sum_values, &sum, &err), &err);
    assert_int_equal(sum, 7);
    assert_int_equal(offset, srq_journal_bytes(j));
    srq_journal_close(j);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_line_carries_its_number_and_the_hash_of_what_precedes_it),
        T(a_tail_torn_at_any_byte_is_cut),
        T(every_flipped_byte_of_the_last_line_is_noticed),
        T(damage_in_the_middle_is_refused_not_cut),
        T(a_missing_line_is_damage),
        T(reading_goes_on_where_it_stopped),
    };

    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
