/* Holds what a daemon sent to the message table, for tests that speak to it without the client library.
 *
 * A line in: {"method": NAME, "result": …} of an answer, {"method": NAME, "params": …} of an event, {"mark": TEXT}. A
 * line out for each message that the table does not allow, saying why, and for each mark its text. {"unseen": true}
 * lists the optional members of replies and events that no message so far had a value in. */
#include "core/base/alloc.h"
#include "core/proto/proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_MAX 512
static const struct srq_field *seen[SEEN_MAX];
static size_t seen_count;

static bool was_seen(const struct srq_field *f)
{
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i] == f)
            return true;
    }
    return false;
}

static void see(const struct srq_field *fields, const cJSON *object)
{
    for (const struct srq_field *f = fields; f != NULL && f->name != NULL; f++) {
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, f->name), *element;

        if (v == NULL || cJSON_IsNull(v))
            continue;
        if (!was_seen(f) && seen_count < SEEN_MAX)
            seen[seen_count++] = f;
        if (cJSON_IsObject(v))
            see(f->members, v);
        else if (cJSON_IsArray(v) && f->members != NULL)
            cJSON_ArrayForEach(element, v) see(f->members, element);
    }
}

static void print_unseen(const struct srq_field *fields, const char *path)
{
    for (const struct srq_field *f = fields; f != NULL && f->name != NULL; f++) {
        char name[300];

        snprintf(name, sizeof(name), "%.200s.%.90s", path, f->name);
        if (!f->required && !was_seen(f))
            puts(name);
        print_unseen(f->members, name);
    }
}

static void print_all_unseen(void)
{
    size_t count;
    const struct srq_method *m = srq_proto_methods(&count);
    const struct srq_event *e;

    for (size_t i = 0; i < count; i++)
        print_unseen(m[i].reply, m[i].name);
    e = srq_proto_events(&count);
    for (size_t i = 0; i < count; i++)
        print_unseen(e[i].fields, e[i].name);
}

static int check(const cJSON *line, struct srq_error *err)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(line, "method");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(line, "result");
    const struct srq_method *method;
    const struct srq_event *event;
    int rc;

    if (!cJSON_IsString(name))
        return srq_fail(err, -SRQ_EFORMAT, "a line without a method");
    method = srq_proto_method(name->valuestring);
    event = srq_proto_event(name->valuestring);
    if (result != NULL) {
        if (method == NULL)
            return srq_fail(err, -SRQ_ENOENT, "no method %s in the table", name->valuestring);
        rc = srq_proto_check_reply(method, result, err);
        if (rc == 0)
            see(method->reply, result);
        return rc;
    }
    if (event == NULL)
        return srq_fail(err, -SRQ_ENOENT, "no event %s in the table", name->valuestring);
    rc = srq_proto_check_event(event, cJSON_GetObjectItemCaseSensitive(line, "params"), err);
    if (rc == 0)
        see(event->fields, cJSON_GetObjectItemCaseSensitive(line, "params"));
    return rc;
}

int main(void)
{
    char *text = NULL;
    size_t cap = 0;
    ssize_t len;

    while ((len = getline(&text, &cap, stdin)) > 0) {
        struct srq_error err = { 0 };
        const cJSON *mark;
        cJSON *line;

        if (srq_json_parse(text, (size_t)len, SRQ_DEPTH_MAX + 2, &line, &err) != 0) {
            printf("no JSON: %s\n", err.text);
            continue;
        }
        mark = cJSON_GetObjectItemCaseSensitive(line, "mark");
        if (cJSON_IsString(mark)) {
            puts(mark->valuestring);
            fflush(stdout);
        } else if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "unseen"))) {
            print_all_unseen();
        } else if (check(line, &err) != 0) {
            printf("%s\n", err.text);
        }
        cJSON_Delete(line);
    }
    free(text);
    return 0;
}
