/* The database. */
#include "daemon/srqd/store/store.h"

#include "core/base/alloc.h"

#include <sqlite3.h>
#include <stdio.h>

struct srq_store {
    sqlite3 *db;
    sqlite3_stmt *statements[STORE_STATEMENTS];
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
    "ALTER TABLE jobs ADD COLUMN on_end_failure TEXT",
    "ALTER TABLE jobs ADD COLUMN disk_bytes INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN time_limit_s REAL NOT NULL DEFAULT 0",
    "ALTER TABLE jobs ADD COLUMN stage TEXT; ALTER TABLE jobs ADD COLUMN unit TEXT;"
    "ALTER TABLE jobs ADD COLUMN done REAL NOT NULL DEFAULT -1;"
    "ALTER TABLE jobs ADD COLUMN total REAL NOT NULL DEFAULT -1;"
    "ALTER TABLE jobs ADD COLUMN eta_s REAL NOT NULL DEFAULT -1",
    "ALTER TABLE jobs ADD COLUMN archive TEXT",
};
#define SCHEMA_VERSION ((int)(sizeof(migrations) / sizeof(migrations[0])))

/* clang-format off */
static const char *const statements[STORE_STATEMENTS] = {
    [STORE_ADD] =
    "INSERT INTO jobs(id, uid, gid, owner, name, model, method, scheme, output, on_end, submitted, threads,"
    " memory_bytes, before_bytes, after_bytes, average_bits, state, reason, wish, priority, started, ended, restarts,"
    " deaths, progress_seq, last_seq, exit_code, exit_signal, pid, pid_start, spec, planned, disk_bytes, time_limit_s,"
    " archive)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25,?26,?27,?28,"
    "?29,?30,?31,?32,?33,?34,?35)",
    [STORE_UPDATE] =
    "UPDATE jobs SET state=?2, reason=?3, wish=?4, priority=?5, started=?6, ended=?7, restarts=?8, deaths=?9,"
    " progress_seq=?10, last_seq=?11, exit_code=?12, exit_signal=?13, pid=?14, pid_start=?15,"
    " after_bytes=?16, average_bits=?17, on_end_failure=?18, stage=?19, unit=?20, done=?21, total=?22,"
    " eta_s=?23, memory_bytes=?24, disk_bytes=?25, scheme=?26 WHERE id=?1",
    [STORE_TRANSITION] = "INSERT INTO transitions VALUES(?1, ?2, ?3, ?4, ?5)",
    [STORE_LOAD] =
    "SELECT id, number, uid, gid, owner, name, model, method, scheme, output, on_end, submitted, threads,"
    " memory_bytes, before_bytes, after_bytes, average_bits, state, reason, wish, priority, started, ended, restarts,"
    " deaths, progress_seq, last_seq, exit_code, exit_signal, pid, pid_start, on_end_failure, disk_bytes, time_limit_s,"
    " stage, unit, done, total, eta_s, archive FROM jobs ORDER BY number",
    [STORE_REMOVE] = "DELETE FROM jobs WHERE id=?1",
    [STORE_TEXTS] = "SELECT spec, planned FROM jobs WHERE id=?1",
    [STORE_PLANNED] = "UPDATE jobs SET planned=?2 WHERE id=?1",
};
/* clang-format on */

int store_fail(struct srq_store *s, const char *doing, struct srq_error *err)
{
    int e = sqlite3_errcode(s->db) & 0xff;
    int code = e == SQLITE_FULL    ? -SRQ_ENOSPC
               : e == SQLITE_NOMEM ? -SRQ_ENOMEM
               : e == SQLITE_BUSY  ? -SRQ_EBUSY
                                   : -SRQ_EIO;

    return srq_fail(err, code, "cannot %s the store: %s", doing, sqlite3_errmsg(s->db));
}

static int run(struct srq_store *s, const char *sql, const char *doing, struct srq_error *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s, doing, err);
}

static int read_version(struct srq_store *s, int *version, struct srq_error *err)
{
    sqlite3_stmt *q;
    int rc = 0;

    if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &q, NULL) != SQLITE_OK)
        return store_fail(s, "read", err);
    if (sqlite3_step(q) == SQLITE_ROW)
        *version = sqlite3_column_int(q, 0);
    else
        rc = store_fail(s, "read", err);
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
    for (int i = 0; rc == 0 && i < STORE_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) !=
            SQLITE_OK)
            rc = store_fail(s, "read", err);
    }
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
    for (int i = 0; i < STORE_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    srq_free(s);
}

struct sqlite3_stmt *store_statement(struct srq_store *s, enum store_statement which)
{
    return s->statements[which];
}

void store_bind_text(struct sqlite3_stmt *q, int at, const char *text)
{
    if (text != NULL)
        sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(q, at);
}

int store_step(struct srq_store *s, struct sqlite3_stmt *q, const char *doing, struct srq_error *err)
{
    int rc = sqlite3_step(q) == SQLITE_DONE ? 0 : store_fail(s, doing, err);

    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return rc;
}

int store_begin(struct srq_store *s, struct srq_error *err)
{
    return run(s, "BEGIN IMMEDIATE", "write", err);
}

int store_commit(struct srq_store *s, int rc, struct srq_error *err)
{
    if (rc == 0)
        rc = run(s, "COMMIT", "write", err);
    if (rc != 0)
        (void)run(s, "ROLLBACK", "write", NULL);
    return rc;
}

int store_delete(struct srq_store *s, const char *id, struct srq_error *err)
{
    store_bind_text(s->statements[STORE_REMOVE], 1, id);
    return store_step(s, s->statements[STORE_REMOVE], "write", err);
}

char *store_column(struct sqlite3_stmt *q, int at)
{
    const char *text = (const char *)sqlite3_column_text(q, at);

    return text != NULL ? srq_strdup(text) : NULL;
}

int store_texts(struct srq_store *s, const char *id, char **spec, char **planned, struct srq_error *err)
{
    sqlite3_stmt *q = s->statements[STORE_TEXTS];
    int e, rc = 0;

    *spec = *planned = NULL;
    store_bind_text(q, 1, id);
    e = sqlite3_step(q);
    if (e == SQLITE_ROW) {
        *spec = store_column(q, 0);
        *planned = store_column(q, 1);
        if (*spec == NULL || *planned == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading the store");
    } else {
        rc = e == SQLITE_DONE ? srq_fail(err, -SRQ_ENOENT, "job %s is not in the store", id)
                              : store_fail(s, "read", err);
    }
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return rc;
}

int store_planned(struct srq_store *s, const char *id, const char *planned, struct srq_error *err)
{
    sqlite3_stmt *q = s->statements[STORE_PLANNED];

    store_bind_text(q, 1, id);
    store_bind_text(q, 2, planned);
    return store_step(s, q, "write", err);
}
