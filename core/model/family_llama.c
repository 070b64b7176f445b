/* llama and its near relatives mistral, qwen2, qwen3 and gemma (spec formats 2.1, 2.2): pre-norm blocks of
 * grouped-query attention with rotary positions and a gated MLP. They differ in biases, windows and norms of q and k;
 * gemma has gates by GELU, stores its norms' gains less 1 and multiplies its embeddings. */
#include "core/model/internal.h"

#include <math.h>

enum { Q, K, V, O, GATE, UP, DOWN, LINEARS };

#define LINEAR(name, rows, cols, has_bias, tied_to)                               \
    {                                                                             \
        .module = name, .out = rows, .in = cols, .bias = has_bias, .tie = tied_to \
    }
#define ATTENTION(qkv_bias, o_bias)                                                   \
    [Q] = LINEAR("self_attn.q_proj", SRQ_DIM_QUERY, SRQ_DIM_HIDDEN, qkv_bias, "qkv"), \
    [K] = LINEAR("self_attn.k_proj", SRQ_DIM_KV, SRQ_DIM_HIDDEN, qkv_bias, "qkv"),    \
    [V] = LINEAR("self_attn.v_proj", SRQ_DIM_KV, SRQ_DIM_HIDDEN, qkv_bias, "qkv"),    \
    [O] = LINEAR("self_attn.o_proj", SRQ_DIM_HIDDEN, SRQ_DIM_QUERY, o_bias, NULL)
#define MLP(mlp_bias)                                                                            \
    [GATE] = LINEAR("mlp.gate_proj", SRQ_DIM_INTERMEDIATE, SRQ_DIM_HIDDEN, mlp_bias, "gate_up"), \
    [UP] = LINEAR("mlp.up_proj", SRQ_DIM_INTERMEDIATE, SRQ_DIM_HIDDEN, mlp_bias, "gate_up"),     \
    [DOWN] = LINEAR("mlp.down_proj", SRQ_DIM_HIDDEN, SRQ_DIM_INTERMEDIATE, mlp_bias, NULL)

static const struct srq_linear_row llama_linears[LINEARS] = { ATTENTION(SRQ_BIAS_ATTENTION, SRQ_BIAS_ATTENTION),
                                                              MLP(SRQ_BIAS_MLP) };
static const struct srq_linear_row mistral_linears[LINEARS] = { ATTENTION(SRQ_BIAS_NEVER, SRQ_BIAS_NEVER),
                                                                MLP(SRQ_BIAS_NEVER) };
static const struct srq_linear_row qwen2_linears[LINEARS] = { ATTENTION(SRQ_BIAS_ALWAYS, SRQ_BIAS_NEVER),
                                                              MLP(SRQ_BIAS_NEVER) };
static const struct srq_linear_row qwen3_linears[LINEARS] = { ATTENTION(SRQ_BIAS_ATTENTION, SRQ_BIAS_ATTENTION),
                                                              MLP(SRQ_BIAS_NEVER) };
static const struct srq_linear_row gemma_linears[LINEARS] = { ATTENTION(SRQ_BIAS_ATTENTION, SRQ_BIAS_ATTENTION),
                                                              MLP(SRQ_BIAS_NEVER) };

/* Families without norms of q and k leave the last two out. */
enum { INPUT_NORM, POST_NORM, PLAIN_VECTORS, Q_NORM = PLAIN_VECTORS, K_NORM, QWEN3_VECTORS };

static const struct srq_vector_row vectors[QWEN3_VECTORS] = {
    [INPUT_NORM] = { .module = "input_layernorm", .dim = SRQ_DIM_HIDDEN },
    [POST_NORM] = { .module = "post_attention_layernorm", .dim = SRQ_DIM_HIDDEN },
    [Q_NORM] = { .module = "self_attn.q_norm", .dim = SRQ_DIM_HEAD },
    [K_NORM] = { .module = "self_attn.k_norm", .dim = SRQ_DIM_HEAD },
};
static const struct srq_vector_row gemma_vectors[PLAIN_VECTORS] = {
    [INPUT_NORM] = { .module = "input_layernorm", .dim = SRQ_DIM_HIDDEN, .offset = 1 },
    [POST_NORM] = { .module = "post_attention_layernorm", .dim = SRQ_DIM_HIDDEN, .offset = 1 },
};

/* Where scales fit: what lies between is linear in the producer. The norms of q and k are no pairs (rope mixes their
 * channels). */
static const struct srq_pair_row pairs[] = {
    { 'A', false, INPUT_NORM, SRQ_BETWEEN_NOTHING, { Q, K, V }, 3 },
    { 'B', false, POST_NORM, SRQ_BETWEEN_NOTHING, { GATE, UP }, 2 },
    { 'C', true, V, SRQ_BETWEEN_ATTENTION, { O }, 1 },
    { 'D', true, UP, SRQ_BETWEEN_PRODUCT, { DOWN }, 1 },
};

/* h + o_proj(attention(norm(h))) */
static struct srq_var *attention(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int64_t batch, int64_t seq)
{
    const struct srq_config *c = &b->model->config;
    const struct srq_attention shape = {
        .batch = batch,
        .seq = seq,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .window = c->window[b->index],
        .scale = (float)(1 / sqrt((double)c->head_dim)),
    };
    float eps = (float)c->eps;
    struct srq_var *h = srq_op_rmsnorm(t, x, &b->vectors[INPUT_NORM], eps);
    struct srq_var *q = srq_op_linear(t, h, &b->linears[Q]);
    struct srq_var *k = srq_op_linear(t, h, &b->linears[K]);
    struct srq_var *v = srq_op_linear(t, h, &b->linears[V]);

    if (b->kind->vector_count == QWEN3_VECTORS) {
        q = srq_op_head_rmsnorm(t, q, c->head_dim, &b->vectors[Q_NORM], eps);
        k = srq_op_head_rmsnorm(t, k, c->head_dim, &b->vectors[K_NORM], eps);
    }
    q = srq_op_rope(t, q, seq, c->head_dim, c->rope.dim, b->rope_cos, b->rope_sin);
    k = srq_op_rope(t, k, seq, c->head_dim, c->rope.dim, b->rope_cos, b->rope_sin);
    return srq_op_add(t, x, srq_op_linear(t, srq_op_attention(t, q, k, v, &shape), &b->linears[O]));
}

/* h + down_proj(gated(gate_proj(norm(h)), up_proj(norm(h)))) */
static struct srq_var *mlp(struct srq_block *b, struct srq_tape *t, struct srq_var *h,
                           struct srq_var *(*gated)(struct srq_tape *, struct srq_var *, struct srq_var *))
{
    struct srq_var *n = srq_op_rmsnorm(t, h, &b->vectors[POST_NORM], (float)b->model->config.eps);
    struct srq_var *gate = srq_op_linear(t, n, &b->linears[GATE]);
    struct srq_var *up = srq_op_linear(t, n, &b->linears[UP]);

    return srq_op_add(t, h, srq_op_linear(t, gated(t, gate, up), &b->linears[DOWN]));
}

static void forward(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out,
                    int64_t batch, int64_t seq)
{
    *out = mlp(b, t, attention(b, t, in[0], batch, seq), srq_op_swiglu);
}

static void gelu_forward(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out,
                         int64_t batch, int64_t seq)
{
    *out = mlp(b, t, attention(b, t, in[0], batch, seq), srq_op_geglu_tanh);
}

#define WINDOW_MAX ((int64_t)1 << 31)

/* mistral: one window for every layer; v0.1 had 4096, which is also what a configuration without the key means. */
static int mistral_windows(const struct srq_fields *f, struct srq_config *c, struct srq_error *err)
{
    int64_t window = json_object_get(f->object, "sliding_window") == NULL ? 4096 : 0;
    bool given = false;
    int rc = srq_field_int(f, "sliding_window", false, 1, WINDOW_MAX, &window, err);

    if (rc == 0)
        rc = srq_config_layer_types(f, c, window, "sliding_window is null", &given, err);
    for (int64_t i = 0; rc == 0 && !given && i < c->layers; i++)
        c->window[i] = window;
    return rc;
}

/* qwen: windows only with use_sliding_window, then from layer max_window_layers on unless layer_types says which. */
static int qwen_windows(const struct srq_fields *f, struct srq_config *c, struct srq_error *err)
{
    int64_t window = json_object_get(f->object, "sliding_window") == NULL ? 4096 : 0, first = 28;
    bool use = false, given = false;
    int rc;

    if ((rc = srq_field_bool(f, "use_sliding_window", &use, err)) != 0 ||
        (rc = srq_field_int(f, "sliding_window", false, use ? 1 : 0, WINDOW_MAX, &window, err)) != 0 ||
        (rc = srq_field_int(f, "max_window_layers", false, 0, WINDOW_MAX, &first, err)) != 0)
        return rc;
    if (!use)
        window = 0;
    rc = srq_config_layer_types(f, c, window, use ? "sliding_window is null" : "use_sliding_window is not true", &given,
                                err);
    for (int64_t i = first; rc == 0 && !given && i < c->layers; i++)
        c->window[i] = window;
    return rc;
}

/* "gelu" in the first files of the family means its tanh form (spec formats 2.1). */
static const char *const gemma_acts[] = { "gelu_pytorch_tanh", "gelu", NULL };

/* hidden_activation went before hidden_act where it was given, until transformers stopped reading it: what they agree
 * on is computed. */
static int gemma_check(const struct srq_fields *f, struct srq_error *err)
{
    const char *act = gemma_acts[0];
    bool both_ways = false;
    int rc;

    if ((rc = srq_field_string(f, "hidden_activation", &act, err)) != 0 ||
        (rc = srq_field_bool(f, "use_bidirectional_attention", &both_ways, err)) != 0)
        return rc;
    if (strcmp(act, gemma_acts[0]) != 0)
        return srq_field_fail(f, "hidden_activation", err, "\"%.60s\", but gemma has %s", act, gemma_acts[0]);
    if (both_ways)
        return srq_field_fail(f, "use_bidirectional_attention", err, "true, but srq's gemma sees no later tokens");
    return 0;
}

#define KIND(rows, vector_rows, count, pass)                                                                     \
    &(const struct srq_block_kind)                                                                               \
    {                                                                                                            \
        .linears = rows, .linear_count = LINEARS, .vectors = vector_rows, .vector_count = count, .pairs = pairs, \
        .pair_count = (int)(sizeof(pairs) / sizeof(pairs[0])), .forward = pass                                   \
    }
#define OUTSIDE .prefix = "model.layers", .embed = "model.embed_tokens", .norm = "model.norm", .head = "lm_head"

const struct srq_family srq_family_llama = {
    .model_type = "llama",
    OUTSIDE,
    .block = KIND(llama_linears, vectors, PLAIN_VECTORS, forward),
};
const struct srq_family srq_family_mistral = {
    .model_type = "mistral",
    OUTSIDE,
    .block = KIND(mistral_linears, vectors, PLAIN_VECTORS, forward),
    .windows = mistral_windows,
};
const struct srq_family srq_family_qwen2 = {
    .model_type = "qwen2",
    OUTSIDE,
    .block = KIND(qwen2_linears, vectors, PLAIN_VECTORS, forward),
    .windows = qwen_windows,
};
const struct srq_family srq_family_qwen3 = {
    .model_type = "qwen3",
    OUTSIDE,
    .block = KIND(qwen3_linears, vectors, QWEN3_VECTORS, forward),
    .head_dim_default = 128,
    .windows = qwen_windows,
};
const struct srq_family srq_family_gemma = {
    .model_type = "gemma",
    OUTSIDE,
    .block = KIND(gemma_linears, gemma_vectors, PLAIN_VECTORS, gelu_forward),
    .norm_offset = 1,
    .embed_scaled = true,
    .acts = gemma_acts,
    .tied_default = true,
    .head_dim_default = 256,
    .check = gemma_check,
};
