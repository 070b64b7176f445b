/* Arrays of pictures, plain and packed, and PNG files: what is accepted can be read to its last picture, in range. */
#include "tests/fuzz/fuzz.h"

#include "core/format/pictures.h"

#include <stdio.h>
#include <stdlib.h>

#define VALUES_MAX (1 << 20)

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("\0\0\x08\x03\0\0\0\x02\0\0\0\x01\0\0\0\x03"
              "abcdef"),
    FUZZ_SEED("\0\0\x08\x04\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x03"
              "abcdef"),
    FUZZ_SEED("\x93NUMPY\x01\0\x42\0{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 2), }   \nabcd"),
    FUZZ_SEED("\x93NUMPY\x02\0\x40\0\0\0{'shape': (1,2,1,1), 'fortran_order': False, 'descr': '<f4'}   \n"
              "\0\0\x80\x3f\0\0\x80\xbf"),
    /* the first one, stored in gzip */
    FUZZ_SEED("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x01\x16\x00\xe9\xff\x00\x00\x08\x03\x00\x00\x00\x02\x00\x00\x00"
              "\x01\x00\x00\x00\x03\x61\x62\x63\x64\x65\x66\x7b\x0d\x08\x34\x16\x00\x00\x00"),
    /* one gray pixel */
    FUZZ_SEED("\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00"
              "\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\xf8\x0f\x00\x01\x01\x01\x00\x1c"
              "\xb0\x8c\x99\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "sets of pictures";

static void read_all(const struct srq_picture_set *set)
{
    struct srq_picture_shape s = srq_pictures_shape(set);
    int64_t values = s.height * s.width * s.channels;
    float *out;

    if (s.count < 1 || s.height < 1 || s.width < 1 || (s.channels != 1 && s.channels != 3))
        abort();
    out = values <= VALUES_MAX ? malloc((size_t)values * sizeof(*out)) : NULL;
    for (int64_t i = 0; out != NULL && i < s.count; i++) {
        if (srq_pictures_get(set, i, 1, out, NULL) != 0)
            continue;
        for (int64_t k = 0; k < values; k++)
            if (!(out[k] >= -1 && out[k] <= 1))
                abort();
    }
    free(out);
}

static void try(const char *path)
{
    struct srq_picture_set *set;
    struct srq_error err = { 0 };

    if (srq_pictures_open(path, &set, &err) == 0)
        read_all(set);
    else if (err.code == 0 || err.text[0] == '\0' || set != NULL)
        abort();
    srq_pictures_close(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[4096];

    fuzz_file("x.png", data, size);
    snprintf(path, sizeof(path), "%s/x.png", fuzz_folder());
    try(path);
    try(fuzz_folder());
    return 0;
}
