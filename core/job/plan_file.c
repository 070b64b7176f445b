/* The live plan written and read. */
#include "core/job/plan_file.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/change_json.h"
#include "core/job/plan_json.h"
#include "core/proto/members.h"

#include <math.h>

#define PLAN_MAX ((size_t)256 << 20)

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static bool add_budget(cJSON *root, const struct srq_live_plan *lp)
{
    cJSON *budget;

    if (lp->candidate_count == 0 && isnan(lp->bits))
        return cJSON_AddNullToObject(root, "budget") != NULL;
    budget = cJSON_AddObjectToObject(root, "budget");
    return srq_put_schemes(budget, "candidates", lp->candidates, lp->candidate_count) &&
           srq_put_number(budget, "bits", lp->bits);
}

static bool add_hold(cJSON *root, const struct srq_live_plan *lp)
{
    cJSON *hold, *schemes;

    if (lp->hold < 0)
        return cJSON_AddNullToObject(root, "hold") != NULL;
    hold = cJSON_AddObjectToObject(root, "hold");
    if (!srq_put_number(hold, "block", lp->hold) || !srq_put_number(hold, "generation", (double)lp->hold_generation))
        return false;
    schemes = cJSON_AddObjectToObject(hold, "schemes");
    for (int i = 0; schemes != NULL && i < lp->plan.count; i++) {
        if (srq_layer_unit(lp, i) == lp->hold && !srq_put_scheme(schemes, lp->plan.layers[i].info->name, &lp->held[i]))
            return false;
    }
    return schemes != NULL;
}

static bool add_wanted(cJSON *root, const struct srq_live_plan *lp)
{
    cJSON *units = cJSON_AddArrayToObject(root, "retune"), *generations = cJSON_AddArrayToObject(root, "generations");

    for (int u = 0; units != NULL && generations != NULL && u < lp->units; u++) {
        if (lp->wanted[u] > 1 && (!cJSON_AddItemToArray(units, cJSON_CreateNumber(u)) ||
                                  !cJSON_AddItemToArray(generations, cJSON_CreateNumber((double)lp->wanted[u]))))
            return false;
    }
    return units != NULL && generations != NULL && cJSON_AddBoolToObject(root, "back", lp->back) != NULL;
}

static cJSON *to_json(const struct srq_live_plan *lp)
{
    cJSON *root = srq_plan_json(&lp->plan), *layers;
    bool ok;

    if (root == NULL)
        return NULL;
    layers = cJSON_DetachItemFromObjectCaseSensitive(root, "layers"); /* the longest comes last */
    ok = add_budget(root, lp) && srq_put_copy(root, "allocation", lp->allocation) &&
         srq_put_pins(root, "pins", lp->pins, lp->pin_count) && add_hold(root, lp) && add_wanted(root, lp) &&
         srq_put_live_options(root, lp->option) && srq_put_copy(root, "last_change", lp->last_change);
    ok = cJSON_AddItemToObject(root, "layers", layers) && ok;
    if (ok)
        return root;
    cJSON_Delete(root);
    return NULL;
}

int srq_live_plan_save(const struct srq_live_plan *lp, const char *path, struct srq_error *err)
{
    cJSON *json = to_json(lp);
    char *text = json != NULL ? cJSON_Print(json) : NULL;
    int rc;

    if (text == NULL)
        rc = srq_fail_field(err, -SRQ_ENOMEM, path, "out of memory writing %s", path);
    else
        rc = srq_write_file_durable(path, text, strlen(text), 0644, err);
    cJSON_free(text);
    cJSON_Delete(json);
    return rc;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int broken(const char *path, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EFORMAT, path, "%s: \"%s\" is not as it was written", path, what);
}

static int read_budget(const cJSON *json, const char *path, struct srq_live_plan *lp, struct srq_error *err)
{
    const cJSON *bits = cJSON_GetObjectItemCaseSensitive(json, "bits");
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "candidates");
    int n = cJSON_GetArraySize(list), rc;
    struct srq_scheme *schemes;

    if (!cJSON_IsObject(json) || !cJSON_IsArray(list) || (!cJSON_IsNumber(bits) && !cJSON_IsNull(bits)))
        return broken(path, "budget", err);
    schemes = srq_calloc((size_t)n + 1, sizeof(*schemes));
    if (schemes == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", path);
    rc = srq_read_schemes(list, n, schemes, &n, err);
    if (rc == 0)
        rc = srq_live_plan_budget(lp, srq_member_number(json, "bits"), schemes, n, err);
    srq_free(schemes);
    return rc;
}

static int read_pins(const cJSON *list, const char *path, struct srq_live_plan *lp, struct srq_error *err)
{
    const cJSON *item;
    struct srq_pin *pins;

    if (!cJSON_IsArray(list))
        return broken(path, "pins", err);
    for (int i = 0; i < lp->pin_count; i++)
        srq_free(lp->pins[i].pattern);
    lp->pin_count = 0;
    pins = srq_reallocarray(lp->pins, (size_t)cJSON_GetArraySize(list) + 1, sizeof(*pins));
    if (pins == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", path);
    lp->pins = pins;
    cJSON_ArrayForEach(item, list)
    {
        int rc = srq_read_pin(item, &pins[lp->pin_count++], err);

        if (rc != 0)
            return rc;
    }
    return 0;
}

static int read_hold(const cJSON *json, const char *path, struct srq_live_plan *lp, struct srq_error *err)
{
    const cJSON *unit = cJSON_GetObjectItemCaseSensitive(json, "block");
    const cJSON *generation = cJSON_GetObjectItemCaseSensitive(json, "generation");
    const cJSON *schemes = cJSON_GetObjectItemCaseSensitive(json, "schemes");

    lp->hold = -1;
    if (json == NULL || cJSON_IsNull(json))
        return 0;
    if (!cJSON_IsNumber(unit) || unit->valueint < 0 || unit->valueint >= lp->units || !cJSON_IsNumber(generation))
        return broken(path, "hold", err);
    for (int i = 0; i < lp->plan.count; i++) {
        int rc;

        if (srq_layer_unit(lp, i) != unit->valueint)
            continue;
        rc = srq_read_scheme(cJSON_GetObjectItemCaseSensitive(schemes, lp->plan.layers[i].info->name), &lp->held[i],
                             err);
        if (rc != 0)
            return rc;
    }
    lp->hold = unit->valueint;
    lp->hold_generation = (int64_t)generation->valuedouble;
    return 0;
}

static int read_wanted(const cJSON *root, const char *path, struct srq_live_plan *lp, struct srq_error *err)
{
    const cJSON *units = cJSON_GetObjectItemCaseSensitive(root, "retune");
    const cJSON *generations = cJSON_GetObjectItemCaseSensitive(root, "generations");
    int n = cJSON_GetArraySize(units);

    memset(lp->wanted, 0, (size_t)lp->units * sizeof(lp->wanted[0]));
    lp->back = srq_member_true(root, "back");
    if (cJSON_GetArraySize(generations) != n)
        return broken(path, "retune", err);
    for (int i = 0; i < n; i++) {
        const cJSON *unit = cJSON_GetArrayItem(units, i), *generation = cJSON_GetArrayItem(generations, i);

        if (!cJSON_IsNumber(unit) || unit->valueint < 0 || unit->valueint >= lp->units || !cJSON_IsNumber(generation))
            return broken(path, "retune", err);
        lp->wanted[unit->valueint] = (int64_t)generation->valuedouble;
    }
    return 0;
}

static int take_copy(const cJSON *root, const char *key, cJSON **out, struct srq_error *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);

    cJSON_Delete(*out);
    *out = cJSON_IsObject(item) ? cJSON_Duplicate(item, true) : NULL;
    return *out != NULL || !cJSON_IsObject(item) ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory reading plan.json");
}

static int from_json(struct srq_live_plan *lp, const cJSON *root, const char *path, struct srq_error *err)
{
    const cJSON *budget = cJSON_GetObjectItemCaseSensitive(root, "budget");
    const cJSON *pins = cJSON_GetObjectItemCaseSensitive(root, "pins");
    const struct srq_layer_info **layers = srq_calloc((size_t)lp->plan.count + 1, sizeof(*layers));
    struct srq_plan plan;
    int rc;

    if (layers == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading %s", path);
    for (int i = 0; i < lp->plan.count; i++)
        layers[i] = lp->plan.layers[i].info;
    rc = srq_plan_from_json(layers, lp->plan.count, root, &plan, err);
    srq_free(layers);
    if (rc != 0)
        return rc;
    srq_plan_fini(&lp->plan);
    lp->plan = plan;
    if (budget != NULL && !cJSON_IsNull(budget))
        rc = read_budget(budget, path, lp, err);
    if (rc == 0 && pins != NULL)
        rc = read_pins(pins, path, lp, err);
    if (rc == 0)
        rc = read_hold(cJSON_GetObjectItemCaseSensitive(root, "hold"), path, lp, err);
    if (rc == 0)
        rc = read_wanted(root, path, lp, err);
    srq_read_live_options(root, lp->option);
    if (rc == 0)
        rc = take_copy(root, "allocation", &lp->allocation, err);
    return rc == 0 ? take_copy(root, "last_change", &lp->last_change, err) : rc;
}

int srq_live_plan_load(struct srq_live_plan *lp, const char *path, struct srq_error *err)
{
    char *text;
    size_t len;
    cJSON *json;
    int rc = srq_read_file(path, PLAN_MAX, &text, &len, err);

    if (rc != 0)
        return rc;
    json = cJSON_ParseWithLength(text, len);
    if (json == NULL)
        rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not JSON", path);
    else
        rc = from_json(lp, json, path, err);
    cJSON_Delete(json);
    srq_free(text);
    return rc;
}
