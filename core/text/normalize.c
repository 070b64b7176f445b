/* Normalizers. Unicode forms by utf8proc, line by line: a newline composes with nothing, so that lines of plain ASCII
 * are only copied. */
#include "core/text/normalize.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"
#include "core/format/st_header.h"
#include "core/text/members.h"
#include "core/text/unicode.h"

#include <stdlib.h>
#include <utf8proc.h>

#define STEPS_MAX 64
#define SHOW 120

enum kind { FORM, LOWERCASE, REPLACE, PREPEND, STRIP };

struct step {
    enum kind kind;
    utf8proc_option_t form;
    struct srq_regex *pattern;
    char *content;
    bool left, right;
};

struct srq_normalizer {
    struct step steps[STEPS_MAX];
    int count;
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    utf8proc_option_t form;
} forms[] = {
    { "NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE },
    { "NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE },
    { "NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT },
    { "NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT },
};

static int keep_content(struct step *s, const json_t *text, const char *key, const char *what, struct srq_error *err)
{
    if (!json_is_string(text))
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: a normalizer has no \"%s\"", what, key);
    s->content = srq_strdup(json_string_value(text));
    return s->content != NULL ? 0 : srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

static int read_steps(const json_t *json, const char *what, struct srq_normalizer *n, struct srq_error *err);

static int read_sequence(const json_t *json, const char *what, struct srq_normalizer *n, struct srq_error *err)
{
    const json_t *list = json_object_get(json, "normalizers");
    int rc = 0;

    if (!json_is_array(list))
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: a normalizer Sequence has no list", what);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
        rc = read_steps(json_array_get(list, i), what, n, err);
    return rc;
}

static int read_steps(const json_t *json, const char *what, struct srq_normalizer *n, struct srq_error *err)
{
    const char *type = json_string_value(json_object_get(json, "type")), *text;
    char shown[SHOW];
    struct step *s;
    bool literal;
    int rc;

    if (type == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: a normalizer has no type", what);
    if (strcmp(type, "Sequence") == 0)
        return read_sequence(json, what, n, err);
    if (n->count == STEPS_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: more than %d normalizers", what, STEPS_MAX);
    s = &n->steps[n->count++];
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (strcmp(type, forms[i].name) == 0) {
            s->kind = FORM;
            s->form = forms[i].form;
            return 0;
        }
    }
    if (strcmp(type, "Lowercase") == 0) {
        s->kind = LOWERCASE;
        return 0;
    }
    if (strcmp(type, "Strip") == 0) {
        rc = srq_member_flag(json, "strip_left", "normalizer Strip", &s->left, what, err);
        s->kind = STRIP;
        return rc != 0 ? rc : srq_member_flag(json, "strip_right", "normalizer Strip", &s->right, what, err);
    }
    if (strcmp(type, "Prepend") == 0) {
        s->kind = PREPEND;
        return keep_content(s, json_object_get(json, "prepend"), "prepend", what, err);
    }
    if (strcmp(type, "Replace") == 0) {
        rc = srq_member_pattern(json, "normalizer Replace", &text, &literal, what, err);
        if (rc == 0)
            rc = srq_regex_compile(text, strlen(text), literal, what, &s->pattern, err);
        s->kind = REPLACE;
        return rc != 0 ? rc : keep_content(s, json_object_get(json, "content"), "content", what, err);
    }
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: normalizer \"%s\" is not one that srq has", what,
                          srq_st_show(type, shown, sizeof(shown)));
}

int srq_normalizer_read(const json_t *json, const char *what, struct srq_normalizer **out, struct srq_error *err)
{
    struct srq_normalizer *n;
    int rc;

    *out = NULL;
    if (json == NULL || json_is_null(json))
        return 0;
    n = srq_calloc(1, sizeof(*n));
    if (n == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
    rc = read_steps(json, what, n, err);
    if (rc != 0 || n->count == 0) { /* an empty Sequence leaves the text as it is */
        srq_normalizer_free(n);
        return rc;
    }
    *out = n;
    return 0;
}

bool srq_normalizer_prepends(const struct srq_normalizer *n)
{
    for (int i = 0; n != NULL && i < n->count; i++) {
        if (n->steps[i].kind == PREPEND)
            return true;
    }
    return false;
}

void srq_normalizer_free(struct srq_normalizer *n)
{
    if (n == NULL)
        return;
    for (int i = 0; i < n->count; i++) {
        srq_regex_free(n->steps[i].pattern);
        srq_free(n->steps[i].content);
    }
    srq_free(n);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static bool is_ascii(const char *text, size_t len)
{
    unsigned char any = 0;

    for (size_t i = 0; i < len; i++)
        any |= (unsigned char)text[i];
    return any < 0x80;
}

static bool add_form(utf8proc_option_t form, const char *line, size_t len, struct srq_buf *out)
{
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t n;

    if (is_ascii(line, len))
        return srq_buf_add(out, line, len);
    n = utf8proc_map((const utf8proc_uint8_t *)line, (utf8proc_ssize_t)len, &mapped, form);
    if (n >= 0)
        srq_buf_add(out, mapped, (size_t)n);
    else
        out->failed = true;
    free(mapped);
    return !out->failed;
}

static void run_form(utf8proc_option_t form, const char *text, size_t len, struct srq_buf *out)
{
    for (size_t at = 0, end; at < len; at = end) {
        const char *newline = memchr(text + at, '\n', len - at);

        end = newline != NULL ? (size_t)(newline - text) + 1 : len;
        if (!add_form(form, text + at, end - at, out))
            return;
    }
}

/* Character by character, as the reference does; only U+0130 becomes two. */
static void run_lowercase(const char *text, size_t len, struct srq_buf *out)
{
    for (size_t at = 0; at < len;) {
        uint32_t code;
        char bytes[4];

        at += (size_t)srq_utf8_next(text + at, &code);
        if (code == 0x130) {
            srq_buf_puts(out, "i\xcc\x87");
        } else {
            code = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
            srq_buf_add(out, bytes, (size_t)srq_utf8_put(code, bytes));
        }
    }
}

/* Every match becomes the content; an empty one right behind another match is none, and an empty text has none. */
static int run_replace(const struct step *s, struct srq_matcher *m, const char *text, size_t len, struct srq_buf *out,
                       bool *begins, struct srq_error *err)
{
    size_t at = 0, from = 0, begin, end;
    bool any = false;
    int found = 0;

    while (len > 0 && from <= len && (found = srq_regex_find(s->pattern, m, text, len, from, &begin, &end, err)) > 0) {
        if (begin == end && any && end == at) {
            uint32_t code;

            from = end + (end < len ? (size_t)srq_utf8_next(text + end, &code) : 1);
            continue;
        }
        srq_buf_add(out, text + at, begin - at);
        srq_buf_puts(out, s->content);
        at = from = end;
        any = true;
        if (out->len == 0 && end > 0 && begins != NULL)
            *begins = false;
    }
    srq_buf_add(out, text + at, len - at);
    return found < 0 ? found : 0;
}

static void run_strip(const struct step *s, const char *text, size_t len, struct srq_buf *out, bool *begins)
{
    size_t first = len, last = 0;

    for (size_t at = 0; at < len;) {
        uint32_t code;
        size_t n = (size_t)srq_utf8_next(text + at, &code);

        if (!srq_unicode_space(code)) {
            if (first == len)
                first = at;
            last = at + n;
        }
        at += n;
    }
    if (!s->left)
        first = 0;
    if (!s->right)
        last = len;
    if (first > 0 && begins != NULL)
        *begins = false;
    if (first < last)
        srq_buf_add(out, text + first, last - first);
}

static int run_step(const struct step *s, struct srq_matcher *m, const char *text, size_t len, struct srq_buf *out,
                    bool *begins, struct srq_error *err)
{
    switch (s->kind) {
    case FORM:
        run_form(s->form, text, len, out);
        return 0;
    case LOWERCASE:
        run_lowercase(text, len, out);
        return 0;
    case REPLACE:
        return run_replace(s, m, text, len, out, begins, err);
    case PREPEND:
        if (len > 0)
            srq_buf_puts(out, s->content);
        srq_buf_add(out, text, len);
        return 0;
    case STRIP:
        run_strip(s, text, len, out, begins);
        return 0;
    }
    return 0;
}

int srq_normalizer_run(const struct srq_normalizer *n, struct srq_matcher *m, const char *text, size_t len,
                       struct srq_buf *out, struct srq_buf *spare, bool *begins, struct srq_error *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < n->count; i++) {
        struct srq_buf swap = *spare;

        *spare = *out; /* what the step before wrote is what this one reads */
        *out = swap;
        srq_buf_clear(out);
        rc = run_step(&n->steps[i], m, i == 0 ? text : spare->data, i == 0 ? len : spare->len, out, begins, err);
        if (rc == 0 && (out->failed || !srq_buf_add(out, "", 0)))
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory normalizing %zu bytes of text", len);
    }
    return rc;
}
