/* Finding a model's chat template and special tokens. */
#include "core/text/chat_source.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/text/template.h"
#include "core/text/tokenizer_parts.h"

#include <string.h>

#define OLDER "chat_template.json"

static int no_memory(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

/* A template of its own. */
static int read_file(const char *path, struct srq_chat_source *s, struct srq_error *err)
{
    size_t good;
    int rc = srq_read_file(path, SRQ_TEMPLATE_TEXT_MAX, &s->text, &s->len, err);

    if (rc != 0)
        return rc;
    good = srq_utf8_check(s->text, s->len);
    if (srq_is_lfs_pointer(s->text, s->len))
        return srq_fail_field(err, -SRQ_EFORMAT, path, SRQ_LFS_SENTENCE, path);
    if (good != s->len)
        return srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not UTF-8 text at byte %zu", path, good);
    s->what = srq_strdup(path);
    return s->what != NULL ? 0 : no_memory(path, err);
}

/* The text named "default" of a list of {"name", "template"}; NULL: none. */
static const json_t *default_of(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(item, "name"));

        if (name != NULL && strcmp(name, "default") == 0)
            return json_object_get(item, "template");
    }
    return NULL;
}

/* Member "chat_template" of the file at `path`, where it has one. */
static int read_member(const char *path, const json_t *root, struct srq_chat_source *s, struct srq_error *err)
{
    const json_t *text = json_object_get(root, "chat_template");

    if (text == NULL || json_is_null(text))
        return 0;
    if (json_is_array(text))
        text = default_of(text);
    if (!json_is_string(text))
        return srq_fail_field(err, -SRQ_EFORMAT, path,
                              "%s: \"chat_template\" is neither a text nor a list with one that is named \"default\"",
                              path);
    s->len = json_string_length(text);
    s->text = srq_strndup(json_string_value(text), s->len);
    s->what = srq_asprintf("%s (chat_template)", path);
    return s->text != NULL && s->what != NULL ? 0 : no_memory(path, err);
}

static int read_specials(const char *path, const json_t *root, struct srq_chat_source *s, struct srq_error *err)
{
    const char *name;
    json_t *token;

    json_object_foreach((json_t *)root, name, token)
    {
        size_t n = strlen(name);

        if (json_is_object(token))
            token = json_object_get(token, "content");
        if (n <= 6 || strcmp(name + n - 6, "_token") != 0 || !json_is_string(token))
            continue;
        if (json_object_set(s->specials, name, token) != 0)
            return no_memory(path, err);
    }
    return 0;
}

/* tokenizer_config.json, with what special_tokens_map.json adds. */
static int read_config(const char *dir, struct srq_chat_source *s, struct srq_error *err)
{
    struct srq_tokenizer_config config;
    int rc = srq_tokenizer_config_read(&config, dir, err);

    if (rc == 0)
        rc = read_specials(config.path, config.root, s, err);
    if (rc == 0 && s->text == NULL)
        rc = read_member(config.path, config.root, s, err);
    srq_tokenizer_config_fini(&config);
    return rc;
}

static int read_older(const char *path, struct srq_chat_source *s, struct srq_error *err)
{
    json_t *root = NULL;
    int rc = srq_json_read_reals(path, SRQ_JSON_CONFIG_MAX, &root, err);

    if (rc == 0)
        rc = read_member(path, root, s, err);
    json_decref(root);
    return rc;
}

int srq_chat_source_find(const char *dir, struct srq_chat_source *s, struct srq_error *err)
{
    char *own = srq_path_join(dir, "chat_template.jinja"), *older = srq_path_join(dir, OLDER);
    int rc = 0;

    *s = (struct srq_chat_source){ .specials = json_object() };
    if (own == NULL || older == NULL || s->specials == NULL)
        rc = no_memory(dir, err);
    if (rc == 0 && srq_path_exists(own))
        rc = read_file(own, s, err);
    if (rc == 0)
        rc = read_config(dir, s, err);
    if (rc == 0 && s->text == NULL && srq_path_exists(older))
        rc = read_older(older, s, err);
    srq_free(own);
    srq_free(older);
    return rc;
}

void srq_chat_source_fini(struct srq_chat_source *s)
{
    srq_free(s->text);
    srq_free(s->what);
    json_decref(s->specials);
    *s = (struct srq_chat_source){ 0 };
}
