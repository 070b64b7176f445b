/* Small tokenizers on which engines disagree, compared with the ids that the reference library gave
 * (tests/reference/tokenizer_cases.py): patterns, sets, added tokens, normalizers. */
#include "tests/unit/folder.h"

#include "core/base/alloc.h"
#include "core/format/json.h"
#include "core/text/tokenizer.h"

struct cases {
    json_t *root, *texts, *vocabularies;
    struct folder folder;
};

static int begin(void **state)
{
    const char *top = getenv("top_srcdir");
    struct cases *c = calloc(1, sizeof(*c));
    char path[1024];

    snprintf(path, sizeof(path), "%s/tests/reference/tokenizers/cases.json", top != NULL ? top : ".");
    if (c == NULL || srq_json_read(path, SRQ_JSON_TOKENIZER_MAX, &c->root, NULL) != 0)
        return -1;
    c->texts = json_object_get(c->root, "texts");
    c->vocabularies = json_object_get(c->root, "vocabularies");
    folder_make(&c->folder);
    *state = c;
    return 0;
}

static int end(void **state)
{
    struct cases *c = *state;

    folder_remove(&c->folder);
    json_decref(c->root);
    free(c);
    return 0;
}

/* `part`: the contents of a tokenizer.json, its vocabulary by index. */
static int open_part(struct cases *c, json_t *part, struct srq_tokenizer **tk, struct srq_error *err)
{
    json_t *model = json_object_get(part, "model");
    size_t which = (size_t)json_integer_value(json_object_get(model, "vocab"));
    char *text;
    int rc;

    json_object_set(model, "vocab", json_array_get(c->vocabularies, which));
    text = json_dumps(part, JSON_COMPACT);
    assert_non_null(text);
    folder_write(&c->folder, "tokenizer.json", text, strlen(text));
    rc = srq_tokenizer_open(c->folder.path, tk, err);
    free(text);
    return rc;
}

static void check_ids(const struct srq_tokenizer *tk, const char *name, const json_t *text, const json_t *want)
{
    struct srq_error err;
    int32_t *ids;
    int64_t count;

    assert_ok(srq_tokenizer_encode(tk, json_string_value(text), json_string_length(text), false, &ids, &count, &err),
              &err);
    for (int64_t i = 0; i < count && i < (int64_t)json_array_size(want); i++) {
        if (ids[i] != json_integer_value(json_array_get(want, (size_t)i)))
            fail_msg("%s on \"%s\": id %lld is %d, not %lld", name, json_string_value(text), (long long)i, ids[i],
                     (long long)json_integer_value(json_array_get(want, (size_t)i)));
    }
    if (count != (int64_t)json_array_size(want))
        fail_msg("%s on \"%s\": %lld ids, not %zu", name, json_string_value(text), (long long)count,
                 json_array_size(want));
    srq_free(ids);
}

static void ids_equal_the_reference_for_small_tokenizers(void **state)
{
    struct cases *c = *state;
    const json_t *rows = json_object_get(c->root, "rows");

    assert_true(json_array_size(rows) > 200);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *ids = json_array_get(row, 2);
        const char *name = json_string_value(json_array_get(row, 0));
        struct srq_tokenizer *tk;
        struct srq_error err;

        assert_ok(open_part(c, json_array_get(row, 1), &tk, &err), &err);
        for (size_t k = 0; k < json_array_size(c->texts); k++)
            check_ids(tk, name, json_array_get(c->texts, k), json_array_get(ids, k));
        srq_tokenizer_free(tk);
    }
}

static void patterns_that_srq_does_not_read_are_refused_by_name(void **state)
{
    struct cases *c = *state;
    const json_t *rows = json_object_get(c->root, "refused");

    assert_true(json_array_size(rows) > 20);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        struct srq_tokenizer *tk;
        struct srq_error err;
        int rc = open_part(c, json_array_get(row, 0), &tk, &err);

        if (rc == 0)
            fail_msg("a pattern is taken that should be refused for %s", json_string_value(json_array_get(row, 1)));
        assert_true(rc == -SRQ_EUNSUPPORTED || rc == -SRQ_EFORMAT);
        assert_non_null(strstr(err.text, json_string_value(json_array_get(row, 1))));
        assert_non_null(strstr(err.text, "tokenizer.json"));
    }
}

static void added_tokens_have_their_own_text(void **state)
{
    static const char json[] = "{\"added_tokens\":[{\"id\":2,\"content\":\"\xc4\xa0x\"}],\"pre_tokenizer\":{\"type\":"
                               "\"ByteLevel\",\"add_prefix_space\":false},\"model\":{\"type\":\"BPE\",\"vocab\":"
                               "{\"\xc4\xa0y\":0,\"x\":1},\"merges\":[]}}";
    struct cases *c = *state;
    struct srq_tokenizer_added added;
    struct srq_tokenizer *tk;
    struct srq_error err;

    folder_write(&c->folder, "tokenizer.json", json, sizeof(json) - 1);
    assert_ok(srq_tokenizer_open(c->folder.path, &tk, &err), &err);
    assert_int_equal(srq_tokenizer_size(tk), 3);
    assert_true(srq_tokenizer_added(tk, 0, &added) && !srq_tokenizer_added(tk, 1, &added));
    assert_int_equal(added.id, 2);
    assert_string_equal(added.text, "\xc4\xa0x"); /* as it stands, though words are bytes */
    srq_tokenizer_free(tk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_the_reference_for_small_tokenizers),
        cmocka_unit_test(patterns_that_srq_does_not_read_are_refused_by_name),
        cmocka_unit_test(added_tokens_have_their_own_text),
    };

    return cmocka_run_group_tests_name("tokenizer cases", tests, begin, end);
}
