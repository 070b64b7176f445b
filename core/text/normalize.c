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

/* The reference keeps for each character where it comes from, and takes a piece for the first one when its first
 * character comes from offset 0. Those that do are always the first ones, so that their bytes are all that steps have
 * to keep count of (`*begins`): what is inserted comes from where the character before it does, and at offset 0 from
 * there. */

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

/* A character of a text's decomposition, composed later on or not. */
struct part {
    int32_t code;
    int chars; /* of the text: 1, of which the rest of a character's parts have 0; those composed add theirs */
    uint8_t order;
};

struct parts {
    struct part *data;
    size_t count, cap;
};

static bool add_part(struct parts *p, int32_t code, int chars)
{
    if (p->count == p->cap) {
        size_t cap = p->cap > 0 ? p->cap * 2 : 64;
        struct part *data = srq_reallocarray(p->data, cap, sizeof(*data));

        if (data == NULL)
            return false;
        p->data = data;
        p->cap = cap;
    }
    p->data[p->count++] = (struct part){ code, chars, (uint8_t)utf8proc_get_property(code)->combining_class };
    return true;
}

/* Marks behind one base come in the order of their classes, those of one class as they are. */
static bool order_marks(struct parts *p)
{
    struct part *sorted = srq_reallocarray(NULL, p->count + 1, sizeof(*sorted));
    size_t end;

    for (size_t at = 0; sorted != NULL && at < p->count; at = end + 1) {
        bool there[256] = { false };
        size_t n = 0;

        for (end = at; end < p->count && p->data[end].order != 0; end++)
            there[p->data[end].order] = true;
        for (int order = 1; order < 256; order++) {
            for (size_t i = at; there[order] && i < end; i++) {
                if (p->data[i].order == order)
                    sorted[n++] = p->data[i];
            }
        }
        if (n > 0)
            memcpy(p->data + at, sorted, n * sizeof(*sorted));
    }
    srq_free(sorted);
    return sorted != NULL;
}

static void compose(struct parts *p)
{
    size_t kept = 0, base = SIZE_MAX;
    int last = -1; /* class of the mark before, behind the base */

    for (size_t i = 0; i < p->count; i++) {
        struct part c = p->data[i];
        int32_t pair[2] = { base != SIZE_MAX ? p->data[base].code : 0, c.code };

        if (base != SIZE_MAX && (last < 0 || last < c.order) &&
            utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE) == 1) {
            p->data[base].code = pair[0];
            p->data[base].chars += c.chars;
            continue;
        }
        if (c.order == 0)
            base = kept;
        last = c.order == 0 ? -1 : c.order;
        p->data[kept++] = c;
    }
    p->count = kept;
}

/* The decomposition of the first `first` bytes and of what may compose with them; `*chars`: how many these are. */
static bool take_parts(utf8proc_option_t form, const char *text, size_t len, size_t first, struct parts *p, int *chars)
{
    int bases = 0;

    for (size_t at = 0; at < len && bases < 4;) {
        utf8proc_int32_t codes[32];
        utf8proc_ssize_t n;
        uint32_t code;
        int bound = 0;

        *chars += at < first;
        at += (size_t)srq_utf8_next(text + at, &code);
        n = utf8proc_decompose_char((utf8proc_int32_t)code, codes, 32, form, &bound);
        for (utf8proc_ssize_t i = 0; i < n && i < 32; i++) {
            if (!add_part(p, codes[i], i == 0))
                return false;
        }
        bases += at > first && n > 0 && p->data[p->count - 1].order == 0;
    }
    return true;
}

/* What run_form makes of the first `*begins` bytes. */
static bool first_of_form(utf8proc_option_t form, const char *text, size_t len, size_t *begins)
{
    size_t first = *begins, bytes = 0;
    struct parts p = { 0 };
    int chars = 0, seen = 0;
    char spelled[4];
    bool ok;

    if (is_ascii(text, first + (first < len)))
        return true;
    ok = take_parts(form, text, len, first, &p, &chars) && order_marks(&p);
    if (ok && (form & UTF8PROC_COMPOSE) != 0)
        compose(&p);
    for (size_t i = 0; ok && i < p.count; i++) {
        if (p.data[i].chars > 0 ? seen >= chars : seen > chars)
            break;
        seen += p.data[i].chars;
        bytes += (size_t)srq_utf8_put((uint32_t)p.data[i].code, spelled);
    }
    srq_free(p.data);
    *begins = bytes;
    return ok;
}

/* Character by character, as the reference does; only U+0130 becomes two. */
static void run_lowercase(const char *text, size_t len, struct srq_buf *out, size_t *begins)
{
    size_t first = begins != NULL ? *begins : 0;

    for (size_t at = 0; at < len;) {
        bool of_first = at < first;
        uint32_t code;
        char bytes[4];

        at += (size_t)srq_utf8_next(text + at, &code);
        if (code == 0x130) {
            srq_buf_puts(out, "i\xcc\x87");
        } else {
            code = (uint32_t)utf8proc_tolower((utf8proc_int32_t)code);
            srq_buf_add(out, bytes, (size_t)srq_utf8_put(code, bytes));
        }
        if (of_first)
            *begins = out->len;
    }
}

/* Adds text[from] … text[to - 1], of which those before `first` stem from the beginning. */
static void keep(const char *text, size_t from, size_t to, size_t first, struct srq_buf *out, size_t *begins)
{
    if (begins != NULL && from < first)
        *begins = out->len + ((to < first ? to : first) - from);
    srq_buf_add(out, text + from, to - from);
}

/* Every match becomes the content; an empty one right behind another match is none, and an empty text has none. */
static int run_replace(const struct step *s, struct srq_matcher *m, const char *text, size_t len, struct srq_buf *out,
                       size_t *begins, struct srq_error *err)
{
    size_t at = 0, from = 0, begin, end, first = begins != NULL ? *begins : 0;
    bool any = false;
    int found = 0;

    if (begins != NULL)
        *begins = 0;
    while (len > 0 && from <= len && (found = srq_regex_find(s->pattern, m, text, len, from, &begin, &end, err)) > 0) {
        if (begin == end && any && end == at) {
            uint32_t code;

            from = end + (end < len ? (size_t)srq_utf8_next(text + end, &code) : 1);
            continue;
        }
        keep(text, at, begin, first, out, begins);
        srq_buf_puts(out, s->content);
        if (begins != NULL && end <= first) /* as the last of what it replaces */
            *begins = out->len;
        at = from = end;
        any = true;
    }
    keep(text, at, len, first, out, begins);
    return found < 0 ? found : 0;
}

static void run_strip(const struct step *s, const char *text, size_t len, struct srq_buf *out, size_t *begins)
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
    if (begins != NULL) {
        size_t of_first = *begins < last ? *begins : last;

        *begins = of_first > first ? of_first - first : 0;
    }
    if (first < last)
        srq_buf_add(out, text + first, last - first);
}

/* What goes before the text comes from where its first character does; where nothing does, that one comes from 0. */
static void of_prepend(const char *text, size_t added, size_t *begins)
{
    uint32_t code;

    if (*begins > 0)
        *begins += added;
    else if (added == 0)
        *begins = (size_t)srq_utf8_next(text, &code);
}

static int run_step(const struct step *s, struct srq_matcher *m, const char *text, size_t len, struct srq_buf *out,
                    size_t *begins, struct srq_error *err)
{
    switch (s->kind) {
    case FORM:
        run_form(s->form, text, len, out);
        if (begins != NULL && !first_of_form(s->form, text, len, begins))
            out->failed = true;
        return 0;
    case LOWERCASE:
        run_lowercase(text, len, out, begins);
        return 0;
    case REPLACE:
        return run_replace(s, m, text, len, out, begins, err);
    case PREPEND:
        if (len > 0)
            srq_buf_puts(out, s->content);
        if (begins != NULL && len > 0)
            of_prepend(text, out->len, begins);
        srq_buf_add(out, text, len);
        return 0;
    case STRIP:
        run_strip(s, text, len, out, begins);
        return 0;
    }
    return 0;
}

int srq_normalizer_run(const struct srq_normalizer *n, struct srq_matcher *m, const char *text, size_t len,
                       struct srq_buf *out, struct srq_buf *spare, size_t *begins, struct srq_error *err)
{
    uint32_t code;
    int rc = 0;

    if (begins != NULL)
        *begins = len > 0 ? (size_t)srq_utf8_next(text, &code) : 0;

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
