/* Texts of templates: what values look like, as Python's str and repr and its json module have it, and letters large
 * and small. */
#include "core/text/template_parts.h"

#include "core/base/utf8.h"
#include "core/text/unicode.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <utf8proc.h>

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

bool tpl_space(uint32_t code)
{
    return srq_unicode_space(code) || (code >= 0x1c && code <= 0x1f);
}

size_t tpl_chars(const char *p, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)p[i] & 0xc0) != 0x80;
    return n;
}

size_t tpl_char_at(const char *p, size_t len, size_t index)
{
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80 && index-- == 0)
            return i;
    }
    return len;
}

bool tpl_same(const struct tpl_value *a, const char *p, size_t len)
{
    return a->text.len == len && (len == 0 || memcmp(a->text.p, p, len) == 0);
}

bool tpl_named(const struct tpl_value *a, const char *name)
{
    return tpl_same(a, name, strlen(name));
}

char *tpl_show(const char *p, size_t len, char *out, size_t cap)
{
    size_t n = 0;

    for (size_t at = 0; at < len;) {
        uint32_t code;
        size_t k = (size_t)srq_utf8_next(p + at, &code);

        if (k > len - at || n + (k > 4 ? k : 4) + 4 > cap) {
            n += (size_t)snprintf(out + n, cap - n, "\xe2\x80\xa6");
            break;
        }
        if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            n += (size_t)snprintf(out + n, cap - n, "\\x%02x", code);
        } else {
            memcpy(out + n, p + at, k);
            n += k;
        }
        at += k;
    }
    out[n < cap ? n : cap - 1] = '\0';
    return out;
}

int tpl_add(struct tpl_run *r, struct tpl_value *text, const char *p, size_t len)
{
    const char *end = text->text.len > 0 ? text->text.p + text->text.len : NULL;
    size_t whole = text->text.len + len;
    char *more, *copy;

    if (len == 0)
        return 0;
    more = end != NULL ? tpl_arena_extend(&r->text, end, len) : NULL;
    if (more != NULL) {
        memcpy(more, p, len);
        text->text.len = whole;
        return tpl_step(r, 1 + len / 64);
    }
    copy = tpl_arena_text(&r->text, whole, text->text.len > 0 ? whole : 0);
    if (copy == NULL)
        return tpl_no_memory(r);
    if (text->text.len > 0)
        memcpy(copy, text->text.p, text->text.len);
    memcpy(copy + text->text.len, p, len);
    text->text.p = copy;
    text->text.len = whole;
    return tpl_step(r, 1 + whole / 64);
}

int tpl_puts(struct tpl_run *r, struct tpl_value *text, const char *s)
{
    return tpl_add(r, text, s, strlen(s));
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* The fewest digits that read back as the same number, laid out as repr() does. */
char *tpl_real_text(double real, char out[40])
{
    char digits[40], *e;
    int exponent, count;

    if (isnan(real) || isinf(real)) {
        snprintf(out, 40, "%s", isnan(real) ? "nan" : real < 0 ? "-inf" : "inf");
        return out;
    }
    for (int n = 0; n < 17; n++) {
        snprintf(digits, sizeof(digits), "%.*e", n, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    e = strchr(digits, 'e');
    exponent = (int)strtol(e + 1, NULL, 10);
    count = (int)(e - digits) - (digits[0] == '-') - (strchr(digits, '.') != NULL);
    if (exponent < -4 || exponent >= 16) {
        snprintf(out, 40, "%.*se%c%02d", (int)(e - digits), digits, exponent < 0 ? '-' : '+', abs(exponent));
        return out;
    }
    snprintf(out, 40, "%.*f", count - 1 - exponent > 1 ? count - 1 - exponent : 1, real);
    return out;
}

/* ---- repr and str ------------------------------------------------------------------------------------------------ */

static bool printable(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    case UTF8PROC_CATEGORY_ZS:
        return code == ' ';
    default:
        return true;
    }
}

static int repr_text(struct tpl_run *r, const struct tpl_value *v, struct tpl_value *out)
{
    bool single = memchr(v->text.p, '\'', v->text.len) != NULL, twice = memchr(v->text.p, '"', v->text.len) != NULL;
    char quote = single && !twice ? '"' : '\'', code_text[16];
    int rc = tpl_add(r, out, &quote, 1);

    for (size_t at = 0; rc == 0 && at < v->text.len;) {
        const char *p = v->text.p + at;
        uint32_t code;
        size_t n = (size_t)srq_utf8_next(p, &code);

        at += n;
        if (code == (unsigned char)quote || code == '\\')
            rc = tpl_add(r, out, (char[]){ '\\', (char)code }, 2);
        else if (code == '\n' || code == '\r' || code == '\t')
            rc = tpl_puts(r, out, code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
        else if (printable(code))
            rc = tpl_add(r, out, p, n);
        else {
            snprintf(code_text, sizeof(code_text),
                     code < 0x100     ? "\\x%02x"
                     : code < 0x10000 ? "\\u%04x"
                                      : "\\U%08x",
                     code);
            rc = tpl_puts(r, out, code_text);
        }
    }
    return rc == 0 ? tpl_add(r, out, &quote, 1) : rc;
}

static int repr_list(struct tpl_run *r, const struct tpl_list *list, const char *ends, struct tpl_value *out)
{
    int rc = tpl_add(r, out, ends, 1);

    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        if (i > 0)
            rc = tpl_puts(r, out, ", ");
        if (rc == 0)
            rc = tpl_repr(r, &list->items[i], out);
    }
    if (rc == 0 && list->count == 1 && ends[0] == '(')
        rc = tpl_puts(r, out, ",");
    return rc == 0 ? tpl_add(r, out, ends + 1, 1) : rc;
}

static int repr_dict(struct tpl_run *r, const struct tpl_dict *d, struct tpl_value *out)
{
    int rc = tpl_puts(r, out, "{");

    for (size_t i = 0; rc == 0 && i < d->count; i++) {
        if (i > 0)
            rc = tpl_puts(r, out, ", ");
        if (rc == 0)
            rc = tpl_repr(r, &d->pairs[i].key, out);
        if (rc == 0)
            rc = tpl_puts(r, out, ": ");
        if (rc == 0)
            rc = tpl_repr(r, &d->pairs[i].value, out);
    }
    return rc == 0 ? tpl_puts(r, out, "}") : rc;
}

static int repr_range(struct tpl_run *r, const struct tpl_range *range, struct tpl_value *out)
{
    char text[100];
    int64_t stop = range->start + range->count * range->step;

    if (range->step != 1 || range->count == 0) /* where it was to stop is not kept */
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "a range is printed, which is not supported");
    snprintf(text, sizeof(text), "range(%" PRId64 ", %" PRId64 ")", range->start, stop);
    return tpl_puts(r, out, text);
}

static int repr_within(struct tpl_run *r, const struct tpl_value *v, struct tpl_value *out)
{
    int rc;

    switch (v->kind) {
    case TPL_LIST:
        return repr_list(r, v->list, "[]", out);
    case TPL_TUPLE:
        return repr_list(r, v->list, "()", out);
    case TPL_DICT:
        return repr_dict(r, v->dict, out);
    case TPL_NAMESPACE:
        rc = tpl_puts(r, out, "<Namespace ");
        if (rc == 0)
            rc = repr_dict(r, v->dict, out);
        return rc == 0 ? tpl_puts(r, out, ">") : rc;
    case TPL_VIEW:
        rc = tpl_puts(r, out, tpl_type_name(v));
        if (rc == 0)
            rc = tpl_puts(r, out, "(");
        if (rc == 0)
            rc = repr_list(r, v->list, "[]", out);
        return rc == 0 ? tpl_puts(r, out, ")") : rc;
    case TPL_RANGE:
        return repr_range(r, v->range, out);
    default: /* it has an address in it */
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "a value of type '%s' is printed, which is not supported",
                        tpl_type_name(v));
    }
}

int tpl_repr(struct tpl_run *r, const struct tpl_value *v, struct tpl_value *out)
{
    char text[40];
    int rc;

    switch (v->kind) {
    case TPL_ABSENT:
    case TPL_UNDEFINED:
        return tpl_puts(r, out, "Undefined");
    case TPL_NONE:
        return tpl_puts(r, out, "None");
    case TPL_BOOL:
        return tpl_puts(r, out, v->flag ? "True" : "False");
    case TPL_INT:
        snprintf(text, sizeof(text), "%" PRId64, v->number);
        return tpl_puts(r, out, text);
    case TPL_FLOAT:
        return tpl_puts(r, out, tpl_real_text(v->real, text));
    case TPL_TEXT:
        return repr_text(r, v, out);
    default:
        break;
    }
    rc = tpl_enter(r);
    if (rc != 0)
        return rc;
    rc = repr_within(r, v, out);
    r->depth--;
    return rc;
}

int tpl_str(struct tpl_run *r, const struct tpl_value *v, struct tpl_value *out)
{
    struct tpl_value text = tpl_text("", 0);
    int rc = 0;

    if (v->kind == TPL_TEXT)
        text = *v;
    else if (v->kind != TPL_UNDEFINED)
        rc = tpl_repr(r, v, &text);
    *out = text;
    return rc;
}

/* ---- letters ----------------------------------------------------------------------------------------------------- */

static bool cased(uint32_t code)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)code);

    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

/* Letters that become several in capitals (Unicode's SpecialCasing). */
static bool becomes_several(uint32_t code)
{
    static const struct {
        uint16_t from, to;
    } ranges[] = { { 0x149, 0x149 },   { 0x1f0, 0x1f0 },   { 0x390, 0x390 },   { 0x3b0, 0x3b0 },   { 0x587, 0x587 },
                   { 0x1e96, 0x1e9a }, { 0x1f50, 0x1f50 }, { 0x1f52, 0x1f52 }, { 0x1f54, 0x1f54 }, { 0x1f56, 0x1f56 },
                   { 0x1f80, 0x1faf }, { 0x1fb2, 0x1fb4 }, { 0x1fb6, 0x1fb7 }, { 0x1fbc, 0x1fbc }, { 0x1fc2, 0x1fc4 },
                   { 0x1fc6, 0x1fc7 }, { 0x1fcc, 0x1fcc }, { 0x1fd2, 0x1fd3 }, { 0x1fd6, 0x1fd7 }, { 0x1fe2, 0x1fe4 },
                   { 0x1fe6, 0x1fe7 }, { 0x1ff2, 0x1ff4 }, { 0x1ff6, 0x1ff7 }, { 0x1ffc, 0x1ffc }, { 0xfb00, 0xfb06 },
                   { 0xfb13, 0xfb17 } };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (code >= ranges[i].from && code <= ranges[i].to)
            return true;
    }
    return false;
}

static int put_code(struct tpl_run *r, struct tpl_value *out, uint32_t code)
{
    char bytes[4];

    return tpl_add(r, out, bytes, (size_t)srq_utf8_put(code, bytes));
}

/* A capital, or the title form of a letter. */
static int put_large(struct tpl_run *r, struct tpl_value *out, uint32_t code, bool title)
{
    if (code == 0xdf)
        return tpl_puts(r, out, title ? "Ss" : "SS");
    if (becomes_several(code))
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "the capitals of U+%04X are not supported", code);
    return put_code(
        r, out,
        (uint32_t)(title ? utf8proc_totitle((utf8proc_int32_t)code) : utf8proc_toupper((utf8proc_int32_t)code)));
}

/* Whether the sigma at `at` ends a word. */
static bool final_sigma(const struct tpl_value *text, size_t at)
{
    size_t p = at;
    uint32_t code;

    while (p > 0) {
        do
            p--;
        while (p > 0 && ((unsigned char)text->text.p[p] & 0xc0) == 0x80);
        srq_utf8_next(text->text.p + p, &code);
        if (cased(code))
            break;
        if (code != '\'' && code != '.' && code != ':' &&
            utf8proc_category((utf8proc_int32_t)code) != UTF8PROC_CATEGORY_MN)
            return false;
        if (p == 0)
            return false;
    }
    if (at == 0)
        return false;
    for (p = at + 2; p < text->text.len;) {
        p += (size_t)srq_utf8_next(text->text.p + p, &code);
        if (cased(code))
            return false;
        if (code != '\'' && code != '.' && code != ':' &&
            utf8proc_category((utf8proc_int32_t)code) != UTF8PROC_CATEGORY_MN)
            return true;
    }
    return true;
}

static int put_small(struct tpl_run *r, struct tpl_value *out, const struct tpl_value *text, size_t at, uint32_t code)
{
    if (code == 0x130)
        return tpl_puts(r, out, "i\xcc\x87");
    if (code == 0x3a3)
        return put_code(r, out, final_sigma(text, at) ? 0x3c2 : 0x3c3);
    return put_code(r, out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)code));
}

/* What begins a word of the filter title. */
static bool word_break(uint32_t code)
{
    return tpl_space(code) || code == '-' || code == '(' || code == '{' || code == '[' || code == '<';
}

int tpl_convert(struct tpl_run *r, const struct tpl_value *text, enum tpl_case to, struct tpl_value *out)
{
    bool begin = true;
    int rc = tpl_step(r, text->text.len / 16);

    *out = tpl_text("", 0);
    for (size_t at = 0; rc == 0 && at < text->text.len;) {
        uint32_t code;
        size_t n = (size_t)srq_utf8_next(text->text.p + at, &code);

        if (to == TPL_UPPER || (to != TPL_LOWER && begin))
            rc = put_large(r, out, code, to == TPL_TITLE || to == TPL_CAPITALIZE);
        else
            rc = put_small(r, out, text, at, code);
        begin = to == TPL_TITLE ? !cased(code) : to == TPL_WORDS && word_break(code);
        at += n;
    }
    return rc;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

struct dumping {
    struct tpl_run *r;
    struct tpl_value *out;
    struct tpl_value item, colon; /* separators */
    struct tpl_value indent;      /* of one level */
    bool lines, ascii, sorts;
    size_t level;
};

static int dump(struct dumping *d, const struct tpl_value *v);

static int dump_code(struct dumping *d, uint32_t code)
{
    char text[16];

    if (code >= 0x10000)
        snprintf(text, sizeof(text), "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10), 0xdc00 + (code & 0x3ff));
    else
        snprintf(text, sizeof(text), "\\u%04x", code);
    return tpl_puts(d->r, d->out, text);
}

static int dump_text(struct dumping *d, const struct tpl_value *v)
{
    static const char letters[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt";
    int rc = tpl_puts(d->r, d->out, "\"");

    for (size_t at = 0, begin = 0; rc == 0 && at <= v->text.len;) {
        uint32_t code = 0;
        size_t n = at < v->text.len ? (size_t)srq_utf8_next(v->text.p + at, &code) : 1;
        const char *letter = code != 0 && code < 0x80 ? strchr(letters, (int)code) : NULL;

        if (at < v->text.len && code >= 0x20 && letter == NULL && (code < 0x7f || !d->ascii)) {
            at += n;
            continue;
        }
        rc = tpl_add(d->r, d->out, v->text.p + begin, at - begin);
        if (rc == 0 && letter != NULL)
            rc = tpl_add(d->r, d->out, (char[]){ '\\', escapes[letter - letters] }, 2);
        else if (rc == 0 && at < v->text.len)
            rc = dump_code(d, code);
        at += n;
        begin = at;
    }
    return rc == 0 ? tpl_puts(d->r, d->out, "\"") : rc;
}

static int dump_break(struct dumping *d)
{
    int rc = d->lines ? tpl_puts(d->r, d->out, "\n") : 0;

    for (size_t i = 0; rc == 0 && d->lines && i < d->level; i++)
        rc = tpl_add(d->r, d->out, d->indent.text.p, d->indent.text.len);
    return rc;
}

/* Before element `i`. */
static int dump_separator(struct dumping *d, size_t i)
{
    int rc = i > 0 ? tpl_add(d->r, d->out, d->item.text.p, d->item.text.len) : 0;

    return rc == 0 ? dump_break(d) : rc;
}

static int dump_list(struct dumping *d, const struct tpl_list *list)
{
    int rc = tpl_puts(d->r, d->out, list->count > 0 ? "[" : "[]");

    d->level++;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        rc = dump_separator(d, i);
        if (rc == 0)
            rc = dump(d, &list->items[i]);
    }
    d->level--;
    if (rc != 0 || list->count == 0)
        return rc;
    rc = dump_break(d);
    return rc == 0 ? tpl_puts(d->r, d->out, "]") : rc;
}

static int dump_key(struct dumping *d, const struct tpl_value *key)
{
    struct tpl_value text = tpl_text("", 0);
    int rc;

    if (key->kind == TPL_TEXT)
        return dump_text(d, key);
    if (key->kind == TPL_NONE || key->kind == TPL_BOOL)
        text = key->kind == TPL_NONE ? tpl_text("null", 4) : key->flag ? tpl_text("true", 4) : tpl_text("false", 5);
    else if (tpl_is_number(key)) {
        rc = tpl_repr(d->r, key, &text);
        if (rc != 0)
            return rc;
    } else
        return tpl_fail(d->r, -SRQ_EFORMAT, "keys must be str, int, float, bool or None, not %s", tpl_type_name(key));
    return dump_text(d, &text);
}

/* The pairs of `from` in the order of their keys; few, so that putting each in its place does. */
static int sort_pairs(struct tpl_run *r, const struct tpl_dict *from, struct tpl_pair **out)
{
    struct tpl_pair *pairs = tpl_new(r, (from->count + 1) * sizeof(*pairs));
    int rc = pairs != NULL ? 0 : tpl_no_memory(r);

    for (size_t i = 0; rc == 0 && i < from->count; i++) {
        size_t at = i;

        for (; at > 0; at--) {
            rc = tpl_order(r, '<', &from->pairs[i].key, &pairs[at - 1].key);
            if (rc != 1)
                break;
            pairs[at] = pairs[at - 1];
        }
        pairs[at] = from->pairs[i];
        rc = rc > 0 ? 0 : rc;
    }
    *out = pairs;
    return rc;
}

static int dump_dict(struct dumping *d, const struct tpl_dict *dict)
{
    struct tpl_pair *pairs = dict->pairs;
    int rc = d->sorts ? sort_pairs(d->r, dict, &pairs) : 0;

    if (rc == 0)
        rc = tpl_puts(d->r, d->out, dict->count > 0 ? "{" : "{}");
    d->level++;
    for (size_t i = 0; rc == 0 && i < dict->count; i++) {
        rc = dump_separator(d, i);
        if (rc == 0)
            rc = dump_key(d, &pairs[i].key);
        if (rc == 0)
            rc = tpl_add(d->r, d->out, d->colon.text.p, d->colon.text.len);
        if (rc == 0)
            rc = dump(d, &pairs[i].value);
    }
    d->level--;
    if (rc != 0 || dict->count == 0)
        return rc;
    rc = dump_break(d);
    return rc == 0 ? tpl_puts(d->r, d->out, "}") : rc;
}

static int dump(struct dumping *d, const struct tpl_value *v)
{
    int rc;

    switch (v->kind) {
    case TPL_NONE:
        return tpl_puts(d->r, d->out, "null");
    case TPL_BOOL:
        return tpl_puts(d->r, d->out, v->flag ? "true" : "false");
    case TPL_INT:
        return tpl_repr(d->r, v, d->out);
    case TPL_FLOAT:
        if (isnan(v->real) || isinf(v->real))
            return tpl_puts(d->r, d->out, isnan(v->real) ? "NaN" : v->real < 0 ? "-Infinity" : "Infinity");
        return tpl_repr(d->r, v, d->out);
    case TPL_TEXT:
        return dump_text(d, v);
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_DICT:
        rc = tpl_enter(d->r);
        if (rc != 0)
            return rc;
        rc = v->kind == TPL_DICT ? dump_dict(d, v->dict) : dump_list(d, v->list);
        d->r->depth--;
        return rc;
    default:
        return tpl_fail(d->r, -SRQ_EFORMAT, "Object of type %s is not JSON serializable", tpl_type_name(v));
    }
}

/* `args`: the value, ensure_ascii, indent, separators, sort_keys; all but the first may be absent. */
int tpl_json(struct tpl_run *r, const struct tpl_value *const args, struct tpl_value *out)
{
    static const char blanks[] = "                ";
    const struct tpl_value *indent = &args[2], *separators = &args[3];
    struct dumping d = { .r = r, .out = out, .item = tpl_text(", ", 2), .colon = tpl_text(": ", 2) };

    *out = tpl_text("", 0);
    d.ascii = tpl_truth(&args[1]) != 0;
    d.sorts = tpl_truth(&args[4]) != 0;
    d.lines = indent->kind != TPL_ABSENT && indent->kind != TPL_NONE;
    if (d.lines && indent->kind == TPL_TEXT)
        d.indent = *indent;
    else if (d.lines && indent->kind != TPL_FLOAT && tpl_is_number(indent) &&
             tpl_as_int(indent) < (int64_t)sizeof(blanks))
        d.indent = tpl_text(blanks, tpl_as_int(indent) > 0 ? (size_t)tpl_as_int(indent) : 0);
    else if (d.lines)
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "this indent of tojson is not supported");
    if (d.lines)
        d.item = tpl_text(",", 1);
    if (separators->kind != TPL_ABSENT && separators->kind != TPL_NONE) {
        if ((separators->kind != TPL_TUPLE && separators->kind != TPL_LIST) || separators->list->count != 2 ||
            separators->list->items[0].kind != TPL_TEXT || separators->list->items[1].kind != TPL_TEXT)
            return tpl_fail(r, -SRQ_EFORMAT, "separators of tojson are not two strings");
        d.item = separators->list->items[0];
        d.colon = separators->list->items[1];
    }
    return dump(&d, &args[0]);
}
