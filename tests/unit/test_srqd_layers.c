/* Long arrays of layers found in steps: the same as the whole text parsed at once, or refused. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/proto/proto.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/workers/layer_file.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static struct srqd d = { .places = { .jobs = folder } };
static struct job job = { .d = &d, .id = "jj" };

static int make_folder(void **state)
{
    char path[128];

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/srqd-unit-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/jj", folder);
    return mkdir(path, 0700);
}

static int remove_folder(void **state)
{
    (void)state;
    return srq_remove_tree(folder, NULL);
}

static void put(const char *text, size_t len)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof(path), "%s/jj/plan.json", folder);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int count_layer(const cJSON *layer, void *ctx, struct srq_error *err)
{
    (void)err;
    assert_true(cJSON_IsObject(layer));
    ++*(size_t *)ctx;
    return 0;
}

/* 0 and *f, to be closed; or what reading the text gave. */
static int read_text(const char *text, size_t len, struct layer_file **f, size_t *visited, struct srq_error *err)
{
    int rc;

    put(text, len);
    *visited = 0;
    assert_ok(layer_file_open(&job, &layer_array_plan, f, err), err);
    while ((rc = layer_file_step(*f, count_layer, visited, err)) == 1)
        continue;
    if (rc == 0)
        return 0;
    layer_file_close(*f);
    return rc;
}

/* Object and layers put together again are the whole. */
static void same_as_parsed_at_once(const char *text, size_t len)
{
    struct layer_file *f;
    struct srq_error err;
    cJSON *whole, *layers, *one;
    size_t visited;

    assert_ok(read_text(text, len, &f, &visited, &err), &err);
    assert_ok(srq_json_parse(text, len, SRQ_DEPTH_MAX, &whole, &err), &err);
    layers = cJSON_GetObjectItemCaseSensitive(layer_file_object(f), "layers");
    assert_int_equal(layer_file_count(f), visited);
    for (size_t i = 0; i < layer_file_count(f); i++) {
        assert_ok(layer_file_layer(f, i, &one, &err), &err);
        cJSON_AddItemToArray(layers, one);
    }
    assert_true(cJSON_Compare(whole, layer_file_object(f), true));
    cJSON_Delete(whole);
    layer_file_close(f);
}

static void small_texts_come_apart_and_together(void **state)
{
    static const char *const texts[] = {
        "{\"revision\":1,\"layers\":[{\"name\":\"a\"},{\"name\":\"b\",\"widths\":[1,[2,{\"x\":[]}]]}],\"pins\":[{}]}",
        " { \"layers\" : [ ] , \"revision\" : 2 } \n",
        "{\"layers\"\n:\t[\n {} , {\"a\":{}}\n]}",
        "{\"a\":\"] } \\\" [ {\",\"layers\":[{\"n\":\"[}]{\\\\\"},{\"\\\"\":\"\\u005d\"}],\"z\":\"\\\\\"}",
        "{\"a\":{\"layers\":[1,2]},\"b\":[\"layers\",[3]],\"layers\":[{\"layers\":[4]}],\"c\":\"layers\"}",
        "{\"revision\":0}",
        "{\"layers\":null}",
        "{}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        same_as_parsed_at_once(texts[i], strlen(texts[i]));
}

static void a_long_text_is_the_same_across_its_steps(void **state)
{
    struct srq_buf b;

    (void)state;
    srq_buf_init(&b, (size_t)8 << 20);
    srq_buf_puts(&b, "{\"before\":[1],\"layers\":[");
    for (int i = 0; i < 9000; i++)
        srq_buf_printf(
            &b, "%s{\"name\":\"%.*s\\\"]}\",\"block\":%d,\"widths\":[%d]}", i > 0 ? ", " : "", i % 97,
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", i,
            i);
    srq_buf_puts(&b, "],\"after\":{}}");
    assert_false(b.failed);
    same_as_parsed_at_once(b.data, b.len);
    srq_buf_fini(&b);
}

static void what_is_no_such_file_is_refused(void **state)
{
    static const struct {
        const char *text, *part;
        int code;
    } rows[] = {
        { "{\"layers\":[1]}", "a layer that is no object", -SRQ_EFORMAT },
        { "{\"layers\":[[]]}", "a layer that is no object", -SRQ_EFORMAT },
        { "{\"layers\":[{},\"x\"]}", "a layer that is no object", -SRQ_EFORMAT },
        { "{\"layers\":[{]}", "", -SRQ_EFORMAT },
        { "{\"layers\":[{},", "", -SRQ_EFORMAT },
        { "{\"layers\":[{}]", "", -SRQ_EFORMAT },
        { "{\"layers\":[{\"a\":\"", "", -SRQ_EFORMAT },
        { "{\"layers\":[{}],\"layers\":[{}]}", "given twice", -SRQ_EFORMAT },
        { "[{}]", "is no JSON object", -SRQ_EFORMAT },
        { "", "", -SRQ_EFORMAT },
        { "]}]}]}", "", -SRQ_EFORMAT },
    };
    struct layer_file *f;
    struct srq_error err;
    size_t visited;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_refused(read_text(rows[i].text, strlen(rows[i].text), &f, &visited, &err), rows[i].code, &err,
                       rows[i].part);
}

static void sizes_are_bounded(void **state)
{
    struct layer_file *f;
    struct srq_error err;
    size_t visited;
    struct srq_buf b;

    (void)state;
    srq_buf_init(&b, (size_t)8 << 20);
    srq_buf_puts(&b, "{\"layers\":[{}");
    for (int i = 0; i < 200000; i++)
        srq_buf_puts(&b, ",{}");
    srq_buf_puts(&b, "]}");
    assert_refused(read_text(b.data, b.len, &f, &visited, &err), -SRQ_ELIMIT, &err, "more than 200000 layers");
    srq_buf_clear(&b);
    srq_buf_printf(&b, "{\"layers\":[{\"a\":\"%*s\"}]}", 70000, "");
    assert_refused(read_text(b.data, b.len, &f, &visited, &err), -SRQ_ELIMIT, &err, "a layer that is too long");
    srq_buf_clear(&b);
    srq_buf_printf(&b, "{\"a\":\"%*s\"}", 2000000, "");
    assert_refused(read_text(b.data, b.len, &f, &visited, &err), -SRQ_ELIMIT, &err, "too long beside its layers");
    srq_buf_fini(&b);
}

static void another_file_of_the_name_is_seen(void **state)
{
    struct layer_file *f;
    struct srq_error err;
    size_t visited;
    char path[128];

    (void)state;
    assert_ok(read_text("{\"layers\":[{\"n\":1}]}", 20, &f, &visited, &err), &err);
    assert_true(layer_file_current(f, &job));
    snprintf(path, sizeof(path), "%s/jj/plan.json", folder);
    assert_int_equal(unlink(path), 0);
    assert_false(layer_file_current(f, &job));
    put("{\"layers\":[{\"n\":22}]}", 21);
    assert_false(layer_file_current(f, &job));
    layer_file_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_texts_come_apart_and_together),
        cmocka_unit_test(a_long_text_is_the_same_across_its_steps),
        cmocka_unit_test(what_is_no_such_file_is_refused),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(another_file_of_the_name_is_seen),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
