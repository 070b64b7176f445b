/* What evaluation and loops share. */
#ifndef SRQ_TEXT_TEMPLATE_RUN_H
#define SRQ_TEXT_TEMPLATE_RUN_H

#include "core/text/template_parts.h"

struct tpl_loop {
    const struct tpl_node *node; /* the for block */
    struct tpl_scope *outer;
    struct tpl_iter it;
    int64_t index, length; /* of the current element, -1 before the first; -1: not known */
    struct tpl_value before, current, after;
    bool ahead, more;      /* `after` was looked at; there is one */
    bool all;              /* `it` holds what the condition let through */
    struct tpl_list *last; /* of changed() */
};

int tpl_eval(struct tpl_run *r, const struct tpl_node *n, struct tpl_value *out);
int tpl_assign(struct tpl_run *r, const struct tpl_node *target, const struct tpl_value *v);
int tpl_scope_push(struct tpl_run *r); /* inside r->scope */
/* Back to `outer`; the scope that was pushed on it is used again unless macros were defined since there were `macros`.
 */
void tpl_scope_pop(struct tpl_run *r, struct tpl_scope *outer, uint32_t macros);
int tpl_bind(struct tpl_run *r, int32_t id, const struct tpl_value *v);

int tpl_loop_peek(struct tpl_run *r, struct tpl_loop *loop); /* 1: loop->after is the next one, 0: none, negative */
int tpl_loop_next(struct tpl_run *r, struct tpl_loop *loop); /* the same, and makes it the current one */

#endif
