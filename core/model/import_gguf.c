/* The tensors of a GGUF file under the names of a model folder, and the folder that is made beside it. */
#include "core/model/import_gguf.h"

#include "core/base/alloc.h"
#include "core/base/ends.h"
#include "core/grid/pack_gguf.h"
#include "core/model/import_gguf_parts.h"
#include "core/model/save_json.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "GGUF"
#define SUFFIX_MAX 16 /* of a type's name */

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static bool begins_as_gguf(const char *path)
{
    char begin[4];
    struct stat st;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rbe") : NULL;
    bool yes = f != NULL && fread(begin, 1, sizeof(begin), f) == sizeof(begin) && memcmp(begin, MAGIC, 4) == 0;

    if (f != NULL)
        fclose(f);
    return yes;
}

static int find_in(const char *dir, char **out, struct srq_error *err)
{
    DIR *d = opendir(dir);
    int found = 0;

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char *path = srq_ends_with(e->d_name, ".gguf") ? srq_path_join(dir, e->d_name) : NULL;

        if (path != NULL && begins_as_gguf(path) && ++found == 1) {
            *out = path;
            path = NULL;
        }
        srq_free(path);
    }
    if (d != NULL)
        closedir(d);
    if (found < 2)
        return 0;
    srq_free(*out);
    *out = NULL;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model", "%s holds %d GGUF files: give one of them", dir, found);
}

int srq_gguf_find(const char *path, char **out, struct srq_error *err)
{
    struct stat st;

    *out = NULL;
    if (stat(path, &st) != 0)
        return 0;
    if (S_ISDIR(st.st_mode))
        return srq_model_has_config(path) ? 0 : find_in(path, out, err);
    if (!begins_as_gguf(path))
        return 0;
    *out = srq_strdup(path);
    return *out != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", path);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

const char *srq_gguf_arch_key(struct srq_gguf_import *m, const char *name)
{
    snprintf(m->key, sizeof(m->key), "%s.%s", m->arch->name, name);
    return m->key;
}

const struct srq_gguf_tensor *srq_gguf_tensor_named(const struct srq_gguf *g, const char *name)
{
    for (int64_t i = 0; i < srq_gguf_count(g); i++)
        if (strcmp(srq_gguf_tensor(g, i)->name, name) == 0)
            return srq_gguf_tensor(g, i);
    return NULL;
}

static int find_arch(struct srq_gguf_import *m, struct srq_error *err)
{
    struct srq_gguf_text name = { "", 0 };
    char known[128];
    int64_t parts = 1;
    int rc = srq_gguf_read_text(m->g, "general.architecture", true, &name, err);

    if (rc == 0)
        rc = srq_gguf_read_int(m->g, "split.count", false, &parts, err);
    if (rc != 0)
        return rc;
    if (parts > 1)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "split.count",
                              "%s is one of %" PRId64 " parts of a model: merge them first (llama-gguf-split --merge)",
                              m->file, parts);
    m->arch = srq_gguf_arch_named(name.text, name.len);
    if (m->arch == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "general.architecture",
                              "%s: general.architecture \"%.*s\" is not one that srq knows (%s)", m->file,
                              (int)(name.len < 60 ? name.len : 60), name.text,
                              srq_gguf_arch_names(known, sizeof(known)));
    m->family = srq_family_find(m->arch->family);
    rc = srq_gguf_read_int(m->g, srq_gguf_arch_key(m, "attention.head_count"), true, &m->heads, err);
    m->kv_heads = m->heads;
    return rc == 0 ? srq_gguf_read_int(m->g, srq_gguf_arch_key(m, "attention.head_count_kv"), false, &m->kv_heads, err)
                   : rc;
}

static void import_close(struct srq_gguf_import *m)
{
    srq_gguf_close(m->g);
}

static int import_open(struct srq_gguf_import *m, const char *file, struct srq_error *err)
{
    int rc;

    *m = (struct srq_gguf_import){ .file = file };
    rc = srq_gguf_open(file, &m->g, err);
    if (rc == 0)
        rc = find_arch(m, err);
    if (rc != 0)
        import_close(m);
    return rc;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* A tensor of the file as one of the folder. */
struct place {
    const struct srq_gguf_tensor *t;
    char *name;
    enum srq_dtype dtype;
    int64_t shape[SRQ_GGUF_RANK_MAX]; /* with bytes of a row in the place of its elements, where it stays in blocks */
    int64_t heads;                    /* whose rows change places; 0: they stay */
    float offset;                     /* is taken off its values */
    bool decode;                      /* its blocks */
};

/* Whether it becomes F32, with other values than are stored. */
static bool is_computed(const struct place *p)
{
    return p->offset != 0 || p->decode;
}

/* Whether it cannot be mapped. */
static bool is_made(const struct place *p)
{
    return p->heads > 0 || is_computed(p);
}

static enum srq_dtype dtype_of(const struct srq_gguf_type *type)
{
    switch (type->id) {
    case SRQ_GGUF_F32:
        return SRQ_F32;
    case SRQ_GGUF_F16:
        return SRQ_F16;
    case SRQ_GGUF_BF16:
        return SRQ_BF16;
    default:
        return SRQ_U8;
    }
}

/* What of the model a tensor is: its module under the folder's name, and its suffix. */
struct meaning {
    char module[SRQ_NAME_CAP];
    const char *suffix; /* "weight", "bias" */
};

static float vector_offset(const struct srq_gguf_import *m, const char *module)
{
    const struct srq_block_kind *k = m->family->block;

    for (int i = 0; i < k->vector_count; i++)
        if (strcmp(k->vectors[i].module, module) == 0)
            return k->vectors[i].offset;
    return 0;
}

/* "blk.N.PART.SUFFIX" */
static bool means_block(const struct srq_gguf_import *m, const char *name, struct meaning *out, struct place *p)
{
    const char *part, *dot, *module;
    int block = 0, at = 0;

    if (sscanf(name, "blk.%d.%n", &block, &at) != 1 || at == 0 || block < 0)
        return false;
    part = name + at;
    dot = strchr(part, '.');
    module = dot != NULL ? srq_gguf_module(part, (size_t)(dot - part)) : NULL;
    if (module == NULL || (strcmp(dot, ".weight") != 0 && strcmp(dot, ".bias") != 0))
        return false;
    snprintf(out->module, sizeof(out->module), "%s.%d.%s", m->family->prefix, block, module);
    out->suffix = dot + 1;
    p->heads = srq_gguf_moved_heads(m->arch, module, m->heads, m->kv_heads);
    p->offset = vector_offset(m, module);
    return true;
}

static bool means_outside(const struct srq_gguf_import *m, const char *name, struct meaning *out, struct place *p)
{
    const struct srq_family *f = m->family;
    const struct {
        const char *name, *module;
    } rows[] = { { SRQ_GGUF_EMBED ".weight", f->embed },
                 { SRQ_GGUF_NORM ".weight", f->norm },
                 { SRQ_GGUF_HEAD ".weight", f->head } };

    for (int i = 0; i < 3; i++) {
        if (strcmp(rows[i].name, name) != 0)
            continue;
        snprintf(out->module, sizeof(out->module), "%s", rows[i].module);
        out->suffix = "weight";
        p->decode = i == 0 && p->t->type->block > 1;
        p->offset = i == 1 ? f->norm_offset : 0;
        return true;
    }
    return false;
}

static int check_place(const struct srq_gguf_import *m, const struct place *p, struct srq_error *err)
{
    const struct srq_gguf_tensor *t = p->t;

    if (t->rank > 2)
        return srq_fail_field(err, -SRQ_EFORMAT, t->name, "%s: tensor %s has %d dimensions", m->file, t->name, t->rank);
    if (p->heads < 0 || (p->heads > 0 && (t->shape[0] % p->heads != 0 || t->shape[0] / p->heads % 2 != 0)))
        return srq_fail_field(err, -SRQ_EFORMAT, t->name,
                              "%s: tensor %s has %" PRId64 " rows, which %" PRId64 " heads do not share evenly",
                              m->file, t->name, t->shape[0], p->heads);
    if (t->type->block > 1 && !srq_gguf_unpacks(t->type))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, t->name, "%s: tensor %s is %s, which srq does not decode",
                              m->file, t->name, t->type->name);
    if ((p->offset != 0 || t->rank == 1) && p->dtype == SRQ_U8)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, t->name, "%s: tensor %s is %s; vectors must be F32, F16 or BF16",
                              m->file, t->name, t->type->name);
    return 0;
}

/* "LAYER.q4_0": what is in blocks, or in elements that no weights have, is bytes under the name of its type. */
static char *name_of_bytes(const char *module, const struct srq_gguf_type *type)
{
    char suffix[SUFFIX_MAX];

    snprintf(suffix, sizeof(suffix), "%s", type->name);
    for (char *c = suffix; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return srq_asprintf("%s.%s", module, suffix);
}

static int place_of(const struct srq_gguf_import *m, const struct srq_gguf_tensor *t, struct place *p,
                    struct srq_error *err)
{
    struct meaning mean;
    bool known;
    int rc;

    *p = (struct place){ .t = t, .dtype = dtype_of(t->type) };
    memcpy(p->shape, t->shape, sizeof(t->shape));
    known = means_block(m, t->name, &mean, p) || means_outside(m, t->name, &mean, p);
    if (!known)
        snprintf(mean.module, sizeof(mean.module), "%s", t->name);
    rc = known ? check_place(m, p, err) : 0;
    if (rc != 0)
        return rc;
    if (is_computed(p))
        p->dtype = SRQ_F32;
    if (p->dtype == SRQ_U8) {
        uint64_t bytes = 0;

        (void)srq_gguf_row_bytes(t->type, t->shape[t->rank - 1], &bytes); /* opening has checked it */
        p->shape[t->rank - 1] = (int64_t)bytes;
        p->name = name_of_bytes(mean.module, t->type);
    } else {
        p->name = known ? srq_asprintf("%s.%s", mean.module, mean.suffix) : srq_strdup(mean.module);
    }
    return p->name != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", m->file);
}

struct places {
    struct place *list;
    int64_t count;
};

static void places_fini(struct places *s)
{
    for (int64_t i = 0; i < s->count; i++)
        srq_free(s->list[i].name);
    srq_free(s->list);
}

/* All but the divisors, which the configuration says. */
static int places_make(const struct srq_gguf_import *m, struct places *s, struct srq_error *err)
{
    const int64_t tensors = srq_gguf_count(m->g);
    int rc = 0;

    *s = (struct places){ .list = srq_calloc((size_t)tensors + 1, sizeof(*s->list)) };
    if (s->list == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", m->file);
    for (int64_t i = 0; rc == 0 && i < tensors; i++) {
        const struct srq_gguf_tensor *t = srq_gguf_tensor(m->g, i);

        if (strcmp(t->name, SRQ_GGUF_DIVISORS) != 0)
            rc = place_of(m, t, &s->list[s->count++], err);
    }
    return rc;
}

int srq_gguf_add_tensors(const char *file, struct srq_tensors *ts, char **note, struct srq_error *err)
{
    struct srq_tensors_place *mapped = NULL;
    struct places s = { 0 };
    struct srq_gguf_import m;
    int64_t count = 0;
    int rc = import_open(&m, file, err);

    *note = NULL;
    if (rc != 0)
        return rc;
    rc = places_make(&m, &s, err);
    if (rc == 0 && (mapped = srq_calloc((size_t)s.count + 1, sizeof(*mapped))) == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", file);
    for (int64_t i = 0; rc == 0 && i < s.count; i++) {
        const struct place *p = &s.list[i];

        if (is_made(p))
            continue;
        mapped[count] = (struct srq_tensors_place){
            .name = p->name, .dtype = p->dtype, .rank = p->t->rank, .begin = srq_gguf_offset(m.g, p->t)
        };
        memcpy(mapped[count++].shape, p->shape, sizeof(p->shape));
    }
    if (rc == 0)
        rc = srq_tensors_add(ts, file, mapped, count, err);
    if (rc == 0)
        rc = srq_gguf_keys_note(&m, note, err);
    srq_free(mapped);
    places_fini(&s);
    import_close(&m);
    return rc;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

/* One row of what is decoded or has an offset, as F32. */
static void row_values(const struct place *p, const uint8_t *src, int64_t cols, float *dst)
{
    if (p->decode)
        srq_gguf_unpack(p->t->type, src, cols, dst);
    else
        (void)srq_convert(src, dtype_of(p->t->type), dst, SRQ_F32, cols);
    for (int64_t i = 0; p->offset != 0 && i < cols; i++)
        dst[i] -= p->offset;
}

/* A vector of q or k has elements that change places, a matrix rows. */
static int write_place(const struct srq_gguf_import *m, const struct place *p, struct srq_tensor_writer *w,
                       struct srq_error *err)
{
    const struct srq_gguf_tensor *t = p->t;
    const bool elements = t->rank == 1 && p->heads > 0;
    const int64_t rows = elements || t->rank == 2 ? t->shape[0] : 1, cols = elements ? 1 : t->shape[t->rank - 1];
    const size_t from = (size_t)(t->bytes / (uint64_t)rows);
    const size_t to = is_computed(p) ? (size_t)cols * sizeof(float) : from;
    float *values = srq_malloc((size_t)cols * sizeof(*values));
    int rc = values != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", m->file);

    for (int64_t r = 0; rc == 0 && r < rows; r++) {
        const uint8_t *src = t->data + (size_t)r * from;
        int64_t at = srq_gguf_model_row(p->heads, rows, r);

        if (is_computed(p)) {
            row_values(p, src, cols, values);
            src = (const uint8_t *)values;
        }
        rc = srq_writer_put(w, p->name, (uint64_t)at * to, src, to, err);
    }
    srq_gguf_release(m->g, t);
    srq_free(values);
    return rc;
}

static int write_made(const struct srq_gguf_import *m, const char *dir, struct srq_error *err)
{
    struct srq_tensor_writer *w = NULL;
    struct places s = { 0 };
    int rc = places_make(m, &s, err);

    if (rc == 0)
        rc = srq_writer_create(dir, "model", 0, &w, err);
    for (int64_t i = 0; rc == 0 && i < s.count; i++)
        if (is_made(&s.list[i]))
            rc = srq_writer_declare(w, s.list[i].name, s.list[i].dtype, s.list[i].t->rank, s.list[i].shape, err);
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    for (int64_t i = 0; rc == 0 && i < s.count; i++)
        if (is_made(&s.list[i]))
            rc = write_place(m, &s.list[i], w, err);
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    places_fini(&s);
    return rc;
}

static int write_json(const char *dir, const char *name, const json_t *value, struct srq_error *err)
{
    char *path = srq_path_join(dir, name), *text = NULL;
    size_t len = 0;
    int rc = path != NULL ? srq_json_text(value, &text, &len, err)
                          : srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", name);

    if (rc == 0)
        rc = srq_write_file_durable(path, text, len, 0600, err);
    srq_free(text);
    srq_free(path);
    return rc;
}

int srq_gguf_make_folder(const char *file, const char *dir, struct srq_error *err)
{
    json_t *config = NULL, *tokenizer = NULL, *tokens = NULL;
    struct srq_gguf_import m;
    int rc = import_open(&m, file, err);

    if (rc != 0)
        return rc;
    rc = srq_gguf_config(&m, &config, err);
    if (rc == 0)
        rc = srq_gguf_words(&m, json_integer_value(json_object_get(config, "vocab_size")), &tokenizer, &tokens, err);
    if (rc == 0)
        rc = write_json(dir, "tokenizer.json", tokenizer, err);
    if (rc == 0)
        rc = write_json(dir, "tokenizer_config.json", tokens, err);
    if (rc == 0)
        rc = write_made(&m, dir, err);
    if (rc == 0)
        rc = write_json(dir, "config.json", config, err);
    if (rc == 0)
        rc = srq_gguf_check(m.g, err);
    json_decref(config);
    json_decref(tokenizer);
    json_decref(tokens);
    import_close(&m);
    return rc;
}
