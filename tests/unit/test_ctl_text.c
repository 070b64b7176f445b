/* How srqctl writes numbers, tables, suggestions, summaries and what it reads of the machine. */
#include "tests/unit/test.h"

#include "core/base/nearest.h"
#include "tui/srqctl/change.h"
#include "tui/srqctl/csv.h"
#include "tui/srqctl/heatmap_text.h"
#include "tui/client/human.h"
#include "tui/srqctl/json_text.h"
#include "tui/srqctl/machine.h"
#include "tui/srqctl/summary.h"
#include "tui/srqctl/table.h"
#include "tui/srqctl/verb.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static void numbers_have_units_and_three_digits(void **state)
{
    const struct {
        char *(*human)(double, char *);
        double v;
        const char *want;
    } cases[] = {
        { ctl_human_bytes, 0, "0 B" },
        { ctl_human_bytes, 999, "999 B" },
        { ctl_human_bytes, 1000, "0.977 KiB" },
        { ctl_human_bytes, 1024, "1.00 KiB" },
        { ctl_human_bytes, 1.24 * (1 << 30), "1.24 GiB" },
        { ctl_human_bytes, 999.7 * 1024, "0.976 MiB" },
        { ctl_human_bytes, 102.35 * 1048576, "102 MiB" },
        { ctl_human_bytes, NAN, "-" },
        { ctl_human_seconds, 0, "0s" },
        { ctl_human_seconds, 0.3456, "0.346s" },
        { ctl_human_seconds, 9.996, "10.0s" },
        { ctl_human_seconds, 59.94, "59.9s" },
        { ctl_human_seconds, 59.96, "1m00s" },
        { ctl_human_seconds, 192, "3m12s" },
        { ctl_human_seconds, 3900, "1h05m" },
        { ctl_human_seconds, 183600, "2d03h" },
        { ctl_human_seconds, NAN, "-" },
        { ctl_human_number, 27.4449, "27.4" },
        { ctl_human_number, 0.012345, "0.0123" },
        { ctl_human_number, 0.0999999, "0.100" },
        { ctl_human_number, 0.00012345, "1.23e-04" },
        { ctl_human_number, 9.999, "10.0" },
        { ctl_human_number, 1234, "1234" },
        { ctl_human_number, -4.25, "-4.25" },
        { ctl_human_number, 0, "0" },
        { ctl_human_number, NAN, "-" },
        { ctl_human_percent, 0.4231, "42.3 %" },
        { ctl_human_percent, 1, "100 %" },
        { ctl_human_percent, NAN, "-" },
    };
    char out[CTL_HUMAN];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(cases[i].human(cases[i].v, out), cases[i].want);
}

static void table_columns_line_up_and_control_characters_do_not_pass(void **state)
{
    struct ctl_table *t = ctl_table_create("name|>n|last");
    struct srq_buf b;

    (void)state;
    srq_buf_init(&b, 4096);
    ctl_table_cell(t, "a\033[2J");
    ctl_table_cell(t, "5");
    ctl_table_cell(t, "x");
    ctl_table_cell(t, "long name");
    ctl_table_cellf(t, "%d", 1234);
    ctl_table_cell(t, "");
    ctl_table_text(t, &b);
    assert_string_equal(b.data, "name          n  last\n"
                                "a\\x1b[2J      5  x\n"
                                "long name  1234  \n");
    ctl_table_free(t);
    srq_buf_fini(&b);
}

static void width_counts_characters_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(ctl_text_width("abc"), 3);
    assert_int_equal(ctl_text_width("a→b"), 3);
    assert_int_equal(ctl_text_width("\xff\xfe"), 2);
}

static void nearest_word_is_near(void **state)
{
    static const char *const words[] = { "submit", "show", "series", "wait", "watch" };

    (void)state;
    assert_string_equal(srq_nearest_word("sumbit", words, 5), "submit");
    assert_string_equal(srq_nearest_word("shwo", words, 5), "show");
    assert_string_equal(srq_nearest_word("wach", words, 5), "watch");
    assert_null(srq_nearest_word("quantize", words, 5));
    assert_null(srq_nearest_word("", words, 5));
    assert_null(srq_nearest_word("zz", words, 5));
}

static void expect_change(const char *json, const char *want)
{
    cJSON *reply = cJSON_Parse(json);
    struct srq_buf b;

    assert_non_null(reply);
    srq_buf_init(&b, 1 << 16);
    ctl_change_text(reply, &b);
    assert_string_equal(b.data, want);
    srq_buf_fini(&b);
    cJSON_Delete(reply);
}

static void a_change_says_what_it_does_and_costs(void **state)
{
    (void)state;
    expect_change(
        ""
        "{\"job\":\"j\",\"revision\":4,\"applied\":true,\"matched\":9,\"changed\":7,\"changes\":[{\"layer\":\"a.q\","
        "\"old\":\"w4g128\",\"new\":\"w8\",\"source\":\"pin\",\"state\":\"running\"},{\"layer\":\"a.down\\u001b\","
        "\"old\":null,\"new\":\"w8\",\"source\":\"pin\",\"state\":\"stale\"},{\"layer\":\"c\",\"old\":\"w4\",\"new\":"
        "\"w8\",\"source\":\"pin\",\"state\":\"pending\"},{\"layer\":\"d\",\"old\":\"w4\",\"new\":\"w8\",\"source\":"
        "\"pin\",\"state\":\"pending\"},{\"layer\":\"e\",\"old\":\"w4\",\"new\":\"w8\",\"source\":\"pin\",\"state\":"
        "\"pending\"},{\"layer\":\"a-much-longer-name\",\"old\":\"w4\",\"new\":\"w8\",\"source\":\"pin\",\"state\":"
        "\"pending\"}],\"size\":{\"before_bytes\":4194304,\"after_bytes\":1363149,\"average_bits\":4.61},\"size_now\":{"
        "\"before_bytes\":4194304,\"after_bytes\":1048576,\"average_bits\":4.25},\"moved\":5,\"forecast\":{\"now\":0."
        "0123,\"then\":0.0101},\"restarts\":7,\"retunes\":[0,1,2,5,8,9],\"cost_s\":130,\"warnings\":[\"q, "
        "k and v of block 7 change together\"]}",
        "revision 4: 7 layers changed\n"
        "5 of them to keep the budget\n"
        "  a.q         w4g128 -> w8, running\n"
        "  a.down\\x1b  - -> w8, stale\n"
        "  c           w4 -> w8, pending\n"
        "  d           w4 -> w8, pending\n"
        "  e           w4 -> w8, pending\n"
        "  and 2 more\n"
        "size            1.00 MiB -> 1.30 MiB\n"
        "bits a weight   4.25 -> 4.61\n"
        "predicted loss  0.0123 -> 0.0101\n"
        "restarts        block 7, from its first iteration\n"
        "tuned again     blocks 0-2, 5, 8-9\n"
        "takes           about 2m10s\n"
        "warning: q, k and v of block 7 change together\n");
}

static void a_dry_run_and_an_empty_change_say_so(void **state)
{
    (void)state;
    expect_change(""
                  "{\"job\":\"j\",\"revision\":3,\"applied\":false,\"matched\":1,\"changed\":0,\"changes\":[],\"size\":"
                  "{\"before_bytes\":null,\"after_bytes\":null,\"average_bits\":null},\"size_now\":{\"before_bytes\":"
                  "null,\"after_bytes\":null,\"average_bits\":null},\"forecast\":null,\"forecast_missing\":\"a.q "
                  "was not scored as w5g64\",\"restarts\":null,\"retunes\":[4],\"cost_s\":null,\"warnings\":[]}",
                  "dry run at revision 3: 0 layers would change\n"
                  "predicted loss  not known: a.q was not scored as w5g64\n"
                  "tuned again     block 4\n");
    expect_change("{\"job\":\"j\",\"revision\":3,\"applied\":false,\"matched\":1,\"changed\":0,\"changes\":[],"
                  "\"forecast\":null,\"restarts\":null,\"retunes\":[],\"cost_s\":null,\"warnings\":[]}",
                  "revision 3: nothing to change in 1 layer\n");
}

static const char heat[] =
    ""
    "{\"by\":\"loss\",\"revision\":2,\"total\":6,\"cells\":[{\"layer\":\"m.0.attn.q_proj\",\"block\":0,\"module\":"
    "\"attn.q_proj\",\"value\":0.001,\"scheme\":\"w4\",\"pin\":false,\"state\":\"finished\"},{\"layer\":\"m.0.mlp.down_"
    "proj\",\"block\":0,\"module\":\"mlp.down_proj\",\"value\":1,\"scheme\":\"w8\",\"pin\":true,\"state\":\"finished\"}"
    ",{\"layer\":\"m.1.attn.q_proj\",\"block\":1,\"module\":\"attn.q_proj\",\"value\":0.0316,\"scheme\":\"w4\",\"pin\":"
    "false,\"state\":\"running\"},{\"layer\":\"m.1.mlp.down_proj\",\"block\":1,\"module\":\"mlp.down_proj\",\"value\":"
    "null,\"scheme\":\"w8\",\"pin\":true,\"state\":\"running\"},{\"layer\":\"lm,head\",\"block\":null,\"module\":"
    "\"head\",\"value\":0.3,\"scheme\":\"bf16\",\"pin\":false,\"state\":\"pending\"}]}";

static void expect_heat(const char *json, bool numbers, bool utf8, const char *want)
{
    cJSON *reply = cJSON_Parse(json);
    struct srq_buf b;

    assert_non_null(reply);
    srq_buf_init(&b, 1 << 20);
    ctl_heatmap_text(reply, numbers, utf8, &b);
    assert_string_equal(b.data, want);
    srq_buf_fini(&b);
    cJSON_Delete(reply);
}

static void a_heatmap_is_read_without_colour(void **state)
{
    (void)state;
    /* 1/0.001 is more than 100: 0.0316 is in the middle of a logarithmic scale. */
    expect_heat(heat, false, false,
                "block  q    down \n"
                "    0  ..   @@!\n"
                "    1  ++   -!\n"
                "\n"
                "lm,head  %\n"
                "\n"
                "loss: . is 0.00100, @ is 1.00, logarithmic; ! pinned, - not known\n");
    expect_heat(heat, false, true,
                "block  q    down \n"
                "    0  ░░   ██!\n"
                "    1  ▒▒   -!\n"
                "\n"
                "lm,head  █\n"
                "\n"
                "loss: ░ is 0.00100, █ is 1.00, logarithmic; ! pinned, - not known\n");
    expect_heat(heat, true, false,
                "block        q   down \n"
                "    0  0.00100   1.00!\n"
                "    1   0.0316      -!\n"
                "\n"
                "lm,head  0.300\n"
                "\n"
                "loss: . is 0.00100, @ is 1.00, logarithmic; ! pinned, - not known\n");
    expect_heat("{\"by\":\"sensitivity\",\"revision\":0,\"total\":1,\"cells\":[{\"layer\":\"a.b\",\"block\":0,"
                "\"module\":\"b\",\"value\":null,\"scheme\":\"w4\",\"pin\":false,\"state\":\"pending\"}]}",
                false, false,
                "block  b \n"
                "    0  - \n"
                "\n"
                "sensitivity: nothing is known yet; jobs submitted with --budget measure it\n");
}

/* A model with many experts: as many columns as fit stand side by side, the rest below, numbered. */
static void a_wide_heatmap_is_cut_and_numbered(void **state)
{
    cJSON *reply = cJSON_Parse("{\"by\":\"bits\",\"revision\":0}"), *cells = cJSON_AddArrayToObject(reply, "cells");
    struct srq_buf b;

    (void)state;
    for (int i = 0; i < 40; i++) {
        cJSON *c = cJSON_CreateObject();
        char name[32];

        snprintf(name, sizeof(name), "experts.%d.up", i % 20);
        cJSON_AddStringToObject(c, "layer", name);
        cJSON_AddNumberToObject(c, "block", i / 20);
        cJSON_AddStringToObject(c, "module", name);
        cJSON_AddNumberToObject(c, "value", 1 + i % 20);
        cJSON_AddItemToArray(cells, c);
    }
    srq_buf_init(&b, 1 << 20);
    ctl_heatmap_text(reply, true, false, &b);
    assert_non_null(strstr(b.data, "block  1   2   3 "));
    assert_non_null(strstr(b.data, "block  16   17 "));
    assert_non_null(strstr(b.data, "    1  16   17 "));
    assert_non_null(strstr(b.data, "\n20: experts.19.up\n"));
    srq_buf_fini(&b);
    cJSON_Delete(reply);
}

static void csv_quotes_what_needs_it_and_keeps_every_digit(void **state)
{
    cJSON *reply = cJSON_Parse(heat);
    struct srq_buf b;

    (void)state;
    srq_buf_init(&b, 1 << 16);
    ctl_heatmap_csv(reply, &b);
    assert_true(strncmp(b.data,
                        "layer,block,module,value,scheme,pin,state\n"
                        "m.0.attn.q_proj,0,attn.q_proj,0.001,w4,false,finished\n",
                        90) == 0);
    assert_non_null(strstr(b.data, "\nm.1.mlp.down_proj,1,mlp.down_proj,,w8,true,running\n"));
    assert_non_null(strstr(b.data, "\n\"lm,head\",,head,0.3,bf16,false,pending\n"));
    srq_buf_clear(&b);
    ctl_csv_text(&b, true, "say \"no\"");
    ctl_csv_number(&b, false, 0.1);
    ctl_csv_number(&b, false, 1.0 / 3);
    assert_string_equal(b.data, "\"say \"\"no\"\"\",0.1,0.33333333333333331");
    srq_buf_fini(&b);
    cJSON_Delete(reply);
}

static void summary_shows_original_rounded_and_tuned(void **state)
{
    cJSON *r = cJSON_Parse("{\"eval\":{\"before\":{\"perplexity\":27.44,\"kl\":null,\"top1\":null},"
                           "\"rtn\":{\"perplexity\":29.1,\"kl\":0.0712,\"top1\":0.831},"
                           "\"after\":{\"perplexity\":28,\"kl\":0.0301,\"top1\":0.889}},"
                           "\"size\":{\"before_bytes\":538968064,\"after_bytes\":158334976,\"average_bits\":4.25},"
                           "\"blocks\":[{\"best_iteration\":50},{\"best_iteration\":10}],\"finish\":null,"
                           "\"timing\":{\"total_s\":192}}");
    struct srq_buf b;

    (void)state;
    srq_buf_init(&b, 4096);
    ctl_summary(r, "/m/out", &b);
    assert_string_equal(b.data, "                    original  rounded    tuned\n"
                                "perplexity              27.4     29.1     28.0\n"
                                "KL to the original         -   0.0712   0.0301\n"
                                "top-1 agreement            -   83.1 %   88.9 %\n"
                                "size                 514 MiB  151 MiB  151 MiB\n"
                                "average bits                     4.25     4.25\n"
                                "time 3m12s, output /m/out\n");
    srq_buf_fini(&b);
    cJSON_Delete(r);
}

static void json_becomes_lines_and_tables(void **state)
{
    cJSON *j = cJSON_Parse("{\"family\":\"llama\",\"weights_bytes\":1048576,\"config\":{\"tied\":true},"
                           "\"layers\":[{\"name\":\"a\",\"shape\":[2,3],\"bits\":4},{\"name\":\"bb\",\"bits\":null}]}");
    struct srq_buf b;

    (void)state;
    srq_buf_init(&b, 4096);
    ctl_json_text(j, &b);
    assert_string_equal(b.data, "family               llama\n"
                                "weights              1.00 MiB\n"
                                "config tied          yes\n"
                                "\n"
                                "name  shape  bits\n"
                                "a     [2,3]     4\n"
                                "bb    -         -\n");
    srq_buf_fini(&b);
    cJSON_Delete(j);
}

static void put_file(const char *root, const char *path, const char *text)
{
    char full[256], *slash;
    FILE *f;

    snprintf(full, sizeof(full), "%s%s", root, path);
    for (slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void tightest_control_group_limit_counts(void **state)
{
    char root[] = "/tmp/srqctl-machine-XXXXXX", command[64];
    struct ctl_machine m;

    (void)state;
    assert_non_null(mkdtemp(root));
    put_file(root, "/proc/meminfo", "MemTotal: 4000 kB\nMemAvailable:    2048 kB\n");
    put_file(root, "/proc/self/cgroup", "0::/user.slice/job.scope\n");
    put_file(root, "/proc/cpuinfo", "processor : 0\nflags : fpu avx2 fma avx512_bf16 amx_tile amx_bf16\n");
    put_file(root, "/sys/fs/cgroup/user.slice/memory.max", "1000000\n");
    put_file(root, "/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
    put_file(root, "/sys/fs/cgroup/user.slice/job.scope/memory.max", "max\n");
    put_file(root, "/sys/fs/cgroup/user.slice/job.scope/cpu.max", "150000 100000\n");
    ctl_machine_read(root, &m);
    assert_true(m.memory_available == 2048.0 * 1024);
    assert_true(m.memory_limit == 1000000);
    assert_true(m.cpu_quota == 1.5);
    assert_string_equal(m.instructions, "avx2 fma avx512_bf16 amx_bf16");
    snprintf(command, sizeof(command), "rm -rf %s", root);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_units_and_three_digits),
        cmocka_unit_test(table_columns_line_up_and_control_characters_do_not_pass),
        cmocka_unit_test(width_counts_characters_not_bytes),
        cmocka_unit_test(nearest_word_is_near),
        cmocka_unit_test(a_change_says_what_it_does_and_costs),
        cmocka_unit_test(a_dry_run_and_an_empty_change_say_so),
        cmocka_unit_test(a_heatmap_is_read_without_colour),
        cmocka_unit_test(a_wide_heatmap_is_cut_and_numbered),
        cmocka_unit_test(csv_quotes_what_needs_it_and_keeps_every_digit),
        cmocka_unit_test(summary_shows_original_rounded_and_tuned),
        cmocka_unit_test(json_becomes_lines_and_tables),
        cmocka_unit_test(tightest_control_group_limit_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
