/* Edits and the command line of srqtop: what they would send, checked against the table of messages. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/proto/proto.h"
#include "tui/srqtop/command.h"
#include "tui/srqtop/feed.h"
#include "tui/srqtop/options.h"
#include "tui/srqtop/undo.h"

static struct top_model model;
static struct top_view view;
static struct top_job *job;

static const char *const list =
    "{\"jobs\":[{\"job\":\"7f3a90c1\",\"name\":\"one\",\"uid\":7,\"state\":\"running\",\"scheme\":\"w4g128\"},"
    "{\"job\":\"7f3b0000\",\"name\":null,\"uid\":7,\"state\":\"queued\",\"scheme\":\"w8\"}]}";
static const char *const plan =
    ""
    "{\"revision\":5,\"layers\":[{\"name\":\"m.0.q_proj\",\"block\":0,\"module\":\"q_proj\",\"out\":4,\"in\":4,"
    "\"scheme\":\"w4g128\",\"source\":\"default\"},{\"name\":\"m.0.k_proj\",\"block\":0,\"module\":\"k_proj\",\"out\":"
    "4,\"in\":4,\"scheme\":\"w4g128\",\"source\":\"default\"},{\"name\":\"m.1.q_proj\",\"block\":1,\"module\":\"q_"
    "proj\",\"out\":4,\"in\":4,\"scheme\":\"q4_k\",\"source\":\"default\"}]}";

static int setup(void **state)
{
    cJSON *l = cJSON_Parse(list), *p = cJSON_Parse(plan);

    (void)state;
    top_model_init(&model);
    memset(&view, 0, sizeof(view));
    model.uid = 7;
    top_feed_list(&model, l);
    job = top_model_job(&model, "7f3a90c1");
    job->opened = true;
    top_feed_plan(&model, job, p);
    snprintf(view.job, sizeof(view.job), "7f3a90c1");
    view.panel = TOP_PANEL_JOB;
    cJSON_Delete(l);
    cJSON_Delete(p);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    top_model_fini(&model);
    return 0;
}

/* Compares with JSON text in which ' stands for ". */
static void assert_json(const cJSON *json, const char *want)
{
    char text[600];
    cJSON *wanted;
    char *got = cJSON_PrintUnformatted(json);

    snprintf(text, sizeof(text), "%s", want);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    wanted = cJSON_Parse(text);
    assert_non_null(wanted);
    if (!cJSON_Compare(json, wanted, true))
        fail_msg("%s is not %s", got, text);
    cJSON_free(got);
    cJSON_Delete(wanted);
}

static void edit(const char *layer, const char *scheme)
{
    struct top_layer *l = top_job_layer(job, layer);

    assert_non_null(l);
    snprintf(l->edit, sizeof(l->edit), "%s", scheme);
}

/* ---- edits ------------------------------------------------------------------------------------------------------- */

static void other_bits_keep_the_group_and_take_the_tied_layers_along(void **state)
{
    struct top_layer *q = top_job_layer(job, "m.0.q_proj"), *k = top_job_layer(job, "m.0.k_proj"),
                     *other = top_job_layer(job, "m.1.q_proj");

    (void)state;
    q->tie = srq_strdup("qk");
    k->tie = srq_strdup("qk");
    other->tie = srq_strdup("qk"); /* of another block: it does not follow */
    assert_true(top_edit_bits(job, q, 3));
    assert_string_equal(q->edit, "w3g128");
    assert_string_equal(k->edit, "w3g128");
    assert_string_equal(other->edit, "");
    assert_true(top_edit_bits(job, other, 8)); /* no integers: the group is the job's */
    assert_string_equal(other->edit, "w8g128");
    assert_true(top_edit_bits(job, k, 16));
    assert_string_equal(q->edit, "bf16");
    assert_true(top_edit_step(job, q, -1));
    assert_string_equal(q->edit, "w8g128");
    assert_true(top_edit_bits(job, q, 4)); /* what it has: no proposal */
    assert_string_equal(q->edit, "");
    assert_true(top_edit_step(job, q, -1));
    assert_string_equal(q->edit, "w3g128");
    assert_true(top_edit_step(job, q, -1));
    assert_false(top_edit_step(job, q, -1)); /* 2 is the least */
    assert_string_equal(q->edit, "w2g128");
    assert_false(top_edit_scheme(job, q, "a scheme that is longer than any scheme is"));
    assert_true(top_edit_scheme(job, q, ""));
    assert_int_equal(top_edits_count(job), 1);
    top_edits_drop(job);
    assert_int_equal(top_edits_count(job), 0);
}

static void edits_become_one_request_with_the_revision_seen(void **state)
{
    const struct top_edit_options plain = { 0 }, all = { .untied = true, .propagate = true, .after = true };
    struct srq_error err = { 0 };
    cJSON *p;

    (void)state;
    assert_null(top_edits_params(job, &plain, true)); /* nothing is edited */
    edit("m.0.q_proj", "w8g128");
    edit("m.1.q_proj", "w3g64");
    assert_int_equal(top_edits_count(job), 2);
    p = top_edits_params(job, &plain, true);
    assert_json(p, "{'job':'7f3a90c1','revision':5,'dry_run':true,'pins':[{'pattern':'m.0.q_proj','scheme':'w8g128'},"
                   "{'pattern':'m.1.q_proj','scheme':'w3g64'}]}");
    assert_ok(srq_proto_check_params(srq_proto_method("job.pin"), p, &err), &err);
    cJSON_Delete(p);
    top_edits_drop(job);
    edit("m.0.q_proj", "bf16");
    p = top_edits_params(job, &all, false);
    assert_json(p, "{'job':'7f3a90c1','revision':5,'running':'after','propagate':true,"
                   "'pins':[{'pattern':'m.0.q_proj','scheme':'bf16','untied':true}]}");
    assert_ok(srq_proto_check_params(srq_proto_method("job.pin"), p, &err), &err);
    cJSON_Delete(p);
}

/* Fused layers go along with an edit, unless it is committed untied or a pin took them out before. */
static void fused_layers_go_along_unless_untied(void **state)
{
    const struct top_edit_options plain = { 0 }, untied = { .untied = true };
    struct top_layer *q = top_job_layer(job, "m.0.q_proj"), *k = top_job_layer(job, "m.1.q_proj");
    int block = k->block;
    cJSON *p;

    (void)state;
    top_set_text((char **)(uintptr_t)&q->tie, "0");
    top_set_text((char **)(uintptr_t)&k->tie, "0");
    k->block = q->block;
    assert_true(top_edit_scheme(job, q, "w8g128"));
    assert_string_equal(k->edit, "w8g128");
    p = top_edits_params(job, &plain, true);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(p, "pins")), 2);
    cJSON_Delete(p);
    p = top_edits_params(job, &untied, true);
    assert_json(p, "{'job':'7f3a90c1','revision':5,'dry_run':true,'pins':[{'pattern':'m.0.q_proj','scheme':'w8g128',"
                   "'untied':true}]}");
    cJSON_Delete(p);
    top_edits_drop(job);
    k->untied = true;
    assert_true(top_edit_scheme(job, q, "w3g64"));
    assert_string_equal(k->edit, "");
    top_edits_drop(job);
    assert_true(top_edit_scheme(job, k, "w3g64"));
    assert_string_equal(q->edit, "");
    p = top_edits_params(job, &plain, true);
    assert_json(p, "{'job':'7f3a90c1','revision':5,'dry_run':true,'pins':[{'pattern':'m.1.q_proj','scheme':'w3g64',"
                   "'untied':true}]}");
    cJSON_Delete(p);
    top_edits_drop(job);
    k->block = block;
}

static void a_dry_run_becomes_a_preview(void **state)
{
    cJSON *r =
        cJSON_Parse("{\"job\":\"x\",\"revision\":5,\"applied\":false,\"matched\":2,\"changed\":2,\"changes\":[],"
                    "\"size\":{\"before_bytes\":900,\"after_bytes\":300,\"average_bits\":5.5},"
                    "\"size_now\":{\"before_bytes\":900,\"after_bytes\":200,\"average_bits\":4.25},"
                    "\"moved\":1,\"forecast\":{\"now\":0.5,\"then\":null},\"forecast_missing\":\"b was not scored as "
                    "w5\",\"options\":{\"lr\":null,\"hp_first\":null,\"hp_last\":2},\"restarts\":3,\"retunes\":[1,2],"
                    "\"cost_s\":12.5,\"warnings\":[\"a stays in 16 bits\",\"b too\"]}");
    struct srq_error err = { 0 };
    struct top_preview p = { 0 };

    (void)state;
    if (srq_proto_method("job.pin") != NULL)
        assert_ok(srq_proto_check_reply(srq_proto_method("job.pin"), r, &err), &err);
    top_preview_take(&p, r, NULL);
    assert_true(p.known && !p.waiting && p.refused == NULL);
    assert_int_equal(p.changed, 2);
    assert_int_equal(p.moved, 1);
    assert_string_equal(p.missing, "b was not scored as w5");
    assert_true(p.before_bytes.v == 200 && p.after_bytes.v == 300); /* of the exported weights: now, and then */
    assert_true(p.average_bits_now.v == 4.25 && p.average_bits.v == 5.5);
    assert_true(p.forecast_now.v == 0.5 && !p.forecast.known);
    assert_true(p.cost_s.v == 12.5);
    assert_int_equal(p.restarts, 3);
    assert_int_equal(p.retunes, 2);
    assert_int_equal(p.warning_count, 2);
    assert_string_equal(p.warnings[0], "a stays in 16 bits");
    assert_string_equal(p.warnings[1], "b too");
    srq_fail_field(&err, SRQ_EINVAL, "pins[0].scheme", "w99 is no scheme");
    top_preview_take(&p, NULL, &err);
    assert_string_equal(p.refused, "w99 is no scheme");
    assert_int_equal(p.changed, 0);
    top_preview_reset(&p);
    cJSON_Delete(r);
}

static void only_a_stale_revision_is_one(void **state)
{
    struct srq_error err = { 0 };

    (void)state;
    srq_fail_field(&err, -SRQ_ESTATE, "revision", "the plan has revision 6, not 5");
    assert_true(top_is_stale_revision(&err));
    srq_fail_field(&err, -SRQ_ESTATE, "job", "job x is done");
    assert_false(top_is_stale_revision(&err));
    srq_fail_field(&err, -SRQ_EINVAL, "revision", "x");
    assert_false(top_is_stale_revision(&err));
}

/* Edits at every hundredth of a second for ten seconds, answers after 0.05 s. */
static void previews_are_asked_for_five_times_a_second_at_most_and_the_newest_edit_wins(void **state)
{
    struct top_edit_clock c = { .last_s = -100 };
    int asked = 0, edits = 0, last_seen = 0;
    double answer = -1;

    (void)state;
    for (int i = 0; i <= 1200; i++) {
        double now = i * 0.01;

        if (i < 1000) {
            c.wanted = true;
            edits++;
        }
        if (answer >= 0 && now >= answer) {
            c.asked = false;
            answer = -1;
        }
        if (top_edit_due(&c, now) == 0) {
            c.wanted = false;
            c.asked = true;
            c.last_s = now;
            answer = now + 0.05;
            last_seen = edits;
            asked++;
        }
    }
    assert_in_range(asked, 40, 51);
    assert_int_equal(last_seen, 1000);
    assert_true(top_edit_due(&c, 100) < 0); /* nothing is wanted */
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

struct sent {
    const char *line, *method, *params;
};

static void commands_become_requests_of_the_table(void **state)
{
    static const struct sent rows[] = {
        { "pin m.*.q_proj w8", "job.pin",
          "{'job':'7f3a90c1','pins':[{'pattern':'m.*.q_proj','scheme':'w8'}],'revision':5}" },
        { "pin --untied 're:q_proj$' w3g64 --propagate --after", "job.pin",
          "{'job':'7f3a90c1','pins':[{'pattern':'re:q_proj$','scheme':'w3g64','untied':true}],'revision':5,"
          "'running':'after','propagate':true}" },
        { "unpin a b --dry-run", "job.unpin", "{'job':'7f3a90c1','patterns':['a','b'],'revision':5,'dry_run':true}" },
        { "budget 3.25 --release", "job.budget", "{'job':'7f3a90c1','bits':3.25,'release':true,'revision':5}" },
        { "budget none", "job.budget", "{'job':'7f3a90c1','bits':null,'revision':5}" },
        { "retune m.0.*", "job.retune", "{'job':'7f3a90c1','patterns':['m.0.*'],'revision':5}" },
        { "set lr=2e-5 hp_last=default", "job.set", "{'job':'7f3a90c1','options':{'lr':2e-5,'hp_last':null}}" },
        { "pause", "job.pause", "{'job':'7f3a90c1'}" },
        { "pause 7f3b", "job.pause", "{'job':'7f3b'}" },
        { "resume", "job.resume", "{'job':'7f3a90c1'}" },
        { "finish @last", "job.finish", "{'job':'@last'}" },
        { "cancel", "job.cancel", "{'job':'7f3a90c1'}" },
        { "delete 7f3b0000", "job.delete", "{'job':'7f3b0000'}" },
        { "priority -5", "job.priority", "{'job':'7f3a90c1','priority':-5}" },
        { "prio 7f3b 10", "job.priority", "{'job':'7f3b','priority':10}" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct top_command c;
        struct srq_error err = { 0 };
        const struct srq_method *m = srq_proto_method(rows[i].method);

        top_command_read(&model, &view, rows[i].line, &c);
        if (c.kind != TOP_CMD_REQUEST)
            fail_msg("\"%s\" gave kind %d: %s", rows[i].line, (int)c.kind, c.text);
        assert_string_equal(c.method, rows[i].method);
        assert_json(c.params, rows[i].params);
        assert_non_null(m);
        assert_ok(srq_proto_check_params(m, c.params, &err), &err);
        top_command_fini(&c);
    }
}

static void what_cannot_be_taken_back_is_asked_first(void **state)
{
    struct top_command c;

    (void)state;
    top_command_read(&model, &view, "cancel", &c);
    assert_true(c.confirm);
    assert_non_null(strstr(c.text, "cancel job 7f3a90c1 \"one\"?"));
    top_command_fini(&c);
    top_command_read(&model, &view, "delete", &c);
    assert_true(c.confirm && strstr(c.text, "output stays") != NULL);
    top_command_fini(&c);
    top_command_read(&model, &view, "pause", &c);
    assert_false(c.confirm);
    top_command_fini(&c);
    top_command_read(&model, &view, "can", &c); /* nor can it be meant by three letters */
    assert_int_equal(c.kind, TOP_CMD_REFUSED);
    top_command_fini(&c);
}

static void wrong_lines_are_refused_with_what_is_wrong(void **state)
{
    static const char *const rows[][2] = {
        { "frobnicate", "frobnicate" },
        { "pin m.0.q_proj", "usage: pin PATTERN SCHEME" },
        { "p", "more than one" },
        { "budget lots", "lots" },
        { "budget 0", "0" },
        { "budget nan", "nan" },
        { "priority 1001", "1001" },
        { "pause --untied", "--untied" },
        { "pin 'm w8", "quote" },
        { "open", "usage: open JOB" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct top_command c;

        top_command_read(&model, &view, rows[i][0], &c);
        if (c.kind != TOP_CMD_REFUSED || strstr(c.text, rows[i][1]) == NULL)
            fail_msg("\"%s\" gave %d: %s", rows[i][0], (int)c.kind, c.text);
        top_command_fini(&c);
    }
}

static void what_the_filter_hides_is_asked_about(void **state)
{
    static const struct {
        const char *line;
        int hidden; /* 0: nothing to ask */
    } rows[] = {
        { "pin m.0.q_proj w8", 0 },
        { "pin m.*.q_proj w8", 1 },
        { "pin re:^m w8", 2 },
        { "unpin m.1.q_proj", 1 },
        { "retune m.0.q_proj m.1.*", 1 },
        { "budget 4", 2 },
        { "budget 4 --dry-run", 0 },
        { "commit", 1 },
        { "pause", 0 },
        { "pin m.0.k_proj w8 --dry-run", 0 },
    };
    struct top_command c;

    (void)state;
    edit("m.1.q_proj", "w8");
    edit("m.0.q_proj", "w8");
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            char want[40];

            top_command_read(&model, &view, rows[i].line, &c);
            snprintf(want, sizeof(want), "reaches %d layer%s that", rows[i].hidden, rows[i].hidden == 1 ? "" : "s");
            if (c.confirm != (pass > 0 && rows[i].hidden > 0) || (c.confirm && strstr(c.text, want) == NULL))
                fail_msg("%s: %s", rows[i].line, c.confirm ? c.text : "not asked");
            top_command_fini(&c);
        }
        snprintf(view.filter[TOP_PANEL_JOB], sizeof(view.filter[0]), "m.0.q_proj");
    }
    job->layers[0].tie = srq_strdup("qk");
    job->layers[1].tie = srq_strdup("qk");
    top_command_read(&model, &view, "pin m.0.q_proj w8", &c); /* takes the fused one along */
    assert_true(c.confirm);
    top_command_fini(&c);
    top_command_read(&model, &view, "pin m.0.q_proj w8 --untied", &c);
    assert_false(c.confirm);
    top_command_fini(&c);
}

static void nothing_is_changed_when_readonly(void **state)
{
    static const char *const changing[] = { "pin a w8", "unpin a", "budget 3", "retune a",   "commit", "pause",
                                            "resume",   "finish",  "cancel",   "priority 1", "delete" };
    struct top_command c;

    (void)state;
    view.readonly = true;
    for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++) {
        top_command_read(&model, &view, changing[i], &c);
        assert_int_equal(c.kind, TOP_CMD_REFUSED);
        assert_non_null(strstr(c.text, "readonly"));
        top_command_fini(&c);
    }
    top_command_read(&model, &view, "open 7f3b", &c);
    assert_int_equal(c.kind, TOP_CMD_OPEN);
    assert_string_equal(c.job, "7f3b");
    top_command_fini(&c);
}

static void words_without_a_job_are_about_the_one_under_the_cursor_of_the_queue(void **state)
{
    struct top_command c;

    (void)state;
    view.panel = TOP_PANEL_QUEUE;
    top_command_read(&model, &view, "pause", &c);
    assert_json(c.params, "{'job':'7f3a90c1'}"); /* the first */
    top_command_fini(&c);
    snprintf(view.queue_id, sizeof(view.queue_id), "7f3b0000");
    top_command_read(&model, &view, "pause", &c);
    assert_json(c.params, "{'job':'7f3b0000'}");
    top_command_fini(&c);
    view.panel = TOP_PANEL_LOG;
    view.job[0] = '\0';
    top_command_read(&model, &view, "pause", &c);
    assert_int_equal(c.kind, TOP_CMD_REFUSED);
    assert_non_null(strstr(c.text, "no job is shown"));
    top_command_fini(&c);
}

static void short_words_and_panels(void **state)
{
    struct top_command c;

    (void)state;
    top_command_read(&model, &view, "q", &c);
    assert_int_equal(c.kind, TOP_CMD_QUIT);
    top_command_fini(&c);
    top_command_read(&model, &view, "  heat ", &c);
    assert_true(c.kind == TOP_CMD_PANEL && c.panel == TOP_PANEL_HEATMAP);
    top_command_fini(&c);
    top_command_read(&model, &view, "   ", &c);
    assert_int_equal(c.kind, TOP_CMD_NOTHING);
    top_command_fini(&c);
    top_command_read(&model, &view, "diff", &c);
    assert_true(c.kind == TOP_CMD_DIFF && c.job[0] == '\0');
    top_command_fini(&c);
}

/* ---- completion -------------------------------------------------------------------------------------------------- */

static bool complete(const char *line, char *hint)
{
    snprintf(view.line, sizeof(view.line), "%s", line);
    view.line_at = (int)strlen(line);
    return top_command_complete(&model, &view, hint, 400);
}

static void words_are_completed_as_far_as_they_are_clear(void **state)
{
    static const char *const rows[][3] = {
        { "pri", "priority ", "" },
        { "re", "re", "resume" },
        { "pause ", "pause 7f3", "7f3a90c1  7f3b0000" },
        { "pause 7f3a", "pause 7f3a90c1 ", "" },
        { "pin m.0", "pin m.0.", "m.0.q_proj  m.0.k_proj" },
        { "pin m.0.k", "pin m.0.k_proj ", "" },
        { "pin m.0.k_proj q", "pin m.0.k_proj q4_k ", "" }, /* a scheme that the plan uses */
        { "pin m.0.k_proj mxfp", "pin m.0.k_proj mxfp", "mxfp4  mxfp8" },
        { "budget 3 --rel", "budget 3 --release ", "" },
        { "unpin a b m.1", "unpin a b m.1.q_proj ", "" },
    };
    char hint[400];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool changed = complete(rows[i][0], hint);

        assert_string_equal(view.line, rows[i][1]);
        assert_int_equal(view.line_at, strlen(view.line));
        assert_int_equal(changed, strcmp(rows[i][0], rows[i][1]) != 0);
        if (strstr(hint, rows[i][2]) == NULL)
            fail_msg("\"%s\" hints \"%s\", not \"%s\"", rows[i][0], hint, rows[i][2]);
    }
    assert_false(complete("nonsense x", hint));
    assert_false(complete("pin zzz", hint));
}

static void the_rest_of_the_line_stays(void **state)
{
    char hint[400];

    (void)state;
    snprintf(view.line, sizeof(view.line), "pin m.1 w8");
    view.line_at = 7;
    assert_true(top_command_complete(&model, &view, hint, sizeof(hint)));
    assert_string_equal(view.line, "pin m.1.q_proj w8");
    assert_int_equal(view.line_at, 14);
}

/* ---- the program's own options ----------------------------------------------------------------------------------- */

static void options_are_read(void **state)
{
    char *argv[] = { (char[]){ "srqtop" },  (char[]){ "--job=@last" }, (char[]){ "-r" },     (char[]){ "--once" },
                     (char[]){ "--width" }, (char[]){ "120" },         (char[]){ "--user" }, NULL };
    struct top_options o;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(top_options_read(7, argv, &o, &err), &err);
    assert_string_equal(o.job, "@last");
    assert_true(o.readonly && o.once && o.user_only && o.width == 120 && o.height == 0 && !o.json);
}

static void wrong_options_are_refused_by_name(void **state)
{
    static const char *const rows[][3] = {
        { "--json", NULL, "--once" },
        { "--width", "3", "--once" },
        { "--frob", NULL, "--frob" },
        { "stray", NULL, "stray" },
        { "--theme", "none such", "none such" },
    };
    struct top_options o;
    struct srq_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *argv[] = { (char[]){ "srqtop" }, srq_strdup(rows[i][0]), srq_strdup(rows[i][1] != NULL ? rows[i][1] : ""),
                         NULL };

        assert_refused(top_options_read(rows[i][1] != NULL ? 3 : 2, argv, &o, &err), -SRQ_EINVAL, &err, rows[i][2]);
        srq_free(argv[1]);
        srq_free(argv[2]);
    }
}

static void characters_are_chosen_by_option_or_environment(void **state)
{
    static const struct {
        const char *option, *value, *env;
        bool utf8;
        enum glyph_set want;
    } rows[] = {
        { NULL, NULL, NULL, true, GLYPHS_BRAILLE },        { NULL, NULL, "block", true, GLYPHS_BLOCK },
        { "--glyphs", "block", NULL, true, GLYPHS_BLOCK }, { "--glyphs", "braille", "ascii", true, GLYPHS_BRAILLE },
        { "-a", NULL, "block", true, GLYPHS_ASCII },       { "--glyphs", "block", NULL, false, GLYPHS_ASCII },
        { NULL, NULL, "bricks", true, GLYPHS_BRAILLE }
    };
    struct srq_error err = { 0 };
    struct top_options o;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *argv[] = { (char[]){ "srqtop" }, srq_strdup(rows[i].option != NULL ? rows[i].option : ""),
                         srq_strdup(rows[i].value != NULL ? rows[i].value : ""), NULL };
        int argc = 1 + (rows[i].option != NULL) + (rows[i].value != NULL);

        assert_ok(top_options_read(argc, argv, &o, &err), &err);
        unsetenv("SRQTOP_GLYPHS");
        if (rows[i].env != NULL)
            setenv("SRQTOP_GLYPHS", rows[i].env, 1);
        assert_int_equal(top_options_glyphs(&o, rows[i].utf8), rows[i].want);
        srq_free(argv[1]);
        srq_free(argv[2]);
    }
    unsetenv("SRQTOP_GLYPHS");
}

/* Three revisions a row of the table: the history, and what u would go back to; NULL: the reason why not. */
static void undo_goes_back_behind_the_last_own_change_that_stands(void **state)
{
#define ROW(n, by, op, what) "{\"revision\":" n ",\"by\":" by ",\"op\":\"" op "\",\"what\":\"" what "\"},"
#define ME "\"ada (uid 7)\""
#define OTHER "\"bob (uid 17)\""
    static const struct {
        const char *rows;
        int64_t to;
        const char *why;
    } cases[] = {
        { "", 0, "no change of yours" },
        { ROW("1", ME, "pin", "a=w8"), 0, NULL },
        { ROW("1", ME, "pin", "a=w8") ROW("2", ME, "unpin", "a"), 1, NULL },
        { ROW("1", ME, "pin", "a=w8") ROW("2", ME, "unpin", "a") ROW("3", ME, "revert", "1"), 0, NULL },
        { ROW("1", ME, "pin", "a=w8") ROW("2", ME, "revert", "0"), 0, "no change of yours" },
        { ROW("1", ME, "pin", "a=w8") ROW("2", OTHER, "pin", "b=w8"), 0,
          "bob (uid 17) changed the plan after you "
          "(revision 2); :revert 0 takes both" },
        { ROW("1", OTHER, "pin", "a=w8") ROW("2", ME, "budget", "3"), 1, NULL },
        { ROW("1", ME, "pin", "a=w8") ROW("2", OTHER, "pin", "b=w8") ROW("3", OTHER, "revert", "1"), 0, NULL },
        { ROW("1", "null", "allocate", "") ROW("2", ME, "pin", "a=w8"), 1, NULL },
        { ROW("1", OTHER, "pin", "a=w8"), 0, "no change of yours" },
        { ROW("1", ME, "pin", "a=w8") ROW("2", ME, "retune", "*"), 0, NULL },
        { ROW("1", ME, "pin", "a=w8") ROW("2", OTHER, "retune", "*"), 0, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char json[900], why[400] = "";
        int64_t to = -1;
        cJSON *history;

        snprintf(json, sizeof(json), "{\"revisions\":[%s{\"revision\":0,\"op\":null}]}", cases[i].rows);
        history = cJSON_Parse(json);
        assert_non_null(history);
        if (top_undo_target(history, 7, &to, why, sizeof(why)) != (cases[i].why == NULL))
            fail_msg("case %zu: %s", i, why);
        if (cases[i].why == NULL)
            assert_int_equal(to, cases[i].to);
        else
            assert_non_null(strstr(why, cases[i].why));
        cJSON_Delete(history);
    }
}

static void what_is_under_way_is_said_and_what_changes_nothing_too(void **state)
{
    cJSON *pausing = cJSON_Parse("{\"job\":\"7f\",\"state\":\"running\",\"wish\":\"pausing\"}");
    cJSON *idle = cJSON_Parse("{\"job\":\"7f\",\"revision\":2,\"applied\":false,\"effect\":false,\"changed\":0,"
                              "\"warnings\":[\"there is no budget\"]}");
    struct top_command c = { .verb = "pause" };
    char text[300];

    (void)state;
    top_command_answer(&c, pausing, text, sizeof(text));
    assert_string_equal(text, "7f: pausing");
    c = (struct top_command){ .verb = "budget", .change = true };
    top_command_answer(&c, idle, text, sizeof(text));
    assert_string_equal(text, "nothing changes; plan revision 2; there is no budget");
    cJSON_Delete(pausing);
    cJSON_Delete(idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(other_bits_keep_the_group_and_take_the_tied_layers_along, setup, teardown),
        cmocka_unit_test_setup_teardown(edits_become_one_request_with_the_revision_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(fused_layers_go_along_unless_untied, setup, teardown),
        cmocka_unit_test(a_dry_run_becomes_a_preview),
        cmocka_unit_test(only_a_stale_revision_is_one),
        cmocka_unit_test(previews_are_asked_for_five_times_a_second_at_most_and_the_newest_edit_wins),
        cmocka_unit_test_setup_teardown(commands_become_requests_of_the_table, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_taken_back_is_asked_first, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_lines_are_refused_with_what_is_wrong, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_filter_hides_is_asked_about, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_changed_when_readonly, setup, teardown),
        cmocka_unit_test_setup_teardown(words_without_a_job_are_about_the_one_under_the_cursor_of_the_queue, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(short_words_and_panels, setup, teardown),
        cmocka_unit_test_setup_teardown(words_are_completed_as_far_as_they_are_clear, setup, teardown),
        cmocka_unit_test_setup_teardown(the_rest_of_the_line_stays, setup, teardown),
        cmocka_unit_test(undo_goes_back_behind_the_last_own_change_that_stands),
        cmocka_unit_test(what_is_under_way_is_said_and_what_changes_nothing_too),
        cmocka_unit_test(characters_are_chosen_by_option_or_environment),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(wrong_options_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
