/* Replies and events as srqtop takes them in: made-up journals, repeated, broken off and hostile ones. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "tui/srqtop/candidates.h"
#include "tui/srqtop/feed.h"
#include "tui/srqtop/json.h"

#include <math.h>

static cJSON *parse(const char *text)
{
    cJSON *json = cJSON_Parse(text);

    if (json == NULL)
        fail_msg("the test's own JSON is broken: %s", text);
    return json;
}

static void event(struct top_model *m, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Feeds an event; every ' in the text is a ". */
static void event(struct top_model *m, const char *name, const char *fmt, ...)
{
    char text[2000];
    va_list ap;
    cJSON *json;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    json = parse(text);
    top_feed_event(m, name, json);
    cJSON_Delete(json);
}

static const char *const list =
    "{\"jobs\":[{\"job\":\"b\",\"name\":null,\"owner\":\"ann\",\"uid\":7,\"state\":\"queued\",\"reason\":\"2 before "
    "it\","
    "\"priority\":0,\"position\":1,\"model\":\"/m\",\"method\":\"rtn\",\"scheme\":\"w4g128\",\"output\":\"/o\","
    "\"submitted\":2,\"restarts\":0},"
    "{\"job\":\"a\",\"name\":\"first\",\"owner\":\"bob\",\"uid\":8,\"state\":\"running\",\"reason\":null,\"priority\":-"
    "3,"
    "\"position\":null,\"model\":\"/m\",\"method\":\"signround\",\"scheme\":\"w4g128\",\"output\":\"/"
    "o\",\"submitted\":1,"
    "\"started\":1,\"stage\":\"quantize\",\"done\":1,\"total\":2,\"unit\":\"blocks\",\"before_bytes\":4000,"
    "\"after_bytes\":1000,\"average_bits\":4.25,\"restarts\":1}]}";

/* Two blocks of two layers, given out of order, and the head outside of them. */
static const char *const plan =
    ""
    "{\"revision\":3,\"layers\":[{\"name\":\"lm_head\",\"block\":null,\"module\":\"lm_head\",\"out\":8,\"in\":4,"
    "\"scheme\":\"bf16\",\"source\":\"default\"},{\"name\":\"m.1.up\",\"block\":1,\"module\":\"up\",\"out\":8,\"in\":4,"
    "\"scheme\":\"w4g128\",\"source\":\"default\"},{\"name\":\"m.0.q\",\"block\":0,\"module\":\"q\",\"out\":4,\"in\":4,"
    "\"scheme\":\"w4g128\",\"source\":\"default\",\"tie\":\"qk\"},{\"name\":\"m.0.k\",\"block\":0,\"module\":\"k\","
    "\"out\":4,\"in\":4,\"scheme\":\"w8\",\"source\":\"pin\",\"tie\":\"qk\"},{\"name\":\"m.1.down\",\"block\":1,"
    "\"module\":\"down\",\"out\":4,\"in\":8,\"scheme\":\"mxfp8\",\"source\":\"allocator\"}]}";

static void feed_list(struct top_model *m)
{
    cJSON *json = parse(list);

    top_feed_list(m, json);
    cJSON_Delete(json);
}

static struct top_job *feed_plan(struct top_model *m, const char *text)
{
    struct top_job *j = top_model_job(m, "a");
    cJSON *json = parse(text);

    assert_non_null(j);
    j->opened = true;
    top_feed_plan(m, j, json);
    cJSON_Delete(json);
    return j;
}

static struct top_job *opened(struct top_model *m)
{
    top_model_init(m);
    m->uid = 7;
    feed_list(m);
    return feed_plan(m, plan);
}

/* A run of block `b` from iteration `from`, a point each iteration and a probe every ten; seq counts on from `*seq`. */
static void run_block(struct top_model *m, int *seq, int b, int from, int to, double base)
{
    for (int i = from; i < to; i++) {
        event(m, "tune.point", "{'job':'a','seq':%d,'time':1,'block':%d,'iter':%d,'loss':%g,'lr':0.1}", ++*seq, b, i,
              base / (i + 1));
        if (i % 10 == 0)
            event(m, "tune.probe", "{'job':'a','seq':%d,'time':1,'block':%d,'iter':%d,'loss':%g,'best':%g}", ++*seq, b,
                  i, base / (i + 1), base / (i + 1));
    }
}

static void begin_block(struct top_model *m, int *seq, int b)
{
    event(m, "block.begin",
          "{'job':'a','seq':%d,'time':1,'block':%d,'name':'m.%d','layers':[],'iters':100,'state':'running'}", ++*seq, b,
          b);
}

static void end_block_as(struct top_model *m, int *seq, int b, const char *state)
{
    event(m, "block.end",
          "{'job':'a','seq':%d,'time':1,'block':%d,'name':'m.%d','loss_first':0.5,'loss_best':0.25,'best_iteration':90,"
          "'elapsed_s':3.5,'state':'%s'}",
          ++*seq, b, b, state);
}

static void end_block(struct top_model *m, int *seq, int b)
{
    end_block_as(m, seq, b, "finished");
}

/* ---- lists and plans --------------------------------------------------------------------------------------------- */

static void listed_jobs_keep_order_and_say_whose_they_are(void **state)
{
    struct top_model m;

    (void)state;
    top_model_init(&m);
    m.uid = 7;
    feed_list(&m);
    assert_int_equal(m.job_count, 2);
    assert_string_equal(m.jobs[0].id, "b");
    assert_true(m.jobs[0].own);
    assert_false(m.jobs[1].own);
    assert_int_equal(m.jobs[0].state, SRQ_JOB_QUEUED);
    assert_string_equal(m.jobs[0].reason, "2 before it");
    assert_false(m.jobs[0].started.known); /* missing is not known, not 0 */
    assert_true(m.jobs[1].average_bits.known && m.jobs[1].average_bits.v == 4.25);
    assert_int_equal(m.jobs[1].priority, -3);
    top_model_fini(&m);
}

static void a_new_list_keeps_what_opening_a_job_brought(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    begin_block(&m, &seq, 0);
    run_block(&m, &seq, 0, 0, 20, 1);
    snprintf(top_job_layer(j, "m.1.up")->edit, 32, "w8g128");
    feed_list(&m);
    j = top_model_job(&m, "a");
    assert_true(j->opened && j->plan_known);
    assert_int_equal(j->blocks[0].loss.count, 20);
    assert_string_equal(top_job_layer(j, "m.1.up")->edit, "w8g128");
    top_model_fini(&m);
}

static void plan_rows_become_blocks_with_their_layers_together(void **state)
{
    static const char *const order[] = { "m.0.q", "m.0.k", "m.1.up", "m.1.down", "lm_head" };
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    assert_int_equal(j->revision, 3);
    assert_int_equal(j->layer_count, 5);
    for (int i = 0; i < 5; i++)
        assert_string_equal(j->layers[i].name, order[i]);
    assert_int_equal(j->block_count, 2);
    assert_int_equal(j->blocks[1].first, 2);
    assert_int_equal(j->blocks[1].count, 2);
    assert_string_equal(j->blocks[1].name, "m.1");
    assert_int_equal(j->layers[4].block, -1);
    assert_true(j->layers[1].pin && j->layers[1].source == SRQ_BY_PIN);
    assert_string_equal(j->layers[0].tie, j->layers[1].tie);
    assert_true(j->layers[0].bits == 4 && j->layers[1].bits == 8 && j->layers[3].bits == 8 && j->layers[4].bits == 16);
    top_model_fini(&m);
}

static void a_plan_with_states_bits_and_scores_says_so(void **state)
{
    struct top_model m;
    struct top_job *j;

    (void)state;
    top_model_init(&m);
    feed_list(&m);
    j = feed_plan(&m,
                  "{\"revision\":9,\"budget\":{\"bits\":3.2,\"candidates\":[\"w2g64\",\"w4g64\"]},"
                  "\"size\":{\"before_bytes\":100,\"after_bytes\":40,\"average_bits\":3.1},\"layers\":["
                  "{\"name\":\"m.0.q\",\"block\":0,\"module\":\"q\",\"out\":4,\"in\":4,\"scheme\":\"w2g64\",\"source\":"
                  "\"allocator\",\"state\":\"stale\",\"bits\":2,\"score\":0.125,\"pin\":false}]}");
    assert_int_equal(j->blocks[0].state, SRQ_WORK_STALE);
    assert_int_equal(j->layers[0].state, SRQ_WORK_STALE);
    assert_true(j->layers[0].score.known && j->layers[0].score.v == 0.125);
    assert_true(j->budget_bits.known && j->budget_bits.v == 3.2);
    assert_string_equal(j->candidates, "w2g64, w4g64");
    assert_true(j->after_bytes.v == 40);
    top_model_fini(&m);
}

static void head_outside_the_blocks_is_told_of_as_one_more(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    event(&m, "block.begin",
          "{'job':'a','seq':1,'time':1,'block':2,'name':'lm_head','layers':['lm_head'],'iters':10,"
          "'state':'running'}");
    assert_int_equal(j->block_count, 3);
    assert_int_equal(j->blocks[2].first, 4);
    assert_int_equal(j->layers[4].state, SRQ_WORK_RUNNING);
    event(&m, "layer.error", "{'job':'a','seq':2,'time':1,'block':2,'layer':'lm_head','iter':0,'error':0.5}");
    assert_int_equal(j->layers[4].errors.count, 1);
    top_model_fini(&m);
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

static void curves_follow_a_block_from_begin_to_end(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    begin_block(&m, &seq, 0);
    assert_int_equal(j->blocks[0].state, SRQ_WORK_RUNNING);
    assert_int_equal(top_job_layer(j, "m.0.q")->state, SRQ_WORK_RUNNING);
    run_block(&m, &seq, 0, 0, 31, 1);
    event(&m, "layer.error", "{'job':'a','seq':%d,'time':1,'block':0,'layer':'m.0.q','iter':0,'error':0.5}", ++seq);
    event(&m, "layer.error", "{'job':'a','seq':%d,'time':1,'block':0,'layer':'m.0.q','iter':10,'error':0.1}", ++seq);
    event(&m, "layer.error", "{'job':'a','seq':%d,'time':1,'block':0,'layer':'m.0.q','iter':20,'error':0.2}", ++seq);
    assert_int_equal(j->blocks[0].loss.count, 31);
    assert_int_equal(j->blocks[0].probe.count, 4);
    assert_true(j->blocks[0].loss_first.v == 1 && fabs(j->blocks[0].loss_last.v - 1.0 / 31) < 1e-6);
    assert_true(j->blocks[0].best_iter.v == 30);
    assert_true(j->layers[0].error_first.v == 0.5 && j->layers[0].error_best.v == 0.1 &&
                j->layers[0].error_last.v == 0.2);
    assert_true(fabs(top_gain(j->layers[0].error_first, j->layers[0].error_best).v - 0.8) < 1e-12);
    end_block(&m, &seq, 0);
    assert_int_equal(j->blocks[0].state, SRQ_WORK_FINISHED);
    assert_true(j->blocks[0].loss_first.v == 0.5 && j->blocks[0].best_iter.v == 90 && j->blocks[0].elapsed_s.v == 3.5);
    assert_int_equal(j->blocks[1].state, SRQ_WORK_PENDING);
    assert_int_equal(j->last_seq, seq);
    top_model_fini(&m);
}

static void a_restart_begins_the_curve_anew(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    begin_block(&m, &seq, 0);
    run_block(&m, &seq, 0, 0, 60, 1);
    begin_block(&m, &seq, 0);                      /* without an end */
    assert_int_equal(j->blocks[0].loss.count, 60); /* the old curve stays until there is a new one */
    run_block(&m, &seq, 0, 0, 5, 2);
    assert_int_equal(j->blocks[0].loss.count, 5);
    assert_true(j->blocks[0].loss.points[0].value == 2);
    assert_true(j->blocks[0].loss_first.v == 2);
    top_model_fini(&m);
}

static void a_worker_that_resumes_goes_on_with_the_curve(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    begin_block(&m, &seq, 0);
    run_block(&m, &seq, 0, 0, 60, 1);
    begin_block(&m, &seq, 0);
    run_block(&m, &seq, 0, 40, 70, 1); /* from the checkpoint at 40 */
    assert_int_equal(j->blocks[0].loss.count, 70);
    for (int i = 0; i < 70; i++)
        assert_true(j->blocks[0].loss.points[i].iter == (float)i);
    assert_true(j->blocks[0].loss_first.v == 1);
    top_model_fini(&m);
}

static void events_that_come_twice_change_nothing(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0, again;
    cJSON *once, *twice;

    (void)state;
    begin_block(&m, &seq, 0);
    again = seq;
    run_block(&m, &seq, 0, 0, 60, 1);
    once = top_json(&m);
    run_block(&m, &again, 0, 30, 60, 1);
    twice = top_json(&m);
    assert_int_equal(j->blocks[0].loss.count, 60);
    /* the place of the running block is the only thing that an old point may move, and 60 came last both times */
    assert_true(cJSON_Compare(once, twice, true));
    cJSON_Delete(once);
    cJSON_Delete(twice);
    top_model_fini(&m);
}

static void a_sample_of_the_run_before_is_left_out(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    begin_block(&m, &seq, 0);
    run_block(&m, &seq, 0, 0, 10, 1);
    seq = 100;
    begin_block(&m, &seq, 0);
    event(&m, "tune.point", "{'job':'a','seq':50,'time':1,'block':0,'iter':9,'loss':7,'lr':1,'skipped':4}");
    assert_int_equal(j->blocks[0].loss.count, 10);
    assert_int_equal(j->skipped, 4);
    run_block(&m, &seq, 0, 0, 3, 1);
    assert_int_equal(j->blocks[0].loss.count, 3);
    top_model_fini(&m);
}

static void long_curves_are_thinned_evenly_and_keep_both_ends(void **state)
{
    struct top_series s = { 0 };
    float step;

    (void)state;
    for (int i = 0; i <= 100000; i++) {
        top_series_add(&s, i, i);
        assert_true(s.count <= TOP_POINTS && s.points[s.count - 1].iter == (float)i);
    }
    assert_true(s.count > TOP_POINTS / 2 - 2 && s.points[0].iter == 0);
    step = s.points[1].iter - s.points[0].iter;
    for (int i = 1; i + 1 < s.count; i++)
        assert_true(s.points[i].iter - s.points[i - 1].iter == step);
    assert_true(s.points[s.count - 1].iter - s.points[s.count - 2].iter <= step);
    top_series_fini(&s);
}

static void points_that_are_no_numbers_are_left_out(void **state)
{
    struct top_series s = { 0 };

    (void)state;
    top_series_add(&s, 0, (double)NAN);
    top_series_add(&s, (double)INFINITY, 1);
    top_series_add(&s, 1, 1e300); /* no float */
    assert_int_equal(s.count, 0);
    top_series_add(&s, 2, 3);
    top_series_add(&s, 2, 4); /* the same iteration */
    top_series_add(&s, 1, 4); /* an earlier one */
    assert_int_equal(s.count, 1);
    top_series_fini(&s);
}

/* ---- changes of the plan ----------------------------------------------------------------------------------------- */

static void a_change_makes_finished_blocks_stale_and_leaves_pending_ones(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    begin_block(&m, &seq, 0);
    end_block(&m, &seq, 0);
    snprintf(top_job_layer(j, "m.0.q")->edit, 32, "w3g128");
    event(&m, "plan.changed",
          "{'job':'a','seq':%d,'time':9,'revision':4,'by':'ann (uid 7)','op':'pin','changed':1,'retunes':[0],"
          "'restarts':null,'states':['stale','pending','finished','unheard "
          "of','stale'],'size':{'before_bytes':4000,'after_bytes':900,'average_bits':4.0},"
          "'changes':[{'layer':'m.0.q','old':'w4g128','new':'w3g128','source':'pin'},{'layer':'no.such','old':null,'"
          "new':'w8','source':'pin'}]}",
          ++seq);
    assert_int_equal(j->blocks[0].state, SRQ_WORK_STALE);
    assert_int_equal(j->layers[0].state, SRQ_WORK_STALE);
    assert_int_equal(j->blocks[1].state, SRQ_WORK_PENDING);
    assert_int_equal(j->revision, 4);
    assert_string_equal(j->layers[0].scheme, "w3g128");
    assert_true(j->layers[0].pin && j->layers[0].bits == 3);
    assert_string_equal(j->layers[0].edit, ""); /* it is what was asked for */
    assert_true(j->after_bytes.v == 900);
    assert_string_equal(j->changed_by, "ann (uid 7)");
    assert_non_null(strstr(j->change, "m.0.q w4g128 → w3g128"));
    assert_non_null(strstr(j->lines[j->line_count - 1].text, "revision 4"));
    assert_true(j->plan_stale);
    begin_block(&m, &seq, 0);
    end_block(&m, &seq, 0);
    assert_int_equal(j->blocks[0].state, SRQ_WORK_FINISHED);
    top_model_fini(&m);
}

static void a_change_that_the_plan_knows_of_is_not_applied_again(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    event(&m, "plan.changed",
          "{'job':'a','seq':1,'time':9,'revision':2,'by':'x','changes':[{'layer':'m.0.q','old':'w8','new':'w2g64','"
          "source':'pin'}]}");
    assert_int_equal(j->revision, 3);
    assert_string_equal(top_job_layer(j, "m.0.q")->scheme, "w4g128");
    assert_false(j->plan_stale);
    top_model_fini(&m);
}

static void blocks_are_as_the_events_say(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    begin_block(&m, &seq, 1);
    event(&m, "plan.changed",
          "{'job':'a','seq':%d,'time':9,'revision':4,'by':'x','changes':[],'retunes':[1],"
          "'states':['finished','running']}",
          ++seq);
    assert_int_equal(j->blocks[0].state, SRQ_WORK_FINISHED);
    assert_int_equal(j->blocks[1].state, SRQ_WORK_RUNNING);
    end_block_as(&m, &seq, 1, "stale");
    assert_int_equal(j->blocks[1].state, SRQ_WORK_STALE);
    top_model_fini(&m);
}

/* A journal of old: what was said last stays. */
static void events_that_say_no_state_leave_it(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    int seq = 0;

    (void)state;
    end_block_as(&m, &seq, 1, "stale");
    event(&m, "block.begin", "{'job':'a','seq':%d,'time':1,'block':1,'name':'m.1','layers':[],'iters':100}", ++seq);
    event(&m, "plan.changed", "{'job':'a','seq':%d,'time':9,'revision':4,'by':'x','changes':[],'retunes':[0]}", ++seq);
    assert_int_equal(j->blocks[0].state, SRQ_WORK_PENDING);
    assert_int_equal(j->blocks[1].state, SRQ_WORK_STALE);
    top_model_fini(&m);
}

static void a_new_plan_keeps_edits_tags_and_curves(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    struct top_layer *l = top_job_layer(j, "m.1.up");

    (void)state;
    event(&m, "layer.error", "{'job':'a','seq':1,'time':1,'block':1,'layer':'m.1.up','iter':0,'error':0.5}");
    snprintf(l->edit, sizeof(l->edit), "w2g64");
    l->tagged = true;
    j = feed_plan(&m, plan);
    l = top_job_layer(j, "m.1.up");
    assert_true(l->tagged && l->errors.count == 1 && l->error_first.v == 0.5);
    assert_string_equal(l->edit, "w2g64");
    top_model_fini(&m);
}

static void an_allocation_brings_its_front(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    event(&m, "plan.allocated",
          "{'job':'a','seq':1,'time':1,'target_bits':3.5,'average_bits':3.49,'loss':0.1,'bound':0.1,'gap':0,"
          "'candidates':['w2g64','w8'],'front':[{'average_bits':2.1,'loss':9},{'average_bits':null,'loss':3},{'average_"
          "bits':8,'loss':0.5}]}");
    assert_int_equal(j->front_count, 2);
    assert_true(j->front[1].average_bits == 8 && j->front[1].loss == 0.5);
    assert_string_equal(j->candidates, "w2g64, w8");
    assert_true(j->budget_bits.v == 3.5);
    top_model_fini(&m);
}

static void the_end_of_a_layer_brings_errors_and_saturation(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    const struct top_layer *l = top_job_layer(j, "m.1.down");

    (void)state;
    event(&m, "layer.done",
          "{'job':'a','seq':1,'time':1,'block':1,'layer':'m.1.down','scheme':'mxfp8','error_first':0.2,'error_best':0."
          "1,'saturation':0.03}");
    assert_true(l->error_first.v == 0.2 && l->error_best.v == 0.1 && l->saturation.v == 0.03);
    /* left alone now: nothing of what it was before is true of it */
    event(
        &m, "layer.done",
        "{'job':'a','seq':2,'time':1,'block':1,'layer':'m.1.down','scheme':'bf16','error_first':null,'error_best':null,"
        "'saturation':null}");
    assert_false(l->error_first.known || l->error_best.known || l->error_last.known || l->saturation.known);
    top_model_fini(&m);
}

/* ---- states, progress, log --------------------------------------------------------------------------------------- */

static void only_the_daemon_says_what_state_a_job_is_in(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    m.list_stale = false;
    event(&m, "job.state", "{'job':'a','seq':5,'time':1,'state':'failed','reason':'the worker thought so'}");
    assert_int_equal(j->state, SRQ_JOB_RUNNING);
    event(&m, "job.state", "{'job':'a','seq':null,'time':1,'state':'paused','reason':null}");
    assert_int_equal(j->state, SRQ_JOB_PAUSED);
    assert_true(m.list_stale);
    top_model_fini(&m);
}

static void an_unknown_job_means_that_the_list_is_old(void **state)
{
    struct top_model m;

    (void)state;
    opened(&m);
    m.list_stale = false;
    event(&m, "job.state", "{'job':'new','seq':null,'time':1,'state':'queued','reason':null}");
    assert_true(m.list_stale);
    assert_int_equal(m.job_count, 2);
    top_model_fini(&m);
}

static void progress_of_the_past_does_not_undo_the_present(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    event(&m, "stage.progress",
          "{'job':'a','seq':90,'time':90,'stage':'quantize','done':1.5,'total':2,'unit':'blocks','elapsed_s':1,'rate':"
          "null,'eta_s':4}");
    event(&m, "stage.progress",
          "{'job':'a','seq':2,'time':2,'stage':'load','done':1,'total':1,'unit':'files','elapsed_s':1,'rate':1,'eta_s':"
          "0}");
    assert_string_equal(j->stage, "quantize");
    assert_true(j->done.v == 1.5 && j->eta_s.v == 4 && !j->rate.known);
    top_model_fini(&m);
}

static void the_log_keeps_its_newest_lines(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    char last[40];

    (void)state;
    for (int i = 0; i < 3 * TOP_LINES; i++)
        event(&m, "log", "{'job':'a','seq':%d,'time':1,'level':'warning','text':'line %d'}", i + 1, i);
    assert_true(j->line_count <= TOP_LINES && j->line_count > TOP_LINES / 2);
    snprintf(last, sizeof(last), "line %d", 3 * TOP_LINES - 1);
    assert_string_equal(j->lines[j->line_count - 1].text, last);
    assert_int_equal(j->lines[0].level, 1);
    top_model_fini(&m);
}

static void text_cannot_move_the_terminal(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    event(&m, "log", "{'job':'a','seq':1,'time':1,'level':'info','text':'\\u001b[2J\\u009b2J\\u007f\\n'}");
    assert_string_equal(j->lines[0].text, "\\x1b[2J\\xc2\\x9b2J\\x7f\\x0a");
    top_model_fini(&m);
}

static void evaluations_are_kept_apart(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);

    (void)state;
    event(&m, "eval.result",
          "{'job':'a','seq':1,'time':1,'which':'before','perplexity':9.5,'kl':null,'top1':null,'tokens':5}");
    event(&m, "eval.result",
          "{'job':'a','seq':2,'time':1,'which':'after','perplexity':10.5,'kl':0.1,'top1':0.9,'tokens':5}");
    assert_true(j->before.perplexity.v == 9.5 && !j->before.kl.known && j->after.top1.v == 0.9 &&
                !j->rtn.perplexity.known);
    top_model_fini(&m);
}

static void training_of_scales_brings_curves_and_spreads(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    cJSON *json, *t;

    (void)state;
    event(&m, "transform.probe",
          "{'job':'a','seq':1,'time':1,'iter':0,'loss':4.5,'best':4.5,'spread_mean':0,'spread_max':0,'pairs':[]}");
    for (int i = 0; i < 10; i++)
        event(&m, "transform.point", "{'job':'a','seq':%d,'time':1,'iter':%d,'loss':%g,'lr':0.1}", 2 + i, i,
              5 - 0.1 * i);
    event(
        &m, "transform.probe",
        "{'job':'a','seq':12,'time':1,'iter':10,'loss':4.25,'best':4.25,'spread_mean':0.1,'spread_max':0.5,"
        "'pairs':[{'kind':'A','spread_mean':0.125,'spread_max':0.5},{'kind':'D','spread_mean':0.0625,'spread_max':0.1},"
        "{'kind':'Z','spread_mean':7,'spread_max':7}]}");
    event(&m, "transform.probe", /* of steps that were done twice */
          "{'job':'a','seq':13,'time':1,'iter':5,'loss':9,'best':9,'spread_mean':0.1,'spread_max':0.5}");
    assert_true(j->transform.loss_first.v == 4.5 && j->transform.loss_last.v == 4.25 &&
                j->transform.loss_best.v == 4.25);
    assert_true(j->transform.loss.count == 10 && j->transform.probe.count == 2 && j->transform.iter.v == 9);
    assert_true(j->transform.spread[0].v == 0.125 && j->transform.spread[3].v == 0.0625);
    assert_false(j->transform.spread[1].known || j->transform.spread[2].known || j->transform.spread[4].known);
    json = top_json(&m);
    t = cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "jobs"), 1), "transform");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(t, "loss")), 10);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(t, "loss_best")) == 4.25);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetObjectItem(t, "spread"), "A")) == 0.125);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetObjectItem(t, "spread"), "C")));
    cJSON_Delete(json);
    top_model_fini(&m);
}

/* ---- hostile input ----------------------------------------------------------------------------------------------- */

/* Two gray pictures of 2 x 1: 0, 255 and 255, 0. */
#define PICTURES(which, more)                                                                                          \
    "{'job':'a','seq':1,'time':1,'which':'" which "','count':2,'height':1,'width':2,'channels':1,'pixels':'AP//AA=='," \
    "'steps':4,'sample_steps':8,'hp_first':2,'hp_last':1," more "}"

static void pictures_and_errors_of_steps_are_kept(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    struct top_diffusion *d = &j->diffusion;
    cJSON *json, *t;

    (void)state;
    event(&m, "sample.pictures", PICTURES("full", "'train_step':0,'step_sqnr':null"));
    event(&m, "sample.pictures", PICTURES("quantized", "'train_step':0,'step_sqnr':[30,20,null,10]"));
    assert_memory_equal(d->of[SRQ_SAMPLED_FULL].pictures.bytes, "\x00\xff\xff\x00", 4);
    assert_true(d->sqnr.count == 3 && d->sqnr_first.count == 3 && d->sqnr.points[2].iter == 3);
    /* of 8 steps the first two and the last: of these 4 the first, which is step 0; the last one is step 6 */
    assert_true(d->sqnr_high.count == 1 && d->sqnr_high.points[0].iter == 0);
    event(&m, "sample.pictures", PICTURES("quantized", "'train_step':20,'step_sqnr':[31,21,11,12]"));
    assert_true(d->sqnr.count == 4 && d->sqnr_first.count == 3 && d->sqnr_first.points[0].value == 30);
    assert_true(d->of[SRQ_SAMPLED_QUANTIZED].pictures.train_step.v == 20);
    for (int i = 0; i < 3; i++)
        event(&m, "transform.point", "{'job':'a','seq':%d,'time':1,'iter':%d,'loss':3,'lr':0.1,'task':2,'kd':1}", 4 + i,
              i);
    assert_true(d->task.count == 3 && d->kd.count == 3 && d->task.points[0].value == 2);
    event(&m, "sample.result",
          "{'job':'a','seq':9,'time':1,'which':'mixed','fid':null,'pair_mse':0.5,'psnr':9,'ssim':1,"
          "'picture_step_s':0.25}");
    assert_true(d->of[SRQ_SAMPLED_MIXED].picture_step_s.v == 0.25 && !d->of[SRQ_SAMPLED_MIXED].fid.known);
    json = top_json(&m);
    t = cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "jobs"), 1), "diffusion");
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(
                            cJSON_GetObjectItem(cJSON_GetObjectItem(t, "full"), "pictures"), "pixels")),
                        "AP//AA==");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetObjectItem(t, "mixed"), "pictures")));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(t, "step_sqnr")), 4);
    cJSON_Delete(json);
    top_model_fini(&m);
}

static void pictures_that_lie_change_nothing(void **state)
{
    static const char *const lies[] = {
        "'count':3,'height':1,'width':2,'channels':1,'pixels':'AP//AA=='",
        "'count':2,'height':1,'width':2,'channels':2,'pixels':'AP//AP//AA=='",
        "'count':-2,'height':-1,'width':2,'channels':1,'pixels':'AP//AA=='",
        "'count':1e9,'height':1e9,'width':1e9,'channels':3,'pixels':'AP//AA=='",
        "'count':4294967298,'height':1,'width':2,'channels':1,'pixels':'AP//AA=='",
        "'count':2,'height':1,'width':2,'channels':1,'pixels':'AP//A==='",
        "'count':2,'height':1,'width':2,'channels':1,'pixels':'AP//AA'",
        "'count':2,'height':1,'width':2,'channels':1,'pixels':'A\\u0000//AA=='",
        "'count':2,'height':1,'width':2,'channels':1,'pixels':7",
        "'count':2,'height':1,'width':2,'channels':1",
        "'count':0,'height':0,'width':0,'channels':0,'pixels':''",
    };
    struct top_model m;
    struct top_job *j = opened(&m);
    const struct top_pictures *p = &j->diffusion.of[SRQ_SAMPLED_FULL].pictures;

    (void)state;
    event(&m, "sample.pictures", PICTURES("full", "'train_step':5,'step_sqnr':null"));
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        event(&m, "sample.pictures",
              "{'job':'a','seq':2,'time':1,'which':'full','train_step':7,'steps':4,'sample_steps':8,'hp_first':1,"
              "'hp_last':1,'step_sqnr':null,%s}",
              lies[i]);
        assert_true(p->count == 2 && p->train_step.v == 5);
        assert_memory_equal(p->bytes, "\x00\xff\xff\x00", 4);
    }
    event(&m, "sample.pictures", PICTURES("nobody", "'train_step':9,'step_sqnr':[1e999,-1e300,'x',[],null]"));
    event(&m, "sample.pictures", PICTURES("quantized", "'train_step':9,'step_sqnr':[1e999,-1e300,'x',[],null]"));
    assert_int_equal(j->diffusion.sqnr.count, 0);
    top_model_fini(&m);
}

static const char *const names[] = {
    "job.state",  "stage.progress",  "block.begin",     "tune.point",      "tune.probe",   "layer.error", "block.end",
    "layer.done", "layer.scored",    "plan.allocated",  "plan.changed",    "eval.result",  "checkpoint",  "log",
    "nonsense",   "transform.point", "transform.probe", "sample.pictures", "sample.result"
};
static const char *const members[] = {
    "job",       "seq",          "time",        "skipped",    "state",      "reason",  "stage",  "done",     "total",
    "unit",      "block",        "name",        "layers",     "iters",      "again",   "iter",   "loss",     "lr",
    "best",      "layer",        "error",       "loss_first", "revision",   "changes", "by",     "retunes",  "restarts",
    "size",      "front",        "candidates",  "which",      "perplexity", "level",   "text",   "scheme",   "score",
    "old",       "new",          "source",      "tie",        "bits",       "jobs",    "budget", "pin",      "uid",
    "pairs",     "kind",         "spread_mean", "pixels",     "count",      "height",  "width",  "channels", "steps",
    "step_sqnr", "sample_steps", "hp_first",    "hp_last",    "train_step", "task",    "kd"
};

static cJSON *odd_value(unsigned *seed, int depth)
{
    static const double numbers[] = {
        0, -1, 1, 0.5, 3, 1e308, -1e308, 9007199254740993.0, 2147483648.0, -2147483649.0, 19999, 20000, 1e-320
    };
    static const char *const texts[] = {
        "a",
        "",
        "m.0.q",
        "w4g128",
        "pending",
        "running",
        "load",
        "pin",
        "lm_head",
        "\x1b]0;x\x07",
        "longer than any scheme is and than most short lines can hold: 0123456789012345678901234567890123456789",
    };
    cJSON *o;

    switch (rand_r(seed) % (depth > 3 ? 4 : 7)) {
    case 0:
        return cJSON_CreateNull();
    case 1:
        return cJSON_CreateBool(rand_r(seed) % 2);
    case 2:
        return cJSON_CreateNumber(numbers[(size_t)rand_r(seed) % (sizeof(numbers) / sizeof(numbers[0]))]);
    case 3:
        return cJSON_CreateString(texts[(size_t)rand_r(seed) % (sizeof(texts) / sizeof(texts[0]))]);
    case 4:
        o = cJSON_CreateArray();
        for (int i = rand_r(seed) % 4; i > 0; i--)
            cJSON_AddItemToArray(o, odd_value(seed, depth + 1));
        return o;
    default:
        o = cJSON_CreateObject();
        for (int i = rand_r(seed) % 6; i > 0; i--)
            cJSON_AddItemToObject(o, members[(size_t)rand_r(seed) % (sizeof(members) / sizeof(members[0]))],
                                  odd_value(seed, depth + 1));
        return o;
    }
}

static void check_bounds(const struct top_job *j)
{
    assert_true(j->block_count <= TOP_BLOCKS && j->layer_count <= TOP_LAYERS);
    for (int i = 0; i < j->block_count; i++)
        assert_true(j->blocks[i].count == 0 ||
                    (j->blocks[i].first >= 0 && j->blocks[i].first + j->blocks[i].count <= j->layer_count));
    for (int i = 0; i < j->layer_count; i++) {
        assert_true(j->layers[i].block >= -1 && j->layers[i].block < j->block_count);
        assert_non_null(j->layers[i].name);
        assert_non_null(j->layers[i].module);
        assert_true(j->layers[i].state <= SRQ_WORK_STALE && j->layers[i].source <= SRQ_BY_PIN);
    }
}

static void odd_values_are_left_out(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    unsigned seed = 20261122;

    (void)state;
    print_message("seed %u\n", seed);
    for (int n = 0; n < 20000; n++) {
        cJSON *e = cJSON_CreateObject();

        if (rand_r(&seed) % 8 != 0)
            cJSON_AddStringToObject(e, "job", "a");
        for (int i = rand_r(&seed) % 12; i > 0; i--) {
            const char *name = members[1 + (size_t)rand_r(&seed) % (sizeof(members) / sizeof(members[0]) - 1)];

            if (cJSON_GetObjectItemCaseSensitive(e, name) == NULL)
                cJSON_AddItemToObject(e, name, odd_value(&seed, 0));
        }
        top_feed_event(&m, names[(size_t)rand_r(&seed) % (sizeof(names) / sizeof(names[0]))], e);
        if (n % 50 == 0)
            top_feed_plan(&m, j, e);
        if (n % 500 == 0) {
            top_feed_hello(&m, e);
            check_bounds(j);
            assert_ptr_equal(feed_plan(&m, plan), j);
        }
        cJSON_Delete(e);
    }
    check_bounds(j);
    top_model_fini(&m);
}

struct fuse {
    long left;
};

static bool burn(size_t size, void *ctx)
{
    struct fuse *f = ctx;

    (void)size;
    return f->left-- > 0;
}

static void every_failed_allocation_only_loses_news(void **state)
{
    cJSON *jobs = parse(list), *layers = parse(plan);
    cJSON *begin = parse("{\"job\":\"a\",\"seq\":1,\"time\":1,\"block\":7,\"name\":\"m.7\",\"layers\":[],\"iters\":5}");
    cJSON *point = parse("{\"job\":\"a\",\"seq\":2,\"time\":1,\"block\":7,\"iter\":0,\"loss\":1,\"lr\":1}");
    cJSON *line = parse("{\"job\":\"a\",\"seq\":3,\"time\":1,\"level\":\"info\",\"text\":\"x\"}");
    struct fuse f;

    (void)state;
    for (long n = 0; n < 200; n++) {
        struct top_model m;

        top_model_init(&m);
        f.left = n;
        srq_set_alloc_hook(burn, &f);
        top_feed_list(&m, jobs);
        for (int i = 0; i < m.job_count; i++) {
            m.jobs[i].opened = true;
            top_feed_plan(&m, &m.jobs[i], layers);
        }
        top_feed_event(&m, "block.begin", begin);
        top_feed_event(&m, "tune.point", point);
        top_feed_event(&m, "log", line);
        top_feed_list(&m, jobs);
        srq_set_alloc_hook(NULL, NULL);
        for (int i = 0; i < m.job_count; i++)
            check_bounds(&m.jobs[i]);
        top_model_fini(&m);
    }
    cJSON_Delete(jobs);
    cJSON_Delete(layers);
    cJSON_Delete(begin);
    cJSON_Delete(point);
    cJSON_Delete(line);
}

/* Scores of all candidates are kept; they are nats once it is known over how many batches they were added up. */
static void candidates_of_a_layer_have_size_and_loss(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    const struct top_layer *l = top_job_layer(j, "m.1.up");
    struct top_candidate c[TOP_CANDIDATES];
    cJSON *reply = parse("{\"spec\":{\"options\":{\"deltaloss.nsamples\":64,\"deltaloss.batch\":2}}}");
    int n;

    (void)state;
    assert_non_null(top_unscored_why(j));
    top_feed_spec(j, reply);
    cJSON_Delete(reply);
    assert_true(j->score_batches.v == 32);
    event(&m, "layer.scored", "{'job':'a','seq':1,'time':1,'block':1,'layer':'m.1.up','scheme':'w2g64','score':3.2}");
    event(&m, "layer.scored", "{'job':'a','seq':2,'time':1,'block':1,'layer':'m.1.up','scheme':'w8','score':0.032}");
    event(&m, "layer.scored", "{'job':'a','seq':3,'time':1,'block':1,'layer':'m.1.up','scheme':'w2g64','score':1.6}");
    assert_null(top_unscored_why(j));
    assert_int_equal(l->scored_count, 2);
    n = top_candidates(j, l, c, TOP_CANDIDATES);
    assert_true(n >= 3);
    for (int i = 1; i < n; i++)
        assert_true(c[i - 1].bits.v <= c[i].bits.v);
    assert_string_equal(c[n - 1].scheme, "bf16");
    assert_true(c[n - 1].loss.known && c[n - 1].loss.v == 0);
    for (int i = 0; i < n; i++) {
        if (strcmp(c[i].scheme, "w2g64") == 0)
            assert_true(fabs(c[i].loss.v - 0.05) < 1e-12 && fabs(c[i].perplexity.v - exp(0.05)) < 1e-12);
        assert_int_equal(c[i].now, strcmp(c[i].scheme, l->scheme) == 0);
    }
    top_model_fini(&m);
}

static void the_end_of_an_own_job_is_news_once(void **state)
{
    static const char done[] = "{'job':'%s','seq':null,'time':2,'state':'done','reason':null}";
    struct top_model m;

    (void)state;
    (void)opened(&m); /* "a" is of uid 8, "b" ours */
    event(&m, "job.state", done, "a");
    assert_null(m.ended);
    event(&m, "job.state", done, "b");
    assert_string_equal(m.ended, "b done");
    top_set_text(&m.ended, NULL);
    event(&m, "job.state", done, "b");
    assert_null(m.ended);
    top_model_fini(&m);
}

static void meters_tell_what_is_known_and_no_more(void **state)
{
    struct top_model m;
    cJSON *reply =
        parse("{\"jobs\":{\"queued\":3},\"limits\":{\"max_running\":4,\"max_threads\":null},"
              "\"in_use\":{\"running\":1,\"threads\":0,\"memory_bytes\":100},\"disk\":{\"free_bytes\":5e9}}");

    (void)state;
    top_model_init(&m);
    assert_false(m.meter.known);
    top_feed_info(&m, reply);
    assert_true(m.meter.known && m.meter.waiting.v == 3 && m.meter.running.v == 1 && m.meter.most_running.v == 4);
    assert_true(m.meter.threads.known && m.meter.threads.v == 0 && !m.meter.most_threads.known);
    assert_true(m.meter.disk_free_bytes.v == 5e9 && !m.meter.disk_total_bytes.known);
    cJSON_Delete(reply);
    top_model_fini(&m);
}

static void a_job_that_is_told_something_says_so_until_it_has_done_it(void **state)
{
    struct top_model m;
    struct top_job *j = opened(&m);
    cJSON *job = parse("{\"job\":\"a\",\"state\":\"running\",\"wish\":\"pausing\",\"uid\":7,\"stage\":\"quantize\","
                       "\"done\":1,\"total\":2}");

    (void)state;
    j = top_feed_job(&m, job);
    assert_string_equal(j->wish, "pausing");
    event(&m, "job.state", "{'job':'a','seq':null,'time':2,'state':'paused','reason':'paused on request'}");
    assert_null(j->wish);
    assert_string_equal(j->stage, "quantize"); /* its phases stay */
    cJSON_Delete(job);
    top_model_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_an_own_job_is_news_once),
        cmocka_unit_test(meters_tell_what_is_known_and_no_more),
        cmocka_unit_test(a_job_that_is_told_something_says_so_until_it_has_done_it),
        cmocka_unit_test(candidates_of_a_layer_have_size_and_loss),
        cmocka_unit_test(listed_jobs_keep_order_and_say_whose_they_are),
        cmocka_unit_test(a_new_list_keeps_what_opening_a_job_brought),
        cmocka_unit_test(plan_rows_become_blocks_with_their_layers_together),
        cmocka_unit_test(a_plan_with_states_bits_and_scores_says_so),
        cmocka_unit_test(head_outside_the_blocks_is_told_of_as_one_more),
        cmocka_unit_test(curves_follow_a_block_from_begin_to_end),
        cmocka_unit_test(a_restart_begins_the_curve_anew),
        cmocka_unit_test(a_worker_that_resumes_goes_on_with_the_curve),
        cmocka_unit_test(events_that_come_twice_change_nothing),
        cmocka_unit_test(a_sample_of_the_run_before_is_left_out),
        cmocka_unit_test(long_curves_are_thinned_evenly_and_keep_both_ends),
        cmocka_unit_test(points_that_are_no_numbers_are_left_out),
        cmocka_unit_test(a_change_makes_finished_blocks_stale_and_leaves_pending_ones),
        cmocka_unit_test(a_change_that_the_plan_knows_of_is_not_applied_again),
        cmocka_unit_test(blocks_are_as_the_events_say),
        cmocka_unit_test(events_that_say_no_state_leave_it),
        cmocka_unit_test(a_new_plan_keeps_edits_tags_and_curves),
        cmocka_unit_test(an_allocation_brings_its_front),
        cmocka_unit_test(the_end_of_a_layer_brings_errors_and_saturation),
        cmocka_unit_test(only_the_daemon_says_what_state_a_job_is_in),
        cmocka_unit_test(an_unknown_job_means_that_the_list_is_old),
        cmocka_unit_test(progress_of_the_past_does_not_undo_the_present),
        cmocka_unit_test(the_log_keeps_its_newest_lines),
        cmocka_unit_test(text_cannot_move_the_terminal),
        cmocka_unit_test(evaluations_are_kept_apart),
        cmocka_unit_test(training_of_scales_brings_curves_and_spreads),
        cmocka_unit_test(pictures_and_errors_of_steps_are_kept),
        cmocka_unit_test(pictures_that_lie_change_nothing),
        cmocka_unit_test(odd_values_are_left_out),
        cmocka_unit_test(every_failed_allocation_only_loses_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
