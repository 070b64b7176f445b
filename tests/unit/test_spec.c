/* Job specifications: what is refused and with which words, defaults, recipes, and that the normalised form is
 * stable. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/spec.h"
#include "core/tune/options.h"

#include <math.h>
#include <unistd.h>

static char dir[64], text_file[96];

static int set_up(void **state)
{
    const char *build = getenv("top_builddir");
    char plugins[1024];
    FILE *f;

    (void)state;
    snprintf(plugins, sizeof(plugins), "%s/plugins/rtn/.libs:%s/plugins/signround/.libs", build != NULL ? build : ".",
             build != NULL ? build : ".");
    if (getenv("SRQ_PLUGIN_PATH") == NULL)
        setenv("SRQ_PLUGIN_PATH", plugins, 1);
    snprintf(dir, sizeof(dir), "/tmp/srq-spec-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(text_file, sizeof(text_file), "%s/text.txt", dir);
    f = fopen(text_file, "w");
    return f == NULL || fputs("words", f) < 0 || fclose(f) != 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return srq_remove_tree(dir, NULL);
}

/* A good job, with `more` (members, beginning with a comma) added. */
static char *job(const char *more)
{
    char *text = srq_asprintf(
        ""
        "{\"model\":\"/m\",\"method\":\"signround\",\"scheme\":\"w4g64\",\"output\":\"/o\",\"calib\":[\"%s\"]%s}",
        text_file, more);

    assert_non_null(text);
    return text;
}

static int parse(const char *text, struct srq_spec *s, struct srq_error *err)
{
    return srq_spec_parse_text(text, strlen(text), 0, s, err);
}

static void good(const char *more, struct srq_spec *s)
{
    struct srq_error err = { 0 };
    char *text = job(more);

    assert_ok(parse(text, s, &err), &err);
    srq_free(text);
}

/* Each is added to a good job (or stands for the whole, where it begins with '{'), and gives this field and
 * sentence. */
static const struct {
    const char *text, *field, *part;
} refused[] = {
    { "{}", "model", "lacks \"model\"" },
    { "[]", "", "JSON object" },
    { "{\"model\":\"/m\"}", "method", "lacks \"method\"" },
    { "{\"model\":\"/m\",\"method\":\"rtn\"}", "scheme", "lacks \"scheme\"" },
    { "{\"model\":\"/m\",\"method\":\"rtn\",\"scheme\":\"w4\"}", "output", "lacks \"output\"" },
    { "{\"model\":\"m\",\"method\":\"rtn\",\"scheme\":\"w4\",\"output\":\"/o\"}", "model", "absolute" },
    { "{\"model\":7,\"method\":\"rtn\",\"scheme\":\"w4\",\"output\":\"/o\"}", "model", "path" },
    { "{\"model\":\"/m\",\"method\":\"rtm\",\"scheme\":\"w4\",\"output\":\"/o\"}", "method", "\"rtm\"" },
    { "{\"model\":\"/m\",\"method\":\"rtn,,rtn\",\"scheme\":\"w4\",\"output\":\"/o\"}", "method", "empty name" },
    { "{\"model\":\"/m\",\"method\":\"rtn,rtn\",\"scheme\":\"w4\",\"output\":\"/o\"}", "method", "twice" },
    { "{\"model\":\"/m\",\"method\":\"rtn,signround\",\"scheme\":\"w4\",\"output\":\"/o\"}", "method",
      "both quantize" },
    { "{\"model\":\"/m\",\"method\":\"rtn\",\"scheme\":\"w44\",\"output\":\"/o\"}", "scheme", "w44" },
    { "{\"model\":\"/m\",\"method\":\"rtn\",\"scheme\":{\"bits\":4.5},\"output\":\"/o\"}", "scheme", "whole" },
    { "{\"model\":\"/m\",\"method\":\"rtn\",\"scheme\":{\"bit\":4},\"output\":\"/o\"}", "scheme", "\"bit\"" },
    { "{\"model\":\"/m\",\"method\":\"rtn\",\"scheme\":4,\"output\":\"/o\"}", "scheme", "neither" },
    { ",\"modle\":\"/m\"", "modle", "did you mean \"model\"" },
    { ",\"quux\":1", "quux", "no key \"quux\"" },
    { ",\"force\":1", "force", "true or false" },
    { ",\"priority\":1.5", "priority", "whole number" },
    { ",\"incompatible\":\"drop\"", "incompatible", "\"keep\" or \"refuse\"" },
    { ",\"eval\":[\"/nowhere/x.txt\"]", "eval", "/nowhere/x.txt" },
    { ",\"eval\":[\"x.txt\"]", "eval", "absolute" },
    { ",\"eval\":[3]", "eval", "strings" },
    { ",\"eval\":{}", "eval", "list" },
    { ",\"formats\":[\"fake\",\"fake\"]", "formats", "twice" },
    { ",\"layers\":{}", "layers", "list" },
    { ",\"layers\":[{\"pattern\":\"*\"}]", "layers", "lacks its scheme" },
    { ",\"layers\":[{\"scheme\":\"w4\"}]", "layers", "lacks its pattern" },
    { ",\"layers\":[{\"pattern\":\"*\",\"scheme\":\"w4\",\"bits\":4}]", "layers", "\"bits\"" },
    { ",\"options\":[]", "options", "object" },
    { ",\"options\":{\"nsample\":1}", "options.nsample", "did you mean \"nsamples\"" },
    { ",\"options\":{\"nsamples\":0}", "options.nsamples", "from 1 to" },
    { ",\"options\":{\"nsamples\":1.5}", "options.nsamples", "whole number" },
    { ",\"options\":{\"nsamples\":\"many\"}", "options.nsamples", "\"many\"" },
    { ",\"options\":{\"nsamples\":[1]}", "options", "nsamples" },
    { ",\"options\":{\"max_memory\":\"8X\"}", "options.max_memory", "8G" },
    { ",\"options\":{\"max_memory\":\"-1\"}", "options.max_memory", "size" },
    { ",\"options\":{\"gemm\":\"mkl\"}", "options.gemm",
      "auto,amx,avx512_fp16,avx512_bf16,avx512,avx2,openblas,onednn,plain" },
    { ",\"options\":{\"signround.iters\":-1}", "options.signround.iters", "iters" },
    { ",\"options\":{\"signround.itters\":10}", "options.signround.itters", "itters" },
    { ",\"options\":{\"rtn.iters\":10}", "options.rtn.iters", "rtn.iters" },
};

static void bad_jobs_are_refused_with_field_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        bool whole = refused[i].text[0] == '{' || refused[i].text[0] == '[';
        char *text = whole ? srq_strdup(refused[i].text) : job(refused[i].text);
        struct srq_error err = { 0 };
        struct srq_spec s;

        if (parse(text, &s, &err) == 0)
            fail_msg("%s was taken", text);
        if (strstr(err.text, refused[i].part) == NULL || strcmp(err.field, refused[i].field) != 0)
            fail_msg("%s gave field \"%s\": %s", text, err.field, err.text);
        srq_free(text);
    }
}

static void a_normalised_job_parses_to_itself(void **state)
{
    struct srq_error err = { 0 };
    struct srq_spec s, again;
    cJSON *one, *two;
    char *a, *b;

    (void)state;
    good(",\"layers\":[{\"pattern\":\"*.down_proj\",\"scheme\":\"w8\",\"untied\":true}],\"name\":\"n\",\"priority\":3,"
         "\"formats\":[\"auto_round\",\"fake\"],\"options\":{\"max_memory\":\"1.5G\",\"seqlen\":256,"
         "\"signround.iters\":50,\"checkpoint_s\":0.5}",
         &s);
    one = srq_spec_json(&s);
    assert_ok(srq_spec_parse(one, SRQ_SPEC_STORED, &again, &err), &err);
    two = srq_spec_json(&again);
    a = cJSON_Print(one);
    b = cJSON_Print(two);
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "\"max_memory\":\t1610612736"));
    assert_non_null(strstr(a, "\"eval.seqlen\":\t256"));
    assert_non_null(strstr(a, "\"signround.iters\":\t50"));
    cJSON_free(a);
    cJSON_free(b);
    cJSON_Delete(one);
    cJSON_Delete(two);
    srq_spec_fini(&s);
    srq_spec_fini(&again);
}

/* Spec signround 4.1: best takes 512 samples, light learns with 5e-3 for 50 iterations; what the user says wins. */
static void a_recipe_sets_what_the_user_did_not(void **state)
{
    struct srq_spec s;
    char *iters;

    (void)state;
    good(",\"options\":{\"signround.recipe\":\"best\"}", &s);
    assert_int_equal(s.opt.nsamples, 512);
    iters = srq_options_text(s.plugins[0].options, "iters");
    assert_string_equal(iters, "1000");
    srq_free(iters);
    srq_spec_fini(&s);
    good(",\"options\":{\"signround.recipe\":\"best\",\"nsamples\":16,\"signround.iters\":3}", &s);
    assert_int_equal(s.opt.nsamples, 16);
    iters = srq_options_text(s.plugins[0].options, "iters");
    assert_string_equal(iters, "3");
    srq_free(iters);
    srq_spec_fini(&s);
}

static void options_come_as_numbers_or_as_text(void **state)
{
    struct srq_spec s;

    (void)state;
    good(",\"options\":{\"nsamples\":\"32\",\"seqlen\":64,\"checkpoint_s\":\"2.5\",\"sampling\":\"shuffled\","
         "\"max_disk\":\"2k\",\"seed\":null}",
         &s);
    assert_int_equal(s.opt.nsamples, 32);
    assert_int_equal(s.opt.seqlen, 64);
    assert_true(s.opt.checkpoint_s == 2.5);
    assert_int_equal(s.opt.sampling, 1);
    assert_int_equal(s.opt.max_disk, 2048);
    assert_int_equal(s.opt.seed, 42);
    srq_spec_fini(&s);
}

static void a_scheme_object_means_its_spelling(void **state)
{
    static const struct {
        const char *object, *spelling;
    } same[] = {
        { "{\"bits\":4,\"group_size\":128,\"sym\":true}", "w4g128" },
        { "{\"bits\":3,\"group_size\":64,\"sym\":false}", "w3g64z" },
        { "{\"bits\":8}", "w8" },
        { "{\"bits\":4,\"group_size\":0}", "w4gt" },
        { "{\"bits\":16}", "bf16" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        cJSON *json = cJSON_Parse(same[i].object);
        struct srq_error err = { 0 };
        struct srq_scheme s;
        char text[32];

        assert_ok(srq_scheme_from_json(json, "scheme", &s, &err), &err);
        assert_string_equal(srq_scheme_text(&s, text, sizeof(text)), same[i].spelling);
        cJSON_Delete(json);
    }
}

static void sizes_take_suffixes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good_ones[] = { { "0", 0 },
                      { "4096", 4096 },
                      { "1k", 1024 },
                      { "512M", INT64_C(512) << 20 },
                      { "8G", INT64_C(8) << 30 },
                      { "8GiB", INT64_C(8) << 30 },
                      { "1.5g", INT64_C(3) << 29 },
                      { "2T", INT64_C(2) << 40 } };
    static const char *const bad[] = { "", "G", "-1", "1Q", "1GG", "0x10", "1e400", "nan", " 1" };
    int64_t v;

    (void)state;
    for (size_t i = 0; i < sizeof(good_ones) / sizeof(good_ones[0]); i++) {
        assert_true(srq_size_parse(good_ones[i].text, &v));
        assert_int_equal(v, good_ones[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(srq_size_parse(bad[i], &v));
}

static void plugins_describe_their_options(void **state)
{
    struct srq_error err = { 0 };
    cJSON *json = NULL;
    const cJSON *plugin, *options;

    (void)state;
    assert_ok(srq_describe("signround", &json, &err), &err);
    plugin = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "plugins"), 0);
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(plugin, "name")->valuestring, "signround");
    options = cJSON_GetObjectItemCaseSensitive(plugin, "options");
    assert_true(cJSON_GetArraySize(options) > 3);
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "job_options")) > 10);
    cJSON_Delete(json);
    assert_refused(srq_describe("nothing", &json, &err), -SRQ_ENOENT, &err, "\"nothing\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_jobs_are_refused_with_field_and_reason),
        cmocka_unit_test(a_normalised_job_parses_to_itself),
        cmocka_unit_test(a_recipe_sets_what_the_user_did_not),
        cmocka_unit_test(options_come_as_numbers_or_as_text),
        cmocka_unit_test(a_scheme_object_means_its_spelling),
        cmocka_unit_test(sizes_take_suffixes),
        cmocka_unit_test(plugins_describe_their_options),
    };

    return cmocka_run_group_tests_name("spec", tests, set_up, tear_down);
}
