/* Blocks that are measured, and models that have them. */
#include "bench.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"

#include <stdlib.h>

#define VOCAB 512                /* of a model that is made: its head is to take next to no time */
#define CHUNK ((int64_t)1 << 20) /* elements that are random; larger tensors repeat them */

const struct bench_shape bench_shapes[] = {
    { "demo", true, "demo-lm", "demo-ddpm", 256, 8, 2, 32, 512, 8, 256, 64 },
    { "smollm2", true, NULL, NULL, 576, 9, 3, 64, 1536, 8, 256, 64 },
    { "7b", false, NULL, NULL, 4096, 32, 32, 128, 11008, 2, 256, 128 },
};
const int bench_shape_count = (int)(sizeof(bench_shapes) / sizeof(bench_shapes[0]));

void bench_layers_of(const struct bench_shape *s, struct bench_layer out[BENCH_LAYERS])
{
    int64_t queries = s->heads * s->head_dim, keys = s->kv_heads * s->head_dim;
    const struct bench_layer all[BENCH_LAYERS] = {
        { .out = queries, .in = s->hidden },
        { .out = keys, .in = s->hidden },
        { .out = keys, .in = s->hidden },
        { .out = s->hidden, .in = queries, .dx = true },
        { .out = s->inner, .in = s->hidden, .dx = true },
        { .out = s->inner, .in = s->hidden, .dx = true },
        { .out = s->hidden, .in = s->inner, .dx = true },
    };

    for (int i = 0; i < BENCH_LAYERS; i++) {
        out[i] = all[i];
        while (all[out[i].alike].out != all[i].out || all[out[i].alike].in != all[i].in)
            out[i].alike++;
    }
}

/* ---- a model of one block ---- */

static int write_config(const struct bench_shape *s, const char *folder, struct srq_error *err)
{
    char *path = srq_path_join(folder, "config.json"),
         *text = srq_asprintf("{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_act\": "
                              "\"silu\", \"hidden_size\": %lld, \"intermediate_size\": %lld, \"num_attention_heads\": "
                              "%lld, \"num_key_value_heads\": %lld, \"head_dim\": %lld, \"num_hidden_layers\": 1, "
                              "\"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"max_position_embeddings\": %lld, "
                              "\"vocab_size\": %d, \"tie_word_embeddings\": true, \"dtype\": \"bfloat16\"}\n",
                              (long long)s->hidden, (long long)s->inner, (long long)s->heads, (long long)s->kv_heads,
                              (long long)s->head_dim, (long long)s->seq, VOCAB);
    int rc = path != NULL && text != NULL ? srq_write_file_durable(path, text, strlen(text), 0600, err)
                                          : srq_fail(err, -SRQ_ENOMEM, "no memory for a model's configuration");

    srq_free(path);
    srq_free(text);
    return rc;
}

struct tensor {
    const char *name;
    int64_t rows, cols; /* cols 0: a vector of ones */
};

static int put_tensor(struct srq_tensor_writer *w, const struct tensor *t, const uint16_t *random,
                      struct srq_error *err)
{
    uint16_t ones[CHUNK / 64];
    int64_t n = t->cols > 0 ? t->rows * t->cols : t->rows, most = t->cols > 0 ? CHUNK : (int64_t)(CHUNK / 64);
    int rc = 0;

    for (int64_t i = 0; i < (int64_t)(CHUNK / 64); i++)
        ones[i] = srq_f32_to_bf16(1);
    for (int64_t at = 0; rc == 0 && at < n; at += most)
        rc = srq_writer_put(w, t->name, (uint64_t)at * 2, t->cols > 0 ? random : ones,
                            (size_t)(n - at < most ? n - at : most) * 2, err);
    return rc;
}

static int write_tensors(const struct bench_shape *s, const char *folder, struct srq_error *err)
{
    int64_t queries = s->heads * s->head_dim, keys = s->kv_heads * s->head_dim;
    const struct tensor all[] = {
        { "model.embed_tokens.weight", VOCAB, s->hidden },
        { "model.norm.weight", s->hidden, 0 },
        { "model.layers.0.input_layernorm.weight", s->hidden, 0 },
        { "model.layers.0.post_attention_layernorm.weight", s->hidden, 0 },
        { "model.layers.0.self_attn.q_proj.weight", queries, s->hidden },
        { "model.layers.0.self_attn.k_proj.weight", keys, s->hidden },
        { "model.layers.0.self_attn.v_proj.weight", keys, s->hidden },
        { "model.layers.0.self_attn.o_proj.weight", s->hidden, queries },
        { "model.layers.0.mlp.gate_proj.weight", s->inner, s->hidden },
        { "model.layers.0.mlp.up_proj.weight", s->inner, s->hidden },
        { "model.layers.0.mlp.down_proj.weight", s->hidden, s->inner },
    };
    int count = (int)(sizeof(all) / sizeof(all[0]));
    uint16_t *random = srq_malloc((size_t)CHUNK * 2);
    struct srq_tensor_writer *w = NULL;
    int rc = random != NULL ? srq_writer_create(folder, "model", 0, &w, err)
                            : srq_fail(err, -SRQ_ENOMEM, "no memory for a model's weights");

    for (int64_t i = 0; rc == 0 && i < CHUNK; i++)
        random[i] = srq_f32_to_bf16((float)(0.08 * (srq_rng_uniform(1, 0, (uint64_t)i) - 0.5)));
    for (int i = 0; rc == 0 && i < count; i++) {
        const int64_t shape[] = { all[i].rows, all[i].cols };

        rc = srq_writer_declare(w, all[i].name, SRQ_BF16, all[i].cols > 0 ? 2 : 1, shape, err);
    }
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    for (int i = 0; rc == 0 && i < count; i++)
        rc = put_tensor(w, &all[i], random, err);
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    srq_free(random);
    return rc;
}

/* The folder is gone as soon as the model is open, whose files stay mapped. */
static int open_made(const struct bench_shape *s, struct srq_model **out, struct srq_error *err)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = srq_asprintf("%s/srq-bench-XXXXXX", tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    int rc;

    if (folder == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for a model");
    if (mkdtemp(folder) == NULL) {
        rc = srq_fail_errno(err, "make", folder);
        srq_free(folder);
        return rc;
    }
    rc = write_config(s, folder, err);
    if (rc == 0)
        rc = write_tensors(s, folder, err);
    if (rc == 0)
        rc = srq_model_open(folder, true, out, err);
    srq_remove_tree(folder, NULL);
    srq_free(folder);
    return rc;
}

int bench_model_open(const struct bench_shape *s, bool words, const char *models, struct srq_model **out,
                     struct srq_error *err)
{
    const char *name = words ? s->shipped : s->pictures;
    char *path;
    int rc;

    *out = NULL;
    if (name == NULL)
        return open_made(s, out, err);
    path = srq_path_join(models, name);
    rc = path != NULL ? srq_model_open(path, true, out, err) : srq_fail(err, -SRQ_ENOMEM, "no memory for a model");
    srq_free(path);
    return rc;
}
