/* A fuzz target: LLVMFuzzerTestOneInput, which aborts when a property does not hold, and seeds for the small driver of
 * driver.c. With clang, `-fsanitize=fuzzer` can take the driver's place. */
#ifndef SRQ_FUZZ_H
#define SRQ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_seed {
    const char *data;
    size_t len;
};

#define FUZZ_SEED(text)        \
    {                          \
        text, sizeof(text) - 1 \
    }

extern const char fuzz_name[];
extern const struct fuzz_seed fuzz_seeds[];
extern const size_t fuzz_seed_count;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A fresh folder that is removed at exit, for targets whose code reads files. */
const char *fuzz_folder(void);
/* Writes a file of that folder, replacing it. */
void fuzz_file(const char *name, const uint8_t *data, size_t size);

#endif
