/* Compiling and running of patterns. */
#include "core/text/regex.h"

#include "core/base/alloc.h"
#include "core/format/st_header.h"
#include "core/text/regex_parts.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define PATTERN_MAX 65536
#define MATCH_STEPS_MAX 50000000
#define MATCH_HEAP_MAX (64 * 1024) /* KiB */
#define JIT_STACK_MAX ((size_t)8 << 20)
#define SHOW 300

struct srq_regex {
    pcre2_code *code;
    char *text; /* for errors */
};

struct srq_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static int compile(struct srq_regex *p, const char *text, size_t len, bool literal, const char *what,
                   struct srq_error *err)
{
    uint32_t flags =
        literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    char message[128], shown[SHOW];
    PCRE2_SIZE at;
    int number;

    if (context == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    p->code = pcre2_compile((PCRE2_SPTR)text, len, flags, &number, &at, context);
    pcre2_compile_context_free(context);
    if (p->code == NULL) {
        pcre2_get_error_message(number, (PCRE2_UCHAR *)message, sizeof(message));
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: pattern \"%s\" does not compile: %s", what,
                              srq_st_show(p->text, shown, sizeof(shown)), message);
    }
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* where there is no JIT, the interpreter runs it */
    return 0;
}

static int translate_and_compile(struct srq_regex *p, const char *text, size_t len, const char *what,
                                 struct srq_error *err)
{
    struct srq_translation t = { .p = text, .end = text + len };
    char shown[SHOW];
    int rc;

    srq_buf_init(&t.out, (size_t)PATTERN_MAX * 64);
    srq_regex_translate(&t);
    if (t.out.failed)
        rc = srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
    else if (t.malformed != NULL)
        rc = srq_fail_field(err, -SRQ_EFORMAT, what, "%s: pattern \"%s\" does not compile: %s", what,
                            srq_st_show(p->text, shown, sizeof(shown)), t.malformed);
    else if (t.unsupported != NULL)
        rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: pattern \"%s\" uses %s, which srq does not read", what,
                            srq_st_show(p->text, shown, sizeof(shown)), t.unsupported);
    else
        rc = compile(p, t.out.data, t.out.len, false, what, err);
    srq_buf_fini(&t.out);
    return rc;
}

int srq_regex_compile(const char *text, size_t len, bool literal, const char *what, struct srq_regex **out,
                      struct srq_error *err)
{
    struct srq_regex *p;
    int rc = 0;

    *out = NULL;
    if (len > PATTERN_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: a pattern of %zu bytes, more than %d", what, len,
                              PATTERN_MAX);
    p = srq_calloc(1, sizeof(*p));
    if (p != NULL)
        p->text = srq_strndup(text, len);
    if (p == NULL || p->text == NULL) {
        srq_free(p);
        return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
    }
    if (!literal)
        rc = translate_and_compile(p, text, len, what, err);
    else
        rc = compile(p, text, len, len > 0, what, err); /* an empty one matches everywhere, as a pattern does */
    if (rc != 0) {
        srq_regex_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void srq_regex_free(struct srq_regex *p)
{
    if (p == NULL)
        return;
    pcre2_code_free(p->code);
    srq_free(p->text);
    srq_free(p);
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

struct srq_matcher *srq_matcher_create(void)
{
    struct srq_matcher *m = srq_calloc(1, sizeof(*m));

    if (m == NULL)
        return NULL;
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_MAX, NULL); /* NULL where there is no JIT */
    if (m->data == NULL || m->context == NULL) {
        srq_matcher_free(m);
        return NULL;
    }
    pcre2_set_match_limit(m->context, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(m->context, MATCH_HEAP_MAX);
    if (m->stack != NULL)
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return m;
}

void srq_matcher_free(struct srq_matcher *m)
{
    if (m == NULL)
        return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    srq_free(m);
}

int srq_regex_find(const struct srq_regex *p, struct srq_matcher *m, const char *text, size_t len, size_t from,
                   size_t *begin, size_t *end, struct srq_error *err)
{
    const PCRE2_SIZE *range;
    char shown[SHOW], message[128];
    int n;

    n = pcre2_match(p->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK, m->data, m->context);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n < 0) {
        pcre2_get_error_message(n, (PCRE2_UCHAR *)message, sizeof(message));
        return srq_fail(err, n == PCRE2_ERROR_NOMEMORY ? -SRQ_ENOMEM : -SRQ_ELIMIT,
                        "tokenizer pattern \"%s\" fails on this text: %s", srq_st_show(p->text, shown, sizeof(shown)),
                        message);
    }
    range = pcre2_get_ovector_pointer(m->data);
    *begin = range[0];
    *end = range[1];
    return 1;
}
