/* GGUF files and blocks: what is written is read back, published layouts to the byte, and what a file may not say. */
#include "tests/unit/test.h"

#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/format/gguf.h"
#include "core/grid/pack_gguf.h"
#include "core/math/team.h"

#include <math.h>
#include <unistd.h>

static char dir[] = "/tmp/srq-gguf-XXXXXX", path[64];

/* ---- blocks ---- */

static struct srq_codes codes_of(const char *scheme, int64_t out, int64_t in)
{
    struct srq_error err = { 0 };
    struct srq_scheme s;
    struct srq_codes c;

    assert_ok(srq_scheme_parse(scheme, &s, &err), &err);
    assert_ok(srq_codes_alloc(out, in, &s, &c, &err), &err);
    for (int64_t g = 0; g < c.groups.count; g++) {
        c.scale[g] = s.grid == SRQ_GRID_INT_SYM ? -0.5f : 2;
        c.zero[g] = s.grid == SRQ_GRID_INT_SYM ? (uint8_t)(1 << (s.bits - 1)) : 0;
    }
    return c;
}

/* Codes 0, 1, 2 …: nibbles of j and j + 16 share a byte, fifth bits follow the scale (spec formats 5.4). */
static void blocks_have_their_published_bytes(void **state)
{
    static const struct {
        const char *scheme;
        uint32_t type;
        int begin;
        uint8_t bytes[20];
    } rows[] = {
        { "w4g32", SRQ_GGUF_Q4_0, 2, { 0x00, 0xb8, 0x00, 0x11, 0x22, 0x33 } },
        { "w5g32", SRQ_GGUF_Q5_0, 6, { 0x00, 0xb8, 0x00, 0x00, 0xff, 0xff, 0x00, 0x11, 0x22 } },
        { "w8g32", SRQ_GGUF_Q8_0, 2, { 0x00, 0xb8, 0x80, 0x81, 0x82 } },
        { "mxfp4", SRQ_GGUF_MXFP4, 1, { 0x80, 0x00, 0x11, 0x22, 0x33 } },
    };
    struct srq_error err = { 0 };

    (void)state;
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        struct srq_codes c = codes_of(rows[k].scheme, 1, 32);
        const struct srq_gguf_type *type = srq_gguf_type_for(&c.scheme, 32, &err);
        uint8_t block[64];

        assert_non_null(type);
        assert_int_equal(type->id, rows[k].type);
        for (int i = 0; i < 32; i++)
            c.codes[i] = (uint8_t)(i & ((1 << c.scheme.bits) - 1));
        srq_gguf_pack_row(&c, type, 0, block);
        assert_memory_equal(block, rows[k].bytes, (size_t)rows[k].begin + 3);
        srq_codes_fini(&c);
    }
}

/* Groups of several blocks, of a row and of the whole tensor: each block has the scale of its group. */
static void every_type_decodes_to_what_the_codes_stand_for(void **state)
{
    static const char *const schemes[] = { "w4g32", "w4g96", "w4", "w4gt", "w5g64", "w8g64", "w8", "mxfp4" };
    struct srq_error err = { 0 };

    (void)state;
    for (size_t k = 0; k < sizeof(schemes) / sizeof(schemes[0]); k++) {
        struct srq_codes c = codes_of(schemes[k], 3, 192);
        const struct srq_gguf_type *type = srq_gguf_type_for(&c.scheme, 192, &err);
        float want[192], got[192];
        uint8_t row[512];

        for (int64_t i = 0; i < 3 * 192; i++)
            c.codes[i] = (uint8_t)(srq_rng_u64(11, k, (uint64_t)i) & ((1u << c.scheme.bits) - 1));
        for (int64_t g = 0; g < c.groups.count; g++)
            c.scale[g] = type->id == SRQ_GGUF_MXFP4 ? ldexpf(1, (int)g - 9) : srq_round_f16(-0.3f * (float)(g + 1));
        for (int64_t r = 0; r < 3; r++) {
            srq_codes_decode_rows(&c, r, 1, want, SRQ_F32);
            srq_gguf_pack_row(&c, type, r, row);
            srq_gguf_unpack(type, row, 192, got);
            assert_memory_equal(want, got, sizeof(want));
        }
        srq_codes_fini(&c);
    }
}

/* Types that are read alone, with a least value beside the scale: d = 0.5, m = -2, code e of element e (spec formats
 * 5.4). */
static void types_with_a_least_value_are_decoded(void **state)
{
    uint8_t q4[20] = { 0x00, 0x38, 0x00, 0xc0 }, q5[24] = { 0x00, 0x38, 0x00, 0xc0, 0x00, 0x00, 0xff, 0xff };
    float got[32];

    (void)state;
    for (int e = 0; e < 16; e++)
        q4[4 + e] = q5[8 + e] = (uint8_t)(e | e << 4);
    assert_true(srq_gguf_unpacks(srq_gguf_type(SRQ_GGUF_Q4_1)) && srq_gguf_unpacks(srq_gguf_type(SRQ_GGUF_Q5_1)));
    assert_false(srq_gguf_unpacks(srq_gguf_type(SRQ_GGUF_BF16)));
    srq_gguf_unpack(srq_gguf_type(SRQ_GGUF_Q4_1), q4, 32, got);
    for (int e = 0; e < 32; e++)
        assert_true(got[e] == 0.5f * (float)(e % 16) - 2);
    srq_gguf_unpack(srq_gguf_type(SRQ_GGUF_Q5_1), q5, 32, got);
    for (int e = 0; e < 32; e++)
        assert_true(got[e] == 0.5f * (float)e - 2);
}

static void schemes_that_no_type_holds_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *scheme;
        int64_t in;
        const char *says;
    } rows[] = {
        { "w3g32", 64, "no type of gguf holds w3g32" },
        { "w4g32z", 64, "no type of gguf holds w4g32z" },
        { "nvfp4", 64, "no type of gguf holds nvfp4" },
        { "fp8", 64, "no type of gguf holds fp8" },
        { "w4g16", 64, "in rows of 64" },
        { "w4", 48, "in rows of 48" },
        { "w8a8", 64, "how inputs are rounded" },
    };

    (void)state;
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        struct srq_error err = { 0 };
        struct srq_scheme s;

        assert_ok(srq_scheme_parse(rows[k].scheme, &s, &err), &err);
        assert_null(srq_gguf_type_for(&s, rows[k].in, &err));
        assert_int_equal(err.code, SRQ_EUNSUPPORTED);
        assert_non_null(strstr(err.text, rows[k].says));
    }
}

/* ---- files ---- */

#define ROWS 3
#define COLS 64

static void write_file(void)
{
    const int64_t matrix[] = { ROWS, COLS }, vector[] = { 5 };
    struct srq_error err = { 0 };
    struct srq_gguf_writer *w;
    uint8_t data[ROWS * COLS / 32 * 18];

    memset(data, 0x5a, sizeof(data));
    unlink(path);
    assert_ok(srq_gguf_writer_create(&w, &err), &err);
    srq_gguf_key_text(w, "general.architecture", "llama");
    srq_gguf_key_u32(w, "general.alignment", 32);
    srq_gguf_key_float(w, "a.float", 0.5f);
    srq_gguf_key_bool(w, "a.bool", true);
    srq_gguf_key_array(w, "a.list", SRQ_GGUF_TEXT, 2);
    srq_gguf_add_text(w, "one", 3);
    srq_gguf_add_text(w, "", 0);
    srq_gguf_key_array(w, "numbers", SRQ_GGUF_I32, 3);
    for (int i = 0; i < 3; i++)
        srq_gguf_add_i32(w, -i);
    assert_ok(srq_gguf_declare(w, "v", SRQ_GGUF_F32, 1, vector, &err), &err);
    assert_ok(srq_gguf_declare(w, "m", SRQ_GGUF_Q4_0, 2, matrix, &err), &err);
    assert_refused(srq_gguf_declare(w, "odd", SRQ_GGUF_Q4_0, 1, vector, &err), -SRQ_EINVAL, &err, "rows of 5");
    assert_ok(srq_gguf_begin(w, path, &err), &err);
    assert_ok(srq_gguf_put(w, 1, 0, data, sizeof(data), &err), &err);
    assert_refused(srq_gguf_put(w, 1, 0, data, 1, &err), -SRQ_ESTATE, &err, "more than once");
    assert_refused(srq_gguf_put(w, 0, 16, data, 8, &err), -SRQ_EINVAL, &err, "beyond");
    srq_gguf_writer_free(w);

    unlink(path);
    assert_ok(srq_gguf_writer_create(&w, &err), &err);
    srq_gguf_key_text(w, "general.architecture", "llama");
    srq_gguf_key_u32(w, "general.alignment", 32);
    srq_gguf_key_array(w, "a.list", SRQ_GGUF_TEXT, 2);
    srq_gguf_add_text(w, "one", 3);
    srq_gguf_add_text(w, "", 0);
    assert_ok(srq_gguf_declare(w, "v", SRQ_GGUF_F32, 1, vector, &err), &err);
    assert_ok(srq_gguf_declare(w, "m", SRQ_GGUF_Q4_0, 2, matrix, &err), &err);
    assert_ok(srq_gguf_begin(w, path, &err), &err);
    assert_ok(srq_gguf_put(w, 0, 0, data, 20, &err), &err);
    assert_refused(srq_gguf_finish(w, &err), -SRQ_ESTATE, &err, "tensor m");
    assert_ok(srq_gguf_put(w, 1, 0, data, sizeof(data), &err), &err);
    assert_ok(srq_gguf_finish(w, &err), &err);
    srq_gguf_writer_free(w);
}

static void what_is_written_is_read_back(void **state)
{
    struct srq_error err = { 0 };
    const struct srq_gguf_tensor *t;
    struct srq_gguf *g;
    size_t head;

    (void)state;
    write_file();
    assert_ok(srq_gguf_open(path, &g, &err), &err);
    assert_int_equal(srq_gguf_count(g), 2);
    t = srq_gguf_tensor(g, 1);
    assert_string_equal(t->name, "m");
    assert_string_equal(t->type->name, "Q4_0");
    assert_int_equal(t->rank, 2);
    assert_int_equal(t->shape[0], ROWS);
    assert_int_equal(t->shape[1], COLS);
    assert_int_equal(t->bytes, ROWS * COLS / 32 * 18);
    assert_int_equal(t->data[0], 0x5a);
    assert_int_equal(srq_gguf_tensor(g, 0)->bytes, 20);
    assert_memory_equal(srq_gguf_head_read(g, &head), "GGUF\3\0\0\0", 8);
    assert_int_equal(head % 32, 0);
    assert_ok(srq_gguf_check(g, &err), &err);
    srq_gguf_close(g);
}

/* Every type of a value as it is, and no other. */
static void keys_are_read_by_their_type(void **state)
{
    const int64_t vector[] = { 1 };
    struct srq_error err = { 0 };
    struct srq_gguf_writer *w;
    struct srq_gguf_array a;
    struct srq_gguf_text text = { "as it was", 9 };
    struct srq_gguf *g;
    int64_t n = -7;
    double x = 0;
    bool yes = true;
    size_t len;

    (void)state;
    unlink(path);
    assert_ok(srq_gguf_writer_create(&w, &err), &err);
    srq_gguf_key_text(w, "text", "one \xc3\xa4");
    srq_gguf_key_text(w, "damaged", "\xc3");
    srq_gguf_key_u32(w, "number", 4000000000u);
    srq_gguf_key_float(w, "float", -0.5f);
    srq_gguf_key_bool(w, "no", false);
    srq_gguf_key_array(w, "texts", SRQ_GGUF_TEXT, 3);
    srq_gguf_add_text(w, "one", 3);
    srq_gguf_add_text(w, "", 0);
    srq_gguf_add_text(w, "\0", 1);
    srq_gguf_key_array(w, "integers", SRQ_GGUF_I32, 2);
    srq_gguf_add_i32(w, -5);
    srq_gguf_add_i32(w, INT32_MAX);
    srq_gguf_key_array(w, "floats", SRQ_GGUF_FLOAT, 1);
    srq_gguf_add_float(w, 0.25f);
    assert_ok(srq_gguf_declare(w, "v", SRQ_GGUF_F32, 1, vector, &err), &err);
    assert_ok(srq_gguf_begin(w, path, &err), &err);
    assert_ok(srq_gguf_put(w, 0, 0, &(float){ 1 }, 4, &err), &err);
    assert_ok(srq_gguf_finish(w, &err), &err);
    srq_gguf_writer_free(w);

    assert_ok(srq_gguf_open(path, &g, &err), &err);
    assert_int_equal(srq_gguf_key_count(g), 8);
    assert_non_null(srq_gguf_key_name(g, 7, &len));
    assert_true(srq_gguf_has(g, "no") && !srq_gguf_has(g, "n") && !srq_gguf_has(g, "none"));
    assert_ok(srq_gguf_read_int(g, "absent", false, &n, &err), &err);
    assert_int_equal(n, -7);
    assert_refused(srq_gguf_read_int(g, "absent", true, &n, &err), -SRQ_EFORMAT, &err, "key absent is missing");
    assert_ok(srq_gguf_read_int(g, "number", true, &n, &err), &err);
    assert_int_equal(n, 4000000000);
    assert_refused(srq_gguf_read_int(g, "float", true, &n, &err), -SRQ_EFORMAT, &err, "key float is not an integer");
    assert_ok(srq_gguf_read_float(g, "float", true, &x, &err), &err);
    assert_true(x == -0.5);
    assert_refused(srq_gguf_read_float(g, "number", true, &x, &err), -SRQ_EFORMAT, &err, "not a floating-point");
    assert_ok(srq_gguf_read_bool(g, "no", true, &yes, &err), &err);
    assert_false(yes);
    assert_refused(srq_gguf_read_bool(g, "text", true, &yes, &err), -SRQ_EFORMAT, &err, "not true or false");
    assert_refused(srq_gguf_read_text(g, "damaged", true, &text, &err), -SRQ_EFORMAT, &err,
                   "key damaged is not a text");
    assert_ok(srq_gguf_read_text(g, "absent", false, &text, &err), &err);
    assert_int_equal(text.len, 9);
    assert_ok(srq_gguf_read_text(g, "text", true, &text, &err), &err);
    assert_int_equal(text.len, 6);
    assert_memory_equal(text.text, "one \xc3\xa4", 6);
    assert_refused(srq_gguf_read_array(g, "texts", true, SRQ_GGUF_I32, &a, &err), -SRQ_EFORMAT, &err,
                   "key texts is not an array of integers");
    assert_refused(srq_gguf_read_array(g, "text", true, SRQ_GGUF_TEXT, &a, &err), -SRQ_EFORMAT, &err,
                   "key text is not an array of texts");
    assert_ok(srq_gguf_read_array(g, "absent", false, SRQ_GGUF_TEXT, &a, &err), &err);
    assert_int_equal(a.count, 0);
    assert_ok(srq_gguf_read_array(g, "texts", true, SRQ_GGUF_TEXT, &a, &err), &err);
    assert_int_equal(a.count, 3);
    assert_ok(srq_gguf_take_text(&a, &text, &err), &err);
    assert_memory_equal(text.text, "one", 3);
    assert_ok(srq_gguf_take_text(&a, &text, &err), &err);
    assert_int_equal(text.len, 0);
    assert_refused(srq_gguf_take_text(&a, &text, &err), -SRQ_EFORMAT, &err, "element 2 of key texts");
    assert_ok(srq_gguf_read_array(g, "integers", true, SRQ_GGUF_I32, &a, &err), &err);
    assert_int_equal(srq_gguf_take_i32(&a), -5);
    assert_int_equal(srq_gguf_take_i32(&a), INT32_MAX);
    assert_ok(srq_gguf_read_array(g, "floats", true, SRQ_GGUF_FLOAT, &a, &err), &err);
    assert_true(srq_gguf_take_float(&a) == 0.25f);
    srq_gguf_close(g);
}

static void rewrite(const uint8_t *data, size_t size)
{
    struct srq_error err = { 0 };

    unlink(path);
    assert_ok(srq_write_file_durable(path, data, size, 0600, &err), &err);
}

static int opens(struct srq_error *err)
{
    struct srq_gguf *g = NULL;
    int rc = srq_gguf_open(path, &g, err);

    assert_true((rc == 0) == (g != NULL));
    srq_gguf_close(g);
    return rc;
}

/* Every file that is cut off is refused with its name. */
static void a_file_cut_anywhere_is_refused(void **state)
{
    struct srq_error err = { 0 };
    char *data;
    size_t size;

    (void)state;
    write_file();
    assert_ok(srq_read_file(path, 1 << 20, &data, &size, &err), &err);
    for (size_t n = 0; n < size; n++) {
        rewrite((uint8_t *)data, n);
        memset(&err, 0, sizeof(err));
        assert_true(opens(&err) < 0);
        assert_true(err.text[0] != '\0');
    }
    free(data);
}

static size_t find(const char *data, size_t size, const char *text, size_t n)
{
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(data + i, text, n) == 0)
            return i;
    fail_msg("the file has not what is changed in it");
    return 0;
}

/* Each field of a file that is well but for it. */
static void fields_that_cannot_be_are_refused_by_name(void **state)
{
    struct srq_error err = { 0 };
    char *data;
    size_t size, alignment, list, v, m;

    (void)state;
    write_file();
    assert_ok(srq_read_file(path, 1 << 20, &data, &size, &err), &err);
    alignment = find(data, size, "general.alignment", 17) + 17;
    list = find(data, size, "a.list", 6) + 6;
    v = find(data, size, "\1\0\0\0\0\0\0\0v", 9) + 9;
    m = find(data, size, "\1\0\0\0\0\0\0\0m", 9) + 9;
    {
        const struct {
            size_t at;
            uint8_t value;
            int code;
            const char *says;
        } rows[] = {
            { 0, 'g', -SRQ_EFORMAT, "does not begin" },
            { 4, 1, -SRQ_EUNSUPPORTED, "GGUF version 1" },
            { 4, 0, -SRQ_EUNSUPPORTED, "other byte order" },
            { 12, 0x7f, -SRQ_ELIMIT, "tensors" },
            { 20, 0x7f, -SRQ_ELIMIT, "keys" },
            { alignment, 5, -SRQ_EFORMAT, "general.alignment" },
            { alignment + 4, 24, -SRQ_EFORMAT, "not a power of two" },
            { list, 13, -SRQ_EFORMAT, "a.list has a value of type 13" },
            { list + 4, 9, -SRQ_EFORMAT, "a.list is an array of type 9" },
            { list + 4, 6, -SRQ_EFORMAT, "" },
            { list + 15, 0x7f, -SRQ_EFORMAT, "a.list" },
            { v - 1, 'm', -SRQ_EFORMAT, "tensor m is there twice" },
            { v, 5, -SRQ_EFORMAT, "tensor v has 5 dimensions" },
            { v + 11, 0x80, -SRQ_EFORMAT, "tensor v has a dimension" },
            { v + 12, 4, -SRQ_EUNSUPPORTED, "tensor v has type 4" },
            { v + 16, 32, -SRQ_EFORMAT, "tensor v begins at 32, where 0 is due" },
            { m + 4, 65, -SRQ_EFORMAT, "rows of 65 of tensor m" },
            { m + 12, 200, -SRQ_EFORMAT, "tensor m" },
            { m - 1, 0, -SRQ_EFORMAT, "name" },
        };

        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            char was = data[rows[k].at];

            data[rows[k].at] = (char)rows[k].value;
            rewrite((uint8_t *)data, size);
            memset(&err, 0, sizeof(err));
            assert_refused(opens(&err), rows[k].code, &err, rows[k].says);
            data[rows[k].at] = was;
        }
    }
    free(data);
}

/* The same key a second time, made from two of one length. */
static void a_key_that_is_there_twice_is_refused(void **state)
{
    struct srq_error err = { 0 };
    struct srq_gguf_writer *w;

    (void)state;
    unlink(path);
    assert_ok(srq_gguf_writer_create(&w, &err), &err);
    srq_gguf_key_u32(w, "twice", 1);
    srq_gguf_key_bool(w, "twice", true);
    assert_ok(srq_gguf_begin(w, path, &err), &err);
    assert_ok(srq_gguf_finish(w, &err), &err);
    srq_gguf_writer_free(w);
    assert_refused(opens(&err), -SRQ_EFORMAT, &err, "key twice is there twice");
}

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/f.gguf", mkdtemp(dir));
    return srq_team_start(1, NULL);
}

static int end(void **state)
{
    (void)state;
    return srq_remove_tree(dir, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_have_their_published_bytes),
        cmocka_unit_test(every_type_decodes_to_what_the_codes_stand_for),
        cmocka_unit_test(types_with_a_least_value_are_decoded),
        cmocka_unit_test(schemes_that_no_type_holds_are_refused_with_the_reason),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(keys_are_read_by_their_type),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(fields_that_cannot_be_are_refused_by_name),
        cmocka_unit_test(a_key_that_is_there_twice_is_refused),
    };

    return cmocka_run_group_tests_name("gguf", tests, begin, end);
}
