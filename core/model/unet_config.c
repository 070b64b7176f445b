/* config.json of a UNet2DModel or UNet2DConditionModel → struct srq_unet (spec diffusion-qat 6 and 8). Unknown keys are
 * ignored, as diffusers does; a value that changes what is computed and is not known is refused by name. */
#include "core/model/unet.h"

#include "core/base/alloc.h"
#include "core/format/st_header.h"

#include <math.h>
#include <stdlib.h>

#define CHANNELS_MAX 65536
#define PIXELS_MAX 4096
#define LAYERS_MAX 64

void srq_unet_free(struct srq_unet *u)
{
    if (u != NULL)
        srq_free(u->parts);
    srq_free(u);
}

/* The key is absent, null, or has this text. */
static int demand(const struct srq_fields *f, const char *key, const char *only, struct srq_error *err)
{
    const char *text = only;
    int rc = srq_field_string(f, key, &text, err);

    if (rc == 0 && text != NULL && strcmp(text, only) != 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, key, "config.json: %s \"%.60s\" is not one that srq knows (%s)",
                              key, text, only);
    return rc;
}

static int read_size(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    const json_t *v = srq_field(f, "sample_size");
    int64_t side;

    if (v == NULL)
        return srq_field_fail(f, "sample_size", err, "is missing or null: the size of pictures is not known");
    if (!json_is_array(v)) {
        int rc = srq_field_int(f, "sample_size", true, 1, PIXELS_MAX, &side, err);

        u->height = u->width = side;
        return rc;
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *n = json_array_get(v, i);

        side = json_is_integer(n) ? json_integer_value(n) : 0;
        if (json_array_size(v) != 2 || side < 1 || side > PIXELS_MAX)
            return srq_field_fail(f, "sample_size", err, "a number or two from 1 to %d are due", PIXELS_MAX);
        *(i == 0 ? &u->height : &u->width) = side;
    }
    return 0;
}

static int read_channels(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    static const int64_t usual[] = { 224, 448, 672, 896 };
    const json_t *v = srq_field(f, "block_out_channels");

    u->levels = v == NULL ? 4 : json_is_array(v) ? (int)json_array_size(v) : 0;
    if (u->levels < 1 || u->levels > SRQ_UNET_LEVELS)
        return srq_field_fail(f, "block_out_channels", err, "an array of 1 to %d widths is due", SRQ_UNET_LEVELS);
    for (int i = 0; i < u->levels; i++) {
        const json_t *n = json_array_get(v, (size_t)i);

        u->channels[i] = v == NULL ? usual[i] : json_is_integer(n) ? json_integer_value(n) : 0;
        if (u->channels[i] < 1 || u->channels[i] > CHANNELS_MAX)
            return srq_field_fail(f, "block_out_channels", err, "element %d is not a width from 1 to %d", i,
                                  CHANNELS_MAX);
    }
    return 0;
}

/* Which levels attend: a list of block types, of which two are known. */
static int read_blocks(const struct srq_fields *f, const char *key, const char *plain, const char *attends,
                       struct srq_unet *u, bool *out, struct srq_error *err)
{
    const json_t *v = srq_field(f, key);
    bool down = out == u->down_attends;

    if (v != NULL && (!json_is_array(v) || json_array_size(v) != (size_t)u->levels))
        return srq_field_fail(f, key, err, "an array of %d names is due, as block_out_channels has", u->levels);
    for (int i = 0; i < u->levels; i++) {
        const char *type = v != NULL ? json_string_value(json_array_get(v, (size_t)i)) : NULL;

        if (v == NULL) /* the default: all but the outermost level attend */
            out[i] = down ? i > 0 : i < u->levels - 1;
        else if (type != NULL && strcmp(type, attends) == 0)
            out[i] = true;
        else if (type == NULL || strcmp(type, plain) != 0)
            return srq_fail_field(err, -SRQ_EUNSUPPORTED, key,
                                  "config.json: %s: block type \"%.60s\" is not one that srq knows (%s, %s)", key,
                                  type != NULL ? type : "", plain, attends);
    }
    return 0;
}

/* The names of a level's blocks that attend. */
struct names {
    const char *down, *up, *mid;
};

static int read_levels(const struct srq_fields *f, const struct names *names, struct srq_unet *u, struct srq_error *err)
{
    int64_t step;
    int rc;

    u->layers = 2;
    if ((rc = read_size(f, u, err)) != 0 ||
        (rc = srq_field_int(f, "in_channels", false, 1, CHANNELS_MAX, &u->in_channels, err)) != 0 ||
        (rc = srq_field_int(f, "out_channels", false, 1, CHANNELS_MAX, &u->out_channels, err)) != 0 ||
        (rc = srq_field_int(f, "layers_per_block", false, 1, LAYERS_MAX, &u->layers, err)) != 0 ||
        (rc = read_channels(f, u, err)) != 0 ||
        (rc = read_blocks(f, "down_block_types", "DownBlock2D", names->down, u, u->down_attends, err)) != 0 ||
        (rc = read_blocks(f, "up_block_types", "UpBlock2D", names->up, u, u->up_attends, err)) != 0)
        return rc;
    step = (int64_t)1 << (u->levels - 1);
    if (u->height % step != 0 || u->width % step != 0)
        return srq_field_fail(f, "sample_size", err, "%lld x %lld cannot be halved %d times", (long long)u->height,
                              (long long)u->width, u->levels - 1);
    return 0;
}

static int read_middle(const struct srq_fields *f, const struct names *names, struct srq_unet *u, struct srq_error *err)
{
    const json_t *v = json_object_get(f->object, "mid_block_type");
    int rc = v == NULL || json_is_null(v) ? 0 : demand(f, "mid_block_type", names->mid, err);

    u->mid = v == NULL || !json_is_null(v);
    u->mid_attends = true;
    u->mid_scale = 1;
    if (rc == 0)
        rc = srq_field_bool(f, "add_attention", &u->mid_attends, err);
    if (rc == 0)
        rc = srq_field_number(f, "mid_block_scale_factor", false, 1e-6, 1e6, &u->mid_scale, err);
    return rc;
}

static int read_norms(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    int rc;

    u->groups = 32;
    u->eps = 1e-5;
    if ((rc = srq_field_int(f, "norm_num_groups", false, 1, CHANNELS_MAX, &u->groups, err)) != 0 ||
        (rc = srq_field_number(f, "norm_eps", false, 0, 0.1, &u->eps, err)) != 0)
        return rc;
    u->mid_groups = u->groups;
    for (int i = 0; i < u->levels; i++)
        if (u->channels[i] % u->groups != 0)
            return srq_field_fail(f, "norm_num_groups", err, "%lld does not divide block_out_channels %lld",
                                  (long long)u->groups, (long long)u->channels[i]);
    return 0;
}

static int read_attention(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    const json_t *v = json_object_get(f->object, "attention_head_dim");
    int rc;

    u->head_dim = v != NULL && json_is_null(v) ? 0 : 8;
    if ((rc = srq_field_int(f, "attention_head_dim", false, 1, CHANNELS_MAX, &u->head_dim, err)) != 0 ||
        (rc = srq_field_int(f, "attn_norm_num_groups", false, 1, CHANNELS_MAX, &u->mid_groups, err)) != 0)
        return rc;
    for (int i = 0; i < u->levels; i++) {
        if (u->head_dim > u->channels[i] &&
            (u->down_attends[i] || u->up_attends[u->levels - 1 - i] || (u->mid_attends && i == u->levels - 1)))
            return srq_field_fail(f, "attention_head_dim", err, "%lld is more than the %lld channels of level %d",
                                  (long long)u->head_dim, (long long)u->channels[i], i);
    }
    if (u->channels[u->levels - 1] % u->mid_groups != 0)
        return srq_field_fail(f, "attn_norm_num_groups", err, "%lld does not divide the middle's %lld channels",
                              (long long)u->mid_groups, (long long)u->channels[u->levels - 1]);
    return 0;
}

static int read_time(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    const char *shift = "default";
    int rc;

    u->flip_sin_to_cos = true;
    u->time_width = 4 * u->channels[0];
    if ((rc = demand(f, "time_embedding_type", "positional", err)) != 0 ||
        (rc = srq_field_int(f, "time_embedding_dim", false, 1, CHANNELS_MAX, &u->time_width, err)) != 0 ||
        (rc = srq_field_bool(f, "flip_sin_to_cos", &u->flip_sin_to_cos, err)) != 0 ||
        (rc = srq_field_number(f, "freq_shift", false, -16, 16, &u->freq_shift, err)) != 0 ||
        (rc = srq_field_string(f, "resnet_time_scale_shift", &shift, err)) != 0)
        return rc;
    u->scale_shift = strcmp(shift, "scale_shift") == 0;
    if (u->scale_shift && srq_field(f, "attn_norm_num_groups") == NULL)
        u->mid_groups = 0; /* as diffusers makes it */
    if (!u->scale_shift && strcmp(shift, "default") != 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "resnet_time_scale_shift",
                              "config.json: resnet_time_scale_shift \"%.60s\" is not one that srq knows (default, "
                              "scale_shift)",
                              shift);
    if (u->channels[0] % 2 != 0 || !((double)u->channels[0] / 2 > u->freq_shift))
        return srq_field_fail(f, "block_out_channels", err, "%lld channels cannot hold sines and cosines of the time",
                              (long long)u->channels[0]);
    return 0;
}

static int read_details(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    int64_t padding = 1;
    const char *act = "silu";
    int rc;

    if ((rc = srq_field_string(f, "act_fn", &act, err)) != 0 ||
        (rc = srq_field_int(f, "downsample_padding", false, 0, 1, &padding, err)) != 0 ||
        (rc = demand(f, "downsample_type", "conv", err)) != 0 || (rc = demand(f, "upsample_type", "conv", err)) != 0 ||
        (rc = srq_field_bool(f, "center_input_sample", &u->center, err)) != 0)
        return rc;
    u->pad_after = padding == 0;
    if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "act_fn", "config.json: act_fn \"%.60s\", but srq knows silu",
                              act);
    return 0;
}

/* Parts of models that are told a text, which srq does not have. */
static const struct {
    const char *key;
    int64_t plain; /* where it is a number */
} parts[] = { { "only_cross_attention", 0 },
              { "mid_block_only_cross_attention", 0 },
              { "dual_cross_attention", 0 },
              { "encoder_hid_dim", -1 },
              { "encoder_hid_dim_type", -1 },
              { "addition_embed_type", -1 },
              { "resnet_skip_time_act", 0 },
              { "resnet_out_scale_factor", 1 },
              { "time_embedding_act_fn", -1 },
              { "timestep_post_act", -1 },
              { "time_cond_proj_dim", -1 },
              { "class_embed_type", -1 },
              { "num_class_embeds", -1 },
              { "class_embeddings_concat", 0 },
              { "cross_attention_norm", -1 },
              { "conv_in_kernel", 3 },
              { "conv_out_kernel", 3 },
              { "transformer_layers_per_block", 1 },
              { "reverse_transformer_layers_per_block", -1 } };
#define PARTS (sizeof(parts) / sizeof(parts[0]))

/* Every key that is read here or says nothing of what the network computes. */
static bool is_known(const char *key)
{
    static const char *const known[] = { "act_fn",
                                         "add_attention",
                                         "attention_head_dim",
                                         "attn_norm_num_groups",
                                         "block_out_channels",
                                         "center_input_sample",
                                         "class_embed_type",
                                         "cross_attention_dim",
                                         "down_block_types",
                                         "downsample_padding",
                                         "downsample_type",
                                         "dropout",
                                         "flip_sin_to_cos",
                                         "freq_shift",
                                         "in_channels",
                                         "layers_per_block",
                                         "mid_block_scale_factor",
                                         "mid_block_type",
                                         "norm_eps",
                                         "norm_num_groups",
                                         "num_attention_heads",
                                         "num_class_embeds",
                                         "num_train_timesteps",
                                         "out_channels",
                                         "resnet_time_scale_shift",
                                         "sample_size",
                                         "time_embedding_dim",
                                         "time_embedding_type",
                                         "up_block_types",
                                         "upsample_type",
                                         "use_linear_projection",
                                         "quantization_config" };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return key[0] == '_';
}

/* Of models that are told a text: what is refused unless it is as the plain model has it, and what belongs to that. */
static bool is_part(const char *key)
{
    static const char *const beside[] = { "addition_embed_type_num_heads", "addition_time_embed_dim",
                                          "projection_class_embeddings_input_dim", "upcast_attention",
                                          "attention_type" };

    for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
        if (strcmp(key, beside[i]) == 0)
            return true;
    for (size_t i = 0; i < PARTS; i++)
        if (strcmp(key, parts[i].key) == 0)
            return true;
    return false;
}

static void take_unknown(const struct srq_fields *f, struct srq_unet *u)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)f->object, key, value)
    {
        if (!json_is_null(value) && !is_known(key) && !is_part(key))
            srq_st_list(key, u->unknown, sizeof(u->unknown));
    }
}

#define CLASSES_MAX 1000000

/* A class is a row of a table. Where class_embed_type says otherwise it would be a time or a vector. */
static int read_classes(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    const char *type = NULL;
    int rc = srq_field_string(f, "class_embed_type", &type, err);

    if (rc != 0)
        return rc;
    if (type != NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "class_embed_type",
                              "config.json: class_embed_type \"%.60s\" is not one that srq knows: it knows tables of "
                              "num_class_embeds rows",
                              type);
    return srq_field_int(f, "num_class_embeds", false, 1, CLASSES_MAX, &u->classes, err);
}

static int begin(const struct srq_fields *f, const struct names *names, struct srq_config *c, int64_t channels,
                 struct srq_error *err)
{
    struct srq_unet *u = srq_calloc(1, sizeof(*u));
    int rc;

    c->unet = u;
    if (u == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading config.json");
    u->in_channels = u->out_channels = channels;
    if ((rc = read_levels(f, names, u, err)) != 0 || (rc = read_middle(f, names, u, err)) != 0)
        return rc;
    return read_norms(f, u, err);
}

int srq_unet_read(const struct srq_fields *f, struct srq_config *c, struct srq_error *err)
{
    static const struct names names = { "AttnDownBlock2D", "AttnUpBlock2D", "UNetMidBlock2D" };
    int rc = begin(f, &names, c, 3, err);

    if (rc != 0 || (rc = read_attention(f, c->unet, err)) != 0 || (rc = read_time(f, c->unet, err)) != 0 ||
        (rc = read_classes(f, c->unet, err)) != 0)
        return rc;
    take_unknown(f, c->unet);
    return read_details(f, c->unet, err);
}

/* ---- models that are told a text ---- */

/* Parts that srq does not have: the key is absent, null, false, or has the value of the plain model. */
static int refuse_parts(const struct srq_fields *f, struct srq_error *err)
{
    for (size_t i = 0; i < PARTS; i++) {
        const json_t *v = srq_field(f, parts[i].key);
        bool plain =
            v == NULL || json_is_false(v) || (json_is_number(v) && json_number_value(v) == (double)parts[i].plain);
        char *text = plain ? NULL : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);

        if (!plain) {
            srq_fail_field(err, -SRQ_EUNSUPPORTED, parts[i].key,
                           "config.json: %s %.60s is not one that srq knows: it knows the networks of Stable Diffusion "
                           "1 and 2",
                           parts[i].key, text != NULL ? text : "");
            free(text);
            return -SRQ_EUNSUPPORTED;
        }
    }
    return demand(f, "attention_type", "default", err);
}

/* What is called attention_head_dim there is the number of heads, for all levels or for each (spec 6). */
static int read_heads(const struct srq_fields *f, struct srq_unet *u, struct srq_error *err)
{
    const char *key = srq_field(f, "num_attention_heads") != NULL ? "num_attention_heads" : "attention_head_dim";
    const json_t *v = srq_field(f, key);

    if (json_is_array(v) && json_array_size(v) != (size_t)u->levels)
        return srq_field_fail(f, key, err, "a number or %d of them are due, as block_out_channels has", u->levels);
    for (int i = 0; i < u->levels; i++) {
        const json_t *n = json_is_array(v) ? json_array_get(v, (size_t)i) : v;

        u->heads[i] = v == NULL ? 8 : json_is_integer(n) ? json_integer_value(n) : 0;
        if (u->heads[i] < 1 || u->channels[i] % u->heads[i] != 0)
            return srq_field_fail(f, key, err, "%lld heads do not divide the %lld channels of level %d",
                                  (long long)u->heads[i], (long long)u->channels[i], i);
    }
    return 0;
}

int srq_unet_condition_read(const struct srq_fields *f, struct srq_config *c, struct srq_error *err)
{
    static const struct names names = { "CrossAttnDownBlock2D", "CrossAttnUpBlock2D", "UNetMidBlock2DCrossAttn" };
    const json_t *types = srq_field(f, "down_block_types");
    struct srq_unet *u;
    int rc;

    if (types == NULL || srq_field(f, "up_block_types") == NULL)
        return srq_field_fail(f, types == NULL ? "down_block_types" : "up_block_types", err, "is missing");
    rc = begin(f, &names, c, 4, err);
    if (rc != 0)
        return rc;
    u = c->unet;
    u->text_width = 1280;
    if ((rc = srq_field_int(f, "cross_attention_dim", false, 1, CHANNELS_MAX, &u->text_width, err)) != 0 ||
        (rc = srq_field_bool(f, "use_linear_projection", &u->flat, err)) != 0 || (rc = read_heads(f, u, err)) != 0 ||
        (rc = read_time(f, u, err)) != 0 || (rc = refuse_parts(f, err)) != 0)
        return rc;
    take_unknown(f, u);
    return read_details(f, u, err);
}
