/* Attributes, elements, parts and operators of values, as Python has them. */
#include "core/text/template_parts.h"

#include "core/base/utf8.h"

#include <math.h>

/* ---- attributes and elements ------------------------------------------------------------------------------------- */

static const char *const list_changes[] = { "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove" };
static const char *const dict_changes[] = { "clear", "pop", "popitem", "setdefault", "update" };

static bool one_of(const struct tpl_value *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tpl_named(name, names[i]))
            return true;
    }
    return false;
}

bool tpl_changes(const struct tpl_value *of, const struct tpl_value *name)
{
    bool list = one_of(name, list_changes, sizeof(list_changes) / sizeof(list_changes[0]));
    bool dict = one_of(name, dict_changes, sizeof(dict_changes) / sizeof(dict_changes[0]));

    return (list && (of == NULL || of->kind == TPL_LIST)) || (dict && (of == NULL || of->kind == TPL_DICT));
}

static struct tpl_value missing(enum tpl_undefined why, const struct tpl_value *of, const struct tpl_value *name)
{
    return (struct tpl_value){
        .kind = TPL_UNDEFINED, .of = (uint8_t)why, .from = of->kind, .text = { name->text.p, name->text.len }
    };
}

static const struct tpl_routine *find_method(const struct tpl_value *of, const struct tpl_value *name)
{
    for (const struct tpl_routine *m = tpl_methods; m->name != NULL; m++) {
        if (m->kind == of->kind && tpl_named(name, m->name))
            return m;
    }
    return NULL;
}

/* What Python's getattr finds: 1, 0 for nothing, or negative. */
static int python_attribute(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value *name,
                            struct tpl_value *out)
{
    const struct tpl_routine *routine = find_method(of, name);
    struct tpl_method *method;
    int rc;

    if (tpl_changes(of, name)) {
        *out = missing(TPL_UNSAFE, of, name);
        return 1;
    }
    if (routine != NULL) {
        method = tpl_new(r, sizeof(*method));
        if (method == NULL)
            return tpl_no_memory(r);
        method->routine = routine;
        method->self = *of;
        *out = (struct tpl_value){ .kind = TPL_METHOD, .method = method };
        return 1;
    }
    if (of->kind == TPL_LOOP)
        return tpl_loop_attribute(r, of, name, out);
    if (of->kind != TPL_NAMESPACE)
        return 0;
    rc = tpl_dict_get(r, of->dict, name, out);
    if (rc == 1 && name->text.len > 0 && name->text.p[0] == '_')
        *out = missing(TPL_UNSAFE, of, name);
    return rc;
}

int tpl_attribute(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value *name, struct tpl_value *out)
{
    int rc;

    if (of->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, of);
    rc = python_attribute(r, of, name, out);
    if (rc == 0 && of->kind == TPL_DICT)
        rc = tpl_dict_get(r, of->dict, name, out);
    if (rc == 0)
        *out = missing(TPL_NO_ATTRIBUTE, of, name);
    return rc < 0 ? rc : 0;
}

/* Element number `index`, from the end where negative: 1, 0 for none, or negative. */
static int element(struct tpl_run *r, const struct tpl_value *of, int64_t index, struct tpl_value *out)
{
    int64_t count;
    uint32_t code;
    size_t at;
    int rc = tpl_length(r, of, &count);

    if (rc != 0)
        return rc;
    index += index < 0 ? count : 0;
    if (index < 0 || index >= count)
        return 0;
    if (of->kind == TPL_TEXT) {
        at = tpl_char_at(of->text.p, of->text.len, (size_t)index);
        *out = tpl_text(of->text.p + at, (size_t)srq_utf8_next(of->text.p + at, &code));
    } else if (of->kind == TPL_RANGE) {
        *out = tpl_int(of->range->start + index * of->range->step);
    } else {
        *out = of->list->items[index];
    }
    return 1;
}

static bool indexed(const struct tpl_value *v)
{
    return v->kind == TPL_TEXT || v->kind == TPL_LIST || v->kind == TPL_TUPLE || v->kind == TPL_RANGE;
}

int tpl_item(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value *key, struct tpl_value *out)
{
    struct tpl_value name = tpl_text("", 0);
    bool number = key->kind == TPL_INT || key->kind == TPL_BOOL;
    int rc = 0;

    if (of->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, of);
    if (of->kind == TPL_DICT && key->kind != TPL_LIST && key->kind != TPL_DICT)
        rc = tpl_dict_get(r, of->dict, key, out);
    else if (indexed(of) && number)
        rc = element(r, of, tpl_as_int(key), out);
    if (rc == 0 && key->kind == TPL_TEXT)
        rc = python_attribute(r, of, key, out);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (key->kind == TPL_TEXT) {
        *out = missing(TPL_NO_ATTRIBUTE, of, key);
        return 0;
    }
    if (key->kind <= TPL_FLOAT)
        rc = tpl_repr(r, key, &name);
    *out = missing(TPL_NO_ELEMENT, of, &name);
    return rc;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

struct span {
    int64_t begin, step, count;
};

/* The elements that begin:end:step means, of `count`. */
static int span_of(struct tpl_run *r, const struct tpl_value part[3], int64_t count, struct span *s)
{
    int64_t bound[2], low, high;

    for (int i = 0; i < 3; i++) {
        if (part[i].kind == TPL_UNDEFINED)
            return tpl_undefined_fail(r, &part[i]);
        if (part[i].kind != TPL_NONE && part[i].kind != TPL_INT && part[i].kind != TPL_BOOL)
            return tpl_fail(r, -SRQ_EFORMAT, "slice indices must be integers or None, not %s", tpl_type_name(&part[i]));
    }
    s->step = part[2].kind == TPL_NONE ? 1 : tpl_as_int(&part[2]);
    if (s->step == 0)
        return tpl_fail(r, -SRQ_EFORMAT, "slice step cannot be zero");
    s->step = s->step < -INT32_MAX ? -INT32_MAX : s->step > INT32_MAX ? INT32_MAX : s->step;
    low = s->step < 0 ? -1 : 0;
    high = s->step < 0 ? count - 1 : count;
    for (int i = 0; i < 2; i++) {
        int64_t v = part[i].kind != TPL_NONE ? tpl_as_int(&part[i]) : 0;

        v = v < 0 ? (v < -count ? low : v + count) : v;
        v = v < low ? low : v > high ? high : v;
        bound[i] = part[i].kind != TPL_NONE ? v : (i == 0) == (s->step > 0) ? low : high;
    }
    s->begin = bound[0];
    s->count =
        s->step > 0 ? (bound[1] - bound[0] + s->step - 1) / s->step : (bound[0] - bound[1] - s->step - 1) / -s->step;
    s->count = s->count > 0 ? s->count : 0;
    return 0;
}

static int part_of_text(struct tpl_run *r, const struct tpl_value *of, const struct span *s, struct tpl_value *out)
{
    const char *p = of->text.p;
    size_t len = of->text.len, begin, n;
    uint32_t code;
    int rc = tpl_step(r, len / 64);

    *out = tpl_text("", 0);
    if (s->count == 0)
        return rc;
    begin = tpl_char_at(p, len, (size_t)s->begin);
    if (s->step == 1) {
        *out = tpl_text(p + begin, tpl_char_at(p + begin, len - begin, (size_t)s->count));
        return rc;
    }
    for (int64_t i = 0; rc == 0 && i < s->count; i++) {
        n = (size_t)srq_utf8_next(p + begin, &code);
        rc = tpl_add(r, out, p + begin, n);
        for (int64_t k = 0; i + 1 < s->count && k < (s->step > 0 ? s->step : -s->step); k++) {
            if (s->step > 0) {
                begin += (size_t)srq_utf8_next(p + begin, &code);
            } else {
                do
                    begin--;
                while (((unsigned char)p[begin] & 0xc0) == 0x80);
            }
        }
    }
    return rc;
}

int tpl_slice(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value part[3], struct tpl_value *out)
{
    struct tpl_value v;
    struct span s = { 0 };
    int64_t count;
    int rc;

    if (of->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, of);
    if (!indexed(of))
        return tpl_fail(r, -SRQ_EFORMAT, "'%s' object has no parts to take", tpl_type_name(of));
    rc = tpl_length(r, of, &count);
    if (rc == 0)
        rc = span_of(r, part, count, &s);
    if (rc == 0 && of->kind == TPL_TEXT)
        return part_of_text(r, of, &s, out);
    if (rc == 0 && of->kind == TPL_RANGE) {
        struct tpl_range *range = tpl_new(r, sizeof(*range));

        if (range == NULL)
            return tpl_no_memory(r);
        *range = (struct tpl_range){ of->range->start + s.begin * of->range->step, of->range->step * s.step, s.count };
        *out = (struct tpl_value){ .kind = TPL_RANGE, .range = range };
        return 0;
    }
    if (rc == 0) {
        *out = (struct tpl_value){ .kind = of->kind };
        rc = tpl_list_new(r, &out->list);
    }
    for (int64_t i = 0; rc == 0 && i < s.count; i++) {
        v = of->list->items[s.begin + i * s.step];
        rc = tpl_list_add(r, out->list, &v);
    }
    return rc;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static int refuse(struct tpl_run *r, char op, const struct tpl_value *a, const struct tpl_value *b)
{
    const char *text = op == TPL_OP_FLOOR ? "//" : op == TPL_OP_POWER ? "**" : (char[]){ op, '\0' };

    if (op == '%' && a->kind == TPL_TEXT)
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "\"%%\" of strings (formatting) is not supported");
    if (a->kind == TPL_UNDEFINED || b->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, a->kind == TPL_UNDEFINED ? a : b);
    return tpl_fail(r, -SRQ_EFORMAT, "unsupported operand type(s) for %s: '%s' and '%s'", text, tpl_type_name(a),
                    tpl_type_name(b));
}

static bool escapable(const struct tpl_value *v)
{
    for (size_t i = 0; i < v->text.len; i++) {
        if (v->text.p[i] != '\0' && strchr("&<>'\"", v->text.p[i]) != NULL)
            return true;
    }
    return false;
}

static int add_texts(struct tpl_run *r, const struct tpl_value *a, const struct tpl_value *b, struct tpl_value *out)
{
    if (a->safe != b->safe && escapable(a->safe ? b : a))
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "\"+\" of what |safe made and text to be escaped is not supported");
    *out = *a;
    out->safe = a->safe || b->safe;
    return tpl_add(r, out, b->text.p, b->text.len);
}

static int repeat(struct tpl_run *r, const struct tpl_value *v, int64_t times, struct tpl_value *out)
{
    int rc = 0;

    if (v->kind == TPL_TEXT) {
        *out = tpl_text("", 0);
        for (int64_t i = 0; rc == 0 && i < times && v->text.len > 0; i++)
            rc = tpl_add(r, out, v->text.p, v->text.len);
        return rc;
    }
    *out = (struct tpl_value){ .kind = v->kind };
    rc = tpl_list_new(r, &out->list);
    for (int64_t i = 0; rc == 0 && i < times && v->list->count > 0; i++) {
        for (size_t k = 0; rc == 0 && k < v->list->count; k++)
            rc = tpl_list_add(r, out->list, &v->list->items[k]);
    }
    return rc;
}

/* + and * of what is no number. */
static int join_or_repeat(struct tpl_run *r, char op, const struct tpl_value *a, const struct tpl_value *b,
                          struct tpl_value *out)
{
    bool list = a->kind == TPL_LIST || a->kind == TPL_TUPLE;
    bool b_series = b->kind == TPL_TEXT || b->kind == TPL_LIST || b->kind == TPL_TUPLE;
    int rc;

    if (op == '+' && a->kind == TPL_TEXT && b->kind == TPL_TEXT)
        return add_texts(r, a, b, out);
    if (op == '+' && list && a->kind == b->kind) {
        rc = repeat(r, a, 1, out);
        for (size_t i = 0; rc == 0 && i < b->list->count; i++)
            rc = tpl_list_add(r, out->list, &b->list->items[i]);
        return rc;
    }
    if (op == '*' && (list || a->kind == TPL_TEXT) && (b->kind == TPL_INT || b->kind == TPL_BOOL))
        return repeat(r, a, tpl_as_int(b), out);
    if (op == '*' && b_series && (a->kind == TPL_INT || a->kind == TPL_BOOL))
        return repeat(r, b, tpl_as_int(a), out);
    if (op == '+' && a->kind == TPL_TEXT && b->kind != TPL_UNDEFINED)
        return tpl_fail(r, -SRQ_EFORMAT, "can only concatenate str (not \"%s\") to str", tpl_type_name(b));
    return refuse(r, op, a, b);
}

static int too_large(struct tpl_run *r)
{
    return tpl_fail(r, -SRQ_ELIMIT, "a number is beyond 64 bits");
}

static int power(struct tpl_run *r, int64_t base, int64_t exponent, struct tpl_value *out)
{
    int64_t v = 1;
    bool over = false;

    if (exponent < 0) {
        if (base == 0)
            return tpl_fail(r, -SRQ_EFORMAT, "0 cannot be raised to a negative power");
        *out = tpl_real(pow((double)base, (double)exponent));
        return 0;
    }
    if (base == 0 || base == 1 || base == -1) {
        *out = tpl_int(exponent == 0 ? 1 : base == -1 ? (exponent % 2 != 0 ? -1 : 1) : base);
        return 0;
    }
    for (; !over && exponent > 0; exponent--)
        over = __builtin_mul_overflow(v, base, &v);
    *out = tpl_int(v);
    return over ? too_large(r) : 0;
}

static int whole_numbers(struct tpl_run *r, char op, int64_t a, int64_t b, struct tpl_value *out)
{
    int64_t v = 0, rest;
    bool over = false;

    switch (op) {
    case '+':
        over = __builtin_add_overflow(a, b, &v);
        break;
    case '-':
        over = __builtin_sub_overflow(a, b, &v);
        break;
    case '*':
        over = __builtin_mul_overflow(a, b, &v);
        break;
    case TPL_OP_POWER:
        return power(r, a, b, out);
    default:
        if (b == 0)
            return tpl_fail(r, -SRQ_EFORMAT, "division by zero");
        if (op == '/') {
            *out = tpl_real((double)a / (double)b);
            return 0;
        }
        if (b == -1) { /* the one quotient that does not fit */
            over = op == TPL_OP_FLOOR && __builtin_sub_overflow(0, a, &v);
            break;
        }
        rest = a % b;
        v = op == '%' ? rest + (rest != 0 && (rest < 0) != (b < 0) ? b : 0)
                      : a / b - (rest != 0 && (rest < 0) != (b < 0));
        break;
    }
    *out = tpl_int(v);
    return over ? too_large(r) : 0;
}

static int real_numbers(struct tpl_run *r, char op, double a, double b, struct tpl_value *out)
{
    double v = 0, rest;

    switch (op) {
    case '+':
        v = a + b;
        break;
    case '-':
        v = a - b;
        break;
    case '*':
        v = a * b;
        break;
    case TPL_OP_POWER:
        v = pow(a, b);
        if (isinf(v) && !isinf(a) && !isinf(b))
            return tpl_fail(r, -SRQ_EFORMAT, "the result of ** is out of range");
        if (isnan(v) && !isnan(a) && !isnan(b))
            return tpl_fail(r, -SRQ_EUNSUPPORTED, "complex numbers are not supported");
        break;
    default:
        if (b == 0)
            return tpl_fail(r, -SRQ_EFORMAT, "float division by zero");
        if (op == '/') {
            v = a / b;
            break;
        }
        rest = fmod(a, b);
        v = (a - rest) / b;
        if (rest != 0 && (b < 0) != (rest < 0)) {
            rest += b;
            v -= 1;
        } else if (rest == 0) {
            rest = copysign(0, b);
        }
        if (v != 0)
            v = v - floor(v) > 0.5 ? floor(v) + 1 : floor(v);
        else
            v = copysign(0, a / b);
        v = op == '%' ? rest : v;
        break;
    }
    *out = tpl_real(v);
    return 0;
}

int tpl_binary(struct tpl_run *r, char op, const struct tpl_value *a, const struct tpl_value *b, struct tpl_value *out)
{
    if (!tpl_is_number(a) || !tpl_is_number(b))
        return join_or_repeat(r, op, a, b, out);
    if (a->kind == TPL_FLOAT || b->kind == TPL_FLOAT)
        return real_numbers(r, op, tpl_as_real(a), tpl_as_real(b), out);
    return whole_numbers(r, op, tpl_as_int(a), tpl_as_int(b), out);
}
