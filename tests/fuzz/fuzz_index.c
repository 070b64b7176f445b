/* Shard indexes: accepted file names are plain, every tensor has its file. */
#include "tests/fuzz/fuzz.h"

#include "core/base/fs.h"
#include "core/format/st_index.h"

#include <stdlib.h>

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\"}}"),
    FUZZ_SEED("{\"weight_map\":{}}"),
    FUZZ_SEED("{\"weight_map\":{\"x\":\"s\",\"y\":\"s\",\"z\":\"t\"}}"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "shard indexes";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct srq_st_index index;

    if (srq_st_index_parse((const char *)data, size, "fuzz", &index, NULL) != 0)
        return 0;
    for (int i = 0; i < index.file_count; i++) {
        if (!srq_is_base_name(index.files[i]))
            abort();
    }
    for (int64_t i = 0; i < index.count; i++) {
        if (index.places[i].file < 0 || index.places[i].file >= index.file_count ||
            srq_st_index_find(&index, index.places[i].name) != i)
            abort();
    }
    srq_st_index_fini(&index);
    return 0;
}
