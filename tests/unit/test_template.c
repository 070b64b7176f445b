/* Chat templates, compared with what Jinja makes of them (tests/reference/template_reference.py): whole templates over
 * conversations, small expressions; refusals by name and line, and the bounds of what a template may do. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/format/json.h"
#include "core/text/template.h"

static int begin(void **state)
{
    const char *top = getenv("top_srcdir");
    json_t *cases = NULL;
    char path[1024];

    snprintf(path, sizeof(path), "%s/tests/reference/templates/cases.json", top != NULL ? top : ".");
    if (srq_json_read(path, SRQ_JSON_CONFIG_MAX, &cases, NULL) != 0)
        return -1;
    *state = cases;
    return 0;
}

static int end(void **state)
{
    json_decref(*state);
    return 0;
}

/* Reads and renders; `out` is initialised. */
static int render(const char *text, const struct srq_template_input *in, struct srq_buf *out, struct srq_error *err)
{
    struct srq_template *t;
    int rc = srq_template_read(text, strlen(text), "t.jinja", &t, err);

    if (rc == 0)
        rc = srq_template_render(t, in, out, err);
    srq_template_free(t);
    return rc;
}

static int check_case(const char *name, const char *text, const struct srq_template_input *in, const json_t *want)
{
    struct srq_error err = { 0 };
    struct srq_buf out;
    int rc, wrong = 0;

    srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
    rc = render(text, in, &out, &err);
    if (json_is_null(want) ? rc == 0
                           : rc != 0 || strcmp(out.data != NULL ? out.data : "", json_string_value(want)) != 0) {
        print_error("%s gave %d (%s) \"%s\"\n  wanted \"%s\"\n", name, rc, err.text, out.data != NULL ? out.data : "",
                    json_is_null(want) ? "an error" : json_string_value(want));
        wrong = 1;
    }
    srq_buf_fini(&out);
    return wrong;
}

static void templates_render_as_jinja_does(void **state)
{
    const json_t *cases = *state, *rows = json_object_get(cases, "rendered");
    int wrong = 0;

    assert_true(json_array_size(rows) > 50);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *name = json_string_value(json_object_get(row, "template"));
        const char *of = json_string_value(json_object_get(row, "conversation"));
        const json_t *talk = json_object_get(json_object_get(cases, "conversations"), of);
        const struct srq_template_input in = { .messages = json_array_get(talk, 0),
                                               .tools = json_array_get(talk, 1),
                                               .specials = json_object_get(cases, "specials") };
        char title[200];

        snprintf(title, sizeof(title), "%s of %s", name, of);
        wrong += check_case(title, json_string_value(json_object_get(json_object_get(cases, "templates"), name)), &in,
                            json_object_get(row, "output"));
    }
    assert_int_equal(wrong, 0);
}

static void expressions_give_what_python_gives(void **state)
{
    const json_t *cases = *state, *rows = json_object_get(cases, "expressions");
    const json_t *talk = json_object_get(json_object_get(cases, "conversations"), "one");
    json_t *given = json_copy(json_object_get(cases, "specials"));
    struct srq_template_input in = { .messages = json_array_get(talk, 0), .specials = given };
    int wrong = 0;

    json_object_set(given, "X", json_object_get(cases, "x"));
    assert_true(json_array_size(rows) > 500);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *text = json_string_value(json_array_get(json_array_get(rows, i), 0));

        wrong += check_case(text, text, &in, json_array_get(json_array_get(rows, i), 1));
    }
    json_decref(given);
    assert_int_equal(wrong, 0);
}

/* Their sentences too, where what went wrong is the text's or the template's. */
static void errors_say_what_python_says(void **state)
{
    static const char *const same[] = { "UndefinedError: ", "TemplateError: " };
    const json_t *cases = *state, *rows = json_object_get(cases, "expressions");
    json_t *given = json_object();
    const struct srq_template_input in = { .specials = given };
    int seen = 0;

    json_object_set(given, "X", json_object_get(cases, "x"));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *text = json_string_value(json_array_get(json_array_get(rows, i), 0));
        const char *error = json_string_value(json_array_get(json_array_get(rows, i), 2));
        struct srq_error err = { 0 };
        struct srq_buf out;

        srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
        for (size_t k = 0; error != NULL && k < sizeof(same) / sizeof(same[0]); k++) {
            const char *said = error + strlen(same[k]);

            if (strncmp(error, same[k], strlen(same[k])) != 0 || strchr(said, '\n') != NULL ||
                strstr(said, "inline if") != NULL || strstr(said, "'mm'") != NULL || strstr(text, "zz()") != NULL)
                continue;
            assert_refused(render(text, &in, &out, &err), -SRQ_EFORMAT, &err, said);
            seen++;
        }
        srq_buf_fini(&out);
    }
    json_decref(given);
    assert_true(seen > 10);
}

static void what_is_not_supported_is_refused_when_read_with_its_line(void **state)
{
    static const struct {
        const char *text, *says;
        int code;
    } rows[] = {
        { "a\n{{ x|truncate(3) }}", "t.jinja, line 2: filter \"truncate\" is not supported", -SRQ_EUNSUPPORTED },
        { "{{ x|map('truncate')|list }}", "filter \"truncate\" is not supported", -SRQ_EUNSUPPORTED },
        { "{{ x|select('sameas', 1) }}", "test \"sameas\" is not supported", -SRQ_EUNSUPPORTED },
        { "{{ x|rejectattr('a', 'upper') }}", "test \"upper\" is not supported", -SRQ_EUNSUPPORTED },
        { "{% if x is\nescaped %}{% endif %}", "line 2: test \"escaped\" is not supported", -SRQ_EUNSUPPORTED },
        { "\n\n{% include 'a' %}", "line 3: tag \"include\" is not supported", -SRQ_EUNSUPPORTED },
        { "{% call m() %}{% endcall %}", "tag \"call\" is not supported", -SRQ_EUNSUPPORTED },
        { "{% frob %}", "tag \"frob\" is unknown or has no place here", -SRQ_EFORMAT },
        { "{% endif %}", "tag \"endif\" is unknown or has no place here", -SRQ_EFORMAT },
        { "{{ lipsum() }}", "function \"lipsum\" is not supported", -SRQ_EUNSUPPORTED },
        { "{% if false %}\n{{ tokenize(x) }}{% endif %}", "line 2: function \"tokenize\" is not", -SRQ_EUNSUPPORTED },
        { "{{ x.format(1) }}", "method \"format\" is not supported", -SRQ_EUNSUPPORTED },
        { "{% set _ = x.append(1) %}", "method \"append\" is not supported: a template may not change lists",
          -SRQ_EUNSUPPORTED },
        { "{% for a in b recursive %}{% endfor %}", "\"recursive\" loops", -SRQ_EUNSUPPORTED },
        { "{% macro m() %}{{ varargs }}{% endmacro %}", "\"varargs\" of macros", -SRQ_EUNSUPPORTED },
        { "{{ range(*x) }}", "arguments with * or **", -SRQ_EUNSUPPORTED },
        { "{{ x|tojson(indnt=2) }}", "filter \"tojson\" with argument \"indnt\"", -SRQ_EUNSUPPORTED },
        { "{{ x|trim(1, 2) }}", "filter \"trim\" with 2 arguments", -SRQ_EUNSUPPORTED },
        { "{{ x is eq }}", "test \"eq\" with 0 arguments", -SRQ_EUNSUPPORTED },
        { "{{ x[1, 2] }}", "subscript of several parts", -SRQ_EUNSUPPORTED },
        { "{{ '\\N{DASH}' }}", "escape \\N", -SRQ_EUNSUPPORTED },
        { "{{ 99999999999999999999 }}", "beyond 64 bits", -SRQ_ELIMIT },
        { "{% set ns._x = 1 %}", "begin with \"_\"", -SRQ_EUNSUPPORTED },
        { "{% set loop = 1 %}", "\"loop\" cannot be assigned", -SRQ_EUNSUPPORTED },
        { "{% set 1 = 1 %}", "cannot be assigned to", -SRQ_EFORMAT },
        { "{% break %}", "\"break\" outside of a loop", -SRQ_EFORMAT },
        { "{% for a in b %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", "\"continue\" outside",
          -SRQ_EFORMAT },
        { "{% for a in b %}\n\n{% if a %}{% endfor %}", "line 3: tag \"endfor\" is unknown or has no place",
          -SRQ_EFORMAT },
        { "{% for a in b %}\n", "the template ends before \"endfor\"", -SRQ_EFORMAT },
        { "{% for a of b %}{% endfor %}", "\"of\" instead of \"in\"", -SRQ_EFORMAT },
        { "{{ x", "the template ends inside a tag", -SRQ_EFORMAT },
        { "{{ x %}", "unexpected \"}\"", -SRQ_EFORMAT },
        { "{{ }}", "\"}}\" instead of an expression", -SRQ_EFORMAT },
        { "{{ (1 }}", "unexpected \"}\"", -SRQ_EFORMAT },
        { "{{ 'a }}", "a string is not closed", -SRQ_EFORMAT },
        { "{{ a ! b }}", "unexpected character \"!\"", -SRQ_EFORMAT },
        { "a {# b", "a comment is not closed", -SRQ_EFORMAT },
        { "{% raw %} x", "\"raw\" is not closed", -SRQ_EFORMAT },
        { "{% macro m(a=1, b) %}{% endmacro %}", "a parameter without default", -SRQ_EFORMAT },
        { "{{ f(a=1, 2) }}", "an argument without name follows", -SRQ_EFORMAT },
        { "{{ a is b is c }}", "test \"b\" is not supported", -SRQ_EUNSUPPORTED },
        { "{{ a is none is none }}", "instead of something that is not a second test", -SRQ_EFORMAT },
    };
    struct srq_template *t;
    struct srq_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_refused(srq_template_read(rows[i].text, strlen(rows[i].text), "t.jinja", &t, &err), rows[i].code, &err,
                       rows[i].says);
        assert_null(t);
    }
}

static void what_is_seen_only_when_run_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *says;
        int code;
    } rows[] = {
        { "\n\n{{ raise_exception('Roles ' ~ 1) }}", "t.jinja, line 3: the template refuses it: Roles 1",
          -SRQ_EFORMAT },
        { "{{ 'a\\u00e9\\n' }}\n{{ raise_exception('\\n\\x1b[0mé') }}",
          "line 2: the template refuses it: \\x0a\\x1b[0mé", -SRQ_EFORMAT },
        { "{{ x.y.z }}", "'x' is undefined", -SRQ_EFORMAT },
        { "{{ range }}", "a value of type 'function' is printed", -SRQ_EUNSUPPORTED },
        { "{{ '%s' % 1 }}", "\"%\" of strings (formatting) is not supported", -SRQ_EUNSUPPORTED },
        { "{{ '<' + ('x'|safe) }}", "|safe", -SRQ_EUNSUPPORTED },
        { "{{ 'x'|map('up' ~ 'per')|list }}{{ 'x'|map('wordcou' ~ 'nt')|list }}", "\"wordcount\" is not supported",
          -SRQ_EUNSUPPORTED },
        { "{{ strftime_now('%s') }}", "date format \"%s\" is not supported", -SRQ_EUNSUPPORTED },
        { "{{ 'ŉ'|upper }}", "the capitals of U+0149", -SRQ_EUNSUPPORTED },
        { "{{ 9223372036854775807 + 1 }}", "beyond 64 bits", -SRQ_ELIMIT },
        { "{{ 2 ** 64 }}", "beyond 64 bits", -SRQ_ELIMIT },
        { "{% set x = {} %}{{ x.update({'a': 1}) }}", "method \"update\" is not supported", -SRQ_EUNSUPPORTED },
        { "{% set x = {} %}{{ (x['update'])({'a': 1}) }}", "access to attribute 'update' of 'dict' object is unsafe",
          -SRQ_EFORMAT },
    };
    const struct srq_template_input in = { 0 };
    struct srq_error err;
    struct srq_buf out;

    (void)state;
    srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_refused(render(rows[i].text, &in, &out, &err), rows[i].code, &err, rows[i].says);
    srq_buf_fini(&out);
}

static void what_a_template_may_do_is_bounded(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "more than 1000000 steps" },
        { "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper than 1000" },
        { "{% set ns = namespace(x='0123456789') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
          "more than 8 MiB of memory" },
        { "{% set ns = namespace(x=[]) %}{% for a in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
          "nested deeper than 1000" },
        { "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "nested deeper than 1000" },
        { "{{ 'x' * 99999999999 }}", "more than" },
        { "{{ [1] * 99999999999 }}", "more than" },
        { "{{ range(99999999999) }}", "a range of more than 100000 numbers" },
        { "{{ 'a'|indent(99999999999) }}", "more than" },
    };
    const struct srq_template_input in = { .steps_max = 1000000, .memory_max = (size_t)8 << 20 };
    struct srq_template_input large = { .steps_max = 1000000000, .memory_max = (size_t)1 << 20 };
    struct srq_error err;
    struct srq_buf out;

    (void)state;
    srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_refused(render(rows[i].text, &in, &out, &err), -SRQ_ELIMIT, &err, rows[i].says);
    assert_refused(render("{% set x = 'x' * 9999 %}{% for a in range(99999) %}{{ x }}{% endfor %}", &large, &out, &err),
                   -SRQ_ELIMIT, &err, "more than 64 MiB of one row");
    srq_buf_fini(&out);
}

/* `open`, `count` times, then `close` as often. */
static char *nested(const char *open, const char *middle, const char *close, int count)
{
    struct srq_buf b;

    srq_buf_init(&b, (size_t)1 << 20);
    for (int i = 0; i < count; i++)
        srq_buf_puts(&b, open);
    srq_buf_puts(&b, middle);
    for (int i = 0; i < count; i++)
        srq_buf_puts(&b, close);
    return srq_buf_take(&b);
}

static void nesting_of_templates_is_bounded(void **state)
{
    static const struct {
        const char *open, *middle, *close;
    } rows[] = {
        { "{% if 1 %}", "x", "{% endif %}" },
        { "{% for a in [1] %}", "x", "{% endfor %}" },
        { "{{ ", "", "" },
    };
    static const struct {
        const char *begin, *open, *middle, *close, *end;
    } inside[] = { { "{{ ", "(", "1", ")", " }}" },           { "{{ ", "[", "1", "]", " }}" },
                   { "{{ ", "not ", "1", "", " }}" },         { "{{ ", "- ", "1", "", " }}" },
                   { "{{ 1", " + 1", "", "", " }}" },         { "{{ a", ".b", "", "", " }}" },
                   { "{{ a", "[0]", "", "", " }}" },          { "{{ a", "|trim", "", "", " }}" },
                   { "{{ 1", " if 1 else 1", "", "", " }}" }, { "{{ 1", " and 1", "", "", " }}" },
                   { "{{ 1", " ** 1", "", "", " }}" },        { "{% set ", "(", "a", ",)", " = 1 %}" } };
    const struct srq_template_input in = { 0 };
    struct srq_error err;
    struct srq_buf out;

    (void)state;
    srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
    for (size_t i = 0; i < 2; i++) {
        char *text = nested(rows[i].open, rows[i].middle, rows[i].close, 500);

        assert_refused(render(text, &in, &out, &err), -SRQ_ELIMIT, &err, "nested deeper than 200");
        srq_free(text);
        text = nested(rows[i].open, rows[i].middle, rows[i].close, 90);
        assert_ok(render(text, &in, &out, &err), &err);
        assert_string_equal(out.data, "x");
        srq_free(text);
    }
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        char *text = nested(inside[i].open, inside[i].middle, inside[i].close, 5000);
        char *whole = srq_asprintf("%s%s%s", inside[i].begin, text, inside[i].end);

        assert_refused(render(whole, &in, &out, &err), -SRQ_ELIMIT, &err, "nested deeper than 200");
        srq_free(whole);
        srq_free(text);
    }
    srq_buf_fini(&out);
}

static void long_chains_of_elif_are_no_nesting(void **state)
{
    char *text = nested("{% elif 0 %}y", "{% else %}x", "", 3000),
         *whole = srq_asprintf("{%% if 0 %%}%s{%% endif %%}", text);
    const struct srq_template_input in = { 0 };
    struct srq_error err;
    struct srq_buf out;

    (void)state;
    srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
    assert_ok(render(whole, &in, &out, &err), &err);
    assert_string_equal(out.data, "x");
    srq_buf_fini(&out);
    srq_free(whole);
    srq_free(text);
}

static void a_template_that_is_too_large_is_refused(void **state)
{
    char *text = nested("0123456789abcdef", "", "", (int)(SRQ_TEMPLATE_TEXT_MAX / 16 + 1));
    struct srq_template *t;
    struct srq_error err;

    (void)state;
    assert_refused(srq_template_read(text, strlen(text), "t.jinja", &t, &err), -SRQ_ELIMIT, &err,
                   "t.jinja: a chat template of 262160 bytes, more than 262144");
    srq_free(text);
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
    const json_t *cases = *state, *talk = json_object_get(json_object_get(cases, "conversations"), "tools");
    const struct srq_template_input in = { .messages = json_array_get(talk, 0),
                                           .tools = json_array_get(talk, 1),
                                           .specials = json_object_get(cases, "specials") };
    json_t *templates = json_object_get(cases, "templates"), *text;
    const char *name;
    int failures = 0;

    json_object_foreach(templates, name, text)
    {
        for (int i = 0;; i++, failures++) {
            struct nth n = { i };
            struct srq_error err = { 0 };
            struct srq_buf out;
            int rc;

            srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
            srq_set_alloc_hook(fail_nth, &n);
            rc = render(json_string_value(text), &in, &out, &err);
            srq_set_alloc_hook(NULL, NULL);
            srq_buf_fini(&out);
            if (n.left >= 0)
                break;
            assert_refused(rc, -SRQ_ENOMEM, &err, "out of memory");
        }
    }
    assert_true(failures > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_render_as_jinja_does),
        cmocka_unit_test(expressions_give_what_python_gives),
        cmocka_unit_test(errors_say_what_python_says),
        cmocka_unit_test(what_is_not_supported_is_refused_when_read_with_its_line),
        cmocka_unit_test(what_is_seen_only_when_run_is_refused_with_its_line),
        cmocka_unit_test(what_a_template_may_do_is_bounded),
        cmocka_unit_test(nesting_of_templates_is_bounded),
        cmocka_unit_test(long_chains_of_elif_are_no_nesting),
        cmocka_unit_test(a_template_that_is_too_large_is_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };

    return cmocka_run_group_tests_name("template", tests, begin, end);
}
