/* Parts of srqd that need no running daemon: configuration, environment, store, exit meanings, queue order. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "daemon/srqd/base/environment.h"
#include "daemon/srqd/base/process.h"
#include "daemon/srqd/jobs/jobs.h"
#include "daemon/srqd/jobs/queue.h"
#include "daemon/srqd/jobs/record.h"
#include "daemon/srqd/workers/outcome.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/srqd-unit-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return srq_remove_tree(folder, NULL);
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static char *example_text(size_t *len)
{
    const char *top = getenv("top_srcdir");
    char *path = srq_path_join(top != NULL ? top : ".", "share/systemd/srqd.conf"), *text = NULL;
    struct srq_error err;

    assert_ok(srq_read_file(path, 100000, &text, len, &err), &err);
    srq_free(path);
    return text;
}

/* The shipped example: with every '#key' taken at its word, each key is there once and means the default. */
static void the_example_configuration_shows_every_default(void **state)
{
    struct srqd_config defaults, shown;
    struct srq_error err;
    size_t len, rows;
    const struct config_row *row = config_rows(&rows);
    char *text = example_text(&len);

    (void)state;
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] == '#' && text[i + 1] != ' ')
            text[i] = ' ';
    }
    config_defaults(&defaults);
    memset(&shown, 0, sizeof(shown));
    assert_ok(config_parse(&shown, "example", text, len, &err), &err);
    assert_memory_equal(&shown, &defaults, sizeof(shown));
    for (size_t i = 0; i < rows; i++) {
        char line[128];

        snprintf(line, sizeof(line), "\n %s = %s\n", row[i].key, row[i].initial);
        if (strstr(text, line) == NULL)
            fail_msg("the example does not show \"%s\"", line);
    }
    srq_free(text);
}

static void sizes_take_binary_suffixes(void **state)
{
    static const char text[] = "[limits]\nmax_memory = 3g\nuser_max_memory=512K # no comment here\n";
    struct srqd_config c;
    struct srq_error err;

    (void)state;
    config_defaults(&c);
    assert_refused(config_parse(&c, "f", text, sizeof(text) - 1, &err), -SRQ_EINVAL, &err, "f: line 3");
    assert_int_equal(c.max_memory, 0);
    assert_ok(config_parse(&c, "f", text, 25, &err), &err);
    assert_int_equal(c.max_memory, 3LL << 30);
    assert_refused(config_parse(&c, "f", "[limits]\nmax_memory = 9999999999T\n", 34, &err), -SRQ_EINVAL, &err,
                   "max_memory");
}

/* ---- environment ------------------------------------------------------------------------------------------------- */

static void only_listed_names_are_kept(void **state)
{
    (void)state;
    unsetenv("SRQ_KEEP_PRELOAD");
    assert_true(environment_keeps("PATH=/bin") && environment_keeps("LC_ALL=C") && environment_keeps("OMP_X=1"));
    assert_false(environment_keeps("PATHX=1") || environment_keeps("LC=1") || environment_keeps("AWS_SECRET=1"));
    assert_false(environment_keeps("LD_PRELOAD=/x.so"));
    setenv("SRQ_KEEP_PRELOAD", "1", 1);
    assert_true(environment_keeps("LD_PRELOAD=/x.so"));
    unsetenv("SRQ_KEEP_PRELOAD");
}

static const char *value_in(char **envp, const char *name)
{
    size_t n = strlen(name);

    for (; *envp != NULL; envp++) {
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
            return *envp + n + 1;
    }
    return NULL;
}

static void another_user_gets_its_own_home_and_none_of_our_folders(void **state)
{
    static const char *const extra[] = { "SRQ_JOB=abc", NULL };
    char **envp;

    (void)state;
    setenv("HOME", "/ours", 1);
    setenv("XDG_RUNTIME_DIR", "/run/ours", 1);
    setenv("SRQ_JOB", "old", 1);
    envp = environment_for(geteuid() + 1, "ada", "/home/ada", extra);
    assert_string_equal(value_in(envp, "HOME"), "/home/ada");
    assert_string_equal(value_in(envp, "USER"), "ada");
    assert_string_equal(value_in(envp, "SRQ_JOB"), "abc");
    assert_null(value_in(envp, "XDG_RUNTIME_DIR"));
    environment_free(envp);
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("SRQ_JOB");
}

/* ---- store ------------------------------------------------------------------------------------------------------- */

static struct job *sample_job(struct srqd *d, const char *id)
{
    struct job *j = job_create(d);

    snprintf(j->id, sizeof(j->id), "%s", id);
    j->owner = srq_strdup("ada");
    j->model = srq_strdup("/m");
    j->method = srq_strdup("rtn");
    j->scheme = srq_strdup("w4g128");
    j->output = srq_strdup("/o");
    j->uid = 1000;
    j->threads = 1;
    return j;
}

static void what_the_store_took_is_there_after_reopening(void **state)
{
    char *path = srq_path_join(folder, "srqd.db"), *spec, *planned;
    struct srqd d = { 0 };
    struct srq_store *s;
    struct srq_error err;
    struct job *j = sample_job(&d, "aaaaaa"), *back;
    struct job_list list = TAILQ_HEAD_INITIALIZER(list);

    (void)state;
    assert_ok(store_open(path, &s, &err), &err);
    assert_ok(store_add(s, j, "{\"a\":1}", "{\"b\":2}", &err), &err);
    j->state = SRQ_JOB_FAILED;
    job_set_reason(j, "because");
    j->priority = -3;
    j->deaths = 2;
    j->last_seq = 9007199254740993;
    j->wish = WISH_CANCEL;
    j->exit_signal = 9;
    assert_ok(store_update(s, j, true, 1000, &err), &err);
    assert_int_equal(store_add(s, j, "{}", "{}", &err), -SRQ_EIO); /* the id is taken */
    store_close(s);
    assert_ok(store_open(path, &s, &err), &err);
    assert_ok(store_load(s, &d, &list, &err), &err);
    back = TAILQ_FIRST(&list);
    assert_non_null(back);
    assert_null(TAILQ_NEXT(back, entry));
    assert_string_equal(back->id, "aaaaaa");
    assert_string_equal(back->reason, "because");
    assert_null(back->name);
    assert_int_equal(back->state, SRQ_JOB_FAILED);
    assert_int_equal(back->priority, -3);
    assert_int_equal(back->deaths, 2);
    assert_int_equal(back->last_seq, 9007199254740993);
    assert_int_equal(back->wish, WISH_CANCEL);
    assert_int_equal(back->exit_signal, 9);
    assert_int_equal(back->exit_code, -1);
    assert_ok(store_texts(s, "aaaaaa", &spec, &planned, &err), &err);
    assert_string_equal(spec, "{\"a\":1}");
    assert_string_equal(planned, "{\"b\":2}");
    srq_free(spec);
    srq_free(planned);
    assert_ok(store_delete(s, "aaaaaa", &err), &err);
    assert_refused(store_texts(s, "aaaaaa", &spec, &planned, &err), -SRQ_ENOENT, &err, "aaaaaa");
    store_close(s);
    job_free(back);
    job_free(j);
    srq_free(path);
}

/* ---- what the end of a worker means ------------------------------------------------------------------------------ */

static void write_in_job(const char *name, const char *text)
{
    char *path = srq_asprintf("%s/jj/%s", folder, name);
    struct srq_error err;

    assert_ok(srq_write_file_durable(path, text, strlen(text), 0600, &err), &err);
    srq_free(path);
}

static void exit_codes_mean_what_the_worker_says(void **state)
{
    static const struct {
        int status;
        enum outcome_kind kind;
        const char *part;
    } rows[] = {
        { 0 << 8, OUTCOME_DONE, "" },
        { 1 << 8, OUTCOME_FAILED, "disk on fire" },
        { 2 << 8, OUTCOME_FAILED, "disk on fire" },
        { 3 << 8, OUTCOME_CRASHED, "exit code 3; its last words: second | third" },
        { 10 << 8, OUTCOME_PAUSED, "" },
        { 11 << 8, OUTCOME_CANCELED, "" },
        { 12 << 8, OUTCOME_LOCKED, "another worker" },
        { 77 << 8, OUTCOME_CRASHED, "exit code 77" },
        { SIGSEGV, OUTCOME_CRASHED, "killed by signal 11" },
    };
    struct srqd d = { .places = { .jobs = folder } };
    struct job *j = sample_job(&d, "jj");
    char *dir = srq_path_join(folder, "jj");
    struct outcome o;

    (void)state;
    assert_int_equal(mkdir(dir, 0700), 0);
    write_in_job("worker.log", "second\nthird\n");
    write_in_job("journal.ndjson",
                 "{\"seq\":1,\"time\":1,\"event\":\"log\",\"data\":{\"level\":\"error\",\"text\":\"disk on fire\"},"
                 "\"sum\":\"0\"}\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        outcome_decide(j, true, rows[i].status, &o);
        assert_int_equal(o.kind, rows[i].kind);
        if (strstr(o.text, rows[i].part) == NULL)
            fail_msg("status %d: \"%s\" does not say \"%s\"", rows[i].status, o.text, rows[i].part);
    }
    outcome_decide(j, false, 0, &o);
    assert_int_equal(o.kind, OUTCOME_LOST);
    srq_free(dir);
    job_free(j);
}

static void a_process_is_known_by_its_start_time(void **state)
{
    int64_t mine = process_start_time(getpid());
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_true(mine > 0 && process_start_time(pid) >= mine);
    assert_int_equal(process_uid(pid), getuid());
    kill(pid, SIGKILL);
    while (process_start_time(pid) >= 0)
        usleep(1000);
    assert_int_equal(process_start_time(pid), -1); /* a zombie counts as gone */
    waitpid(pid, NULL, 0);
    assert_int_equal(process_start_time(pid), -1);
}

static void the_queue_orders_by_priority_then_submission(void **state)
{
    struct srqd d = { .jobs = TAILQ_HEAD_INITIALIZER(d.jobs) };
    static const int priorities[] = { 0, 5, 0, -1, 5 };
    static const int places[] = { 3, 1, 4, 5, 2 };
    struct job *j[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        j[i] = sample_job(&d, "x");
        j[i]->number = i;
        j[i]->priority = priorities[i];
        TAILQ_INSERT_TAIL(&d.jobs, j[i], entry);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(queue_position(j[i]), places[i]);
    j[1]->state = SRQ_JOB_RUNNING;
    queue_kick(&d); /* as whoever changes a state does */
    assert_int_equal(queue_position(j[1]), 0);
    assert_int_equal(queue_position(j[4]), 1);
    for (int i = 0; i < 5; i++)
        job_free(j[i]);
}

static void users_whose_jobs_wait_take_turns(void **state)
{
    static const struct {
        uid_t uid;
        int priority;
        enum srq_job_state state;
        int position;
    } rows[] = {
        { 1, 0, SRQ_JOB_RUNNING, 0 }, { 1, 0, SRQ_JOB_QUEUED, 3 }, { 1, 0, SRQ_JOB_QUEUED, 6 },
        { 1, 0, SRQ_JOB_QUEUED, 7 },  { 2, 0, SRQ_JOB_QUEUED, 2 }, { 2, 0, SRQ_JOB_QUEUED, 4 },
        { 3, 0, SRQ_JOB_QUEUED, 5 },  { 3, 1, SRQ_JOB_QUEUED, 1 },
    };
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    struct srqd d = { .jobs = TAILQ_HEAD_INITIALIZER(d.jobs) };
    struct job *j[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        j[i] = sample_job(&d, "x");
        j[i]->number = i;
        j[i]->uid = rows[i].uid;
        j[i]->priority = rows[i].priority;
        j[i]->state = rows[i].state;
        TAILQ_INSERT_TAIL(&d.jobs, j[i], entry);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(queue_position(j[i]), rows[i].position);
    for (int i = 0; i < N; i++)
        job_free(j[i]);
}

static void new_ids_are_unlike_those_taken(void **state)
{
    struct srqd d = { .jobs = TAILQ_HEAD_INITIALIZER(d.jobs) };
    struct srq_error err;

    (void)state;
    for (int i = 0; i < 200; i++) {
        char id[JOB_ID_MAX];
        struct job *o, *j;

        assert_ok(job_new_id(&d.jobs, id, &err), &err);
        assert_int_equal(strlen(id), 6);
        assert_int_equal(strspn(id, "abcdefghjkmnpqrstuvwxyz23456789"), 6);
        TAILQ_FOREACH(o, &d.jobs, entry) assert_string_not_equal(o->id, id);
        j = sample_job(&d, id);
        TAILQ_INSERT_TAIL(&d.jobs, j, entry);
    }
    while (!TAILQ_EMPTY(&d.jobs)) {
        struct job *j = TAILQ_FIRST(&d.jobs);

        TAILQ_REMOVE(&d.jobs, j, entry);
        job_free(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_configuration_shows_every_default),
        cmocka_unit_test(sizes_take_binary_suffixes),
        cmocka_unit_test(only_listed_names_are_kept),
        cmocka_unit_test(another_user_gets_its_own_home_and_none_of_our_folders),
        cmocka_unit_test(what_the_store_took_is_there_after_reopening),
        cmocka_unit_test(exit_codes_mean_what_the_worker_says),
        cmocka_unit_test(a_process_is_known_by_its_start_time),
        cmocka_unit_test(the_queue_orders_by_priority_then_submission),
        cmocka_unit_test(users_whose_jobs_wait_take_turns),
        cmocka_unit_test(new_ids_are_unlike_those_taken),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
