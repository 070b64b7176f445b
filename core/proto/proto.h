/* The message catalogue: JSON-RPC 2.0 with named parameters, one object per line, over AF_UNIX (design 4).
 *
 * One table lists every method and event with its parameters and reply. It drives validation on both sides, srqctl's
 * verbs, completions, and srq-protocol(7). */
#ifndef SRQ_PROTO_PROTO_H
#define SRQ_PROTO_PROTO_H

#include "core/base/buf.h"
#include "core/proto/words.h"

#include <srq/error.h>

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#define SRQ_PROTO_MAJOR 1
#define SRQ_PROTO_MINOR 1
#define SRQ_FRAME_MAX ((size_t)1 << 20)
#define SRQ_DEPTH_MAX 32
#define SRQ_CHANGES_MAX 1000 /* layers that one change of the plan names; it counts them all */
/* Of event sample.pictures: pictures, their sides, characters of their text, steps that step_sqnr tells. */
#define SRQ_SHOWN_MAX 16
#define SRQ_SHOWN_SIDE_MAX 64
#define SRQ_SHOWN_TEXT_MAX (SRQ_SHOWN_MAX * SRQ_SHOWN_SIDE_MAX * SRQ_SHOWN_SIDE_MAX * 3 / 3 * 4)
#define SRQ_STEPS_TOLD_MAX 256

enum srq_field_type {
    SRQ_T_STRING,
    SRQ_T_INT, /* a whole number of at most 2^53 */
    SRQ_T_NUMBER,
    SRQ_T_BOOL,
    SRQ_T_OBJECT,
    SRQ_T_ARRAY,   /* of objects with `members`, or of anything where that is NULL */
    SRQ_T_STRINGS, /* an array of strings */
    SRQ_T_INTS,    /* an array of whole numbers */
    SRQ_T_NUMBERS, /* an array of numbers, null where one is not known */
    SRQ_T_ANY
};

/* One member of params, a reply or an event. Tables end with a NULL name. */
struct srq_field {
    const char *name;
    enum srq_field_type type;
    bool required;
    bool nullable; /* unknown is null, never 0 */
    const char *help;
    double min, max; /* numbers, inclusive; strings and arrays: length; both 0: unbounded */
    const struct srq_field
        *members;               /* SRQ_T_OBJECT: its members; SRQ_T_ARRAY: members of each element object; NULL: any */
    const char *const *choices; /* SRQ_T_STRING, SRQ_T_STRINGS: the values allowed, up to NULL; NULL: any */
};

/* Who may call it. */
enum srq_authority {
    SRQ_AUTH_ANY,   /* anyone allowed on the socket */
    SRQ_AUTH_LOOK,  /* job's owner, root, admins, and others where the configuration opens it */
    SRQ_AUTH_OWNER, /* job's owner or root */
    SRQ_AUTH_ADMIN, /* root or admin group; in a per-user daemon its user */
};

/* Who answers it. */
enum srq_server {
    SRQ_SERVER_DAEMON, /* srqd, to its clients */
    SRQ_SERVER_WORKER, /* srq-worker's control socket, to srqd */
};

struct srq_method {
    const char *name;
    enum srq_authority authority;
    const char *help; /* one sentence */
    const struct srq_field *params;
    const struct srq_field *reply;
    const char *paged; /* name of the reply's array that is paged (params "offset", "limit"; reply
                          "total", "next_offset" or null), or NULL */
    enum srq_server server;
};
struct srq_event {
    const char *name;
    const char *help;
    const struct srq_field *fields;
};

const struct srq_method *srq_proto_methods(size_t *count);
const struct srq_event *srq_proto_events(size_t *count);
const struct srq_method *srq_proto_method(const char *name); /* NULL: unknown */
const struct srq_event *srq_proto_event(const char *name);
/* Whether it is a sample of a series, of which a slow reader may miss some: never a fact. */
bool srq_proto_is_sample(const char *event);

/* What a field type is called in messages and pages: "string", "integer", … */
const char *srq_field_type_name(enum srq_field_type type);

/* Validation against the table: unknown members, missing ones, wrong types, out of range → -SRQ_EINVAL with
 * err->field. */
int srq_proto_check_params(const struct srq_method *m, const cJSON *params, struct srq_error *err);
int srq_proto_check_reply(const struct srq_method *m, const cJSON *result, struct srq_error *err);
int srq_proto_check_event(const struct srq_event *e, const cJSON *params, struct srq_error *err);

/* Whether a name of n bytes is one of `words`, "a|b|c"; nothing is one of NULL. */
bool srq_proto_is_one_of(const char *name, size_t n, const char *words);

/* Parsing one frame: UTF-8 strict, no NUL, depth cap, no duplicate keys, whole line consumed. Never crashes. */
int srq_json_parse(const char *text, size_t len, int max_depth, cJSON **out, struct srq_error *err);

/* Frames out of a byte stream. */
struct srq_frames {
    struct srq_buf in;
    size_t taken; /* bytes that srq_frames_next handed out */
    size_t line;  /* where the unfinished line begins */
};
void srq_frames_init(struct srq_frames *f);
void srq_frames_fini(struct srq_frames *f);
/* Adds bytes; -SRQ_ELIMIT when a frame (without its newline) passes SRQ_FRAME_MAX. Take the whole frames out with
 * srq_frames_next before feeding more: what waits is bounded too. After an error the stream is beyond repair. */
int srq_frames_feed(struct srq_frames *f, const char *data, size_t len, struct srq_error *err);
/* Next whole line without its newline, NUL-terminated, writable, valid until the next feed; NULL when there is none. */
const char *srq_frames_next(struct srq_frames *f, size_t *len);

/* Messages. An error travels as {"code": -32000 - enum srq_code, "message": text, "data": {"code": name of the code,
 * "field": field or null}}. Each returns a line with newline, srq_free; NULL when out of memory. params/result/data are
 * not consumed. */
char *srq_proto_request(const char *id, const char *method, const cJSON *params);
char *srq_proto_result(const char *id, const cJSON *result);
char *srq_proto_failure(const char *id, const struct srq_error *err); /* id may be NULL: null */
char *srq_proto_event_line(const char *event, const cJSON *params);   /* a notification: method = event name */

/* {"error": {"code", "field" or null, "message"}}: what programs print where an answer was expected. NULL when out of
 * memory. */
cJSON *srq_proto_error(const struct srq_error *err);
/* The error that such an answer is; 0 where it is none. */
int srq_proto_refusal(const cJSON *answer, struct srq_error *err);

/* A received message, classified. Strings point into `json`, which the holder deletes. */
enum srq_message_kind { SRQ_MSG_REQUEST, SRQ_MSG_RESULT, SRQ_MSG_FAILURE, SRQ_MSG_EVENT };
struct srq_message {
    enum srq_message_kind kind;
    cJSON *json;
    const char *id;     /* requests, results, failures; NULL for events */
    const char *method; /* requests and events */
    cJSON *params;      /* requests and events; NULL when absent */
    cJSON *result;
    struct srq_error error; /* failures: code, text, field as sent */
};
/* Reads one frame. -SRQ_EPROTO or -SRQ_EFORMAT when it is no message; `out->id` is set even then where it could be
 * read, so that the refusal can name the request. srq_message_fini in any case. */
int srq_proto_read(const char *line, size_t len, struct srq_message *out, struct srq_error *err);
void srq_message_fini(struct srq_message *m);

#endif
