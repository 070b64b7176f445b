/* A fresh folder for one test, and files in it. */
#ifndef SRQ_TEST_FOLDER_H
#define SRQ_TEST_FOLDER_H

#include "tests/unit/test.h"

#include "core/base/fs.h"

#include <unistd.h>

struct folder {
    char path[256];
    char file[512]; /* of the last folder_file */
};

static inline void folder_make(struct folder *d)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(d->path, sizeof(d->path), "%s/srq-test-XXXXXX", tmp != NULL ? tmp : "/tmp");
    assert_non_null(mkdtemp(d->path));
}

static inline const char *folder_file(struct folder *d, const char *name)
{
    snprintf(d->file, sizeof(d->file), "%s/%s", d->path, name);
    return d->file;
}

static inline const char *folder_write(struct folder *d, const char *name, const void *data, size_t len)
{
    FILE *f = fopen(folder_file(d, name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return d->file;
}

static inline void folder_remove(struct folder *d)
{
    struct srq_error err;

    assert_ok(srq_remove_tree(d->path, &err), &err);
}

#endif
