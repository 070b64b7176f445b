/* Candidates of a layer, with what each would take and cost. */
#include "tui/srqtop/candidates.h"

#include "tui/srqtop/edits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct metric score_of(const struct top_layer *l, const char *scheme)
{
    for (int i = 0; i < l->scored_count; i++) {
        if (strcmp(l->scored[i].scheme, scheme) == 0)
            return l->scored[i].score;
    }
    if (strcmp(scheme, l->scheme) == 0)
        return l->score;
    /* What is left alone costs nothing, by definition. */
    return (struct metric){ l->scored_count > 0 && strcmp(scheme, "bf16") == 0, 0 };
}

static int add(const struct top_job *j, const struct top_layer *l, const char *scheme, struct top_candidate *out, int n,
               int cap)
{
    double bits = srq_scheme_look_bits(scheme, l->out, l->in), numel = (double)l->out * (double)l->in;
    struct top_candidate *c = &out[n];

    if (n == cap || scheme[0] == '\0' || strlen(scheme) >= sizeof(c->scheme))
        return n;
    for (int i = 0; i < n; i++)
        if (strcmp(out[i].scheme, scheme) == 0)
            return n;
    *c = (struct top_candidate){ .score = score_of(l, scheme), .now = strcmp(scheme, l->scheme) == 0 };
    snprintf(c->scheme, sizeof(c->scheme), "%s", scheme);
    if (bits > 0 && numel > 0) {
        c->bits = top_known(bits / numel);
        c->bytes = top_known(ceil(bits / 8));
    }
    if (c->score.known && j->score_batches.known && j->score_batches.v > 0) {
        c->loss = top_known(c->score.v / j->score_batches.v);
        c->perplexity = top_known(exp(c->loss.v));
    }
    return n + 1;
}

static int by_bits(const void *a, const void *b)
{
    const struct top_candidate *x = a, *y = b;
    double p = x->bits.known ? x->bits.v : 99, q = y->bits.known ? y->bits.v : 99;

    return p < q ? -1 : p > q ? 1 : strcmp(x->scheme, y->scheme);
}

int top_candidates(const struct top_job *j, const struct top_layer *l, struct top_candidate *out, int cap)
{
    char scheme[32];
    int n = add(j, l, l->scheme, out, 0, cap);

    for (int i = 0; i < l->scored_count; i++)
        n = add(j, l, l->scored[i].scheme, out, n, cap);
    for (int bits = 2; bits <= 16; bits++) {
        if (top_edit_can_hold(j, l, bits) && top_edit_name(j, l, bits, scheme, sizeof(scheme)))
            n = add(j, l, scheme, out, n, cap);
    }
    qsort(out, (size_t)n, sizeof(*out), by_bits);
    return n;
}

const char *top_unscored_why(const struct top_job *j)
{
    for (int i = 0; i < j->layer_count; i++)
        if (j->layers[i].score.known || j->layers[i].scored_count > 0)
            return NULL;
    if (j->budget_bits.known || j->candidates != NULL)
        return "layers are scored before they are quantized; not yet";
    return "layers are scored in jobs with a budget only";
}
