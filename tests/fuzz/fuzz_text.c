/* Texts: well-formed UTF-8 is encoded, and the byte-level ids decode to it; anything else is refused. */
#include "tests/fuzz/fuzz.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/utf8.h"
#include "core/text/pretokenize.h"
#include "core/text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("The quick brown fox doesn't count 12345 days,\n\n   they're 3.14!\r\n\tx  "),
    FUZZ_SEED("caf\xc3\xa9 cafe\xcc\x81 \xe6\x9d\xb1\xe4\xba\xac \xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9 "
              "\xc2\xa0\xe2\x80\x83"),
    FUZZ_SEED("                    \n\n\n\n\n\n\n"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "texts";

/* Every byte is a token, a few merges, the pattern of Llama 3: nothing is lost in encoding. */
static struct srq_tokenizer *make_tokenizer(void)
{
    static const char head[] =
        ""
        "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:"
        "'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| "
        "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":"
        "\"Isolated\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]},\"model\":{\"type\":"
        "\"BPE\",\"vocab\":{";
    static const char tail[] = "\"th\":256,\"the\":257,\"\xc4\xa0t\":258,\"\xc3\x83\xc2\xa9\":259},\"merges\":[\"t "
                               "h\",\"th e\",\"\xc4\xa0 t\",\"\xc3\x83 \xc2\xa9\"]}}";
    struct srq_buf json;
    struct srq_tokenizer *tk;
    struct srq_error err;

    srq_buf_init(&json, 65536);
    srq_buf_puts(&json, head);
    for (unsigned b = 0; b < 256; b++) {
        char c[5] = "";

        srq_utf8_put(srq_byte_to_char((unsigned char)b), c);
        srq_buf_printf(&json, "\"%s%s\":%u,", c[0] == '"' || c[0] == '\\' ? "\\" : "", c, b);
    }
    srq_buf_puts(&json, tail);
    fuzz_file("tokenizer.json", (const uint8_t *)json.data, json.len);
    srq_buf_fini(&json);
    if (srq_tokenizer_open(fuzz_folder(), &tk, &err) != 0)
        abort();
    return tk;
}

static struct srq_tokenizer *tokenizer;

static void free_tokenizer(void)
{
    srq_tokenizer_free(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const merged[] = { "th", "the", " t", "\xc3\xa9" };
    struct srq_error err = { 0 };
    int32_t *ids;
    int64_t count;
    size_t at = 0;

    if (tokenizer == NULL) {
        tokenizer = make_tokenizer();
        atexit(free_tokenizer);
    }
    if (srq_tokenizer_encode(tokenizer, (const char *)data, size, false, &ids, &count, &err) != 0) {
        if (err.code != SRQ_EFORMAT || srq_utf8_check((const char *)data, size) == size)
            abort();
        return 0;
    }
    for (int64_t i = 0; i < count; i++) {
        char byte = (char)ids[i];
        const char *text = ids[i] < 256 ? &byte : merged[ids[i] - 256];
        size_t n = ids[i] < 256 ? 1 : strlen(text);

        if (n > size - at || memcmp(data + at, text, n) != 0)
            abort();
        at += n;
    }
    if (at != size)
        abort();
    srq_free(ids);
    return 0;
}
