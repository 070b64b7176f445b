/* Whole jobs on the demo model, in this process: events against the message table, the order to finish, accepted
 * drift, changes from another thread. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/estimate.h"
#include "core/job/job.h"
#include "core/job/needs.h"
#include "core/job/resolve.h"
#include "core/proto/proto.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static char dir[64], share[512];

static int set_up(void **state)
{
    const char *build = getenv("top_builddir"), *src = getenv("top_srcdir");
    char plugins[1024];

    (void)state;
    snprintf(plugins, sizeof(plugins), "%s/plugins/rtn/.libs:%s/plugins/signround/.libs", build != NULL ? build : ".",
             build != NULL ? build : ".");
    if (getenv("SRQ_PLUGIN_PATH") == NULL)
        setenv("SRQ_PLUGIN_PATH", plugins, 1);
    snprintf(share, sizeof(share), "%s/share", src != NULL ? src : ".");
    snprintf(dir, sizeof(dir), "/tmp/srq-job-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return srq_remove_tree(dir, NULL);
}

/* Runs a small job; its output is DIR/NAME, its directory DIR/NAME.job. */
static int run_controlled(const char *name, const char *method, const char *more, struct srq_job_flags *flags,
                          const struct srq_job_control *control, enum srq_job_state *end, struct srq_error *err)
{
    char *job = srq_asprintf("%s/%s.job", dir, name);
    char *spec = srq_asprintf(""
                              "{\"model\":\"%s/models/demo-lm\",\"method\":\"%s\",\"scheme\":\"w4g64\",\"output\":\"%s/"
                              "%s\",\"formats\":[\"fake\"],\"calib\":[\"%s/text/demo-calib.txt\"]%s}",
                              share, method, dir, name, share, more);
    struct srq_job_request req = {
        .dir = job, .spec = spec, .spec_len = strlen(spec), .flags = flags, .control = control
    };
    char *ckpt = srq_path_join(job, "ckpt");
    int rc = srq_mkdirs(ckpt, 0755, err);

    if (rc == 0)
        rc = srq_job_run(&req, end, err);
    srq_free(ckpt);
    srq_free(job);
    srq_free(spec);
    return rc;
}

static int run(const char *name, const char *method, const char *more, struct srq_job_flags *flags,
               enum srq_job_state *end, struct srq_error *err)
{
    return run_controlled(name, method, more, flags, NULL, end, err);
}

#define SMALL                                                                                       \
    "\"nsamples\":2,\"seqlen\":16,\"batch\":1,\"threads\":1,\"probe_every\":2,\"probe_samples\":1," \
    "\"checkpoint_s\":0,\"eval.windows\":1,\"eval.seqlen\":16"

struct seen {
    int lines, checkpoints, ends, points, results;
    char last_state[32];
};

static int check_line(void *ctx, const struct srq_journal_line *line)
{
    struct seen *seen = ctx;
    struct srq_error err = { 0 };
    const struct srq_event *event = srq_proto_event(line->event);
    cJSON *params = cJSON_Duplicate(line->data, true);

    if (event == NULL)
        fail_msg("there is no event %s", line->event);
    cJSON_AddStringToObject(params, "job", "j");
    cJSON_AddNumberToObject(params, "seq", (double)line->seq);
    cJSON_AddNumberToObject(params, "time", line->time);
    if (srq_proto_check_event(event, params, &err) != 0)
        fail_msg("%s does not fit the table: %s", line->event, err.text);
    if (strcmp(line->event, "job.state") == 0)
        snprintf(seen->last_state, sizeof(seen->last_state), "%s",
                 cJSON_GetObjectItemCaseSensitive(line->data, "state")->valuestring);
    cJSON_Delete(params);
    seen->lines++;
    seen->checkpoints += strcmp(line->event, "checkpoint") == 0;
    seen->ends += strcmp(line->event, "block.end") == 0;
    seen->points += strcmp(line->event, "tune.point") == 0;
    seen->results += strcmp(line->event, "eval.result") == 0;
    return 0;
}

static struct seen read_journal(const char *name)
{
    char *path = srq_asprintf("%s/%s.job/journal.ndjson", dir, name);
    struct srq_error err = { 0 };
    struct srq_journal *j = NULL;
    struct seen seen = { 0 };
    uint64_t cut, offset = 0;

    assert_ok(srq_journal_open(path, &j, &cut, &err), &err);
    assert_ok(srq_journal_read(j, &offset, check_line, &seen, &err), &err);
    srq_journal_close(j);
    srq_free(path);
    return seen;
}

static void every_event_of_a_job_fits_the_message_table(void **state)
{
    struct srq_job_flags flags = { 0 };
    struct srq_error err = { 0 };
    enum srq_job_state end;
    struct seen seen;
    char *more =
        srq_asprintf(",\"eval\":[\"%s/text/demo-eval.txt\"],\"options\":{" SMALL ",\"signround.iters\":4}", share);

    (void)state;
    assert_ok(run("events", "signround", more, &flags, &end, &err), &err);
    assert_int_equal(end, SRQ_JOB_DONE);
    seen = read_journal("events");
    assert_int_equal(seen.ends, 6);
    assert_int_equal(seen.points, 24);
    assert_int_equal(seen.results, 3);
    assert_true(seen.checkpoints >= 6);
    assert_string_equal(seen.last_state, "done");
    srq_free(more);
}

static void assert_same_weights(const char *a, const char *b)
{
    char *pa = srq_asprintf("%s/%s/model.safetensors", dir, a), *pb = srq_asprintf("%s/%s/model.safetensors", dir, b);
    struct srq_error err = { 0 };
    char *da, *db;
    size_t na, nb;

    assert_ok(srq_read_file(pa, 1 << 28, &da, &na, &err), &err);
    assert_ok(srq_read_file(pb, 1 << 28, &db, &nb, &err), &err);
    assert_int_equal(na, nb);
    assert_memory_equal(da, db, na);
    srq_free(pa);
    srq_free(pb);
    srq_free(da);
    srq_free(db);
}

static void finishing_at_once_gives_plain_rounding(void **state)
{
    struct srq_job_flags flags = { 0 }, none = { 0 };
    struct srq_error err = { 0 };
    enum srq_job_state end;

    (void)state;
    atomic_store(&flags.finish, true);
    assert_ok(run("finished", "signround", ",\"options\":{" SMALL ",\"signround.iters\":1000}", &flags, &end, &err),
              &err);
    assert_int_equal(end, SRQ_JOB_DONE);
    assert_ok(run("plain", "rtn", ",\"options\":{\"threads\":1}", &none, &end, &err), &err);
    assert_same_weights("finished", "plain");
}

static double error_of_rounding(const char *name, const char *more)
{
    struct srq_job_flags flags = { 0 };
    struct srq_error err = { 0 };
    enum srq_job_state end;
    char *path = srq_asprintf("%s/%s/report.json", dir, name), *text;
    size_t len;
    cJSON *report;
    double kl;

    assert_ok(run(name, "rtn", more, &flags, &end, &err), &err);
    assert_int_equal(end, SRQ_JOB_DONE);
    assert_ok(srq_read_file(path, 1 << 20, &text, &len, &err), &err);
    report = cJSON_ParseWithLength(text, len);
    kl = cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(report, "eval"), "after"), "kl")->valuedouble;
    cJSON_Delete(report);
    srq_free(text);
    srq_free(path);
    return kl;
}

/* At 2 bits, by text of the model's own. */
static void rounding_with_scales_searched_by_calibration_text_is_closer_to_the_original(void **state)
{
    static const char *const opts[] = { "off", "on" };
    double kl[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        char *more = srq_asprintf(",\"eval\":[\"%s/text/demo-eval.txt\"],\"layers\":[{\"pattern\":\"*\","
                                  "\"scheme\":\"w2g64\"}],\"options\":{\"nsamples\":4,\"seqlen\":64,\"batch\":2,"
                                  "\"threads\":1,\"eval.windows\":2,\"eval.seqlen\":64,\"rtn.opt\":\"%s\"}",
                                  share, opts[i]);

        kl[i] = error_of_rounding(opts[i], more);
        srq_free(more);
    }
    if (!(kl[1] < 0.9 * kl[0]))
        fail_msg("KL divergence %g with searched scales, %g without", kl[1], kl[0]);
}

static void canceling_ends_for_good(void **state)
{
    struct srq_job_flags flags = { 0 }, none = { 0 };
    struct srq_error err = { 0 };
    enum srq_job_state end;

    (void)state;
    atomic_store(&flags.cancel, true);
    assert_ok(run("canceled", "rtn", "", &flags, &end, &err), &err);
    assert_int_equal(end, SRQ_JOB_CANCELED);
    assert_string_equal(read_journal("canceled").last_state, "canceled");
    assert_ok(run("canceled", "rtn", "", &none, &end, &err), &err);
    assert_int_equal(end, SRQ_JOB_CANCELED);
}

static void another_job_may_not_use_the_directory(void **state)
{
    struct srq_job_flags flags = { 0 };
    struct srq_error err = { 0 };
    enum srq_job_state end;

    (void)state;
    atomic_store(&flags.pause, true);
    assert_ok(run("mine", "rtn", "", &flags, &end, &err), &err);
    assert_int_equal(end, SRQ_JOB_PAUSED);
    atomic_store(&flags.pause, false);
    assert_refused(run("mine", "rtn", ",\"priority\":5", &flags, &end, &err), -SRQ_EEXIST, &err, "another job");
    assert_ok(run("mine", "rtn", "", &flags, &end, &err), &err);
    assert_int_equal(end, SRQ_JOB_DONE);
}

/* ---- changes while it runs --------------------------------------------------------------------------------------- */

struct changer {
    pthread_t thread;
    srq_job_change_fn change;
    void *run;
    atomic_bool stop;
    int taken;
    struct srq_error refused; /* the first one */
};

/* One layer after the other, then all of them back: some while the texts are read, some while blocks are tuned. */
static void *change_on(void *ctx)
{
    struct changer *c = ctx;

    for (int i = 0; i < 24 && !atomic_load(&c->stop); i++) {
        char *text =
            srq_asprintf("{\"op\":\"pin\",\"by\":\"t\",\"pins\":[{\"pattern\":\"model.layers.%d.mlp.down_proj\","
                         "\"scheme\":\"w%dg64\"}]}",
                         i % 6, i / 6 % 2 == 0 ? 8 : 3);
        cJSON *params = cJSON_Parse(text), *reply = NULL;
        struct srq_error err = { 0 };

        if (c->change(c->run, params, &reply, &err) == 0)
            c->taken++;
        else if (c->refused.code == 0)
            c->refused = err;
        cJSON_Delete(params);
        cJSON_Delete(reply);
        srq_free(text);
        usleep(10000);
    }
    return NULL;
}

static int no_start(void *ctx, struct srq_journal *j, struct srq_error *err)
{
    (void)ctx;
    (void)j;
    (void)err;
    return 0;
}

static void begin_changing(void *ctx, srq_job_change_fn change, void *job)
{
    struct changer *c = ctx;

    c->change = change;
    c->run = job;
    assert_int_equal(pthread_create(&c->thread, NULL, change_on, c), 0);
}

static void end_changing(void *ctx)
{
    struct changer *c = ctx;

    atomic_store(&c->stop, true);
    if (c->change != NULL)
        pthread_join(c->thread, NULL);
}

static void the_plan_may_be_changed_from_another_thread_all_the_while(void **state)
{
    struct changer c = { .taken = 0 };
    const struct srq_job_control control = { &c, no_start, begin_changing, end_changing };
    struct srq_job_flags flags = { 0 };
    struct srq_error err = { 0 };
    enum srq_job_state end;

    (void)state;
    assert_ok(run_controlled("changed", "signround", ",\"options\":{" SMALL ",\"signround.iters\":6}", &flags, &control,
                             &end, &err),
              &err);
    assert_int_equal(end, SRQ_JOB_DONE);
    assert_true(c.taken > 0);
    if (c.refused.code != 0 && strstr(c.refused.text, "can no longer be changed") == NULL)
        fail_msg("a change is refused: %s", c.refused.text);
    assert_string_equal(read_journal("changed").last_state, "done");
}

static double estimate(const char *method, const char *more)
{
    char *spec = srq_asprintf("{\"model\":\"%s/models/demo-lm\",\"method\":\"%s\",\"scheme\":\"w4g64\","
                              "\"output\":\"%s/guess\",\"calib\":[\"%s/text/demo-calib.txt\"]%s}",
                              share, method, dir, share, more);
    struct srq_error err = { 0 };
    struct srq_resolved r;
    double s;

    assert_ok(srq_resolve_text(spec, strlen(spec), 0, &r, &err), &err);
    s = srq_estimate_s(&r);
    srq_resolved_fini(&r);
    srq_free(spec);
    return s;
}

/* Far enough apart for the noise of its probes. */
static void the_time_expected_grows_with_the_work(void **state)
{
    char *eval = srq_asprintf(",\"eval\":[\"%s/text/demo-eval.txt\"],\"options\":{\"threads\":1}", share);
    double plain = estimate("rtn", ""),
           few = estimate("signround", ",\"options\":{\"threads\":1,\"signround.iters\":10}"),
           many = estimate("signround", ",\"options\":{\"threads\":1,\"signround.iters\":1000}"),
           measured = estimate("rtn", eval);

    (void)state;
    assert_true(plain > 0 && plain < few && few < many && plain < measured);
    srq_free(eval);
}

static void a_plan_is_exceeded_above_three_percent_and_two_mebibytes(void **state)
{
    const uint64_t mib = 1 << 20;

    (void)state;
    assert_true(srq_needs_over(100 * mib, 0) == 0 && srq_needs_over(100 * mib, 105 * mib - 200) == 0);
    assert_true(srq_needs_over(100 * mib, 105 * mib + 1) == 5 * mib + 1);
    assert_true(srq_needs_over(0, 2 * mib) == 0 && srq_needs_over(0, 3 * mib) == 3 * mib);
}

/* ---- the time left ----------------------------------------------------------------------------------------------- */

static void note_left(void *ctx, int64_t seq, double time, const char *event, const cJSON *data)
{
    (void)seq;
    (void)time;
    if (strcmp(event, "stage.progress") == 0)
        *(double *)ctx = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(data, "left_s"));
}

/* At the beginning of a stage nothing is measured yet: what is left is what was expected of it and of all after it. */
static void the_time_left_is_that_of_the_stages_to_come(void **state)
{
    static const double expected[SRQ_WAY_LENGTH] = {
        [SRQ_WAY_LOAD] = 1,      [SRQ_WAY_SCORE] = 2,   [SRQ_WAY_ORIGINAL] = 4, [SRQ_WAY_ROUNDED] = 8,
        [SRQ_WAY_QUANTIZE] = 32, [SRQ_WAY_REFINE] = 64, [SRQ_WAY_RESULT] = 128, [SRQ_WAY_EXPORT] = 256,
    };
    static const struct {
        enum srq_stage stage;
        double left;
    } way[] = {
        { SRQ_STAGE_LOAD, 495 },
        { SRQ_STAGE_CALIBRATE, 494 },
        { SRQ_STAGE_EVALUATE, 492 },
        { SRQ_STAGE_EVALUATE, 488 },
        { SRQ_STAGE_QUANTIZE, 480 },
        { SRQ_STAGE_REFINE, 448 },
        /* the plan changed */ { SRQ_STAGE_QUANTIZE, 480 },
        { SRQ_STAGE_REFINE, 448 },
        { SRQ_STAGE_EVALUATE, 384 },
        { SRQ_STAGE_EXPORT, 256 },
    };
    double unknown[SRQ_WAY_LENGTH], left = -1;
    uint64_t cut;
    char *path = srq_asprintf("%s/left", dir);
    struct srq_job_flags flags = { 0 };
    struct srq_journal *journal;
    struct srq_events e;
    struct srq_error err;

    (void)state;
    assert_ok(srq_journal_open(path, &journal, &cut, &err), &err);
    srq_journal_watch_set(journal, note_left, &left);
    srq_events_init(&e, journal, &flags);
    srq_event_expect(&e, expected);
    for (size_t i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
        srq_event_stage(&e, way[i].stage, 0, 10, "pieces");
        assert_true(left == way[i].left);
    }
    memcpy(unknown, expected, sizeof(unknown));
    unknown[SRQ_WAY_TRANSFORM] = NAN;
    srq_events_init(&e, journal, &flags);
    srq_event_expect(&e, unknown);
    srq_event_stage(&e, SRQ_STAGE_LOAD, 0, 10, "pieces");
    assert_true(isnan(left)); /* until that stage is over */
    srq_event_stage(&e, SRQ_STAGE_QUANTIZE, 0, 10, "pieces");
    assert_true(left == 480);
    srq_journal_close(journal);
    srq_free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_left_is_that_of_the_stages_to_come),
        cmocka_unit_test(every_event_of_a_job_fits_the_message_table),
        cmocka_unit_test(finishing_at_once_gives_plain_rounding),
        cmocka_unit_test(rounding_with_scales_searched_by_calibration_text_is_closer_to_the_original),
        cmocka_unit_test(canceling_ends_for_good),
        cmocka_unit_test(the_plan_may_be_changed_from_another_thread_all_the_while),
        cmocka_unit_test(another_job_may_not_use_the_directory),
        cmocka_unit_test(the_time_expected_grows_with_the_work),
        cmocka_unit_test(a_plan_is_exceeded_above_three_percent_and_two_mebibytes),
    };

    return cmocka_run_group_tests_name("job", tests, set_up, tear_down);
}
