/* Plans in words. */
#include "tui/srqctl/plan_text.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void print_member(const char *name, const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value), *line;
    size_t cap;

    if (text == NULL)
        return;
    cap = strlen(text) * 4 + 1;
    line = srq_malloc(cap);
    if (line != NULL && cJSON_IsString(value))
        printf("%-13s %s\n", name, srq_escape_control(value->valuestring, line, cap));
    else if (line != NULL)
        printf("%-13s %s\n", name, text); /* JSON has its control characters escaped */
    srq_free(line);
    cJSON_free(text);
}

static void print_options(const cJSON *options)
{
    const cJSON *o;

    cJSON_ArrayForEach(o, options)
    {
        char *text = cJSON_IsString(o) ? NULL : cJSON_PrintUnformatted(o), value[512];

        srq_escape_control(cJSON_IsString(o) ? o->valuestring : text != NULL ? text : "", value, sizeof(value));
        printf("  %s=%s\n", o->string, value);
        cJSON_free(text);
    }
}

void ctl_print_resolved(const cJSON *reply)
{
    const cJSON *m;

    cJSON_ArrayForEach(m, ctl_get(reply, "spec"))
    {
        bool empty = cJSON_IsNull(m) || cJSON_IsFalse(m) || (cJSON_IsArray(m) && m->child == NULL);

        if (strcmp(m->string, "options") == 0 || empty)
            continue;
        print_member(m->string, m);
    }
    puts("options");
    print_options(ctl_get(reply, "spec.options"));
    puts("");
}

/* Rows of the grouped plan. */
struct group {
    char key[640];
    const cJSON *layer; /* the first of them */
    double first, last; /* blocks; NaN outside */
    int count;
};

static const char *module_of(const cJSON *layer)
{
    const char *m = ctl_str(layer, "module");

    return m[0] != '\0' ? m : ctl_str(layer, "name");
}

/* The next name of a list with '|' between them into `out`; NULL at the end. */
static const char *next_member(const char *list, char out[32])
{
    size_t n = strcspn(list, "|");

    snprintf(out, 32, "%.*s", (int)n, list);
    return n == 0 ? NULL : list[n] == '|' ? list + n + 1 : list + n;
}

static size_t make_groups(const cJSON *layers, const char *members, struct group *groups)
{
    const cJSON *l;
    size_t count = 0, i;

    cJSON_ArrayForEach(l, layers)
    {
        char key[sizeof(groups->key)], member[32];
        double block = ctl_num(l, "block");
        const char *more = members;

        snprintf(key, sizeof(key), "%.300s|%.0f|%.0f|%.0f", module_of(l), ctl_num(l, "out"), ctl_num(l, "in"),
                 ctl_num(l, "kernel"));
        while ((more = next_member(more, member)) != NULL)
            snprintf(key + strlen(key), sizeof(key) - strlen(key), "|%.60s", ctl_str(l, member));
        for (i = 0; i < count && strcmp(groups[i].key, key) != 0; i++)
            ;
        if (i == count) {
            count++;
            memcpy(groups[i].key, key, sizeof(key));
            groups[i].layer = l;
            groups[i].first = block;
            groups[i].count = 0;
        }
        groups[i].last = block;
        groups[i].count++;
    }
    return count;
}

/* As the weight is stored: [out, in], of a convolution [out, in, kernel, kernel]. */
static void print_shape(const cJSON *layer, struct ctl_table *t)
{
    double out = ctl_num(layer, "out"), in = ctl_num(layer, "in"), kernel = ctl_num(layer, "kernel");

    if (isnan(kernel))
        ctl_table_cellf(t, "%.0fx%.0f", out, in);
    else
        ctl_table_cellf(t, "%.0fx%.0fx%.0fx%.0f", out, in / (kernel * kernel), kernel, kernel);
}

static void print_group(const struct group *g, const char *members, struct ctl_table *t)
{
    char member[32];

    if (isnan(g->first))
        ctl_table_cell(t, "-");
    else if (g->first == g->last)
        ctl_table_cellf(t, "%.0f", g->first);
    else
        ctl_table_cellf(t, g->count == (int)(g->last - g->first) + 1 ? "%.0f-%.0f" : "in %.0f-%.0f", g->first, g->last);
    ctl_table_cell(t, module_of(g->layer));
    print_shape(g->layer, t);
    while ((members = next_member(members, member)) != NULL)
        ctl_table_cell(t, ctl_str(g->layer, member));
    ctl_table_cellf(t, "%d", g->count);
}

/* Layers that do not get what was asked for, a line for each reason and the first layer that has it. */
static void print_kept(const cJSON *layers)
{
    const cJSON *l, *other;
    char name[600], why[600], asked[128];

    cJSON_ArrayForEach(l, layers)
    {
        int alike = 0;

        if (ctl_str(l, "why")[0] == '\0')
            continue;
        for (other = layers->child; other != l && strcmp(ctl_str(other, "why"), ctl_str(l, "why")) != 0;)
            other = other->next;
        if (other != l)
            continue;
        for (; other != NULL; other = other->next)
            alike += strcmp(ctl_str(other, "why"), ctl_str(l, "why")) == 0;
        printf("%s", srq_escape_control(ctl_str(l, "name"), name, sizeof(name)));
        if (alike > 1)
            printf(" and %d more", alike - 1);
        printf(": not %s: %s\n", srq_escape_control(ctl_str(l, "asked"), asked, sizeof(asked)),
               srq_escape_control(ctl_str(l, "why"), why, sizeof(why)));
    }
}

void ctl_print_layers(const cJSON *layers, const char *members)
{
    char columns[128];
    size_t n = layers != NULL ? (size_t)cJSON_GetArraySize(layers) : 0, count;
    struct group *groups = srq_calloc(n + 1, sizeof(*groups));
    struct ctl_table *t;

    snprintf(columns, sizeof(columns), "blocks|module|shape|%.60s|>layers", members);
    t = ctl_table_create(columns);
    if (groups == NULL || t == NULL) {
        srq_free(groups);
        ctl_table_free(t);
        return;
    }
    count = make_groups(layers, members, groups);
    for (size_t i = 0; i < count; i++)
        print_group(&groups[i], members, t);
    ctl_table_print(t);
    srq_free(groups);
    print_kept(layers);
}

static void print_rows(const char *what, const cJSON *amounts)
{
    const cJSON *row;
    char n[CTL_HUMAN], name[200];

    if (!cJSON_IsObject(amounts))
        return;
    printf("%-7s %10s\n", what, ctl_human_bytes(ctl_num(amounts, "planned_bytes"), n));
    cJSON_ArrayForEach(row, ctl_get(amounts, "rows")) printf(
        "        %10s  %s%s%s%s\n", ctl_human_bytes(ctl_num(row, "bytes"), n),
        srq_escape_control(ctl_str(row, "name"), name, sizeof(name)), ctl_str(row, "stage")[0] != '\0' ? " (" : "",
        ctl_str(row, "stage"), ctl_str(row, "stage")[0] != '\0' ? ")" : "");
}

/* A planner's answer has sizes in an object of their own, a job's row among the rest. */
static double size_of(const cJSON *reply, const char *name)
{
    return ctl_num(cJSON_IsObject(ctl_get(reply, "size")) ? ctl_get(reply, "size") : reply, name);
}

void ctl_print_amounts(const cJSON *reply)
{
    char a[CTL_HUMAN], b[CTL_HUMAN], c[CTL_HUMAN];

    print_rows("memory", ctl_get(reply, "memory"));
    print_rows("disk", ctl_get(reply, "disk"));
    if (cJSON_IsNumber(ctl_get(reply, "spec.budget.bits")) && isnan(size_of(reply, "after_bytes")))
        printf("%-7s %10s -> chosen once layers are scored, at most %s bits a weight\n", "size",
               ctl_human_bytes(size_of(reply, "before_bytes"), a),
               ctl_human_number(ctl_num(reply, "spec.budget.bits"), b));
    else if (!isnan(size_of(reply, "after_bytes")))
        printf("%-7s %10s -> %s, %s bits a weight\n", "size", ctl_human_bytes(size_of(reply, "before_bytes"), a),
               ctl_human_bytes(size_of(reply, "after_bytes"), b), ctl_human_number(size_of(reply, "average_bits"), c));
    if (!isnan(ctl_num(reply, "estimate_s")))
        printf("%-7s %10s on %.0f threads\n", "time", ctl_human_seconds(ctl_num(reply, "estimate_s"), a),
               ctl_num(reply, "threads"));
    ctl_print_warnings(reply);
}

void ctl_print_warnings(const cJSON *reply)
{
    char text[2048];
    const cJSON *w;

    cJSON_ArrayForEach(w, ctl_get(reply, "warnings")) if (cJSON_IsString(w))
        printf("warning: %s\n", srq_escape_control(w->valuestring, text, sizeof(text)));
}

void ctl_print_sums(const cJSON *reply)
{
    char a[CTL_HUMAN], b[CTL_HUMAN];

    if (!cJSON_IsObject(ctl_get(reply, "size")))
        return;
    printf("%s -> %s", ctl_human_bytes(ctl_num(reply, "size.before_bytes"), a),
           isnan(ctl_num(reply, "size.after_bytes")) ? "chosen once layers are scored"
                                                     : ctl_human_bytes(ctl_num(reply, "size.after_bytes"), b));
    if (!isnan(ctl_num(reply, "size.average_bits")))
        printf(" (%s bits a weight)", ctl_human_number(ctl_num(reply, "size.average_bits"), a));
    printf(", memory %s, disk %s", ctl_human_bytes(ctl_num(reply, "memory.planned_bytes"), a),
           ctl_human_bytes(ctl_num(reply, "disk.planned_bytes"), b));
    if (!isnan(ctl_num(reply, "estimate_s")))
        printf(", about %s", ctl_human_seconds(ctl_num(reply, "estimate_s"), a));
    puts("");
}
