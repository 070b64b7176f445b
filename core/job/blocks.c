/* What stages need to know of blocks: their layers, their results, rounding one without tuning. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/job/plain.h"
#include "core/tune/tensor_scale.h"

#include <math.h>

int srq_run_block_layers(const struct srq_run *run, int block, int *first)
{
    int n = 0;

    *first = 0;
    for (int i = 0; i < run->job.layer_count; i++) {
        if (run->job.layers[i]->block != block)
            continue;
        if (n++ == 0)
            *first = i;
    }
    return n;
}

/* What the names of its layers have in common, to the last dot. */
char *srq_run_block_name(const struct srq_run *run, int block, char *out, size_t cap)
{
    int first, n = srq_run_block_layers(run, block, &first);
    const char *name = n > 0 ? run->job.layers[first]->name : "";
    const char *module = n > 0 ? run->job.layers[first]->module : "";
    size_t len = strlen(name), tail = strlen(module);

    if (block < 0 || tail + 1 >= len || strcmp(name + len - tail, module) != 0)
        snprintf(out, cap, "%s", block < 0 ? "lm_head" : name);
    else
        snprintf(out, cap, "%.*s", (int)(len - tail - 1), name);
    return out;
}

/* ---- results ------------------------------------------------------------------------------------------------------- */

void srq_results_init(struct srq_results *r, struct srq_run *run)
{
    *r = (struct srq_results){ .run = run, .block = -2 };
}

int srq_results_codes(void *results, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct srq_results *r = results;
    const struct srq_resolved *job = &r->run->job;
    int block = job->layers[layer]->block;

    *out = NULL;
    if (job->schemes[layer].grid == SRQ_GRID_NONE)
        return 0;
    if (r->open == NULL || block != r->block) {
        int n = srq_run_block_layers(r->run, block, &r->first), rc;

        srq_results_fini(r);
        rc = srq_ckpt_block_open(r->run->ckpt, block, job->layers + r->first, job->schemes + r->first, n, &r->open,
                                 err);
        if (rc != 0)
            return rc;
        r->block = block;
    }
    *out = srq_ckpt_block_codes(r->open, layer - r->first);
    return 0;
}

void srq_results_fini(struct srq_results *r)
{
    srq_ckpt_block_close(r->open);
    r->open = NULL;
}

int srq_run_block_told(struct srq_run *run, int block, const struct srq_block_result *result, struct srq_error *err)
{
    int shown = block < 0 ? run->job.info->blocks : block; /* what is outside comes after them */
    char name[200];
    cJSON *data;

    if (run->block_told[shown])
        return srq_events_check(&run->events, err);
    run->block_told[shown] = true;
    data = cJSON_CreateObject();
    if (data != NULL) {
        cJSON_AddNumberToObject(data, "block", shown);
        cJSON_AddStringToObject(data, "name", srq_run_block_name(run, block, name, sizeof(name)));
        srq_json_number(data, "loss_first", result->loss_first);
        srq_json_number(data, "loss_best", result->loss_best);
        srq_json_number(data, "best_iteration", result->best_iter >= 0 ? (double)result->best_iter : NAN);
        cJSON_AddNumberToObject(data, "elapsed_s", result->elapsed_s);
    }
    srq_event_send(&run->events, "block.end", data, true);
    return srq_events_check(&run->events, err);
}

/* ---- rounding ------------------------------------------------------------------------------------------------------ */

static int round_layer(struct srq_run *run, int layer, int index, const float *importance, struct srq_codes *out,
                       struct srq_error *err)
{
    const struct srq_layer_info *info = run->job.layers[layer];
    const struct srq_plugin *p = srq_spec_quantizer(&run->job.spec);
    struct srq_tensor weight;
    int rc = srq_model_weight(run->job.model, info->name, &weight, err);

    if (rc == 0)
        rc = srq_codes_alloc(info->out, info->in, &run->job.schemes[layer], out, err);
    if (rc == 0)
        rc = srq_tensor_scale(run->job.model, layer, &run->job.schemes[layer], &out->tensor_scale, err);
    if (rc != 0)
        return rc;
    if (p->oneshot != NULL && !run->job.tunes && !run->finish)
        rc = srq_round_oneshot(p, run->job.self, &weight, info->name, info->block, index, importance, out, err);
    else
        rc = srq_round_plain(&weight, info->name, out, err);
    srq_tensors_release(srq_model_tensors(run->job.model), &weight);
    return rc;
}

int srq_run_round_block(struct srq_run *run, int block, const float *const *importance, struct srq_error *err)
{
    int first, n = srq_run_block_layers(run, block, &first), rc = 0;
    struct srq_codes *codes = srq_calloc((size_t)n + 1, sizeof(*codes));
    const struct srq_codes **given = srq_calloc((size_t)n + 1, sizeof(*given));
    struct srq_block_result result = { 0 };
    double start = srq_clock_s();

    if (codes == NULL || given == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory rounding a block");
    for (int i = 0; rc == 0 && i < n; i++) {
        if (run->job.schemes[first + i].grid == SRQ_GRID_NONE)
            continue;
        rc = round_layer(run, first + i, i, importance != NULL ? importance[i] : NULL, &codes[i], err);
        given[i] = &codes[i];
    }
    if (rc == 0)
        rc = srq_block_result_init(&result, n, err);
    if (rc == 0) {
        result.elapsed_s = srq_clock_s() - start;
        rc = srq_ckpt_block_write(run->ckpt, block, run->job.layers + first, n, given, &result, err);
    }
    if (rc == 0)
        rc = srq_run_block_told(run, block, &result, err);
    for (int i = 0; codes != NULL && i < n; i++)
        srq_codes_fini(&codes[i]);
    srq_block_result_fini(&result);
    srq_free(codes);
    srq_free(given);
    return rc;
}
