/* Opening a model folder: configuration, layer table, every expected tensor checked for presence, dtype and shape. */
#include "core/model/import_gguf.h"
#include "core/model/internal.h"
#include "core/model/unet.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/json.h"

#include <sys/stat.h>

static int no_memory(const char *path, struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory opening model %s", path);
}

/* ---- expected tensors -------------------------------------------------------------------------------------------- */

static bool weight_dtype(enum srq_dtype d)
{
    return d == SRQ_F32 || d == SRQ_F16 || d == SRQ_BF16;
}

/* The tensor `name` with exactly this shape and a dtype that srq computes with; its data are not touched. */
static int expect(const struct srq_model *m, const char *name, int rank, const int64_t *shape, struct srq_tensor *out,
                  struct srq_error *err)
{
    struct srq_tensor want = srq_tensor_make(NULL, SRQ_F32, rank, shape), t;
    char have_text[96], want_text[96];

    if (!srq_tensors_describe(m->tensors, name, &t))
        return srq_fail_field(err, -SRQ_EFORMAT, name, "tensor %s is missing from %s; a %s model has it", name,
                              m->info.path, m->family->model_type);
    if (t.rank != rank || memcmp(t.shape, shape, (size_t)rank * sizeof(*shape)) != 0)
        return srq_fail_field(err, -SRQ_EFORMAT, name, "tensor %s has shape %s; config.json makes it %s", name,
                              srq_tensor_shape_text(&t, have_text, sizeof(have_text)),
                              srq_tensor_shape_text(&want, want_text, sizeof(want_text)));
    if (!weight_dtype(t.dtype))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, name, "tensor %s is %s; weights must be F32, F16 or BF16", name,
                              srq_dtype_name(t.dtype));
    *out = t;
    return 0;
}

void srq_model_block_name(const struct srq_model *m, int unit, const char *module, const char *suffix,
                          char out[SRQ_NAME_CAP])
{
    const char *tensors = m->units[unit].tensors;

    snprintf(out, SRQ_NAME_CAP, "%s%s%s%s%s", tensors, tensors[0] != '\0' ? "." : "", module,
             suffix[0] != '\0' ? "." : "", suffix);
}

bool srq_model_find(const struct srq_model *m, const char *name, struct srq_tensor *out)
{
    return (m->replaced != NULL && srq_tensors_get(m->replaced, name, out)) || srq_tensors_get(m->tensors, name, out);
}

bool srq_model_block_tensor(const struct srq_model *m, int unit, const char *module, const char *suffix,
                            struct srq_tensor *out)
{
    char name[SRQ_NAME_CAP];

    srq_model_block_name(m, unit, module, suffix, name);
    return srq_model_find(m, name, out);
}

bool srq_model_module_tensor(const struct srq_model *m, const char *module, struct srq_tensor *out)
{
    char name[SRQ_NAME_CAP];

    snprintf(name, sizeof(name), "%s.weight", module);
    return srq_model_find(m, name, out);
}

bool srq_model_head_tensor(const struct srq_model *m, struct srq_tensor *out)
{
    if (m->info.tied_head)
        return srq_model_module_tensor(m, m->family->embed, out);
    return !m->layers[m->layer_count - 1].packed && srq_model_module_tensor(m, m->family->head, out);
}

/* Fills the entry's storage: a packed weight where the folder is quantized and has one, else a plain tensor. */
static int expect_weight(struct srq_model *m, struct srq_layer_entry *e, struct srq_error *err)
{
    int64_t k = e->info.kernel > 0 ? e->info.kernel : 1;
    const int64_t shape[4] = { e->info.out, e->info.in / (k * k), k, k };
    struct srq_tensor t;
    char name[SRQ_NAME_CAP];
    int rc;

    if (m->quantized != NULL) {
        rc = srq_quantized_has(m->quantized, e->info.name, e->info.out, e->info.in, err);
        if (rc < 0)
            return rc;
        e->packed = rc > 0;
        if (e->packed && (rc = srq_quantized_inputs(m->quantized, e->info.name, &e->inputs, err)) < 0)
            return rc;
        m->info.rounds_inputs = m->info.rounds_inputs || srq_scheme_has_act(&e->inputs);
    }
    if (e->packed) {
        e->info.dtype = m->info.pictures ? SRQ_F32 : m->embed_dtype;
        return 0;
    }
    snprintf(name, sizeof(name), "%s.weight", e->info.name);
    rc = expect(m, name, e->info.kernel > 0 ? 4 : 2, shape, &t, err);
    if (rc == 0)
        e->info.dtype = t.dtype;
    return rc;
}

/* A layer of a unit, behind the layers that the unit has; its shape is in `info`. */
static int add_layer(struct srq_model *m, int unit, const char *name, const struct srq_layer_info *info,
                     struct srq_error *err)
{
    struct srq_layer_entry *e = &m->layers[m->layer_count];
    struct srq_unit_info *u = &m->units[unit].info;

    e->info = *info;
    e->info.name = srq_strdup(name);
    e->info.unit = unit;
    e->info.picture = m->info.pictures;
    e->info.block = u->kind == SRQ_UNIT_BLOCK ? unit : -1;
    e->info.tie = -1;
    e->made_by = e->makes = -1;
    if (e->info.name == NULL)
        return no_memory(m->info.path, err);
    for (int i = u->first; info->tie_name != NULL && e->info.tie < 0 && i <= m->layer_count; i++)
        if (m->layers[i].info.tie_name != NULL && strcmp(m->layers[i].info.tie_name, info->tie_name) == 0)
            e->info.tie = i; /* the first of them, perhaps this one */
    m->layer_count++;
    u->count++;
    return expect_weight(m, e, err);
}

/* Under the name that the checkpoint has for it. */
static const char *module_of(const struct srq_model *m, int block, const struct srq_linear_row *row)
{
    struct srq_tensor t;
    char name[SRQ_NAME_CAP];

    srq_model_block_name(m, block, row->module, "weight", name);
    if (row->legacy == NULL || srq_tensors_describe(m->tensors, name, &t))
        return row->module;
    srq_model_block_name(m, block, row->legacy, "weight", name);
    return srq_tensors_describe(m->tensors, name, &t) ? row->legacy : row->module;
}

static int add_block(struct srq_model *m, int block, struct srq_error *err)
{
    const struct srq_block_kind *k = m->units[block].kind;
    struct srq_tensor t;
    char name[SRQ_NAME_CAP];
    int rc;

    for (int i = 0; i < k->linear_count; i++) {
        const struct srq_linear_row *row = &k->linears[i];
        const struct srq_layer_info info = { .module = module_of(m, block, row),
                                             .kernel = row->kernel,
                                             .edge = row->edge,
                                             .split = row->split,
                                             .tie_name = row->tie,
                                             .out = srq_config_dim(&m->config, row->out),
                                             .in = srq_config_dim(&m->config, row->in),
                                             .has_bias = srq_config_bias(&m->config, row->bias) };

        srq_model_block_name(m, block, info.module, "", name);
        if ((rc = add_layer(m, block, name, &info, err)) != 0)
            return rc;
        srq_model_block_name(m, block, info.module, "bias", name);
        if (info.has_bias && (rc = expect(m, name, 1, &info.out, &t, err)) != 0)
            return rc;
    }
    for (int i = 0; i < k->vector_count; i++) {
        int64_t dim = srq_config_dim(&m->config, k->vectors[i].dim);

        srq_model_block_name(m, block, k->vectors[i].module, srq_vector_suffix(&k->vectors[i]), name);
        if ((rc = expect(m, name, 1, &dim, &t, err)) != 0)
            return rc;
    }
    return 0;
}

/* Embedding, final norm and head. A head that is stored though tied is ignored; one that is absent though not tied is
 * the embedding (spec formats 2.2). */
static int add_outside(struct srq_model *m, struct srq_error *err)
{
    const struct srq_family *f = m->family;
    const struct srq_config *c = &m->config;
    const int64_t table[2] = { c->vocab, c->hidden };
    const struct srq_layer_info head = { .module = f->head, .out = c->vocab, .in = c->hidden };
    struct srq_tensor t;
    char name[SRQ_NAME_CAP];
    int rc;

    snprintf(name, sizeof(name), "%s.weight", f->norm);
    if ((rc = expect(m, name, 1, &c->hidden, &t, err)) != 0)
        return rc;
    snprintf(name, sizeof(name), "%s.weight", f->head);
    m->info.tied_head = c->tied;
    if (!c->tied && !srq_tensors_describe(m->tensors, name, &t)) {
        rc = m->quantized != NULL ? srq_quantized_has(m->quantized, f->head, table[0], table[1], err) : 0;
        if (rc < 0)
            return rc;
        m->info.tied_head = rc == 0;
    }
    return m->info.tied_head ? 0 : add_layer(m, m->unit_count - 1, f->head, &head, err);
}

static int expect_embedding(struct srq_model *m, struct srq_error *err)
{
    const int64_t table[2] = { m->config.vocab, m->config.hidden };
    struct srq_tensor t = { 0 };
    char name[SRQ_NAME_CAP];
    int rc;

    snprintf(name, sizeof(name), "%s.weight", m->family->embed);
    rc = expect(m, name, 2, table, &t, err);
    if (rc == 0)
        m->embed_dtype = t.dtype;
    return rc;
}

static int build_table(struct srq_model *m, struct srq_error *err)
{
    size_t layers = 1;
    int rc = srq_units_build(m, err);

    if (rc != 0)
        return rc;
    for (int u = 0; u < m->info.blocks; u++)
        layers += (size_t)m->units[u].kind->linear_count;
    m->layers = srq_calloc(layers, sizeof(*m->layers));
    if (m->layers == NULL)
        return no_memory(m->info.path, err);
    if (!m->info.pictures && (rc = expect_embedding(m, err)) != 0)
        return rc;
    for (int b = 0; b < m->info.blocks; b++) {
        m->units[b].info.first = m->layer_count;
        if ((rc = add_block(m, b, err)) != 0)
            return rc;
    }
    if (!m->info.pictures)
        m->units[m->unit_count - 1].info.first = m->layer_count;
    srq_units_compare(m);
    return m->info.pictures ? 0 : add_outside(m, err);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool add_elements(int64_t *sum, int64_t n)
{
    return n >= 0 && !__builtin_add_overflow(*sum, n, sum);
}

/* Elements of all tensors; of packed layers those that their codes stand for. */
static bool count_parameters(const struct srq_model *m, int64_t *sum)
{
    const char *suffix;
    struct srq_tensor t;
    bool ok = true;

    *sum = 0;
    for (int64_t i = 0; ok && i < srq_tensors_count(m->tensors); i++)
        ok = srq_tensors_describe(m->tensors, srq_tensors_name(m->tensors, i), &t) &&
             add_elements(sum, srq_tensor_count(&t));
    for (int l = 0; ok && l < m->layer_count; l++) {
        const struct srq_layer_info *info = &m->layers[l].info;

        if (!m->layers[l].packed)
            continue;
        for (int k = 0; (suffix = srq_quantized_suffix(m->quantized, k)) != NULL; k++) {
            char name[SRQ_NAME_CAP];

            snprintf(name, sizeof(name), "%s.%s", info->name, suffix);
            if (srq_tensors_describe(m->tensors, name, &t))
                *sum -= srq_tensor_count(&t);
        }
        ok = add_elements(sum, info->out * info->in);
    }
    return ok;
}

static int fill_info(struct srq_model *m, struct srq_error *err)
{
    const struct srq_config *c = &m->config;
    struct srq_model_info *info = &m->info;

    info->network = m->weights != NULL ? m->weights : info->folder;
    info->family = m->family->model_type;
    info->architecture = c->architecture;
    info->hidden = c->hidden;
    info->intermediate = c->intermediate;
    info->heads = c->heads;
    info->kv_heads = c->kv_heads;
    info->head_dim = c->head_dim;
    info->vocab = c->vocab;
    info->max_positions = c->max_positions;
    info->rms_eps = c->eps;
    info->dtype = m->layers[0].info.dtype;
    info->bytes = srq_tensors_bytes(m->tensors);
    return count_parameters(m, &info->parameters)
               ? 0
               : srq_fail(err, -SRQ_EFORMAT, "%s: the number of parameters overflows", info->path);
}

bool srq_model_has_config(const char *dir)
{
    static const char *const marks[] = { "config.json", "model_index.json" };
    bool found = false;

    for (size_t i = 0; !found && i < sizeof(marks) / sizeof(marks[0]); i++) {
        char *file = srq_path_join(dir, marks[i]);

        found = file != NULL && srq_path_exists(file);
        srq_free(file);
    }
    return found;
}

/* config.json, with the folder's own kind of error where there is none; of a diffusers folder that of its network,
 * where `*weights` (the caller's) becomes the folder that holds it. */
static int read_json(const char *path, char **weights, json_t **out, struct srq_error *err)
{
    struct stat st;
    char *name;
    int rc = srq_diffusers_network(path, weights, err);

    if (rc != 0)
        return rc;
    path = *weights != NULL ? *weights : path;

    if (stat(path, &st) != 0)
        return srq_fail_field(err, -SRQ_ENOENT, "model", "there is no model folder %s", path);
    if (srq_file_is_lfs_pointer(path))
        return srq_fail_field(err, -SRQ_EFORMAT, "model", SRQ_LFS_SENTENCE, path);
    if (!S_ISDIR(st.st_mode))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model",
                              "%s is not a folder with a config.json, nor a GGUF file, nor an archive of "
                              "one (.tar, .tar.gz, .tar.zst, .zip)",
                              path);
    name = srq_path_join(path, "config.json");
    if (name == NULL)
        return no_memory(path, err);
    rc = srq_refuse_dangling(name, err);
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "model");
    else if (rc == 0 && !srq_path_exists(name))
        rc = srq_fail_field(err, -SRQ_EFORMAT, "model", "%s has no config.json: it is not a model folder", path);
    else if (rc == 0)
        rc = srq_json_read(name, SRQ_JSON_CONFIG_MAX, out, err);
    srq_free(name);
    return rc;
}

/* The tensors of the folder, and of the file that it was made of. */
static int open_tensors(struct srq_model *m, struct srq_error *err)
{
    int rc = srq_tensors_open(m->weights != NULL ? m->weights : m->info.folder, &m->tensors, err);

    return rc == 0 && m->unpacked.gguf != NULL ? srq_gguf_add_tensors(m->unpacked.gguf, m->tensors, &m->gguf_note, err)
                                               : rc;
}

static int open_quantized(struct srq_model *m, const json_t *config, bool plain_only, struct srq_error *err)
{
    const json_t *q = json_object_get(config, "quantization_config"), *method;
    int rc;

    if (q == NULL || json_is_null(q))
        return 0;
    method = json_object_get(q, "quant_method");
    if (!json_is_string(method))
        return srq_fail_field(err, -SRQ_EFORMAT, "quantization_config",
                              "config.json: quantization_config.quant_method: a string is due");
    if (plain_only)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "quantization_config",
                              "%s is already quantized (quant_method %.60s); give the original model", m->info.path,
                              json_string_value(method));
    rc = srq_quantized_open(q, m->tensors, &m->quantized, err);
    if (rc == 0)
        m->info.quantized = srq_quantized_method(m->quantized);
    return rc;
}

int srq_model_open(const char *path, bool plain_only, struct srq_model **out, struct srq_error *err)
{
    struct srq_model *m = srq_calloc(1, sizeof(*m));
    json_t *config = NULL;
    int rc;

    *out = NULL;
    if (m == NULL || (m->info.path = srq_strdup(path)) == NULL) {
        srq_free(m);
        return no_memory(path, err);
    }
    m->embedding = srq_scheme_none();
    if ((rc = srq_model_unpack(path, &m->unpacked, err)) != 0 ||
        (m->info.folder = m->unpacked.folder != NULL ? m->unpacked.folder : m->info.path,
         rc = read_json(m->info.folder, &m->weights, &config, err)) != 0 ||
        (rc = srq_config_read(config, &m->family, &m->config, err)) != 0 || (rc = open_tensors(m, err)) != 0 ||
        (rc = open_quantized(m, config, plain_only, err)) != 0 ||
        (m->info.pictures = m->family->head == NULL, rc = build_table(m, err)) != 0 || (rc = fill_info(m, err)) != 0 ||
        (rc = srq_unet_check_classes(m, err)) != 0 || (rc = srq_pairs_build(m, err)) != 0 ||
        (rc = srq_model_take_notes(m, config, err)) != 0) {
        srq_model_close(m);
        m = NULL;
    }
    json_decref(config);
    *out = m;
    return rc;
}

int srq_model_replace(struct srq_model *m, const char *path, struct srq_error *err)
{
    struct srq_tensors *t;
    int rc = srq_tensors_open(path, &t, err);

    for (int64_t i = 0; rc == 0 && i < srq_tensors_count(t); i++) {
        const char *name = srq_tensors_name(t, i);
        struct srq_tensor is, was;

        if (srq_tensors_describe(t, name, &is) && srq_tensors_describe(m->tensors, name, &was) &&
            (!weight_dtype(is.dtype) || srq_tensor_count(&is) != srq_tensor_count(&was)))
            rc = srq_fail_field(err, -SRQ_EFORMAT, name, "%s: tensor %s is not of the model's shape", path, name);
    }
    if (rc != 0) {
        srq_tensors_close(t);
        return rc;
    }
    srq_tensors_close(m->replaced);
    m->replaced = t;
    return 0;
}

void srq_model_close(struct srq_model *m)
{
    if (m == NULL)
        return;
    srq_model_unfold(m);
    srq_pairs_fini(m);
    srq_model_drop_notes(m);
    for (int i = 0; i < m->layer_count; i++)
        srq_free((char *)(uintptr_t)m->layers[i].info.name);
    srq_free(m->layers);
    srq_units_fini(m);
    srq_quantized_close(m->quantized);
    srq_tensors_close(m->tensors);
    srq_tensors_close(m->replaced);
    srq_config_fini(&m->config);
    srq_free(m->weights);
    srq_unpacked_fini(&m->unpacked);
    srq_free(m->gguf_note);
    srq_free(m->embedding_weights);
    srq_free((char *)(uintptr_t)m->info.path);
    srq_free(m);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

const struct srq_model_info *srq_model_info(const struct srq_model *m)
{
    return &m->info;
}

int srq_model_layer_count(const struct srq_model *m)
{
    return m->layer_count;
}

const struct srq_layer_info *srq_model_layer(const struct srq_model *m, int i)
{
    return i >= 0 && i < m->layer_count ? &m->layers[i].info : NULL;
}

const struct srq_scheme *srq_model_inputs(const struct srq_model *m, int layer)
{
    return srq_scheme_has_act(&m->layers[layer].inputs) ? &m->layers[layer].inputs : NULL;
}

const struct srq_tensors *srq_model_tensors(const struct srq_model *m)
{
    return m->tensors;
}

int srq_model_weight(const struct srq_model *m, int layer, struct srq_tensor *out, struct srq_error *err)
{
    const char *name = m->layers[layer].info.name;

    if (m->layers[layer].packed)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, name, "layer %s is stored packed: it has no plain weight", name);
    if (!srq_model_module_tensor(m, name, out))
        return srq_fail_field(err, -SRQ_ENOENT, name, "tensor %s.weight is missing from %s", name, m->info.path);
    *out = srq_tensor_2d(out->data, out->dtype, m->layers[layer].info.out, m->layers[layer].info.in);
    return srq_fold_changes(m, layer) ? srq_fold_weight(m, layer, out, out, err) : 0;
}

/* Of a tensor that may be absent: a bias, a packed weight. */
static int check_finite(const struct srq_model *m, const char *name, struct srq_error *err)
{
    struct srq_tensor t;
    int64_t at;

    if (!srq_model_find(m, name, &t))
        return 0;
    at = srq_tensor_first_nonfinite(&t);
    srq_tensors_release(m->tensors, &t);
    if (at < 0)
        return 0;
    return srq_fail_field(err, -SRQ_ENUMERIC, name, "tensor %s has NaN or Inf at element %lld", name, (long long)at);
}

static int check_block_finite(const struct srq_model *m, int b, struct srq_error *err)
{
    const struct srq_block_kind *k = m->units[b].kind;
    char name[SRQ_NAME_CAP];
    int rc = 0;

    for (int i = 0; rc == 0 && i < k->linear_count; i++) {
        const struct srq_layer_info *l = &m->layers[m->units[b].info.first + i].info;

        srq_model_block_name(m, b, l->module, "weight", name);
        rc = check_finite(m, name, err);
        srq_model_block_name(m, b, l->module, "bias", name);
        if (rc == 0 && l->has_bias)
            rc = check_finite(m, name, err);
    }
    for (int i = 0; rc == 0 && i < k->vector_count; i++) {
        srq_model_block_name(m, b, k->vectors[i].module, srq_vector_suffix(&k->vectors[i]), name);
        rc = check_finite(m, name, err);
    }
    return rc;
}

int srq_model_check_finite(const struct srq_model *m, int unit, struct srq_error *err)
{
    const char *const outside[] = { m->family->embed, m->family->norm, m->family->head };
    int count = m->info.tied_head ? 2 : 3, rc = 0;
    char name[SRQ_NAME_CAP];

    if (m->units[unit].kind != NULL)
        return check_block_finite(m, unit, err);
    for (int i = 0; rc == 0 && i < count; i++) {
        snprintf(name, sizeof(name), "%s.weight", outside[i]);
        rc = check_finite(m, name, err);
    }
    return rc;
}
