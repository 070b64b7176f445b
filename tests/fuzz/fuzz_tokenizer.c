/* Tokenizer files: what opens also encodes, within its own ids, or says why it does not. Behind a RS comes
 * tokenizer_config.json, and behind another added_tokens.json. */
#include "tests/fuzz/fuzz.h"

#include "core/base/alloc.h"
#include "core/text/tokenizer.h"

#include <stdlib.h>

#define MODEL                                                                                   \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\xc4\xa0\":3,\"\xc4\xa0" \
    "a\":4,\"e\":5,\"abab\":6},\"merges\":[\"a b\",[\"\xc4\xa0\",\"a\"],\"ab ab\"]}}"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("{" MODEL),
    FUZZ_SEED(
        ""
        "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:"
        "'s|'t)|[^\\\\r\\\\n\\\\p{L}]?\\\\p{L}+|\\\\p{N}{1,3}|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\","
        "\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}," MODEL),
    FUZZ_SEED(
        ""
        "{\"added_tokens\":[{\"id\":7,\"content\":\"<t>\",\"lstrip\":true,\"rstrip\":true},{\"id\":8,\"content\":\"b "
        "a\",\"normalized\":true,\"single_word\":true}],\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{"
        "\"type\":\"NFKC\"},{\"type\":\"Lowercase\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" "
        "\"},\"content\":\"_\"},{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true},{\"type\":\"Prepend\","
        "\"prepend\":\"_\"}]},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
        "\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"x\":{\"ids\":[0]}}}," MODEL),
    FUZZ_SEED(""
              "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"split\":"
              "true},\"model\":{\"type\":\"BPE\",\"unk_token\":\"u\",\"fuse_unk\":true,\"byte_fallback\":true,\"end_of_"
              "word_suffix\":\"/\",\"vocab\":{\"u\":0,\"_\":1,\"a\":2,\"a/\":3,\"<0x0A>\":4},\"merges\":[]}}"),
    FUZZ_SEED(""
              "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\",\"individual_digits\":"
              "false},{\"type\":\"Split\",\"pattern\":{\"String\":\"b\"},\"behavior\":\"MergedWithPrevious\"},{"
              "\"type\":\"ByteLevel\",\"add_prefix_space\":true}]}," MODEL),
    FUZZ_SEED("{" MODEL
              "\x1e{\"tokenizer_class\":\"Qwen2Tokenizer\",\"added_tokens_decoder\":{\"7\":{\"content\":\"<t>\","
              "\"lstrip\":true,\"special\":false}},\"eos_token\":\"<t>\",\"pad_token\":{\"content\":\"b\"},"
              "\"extra_special_tokens\":[\"caf\"]}"),
    FUZZ_SEED("{" MODEL "\x1e{\"pad_token\":\"b\",\"image_token\":\"<t>\"}\x1e{\"<t>\":7,\"ab\":2}"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "tokenizer files";

static void put_files(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "tokenizer.json", "tokenizer_config.json", "added_tokens.json" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const uint8_t *end = size > 0 ? memchr(data, 0x1e, size) : NULL;
        size_t n = end != NULL && i + 1 < sizeof(names) / sizeof(names[0]) ? (size_t)(end - data) : size;

        fuzz_file(names[i], i > 0 && n == 0 ? (const uint8_t *)"{}" : data, i > 0 && n == 0 ? 2 : n);
        data += n < size ? n + 1 : n;
        size -= n < size ? n + 1 : n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "abab a <t> b a 12 caf\xc3\xa9 e\xcc\x81\n\n  b's \xf0\x9f\x98\x80<t>";
    struct srq_tokenizer *tk;
    struct srq_error err = { 0 };
    int32_t *ids;
    int64_t count;

    put_files(data, size);
    if (srq_tokenizer_open(fuzz_folder(), &tk, &err) != 0) {
        if (err.code == 0 || tk != NULL)
            abort();
        return 0;
    }
    if (srq_tokenizer_encode(tk, text, sizeof(text) - 1, true, &ids, &count, &err) != 0) {
        if (err.code != SRQ_ELIMIT)
            abort();
    } else {
        for (int64_t i = 0; i < count; i++) {
            if (srq_tokenizer_token(tk, ids[i]) == NULL)
                abort();
        }
    }
    srq_free(ids);
    srq_tokenizer_free(tk);
    return 0;
}
