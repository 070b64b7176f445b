/* Archives of model folders, and what is made of GGUF files: unpacked once into the user's cache folder, under the hash
 * of their content, and found there from then on. Unpacking happens in a folder of this process's own, which is renamed
 * when it is complete; so what a kill leaves is never taken for a model, and of two who unpack the same archive the
 * second takes what the first has made. */
#include "core/model/internal.h"

#include "core/base/alloc.h"
#include "core/base/cache_dir.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "core/format/archive.h"
#include "core/model/import_gguf.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KIND "models"
#define MEMO "known-" /* and the hash of what the file system says of a file: holds that of its content */
#define PART "part-"  /* host, process: a folder that is being filled */
#define HASH_STEP ((size_t)64 << 20)

/* What becomes a folder. */
struct kind {
    const char *prefix; /* of its folder's name, before the hash of the content */
    const char *word;   /* what the file is */
    int (*fill)(const char *file, const char *dir, struct srq_error *err); /* makes `dir` */
};

struct unpacked {
    const struct kind *kind;
    const char *path; /* the file */
    char *cache;      /* the folder that all of them are in */
    char content[SRQ_HASH_HEX], memo[SRQ_HASH_HEX];
    char *folder, *part;
};

static int no_memory(const char *path, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, "model", "out of memory unpacking %s", path);
}

/* ---- the hash of the content ------------------------------------------------------------------------------------- */

/* A file that is written to, replaced or moved has other numbers. */
static bool memo_of(const char *path, char hex[SRQ_HASH_HEX])
{
    struct srq_hash *h = srq_hash_create();
    struct stat st;
    bool ok = h != NULL && stat(path, &st) == 0;

    if (ok) {
        const int64_t numbers[] = { (int64_t)st.st_dev,         (int64_t)st.st_ino,          (int64_t)st.st_size,
                                    (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec, (int64_t)st.st_ctim.tv_sec,
                                    (int64_t)st.st_ctim.tv_nsec };

        srq_hash_add(h, numbers, sizeof(numbers));
        srq_hash_hex(h, hex);
    }
    srq_hash_free(h);
    return ok;
}

static bool is_hash(const char *text, size_t len)
{
    return len == SRQ_HASH_HEX - 1 && strspn(text, "0123456789abcdef") == len;
}

static bool remembered(struct unpacked *u)
{
    char *file = srq_asprintf("%s/" MEMO "%s", u->cache, u->memo), *text = NULL;
    size_t len = 0;
    bool ok = file != NULL && srq_path_exists(file) && srq_read_file(file, SRQ_HASH_HEX, &text, &len, NULL) == 0 &&
              is_hash(text, len);

    if (ok)
        memcpy(u->content, text, SRQ_HASH_HEX);
    srq_free(text);
    srq_free(file);
    return ok;
}

/* Best effort: without it, the file is read again. */
static void remember(const struct unpacked *u)
{
    char *file = srq_asprintf("%s/" MEMO "%s", u->cache, u->memo);

    if (file != NULL)
        (void)srq_write_file_durable(file, u->content, SRQ_HASH_HEX - 1, 0600, NULL);
    srq_free(file);
}

static int hash_content(struct unpacked *u, struct srq_error *err)
{
    struct srq_hash *h = srq_hash_create();
    struct srq_map map;
    int rc = h != NULL ? srq_map_open(u->path, &map, err) : no_memory(u->path, err);

    if (rc == 0) {
        for (size_t at = 0; at < map.size; at += HASH_STEP) {
            size_t len = map.size - at < HASH_STEP ? map.size - at : HASH_STEP;

            srq_hash_add(h, map.data + at, len);
            srq_map_release(&map, map.data + at, len);
        }
        srq_hash_hex(h, u->content);
        rc = srq_map_check(&map, err);
        srq_map_close(&map);
    }
    srq_hash_free(h);
    return rc;
}

/* ---- the cache --------------------------------------------------------------------------------------------------- */

static bool starts(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static void host_name(char out[HOST_NAME_MAX + 1])
{
    if (gethostname(out, HOST_NAME_MAX) != 0)
        snprintf(out, HOST_NAME_MAX, "host");
    out[HOST_NAME_MAX] = '\0';
    for (char *p = out; *p != '\0'; p++)
        if (*p == '/')
            *p = '_';
}

/* "part-HOST-PID" of a process of this host that is no more. */
static bool abandoned(const char *name)
{
    char host[HOST_NAME_MAX + 1];
    const char *dash = strrchr(name, '-');
    size_t n;
    long pid;

    host_name(host);
    n = strlen(host);
    if (!starts(name, PART) || strncmp(name + strlen(PART), host, n) != 0 || dash != name + strlen(PART) + n)
        return false;
    pid = strtol(dash + 1, NULL, 10);
    return pid > 0 && pid != (long)getpid() && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static int fill_of_gguf(const char *file, const char *dir, struct srq_error *err)
{
    int rc = srq_mkdirs(dir, 0700, err);

    return rc == 0 ? srq_gguf_make_folder(file, dir, err) : rc;
}

static const struct kind archive = { "archive-", "an archive", srq_archive_unpack };
static const struct kind gguf = { "gguf-", "a GGUF file", fill_of_gguf };

static bool is_filled(const char *name)
{
    return starts(name, archive.prefix) || starts(name, gguf.prefix);
}

/* Takes away what nobody will use: what a process left that was killed, and models that were not opened for long. */
static void tidy(const struct unpacked *u)
{
    DIR *d = opendir(u->cache);

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        bool old = is_filled(e->d_name) || starts(e->d_name, MEMO);
        char *path = old || starts(e->d_name, PART) ? srq_path_join(u->cache, e->d_name) : NULL;
        struct stat st;

        if (path != NULL && lstat(path, &st) == 0 &&
            (old ? difftime(time(NULL), st.st_mtime) > SRQ_CACHE_UNUSED_S : abandoned(e->d_name)))
            (void)srq_remove_tree(path, NULL);
        srq_free(path);
    }
    if (d != NULL)
        closedir(d);
}

static bool holds_model(const char *dir)
{
    char *file = NULL;
    bool found = srq_model_has_config(dir) || (srq_gguf_find(dir, &file, NULL) == 0 && file != NULL);

    srq_free(file);
    return found;
}

/* The model's folder: what was unpacked, or a folder in it that is the only one to hold a model. *out NULL: there is
 * none, or more than one. */
static int find_root(const char *dir, char **out)
{
    DIR *d = holds_model(dir) ? NULL : opendir(dir);
    int found = 0;

    *out = d == NULL ? srq_strdup(dir) : NULL;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char *path = e->d_name[0] != '.' ? srq_path_join(dir, e->d_name) : NULL;

        if (path != NULL && holds_model(path) && ++found == 1) {
            *out = path;
            path = NULL;
        }
        srq_free(path);
    }
    if (d != NULL)
        closedir(d);
    if (found > 1) {
        srq_free(*out);
        *out = NULL;
    }
    return found;
}

static int fill(const struct unpacked *u, struct srq_error *err)
{
    char *root = NULL;
    int rc;

    (void)srq_remove_tree(u->part, NULL); /* of a process that had our number before us */
    srq_log(SRQ_LOG_INFO, "unpacking %s into %s", u->path, u->cache);
    rc = u->kind->fill(u->path, u->part, err);
    if (rc == 0) {
        int found = find_root(u->part, &root);

        if (root == NULL || !holds_model(root))
            rc = srq_fail_field(err, -SRQ_EFORMAT, "model",
                                found > 1 ? "%s holds several models: give it one"
                                          : "%s holds no model: no config.json, no model_index.json and no GGUF file, "
                                            "neither at its top nor in a folder there",
                                u->path);
    }
    srq_free(root);
    if (rc == 0 && rename(u->part, u->folder) != 0 && !srq_path_exists(u->folder))
        rc = srq_fail_errno(err, "rename", u->part);
    (void)srq_remove_tree(u->part, NULL);
    return rc == 0 ? srq_fsync_dir(u->cache, err) : rc;
}

static int names(struct unpacked *u, struct srq_error *err)
{
    char host[HOST_NAME_MAX + 1];

    host_name(host);
    u->folder = srq_asprintf("%s/%s%s", u->cache, u->kind->prefix, u->content);
    u->part = srq_asprintf("%s/" PART "%s-%ld", u->cache, host, (long)getpid());
    return u->folder != NULL && u->part != NULL ? 0 : no_memory(u->path, err);
}

static int unpack(struct unpacked *u, char **out, struct srq_error *err)
{
    bool known;
    int rc = srq_mkdirs(u->cache, 0700, err);

    if (rc == 0 && !memo_of(u->path, u->memo))
        rc = srq_fail_errno(err, "look at", u->path);
    if (rc != 0)
        return rc;
    known = remembered(u);
    if (!known)
        rc = hash_content(u, err);
    if (rc == 0)
        rc = names(u, err);
    if (rc != 0)
        return rc;
    if (!srq_path_exists(u->folder)) {
        tidy(u);
        rc = fill(u, err);
    }
    if (rc != 0)
        return rc;
    if (!known)
        remember(u);
    srq_cache_used(u->folder);
    (void)find_root(u->folder, out);
    return *out != NULL ? 0 : no_memory(u->path, err);
}

/* The folder of one file. */
static int unpack_file(const char *path, const struct kind *kind, char **out, struct srq_error *err)
{
    struct unpacked u = { .path = path, .kind = kind, .cache = srq_cache_dir(KIND) };
    int rc;

    *out = NULL;
    if (u.cache == NULL)
        return srq_fail_field(err, -SRQ_ESTATE, "model",
                              "%s is %s, and there is no cache folder to unpack it into (SRQ_CACHE_DIR, "
                              "XDG_CACHE_HOME, HOME)",
                              path, kind->word);
    rc = unpack(&u, out, err);
    srq_free(u.folder);
    srq_free(u.part);
    srq_free(u.cache);
    return rc;
}

int srq_model_unpack(const char *path, struct srq_unpacked *out, struct srq_error *err)
{
    int rc = 0;

    *out = (struct srq_unpacked){ 0 };
    if (srq_archive_is(path))
        rc = unpack_file(path, &archive, &out->folder, err);
    if (rc == 0)
        rc = srq_gguf_find(out->folder != NULL ? out->folder : path, &out->gguf, err);
    if (rc == 0 && out->gguf != NULL) {
        srq_free(out->folder);
        rc = unpack_file(out->gguf, &gguf, &out->folder, err);
    }
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "model");
    if (rc != 0)
        srq_unpacked_fini(out);
    return rc;
}

void srq_unpacked_fini(struct srq_unpacked *u)
{
    srq_free(u->folder);
    srq_free(u->gguf);
    *u = (struct srq_unpacked){ 0 };
}
