/* The durable record: one SQLite file (WAL, synchronous FULL), its schema and the statements that run on it. What a row
 * means is said by those who bind and read it. */
#ifndef SRQD_STORE_H
#define SRQD_STORE_H

#include <srq/error.h>

#include <stdbool.h>

struct srq_store;
struct sqlite3_stmt;

enum store_statement {
    STORE_ADD,        /* a job with its texts */
    STORE_UPDATE,     /* what changes during a job's life */
    STORE_TRANSITION, /* of a job's state: when, to what, why, who asked */
    STORE_LOAD,       /* every job in the order of submission */
    STORE_REMOVE,
    STORE_TEXTS,
    STORE_PLANNED, /* what was planned, anew */
    STORE_STATEMENTS
};

/* Opens or creates `path`, bringing an older schema up to date; one of a newer version is refused. */
int store_open(const char *path, struct srq_store **out, struct srq_error *err);
void store_close(struct srq_store *s);

struct sqlite3_stmt *store_statement(struct srq_store *s, enum store_statement which);
void store_bind_text(struct sqlite3_stmt *q, int at, const char *text); /* NULL is null; `text` is not copied */
char *store_column(struct sqlite3_stmt *q, int at);                     /* srq_free; NULL where it is null */
/* Runs a statement that returns no rows, and takes its values off. */
int store_step(struct srq_store *s, struct sqlite3_stmt *q, const char *doing, struct srq_error *err);
/* Around statements that belong together; a commit with rc < 0 takes them back and returns it. -SRQ_ENOSPC when the
 * disk is full; durable when the commit returns 0. */
int store_begin(struct srq_store *s, struct srq_error *err);
int store_commit(struct srq_store *s, int rc, struct srq_error *err);
/* The last failure, as what "cannot `doing` the store". */
int store_fail(struct srq_store *s, const char *doing, struct srq_error *err);

int store_delete(struct srq_store *s, const char *id, struct srq_error *err);
/* The texts that a job was added with; srq_free both. */
int store_texts(struct srq_store *s, const char *id, char **spec, char **planned, struct srq_error *err);
int store_planned(struct srq_store *s, const char *id, const char *planned, struct srq_error *err);

#endif
