/* A small layer on a grid with all that the grid's operations need, and how they are compared with a reference. */
#ifndef TESTS_UNIT_GRID_LAYER_H
#define TESTS_UNIT_GRID_LAYER_H

#include "tests/unit/reference_text.h"

#include "core/grid/grid.h"

#define LAYER_MOST 512 /* elements */

struct layer {
    struct srq_grid_args args;
    struct srq_tensor weight;
    struct srq_scheme scheme;
    struct srq_groups groups;
    const struct srq_grid_ops *ops;
    struct srq_codes codes;
    float lo[LAYER_MOST], hi[LAYER_MOST], start[LAYER_MOST], start_min[LAYER_MOST];
};

/* srq_codes_fini(&l->codes) afterwards. */
static inline void layer_init(struct layer *l, const void *w, enum srq_dtype dtype, int64_t out, int64_t in,
                              const struct srq_scheme *s)
{
    struct srq_error err = { 0 };

    memset(l, 0, sizeof(*l));
    l->weight = srq_tensor_2d((void *)(uintptr_t)w, dtype, out, in);
    l->scheme = *s;
    l->groups = srq_groups_of(out, in, s->group);
    l->args = (struct srq_grid_args){
        .size = sizeof(l->args), .tensor_scale = 1, .weight = &l->weight, .scheme = &l->scheme, .groups = &l->groups
    };
    l->ops = srq_grid(s->grid);
    assert_int_equal(l->ops->extrema(&l->args, l->lo, l->hi), 0);
    l->args.lo = l->lo;
    l->args.hi = l->hi;
    assert_ok(srq_codes_alloc(out, in, s, &l->codes, &err), &err);
}

static inline void layer_encode(struct layer *l)
{
    struct srq_result r = srq_codes_result(&l->codes);
    struct srq_error err = { 0 };

    l->codes.tensor_scale = l->args.tensor_scale;
    l->ops->encode(&l->args, 0, l->groups.out, &r);
    assert_ok(srq_codes_check(&l->codes, "layer", &err), &err);
}

/* What a reference says of a layer whose gradient is g. */
struct layer_reference {
    float g[LAYER_MOST];
    float fake[LAYER_MOST], codes[LAYER_MOST], scale[LAYER_MOST], gv[LAYER_MOST], ga[LAYER_MOST], gb[LAYER_MOST];
    double ga_within, gb_within; /* of 1 + what is wanted */
};

/* Fake-quantized weights, gradients and codes, and that these are read back as the weights. */
static inline void layer_agrees(struct layer *l, const char *name, const struct layer_reference *f)
{
    float got[LAYER_MOST], ga[LAYER_MOST] = { 0 }, gb[LAYER_MOST] = { 0 };
    int64_t out = l->groups.out, in = l->groups.in;
    int all = (int)(out * in), count = (int)l->groups.count;
    struct srq_error err = { 0 };

    l->ops->fake(&l->args, 0, out, got, SRQ_F32, in);
    reference_near(name, "fake", got, f->fake, all, 0);
    memcpy(got, f->g, sizeof(got));
    for (int64_t row = 0; row < out; row++)
        l->ops->grad(&l->args, row, 1, got + in * row, ga, gb);
    reference_near(name, "gv", got, f->gv, all, 1e-6);
    reference_near(name, "galpha", ga, f->ga, count, f->ga_within);
    reference_near(name, "gbeta", gb, f->gb, count, f->gb_within);
    memcpy(got, f->g, sizeof(got));
    l->ops->grad(&l->args, 0, out, got, NULL, NULL);
    reference_near(name, "gv", got, f->gv, all, 1e-6);

    layer_encode(l);
    for (int i = 0; i < all; i++)
        assert_int_equal(l->codes.codes[i], (int)f->codes[i]);
    reference_near(name, "scale", l->codes.scale, f->scale, count, 0);
    assert_ok(srq_codes_decode(&l->codes, got, SRQ_F32, &err), &err);
    reference_near(name, "decoded", got, f->fake, all, 0);
}

#endif
