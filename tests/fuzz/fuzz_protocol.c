/* Frames and messages: whatever comes over a socket is refused or read; what was read can be said again, and the same
 * bytes cut differently give the same frames. */
#include "tests/fuzz/fuzz.h"

#include "core/base/alloc.h"
#include "core/proto/proto.h"

#include <stdlib.h>
#include <string.h>

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"hello\",\"params\":{\"major\":1,\"minor\":0,\"client\":"
              "\"x\"}}\n"),
    FUZZ_SEED(""
              "{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"method\":\"job.submit\",\"params\":{\"spec\":{\"model\":\"/"
              "m\",\"layers\":[{\"pattern\":\"re:\\\\.q$\",\"scheme\":\"w8\"}],\"options\":{\"seed\":42,\"x\":-1.5e-3}}"
              ",\"paused\":true}}\n"),
    FUZZ_SEED(""
              "{\"jsonrpc\":\"2.0\",\"method\":\"tune.point\",\"params\":{\"job\":\"a\",\"seq\":1,\"time\":1.5,"
              "\"block\":0,\"iter\":3,\"loss\":null,\"lr\":0.005}}\n"
              "{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{}}\n"),
    FUZZ_SEED(""
              "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32004,\"message\":\"no\",\"data\":{\"code\":"
              "\"invalid\",\"field\":\"job\"}}}\n"),
    FUZZ_SEED(
        "{\"jsonrpc\":\"2.0\",\"id\":\"3\",\"result\":{\"a\":[[[[1]]]],\"\\ud83d\\ude00\":\"\\u00e9\xc3\xa9\"}}\n"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "protocol messages";

/* A message that was read can be built again and means the same. */
static void say_again(const struct srq_message *m)
{
    struct srq_message back;
    char *line;

    if (m->kind == SRQ_MSG_REQUEST)
        line = srq_proto_request(m->id, m->method, m->params);
    else if (m->kind == SRQ_MSG_RESULT)
        line = srq_proto_result(m->id, m->result);
    else if (m->kind == SRQ_MSG_EVENT)
        line = srq_proto_event_line(m->method, m->params);
    else
        line = srq_proto_failure(m->id, &m->error);
    if (line == NULL || strchr(line, '\n') != line + strlen(line) - 1)
        abort();
    if (srq_proto_read(line, strlen(line) - 1, &back, NULL) != 0 || back.kind != m->kind)
        abort();
    if ((m->params != NULL && !cJSON_Compare(m->params, back.params, true)) ||
        (m->id != NULL && strcmp(m->id, back.id) != 0) || m->error.code != back.error.code)
        abort();
    srq_message_fini(&back);
    srq_free(line);
}

static void hold_to_table(const struct srq_message *m)
{
    const struct srq_method *method = m->method != NULL ? srq_proto_method(m->method) : NULL;
    const struct srq_event *event = m->method != NULL ? srq_proto_event(m->method) : NULL;
    struct srq_error err = { 0 };

    if (method != NULL && srq_proto_check_params(method, m->params, &err) != 0 && err.text[0] == '\0')
        abort();
    if (event != NULL && srq_proto_check_event(event, m->params, &err) != 0 && err.text[0] == '\0')
        abort();
}

static void read_frame(const char *line, size_t len)
{
    struct srq_error err = { 0 };
    struct srq_message m;
    int rc = srq_proto_read(line, len, &m, &err);

    if (rc != 0 && err.text[0] == '\0')
        abort();
    if (rc == 0) {
        hold_to_table(&m);
        say_again(&m);
    }
    srq_message_fini(&m);
}

/* Feeds the stream in pieces of `step` bytes and sums up the frames. */
static size_t frames_of(const uint8_t *data, size_t size, size_t step, bool read)
{
    struct srq_frames f;
    size_t sum = 0, len;
    const char *line;

    srq_frames_init(&f);
    for (size_t at = 0; at < size; at += step) {
        if (srq_frames_feed(&f, (const char *)data + at, size - at < step ? size - at : step, NULL) != 0)
            break;
        while ((line = srq_frames_next(&f, &len)) != NULL) {
            for (size_t i = 0; i < len; i++)
                sum = sum * 31 + (uint8_t)line[i];
            sum = sum * 37 + len;
            if (read)
                read_frame(line, len);
        }
    }
    srq_frames_fini(&f);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (frames_of(data, size, size > 0 ? size : 1, true) != frames_of(data, size, 7, false))
        abort();
    return 0;
}
