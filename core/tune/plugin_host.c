/* Finding plugins, loading them, and checking everything that can be checked before one of their functions runs. */
#include "core/tune/plugin_host.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/fs.h"
#include "core/tune/options.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>

#define SYMBOL "srq_plugin"
#define SUFFIX ".so"
#define NAME_MAX_LEN 64

/* ---- the ABI check ----------------------------------------------------------------------------------------------- */

static bool is_plugin_name(const char *s)
{
    return s[0] >= 'a' && s[0] <= 'z' && strlen(s) < NAME_MAX_LEN &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

/* Sizes of the structs by minor version: they only grow, and what a plugin does not have is zero. 0: there was none. */
static const struct abi {
    size_t plugin, oneshot, tunable, scorer, allocator, transform;
} versions[] = {
    [0] = { .plugin = offsetof(struct srq_plugin, scorer),
            .oneshot = offsetof(struct srq_oneshot, needs_of),
            .tunable = offsetof(struct srq_tunable, needs) },
    [1] = { .plugin = offsetof(struct srq_plugin, transform),
            .oneshot = sizeof(struct srq_oneshot),
            .tunable = sizeof(struct srq_tunable),
            .scorer = sizeof(struct srq_scorer),
            .allocator = sizeof(struct srq_allocator) },
    [2] = { sizeof(struct srq_plugin), sizeof(struct srq_oneshot), sizeof(struct srq_tunable),
            sizeof(struct srq_scorer), sizeof(struct srq_allocator), sizeof(struct srq_transform) },
};
_Static_assert(sizeof(versions) / sizeof(versions[0]) == SRQ_ABI_MINOR + 1, "every minor version has its sizes");

/* The head, in the order in which a foreign object can be read without trusting it further than checked. */
static int check_head(const struct srq_plugin *p, const char *path, struct srq_error *err)
{
    if (p->magic != SRQ_PLUGIN_MAGIC)
        return srq_fail(err, -SRQ_EFORMAT, "%s is no srq plugin: its magic number is 0x%08x, not 0x%08x", path,
                        (unsigned)p->magic, SRQ_PLUGIN_MAGIC);
    if (p->abi_major != SRQ_ABI_MAJOR)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "plugin %s was built for ABI %d.%d, this srq has %d.%d", path,
                        p->abi_major, p->abi_minor, SRQ_ABI_MAJOR, SRQ_ABI_MINOR);
    if (p->abi_minor > SRQ_ABI_MINOR)
        return srq_fail(err, -SRQ_EUNSUPPORTED, "plugin %s needs ABI %d.%d, newer than this srq's %d.%d", path,
                        p->abi_major, p->abi_minor, SRQ_ABI_MAJOR, SRQ_ABI_MINOR);
    if (p->size != versions[p->abi_minor].plugin)
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s describes itself in %u bytes where ABI %d.%d has %zu", path,
                        (unsigned)p->size, p->abi_major, p->abi_minor, versions[p->abi_minor].plugin);
    if (p->name == NULL || !is_plugin_name(p->name))
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s has no proper name (a-z, 0-9 and -)", path);
    if (p->version == NULL || p->summary == NULL)
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s lacks version or summary", path);
    return 0;
}

/* A plugin and its parts as this build knows them. */
struct copy {
    struct srq_plugin plugin;
    struct srq_oneshot oneshot;
    struct srq_tunable tunable;
    struct srq_scorer scorer;
    struct srq_allocator allocator;
    struct srq_transform transform;
};

/* `to` has room for this build's struct, which is never the smaller one. */
static int copy_part(void *to, const void *from, const char *what, size_t want, const char *path, struct srq_error *err)
{
    uint32_t size;

    memcpy(&size, from, sizeof(size)); /* every part begins with it */
    if (size != want)
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s has no %s part of the right size: %u bytes, not %zu", path, what,
                        (unsigned)size, want);
    memcpy(to, from, size);
    return 0;
}

/* Checks the sizes of all parts and makes the handle's plugin the copy of `p`. */
static int adopt(struct srq_plugin_handle *h, const struct srq_plugin *p, struct srq_error *err)
{
    const struct abi *v = &versions[p->abi_minor];
    struct copy *c = srq_calloc(1, sizeof(*c));
    int rc = 0;

    if (c == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for plugin %s", h->path);
    h->copy = c;
    h->plugin = &c->plugin;
    memcpy(&c->plugin, p, p->size);
    if (c->plugin.oneshot != NULL)
        rc = copy_part(&c->oneshot, c->plugin.oneshot, "oneshot", v->oneshot, h->path, err);
    if (rc == 0 && c->plugin.tunable != NULL)
        rc = copy_part(&c->tunable, c->plugin.tunable, "tunable", v->tunable, h->path, err);
    if (rc == 0 && c->plugin.scorer != NULL)
        rc = copy_part(&c->scorer, c->plugin.scorer, "scorer", v->scorer, h->path, err);
    if (rc == 0 && c->plugin.allocator != NULL)
        rc = copy_part(&c->allocator, c->plugin.allocator, "allocator", v->allocator, h->path, err);
    if (rc == 0 && c->plugin.transform != NULL)
        rc = copy_part(&c->transform, c->plugin.transform, "transform", v->transform, h->path, err);
    if (rc != 0)
        return rc;
    c->plugin.size = sizeof(c->plugin);
    c->plugin.oneshot = c->plugin.oneshot != NULL ? &c->oneshot : NULL;
    c->plugin.tunable = c->plugin.tunable != NULL ? &c->tunable : NULL;
    c->plugin.scorer = c->plugin.scorer != NULL ? &c->scorer : NULL;
    c->plugin.allocator = c->plugin.allocator != NULL ? &c->allocator : NULL;
    c->plugin.transform = c->plugin.transform != NULL ? &c->transform : NULL;
    return 0;
}

static int check_functions(const struct srq_plugin *p, const char *path, struct srq_error *err)
{
    const struct srq_tunable *t = p->tunable;
    const struct srq_oneshot *o = p->oneshot;
    const struct srq_scorer *r = p->scorer;
    const struct srq_allocator *a = p->allocator;
    const struct srq_transform *f = p->transform;
    const char *missing = NULL;

    if (p->create == NULL || p->destroy == NULL)
        missing = p->create == NULL ? "create" : "destroy";
    else if (o == NULL && t == NULL && r == NULL && a == NULL && f == NULL)
        missing = "oneshot, tunable, scorer, allocator or transform part";
    else if (f != NULL && (f->kinds == NULL || f->schedule == NULL || f->begin == NULL))
        missing = f->kinds == NULL ? "transform.kinds" : f->schedule == NULL ? "transform.schedule" : "transform.begin";
    else if (r != NULL && (r->data == NULL || r->rows == NULL))
        missing = r->data == NULL ? "scorer.data" : "scorer.rows";
    else if (a != NULL && a->solve == NULL)
        missing = "allocator.solve";
    else if (o != NULL && o->quantize == NULL)
        missing = "oneshot.quantize";
    else if (t != NULL && t->schedule == NULL)
        missing = "tunable.schedule";
    else if (t != NULL && t->declare == NULL)
        missing = "tunable.declare";
    else if (t != NULL && t->begin == NULL)
        missing = "tunable.begin";
    else if (t != NULL && t->weight == NULL)
        missing = "tunable.weight";
    else if (t != NULL && t->sink == NULL)
        missing = "tunable.sink";
    else if (t != NULL && t->step == NULL)
        missing = "tunable.step";
    else if (t != NULL && t->finish == NULL)
        missing = "tunable.finish";
    if (missing != NULL)
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s has no %s", path, missing);
    return 0;
}

int srq_plugin_load_path(const char *path, struct srq_plugin_handle *out, struct srq_error *err)
{
    const struct srq_plugin *exported;
    int rc;

    *out = (struct srq_plugin_handle){ 0 };
    out->path = srq_strdup(path);
    if (out->path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the name of plugin %s", path);
    out->dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (out->dl == NULL) {
        const char *why = dlerror();

        rc = srq_fail(err, srq_path_exists(path) ? -SRQ_EFORMAT : -SRQ_ENOENT, "plugin %s cannot be loaded: %s", path,
                      why != NULL ? why : "no reason given");
        goto fail;
    }
    exported = dlsym(out->dl, SYMBOL);
    if (exported == NULL) {
        rc = srq_fail(err, -SRQ_EFORMAT, "%s is no srq plugin: it exports no symbol " SYMBOL, path);
        goto fail;
    }
    rc = check_head(exported, path, err);
    if (rc == 0)
        rc = adopt(out, exported, err);
    if (rc == 0)
        rc = check_functions(out->plugin, path, err);
    if (rc == 0)
        rc = srq_options_check_table(out->plugin, err);
    if (rc != 0)
        goto fail;
    return 0;
fail:
    srq_plugin_unload(out);
    return rc;
}

uint32_t srq_plugin_needs(const struct srq_plugin *p, void *self)
{
    const struct srq_tunable *t = p->tunable;
    const struct srq_oneshot *o = p->oneshot;

    if (t != NULL)
        return t->needs != NULL ? t->needs(srq_host_services(), self) : 0;
    if (o == NULL)
        return 0;
    return o->needs | (o->needs_of != NULL ? o->needs_of(srq_host_services(), self) : 0);
}

void srq_plugin_unload(struct srq_plugin_handle *h)
{
    if (h->dl != NULL)
        dlclose(h->dl);
    srq_free(h->copy);
    srq_free(h->path);
    *h = (struct srq_plugin_handle){ 0 };
}

/* ---- the search path --------------------------------------------------------------------------------------------- */

/* Calls fn with each folder of $SRQ_PLUGIN_PATH, then with the installed one ($SRQ_PLUGIN_DIR in its place), until it
 * returns non-zero. */
static int each_dir(int (*fn)(void *ctx, const char *dir), void *ctx)
{
    const char *env = getenv("SRQ_PLUGIN_PATH"), *installed = getenv("SRQ_PLUGIN_DIR");
    int rc = 0;

    for (const char *p = env != NULL ? env : ""; rc == 0 && *p != '\0';) {
        size_t len = strcspn(p, ":");
        char *dir = srq_strndup(p, len);

        if (dir == NULL)
            return -SRQ_ENOMEM;
        if (len > 0)
            rc = fn(ctx, dir);
        srq_free(dir);
        p += len + (p[len] == ':');
    }
    return rc != 0 ? rc : fn(ctx, installed != NULL && installed[0] != '\0' ? installed : SRQ_PLUGINDIR);
}

struct names {
    char **list; /* NULL-terminated */
    size_t count;
};

static int add_name(struct names *n, const char *file)
{
    size_t len = strlen(file);
    char *name;
    char **list;

    if (len <= strlen(SUFFIX) || strcmp(file + len - strlen(SUFFIX), SUFFIX) != 0)
        return 0;
    name = srq_strndup(file, len - strlen(SUFFIX));
    if (name == NULL)
        return -SRQ_ENOMEM;
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->list[i], name) == 0) {
            srq_free(name);
            return 0;
        }
    }
    list = is_plugin_name(name) ? srq_reallocarray(n->list, n->count + 2, sizeof(*list)) : NULL;
    if (list == NULL) {
        int rc = is_plugin_name(name) ? -SRQ_ENOMEM : 0;

        srq_free(name);
        return rc;
    }
    n->list = list;
    n->list[n->count++] = name;
    n->list[n->count] = NULL;
    return 0;
}

static int list_dir(void *ctx, const char *dir)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int rc = 0;

    while (d != NULL && rc == 0 && (e = readdir(d)) != NULL)
        rc = add_name(ctx, e->d_name);
    if (d != NULL)
        closedir(d);
    return rc;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int srq_plugin_names(char ***names, struct srq_error *err)
{
    struct names n = { .list = srq_calloc(1, sizeof(char *)) };
    int rc = n.list != NULL ? each_dir(list_dir, &n) : -SRQ_ENOMEM;

    if (rc != 0) {
        srq_plugin_names_free(n.list);
        return srq_fail(err, rc, "no memory for the list of plugins");
    }
    qsort(n.list, n.count, sizeof(*n.list), compare);
    *names = n.list;
    return 0;
}

void srq_plugin_names_free(char **names)
{
    for (char **p = names; p != NULL && *p != NULL; p++)
        srq_free(*p);
    srq_free(names);
}

struct search {
    const char *name;
    char *found;
};

static int look_in(void *ctx, const char *dir)
{
    struct search *s = ctx;
    char *path = srq_asprintf("%s/%s" SUFFIX, dir, s->name);

    if (path == NULL)
        return -SRQ_ENOMEM;
    if (!srq_path_exists(path)) {
        srq_free(path);
        return 0;
    }
    s->found = path;
    return 1;
}

static int not_found(const char *name, struct srq_error *err)
{
    struct srq_buf known;
    char **names;

    if (srq_plugin_names(&names, err) != 0)
        return -SRQ_ENOMEM;
    srq_buf_init(&known, 512);
    for (char **p = names; *p != NULL; p++)
        srq_buf_printf(&known, "%s%s", p == names ? "" : ", ", *p);
    srq_fail(err, -SRQ_ENOENT, "there is no plugin \"%.80s\"; found are: %s", name,
             names[0] == NULL     ? "none"
             : known.data != NULL ? known.data
                                  : "");
    srq_buf_fini(&known);
    srq_plugin_names_free(names);
    return -SRQ_ENOENT;
}

int srq_plugin_load(const char *name, struct srq_plugin_handle *out, struct srq_error *err)
{
    struct search s = { .name = name };
    int rc;

    *out = (struct srq_plugin_handle){ 0 };
    if (!is_plugin_name(name))
        return not_found(name, err);
    rc = each_dir(look_in, &s);
    if (rc < 0)
        return srq_fail(err, rc, "no memory to look for plugin %s", name);
    if (s.found == NULL)
        return not_found(name, err);
    rc = srq_plugin_load_path(s.found, out, err);
    if (rc == 0 && strcmp(out->plugin->name, name) != 0) {
        rc = srq_fail(err, -SRQ_EFORMAT, "plugin %s calls itself \"%s\"", s.found, out->plugin->name);
        srq_plugin_unload(out);
    }
    srq_free(s.found);
    return rc;
}
