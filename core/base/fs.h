/* Files: bounded reading, durable writing. Nothing here follows a name that the caller did not mean to follow. */
#ifndef SRQ_BASE_FS_H
#define SRQ_BASE_FS_H

#include "core/base/part.h"

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* "cannot DOING PATH: strerror(errno)", with the code that fits errno (ENOSPC → -SRQ_ENOSPC …); returns that code.
 * -SRQ_EIO is left for what another attempt may overcome: a name that is too long is -SRQ_EINVAL. */
int srq_fail_errno(struct srq_error *err, const char *doing, const char *path);

/* Reads a whole regular file of at most `max` bytes; the result has a NUL after `*len` bytes, free with srq_free. */
int srq_read_file(const char *path, size_t max, char **data, size_t *len, struct srq_error *err);
/* The same for a name relative to directory `dirfd`, not following a symbolic link in the last component. */
int srq_read_file_at(int dirfd, const char *name, size_t max, char **data, size_t *len, struct srq_error *err);

/* Writes `path` so that after a crash either the old or the new content is there: temporary file beside it, fsync,
 * rename, fsync of the directory. */
int srq_write_file_durable(const char *path, const void *data, size_t len, mode_t mode, struct srq_error *err);
/* The same for content that lies apart. `temporary`: base name of the file beside it, for files so large that what a
 * kill leaves of one is to be overwritten by the next; NULL: a name of this process's own. */
int srq_write_parts_durable(const char *path, const char *temporary, const struct srq_part *parts, size_t count,
                            mode_t mode, struct srq_error *err);
int srq_fsync_dir(const char *path, struct srq_error *err);

int srq_write_all(int fd, const void *data, size_t len);             /* 0 or -errno */
int srq_write_at(int fd, const void *data, size_t len, uint64_t at); /* the same at a place; threads may at once */
/* Gives an empty file its full size, with room on the disk where the file system can reserve it: 0 or -errno. */
int srq_reserve(int fd, uint64_t bytes);
int srq_mkdirs(const char *path, mode_t mode, struct srq_error *err); /* like mkdir -p */
int srq_remove_tree(const char *path, struct srq_error *err);         /* like rm -rf, does not follow links out */
bool srq_path_exists(const char *path);
/* The nearest folder above `path` that exists ("." where a relative one has none); NULL when out of memory;
 * srq_free. */
char *srq_path_ancestor(const char *path);
/* Whether a file may be called so with `more` bytes added to its name: 0, or -SRQ_EINVAL naming the component, which
 * the file system of the nearest folder does not take, or the length of the whole. */
int srq_path_fits(const char *path, size_t more, struct srq_error *err);
char *srq_path_join(const char *dir, const char *name); /* NULL when out of memory; srq_free */
char *srq_path_absolute(const char *path);              /* relative to the working directory; not resolved; srq_free */
/* The same, saying what was wrong: -SRQ_ENOENT where the working directory was removed, -SRQ_ENOMEM. */
int srq_make_absolute(const char *path, char **out, struct srq_error *err);
/* The one spelling of a name, which may be of something that does not exist yet: absolute, links resolved in the part
 * that exists, without ".", ".." and empty components. srq_free. */
char *srq_path_canonical(const char *path);
/* Whether canonical `inner` is `outer` or lies below it. */
bool srq_path_within(const char *inner, const char *outer);
/* A checkout without git-lfs leaves small texts in the place of large files. SRQ_LFS_SENTENCE takes the file's name. */
bool srq_is_lfs_pointer(const char *data, size_t len);
bool srq_file_is_lfs_pointer(const char *path); /* opens nothing but a small regular file */
#define SRQ_LFS_SENTENCE "%s is a git-lfs pointer, not the file itself: fetch it with \"git lfs pull\""
/* Whether `path` is a file to be read whole: regular, of at most `max` bytes and no git-lfs pointer; *bytes: its size.
 * Nothing but a small regular file is opened. Errors name it. */
int srq_file_check(const char *path, size_t max, int64_t *bytes, struct srq_error *err);
/* Where the link at `path` points, when nothing is there; NULL: there is something, or no link. srq_free. */
char *srq_dangling_link(const char *path);
int srq_refuse_dangling(const char *path, struct srq_error *err); /* -SRQ_ENOENT saying where it points; else 0 */
/* Before a file is written that others may be in the place of: what is there is replaced only where it is an empty file
 * or begins as files of its kind do; anything else is refused with -SRQ_EEXIST, a folder with -SRQ_EINVAL. `kind`: what
 * such a file is, "PNG picture". */
int srq_check_replaced(const char *path, const char *begin, const char *kind, struct srq_error *err);
bool srq_is_base_name(const char *name); /* no '/', '\\', leading '.', empty, control characters; at most 255 bytes */
int srq_disk_free(const char *path, uint64_t *bytes, struct srq_error *err); /* for unprivileged users */

/* A regular file mapped read-only. Size is checked again after mapping. A file that shrinks later gives an error from
 * srq_map_check and reads as zeros instead of killing the process: a handler of SIGBUS sees to that. */
struct srq_map {
    const uint8_t *data;
    size_t size;
    int fd;
    char *path;
};
int srq_map_open(const char *path, struct srq_map *map, struct srq_error *err);
int srq_map_check(const struct srq_map *map, struct srq_error *err);
void srq_map_release(const struct srq_map *map, const void *p, size_t len); /* MADV_DONTNEED of whole pages inside */
void srq_map_close(struct srq_map *map);

#endif
