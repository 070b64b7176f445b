/* What the readers of blocks and of expressions share. */
#ifndef SRQ_TEXT_TEMPLATE_READ_H
#define SRQ_TEXT_TEMPLATE_READ_H

#include "core/text/template_parts.h"

struct tpl_reader {
    struct tpl_lexer lexer;
    struct tpl_token token, next; /* the one to be read, and the one behind it */
    struct tpl_arena *arena;
    const char *what;
    int nesting, loops, macros;
    struct tpl_name *names;
    int32_t name_count, *slots;
    size_t slot_count;
    struct tpl_node *calls; /* of names, the last first, linked by d */
    struct srq_error *err;
};

#define tpl_reader_fail(r, line, code, ...) tpl_read_fail((r)->what, line, (r)->err, code, __VA_ARGS__)
int tpl_reader_no_memory(struct tpl_reader *r);
int tpl_unexpected(struct tpl_reader *r, const char *wanted);

int tpl_advance(struct tpl_reader *r);
bool tpl_at(const struct tpl_reader *r, char op);
bool tpl_at_name(const struct tpl_reader *r, const char *name);
int tpl_skip_if(struct tpl_reader *r, char op, bool *there);
int tpl_skip_if_name(struct tpl_reader *r, const char *name, bool *there);
int tpl_expect(struct tpl_reader *r, char op);
int tpl_expect_kind(struct tpl_reader *r, enum tpl_token_kind kind, const char *wanted);

int tpl_node_new(struct tpl_reader *r, enum tpl_node_kind kind, uint32_t line, struct tpl_node **out);
int tpl_cover(struct tpl_reader *r, struct tpl_node *n, const struct tpl_node *child);
int tpl_nest(struct tpl_reader *r); /* one level deeper; r->nesting-- leaves it, also after a failure */
int tpl_intern(struct tpl_reader *r, const struct tpl_value *name, int32_t *id);
int tpl_read_name_target(struct tpl_reader *r, struct tpl_node **out);

/* Expressions. */
enum tpl_tuple { TPL_NO_CONDITION = 1, TPL_PARENTHESES = 2, TPL_TARGET = 4, TPL_MEMBERS = 8 };
int tpl_read_tuple(struct tpl_reader *r, unsigned how, struct tpl_node **out);
int tpl_read_expression(struct tpl_reader *r, bool conditions, struct tpl_node **out);
int tpl_read_target(struct tpl_reader *r, bool members, struct tpl_node **out);
/* `*n` becomes what is filtered. */
int tpl_read_filter(struct tpl_reader *r, struct tpl_node **n);  /* one, at its name */
int tpl_read_filters(struct tpl_reader *r, struct tpl_node **n); /* those that follow, each after '|' */

extern const char *const tpl_context_names[];

#endif
