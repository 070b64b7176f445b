/* Scores of layers under candidate schemes: lookup, forecast, and their file. */
#include "core/budget/scores.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <errno.h>
#include <math.h>
#include <unistd.h>

#define SCORES_MAX ((size_t)256 << 20)

/* ---- candidates -------------------------------------------------------------------------------------------------- */

int srq_candidates_init(struct srq_candidates *c, const struct srq_scheme *schemes, int count, int layers,
                        struct srq_error *err)
{
    memset(c, 0, sizeof(*c));
    if (count < 1 || count > SRQ_CANDIDATES_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, "budget.candidates", "%d candidate schemes; there can be 1 to %d",
                              count, SRQ_CANDIDATES_MAX);
    c->allowed = srq_calloc((size_t)layers * (size_t)count + 1, sizeof(c->allowed[0]));
    if (c->allowed == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the candidates of %d layers", layers);
    memset(c->allowed, true, (size_t)layers * (size_t)count * sizeof(c->allowed[0]));
    memcpy(c->scheme, schemes, (size_t)count * sizeof(schemes[0]));
    c->count = count;
    c->layers = layers;
    return 0;
}

void srq_candidates_fini(struct srq_candidates *c)
{
    srq_free(c->allowed);
    memset(c, 0, sizeof(*c));
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

int srq_scores_init(struct srq_scores *s, const struct srq_scheme *schemes, int count, int layers,
                    struct srq_error *err)
{
    memset(s, 0, sizeof(*s));
    if (count < 1 || count > SRQ_CANDIDATES_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, "budget.candidates", "%d candidate schemes; there can be 1 to %d",
                              count, SRQ_CANDIDATES_MAX);
    s->score = srq_calloc((size_t)layers * (size_t)count + 1, sizeof(s->score[0]));
    if (s->score == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for the scores of %d layers", layers);
    memcpy(s->scheme, schemes, (size_t)count * sizeof(schemes[0]));
    s->layers = layers;
    s->count = count;
    for (int i = 0; i < layers * count; i++)
        s->score[i] = s->scheme[i % count].grid == SRQ_GRID_NONE ? 0 : (double)NAN;
    return 0;
}

void srq_scores_fini(struct srq_scores *s)
{
    srq_free(s->score);
    memset(s, 0, sizeof(*s));
}

double srq_scores_of(const struct srq_scores *s, int layer, const struct srq_scheme *scheme)
{
    if (scheme->grid == SRQ_GRID_NONE)
        return 0;
    for (int c = 0; s != NULL && c < s->count; c++) {
        if (srq_scheme_equal(&s->scheme[c], scheme))
            return s->score[(size_t)layer * (size_t)s->count + (size_t)c];
    }
    return (double)NAN;
}

double srq_scores_forecast(const struct srq_scores *s, const struct srq_plan *plan)
{
    double sum = 0;

    for (int i = 0; i < plan->count; i++)
        sum += srq_scores_of(s, i, &plan->layers[i].scheme);
    return sum;
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */

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

    if (o == NULL || !cJSON_AddItemToArray(rows, o) || cJSON_AddStringToObject(o, "name", name) == NULL)
        return false;
    list = cJSON_AddArrayToObject(o, "scores");
    for (int c = 0; list != NULL && c < count; c++) {
        if (!cJSON_AddItemToArray(list, number_or_null(score[c])))
            return false;
    }
    return list != NULL;
}

cJSON *srq_scores_json(const struct srq_scores *s, const struct srq_layer_info *const *layers)
{
    cJSON *root = cJSON_CreateObject(), *list = NULL, *rows = NULL;
    char text[32];
    bool ok = root != NULL && (list = cJSON_AddArrayToObject(root, "candidates")) != NULL &&
              (rows = cJSON_AddArrayToObject(root, "layers")) != NULL;

    for (int c = 0; ok && c < s->count; c++)
        ok = cJSON_AddItemToArray(list, cJSON_CreateString(srq_scheme_text(&s->scheme[c], text, sizeof(text))));
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
    const char *have = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "name"));
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

int srq_scores_from_json(const cJSON *json, const struct srq_layer_info *const *layers, int count,
                         struct srq_scores *out, struct srq_error *err)
{
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(json, "candidates"), *item;
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(json, "layers");
    struct srq_scheme schemes[SRQ_CANDIDATES_MAX];
    int n = 0, i = 0, rc = 0;

    memset(out, 0, sizeof(*out));
    if (!cJSON_IsArray(names) || !cJSON_IsArray(rows) || cJSON_GetArraySize(names) > SRQ_CANDIDATES_MAX ||
        cJSON_GetArraySize(rows) != count)
        return bad(err, "candidates or layers are missing");
    cJSON_ArrayForEach(item, names)
    {
        if (!cJSON_IsString(item))
            return bad(err, "a candidate is no text");
        rc = srq_scheme_parse(item->valuestring, &schemes[n++], err);
        if (rc != 0)
            return rc;
    }
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
    cJSON *json = srq_scores_json(s, layers);
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
    rc = srq_scores_from_json(json, layers, count, out, err);
    cJSON_Delete(json);
    return rc;
}
