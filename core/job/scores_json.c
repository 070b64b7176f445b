/* Scores printed and read, an allocation printed. */
#include "core/job/scores_json.h"

#include "core/base/fs.h"
#include "core/base/alloc.h"
#include "core/job/plan_json.h"
#include "core/proto/members.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

#define SCORES_MAX ((size_t)256 << 20)

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* With all digits: cJSON's own printing may be off by the last one, and a resumed job must see the same scores. */
static cJSON *number_or_null(double v)
{
    char text[40];

    snprintf(text, sizeof(text), "%.17g", v);
    return isfinite(v) ? cJSON_CreateRaw(text) : cJSON_CreateNull();
}

static bool add_layer(cJSON *rows, const char *name, const double *score, int count)
{
    cJSON *o = cJSON_CreateObject(), *list = NULL;

    if (!cJSON_AddItemToArray(rows, o) || !srq_put_text(o, "name", name))
        return false;
    list = cJSON_AddArrayToObject(o, "scores");
    for (int c = 0; list != NULL && c < count; c++) {
        if (!cJSON_AddItemToArray(list, number_or_null(score[c])))
            return false;
    }
    return list != NULL;
}

static cJSON *to_json(const struct srq_scores *s, const struct srq_layer_info *const *layers)
{
    cJSON *root = cJSON_CreateObject(), *rows = NULL;
    bool ok = srq_put_schemes(root, "candidates", s->scheme, s->count) &&
              (rows = cJSON_AddArrayToObject(root, "layers")) != NULL;

    for (int i = 0; ok && i < s->layers; i++)
        ok = add_layer(rows, layers[i]->name, s->score + (size_t)i * (size_t)s->count, s->count);
    if (ok)
        return root;
    cJSON_Delete(root);
    return NULL;
}

static int bad(struct srq_error *err, const char *what)
{
    return srq_fail_field(err, -SRQ_EFORMAT, "scores", "stored scores do not fit this model: %s", what);
}

static int take_layer(struct srq_scores *s, int i, const char *name, const cJSON *row, struct srq_error *err)
{
    const char *have = srq_member_text(row, "name");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(row, "scores"), *item;
    int c = 0;

    if (have == NULL || strcmp(have, name) != 0)
        return bad(err, "another layer is named");
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != s->count)
        return bad(err, "a layer has not one score a candidate");
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNull(item) && (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)))
            return bad(err, "a score is no number");
        s->score[(size_t)i * (size_t)s->count + (size_t)c++] = cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
    }
    return 0;
}

static int from_json(const cJSON *json, const struct srq_layer_info *const *layers, int count, struct srq_scores *out,
                     struct srq_error *err)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "layers"), *item;
    struct srq_scheme schemes[SRQ_CANDIDATES_MAX];
    int n, i = 0, rc;

    memset(out, 0, sizeof(*out));
    if (!cJSON_IsArray(rows) || cJSON_GetArraySize(rows) != count)
        return bad(err, "candidates or layers are missing");
    rc = srq_read_schemes(cJSON_GetObjectItemCaseSensitive(json, "candidates"), SRQ_CANDIDATES_MAX, schemes, &n, err);
    if (rc != 0)
        return rc;
    rc = srq_scores_init(out, schemes, n, count, err);
    cJSON_ArrayForEach(item, rows)
    {
        if (rc == 0)
            rc = take_layer(out, i, layers[i]->name, item, err);
        i++;
    }
    if (rc != 0)
        srq_scores_fini(out);
    return rc;
}

int srq_scores_save(const struct srq_scores *s, const struct srq_layer_info *const *layers, const char *path,
                    struct srq_error *err)
{
    cJSON *json = to_json(s, layers);
    char *text = json != NULL ? cJSON_PrintUnformatted(json) : NULL;
    int rc = text != NULL ? srq_write_file_durable(path, text, strlen(text), 0644, err)
                          : srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory writing %s", path);

    cJSON_free(text);
    cJSON_Delete(json);
    return rc;
}

int srq_scores_load(const char *path, const struct srq_layer_info *const *layers, int count, struct srq_scores *out,
                    struct srq_error *err)
{
    char *text = NULL;
    size_t len = 0;
    cJSON *json;
    int rc;

    memset(out, 0, sizeof(*out));
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return srq_fail_field(err, -SRQ_ENOENT, path, "there are no scores in %s", path);
    rc = srq_read_file(path, SCORES_MAX, &text, &len, err);
    if (rc != 0)
        return rc;
    json = cJSON_ParseWithLength(text, len);
    srq_free(text);
    rc = from_json(json, layers, count, out, err);
    cJSON_Delete(json);
    return rc;
}

/* ---- allocations ------------------------------------------------------------------------------------------------- */

static bool add_front(cJSON *root, const struct srq_allocation *a)
{
    cJSON *list = cJSON_AddArrayToObject(root, "front");

    for (int i = 0; list != NULL && i < a->front_count; i++) {
        cJSON *o = cJSON_CreateObject();

        if (!cJSON_AddItemToArray(list, o) || !srq_put_number(o, "average_bits", a->front[i].average_bits) ||
            !srq_put_number(o, "loss", a->front[i].loss))
            return false;
    }
    return list != NULL;
}

cJSON *srq_allocation_json(const struct srq_allocation *a, const struct srq_candidates *c)
{
    cJSON *root = cJSON_CreateObject();
    bool ok = srq_put_number(root, "target_bits", a->target_bits) &&
              srq_put_number(root, "average_bits", a->average_bits) && srq_put_number(root, "loss", a->loss) &&
              srq_put_number(root, "bound", a->bound) &&
              srq_put_number(root, "gap", a->loss > 0 ? (a->loss - a->bound) / a->loss : 0) &&
              srq_put_schemes(root, "candidates", c->scheme, c->count) && add_front(root, a);

    if (ok)
        return root;
    cJSON_Delete(root);
    return NULL;
}
