/* The folder of a fuzz target. */
#include "tests/fuzz/fuzz.h"

#include "core/base/fs.h"

#include <stdio.h>
#include <stdlib.h>

static char folder[256];

static void remove_folder(void)
{
    (void)srq_remove_tree(folder, NULL);
}

const char *fuzz_folder(void)
{
    const char *tmp = getenv("TMPDIR");

    if (folder[0] == '\0') {
        snprintf(folder, sizeof(folder), "%s/srq-fuzz-XXXXXX", tmp != NULL ? tmp : "/tmp");
        if (mkdtemp(folder) == NULL)
            abort();
        atexit(remove_folder);
    }
    return folder;
}

void fuzz_file(const char *name, const uint8_t *data, size_t size)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", fuzz_folder(), name);
    f = fopen(path, "wb");
    if (f == NULL || (size > 0 && fwrite(data, 1, size, f) != size) || fclose(f) != 0)
        abort();
}
