/* Asking for a change of a plan. */
#include "tui/srqctl/change.h"

#include "core/base/alloc.h"
#include "core/proto/members.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A pattern may hold '=' (a regular expression's lookahead), a scheme does not: the last one divides. */
static int add_pin(cJSON *pins, const char *pattern, size_t len, const char *scheme, bool untied, struct srq_error *err)
{
    char *text = srq_strndup(pattern, len);
    cJSON *row = cJSON_CreateObject();

    if (text == NULL || row == NULL || !srq_put_text(row, "pattern", text) || !srq_put_text(row, "scheme", scheme) ||
        (untied && cJSON_AddTrueToObject(row, "untied") == NULL)) {
        srq_free(text);
        cJSON_Delete(row);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    }
    srq_free(text);
    cJSON_AddItemToArray(pins, row);
    return 0;
}

int ctl_pins(const char *const *words, int count, bool untied, cJSON **pins, struct srq_error *err)
{
    int rc = 0;

    *pins = cJSON_CreateArray();
    if (count == 2 && strchr(words[1], '=') == NULL)
        return add_pin(*pins, words[0], strlen(words[0]), words[1], untied, err);
    for (int i = 0; i < count && rc == 0; i++) {
        const char *eq = strrchr(words[i], '=');

        if (eq == NULL || eq == words[i] || eq[1] == '\0')
            rc = srq_fail_field(err, -SRQ_EINVAL, "pins", "%s is not PATTERN=SCHEME, e.g. 'model.layers.0.*=w8'",
                                words[i]);
        else
            rc = add_pin(*pins, words[i], (size_t)(eq - words[i]), eq + 1, untied, err);
    }
    return rc;
}

cJSON *ctl_pattern_params(const struct ctl_args *a)
{
    cJSON *p = ctl_job_params(a->positional[0]), *list = cJSON_AddArrayToObject(p, "patterns");

    for (int i = 1; i < a->positional_count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(a->positional[i]));
    return p;
}

static int put_options(const struct ctl_args *a, cJSON *params, struct srq_error *err)
{
    double revision = NAN;
    int rc = ctl_whole(a, "revision", 0, 9007199254740992.0, &revision, err);

    if (!isnan(revision))
        cJSON_AddNumberToObject(params, "revision", revision);
    if (ctl_given(a, "propagate"))
        cJSON_AddTrueToObject(params, "propagate");
    if (ctl_given(a, "dry-run"))
        cJSON_AddTrueToObject(params, "dry_run");
    if (ctl_given(a, "after"))
        cJSON_AddStringToObject(params, "running", "after");
    return rc;
}

int ctl_change(struct ctl *ctl, const char *method, cJSON *params)
{
    struct srq_error err = { 0 };
    struct srq_buf text;
    cJSON *reply = NULL;
    int rc;

    if (put_options(&ctl->args, params, &err) != 0) {
        cJSON_Delete(params);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    rc = ctl_connect(ctl, true);
    if (rc != CTL_OK) {
        cJSON_Delete(params);
        return rc;
    }
    rc = ctl_call(ctl, method, params, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    srq_buf_init(&text, (size_t)1 << 20);
    ctl_change_text(reply, &text);
    cJSON_Delete(reply);
    return ctl_print_text(&text);
}
