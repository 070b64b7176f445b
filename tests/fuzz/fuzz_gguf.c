/* GGUF files: whatever is accepted lies inside the file, in order, and is as large as its shape says. */
#include "tests/fuzz/fuzz.h"

#include "core/format/gguf.h"

#include <stdio.h>
#include <stdlib.h>

#define LONG(n) n "\0\0\0\0\0\0\0" /* a number of eight bytes */
#define WORD(n) n "\0\0\0"         /* of four */
#define HEAD(tensors, keys) "GGUF" WORD("\3") LONG(tensors) LONG(keys)
#define TENSOR LONG("\1") "t" WORD("\1") LONG("\2") WORD("\0") LONG("\0") /* F32 [2], at 0 */

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED(HEAD("\1", "\0") TENSOR "0123456" /* up to byte 64 */
                                      "01234567012345670123456701234567"),
    FUZZ_SEED(HEAD("\1", "\2") LONG("\x11") "general.alignment" WORD("\4") WORD("\x08") LONG("\1") "a" WORD("\x09")
                  WORD("\x08") LONG("\1") LONG("\3") "one" TENSOR "0123" /* up to byte 128 */
                                                     "01234567"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "GGUF files";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct srq_error err = { 0 };
    struct srq_gguf *g;
    char path[512];
    const uint8_t *base, *at;
    size_t head;

    snprintf(path, sizeof(path), "%s/f.gguf", fuzz_folder());
    fuzz_file("f.gguf", data, size);
    if (srq_gguf_open(path, &g, &err) != 0) {
        if (err.code == 0 || err.text[0] == '\0' || g != NULL)
            abort();
        return 0;
    }
    base = srq_gguf_head_read(g, &head);
    at = base + head;
    for (int64_t i = 0; i < srq_gguf_count(g); i++) {
        const struct srq_gguf_tensor *t = srq_gguf_tensor(g, i);
        uint64_t row, rows = 1;

        for (int d = 0; d + 1 < t->rank; d++)
            rows *= (uint64_t)t->shape[d];
        if (!srq_gguf_row_bytes(t->type, t->shape[t->rank - 1], &row) || row * rows != t->bytes || t->data < at ||
            t->data + t->bytes > base + size)
            abort();
        at = t->data + t->bytes;
    }
    srq_gguf_close(g);
    return 0;
}
