/* Writing JSON so that a carried-over file differs from its source only where something was changed: Jansson's own
 * writer spells 1e-05 with seventeen digits. */
#include "core/model/save_json.h"

#include "core/base/buf.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((size_t)256 * 1024 * 1024)

static void put_string(struct srq_buf *b, const char *s, size_t len)
{
    srq_buf_puts(b, "\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == '"' || c == '\\')
            srq_buf_printf(b, "\\%c", c);
        else if (c == '\n')
            srq_buf_puts(b, "\\n");
        else if (c == '\t')
            srq_buf_puts(b, "\\t");
        else if (c < 0x20 || c == 0x7f)
            srq_buf_printf(b, "\\u%04x", c);
        else
            srq_buf_add(b, &s[i], 1);
    }
    srq_buf_puts(b, "\"");
}

static void put_real(struct srq_buf *b, double v)
{
    char text[64];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    for (char *p = text; *p != '\0'; p++)
        if (*p == ',') /* a locale's decimal sign */
            *p = '.';
    srq_buf_puts(b, text);
    if (strpbrk(text, ".e") == NULL)
        srq_buf_puts(b, ".0");
}

static void put_line(struct srq_buf *b, int depth)
{
    srq_buf_printf(b, "\n%*s", 2 * depth, "");
}

static void put_value(struct srq_buf *b, const json_t *v, int depth);

static void put_object(struct srq_buf *b, const json_t *v, int depth)
{
    bool first = true;

    if (json_object_size(v) == 0) {
        srq_buf_puts(b, "{}");
        return;
    }
    srq_buf_puts(b, "{");
    for (void *it = json_object_iter((json_t *)v); it != NULL; it = json_object_iter_next((json_t *)v, it)) {
        const char *key = json_object_iter_key(it);

        if (!first)
            srq_buf_puts(b, ",");
        first = false;
        put_line(b, depth + 1);
        put_string(b, key, strlen(key));
        srq_buf_puts(b, ": ");
        put_value(b, json_object_iter_value(it), depth + 1);
    }
    put_line(b, depth);
    srq_buf_puts(b, "}");
}

static void put_array(struct srq_buf *b, const json_t *v, int depth)
{
    if (json_array_size(v) == 0) {
        srq_buf_puts(b, "[]");
        return;
    }
    srq_buf_puts(b, "[");
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i > 0)
            srq_buf_puts(b, ",");
        put_line(b, depth + 1);
        put_value(b, json_array_get(v, i), depth + 1);
    }
    put_line(b, depth);
    srq_buf_puts(b, "]");
}

static void put_value(struct srq_buf *b, const json_t *v, int depth)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        put_object(b, v, depth);
        break;
    case JSON_ARRAY:
        put_array(b, v, depth);
        break;
    case JSON_STRING:
        put_string(b, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        srq_buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        put_real(b, json_real_value(v));
        break;
    case JSON_TRUE:
        srq_buf_puts(b, "true");
        break;
    case JSON_FALSE:
        srq_buf_puts(b, "false");
        break;
    case JSON_NULL:
        srq_buf_puts(b, "null");
        break;
    }
}

int srq_json_text(const json_t *value, char **text, size_t *len, struct srq_error *err)
{
    struct srq_buf b;

    srq_buf_init(&b, TEXT_MAX);
    put_value(&b, value, 0);
    srq_buf_puts(&b, "\n");
    *len = b.len;
    *text = srq_buf_take(&b);
    if (*text == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory writing JSON");
    return 0;
}
