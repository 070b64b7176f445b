/* Blocks of templates, run: text goes to the output, names to scopes, of which a loop's element, a macro and a captured
 * block each have their own. */
#include "core/text/template_run.h"

#include "core/base/alloc.h"

const char *const tpl_context_names[] = { "messages", "tools", "documents", "add_generation_prompt", NULL };

static int run_all(struct tpl_run *r, const struct tpl_node *n);

static int emit(struct tpl_run *r, const char *p, size_t len)
{
    if (len > SRQ_TEMPLATE_OUTPUT_MAX - r->out->len)
        return tpl_fail(r, -SRQ_ELIMIT, "the template makes more than %zu MiB of one row",
                        SRQ_TEMPLATE_OUTPUT_MAX >> 20);
    if (!srq_buf_add(r->out, p, len))
        return srq_fail_field(r->err, -SRQ_ENOMEM, r->t->what, "out of memory running %.300s", r->t->what);
    return tpl_step(r, len / 64);
}

/* What `body` writes, as a text instead, in a scope of its own. */
static int capture(struct tpl_run *r, const struct tpl_node *body, struct tpl_value *out)
{
    struct tpl_scope *scope = r->scope;
    uint32_t macros = r->macros;
    size_t mark = r->out->len;
    int rc = tpl_scope_push(r);

    *out = tpl_text("", 0);
    if (rc == 0)
        rc = run_all(r, body);
    if (rc == 0)
        rc = tpl_add(r, out, r->out->data != NULL ? r->out->data + mark : "", r->out->len - mark);
    r->out->len = mark;
    tpl_scope_pop(r, scope, macros);
    return rc;
}

static int run_print(struct tpl_run *r, const struct tpl_node *n)
{
    struct tpl_value v, text;
    int rc = tpl_eval(r, n->a, &v);

    r->line = n->line;
    if (rc == 0)
        rc = tpl_str(r, &v, &text);
    return rc == 0 ? emit(r, text.text.p, text.text.len) : rc;
}

static int run_if(struct tpl_run *r, const struct tpl_node *n)
{
    struct tpl_value v;
    int rc;

    for (;; n = n->other) {
        rc = tpl_eval(r, n->a, &v);
        if (rc != 0)
            return rc;
        if (tpl_truth(&v) != 0)
            return run_all(r, n->body);
        if (n->other == NULL || n->other->kind != TPL_IF || n->other->op != TPL_ELIF)
            return run_all(r, n->other);
    }
}

/* In a scope of its own. */
static int run_apart(struct tpl_run *r, const struct tpl_node *body)
{
    struct tpl_scope *outer = r->scope;
    uint32_t macros = r->macros;
    int rc = tpl_scope_push(r);

    if (rc == 0)
        rc = run_all(r, body);
    tpl_scope_pop(r, outer, macros);
    return rc;
}

/* One element: true in `*through` where the body came to its end. */
static int run_element(struct tpl_run *r, struct tpl_loop *loop, bool *through)
{
    const struct tpl_value v = { .kind = TPL_LOOP, .loop = loop };
    uint32_t macros = r->macros;
    int rc;

    r->scope = loop->outer;
    rc = tpl_scope_push(r);
    if (rc == 0)
        rc = tpl_bind(r, r->t->loop, &v);
    if (rc == 0)
        rc = tpl_assign(r, loop->node->a, &loop->current);
    if (rc == 0)
        rc = run_all(r, loop->node->body);
    *through = *through || (rc == 0 && r->jump == TPL_GO_ON);
    tpl_scope_pop(r, loop->outer, macros);
    return rc;
}

static int run_for(struct tpl_run *r, const struct tpl_node *n)
{
    struct tpl_loop *loop = tpl_new(r, sizeof(*loop));
    struct tpl_value v;
    bool through = false, stop = false;
    int rc;

    if (loop == NULL)
        return tpl_no_memory(r);
    *loop = (struct tpl_loop){ .node = n, .outer = r->scope, .index = -1, .length = -1 };
    rc = tpl_eval(r, n->b, &v);
    r->line = n->line;
    if (rc == 0)
        rc = tpl_iter_begin(r, &v, &loop->it);
    while (rc == 0 && !stop && (rc = tpl_loop_next(r, loop)) == 1) {
        rc = run_element(r, loop, &through);
        stop = r->jump == TPL_JUMP_BREAK;
        r->jump = TPL_GO_ON;
    }
    r->scope = loop->outer;
    return rc == 0 && !through ? run_apart(r, n->other) : rc;
}

static int run_set(struct tpl_run *r, const struct tpl_node *n)
{
    struct tpl_value v;
    int rc = tpl_eval(r, n->b, &v);

    return rc == 0 ? tpl_assign(r, n->a, &v) : rc;
}

/* A captured block through its filters; where to it goes is `n`'s kind. */
static int run_captured(struct tpl_run *r, const struct tpl_node *n)
{
    const struct tpl_value *before = r->captured;
    struct tpl_value text, v;
    int rc = capture(r, n->body, &text);

    if (rc != 0 || r->jump != TPL_GO_ON)
        return rc;
    r->captured = &text;
    rc = tpl_eval(r, n->b, &v);
    r->captured = before;
    if (rc != 0)
        return rc;
    if (n->kind == TPL_SET_BLOCK)
        return tpl_assign(r, n->a, &v);
    rc = tpl_str(r, &v, &text);
    return rc == 0 ? emit(r, text.text.p, text.text.len) : rc;
}

/* Values are those of outside, whatever the targets before them are called. */
static int run_with(struct tpl_run *r, const struct tpl_node *n)
{
    struct tpl_scope *outer = r->scope, *inner;
    uint32_t macros = r->macros;
    struct tpl_value v;
    int rc = tpl_scope_push(r);

    inner = r->scope;
    for (const struct tpl_node *t = n->first; rc == 0 && t != NULL; t = t->next->next) {
        r->scope = outer;
        rc = tpl_eval(r, t->next, &v);
        r->scope = inner;
        if (rc == 0)
            rc = tpl_assign(r, t, &v);
    }
    if (rc == 0)
        rc = run_all(r, n->body);
    tpl_scope_pop(r, outer, macros);
    return rc;
}

static int run_define(struct tpl_run *r, const struct tpl_node *n)
{
    struct tpl_macro *m = tpl_new(r, sizeof(*m));
    struct tpl_value v = { .kind = TPL_MACRO, .macro = m };

    if (m == NULL)
        return tpl_no_memory(r);
    m->node = n;
    m->scope = r->scope;
    r->macros++;
    return tpl_bind(r, n->id, &v);
}

static int run_one(struct tpl_run *r, const struct tpl_node *n)
{
    switch (n->kind) {
    case TPL_DATA:
        return emit(r, n->value.text.p, n->value.text.len);
    case TPL_PRINT:
        return run_print(r, n);
    case TPL_IF:
        return run_if(r, n);
    case TPL_FOR:
        return run_for(r, n);
    case TPL_SET:
        return run_set(r, n);
    case TPL_SET_BLOCK:
    case TPL_FILTER_BLOCK:
        return run_captured(r, n);
    case TPL_WITH:
        return run_with(r, n);
    case TPL_GENERATION:
        return run_apart(r, n->body);
    case TPL_DEFINE:
        return run_define(r, n);
    default:
        r->jump = n->kind == TPL_BREAK ? TPL_JUMP_BREAK : TPL_JUMP_CONTINUE;
        return 0;
    }
}

static int run_all(struct tpl_run *r, const struct tpl_node *n)
{
    int rc = tpl_enter(r);

    if (rc != 0)
        return rc;
    for (; rc == 0 && n != NULL && r->jump == TPL_GO_ON; n = n->next) {
        r->line = n->line;
        rc = tpl_step(r, 1);
        if (rc == 0)
            rc = run_one(r, n);
    }
    r->depth--;
    return rc;
}

/* ---- macros ------------------------------------------------------------------------------------------------------ */

/* The value of parameter number `at`; TPL_ABSENT: none was given. Counts the named ones that are used. */
static struct tpl_value argument(const struct tpl_args *args, size_t at, const struct tpl_value *name, size_t *used)
{
    if (at < args->count)
        return args->list[at];
    for (size_t i = 0; i < args->named_count; i++) {
        if (tpl_same(&args->named[i].name, name->text.p, name->text.len)) {
            ++*used;
            return args->named[i].value;
        }
    }
    return (struct tpl_value){ .kind = TPL_ABSENT };
}

static int bind_parameters(struct tpl_run *r, const struct tpl_node *macro, const struct tpl_args *args)
{
    size_t at = 0, used = 0;
    char shown[80];
    int rc = 0;

    tpl_show(macro->value.text.p, macro->value.text.len, shown, sizeof(shown));
    for (const struct tpl_node *p = macro->first; rc == 0 && p != NULL; p = p->next) {
        struct tpl_value v = argument(args, at++, &p->value, &used);

        if (v.kind == TPL_ABSENT && p->a != NULL)
            rc = tpl_eval(r, p->a, &v);
        else if (v.kind == TPL_ABSENT)
            v = (struct tpl_value){ .kind = TPL_UNDEFINED,
                                    .of = TPL_NO_PARAMETER,
                                    .text = { p->value.text.p, p->value.text.len } };
        if (rc == 0)
            rc = tpl_bind(r, p->id, &v);
    }
    if (rc == 0 && args->count > at)
        return tpl_fail(r, -SRQ_EFORMAT, "macro '%s' takes not more than %zu argument(s)", shown, at);
    if (rc == 0 && used < args->named_count)
        return tpl_fail(r, -SRQ_EFORMAT, "macro '%s' was given a named argument that it does not take", shown);
    return rc;
}

int tpl_call_macro(struct tpl_run *r, const struct tpl_macro *m, const struct tpl_args *args, struct tpl_value *out)
{
    struct tpl_scope *scope = r->scope;
    uint32_t line = r->line, macros = r->macros;
    int rc;

    r->scope = m->scope;
    rc = tpl_scope_push(r);
    if (rc == 0)
        rc = bind_parameters(r, m->node, args);
    if (rc == 0)
        rc = capture(r, m->node->body, out);
    tpl_scope_pop(r, m->scope, macros);
    r->scope = scope;
    if (rc == 0)
        r->line = line;
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int bind_json(struct tpl_run *r, int32_t id, const json_t *json)
{
    struct tpl_value v;
    int rc = tpl_from_json(r, json, &v);

    return rc == 0 ? tpl_bind(r, id, &v) : rc;
}

static int bind_specials(struct tpl_run *r)
{
    int rc = 0;

    for (int32_t id = 0; rc == 0 && r->in->specials != NULL && id < r->t->name_count; id++) {
        const struct tpl_name *n = &r->t->names[id];
        const json_t *text;
        char name[64];

        if (n->len >= sizeof(name))
            continue;
        memcpy(name, n->p, n->len);
        name[n->len] = '\0';
        text = json_object_get(r->in->specials, name);
        if (text != NULL)
            rc = bind_json(r, id, text);
    }
    return rc;
}

/* What the template is given, and around it what it assigns itself. */
static int bind_context(struct tpl_run *r)
{
    const struct tpl_value no = tpl_bool(false);
    int rc = tpl_scope_push(r);

    if (rc == 0)
        rc = bind_specials(r);
    if (rc == 0)
        rc = bind_json(r, r->t->context[0], r->in->messages);
    if (rc == 0)
        rc = bind_json(r, r->t->context[1], r->in->tools);
    if (rc == 0)
        rc = bind_json(r, r->t->context[2], NULL);
    if (rc == 0)
        rc = tpl_bind(r, r->t->context[3], &no);
    return rc == 0 ? tpl_scope_push(r) : rc;
}

int srq_template_render(const struct srq_template *t, const struct srq_template_input *in, struct srq_buf *out,
                        struct srq_error *err)
{
    size_t memory = in->memory_max != 0 ? in->memory_max : SRQ_TEMPLATE_MEMORY_MAX;
    struct tpl_run r = { .t = t, .in = in, .out = out, .line = 1, .err = err };
    int rc;

    r.cells.max = r.text.max = memory / 2;
    r.steps_max = in->steps_max != 0 ? in->steps_max : SRQ_TEMPLATE_STEPS_MAX;
    srq_buf_clear(out);
    rc = bind_context(&r);
    if (rc == 0)
        rc = run_all(&r, t->body);
    tpl_arena_fini(&r.cells);
    tpl_arena_fini(&r.text);
    return rc;
}
