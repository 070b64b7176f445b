/* The history of a plan, as deltas that lead back. */
#include "core/job/history.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/fs.h"
#include "core/job/change_json.h"
#include "core/job/plan_json.h"
#include "core/proto/members.h"
#include "core/proto/words.h"

#include <inttypes.h>
#include <math.h>

#define HISTORY_MAX ((size_t)256 << 20)
#define WHAT_MAX 400

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory for the plan's history");
}

static int broken(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EFORMAT, SRQ_HISTORY_FILE, "%s: \"%s\" is not as it was written", SRQ_HISTORY_FILE,
                          what);
}

static cJSON *revisions(const cJSON *history)
{
    return cJSON_GetObjectItemCaseSensitive(history, "revisions");
}

static int64_t number_of(const cJSON *entry)
{
    double n = srq_member_number(entry, "revision");

    return n >= 0 && n < 9e15 ? (int64_t)n : -1;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static void drop_from(cJSON *history, int64_t revision)
{
    cJSON *list = revisions(history);

    for (int n = cJSON_GetArraySize(list); n > 0 && number_of(cJSON_GetArrayItem(list, n - 1)) >= revision; n--)
        cJSON_DeleteItemFromArray(list, n - 1);
}

static int read(const char *path, cJSON **out, struct srq_error *err)
{
    size_t len;
    char *text;
    int rc = srq_read_file(path, HISTORY_MAX, &text, &len, err);

    if (rc != 0)
        return rc;
    *out = cJSON_ParseWithLength(text, len);
    srq_free(text);
    return cJSON_IsArray(revisions(*out)) ? 0 : broken("revisions", err);
}

int srq_history_load(const char *dir, int64_t revision, cJSON **out, struct srq_error *err)
{
    char *path = srq_path_join(dir, SRQ_HISTORY_FILE);
    int rc = 0;

    *out = NULL;
    if (path == NULL)
        return no_memory(err);
    if (srq_path_exists(path)) {
        rc = read(path, out, err);
    } else {
        *out = cJSON_CreateObject();
        rc = cJSON_AddArrayToObject(*out, "revisions") != NULL ? 0 : no_memory(err);
    }
    srq_free(path);
    if (rc == 0)
        drop_from(*out, revision + 1);
    return rc;
}

int srq_history_save(const cJSON *history, const char *dir, struct srq_error *err)
{
    char *path = srq_path_join(dir, SRQ_HISTORY_FILE), *text = cJSON_PrintUnformatted(history);
    int rc =
        path != NULL && text != NULL ? srq_write_file_durable(path, text, strlen(text), 0644, err) : no_memory(err);

    cJSON_free(text);
    srq_free(path);
    return rc;
}

/* ---- a revision -------------------------------------------------------------------------------------------------- */

/* The request in words: "*.o_proj=w8, a.*=w4g64 untied", "3.5", "none", "2". */
static void put_what(struct srq_buf *b, const struct srq_change *c)
{
    char text[32];

    for (int i = 0; i < c->pin_count && b->len < WHAT_MAX; i++)
        srq_buf_printf(b, "%s%.200s=%s%s", i > 0 ? ", " : "", c->pins[i].pattern,
                       srq_scheme_text(&c->pins[i].scheme, text, sizeof(text)), c->pins[i].untied ? " untied" : "");
    for (int i = 0; i < c->pattern_count && b->len < WHAT_MAX; i++)
        srq_buf_printf(b, "%s%.200s", i > 0 ? ", " : "", c->patterns[i]);
    if (b->len >= WHAT_MAX)
        srq_buf_puts(b, " ...");
    if (c->op == SRQ_CHANGE_BUDGET && isnan(c->bits))
        srq_buf_puts(b, "none");
    else if (c->op == SRQ_CHANGE_BUDGET)
        srq_buf_printf(b, "%.15g", c->bits);
    else if (c->op == SRQ_CHANGE_REVERT)
        srq_buf_printf(b, "%" PRId64, c->to);
    for (int i = 0; i < SRQ_LIVE_OPTIONS; i++) {
        if (c->sets[i] && isnan(c->option[i]))
            srq_buf_printf(b, "%s%s=default", b->len > 0 ? " " : "", srq_live_option_words[i]);
        else if (c->sets[i])
            srq_buf_printf(b, "%s%s=%.15g", b->len > 0 ? " " : "", srq_live_option_words[i], c->option[i]);
    }
}

/* What the allocator had said is kept only where that is something else afterwards. */
static bool put_before(cJSON *o, const struct srq_live_plan *now, const struct srq_live_plan *next)
{
    cJSON *before = cJSON_AddObjectToObject(o, "before");
    bool same = now->allocation == next->allocation || cJSON_Compare(now->allocation, next->allocation, true);

    return (same || srq_put_copy(before, "allocation", now->allocation)) && srq_put_number(before, "bits", now->bits) &&
           srq_put_live_options(before, now->option) && srq_put_pins(before, "pins", now->pins, now->pin_count);
}

static bool put_layers(cJSON *o, const struct srq_plan *now, const struct srq_plan *next, int *changed)
{
    cJSON *list = cJSON_AddArrayToObject(o, "layers");

    for (int i = 0; list != NULL && i < now->count; i++) {
        const struct srq_plan_layer *a = &now->layers[i], *b = &next->layers[i];
        cJSON *row;

        *changed += !srq_scheme_equal(&a->scheme, &b->scheme);
        if (srq_plan_layer_equal(a, b))
            continue;
        row = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(list, row) || !srq_put_text(row, "layer", a->info->name) ||
            !srq_put_scheme(row, "old", &a->scheme) || !srq_put_scheme(row, "new", &b->scheme) ||
            !srq_put_scheme(row, "asked", &a->asked) || !srq_put_text(row, "source", srq_decider_words[a->source]) ||
            cJSON_AddBoolToObject(row, "untied", a->untied) == NULL)
            return false;
    }
    return list != NULL;
}

int srq_history_add(cJSON *history, const struct srq_live_plan *now, const struct srq_change *change,
                    const struct srq_live_plan *next, double time, struct srq_error *err)
{
    cJSON *list = revisions(history), *o = cJSON_CreateObject();
    struct srq_buf what;
    int changed = 0;
    bool ok;

    srq_buf_init(&what, (size_t)1 << 20);
    put_what(&what, change);
    ok = srq_put_number(o, "revision", (double)next->plan.revision) && srq_put_number(o, "time", time) &&
         srq_put_text(o, "by", change->by[0] != '\0' ? change->by : NULL) &&
         srq_put_text(o, "op", srq_change_words[change->op]) &&
         srq_put_text(o, "what", what.len > 0 ? what.data : NULL) && !what.failed && put_before(o, now, next) &&
         put_layers(o, &now->plan, &next->plan, &changed) && srq_put_number(o, "changed", changed);
    srq_buf_fini(&what);
    drop_from(history, next->plan.revision);
    if (!ok || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return no_memory(err);
    }
    while (cJSON_GetArraySize(list) > SRQ_HISTORY_MOST)
        cJSON_DeleteItemFromArray(list, 0);
    return 0;
}

/* ---- the way back ------------------------------------------------------------------------------------------------ */

/* Rows stand in the order of the plan. */
static int undo_layers(struct srq_plan *p, const cJSON *rows, struct srq_error *err)
{
    const cJSON *row;
    int at = 0;

    if (!cJSON_IsArray(rows))
        return broken("layers", err);
    cJSON_ArrayForEach(row, rows)
    {
        const char *name = srq_member_text(row, "layer");
        int source = srq_word_place(srq_decider_words, srq_member_text(row, "source")), rc;

        while (name != NULL && at < p->count && strcmp(p->layers[at].info->name, name) != 0)
            at++;
        if (name == NULL || at == p->count || source < 0)
            return broken("layer", err);
        rc = srq_read_scheme(cJSON_GetObjectItemCaseSensitive(row, "asked"), &p->layers[at].asked, err);
        if (rc != 0)
            return rc;
        p->layers[at].source = (enum srq_plan_source)source;
        p->layers[at].untied = srq_member_true(row, "untied");
    }
    return 0;
}

static int undo_pins(struct srq_live_plan *lp, const cJSON *list, struct srq_error *err)
{
    int n = cJSON_GetArraySize(list), count = 0, rc = 0;
    struct srq_pin *pins = srq_calloc((size_t)n + 1, sizeof(*pins));
    const cJSON *item;

    if (pins == NULL)
        return no_memory(err);
    cJSON_ArrayForEach(item, list)
    {
        if (rc == 0)
            rc = srq_read_pin(item, &pins[count++], err);
    }
    if (rc == 0)
        rc = srq_live_plan_pins(lp, pins, count, err);
    for (int i = 0; i < count; i++)
        srq_free(pins[i].pattern);
    srq_free(pins);
    return rc;
}

/* null: it had not chosen yet. */
static int take_allocation(struct srq_live_plan *lp, const cJSON *data, struct srq_error *err)
{
    cJSON_Delete(lp->allocation);
    lp->allocation = cJSON_IsNull(data) ? NULL : cJSON_Duplicate(data, true);
    return lp->allocation != NULL || cJSON_IsNull(data) ? 0 : no_memory(err);
}

int srq_history_past(const cJSON *history, const struct srq_live_plan *now, int64_t to, struct srq_live_plan *out,
                     struct srq_error *err)
{
    const cJSON *list = revisions(history);
    int n = cJSON_GetArraySize(list), rc = srq_live_plan_copy(now, out, err);
    int64_t oldest = n > 0 ? number_of(cJSON_GetArrayItem(list, 0)) - 1 : now->plan.revision;

    if (rc != 0)
        return rc;
    if (to > now->plan.revision || to < 0)
        return srq_fail_field(err, -SRQ_EINVAL, "to",
                              "there is no revision %" PRId64 "; the plan is at revision %" PRId64, to,
                              now->plan.revision);
    if (to < oldest)
        return srq_fail_field(err, -SRQ_EINVAL, "to",
                              "revision %" PRId64 " is not kept any more; the oldest that is kept is %" PRId64, to,
                              oldest);
    for (; rc == 0 && n > 0 && number_of(cJSON_GetArrayItem(list, n - 1)) > to; n--) {
        const cJSON *entry = cJSON_GetArrayItem(list, n - 1);
        const cJSON *before = cJSON_GetObjectItemCaseSensitive(entry, "before");

        const cJSON *allocation = cJSON_GetObjectItemCaseSensitive(before, "allocation");

        out->bits = srq_member_number(before, "bits");
        if (allocation != NULL)
            rc = take_allocation(out, allocation, err);
        srq_read_live_options(before, out->option);
        if (rc == 0)
            rc = undo_layers(&out->plan, cJSON_GetObjectItemCaseSensitive(entry, "layers"), err);
        if (rc == 0)
            rc = undo_pins(out, cJSON_GetObjectItemCaseSensitive(before, "pins"), err);
    }
    return rc;
}

/* ---- beside the export ------------------------------------------------------------------------------------------- */

static bool put_public_layers(cJSON *o, const cJSON *rows)
{
    cJSON *list = cJSON_AddArrayToObject(o, "layers");
    const cJSON *row;

    cJSON_ArrayForEach(row, rows)
    {
        const char *old = srq_member_text(row, "old"), *new = srq_member_text(row, "new");
        cJSON *copy;

        if (old != NULL && new != NULL && strcmp(old, new) == 0)
            continue;
        copy = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(list, copy) || !srq_put_member(copy, "layer", row) ||
            !srq_put_member(copy, "old", row) || !srq_put_member(copy, "new", row))
            return false;
    }
    return list != NULL;
}

cJSON *srq_history_public(const cJSON *history)
{
    cJSON *list = cJSON_CreateArray();
    const cJSON *entry;

    cJSON_ArrayForEach(entry, revisions(history))
    {
        cJSON *o = cJSON_CreateObject();

        if (!cJSON_AddItemToArray(list, o) || !srq_put_member(o, "revision", entry) ||
            !srq_put_member(o, "op", entry) || !srq_put_member(o, "what", entry) ||
            !put_public_layers(o, cJSON_GetObjectItemCaseSensitive(entry, "layers"))) {
            cJSON_Delete(list);
            return NULL;
        }
    }
    return list;
}
