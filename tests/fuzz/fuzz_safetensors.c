/* Headers of safetensors files: whatever is accepted lies inside the file, without holes. */
#include "tests/fuzz/fuzz.h"

#include "core/format/st_header.h"
#include "core/tensor/tensor.h"

#include <stdlib.h>

#define T(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

/* The first eight bytes are the length; the target also tries the right one. */
const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("\x02\0\0\0\0\0\0\0{}"),
    FUZZ_SEED("\x3a\0\0\0\0\0\0\0{" T("w", "F32", "[2,1]", "[0,8]") "}01234567"),
    FUZZ_SEED("\0\0\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"}," T("a", "U8", "[0]", "[0,0]") "," T(
        "b", "BF16", "[]", "[0,0]") "}"),
    FUZZ_SEED("\0\0\0\0\0\0\0\0{" T("a", "I64", "[0,3]", "[0,0]") "," T("c", "F8_E4M3", "[1,0,2]", "[0,0]") "}  "),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "safetensors headers";

static void try(const uint8_t *data, size_t size)
{
    struct srq_st_header h;
    struct srq_error err = { 0 };
    uint64_t at = 0;

    if (srq_st_header_read(data, size, "fuzz", &h, &err) != 0) {
        if (err.code == 0 || err.text[0] == '\0')
            abort();
        return;
    }
    for (int64_t i = 0; i < h.count; i++) {
        const struct srq_st_entry *e = &h.entries[i];
        struct srq_tensor t = srq_tensor_make(NULL, e->dtype, e->rank, e->shape);
        size_t bytes;

        if (e->begin != at || e->end < e->begin || !srq_tensor_bytes(&t, &bytes) || bytes != e->end - e->begin)
            abort();
        at = e->end;
    }
    if (h.data_at + at != size)
        abort();
    srq_st_header_fini(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try(data, size);
    for (size_t tail = 0; size >= 8 + tail && tail <= 8; tail += 8) { /* with a length that fits */
        uint8_t *copy = malloc(size);

        if (copy == NULL)
            abort();
        memcpy(copy, data, size);
        for (int i = 0; i < 8; i++)
            copy[i] = (uint8_t)((uint64_t)(size - 8 - tail) >> (8 * i));
        try(copy, size);
        free(copy);
    }
    return 0;
}
