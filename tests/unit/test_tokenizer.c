/* Tokenizing, compared with the ids that the reference library gave (tests/reference/tokenizer_reference.py) for
 * tokenizers of every kind; hostile tokenizer files, each refused by name. */
#include "tests/unit/folder.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/text/pretokenize.h"
#include "core/text/tokenizer.h"

#include <pthread.h>
#include <sys/stat.h>

static void reference_path(const char *name, char *out, size_t cap)
{
    const char *top = getenv("top_srcdir");

    snprintf(out, cap, "%s/tests/reference/tokenizers/%s", top != NULL ? top : ".", name);
}

static json_t *reference_json(const char *name)
{
    char path[1024];
    struct srq_error err;
    json_t *json;

    reference_path(name, path, sizeof(path));
    assert_ok(srq_json_read(path, SRQ_JSON_TOKENIZER_MAX, &json, &err), &err);
    return json;
}

static void check_ids(const struct srq_tokenizer *tk, const char *kind, size_t row, const json_t *text, bool specials,
                      const json_t *want)
{
    struct srq_error err;
    int32_t *ids;
    int64_t count;

    assert_ok(srq_tokenizer_encode(tk, json_string_value(text), json_string_length(text), specials, &ids, &count, &err),
              &err);
    for (int64_t i = 0; i < count && i < (int64_t)json_array_size(want); i++) {
        if (ids[i] != json_integer_value(json_array_get(want, (size_t)i)))
            fail_msg("%s, probe %zu \"%s\": id %lld is %d, not %lld", kind, row, json_string_value(text), (long long)i,
                     ids[i], (long long)json_integer_value(json_array_get(want, (size_t)i)));
    }
    if (count != (int64_t)json_array_size(want))
        fail_msg("%s, probe %zu \"%s\": %lld ids, not %zu", kind, row, json_string_value(text), (long long)count,
                 json_array_size(want));
    srq_free(ids);
}

/* `model`: the tokenizer's folder below the top of the source. */
static void check_folder(const char *kind, const char *model)
{
    char name[64];
    json_t *probes, *rows;
    struct srq_tokenizer *tk;
    struct srq_error err;
    char path[1024];

    /* Jansson refuses NUL in strings unless asked; one probe holds it. */
    reference_path("probes.json", path, sizeof(path));
    probes = json_load_file(path, JSON_ALLOW_NUL, NULL);
    assert_non_null(probes);
    snprintf(name, sizeof(name), "%s/ids.json", kind);
    rows = reference_json(name);
    assert_int_equal(json_array_size(rows), json_array_size(probes));
    reference_path("../../..", path, sizeof(path));
    snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", model);
    assert_ok(srq_tokenizer_open(path, &tk, &err), &err);
    for (int pass = 0; pass < 2; pass++) { /* the second time from the cache */
        for (size_t i = 0; i < json_array_size(probes); i++) {
            const json_t *plain = json_array_get(json_array_get(rows, i), 0);
            const json_t *special = json_array_get(json_array_get(rows, i), 1);

            check_ids(tk, kind, i, json_array_get(probes, i), false, plain);
            check_ids(tk, kind, i, json_array_get(probes, i), true, json_is_null(special) ? plain : special);
        }
    }
    srq_tokenizer_free(tk);
    json_decref(rows);
    json_decref(probes);
}

static void check_kind(const char *kind)
{
    char model[128];

    snprintf(model, sizeof(model), "tests/reference/tokenizers/%s", kind);
    check_folder(kind, model);
}

static void ids_equal_the_reference_demo_model(void **state)
{
    (void)state;
    check_folder("demo-lm", "share/models/demo-lm");
}

#define KIND(name, folder)                                   \
    static void ids_equal_the_reference_##name(void **state) \
    {                                                        \
        (void)state;                                         \
        check_kind(folder);                                  \
    }
KIND(gpt2, "gpt2")
KIND(gpt2_files, "gpt2-files")
KIND(prefix_space, "prefix")
KIND(smollm_single_digits, "smollm")
KIND(digit_runs, "digits")
KIND(llama3_ignoring_merges, "llama3")
KIND(qwen_nfc, "qwen")
KIND(bloom_nested_class, "bloom")
KIND(clip_word_suffix, "clip")
KIND(llama2_byte_fallback, "llama2")
KIND(metaspace_unknown, "unknown")
KIND(metaspace_fused_unknown, "fused")
KIND(dropped_characters, "dropped")
KIND(merged_with_previous, "merged_with_previous")
KIND(merged_with_next, "merged_with_next")
KIND(contiguous, "contiguous")

/* ---- properties -------------------------------------------------------------------------------------------------- */

static void open_kind(const char *kind, struct srq_tokenizer **tk)
{
    struct srq_error err;
    char path[1024];

    reference_path(kind, path, sizeof(path));
    assert_ok(srq_tokenizer_open(path, tk, &err), &err);
}

static void byte_alphabet_is_a_bijection(void **state)
{
    int unmapped = 0;

    (void)state;
    for (int b = 0; b < 256; b++) {
        uint32_t c = srq_byte_to_char((unsigned char)b);

        assert_int_equal(srq_char_to_byte(c), b);
        unmapped += c >= 256;
    }
    assert_int_equal(unmapped, 68);
    assert_int_equal(srq_byte_to_char(' '), 0x120);
    assert_int_equal(srq_byte_to_char(0xad), 0x143);
    assert_int_equal(srq_char_to_byte(0x144), -1);
    assert_int_equal(srq_char_to_byte(' '), -1);
}

/* Ids are of the model's vocabulary, whose texts are bytes in the alphabet above. */
static void tokens_join_to_the_text(void **state)
{
    static const char text[] = "The 12 quick caf\xc3\xa9s, don't they?";
    struct srq_tokenizer *tk;
    struct srq_error err;
    int32_t *ids;
    int64_t count;
    char joined[256];
    size_t len = 0;

    (void)state;
    open_kind("llama3", &tk);
    assert_ok(srq_tokenizer_encode(tk, text, sizeof(text) - 1, false, &ids, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        const char *token = srq_tokenizer_token(tk, ids[i]);
        uint32_t code;

        while (token[0] != '\0' && len < sizeof(joined)) {
            token += srq_utf8_next(token, &code);
            joined[len++] = (char)srq_char_to_byte(code);
        }
    }
    assert_int_equal(len, sizeof(text) - 1);
    assert_memory_equal(joined, text, len);
    assert_null(srq_tokenizer_token(tk, -1));
    assert_null(srq_tokenizer_token(tk, (int32_t)srq_tokenizer_size(tk)));
    srq_free(ids);
    srq_tokenizer_free(tk);
}

static void text_that_is_not_utf8_is_refused_with_the_byte(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *names;
    } rows[] = {
        { "ab\xff", 3, "byte 2" },
        { "\xc0\x80", 2, "byte 0" },
        { "a\xed\xa0\x80", 4, "byte 1" },
        { "\xf4\x90\x80\x80", 4, "byte 0" },
        { "0123456789\xe2\x82", 12, "byte 10" },
    };
    struct srq_tokenizer *tk;
    struct srq_error err;
    int32_t *ids;
    int64_t count;

    (void)state;
    open_kind("qwen", &tk);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_refused(srq_tokenizer_encode(tk, rows[i].text, rows[i].len, false, &ids, &count, &err), -SRQ_EFORMAT,
                       &err, rows[i].names);
        assert_null(ids);
    }
    srq_tokenizer_free(tk);
}

/* One word of a million characters: quadratic merging would take minutes. */
static void a_whole_document_as_one_word_is_encoded(void **state)
{
    size_t n = 1000000;
    char *text = malloc(n);
    struct srq_tokenizer *tk;
    struct srq_error err;
    int32_t *ids;
    int64_t count;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = "the thin "[i % 9];
    open_kind("llama2", &tk);
    assert_ok(srq_tokenizer_encode(tk, text, n, false, &ids, &count, &err), &err);
    assert_true(count > 100000 && count < (int64_t)n);
    srq_free(ids);
    srq_tokenizer_free(tk);
    free(text);
}

static void *encode_probes(void *ctx)
{
    json_t *probes, *rows;
    char path[1024];
    intptr_t wrong = 0;

    reference_path("probes.json", path, sizeof(path));
    probes = json_load_file(path, JSON_ALLOW_NUL, NULL);
    reference_path("smollm/ids.json", path, sizeof(path));
    rows = json_load_file(path, 0, NULL);
    for (int pass = 0; pass < 5; pass++) {
        for (size_t i = 0; i < json_array_size(probes); i++) {
            const json_t *text = json_array_get(probes, i), *want = json_array_get(json_array_get(rows, i), 0);
            int32_t *ids;
            int64_t count;

            wrong += srq_tokenizer_encode(ctx, json_string_value(text), json_string_length(text), false, &ids, &count,
                                          NULL) != 0 ||
                     count != (int64_t)json_array_size(want);
            for (int64_t k = 0; k < count && !wrong; k++)
                wrong += ids[k] != json_integer_value(json_array_get(want, (size_t)k));
            srq_free(ids);
        }
    }
    wrong += json_array_size(probes) == 0;
    json_decref(probes);
    json_decref(rows);
    return (void *)wrong;
}

static void threads_share_a_tokenizer(void **state)
{
    struct srq_tokenizer *tk;
    pthread_t threads[3];

    (void)state;
    open_kind("smollm", &tk);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_probes, tk), 0);
    for (int i = 0; i < 3; i++) {
        void *wrong;

        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    srq_tokenizer_free(tk);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

#define VOCAB "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}"
#define MODEL "\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b\"]}"
#define BPE(member) "{\"model\":{\"type\":\"BPE\"," member "," VOCAB ",\"merges\":[]}}"
#define PRE(json) "{\"pre_tokenizer\":" json "," MODEL "}"
#define NORM(json) "{\"normalizer\":" json "," MODEL "}"
#define ADDED(json) "{\"added_tokens\":[" json "]," MODEL "}"
#define POST(json) "{\"post_processor\":" json "," MODEL "}"
#define SPLIT(regex) PRE("{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\"}")

static void bad_tokenizers_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *json;
        int code;
        const char *names;
    } rows[] = {
        { "", -SRQ_EFORMAT, "bad JSON" },
        { "[]", -SRQ_EFORMAT, "has no model" },
        { "{\"model\":{\"type\":\"WordPiece\"}}", -SRQ_EUNSUPPORTED, "\"WordPiece\" is not BPE" },
        { "{\"model\":{\"type\":\"BPE\",\"merges\":[]}}", -SRQ_EFORMAT, "has no vocabulary" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", -SRQ_EFORMAT, "has no merges" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", -SRQ_EFORMAT,
          "belongs to two tokens" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", -SRQ_EFORMAT, "\"a\" has the id -1" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4000000000},\"merges\":[]}}", -SRQ_EFORMAT,
          "the id 4000000000" },
        { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", -SRQ_EFORMAT, "not an integer" },
        { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a c\"]}}", -SRQ_EFORMAT, "the second is not a token" },
        { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"b a\"]}}", -SRQ_EFORMAT, "the result is not a token" },
        { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"ab\"]}}", -SRQ_EFORMAT, "merge 0 is not two tokens" },
        { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[\"a b c\"]}}", -SRQ_EFORMAT,
          "merge 0 is not two tokens" },
        { "{\"model\":{\"type\":\"BPE\"," VOCAB ",\"merges\":[[\"a\"]]}}", -SRQ_EFORMAT, "merge 0 is not a pair" },
        { "{\"model\":{\"type\":\"BPE\",\"dropout\":0.1," VOCAB ",\"merges\":[]}}", -SRQ_EUNSUPPORTED, "dropout" },
        { "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"x\"," VOCAB ",\"merges\":[]}}", -SRQ_EFORMAT, "unk_token" },
        { "{\"model\":{\"type\":\"BPE\",\"continuing_subword_prefix\":\"##\"," VOCAB ",\"merges\":[]}}",
          -SRQ_EUNSUPPORTED, "##" },
        { PRE("{\"type\":\"UnicodeScripts\"}"), -SRQ_EUNSUPPORTED, "pre-tokenizer \"UnicodeScripts\"" },
        { PRE("{}"), -SRQ_EFORMAT, "pre-tokenizer has no type" },
        { PRE("{\"type\":\"Sequence\"}"), -SRQ_EFORMAT, "pretokenizers" },
        { PRE("{\"type\":\"ByteLevel\"}"), -SRQ_EFORMAT, "add_prefix_space" },
        { PRE("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
              "{\"type\":\"Digits\"}]}"),
          -SRQ_EUNSUPPORTED, "Digits after ByteLevel" },
        { PRE("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), -SRQ_EFORMAT, "replacement" },
        { PRE("{\"type\":\"Split\",\"pattern\":{\"String\":\"x\"},\"behavior\":\"Sideways\"}"), -SRQ_EFORMAT,
          "behavior" },
        { SPLIT("(a"), -SRQ_EFORMAT, "\"(a\" does not compile" },
        { SPLIT("[a"), -SRQ_EFORMAT, "\"[a\" does not compile: a class without its end" },
        { SPLIT("[a&&]"), -SRQ_EFORMAT, "an empty class" },
        { SPLIT("a)"), -SRQ_EFORMAT, "a ')' without its '('" },
        { SPLIT("a|*"), -SRQ_EFORMAT, "a repeat of nothing" },
        { SPLIT("^*a"), -SRQ_EUNSUPPORTED, "a repeated assertion" },
        { SPLIT("(*ACCEPT)"), -SRQ_EUNSUPPORTED, "(*" },
        { SPLIT("\\\\"), -SRQ_EFORMAT, "an escape without its character" },
        { SPLIT("\\\\p{Foo}"), -SRQ_EFORMAT, "does not compile" },
        { SPLIT("[[:foo:]]"), -SRQ_EUNSUPPORTED, "POSIX" },
        { SPLIT("\\\\2(a)"), -SRQ_EUNSUPPORTED, "\\2" },
        { SPLIT("(a\\\\1)"), -SRQ_EUNSUPPORTED, "\\1" },
        { SPLIT("\\\\C"), -SRQ_EUNSUPPORTED, "\\C" },
        { NORM("{\"type\":\"Precompiled\"}"), -SRQ_EUNSUPPORTED, "normalizer \"Precompiled\"" },
        { NORM("{\"type\":\"Replace\",\"pattern\":{},\"content\":\"\"}"), -SRQ_EFORMAT, "Regex" },
        { NORM("{\"type\":\"Prepend\"}"), -SRQ_EFORMAT, "prepend" },
        { ADDED("{\"id\":0}"), -SRQ_EFORMAT, "no content" },
        { ADDED("{\"id\":1,\"content\":\"a\"}"), -SRQ_EFORMAT, "\"a\" has the id 1 here and 0 in the vocabulary" },
        { ADDED("{\"id\":3,\"content\":\"z\"},{\"id\":3,\"content\":\"z\",\"lstrip\":true}"), -SRQ_EFORMAT,
          "\"z\" stands there twice" },
        { ADDED("{\"id\":3,\"content\":\"z\",\"single_word\":1}"), -SRQ_EFORMAT,
          "tokenizer.json: \"single_word\" of an added token is a number, not true or false" },
        { ADDED("{\"id\":3,\"content\":\"z\",\"normalized\":null}"), -SRQ_EFORMAT,
          "\"normalized\" of an added token is null" },
        { "{\"added_tokens\":{}," MODEL "}", -SRQ_EFORMAT, "added_tokens is not a list" },
        { "{\"version\":1," MODEL "}", -SRQ_EFORMAT, "\"version\" of the file is a number" },
        { "{\"version\":\"2.0\"," MODEL "}", -SRQ_EUNSUPPORTED, "version \"2.0\"" },
        { "{\"model\":{\"type\":3," VOCAB ",\"merges\":[]}}", -SRQ_EUNSUPPORTED, "is not BPE" },
        { BPE("\"ignore_merges\":\"yes\""), -SRQ_EFORMAT,
          "\"ignore_merges\" of the model is a string, not true or false" },
        { BPE("\"fuse_unk\":1"), -SRQ_EFORMAT, "\"fuse_unk\" of the model" },
        { BPE("\"byte_fallback\":[]"), -SRQ_EFORMAT, "\"byte_fallback\" of the model is a list" },
        { BPE("\"unk_token\":3"), -SRQ_EFORMAT, "\"unk_token\" of the model is a number, not a string" },
        { BPE("\"end_of_word_suffix\":false"), -SRQ_EFORMAT, "\"end_of_word_suffix\" of the model is false" },
        { BPE("\"dropout\":\"0\""), -SRQ_EUNSUPPORTED, "dropout" },
        { PRE("{\"type\":\"Digits\",\"individual_digits\":1}"), -SRQ_EFORMAT,
          "\"individual_digits\" of pre-tokenizer Digits" },
        { PRE("{\"type\":\"ByteLevel\",\"add_prefix_space\":0}"), -SRQ_EFORMAT,
          "\"add_prefix_space\" of pre-tokenizer" },
        { PRE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":\"no\"}"), -SRQ_EFORMAT,
          "\"split\" of pre-tokenizer" },
        { PRE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":3}"), -SRQ_EFORMAT, "prepend_scheme" },
        { PRE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false}"),
          -SRQ_EFORMAT, "\"add_prefix_space\" is false and \"prepend_scheme\" is \"first\"" },
        { PRE("{\"type\":\"Split\",\"pattern\":{\"String\":\"x\",\"Regex\":\"y\"},\"behavior\":\"Removed\"}"),
          -SRQ_EFORMAT, "\"pattern\" of pre-tokenizer Split" },
        { PRE("{\"type\":\"Split\",\"pattern\":{\"String\":\"x\"},\"behavior\":\"Removed\",\"invert\":0}"),
          -SRQ_EFORMAT, "\"invert\" of pre-tokenizer Split" },
        { NORM("{\"type\":\"Strip\",\"strip_left\":1}"), -SRQ_EFORMAT, "\"strip_left\" of normalizer Strip" },
        { "{\"added_tokens\":[{\"id\":3,\"content\":\" \",\"normalized\":true}],\"normalizer\":{\"type\":\"Strip\","
          "\"strip_left\":true}," MODEL "}",
          -SRQ_EUNSUPPORTED, "leaves nothing of added token" },
        { POST("{\"type\":\"Unheard\"}"), -SRQ_EUNSUPPORTED, "post-processor \"Unheard\"" },
        { POST("{\"type\":\"TemplateProcessing\",\"single\":[]}"), -SRQ_EFORMAT, "leaves the text out" },
        { POST("{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],\"special_tokens\":{}"
               "}"),
          -SRQ_EFORMAT, "\"<s>\" has no ids" },
        { POST("{\"type\":\"Sequence\",\"processors\":[{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\","
               "1]},{\"type\":\"ByteLevel\"},{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}}"
               "],"
               "\"special_tokens\":{}}]}"),
          -SRQ_EUNSUPPORTED, "post-processor TemplateProcessing behind another" },
        { POST("{\"type\":\"RobertaProcessing\",\"cls\":[\"x\",99],\"sep\":[\"x\",0]}"), -SRQ_EFORMAT,
          "an id that no token" },
    };
    struct folder d;
    struct srq_tokenizer *tk;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        folder_write(&d, "tokenizer.json", rows[i].json, strlen(rows[i].json));
        assert_refused(srq_tokenizer_open(d.path, &tk, &err), rows[i].code, &err, rows[i].names);
        assert_null(tk);
    }
    folder_remove(&d);
}

#define VOCAB_FILE "{\"a\":0,\"b\":1,\"ab\":2,\"\xc4\xa0\":3}"

/* Files of a folder; NULL: there is none. */
struct beside {
    const char *whole, *config, *more, *map;
};

static void write_beside(struct folder *d, const struct beside *f)
{
    const char *const names[] = { "tokenizer.json", "tokenizer_config.json", "added_tokens.json",
                                  "special_tokens_map.json" };
    const char *const texts[] = { f->whole, f->config, f->more, f->map };

    folder_write(d, "vocab.json", VOCAB_FILE, strlen(VOCAB_FILE));
    folder_write(d, "merges.txt", "a b\n", 4);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[1024];

        snprintf(path, sizeof(path), "%s/%s", d->path, names[i]);
        remove(path);
        if (texts[i] != NULL)
            folder_write(d, names[i], texts[i], strlen(texts[i]));
    }
}

/* Ids as transformers gives them: tests/interop/tokenizers_agree.py compares more of these. */
static void files_beside_the_vocabulary_add_tokens(void **state)
{
    static const struct {
        struct beside files;
        int32_t ids[6]; /* of "ab<x> <y>", -1: the end */
    } rows[] = {
        { { NULL, NULL, "{\"<x>\":4,\"<y>\":5}", NULL }, { 2, 4, 3, 5, -1 } },
        { { NULL,
            "{\"added_tokens_decoder\":{\"5\":{\"content\":\"<y>\",\"lstrip\":true},\"4\":{\"content\":\"<x>\"}}}",
            "{\"ab<\":4}", NULL },
          { 2, 4, 5, -1 } },
        { { NULL, "{\"bos_token\":\"<y>\",\"eos_token\":\"<x>\",\"add_bos_token\":true}", NULL, NULL },
          { 4, 2, 5, 3, 4, -1 } },
        { { NULL, "{\"tokenizer_class\":\"Qwen2Tokenizer\",\"extra_special_tokens\":[\"<y>\",\"<x>\"]}", NULL, NULL },
          { 2, 6, 3, 5, -1 } },
        { { NULL, "{\"add_prefix_space\":true}", "{\"<x>\":4,\"<y>\":5}", NULL }, { 3, 2, 4, 3, 5, -1 } },
        { { "{" MODEL "}", "{\"pad_token\":\"<y>\"}", "{\"<x>\":3}", "{\"pad_token\":\"<x> <y>\"}" }, { 2, 4, -1 } },
        { { ADDED("{\"id\":3,\"content\":\"<x>\"}"), "{\"image_token\":\"<y>\",\"add_bos_token\":true}", NULL, NULL },
          { 2, 3, 4, -1 } },
    };
    static const char text[] = "ab<x> <y>";
    struct folder d;
    struct srq_tokenizer *tk;
    struct srq_error err;
    int32_t *ids;
    int64_t count;

    (void)state;
    folder_make(&d);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t n = 0;

        write_beside(&d, &rows[i].files);
        assert_ok(srq_tokenizer_open(d.path, &tk, &err), &err);
        assert_ok(srq_tokenizer_encode(tk, text, sizeof(text) - 1, true, &ids, &count, &err), &err);
        while (rows[i].ids[n] >= 0) {
            if (n >= count || ids[n] != rows[i].ids[n])
                fail_msg("row %zu, id %lld: %d, not %d", i, (long long)n, n < count ? ids[n] : -1, rows[i].ids[n]);
            n++;
        }
        assert_int_equal(count, n);
        srq_free(ids);
        srq_tokenizer_free(tk);
    }
    folder_remove(&d);
}

static void files_beside_the_vocabulary_are_refused_by_name(void **state)
{
    static const struct {
        struct beside files;
        int code;
        const char *names;
    } rows[] = {
        { { NULL, "{\"tokenizer_class\":\"CLIPTokenizer\"}", NULL, NULL },
          -SRQ_EUNSUPPORTED,
          "tokenizer_class \"CLIPTokenizer\"" },
        { { NULL, "{\"add_prefix_space\":1}", NULL, NULL }, -SRQ_EFORMAT, "\"add_prefix_space\" of the configuration" },
        { { NULL, "[]", NULL, NULL }, -SRQ_EFORMAT, "tokenizer_config.json is not a JSON object" },
        { { "{" MODEL "}", "{\"split_special_tokens\":true}", NULL, NULL },
          -SRQ_EUNSUPPORTED,
          "\"split_special_tokens\"" },
        { { "{" MODEL "}", "{\"added_tokens_decoder\":{\"7\":{\"content\":\"<x>\"}}}", NULL, NULL },
          -SRQ_EFORMAT,
          "tokenizer_config.json: token \"<x>\" is none of the vocabulary and has the id 7; the next new one is 3" },
        { { "{" MODEL "}", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"<x>\"}}}", NULL, NULL },
          -SRQ_EFORMAT,
          "\"x\" is not an id" },
        { { "{" MODEL "}", "{\"added_tokens_decoder\":{\"3\":\"<x>\"}}", NULL, NULL },
          -SRQ_EFORMAT,
          "their \"content\"" },
        { { "{" MODEL "}", "{\"added_tokens_decoder\":[]}", NULL, NULL },
          -SRQ_EFORMAT,
          "\"added_tokens_decoder\" is not an object" },
        { { "{" MODEL "}", "{\"eos_token\":3}", NULL, NULL }, -SRQ_EFORMAT, "\"eos_token\" is not a token" },
        { { "{" MODEL "}", "{\"extra_special_tokens\":\"<x>\"}", NULL, NULL },
          -SRQ_EFORMAT,
          "\"extra_special_tokens\" is not a list" },
        { { "{" MODEL "}", NULL, "{\"<x>\":\"3\"}", NULL },
          -SRQ_EFORMAT,
          "added_tokens.json: \"<x>\" is not of an integer id" },
        { { "{" MODEL "}", NULL, "{\"<x>\":5}", NULL },
          -SRQ_EFORMAT,
          "added_tokens.json: token \"<x>\" is none of the vocabulary" },
        { { "{\"normalizer\":{\"type\":\"Lowercase\"}," MODEL "}", NULL, "{\"<X>\":3,\"<x>\":4}", NULL },
          -SRQ_EUNSUPPORTED,
          "added tokens \"<X>\" and \"<x>\" are the same to the normalizer" },
    };
    struct folder d;
    struct srq_tokenizer *tk;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_beside(&d, &rows[i].files);
        assert_refused(srq_tokenizer_open(d.path, &tk, &err), rows[i].code, &err, rows[i].names);
    }
    folder_remove(&d);
}

static void steps_that_transformers_does_not_use_are_doubted(void **state)
{
    static const struct beside plain = { "{" MODEL "}", "{\"tokenizer_class\":\"Qwen2TokenizerFast\"}", NULL, NULL };
    static const struct beside same = { PRE("{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"),
                                        "{\"tokenizer_class\":\"GPT2Tokenizer\"}", NULL, NULL };
    struct folder d;
    struct srq_tokenizer *tk;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    write_beside(&d, &plain);
    assert_ok(srq_tokenizer_open(d.path, &tk, &err), &err);
    assert_non_null(strstr(srq_tokenizer_doubt(tk), "class Qwen2Tokenizer"));
    srq_tokenizer_free(tk);
    write_beside(&d, &same);
    assert_ok(srq_tokenizer_open(d.path, &tk, &err), &err);
    assert_null(srq_tokenizer_doubt(tk));
    srq_tokenizer_free(tk);
    folder_remove(&d);
}

static void a_folder_without_tokenizer_is_refused(void **state)
{
    struct folder d;
    struct srq_tokenizer *tk;
    struct srq_error err;

    (void)state;
    folder_make(&d);
    assert_refused(srq_tokenizer_open(d.path, &tk, &err), -SRQ_ENOENT, &err, "holds no tokenizer.json");
    folder_remove(&d);
}

/* (a*)*x on a run of a's takes exponential time in a backtracking matcher. */
static void a_pattern_that_explodes_is_stopped(void **state)
{
    static const char json[] = SPLIT("(a*)*(a*)*(a*)*[xy]z?");
    char text[400];
    struct folder d;
    struct srq_tokenizer *tk;
    struct srq_error err;
    int32_t *ids;
    int64_t count;

    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = 'b';
    folder_make(&d);
    folder_write(&d, "tokenizer.json", json, sizeof(json) - 1);
    assert_ok(srq_tokenizer_open(d.path, &tk, &err), &err);
    assert_refused(srq_tokenizer_encode(tk, text, sizeof(text), false, &ids, &count, &err), -SRQ_ELIMIT, &err,
                   "(a*)*(a*)*(a*)*[xy]z?");
    srq_tokenizer_free(tk);
    folder_remove(&d);
}

/* U+180E is no white space, though PCRE2's own \s matches it. */
static void white_space_of_patterns_is_that_of_unicode(void **state)
{
    static const char json[] = "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\s\"},\"behavior\":"
                               "\"Removed\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"\xe1\xa0\x8e\":0,\"\xc2\x85\":1,"
                               "\"\xe3\x80\x80\":2,\"x\":3},\"merges\":[]}}";
    static const char text[] = "x\xe1\xa0\x8e\xc2\x85\xe3\x80\x80x";
    struct folder d;
    struct srq_tokenizer *tk;
    struct srq_error err;
    int32_t *ids;
    int64_t count;

    (void)state;
    folder_make(&d);
    folder_write(&d, "tokenizer.json", json, sizeof(json) - 1);
    assert_ok(srq_tokenizer_open(d.path, &tk, &err), &err);
    assert_ok(srq_tokenizer_encode(tk, text, sizeof(text) - 1, false, &ids, &count, &err), &err);
    assert_int_equal(count, 3);
    assert_int_equal(ids[1], 0);
    srq_free(ids);
    srq_tokenizer_free(tk);
    folder_remove(&d);
}

struct nth {
    int left;
};

static bool fail_nth(size_t size, void *ctx)
{
    (void)size;
    return ((struct nth *)ctx)->left-- != 0;
}

static int open_and_encode(const char *dir, struct srq_error *err)
{
    static const char text[] = "a b ab caf\xc3\xa9 <t> aab";
    struct srq_tokenizer *tk;
    int32_t *ids;
    int64_t count;
    int rc = srq_tokenizer_open(dir, &tk, err);

    if (rc != 0)
        return rc;
    rc = srq_tokenizer_encode(tk, text, sizeof(text) - 1, true, &ids, &count, err);
    srq_free(ids);
    srq_tokenizer_free(tk);
    return rc;
}

static void every_failed_allocation_is_reported(void **state)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<t>\"},{\"id\":4,\"content\":\"<n>\",\"normalized\":true}],"
        "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\",\"pattern\":"
        "{\"String\":\" \"},\"content\":\"_\"}]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
        "\"Split\",\"pattern\":{\"Regex\":\"_\"},\"behavior\":\"MergedWithNext\"},{\"type\":\"ByteLevel\","
        "\"add_prefix_space\":true}]}," MODEL "}";
    static const char config[] =
        "{\"tokenizer_class\":\"GPT2Tokenizer\",\"added_tokens_decoder\":{\"5\":{\"content\":\"<x>\"}},"
        "\"pad_token\":\"<y>\",\"extra_special_tokens\":[\"<z>\"]}";
    struct folder d;
    struct srq_error err;
    int failures = 0;

    (void)state;
    folder_make(&d);
    folder_write(&d, "tokenizer.json", json, sizeof(json) - 1);
    folder_write(&d, "tokenizer_config.json", config, sizeof(config) - 1);
    for (;; failures++) {
        struct nth n = { failures };
        int rc;

        srq_set_alloc_hook(fail_nth, &n);
        rc = open_and_encode(d.path, &err);
        srq_set_alloc_hook(NULL, NULL);
        if (rc == 0 && n.left >= 0)
            break;
        if (rc != 0) /* the cache may do without */
            assert_refused(rc, -SRQ_ENOMEM, &err, "out of memory");
    }
    assert_true(failures > 50);
    folder_remove(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_equal_the_reference_demo_model),
        cmocka_unit_test(ids_equal_the_reference_gpt2),
        cmocka_unit_test(ids_equal_the_reference_gpt2_files),
        cmocka_unit_test(ids_equal_the_reference_prefix_space),
        cmocka_unit_test(ids_equal_the_reference_smollm_single_digits),
        cmocka_unit_test(ids_equal_the_reference_digit_runs),
        cmocka_unit_test(ids_equal_the_reference_llama3_ignoring_merges),
        cmocka_unit_test(ids_equal_the_reference_qwen_nfc),
        cmocka_unit_test(ids_equal_the_reference_bloom_nested_class),
        cmocka_unit_test(ids_equal_the_reference_clip_word_suffix),
        cmocka_unit_test(ids_equal_the_reference_llama2_byte_fallback),
        cmocka_unit_test(ids_equal_the_reference_metaspace_unknown),
        cmocka_unit_test(ids_equal_the_reference_metaspace_fused_unknown),
        cmocka_unit_test(ids_equal_the_reference_dropped_characters),
        cmocka_unit_test(ids_equal_the_reference_merged_with_previous),
        cmocka_unit_test(ids_equal_the_reference_merged_with_next),
        cmocka_unit_test(ids_equal_the_reference_contiguous),
        cmocka_unit_test(byte_alphabet_is_a_bijection),
        cmocka_unit_test(tokens_join_to_the_text),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_with_the_byte),
        cmocka_unit_test(a_whole_document_as_one_word_is_encoded),
        cmocka_unit_test(threads_share_a_tokenizer),
        cmocka_unit_test(bad_tokenizers_are_refused_with_the_reason),
        cmocka_unit_test(files_beside_the_vocabulary_add_tokens),
        cmocka_unit_test(files_beside_the_vocabulary_are_refused_by_name),
        cmocka_unit_test(steps_that_transformers_does_not_use_are_doubted),
        cmocka_unit_test(a_folder_without_tokenizer_is_refused),
        cmocka_unit_test(a_pattern_that_explodes_is_stopped),
        cmocka_unit_test(white_space_of_patterns_is_that_of_unicode),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };

    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
