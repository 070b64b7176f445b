/* The operations that blocks are written with. Shapes: a batch of `batch` sequences of `seq` tokens is a matrix
 * [batch*seq, features]. */
#ifndef SRQ_TAPE_OPS_H
#define SRQ_TAPE_OPS_H

#include "core/tape/tape.h"

struct srq_rounding;    /* core/tape/ops_round.h */
struct srq_int8_weight; /* core/math/int8.h */

/* Receives rows [row, row+rows) of dL/dW, F32 [rows, in], contiguous; may overwrite them. Called from several threads
 * for different rows. */
typedef void (*srq_weight_sink)(void *ctx, int64_t row, int64_t rows, float *grad);

/* A vector beside weights, a norm's gain or a bias: [n] F32, with whoever trains it. Stays until the pass is over. */
struct srq_vector {
    const char *name; /* of its tensor */
    int64_t n;
    const float *value;
    void (*sink)(void *ctx, const float *grad); /* gets dL/d(value) [n] of a pass; NULL: nobody wants it */
    void *sink_ctx;
};

/* A linear layer as the tape sees it: y = x Wᵀ + bias. The owner (block, tuner) says which weight to use. */
struct srq_linear {
    const char *name;
    int64_t out, in;
    struct srq_tensor weight;      /* [out, in], the one to use now; dtype F32 or BF16, the tape's dtype */
    const struct srq_vector *bias; /* [out] or NULL */
    srq_weight_sink sink;          /* NULL: nobody wants dW, and it is not computed */
    void *sink_ctx;
    /* When set, called with each input of the layer before the product: x [tokens, in] (statistics, layer error). */
    void (*tap)(void *ctx, const struct srq_linear *l, const struct srq_tensor *x);
    void *tap_ctx;
    /* When set, the product is taken with what this makes of rows [row, row+rows) of x: into `to` [rows, in] of x's
     * dtype, which may be where they are. Called from several threads for different rows. Its derivative counts as 1,
     * and the sink's gradient is that of the product as it was taken. */
    void (*feed)(void *ctx, const struct srq_tensor *x, int64_t row, int64_t rows, void *to);
    void *feed_ctx;
    /* What the layer's input and output are rounded to: before all else, and after the bias. NULL: they are not. */
    struct srq_rounding *input, *output;
    /* When set, the layer computes on integers and reads no `weight`: of its input the codes that `input` rounds it to,
     * of which there may be 256 at most with 0 among them, times these, whose shape is the layer's (and whose kernel is
     * the convolution's). That gives what `input`, a product with the weights that the codes stand for, and `output`
     * give, sums being exact here. A value that is not a number has the lowest code. A tape that records refuses it,
     * and so does a layer with a tap or a feed: there is neither a gradient nor an input to be seen. */
    const struct srq_int8_weight *integer;
};

/* y[t,o] = sum_i x[t,i] W[o,i] + b[o].  dx = dy W;  the sink receives dW = dyᵀ x tile by tile. */
struct srq_var *srq_op_linear(struct srq_tape *t, struct srq_var *x, struct srq_linear *l);
/* y = w * x * rsqrt(mean(x²) + eps) over the last axis; w [features]. */
struct srq_var *srq_op_rmsnorm(struct srq_tape *t, struct srq_var *x, const struct srq_vector *w, float eps);
/* The same over each head: x [tokens, heads*head_dim], w [head_dim] (qwen3). */
struct srq_var *srq_op_head_rmsnorm(struct srq_tape *t, struct srq_var *x, int64_t head_dim, const struct srq_vector *w,
                                    float eps);
/* Rotary embedding, half-split form: cos, sin [seq, rot/2] F32; x [batch*seq, heads*head_dim]; the first `rot` dims of
 * each head are rotated. */
struct srq_var *srq_op_rope(struct srq_tape *t, struct srq_var *x, int64_t seq, int64_t head_dim, int64_t rot,
                            const float *cos, const float *sin);
/* Attention, softmax in F32. q [batch*seq, heads*head_dim], k and v [batch*seq, kv_heads*head_dim]; query head j
 * uses kv head j / (heads/kv_heads). window 0: none, else a query sees itself and the window-1 keys before it. full: a
 * query sees all keys of its sequence (and there is no window); else none after it. keys: of a sequence, where they are
 * of another one than the queries (k and v [batch*keys, kv_heads*head_dim], full); 0: seq. Saves only the log-sum-exp;
 * tiles are recomputed in backward. */
struct srq_attention {
    int64_t batch, seq, heads, kv_heads, head_dim, window;
    float scale;
    bool full;
    int64_t keys;
};
struct srq_var *srq_op_attention(struct srq_tape *t, struct srq_var *q, struct srq_var *k, struct srq_var *v,
                                 const struct srq_attention *a);
/* silu(gate) * up, elementwise. */
struct srq_var *srq_op_swiglu(struct srq_tape *t, struct srq_var *gate, struct srq_var *up);
/* gelu(gate) * up, elementwise, with gelu(g) = g/2 (1 + tanh(sqrt(2/pi) (g + 0.044715 g³))) (gemma). */
struct srq_var *srq_op_geglu_tanh(struct srq_tape *t, struct srq_var *gate, struct srq_var *up);
/* x [rows, 2n], a value and its gate side by side -> value * gelu(gate) [rows, n], with gelu(g) = g/2 (1 + erf(g/sqrt
 * 2)).
 */
struct srq_var *srq_op_geglu(struct srq_tape *t, struct srq_var *x);
/* y = gain (x - mean) / sqrt(var + eps) + bias, with mean and (biased) variance over the last axis; gain, bias
 * [features]. */
struct srq_var *srq_op_layer_norm(struct srq_tape *t, struct srq_var *x, const struct srq_vector *gain,
                                  const struct srq_vector *bias, float eps);
/* x * sigmoid(x), elementwise. */
struct srq_var *srq_op_silu(struct srq_tape *t, struct srq_var *x);
struct srq_var *srq_op_scale(struct srq_tape *t, struct srq_var *x, float factor);
struct srq_var *srq_op_add(struct srq_tape *t, struct srq_var *a, struct srq_var *b);
/* Mean over valid elements of (x - target)²; target has x's shape, F32 or BF16; mask [tokens] bytes, 0 leaves a token
 * out, or NULL. The value is an F32 scalar. Loss and gradient are one pass. */
struct srq_var *srq_op_mse(struct srq_tape *t, struct srq_var *x, const struct srq_tensor *target, const uint8_t *mask);
/* The same without the largest |x - target|: the share `drop_largest` in [0, 1) of the valid elements, rounded down but
 * at least one, 0: none. Their squares and gradients are zero; the mean is still over all valid elements. Among equal
 * errors those of earlier elements are left out (spec signround 8.3). */
struct srq_var *srq_op_mse_dropping(struct srq_tape *t, struct srq_var *x, const struct srq_tensor *target,
                                    const uint8_t *mask, double drop_largest);
/* sum x g, with g of x's shape and the tape's dtype: an F32 scalar from which backward begins where dL/dx = g is known
 * from elsewhere (the loss of what follows a block). g is copied. */
struct srq_var *srq_op_dot(struct srq_tape *t, struct srq_var *x, const struct srq_tensor *g);

#endif
