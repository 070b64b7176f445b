/* Renders chat templates, for tests in other languages to compare.
 *
 * Each line of standard input is {"template": text, "messages": […], "tools": […], "specials": {…}}, all but the first
 * optional; each line of output {"text": …}, or {"error": "why not"}. */
#include "core/base/alloc.h"
#include "core/text/template.h"

#include <stdio.h>
#include <stdlib.h>

static json_t *answer(const json_t *request)
{
    const json_t *text = json_object_get(request, "template");
    const struct srq_template_input in = { .messages = json_object_get(request, "messages"),
                                           .tools = json_object_get(request, "tools"),
                                           .specials = json_object_get(request, "specials") };
    struct srq_template *t = NULL;
    struct srq_error err = { 0 };
    json_t *out = json_object();
    struct srq_buf b;

    srq_buf_init(&b, SRQ_TEMPLATE_OUTPUT_MAX);
    if (srq_template_read(json_string_value(text), json_string_length(text), "template", &t, &err) == 0 &&
        srq_template_render(t, &in, &b, &err) == 0)
        json_object_set_new(out, "text", json_stringn(b.data != NULL ? b.data : "", b.len));
    else
        json_object_set_new(out, "error", json_string(err.text));
    srq_template_free(t);
    srq_buf_fini(&b);
    return out;
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;

    while (getline(&line, &cap, stdin) > 0) {
        json_t *request = json_loads(line, JSON_ALLOW_NUL, NULL), *out = answer(request);

        if (json_dumpf(out, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
            return 1;
        json_decref(out);
        json_decref(request);
    }
    free(line);
    return fflush(stdout) == 0 ? 0 : 1;
}
