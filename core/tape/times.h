/* What operations on a tape take, and how much work they are: for benchmarks.
 *
 * Work is counted from shapes. FLOPs are two for every multiplication of a product, and of passes over elements the
 * additions, multiplications, divisions, roots, roundings and exponentials of each element, all counted as one. Bytes
 * are what an operation has to read and write at least: every operand once and every result once, wherever they lie. A
 * weight's gradient that goes to a sink as it comes is such a result; what the sink itself reads and writes is its
 * owner's and not counted. 0: not known. */
#ifndef SRQ_TAPE_TIMES_H
#define SRQ_TAPE_TIMES_H

#include "core/tape/tape.h"

enum srq_tape_kind {
    SRQ_TAPE_LINEAR, /* y, and dx in backward */
    SRQ_TAPE_WEIGHT_GRAD,
    SRQ_TAPE_SINK,
    SRQ_TAPE_RMSNORM,
    SRQ_TAPE_ROPE,
    SRQ_TAPE_ATTENTION,
    SRQ_TAPE_SWIGLU,
    SRQ_TAPE_ADD,
    SRQ_TAPE_MSE,
    SRQ_TAPE_DOT,
    SRQ_TAPE_FEED,
    SRQ_TAPE_CONV,    /* products of y, and of dx */
    SRQ_TAPE_PATCHES, /* what convolutions copy */
    SRQ_TAPE_GROUP_NORM,
    SRQ_TAPE_SILU,
    SRQ_TAPE_SCALE,
    SRQ_TAPE_UPSAMPLE,
    SRQ_TAPE_CONCAT,
    SRQ_TAPE_SAMPLE, /* one vector for all rows of a sample */
    SRQ_TAPE_ROUND,
    SRQ_TAPE_GEGLU,
    /* around a pass, told by whoever uses the tape */
    SRQ_TAPE_WEIGHTS, /* what layers are to compute with is made */
    SRQ_TAPE_HEAD,    /* the loss of words, behind the blocks */
    SRQ_TAPE_STEP,    /* what is trained moves */
    SRQ_TAPE_KINDS
};

struct srq_tape_work {
    double flops, bytes;
};

/* Seconds and work by kind since the last call with reset. Returns the number of kinds. */
struct srq_tape_time {
    const char *op;
    double forward_s, backward_s;
    struct srq_tape_work forward, backward;
};
int srq_tape_times(struct srq_tape *t, struct srq_tape_time *out, int cap, bool reset);
void srq_tape_timing(struct srq_tape *t, bool on); /* default off */

/* Around what is to be seen there: a clock that gives 0 when timing is off, and the work that was done since. */
double srq_tape_clock(const struct srq_tape *t);
void srq_tape_account(struct srq_tape *t, enum srq_tape_kind kind, bool backward, double since,
                      struct srq_tape_work work);

#endif
