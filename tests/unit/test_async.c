/* The client inside an event loop, against a daemon of a few lines in the same loop. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "tui/client/async.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <sys/un.h>
#include <unistd.h>

#define JOURNAL 50 /* lines of job "a" */

/* What the daemon does, and what it saw. */
static struct {
    struct event_base *base;
    struct evconnlistener *listener;
    struct bufferevent *bev; /* the last connection */
    struct srq_frames frames;
    char path[100];
    int connections, major, minor;
    int drop_after;   /* hangs up once after so many lines of a replay; 0: never */
    int double_from;  /* sends lines from this one on again after a replay; 0: none */
    bool silent;      /* answers nothing but hello */
    double since[20]; /* of each subscription to the job */
    int subscriptions;
    char names[300]; /* of the subscription to all jobs */
} d;

/* What the client told us. */
static struct {
    struct srq_async *a;
    int ups, losses, seqs[500], events;
    double retry_s[20];
    struct srq_error why, err;
    bool done;
    cJSON *result;
} c;

static void send_json(cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);

    if (d.bev != NULL) {
        bufferevent_write(d.bev, text, strlen(text));
        bufferevent_write(d.bev, "\n", 1);
    }
    cJSON_free(text);
    cJSON_Delete(json);
}

static void answer(const char *id, const char *result)
{
    cJSON *m = cJSON_CreateObject();

    cJSON_AddStringToObject(m, "jsonrpc", "2.0");
    cJSON_AddStringToObject(m, "id", id);
    cJSON_AddItemToObject(m, "result", cJSON_Parse(result));
    send_json(m);
}

static void send_line(int seq)
{
    char text[200];

    snprintf(
        text, sizeof(text),
        "{\"jsonrpc\":\"2.0\",\"method\":\"log\",\"params\":{\"job\":\"a\",\"seq\":%d,\"time\":1,\"level\":\"info\","
        "\"text\":\"x\"}}",
        seq);
    send_json(cJSON_Parse(text));
}

static void hang_up(void)
{
    if (d.bev != NULL) {
        bufferevent_flush(d.bev, EV_WRITE, BEV_FLUSH);
        bufferevent_free(d.bev);
    }
    d.bev = NULL;
    srq_frames_fini(&d.frames);
    srq_frames_init(&d.frames);
}

static void hang_up_soon(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    (void)ctx;
    hang_up();
}

static void subscribe(const struct srq_message *m)
{
    const cJSON *since = cJSON_GetObjectItemCaseSensitive(m->params, "since_seq");
    const cJSON *names = cJSON_GetObjectItemCaseSensitive(m->params, "events"), *n;
    const struct timeval soon = { .tv_usec = 50000 };
    int last = JOURNAL;

    answer(m->id, "{\"subscription\":\"s1\"}");
    if (!cJSON_IsNumber(since)) {
        d.names[0] = '\0';
        cJSON_ArrayForEach(n, names)
            snprintf(d.names + strlen(d.names), sizeof(d.names) - strlen(d.names), "%s ", n->valuestring);
        return;
    }
    d.since[d.subscriptions++] = since->valuedouble;
    if (d.drop_after > 0) {
        last = d.drop_after;
        d.drop_after = 0;
        event_base_once(d.base, -1, EV_TIMEOUT, hang_up_soon, NULL, &soon);
    }
    for (int i = (int)since->valuedouble + 1; i <= last; i++)
        send_line(i);
    for (int i = d.double_from; i > 0 && i <= last; i++)
        send_line(i);
}

/* Five jobs, two a page. */
static void list(const struct srq_message *m)
{
    const cJSON *at = cJSON_GetObjectItemCaseSensitive(m->params, "offset");
    int from = cJSON_IsNumber(at) ? (int)at->valuedouble : 0, to = from + 2 < 5 ? from + 2 : 5;
    cJSON *r = cJSON_CreateObject(), *jobs = cJSON_AddArrayToObject(r, "jobs"), *counts;
    static const char *const states[] = { "queued", "starting", "running", "paused", "done", "failed", "canceled" };
    static const char *const nulls[] = { "name",    "reason",       "position",    "started",      "ended",
                                         "stage",   "done",         "total",       "unit",         "rate",
                                         "eta_s",   "before_bytes", "after_bytes", "average_bits", "memory_bytes",
                                         "threads", "pid" };
    static const char *const texts[] = { "owner", "model", "method", "scheme", "output" };
    static const char *const numbers[] = { "uid", "priority", "submitted", "restarts" };
    char id[20], *text;

    for (int i = from; i < to; i++) {
        cJSON *j = cJSON_CreateObject();

        snprintf(id, sizeof(id), "j%d", i);
        cJSON_AddStringToObject(j, "job", id);
        cJSON_AddStringToObject(j, "state", "queued");
        for (size_t k = 0; k < sizeof(nulls) / sizeof(nulls[0]); k++)
            cJSON_AddNullToObject(j, nulls[k]);
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
            cJSON_AddStringToObject(j, texts[k], "x");
        for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
            cJSON_AddNumberToObject(j, numbers[k], 1);
        cJSON_AddItemToArray(jobs, j);
    }
    cJSON_AddNumberToObject(r, "total", 5);
    if (to < 5)
        cJSON_AddNumberToObject(r, "next_offset", to);
    else
        cJSON_AddNullToObject(r, "next_offset");
    counts = cJSON_AddObjectToObject(r, "counts");
    for (size_t k = 0; k < sizeof(states) / sizeof(states[0]); k++)
        cJSON_AddNumberToObject(counts, states[k], 0);
    text = cJSON_PrintUnformatted(r);
    answer(m->id, text);
    cJSON_free(text);
    cJSON_Delete(r);
}

static void refuse(const char *id)
{
    struct srq_error err = { 0 };
    char *line;

    srq_fail_field(&err, SRQ_ENOENT, "job", "no job z");
    line = srq_proto_failure(id, &err);
    bufferevent_write(d.bev, line, strlen(line));
    srq_free(line);
}

static void take(const struct srq_message *m)
{
    char hello[300];

    if (strcmp(m->method, "hello") == 0) {
        snprintf(
            hello, sizeof(hello),
            "{\"major\":%d,\"minor\":%d,\"server\":\"srqd\",\"version\":\"1\",\"pid\":1,\"mode\":\"user\",\"uid\":0,"
            "\"admin\":true}",
            d.major, d.minor);
        answer(m->id, hello);
    } else if (d.silent) {
        return;
    } else if (strcmp(m->method, "events.subscribe") == 0) {
        subscribe(m);
    } else if (strcmp(m->method, "job.list") == 0) {
        list(m);
    } else if (strcmp(m->method, "events.unsubscribe") == 0) {
        answer(m->id, "{}");
    } else {
        refuse(m->id);
    }
}

static void on_request(struct bufferevent *bev, void *ctx)
{
    char data[4096];
    const char *line;
    size_t len, n;

    (void)ctx;
    while ((n = bufferevent_read(bev, data, sizeof(data))) > 0)
        assert_int_equal(srq_frames_feed(&d.frames, data, n, NULL), 0);
    while (bev == d.bev && (line = srq_frames_next(&d.frames, &len)) != NULL) {
        struct srq_message m;

        assert_int_equal(srq_proto_read(line, len, &m, NULL), 0);
        take(&m);
        srq_message_fini(&m);
    }
}

static void on_connection(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *ctx)
{
    (void)l;
    (void)sa;
    (void)len;
    (void)ctx;
    hang_up();
    d.connections++;
    d.bev = bufferevent_socket_new(d.base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(d.bev, on_request, NULL, NULL, NULL);
    bufferevent_enable(d.bev, EV_READ | EV_WRITE);
}

static void daemon_comes(void)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };

    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", d.path);
    unlink(d.path);
    d.listener = evconnlistener_new_bind(d.base, on_connection, NULL, LEV_OPT_CLOSE_ON_FREE, 8, (struct sockaddr *)&sa,
                                         sizeof(sa));
    assert_non_null(d.listener);
}

static void daemon_goes(void)
{
    hang_up();
    if (d.listener != NULL)
        evconnlistener_free(d.listener);
    d.listener = NULL;
    unlink(d.path);
}

/* ---- the client's side ------------------------------------------------------------------------------------------- */

static void on_state(void *ctx, enum srq_async_state state, const struct srq_error *why, double retry_s)
{
    (void)ctx;
    if (state == SRQ_ASYNC_UP) {
        c.ups++;
        return;
    }
    if (c.losses < 20) {
        c.retry_s[c.losses] = retry_s;
    }
    c.losses++;
    c.why = *why;
}

static void on_event(void *ctx, const char *event, const cJSON *params)
{
    (void)ctx;
    assert_string_equal(event, "log");
    if (c.events < 500)
        c.seqs[c.events++] = (int)cJSON_GetObjectItemCaseSensitive(params, "seq")->valuedouble;
}

static void on_done(void *ctx, const cJSON *result, const struct srq_error *err)
{
    (void)ctx;
    c.done = true;
    cJSON_Delete(c.result);
    c.result = result != NULL ? cJSON_Duplicate(result, true) : NULL;
    if (err != NULL)
        c.err = *err;
}

static bool is_up(void)
{
    return c.ups > 0;
}

static bool is_done(void)
{
    return c.done;
}

static bool all_lines(void)
{
    return c.events >= JOURNAL;
}

static void stop_waiting(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    event_base_loopbreak(ctx);
}

/* Runs the loop until `ready`, ten seconds at most. */
static bool wait_for(bool (*ready)(void), double most_s)
{
    double until = srq_clock_s() + most_s;
    const struct timeval look = { .tv_usec = 5000 };

    while ((ready == NULL || !ready()) && srq_clock_s() < until) {
        event_base_once(d.base, -1, EV_TIMEOUT, stop_waiting, d.base, &look);
        event_base_dispatch(d.base);
    }
    return ready == NULL || ready();
}

static int setup(void **state)
{
    struct srq_async_options o = { .socket = d.path,
                                   .name = "test",
                                   .pause_first_s = 0.02,
                                   .pause_most_s = 0.1,
                                   .state = on_state,
                                   .event = on_event };
    struct srq_error err;

    (void)state;
    memset(&d, 0, sizeof(d));
    memset(&c, 0, sizeof(c));
    d.major = SRQ_PROTO_MAJOR;
    d.minor = SRQ_PROTO_MINOR;
    d.base = event_base_new();
    snprintf(d.path, sizeof(d.path), "/tmp/srq-test-async.%ld", (long)getpid());
    srq_frames_init(&d.frames);
    return srq_async_create(d.base, &o, &c.a, &err);
}

static int teardown(void **state)
{
    (void)state;
    srq_async_free(c.a);
    daemon_goes();
    srq_frames_fini(&d.frames);
    event_base_free(d.base);
    cJSON_Delete(c.result);
    return 0;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void pages_are_joined(void **state)
{
    const cJSON *jobs;

    (void)state;
    daemon_comes();
    assert_true(wait_for(is_up, 10));
    assert_true(srq_async_up(c.a) && srq_async_hello(c.a) != NULL);
    srq_async_call(c.a, "job.list", NULL, 5, on_done, NULL);
    assert_true(wait_for(is_done, 10));
    jobs = cJSON_GetObjectItemCaseSensitive(c.result, "jobs");
    assert_int_equal(cJSON_GetArraySize(jobs), 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(jobs, i), "job")->valuestring[1], '0' + i);
}

static void refusals_keep_code_field_and_sentence(void **state)
{
    cJSON *p = cJSON_CreateObject();

    (void)state;
    daemon_comes();
    assert_true(wait_for(is_up, 10));
    cJSON_AddStringToObject(p, "job", "z");
    srq_async_call(c.a, "job.get", p, 5, on_done, NULL);
    assert_true(wait_for(is_done, 10));
    assert_null(c.result);
    assert_int_equal(c.err.code, SRQ_ENOENT);
    assert_string_equal(c.err.field, "job");
    assert_string_equal(c.err.text, "no job z");
}

static void wrong_parameters_are_refused_before_they_are_sent(void **state)
{
    (void)state;
    daemon_comes();
    assert_true(wait_for(is_up, 10));
    srq_async_call(c.a, "job.get", NULL, 5, on_done, NULL);
    assert_true(c.done && c.result == NULL && c.err.code == SRQ_EINVAL);
}

static void an_answer_that_does_not_come_is_an_error_in_time(void **state)
{
    double begin;

    (void)state;
    d.silent = true;
    daemon_comes();
    assert_true(wait_for(is_up, 10));
    begin = srq_clock_s();
    srq_async_call(c.a, "job.list", NULL, 0.1, on_done, NULL);
    assert_true(wait_for(is_done, 10));
    assert_int_equal(c.err.code, SRQ_ETIMEOUT);
    assert_true(srq_clock_s() - begin >= 0.09);
    assert_true(srq_async_up(c.a)); /* slow is not lost */
}

static void who_waits_when_the_connection_is_lost_is_told(void **state)
{
    (void)state;
    d.silent = true;
    daemon_comes();
    assert_true(wait_for(is_up, 10));
    srq_async_call(c.a, "job.list", NULL, 0, on_done, NULL);
    wait_for(NULL, 0.05);
    daemon_goes();
    assert_true(wait_for(is_done, 10));
    assert_int_equal(c.err.code, SRQ_EIO);
    srq_async_call(c.a, "job.list", NULL, 0, on_done, NULL); /* and at once when there is none */
    assert_int_equal(c.err.code, SRQ_EIO);
}

static void a_forgotten_call_is_not_answered(void **state)
{
    int ours;

    (void)state;
    daemon_comes();
    assert_true(wait_for(is_up, 10));
    srq_async_call(c.a, "job.list", NULL, 5, on_done, &ours);
    srq_async_forget(c.a, &ours);
    wait_for(NULL, 0.1);
    assert_false(c.done);
}

static void assert_whole_journal(void)
{
    assert_int_equal(c.events, JOURNAL);
    for (int i = 0; i < JOURNAL; i++)
        assert_int_equal(c.seqs[i], i + 1);
}

static void a_replay_that_breaks_off_goes_on_where_it_was(void **state)
{
    (void)state;
    d.drop_after = 20;
    daemon_comes();
    assert_ok(srq_async_subscribe(c.a, "a", NULL, 0, &c.err), &c.err); /* before there is a connection */
    assert_true(wait_for(all_lines, 10));
    wait_for(NULL, 0.1);
    assert_whole_journal();
    assert_int_equal(d.subscriptions, 2);
    assert_true(d.since[0] == 0 && d.since[1] == 20);
    assert_int_equal(srq_async_seen(c.a, "a"), JOURNAL);
    assert_int_equal(c.ups, 2);
}

static void lines_sent_twice_are_handed_on_once(void **state)
{
    (void)state;
    d.double_from = 10;
    daemon_comes();
    assert_ok(srq_async_subscribe(c.a, "a", NULL, 0, &c.err), &c.err);
    assert_true(wait_for(all_lines, 10));
    wait_for(NULL, 0.1);
    assert_whole_journal();
}

static void a_daemon_that_comes_back_is_found_and_subscribed_to_again(void **state)
{
    (void)state;
    daemon_comes();
    assert_ok(srq_async_subscribe(c.a, "a", NULL, 0, &c.err), &c.err);
    assert_ok(srq_async_subscribe(c.a, NULL, "job.state stage.progress", 0, &c.err), &c.err);
    assert_true(wait_for(all_lines, 10));
    assert_string_equal(d.names, "job.state stage.progress ");
    d.names[0] = '\0';
    daemon_goes();
    wait_for(NULL, 0.2);
    assert_true(c.losses > 1);
    assert_false(srq_async_up(c.a));
    assert_non_null(strstr(c.why.text, d.path));
    daemon_comes();
    c.ups = 0;
    assert_true(wait_for(is_up, 10));
    wait_for(NULL, 0.1);
    assert_whole_journal();
    assert_true(d.since[d.subscriptions - 1] == JOURNAL);
    assert_string_equal(d.names, "job.state stage.progress ");
}

static bool lost_five_times(void)
{
    return c.losses >= 5;
}

static void pauses_grow_to_the_longest(void **state)
{
    (void)state;
    assert_true(wait_for(lost_five_times, 10));
    assert_true(c.retry_s[0] == 0.02 && c.retry_s[1] == 0.04 && c.retry_s[2] == 0.08 && c.retry_s[3] == 0.1);
    assert_true(c.retry_s[4] == 0.1);
    assert_int_equal(c.why.code, SRQ_ENOENT);
}

static void another_major_is_refused_with_both(void **state)
{
    (void)state;
    d.major = SRQ_PROTO_MAJOR + 1;
    daemon_comes();
    wait_for(NULL, 0.3);
    assert_int_equal(c.ups, 0);
    assert_true(c.losses > 0);
    assert_int_equal(c.why.code, SRQ_EPROTO);
    assert_string_equal(c.why.field, "major");
}

static void an_unsubscribed_job_is_silent(void **state)
{
    (void)state;
    daemon_comes();
    assert_ok(srq_async_subscribe(c.a, "a", NULL, 0, &c.err), &c.err);
    assert_true(wait_for(all_lines, 10));
    srq_async_unsubscribe(c.a, "a");
    send_line(JOURNAL + 1);
    wait_for(NULL, 0.1);
    assert_int_equal(c.events, JOURNAL);
    assert_int_equal(srq_async_seen(c.a, "a"), -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(pages_are_joined),
        TEST(refusals_keep_code_field_and_sentence),
        TEST(wrong_parameters_are_refused_before_they_are_sent),
        TEST(an_answer_that_does_not_come_is_an_error_in_time),
        TEST(who_waits_when_the_connection_is_lost_is_told),
        TEST(a_forgotten_call_is_not_answered),
        TEST(a_replay_that_breaks_off_goes_on_where_it_was),
        TEST(lines_sent_twice_are_handed_on_once),
        TEST(a_daemon_that_comes_back_is_found_and_subscribed_to_again),
        TEST(pauses_grow_to_the_longest),
        TEST(another_major_is_refused_with_both),
        TEST(an_unsubscribed_job_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
