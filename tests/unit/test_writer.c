/* Writing safetensors: layout by the format's rules, read back by our reader and by the reference library, and what a
 * full disk, a forgotten tensor or a crash leaves behind (nothing). */
#include "tests/unit/folder.h"
#include "tests/unit/skip.h"

#include "core/base/alloc.h"
#include "core/format/tensors.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

/* Linked with --wrap=pwrite: the n-th write of data from now on fails with ENOSPC; 0: none does. */
ssize_t __real_pwrite(int fd, const void *p, size_t len, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t len, off_t at);
static int full_at;

ssize_t __wrap_pwrite(int fd, const void *p, size_t len, off_t at)
{
    if (full_at > 0 && --full_at == 0) {
        errno = ENOSPC;
        return -1;
    }
    return __real_pwrite(fd, p, len, at);
}

static int files_in(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static const float w_data[6] = { 0, 1, 2, 3, 4, 5 };
static const uint16_t b_data[3] = { 0x3f80, 0x4000, 0x4040 }; /* bf16 1, 2, 3 */
static const uint8_t q_data[5] = { 9, 8, 7, 6, 5 };

static void declare_all(struct srq_tensor_writer *w)
{
    struct srq_error err;

    assert_ok(srq_writer_declare(w, "q", SRQ_U8, 1, (int64_t[]){ 5 }, &err), &err);
    assert_ok(srq_writer_declare(w, "b", SRQ_BF16, 1, (int64_t[]){ 3 }, &err), &err);
    assert_ok(srq_writer_declare(w, "w", SRQ_F32, 2, (int64_t[]){ 2, 3 }, &err), &err);
    assert_ok(srq_writer_declare(w, "none", SRQ_F32, 2, (int64_t[]){ 0, 3 }, &err), &err);
}

static void fill_all(struct srq_tensor_writer *w)
{
    struct srq_error err;

    assert_ok(srq_writer_put(w, "b", 0, b_data, sizeof(b_data), &err), &err);
    assert_ok(srq_writer_put(w, "w", 8, w_data + 2, 16, &err), &err);
    assert_ok(srq_writer_put(w, "w", 0, w_data, 8, &err), &err);
    assert_ok(srq_writer_put(w, "q", 0, q_data, sizeof(q_data), &err), &err);
}

static void write_all(const char *dir, uint64_t shard_bytes)
{
    struct srq_tensor_writer *w;
    struct srq_error err;

    assert_ok(srq_writer_create(dir, "model", shard_bytes, &w, &err), &err);
    declare_all(w);
    assert_ok(srq_writer_begin(w, &err), &err);
    fill_all(w);
    assert_ok(srq_writer_finish(w, &err), &err);
    srq_writer_free(w);
}

static void check_contents(const char *dir)
{
    struct srq_tensors *ts;
    struct srq_tensor t;
    struct srq_error err;

    assert_ok(srq_tensors_open(dir, &ts, &err), &err);
    assert_int_equal(srq_tensors_count(ts), 4);
    assert_true(srq_tensors_get(ts, "w", &t));
    assert_int_equal(t.shape[1], 3);
    assert_memory_equal(t.data, w_data, sizeof(w_data));
    assert_true(srq_tensors_get(ts, "b", &t));
    assert_int_equal(t.dtype, SRQ_BF16);
    assert_memory_equal(t.data, b_data, sizeof(b_data));
    assert_true(srq_tensors_get(ts, "q", &t));
    assert_memory_equal(t.data, q_data, sizeof(q_data));
    assert_true(srq_tensors_get(ts, "none", &t));
    assert_int_equal(t.shape[0], 0);
    srq_tensors_close(ts);
}

static void what_was_written_is_read_back(void **state)
{
    struct folder d;

    (void)state;
    folder_make(&d);
    write_all(d.path, 0);
    assert_int_equal(files_in(d.path), 1);
    check_contents(d.path);
    folder_remove(&d);
}

static void bytes_of_the_file_follow_the_format(void **state)
{
    static const char want[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                               "\"none\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
                               "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                               "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[24,30]},"
                               "\"q\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[30,35]}}";
    struct folder d;
    struct srq_error err;
    char *data;
    size_t len, header;

    (void)state;
    folder_make(&d);
    write_all(d.path, 0);
    assert_ok(srq_read_file(folder_file(&d, "model.safetensors"), 10000, &data, &len, &err), &err);
    header = (uint8_t)data[0] + 256 * (size_t)(uint8_t)data[1];
    assert_int_equal((8 + header) % 8, 0);
    assert_int_equal(len, 8 + header + 35);
    assert_memory_equal(data + 8, want, sizeof(want) - 1);
    for (size_t i = 8 + sizeof(want) - 1; i < 8 + header; i++)
        assert_int_equal(data[i], ' ');
    assert_memory_equal(data + 8 + header, w_data, sizeof(w_data));
    srq_free(data);
    folder_remove(&d);
}

static void shards_follow_the_order_of_declaration_and_the_cap(void **state)
{
    static const char *const names[] = { "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                                         "model-00003-of-00003.safetensors", "model.safetensors.index.json" };
    struct folder d;

    (void)state;
    folder_make(&d);
    write_all(d.path, 10); /* q 5, b 6, w 24 (alone, above the cap), none 0 */
    for (int i = 0; i < 4; i++)
        assert_true(srq_path_exists(folder_file(&d, names[i])));
    assert_int_equal(files_in(d.path), 4);
    check_contents(d.path);
    folder_remove(&d);
}

static void names_of_any_characters_come_back(void **state)
{
    static const char name[] = "a\"b\\c\n\x01/\xc3\xa9\xf0\x9f\x98\x80";
    struct folder d;
    struct srq_tensor_writer *w;
    struct srq_tensors *ts;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    for (uint64_t shard_bytes = 0; shard_bytes <= 4; shard_bytes += 4) {
        assert_ok(srq_writer_create(d.path, "model", shard_bytes, &w, &err), &err);
        assert_ok(srq_writer_declare(w, name, SRQ_U8, 1, (int64_t[]){ 5 }, &err), &err);
        assert_ok(srq_writer_declare(w, "q", SRQ_U8, 1, (int64_t[]){ 5 }, &err), &err);
        assert_ok(srq_writer_begin(w, &err), &err);
        assert_ok(srq_writer_put(w, name, 0, q_data, 5, &err), &err);
        assert_ok(srq_writer_put(w, "q", 0, q_data, 5, &err), &err);
        assert_ok(srq_writer_finish(w, &err), &err);
        srq_writer_free(w);
        assert_ok(srq_tensors_open(d.path, &ts, &err), &err);
        assert_string_equal(srq_tensors_name(ts, 0), name);
        srq_tensors_close(ts);
    }
    folder_remove(&d);
}

static void stale_files_of_the_other_form_are_removed(void **state)
{
    struct folder d;

    (void)state;
    folder_make(&d);
    write_all(d.path, 0);
    write_all(d.path, 10);
    assert_false(srq_path_exists(folder_file(&d, "model.safetensors")));
    check_contents(d.path);
    write_all(d.path, 0);
    assert_false(srq_path_exists(folder_file(&d, "model.safetensors.index.json")));
    check_contents(d.path);
    folder_remove(&d);
}

SKIPPABLE(reference_library_reads_what_was_written);

static void reference_library_reads_what_was_written(void **state)
{
    static const char program[] =
        "import sys, json, glob\n"
        "try:\n"
        " import safetensors, numpy, torch\n"
        "except ImportError: print('missing'); sys.exit()\n"
        "out = []\n"
        "for f in sorted(glob.glob(sys.argv[1] + '/*.safetensors')):\n"
        " with safetensors.safe_open(f, 'pt') as s:\n"
        "  assert s.metadata() == {'format': 'pt'}\n"
        "  out += [(k, list(s.get_tensor(k).shape), s.get_tensor(k).flatten().tolist()) for k in s.keys()]\n"
        "print(json.dumps(sorted(out)))\n";
    static const char want[] = "[[\"b\", [3], [1.0, 2.0, 3.0]], [\"none\", [0, 3], []], [\"q\", [5], [9, 8, 7, 6, 5]], "
                               "[\"w\", [2, 3], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]]\n";
    const char *python = getenv("SRQ_PYTHON");
    char command[1024], line[512] = "";
    struct folder d;
    FILE *p;

    (void)state;
    folder_make(&d);
    for (int shards = 0; shards < 2; shards++) {
        write_all(d.path, shards ? 10 : 0);
        folder_write(&d, "read.py", program, sizeof(program) - 1);
        snprintf(command, sizeof(command), "'%s' '%s' '%s' 2>&1", python != NULL ? python : "python3", d.file, d.path);
        p = popen(command, "r");
        assert_non_null(p);
        if (fgets(line, sizeof(line), p) == NULL || strcmp(line, "missing\n") == 0) {
            pclose(p);
            folder_remove(&d);
            skip_because(reference_library_reads_what_was_written, "no Python with safetensors and torch (SRQ_PYTHON)");
            return;
        }
        pclose(p);
        assert_string_equal(line, want);
    }
    folder_remove(&d);
}

static void nothing_is_visible_before_finish_nor_left_without_it(void **state)
{
    struct folder d;
    struct srq_tensor_writer *w;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    assert_ok(srq_writer_create(d.path, "model", 10, &w, &err), &err);
    declare_all(w);
    assert_ok(srq_writer_begin(w, &err), &err);
    fill_all(w);
    assert_false(srq_path_exists(folder_file(&d, "model-00001-of-00003.safetensors")));
    srq_writer_free(w);
    assert_int_equal(files_in(d.path), 0);
    folder_remove(&d);
}

static void a_tensor_that_was_not_filled_is_named(void **state)
{
    struct folder d;
    struct srq_tensor_writer *w;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    assert_ok(srq_writer_create(d.path, "model", 0, &w, &err), &err);
    declare_all(w);
    assert_ok(srq_writer_begin(w, &err), &err);
    assert_ok(srq_writer_put(w, "q", 0, q_data, 4, &err), &err);
    assert_refused(srq_writer_finish(w, &err), -SRQ_ESTATE, &err, "tensor \"b\" has 0 of its 6 bytes");
    assert_int_equal(files_in(d.path), 0);
    assert_refused(srq_writer_put(w, "q", 4, q_data, 1, &err), -SRQ_ESTATE, &err, "after it failed");
    srq_writer_free(w);
    folder_remove(&d);
}

static void misuse_is_refused_by_name(void **state)
{
    struct folder d;
    struct srq_tensor_writer *w;
    struct srq_error err;
    int64_t big[] = { INT64_MAX, 2 };

    (void)state;
    folder_make(&d);
    assert_refused(srq_writer_create(d.path, "../x", 0, &w, &err), -SRQ_EINVAL, &err, "../x");
    assert_ok(srq_writer_create(d.path, "model", 0, &w, &err), &err);
    assert_refused(srq_writer_declare(w, "__metadata__", SRQ_U8, 1, big, &err), -SRQ_EINVAL, &err, "__metadata__");
    assert_refused(srq_writer_declare(w, "x\xc0\x80", SRQ_U8, 1, big, &err), -SRQ_EINVAL, &err, "cannot have the name");
    assert_refused(srq_writer_declare(w, "big", SRQ_U8, 2, big, &err), -SRQ_EINVAL, &err, "\"big\"");
    assert_refused(srq_writer_declare(w, "r", SRQ_U8, 9, big, &err), -SRQ_EINVAL, &err, "9 dimensions");
    assert_refused(srq_writer_put(w, "q", 0, q_data, 1, &err), -SRQ_ESTATE, &err, "before it has begun");
    declare_all(w);
    assert_ok(srq_writer_begin(w, &err), &err);
    assert_refused(srq_writer_declare(w, "late", SRQ_U8, 1, big, &err), -SRQ_ESTATE, &err, "after it has begun");
    assert_refused(srq_writer_put(w, "zz", 0, q_data, 1, &err), -SRQ_EINVAL, &err, "\"zz\" was not declared");
    assert_refused(srq_writer_put(w, "q", 3, q_data, 3, &err), -SRQ_EINVAL, &err, "beyond the 5 bytes of tensor \"q\"");
    assert_ok(srq_writer_put(w, "q", 0, q_data, 5, &err), &err);
    assert_refused(srq_writer_put(w, "q", 0, q_data, 5, &err), -SRQ_ESTATE, &err, "more than once");
    srq_writer_free(w);
    assert_ok(srq_writer_create(d.path, "model", 0, &w, &err), &err);
    assert_ok(srq_writer_declare(w, "twice", SRQ_U8, 0, NULL, &err), &err);
    assert_ok(srq_writer_declare(w, "twice", SRQ_U8, 0, NULL, &err), &err);
    assert_refused(srq_writer_begin(w, &err), -SRQ_EINVAL, &err, "\"twice\" was declared twice");
    srq_writer_free(w);
    assert_int_equal(files_in(d.path), 0);
    folder_remove(&d);
}

static void too_little_space_is_refused_before_writing(void **state)
{
    struct folder d;
    struct srq_tensor_writer *w;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    assert_ok(srq_writer_create(d.path, "model", 0, &w, &err), &err);
    assert_ok(srq_writer_declare(w, "huge", SRQ_U8, 1, (int64_t[]){ INT64_C(1) << 60 }, &err), &err);
    assert_refused(srq_writer_begin(w, &err), -SRQ_ENOSPC, &err, "model.safetensors: 1152921504606846976 bytes");
    assert_int_equal(files_in(d.path), 0);
    srq_writer_free(w);
    folder_remove(&d);
}

static void disk_full_at_any_write_names_the_file_and_leaves_nothing(void **state)
{
    struct folder d;
    struct srq_error err;

    (void)state;
    for (int n = 1; n <= 3; n++) {
        struct srq_tensor_writer *w;
        int rc;

        folder_make(&d);
        assert_ok(srq_writer_create(d.path, "model", 10, &w, &err), &err);
        declare_all(w);
        assert_ok(srq_writer_begin(w, &err), &err);
        full_at = n;
        rc = srq_writer_put(w, "q", 0, q_data, 5, &err);
        if (rc == 0)
            rc = srq_writer_put(w, "b", 0, b_data, 6, &err);
        if (rc == 0)
            rc = srq_writer_put(w, "w", 0, w_data, 24, &err);
        full_at = 0;
        assert_refused(rc, -SRQ_ENOSPC, &err, "-of-00003.safetensors: No space left");
        assert_int_equal(files_in(d.path), 0);
        srq_writer_free(w);
        folder_remove(&d);
    }
}

static void folder_that_does_not_exist_is_named(void **state)
{
    struct srq_tensor_writer *w;
    struct srq_error err;

    (void)state;
    assert_ok(srq_writer_create("/nonexistent-folder", "model", 0, &w, &err), &err);
    assert_ok(srq_writer_declare(w, "q", SRQ_U8, 0, NULL, &err), &err);
    assert_refused(srq_writer_begin(w, &err), -SRQ_ENOENT, &err, "/nonexistent-folder");
    srq_writer_free(w);
}

struct nth {
    int left;
};

static bool fail_nth(size_t size, void *ctx)
{
    (void)size;
    return ((struct nth *)ctx)->left-- != 0;
}

static int write_once(const char *dir, struct srq_error *err)
{
    struct srq_tensor_writer *w;
    int rc = srq_writer_create(dir, "model", 4, &w, err);

    if (rc != 0)
        return rc;
    rc = srq_writer_declare(w, "a", SRQ_U8, 1, (int64_t[]){ 5 }, err);
    if (rc == 0)
        rc = srq_writer_declare(w, "b", SRQ_U8, 1, (int64_t[]){ 5 }, err);
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    if (rc == 0)
        rc = srq_writer_put(w, "a", 0, q_data, 5, err);
    if (rc == 0)
        rc = srq_writer_put(w, "b", 0, q_data, 5, err);
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    return rc;
}

static void every_failed_allocation_is_reported_and_leaves_nothing(void **state)
{
    struct folder d;
    struct srq_error err;
    int failures = 0;

    (void)state;
    folder_make(&d);
    for (;; failures++) {
        struct nth n = { failures };
        int rc;

        srq_set_alloc_hook(fail_nth, &n);
        rc = write_once(d.path, &err);
        srq_set_alloc_hook(NULL, NULL);
        if (n.left >= 0)
            break;
        if (rc == 0)
            fail_msg("allocation %d failed and nobody said so", failures);
        assert_refused(rc, -SRQ_ENOMEM, &err, "out of memory");
        assert_int_equal(files_in(d.path), 0);
    }
    assert_true(failures > 20);
    assert_int_equal(files_in(d.path), 3);
    folder_remove(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_back),
        cmocka_unit_test(bytes_of_the_file_follow_the_format),
        cmocka_unit_test(shards_follow_the_order_of_declaration_and_the_cap),
        cmocka_unit_test(names_of_any_characters_come_back),
        cmocka_unit_test(stale_files_of_the_other_form_are_removed),
        skippable_unit_test(reference_library_reads_what_was_written),
        cmocka_unit_test(nothing_is_visible_before_finish_nor_left_without_it),
        cmocka_unit_test(a_tensor_that_was_not_filled_is_named),
        cmocka_unit_test(misuse_is_refused_by_name),
        cmocka_unit_test(too_little_space_is_refused_before_writing),
        cmocka_unit_test(disk_full_at_any_write_names_the_file_and_leaves_nothing),
        cmocka_unit_test(folder_that_does_not_exist_is_named),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaves_nothing),
    };

    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
