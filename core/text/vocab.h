/* The tables of a BPE model: tokens by name and by id, merges by pair. */
#ifndef SRQ_TEXT_VOCAB_H
#define SRQ_TEXT_VOCAB_H

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRQ_VOCAB_ID_MAX (INT32_C(1) << 24)
#define SRQ_VOCAB_MERGES_MAX (1 << 22)
#define SRQ_VOCAB_TOKEN_MAX 65536 /* bytes of one token */

struct srq_vocab_token {
    const char *text; /* in chunks, NUL-terminated; NULL: no such id */
    uint32_t len;
};

struct srq_vocab_merge {
    uint64_t pair; /* left << 32 | right; UINT64_MAX: free */
    int32_t rank, id;
};

struct srq_vocab {
    struct srq_vocab_token *tokens; /* by id */
    int32_t size;                   /* highest id + 1 */
    int32_t tokens_cap;
    int32_t *slots; /* hash table of ids, -1: free */
    size_t slot_count, used;
    struct srq_vocab_merge *merges;
    size_t merge_slots, merge_count;
    char *chunk; /* text of tokens: a chain of chunks */
    size_t chunk_len, chunk_cap;
};

void srq_vocab_init(struct srq_vocab *v);
void srq_vocab_fini(struct srq_vocab *v);

/* Refuses a name or an id that is there already, and ids outside 0 … SRQ_VOCAB_ID_MAX - 1. `what` names the file. */
int srq_vocab_add(struct srq_vocab *v, const char *text, size_t len, int64_t id, const char *what,
                  struct srq_error *err);
int32_t srq_vocab_find(const struct srq_vocab *v, const char *text, size_t len); /* -1: none */

/* Adds the merge of rank `rank`: both parts and the result must be tokens. A pair given twice keeps its last rank. */
int srq_vocab_merge(struct srq_vocab *v, const char *left, size_t left_len, const char *right, size_t right_len,
                    int32_t rank, const char *what, struct srq_error *err);
/* All merges by rank, merge_count of them; NULL: out of memory. srq_free. */
struct srq_vocab_merge *srq_vocab_merges_by_rank(const struct srq_vocab *v);
const struct srq_vocab_merge *srq_vocab_pair(const struct srq_vocab *v, int32_t left, int32_t right); /* NULL: none */

#endif
