/* Keys of a GGUF file: its tokenizer, as llama.cpp has it (spec formats 5.2). That one knows two kinds: byte-level BPE
 * by merges, with a pattern that is one of a few by name; and SentencePiece's BPE by scores of the pieces. */
#include "core/model/export_gguf.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/format/st_header.h"
#include "core/model/gguf_words.h"
#include "core/text/chat_source.h"
#include "core/text/steps.h"
#include "core/text/tokenizer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOW 120
#define DEPTH_MAX 2 /* of Sequences */

struct word {
    const char *text; /* NULL: no token has this id */
    enum srq_gguf_word type;
    float score;
};

struct words {
    const char *file; /* tokenizer.json */
    json_t *root;     /* of it, without what is long in it */
    const json_t *model;
    struct srq_tokenizer *tk;       /* with the added tokens of all files */
    const struct srq_vocab *vocab;  /* its own */
    struct srq_vocab_merge *merges; /* by rank; [vocab->merge_count] */
    struct word *word;              /* [rows] */
    int64_t rows;                   /* of the embedding */
    bool pieces;                    /* SentencePiece's */
    bool prefix;                    /* these begin a text with a blank */
    const char *pattern;
};

static int refuse(const struct words *t, struct srq_error *err, const char *what)
{
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, t->file, "%s: gguf has no word for %s", t->file, what);
}

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory writing the tokenizer of a GGUF file");
}

/* ---- which kind -------------------------------------------------------------------------------------------------- */

static bool is(const json_t *step, const char *type)
{
    const char *own = json_string_value(json_object_get(step, "type"));

    return own != NULL && strcmp(own, type) == 0;
}

static bool flag(const json_t *step, const char *key, bool absent)
{
    const json_t *v = json_object_get(step, key);

    return json_is_boolean(v) ? json_is_true(v) : absent;
}

static const char *text_of(const json_t *step, const char *key)
{
    const char *text = json_string_value(json_object_get(step, key));

    return text != NULL ? text : "";
}

static bool isolates(const json_t *step, const char *regex)
{
    return is(step, "Split") && strcmp(text_of(json_object_get(step, "pattern"), "Regex"), regex) == 0 &&
           strcmp(text_of(step, "behavior"), "Isolated") == 0 && !flag(step, "invert", false);
}

/* Whether these steps, of which the last is ByteLevel, cut as a pattern does. */
static bool cuts_so(const struct srq_steps *s, const struct srq_gguf_pattern *p)
{
    const json_t *first = s->step[0];
    bool own = flag(s->step[s->count - 1], "use_regex", true);

    if (p->regex != NULL)
        return s->count == 2 && !own && isolates(first, p->regex);
    if (p->digits)
        return s->count == 2 && own && is(first, "Digits") && flag(first, "individual_digits", false);
    return s->count == 1 && own;
}

/* llama.cpp's name for what cuts words before byte-level BPE; NULL: it has none. */
static const char *pattern_of(const struct srq_steps *s, bool whole_words)
{
    const json_t *last = s->count > 0 ? s->step[s->count - 1] : NULL;
    const struct srq_gguf_pattern *p;

    if (last == NULL || !is(last, "ByteLevel") || flag(last, "add_prefix_space", true))
        return NULL;
    for (int i = 0; (p = srq_gguf_pattern(i)) != NULL; i++)
        if (p->whole_words == whole_words && cuts_so(s, p))
            return p->names[0];
    return NULL;
}

/* Whether a normalizer's step is nothing to a text of composed characters, which llama.cpp takes as it is. */
static bool composes(const struct srq_steps *s)
{
    return s->count == 0 || (s->count == 1 && is(s->step[0], "NFC"));
}

static bool blanks_become(const json_t *step)
{
    return is(step, "Replace") && strcmp(text_of(json_object_get(step, "pattern"), "String"), " ") == 0 &&
           strcmp(text_of(step, "content"), SRQ_GGUF_SPACE) == 0;
}

/* Whether these make SentencePiece's text of a text; *prefix: with a blank before it. */
static bool of_pieces(const struct srq_steps *normal, const struct srq_steps *cut, bool *prefix)
{
    const json_t *const *n = normal->step, *only = cut->count == 1 ? cut->step[0] : NULL;

    if (normal->count == 0 && only != NULL && is(only, "Metaspace") && !flag(only, "split", true) &&
        strcmp(text_of(only, "replacement"), SRQ_GGUF_SPACE) == 0) {
        const char *scheme = text_of(only, "prepend_scheme");

        *prefix = scheme[0] != '\0' ? strcmp(scheme, "never") != 0 : flag(only, "add_prefix_space", true);
        return true;
    }
    /* A cut at blanks finds none once they were replaced. */
    if (cut->count > 1 ||
        (only != NULL && (!is(only, "Split") || strcmp(text_of(json_object_get(only, "pattern"), "String"), " ") != 0)))
        return false;
    *prefix = normal->count == 2;
    return (normal->count == 1 && blanks_become(n[0])) ||
           (normal->count == 2 && is(n[0], "Prepend") && strcmp(text_of(n[0], "prepend"), SRQ_GGUF_SPACE) == 0 &&
            blanks_become(n[1]));
}

static int find_kind(struct words *t, struct srq_error *err)
{
    struct srq_steps normal = { .count = 0 }, cut = { .count = 0 };

    if (!srq_steps_flatten(json_object_get(t->root, "normalizer"), "normalizers", DEPTH_MAX, &normal) ||
        !srq_steps_flatten(json_object_get(t->root, "pre_tokenizer"), "pretokenizers", DEPTH_MAX, &cut))
        return refuse(t, err, "so many steps before its merges");
    if (text_of(t->model, "continuing_subword_prefix")[0] != '\0' || text_of(t->model, "end_of_word_suffix")[0] != '\0')
        return refuse(t, err, "marks at the ends of pieces");
    t->pieces = flag(t->model, "byte_fallback", false);
    if (t->pieces) {
        if (flag(t->model, "ignore_merges", false) || !of_pieces(&normal, &cut, &t->prefix))
            return refuse(t, err, "its normalizer and pre-tokenizer before a model with byte_fallback");
        return 0;
    }
    t->pattern = composes(&normal) ? pattern_of(&cut, flag(t->model, "ignore_merges", false)) : NULL;
    return t->pattern != NULL ? 0
                              : refuse(t, err,
                                       "its normalizer and pre-tokenizer; there are those of gpt-2, llama 3, "
                                       "qwen2 and smollm");
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static int put_word(struct words *t, int64_t at, const char *text, enum srq_gguf_word type, struct srq_error *err)
{
    char shown[SHOW];

    if (at < 0 || at >= t->rows)
        return srq_fail_field(err, -SRQ_EFORMAT, t->file,
                              "%s: token \"%s\" has the id %" PRId64 ", but the embedding has %" PRId64
                              " rows, and gguf a token for each",
                              t->file, srq_st_show(text, shown, sizeof(shown)), at, t->rows);
    t->word[at].text = text;
    t->word[at].type = type;
    return 0;
}

static enum srq_gguf_word type_of_piece(const struct words *t, const char *text)
{
    if (!t->pieces)
        return SRQ_GGUF_NORMAL;
    if (strcmp(text, text_of(t->model, "unk_token")) == 0)
        return SRQ_GGUF_UNKNOWN;
    return strlen(text) == 6 && memcmp(text, "<0x", 3) == 0 && text[5] == '>' ? SRQ_GGUF_BYTE : SRQ_GGUF_NORMAL;
}

static int take_tokens(struct words *t, struct srq_error *err)
{
    struct srq_tokenizer_added added;
    int rc = 0;

    for (int32_t id = 0; rc == 0 && id < t->vocab->size; id++)
        if (t->vocab->tokens[id].text != NULL)
            rc = put_word(t, id, t->vocab->tokens[id].text, type_of_piece(t, t->vocab->tokens[id].text), err);
    for (int32_t i = 0; rc == 0 && srq_tokenizer_added(t->tk, i, &added); i++) {
        enum srq_gguf_word type = added.special ? SRQ_GGUF_CONTROL : SRQ_GGUF_USER;

        if (type == SRQ_GGUF_CONTROL && strcmp(added.text, text_of(t->model, "unk_token")) == 0 && t->pieces)
            type = SRQ_GGUF_UNKNOWN;
        rc = put_word(t, added.id, added.text, type, err);
    }
    for (int64_t i = 0; i < t->rows; i++)
        if (t->word[i].text == NULL)
            t->word[i].type = SRQ_GGUF_UNUSED;
    return rc;
}

static bool is_character(const char *text)
{
    uint32_t code;

    return text[0] != '\0' && text[srq_utf8_next(text, &code)] == '\0';
}

/* Pieces are merged by score: that of the first merge that makes a piece, less for each one before it. What no merge
 * makes comes after all of them; single characters are there from the beginning. */
static void take_scores(struct words *t)
{
    const size_t merges = t->vocab->merge_count;

    for (int64_t i = 0; i < t->rows; i++)
        t->word[i].score =
            t->word[i].type == SRQ_GGUF_NORMAL && !is_character(t->word[i].text) ? -(float)merges - 1 : 0;
    for (size_t i = merges; i > 0; i--)
        t->word[t->merges[i - 1].id].score = -(float)i;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* "left right" */
static int put_merges(const struct words *t, struct srq_gguf_writer *w, struct srq_error *err)
{
    const struct srq_vocab_token *token = t->vocab->tokens;
    struct srq_buf text;
    bool whole = true;

    srq_buf_init(&text, 2 * SRQ_VOCAB_TOKEN_MAX + 2);
    srq_gguf_key_array(w, SRQ_GGUF_WORDS_MERGES, SRQ_GGUF_TEXT, t->vocab->merge_count);
    for (size_t i = 0; i < t->vocab->merge_count && whole; i++) {
        uint64_t pair = t->merges[i].pair;

        srq_buf_clear(&text);
        srq_buf_printf(&text, "%s %s", token[pair >> 32].text, token[pair & UINT32_MAX].text);
        whole = !text.failed;
        if (whole)
            srq_gguf_add_text(w, text.data, text.len);
    }
    srq_buf_fini(&text);
    return whole ? 0 : no_memory(err);
}

/* An id without a token has a text too. */
static void put_text(const struct word *word, int64_t id, struct srq_gguf_writer *w)
{
    char pad[32];

    snprintf(pad, sizeof(pad), "[PAD%" PRId64 "]", id);
    srq_gguf_add_text(w, word->text != NULL ? word->text : pad, strlen(word->text != NULL ? word->text : pad));
}

static int put_tokens(const struct words *t, struct srq_gguf_writer *w, struct srq_error *err)
{
    srq_gguf_key_text(w, SRQ_GGUF_WORDS_MODEL, t->pieces ? "llama" : "gpt2");
    srq_gguf_key_text(w, SRQ_GGUF_WORDS_PATTERN, t->pieces ? "default" : t->pattern);
    srq_gguf_key_array(w, SRQ_GGUF_WORDS_TOKENS, SRQ_GGUF_TEXT, (uint64_t)t->rows);
    for (int64_t i = 0; i < t->rows; i++)
        put_text(&t->word[i], i, w);
    srq_gguf_key_array(w, SRQ_GGUF_WORDS_TYPES, SRQ_GGUF_I32, (uint64_t)t->rows);
    for (int64_t i = 0; i < t->rows; i++)
        srq_gguf_add_i32(w, (int32_t)t->word[i].type);
    if (t->pieces) {
        srq_gguf_key_array(w, SRQ_GGUF_WORDS_SCORES, SRQ_GGUF_FLOAT, (uint64_t)t->rows);
        for (int64_t i = 0; i < t->rows; i++)
            srq_gguf_add_float(w, t->word[i].score);
        srq_gguf_key_bool(w, SRQ_GGUF_WORDS_PREFIX, t->prefix);
        return 0;
    }
    return put_merges(t, w, err);
}

static int64_t id_of(const struct words *t, const char *text)
{
    for (int64_t i = 0; text != NULL && i < t->rows; i++)
        if (t->word[i].text != NULL && strcmp(t->word[i].text, text) == 0)
            return i;
    return -1;
}

/* A special token by tokenizer_config.json, else by the model's configuration; -1: neither has it. */
static int64_t special_of(const struct words *t, const json_t *specials, const json_t *config, const char *name)
{
    char key[32];
    const json_t *id;
    int64_t found;

    snprintf(key, sizeof(key), "%s_token", name);
    found = id_of(t, json_string_value(json_object_get(specials, key)));
    if (found >= 0)
        return found;
    snprintf(key, sizeof(key), "%s_token_id", name);
    id = json_object_get(config, key);
    if (json_is_array(id))
        id = json_array_get(id, 0);
    return json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < t->rows
               ? json_integer_value(id)
               : -1;
}

/* Whether the tokenizer puts this token, and nothing else, before or behind a text. */
static int put_ends(const struct words *t, int64_t begin, int64_t end, struct srq_gguf_writer *w, struct srq_error *err)
{
    int32_t *ids = NULL;
    int64_t count = 0, at = 0;
    bool begins, ends;
    int rc = srq_tokenizer_encode(t->tk, "", 0, true, &ids, &count, err);

    begins = rc == 0 && at < count && ids[at] == begin;
    at += begins;
    ends = rc == 0 && at < count && ids[at] == end;
    at += ends;
    if (rc == 0 && at != count)
        rc = refuse(t, err, "what its post-processor puts around a text");
    srq_gguf_key_bool(w, SRQ_GGUF_WORDS_BEGINS, begins);
    srq_gguf_key_bool(w, SRQ_GGUF_WORDS_ENDS, ends);
    srq_free(ids);
    return rc;
}

static int put_specials(const struct words *t, const char *folder, struct srq_gguf_writer *w, struct srq_error *err)
{
    struct srq_chat_source chat;
    char *path = srq_path_join(folder, "config.json");
    json_t *config = NULL;
    int64_t id[SRQ_GGUF_SPECIALS];
    int rc = srq_chat_source_find(folder, &chat, err);

    if (rc == 0)
        rc = path != NULL ? srq_json_read(path, SRQ_JSON_CONFIG_MAX, &config, err) : no_memory(err);
    for (int i = 0; i < SRQ_GGUF_SPECIALS && rc == 0; i++) {
        id[i] = special_of(t, chat.specials, config, srq_gguf_specials[i].name);
        if (id[i] >= 0)
            srq_gguf_key_u32(w, srq_gguf_specials[i].key, (uint32_t)id[i]);
    }
    if (rc == 0)
        rc = put_ends(t, id[SRQ_GGUF_BOS], id[SRQ_GGUF_EOS], w, err);
    if (rc == 0 && chat.text != NULL)
        srq_gguf_key_text(w, SRQ_GGUF_WORDS_CHAT, chat.text);
    srq_chat_source_fini(&chat);
    json_decref(config);
    srq_free(path);
    return rc;
}

/* The file, of which the long parts are dropped: they are in the tokenizer's tables. */
static int take_file(struct words *t, struct srq_error *err)
{
    int rc = srq_json_read(t->file, SRQ_JSON_TOKENIZER_MAX, &t->root, err);
    json_t *model = json_object_get(t->root, "model");

    if (rc != 0)
        return rc;
    t->model = model;
    (void)json_object_del(model, "vocab");
    (void)json_object_del(model, "merges");
    (void)json_object_del(t->root, "added_tokens");
    return 0;
}

static int take_tables(struct words *t, const char *folder, struct srq_error *err)
{
    int rc = srq_tokenizer_open(folder, &t->tk, err);

    if (rc != 0)
        return rc;
    t->vocab = &srq_tokenizer_model(t->tk)->vocab;
    t->merges = srq_vocab_merges_by_rank(t->vocab);
    t->word = srq_calloc((size_t)t->rows, sizeof(*t->word));
    return t->merges != NULL && t->word != NULL ? 0 : no_memory(err);
}

int srq_gguf_words_keys(const struct srq_model *m, struct srq_gguf_writer *w, struct srq_error *err)
{
    const struct srq_model_info *info = srq_model_info(m);
    char *path = srq_path_join(info->folder, "tokenizer.json");
    struct words t = { .file = path, .rows = info->vocab };
    int rc = path == NULL ? no_memory(err)
             : srq_path_exists(path)
                 ? take_file(&t, err)
                 : srq_fail_field(err, -SRQ_ENOENT, "model", "gguf has the tokenizer in it, and there is no %s", path);

    if (rc == 0)
        rc = find_kind(&t, err);
    if (rc == 0)
        rc = take_tables(&t, info->folder, err);
    if (rc == 0)
        rc = take_tokens(&t, err);
    if (rc == 0 && t.pieces)
        take_scores(&t);
    if (rc == 0)
        rc = put_tokens(&t, w, err);
    if (rc == 0)
        rc = put_specials(&t, info->folder, w, err);
    srq_free(t.word);
    srq_free(t.merges);
    srq_tokenizer_free(t.tk);
    json_decref(t.root);
    srq_free(path);
    return rc;
}
