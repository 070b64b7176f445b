/* Filters. */
#include "core/text/template_filter.h"

#include "core/base/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* ---- of texts ---------------------------------------------------------------------------------------------------- */

/* The method of the same name, of str(value). */
static int method_of_text(struct tpl_run *r, const char *name, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_call call = *c;
    int rc = tpl_str(r, &c->self, &call.self);

    return rc == 0 ? tpl_find(tpl_methods, name, strlen(name))->run(r, &call, out) : rc;
}

static int trim(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return method_of_text(r, "strip", c, out);
}

static int upper(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return method_of_text(r, "upper", c, out);
}

static int lower(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return method_of_text(r, "lower", c, out);
}

static int capitalize(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return method_of_text(r, "capitalize", c, out);
}

static int title(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_value text;
    int rc = tpl_str(r, &c->self, &text);

    return rc == 0 ? tpl_convert(r, &text, TPL_WORDS, out) : rc;
}

static int replace(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_call call = *c;
    int rc = tpl_str(r, &c->arg[0], &call.arg[0]);

    if (rc == 0)
        rc = tpl_str(r, &c->arg[1], &call.arg[1]);
    if (call.arg[2].kind == TPL_NONE)
        call.arg[2].kind = TPL_ABSENT;
    return rc == 0 ? method_of_text(r, "replace", &call, out) : rc;
}

static int string(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return tpl_str(r, &c->self, out);
}

static int safe(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int rc = tpl_str(r, &c->self, out);

    out->safe = true;
    return rc;
}

static int tojson(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const struct tpl_value args[] = { c->self, c->arg[0], c->arg[1], c->arg[2], c->arg[3] };

    return tpl_json(r, args, out);
}

static int indent_width(struct tpl_run *r, const struct tpl_value *width, struct tpl_value *out)
{
    *out = tpl_text("    ", 4);
    if (width->kind == TPL_ABSENT)
        return 0;
    if (width->kind == TPL_TEXT) {
        *out = *width;
        return 0;
    }
    if (width->kind != TPL_INT && width->kind != TPL_BOOL)
        return tpl_fail(r, -SRQ_EFORMAT, "indent wants a number or a string, not '%s'", tpl_type_name(width));
    return tpl_binary(r, '*', &(struct tpl_value){ .kind = TPL_TEXT, .text = { " ", 1 } }, width, out);
}

static int indent(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_call call = { .self = c->self, .args = c->args };
    bool first = tpl_truth(&c->arg[1]) != 0, blank = tpl_truth(&c->arg[2]) != 0;
    struct tpl_value width, lines, newline = tpl_text("\n", 1);
    int rc = indent_width(r, &c->arg[0], &width);

    if (rc == 0)
        rc = tpl_binary(r, '+', &c->self, &newline, &call.self);
    if (rc == 0)
        rc = tpl_find(tpl_methods, "splitlines", 10)->run(r, &call, &lines);
    *out = tpl_text("", 0);
    for (size_t i = 0; rc == 0 && i < lines.list->count; i++) {
        const struct tpl_value *line = &lines.list->items[i];

        if (i > 0)
            rc = tpl_puts(r, out, "\n");
        if (rc == 0 && (i > 0 ? blank || line->text.len > 0 : first))
            rc = tpl_add(r, out, width.text.p, width.text.len);
        if (rc == 0)
            rc = tpl_add(r, out, line->text.p, line->text.len);
    }
    return rc;
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static struct tpl_value stripped(const struct tpl_value *text)
{
    const char *p = text->text.p, *end = p + text->text.len;

    while (p < end && tpl_space((unsigned char)*p))
        p++;
    while (end > p && tpl_space((unsigned char)end[-1]))
        end--;
    return tpl_text(p, (size_t)(end - p));
}

/* A text without the underscores that may stand between digits, or false where one stands elsewhere. */
static bool copy_number(const struct tpl_value *text, char *out, size_t cap)
{
    const struct tpl_value s = stripped(text);
    size_t n = 0;

    if (s.text.len == 0 || s.text.len >= cap)
        return false;
    for (size_t i = 0; i < s.text.len; i++) {
        char c = s.text.p[i];

        if (c == '_' && (i == 0 || i + 1 == s.text.len || s.text.p[i - 1] == '_' || s.text.p[i + 1] == '_'))
            return false;
        if (c == '\0' || (unsigned char)c >= 0x80)
            return false;
        if (c != '_')
            out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

static bool read_real(const struct tpl_value *text, double *out)
{
    char number[400], *end;

    if (!copy_number(text, number, sizeof(number)) || strpbrk(number, "xXpP() \t\n") != NULL)
        return false;
    *out = strtod(number, &end);
    return end > number && *end == '\0';
}

/* 1 with the number, 0: it is none, or negative. */
static int read_whole(struct tpl_run *r, const struct tpl_value *text, int64_t base, int64_t *out)
{
    char number[100], *p = number, *end;
    bool minus;

    if (!copy_number(text, number, sizeof(number)) || base < 0 || base == 1 || base > 36)
        return 0;
    minus = *p == '-';
    p += *p == '-' || *p == '+';
    if (p[0] == '0' && p[1] != '\0' && strchr("xXoObB", p[1]) != NULL) {
        int prefixed = (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : 2;

        if (base == 0 || base == prefixed) {
            base = prefixed;
            p += 2;
        }
    }
    if (*p == '-' || *p == '+' || *p == ' ' || (base == 0 && p[0] == '0' && strspn(p, "0") != strlen(p)))
        return 0;
    if (minus)
        *--p = '-';
    errno = 0;
    *out = strtoll(p, &end, base == 0 ? 10 : (int)base);
    if (end == p || end == p + minus || *end != '\0')
        return 0;
    return errno == ERANGE ? tpl_fail(r, -SRQ_ELIMIT, "a number is beyond 64 bits") : 1;
}

static int real_to_int(struct tpl_run *r, double real, const struct tpl_value *otherwise, struct tpl_value *out)
{
    *out = otherwise->kind != TPL_ABSENT ? *otherwise : tpl_int(0);
    if (isnan(real) || isinf(real))
        return 0;
    if (fabs(real) >= 9.2e18)
        return tpl_fail(r, -SRQ_ELIMIT, "a number is beyond 64 bits");
    *out = tpl_int((int64_t)real);
    return 0;
}

static int to_int(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int64_t whole, base = c->arg[1].kind == TPL_INT ? c->arg[1].number : 10;
    double real;
    int rc;

    *out = c->arg[0].kind != TPL_ABSENT ? c->arg[0] : tpl_int(0);
    switch (c->self.kind) {
    case TPL_BOOL:
    case TPL_INT:
        *out = tpl_int(tpl_as_int(&c->self));
        return 0;
    case TPL_FLOAT:
        if (isinf(c->self.real))
            return tpl_fail(r, -SRQ_EFORMAT, "cannot convert float infinity to integer");
        return real_to_int(r, c->self.real, &c->arg[0], out);
    case TPL_TEXT:
        rc = read_whole(r, &c->self, base, &whole);
        if (rc == 1)
            *out = tpl_int(whole);
        else if (rc == 0 && read_real(&c->self, &real))
            rc = real_to_int(r, real, &c->arg[0], out);
        return rc < 0 ? rc : 0;
    case TPL_UNDEFINED:
        return tpl_undefined_fail(r, &c->self);
    default:
        return 0;
    }
}

static int to_float(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    double real;

    *out = c->arg[0].kind != TPL_ABSENT ? c->arg[0] : tpl_real(0);
    if (c->self.kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, &c->self);
    if (tpl_is_number(&c->self))
        *out = tpl_real(tpl_as_real(&c->self));
    else if (c->self.kind == TPL_TEXT && read_real(&c->self, &real))
        *out = tpl_real(real);
    return 0;
}

static int want_number(struct tpl_run *r, const struct tpl_value *v, const char *who)
{
    if (v->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, v);
    return tpl_is_number(v) ? 0 : tpl_fail(r, -SRQ_EFORMAT, "%s wants a number, not '%s'", who, tpl_type_name(v));
}

static int absolute(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int rc = want_number(r, &c->self, "abs");

    if (rc != 0)
        return rc;
    if (c->self.kind == TPL_FLOAT)
        *out = tpl_real(fabs(c->self.real));
    else if (tpl_as_int(&c->self) == INT64_MIN)
        return tpl_fail(r, -SRQ_ELIMIT, "a number is beyond 64 bits");
    else
        *out = tpl_int(llabs(tpl_as_int(&c->self)));
    return 0;
}

/* Half to even, of the decimal digits that the number has. */
static int round_number(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int64_t digits = tpl_given(&c->arg[0]) && c->arg[0].kind == TPL_INT ? c->arg[0].number : 0;
    bool up, down;
    char text[400];
    int rc = want_number(r, &c->self, "round");

    if (rc != 0)
        return rc;
    up = c->arg[1].kind == TPL_TEXT && tpl_named(&c->arg[1], "ceil");
    down = c->arg[1].kind == TPL_TEXT && tpl_named(&c->arg[1], "floor");
    if (tpl_given(&c->arg[1]) && !up && !down && !(c->arg[1].kind == TPL_TEXT && tpl_named(&c->arg[1], "common")))
        return tpl_fail(r, -SRQ_EFORMAT, "method must be common, ceil or floor");
    if (digits < 0 || digits > 20)
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "rounding to %lld digits is not supported", (long long)digits);
    if (up || down) {
        double scale = pow(10, (double)digits), v = tpl_as_real(&c->self) * scale;

        *out = tpl_real((up ? ceil(v) : floor(v)) / scale);
        return 0;
    }
    *out = tpl_int(c->self.kind != TPL_FLOAT ? tpl_as_int(&c->self) : 0);
    if (c->self.kind == TPL_FLOAT) {
        snprintf(text, sizeof(text), "%.*f", (int)digits, c->self.real);
        *out = tpl_real(strtod(text, NULL));
    }
    return 0;
}

/* ---- what lists hold --------------------------------------------------------------------------------------------- */

static int length(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int64_t n = 0;
    int rc = tpl_length(r, &c->self, &n);

    *out = tpl_int(n);
    return rc;
}

static int default_value(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    bool absent = c->self.kind == TPL_UNDEFINED || (tpl_truth(&c->arg[1]) != 0 && tpl_truth(&c->self) == 0);

    *out = !absent ? c->self : c->arg[0].kind != TPL_ABSENT ? c->arg[0] : tpl_text("", 0);
    return tpl_step(r, 1);
}

static int first(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_iter it;
    int rc = tpl_iter_begin(r, &c->self, &it);

    if (rc == 0)
        rc = tpl_iter_next(r, &it, out);
    if (rc == 0)
        *out = tpl_hint("No first item, sequence was empty.");
    return rc < 0 ? rc : 0;
}

static int last(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_list *list;
    struct tpl_value text;
    int rc;

    *out = tpl_hint("No last item, sequence was empty.");
    if (c->self.kind == TPL_ITER)
        return tpl_fail(r, -SRQ_EFORMAT, "'generator' object is not reversible");
    if (c->self.kind == TPL_TEXT && c->self.text.len > 0) {
        text = tpl_int(-1);
        return tpl_item(r, &c->self, &text, out);
    }
    rc = tpl_collect(r, &c->self, &list);
    if (rc == 0 && list->count > 0)
        *out = list->items[list->count - 1];
    return rc;
}

static int to_list(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    *out = (struct tpl_value){ .kind = TPL_LIST };
    return tpl_collect(r, &c->self, &out->list);
}

static int items(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_value v;
    int rc;

    *out = (struct tpl_value){ .kind = TPL_ITER };
    rc = tpl_list_new(r, &out->list);
    if (rc == 0 && c->self.kind != TPL_DICT && c->self.kind != TPL_UNDEFINED)
        rc = tpl_fail(r, -SRQ_EFORMAT, "Can only get item pairs from a mapping.");
    for (size_t i = 0; rc == 0 && c->self.kind == TPL_DICT && i < c->self.dict->count; i++) {
        rc = tpl_pair_tuple(r, &c->self.dict->pairs[i], &v);
        if (rc == 0)
            rc = tpl_list_add(r, out->list, &v);
    }
    return rc;
}

static int reverse(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const struct tpl_value back[3] = { tpl_none(), tpl_none(), tpl_int(-1) };
    int rc;

    if (c->self.kind == TPL_TEXT)
        return tpl_slice(r, &c->self, back, out);
    *out = (struct tpl_value){ .kind = c->self.kind == TPL_ITER ? TPL_LIST : TPL_ITER };
    rc = tpl_collect(r, &c->self, &out->list);
    for (size_t i = 0, n = rc == 0 ? out->list->count : 0; i < n / 2; i++) {
        struct tpl_value v = out->list->items[i];

        out->list->items[i] = out->list->items[n - 1 - i];
        out->list->items[n - 1 - i] = v;
    }
    return rc;
}

static int join(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_value d = tpl_text("", 0), v, text;
    struct tpl_iter it;
    bool any = false;
    int rc = c->arg[0].kind != TPL_ABSENT ? tpl_str(r, &c->arg[0], &d) : 0;

    if (rc == 0)
        rc = tpl_iter_begin(r, &c->self, &it);
    *out = tpl_text("", 0);
    while (rc == 0 && (rc = tpl_iter_next(r, &it, &v)) == 1) {
        rc = tpl_follow(r, &c->arg[1], NULL, &v);
        if (rc == 0)
            rc = tpl_str(r, &v, &text);
        if (rc == 0 && any)
            rc = tpl_add(r, out, d.text.p, d.text.len);
        if (rc == 0)
            rc = tpl_add(r, out, text.text.p, text.text.len);
        any = true;
    }
    return rc;
}

/* ---- filters that are told what to do ---------------------------------------------------------------------------- */

/* The routine that argument number `at` names, with the arguments behind it. */
static int inner_routine(struct tpl_run *r, const struct tpl_call *c, size_t at, const struct tpl_routine *table,
                         const struct tpl_routine **out, struct tpl_args *args)
{
    const struct tpl_value *name = at < c->args->count ? &c->args->list[at] : NULL;
    char shown[80];

    *out = NULL;
    if (name == NULL)
        return 0;
    if (name->kind != TPL_TEXT)
        return tpl_fail(r, -SRQ_EFORMAT, "a filter or test is named by a string, not by '%s'", tpl_type_name(name));
    *out = tpl_find(table, name->text.p, name->text.len);
    if (*out == NULL)
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "filter or test \"%s\" is not supported",
                        tpl_show(name->text.p, name->text.len, shown, sizeof(shown)));
    *args = *c->args;
    args->list += at + 1;
    args->count -= at + 1;
    return 0;
}

static const struct tpl_value *named_argument(const struct tpl_call *c, const char *name)
{
    for (size_t i = 0; i < c->args->named_count; i++) {
        if (tpl_named(&c->args->named[i].name, name))
            return &c->args->named[i].value;
    }
    return NULL;
}

static int map(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const struct tpl_value *attribute = named_argument(c, "attribute"), *otherwise = named_argument(c, "default");
    const struct tpl_routine *filter = NULL;
    struct tpl_args args = { 0 };
    struct tpl_iter it;
    struct tpl_value v, item;
    int rc;

    if (c->args->count > 0) {
        rc = inner_routine(r, c, 0, tpl_filters, &filter, &args);
    } else {
        rc = attribute != NULL && c->args->named_count == 1u + (otherwise != NULL)
                 ? 0
                 : tpl_fail(r, -SRQ_EFORMAT, "map requires a filter or an attribute");
    }
    *out = (struct tpl_value){ .kind = TPL_ITER };
    if (rc == 0)
        rc = tpl_list_new(r, &out->list);
    if (rc != 0 || tpl_truth(&c->self) == 0)
        return rc;
    rc = tpl_iter_begin(r, &c->self, &it);
    while (rc == 0 && (rc = tpl_iter_next(r, &it, &item)) == 1) {
        v = item;
        rc = filter != NULL ? tpl_invoke(r, filter, &item, &args, &v) : tpl_follow(r, attribute, otherwise, &v);
        if (rc == 0)
            rc = tpl_list_add(r, out->list, &v);
    }
    return rc;
}

/* Elements of which the test says `want`, of themselves or of the attribute that the first argument names. */
static int choose(struct tpl_run *r, const struct tpl_call *c, bool of_attribute, int want, struct tpl_value *out)
{
    const struct tpl_routine *test;
    struct tpl_args args = { 0 };
    struct tpl_iter it;
    struct tpl_value item, v, yes;
    int rc = inner_routine(r, c, of_attribute, tpl_tests, &test, &args);

    *out = (struct tpl_value){ .kind = TPL_ITER };
    if (rc == 0)
        rc = tpl_list_new(r, &out->list);
    if (rc == 0 && of_attribute && c->args->count == 0)
        rc = tpl_fail(r, -SRQ_EFORMAT, "Missing parameter for attribute name");
    if (rc != 0 || tpl_truth(&c->self) == 0)
        return rc;
    rc = tpl_iter_begin(r, &c->self, &it);
    while (rc == 0 && (rc = tpl_iter_next(r, &it, &item)) == 1) {
        v = item;
        rc = of_attribute ? tpl_follow(r, &c->args->list[0], NULL, &v) : 0;
        yes = v;
        if (rc == 0 && test != NULL)
            rc = tpl_invoke(r, test, &v, &args, &yes);
        if (rc == 0 && tpl_truth(&yes) == want)
            rc = tpl_list_add(r, out->list, &item);
    }
    return rc;
}

static int keep(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return choose(r, c, false, 1, out);
}

static int leave_out(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return choose(r, c, false, 0, out);
}

static int keep_by(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return choose(r, c, true, 1, out);
}

static int leave_out_by(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return choose(r, c, true, 0, out);
}

const struct tpl_routine tpl_filters[] = {
    { "trim", "chars", 0, trim, 0 },
    { "tojson", "ensure_ascii indent separators sort_keys", 0, tojson, 0 },
    { "length", "", 0, length, 0 },
    { "count", "", 0, length, 0 },
    { "join", "d attribute", 0, join, 0 },
    { "upper", "", 0, upper, 0 },
    { "lower", "", 0, lower, 0 },
    { "title", "", 0, title, 0 },
    { "capitalize", "", 0, capitalize, 0 },
    { "first", "", 0, first, 0 },
    { "last", "", 0, last, 0 },
    { "default", "default_value boolean", 0, default_value, 0 },
    { "d", "default_value boolean", 0, default_value, 0 },
    { "list", "", 0, to_list, 0 },
    { "string", "", 0, string, 0 },
    { "int", "default base", 0, to_int, 0 },
    { "float", "default", 0, to_float, 0 },
    { "abs", "", 0, absolute, 0 },
    { "replace", "old new count", 2, replace, 0 },
    { "items", "", 0, items, 0 },
    { "dictsort", "case_sensitive by reverse", 0, tpl_dictsort, 0 },
    { "map", NULL, 0, map, 0 },
    { "select", NULL, 0, keep, 0 },
    { "reject", NULL, 0, leave_out, 0 },
    { "selectattr", NULL, 0, keep_by, 0 },
    { "rejectattr", NULL, 0, leave_out_by, 0 },
    { "unique", "case_sensitive attribute", 0, tpl_unique, 0 },
    { "sort", "reverse case_sensitive attribute", 0, tpl_sort, 0 },
    { "reverse", "", 0, reverse, 0 },
    { "indent", "width first blank", 0, indent, 0 },
    { "safe", "", 0, safe, 0 },
    { "round", "precision method", 0, round_number, 0 },
    { "min", "case_sensitive attribute", 0, tpl_minimum, 0 },
    { "max", "case_sensitive attribute", 0, tpl_maximum, 0 },
    { "sum", "attribute start", 0, tpl_sum, 0 },
    { NULL, NULL, 0, NULL, 0 },
};
