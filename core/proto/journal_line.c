/* Journal lines printed, looked at, and taken apart. */
#include "core/proto/journal_line.h"

#include "core/base/alloc.h"
#include "core/base/hash.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUM_TAIL 26 /* ,"sum":"0123456789abcdef"} */

static const char seq_key[] = "{\"seq\":", event_key[] = "\"event\":\"";

char *srq_journal_line_print(int64_t seq, double time, const char *event, const char *data)
{
    char *body =
        srq_asprintf("%s%" PRId64 ",\"time\":%.6f,%s%s\",\"data\":%s", seq_key, seq, time, event_key, event, data);
    char *line = NULL;

    if (body != NULL)
        line = srq_asprintf("%s,\"sum\":\"%016" PRIx64 "\"}\n", body, srq_hash64(body, strlen(body)));
    srq_free(body);
    return line;
}

int64_t srq_journal_line_seq(const char *line)
{
    char *end;
    int64_t seq;

    if (strncmp(line, seq_key, sizeof(seq_key) - 1) != 0)
        return -1;
    seq = strtoll(line + sizeof(seq_key) - 1, &end, 10);
    return *end == ',' ? seq : -1;
}

const char *srq_journal_line_event(const char *line, size_t *len)
{
    const char *name = strstr(line, event_key);

    if (name == NULL)
        return NULL;
    name += sizeof(event_key) - 1;
    *len = strcspn(name, "\"");
    return name;
}

bool srq_journal_line_holds(const char *line, size_t len)
{
    char want[SUM_TAIL + 1];

    if (len <= SUM_TAIL + sizeof(seq_key) || srq_journal_line_seq(line) < 0)
        return false;
    snprintf(want, sizeof(want), ",\"sum\":\"%016" PRIx64 "\"}", srq_hash64(line, len - SUM_TAIL));
    return memcmp(line + len - SUM_TAIL, want, SUM_TAIL) == 0;
}

int srq_journal_line_read(const char *line, size_t len, struct srq_journal_line *out, struct srq_error *err)
{
    double seq;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = srq_json_parse(line, len, SRQ_DEPTH_MAX, &out->json, err);
    if (rc != 0)
        return rc;
    seq = srq_member_number(out->json, "seq");
    out->time = srq_member_number(out->json, "time");
    out->event = srq_member_text(out->json, "event");
    out->data = cJSON_GetObjectItemCaseSensitive(out->json, "data");
    if (!(fabs(seq) < 9e15) || isnan(out->time) || out->event == NULL || !cJSON_IsObject(out->data))
        return srq_fail(err, -SRQ_EFORMAT, "a journal line lacks its number, time, event or data");
    out->seq = (int64_t)seq;
    return 0;
}

void srq_journal_line_fini(struct srq_journal_line *l)
{
    cJSON_Delete(l->json);
    memset(l, 0, sizeof(*l));
}
