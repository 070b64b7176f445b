/* Archives of a folder, written: what srq_archive_unpack (archive.h) reads. */
#ifndef SRQ_FORMAT_ARCHIVE_PACK_H
#define SRQ_FORMAT_ARCHIVE_PACK_H

#include <srq/error.h>

enum srq_archive_kind { SRQ_ARCHIVE_NONE, SRQ_ARCHIVE_TAR, SRQ_ARCHIVE_TAR_GZ, SRQ_ARCHIVE_TAR_ZST, SRQ_ARCHIVE_ZIP };

/* ".tar" and so on; "" for SRQ_ARCHIVE_NONE. */
const char *srq_archive_suffix(enum srq_archive_kind kind);

struct srq_archive_packing {
    const char *dir;  /* the folder, which is the archive's only one at its top, by its last component */
    const char *path; /* of the archive; beside it a temporary file is written first */
    enum srq_archive_kind kind;
    const char *leave; /* a file at the folder's top that stays out; NULL: none does */
    /* After every stretch of a file; not 0: stop with that code, the archive being as it was. NULL: nobody is asked. */
    int (*tick)(void *ctx);
    void *ctx;
};

/* Regular files alone, in the order of their names and without times and owners: the same folder gives the same bytes.
 * Complete and on disk under `path`, or as it was before: -SRQ_ENOSPC, -SRQ_EIO and the like naming the file;
 * -SRQ_EUNSUPPORTED: libarchive was built without that compression. */
int srq_archive_pack(const struct srq_archive_packing *p, struct srq_error *err);

#endif
