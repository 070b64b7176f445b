/* The tape: values, nodes, replay backwards, and when memory is given back. */
#include "core/tape/record.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/math/kernels.h"
#include "core/math/team.h"

#define CHUNK 64

/* Records are made in chunks that stay for the tape's life: pointers to them are kept. */
struct value_chunk {
    struct value_chunk *next;
    struct srq_value items[CHUNK];
};

struct node_chunk {
    struct node_chunk *next, *before;
    struct srq_node items[CHUNK];
};

struct grad_chunk {
    struct grad_chunk *next;
    struct srq_grad_mem items[CHUNK];
};

struct srq_tape {
    struct srq_arena arena;
    enum srq_dtype dtype;
    bool measuring, recording, timing;
    struct srq_error failure;
    struct value_chunk *values, *last_values;
    struct node_chunk *nodes, *last_nodes;
    struct grad_chunk *grads;
    struct srq_grad_mem *free_grads;
    int value_count, node_count; /* in the last chunk in use */
    struct {
        double seconds[2]; /* forward, backward */
        struct srq_tape_work work[2];
    } times[SRQ_TAPE_KINDS];
};

static const char *const kind_names[SRQ_TAPE_KINDS] = {
    [SRQ_TAPE_LINEAR] = "linear",     [SRQ_TAPE_WEIGHT_GRAD] = "weight gradient",
    [SRQ_TAPE_SINK] = "sink",         [SRQ_TAPE_RMSNORM] = "rmsnorm",
    [SRQ_TAPE_ROPE] = "rope",         [SRQ_TAPE_ATTENTION] = "attention",
    [SRQ_TAPE_SWIGLU] = "swiglu",     [SRQ_TAPE_ADD] = "add",
    [SRQ_TAPE_MSE] = "mse",           [SRQ_TAPE_DOT] = "dot",
    [SRQ_TAPE_FEED] = "feed",         [SRQ_TAPE_CONV] = "conv",
    [SRQ_TAPE_PATCHES] = "patches",   [SRQ_TAPE_GROUP_NORM] = "group norm",
    [SRQ_TAPE_SILU] = "silu",         [SRQ_TAPE_SCALE] = "scale",
    [SRQ_TAPE_UPSAMPLE] = "upsample", [SRQ_TAPE_CONCAT] = "concat",
    [SRQ_TAPE_SAMPLE] = "sample",     [SRQ_TAPE_ROUND] = "round",
    [SRQ_TAPE_GEGLU] = "geglu",       [SRQ_TAPE_WEIGHTS] = "weights",
    [SRQ_TAPE_HEAD] = "head",         [SRQ_TAPE_STEP] = "step",
};

/* ---- life ---- */

static int create(size_t bytes, size_t room, enum srq_dtype dtype, bool measure, struct srq_tape **out,
                  struct srq_error *err)
{
    struct srq_tape *t;
    int rc = 0;

    *out = NULL;
    if (dtype != SRQ_F32 && dtype != SRQ_BF16)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "a tape computes in F32 or BF16, not %s", srq_dtype_name(dtype));
    t = srq_calloc(1, sizeof(*t));
    if (t == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for a tape");
    if (measure)
        srq_arena_measure(&t->arena);
    else
        rc = srq_arena_init(&t->arena, bytes, room, err);
    if (rc != 0) {
        srq_free(t);
        return rc;
    }
    t->dtype = dtype;
    t->measuring = measure;
    t->recording = true;
    *out = t;
    return 0;
}

int srq_tape_create(size_t bytes, enum srq_dtype dtype, bool measure, struct srq_tape **out, struct srq_error *err)
{
    return create(bytes, 0, dtype, measure, out, err);
}

int srq_tape_create_measured(size_t bytes, enum srq_dtype dtype, struct srq_tape **out, struct srq_error *err)
{
    return create(bytes, bytes / 4, dtype, false, out, err);
}

void srq_tape_free(struct srq_tape *t)
{
    if (t == NULL)
        return;
    for (struct value_chunk *c = t->values, *next; c != NULL; c = next) {
        next = c->next;
        srq_free(c);
    }
    for (struct node_chunk *c = t->nodes, *next; c != NULL; c = next) {
        next = c->next;
        srq_free(c);
    }
    for (struct grad_chunk *c = t->grads, *next; c != NULL; c = next) {
        next = c->next;
        srq_free(c);
    }
    srq_arena_fini(&t->arena);
    srq_free(t);
}

void srq_tape_reset(struct srq_tape *t)
{
    srq_arena_reset(&t->arena);
    memset(&t->failure, 0, sizeof(t->failure));
    t->last_values = NULL;
    t->last_nodes = NULL;
    t->value_count = t->node_count = 0;
    t->free_grads = NULL;
    for (struct grad_chunk *c = t->grads; c != NULL; c = c->next) {
        for (int i = 0; i < CHUNK; i++) {
            c->items[i].next_free = t->free_grads;
            t->free_grads = &c->items[i];
        }
    }
}

enum srq_dtype srq_tape_dtype(const struct srq_tape *t)
{
    return t->dtype;
}

bool srq_tape_measuring(const struct srq_tape *t)
{
    return t->measuring;
}

void srq_tape_record(struct srq_tape *t, bool on)
{
    t->recording = on;
}

bool srq_tape_recording(const struct srq_tape *t)
{
    return t->recording;
}

size_t srq_tape_used(const struct srq_tape *t)
{
    return t->arena.used;
}

size_t srq_tape_peak(const struct srq_tape *t)
{
    return t->arena.peak;
}

/* ---- failure ---- */

int srq_tape_error(const struct srq_tape *t, struct srq_error *err)
{
    if (t->failure.code != 0 && err != NULL)
        *err = t->failure;
    return -t->failure.code;
}

struct srq_var *srq_tape_fail(struct srq_tape *t, int code, const char *fmt, ...)
{
    va_list ap;

    if (t->failure.code == 0) {
        va_start(ap, fmt);
        srq_vfail(&t->failure, code, NULL, fmt, ap);
        va_end(ap);
    }
    return NULL;
}

bool srq_tape_failed(struct srq_tape *t, const struct srq_var *a, const struct srq_var *b)
{
    if (t->failure.code == 0 && (a == NULL || b == NULL))
        srq_tape_fail(t, -SRQ_EINVAL, "an operation got no input");
    return t->failure.code != 0;
}

/* ---- records ---- */

int srq_tape_take(struct srq_tape *t, size_t bytes, struct srq_block_mem *out, struct srq_error *err)
{
    int rc = srq_arena_take(&t->arena, bytes, out, t->failure.code == 0 ? &t->failure : NULL);

    if (rc != 0 && err != NULL)
        *err = t->failure;
    return rc;
}

void srq_tape_give(struct srq_tape *t, struct srq_block_mem *b)
{
    (void)srq_arena_give(&t->arena, b, t->failure.code == 0 ? &t->failure : NULL);
}

void *srq_tape_at(const struct srq_tape *t, const struct srq_block_mem *b)
{
    return srq_arena_at(&t->arena, b);
}

static struct srq_value *new_value(struct srq_tape *t)
{
    struct value_chunk *c = t->last_values;
    struct srq_value *v;

    if (c == NULL || t->value_count == CHUNK) {
        struct value_chunk *next = c == NULL ? t->values : c->next;

        if (next == NULL) {
            next = srq_calloc(1, sizeof(*next));
            if (next == NULL) {
                srq_tape_fail(t, -SRQ_ENOMEM, "no memory for values of the tape");
                return NULL;
            }
            if (c == NULL)
                t->values = next;
            else
                c->next = next;
        }
        t->last_values = c = next;
        t->value_count = 0;
    }
    v = &c->items[t->value_count++];
    memset(v, 0, sizeof(*v));
    return v;
}

struct srq_value *srq_tape_value(struct srq_tape *t, int64_t rows, int64_t cols, bool wants_grad)
{
    struct srq_value *v = new_value(t);
    size_t bytes;

    if (v == NULL)
        return NULL;
    v->var.value = srq_tensor_2d(NULL, t->dtype, rows, cols);
    v->var.wants_grad = wants_grad && t->recording;
    if (!srq_tensor_bytes(&v->var.value, &bytes)) {
        srq_tape_fail(t, -SRQ_ELIMIT, "a value [%lld, %lld] does not fit in memory", (long long)rows, (long long)cols);
        return NULL;
    }
    if (srq_tape_take(t, bytes, &v->mem, NULL) != 0)
        return NULL;
    v->var.value.data = srq_tape_at(t, &v->mem);
    return v;
}

struct srq_value *srq_tape_take_over(struct srq_tape *t, struct srq_value *x)
{
    struct srq_value *v = new_value(t);

    if (v == NULL)
        return NULL;
    v->var.value = x->var.value;
    v->var.wants_grad = x->var.wants_grad;
    v->mem = x->mem;
    x->mem = (struct srq_block_mem){ 0, 0 };
    x->var.value.data = NULL;
    return v;
}

struct srq_var *srq_tape_input(struct srq_tape *t, const struct srq_tensor *value, bool wants_grad)
{
    struct srq_value *v;

    if (t->failure.code != 0)
        return NULL;
    if (value->dtype != t->dtype)
        return srq_tape_fail(t, -SRQ_EINVAL, "an input is %s and the tape %s", srq_dtype_name(value->dtype),
                             srq_dtype_name(t->dtype));
    if (srq_tensor_count(value) < 0)
        return srq_tape_fail(t, -SRQ_ELIMIT, "an input's shape does not fit in memory");
    v = new_value(t);
    if (v == NULL)
        return NULL;
    v->var.value = *value;
    v->var.wants_grad = wants_grad && t->recording;
    v->kept = true;
    return &v->var;
}

struct srq_node *srq_tape_node(struct srq_tape *t, enum srq_tape_kind kind,
                               int (*backward)(struct srq_tape *t, struct srq_node *n, struct srq_error *err),
                               struct srq_value *out, struct srq_var *a, struct srq_var *b, struct srq_var *c)
{
    struct node_chunk *last = t->last_nodes;
    struct srq_node *n;

    if (last == NULL || t->node_count == CHUNK) {
        struct node_chunk *next = last == NULL ? t->nodes : last->next;

        if (next == NULL) {
            next = srq_calloc(1, sizeof(*next));
            if (next == NULL) {
                srq_tape_fail(t, -SRQ_ENOMEM, "no memory for operations of the tape");
                return NULL;
            }
            next->before = last;
            if (last == NULL)
                t->nodes = next;
            else
                last->next = next;
        }
        t->last_nodes = last = next;
        t->node_count = 0;
    }
    n = &last->items[t->node_count++];
    memset(n, 0, sizeof(*n));
    n->kind = kind;
    n->backward = backward;
    n->out = out;
    n->in[0] = (struct srq_value *)a;
    n->in[1] = (struct srq_value *)b;
    n->in[2] = (struct srq_value *)c;
    for (int i = 0; i < 3; i++)
        if (n->in[i] != NULL)
            n->in[i]->users++;
    return n;
}

/* ---- gradients ---- */

static struct srq_grad_mem *new_grad(struct srq_tape *t, struct srq_error *err)
{
    struct srq_grad_mem *g;

    if (t->free_grads == NULL) {
        struct grad_chunk *c = srq_calloc(1, sizeof(*c));

        if (c == NULL) {
            srq_fail(err, -SRQ_ENOMEM, "no memory for gradients of the tape");
            return NULL;
        }
        c->next = t->grads;
        t->grads = c;
        for (int i = 0; i < CHUNK; i++) {
            c->items[i].next_free = t->free_grads;
            t->free_grads = &c->items[i];
        }
    }
    g = t->free_grads;
    t->free_grads = g->next_free;
    memset(g, 0, sizeof(*g));
    g->refs = 1;
    return g;
}

static void show_grad(struct srq_tape *t, struct srq_value *v)
{
    v->var.grad = v->var.value;
    v->var.grad.data = srq_tape_at(t, &v->grad->mem);
}

static void drop_grad(struct srq_tape *t, struct srq_value *v)
{
    struct srq_grad_mem *g = v->grad;

    v->grad = NULL;
    v->var.grad.data = NULL;
    if (g == NULL || --g->refs > 0)
        return;
    srq_tape_give(t, &g->mem);
    g->next_free = t->free_grads;
    t->free_grads = g;
}

static void drop_value(struct srq_tape *t, struct srq_value *v)
{
    if (v->mem.size == 0)
        return;
    srq_tape_give(t, &v->mem);
    v->var.value.data = NULL;
}

/* A gradient buffer of its own for v, not yet filled. */
static int own_grad(struct srq_tape *t, struct srq_value *v, bool in_place, struct srq_error *err)
{
    size_t bytes = 0;
    int rc;

    v->grad = new_grad(t, err);
    if (v->grad == NULL)
        return -SRQ_ENOMEM;
    if (in_place && v->users == 1 && !v->kept && v->mem.size > 0) {
        v->grad->mem = v->mem;
        v->mem = (struct srq_block_mem){ 0, 0 };
        show_grad(t, v);
        v->var.value.data = NULL;
        return 0;
    }
    (void)srq_tensor_bytes(&v->var.value, &bytes);
    rc = srq_tape_take(t, bytes, &v->grad->mem, err);
    if (rc == 0)
        show_grad(t, v);
    return rc;
}

struct copy {
    enum srq_dtype dtype;
    const char *a, *b; /* b NULL: y = a, else y = a + b */
    char *y;
};

static void copy_range(void *ctx, int64_t begin, int64_t end)
{
    const struct copy *c = ctx;
    size_t size = srq_dtype_size(c->dtype), at = (size_t)begin * size;

    if (c->b == NULL)
        memcpy(c->y + at, c->a + at, (size_t)(end - begin) * size);
    else
        srq_kernels()->add(c->dtype, c->a + at, c->b + at, c->y + at, end - begin);
}

/* y = a (+ b) over the elements of v; nothing when measuring. */
static void copy_all(struct srq_tape *t, const struct srq_value *v, const void *a, const void *b, void *y)
{
    struct copy c = { t->dtype, a, b, y };

    if (!t->measuring)
        srq_parallel(srq_tensor_count(&v->var.value), 16384, copy_range, &c);
}

int srq_tape_grad(struct srq_tape *t, struct srq_value *v, bool in_place, bool *add, struct srq_error *err)
{
    struct srq_grad_mem *old = v->grad;
    const void *from = v->var.grad.data;
    int rc;

    *add = old != NULL;
    if (old != NULL && old->refs == 1)
        return 0;
    rc = own_grad(t, v, in_place && old == NULL, err);
    if (rc != 0 || old == NULL)
        return rc;
    old->refs--; /* was shared: its others keep it */
    copy_all(t, v, from, NULL, v->var.grad.data);
    return 0;
}

int srq_tape_pass_grad(struct srq_tape *t, struct srq_value *from, struct srq_value *to, struct srq_error *err)
{
    bool add;
    int rc;

    if (to->grad == NULL) {
        to->grad = from->grad;
        to->grad->refs++;
        show_grad(t, to);
        return 0;
    }
    rc = srq_tape_grad(t, to, false, &add, err);
    if (rc == 0)
        copy_all(t, to, to->var.grad.data, from->var.grad.data, to->var.grad.data);
    return rc;
}

int srq_tape_adopt_grad(struct srq_tape *t, struct srq_value *v, struct srq_block_mem *saved, struct srq_error *err)
{
    bool add;
    int rc;

    if (v->grad != NULL) {
        rc = srq_tape_grad(t, v, false, &add, err);
        if (rc == 0)
            copy_all(t, v, v->var.grad.data, srq_tape_at(t, saved), v->var.grad.data);
        return rc;
    }
    v->grad = new_grad(t, err);
    if (v->grad == NULL)
        return -SRQ_ENOMEM;
    v->grad->mem = *saved;
    *saved = (struct srq_block_mem){ 0, 0 };
    show_grad(t, v);
    return 0;
}

bool srq_tape_move_grad(struct srq_tape *t, struct srq_value *from, struct srq_value *to)
{
    if (to->grad != NULL || from->grad->refs != 1)
        return false;
    to->grad = from->grad;
    to->grad->refs++;
    show_grad(t, to);
    return true;
}

/* ---- backward ---- */

static int replay(struct srq_tape *t, struct srq_node *n, struct srq_error *err)
{
    int rc = 0;

    /* Nothing came back to this output: it does not reach the loss. */
    if (n->out->grad != NULL || n->out->seed)
        rc = n->backward(t, n, err);
    srq_tape_give(t, &n->saved);
    drop_grad(t, n->out);
    if (!n->out->seed) /* the loss stays readable */
        drop_value(t, n->out);
    for (int i = 0; i < 3; i++) {
        struct srq_value *v = n->in[i];

        if (v != NULL && --v->users == 0 && !v->kept)
            drop_value(t, v);
    }
    if (rc == 0 && t->failure.code != 0) {
        if (err != NULL)
            *err = t->failure;
        rc = -t->failure.code;
    }
    return rc;
}

int srq_tape_backward(struct srq_tape *t, struct srq_var *loss, struct srq_error *err)
{
    return srq_tape_backward_from(t, &loss, 1, err);
}

int srq_tape_backward_from(struct srq_tape *t, struct srq_var *const *loss, int n, struct srq_error *err)
{
    struct node_chunk *c = t->last_nodes;
    int i = t->node_count, rc = srq_tape_error(t, err);

    if (rc != 0)
        return rc;
    for (int k = 0; k < n; k++) {
        struct srq_value *out = (struct srq_value *)loss[k];

        if (out == NULL || out->var.value.rank != 0)
            return srq_fail(err, -SRQ_EINVAL, "backward starts at a scalar, the loss");
        out->seed = true;
    }
    for (; c != NULL && rc == 0; c = c->before, i = CHUNK)
        while (i > 0 && rc == 0)
            rc = replay(t, &c->items[--i], err);
    if (rc != 0 && t->failure.code == 0 && err != NULL)
        t->failure = *err;
    t->last_nodes = NULL;
    t->node_count = 0;
    return rc;
}

/* ---- times ---- */

void srq_tape_timing(struct srq_tape *t, bool on)
{
    t->timing = on;
}

double srq_tape_clock(const struct srq_tape *t)
{
    return t->timing ? srq_clock_s() : 0;
}

void srq_tape_account(struct srq_tape *t, enum srq_tape_kind kind, bool backward, double since,
                      struct srq_tape_work work)
{
    if (!t->timing)
        return;
    t->times[kind].seconds[backward] += srq_clock_s() - since;
    t->times[kind].work[backward].flops += work.flops;
    t->times[kind].work[backward].bytes += work.bytes;
}

int srq_tape_times(struct srq_tape *t, struct srq_tape_time *out, int cap, bool reset)
{
    for (int k = 0; k < SRQ_TAPE_KINDS && k < cap; k++) {
        out[k].op = kind_names[k];
        out[k].forward_s = t->times[k].seconds[0];
        out[k].backward_s = t->times[k].seconds[1];
        out[k].forward = t->times[k].work[0];
        out[k].backward = t->times[k].work[1];
    }
    if (reset)
        memset(t->times, 0, sizeof(t->times));
    return SRQ_TAPE_KINDS;
}
