/* tokenizer.json, or GPT-2's vocab.json and merges.txt, into a tokenizer. */
#include "core/text/tokenizer_parts.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/format/st_header.h"
#include "core/text/members.h"

#define SHOW 120
#define SUFFIX_MAX 200

static int oom(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

static bool absent(const json_t *j)
{
    return j == NULL || json_is_null(j);
}

/* ---- vocabulary and merges --------------------------------------------------------------------------------------- */

static int read_vocab(struct srq_tokenizer *tk, json_t *vocab, const char *what, struct srq_error *err)
{
    const char *token;
    json_t *id;
    char shown[SHOW];
    int rc = 0;

    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s has no vocabulary", what);
    json_object_foreach(vocab, token, id)
    {
        if (!json_is_integer(id))
            return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: the id of token \"%s\" is not an integer", what,
                                  srq_st_show(token, shown, sizeof(shown)));
        rc = srq_vocab_add(&tk->bpe.vocab, token, strlen(token), json_integer_value(id), what, err);
        if (rc != 0)
            return rc;
    }
    return rc;
}

/* "left right", split at its only blank. */
static int add_merge_text(struct srq_tokenizer *tk, const char *text, size_t len, int32_t rank, const char *what,
                          struct srq_error *err)
{
    const char *blank = memchr(text, ' ', len);
    size_t left = blank != NULL ? (size_t)(blank - text) : 0;

    if (blank == NULL || memchr(blank + 1, ' ', len - left - 1) != NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: merge %d is not two tokens with a blank between", what,
                              rank);
    return srq_vocab_merge(&tk->bpe.vocab, text, left, blank + 1, len - left - 1, rank, what, err);
}

static int read_merges(struct srq_tokenizer *tk, const json_t *merges, const char *what, struct srq_error *err)
{
    size_t n = json_array_size(merges);
    int rc = 0;

    if (!json_is_array(merges))
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s has no merges", what);
    if (n > SRQ_VOCAB_MERGES_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: %zu merges, more than %d", what, n, SRQ_VOCAB_MERGES_MAX);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        const json_t *m = json_array_get(merges, i), *left = json_array_get(m, 0), *right = json_array_get(m, 1);

        if (json_is_string(m))
            rc = add_merge_text(tk, json_string_value(m), json_string_length(m), (int32_t)i, what, err);
        else if (json_array_size(m) == 2 && json_is_string(left) && json_is_string(right))
            rc = srq_vocab_merge(&tk->bpe.vocab, json_string_value(left), json_string_length(left),
                                 json_string_value(right), json_string_length(right), (int32_t)i, what, err);
        else
            rc = srq_fail_field(err, -SRQ_EFORMAT, what, "%s: merge %zu is not a pair of tokens", what, i);
    }
    return rc;
}

static int read_dropout(const json_t *dropout, const char *what, struct srq_error *err)
{
    if (absent(dropout) || (json_is_number(dropout) && json_number_value(dropout) == 0))
        return 0;
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: BPE dropout gives random ids; srq does not do that", what);
}

static int read_affixes(struct srq_tokenizer *tk, const json_t *model, const char *what, struct srq_error *err)
{
    const char *prefix = "", *suffix = "";
    char shown[SHOW];
    int rc = srq_member_text_or_null(model, "continuing_subword_prefix", "the model", &prefix, what, err);

    if (rc == 0)
        rc = srq_member_text_or_null(model, "end_of_word_suffix", "the model", &suffix, what, err);
    if (rc != 0)
        return rc;
    if (prefix[0] != '\0')
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: continuing_subword_prefix \"%s\" is not supported",
                              what, srq_st_show(prefix, shown, sizeof(shown)));
    if (strlen(suffix) > SUFFIX_MAX)
        return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: end_of_word_suffix has more than %d bytes", what,
                              SUFFIX_MAX);
    if (suffix[0] != '\0' && (tk->bpe.suffix = srq_strdup(suffix)) == NULL)
        return oom(what, err);
    return 0;
}

static int read_model_options(struct srq_tokenizer *tk, const json_t *model, const char *what, struct srq_error *err)
{
    const char *unk = NULL;
    int rc = read_dropout(json_object_get(model, "dropout"), what, err);

    if (rc == 0)
        rc = read_affixes(tk, model, what, err);
    if (rc == 0)
        rc = srq_member_flag_or_null(model, "fuse_unk", "the model", &tk->bpe.fuse_unk, what, err);
    if (rc == 0)
        rc = srq_member_flag_or_null(model, "byte_fallback", "the model", &tk->bpe.byte_fallback, what, err);
    if (rc == 0)
        rc = srq_member_flag_or_null(model, "ignore_merges", "the model", &tk->bpe.ignore_merges, what, err);
    if (rc == 0)
        rc = srq_member_text_or_null(model, "unk_token", "the model", &unk, what, err);
    if (rc != 0 || unk == NULL)
        return rc;
    tk->bpe.unk = srq_vocab_find(&tk->bpe.vocab, unk, strlen(unk));
    if (tk->bpe.unk < 0)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: unk_token is not a token of the model", what);
    return 0;
}

static int read_model(struct srq_tokenizer *tk, const json_t *model, const char *what, struct srq_error *err)
{
    const json_t *kind = json_object_get(model, "type");
    const char *type = json_string_value(kind);
    char shown[SHOW];
    int rc;

    if (!json_is_object(model))
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s has no model", what);
    if (kind != NULL ? type == NULL || strcmp(type, "BPE") != 0 : json_object_get(model, "merges") == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: tokenizer model \"%s\" is not BPE", what,
                              srq_st_show(type != NULL ? type : "?", shown, sizeof(shown)));
    rc = read_vocab(tk, json_object_get(model, "vocab"), what, err);
    if (rc == 0)
        rc = read_merges(tk, json_object_get(model, "merges"), what, err);
    return rc == 0 ? read_model_options(tk, model, what, err) : rc;
}

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static int read_added_flags(const json_t *json, struct srq_added_flags *f, const char *what, struct srq_error *err)
{
    int rc = srq_member_flag(json, "single_word", "an added token", &f->single_word, what, err);

    if (rc == 0)
        rc = srq_member_flag(json, "lstrip", "an added token", &f->lstrip, what, err);
    if (rc == 0)
        rc = srq_member_flag(json, "rstrip", "an added token", &f->rstrip, what, err);
    if (rc == 0)
        rc = srq_member_flag(json, "normalized", "an added token", &f->normalized, what, err);
    return rc == 0 ? srq_member_flag(json, "special", "an added token", &f->special, what, err) : rc;
}

/* Its id is the model's, where it has the word. Otherwise, as the reference has it, the next one behind both
 * vocabularies, whatever the file says; files that it wrote say the same. */
static int read_added_token(struct srq_tokenizer *tk, const json_t *json, const char *what, struct srq_error *err)
{
    const char *text = json_string_value(json_object_get(json, "content"));
    const json_t *id = json_object_get(json, "id");
    struct srq_added_flags flags = { 0 };
    char shown[SHOW];
    int32_t of_model;
    int rc;

    if (text == NULL || !json_is_integer(id) || json_integer_value(id) < 0)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: an added token has no content or no id", what);
    rc = read_added_flags(json, &flags, what, err);
    if (rc != 0)
        return rc;
    of_model = srq_vocab_find(&tk->bpe.vocab, text, strlen(text));
    if (of_model >= 0 && text[0] != '\0' && of_model != json_integer_value(id))
        return srq_fail_field(err, -SRQ_EFORMAT, what,
                              "%s: added token \"%s\" has the id %lld here and %d in the vocabulary", what,
                              srq_st_show(text, shown, sizeof(shown)), (long long)json_integer_value(id), of_model);
    return srq_tokenizer_add(tk, text, &flags, what, err);
}

/* One text given twice: the same again is passed over; with other flags it is a question which of them hold. */
static int read_added(struct srq_tokenizer *tk, const json_t *list, const char *what, struct srq_error *err)
{
    json_t *seen;
    int rc = 0;

    if (absent(list))
        return 0;
    if (!json_is_array(list))
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: added_tokens is not a list", what);
    seen = json_object();
    if (seen == NULL)
        return oom(what, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        json_t *token = json_array_get(list, i);
        const char *text = json_string_value(json_object_get(token, "content"));
        const json_t *before = text != NULL ? json_object_get(seen, text) : NULL;
        char shown[SHOW];

        if (before != NULL && !json_equal(before, token))
            rc = srq_fail_field(err, -SRQ_EFORMAT, what, "%s: added token \"%s\" stands there twice, and differs", what,
                                srq_st_show(text, shown, sizeof(shown)));
        else if (before == NULL)
            rc = read_added_token(tk, token, what, err);
        if (rc == 0 && before == NULL && json_object_set(seen, text, token) != 0)
            rc = oom(what, err);
    }
    json_decref(seen);
    return rc;
}

/* ---- post-processor ---------------------------------------------------------------------------------------------- */

static int add_post_id(struct srq_tokenizer *tk, bool before, const json_t *id, const char *what, struct srq_error *err)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= tk->size)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: the post-processor adds an id that no token has", what);
    return srq_ids_add(before ? &tk->prefix : &tk->suffix, (int32_t)json_integer_value(id)) ? 0 : oom(what, err);
}

static int read_template(struct srq_tokenizer *tk, const json_t *json, const char *what, struct srq_error *err)
{
    const json_t *list = json_object_get(json, "single"), *specials = json_object_get(json, "special_tokens");
    bool seen = false;
    char shown[SHOW];
    int rc = 0;

    if (!json_is_array(list))
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: the post-processor has no template \"single\"", what);
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        const json_t *piece = json_array_get(list, i), *special = json_object_get(piece, "SpecialToken");
        const char *name = json_string_value(json_object_get(special, "id"));
        const json_t *ids = name != NULL ? json_object_get(json_object_get(specials, name), "ids") : NULL;

        if (json_object_get(piece, "Sequence") != NULL) {
            if (seen)
                return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: the post-processor repeats the text", what);
            seen = true;
            continue;
        }
        if (!json_is_array(ids))
            return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: the post-processor's token \"%s\" has no ids", what,
                                  srq_st_show(name != NULL ? name : "?", shown, sizeof(shown)));
        for (size_t k = 0; rc == 0 && k < json_array_size(ids); k++)
            rc = add_post_id(tk, !seen, json_array_get(ids, k), what, err);
    }
    if (rc == 0 && !seen)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: the post-processor leaves the text out", what);
    return rc;
}

/* `*around`: one that puts tokens around the text was there; what the reference makes of a second is in no order that
 * their templates say. */
static int read_post(struct srq_tokenizer *tk, const json_t *json, bool *around, const char *what,
                     struct srq_error *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    const json_t *list = json_object_get(json, "processors");
    char shown[SHOW];
    int rc = 0;

    if (absent(json))
        return 0;
    if (type == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: a post-processor has no type", what);
    if (strcmp(type, "ByteLevel") == 0)
        return 0;
    if (strcmp(type, "Sequence") != 0 && *around)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, what,
                              "%s: post-processor %s behind another that puts tokens around the text", what,
                              srq_st_show(type, shown, sizeof(shown)));
    *around = *around || strcmp(type, "Sequence") != 0;
    if (strcmp(type, "TemplateProcessing") == 0)
        return read_template(tk, json, what, err);
    if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0) {
        rc = add_post_id(tk, true, json_array_get(json_object_get(json, "cls"), 1), what, err);
        return rc == 0 ? add_post_id(tk, false, json_array_get(json_object_get(json, "sep"), 1), what, err) : rc;
    }
    if (strcmp(type, "Sequence") != 0 || !json_is_array(list))
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: post-processor \"%s\" is not one that srq has", what,
                              srq_st_show(type, shown, sizeof(shown)));
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
        rc = read_post(tk, json_array_get(list, i), around, what, err);
    return rc;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void count_ids(struct srq_tokenizer *tk)
{
    tk->size = tk->added.size > tk->bpe.vocab.size ? tk->added.size : tk->bpe.vocab.size;
}

static int read_version(const json_t *root, const char *what, struct srq_error *err)
{
    const char *version = "1.0";
    char shown[SHOW];
    int rc = srq_member_text_or_null(root, "version", "the file", &version, what, err);

    if (rc == 0 && strcmp(version, "1.0") != 0)
        rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, what, "%s: version \"%s\" is not 1.0", what,
                            srq_st_show(version, shown, sizeof(shown)));
    return rc;
}

static int read_json_tokenizer(struct srq_tokenizer *tk, const json_t *root, const struct srq_tokenizer_config *c,
                               const char *what, struct srq_error *err)
{
    bool around = false;
    int rc = read_version(root, what, err);

    if (rc == 0)
        rc = srq_normalizer_read(json_object_get(root, "normalizer"), what, &tk->normalizer, err);
    if (rc == 0)
        rc = srq_pretokenizer_read(json_object_get(root, "pre_tokenizer"), what, &tk->pretokenizer, err);
    if (rc == 0)
        rc = read_model(tk, json_object_get(root, "model"), what, err);
    if (rc == 0)
        rc = read_added(tk, json_object_get(root, "added_tokens"), what, err);
    if (rc == 0)
        rc = srq_tokenizer_config_tokens(tk, c, err);
    if (rc == 0)
        rc = srq_tokenizer_search_added(tk, what, err);
    count_ids(tk);
    if (rc == 0)
        rc = read_post(tk, json_object_get(root, "post_processor"), &around, what, err);
    return rc == 0 ? srq_tokenizer_class_doubt(tk, c, root, err) : rc;
}

static int read_merges_text(struct srq_tokenizer *tk, const char *text, size_t len, const char *what,
                            struct srq_error *err)
{
    int32_t rank = 0;
    int rc = 0;

    if (srq_utf8_check(text, len) != len)
        return srq_fail_field(err, -SRQ_EFORMAT, what, "%s is not UTF-8 at byte %zu", what, srq_utf8_check(text, len));
    for (size_t at = 0, end; rc == 0 && at < len; at = end + 1) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n;

        end = newline != NULL ? (size_t)(newline - text) : len;
        n = end - at;
        if (n > 0 && text[at + n - 1] == '\r')
            n--;
        if (n == 0 || (at == 0 && n >= 8 && memcmp(text, "#version", 8) == 0))
            continue;
        if (rank == SRQ_VOCAB_MERGES_MAX)
            return srq_fail_field(err, -SRQ_ELIMIT, what, "%s: more than %d merges", what, SRQ_VOCAB_MERGES_MAX);
        rc = add_merge_text(tk, text + at, n, rank++, what, err);
    }
    return rc;
}

/* "add_bos_token" puts "bos_token" before the text, where there is one. */
static int read_end(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, const char *flag,
                    struct srq_ids *to, struct srq_error *err)
{
    const char *token = srq_tokenizer_config_token(c, flag + strlen("add_"));
    bool add = false;
    int rc = srq_member_flag_or_null(c->root, flag, "the configuration", &add, c->path, err);
    int32_t id = add && token != NULL ? srq_tokenizer_id_of(tk, token) : -1;

    return rc == 0 && id >= 0 && !srq_ids_add(to, id) ? oom(c->path, err) : rc;
}

/* A folder without tokenizer.json. */
static int read_slow_files(struct srq_tokenizer *tk, const char *vocab, const char *merges,
                           struct srq_tokenizer_config *c, struct srq_error *err)
{
    json_t *root = NULL;
    char *text = NULL;
    size_t len;
    int rc = srq_tokenizer_class_build(tk, c, err);

    if (rc == 0)
        rc = srq_json_read(vocab, SRQ_JSON_TOKENIZER_MAX, &root, err);
    if (rc == 0)
        rc = read_vocab(tk, root, vocab, err);
    json_decref(root);
    if (rc == 0)
        rc = srq_read_file(merges, SRQ_JSON_TOKENIZER_MAX, &text, &len, err);
    if (rc == 0 && srq_is_lfs_pointer(text, len))
        rc = srq_fail_field(err, -SRQ_EFORMAT, merges, SRQ_LFS_SENTENCE, merges);
    if (rc == 0)
        rc = read_merges_text(tk, text, len, merges, err);
    srq_free(text);
    if (rc == 0)
        rc = srq_tokenizer_config_tokens(tk, c, err);
    if (rc == 0)
        rc = srq_tokenizer_search_added(tk, c->path, err);
    count_ids(tk);
    if (rc == 0)
        rc = read_end(tk, c, "add_bos_token", &tk->prefix, err);
    return rc == 0 ? read_end(tk, c, "add_eos_token", &tk->suffix, err) : rc;
}

int srq_tokenizer_read(struct srq_tokenizer *tk, const char *dir, struct srq_error *err)
{
    char *whole = srq_path_join(dir, "tokenizer.json"), *vocab = srq_path_join(dir, "vocab.json");
    char *merges = srq_path_join(dir, "merges.txt");
    struct srq_tokenizer_config config = { 0 };
    json_t *root = NULL;
    int rc = 0;

    tk->bpe.unk = -1;
    tk->last_added = -1;
    if (whole == NULL || vocab == NULL || merges == NULL) {
        rc = oom(dir, err);
    } else if (srq_path_exists(whole)) {
        rc = srq_json_read(whole, SRQ_JSON_TOKENIZER_MAX, &root, err);
        if (rc == 0)
            rc = srq_tokenizer_config_read(&config, dir, err);
        if (rc == 0)
            rc = read_json_tokenizer(tk, root, &config, whole, err);
        json_decref(root);
    } else if (srq_path_exists(vocab) && srq_path_exists(merges)) {
        rc = srq_tokenizer_config_read(&config, dir, err);
        if (rc == 0)
            rc = read_slow_files(tk, vocab, merges, &config, err);
    } else if ((rc = srq_refuse_dangling(whole, err)) == 0) {
        rc = srq_fail_field(err, -SRQ_ENOENT, dir, "%s holds no tokenizer.json and no vocab.json with merges.txt", dir);
    }
    srq_tokenizer_config_fini(&config);
    srq_free(whole);
    srq_free(vocab);
    srq_free(merges);
    return rc;
}
