/* A stand-in for srq-worker in tests of srqd: same command lines, job directory and control socket, no numerics.
 *
 * What it does is set by options of the spec: fake.steps, fake.step_ms, fake.spam (points per step), fake.series
 * (blocks they are of), fake.chatter (log lines per step), fake.layers, fake.checkpoint_every (steps; 0: never),
 * fake.crash_at (step at which it aborts), fake.crashes (how often it does; counted in the job directory), fake.exit
 * (code it ends with at the last step), fake.deaf (ignores worker.cancel), fake.plan_s (time that --plan takes),
 * fake.threads, fake.memory, fake.disk (planned), fake.leaves (bytes that it writes beside its journal), fake.uses
 * (memory that it says it uses beyond its plan), fake.change_s (time that a change takes), fake.change_mute (a change
 * is never answered), fake.change_death (its worker ends instead), fake.change_nonsense (what is answered is no reply).
 * To describe plugin "slow" takes it a minute. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/proto/proto.h"
#include "tests/lib/fake_change.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SPEC_MAX ((size_t)2 << 20)
#define PEERS 8

static double option(const cJSON *spec, const char *name, double otherwise)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(spec, "options"), name);

    return cJSON_IsNumber(v) ? v->valuedouble : otherwise;
}

static void sleep_s(double s)
{
    struct timespec ts = { (time_t)s, (long)((s - (double)(time_t)s) * 1e9) };

    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        continue;
}

/* ---- --describe and --plan --------------------------------------------------------------------------------------- */

static int describe(const char *name)
{
    if (name != NULL && strcmp(name, "slow") == 0)
        sleep_s(60);
    if (name != NULL && strcmp(name, "fake") != 0) {
        fprintf(stderr, "no plugin \"%s\"\n", name);
        return 1;
    }
    puts("{\"plugins\":[{\"name\":\"fake\",\"version\":\"1\",\"summary\":\"Does nothing.\",\"parts\":[\"oneshot\"],"
         "\"options\":[{\"name\":\"steps\",\"type\":\"int\",\"unit\":null,\"min\":1,\"max\":100,\"choices\":null,"
         "\"default\":\"3\",\"help\":\"How many.\"}],\"recipes\":[]}]}");
    return 0;
}

static int refuse(const char *code, const char *field, const char *text)
{
    printf("{\"error\":{\"code\":\"%s\",\"field\":\"%s\",\"message\":\"%s\"}}\n", code, field, text);
    return 1;
}

static void print_plan(const cJSON *spec)
{
    char *text = cJSON_PrintUnformatted(spec);
    int layers = (int)option(spec, "fake.layers", 4);

    printf("{\"spec\":%s,\"plan\":{\"revision\":0,\"layers\":[", text);
    for (int i = 0; i < layers; i++)
        printf("%s{\"name\":\"model.layers.%d.mlp.down_proj\",\"block\":%d,\"module\":\"mlp.down_proj\",\"out\":8,"
               "\"in\":8,\"scheme\":\"w4g128\",\"source\":\"default\",\"tie\":null}",
               i > 0 ? "," : "", i, i);
    printf("]},\"size\":{\"before_bytes\":1000,\"after_bytes\":300,\"average_bits\":4.5},"
           "\"memory\":{\"rows\":[{\"name\":\"block\",\"bytes\":%.0f}],\"planned_bytes\":%.0f},"
           "\"disk\":{\"rows\":[{\"name\":\"output\",\"stage\":\"output\",\"bytes\":1e12},"
           "{\"name\":\"blocks\",\"stage\":\"job\",\"bytes\":%.0f}],\"planned_bytes\":1e12},\"estimate_s\":null,"
           "\"warnings\":[\"only a fake\"],"
           "\"threads\":%.0f}\n",
           option(spec, "fake.memory", 1000), option(spec, "fake.memory", 1000), option(spec, "fake.disk", 0),
           option(spec, "fake.threads", 1));
    cJSON_free(text);
}

static int plan_spec(cJSON *spec)
{
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(spec, "model");

    if (!cJSON_IsString(model) || access(model->valuestring, R_OK) != 0)
        return refuse("not_found", "model", "there is no such model");
    if (option(spec, "fake.plan_crash", 0) > 0)
        abort();
    if (option(spec, "fake.plan_nonsense", 0) > 0) {
        puts("{\"spec\":{},\"plan\":7}");
        return 0;
    }
    sleep_s(option(spec, "fake.plan_s", 0));
    if (cJSON_GetObjectItemCaseSensitive(spec, "scheme") == NULL)
        cJSON_AddStringToObject(spec, "scheme", "w4g128");
    if (cJSON_GetObjectItemCaseSensitive(spec, "method") == NULL)
        cJSON_AddStringToObject(spec, "method", "fake");
    print_plan(spec);
    return 0;
}

static int plan(void)
{
    char *text = malloc(SPEC_MAX);
    size_t len = fread(text, 1, SPEC_MAX, stdin);
    cJSON *spec;
    int rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, &spec, NULL);

    free(text);
    if (rc != 0)
        return refuse("format", "", "the spec is no JSON");
    rc = plan_spec(spec);
    cJSON_Delete(spec);
    return rc;
}

/* ---- --job ------------------------------------------------------------------------------------------------------- */

struct peer {
    int fd;
    struct srq_frames frames;
    bool attached;
};

struct worker {
    const char *id;
    cJSON *spec;
    int journal, listener, lock;
    char control[108];
    long long seq;
    int step;
    struct peer peers[PEERS];
    bool pause, cancel, finish, save;
};

static void send_text(int fd, const char *text)
{
    size_t len = strlen(text), done = 0;

    while (done < len) {
        ssize_t n = send(fd, text + done, len - done, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

/* A journal line, then the same to everybody attached. `data` is JSON text with braces. */
static void emit(struct worker *w, const char *event, const char *data)
{
    double now = srq_wall_s();
    char *line =
        srq_asprintf("{\"seq\":%lld,\"time\":%.6f,\"event\":\"%s\",\"data\":%s,\"sum\":\"0000000000000000\"}\n",
                     ++w->seq, now, event, data);
    char *note = srq_asprintf("{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":{\"job\":\"%s\",\"seq\":%lld,"
                              "\"time\":%.6f,%s}\n",
                              event, w->id, w->seq, now, data + 1);

    if (srq_write_all(w->journal, line, strlen(line)) != 0)
        exit(1);
    for (int i = 0; i < PEERS; i++) {
        if (w->peers[i].fd >= 0 && w->peers[i].attached)
            send_text(w->peers[i].fd, note);
    }
    srq_free(line);
    srq_free(note);
}

static void emitf(struct worker *w, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void emitf(struct worker *w, const char *event, const char *fmt, ...)
{
    char data[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(data, sizeof(data), fmt, ap);
    va_end(ap);
    emit(w, event, data);
}

/* Sends the journal after `since` to one peer. */
static void replay(struct worker *w, int fd, double since)
{
    char *text, *line, *next;
    size_t len;

    if (srq_read_file("journal.ndjson", (size_t)1 << 30, &text, &len, NULL) != 0)
        return;
    for (line = text; line != NULL && *line != '\0'; line = next) {
        cJSON *json, *params;

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        json = cJSON_Parse(line);
        if (json != NULL && cJSON_GetObjectItem(json, "seq")->valuedouble > since) {
            char *out;

            params = cJSON_DetachItemFromObject(json, "data");
            cJSON_AddStringToObject(params, "job", w->id);
            cJSON_AddNumberToObject(params, "seq", cJSON_GetObjectItem(json, "seq")->valuedouble);
            cJSON_AddNumberToObject(params, "time", cJSON_GetObjectItem(json, "time")->valuedouble);
            out = srq_proto_event_line(cJSON_GetObjectItem(json, "event")->valuestring, params);
            send_text(fd, out);
            srq_free(out);
            cJSON_Delete(params);
        }
        cJSON_Delete(json);
    }
    srq_free(text);
}

/* Makes the change and its event, and sends the answer. */
static void answer_change(struct worker *w, struct peer *p, const struct srq_message *m)
{
    struct srq_error err = { 0 };
    cJSON *reply, *event;
    char *line, *data;

    if (option(w->spec, "fake.change_death", 0) > 0)
        abort();
    if (option(w->spec, "fake.change_mute", 0) > 0)
        return;
    sleep_s(option(w->spec, "fake.change_s", 0));
    if (fake_change(w->id, m->params, &reply, &event, &err) != 0)
        line = srq_proto_failure(m->id, &err);
    else if (option(w->spec, "fake.change_nonsense", 0) > 0)
        line = srq_asprintf("{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"result\":{\"job\":\"other\"}}\n", m->id);
    else
        line = srq_proto_result(m->id, reply);
    data = event != NULL ? cJSON_PrintUnformatted(event) : NULL;
    if (data != NULL)
        emit(w, "plan.changed", data);
    send_text(p->fd, line);
    srq_free(line);
    cJSON_free(data);
    cJSON_Delete(reply);
    cJSON_Delete(event);
}

static void answer(struct worker *w, struct peer *p, const struct srq_message *m)
{
    cJSON *result;
    char *line;

    if (strcmp(m->method, "worker.change") == 0) {
        answer_change(w, p, m);
        return;
    }
    result = cJSON_CreateObject();
    if (strcmp(m->method, "worker.attach") == 0) {
        cJSON_AddNumberToObject(result, "pid", (double)getpid());
        cJSON_AddNumberToObject(result, "seq", (double)w->seq);
        cJSON_AddStringToObject(result, "stage", "quantize");
    }
    w->pause = w->pause || strcmp(m->method, "worker.pause") == 0;
    w->cancel = w->cancel || strcmp(m->method, "worker.cancel") == 0;
    w->finish = w->finish || strcmp(m->method, "worker.finish") == 0;
    w->save = w->save || strcmp(m->method, "worker.checkpoint") == 0;
    line = srq_proto_result(m->id, result);
    send_text(p->fd, line);
    srq_free(line);
    cJSON_Delete(result);
    if (strcmp(m->method, "worker.attach") == 0) {
        replay(w, p->fd, cJSON_GetObjectItem(m->params, "since_seq")->valuedouble);
        p->attached = true;
    }
}

static void serve(struct worker *w, struct peer *p)
{
    char chunk[4096];
    ssize_t n = recv(p->fd, chunk, sizeof(chunk), 0);
    const char *line;
    size_t len;

    if (n <= 0 || srq_frames_feed(&p->frames, chunk, (size_t)n, NULL) != 0) {
        close(p->fd);
        srq_frames_fini(&p->frames);
        p->fd = -1;
        p->attached = false;
        return;
    }
    while ((line = srq_frames_next(&p->frames, &len)) != NULL) {
        struct srq_message m;

        if (srq_proto_read(line, len, &m, NULL) == 0 && m.kind == SRQ_MSG_REQUEST)
            answer(w, p, &m);
        srq_message_fini(&m);
    }
}

static void listen_control(struct worker *w)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    const char *dir = getenv("SRQ_RUNTIME_DIR");

    snprintf(w->control, sizeof(w->control), "%s/w%ld.sock", dir != NULL ? dir : "/tmp", (long)getpid());
    memcpy(sa.sun_path, w->control, sizeof(w->control));
    unlink(w->control);
    w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(w->listener, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(w->listener, 8) != 0) {
        perror(w->control);
        exit(1);
    }
    if (srq_write_file_durable("control", w->control, strlen(w->control), 0600, NULL) != 0)
        exit(1);
}

/* Serves the control socket for `s` seconds. */
static void wait_step(struct worker *w, double s)
{
    double until = srq_clock_s() + s;

    do {
        struct pollfd fds[PEERS + 1] = { { .fd = w->listener, .events = POLLIN } };
        double left = until - srq_clock_s();

        for (int i = 0; i < PEERS; i++)
            fds[i + 1] = (struct pollfd){ .fd = w->peers[i].fd, .events = POLLIN };
        if (poll(fds, PEERS + 1, left > 0 ? (int)(left * 1000) + 1 : 0) <= 0)
            continue;
        for (int i = 0; i < PEERS; i++) {
            if (w->peers[i].fd >= 0 && fds[i + 1].revents != 0)
                serve(w, &w->peers[i]);
        }
        for (int i = 0; i < PEERS && (fds[0].revents & POLLIN) != 0; i++) {
            if (w->peers[i].fd < 0) {
                w->peers[i].fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
                srq_frames_init(&w->peers[i].frames);
                break;
            }
        }
    } while (srq_clock_s() < until && !w->pause && !w->cancel && !w->finish);
}

static int read_number(const char *name)
{
    char *text;
    size_t len;
    int v = 0;

    if (srq_read_file(name, 64, &text, &len, NULL) != 0)
        return 0;
    v = (int)strtol(text, NULL, 10);
    srq_free(text);
    return v;
}

static void write_number(const char *name, int v)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%d", v);

    if (srq_write_file_durable(name, text, (size_t)n, 0600, NULL) != 0)
        exit(1);
}

static void take_lock(struct worker *w)
{
    char text[256], stat[1024], *p;
    FILE *f;
    int n;

    w->lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (w->lock < 0 || flock(w->lock, LOCK_EX | LOCK_NB) != 0)
        exit(12);
    f = fopen("/proc/self/stat", "r");
    n = f != NULL ? (int)fread(stat, 1, sizeof(stat) - 1, f) : 0;
    stat[n] = '\0';
    if (f != NULL)
        fclose(f);
    p = strrchr(stat, ')');
    for (int field = 2; p != NULL && field < 22; field++)
        p = strchr(p + 1, ' ');
    n = snprintf(text, sizeof(text), "{\"pid\":%ld,\"host\":\"here\",\"start_time\":%lld}", (long)getpid(),
                 p != NULL ? strtoll(p, NULL, 10) : 0);
    if (ftruncate(w->lock, 0) != 0 || pwrite(w->lock, text, (size_t)n, 0) != n)
        exit(1);
}

static void count_lines(struct worker *w)
{
    char *text;
    size_t len;

    if (srq_read_file("journal.ndjson", (size_t)1 << 30, &text, &len, NULL) != 0)
        return;
    for (size_t i = 0; i < len; i++)
        w->seq += text[i] == '\n';
    srq_free(text);
}

static void checkpoint(struct worker *w)
{
    write_number("step", w->step + 1);
    emitf(w, "checkpoint", "{\"block\":0,\"iter\":%d,\"bytes\":4,\"elapsed_s\":0.001}", w->step);
}

static int leave(struct worker *w, const char *state, int code)
{
    emitf(w, "job.state", "{\"state\":\"%s\",\"reason\":null}", state);
    unlink(w->control);
    return code;
}

static void one_step(struct worker *w, int steps)
{
    int spam = (int)option(w->spec, "fake.spam", 1), series = (int)option(w->spec, "fake.series", 4),
        chatter = (int)option(w->spec, "fake.chatter", 0);

    for (int i = 0; i < spam; i++)
        emitf(w, "tune.point", "{\"block\":%d,\"iter\":%d,\"loss\":%.6f,\"lr\":0.005}", i % series, w->step,
              1.0 / (1 + w->step));
    for (int i = 0; i < chatter; i++)
        emitf(w, "log", "{\"level\":\"info\",\"text\":\"line %d of step %d, as long as log lines tend to be\"}", i,
              w->step);
    emitf(w, "stage.progress",
          "{\"stage\":\"quantize\",\"done\":%d,\"total\":%d,\"unit\":\"steps\",\"elapsed_s\":1,\"rate\":null,"
          "\"eta_s\":null,\"detail\":null}",
          w->step, steps);
}

static void maybe_crash(struct worker *w)
{
    int crashed = read_number("crashes");

    if (w->step != (int)option(w->spec, "fake.crash_at", -1) || crashed >= (int)option(w->spec, "fake.crashes", 1))
        return;
    write_number("crashes", crashed + 1);
    fprintf(stderr, "about to crash on purpose\n");
    abort();
}

static void leave_behind(size_t bytes)
{
    char *data = srq_calloc(1, bytes + 1);

    if (bytes > 0 && (data == NULL || srq_write_file_durable("left", data, bytes, 0600, NULL) != 0))
        exit(1);
    srq_free(data);
}

static int work(struct worker *w)
{
    int steps = (int)option(w->spec, "fake.steps", 10), every = (int)option(w->spec, "fake.checkpoint_every", 5);
    double pause = option(w->spec, "fake.step_ms", 20) / 1000;
    bool deaf = option(w->spec, "fake.deaf", 0) > 0;
    char report[256];

    emit(w, "job.state", "{\"state\":\"running\",\"reason\":null}");
    leave_behind((size_t)option(w->spec, "fake.leaves", 0));
    if (option(w->spec, "fake.uses", 0) > 0)
        emitf(w, "job.memory", "{\"stage\":\"quantize\",\"planned_bytes\":%.0f,\"used_bytes\":%.0f}",
              option(w->spec, "fake.memory", 1000), option(w->spec, "fake.uses", 0));
    for (w->step = read_number("step"); w->step < steps && !w->finish; w->step++) {
        maybe_crash(w);
        one_step(w, steps);
        if ((every > 0 && (w->step + 1) % every == 0) || w->save)
            checkpoint(w);
        w->save = false;
        wait_step(w, pause);
        if (w->cancel && !deaf)
            return leave(w, "canceled", 11);
        w->cancel = false;
        if (w->pause) {
            checkpoint(w);
            return leave(w, "paused", 10);
        }
    }
    if (option(w->spec, "fake.exit", 0) > 0) {
        emit(w, "log", "{\"level\":\"error\",\"text\":\"the fake was told to fail\"}");
        return leave(w, "failed", (int)option(w->spec, "fake.exit", 0));
    }
    emit(w, "log", "{\"level\":\"info\",\"text\":\"all done\"}");
    snprintf(report, sizeof(report),
             "{\"job\":\"%s\",\"finished_early\":%s,\"layers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}", w->id,
             w->finish ? "true" : "false");
    if (srq_write_file_durable("report.json", report, strlen(report), 0600, NULL) != 0)
        exit(1);
    return leave(w, "done", 0);
}

static int run(const char *dir)
{
    struct worker w = { .id = strrchr(dir, '/') + 1 };
    char *text;
    size_t len;
    int code;

    for (int i = 0; i < PEERS; i++)
        w.peers[i].fd = -1;
    if (chdir(dir) != 0 || srq_read_file("spec.json", SPEC_MAX, &text, &len, NULL) != 0) {
        perror(dir);
        return 1;
    }
    w.spec = cJSON_Parse(text);
    srq_free(text);
    take_lock(&w);
    count_lines(&w);
    w.journal = open("journal.ndjson", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    listen_control(&w);
    code = work(&w);
    for (int i = 0; i < PEERS; i++) {
        if (w.peers[i].fd >= 0)
            srq_frames_fini(&w.peers[i].frames);
    }
    cJSON_Delete(w.spec);
    return code;
}

/* --change: the request on standard input, the reply on standard output. */
static int change(const char *dir)
{
    struct worker w = { .id = strrchr(dir, '/') + 1 };
    char *request = malloc(SPEC_MAX), *text = NULL, *data;
    size_t len = fread(request, 1, SPEC_MAX, stdin), spec_len;
    cJSON *params = cJSON_ParseWithLength(request, len), *reply, *event;
    struct srq_error err = { 0 };

    free(request);
    for (int i = 0; i < PEERS; i++)
        w.peers[i].fd = -1;
    if (chdir(dir) != 0 || srq_read_file("spec.json", SPEC_MAX, &text, &spec_len, NULL) != 0)
        return 1;
    w.spec = cJSON_Parse(text);
    srq_free(text);
    take_lock(&w);
    sleep_s(option(w.spec, "fake.change_s", 0));
    if (option(w.spec, "fake.change_death", 0) > 0)
        abort();
    if (option(w.spec, "fake.change_nonsense", 0) > 0)
        return puts("{\"job\":\"other\"}") < 0;
    if (fake_change(w.id, params, &reply, &event, &err) != 0)
        return refuse(srq_code_name(err.code), err.field, err.text);
    count_lines(&w);
    w.journal = open("journal.ndjson", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    data = event != NULL ? cJSON_PrintUnformatted(event) : NULL;
    if (data != NULL)
        emit(&w, "plan.changed", data);
    text = cJSON_PrintUnformatted(reply);
    puts(text);
    cJSON_free(text);
    cJSON_free(data);
    cJSON_Delete(reply);
    cJSON_Delete(event);
    cJSON_Delete(params);
    cJSON_Delete(w.spec);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--describe") == 0)
        return describe(argv[2]);
    if (argc > 1 && strcmp(argv[1], "--plan") == 0)
        return plan();
    if (argc > 2 && strcmp(argv[1], "--job") == 0)
        return run(argv[2]);
    if (argc > 2 && strcmp(argv[1], "--change") == 0)
        return change(argv[2]);
    fprintf(stderr, "usage: fake_worker --describe [NAME] | --plan | --job DIR | --change DIR\n");
    return 2;
}
