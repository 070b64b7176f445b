/* Jobs in SQLite. */
#include "daemon/srqd/store/store.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "daemon/srqd/srqd.h"

#include <sqlite3.h>
#include <string.h>

struct srq_store {
    sqlite3 *db;
    sqlite3_stmt *add, *update, *transition, *remove, *texts;
};

/* migrations[v] brings version v to v + 1. Append only: databases of every earlier version exist. */
static const char *const migrations[] = {
    "CREATE TABLE jobs("
    " number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " uid INTEGER NOT NULL, gid INTEGER NOT NULL, owner TEXT NOT NULL, name TEXT,"
    " model TEXT NOT NULL, method TEXT NOT NULL, scheme TEXT NOT NULL, output TEXT NOT NULL, on_end TEXT,"
    " submitted REAL NOT NULL, threads INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,"
    " before_bytes REAL NOT NULL, after_bytes REAL NOT NULL, average_bits REAL NOT NULL,"
    " state TEXT NOT NULL, reason TEXT, wish INTEGER NOT NULL, priority INTEGER NOT NULL,"
    " started REAL NOT NULL, ended REAL NOT NULL, restarts INTEGER NOT NULL, deaths INTEGER NOT NULL,"
    " progress_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, exit_code INTEGER NOT NULL,"
    " exit_signal INTEGER NOT NULL, pid INTEGER NOT NULL, pid_start INTEGER NOT NULL,"
    " spec TEXT NOT NULL, planned TEXT NOT NULL);"
    "CREATE TABLE transitions(job TEXT NOT NULL, time REAL NOT NULL, state TEXT NOT NULL, reason TEXT, by_uid INTEGER);"
    "CREATE INDEX transitions_of ON transitions(job);",
};
#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

static const char add_sql[] =
    "INSERT INTO jobs(id, uid, gid, owner, name, model, method, scheme, output, on_end, submitted, threads,"
    " memory_bytes, before_bytes, after_bytes, average_bits, state, reason, wish, priority, started, ended, restarts,"
    " deaths, progress_seq, last_seq, exit_code, exit_signal, pid, pid_start, spec, planned)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,"
    "?29,?30,?31,?32)";
static const char update_sql[] =
    "UPDATE jobs SET state=?2, reason=?3, wish=?4, priority=?5, started=?6, ended=?7, restarts=?8, deaths=?9,"
    " progress_seq=?10, last_seq=?11, exit_code=?12, exit_signal=?13, pid=?14, pid_start=?15,"
    " after_bytes=?16, average_bits=?17 WHERE id=?1";
static const char transition_sql[] = "INSERT INTO transitions VALUES(?1, ?2, ?3, ?4, ?5)";
static const char remove_sql[] = "DELETE FROM jobs WHERE id=?1";
static const char texts_sql[] = "SELECT spec, planned FROM jobs WHERE id=?1";
static const char load_sql[] =
    "SELECT id, number, uid, gid, owner, name, model, method, scheme, output, on_end, submitted, threads,"
    " memory_bytes, before_bytes, after_bytes, average_bits, state, reason, wish, priority, started, ended, restarts,"
    " deaths, progress_seq, last_seq, exit_code, exit_signal, pid, pid_start FROM jobs ORDER BY number";

static int fail(struct srq_store *s, const char *doing, struct srq_error *err)
{
    int e = sqlite3_errcode(s->db) & 0xff;
    int code = e == SQLITE_FULL ? -SRQ_ENOSPC : e == SQLITE_NOMEM ? -SRQ_ENOMEM : e == SQLITE_BUSY ? -SRQ_EBUSY : -SRQ_EIO;

    return srq_fail(err, code, "cannot %s the store: %s", doing, sqlite3_errmsg(s->db));
}

static int run(struct srq_store *s, const char *sql, const char *doing, struct srq_error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(s, doing, err);
}

static int read_version(struct srq_store *s, int *version, struct srq_error *err)
{
    sqlite3_stmt *q;
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK)
        return fail(s, "read", err);
    if (sqlite3_step(q) == SQLITE_ROW)
        *version = sqlite3_column_int(q, 0);
    else
        rc = fail(s, "read", err);
    sqlite3_finalize(q);
    return rc;
}

static int migrate(struct srq_store *s, const char *path, struct srq_error *err)
{
    int version = 0, rc = read_version(s, &version, err);
    char set[64];

    if (rc == 0 && version > SCHEMA_VERSION)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, path, "%s has schema version %d; this srqd knows up to %d", path,
                              version, SCHEMA_VERSION);
    for (; rc == 0 && version < SCHEMA_VERSION; version++) {
        snprintf(set, sizeof(set), "PRAGMA user_version=%d", version + 1);
        rc = run(s, "BEGIN IMMEDIATE", "change", err);
        if (rc == 0)
            rc = run(s, migrations[version], "change", err);
        if (rc == 0)
            rc = run(s, set, "change", err);
        if (rc == 0)
            rc = run(s, "COMMIT", "change", err);
        if (rc != 0)
            (void)run(s, "ROLLBACK", "change", NULL);
    }
    return rc;
}

static int prepare(struct srq_store *s, const char *sql, sqlite3_stmt **out, struct srq_error *err)
{
    return sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK
               ? 0
               : fail(s, "read", err);
}

int store_open(const char *path, struct srq_store **out, struct srq_error *err)
{
    struct srq_store *s = srq_calloc(1, sizeof(*s));
    int rc;

    *out = NULL;
    if (s == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", path);
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL) !=
        SQLITE_OK) {
        rc = srq_fail_field(err, -SRQ_EIO, path, "cannot open %s: %s", path,
                            s->db != NULL ? sqlite3_errmsg(s->db) : "out of memory");
        store_close(s);
        return rc;
    }
    sqlite3_busy_timeout(s->db, 2000);
    rc = run(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF", "open", err);
    if (rc == 0)
        rc = migrate(s, path, err);
    if (rc == 0)
        rc = prepare(s, add_sql, &s->add, err);
    if (rc == 0)
        rc = prepare(s, update_sql, &s->update, err);
    if (rc == 0)
        rc = prepare(s, transition_sql, &s->transition, err);
    if (rc == 0)
        rc = prepare(s, remove_sql, &s->remove, err);
    if (rc == 0)
        rc = prepare(s, texts_sql, &s->texts, err);
    if (rc != 0) {
        store_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

void store_close(struct srq_store *s)
{
    if (s == NULL)
        return;
    sqlite3_finalize(s->add);
    sqlite3_finalize(s->update);
    sqlite3_finalize(s->transition);
    sqlite3_finalize(s->remove);
    sqlite3_finalize(s->texts);
    sqlite3_close(s->db);
    srq_free(s);
}

static void bind_text(sqlite3_stmt *q, int at, const char *text)
{
    if (text != NULL)
        sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(q, at);
}

/* Runs a statement that returns no rows. */
static int step(struct srq_store *s, sqlite3_stmt *q, const char *doing, struct srq_error *err)
{
    int rc = sqlite3_step(q) == SQLITE_DONE ? 0 : fail(s, doing, err);

    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return rc;
}

/* Binds what changes during a job's life to parameters from `at` on. */
static void bind_changing(sqlite3_stmt *q, int at, const struct job *j)
{
    bind_text(q, at, job_state_name(j->state));
    bind_text(q, at + 1, j->reason);
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
    bind_text(s->transition, 1, j->id);
    sqlite3_bind_double(s->transition, 2, srq_wall_s());
    bind_text(s->transition, 3, job_state_name(j->state));
    bind_text(s->transition, 4, j->reason);
    if (by_uid >= 0)
        sqlite3_bind_int64(s->transition, 5, by_uid);
    return step(s, s->transition, "write", err);
}

static int commit(struct srq_store *s, int rc, struct srq_error *err)
{
    if (rc == 0)
        rc = run(s, "COMMIT", "write", err);
    if (rc != 0)
        (void)run(s, "ROLLBACK", "write", NULL);
    return rc;
}

int store_add(struct srq_store *s, struct job *j, const char *spec, const char *planned, struct srq_error *err)
{
    sqlite3_stmt *q = s->add;
    int rc = run(s, "BEGIN IMMEDIATE", "write", err);

    if (rc != 0)
        return rc;
    bind_text(q, 1, j->id);
    sqlite3_bind_int64(q, 2, j->uid);
    sqlite3_bind_int64(q, 3, j->gid);
    bind_text(q, 4, j->owner);
    bind_text(q, 5, j->name);
    bind_text(q, 6, j->model);
    bind_text(q, 7, j->method);
    bind_text(q, 8, j->scheme);
    bind_text(q, 9, j->output);
    bind_text(q, 10, j->on_end);
    sqlite3_bind_double(q, 11, j->submitted);
    sqlite3_bind_int(q, 12, j->threads);
    sqlite3_bind_int64(q, 13, j->memory_bytes);
    sqlite3_bind_double(q, 14, j->before_bytes);
    sqlite3_bind_double(q, 15, j->after_bytes);
    sqlite3_bind_double(q, 16, j->average_bits);
    bind_changing(q, 17, j);
    bind_text(q, 31, spec);
    bind_text(q, 32, planned);
    rc = step(s, q, "write", err);
    if (rc == 0) {
        j->number = sqlite3_last_insert_rowid(s->db);
        rc = add_transition(s, j, j->uid, err);
    }
    return commit(s, rc, err);
}

int store_update(struct srq_store *s, const struct job *j, bool transition, int64_t by_uid, struct srq_error *err)
{
    int rc = run(s, "BEGIN IMMEDIATE", "write", err);

    if (rc != 0)
        return rc;
    bind_text(s->update, 1, j->id);
    bind_changing(s->update, 2, j);
    sqlite3_bind_double(s->update, 16, j->after_bytes);
    sqlite3_bind_double(s->update, 17, j->average_bits);
    rc = step(s, s->update, "write", err);
    if (rc == 0 && transition)
        rc = add_transition(s, j, by_uid, err);
    return commit(s, rc, err);
}

int store_delete(struct srq_store *s, const char *id, struct srq_error *err)
{
    bind_text(s->remove, 1, id);
    return step(s, s->remove, "write", err);
}

static char *column(sqlite3_stmt *q, int at)
{
    const char *text = (const char *)sqlite3_column_text(q, at);

    return text != NULL ? srq_strdup(text) : NULL;
}

static struct job *read_row(sqlite3_stmt *q, struct srqd *d)
{
    struct job *j = job_create(d);
    const char *state = (const char *)sqlite3_column_text(q, 17);

    if (j == NULL)
        return NULL;
    snprintf(j->id, sizeof(j->id), "%s", (const char *)sqlite3_column_text(q, 0));
    j->number = sqlite3_column_int64(q, 1);
    j->uid = (uid_t)sqlite3_column_int64(q, 2);
    j->gid = (gid_t)sqlite3_column_int64(q, 3);
    j->owner = column(q, 4);
    j->name = column(q, 5);
    j->model = column(q, 6);
    j->method = column(q, 7);
    j->scheme = column(q, 8);
    j->output = column(q, 9);
    j->on_end = column(q, 10);
    j->submitted = sqlite3_column_double(q, 11);
    j->threads = sqlite3_column_int(q, 12);
    j->memory_bytes = sqlite3_column_int64(q, 13);
    j->before_bytes = sqlite3_column_double(q, 14);
    j->after_bytes = sqlite3_column_double(q, 15);
    j->average_bits = sqlite3_column_double(q, 16);
    if (state == NULL || !job_state_of(state, &j->state))
        j->state = JOB_FAILED;
    j->reason = column(q, 18);
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
    if (j->owner == NULL || j->model == NULL || j->method == NULL || j->scheme == NULL || j->output == NULL) {
        job_free(j);
        return NULL;
    }
    return j;
}

int store_load(struct srq_store *s, struct srqd *d, struct job_list *list, struct srq_error *err)
{
    sqlite3_stmt *q;
    int rc = 0, e;

    if (sqlite3_prepare_v2(s->db, load_sql, -1, &q, NULL) != SQLITE_OK)
        return fail(s, "read", err);
    while ((e = sqlite3_step(q)) == SQLITE_ROW) {
        struct job *j = read_row(q, d);

        if (j == NULL) {
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading the store");
            break;
        }
        TAILQ_INSERT_TAIL(list, j, entry);
    }
    if (rc == 0 && e != SQLITE_DONE)
        rc = fail(s, "read", err);
    sqlite3_finalize(q);
    return rc;
}

int store_texts(struct srq_store *s, const char *id, char **spec, char **planned, struct srq_error *err)
{
    int e, rc = 0;

    *spec = *planned = NULL;
    bind_text(s->texts, 1, id);
    e = sqlite3_step(s->texts);
    if (e == SQLITE_ROW) {
        *spec = column(s->texts, 0);
        *planned = column(s->texts, 1);
        if (*spec == NULL || *planned == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading the store");
    } else {
        rc = e == SQLITE_DONE ? srq_fail(err, -SRQ_ENOENT, "job %s is not in the store", id) : fail(s, "read", err);
    }
    sqlite3_reset(s->texts);
    sqlite3_clear_bindings(s->texts);
    return rc;
}
