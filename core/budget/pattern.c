/* Layer patterns: names, globs and regular expressions. */
#include "core/budget/plan.h"

#include "core/base/alloc.h"

#include <fnmatch.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct srq_pattern {
    char *text;
    bool glob;
    pcre2_code *re; /* NULL: a name or a glob */
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static int compile_regex(struct srq_pattern *p, const char *expression, struct srq_error *err)
{
    int code;
    PCRE2_SIZE at;

    p->re = pcre2_compile((PCRE2_SPTR)expression, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code,
                          &at, NULL);
    if (p->re == NULL) {
        PCRE2_UCHAR why[160];

        pcre2_get_error_message(code, why, sizeof(why));
        return srq_fail_field(err, -SRQ_EINVAL, "layers", "layer pattern \"%.200s\": %s at character %zu", p->text,
                              (const char *)why, (size_t)at);
    }
    p->match = pcre2_match_data_create_from_pattern(p->re, NULL);
    p->limits = pcre2_match_context_create(NULL);
    if (p->match == NULL || p->limits == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, "layers", "out of memory for layer pattern \"%.200s\"", p->text);
    /* A pattern that backtracks without end must not hold up whoever asked. */
    pcre2_set_match_limit(p->limits, 1000000);
    pcre2_set_depth_limit(p->limits, 10000);
    return 0;
}

int srq_pattern_compile(const char *text, struct srq_pattern **out, struct srq_error *err)
{
    struct srq_pattern *p = srq_calloc(1, sizeof(*p));
    int rc = 0;

    if (p != NULL)
        p->text = srq_strdup(text);
    if (p == NULL || p->text == NULL)
        rc = srq_fail_field(err, -SRQ_ENOMEM, "layers", "out of memory for a layer pattern");
    else if (text[0] == '\0')
        rc = srq_fail_field(err, -SRQ_EINVAL, "layers", "a layer pattern is empty");
    else if (strncmp(text, "re:", 3) == 0)
        rc = compile_regex(p, text + 3, err);
    else
        p->glob = strpbrk(text, "*?[") != NULL;
    if (rc != 0)
        srq_pattern_free(p);
    else
        *out = p;
    return rc;
}

bool srq_pattern_exact(const struct srq_pattern *p, const char *name)
{
    return p->re == NULL && strcmp(p->text, name) == 0;
}

bool srq_pattern_match(const struct srq_pattern *p, const char *name)
{
    if (p->re != NULL)
        return pcre2_match(p->re, (PCRE2_SPTR)name, strlen(name), 0, 0, p->match, p->limits) >= 0;
    return p->glob ? fnmatch(p->text, name, FNM_NOESCAPE) == 0 : strcmp(p->text, name) == 0;
}

void srq_pattern_free(struct srq_pattern *p)
{
    if (p == NULL)
        return;
    pcre2_match_context_free(p->limits);
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->re);
    srq_free(p->text);
    srq_free(p);
}
