/* Proposed schemes, their preview, and the request that makes them so. */
#include "tui/srqtop/edits.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "tui/srqtop/feed_value.h"

#include <stdio.h>
#include <string.h>

/* ---- proposals --------------------------------------------------------------------------------------------------- */

static const char *wanted_scheme(const struct top_layer *l)
{
    return l->edit[0] != '\0' ? l->edit : l->scheme;
}

static void set_edit(struct top_layer *l, const char *scheme, bool along)
{
    l->along = along;
    if (scheme == NULL || strcmp(scheme, l->scheme) == 0)
        l->edit[0] = '\0';
    else
        snprintf(l->edit, sizeof(l->edit), "%s", scheme);
}

/* Whether a change of `l` is one of `t` too: not where a pin took either out of the tie. */
static bool goes_along(const struct top_layer *l, const struct top_layer *t)
{
    return t != l && t->block == l->block && l->tie != NULL && t->tie != NULL && strcmp(t->tie, l->tie) == 0 &&
           !l->untied && !t->untied;
}

bool top_edit_scheme(struct top_job *j, struct top_layer *l, const char *scheme)
{
    if (scheme != NULL && strlen(scheme) >= sizeof(l->edit))
        return false;
    scheme = scheme != NULL && scheme[0] != '\0' ? scheme : NULL;
    set_edit(l, scheme, false);
    for (int i = 0; i < j->layer_count; i++)
        if (goes_along(l, &j->layers[i]))
            set_edit(&j->layers[i], scheme, true);
    return true;
}

/* The scheme with other bits: that of the layer, proposed or present; one that was left in 16 bits, or is in another
 * kind of grid, takes its group from the job's own. */
static void name_bits(const struct top_job *j, const struct top_layer *l, const char *from, int bits, char *out,
                      size_t cap)
{
    if (bits == 16)
        snprintf(out, cap, "bf16");
    else if (!srq_scheme_with_bits(from, bits, out, cap) && !srq_scheme_with_bits(l->scheme, bits, out, cap) &&
             (j->scheme == NULL || !srq_scheme_with_bits(j->scheme, bits, out, cap)))
        snprintf(out, cap, "w%d", bits);
}

bool top_edit_name(const struct top_job *j, const struct top_layer *l, int bits, char *out, size_t cap)
{
    name_bits(j, l, l->scheme, bits, out, cap);
    return out[0] != '\0';
}

bool top_edit_bits(struct top_job *j, struct top_layer *l, int bits)
{
    char scheme[32];

    if (bits < 1 || bits > 16)
        return false;
    name_bits(j, l, wanted_scheme(l), bits, scheme, sizeof(scheme));
    return top_edit_scheme(j, l, scheme);
}

/* Whether a layer can be stored in so many bits. Ties change together, so that theirs count too. */
bool top_edit_can_hold(const struct top_job *j, const struct top_layer *l, int bits)
{
    static const unsigned usual = 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8;

    if (bits == 16)
        return true;
    if ((l->widths != 0 ? l->widths : usual) >> bits & 1) {
        for (int i = 0; i < j->layer_count; i++) {
            const struct top_layer *t = &j->layers[i];

            if (goes_along(l, t) && t->widths != 0 && (t->widths >> bits & 1) == 0)
                return false;
        }
        return true;
    }
    return false;
}

bool top_edit_step(struct top_job *j, struct top_layer *l, int direction)
{
    int now = srq_scheme_look(wanted_scheme(l)).bits;

    for (int bits = direction > 0 ? 1 : 16; bits >= 1 && bits <= 16; bits += direction) {
        if ((direction > 0 ? bits > now : bits < now) && top_edit_can_hold(j, l, bits))
            return top_edit_bits(j, l, bits);
    }
    return false;
}

int top_edits_count(const struct top_job *j)
{
    int n = 0;

    for (int i = 0; i < j->layer_count; i++)
        n += j->layers[i].edit[0] != '\0';
    return n;
}

void top_edits_drop(struct top_job *j)
{
    for (int i = 0; i < j->layer_count; i++)
        j->layers[i].edit[0] = '\0';
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

cJSON *top_edits_params(const struct top_job *j, const struct top_edit_options *options, bool dry_run)
{
    cJSON *p = cJSON_CreateObject(), *pins = cJSON_AddArrayToObject(p, "pins"), *pin;

    for (int i = 0; pins != NULL && i < j->layer_count; i++) {
        const struct top_layer *l = &j->layers[i];

        if (l->edit[0] == '\0' || (options->untied && l->along))
            continue;
        pin = cJSON_CreateObject();
        if (pin == NULL || !cJSON_AddItemToArray(pins, pin)) {
            cJSON_Delete(p);
            return NULL;
        }
        cJSON_AddStringToObject(pin, "pattern", l->name);
        cJSON_AddStringToObject(pin, "scheme", l->edit);
        if (options->untied || l->untied)
            cJSON_AddTrueToObject(pin, "untied");
    }
    if (cJSON_GetArraySize(pins) == 0) {
        cJSON_Delete(p);
        return NULL;
    }
    cJSON_AddStringToObject(p, "job", j->id);
    cJSON_AddNumberToObject(p, "revision", (double)j->revision);
    if (options->after)
        cJSON_AddStringToObject(p, "running", "after");
    if (options->propagate)
        cJSON_AddTrueToObject(p, "propagate");
    if (dry_run)
        cJSON_AddTrueToObject(p, "dry_run");
    return p;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static void take_warnings(struct top_preview *p, const cJSON *list)
{
    const cJSON *w;

    p->warnings = srq_calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*p->warnings));
    cJSON_ArrayForEach(w, list)
    {
        if (p->warnings != NULL && cJSON_IsString(w) && w->valuestring[0] != '\0')
            top_set_text(&p->warnings[p->warning_count++], w->valuestring);
    }
}

void top_preview_take(struct top_preview *p, const cJSON *result, const struct srq_error *err)
{
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(result, "size");
    const cJSON *now = cJSON_GetObjectItemCaseSensitive(result, "size_now");
    const cJSON *forecast = cJSON_GetObjectItemCaseSensitive(result, "forecast");

    top_preview_reset(p);
    p->known = true;
    if (result == NULL) {
        top_set_text(&p->refused, err != NULL && err->text[0] != '\0' ? err->text : "refused without a reason");
        return;
    }
    p->changed = (int)feed_int(result, "changed", 0, TOP_LAYERS, 0);
    p->moved = (int)feed_int(result, "moved", 0, TOP_LAYERS, 0);
    if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(result, "forecast_missing")))
        top_set_text(&p->missing, cJSON_GetObjectItemCaseSensitive(result, "forecast_missing")->valuestring);
    p->before_bytes = feed_metric(now, "after_bytes");
    p->after_bytes = feed_metric(size, "after_bytes");
    p->average_bits_now = feed_metric(now, "average_bits");
    p->average_bits = feed_metric(size, "average_bits");
    p->forecast_now = feed_metric(forecast, "now");
    p->forecast = feed_metric(forecast, "then");
    p->cost_s = feed_metric(result, "cost_s");
    p->restarts = (int)feed_int(result, "restarts", 0, TOP_BLOCKS, -1);
    p->retunes = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(result, "retunes"));
    p->revision = feed_int(result, "revision", 0, INT64_MAX / 2, 0);
    take_warnings(p, cJSON_GetObjectItemCaseSensitive(result, "warnings"));
}

void top_change_text(const cJSON *result, char *out, size_t cap)
{
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(result, "size"), *warning;
    int64_t changed = feed_int(result, "changed", 0, TOP_LAYERS, 0), restarts;
    int retunes = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(result, "retunes"));
    struct metric bits = feed_metric(size, "average_bits");
    bool applied = srq_member_true(result, "applied");
    struct srq_buf b;
    char *text;

    srq_buf_init(&b, 4096);
    if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(result, "effect")))
        srq_buf_puts(&b, "nothing changes");
    else
        srq_buf_printf(&b, "%lld %s %s", (long long)changed, changed == 1 ? "layer" : "layers",
                       applied ? "changed" : "would change");
    srq_buf_printf(&b, "; plan revision %lld", (long long)feed_int(result, "revision", 0, INT64_MAX / 2, 0));
    if (bits.known)
        srq_buf_printf(&b, ", %.3g bits on average", bits.v);
    restarts = feed_int(result, "restarts", 0, TOP_BLOCKS, -1);
    if (restarts >= 0)
        srq_buf_printf(&b, ", block %lld begins again", (long long)restarts);
    if (retunes > 0)
        srq_buf_printf(&b, ", %d %s tuned again", retunes, retunes == 1 ? "block is" : "blocks are");
    cJSON_ArrayForEach(warning, cJSON_GetObjectItemCaseSensitive(result, "warnings"))
    {
        if (cJSON_IsString(warning))
            srq_buf_printf(&b, "; %.300s", warning->valuestring);
    }
    text = b.data;
    snprintf(out, cap, "%s", text != NULL ? text : "");
    srq_buf_fini(&b);
}

bool top_is_stale_revision(const struct srq_error *err)
{
    return err != NULL && (err->code == SRQ_ESTATE || err->code == -SRQ_ESTATE) && strcmp(err->field, "revision") == 0;
}

double top_edit_due(const struct top_edit_clock *c, double now)
{
    double next = c->last_s + TOP_PREVIEW_S;

    if (!c->wanted || c->asked)
        return -1;
    return next > now ? next - now : 0;
}
