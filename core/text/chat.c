/* Chat templates of models. */
#include "core/text/chat.h"

#include "core/base/alloc.h"
#include "core/format/json.h"
#include "core/text/chat_source.h"
#include "core/text/template.h"

#include <string.h>

struct srq_chat {
    struct srq_template *template;
    json_t *specials; /* texts by name */
};

static int no_memory(const char *what, struct srq_error *err)
{
    return srq_fail_field(err, -SRQ_ENOMEM, what, "out of memory reading %s", what);
}

static int read_folder(const char *dir, struct srq_chat *c, struct srq_error *err)
{
    struct srq_chat_source s;
    int rc = srq_chat_source_find(dir, &s, err);

    if (rc == 0 && s.text == NULL)
        rc = srq_fail_field(err, -SRQ_ENOENT, dir,
                            "%s has no chat template: neither chat_template.jinja, nor \"chat_template\" in "
                            "tokenizer_config.json or chat_template.json",
                            dir);
    if (rc == 0)
        rc = srq_template_read(s.text, s.len, s.what, &c->template, err);
    c->specials = json_incref(s.specials);
    srq_chat_source_fini(&s);
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
