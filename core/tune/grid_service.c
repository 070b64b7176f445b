/* Completing struct srq_grid_args: a plugin built for an older minor version has shorter structs, the rest is zero. */
#include "core/tune/grid_service.h"

#include "core/grid/grid.h"

/* Arguments as long as this build knows them. */
struct whole {
    struct srq_grid_args args;
    struct srq_tensor weight;
    struct srq_scheme scheme;
    struct srq_groups groups;
};

static bool is_whole(const struct srq_grid_args *a)
{
    return a->size >= sizeof(*a) && a->weight->size >= sizeof(*a->weight) && a->scheme->size >= sizeof(*a->scheme) &&
           a->groups->size >= sizeof(*a->groups);
}

static const struct srq_grid_args *complete(const struct srq_grid_args *a, struct whole *w)
{
    if (is_whole(a))
        return a;
    *w = (struct whole){ .args.size = sizeof(w->args),
                         .weight.size = sizeof(w->weight),
                         .scheme.size = sizeof(w->scheme),
                         .groups.size = sizeof(w->groups) };
    srq_copy_known(&w->args, a);
    srq_copy_known(&w->weight, a->weight);
    srq_copy_known(&w->scheme, a->scheme);
    srq_copy_known(&w->groups, a->groups);
    w->args.weight = &w->weight;
    w->args.scheme = &w->scheme;
    w->args.groups = &w->groups;
    return &w->args;
}

static const struct srq_grid_ops *ops_of(const struct srq_grid_args *a)
{
    return srq_grid(a->scheme->grid);
}

static int any_extrema(const struct srq_grid_args *a, float *lo, float *hi)
{
    struct whole whole;

    return ops_of(a)->extrema(complete(a, &whole), lo, hi);
}

static void any_fake(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype,
                     int64_t ld)
{
    struct whole whole;

    ops_of(a)->fake(complete(a, &whole), row, rows, dst, dtype, ld);
}

static void any_grad(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha, float *gbeta)
{
    struct whole whole;

    ops_of(a)->grad(complete(a, &whole), row, rows, grad, galpha, gbeta);
}

static void any_encode(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out)
{
    struct srq_result result = { .size = sizeof(result) };
    struct whole whole;

    srq_copy_known(&result, out);
    ops_of(a)->encode(complete(a, &whole), row, rows, &result);
}

static void any_search(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows, float *start)
{
    struct whole whole;

    ops_of(a)->search(complete(a, &whole), importance, row, rows, start);
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
