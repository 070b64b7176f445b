/* srqctl's tables: what they promise is parsed, shown in --help and offered by every completion script. */
#include "tests/unit/test.h"

#include "core/base/buf.h"
#include "core/proto/words.h"
#include "tui/srqctl/change.h"
#include "tui/srqctl/jobspec.h"
#include "tui/srqctl/verb.h"

#include <unistd.h>

#define COUNT(w) ((int)(sizeof(w) / sizeof((w)[0])))

static const struct ctl_verb *verb(const char *a)
{
    const char *words[] = { a };
    int used;

    return ctl_find_verb(1, words, &used);
}

static int parse(const char *name, int count, const char *const *words, struct ctl_args *out, struct srq_error *err)
{
    return ctl_parse(verb(name), count, words, out, err);
}

static void options_and_words_may_be_mixed(void **state)
{
    const char *words[] = { "MODEL", "-s", "w4g128", "--set", "a=1", "-o", "OUT", "--set=b=2", "--wait" };
    struct ctl_args a;
    struct srq_error err;
    size_t at = 0;

    (void)state;
    assert_ok(parse("submit", COUNT(words), words, &a, &err), &err);
    assert_int_equal(a.positional_count, 1);
    assert_string_equal(a.positional[0], "MODEL");
    assert_string_equal(ctl_value(&a, "scheme"), "w4g128");
    assert_string_equal(ctl_value(&a, "output"), "OUT");
    assert_true(ctl_given(&a, "wait"));
    assert_false(ctl_given(&a, "dry-run"));
    assert_string_equal(ctl_next_value(&a, "set", &at), "a=1");
    assert_string_equal(ctl_next_value(&a, "set", &at), "b=2");
    assert_null(ctl_next_value(&a, "set", &at));
    ctl_args_fini(&a);
}

/* What completions offer is what the daemon takes. */
static void words_offered_are_those_of_the_protocol(void **state)
{
    static const struct {
        const char *verb, *option;
        const char *const *words;
    } rows[] = { { "list", "states", srq_job_state_words },
                 { "heatmap", "by", srq_heat_words },
                 { "series", "kind", srq_series_words } };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ctl_option *o = verb(rows[i].verb)->options;
        char words[200];

        while (strcmp(o->name, rows[i].option) != 0)
            o++;
        srq_words_text(rows[i].words, words, sizeof(words));
        for (char *bar = words; (bar = strchr(bar, '|')) != NULL;)
            *bar = ' ';
        assert_string_equal(o->words, words);
    }
}

static void words_after_two_dashes_are_no_options(void **state)
{
    const char *words[] = { "@last", "--", "-5" };
    struct ctl_args a;
    struct srq_error err;

    (void)state;
    assert_ok(parse("priority", COUNT(words), words, &a, &err), &err);
    assert_int_equal(a.positional_count, 2);
    assert_string_equal(a.positional[1], "-5");
    ctl_args_fini(&a);
}

static void a_negative_number_is_no_option(void **state)
{
    const char *words[] = { "@last", "-5", "--json" }, *value[] = { "M", "-p", "-5", "-.5" }, *first[] = { "-7", "x" };
    struct ctl_args a;
    struct srq_error err;

    (void)state;
    assert_ok(parse("priority", COUNT(words), words, &a, &err), &err);
    assert_int_equal(a.positional_count, 2);
    assert_string_equal(a.positional[1], "-5");
    assert_true(ctl_given(&a, "json"));
    ctl_args_fini(&a);
    assert_ok(parse("priority", COUNT(first), first, &a, &err), &err);
    assert_string_equal(a.positional[0], "-7");
    ctl_args_fini(&a);
    assert_ok(ctl_args_read(&(struct ctl_grammar){ { verb("submit")->options, NULL }, "h", false }, COUNT(value), value,
                            &a, &err),
              &err);
    assert_string_equal(ctl_value(&a, "priority"), "-5");
    assert_string_equal(a.positional[1], "-.5");
    ctl_args_fini(&a);
}

/* Somebody who learned a letter with one verb is not surprised by another. -n is how many, of whatever the verb has. */
static void a_letter_means_the_same_with_every_verb(void **state)
{
    static const char *const counts[] = { "limit", "lines", "pictures" };
    const struct ctl_option *means[128] = { NULL };

    (void)state;
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        for (const struct ctl_option *o = v->options; o != NULL && o->name != NULL; o++) {
            const struct ctl_option *other = o->letter != 0 ? means[(int)o->letter] : NULL;
            bool count = o->letter == 'n';

            for (size_t i = 0; count && i < 3; i++)
                count = strcmp(o->name, counts[i]) != 0;
            if (o->letter == 'n' && count)
                fail_msg("-n of %s is --%s, which is no count", v->name, o->name);
            /* compare takes several of what submit takes one of */
            if (other != NULL && o->letter != 'n' &&
                (strncmp(o->name, other->name, strlen(other->name)) != 0 ||
                 strcspn(o->name + strlen(other->name), "s") > 0 || (o->arg == NULL) != (other->arg == NULL)))
                fail_msg("-%c of %s is --%s, of another verb --%s", o->letter, v->name, o->name, other->name);
            for (const struct ctl_option *c = ctl_common_options; c->name != NULL; c++)
                if (c->letter != 0 && c->letter == o->letter)
                    fail_msg("-%c of %s is --%s everywhere", o->letter, v->name, c->name);
            if (o->letter != 0 && other == NULL)
                means[(int)o->letter] = o;
        }
    }
}

static void a_word_that_is_no_choice_is_told_the_choices_nearest_first(void **state)
{
    struct {
        const char *verb;
        const char *words[3];
        const char *says;
    } cases[] = {
        { "list",
          { "--states", "queued,runing", NULL },
          "--states runing is none of running, queued, starting, paused, done, failed, canceled" },
        { "list", { "--state=xyzzy", NULL, NULL }, "--states xyzzy is none of queued, starting, running" },
        { "series", { "J", "-kprob", NULL }, "-k prob is none of probe, loss, error" },
        { "heatmap", { "J", "--by", "gian" }, "--by gian is none of gain, sensitivity, bits" },
        { "sample", { "M", "--sampler", "ddm" }, "--sampler ddm is none of ddim, ddpm" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int count = 0;
        struct ctl_args a;
        struct srq_error err = { 0 };

        while (count < 3 && cases[i].words[count] != NULL)
            count++;
        assert_refused(parse(cases[i].verb, count, cases[i].words, &a, &err), -SRQ_EINVAL, &err, cases[i].says);
        ctl_args_fini(&a);
    }
}

static void lists_may_be_given_with_commas_or_one_by_one(void **state)
{
    const char *words[] = { "--states", "running,queued", "--states=done" }, *bad[] = { "--states", "done," };
    struct ctl_args a;
    struct srq_error err;
    cJSON *list;

    (void)state;
    assert_ok(parse("list", COUNT(words), words, &a, &err), &err);
    assert_ok(ctl_names(&a, "states", &list, &err), &err);
    assert_int_equal(cJSON_GetArraySize(list), 3);
    assert_string_equal(cJSON_GetArrayItem(list, 1)->valuestring, "queued");
    cJSON_Delete(list);
    ctl_args_fini(&a);
    assert_refused(parse("list", COUNT(bad), bad, &a, &err), -SRQ_EINVAL, &err, "--states has an empty name");
    ctl_args_fini(&a);
}

static void verbs_have_the_names_of_other_programs_too(void **state)
{
    struct srq_buf help;

    (void)state;
    assert_string_equal(verb("ls")->name, "list");
    assert_string_equal(verb("rm")->name, "delete");
    assert_string_equal(verb("status")->name, "show");
    for (const struct ctl_alias *a = ctl_aliases; a->alias != NULL; a++)
        assert_string_equal(verb(a->alias)->name, a->verb);
    srq_buf_init(&help, 1 << 16);
    ctl_help_overview(&help);
    assert_non_null(strstr(help.data, "(also: ls)"));
    srq_buf_fini(&help);
}

static void the_version_may_be_asked_anywhere(void **state)
{
    const char *words[] = { "--version" };
    struct ctl_args a;
    struct srq_error err;

    (void)state;
    assert_ok(ctl_parse_common(1, words, &a, &err), &err);
    assert_true(ctl_given(&a, "version"));
    ctl_args_fini(&a);
    assert_ok(parse("show", 1, words, &a, &err), &err); /* though JOB is missing */
    ctl_args_fini(&a);
}

static void bad_options_are_named_with_what_was_meant(void **state)
{
    struct {
        const char *verb;
        const char *words[4];
        int count;
        const char *says;
    } cases[] = {
        { "submit", { "M", "--shceme", "w4" }, 3, "unknown option --shceme; did you mean --scheme?" },
        { "submit", { "M", "--bugdet=4.2" }, 2, "unknown option --bugdet; did you mean --budget?" },
        { "submit", { "--json", "-qz" }, 2, "unknown option -q" },
        { "submit", { "M", "--output" }, 2, "option --output needs a value" },
        { "submit", { "M", "-o" }, 2, "option -o needs a value" },
        { "submit", { "M", "--wait=3" }, 2, "option --wait takes no value" },
        { "submit", { "M", "--s", "x" }, 3, "option --s could be more than one" },
        { "submit", { "M", "-oA", "-oB" }, 3, "option -o is given twice: A and B" },
        { "show", { "a", "b" }, 2, "does not expect \"b\"" },
        { "show", { "--json" }, 1, "show needs JOB" },
        { "submit", { "M", "-o", "out/\xff\xfe" }, 3, "\"out/\\xff\\xfe\" is not UTF-8" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctl_args a;
        struct srq_error err = { 0 };

        assert_refused(parse(cases[i].verb, cases[i].count, cases[i].words, &a, &err), -SRQ_EINVAL, &err,
                       cases[i].says);
        ctl_args_fini(&a);
    }
}

static void common_options_stand_before_the_verb_too(void **state)
{
    const char *words[] = { "--json", "--socket", "/s", "list", "--state", "done" };
    struct ctl_args a;
    struct srq_error err;

    (void)state;
    assert_ok(ctl_parse_common(COUNT(words), words, &a, &err), &err);
    assert_int_equal(a.positional_count, 3);
    assert_string_equal(a.positional[0], "list");
    assert_string_equal(ctl_value(&a, "socket"), "/s");
    ctl_args_fini(&a);
}

static void numbers_are_checked_against_their_range(void **state)
{
    const char *good[] = { "J", "--timeout", "2.5" }, *bad[] = { "J", "--timeout", "soon" },
               *far[] = { "J", "-t", "-1" };
    struct ctl_args a;
    struct srq_error err;
    double v = 7;

    (void)state;
    assert_ok(parse("wait", 3, good, &a, &err), &err);
    assert_ok(ctl_number(&a, "timeout", 0, 10, &v, &err), &err);
    assert_true(v == 2.5);
    ctl_args_fini(&a);
    assert_ok(parse("wait", 3, bad, &a, &err), &err);
    assert_refused(ctl_number(&a, "timeout", 0, 10, &v, &err), -SRQ_EINVAL, &err, "--timeout soon is not a number");
    ctl_args_fini(&a);
    assert_ok(parse("wait", 3, far, &a, &err), &err);
    assert_refused(ctl_number(&a, "timeout", 0, 10, &v, &err), -SRQ_EINVAL, &err, "-t -1 is not between 0 and 10");
    assert_refused(ctl_number(&a, "timeout", 0.5, 9007199254740991, &v, &err), -SRQ_EINVAL, &err,
                   "-t -1 is not between 0.5 and 9007199254740991");
    ctl_args_fini(&a);
}

static void times_may_have_units(void **state)
{
    static const struct {
        const char *text;
        double s; /* negative: refused */
    } rows[] = { { "90", 90 }, { "1.5", 1.5 }, { "90s", 90 },  { "15m", 900 }, { "1h30m", 5400 }, { "2d", 172800 },
                 { "", -1 },   { "h", -1 },    { "1h30", -1 }, { "5x", -1 },   { "soon", -1 },    { "0", -1 },
                 { "9d", -1 }, { "-1", -1 },   { "nan", -1 },  { "1m 2s", 62 } };
    struct ctl_args a;
    struct srq_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *words[] = { "J", "--timeout", rows[i].text };
        double v = -1;
        int rc;

        assert_ok(parse("wait", 3, words, &a, &err), &err);
        rc = ctl_duration(&a, "timeout", 1, 700000, &v, &err);
        assert_true(rows[i].s < 0 ? rc == -SRQ_EINVAL && v == -1 : rc == 0 && v == rows[i].s);
        if (rows[i].s < 0)
            assert_non_null(strstr(err.text, "--timeout "));
        ctl_args_fini(&a);
    }
}

static void two_word_verbs_are_found_and_half_ones_are_not(void **state)
{
    const char *words[] = { "plugin", "list", "x" };
    int used = 0;

    (void)state;
    assert_string_equal(ctl_find_verb(3, words, &used)->name, "plugin list");
    assert_int_equal(used, 2);
    assert_null(ctl_find_verb(1, words, &used));
    assert_string_equal(ctl_nearest_verb("sumbit"), "submit");
    assert_string_equal(ctl_nearest_verb("staus"), "status");
    assert_null(ctl_nearest_verb("xyzzy"));
}

static bool contains(const struct srq_buf *b, const char *part)
{
    return b->data != NULL && strstr(b->data, part) != NULL;
}

static void every_option_is_in_its_help_and_in_every_completion(void **state)
{
    static const char *const shells[] = { "bash", "zsh", "fish" };
    struct srq_buf script[3], help;
    char name[64];

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        srq_buf_init(&script[s], 1 << 20);
        assert_true(ctl_completion_script(shells[s], &script[s]));
        assert_false(script[s].failed);
    }
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        srq_buf_init(&help, 1 << 16);
        ctl_help_verb(v, &help);
        for (const struct ctl_option *o = v->options; o != NULL && o->name != NULL; o++) {
            snprintf(name, sizeof(name), "--%s", o->name);
            if (!contains(&help, name) || !contains(&help, o->help))
                fail_msg("srqctl %s --help does not show --%s", v->name, o->name);
            for (size_t s = 0; s < 2; s++)
                if (!contains(&script[s], name))
                    fail_msg("%s completion does not offer --%s of %s", shells[s], o->name, v->name);
            snprintf(name, sizeof(name), "-n '__srqctl_at -b %s' -l %s", v->name, o->name);
            if (!contains(&script[2], name))
                fail_msg("fish completion does not offer --%s of %s", o->name, v->name);
        }
        srq_buf_fini(&help);
    }
    for (size_t s = 0; s < 3; s++)
        srq_buf_fini(&script[s]);
}

static void help_fits_a_screen_and_shows_two_examples(void **state)
{
    struct srq_buf help;

    (void)state;
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        int lines = 0, examples = 0;

        srq_buf_init(&help, 1 << 16);
        ctl_help_verb(v, &help);
        for (char *p = help.data, *nl; (nl = strchr(p, '\n')) != NULL; p = nl + 1) {
            lines++;
            if (nl - p > 88)
                fail_msg("%s: line of %d columns: %.*s", v->name, (int)(nl - p), (int)(nl - p), p);
            examples += strncmp(p, "  ", 2) == 0 && strstr(p, "srqctl ") != NULL && strstr(p, "srqctl ") < nl &&
                        p[2] != ' ' && p[2] != '-';
        }
        if (lines > 38)
            fail_msg("srqctl %s --help has %d lines", v->name, lines);
        assert_int_equal(examples, 2);
        srq_buf_fini(&help);
    }
}

/* Every verb and option that an example types exists, so that help never shows what is refused. */
static void examples_parse(void **state)
{
    (void)state;
    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++)
        for (size_t i = 0; i < 2; i++) {
            const char *words[32];
            char line[256], *at = line;
            int count = 0, used = 0;
            struct ctl_args a;
            struct srq_error err = { 0 };

            snprintf(line, sizeof(line), "%s", strstr(v->examples[i], "srqctl ") + 7);
            line[strcspn(line, "|>&)")] = '\0';
            while (count < 32 && *(at += strspn(at, " ")) != '\0') {
                words[count++] = at;
                at += strcspn(at, " ");
                if (*at != '\0')
                    *at++ = '\0';
            }
            assert_ptr_equal(ctl_find_verb(count, words, &used), v);
            assert_ok(ctl_parse(v, count - used, words + used, &a, &err), &err);
            ctl_args_fini(&a);
        }
}

static const char *text_at(const cJSON *spec, const char *path)
{
    return ctl_str(spec, path);
}

static void options_make_the_job_and_paths_become_absolute(void **state)
{
    const char *words[] = { "models/m",
                            "-m",
                            "signround",
                            "-s",
                            "w4g64",
                            "-o",
                            "/out",
                            "--calib",
                            "a.txt",
                            "--calib",
                            "/b",
                            "-l",
                            "re:(?=x)y=w8",
                            "--set",
                            "signround.iters=50",
                            "--set",
                            "gemm=a=b",
                            "-F",
                            "fake,auto_gptq",
                            "--priority",
                            "-3",
                            "--time-limit",
                            "1h30m",
                            "--force" };
    struct ctl_args a;
    struct srq_error err;
    char cwd[4096], want[4200];
    cJSON *spec;

    (void)state;
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    assert_ok(parse("submit", COUNT(words), words, &a, &err), &err);
    assert_ok(ctl_jobspec(&a, &spec, &err), &err);
    snprintf(want, sizeof(want), "%s/models/m", cwd);
    assert_string_equal(text_at(spec, "model"), want);
    snprintf(want, sizeof(want), "%s/a.txt", cwd);
    assert_string_equal(cJSON_GetArrayItem(ctl_get(spec, "calib"), 0)->valuestring, want);
    assert_string_equal(cJSON_GetArrayItem(ctl_get(spec, "calib"), 1)->valuestring, "/b");
    assert_string_equal(ctl_str(cJSON_GetArrayItem(ctl_get(spec, "layers"), 0), "pattern"), "re:(?=x)y");
    assert_string_equal(ctl_str(cJSON_GetArrayItem(ctl_get(spec, "layers"), 0), "scheme"), "w8");
    assert_string_equal(cJSON_GetObjectItem(ctl_get(spec, "options"), "signround.iters")->valuestring, "50");
    assert_string_equal(cJSON_GetObjectItem(ctl_get(spec, "options"), "gemm")->valuestring, "a=b");
    assert_int_equal(cJSON_GetArraySize(ctl_get(spec, "formats")), 2);
    assert_string_equal(cJSON_GetArrayItem(ctl_get(spec, "formats"), 1)->valuestring, "auto_gptq");
    assert_true(ctl_num(spec, "priority") == -3);
    assert_true(ctl_num(spec, "time_limit_s") == 5400);
    assert_true(cJSON_IsTrue(ctl_get(spec, "force")));
    assert_null(ctl_get(spec, "name"));
    cJSON_Delete(spec);
    ctl_args_fini(&a);
}

static void options_win_over_the_job_file(void **state)
{
    char dir[] = "/tmp/srqctl-spec-XXXXXX", path[64], want[64];
    const char *words[] = { "--job", path, "-s", "w8", "--set", "seed=7" };
    struct ctl_args a;
    struct srq_error err;
    cJSON *spec;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/job.json", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("{\"model\":\"m\",\"scheme\":\"w4g128\",\"calib\":[\"../t\"],\"output\":\"/o\","
          "\"options\":{\"seed\":1,\"batch\":4}}",
          f);
    fclose(f);
    assert_ok(parse("submit", COUNT(words), words, &a, &err), &err);
    assert_ok(ctl_jobspec(&a, &spec, &err), &err);
    snprintf(want, sizeof(want), "%s/m", dir); /* a file's paths are relative to the file */
    assert_string_equal(text_at(spec, "model"), want);
    assert_string_equal(text_at(spec, "scheme"), "w8");
    assert_string_equal(text_at(spec, "output"), "/o");
    assert_string_equal(ctl_str(ctl_get(spec, "options"), "seed"), "7");
    assert_true(ctl_num(ctl_get(spec, "options"), "batch") == 4);
    cJSON_Delete(spec);
    ctl_args_fini(&a);
    unlink(path);
    rmdir(dir);
}

static void a_budget_overrides_its_part_of_the_job_file(void **state)
{
    char dir[] = "/tmp/srqctl-spec-XXXXXX", path[64];
    const char *bits[] = { "--job", path, "--budget", "3.25" };
    const char *all[] = { "M", "--budget=4", "--candidates", "w2g64,w4g64", "--candidates", "w8" };
    struct ctl_args a;
    struct srq_error err;
    cJSON *spec;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/job.json", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("{\"budget\":{\"bits\":5,\"candidates\":[\"w8\",\"w2\"]}}", f);
    fclose(f);
    assert_ok(parse("submit", COUNT(bits), bits, &a, &err), &err);
    assert_ok(ctl_jobspec(&a, &spec, &err), &err);
    assert_true(ctl_num(spec, "budget.bits") == 3.25);
    assert_int_equal(cJSON_GetArraySize(ctl_get(spec, "budget.candidates")), 2);
    cJSON_Delete(spec);
    ctl_args_fini(&a);
    assert_ok(parse("submit", COUNT(all), all, &a, &err), &err);
    assert_ok(ctl_jobspec(&a, &spec, &err), &err);
    assert_true(ctl_num(spec, "budget.bits") == 4);
    assert_string_equal(cJSON_GetArrayItem(ctl_get(spec, "budget.candidates"), 2)->valuestring, "w8");
    cJSON_Delete(spec);
    ctl_args_fini(&a);
    unlink(path);
    rmdir(dir);
}

static int pins(int count, const char *const *words, cJSON **out, struct srq_error *err)
{
    return ctl_pins(words, count, false, out, err);
}

static void pins_are_a_pattern_and_a_scheme_or_divided_by_the_last_equals_sign(void **state)
{
    const char *pair[] = { "re:(?=x)y", "w8" }, *many[] = { "a.*=w4g64", "re:(?=q)=w2", "c=w8" },
               *bad[] = { "a=w8", "b" };
    struct srq_error err;
    cJSON *p;

    (void)state;
    assert_ok(pins(2, pair, &p, &err), &err);
    assert_string_equal(ctl_str(cJSON_GetArrayItem(p, 0), "pattern"), "re:(?=x)y");
    assert_string_equal(ctl_str(cJSON_GetArrayItem(p, 0), "scheme"), "w8");
    cJSON_Delete(p);
    assert_ok(pins(3, many, &p, &err), &err);
    assert_int_equal(cJSON_GetArraySize(p), 3);
    assert_string_equal(ctl_str(cJSON_GetArrayItem(p, 1), "pattern"), "re:(?=q)");
    assert_string_equal(ctl_str(cJSON_GetArrayItem(p, 1), "scheme"), "w2");
    cJSON_Delete(p);
    assert_ok(pins(1, many, &p, &err), &err);
    cJSON_Delete(p);
    /* Two words of which the second has no '=' are a pair; three are not. */
    assert_ok(pins(2, bad, &p, &err), &err);
    cJSON_Delete(p);
    assert_refused(pins(1, bad + 1, &p, &err), -SRQ_EINVAL, &err, "b is not PATTERN=SCHEME");
    cJSON_Delete(p);
}

static void malformed_values_are_refused_with_the_option(void **state)
{
    struct {
        const char *words[4];
        const char *says;
    } cases[] = {
        { { "M", "--candidates", "w8" }, "--candidates goes with --budget" },
        { { "M", "--budget", "65" }, "--budget 65 is not between 0 and 64" },
        { { "M", "--set", "nsamples" }, "--set nsamples is not KEY=VALUE" },
        { { "M", "-l", "x=" }, "-l x= is not PATTERN=SCHEME" },
        { { "M", "-F", "fake,,x" }, "-F has an empty name" },
        { { "M", "-p", "high" }, "-p high is not a number" },
        { { "M", "-o", "" }, "the path of -o is empty" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctl_args a;
        struct srq_error err = { 0 };
        cJSON *spec;

        assert_ok(parse("submit", 3, cases[i].words, &a, &err), &err);
        assert_refused(ctl_jobspec(&a, &spec, &err), -SRQ_EINVAL, &err, cases[i].says);
        assert_null(spec);
        ctl_args_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_may_be_mixed),
        cmocka_unit_test(words_offered_are_those_of_the_protocol),
        cmocka_unit_test(words_after_two_dashes_are_no_options),
        cmocka_unit_test(a_negative_number_is_no_option),
        cmocka_unit_test(a_letter_means_the_same_with_every_verb),
        cmocka_unit_test(a_word_that_is_no_choice_is_told_the_choices_nearest_first),
        cmocka_unit_test(lists_may_be_given_with_commas_or_one_by_one),
        cmocka_unit_test(verbs_have_the_names_of_other_programs_too),
        cmocka_unit_test(the_version_may_be_asked_anywhere),
        cmocka_unit_test(bad_options_are_named_with_what_was_meant),
        cmocka_unit_test(common_options_stand_before_the_verb_too),
        cmocka_unit_test(numbers_are_checked_against_their_range),
        cmocka_unit_test(times_may_have_units),
        cmocka_unit_test(two_word_verbs_are_found_and_half_ones_are_not),
        cmocka_unit_test(every_option_is_in_its_help_and_in_every_completion),
        cmocka_unit_test(help_fits_a_screen_and_shows_two_examples),
        cmocka_unit_test(examples_parse),
        cmocka_unit_test(options_make_the_job_and_paths_become_absolute),
        cmocka_unit_test(options_win_over_the_job_file),
        cmocka_unit_test(a_budget_overrides_its_part_of_the_job_file),
        cmocka_unit_test(pins_are_a_pattern_and_a_scheme_or_divided_by_the_last_equals_sign),
        cmocka_unit_test(malformed_values_are_refused_with_the_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
