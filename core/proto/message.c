/* Messages: JSON-RPC 2.0 envelopes, built and read. */
#include "core/proto/proto.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"
#include "core/proto/members.h"

#include <string.h>

#define ID_MAX 128
#define RPC_CODE_BASE (-32000)

/* Replaces every byte that is in no well-formed character by '?'. */
static void mend_utf8(char *text)
{
    size_t len = strlen(text), at = 0;

    while ((at += srq_utf8_check(text + at, len - at)) < len)
        text[at++] = '?';
}

/* Prints `root` as one line and deletes it. cJSON escapes control characters, so the line has no newline inside. File
 * names and texts that were cut may hold bytes that are no UTF-8; the reader would refuse the whole frame for one. */
static char *finish(cJSON *root, bool ok)
{
    char *line = NULL, *text = ok ? cJSON_PrintUnformatted(root) : NULL;

    if (text != NULL) {
        mend_utf8(text);
        line = srq_asprintf("%s\n", text);
        cJSON_free(text);
    }
    cJSON_Delete(root);
    return line;
}

static cJSON *envelope(bool *ok)
{
    cJSON *root = cJSON_CreateObject();

    *ok = root != NULL && cJSON_AddStringToObject(root, "jsonrpc", "2.0") != NULL;
    return root;
}

/* A copy: the caller keeps its tree. */
static bool add_copy(cJSON *root, const char *name, const cJSON *value)
{
    cJSON *copy = cJSON_Duplicate(value, true);

    if (copy == NULL)
        return false;
    if (cJSON_AddItemToObject(root, name, copy))
        return true;
    cJSON_Delete(copy);
    return false;
}

char *srq_proto_request(const char *id, const char *method, const cJSON *params)
{
    bool ok;
    cJSON *root = envelope(&ok);

    ok = ok && cJSON_AddStringToObject(root, "id", id) != NULL &&
         cJSON_AddStringToObject(root, "method", method) != NULL &&
         (params == NULL || add_copy(root, "params", params));
    return finish(root, ok);
}

char *srq_proto_result(const char *id, const cJSON *result)
{
    bool ok;
    cJSON *root = envelope(&ok);

    ok = ok && cJSON_AddStringToObject(root, "id", id) != NULL &&
         (result != NULL ? add_copy(root, "result", result) : cJSON_AddObjectToObject(root, "result") != NULL);
    return finish(root, ok);
}

char *srq_proto_failure(const char *id, const struct srq_error *err)
{
    bool ok;
    cJSON *root = envelope(&ok), *error = NULL, *data = NULL;

    ok = ok && (id != NULL ? cJSON_AddStringToObject(root, "id", id) : cJSON_AddNullToObject(root, "id")) != NULL &&
         (error = cJSON_AddObjectToObject(root, "error")) != NULL &&
         cJSON_AddNumberToObject(error, "code", RPC_CODE_BASE - err->code) != NULL &&
         cJSON_AddStringToObject(error, "message", err->text) != NULL &&
         (data = cJSON_AddObjectToObject(error, "data")) != NULL &&
         cJSON_AddStringToObject(data, "code", srq_code_name(err->code)) != NULL &&
         (err->field[0] != '\0' ? cJSON_AddStringToObject(data, "field", err->field)
                                : cJSON_AddNullToObject(data, "field")) != NULL;
    return finish(root, ok);
}

char *srq_proto_event_line(const char *event, const cJSON *params)
{
    bool ok;
    cJSON *root = envelope(&ok);

    ok = ok && cJSON_AddStringToObject(root, "method", event) != NULL &&
         (params == NULL || add_copy(root, "params", params));
    return finish(root, ok);
}

/* A text of an error, as what is printed may be read: with its bad bytes mended. */
static bool add_text(cJSON *o, const char *name, const char *text)
{
    cJSON *item = cJSON_AddStringToObject(o, name, text);

    if (item != NULL)
        mend_utf8(item->valuestring);
    return item != NULL;
}

cJSON *srq_proto_error(const struct srq_error *err)
{
    cJSON *root = cJSON_CreateObject(), *e = cJSON_AddObjectToObject(root, "error");

    if (e != NULL && add_text(e, "code", srq_code_name(err->code)) &&
        (err->field[0] != '\0' ? add_text(e, "field", err->field) : cJSON_AddNullToObject(e, "field") != NULL) &&
        add_text(e, "message", err->text))
        return root;
    cJSON_Delete(root);
    return NULL;
}

static int code_of_name(const char *name, int other)
{
    for (int c = 1; c < SRQ_CODE_COUNT && name != NULL; c++) {
        if (strcmp(srq_code_name(c), name) == 0)
            return c;
    }
    return other;
}

int srq_proto_refusal(const cJSON *answer, struct srq_error *err)
{
    const cJSON *e = cJSON_GetObjectItemCaseSensitive(answer, "error");
    const char *field = srq_member_text(e, "field"), *text = srq_member_text(e, "message");

    if (!cJSON_IsObject(e))
        return 0;
    return srq_fail_field(err, -code_of_name(srq_member_text(e, "code"), SRQ_EINVAL), field != NULL ? field : "", "%s",
                          text != NULL ? text : "refused without a reason");
}

static int read_failure(const cJSON *error, struct srq_message *out, struct srq_error *err)
{
    const char *text = srq_member_text(error, "message"), *field;
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(error, "data");

    if (!cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(error, "code")) || text == NULL)
        return srq_fail_field(err, -SRQ_EPROTO, "error", "error has no numeric code and message");
    field = srq_member_text(data, "field");
    srq_fail_field(&out->error, code_of_name(srq_member_text(data, "code"), SRQ_EPROTO), field != NULL ? field : "",
                   "%s", text);
    out->kind = SRQ_MSG_FAILURE;
    return 0;
}

static bool known_member(const char *name)
{
    static const char *const known[] = { "jsonrpc", "id", "method", "params", "result", "error" };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i], name) == 0)
            return true;
    }
    return false;
}

static int read_id(const cJSON *id, bool null_allowed, struct srq_message *out, struct srq_error *err)
{
    if (id == NULL || (null_allowed && cJSON_IsNull(id)))
        return 0;
    if (!cJSON_IsString(id))
        return srq_fail_field(err, -SRQ_EPROTO, "id", "id must be a string");
    if (id->valuestring[0] == '\0' || strlen(id->valuestring) > ID_MAX)
        return srq_fail_field(err, -SRQ_EPROTO, "id", "id must have 1 to %d bytes", ID_MAX);
    out->id = id->valuestring;
    return 0;
}

static int classify(struct srq_message *out, struct srq_error *err)
{
    cJSON *version = cJSON_GetObjectItemCaseSensitive(out->json, "jsonrpc");
    cJSON *method = cJSON_GetObjectItemCaseSensitive(out->json, "method");
    cJSON *result = cJSON_GetObjectItemCaseSensitive(out->json, "result");
    cJSON *error = cJSON_GetObjectItemCaseSensitive(out->json, "error");
    cJSON *params = cJSON_GetObjectItemCaseSensitive(out->json, "params");
    const cJSON *item;
    int rc;

    rc = read_id(cJSON_GetObjectItemCaseSensitive(out->json, "id"), error != NULL, out, err);
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(item, out->json)
    {
        if (!known_member(item->string))
            return srq_fail_field(err, -SRQ_EPROTO, item->string, "a message has no member \"%.100s\"", item->string);
    }
    if (!cJSON_IsString(version) || strcmp(version->valuestring, "2.0") != 0)
        return srq_fail_field(err, -SRQ_EPROTO, "jsonrpc", "jsonrpc must be \"2.0\"");
    if ((method != NULL) + (result != NULL) + (error != NULL) != 1)
        return srq_fail(err, -SRQ_EPROTO, "a message has exactly one of method, result and error");
    if (method == NULL) {
        if (params != NULL)
            return srq_fail_field(err, -SRQ_EPROTO, "params", "an answer has no params");
        if (error != NULL)
            return read_failure(error, out, err);
        if (out->id == NULL)
            return srq_fail_field(err, -SRQ_EPROTO, "id", "a result needs its request's id");
        out->kind = SRQ_MSG_RESULT;
        out->result = result;
        return 0;
    }
    if (!cJSON_IsString(method) || method->valuestring[0] == '\0' || strlen(method->valuestring) > 64)
        return srq_fail_field(err, -SRQ_EPROTO, "method", "method must be a string of 1 to 64 bytes");
    if (params != NULL && !cJSON_IsObject(params))
        return srq_fail_field(err, -SRQ_EPROTO, "params", "params must be an object with named members");
    out->kind = out->id != NULL ? SRQ_MSG_REQUEST : SRQ_MSG_EVENT;
    out->method = method->valuestring;
    out->params = params;
    return 0;
}

int srq_proto_read(const char *line, size_t len, struct srq_message *out, struct srq_error *err)
{
    int rc;

    memset(out, 0, sizeof(*out));
    if (len > SRQ_FRAME_MAX)
        return srq_fail(err, -SRQ_ELIMIT, "a message is longer than %zu bytes", SRQ_FRAME_MAX);
    rc = srq_json_parse(line, len, SRQ_DEPTH_MAX, &out->json, err);
    if (rc != 0)
        return rc;
    if (!cJSON_IsObject(out->json))
        return srq_fail(err, -SRQ_EPROTO, "a message is one JSON object");
    return classify(out, err);
}

void srq_message_fini(struct srq_message *m)
{
    cJSON_Delete(m->json);
    memset(m, 0, sizeof(*m));
}
