/* Chat templates of models. */
#include "core/text/chat.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/utf8.h"
#include "core/format/json.h"
#include "core/text/template.h"

#include <string.h>

#define CONFIG "tokenizer_config.json"
#define OLDER "chat_template.json"

struct srq_chat {
    struct srq_template *template;
    json_t *specials; /* texts by name */
};

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static int no_memory(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

/* A template of its own. */
static int read_file(const char *path, struct srq_chat *c, struct srq_error *err)
{
    char *text;
    size_t len, good;
    int rc = srq_read_file(path, SRQ_TEMPLATE_TEXT_MAX, &text, &len, err);

    if (rc != 0)
        return rc;
    good = srq_utf8_check(text, len);
    if (srq_is_lfs_pointer(text, len))
        rc = srq_fail_field(err, -SRQ_EFORMAT, path, SRQ_LFS_SENTENCE, path);
    else if (good != len)
        rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not UTF-8 text at byte %zu", path, good);
    else
        rc = srq_template_read(text, len, path, &c->template, err);
    srq_free(text);
    return rc;
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
static int read_member(const char *path, const json_t *root, struct srq_chat *c, struct srq_error *err)
{
    const json_t *text = json_object_get(root, "chat_template");
    char *what;
    int rc;

    if (text == NULL || json_is_null(text))
        return 0;
    if (json_is_array(text))
        text = default_of(text);
    if (!json_is_string(text))
        return srq_fail_field(err, -SRQ_EFORMAT, path,
                              "%s: \"chat_template\" is neither a text nor a list with one that is named \"default\"",
                              path);
    what = srq_asprintf("%s (chat_template)", path);
    if (what == NULL)
        return no_memory(path, err);
    rc = srq_template_read(json_string_value(text), json_string_length(text), what, &c->template, err);
    srq_free(what);
    return rc;
}

static int read_specials(const char *path, const json_t *root, struct srq_chat *c, struct srq_error *err)
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
        if (json_object_set(c->specials, name, token) != 0)
            return no_memory(path, err);
    }
    return 0;
}

static int read_json(const char *path, bool specials, struct srq_chat *c, struct srq_error *err)
{
    json_t *root = NULL;
    int rc = srq_json_read_reals(path, SRQ_JSON_CONFIG_MAX, &root, err);

    if (rc == 0 && specials)
        rc = read_specials(path, root, c, err);
    if (rc == 0 && c->template == NULL)
        rc = read_member(path, root, c, err);
    json_decref(root);
    return rc;
}

static int read_folder(const char *dir, struct srq_chat *c, struct srq_error *err)
{
    char *own = srq_path_join(dir, "chat_template.jinja"), *config = srq_path_join(dir, CONFIG);
    char *older = srq_path_join(dir, OLDER);
    int rc = 0;

    c->specials = json_object();
    if (own == NULL || config == NULL || older == NULL || c->specials == NULL)
        rc = no_memory(dir, err);
    if (rc == 0 && srq_path_exists(own))
        rc = read_file(own, c, err);
    if (rc == 0 && srq_path_exists(config))
        rc = read_json(config, true, c, err);
    if (rc == 0 && c->template == NULL && srq_path_exists(older))
        rc = read_json(older, false, c, err);
    if (rc == 0 && c->template == NULL)
        rc = srq_fail_field(
            err, -SRQ_ENOENT, dir,
            "%s has no chat template: neither chat_template.jinja, nor \"chat_template\" in " CONFIG " or " OLDER, dir);
    srq_free(own);
    srq_free(config);
    srq_free(older);
    return rc;
}

int srq_chat_open(const char *dir, struct srq_chat **out, struct srq_error *err)
{
    struct srq_chat *c = srq_calloc(1, sizeof(*c));
    int rc = c != NULL ? read_folder(dir, c, err) : no_memory(dir, err);

    *out = NULL;
    if (rc != 0) {
        srq_chat_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void srq_chat_free(struct srq_chat *c)
{
    if (c == NULL)
        return;
    srq_template_free(c->template);
    json_decref(c->specials);
    srq_free(c);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int check_list(const char *where, const char *name, const json_t *list, struct srq_error *err)
{
    if (!json_is_array(list) || json_array_size(list) == 0)
        return srq_fail_field(err, -SRQ_EFORMAT, where, "%s: \"%s\" is %s", where, name,
                              json_is_array(list) ? "an empty list" : "not a list");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *role = json_object_get(item, "role");

        if (!json_is_object(item))
            return srq_fail_field(err, -SRQ_EFORMAT, where, "%s: %s[%zu] is not an object", where, name, i);
        if (role != NULL && !json_is_string(role))
            return srq_fail_field(err, -SRQ_EFORMAT, where, "%s: \"role\" of %s[%zu] is not a string", where, name, i);
    }
    return 0;
}

/* What the message tells of its reasoning, by any of its names. */
static json_t *reasoning_of(const json_t *message)
{
    static const char *const names[] = { "reasoning_content", "thinking", "reasoning" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_t *text = json_object_get(message, names[i]);

        if (text != NULL && !json_is_null(text))
            return text;
    }
    return NULL;
}

/* A message as templates see it; NULL: out of memory. */
static json_t *shown_message(json_t *message)
{
    json_t *shown = json_object(), *reasoning = reasoning_of(message), *member;
    const char *name;
    bool ok = shown != NULL;

    if (reasoning != NULL)
        ok = ok && json_object_set(shown, "thinking", reasoning) == 0;
    json_object_foreach(message, name, member)
    {
        if (!json_is_null(member))
            ok = ok && json_object_set(shown, name, member) == 0;
    }
    if (reasoning != NULL)
        ok = ok && json_object_set(shown, "reasoning_content", reasoning) == 0;
    if (ok)
        return shown;
    json_decref(shown);
    return NULL;
}

static json_t *shown_messages(const json_t *messages)
{
    json_t *shown = json_array();

    for (size_t i = 0; shown != NULL && i < json_array_size(messages); i++) {
        json_t *message = shown_message(json_array_get(messages, i));

        if (message == NULL || json_array_append_new(shown, message) != 0) {
            json_decref(shown);
            shown = NULL;
        }
    }
    return shown;
}

int srq_chat_render(const struct srq_chat *c, const char *where, const json_t *row, struct srq_buf *out,
                    struct srq_error *err)
{
    const json_t *messages = json_object_get(row, "messages"), *tools = json_object_get(row, "tools");
    struct srq_template_input in = { .specials = c->specials };
    struct srq_error why = { 0 };
    json_t *shown;
    int rc = check_list(where, "messages", messages, err);

    if (rc == 0 && tools != NULL && !json_is_null(tools)) {
        rc = check_list(where, "tools", tools, err);
        in.tools = tools;
    }
    if (rc != 0)
        return rc;
    shown = shown_messages(messages);
    if (shown == NULL)
        return no_memory(where, err);
    in.messages = shown;
    rc = srq_template_render(c->template, &in, out, &why);
    json_decref(shown);
    return rc == 0 ? 0 : srq_fail_field(err, rc, where, "%s: %s", where, why.text);
}
