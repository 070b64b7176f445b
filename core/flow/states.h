/* The values of a model's ports for all samples of a pass: what units read and write, outside of the tape (design 2a).
 *
 * A port's place is given to another one once its last reader has run, so that a pass holds what is still to be read
 * and no more: the chain of a language model takes one matrix. With `keep` every port has a place of its own, and
 * gradients have one too, for the way back: where one unit reads a port, its gradient takes the place of the value. */
#ifndef SRQ_FLOW_STATES_H
#define SRQ_FLOW_STATES_H

#include "core/model/model.h"

struct srq_states;

struct srq_states_config {
    const struct srq_model *model;
    enum srq_dtype dtype;  /* F32 or BF16 */
    int64_t nsamples, seq; /* seq: tokens of a sample */
    bool keep;
    const char *dir; /* NULL: in memory; else in a nameless file there, its space reserved */
};

/* Bytes that it will take; -SRQ_ELIMIT where they are too many to count. */
int srq_states_bytes(const struct srq_states_config *c, size_t *bytes, struct srq_error *err);
int srq_states_create(const struct srq_states_config *c, struct srq_states **out, struct srq_error *err);
void srq_states_free(struct srq_states *s);
const struct srq_states_config *srq_states_config(const struct srq_states *s);

/* Of one sample of a port: rows * cols elements; those of the next sample follow. */
size_t srq_states_sample_bytes(const struct srq_states *s, int port);
uint8_t *srq_states_at(const struct srq_states *s, int port, int64_t sample);
/* With `keep`: where dL/d(value) is. */
uint8_t *srq_states_gradient(const struct srq_states *s, int port, int64_t sample);
/* What the head gets: the last port; and its gradient. */
uint8_t *srq_states_final(const struct srq_states *s, int64_t sample);
uint8_t *srq_states_final_gradient(const struct srq_states *s, int64_t sample);

/* The first port becomes the embedding of ids [n, seq]. */
int srq_states_embed(const struct srq_states *s, const int32_t *ids, int64_t n, struct srq_error *err);

/* Ports with values that a unit or one behind it reads, when all before it have run; returns how many (at most cap). */
int srq_states_live(const struct srq_states *s, int unit, int *ports, int cap);

#endif
