/* UNet2DModel and UNet2DConditionModel: the table of units and ports, and what each computes (spec diffusion-qat 6 and
 * 9). Every resnet, attention and sampler is a unit; skips, the time embedding and the text are ports that later units
 * read. */
#include "core/model/pictures.h"
#include "core/model/unet.h"

#include "core/base/alloc.h"
#include "core/tape/ops_picture.h"

#include <math.h>

/* ---- what units compute ------------------------------------------------------------------------------------------ */

#define FORWARD(name)                                                                                          \
    static void name(struct srq_block *b, struct srq_tape *t, struct srq_var *const *in, struct srq_var **out, \
                     int64_t batch, int64_t seq)

static const struct srq_unet_shape *shape_of(const struct srq_block *b)
{
    return b->kind->shape;
}

/* A 3×3 convolution that keeps the size. */
static struct srq_var *conv3(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int i, int64_t batch)
{
    const struct srq_unet_shape *s = shape_of(b);
    const struct srq_conv c = { batch, s->height, s->width, .kernel = 3, .stride = 1, .pad_before = 1, .pad_after = 1 };

    return srq_op_conv(t, x, &b->linears[i], &c);
}

FORWARD(run_conv_in)
{
    (void)seq;
    out[0] = conv3(b, t, in[0], 0, batch);
}

/* With the class's row, where the model is told one. */
FORWARD(run_time)
{
    struct srq_var *h = srq_op_linear(t, srq_op_silu(t, srq_op_linear(t, in[0], &b->linears[0])), &b->linears[1]);

    (void)batch;
    (void)seq;
    out[0] = shape_of(b)->told_class ? srq_op_add(t, h, in[1]) : h;
}

enum { CONV1, TIME, CONV2, SHORTCUT };
enum { NORM1_GAIN, NORM1_BIAS, NORM2_GAIN, NORM2_BIAS };

/* The norm whose gain is vector `gain`. */
static struct srq_var *norm_of(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int gain, int64_t batch)
{
    const struct srq_unet_shape *s = shape_of(b);
    const struct srq_group_norm n = { batch, s->groups, &b->vectors[gain], &b->vectors[gain + 1], (float)s->eps };

    return srq_op_group_norm(t, x, &n);
}

/* And then SiLU. */
static struct srq_var *norm_silu(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int gain, int64_t batch)
{
    return srq_op_silu(t, norm_of(b, t, x, gain, batch));
}

FORWARD(run_resnet)
{
    const struct srq_unet_shape *s = shape_of(b);
    struct srq_var *x = s->skip > 0 ? srq_op_concat(t, in[0], in[2]) : in[0], *h, *e;

    (void)seq;
    h = conv3(b, t, norm_silu(b, t, x, NORM1_GAIN, batch), CONV1, batch);
    e = srq_op_linear(t, srq_op_silu(t, in[1]), &b->linears[TIME]);
    if (s->scale_shift) {
        h = srq_op_silu(t, srq_op_modulate(t, norm_of(b, t, h, NORM2_GAIN, batch), e, batch));
    } else {
        h = norm_silu(b, t, srq_op_add_each(t, h, e, batch), NORM2_GAIN, batch);
    }
    h = conv3(b, t, h, CONV2, batch);
    h = srq_op_add(t, s->shortcut ? srq_op_linear(t, x, &b->linears[SHORTCUT]) : x, h);
    out[0] = s->scale != 1 ? srq_op_scale(t, h, (float)(1 / s->scale)) : h;
}

enum { Q, K, V, O };

FORWARD(run_attention)
{
    const struct srq_unet_shape *s = shape_of(b);
    const struct srq_attention a = {
        .batch = batch,
        .seq = s->height * s->width,
        .heads = s->heads,
        .kv_heads = s->heads,
        .head_dim = s->head_dim,
        .full = true,
        .scale = (float)(1 / sqrt((double)s->head_dim)),
    };
    struct srq_var *h = s->groups > 0 ? norm_of(b, t, in[0], 0, batch) : in[0];
    struct srq_var *q = srq_op_linear(t, h, &b->linears[Q]);
    struct srq_var *k = srq_op_linear(t, h, &b->linears[K]);
    struct srq_var *v = srq_op_linear(t, h, &b->linears[V]);

    (void)seq;
    h = srq_op_add(t, in[0], srq_op_linear(t, srq_op_attention(t, q, k, v, &a), &b->linears[O]));
    out[0] = s->scale != 1 ? srq_op_scale(t, h, (float)(1 / s->scale)) : h;
}

/* Linears and vectors of a transformer: what a pixel attends to among pixels, then among words, then by itself. */
enum { PROJ_IN, Q1, K1, V1, O1, Q2, K2, V2, O2, GATED, BACK, PROJ_OUT };
enum { ALL, FIRST = 2, SECOND = 4, THIRD = 6 };

static struct srq_var *layer_norm(struct srq_block *b, struct srq_tape *t, struct srq_var *x, int gain)
{
    return srq_op_layer_norm(t, x, &b->vectors[gain], &b->vectors[gain + 1], 1e-5f);
}

/* h + attention of h over `keys` rows of each sample. */
static struct srq_var *attend(struct srq_block *b, struct srq_tape *t, struct srq_var *h, struct srq_var *text,
                              int64_t batch)
{
    const struct srq_unet_shape *s = shape_of(b);
    const struct srq_attention a = {
        .batch = batch,
        .seq = s->height * s->width,
        .heads = s->heads,
        .kv_heads = s->heads,
        .head_dim = s->head_dim,
        .full = true,
        .scale = (float)(1 / sqrt((double)s->head_dim)),
        .keys = text != NULL ? s->words : 0,
    };
    int q = text != NULL ? Q2 : Q1;
    struct srq_var *x = layer_norm(b, t, h, text != NULL ? SECOND : FIRST), *from = text != NULL ? text : x;
    struct srq_var *query = srq_op_linear(t, x, &b->linears[q]);
    struct srq_var *key = srq_op_linear(t, from, &b->linears[q + 1]);
    struct srq_var *value = srq_op_linear(t, from, &b->linears[q + 2]);

    return srq_op_add(t, h, srq_op_linear(t, srq_op_attention(t, query, key, value, &a), &b->linears[q + 3]));
}

FORWARD(run_transformer)
{
    struct srq_var *h = srq_op_linear(t, norm_of(b, t, in[0], ALL, batch), &b->linears[PROJ_IN]), *gated;

    (void)seq;
    h = attend(b, t, h, NULL, batch);
    h = attend(b, t, h, in[1], batch);
    gated = srq_op_geglu(t, srq_op_linear(t, layer_norm(b, t, h, THIRD), &b->linears[GATED]));
    h = srq_op_add(t, h, srq_op_linear(t, gated, &b->linears[BACK]));
    out[0] = srq_op_add(t, in[0], srq_op_linear(t, h, &b->linears[PROJ_OUT]));
}

FORWARD(run_down)
{
    const struct srq_unet_shape *s = shape_of(b);
    const struct srq_conv c = { batch,         s->height,   s->width,
                                .kernel = 3,   .stride = 2, .pad_before = s->pad_after ? 0 : 1,
                                .pad_after = 1 };

    (void)seq;
    out[0] = srq_op_conv(t, in[0], &b->linears[0], &c);
}

FORWARD(run_up)
{
    const struct srq_unet_shape *s = shape_of(b);
    const struct srq_conv c = { batch,       2 * s->height,   2 * s->width,  .kernel = 3,
                                .stride = 1, .pad_before = 1, .pad_after = 1 };

    (void)seq;
    out[0] = srq_op_conv(t, srq_op_upsample(t, in[0], batch, s->height, s->width), &b->linears[0], &c);
}

FORWARD(run_tail)
{
    (void)seq;
    out[0] = conv3(b, t, norm_silu(b, t, in[0], 0, batch), 0, batch);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* Where the layout is. Ports are numbers; after a failure `rc` is negative and nothing more is added. */
struct plan {
    struct srq_layout *l;
    struct srq_unet *u;
    int hidden, time;      /* ports as they are now */
    int text;              /* port; -1: there is none */
    int64_t channels;      /* of `hidden` */
    int64_t height, width; /* likewise */
    int skips[SRQ_UNET_LEVELS * 65 + 1];
    int64_t skip_channels[SRQ_UNET_LEVELS * 65 + 1];
    int skip_count;
    int rc;
};

static struct srq_unet_part *new_part(struct plan *p, int64_t out)
{
    struct srq_unet_part *part;

    if (p->rc >= 0 && p->u->part_count == p->u->part_cap)
        p->rc = -SRQ_ELIMIT;
    if (p->rc < 0)
        return NULL;
    part = &p->u->parts[p->u->part_count++];
    part->kind.linears = part->linears;
    part->kind.vectors = part->vectors;
    part->kind.shape = &part->shape;
    part->shape = (struct srq_unet_shape){ .height = p->height,
                                           .width = p->width,
                                           .in = p->channels,
                                           .out = out,
                                           .groups = p->u->groups,
                                           .eps = p->u->eps,
                                           .scale = 1,
                                           .pad_after = p->u->pad_after,
                                           .scale_shift = p->u->scale_shift };
    return part;
}

static void linear(struct srq_unet_part *part, const char *module, int64_t out, int64_t in, int kernel,
                   const char *legacy)
{
    int64_t taps = kernel > 0 ? kernel * kernel : 1;

    part->linears[part->kind.linear_count++] =
        (struct srq_linear_row){ module, out, in * taps, SRQ_BIAS_ALWAYS, NULL, kernel, legacy, false, 0 };
}

static void no_bias(struct srq_unet_part *part)
{
    part->linears[part->kind.linear_count - 1].bias = SRQ_BIAS_NEVER;
}

/* The layer that was added last is one of those which say what pictures and times are. */
static void at_edge(struct srq_unet_part *part)
{
    part->linears[part->kind.linear_count - 1].edge = true;
}

/* Its input is two values side by side, where that is so. */
static void reads_both(struct srq_unet_part *part)
{
    part->linears[part->kind.linear_count - 1].split = part->shape.skip > 0 ? part->shape.in : 0;
}

static void norm(struct srq_unet_part *part, const char *module, int64_t channels)
{
    part->vectors[part->kind.vector_count++] = (struct srq_vector_row){ .module = module, .dim = channels };
    part->vectors[part->kind.vector_count++] =
        (struct srq_vector_row){ .module = module, .dim = channels, .suffix = "bias" };
}

/* The unit, from `hidden` (and what it reads beside it, a port or -1) to a new `hidden`. */
static void add(struct plan *p, const char *name, const char *tensors, const struct srq_unet_part *part, int beside,
                int skip)
{
    struct srq_layout_unit u = { name, tensors, &part->kind, { p->hidden }, 1, { 0 }, 1 };

    if (p->rc < 0)
        return;
    if (beside >= 0)
        u.in[u.ins++] = beside;
    if (skip >= 0)
        u.in[u.ins++] = skip;
    u.out[0] = srq_layout_matrix(p->l, "hidden", p->height * p->width, part->shape.out);
    p->rc = u.out[0] < 0 ? u.out[0] : srq_layout_named(p->l, &u);
    p->hidden = u.out[0];
    p->channels = part->shape.out;
}

static void push_skip(struct plan *p)
{
    p->skips[p->skip_count] = p->hidden;
    p->skip_channels[p->skip_count++] = p->channels;
}

static void resnet(struct plan *p, const char *name, int64_t out, double scale, bool skip)
{
    struct srq_unet_part *part = new_part(p, out);
    int from = -1;
    int64_t in;

    if (part == NULL)
        return;
    if (skip) {
        from = p->skips[--p->skip_count];
        part->shape.skip = p->skip_channels[p->skip_count];
    }
    in = part->shape.in + part->shape.skip;
    part->shape.scale = scale;
    part->shape.shortcut = in != out;
    linear(part, "conv1", out, in, 3, NULL);
    reads_both(part);
    linear(part, "time_emb_proj", p->u->scale_shift ? 2 * out : out, p->u->time_width, 0, NULL);
    at_edge(part);
    linear(part, "conv2", out, out, 3, NULL);
    if (part->shape.shortcut) {
        linear(part, "conv_shortcut", out, in, 1, NULL);
        reads_both(part);
    }
    norm(part, "norm1", in);
    norm(part, "norm2", out);
    part->kind.forward = run_resnet;
    add(p, name, name, part, p->time, from);
}

/* groups 0: without a norm. */
static void attention(struct plan *p, const char *name, int64_t groups, double scale)
{
    struct srq_unet_part *part = new_part(p, p->channels);
    int64_t c = p->channels, inner;

    if (part == NULL)
        return;
    part->shape.head_dim = p->u->head_dim > 0 ? p->u->head_dim : c;
    part->shape.heads = c / part->shape.head_dim;
    inner = part->shape.heads * part->shape.head_dim;
    part->shape.groups = groups;
    part->shape.scale = scale;
    linear(part, "to_q", inner, c, 0, "query");
    linear(part, "to_k", inner, c, 0, "key");
    linear(part, "to_v", inner, c, 0, "value");
    linear(part, "to_out.0", c, inner, 0, "proj_attn");
    if (groups > 0)
        norm(part, "group_norm", c);
    part->kind.forward = run_attention;
    add(p, name, name, part, -1, -1);
}

/* One Transformer2DModel with one block (spec 6). The modules' names are those of checkpoints. */
static void transformer(struct plan *p, const char *name, int64_t heads)
{
    static const char *const projections[2][4] = {
        { "transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_k", "transformer_blocks.0.attn1.to_v",
          "transformer_blocks.0.attn1.to_out.0" },
        { "transformer_blocks.0.attn2.to_q", "transformer_blocks.0.attn2.to_k", "transformer_blocks.0.attn2.to_v",
          "transformer_blocks.0.attn2.to_out.0" },
    };
    struct srq_unet_part *part = new_part(p, p->channels);
    int64_t c = p->channels;
    int kernel = p->u->flat ? 0 : 1;

    if (part == NULL)
        return;
    part->shape.heads = heads;
    part->shape.head_dim = c / heads;
    part->shape.eps = 1e-6;
    part->shape.words = SRQ_TEXT_WORDS;
    linear(part, "proj_in", c, c, kernel, NULL);
    for (int text = 0; text < 2; text++) {
        for (int i = 0; i < 4; i++) {
            linear(part, projections[text][i], c, text && (i == 1 || i == 2) ? p->u->text_width : c, 0, NULL);
            if (i < 3)
                no_bias(part);
        }
    }
    linear(part, "transformer_blocks.0.ff.net.0.proj", 8 * c, c, 0, NULL);
    linear(part, "transformer_blocks.0.ff.net.2", c, 4 * c, 0, NULL);
    linear(part, "proj_out", c, c, kernel, NULL);
    norm(part, "norm", c);
    norm(part, "transformer_blocks.0.norm1", c);
    norm(part, "transformer_blocks.0.norm2", c);
    norm(part, "transformer_blocks.0.norm3", c);
    part->kind.forward = run_transformer;
    add(p, name, name, part, p->text, -1);
}

/* What a level has: a transformer where the model is told a text, else attention alone. */
static void attend_at(struct plan *p, const char *name, int level, int64_t groups, double scale)
{
    if (p->text >= 0)
        transformer(p, name, p->u->heads[level]);
    else
        attention(p, name, groups, scale);
}

/* Halves or doubles the size. */
static void resample(struct plan *p, const char *name, bool up)
{
    struct srq_unet_part *part = new_part(p, p->channels);

    if (part == NULL)
        return;
    linear(part, "conv", p->channels, p->channels, 3, NULL);
    part->kind.forward = up ? run_up : run_down;
    p->height = up ? 2 * p->height : p->height / 2;
    p->width = up ? 2 * p->width : p->width / 2;
    add(p, name, name, part, -1, -1);
}

static void begin(struct plan *p)
{
    struct srq_unet_part *part;
    int picture = srq_layout_matrix(p->l, "picture", p->height * p->width, p->u->in_channels);
    int time = srq_layout_matrix(p->l, "time", 1, p->u->channels[0]);
    int text = p->u->text_width > 0 ? srq_layout_matrix(p->l, "text", SRQ_TEXT_WORDS, p->u->text_width) : -1;
    int class = p->u->classes > 0 ? srq_layout_matrix(p->l, "class", 1, p->u->time_width) : -1;
    int embedding = srq_layout_matrix(p->l, "time_embedding", 1, p->u->time_width);
    struct srq_layout_unit u = { "time_embedding", "time_embedding", NULL, { time, class }, 1, { embedding }, 1 };

    u.ins += p->u->classes > 0;
    p->rc = picture < 0 || time < 0 || embedding < 0 || (p->u->classes > 0 && class < 0) ? -SRQ_ENOMEM : 0;
    p->hidden = picture;
    p->channels = p->u->in_channels;
    p->time = embedding;
    p->text = text;
    part = new_part(p, p->u->time_width);
    if (part != NULL) {
        linear(part, "linear_1", p->u->time_width, p->u->channels[0], 0, NULL);
        at_edge(part);
        linear(part, "linear_2", p->u->time_width, p->u->time_width, 0, NULL);
        at_edge(part);
        part->kind.forward = run_time;
        part->shape.told_class = p->u->classes > 0;
        u.kind = &part->kind;
        p->rc = srq_layout_named(p->l, &u);
    }
    part = new_part(p, p->u->channels[0]);
    if (part != NULL) {
        linear(part, "conv_in", part->shape.out, p->channels, 3, NULL);
        at_edge(part);
        part->kind.forward = run_conv_in;
        add(p, "conv_in", "", part, -1, -1);
    }
    push_skip(p);
}

static void down(struct plan *p, int level)
{
    char name[96];

    for (int64_t j = 0; j < p->u->layers; j++) {
        snprintf(name, sizeof(name), "down_blocks.%d.resnets.%d", level, (int)j);
        resnet(p, name, p->u->channels[level], 1, false);
        snprintf(name, sizeof(name), "down_blocks.%d.attentions.%d", level, (int)j);
        if (p->u->down_attends[level])
            attend_at(p, name, level, p->u->groups, 1);
        push_skip(p);
    }
    if (level == p->u->levels - 1)
        return;
    snprintf(name, sizeof(name), "down_blocks.%d.downsamplers.0", level);
    resample(p, name, false);
    push_skip(p);
}

static void up(struct plan *p, int level)
{
    int64_t out = p->u->channels[p->u->levels - 1 - level];
    char name[96];

    for (int64_t j = 0; j <= p->u->layers; j++) {
        snprintf(name, sizeof(name), "up_blocks.%d.resnets.%d", level, (int)j);
        resnet(p, name, out, 1, true);
        snprintf(name, sizeof(name), "up_blocks.%d.attentions.%d", level, (int)j);
        if (p->u->up_attends[level])
            attend_at(p, name, p->u->levels - 1 - level, p->u->groups, 1);
    }
    snprintf(name, sizeof(name), "up_blocks.%d.upsamplers.0", level);
    if (level < p->u->levels - 1)
        resample(p, name, true);
}

static void middle(struct plan *p)
{
    int64_t c = p->channels;

    resnet(p, "mid_block.resnets.0", c, p->u->mid_scale, false);
    if (p->u->mid_attends)
        attend_at(p, "mid_block.attentions.0", p->u->levels - 1, p->u->mid_groups, p->u->mid_scale);
    resnet(p, "mid_block.resnets.1", c, p->u->mid_scale, false);
}

static void end(struct plan *p)
{
    struct srq_unet_part *part = new_part(p, p->u->out_channels);

    if (part == NULL)
        return;
    linear(part, "conv_out", p->u->out_channels, p->channels, 3, NULL);
    at_edge(part);
    norm(part, "conv_norm_out", p->channels);
    part->kind.forward = run_tail;
    add(p, "conv_out", "", part, -1, -1);
}

static int lay_out(struct srq_layout *l, const struct srq_config *c)
{
    struct plan p = { .l = l, .u = c->unet, .height = c->unet->height, .width = c->unet->width };

    /* a level has its resnets, as many attentions, and a sampler; beside them time, conv_in, middle, tail */
    p.u->part_cap = p.u->levels * (2 * (2 * (int)p.u->layers + 1) + 2) + 6;
    p.u->parts = srq_calloc((size_t)p.u->part_cap, sizeof(*p.u->parts));
    if (p.u->parts == NULL)
        return -SRQ_ENOMEM;
    begin(&p);
    for (int i = 0; i < p.u->levels; i++)
        down(&p, i);
    if (p.u->mid)
        middle(&p);
    for (int i = 0; i < p.u->levels; i++)
        up(&p, i);
    end(&p);
    return p.rc;
}

const struct srq_family srq_family_unet2d = {
    .model_type = "UNet2DModel",
    .prefix = "",
    .read = srq_unet_read,
    .lay_out = lay_out,
};

const struct srq_family srq_family_unet2d_condition = {
    .model_type = "UNet2DConditionModel",
    .prefix = "",
    .read = srq_unet_condition_read,
    .lay_out = lay_out,
};

/* ---- what goes in ------------------------------------------------------------------------------------------------ */

struct srq_pictures srq_model_pictures(const struct srq_model *m)
{
    const struct srq_unet *u = m->config.unet;

    return (struct srq_pictures){ u->height, u->width, u->in_channels, u->out_channels, u->text_width, u->classes };
}

int srq_unet_check_classes(const struct srq_model *m, struct srq_error *err)
{
    const struct srq_unet *u = m->config.unet;
    struct srq_tensor t;

    if (u == NULL || u->classes == 0)
        return 0;
    if (!srq_tensors_describe(m->tensors, SRQ_UNET_CLASS_TABLE, &t))
        return srq_fail_field(err, -SRQ_EFORMAT, SRQ_UNET_CLASS_TABLE,
                              "%s: tensor %s is missing, which num_class_embeds asks for", m->info.path,
                              SRQ_UNET_CLASS_TABLE);
    if (t.rank != 2 || t.shape[0] != u->classes || t.shape[1] != u->time_width ||
        (t.dtype != SRQ_F32 && t.dtype != SRQ_F16 && t.dtype != SRQ_BF16))
        return srq_fail_field(err, -SRQ_EFORMAT, SRQ_UNET_CLASS_TABLE, "%s: tensor %s is not [%lld, %lld] of floats",
                              m->info.path, SRQ_UNET_CLASS_TABLE, (long long)u->classes, (long long)u->time_width);
    return 0;
}

int srq_model_class(const struct srq_model *m, int64_t class, float *dst, struct srq_error *err)
{
    const struct srq_unet *u = m->config.unet;
    struct srq_tensor t;

    if (class < 0 || class >= u->classes)
        return srq_fail_field(err, -SRQ_EINVAL, "class", "class %lld is not one of the model's: it has 0 to %lld",
                              (long long)class, (long long)u->classes - 1);
    if (!srq_tensors_get(m->tensors, SRQ_UNET_CLASS_TABLE, &t))
        return srq_fail_field(err, -SRQ_EFORMAT, SRQ_UNET_CLASS_TABLE, "tensor %s cannot be read",
                              SRQ_UNET_CLASS_TABLE);
    return srq_convert((const uint8_t *)t.data + (size_t)(class * u->time_width) * srq_dtype_size(t.dtype), t.dtype,
                       dst, SRQ_F32, u->time_width);
}

void srq_model_moments(const struct srq_model *m, double t, int64_t first, int64_t n, struct srq_moment *out)
{
    int64_t classes = m->config.unet->classes;

    for (int64_t i = 0; i < n; i++)
        out[i] = (struct srq_moment){ t, classes > 0 ? (first + i) % classes : 0 };
}

void srq_model_time(const struct srq_model *m, double t, float *dst)
{
    const struct srq_unet *u = m->config.unet;
    int64_t half = u->channels[0] / 2;

    for (int64_t k = 0; k < half; k++) {
        /* as the reference rounds it: frequencies and their products are F32 */
        float f = expf((float)(-log(10000.0)) * (float)k / (float)((double)half - u->freq_shift));
        float at = (float)t * f;

        dst[u->flip_sin_to_cos ? half + k : k] = sinf(at);
        dst[u->flip_sin_to_cos ? k : half + k] = cosf(at);
    }
}

void srq_model_enter(const struct srq_model *m, float *x)
{
    const struct srq_unet *u = m->config.unet;
    int64_t n = u->center ? u->height * u->width * u->in_channels : 0;

    for (int64_t i = 0; i < n; i++)
        x[i] = 2 * x[i] - 1;
}
