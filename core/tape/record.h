/* How operations use the tape; for core/tape only.
 *
 * An operation checks its inputs, makes its output with srq_tape_value, does its arithmetic unless the tape is
 * measuring, and records a node. Backward, its function finds the output's gradient in node->out, asks for the
 * gradients of its inputs with srq_tape_grad and writes or adds to them. When it returns, the tape frees what nobody
 * needs any more: the output's gradient, the node's saved block, and each input whose last user this was. */
#ifndef SRQ_TAPE_RECORD_H
#define SRQ_TAPE_RECORD_H

#include "core/math/gemm.h"
#include "core/math/kernels.h"
#include "core/tape/arena.h"
#include "core/tape/ops_picture.h"
#include "core/tape/times.h"

/* Memory of a gradient; several values may share one as long as nobody adds to it. */
struct srq_grad_mem {
    struct srq_block_mem mem;
    int refs;
    struct srq_grad_mem *next_free;
};

struct srq_value {
    struct srq_var var;       /* first: what users of the tape see */
    struct srq_block_mem mem; /* none: memory of the caller */
    struct srq_grad_mem *grad;
    int users; /* recorded operations that read it and have not been replayed yet */
    bool kept; /* its own backward, or a caller, reads the value: not to be overwritten or freed early */
    bool seed; /* the loss that backward starts from */
};

struct srq_node {
    int (*backward)(struct srq_tape *t, struct srq_node *n, struct srq_error *err);
    enum srq_tape_kind kind;
    struct srq_value *in[3], *out; /* inputs may be NULL */
    struct srq_block_mem saved;
    union {
        struct srq_linear *linear;
        struct {
            const struct srq_vector *weight;
            int64_t features;
        } norm;
        struct {
            struct srq_turn turn;
            int64_t seq;
        } rope;
        struct srq_attention attention;
        struct {
            struct srq_linear *layer;
            struct srq_conv shape;
        } conv;
        struct srq_group_norm group_norm;
        struct {
            int64_t batch, height, width;
        } picture;
        float factor;
        int64_t split;
    } as;
};

/* The layer's product alone, whatever its input and output are to be rounded to. */
struct srq_var *srq_tape_linear(struct srq_tape *t, struct srq_var *x, struct srq_linear *l);
/* The tape's failure when x has not the features that the layer takes. */
struct srq_var *srq_tape_misfit(struct srq_tape *t, const struct srq_var *x, const struct srq_linear *l);
/* Runs a product; a measuring tape names it instead. */
void srq_tape_multiply(const struct srq_tape *t, const struct srq_product *p);
/* The layer's bias into each of `rows` rows at y, for a product that adds to them. */
void srq_tape_fill_bias(const struct srq_linear *l, const struct srq_tensor *y, int64_t row, int64_t rows);

/* srq_op_round of what nobody else reads, in its place; x may be NULL after a failure. */
struct srq_var *srq_tape_round_here(struct srq_tape *t, struct srq_var *x, struct srq_rounding *r);

/* Lets the owner of a grid see x, unless the tape is measuring. False: the grid is none, and the tape has failed. */
bool srq_tape_grid(struct srq_tape *t, const struct srq_var *x, struct srq_rounding *r);

/* True when the tape has failed or an input is missing: the operation returns NULL. */
bool srq_tape_failed(struct srq_tape *t, const struct srq_var *a, const struct srq_var *b);

/* A new value [rows, cols] in the tape's dtype; NULL when the arena is full. */
struct srq_value *srq_tape_value(struct srq_tape *t, int64_t rows, int64_t cols, bool wants_grad);
/* A new value in the memory of x, which holds none from here on: for what the backward of x's operation does not read.
 */
struct srq_value *srq_tape_take_over(struct srq_tape *t, struct srq_value *x);
/* A block of scratch or saved memory. */
int srq_tape_take(struct srq_tape *t, size_t bytes, struct srq_block_mem *out, struct srq_error *err);
void srq_tape_give(struct srq_tape *t, struct srq_block_mem *b);
void *srq_tape_at(const struct srq_tape *t, const struct srq_block_mem *b); /* NULL when measuring */
/* Whether the operation is to be recorded for an output that wants a gradient. */
bool srq_tape_recording(const struct srq_tape *t);
/* Appends a node; NULL (tape failed) when memory is out. */
struct srq_node *srq_tape_node(struct srq_tape *t, enum srq_tape_kind kind,
                               int (*backward)(struct srq_tape *t, struct srq_node *n, struct srq_error *err),
                               struct srq_value *out, struct srq_var *a, struct srq_var *b, struct srq_var *c);

/* The gradient of an input that wants one: `*add` says whether it holds something that must be kept. With `in_place`,
 * the operation allows that the gradient takes the place of the input's value, when nobody needs that any more. */
int srq_tape_grad(struct srq_tape *t, struct srq_value *v, bool in_place, bool *add, struct srq_error *err);
/* Gives the output's gradient to an input unchanged: without copying when the input has none yet. */
int srq_tape_pass_grad(struct srq_tape *t, struct srq_value *from, struct srq_value *to, struct srq_error *err);
/* Moves the output's gradient to an input, which then overwrites it in place; false when somebody else holds it, or
 * the input has one already. */
bool srq_tape_move_grad(struct srq_tape *t, struct srq_value *from, struct srq_value *to);

/* Makes a saved block, which holds a whole gradient of v, v's gradient (or adds it). */
int srq_tape_adopt_grad(struct srq_tape *t, struct srq_value *v, struct srq_block_mem *saved, struct srq_error *err);

/* [rows, cols] of a value: the last dimension and the product of the others. */
static inline int64_t srq_var_cols(const struct srq_var *v)
{
    return v->value.rank > 0 ? v->value.shape[v->value.rank - 1] : 1;
}

static inline int64_t srq_var_rows(const struct srq_var *v)
{
    int64_t rows = 1;

    for (int i = 0; i + 1 < v->value.rank; i++)
        rows *= v->value.shape[i];
    return rows;
}

/* The work of a pass that reads or writes `values` matrices of that shape, with so many FLOPs for each element. */
static inline struct srq_tape_work srq_pass_work(const struct srq_tensor *like, int values, int flops)
{
    double n = (double)srq_tensor_count(like);

    return (struct srq_tape_work){ n * flops, n * values * (double)srq_dtype_size(like->dtype) };
}

static inline struct srq_tape_work srq_product_work(const struct srq_product *p)
{
    double m = (double)p->m, n = (double)p->n, k = (double)p->k;

    return (struct srq_tape_work){ 2 * m * n * k, m * k * (double)srq_dtype_size(p->a.dtype) +
                                                      k * n * (double)srq_dtype_size(p->b.dtype) +
                                                      m * n * (double)srq_dtype_size(p->c.dtype) * (1 + p->add) };
}

static inline void *srq_row(const struct srq_tensor *t, int64_t row, int64_t cols)
{
    return (char *)t->data + (size_t)(row * cols) * (t->dtype == SRQ_F32 ? 4 : 2);
}

#endif
