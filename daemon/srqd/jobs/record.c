/* Rows and jobs: the order of values here is that of the statements. */
#include "daemon/srqd/jobs/record.h"

#include "core/base/clock.h"

#include <sqlite3.h>
#include <stdio.h>

/* Binds what changes during a job's life to parameters from `at` on. */
static void bind_changing(sqlite3_stmt *q, int at, const struct job *j)
{
    store_bind_text(q, at, srq_job_state_words[j->state]);
    store_bind_text(q, at + 1, j->reason);
    sqlite3_bind_int(q, at + 2, j->wish);
    sqlite3_bind_int(q, at + 3, j->priority);
    sqlite3_bind_double(q, at + 4, j->started);
    sqlite3_bind_double(q, at + 5, j->ended);
    sqlite3_bind_int(q, at + 6, j->restarts);
    sqlite3_bind_int(q, at + 7, j->deaths);
    sqlite3_bind_int64(q, at + 8, j->progress_seq);
    sqlite3_bind_int64(q, at + 9, j->last_seq);
    sqlite3_bind_int(q, at + 10, j->exit_code);
    sqlite3_bind_int(q, at + 11, j->exit_signal);
    sqlite3_bind_int64(q, at + 12, j->pid);
    sqlite3_bind_int64(q, at + 13, j->pid_start);
}

static int add_transition(struct srq_store *s, const struct job *j, int64_t by_uid, struct srq_error *err)
{
    sqlite3_stmt *q = store_statement(s, STORE_TRANSITION);

    store_bind_text(q, 1, j->id);
    sqlite3_bind_double(q, 2, srq_wall_s());
    store_bind_text(q, 3, srq_job_state_words[j->state]);
    store_bind_text(q, 4, j->reason);
    if (by_uid >= 0)
        sqlite3_bind_int64(q, 5, by_uid);
    return store_step(s, q, "write", err);
}

int store_add(struct srq_store *s, struct job *j, const char *spec, const char *planned, struct srq_error *err)
{
    sqlite3_stmt *q = store_statement(s, STORE_ADD);
    int rc = store_begin(s, err);

    if (rc != 0)
        return rc;
    store_bind_text(q, 1, j->id);
    sqlite3_bind_int64(q, 2, j->uid);
    sqlite3_bind_int64(q, 3, j->gid);
    store_bind_text(q, 4, j->owner);
    store_bind_text(q, 5, j->name);
    store_bind_text(q, 6, j->model);
    store_bind_text(q, 7, j->method);
    store_bind_text(q, 8, j->scheme);
    store_bind_text(q, 9, j->output);
    store_bind_text(q, 10, j->on_end);
    sqlite3_bind_double(q, 11, j->submitted);
    sqlite3_bind_int(q, 12, j->threads);
    sqlite3_bind_int64(q, 13, j->memory_bytes);
    sqlite3_bind_double(q, 14, j->before_bytes);
    sqlite3_bind_double(q, 15, j->after_bytes);
    sqlite3_bind_double(q, 16, j->average_bits);
    bind_changing(q, 17, j);
    store_bind_text(q, 31, spec);
    store_bind_text(q, 32, planned);
    sqlite3_bind_int64(q, 33, j->disk_bytes);
    sqlite3_bind_double(q, 34, j->time_limit_s);
    store_bind_text(q, 35, j->archive);
    rc = store_step(s, q, "write", err);
    if (rc == 0) {
        j->number = sqlite3_last_insert_rowid(sqlite3_db_handle(q));
        rc = add_transition(s, j, j->uid, err);
    }
    return store_commit(s, rc, err);
}

int store_update(struct srq_store *s, const struct job *j, bool transition, int64_t by_uid, struct srq_error *err)
{
    sqlite3_stmt *q = store_statement(s, STORE_UPDATE);
    int rc = store_begin(s, err);

    if (rc != 0)
        return rc;
    store_bind_text(q, 1, j->id);
    bind_changing(q, 2, j);
    sqlite3_bind_double(q, 16, j->after_bytes);
    sqlite3_bind_double(q, 17, j->average_bits);
    store_bind_text(q, 18, j->on_end_failure);
    store_bind_text(q, 19, j->stage);
    store_bind_text(q, 20, j->unit);
    sqlite3_bind_double(q, 21, j->done);
    sqlite3_bind_double(q, 22, j->total);
    sqlite3_bind_double(q, 23, j->eta_s);
    sqlite3_bind_int64(q, 24, j->memory_bytes);
    sqlite3_bind_int64(q, 25, j->disk_bytes);
    store_bind_text(q, 26, j->scheme);
    rc = store_step(s, q, "write", err);
    if (rc == 0 && transition)
        rc = add_transition(s, j, by_uid, err);
    return store_commit(s, rc, err);
}

static void read_word(sqlite3_stmt *q, int at, char *out, size_t cap)
{
    const char *text = (const char *)sqlite3_column_text(q, at);

    snprintf(out, cap, "%s", text != NULL ? text : "");
}

static struct job *read_row(sqlite3_stmt *q, struct srqd *d)
{
    struct job *j = job_create(d);
    const char *state = (const char *)sqlite3_column_text(q, 17);
    int place;

    if (j == NULL)
        return NULL;
    snprintf(j->id, sizeof(j->id), "%s", (const char *)sqlite3_column_text(q, 0));
    j->number = sqlite3_column_int64(q, 1);
    j->uid = (uid_t)sqlite3_column_int64(q, 2);
    j->gid = (gid_t)sqlite3_column_int64(q, 3);
    j->owner = store_column(q, 4);
    j->name = store_column(q, 5);
    j->model = store_column(q, 6);
    j->method = store_column(q, 7);
    j->scheme = store_column(q, 8);
    j->output = store_column(q, 9);
    j->on_end = store_column(q, 10);
    j->submitted = sqlite3_column_double(q, 11);
    j->threads = sqlite3_column_int(q, 12);
    j->memory_bytes = sqlite3_column_int64(q, 13);
    j->before_bytes = sqlite3_column_double(q, 14);
    j->after_bytes = sqlite3_column_double(q, 15);
    j->average_bits = sqlite3_column_double(q, 16);
    place = srq_word_place(srq_job_state_words, state);
    j->state = place >= 0 ? (enum srq_job_state)place : SRQ_JOB_FAILED;
    j->reason = store_column(q, 18);
    j->wish = (enum job_wish)sqlite3_column_int(q, 19);
    j->priority = sqlite3_column_int(q, 20);
    j->started = sqlite3_column_double(q, 21);
    j->ended = sqlite3_column_double(q, 22);
    j->restarts = sqlite3_column_int(q, 23);
    j->deaths = sqlite3_column_int(q, 24);
    j->progress_seq = sqlite3_column_int64(q, 25);
    j->heard_progress_seq = j->progress_seq;
    j->last_seq = sqlite3_column_int64(q, 26);
    j->exit_code = sqlite3_column_int(q, 27);
    j->exit_signal = sqlite3_column_int(q, 28);
    j->pid = (pid_t)sqlite3_column_int64(q, 29);
    j->pid_start = sqlite3_column_int64(q, 30);
    j->on_end_failure = store_column(q, 31);
    j->disk_unknown = true;
    j->disk_bytes = sqlite3_column_int64(q, 32);
    j->time_limit_s = sqlite3_column_double(q, 33);
    read_word(q, 34, j->stage, sizeof(j->stage));
    read_word(q, 35, j->unit, sizeof(j->unit));
    j->done = sqlite3_column_double(q, 36);
    j->total = sqlite3_column_double(q, 37);
    j->eta_s = sqlite3_column_double(q, 38);
    j->archive = store_column(q, 39);
    if (j->state != SRQ_JOB_PAUSED)
        job_forget_progress(j); /* its worker tells it */
    if (j->owner == NULL || j->model == NULL || j->method == NULL || j->scheme == NULL || j->output == NULL) {
        job_free(j);
        return NULL;
    }
    return j;
}

int store_load(struct srq_store *s, struct srqd *d, struct job_list *list, struct srq_error *err)
{
    sqlite3_stmt *q = store_statement(s, STORE_LOAD);
    int rc = 0, e;

    while ((e = sqlite3_step(q)) == SQLITE_ROW) {
        struct job *j = read_row(q, d);

        if (j == NULL) {
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading the store");
            break;
        }
        TAILQ_INSERT_TAIL(list, j, entry);
    }
    if (rc == 0 && e != SQLITE_DONE)
        rc = store_fail(s, "read", err);
    sqlite3_reset(q);
    return rc;
}
