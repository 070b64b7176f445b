/* Progress in words: what a terminal's line and a pipe's lines say about the same events. */
#include "tests/unit/test.h"

#include "tui/srqctl/progress.h"
#include "tui/srqctl/table.h"

#include <math.h>

static void event(struct ctl_progress *p, const char *name, const char *json, double now, bool live,
                  struct srq_buf *lines)
{
    cJSON *e = cJSON_Parse(json);

    assert_non_null(e);
    ctl_progress_event(p, name, e, now, live, lines);
    cJSON_Delete(e);
}

/* A job in the middle of its third block. */
static void run_to_the_middle(struct ctl_progress *p, bool live, struct srq_buf *lines)
{
    ctl_progress_init(p);
    event(p, "job.state", "{\"time\":1000,\"state\":\"running\",\"reason\":null}", 0, live, lines);
    event(p, "stage.progress",
          "{\"time\":1001,\"stage\":\"quantize\",\"done\":2,\"total\":30,\"unit\":\"blocks\",\"elapsed_s\":20,"
          "\"rate\":0.08,\"eta_s\":350,\"detail\":\"model.layers.2\"}",
          10, live, lines);
    event(p, "block.begin", "{\"block\":2,\"name\":\"model.layers.2\",\"layers\":[],\"iters\":200}", 10, live, lines);
    event(p, "tune.probe", "{\"block\":2,\"iter\":0,\"loss\":0.0123456,\"best\":0.0123456}", 11, live, lines);
    event(p, "tune.point", "{\"block\":2,\"iter\":120,\"loss\":0.005,\"lr\":0.001}", 12, live, lines);
    event(p, "tune.probe", "{\"block\":2,\"iter\":120,\"loss\":0.005,\"best\":0.00456}", 12, live, lines);
}

static void line_says_stage_block_iteration_losses_and_time(void **state)
{
    struct ctl_progress p;
    struct srq_buf lines, line;

    (void)state;
    srq_buf_init(&lines, 4096);
    srq_buf_init(&line, 4096);
    run_to_the_middle(&p, true, &lines);
    ctl_progress_line(&p, 20, 1060, 200, &line);
    assert_string_equal(line.data, "quantize  block 3/30  iteration 120/200  loss 0.0123 -> 0.00456  5m40s left  "
                                   "12.5s each  1m00s so far  model.layers.2");
    assert_string_equal(lines.data, "running\n"); /* the line shows the rest */
    srq_buf_fini(&lines);
    srq_buf_fini(&line);
}

static void progress_within_a_stage_keeps_the_block_and_another_stage_ends_it(void **state)
{
    struct ctl_progress p;
    struct srq_buf lines, line;

    (void)state;
    srq_buf_init(&lines, 4096);
    srq_buf_init(&line, 4096);
    run_to_the_middle(&p, true, &lines);
    event(&p, "stage.progress",
          "{\"stage\":\"quantize\",\"done\":2,\"total\":30,\"unit\":\"blocks\",\"elapsed_s\":25,\"rate\":2.5,"
          "\"eta_s\":340,\"detail\":null}",
          20, true, &lines);
    ctl_progress_line(&p, 20, 1060, 200, &line);
    assert_string_equal(line.data, "quantize  block 3/30  iteration 120/200  loss 0.0123 -> 0.00456  5m40s left  "
                                   "2.50/s  1m00s so far");
    srq_buf_clear(&line);
    event(&p, "stage.progress",
          "{\"stage\":\"export\",\"done\":0,\"total\":1,\"unit\":\"formats\",\"elapsed_s\":0,\"rate\":null,"
          "\"eta_s\":null,\"detail\":null}",
          21, true, &lines);
    ctl_progress_line(&p, 21, 1061, 200, &line);
    assert_string_equal(line.data, "export  0/1 formats  1m01s so far");
    srq_buf_fini(&lines);
    srq_buf_fini(&line);
}

static void line_never_exceeds_the_width_and_keeps_the_stage(void **state)
{
    struct ctl_progress p;
    struct srq_buf lines, line;

    (void)state;
    srq_buf_init(&lines, 4096);
    run_to_the_middle(&p, true, &lines);
    for (int width = 0; width < 130; width++) {
        srq_buf_init(&line, 4096);
        ctl_progress_line(&p, 20, 1060, width, &line);
        if (line.len > 0)
            assert_true(ctl_text_width(line.data) <= width);
        if (width >= 8)
            assert_int_equal(strncmp(line.data, "quantize", 8), 0);
        srq_buf_fini(&line);
    }
    srq_buf_fini(&lines);
}

static void pipe_gets_one_line_for_stage_block_state_and_result(void **state)
{
    struct ctl_progress p;
    struct srq_buf lines;

    (void)state;
    srq_buf_init(&lines, 4096);
    run_to_the_middle(&p, false, &lines);
    event(&p, "block.end",
          "{\"block\":2,\"name\":\"model.layers.2\",\"loss_first\":0.0123,\"loss_best\":0.00456,"
          "\"best_iteration\":150,\"elapsed_s\":12.4}",
          13, false, &lines);
    event(&p, "eval.result", "{\"which\":\"after\",\"perplexity\":28.01,\"kl\":0.0301,\"top1\":0.889,\"tokens\":16384}",
          14, false, &lines);
    event(&p, "log", "{\"level\":\"warning\",\"text\":\"odd \\u001b[2J\"}", 14, false, &lines);
    event(&p, "log", "{\"level\":\"debug\",\"text\":\"noise\"}", 14, false, &lines);
    assert_string_equal(lines.data, "running\n"
                                    "quantize 2/30 blocks, 12.5s each, 5m50s left\n"
                                    "block 3 model.layers.2: loss 0.0123 -> 0.00456 at iteration 150, 12.4s\n"
                                    "tuned model: perplexity 28.0, KL 0.0301, top-1 88.9 % on 16384 tokens\n"
                                    "warning: odd \\x1b[2J\n");
    srq_buf_fini(&lines);
}

static void pipe_lines_of_one_stage_are_throttled(void **state)
{
    struct ctl_progress p;
    struct srq_buf lines;
    int count = 0;

    (void)state;
    srq_buf_init(&lines, 1 << 16);
    ctl_progress_init(&p);
    for (int i = 0; i < 1000; i++) /* 25 seconds, 40 events in each */
        event(&p, "stage.progress",
              "{\"stage\":\"evaluate\",\"done\":1,\"total\":null,\"unit\":\"windows\",\"elapsed_s\":1,\"rate\":null,"
              "\"eta_s\":null}",
              i / 40.0, false, &lines);
    for (const char *c = lines.data; *c != '\0'; c++)
        count += *c == '\n';
    assert_int_equal(count, 3); /* at 0, 10 and 20 s */
    assert_int_equal(strncmp(lines.data, "evaluate 1 windows\n", 19), 0);
    srq_buf_fini(&lines);
}

static void waiting_job_says_why(void **state)
{
    struct ctl_progress p;
    struct srq_buf lines, line;

    (void)state;
    srq_buf_init(&lines, 4096);
    srq_buf_init(&line, 4096);
    ctl_progress_init(&p);
    event(&p, "job.state", "{\"state\":\"queued\",\"reason\":\"2 jobs before it\"}", 0, true, &lines);
    event(&p, "job.state", "{\"state\":\"queued\",\"reason\":\"2 jobs before it\"}", 1, true, &lines);
    ctl_progress_line(&p, 5, 5, 80, &line);
    assert_string_equal(line.data, "queued: 2 jobs before it");
    assert_string_equal(lines.data, "queued: 2 jobs before it\n"); /* the same news once */
    srq_buf_fini(&lines);
    srq_buf_fini(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_says_stage_block_iteration_losses_and_time),
        cmocka_unit_test(progress_within_a_stage_keeps_the_block_and_another_stage_ends_it),
        cmocka_unit_test(line_never_exceeds_the_width_and_keeps_the_stage),
        cmocka_unit_test(pipe_gets_one_line_for_stage_block_state_and_result),
        cmocka_unit_test(pipe_lines_of_one_stage_are_throttled),
        cmocka_unit_test(waiting_job_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
