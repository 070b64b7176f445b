/* Templates into trees: the grammar of Jinja's own parser, and a refusal by name of what it has beyond ours. */
#include "core/text/template_read.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"

#include <stdlib.h>

#define NAMES_MAX 65536

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

int tpl_reader_no_memory(struct tpl_reader *r)
{
    return r->arena->full ? tpl_reader_fail(r, r->token.line, -SRQ_ELIMIT, "the template is too large")
                          : srq_fail_field(r->err, -SRQ_ENOMEM, r->what, "out of memory reading %.300s", r->what);
}

int tpl_advance(struct tpl_reader *r)
{
    r->token = r->next;
    return r->next.kind == TPL_T_END ? 0 : tpl_lexer_next(&r->lexer, &r->next);
}

bool tpl_at(const struct tpl_reader *r, char op)
{
    return r->token.kind == TPL_T_OPERATOR && r->token.op == op;
}

bool tpl_at_name(const struct tpl_reader *r, const char *name)
{
    return r->token.kind == TPL_T_NAME && tpl_named(&r->token.value, name);
}

int tpl_skip_if(struct tpl_reader *r, char op, bool *there)
{
    *there = tpl_at(r, op);
    return *there ? tpl_advance(r) : 0;
}

int tpl_skip_if_name(struct tpl_reader *r, const char *name, bool *there)
{
    *there = tpl_at_name(r, name);
    return *there ? tpl_advance(r) : 0;
}

/* What stands where something else should. */
static const char *describe(const struct tpl_token *t, char out[100])
{
    static const char *const names[] = { "the end of the template", "text", "\"{%\"", "\"%}\"", "\"{{\"", "\"}}\"" };
    static const struct {
        char op;
        const char *text;
    } pairs[] = { { TPL_OP_FLOOR, "\"//\"" },   { TPL_OP_POWER, "\"**\"" },         { TPL_OP_EQUAL, "\"==\"" },
                  { TPL_OP_UNEQUAL, "\"!=\"" }, { TPL_OP_GREATER_EQUAL, "\">=\"" }, { TPL_OP_LESS_EQUAL, "\"<=\"" } };
    char shown[80];

    if (t->kind <= TPL_T_VARIABLE_END)
        return names[t->kind];
    if (t->kind == TPL_T_NAME) {
        snprintf(out, 100, "\"%s\"", tpl_show(t->value.text.p, t->value.text.len, shown, sizeof(shown)));
        return out;
    }
    if (t->kind != TPL_T_OPERATOR)
        return t->kind == TPL_T_TEXT ? "a string" : "a number";
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (pairs[i].op == t->op)
            return pairs[i].text;
    }
    snprintf(out, 100, "\"%c\"", t->op);
    return out;
}

int tpl_unexpected(struct tpl_reader *r, const char *wanted)
{
    char got[100];

    return tpl_reader_fail(r, r->token.line, -SRQ_EFORMAT, "%s instead of %s", describe(&r->token, got), wanted);
}

int tpl_expect(struct tpl_reader *r, char op)
{
    char wanted[] = { '"', op, '"', '\0' };

    return tpl_at(r, op) ? tpl_advance(r) : tpl_unexpected(r, wanted);
}

int tpl_expect_kind(struct tpl_reader *r, enum tpl_token_kind kind, const char *wanted)
{
    return r->token.kind == kind ? tpl_advance(r) : tpl_unexpected(r, wanted);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

int tpl_node_new(struct tpl_reader *r, enum tpl_node_kind kind, uint32_t line, struct tpl_node **out)
{
    struct tpl_node *n = tpl_arena_get(r->arena, sizeof(*n));

    *out = n;
    if (n == NULL)
        return tpl_reader_no_memory(r);
    memset(n, 0, sizeof(*n));
    n->kind = (uint8_t)kind;
    n->line = line;
    n->id = -1;
    n->depth = 1;
    return 0;
}

/* `n` stands around `child`, which may be NULL. */
int tpl_cover(struct tpl_reader *r, struct tpl_node *n, const struct tpl_node *child)
{
    if (child != NULL && child->depth >= n->depth)
        n->depth = (uint16_t)(child->depth + 1);
    return n->depth <= TPL_NESTING_MAX
               ? 0
               : tpl_reader_fail(r, n->line, -SRQ_ELIMIT, "an expression nested deeper than %d", TPL_NESTING_MAX);
}

int tpl_nest(struct tpl_reader *r)
{
    return ++r->nesting <= TPL_NESTING_MAX ? 0
                                           : tpl_reader_fail(r, r->token.line, -SRQ_ELIMIT,
                                                             "the template is nested deeper than %d", TPL_NESTING_MAX);
}

static bool grow_names(struct tpl_reader *r)
{
    size_t slots = r->slot_count > 0 ? r->slot_count * 2 : 256;
    struct tpl_name *names = srq_reallocarray(r->names, slots / 2, sizeof(*names));
    int32_t *ids;

    if (names == NULL)
        return false;
    r->names = names;
    ids = srq_reallocarray(r->slots, slots, sizeof(*ids));
    if (ids == NULL)
        return false;
    r->slots = ids;
    r->slot_count = slots;
    memset(ids, 0xff, slots * sizeof(*ids));
    for (int32_t i = 0; i < r->name_count; i++) {
        size_t at = srq_hash64(names[i].p, names[i].len) & (slots - 1);

        while (ids[at] >= 0)
            at = (at + 1) & (slots - 1);
        ids[at] = i;
    }
    return true;
}

int tpl_intern(struct tpl_reader *r, const struct tpl_value *name, int32_t *id)
{
    size_t at;

    if ((size_t)r->name_count >= r->slot_count / 2) {
        if (r->name_count >= NAMES_MAX)
            return tpl_reader_fail(r, r->token.line, -SRQ_ELIMIT, "more than %d names", NAMES_MAX);
        if (!grow_names(r))
            return tpl_reader_no_memory(r);
    }
    at = srq_hash64(name->text.p, name->text.len) & (r->slot_count - 1);
    for (; r->slots[at] >= 0; at = (at + 1) & (r->slot_count - 1)) {
        const struct tpl_name *n = &r->names[r->slots[at]];

        if (n->len == name->text.len && memcmp(n->p, name->text.p, n->len) == 0) {
            *id = r->slots[at];
            return 0;
        }
    }
    r->names[r->name_count] = (struct tpl_name){ name->text.p, name->text.len, false };
    *id = r->slots[at] = r->name_count++;
    return 0;
}

/* A name as target, with that it is one. */
int tpl_read_name_target(struct tpl_reader *r, struct tpl_node **out)
{
    int rc;

    if (r->token.kind != TPL_T_NAME)
        return tpl_unexpected(r, "a name");
    rc = tpl_node_new(r, TPL_NAME, r->token.line, out);
    if (rc == 0)
        rc = tpl_intern(r, &r->token.value, &(*out)->id);
    if (rc != 0)
        return rc;
    (*out)->value = r->token.value;
    r->names[(*out)->id].assigned = true;
    return tpl_advance(r);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

static int read_body(struct tpl_reader *r, const char *const *ends, struct tpl_node **body);

/* After a tag: its %}, the body, and one of `ends`, at which it stops. */
static int read_block(struct tpl_reader *r, const char *const *ends, struct tpl_node **body)
{
    bool colon;
    int rc = tpl_skip_if(r, ':', &colon);

    if (rc == 0)
        rc = tpl_expect_kind(r, TPL_T_BLOCK_END, "\"%}\"");
    return rc == 0 ? read_body(r, ends, body) : rc;
}

/* The same for one that has one end, which is read too. */
static int read_whole(struct tpl_reader *r, const char *end, struct tpl_node **body)
{
    const char *const ends[] = { end, NULL };
    int rc = read_block(r, ends, body);

    return rc == 0 ? tpl_advance(r) : rc;
}

/* What cannot be left by break or continue. */
static int read_apart(struct tpl_reader *r, const char *end, struct tpl_node **body)
{
    int loops = r->loops, rc;

    r->loops = 0;
    rc = read_whole(r, end, body);
    r->loops = loops;
    return rc;
}

static int read_for(struct tpl_reader *r, struct tpl_node **out)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    struct tpl_node *n;
    int rc = tpl_node_new(r, TPL_FOR, r->token.line, &n);
    bool more;

    *out = n;
    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = tpl_read_target(r, false, &n->a);
    if (rc == 0 && !tpl_at_name(r, "in"))
        rc = tpl_unexpected(r, "\"in\"");
    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = tpl_read_tuple(r, TPL_NO_CONDITION, &n->b);
    if (rc == 0)
        rc = tpl_skip_if_name(r, "if", &more);
    if (rc == 0 && more)
        rc = tpl_read_expression(r, true, &n->c);
    if (rc == 0 && tpl_at_name(r, "recursive"))
        rc = tpl_reader_fail(r, r->token.line, -SRQ_EUNSUPPORTED, "\"recursive\" loops are not supported");
    r->loops++;
    if (rc == 0)
        rc = read_block(r, ends, &n->body);
    r->loops--;
    if (rc == 0)
        rc = tpl_skip_if_name(r, "else", &more);
    if (rc == 0)
        rc = more ? read_whole(r, "endfor", &n->other) : tpl_advance(r);
    return rc;
}

static int read_if(struct tpl_reader *r, struct tpl_node **out)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    struct tpl_node *n = NULL, **at = out;
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        rc = tpl_node_new(r, TPL_IF, r->token.line, at);
        n = *at;
        if (rc == 0) {
            n->op = at == out ? 0 : TPL_ELIF;
            at = &n->other;
            rc = tpl_advance(r);
        }
        if (rc == 0)
            rc = tpl_read_tuple(r, TPL_NO_CONDITION, &n->a);
        if (rc == 0)
            rc = read_block(r, ends, &n->body);
        more = rc == 0 && tpl_at_name(r, "elif");
    }
    if (rc == 0)
        rc = tpl_skip_if_name(r, "else", &more);
    if (rc == 0)
        rc = more ? read_whole(r, "endif", &n->other) : tpl_advance(r);
    return rc;
}

static int read_set(struct tpl_reader *r, struct tpl_node **out)
{
    struct tpl_node *n;
    int rc = tpl_node_new(r, TPL_SET, r->token.line, &n);
    bool value = false;

    *out = n;
    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = tpl_read_target(r, true, &n->a);
    if (rc == 0)
        rc = tpl_skip_if(r, '=', &value);
    if (rc != 0)
        return rc;
    if (value)
        return tpl_read_tuple(r, 0, &n->b);
    n->kind = TPL_SET_BLOCK;
    rc = tpl_node_new(r, TPL_CAPTURED, n->line, &n->b);
    if (rc == 0)
        rc = tpl_read_filters(r, &n->b);
    return rc == 0 ? read_whole(r, "endset", &n->body) : rc;
}

static int read_filter_block(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = tpl_node_new(r, TPL_FILTER_BLOCK, r->token.line, out);

    if (rc == 0)
        rc = tpl_node_new(r, TPL_CAPTURED, (*out)->line, &(*out)->b);
    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = tpl_read_filter(r, &(*out)->b);
    if (rc == 0)
        rc = tpl_read_filters(r, &(*out)->b);
    return rc == 0 ? read_whole(r, "endfilter", &(*out)->body) : rc;
}

static int read_with(struct tpl_reader *r, struct tpl_node **out)
{
    struct tpl_node **at;
    int rc = tpl_node_new(r, TPL_WITH, r->token.line, out);

    if (rc == 0)
        rc = tpl_advance(r);
    if (rc != 0)
        return rc;
    for (at = &(*out)->first; rc == 0 && r->token.kind != TPL_T_BLOCK_END; at = &(*at)->next) {
        if (at != &(*out)->first)
            rc = tpl_expect(r, ',');
        if (rc == 0)
            rc = tpl_read_target(r, false, at);
        if (rc == 0)
            rc = tpl_expect(r, '=');
        if (rc != 0)
            break;
        at = &(*at)->next;
        rc = tpl_read_expression(r, true, at);
    }
    return rc == 0 ? read_whole(r, "endwith", &(*out)->body) : rc;
}

static int read_parameters(struct tpl_reader *r, struct tpl_node *macro)
{
    struct tpl_node **at = &macro->first, *name;
    bool more, defaults = false;
    int rc = tpl_expect(r, '(');

    while (rc == 0 && !tpl_at(r, ')')) {
        if (at != &macro->first)
            rc = tpl_expect(r, ',');
        if (rc == 0)
            rc = tpl_read_name_target(r, &name);
        if (rc == 0)
            rc = tpl_skip_if(r, '=', &more);
        if (rc != 0)
            break;
        name->kind = TPL_PARAMETER;
        if (more)
            rc = tpl_read_expression(r, true, &name->a);
        else if (defaults)
            rc = tpl_reader_fail(r, r->token.line, -SRQ_EFORMAT, "a parameter without default follows one with it");
        defaults = defaults || more;
        *at = name;
        at = &name->next;
    }
    return rc == 0 ? tpl_expect(r, ')') : rc;
}

static int read_macro(struct tpl_reader *r, struct tpl_node **out)
{
    struct tpl_node *name;
    int rc = tpl_node_new(r, TPL_DEFINE, r->token.line, out);

    if (rc == 0)
        rc = tpl_advance(r);
    if (rc == 0)
        rc = tpl_read_name_target(r, &name);
    if (rc != 0)
        return rc;
    (*out)->id = name->id;
    (*out)->value = name->value;
    rc = read_parameters(r, *out);
    r->macros++;
    if (rc == 0)
        rc = read_apart(r, "endmacro", &(*out)->body);
    r->macros--;
    return rc;
}

static int read_generation(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = tpl_node_new(r, TPL_GENERATION, r->token.line, out);

    if (rc == 0)
        rc = tpl_advance(r);
    return rc == 0 ? read_apart(r, "endgeneration", &(*out)->body) : rc;
}

static int read_jump(struct tpl_reader *r, struct tpl_node **out)
{
    bool leaves = tpl_at_name(r, "break");
    int rc = tpl_node_new(r, leaves ? TPL_BREAK : TPL_CONTINUE, r->token.line, out);

    if (rc == 0 && r->loops == 0)
        rc = tpl_reader_fail(r, r->token.line, -SRQ_EFORMAT, "\"%s\" outside of a loop", leaves ? "break" : "continue");
    return rc == 0 ? tpl_advance(r) : rc;
}

static int read_statement(struct tpl_reader *r, struct tpl_node **out)
{
    static const struct {
        const char *name;
        int (*read)(struct tpl_reader *r, struct tpl_node **out);
    } tags[] = { { "for", read_for },
                 { "if", read_if },
                 { "set", read_set },
                 { "macro", read_macro },
                 { "break", read_jump },
                 { "continue", read_jump },
                 { "with", read_with },
                 { "filter", read_filter_block },
                 { "generation", read_generation } };
    static const char *const known[] = { "block", "extends", "print",      "include", "from", "import",
                                         "call",  "do",      "autoescape", "trans",   "debug" };
    char got[100];

    if (r->token.kind != TPL_T_NAME)
        return tpl_unexpected(r, "the name of a tag");
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        if (tpl_at_name(r, tags[i].name))
            return tags[i].read(r, out);
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (tpl_at_name(r, known[i]))
            return tpl_reader_fail(r, r->token.line, -SRQ_EUNSUPPORTED, "tag \"%s\" is not supported", known[i]);
    }
    return tpl_reader_fail(r, r->token.line, -SRQ_EFORMAT, "tag %s is unknown or has no place here",
                           describe(&r->token, got));
}

/* One of text, {{ }} and {% %}. */
static int read_part(struct tpl_reader *r, struct tpl_node **out)
{
    uint32_t line = r->token.line;
    int rc = tpl_advance(r);

    if (rc == 0)
        rc = tpl_node_new(r, TPL_PRINT, line, out);
    if (rc == 0)
        rc = tpl_read_tuple(r, 0, &(*out)->a);
    return rc == 0 ? tpl_expect_kind(r, TPL_T_VARIABLE_END, "\"}}\"") : rc;
}

static int read_data(struct tpl_reader *r, struct tpl_node **out)
{
    int rc = tpl_node_new(r, TPL_DATA, r->token.line, out);

    if (rc != 0)
        return rc;
    (*out)->value = r->token.value;
    return tpl_advance(r);
}

static bool at_end(const struct tpl_reader *r, const char *const *ends)
{
    for (; ends != NULL && *ends != NULL; ends++) {
        if (tpl_at_name(r, *ends))
            return true;
    }
    return false;
}

/* Up to the end of the template, or, with `ends`, to one of these tags. */
static int read_parts(struct tpl_reader *r, const char *const *ends, struct tpl_node **body)
{
    struct tpl_node **at = body;
    int rc = 0;

    while (rc == 0 && r->token.kind != TPL_T_END) {
        if (r->token.kind == TPL_T_DATA) {
            rc = read_data(r, at);
        } else if (r->token.kind == TPL_T_VARIABLE) {
            rc = read_part(r, at);
        } else {
            rc = tpl_expect_kind(r, TPL_T_BLOCK, "a tag");
            if (rc == 0 && at_end(r, ends))
                return 0;
            if (rc == 0)
                rc = read_statement(r, at);
            if (rc == 0)
                rc = tpl_expect_kind(r, TPL_T_BLOCK_END, "\"%}\"");
        }
        if (rc == 0)
            at = &(*at)->next;
    }
    if (rc == 0 && ends != NULL)
        rc = tpl_reader_fail(r, r->token.line, -SRQ_EFORMAT, "the template ends before \"%s\"", ends[0]);
    return rc;
}

static int read_body(struct tpl_reader *r, const char *const *ends, struct tpl_node **body)
{
    int rc = tpl_nest(r);

    if (rc == 0)
        rc = read_parts(r, ends, body);
    r->nesting--;
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Line ends as \n, without the last one; with a NUL behind. */
static char *normalize(struct tpl_arena *a, const char *text, size_t *len)
{
    char *out = tpl_arena_get(a, *len + 1);
    size_t n = 0;

    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < *len; i++) {
        if (text[i] == '\r' && i + 1 < *len && text[i + 1] == '\n')
            continue;
        out[n++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (n > 0 && out[n - 1] == '\n')
        n--;
    out[n] = '\0';
    *len = n;
    return out;
}

/* Functions are known by now, as macros may be called before they are written. */
static int check_calls(struct tpl_reader *r)
{
    char shown[80];

    for (const struct tpl_node *n = r->calls; n != NULL; n = n->d) {
        const struct tpl_node *f = n->a;

        if (!r->names[f->id].assigned && tpl_find(tpl_functions, f->value.text.p, f->value.text.len) == NULL)
            return tpl_reader_fail(r, n->line, -SRQ_EUNSUPPORTED, "function \"%s\" is not supported",
                                   tpl_show(f->value.text.p, f->value.text.len, shown, sizeof(shown)));
    }
    return 0;
}

static int intern_context(struct tpl_reader *r, struct srq_template *t)
{
    struct tpl_value name;
    int rc = 0;

    for (int i = 0; rc == 0 && tpl_context_names[i] != NULL; i++) {
        name = tpl_text(tpl_context_names[i], strlen(tpl_context_names[i]));
        rc = tpl_intern(r, &name, &t->context[i]);
    }
    name = tpl_text("loop", 4);
    return rc == 0 ? tpl_intern(r, &name, &t->loop) : rc;
}

static int read_template(struct srq_template *t, const char *text, size_t len, struct srq_error *err)
{
    struct tpl_reader r = { .arena = &t->arena, .what = t->what, .err = err };
    struct tpl_node *body = NULL;
    char *source = normalize(&t->arena, text, &len);
    int rc = source != NULL ? 0 : tpl_reader_no_memory(&r);

    r.lexer = (struct tpl_lexer){ .arena = &t->arena, .what = t->what, .err = err };
    if (rc == 0) {
        tpl_lexer_begin(&r.lexer, source, len);
        rc = tpl_lexer_next(&r.lexer, &r.next);
    }
    if (rc == 0)
        rc = tpl_advance(&r);
    if (rc == 0)
        rc = intern_context(&r, t);
    if (rc == 0)
        rc = read_body(&r, NULL, &body);
    if (rc == 0)
        rc = check_calls(&r);
    t->body = body;
    t->names = r.names;
    t->name_count = r.name_count;
    srq_free(r.slots);
    return rc;
}

int srq_template_read(const char *text, size_t len, const char *what, struct srq_template **out, struct srq_error *err)
{
    struct srq_template *t;
    int rc;

    *out = NULL;
    if (len > SRQ_TEMPLATE_TEXT_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%.300s: a chat template of %zu bytes, more than %zu", what, len,
                              SRQ_TEMPLATE_TEXT_MAX);
    t = srq_calloc(1, sizeof(*t));
    if (t == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %.300s", what);
    t->arena.max = SRQ_TEMPLATE_MEMORY_MAX;
    t->what = srq_strdup(what);
    rc = t->what != NULL ? read_template(t, text, len, err)
                         : srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %.300s", what);
    if (rc != 0) {
        srq_template_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void srq_template_free(struct srq_template *t)
{
    if (t == NULL)
        return;
    tpl_arena_fini(&t->arena);
    srq_free(t->names);
    srq_free(t->what);
    srq_free(t);
}
