/* Calls: arguments to parameters, and the methods and functions that templates have. */
#include "core/text/template_parts.h"

#include "core/base/utf8.h"

#include <locale.h>
#include <time.h>

#define RANGE_MAX 100000 /* as the sandbox has it */

/* ---- arguments --------------------------------------------------------------------------------------------------- */

const struct tpl_routine *tpl_find(const struct tpl_routine *table, const char *p, size_t len)
{
    for (; table->name != NULL; table++) {
        if (strlen(table->name) == len && memcmp(table->name, p, len) == 0)
            return table;
    }
    return NULL;
}

/* The place of a name in "a b c", or -1. */
static int place_of(const char *params, const struct tpl_value *name)
{
    for (int i = 0; *params != '\0'; i++) {
        size_t n = strcspn(params, " ");

        if (tpl_same(name, params, n))
            return i;
        params += n + (params[n] == ' ');
    }
    return -1;
}

static int count_params(const char *params)
{
    int n = params[0] != '\0';

    for (; *params != '\0'; params++)
        n += *params == ' ';
    return n;
}

static int bind_named(struct tpl_run *r, const struct tpl_routine *f, const struct tpl_named_value *named,
                      struct tpl_call *call)
{
    int at = place_of(f->params, &named->name);
    char shown[80];

    if (at < 0 || call->arg[at].kind != TPL_ABSENT)
        return tpl_fail(r, -SRQ_EFORMAT, "%s: %s argument '%s'", f->name, at < 0 ? "no" : "two values for",
                        tpl_show(named->name.text.p, named->name.text.len, shown, sizeof(shown)));
    call->arg[at] = named->value;
    return 0;
}

int tpl_invoke(struct tpl_run *r, const struct tpl_routine *f, const struct tpl_value *self,
               const struct tpl_args *args, struct tpl_value *out)
{
    struct tpl_call call = { .self = *self, .args = args };
    int rc = tpl_step(r, 1);

    if (rc != 0 || f->params == NULL)
        return rc != 0 ? rc : f->run(r, &call, out);
    if (args->count > (size_t)count_params(f->params))
        return tpl_fail(r, -SRQ_EFORMAT, "%s: %zu arguments are too many", f->name, args->count);
    for (size_t i = 0; i < args->count; i++)
        call.arg[i] = args->list[i];
    for (size_t i = 0; rc == 0 && i < args->named_count; i++)
        rc = bind_named(r, f, &args->named[i], &call);
    for (int i = 0; rc == 0 && i < f->required; i++) {
        if (call.arg[i].kind == TPL_ABSENT)
            rc = tpl_fail(r, -SRQ_EFORMAT, "%s: an argument is missing", f->name);
    }
    return rc == 0 ? f->run(r, &call, out) : rc;
}

int tpl_call_value(struct tpl_run *r, const struct tpl_value *f, const struct tpl_args *args, struct tpl_value *out)
{
    int rc = tpl_enter(r);

    if (rc != 0)
        return rc;
    if (f->kind == TPL_UNDEFINED)
        rc = tpl_undefined_fail(r, f);
    else if (f->kind == TPL_MACRO)
        rc = tpl_call_macro(r, f->macro, args, out);
    else if (f->kind == TPL_FUNCTION)
        rc = tpl_invoke(r, f->function, f, args, out);
    else if (f->kind == TPL_METHOD)
        rc = tpl_invoke(r, f->method->routine, &f->method->self, args, out);
    else
        rc = tpl_fail(r, -SRQ_EFORMAT, "'%s' object is not callable", tpl_type_name(f));
    r->depth--;
    return rc;
}

static int want_text(struct tpl_run *r, const struct tpl_value *v, const char *who)
{
    if (v->kind == TPL_TEXT)
        return 0;
    if (v->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, v);
    return tpl_fail(r, -SRQ_EFORMAT, "%s wants a string, not '%s'", who, tpl_type_name(v));
}

static int want_int(struct tpl_run *r, const struct tpl_value *v, int64_t otherwise, const char *who, int64_t *out)
{
    *out = otherwise;
    if (v->kind == TPL_ABSENT)
        return 0;
    if (v->kind == TPL_UNDEFINED)
        return tpl_undefined_fail(r, v);
    if (v->kind != TPL_INT && v->kind != TPL_BOOL)
        return tpl_fail(r, -SRQ_EFORMAT, "%s wants an integer, not '%s'", who, tpl_type_name(v));
    *out = tpl_as_int(v);
    return 0;
}

/* ---- methods of strings ------------------------------------------------------------------------------------------ */

static bool among(uint32_t code, const struct tpl_value *chars)
{
    uint32_t other;

    if (chars == NULL)
        return tpl_space(code);
    for (size_t at = 0; at < chars->text.len;) {
        at += (size_t)srq_utf8_next(chars->text.p + at, &other);
        if (other == code)
            return true;
    }
    return false;
}

static struct tpl_value stripped(const struct tpl_value *text, const struct tpl_value *chars, bool left, bool right)
{
    const char *p = text->text.p, *end = p + text->text.len, *last;
    uint32_t code;

    while (left && p < end) {
        int n = srq_utf8_next(p, &code);

        if (!among(code, chars))
            break;
        p += n;
    }
    while (right && end > p) {
        for (last = end - 1; ((unsigned char)*last & 0xc0) == 0x80;)
            last--;
        srq_utf8_next(last, &code);
        if (!among(code, chars))
            break;
        end = last;
    }
    return tpl_text(p, (size_t)(end - p));
}

static int strip(struct tpl_run *r, const struct tpl_call *c, bool left, bool right, struct tpl_value *out)
{
    bool chars = tpl_given(&c->arg[0]);
    int rc = chars ? want_text(r, &c->arg[0], "strip") : 0;

    if (rc == 0)
        rc = tpl_step(r, c->self.text.len * (chars ? c->arg[0].text.len : 1) / 64);
    if (rc == 0)
        *out = stripped(&c->self, chars ? &c->arg[0] : NULL, left, right);
    return rc;
}

static int text_strip(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return strip(r, c, true, true, out);
}

static int text_lstrip(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return strip(r, c, true, false, out);
}

static int text_rstrip(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return strip(r, c, false, true, out);
}

static const char *first_of(const char *p, size_t len, const struct tpl_value *what)
{
    return len >= what->text.len && len > 0 ? memmem(p, len, what->text.p, what->text.len) : NULL;
}

static const char *last_of(const char *p, size_t len, const struct tpl_value *what)
{
    for (size_t at = len >= what->text.len ? len - what->text.len + 1 : 0; at-- > 0;) {
        if (memcmp(p + at, what->text.p, what->text.len) == 0)
            return p + at;
    }
    return NULL;
}

static int add_piece(struct tpl_run *r, struct tpl_list *list, const char *p, const char *end)
{
    struct tpl_value v = tpl_text(p, (size_t)(end - p));

    return tpl_list_add(r, list, &v);
}

/* At `what`, at most `most` times (negative: all), from the right where `right`. */
static int split_at(struct tpl_run *r, const struct tpl_value *text, const struct tpl_value *what, int64_t most,
                    bool right, struct tpl_list *list)
{
    const char *p = text->text.p, *end = p + text->text.len, *hit;
    int rc = 0;

    for (; rc == 0 && most != 0; most -= most > 0) {
        hit = right ? last_of(p, (size_t)(end - p), what) : first_of(p, (size_t)(end - p), what);
        if (hit == NULL)
            break;
        if (right) {
            rc = add_piece(r, list, hit + what->text.len, end);
            end = hit;
        } else {
            rc = add_piece(r, list, p, hit);
            p = hit + what->text.len;
        }
    }
    return rc == 0 ? add_piece(r, list, p, end) : rc;
}

/* Past white space, or past what is none. */
static const char *skip(const char *p, const char *end, bool space)
{
    uint32_t code;

    while (p < end) {
        int n = srq_utf8_next(p, &code);

        if (tpl_space(code) != space)
            break;
        p += n;
    }
    return p;
}

/* The same from `end` towards `begin`. */
static const char *skip_back(const char *begin, const char *end, bool space)
{
    uint32_t code;

    while (end > begin) {
        const char *p = end - 1;

        while (((unsigned char)*p & 0xc0) == 0x80)
            p--;
        srq_utf8_next(p, &code);
        if (tpl_space(code) != space)
            break;
        end = p;
    }
    return end;
}

/* At runs of white space; what is left when there were enough keeps its far end. */
static int split_words(struct tpl_run *r, const struct tpl_value *text, int64_t most, bool right, struct tpl_list *list)
{
    const char *p = text->text.p, *end = p + text->text.len, *cut;
    int rc = 0;

    p = right ? p : skip(p, end, true);
    end = right ? skip_back(p, end, true) : end;
    for (; rc == 0 && p<end; most -= most> 0) {
        if (most == 0)
            return add_piece(r, list, p, end);
        cut = right ? skip_back(p, end, false) : skip(p, end, false);
        rc = right ? add_piece(r, list, cut, end) : add_piece(r, list, p, cut);
        if (right)
            end = skip_back(p, cut, true);
        else
            p = skip(cut, end, true);
    }
    return rc;
}

static int split(struct tpl_run *r, const struct tpl_call *c, bool right, struct tpl_value *out)
{
    int64_t most;
    int rc = want_int(r, &c->arg[1], -1, "split", &most);

    if (rc == 0 && tpl_given(&c->arg[0]))
        rc = want_text(r, &c->arg[0], "split");
    if (rc == 0 && tpl_given(&c->arg[0]) && c->arg[0].text.len == 0)
        return tpl_fail(r, -SRQ_EFORMAT, "empty separator");
    if (rc == 0)
        rc = tpl_step(r, c->self.text.len * (right && tpl_given(&c->arg[0]) ? c->arg[0].text.len : 1) / 16);
    *out = (struct tpl_value){ .kind = TPL_LIST };
    if (rc == 0)
        rc = tpl_list_new(r, &out->list);
    if (rc != 0)
        return rc;
    rc = tpl_given(&c->arg[0]) ? split_at(r, &c->self, &c->arg[0], most, right, out->list)
                               : split_words(r, &c->self, most, right, out->list);
    for (size_t i = 0, n = out->list->count; rc == 0 && right && i < n / 2; i++) {
        struct tpl_value v = out->list->items[i];

        out->list->items[i] = out->list->items[n - 1 - i];
        out->list->items[n - 1 - i] = v;
    }
    return rc;
}

static int text_split(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return split(r, c, false, out);
}

static int text_rsplit(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return split(r, c, true, out);
}

static bool line_break(uint32_t code)
{
    return (code >= '\n' && code <= '\r') || (code >= 0x1c && code <= 0x1e) || code == 0x85 || code == 0x2028 ||
           code == 0x2029;
}

static int text_splitlines(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const char *p = c->self.text.p, *end = p + c->self.text.len, *begin = p;
    bool keeps = tpl_truth(&c->arg[0]) != 0;
    uint32_t code;
    int rc = tpl_step(r, c->self.text.len / 16);

    *out = (struct tpl_value){ .kind = TPL_LIST };
    if (rc == 0)
        rc = tpl_list_new(r, &out->list);
    while (rc == 0 && p < end) {
        const char *line = p;

        p += srq_utf8_next(p, &code);
        if (!line_break(code))
            continue;
        p += code == '\r' && p < end && *p == '\n';
        rc = add_piece(r, out->list, begin, keeps ? p : line);
        begin = p;
    }
    return rc == 0 && begin < end ? add_piece(r, out->list, begin, end) : rc;
}

static bool affixed(const struct tpl_value *text, const struct tpl_value *affix, bool end)
{
    size_t n = affix->text.len, at = end ? text->text.len - n : 0;

    return n <= text->text.len && (n == 0 || memcmp(text->text.p + at, affix->text.p, n) == 0);
}

static int test_affix(struct tpl_run *r, const struct tpl_call *c, bool end, struct tpl_value *out)
{
    const struct tpl_value *affix = &c->arg[0];
    bool any = false;
    int rc = 0;

    if (affix->kind != TPL_TUPLE) {
        rc = want_text(r, affix, end ? "endswith" : "startswith");
        any = rc == 0 && affixed(&c->self, affix, end);
    }
    for (size_t i = 0; affix->kind == TPL_TUPLE && rc == 0 && i < affix->list->count; i++) {
        rc = want_text(r, &affix->list->items[i], end ? "endswith" : "startswith");
        any = any || (rc == 0 && affixed(&c->self, &affix->list->items[i], end));
    }
    *out = tpl_bool(any);
    return rc;
}

static int text_startswith(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return test_affix(r, c, false, out);
}

static int text_endswith(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return test_affix(r, c, true, out);
}

static int remove_affix(struct tpl_run *r, const struct tpl_call *c, bool end, struct tpl_value *out)
{
    int rc = want_text(r, &c->arg[0], end ? "removesuffix" : "removeprefix");
    size_t n = rc == 0 && affixed(&c->self, &c->arg[0], end) ? c->arg[0].text.len : 0;

    *out = tpl_text(c->self.text.p + (end ? 0 : n), c->self.text.len - n);
    return rc;
}

static int text_removeprefix(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return remove_affix(r, c, false, out);
}

static int text_removesuffix(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return remove_affix(r, c, true, out);
}

static int text_replace(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const struct tpl_value *old = &c->arg[0], *new = &c->arg[1];
    const char *p = c->self.text.p, *end = p + c->self.text.len, *hit = p;
    int64_t most;
    int rc = want_text(r, old, "replace");

    if (rc == 0)
        rc = want_text(r, new, "replace");
    if (rc == 0)
        rc = want_int(r, &c->arg[2], -1, "replace", &most);
    *out = tpl_text("", 0);
    for (; rc == 0 && most != 0; most -= most > 0) {
        uint32_t code;

        hit = old->text.len > 0 ? first_of(p, (size_t)(end - p), old) : hit;
        if (hit == NULL || hit > end)
            break;
        rc = tpl_add(r, out, p, (size_t)(hit - p));
        if (rc == 0)
            rc = tpl_add(r, out, new->text.p, new->text.len);
        p = hit + old->text.len;
        if (old->text.len == 0) /* before each character and at the end */
            hit = hit < end ? hit + srq_utf8_next(hit, &code) : end + 1;
        if (rc == 0)
            rc = tpl_step(r, 1);
    }
    return rc == 0 ? tpl_add(r, out, p, (size_t)(end - p)) : rc;
}

static int find(struct tpl_run *r, const struct tpl_call *c, bool right, struct tpl_value *out)
{
    const char *hit;
    int rc = want_text(r, &c->arg[0], "find");

    if (rc == 0)
        rc = tpl_step(r, c->self.text.len * (right ? c->arg[0].text.len : 1) / 16);
    if (rc != 0)
        return rc;
    if (c->arg[0].text.len == 0)
        hit = c->self.text.p + (right ? c->self.text.len : 0);
    else
        hit = right ? last_of(c->self.text.p, c->self.text.len, &c->arg[0])
                    : first_of(c->self.text.p, c->self.text.len, &c->arg[0]);
    *out = tpl_int(hit != NULL ? (int64_t)tpl_chars(c->self.text.p, (size_t)(hit - c->self.text.p)) : -1);
    return 0;
}

static int text_find(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return find(r, c, false, out);
}

static int text_rfind(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return find(r, c, true, out);
}

static int text_count(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const char *p = c->self.text.p, *end = p + c->self.text.len;
    int64_t n = 0;
    int rc = want_text(r, &c->arg[0], "count");

    if (rc == 0)
        rc = tpl_step(r, c->self.text.len / 16);
    if (rc == 0 && c->arg[0].text.len == 0)
        n = (int64_t)tpl_chars(p, c->self.text.len) + 1;
    else if (rc == 0)
        for (; (p = first_of(p, (size_t)(end - p), &c->arg[0])) != NULL; p += c->arg[0].text.len)
            n++;
    *out = tpl_int(n);
    return rc;
}

static int text_join(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    struct tpl_iter it;
    struct tpl_value v;
    bool any = false;
    int rc = tpl_iter_begin(r, &c->arg[0], &it);

    *out = tpl_text("", 0);
    while (rc == 0 && (rc = tpl_iter_next(r, &it, &v)) == 1) {
        rc = want_text(r, &v, "join");
        if (rc == 0 && any)
            rc = tpl_add(r, out, c->self.text.p, c->self.text.len);
        if (rc == 0)
            rc = tpl_add(r, out, v.text.p, v.text.len);
        any = true;
    }
    return rc;
}

static int text_upper(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return tpl_convert(r, &c->self, TPL_UPPER, out);
}

static int text_lower(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return tpl_convert(r, &c->self, TPL_LOWER, out);
}

static int text_title(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return tpl_convert(r, &c->self, TPL_TITLE, out);
}

static int text_capitalize(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return tpl_convert(r, &c->self, TPL_CAPITALIZE, out);
}

/* ---- methods of lists and objects -------------------------------------------------------------------------------- */

static int list_index(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->self.list->count; i++) {
        rc = tpl_equal(r, &c->self.list->items[i], &c->arg[0]);
        *out = tpl_int((int64_t)i);
    }
    return rc == 1 ? 0 : rc < 0 ? rc : tpl_fail(r, -SRQ_EFORMAT, "index: the value is not in the list");
}

static int list_count(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int64_t n = 0;
    int rc = 0;

    for (size_t i = 0; rc >= 0 && i < c->self.list->count; i++) {
        rc = tpl_equal(r, &c->self.list->items[i], &c->arg[0]);
        n += rc == 1;
    }
    *out = tpl_int(n);
    return rc < 0 ? rc : 0;
}

static int dict_get(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    int rc = tpl_dict_get(r, c->self.dict, &c->arg[0], out);

    if (rc == 0)
        *out = c->arg[1].kind != TPL_ABSENT ? c->arg[1] : tpl_none();
    return rc < 0 ? rc : 0;
}

static int view(struct tpl_run *r, const struct tpl_value *dict, enum tpl_view which, struct tpl_value *out)
{
    int rc;

    *out = (struct tpl_value){ .kind = TPL_VIEW, .of = (uint8_t)which };
    rc = tpl_list_new(r, &out->list);
    for (size_t i = 0; rc == 0 && i < dict->dict->count; i++) {
        const struct tpl_pair *p = &dict->dict->pairs[i];
        struct tpl_value v = which == TPL_VALUES ? p->value : p->key;

        if (which == TPL_ITEMS)
            rc = tpl_pair_tuple(r, p, &v);
        if (rc == 0)
            rc = tpl_list_add(r, out->list, &v);
    }
    return rc;
}

static int dict_items(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return view(r, &c->self, TPL_ITEMS, out);
}

static int dict_keys(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return view(r, &c->self, TPL_KEYS, out);
}

static int dict_values(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return view(r, &c->self, TPL_VALUES, out);
}

static int same(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    *out = c->self; /* nothing changes it */
    return tpl_step(r, 1);
}

const struct tpl_routine tpl_methods[] = {
    { "strip", "chars", 0, text_strip, TPL_TEXT },
    { "lstrip", "chars", 0, text_lstrip, TPL_TEXT },
    { "rstrip", "chars", 0, text_rstrip, TPL_TEXT },
    { "split", "sep maxsplit", 0, text_split, TPL_TEXT },
    { "rsplit", "sep maxsplit", 0, text_rsplit, TPL_TEXT },
    { "splitlines", "keepends", 0, text_splitlines, TPL_TEXT },
    { "startswith", "prefix", 1, text_startswith, TPL_TEXT },
    { "endswith", "suffix", 1, text_endswith, TPL_TEXT },
    { "removeprefix", "prefix", 1, text_removeprefix, TPL_TEXT },
    { "removesuffix", "suffix", 1, text_removesuffix, TPL_TEXT },
    { "replace", "old new count", 2, text_replace, TPL_TEXT },
    { "find", "sub", 1, text_find, TPL_TEXT },
    { "rfind", "sub", 1, text_rfind, TPL_TEXT },
    { "count", "sub", 1, text_count, TPL_TEXT },
    { "join", "iterable", 1, text_join, TPL_TEXT },
    { "upper", "", 0, text_upper, TPL_TEXT },
    { "lower", "", 0, text_lower, TPL_TEXT },
    { "title", "", 0, text_title, TPL_TEXT },
    { "capitalize", "", 0, text_capitalize, TPL_TEXT },
    { "index", "value", 1, list_index, TPL_LIST },
    { "count", "value", 1, list_count, TPL_LIST },
    { "copy", "", 0, same, TPL_LIST },
    { "index", "value", 1, list_index, TPL_TUPLE },
    { "count", "value", 1, list_count, TPL_TUPLE },
    { "get", "key default", 1, dict_get, TPL_DICT },
    { "items", "", 0, dict_items, TPL_DICT },
    { "keys", "", 0, dict_keys, TPL_DICT },
    { "values", "", 0, dict_values, TPL_DICT },
    { "copy", "", 0, same, TPL_DICT },
    { NULL, NULL, 0, NULL, 0 },
};

/* ---- functions --------------------------------------------------------------------------------------------------- */

static int make_range(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    bool one = c->arg[1].kind == TPL_ABSENT;
    struct tpl_range *range = tpl_new(r, sizeof(*range));
    int64_t start = 0, stop = 0, step = 1;
    int rc = range == NULL ? tpl_no_memory(r) : want_int(r, &c->arg[0], 0, "range", one ? &stop : &start);

    if (rc == 0 && !one)
        rc = want_int(r, &c->arg[1], 0, "range", &stop);
    if (rc == 0)
        rc = want_int(r, &c->arg[2], 1, "range", &step);
    if (rc != 0)
        return rc;
    if (step == 0)
        return tpl_fail(r, -SRQ_EFORMAT, "range() step must not be zero");
    if (step > 0 ? stop > start : stop < start) {
        __int128 far = (__int128)stop - start, count = step > 0 ? (far + step - 1) / step : (far + step + 1) / step;

        if (count > RANGE_MAX)
            return tpl_fail(r, -SRQ_ELIMIT, "a range of more than %d numbers", RANGE_MAX);
        range->count = (int64_t)count;
    }
    range->start = start;
    range->step = step;
    *out = (struct tpl_value){ .kind = TPL_RANGE, .range = range };
    return 0;
}

/* From an object or a list of pairs. */
static int put_all(struct tpl_run *r, const struct tpl_value *from, struct tpl_dict *to)
{
    struct tpl_list *list;
    int rc = 0;

    for (size_t i = 0; rc == 0 && from->kind == TPL_DICT && i < from->dict->count; i++)
        rc = tpl_dict_put(r, to, &from->dict->pairs[i].key, &from->dict->pairs[i].value);
    if (from->kind == TPL_DICT)
        return rc;
    rc = tpl_collect(r, from, &list);
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        const struct tpl_value *p = &list->items[i];

        if ((p->kind == TPL_TUPLE || p->kind == TPL_LIST) && p->list->count == 2)
            rc = tpl_dict_put(r, to, &p->list->items[0], &p->list->items[1]);
        else
            rc = tpl_fail(r, -SRQ_EFORMAT, "an object is made of pairs, not of '%s'", tpl_type_name(p));
    }
    return rc;
}

static int make_object(struct tpl_run *r, const struct tpl_call *c, uint8_t kind, struct tpl_value *out)
{
    int rc;

    *out = (struct tpl_value){ .kind = kind };
    rc = tpl_dict_new(r, &out->dict);
    if (rc == 0 && c->args->count > 1)
        rc = tpl_fail(r, -SRQ_EFORMAT, "an object is made of at most one other, not of %zu", c->args->count);
    if (rc == 0 && c->args->count == 1)
        rc = put_all(r, &c->args->list[0], out->dict);
    for (size_t i = 0; rc == 0 && i < c->args->named_count; i++)
        rc = tpl_dict_put(r, out->dict, &c->args->named[i].name, &c->args->named[i].value);
    return rc;
}

static int make_dict(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return make_object(r, c, TPL_DICT, out);
}

static int make_namespace(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    return make_object(r, c, TPL_NAMESPACE, out);
}

static int raise_exception(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    char shown[400];
    int rc = tpl_str(r, &c->arg[0], out);

    return rc != 0 ? rc
                   : tpl_fail(r, -SRQ_EFORMAT, "the template refuses it: %s",
                              tpl_show(out->text.p, out->text.len, shown, sizeof(shown)));
}

/* The conversions of strftime that say the same everywhere. */
static bool known_time_format(const char *f)
{
    for (; *f != '\0'; f++) {
        if (*f != '%')
            continue;
        f += f[1] == '-' ? 2 : 1;
        if (*f == '\0' || strchr("aAbBcCdDeFgGhHIjmMnpRStTuUVwWxXyY%", *f) == NULL)
            return false;
    }
    return true;
}

/* 26 July 2024, midnight, in the C locale: what a template tells of today does not change from day to day. */
static int strftime_now(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out)
{
    const struct tm day = { .tm_mday = 26, .tm_mon = 6, .tm_year = 124, .tm_wday = 5, .tm_yday = 207 };
    char format[200], text[1000], shown[80];
    locale_t plain;
    size_t n;
    int rc = want_text(r, &c->arg[0], "strftime_now");

    if (rc != 0)
        return rc;
    tpl_show(c->arg[0].text.p, c->arg[0].text.len, shown, sizeof(shown));
    if (c->arg[0].text.len >= sizeof(format) || memchr(c->arg[0].text.p, '\0', c->arg[0].text.len) != NULL)
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "date format \"%s\" is not supported", shown);
    memcpy(format, c->arg[0].text.p, c->arg[0].text.len);
    format[c->arg[0].text.len] = '\0';
    if (!known_time_format(format))
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "date format \"%s\" is not supported", shown);
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == (locale_t)0)
        return tpl_no_memory(r);
    n = strftime_l(text, sizeof(text), format, &day, plain);
    freelocale(plain);
    if (n == 0 && format[0] != '\0')
        return tpl_fail(r, -SRQ_EUNSUPPORTED, "date format \"%s\" is not supported", shown);
    *out = tpl_text("", 0);
    return tpl_add(r, out, text, n);
}

const struct tpl_routine tpl_functions[] = {
    { "range", "start stop step", 1, make_range, 0 }, { "dict", NULL, 0, make_dict, 0 },
    { "namespace", NULL, 0, make_namespace, 0 },      { "raise_exception", "message", 1, raise_exception, 0 },
    { "strftime_now", "format", 1, strftime_now, 0 }, { NULL, NULL, 0, NULL, 0 },
};
