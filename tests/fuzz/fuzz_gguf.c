/* GGUF files: whatever is accepted lies inside the file, in order, and is as large as its shape says. */
#include "tests/fuzz/fuzz.h"

#include "core/format/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* Whatever type a key has, it is read as that or refused with its name. */
static void read_keys(const struct srq_gguf *g, const uint8_t *base, size_t size)
{
    const enum srq_gguf_value types[] = { SRQ_GGUF_TEXT, SRQ_GGUF_I32, SRQ_GGUF_FLOAT };

    for (int64_t i = 0; i < srq_gguf_key_count(g); i++) {
        struct srq_gguf_text text = { NULL, 0 };
        struct srq_error err = { 0 };
        struct srq_gguf_array a;
        char name[64];
        size_t len;
        const char *key = srq_gguf_key_name(g, i, &len);
        int64_t n;
        double x;
        bool b;

        if (len >= sizeof(name) || memchr(key, '\0', len) != NULL)
            continue;
        memcpy(name, key, len);
        name[len] = '\0';
        if (!srq_gguf_has(g, name))
            abort();
        (void)srq_gguf_read_int(g, name, true, &n, &err);
        (void)srq_gguf_read_float(g, name, true, &x, &err);
        (void)srq_gguf_read_bool(g, name, true, &b, &err);
        if (srq_gguf_read_text(g, name, true, &text, &err) == 0 &&
            ((const uint8_t *)text.text < base || (const uint8_t *)text.text + text.len > base + size))
            abort();
        for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
            if (srq_gguf_read_array(g, name, true, types[k], &a, &err) != 0)
                continue;
            while (a.taken < a.count) {
                if (k == 0 && srq_gguf_take_text(&a, &text, &err) != 0)
                    break;
                if (k != 0)
                    (void)srq_gguf_take_i32(&a);
            }
            if (a.at > base + size)
                abort();
        }
    }
}

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
    read_keys(g, base, size);
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
