/* srqctl plugin list and info. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* "tunable, transform" in out. */
static const char *joined(const cJSON *words, char *out, size_t cap)
{
    const cJSON *w;
    size_t len = 0;

    out[0] = '\0';
    cJSON_ArrayForEach(w, words)
    {
        int n = cJSON_IsString(w) && len < cap
                    ? snprintf(out + len, cap - len, "%s%s", len > 0 ? ", " : "", w->valuestring)
                    : 0;

        len += n > 0 ? (size_t)n : 0;
    }
    return out;
}

int ctl_cmd_plugin_list(struct ctl *ctl)
{
    cJSON *reply = NULL;
    const cJSON *p;
    struct ctl_table *t;
    char parts[256], text[4096];
    int rc = ctl_connect(ctl, true);

    if (rc == CTL_OK)
        rc = ctl_call(ctl, "plugin.list", NULL, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    t = ctl_table_create("plugin|version|parts|what it does");
    cJSON_ArrayForEach(p, ctl_get(reply, "plugins"))
    {
        ctl_table_cell(t, ctl_str(p, "name"));
        ctl_table_cell(t, ctl_str(p, "version"));
        ctl_table_cell(t, joined(ctl_get(p, "parts"), parts, sizeof(parts)));
        ctl_table_cell(t, ctl_str(p, "summary"));
    }
    if (t != NULL)
        ctl_table_print(t);
    fflush(stdout);
    cJSON_ArrayForEach(p, ctl_get(reply, "broken"))
    {
        if (cJSON_IsString(p))
            fprintf(stderr, "srqctl: %s\n", srq_escape_control(p->valuestring, text, sizeof(text)));
    }
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}

/* "int 0..1000 iterations", "choice light|best". */
static void put_type(struct ctl_table *t, const cJSON *o)
{
    char text[256], words[160];
    double min = ctl_num(o, "min"), max = ctl_num(o, "max");
    int n = snprintf(text, sizeof(text), "%.20s", ctl_str(o, "type"));

    if (!isnan(min) && !isnan(max) && (min != 0 || max != 0))
        n += snprintf(text + n, sizeof(text) - (size_t)n, " %.15g..%.15g", min, max);
    if (cJSON_GetArraySize(ctl_get(o, "choices")) > 0)
        n += snprintf(text + n, sizeof(text) - (size_t)n, " %s", joined(ctl_get(o, "choices"), words, sizeof(words)));
    if (ctl_str(o, "unit")[0] != '\0')
        snprintf(text + n, sizeof(text) - (size_t)n, " %.30s", ctl_str(o, "unit"));
    ctl_table_cell(t, text);
}

static void print_options(const cJSON *info)
{
    struct ctl_table *t = ctl_table_create("option|default|type|meaning");
    const cJSON *o, *d;

    if (t == NULL)
        return;
    cJSON_ArrayForEach(o, ctl_get(info, "options"))
    {
        char *text = NULL;

        d = ctl_get(o, "default");
        ctl_table_cellf(t, "%.60s.%.60s", ctl_str(info, "name"), ctl_str(o, "name"));
        if (d == NULL || cJSON_IsNull(d))
            ctl_table_cell(t, "-");
        else if (cJSON_IsString(d))
            ctl_table_cell(t, d->valuestring);
        else
            ctl_table_cell(t, (text = cJSON_PrintUnformatted(d)) != NULL ? text : "");
        cJSON_free(text);
        put_type(t, o);
        ctl_table_cell(t, ctl_str(o, "help"));
    }
    ctl_table_print(t);
}

int ctl_cmd_plugin_info(struct ctl *ctl)
{
    cJSON *p = cJSON_CreateObject(), *reply = NULL;
    const cJSON *r;
    char text[2048];
    int rc = ctl_connect(ctl, true);

    cJSON_AddStringToObject(p, "name", ctl->args.positional[0]);
    if (rc != CTL_OK) {
        cJSON_Delete(p);
        return rc;
    }
    rc = ctl_call(ctl, "plugin.info", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    printf("%s %s: ", ctl_str(reply, "name"), ctl_str(reply, "version"));
    puts(srq_escape_control(ctl_str(reply, "summary"), text, sizeof(text)));
    printf("parts: %s\n", joined(ctl_get(reply, "parts"), text, sizeof(text)));
    cJSON_ArrayForEach(r, ctl_get(reply, "recipes"))
    {
        char *json = cJSON_PrintUnformatted(r);

        printf("recipe: %s\n", json != NULL ? json : "");
        cJSON_free(json);
    }
    if (cJSON_GetArraySize(ctl_get(reply, "options")) > 0) {
        puts("");
        print_options(reply);
    }
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}
