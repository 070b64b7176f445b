/* Layers on integer arithmetic (spec/diffusion-qat.md, section 2): x becomes codes of the grid that its layer rounds
 * its input to, codes are multiplied with the weight's, and the sums are scaled to the output.
 *
 * A convolution's patches are read where they lie in pictures of codes that have their padding around them. What is
 * outside of a picture is 0, and so has the code that stands for it. */
#include "core/tape/layer.h"
#include "core/tape/ops_round.h"

#include "core/math/int8.h"
#include "core/math/team.h"

/* Codes of x: pictures [high, wide] of pixels with their padding. A matrix is one line of one picture, its rows being
 * the pixels. */
struct codes {
    const struct srq_tensor *x;
    struct srq_code_range to; /* from 0 on, as bytes are */
    uint8_t *at;
    int64_t channels, pictures, high, wide;    /* with padding */
    int64_t top, left, inner_high, inner_wide; /* the picture inside */
};

static struct codes codes_of(const struct srq_var *x, const struct srq_conv *c)
{
    struct codes v = { .x = &x->value, .channels = srq_var_cols(x) };

    if (c == NULL) {
        v.pictures = v.high = v.inner_high = 1;
        v.wide = v.inner_wide = srq_var_rows(x);
    } else {
        v.pictures = c->batch;
        v.top = v.left = c->pad_before;
        v.inner_high = c->height;
        v.inner_wide = c->width;
        v.high = c->height + c->pad_before + c->pad_after;
        v.wide = c->width + c->pad_before + c->pad_after;
    }
    return v;
}

/* Pixels [first, first + n) of the line of x that is line `iy` of a picture. */
static void code_pixels(const struct codes *v, int64_t picture, int64_t iy, int64_t first, int64_t n, uint8_t *to)
{
    int64_t pixel = (picture * v->inner_high + iy) * v->inner_wide + first;

    srq_kernels()->code(v->x->dtype, srq_row(v->x, pixel, v->channels), &v->to, to, n * v->channels);
}

static void code_lines(void *ctx, int64_t begin, int64_t end)
{
    const struct codes *v = ctx;
    int64_t c = v->channels, right = v->wide - v->left - v->inner_wide;
    int zero = (int)v->to.zero;

    for (int64_t i = begin; i < end; i++) {
        int64_t iy = i % v->high - v->top;
        uint8_t *to = v->at + i * v->wide * c;

        if (iy < 0 || iy >= v->inner_high) {
            memset(to, zero, (size_t)(v->wide * c));
            continue;
        }
        memset(to, zero, (size_t)(v->left * c));
        code_pixels(v, i / v->high, iy, 0, v->inner_wide, to + v->left * c);
        memset(to + (v->left + v->inner_wide) * c, zero, (size_t)(right * c));
    }
}

/* Of a matrix, which is one line. */
static void code_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct codes *v = ctx;

    code_pixels(v, 0, 0, begin, end - begin, v->at + begin * v->channels);
}

static double codes_bytes(const struct codes *v)
{
    return (double)(v->pictures * v->high * v->wide * v->channels);
}

static void make_codes(struct srq_tape *t, struct codes *v, const struct srq_rounding *r, bool lines)
{
    double since = srq_tape_clock(t);

    v->to = (struct srq_code_range){ r->scale, r->zero - r->low, 0, r->high - r->low };
    if (lines)
        srq_parallel(v->pictures * v->high, 1 + 16384 / (v->wide * v->channels), code_lines, v);
    else
        srq_parallel(v->wide, 1 + 16384 / (v->channels + 1), code_rows, v);
    srq_tape_account(t, SRQ_TAPE_ROUND, false, since,
                     (struct srq_tape_work){ 3.0 * (double)srq_tensor_count(v->x),
                                             codes_bytes(v) + srq_pass_work(v->x, 1, 0).bytes });
}

static struct srq_int8_rows rows_of(const struct codes *v, const struct srq_conv *c)
{
    int64_t line = v->wide * v->channels;

    if (c == NULL)
        return (struct srq_int8_rows){ .codes = v->at, .step = v->channels };
    return (struct srq_int8_rows){ .codes = v->at,
                                   .step = c->stride * v->channels,
                                   .in_line = srq_conv_size(c, c->width),
                                   .line = c->stride * line,
                                   .in_picture = srq_conv_size(c, c->height),
                                   .picture = v->high * line,
                                   .piece = line };
}

/* ---- the layer ---- */

/* Why the layer cannot compute so; false: the tape has failed. */
static bool possible(struct srq_tape *t, const struct srq_linear *l, const struct srq_conv *c)
{
    int kernel = c != NULL ? c->kernel : 1;
    bool measuring = srq_tape_measuring(t);

    if (srq_tape_recording(t))
        srq_tape_fail(t, -SRQ_EUNSUPPORTED, "layer %s computes on integers, which give no gradients", l->name);
    else if (l->tap != NULL || l->feed != NULL)
        srq_tape_fail(t, -SRQ_EUNSUPPORTED, "layer %s computes on integers, and nobody can see or replace its input",
                      l->name);
    else if (!measuring && (l->out != srq_int8_weight_n(l->integer) || l->in != srq_int8_weight_k(l->integer) ||
                            kernel != srq_int8_weight_kernel(l->integer)))
        srq_tape_fail(t, -SRQ_EINVAL, "layer %s [%lld, %lld] with a kernel of %d has codes [%lld, %lld] with one of %d",
                      l->name, (long long)l->out, (long long)l->in, kernel, (long long)srq_int8_weight_n(l->integer),
                      (long long)srq_int8_weight_k(l->integer), srq_int8_weight_kernel(l->integer));
    else
        return true;
    return false;
}

/* The grid of the layer's input, asked of whoever sets it. */
static bool input_grid(struct srq_tape *t, const struct srq_var *x, const struct srq_linear *l)
{
    if (l->input != NULL && !srq_tape_grid(t, x, l->input))
        return false;
    if (srq_tape_measuring(t) || (l->input != NULL && srq_rounding_fits_bytes(l->input)))
        return true;
    srq_tape_fail(t, -SRQ_EINVAL, "layer %s computes on integers, but its input is not rounded to at most 256 codes",
                  l->name);
    return false;
}

/* What may be rounded to as soon as it is computed: a grid that nobody wants to set by what comes out. */
static bool known_output(const struct srq_rounding *r)
{
    return r != NULL && r->observe == NULL && !srq_rounding_off(r);
}

static void multiply(struct srq_tape *t, const struct srq_linear *l, const struct srq_conv *c, const struct codes *v,
                     struct srq_var *y)
{
    double since = srq_tape_clock(t);
    struct srq_int8_product p = { .m = srq_var_rows(y),
                                  .a = rows_of(v, c),
                                  .zero_a = (int32_t)v->to.zero,
                                  .scale_a = v->to.scale,
                                  .b = l->integer,
                                  .bias = l->bias != NULL ? l->bias->value : NULL,
                                  .c = { y->value.data, y->value.dtype, l->out } };

    if (known_output(l->output))
        p.round = (struct srq_code_range){ l->output->scale, l->output->zero, l->output->low, l->output->high };
    srq_int8_multiply(&p);
    srq_tape_account(
        t, c != NULL ? SRQ_TAPE_CONV : SRQ_TAPE_LINEAR, false, since,
        (struct srq_tape_work){ 2.0 * (double)p.m * (double)l->out * (double)l->in,
                                codes_bytes(v) + (double)(l->out * l->in) + srq_pass_work(&y->value, 1, 0).bytes });
}

struct srq_var *srq_layer_integer(struct srq_tape *t, struct srq_var *x, const struct srq_linear *l,
                                  const struct srq_conv *c)
{
    int64_t rows = c != NULL ? c->batch * srq_conv_size(c, c->height) * srq_conv_size(c, c->width) : srq_var_rows(x);
    struct codes v = codes_of(x, c);
    struct srq_block_mem mem;
    struct srq_value *y;

    if (!possible(t, l, c) || !input_grid(t, x, l))
        return NULL;
    if (known_output(l->output) && !srq_tape_grid(t, x, l->output))
        return NULL;
    y = srq_tape_value(t, rows, l->out, false);
    if (y == NULL || srq_tape_take(t, (size_t)(v.pictures * v.high * v.wide * v.channels), &mem, NULL) != 0)
        return NULL;
    if (!srq_tape_measuring(t)) {
        v.at = srq_tape_at(t, &mem);
        make_codes(t, &v, l->input, c != NULL);
        multiply(t, l, c, &v, &y->var);
    }
    srq_tape_give(t, &mem);
    return l->output != NULL && !known_output(l->output) ? srq_tape_round_here(t, &y->var, l->output) : &y->var;
}
