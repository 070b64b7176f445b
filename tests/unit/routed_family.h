/* A family with a router, against core/model's own interface: a linear that reads the norm's output as the expert's
 * linears do and says, channel by channel, how much of what the expert makes counts. A careless twin forgets it among
 * the norm's readers. */
#ifndef TESTS_ROUTED_FAMILY_H
#define TESTS_ROUTED_FAMILY_H

#include "tests/unit/model_folder.h"

#include "core/base/rng.h"
#include "core/format/tensors.h"
#include "core/model/internal.h"

enum { ROUTED_HIDDEN = 32, ROUTED_WIDE = 48, ROUTED_VOCAB = 64 };
enum { ROUTER, EXPERT_GATE, EXPERT_UP, EXPERT_DOWN, ROUTED_LINEARS };

static const struct srq_linear_row routed_linears[ROUTED_LINEARS] = {
    [ROUTER] = { .module = "router", .out = SRQ_DIM_HIDDEN, .in = SRQ_DIM_HIDDEN },
    [EXPERT_GATE] = { .module = "expert.gate", .out = SRQ_DIM_INTERMEDIATE, .in = SRQ_DIM_HIDDEN },
    [EXPERT_UP] = { .module = "expert.up", .out = SRQ_DIM_INTERMEDIATE, .in = SRQ_DIM_HIDDEN },
    [EXPERT_DOWN] = { .module = "expert.down", .out = SRQ_DIM_HIDDEN, .in = SRQ_DIM_INTERMEDIATE },
};
static const struct srq_vector_row routed_norm[] = { { .module = "norm", .dim = SRQ_DIM_HIDDEN } };
static const struct srq_pair_row routed_pairs[] = {
    { 'B', false, 0, SRQ_BETWEEN_NOTHING, { ROUTER, EXPERT_GATE, EXPERT_UP }, 3 },
    { 'D', true, EXPERT_UP, SRQ_BETWEEN_PRODUCT, { EXPERT_DOWN }, 1 },
};
static const struct srq_pair_row careless_pairs[] = {
    { 'B', false, 0, SRQ_BETWEEN_NOTHING, { EXPERT_GATE, EXPERT_UP }, 2 },
};

static void routed_forward(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out,
                           int64_t batch, int64_t seq)
{
    struct srq_var *n = srq_op_rmsnorm(t, in[0], &b->vectors[0], 1e-5f);
    struct srq_var *gate = srq_op_linear(t, n, &b->linears[EXPERT_GATE]);
    struct srq_var *made = srq_op_swiglu(t, gate, srq_op_linear(t, n, &b->linears[EXPERT_UP]));
    struct srq_var *said = srq_op_linear(t, n, &b->linears[ROUTER]);

    (void)batch;
    (void)seq;
    *out = srq_op_add(t, in[0], srq_op_swiglu(t, said, srq_op_linear(t, made, &b->linears[EXPERT_DOWN])));
}

static const struct srq_block_kind routed_kind = {
    routed_linears, ROUTED_LINEARS, routed_norm, 1, routed_pairs, 2, routed_forward, NULL
};
static const struct srq_block_kind careless_kind = {
    routed_linears, ROUTED_LINEARS, routed_norm, 1, careless_pairs, 1, routed_forward, NULL
};

#define ROUTED_OUTSIDE \
    .model_type = "routed", .prefix = "layers", .embed = "embed", .norm = "norm", .head = "head", .tied_default = true
static const struct srq_family routed_family = { ROUTED_OUTSIDE, .block = &routed_kind };
static const struct srq_family careless_family = { ROUTED_OUTSIDE, .block = &careless_kind };

static const struct routed_tensor {
    const char *name;
    int rank;
    int64_t shape[2];
} routed_tensors[] = {
    { "embed.weight", 2, { ROUTED_VOCAB, ROUTED_HIDDEN } },
    { "layers.0.norm.weight", 1, { ROUTED_HIDDEN, 1 } },
    { "layers.0.router.weight", 2, { ROUTED_HIDDEN, ROUTED_HIDDEN } },
    { "layers.0.expert.gate.weight", 2, { ROUTED_WIDE, ROUTED_HIDDEN } },
    { "layers.0.expert.up.weight", 2, { ROUTED_WIDE, ROUTED_HIDDEN } },
    { "layers.0.expert.down.weight", 2, { ROUTED_HIDDEN, ROUTED_WIDE } },
    { "layers.1.norm.weight", 1, { ROUTED_HIDDEN, 1 } },
    { "layers.1.router.weight", 2, { ROUTED_HIDDEN, ROUTED_HIDDEN } },
    { "layers.1.expert.gate.weight", 2, { ROUTED_WIDE, ROUTED_HIDDEN } },
    { "layers.1.expert.up.weight", 2, { ROUTED_WIDE, ROUTED_HIDDEN } },
    { "layers.1.expert.down.weight", 2, { ROUTED_HIDDEN, ROUTED_WIDE } },
    { "norm.weight", 1, { ROUTED_HIDDEN, 1 } },
};
enum { ROUTED_TENSORS = sizeof(routed_tensors) / sizeof(routed_tensors[0]) };

static const char routed_config[] =
    "{\"model_type\":\"routed\",\"hidden_size\":32,\"intermediate_size\":48,\"num_hidden_layers\":2,"
    "\"num_attention_heads\":1,\"vocab_size\":64}";

/* A folder of such a model in F32, for which one of the families has been brought. Removed with folder_remove. */
static inline char *routed_folder(void)
{
    json_t *config = json_loads(routed_config, 0, NULL);
    char *folder = folder_create(config, NULL);
    struct srq_tensor_writer *w;
    struct srq_error err = { 0 };
    float x[ROUTED_VOCAB * ROUTED_HIDDEN];

    json_decref(config);
    assert_ok(srq_writer_create(folder, "model", 0, &w, &err), &err);
    for (int i = 0; i < ROUTED_TENSORS; i++)
        assert_ok(srq_writer_declare(w, routed_tensors[i].name, SRQ_F32, routed_tensors[i].rank,
                                     routed_tensors[i].shape, &err),
                  &err);
    assert_ok(srq_writer_begin(w, &err), &err);
    for (int i = 0; i < ROUTED_TENSORS; i++) {
        size_t n = (size_t)(routed_tensors[i].shape[0] * routed_tensors[i].shape[1]);

        for (size_t k = 0; k < n; k++)
            x[k] = (float)(srq_rng_uniform(8, (uint64_t)i, k) - 0.4);
        assert_ok(srq_writer_put(w, routed_tensors[i].name, 0, x, n * sizeof(float), &err), &err);
    }
    assert_ok(srq_writer_finish(w, &err), &err);
    srq_writer_free(w);
    return folder;
}

#endif
