/* The embedding of a language model in blocks: codes of rows of the stored table, and what they stand for in its place.
 */
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/grid/round_plain.h"
#include "core/math/team.h"

#define AT_ONCE ((int64_t)1 << 20) /* elements that are rounded at a time, or one row */
#define COLUMNS 64                 /* whose squares are summed at a time */

int srq_model_round_embedding(struct srq_model *m, const struct srq_scheme *s, struct srq_error *err)
{
    char text[64];
    const char *why;

    srq_scheme_text(s, text, sizeof(text));
    if (m->info.pictures)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "embedding", "%s is a diffusion model: it has no embedding",
                              m->info.path);
    if (srq_scheme_has_act(s))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "embedding",
                              "%s: an embedding is looked up, there are no inputs of it to be rounded", text);
    why = srq_scheme_refuses(s, 32, m->info.hidden); /* of any number of rows */
    if (why != NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "embedding", "%s in rows of %lld: %s", text,
                              (long long)m->info.hidden, why);
    m->embedding = *s;
    return 0;
}

const struct srq_scheme *srq_model_embedding(const struct srq_model *m)
{
    return m->embedding.grid != SRQ_GRID_NONE ? &m->embedding : NULL;
}

/* Its stored table, whatever takes its place. */
static bool stored_table(const struct srq_model *m, char name[SRQ_NAME_CAP], struct srq_tensor *out)
{
    snprintf(name, SRQ_NAME_CAP, "%s.weight", m->family->embed);
    return srq_tensors_get(m->tensors, name, out);
}

int srq_model_embedding_codes(const struct srq_model *m, int64_t row, int64_t rows, struct srq_codes *out,
                              struct srq_error *err)
{
    struct srq_tensor table, part;
    char name[SRQ_NAME_CAP];
    int rc;

    if (!stored_table(m, name, &table))
        return srq_fail_field(err, -SRQ_ENOENT, name, "tensor %s is missing from %s", name, m->info.path);
    part = srq_tensor_2d((uint8_t *)table.data + (size_t)(row * m->info.hidden) * srq_dtype_size(table.dtype),
                         table.dtype, rows, m->info.hidden);
    rc = srq_codes_alloc(rows, m->info.hidden, &m->embedding, out, err);
    if (rc != 0)
        return rc;
    rc = srq_round_searched(&part, name, m->embedding_weights, out, err);
    if (rc != 0)
        srq_codes_fini(out);
    return rc;
}

struct columns {
    const struct srq_tensor *table;
    float *mean; /* [hidden] of squares */
};

static void weigh_columns(void *ctx, int64_t begin, int64_t end)
{
    const struct columns *c = ctx;
    const int64_t rows = c->table->shape[0], hidden = c->table->shape[1];
    const size_t size = srq_dtype_size(c->table->dtype);

    for (int64_t first = begin; first < end; first += COLUMNS) {
        const int64_t n = end - first < COLUMNS ? end - first : COLUMNS;
        double sum[COLUMNS] = { 0 };
        float part[COLUMNS];

        for (int64_t r = 0; r < rows; r++) {
            (void)srq_convert((const uint8_t *)c->table->data + (size_t)(r * hidden + first) * size, c->table->dtype,
                              part, SRQ_F32, n);
            for (int64_t k = 0; k < n; k++)
                sum[k] += (double)part[k] * part[k];
        }
        for (int64_t k = 0; k < n; k++)
            c->mean[first + k] = (float)(sum[k] / (double)rows);
    }
}

/* Some columns of an embedding are far larger than the others, and what is computed from it hangs on them: errors count
 * as the mean square of their column. Alike, they make a search clip the large ones, which is worse than no search. */
static int weigh(struct srq_model *m, const struct srq_tensor *table, struct srq_error *err)
{
    struct columns c = { table, srq_calloc((size_t)m->info.hidden, sizeof(*c.mean)) };

    srq_free(m->embedding_weights);
    m->embedding_weights = c.mean;
    if (c.mean == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory rounding the embedding");
    srq_parallel(m->info.hidden, COLUMNS, weigh_columns, &c);
    return 0;
}

static int64_t rows_at_once(const struct srq_model *m)
{
    int64_t rows = AT_ONCE / m->info.hidden;

    return rows < 1 ? 1 : rows < m->info.vocab ? rows : m->info.vocab;
}

/* The rounded table, some rows at a time. */
static int write_table(const struct srq_model *m, const char *name, struct srq_tensor_writer *w, struct srq_error *err)
{
    const int64_t step = rows_at_once(m);
    const size_t row_bytes = (size_t)m->info.hidden * sizeof(float);
    float *values = srq_malloc((size_t)step * row_bytes);
    int rc = values != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory rounding %s", name);

    for (int64_t row = 0; rc == 0 && row < m->info.vocab; row += step) {
        int64_t rows = m->info.vocab - row < step ? m->info.vocab - row : step;
        struct srq_codes codes;

        rc = srq_model_embedding_codes(m, row, rows, &codes, err);
        if (rc != 0)
            break;
        rc = srq_codes_decode(&codes, values, SRQ_F32, err);
        srq_codes_fini(&codes);
        if (rc == 0)
            rc = srq_writer_put(w, name, (uint64_t)row * row_bytes, values, (size_t)rows * row_bytes, err);
    }
    srq_free(values);
    return rc;
}

uint64_t srq_model_embedding_bytes(const struct srq_model *m)
{
    return (uint64_t)(rows_at_once(m) * m->info.hidden) * (2 * sizeof(float));
}

int srq_model_make_embedding(struct srq_model *m, const char *dir, struct srq_error *err)
{
    const int64_t shape[2] = { m->info.vocab, m->info.hidden };
    struct srq_tensor_writer *w = NULL;
    char name[SRQ_NAME_CAP], *path = srq_asprintf("%s/embedding.safetensors", dir);
    struct srq_tensor table;
    int rc = path == NULL ? srq_fail(err, -SRQ_ENOMEM, "out of memory rounding the embedding")
             : stored_table(m, name, &table)
                 ? srq_writer_create(dir, "embedding", 0, &w, err)
                 : srq_fail_field(err, -SRQ_ENOENT, name, "tensor %s is missing from %s", name, m->info.path);

    if (rc == 0)
        rc = weigh(m, &table, err);
    if (rc == 0)
        rc = srq_writer_declare(w, name, SRQ_F32, 2, shape, err);
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    if (rc == 0)
        rc = write_table(m, name, w, err);
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    if (rc == 0)
        srq_tensors_release(m->tensors, &table);
    if (rc == 0)
        rc = srq_model_replace(m, path, err);
    srq_free(path);
    return rc;
}
