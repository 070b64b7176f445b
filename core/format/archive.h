/* Archives of a folder: .tar, .tar.gz, .tar.zst and .zip, unpacked into a folder that is made for it. Hostile input
 * stops here: nothing is written outside of that folder, there are no links and no devices in it, and neither its size
 * nor the number of its files is more than the archive is good for. */
#ifndef SRQ_FORMAT_ARCHIVE_H
#define SRQ_FORMAT_ARCHIVE_H

#include <srq/error.h>

#include <stdbool.h>
#include <stdint.h>

#define SRQ_ARCHIVE_ENTRIES_MAX 10000 /* files and folders */
/* Weights hardly shrink when they are packed: what becomes this many times as large, beyond a first part that any
 * archive may have, holds something else. */
#define SRQ_ARCHIVE_RATIO_MAX 100
#define SRQ_ARCHIVE_FREELY ((uint64_t)64 << 20)

/* Whether the file at `path` begins as such an archive does, whatever its name. False where there is no regular file,
 * or it cannot be read. */
bool srq_archive_is(const char *path);

/* Unpacks into `dir`, which is made and must not exist before; every file is on disk when this returns. After a failure
 * it is gone again, as far as it can be removed.
 *
 * -SRQ_EFORMAT, -SRQ_EUNSUPPORTED, -SRQ_ELIMIT naming the archive and the entry: a name that leads elsewhere, a link or
 * a device, a name that is there twice, more or fewer bytes than an entry declares, data that are damaged or end early,
 * more than the limits above. -SRQ_ENOSPC before an entry is written for which the disk has no room. */
int srq_archive_unpack(const char *path, const char *dir, struct srq_error *err);

#endif
