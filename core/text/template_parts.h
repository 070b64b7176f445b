/* What a chat template is made of when read, and the values that it works on when run. */
#ifndef SRQ_TEXT_TEMPLATE_PARTS_H
#define SRQ_TEXT_TEMPLATE_PARTS_H

#include "core/text/template.h"

#include <stdbool.h>

#define TPL_NESTING_MAX 200 /* of expressions and of blocks */
#define TPL_DEPTH_MAX 1000  /* of evaluations inside one another when run */
#define TPL_PARAMS_MAX 6    /* of a filter, test, method or function */

/* ---- memory ------------------------------------------------------------------------------------------------------ */

struct tpl_chunk;

/* Given back as a whole. */
struct tpl_arena {
    struct tpl_chunk *chunk;
    size_t total, max;
    bool full; /* what was asked for is beyond `max`, else memory ran out */
};

void *tpl_arena_get(struct tpl_arena *a, size_t size); /* aligned for any object; NULL: none left */
/* Bytes behind `end`, the end of the last piece of this arena; NULL where there is no room or it is not the last. */
char *tpl_arena_extend(struct tpl_arena *a, const char *end, size_t size);
char *tpl_arena_text(struct tpl_arena *a, size_t size, size_t room); /* bytes, with room to extend them later */
void tpl_arena_fini(struct tpl_arena *a);

/* ---- values ------------------------------------------------------------------------------------------------------ */

enum tpl_kind {
    TPL_ABSENT, /* an argument that was not given */
    TPL_UNDEFINED,
    TPL_NONE,
    TPL_BOOL,
    TPL_INT,
    TPL_FLOAT,
    TPL_TEXT,
    TPL_LIST,
    TPL_TUPLE,
    TPL_DICT,
    TPL_RANGE,
    TPL_VIEW, /* keys, values or items of a dict */
    TPL_ITER, /* what a filter gives one by one: used up by whoever goes through it */
    TPL_NAMESPACE,
    TPL_MACRO,
    TPL_FUNCTION,
    TPL_METHOD,
    TPL_LOOP
};

enum tpl_undefined { TPL_NO_NAME, TPL_NO_ATTRIBUTE, TPL_NO_ELEMENT, TPL_NO_PARAMETER, TPL_UNSAFE, TPL_HINT };
enum tpl_view { TPL_KEYS, TPL_VALUES, TPL_ITEMS };

struct tpl_value {
    uint8_t kind;
    uint8_t of;   /* undefined: an enum tpl_undefined; view: an enum tpl_view */
    uint8_t from; /* undefined: kind of the object that was asked */
    bool safe;    /* text that |safe made: added to others it would escape them */
    union {
        bool flag;
        int64_t number;
        double real;
        struct {
            const char *p;
            size_t len;
        } text; /* of undefined: the name, or the hint */
        struct tpl_list *list;
        struct tpl_dict *dict;
        const struct tpl_range *range;
        const struct tpl_macro *macro;
        const struct tpl_routine *function;
        const struct tpl_method *method;
        struct tpl_loop *loop;
    };
};

struct tpl_list {
    struct tpl_value *items;
    size_t count, cap;
    size_t at; /* TPL_ITER: the next one */
};

struct tpl_pair {
    struct tpl_value key, value;
};

struct tpl_dict {
    struct tpl_pair *pairs;
    size_t count, cap;
};

struct tpl_range {
    int64_t start, step, count;
};

struct tpl_method {
    const struct tpl_routine *routine;
    struct tpl_value self;
};

struct tpl_macro {
    const struct tpl_node *node;
    struct tpl_scope *scope; /* where it was defined */
};

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

enum tpl_node_kind {
    TPL_CONSTANT,
    TPL_NAME,
    TPL_MAKE_LIST,  /* first: elements */
    TPL_MAKE_TUPLE, /* first: elements */
    TPL_MAKE_DICT,  /* first: keys, each followed by its value */
    TPL_ATTRIBUTE,  /* a.value */
    TPL_ITEM,       /* a[b] */
    TPL_SLICE,      /* a[b:c:d], any of them NULL */
    TPL_CALL,       /* a(first, named) */
    TPL_FILTER,     /* a | routine(first, named) */
    TPL_TEST,       /* a is routine(first, named) */
    TPL_KEYWORD,    /* value = a, in a list of named arguments */
    TPL_NOT,
    TPL_NEGATE,
    TPL_PLUS,
    TPL_BINARY, /* a op b */
    TPL_CONCAT, /* first: parts */
    TPL_AND,
    TPL_OR,
    TPL_COMPARE,   /* a, first: TPL_OPERAND */
    TPL_OPERAND,   /* op, a */
    TPL_CONDITION, /* a if b else c */
    TPL_DATA,
    TPL_PRINT,
    TPL_FOR,       /* a: target, b: what is gone through, c: condition; body, other */
    TPL_IF,        /* a: condition; body, other: a list that may begin with op TPL_ELIF */
    TPL_SET,       /* a: target, b: value */
    TPL_SET_BLOCK, /* a: target, b: filters over TPL_CAPTURED or NULL; body */
    TPL_FILTER_BLOCK,
    TPL_CAPTURED,   /* the text of the block around */
    TPL_WITH,       /* first: targets, each followed by its value; body */
    TPL_DEFINE,     /* a macro; first: TPL_PARAMETER; body */
    TPL_PARAMETER,  /* a: default or NULL */
    TPL_MEMBER,     /* a target: id.value */
    TPL_GENERATION, /* body */
    TPL_BREAK,
    TPL_CONTINUE
};

#define TPL_ELIF 1

struct tpl_node {
    uint8_t kind;
    char op;
    uint16_t depth; /* of the tree below */
    uint32_t line;
    int32_t id; /* of a name */
    struct tpl_value value;
    const struct tpl_routine *routine;
    struct tpl_node *a, *b, *c, *d, *first, *named, *body, *other;
    struct tpl_node *next; /* in the list that it is in */
};

struct srq_template {
    struct tpl_arena arena;
    char *what;
    const struct tpl_node *body;
    int32_t name_count;
    int32_t context[5]; /* ids of the names that are given, in the order of tpl_context_names */
    struct tpl_name *names;
    int32_t loop; /* id */
};

struct tpl_name {
    const char *p;
    size_t len;
    bool assigned;
};

/* Operators of tokens and nodes: the character itself, or one of these. */
enum tpl_operator {
    TPL_OP_FLOOR = 'D', /* // */
    TPL_OP_POWER = 'P',
    TPL_OP_EQUAL = 'E',
    TPL_OP_UNEQUAL = 'N',
    TPL_OP_GREATER_EQUAL = 'G',
    TPL_OP_LESS_EQUAL = 'L',
    TPL_OP_IN = 'I',
    TPL_OP_NOT_IN = 'O'
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

enum tpl_token_kind {
    TPL_T_END,
    TPL_T_DATA,
    TPL_T_BLOCK,
    TPL_T_BLOCK_END,
    TPL_T_VARIABLE,
    TPL_T_VARIABLE_END,
    TPL_T_NAME,
    TPL_T_TEXT,
    TPL_T_INT,
    TPL_T_FLOAT,
    TPL_T_OPERATOR
};

struct tpl_token {
    enum tpl_token_kind kind;
    char op;
    uint32_t line;
    struct tpl_value value; /* text of data, names and strings; numbers */
};

struct tpl_lexer {
    const char *p, *begin, *end;
    const char *counted; /* lines are counted up to here */
    uint32_t line;
    char mode; /* 0: text, '%' or '{': inside a tag, 'r': raw text */
    bool line_start;
    char open[TPL_NESTING_MAX];
    int open_count;
    struct tpl_token waiting; /* found with the text before it */
    bool waits;
    struct tpl_arena *arena;
    const char *what;
    struct srq_error *err;
};

/* `text` without carriage returns and without its last newline, alive as long as the tokens. */
void tpl_lexer_begin(struct tpl_lexer *l, const char *text, size_t len);
int tpl_lexer_next(struct tpl_lexer *l, struct tpl_token *token);
int tpl_read_fail(const char *what, uint32_t line, struct srq_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct tpl_binding {
    int32_t id;
    struct tpl_binding *next;
    struct tpl_value value;
};

struct tpl_scope {
    struct tpl_scope *up;
    struct tpl_binding *first;
};

struct tpl_run {
    const struct srq_template *t;
    const struct srq_template_input *in;
    struct tpl_arena cells, text;
    struct srq_buf *out;
    uint64_t steps, steps_max;
    int depth;
    uint32_t line;
    enum { TPL_GO_ON, TPL_JUMP_BREAK, TPL_JUMP_CONTINUE } jump;
    struct tpl_scope *scope, *idle; /* idle: scopes that nothing looks at any more */
    struct tpl_binding *idle_bindings;
    uint32_t macros;                  /* that were defined; a macro keeps the scope that it was defined in */
    const struct tpl_value *captured; /* what TPL_CAPTURED stands for */
    struct srq_error *err;
};

int tpl_fail(struct tpl_run *r, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int tpl_no_memory(struct tpl_run *r);
int tpl_step(struct tpl_run *r, size_t cost);  /* counts; fails when there were too many */
int tpl_enter(struct tpl_run *r);              /* one level deeper; where 0 is returned, r->depth-- leaves it */
void *tpl_new(struct tpl_run *r, size_t size); /* zeroed */
int tpl_undefined_fail(struct tpl_run *r, const struct tpl_value *v);

static inline struct tpl_value tpl_none(void)
{
    return (struct tpl_value){ .kind = TPL_NONE };
}
static inline struct tpl_value tpl_bool(bool flag)
{
    return (struct tpl_value){ .kind = TPL_BOOL, .flag = flag };
}
static inline struct tpl_value tpl_int(int64_t number)
{
    return (struct tpl_value){ .kind = TPL_INT, .number = number };
}
static inline struct tpl_value tpl_real(double real)
{
    return (struct tpl_value){ .kind = TPL_FLOAT, .real = real };
}
static inline struct tpl_value tpl_text(const char *p, size_t len)
{
    return (struct tpl_value){ .kind = TPL_TEXT, .text = { p, len } };
}
static inline bool tpl_given(const struct tpl_value *v) /* an argument: not absent and not none */
{
    return v->kind != TPL_ABSENT && v->kind != TPL_NONE;
}
struct tpl_value tpl_hint(const char *hint); /* undefined, with a constant sentence */

/* Objects. They are not changed once they can be seen, but for namespaces. */
int tpl_list_new(struct tpl_run *r, struct tpl_list **out);
int tpl_list_add(struct tpl_run *r, struct tpl_list *list, const struct tpl_value *v);
int tpl_dict_new(struct tpl_run *r, struct tpl_dict **out);
int tpl_dict_put(struct tpl_run *r, struct tpl_dict *d, const struct tpl_value *key, const struct tpl_value *v);
/* 1 with the value, 0: there is none, or negative. */
int tpl_dict_get(struct tpl_run *r, const struct tpl_dict *d, const struct tpl_value *key, struct tpl_value *out);
int tpl_pair_tuple(struct tpl_run *r, const struct tpl_pair *p, struct tpl_value *out);
int tpl_from_json(struct tpl_run *r, const json_t *json, struct tpl_value *out);

const char *tpl_type_name(const struct tpl_value *v); /* as Python has it */
bool tpl_is_number(const struct tpl_value *v);        /* bool, int, float */
double tpl_as_real(const struct tpl_value *v);
int64_t tpl_as_int(const struct tpl_value *v);                                          /* of a bool or an int */
int tpl_truth(const struct tpl_value *v);                                               /* 0 or 1 */
int tpl_equal(struct tpl_run *r, const struct tpl_value *a, const struct tpl_value *b); /* 0, 1 or negative */
/* a < b, a > b, … : 0, 1 or negative. */
int tpl_order(struct tpl_run *r, char op, const struct tpl_value *a, const struct tpl_value *b);
int tpl_contains(struct tpl_run *r, const struct tpl_value *in, const struct tpl_value *what); /* 0, 1, negative */
int tpl_length(struct tpl_run *r, const struct tpl_value *v, int64_t *out);
bool tpl_has_length(const struct tpl_value *v);

struct tpl_iter {
    struct tpl_value of;
    size_t at;
};
int tpl_iter_begin(struct tpl_run *r, const struct tpl_value *v, struct tpl_iter *it);
int tpl_iter_next(struct tpl_run *r, struct tpl_iter *it, struct tpl_value *out); /* 1: one more, 0: over, negative */
int tpl_collect(struct tpl_run *r, const struct tpl_value *v, struct tpl_list **out); /* list(v) */

/* Texts. */
int tpl_add(struct tpl_run *r, struct tpl_value *text, const char *p, size_t len); /* text += p */
int tpl_puts(struct tpl_run *r, struct tpl_value *text, const char *s);
int tpl_str(struct tpl_run *r, const struct tpl_value *v, struct tpl_value *out);           /* str(v) */
int tpl_repr(struct tpl_run *r, const struct tpl_value *v, struct tpl_value *out);          /* out += repr(v) */
int tpl_json(struct tpl_run *r, const struct tpl_value *const args, struct tpl_value *out); /* v and its options */
char *tpl_real_text(double real, char out[40]);
bool tpl_space(uint32_t code);
size_t tpl_chars(const char *p, size_t len);                         /* how many */
size_t tpl_char_at(const char *p, size_t len, size_t index);         /* byte of the index-th, or len */
bool tpl_same(const struct tpl_value *a, const char *p, size_t len); /* a text, this one */
bool tpl_named(const struct tpl_value *a, const char *name);
char *tpl_show(const char *p, size_t len, char *out, size_t cap); /* for errors: whole characters, none of control */

enum tpl_case { TPL_UPPER, TPL_LOWER, TPL_TITLE, TPL_CAPITALIZE, TPL_WORDS };
int tpl_convert(struct tpl_run *r, const struct tpl_value *text, enum tpl_case to, struct tpl_value *out);

/* Access. */
int tpl_attribute(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value *name, struct tpl_value *out);
int tpl_item(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value *key, struct tpl_value *out);
/* a part of a list, tuple, text or range; NONE where nothing was written */
int tpl_slice(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value part[3], struct tpl_value *out);
int tpl_binary(struct tpl_run *r, char op, const struct tpl_value *a, const struct tpl_value *b, struct tpl_value *out);

/* ---- filters, tests, methods, functions -------------------------------------------------------------------------- */

struct tpl_named_value {
    struct tpl_value name, value;
};

struct tpl_args {
    struct tpl_value *list;
    size_t count;
    struct tpl_named_value *named;
    size_t named_count;
};

struct tpl_call {
    struct tpl_value self;                /* what is filtered, tested, or has the method */
    struct tpl_value arg[TPL_PARAMS_MAX]; /* TPL_ABSENT where not given */
    const struct tpl_args *args;          /* all as they were given */
};

struct tpl_routine {
    const char *name;
    const char *params; /* names with blanks between; NULL: it looks at the arguments itself */
    int required;
    int (*run)(struct tpl_run *r, const struct tpl_call *c, struct tpl_value *out);
    uint8_t kind; /* of a method: what has it */
};

extern const struct tpl_routine tpl_filters[], tpl_tests[], tpl_methods[], tpl_functions[]; /* end with a NULL name */
const struct tpl_routine *tpl_find(const struct tpl_routine *table, const char *p, size_t len);
bool tpl_changes(const struct tpl_value *of, const struct tpl_value *name); /* a method that would; `of` NULL: of any */
int tpl_invoke(struct tpl_run *r, const struct tpl_routine *f, const struct tpl_value *self,
               const struct tpl_args *args, struct tpl_value *out);
/* Anything that can be called. */
int tpl_call_value(struct tpl_run *r, const struct tpl_value *f, const struct tpl_args *args, struct tpl_value *out);
int tpl_call_macro(struct tpl_run *r, const struct tpl_macro *m, const struct tpl_args *args, struct tpl_value *out);
int tpl_loop_attribute(struct tpl_run *r, const struct tpl_value *of, const struct tpl_value *name,
                       struct tpl_value *out);

#endif
