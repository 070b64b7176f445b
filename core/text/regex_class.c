/* Classes: Oniguruma's may hold classes, negated ones too, and intersect. What one PCRE2 class can hold becomes one;
 * the rest becomes alternatives and lookaheads around single characters:
 *   [a[^b]] -> (?:[a]|[^b])    [a-z&&[^b]] -> (?:(?=[a-z])[^b])    [^a[^b]] -> (?:(?!(?:[a]|[^b]))(?s:.)) */
#include "core/text/regex_parts.h"

#include "core/base/utf8.h"

#include <string.h>

#define DEPTH_MAX 16
#define SET_MAX 256
#define CLASS_MAX ((size_t)1 << 20)

/* What stands between two '&&'. */
struct operand {
    struct srq_buf set;    /* the contents of a class */
    struct srq_buf others; /* "|expression" each */
};

enum item { ITEM_START, ITEM_CODE, ITEM_RANGE, ITEM_SET };

static void add_set(struct operand *o, const char *set, bool negated)
{
    if (!negated) {
        srq_buf_puts(&o->set, set);
        return;
    }
    srq_buf_puts(&o->others, "|[^");
    srq_buf_puts(&o->others, set);
    srq_buf_puts(&o->others, "]");
}

static void add_operand(struct srq_buf *out, const struct operand *o, bool negated)
{
    const char *set = o->set.len > 0 ? o->set.data : NULL;

    if (o->others.len == 0) {
        srq_buf_puts(out, negated ? "[^" : "[");
        srq_buf_puts(out, set != NULL ? set : "");
        srq_buf_puts(out, "]");
        return;
    }
    srq_buf_puts(out, negated ? "(?:(?!" : "(?:");
    if (set != NULL) {
        srq_buf_puts(out, "[");
        srq_buf_puts(out, set);
        srq_buf_puts(out, "]");
    }
    srq_buf_puts(out, o->others.data + (set == NULL ? 1 : 0)); /* the first without its bar */
    srq_buf_puts(out, negated ? ")(?s:.))" : ")");
}

/* A POSIX name at '[': true where it was one. */
static bool posix_item(struct srq_translation *t, struct operand *o)
{
    const char *name = t->p + 2, *at = name;
    bool negated;
    const char *set;

    if (t->end - t->p < 4 || t->p[1] != ':')
        return false;
    negated = *name == '^';
    name += negated;
    for (at = name; at < t->end && *at >= 'a' && *at <= 'z';)
        at++;
    if (t->end - at < 2 || at[0] != ':' || at[1] != ']')
        return false; /* a class that begins with a colon */
    set = srq_regex_posix(name, (size_t)(at - name));
    if (set == NULL)
        t->unsupported = "an unknown POSIX class";
    else if (t->fold)
        t->unsupported = "a POSIX class under (?i)";
    else
        add_set(o, set, negated);
    t->p = at + 2;
    return true;
}

/* After a backslash: one character, or a set that is added to `o`. */
static enum item escape_item(struct srq_translation *t, struct operand *o, uint32_t *code)
{
    char letter = t->p < t->end ? *t->p : '\0', set[SET_MAX];
    bool negated, ok;

    if (letter != '\0' && srq_regex_type(letter, true) != NULL) {
        t->p++;
        if (t->fold && (letter == 'w' || letter == 'W'))
            t->unsupported = "\\w in a class under (?i)";
        add_set(o, srq_regex_type(letter, true), letter < 'a');
        return ITEM_SET;
    }
    if ((letter == 'p' || letter == 'P') && t->end - t->p > 1 && t->p[1] == '{') {
        t->p++;
        ok = srq_regex_property(t, true, set, sizeof(set), &negated);
        if (!ok)
            t->unsupported = "an unknown property";
        else if (t->fold)
            t->unsupported = "a property under (?i)";
        else
            add_set(o, set, negated != (letter == 'P'));
        return ITEM_SET;
    }
    if (letter == 'b') {
        t->p++;
        *code = '\b';
    } else if (!srq_regex_code(t, code)) {
        srq_regex_refuse_escape(t, letter);
    }
    return ITEM_CODE;
}

/* One character of a class, or a set; a range is the caller's. */
static enum item next_item(struct srq_translation *t, struct operand *o, uint32_t *code)
{
    if (*t->p == '\\') {
        t->p++;
        return escape_item(t, o, code);
    }
    t->p += srq_utf8_next(t->p, code);
    return ITEM_CODE;
}

static void add_codes(struct srq_translation *t, struct operand *o, uint32_t first, uint32_t last)
{
    if (t->fold && last >= 0x80)
        t->unsupported = "a class beyond ASCII under (?i)";
    srq_regex_put_code(&o->set, first);
    if (last != first) {
        srq_buf_puts(&o->set, "-");
        srq_regex_put_code(&o->set, last);
    }
}

/* Reads a character and, where '-' and another follow, the range. `before` is the item that came before. */
static enum item code_item(struct srq_translation *t, struct operand *o, enum item before)
{
    bool hyphen = *t->p == '-', ranges;
    uint32_t first = 0, last = 0;
    enum item item = next_item(t, o, &first);

    if (item != ITEM_CODE)
        return item;
    ranges = t->end - t->p > 1 && t->p[0] == '-' && t->p[1] != ']' && t->p[1] != '[';
    if (hyphen &&
        (ranges || (t->p < t->end && *t->p == '[') || (before == ITEM_SET && t->p < t->end && *t->p != ']'))) {
        t->unsupported = "a range after a class";
        return item;
    }
    if (!ranges || hyphen) {
        add_codes(t, o, first, first);
        return ITEM_CODE;
    }
    t->p++;
    if (t->p[0] == '-' || (t->p[0] == '&' && t->end - t->p > 1 && t->p[1] == '&') ||
        next_item(t, o, &last) != ITEM_CODE) {
        t->unsupported = "a range that ends in no character";
        return ITEM_RANGE;
    }
    add_codes(t, o, first, last);
    return ITEM_RANGE;
}

static void read_class(struct srq_translation *t, struct srq_buf *out, struct operand *into, int depth);

static void operand_init(struct operand *o)
{
    srq_buf_init(&o->set, CLASS_MAX);
    srq_buf_init(&o->others, CLASS_MAX);
}

static bool operand_fini(struct operand *o)
{
    bool failed = o->set.failed || o->others.failed;

    srq_buf_fini(&o->set);
    srq_buf_fini(&o->others);
    return failed;
}

/* Reads to the next '&&' (true, read through it) or to the closing bracket. */
static bool read_operand(struct srq_translation *t, struct operand *o, int depth)
{
    enum item before = ITEM_START;

    while (t->p < t->end && *t->p != ']' && !srq_regex_stopped(t)) {
        if (*t->p == '[') {
            if (!posix_item(t, o)) {
                t->p++;
                srq_buf_puts(&o->others, "");
                read_class(t, &o->others, o, depth + 1);
            }
            before = ITEM_SET;
        } else if (t->end - t->p > 1 && t->p[0] == '&' && t->p[1] == '&') {
            t->p += 2;
            return true;
        } else {
            before = code_item(t, o, before);
        }
    }
    return false;
}

/* After '['. The class goes to `out` as an expression, or into the set of the class `into` that holds it. */
static void read_class(struct srq_translation *t, struct srq_buf *out, struct operand *into, int depth)
{
    bool negated = t->p < t->end && *t->p == '^', more = true, empty = false;
    struct srq_buf before; /* the operands that were read, as lookaheads */
    struct operand o;

    if (depth > DEPTH_MAX) {
        t->unsupported = "classes nested too deep";
        return;
    }
    t->p += negated;
    srq_buf_init(&before, CLASS_MAX);
    operand_init(&o);
    if (t->p < t->end && *t->p == ']') { /* a first one stands for itself */
        t->p++;
        add_codes(t, &o, ']', ']');
    }
    while (more && !srq_regex_stopped(t)) {
        more = read_operand(t, &o, depth);
        empty |= o.set.len == 0 && o.others.len == 0 && !o.set.failed && !o.others.failed;
        if (more) {
            srq_buf_puts(&before, "(?=");
            add_operand(&before, &o, false);
            srq_buf_puts(&before, ")");
            t->out.failed |= operand_fini(&o);
            operand_init(&o);
        }
    }
    if (!srq_regex_stopped(t) && (t->p == t->end || empty))
        t->malformed = empty ? "an empty class" : "a class without its end";
    if (t->fold && (before.len > 0 || o.others.len > 0))
        t->unsupported = "operations on classes under (?i)";
    t->p += t->p < t->end; /* ']' */
    if (into != NULL && !negated && before.len == 0 && o.others.len == 0) {
        srq_buf_add(&into->set, o.set.len > 0 ? o.set.data : "", o.set.len);
    } else if (before.len == 0) {
        srq_buf_puts(out, into != NULL ? "|" : "");
        add_operand(out, &o, negated);
    } else {
        srq_buf_puts(out, into != NULL ? "|" : "");
        srq_buf_puts(out, negated ? "(?:(?!" : "(?:");
        srq_buf_puts(out, before.data);
        add_operand(out, &o, false);
        srq_buf_puts(out, negated ? ")(?s:.))" : ")");
    }
    t->out.failed |= before.failed || operand_fini(&o);
    srq_buf_fini(&before);
}

void srq_regex_class(struct srq_translation *t)
{
    t->folded = 0;
    read_class(t, &t->out, NULL, 0);
}
