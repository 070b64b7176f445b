/* A model as one GGUF file: which tensors it has, their bytes, and the check of what was written (spec formats 5.3). */
#include "core/model/export_gguf.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/grid/pack_gguf.h"
#include "core/math/team.h"
#include "core/model/internal.h"

#include <inttypes.h>
#include <string.h>

#define FILE_NAME "model.gguf"
#define CHUNK ((size_t)1 << 20) /* bytes of rows made at a time, or one row */

/* One tensor of the file. */
struct item {
    char name[SRQ_GGUF_NAME_MAX + 1];
    char source[SRQ_NAME_CAP]; /* of the model's tensor; "": the divisors of rope's frequencies */
    const struct srq_gguf_type *type;
    int layer; /* whose codes it holds; -1: none's */
    int rank;
    int64_t shape[2];
    uint64_t row_bytes;
    int64_t heads;  /* whose rows change places; 0: they stay */
    bool embedding; /* under a scheme of its own */
    float offset;   /* is added to what the model's tensor holds */
};

struct items {
    const struct srq_export_plan *plan;
    const struct srq_gguf_arch *arch;
    struct item *item;
    int64_t count, cap;
};

/* ---- which there are --------------------------------------------------------------------------------------------- */

/* NULL: out of memory, which `err` says. */
static struct item *new_item(struct items *s, struct srq_error *err)
{
    struct item *it;

    if (s->count == s->cap) {
        int64_t cap = s->cap > 0 ? 2 * s->cap : 64;
        struct item *more = srq_reallocarray(s->item, (size_t)cap, sizeof(*more));

        if (more == NULL) {
            srq_fail(err, -SRQ_ENOMEM, "out of memory planning a GGUF file");
            return NULL;
        }
        s->item = more;
        s->cap = cap;
    }
    it = &s->item[s->count++];
    memset(it, 0, sizeof(*it));
    it->layer = -1;
    return it;
}

/* The stored type of what is not quantized: vectors are F32, matrices as they are. */
static const struct srq_gguf_type *plain_type(const struct items *s, const struct srq_tensor *t, bool of_layer)
{
    if (t->rank < 2)
        return srq_gguf_type(SRQ_GGUF_F32);
    if (t->dtype == SRQ_F16)
        return srq_gguf_type(SRQ_GGUF_F16);
    return srq_gguf_type(t->dtype == SRQ_BF16 || (of_layer && s->plan->narrow) ? SRQ_GGUF_BF16 : SRQ_GGUF_F32);
}

/* The tensor `source` under a name of GGUF; `layer`: whose weight it is, or -1. */
static int add(struct items *s, const char *name, const char *source, int layer, struct item **out,
               struct srq_error *err)
{
    const struct srq_layer_info *l = layer >= 0 ? srq_model_layer(s->plan->model, layer) : NULL;
    struct srq_tensor t;
    struct item *it = new_item(s, err);

    if (it == NULL)
        return -SRQ_ENOMEM;
    snprintf(it->name, sizeof(it->name), "%s", name);
    snprintf(it->source, sizeof(it->source), "%s", source);
    if (!srq_tensors_describe(srq_model_tensors(s->plan->model), source, &t) || t.rank < 1 || t.rank > 2)
        return srq_fail_field(err, -SRQ_EFORMAT, source, "tensor %s disappeared", source);
    it->rank = t.rank;
    memcpy(it->shape, t.shape, (size_t)t.rank * sizeof(t.shape[0]));
    if (l != NULL && srq_export_quantized(s->plan, layer)) {
        it->layer = layer;
        it->type = srq_gguf_type_for(&s->plan->schemes[layer], l->in, err);
        if (it->type == NULL)
            return -SRQ_EUNSUPPORTED;
    } else {
        it->type = plain_type(s, &t, l != NULL);
    }
    if (!srq_gguf_row_bytes(it->type, it->shape[it->rank - 1], &it->row_bytes))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, source, "rows of %s are no whole blocks of %s", source,
                              it->type->name);
    *out = it;
    return 0;
}

static int add_linear(struct items *s, int unit, int i, struct srq_error *err)
{
    const struct srq_model *m = s->plan->model;
    const struct srq_linear_row *row = &m->family->block->linears[i];
    const char *part = srq_gguf_part(row->module);
    char name[SRQ_GGUF_NAME_MAX + 1], source[SRQ_NAME_CAP];
    struct item *it = NULL;
    int rc = 0;

    if (part == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, row->module, "gguf has no name for %s", row->module);
    for (int bias = 0; rc == 0 && bias < (srq_config_bias(&m->config, row->bias) ? 2 : 1); bias++) {
        const char *suffix = bias ? "bias" : "weight";

        snprintf(name, sizeof(name), "blk.%d.%s.%s", unit, part, suffix);
        srq_model_block_name(m, unit, row->module, suffix, source);
        rc = add(s, name, source, bias ? -1 : m->units[unit].info.first + i, &it, err);
        if (rc == 0)
            it->heads = srq_gguf_moved_heads(s->arch, row->module, m->info.heads, m->info.kv_heads);
    }
    return rc;
}

static int add_vector(struct items *s, int unit, int i, struct srq_error *err)
{
    const struct srq_vector_row *row = &s->plan->model->family->block->vectors[i];
    const char *part = srq_gguf_part(row->module);
    char name[SRQ_GGUF_NAME_MAX + 1], source[SRQ_NAME_CAP];
    struct item *it = NULL;
    int rc;

    if (part == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, row->module, "gguf has no name for %s", row->module);
    snprintf(name, sizeof(name), "blk.%d.%s.weight", unit, part);
    srq_model_block_name(s->plan->model, unit, row->module, srq_vector_suffix(row), source);
    rc = add(s, name, source, -1, &it, err);
    if (rc == 0)
        it->offset = row->offset;
    return rc;
}

/* llama3's scaling is a tensor of divisors, one a frequency. */
static int add_frequencies(struct items *s, struct srq_error *err)
{
    const struct srq_rope *r = &s->plan->model->config.rope;
    struct item *it;

    if (r->kind != SRQ_ROPE_LLAMA3)
        return 0;
    it = new_item(s, err);
    if (it == NULL)
        return -SRQ_ENOMEM;
    snprintf(it->name, sizeof(it->name), SRQ_GGUF_DIVISORS);
    it->type = srq_gguf_type(SRQ_GGUF_F32);
    it->rank = 1;
    it->shape[0] = r->dim / 2;
    it->row_bytes = (uint64_t)it->shape[0] * sizeof(float);
    return 0;
}

static int add_outside(struct items *s, const char *name, const char *module, int layer, float offset,
                       struct srq_error *err)
{
    char source[SRQ_NAME_CAP];
    struct item *it = NULL;
    int rc;

    snprintf(source, sizeof(source), "%s.weight", module);
    rc = add(s, name, source, layer, &it, err);
    if (rc == 0)
        it->offset = offset;
    return rc;
}

/* The table of words: first in the file, as llama.cpp's own have it. */
static int add_embedding(struct items *s, struct srq_error *err)
{
    const struct srq_model *m = s->plan->model;
    const struct srq_scheme *scheme = srq_model_embedding(m);
    struct item *it;
    int rc = add_outside(s, SRQ_GGUF_EMBED ".weight", m->family->embed, -1, 0, err);

    if (rc != 0 || scheme == NULL)
        return rc;
    it = &s->item[s->count - 1];
    it->embedding = true;
    it->type = srq_gguf_type_for(scheme, m->info.hidden, err);
    if (it->type == NULL || !srq_gguf_row_bytes(it->type, m->info.hidden, &it->row_bytes)) {
        if (err != NULL)
            snprintf(err->field, sizeof(err->field), "embedding");
        return -SRQ_EUNSUPPORTED;
    }
    return 0;
}

static int list_items(struct items *s, struct srq_error *err)
{
    const struct srq_model *m = s->plan->model;
    const struct srq_family *f = m->family;
    int last = srq_model_layer_count(m) - 1; /* the head, where it is not tied */
    int rc = add_embedding(s, err);

    if (rc == 0)
        rc = add_frequencies(s, err);
    for (int u = 0; u < m->info.blocks && rc == 0; u++) {
        for (int i = 0; i < f->block->vector_count && rc == 0; i++)
            rc = add_vector(s, u, i, err);
        for (int i = 0; i < f->block->linear_count && rc == 0; i++)
            rc = add_linear(s, u, i, err);
    }
    if (rc == 0)
        rc = add_outside(s, SRQ_GGUF_NORM ".weight", f->norm, -1, f->norm_offset, err);
    if (rc == 0 && !m->info.tied_head)
        rc = add_outside(s, SRQ_GGUF_HEAD ".weight", f->head, last, 0, err);
    return rc;
}

static int items_make(struct items *s, const struct srq_export_plan *p, struct srq_error *err)
{
    *s = (struct items){ .plan = p, .arch = srq_gguf_arch_of(srq_model_info(p->model)->family) };
    return s->arch != NULL ? list_items(s, err) : srq_gguf_holds(p->model, err);
}

static void items_drop(struct items *s)
{
    srq_free(s->item);
}

static int64_t rows_of(const struct item *it)
{
    return it->rank == 2 ? it->shape[0] : 1;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The model's row (of a vector: element) that is at place `row`. */
static int64_t source_row(const struct item *it, int64_t row)
{
    return srq_gguf_model_row(it->heads, it->shape[0], row);
}

/* What an item's bytes are made of. */
struct content {
    const struct srq_codes *codes; /* of a quantized layer, or of rows of the embedding */
    int64_t first;                 /* row of the item that is the first of the codes */
    struct srq_tensor t;           /* else */
    const float *frequencies;      /* of an item without a source */
};

/* Rows of one item, made by the team. */
struct making {
    const struct item *it;
    const struct content *from;
    int64_t first;
    uint8_t *dst;
};

static float element(const struct srq_tensor *t, int64_t i)
{
    float value = 0;

    (void)srq_convert((const char *)t->data + (size_t)i * srq_dtype_size(t->dtype), t->dtype, &value, SRQ_F32, 1);
    return value;
}

static void make_vector(const struct item *it, const struct content *from, float *dst)
{
    for (int64_t i = 0; i < it->shape[0]; i++)
        dst[i] = from->frequencies != NULL ? from->frequencies[i] : element(&from->t, source_row(it, i)) + it->offset;
}

static void make_rows(void *ctx, int64_t begin, int64_t end)
{
    const struct making *k = ctx;
    const struct item *it = k->it;

    for (int64_t i = begin; i < end; i++) {
        int64_t row = source_row(it, k->first + i), cols = it->shape[it->rank - 1];
        uint8_t *dst = k->dst + (size_t)i * it->row_bytes;

        if (k->from->codes != NULL)
            srq_gguf_pack_row(k->from->codes, it->type, row - k->from->first, dst);
        else if (it->rank == 1)
            make_vector(it, k->from, (float *)(void *)dst);
        else
            (void)srq_convert((const char *)k->from->t.data + (size_t)(row * cols) * srq_dtype_size(k->from->t.dtype),
                              k->from->t.dtype, dst,
                              it->type->id == SRQ_GGUF_F32   ? SRQ_F32
                              : it->type->id == SRQ_GGUF_F16 ? SRQ_F16
                                                             : SRQ_BF16,
                              cols);
    }
}

/* Makes some rows; those of an embedding are rounded for it. */
static int make_some(const struct srq_model *m, struct making *k, int64_t rows, struct srq_error *err)
{
    struct srq_codes codes;
    struct content from;
    int rc;

    if (!k->it->embedding) {
        srq_parallel(rows, 16, make_rows, k);
        return 0;
    }
    rc = srq_model_embedding_codes(m, k->first, rows, &codes, err);
    if (rc != 0)
        return rc;
    from = (struct content){ .codes = &codes, .first = k->first };
    k->from = &from;
    srq_parallel(rows, 16, make_rows, k);
    srq_codes_fini(&codes);
    return 0;
}

/* Calls `use` with the bytes of an item, some whole rows at a time, from byte `offset` on. */
static int each_chunk(const struct items *s, const struct item *it, const struct content *from,
                      int (*use)(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, struct srq_error *err),
                      void *ctx, struct srq_error *err)
{
    int64_t rows = rows_of(it), step = (int64_t)(CHUNK / it->row_bytes);
    struct making k = { .it = it, .from = from };
    int rc = 0;

    step = step < 1 ? 1 : step < rows ? step : rows;
    k.dst = srq_malloc((size_t)step * it->row_bytes);
    if (k.dst == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", it->name);
    for (k.first = 0; k.first < rows && rc == 0; k.first += step) {
        int64_t n = rows - k.first < step ? rows - k.first : step;

        rc = make_some(s->plan->model, &k, n, err);
        if (rc == 0)
            rc = use(ctx, (uint64_t)k.first * it->row_bytes, k.dst, (size_t)n * it->row_bytes, err);
    }
    srq_free(k.dst);
    return rc;
}

/* The same for any item: finds what it is made of. */
static int each_chunk_of(const struct items *s, const struct srq_export_request *r, const struct item *it,
                         int (*use)(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len,
                                    struct srq_error *err),
                         void *ctx, struct srq_error *err)
{
    const struct srq_model *m = s->plan->model;
    struct content from = { 0 };
    void *owned = NULL;
    int rc = 0;

    if (it->layer >= 0) {
        rc = r->codes(r->codes_ctx, it->layer, &from.codes, err);
        return rc == 0 ? each_chunk(s, it, &from, use, ctx, err) : rc;
    }
    if (it->source[0] == '\0') {
        float *divisors = owned = srq_malloc((size_t)it->shape[0] * sizeof(float));

        if (divisors == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", it->name);
        srq_rope_divisors(&m->config.rope, divisors);
        from.frequencies = divisors;
        rc = each_chunk(s, it, &from, use, ctx, err);
        srq_free(owned);
        return rc;
    }
    if (it->embedding)
        return each_chunk(s, it, &from, use, ctx, err);
    rc = srq_model_tensor(m, it->source, &from.t, &owned, err);
    if (rc != 0)
        return rc;
    rc = each_chunk(s, it, &from, use, ctx, err);
    srq_tensors_release(srq_model_tensors(m), &from.t);
    srq_free(owned);
    return rc;
}

/* Goes over the items: those of no layer, then layer by layer, as the request's codes come. `use` is told the item by
 * its number. */
struct walk {
    const struct items *items;
    const struct srq_export_request *request;
    int (*use)(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, struct srq_error *err);
    void *ctx;
    int64_t *at; /* of `ctx`: the item's number */
    int64_t done;
};

static int walk_items(struct walk *k, struct srq_error *err)
{
    const struct srq_export_request *r = k->request;
    const int64_t total = 2 * (int64_t)k->items->plan->layers;
    int rc = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < k->items->count && rc == 0; i++) {
            const struct item *it = &k->items->item[i];

            if ((it->layer >= 0) != pass)
                continue;
            if (pass == 1 && r->tick != NULL && (rc = r->tick(r->tick_ctx, k->done++, total)) != 0)
                return srq_fail(err, rc, "export stopped on request");
            *k->at = i;
            rc = each_chunk_of(k->items, r, it, k->use, k->ctx, err);
        }
    }
    return rc;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct writing {
    struct srq_gguf_writer *w;
    int64_t at;
};

static int write_chunk(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, struct srq_error *err)
{
    const struct writing *k = ctx;

    return srq_gguf_put(k->w, k->at, offset, bytes, len, err);
}

/* general.file_type: the type of most weights. */
static int file_type(const struct items *s)
{
    int64_t most = 0;
    int type = 0;

    for (int64_t i = 0; i < s->count; i++) {
        int64_t same = 0;

        for (int64_t j = 0; j < s->count; j++)
            if (s->item[j].type == s->item[i].type)
                same += rows_of(&s->item[j]) * s->item[j].shape[s->item[j].rank - 1];
        if (same > most && s->item[i].type->file_type >= 0) {
            most = same;
            type = s->item[i].type->file_type;
        }
    }
    return type;
}

static int write_file(const struct items *s, const struct srq_export_request *r, struct srq_gguf_writer *w,
                      const char *path, struct srq_error *err)
{
    struct writing ctx = { .w = w };
    struct walk k = { .items = s, .request = r, .use = write_chunk, .ctx = &ctx, .at = &ctx.at };
    int rc = srq_gguf_model_keys(s->plan->model, file_type(s), w, err);

    if (rc == 0)
        rc = srq_gguf_words_keys(s->plan->model, w, err);
    for (int64_t i = 0; i < s->count && rc == 0; i++)
        rc = srq_gguf_declare(w, s->item[i].name, s->item[i].type->id, s->item[i].rank, s->item[i].shape, err);
    if (rc == 0)
        rc = srq_gguf_begin(w, path, err);
    if (rc == 0)
        rc = walk_items(&k, err);
    return rc == 0 ? srq_gguf_finish(w, err) : rc;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

/* The file as the strict reader finds it: everything in front of the data is what was meant, blocks decode to what
 * their codes stand for, and everything else is the model's. */
struct checking {
    const struct items *items;
    const struct srq_export_request *request;
    const struct srq_gguf *g;
    int64_t at;
};

static int compare_chunk(void *ctx, uint64_t offset, const uint8_t *bytes, size_t len, struct srq_error *err)
{
    const struct checking *k = ctx;
    const struct srq_gguf_tensor *t = srq_gguf_tensor(k->g, k->at);

    return offset + len <= t->bytes && memcmp(t->data + offset, bytes, len) == 0
               ? 0
               : srq_fail_field(err, -SRQ_EFORMAT, t->name, "tensor %s as written differs from its source", t->name);
}

/* Rows of a layer while the team compares them. */
struct decoding {
    const struct item *it;
    const struct srq_codes *codes;
    const struct srq_gguf_tensor *t;
    _Atomic int64_t wrong; /* a row that differs, or -1; -2: out of memory */
};

static void compare_rows(void *ctx, int64_t begin, int64_t end)
{
    struct decoding *k = ctx;
    int64_t cols = k->it->shape[1];
    float *want = srq_malloc((size_t)cols * sizeof(float)), *got = srq_malloc((size_t)cols * sizeof(float));

    for (int64_t i = begin; i < end; i++) {
        if (want == NULL || got == NULL) {
            k->wrong = -2;
            break;
        }
        srq_codes_decode_rows(k->codes, source_row(k->it, i), 1, want, SRQ_F32);
        srq_gguf_unpack(k->t->type, k->t->data + (uint64_t)i * k->it->row_bytes, cols, got);
        if (memcmp(want, got, (size_t)cols * sizeof(float)) != 0)
            k->wrong = i;
    }
    srq_free(want);
    srq_free(got);
}

static int check_layer(const struct checking *c, const struct item *it, struct srq_error *err)
{
    struct decoding k = { .it = it, .t = srq_gguf_tensor(c->g, c->at), .wrong = -1 };
    int rc = c->request->codes(c->request->codes_ctx, it->layer, &k.codes, err);

    if (rc != 0)
        return rc;
    srq_parallel(it->shape[0], 16, compare_rows, &k);
    srq_gguf_release(c->g, k.t);
    if (k.wrong == -2)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory checking %s", it->name);
    return k.wrong < 0 ? 0
                       : srq_fail_field(err, -SRQ_EFORMAT, it->name,
                                        "%s as written differs from its codes in row %" PRId64, it->name, k.wrong);
}

static int check_tensors(struct checking *c, struct srq_error *err)
{
    const struct srq_export_request *r = c->request;
    const int64_t layers = c->items->plan->layers;
    int64_t done = layers;
    int rc = 0;

    for (int64_t i = 0; i < c->items->count && rc == 0; i++) {
        const struct item *it = &c->items->item[i];

        c->at = i;
        if (it->layer < 0) {
            rc = each_chunk_of(c->items, r, it, compare_chunk, c, err);
            continue;
        }
        if (r->tick != NULL && (rc = r->tick(r->tick_ctx, done++, 2 * layers)) != 0)
            return srq_fail(err, rc, "export stopped on request");
        rc = check_layer(c, it, err);
    }
    return rc;
}

static int check_file(const struct items *s, const struct srq_export_request *r, const struct srq_gguf_writer *w,
                      const char *path, struct srq_error *err)
{
    struct checking c = { .items = s, .request = r };
    const struct srq_buf *head = srq_gguf_head(w);
    struct srq_gguf *g = NULL;
    const uint8_t *data;
    size_t len;
    int rc = srq_gguf_open(path, &g, err);

    if (rc != 0)
        return rc;
    c.g = g;
    data = srq_gguf_head_read(g, &len);
    if (len != head->len || memcmp(data, head->data, len) != 0 || srq_gguf_count(g) != s->count)
        rc = srq_fail_field(err, -SRQ_EFORMAT, path, "the keys and tensors of %s are not what was written", path);
    if (rc == 0)
        rc = check_tensors(&c, err);
    if (rc == 0)
        rc = srq_gguf_check(g, err);
    srq_gguf_close(g);
    return rc;
}

/* ---- the row ----------------------------------------------------------------------------------------------------- */

int srq_gguf_accepts(const struct srq_format *f, const struct srq_scheme *s, const struct srq_layer_info *layer,
                     struct srq_error *err)
{
    struct srq_error why = { 0 };

    (void)f;
    if (srq_gguf_type_for(s, layer->in, &why) != NULL)
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, layer->name, "%s: %s", layer->name, why.text);
}

int srq_gguf_holds(const struct srq_model *m, struct srq_error *err)
{
    struct srq_gguf_writer *w;
    int rc = srq_gguf_writer_create(&w, err);

    if (rc == 0)
        rc = srq_gguf_model_keys(m, 0, w, err);
    if (rc == 0)
        rc = srq_gguf_words_keys(m, w, err);
    srq_gguf_writer_free(w);
    return rc;
}

int srq_gguf_bytes(const struct srq_export_plan *p, uint64_t *bytes, struct srq_error *err)
{
    struct items s;
    int rc = items_make(&s, p, err);

    *bytes = 0;
    for (int64_t i = 0; i < s.count && rc == 0; i++)
        *bytes += (uint64_t)rows_of(&s.item[i]) * s.item[i].row_bytes;
    items_drop(&s);
    return rc;
}

int srq_gguf_build(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                   struct srq_error *err)
{
    struct srq_gguf_writer *w = NULL;
    char *path = srq_path_join(dir, FILE_NAME);
    struct items s = { 0 };
    int rc = path != NULL ? srq_gguf_writer_create(&w, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");

    if (rc == 0)
        rc = items_make(&s, p, err);
    if (rc == 0)
        rc = write_file(&s, r, w, path, err);
    if (rc == 0)
        rc = check_file(&s, r, w, path, err);
    items_drop(&s);
    srq_gguf_writer_free(w);
    srq_free(path);
    return rc;
}
