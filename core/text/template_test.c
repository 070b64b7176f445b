/* What "is" asks of values. */
#include "core/text/template_parts.h"

#include <math.h>

static int answer(struct tpl_value *out, bool yes)
{
    *out = tpl_bool(yes);
    return 0;
}

static int is_defined(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind != TPL_UNDEFINED);
}

static int is_undefined(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_UNDEFINED);
}

static int is_none(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_NONE);
}

static int is_string(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_TEXT);
}

static int is_mapping(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_DICT);
}

static int is_iterable(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_UNDEFINED || c->self.kind == TPL_LOOP ||
                           (c->self.kind >= TPL_TEXT && c->self.kind <= TPL_ITER));
}

static int is_sequence(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_UNDEFINED || (c->self.kind >= TPL_TEXT && c->self.kind <= TPL_RANGE));
}

static int is_number(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, tpl_is_number(&c->self));
}

static int is_integer(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_INT);
}

static int is_float(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_FLOAT);
}

static int is_boolean(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_BOOL);
}

static int is_true(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_BOOL && c->self.flag);
}

static int is_false(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_BOOL && !c->self.flag);
}

static int is_callable(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    (void)r;
    return answer(out, c->self.kind == TPL_MACRO || c->self.kind == TPL_FUNCTION || c->self.kind == TPL_METHOD ||
                           c->self.kind == TPL_UNDEFINED);
}

static int is_equal(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int rc = tpl_equal(r, &c->self, &c->arg[0]);

    return rc < 0 ? rc : answer(out, rc == 1);
}

static int is_unequal(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int rc = tpl_equal(r, &c->self, &c->arg[0]);

    return rc < 0 ? rc : answer(out, rc == 0);
}

static int ordered(struct tpl_run *r, const struct tpl_call *c, char op, struct tpl_value *out)
{
    int rc = tpl_order(r, op, &c->self, &c->arg[0]);

    return rc < 0 ? rc : answer(out, rc == 1);
}

static int is_less(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return ordered(r, c, '<', out);
}

static int is_less_equal(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return ordered(r, c, TPL_OP_LESS_EQUAL, out);
}

static int is_greater(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return ordered(r, c, '>', out);
}

static int is_greater_equal(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return ordered(r, c, TPL_OP_GREATER_EQUAL, out);
}

static int is_in(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int rc = tpl_contains(r, &c->arg[0], &c->self);

    return rc < 0 ? rc : answer(out, rc == 1);
}

static int divided(struct tpl_run *r, const struct tpl_value *v, const struct tpl_value *by, int64_t rest,
                   struct tpl_value *out)
{
    struct tpl_value left, want = tpl_int(rest);
    int rc = tpl_binary(r, '%', v, by, &left);

    if (rc == 0)
        rc = tpl_equal(r, &left, &want);
    return rc < 0 ? rc : answer(out, rc == 1);
}

static int is_even(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const struct tpl_value two = tpl_int(2);

    return divided(r, &c->self, &two, 0, out);
}

static int is_odd(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const struct tpl_value two = tpl_int(2);

    return divided(r, &c->self, &two, 1, out);
}

static int is_divisible(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return divided(r, &c->self, &c->arg[0], 0, out);
}

const struct tpl_routine tpl_tests[] = {
    { "defined", "", 0, is_defined, 0 },
    { "undefined", "", 0, is_undefined, 0 },
    { "none", "", 0, is_none, 0 },
    { "string", "", 0, is_string, 0 },
    { "mapping", "", 0, is_mapping, 0 },
    { "iterable", "", 0, is_iterable, 0 },
    { "sequence", "", 0, is_sequence, 0 },
    { "number", "", 0, is_number, 0 },
    { "integer", "", 0, is_integer, 0 },
    { "float", "", 0, is_float, 0 },
    { "boolean", "", 0, is_boolean, 0 },
    { "true", "", 0, is_true, 0 },
    { "false", "", 0, is_false, 0 },
    { "callable", "", 0, is_callable, 0 },
    { "equalto", "other", 1, is_equal, 0 },
    { "eq", "other", 1, is_equal, 0 },
    { "==", "other", 1, is_equal, 0 },
    { "ne", "other", 1, is_unequal, 0 },
    { "!=", "other", 1, is_unequal, 0 },
    { "lt", "other", 1, is_less, 0 },
    { "lessthan", "other", 1, is_less, 0 },
    { "<", "other", 1, is_less, 0 },
    { "le", "other", 1, is_less_equal, 0 },
    { "<=", "other", 1, is_less_equal, 0 },
    { "gt", "other", 1, is_greater, 0 },
    { "greaterthan", "other", 1, is_greater, 0 },
    { ">", "other", 1, is_greater, 0 },
    { "ge", "other", 1, is_greater_equal, 0 },
    { ">=", "other", 1, is_greater_equal, 0 },
    { "in", "seq", 1, is_in, 0 },
    { "even", "", 0, is_even, 0 },
    { "odd", "", 0, is_odd, 0 },
    { "divisibleby", "num", 1, is_divisible, 0 },
    { NULL, NULL, 0, NULL, 0 },
};
