/* Packing by libarchive. */
#include "core/format/archive_pack.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRETCH ((size_t)1 << 20)
#define DEPTH_MAX 16

struct packing {
    const struct srq_archive_packing *p;
    struct archive *archive;
    char *temporary; /* beside the archive's own name */
    int fd;
    char *buffer; /* STRETCH bytes */
};

const char *srq_archive_suffix(enum srq_archive_kind kind)
{
    static const char *const suffixes[] = { "", ".tar", ".tar.gz", ".tar.zst", ".zip" };

    return suffixes[kind];
}

static int no_memory(const struct packing *k, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, k->p->path, "out of memory packing %s", k->p->path);
}

/* What libarchive could not do; the errno is the disk's. */
static int failed(const struct packing *k, struct srq_error *err)
{
    const char *text = archive_error_string(k->archive);
    int e = archive_errno(k->archive);

    if (e == ENOSPC || e == EDQUOT || e == EIO || e == EFBIG) {
        errno = e;
        return srq_fail_errno(err, "write", k->temporary);
    }
    return srq_fail_field(err, -SRQ_EIO, k->p->path, "%s cannot be packed: %s", k->p->path, text != NULL ? text : "?");
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static int copy(struct packing *k, int fd, const char *file, int64_t size, struct srq_error *err)
{
    while (size > 0) {
        ssize_t n = read(fd, k->buffer, STRETCH);
        int rc;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return srq_fail_errno(err, "read", file);
        if (n == 0 || n > size)
            return srq_fail_field(err, -SRQ_EIO, file, "%s changed while it was packed", file);
        if (archive_write_data(k->archive, k->buffer, (size_t)n) != n)
            return failed(k, err);
        size -= n;
        rc = k->p->tick != NULL ? k->p->tick(k->p->ctx) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int add_file(struct packing *k, const char *file, const char *name, struct srq_error *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), rc = 0;
    struct archive_entry *e = archive_entry_new();
    struct stat st;

    if (e == NULL)
        rc = no_memory(k, err);
    else if (fd < 0 || fstat(fd, &st) != 0)
        rc = srq_fail_errno(err, "open", file);
    if (rc == 0) {
        archive_entry_set_pathname(e, name);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, st.st_size);
        archive_entry_set_mtime(e, 315532800, 0); /* 1980, the first time that a zip can say */
        rc = archive_write_header(k->archive, e) == ARCHIVE_OK ? copy(k, fd, file, st.st_size, err) : failed(k, err);
    }
    archive_entry_free(e);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

static int kept(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_folder(struct packing *k, const char *dir, const char *name, int depth, struct srq_error *err);

static int add(struct packing *k, const char *dir, const char *name, const char *entry, int depth,
               struct srq_error *err)
{
    char *file = srq_path_join(dir, entry), *inside = srq_path_join(name, entry);
    struct stat st;
    int rc = file != NULL && inside != NULL ? 0 : no_memory(k, err);

    if (rc == 0 && lstat(file, &st) != 0)
        rc = srq_fail_errno(err, "look at", file);
    if (rc == 0 && S_ISDIR(st.st_mode))
        rc = add_folder(k, file, inside, depth + 1, err);
    else if (rc == 0 && S_ISREG(st.st_mode) && !(depth == 0 && k->p->leave != NULL && strcmp(entry, k->p->leave) == 0))
        rc = add_file(k, file, inside, err);
    srq_free(file);
    srq_free(inside);
    return rc;
}

static int add_folder(struct packing *k, const char *dir, const char *name, int depth, struct srq_error *err)
{
    struct dirent **entries = NULL;
    int n = depth < DEPTH_MAX ? scandir(dir, &entries, kept, by_bytes) : 0, rc = 0;

    if (n < 0)
        return srq_fail_errno(err, "read", dir);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = add(k, dir, name, entries[i]->d_name, depth, err);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* ---- the archive ------------------------------------------------------------------------------------------------- */

static bool set_kind(struct archive *a, enum srq_archive_kind kind)
{
    if (kind == SRQ_ARCHIVE_ZIP)
        return archive_write_set_format_zip(a) == ARCHIVE_OK;
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK)
        return false;
    if (kind == SRQ_ARCHIVE_TAR_GZ)
        return archive_write_add_filter_gzip(a) == ARCHIVE_OK &&
               archive_write_set_filter_option(a, "gzip", "timestamp", NULL) == ARCHIVE_OK;
    return kind != SRQ_ARCHIVE_TAR_ZST || archive_write_add_filter_zstd(a) == ARCHIVE_OK;
}

static int write_archive(struct packing *k, struct srq_error *err)
{
    const char *slash = strrchr(k->p->dir, '/');
    int rc;

    if (!set_kind(k->archive, k->p->kind))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, k->p->path, "%s cannot be packed: this libarchive writes no %s",
                              k->p->path, srq_archive_suffix(k->p->kind));
    k->fd = open(k->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (k->fd < 0)
        return srq_fail_errno(err, "create", k->temporary);
    if (archive_write_open_fd(k->archive, k->fd) != ARCHIVE_OK)
        return failed(k, err);
    rc = add_folder(k, k->p->dir, slash != NULL ? slash + 1 : k->p->dir, 0, err);
    if (rc == 0 && archive_write_close(k->archive) != ARCHIVE_OK)
        rc = failed(k, err);
    if (rc == 0 && fsync(k->fd) != 0)
        rc = srq_fail_errno(err, "write", k->temporary);
    return rc;
}

static int finish(const struct packing *k, struct srq_error *err)
{
    char *above = srq_path_ancestor(k->p->path);
    int rc = above != NULL ? 0 : no_memory(k, err);

    if (rc == 0 && rename(k->temporary, k->p->path) != 0)
        rc = srq_fail_errno(err, "rename", k->temporary);
    if (rc == 0)
        rc = srq_fsync_dir(above, err);
    srq_free(above);
    return rc;
}

int srq_archive_pack(const struct srq_archive_packing *p, struct srq_error *err)
{
    struct packing k = { .p = p, .fd = -1 };
    int rc = 0;

    k.archive = archive_write_new();
    k.buffer = srq_malloc(STRETCH);
    k.temporary = srq_asprintf("%s.srq-new", p->path);
    if (k.archive == NULL || k.buffer == NULL || k.temporary == NULL)
        rc = no_memory(&k, err);
    if (rc == 0)
        rc = write_archive(&k, err);
    if (k.archive != NULL) {
        if (rc != 0)
            archive_write_fail(k.archive); /* freeing writes no more */
        archive_write_free(k.archive);
    }
    if (k.fd >= 0)
        close(k.fd);
    if (rc == 0)
        rc = finish(&k, err);
    if (rc != 0 && k.temporary != NULL)
        unlink(k.temporary);
    srq_free(k.temporary);
    srq_free(k.buffer);
    return rc;
}
