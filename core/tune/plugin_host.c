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
#define ROWS_MAX 4096 /* of a table */

/* ---- the ABI check ----------------------------------------------------------------------------------------------- */

static bool is_plugin_name(const char *s)
{
    return s[0] >= 'a' && s[0] <= 'z' && strlen(s) < NAME_MAX_LEN &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0';
}

#define LEAST offsetof(struct srq_plugin, trainer) /* what ABI 2.0 had */

/* The head, in the order in which a foreign object can be read without trusting it further than checked. */
static int check_head(const struct srq_plugin *p, const char *path, struct srq_error *err)
{
    if (p->magic != SRQ_PLUGIN_MAGIC)
        return srq_fail(err, -SRQ_EFORMAT, "%s is no srq plugin: its magic number is 0x%08x, not 0x%08x", path,
                        (unsigned)p->magic, SRQ_PLUGIN_MAGIC);
    if (p->abi_major != SRQ_ABI_MAJOR)
        return srq_fail(err, -SRQ_EUNSUPPORTED,
                        "plugin %s was built for ABI %d.%d, this srq has %d.%d; build it again with the headers of "
                        "this srq (srq-plugin(7))",
                        path, p->abi_major, p->abi_minor, SRQ_ABI_MAJOR, SRQ_ABI_MINOR);
    if (p->abi_minor > SRQ_ABI_MINOR)
        return srq_fail(err, -SRQ_EUNSUPPORTED,
                        "plugin %s needs ABI %d.%d, newer than this srq's %d.%d; it wants a newer srq", path,
                        p->abi_major, p->abi_minor, SRQ_ABI_MAJOR, SRQ_ABI_MINOR);
    if (p->size < LEAST)
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s describes itself in %u bytes where ABI %d.%d has %zu", path,
                        (unsigned)p->size, p->abi_major, p->abi_minor, LEAST);
    if (p->name == NULL || !is_plugin_name(p->name))
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s has no proper name (a-z, 0-9 and -)", path);
    if (p->version == NULL || p->summary == NULL)
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s lacks version or summary", path);
    return 0;
}

/* A plugin, its parts and its tables as this build knows them. */
struct copy {
    struct srq_plugin plugin;
    struct srq_oneshot oneshot;
    struct srq_tunable tunable;
    struct srq_scorer scorer;
    struct srq_allocator allocator;
    struct srq_transform transform;
    struct srq_trainer trainer;
    struct srq_option *options;
    struct srq_recipe_row *recipes;
};

/* The `size` bytes that `to` has room for, with zeros where `from` is shorter. */
static void take(void *to, uint32_t size, const void *from)
{
    memset(to, 0, size);
    memcpy(to, &size, sizeof(size));
    srq_copy_known(to, from);
}

static uint32_t size_of(const void *from)
{
    uint32_t size;

    memcpy(&size, from, sizeof(size));
    return size;
}

/* Where each part is and how long. In ABI 2.0 structs are as long as here: when one grows, the least that a plugin has
 * to give stays the offset of its first newer member. */
static const struct part {
    const char *name;
    size_t plugin, copy; /* offsets of the pointer to it, and of its copy */
    uint32_t size;
} parts[] = {
#define PART(of)                                                                                         \
    {                                                                                                    \
        .name = #of, offsetof(struct srq_plugin, of), offsetof(struct copy, of), sizeof(struct srq_##of) \
    }
    PART(oneshot), PART(tunable), PART(scorer), PART(allocator), PART(transform), PART(trainer),
};

static int take_parts(struct copy *c, const char *path, struct srq_error *err)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const struct part *part = &parts[i];
        char *pointer = (char *)&c->plugin + part->plugin;
        void *from, *to = (char *)c + part->copy;

        memcpy(&from, pointer, sizeof(from));
        if (from == NULL)
            continue;
        if (size_of(from) < part->size)
            return srq_fail(err, -SRQ_EFORMAT, "plugin %s has a part %s of %u bytes where ABI %d.0 has %u", path,
                            part->name, (unsigned)size_of(from), SRQ_ABI_MAJOR, (unsigned)part->size);
        take(to, part->size, from);
        memcpy(pointer, &to, sizeof(to));
    }
    return 0;
}

struct table {
    const char *name;
    const void *rows;
    uint32_t count, stride;
    uint32_t size; /* of a row */
};

/* *out: as many rows of this build. */
static int take_table(const struct table *t, const char *path, void *out, struct srq_error *err)
{
    char *rows = NULL;

    if (t->count > 0 && (t->rows == NULL || t->count > ROWS_MAX))
        return srq_fail(err, -SRQ_EFORMAT, "plugin %s has %u rows in its table of %s, which %s", path,
                        (unsigned)t->count, t->name, t->rows == NULL ? "is not there" : "are too many");
    if (t->count > 0)
        rows = srq_calloc(t->count, t->size);
    if (t->count > 0 && rows == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for the %s of plugin %s", t->name, path);
    memcpy(out, &rows, sizeof(rows));
    for (uint32_t i = 0; i < t->count; i++) {
        const char *from = (const char *)t->rows + (size_t)i * t->stride;

        if (t->stride < t->size || size_of(from) < t->size || size_of(from) > t->stride)
            return srq_fail(err, -SRQ_EFORMAT,
                            "plugin %s has a row of %u bytes, %u from it to the next, in its table of %s; in ABI %d.0 "
                            "a row has %u",
                            path, (unsigned)size_of(from), (unsigned)t->stride, t->name, SRQ_ABI_MAJOR,
                            (unsigned)t->size);
        take(rows + (size_t)i * t->size, t->size, from);
    }
    return 0;
}

/* Checks the sizes of everything that is in `p` and makes the handle's plugin the copy of it. */
static int adopt(struct srq_plugin_handle *h, const struct srq_plugin *p, struct srq_error *err)
{
    struct copy *c = srq_calloc(1, sizeof(*c));
    struct table options = { "options", p->options, p->option_count, p->option_stride, sizeof(struct srq_option) };
    struct table recipes = { "recipes", p->recipes, p->recipe_count, p->recipe_stride, sizeof(struct srq_recipe_row) };
    int rc;

    if (c == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "no memory for plugin %s", h->path);
    h->copy = c;
    h->plugin = &c->plugin;
    memcpy(&c->plugin, p, p->size < sizeof(*p) ? p->size : sizeof(*p));
    c->plugin.size = sizeof(c->plugin);
    rc = take_parts(c, h->path, err);
    if (rc == 0)
        rc = take_table(&options, h->path, &c->options, err);
    if (rc == 0)
        rc = take_table(&recipes, h->path, &c->recipes, err);
    c->plugin.options = c->options;
    c->plugin.option_stride = sizeof(*c->options);
    c->plugin.recipes = c->recipes;
    c->plugin.recipe_stride = sizeof(*c->recipes);
    return rc;
}

static int check_functions(const struct srq_plugin *p, const char *path, struct srq_error *err)
{
    const struct srq_tunable *t = p->tunable;
    const struct srq_oneshot *o = p->oneshot;
    const struct srq_scorer *r = p->scorer;
    const struct srq_allocator *a = p->allocator;
    const struct srq_transform *f = p->transform;
    const struct srq_trainer *n = p->trainer;
    const char *missing = NULL;

    if (p->create == NULL || p->destroy == NULL)
        missing = p->create == NULL ? "create" : "destroy";
    else if (o == NULL && t == NULL && r == NULL && a == NULL && f == NULL && n == NULL)
        missing = "oneshot, tunable, scorer, allocator, transform or trainer part";
    else if (n != NULL && (n->schedule == NULL || n->observe == NULL || n->weight == NULL))
        missing = n->schedule == NULL ? "trainer.schedule" : n->observe == NULL ? "trainer.observe" : "trainer.weight";
    else if (n != NULL && (n->gradient == NULL || n->step == NULL || n->finish == NULL))
        missing = n->gradient == NULL ? "trainer.gradient" : n->step == NULL ? "trainer.step" : "trainer.finish";
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
    return o != NULL && o->needs != NULL ? o->needs(srq_host_services(), self) : 0;
}

void srq_plugin_unload(struct srq_plugin_handle *h)
{
    struct copy *c = h->copy;

    if (h->dl != NULL)
        dlclose(h->dl);
    if (c != NULL) {
        srq_free(c->options);
        srq_free(c->recipes);
    }
    srq_free(c);
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
