/* Chat templates: what is read is run within its bounds and gives UTF-8, or says why it does not. */
#include "tests/fuzz/fuzz.h"

#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/text/template.h"

#include <stdlib.h>

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(
        "{% for m in messages %}\n{%- if loop.first and m.role != 'system' -%}\n<s>{{ m['content'] | trim }}{% endif "
        "%}\n {{ loop.previtem.role ~ loop.length }}{% else %}x{% endfor %}{{ bos_token }}"),
    FUZZ_SEED(
        "{% set ns = namespace(a=1, b=[]) %}{% for m in messages[::-1] if m.content is string %}{% set ns.a = ns.a + "
        "loop.index0 %}{% set ns.b = ns.b + [m.content.split(' ')[-1]] %}{% endfor %}{{ ns.a }}{{ ns.b | tojson }}"),
    FUZZ_SEED(
        "{% macro f(a, b=2) %}{{ a | tojson(indent=2) }}{% for k, v in a.items() %}{{ k }}: {{ v or none }}{% endfor "
        "%}{% endmacro %}{% for t in tools or [] %}{{ f(t, b=[1, (2,), {'x': 3}]) }}{% break %}{% endfor %}"),
    FUZZ_SEED(
        "{{ messages | selectattr('role', 'in', ['user']) | map(attribute='content') | join(', ') | upper }}{{ "
        "range(5)[1:-1] | list | sort(reverse=true) }}{{ 'caf\xc3\xa9 \xce\xa3'.title()[1:3] ~ 1.5e3 ~ -7 // 2 }}"),
    FUZZ_SEED("{% raw %}{{ x }}{% endraw -%}  {#- c -#} {% set q | trim %} a {% endset %}{% filter indent(2) %}{{ q "
              "}}{% endfilter %}{{ strftime_now('%d %b %Y') if strftime_now is defined else raise_exception('a') }}"),
    FUZZ_SEED("{{ ('a' * 9).replace('', '-').rsplit('-', 2) }}{{ {'a': [1, 2.5, none]}.get('b', 'x y'.split()) }}{{ "
              "[3, 1] | min + [1] | sum - 'x' | length ** 2 }}{{ 1 < 2 <= 3 != 4 not in [5] }}{{ '\\u00e9\\x41\\n' }}"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "chat templates";

static json_t *given;

static void free_given(void)
{
    json_decref(given);
}

static void make_given(void)
{
    static const char text[] =
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Be \xc3\xa9 brief.\"},{\"role\":\"user\",\"content\":\" Hi "
        "there\\n\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"1\"},null,2.5]}],\"tools\":[{"
        "\"name\":\"t\",\"parameters\":{\"a\":[1,true]}}],\"specials\":{\"bos_token\":\"<s>\"}}";

    if (srq_json_read_text(text, sizeof(text) - 1, "given", &given, NULL) != 0)
        abort();
    atexit(free_given);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct srq_template_input in = { .steps_max = 20000, .memory_max = (size_t)1 << 20 };
    struct srq_template *t;
    struct srq_error err = { 0 };
    struct srq_buf out;

    if (given == NULL)
        make_given();
    if (srq_utf8_check((const char *)data, size) != size)
        return 0;
    if (srq_template_read((const char *)data, size, "t", &t, &err) != 0) {
        if (err.code == 0 || t != NULL || srq_utf8_check(err.text, strlen(err.text)) != strlen(err.text))
            abort();
        return 0;
    }
    in.messages = json_object_get(given, "messages");
    in.tools = json_object_get(given, "tools");
    in.specials = json_object_get(given, "specials");
    srq_buf_init(&out, SRQ_TEMPLATE_OUTPUT_MAX);
    if (srq_template_render(t, &in, &out, &err) == 0) {
        if (srq_utf8_check(out.data != NULL ? out.data : "", out.len) != out.len)
            abort();
    } else if (err.code == 0 || srq_utf8_check(err.text, strlen(err.text)) != strlen(err.text)) {
        abort();
    }
    srq_buf_fini(&out);
    srq_template_free(t);
    return 0;
}
