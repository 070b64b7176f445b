/* Linear layers as blocks call them: with what their inputs and outputs are rounded to. */
#include "core/tape/layer.h"

#include "core/tape/ops_round.h"

struct srq_var *srq_layer_input(struct srq_tape *t, struct srq_var *x, const struct srq_linear *l)
{
    return l->input != NULL ? srq_op_round(t, x, l->input) : x;
}

struct srq_var *srq_layer_output(struct srq_tape *t, struct srq_var *x, struct srq_var *fed, struct srq_var *y,
                                 const struct srq_linear *l)
{
    /* Where no gradient is wanted, nobody reads the rounded input again. */
    if (y != NULL && fed != x && !y->wants_grad)
        srq_tape_give(t, &((struct srq_value *)fed)->mem);
    return l->output != NULL ? srq_tape_round_here(t, y, l->output) : y;
}

struct srq_var *srq_op_linear(struct srq_tape *t, struct srq_var *x, struct srq_linear *l)
{
    struct srq_var *fed;

    if (l->integer != NULL && !srq_tape_failed(t, x, x))
        return srq_var_cols(x) == l->in ? srq_layer_integer(t, x, l, NULL) : srq_tape_misfit(t, x, l);
    fed = srq_layer_input(t, x, l);
    return srq_layer_output(t, x, fed, srq_tape_linear(t, fed, l), l);
}
