/* The running block's state as bytes: what an undisturbed run would have in memory at an iteration boundary. */
#include "core/tune/tuner.h"

#define MAGIC "SRQTUNE2"

struct state_head {
    char magic[8];
    uint64_t layout;             /* of units, schemes, arrays, options and data that the bytes below depend on */
    uint64_t tuned, state, best; /* bytes of the areas that follow; best 0: no iterate was kept yet */
    int64_t layers, nsamples, seq;
    int64_t iter, best_iter, last_probe;
    double loss_first, loss_best, loss_last;
};

/* head | error_first, error_best, error_last [layers] | tuned | state | best */
static size_t total(const struct state_head *h)
{
    return sizeof(*h) + 3 * (size_t)h->layers * sizeof(double) + h->tuned + h->state + h->best;
}

static struct state_head head_of(const struct srq_tuner *t)
{
    struct state_head h = {
        .layout = t->layout,
        .tuned = t->area[AREA_TUNED].used,
        .state = t->area[AREA_STATE].used,
        .best = t->best_iter >= 0 ? t->area[AREA_BEST].used : 0,
        .layers = t->count,
        .nsamples = t->io->nsamples,
        .seq = t->io->seq,
        .iter = t->iter,
        .best_iter = t->best_iter,
        .last_probe = t->last_probe,
        .loss_first = t->loss_first,
        .loss_best = t->loss_best,
        .loss_last = t->loss_last,
    };

    memcpy(h.magic, MAGIC, sizeof(h.magic));
    return h;
}

int srq_tuner_save(const struct srq_tuner *t, struct srq_tuner_state *out, struct srq_error *err)
{
    struct state_head h;
    size_t errors;

    _Static_assert(sizeof(h) <= sizeof(out->head), "the head fits");
    memset(out, 0, sizeof(*out));
    if (!t->running)
        return srq_fail(err, -SRQ_ESTATE, "no block is being tuned");
    h = head_of(t);
    memcpy(out->head, &h, sizeof(h));
    errors = (size_t)h.layers * sizeof(double);
    out->parts[0] = (struct srq_part){ out->head, sizeof(h) };
    out->parts[1] = (struct srq_part){ t->error_first, errors };
    out->parts[2] = (struct srq_part){ t->error_best, errors };
    out->parts[3] = (struct srq_part){ t->error_last, errors };
    out->parts[4] = (struct srq_part){ t->area[AREA_TUNED].base, h.tuned };
    out->parts[5] = (struct srq_part){ t->area[AREA_STATE].base, h.state };
    out->parts[6] = (struct srq_part){ t->area[AREA_BEST].base, h.best };
    out->count = SRQ_TUNER_PARTS;
    out->len = total(&h);
    return 0;
}

static const char *get(void *to, const char *from, size_t n)
{
    if (n > 0)
        memcpy(to, from, n);
    return from + n;
}

int state_restore(struct srq_tuner *t, const struct srq_part *state, struct srq_error *err)
{
    struct state_head h, now = head_of(t);
    const char *p = state->data;
    size_t len = state->len, errors;

    if (len < sizeof(h))
        return srq_fail(err, -SRQ_EFORMAT, "a tuner's checkpoint of %zu bytes is too short", len);
    p = get(&h, p, sizeof(h));
    if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0)
        return srq_fail(err, -SRQ_EFORMAT, "%zu bytes are no tuner's checkpoint", len);
    if (h.layout != now.layout || h.tuned != now.tuned || h.state != now.state || h.layers != now.layers ||
        h.nsamples != now.nsamples || h.seq != now.seq || (h.best != 0 && h.best != t->area[AREA_BEST].used) ||
        len != total(&h) || h.iter < 0 || h.iter > t->sched.iters)
        return srq_fail(err, -SRQ_EDRIFT, "the checkpoint is of another block, plan or set of options");
    errors = (size_t)h.layers * sizeof(double);
    p = get(t->error_first, p, errors);
    p = get(t->error_best, p, errors);
    p = get(t->error_last, p, errors);
    p = get(t->area[AREA_TUNED].base, p, h.tuned);
    p = get(t->area[AREA_STATE].base, p, h.state);
    get(t->area[AREA_BEST].base, p, h.best);
    t->iter = h.iter;
    t->best_iter = h.best_iter;
    t->last_probe = h.last_probe;
    t->loss_first = h.loss_first;
    t->loss_best = h.loss_best;
    t->loss_last = h.loss_last;
    t->weights_fresh = false;
    return 0;
}
