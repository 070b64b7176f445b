/* config.json → family and configuration. The file comes from strangers: every number has bounds, every refusal names
 * its field (spec formats 2 and 7). */
#include "core/model/internal.h"

#include "core/base/alloc.h"

#define WIDTH_MAX ((int64_t)1 << 24) /* hidden, intermediate, vocabulary */
#define LAYERS_MAX 1024
#define HEAD_DIM_MAX SRQ_ROPE_DIM_MAX
#define POSITIONS_MAX ((int64_t)1 << 31)

int64_t srq_config_dim(const struct srq_config *c, int64_t width)
{
    if (width > 0)
        return width;
    switch ((enum srq_dim)width) {
    case SRQ_DIM_HIDDEN:
        return c->hidden;
    case SRQ_DIM_INTERMEDIATE:
        return c->intermediate;
    case SRQ_DIM_QUERY:
        return c->heads * c->head_dim;
    case SRQ_DIM_KV:
        return c->kv_heads * c->head_dim;
    case SRQ_DIM_HEAD:
        return c->head_dim;
    case SRQ_DIM_VOCAB:
        return c->vocab;
    }
    return 0;
}

bool srq_config_bias(const struct srq_config *c, enum srq_bias bias)
{
    return bias == SRQ_BIAS_ALWAYS || (bias == SRQ_BIAS_ATTENTION && c->attention_bias) ||
           (bias == SRQ_BIAS_MLP && c->mlp_bias);
}

static int read_family(const struct srq_fields *f, const struct srq_family **out, struct srq_error *err)
{
    const char *type = NULL, *key = "model_type";
    char names[512];
    int rc;

    if (srq_field(f, "auto_map") != NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "auto_map",
                              "config.json: auto_map: the model brings code of its own, which srq does not run");
    if ((rc = srq_field_string(f, "model_type", &type, err)) != 0)
        return rc;
    if (type == NULL && (rc = srq_field_string(f, key = "_class_name", &type, err)) != 0)
        return rc;
    if (type == NULL)
        return srq_field_fail(f, "model_type", err, "is missing");
    *out = srq_family_find(type);
    if (*out == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, key,
                              "config.json: %s \"%.60s\" is not a family that srq knows (%s)", key, type,
                              srq_family_names(names, sizeof(names)));
    return 0;
}

static int read_heads(const struct srq_fields *f, const struct srq_family *family, struct srq_config *c,
                      struct srq_error *err)
{
    int rc;

    if ((rc = srq_field_int(f, "num_attention_heads", true, 1, WIDTH_MAX, &c->heads, err)) != 0)
        return rc;
    c->kv_heads = c->heads;
    if ((rc = srq_field_int(f, "num_key_value_heads", false, 1, WIDTH_MAX, &c->kv_heads, err)) != 0)
        return rc;
    if (c->heads % c->kv_heads != 0)
        return srq_field_fail(f, "num_key_value_heads", err, "%lld does not divide num_attention_heads %lld",
                              (long long)c->kv_heads, (long long)c->heads);
    c->head_dim = family->head_dim_default;
    if ((rc = srq_field_int(f, "head_dim", false, 1, HEAD_DIM_MAX, &c->head_dim, err)) != 0)
        return rc;
    if (c->head_dim == 0) {
        if (c->hidden % c->heads != 0)
            return srq_field_fail(f, "num_attention_heads", err, "%lld does not divide hidden_size %lld",
                                  (long long)c->heads, (long long)c->hidden);
        c->head_dim = c->hidden / c->heads;
    }
    if (c->head_dim > HEAD_DIM_MAX)
        return srq_field_fail(f, "head_dim", err, "%lld is above %d", (long long)c->head_dim, HEAD_DIM_MAX);
    if (c->heads * c->head_dim > WIDTH_MAX)
        return srq_field_fail(f, "num_attention_heads", err, "%lld heads of %lld are too wide", (long long)c->heads,
                              (long long)c->head_dim);
    return 0;
}

static int read_shapes(const struct srq_fields *f, const struct srq_family *family, struct srq_config *c,
                       struct srq_error *err)
{
    int rc;

    if ((rc = srq_field_int(f, "num_hidden_layers", true, 1, LAYERS_MAX, &c->layers, err)) != 0 ||
        (rc = srq_field_int(f, "hidden_size", true, 1, WIDTH_MAX, &c->hidden, err)) != 0 ||
        (rc = srq_field_int(f, "intermediate_size", true, 1, WIDTH_MAX, &c->intermediate, err)) != 0 ||
        (rc = srq_field_int(f, "vocab_size", true, 1, WIDTH_MAX, &c->vocab, err)) != 0)
        return rc;
    c->max_positions = 2048;
    if ((rc = srq_field_int(f, "max_position_embeddings", false, 1, POSITIONS_MAX, &c->max_positions, err)) != 0)
        return rc;
    return read_heads(f, family, c, err);
}

/* The MLP's activation, which is the family's: any other name is refused. */
static int read_activation(const struct srq_fields *f, const struct srq_family *family, struct srq_error *err)
{
    static const char *const silu[] = { "silu", "swish", NULL };
    const char *const *known = family->acts != NULL ? family->acts : silu;
    const char *act = known[0];
    int rc = srq_field_string(f, "hidden_act", &act, err);

    for (int i = 0; rc == 0 && known[i] != NULL; i++)
        if (strcmp(act, known[i]) == 0)
            return 0;
    return rc != 0
               ? rc
               : srq_field_fail(f, "hidden_act", err, "\"%.60s\", but %s has %s", act, family->model_type, known[0]);
}

static int read_details(const struct srq_fields *f, const struct srq_family *family, struct srq_config *c,
                        struct srq_error *err)
{
    bool causal = true;
    int rc;

    c->eps = 1e-6;
    c->tied = family->tied_default;
    if ((rc = srq_field_number(f, "rms_norm_eps", false, 0, 0.1, &c->eps, err)) != 0 ||
        (rc = srq_field_bool(f, "tie_word_embeddings", &c->tied, err)) != 0 ||
        (rc = srq_field_bool(f, "attention_bias", &c->attention_bias, err)) != 0 ||
        (rc = srq_field_bool(f, "mlp_bias", &c->mlp_bias, err)) != 0 ||
        (rc = srq_field_bool(f, "is_causal", &causal, err)) != 0 || (rc = read_activation(f, family, err)) != 0)
        return rc;
    if (!causal)
        return srq_field_fail(f, "is_causal", err, "false, but srq's %s sees no later tokens", family->model_type);
    if (!(c->eps > 0))
        return srq_field_fail(f, "rms_norm_eps", err, "%g is not above 0", c->eps);
    return family->check != NULL ? family->check(f, err) : 0;
}

int srq_config_layer_types(const struct srq_fields *f, struct srq_config *c, int64_t window, const char *why,
                           bool *given, struct srq_error *err)
{
    const json_t *v = srq_field(f, "layer_types");

    *given = v != NULL;
    if (v == NULL)
        return 0;
    if (!json_is_array(v) || json_array_size(v) != (size_t)c->layers)
        return srq_field_fail(f, "layer_types", err, "an array of %lld names is due, one a layer",
                              (long long)c->layers);
    for (int64_t i = 0; i < c->layers; i++) {
        const char *type = json_string_value(json_array_get(v, (size_t)i));

        if (type != NULL && strcmp(type, "full_attention") == 0)
            continue;
        if (type == NULL || strcmp(type, "sliding_attention") != 0)
            return srq_field_fail(f, "layer_types", err, "element %lld is neither full_attention nor sliding_attention",
                                  (long long)i);
        if (window == 0)
            return srq_field_fail(f, "layer_types", err, "layer %lld slides, but %s", (long long)i, why);
        c->window[i] = window;
    }
    return 0;
}

static int read_windows(const struct srq_fields *f, const struct srq_family *family, struct srq_config *c,
                        struct srq_error *err)
{
    char why[64];
    bool given;

    c->window = srq_calloc((size_t)c->layers, sizeof(*c->window));
    if (c->window == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading config.json");
    if (family->windows != NULL)
        return family->windows(f, c, err);
    snprintf(why, sizeof(why), "%s has no windows", family->model_type);
    return srq_config_layer_types(f, c, 0, why, &given, err);
}

static int read_architecture(const struct srq_fields *f, struct srq_config *c, struct srq_error *err)
{
    const json_t *v = srq_field(f, "architectures");
    const char *name = json_is_array(v) && json_array_size(v) > 0 ? json_string_value(json_array_get(v, 0)) : "";

    if (v != NULL && (!json_is_array(v) || name == NULL))
        return srq_field_fail(f, "architectures", err, "an array of strings is due");
    c->architecture = srq_strdup(name);
    return c->architecture != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory reading config.json");
}

int srq_config_read(const json_t *json, const struct srq_family **family, struct srq_config *out, struct srq_error *err)
{
    const struct srq_fields f = { json, "" };
    int rc;

    memset(out, 0, sizeof(*out));
    if (!json_is_object(json))
        return srq_fail_field(err, -SRQ_EFORMAT, "config.json", "config.json is not a JSON object");
    if ((rc = read_family(&f, family, err)) != 0 || (rc = read_architecture(&f, out, err)) != 0) {
        srq_config_fini(out);
        return rc;
    }
    if ((*family)->read != NULL) {
        if ((rc = (*family)->read(&f, out, err)) != 0)
            srq_config_fini(out);
        return rc;
    }
    if ((rc = read_shapes(&f, *family, out, err)) != 0 || (rc = read_details(&f, *family, out, err)) != 0 ||
        (rc = srq_rope_read(&f, out->head_dim, out->max_positions, (*family)->partial_rotary, &out->rope, err)) != 0 ||
        (rc = read_windows(&f, *family, out, err)) != 0)
        srq_config_fini(out);
    return rc;
}

void srq_config_fini(struct srq_config *c)
{
    srq_free(c->architecture);
    srq_free(c->window);
    srq_unet_free(c->unet);
    srq_rope_fini(&c->rope);
    memset(c, 0, sizeof(*c));
}
