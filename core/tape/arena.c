/* Best-fit placement with holes kept in order of offset. */
#include "core/tape/arena.h"

#include "core/base/alloc.h"

#define ALIGN ((size_t)64)

void srq_arena_measure(struct srq_arena *a)
{
    memset(a, 0, sizeof(*a));
    a->capacity = SIZE_MAX / 2;
}

int srq_arena_init(struct srq_arena *a, size_t bytes, size_t room, struct srq_error *err)
{
    memset(a, 0, sizeof(*a));
    a->capacity = bytes;
    a->room = room;
    a->base = srq_pages_alloc_room(bytes, room);
    return a->base != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "no memory for an arena of %zu bytes", bytes);
}

void srq_arena_fini(struct srq_arena *a)
{
    if (a->base != NULL)
        srq_pages_free(a->base, a->capacity + a->room);
    srq_free(a->holes);
    memset(a, 0, sizeof(*a));
}

void srq_arena_reset(struct srq_arena *a)
{
    a->top = 0;
    a->used = 0;
    a->hole_count = 0;
}

static void drop_hole(struct srq_arena *a, int i)
{
    a->hole_count--;
    memmove(a->holes + i, a->holes + i + 1, (size_t)(a->hole_count - i) * sizeof(*a->holes));
}

static int add_hole(struct srq_arena *a, int i, struct srq_block_mem hole, struct srq_error *err)
{
    if (a->hole_count == a->hole_cap) {
        int cap = a->hole_cap > 0 ? 2 * a->hole_cap : 64;
        struct srq_block_mem *more = srq_reallocarray(a->holes, (size_t)cap, sizeof(*more));

        if (more == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "no memory for the arena's list of holes");
        a->holes = more;
        a->hole_cap = cap;
    }
    memmove(a->holes + i + 1, a->holes + i, (size_t)(a->hole_count - i) * sizeof(*a->holes));
    a->holes[i] = hole;
    a->hole_count++;
    return 0;
}

static int best_hole(const struct srq_arena *a, size_t size)
{
    int best = -1;

    for (int i = 0; i < a->hole_count; i++)
        if (a->holes[i].size >= size && (best < 0 || a->holes[i].size < a->holes[best].size))
            best = i;
    return best;
}

int srq_arena_take(struct srq_arena *a, size_t bytes, struct srq_block_mem *out, struct srq_error *err)
{
    size_t size;
    int hole;

    *out = (struct srq_block_mem){ 0, 0 };
    if (!srq_add_size(bytes > 0 ? bytes : 1, ALIGN - 1, &size))
        return srq_fail(err, -SRQ_ELIMIT, "a value of %zu bytes does not fit in memory", bytes);
    size &= ~(ALIGN - 1);
    hole = best_hole(a, size);
    if (hole >= 0) {
        out->offset = a->holes[hole].offset;
        a->holes[hole].offset += size;
        a->holes[hole].size -= size;
        if (a->holes[hole].size == 0)
            drop_hole(a, hole);
    } else {
        if (size > a->capacity + a->room - a->top)
            return srq_fail(err, -SRQ_ELIMIT, "the arena of %zu bytes is full: %zu in use, %zu more wanted",
                            a->capacity, a->used, size);
        out->offset = a->top;
        a->top += size;
    }
    out->size = size;
    a->used += size;
    if (a->top > a->peak)
        a->peak = a->top;
    return 0;
}

int srq_arena_give(struct srq_arena *a, struct srq_block_mem *b, struct srq_error *err)
{
    struct srq_block_mem hole = *b;
    int i = 0;

    if (b->size == 0)
        return 0;
    *b = (struct srq_block_mem){ 0, 0 };
    a->used -= hole.size;
    while (i < a->hole_count && a->holes[i].offset < hole.offset)
        i++;
    if (i < a->hole_count && hole.offset + hole.size == a->holes[i].offset) {
        hole.size += a->holes[i].size;
        drop_hole(a, i);
    }
    if (i > 0 && a->holes[i - 1].offset + a->holes[i - 1].size == hole.offset) {
        hole.offset = a->holes[i - 1].offset;
        hole.size += a->holes[i - 1].size;
        drop_hole(a, --i);
    }
    if (hole.offset + hole.size == a->top) {
        a->top = hole.offset;
        return 0;
    }
    return add_hole(a, i, hole, err);
}
