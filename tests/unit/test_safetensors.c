/* Reading safetensors: every rule of the format, one refusal each; shards and their index; hostile bytes. */
#include "tests/unit/folder.h"

#include "core/base/alloc.h"
#include "core/format/st_header.h"
#include "core/format/tensors.h"

#include <signal.h>
#include <sys/stat.h>

static struct sigaction guard; /* of mapped files; cmocka puts its own handler in the way before each test */

static void install_guard(void)
{
    struct srq_map map;

    if (srq_map_open("/proc/self/exe", &map, NULL) == 0)
        srq_map_close(&map);
    sigaction(SIGBUS, NULL, &guard);
}

/* A file image: length, header as given, then `data_len` bytes 0, 1, 2, …. Freed by the caller. */
static uint8_t *image(const char *header, size_t data_len, size_t *len)
{
    size_t n = strlen(header);
    uint8_t *p = malloc(8 + n + data_len);

    assert_non_null(p);
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(p + 8, header, n);
    for (size_t i = 0; i < data_len; i++)
        p[8 + n + i] = (uint8_t)i;
    *len = 8 + n + data_len;
    return p;
}

static void write_image(struct folder *d, const char *name, const char *header, size_t data_len)
{
    size_t len;
    uint8_t *p = image(header, data_len, &len);

    folder_write(d, name, p, len);
    free(p);
}

static int read_image(const char *header, size_t data_len, struct srq_error *err)
{
    struct srq_st_header h;
    size_t len;
    uint8_t *p = image(header, data_len, &len);
    int rc = srq_st_header_read(p, len, "x.safetensors", &h, err);

    if (rc == 0)
        srq_st_header_fini(&h);
    free(p);
    return rc;
}

/* A header as the format's own description shows it: two matrices, a scalar, an empty tensor, metadata, padding. */
static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                           "\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]},"
                           "\"s\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[28,32]},"
                           "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[32,32]}}    ";

static void good_file_gives_names_shapes_and_bytes(void **state)
{
    struct folder d;
    struct srq_tensors *ts;
    struct srq_tensor t;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_image(&d, "model.safetensors", good, 32);
    assert_ok(srq_tensors_open(d.path, &ts, &err), &err);
    assert_int_equal(srq_tensors_count(ts), 4);
    assert_string_equal(srq_tensors_name(ts, 0), "a");
    assert_string_equal(srq_tensors_name(ts, 3), "s");
    assert_null(srq_tensors_name(ts, 4));
    assert_int_equal(srq_tensors_bytes(ts), 32);
    assert_true(srq_tensors_get(ts, "b", &t));
    assert_int_equal(t.dtype, SRQ_F32);
    assert_int_equal(t.rank, 2);
    assert_int_equal(t.shape[0], 2);
    assert_int_equal(t.shape[1], 3);
    assert_int_equal(((const uint8_t *)t.data)[23], 23);
    assert_true(srq_tensors_get(ts, "a", &t));
    assert_int_equal(*(const uint8_t *)t.data, 24);
    assert_true(srq_tensors_get(ts, "s", &t));
    assert_int_equal(t.rank, 0);
    assert_true(srq_tensors_get(ts, "e", &t));
    assert_int_equal(t.shape[1], 7);
    assert_true(srq_tensors_describe(ts, "b", &t));
    assert_null(t.data);
    assert_false(srq_tensors_get(ts, "missing", &t));
    assert_ok(srq_tensors_check(ts, &err), &err);
    srq_tensors_close(ts);
    folder_remove(&d);
}

static void tensors_at_odd_addresses_are_read_through_aligned_copies(void **state)
{
    static const char odd[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[3,23]},"
                              "\"u\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,3]}}";
    uint8_t want[20];
    struct folder d;
    struct srq_tensors *ts;
    struct srq_tensor t, again;
    struct srq_error err;

    (void)state;
    for (int i = 0; i < 20; i++)
        want[i] = (uint8_t)(i + 3);
    for (int pad = 0; pad < 4; pad++) {
        char header[256];

        snprintf(header, sizeof(header), "%s%*s", odd, pad, "");
        folder_make(&d);
        write_image(&d, "x.safetensors", header, 23);
        assert_ok(srq_tensors_open(folder_file(&d, "x.safetensors"), &ts, &err), &err);
        assert_true(srq_tensors_get(ts, "w", &t));
        assert_int_equal((uintptr_t)t.data % 4, 0);
        assert_memory_equal(t.data, want, sizeof(want));
        srq_tensors_release(ts, &t);
        assert_memory_equal(t.data, want, sizeof(want));
        assert_true(srq_tensors_get(ts, "w", &again));
        assert_ptr_equal(t.data, again.data);
        srq_tensors_close(ts);
        folder_remove(&d);
    }
}

static void released_pages_are_read_again(void **state)
{
    static const char header[] = "{\"w\":{\"dtype\":\"U8\",\"shape\":[100000],\"data_offsets\":[0,100000]}}";
    struct folder d;
    struct srq_tensors *ts;
    struct srq_tensor t;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_image(&d, "x.safetensors", header, 100000);
    assert_ok(srq_tensors_open(folder_file(&d, "x.safetensors"), &ts, &err), &err);
    assert_true(srq_tensors_get(ts, "w", &t));
    srq_tensors_release(ts, &t);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(((const uint8_t *)t.data)[i], i & 255);
    srq_tensors_close(ts);
    folder_remove(&d);
}

static void a_file_that_shrinks_gives_an_error(void **state)
{
    static const char header[] = "{\"w\":{\"dtype\":\"U8\",\"shape\":[100000],\"data_offsets\":[0,100000]}}";
    struct folder d;
    struct srq_tensors *ts;
    struct srq_error err;
    char hex[33];

    (void)state;
    folder_make(&d);
    write_image(&d, "x.safetensors", header, 100000);
    assert_ok(srq_tensors_open(folder_file(&d, "x.safetensors"), &ts, &err), &err);
    assert_int_equal(truncate(d.file, 5000), 0);
    assert_int_equal(sigaction(SIGBUS, &guard, NULL), 0);
    assert_refused(srq_tensors_hash(ts, hex, &err), -SRQ_EIO, &err, "shrank");
    srq_tensors_close(ts);
    folder_remove(&d);
}

static void truncation_at_every_length_is_refused(void **state)
{
    struct srq_st_header h;
    struct srq_error err;
    size_t len;
    uint8_t *p = image(good, 32, &len);

    (void)state;
    for (size_t n = 0; n < len; n++) {
        uint8_t *cut = malloc(n > 0 ? n : 1); /* exact size, so that a sanitizer sees the first byte too far */
        const char *want = n < 8 ? "too few for a header length" : n < len - 32 ? "does not fit" : "the file has";

        assert_non_null(cut);
        memcpy(cut, p, n);
        assert_refused(srq_st_header_read(cut, n, "x", &h, &err), -SRQ_EFORMAT, &err, want);
        free(cut);
    }
    assert_ok(srq_st_header_read(p, len, "x", &h, &err), &err);
    srq_st_header_fini(&h);
    free(p);
}

#define T(fields) "{\"t\":{" fields "}}"

static void bad_headers_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        int code;
        const char *names;
    } rows[] = {
        { "", 0, -SRQ_EFORMAT, "does not start with '{'" },
        { " {}", 0, -SRQ_EFORMAT, "does not start with '{'" },
        { "[]", 0, -SRQ_EFORMAT, "does not start with '{'" },
        { "{}x", 0, -SRQ_EFORMAT, "bad JSON" },
        { "{\"a\":1", 0, -SRQ_EFORMAT, "bad JSON" },
        { "{\"\xff\":1}", 0, -SRQ_EFORMAT, "bad JSON" },
        { "{\"\\ud800\":1}", 0, -SRQ_EFORMAT, "bad JSON" },
        { "{\"a\":1}", 0, -SRQ_EFORMAT, "\"a\" is not described by an object" },
        { "{\"a\":{},\"a\":{}}", 0, -SRQ_EFORMAT, "duplicate" },
        { "{\"__metadata__\":[]}", 0, -SRQ_EFORMAT, "__metadata__ is not an object" },
        { "{\"__metadata__\":{\"k\":1}}", 0, -SRQ_EFORMAT, "\"k\" is not a string" },
        { "{}", 1, -SRQ_EFORMAT, "describes 0 bytes of data, the file has 1" },
        { T("\"shape\":[1],\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT, "\"t\" has no dtype" },
        { T("\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT, "unknown dtype \"F33\"" },
        { T("\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]"), 1, -SRQ_EUNSUPPORTED, "dtype F4" },
        { T("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT, "\"t\" has no shape" },
        { T("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT, "dimension 0" },
        { T("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT, "dimension 0" },
        { T("\"dtype\":\"F32\",\"shape\":[1,\"1\"],\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT, "dimension 1" },
        { T("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT, "bad JSON" },
        { T("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]"), 1, -SRQ_EUNSUPPORTED,
          "9 dimensions" },
        { T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0, -SRQ_EFORMAT,
          "overflows" },
        { T("\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 0, -SRQ_EFORMAT, "overflows" },
        { T("\"dtype\":\"F32\",\"shape\":[1]"), 4, -SRQ_EFORMAT, "data_offsets" },
        { T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4, -SRQ_EFORMAT, "data_offsets" },
        { T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]"), 4, -SRQ_EFORMAT, "data_offsets" },
        { T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]"), 4, -SRQ_EFORMAT, "data_offsets" },
        { T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]"), 8, -SRQ_EFORMAT, "before its begin" },
        { T("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), 4, -SRQ_EFORMAT,
          "needs 8 bytes by its shape and has 4" },
        { T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8, -SRQ_EFORMAT,
          "begins at byte 4 where 0 was due" },
        { T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 5, -SRQ_EFORMAT, "the file has 5" },
        { T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 3, -SRQ_EFORMAT, "the file has 3" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
          6, -SRQ_EFORMAT, "\"b\" begins at byte 2 where 4 was due" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
          "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[6,10]}}",
          10, -SRQ_EFORMAT, "\"b\" begins at byte 6 where 4 was due" },
    };
    struct srq_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_refused(read_image(rows[i].header, rows[i].data, &err), rows[i].code, &err, rows[i].names);
}

static void lying_header_length_is_refused(void **state)
{
    uint8_t p[16] = { 0 };
    struct srq_st_header h;
    struct srq_error err;

    (void)state;
    memset(p, 0xff, 8);
    assert_refused(srq_st_header_read(p, sizeof(p), "x", &h, &err), -SRQ_ELIMIT, &err, "18446744073709551615 bytes");
    memset(p, 0, 8);
    p[0] = 9;
    assert_refused(srq_st_header_read(p, sizeof(p), "x", &h, &err), -SRQ_EFORMAT, &err, "9 bytes does not fit");
}

static void deep_nesting_is_refused_before_parsing(void **state)
{
    char header[1024] = "{\"a\":";
    struct srq_error err;

    (void)state;
    memset(header + 5, '[', 500);
    assert_refused(read_image(header, 0, &err), -SRQ_ELIMIT, &err, "nested deeper than 64");
}

static void long_names_are_refused(void **state)
{
    char header[1400];
    struct srq_error err;

    (void)state;
    for (int n = 1024; n <= 1025; n++) {
        char name[1026];

        memset(name, 'n', sizeof(name));
        name[n] = '\0';
        snprintf(header, sizeof(header), "{\"%s\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", name);
        if (n == 1024)
            assert_ok(read_image(header, 1, &err), &err);
        else
            assert_refused(read_image(header, 1, &err), -SRQ_ELIMIT, &err, "1025 bytes, more than 1024");
    }
}

static void control_characters_in_names_are_escaped_in_errors(void **state)
{
    struct srq_error err;

    (void)state;
    assert_refused(read_image("{\"a\\u001b[2J\":1}", 0, &err), -SRQ_EFORMAT, &err, "a\\x1b[2J");
    assert_null(strchr(err.text, 0x1b));
}

/* ---- shards ------------------------------------------------------------------------------------------------------ */

#define SHARD(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}"
#define INDEX "model.safetensors.index.json"
#define S1 "model-00001-of-00002.safetensors"
#define S2 "model-00002-of-00002.safetensors"

static int open_with_index(struct folder *d, const char *index, struct srq_error *err)
{
    struct srq_tensors *ts;
    int rc;

    folder_write(d, INDEX, index, strlen(index));
    rc = srq_tensors_open(d->path, &ts, err);
    if (rc == 0)
        srq_tensors_close(ts);
    return rc;
}

static void shards_are_one_set(void **state)
{
    static const char index[] = "{\"metadata\":{\"total_size\":8},\"weight_map\":{\"b\":\"" S2 "\",\"a\":\"" S1 "\"}}";
    struct folder d;
    struct srq_tensors *ts;
    struct srq_tensor t;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_image(&d, S1, SHARD("a"), 4);
    write_image(&d, S2, SHARD("b"), 4);
    folder_write(&d, INDEX, index, sizeof(index) - 1);
    for (int by_file = 0; by_file < 2; by_file++) {
        assert_ok(srq_tensors_open(by_file ? folder_file(&d, INDEX) : d.path, &ts, &err), &err);
        assert_int_equal(srq_tensors_count(ts), 2);
        assert_int_equal(srq_tensors_bytes(ts), 8);
        assert_true(srq_tensors_get(ts, "a", &t));
        assert_true(srq_tensors_get(ts, "b", &t));
        assert_int_equal(((const uint8_t *)t.data)[3], 3);
        srq_tensors_close(ts);
    }
    folder_remove(&d);
}

static void single_file_wins_over_an_index(void **state)
{
    struct folder d;
    struct srq_tensors *ts;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_image(&d, "model.safetensors", SHARD("only"), 4);
    folder_write(&d, INDEX, "nonsense", 8);
    assert_ok(srq_tensors_open(d.path, &ts, &err), &err);
    assert_string_equal(srq_tensors_name(ts, 0), "only");
    srq_tensors_close(ts);
    folder_remove(&d);
}

static void diffusers_names_are_found(void **state)
{
    struct folder d;
    struct srq_tensors *ts;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_image(&d, "diffusion_pytorch_model.safetensors", SHARD("conv_in.weight"), 4);
    assert_ok(srq_tensors_open(d.path, &ts, &err), &err);
    assert_string_equal(srq_tensors_name(ts, 0), "conv_in.weight");
    srq_tensors_close(ts);
    folder_remove(&d);
}

static void index_and_shards_that_disagree_are_refused(void **state)
{
    static const struct {
        const char *index;
        int code;
        const char *names;
    } rows[] = {
        { "{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S1 "\",\"c\":\"" S2 "\"}}", -SRQ_EFORMAT,
          "holds tensor \"b\", which the index puts in " S1 },
        { "{\"weight_map\":{\"a\":\"" S1 "\",\"c\":\"" S2 "\"}}", -SRQ_EFORMAT,
          "\"b\", which the index does not list" },
        { "{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\",\"c\":\"" S2 "\"}}", -SRQ_EFORMAT,
          "puts tensor \"c\" in " S2 ", which does not hold it" },
        { "{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"absent.safetensors\"}}", -SRQ_ENOENT, "absent.safetensors" },
        { "{\"weight_map\":{\"a\":\"../" S1 "\"}}", -SRQ_EFORMAT, "not a plain file name" },
        { "{\"weight_map\":{\"a\":\"/etc/passwd\"}}", -SRQ_EFORMAT, "not a plain file name" },
        { "{\"weight_map\":{\"a\":\"x\\\\y\"}}", -SRQ_EFORMAT, "not a plain file name" },
        { "{\"weight_map\":{\"a\":\"..\"}}", -SRQ_EFORMAT, "not a plain file name" },
        { "{\"weight_map\":{\"a\":\".hidden\"}}", -SRQ_EFORMAT, "not a plain file name" },
        { "{\"weight_map\":{\"a\":\"\"}}", -SRQ_EFORMAT, "not a plain file name" },
        { "{\"weight_map\":{\"a\":\"x\\u0000y\"}}", -SRQ_EFORMAT, "bad JSON" },
        { "{\"weight_map\":{\"a\":3}}", -SRQ_EFORMAT, "is not a string" },
        { "{\"weight_map\":[]}", -SRQ_EFORMAT, "has no weight_map" },
        { "[]", -SRQ_EFORMAT, "has no weight_map" },
        { "{\"weight_map\":{\"a\":\"" S1 "\",\"a\":\"" S2 "\"}}", -SRQ_EFORMAT, "duplicate" },
        { "", -SRQ_EFORMAT, "bad JSON" },
    };
    struct folder d;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_image(&d, S1, SHARD("a"), 4);
    write_image(&d, S2, SHARD("b"), 4);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_refused(open_with_index(&d, rows[i].index, &err), rows[i].code, &err, rows[i].names);
    folder_remove(&d);
}

static void tensor_in_two_shards_is_refused(void **state)
{
    struct folder d;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_image(&d, S1, SHARD("a"), 4);
    write_image(&d, S2,
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
                "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[2,4]}}",
                4);
    assert_refused(open_with_index(&d, "{\"weight_map\":{\"a\":\"" S1 "\",\"b\":\"" S2 "\"}}", &err), -SRQ_EFORMAT,
                   &err, S2 " holds tensor \"a\", which the index puts in " S1);
    folder_remove(&d);
}

static void what_is_not_a_model_is_refused_by_name(void **state)
{
    struct folder d;
    struct srq_tensors *ts;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    assert_refused(srq_tensors_open(d.path, &ts, &err), -SRQ_ENOENT, &err, "holds no model.safetensors");
    assert_refused(srq_tensors_open(folder_file(&d, "no.safetensors"), &ts, &err), -SRQ_ENOENT, &err, "no.safetensors");
    assert_int_equal(mkfifo(folder_file(&d, "model.safetensors"), 0600), 0);
    assert_refused(srq_tensors_open(d.path, &ts, &err), -SRQ_EFORMAT, &err, "not a regular file");
    assert_null(ts);
    folder_remove(&d);
}

/* Tensors of a file of any kind stand among those of the set, and have to lie in it. */
static void a_set_takes_tensors_of_another_file(void **state)
{
    static const struct srq_tensors_place fine[] = {
        { .name = "c", .dtype = SRQ_F16, .rank = 2, .shape = { 2, 1 }, .begin = 4 },
        { .name = "aa", .dtype = SRQ_U8, .rank = 1, .shape = { 3 }, .begin = 13 },
    };
    static const struct {
        struct srq_tensors_place place;
        const char *says;
    } wrong[] = {
        { { .name = "x", .dtype = SRQ_U8, .rank = 1, .shape = { 5 }, .begin = 12 }, "does not hold tensor \"x\"" },
        { { .name = "x", .dtype = SRQ_U8, .rank = 1, .shape = { 1 }, .begin = UINT64_MAX },
          "does not hold tensor \"x\"" },
        { { .name = "x", .dtype = SRQ_F64, .rank = 2, .shape = { INT64_MAX, 4 } }, "does not hold tensor \"x\"" },
        { { .name = "x", .dtype = SRQ_F32, .rank = 1, .shape = { 1 }, .begin = 2 }, "does not hold tensor \"x\"" },
        { { .name = "b", .dtype = SRQ_F32, .rank = 1, .shape = { 1 } }, "tensor \"b\" is there twice" },
    };
    struct folder d;
    struct srq_tensors *ts;
    struct srq_tensor t;
    struct srq_error err;
    char other[sizeof(d.path) + 8];

    (void)state;
    folder_make(&d);
    write_image(&d, "model.safetensors", good, 32);
    snprintf(other, sizeof(other), "%s/other", d.path);
    assert_ok(srq_write_file_durable(other, "0123456789abcdef", 16, 0600, &err), &err);
    assert_ok(srq_tensors_open(d.path, &ts, &err), &err);
    assert_ok(srq_tensors_add(ts, other, fine, 2, &err), &err);
    assert_int_equal(srq_tensors_count(ts), 6);
    assert_string_equal(srq_tensors_name(ts, 1), "aa");
    assert_int_equal(srq_tensors_bytes(ts), 32 + 4 + 3);
    assert_true(srq_tensors_get(ts, "c", &t));
    assert_int_equal(t.dtype, SRQ_F16);
    assert_memory_equal(t.data, "4567", 4);
    assert_true(srq_tensors_get(ts, "aa", &t));
    assert_memory_equal(t.data, "def", 3);
    assert_true(srq_tensors_get(ts, "b", &t));
    assert_int_equal(((const uint8_t *)t.data)[23], 23);
    assert_ok(srq_tensors_check(ts, &err), &err);
    srq_tensors_close(ts);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_ok(srq_tensors_open(d.path, &ts, &err), &err);
        assert_refused(srq_tensors_add(ts, other, &wrong[i].place, 1, &err), -SRQ_EFORMAT, &err, wrong[i].says);
        srq_tensors_close(ts);
    }
    folder_remove(&d);
}

static void hash_sees_data_names_shapes_and_types(void **state)
{
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
        "{\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[2,2],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}   ", /* same content as the first */
        "{\"a\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[0,5]}}",
    };
    char hex[6][33];
    struct folder d;
    struct srq_tensors *ts;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    for (int i = 0; i < 6; i++) {
        write_image(&d, "x.safetensors", headers[i], i == 5 ? 5 : 4);
        assert_ok(srq_tensors_open(d.file, &ts, &err), &err);
        assert_ok(srq_tensors_hash(ts, hex[i], &err), &err);
        srq_tensors_close(ts);
        for (int j = 0; j < i; j++)
            assert_int_equal(strcmp(hex[i], hex[j]) == 0, i == 4 && j == 0);
    }
    folder_remove(&d);
}

/* ---- out of memory ----------------------------------------------------------------------------------------------- */

struct nth {
    int left;
};

static bool fail_nth(size_t size, void *ctx)
{
    struct nth *n = ctx;

    (void)size;
    return n->left-- != 0;
}

static void every_failed_allocation_is_reported(void **state)
{
    static const char index[] = "{\"weight_map\":{\"b\":\"" S2 "\",\"a\":\"" S1 "\"}}";
    struct folder d;
    struct srq_tensors *ts;
    struct srq_error err;
    int failures = 0;

    (void)state;
    folder_make(&d);
    write_image(&d, S1, SHARD("a"), 4);
    write_image(&d, S2, SHARD("b"), 4);
    folder_write(&d, INDEX, index, sizeof(index) - 1);
    for (;; failures++) {
        struct nth n = { failures };
        int rc;

        srq_set_alloc_hook(fail_nth, &n);
        rc = srq_tensors_open(d.path, &ts, &err);
        srq_set_alloc_hook(NULL, NULL);
        if (rc == 0)
            break;
        assert_refused(rc, -SRQ_ENOMEM, &err, "out of memory");
        assert_null(ts);
    }
    assert_true(failures > 20);
    srq_tensors_close(ts);
    folder_remove(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_file_gives_names_shapes_and_bytes),
        cmocka_unit_test(tensors_at_odd_addresses_are_read_through_aligned_copies),
        cmocka_unit_test(released_pages_are_read_again),
        cmocka_unit_test(a_file_that_shrinks_gives_an_error),
        cmocka_unit_test(truncation_at_every_length_is_refused),
        cmocka_unit_test(bad_headers_are_refused_with_the_reason),
        cmocka_unit_test(lying_header_length_is_refused),
        cmocka_unit_test(deep_nesting_is_refused_before_parsing),
        cmocka_unit_test(long_names_are_refused),
        cmocka_unit_test(control_characters_in_names_are_escaped_in_errors),
        cmocka_unit_test(shards_are_one_set),
        cmocka_unit_test(single_file_wins_over_an_index),
        cmocka_unit_test(diffusers_names_are_found),
        cmocka_unit_test(index_and_shards_that_disagree_are_refused),
        cmocka_unit_test(tensor_in_two_shards_is_refused),
        cmocka_unit_test(what_is_not_a_model_is_refused_by_name),
        cmocka_unit_test(a_set_takes_tensors_of_another_file),
        cmocka_unit_test(hash_sees_data_names_shapes_and_types),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };

    install_guard();
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
