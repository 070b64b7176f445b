/* JSON for people. */
#include "tui/srqctl/json_text.h"

#include "core/base/alloc.h"
#include "core/base/ends.h"
#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 12

static void number_text(const char *name, double v, char *out, size_t cap)
{
    char n[CTL_HUMAN];

    if (srq_ends_with(name, "_bytes") || strcmp(name, "bytes") == 0)
        snprintf(out, cap, "%s", ctl_human_bytes(v, n));
    else if (srq_ends_with(name, "_s"))
        snprintf(out, cap, "%s", ctl_human_seconds(v, n));
    else if (v == floor(v) && fabs(v) < 1e15)
        snprintf(out, cap, "%.0f", v);
    else
        snprintf(out, cap, "%s", ctl_human_number(v, n));
}

static void scalar_text(const cJSON *v, const char *name, char *out, size_t cap)
{
    char *json;

    if (cJSON_IsString(v)) {
        srq_escape_control(v->valuestring, out, cap);
    } else if (cJSON_IsNumber(v)) {
        number_text(name, v->valuedouble, out, cap);
    } else if (cJSON_IsBool(v)) {
        snprintf(out, cap, "%s", cJSON_IsTrue(v) ? "yes" : "no");
    } else if (v == NULL || cJSON_IsNull(v)) {
        snprintf(out, cap, "-");
    } else { /* short lists, shapes */
        json = cJSON_PrintUnformatted(v);
        snprintf(out, cap, "%s", json != NULL ? json : "");
        cJSON_free(json);
    }
}

/* "average_bits" reads "average bits"; units are with the number. */
static void heading(const char *name, char *out, size_t cap)
{
    size_t n;

    snprintf(out, cap, "%s", name);
    n = strlen(out);
    if (srq_ends_with(out, "_bytes"))
        out[n - 6] = '\0';
    else if (srq_ends_with(out, "_s"))
        out[n - 2] = '\0';
    for (char *p = out; *p != '\0'; p++)
        if (*p == '_' || *p == '|')
            *p = ' ';
}

/* Columns are the members of the first row; later rows with others show them as "-". */
static void list_text(const cJSON *list, struct srq_buf *out)
{
    const cJSON *member, *row;
    const char *names[COLUMNS_MAX];
    char columns[1024] = "", head[80], cell[2048];
    struct ctl_table *t;
    size_t n = 0, len = 0;

    cJSON_ArrayForEach(member, list->child)
    {
        if (n == COLUMNS_MAX || len + sizeof(head) + 3 > sizeof(columns))
            break;
        heading(member->string, head, sizeof(head));
        len += (size_t)snprintf(columns + len, sizeof(columns) - len, "%s%s%s", n > 0 ? "|" : "",
                                cJSON_IsNumber(member) ? ">" : "", head);
        names[n++] = member->string;
    }
    t = n > 0 ? ctl_table_create(columns) : NULL;
    if (t == NULL)
        return;
    cJSON_ArrayForEach(row, list) for (size_t i = 0; i < n; i++)
    {
        scalar_text(cJSON_GetObjectItemCaseSensitive(row, names[i]), names[i], cell, sizeof(cell));
        ctl_table_cell(t, cell);
    }
    ctl_table_text(t, out);
    ctl_table_free(t);
}

static void object_text(const cJSON *object, const char *prefix, struct srq_buf *out)
{
    const cJSON *m;
    char head[160], value[2048], name[256];

    cJSON_ArrayForEach(m, object)
    {
        snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] != '\0' ? " " : "", m->string);
        if (cJSON_IsObject(m)) {
            object_text(m, name, out);
            continue;
        }
        if (cJSON_IsArray(m) && cJSON_IsObject(m->child))
            continue; /* tables come below */
        heading(name, head, sizeof(head));
        scalar_text(m, m->string, value, sizeof(value));
        srq_buf_printf(out, "%-20s %s\n", head, value);
    }
    cJSON_ArrayForEach(m, object) if (cJSON_IsArray(m) && cJSON_IsObject(m->child))
    {
        srq_buf_printf(out, "\n");
        list_text(m, out);
    }
}

void ctl_json_text(const cJSON *object, struct srq_buf *out)
{
    object_text(object, "", out);
}
