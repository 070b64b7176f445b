/* Which jobs a comparison is made of, and what names their results. */
#include "tui/srqctl/compare.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/proto/members.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SEED 42

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory comparing methods");
}

/* ---- what was asked ---------------------------------------------------------------------------------------------- */

struct method {
    char *label, *plugins;
    bool named; /* the label was given */
    cJSON *options;
};

static void method_fini(struct method *m)
{
    srq_free(m->label);
    srq_free(m->plugins);
    cJSON_Delete(m->options);
}

static int add_option(struct method *m, const char *flag, const char *text, size_t len, struct srq_error *err)
{
    char pair[512];
    size_t n;

    snprintf(pair, sizeof(pair), "%.*s", (int)len, text);
    n = strcspn(pair, "=");
    if (n == 0 || pair[n] == '\0' || len >= sizeof(pair))
        return srq_fail_field(err, -SRQ_EINVAL, "methods", "%s: %.200s is not KEY=VALUE, e.g. teq.steps=100", flag,
                              pair);
    pair[n] = '\0';
    return srq_put_text(m->options, pair, pair + n + 1) ? 0 : no_memory(err);
}

/* [LABEL=]PLUGIN[+PLUGIN…][:KEY=VALUE…]; without a label it is called as it is written. */
static int parse_method(const char *flag, const char *text, size_t len, struct method *m, struct srq_error *err)
{
    size_t head = 0, sign = 0;
    char *whole;
    int rc = 0;

    *m = (struct method){ .options = cJSON_CreateObject() };
    while (head < len && text[head] != ':')
        head++;
    while (sign < head && text[sign] != '=')
        sign++;
    whole = srq_strndup(text, head);
    m->label = srq_strndup(text, sign < head ? sign : len);
    m->plugins = whole == NULL ? NULL : srq_strdup(sign < head ? whole + sign + 1 : whole);
    srq_free(whole);
    m->named = sign < head;
    if (m->options == NULL || m->label == NULL || m->plugins == NULL)
        return no_memory(err);
    if (m->label[0] == '\0' || m->plugins[0] == '\0')
        return srq_fail_field(err, -SRQ_EINVAL, "methods", "%s: \"%.*s\" names no method", flag, (int)len, text);
    for (char *p = m->plugins; *p != '\0'; p++)
        *p = *p == '+' ? ',' : *p;
    for (size_t at = head; rc == 0 && at < len;) {
        size_t end = ++at;

        while (end < len && text[end] != ':')
            end++;
        rc = add_option(m, flag, text + at, end - at, err);
        at = end;
    }
    return rc;
}

/* ---- names of results -------------------------------------------------------------------------------------------- */

static void add_file(struct srq_hash *h, const char *path)
{
    struct stat st;
    char text[80];

    srq_hash_add_text(h, path);
    if (stat(path, &st) != 0)
        return;
    snprintf(text, sizeof(text), "%lld %lld.%09ld", (long long)st.st_size, (long long)st.st_mtim.tv_sec,
             st.st_mtim.tv_nsec);
    srq_hash_add_text(h, text);
}

static int is_named(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int is_of_model(const struct dirent *e)
{
    const char *end = strrchr(e->d_name, '.');

    return end != NULL && (strcmp(end, ".safetensors") == 0 || strcmp(end, ".json") == 0);
}

/* What `takes` takes of a folder, `itself`: and its own name; or a file. */
static void add_files(struct srq_hash *h, const char *path, int (*takes)(const struct dirent *), bool itself)
{
    struct dirent **found = NULL;
    int n = scandir(path, &found, takes, alphasort);

    if (n < 0)
        add_file(h, path);
    else if (itself)
        srq_hash_add_text(h, path);
    for (int i = 0; i < n; i++) {
        char *inside = srq_path_join(path, found[i]->d_name);

        if (inside != NULL)
            add_file(h, inside);
        srq_free(inside);
        free(found[i]);
    }
    free(found);
}

/* The model's files, the texts and files that options name by size and time, everything that the job is told, and the
 * version. */
static int take_key(const cJSON *spec, char key[33], struct srq_error *err)
{
    static const char *const lists[] = { "calib", "eval" };
    struct srq_hash *h = srq_hash_create();
    const cJSON *option;
    char *text = cJSON_PrintUnformatted(spec);

    if (h == NULL || text == NULL) {
        srq_hash_free(h);
        cJSON_free(text);
        return no_memory(err);
    }
    srq_hash_add_text(h, PACKAGE_VERSION);
    srq_hash_add_text(h, text);
    add_files(h, ctl_str(spec, "model"), is_of_model, false); /* or an archive */
    for (size_t i = 0; i < 2; i++) {
        const cJSON *list = ctl_get(spec, lists[i]), *item;

        cJSON_ArrayForEach(item, list) if (cJSON_IsString(item)) add_files(h, item->valuestring, is_named, true);
    }
    cJSON_ArrayForEach(option, ctl_get(spec, "options")) if (cJSON_IsString(option)) add_file(h, option->valuestring);
    srq_hash_hex(h, key);
    srq_hash_free(h);
    cJSON_free(text);
    return 0;
}

/* ---- options of plugins ------------------------------------------------------------------------------------------ */

/* "PLUGIN.OPTION": how long PLUGIN is; 0 for an option of the job itself. */
static size_t plugin_of(const char *option)
{
    size_t n = strcspn(option, ".");

    return option[n] == '\0' || strncmp(option, "eval.", 5) == 0 ? 0 : n;
}

static bool has_plugin(const char *plugins, const char *name, size_t len)
{
    while (*plugins != '\0') {
        size_t n = strcspn(plugins, ",");

        if (n == len && memcmp(plugins, name, n) == 0)
            return true;
        plugins += n + (plugins[n] == ',');
    }
    return false;
}

/* What was set for plugins that this method does not have is of other methods. */
static void drop_foreign(cJSON *options, const char *plugins)
{
    for (cJSON *item = options->child, *next; item != NULL; item = next) {
        size_t n = plugin_of(item->string);

        next = item->next;
        if (n > 0 && !has_plugin(plugins, item->string, n))
            cJSON_Delete(cJSON_DetachItemViaPointer(options, item));
    }
}

/* But it has to be of one of them. */
static int check_foreign(const struct ctl_compare *c, const cJSON *base, struct srq_error *err)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, ctl_get(base, "options"))
    {
        size_t n = plugin_of(item->string);
        bool found = n == 0;

        for (int i = 0; i < c->count && !found; i++)
            found = has_plugin(c->rows[i].method, item->string, n);
        if (!found)
            return srq_fail_field(err, -SRQ_EINVAL, "set", "--set %s: none of the methods has a plugin %.*s",
                                  item->string, (int)n, item->string);
    }
    return 0;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int make_run(struct ctl_compare_run *run, const cJSON *base, const struct method *m, const char *scheme,
                    int64_t seed, const char *folder, struct srq_error *err)
{
    cJSON *options, *item;
    int rc;

    run->seed = seed;
    run->spec = cJSON_Duplicate(base, true);
    options = cJSON_GetObjectItemCaseSensitive(run->spec, "options");
    if (options == NULL)
        options = cJSON_AddObjectToObject(run->spec, "options");
    if (options == NULL)
        return no_memory(err);
    drop_foreign(options, m->plugins);
    cJSON_ArrayForEach(item, m->options)
    {
        cJSON_DeleteItemFromObjectCaseSensitive(options, item->string);
        cJSON_AddStringToObject(options, item->string, item->valuestring);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(options, "seed");
    cJSON_AddNumberToObject(options, "seed", (double)seed);
    cJSON_DeleteItemFromObjectCaseSensitive(run->spec, "output");
    cJSON_DeleteItemFromObjectCaseSensitive(run->spec, "force"); /* no part of what comes out */
    if (!srq_put_text(run->spec, "method", m->plugins) || !srq_put_text(run->spec, "scheme", scheme))
        return no_memory(err);
    if (ctl_get(run->spec, "formats") == NULL)
        cJSON_AddItemToArray(cJSON_AddArrayToObject(run->spec, "formats"), cJSON_CreateString("fake"));
    rc = take_key(run->spec, run->key, err);
    if (rc != 0)
        return rc;
    run->folder = srq_asprintf("%s/runs/%s", folder, run->key);
    if (run->folder == NULL || !srq_put_text(run->spec, "output", run->folder) ||
        cJSON_AddTrueToObject(run->spec, "force") == NULL)
        return no_memory(err);
    return 0;
}

static int make_row(struct ctl_compare *c, const cJSON *base, const struct method *m, const char *scheme, int seeds,
                    const char *folder, struct srq_error *err)
{
    const cJSON *given = ctl_get(base, "options.seed");
    int64_t first = cJSON_IsString(given) ? strtoll(given->valuestring, NULL, 10) : SEED;
    struct ctl_compare_row *rows = srq_reallocarray(c->rows, (size_t)c->count + 1, sizeof(*rows)), *row;
    int rc = 0;

    if (rows == NULL)
        return no_memory(err);
    c->rows = rows;
    row = &rows[c->count++];
    *row = (struct ctl_compare_row){ .label = srq_strdup(m->label),
                                     .method = srq_strdup(m->plugins),
                                     .scheme = srq_strdup(scheme),
                                     .named = m->named,
                                     .runs = srq_calloc((size_t)seeds, sizeof(*row->runs)) };
    if (row->label == NULL || row->method == NULL || row->scheme == NULL || row->runs == NULL)
        return no_memory(err);
    row->count = seeds;
    for (int i = 0; rc == 0 && i < seeds; i++)
        rc = make_run(&row->runs[i], base, m, scheme, first + i, folder, err);
    return rc;
}

static int each_scheme(struct ctl_compare *c, const struct ctl_args *a, const cJSON *base, const struct method *m,
                       int seeds, const char *folder, struct srq_error *err)
{
    struct ctl_names names = { 0 };
    const char *text;
    size_t n;
    int rc;

    while ((rc = ctl_next_name(a, "schemes", &names, &text, &n, err)) > 0) {
        char scheme[64];

        snprintf(scheme, sizeof(scheme), "%.*s", (int)n, text);
        rc = make_row(c, base, m, scheme, seeds, folder, err);
        if (rc != 0)
            break;
    }
    return rc;
}

int ctl_compare_make(const struct ctl_args *a, const cJSON *base, const char *folder, struct ctl_compare *out,
                     struct srq_error *err)
{
    struct ctl_names names = { 0 };
    const char *text;
    char flag[CTL_FLAG];
    double seeds = 1;
    size_t n;
    int rc = ctl_whole(a, "seeds", 1, 1000, &seeds, err);

    *out = (struct ctl_compare){ 0 };
    if (rc == 0 && (!ctl_given(a, "methods") || !ctl_given(a, "schemes")))
        rc = srq_fail_field(err, -SRQ_EINVAL, ctl_given(a, "methods") ? "schemes" : "methods",
                            "compare needs --methods LIST and --schemes LIST");
    ctl_flag(a, "methods", flag);
    while (rc == 0 && (rc = ctl_next_name(a, "methods", &names, &text, &n, err)) > 0) {
        struct method m;

        rc = parse_method(flag, text, n, &m, err);
        for (int i = 0; rc == 0 && i < out->count; i++)
            if ((m.named || out->rows[i].named) && strcmp(out->rows[i].label, m.label) == 0)
                rc = srq_fail_field(err, -SRQ_EINVAL, "methods", "%s: two methods are called \"%s\"", flag, m.label);
        if (rc == 0)
            rc = each_scheme(out, a, base, &m, (int)seeds, folder, err);
        method_fini(&m);
    }
    if (rc == 0)
        rc = check_foreign(out, base, err);
    if (rc != 0)
        ctl_compare_fini(out);
    return rc;
}

void ctl_compare_fini(struct ctl_compare *c)
{
    for (int i = 0; i < c->count; i++) {
        struct ctl_compare_row *row = &c->rows[i];

        for (int k = 0; k < row->count; k++) {
            cJSON_Delete(row->runs[k].spec);
            cJSON_Delete(row->runs[k].report);
            srq_free(row->runs[k].folder);
            srq_free(row->runs[k].job);
            srq_free(row->runs[k].reason);
        }
        srq_free(row->runs);
        srq_free(row->label);
        srq_free(row->method);
        srq_free(row->scheme);
    }
    srq_free(c->rows);
    *c = (struct ctl_compare){ 0 };
}
