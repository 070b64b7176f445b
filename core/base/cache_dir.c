/* Where the cache is, and how it stays small. */
#include "core/base/cache_dir.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char *srq_cache_dir(const char *kind)
{
    const char *own = getenv("SRQ_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (own != NULL)
        return own[0] == '/' ? srq_strdup(own) : NULL;
    if (xdg != NULL && xdg[0] == '/')
        return srq_asprintf("%s/srq/%s", xdg, kind);
    return home != NULL && home[0] == '/' ? srq_asprintf("%s/.cache/srq/%s", home, kind) : NULL;
}

void srq_cache_used(const char *path)
{
    (void)utimensat(AT_FDCWD, path, NULL, 0);
}

struct kept {
    char *path;
    int64_t bytes;
    double used; /* seconds since the epoch */
};

struct keeping {
    struct kept *files;
    size_t count, room;
    int64_t bytes;
};

static bool named_by_hash(const char *name)
{
    return strspn(name, "0123456789abcdef") >= SRQ_HASH_HEX - 1;
}

/* Takes `path`, which is freed with the others. */
static bool keep(struct keeping *k, char *path, const struct stat *st)
{
    if (k->count == k->room) {
        size_t room = k->room > 0 ? 2 * k->room : 64;
        void *more = srq_realloc(k->files, room * sizeof(*k->files));

        if (more == NULL)
            return false;
        k->files = more;
        k->room = room;
    }
    k->files[k->count++] = (struct kept){ path, (int64_t)st->st_size, (double)st->st_mtim.tv_sec };
    k->bytes += (int64_t)st->st_size;
    return true;
}

static int by_use(const void *a, const void *b)
{
    const struct kept *x = a, *y = b;

    return x->used != y->used ? (x->used < y->used ? -1 : 1) : strcmp(x->path, y->path);
}

void srq_cache_tidy(const char *dir)
{
    struct keeping k = { 0 };
    DIR *d = opendir(dir);

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char *path = named_by_hash(e->d_name) ? srq_path_join(dir, e->d_name) : NULL;
        struct stat st;

        if (path == NULL)
            continue;
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            if (difftime(time(NULL), st.st_mtime) > SRQ_CACHE_UNUSED_S)
                (void)unlink(path);
            else if (keep(&k, path, &st))
                continue;
        }
        srq_free(path);
    }
    if (d != NULL)
        closedir(d);
    if (k.count > 0)
        qsort(k.files, k.count, sizeof(*k.files), by_use);
    for (size_t i = 0; i < k.count; i++) {
        if (k.bytes > SRQ_CACHE_BYTES_MAX && unlink(k.files[i].path) == 0)
            k.bytes -= k.files[i].bytes;
        srq_free(k.files[i].path);
    }
    srq_free(k.files);
}
