/* NumPy files: a magic, a header of Python literals padded to 64 bytes, then the elements. */
#include "core/eval/npy.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct srq_npy {
    char *path, *temporary;
    int fd;
    int64_t rows, cols, done;
};

static int fail(struct srq_error *err, int e, const char *path)
{
    return srq_fail_field(err, e == ENOSPC || e == EDQUOT ? -SRQ_ENOSPC : -SRQ_EIO, path, "cannot write %s: %s", path,
                          strerror(e));
}

static int put(struct srq_npy *f, const void *data, size_t len, struct srq_error *err)
{
    int e = srq_write_all(f->fd, data, len);

    return e == 0 ? 0 : fail(err, -e, f->path);
}

static int put_header(struct srq_npy *f, struct srq_error *err)
{
    char head[256];
    int n, pad;

    n = snprintf(head + 10, sizeof(head) - 10,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%" PRId64 ", %" PRId64 "), }", f->rows, f->cols);
    pad = 63 - (10 + n) % 64;
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    memset(head + 10 + n, ' ', (size_t)pad);
    head[10 + n + pad] = '\n';
    n += pad + 1;
    head[8] = (char)(n & 255);
    head[9] = (char)(n >> 8);
    return put(f, head, (size_t)(10 + n), err);
}

int srq_npy_create(const char *path, int64_t rows, int64_t cols, struct srq_npy **out, struct srq_error *err)
{
    struct srq_npy *f = srq_calloc(1, sizeof(*f));
    int rc;

    *out = NULL;
    if (f == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", path);
    f->fd = -1;
    f->rows = rows;
    f->cols = cols;
    f->path = srq_strdup(path);
    f->temporary = srq_asprintf("%s.tmp%ld", path, (long)getpid());
    if (f->path == NULL || f->temporary == NULL) {
        srq_npy_free(f);
        return srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", path);
    }
    f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    rc = f->fd < 0 ? fail(err, errno, path) : put_header(f, err);
    if (rc != 0) {
        srq_npy_free(f);
        return rc;
    }
    *out = f;
    return 0;
}

int srq_npy_add(struct srq_npy *f, const float *data, int64_t rows, struct srq_error *err)
{
    int rc;

    if (rows > f->rows - f->done)
        return srq_fail(err, -SRQ_EINVAL, "%s has %" PRId64 " rows and no more", f->path, f->rows);
    rc = put(f, data, (size_t)(rows * f->cols) * sizeof(*data), err);
    if (rc == 0)
        f->done += rows;
    return rc;
}

int srq_npy_finish(struct srq_npy *f, struct srq_error *err)
{
    if (f->done != f->rows)
        return srq_fail(err, -SRQ_ESTATE, "%s got %" PRId64 " of %" PRId64 " rows", f->path, f->done, f->rows);
    if (fsync(f->fd) != 0 || rename(f->temporary, f->path) != 0)
        return fail(err, errno, f->path);
    srq_free(f->temporary);
    f->temporary = NULL;
    return 0;
}

void srq_npy_free(struct srq_npy *f)
{
    if (f == NULL)
        return;
    if (f->fd >= 0) {
        close(f->fd);
        if (f->temporary != NULL)
            unlink(f->temporary);
    }
    srq_free(f->path);
    srq_free(f->temporary);
    srq_free(f);
}
