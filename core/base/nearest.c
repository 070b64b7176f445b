/* The edit distance of short words. */
#include "core/base/nearest.h"

#include <string.h>

#define WORD_MAX 63

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insertions, deletions, substitutions, and swaps of neighbours count one each. */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), row[3][WORD_MAX + 1];
    size_t *before = row[0], *last = row[1], *now = row[2], *spare;

    for (size_t j = 0; j <= m; j++)
        last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[m];
}

const char *srq_nearest_word(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t len = strlen(word), best_distance = len / 3 + 2;

    if (len == 0 || len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t d, n = strlen(candidates[i]);

        if (n > WORD_MAX)
            continue;
        d = distance(word, candidates[i]);
        /* A word of which nothing is left was not meant. */
        if (d < best_distance && d < (len > n ? len : n)) {
            best = candidates[i];
            best_distance = d;
        }
    }
    return best;
}
