/* Allocators: which layer gets how many bits. */
#ifndef SRQ_ALLOCATOR_H
#define SRQ_ALLOCATOR_H

#include <srq/error.h>
#include <srq/types.h>

struct srq_host;

/* One decision: a layer, or layers that share a scheme. */
struct srq_alloc_unit {
    uint32_t size;
    int choices;          /* at least 1 */
    const uint64_t *bits; /* [choices] stored bits, scales and zero-points counted */
    const double *loss;   /* [choices] score */
};

/* The arrays are the host's. */
struct srq_alloc_result {
    uint32_t size;
    int front_cap, front_count;
    int *choice;   /* [units] */
    uint64_t bits; /* of the plan chosen */
    double loss;
    double bound; /* no plan within the budget has a smaller loss than this */
    /* [front_cap] bits and loss of the Pareto front of all plans, ascending bits, evenly thinned when it is longer; its
     * two ends are always kept. */
    uint64_t *front_bits;
    double *front_loss;
};

struct srq_allocator {
    uint32_t size;
    /* The plan of least loss of at most `budget` bits. Units that are decided already have one choice. None fits:
     * -SRQ_EINVAL naming the smallest budget possible. */
    int (*solve)(const struct srq_host *h, void *self, const struct srq_alloc_unit *const *units, int count,
                 uint64_t budget, struct srq_alloc_result *out, struct srq_error *err);
};

#endif
