/* Values of templates, as Python has them: what is true, equal, less, inside, and how they are gone through. */
#include "core/text/template_parts.h"

#include "core/base/utf8.h"

#include <math.h>
#include <stdarg.h>

/* ---- the run ----------------------------------------------------------------------------------------------------- */

int tpl_fail(struct tpl_run *r, int code, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return srq_fail_field(r->err, code, r->t->what, "%.300s, line %u: %s", r->t->what, r->line, text);
}

int tpl_no_memory(struct tpl_run *r)
{
    if (r->cells.full || r->text.full)
        return tpl_fail(r, -SRQ_ELIMIT, "the template needs more than %zu MiB of memory for one row",
                        (r->cells.max + r->text.max) >> 20);
    return srq_fail_field(r->err, -SRQ_ENOMEM, r->t->what, "out of memory running %.300s", r->t->what);
}

int tpl_step(struct tpl_run *r, size_t cost)
{
    r->steps += cost;
    return r->steps <= r->steps_max ? 0
                                    : tpl_fail(r, -SRQ_ELIMIT, "the template takes more than %llu steps for one row",
                                               (unsigned long long)r->steps_max);
}

int tpl_enter(struct tpl_run *r)
{
    if (r->depth >= TPL_DEPTH_MAX)
        return tpl_fail(r, -SRQ_ELIMIT, "values or calls nested deeper than %d", TPL_DEPTH_MAX);
    r->depth++;
    return 0;
}

void *tpl_new(struct tpl_run *r, size_t size)
{
    void *p = tpl_arena_get(&r->cells, size);

    if (p == NULL) {
        tpl_no_memory(r);
        return NULL;
    }
    return memset(p, 0, size);
}

struct tpl_value tpl_hint(const char *hint)
{
    return (struct tpl_value){ .kind = TPL_UNDEFINED, .of = TPL_HINT, .text = { hint, strlen(hint) } };
}

int tpl_undefined_fail(struct tpl_run *r, const struct tpl_value *v)
{
    char shown[200];
    struct tpl_value of = { .kind = v->from };
    const char *type = tpl_type_name(&of), *name = tpl_show(v->text.p, v->text.len, shown, sizeof(shown));

    switch (v->of) {
    case TPL_NO_NAME:
        return tpl_fail(r, -SRQ_EFORMAT, "'%s' is undefined", name);
    case TPL_NO_ATTRIBUTE:
        return tpl_fail(r, -SRQ_EFORMAT, "'%s object' has no attribute '%s'", type, name);
    case TPL_NO_ELEMENT:
        return tpl_fail(r, -SRQ_EFORMAT, "%s object has no element %s", type, name);
    case TPL_NO_PARAMETER:
        return tpl_fail(r, -SRQ_EFORMAT, "parameter '%s' was not provided", name);
    case TPL_UNSAFE:
        return tpl_fail(r, -SRQ_EFORMAT, "access to attribute '%s' of '%s' object is unsafe", name, type);
    default:
        return tpl_fail(r, -SRQ_EFORMAT, "%s", name);
    }
}

const char *tpl_type_name(const struct tpl_value *v)
{
    static const char *const names[] = { "",          "Undefined", "NoneType", "bool",     "int",    "float",
                                         "str",       "list",      "tuple",    "dict",     "range",  "dict_items",
                                         "generator", "Namespace", "Macro",    "function", "method", "LoopContext" };
    static const char *const views[] = { "dict_keys", "dict_values", "dict_items" };

    return v->kind == TPL_VIEW ? views[v->of] : names[v->kind];
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

int tpl_list_new(struct tpl_run *r, struct tpl_list **out)
{
    *out = tpl_new(r, sizeof(**out));
    return *out != NULL ? 0 : tpl_no_memory(r);
}

int tpl_list_add(struct tpl_run *r, struct tpl_list *list, const struct tpl_value *v)
{
    if (list->count == list->cap) {
        size_t cap = list->cap > 0 ? list->cap * 2 : 4;
        struct tpl_value *items = tpl_arena_get(&r->cells, cap * sizeof(*items));

        if (items == NULL)
            return tpl_no_memory(r);
        if (list->count > 0)
            memcpy(items, list->items, list->count * sizeof(*items));
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = *v;
    return tpl_step(r, 1);
}

int tpl_dict_new(struct tpl_run *r, struct tpl_dict **out)
{
    *out = tpl_new(r, sizeof(**out));
    return *out != NULL ? 0 : tpl_no_memory(r);
}

static int append(struct tpl_run *r, struct tpl_dict *d, const struct tpl_value *key, const struct tpl_value *v)
{
    if (d->count == d->cap) {
        size_t cap = d->cap > 0 ? d->cap * 2 : 4;
        struct tpl_pair *pairs = tpl_arena_get(&r->cells, cap * sizeof(*pairs));

        if (pairs == NULL)
            return tpl_no_memory(r);
        if (d->count > 0)
            memcpy(pairs, d->pairs, d->count * sizeof(*pairs));
        d->pairs = pairs;
        d->cap = cap;
    }
    d->pairs[d->count++] = (struct tpl_pair){ *key, *v };
    return tpl_step(r, 1);
}

static bool hashable(const struct tpl_value *v)
{
    if (v->kind == TPL_TUPLE) {
        for (size_t i = 0; i < v->list->count; i++) {
            if (v->list->items[i].kind == TPL_TUPLE || !hashable(&v->list->items[i]))
                return false;
        }
        return true;
    }
    return v->kind != TPL_LIST && v->kind != TPL_DICT && v->kind != TPL_VIEW;
}

/* The place of a key: 1, 0 where there is none, or negative. */
static int find(struct tpl_run *r, const struct tpl_dict *d, const struct tpl_value *key, size_t *at)
{
    int rc;

    if (!hashable(key))
        return tpl_fail(r, -SRQ_EFORMAT, "unhashable type: '%s'", tpl_type_name(key));
    rc = tpl_step(r, d->count / 8);
    for (*at = 0; rc == 0 && *at < d->count; ++*at) {
        const struct tpl_value *k = &d->pairs[*at].key;

        if (k->kind == TPL_TEXT && key->kind == TPL_TEXT)
            rc = tpl_same(k, key->text.p, key->text.len);
        else if (k->kind != TPL_TEXT && key->kind != TPL_TEXT)
            rc = tpl_equal(r, k, key);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int tpl_dict_put(struct tpl_run *r, struct tpl_dict *d, const struct tpl_value *key, const struct tpl_value *v)
{
    size_t at;
    int rc = find(r, d, key, &at);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return append(r, d, key, v);
    d->pairs[at].value = *v;
    return 0;
}

int tpl_dict_get(struct tpl_run *r, const struct tpl_dict *d, const struct tpl_value *key, struct tpl_value *out)
{
    size_t at;
    int rc = find(r, d, key, &at);

    if (rc == 1)
        *out = d->pairs[at].value;
    return rc;
}

int tpl_pair_tuple(struct tpl_run *r, const struct tpl_pair *p, struct tpl_value *out)
{
    struct tpl_list *list;
    int rc = tpl_list_new(r, &list);

    if (rc == 0)
        rc = tpl_list_add(r, list, &p->key);
    if (rc == 0)
        rc = tpl_list_add(r, list, &p->value);
    *out = (struct tpl_value){ .kind = TPL_TUPLE, .list = list };
    return rc;
}

static int list_from_json(struct tpl_run *r, const json_t *json, struct tpl_value *out)
{
    struct tpl_value v;
    int rc = tpl_list_new(r, &out->list);

    out->kind = TPL_LIST;
    for (size_t i = 0; rc == 0 && i < json_array_size(json); i++) {
        rc = tpl_from_json(r, json_array_get(json, i), &v);
        if (rc == 0)
            rc = tpl_list_add(r, out->list, &v);
    }
    return rc;
}

static int dict_from_json(struct tpl_run *r, const json_t *json, struct tpl_value *out)
{
    int rc = tpl_dict_new(r, &out->dict);
    const char *name;
    json_t *member;

    out->kind = TPL_DICT;
    json_object_foreach((json_t *)json, name, member)
    {
        struct tpl_value key = tpl_text(name, strlen(name)), v;

        if (rc == 0)
            rc = tpl_from_json(r, member, &v);
        if (rc == 0)
            rc = append(r, out->dict, &key, &v); /* no key comes twice */
        if (rc != 0)
            break;
    }
    return rc;
}

int tpl_from_json(struct tpl_run *r, const json_t *json, struct tpl_value *out)
{
    int rc = 0;

    *out = tpl_none();
    switch (json != NULL ? json_typeof(json) : JSON_NULL) {
    case JSON_TRUE:
    case JSON_FALSE:
        *out = tpl_bool(json_is_true(json));
        return 0;
    case JSON_INTEGER:
        *out = tpl_int(json_integer_value(json));
        return 0;
    case JSON_REAL:
        *out = tpl_real(json_real_value(json));
        return 0;
    case JSON_STRING:
        *out = tpl_text(json_string_value(json), json_string_length(json));
        return 0;
    case JSON_NULL:
        return 0;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    rc = tpl_enter(r);
    if (rc != 0)
        return rc;
    rc = json_is_array(json) ? list_from_json(r, json, out) : dict_from_json(r, json, out);
    r->depth--;
    return rc;
}

/* ---- numbers, truth, equality ------------------------------------------------------------------------------------ */

bool tpl_is_number(const struct tpl_value *v)
{
    return v->kind == TPL_BOOL || v->kind == TPL_INT || v->kind == TPL_FLOAT;
}

int64_t tpl_as_int(const struct tpl_value *v)
{
    return v->kind == TPL_BOOL ? v->flag : v->number;
}

double tpl_as_real(const struct tpl_value *v)
{
    return v->kind == TPL_FLOAT ? v->real : (double)tpl_as_int(v);
}

int tpl_truth(const struct tpl_value *v)
{
    switch (v->kind) {
    case TPL_ABSENT:
    case TPL_UNDEFINED:
    case TPL_NONE:
        return 0;
    case TPL_BOOL:
    case TPL_INT:
        return tpl_as_int(v) != 0;
    case TPL_FLOAT:
        return v->real != 0;
    case TPL_TEXT:
        return v->text.len > 0;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_VIEW:
        return v->list->count > 0;
    case TPL_DICT:
        return v->dict->count > 0;
    case TPL_RANGE:
        return v->range->count > 0;
    default:
        return 1;
    }
}

static int equal_lists(struct tpl_run *r, const struct tpl_list *a, const struct tpl_list *b)
{
    int rc = 1;

    if (a->count != b->count)
        return 0;
    for (size_t i = 0; rc == 1 && i < a->count; i++)
        rc = tpl_equal(r, &a->items[i], &b->items[i]);
    return rc;
}

static int equal_dicts(struct tpl_run *r, const struct tpl_dict *a, const struct tpl_dict *b)
{
    struct tpl_value other;
    int rc = 1;

    if (a->count != b->count)
        return 0;
    for (size_t i = 0; rc == 1 && i < a->count; i++) {
        rc = tpl_dict_get(r, b, &a->pairs[i].key, &other);
        if (rc == 1)
            rc = tpl_equal(r, &a->pairs[i].value, &other);
    }
    return rc;
}

static int equal_inside(struct tpl_run *r, const struct tpl_value *a, const struct tpl_value *b)
{
    int rc = tpl_enter(r);

    if (rc != 0)
        return rc;
    rc = a->kind == TPL_DICT ? equal_dicts(r, a->dict, b->dict) : equal_lists(r, a->list, b->list);
    r->depth--;
    return rc;
}

int tpl_equal(struct tpl_run *r, const struct tpl_value *a, const struct tpl_value *b)
{
    int rc = tpl_step(r, 1);

    if (rc != 0)
        return rc;
    if (tpl_is_number(a) && tpl_is_number(b))
        return a->kind == TPL_FLOAT || b->kind == TPL_FLOAT ? tpl_as_real(a) == tpl_as_real(b)
                                                            : tpl_as_int(a) == tpl_as_int(b);
    if (a->kind != b->kind)
        return 0;
    switch (a->kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        return 1;
    case TPL_TEXT:
        rc = a->text.len == b->text.len ? tpl_step(r, a->text.len / 64) : 0;
        return rc != 0 ? rc : tpl_same(a, b->text.p, b->text.len);
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_DICT:
        return equal_inside(r, a, b);
    case TPL_RANGE:
        return a->range->count == b->range->count &&
               (a->range->count == 0 ||
                (a->range->start == b->range->start && (a->range->count == 1 || a->range->step == b->range->step)));
    case TPL_VIEW:
        return a->of == b->of && a->of != TPL_VALUES ? equal_lists(r, a->list, b->list) : a->list == b->list;
    case TPL_METHOD:
        return a->method == b->method;
    default:
        return a->list == b->list; /* the same object */
    }
}

static bool in_order(char op, int sign)
{
    switch (op) {
    case '<':
        return sign < 0;
    case '>':
        return sign > 0;
    case TPL_OP_LESS_EQUAL:
        return sign <= 0;
    default:
        return sign >= 0;
    }
}

/* The first difference decides. */
static int order_lists(struct tpl_run *r, char op, const struct tpl_list *a, const struct tpl_list *b)
{
    int rc = tpl_enter(r);

    for (size_t i = 0; rc == 0 && i < a->count && i < b->count; i++) {
        rc = tpl_equal(r, &a->items[i], &b->items[i]);
        if (rc == 0)
            rc = tpl_order(r, op, &a->items[i], &b->items[i]);
        else if (rc == 1) {
            rc = 0;
            continue;
        }
        r->depth--;
        return rc;
    }
    if (rc != 0)
        return rc;
    r->depth--;
    return in_order(op, a->count < b->count ? -1 : a->count > b->count);
}

int tpl_order(struct tpl_run *r, char op, const struct tpl_value *a, const struct tpl_value *b)
{
    char shown[3] = { op == TPL_OP_GREATER_EQUAL ? '>'
                      : op == TPL_OP_LESS_EQUAL  ? '<'
                                                 : op,
                      op == TPL_OP_GREATER_EQUAL || op == TPL_OP_LESS_EQUAL ? '=' : '\0' };
    int rc = tpl_step(r, 1);

    if (rc != 0)
        return rc;
    if (a->kind == TPL_UNDEFINED || b->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, a->kind == TPL_UNDEFINED ? a : b);
    if (tpl_is_number(a) && tpl_is_number(b)) {
        double x = tpl_as_real(a), y = tpl_as_real(b);
        int64_t i = a->kind != TPL_FLOAT ? tpl_as_int(a) : 0, k = b->kind != TPL_FLOAT ? tpl_as_int(b) : 0;

        if (a->kind != TPL_FLOAT && b->kind != TPL_FLOAT)
            return in_order(op, i < k ? -1 : i > k);
        return !isnan(x) && !isnan(y) && in_order(op, x < y ? -1 : x > y);
    }
    if (a->kind == TPL_TEXT && b->kind == TPL_TEXT) {
        size_t n = a->text.len < b->text.len ? a->text.len : b->text.len;
        int sign = n > 0 ? memcmp(a->text.p, b->text.p, n) : 0;

        rc = tpl_step(r, n / 64);
        return rc != 0 ? rc : in_order(op, sign != 0 ? sign : a->text.len < b->text.len ? -1 : a->text.len > n);
    }
    if (a->kind == b->kind && (a->kind == TPL_LIST || a->kind == TPL_TUPLE))
        return order_lists(r, op, a->list, b->list);
    return tpl_fail(r, -SRQ_EFORMAT, "'%s' not supported between instances of '%s' and '%s'", shown, tpl_type_name(a),
                    tpl_type_name(b));
}

/* ---- contents ---------------------------------------------------------------------------------------------------- */

bool tpl_has_length(const struct tpl_value *v)
{
    return v->kind == TPL_UNDEFINED || (v->kind >= TPL_TEXT && v->kind <= TPL_VIEW);
}

int tpl_length(struct tpl_run *r, const struct tpl_value *v, int64_t *out)
{
    *out = 0;
    switch (v->kind) {
    case TPL_UNDEFINED:
        return 0;
    case TPL_TEXT:
        *out = (int64_t)tpl_chars(v->text.p, v->text.len);
        return tpl_step(r, v->text.len / 64);
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_VIEW:
        *out = (int64_t)v->list->count;
        return 0;
    case TPL_DICT:
        *out = (int64_t)v->dict->count;
        return 0;
    case TPL_RANGE:
        *out = v->range->count;
        return 0;
    default:
        return tpl_fail(r, -SRQ_EFORMAT, "object of type '%s' has no len()", tpl_type_name(v));
    }
}

static int text_contains(struct tpl_run *r, const struct tpl_value *in, const struct tpl_value *what)
{
    int rc;

    if (what->kind != TPL_TEXT)
        return tpl_fail(r, -SRQ_EFORMAT, "'in <string>' requires string as left operand, not %s", tpl_type_name(what));
    rc = tpl_step(r, in->text.len / 64);
    if (rc != 0)
        return rc;
    return what->text.len == 0 ||
           (in->text.len > 0 && memmem(in->text.p, in->text.len, what->text.p, what->text.len) != NULL);
}

int tpl_contains(struct tpl_run *r, const struct tpl_value *in, const struct tpl_value *what)
{
    struct tpl_iter it;
    struct tpl_value v;
    int rc;

    if (in->kind == TPL_TEXT)
        return text_contains(r, in, what);
    if (in->kind == TPL_DICT)
        return tpl_dict_get(r, in->dict, what, &v);
    if (in->kind != TPL_UNDEFINED && in->kind < TPL_TEXT)
        return tpl_fail(r, -SRQ_EFORMAT, "argument of type '%s' is not iterable", tpl_type_name(in));
    rc = tpl_iter_begin(r, in, &it);
    while (rc == 0 && (rc = tpl_iter_next(r, &it, &v)) == 1) {
        rc = tpl_equal(r, &v, what);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int tpl_iter_begin(struct tpl_run *r, const struct tpl_value *v, struct tpl_iter *it)
{
    it->of = *v;
    it->at = 0;
    if (v->kind == TPL_UNDEFINED || (v->kind >= TPL_TEXT && v->kind <= TPL_ITER))
        return 0;
    return tpl_fail(r, -SRQ_EFORMAT, "'%s' object is not iterable", tpl_type_name(v));
}

int tpl_iter_next(struct tpl_run *r, struct tpl_iter *it, struct tpl_value *out)
{
    const struct tpl_value *v = &it->of;
    size_t *at = v->kind == TPL_ITER ? &v->list->at : &it->at;
    uint32_t code;
    int rc = tpl_step(r, 1);

    if (rc != 0)
        return rc;
    switch (v->kind) {
    case TPL_TEXT:
        if (*at >= v->text.len)
            return 0;
        *out = tpl_text(v->text.p + *at, (size_t)srq_utf8_next(v->text.p + *at, &code));
        *at += out->text.len;
        return 1;
    case TPL_DICT:
        if (*at >= v->dict->count)
            return 0;
        *out = v->dict->pairs[(*at)++].key;
        return 1;
    case TPL_RANGE:
        if ((int64_t)*at >= v->range->count)
            return 0;
        *out = tpl_int(v->range->start + (int64_t)(*at)++ * v->range->step);
        return 1;
    case TPL_LIST:
    case TPL_TUPLE:
    case TPL_VIEW:
    case TPL_ITER:
        if (*at >= v->list->count)
            return 0;
        *out = v->list->items[(*at)++];
        return 1;
    default:
        return 0;
    }
}

int tpl_collect(struct tpl_run *r, const struct tpl_value *v, struct tpl_list **out)
{
    struct tpl_iter it;
    struct tpl_value item;
    int rc = tpl_list_new(r, out);

    if (rc == 0)
        rc = tpl_iter_begin(r, v, &it);
    while (rc == 0 && (rc = tpl_iter_next(r, &it, &item)) == 1)
        rc = tpl_list_add(r, *out, &item);
    return rc;
}
