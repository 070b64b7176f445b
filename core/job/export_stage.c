/* The export stage: every format, the report, and the final name in one step. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/diffusion/high_rule.h"
#include "core/flow/roundings.h"
#include "core/format/archive_pack.h"
#include "core/flow/snapshot.h"
#include "core/job/history.h"
#include "core/job/plan_json.h"
#include "core/job/train.h"

#include <math.h>
#include <unistd.h>

#define SCALES_MAX ((size_t)1 << 30)

struct ticking {
    struct srq_run *run;
    const char *format;
    int index;
    struct srq_error err;
};

static int tick(void *ctx, int64_t done, int64_t total)
{
    struct ticking *t = ctx;
    int formats = t->run->job->spec.format_count;

    srq_event_progress(&t->run->events, t->index + (total > 0 ? (double)done / (double)total : 0), formats, "formats",
                       t->format);
    return srq_run_check(t->run, &t->err);
}

static int build_format(struct srq_run *run, int index, const char *dir, struct srq_error *err)
{
    struct ticking t = { .run = run, .format = run->job->spec.formats[index], .index = index };
    struct srq_results results;
    struct srq_export_request req = { .schemes = run->resolved.choice.schemes,
                                      .codes = srq_results_codes,
                                      .codes_ctx = &results,
                                      .tick = tick,
                                      .tick_ctx = &t };
    int rc;

    req.format = srq_format_find(t.format, err);
    if (req.format == NULL)
        return -SRQ_EINVAL;
    srq_results_init(&results, run);
    rc = srq_export_build(run->job->model, &req, dir, err);
    srq_results_fini(&results);
    if (rc != 0 && t.err.code != 0 && err != NULL)
        *err = t.err;
    return rc;
}

static int write_report(struct srq_run *run, const char *dir, struct srq_error *err)
{
    cJSON *report = srq_report_json(run, err);
    char *text = report != NULL ? cJSON_Print(report) : NULL, *path = srq_path_join(dir, "report.json");
    char *own = srq_path_join(run->dir, "report.json");
    int rc = 0;

    if (report == NULL)
        rc = -SRQ_ENOMEM;
    else if (text == NULL || path == NULL || own == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory writing the report");
    if (rc == 0)
        rc = srq_write_file_durable(path, text, strlen(text), 0666, err);
    if (rc == 0)
        rc = srq_write_file_durable(own, text, strlen(text), 0644, err);
    srq_free(path);
    srq_free(own);
    cJSON_free(text);
    cJSON_Delete(report);
    return rc;
}

/* srq_plan.json: scheme and source of every layer, the revision of the plan and what each revision changed, for whoever
 * gets the model. Like all of the export it names no time and no person. */
static int write_plan(struct srq_run *run, const char *dir, struct srq_error *err)
{
    const struct srq_plan *plan = &run->resolved.choice.plan;
    cJSON *root = cJSON_CreateObject(), *rows = root != NULL ? cJSON_AddArrayToObject(root, "layers") : NULL;
    char *text = NULL, *path = srq_path_join(dir, "srq_plan.json");
    cJSON *history = NULL, *changes = NULL;
    bool ok = rows != NULL;
    int rc = srq_history_load(run->dir, plan->revision, &history, err);

    if (rc == 0)
        changes = srq_history_public(history);
    cJSON_Delete(history);
    for (int i = 0; ok && i < plan->count; i++) {
        cJSON *o = cJSON_CreateObject();

        ok = cJSON_AddItemToArray(rows, o) && srq_put_text(o, "name", plan->layers[i].info->name) &&
             srq_put_decision(o, &plan->layers[i]);
    }
    ok = ok && srq_put_number(root, "average_bits", run->resolved.choice.size.average_bits) &&
         srq_put_number(root, "revision", (double)plan->revision) && changes != NULL &&
         cJSON_AddItemToObject(root, "changes", changes);
    if (!ok)
        cJSON_Delete(changes);
    else
        text = cJSON_Print(root);
    if (rc == 0)
        rc = text != NULL && path != NULL ? srq_write_file_durable(path, text, strlen(text), 0666, err)
                                          : srq_fail(err, -SRQ_ENOMEM, "out of memory writing the plan");
    srq_free(path);
    cJSON_free(text);
    cJSON_Delete(root);
    return rc;
}

/* srq_scales.st: the scales that were folded in, for whoever wants to use them again. The name keeps loaders of weights
 * away. */
static int write_scales(struct srq_run *run, const char *dir, struct srq_error *err)
{
    char *from = srq_asprintf("%s/" SRQ_SCALES_FILE ".safetensors", run->ckpt),
         *to = srq_path_join(dir, "srq_scales.st");
    char *data = NULL;
    size_t len = 0;
    int rc = from != NULL && to != NULL ? srq_read_file(from, SCALES_MAX, &data, &len, err)
                                        : srq_fail(err, -SRQ_ENOMEM, "out of memory writing the scales");

    if (rc == 0)
        rc = srq_write_file_durable(to, data, len, 0666, err);
    srq_free(data);
    srq_free(from);
    srq_free(to);
    return rc;
}

/* ---- diffusion models -------------------------------------------------------------------------------------------- */

static int write_sheet(struct srq_run *run, const char *dir, struct srq_error *err)
{
    char *from = srq_path_join(run->ckpt, SRQ_SHEET_FILE), *to = srq_path_join(dir, SRQ_SHEET_FILE), *data = NULL;
    size_t len = 0;
    int rc = from != NULL && to != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");

    if (rc == 0 && srq_path_exists(from)) {
        rc = srq_read_file(from, SCALES_MAX, &data, &len, err);
        if (rc == 0)
            rc = srq_write_file_durable(to, data, len, 0666, err);
    }
    srq_free(data);
    srq_free(from);
    srq_free(to);
    return rc;
}

struct srq_high_steps srq_run_high_steps(const struct srq_run *run)
{
    cJSON *fact = srq_fact_read(run->ckpt, SRQ_SAMPLES_FACT);
    double first = srq_member_number(fact, "hp_first"), last = srq_member_number(fact, "hp_last");
    struct srq_high_steps steps = srq_job_high_steps(run->job, run->option, NULL);

    if (!isnan(first) && !isnan(last))
        steps = (struct srq_high_steps){ (int)first, (int)last };
    cJSON_Delete(fact);
    return steps;
}

/* The model that computes the first and last steps, as it was before all training. */
static int write_high(struct srq_run *run, const struct srq_high_rule *rule, const char *dir, struct srq_error *err)
{
    const struct srq_job *job = run->job;
    struct srq_scheme *none = srq_calloc((size_t)job->layer_count + 1, sizeof(*none));
    struct srq_export_request req = { .schemes = none, .narrow = rule->dtype == SRQ_BF16 };
    char *to = srq_path_join(dir, SRQ_HIGH_FOLDER);
    struct srq_model *original = NULL;
    int rc = none != NULL && to != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");

    for (int i = 0; rc == 0 && i < job->layer_count; i++)
        none[i] = srq_scheme_none();
    if (rc == 0 && (req.format = srq_format_find("fake", err)) == NULL)
        rc = -SRQ_EINVAL;
    if (rc == 0)
        rc = srq_model_open(job->spec.model, true, &original, err);
    if (rc == 0)
        rc = srq_export_build(original, &req, to, err);
    srq_model_close(original);
    srq_free(none);
    srq_free(to);
    return rc;
}

/* How what passes between layers is rounded, and which steps are to be computed in full precision: what samplers have
 * to know. A format for srq's own sampler has the model for those steps too. */
static int write_sampling(struct srq_run *run, const char *format, const char *dir, struct srq_error *err)
{
    struct srq_layer_roundings *all = srq_calloc((size_t)run->job->layer_count + 1, sizeof(*all));
    const struct srq_high_steps steps = srq_run_high_steps(run);
    const struct srq_high_rule rule = { steps.first, steps.last, srq_job_high_dtype(run->job) };
    bool rounds = srq_spec_trainer(&run->job->spec) != NULL;
    int rc = all != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");

    if (rc == 0 && rounds)
        rc = srq_run_roundings(run, run->resolved.choice.schemes, all, err);
    if (rc == 0 && rounds)
        rc = srq_roundings_write(run->job->model, all, dir, err);
    if (rc == 0)
        rc = srq_high_rule_write(&rule, dir, err);
    if (rc == 0 && strcmp(format, "int8") == 0 && rule.first + rule.last > 0)
        rc = write_high(run, &rule, dir, err);
    srq_free(all);
    return rc;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* One format is the folder itself, several are folders in it. */
static int build_all(struct srq_run *run, const char *dir, struct srq_error *err)
{
    const struct srq_spec *s = &run->job->spec;
    double start = srq_clock_s();
    int rc = 0;

    if (s->format_count > 1)
        rc = srq_mkdirs(dir, 0777, err);
    for (int i = 0; rc == 0 && i < s->format_count; i++) {
        char *sub = s->format_count > 1 ? srq_path_join(dir, s->formats[i]) : srq_strdup(dir);

        rc = sub != NULL ? build_format(run, i, sub, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");
        if (rc == 0 && srq_job_mixes_steps(run->job))
            rc = write_sampling(run, s->formats[i], sub, err);
        if (rc == 0 && s->format_count > 1)
            rc = write_plan(run, sub, err);
        srq_free(sub);
    }
    run->export_s = srq_clock_s() - start;
    if (rc == 0)
        rc = write_plan(run, dir, err);
    if (rc == 0 && run->scales.pairs > 0)
        rc = write_scales(run, dir, err);
    if (rc == 0 && run->job->info->pictures)
        rc = write_sheet(run, dir, err);
    return rc == 0 ? write_report(run, dir, err) : rc;
}

/* Its report names the job and when it was made. */
bool srq_run_published(const struct srq_run *run)
{
    char *path = srq_path_join(run->job->spec.output, "report.json"), *text = NULL;
    size_t len = 0;
    cJSON *report = NULL;
    const cJSON *created;
    const char *job;
    bool ours;

    if (path != NULL && srq_read_file(path, (size_t)256 << 20, &text, &len, NULL) == 0)
        report = cJSON_ParseWithLength(text, len);
    job = srq_member_text(report, "job");
    created = cJSON_GetObjectItemCaseSensitive(report, "created");
    ours = job != NULL && strcmp(job, run->id) == 0 && cJSON_IsNumber(created) &&
           fabs(created->valuedouble - run->created) < 1e-6;
    cJSON_Delete(report);
    srq_free(text);
    srq_free(path);
    return ours;
}

static int tick_packing(void *ctx)
{
    struct ticking *t = ctx;

    return srq_run_check(t->run, &t->err);
}

/* The published folder, packed beside it; done anew by a run that goes on, to the same bytes. */
static int pack_output(struct srq_run *run, struct srq_error *err)
{
    const struct srq_spec *s = &run->job->spec;
    struct ticking t = { .run = run };
    struct srq_archive_packing p = { .dir = s->output,
                                     .kind = (enum srq_archive_kind)s->opt.archive,
                                     .leave = "report.json",
                                     .tick = tick_packing,
                                     .ctx = &t };
    char *path;
    int rc;

    if (p.kind == SRQ_ARCHIVE_NONE)
        return 0;
    path = srq_asprintf("%s%s", s->output, srq_archive_suffix(p.kind));
    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory packing the output");
    p.path = path;
    rc = srq_archive_pack(&p, err);
    if (rc != 0 && t.err.code != 0 && err != NULL)
        *err = t.err;
    srq_free(path);
    return rc;
}

/* Nothing is resumed behind this point. A kill in between leaves a run whose output is published, and which comes here
 * without asking for results of blocks (srq_run_published). */
static void drop_large_files(struct srq_run *run)
{
    char *reference = srq_path_join(run->ckpt, "reference.bin");
    struct srq_error err;

    if (reference != NULL)
        unlink(reference);
    srq_free(reference);
    srq_snapshot_thin(run->ckpt, -1, 0);
    srq_running_remove(run->ckpt);
    if (run->job->spec.opt.keep_checkpoints == 0 && srq_ckpt_clear(run->ckpt, &err) != 0)
        srq_event_log(&run->events, SRQ_LOG_WARN, "checkpoints stay: %s", err.text);
}

int srq_stage_export(struct srq_run *run, struct srq_error *err)
{
    const struct srq_spec *s = &run->job->spec;
    char *dir;
    int rc;

    srq_event_stage(&run->events, SRQ_STAGE_EXPORT, 0, s->format_count, "formats");
    dir = srq_export_temporary(s->output);
    if (dir == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");
    rc = srq_remove_tree(dir, err); /* what an earlier run left */
    if (rc == 0 && !srq_run_published(run)) {
        rc = srq_export_parents(s->output, err);
        if (rc == 0)
            rc = build_all(run, dir, err);
        if (rc == 0)
            rc = srq_export_publish(dir, s->output, s->force, err);
        if (rc != 0)
            srq_remove_tree(dir, NULL);
    }
    srq_free(dir);
    if (rc == 0)
        rc = pack_output(run, err);
    if (rc == 0)
        drop_large_files(run);
    if (rc == 0)
        srq_event_progress(&run->events, s->format_count, s->format_count, "formats", NULL);
    return rc;
}
