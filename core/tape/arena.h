/* The memory of a tape: one stretch of address space in which blocks are placed and given back.
 *
 * Placement depends only on the order and sizes of the calls, not on data or addresses, so that an arena without memory
 * (measuring) comes to the same figures as a real one. */
#ifndef SRQ_TAPE_ARENA_H
#define SRQ_TAPE_ARENA_H

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct srq_block_mem {
    size_t offset, size; /* size 0: no block */
};

struct srq_arena {
    char *base;      /* NULL when measuring */
    size_t capacity; /* SIZE_MAX when measuring */
    size_t room;     /* address space behind that, for blocks that find no hole */
    size_t top;      /* end of the highest block in use */
    size_t used, peak;
    struct srq_block_mem *holes; /* free stretches below top, by offset, never adjacent */
    int hole_count, hole_cap;
};

int srq_arena_init(struct srq_arena *a, size_t bytes, size_t room, struct srq_error *err);
void srq_arena_measure(struct srq_arena *a); /* one without memory */
void srq_arena_fini(struct srq_arena *a);
void srq_arena_reset(struct srq_arena *a); /* frees all blocks; the peak stays */
/* Room for `bytes` (0 counts as 1), 64-byte aligned: the smallest hole that is large enough, else above the top.
 * -SRQ_ELIMIT when the arena is full. */
int srq_arena_take(struct srq_arena *a, size_t bytes, struct srq_block_mem *out, struct srq_error *err);
int srq_arena_give(struct srq_arena *a, struct srq_block_mem *b, struct srq_error *err); /* b becomes no block */
static inline void *srq_arena_at(const struct srq_arena *a, const struct srq_block_mem *b)
{
    return a->base != NULL ? a->base + b->offset : NULL;
}

#endif
