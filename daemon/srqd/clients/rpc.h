/* A request and what its handler does with it: parameters, replies, pages, answers that come later. */
#ifndef SRQD_RPC_H
#define SRQD_RPC_H

#include "core/proto/members.h"
#include "daemon/srqd/clients/client.h"

#define RPC_LATER 1 /* the handler will answer by rpc_answer_later */

struct request {
    struct srqd *d;
    struct client *c;
    const char *id;
    const struct srq_method *method;
    const cJSON *params;
    struct job *job; /* resolved where the method names one; else NULL */
};

/* 0 with *result, RPC_LATER, or a negative error. */
typedef int (*rpc_handler)(const struct request *r, cJSON **result, struct srq_error *err);

/* An answer under way outlives its client. */
struct later {
    struct clients *all;
    uint64_t client;
    const struct srq_method *method;
    char id[129];
};
void rpc_later(struct later *l, const struct request *r);
void rpc_answer_later(const struct later *l, int rc, cJSON *result, const struct srq_error *err);

/* A request whose handler is called again, with a job that has not gone meanwhile, when `rpc_again` is called with what
 * rpc_keep gave; the answer goes out then. NULL: no memory. rpc_keep_drop where that never happens. */
struct kept;
struct kept *rpc_keep(const struct request *r, rpc_handler handler);
void rpc_again(void *kept);
void rpc_keep_drop(struct kept *k);
/* The same, called again when the layers of the job (layer_view.h) that are being read have been: RPC_LATER, or an
 * error. */
int rpc_wait_for_layers(const struct request *r, rpc_handler handler, struct srq_error *err);

/* Answers once `file` (taken over) has been read in steps: with `reply` (consumed), to which `make` adds what the
 * request, of which it sees the parameters alone, wants of it. RPC_LATER, or an error. */
struct layer_file;
typedef int (*rpc_file_reply)(const struct request *r, struct layer_file *file, cJSON *reply, struct srq_error *err);
int rpc_read_file(const struct request *r, struct layer_file *file, rpc_file_reply make, cJSON *reply,
                  struct srq_error *err);

/* Parameters. */
const cJSON *rpc_param(const struct request *r, const char *name); /* NULL: absent or null */
bool rpc_flag(const struct request *r, const char *name, bool otherwise);
double rpc_number(const struct request *r, const char *name, double otherwise);
const char *rpc_text(const struct request *r, const char *name); /* NULL: absent or null */

/* Replies: a number that is unknown (negative here) becomes null. */
bool put_number_or_null(cJSON *object, const char *name, double v);
int rpc_no_memory(struct srq_error *err);

/* Paging: what part of `total` elements is wanted. */
struct page {
    int64_t offset, limit;
};
struct page rpc_page(const struct request *r, int64_t total);
/* Adds "total" and "next_offset" for a page of `count` elements from `offset`. */
bool rpc_put_page(cJSON *reply, int64_t offset, int64_t count, int64_t total);
/* Appends a page of `total` elements to reply[name] as `make` gives them, until the limit or half a frame is full; then
 * the page's members. `make`: 0 with the element in *item (NULL: no memory), or an error. */
typedef int (*rpc_element)(void *ctx, int64_t at, cJSON **item, struct srq_error *err);
int rpc_page_of(const struct request *r, cJSON *reply, const char *name, int64_t total, rpc_element make, void *ctx,
                struct srq_error *err);
/* Appends copies of `items` to reply[name] from page.offset on until the limit or half a frame is full; then the page's
 * members. */
int rpc_page_array(const struct request *r, cJSON *reply, const char *name, const cJSON *items, struct srq_error *err);

/* Adds `item` (consumed; NULL: there was no memory for it) to `array`, and what it takes in a frame to *bytes. */
#define RPC_PAGE_BYTES (SRQ_FRAME_MAX / 2)
bool rpc_add_counted(cJSON *array, cJSON *item, size_t *bytes);

#endif
