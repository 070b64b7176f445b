/* The keys of a GGUF file as config.json (spec formats 5.2). Bounds are checked where that is read. */
#include "core/model/import_gguf_parts.h"

#include "core/base/alloc.h"
#include "core/model/gguf_words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIVISORS_ALIKE 1e-4 /* of two that should be the same, relative */
#define ORIGINAL_MAX (INT64_C(1) << 24)

static int no_memory(const struct srq_gguf_import *m, struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", m->file);
}

static int refuse(struct srq_gguf_import *m, const char *key, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, key, "%s: key %s asks for %s, which srq does not compute", m->file,
                          key, what);
}

/* A number that was rounded to F32, with the fewest digits that give the same. */
static json_t *real_of(double value)
{
    char text[48];

    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if ((float)strtod(text, NULL) == (float)value)
            break;
    }
    return json_real(strtod(text, NULL));
}

/* ---- keys ---------------------------------------------------------------------------------------------------------
 */

/* By their names behind the architecture's. */
static const struct {
    const char *member, *name;
    bool required;
} shapes[] = {
    { "num_hidden_layers", "block_count", true },
    { "hidden_size", "embedding_length", true },
    { "intermediate_size", "feed_forward_length", true },
    { "num_attention_heads", "attention.head_count", true },
    { "num_key_value_heads", "attention.head_count_kv", false },
    { "head_dim", "attention.key_length", false },
    { "max_position_embeddings", "context_length", true },
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* Those that ask for another computation unless they are 0. */
struct other {
    const char *name, *what;
};
static const struct other integers[] = {
    { "expert_count", "experts" },
    { "attention.sliding_window", "attention in a window" },
};
static const struct other reals[] = {
    { "rope.scale_linear", "scaled positions" },
    { "attention.scale", "scores of another scale" },
    { "attn_logit_softcapping", "bounded scores" },
    { "final_logit_softcapping", "bounded logits" },
    { "logit_scale", "scaled logits" },
    { "attention.clamp_kqv", "bounded inputs of attention" },
    { "attention.max_alibi_bias", "biases of distance" },
    { "residual_scale", "scaled residuals" },
    { "embedding_scale", "scaled embeddings" },
};
#define INTEGERS (sizeof(integers) / sizeof(integers[0]))
#define REALS (sizeof(reals) / sizeof(reals[0]))

/* The others that are read, and those that say what is known otherwise. */
static const char *const others[] = {
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.finetuned",
    "vocab_size",
    "attention.value_length",
    "expert_used_count",
    "tensor_data_layout",
};
#define OTHERS (sizeof(others) / sizeof(others[0]))

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static int put_int(struct srq_gguf_import *m, json_t *to, const char *member, const char *name, bool required,
                   struct srq_error *err)
{
    int64_t value = -1;
    int rc = srq_gguf_read_int(m->g, srq_gguf_arch_key(m, name), required, &value, err);

    if (rc == 0 && srq_gguf_has(m->g, m->key) && json_object_set_new(to, member, json_integer(value)) != 0)
        rc = no_memory(m, err);
    return rc;
}

static int put_float(struct srq_gguf_import *m, json_t *to, const char *member, const char *name, bool required,
                     struct srq_error *err)
{
    double value = 0;
    int rc = srq_gguf_read_float(m->g, srq_gguf_arch_key(m, name), required, &value, err);

    if (rc == 0 && !isfinite(value))
        rc = srq_fail_field(err, -SRQ_EFORMAT, m->key, "%s: key %s is not finite", m->file, m->key);
    if (rc == 0 && srq_gguf_has(m->g, m->key) && json_object_set_new(to, member, real_of(value)) != 0)
        rc = no_memory(m, err);
    return rc;
}

static int put_shapes(struct srq_gguf_import *m, json_t *c, struct srq_error *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < SHAPES; i++)
        rc = put_int(m, c, shapes[i].member, shapes[i].name, shapes[i].required, err);
    return rc == 0 ? put_float(m, c, "rms_norm_eps", "attention.layer_norm_rms_epsilon", true, err) : rc;
}

/* ---- rotary positions -------------------------------------------------------------------------------------------- */

/* The divisors of llama3's rule, found again: those rules have low and high frequency factors 1 and 4 and a power of
 * two for their context. */
static int find_llama3(struct srq_gguf_import *m, const struct srq_gguf_tensor *t, double theta, int64_t dim,
                       json_t **out, struct srq_error *err)
{
    struct srq_rope r = { .kind = SRQ_ROPE_LLAMA3, .dim = dim, .theta = theta, .low = 1, .high = 4, .factor = 1 };
    float have[SRQ_ROPE_DIM_MAX / 2], want[SRQ_ROPE_DIM_MAX / 2];
    const int64_t half = dim / 2;

    if (t->type->id != SRQ_GGUF_F32 || t->rank != 1 || t->shape[0] != half)
        return srq_fail_field(err, -SRQ_EFORMAT, t->name, "%s: tensor %s is not F32 [%lld], half a head", m->file,
                              t->name, (long long)half);
    memcpy(have, t->data, (size_t)half * sizeof(*have));
    for (int64_t i = 0; i < half; i++)
        r.factor = fmax(r.factor, (double)have[i]);
    for (r.original = 2; r.original <= ORIGINAL_MAX; r.original *= 2) {
        bool same = true;

        srq_rope_divisors(&r, want);
        for (int64_t i = 0; same && i < half; i++)
            same = fabsf(have[i] - want[i]) <= DIVISORS_ALIKE * want[i];
        if (!same)
            continue;
        *out = json_pack("{s:s, s:o, s:f, s:f, s:I}", "rope_type", "llama3", "factor", real_of(r.factor),
                         "low_freq_factor", r.low, "high_freq_factor", r.high, "original_max_position_embeddings",
                         (json_int_t)r.original);
        return *out != NULL ? 0 : no_memory(m, err);
    }
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, t->name,
                          "%s: tensor %s holds divisors of frequencies that are not those of llama3's rule with its "
                          "factors 1 and 4",
                          m->file, t->name);
}

static int put_scaling(struct srq_gguf_import *m, json_t *c, struct srq_error *err)
{
    struct srq_gguf_text kind = { "none", 4 };
    json_t *s = NULL;
    int rc = srq_gguf_read_text(m->g, srq_gguf_arch_key(m, "rope.scaling.type"), false, &kind, err);
    bool yarn = srq_gguf_text_is(&kind, "yarn");

    if (rc != 0 || srq_gguf_text_is(&kind, "none"))
        return rc;
    if (!yarn && !srq_gguf_text_is(&kind, "linear"))
        return refuse(m, m->key, "frequencies that are neither plain, linear nor of yarn", err);
    s = json_pack("{s:s#}", "rope_type", kind.text, (int)kind.len);
    if (s == NULL || json_object_set_new(c, "rope_scaling", s) != 0)
        return no_memory(m, err);
    rc = put_float(m, s, "factor", "rope.scaling.factor", true, err);
    if (rc != 0 || !yarn)
        return rc;
    rc = put_int(m, s, "original_max_position_embeddings", "rope.scaling.original_context_length", true, err);
    if (rc == 0)
        rc = put_float(m, s, "beta_fast", "rope.scaling.yarn_beta_fast", false, err);
    return rc == 0 ? put_float(m, s, "beta_slow", "rope.scaling.yarn_beta_slow", false, err) : rc;
}

static int64_t member_int(const json_t *c, const char *name)
{
    return json_integer_value(json_object_get(c, name));
}

static int put_rope(struct srq_gguf_import *m, json_t *c, struct srq_error *err)
{
    const struct srq_gguf_tensor *divisors = srq_gguf_tensor_named(m->g, SRQ_GGUF_DIVISORS);
    int64_t heads = member_int(c, "num_attention_heads"), dim = member_int(c, "head_dim"), turned, wide;
    json_t *scaling = NULL;
    int rc = put_float(m, c, "rope_theta", "rope.freq_base", false, err);

    if (rc == 0 && dim == 0 && heads > 0)
        dim = member_int(c, "hidden_size") / heads;
    turned = wide = dim;
    if (rc == 0)
        rc = srq_gguf_read_int(m->g, srq_gguf_arch_key(m, "rope.dimension_count"), false, &turned, err);
    if (rc == 0 && turned != dim)
        rc = refuse(m, m->key, "positions in a part of each head", err);
    if (rc == 0)
        rc = srq_gguf_read_int(m->g, srq_gguf_arch_key(m, "attention.value_length"), false, &wide, err);
    if (rc == 0 && wide != dim)
        rc = refuse(m, m->key, "values of another length than keys", err);
    if (rc == 0)
        rc = put_scaling(m, c, err);
    if (rc != 0 || divisors == NULL)
        return rc;
    if (dim < 2 || dim > SRQ_ROPE_DIM_MAX || json_object_get(c, "rope_scaling") != NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, divisors->name, "%s: tensor %s does not go with its keys", m->file,
                              divisors->name);
    rc = find_llama3(m, divisors,
                     json_object_get(c, "rope_theta") != NULL ? json_real_value(json_object_get(c, "rope_theta"))
                                                              : 10000,
                     dim, &scaling, err);
    return rc == 0 && json_object_set_new(c, "rope_scaling", scaling) != 0 ? no_memory(m, err) : rc;
}

/* ---- what asks for another computation --------------------------------------------------------------------------- */

static int check_keys(struct srq_gguf_import *m, struct srq_error *err)
{
    bool causal = true;
    int rc = srq_gguf_read_bool(m->g, srq_gguf_arch_key(m, "attention.causal"), false, &causal, err);

    if (rc == 0 && !causal)
        return refuse(m, m->key, "attention to later tokens", err);
    for (size_t i = 0; rc == 0 && i < INTEGERS; i++) {
        int64_t value = 0;

        rc = srq_gguf_read_int(m->g, srq_gguf_arch_key(m, integers[i].name), false, &value, err);
        if (rc == 0 && value != 0)
            rc = refuse(m, m->key, integers[i].what, err);
    }
    for (size_t i = 0; rc == 0 && i < REALS; i++) {
        double value = 0;

        rc = srq_gguf_read_float(m->g, srq_gguf_arch_key(m, reals[i].name), false, &value, err);
        if (rc == 0 && value != 0)
            rc = refuse(m, m->key, reals[i].what, err);
    }
    return rc;
}

/* ---- what tensors say -------------------------------------------------------------------------------------------- */

static bool has_bias(const struct srq_gguf_import *m, const char *part)
{
    char name[SRQ_GGUF_NAME_MAX + 1];

    snprintf(name, sizeof(name), "blk.0.%s.bias", part);
    return srq_gguf_tensor_named(m->g, name) != NULL;
}

static const char *dtype_of(const struct srq_gguf_import *m)
{
    const struct srq_gguf_tensor *t = srq_gguf_tensor_named(m->g, "blk.0.attn_v.weight");

    return t != NULL && t->type->id == SRQ_GGUF_F32   ? "float32"
           : t != NULL && t->type->id == SRQ_GGUF_F16 ? "float16"
                                                      : "bfloat16";
}

static int put_from_tensors(struct srq_gguf_import *m, json_t *c, struct srq_error *err)
{
    const struct srq_gguf_tensor *embed = srq_gguf_tensor_named(m->g, SRQ_GGUF_EMBED ".weight");
    bool blocks = false;

    if (embed == NULL || embed->rank != 2)
        return srq_fail_field(err, -SRQ_EFORMAT, SRQ_GGUF_EMBED ".weight",
                              "%s has no tensor " SRQ_GGUF_EMBED ".weight of two dimensions", m->file);
    for (int64_t i = 0; i < srq_gguf_count(m->g); i++)
        blocks = blocks || (srq_gguf_tensor(m->g, i) != embed && srq_gguf_tensor(m->g, i)->type->block > 1);
    if (json_object_set_new(c, "vocab_size", json_integer(embed->shape[0])) != 0 ||
        json_object_set_new(c, "tie_word_embeddings",
                            json_boolean(srq_gguf_tensor_named(m->g, SRQ_GGUF_HEAD ".weight") == NULL)) != 0 ||
        json_object_set_new(c, "attention_bias", json_boolean(has_bias(m, "attn_q"))) != 0 ||
        json_object_set_new(c, "mlp_bias", json_boolean(has_bias(m, "ffn_gate"))) != 0 ||
        json_object_set_new(c, "torch_dtype", json_string(dtype_of(m))) != 0 ||
        (blocks && json_object_set_new(c, "quantization_config", json_pack("{s:s}", "quant_method", SRQ_GGUF_METHOD))))
        return no_memory(m, err);
    return 0;
}

static int put_ends(struct srq_gguf_import *m, json_t *c, struct srq_error *err)
{
    int rc = 0;

    for (int i = SRQ_GGUF_BOS; rc == 0 && i <= SRQ_GGUF_EOS; i++) {
        char member[32];
        int64_t id = -1;

        snprintf(member, sizeof(member), "%s_token_id", srq_gguf_specials[i].name);
        rc = srq_gguf_read_int(m->g, srq_gguf_specials[i].key, false, &id, err);
        if (rc == 0 && id >= 0 && json_object_set_new(c, member, json_integer(id)) != 0)
            rc = no_memory(m, err);
    }
    return rc;
}

int srq_gguf_config(struct srq_gguf_import *m, json_t **out, struct srq_error *err)
{
    json_t *c = json_pack("{s:[s], s:s}", "architectures", m->arch->class, "model_type", m->arch->family);
    int rc = c == NULL ? no_memory(m, err) : check_keys(m, err);

    if (rc == 0)
        rc = put_shapes(m, c, err);
    if (rc == 0)
        rc = put_rope(m, c, err);
    if (rc == 0)
        rc = put_from_tensors(m, c, err);
    if (rc == 0)
        rc = put_ends(m, c, err);
    if (rc != 0) {
        json_decref(c);
        c = NULL;
    }
    *out = c;
    return rc;
}

/* ---- what is not looked at --------------------------------------------------------------------------------------- */

static bool is_known(const struct srq_gguf_text *name)
{
    bool known = false;

    for (size_t i = 0; !known && i < SHAPES; i++)
        known = srq_gguf_text_is(name, shapes[i].name);
    for (size_t i = 0; !known && i < INTEGERS; i++)
        known = srq_gguf_text_is(name, integers[i].name);
    for (size_t i = 0; !known && i < REALS; i++)
        known = srq_gguf_text_is(name, reals[i].name);
    for (size_t i = 0; !known && i < OTHERS; i++)
        known = srq_gguf_text_is(name, others[i]);
    return known;
}

static int unknown_keys(const struct srq_gguf_import *m, char **out, struct srq_error *err)
{
    const size_t arch = strlen(m->arch->name);
    const char *first = NULL;
    size_t first_len = 0;
    int more = 0;

    *out = NULL;
    for (int64_t i = 0; i < srq_gguf_key_count(m->g); i++) {
        size_t len;
        const char *name = srq_gguf_key_name(m->g, i, &len);

        if (len <= arch + 1 || memcmp(name, m->arch->name, arch) != 0 || name[arch] != '.' ||
            is_known(&(struct srq_gguf_text){ name + arch + 1, len - arch - 1 }))
            continue;
        more += first != NULL;
        if (first == NULL) {
            first = name;
            first_len = len < 100 ? len : 100;
        }
    }
    if (first == NULL)
        return 0;
    *out = more == 0 ? srq_asprintf("nothing is known of the key %.*s of the GGUF file, which was not looked at",
                                    (int)first_len, first)
                     : srq_asprintf("nothing is known of the keys %.*s and %d more of the GGUF file, which were not "
                                    "looked at",
                                    (int)first_len, first, more);
    return *out != NULL ? 0 : no_memory(m, err);
}

/* The length of the vocabulary is told by a key, and by the embedding. */
static int other_vocabulary(struct srq_gguf_import *m, char **out, struct srq_error *err)
{
    const struct srq_gguf_tensor *embed = srq_gguf_tensor_named(m->g, SRQ_GGUF_EMBED ".weight");
    int64_t rows = embed != NULL ? embed->shape[0] : 0, said = rows;
    int rc = srq_gguf_read_int(m->g, srq_gguf_arch_key(m, "vocab_size"), false, &said, err);

    *out = NULL;
    if (rc != 0 || said == rows)
        return rc;
    *out = srq_asprintf("the key %s of the GGUF file is %lld, and " SRQ_GGUF_EMBED ".weight has %lld rows: the latter "
                        "counts",
                        m->key, (long long)said, (long long)rows);
    return *out != NULL ? 0 : no_memory(m, err);
}

int srq_gguf_keys_note(struct srq_gguf_import *m, char **out, struct srq_error *err)
{
    char *unknown = NULL, *other = NULL;
    int rc = unknown_keys(m, &unknown, err);

    *out = NULL;
    if (rc == 0)
        rc = other_vocabulary(m, &other, err);
    if (rc == 0 && (unknown != NULL || other != NULL)) {
        *out = srq_asprintf("%s%s%s", other != NULL ? other : "", other != NULL && unknown != NULL ? "; " : "",
                            unknown != NULL ? unknown : "");
        rc = *out != NULL ? 0 : no_memory(m, err);
    }
    srq_free(unknown);
    srq_free(other);
    return rc;
}
