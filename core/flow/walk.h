/* The one walk: units of a model run over stored states, forwards, and backwards with their activations computed again,
 * so that never more than one unit's are held (design 2a).
 *
 * A walk has one block and one tape, both measured beforehand: what srq_walk_measure says is what it takes. */
#ifndef SRQ_FLOW_WALK_H
#define SRQ_FLOW_WALK_H

#include "core/flow/states.h"
#include "core/tape/ops_round.h"
#include "core/grid/grid.h"

struct srq_walk;

struct srq_walk_config {
    const struct srq_model *model;
    enum srq_dtype compute;
    enum srq_dtype states; /* of the stores that it goes through; with another type than compute forwards only */
    int64_t batch, seq;    /* samples at a time */
    bool backward;         /* it goes backwards too, with somebody listening to every layer's gradient */
    bool vectors;          /* and to every gain's and bias's */
    bool errors;           /* srq_walk_error is used */
    bool inputs;           /* inputs of layers may be rounded (srq_weights) */
    bool roundings;        /* inputs and outputs of layers may be rounded by static grids (srq_walk_round) */
    bool split;            /* with them: inputs of two parts by a grid for each */
    bool integers;         /* forwards, layers may compute on integers (srq_weights); with `roundings` */
};

struct srq_walk_memory {
    size_t block, rope, tape;
};
/* Samples at a time where that is free: enough for products to be quick, few where samples are long, since memory grows
 * with them. At least one, at most `most`. */
int64_t srq_walk_samples(int64_t most, int64_t seq);
int srq_walk_measure(const struct srq_walk_config *c, struct srq_walk_memory *out, struct srq_error *err);
int srq_walk_create(const struct srq_walk_config *c, struct srq_walk **out, struct srq_error *err);
void srq_walk_free(struct srq_walk *w);
/* For taps, sinks and weights of the unit that is loaded, and for passes that are not over stored states. */
struct srq_block *srq_walk_block(const struct srq_walk *w);
struct srq_tape *srq_walk_tape(const struct srq_walk *w);

/* Where weights come from, where that is not the model. */
struct srq_weights {
    void *ctx;
    /* Before the weights of a unit are asked for; NULL: nothing is to be done then. */
    int (*begin)(void *ctx, int unit, struct srq_error *err);
    /* Before rows of a layer are asked for: 1: it has them; 0: the layer's weight is the model's; negative: an error.
     */
    int (*has)(void *ctx, int layer, struct srq_error *err);
    /* Rows [row, row+rows) of that layer into dst [rows, in] of dtype F32 or BF16. Several threads, for different rows.
     */
    void (*rows)(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype);
    /* After that, in a walk with `inputs`: the scheme that the layer's inputs are rounded by (round_inputs.h); it is
     * copied. NULL, or a result of NULL: they are not. */
    const struct srq_scheme *(*inputs)(void *ctx, int layer);
    /* In a walk with `integers`, of layers whose inputs srq_walk_round gives at most 256 codes: the codes that the
     * layer computes with; its weight is then not asked for. The caller's, until the next load. NULL, or a result of
     * NULL: it computes as it does without. */
    const struct srq_int8_weight *(*integer)(void *ctx, int layer);
};
/* Static grids of what a layer gets and gives. */
struct srq_layer_roundings {
    struct srq_rounding input, output;
};
/* From the next load on, in a walk with `roundings`: those of all layers of the model; NULL: none. The caller's. */
void srq_walk_round(struct srq_walk *w, struct srq_layer_roundings *all);

/* The loaded unit computes with them, as after a load, or without. */
void srq_walk_rounds(struct srq_walk *w, bool on);

/* The block becomes a unit, with nobody listening. */
int srq_walk_load(struct srq_walk *w, int unit, const struct srq_weights *weights, struct srq_error *err);

/* The loaded unit over samples [first, first+n) of a store, at most a batch of them: from its input ports to its output
 * ports. */
int srq_walk_forward(struct srq_walk *w, const struct srq_states *s, int64_t first, int64_t n, struct srq_error *err);
/* Without keeping what comes out: for whoever listens to the layers. */
int srq_walk_listen(struct srq_walk *w, const struct srq_states *s, int64_t first, int64_t n, struct srq_error *err);
/* Backwards, in a store that keeps all: from the gradients of the output ports to those of the input ports (but the
 * model's input) and to the sinks. A port that several units read gets the sum, the last reader coming first. */
int srq_walk_backward(struct srq_walk *w, const struct srq_states *s, int64_t first, int64_t n, struct srq_error *err);
/* How far what the unit computes for samples [0, n) of a store that keeps all is from what its output ports hold there:
 * see unit_loss.h. */
int srq_walk_error(struct srq_walk *w, const struct srq_states *s, int64_t n, const uint8_t *mask, bool backward,
                   double *loss, struct srq_error *err);

/* Called before every batch, with the samples done of all that go through the unit; non-zero ends the walk with that
 * code, the store being half old and half new then. NULL: nobody is asked. */
struct srq_walk_tick {
    int (*call)(void *ctx, int unit, int64_t done, int64_t all);
    void *ctx;
};
/* The loaded unit over the first n samples, batch by batch; listening only, or keeping what comes out. */
int srq_walk_over(struct srq_walk *w, const struct srq_states *s, int64_t n, bool listen,
                  const struct srq_walk_tick *tick, struct srq_error *err);
/* A batch through all units, from what its input ports hold. */
int srq_walk_units(struct srq_walk *w, const struct srq_states *s, int64_t n, const struct srq_weights *weights,
                   struct srq_error *err);
/* ids [n, seq] from the embedding through all blocks. */
int srq_walk_model(struct srq_walk *w, const struct srq_states *s, const int32_t *ids, int64_t n,
                   const struct srq_weights *weights, const struct srq_walk_tick *tick, struct srq_error *err);

#endif
