/* Pre-tokenizers, run one inside the other: each step cuts what it is given and hands the pieces to the next. */
#include "core/text/pretokenize.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"
#include "core/format/st_header.h"
#include "core/text/members.h"
#include "core/text/unicode.h"

#define STEPS_MAX 64
#define SHOW 120

static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

enum kind { SPLIT, DIGITS, BYTE_LEVEL, METASPACE };
enum behavior { ISOLATED, REMOVED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };
enum prepend { ALWAYS, FIRST, NEVER };

struct step {
    enum kind kind;
    struct srq_regex *pattern; /* NULL in Digits, and in ByteLevel without its own expression */
    enum behavior behavior;
    bool invert;
    bool prefix;          /* ByteLevel: a blank goes before a piece that begins otherwise */
    enum prepend prepend; /* Metaspace */
    char replacement[5];
};

struct srq_pretokenizer {
    struct step steps[STEPS_MAX];
    int count;
};

/* ---- the byte alphabet ------------------------------------------------------------------------------------------- */

static bool maps_to_itself(unsigned c)
{
    return (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || c >= 0xae;
}

uint32_t srq_byte_to_char(unsigned char byte)
{
    if (maps_to_itself(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100u + byte;
    return byte == 0xad ? 0x100u + 67 : 0x100u + 33 + (byte - 0x7fu); /* 7F … A0 follow the 33 below, AD is last */
}

int srq_char_to_byte(uint32_t code)
{
    if (code < 0x100)
        return maps_to_itself(code) ? (int)code : -1;
    if (code <= 0x120)
        return (int)code - 0x100;
    if (code < 0x100 + 67)
        return (int)code - 0x100 - 33 + 0x7f;
    return code == 0x100 + 67 ? 0xad : -1;
}

void srq_byte_map(const char *bytes, size_t len, struct srq_buf *out)
{
    char c[4];

    srq_buf_clear(out);
    for (size_t i = 0; i < len; i++)
        srq_buf_add(out, c, (size_t)srq_utf8_put(srq_byte_to_char((unsigned char)bytes[i]), c));
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int bad(struct srq_error *err, const char *what, const char *type, const char *key)
{
    return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: pre-tokenizer %s: \"%s\" is missing or not what it should be",
                          what, type, key);
}

static int read_split(const json_t *json, const char *what, struct step *s, struct srq_error *err)
{
    static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous" };
    const char *behavior = json_string_value(json_object_get(json, "behavior")), *text;
    int found = -1, rc;
    bool literal;

    for (int i = 0; behavior != NULL && i < 5; i++) {
        if (strcmp(behavior, names[i]) == 0)
            found = i;
    }
    if (found < 0)
        return bad(err, what, "Split", "behavior");
    s->kind = SPLIT;
    s->behavior = (enum behavior)found;
    rc = srq_member_flag(json, "invert", "pre-tokenizer Split", &s->invert, what, err);
    if (rc == 0)
        rc = srq_member_pattern(json, "pre-tokenizer Split", &text, &literal, what, err);
    return rc != 0 ? rc : srq_regex_compile(text, strlen(text), literal, what, &s->pattern, err);
}

static int read_byte_level(const json_t *json, const char *what, struct step *s, struct srq_error *err)
{
    bool regex = true, trim; /* trim_offsets has no part in ids */
    int rc;

    if (json_object_get(json, "add_prefix_space") == NULL)
        return bad(err, what, "ByteLevel", "add_prefix_space");
    s->kind = BYTE_LEVEL;
    rc = srq_member_flag(json, "add_prefix_space", "pre-tokenizer ByteLevel", &s->prefix, what, err);
    if (rc == 0)
        rc = srq_member_flag(json, "use_regex", "pre-tokenizer ByteLevel", &regex, what, err);
    if (rc == 0)
        rc = srq_member_flag(json, "trim_offsets", "pre-tokenizer ByteLevel", &trim, what, err);
    if (rc != 0 || !regex)
        return rc;
    return srq_regex_compile(gpt2_pattern, sizeof(gpt2_pattern) - 1, false, what, &s->pattern, err);
}

/* Older files have add_prefix_space for the scheme; newer ones may have both, which have to agree. */
static int read_prepend_scheme(const json_t *json, const char *what, struct step *s, struct srq_error *err)
{
    const json_t *scheme = json_object_get(json, "prepend_scheme");
    const char *name = json_string_value(scheme);
    bool add = true;
    int rc = srq_member_flag(json, "add_prefix_space", "pre-tokenizer Metaspace", &add, what, err);

    if (rc != 0)
        return rc;
    if (scheme == NULL)
        name = add ? "always" : "never";
    if (name == NULL || (strcmp(name, "always") != 0 && strcmp(name, "first") != 0 && strcmp(name, "never") != 0))
        return bad(err, what, "Metaspace", "prepend_scheme");
    if (!add && strcmp(name, "never") != 0)
        return srq_fail_field(
            err, -SRQ_EFORMAT, what,
            "%s: pre-tokenizer Metaspace: \"add_prefix_space\" is false and \"prepend_scheme\" is \"%s\"", what, name);
    s->prepend = name[0] == 'a' ? ALWAYS : name[0] == 'f' ? FIRST : NEVER;
    return 0;
}

static int read_metaspace(const json_t *json, const char *what, struct step *s, struct srq_error *err)
{
    const char *replacement = json_string_value(json_object_get(json, "replacement"));
    bool split = true;
    uint32_t code;
    int rc;

    if (replacement == NULL || replacement[0] == '\0' ||
        (size_t)srq_utf8_next(replacement, &code) != strlen(replacement))
        return bad(err, what, "Metaspace", "replacement");
    s->kind = METASPACE;
    memcpy(s->replacement, replacement, strlen(replacement));
    s->behavior = MERGED_WITH_NEXT;
    rc = read_prepend_scheme(json, what, s, err);
    if (rc == 0)
        rc = srq_member_flag(json, "split", "pre-tokenizer Metaspace", &split, what, err);
    if (rc != 0 || !split)
        return rc;
    return srq_regex_compile(replacement, strlen(replacement), true, what, &s->pattern, err);
}

static int read_steps(const json_t *json, const char *what, struct srq_pretokenizer *p, struct srq_error *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    const json_t *list = json_object_get(json, "pretokenizers");
    char shown[SHOW];
    bool single = false;
    struct step *s;
    int rc = 0;

    if (type == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: a pre-tokenizer has no type", what);
    if (strcmp(type, "Sequence") == 0) {
        if (!json_is_array(list))
            return bad(err, what, "Sequence", "pretokenizers");
        for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
            rc = read_steps(json_array_get(list, i), what, p, err);
        return rc;
    }
    if (p->count == STEPS_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: more than %d pre-tokenizers", what, STEPS_MAX);
    if (srq_pretokenizer_byte_level(p))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, what,
                              "%s: pre-tokenizer %s after ByteLevel, which srq does not do", what,
                              srq_st_show(type, shown, sizeof(shown)));
    s = &p->steps[p->count++];
    if (strcmp(type, "Split") == 0)
        return read_split(json, what, s, err);
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(json, what, s, err);
    if (strcmp(type, "Metaspace") == 0)
        return read_metaspace(json, what, s, err);
    if (strcmp(type, "Digits") == 0) {
        rc = srq_member_flag(json, "individual_digits", "pre-tokenizer Digits", &single, what, err);
        s->kind = DIGITS;
        s->behavior = single ? ISOLATED : CONTIGUOUS;
        return rc;
    }
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: pre-tokenizer \"%s\" is not one that srq has", what,
                          srq_st_show(type, shown, sizeof(shown)));
}

int srq_pretokenizer_read(const json_t *json, const char *what, struct srq_pretokenizer **out, struct srq_error *err)
{
    struct srq_pretokenizer *p = srq_calloc(1, sizeof(*p));
    int rc = 0;

    *out = NULL;
    if (p == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
    if (json != NULL && !json_is_null(json))
        rc = read_steps(json, what, p, err);
    if (rc != 0) {
        srq_pretokenizer_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void srq_pretokenizer_free(struct srq_pretokenizer *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < p->count; i++)
        srq_regex_free(p->steps[i].pattern);
    srq_free(p);
}

bool srq_pretokenizer_byte_level(const struct srq_pretokenizer *p)
{
    return p->count > 0 && p->steps[p->count - 1].kind == BYTE_LEVEL;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct run {
    const struct srq_pretokenizer *p;
    const struct srq_word_taker *to;
    struct srq_error *err;
};

static int run_step(struct run *r, int k, const char *text, size_t len, size_t begins);

/* A stretch of text: a match of the step's pattern, or what lies between two. */
struct segment {
    size_t begin, end;
    bool match;
};

struct segments {
    struct segment *data;
    size_t count, cap;
};

static bool add_segment(struct segments *list, size_t begin, size_t end, bool match)
{
    if (list->count == list->cap) {
        size_t cap = list->cap > 0 ? list->cap * 2 : 64;
        struct segment *data = srq_reallocarray(list->data, cap, sizeof(*data));

        if (data == NULL)
            return false;
        list->data = data;
        list->cap = cap;
    }
    list->data[list->count++] = (struct segment){ begin, end, match };
    return true;
}

/* The next match of a step at or after `from`. In Digits every number character is one. */
static int next_match(const struct run *r, const struct step *s, const char *text, size_t len, size_t from,
                      size_t *begin, size_t *end)
{
    if (s->kind != DIGITS)
        return srq_regex_find(s->pattern, r->to->matcher, text, len, from, begin, end, r->err);
    while (from < len) {
        uint32_t code;
        size_t n = (size_t)srq_utf8_next(text + from, &code);

        if (srq_unicode_numeric(code)) {
            *begin = from;
            *end = from + n;
            return 1;
        }
        from += n;
    }
    return 0;
}

typedef int (*segment_fn)(void *ctx, size_t begin, size_t end, bool match);

/* Calls fn for every match, also those of no length, which part their neighbours, and for every gap, in order. */
static int for_segments(const struct run *r, const struct step *s, const char *text, size_t len, segment_fn fn,
                        void *ctx)
{
    size_t at = 0, from = 0, begin, end;
    bool any = false; /* a match ended at `at` */
    int found = 0, rc = 0;

    while (rc == 0 && from <= len && (found = next_match(r, s, text, len, from, &begin, &end)) > 0) {
        if (begin == end && any && end == at) { /* right behind the match before: none */
            uint32_t code;

            from = end + (end < len ? (size_t)srq_utf8_next(text + end, &code) : 1);
            continue;
        }
        if (begin > at)
            rc = fn(ctx, at, begin, s->invert);
        if (rc == 0)
            rc = fn(ctx, begin, end, !s->invert);
        at = from = end;
        any = true;
    }
    if (found < 0)
        return found;
    if (rc == 0 && at < len)
        rc = fn(ctx, at, len, s->invert);
    return rc;
}

struct hand_on {
    struct run *r;
    int next;
    const char *text;
    bool drop_matches;
    size_t begins; /* of the whole text, what stems from the first character of the document */
};

static int hand_segment(void *ctx, size_t begin, size_t end, bool match)
{
    const struct hand_on *h = ctx;

    if (match && h->drop_matches)
        return 0;
    return run_step(h->r, h->next, h->text + begin, end - begin, h->begins > begin ? h->begins - begin : 0);
}

static int collect_segment(void *ctx, size_t begin, size_t end, bool match)
{
    return add_segment(ctx, begin, end, match) ? 0 : -SRQ_ENOMEM;
}

/* Joins neighbours as the behaviour says. */
static void join(struct segments *list, enum behavior behavior)
{
    size_t kept = 0;
    bool before = false; /* whether the segment before was a match */

    if (behavior == MERGED_WITH_NEXT) { /* a match joins what follows, unless that is a match too */
        for (size_t i = 0; i < list->count; i++) {
            struct segment s = list->data[i];

            if (s.match && i + 1 < list->count && !list->data[i + 1].match) {
                s.end = list->data[i + 1].end;
                i++;
            }
            list->data[kept++] = s;
        }
        list->count = kept;
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct segment s = list->data[i];
        bool joins = i > 0 && (behavior == CONTIGUOUS ? s.match == before : s.match && !before);

        before = s.match;
        if (joins)
            list->data[kept - 1].end = s.end;
        else
            list->data[kept++] = s;
    }
    list->count = kept;
}

static int cut(struct run *r, int k, const char *text, size_t len, size_t begins)
{
    const struct step *s = &r->p->steps[k];
    struct hand_on h = { r, k + 1, text, s->behavior == REMOVED, begins };
    struct segments list = { 0 };
    int rc;

    if (s->behavior == ISOLATED || s->behavior == REMOVED)
        return for_segments(r, s, text, len, hand_segment, &h);
    rc = for_segments(r, s, text, len, collect_segment, &list);
    if (rc == -SRQ_ENOMEM)
        srq_fail(r->err, rc, "out of memory cutting %zu bytes of text into words", len);
    if (rc == 0)
        join(&list, s->behavior);
    for (size_t i = 0; rc == 0 && i < list.count; i++)
        rc = hand_segment(&h, list.data[i].begin, list.data[i].end, false);
    srq_free(list.data);
    return rc;
}

/* Blanks become the replacement, which also goes before the text where the scheme asks for it. */
static int run_metaspace(struct run *r, int k, const char *text, size_t len, size_t begins)
{
    const struct step *s = &r->p->steps[k];
    struct srq_buf out;
    size_t n = strlen(s->replacement), begin = 0;
    int rc;

    srq_buf_init(&out, SIZE_MAX / 2);
    if ((s->prepend == ALWAYS || (s->prepend == FIRST && begins > 0)) && text[0] != ' ' &&
        !(len >= n && memcmp(text, s->replacement, n) == 0))
        srq_buf_puts(&out, s->replacement);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ')
            srq_buf_puts(&out, s->replacement);
        else
            srq_buf_add(&out, text + i, 1);
        if (i < begins)
            begin = out.len;
    }
    if (out.failed)
        rc = srq_fail(r->err, -SRQ_ENOMEM, "out of memory cutting %zu bytes of text into words", len);
    else if (s->pattern != NULL)
        rc = cut(r, k, out.data, out.len, begin);
    else
        rc = run_step(r, k + 1, out.data, out.len, begin);
    srq_buf_fini(&out);
    return rc;
}

static int run_byte_level(struct run *r, int k, const char *text, size_t len, size_t begins)
{
    const struct step *s = &r->p->steps[k];

    if (s->prefix && text[0] != ' ') {
        srq_buf_clear(r->to->scratch);
        srq_buf_puts(r->to->scratch, " ");
        if (!srq_buf_add(r->to->scratch, text, len))
            return srq_fail(r->err, -SRQ_ENOMEM, "out of memory cutting %zu bytes of text into words", len);
        text = r->to->scratch->data;
        len = r->to->scratch->len;
    }
    return s->pattern != NULL ? cut(r, k, text, len, begins) : run_step(r, k + 1, text, len, begins);
}

static int run_step(struct run *r, int k, const char *text, size_t len, size_t begins)
{
    if (len == 0)
        return 0;
    if (k == r->p->count)
        return r->to->take(r->to->ctx, text, len, r->err);
    switch (r->p->steps[k].kind) {
    case METASPACE:
        return run_metaspace(r, k, text, len, begins);
    case BYTE_LEVEL:
        return run_byte_level(r, k, text, len, begins);
    case SPLIT:
    case DIGITS:
        break;
    }
    return cut(r, k, text, len, begins);
}

int srq_pretokenizer_run(const struct srq_pretokenizer *p, const struct srq_word_taker *to, const char *text,
                         size_t len, size_t begins, struct srq_error *err)
{
    struct run r = { p, to, err };

    return run_step(&r, 0, text, len, begins);
}
