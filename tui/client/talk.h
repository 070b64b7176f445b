/* What the two clients of srqd say and understand alike: requests, answers, pages, the first words. */
#ifndef SRQ_CLIENT_TALK_H
#define SRQ_CLIENT_TALK_H

#include "core/proto/proto.h"

/* The line of a request, the caller's. Parameters are checked against the table. */
/* What is told to the daemon and to workers is JSON, and that is UTF-8: a name with other bytes would come out as that
 * of another file. 0, or -SRQ_EINVAL showing it. */
int srq_talk_check_text(const char *text, const char *field, struct srq_error *err);
int srq_talk_request(const struct srq_method *m, unsigned long long id, const cJSON *params, char **line,
                     struct srq_error *err);
/* The error that an answer carries, as -code, or that it is; 0: answer->result is the reply. `lenient`: the daemon
 * speaks a newer minor, so that members that we do not know are no error. */
int srq_talk_answer(const struct srq_method *m, const struct srq_message *answer, bool lenient, struct srq_error *err);

/* Pages of a reply, joined. `params` are the caller's. */
struct srq_pages {
    const struct srq_method *m;
    cJSON *params; /* of the next request */
    cJSON *all;    /* so far; without "next_offset" once it is whole */
    double offset;
};
void srq_talk_first_page(struct srq_pages *p);
/* Takes a reply out of its message: 1: another page is to be asked for, 0: this was the last. */
int srq_talk_page(struct srq_pages *p, struct srq_message *answer, struct srq_error *err);

/* Parameters of hello. */
cJSON *srq_talk_hello(const char *name);
/* What the reply to it means; `path` for messages. -SRQ_EPROTO: another protocol. */
int srq_talk_welcome(const cJSON *reply, const char *path, bool *lenient, struct srq_error *err);

#endif
