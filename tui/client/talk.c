/* Lines, pages and the first words. */
#include "tui/client/talk.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/base/utf8.h"
#include "core/proto/members.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int srq_talk_check_text(const char *text, const char *field, struct srq_error *err)
{
    char shown[256];

    if (srq_utf8_check(text, strlen(text)) == strlen(text))
        return 0;
    return srq_fail_field(err, -SRQ_EINVAL, field, "\"%s\" is not UTF-8; files are named in UTF-8 here",
                          srq_escape_control(text, shown, sizeof(shown)));
}

/* All texts in it: the folder that a path was completed with is nowhere else looked at. */
static int check_texts(const cJSON *value, const char *field, struct srq_error *err)
{
    const char *text = cJSON_GetStringValue(value);
    int rc = text != NULL ? srq_talk_check_text(text, field, err) : 0;

    for (const cJSON *item = value != NULL ? value->child : NULL; rc == 0 && item != NULL; item = item->next)
        rc = check_texts(item, field, err);
    return rc;
}

int srq_talk_request(const struct srq_method *m, unsigned long long id, const cJSON *params, char **line,
                     struct srq_error *err)
{
    char text[32];
    int rc = srq_proto_check_params(m, params, err);

    *line = NULL;
    if (rc == 0)
        rc = check_texts(params, m->name, err);
    if (rc != 0)
        return rc;
    snprintf(text, sizeof(text), "%llu", id);
    *line = srq_proto_request(text, m->name, params);
    if (*line == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (strlen(*line) <= SRQ_FRAME_MAX)
        return 0;
    rc = srq_fail(err, -SRQ_ELIMIT, "the request %s has %zu bytes, more than the %zu allowed", m->name, strlen(*line),
                  SRQ_FRAME_MAX);
    srq_free(*line);
    *line = NULL;
    return rc;
}

int srq_talk_answer(const struct srq_method *m, const struct srq_message *answer, bool lenient, struct srq_error *err)
{
    if (answer->kind != SRQ_MSG_FAILURE)
        return lenient ? 0 : srq_proto_check_reply(m, answer->result, err);
    if (answer->error.code <= 0)
        return srq_fail(err, -SRQ_EPROTO, "the daemon refused %s without a reason", m->name);
    if (err != NULL)
        *err = answer->error;
    return -answer->error.code;
}

static void ask_from(struct srq_pages *p, double offset)
{
    p->offset = offset;
    cJSON_DeleteItemFromObjectCaseSensitive(p->params, "offset");
    cJSON_AddNumberToObject(p->params, "offset", offset);
}

void srq_talk_first_page(struct srq_pages *p)
{
    ask_from(p, 0);
}

/* Moves the elements of the page to the end of what there is. */
static void join_page(struct srq_pages *p, cJSON *page)
{
    cJSON *to = cJSON_GetObjectItemCaseSensitive(p->all, p->m->paged), *item;
    cJSON *from = cJSON_GetObjectItemCaseSensitive(page, p->m->paged);

    if (p->all == NULL) {
        p->all = page;
        return;
    }
    while (to != NULL && from != NULL && from->child != NULL) {
        item = cJSON_DetachItemViaPointer(from, from->child);
        cJSON_AddItemToArray(to, item);
    }
    cJSON_Delete(page);
}

int srq_talk_page(struct srq_pages *p, struct srq_message *answer, struct srq_error *err)
{
    double next = srq_member_number(answer->result, "next_offset");

    join_page(p, cJSON_DetachItemViaPointer(answer->json, answer->result));
    if (isnan(next)) {
        cJSON_DeleteItemFromObjectCaseSensitive(p->all, "next_offset");
        return 0;
    }
    if (next <= p->offset) /* one that does not move would be asked for for ever */
        return srq_fail(err, -SRQ_EPROTO, "the daemon's %s gives page %.0f after %.0f", p->m->name, next, p->offset);
    ask_from(p, next);
    return 1;
}

cJSON *srq_talk_hello(const char *name)
{
    cJSON *p = cJSON_CreateObject();

    srq_put_number(p, "major", SRQ_PROTO_MAJOR);
    srq_put_number(p, "minor", SRQ_PROTO_MINOR);
    srq_put_text(p, "client", name);
    return p;
}

int srq_talk_welcome(const cJSON *reply, const char *path, bool *lenient, struct srq_error *err)
{
    double minor = srq_member_number(reply, "minor");

    *lenient = minor > SRQ_PROTO_MINOR;
    return !isnan(minor) && srq_member_number(reply, "major") == SRQ_PROTO_MAJOR
               ? 0
               : srq_fail_field(err, -SRQ_EPROTO, "major", "the daemon at %s speaks another protocol than %d.%d", path,
                                SRQ_PROTO_MAJOR, SRQ_PROTO_MINOR);
}
