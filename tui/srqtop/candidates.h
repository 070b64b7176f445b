/* What the layer under the cursor could be stored as, before any key is pressed. */
#ifndef SRQ_TUI_SRQTOP_CANDIDATES_H
#define SRQ_TUI_SRQTOP_CANDIDATES_H

#include "tui/srqtop/model.h"

#define TOP_CANDIDATES 24

struct top_candidate {
    char scheme[32];
    struct metric bits;  /* of a weight, scales and zero-points included */
    struct metric bytes; /* of the layer */
    struct metric score; /* as the scorer gave it */
    struct metric loss;  /* change of the cross-entropy, nats a token: the score over the batches it was added up in */
    struct metric perplexity; /* by how much it grows with that: exp(loss) */
    bool now;                 /* what the layer has */
};

/* The schemes that were scored, those that keys propose, and what it has, fewest bits first. How many; at most `cap`.
 */
int top_candidates(const struct top_job *j, const struct top_layer *l, struct top_candidate *out, int cap);
/* Why no loss is known for a job's layers, in one sentence; NULL: it is, of some. */
const char *top_unscored_why(const struct top_job *j);

#endif
