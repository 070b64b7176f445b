/* The message catalogue: strict JSON, frames, envelopes, validation against the table. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/proto/proto.h"

static int parse(const char *text, size_t len, int depth, struct srq_error *err)
{
    cJSON *json = NULL;
    int rc = srq_json_parse(text, len, depth, &json, err);

    if (rc != 0)
        assert_null(json);
    else
        assert_non_null(json);
    cJSON_Delete(json);
    return rc;
}

/* RFC 8259 and RFC 3629: every text here is outside them, or has a member twice. */
static void texts_outside_the_grammar_are_refused(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *part;
    } bad[] = {
#define T(s, part) { s, sizeof(s) - 1, part }
        T("", "ends where a value belongs"),
        T("{", "no member name"),
        T("[1", "ends inside"),
        T("[1,]", "unexpected character"),
        T("{\"a\":1,}", "no member name"),
        T("{\"a\" 1}", "no colon"),
        T("{a:1}", "no member name"),
        T("[1 2]", "no comma"),
        T("[1}", "no comma"),
        T("{} x", "more text"),
        T("{}{}", "more text"),
        T("tru", "unknown word"),
        T("nul", "unknown word"),
        T("NaN", "unexpected character"),
        T("Infinity", "unexpected character"),
        T("01", "leading zero"),
        T("-01", "leading zero"),
        T("+1", "unexpected character"),
        T("-", "minus without digits"),
        T("1.", "point without digits"),
        T(".5", "unexpected character"),
        T("1e", "exponent without digits"),
        T("0x10", "more text"),
        T("1e999", "beyond the range"),
        T("1234567890123456789012345678901234567890123456789012345678901", "60 characters"),
        T("\"a", "unfinished string"),
        T("\"a\nb\"", "control character"),
        T("\"\\x41\"", "unknown escape"),
        T("\"\\", "unfinished escape"),
        T("\"\\u12G4\"", "hexadecimal"),
        T("\"\\u0000\"", "NUL in a string"),
        T("\"a\0b\"", "NUL byte"),
        T("{}\0", "more text"),
        T("\"\\ud800\"", "lone surrogate"),
        T("\"\\ud800\\u0041\"", "lone surrogate"),
        T("\"\\udc00\"", "lone surrogate"),
        T("\"\xff\"", "UTF-8"),
        T("\"\xc0\xaf\"", "UTF-8"),         /* overlong */
        T("\"\xe0\x80\xaf\"", "UTF-8"),     /* overlong */
        T("\"\xed\xa0\x80\"", "UTF-8"),     /* surrogate */
        T("\"\xf4\x90\x80\x80\"", "UTF-8"), /* beyond U+10FFFF */
        T("\"\xe2\x82\"", "UTF-8"),         /* cut */
        T("\xef\xbb\xbf{}", "unexpected character"),
        T("{\"a\":1,\"a\":2}", "given twice"),
        T("{\"b\":{\"x\":1,\"y\":2,\"x\":3}}", "\"x\" is given twice"),
        T("{\"a\":1,\"\\u0061\":2}", "given twice"),
        T("'a'", "unexpected character"),
        T("/* c */ 1", "unexpected character"),
#undef T
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct srq_error err = { 0 };
        int rc = parse(bad[i].text, bad[i].len, SRQ_DEPTH_MAX, &err);

        if (rc != -SRQ_EFORMAT || strstr(err.text, bad[i].part) == NULL)
            fail_msg("case %zu (%s): %d \"%s\", wanted \"%s\"", i, bad[i].text, rc, err.text, bad[i].part);
    }
}

static void texts_inside_the_grammar_are_read(void **state)
{
    static const char *const good[] = {
        "null",
        " [ ] ",
        "{ }",
        "-0",
        "0.5e-7",
        "[1,2,[3,{\"a\":[]}]]",
        "\"\\ud83d\\ude00\"",
        "\"\xf0\x9f\x98\x80\"",
        "{\"a\":{\"a\":1},\"A\":2}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "9007199254740992",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct srq_error err = { 0 };

        assert_ok(parse(good[i], strlen(good[i]), SRQ_DEPTH_MAX, &err), &err);
    }
}

static void nesting_stops_at_the_cap(void **state)
{
    char text[200];
    struct srq_error err;

    (void)state;
    memset(text, '[', 32);
    memset(text + 32, ']', 32);
    assert_ok(parse(text, 64, 32, &err), &err);
    memset(text, '[', 33);
    memset(text + 33, ']', 33);
    assert_refused(parse(text, 66, 32, &err), -SRQ_ELIMIT, &err, "32 levels");
}

static bool fail_at(size_t size, void *ctx)
{
    int *left = ctx;

    (void)size;
    return (*left)-- > 0;
}

static void every_failing_allocation_of_the_parser_is_reported(void **state)
{
    static const char text[] = "{\"a\":{\"b\":1,\"c\":[{\"d\":1,\"e\":2}]},\"f\":3}";
    struct srq_error err;
    int rc = -1, n;

    (void)state;
    for (n = 0; n < 100 && rc != 0; n++) {
        int left = n;

        srq_set_alloc_hook(fail_at, &left);
        rc = parse(text, sizeof(text) - 1, SRQ_DEPTH_MAX, &err);
        srq_set_alloc_hook(NULL, NULL);
        if (rc != 0)
            assert_int_equal(rc, -SRQ_ENOMEM);
    }
    assert_int_equal(n, 4); /* three objects with two members or more */
}

/* Property: however a stream is cut into reads, the same lines come out. */
static void frames_do_not_depend_on_how_the_stream_is_cut(void **state)
{
    static const char stream[] = "one\n\n{\"three\":3}\r\nfour";
    static const char *const lines[] = { "one", "", "{\"three\":3}\r" };

    (void)state;
    for (size_t step = 1; step <= sizeof(stream); step++) {
        struct srq_frames f;
        struct srq_error err;
        const char *line;
        size_t n = 0, len;

        srq_frames_init(&f);
        for (size_t at = 0; at < sizeof(stream) - 1; at += step) {
            size_t part = sizeof(stream) - 1 - at < step ? sizeof(stream) - 1 - at : step;

            assert_ok(srq_frames_feed(&f, stream + at, part, &err), &err);
            while ((line = srq_frames_next(&f, &len)) != NULL) {
                assert_true(n < 3);
                assert_string_equal(line, lines[n]);
                assert_int_equal(len, strlen(lines[n]));
                n++;
            }
        }
        assert_int_equal(n, 3);
        srq_frames_fini(&f);
    }
}

static void a_frame_over_the_cap_is_refused_whether_finished_or_not(void **state)
{
    char *big = malloc(SRQ_FRAME_MAX + 2);
    struct srq_error err;
    struct srq_frames f;
    size_t len;

    (void)state;
    memset(big, 'x', SRQ_FRAME_MAX + 2);
    srq_frames_init(&f);
    big[SRQ_FRAME_MAX] = '\n';
    assert_ok(srq_frames_feed(&f, big, SRQ_FRAME_MAX + 1, &err), &err);
    assert_non_null(srq_frames_next(&f, &len));
    assert_int_equal(len, SRQ_FRAME_MAX);
    big[SRQ_FRAME_MAX] = 'x';
    assert_refused(srq_frames_feed(&f, big, SRQ_FRAME_MAX + 1, &err), -SRQ_ELIMIT, &err, "1048576 bytes");
    srq_frames_fini(&f);
    srq_frames_init(&f);
    big[SRQ_FRAME_MAX + 1] = '\n';
    assert_refused(srq_frames_feed(&f, big, SRQ_FRAME_MAX + 2, &err), -SRQ_ELIMIT, &err, "1048576 bytes");
    srq_frames_fini(&f);
    free(big);
}

static void what_is_built_is_read_back(void **state)
{
    struct srq_error err = { 0 }, sent = { 0 };
    struct srq_message m;
    cJSON *params = cJSON_CreateObject();
    char *line;

    (void)state;
    cJSON_AddStringToObject(params, "job", "line\nbreak");
    line = srq_proto_request("7", "job.get", params);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_ok(srq_proto_read(line, strlen(line) - 1, &m, &err), &err);
    assert_int_equal(m.kind, SRQ_MSG_REQUEST);
    assert_string_equal(m.id, "7");
    assert_string_equal(m.method, "job.get");
    assert_true(cJSON_Compare(m.params, params, true));
    srq_message_fini(&m);
    srq_free(line);

    line = srq_proto_event_line("log", params);
    assert_ok(srq_proto_read(line, strlen(line) - 1, &m, &err), &err);
    assert_int_equal(m.kind, SRQ_MSG_EVENT);
    assert_null(m.id);
    srq_message_fini(&m);
    srq_free(line);

    line = srq_proto_result("7", params);
    assert_ok(srq_proto_read(line, strlen(line) - 1, &m, &err), &err);
    assert_int_equal(m.kind, SRQ_MSG_RESULT);
    assert_true(cJSON_Compare(m.result, params, true));
    srq_message_fini(&m);
    srq_free(line);

    srq_fail_field(&sent, -SRQ_EPERM, "job", "job \"x\" belongs to another user");
    line = srq_proto_failure(NULL, &sent);
    assert_ok(srq_proto_read(line, strlen(line) - 1, &m, &err), &err);
    assert_int_equal(m.kind, SRQ_MSG_FAILURE);
    assert_int_equal(m.error.code, SRQ_EPERM);
    assert_string_equal(m.error.field, "job");
    assert_string_equal(m.error.text, sent.text);
    srq_message_fini(&m);
    srq_free(line);
    cJSON_Delete(params);
}

static void bytes_that_are_no_utf8_do_not_spoil_a_message(void **state)
{
    struct srq_error err = { 0 }, sent = { 0 };
    struct srq_message m;
    char *line;

    (void)state;
    srq_fail(&sent, -SRQ_ENOENT, "no file \"a\xff\xe2\x82\" here: \xc3\xa9");
    line = srq_proto_failure("1", &sent);
    assert_ok(srq_proto_read(line, strlen(line) - 1, &m, &err), &err);
    assert_string_equal(m.error.text, "no file \"a???\" here: \xc3\xa9");
    srq_message_fini(&m);
    srq_free(line);
}

static void envelopes_outside_json_rpc_are_refused(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        { "[]", "one JSON object" },
        { "{\"id\":\"1\",\"method\":\"hello\"}", "jsonrpc" },
        { "{\"jsonrpc\":\"1.0\",\"id\":\"1\",\"method\":\"hello\"}", "jsonrpc" },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}", "id must be a string" },
        { "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"hello\"}", "id must be a string" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"\",\"method\":\"hello\"}", "1 to 128 bytes" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"1\"}", "exactly one" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"a\",\"result\":{}}", "exactly one" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":7}", "method must be" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"a\",\"params\":[1]}", "named members" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"a\",\"uid\":0}", "no member \"uid\"" },
        { "{\"jsonrpc\":\"2.0\",\"result\":{}}", "request's id" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"error\":\"no\"}", "numeric code" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct srq_error err = { 0 };
        struct srq_message m;
        int rc = srq_proto_read(bad[i].text, strlen(bad[i].text), &m, &err);

        if (rc != -SRQ_EPROTO || strstr(err.text, bad[i].part) == NULL)
            fail_msg("%s: %d \"%s\"", bad[i].text, rc, err.text);
        srq_message_fini(&m);
    }
}

static int check(const char *method, const char *text, struct srq_error *err)
{
    cJSON *params = cJSON_Parse(text);
    int rc = srq_proto_check_params(srq_proto_method(method), params, err);

    cJSON_Delete(params);
    return rc;
}

static void params_are_held_to_the_table(void **state)
{
    static const struct {
        const char *method, *text, *field, *part;
    } bad[] = {
        { "job.get", "{}", "job", "missing" },
        { "job.get", "{\"job\":7}", "job", "of type string" },
        { "job.get", "{\"job\":null}", "job", "of type string" },
        { "job.get", "{\"job\":\"\"}", "job", "length 0" },
        { "job.get", "{\"job\":\"a\",\"uid\":0}", "uid", "unknown member \"uid\"" },
        { "job.get", "[]", "params", "named members" },
        { "job.priority", "{\"job\":\"a\",\"priority\":1.5}", "priority", "of type integer" },
        { "job.priority", "{\"job\":\"a\",\"priority\":5000}", "priority", "not between -1000 and 1000" },
        { "job.list", "{\"states\":[\"done\",3]}", "states[1]", "not a string" },
        { "job.log", "{\"job\":\"a\",\"source\":\"shadow\"}", "source", "not one of events|worker" },
        { "job.log", "{\"job\":\"a\",\"limit\":0}", "limit", "not between 1" },
        { "job.submit", "{\"spec\":[]}", "spec", "of type object" },
        { "job.pin", "{\"job\":\"a\",\"pins\":[]}", "pins", "length 0" },
        { "job.pin", "{\"job\":\"a\",\"pins\":[{\"pattern\":\"x\"}]}", "pins[0].scheme", "missing" },
        { "job.pin", "{\"job\":\"a\",\"pins\":[{\"pattern\":\"x\",\"scheme\":\"w8\"}],\"by\":\"root\"}", "by",
          "unknown member" },
        { "job.unpin", "{\"job\":\"a\",\"patterns\":[\"x\",7]}", "patterns[1]", "not a string" },
        { "job.budget", "{\"job\":\"a\"}", "bits", "missing" },
        { "job.budget", "{\"job\":\"a\",\"bits\":-1}", "bits", "not between 0 and 64" },
        { "job.set", "{\"job\":\"a\",\"options\":{\"steps\":1}}", "options.steps", "there are: lr, hp_first, hp_last" },
        { "job.set", "{\"job\":\"a\",\"options\":{\"lr\":-1}}", "options.lr", "not between 0 and 1" },
        { "job.retune", "{\"job\":\"a\",\"patterns\":[\"x\"],\"running\":\"after\"}", "running", "unknown member" },
        { "job.heatmap", "{\"job\":\"a\",\"by\":\"colour\"}", "by", "not one of sensitivity|" },
        { "worker.change", "{\"op\":\"pin\",\"by\":\"me\",\"running\":\"never\"}", "running",
          "not one of restart|after" },
        { "hello", "{\"major\":1e300,\"minor\":0,\"client\":\"x\"}", "major", "of type integer" },
    };
    struct srq_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&err, 0, sizeof(err));
        if (check(bad[i].method, bad[i].text, &err) != -SRQ_EINVAL || strcmp(err.field, bad[i].field) != 0 ||
            strstr(err.text, bad[i].part) == NULL || strstr(err.text, bad[i].method) != err.text)
            fail_msg("%s %s: [%s] \"%s\"", bad[i].method, bad[i].text, err.field, err.text);
    }
    assert_ok(check("job.list", "{\"states\":null,\"limit\":5}", &err), &err);
    assert_int_equal(srq_proto_check_params(srq_proto_method("daemon.info"), NULL, &err), 0);
    assert_ok(check("job.budget", "{\"job\":\"a\",\"bits\":null,\"revision\":0,\"dry_run\":true}", &err), &err);
    assert_null(srq_proto_method("job.shred"));
    assert_null(srq_proto_event("rain"));
}

static void events_are_held_to_the_table_inside_their_arrays(void **state)
{
    const struct srq_event *e = srq_proto_event("plan.changed");
    struct srq_error err;
    cJSON *good = cJSON_Parse("{\"job\":\"a\",\"seq\":3,\"time\":1,\"revision\":1,\"by\":null,\"changes\":["
                              "{\"layer\":\"l\",\"old\":null,\"new\":\"w8\",\"source\":\"pin\"}]}");
    cJSON *change = cJSON_GetArrayItem(cJSON_GetObjectItem(good, "changes"), 0);

    (void)state;
    assert_ok(srq_proto_check_event(e, good, &err), &err);
    cJSON_AddItemToObject(good, "retunes", cJSON_Parse("[0,3]"));
    assert_ok(srq_proto_check_event(e, good, &err), &err);
    cJSON_AddItemToArray(cJSON_GetObjectItem(good, "retunes"), cJSON_CreateNumber(1.5));
    assert_refused(srq_proto_check_event(e, good, &err), -SRQ_EINVAL, &err, "retunes[2] is not a whole number");
    cJSON_DeleteItemFromObject(good, "retunes");
    cJSON_DeleteItemFromObject(change, "new");
    assert_refused(srq_proto_check_event(e, good, &err), -SRQ_EINVAL, &err, "changes[0].new");
    cJSON_Delete(good);
}

static void check_fields(const char *owner, const struct srq_field *fields)
{
    for (const struct srq_field *f = fields; f->name != NULL; f++) {
        assert_non_null(f->help);
        assert_true(f->min <= f->max);
        for (const struct srq_field *g = fields; g != f; g++) {
            if (strcmp(f->name, g->name) == 0)
                fail_msg("%s has %s twice", owner, f->name);
        }
        if (f->members != NULL) {
            assert_true(f->type == SRQ_T_OBJECT || f->type == SRQ_T_ARRAY);
            check_fields(owner, f->members);
        }
        if (f->choices != NULL)
            assert_true(f->type == SRQ_T_STRING || f->type == SRQ_T_STRINGS);
    }
}

static bool has_field(const struct srq_field *fields, const char *name)
{
    for (; fields->name != NULL; fields++) {
        if (strcmp(fields->name, name) == 0)
            return true;
    }
    return false;
}

static void a_number_is_the_place_of_its_word(void **state)
{
    static const struct {
        const char *const *words;
        int count;
    } lists[] = { { srq_job_state_words, SRQ_JOB_STATES },
                  { srq_stage_words, SRQ_STAGES },
                  { srq_work_state_words, SRQ_WORK_STALE + 1 },
                  { srq_decider_words, SRQ_BY_PIN + 1 },
                  { srq_change_words, SRQ_ASK_ALLOCATE + 1 },
                  { srq_measured_words, SRQ_MEASUREMENTS },
                  { srq_heat_words, SRQ_HEATS },
                  { srq_series_words, SRQ_SERIES_TRANSFORM_PROBE + 1 },
                  { srq_log_level_words, SRQ_LOG_DEBUG + 1 } };
    char text[60];

    (void)state;
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++) {
        for (int i = 0; i < lists[l].count; i++)
            assert_int_equal(srq_word_place(lists[l].words, lists[l].words[i]), i);
        assert_null(lists[l].words[lists[l].count]);
        assert_int_equal(srq_word_place(lists[l].words, "pend"), -1);
        assert_int_equal(srq_word_place(lists[l].words, NULL), -1);
    }
    assert_string_equal(srq_words_text(srq_measured_words, text, sizeof(text)), "before|rtn|after");
    assert_string_equal(srq_words_text(srq_job_state_words, text, 12), "queued|star");
}

static void a_list_of_words_holds_nothing_else(void **state)
{
    const struct srq_method *m = srq_proto_method("job.list");
    struct srq_error err = { 0 };
    cJSON *params = cJSON_Parse("{\"states\":[\"queued\",\"quod\"]}");

    (void)state;
    assert_refused(srq_proto_check_params(m, params, &err), -SRQ_EINVAL, &err,
                   "states[1] is \"quod\", not one of queued|");
    cJSON_Delete(params);
}

static void the_table_keeps_its_own_rules(void **state)
{
    size_t n, e;
    const struct srq_method *m = srq_proto_methods(&n);
    const struct srq_event *ev = srq_proto_events(&e);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(srq_proto_method(m[i].name), &m[i]);
        assert_int_equal(m[i].server == SRQ_SERVER_WORKER, strncmp(m[i].name, "worker.", 7) == 0);
        check_fields(m[i].name, m[i].params);
        check_fields(m[i].name, m[i].reply);
        if (m[i].paged != NULL) {
            assert_true(has_field(m[i].params, "offset") && has_field(m[i].params, "limit"));
            assert_true(has_field(m[i].reply, "total") && has_field(m[i].reply, "next_offset"));
            assert_true(has_field(m[i].reply, m[i].paged));
        }
        if (m[i].authority == SRQ_AUTH_LOOK || (m[i].authority == SRQ_AUTH_OWNER && m[i].server == SRQ_SERVER_DAEMON))
            assert_true(has_field(m[i].params, "job"));
    }
    for (size_t i = 0; i < e; i++) {
        check_fields(ev[i].name, ev[i].fields);
        assert_true(has_field(ev[i].fields, "job") && has_field(ev[i].fields, "seq"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_outside_the_grammar_are_refused),
        cmocka_unit_test(texts_inside_the_grammar_are_read),
        cmocka_unit_test(nesting_stops_at_the_cap),
        cmocka_unit_test(every_failing_allocation_of_the_parser_is_reported),
        cmocka_unit_test(frames_do_not_depend_on_how_the_stream_is_cut),
        cmocka_unit_test(a_frame_over_the_cap_is_refused_whether_finished_or_not),
        cmocka_unit_test(what_is_built_is_read_back),
        cmocka_unit_test(bytes_that_are_no_utf8_do_not_spoil_a_message),
        cmocka_unit_test(envelopes_outside_json_rpc_are_refused),
        cmocka_unit_test(params_are_held_to_the_table),
        cmocka_unit_test(events_are_held_to_the_table_inside_their_arrays),
        cmocka_unit_test(a_number_is_the_place_of_its_word),
        cmocka_unit_test(a_list_of_words_holds_nothing_else),
        cmocka_unit_test(the_table_keeps_its_own_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
