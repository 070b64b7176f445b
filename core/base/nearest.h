/* "Did you mean". */
#ifndef SRQ_BASE_NEAREST_H
#define SRQ_BASE_NEAREST_H

#include <stddef.h>

/* Of `candidates` the one with the smallest edit distance to `word`, if it is near enough to be meant; else NULL. */
const char *srq_nearest_word(const char *word, const char *const *candidates, size_t count);

#endif
