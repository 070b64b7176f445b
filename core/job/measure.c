/* The evaluate stage: the original, plain rounding and the result, each measured once for what it depends on (the plan,
 * the results) and remembered. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/grid/round_plain.h"
#include "core/job/tasks.h"
#include "core/model/scale_pairs.h"
#include "core/tune/tensor_scale.h"

#include <inttypes.h>
#include <math.h>

static const char *const facts[] = { "eval-before", "eval-rtn", "eval-after" };

/* ---- weights of the plainly rounded model ------------------------------------------------------------------------ */

struct rounded {
    struct srq_run *run;
    struct srq_codes codes; /* of the layer asked for last */
};

static int rounded_codes(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct rounded *r = ctx;
    const struct srq_job *job = r->run->job;
    const struct srq_scheme *scheme = &r->run->resolved.choice.schemes[layer];
    const struct srq_layer_info *info = job->layers[layer];
    struct srq_tensor weight;
    int rc;

    *out = NULL;
    if (scheme->grid == SRQ_GRID_NONE)
        return 0;
    srq_codes_fini(&r->codes);
    rc = srq_model_weight(job->model, layer, &weight, err);
    if (rc == 0)
        rc = srq_codes_alloc(info->out, info->in, scheme, &r->codes, err);
    if (rc == 0)
        rc = srq_tensor_scale(job->model, layer, scheme, &r->codes.tensor_scale, err);
    if (rc == 0)
        rc = srq_round_plain(&weight, info->name, &r->codes, err);
    if (rc == 0)
        *out = &r->codes;
    return rc;
}

/* ---- telling and remembering ------------------------------------------------------------------------------------- */

static void tell(struct srq_run *run, enum srq_measured w, const cJSON *fact)
{
    cJSON *data;

    if (run->eval_told[w])
        return;
    run->eval_told[w] = true;
    data = cJSON_CreateObject();
    if (data != NULL) {
        static const char *const keys[] = { "perplexity", "kl", "top1", "tokens" };

        cJSON_AddStringToObject(data, "which", srq_measured_words[w]);
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            srq_put_member(data, keys[i], fact);
    }
    srq_event_send(&run->events, "eval.result", data, true);
}

#define KEY_LEN (SRQ_HASH_HEX + 33)

/* Names what a measurement depends on. */
static const char *key_of(struct srq_run *run, enum srq_measured w, char *out, size_t cap)
{
    uint64_t plan = w == SRQ_MEASURED_BEFORE ? 0 : srq_tasks_plan_key(run->tasks);
    uint64_t results = w == SRQ_MEASURED_AFTER ? srq_tasks_inputs(run->tasks, srq_tasks_units(run->tasks)) : 0;

    snprintf(out, cap, "%s%016" PRIx64 "%016" PRIx64, run->basis, plan, results);
    return out;
}

/* Mean loss of each window, so that two methods can be held against each other window by window. */
static bool add_windows(cJSON *fact, const struct srq_eval *e)
{
    cJSON *list = cJSON_AddArrayToObject(fact, "windows");
    int64_t count;
    const double *loss = srq_eval_window_losses(e, &count);
    bool ok = list != NULL;

    for (int64_t i = 0; ok && i < count; i++)
        ok = cJSON_AddItemToArray(list, isfinite(loss[i]) ? cJSON_CreateNumber(loss[i]) : cJSON_CreateNull());
    return ok;
}

static int remember(struct srq_run *run, enum srq_measured w, const struct srq_eval *e,
                    const struct srq_eval_result *result, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    char key[KEY_LEN];
    bool ok = fact != NULL && srq_put_text(fact, "of", key_of(run, w, key, sizeof(key))) &&
              srq_put_number(fact, "perplexity", result->perplexity) && srq_put_number(fact, "kl", result->kl) &&
              srq_put_number(fact, "top1", result->top1) && srq_put_number(fact, "tokens", (double)result->tokens) &&
              srq_put_number(fact, "elapsed_s", result->elapsed_s) && add_windows(fact, e);
    int rc = ok ? srq_fact_write(run->ckpt, facts[w], fact, err)
                : srq_fail(err, -SRQ_ENOMEM, "out of memory keeping an evaluation");

    if (rc == 0) {
        run->eval_told[w] = false; /* what was told before was of another plan */
        tell(run, w, fact);
    }
    cJSON_Delete(fact);
    return rc;
}

/* Whether it was measured before; then it is told where that was missed. */
static bool known(struct srq_run *run, enum srq_measured w)
{
    cJSON *fact = srq_fact_read(run->ckpt, facts[w]);
    const char *of = srq_member_text(fact, "of");
    char key[KEY_LEN];
    bool there = of != NULL && strcmp(of, key_of(run, w, key, sizeof(key))) == 0;

    if (there)
        tell(run, w, fact);
    cJSON_Delete(fact);
    return there;
}

#define STATES "reference"

static char *states_path(const struct srq_run *run)
{
    return srq_path_join(run->ckpt, STATES ".bin");
}

/* What is known of the states kept: of what they are, and their hash. */
static bool states_fact(struct srq_run *run, const void *states, size_t bytes, char of[KEY_LEN], char hash[24])
{
    key_of(run, SRQ_MEASURED_BEFORE, of, KEY_LEN);
    return snprintf(hash, 24, "%016" PRIx64, srq_hash64(states, bytes)) > 0;
}

/* The original's final states are kept on disk between the measurements before and after: they are many bytes that the
 * quantize stage needs for itself. Without them (no space) the original runs again. */
static void store_reference(struct srq_run *run, const struct srq_eval *e)
{
    size_t bytes;
    const void *states = srq_eval_kept(e, &bytes);
    char *path = states_path(run), of[KEY_LEN], hash[24];
    uint64_t limit = (uint64_t)run->job->spec.opt.max_disk;
    struct srq_error err = { 0 };
    cJSON *fact = cJSON_CreateObject();

    srq_fact_remove(run->ckpt, STATES); /* never the old word about the new bytes */
    if (states != NULL && path != NULL && fact != NULL && (limit == 0 || bytes <= limit) &&
        (srq_write_file_durable(path, states, bytes, 0644, &err) != 0 || !states_fact(run, states, bytes, of, hash) ||
         !srq_put_text(fact, "of", of) || !srq_put_text(fact, "hash", hash) ||
         srq_fact_write(run->ckpt, STATES, fact, &err) != 0))
        srq_event_log(&run->events, SRQ_LOG_WARN, "states of the original were not kept: %s", err.text);
    cJSON_Delete(fact);
    srq_free(path);
}

static bool same_text(const cJSON *fact, const char *key, const char *text)
{
    const char *value = srq_member_text(fact, key);

    return value != NULL && strcmp(value, text) == 0;
}

/* Only states of this very model and text, undamaged. */
static bool take_reference(struct srq_run *run, struct srq_eval *e)
{
    cJSON *fact = srq_fact_read(run->ckpt, STATES);
    char *path = fact != NULL ? states_path(run) : NULL, of[KEY_LEN], hash[24];
    struct srq_map map;
    bool ok = false;

    if (path != NULL && srq_map_open(path, &map, NULL) == 0) {
        ok = states_fact(run, map.data, map.size, of, hash) && same_text(fact, "of", of) &&
             same_text(fact, "hash", hash) && srq_eval_keep(e, map.data, map.size, NULL) == 0;
        srq_map_close(&map);
    }
    cJSON_Delete(fact);
    srq_free(path);
    return ok;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

struct ticking {
    struct srq_run *run;
    const char *what;
    bool result; /* the result is measured: a change of the plan ends that */
    struct srq_error err;
};

static int tick(void *ctx, int64_t done, int64_t total)
{
    struct ticking *t = ctx;

    srq_event_progress(&t->run->events, (double)done, (double)total, "window-blocks", t->what);
    if (t->result && srq_tasks_unfinished(t->run->tasks))
        return srq_fail(&t->err, -SRQ_ECANCELED, "the plan changed");
    return srq_run_check(t->run, &t->err);
}

static int measure(struct srq_run *run, struct srq_eval *e, enum srq_measured w, struct srq_error *err)
{
    struct ticking t = { .run = run, .what = srq_measured_words[w], .result = w == SRQ_MEASURED_AFTER };
    struct srq_eval_events events = { &t, tick };
    struct srq_eval_result result;
    struct rounded rounded = { .run = run };
    struct srq_results results;
    struct srq_eval_weights weights = { &rounded, rounded_codes };
    int rc;

    srq_event_stage(&run->events, SRQ_STAGE_EVALUATE, 0, 0, "window-blocks");
    if (w != SRQ_MEASURED_AFTER) /* these two are of the stored model, whatever has been folded into it meanwhile */
        srq_model_unfold(run->job->model);
    srq_results_init(&results, run);
    if (w == SRQ_MEASURED_AFTER)
        weights = (struct srq_eval_weights){ &results, srq_results_codes };
    if (w == SRQ_MEASURED_BEFORE)
        rc = srq_eval_reference(e, &events, &result, err);
    else
        rc = srq_eval_run(e, &weights, NULL, &events, &result, err);
    if (rc != 0 && t.err.code != 0 && err != NULL)
        *err = t.err;
    srq_codes_fini(&rounded.codes);
    srq_results_fini(&results);
    if (rc == 0 && w != SRQ_MEASURED_AFTER)
        rc = srq_run_fold(run, err);
    return rc == 0 ? remember(run, w, e, &result, err) : rc;
}

/* An evaluation, and the model that it compares with, where that is not the job's own as it is stored. */
struct evaluation {
    struct srq_eval *e;
    struct srq_model *original;
};

static void close_eval(struct evaluation *v)
{
    srq_eval_free(v->e);
    srq_model_close(v->original);
}

static int open_eval(struct srq_run *run, struct evaluation *v, struct srq_error *err)
{
    struct srq_eval_config cfg = { .windows = run->job->spec.opt.eval_windows,
                                   .inputs = srq_resolved_rounds_inputs(&run->resolved) };
    int rc = 0;

    *v = (struct evaluation){ NULL, NULL };
    if (srq_model_embedding(run->job->model) != NULL) /* whose place the rounded one has taken */
        rc = srq_model_open(run->job->spec.model, true, &v->original, err);
    if (rc == 0)
        rc = srq_eval_create(run->job->model, v->original, &run->eval, &cfg, &v->e, err);
    if (rc != 0)
        close_eval(v);
    return rc;
}

/* Brings the original's states into `e`; tells its result where it is new. */
static int reference(struct srq_run *run, struct srq_eval *e, struct srq_error *err)
{
    int rc;

    if (known(run, SRQ_MEASURED_BEFORE) && take_reference(run, e))
        return 0;
    rc = measure(run, e, SRQ_MEASURED_BEFORE, err);
    if (rc == 0)
        store_reference(run, e);
    return rc;
}

static int evaluate(struct srq_run *run, enum srq_measured w, struct srq_error *err)
{
    struct evaluation v;
    int rc;

    if (run->eval.count == 0 || (known(run, SRQ_MEASURED_BEFORE) && known(run, SRQ_MEASURED_RTN) &&
                                 (w == SRQ_MEASURED_RTN || known(run, SRQ_MEASURED_AFTER))))
        return 0;
    rc = open_eval(run, &v, err);
    if (rc != 0)
        return rc;
    rc = reference(run, v.e, err);
    if (rc == 0 && !known(run, SRQ_MEASURED_RTN)) /* again where the plan changed since: the two are to be compared */
        rc = measure(run, v.e, SRQ_MEASURED_RTN, err);
    if (rc == 0 && w == SRQ_MEASURED_AFTER && !known(run, SRQ_MEASURED_AFTER))
        rc = measure(run, v.e, SRQ_MEASURED_AFTER, err);
    close_eval(&v);
    return rc == 0 ? srq_events_check(&run->events, err) : rc;
}

int srq_stage_evaluate_before(struct srq_run *run, struct srq_error *err)
{
    int rc = srq_tasks_sync(run->tasks, err);

    return rc == 0 ? evaluate(run, SRQ_MEASURED_RTN, err) : rc;
}

int srq_stage_evaluate_after(struct srq_run *run, struct srq_error *err)
{
    return evaluate(run, SRQ_MEASURED_AFTER, err);
}
