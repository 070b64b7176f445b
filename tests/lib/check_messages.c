/* Holds what a daemon sent to the message table, for tests that speak to it without the client library.
 *
 * A line in: {"method": NAME, "result": …} of an answer, {"method": NAME, "params": …} of an event, {"mark": TEXT}. A
 * line out for each message that the table does not allow, saying why, and for each mark its text. */
#include "core/base/alloc.h"
#include "core/proto/proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check(const cJSON *line, struct srq_error *err)
{
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(line, "method");
    const cJSON *result = cJSON_GetObjectItemCaseSensitive(line, "result");
    const struct srq_method *method;
    const struct srq_event *event;

    if (!cJSON_IsString(name))
        return srq_fail(err, -SRQ_EFORMAT, "a line without a method");
    method = srq_proto_method(name->valuestring);
    event = srq_proto_event(name->valuestring);
    if (result != NULL)
        return method != NULL ? srq_proto_check_reply(method, result, err)
                              : srq_fail(err, -SRQ_ENOENT, "no method %s in the table", name->valuestring);
    return event != NULL
               ? srq_proto_check_event(event, cJSON_GetObjectItemCaseSensitive(line, "params"), err)
               : srq_fail(err, -SRQ_ENOENT, "no event %s in the table", name->valuestring);
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
        } else if (check(line, &err) != 0) {
            printf("%s\n", err.text);
        }
        cJSON_Delete(line);
    }
    free(text);
    return 0;
}
