/* Scores of layers under candidate schemes: lookup and forecast. */
#include "core/budget/scores.h"

#include "core/base/alloc.h"

#include <math.h>

/* ---- candidates -------------------------------------------------------------------------------------------------- */

int srq_candidates_init(struct srq_candidates *c, const struct srq_scheme *schemes, int count, int layers,
                        struct srq_error *err)
{
    memset(c, 0, sizeof(*c));
    if (count < 1 || count > SRQ_CANDIDATES_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, "budget.candidates", "%d candidate schemes; there can be 1 to %d",
                              count, SRQ_CANDIDATES_MAX);
    c->allowed = srq_calloc((size_t)layers * (size_t)count + 1, sizeof(c->allowed[0]));
    if (c->allowed == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the candidates of %d layers", layers);
    memset(c->allowed, true, (size_t)layers * (size_t)count * sizeof(c->allowed[0]));
    memcpy(c->scheme, schemes, (size_t)count * sizeof(schemes[0]));
    c->count = count;
    c->layers = layers;
    return 0;
}

void srq_candidates_fini(struct srq_candidates *c)
{
    srq_free(c->allowed);
    memset(c, 0, sizeof(*c));
}

void srq_candidates_keep(struct srq_candidates *c, const bool *keep)
{
    int count = 0, at = 0;

    for (int i = 0; i < c->layers * c->count; i++) {
        if (keep[i % c->count])
            c->allowed[at++] = c->allowed[i];
    }
    for (int k = 0; k < c->count; k++) {
        if (keep[k])
            c->scheme[count++] = c->scheme[k];
    }
    c->count = count;
}

bool srq_candidates_none(const struct srq_candidates *c, const struct srq_plan *plan, int i)
{
    const struct srq_plan_layer *l = plan->layers;
    int first = i;

    if (l[i].info->block < 0 || l[i].source == SRQ_SOURCE_PIN)
        return false;
    while (first > 0 && l[first - 1].info->block == l[i].info->block)
        first--;
    for (int k = 0; k < c->count; k++) {
        bool suits = true;

        for (int m = first; m < plan->count && l[m].info->block == l[i].info->block; m++)
            suits = suits && (c->allowed[(size_t)m * (size_t)c->count + (size_t)k] || l[m].source == SRQ_SOURCE_PIN ||
                              (m != i && !srq_layers_tied(l[m].info, l[i].info)));
        if (suits)
            return false;
    }
    return true;
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

int srq_scores_init(struct srq_scores *s, const struct srq_scheme *schemes, int count, int layers,
                    struct srq_error *err)
{
    memset(s, 0, sizeof(*s));
    if (count < 1 || count > SRQ_CANDIDATES_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, "budget.candidates", "%d candidate schemes; there can be 1 to %d",
                              count, SRQ_CANDIDATES_MAX);
    s->score = srq_calloc((size_t)layers * (size_t)count + 1, sizeof(s->score[0]));
    if (s->score == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the scores of %d layers", layers);
    memcpy(s->scheme, schemes, (size_t)count * sizeof(schemes[0]));
    s->layers = layers;
    s->count = count;
    for (int i = 0; i < layers * count; i++)
        s->score[i] = s->scheme[i % count].grid == SRQ_GRID_NONE ? 0 : (double)NAN;
    return 0;
}

void srq_scores_fini(struct srq_scores *s)
{
    srq_free(s->score);
    memset(s, 0, sizeof(*s));
}

double srq_scores_of(const struct srq_scores *s, int layer, const struct srq_scheme *scheme)
{
    if (scheme->grid == SRQ_GRID_NONE)
        return 0;
    for (int c = 0; s != NULL && c < s->count; c++) {
        if (srq_scheme_equal(&s->scheme[c], scheme))
            return s->score[(size_t)layer * (size_t)s->count + (size_t)c];
    }
    return (double)NAN;
}

double srq_scores_forecast(const struct srq_scores *s, const struct srq_plan *plan)
{
    double sum = 0;

    for (int i = 0; i < plan->count; i++)
        sum += srq_scores_of(s, i, &plan->layers[i].scheme);
    return sum;
}
