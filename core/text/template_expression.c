/* Expressions of templates into trees, with Jinja's precedence: from the condition down to names and literals. What is
 * called by name is looked up here, so that a template is refused before it is run. */
#include "core/text/template_read.h"

#include <stdlib.h>

static int read_unary(struct tpl_reader *r, bool filters, struct tpl_node **out);

/* `*n` becomes a node of `kind` with it as a. */
static int wrap(struct tpl_reader *r, enum tpl_node_kind kind, struct tpl_node **n)
{
    struct tpl_node *around;
    int rc = tpl_node_new(r, kind, r->token.line, &around);

    if (rc != 0)
        return rc;
    around->a = *n;
    *n = around;
    return *n != NULL ? tpl_cover(r, around, around->a) : 0;
}

/* `*n` op what `read` gives. */
static int read_right(struct tpl_reader *r, enum tpl_node_kind kind, char op,
                      int (*read)(struct tpl_reader *r, struct tpl_node **out), struct tpl_node **n)
{
    int rc = wrap(r, kind, n);

    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0) {
        (*n)->op = op;
        rc = read(r, &(*n)->b);
    }
    return rc == 0 ? tpl_cover(r, *n, (*n)->b) : rc;
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static int read_argument(struct tpl_reader *r, struct tpl_node ***list, struct tpl_node ***named, bool *any_named)
{
    struct tpl_node *n;
    int rc;

    if (tpl_at(r, '*') || tpl_at(r, TPL_OP_POWER))
        return tpl_reader_fail(r, r->token.line, -SRQ_EUNSUPPORTED, "arguments with * or ** are not supported");
    if (r->token.kind == TPL_T_NAME && r->next.kind == TPL_T_OPERATOR && r->next.op == '=') {
        rc = tpl_node_new(r, TPL_KEYWORD, r->token.line, &n);
        if (rc == 0) {
            n->value = r->token.value;
            rc = tpl_advance(r);
        }
        if (rc == 0)
            rc = tpl_advance(r);
        if (rc == 0)
            rc = tpl_read_expression(r, true, &n->a);
        if (rc == 0)
            rc = tpl_cover(r, n, n->a);
        if (rc != 0)
            return rc;
        **named = n;
        *named = &n->next;
        *any_named = true;
        return 0;
    }
    if (*any_named)
        return tpl_reader_fail(r, r->token.line, -SRQ_EFORMAT, "an argument without name follows one with it");
    rc = tpl_read_expression(r, true, &n);
    if (rc != 0)
        return rc;
    **list = n;
    *list = &n->next;
    return 0;
}

/* (…) of `n`. */
static int read_arguments(struct tpl_reader *r, struct tpl_node *n)
{
    struct tpl_node **list = &n->first, **named = &n->named;
    bool any = false, any_named = false;
    int rc = tpl_expect(r, '(');

    while (rc == 0 && !tpl_at(r, ')')) {
        if (any)
            rc = tpl_expect(r, ',');
        if (rc == 0 && tpl_at(r, ')'))
            break;
        if (rc == 0)
            rc = read_argument(r, &list, &named, &any_named);
        any = true;
    }
    for (const struct tpl_node *a = n->first; rc == 0 && a != NULL; a = a->next)
        rc = tpl_cover(r, n, a);
    for (const struct tpl_node *a = n->named; rc == 0 && a != NULL; a = a->next)
        rc = tpl_cover(r, n, a);
    return rc == 0 ? tpl_expect(r, ')') : rc;
}

/* Whether `params` ("a b c") has this name. */
static bool has_parameter(const char *params, const struct tpl_value *name)
{
    while (*params != '\0') {
        size_t n = strcspn(params, " ");

        if (tpl_same(name, params, n))
            return true;
        params += n + (params[n] == ' ');
    }
    return false;
}

/* How many arguments, and that the named ones are known. */
static int check_arguments(struct tpl_reader *r, const struct tpl_node *n, const struct tpl_routine *f,
                           const char *kind)
{
    int given = 0, named = 0, most = f->params != NULL && f->params[0] != '\0' ? 1 : 0;
    char shown[80];

    if (f->params == NULL)
        return 0;
    for (const char *p = f->params; *p != '\0'; p++)
        most += *p == ' ';
    for (const struct tpl_node *a = n->first; a != NULL; a = a->next)
        given++;
    for (const struct tpl_node *a = n->named; a != NULL; a = a->next, named++) {
        if (!has_parameter(f->params, &a->value))
            return tpl_reader_fail(r, n->line, -SRQ_EUNSUPPORTED, "%s \"%s\" with argument \"%s\" is not supported",
                                   kind, f->name, tpl_show(a->value.text.p, a->value.text.len, shown, sizeof(shown)));
    }
    if (given > most || given + named < f->required)
        return tpl_reader_fail(r, n->line, -SRQ_EUNSUPPORTED, "%s \"%s\" with %d arguments is not supported", kind,
                               f->name, given + named);
    return 0;
}

/* The routine of `table` that the argument number `which` of map, select and their like names. */
static int check_inner(struct tpl_reader *r, const struct tpl_node *n, int which, const struct tpl_routine *table,
                       const char *kind)
{
    const struct tpl_node *a = n->first;
    char shown[80];

    for (; a != NULL && which > 0; which--)
        a = a->next;
    if (a == NULL || a->kind != TPL_CONSTANT || a->value.kind != TPL_TEXT ||
        tpl_find(table, a->value.text.p, a->value.text.len) != NULL)
        return 0;
    return tpl_reader_fail(r, a->line, -SRQ_EUNSUPPORTED, "%s \"%s\" is not supported", kind,
                           tpl_show(a->value.text.p, a->value.text.len, shown, sizeof(shown)));
}

static int check_filter(struct tpl_reader *r, const struct tpl_node *n)
{
    const char *name = n->routine->name;
    int rc = check_arguments(r, n, n->routine, "filter");

    if (rc == 0 && strcmp(name, "map") == 0)
        rc = check_inner(r, n, 0, tpl_filters, "filter");
    else if (rc == 0 && (strcmp(name, "select") == 0 || strcmp(name, "reject") == 0))
        rc = check_inner(r, n, 0, tpl_tests, "test");
    else if (rc == 0 && (strcmp(name, "selectattr") == 0 || strcmp(name, "rejectattr") == 0))
        rc = check_inner(r, n, 1, tpl_tests, "test");
    return rc;
}

/* The routine that the name at hand stands for. */
static int read_routine(struct tpl_reader *r, const struct tpl_routine *table, const char *kind, struct tpl_node *n)
{
    const struct tpl_value name = r->token.value;
    char shown[80];

    if (r->token.kind != TPL_T_NAME)
        return tpl_unexpected(r, strcmp(kind, "filter") == 0 ? "the name of a filter" : "the name of a test");
    n->routine = tpl_find(table, name.text.p, name.text.len);
    if (n->routine == NULL)
        return tpl_reader_fail(r, r->token.line, -SRQ_EUNSUPPORTED, "%s \"%s\" is not supported", kind,
                               tpl_show(name.text.p, name.text.len, shown, sizeof(shown)));
    return tpl_advance(r);
}

int tpl_read_filter(struct tpl_reader *r, struct tpl_node **n)
{
    int rc = wrap(r, TPL_FILTER, n);

    if (rc == 0)
        rc = read_routine(r, tpl_filters, "filter", *n);
    if (rc == 0 && tpl_at(r, '('))
        rc = read_arguments(r, *n);
    return rc == 0 ? check_filter(r, *n) : rc;
}

int tpl_read_filters(struct tpl_reader *r, struct tpl_node **n)
{
    int rc = 0;

    while (rc == 0 && tpl_at(r, '|')) {
        rc = tpl_advance(r);
        if (rc == 0)
            rc = tpl_read_filter(r, n);
    }
    return rc;
}

/* ---- primaries --------------------------------------------------------------------------------------------------- */

static int constant(struct tpl_reader *r, const struct tpl_value *v, struct tpl_node **out)
{
    int rc = tpl_node_new(r, TPL_CONSTANT, r->token.line, out);

    if (rc != 0)
        return rc;
    (*out)->value = *v;
    return tpl_advance(r);
}

static int read_name(struct tpl_reader *r, unsigned how, struct tpl_node **out)
{
    static const struct {
        const char *name;
        uint8_t kind;
        bool flag;
    } words[] = { { "true", TPL_BOOL, true },   { "True", TPL_BOOL, true },  { "false", TPL_BOOL, false },
                  { "False", TPL_BOOL, false }, { "none", TPL_NONE, false }, { "None", TPL_NONE, false } };
    static const char *const of_macros[] = { "caller", "varargs", "kwargs" };
    int rc;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct tpl_value v = { .kind = words[i].kind, .flag = words[i].flag };

        if (tpl_at_name(r, words[i].name))
            return constant(r, &v, out);
    }
    rc = tpl_node_new(r, TPL_NAME, r->token.line, out);
    if (rc == 0)
        rc = tpl_intern(r, &r->token.value, &(*out)->id);
    if (rc != 0)
        return rc;
    (*out)->value = r->token.value;
    for (size_t i = 0; i < sizeof(of_macros) / sizeof(of_macros[0]) && r->macros > 0; i++) {
        if (tpl_at_name(r, of_macros[i]) && !r->names[(*out)->id].assigned)
            return tpl_reader_fail(r, r->token.line, -SRQ_EUNSUPPORTED, "\"%s\" of macros is not supported",
                                   of_macros[i]);
    }
    rc = tpl_advance(r);
    if (rc != 0 || (how & TPL_MEMBERS) == 0 || !tpl_at(r, '.'))
        return rc;
    rc = tpl_advance(r);
    if (rc == 0 && r->token.kind != TPL_T_NAME)
        rc = tpl_unexpected(r, "a name");
    if (rc != 0)
        return rc;
    (*out)->kind = TPL_MEMBER;
    (*out)->value = r->token.value;
    return tpl_advance(r);
}

/* Strings that stand side by side are one. */
static int read_strings(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = constant(r, &r->token.value, out);

    while (rc == 0 && r->token.kind == TPL_T_TEXT) {
        struct tpl_value *v = &(*out)->value;
        size_t n = v->text.len, more = r->token.value.text.len;
        char *text = tpl_arena_get(r->arena, n + more + 1);

        if (text == NULL)
            return tpl_reader_no_memory(r);
        memcpy(text, v->text.p, n);
        memcpy(text + n, r->token.value.text.p, more);
        *v = tpl_text(text, n + more);
        rc = tpl_advance(r);
    }
    return rc;
}

/* […] and {…}. */
static int read_elements(struct tpl_reader *r, bool dict, struct tpl_node **out)
{
    char end = dict ? '}' : ']';
    int rc = tpl_node_new(r, dict ? TPL_MAKE_DICT : TPL_MAKE_LIST, r->token.line, out);
    struct tpl_node **at = rc == 0 ? &(*out)->first : NULL;

    if (rc == 0)
        rc = tpl_advance(r);
    while (rc == 0 && !tpl_at(r, end)) {
        if (at != &(*out)->first)
            rc = tpl_expect(r, ',');
        if (rc == 0 && tpl_at(r, end))
            break;
        for (int i = 0; rc == 0 && i < 1 + dict; i++) {
            if (i > 0)
                rc = tpl_expect(r, ':');
            if (rc == 0)
                rc = tpl_read_expression(r, true, at);
            if (rc == 0)
                rc = tpl_cover(r, *out, *at);
            if (rc == 0)
                at = &(*at)->next;
        }
    }
    return rc == 0 ? tpl_advance(r) : rc;
}

static int read_primary(struct tpl_reader *r, unsigned how, struct tpl_node **out)
{
    int rc;

    switch (r->token.kind) {
    case TPL_T_NAME:
        return read_name(r, how, out);
    case TPL_T_TEXT:
        return read_strings(r, out);
    case TPL_T_INT:
    case TPL_T_FLOAT:
        return constant(r, &r->token.value, out);
    default:
        break;
    }
    if (tpl_at(r, '[') || tpl_at(r, '{'))
        return read_elements(r, tpl_at(r, '{'), out);
    if (!tpl_at(r, '('))
        return tpl_unexpected(r, "an expression");
    rc = tpl_advance(r);
    if (rc == 0)
        rc = tpl_read_tuple(r, TPL_PARENTHESES, out);
    return rc == 0 ? tpl_expect(r, ')') : rc;
}

/* ---- what follows a primary -------------------------------------------------------------------------------------- */

static int read_attribute(struct tpl_reader *r, struct tpl_node **n)
{
    int rc = tpl_advance(r);

    if (rc == 0 && r->token.kind != TPL_T_NAME && r->token.kind != TPL_T_INT)
        rc = tpl_unexpected(r, "a name or a number");
    if (rc == 0)
        rc = wrap(r, r->token.kind == TPL_T_NAME ? TPL_ATTRIBUTE : TPL_ITEM, n);
    if (rc != 0)
        return rc;
    if ((*n)->kind == TPL_ITEM)
        return constant(r, &r->token.value, &(*n)->b);
    (*n)->value = r->token.value;
    return tpl_advance(r);
}

static bool at_part_end(const struct tpl_reader *r)
{
    return tpl_at(r, ':') || tpl_at(r, ']') || tpl_at(r, ',');
}

static int read_subscript(struct tpl_reader *r, struct tpl_node **n)
{
    struct tpl_node *item, **part;
    bool colon = false;
    int rc = wrap(r, TPL_ITEM, n);

    item = *n;
    if (rc == 0)
        rc = tpl_advance(r);
    for (int i = 0; rc == 0 && i < 3; i++) {
        part = i == 0 ? &item->b : i == 1 ? &item->c : &item->d;
        if (!at_part_end(r))
            rc = tpl_read_expression(r, true, part);
        if (rc == 0)
            rc = tpl_cover(r, item, *part);
        if (rc == 0)
            rc = tpl_skip_if(r, ':', &colon);
        if (rc == 0 && !colon)
            break;
        item->kind = TPL_SLICE;
    }
    if (rc == 0 && item->kind == TPL_ITEM && item->b == NULL)
        rc = tpl_unexpected(r, "an expression");
    if (rc == 0 && tpl_at(r, ','))
        rc = tpl_reader_fail(r, r->token.line, -SRQ_EUNSUPPORTED, "a subscript of several parts is not supported");
    return rc == 0 ? tpl_expect(r, ']') : rc;
}

/* Methods of values by their names; what changes a value is not safe in a template. */
static int check_method(struct tpl_reader *r, const struct tpl_node *call)
{
    const struct tpl_node *f = call->a;
    const char *p = f->value.text.p;
    size_t len = f->value.text.len;
    char shown[80];

    if (tpl_find(tpl_methods, p, len) != NULL || tpl_same(&f->value, "cycle", 5) || tpl_same(&f->value, "changed", 7))
        return 0;
    return tpl_reader_fail(r, call->line, -SRQ_EUNSUPPORTED, "method \"%s\" is not supported%s",
                           tpl_show(p, len, shown, sizeof(shown)),
                           tpl_changes(NULL, &f->value) ? ": a template may not change lists and objects" : "");
}

static int read_call(struct tpl_reader *r, struct tpl_node **n)
{
    int rc = wrap(r, TPL_CALL, n);

    if (rc == 0)
        rc = read_arguments(r, *n);
    if (rc == 0 && (*n)->a->kind == TPL_ATTRIBUTE)
        rc = check_method(r, *n);
    if (rc == 0 && (*n)->a->kind == TPL_NAME) {
        (*n)->d = r->calls;
        r->calls = *n;
    }
    return rc;
}

static int read_postfix(struct tpl_reader *r, struct tpl_node **n)
{
    int rc = 0;

    while (rc == 0) {
        if (tpl_at(r, '.'))
            rc = read_attribute(r, n);
        else if (tpl_at(r, '['))
            rc = read_subscript(r, n);
        else if (tpl_at(r, '('))
            rc = read_call(r, n);
        else
            break;
    }
    return rc;
}

/* An argument without parentheses follows. */
static bool at_test_argument(const struct tpl_reader *r)
{
    switch (r->token.kind) {
    case TPL_T_NAME:
        return !tpl_at_name(r, "else") && !tpl_at_name(r, "or") && !tpl_at_name(r, "and");
    case TPL_T_TEXT:
    case TPL_T_INT:
    case TPL_T_FLOAT:
        return true;
    default:
        return tpl_at(r, '[') || tpl_at(r, '{');
    }
}

static int read_test(struct tpl_reader *r, struct tpl_node **n)
{
    bool negated = false;
    struct tpl_node *test;
    int rc = wrap(r, TPL_TEST, n);

    test = *n;
    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = tpl_skip_if_name(r, "not", &negated);
    if (rc == 0)
        rc = read_routine(r, tpl_tests, "test", test);
    if (rc == 0 && tpl_at(r, '(')) {
        rc = read_arguments(r, test);
    } else if (rc == 0 && at_test_argument(r)) {
        if (tpl_at_name(r, "is"))
            return tpl_unexpected(r, "something that is not a second test");
        rc = read_primary(r, 0, &test->first);
        if (rc == 0)
            rc = read_postfix(r, &test->first);
        if (rc == 0)
            rc = tpl_cover(r, test, test->first);
    }
    if (rc == 0)
        rc = check_arguments(r, test, test->routine, "test");
    return rc == 0 && negated ? wrap(r, TPL_NOT, n) : rc;
}

static int read_filters_and_tests(struct tpl_reader *r, struct tpl_node **n)
{
    int rc = 0;

    while (rc == 0) {
        if (tpl_at(r, '|'))
            rc = tpl_read_filters(r, n);
        else if (tpl_at_name(r, "is"))
            rc = read_test(r, n);
        else if (tpl_at(r, '('))
            rc = read_call(r, n);
        else
            break;
    }
    return rc;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static int read_signed(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = tpl_node_new(r, tpl_at(r, '-') ? TPL_NEGATE : TPL_PLUS, r->token.line, out);

    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = read_unary(r, false, &(*out)->a);
    return rc == 0 ? tpl_cover(r, *out, (*out)->a) : rc;
}

static int read_unary(struct tpl_reader *r, bool filters, struct tpl_node **out)
{
    int rc = tpl_nest(r);

    if (rc == 0)
        rc = tpl_at(r, '-') || tpl_at(r, '+') ? read_signed(r, out) : read_primary(r, 0, out);
    if (rc == 0)
        rc = read_postfix(r, out);
    if (rc == 0 && filters)
        rc = read_filters_and_tests(r, out);
    r->nesting--;
    return rc;
}

static int read_unary_filtered(struct tpl_reader *r, struct tpl_node **out)
{
    return read_unary(r, true, out);
}

static int read_power(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = read_unary(r, true, out);

    while (rc == 0 && tpl_at(r, TPL_OP_POWER))
        rc = read_right(r, TPL_BINARY, TPL_OP_POWER, read_unary_filtered, out);
    return rc;
}

static int read_product(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = read_power(r, out);

    while (rc == 0 && (tpl_at(r, '*') || tpl_at(r, '/') || tpl_at(r, TPL_OP_FLOOR) || tpl_at(r, '%')))
        rc = read_right(r, TPL_BINARY, r->token.op, read_power, out);
    return rc;
}

static int read_concat(struct tpl_reader *r, struct tpl_node **out)
{
    struct tpl_node *first, **at;
    int rc = read_product(r, &first);

    *out = first;
    if (rc != 0 || !tpl_at(r, '~'))
        return rc;
    rc = tpl_node_new(r, TPL_CONCAT, first->line, out);
    if (rc != 0)
        return rc;
    (*out)->first = first;
    rc = tpl_cover(r, *out, first);
    for (at = &first->next; rc == 0 && tpl_at(r, '~'); at = &(*at)->next) {
        rc = tpl_advance(r);
        if (rc == 0)
            rc = read_product(r, at);
        if (rc == 0)
            rc = tpl_cover(r, *out, *at);
        if (rc != 0)
            break;
    }
    return rc;
}

static int read_sum(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = read_concat(r, out);

    while (rc == 0 && (tpl_at(r, '+') || tpl_at(r, '-')))
        rc = read_right(r, TPL_BINARY, r->token.op, read_concat, out);
    return rc;
}

/* The comparison at hand, read; 0: none. */
static int read_comparison(struct tpl_reader *r, char *op)
{
    bool inverted = tpl_at_name(r, "not") && r->next.kind == TPL_T_NAME && tpl_named(&r->next.value, "in");
    int rc = 0;

    *op = 0;
    if (r->token.kind == TPL_T_OPERATOR && r->token.op != '\0' && strchr("ENGL<>", r->token.op) != NULL)
        *op = r->token.op;
    else if (inverted || tpl_at_name(r, "in"))
        *op = inverted ? TPL_OP_NOT_IN : TPL_OP_IN;
    if (inverted)
        rc = tpl_advance(r);
    return rc == 0 && *op != 0 ? tpl_advance(r) : rc;
}

static int read_compare(struct tpl_reader *r, struct tpl_node **out)
{
    struct tpl_node **at = NULL, *operand;
    char op = 0;
    int rc = read_sum(r, out);

    while (rc == 0) {
        uint32_t line = r->token.line;

        rc = read_comparison(r, &op);
        if (rc != 0 || op == 0)
            break;
        if (at == NULL) {
            rc = wrap(r, TPL_COMPARE, out);
            at = &(*out)->first;
        }
        if (rc == 0)
            rc = tpl_node_new(r, TPL_OPERAND, line, &operand);
        if (rc != 0)
            break;
        operand->op = op;
        *at = operand;
        at = &operand->next;
        rc = read_sum(r, &operand->a);
        if (rc == 0)
            rc = tpl_cover(r, *out, operand->a);
    }
    return rc;
}

static int read_not(struct tpl_reader *r, struct tpl_node **out)
{
    int rc;

    if (!tpl_at_name(r, "not"))
        return read_compare(r, out);
    rc = tpl_nest(r);
    if (rc == 0)
        rc = tpl_node_new(r, TPL_NOT, r->token.line, out);
    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = read_not(r, &(*out)->a);
    if (rc == 0)
        rc = tpl_cover(r, *out, (*out)->a);
    r->nesting--;
    return rc;
}

static int read_and(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = read_not(r, out);

    while (rc == 0 && tpl_at_name(r, "and"))
        rc = read_right(r, TPL_AND, 0, read_not, out);
    return rc;
}

static int read_or(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = read_and(r, out);

    while (rc == 0 && tpl_at_name(r, "or"))
        rc = read_right(r, TPL_OR, 0, read_and, out);
    return rc;
}

/* a if b else c, to the right of which another one may stand. */
static int read_condition(struct tpl_reader *r, struct tpl_node **out)
{
    bool more;
    int rc = read_or(r, out);

    while (rc == 0 && tpl_at_name(r, "if")) {
        rc = read_right(r, TPL_CONDITION, 0, read_or, out);
        if (rc == 0)
            rc = tpl_skip_if_name(r, "else", &more);
        if (rc == 0 && more) {
            rc = tpl_read_expression(r, true, &(*out)->c);
            if (rc == 0)
                rc = tpl_cover(r, *out, (*out)->c);
        }
    }
    return rc;
}

int tpl_read_expression(struct tpl_reader *r, bool conditions, struct tpl_node **out)
{
    int rc = tpl_nest(r);

    *out = NULL;
    if (rc == 0)
        rc = conditions ? read_condition(r, out) : read_or(r, out);
    r->nesting--;
    return rc;
}

static bool at_tuple_end(const struct tpl_reader *r, unsigned how)
{
    if (r->token.kind == TPL_T_VARIABLE_END || r->token.kind == TPL_T_BLOCK_END || tpl_at(r, ')'))
        return true;
    return (how & TPL_NO_CONDITION) != 0 && tpl_at_name(r, "recursive");
}

static int read_element(struct tpl_reader *r, unsigned how, struct tpl_node **out)
{
    int rc;

    if ((how & TPL_TARGET) == 0)
        return tpl_read_expression(r, (how & TPL_NO_CONDITION) == 0, out);
    rc = tpl_nest(r);
    if (rc == 0)
        rc = read_primary(r, how, out);
    r->nesting--;
    return rc;
}

int tpl_read_tuple(struct tpl_reader *r, unsigned how, struct tpl_node **out)
{
    struct tpl_node *tuple, **at;
    bool comma = false;
    int rc = tpl_node_new(r, TPL_MAKE_TUPLE, r->token.line, &tuple);

    if (rc != 0)
        return rc;
    for (at = &tuple->first; !at_tuple_end(r, how);) {
        rc = read_element(r, how, at);
        if (rc == 0)
            rc = tpl_cover(r, tuple, *at);
        if (rc != 0)
            break;
        at = &(*at)->next;
        if (!tpl_at(r, ','))
            break;
        comma = true;
        rc = tpl_advance(r);
        if (rc != 0)
            break;
    }
    if (rc != 0)
        return rc;
    if (tuple->first == NULL && (how & TPL_PARENTHESES) == 0)
        return tpl_unexpected(r, "an expression");
    *out = tuple->first != NULL && !comma ? tuple->first : tuple;
    return 0;
}

/* ---- targets ----------------------------------------------------------------------------------------------------- */

static int check_target(struct tpl_reader *r, const struct tpl_node *n)
{
    int rc = 0;

    switch (n->kind) {
    case TPL_NAME:
        if (tpl_named(&n->value, "loop"))
            return tpl_reader_fail(r, n->line, -SRQ_EUNSUPPORTED, "\"loop\" cannot be assigned to");
        r->names[n->id].assigned = true;
        return 0;
    case TPL_MEMBER:
        return n->value.text.p[0] != '_' ? 0
                                         : tpl_reader_fail(r, n->line, -SRQ_EUNSUPPORTED,
                                                           "members whose names begin with \"_\" are not supported");
    case TPL_MAKE_TUPLE:
        for (const struct tpl_node *e = n->first; rc == 0 && e != NULL; e = e->next)
            rc = check_target(r, e);
        return rc;
    default:
        return tpl_reader_fail(r, n->line, -SRQ_EFORMAT, "what stands here cannot be assigned to");
    }
}

int tpl_read_target(struct tpl_reader *r, bool members, struct tpl_node **out)
{
    int rc = tpl_read_tuple(r, TPL_TARGET | (members ? TPL_MEMBERS : 0u), out);

    return rc == 0 ? check_target(r, *out) : rc;
}
