/* Names of what is in an archive: where they may lead. */
#ifndef SRQ_FORMAT_ARCHIVE_NAME_H
#define SRQ_FORMAT_ARCHIVE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#define SRQ_ARCHIVE_NAME_MAX 1024 /* bytes of a name */
#define SRQ_ARCHIVE_DEPTH_MAX 16  /* folders above a file */

/* The name as a path below the folder that the archive becomes: without a leading "./" and a trailing "/", "" for that
 * folder itself. False with `*why` where it may not be: absolute, "..", an empty or "." component inside, a backslash
 * or control character, longer or deeper than the above. */
bool srq_archive_name(const char *name, char out[SRQ_ARCHIVE_NAME_MAX + 1], const char **why);

/* What archivers of macOS add beside files: it is left out. */
bool srq_archive_name_is_junk(const char *name);

#endif
