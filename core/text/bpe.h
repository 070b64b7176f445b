/* Byte-pair encoding of one word: characters to ids, then the lowest-ranked merges until none applies. */
#ifndef SRQ_TEXT_BPE_H
#define SRQ_TEXT_BPE_H

#include "core/text/vocab.h"

/* Growing list of ids. */
struct srq_ids {
    int32_t *data;
    int64_t count, cap;
};
bool srq_ids_add(struct srq_ids *ids, int32_t id); /* false: out of memory */
bool srq_ids_append(struct srq_ids *ids, const int32_t *data, int64_t count);

struct srq_bpe {
    struct srq_vocab vocab;
    int32_t unk;        /* -1: characters without a token are dropped */
    bool fuse_unk;      /* runs of them become one */
    bool byte_fallback; /* they become <0xHH> where all of those exist */
    bool ignore_merges; /* a word that is a token as a whole is that token */
    char *suffix;       /* of the last character of a word, or NULL */
};

struct srq_bpe_symbol {
    int32_t id, prev, next; /* positions, -1: none; id -1: merged into its left neighbour */
};

struct srq_bpe_candidate {
    int32_t rank, pos, id;
};

/* Memory of one thread's encoding, reused from word to word. All zeros to begin with. */
struct srq_bpe_scratch {
    struct srq_bpe_symbol *symbols;
    int64_t symbol_count, symbol_cap;
    struct srq_bpe_candidate *heap;
    int64_t heap_count, heap_cap;
};
void srq_bpe_scratch_fini(struct srq_bpe_scratch *s);

/* Appends the ids of `word` (well-formed UTF-8, less than 2^31 bytes). O(n log n). -SRQ_ENOMEM, or 0. */
int srq_bpe_encode(const struct srq_bpe *bpe, const char *word, size_t len, struct srq_bpe_scratch *scratch,
                   struct srq_ids *out);

#endif
