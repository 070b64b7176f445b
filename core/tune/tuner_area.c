/* The tuner's arenas by purpose: what is taken of each is counted, and is measured alone where it has no memory yet. */
#include "core/tune/tuner.h"

#include "core/base/alloc.h"

#define ALIGN 64

static const char *const names[AREA_COUNT] = {
    [AREA_TUNED] = "tuner: parameters",      [AREA_BEST] = "tuner: best parameters",
    [AREA_STATE] = "tuner: optimizer state", [AREA_SCRATCH] = "tuner: ranges and their gradients",
    [AREA_CODES] = "tuner: codes",           [AREA_BATCH] = "tuner: batch",
    [AREA_ERROR] = "tuner: layer errors",    [AREA_HEAD] = "tuner: head",
};

const char *area_name(enum area_kind kind)
{
    return names[kind];
}

int area_take(struct srq_tuner *t, enum area_kind kind, size_t bytes, void **out, struct srq_error *err)
{
    struct area *a = &t->area[kind];
    size_t need;

    if (!srq_add_size(bytes, ALIGN - 1, &need) || !srq_add_size(a->used, need / ALIGN * ALIGN, &need))
        return srq_fail(err, -SRQ_ELIMIT, "%s would need more than there are addresses", names[kind]);
    if (need > a->size)
        return srq_fail(err, -SRQ_ELIMIT, "%s needs %zu bytes, and %zu were planned", names[kind], need, a->size);
    *out = a->base != NULL ? a->base + a->used : NULL;
    a->used = need;
    return 0;
}
