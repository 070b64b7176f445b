/* --eval: perplexity of any readable folder, and its distance from another. */
#include "daemon/srq-worker/commands.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/eval/evaluator.h"
#include "core/job/options.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"
#include "daemon/srq-worker/ticker.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct request {
    cJSON *json;
    const char *model, *reference, *logits;
    const char **files;
    int file_count;
    struct srq_job_options opt;
};

struct measured {
    struct srq_model *model, *reference;
    struct srq_samples samples;
    struct srq_eval *eval;
    struct srq_eval_result base, result;
};

static int take_path(const cJSON *item, const char **out, struct srq_error *err)
{
    if (cJSON_IsNull(item))
        return 0;
    *out = cJSON_GetStringValue(item);
    if (*out == NULL || (*out)[0] != '/')
        return srq_fail_field(err, -SRQ_EINVAL, item->string, "\"%s\" is not an absolute path", item->string);
    return 0;
}

static int take_files(struct request *r, const cJSON *list, struct srq_error *err)
{
    const cJSON *item;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0)
        return srq_fail_field(err, -SRQ_EINVAL, "eval", "\"eval\" is not a list of text files");
    r->files = srq_calloc((size_t)cJSON_GetArraySize(list), sizeof(r->files[0]));
    if (r->files == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading the request");
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return srq_fail_field(err, -SRQ_EINVAL, "eval", "\"eval\" is not a list of text files");
        r->files[r->file_count++] = item->valuestring;
    }
    return 0;
}

static int take_options(struct request *r, const cJSON *options, struct srq_error *err)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, options)
    {
        char number[32];
        int rc;

        if (cJSON_IsNull(item))
            continue;
        snprintf(number, sizeof(number), "%.15g", item->valuedouble);
        rc = srq_job_options_set(&r->opt, item->string, cJSON_IsString(item) ? item->valuestring : number, true, err);
        if (rc != 0)
            return rc;
    }
    srq_job_options_finish(&r->opt);
    return 0;
}

static int read_request(struct request *r, struct srq_error *err)
{
    const cJSON *item, *options = NULL;
    char *text = NULL;
    size_t len;
    int rc = worker_read_input(&text, &len, err);

    srq_job_options_init(&r->opt);
    if (rc == 0)
        rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, &r->json, err);
    srq_free(text);
    if (rc == 0 && !cJSON_IsObject(r->json))
        rc = srq_fail(err, -SRQ_EINVAL, "a request is a JSON object");
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(item, r->json)
    {
        if (strcmp(item->string, "model") == 0)
            rc = take_path(item, &r->model, err);
        else if (strcmp(item->string, "reference") == 0)
            rc = take_path(item, &r->reference, err);
        else if (strcmp(item->string, "logits") == 0)
            rc = take_path(item, &r->logits, err);
        else if (strcmp(item->string, "eval") == 0)
            rc = take_files(r, item, err);
        else if (strcmp(item->string, "options") == 0 && cJSON_IsObject(item))
            options = item;
        else
            rc = srq_fail_field(err, -SRQ_EINVAL, item->string, "an evaluation has no key \"%.100s\"", item->string);
        if (rc != 0)
            return rc;
    }
    if (r->model == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, "model", "the request lacks \"model\"");
    if (r->files == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, "eval", "the request lacks \"eval\": a list of text files");
    return take_options(r, options, err);
}

static int read_samples(const struct request *r, struct measured *m, struct srq_error *err)
{
    struct srq_sample_request req = { .files = r->files,
                                      .file_count = r->file_count,
                                      .nsamples = r->opt.eval_windows,
                                      .seqlen = r->opt.eval_seqlen,
                                      .vocab = srq_model_info(m->model)->vocab,
                                      .model_dir = srq_model_info(m->model)->folder };
    int64_t positions = srq_model_info(m->model)->max_positions;
    struct srq_tokenizer *tk = NULL;
    int rc = srq_tokenizer_open(srq_model_info(m->model)->folder, &tk, err);

    if (positions > 0 && req.seqlen > positions) {
        if ((r->opt.set & srq_job_option_bit("eval.seqlen")) != 0)
            srq_log(SRQ_LOG_WARN,
                    "eval.seqlen %" PRId64 " is more than the %" PRId64 " positions of the model and becomes that",
                    req.seqlen, positions);
        req.seqlen = positions;
    }
    if (rc == 0 && srq_tokenizer_doubt(tk) != NULL)
        srq_log(SRQ_LOG_WARN, "%s", srq_tokenizer_doubt(tk));
    if (rc == 0)
        rc = srq_samples_read(tk, &req, &m->samples, err);
    srq_tokenizer_free(tk);
    return rc;
}

/* A model of words, open. */
static int open_model(const char *path, struct srq_model **out, struct srq_error *err)
{
    int rc = srq_model_open(path, false, out, err);

    if (rc == 0 && srq_model_info(*out)->pictures)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model",
                              "%s is a diffusion model (%s); eval measures language models on a text", path,
                              srq_model_info(*out)->family);
    return rc;
}

/* Of a model whose logits are not finite: the tensor that is not, where one is. */
static int find_cause(const struct srq_model *m, int rc, struct srq_error *err)
{
    struct srq_error why = { 0 };

    for (int u = 0; rc == -SRQ_ENUMERIC && u < srq_model_unit_count(m); u++) {
        if (srq_model_check_finite(m, u, &why) == -SRQ_ENUMERIC) {
            *err = why;
            break;
        }
    }
    return rc;
}

static int measure(const struct request *r, struct measured *m, struct srq_error *err)
{
    struct srq_eval_config cfg = { .windows = r->opt.eval_windows };
    struct worker_ticker ticker = { .stage = "evaluate", .unit = "window-blocks" };
    struct srq_eval_events events = { &ticker, worker_tick };
    char gemm[32];
    int rc = srq_team_start(r->opt.threads != 0 ? (int)r->opt.threads : srq_team_default(), err);

    if (rc == 0)
        rc = srq_gemm_start(srq_job_option_choice("gemm", r->opt.gemm, gemm, sizeof(gemm)), err);
    if (rc == 0)
        rc = open_model(r->model, &m->model, err);
    if (rc == 0 && r->reference != NULL)
        rc = open_model(r->reference, &m->reference, err);
    for (int i = 0; rc == 0 && srq_model_note(m->model, i) != NULL; i++)
        srq_log(SRQ_LOG_WARN, "%s", srq_model_note(m->model, i));
    if (rc == 0)
        rc = read_samples(r, m, err);
    if (rc == 0)
        rc = srq_eval_create(m->model, m->reference, &m->samples, &cfg, &m->eval, err);
    if (rc == 0 && m->reference != NULL)
        rc = find_cause(m->reference, srq_eval_reference(m->eval, &events, &m->base, err), err);
    if (rc == 0)
        rc = find_cause(m->model, srq_eval_run(m->eval, NULL, r->logits, &events, &m->result, err), err);
    return rc;
}

static cJSON *result_json(const struct request *r, const struct measured *m)
{
    cJSON *o = cJSON_CreateObject(), *base;

    if (o == NULL)
        return NULL;
    cJSON_AddStringToObject(o, "model", r->model);
    srq_put_number(o, "perplexity", m->result.perplexity);
    srq_put_number(o, "loss", m->result.loss);
    srq_put_number(o, "kl", m->result.kl);
    srq_put_number(o, "top1", m->result.top1);
    srq_put_number(o, "tokens", (double)m->result.tokens);
    srq_put_number(o, "windows", (double)m->samples.count);
    srq_put_number(o, "seqlen", (double)m->samples.seqlen);
    srq_put_number(o, "elapsed_s", m->result.elapsed_s);
    if (m->reference != NULL) {
        base = cJSON_AddObjectToObject(o, "reference");
        cJSON_AddStringToObject(base, "model", r->reference);
        srq_put_number(base, "perplexity", m->base.perplexity);
        srq_put_number(base, "loss", m->base.loss);
    } else {
        cJSON_AddNullToObject(o, "reference");
    }
    srq_put_text(o, "logits", r->logits);
    cJSON_AddStringToObject(o, "gemm_backend", srq_gemm_backend(SRQ_F32));
    srq_put_number(o, "threads", srq_team_size());
    return o;
}

int worker_evaluate(void)
{
    struct request r = { 0 };
    struct measured m = { 0 };
    struct srq_error err = { 0 };
    int rc = read_request(&r, &err), code;

    if (rc == 0 && r.logits != NULL)
        rc = srq_check_replaced(r.logits, "\x93NUMPY", "array of NumPy", &err);
    if (rc == 0)
        rc = measure(&r, &m, &err);
    if (rc == -SRQ_ECANCELED)
        srq_fail(&err, -SRQ_ECANCELED, "stopped by a signal");
    code = rc == 0 ? worker_answer(result_json(&r, &m)) : worker_refuse(&err);
    srq_eval_free(m.eval);
    srq_samples_fini(&m.samples);
    srq_model_close(m.reference);
    srq_model_close(m.model);
    srq_free(r.files);
    cJSON_Delete(r.json);
    return code;
}
