/* Merging with a heap keyed (rank, position). A candidate is stale when its pair has changed meanwhile; it is skipped
 * when it comes up. Spec formats 3, "Encoding order", step 5. */
#include "core/text/bpe.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"

#include <stdio.h>

bool srq_ids_append(struct srq_ids *ids, const int32_t *data, int64_t count)
{
    if (ids->count + count > ids->cap) {
        int64_t cap = ids->cap > 0 ? ids->cap : 256;
        int32_t *grown;

        while (cap < ids->count + count)
            cap += cap / 2;
        grown = srq_reallocarray(ids->data, (size_t)cap, sizeof(*grown));
        if (grown == NULL)
            return false;
        ids->data = grown;
        ids->cap = cap;
    }
    if (count > 0)
        memcpy(ids->data + ids->count, data, (size_t)count * sizeof(*data));
    ids->count += count;
    return true;
}

bool srq_ids_add(struct srq_ids *ids, int32_t id)
{
    return srq_ids_append(ids, &id, 1);
}

void srq_bpe_scratch_fini(struct srq_bpe_scratch *s)
{
    srq_free(s->symbols);
    srq_free(s->heap);
    memset(s, 0, sizeof(*s));
}

/* ---- symbols ----------------------------------------------------------------------------------------------------- */

static int add_symbol(struct srq_bpe_scratch *s, int32_t id)
{
    struct srq_bpe_symbol *symbols;
    int64_t cap;

    if (s->symbol_count == s->symbol_cap) {
        cap = s->symbol_cap > 0 ? s->symbol_cap * 2 : 64;
        symbols = srq_reallocarray(s->symbols, (size_t)cap, sizeof(*symbols));
        if (symbols == NULL)
            return -SRQ_ENOMEM;
        s->symbols = symbols;
        s->symbol_cap = cap;
    }
    s->symbols[s->symbol_count] =
        (struct srq_bpe_symbol){ .id = id, .prev = (int32_t)s->symbol_count - 1, .next = (int32_t)s->symbol_count + 1 };
    s->symbol_count++;
    return 0;
}

/* <0xHH> for every byte of `text`; false, and nothing added, unless all are tokens. */
static bool add_bytes(const struct srq_bpe *bpe, const char *text, size_t len, struct srq_bpe_scratch *s, int *rc)
{
    char name[8];

    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < len; i++) {
            int32_t id;

            snprintf(name, sizeof(name), "<0x%02X>", (unsigned char)text[i]);
            id = srq_vocab_find(&bpe->vocab, name, 6);
            if (pass == 0 && id < 0)
                return false;
            if (pass == 1 && *rc == 0)
                *rc = add_symbol(s, id);
        }
    }
    return true;
}

/* The characters of a word as ids. A pending unknown is added when the next known character comes, or another one
 * that it is not fused with: bytes of the fallback may overtake it, as they do in the reference. */
static int split_word(const struct srq_bpe *bpe, const char *word, size_t len, struct srq_bpe_scratch *s)
{
    bool pending = false;
    int rc = 0;

    s->symbol_count = 0;
    for (size_t at = 0, end; rc == 0 && at < len; at = end) {
        char last[256];
        const char *text = word + at;
        uint32_t code;
        size_t n = (size_t)srq_utf8_next(text, &code);
        int32_t id;

        end = at + n;
        if (end == len && bpe->suffix != NULL) {
            n = (size_t)snprintf(last, sizeof(last), "%.*s%s", (int)n, text, bpe->suffix);
            text = last;
        }
        id = srq_vocab_find(&bpe->vocab, text, n);
        if (id >= 0) {
            if (pending)
                rc = add_symbol(s, bpe->unk);
            pending = false;
            if (rc == 0)
                rc = add_symbol(s, id);
        } else if (bpe->byte_fallback && add_bytes(bpe, text, n, s, &rc)) {
            continue;
        } else if (bpe->unk >= 0) {
            if (pending && !bpe->fuse_unk)
                rc = add_symbol(s, bpe->unk);
            pending = true;
        }
    }
    if (rc == 0 && pending)
        rc = add_symbol(s, bpe->unk);
    if (s->symbol_count > 0)
        s->symbols[s->symbol_count - 1].next = -1;
    return rc;
}

/* ---- heap -------------------------------------------------------------------------------------------------------- */

static bool before(const struct srq_bpe_candidate *a, const struct srq_bpe_candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->pos < b->pos;
}

/* Adds the pair at `pos` and its right neighbour, where a merge exists. */
static int push_pair(const struct srq_bpe *bpe, struct srq_bpe_scratch *s, int32_t pos)
{
    const struct srq_vocab_merge *m;
    struct srq_bpe_candidate c;
    int64_t i;

    if (pos < 0 || s->symbols[pos].next < 0)
        return 0;
    m = srq_vocab_pair(&bpe->vocab, s->symbols[pos].id, s->symbols[s->symbols[pos].next].id);
    if (m == NULL)
        return 0;
    if (s->heap_count == s->heap_cap) {
        int64_t cap = s->heap_cap > 0 ? s->heap_cap * 2 : 64;
        struct srq_bpe_candidate *heap = srq_reallocarray(s->heap, (size_t)cap, sizeof(*heap));

        if (heap == NULL)
            return -SRQ_ENOMEM;
        s->heap = heap;
        s->heap_cap = cap;
    }
    c = (struct srq_bpe_candidate){ .rank = m->rank, .pos = pos, .id = m->id };
    for (i = s->heap_count++; i > 0 && before(&c, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = c;
    return 0;
}

static struct srq_bpe_candidate pop(struct srq_bpe_scratch *s)
{
    struct srq_bpe_candidate top = s->heap[0], last = s->heap[--s->heap_count];
    int64_t i = 0, child;

    while ((child = 2 * i + 1) < s->heap_count) {
        if (child + 1 < s->heap_count && before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!before(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

static int merge_all(const struct srq_bpe *bpe, struct srq_bpe_scratch *s)
{
    int rc = 0;

    s->heap_count = 0;
    for (int64_t i = 0; rc == 0 && i + 1 < s->symbol_count; i++)
        rc = push_pair(bpe, s, (int32_t)i);
    while (rc == 0 && s->heap_count > 0) {
        struct srq_bpe_candidate top = pop(s);
        struct srq_bpe_symbol *left = &s->symbols[top.pos], *right;
        const struct srq_vocab_merge *m;

        if (left->id < 0 || left->next < 0)
            continue;
        right = &s->symbols[left->next];
        m = srq_vocab_pair(&bpe->vocab, left->id, right->id);
        if (m == NULL || m->id != top.id)
            continue;
        left->id = top.id;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            s->symbols[left->next].prev = top.pos;
        rc = push_pair(bpe, s, left->prev);
        if (rc == 0)
            rc = push_pair(bpe, s, top.pos);
    }
    return rc;
}

int srq_bpe_encode(const struct srq_bpe *bpe, const char *word, size_t len, struct srq_bpe_scratch *scratch,
                   struct srq_ids *out)
{
    int rc;

    if (len == 0)
        return 0;
    if (bpe->ignore_merges) {
        int32_t id = srq_vocab_find(&bpe->vocab, word, len);

        if (id >= 0)
            return srq_ids_add(out, id) ? 0 : -SRQ_ENOMEM;
    }
    rc = split_word(bpe, word, len, scratch);
    if (rc == 0)
        rc = merge_all(bpe, scratch);
    for (int64_t i = scratch->symbol_count > 0 ? 0 : -1; rc == 0 && i >= 0; i = scratch->symbols[i].next) {
        if (!srq_ids_add(out, scratch->symbols[i].id))
            rc = -SRQ_ENOMEM;
    }
    return rc;
}
