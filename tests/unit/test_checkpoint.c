/* The running block's checkpoint: what is written in parts comes back as one, and a file that does not hold is none. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/job/checkpoint.h"

#include <sys/stat.h>

static char dir[64], file[96];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/srq-ckpt-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(file, sizeof(file), "%s/running.bin", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return srq_remove_tree(dir, NULL);
}

static const struct srq_part state_parts[] = { { "momentum", 8 }, { NULL, 0 }, { "best", 5 } };

static int write_one(int64_t block, struct srq_error *err)
{
    const struct srq_running r = { .block = block, .iter = 17, .key = 7, .elapsed_s = 2.5, .tune_s = 1.5 };

    return srq_running_write(dir, &r, state_parts, 3, err);
}

static void what_was_written_in_parts_comes_back_as_one(void **state)
{
    struct srq_error err = { 0 };
    struct srq_running r;

    (void)state;
    assert_ok(write_one(3, &err), &err);
    assert_true(srq_running_open(dir, 3, 7, &r));
    assert_int_equal(r.iter, 17);
    assert_true(r.elapsed_s == 2.5 && r.tune_s == 1.5);
    assert_int_equal(r.state.len, 13);
    assert_memory_equal(r.state.data, "momentumbest", 13);
    srq_running_close(&r);
    srq_running_close(&r);
    assert_null(r.state.data);
}

static void a_checkpoint_may_be_replaced_while_it_is_read(void **state)
{
    struct srq_error err = { 0 };
    struct srq_running r;

    (void)state;
    assert_ok(write_one(3, &err), &err);
    assert_true(srq_running_open(dir, 3, 7, &r));
    assert_ok(write_one(4, &err), &err);
    assert_memory_equal(r.state.data, "momentumbest", 13);
    srq_running_close(&r);
    assert_true(srq_running_open(dir, 4, 7, &r));
    srq_running_close(&r);
}

static void one_of_another_block_is_none(void **state)
{
    struct srq_error err = { 0 };
    struct srq_running r;

    (void)state;
    assert_ok(write_one(3, &err), &err);
    assert_false(srq_running_open(dir, 2, 7, &r));
    assert_null(r.state.data);
    assert_false(srq_running_open(dir, 3, 8, &r)); /* made for other schemes or other inputs */
    srq_running_remove(dir);
    assert_false(srq_running_open(dir, 3, 7, &r));
}

/* Any byte changed and any byte missing is seen. */
static void a_damaged_one_is_none(void **state)
{
    struct srq_error err = { 0 };
    struct srq_running r;
    char *bytes;
    size_t len;

    (void)state;
    assert_ok(write_one(3, &err), &err);
    assert_ok(srq_read_file(file, 4096, &bytes, &len, &err), &err);
    for (size_t i = len - 13; i < len; i++) {
        bytes[i] ^= 4;
        assert_ok(srq_write_file_durable(file, bytes, len, 0600, &err), &err);
        assert_false(srq_running_open(dir, 3, 7, &r));
        bytes[i] ^= 4;
    }
    for (size_t i = 0; i < len; i++) {
        assert_ok(srq_write_file_durable(file, bytes, i, 0600, &err), &err);
        assert_false(srq_running_open(dir, 3, 7, &r));
    }
    srq_free(bytes);
}

static void a_write_that_fails_says_so_and_leaves_nothing(void **state)
{
    struct srq_error err = { 0 };
    char tmp[96];

    (void)state;
    snprintf(tmp, sizeof(tmp), "%s/running.tmp", dir);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_refused(write_one(3, &err), -SRQ_EEXIST, &err, "running.bin");
    assert_false(srq_path_exists(tmp));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_in_parts_comes_back_as_one, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_checkpoint_may_be_replaced_while_it_is_read, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(one_of_another_block_is_none, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_damaged_one_is_none, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_write_that_fails_says_so_and_leaves_nothing, make_dir, remove_dir),
    };

    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
