/* Unpacking by libarchive, one entry after the other, each checked before anything of it is written. */
#include "core/format/archive.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/archive_name.h"
#include "core/format/st_header.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define READ_BYTES ((size_t)1 << 20)
#define ROOM_LEFT ((uint64_t)64 << 20) /* of the disk, for others */

struct unpacking {
    const char *path, *dir;
    struct archive *archive;
    gzFile gzip;    /* the file, where it is one of gzip */
    char *plain;    /* what came out of it, READ_BYTES */
    uint64_t most;  /* bytes that it may become */
    uint64_t total; /* bytes that its entries declared so far */
    int64_t entries;
    char shown[160]; /* the entry at hand */
};

/* ---- what is an archive ------------------------------------------------------------------------------------------ */

bool srq_archive_is(const char *path)
{
    static const struct {
        size_t at, len;
        const char *bytes;
    } marks[] = { { 0, 2, "\x1f\x8b" }, { 0, 4, "\x28\xb5\x2f\xfd" }, { 0, 4, "PK\x03\x04" }, { 257, 5, "ustar" } };
    char start[512] = "";
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = -1;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        n = read(fd, start, sizeof(start));
    close(fd);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (n >= (ssize_t)(marks[i].at + marks[i].len) &&
            memcmp(start + marks[i].at, marks[i].bytes, marks[i].len) == 0)
            return true;
    return false;
}

static const char *reason(const struct unpacking *u)
{
    const char *text = archive_error_string(u->archive);

    return text != NULL ? text : "it is damaged";
}

/* gzip by zlib itself, as libarchive does not look at its checksum. */
static la_ssize_t read_gzip(struct archive *a, void *ctx, const void **data)
{
    struct unpacking *u = ctx;
    int n = gzread(u->gzip, u->plain, (unsigned)READ_BYTES), code;
    const char *text = gzerror(u->gzip, &code);

    *data = u->plain;
    if (n > 0 || (n == 0 && code == Z_OK))
        return n;
    archive_set_error(a, EIO, "gzip: %s",
                      code == Z_BUF_ERROR ? "it ends early"
                      : code == Z_ERRNO   ? "it cannot be read"
                                          : text);
    return -1;
}

static bool is_gzip(const char *path)
{
    unsigned char start[2] = { 0, 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool yes = fd >= 0 && read(fd, start, 2) == 2 && start[0] == 0x1f && start[1] == 0x8b;

    if (fd >= 0)
        close(fd);
    return yes;
}

static int open_stream(struct unpacking *u, struct srq_error *err)
{
    int rc;

    if (is_gzip(u->path)) {
        u->plain = srq_malloc(READ_BYTES);
        u->gzip = u->plain != NULL ? gzopen(u->path, "rbe") : NULL;
        if (u->gzip == NULL)
            return srq_fail_errno(err, "open", u->path);
        rc = archive_read_open(u->archive, u, NULL, read_gzip, NULL);
    } else {
        rc = archive_read_open_filename(u->archive, u->path, READ_BYTES);
    }
    return rc == ARCHIVE_OK
               ? 0
               : srq_fail_field(err, -SRQ_EFORMAT, u->path, "%s cannot be unpacked: %s", u->path, reason(u));
}

/* A filter that would start a program for want of a library is none. A tar is read to the end of the file, where what
 * packed it has its checksum. */
static int open_archive(struct unpacking *u, struct srq_error *err)
{
    struct archive *a = archive_read_new();

    u->archive = a;
    if (a == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, u->path, "out of memory unpacking %s", u->path);
    if (archive_read_support_filter_zstd(a) != ARCHIVE_OK || archive_read_support_format_tar(a) != ARCHIVE_OK ||
        archive_read_support_format_zip(a) != ARCHIVE_OK ||
        archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1") != ARCHIVE_OK)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, u->path,
                              "%s cannot be unpacked: this libarchive lacks tar, zip or zstd", u->path);
    return open_stream(u, err);
}

/* ---- one entry --------------------------------------------------------------------------------------------------- */

static int refuse(const struct unpacking *u, int code, const char *what, struct srq_error *err)
{
    return srq_fail_field(err, code, u->shown, "%s: entry \"%s\" %s", u->path, u->shown, what);
}

/* It has a name that may be, is a file or a folder, and fits into what is allowed and what is free. */
static int check_entry(struct unpacking *u, struct archive_entry *e, char name[SRQ_ARCHIVE_NAME_MAX + 1],
                       struct srq_error *err)
{
    const char *raw = archive_entry_pathname(e), *why;
    uint64_t size = archive_entry_size_is_set(e) ? (uint64_t)archive_entry_size(e) : 0, room = 0;
    bool file = archive_entry_filetype(e) == AE_IFREG, folder = archive_entry_filetype(e) == AE_IFDIR;
    int rc;

    if (raw == NULL)
        raw = archive_entry_pathname_utf8(e);
    if (raw == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, u->path, "%s: entry %" PRId64 " has a name that is no text", u->path,
                              u->entries);
    srq_st_show(raw, u->shown, sizeof(u->shown));
    if (!srq_archive_name(raw, name, &why))
        return refuse(u, -SRQ_EFORMAT, why, err);
    if (archive_entry_hardlink(e) != NULL || !(file || folder))
        return refuse(u, -SRQ_EUNSUPPORTED, "is a link or a device: archives of models hold files and folders only",
                      err);
    if (archive_entry_is_encrypted(e))
        return refuse(u, -SRQ_EUNSUPPORTED, "is encrypted", err);
    if (folder)
        return 0;
    if (!archive_entry_size_is_set(e) || archive_entry_size(e) < 0)
        return refuse(u, -SRQ_EFORMAT, "does not say how large it is", err);
    if (size > u->most - u->total)
        return srq_fail_field(err, -SRQ_ELIMIT, u->shown,
                              "%s: with entry \"%s\" of %" PRIu64 " bytes it becomes more than %" PRIu64
                              " bytes, which is more than a packed model does: unpack it yourself if it is one",
                              u->path, u->shown, size, u->most);
    u->total += size;
    rc = srq_disk_free(u->dir, &room, err);
    if (rc == 0 && (room < ROOM_LEFT || size > room - ROOM_LEFT))
        rc = srq_fail_field(err, -SRQ_ENOSPC, u->dir,
                            "%s: entry \"%s\" has %" PRIu64 " bytes, and %s has room for %" PRIu64, u->path, u->shown,
                            size, u->dir, room > ROOM_LEFT ? room - ROOM_LEFT : 0);
    return rc;
}

/* Holes of a sparse file stay holes; else all bytes have to come. */
static int write_data(const struct unpacking *u, struct archive_entry *e, int fd, const char *file,
                      struct srq_error *err)
{
    int64_t size = archive_entry_size(e), end = 0, written = 0, at;
    const void *data;
    size_t len;
    int rc;

    while ((rc = archive_read_data_block(u->archive, &data, &len, &at)) == ARCHIVE_OK) {
        if (at < end || at > size || (int64_t)len > size - at)
            return refuse(u, -SRQ_EFORMAT, "holds more bytes than it declares", err);
        errno = -srq_write_at(fd, data, len, (uint64_t)at);
        if (errno != 0)
            return srq_fail_errno(err, "write", file);
        end = at + (int64_t)len;
        written += (int64_t)len;
    }
    if (rc != ARCHIVE_EOF)
        return srq_fail_field(err, -SRQ_EFORMAT, u->shown, "%s: entry \"%s\" cannot be unpacked: %s", u->path, u->shown,
                              reason(u));
    if (written != size && archive_entry_sparse_count(e) == 0)
        return srq_fail_field(err, -SRQ_EFORMAT, u->shown,
                              "%s: entry \"%s\" holds %" PRId64 " bytes where it declares %" PRId64, u->path, u->shown,
                              written, size);
    return ftruncate(fd, (off_t)size) == 0 && fsync(fd) == 0 ? 0 : srq_fail_errno(err, "write", file);
}

static int unpack_file(const struct unpacking *u, struct archive_entry *e, const char *file, struct srq_error *err)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600), rc;

    if (fd < 0 && errno == EEXIST)
        return refuse(u, -SRQ_EFORMAT, "is there twice", err);
    if (fd < 0)
        return srq_fail_errno(err, "create", file);
    rc = write_data(u, e, fd, file, err);
    if (close(fd) != 0 && rc == 0)
        rc = srq_fail_errno(err, "write", file);
    return rc;
}

/* Folders above an entry need no entries of their own. */
static int make_folders(const struct unpacking *u, const char *name, bool itself, struct srq_error *err)
{
    const char *slash = strrchr(name, '/');
    int above = itself ? (int)strlen(name) : slash != NULL ? (int)(slash - name) : 0, rc;
    char *path = srq_asprintf("%s/%.*s", u->dir, above, name);

    if (path == NULL)
        return srq_fail_field(err, -SRQ_ENOMEM, u->path, "out of memory unpacking %s", u->path);
    rc = above > 0 ? srq_mkdirs(path, 0700, err) : 0;
    srq_free(path);
    return rc == -SRQ_EEXIST || rc == -SRQ_ENOENT ? refuse(u, -SRQ_EFORMAT, "is in a folder that is a file", err) : rc;
}

static int unpack_entry(struct unpacking *u, struct archive_entry *e, struct srq_error *err)
{
    char name[SRQ_ARCHIVE_NAME_MAX + 1], *file;
    bool folder = archive_entry_filetype(e) == AE_IFDIR;
    int rc;

    if (++u->entries > SRQ_ARCHIVE_ENTRIES_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, u->path, "%s has more than %d entries", u->path,
                              SRQ_ARCHIVE_ENTRIES_MAX);
    rc = check_entry(u, e, name, err);
    if (rc != 0 || name[0] == '\0' || srq_archive_name_is_junk(name))
        return rc;
    rc = make_folders(u, name, folder, err);
    if (rc != 0 || folder)
        return rc;
    file = srq_path_join(u->dir, name);
    rc = file != NULL ? unpack_file(u, e, file, err)
                      : srq_fail_field(err, -SRQ_ENOMEM, u->path, "out of memory unpacking %s", u->path);
    srq_free(file);
    return rc;
}

static int unpack_all(struct unpacking *u, struct srq_error *err)
{
    struct archive_entry *e;
    int rc = open_archive(u, err), got;

    if (rc != 0)
        return rc;
    while ((got = archive_read_next_header(u->archive, &e)) == ARCHIVE_OK || got == ARCHIVE_WARN) {
        rc = unpack_entry(u, e, err);
        if (rc != 0)
            return rc;
    }
    if (got != ARCHIVE_EOF)
        return srq_fail_field(err, -SRQ_EFORMAT, u->path, "%s cannot be unpacked after \"%s\": %s", u->path, u->shown,
                              reason(u));
    return u->entries > 0 ? 0 : srq_fail_field(err, -SRQ_EFORMAT, u->path, "%s is an empty archive", u->path);
}

int srq_archive_unpack(const char *path, const char *dir, struct srq_error *err)
{
    struct unpacking u = { .path = path, .dir = dir };
    struct stat st;
    int rc;

    if (stat(path, &st) != 0)
        return srq_fail_errno(err, "open", path);
    u.most = SRQ_ARCHIVE_FREELY + SRQ_ARCHIVE_RATIO_MAX * (uint64_t)st.st_size;
    if (mkdir(dir, 0700) != 0)
        return srq_fail_errno(err, "create", dir);
    rc = unpack_all(&u, err);
    if (rc == 0)
        rc = srq_fsync_dir(dir, err);
    archive_read_free(u.archive);
    if (u.gzip != NULL)
        gzclose(u.gzip);
    srq_free(u.plain);
    if (rc != 0)
        srq_remove_tree(dir, NULL);
    return rc;
}
