/* Completing struct srq_grid_args: a plugin built for an older minor version has fewer members, the rest is zero. */
#include "core/tune/grid_service.h"

#include "core/grid/grid.h"

static const struct srq_grid_args *complete(const struct srq_grid_args *a, struct srq_grid_args *copy)
{
    if (a->size >= sizeof(*copy))
        return a;
    memset(copy, 0, sizeof(*copy));
    memcpy(copy, a, a->size);
    copy->size = sizeof(*copy);
    return copy;
}

static const struct srq_grid_ops *ops_of(const struct srq_grid_args *a)
{
    return srq_grid(a->scheme.grid);
}

static int any_extrema(const struct srq_grid_args *a, float *lo, float *hi)
{
    struct srq_grid_args copy;

    return ops_of(a)->extrema(complete(a, &copy), lo, hi);
}

static void any_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                     int64_t ld)
{
    struct srq_grid_args copy;

    ops_of(a)->fake(complete(a, &copy), row, rows, dst, dtype, ld);
}

static void any_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha, float *gbeta)
{
    struct srq_grid_args copy;

    ops_of(a)->grad(complete(a, &copy), row, rows, grad, galpha, gbeta);
}

static void any_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out)
{
    struct srq_grid_args copy;

    ops_of(a)->encode(complete(a, &copy), row, rows, out);
}

static void any_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows, float *start)
{
    struct srq_grid_args copy;

    ops_of(a)->search(complete(a, &copy), importance, row, rows, start);
}

const struct srq_grid_ops *srq_grid_service(enum srq_grid_kind kind)
{
    static const struct srq_grid_ops plain = {
        .size = sizeof(plain),
        .extrema = any_extrema,
        .fake = any_fake,
        .grad = any_grad,
        .encode = any_encode,
    };
    static const struct srq_grid_ops searching = {
        .size = sizeof(searching),
        .extrema = any_extrema,
        .fake = any_fake,
        .grad = any_grad,
        .encode = any_encode,
        .search = any_search,
    };
    const struct srq_grid_ops *own = srq_grid(kind);

    return own == NULL ? NULL : own->search != NULL ? &searching : &plain;
}
