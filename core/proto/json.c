/* Strict reading of one JSON text.
 *
 * cJSON builds the tree, but it is forgiving: it lets raw control characters, bad UTF-8, numbers with leading zeros,
 * duplicate keys and NUL escapes through. So a scanner of the grammar (RFC 8259) goes over the text first, with the
 * depth cap, and a walk over the tree afterwards refuses what only the tree shows. */
#include "core/proto/proto.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 60 /* characters; cJSON's own buffer holds 63 */

struct scan {
    const unsigned char *base, *p, *end;
    struct srq_error *err;
};

static int bad(struct scan *s, const char *what)
{
    return srq_fail(s->err, -SRQ_EFORMAT, "JSON: %s at byte %zu", what, (size_t)(s->p - s->base));
}

static void skip_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n'))
        s->p++;
}

/* Four hexadecimal digits after \u; -1 when they are not there. */
static int hex4(const unsigned char *p, const unsigned char *end)
{
    int v = 0;

    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 0x20;

        if (p[i] >= '0' && p[i] <= '9')
            v = v * 16 + (p[i] - '0');
        else if (c >= 'a' && c <= 'f')
            v = v * 16 + (c - 'a' + 10);
        else
            return -1;
    }
    return v;
}

static int scan_escape(struct scan *s)
{
    int v, low;

    if (s->end - s->p < 2)
        return bad(s, "unfinished escape");
    if (s->p[1] != 'u') {
        if (strchr("\"\\/bfnrt", s->p[1]) == NULL || s->p[1] == '\0')
            return bad(s, "unknown escape");
        s->p += 2;
        return 0;
    }
    v = hex4(s->p + 2, s->end);
    if (v < 0)
        return bad(s, "\\u without four hexadecimal digits");
    if (v == 0)
        return bad(s, "NUL in a string");
    if (v >= 0xdc00 && v <= 0xdfff)
        return bad(s, "lone surrogate");
    if (v >= 0xd800 && v <= 0xdbff) {
        if (s->end - s->p < 12 || s->p[6] != '\\' || s->p[7] != 'u')
            return bad(s, "lone surrogate");
        low = hex4(s->p + 8, s->end);
        if (low < 0xdc00 || low > 0xdfff)
            return bad(s, "lone surrogate");
        s->p += 6;
    }
    s->p += 6;
    return 0;
}

static int scan_string(struct scan *s)
{
    s->p++;
    while (s->p < s->end && *s->p != '"') {
        if (*s->p < 0x20)
            return bad(s, *s->p == 0 ? "NUL byte" : "control character in a string");
        if (*s->p == '\\') {
            int rc = scan_escape(s);

            if (rc != 0)
                return rc;
        } else {
            s->p++;
        }
    }
    if (s->p >= s->end)
        return bad(s, "unfinished string");
    s->p++;
    return 0;
}

static size_t scan_digits(struct scan *s)
{
    const unsigned char *begin = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (size_t)(s->p - begin);
}

static int scan_number(struct scan *s)
{
    const unsigned char *begin = s->p;
    bool zero;

    if (*s->p == '-')
        s->p++;
    zero = s->p < s->end && *s->p == '0';
    if (scan_digits(s) == 0)
        return bad(s, "a minus without digits");
    if (zero && s->p - begin > (*begin == '-' ? 2 : 1))
        return bad(s, "number with a leading zero");
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (scan_digits(s) == 0)
            return bad(s, "decimal point without digits");
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (scan_digits(s) == 0)
            return bad(s, "exponent without digits");
    }
    if (s->p - begin > NUMBER_MAX)
        return bad(s, "number of more than 60 characters");
    return 0;
}

static int scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return bad(s, "unknown word");
    s->p += n;
    return 0;
}

/* A scalar, or the opening of an array or object (*open is '[' or '{' then). */
static int scan_value(struct scan *s, char *open)
{
    *open = '\0';
    if (s->p >= s->end)
        return bad(s, "the text ends where a value belongs");
    switch (*s->p) {
    case '"':
        return scan_string(s);
    case '{':
    case '[':
        *open = (char)*s->p++;
        return 0;
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
            return scan_number(s);
        return bad(s, *s->p == 0 ? "NUL byte" : "unexpected character");
    }
}

static int scan_key(struct scan *s)
{
    int rc;

    skip_blanks(s);
    if (s->p >= s->end || *s->p != '"')
        return bad(s, "no member name");
    rc = scan_string(s);
    if (rc != 0)
        return rc;
    skip_blanks(s);
    if (s->p >= s->end || *s->p != ':')
        return bad(s, "no colon after a member name");
    s->p++;
    return 0;
}

/* After a value inside containers: closes as many as end here, then takes the comma. */
static int scan_after(struct scan *s, const char *stack, int *depth)
{
    while (*depth > 0) {
        bool object = stack[*depth - 1] == '{';

        skip_blanks(s);
        if (s->p >= s->end)
            return bad(s, "the text ends inside an object or array");
        if (*s->p == ',') {
            s->p++;
            return object ? scan_key(s) : 0;
        }
        if (*s->p != (object ? '}' : ']'))
            return bad(s, "no comma between values");
        s->p++;
        (*depth)--;
    }
    return 0;
}

static int scan_text(struct scan *s, int max_depth)
{
    char stack[256], open;
    int depth = 0, rc;

    do {
        skip_blanks(s);
        rc = scan_value(s, &open);
        if (rc != 0)
            return rc;
        if (open != '\0') {
            if (depth >= max_depth || depth >= (int)sizeof(stack))
                return srq_fail(s->err, -SRQ_ELIMIT, "JSON: nested deeper than %d levels", max_depth);
            stack[depth++] = open;
            skip_blanks(s);
            if (s->p < s->end && *s->p == (open == '{' ? '}' : ']')) {
                s->p++;
                depth--;
            } else {
                rc = open == '{' ? scan_key(s) : 0;
                if (rc != 0)
                    return rc;
                continue;
            }
        }
        rc = scan_after(s, stack, &depth);
        if (rc != 0)
            return rc;
        if (depth == 0)
            break;
    } while (true);
    skip_blanks(s);
    return s->p == s->end ? 0 : bad(s, "more text after the value");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const cJSON *object, struct srq_error *err)
{
    size_t n = 0, i = 0;
    const char **names;
    const cJSON *item;
    int rc = 0;

    cJSON_ArrayForEach(item, object) n++;
    if (n < 2)
        return 0;
    names = srq_calloc(n, sizeof(*names));
    if (names == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading JSON");
    cJSON_ArrayForEach(item, object) names[i++] = item->string;
    qsort(names, n, sizeof(*names), compare_names);
    for (i = 1; i < n && rc == 0; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            rc = srq_fail_field(err, -SRQ_EFORMAT, names[i], "JSON: member \"%s\" is given twice", names[i]);
    }
    srq_free(names);
    return rc;
}

/* Recursion is bounded by the depth that the scanner let through. */
static int check_tree(const cJSON *v, struct srq_error *err)
{
    const cJSON *item;
    int rc;

    if (cJSON_IsNumber(v) && !isfinite(v->valuedouble))
        return srq_fail(err, -SRQ_EFORMAT, "JSON: number beyond the range of a double");
    if (!cJSON_IsObject(v) && !cJSON_IsArray(v))
        return 0;
    if (cJSON_IsObject(v)) {
        rc = check_names(v, err);
        if (rc != 0)
            return rc;
    }
    cJSON_ArrayForEach(item, v)
    {
        rc = check_tree(item, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int srq_json_parse(const char *text, size_t len, int max_depth, cJSON **out, struct srq_error *err)
{
    struct scan s = { .base = (const unsigned char *)text, .err = err };
    cJSON *json;
    int rc;

    *out = NULL;
    s.p = s.base;
    s.end = s.base + len;
    s.p += srq_utf8_check(text, len);
    if (s.p < s.end)
        return bad(&s, "invalid UTF-8");
    s.p = s.base;
    rc = scan_text(&s, max_depth);
    if (rc != 0)
        return rc;
    json = cJSON_ParseWithLength(text, len);
    if (json == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %zu bytes of JSON", len);
    rc = check_tree(json, err);
    if (rc != 0) {
        cJSON_Delete(json);
        return rc;
    }
    *out = json;
    return 0;
}
