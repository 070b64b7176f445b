/* Added tokens: words that are found in the text before anything else happens to it. */
#ifndef SRQ_TEXT_ADDED_H
#define SRQ_TEXT_ADDED_H

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct srq_added_token {
    int32_t id;
    bool single_word;    /* only where no word character adjoins */
    bool lstrip, rstrip; /* swallows white space before, after */
};

struct srq_added_node { /* of a trie over bytes */
    int32_t token;      /* ends here: which, or -1 */
    int32_t child, sibling;
    unsigned char byte;
};

struct srq_added {
    struct srq_added_token *tokens;
    int32_t count, cap;
    struct srq_added_node *nodes;
    int32_t node_count, node_cap;
    int32_t roots[256]; /* node of a first byte, -1: no token begins so */
    int first_byte;     /* the only one, or -1 */
};

void srq_added_init(struct srq_added *a);
void srq_added_fini(struct srq_added *a);
int srq_added_put(struct srq_added *a, const char *text, size_t len, const struct srq_added_token *token,
                  struct srq_error *err); /* a text put twice keeps its first token */
int32_t srq_added_id(const struct srq_added *a, const char *text, size_t len); /* -1: not put */

/* The next token in `text`, searching from `from` (leftmost, then longest; flags respected); what it swallows never
 * reaches before `taken`. Gives its range and where to search on; false when there is none. A token that strips on its
 * left and was swallowed by the one before has no range (end <= begin): it counts as white space. */
struct srq_added_hit {
    size_t begin, end; /* with swallowed white space */
    size_t next;       /* search on here */
    int32_t id;
};
bool srq_added_find(const struct srq_added *a, const char *text, size_t len, size_t from, size_t taken,
                    struct srq_added_hit *hit);

#endif
