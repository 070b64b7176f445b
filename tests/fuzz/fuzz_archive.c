/* Archives: what is unpacked lies inside the folder, holds no links, and is gone again where unpacking fails. */
#include "tests/fuzz/fuzz.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/archive.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A tar of one file "a/b" of two bytes; and the same as a zip, stored. */
#define NUL8 "\0\0\0\0\0\0\0\0"
#define NUL32 NUL8 NUL8 NUL8 NUL8
#define NUL64 NUL32 NUL32
#define NUL256 NUL64 NUL64 NUL64 NUL64
#define NAME "a/b" NUL64 NUL32 "\0"
#define NUMBERS     \
    "0000644\0"     \
    "0000000\0"     \
    "0000000\0"     \
    "00000000002\0" \
    "00000000000\0" \
    "006321\0 "
#define REST                   \
    "0" NUL64 NUL32 "\0\0\0\0" \
    "ustar\0"                  \
    "00" NUL64 NUL64 NUL64 NUL32 NUL8 NUL8 "\0\0\0\0\0\0\0"
#define DATA "{}" NUL256 NUL64 NUL64 NUL64 NUL32 NUL8 NUL8 NUL8 "\0\0\0\0\0\0"
#define TAR NAME NUMBERS REST DATA NUL256 NUL256 NUL256 NUL256
#define ZIP                                                                                                            \
    "PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0\x43\xbf\xa6\xa3\x02\0\0\0\x02\0\0\0\x03\0\0\0a/b{}"                            \
    "PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\x21\0\x43\xbf\xa6\xa3\x02\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\x80\x01" \
    "\0\0\0\0a/bPK\x05\x06\0\0\0\0\x01\0\x01\0\x31\0\0\0\x23\0\0\0\0\0"

const struct fuzz_seed fuzz_seeds[] = { FUZZ_SEED(TAR), FUZZ_SEED(ZIP) };
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
_Static_assert(sizeof(TAR) == 2049 && sizeof(ZIP) == 107, "blocks of 512 bytes");
const char fuzz_name[] = "archives";

static void look(const char *dir, int depth)
{
    DIR *d = opendir(dir);

    if (d == NULL || depth > 17)
        abort();
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char *path;
        struct stat st;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        path = srq_path_join(dir, e->d_name);
        if (path == NULL || lstat(path, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
            abort();
        if (S_ISDIR(st.st_mode))
            look(path, depth + 1);
        srq_free(path);
    }
    closedir(d);
}

/* Of the folder itself: nothing but the archive and what it became. */
static void look_beside(const char *top)
{
    DIR *d = opendir(top);

    if (d == NULL)
        abort();
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && strcmp(e->d_name, "archive") != 0 && strcmp(e->d_name, "out") != 0)
            abort();
    closedir(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *top = fuzz_folder();
    char *path = srq_path_join(top, "archive"), *out = srq_path_join(top, "out");
    struct srq_error err = { 0 };

    if (path == NULL || out == NULL)
        abort();
    fuzz_file("archive", data, size);
    if (srq_archive_is(path)) {
        int rc = srq_archive_unpack(path, out, &err);

        if (rc == 0)
            look(out, 0);
        else if (err.text[0] == '\0' || srq_path_exists(out))
            abort();
        look_beside(top);
        (void)srq_remove_tree(out, NULL);
    }
    srq_free(path);
    srq_free(out);
    return 0;
}
