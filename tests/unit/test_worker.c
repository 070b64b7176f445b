/* The process of a job: the lock of its directory, its control socket. */
#include "tests/unit/test.h"

#include "core/base/fs.h"
#include "daemon/srq-worker/control.h"
#include "daemon/srq-worker/jobdir.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[64], path[128];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/srq-worker-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/journal.ndjson", dir);
    return setenv("SRQ_RUNTIME_DIR", dir, 1);
}

static int remove_dir(void **state)
{
    (void)state;
    return srq_remove_tree(dir, NULL);
}

static struct srq_journal *open_journal(void)
{
    struct srq_error err = { 0 };
    struct srq_journal *j = NULL;
    uint64_t cut;

    assert_ok(srq_journal_open(path, &j, &cut, &err), &err);
    return j;
}

static void add(struct srq_journal *j, const char *event, int value)
{
    struct srq_error err = { 0 };
    cJSON *data = cJSON_CreateObject();

    cJSON_AddNumberToObject(data, "value", value);
    assert_ok(srq_journal_append(j, event, data, value % 2 == 0, &err), &err);
}

static void a_directory_is_worked_in_once(void **state)
{
    struct srq_error err = { 0 };
    struct worker_jobdir one, two;
    char job[96], word[32];

    (void)state;
    snprintf(job, sizeof(job), "%s/j1", dir);
    assert_ok(worker_jobdir_open(job, true, &one, &err), &err);
    assert_string_equal(one.id, "j1");
    assert_ok(worker_jobdir_announce(&one, "/x.sock", &err), &err);
    snprintf(word, sizeof(word), "process %ld", (long)getpid());
    assert_refused(worker_jobdir_open(job, true, &two, &err), -SRQ_EBUSY, &err, word);
    worker_jobdir_close(&one);
    assert_ok(worker_jobdir_open(job, false, &two, &err), &err);
    worker_jobdir_close(&two);
}

static void a_lock_of_another_host_is_respected(void **state)
{
    struct srq_error err = { 0 };
    struct worker_jobdir d;
    char job[96], lock[128];
    FILE *f;

    (void)state;
    snprintf(job, sizeof(job), "%s/j1", dir);
    assert_ok(srq_mkdirs(job, 0755, &err), &err);
    snprintf(lock, sizeof(lock), "%s/lock", job);
    f = fopen(lock, "w");
    assert_non_null(f);
    fputs("{\"pid\":77,\"host\":\"elsewhere.example\"}", f);
    fclose(f);
    assert_refused(worker_jobdir_open(job, true, &d, &err), -SRQ_EBUSY, &err, "elsewhere.example");
}

/* ---- control socket ---------------------------------------------------------------------------------------------- */

static int dial(const char *name)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", name);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

static void ask(int fd, const char *line)
{
    assert_int_equal(write(fd, line, strlen(line)), strlen(line));
}

/* Reads one line into out. */
static void answer(int fd, char *out, size_t cap)
{
    size_t n = 0;

    while (n < cap - 1 && read(fd, out + n, 1) == 1 && out[n] != '\n')
        n++;
    out[n] = '\0';
}

/* A worker's end: an open journal, its control socket, a client of it. */
struct served {
    struct srq_journal *journal;
    struct srq_job_flags flags;
    struct worker_control *control;
    int fd;
    char path[108];
    char line[4096]; /* the last answer */
};

static int take_path(void *ctx, const char *where, struct srq_error *err)
{
    struct served *s = ctx;

    (void)err;
    snprintf(s->path, sizeof(s->path), "%.107s", where);
    return 0;
}

static void serve(struct served *s, int lines)
{
    struct srq_error err = { 0 };

    memset(s, 0, sizeof(*s));
    s->journal = open_journal();
    for (int i = 1; i <= lines; i++)
        add(s->journal, "log", i);
    assert_ok(worker_control_start("j7", s->journal, &s->flags, &s->control, &err), &err);
    assert_ok(worker_control_announce(s->control, take_path, s, &err), &err);
    s->fd = dial(s->path);
}

/* The next line that the client gets has every one of these words; the list ends with NULL. */
static void assert_next(struct served *s, const char *const *words)
{
    answer(s->fd, s->line, sizeof(s->line));
    for (; *words != NULL; words++)
        assert_non_null(strstr(s->line, *words));
}
#define NEXT(s, ...) assert_next(s, (const char *const[]){ __VA_ARGS__, NULL })

static void stop_serving(struct served *s)
{
    close(s->fd);
    if (s->control != NULL)
        worker_control_stop(s->control, 0);
    srq_journal_close(s->journal);
}

static void attached_clients_get_the_journal_from_where_they_say(void **state)
{
    struct served s;

    (void)state;
    serve(&s, 3);
    ask(s.fd, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"worker.attach\",\"params\":{\"since_seq\":2}}\n");
    NEXT(&s, "\"seq\":3", "\"stage\":\"load\"");
    NEXT(&s, "\"value\":3", "\"job\":\"j7\"");
    add(s.journal, "block.end", 4);
    worker_control_wake(s.control);
    NEXT(&s, "\"method\":\"block.end\"", "\"seq\":4");
    stop_serving(&s);
}

static void requests_raise_their_flags(void **state)
{
    struct served s;

    (void)state;
    serve(&s, 0);
    ask(s.fd, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"worker.pause\"}\n");
    NEXT(&s, "\"result\"");
    assert_true(atomic_load(&s.flags.pause));
    assert_false(atomic_load(&s.flags.cancel));
    ask(s.fd, "{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"method\":\"worker.explode\"}\n");
    NEXT(&s, "worker.explode");
    stop_serving(&s);
}

static void what_was_journaled_before_the_end_still_reaches_clients(void **state)
{
    struct served s;

    (void)state;
    serve(&s, 0);
    ask(s.fd, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"worker.attach\",\"params\":{\"since_seq\":0}}\n");
    NEXT(&s, "\"result\"");
    add(s.journal, "job.state", 5);
    worker_control_stop(s.control, 2);
    s.control = NULL;
    NEXT(&s, "\"method\":\"job.state\"");
    assert_int_equal(read(s.fd, s.line, 1), 0);
    stop_serving(&s);
}

#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_directory_is_worked_in_once),
        T(a_lock_of_another_host_is_respected),
        T(attached_clients_get_the_journal_from_where_they_say),
        T(requests_raise_their_flags),
        T(what_was_journaled_before_the_end_still_reaches_clients),
    };

    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
