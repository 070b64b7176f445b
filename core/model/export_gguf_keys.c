/* Keys of a GGUF file: what the model is (spec formats 5.2). */
#include "core/model/export_gguf.h"

#include "core/model/internal.h"

#include <math.h>
#include <string.h>

/* ---- what there are no words for --------------------------------------------------------------------------------- */

static int refuse(struct srq_error *err, const char *key, const char *what)
{
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, key, "gguf cannot say what config.json asks for: %s", what);
}

static int check_rope(const struct srq_model *m, const struct srq_gguf_arch *a, struct srq_error *err)
{
    const struct srq_rope *r = &m->config.rope;

    if (r->dim != m->config.head_dim)
        return refuse(err, "partial_rotary_factor", "positions in a part of each head");
    switch (r->kind) {
    case SRQ_ROPE_DEFAULT:
    case SRQ_ROPE_LINEAR:
        return 0;
    case SRQ_ROPE_LLAMA3:
        return strcmp(a->name, "llama") == 0 ? 0
                                             : refuse(err, "rope_scaling", "llama3's frequencies in another family");
    case SRQ_ROPE_YARN:
        /* llama.cpp makes the amplitude of the factor, and rounds where frequencies begin and end to change. */
        if (!r->truncate || fabs(r->amplitude - (0.1 * log(r->factor) + 1)) > 1e-4)
            return refuse(err, "rope_scaling", "yarn with an amplitude of its own, or without truncation");
        return 0;
    default:
        return refuse(err, "rope_scaling",
                      r->kind == SRQ_ROPE_DYNAMIC ? "frequencies that depend on a text's length (dynamic)"
                                                  : "longrope's factors in this family");
    }
}

static int check(const struct srq_model *m, const struct srq_gguf_arch *a, struct srq_error *err)
{
    const struct srq_block_kind *kind = m->family->block;
    int rc = check_rope(m, a, err);

    for (int i = 0; rc == 0 && !a->biases && i < kind->linear_count; i++)
        if (kind->linears[i].bias != SRQ_BIAS_ALWAYS && srq_config_bias(&m->config, kind->linears[i].bias))
            rc = refuse(err, kind->linears[i].bias == SRQ_BIAS_MLP ? "mlp_bias" : "attention_bias",
                        "biases that the family has seldom");
    return rc;
}

/* ---- what there are words for ------------------------------------------------------------------------------------ */

/* Keys of an architecture begin with its name. */
struct keys {
    struct srq_gguf_writer *w;
    const char *arch;
    char text[96];
};

static const char *key(struct keys *k, const char *name)
{
    snprintf(k->text, sizeof(k->text), "%s.%s", k->arch, name);
    return k->text;
}

static void put_number(struct keys *k, const char *name, int64_t value)
{
    srq_gguf_key_u32(k->w, key(k, name), (uint32_t)value);
}

static void put_float(struct keys *k, const char *name, double value)
{
    srq_gguf_key_float(k->w, key(k, name), (float)value);
}

/* Positions that the file promises: a window is not said there, so no more than the least of them, within which it
 * shows nothing. */
static int64_t context(const struct srq_config *c)
{
    int64_t most = c->max_positions < UINT32_MAX ? c->max_positions : UINT32_MAX;

    for (int64_t i = 0; i < c->layers; i++)
        if (c->window[i] > 0 && c->window[i] < most)
            most = c->window[i];
    return most;
}

static void put_rope(struct keys *k, const struct srq_rope *r)
{
    put_number(k, "rope.dimension_count", r->dim);
    put_float(k, "rope.freq_base", r->theta);
    if (r->kind != SRQ_ROPE_LINEAR && r->kind != SRQ_ROPE_YARN)
        return;
    srq_gguf_key_text(k->w, key(k, "rope.scaling.type"), r->kind == SRQ_ROPE_LINEAR ? "linear" : "yarn");
    put_float(k, "rope.scaling.factor", r->factor);
    if (r->kind == SRQ_ROPE_LINEAR)
        return;
    put_number(k, "rope.scaling.original_context_length", r->original);
    put_float(k, "rope.scaling.yarn_beta_fast", r->beta_fast);
    put_float(k, "rope.scaling.yarn_beta_slow", r->beta_slow);
}

int srq_gguf_model_keys(const struct srq_model *m, int file_type, struct srq_gguf_writer *w, struct srq_error *err)
{
    const struct srq_gguf_arch *a = srq_gguf_arch_of(srq_model_info(m)->family);
    const struct srq_config *c = &m->config;
    struct keys k = { .w = w };
    int rc;

    if (a == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "formats", "gguf is of language models, not of %s",
                              srq_model_info(m)->architecture);
    rc = check(m, a, err);
    if (rc != 0)
        return rc;
    k.arch = a->name;
    srq_gguf_key_text(w, "general.architecture", a->name);
    srq_gguf_key_text(w, "general.type", "model");
    srq_gguf_key_u32(w, "general.quantization_version", 2);
    srq_gguf_key_u32(w, "general.file_type", (uint32_t)file_type);
    put_number(&k, "vocab_size", c->vocab);
    put_number(&k, "context_length", context(c));
    put_number(&k, "embedding_length", c->hidden);
    put_number(&k, "block_count", c->layers);
    put_number(&k, "feed_forward_length", c->intermediate);
    put_number(&k, "attention.head_count", c->heads);
    put_number(&k, "attention.head_count_kv", c->kv_heads);
    put_number(&k, "attention.key_length", c->head_dim);
    put_number(&k, "attention.value_length", c->head_dim);
    put_float(&k, "attention.layer_norm_rms_epsilon", c->eps);
    put_rope(&k, &c->rope);
    return 0;
}
