/* Oniguruma's Ruby syntax into PCRE2's. Every construct is read here: one that both engines have in the same meaning is
 * written out, one that PCRE2 has otherwise is rewritten, any other stops the translation by its name.
 *
 * Where the two differ, beside the sets of regex_names.c: '.' stops at \n only, and (?m) is what is (?s) elsewhere; an
 * option in the middle, a(?i)b|c, holds to the end of its group and takes the alternatives in, a(?i:b|c); {,n} is
 * {0,n}; {n}? is optional, {n,m}+ repeated again, and repeats of repeats are allowed; \v is one character; \b asks for
 * Oniguruma's \w; (?i) folds ss to ß. */
#include "core/text/regex_parts.h"

#include "core/base/utf8.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 100
#define SET_MAX 256

enum atom { ATOM_LITERAL, ATOM_OTHER, ATOM_ASSERTION, ATOM_NONE };

static void parse_alternatives(struct srq_translation *t, bool in_group);

/* ---- characters and escapes ---------------------------------------------------------------------------------------
 */

void srq_regex_put_code(struct srq_buf *out, uint32_t code)
{
    char c = (char)code;

    if (code < 0x80 && ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
        srq_buf_add(out, &c, 1);
    else
        srq_buf_printf(out, "\\x{%x}", code);
}

void srq_regex_refuse_escape(struct srq_translation *t, char letter)
{
    snprintf(t->construct, sizeof(t->construct), "\\%c", letter);
    if (letter == '\0')
        t->malformed = "an escape without its character";
    else
        t->unsupported = t->construct;
}

static int digit_value(char c, uint32_t base)
{
    int v = c >= '0' && c <= '9'   ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : 99;

    return v < (int)base ? v : -1;
}

/* At most `most` digits; how many there were. */
static int read_digits(struct srq_translation *t, uint32_t base, int most, uint32_t *value)
{
    int n = 0;

    for (*value = 0; n < most && t->p < t->end && digit_value(*t->p, base) >= 0; n++, t->p++)
        *value = *value * base + (uint32_t)digit_value(*t->p, base);
    return n;
}

/* After \x, \u or \0: false where it names no character, or a lone byte of one. */
static bool read_number(struct srq_translation *t, char letter, uint32_t *code)
{
    if (letter == 'x' && t->p < t->end && *t->p == '{') {
        t->p++;
        if (read_digits(t, 16, 7, code) == 0 || t->p == t->end || *t->p != '}')
            return false;
        t->p++;
        return *code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff);
    }
    if (letter == 'u')
        return read_digits(t, 16, 4, code) == 4 && (*code < 0xd800 || *code > 0xdfff);
    if (letter == 'x')
        return read_digits(t, 16, 2, code) > 0 && *code < 0x80;
    read_digits(t, 8, 2, code);
    return *code < 0x80;
}

bool srq_regex_code(struct srq_translation *t, uint32_t *code)
{
    static const char letters[] = "tnrfae", codes[] = "\t\n\r\f\a\x1b";
    /* those that Oniguruma reads as something else than themselves */
    static const char taken[] = "bBcCDGgHhKkMNOPpRSsWwXyYAZzdx0123456789u";
    const char *known;
    char c;

    if (t->p == t->end)
        return false;
    c = *t->p;
    known = strchr(letters, c);
    if (known != NULL) {
        t->p++;
        *code = (unsigned char)codes[known - letters];
        return true;
    }
    if (c == 'x' || c == 'u' || c == '0') {
        t->p++;
        if (!read_number(t, c, code))
            srq_regex_refuse_escape(t, c);
        return true;
    }
    if (c == 'v') {
        t->p++;
        *code = '\v';
        return true;
    }
    if ((c == 'p' || c == 'P') && (t->end - t->p < 2 || t->p[1] != '{')) {
        t->p++; /* \pL is an escaped p and an L */
        *code = (unsigned char)c;
        return true;
    }
    if (strchr(taken, c) != NULL)
        return false;
    t->p += srq_utf8_next(t->p, code);
    return true;
}

/* Letters that together fold to one character, as "ss" does to ß: Oniguruma matches that one, PCRE2 does not. */
static bool folds_together(uint32_t first, uint32_t second)
{
    static const char pairs[][2] = { { 's', 's' }, { 's', 't' }, { 'f', 'f' }, { 'f', 'i' }, { 'f', 'l' } };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if ((first | 0x20) == (uint32_t)pairs[i][0] && (second | 0x20) == (uint32_t)pairs[i][1])
            return true;
    }
    return false;
}

static enum atom put_literal(struct srq_translation *t, uint32_t code)
{
    if (t->fold && code >= 0x80)
        t->unsupported = "a character beyond ASCII under (?i)";
    else if (t->fold && folds_together(t->folded, code))
        t->unsupported = "letters under (?i) that fold to one";
    t->folded = t->fold ? code : 0;
    srq_regex_put_code(&t->out, code);
    return ATOM_LITERAL;
}

static enum atom put_set(struct srq_translation *t, const char *set, bool negated)
{
    t->folded = 0;
    srq_buf_puts(&t->out, negated ? "[^" : "[");
    srq_buf_puts(&t->out, set);
    srq_buf_puts(&t->out, "]");
    return ATOM_OTHER;
}

static enum atom put(struct srq_translation *t, const char *text, enum atom kind)
{
    t->folded = 0;
    srq_buf_puts(&t->out, text);
    return kind;
}

static enum atom put_word_boundary(struct srq_translation *t, bool at_one)
{
    const char *w = srq_regex_type('w', false);

    t->folded = 0;
    srq_buf_printf(&t->out,
                   at_one ? "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))" : "(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s]))", w, w,
                   w, w);
    return ATOM_ASSERTION;
}

/* \1 … \9: only to a group that has ended, which leaves no question about what it holds. */
static enum atom numbered_reference(struct srq_translation *t, char digit)
{
    bool more = t->p < t->end && *t->p >= '0' && *t->p <= '9';

    if (more || t->fold || digit - '0' > t->groups || t->open_groups > 0)
        srq_regex_refuse_escape(t, digit);
    t->numbered_reference = true;
    t->folded = 0;
    srq_buf_printf(&t->out, "\\g{%c}", digit);
    return ATOM_OTHER;
}

/* The name up to `last`; NULL where it is none that both engines take. */
static const char *read_name(struct srq_translation *t, char last, size_t *len)
{
    const char *name = t->p;

    for (; t->p < t->end && *t->p != last; t->p++) {
        bool letter = (*t->p >= 'a' && *t->p <= 'z') || (*t->p >= 'A' && *t->p <= 'Z') || *t->p == '_';

        if (!letter && (t->p == name || *t->p < '0' || *t->p > '9'))
            return NULL;
    }
    *len = (size_t)(t->p - name);
    if (t->p == t->end || *len == 0 || *len > 31)
        return NULL;
    t->p++;
    return name;
}

static struct srq_regex_name *find_name(struct srq_translation *t, const char *name, size_t len)
{
    for (int i = 0; i < t->name_count; i++) {
        if (t->names[i].len == len && memcmp(t->names[i].text, name, len) == 0)
            return &t->names[i];
    }
    return NULL;
}

static enum atom named_reference(struct srq_translation *t)
{
    char open = t->p < t->end ? *t->p : '\0';
    const struct srq_regex_name *known = NULL;
    const char *name = NULL;
    size_t len = 0;

    if (open == '<' || open == '\'') {
        t->p++;
        name = read_name(t, open == '<' ? '>' : '\'', &len);
    }
    if (name != NULL)
        known = find_name(t, name, len);
    if (known == NULL || !known->closed || t->fold)
        srq_regex_refuse_escape(t, 'k');
    t->folded = 0;
    srq_buf_printf(&t->out, "\\k{%.*s}", (int)len, name != NULL ? name : "");
    return ATOM_OTHER;
}

static enum atom property(struct srq_translation *t, bool negative)
{
    char set[SET_MAX];
    bool negated;

    if (!srq_regex_property(t, false, set, sizeof(set), &negated)) {
        t->unsupported = "an unknown property";
        return ATOM_OTHER;
    }
    if (t->fold)
        t->unsupported = "a property under (?i)";
    return put_set(t, set, negated != negative);
}

/* After a backslash. */
static enum atom parse_escape(struct srq_translation *t)
{
    uint32_t code = 0;
    char c;

    if (srq_regex_code(t, &code))
        return put_literal(t, code);
    c = t->p < t->end ? *t->p++ : '\0';
    if (c != '\0' && srq_regex_type(c, false) != NULL)
        return put_set(t, srq_regex_type(c, false), c < 'a');
    switch (c) {
    case 'p':
    case 'P':
        return property(t, c == 'P');
    case 'b':
    case 'B':
        return put_word_boundary(t, c == 'b');
    case 'A':
        return put(t, "\\A", ATOM_ASSERTION);
    case 'z':
        return put(t, "\\z", ATOM_ASSERTION);
    case 'Z':
        return put(t, "\\Z", ATOM_ASSERTION);
    case 'R':
        return put(t, "(?>\\r\\n|[\\n-\\r\\x{85}\\x{2028}\\x{2029}])", ATOM_OTHER);
    case 'N':
        return put(t, "[^\\n]", ATOM_OTHER);
    case 'O':
        return put(t, "(?s:.)", ATOM_OTHER);
    case 'k':
        return named_reference(t);
    default:
        break;
    }
    if (c >= '1' && c <= '9')
        return numbered_reference(t, c);
    srq_regex_refuse_escape(t, c);
    return ATOM_OTHER;
}

/* ---- groups
 * ----------------------------------------------------------------------------------------------------------- */

/* The inside of a group whose opening was written, up to its end. */
static void parse_inside(struct srq_translation *t, bool in_group)
{
    if (t->depth == DEPTH_MAX) {
        t->unsupported = "groups nested too deep";
        return;
    }
    t->depth++;
    parse_alternatives(t, in_group);
    t->depth--;
    srq_buf_puts(&t->out, ")");
}

static void parse_to_end(struct srq_translation *t)
{
    parse_inside(t, true);
    if (!srq_regex_stopped(t) && t->p == t->end)
        t->malformed = "a group without its end";
    t->p += t->p < t->end;
}

static enum atom parse_capture(struct srq_translation *t, const char *name, size_t len)
{
    int index = t->name_count;

    if (name != NULL && (t->name_count == SRQ_REGEX_NAMES_MAX || find_name(t, name, len) != NULL)) {
        t->unsupported = "two groups of one name, or too many names";
        return ATOM_OTHER;
    }
    if (name != NULL) {
        t->names[t->name_count++] = (struct srq_regex_name){ name, len, false };
        srq_buf_printf(&t->out, "(?<%.*s>", (int)len, name);
    } else {
        srq_buf_puts(&t->out, "(");
    }
    t->groups++;
    t->open_groups++;
    parse_to_end(t);
    t->open_groups--;
    if (name != NULL)
        t->names[index].closed = true;
    return ATOM_OTHER;
}

/* After "(?": options, which hold for a group (?i:…), or (?i) to the end of the one that they stand in. */
static enum atom parse_options(struct srq_translation *t, bool in_group)
{
    bool fold = t->fold, dotall = t->dotall, on = true, whole;

    for (; t->p < t->end && *t->p != ')' && *t->p != ':'; t->p++) {
        switch (*t->p) {
        case '-':
            on = false;
            break;
        case 'i':
            t->fold = on;
            break;
        case 'm':
            t->dotall = on;
            break;
        case 'x':
            if (!on)
                break; /* it is never on */
            /* fall through */
        default:
            snprintf(t->construct, sizeof(t->construct), "(?%c", *t->p > ' ' && *t->p < 0x7f ? *t->p : ' ');
            t->unsupported = t->construct;
            return ATOM_OTHER;
        }
    }
    if (t->p == t->end) {
        t->malformed = "a group without its end";
        return ATOM_OTHER;
    }
    srq_buf_puts(&t->out, t->fold ? "(?i:" : "(?-i:");
    whole = *t->p++ == ':';
    if (whole)
        parse_to_end(t);
    else
        parse_inside(t, in_group);
    t->fold = fold;
    t->dotall = dotall;
    return whole ? ATOM_OTHER : ATOM_NONE;
}

/* After '('. */
static enum atom parse_group(struct srq_translation *t, bool in_group)
{
    static const struct {
        const char *text;
        enum atom kind;
    } openings[] = { { "?:", ATOM_OTHER },     { "?>", ATOM_OTHER },      { "?=", ATOM_ASSERTION },
                     { "?!", ATOM_ASSERTION }, { "?<=", ATOM_ASSERTION }, { "?<!", ATOM_ASSERTION } };
    const char *name;
    size_t len;
    char last;

    if (t->p < t->end && *t->p == '*') {
        t->unsupported = "(*";
        return ATOM_OTHER;
    }
    if (t->p == t->end || *t->p != '?')
        return parse_capture(t, NULL, 0);
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
        len = strlen(openings[i].text);
        if ((size_t)(t->end - t->p) < len || memcmp(t->p, openings[i].text, len) != 0)
            continue;
        t->p += len;
        srq_buf_puts(&t->out, "(");
        srq_buf_puts(&t->out, openings[i].text);
        parse_to_end(t);
        return openings[i].kind;
    }
    t->p++;
    if (t->p == t->end || (*t->p != '<' && *t->p != '\''))
        return parse_options(t, in_group);
    last = *t->p++ == '<' ? '>' : '\'';
    name = read_name(t, last, &len);
    if (name == NULL) {
        t->unsupported = "a group's name beyond ASCII letters, digits and _";
        return ATOM_OTHER;
    }
    return parse_capture(t, name, len);
}

/* ---- repeats
 * --------------------------------------------------------------------------------------------------------- */

struct repeat {
    uint32_t least, most; /* most UINT32_MAX: no limit */
    bool fixed;           /* {n} */
};

/* At '{': reads an interval through its '}'. False, nothing read: a brace that stands for itself. */
static bool read_interval(struct srq_translation *t, struct repeat *r)
{
    const char *begin = t->p++;
    int low = read_digits(t, 10, 6, &r->least), high = 0;
    bool comma = t->p < t->end && *t->p == ',';

    r->most = r->least;
    if (comma) {
        t->p++;
        high = read_digits(t, 10, 6, &r->most);
        if (high == 0)
            r->most = UINT32_MAX;
    }
    r->fixed = !comma;
    if ((low == 0 && high == 0) || t->p == t->end || *t->p != '}') {
        t->p = begin;
        return false;
    }
    t->p++;
    return true;
}

/* One repeat after what was written from `at` on; false when there is none. `plain`: repeats before were greedy. */
static bool parse_repeat(struct srq_translation *t, size_t at, enum atom kind, int nth, bool *plain)
{
    struct repeat r = { 0, UINT32_MAX, false };
    bool interval = t->p < t->end && *t->p == '{';
    char c = t->p < t->end ? *t->p : '\0', more = '\0';

    if (c != '*' && c != '+' && c != '?' && !(interval && read_interval(t, &r)))
        return false;
    if (!interval)
        t->p++;
    if (t->p < t->end && ((*t->p == '?' && !r.fixed) || (*t->p == '+' && !interval)))
        more = *t->p++;
    if (kind == ATOM_ASSERTION || kind == ATOM_NONE)
        t->unsupported = "a repeated assertion";
    else if (nth > 0 && (!*plain || more != '\0'))
        t->unsupported = "a repeat of a lazy or possessive repeat";
    else if (r.least > r.most)
        t->unsupported = "{n,m} with n above m";
    else if (interval && t->fold && kind == ATOM_LITERAL)
        t->unsupported = "{n} of a letter under (?i)";
    *plain = more == '\0';
    if (nth > 0 && srq_buf_puts(&t->out, "(?:)")) { /* around what is there */
        memmove(t->out.data + at + 3, t->out.data + at, t->out.len - 4 - at);
        memcpy(t->out.data + at, "(?:", 3);
        t->out.data[t->out.len - 1] = ')';
    }
    if (!interval)
        srq_buf_add(&t->out, &c, 1);
    else if (r.most == UINT32_MAX)
        srq_buf_printf(&t->out, "{%u,}", r.least);
    else
        srq_buf_printf(&t->out, "{%u,%u}", r.least, r.most);
    if (more != '\0')
        srq_buf_add(&t->out, &more, 1);
    t->folded = 0;
    return true;
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------------------- */

static enum atom parse_atom(struct srq_translation *t, bool in_group)
{
    struct repeat r;
    uint32_t code;
    char c = *t->p;

    switch (c) {
    case '\\':
        t->p++;
        return parse_escape(t);
    case '[':
        t->p++;
        srq_regex_class(t);
        return ATOM_OTHER;
    case '(':
        t->p++;
        return parse_group(t, in_group);
    case '.':
        t->p++;
        return put(t, t->dotall ? "(?s:.)" : "[^\\n]", ATOM_OTHER);
    case '^':
        t->p++;
        return put(t, "^", ATOM_ASSERTION);
    case '$':
        t->p++;
        return put(t, "$", ATOM_ASSERTION);
    case '*':
    case '+':
    case '?':
        t->malformed = "a repeat of nothing";
        return ATOM_OTHER;
    case '{':
        if (read_interval(t, &r))
            t->malformed = "a repeat of nothing";
        break;
    default:
        break;
    }
    t->p += srq_utf8_next(t->p, &code);
    return put_literal(t, code);
}

/* To the end, or to the ')' of the group that the alternatives are in. */
static void parse_alternatives(struct srq_translation *t, bool in_group)
{
    while (t->p < t->end && !srq_regex_stopped(t)) {
        size_t at = t->out.len;
        bool plain = true;
        enum atom kind;

        if (*t->p == ')' && in_group)
            return;
        if (*t->p == '|') {
            t->p++;
            put(t, "|", ATOM_NONE);
            continue;
        }
        if (*t->p == ')') {
            t->malformed = "a ')' without its '('";
            return;
        }
        kind = parse_atom(t, in_group);
        for (int nth = 0; !srq_regex_stopped(t) && parse_repeat(t, at, kind, nth, &plain);)
            nth++;
    }
}

void srq_regex_translate(struct srq_translation *t)
{
    srq_buf_puts(&t->out, "");
    parse_alternatives(t, false);
    if (!srq_regex_stopped(t) && t->numbered_reference && t->name_count > 0)
        t->unsupported = "a numbered reference beside named groups";
}
