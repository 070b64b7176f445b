/* What stages need to know of blocks: their layers, their results, rounding one without tuning. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/grid/round_plain.h"
#include "core/job/plan_json.h"
#include "core/job/tasks.h"
#include "core/tune/tensor_scale.h"

#include <math.h>

const struct srq_unit_info *srq_run_unit(const struct srq_run *run, int unit)
{
    return srq_model_unit(run->job->model, unit);
}

bool srq_run_is_block(const struct srq_run *run, int unit)
{
    return srq_run_unit(run, unit)->kind == SRQ_UNIT_BLOCK;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

void srq_results_init(struct srq_results *r, struct srq_run *run)
{
    *r = (struct srq_results){ .run = run };
}

int srq_results_codes(void *results, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct srq_results *r = results;
    const struct srq_job *job = r->run->job;
    const struct srq_scheme *scheme = &r->run->resolved.choice.schemes[layer];
    const struct srq_unit_info *u = srq_run_unit(r->run, job->layers[layer]->unit);

    *out = NULL;
    if (scheme->grid == SRQ_GRID_NONE)
        return 0;
    if (r->open == NULL || u != r->unit) {
        int rc;

        srq_results_fini(r);
        rc = srq_ckpt_block_open(r->run->ckpt, job->layers[layer]->unit, job->layers + u->first, u->count, &r->open,
                                 err);
        if (rc != 0)
            return rc;
        r->unit = u;
    }
    if (!srq_scheme_equal(srq_ckpt_block_scheme(r->open, layer - u->first), scheme))
        return srq_fail_field(err, -SRQ_EFORMAT, job->layers[layer]->name,
                              "the stored result of %s is not in the scheme that the plan has",
                              job->layers[layer]->name);
    *out = srq_ckpt_block_codes(r->open, layer - u->first);
    if (*out != NULL && r->run->refined != NULL && r->run->refined_at[layer] >= 0) {
        r->refined = **out;
        r->refined.scale = r->run->refined + r->run->refined_at[layer];
        *out = &r->refined;
    }
    return 0;
}

void srq_results_fini(struct srq_results *r)
{
    srq_ckpt_block_close(r->open);
    r->open = NULL;
}

/* One that stays as it is too: what was told of it before is of another scheme. */
static void tell_layer(struct srq_run *run, const struct srq_layer_info *info, const struct srq_scheme *scheme,
                       const struct srq_block_result *result, int i)
{
    cJSON *data = cJSON_CreateObject();
    bool kept = scheme->grid == SRQ_GRID_NONE;

    if (data != NULL) {
        srq_put_number(data, "block", info->block >= 0 ? info->block : NAN);
        cJSON_AddStringToObject(data, "layer", info->name);
        srq_put_scheme(data, "scheme", scheme);
        srq_put_number(data, "error_first", kept ? NAN : result->error_first[i]);
        srq_put_number(data, "error_best", kept ? NAN : result->error_best[i]);
        srq_put_number(data, "saturation", kept ? NAN : result->saturation[i]);
    }
    srq_event_send(&run->events, "layer.done", data, false);
}

void srq_run_tell_block(struct srq_run *run, const char *event, int unit, cJSON *data, bool sync)
{
    srq_tasks_lock(run->tasks);
    if (data != NULL)
        cJSON_AddStringToObject(data, "state", srq_tasks_state(run->tasks, unit));
    srq_event_send(&run->events, event, data, sync);
    srq_tasks_unlock(run->tasks);
}

int srq_run_tell_result(struct srq_run *run, int unit, const struct srq_block_result *result,
                        const struct srq_scheme *schemes, struct srq_error *err)
{
    const struct srq_unit_info *u = srq_run_unit(run, unit);
    cJSON *data;

    for (int i = 0; i < u->count; i++)
        tell_layer(run, run->job->layers[u->first + i], &schemes[i], result, i);
    run->told[unit] = result->generation;
    data = cJSON_CreateObject();
    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", unit);
        cJSON_AddStringToObject(data, "name", u->name);
        srq_put_number(data, "loss_first", result->loss_first);
        srq_put_number(data, "loss_best", result->loss_best);
        srq_put_number(data, "best_iteration", result->best_iter >= 0 ? (double)result->best_iter : NAN);
        cJSON_AddNumberToObject(data, "elapsed_s", result->elapsed_s);
        cJSON_AddNumberToObject(data, "generation", (double)result->generation);
    }
    srq_run_tell_block(run, "block.end", unit, data, true);
    return srq_events_check(&run->events, err);
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

/* By a one-shot plugin, its result checked. `layer` has its name, place, weight, and what is known of its inputs;
 * scheme, groups and tensor scale are set here, to those of `out`. */
static int round_oneshot(const struct srq_plugin *p, void *self, struct srq_layer *layer, struct srq_codes *out,
                         struct srq_error *err)
{
    struct srq_result result = srq_codes_result(out);
    int rc;

    layer->scheme = &out->scheme;
    layer->groups = &out->groups;
    layer->tensor_scale = out->tensor_scale;
    rc = p->oneshot->quantize(srq_host_services(), self, layer, &result, err);
    if (rc != 0)
        return rc < 0 ? rc : -SRQ_EINVAL;
    return srq_codes_check(out, layer->name, err);
}

/* `l`: its place in its unit and what is known of its inputs. */
static int round_layer(struct srq_run *run, int layer, const struct srq_scheme *scheme, struct srq_layer *l,
                       struct srq_codes *out, struct srq_error *err)
{
    const struct srq_layer_info *info = run->job->layers[layer];
    const struct srq_plugin *p = srq_spec_quantizer(&run->job->spec);
    struct srq_tensor weight;
    int rc = srq_model_weight(run->job->model, layer, &weight, err);

    if (rc == 0)
        rc = srq_codes_alloc(info->out, info->in, scheme, out, err);
    if (rc == 0)
        rc = srq_tensor_scale(run->job->model, layer, scheme, &out->tensor_scale, err);
    if (rc != 0)
        return rc;
    l->name = info->name;
    l->block = info->block;
    l->weight = &weight;
    if (p->oneshot != NULL && !run->job->tunes && !run->finish)
        rc = round_oneshot(p, run->job->self, l, out, err);
    else
        rc = srq_round_plain(&weight, info->name, out, err);
    srq_tensors_release(srq_model_tensors(run->job->model), &weight);
    return rc;
}

/* A unit being rounded. */
struct rounding {
    struct srq_run *run;
    const struct srq_task *task;
    const struct srq_unit_inputs *inputs; /* or NULL */
    int first, layers;
    struct srq_ckpt_block *before; /* its result so far; or NULL */
    struct srq_codes *codes;       /* [layers]; of those that are rounded anew */
    const struct srq_codes **given;
    struct srq_block_result result;
};

static int round_or_keep(struct rounding *r, int i, struct srq_error *err)
{
    const struct srq_scheme *scheme = &r->task->schemes[r->first + i];

    if (scheme->grid == SRQ_GRID_NONE)
        return 0;
    if (r->before != NULL && srq_scheme_equal(srq_ckpt_block_scheme(r->before, i), scheme)) {
        r->given[i] = srq_ckpt_block_codes(r->before, i);
        r->result.error_first[i] = srq_ckpt_block_result(r->before)->error_first[i];
        r->result.error_best[i] = srq_ckpt_block_result(r->before)->error_best[i];
    } else {
        const struct srq_unit_inputs *from = r->inputs;
        struct srq_layer l = { .size = sizeof(l), .index = i };
        int rc = from != NULL ? from->of(from->ctx, i, &l, err) : 0;

        if (rc == 0)
            rc = round_layer(r->run, r->first + i, scheme, &l, &r->codes[i], err);
        if (rc == 0 && from != NULL && from->rounded != NULL)
            rc = from->rounded(from->ctx, i, &r->codes[i], err);
        if (rc != 0)
            return rc;
        r->given[i] = &r->codes[i];
    }
    r->result.saturation[i] = srq_codes_saturation(r->given[i]);
    return 0;
}

static int round_unit(struct rounding *r, struct srq_error *err)
{
    struct srq_run *run = r->run;
    const struct srq_unit_info *u = srq_run_unit(run, r->task->unit);
    double start = srq_clock_s();
    bool given_up = false;
    int rc;

    r->layers = u->count;
    r->first = u->first;
    r->codes = srq_calloc((size_t)r->layers + 1, sizeof(*r->codes));
    r->given = srq_calloc((size_t)r->layers + 1, sizeof(*r->given));
    if (r->codes == NULL || r->given == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory rounding a block");
    rc = srq_block_result_init(&r->result, r->layers, err);
    if (rc == 0 && run->finish && r->task->again)
        rc = srq_ckpt_block_open(run->ckpt, r->task->unit, run->job->layers + r->first, r->layers, &r->before, err);
    for (int i = 0; rc == 0 && i < r->layers; i++)
        rc = round_or_keep(r, i, err);
    if (rc == 0) {
        r->result.elapsed_s = srq_clock_s() - start;
        rc = srq_tasks_commit(run->tasks, r->task, r->given, &r->result, &given_up, err);
    }
    if (rc == 0 && given_up)
        return srq_fail(err, -SRQ_ECANCELED, "the plan changed");
    return rc == 0 ? srq_run_tell_result(run, r->task->unit, &r->result, r->task->schemes + r->first, err) : rc;
}

int srq_run_round_task(struct srq_run *run, const struct srq_task *task, const struct srq_unit_inputs *inputs,
                       struct srq_error *err)
{
    struct rounding r = { .run = run, .task = task, .inputs = inputs };
    int rc = round_unit(&r, err);

    for (int i = 0; r.codes != NULL && i < r.layers; i++)
        srq_codes_fini(&r.codes[i]);
    srq_ckpt_block_close(r.before);
    srq_block_result_fini(&r.result);
    srq_free(r.codes);
    srq_free(r.given);
    return rc;
}
