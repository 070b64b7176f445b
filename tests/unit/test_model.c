/* Opening models: layer tables, ties, families; configurations and folders that are wrong, each with its message. */
#include "tests/unit/test.h"

#include "tests/unit/model_folder.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/model/internal.h"

#include <math.h>

static void open_ok(const char *folder, struct srq_model **m)
{
    struct srq_error err = { 0 };

    assert_ok(srq_model_open(folder, true, m, &err), &err);
}

static void layer_table_is_in_order_of_computation(void **state)
{
    static const char *const modules[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                           "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                           "mlp.down_proj" };
    char *folder = folder_of("llama-default"), name[64];
    struct srq_model *m;

    (void)state;
    open_ok(folder, &m);
    assert_int_equal(srq_model_layer_count(m), 15);
    for (int i = 0; i < 14; i++) {
        const struct srq_layer_info *l = srq_model_layer(m, i);

        snprintf(name, sizeof(name), "model.layers.%d.%s", i / 7, modules[i % 7]);
        assert_string_equal(l->name, name);
        assert_string_equal(l->module, modules[i % 7]);
        assert_int_equal(l->block, i / 7);
        assert_false(l->has_bias);
        assert_int_equal(l->dtype, SRQ_BF16);
    }
    assert_int_equal(srq_model_layer(m, 1)->out, 16); /* 2 kv heads of 8 */
    assert_int_equal(srq_model_layer(m, 6)->in, 40);
    assert_string_equal(srq_model_layer(m, 14)->name, "lm_head");
    assert_int_equal(srq_model_layer(m, 14)->block, -1);
    assert_null(srq_model_layer(m, 15));
    srq_model_close(m);
    folder_remove(folder);
}

static void fused_layers_share_a_tie(void **state)
{
    static const char *const ties[] = { "qkv", "qkv", "qkv", NULL, "gate_up", "gate_up", NULL };
    char *folder = folder_of("qwen3");
    struct srq_model *m;

    (void)state;
    open_ok(folder, &m);
    for (int i = 0; i < 14; i++) {
        const char *tie = srq_model_layer(m, i)->tie_name;

        if (ties[i % 7] == NULL)
            assert_null(tie);
        else
            assert_string_equal(tie, ties[i % 7]);
    }
    srq_model_close(m);
    folder_remove(folder);
}

static void stored_head_of_a_tied_model_is_not_a_layer(void **state)
{
    char *folder = folder_of("llama-tied");
    struct srq_model *m;

    (void)state;
    open_ok(folder, &m);
    assert_true(srq_model_info(m)->tied_head);
    assert_int_equal(srq_model_layer_count(m), 14);
    srq_model_close(m);
    folder_remove(folder);
}

/* Of gemma, where the configuration does not say. */
static void families_differ_in_what_silence_about_the_head_means(void **state)
{
    static const char *const models[] = { "gemma", "qwen3" };

    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *config = reference_config(models[i]);
        struct srq_model *m;
        char *folder;

        json_object_del(config, "tie_word_embeddings");
        folder = folder_create(config, reference_weights(models[i]));
        open_ok(folder, &m);
        assert_int_equal(srq_model_info(m)->tied_head, i == 0);
        srq_model_close(m);
        json_decref(config);
        folder_remove(folder);
    }
}

static void absent_head_of_an_untied_model_is_the_embedding(void **state)
{
    json_t *config = reference_config("qwen2");
    struct srq_model *m;
    char *folder;

    (void)state;
    json_object_set_new(config, "tie_word_embeddings", json_false());
    folder = folder_create(config, "bias");
    open_ok(folder, &m);
    assert_true(srq_model_info(m)->tied_head);
    assert_int_equal(srq_model_layer_count(m), 14);
    srq_model_close(m);
    json_decref(config);
    folder_remove(folder);
}

static void biases_follow_the_family(void **state)
{
    static const struct {
        const char *model;
        int biased; /* of the seven linears */
    } rows[] = { { "llama-default", 0 }, { "llama-bias", 7 }, { "qwen2", 3 },
                 { "qwen3", 0 },         { "mistral", 0 },    { "gemma", 0 } };

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        char *folder = folder_of(rows[r].model);
        struct srq_model *m;
        int biased = 0;

        open_ok(folder, &m);
        for (int i = 0; i < 7; i++)
            biased += srq_model_layer(m, i)->has_bias;
        assert_int_equal(biased, rows[r].biased);
        srq_model_close(m);
        folder_remove(folder);
    }
}

static void info_counts_every_tensor(void **state)
{
    char *folder = folder_of("llama-default");
    struct srq_model *m;

    (void)state;
    open_ok(folder, &m);
    /* 2 tables of 64 x 32, a norm, and per block q, o 32 x 32, k, v 16 x 32, three 40 x 32, two norms */
    assert_int_equal(srq_model_info(m)->parameters, 2 * 2048 + 32 + 2 * (2 * 1024 + 2 * 512 + 3 * 1280 + 64));
    assert_int_equal(srq_model_info(m)->bytes, 2 * srq_model_info(m)->parameters);
    assert_string_equal(srq_model_info(m)->family, "llama");
    assert_null(srq_model_info(m)->quantized);
    srq_model_close(m);
    folder_remove(folder);
}

static void windows_follow_the_family(void **state)
{
    static const struct {
        const char *model;
        int64_t first, second;
    } rows[] = { { "mistral", 5, 5 },      { "mistral-full", 0, 0 }, { "qwen2", 0, 0 },
                 { "qwen2-window", 0, 6 }, { "qwen2-types", 3, 0 },  { "llama-default", 0, 0 } };

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        json_t *json = reference_config(rows[r].model);
        const struct srq_family *family;
        struct srq_config config;
        struct srq_error err = { 0 };

        assert_ok(srq_config_read(json, &family, &config, &err), &err);
        assert_int_equal(config.window[0], rows[r].first);
        assert_int_equal(config.window[1], rows[r].second);
        srq_config_fini(&config);
        json_decref(json);
    }
}

/* Moves RoPE from one spelling to the other. */
static void respell(json_t *config)
{
    json_t *old = json_object_get(config, "rope_scaling"), *new = json_object_get(config, "rope_parameters");

    if (new != NULL) {
        json_t *scaling = json_copy(new);

        json_object_set(config, "rope_theta", json_object_get(new, "rope_theta"));
        json_object_del(scaling, "rope_theta");
        json_object_set(scaling, "type", json_object_get(scaling, "rope_type"));
        json_object_del(scaling, "rope_type");
        json_object_set_new(config, "rope_scaling", scaling);
        json_object_del(config, "rope_parameters");
        return;
    }
    new = old != NULL ? json_copy(old) : json_object();
    json_object_set(new, "rope_theta", json_object_get(config, "rope_theta"));
    json_object_set_new(config, "rope_parameters", new);
    json_object_del(config, "rope_scaling");
    json_object_del(config, "rope_theta");
}

static void both_spellings_of_rope_mean_the_same(void **state)
{
    static const char *const models[] = { "llama-default",       "llama-linear",         "llama-dynamic",
                                          "llama-llama3",        "llama-yarn",           "llama-yarn-mscale",
                                          "llama-longrope-long", "llama-longrope-short", "qwen3" };

    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        json_t *json = reference_config(models[i]);
        const struct srq_family *family;
        struct srq_config a, b;
        struct srq_error err = { 0 };
        float fa[8], fb[8];

        assert_ok(srq_config_read(json, &family, &a, &err), &err);
        respell(json);
        assert_ok(srq_config_read(json, &family, &b, &err), &err);
        for (int64_t seq = 4; seq <= 256; seq *= 4) {
            srq_rope_frequencies(&a.rope, seq, fa);
            srq_rope_frequencies(&b.rope, seq, fb);
            assert_memory_equal(fa, fb, (size_t)a.rope.dim / 2 * sizeof(float));
        }
        assert_true(a.rope.amplitude == b.rope.amplitude);
        srq_config_fini(&a);
        srq_config_fini(&b);
        json_decref(json);
    }
}

static int number_of(const struct srq_model *m, const char *layer)
{
    for (int i = 0; i < srq_model_layer_count(m); i++)
        if (strcmp(srq_model_layer(m, i)->name, layer) == 0)
            return i;
    fail_msg("there is no layer %s", layer);
    return -1;
}

static void packed_layers_are_in_the_table_without_a_plain_weight(void **state)
{
    char *folder = folder_of("llama-gptq");
    struct srq_error err = { 0 };
    struct srq_tensor t;
    struct srq_model *m;

    (void)state;
    assert_ok(srq_model_open(folder, false, &m, &err), &err);
    assert_string_equal(srq_model_info(m)->quantized, "gptq");
    assert_int_equal(srq_model_layer_count(m), 15); /* the packed head too */
    assert_ok(srq_model_weight(m, number_of(m, "model.layers.1.mlp.up_proj"), &t, &err), &err);
    assert_int_equal(t.dtype, SRQ_BF16);
    assert_refused(srq_model_weight(m, number_of(m, "model.layers.1.self_attn.q_proj"), &t, &err), -SRQ_EUNSUPPORTED,
                   &err, "model.layers.1.self_attn.q_proj is stored packed");
    srq_model_close(m);
    folder_remove(folder);
}

/* ---- what is refused --------------------------------------------------------------------------------------------- */

/* `key` of the configuration of `model` becomes `value` (JSON), or is taken out where value is NULL. */
static const struct bad_config {
    const char *model, *key, *value;
    int code;
    const char *says;
} bad_configs[] = {
    { "llama-default", "model_type", NULL, -SRQ_EFORMAT, "model_type: is missing" },
    { "llama-default", "model_type", "\"gpt9\"", -SRQ_EUNSUPPORTED,
      "model_type \"gpt9\" is not a family that srq knows (llama, mistral, qwen2, qwen3, gemma, UNet2DModel, "
      "UNet2DConditionModel)" },
    { "gemma", "model_type", "\"gemma2\"", -SRQ_EUNSUPPORTED, "model_type \"gemma2\" is not a family" },
    { "llama-default", "model_type", "7", -SRQ_EFORMAT, "model_type: 7 where a string is due" },
    { "llama-default", "auto_map", "{\"AutoModel\":\"x.Y\"}", -SRQ_EUNSUPPORTED, "auto_map" },
    { "llama-default", "architectures", "\"LlamaForCausalLM\"", -SRQ_EFORMAT, "architectures" },
    { "llama-default", "architectures", "[3]", -SRQ_EFORMAT, "architectures" },
    { "llama-default", "hidden_size", NULL, -SRQ_EFORMAT, "hidden_size: is missing" },
    { "llama-default", "hidden_size", "null", -SRQ_EFORMAT, "hidden_size: is missing" },
    { "llama-default", "hidden_size", "0", -SRQ_EFORMAT, "hidden_size: 0 is outside 1 … 16777216" },
    { "llama-default", "hidden_size", "-32", -SRQ_EFORMAT, "hidden_size: -32 is outside" },
    { "llama-default", "hidden_size", "32.0", -SRQ_EFORMAT, "hidden_size: 32 where an integer is due" },
    { "llama-default", "hidden_size", "\"32\"", -SRQ_EFORMAT, "hidden_size: \"32\" where an integer is due" },
    { "llama-default", "hidden_size", "16777217", -SRQ_EFORMAT, "hidden_size: 16777217 is outside" },
    { "llama-default", "hidden_size", "64", -SRQ_EFORMAT,
      "tensor model.embed_tokens.weight has shape [64, 32]; config.json makes it [64, 64]" },
    { "llama-default", "intermediate_size", "0", -SRQ_EFORMAT, "intermediate_size: 0" },
    { "llama-default", "intermediate_size", "48", -SRQ_EFORMAT, "model.layers.0.mlp.gate_proj.weight has shape" },
    { "llama-default", "vocab_size", "65", -SRQ_EFORMAT, "model.embed_tokens.weight has shape [64, 32]" },
    { "llama-default", "num_hidden_layers", "0", -SRQ_EFORMAT, "num_hidden_layers: 0" },
    { "llama-default", "num_hidden_layers", "1025", -SRQ_EFORMAT, "num_hidden_layers: 1025 is outside 1 … 1024" },
    { "llama-default", "num_hidden_layers", "3", -SRQ_EFORMAT,
      "tensor model.layers.2.self_attn.q_proj.weight is missing" },
    { "llama-default", "num_attention_heads", "0", -SRQ_EFORMAT, "num_attention_heads: 0" },
    { "llama-default", "num_attention_heads", "5", -SRQ_EFORMAT, "num_key_value_heads: 2 does not divide" },
    { "llama-default", "num_attention_heads", "6", -SRQ_EFORMAT,
      "num_attention_heads: 6 does not divide hidden_size 32" },
    { "llama-default", "num_key_value_heads", "3", -SRQ_EFORMAT, "num_key_value_heads: 3 does not divide" },
    { "llama-default", "num_key_value_heads", "0", -SRQ_EFORMAT, "num_key_value_heads: 0" },
    { "llama-default", "head_dim", "7", -SRQ_EFORMAT, "head_dim: RoPE over 7 dims; an even number is due" },
    { "llama-default", "head_dim", "1026", -SRQ_EFORMAT, "head_dim: 1026 is outside 1 … 1024" },
    { "llama-default", "head_dim", "16", -SRQ_EFORMAT, "model.layers.0.self_attn.q_proj.weight has shape [32, 32]" },
    { "llama-default", "rms_norm_eps", "0", -SRQ_EFORMAT, "rms_norm_eps: 0 is not above 0" },
    { "llama-default", "rms_norm_eps", "0.2", -SRQ_EFORMAT, "rms_norm_eps: 0.2 is outside" },
    { "llama-default", "rms_norm_eps", "[]", -SRQ_EFORMAT, "rms_norm_eps: an array where a number is due" },
    { "llama-default", "hidden_act", "\"gelu\"", -SRQ_EFORMAT, "hidden_act: \"gelu\", but llama has silu" },
    { "llama-default", "tie_word_embeddings", "1", -SRQ_EFORMAT, "tie_word_embeddings: 1 where true or false is due" },
    { "llama-default", "attention_bias", "true", -SRQ_EFORMAT, "model.layers.0.self_attn.q_proj.bias is missing" },
    { "llama-default", "mlp_bias", "true", -SRQ_EFORMAT, "model.layers.0.mlp.gate_proj.bias is missing" },
    { "llama-default", "max_position_embeddings", "0", -SRQ_EFORMAT, "max_position_embeddings: 0" },
    { "llama-default", "layer_types", "[\"full_attention\",\"sliding_attention\"]", -SRQ_EFORMAT,
      "layer_types: layer 1 slides, but llama has no windows" },
    { "llama-default", "is_causal", "false", -SRQ_EFORMAT, "is_causal: false, but srq's llama sees no later tokens" },
    { "llama-default", "rope_theta", "1", -SRQ_EFORMAT, "rope_theta: 1 is not above 1" },
    { "llama-default", "rope_theta", "\"big\"", -SRQ_EFORMAT, "rope_theta: \"big\" where a number is due" },
    { "llama-default", "partial_rotary_factor", "0.5", -SRQ_EFORMAT, "partial_rotary_factor: 0.5" },
    { "llama-default", "rope_scaling", "\"linear\"", -SRQ_EFORMAT, "rope_scaling: an object is due" },
    { "llama-default", "rope_scaling", "{\"type\":\"mrope\"}", -SRQ_EFORMAT, "rope_scaling.type: \"mrope\"" },
    { "llama-default", "rope_scaling", "{\"rope_type\":\"linear\"}", -SRQ_EFORMAT, "rope_scaling.factor: is missing" },
    { "llama-default", "rope_scaling", "{\"type\":\"linear\",\"factor\":0.5}", -SRQ_EFORMAT,
      "rope_scaling.factor: 0.5" },
    { "llama-default", "rope_parameters", "{\"full_attention\":{\"rope_theta\":10000}}", -SRQ_EFORMAT,
      "rope_parameters.full_attention" },
    { "llama-default", "rope_scaling",
      "{\"type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}", -SRQ_EFORMAT,
      "low_freq_factor: 4 is not below high_freq_factor 4" },
    { "llama-default", "rope_scaling", "{\"type\":\"yarn\",\"original_max_position_embeddings\":128}", -SRQ_EFORMAT,
      "original_max_position_embeddings: 128 is above max_position_embeddings 64" },
    { "llama-default", "rope_scaling", "{\"type\":\"yarn\",\"factor\":2,\"beta_fast\":1,\"beta_slow\":2}", -SRQ_EFORMAT,
      "rope_scaling.beta_fast: 1 is below beta_slow 2" },
    { "llama-default", "rope_scaling", "{\"type\":\"longrope\",\"short_factor\":[1,1,1,1]}", -SRQ_EFORMAT,
      "rope_scaling.long_factor: an array of 4 numbers is due" },
    { "llama-default", "rope_scaling", "{\"type\":\"longrope\",\"short_factor\":[1,1,1],\"long_factor\":[1,1,1]}",
      -SRQ_EFORMAT, "rope_scaling.short_factor: 3 numbers where half the rotated dims, 4, are due" },
    { "llama-default", "rope_scaling", "{\"type\":\"su\",\"short_factor\":[1,1,0,1],\"long_factor\":[1,1,1,1]}",
      -SRQ_EFORMAT, "rope_scaling.short_factor: element 2 is not a positive number" },
    { "mistral", "sliding_window", "0", -SRQ_EFORMAT, "sliding_window: 0 is outside 1" },
    { "mistral", "sliding_window", "-1", -SRQ_EFORMAT, "sliding_window: -1 is outside 1" },
    { "mistral", "layer_types", "[\"full_attention\"]", -SRQ_EFORMAT, "layer_types: an array of 2 names is due" },
    { "mistral", "layer_types", "[\"full_attention\",\"linear_attention\"]", -SRQ_EFORMAT, "layer_types: element 1" },
    { "qwen2", "layer_types", "[\"full_attention\",\"sliding_attention\"]", -SRQ_EFORMAT,
      "layer 1 slides, but use_sliding_window is not true" },
    { "qwen2-types", "sliding_window", "null", -SRQ_EFORMAT, "layer 0 slides, but sliding_window is null" },
    { "qwen2-window", "max_window_layers", "-1", -SRQ_EFORMAT, "max_window_layers: -1" },
    { "qwen2", "use_sliding_window", "\"no\"", -SRQ_EFORMAT, "use_sliding_window: \"no\"" },
    { "qwen3", "head_dim", NULL, -SRQ_EFORMAT, "config.json makes it [512, 32]" },  /* the family's 128 */
    { "gemma", "head_dim", NULL, -SRQ_EFORMAT, "config.json makes it [1024, 32]" }, /* the family's 256 */
    { "gemma", "hidden_act", "\"silu\"", -SRQ_EFORMAT, "hidden_act: \"silu\", but gemma has gelu_pytorch_tanh" },
    { "gemma", "hidden_activation", "\"gelu\"", -SRQ_EFORMAT,
      "hidden_activation: \"gelu\", but gemma has gelu_pytorch_tanh" },
    { "gemma", "use_bidirectional_attention", "true", -SRQ_EFORMAT, "use_bidirectional_attention: true" },
    { "llama-default", "quantization_config", "{\"quant_method\":\"gptq\",\"bits\":4}", -SRQ_EUNSUPPORTED,
      "is already quantized (quant_method gptq)" },
    { "llama-default", "quantization_config", "{\"bits\":4}", -SRQ_EFORMAT, "quant_method" },
    { "llama-default", "quantization_config", "true", -SRQ_EFORMAT, "quantization_config" },
};

static void bad_configurations_are_refused_by_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_configs) / sizeof(bad_configs[0]); i++) {
        const struct bad_config *b = &bad_configs[i];
        json_t *config = reference_config(b->model);
        struct srq_error err = { 0 };
        struct srq_model *m;
        char *folder;

        if (b->value != NULL)
            json_object_set_new(config, b->key, json_loads(b->value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(config, b->key);
        folder = folder_create(config, reference_weights(b->model));
        assert_refused(srq_model_open(folder, true, &m, &err), b->code, &err, b->says);
        assert_null(m);
        assert_true(err.field[0] != '\0');
        json_decref(config);
        folder_remove(folder);
    }
}

static const struct bad_tensor {
    struct tensor_change change;
    int code;
    const char *says;
} bad_tensors[] = {
    { { .name = "model.layers.1.mlp.up_proj.weight", .drop = true, .nonfinite = -1 },
      -SRQ_EFORMAT,
      "tensor model.layers.1.mlp.up_proj.weight is missing" },
    { { .name = "model.norm.weight", .drop = true, .nonfinite = -1 },
      -SRQ_EFORMAT,
      "tensor model.norm.weight is missing" },
    { { .name = "model.embed_tokens.weight", .drop = true, .nonfinite = -1 },
      -SRQ_EFORMAT,
      "tensor model.embed_tokens.weight is missing" },
    { { .name = "model.layers.0.input_layernorm.weight", .drop = true, .nonfinite = -1 },
      -SRQ_EFORMAT,
      "tensor model.layers.0.input_layernorm.weight is missing" },
    { { .name = "model.layers.0.mlp.down_proj.weight", .transpose = true, .nonfinite = -1 },
      -SRQ_EFORMAT,
      "tensor model.layers.0.mlp.down_proj.weight has shape [40, 32]; config.json makes it [32, 40]" },
    { { .name = "lm_head.weight", .transpose = true, .nonfinite = -1 },
      -SRQ_EFORMAT,
      "tensor lm_head.weight has shape [32, 64]" },
    { { .name = "model.layers.0.self_attn.k_proj.weight", .dtype = "I16", .nonfinite = -1 },
      -SRQ_EUNSUPPORTED,
      "tensor model.layers.0.self_attn.k_proj.weight is I16; weights must be F32, F16 or BF16" },
};

static void bad_tensors_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_tensors) / sizeof(bad_tensors[0]); i++) {
        json_t *config = reference_config("llama-default");
        char *folder = folder_create(config, NULL);
        struct srq_error err = { 0 };
        struct srq_model *m;

        folder_change_tensor(folder, "plain", &bad_tensors[i].change);
        assert_refused(srq_model_open(folder, true, &m, &err), bad_tensors[i].code, &err, bad_tensors[i].says);
        assert_string_equal(err.field, bad_tensors[i].change.name);
        json_decref(config);
        folder_remove(folder);
    }
}

static void unknown_tensors_are_no_objection(void **state)
{
    json_t *config = reference_config("llama-default");
    char *folder = folder_create(config, NULL);
    const struct tensor_change change = { .name = "lm_head.weight", .drop = true, .nonfinite = -1 };
    struct srq_tensor t;
    struct srq_model *m;

    (void)state;
    folder_change_tensor(folder, "plain", &change);
    open_ok(folder, &m);
    assert_true(srq_tensors_get(srq_model_tensors(m), "spare", &t));
    srq_model_close(m);
    json_decref(config);
    folder_remove(folder);
}

static void nonfinite_weights_are_named_with_their_element(void **state)
{
    static const struct {
        struct tensor_change change;
        int unit;
        const char *says;
    } rows[] = {
        { { .name = "model.layers.1.mlp.up_proj.weight", .nonfinite = 77 },
          1,
          "tensor model.layers.1.mlp.up_proj.weight has NaN or Inf at element 77" },
        { { .name = "model.layers.0.post_attention_layernorm.weight", .nonfinite = 3 },
          0,
          "model.layers.0.post_attention_layernorm.weight has NaN or Inf at element 3" },
        { { .name = "model.embed_tokens.weight", .nonfinite = 2047 }, 2, "model.embed_tokens.weight" },
        { { .name = "lm_head.weight", .nonfinite = 0 }, 2, "lm_head.weight" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *config = reference_config("llama-default");
        char *folder = folder_create(config, NULL);
        struct srq_error err = { 0 };
        struct srq_model *m;

        folder_change_tensor(folder, "plain", &rows[i].change);
        open_ok(folder, &m);
        for (int u = 0; u < 3; u++) {
            if (u == rows[i].unit)
                assert_refused(srq_model_check_finite(m, u, &err), -SRQ_ENUMERIC, &err, rows[i].says);
            else
                assert_ok(srq_model_check_finite(m, u, &err), &err);
        }
        srq_model_close(m);
        json_decref(config);
        folder_remove(folder);
    }
}

static void refuse_text(const char *text, int code, const char *says)
{
    char *folder = folder_create(NULL, "plain"), *path = srq_path_join(folder, "config.json");
    struct srq_error err = { 0 };
    struct srq_model *m;

    if (text != NULL)
        assert_ok(srq_write_file_durable(path, text, strlen(text), 0600, &err), &err);
    assert_refused(srq_model_open(folder, true, &m, &err), code, &err, says);
    srq_free(path);
    folder_remove(folder);
}

static void folders_that_are_none_are_refused(void **state)
{
    struct srq_error err = { 0 };
    struct srq_model *m;
    json_t *config = reference_config("llama-default");
    char *folder;

    (void)state;
    assert_refused(srq_model_open("/nonexistent/model", true, &m, &err), -SRQ_ENOENT, &err, "/nonexistent/model");
    assert_refused(srq_model_open(reference_path("llama-default.json"), true, &m, &err), -SRQ_EUNSUPPORTED, &err,
                   "is not a folder");
    refuse_text(NULL, -SRQ_EFORMAT, "has no config.json");
    refuse_text("", -SRQ_EFORMAT, "config.json");
    refuse_text("[1, 2]", -SRQ_EFORMAT, "not a JSON object");
    refuse_text("{\"model_type\": \"llama\"", -SRQ_EFORMAT, "config.json");
    refuse_text("{\"model_type\": \"llama\", \"model_type\": \"qwen2\"}", -SRQ_EFORMAT, "model_type");
    refuse_text("{\"model_type\": \"llama\"} x", -SRQ_EFORMAT, "config.json");
    refuse_text("{\"model_type\": \"llama\", \"hidden_size\": 99999999999999999999}", -SRQ_EFORMAT, "config.json");
    folder = folder_create(config, NULL);
    assert_refused(srq_model_open(folder, true, &m, &err), -SRQ_ENOENT, &err, folder);
    folder_remove(folder);
    json_decref(config);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

struct countdown {
    long left;
};

static bool fail_at_zero(size_t size, void *ctx)
{
    struct countdown *c = ctx;

    (void)size;
    return c->left-- != 0;
}

static void every_failed_allocation_is_reported(void **state)
{
    char *folder = folder_of("llama-longrope-long");
    struct srq_error err = { 0 };
    struct srq_block *b = NULL;
    struct srq_head *h = NULL;
    struct srq_model *m = NULL;
    int rc = -1;

    (void)state;
    for (long n = 0; rc != 0; n++) {
        struct countdown c = { n };

        assert_true(n < 10000);
        srq_set_alloc_hook(fail_at_zero, &c);
        rc = srq_model_open(folder, true, &m, &err);
        if (rc == 0)
            rc = srq_block_create(m, SRQ_F32, &b, &err);
        if (rc == 0)
            rc = srq_head_create(m, &h, &err);
        srq_set_alloc_hook(NULL, NULL);
        if (rc != 0)
            assert_int_equal(rc, -SRQ_ENOMEM);
        srq_head_free(h);
        srq_block_free(b);
        srq_model_close(m);
        h = NULL;
        b = NULL;
        m = NULL;
    }
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layer_table_is_in_order_of_computation),
        cmocka_unit_test(fused_layers_share_a_tie),
        cmocka_unit_test(stored_head_of_a_tied_model_is_not_a_layer),
        cmocka_unit_test(families_differ_in_what_silence_about_the_head_means),
        cmocka_unit_test(absent_head_of_an_untied_model_is_the_embedding),
        cmocka_unit_test(biases_follow_the_family),
        cmocka_unit_test(info_counts_every_tensor),
        cmocka_unit_test(windows_follow_the_family),
        cmocka_unit_test(both_spellings_of_rope_mean_the_same),
        cmocka_unit_test(packed_layers_are_in_the_table_without_a_plain_weight),
        cmocka_unit_test(bad_configurations_are_refused_by_field),
        cmocka_unit_test(bad_tensors_are_refused_by_name),
        cmocka_unit_test(unknown_tensors_are_no_objection),
        cmocka_unit_test(nonfinite_weights_are_named_with_their_element),
        cmocka_unit_test(folders_that_are_none_are_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };

    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
