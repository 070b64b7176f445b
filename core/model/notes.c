/* What a folder holds that does not fit together, or more than its family uses: said, with what is done about it. */
#include "core/model/internal.h"
#include "core/model/export.h"
#include "core/model/unet.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/fs.h"

#include <stdlib.h>
#include <strings.h>

#define SAMPLES 64 /* rows compared where two tensors should be one: enough to tell, and quick for any size */
#define NOTES_MAX 16

static int add(struct srq_model *m, struct srq_error *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int add(struct srq_model *m, struct srq_error *err, const char *fmt, ...)
{
    char text[1000];
    va_list ap;

    if (m->notes == NULL)
        m->notes = srq_calloc(NOTES_MAX, sizeof(*m->notes));
    if (m->notes == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory looking at %s", m->info.path);
    if (m->note_count == NOTES_MAX)
        return 0;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    m->notes[m->note_count] = srq_strdup(text);
    if (m->notes[m->note_count] == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory looking at %s", m->info.path);
    m->note_count++;
    return 0;
}

/* ---- config.json ------------------------------------------------------------------------------------------------- */

/* Whether both are there and differ. */
static bool differ(const json_t *a, const json_t *b)
{
    if (a == NULL || b == NULL || json_is_null(a) || json_is_null(b))
        return false;
    return json_is_number(a) && json_is_number(b) ? json_number_value(a) != json_number_value(b) : !json_equal(a, b);
}

static int look_at_rope(struct srq_model *m, const json_t *config, struct srq_error *err)
{
    const json_t *top = json_object_get(config, "rope_theta"), *scaling = json_object_get(config, "rope_scaling");
    const json_t *parameters = json_object_get(config, "rope_parameters");
    bool old = json_object_size(scaling) > 0;
    const char *context = "original_max_position_embeddings", *used = old ? "rope_scaling" : "rope_parameters";
    const json_t *in = old ? scaling : parameters, *type = json_object_get(in, "rope_type");
    int rc = 0;

    if (old && json_object_size(parameters) > 0 && !json_equal(scaling, parameters))
        rc = add(m, err, "config.json has a rope_scaling and another rope_parameters: rope_scaling is used");
    if (rc == 0 && differ(top, json_object_get(in, "rope_theta")))
        rc = add(m, err, "config.json has rope_theta %g and %s.rope_theta %g: the latter is used",
                 json_number_value(top), used, json_number_value(json_object_get(in, "rope_theta")));
    if (rc == 0 && differ(json_object_get(config, context), json_object_get(in, context)))
        rc = add(m, err, "config.json has %s %g and %s.%s %g: the former is used", context,
                 json_number_value(json_object_get(config, context)), used, context,
                 json_number_value(json_object_get(in, context)));
    if (rc == 0 && differ(type, json_object_get(in, "type")))
        rc = add(m, err, "config.json has %s.rope_type \"%.60s\" and %s.type \"%.60s\": the former is used", used,
                 json_string_value(type), used,
                 json_is_string(json_object_get(in, "type")) ? json_string_value(json_object_get(in, "type")) : "?");
    return rc;
}

/* Keys that say the same thing twice, of which one is used. */
static int look_at_config(struct srq_model *m, const json_t *config, struct srq_error *err)
{
    const char *type = m->family->model_type, *class = m->config.architecture;
    const json_t *dtype = json_object_get(config, "dtype"), *torch = json_object_get(config, "torch_dtype");
    size_t len = strlen(type);
    int rc = look_at_rope(m, config, err);

    if (rc == 0 && class[0] != '\0' && (strncasecmp(class, type, len) != 0 || strcmp(class + len, "ForCausalLM") != 0))
        rc = add(
            m, err,
            "config.json has model_type %s and architectures \"%.100s\": it is computed as %s's language model, with a "
            "head over its vocabulary",
            type, class, type);
    if (rc == 0 && differ(dtype, torch) && json_is_string(dtype) && json_is_string(torch))
        rc = add(
            m, err,
            "config.json has dtype \"%.60s\" and torch_dtype \"%.60s\": neither is used, but what tensors are stored "
            "as",
            json_string_value(dtype), json_string_value(torch));
    if (rc == 0 && json_is_string(json_object_get(config, "_class_name")))
        rc = add(m, err, "config.json has model_type %s and _class_name \"%.60s\": the former is used", type,
                 json_string_value(json_object_get(config, "_class_name")));
    return rc;
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static bool seem_equal(const struct srq_tensor *a, const struct srq_tensor *b)
{
    size_t row;

    if (a->dtype != b->dtype || a->rank != 2 || b->rank != 2 || a->shape[0] != b->shape[0] ||
        a->shape[1] != b->shape[1])
        return false;
    row = (size_t)a->shape[1] * srq_dtype_size(a->dtype);
    for (int64_t i = 0; i < SAMPLES; i++) {
        size_t at = (size_t)(i * (a->shape[0] - 1) / (SAMPLES - 1)) * row;

        if (memcmp((const char *)a->data + at, (const char *)b->data + at, row) != 0)
            return false;
    }
    return true;
}

/* The tensor of a packed head; NULL: there is none. */
static const char *packed_head(const struct srq_model *m)
{
    const char *suffix;
    struct srq_tensor t;

    for (int i = 0; m->quantized != NULL && (suffix = srq_quantized_suffix(m->quantized, i)) != NULL; i++) {
        char name[SRQ_NAME_CAP];

        snprintf(name, sizeof(name), "%s.%s", m->family->head, suffix);
        if (strcmp(suffix, "weight") != 0 && srq_tensors_describe(m->tensors, name, &t))
            return suffix;
    }
    return NULL;
}

static int look_at_head(struct srq_model *m, struct srq_error *err)
{
    const struct srq_family *f = m->family;
    const char *packed = packed_head(m), *export = m->quantized == NULL ? " nor carried along" : "";
    struct srq_tensor head, embed;
    bool stored = srq_model_module_tensor(m, f->head, &head);

    if (m->config.tied && packed != NULL)
        return add(m, err,
                   "there is a tensor %s.%s, but config.json ties the head to %s.weight (tie_word_embeddings): the "
                   "stored head "
                   "is not used; to use it, tie_word_embeddings must be false",
                   f->head, packed, f->embed);
    if (m->config.tied && stored && srq_model_module_tensor(m, f->embed, &embed) && !seem_equal(&head, &embed))
        return add(m, err,
                   "%s.weight has other values than %s.weight, but config.json ties them (tie_word_embeddings): the "
                   "stored head is not used%s; to use it, tie_word_embeddings must be false",
                   f->head, f->embed, export);
    if (!m->config.tied && m->info.tied_head)
        return add(m, err,
                   "there is no %s.weight, though config.json does not tie it to the embedding: %s.weight is used",
                   f->head, f->embed);
    return 0;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

struct names {
    char **name;
    size_t count, cap;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool take(struct names *n, char *name)
{
    if (name == NULL || n->count == n->cap) {
        srq_free(name);
        return false;
    }
    n->name[n->count++] = name;
    return true;
}

static void names_fini(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        srq_free(n->name[i]);
    srq_free(n->name);
}

/* Names of all that the family loads. */
static bool expected_names(const struct srq_model *m, struct names *n)
{
    const struct srq_family *f = m->family;
    size_t vectors = 0, suffixes = 0;
    bool ok;

    while (m->quantized != NULL && srq_quantized_suffix(m->quantized, (int)suffixes) != NULL)
        suffixes++;
    for (int u = 0; u < m->info.blocks; u++)
        vectors += (size_t)m->units[u].kind->vector_count;
    n->count = 0;
    n->cap = (2 + suffixes) * (size_t)m->layer_count + vectors + suffixes + 4;
    n->name = srq_calloc(n->cap, sizeof(*n->name));
    ok = n->name != NULL;
    if (ok && !m->info.pictures)
        ok = take(n, srq_asprintf("%s.weight", f->embed)) && take(n, srq_asprintf("%s.weight", f->norm)) &&
             take(n, srq_asprintf("%s.weight", f->head));
    for (int k = 0; ok && !m->info.pictures && k < (int)suffixes; k++)
        ok = take(n, srq_asprintf("%s.%s", f->head, srq_quantized_suffix(m->quantized, k)));
    if (ok && m->config.unet != NULL && m->config.unet->classes > 0)
        ok = take(n, srq_strdup(SRQ_UNET_CLASS_TABLE));
    for (int i = 0; ok && i < m->layer_count; i++) {
        ok = take(n, srq_asprintf("%s.weight", m->layers[i].info.name));
        if (ok && m->layers[i].info.has_bias)
            ok = take(n, srq_asprintf("%s.bias", m->layers[i].info.name));
        for (int k = 0; ok && m->layers[i].packed && k < (int)suffixes; k++)
            ok = take(n, srq_asprintf("%s.%s", m->layers[i].info.name, srq_quantized_suffix(m->quantized, k)));
    }
    for (int u = 0; ok && u < m->info.blocks; u++) {
        for (int i = 0; ok && i < m->units[u].kind->vector_count; i++) {
            char name[SRQ_NAME_CAP];
            const struct srq_vector_row *v = &m->units[u].kind->vectors[i];

            srq_model_block_name(m, u, v->module, srq_vector_suffix(v), name);
            ok = take(n, srq_strdup(name));
        }
    }
    if (ok)
        qsort(n->name, n->count, sizeof(*n->name), by_text);
    return ok;
}

/* Tables that older checkpoints store beside the weights and that everybody computes. */
static bool is_computed(const char *name)
{
    static const char *const ends[] = { "rotary_emb.inv_freq", "attn.masked_bias" };
    size_t len = strlen(name);

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size_t n = strlen(ends[i]);

        if (len >= n && strcmp(name + len - n, ends[i]) == 0)
            return true;
    }
    return false;
}

static int look_at_tensors(struct srq_model *m, struct srq_error *err)
{
    const char *first = NULL, *done = m->quantized == NULL ? "carried along and not used" : "not used";
    struct names known = { 0 };
    int64_t surplus = 0;
    int rc = expected_names(m, &known) ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory looking at %s", m->info.path);

    for (int64_t i = 0; rc == 0 && i < srq_tensors_count(m->tensors); i++) {
        const char *name = srq_tensors_name(m->tensors, i);

        if (bsearch(&name, known.name, known.count, sizeof(*known.name), by_text) != NULL || is_computed(name))
            continue;
        first = first != NULL ? first : name;
        surplus++;
    }
    names_fini(&known);
    if (rc == 0 && surplus == 1)
        rc = add(m, err, "tensor %.200s is nothing that a %s model of this config.json has: it is %s", first,
                 m->info.family, done);
    else if (rc == 0 && surplus > 1)
        rc = add(m, err, "tensor %.200s and %lld more are nothing that a %s model of this config.json has: they are %s",
                 first, (long long)surplus - 1, m->info.family, done);
    return rc;
}

/* As diffusers does: what it does not know it leaves alone. */
static int look_at_keys(struct srq_model *m, struct srq_error *err)
{
    const struct srq_unet *u = m->config.unet;

    return u == NULL || u->unknown[0] == '\0'
               ? 0
               : add(m, err, "config.json: nothing is known of \"%s\", which was not looked at", u->unknown);
}

/* Files beside the weights that are links to nothing. */
static int look_at_links(struct srq_model *m, struct srq_error *err)
{
    const char *name;
    int rc = 0;

    for (int i = 0; rc == 0 && (name = srq_export_carried_name(m, i)) != NULL; i++) {
        char *path = srq_path_join(m->info.folder, name), *target = path != NULL ? srq_dangling_link(path) : NULL;

        if (target != NULL)
            rc = add(m, err, "%s is a link to %.300s, which is not there: it is not carried along", name, target);
        srq_free(target);
        srq_free(path);
    }
    return rc;
}

/* What loaders would add to the weights. */
static int look_at_adapters(struct srq_model *m, struct srq_error *err)
{
    static const char *const names[] = { "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = srq_path_join(m->info.network, names[i]);
        bool there = path != NULL && srq_path_exists(path);

        srq_free(path);
        if (there)
            return add(m, err, "%s beside the weights is not read: the model is computed without that adapter",
                       names[i]);
    }
    return 0;
}

int srq_model_take_notes(struct srq_model *m, const json_t *config, struct srq_error *err)
{
    const char *said;
    int rc = 0;

    for (int i = 0; rc == 0 && (said = srq_tensors_note(m->tensors, i)) != NULL; i++)
        rc = add(m, err, "%s", said);
    if (rc == 0 && m->gguf_note != NULL)
        rc = add(m, err, "%s", m->gguf_note);
    if (rc == 0)
        rc = m->info.pictures ? look_at_keys(m, err) : look_at_config(m, config, err);
    if (rc == 0 && !m->info.pictures)
        rc = look_at_head(m, err);
    if (rc == 0)
        rc = look_at_tensors(m, err);
    if (rc == 0)
        rc = look_at_adapters(m, err);
    return rc == 0 ? look_at_links(m, err) : rc;
}

void srq_model_drop_notes(struct srq_model *m)
{
    for (int i = 0; i < m->note_count; i++)
        srq_free(m->notes[i]);
    srq_free(m->notes);
    m->notes = NULL;
    m->note_count = 0;
}

const char *srq_model_note(const struct srq_model *m, int i)
{
    return i >= 0 && i < m->note_count ? m->notes[i] : NULL;
}
