/* The "loop" of a for block: elements one by one, looked ahead only where the template asks for it. */
#include "core/text/template_run.h"

/* The next element that the condition lets through: 1, 0 at the end, or negative. */
static int advance(struct tpl_run *r, struct tpl_loop *loop, struct tpl_value *out)
{
    struct tpl_scope *outer = r->scope;
    uint32_t macros = r->macros;
    struct tpl_value yes;
    int rc;

    while ((rc = tpl_iter_next(r, &loop->it, out)) == 1 && !loop->all && loop->node->c != NULL) {
        r->scope = loop->outer;
        rc = tpl_scope_push(r);
        if (rc == 0)
            rc = tpl_assign(r, loop->node->a, out);
        if (rc == 0)
            rc = tpl_eval(r, loop->node->c, &yes);
        tpl_scope_pop(r, loop->outer, macros);
        r->scope = outer;
        if (rc != 0)
            return rc;
        if (tpl_truth(&yes) != 0)
            return 1;
    }
    return rc;
}

int tpl_loop_peek(struct tpl_run *r, struct tpl_loop *loop)
{
    int rc;

    if (loop->ahead)
        return loop->more;
    rc = advance(r, loop, &loop->after);
    if (rc < 0)
        return rc;
    loop->ahead = true;
    loop->more = rc == 1;
    return rc;
}

int tpl_loop_next(struct tpl_run *r, struct tpl_loop *loop)
{
    int rc = tpl_loop_peek(r, loop);

    if (rc != 1)
        return rc;
    loop->ahead = false;
    loop->index++;
    loop->before = loop->current;
    loop->current = loop->after;
    return 1;
}

/* How many there are; what is left is gone through for it where it cannot be said otherwise. */
static int count(struct tpl_run *r, struct tpl_loop *loop, int64_t *out)
{
    struct tpl_list *rest;
    int rc = 0;

    if (loop->length < 0 && loop->node->c == NULL && tpl_has_length(&loop->it.of))
        rc = tpl_length(r, &loop->it.of, &loop->length);
    if (rc == 0 && loop->length < 0) {
        rc = tpl_list_new(r, &rest);
        while (rc == 0 && (rc = tpl_loop_peek(r, loop)) == 1) {
            rc = tpl_list_add(r, rest, &loop->after);
            loop->ahead = false;
        }
        if (rc == 0) {
            loop->it = (struct tpl_iter){ .of = { .kind = TPL_LIST, .list = rest } };
            loop->all = true;
            loop->ahead = false;
            loop->length = loop->index + 1 + (int64_t)rest->count;
        }
    }
    *out = loop->length;
    return rc;
}

static int cycle(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    if (c->args->count == 0 || c->args->named_count > 0)
        return tpl_fail(r, -SRQ_EFORMAT, "no items for cycling given");
    *out = c->args->list[(size_t)c->self.loop->index % c->args->count];
    return 0;
}

static int changed(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_loop *loop = c->self.loop;
    struct tpl_list *now;
    int rc = tpl_list_new(r, &now), same = 0;

    for (size_t i = 0; rc == 0 && i < c->args->count; i++)
        rc = tpl_list_add(r, now, &c->args->list[i]);
    if (rc == 0 && loop->last != NULL) {
        const struct tpl_value a = { .kind = TPL_LIST, .list = now }, b = { .kind = TPL_LIST, .list = loop->last };

        same = tpl_equal(r, &a, &b);
        rc = same < 0 ? same : 0;
    }
    if (same == 0)
        loop->last = now;
    *out = tpl_bool(same == 0);
    return rc;
}

static const struct tpl_routine loop_methods[] = {
    { "cycle", NULL, 0, cycle, TPL_LOOP },
    { "changed", NULL, 0, changed, TPL_LOOP },
    { NULL, NULL, 0, NULL, 0 },
};

static int method(struct tpl_run *r, const struct tpl_value *of, const struct tpl_routine *routine,
                  struct tpl_value *out)
{
    struct tpl_method *m = tpl_new(r, sizeof(*m));

    if (m == NULL)
        return tpl_no_memory(r);
    m->routine = routine;
    m->self = *of;
    *out = (struct tpl_value){ .kind = TPL_METHOD, .method = m };
    return 1;
}

int tpl_loop_attribute(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value *name,
                       struct tpl_value *out)
{
    struct tpl_loop *loop = of->loop;
    const struct tpl_routine *routine = tpl_find(loop_methods, name->text.p, name->text.len);
    bool reversed = tpl_named(name, "revindex") || tpl_named(name, "revindex0");
    int64_t n;
    int rc = 1;

    if (routine != NULL)
        return method(r, of, routine, out);
    if (tpl_named(name, "index") || tpl_named(name, "index0")) {
        *out = tpl_int(loop->index + (name->text.len == 5));
    } else if (tpl_named(name, "first")) {
        *out = tpl_bool(loop->index == 0);
    } else if (tpl_named(name, "last") || tpl_named(name, "nextitem")) {
        rc = tpl_loop_peek(r, loop);
        if (rc < 0)
            return rc;
        if (name->text.len == 4)
            *out = tpl_bool(rc == 0);
        else
            *out = rc == 1 ? loop->after : tpl_hint("there is no next item");
        rc = 1;
    } else if (tpl_named(name, "previtem")) {
        *out = loop->index > 0 ? loop->before : tpl_hint("there is no previous item");
    } else if (tpl_named(name, "length") || reversed) {
        rc = count(r, loop, &n);
        *out = tpl_int(!reversed ? n : n - loop->index - (name->text.len == 9));
        rc = rc < 0 ? rc : 1;
    } else if (tpl_named(name, "depth") || tpl_named(name, "depth0")) {
        *out = tpl_int(name->text.len == 5);
    } else {
        rc = 0;
    }
    return rc;
}
