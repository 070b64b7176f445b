/* Expressions of templates to values. */
#include "core/text/template_run.h"

/* ---- names ------------------------------------------------------------------------------------------------------- */

int tpl_scope_push(struct tpl_run *r)
{
    struct tpl_scope *s = r->idle;

    if (s != NULL)
        r->idle = s->up;
    else
        s = tpl_new(r, sizeof(*s));
    if (s == NULL)
        return tpl_no_memory(r);
    s->up = r->scope;
    r->scope = s;
    return 0;
}

void tpl_scope_pop(struct tpl_run *r, struct tpl_scope *outer, uint32_t macros)
{
    struct tpl_scope *s = r->scope;

    r->scope = outer;
    if (s == outer || s->up != outer || r->macros != macros)
        return;
    while (s->first != NULL) {
        struct tpl_binding *b = s->first;

        s->first = b->next;
        b->next = r->idle_bindings;
        r->idle_bindings = b;
    }
    s->up = r->idle;
    r->idle = s;
}

static struct tpl_binding *find(struct tpl_run *r, struct tpl_scope *s, int32_t id, bool all)
{
    for (; s != NULL; s = all ? s->up : NULL) {
        for (struct tpl_binding *b = s->first; b != NULL; b = b->next, r->steps++) {
            if (b->id == id)
                return b;
        }
    }
    return NULL;
}

int tpl_bind(struct tpl_run *r, int32_t id, const struct tpl_value *v)
{
    struct tpl_binding *b = find(r, r->scope, id, false);

    if (b == NULL) {
        b = r->idle_bindings;
        if (b != NULL)
            r->idle_bindings = b->next;
        else
            b = tpl_new(r, sizeof(*b));
        if (b == NULL)
            return tpl_no_memory(r);
        b->id = id;
        b->next = r->scope->first;
        r->scope->first = b;
    }
    b->value = *v;
    return 0;
}

static int read_name(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    const struct tpl_binding *b = find(r, r->scope, n->id, true);
    const struct tpl_routine *f;

    if (b != NULL) {
        *out = b->value;
        return 0;
    }
    f = tpl_find(tpl_functions, n->value.text.p, n->value.text.len);
    if (f != NULL)
        *out = (struct tpl_value){ .kind = TPL_FUNCTION, .function = f };
    else
        *out = (struct tpl_value){ .kind = TPL_UNDEFINED,
                                   .of = TPL_NO_NAME,
                                   .text = { n->value.text.p, n->value.text.len } };
    return 0;
}

static int assign_member(struct tpl_run *r, const struct tpl_node *target, const struct tpl_value *v)
{
    const struct tpl_binding *b = find(r, r->scope, target->id, true);

    r->line = target->line;
    if (b == NULL || b->value.kind != TPL_NAMESPACE)
        return tpl_fail(r, -SRQ_EFORMAT, "cannot assign attribute on non-namespace object");
    return tpl_dict_put(r, b->value.dict, &target->value, v);
}

static int unpack(struct tpl_run *r, const struct tpl_node *target, const struct tpl_value *v)
{
    struct tpl_list *list;
    size_t want = 0, i = 0;
    int rc = tpl_collect(r, v, &list);

    for (const struct tpl_node *n = target->first; n != NULL; n = n->next)
        want++;
    r->line = target->line;
    if (rc == 0 && list->count != want)
        rc = tpl_fail(r, -SRQ_EFORMAT, "%s values to unpack (expected %zu, got %zu)",
                      list->count < want ? "not enough" : "too many", want, list->count);
    for (const struct tpl_node *n = target->first; rc == 0 && n != NULL; n = n->next)
        rc = tpl_assign(r, n, &list->items[i++]);
    return rc;
}

int tpl_assign(struct tpl_run *r, const struct tpl_node *target, const struct tpl_value *v)
{
    int rc;

    switch (target->kind) {
    case TPL_NAME:
        return tpl_bind(r, target->id, v);
    case TPL_MEMBER:
        return assign_member(r, target, v);
    default:
        rc = tpl_enter(r);
        if (rc != 0)
            return rc;
        rc = unpack(r, target, v);
        r->depth--;
        return rc;
    }
}

/* ---- lists, objects, arguments ----------------------------------------------------------------------------------- */

static int eval_all(struct tpl_run *r, const struct tpl_node *n, struct tpl_list **out)
{
    struct tpl_value v;
    int rc = tpl_list_new(r, out);

    for (; rc == 0 && n != NULL; n = n->next) {
        rc = tpl_eval(r, n, &v);
        if (rc == 0)
            rc = tpl_list_add(r, *out, &v);
    }
    return rc;
}

static int eval_dict(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value key, v;
    int rc;

    *out = (struct tpl_value){ .kind = TPL_DICT };
    rc = tpl_dict_new(r, &out->dict);
    for (const struct tpl_node *k = n->first; rc == 0 && k != NULL; k = k->next->next) {
        rc = tpl_eval(r, k, &key);
        if (rc == 0)
            rc = tpl_eval(r, k->next, &v);
        r->line = n->line;
        if (rc == 0)
            rc = tpl_dict_put(r, out->dict, &key, &v);
    }
    return rc;
}

static int eval_arguments(struct tpl_run *r, const struct tpl_node *n, struct tpl_args *args)
{
    struct tpl_list *list;
    size_t count = 0;
    int rc = 0;

    *args = (struct tpl_args){ 0 };
    if (n->first != NULL) {
        rc = eval_all(r, n->first, &list);
        if (rc != 0)
            return rc;
        args->list = list->items;
        args->count = list->count;
    }
    for (const struct tpl_node *k = n->named; k != NULL; k = k->next)
        count++;
    if (count == 0)
        return 0;
    args->named = tpl_new(r, count * sizeof(*args->named));
    if (args->named == NULL)
        return tpl_no_memory(r);
    for (const struct tpl_node *k = n->named; rc == 0 && k != NULL; k = k->next) {
        args->named[args->named_count].name = k->value;
        rc = tpl_eval(r, k->a, &args->named[args->named_count++].value);
    }
    return rc;
}

static int eval_call(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value f;
    struct tpl_args args;
    int rc = tpl_eval(r, n->a, &f);

    if (rc == 0)
        rc = eval_arguments(r, n, &args);
    r->line = n->line;
    return rc == 0 ? tpl_call_value(r, &f, &args, out) : rc;
}

/* A filter or a test. */
static int eval_routine(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value self;
    struct tpl_args args;
    int rc = tpl_eval(r, n->a, &self);

    if (rc == 0)
        rc = eval_arguments(r, n, &args);
    r->line = n->line;
    return rc == 0 ? tpl_invoke(r, n->routine, &self, &args, out) : rc;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static int eval_item(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value of, key;
    int rc = tpl_eval(r, n->a, &of);

    if (rc == 0)
        rc = tpl_eval(r, n->b, &key);
    r->line = n->line;
    return rc == 0 ? tpl_item(r, &of, &key, out) : rc;
}

static int eval_slice(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    const struct tpl_node *const parts[] = { n->b, n->c, n->d };
    struct tpl_value of, part[3];
    int rc = tpl_eval(r, n->a, &of);

    for (int i = 0; rc == 0 && i < 3; i++) {
        part[i] = tpl_none();
        if (parts[i] != NULL)
            rc = tpl_eval(r, parts[i], &part[i]);
    }
    r->line = n->line;
    return rc == 0 ? tpl_slice(r, &of, part, out) : rc;
}

static int eval_attribute(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value of;
    int rc = tpl_eval(r, n->a, &of);

    r->line = n->line;
    return rc == 0 ? tpl_attribute(r, &of, &n->value, out) : rc;
}

static int eval_binary(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value a, b;
    int rc = tpl_eval(r, n->a, &a);

    if (rc == 0)
        rc = tpl_eval(r, n->b, &b);
    r->line = n->line;
    return rc == 0 ? tpl_binary(r, n->op, &a, &b, out) : rc;
}

static int eval_sign(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    const struct tpl_value zero = tpl_int(0);
    struct tpl_value v;
    int rc = tpl_eval(r, n->a, &v);

    if (rc != 0)
        return rc;
    r->line = n->line;
    if (v.kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, &v);
    if (!tpl_is_number(&v))
        return tpl_fail(r, -SRQ_EFORMAT, "bad operand type for unary %c: '%s'", n->kind == TPL_NEGATE ? '-' : '+',
                        tpl_type_name(&v));
    if (v.kind == TPL_FLOAT)
        *out = tpl_real(n->kind == TPL_NEGATE ? -v.real : v.real);
    else
        return tpl_binary(r, n->kind == TPL_NEGATE ? '-' : '+', &zero, &v, out);
    return 0;
}

static int eval_not(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value v;
    int rc = tpl_eval(r, n->a, &v);

    *out = tpl_bool(rc == 0 && tpl_truth(&v) == 0);
    return rc;
}

static int eval_concat(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_list *parts;
    struct tpl_value text;
    int rc = eval_all(r, n->first, &parts);

    *out = tpl_text("", 0);
    r->line = n->line;
    for (size_t i = 0; rc == 0 && i < parts->count; i++) {
        rc = tpl_str(r, &parts->items[i], &text);
        if (rc == 0 && i == 0)
            *out = tpl_text(text.text.p, text.text.len);
        else if (rc == 0)
            rc = tpl_add(r, out, text.text.p, text.text.len);
    }
    return rc;
}

/* and, or: the value that decides. */
static int eval_either(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    int rc = tpl_eval(r, n->a, out);

    if (rc == 0 && (tpl_truth(out) != 0) == (n->kind == TPL_AND))
        rc = tpl_eval(r, n->b, out);
    return rc;
}

static int compare(struct tpl_run *r, char op, const struct tpl_value *a, const struct tpl_value *b)
{
    int rc;

    switch (op) {
    case TPL_OP_EQUAL:
        return tpl_equal(r, a, b);
    case TPL_OP_UNEQUAL:
        rc = tpl_equal(r, a, b);
        return rc < 0 ? rc : !rc;
    case TPL_OP_IN:
        return tpl_contains(r, b, a);
    case TPL_OP_NOT_IN:
        rc = tpl_contains(r, b, a);
        return rc < 0 ? rc : !rc;
    default:
        return tpl_order(r, op, a, b);
    }
}

static int eval_compare(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value left, right;
    int rc = tpl_eval(r, n->a, &left), yes = 1;

    for (const struct tpl_node *o = n->first; rc == 0 && yes == 1 && o != NULL; o = o->next) {
        rc = tpl_eval(r, o->a, &right);
        if (rc != 0)
            break;
        r->line = o->line;
        yes = compare(r, o->op, &left, &right);
        left = right;
    }
    *out = tpl_bool(yes == 1);
    return rc != 0 ? rc : yes < 0 ? yes : 0;
}

static int eval_condition(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    struct tpl_value v;
    int rc = tpl_eval(r, n->b, &v);

    if (rc != 0)
        return rc;
    if (tpl_truth(&v) != 0)
        return tpl_eval(r, n->a, out);
    if (n->c != NULL)
        return tpl_eval(r, n->c, out);
    *out = tpl_hint("the inline if-expression evaluated to false and no else section was defined.");
    return 0;
}

static int eval_series(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    *out = (struct tpl_value){ .kind = n->kind == TPL_MAKE_LIST ? TPL_LIST : TPL_TUPLE };
    return eval_all(r, n->first, &out->list);
}

static int eval_constant(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    (void)r;
    *out = n->value;
    return 0;
}

static int eval_captured(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    (void)n;
    *out = *r->captured;
    return 0;
}

int tpl_eval(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out)
{
    static int (*const ways[])(struct tpl_run * r, const struct tpl_node *n, struct tpl_value *out) = {
        [TPL_CONSTANT] = eval_constant, [TPL_NAME] = read_name,           [TPL_MAKE_LIST] = eval_series,
        [TPL_MAKE_TUPLE] = eval_series, [TPL_MAKE_DICT] = eval_dict,      [TPL_ATTRIBUTE] = eval_attribute,
        [TPL_ITEM] = eval_item,         [TPL_SLICE] = eval_slice,         [TPL_CALL] = eval_call,
        [TPL_FILTER] = eval_routine,    [TPL_TEST] = eval_routine,        [TPL_NOT] = eval_not,
        [TPL_NEGATE] = eval_sign,       [TPL_PLUS] = eval_sign,           [TPL_BINARY] = eval_binary,
        [TPL_CONCAT] = eval_concat,     [TPL_AND] = eval_either,          [TPL_OR] = eval_either,
        [TPL_COMPARE] = eval_compare,   [TPL_CONDITION] = eval_condition, [TPL_CAPTURED] = eval_captured,
    };
    int rc = tpl_step(r, 1);

    if (rc == 0)
        rc = tpl_enter(r);
    if (rc != 0)
        return rc;
    rc = ways[n->kind](r, n, out);
    r->depth--;
    return rc;
}
