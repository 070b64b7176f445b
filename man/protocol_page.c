/* Prints srq-protocol(7) from the message table, so that the page cannot differ from what the programs check. */
#include "core/proto/proto.h"
#include "man/mdoc.h"

#include <stdio.h>

static void bounds(const struct srq_field *f)
{
    bool counted = f->type == SRQ_T_STRING || f->type == SRQ_T_ARRAY || f->type == SRQ_T_STRINGS ||
                   f->type == SRQ_T_INTS || f->type == SRQ_T_NUMBERS;
    char words[200];

    if (f->choices != NULL) {
        fputs(f->type == SRQ_T_STRINGS ? ", each one of " : ", one of ", stdout);
        mdoc_text(srq_words_text(f->choices, words, sizeof(words)));
    }
    if (f->min == 0 && f->max == 0)
        return;
    if (f->max >= 9007199254740992.0 && f->min <= -9007199254740992.0)
        return;
    if (f->max >= 9007199254740992.0)
        printf(", at least %.15g", f->min);
    else
        printf(", %s%.15g to %.15g", counted ? "length " : "", f->min, f->max);
}

static void fields(const struct srq_field *f, int depth)
{
    if (f == NULL || f->name == NULL) {
        if (depth == 0)
            puts("None.");
        return;
    }
    puts(".Bl -tag -width Ds -compact");
    for (; f->name != NULL; f++) {
        printf(".It Va %s\n", f->name);
        mdoc_text(f->help);
        printf("\n(%s", srq_field_type_name(f->type));
        bounds(f);
        printf("%s%s).\n", f->required ? "" : ", may be left out", f->nullable ? ", may be null" : "");
        if (f->members != NULL && f->members->name != NULL) {
            printf("%s\n", f->type == SRQ_T_ARRAY ? "Each element has:" : "It has:");
            fields(f->members, depth + 1);
        }
    }
    puts(".El");
}

static const char *authority(enum srq_authority a)
{
    switch (a) {
    case SRQ_AUTH_ANY:
        return "anyone who may connect";
    case SRQ_AUTH_LOOK:
        return "the job's owner, administrators, and others where the configuration lets them look";
    case SRQ_AUTH_OWNER:
        return "the job's owner or root";
    case SRQ_AUTH_ADMIN:
        return "root and members of the admin group; in a user's own daemon, that user";
    }
    return "nobody";
}

static const char *const head = ".Dd November 22, 2026\n"
                                ".Dt SRQ-PROTOCOL 7\n"
                                ".Os\n"
                                ".Sh NAME\n"
                                ".Nm srq-protocol\n"
                                ".Nd messages between srq clients, srqd and its workers\n"
                                ".Sh DESCRIPTION\n"
                                "Clients speak JSON-RPC 2.0 with\n"
                                ".Xr srqd 8\n"
                                "over a Unix stream socket: one JSON object a line, UTF-8, named parameters.\n";
static const char *const rules =
    "Ids of requests and jobs are strings.\n"
    "A member that is unknown is null, never 0; a member that the table does not list is refused.\n"
    "Numbers say their unit in their name:\n"
    ".Va elapsed_s\n"
    "is seconds,\n"
    ".Va rss_bytes\n"
    "is bytes.\n"
    ".Pp\n"
    "Who is asking is what the kernel says of the peer of the socket, never something in a message.\n"
    ".Ss First call\n"
    "The first request on a connection is\n"
    ".Ic hello .\n"
    "A daemon that speaks another major version answers with an error and closes the connection.\n"
    ".Ss Errors\n"
    "A refused request has\n"
    ".Va error\n"
    "with a number\n"
    ".Va code ,\n"
    "a sentence\n"
    ".Va message ,\n"
    "and\n"
    ".Va data\n"
    "with the short name of the error\n"
    ".Pq Va code\n"
    "and what it is about\n"
    ".Pq Va field .\n"
    ".Ss Pages\n"
    "Answers that grow with a model or a queue come in pages: ask again with\n"
    ".Va offset\n"
    "set to the reply's\n"
    ".Va next_offset\n"
    "until that is null.\n"
    ".Ss Events\n"
    "After\n"
    ".Ic events.subscribe\n"
    "events arrive as notifications whose method is the event's name.\n"
    "A client that reads slowly misses samples of a series, never other events; the next event then says how many in\n"
    ".Va skipped .\n";
static const char *const tail =
    ".Sh EXAMPLES\n"
    "A conversation; lines beginning with > are sent:\n"
    ".Bd -literal\n"
    "> "
    "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"hello\",\"params\":{\"major\":1,\"minor\":1,\"client\":\"doc\"}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"major\":1,\"minor\":1,\"server\":\"srqd\",...}}\n"
    "> {\"jsonrpc\":\"2.0\",\"id\":\"2\",\"method\":\"job.list\",\"params\":{}}\n"
    "{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"result\":{\"jobs\":[],\"total\":0,\"next_offset\":null}}\n"
    ".Ed\n"
    ".Sh SEE ALSO\n"
    ".Xr srqctl 1 ,\n"
    ".Xr srq 7 ,\n"
    ".Xr srqd 8\n";

int main(void)
{
    size_t n;
    const struct srq_method *m = srq_proto_methods(&n);
    const struct srq_event *e;

    fputs(head, stdout);
    printf("A frame has at most %zu bytes and is nested at most %d deep.\nThis page describes version %d.%d.\n",
           SRQ_FRAME_MAX, SRQ_DEPTH_MAX, SRQ_PROTO_MAJOR, SRQ_PROTO_MINOR);
    fputs(rules, stdout);
    puts(".Sh METHODS\nThose beginning with\n.Ql worker.\nare what\n.Xr srqd 8\nasks of a worker.");
    for (size_t i = 0; i < n; i++) {
        printf(".Ss %s\n", m[i].name);
        mdoc_text(m[i].help);
        printf("\n.Pp\nWho may: %s.\n.Pp\nParameters:\n", authority(m[i].authority));
        fields(m[i].params, 0);
        puts(".Pp\nReply:");
        fields(m[i].reply, 0);
        if (m[i].paged != NULL)
            printf(".Pp\n.Va %s\nis paged.\n", m[i].paged);
    }
    e = srq_proto_events(&n);
    puts(".Sh EVENTS");
    for (size_t i = 0; i < n; i++) {
        printf(".Ss Event %s\n", e[i].name);
        mdoc_text(e[i].help);
        puts("\n.Pp");
        fields(e[i].fields, 0);
    }
    fputs(tail, stdout);
    return ferror(stdout) || fflush(stdout) != 0;
}
