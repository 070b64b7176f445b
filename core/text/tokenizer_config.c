/* Tokens that the files beside a vocabulary add: tokenizer_config.json, special_tokens_map.json, added_tokens.json, in
 * the order and with the ids that transformers gives them. */
#include "core/text/tokenizer_parts.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/json.h"
#include "core/format/st_header.h"
#include "core/text/members.h"

#include <stdlib.h>

#define SHOW 120
#define DECODER "added_tokens_decoder"
#define EXTRA "extra_special_tokens"
#define ADDITIONAL "additional_special_tokens"

static const char *const named[] = { "bos_token", "eos_token", "unk_token", "sep_token",
                                     "pad_token", "cls_token", "mask_token" };
#define NAMED (sizeof(named) / sizeof(named[0]))

static int oom(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

static int bad(const char *what, const char *key, const char *wanted, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_EFORMAT, what, "%s: \"%s\" is not %s", what, key, wanted);
}

static bool holds(const json_t *list)
{
    return json_is_array(list) ? json_array_size(list) > 0 : json_object_size(list) > 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int read_object(const char *path, bool reals, json_t **out, struct srq_error *err)
{
    int rc = reals ? srq_json_read_reals(path, SRQ_JSON_CONFIG_MAX, out, err)
                   : srq_json_read(path, SRQ_JSON_CONFIG_MAX, out, err);

    if (rc == 0 && !json_is_object(*out))
        rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not a JSON object", path);
    return rc;
}

/* special_tokens_map.json says the same again, and has the last word where the configuration has no decoder. */
static int read_map(struct srq_tokenizer_config *c, const char *path, struct srq_error *err)
{
    json_t *map = NULL, *value;
    const char *key;
    int rc = read_object(path, true, &map, err);

    if (rc != 0)
        return rc;
    json_object_foreach(map, key, value)
    {
        const char *as = strcmp(key, ADDITIONAL) == 0 ? EXTRA : key;

        if (as != key && holds(json_object_get(c->root, EXTRA)))
            continue;
        if (json_object_set(c->root, as, value) != 0)
            rc = oom(path, err);
    }
    json_decref(map);
    return rc;
}

static int read_files(struct srq_tokenizer_config *c, const char *map, const char *model, struct srq_error *err)
{
    json_t *of_model = NULL;
    int rc = 0;

    if (srq_path_exists(c->path))
        rc = read_object(c->path, true, &c->root, err);
    else if ((c->root = json_object()) == NULL)
        rc = oom(c->path, err);
    if (rc == 0 && holds(json_object_get(c->root, ADDITIONAL)) && !holds(json_object_get(c->root, EXTRA)) &&
        json_object_set(c->root, EXTRA, json_object_get(c->root, ADDITIONAL)) != 0)
        rc = oom(c->path, err);
    if (rc == 0 && json_object_get(c->root, DECODER) == NULL && srq_path_exists(map))
        rc = read_map(c, map, err);
    if (rc == 0 && json_object_get(c->root, DECODER) == NULL && srq_path_exists(c->more_path))
        rc = read_object(c->more_path, false, &c->more, err);
    if (rc == 0 && srq_path_exists(model))
        rc = read_object(model, true, &of_model, err);
    if (rc == 0)
        rc = srq_tokenizer_class_find(c, of_model, err);
    json_decref(of_model);
    return rc;
}

int srq_tokenizer_config_read(struct srq_tokenizer_config *c, const char *dir, struct srq_error *err)
{
    char *map = srq_path_join(dir, "special_tokens_map.json"), *model = srq_path_join(dir, "config.json");
    bool split = false;
    int rc;

    *c = (struct srq_tokenizer_config){ .path = srq_path_join(dir, "tokenizer_config.json"),
                                        .more_path = srq_path_join(dir, "added_tokens.json") };
    rc = map == NULL || model == NULL || c->path == NULL || c->more_path == NULL ? oom(dir, err)
                                                                                 : read_files(c, map, model, err);
    if (rc == 0)
        rc = srq_member_flag_or_null(c->root, "split_special_tokens", "the configuration", &split, c->path, err);
    if (split)
        rc = srq_fail_field(err, -SRQ_EUNSUPPORTED, c->path,
                            "%s: \"split_special_tokens\" is true, which srq does not do", c->path);
    srq_free(map);
    srq_free(model);
    return rc;
}

void srq_tokenizer_config_fini(struct srq_tokenizer_config *c)
{
    srq_free(c->path);
    srq_free(c->more_path);
    srq_free(c->class_name);
    json_decref(c->root);
    json_decref(c->more);
    *c = (struct srq_tokenizer_config){ 0 };
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* Its text, or an object that holds it. */
static const char *text_of(const json_t *token)
{
    return json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
}

const char *srq_tokenizer_config_token(const struct srq_tokenizer_config *c, const char *key)
{
    return text_of(json_object_get(c->root, key));
}

static int read_flags(const json_t *token, struct srq_added_flags *f, const char *what, struct srq_error *err)
{
    int rc = srq_member_flag(token, "special", "an added token", &f->special, what, err);

    f->normalized = !f->special; /* unless it says so */
    if (rc == 0)
        rc = srq_member_flag(token, "single_word", "an added token", &f->single_word, what, err);
    if (rc == 0)
        rc = srq_member_flag(token, "lstrip", "an added token", &f->lstrip, what, err);
    if (rc == 0)
        rc = srq_member_flag(token, "rstrip", "an added token", &f->rstrip, what, err);
    return rc == 0 ? srq_member_flag(token, "normalized", "an added token", &f->normalized, what, err) : rc;
}

/* A token with an id of its own. The reference gives a new one the next id whatever is said; rows of the embedding that
 * were meant otherwise would be taken for it. */
static int add_at(struct srq_tokenizer *tk, const char *text, json_int_t said, const struct srq_added_flags *flags,
                  const char *what, struct srq_error *err)
{
    char shown[SHOW];

    if (text[0] != '\0' && srq_tokenizer_id_of(tk, text) < 0 && said != srq_tokenizer_next_id(tk))
        return srq_fail_field(err, -SRQ_EFORMAT, what,
                              "%s: token \"%s\" is none of the vocabulary and has the id %lld; the next new one is %d",
                              what, srq_st_show(text, shown, sizeof(shown)), (long long)said,
                              srq_tokenizer_next_id(tk));
    return srq_tokenizer_add(tk, text, flags, what, err);
}

struct numbered {
    json_int_t id;
    const char *text;    /* of added_tokens.json */
    const json_t *token; /* of the decoder */
};

static int by_id(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static bool read_id(const char *key, json_int_t *id)
{
    char *end;

    *id = key[0] >= '0' && key[0] <= '9' && strlen(key) < 12 ? strtoll(key, &end, 10) : -1;
    return *id >= 0 && *end == '\0';
}

static bool is_special(const struct srq_tokenizer_config *c, const char *text)
{
    const json_t *extra = json_object_get(c->root, EXTRA);

    for (size_t i = 0; i < NAMED; i++) {
        const char *own = srq_tokenizer_config_token(c, named[i]);

        if (own != NULL && strcmp(own, text) == 0)
            return true;
    }
    for (size_t i = 0; i < json_array_size(extra); i++) {
        const char *own = text_of(json_array_get(extra, i));

        if (own != NULL && strcmp(own, text) == 0)
            return true;
    }
    return false;
}

static int add_numbered(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, const struct numbered *n,
                        struct srq_error *err)
{
    struct srq_added_flags flags = { 0 };
    const char *text = json_string_value(json_object_get(n->token, "content"));
    int rc;

    if (n->token == NULL) {
        flags.special = is_special(c, n->text);
        flags.normalized = !flags.special;
        return srq_tokenizer_is_added(tk, n->text) ? 0 : add_at(tk, n->text, n->id, &flags, c->more_path, err);
    }
    if (text == NULL)
        return bad(c->path, DECODER, "a list of tokens with their \"content\"", err);
    rc = read_flags(n->token, &flags, c->path, err);
    return rc == 0 ? add_at(tk, text, n->id, &flags, c->path, err) : rc;
}

/* The decoder, which also gives tokens that are there other flags, or added_tokens.json, which does not. */
static int add_all_numbered(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, struct srq_error *err)
{
    json_t *decoder = json_object_get(c->root, DECODER), *all = decoder != NULL ? decoder : c->more, *value;
    const char *what = decoder != NULL ? c->path : c->more_path, *key;
    struct numbered *list;
    size_t count = 0;
    int rc = 0;

    if (decoder != NULL && !json_is_object(decoder))
        return bad(what, DECODER, "an object", err);
    list = srq_calloc(json_object_size(all) + 1, sizeof(*list));
    if (list == NULL)
        return oom(what, err);
    json_object_foreach(all, key, value)
    {
        struct numbered *n = &list[count++];

        *n = (struct numbered){ .id = json_integer_value(value), .text = key };
        if (decoder != NULL) {
            n->token = value;
            if (!read_id(key, &n->id))
                rc = bad(what, key, "an id", err);
        } else if (!json_is_integer(value)) {
            rc = bad(what, key, "of an integer id", err);
        }
        if (rc != 0)
            break;
    }
    qsort(list, rc == 0 ? count : 0, sizeof(*list), by_id);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add_numbered(tk, c, &list[i], err);
    srq_free(list);
    return rc;
}

/* One that is only named: special, and as it is where it is there already. */
static int add_named(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, const char *key,
                     const json_t *token, struct srq_error *err)
{
    struct srq_added_flags flags = { 0 };
    const char *text = text_of(token);
    int rc = 0;

    if (token == NULL || json_is_null(token))
        return 0;
    if (text == NULL)
        return bad(c->path, key, "a token", err);
    if (json_is_object(token))
        rc = read_flags(token, &flags, c->path, err);
    if (!json_is_object(token) || json_object_get(token, "normalized") == NULL)
        flags.normalized = false;
    flags.special = true;
    return rc != 0 || srq_tokenizer_is_added(tk, text) ? rc : srq_tokenizer_add(tk, text, &flags, c->path, err);
}

static bool is_standard(const char *key)
{
    for (size_t i = 0; i < NAMED; i++) {
        if (strcmp(named[i], key) == 0)
            return true;
    }
    return false;
}

int srq_tokenizer_config_tokens(struct srq_tokenizer *tk, const struct srq_tokenizer_config *c, struct srq_error *err)
{
    json_t *extra = json_object_get(c->root, EXTRA), *value;
    int rc = add_all_numbered(tk, c, err);
    const char *key;

    for (size_t i = 0; rc == 0 && i < NAMED; i++)
        rc = add_named(tk, c, named[i], json_object_get(c->root, named[i]), err);
    json_object_foreach(c->root, key, value) /* of the model's own, such as "image_token" */
    {
        size_t n = strlen(key);

        if (rc == 0 && n > 6 && strcmp(key + n - 6, "_token") == 0 && !is_standard(key) && text_of(value) != NULL)
            rc = add_named(tk, c, key, value, err);
    }
    if (json_is_object(extra)) {
        json_object_foreach(extra, key, value)
        {
            if (rc == 0)
                rc = add_named(tk, c, key, value, err);
        }
        return rc;
    }
    if (rc == 0 && extra != NULL && !json_is_null(extra) && !json_is_array(extra))
        return bad(c->path, EXTRA, "a list", err);
    for (size_t i = 0; rc == 0 && i < json_array_size(extra); i++)
        rc = add_named(tk, c, EXTRA, json_array_get(extra, i), err);
    return rc;
}
