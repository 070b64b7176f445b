/* Base and tensor: the random generator against its published vectors, conversions exhaustively, buffers, files. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/base64.h"
#include "core/base/buf.h"
#include "core/base/cache_dir.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/tensor/tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Known-answer vectors of Philox4x32-10 published with Random123. */
static void philox_gives_the_published_vectors(void **state)
{
    const uint32_t zero[4] = { 0 }, ones[4] = { ~0u, ~0u, ~0u, ~0u };
    const uint32_t want0[4] = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };
    const uint32_t want1[4] = { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd };
    uint32_t out[4];

    (void)state;
    srq_philox(zero, zero, out);
    assert_memory_equal(out, want0, sizeof(out));
    srq_philox(ones, ones, out);
    assert_memory_equal(out, want1, sizeof(out));
}

static void shuffle_is_a_permutation_and_repeats(void **state)
{
    int64_t a[257], b[257];
    int seen[257] = { 0 };

    (void)state;
    srq_rng_shuffle(42, 7, a, 257);
    srq_rng_shuffle(42, 7, b, 257);
    assert_memory_equal(a, b, sizeof(a));
    for (int i = 0; i < 257; i++)
        seen[a[i]]++;
    for (int i = 0; i < 257; i++)
        assert_int_equal(seen[i], 1);
    srq_rng_shuffle(42, 8, b, 257);
    assert_memory_not_equal(a, b, sizeof(a));
}

static void f16_round_trips_every_value(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = srq_f16_to_f32((uint16_t)h);

        if (isnan(f))
            assert_true(isnan(srq_f16_to_f32(srq_f32_to_f16(f))));
        else
            assert_int_equal(srq_f32_to_f16(f), h);
    }
}

static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) { /* midpoints between neighbours are exact in f32 */
        float mid = (srq_f16_to_f32((uint16_t)h) + srq_f16_to_f32((uint16_t)(h + 1))) / 2;

        assert_int_equal(srq_f32_to_f16(mid), h & 1 ? h + 1 : h);
        assert_int_equal(srq_f32_to_f16(nextafterf(mid, 0)), h);
        assert_int_equal(srq_f32_to_f16(nextafterf(mid, INFINITY)), h + 1);
    }
    assert_int_equal(srq_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(srq_f32_to_f16(65520.0f), 0x7c00);
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    assert_int_equal(srq_f32_to_bf16(1.0f), 0x3f80);
    assert_int_equal(srq_f32_to_bf16(1.00390625f), 0x3f80); /* 1 + 2^-8: tie to even */
    assert_int_equal(srq_f32_to_bf16(1.01171875f), 0x3f82); /* 1 + 3*2^-8: tie to even, up */
    assert_true(isnan(srq_bf16_to_f32(srq_f32_to_bf16(NAN))));
}

static void e4m3_round_trips_every_value(void **state)
{
    (void)state;
    for (int b = 0; b < 256; b++) {
        float f = srq_e4m3_to_f32((uint8_t)b);

        if (!isnan(f))
            assert_int_equal(srq_f32_to_e4m3(f), b);
    }
    assert_int_equal(srq_f32_to_e4m3(1e9f), 0x7e);
    assert_true(srq_e4m3_to_f32(0x7e) == 448.0f);
}

static void convert_agrees_with_the_scalar_functions(void **state)
{
    float in[1000], back[1000];
    uint16_t h[1000];

    (void)state;
    for (int i = 0; i < 1000; i++)
        in[i] = (float)(srq_rng_uniform(1, 2, (uint64_t)i) - 0.5) * 1000.0f;
    assert_int_equal(srq_convert(in, SRQ_F32, h, SRQ_BF16, 1000), 0);
    assert_int_equal(srq_convert(h, SRQ_BF16, back, SRQ_F32, 1000), 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(h[i], srq_f32_to_bf16(in[i]));
        assert_true(back[i] == srq_bf16_to_f32(h[i]));
    }
    assert_int_equal(srq_convert(in, SRQ_F32, h, SRQ_I8, 1), -SRQ_EUNSUPPORTED);
}

static void tensor_count_refuses_overflow(void **state)
{
    struct srq_tensor t = { .dtype = SRQ_F32, .rank = 3, .shape = { INT64_MAX / 2, 3, 2 } };

    (void)state;
    assert_int_equal(srq_tensor_count(&t), -1);
    t.rank = 0;
    assert_int_equal(srq_tensor_count(&t), 1);
    t = srq_tensor_2d(NULL, SRQ_BF16, 3, 5);
    assert_int_equal(srq_tensor_count(&t), 15);
}

static void nonfinite_is_found_where_it_is(void **state)
{
    uint16_t bf[10000] = { 0 };
    float f[5] = { 0, 1, 2, INFINITY, NAN };
    struct srq_tensor t = srq_tensor_2d(bf, SRQ_BF16, 100, 100);

    (void)state;
    assert_int_equal(srq_tensor_first_nonfinite(&t), -1);
    bf[8191] = 0x7fc0;
    assert_int_equal(srq_tensor_first_nonfinite(&t), 8191);
    t = srq_tensor_2d(f, SRQ_F32, 1, 5);
    assert_int_equal(srq_tensor_first_nonfinite(&t), 3);
}

static void buffer_stops_at_its_maximum(void **state)
{
    struct srq_buf b;

    (void)state;
    srq_buf_init(&b, 10);
    assert_true(srq_buf_printf(&b, "%d", 12345));
    assert_true(srq_buf_puts(&b, "67890"));
    assert_false(srq_buf_puts(&b, "x"));
    assert_true(b.failed);
    assert_string_equal(b.data, "1234567890");
    srq_buf_fini(&b);
}

static bool fail_all(size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    return false;
}

static void allocation_hook_makes_allocations_fail(void **state)
{
    void *p;

    (void)state;
    srq_set_alloc_hook(fail_all, NULL);
    p = srq_malloc(1);
    srq_set_alloc_hook(NULL, NULL);
    assert_null(p);
}

static void durable_write_replaces_and_reads_back(void **state)
{
    char dir[] = "/tmp/srq-base-XXXXXX", *path, *data;
    struct srq_error err = { 0 };
    size_t len;

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = srq_path_join(dir, "a");
    assert_ok(srq_write_file_durable(path, "one", 3, 0600, &err), &err);
    assert_ok(srq_write_file_durable(path, "twotwo", 6, 0600, &err), &err);
    assert_ok(srq_read_file(path, 100, &data, &len, &err), &err);
    assert_int_equal(len, 6);
    assert_string_equal(data, "twotwo");
    srq_free(data);
    assert_refused(srq_read_file(path, 5, &data, &len, &err), -SRQ_ELIMIT, &err, path);
    srq_free(path);
    assert_ok(srq_remove_tree(dir, &err), &err);
    assert_false(srq_path_exists(dir));
}

static void parts_are_written_and_hashed_as_one(void **state)
{
    const struct srq_part parts[] = { { "one", 3 }, { NULL, 0 }, { "two", 3 } };
    char dir[] = "/tmp/srq-base-XXXXXX", *path, *data;
    struct srq_error err = { 0 };
    uint64_t hash;
    size_t len;

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = srq_path_join(dir, "a");
    assert_ok(srq_write_parts_durable(path, "a.tmp", parts, 3, 0600, &err), &err);
    assert_ok(srq_read_file(path, 100, &data, &len, &err), &err);
    assert_int_equal(len, 6);
    assert_string_equal(data, "onetwo");
    assert_int_equal(srq_hash64_parts(parts, 3, &hash), 0);
    assert_true(hash == srq_hash64("onetwo", 6));
    srq_free(data);
    srq_free(path);
    assert_ok(srq_remove_tree(dir, &err), &err);
}

static void a_durable_write_that_fails_leaves_nothing_behind(void **state)
{
    const struct srq_part part = { "new", 3 };
    char dir[] = "/tmp/srq-base-XXXXXX", *path, *inside, *tmp;
    struct srq_error err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = srq_path_join(dir, "a");
    inside = srq_path_join(path, "b");
    tmp = srq_path_join(dir, "a.tmp");
    assert_ok(srq_mkdirs(inside, 0700, &err), &err); /* a name that cannot be taken: the last step fails */
    assert_refused(srq_write_parts_durable(path, "a.tmp", &part, 1, 0600, &err), -SRQ_EEXIST, &err, path);
    assert_false(srq_path_exists(tmp));
    assert_true(srq_path_exists(inside));
    srq_free(path);
    srq_free(inside);
    srq_free(tmp);
    assert_ok(srq_remove_tree(dir, &err), &err);
}

static void a_file_that_shrinks_is_an_error_not_a_crash(void **state)
{
    char dir[] = "/tmp/srq-base-XXXXXX", *path, page[8192] = { 1, 2, 3 };
    struct srq_error err = { 0 };
    struct srq_map map;
    int sum = 0;

    (void)state;
    assert_non_null(mkdtemp(dir));
    path = srq_path_join(dir, "a");
    page[8191] = 7;
    assert_ok(srq_write_file_durable(path, page, sizeof(page), 0600, &err), &err);
    assert_ok(srq_map_open(path, &map, &err), &err);
    assert_int_equal(map.data[8191], 7);
    assert_int_equal(truncate(path, 10), 0);
    for (size_t i = 0; i < map.size; i++)
        sum += map.data[i];
    assert_int_equal(sum, 6);
    assert_refused(srq_map_check(&map, &err), -SRQ_EIO, &err, "shrank");
    srq_map_close(&map);
    srq_free(path);
    assert_ok(srq_remove_tree(dir, &err), &err);
}

static void base_names_from_files_are_checked(void **state)
{
    (void)state;
    assert_true(srq_is_base_name("model-00001-of-00002.safetensors"));
    assert_false(srq_is_base_name("../x"));
    assert_false(srq_is_base_name("a/b"));
    assert_false(srq_is_base_name(".hidden"));
    assert_false(srq_is_base_name("a\\b"));
    assert_false(srq_is_base_name(""));
}

/* Only what another attempt may overcome is "io": a job is tried again then. */
static void failures_that_stay_are_told_from_those_that_pass(void **state)
{
    static const struct {
        int number, code;
    } rows[] = {
        { ENAMETOOLONG, -SRQ_EINVAL }, { ELOOP, -SRQ_EINVAL },        { EISDIR, -SRQ_EEXIST }, { EFBIG, -SRQ_ELIMIT },
        { EXDEV, -SRQ_EUNSUPPORTED },  { ENOSYS, -SRQ_EUNSUPPORTED }, { EIO, -SRQ_EIO },       { ESTALE, -SRQ_EIO },
    };
    struct srq_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        errno = rows[i].number;
        assert_int_equal(srq_fail_errno(&err, "open", "x"), rows[i].code);
    }
}

static void canonical(const char *in, const char *top, const char *want)
{
    char *path = in[0] == '/' ? srq_strdup(in) : srq_asprintf("%s/%s", top, in);
    char *real = realpath(top, NULL), *expected = want[0] == '/' ? srq_strdup(want) : srq_path_join(real, want);
    char *got = srq_path_canonical(path);

    assert_string_equal(got, expected);
    srq_free(got);
    srq_free(expected);
    free(real);
    srq_free(path);
}

static void a_folder_has_one_name_however_it_is_spelled(void **state)
{
    char top[] = "/tmp/srq-path.XXXXXX", *link, *dir;
    struct srq_error err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(top));
    dir = srq_path_join(top, "dir");
    link = srq_path_join(top, "link");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(symlink(dir, link), 0);
    canonical("dir/out", top, "dir/out");
    canonical("link/out", top, "dir/out");
    canonical("link//./out/", top, "dir/out");
    canonical("dir/../link/a/../out", top, "dir/out");
    canonical("new/../../x", top, "/tmp/x");
    canonical("link/../y", top, "y"); /* what the kernel takes it for: above the folder that the link names */
    canonical("/", top, "/");
    canonical("/../..", top, "/");
    assert_true(srq_path_within("/a/b", "/a") && srq_path_within("/a", "/a") && srq_path_within("/a", "/"));
    assert_false(srq_path_within("/ab", "/a") || srq_path_within("/a", "/a/b"));
    srq_free(dir);
    srq_free(link);
    assert_ok(srq_remove_tree(top, &err), &err);
}

static void put_file(const char *dir, const char *name, size_t bytes, double age_s)
{
    char *path = srq_path_join(dir, name);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - (time_t)age_s } };
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0); /* sparse */
    assert_int_equal(close(fd), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    srq_free(path);
}

static bool has_file(const char *dir, const char *name)
{
    char *path = srq_path_join(dir, name);
    bool there = srq_path_exists(path);

    srq_free(path);
    return there;
}

#define HASH_A "0123456789abcdef0123456789abcdef"
#define HASH_B "1123456789abcdef0123456789abcdef"
#define HASH_C "2123456789abcdef0123456789abcdef"

static void a_cache_forgets_what_nobody_uses(void **state)
{
    char dir[] = "/tmp/srq-cache.XXXXXX";
    const size_t half = (size_t)SRQ_CACHE_BYTES_MAX / 2 + 1;
    struct srq_error err = { 0 };
    char *path;

    (void)state;
    assert_non_null(mkdtemp(dir));
    put_file(dir, HASH_A ".json", 10, SRQ_CACHE_UNUSED_S + 3600);
    put_file(dir, HASH_B ".json", 10, SRQ_CACHE_UNUSED_S - 3600);
    put_file(dir, HASH_C ".json.tmp", 10, SRQ_CACHE_UNUSED_S + 3600); /* a killed process's */
    put_file(dir, "notes.txt", 10, SRQ_CACHE_UNUSED_S + 3600);        /* nobody's */
    srq_cache_tidy(dir);
    assert_false(has_file(dir, HASH_A ".json") || has_file(dir, HASH_C ".json.tmp"));
    assert_true(has_file(dir, HASH_B ".json") && has_file(dir, "notes.txt"));
    put_file(dir, HASH_A ".json", half, 200);
    put_file(dir, HASH_C ".json", half, 100);
    path = srq_path_join(dir, HASH_A ".json");
    srq_cache_used(path); /* so that the other is the one longer unused */
    srq_free(path);
    srq_cache_tidy(dir);
    assert_true(has_file(dir, HASH_A ".json"));
    assert_false(has_file(dir, HASH_B ".json") || has_file(dir, HASH_C ".json"));
    srq_cache_tidy("/nonexistent");
    assert_ok(srq_remove_tree(dir, &err), &err);
}

/* The vectors of RFC 4648, section 10, and every length there and back. */
static void bytes_become_text_and_come_back(void **state)
{
    static const char *const rows[][2] = { { "", "" },
                                           { "f", "Zg==" },
                                           { "fo", "Zm8=" },
                                           { "foo", "Zm9v" },
                                           { "foob", "Zm9vYg==" },
                                           { "fooba", "Zm9vYmE=" },
                                           { "foobar", "Zm9vYmFy" } };
    static const char *const wrong[] = { "",     "Zg=",  "Zg==Zg==", "Zh==",    "Z===",
                                         "Zg=A", "=g==", "Z g=",     "Zg\xff=", "!!==" };
    uint8_t bytes[256], back[256];
    char text[SRQ_BASE64_LEN(256) + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        srq_base64_put((const uint8_t *)rows[i][0], strlen(rows[i][0]), text);
        assert_string_equal(text, rows[i][1]);
    }
    for (size_t n = 0; n <= 256; n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (uint8_t)(255 - i * 7);
        srq_base64_put(bytes, n, text);
        assert_int_equal(strlen(text), SRQ_BASE64_LEN(n));
        assert_true(srq_base64_get(text, back, n));
        assert_memory_equal(bytes, back, n);
        assert_false(n + 3 <= 256 && srq_base64_get(text, back, n + 3));
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (srq_base64_get(wrong[i], back, 1))
            fail_msg("\"%s\" is no byte", wrong[i]);
}

static void control_characters_are_escaped(void **state)
{
    char out[32], small[6];

    (void)state;
    assert_string_equal(srq_escape_control("a\033[1m\n", out, sizeof(out)), "a\\x1b[1m\\x0a");
    assert_string_equal(srq_escape_control("abc\033", small, sizeof(small)), "abc");
    /* Nor may bytes of no character, or controls of Latin-1, which some terminals obey. */
    assert_string_equal(srq_escape_control("\xc3\xa4\xff\xe2\x82", out, sizeof(out)), "\xc3\xa4\\xff\\xe2\\x82");
    assert_string_equal(srq_escape_control("\xc2\x9b", out, sizeof(out)), "\\xc2\\x9b");
    assert_string_equal(srq_escape_control("abcd\xc3\xa4", small, sizeof(small)), "abcd");
}

static void hash_depends_on_boundaries_of_texts(void **state)
{
    struct srq_hash *a = srq_hash_create(), *b = srq_hash_create();
    char x[SRQ_HASH_HEX], y[SRQ_HASH_HEX];

    (void)state;
    srq_hash_add_text(a, "ab");
    srq_hash_add_text(a, "c");
    srq_hash_add_text(b, "a");
    srq_hash_add_text(b, "bc");
    srq_hash_hex(a, x);
    srq_hash_hex(b, y);
    assert_string_not_equal(x, y);
    srq_hash_free(a);
    srq_hash_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_vectors),
        cmocka_unit_test(shuffle_is_a_permutation_and_repeats),
        cmocka_unit_test(f16_round_trips_every_value),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(e4m3_round_trips_every_value),
        cmocka_unit_test(convert_agrees_with_the_scalar_functions),
        cmocka_unit_test(tensor_count_refuses_overflow),
        cmocka_unit_test(nonfinite_is_found_where_it_is),
        cmocka_unit_test(buffer_stops_at_its_maximum),
        cmocka_unit_test(allocation_hook_makes_allocations_fail),
        cmocka_unit_test(durable_write_replaces_and_reads_back),
        cmocka_unit_test(parts_are_written_and_hashed_as_one),
        cmocka_unit_test(a_durable_write_that_fails_leaves_nothing_behind),
        cmocka_unit_test(a_file_that_shrinks_is_an_error_not_a_crash),
        cmocka_unit_test(base_names_from_files_are_checked),
        cmocka_unit_test(a_cache_forgets_what_nobody_uses),
        cmocka_unit_test(a_folder_has_one_name_however_it_is_spelled),
        cmocka_unit_test(failures_that_stay_are_told_from_those_that_pass),
        cmocka_unit_test(bytes_become_text_and_come_back),
        cmocka_unit_test(control_characters_are_escaped),
        cmocka_unit_test(hash_depends_on_boundaries_of_texts),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
