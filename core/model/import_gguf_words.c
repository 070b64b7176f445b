/* The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json (spec formats 5.2): byte-level BPE by merges
 * with a pattern that has a name, or SentencePiece's BPE by scores of the pieces. */
#include "core/model/import_gguf_parts.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"
#include "core/format/st_header.h"
#include "core/text/steps.h"
#include "core/text/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOW 120
#define SPACE "\xe2\x96\x81" /* U+2581, which stands for a blank in pieces */
#define TOKENS "tokenizer.ggml.tokens"
#define TYPES "tokenizer.ggml.token_type"
#define SCORES "tokenizer.ggml.scores"
#define MERGES "tokenizer.ggml.merges"
#define PATTERN "tokenizer.ggml.pre"

enum type { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

/* What cuts words before byte-level BPE, by llama.cpp's names. */
struct pattern {
    const char *name;
    const char *regex; /* NULL: ByteLevel's own */
    bool digits;       /* each digit is a word, before that */
    bool composed;     /* text is composed first (NFC) */
    bool whole_words;  /* a word that is a token is not cut */
    bool begins;       /* texts begin with a token, unless the file says otherwise */
};

static const struct pattern patterns[] = {
    { .name = "gpt-2" },
    { .name = "smollm", .digits = true },
    { .name = "qwen2", .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}"), .composed = true },
    { .name = "llama-bpe", .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}{1,3}"), .whole_words = true, .begins = true },
    { .name = "llama3", .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}{1,3}"), .whole_words = true, .begins = true },
    { .name = "llama-v3", .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}{1,3}"), .whole_words = true, .begins = true },
    { .name = "dbrx", .regex = SRQ_PATTERN_AROUND_DIGITS("\\p{N}{1,3}") },
};

struct word {
    char *text;
    enum type type;
    float score;
};

struct words {
    const struct srq_gguf *g;
    const char *file;
    struct word *word;
    int64_t count;
    bool pieces; /* SentencePiece's */
    bool prefix; /* these begin a text with a blank */
    const struct pattern *pattern;
    int64_t begin, end, unknown, pad; /* ids; -1: there is none */
    bool adds_begin, adds_end;
};

static int no_memory(const struct words *t, struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory reading the tokenizer of %s", t->file);
}

static bool is(const struct srq_gguf_text *text, const char *word)
{
    return text->len == strlen(word) && memcmp(text->text, word, text->len) == 0;
}

/* Puts `v`, which it takes over and which may be NULL for want of memory. */
static bool put(json_t *to, const char *member, json_t *v)
{
    return json_object_set_new(to, member, v) == 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int read_kind(struct words *t, struct srq_error *err)
{
    struct srq_gguf_text model = { "", 0 }, name = { "", 0 };
    char known[160] = "";
    size_t len = 0;
    int rc = srq_gguf_read_text(t->g, "tokenizer.ggml.model", true, &model, err);

    if (rc != 0)
        return rc;
    t->pieces = is(&model, "llama");
    if (t->pieces) {
        t->prefix = true;
        return srq_gguf_read_bool(t->g, "tokenizer.ggml.add_space_prefix", false, &t->prefix, err);
    }
    if (!is(&model, "gpt2"))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "tokenizer.ggml.model",
                              "%s: tokenizer.ggml.model \"%.*s\" is not one that srq knows (gpt2, llama)", t->file,
                              (int)(model.len < 60 ? model.len : 60), model.text);
    rc = srq_gguf_read_text(t->g, PATTERN, true, &name, err);
    for (size_t i = 0; rc == 0 && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (is(&name, patterns[i].name))
            t->pattern = &patterns[i];
        len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "", patterns[i].name);
    }
    if (rc == 0 && t->pattern == NULL)
        rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, PATTERN, "%s: " PATTERN " \"%.*s\" is not one that srq knows (%s)",
                            t->file, (int)(name.len < 60 ? name.len : 60), name.text, known);
    return rc;
}

static int wrong_count(const struct words *t, const char *key, uint64_t count, const char *of, int64_t due,
                       struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EFORMAT, key, "%s: key %s has %" PRIu64 " elements, and %s %" PRId64, t->file, key,
                          count, of, due);
}

static int read_words(struct words *t, int64_t rows, struct srq_error *err)
{
    struct srq_gguf_array tokens, types, scores;
    int rc = srq_gguf_read_array(t->g, TOKENS, true, SRQ_GGUF_TEXT, &tokens, err);

    if (rc == 0)
        rc = srq_gguf_read_array(t->g, TYPES, true, SRQ_GGUF_I32, &types, err);
    if (rc == 0)
        rc = srq_gguf_read_array(t->g, SCORES, t->pieces, SRQ_GGUF_FLOAT, &scores, err);
    if (rc != 0)
        return rc;
    if (tokens.count > (uint64_t)rows || tokens.count == 0)
        return wrong_count(t, TOKENS, tokens.count, "the embedding rows", rows, err);
    t->count = (int64_t)tokens.count;
    if (types.count != tokens.count)
        return wrong_count(t, TYPES, types.count, TOKENS, t->count, err);
    if (t->pieces && scores.count != tokens.count)
        return wrong_count(t, SCORES, scores.count, TOKENS, t->count, err);
    t->word = srq_calloc(tokens.count, sizeof(*t->word));
    if (t->word == NULL)
        return no_memory(t, err);
    for (int64_t i = 0; i < t->count; i++) {
        struct word *w = &t->word[i];
        struct srq_gguf_text text;
        int32_t type = srq_gguf_take_i32(&types);

        rc = srq_gguf_take_text(&tokens, &text, err);
        if (rc != 0)
            return rc;
        w->text = srq_strndup(text.text, text.len);
        w->type = (enum type)type;
        w->score = t->pieces ? srq_gguf_take_float(&scores) : 0;
        if (w->text == NULL)
            return no_memory(t, err);
        if (type < NORMAL || type > BYTE)
            return srq_fail_field(err, -SRQ_EFORMAT, TYPES, "%s: element %" PRId64 " of key " TYPES " is %" PRId32,
                                  t->file, i, type);
    }
    return 0;
}

static int read_specials(struct words *t, struct srq_error *err)
{
    const struct {
        const char *key;
        int64_t *id;
    } ids[] = {
        { "tokenizer.ggml.bos_token_id", &t->begin },
        { "tokenizer.ggml.eos_token_id", &t->end },
        { "tokenizer.ggml.unknown_token_id", &t->unknown },
        { "tokenizer.ggml.padding_token_id", &t->pad },
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(ids) / sizeof(ids[0]); i++) {
        *ids[i].id = -1;
        rc = srq_gguf_read_int(t->g, ids[i].key, false, ids[i].id, err);
        if (rc == 0 && (*ids[i].id < -1 || *ids[i].id >= t->count))
            rc =
                srq_fail_field(err, -SRQ_EFORMAT, ids[i].key, "%s: %s is %" PRId64 ", and there are %" PRId64 " tokens",
                               t->file, ids[i].key, *ids[i].id, t->count);
    }
    for (int64_t i = 0; t->pieces && t->unknown < 0 && i < t->count; i++)
        if (t->word[i].type == UNKNOWN)
            t->unknown = i;
    t->adds_begin = t->pieces || t->pattern->begins;
    if (rc == 0)
        rc = srq_gguf_read_bool(t->g, "tokenizer.ggml.add_bos_token", false, &t->adds_begin, err);
    if (rc == 0)
        rc = srq_gguf_read_bool(t->g, "tokenizer.ggml.add_eos_token", false, &t->adds_end, err);
    t->adds_begin = t->adds_begin && t->begin >= 0;
    t->adds_end = t->adds_end && t->end >= 0;
    return rc;
}

/* ---- the model of tokenizer.json --------------------------------------------------------------------------------- */

/* Whether text becomes this token by the model; added tokens are in its vocabulary too, for the sake of their ids. */
static bool in_vocabulary(const struct word *w)
{
    return w->type != UNUSED;
}

static int put_vocabulary(const struct words *t, json_t *model, struct srq_error *err)
{
    json_t *vocab = json_object();
    char shown[SHOW];

    if (!put(model, "vocab", vocab))
        return no_memory(t, err);
    for (int64_t i = 0; i < t->count; i++) {
        const struct word *w = &t->word[i];

        if (!in_vocabulary(w))
            continue;
        if (json_object_get(vocab, w->text) != NULL)
            return srq_fail_field(err, -SRQ_EFORMAT, TOKENS, "%s: token \"%s\" is there twice", t->file,
                                  srq_st_show(w->text, shown, sizeof(shown)));
        if (!put(vocab, w->text, json_integer(i)))
            return no_memory(t, err);
    }
    return 0;
}

/* "left right", as the file has them. */
static int put_stored_merges(const struct words *t, json_t *model, struct srq_error *err)
{
    json_t *merges = json_array();
    struct srq_gguf_array stored;
    int rc = srq_gguf_read_array(t->g, MERGES, true, SRQ_GGUF_TEXT, &stored, err);

    if (!put(model, "merges", merges))
        return no_memory(t, err);
    for (uint64_t i = 0; rc == 0 && i < stored.count; i++) {
        struct srq_gguf_text text;

        rc = srq_gguf_take_text(&stored, &text, err);
        if (rc == 0 && json_array_append_new(merges, json_stringn(text.text, text.len)) != 0)
            rc = no_memory(t, err);
    }
    return rc;
}

/* Two pieces that are one. */
struct join {
    float score;
    int32_t left, right;
    size_t left_len, right_len;
};

static int by_score(const void *a, const void *b)
{
    const struct join *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->left_len != y->left_len)
        return x->left_len > y->left_len ? -1 : 1;
    if (x->right_len != y->right_len)
        return x->right_len > y->right_len ? -1 : 1;
    return x->left != y->left ? (x->left > y->left) - (x->left < y->left)
                              : (x->right > y->right) - (x->right < y->right);
}

struct joins {
    struct join *list;
    size_t count, cap;
};

static int add_join(const struct words *t, struct joins *j, const struct join *one, struct srq_error *err)
{
    if (j->count == j->cap) {
        size_t cap = j->cap > 0 ? 2 * j->cap : 4096;
        struct join *more = srq_reallocarray(j->list, cap, sizeof(*more));

        if (more == NULL)
            return no_memory(t, err);
        j->list = more;
        j->cap = cap;
    }
    j->list[j->count++] = *one;
    return j->count <= SRQ_VOCAB_MERGES_MAX
               ? 0
               : srq_fail_field(err, -SRQ_ELIMIT, TOKENS, "%s: its pieces are more than %d merges", t->file,
                                SRQ_VOCAB_MERGES_MAX);
}

/* All ways in which two pieces make the piece `at`. */
static int add_joins(const struct words *t, const struct srq_vocab *vocab, int64_t at, struct joins *j,
                     struct srq_error *err)
{
    const char *text = t->word[at].text;
    const size_t len = strlen(text);
    uint32_t code;
    int rc = 0;

    for (size_t cut = (size_t)srq_utf8_next(text, &code); rc == 0 && cut < len;
         cut += (size_t)srq_utf8_next(text + cut, &code)) {
        struct join one = { .score = t->word[at].score, .left_len = cut, .right_len = len - cut };

        one.left = srq_vocab_find(vocab, text, cut);
        one.right = one.left >= 0 ? srq_vocab_find(vocab, text + cut, len - cut) : -1;
        if (one.right >= 0)
            rc = add_join(t, j, &one, err);
    }
    return rc;
}

/* Pieces have scores where a model of merges has an order: two pieces become one before others whose joint piece has a
 * lower score. */
static int put_merges_of_scores(const struct words *t, json_t *model, struct srq_error *err)
{
    json_t *merges = json_array();
    struct srq_vocab vocab;
    struct joins j = { 0 };
    int rc = put(model, "merges", merges) ? 0 : no_memory(t, err);

    srq_vocab_init(&vocab);
    for (int64_t i = 0; rc == 0 && i < t->count; i++)
        if (t->word[i].type == NORMAL && t->word[i].text[0] != '\0')
            rc = srq_vocab_add(&vocab, t->word[i].text, strlen(t->word[i].text), i, t->file, err);
    for (int64_t i = 0; rc == 0 && i < t->count; i++)
        if (t->word[i].type == NORMAL && t->word[i].text[0] != '\0')
            rc = add_joins(t, &vocab, i, &j, err);
    if (rc == 0 && j.count > 0)
        qsort(j.list, j.count, sizeof(*j.list), by_score);
    for (size_t i = 0; rc == 0 && i < j.count; i++) {
        json_t *pair = json_pack("[s, s]", t->word[j.list[i].left].text, t->word[j.list[i].right].text);

        if (pair == NULL || json_array_append_new(merges, pair) != 0)
            rc = no_memory(t, err);
    }
    srq_vocab_fini(&vocab);
    srq_free(j.list);
    return rc;
}

static int make_model(const struct words *t, json_t *root, struct srq_error *err)
{
    json_t *model = json_pack("{s:s, s:n, s:n, s:n, s:n, s:b, s:b, s:b}", "type", "BPE", "dropout", "unk_token",
                              "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", t->pieces, "byte_fallback",
                              t->pieces, "ignore_merges", !t->pieces && t->pattern->whole_words);
    int rc = put(root, "model", model) ? 0 : no_memory(t, err);

    if (rc == 0 && t->pieces && t->unknown >= 0 && !put(model, "unk_token", json_string(t->word[t->unknown].text)))
        rc = no_memory(t, err);
    if (rc == 0)
        rc = put_vocabulary(t, model, err);
    if (rc != 0)
        return rc;
    return t->pieces ? put_merges_of_scores(t, model, err) : put_stored_merges(t, model, err);
}

/* ---- the rest of tokenizer.json ---------------------------------------------------------------------------------- */

static int put_added(const struct words *t, json_t *root, struct srq_error *err)
{
    json_t *added = json_array();

    if (!put(root, "added_tokens", added))
        return no_memory(t, err);
    for (int64_t i = 0; i < t->count; i++) {
        const struct word *w = &t->word[i];
        bool special = w->type == CONTROL || w->type == UNKNOWN;

        if (special || w->type == USER) {
            json_t *one =
                json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i, "content", w->text, "single_word",
                          false, "lstrip", false, "rstrip", false, "normalized", false, "special", special);

            if (one == NULL || json_array_append_new(added, one) != 0)
                return no_memory(t, err);
        }
    }
    return 0;
}

static json_t *byte_level(bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", false, "trim_offsets", true,
                     "use_regex", regex);
}

static json_t *cutting(const struct pattern *p)
{
    if (p->digits)
        return json_pack("{s:s, s:[{s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Digits",
                         "individual_digits", true, byte_level(true));
    if (p->regex != NULL)
        return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                         "pattern", "Regex", p->regex, "behavior", "Isolated", "invert", false, byte_level(false));
    return byte_level(true);
}

static json_t *blanks(const char *from, const char *to)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content", to);
}

static json_t *normalizer_of_pieces(bool prefix)
{
    return prefix ? json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type", "Prepend",
                              "prepend", SPACE, blanks(" ", SPACE))
                  : blanks(" ", SPACE);
}

static json_t *decoder_of_pieces(bool prefix)
{
    json_t *strip = prefix ? json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0)
                           : json_null();
    json_t *all = json_pack("{s:s, s:[o, {s:s}, {s:s}]}", "type", "Sequence", "decoders", blanks(SPACE, " "), "type",
                            "ByteFallback", "type", "Fuse");

    if (!prefix)
        return all;
    if (all == NULL || json_array_append_new(json_object_get(all, "decoders"), strip) != 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

static int put_steps(const struct words *t, json_t *root, struct srq_error *err)
{
    json_t *normalizer = t->pieces              ? normalizer_of_pieces(t->prefix)
                         : t->pattern->composed ? json_pack("{s:s}", "type", "NFC")
                                                : json_null();

    return put(root, "normalizer", normalizer) &&
                   put(root, "pre_tokenizer", t->pieces ? json_null() : cutting(t->pattern)) &&
                   put(root, "decoder", t->pieces ? decoder_of_pieces(t->prefix) : byte_level(true))
               ? 0
               : no_memory(t, err);
}

/* One part of a template: a token, or where `id` is below 0 the text. */
static bool append_part(const struct words *t, json_t *to, int64_t id, const char *text, int type)
{
    json_t *part = id >= 0 ? json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", t->word[id].text, "type_id", type)
                           : json_pack("{s:{s:s, s:i}}", "Sequence", "id", text, "type_id", type);

    return part != NULL && json_array_append_new(to, part) == 0;
}

static bool append_text(const struct words *t, json_t *to, const char *text, int type)
{
    return (!t->adds_begin || append_part(t, to, t->begin, NULL, type)) && append_part(t, to, -1, text, type) &&
           (!t->adds_end || append_part(t, to, t->end, NULL, type));
}

static bool put_special(const struct words *t, json_t *to, int64_t id)
{
    const char *text = t->word[id].text;

    return put(to, text, json_pack("{s:s, s:[I], s:[s]}", "id", text, "ids", (json_int_t)id, "tokens", text));
}

/* What is put around a text. */
static int put_ends(const struct words *t, json_t *root, struct srq_error *err)
{
    json_t *single = json_array(), *pair = json_array(), *tokens = json_object(), *p;

    if (!t->adds_begin && !t->adds_end) {
        json_decref(single);
        json_decref(pair);
        json_decref(tokens);
        return put(root, "post_processor", json_null()) ? 0 : no_memory(t, err);
    }
    p = json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                  "special_tokens", tokens);
    return put(root, "post_processor", p) && append_text(t, single, "A", 0) && append_text(t, pair, "A", 0) &&
                   append_text(t, pair, "B", 1) && (!t->adds_begin || put_special(t, tokens, t->begin)) &&
                   (!t->adds_end || put_special(t, tokens, t->end))
               ? 0
               : no_memory(t, err);
}

static int make_tokenizer(const struct words *t, json_t **out, struct srq_error *err)
{
    json_t *root = json_pack("{s:s, s:n, s:n}", "version", "1.0", "truncation", "padding");
    int rc = root != NULL ? put_added(t, root, err) : no_memory(t, err);

    *out = root;
    if (rc == 0)
        rc = put_steps(t, root, err);
    if (rc == 0)
        rc = put_ends(t, root, err);
    return rc == 0 ? make_model(t, root, err) : rc;
}

/* ---- tokenizer_config.json --------------------------------------------------------------------------------------- */

static int make_config(const struct words *t, json_t **out, struct srq_error *err)
{
    const struct {
        const char *member;
        int64_t id;
    } named[] = {
        { "bos_token", t->begin }, { "eos_token", t->end }, { "unk_token", t->unknown }, { "pad_token", t->pad }
    };
    struct srq_gguf_text chat = { NULL, 0 };
    json_t *c =
        json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", false);
    int rc = c != NULL ? srq_gguf_read_text(t->g, "tokenizer.chat_template", false, &chat, err) : no_memory(t, err);

    *out = c;
    for (size_t i = 0; rc == 0 && i < sizeof(named) / sizeof(named[0]); i++)
        if (named[i].id >= 0 && !put(c, named[i].member, json_string(t->word[named[i].id].text)))
            rc = no_memory(t, err);
    if (rc == 0 && chat.text != NULL && !put(c, "chat_template", json_stringn(chat.text, chat.len)))
        rc = no_memory(t, err);
    return rc;
}

int srq_gguf_words(const struct srq_gguf_import *m, int64_t rows, json_t **tokenizer, json_t **config,
                   struct srq_error *err)
{
    struct words t = { .g = m->g, .file = m->file };
    int rc = read_kind(&t, err);

    if (rc == 0)
        rc = read_words(&t, rows, err);
    if (rc == 0)
        rc = read_specials(&t, err);
    if (rc == 0)
        rc = make_tokenizer(&t, tokenizer, err);
    if (rc == 0)
        rc = make_config(&t, config, err);
    for (int64_t i = 0; i < t.count && t.word != NULL; i++)
        srq_free(t.word[i].text);
    srq_free(t.word);
    return rc;
}
