/* The live plan in memory, and what the states of units follow from. */
#include "core/budget/live.h"

#include "core/base/alloc.h"

#include <math.h>

const char *const srq_live_option_words[] = {
    [SRQ_LIVE_LR] = "lr",
    [SRQ_LIVE_HP_FIRST] = "hp_first",
    [SRQ_LIVE_HP_LAST] = "hp_last",
    [SRQ_LIVE_OPTIONS] = NULL,
};

bool srq_live_options_equal(const double *a, const double *b)
{
    for (int i = 0; i < SRQ_LIVE_OPTIONS; i++)
        if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

static int copy_pins(const struct srq_pin *pins, int count, struct srq_live_plan *lp, struct srq_error *err)
{
    lp->pins = srq_calloc((size_t)count + 1, sizeof(lp->pins[0]));
    if (lp->pins == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a plan of %d pins", count);
    for (int i = 0; i < count; i++) {
        lp->pins[i] = pins[i];
        lp->pins[i].pattern = srq_strdup(pins[i].pattern);
        lp->pin_count = i + 1;
        if (lp->pins[i].pattern == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory for a plan of %d pins", count);
    }
    return 0;
}

static int make_arrays(struct srq_live_plan *lp, struct srq_error *err)
{
    lp->wanted = srq_calloc((size_t)lp->units + 1, sizeof(lp->wanted[0]));
    lp->held = srq_calloc((size_t)lp->plan.count + 1, sizeof(lp->held[0]));
    return lp->wanted != NULL && lp->held != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory for a live plan");
}

int srq_live_plan_init(struct srq_live_plan *lp, struct srq_plan *plan, const struct srq_pin *pins, int pin_count,
                       struct srq_error *err)
{
    int rc;

    memset(lp, 0, sizeof(*lp));
    lp->plan = *plan;
    memset(plan, 0, sizeof(*plan));
    lp->bits = (double)NAN;
    for (int i = 0; i < SRQ_LIVE_OPTIONS; i++)
        lp->option[i] = (double)NAN;
    lp->hold = -1;
    lp->units = 1;
    for (int i = 0; i < lp->plan.count; i++) {
        int head = lp->plan.layers[i].info->picture ? 0 : 1;

        if (lp->plan.layers[i].info->block + 1 + head > lp->units)
            lp->units = lp->plan.layers[i].info->block + 1 + head;
    }
    rc = copy_pins(pins, pin_count, lp, err);
    return rc == 0 ? make_arrays(lp, err) : rc;
}

static void free_pins(struct srq_live_plan *lp)
{
    for (int i = 0; i < lp->pin_count; i++)
        srq_free(lp->pins[i].pattern);
    srq_free(lp->pins);
    lp->pins = NULL;
    lp->pin_count = 0;
}

int srq_live_plan_pins(struct srq_live_plan *lp, const struct srq_pin *pins, int count, struct srq_error *err)
{
    free_pins(lp);
    return copy_pins(pins, count, lp, err);
}

int srq_live_plan_budget(struct srq_live_plan *lp, double bits, const struct srq_scheme *candidates, int count,
                         struct srq_error *err)
{
    struct srq_scheme *copy = srq_calloc((size_t)count + 1, sizeof(*copy));

    if (copy == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %d candidates", count);
    if (count > 0)
        memcpy(copy, candidates, (size_t)count * sizeof(*copy));
    srq_free(lp->candidates);
    lp->candidates = copy;
    lp->candidate_count = count;
    lp->bits = bits;
    return 0;
}

bool srq_live_plan_open(const struct srq_live_plan *lp)
{
    return !isnan(lp->bits) && lp->allocation == NULL;
}

void srq_live_plan_fini(struct srq_live_plan *lp)
{
    free_pins(lp);
    srq_free(lp->candidates);
    srq_free(lp->wanted);
    srq_free(lp->held);
    cJSON_Delete(lp->allocation);
    cJSON_Delete(lp->last_change);
    srq_plan_fini(&lp->plan);
    memset(lp, 0, sizeof(*lp));
    lp->hold = -1;
}

static int copy_parts(const struct srq_live_plan *from, struct srq_live_plan *to, struct srq_error *err)
{
    int rc = srq_plan_copy(&from->plan, &to->plan, err);

    if (rc == 0)
        rc = copy_pins(from->pins, from->pin_count, to, err);
    if (rc == 0)
        rc = srq_live_plan_budget(to, from->bits, from->candidates, from->candidate_count, err);
    if (rc == 0)
        rc = make_arrays(to, err);
    if (rc != 0)
        return rc;
    memcpy(to->wanted, from->wanted, (size_t)from->units * sizeof(to->wanted[0]));
    if (from->plan.count > 0)
        memcpy(to->held, from->held, (size_t)from->plan.count * sizeof(to->held[0]));
    if (from->allocation != NULL)
        to->allocation = cJSON_Duplicate(from->allocation, true);
    if (from->last_change != NULL)
        to->last_change = cJSON_Duplicate(from->last_change, true);
    if ((from->allocation != NULL && to->allocation == NULL) || (from->last_change != NULL && to->last_change == NULL))
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for a live plan");
    return 0;
}

int srq_live_plan_copy(const struct srq_live_plan *from, struct srq_live_plan *to, struct srq_error *err)
{
    int rc;

    memset(to, 0, sizeof(*to));
    to->units = from->units;
    to->quant_lm_head = from->quant_lm_head;
    to->scheme = from->scheme;
    to->back = from->back;
    to->hold = from->hold;
    to->hold_generation = from->hold_generation;
    memcpy(to->option, from->option, sizeof(to->option));
    rc = copy_parts(from, to, err);
    if (rc != 0)
        srq_live_plan_fini(to);
    return rc;
}

int srq_layer_unit(const struct srq_live_plan *lp, int layer)
{
    return lp->plan.layers[layer].info->unit;
}

const struct srq_scheme *srq_live_plan_held(const struct srq_live_plan *lp, int unit, int64_t generation)
{
    return lp->hold >= 0 && lp->hold == unit && lp->hold_generation == generation ? lp->held : NULL;
}

/* ---- states of units --------------------------------------------------------------------------------------------- */

/* Whether anything is to be done for the unit at all: blocks always are, if only to bring the chains over them. */
static bool wanted_at_all(const struct srq_live_plan *lp, int unit)
{
    if (unit < lp->units - 1)
        return true;
    for (int i = lp->plan.count - 1; i >= 0 && srq_layer_unit(lp, i) == unit; i--) {
        if (lp->plan.layers[i].info->block >= 0 || lp->plan.layers[i].scheme.grid != SRQ_GRID_NONE)
            return true;
    }
    return false;
}

static bool made_otherwise(const struct srq_live_plan *lp, const struct srq_live_state *st, int unit)
{
    for (int i = 0; i < lp->plan.count; i++) {
        if (srq_layer_unit(lp, i) == unit && !srq_scheme_equal(&st->made[i], &lp->plan.layers[i].scheme))
            return true;
    }
    return false;
}

enum srq_unit_state srq_live_unit(const struct srq_live_plan *lp, const struct srq_live_state *st, int unit)
{
    if (unit == st->running)
        return SRQ_UNIT_RUNNING;
    if (!wanted_at_all(lp, unit))
        return SRQ_UNIT_FINISHED;
    if (st->unit[unit].generation == 0)
        return SRQ_UNIT_PENDING;
    return st->unit[unit].generation < lp->wanted[unit] || made_otherwise(lp, st, unit) ? SRQ_UNIT_STALE
                                                                                        : SRQ_UNIT_FINISHED;
}

int srq_live_next(const struct srq_live_plan *lp, const struct srq_live_state *st)
{
    int stale = -1;

    for (int u = 0; u < lp->units; u++) {
        enum srq_unit_state s = srq_live_unit(lp, st, u);

        if (s == SRQ_UNIT_STALE && lp->back)
            return u;
        if (s == SRQ_UNIT_STALE && stale < 0)
            stale = u;
        if (s == SRQ_UNIT_PENDING && (!lp->back || stale < 0))
            return u;
    }
    return stale;
}
