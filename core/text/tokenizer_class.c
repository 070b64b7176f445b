/* Classes of transformers that build their own steps, also around what a tokenizer.json holds. */
#include "core/text/tokenizer_parts.h"

#include "core/base/alloc.h"
#include "core/format/st_header.h"
#include "core/text/members.h"
#include "core/text/steps.h"

#define SHOW 120
#define END "<|endoftext|>"

struct srq_tokenizer_class {
    const char *name;
    const char *normalizer; /* its type, or NULL */
    const char *pattern;    /* cuts before ByteLevel; NULL: ByteLevel's own does */
    const char *ends[4];    /* special tokens that are END unless said otherwise */
};

static const struct srq_tokenizer_class classes[] = {
    { .name = "GPT2Tokenizer", .ends = { "bos_token", "eos_token", "unk_token" } },
    { .name = "Qwen2Tokenizer",
      .normalizer = "NFC",
      .pattern = SRQ_PATTERN_AROUND_DIGITS("\\p{N}"),
      .ends = { "eos_token", "unk_token", "pad_token" } },
};

/* What a model's type stands for; `always`: also where the configuration names another class. */
static const struct {
    const char *type, *class;
    bool always;
} of_types[] = {
    { "qwen2", "Qwen2Tokenizer", true },  { "qwen2_moe", "Qwen2Tokenizer", false },
    { "qwen3", "Qwen2Tokenizer", false }, { "qwen3_moe", "Qwen2Tokenizer", false },
    { "gpt2", "GPT2Tokenizer", false },
};

static int oom(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

static int say_ends(struct srq_tokenizer_config *c, struct srq_error *err)
{
    for (size_t i = 0; c->class->ends[i] != NULL; i++) {
        if (json_object_get(c->root, c->class->ends[i]) == NULL &&
            json_object_set_new(c->root, c->class->ends[i], json_string(END)) != 0)
            return oom(c->path, err);
    }
    return 0;
}

int srq_tokenizer_class_find(struct srq_tokenizer_config *c, const json_t *model, struct srq_error *err)
{
    const char *name = json_string_value(json_object_get(c->root, "tokenizer_class"));
    const char *type = json_string_value(json_object_get(model, "model_type"));
    size_t n;

    if (name == NULL)
        name = json_string_value(json_object_get(model, "tokenizer_class"));
    for (size_t i = 0; type != NULL && i < sizeof(of_types) / sizeof(of_types[0]); i++) {
        if (strcmp(type, of_types[i].type) == 0 && (name == NULL || of_types[i].always))
            name = of_types[i].class;
    }
    if (name == NULL)
        return 0;
    n = strlen(name);
    c->class_name = srq_strndup(name, n > 4 && strcmp(name + n - 4, "Fast") == 0 ? n - 4 : n);
    if (c->class_name == NULL)
        return oom(c->path, err);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        if (strcmp(classes[i].name, c->class_name) == 0)
            c->class = &classes[i];
    }
    return c->class != NULL ? say_ends(c, err) : 0;
}

/* The class's own steps, as tokenizer.json spells them. */
static json_t *normalizer_of(const struct srq_tokenizer_class *class)
{
    return class->normalizer != NULL ? json_pack("{s:s}", "type", class->normalizer) : json_null();
}

static json_t *pretokenizer_of(const struct srq_tokenizer_class *class, bool prefix)
{
    json_t *bytes = json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", (int)prefix, "use_regex",
                              class->pattern == NULL);

    if (class->pattern == NULL || bytes == NULL)
        return bytes;
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                     "pattern", "Regex", class->pattern, "behavior", "Isolated", "invert", 0, bytes);
}

static int read_prefix(const struct srq_tokenizer_config *c, bool *prefix, struct srq_error *err)
{
    *prefix = false;
    return srq_member_flag_or_null(c->root, "add_prefix_space", "the configuration", prefix, c->path, err);
}

int srq_tokenizer_class_build(struct srq_tokenizer *tk, struct srq_tokenizer_config *c, struct srq_error *err)
{
    json_t *normalizer, *pretokenizer;
    char shown[SHOW];
    bool prefix;
    int rc = read_prefix(c, &prefix, err);

    if (c->class_name == NULL) {
        c->class = &classes[0];
        rc = rc == 0 ? say_ends(c, err) : rc;
    }
    if (rc != 0)
        return rc;
    if (c->class == NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, c->path,
                              "%s: of vocab.json and merges.txt srq makes a GPT2Tokenizer or a Qwen2Tokenizer, not "
                              "tokenizer_class \"%s\"; a tokenizer.json would do",
                              c->path, srq_st_show(c->class_name, shown, sizeof(shown)));
    normalizer = normalizer_of(c->class);
    pretokenizer = pretokenizer_of(c->class, prefix);
    rc = normalizer == NULL || pretokenizer == NULL ? oom(c->path, err) : 0;
    if (rc == 0)
        rc = srq_normalizer_read(normalizer, c->path, &tk->normalizer, err);
    if (rc == 0)
        rc = srq_pretokenizer_read(pretokenizer, c->path, &tk->pretokenizer, err);
    json_decref(normalizer);
    json_decref(pretokenizer);
    return rc;
}

/* ---- doubt ------------------------------------------------------------------------------------------------------- */

/* Whether `step` says what every member of `wanted` does; absent flags are what they are when absent. */
static bool same_step(const json_t *step, json_t *wanted)
{
    const char *key;
    json_t *value;

    json_object_foreach(wanted, key, value)
    {
        const json_t *own = json_object_get(step, key);

        if (own == NULL ? !(strcmp(key, "use_regex") == 0 ? json_is_true(value) : json_is_false(value))
                        : !json_equal(own, value))
            return false;
    }
    return true;
}

static bool same_steps(const json_t *own, const json_t *wanted, const char *members)
{
    struct srq_steps a = { .count = 0 }, b = { .count = 0 };
    bool same = srq_steps_flatten(own, members, JSON_PARSER_MAX_DEPTH, &a) &&
                srq_steps_flatten(wanted, members, JSON_PARSER_MAX_DEPTH, &b) && a.count == b.count;

    for (int i = 0; same && i < b.count; i++)
        same = same_step(a.step[i], (json_t *)b.step[i]);
    return same;
}

static bool plain_model(const struct srq_bpe *bpe)
{
    return bpe->suffix == NULL && !bpe->ignore_merges && !bpe->byte_fallback;
}

int srq_tokenizer_class_doubt(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, const json_t *root,
                              struct srq_error *err)
{
    json_t *normalizer, *pretokenizer;
    const char *part = NULL;
    bool prefix;
    int rc = read_prefix(c, &prefix, err);

    if (rc != 0 || c->class == NULL)
        return rc;
    normalizer = normalizer_of(c->class);
    pretokenizer = pretokenizer_of(c->class, prefix);
    if (normalizer == NULL || pretokenizer == NULL)
        rc = oom(c->path, err);
    else if (!same_steps(json_object_get(root, "normalizer"), normalizer, "normalizers"))
        part = "a normalizer";
    else if (!same_steps(json_object_get(root, "pre_tokenizer"), pretokenizer, "pretokenizers"))
        part = "a pre-tokenizer";
    else if (!plain_model(&tk->bpe))
        part = "options of the model";
    if (part != NULL) {
        tk->doubt =
            srq_asprintf("tokenizer.json has %s that transformers from version 5 on does not use: it builds the "
                         "steps of class %s; srq follows tokenizer.json",
                         part, c->class->name);
        rc = tk->doubt != NULL ? 0 : oom(c->path, err);
    }
    json_decref(normalizer);
    json_decref(pretokenizer);
    return rc;
}
