/* Text files into samples: windows as they are defined, records shuffled and dropped by the rules, refusals that name
 * file, line and byte. The tokenizer is one where every ASCII letter is its own id. */
#include "tests/unit/folder.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/text/samples.h"

#include <sys/stat.h>

static const char tokenizer_json[] =
    "{\"added_tokens\":[{\"id\":8,\"content\":\"<s>\",\"special\":true},{\"id\":9,\"content\":\"</"
    "s>\",\"special\":true}],"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},"
    "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"</"
    "s>\",\"type_id\":0}}],\"special_tokens\":{"
    "\"<s>\":{\"id\":\"<s>\",\"ids\":[8],\"tokens\":[\"<s>\"]},\"</s>\":{\"id\":\"</s>\",\"ids\":[9],\"tokens\":[\"</"
    "s>\"]}}},"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3,\"e\":4,\"f\":5,\"g\":6,\"h\":7},"
    "\"merges\":[]}}";

struct fixture {
    struct folder d;
    struct srq_tokenizer *tk;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct srq_error err;

    assert_non_null(f);
    folder_make(&f->d);
    folder_write(&f->d, "tokenizer.json", tokenizer_json, sizeof(tokenizer_json) - 1);
    assert_ok(srq_tokenizer_open(f->d.path, &f->tk, &err), &err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    srq_tokenizer_free(f->tk);
    folder_remove(&f->d);
    free(f);
    return 0;
}

static int read_named(struct fixture *f, const char *name, struct srq_sample_request req, struct srq_samples *out,
                      struct srq_error *err)
{
    char path[512];
    const char *files[] = { path };

    snprintf(path, sizeof(path), "%s/%s", f->d.path, name);
    req.files = files;
    req.file_count = 1;
    req.model_dir = f->d.path;
    if (req.vocab == 0)
        req.vocab = 10;
    return srq_samples_read(f->tk, &req, out, err);
}

static void put(struct fixture *f, const char *name, const char *text)
{
    folder_write(&f->d, name, text, strlen(text));
}

static void windows_are_consecutive_and_the_rest_is_left(void **state)
{
    static const int32_t want[] = { 0, 1, 2, 3, 4, 5 };
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;

    put(f, "a.txt", "abcdefgh");
    assert_ok(read_named(f, "a.txt", (struct srq_sample_request){ .seqlen = 3 }, &s, &err), &err);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.seqlen, 3);
    assert_memory_equal(s.ids, want, sizeof(want));
    assert_null(s.mask);
    assert_int_equal(strlen(s.hash), 32);
    srq_samples_fini(&s);
    assert_ok(read_named(f, "a.txt", (struct srq_sample_request){ .seqlen = 3, .nsamples = 1 }, &s, &err), &err);
    assert_int_equal(s.count, 1);
    assert_memory_equal(s.ids, want, 3 * sizeof(*want));
    srq_samples_fini(&s);
}

static void files_of_a_folder_are_joined_in_the_order_of_their_names(void **state)
{
    static const int32_t want[] = { 6, 7, 0, 1, 2, 3 };
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;
    char path[512];

    snprintf(path, sizeof(path), "%s/texts", f->d.path);
    assert_int_equal(mkdir(path, 0700), 0);
    put(f, "texts/c.txt", "cd");
    put(f, "texts/b.jsonl", "{\"text\":\"a\"}\n\n{\"text\":\"b\", \"messages\":[]}\r\n");
    put(f, "texts/a.txt", "gh");
    put(f, "texts/z.md", "hhhh");
    put(f, "texts/._a.txt", "\xff\xfe");
    assert_ok(read_named(f, "texts", (struct srq_sample_request){ .seqlen = 2 }, &s, &err), &err);
    assert_int_equal(s.count, 3);
    assert_memory_equal(s.ids, want, sizeof(want));
    srq_samples_fini(&s);
}

/* The mark that some editors put before a text. */
static void a_byte_order_mark_is_no_part_of_a_text(void **state)
{
    static const int32_t want[] = { 6, 7, 0, 1 };
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;
    char path[512];

    snprintf(path, sizeof(path), "%s/marked", f->d.path);
    assert_int_equal(mkdir(path, 0700), 0);
    put(f, "marked/a.txt", "\xef\xbb\xbfgh");
    put(f, "marked/b.jsonl", "\xef\xbb\xbf{\"text\":\"ab\"}\n");
    assert_ok(read_named(f, "marked", (struct srq_sample_request){ .seqlen = 2 }, &s, &err), &err);
    assert_int_equal(s.count, 2);
    assert_memory_equal(s.ids, want, sizeof(want));
    srq_samples_fini(&s);
}

static void hash_follows_the_ids(void **state)
{
    struct fixture *f = *state;
    struct srq_samples a, b, c;
    struct srq_error err;

    put(f, "a.txt", "abcd");
    put(f, "b.txt", "abcdh");
    put(f, "c.txt", "abce");
    assert_ok(read_named(f, "a.txt", (struct srq_sample_request){ .seqlen = 4 }, &a, &err), &err);
    assert_ok(read_named(f, "b.txt", (struct srq_sample_request){ .seqlen = 4 }, &b, &err), &err);
    assert_ok(read_named(f, "c.txt", (struct srq_sample_request){ .seqlen = 4 }, &c, &err), &err);
    assert_string_equal(a.hash, b.hash);
    assert_string_not_equal(a.hash, c.hash);
    srq_samples_fini(&a);
    srq_samples_fini(&b);
    srq_samples_fini(&c);
    assert_ok(read_named(f, "a.txt", (struct srq_sample_request){ .seqlen = 2 }, &b, &err), &err);
    assert_string_not_equal(b.hash, a.hash);
    srq_samples_fini(&b);
}

static void shuffled_records_are_truncated_with_special_tokens_and_dropped_by_the_rules(void **state)
{
    /* Five ids a sample: <s> x y z </s>. Short: "ab". Monotonous, once </s> is put at the end: none of these. */
    static const int32_t want[3][5] = { { 8, 0, 1, 2, 9 }, { 8, 3, 4, 5, 9 }, { 8, 7, 7, 7, 9 } };
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;
    int seen[3] = { 0 };

    put(f, "r.jsonl", "{\"text\":\"abcdefg\"}\n{\"text\":\"ab\"}\n{\"text\":\"def\"}\n{\"text\":\"hhhhhh\"}\n");
    assert_ok(read_named(f, "r.jsonl",
                         (struct srq_sample_request){ .seqlen = 5, .sampling = SRQ_SAMPLING_SHUFFLED, .seed = 42 }, &s,
                         &err),
              &err);
    assert_int_equal(s.count, 3);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++)
            seen[k] += memcmp(s.ids + 5 * i, want[k], sizeof(want[k])) == 0;
    }
    assert_int_equal(seen[0] + seen[1] * 10 + seen[2] * 100, 111);
    srq_samples_fini(&s);
}

static void a_record_filled_by_its_last_token_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;
    struct srq_sample_request req = { .seqlen = 5, .sampling = SRQ_SAMPLING_SHUFFLED };

    put(f, "r.jsonl", "{\"text\":\"a</s></s>\"}\n{\"text\":\"ab</s>\"}\n"); /* 3 of 5, 2 of 5 */
    assert_ok(read_named(f, "r.jsonl", req, &s, &err), &err);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.ids[2], 1);
    srq_samples_fini(&s);
}

static void the_order_of_records_depends_on_the_seed_alone(void **state)
{
    struct fixture *f = *state;
    struct srq_samples a, b, c;
    struct srq_error err;
    struct srq_sample_request req = { .seqlen = 3, .sampling = SRQ_SAMPLING_SHUFFLED, .seed = 1 };
    char rows[8 * 16 + 1] = "";

    for (int i = 0; i < 8; i++)
        snprintf(rows + strlen(rows), 17, "{\"text\":\"%c\"}\n", 'a' + i);
    put(f, "r.jsonl", rows);
    assert_ok(read_named(f, "r.jsonl", req, &a, &err), &err);
    assert_ok(read_named(f, "r.jsonl", req, &b, &err), &err);
    req.seed = 2;
    assert_ok(read_named(f, "r.jsonl", req, &c, &err), &err);
    assert_int_equal(a.count, 8);
    assert_string_equal(a.hash, b.hash);
    assert_string_not_equal(a.hash, c.hash);
    srq_samples_fini(&b);
    srq_samples_fini(&c);
    req.seed = 1;
    req.nsamples = 3;
    assert_ok(read_named(f, "r.jsonl", req, &b, &err), &err);
    assert_int_equal(b.count, 3);
    assert_memory_equal(a.ids, b.ids, 9 * sizeof(*a.ids));
    srq_samples_fini(&a);
    srq_samples_fini(&b);
}

static void bad_input_is_refused_with_file_and_place(void **state)
{
    static const struct {
        const char *name, *text;
        int64_t seqlen, vocab;
        int code;
        const char *names;
    } rows[] = {
        { "bad.txt",
          "abc\xff"
          "d",
          2, 0, -SRQ_EFORMAT, "bad.txt is not UTF-8 text at byte 3" },
        { "bad.jsonl", "{\"text\":\"a\"}\n{\"text\":\"\xc3\"}\n", 1, 0, -SRQ_EFORMAT,
          "bad.jsonl is not UTF-8 text at byte 22" },
        { "m.jsonl", "{\"text\":\"a\"}\n\n{\"messages\":[]}\n", 9, 0, -SRQ_ENOENT,
          "m.jsonl:3: a row with \"messages\" needs the model's chat template; " },
        { "m.jsonl", "{\"text\":\"a\"}\n{\"text\":7}\n", 9, 0, -SRQ_EFORMAT, "m.jsonl:2: the row is not" },
        { "m.jsonl", "[]\n", 9, 0, -SRQ_EFORMAT, "m.jsonl:1: the row is not" },
        { "m.jsonl", "{\"text\":\"a\"}\n{\"text\":\"a\",\n", 9, 0, -SRQ_EFORMAT, "m.jsonl:2: bad JSON" },
        { "few.txt", "abc", 4, 0, -SRQ_EINVAL, "few.txt gives 3 ids, too few for one sample of 4" },
        { "none.txt", "", 4, 0, -SRQ_EINVAL, "none.txt gives 0 ids" },
        { "big.txt", "abch", 2, 7, -SRQ_EINVAL, "big.txt: token \"h\" has the id 7, but the model has only 7" },
        { "seq.txt", "abch", 0, 0, -SRQ_EINVAL, "seqlen is 0" },
    };
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put(f, rows[i].name, rows[i].text);
        assert_refused(read_named(f, rows[i].name,
                                  (struct srq_sample_request){ .seqlen = rows[i].seqlen, .vocab = rows[i].vocab }, &s,
                                  &err),
                       rows[i].code, &err, rows[i].names);
        assert_null(s.ids);
    }
    assert_refused(read_named(f, "absent.txt", (struct srq_sample_request){ .seqlen = 2 }, &s, &err), -SRQ_ENOENT, &err,
                   "absent.txt");
    put(f, "r.jsonl", "{\"text\":\"ab\"}\n");
    assert_refused(read_named(f, "r.jsonl",
                              (struct srq_sample_request){ .seqlen = 9, .sampling = SRQ_SAMPLING_SHUFFLED }, &s, &err),
                   -SRQ_EINVAL, &err, "all records together have 4");
}

static void an_empty_folder_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;
    char path[512];

    snprintf(path, sizeof(path), "%s/empty", f->d.path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_refused(read_named(f, "empty", (struct srq_sample_request){ .seqlen = 2 }, &s, &err), -SRQ_ENOENT, &err,
                   "empty holds no .txt and no .jsonl");
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

static void check_ids(struct fixture *f, const char *name, enum srq_sampling sampling, const int32_t *want,
                      int64_t count)
{
    struct srq_samples s;
    struct srq_error err;

    assert_ok(read_named(f, name, (struct srq_sample_request){ .seqlen = count, .sampling = sampling }, &s, &err),
              &err);
    assert_int_equal(s.count, 1);
    assert_memory_equal(s.ids, want, (size_t)count * sizeof(*want));
    srq_samples_fini(&s);
}

static void rows_of_messages_go_through_the_chat_template(void **state)
{
    static const int32_t want[] = { 8, 0, 1, 9, 2, 8, 3, 9 };
    struct fixture *f = *state;

    put(f, "chat_template.jinja",
        "{{ bos_token }}{% for m in messages %}{{ m.content }}\n{%- if loop.first %}</s>{% endif %}{% endfor %}");
    put(f, "tokenizer_config.json",
        "{\"bos_token\":{\"content\":\"<s>\"},\"chat_template\":\"unused {{\","
        "\"model_max_length\":1000000000000000019884624838656}");
    put(f, "m.jsonl",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"ab\"},{\"role\":\"x\",\"content\":\"c\"}]}\n"
        "{\"messages\":[{\"content\":\"d\"}], \"text\":7}\n");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, want, 8);
}

/* To a row of text the post-processor adds <s> and </s>; to what the template wrote, nothing. */
static void rendered_rows_get_no_second_special_tokens(void **state)
{
    static const int32_t want[] = { 8, 0, 1, 2 };
    struct fixture *f = *state;

    put(f, "chat_template.jinja", "{{ bos_token }}{{ messages[0].content }}");
    put(f, "tokenizer_config.json", "{\"bos_token\":\"<s>\"}");
    put(f, "m.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"abcdef\"}]}\n");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_SHUFFLED, want, 4);
}

/* As tokens are: from special_tokens_map.json where the configuration has no decoder, and as the class has them. */
static void special_tokens_come_from_where_the_tokenizer_has_them(void **state)
{
    static const int32_t mapped[] = { 8, 0 }, decoded[] = { 0 }, of_class[] = { 1 };
    struct fixture *f = *state;

    put(f, "m.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n");
    put(f, "chat_template.jinja", "{{ bos_token }}{{ messages[0].content }}");
    put(f, "special_tokens_map.json", "{\"bos_token\":{\"content\":\"<s>\"}}");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, mapped, 2);
    put(f, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"8\":{\"content\":\"<s>\",\"special\":true}}}");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, decoded, 1);
    put(f, "tokenizer_config.json", "{\"tokenizer_class\":\"GPT2TokenizerFast\"}");
    put(f, "chat_template.jinja", "{{ 'b' if eos_token == '<|endoftext|>' else 'c' }}");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, of_class, 1);
}

static void the_template_is_found_where_models_keep_it(void **state)
{
    static const int32_t own[] = { 0 }, config[] = { 1 }, named[] = { 2 }, older[] = { 3 };
    struct fixture *f = *state;

    put(f, "m.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}\n");
    put(f, "chat_template.json", "{\"chat_template\":\"d\"}");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, older, 1);
    put(f, "tokenizer_config.json",
        "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"h\"},{\"name\":\"default\","
        "\"template\":\"c\"}]}");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, named, 1);
    put(f, "tokenizer_config.json", "{\"chat_template\":\"b\"}");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, config, 1);
    put(f, "chat_template.jinja", "a");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, own, 1);
}

static void tools_reach_the_template_and_null_members_do_not(void **state)
{
    struct fixture *f = *state;

    put(f, "chat_template.jinja",
        "{{ tools[0].name if tools else 'h' }}{{ 'h' if 'tool_calls' in messages[0] else 'b' }}"
        "{{ messages[0].reasoning_content }}{{ messages[0].thinking }}");
    put(f, "m.jsonl",
        "{\"messages\":[{\"role\":\"user\",\"tool_calls\":null,\"reasoning\":\"c\",\"thinking\":null,"
        "\"content\":\"\"}],\"tools\":[{\"name\":\"a\"}]}\n");
    put(f, "n.jsonl", "{\"messages\":[{\"role\":\"user\",\"reasoning\":\"d\",\"thinking\":\"c\"}],\"tools\":null}\n");
    check_ids(f, "m.jsonl", SRQ_SAMPLING_WINDOWS, (const int32_t[]){ 0, 1, 2, 2 }, 4);
    check_ids(f, "n.jsonl", SRQ_SAMPLING_WINDOWS, (const int32_t[]){ 7, 1, 2, 2 }, 4);
}

static void what_a_template_does_not_take_is_refused_with_row_and_line(void **state)
{
    static const struct {
        const char *template, *row, *says;
        int code;
    } rows[] = {
        { "a\n{{ raise_exception('no ' ~ messages[0].role) }}", "{\"messages\":[{\"role\":\"user\"}]}",
          "chat_template.jinja, line 2: the template refuses it: no user", -SRQ_EFORMAT },
        { "{{ messages[1].content }}", "{\"messages\":[{\"role\":\"user\"}]}", "list object has no element 1",
          -SRQ_EFORMAT },
        { "a", "{\"messages\":[]}", "\"messages\" is an empty list", -SRQ_EFORMAT },
        { "a", "{\"messages\":{}}", "\"messages\" is not a list", -SRQ_EFORMAT },
        { "a", "{\"messages\":[{}, 7]}", "messages[1] is not an object", -SRQ_EFORMAT },
        { "a", "{\"messages\":[{\"role\":1}]}", "\"role\" of messages[0] is not a string", -SRQ_EFORMAT },
        { "a", "{\"messages\":[{}],\"tools\":[1]}", "tools[0] is not an object", -SRQ_EFORMAT },
        { "\n{{ a|wordcount }}", "{\"messages\":[{}]}", "a row with \"messages\" needs the model's chat template; ",
          -SRQ_EUNSUPPORTED },
        { "\n{{ a|wordcount }}", "{\"messages\":[{}]}", "line 2: filter \"wordcount\" is not supported",
          -SRQ_EUNSUPPORTED },
        { "a\xff", "{\"messages\":[{}]}", "chat_template.jinja is not UTF-8 text at byte 1", -SRQ_EFORMAT },
    };
    struct fixture *f = *state;
    struct srq_samples s;
    struct srq_error err;
    char text[512];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put(f, "chat_template.jinja", rows[i].template);
        snprintf(text, sizeof(text), "\n%s\n", rows[i].row);
        put(f, "m.jsonl", text);
        assert_refused(read_named(f, "m.jsonl", (struct srq_sample_request){ .seqlen = 1 }, &s, &err), rows[i].code,
                       &err, rows[i].says);
        assert_non_null(strstr(err.text, "m.jsonl:2: "));
    }
    remove(folder_file(&f->d, "chat_template.jinja"));
    put(f, "tokenizer_config.json", "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"\"}]}");
    assert_refused(read_named(f, "m.jsonl", (struct srq_sample_request){ .seqlen = 1 }, &s, &err), -SRQ_EFORMAT, &err,
                   "neither a text nor a list with one that is named \"default\"");
}

/* As a plan does it, which reads no more than the first row of each file. */
static void first_rows_are_looked_at_before_all_is_read(void **state)
{
    struct fixture *f = *state;
    struct srq_error err;
    char m[512], t[512];
    const char *files[] = { t, m };

    snprintf(m, sizeof(m), "%s/m.jsonl", f->d.path);
    snprintf(t, sizeof(t), "%s/t.jsonl", f->d.path);
    put(f, "t.jsonl", "{\"text\":\"a\"}\n{\"messages\":7}\n{");
    put(f, "m.jsonl", " \n\n{\"messages\":[{\"role\":\"user\"}]}");
    assert_ok(srq_samples_check(files, 1, f->d.path, &err), &err);
    assert_refused(srq_samples_check(files, 2, f->d.path, &err), -SRQ_ENOENT, &err,
                   "m.jsonl:3: a row with \"messages\" needs the model's chat template");
    put(f, "chat_template.jinja", "{{ a|wordcount }}");
    assert_refused(srq_samples_check(files, 2, f->d.path, &err), -SRQ_EUNSUPPORTED, &err,
                   "line 1: filter \"wordcount\" is not supported");
    put(f, "chat_template.jinja", "{{ raise_exception('no') }}");
    assert_refused(srq_samples_check(files, 2, f->d.path, &err), -SRQ_EFORMAT, &err, "the template refuses it: no");
    put(f, "chat_template.jinja", "x");
    assert_ok(srq_samples_check(files, 2, f->d.path, &err), &err);
}

static void files_without_text_are_refused_unread(void **state)
{
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
    struct fixture *f = *state;
    struct srq_error err;
    char one[512], other[512], folder[512];
    const char *files[] = { one, other }, *const device = "/dev/zero", *const texts = folder;

    snprintf(one, sizeof(one), "%s/one.txt", f->d.path);
    snprintf(other, sizeof(other), "%s/other.txt", f->d.path);
    snprintf(folder, sizeof(folder), "%s/texts", f->d.path);
    assert_refused(srq_samples_check(files, 1, f->d.path, &err), -SRQ_ENOENT, &err, "one.txt: No such file");
    put(f, "one.txt", "");
    put(f, "other.txt", "");
    assert_refused(srq_samples_check(files, 1, f->d.path, &err), -SRQ_EINVAL, &err, "one.txt is empty");
    assert_refused(srq_samples_check(files, 2, f->d.path, &err), -SRQ_EINVAL, &err, "one.txt and the others are empty");
    put(f, "other.txt", "a");
    assert_ok(srq_samples_check(files, 2, f->d.path, &err), &err);
    put(f, "other.txt", pointer);
    assert_refused(srq_samples_check(files, 2, f->d.path, &err), -SRQ_EFORMAT, &err, "other.txt is a git-lfs pointer");
    assert_int_equal(remove(other), 0);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_refused(srq_samples_check(files, 2, f->d.path, &err), -SRQ_EFORMAT, &err, "other.txt is not a regular file");
    assert_refused(srq_samples_check(&device, 1, f->d.path, &err), -SRQ_EFORMAT, &err, "is not a regular file");
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_refused(srq_samples_check(&texts, 1, f->d.path, &err), -SRQ_ENOENT, &err, "holds no .txt and no .jsonl");
}

struct nth {
    int left;
};

static bool fail_nth(size_t size, void *ctx)
{
    (void)size;
    return ((struct nth *)ctx)->left-- != 0;
}

static void every_failed_allocation_is_reported(void **state)
{
    struct fixture *f = *state;
    struct srq_error err;

    put(f, "chat_template.jinja", "{% for m in messages %}{{ m['content'] | trim }}{% endfor %}");
    put(f, "r.jsonl", "{\"text\":\"abc\"}\n{\"messages\":[{\"content\":\"def \"}]}\n");
    for (int sampling = SRQ_SAMPLING_WINDOWS; sampling <= SRQ_SAMPLING_SHUFFLED; sampling++) {
        int failures = 0;

        for (;; failures++) {
            struct nth n = { failures };
            struct srq_samples s;
            int rc;

            srq_set_alloc_hook(fail_nth, &n);
            rc = read_named(f, "r.jsonl",
                            (struct srq_sample_request){ .seqlen = 3, .sampling = (enum srq_sampling)sampling }, &s,
                            &err);
            srq_set_alloc_hook(NULL, NULL);
            if (rc == 0) {
                assert_int_equal(s.count, 2);
                srq_samples_fini(&s);
            } else {
                assert_refused(rc, -SRQ_ENOMEM, &err, "out of memory");
            }
            if (n.left >= 0)
                break;
        }
        assert_true(failures > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(windows_are_consecutive_and_the_rest_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(files_of_a_folder_are_joined_in_the_order_of_their_names, setup, teardown),
        cmocka_unit_test_setup_teardown(a_byte_order_mark_is_no_part_of_a_text, setup, teardown),
        cmocka_unit_test_setup_teardown(hash_follows_the_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(shuffled_records_are_truncated_with_special_tokens_and_dropped_by_the_rules,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_filled_by_its_last_token_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(the_order_of_records_depends_on_the_seed_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_input_is_refused_with_file_and_place, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_folder_is_refused_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_of_messages_go_through_the_chat_template, setup, teardown),
        cmocka_unit_test_setup_teardown(rendered_rows_get_no_second_special_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(special_tokens_come_from_where_the_tokenizer_has_them, setup, teardown),
        cmocka_unit_test_setup_teardown(the_template_is_found_where_models_keep_it, setup, teardown),
        cmocka_unit_test_setup_teardown(tools_reach_the_template_and_null_members_do_not, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_template_does_not_take_is_refused_with_row_and_line, setup, teardown),
        cmocka_unit_test_setup_teardown(first_rows_are_looked_at_before_all_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(files_without_text_are_refused_unread, setup, teardown),
        cmocka_unit_test_setup_teardown(every_failed_allocation_is_reported, setup, teardown),
    };

    return cmocka_run_group_tests_name("samples", tests, NULL, NULL);
}
