/* Filters that go by attributes of elements: what sorts, and what takes the least, the most, or all of them. */
#include "core/text/template_filter.h"

/* One part of "a.b.0". */
static int follow_part(struct tpl_run *r, const char *p, size_t len, struct tpl_value *v)
{
    struct tpl_value key = tpl_text(p, len), item = *v;
    bool number = len > 0 && len < 18;

    for (size_t i = 0; i < len; i++)
        number = number && p[i] >= '0' && p[i] <= '9';
    if (number) {
        int64_t n = 0;

        for (size_t i = 0; i < len; i++)
            n = n * 10 + (p[i] - '0');
        key = tpl_int(n);
    }
    return tpl_item(r, &item, &key, v);
}

int tpl_follow(struct tpl_run *r, const struct tpl_value *attribute, const struct tpl_value *otherwise,
               struct tpl_value *v)
{
    struct tpl_value item = *v;
    const char *p, *end, *dot;
    int rc = 0;

    if (!tpl_given(attribute))
        return 0;
    if (attribute->kind != TPL_TEXT)
        return tpl_item(r, &item, attribute, v);
    p = attribute->text.p;
    for (end = p + attribute->text.len; rc == 0 && p <= end; p = dot + 1) {
        dot = p < end ? memchr(p, '.', (size_t)(end - p)) : NULL;
        dot = dot != NULL ? dot : end;
        rc = follow_part(r, p, (size_t)(dot - p), v);
        if (rc == 0 && v->kind == TPL_UNDEFINED && otherwise != NULL && tpl_given(otherwise))
            *v = *otherwise;
    }
    return rc;
}

/* What an element is sorted or compared by. */
static int key_of(struct tpl_run *r, const struct tpl_value *item, const struct tpl_value *attribute,
                  bool case_sensitive, struct tpl_value *out)
{
    struct tpl_value v = *item;
    int rc = tpl_follow(r, attribute, NULL, &v);

    *out = v;
    return rc == 0 && !case_sensitive && v.kind == TPL_TEXT ? tpl_convert(r, &v, TPL_LOWER, out) : rc;
}

/* The same for attributes with commas between: a list. */
static int keys_of(struct tpl_run *r, const struct tpl_value *item, const struct tpl_value *attribute,
                   bool case_sensitive, struct tpl_value *out)
{
    struct tpl_value part = *attribute, key;
    const char *p = NULL, *end = NULL, *comma = NULL;
    int rc;

    *out = (struct tpl_value){ .kind = TPL_LIST };
    rc = tpl_list_new(r, &out->list);
    if (attribute->kind == TPL_TEXT) {
        p = attribute->text.p;
        end = p + attribute->text.len;
    }
    do {
        if (p != NULL) {
            comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;
            comma = comma != NULL ? comma : end;
            part = tpl_text(p, (size_t)(comma - p));
            p = comma + 1;
        }
        if (rc == 0)
            rc = key_of(r, item, &part, case_sensitive, &key);
        if (rc == 0)
            rc = tpl_list_add(r, out->list, &key);
    } while (rc == 0 && p != NULL && p <= end);
    return rc;
}

struct sorting {
    struct tpl_value *key, *item; /* `count` of each, and room for as many */
    bool reverse;
};

/* Merges [from, middle) and [middle, to) into the room behind. */
static int merge(struct tpl_run *r, struct sorting *s, size_t from, size_t middle, size_t to, size_t room)
{
    size_t a = from, b = middle;
    int rc = 0;

    for (size_t i = from; rc == 0 && i < to; i++) {
        bool right = a == middle;

        if (!right && b < to) {
            rc = tpl_order(r, s->reverse ? '>' : '<', &s->key[b], &s->key[a]);
            right = rc == 1;
            rc = rc < 0 ? rc : 0;
        }
        s->key[room + i] = s->key[right ? b : a];
        s->item[room + i] = s->item[right ? b++ : a++];
    }
    return rc;
}

static int sort_keys(struct tpl_run *r, struct sorting *s, size_t n)
{
    int rc = 0;

    for (size_t width = 1; rc == 0 && width < n; width *= 2) {
        for (size_t from = 0; rc == 0 && from < n; from += 2 * width) {
            size_t middle = from + width < n ? from + width : n, to = from + 2 * width < n ? from + 2 * width : n;

            rc = merge(r, s, from, middle, to, n);
        }
        memcpy(s->key, s->key + n, n * sizeof(*s->key));
        memcpy(s->item, s->item + n, n * sizeof(*s->item));
    }
    return rc;
}

/* Orders `list` by `keys`, one for each; what is equal keeps its order. */
static int sort_list(struct tpl_run *r, struct tpl_list *list, const struct tpl_list *keys, bool reverses)
{
    size_t n = list->count;
    struct sorting s = { .reverse = reverses };
    int rc;

    if (n < 2)
        return 0;
    s.key = tpl_new(r, 2 * n * sizeof(*s.key));
    s.item = s.key != NULL ? tpl_new(r, 2 * n * sizeof(*s.item)) : NULL;
    if (s.item == NULL)
        return tpl_no_memory(r);
    memcpy(s.key, keys->items, n * sizeof(*s.key));
    memcpy(s.item, list->items, n * sizeof(*s.item));
    rc = sort_keys(r, &s, n);
    memcpy(list->items, s.item, n * sizeof(*s.item));
    return rc;
}

int tpl_sort(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_list *keys;
    struct tpl_value key;
    int rc;

    *out = (struct tpl_value){ .kind = TPL_LIST };
    rc = tpl_collect(r, &c->self, &out->list);
    if (rc == 0)
        rc = tpl_list_new(r, &keys);
    for (size_t i = 0; rc == 0 && i < out->list->count; i++) {
        rc = keys_of(r, &out->list->items[i], &c->arg[2], tpl_truth(&c->arg[1]) != 0, &key);
        if (rc == 0)
            rc = tpl_list_add(r, keys, &key);
    }
    return rc == 0 ? sort_list(r, out->list, keys, tpl_truth(&c->arg[0]) != 0) : rc;
}

int tpl_dictsort(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    bool by_value = c->arg[1].kind == TPL_TEXT && tpl_named(&c->arg[1], "value");
    const struct tpl_value none = tpl_none();
    struct tpl_list *keys;
    struct tpl_value v;
    int rc;

    if (c->self.kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, &c->self);
    if (c->self.kind != TPL_DICT)
        return tpl_fail(r, -SRQ_EFORMAT, "dictsort wants an object, not '%s'", tpl_type_name(&c->self));
    if (c->arg[1].kind != TPL_ABSENT && !by_value && !(c->arg[1].kind == TPL_TEXT && tpl_named(&c->arg[1], "key")))
        return tpl_fail(r, -SRQ_EFORMAT, "You can only sort by either \"key\" or \"value\"");
    *out = (struct tpl_value){ .kind = TPL_LIST };
    rc = tpl_list_new(r, &out->list);
    if (rc == 0)
        rc = tpl_list_new(r, &keys);
    for (size_t i = 0; rc == 0 && i < c->self.dict->count; i++) {
        const struct tpl_pair *p = &c->self.dict->pairs[i];

        rc = key_of(r, by_value ? &p->value : &p->key, &none, tpl_truth(&c->arg[0]) != 0, &v);
        if (rc == 0)
            rc = tpl_list_add(r, keys, &v);
        if (rc == 0)
            rc = tpl_pair_tuple(r, p, &v);
        if (rc == 0)
            rc = tpl_list_add(r, out->list, &v);
    }
    return rc == 0 ? sort_list(r, out->list, keys, tpl_truth(&c->arg[2]) != 0) : rc;
}

int tpl_unique(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_list *all;
    struct tpl_dict *seen;
    struct tpl_value key, known;
    int rc = tpl_collect(r, &c->self, &all);

    *out = (struct tpl_value){ .kind = TPL_ITER };
    if (rc == 0)
        rc = tpl_list_new(r, &out->list);
    if (rc == 0)
        rc = tpl_dict_new(r, &seen);
    for (size_t i = 0; rc == 0 && i < all->count; i++) {
        rc = key_of(r, &all->items[i], &c->arg[1], tpl_truth(&c->arg[0]) != 0, &key);
        if (rc == 0)
            rc = tpl_dict_get(r, seen, &key, &known);
        if (rc == 0) {
            rc = tpl_dict_put(r, seen, &key, &key);
            if (rc == 0)
                rc = tpl_list_add(r, out->list, &all->items[i]);
        }
        rc = rc < 0 ? rc : 0;
    }
    return rc;
}

static int extreme(struct tpl_run *r, const struct tpl_call *c, char op, struct tpl_value *out)
{
    bool sensitive = tpl_truth(&c->arg[0]) != 0;
    struct tpl_list *all;
    struct tpl_value key, best;
    int rc = tpl_collect(r, &c->self, &all);

    *out = tpl_hint("No aggregated item, sequence was empty.");
    for (size_t i = 0; rc == 0 && i < all->count; i++) {
        rc = key_of(r, &all->items[i], &c->arg[1], sensitive, &key);
        if (rc == 0)
            rc = i == 0 ? 1 : tpl_order(r, op, &key, &best);
        if (rc == 1) {
            best = key;
            *out = all->items[i];
            rc = 0;
        }
    }
    return rc;
}

int tpl_minimum(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return extreme(r, c, '<', out);
}

int tpl_maximum(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return extreme(r, c, '>', out);
}

int tpl_sum(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_iter it;
    struct tpl_value v, before;
    int rc = tpl_iter_begin(r, &c->self, &it);

    *out = c->arg[1].kind != TPL_ABSENT ? c->arg[1] : tpl_int(0);
    while (rc == 0 && (rc = tpl_iter_next(r, &it, &v)) == 1) {
        before = *out;
        rc = tpl_follow(r, &c->arg[0], NULL, &v);
        if (rc == 0)
            rc = tpl_binary(r, '+', &before, &v, out);
    }
    return rc;
}
