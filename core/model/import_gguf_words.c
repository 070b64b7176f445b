/* The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json (spec formats 5.2): byte-level BPE by merges
 * with a pattern that has a name, or SentencePiece's BPE by scores of the pieces. */
#include "core/model/import_gguf_parts.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"
#include "core/format/st_header.h"
#include "core/model/gguf_words.h"
#include "core/text/vocab.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOW 120

struct word {
    char *text;
    enum srq_gguf_word type;
    float score;
};

struct words {
    const struct srq_gguf *g;
    const char *file;
    struct word *word;
    int64_t count;
    bool pieces; /* SentencePiece's */
    bool prefix; /* these begin a text with a blank */
    const struct srq_gguf_pattern *pattern;
    int64_t special[SRQ_GGUF_SPECIALS]; /* ids; -1: there is none */
    bool adds_begin, adds_end;
};

static int no_memory(const struct words *t, struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory reading the tokenizer of %s", t->file);
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
    const struct srq_gguf_pattern *p;
    char known[160] = "";
    size_t len = 0;
    int rc = srq_gguf_read_text(t->g, SRQ_GGUF_WORDS_MODEL, true, &model, err);

    if (rc != 0)
        return rc;
    t->pieces = srq_gguf_text_is(&model, "llama");
    if (t->pieces) {
        t->prefix = true;
        return srq_gguf_read_bool(t->g, SRQ_GGUF_WORDS_PREFIX, false, &t->prefix, err);
    }
    if (!srq_gguf_text_is(&model, "gpt2"))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, SRQ_GGUF_WORDS_MODEL,
                              "%s: " SRQ_GGUF_WORDS_MODEL " \"%.*s\" is not one that srq knows (gpt2, llama)", t->file,
                              (int)(model.len < 60 ? model.len : 60), model.text);
    rc = srq_gguf_read_text(t->g, SRQ_GGUF_WORDS_PATTERN, true, &name, err);
    for (int i = 0; rc == 0 && (p = srq_gguf_pattern(i)) != NULL; i++) {
        for (int k = 0; k < SRQ_GGUF_PATTERN_NAMES && p->names[k] != NULL; k++) {
            if (srq_gguf_text_is(&name, p->names[k]))
                t->pattern = p;
            len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len > 0 ? ", " : "", p->names[k]);
        }
    }
    if (rc == 0 && t->pattern == NULL)
        rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, SRQ_GGUF_WORDS_PATTERN,
                            "%s: " SRQ_GGUF_WORDS_PATTERN " \"%.*s\" is not one that srq knows (%s)", t->file,
                            (int)(name.len < 60 ? name.len : 60), name.text, known);
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
    int rc = srq_gguf_read_array(t->g, SRQ_GGUF_WORDS_TOKENS, true, SRQ_GGUF_TEXT, &tokens, err);

    if (rc == 0)
        rc = srq_gguf_read_array(t->g, SRQ_GGUF_WORDS_TYPES, true, SRQ_GGUF_I32, &types, err);
    if (rc == 0)
        rc = srq_gguf_read_array(t->g, SRQ_GGUF_WORDS_SCORES, t->pieces, SRQ_GGUF_FLOAT, &scores, err);
    if (rc != 0)
        return rc;
    if (tokens.count > (uint64_t)rows || tokens.count == 0)
        return wrong_count(t, SRQ_GGUF_WORDS_TOKENS, tokens.count, "the embedding rows", rows, err);
    t->count = (int64_t)tokens.count;
    if (types.count != tokens.count)
        return wrong_count(t, SRQ_GGUF_WORDS_TYPES, types.count, SRQ_GGUF_WORDS_TOKENS, t->count, err);
    if (t->pieces && scores.count != tokens.count)
        return wrong_count(t, SRQ_GGUF_WORDS_SCORES, scores.count, SRQ_GGUF_WORDS_TOKENS, t->count, err);
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
        w->type = (enum srq_gguf_word)type;
        w->score = t->pieces ? srq_gguf_take_float(&scores) : 0;
        if (w->text == NULL)
            return no_memory(t, err);
        if (type < SRQ_GGUF_NORMAL || type > SRQ_GGUF_BYTE)
            return srq_fail_field(err, -SRQ_EFORMAT, SRQ_GGUF_WORDS_TYPES,
                                  "%s: element %" PRId64 " of key " SRQ_GGUF_WORDS_TYPES " is %" PRId32, t->file, i,
                                  type);
    }
    return 0;
}

static int read_specials(struct words *t, struct srq_error *err)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < SRQ_GGUF_SPECIALS; i++) {
        const char *key = srq_gguf_specials[i].key;
        int64_t *id = &t->special[i];

        *id = -1;
        rc = srq_gguf_read_int(t->g, key, false, id, err);
        if (rc == 0 && (*id < -1 || *id >= t->count))
            rc = srq_fail_field(err, -SRQ_EFORMAT, key, "%s: %s is %" PRId64 ", and there are %" PRId64 " tokens",
                                t->file, key, *id, t->count);
    }
    for (int64_t i = 0; t->pieces && t->special[SRQ_GGUF_UNK] < 0 && i < t->count; i++)
        if (t->word[i].type == SRQ_GGUF_UNKNOWN)
            t->special[SRQ_GGUF_UNK] = i;
    t->adds_begin = t->pieces || t->pattern->begins;
    if (rc == 0)
        rc = srq_gguf_read_bool(t->g, SRQ_GGUF_WORDS_BEGINS, false, &t->adds_begin, err);
    if (rc == 0)
        rc = srq_gguf_read_bool(t->g, SRQ_GGUF_WORDS_ENDS, false, &t->adds_end, err);
    t->adds_begin = t->adds_begin && t->special[SRQ_GGUF_BOS] >= 0;
    t->adds_end = t->adds_end && t->special[SRQ_GGUF_EOS] >= 0;
    return rc;
}

/* ---- the model of tokenizer.json --------------------------------------------------------------------------------- */

/* Whether text becomes this token by the model; added tokens are in its vocabulary too, for the sake of their ids. */
static bool in_vocabulary(const struct word *w)
{
    return w->type != SRQ_GGUF_UNUSED;
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
            return srq_fail_field(err, -SRQ_EFORMAT, SRQ_GGUF_WORDS_TOKENS, "%s: token \"%s\" is there twice", t->file,
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
    int rc = srq_gguf_read_array(t->g, SRQ_GGUF_WORDS_MERGES, true, SRQ_GGUF_TEXT, &stored, err);

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
               : srq_fail_field(err, -SRQ_ELIMIT, SRQ_GGUF_WORDS_TOKENS, "%s: its pieces are more than %d merges",
                                t->file, SRQ_VOCAB_MERGES_MAX);
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
        if (t->word[i].type == SRQ_GGUF_NORMAL && t->word[i].text[0] != '\0')
            rc = srq_vocab_add(&vocab, t->word[i].text, strlen(t->word[i].text), i, t->file, err);
    for (int64_t i = 0; rc == 0 && i < t->count; i++)
        if (t->word[i].type == SRQ_GGUF_NORMAL && t->word[i].text[0] != '\0')
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

    if (rc == 0 && t->pieces && t->special[SRQ_GGUF_UNK] >= 0 &&
        !put(model, "unk_token", json_string(t->word[t->special[SRQ_GGUF_UNK]].text)))
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
        bool special = w->type == SRQ_GGUF_CONTROL || w->type == SRQ_GGUF_UNKNOWN;

        if (special || w->type == SRQ_GGUF_USER) {
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

static json_t *cutting(const struct srq_gguf_pattern *p)
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
                              "prepend", SRQ_GGUF_SPACE, blanks(" ", SRQ_GGUF_SPACE))
                  : blanks(" ", SRQ_GGUF_SPACE);
}

static json_t *decoder_of_pieces(bool prefix)
{
    json_t *strip = prefix ? json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0)
                           : json_null();
    json_t *all = json_pack("{s:s, s:[o, {s:s}, {s:s}]}", "type", "Sequence", "decoders", blanks(SRQ_GGUF_SPACE, " "),
                            "type", "ByteFallback", "type", "Fuse");

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
    return (!t->adds_begin || append_part(t, to, t->special[SRQ_GGUF_BOS], NULL, type)) &&
           append_part(t, to, -1, text, type) &&
           (!t->adds_end || append_part(t, to, t->special[SRQ_GGUF_EOS], NULL, type));
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
                   append_text(t, pair, "B", 1) &&
                   (!t->adds_begin || put_special(t, tokens, t->special[SRQ_GGUF_BOS])) &&
                   (!t->adds_end || put_special(t, tokens, t->special[SRQ_GGUF_EOS]))
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
    struct srq_gguf_text chat = { NULL, 0 };
    json_t *c =
        json_pack("{s:s, s:b}", "tokenizer_class", "PreTrainedTokenizerFast", "clean_up_tokenization_spaces", false);
    int rc = c != NULL ? srq_gguf_read_text(t->g, SRQ_GGUF_WORDS_CHAT, false, &chat, err) : no_memory(t, err);

    *out = c;
    for (int i = 0; rc == 0 && i < SRQ_GGUF_SPECIALS; i++) {
        char member[32];

        snprintf(member, sizeof(member), "%s_token", srq_gguf_specials[i].name);
        if (t->special[i] >= 0 && !put(c, member, json_string(t->word[t->special[i]].text)))
            rc = no_memory(t, err);
    }
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
