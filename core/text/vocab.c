/* Open-addressing tables; they never shrink and nothing is removed. */
#include "core/text/vocab.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/format/st_header.h"

#include <stdlib.h>

#define SHOW 120
#define FREE_PAIR UINT64_MAX

void srq_vocab_init(struct srq_vocab *v)
{
    memset(v, 0, sizeof(*v));
}

void srq_vocab_fini(struct srq_vocab *v)
{
    while (v->chunk != NULL) {
        char *previous;

        memcpy(&previous, v->chunk, sizeof(previous));
        srq_free(v->chunk);
        v->chunk = previous;
    }
    srq_free(v->tokens);
    srq_free(v->slots);
    srq_free(v->merges);
    srq_vocab_init(v);
}

static int oom(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

/* A token's name fit for an error; control characters escaped. */
static const char *show(const char *text, size_t len, char *out, size_t cap)
{
    char *copy = srq_strndup(text, len < cap ? len : cap);

    if (copy == NULL)
        return "…";
    srq_st_show(copy, out, cap);
    srq_free(copy);
    return out;
}

/* A copy that lives as long as the vocabulary. Each chunk begins with the pointer to the one before. */
static const char *keep(struct srq_vocab *v, const char *text, size_t len)
{
    char *at;

    if (v->chunk == NULL || v->chunk_cap - v->chunk_len < len + 1) {
        size_t cap = sizeof(char *) + len + 1;
        char *chunk;

        if (cap < 65536)
            cap = 65536;
        chunk = srq_malloc(cap);
        if (chunk == NULL)
            return NULL;
        memcpy(chunk, &v->chunk, sizeof(v->chunk));
        v->chunk = chunk;
        v->chunk_len = sizeof(char *);
        v->chunk_cap = cap;
    }
    at = v->chunk + v->chunk_len;
    memcpy(at, text, len);
    at[len] = '\0';
    v->chunk_len += len + 1;
    return at;
}

static int32_t *slot_of(const struct srq_vocab *v, const char *text, size_t len)
{
    size_t i = srq_hash64(text, len) & (v->slot_count - 1);

    while (v->slots[i] >= 0) {
        const struct srq_vocab_token *t = &v->tokens[v->slots[i]];

        if (t->len == len && memcmp(t->text, text, len) == 0)
            break;
        i = (i + 1) & (v->slot_count - 1);
    }
    return &v->slots[i];
}

static bool grow_slots(struct srq_vocab *v)
{
    size_t count = v->slot_count > 0 ? v->slot_count * 2 : 1024;
    int32_t *old = v->slots, *slots;
    size_t old_count = v->slot_count;

    if ((v->used + 1) * 2 <= v->slot_count)
        return true;
    slots = srq_reallocarray(NULL, count, sizeof(*slots));
    if (slots == NULL)
        return false;
    memset(slots, 0xff, count * sizeof(*slots));
    v->slots = slots;
    v->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i] >= 0)
            *slot_of(v, v->tokens[old[i]].text, v->tokens[old[i]].len) = old[i];
    }
    srq_free(old);
    return true;
}

static bool grow_tokens(struct srq_vocab *v, int32_t id)
{
    int32_t cap = v->tokens_cap > 0 ? v->tokens_cap : 1024;
    struct srq_vocab_token *tokens;

    if (id < v->tokens_cap)
        return true;
    while (cap <= id)
        cap *= 2;
    tokens = srq_reallocarray(v->tokens, (size_t)cap, sizeof(*tokens));
    if (tokens == NULL)
        return false;
    memset(tokens + v->tokens_cap, 0, (size_t)(cap - v->tokens_cap) * sizeof(*tokens));
    v->tokens = tokens;
    v->tokens_cap = cap;
    return true;
}

int srq_vocab_add(struct srq_vocab *v, const char *text, size_t len, int64_t id, const char *what,
                  struct srq_error *err)
{
    char shown[SHOW];
    int32_t *slot;

    if (id < 0 || id >= SRQ_VOCAB_ID_MAX)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: token \"%s\" has the id %lld, outside 0 … %d", what,
                              show(text, len, shown, sizeof(shown)), (long long)id, SRQ_VOCAB_ID_MAX - 1);
    if (len > SRQ_VOCAB_TOKEN_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: token %lld has %zu bytes, more than %d", what, (long long)id,
                              len, SRQ_VOCAB_TOKEN_MAX);
    if (!grow_tokens(v, (int32_t)id) || !grow_slots(v))
        return oom(what, err);
    if (v->tokens[id].text != NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: id %lld belongs to two tokens, one of them \"%s\"", what,
                              (long long)id, show(text, len, shown, sizeof(shown)));
    slot = slot_of(v, text, len);
    if (*slot >= 0)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: token \"%s\" has two ids, %d and %lld", what,
                              show(text, len, shown, sizeof(shown)), *slot, (long long)id);
    v->tokens[id].text = keep(v, text, len);
    if (v->tokens[id].text == NULL)
        return oom(what, err);
    v->tokens[id].len = (uint32_t)len;
    *slot = (int32_t)id;
    v->used++;
    if (id >= v->size)
        v->size = (int32_t)id + 1;
    return 0;
}

int32_t srq_vocab_find(const struct srq_vocab *v, const char *text, size_t len)
{
    return v->slot_count > 0 ? *slot_of(v, text, len) : -1;
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

static struct srq_vocab_merge *pair_slot(const struct srq_vocab *v, uint64_t pair)
{
    uint64_t h = pair * UINT64_C(0x9e3779b97f4a7c15);
    size_t i = (size_t)(h >> 32 ^ h) & (v->merge_slots - 1);

    while (v->merges[i].pair != FREE_PAIR && v->merges[i].pair != pair)
        i = (i + 1) & (v->merge_slots - 1);
    return &v->merges[i];
}

static bool grow_merges(struct srq_vocab *v)
{
    size_t count = v->merge_slots > 0 ? v->merge_slots * 2 : 1024, old_count = v->merge_slots;
    struct srq_vocab_merge *old = v->merges, *merges;

    if ((v->merge_count + 1) * 2 <= v->merge_slots)
        return true;
    merges = srq_reallocarray(NULL, count, sizeof(*merges));
    if (merges == NULL)
        return false;
    memset(merges, 0xff, count * sizeof(*merges));
    v->merges = merges;
    v->merge_slots = count;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].pair != FREE_PAIR)
            *pair_slot(v, old[i].pair) = old[i];
    }
    srq_free(old);
    return true;
}

int srq_vocab_merge(struct srq_vocab *v, const char *left, size_t left_len, const char *right, size_t right_len,
                    int32_t rank, const char *what, struct srq_error *err)
{
    int32_t a = srq_vocab_find(v, left, left_len), b = srq_vocab_find(v, right, right_len), ab = -1;
    char shown[SHOW], shown_right[SHOW];
    char *both = srq_malloc(left_len + right_len);
    struct srq_vocab_merge *slot;

    if (both == NULL || !grow_merges(v)) {
        srq_free(both);
        return oom(what, err);
    }
    memcpy(both, left, left_len);
    memcpy(both + left_len, right, right_len);
    ab = srq_vocab_find(v, both, left_len + right_len);
    srq_free(both);
    if (a < 0 || b < 0 || ab < 0)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: merge %d of \"%s\" and \"%s\": %s is not a token", what,
                              rank, show(left, left_len, shown, sizeof(shown)),
                              show(right, right_len, shown_right, sizeof(shown_right)),
                              a < 0   ? "the first"
                              : b < 0 ? "the second"
                                      : "the result");
    slot = pair_slot(v, (uint64_t)(uint32_t)a << 32 | (uint32_t)b);
    if (slot->pair == FREE_PAIR)
        v->merge_count++;
    *slot = (struct srq_vocab_merge){ .pair = (uint64_t)(uint32_t)a << 32 | (uint32_t)b, .rank = rank, .id = ab };
    return 0;
}

const struct srq_vocab_merge *srq_vocab_pair(const struct srq_vocab *v, int32_t left, int32_t right)
{
    const struct srq_vocab_merge *m;

    if (v->merge_slots == 0)
        return NULL;
    m = pair_slot(v, (uint64_t)(uint32_t)left << 32 | (uint32_t)right);
    return m->pair != FREE_PAIR ? m : NULL;
}

static int by_rank(const void *a, const void *b)
{
    const struct srq_vocab_merge *x = a, *y = b;

    return (x->rank > y->rank) - (x->rank < y->rank);
}

struct srq_vocab_merge *srq_vocab_merges_by_rank(const struct srq_vocab *v)
{
    struct srq_vocab_merge *out = srq_calloc(v->merge_count + 1, sizeof(*out));
    size_t n = 0;

    for (size_t i = 0; out != NULL && i < v->merge_slots; i++)
        if (v->merges[i].pair != FREE_PAIR)
            out[n++] = v->merges[i];
    if (n > 0)
        qsort(out, n, sizeof(*out), by_rank);
    return out;
}
