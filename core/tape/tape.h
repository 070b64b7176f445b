/* Reverse-mode differentiation: operations record themselves as they run forward, srq_tape_backward replays them.
 *
 * All memory of a pass comes from one arena of fixed size, reset per iteration: nothing is allocated in a loop after
 * the first pass. A tape in measuring mode runs no arithmetic and reads no data: it only adds up what a pass would
 * need, so that the memory plan and the arena are the same number. Values are F32 or BF16 (the tape's dtype); gradients
 * of values have the dtype of the value; all arithmetic is F32.
 *
 * Operations return NULL after a failure (arena full, shapes that do not fit); the first failure is kept in the tape
 * and later operations on NULL return NULL, so that a graph is written without checks and asked once at its end. */
#ifndef SRQ_TAPE_TAPE_H
#define SRQ_TAPE_TAPE_H

#include "core/tensor/tensor.h"

struct srq_tape;

/* A value on the tape. */
struct srq_var {
    struct srq_tensor value;
    struct srq_tensor grad; /* data NULL until backward reaches it; same shape and dtype as value */
    bool wants_grad;        /* somebody needs the gradient of this value */
};

/* An arena of `bytes`; dtype F32 or BF16. measure: no memory, see above. */
int srq_tape_create(size_t bytes, enum srq_dtype dtype, bool measure, struct srq_tape **out, struct srq_error *err);
/* One that was measured to need so many bytes, with address space of a quarter as many behind it. Where some layers
 * round and others do not, values are placed otherwise than was measured, and as many bytes may be a longer stretch;
 * pages that are not reached take no memory. */
int srq_tape_create_measured(size_t bytes, enum srq_dtype dtype, struct srq_tape **out, struct srq_error *err);
void srq_tape_free(struct srq_tape *t);
void srq_tape_reset(struct srq_tape *t); /* forgets all values; keeps the memory */
enum srq_dtype srq_tape_dtype(const struct srq_tape *t);
bool srq_tape_measuring(const struct srq_tape *t);
/* Without recording: nothing is saved for backward (full-precision targets, evaluation). Default: recording. */
void srq_tape_record(struct srq_tape *t, bool on);
size_t srq_tape_used(const struct srq_tape *t);                      /* bytes now in use */
size_t srq_tape_peak(const struct srq_tape *t);                      /* most since create */
int srq_tape_error(const struct srq_tape *t, struct srq_error *err); /* 0 or the first failure */
/* For whoever writes a graph: makes this the tape's failure unless it has one, and gives NULL. */
struct srq_var *srq_tape_fail(struct srq_tape *t, int code, const char *fmt, ...) SRQ_PRINTF(3, 4);

/* A value over memory of the caller (batch input). */
struct srq_var *srq_tape_input(struct srq_tape *t, const struct srq_tensor *value, bool wants_grad);
/* Runs everything recorded backwards from `loss` (a scalar var). Sinks of layers are called on the way. */
int srq_tape_backward(struct srq_tape *t, struct srq_var *loss, struct srq_error *err);
/* The same from the sum of n losses. */
int srq_tape_backward_from(struct srq_tape *t, struct srq_var *const *loss, int n, struct srq_error *err);

#endif
