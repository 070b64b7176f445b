/* Tokens of a template: text between tags, and what stands inside them, with the white space around tags taken away as
 * trim_blocks and lstrip_blocks have it. */
#include "core/text/template_parts.h"

#include "core/base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#define SHOW 80

int tpl_read_fail(const char *what, uint32_t line, struct srq_error *err, int code, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return srq_fail_field(err, code, what, "%.300s, line %u: %s", what, line, text);
}

#define lex_fail(l, code, ...) tpl_read_fail((l)->what, (l)->line, (l)->err, code, __VA_ARGS__)

static int no_memory(struct tpl_lexer *l)
{
    return srq_fail_field(l->err, -SRQ_ENOMEM, l->what, "out of memory reading %.300s", l->what);
}

void tpl_lexer_begin(struct tpl_lexer *l, const char *text, size_t len)
{
    l->p = l->begin = l->counted = text;
    l->end = text + len;
    l->line = 1;
    l->mode = 0;
    l->line_start = true;
    l->open_count = 0;
    l->waits = false;
}

/* The line of `at`, which is not before the last one asked for. */
static void count_lines(struct tpl_lexer *l, const char *at)
{
    for (; l->counted < at; l->counted++)
        l->line += *l->counted == '\n';
}

static bool begins(const struct tpl_lexer *l, const char *p, const char *s)
{
    size_t n = strlen(s);

    return (size_t)(l->end - p) >= n && memcmp(p, s, n) == 0;
}

static const char *skip_space(const struct tpl_lexer *l, const char *p)
{
    uint32_t code;

    while (p < l->end) {
        int n = srq_utf8_next(p, &code);

        if (!tpl_space(code))
            break;
        p += n;
    }
    return p;
}

/* The end of `begin` … `end` without white space. */
static const char *strip_end(const char *begin, const char *end)
{
    while (end > begin) {
        const char *p = end - 1;
        uint32_t code;

        while (p > begin && ((unsigned char)*p & 0xc0) == 0x80)
            p--;
        srq_utf8_next(p, &code);
        if (!tpl_space(code))
            break;
        end = p;
    }
    return end;
}

/* Where the text before a tag ends: `sign` is that of the tag, `variable` a {{. */
static const char *text_end(const struct tpl_lexer *l, const char *end, char sign, bool variable)
{
    const char *stripped = strip_end(l->p, end), *line = end;

    if (sign == '-')
        return stripped;
    if (sign == '+' || variable)
        return end;
    while (line > l->p && line[-1] != '\n')
        line--;
    return (line > l->p || l->line_start) && stripped <= line ? line : end;
}

/* After a tag: `p` behind its closing brace, `sign` before it. */
static void close_tag(struct tpl_lexer *l, const char *p, char sign, bool trims)
{
    if (sign == '-')
        p = skip_space(l, p);
    else if (sign != '+' && trims && p < l->end && *p == '\n')
        p++;
    l->line_start = p[-1] == '\n';
    l->p = p;
}

static char sign_at(const struct tpl_lexer *l, const char *p)
{
    return p < l->end && (*p == '-' || *p == '+') ? *p : 0;
}

/* After {# and its sign. */
static int skip_comment(struct tpl_lexer *l, const char *p)
{
    for (const char *q = p; q + 1 < l->end; q++) {
        if (q[0] == '#' && q[1] == '}') {
            close_tag(l, q + 2, q > p && (q[-1] == '-' || q[-1] == '+') ? q[-1] : 0, true);
            return 0;
        }
    }
    return lex_fail(l, -SRQ_EFORMAT, "a comment is not closed with \"#}\"");
}

/* {% raw %}: where its text begins, or NULL. */
static const char *raw_begin(const struct tpl_lexer *l, const char *tag)
{
    const char *p = skip_space(l, tag + 2 + (sign_at(l, tag + 2) != 0));

    if (!begins(l, p, "raw"))
        return NULL;
    p = skip_space(l, p + 3);
    if (begins(l, p, "-%}"))
        return skip_space(l, p + 3);
    return begins(l, p, "%}") ? p + 2 : NULL;
}

/* From `p`: the {% endraw %} with its sign, and in `*behind` its closing %}. */
static const char *raw_end(const struct tpl_lexer *l, const char *p, const char **behind)
{
    for (; p + 1 < l->end; p++) {
        const char *q;

        if (p[0] != '{' || p[1] != '%')
            continue;
        q = skip_space(l, p + 2 + (sign_at(l, p + 2) != 0));
        if (!begins(l, q, "endraw"))
            continue;
        *behind = skip_space(l, q + 6);
        q = *behind + (sign_at(l, *behind) != 0);
        if (begins(l, q, "%}"))
            return p;
    }
    return NULL;
}

static int read_raw(struct tpl_lexer *l, struct tpl_token *token)
{
    const char *close, *tag = raw_end(l, l->p, &close), *end;
    char sign;

    count_lines(l, l->p);
    if (tag == NULL)
        return lex_fail(l, -SRQ_EFORMAT, "\"raw\" is not closed with \"endraw\"");
    end = text_end(l, tag, sign_at(l, tag + 2), false);
    *token = (struct tpl_token){ .kind = TPL_T_DATA, .line = l->line, .value = tpl_text(l->p, (size_t)(end - l->p)) };
    sign = sign_at(l, close);
    l->mode = 0;
    close_tag(l, close + (sign != 0) + 2, sign, true);
    return 0;
}

static const char *find_tag(const struct tpl_lexer *l)
{
    for (const char *p = l->p; p + 1 < l->end; p++) {
        if (p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#'))
            return p;
    }
    return NULL;
}

/* Text up to the next tag, which waits. */
static int read_text(struct tpl_lexer *l, struct tpl_token *token)
{
    const char *tag = find_tag(l), *end, *raw;
    char sign;

    count_lines(l, l->p);
    if (tag == NULL) {
        *token = (struct tpl_token){ .kind = l->p < l->end ? TPL_T_DATA : TPL_T_END,
                                     .line = l->line,
                                     .value = tpl_text(l->p, (size_t)(l->end - l->p)) };
        l->p = l->end;
        return 0;
    }
    sign = sign_at(l, tag + 2);
    end = text_end(l, tag, sign, tag[1] == '{');
    *token = (struct tpl_token){ .kind = TPL_T_DATA, .line = l->line, .value = tpl_text(l->p, (size_t)(end - l->p)) };
    count_lines(l, tag);
    l->line_start = false;
    if (tag[1] == '#')
        return skip_comment(l, tag + 2 + (sign != 0));
    raw = tag[1] == '%' ? raw_begin(l, tag) : NULL;
    if (raw != NULL) {
        l->mode = 'r';
        l->line_start = raw[-1] == '\n';
        l->p = raw;
        return 0;
    }
    l->mode = tag[1];
    l->open_count = 0;
    l->waiting = (struct tpl_token){ .kind = tag[1] == '%' ? TPL_T_BLOCK : TPL_T_VARIABLE, .line = l->line };
    l->waits = true;
    l->p = tag + 2 + (sign != 0);
    return 0;
}

/* ---- inside tags ------------------------------------------------------------------------------------------------- */

static bool digit(const char *p, const char *end, int base)
{
    int c = p < end ? (unsigned char)*p : 0, v = 99;

    if (c >= '0' && c <= '9')
        v = c - '0';
    else if ((c | 32) >= 'a' && (c | 32) <= 'f')
        v = (c | 32) - 'a' + 10;
    return v < base;
}

/* Digits, each after at most one underscore; the first one after none. */
static const char *digits(const char *p, const char *end, int base)
{
    while (digit(p, end, base) || (*p == '_' && p + 1 < end && digit(p + 1, end, base)))
        p += *p == '_' ? 2 : 1;
    return p;
}

/* The end of a number with a point or an exponent, or NULL. */
static const char *real_end(const struct tpl_lexer *l)
{
    const char *p = digits(l->p, l->end, 10), *whole = p, *e;

    if (l->p > l->begin && l->p[-1] == '.')
        return NULL;
    if (begins(l, p, ".") && digit(p + 1, l->end, 10))
        p = digits(p + 1, l->end, 10);
    if (p < l->end && (*p | 32) == 'e') {
        e = p + 1 + (sign_at(l, p + 1) != 0);
        if (digit(e, l->end, 10))
            p = digits(e, l->end, 10);
    }
    return p > whole ? p : NULL;
}

static int read_number(struct tpl_lexer *l, struct tpl_token *token)
{
    const char *end = real_end(l), *p = l->p;
    char text[400];
    size_t n = 0;
    int base = 10;

    token->kind = end != NULL ? TPL_T_FLOAT : TPL_T_INT;
    if (end == NULL && *p == '0' && p + 2 < l->end && strchr("bBoOxX", p[1]) != NULL) {
        int prefixed = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : 2;
        const char *first = p + 2 + (p[2] == '_');

        if (digit(first, l->end, prefixed)) {
            base = prefixed;
            p = first;
        }
    }
    if (end == NULL)
        end = base == 10 && *p == '0' ? digits(p, l->end, 1) : digits(p, l->end, base);
    for (l->p = end; p < end && n + 1 < sizeof(text); p++) {
        if (*p != '_')
            text[n++] = *p;
    }
    text[n] = '\0';
    errno = 0;
    token->value = token->kind == TPL_T_INT ? tpl_int(strtoll(text, NULL, base)) : tpl_real(strtod(text, NULL));
    if (p < end || (errno == ERANGE && token->kind == TPL_T_INT))
        return lex_fail(l, -SRQ_ELIMIT, "number %.40s… is beyond 64 bits", text);
    return 0;
}

/* \xHH, \uHHHH, \UHHHHHHHH at the letter; `p` moves to the last digit. */
static int read_code(struct tpl_lexer *l, const char **p, const char *end, uint32_t *code)
{
    int count = **p == 'x' ? 2 : **p == 'u' ? 4 : 8;

    *code = 0;
    for (int i = 0; i < count; i++) {
        if (!digit(++*p, end, 16))
            return lex_fail(l, -SRQ_EFORMAT, "an escape in a string has fewer than %d digits", count);
        *code = *code << 4 | (uint32_t)(**p <= '9' ? **p - '0' : (**p | 32) - 'a' + 10);
    }
    if (*code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
        return lex_fail(l, -SRQ_EUNSUPPORTED, "escape \\%0*x in a string is no character", count, *code);
    return 0;
}

/* What stands after a backslash at *p; it moves to its last byte. */
static int read_escape(struct tpl_lexer *l, const char **p, const char *end, char **out)
{
    static const char letters[] = "\\'\"abfnrtv", means[] = "\\'\"\a\b\f\n\r\t\v";
    const char *letter = strchr(letters, **p);
    uint32_t code = 0;
    int rc;

    if (**p == '\n')
        return 0;
    if (**p != '\0' && letter != NULL) {
        *(*out)++ = means[letter - letters];
        return 0;
    }
    if (**p == 'N' || (unsigned char)**p >= 0x80)
        return lex_fail(l, -SRQ_EUNSUPPORTED, "escape \\%s in a string is not supported",
                        **p == 'N' ? "N" : "before a letter that is not ASCII");
    if (**p >= '0' && **p <= '7') {
        for (int i = 0; i < 3 && digit(*p, end, 8); i++, ++*p)
            code = code << 3 | (uint32_t)(**p - '0');
        --*p;
    } else if (**p == 'x' || **p == 'u' || **p == 'U') {
        rc = read_code(l, p, end, &code);
        if (rc != 0)
            return rc;
    } else {
        *(*out)++ = '\\';
        *(*out)++ = **p;
        return 0;
    }
    *out += srq_utf8_put(code, *out);
    return 0;
}

static int read_string(struct tpl_lexer *l, struct tpl_token *token)
{
    const char *p = l->p + 1, *end = p;
    char *text, *out;
    int rc = 0;

    while (end < l->end && *end != *l->p)
        end += *end == '\\' && end + 1 < l->end ? 2 : 1;
    if (end >= l->end)
        return lex_fail(l, -SRQ_EFORMAT, "a string is not closed");
    text = out = tpl_arena_get(l->arena, (size_t)(end - p) * 2 + 1);
    if (text == NULL)
        return no_memory(l);
    for (; rc == 0 && p < end; p++) {
        if (*p != '\\')
            *out++ = *p;
        else if (++p < end)
            rc = read_escape(l, &p, end, &out);
    }
    token->kind = TPL_T_TEXT;
    token->value = tpl_text(text, (size_t)(out - text));
    l->p = end + 1;
    return rc;
}

static bool name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static int read_name(struct tpl_lexer *l, struct tpl_token *token)
{
    const char *begin = l->p;
    uint32_t code;

    while (l->p < l->end && name_byte(*l->p)) {
        int n = srq_utf8_next(l->p, &code);

        if (tpl_space(code))
            break;
        l->p += n;
    }
    token->kind = TPL_T_NAME;
    token->value = tpl_text(begin, (size_t)(l->p - begin));
    return 0;
}

/* Brackets have to be closed in their order. */
static int balance(struct tpl_lexer *l, char op)
{
    char opens = op == ')' ? '(' : op == ']' ? '[' : '{';

    if (op == '(' || op == '[' || op == '{') {
        if (l->open_count == TPL_NESTING_MAX)
            return lex_fail(l, -SRQ_ELIMIT, "brackets nested deeper than %d", TPL_NESTING_MAX);
        l->open[l->open_count++] = op;
        return 0;
    }
    if (l->open_count == 0 || l->open[l->open_count - 1] != opens)
        return lex_fail(l, -SRQ_EFORMAT, "unexpected \"%c\"", op);
    l->open_count--;
    return 0;
}

static int read_operator(struct tpl_lexer *l, struct tpl_token *token)
{
    static const struct {
        char text[3], op;
    } pairs[] = { { "//", TPL_OP_FLOOR },   { "**", TPL_OP_POWER },         { "==", TPL_OP_EQUAL },
                  { "!=", TPL_OP_UNEQUAL }, { ">=", TPL_OP_GREATER_EQUAL }, { "<=", TPL_OP_LESS_EQUAL } };
    char shown[SHOW];

    token->kind = TPL_T_OPERATOR;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (begins(l, l->p, pairs[i].text)) {
            token->op = pairs[i].op;
            l->p += 2;
            return 0;
        }
    }
    if (*l->p == '\0' || strchr("+-/*%~[](){}><=.:|,;", *l->p) == NULL)
        return lex_fail(l, -SRQ_EFORMAT, "unexpected character \"%s\"", tpl_show(l->p, 1, shown, sizeof(shown)));
    token->op = *l->p++;
    return strchr("()[]{}", token->op) != NULL ? balance(l, token->op) : 0;
}

/* The end of the tag, where one is at l->p. */
static bool read_tag_end(struct tpl_lexer *l, struct tpl_token *token)
{
    bool block = l->mode == '%';
    char sign = sign_at(l, l->p);
    const char *p = l->p + (sign != 0);

    if (l->open_count > 0 || (!block && sign == '+') || !begins(l, p, block ? "%}" : "}}"))
        return false;
    token->kind = block ? TPL_T_BLOCK_END : TPL_T_VARIABLE_END;
    l->mode = 0;
    close_tag(l, p + 2, sign, block);
    return true;
}

static int read_inside(struct tpl_lexer *l, struct tpl_token *token)
{
    l->p = skip_space(l, l->p);
    count_lines(l, l->p);
    *token = (struct tpl_token){ .line = l->line };
    if (l->p >= l->end)
        return lex_fail(l, -SRQ_EFORMAT, "the template ends inside a tag");
    if (read_tag_end(l, token))
        return 0;
    if (*l->p >= '0' && *l->p <= '9')
        return read_number(l, token);
    if (name_byte(*l->p))
        return read_name(l, token);
    return *l->p == '"' || *l->p == '\'' ? read_string(l, token) : read_operator(l, token);
}

int tpl_lexer_next(struct tpl_lexer *l, struct tpl_token *token)
{
    int rc = 0;

    do {
        if (l->waits) {
            l->waits = false;
            *token = l->waiting;
            return 0;
        }
        rc = l->mode == 0 ? read_text(l, token) : l->mode == 'r' ? read_raw(l, token) : read_inside(l, token);
    } while (rc == 0 && token->kind == TPL_T_DATA && token->value.text.len == 0);
    return rc;
}
