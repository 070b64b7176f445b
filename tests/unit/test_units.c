/* Units that are not alike, with a port that skips some: the table, stored states, gradients against finite
 * differences, and whole jobs (tuning, scoring, statistics, transforms, evaluation, kill and resume) on a family of
 * four. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/flow/snapshot.h"
#include "core/flow/walk.h"
#include "core/job/job.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "tests/unit/odd_family.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { SAMPLES = 5, SEQ = 12, BATCH = 2 };

static char dir[64], folder[96], share[512];

static int set_up(void **state)
{
    const char *build = getenv("top_builddir"), *src = getenv("top_srcdir");
    static const char *const plugins[] = { "rtn", "signround", "gptq", "awq", "teq", "deltaloss", "knapsack" };
    char *path = srq_strdup("");

    (void)state;
    for (size_t i = 0; i < sizeof(plugins) / sizeof(plugins[0]); i++) {
        char *more =
            srq_asprintf("%s%s%s/plugins/%s/.libs", path, i > 0 ? ":" : "", build != NULL ? build : ".", plugins[i]);

        srq_free(path);
        path = more;
    }
    if (getenv("SRQ_PLUGIN_PATH") == NULL)
        setenv("SRQ_PLUGIN_PATH", path, 1);
    setenv("SRQ_CACHE_DIR", "", 1);
    srq_free(path);
    snprintf(share, sizeof(share), "%s/share", src != NULL ? src : ".");
    snprintf(dir, sizeof(dir), "/tmp/srq-units-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(folder, sizeof(folder), "%s/model", dir);
    srq_family_bring(&odd_family);
    if (srq_mkdirs(folder, 0755, NULL) != 0)
        return -1;
    odd_fill(folder, share);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    srq_family_bring(NULL);
    return srq_remove_tree(dir, NULL);
}

/* ---- whole jobs, each in a process of its own (before this one has threads) -----------------------------------------
 */

/* Runs or goes on with DIR/NAME.job, which makes DIR/NAME. */
static pid_t start(const char *name, const char *method, const char *more)
{
    char *job = srq_asprintf("%s/%s.job", dir, name), *ckpt = srq_path_join(job, "ckpt");
    char *spec =
        srq_asprintf("{\"model\":\"%s\",\"method\":\"%s\",\"output\":\"%s/%s\",\"formats\":[\"auto_round\","
                     "\"fake\"],\"calib\":[\"%s/text/demo-calib.txt\"],\"eval\":[\"%s/text/demo-eval.txt\"]%s}",
                     folder, method, dir, name, share, share, more);
    struct srq_job_flags flags = { 0 };
    struct srq_job_request req = { .dir = job, .spec = spec, .spec_len = strlen(spec), .flags = &flags };
    struct srq_error err = { 0 };
    enum srq_job_state end;
    pid_t pid;

    assert_ok(srq_mkdirs(ckpt, 0755, &err), &err);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        int rc = srq_job_run(&req, &end, &err);

        if (rc != 0)
            fprintf(stderr, "# %s: %s\n", name, err.text);
        _exit(rc == 0 && end == SRQ_JOB_DONE ? 0 : 1);
    }
    srq_free(job);
    srq_free(ckpt);
    srq_free(spec);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* DIR/NAME/FILE */
static char *read_whole(const char *name, const char *file, size_t *len)
{
    char *path = srq_asprintf("%s/%s/%s", dir, name, file), *text;
    struct srq_error err = { 0 };

    assert_ok(srq_read_file(path, 1 << 26, &text, len, &err), &err);
    srq_free(path);
    return text;
}

static double kl_of(const char *name)
{
    size_t len;
    char *text = read_whole(name, "report.json", &len);
    cJSON *report = cJSON_ParseWithLength(text, len);
    double kl =
        cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(report, "eval"), "after"), "kl")->valuedouble;

    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(report, "layers")), ODD_LAYERS);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(report, "blocks")), ODD_BLOCKS);
    cJSON_Delete(report);
    srq_free(text);
    return kl;
}

#define OPTIONS                                                                                                        \
    "\"nsamples\":8,\"seqlen\":32,\"batch\":4,\"threads\":2,\"probe_every\":5,\"probe_samples\":4,\"eval.windows\":6," \
    "\"eval.seqlen\":32,\"resample\":128"

static void every_kind_of_job_runs_on_unlike_units(void **state)
{
    static const struct {
        const char *name, *method, *more;
    } jobs[] = {
        { "rtn", "rtn", ",\"scheme\":\"w2g32\",\"options\":{" OPTIONS "}" },
        { "signround", "signround", ",\"scheme\":\"w2g32\",\"options\":{" OPTIONS ",\"signround.iters\":30}" },
        { "gptq", "gptq", ",\"scheme\":\"w2g32\",\"options\":{" OPTIONS "}" },
        { "awq", "awq,rtn", ",\"scheme\":\"w2g32\",\"options\":{" OPTIONS "}" },
        { "teq", "teq,rtn",
          ",\"scheme\":\"w2g32\",\"options\":{" OPTIONS ",\"teq.steps\":20,\"teq.objective\":\"kd\"}" },
        { "budget", "deltaloss,knapsack,rtn",
          ",\"budget\":{\"bits\":3.6,\"candidates\":[\"w2g32\",\"w3g32\",\"w4g32\"]},"
          "\"options\":{" OPTIONS ",\"deltaloss.nsamples\":4,\"deltaloss.seqlen\":32}" },
    };
    double kl[6];

    (void)state;
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        assert_int_equal(wait_for(start(jobs[i].name, jobs[i].method, jobs[i].more)), 0);
        kl[i] = kl_of(jobs[i].name);
        print_message("# %s: KL %.4f\n", jobs[i].name, kl[i]);
    }
    assert_true(kl[1] < 0.7 * kl[0]); /* tuned, against rounded plainly */
    assert_true(kl[2] < kl[0]);
    assert_true(kl[4] < kl[0]);
    assert_true(kl[5] < kl[0]);
}

static int iterations(const char *name)
{
    char *path = srq_asprintf("%s/%s.job/journal.ndjson", dir, name), *text = NULL;
    size_t len;
    int n = 0;

    if (srq_read_file(path, 1 << 26, &text, &len, NULL) == 0)
        for (const char *at = text; (at = strstr(at, "\"tune.point\"")) != NULL; at++)
            n++;
    srq_free(text);
    srq_free(path);
    return n;
}

static void a_killed_job_gives_the_same_bytes(void **state)
{
    static const char more[] =
        ",\"scheme\":\"w3g32\",\"options\":{" OPTIONS ",\"signround.iters\":20,\"checkpoint_s\":0.001}";
    const struct timespec moment = { 0, 2000000 };
    static const int at[] = { 8, 28, 48, 70 }; /* in every unit */
    size_t n[2];
    char *whole, *resumed;

    (void)state;
    assert_int_equal(wait_for(start("whole", "signround", more)), 0);
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        pid_t pid = start("killed", "signround", more);

        while (iterations("killed") < at[i] && waitpid(pid, NULL, WNOHANG) == 0)
            nanosleep(&moment, NULL);
        kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
    }
    assert_int_equal(wait_for(start("killed", "signround", more)), 0);
    whole = read_whole("whole", "auto_round/model.safetensors", &n[0]);
    resumed = read_whole("killed", "auto_round/model.safetensors", &n[1]);
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(whole, resumed, n[0]);
    srq_free(whole);
    srq_free(resumed);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static struct srq_model *open_odd(void)
{
    struct srq_error err = { 0 };
    struct srq_model *m;

    assert_ok(srq_team_start(2, &err), &err);
    assert_ok(srq_gemm_start("auto", &err), &err);
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    return m;
}

static void the_table_says_who_reads_what(void **state)
{
    static const struct {
        int writer, readers, last;
    } ports[] = { { -1, 1, 0 }, { 0, 2, 2 }, { 0, 1, 3 }, { 1, 1, 2 }, { 2, 1, 3 }, { 3, 1, 4 } };
    static const int first[] = { 0, 2, 3, 5, 8 }, count[] = { 2, 1, 2, 3, 1 };
    struct srq_model *m = open_odd();

    (void)state;
    assert_int_equal(srq_model_port_count(m), 6);
    for (int p = 0; p < 6; p++) {
        assert_int_equal(srq_model_port(m, p)->writer, ports[p].writer);
        assert_int_equal(srq_model_port(m, p)->readers, ports[p].readers);
        assert_int_equal(srq_model_port(m, p)->last_reader, ports[p].last);
    }
    assert_int_equal(srq_model_unit_count(m), ODD_BLOCKS + 1);
    assert_int_equal(srq_model_unit_layers(m), 3);
    for (int u = 0; u <= ODD_BLOCKS; u++) {
        const struct srq_unit_info *info = srq_model_unit(m, u);

        assert_int_equal(info->alike, u);
        assert_int_equal(info->first, first[u]);
        assert_int_equal(info->count, count[u]);
        assert_int_equal(info->kind, u < ODD_BLOCKS ? SRQ_UNIT_BLOCK : SRQ_UNIT_HEAD);
        for (int i = first[u]; i < first[u] + count[u]; i++)
            assert_int_equal(srq_model_layer(m, i)->unit, u);
    }
    assert_string_equal(srq_model_unit(m, 2)->name, "parts.2");
    assert_string_equal(srq_model_unit(m, ODD_BLOCKS)->name, "head");
    assert_true(srq_layers_tied(srq_model_layer(m, 0), srq_model_layer(m, 1)));
    assert_false(srq_layers_tied(srq_model_layer(m, 3), srq_model_layer(m, 4)));
    srq_model_close(m);
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

static int32_t ids[SAMPLES * SEQ];

static struct srq_states *states_of(const struct srq_model *m, bool keep)
{
    const struct srq_states_config c = { m, SRQ_F32, SAMPLES, SEQ, keep, NULL };
    struct srq_error err = { 0 };
    struct srq_states *s;

    for (int i = 0; i < SAMPLES * SEQ; i++)
        ids[i] = (int32_t)(srq_rng_uniform(9, 1, (uint64_t)i) * ODD_VOCAB);
    assert_ok(srq_states_create(&c, &s, &err), &err);
    return s;
}

static struct srq_walk *walk_of(const struct srq_model *m, bool backward)
{
    const struct srq_walk_config c = { m, SRQ_F32, SRQ_F32, BATCH, SEQ, .backward = backward, .vectors = backward };
    struct srq_error err = { 0 };
    struct srq_walk *w;

    assert_ok(srq_walk_create(&c, &w, &err), &err);
    return w;
}

static void places_are_shared_and_values_are_the_same(void **state)
{
    struct srq_model *m = open_odd();
    struct srq_states *kept = states_of(m, true), *shared = states_of(m, false);
    struct srq_walk *w = walk_of(m, false);
    struct srq_error err = { 0 };
    size_t all, few, final = SAMPLES * SEQ * ODD_HIDDEN * sizeof(float);

    (void)state;
    assert_ok(srq_states_bytes(srq_states_config(kept), &all, &err), &err);
    assert_ok(srq_states_bytes(srq_states_config(shared), &few, &err), &err);
    /* Kept: every port, and the gradient of the one with two readers. Shared: hidden or skip, wide, mixed, narrow. */
    assert_int_equal(all, SAMPLES * SEQ * sizeof(float) * (4 * ODD_HIDDEN + 3 * ODD_WIDE));
    assert_int_equal(few, SAMPLES * SEQ * sizeof(float) * (2 * ODD_HIDDEN + 2 * ODD_WIDE));
    assert_ok(srq_walk_model(w, kept, ids, SAMPLES, NULL, NULL, &err), &err);
    assert_ok(srq_walk_model(w, shared, ids, SAMPLES, NULL, NULL, &err), &err);
    assert_memory_equal(srq_states_final(kept, 0), srq_states_final(shared, 0), final);
    srq_walk_free(w);
    srq_states_free(kept);
    srq_states_free(shared);
    srq_model_close(m);
}

static uint64_t no_inputs(void *ctx, int unit)
{
    (void)ctx;
    return (uint64_t)unit;
}

/* Before unit 2 three ports are still to be read. */
static void a_snapshot_holds_all_that_is_still_read(void **state)
{
    struct srq_model *m = open_odd();
    struct srq_states *before = states_of(m, false), *after = states_of(m, false);
    struct srq_states *const saved[] = { before }, *const loaded[] = { after };
    const struct srq_snapshot_set from = { saved, 1 }, to = { loaded, 1 };
    struct srq_walk *w = walk_of(m, false);
    struct srq_error err = { 0 };
    int ports[8], unit;

    (void)state;
    assert_int_equal(srq_states_live(before, 2, ports, 8), 3);
    assert_ok(srq_states_embed(before, ids, SAMPLES, &err), &err);
    for (int u = 0; u < 2; u++) {
        assert_ok(srq_walk_load(w, u, NULL, &err), &err);
        assert_ok(srq_walk_over(w, before, SAMPLES, false, NULL, &err), &err);
    }
    assert_int_equal(srq_snapshot_bytes(&from, 2), SAMPLES * SEQ * sizeof(float) * (ODD_HIDDEN + 2 * ODD_WIDE));
    assert_ok(srq_snapshot_save(&from, dir, 2, 2, &err), &err);
    assert_ok(srq_snapshot_load(&to, dir, 3, no_inputs, NULL, &unit, &err), &err);
    assert_int_equal(unit, 2);
    for (int u = 2; u < ODD_BLOCKS; u++) {
        assert_ok(srq_walk_load(w, u, NULL, &err), &err);
        assert_ok(srq_walk_over(w, before, SAMPLES, false, NULL, &err), &err);
        assert_ok(srq_walk_over(w, after, SAMPLES, false, NULL, &err), &err);
    }
    assert_memory_equal(srq_states_final(before, 0), srq_states_final(after, 0),
                        SAMPLES * SEQ * ODD_HIDDEN * sizeof(float));
    srq_snapshot_thin(dir, -1, 0);
    srq_walk_free(w);
    srq_states_free(before);
    srq_states_free(after);
    srq_model_close(m);
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

struct collected {
    float *grad; /* [out, in] */
    int64_t in;
};

static void collect(void *ctx, int64_t row, int64_t rows, float *grad)
{
    struct collected *c = ctx;

    for (int64_t i = 0; i < rows * c->in; i++)
        c->grad[row * c->in + i] += grad[i];
}

/* One weight, moved along a direction. */
struct moved {
    int layer;
    struct srq_tensor stored;
    const float *direction;
    double by;
};

static int is_moved(void *ctx, int layer, struct srq_error *err)
{
    (void)err;
    return ((const struct moved *)ctx)->layer == layer;
}

static void moved_rows(void *ctx, int layer, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype)
{
    const struct moved *k = ctx;
    int64_t in = k->stored.shape[1];

    (void)layer;
    assert_int_equal(dtype, SRQ_F32);
    for (int64_t i = row * in; i < (row + rows) * in; i++)
        ((float *)dst)[i - row * in] =
            (float)((double)((const float *)k->stored.data)[i] + k->by * (double)k->direction[i]);
}

/* What the final states come to with fixed, unlike factors: a loss whose gradient is these factors. */
static double factor(int64_t i)
{
    return srq_rng_uniform(11, 3, (uint64_t)i) - 0.5;
}

static double loss_of(struct srq_walk *w, struct srq_states *s, const struct srq_weights *weights)
{
    const float *x = (const float *)(void *)srq_states_final(s, 0);
    struct srq_error err = { 0 };
    double sum = 0;

    assert_ok(srq_walk_model(w, s, ids, SAMPLES, weights, NULL, &err), &err);
    for (int64_t i = 0; i < SAMPLES * SEQ * ODD_HIDDEN; i++)
        sum += factor(i) * (double)x[i];
    return sum;
}

static void gradients_are_those_of_finite_differences(void **state)
{
    struct srq_model *m = open_odd();
    struct srq_states *s = states_of(m, true);
    struct srq_walk *w = walk_of(m, true);
    struct collected got[ODD_LAYERS] = { { NULL, 0 } };
    struct srq_error err = { 0 };
    float *grad;

    (void)state;
    (void)loss_of(w, s, NULL);
    grad = (float *)(void *)srq_states_final_gradient(s, 0);
    for (int64_t i = 0; i < SAMPLES * SEQ * ODD_HIDDEN; i++)
        grad[i] = (float)factor(i);
    for (int u = ODD_BLOCKS - 1; u >= 0; u--) {
        const struct srq_unit_info *info = srq_model_unit(m, u);

        assert_ok(srq_walk_load(w, u, NULL, &err), &err);
        for (int i = 0; i < info->count; i++) {
            struct srq_linear *l = srq_block_linear(srq_walk_block(w), i);

            got[info->first + i] = (struct collected){ srq_calloc((size_t)(l->out * l->in), sizeof(float)), l->in };
            l->sink = collect;
            l->sink_ctx = &got[info->first + i];
        }
        for (int64_t at = 0; at < SAMPLES; at += BATCH)
            assert_ok(srq_walk_backward(w, s, at, SAMPLES - at < BATCH ? SAMPLES - at : BATCH, &err), &err);
    }
    for (int layer = 0; layer < ODD_LAYERS - 1; layer++) {
        const struct srq_layer_info *l = srq_model_layer(m, layer);
        int64_t n = l->out * l->in;
        float *direction = srq_malloc((size_t)n * sizeof(float));
        struct moved k = { .layer = layer, .direction = direction };
        const struct srq_weights weights = { &k, NULL, is_moved, moved_rows, NULL, NULL };
        double want, have = 0;

        assert_ok(srq_model_weight(m, layer, &k.stored, &err), &err);
        for (int64_t i = 0; i < n; i++) {
            direction[i] = (float)(srq_rng_uniform(13, (uint64_t)layer, (uint64_t)i) - 0.5);
            have += (double)direction[i] * (double)got[layer].grad[i];
        }
        k.by = 1e-3;
        want = loss_of(w, s, &weights);
        k.by = -1e-3;
        want = (want - loss_of(w, s, &weights)) / 2e-3;
        print_message("# %s: %g, by differences %g\n", l->name, have, want);
        assert_true(fabs(want - have) < 2e-3 * (fabs(want) + 1));
        srq_free(direction);
        srq_free(got[layer].grad);
    }
    srq_walk_free(w);
    srq_states_free(s);
    srq_model_close(m);
}

/* ---- vectors beside weights -------------------------------------------------------------------------------------- */

static void collect_vector(void *ctx, const float *grad)
{
    struct collected *c = ctx;

    for (int64_t i = 0; i < c->in; i++)
        c->grad[i] += grad[i];
}

/* The loss with vector `vector` of unit `unit` having other values; NULL: its own. */
static double loss_with(struct srq_walk *w, struct srq_states *s, int unit, int vector, const float *values)
{
    const float *x = (const float *)(void *)srq_states_final(s, 0);
    struct srq_error err = { 0 };
    double sum = 0;

    assert_ok(srq_states_embed(s, ids, SAMPLES, &err), &err);
    for (int u = 0; u < ODD_BLOCKS; u++) {
        assert_ok(srq_walk_load(w, u, NULL, &err), &err);
        if (u == unit && values != NULL)
            srq_block_vector(srq_walk_block(w), vector)->value = values;
        assert_ok(srq_walk_over(w, s, SAMPLES, false, NULL, &err), &err);
    }
    for (int64_t i = 0; i < SAMPLES * SEQ * ODD_HIDDEN; i++)
        sum += factor(i) * (double)x[i];
    return sum;
}

static void check_vector(struct srq_states *s, struct srq_walk *w, int unit, int vector)
{
    struct collected got = { NULL, 0 };
    float *grad = (float *)(void *)srq_states_final_gradient(s, 0), *moved, *direction;
    double want, have = 0, by = 1e-3;
    const struct srq_vector *v;
    struct srq_error err = { 0 };

    (void)loss_with(w, s, -1, 0, NULL);
    for (int64_t i = 0; i < SAMPLES * SEQ * ODD_HIDDEN; i++)
        grad[i] = (float)factor(i);
    for (int u = ODD_BLOCKS - 1; u >= unit; u--) {
        assert_ok(srq_walk_load(w, u, NULL, &err), &err);
        if (u == unit) {
            struct srq_vector *listened = srq_block_vector(srq_walk_block(w), vector);

            got = (struct collected){ srq_calloc((size_t)listened->n, sizeof(float)), listened->n };
            listened->sink = collect_vector;
            listened->sink_ctx = &got;
        }
        for (int64_t at = 0; at < SAMPLES; at += BATCH)
            assert_ok(srq_walk_backward(w, s, at, SAMPLES - at < BATCH ? SAMPLES - at : BATCH, &err), &err);
    }
    v = srq_block_vector(srq_walk_block(w), vector);
    moved = srq_malloc((size_t)v->n * sizeof(float));
    direction = srq_malloc((size_t)v->n * sizeof(float));
    for (int64_t i = 0; i < v->n; i++) {
        direction[i] = (float)(srq_rng_uniform(17, (uint64_t)(10 * unit + vector), (uint64_t)i) - 0.5);
        moved[i] = v->value[i] + (float)by * direction[i];
        have += (double)direction[i] * (double)got.grad[i];
    }
    want = loss_with(w, s, unit, vector, moved);
    for (int64_t i = 0; i < got.in; i++)
        moved[i] -= 2 * (float)by * direction[i];
    want = (want - loss_with(w, s, unit, vector, moved)) / (2 * by);
    print_message("# vector %d of unit %d: %g, by differences %g\n", vector, unit, have, want);
    assert_true(fabs(want - have) < 4e-3 * (fabs(want) + 1));
    srq_free(moved);
    srq_free(direction);
    srq_free(got.grad);
}

static void gains_and_biases_have_gradients(void **state)
{
    struct srq_model *m = open_odd();
    struct srq_states *s = states_of(m, true);
    struct srq_walk *w = walk_of(m, true);
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(srq_walk_load(w, 0, NULL, &err), &err);
    assert_int_equal(srq_block_vector_count(srq_walk_block(w)), 2);
    assert_string_equal(srq_block_vector(srq_walk_block(w), 0)->name, "norm");
    assert_string_equal(srq_block_vector(srq_walk_block(w), 1)->name, "skip");
    check_vector(s, w, 0, 0);
    check_vector(s, w, 0, 1);
    check_vector(s, w, 1, 0);
    srq_walk_free(w);
    srq_states_free(s);
    srq_model_close(m);
}

static void few_long_samples_are_walked_over_at_a_time(void **state)
{
    static const int64_t of[][3] = { { 8, 256, 8 },  { 8, 257, 7 }, { 8, 1024, 2 },   { 8, 2048, 1 },
                                     { 8, 9000, 1 }, { 1, 16, 1 },  { 300, 16, 128 }, { 8, 0, 8 } };

    (void)state;
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
        assert_int_equal(srq_walk_samples(of[i][0], of[i][1]), of[i][2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_job_runs_on_unlike_units),
        cmocka_unit_test(a_killed_job_gives_the_same_bytes),
        cmocka_unit_test(the_table_says_who_reads_what),
        cmocka_unit_test(places_are_shared_and_values_are_the_same),
        cmocka_unit_test(a_snapshot_holds_all_that_is_still_read),
        cmocka_unit_test(gradients_are_those_of_finite_differences),
        cmocka_unit_test(gains_and_biases_have_gradients),
        cmocka_unit_test(few_long_samples_are_walked_over_at_a_time),
    };

    return cmocka_run_group_tests_name("units", tests, set_up, tear_down);
}
