/* Layers of a model that compute on integers (core/math/int8.h): which can, and their weights as the products take
 * them. Can: weights of signed codes of a byte with one scale a row, and inputs rounded to at most 256 codes (walk.h
 * looks at that); the others are simulated. */
#ifndef SRQ_FLOW_INTEGERS_H
#define SRQ_FLOW_INTEGERS_H

#include "core/flow/walk.h"
#include "core/grid/grid.h"

struct srq_integers;

/* From `codes` [layers], NULL for layers that have none; or (codes NULL) from what the model's folder stores. They are
 * copied. -SRQ_ENOMEM. */
int srq_integers_create(const struct srq_model *m, const struct srq_codes *const *codes, struct srq_integers **out,
                        struct srq_error *err);
void srq_integers_free(struct srq_integers *i); /* NULL is fine */
/* NULL: the layer does not compute on integers. */
const struct srq_int8_weight *srq_integers_get(const struct srq_integers *i, int layer);
/* Layers that do, where inputs are rounded as `roundings` [layers] says. */
int srq_integers_count(const struct srq_integers *i, const struct srq_layer_roundings *roundings);
/* A walk's weights that are the model's own but for these; they stay this struct's. */
const struct srq_weights *srq_integers_weights(const struct srq_integers *i);
/* For the plan: what they take when every layer computes on integers. */
uint64_t srq_integers_bytes(const struct srq_model *m);

#endif
