/* srqctl doctor: is everything here that a job needs, and what to do when not. Starts no daemon. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/client/connect.h"
#include "tui/client/human.h"
#include "tui/srqctl/machine.h"
#include "tui/srqctl/worker_run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_LOW ((double)(2ull << 30))

struct findings {
    cJSON *list;
    int failures;
};

enum verdict { FINE, WARNING, FAILURE };

static void note(struct findings *f, enum verdict v, const char *what, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

static void note(struct findings *f, enum verdict v, const char *what, const char *hint, const char *fmt, ...)
{
    static const char *const names[] = { "ok", "warning", "failure" };
    cJSON *row = cJSON_CreateObject();
    char text[1200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    cJSON_AddStringToObject(row, "check", what);
    cJSON_AddStringToObject(row, "status", names[v]);
    cJSON_AddStringToObject(row, "text", text);
    if (hint != NULL)
        cJSON_AddStringToObject(row, "hint", hint);
    else
        cJSON_AddNullToObject(row, "hint");
    cJSON_AddItemToArray(f->list, row);
    f->failures += v == FAILURE;
}

static void check_program(struct findings *f, const char *what, const char *path)
{
    if (access(path, X_OK) == 0)
        note(f, FINE, what, NULL, "%s", path);
    else
        note(f, FAILURE, what, "install srq, or set SRQ_SRQD and SRQ_WORKER to the programs", "%s: %s", path,
             strerror(errno));
}

static void check_socket(struct findings *f, const struct ctl *ctl, struct srq_place *place, bool *found)
{
    struct srq_error err = { 0 };
    char dir[sizeof(place->path)], *slash;

    *found = srq_locate_socket(ctl->socket, ctl->user_only, place, &err) == 0;
    if (!*found) {
        note(f, FAILURE, "socket", "set SRQ_SOCKET to a shorter path", "%s", err.text);
        return;
    }
    snprintf(dir, sizeof(dir), "%s", place->path);
    slash = strrchr(dir, '/');
    if (slash != NULL)
        *slash = '\0';
    if (!srq_path_exists(dir))
        note(f, FINE, "socket", NULL, "%s (%s); its folder is made at the first start", place->path,
             srq_socket_kind_name(place->kind));
    else if (srq_place_prepare(place, &err) != 0)
        note(f, FAILURE, "socket", "own the folder, or set SRQ_SOCKET", "%s", err.text);
    else
        note(f, FINE, "socket", NULL, "%s (%s)", place->path, srq_socket_kind_name(place->kind));
}

static void note_state(struct findings *f, const char *state, double bytes)
{
    bool low = bytes < DISK_LOW;
    char n[CTL_HUMAN];

    note(f, low ? WARNING : FINE, "state", low ? "srqctl gc frees the space of ended jobs" : NULL, "%s, %s free", state,
         ctl_human_bytes(bytes, n));
}

/* *answered: what it said of its state folder. */
static void check_daemon(struct findings *f, struct ctl *ctl, const struct srq_place *place, bool *answered)
{
    struct srq_client_options o = { .socket = place->path,
                                    .user_only = ctl->user_only,
                                    .name = "srqctl " PACKAGE_VERSION };
    struct srq_error err = { 0 };
    cJSON *info = NULL;
    const char *version;

    if (srq_client_open(&o, &ctl->client, &err) != 0) {
        if (err.code == SRQ_ENOENT && place->kind != SRQ_SOCKET_SYSTEM)
            note(f, FINE, "daemon", NULL, "none runs; the first verb that needs one starts it");
        else
            note(f, FAILURE, "daemon", err.code == SRQ_EPERM ? "ask its administrator, or use --user" : NULL, "%s",
                 err.text);
        return;
    }
    version = ctl_str(srq_client_hello(ctl->client), "version");
    if (strcmp(version, PACKAGE_VERSION) != 0)
        note(f, WARNING, "daemon", "restart it: srqctl daemon stop; workers go on", "srqd %s runs, srqctl is %s",
             version, PACKAGE_VERSION);
    else
        note(f, FINE, "daemon", NULL, "srqd %s, process %.0f", version, ctl_num(srq_client_hello(ctl->client), "pid"));
    if (srq_client_call(ctl->client, "daemon.info", NULL, 30, &info, &err) != 0)
        return;
    if (cJSON_IsTrue(ctl_get(info, "draining")))
        note(f, WARNING, "queue", "srqctl daemon drain --off", "the daemon drains: no job starts");
    if (ctl_str(info, "refusing")[0] != '\0')
        note(f, WARNING, "queue", NULL, "the daemon takes no jobs: %s", ctl_str(info, "refusing"));
    note_state(f, ctl_str(info, "state_dir"), ctl_num(info, "disk.free_bytes"));
    *answered = true;
    cJSON_Delete(info);
}

static void quiet(const char *line, void *ctx)
{
    (void)line;
    (void)ctx;
}

static void check_worker(struct findings *f)
{
    static const char *const args[] = { "--describe", NULL };
    struct srq_error err = { 0 };
    cJSON *answer = NULL;
    const cJSON *p;
    char names[512] = "";
    int count;

    if (ctl_worker_run(args, NULL, quiet, NULL, &answer, &err) != 0) {
        note(f, FAILURE, "plugins", "run it by hand: srq-worker --describe", "%s", err.text);
        return;
    }
    count = cJSON_GetArraySize(ctl_get(answer, "plugins"));
    cJSON_ArrayForEach(p, ctl_get(answer, "plugins"))
    {
        size_t n = strlen(names);

        snprintf(names + n, sizeof(names) - n, "%s%s %s", n > 0 ? ", " : "", ctl_str(p, "name"), ctl_str(p, "version"));
    }
    if (count == 0)
        note(f, FAILURE, "plugins", "set SRQ_PLUGIN_PATH to the folder that holds them", "srq-worker finds none");
    else
        note(f, FINE, "plugins", NULL, "%s", names);
    cJSON_ArrayForEach(p, ctl_get(answer, "broken"))
    {
        if (cJSON_IsString(p))
            note(f, WARNING, "plugins", "build it again for this srq, or remove it", "%s", p->valuestring);
    }
    cJSON_Delete(answer);
}

static void check_products(struct findings *f)
{
    static const char *const args[] = { "--machine", NULL };
    struct srq_error err = { 0 };
    cJSON *answer = NULL;

    if (ctl_worker_run(args, NULL, quiet, NULL, &answer, &err) != 0) {
        note(f, FAILURE, "products", NULL, "%s", err.text);
        return;
    }
    note(f, FINE, "products", NULL, "%s; blocks are tuned in %s on %.0f threads", ctl_str(answer, "gemm"),
         ctl_str(answer, "compute"), ctl_num(answer, "threads"));
    cJSON_Delete(answer);
}

/* Of a daemon of one's own, before it has run. */
static void check_state(struct findings *f)
{
    char *state = srq_locate_state();
    struct srq_error err = { 0 };
    uint64_t bytes = 0;

    if (state == NULL || srq_mkdirs(state, 0700, &err) != 0) {
        note(f, FAILURE, "state", "set SRQ_STATE_DIR to a folder of yours", "%s",
             state == NULL ? "no home folder is known" : err.text);
    } else if (access(state, W_OK) != 0) {
        note(f, FAILURE, "state", "set SRQ_STATE_DIR to a folder of yours", "%s: %s", state, strerror(errno));
    } else if (srq_disk_free(state, &bytes, &err) != 0) {
        note(f, WARNING, "state", NULL, "%s", err.text);
    } else {
        note_state(f, state, (double)bytes);
    }
    srq_free(state);
}

static void check_machine(struct findings *f)
{
    struct ctl_machine m;
    char a[CTL_HUMAN], b[CTL_HUMAN];

    ctl_machine_read("", &m);
    note(f, FINE, "memory", NULL, "%s available%s%s", ctl_human_bytes(m.memory_available, a),
         m.memory_limit > 0 ? ", control group allows " : "",
         m.memory_limit > 0 ? ctl_human_bytes(m.memory_limit, b) : "");
    if (m.cpu_quota > 0)
        note(f, FINE, "processors", NULL, "%d online, control group allows %s", m.processors,
             ctl_human_count(m.cpu_quota, a));
    else
        note(f, FINE, "processors", NULL, "%d online", m.processors);
    note(f, FINE, "instructions", NULL, "%s", m.instructions);
}

static void print(const cJSON *list)
{
    const cJSON *row;

    cJSON_ArrayForEach(row, list)
    {
        const char *status = ctl_str(row, "status");

        printf("%-8s %-12s %s\n",
               strcmp(status, "ok") == 0        ? "ok"
               : strcmp(status, "failure") == 0 ? "FAIL"
                                                : "warn",
               ctl_str(row, "check"), ctl_str(row, "text"));
        if (ctl_str(row, "hint")[0] != '\0')
            printf("%-21s hint: %s\n", "", ctl_str(row, "hint"));
    }
}

int ctl_cmd_doctor(struct ctl *ctl)
{
    struct findings f = { .list = cJSON_CreateArray() };
    struct srq_place place;
    bool found, answered = false;
    cJSON *json;
    int rc;

    check_socket(&f, ctl, &place, &found);
    check_program(&f, "srqd", srq_daemon_program());
    check_program(&f, "srq-worker", ctl_worker_program());
    if (found)
        check_daemon(&f, ctl, &place, &answered);
    check_worker(&f);
    if (access(ctl_worker_program(), X_OK) == 0)
        check_products(&f);
    if (!answered && !(found && place.kind == SRQ_SOCKET_SYSTEM))
        check_state(&f);
    check_machine(&f);
    if (ctl->json) {
        json = cJSON_CreateObject();
        cJSON_AddBoolToObject(json, "ok", f.failures == 0);
        cJSON_AddItemToObject(json, "checks", f.list);
        rc = ctl_print_json(json);
        return rc != CTL_OK || f.failures > 0 ? CTL_REFUSED : CTL_OK;
    }
    print(f.list);
    cJSON_Delete(f.list);
    rc = ctl_flush(ctl);
    return rc != CTL_OK || f.failures > 0 ? CTL_REFUSED : CTL_OK;
}
