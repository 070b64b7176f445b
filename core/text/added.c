/* Added tokens in a trie; most texts hold none, so that the first byte decides quickly. */
#include "core/text/added.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"
#include "core/text/unicode.h"

void srq_added_init(struct srq_added *a)
{
    memset(a, 0, sizeof(*a));
    memset(a->roots, 0xff, sizeof(a->roots));
    a->first_byte = -1;
}

void srq_added_fini(struct srq_added *a)
{
    srq_free(a->tokens);
    srq_free(a->nodes);
    srq_added_init(a);
}

static int32_t new_node(struct srq_added *a, unsigned char byte)
{
    if (a->node_count == a->node_cap) {
        int32_t cap = a->node_cap > 0 ? a->node_cap * 2 : 256;
        struct srq_added_node *nodes = cap > 0 ? srq_reallocarray(a->nodes, (size_t)cap, sizeof(*nodes)) : NULL;

        if (nodes == NULL)
            return -1;
        a->nodes = nodes;
        a->node_cap = cap;
    }
    a->nodes[a->node_count] = (struct srq_added_node){ .token = -1, .child = -1, .sibling = -1, .byte = byte };
    return a->node_count++;
}

static int32_t child_of(const struct srq_added *a, int32_t node, unsigned char byte)
{
    int32_t c = a->nodes[node].child;

    while (c >= 0 && a->nodes[c].byte != byte)
        c = a->nodes[c].sibling;
    return c;
}

/* The node that `text` leads to, made where it is not there; -1: out of memory. */
static int32_t make_path(struct srq_added *a, const char *text, size_t len)
{
    int32_t node = a->roots[(unsigned char)text[0]];

    if (node < 0) {
        node = new_node(a, (unsigned char)text[0]);
        a->roots[(unsigned char)text[0]] = node;
    }
    for (size_t i = 1; node >= 0 && i < len; i++) {
        int32_t next = child_of(a, node, (unsigned char)text[i]);

        if (next < 0) {
            next = new_node(a, (unsigned char)text[i]);
            if (next >= 0) {
                a->nodes[next].sibling = a->nodes[node].child;
                a->nodes[node].child = next;
            }
        }
        node = next;
    }
    return node;
}

int srq_added_put(struct srq_added *a, const char *text, size_t len, const struct srq_added_token *token,
                  struct srq_error *err)
{
    int32_t node;

    if (len == 0)
        return 0;
    if (a->count == a->cap) {
        int32_t cap = a->cap > 0 ? a->cap * 2 : 64;
        struct srq_added_token *tokens = srq_reallocarray(a->tokens, (size_t)cap, sizeof(*tokens));

        if (tokens == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory adding tokens");
        a->tokens = tokens;
        a->cap = cap;
    }
    node = make_path(a, text, len);
    if (node < 0)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory adding tokens");
    if (a->nodes[node].token < 0) {
        a->nodes[node].token = a->count;
        a->tokens[a->count++] = *token;
    }
    a->first_byte = -1;
    for (int b = 0, seen = 0; b < 256; b++) {
        if (a->roots[b] >= 0)
            a->first_byte = seen++ == 0 ? b : -1;
    }
    return 0;
}

int32_t srq_added_id(const struct srq_added *a, const char *text, size_t len)
{
    int32_t node = len > 0 ? a->roots[(unsigned char)text[0]] : -1;

    for (size_t i = 1; node >= 0 && i < len; i++)
        node = child_of(a, node, (unsigned char)text[i]);
    return node >= 0 && a->nodes[node].token >= 0 ? a->tokens[a->nodes[node].token].id : -1;
}

/* The longest token that begins at text[at]; its length in `*n`, or -1. */
static int32_t longest_at(const struct srq_added *a, const char *text, size_t len, size_t at, size_t *n)
{
    int32_t node = a->roots[(unsigned char)text[at]], best = -1;

    for (size_t i = at; node >= 0;) {
        i++;
        if (a->nodes[node].token >= 0) {
            best = a->nodes[node].token;
            *n = i - at;
        }
        node = i < len ? child_of(a, node, (unsigned char)text[i]) : -1;
    }
    return best;
}

static size_t char_before(const char *text, size_t at, uint32_t *code)
{
    do {
        at--;
    } while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80);
    srq_utf8_next(text + at, code);
    return at;
}

static bool alone(const char *text, size_t len, size_t begin, size_t end)
{
    uint32_t code;

    if (begin > 0) {
        char_before(text, begin, &code);
        if (srq_unicode_word(code))
            return false;
    }
    if (end < len) {
        srq_utf8_next(text + end, &code);
        if (srq_unicode_word(code))
            return false;
    }
    return true;
}

static void swallow(const struct srq_added_token *t, const char *text, size_t len, size_t taken,
                    struct srq_added_hit *hit)
{
    uint32_t code;

    if (t->lstrip && hit->begin < taken)
        hit->begin = taken; /* the one before has swallowed some of it, or all */
    while (t->lstrip && hit->begin > taken) {
        size_t before = char_before(text, hit->begin, &code);

        if (!srq_unicode_space(code) || before < taken)
            break;
        hit->begin = before;
    }
    while (t->rstrip && hit->end < len) {
        size_t n = (size_t)srq_utf8_next(text + hit->end, &code);

        if (!srq_unicode_space(code))
            break;
        hit->end += n;
    }
}

bool srq_added_find(const struct srq_added *a, const char *text, size_t len, size_t from, size_t taken,
                    struct srq_added_hit *hit)
{
    for (size_t at = from; a->count > 0 && at < len; at++) {
        size_t n = 0;
        int32_t t;

        if (a->first_byte >= 0) {
            const char *p = memchr(text + at, a->first_byte, len - at);

            if (p == NULL)
                return false;
            at = (size_t)(p - text);
        }
        t = longest_at(a, text, len, at, &n);
        if (t < 0)
            continue;
        if (a->tokens[t].single_word && !alone(text, len, at, at + n)) {
            at += n - 1; /* the reference searches on behind it */
            continue;
        }
        *hit = (struct srq_added_hit){ .begin = at, .end = at + n, .next = at + n, .id = a->tokens[t].id };
        swallow(&a->tokens[t], text, len, taken, hit);
        return true;
    }
    return false;
}
