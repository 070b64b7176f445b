/* A family of four unlike blocks, against core/model's own interface: the first writes two ports, of which one skips to
 * the last; the second's input is read again by the third. Its folder has the demo model's tokenizer. */
#ifndef TESTS_ODD_FAMILY_H
#define TESTS_ODD_FAMILY_H

#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/format/tensors.h"
#include "core/model/internal.h"

#include <unistd.h>

enum { ODD_BLOCKS = 4, ODD_HIDDEN = 64, ODD_WIDE = 96, ODD_KV = 32, ODD_VOCAB = 2048, ODD_LAYERS = 9 };

static const struct srq_linear_row odd_stem[] = {
    { "up", SRQ_DIM_INTERMEDIATE, SRQ_DIM_HIDDEN, SRQ_BIAS_NEVER, .tie = "stem" },
    { "skip", SRQ_DIM_HIDDEN, SRQ_DIM_HIDDEN, SRQ_BIAS_ALWAYS, .tie = "stem" },
};
static const struct srq_linear_row odd_mix[] = {
    { "mix", SRQ_DIM_INTERMEDIATE, SRQ_DIM_INTERMEDIATE, SRQ_BIAS_NEVER, .tie = NULL },
};
static const struct srq_linear_row odd_narrow[] = {
    { "gate", SRQ_DIM_HIDDEN, SRQ_DIM_INTERMEDIATE, SRQ_BIAS_NEVER, .tie = NULL },
    { "up", SRQ_DIM_HIDDEN, SRQ_DIM_INTERMEDIATE, SRQ_BIAS_NEVER, .tie = NULL },
};
static const struct srq_linear_row odd_join[] = {
    { "left", SRQ_DIM_HIDDEN, SRQ_DIM_HIDDEN, SRQ_BIAS_NEVER, .tie = NULL },
    { "down", SRQ_DIM_KV, SRQ_DIM_HIDDEN, SRQ_BIAS_NEVER, .tie = NULL },
    { "back", SRQ_DIM_HIDDEN, SRQ_DIM_KV, SRQ_BIAS_NEVER, .tie = NULL },
};
static const struct srq_vector_row odd_hidden_norm[] = { { "norm", .dim = SRQ_DIM_HIDDEN } };
static const struct srq_vector_row odd_wide_norm[] = { { "norm", .dim = SRQ_DIM_INTERMEDIATE } };
static const struct srq_pair_row odd_stem_pair[] = { { 'A', false, 0, SRQ_BETWEEN_NOTHING, { 0, 1 }, 2 } };
static const struct srq_pair_row odd_mix_pair[] = { { 'B', false, 0, SRQ_BETWEEN_NOTHING, { 0 }, 1 } };

#define ODD_FORWARD(name)                                                                                      \
    static void name(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out, \
                     int64_t batch, int64_t seq)

ODD_FORWARD(odd_stem_forward)
{
    struct srq_var *h = srq_op_rmsnorm(t, in[0], &b->vectors[0], 1e-5f);

    (void)batch;
    (void)seq;
    out[0] = srq_op_linear(t, h, &b->linears[0]);
    out[1] = srq_op_linear(t, h, &b->linears[1]);
}

ODD_FORWARD(odd_mix_forward)
{
    (void)batch;
    (void)seq;
    out[0] = srq_op_add(t, in[0], srq_op_linear(t, srq_op_rmsnorm(t, in[0], &b->vectors[0], 1e-5f), &b->linears[0]));
}

ODD_FORWARD(odd_narrow_forward)
{
    (void)batch;
    (void)seq;
    out[0] = srq_op_swiglu(t, srq_op_linear(t, in[0], &b->linears[0]), srq_op_linear(t, in[1], &b->linears[1]));
}

ODD_FORWARD(odd_join_forward)
{
    struct srq_var *narrow = srq_op_linear(t, srq_op_linear(t, in[0], &b->linears[1]), &b->linears[2]);

    (void)batch;
    (void)seq;
    out[0] = srq_op_add(t, srq_op_add(t, in[0], srq_op_linear(t, in[1], &b->linears[0])), narrow);
}

static const struct srq_block_kind odd_kinds[ODD_BLOCKS] = {
    { odd_stem, 2, odd_hidden_norm, 1, odd_stem_pair, 1, .forward = odd_stem_forward },
    { odd_mix, 1, odd_wide_norm, 1, odd_mix_pair, 1, .forward = odd_mix_forward },
    { odd_narrow, 2, NULL, 0, NULL, 0, .forward = odd_narrow_forward },
    { odd_join, 3, NULL, 0, NULL, 0, .forward = odd_join_forward },
};

static int odd_lay_out(struct srq_layout *l, const struct srq_config *c)
{
    int wide = srq_layout_port(l, "wide", c->intermediate), skip = srq_layout_port(l, "skip", c->hidden);
    int mixed = srq_layout_port(l, "mixed", c->intermediate), narrow = srq_layout_port(l, "narrow", c->hidden);
    int last = srq_layout_port(l, "hidden", c->hidden), input = 0, rc;

    if (wide < 0 || skip < 0 || mixed < 0 || narrow < 0 || last < 0)
        return -SRQ_ENOMEM;
    rc = srq_layout_block(l, &odd_kinds[0], &input, 1, (const int[]){ wide, skip }, 2);
    if (rc >= 0)
        rc = srq_layout_block(l, &odd_kinds[1], &wide, 1, &mixed, 1);
    if (rc >= 0)
        rc = srq_layout_block(l, &odd_kinds[2], (const int[]){ mixed, wide }, 2, &narrow, 1);
    return rc >= 0 ? srq_layout_block(l, &odd_kinds[3], (const int[]){ narrow, skip }, 2, &last, 1) : rc;
}

static const struct srq_family odd_family = {
    .model_type = "odd",
    .prefix = "parts",
    .embed = "embed",
    .norm = "norm",
    .head = "head",
    .lay_out = odd_lay_out,
};

static const char odd_config[] =
    "{\"architectures\":[\"OddForCausalLM\"],\"model_type\":\"odd\",\"hidden_size\":64,\"intermediate_size\":96,"
    "\"num_hidden_layers\":4,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"vocab_size\":2048,"
    "\"max_position_embeddings\":512,\"rms_norm_eps\":1e-05,\"hidden_act\":\"silu\",\"tie_word_embeddings\":false,"
    "\"bos_token_id\":0,\"eos_token_id\":0,\"rope_theta\":10000.0,\"torch_dtype\":\"float32\"}";

static const struct odd_tensor {
    const char *name;
    int rank;
    int64_t shape[2];
    float size; /* of its elements, about; 0: all ones */
} odd_tensors[] = {
    { "embed.weight", 2, { ODD_VOCAB, ODD_HIDDEN }, 1 },
    { "parts.0.up.weight", 2, { ODD_WIDE, ODD_HIDDEN }, 0.2f },
    { "parts.0.skip.weight", 2, { ODD_HIDDEN, ODD_HIDDEN }, 0.2f },
    { "parts.0.skip.bias", 1, { ODD_HIDDEN, 1 }, 0.1f },
    { "parts.0.norm.weight", 1, { ODD_HIDDEN, 1 }, 0 },
    { "parts.1.mix.weight", 2, { ODD_WIDE, ODD_WIDE }, 0.15f },
    { "parts.1.norm.weight", 1, { ODD_WIDE, 1 }, 0 },
    { "parts.2.gate.weight", 2, { ODD_HIDDEN, ODD_WIDE }, 0.15f },
    { "parts.2.up.weight", 2, { ODD_HIDDEN, ODD_WIDE }, 0.15f },
    { "parts.3.left.weight", 2, { ODD_HIDDEN, ODD_HIDDEN }, 0.2f },
    { "parts.3.down.weight", 2, { ODD_KV, ODD_HIDDEN }, 0.2f },
    { "parts.3.back.weight", 2, { ODD_HIDDEN, ODD_KV }, 0.2f },
    { "norm.weight", 1, { ODD_HIDDEN, 1 }, 0 },
    { "head.weight", 2, { ODD_VOCAB, ODD_HIDDEN }, 0.1f },
};
enum { ODD_TENSORS = sizeof(odd_tensors) / sizeof(odd_tensors[0]) };

static void odd_put(struct srq_tensor_writer *w, int i)
{
    const struct odd_tensor *t = &odd_tensors[i];
    size_t n = (size_t)(t->shape[0] * t->shape[1]);
    float *x = srq_malloc(n * sizeof(*x));
    struct srq_error err = { 0 };

    for (size_t k = 0; k < n; k++) /* near enough to normal */
        x[k] = t->size == 0 ? 1
                            : t->size * (float)(srq_rng_uniform(5, (uint64_t)i, 3 * k) +
                                                srq_rng_uniform(5, (uint64_t)i, 3 * k + 1) +
                                                srq_rng_uniform(5, (uint64_t)i, 3 * k + 2) - 1.5);
    assert_ok(srq_writer_put(w, t->name, 0, x, n * sizeof(*x), &err), &err);
    srq_free(x);
}

/* Makes the folder, which exists, a model of the family. */
static inline void odd_fill(const char *folder, const char *share)
{
    char *config = srq_path_join(folder, "config.json"), *link = srq_path_join(folder, "tokenizer.json");
    char *tokenizer = srq_asprintf("%s/models/demo-lm/tokenizer.json", share), *target = srq_path_absolute(tokenizer);
    struct srq_tensor_writer *w;
    struct srq_error err = { 0 };

    assert_ok(srq_write_file_durable(config, odd_config, strlen(odd_config), 0644, &err), &err);
    assert_int_equal(symlink(target, link), 0);
    assert_ok(srq_writer_create(folder, "model", 0, &w, &err), &err);
    for (int i = 0; i < ODD_TENSORS; i++)
        assert_ok(srq_writer_declare(w, odd_tensors[i].name, SRQ_F32, odd_tensors[i].rank, odd_tensors[i].shape, &err),
                  &err);
    assert_ok(srq_writer_begin(w, &err), &err);
    for (int i = 0; i < ODD_TENSORS; i++)
        odd_put(w, i);
    assert_ok(srq_writer_finish(w, &err), &err);
    srq_writer_free(w);
    srq_free(config);
    srq_free(link);
    srq_free(tokenizer);
    srq_free(target);
}

#endif
