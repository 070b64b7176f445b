/* The formats, and what each can carry: asked when a job is planned, long before anything is written. */
#include "core/model/export_parts.h"

#include "core/base/alloc.h"
#include "core/model/export_gguf.h"

#include <inttypes.h>
#include <string.h>

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The layout has the same limits in v1 and v2 except for zero-point 0, and v2 is what asymmetric layers get. */
static int integers_accept(const struct srq_format *f, enum srq_pack_layout layout, const struct srq_scheme *s,
                           const struct srq_layer_info *layer, struct srq_error *err)
{
    struct srq_error why = { 0 };
    struct srq_packed p;

    if (!srq_scheme_is_integer(s))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name,
                              "%s: %s holds integer grids only; compressed-tensors holds mxfp4, mxfp8, nvfp4 and fp8, "
                              "gguf k-quants and mxfp4",
                              layer->name, f->name);
    if (srq_scheme_has_act(s))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name,
                              "%s: %s: quantized activations are in compressed-tensors alone", layer->name, f->name);
    if (f->uniform && s->group > layer->in)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name,
                              "%s: group %d is longer than its rows of %" PRId64 ", which %s cannot say", layer->name,
                              s->group, layer->in, f->name);
    if (srq_packed_init(&p, layout, s->bits, s->group, layer->out, layer->in, &why) != 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "%s: %s", layer->name, why.text);
    return 0;
}

static int gptq_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                        struct srq_error *err)
{
    return integers_accept(f, SRQ_PACK_GPTQ_V2, s, layer, err);
}

static int awq_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                       struct srq_error *err)
{
    return integers_accept(f, SRQ_PACK_AWQ, s, layer, err);
}

static int ct_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                      struct srq_error *err)
{
    struct srq_error why = { 0 };
    struct srq_ct ct;

    (void)f;
    if (srq_ct_init(&ct, s, layer->out, layer->in, &why) != 0)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "%s: %s", layer->name, why.text);
    return 0;
}

/* Whether all quantized layers are of this grid, and of these bits (0: of any). */
static bool all_are(const struct srq_export_plan *p, enum srq_grid_kind grid, int bits)
{
    bool all = true;

    for (int i = 0; i < p->layers; i++)
        if (srq_export_quantized(p, i))
            all = all && p->schemes[i].grid == grid && (bits == 0 || p->schemes[i].bits == bits);
    return all;
}

/* Every reader of a GPTQ layout wants g_idx, but that of auto_round's symmetric one. */
static void settle_auto_round(struct srq_export_plan *p)
{
    p->layout = all_are(p, SRQ_GRID_INT_SYM, 0)    ? SRQ_PACK_GPTQ_V1
                : all_are(p, SRQ_GRID_INT_ASYM, 4) ? SRQ_PACK_AWQ
                                                   : SRQ_PACK_GPTQ_V2;
    p->g_idx = p->layout == SRQ_PACK_GPTQ_V2;
}

static void settle_gptq(struct srq_export_plan *p)
{
    p->layout = all_are(p, SRQ_GRID_INT_SYM, 0) ? SRQ_PACK_GPTQ_V1 : SRQ_PACK_GPTQ_V2;
    p->g_idx = true;
}

static void settle_awq(struct srq_export_plan *p)
{
    p->layout = SRQ_PACK_AWQ;
}

#define PACKED_LAYERS \
    .describe = srq_export_packed_describe, .fill = srq_export_packed_fill, .drop = srq_export_packed_drop

static const struct srq_format formats[] = {
    {
        .name = "auto_round",
        .summary = "packed integers for the auto-round loader, vLLM and SGLang",
        .f16_bias = true,
        .config_copy = "quantization_config.json",
        .accepts = gptq_accepts,
        .settle = settle_auto_round,
        PACKED_LAYERS,
        .config = srq_export_auto_round_config,
    },
    {
        .name = "auto_gptq",
        .summary = "packed integers in the GPTQ layout, 2, 3, 4 or 8 bits",
        .f16 = true,
        .config_copy = "quantize_config.json",
        .accepts = gptq_accepts,
        .settle = settle_gptq,
        PACKED_LAYERS,
        .config = srq_export_gptq_config,
    },
    {
        .name = "auto_awq",
        .summary = "packed integers in the AWQ layout, 4 bits, one scheme",
        .uniform = true,
        .f16 = true,
        .accepts = awq_accepts,
        .settle = settle_awq,
        PACKED_LAYERS,
        .config = srq_export_awq_config,
    },
    {
        .name = "compressed-tensors",
        .summary = "4 or 8 bit integers (with quantized activations too), mxfp4, mxfp8, nvfp4 and fp8 for vLLM and "
                   "transformers",
        .accepts = ct_accepts,
        .describe = srq_export_ct_describe,
        .fill = srq_export_ct_fill,
        .drop = srq_export_ct_drop,
        .config = srq_export_ct_config,
    },
    {
        .name = "gguf",
        .summary = "one file for llama.cpp and what is built on it: Q4_0, Q5_0, Q8_0, Q2_K to Q6_K and MXFP4",
        .rounds_embedding = true,
        .accepts = srq_gguf_accepts,
        .holds = srq_gguf_holds,
        .bytes = srq_gguf_bytes,
        .build = srq_gguf_build,
    },
    {
        .name = "int8",
        .summary = "codes a byte of diffusion models, for srqctl sample",
        .accepts = srq_export_int8_accepts,
        .describe = srq_export_int8_describe,
        .fill = srq_export_int8_fill,
        .drop = srq_export_plain_drop,
        .config = srq_export_int8_config,
    },
    {
        .name = "fake",
        .summary = "dequantized weights in the model's own dtype",
        .describe = srq_export_plain_describe,
        .fill = srq_export_plain_fill,
        .drop = srq_export_plain_drop,
    },
};
#define FORMATS ((int)(sizeof(formats) / sizeof(formats[0])))

const struct srq_format *srq_format_at(int i)
{
    return i >= 0 && i < FORMATS ? &formats[i] : NULL;
}

const char *srq_format_name(const struct srq_format *f)
{
    return f->name;
}

const char *srq_format_summary(const struct srq_format *f)
{
    return f->summary;
}

const struct srq_format *srq_format_find(const char *name, struct srq_error *err)
{
    char names[128] = "";
    size_t at = 0;

    for (int i = 0; i < FORMATS; i++) {
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
        at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s",
                               i == 0             ? ""
                               : i == FORMATS - 1 ? " and "
                                                  : ", ",
                               formats[i].name);
    }
    srq_fail_field(err, -SRQ_EINVAL, "formats", "no export format \"%.64s\"; there are %s", name, names);
    return NULL;
}

int srq_format_holds(const struct srq_format *f, const struct srq_model *m, struct srq_error *err)
{
    return f->holds != NULL ? f->holds(m, err) : 0;
}

bool srq_format_rounds_embedding(const struct srq_format *f)
{
    return f->rounds_embedding;
}

bool srq_format_has_words(const struct srq_format *f)
{
    return f->build != NULL;
}

int srq_format_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                       struct srq_error *err)
{
    return s->grid == SRQ_GRID_NONE || f->accepts == NULL ? 0 : f->accepts(f, s, layer, err);
}

/* ---- whole plans ------------------------------------------------------------------------------------------------- */

static bool same_stored(const struct srq_scheme *a, const struct srq_scheme *b)
{
    return a->grid == b->grid &&
           (a->grid == SRQ_GRID_NONE || (a->bits == b->bits && a->group == b->group && a->act_bits == b->act_bits));
}

/* The scheme under which most weights are stored, among layers without a reason against them; the first of equals. */
static bool main_scheme(const struct srq_model *m, const struct srq_scheme *schemes,
                        char (*reason)[SRQ_FORMAT_REASON_MAX], struct srq_scheme *out)
{
    int n = srq_model_layer_count(m);
    int64_t most = 0;

    for (int i = 0; i < n; i++) {
        int64_t covered = 0;

        if (schemes[i].grid == SRQ_GRID_NONE || (reason != NULL && reason[i][0] != '\0'))
            continue;
        for (int j = 0; j < i && covered == 0; j++)
            if (same_stored(&schemes[i], &schemes[j]))
                covered = -1; /* counted when its first layer was met */
        if (covered < 0)
            continue;
        for (int j = i; j < n; j++) {
            const struct srq_layer_info *l = srq_model_layer(m, j);

            if (same_stored(&schemes[i], &schemes[j]) && (reason == NULL || reason[j][0] == '\0'))
                covered += l->out * l->in;
        }
        if (covered > most) {
            most = covered;
            *out = schemes[i];
        }
    }
    return most > 0;
}

static int refused(char (*reason)[SRQ_FORMAT_REASON_MAX], int n)
{
    int count = 0;

    for (int i = 0; i < n; i++)
        count += reason[i][0] != '\0';
    return count;
}

/* Fused layers must be alike; one that is refused takes its partners with it. */
static int refuse_untied(const struct srq_format *f, const struct srq_model *m, const struct srq_scheme *schemes,
                         char (*reason)[SRQ_FORMAT_REASON_MAX])
{
    int n = srq_model_layer_count(m);

    for (int i = 0; i < n; i++) {
        const struct srq_layer_info *a = srq_model_layer(m, i);
        const struct srq_unit_info *u = srq_model_unit(m, a->unit);

        for (int j = u->first; schemes[i].grid != SRQ_GRID_NONE && reason[i][0] == '\0' && j < u->first + u->count;
             j++) {
            const struct srq_layer_info *b = srq_model_layer(m, j);

            if (i == j || !srq_layers_tied(a, b))
                continue;
            if (!same_stored(&schemes[i], &schemes[j]))
                snprintf(reason[i], SRQ_FORMAT_REASON_MAX,
                         "%.80s: runtimes of %.24s fuse it with %.80s, which has another scheme", a->name, f->name,
                         b->name);
            else if (reason[j][0] != '\0')
                snprintf(reason[i], SRQ_FORMAT_REASON_MAX,
                         "%.80s: runtimes of %.24s fuse it with %.80s, which must be left alone", a->name, f->name,
                         b->name);
        }
    }
    return refused(reason, n);
}

int srq_format_plan(const struct srq_format *f, const struct srq_model *m, const struct srq_scheme *schemes,
                    char (*reason)[SRQ_FORMAT_REASON_MAX], struct srq_error *err)
{
    int n = srq_model_layer_count(m);
    struct srq_scheme base;

    (void)err;
    for (int i = 0; i < n; i++) {
        struct srq_error why = { 0 };

        reason[i][0] = '\0';
        if (srq_format_accepts(f, &schemes[i], srq_model_layer(m, i), &why) != 0)
            snprintf(reason[i], SRQ_FORMAT_REASON_MAX, "%.*s", SRQ_FORMAT_REASON_MAX - 1, why.text);
    }
    if (f->config == NULL)
        return refused(reason, n);
    if (f->uniform && main_scheme(m, schemes, reason, &base)) {
        for (int i = 0; i < n; i++) {
            char want[64], got[64];

            if (schemes[i].grid == SRQ_GRID_NONE || reason[i][0] != '\0' || same_stored(&schemes[i], &base))
                continue;
            snprintf(reason[i], SRQ_FORMAT_REASON_MAX,
                     "%.80s: %.24s has one scheme for all layers, here %.24s, not %.24s", srq_model_layer(m, i)->name,
                     f->name, srq_scheme_text(&base, want, sizeof(want)),
                     srq_scheme_text(&schemes[i], got, sizeof(got)));
        }
    }
    return refuse_untied(f, m, schemes, reason);
}

int srq_export_plan_make(struct srq_export_plan *p, const struct srq_model *m, const struct srq_format *f,
                         const struct srq_scheme *schemes, struct srq_error *err)
{
    char(*reason)[SRQ_FORMAT_REASON_MAX];
    int n = srq_model_layer_count(m), rc;

    memset(p, 0, sizeof(*p));
    p->model = m;
    p->format = f;
    p->schemes = schemes;
    p->layers = n;
    reason = srq_calloc((size_t)n + 1, sizeof(*reason));
    if (reason == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory planning an export");
    rc = srq_format_plan(f, m, schemes, reason, err);
    for (int i = 0; i < n && rc > 0; i++)
        if (reason[i][0] != '\0')
            rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, srq_model_layer(m, i)->name, "%s", reason[i]);
    srq_free(reason);
    if (rc != 0)
        return rc;
    for (int i = 0; i < n; i++)
        p->quantized += srq_export_quantized(p, i);
    if (f->config != NULL && !main_scheme(m, schemes, NULL, &p->base))
        return srq_fail(err, -SRQ_EINVAL, "no layer is quantized: there is nothing to write as %s", f->name);
    if (f->settle != NULL)
        f->settle(p);
    return 0;
}
