/* Convolutions: linear layers over the patches of pictures.
 *
 * Patches are made a strip at a time, in the order in which they lie in a picture; the weight is put into that order
 * for each call, which costs little beside the product. Backward makes them again. */
#include "core/tape/layer.h"
#include "core/tape/patches.h"
#include "core/tape/vector_grad.h"

#include "core/math/gemm.h"
#include "core/math/team.h"

/* Patches of a strip, in F32. */
#define STRIP_BYTES ((int64_t)4 << 20)

struct conv {
    struct srq_linear *l;
    struct srq_patches p;
    int64_t most;                      /* rows of the largest strip */
    struct srq_block_mem strip, extra; /* [most, in]; a row for each thread */
    char *patches, *rows;
};

static struct conv conv_of(const struct srq_tape *t, struct srq_linear *l, const struct srq_conv *c)
{
    struct conv v = { .l = l };

    v.p = srq_patches_of(c, l->in / c->kernel / c->kernel, srq_tape_dtype(t), STRIP_BYTES);
    v.most = v.p.strip_lines * v.p.ow;
    return v;
}

/* Takes the memory of a strip whose elements have `size` bytes, and of rows. */
static int begin(struct srq_tape *t, struct conv *v, size_t size, struct srq_error *err)
{
    int rc = srq_tape_take(t, (size_t)(v->most * v->p.in) * size, &v->strip, err);

    if (rc == 0)
        rc = srq_tape_take(t, (size_t)(v->p.in * srq_team_size()) * sizeof(float), &v->extra, err);
    if (rc != 0)
        return rc;
    v->patches = srq_tape_at(t, &v->strip);
    v->rows = srq_tape_at(t, &v->extra);
    return 0;
}

static void end(struct srq_tape *t, struct conv *v)
{
    srq_tape_give(t, &v->extra);
    srq_tape_give(t, &v->strip);
}

/* Patches on one side, whose elements have `size` bytes, and the pixels that they are of on the other. */
static struct srq_tape_work patch_work(const struct conv *v, const struct srq_strip *s, size_t size, int flops)
{
    double patches = (double)(s->lines * v->p.ow * v->p.in);
    double pixels = (double)(s->lines * v->p.ow * v->p.channels * v->p.c.stride * v->p.c.stride);

    return (struct srq_tape_work){ patches * flops,
                                   patches * (double)size + pixels * (double)srq_dtype_size(v->p.dtype) };
}

static void unfold(struct srq_tape *t, const struct conv *v, const void *x, const struct srq_strip *s)
{
    double since = srq_tape_clock(t);

    if (srq_tape_measuring(t))
        return;
    srq_unfold(&v->p, x, s, v->patches);
    srq_tape_account(t, SRQ_TAPE_PATCHES, false, since, patch_work(v, s, srq_dtype_size(v->p.dtype), 0));
}

static void multiply(struct srq_tape *t, const struct srq_product *p, enum srq_tape_kind kind, bool backward)
{
    double since = srq_tape_clock(t);

    srq_tape_multiply(t, p);
    if (!srq_tape_measuring(t))
        srq_tape_account(t, kind, backward, since, srq_product_work(p));
}

/* Rows of a value [rows, cols] that belong to a strip; NULL when measuring. */
static void *rows_of(const struct conv *v, const struct srq_tensor *t, int64_t cols, const struct srq_strip *s)
{
    return t->data != NULL ? srq_row(t, s->first * v->p.ow, cols) : NULL;
}

/* ---- rows into another order ---- */

struct reorder {
    const struct conv *v;
    char *from, *to; /* the same: in place */
    size_t size;     /* of an element */
    void (*row)(const struct srq_patches *p, const void *from, void *to, size_t size);
};

static void reorder_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct reorder *o = ctx;
    size_t bytes = (size_t)o->v->p.in * o->size;
    char *spare = o->v->rows + (size_t)(o->v->p.in * srq_team_thread()) * sizeof(float);

    for (int64_t r = begin; r < end; r++) {
        const char *from = o->from + (size_t)r * bytes;

        if (o->from == o->to)
            from = memcpy(spare, from, bytes);
        o->row(&o->v->p, from, o->to + (size_t)r * bytes, o->size);
    }
}

static void reorder(const struct reorder *o, int64_t rows)
{
    srq_parallel(rows, 1 + 8192 / (o->v->p.in + 1), reorder_rows, (void *)o);
}

/* The weight with the columns of patches, in memory of the tape. */
static int weight_for_patches(struct srq_tape *t, const struct conv *v, struct srq_block_mem *mem,
                              struct srq_error *err)
{
    size_t size = srq_dtype_size(v->p.dtype);
    int rc = srq_tape_take(t, (size_t)(v->l->out * v->p.in) * size, mem, err);

    if (rc == 0 && !srq_tape_measuring(t)) {
        struct reorder o = { v, v->l->weight.data, srq_tape_at(t, mem), size, srq_patch_row_in };

        reorder(&o, v->l->out);
    }
    return rc;
}

/* ---- y = patches Wᵀ + b ---- */

/* The patches are not needed any more, and take the order of checkpoints where they are. */
static void call_tap(struct srq_tape *t, const struct conv *v, int64_t rows)
{
    struct srq_tensor x = srq_tensor_2d(v->patches, v->p.dtype, rows, v->p.in);
    struct reorder o = { v, v->patches, v->patches, srq_dtype_size(v->p.dtype), srq_patch_row_out };

    if (v->l->tap == NULL || srq_tape_measuring(t))
        return;
    reorder(&o, rows);
    v->l->tap(v->l->tap_ctx, v->l, &x);
}

static int forward(struct srq_tape *t, struct conv *v, const struct srq_tensor *x, const struct srq_tensor *y)
{
    const struct srq_linear *l = v->l;
    struct srq_strip s = { 0, 0 };
    struct srq_block_mem weight;
    int rc = begin(t, v, srq_dtype_size(v->p.dtype), NULL);

    if (rc == 0)
        rc = weight_for_patches(t, v, &weight, NULL);
    if (rc != 0)
        return rc;
    if (l->bias != NULL && !srq_tape_measuring(t))
        srq_tape_fill_bias(l, y, 0, v->p.c.batch * v->p.oh * v->p.ow);
    while (srq_next_strip(&v->p, &s)) {
        const struct srq_product p = { s.lines * v->p.ow,
                                       l->out,
                                       l->in,
                                       { v->patches, v->p.dtype, l->in, false },
                                       { srq_tape_at(t, &weight), v->p.dtype, l->in, true },
                                       .c = { rows_of(v, y, l->out, &s), v->p.dtype, l->out },
                                       .add = l->bias != NULL };

        unfold(t, v, x->data, &s);
        multiply(t, &p, SRQ_TAPE_CONV, false);
        call_tap(t, v, p.m);
    }
    srq_tape_give(t, &weight);
    end(t, v);
    return 0;
}

/* ---- dW = dyᵀ patches, added up over strips ---- */

struct sink_call {
    const struct conv *v;
    float *grad;
};

static void sink_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct sink_call *s = ctx;
    const struct srq_linear *l = s->v->l;
    float *grad = s->grad + begin * l->in;
    struct reorder o = { s->v, (char *)grad, (char *)grad, sizeof(float), srq_patch_row_out };

    reorder_rows(&o, 0, end - begin);
    l->sink(l->sink_ctx, begin, end - begin, grad);
}

static int weight_gradient(struct srq_tape *t, struct srq_node *n, struct conv *v, struct srq_error *err)
{
    const struct srq_linear *l = v->l;
    struct srq_strip s = { 0, 0 };
    struct srq_block_mem mem;
    struct sink_call c = { .v = v };
    double since;
    int rc = begin(t, v, srq_dtype_size(v->p.dtype), err);

    if (rc == 0)
        rc = srq_tape_take(t, (size_t)(l->out * l->in) * sizeof(float), &mem, err);
    if (rc != 0)
        return rc;
    c.grad = srq_tape_at(t, &mem);
    while (srq_next_strip(&v->p, &s)) {
        const struct srq_product p = { l->out,
                                       l->in,
                                       s.lines * v->p.ow,
                                       { rows_of(v, &n->out->var.grad, l->out, &s), v->p.dtype, l->out, true },
                                       { v->patches, v->p.dtype, l->in, false },
                                       .c = { c.grad, SRQ_F32, l->in },
                                       .add = s.first > 0 };

        unfold(t, v, n->in[0]->var.value.data, &s);
        multiply(t, &p, SRQ_TAPE_WEIGHT_GRAD, true);
    }
    since = srq_tape_clock(t);
    if (!srq_tape_measuring(t))
        srq_parallel(l->out, 1, sink_rows, &c);
    srq_tape_account(t, SRQ_TAPE_SINK, true, since,
                     (struct srq_tape_work){ .bytes = (double)(l->out * l->in) * sizeof(float) });
    srq_tape_give(t, &mem);
    end(t, v);
    return 0;
}

/* ---- dx: the sums of what dy W gives for the patches ---- */

static int fold_strips(struct srq_tape *t, struct srq_node *n, struct conv *v, const void *weight, struct srq_fold *f)
{
    const struct srq_linear *l = v->l;
    struct srq_strip s = { 0, 0 };

    while (srq_next_strip(&v->p, &s)) {
        const struct srq_product p = { s.lines * v->p.ow,
                                       l->in,
                                       l->out,
                                       { rows_of(v, &n->out->var.grad, l->out, &s), v->p.dtype, l->out, false },
                                       { weight, v->p.dtype, l->in, false },
                                       .c = { v->patches, SRQ_F32, l->in } };
        double since;

        multiply(t, &p, SRQ_TAPE_CONV, true);
        if (srq_tape_measuring(t))
            continue;
        since = srq_tape_clock(t);
        srq_fold(&v->p, &s, f);
        srq_tape_account(t, SRQ_TAPE_PATCHES, true, since, patch_work(v, &s, sizeof(float), 1));
    }
    return 0;
}

static int input_gradient(struct srq_tape *t, struct srq_node *n, struct conv *v, struct srq_error *err)
{
    struct srq_block_mem weight, sums;
    struct srq_fold f = { 0 };
    int rc = srq_tape_grad(t, n->in[0], true, &f.add, err);

    if (rc == 0)
        rc = begin(t, v, sizeof(float), err);
    if (rc == 0)
        rc = weight_for_patches(t, v, &weight, err);
    if (rc == 0)
        rc = srq_tape_take(t, (size_t)srq_fold_floats(&v->p) * sizeof(float), &sums, err);
    if (rc != 0)
        return rc;
    f.from = (const float *)v->patches;
    f.sums = srq_tape_at(t, &sums);
    f.dx = n->in[0]->var.grad;
    rc = fold_strips(t, n, v, srq_tape_at(t, &weight), &f);
    srq_tape_give(t, &sums);
    srq_tape_give(t, &weight);
    end(t, v);
    return rc;
}

static bool wants_bias(const struct srq_linear *l)
{
    return l->bias != NULL && l->bias->sink != NULL;
}

static int backward(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    struct conv v = conv_of(t, n->as.conv.layer, &n->as.conv.shape);
    int64_t rows = srq_var_rows(&n->out->var);
    int rc = 0;

    /* dW first: then x is not needed any more, and dx may take its place. */
    if (v.l->sink != NULL)
        rc = weight_gradient(t, n, &v, err);
    if (rc == 0 && wants_bias(v.l))
        rc = srq_vector_gradient(t, v.l->bias, &n->out->var.grad, NULL, NULL, rows, err);
    if (rc == 0 && n->in[0]->var.wants_grad)
        rc = input_gradient(t, n, &v, err);
    return rc;
}

/* ---- on the tape ---- */

#define KERNEL_MAX 1024

static bool shapes_fit(const struct srq_conv *c, const struct srq_linear *l, const struct srq_var *x)
{
    return c->batch > 0 && c->height > 0 && c->width > 0 && c->kernel > 0 && c->kernel <= KERNEL_MAX && c->stride > 0 &&
           c->pad_before >= 0 && c->pad_before < c->kernel && c->pad_after >= 0 && c->pad_after < c->kernel &&
           srq_conv_size(c, c->height) > 0 && srq_conv_size(c, c->width) > 0 &&
           srq_var_rows(x) == c->batch * c->height * c->width && l->in == srq_var_cols(x) * c->kernel * c->kernel;
}

static struct srq_var *convolve(struct srq_tape *t, struct srq_var *x, struct srq_linear *l, const struct srq_conv *c)
{
    struct conv v = conv_of(t, l, c);
    struct srq_value *y;
    struct srq_node *n;

    y = srq_tape_value(t, c->batch * v.p.oh * v.p.ow, l->out, x->wants_grad || l->sink != NULL || wants_bias(l));
    if (y == NULL || forward(t, &v, &x->value, &y->var.value) != 0)
        return NULL;
    if (!y->var.wants_grad)
        return &y->var;
    n = srq_tape_node(t, SRQ_TAPE_CONV, backward, y, x, NULL, NULL);
    if (n == NULL)
        return NULL;
    n->as.conv.layer = l;
    n->as.conv.shape = *c;
    return &y->var;
}

struct srq_var *srq_op_conv(struct srq_tape *t, struct srq_var *x, struct srq_linear *l, const struct srq_conv *c)
{
    struct srq_var *fed;

    if (srq_tape_failed(t, x, x))
        return NULL;
    if (!shapes_fit(c, l, x))
        return srq_tape_fail(t, -SRQ_EINVAL,
                             "layer %s: a kernel of %d (stride %d, padding %d and %d) with %lld weights for an output "
                             "does not fit %lld pictures of %lld x %lld in [%lld, %lld]",
                             l->name, c->kernel, c->stride, c->pad_before, c->pad_after, (long long)l->in,
                             (long long)c->batch, (long long)c->height, (long long)c->width, (long long)srq_var_rows(x),
                             (long long)srq_var_cols(x));
    if (c->kernel == 1 && c->stride == 1)
        return srq_op_linear(t, x, l);
    if (l->integer != NULL)
        return srq_layer_integer(t, x, l, c);
    if (l->feed != NULL)
        return srq_tape_fail(t, -SRQ_EUNSUPPORTED, "the patches of layer %s cannot be fed otherwise", l->name);
    if (!srq_tape_measuring(t) && l->weight.dtype != srq_tape_dtype(t))
        return srq_tape_fail(t, -SRQ_EINVAL, "the weight of layer %s is %s on a tape of %s", l->name,
                             srq_dtype_name(l->weight.dtype), srq_dtype_name(srq_tape_dtype(t)));
    fed = srq_layer_input(t, x, l);
    return srq_layer_output(t, x, fed, fed != NULL ? convolve(t, fed, l, c) : NULL, l);
}
