/* Specification and model together. */
#include "core/job/resolve.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/format/archive_pack.h"
#include "core/job/budget.h"
#include "core/job/estimate.h"
#include "core/job/events.h"
#include "core/job/footprint.h"
#include "core/job/plan_json.h"
#include "core/job/resample.h"
#include "core/job/size.h"
#include "core/job/train.h"
#include "core/job/transform.h"
#include "core/job/usage.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/proto/proto.h"
#include "core/text/samples.h"

#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>

static int start_math(struct srq_resolved *r, struct srq_error *err)
{
    struct srq_job_options *o = &r->job.spec.opt;
    char gemm[32] = "";
    int rc;

    if (o->threads == 0)
        o->threads = srq_team_default();
    rc = srq_team_start((int)o->threads, err);
    if (rc == 0 && o->bind_threads != 0)
        rc = srq_team_bindable(err);
    if (rc == 0)
        rc = srq_gemm_start(srq_job_option_choice("gemm", o->gemm, gemm, sizeof(gemm)), err);
    if (rc != 0 && r->job.spec.accept_drift && strncmp(gemm, "avx512", 6) == 0) /* settled on another machine */
        rc = srq_gemm_start("auto", err);
    if (rc != 0)
        return rc;
    if (srq_gemm_timed()) /* the next process of the job may not find the same */
        o->gemm = srq_job_option_place("gemm", srq_gemm_backend(SRQ_BF16));
    if (o->compute == SRQ_CHOICE_AUTO)
        o->compute = srq_gemm_preferred() == SRQ_BF16 ? SRQ_CHOICE_BF16 : SRQ_CHOICE_F32;
    if (o->cache == SRQ_CHOICE_AUTO)
        o->cache = o->compute;
    r->job.compute = o->compute == SRQ_CHOICE_BF16 ? SRQ_BF16 : SRQ_F32;
    r->job.cache = o->cache == SRQ_CHOICE_BF16 ? SRQ_BF16 : SRQ_F32;
    return 0;
}

/* The layouts of language models hold no pictures' model: where nobody named a format, it is not one of them. */
static int choose_format(struct srq_spec *s, struct srq_error *err)
{
    char *fake = s->format_chosen ? srq_strdup("fake") : NULL;

    if (!s->format_chosen)
        return 0;
    if (fake == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading the job");
    srq_free(s->formats[0]);
    s->formats[0] = fake;
    return 0;
}

/* The embedding under the scheme that was asked for, or what stands in for a k-quant where rows are no super-blocks, as
 * with layers. */
static int round_embedding(struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_spec *s = &r->job.spec;
    const struct srq_layer_info info = { .out = r->job.info->vocab, .in = r->job.info->hidden };
    struct srq_scheme scheme;
    char asked[64], got[64];

    if (s->embedding.grid == SRQ_GRID_NONE)
        return 0;
    for (int i = 0; i < s->format_count; i++) {
        const struct srq_format *f = srq_format_find(s->formats[i], NULL);

        if (f != NULL && !srq_format_rounds_embedding(f))
            return srq_fail_field(err, -SRQ_EUNSUPPORTED, "embedding",
                                  "%s stores an embedding as it is: of the formats gguf alone can have it rounded",
                                  s->formats[i]);
    }
    scheme = r->job.info->pictures ? s->embedding : srq_plan_default(&info, &s->embedding);
    if (!srq_scheme_equal(&scheme, &s->embedding))
        srq_resolved_note(r, "embedding: rows of %" PRId64 " are no whole super-blocks of %s, so it gets %s", info.in,
                          srq_scheme_text(&s->embedding, asked, sizeof(asked)),
                          srq_scheme_text(&scheme, got, sizeof(got)));
    return srq_model_round_embedding(r->job.model, &scheme, err);
}

static int open_model(struct srq_resolved *r, struct srq_error *err)
{
    int rc = srq_model_open(r->job.spec.model, true, &r->job.model, err);

    if (rc != 0) {
        if (err != NULL && err->field[0] == '\0')
            snprintf(err->field, sizeof(err->field), "model");
        return rc;
    }
    r->job.info = srq_model_info(r->job.model);
    for (int i = 0; srq_model_note(r->job.model, i) != NULL; i++)
        srq_resolved_note(r, "%s", srq_model_note(r->job.model, i));
    if (r->job.info->pictures && (r->job.spec.opt.set & srq_job_option_bit("compute")) == 0) {
        r->job.spec.opt.compute = r->job.spec.opt.cache = SRQ_CHOICE_F32; /* grids of 8 bits are finer than BF16 */
        r->job.compute = r->job.cache = SRQ_F32;
    }
    if (r->job.info->pictures && choose_format(&r->job.spec, err) != 0)
        return -SRQ_ENOMEM;
    r->job.layer_count = srq_model_layer_count(r->job.model);
    r->job.layers = srq_calloc((size_t)r->job.layer_count + 1, sizeof(r->job.layers[0]));
    r->choice.schemes = srq_calloc((size_t)r->job.layer_count + 1, sizeof(r->choice.schemes[0]));
    if (r->job.layers == NULL || r->choice.schemes == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %d layers", r->job.layer_count);
    for (int i = 0; i < r->job.layer_count; i++)
        r->job.layers[i] = srq_model_layer(r->job.model, i);
    if (r->job.spec.quant_lm_head && r->job.info->tied_head)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "quant_lm_head",
                              "lm_head of %s is tied to the embedding and cannot be quantized alone",
                              r->job.info->path);
    return round_embedding(r, err);
}

/* Told only where it matters to the job. */
static void clamp(struct srq_resolved *r, bool used, int64_t *value, const char *name)
{
    if (r->job.info->max_positions <= 0 || *value <= r->job.info->max_positions)
        return;
    if (used)
        srq_resolved_note(r, "%s %" PRId64 " is more than the %" PRId64 " positions of the model and becomes that",
                          name, *value, r->job.info->max_positions);
    *value = r->job.info->max_positions;
}

static int check_formats(const struct srq_resolved *r, struct srq_error *err)
{
    for (int i = 0; i < r->job.spec.format_count; i++) {
        if (srq_format_find(r->job.spec.formats[i], err) == NULL) {
            if (err != NULL)
                snprintf(err->field, sizeof(err->field), "formats");
            return -SRQ_EINVAL;
        }
    }
    return 0;
}

/* That the formats can have what the model is and brings along. */
static int check_model(const struct srq_resolved *r, struct srq_error *err)
{
    int rc = srq_export_check_carried(r->job.model, err);

    for (int i = 0; rc == 0 && i < r->job.spec.format_count; i++)
        rc = srq_format_holds(srq_format_find(r->job.spec.formats[i], NULL), r->job.model, err);
    return rc;
}

static int make_plan(struct srq_resolved *r, struct srq_error *err)
{
    struct srq_plan_request req = { .scheme = r->job.spec.scheme,
                                    .pins = r->job.spec.pins,
                                    .pin_count = r->job.spec.pin_count,
                                    .quant_lm_head = r->job.spec.quant_lm_head,
                                    .refuse_incompatible =
                                        r->job.spec.refuse_incompatible && !srq_spec_has_budget(&r->job.spec),
                                    .formats = srq_resolved_formats,
                                    .formats_ctx = r };
    int rc = srq_plan_make(r->job.layers, r->job.layer_count, &req, &r->choice.plan, r->notes, err);
    bool any = false;

    if (rc == 0)
        rc = srq_budget_settle(r, err);
    if (rc == 0)
        srq_plan_note_left(&r->choice.plan, NULL, r->notes);
    if (rc == 0 && srq_spec_transform(&r->job.spec) != NULL)
        rc = srq_job_transform_aim(r, &req, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < r->job.layer_count; i++) {
        r->choice.schemes[i] = r->choice.plan.layers[i].scheme;
        any = any || r->choice.schemes[i].grid != SRQ_GRID_NONE;
    }
    if (!any && srq_spec_quantizes(&r->job.spec))
        srq_resolved_note(r, "no layer is quantized under this plan");
    srq_resolved_take_size(r);
    return srq_resolved_accepts(r, err);
}

/* What is added to the output's name while it is built: as a folder beside it, or with the archive's suffix. */
#define NAME_ROOM (sizeof("..srq-new") - 1)

static int check_output(const struct srq_spec *s, struct srq_error *err)
{
    const char *suffix = srq_archive_suffix((enum srq_archive_kind)s->opt.archive);
    char *archive = srq_asprintf("%s%s", s->output, suffix);
    struct stat st;
    int rc = archive != NULL ? srq_path_fits(s->output, strlen(suffix) + NAME_ROOM, err)
                             : srq_fail(err, -SRQ_ENOMEM, "out of memory reading the job");

    if (rc != 0 && err != NULL && err->field[0] == '\0')
        snprintf(err->field, sizeof(err->field), "output");
    if (rc == 0)
        rc = srq_export_check_output(s->output, s->model, s->force, err);
    if (rc == 0 && suffix[0] != '\0' && strcmp(archive, s->model) == 0)
        rc = srq_fail_field(err, -SRQ_EINVAL, "output", "output %s would replace the model", archive);
    if (rc == 0 && suffix[0] != '\0' && !s->force && srq_path_exists(archive))
        rc = srq_fail_field(err, -SRQ_EEXIST, "output", "output %s exists; remove it, choose another, or use --force",
                            archive);
    if (rc == 0 && suffix[0] != '\0' && stat(archive, &st) == 0 && !S_ISREG(st.st_mode))
        rc = srq_fail_field(err, -SRQ_EEXIST, "output", "output %s exists and is no file: it is not replaced", archive);
    srq_free(archive);
    return rc;
}

/* An output that is replaced takes what lies in it away. */
static int check_input(const struct srq_spec *s, const char *path, struct srq_error *err)
{
    const char *suffix = srq_archive_suffix((enum srq_archive_kind)s->opt.archive);
    char *out = srq_path_canonical(s->output), *in = path != NULL ? srq_path_canonical(path) : NULL;
    char *archive = out != NULL ? srq_asprintf("%s%s", out, suffix) : NULL;
    int rc = 0;

    if (out == NULL || archive == NULL || (path != NULL && in == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory reading the job");
    else if (in != NULL && srq_path_within(in, out))
        rc = srq_fail_field(err, -SRQ_EINVAL, "output",
                            "output %s holds %s, which the job reads: replacing the one would delete the other",
                            s->output, path);
    else if (in != NULL && suffix[0] != '\0' && strcmp(in, archive) == 0)
        rc = srq_fail_field(err, -SRQ_EINVAL, "output", "output %s would replace %s, which the job reads", archive,
                            path);
    srq_free(archive);
    srq_free(in);
    srq_free(out);
    return rc;
}

static int check_inputs(const struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_spec *s = &r->job.spec;
    int rc = check_input(s, s->features, err);

    for (int i = 0; rc == 0 && i < s->calib_count; i++)
        rc = check_input(s, s->calib[i], err);
    for (int i = 0; rc == 0 && i < s->eval_count; i++)
        rc = check_input(s, s->eval[i], err);
    return rc == 0 ? check_input(s, r->job.transform.load, err) : rc;
}

static int create_plugin(struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_plugin *p = srq_spec_quantizer(&r->job.spec);
    int rc;

    srq_host_seed((uint64_t)r->job.spec.opt.seed);
    if (!srq_spec_quantizes(&r->job.spec))
        return 0;
    rc = p->create != NULL
             ? p->create(srq_host_services(), r->job.spec.plugins[r->job.spec.quantizer].options, &r->job.self, err)
             : 0;
    r->job.tunes = p->tunable != NULL;
    r->job.needs = rc == 0 ? srq_plugin_needs(p, r->job.self) : 0;
    r->job.calibrates =
        r->job.tunes || (r->job.needs & (SRQ_NEED_IMPORTANCE | SRQ_NEED_HESSIAN | SRQ_NEED_RANGES)) != 0;
    if (rc == 0 && r->job.calibrates && r->job.spec.calib_count == 0 && !r->job.info->pictures)
        return srq_fail_field(err, -SRQ_EINVAL, "calib", "method %s needs calibration text: give \"calib\" a file",
                              p->name);
    return rc < 0 ? rc : rc > 0 ? -SRQ_EINVAL : 0;
}

/* Text needs a tokenizer that can be read: of 10 MB it takes half a second. */
static int check_tokenizer(struct srq_resolved *r, struct srq_error *err)
{
    struct srq_tokenizer *tk = NULL;
    int rc;

    if (r->job.info->pictures || (!r->job.calibrates && r->job.transform.nsamples == 0 && r->job.spec.eval_count == 0 &&
                                  !srq_spec_has_budget(&r->job.spec)))
        return 0;
    rc = srq_tokenizer_open(r->job.info->folder, &tk, err);
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "model");
    if (rc == 0 && srq_tokenizer_doubt(tk) != NULL)
        srq_resolved_note(r, "%s", srq_tokenizer_doubt(tk));
    srq_tokenizer_free(tk);
    return rc;
}

/* Texts have to be files with something in them, and rows of messages need a chat template that can be run: seen before
 * a job waits for its turn. */
static int check_texts(const struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_spec *s = &r->job.spec;
    bool calib = r->job.calibrates || r->job.transform.nsamples > 0 || srq_spec_has_budget(s);
    int rc = 0;

    if (r->job.info->pictures)
        return 0;
    if (calib)
        rc = srq_samples_check((const char *const *)s->calib, s->calib_count, r->job.info->folder, err);
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "calib");
    if (rc != 0 || s->eval_count == 0)
        return rc;
    rc = srq_samples_check((const char *const *)s->eval, s->eval_count, r->job.info->folder, err);
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "eval");
    return rc;
}

/* A plan that quantizes nothing though a scheme was asked for says why, by its first layer. */
static int check_plan(const struct srq_resolved *r, struct srq_error *err)
{
    const struct srq_plan_layer *first = NULL;

    for (int i = 0; i < r->choice.plan.count; i++) {
        if (r->choice.plan.layers[i].scheme.grid != SRQ_GRID_NONE)
            return 0;
        if (first == NULL && r->choice.plan.layers[i].why[0] != '\0')
            first = &r->choice.plan.layers[i];
    }
    return first == NULL ? 0
                         : srq_fail_field(err, -SRQ_EUNSUPPORTED, "scheme", "no layer could be quantized; %s: %s",
                                          first->info->name, first->why);
}

/* What was given and nothing of the job looks at. */
static void note_surplus(struct srq_resolved *r)
{
    const struct srq_spec *s = &r->job.spec;
    char *method;

    if (s->calib_count > 0 && !r->job.calibrates && r->job.transform.nsamples == 0 && !srq_spec_has_budget(s) &&
        (r->job.trainer_self == NULL || r->job.train.noisy != SRQ_NOISY_UNIFORM)) {
        method = srq_spec_method(s);
        srq_resolved_note(r, "calib %.300s is not read: method %.60s needs no calibration text", s->calib[0],
                          method != NULL ? method : "");
        srq_free(method);
    }
    if (s->features != NULL && (!r->job.info->pictures || s->eval_count == 0))
        srq_resolved_note(r, "features %.300s are not used: %s", s->features,
                          r->job.info->pictures ? "no pictures to look like are given (eval)"
                                                : "this model makes no pictures");
}

/* Dequantized weights say nothing of inputs: who reads them has to round those, or gets another model. */
static void note_inputs(struct srq_resolved *r)
{
    for (int i = 0; i < r->job.spec.format_count && srq_resolved_rounds_inputs(r) && !r->job.info->pictures; i++)
        if (strcmp(r->job.spec.formats[i], "fake") == 0)
            srq_resolved_note(r, "fake holds the rounded weights alone: nothing in it says that inputs of layers are "
                                 "rounded too, as the evaluation does");
}

/* Second moments of fewer tokens than columns have no inverse: what stands in for it is damping, and less of it data.
 */
static void note_tokens(struct srq_resolved *r)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    const struct srq_layer_info *widest = NULL;
    int64_t tokens = o->nsamples * o->seqlen;

    if ((r->job.needs & SRQ_NEED_FEEDBACK) == 0 || r->job.tunes || r->job.info->pictures)
        return;
    for (int i = 0; i < r->job.layer_count; i++)
        if (r->choice.schemes[i].grid != SRQ_GRID_NONE && (widest == NULL || r->job.layers[i]->in > widest->in))
            widest = r->job.layers[i];
    if (widest != NULL && widest->in > tokens)
        srq_resolved_note(r,
                          "%s sees %" PRId64 " tokens of calibration, fewer than %s has inputs (%" PRId64
                          "): their second moment is singular, and damping decides much of the result",
                          srq_spec_quantizer(&r->job.spec)->name, tokens, widest->name, widest->in);
}

static int resolve(const cJSON *json, unsigned flags, struct srq_resolved *r, struct srq_error *err)
{
    char why[800];
    int rc;

    r->notes = cJSON_CreateArray();
    if (r->notes == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading the job");
    rc = srq_spec_parse(json, flags, &r->job.spec, err);
    r->choice.batch = r->job.spec.opt.batch;
    if (rc == 0)
        rc = check_formats(r, err);
    if (rc == 0 && (flags & (SRQ_SPEC_STORED | SRQ_SPEC_AGAIN)) == 0)
        rc = check_output(&r->job.spec, err);
    if (rc == 0)
        rc = start_math(r, err);
    if (rc == 0)
        rc = open_model(r, err);
    if (rc != 0)
        return rc;
    if ((flags & (SRQ_SPEC_STORED | SRQ_SPEC_AGAIN)) == 0)
        rc = check_model(r, err);
    if (rc == 0)
        rc = create_plugin(r, err);
    if (rc == 0)
        rc = srq_job_train_open(r, err);
    if (rc == 0)
        rc = srq_job_transform_open(r, err);
    if (rc == 0 && (flags & (SRQ_SPEC_STORED | SRQ_SPEC_AGAIN)) == 0)
        rc = check_inputs(r, err);
    clamp(r, r->job.calibrates, &r->job.spec.opt.seqlen, "seqlen");
    clamp(r, r->job.spec.eval_count > 0, &r->job.spec.opt.eval_seqlen, "eval.seqlen");
    if (rc == 0 && (flags & (SRQ_SPEC_STORED | SRQ_SPEC_AGAIN)) == 0)
        rc = check_tokenizer(r, err);
    if (rc == 0 && (flags & (SRQ_SPEC_STORED | SRQ_SPEC_AGAIN)) == 0)
        rc = check_texts(r, err);
    if (rc == 0)
        note_surplus(r);
    if (rc == 0 && srq_job_train_refused(&r->job, why, sizeof(why)))
        srq_resolved_note(r, "%s", why);
    if (rc == 0)
        rc = srq_budget_open(r, err);
    if (rc == 0)
        rc = make_plan(r, err);
    if (rc == 0)
        rc = check_plan(r, err);
    if (rc == 0)
        rc = srq_job_train_check_plan(r, err);
    if (rc == 0)
        note_inputs(r);
    if (rc == 0)
        note_tokens(r);
    if (rc != 0)
        return rc;
    srq_heap_trim();
    r->footprint.baseline_bytes = srq_usage_now();
    r->choice.copies = srq_job_copies(r, r->job.spec.opt.nsamples);
    rc = srq_footprint_settle(r, r->job.spec.opt.nsamples * (1 + r->choice.copies), 0, err);
    r->job.spec.opt.batch = r->choice.batch; /* what is kept and shown is what will be used */
    return rc;
}

int srq_resolve(const cJSON *json, unsigned flags, struct srq_resolved *out, struct srq_error *err)
{
    int rc;

    memset(out, 0, sizeof(*out));
    rc = resolve(json, flags, out, err);
    if (rc != 0)
        srq_resolved_fini(out);
    return rc;
}

int srq_resolve_text(const char *text, size_t len, unsigned flags, struct srq_resolved *out, struct srq_error *err)
{
    cJSON *json = NULL;
    int rc;

    memset(out, 0, sizeof(*out));
    rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, &json, err);
    if (rc == 0)
        rc = srq_resolve(json, flags, out, err);
    cJSON_Delete(json);
    return rc;
}

void srq_resolved_fini(struct srq_resolved *r)
{
    srq_budget_close(r);
    srq_job_transform_close(r);
    srq_job_train_close(r);
    if (r->job.spec.plugin_count > 0 && srq_spec_quantizer(&r->job.spec) != NULL) {
        const struct srq_plugin *p = srq_spec_quantizer(&r->job.spec);

        if (p->destroy != NULL && r->job.self != NULL)
            p->destroy(srq_host_services(), r->job.self);
    }
    srq_plan_fini(&r->choice.plan);
    srq_free(r->job.layers);
    srq_free(r->choice.schemes);
    srq_model_close(r->job.model);
    srq_spec_fini(&r->job.spec);
    cJSON_Delete(r->notes);
    memset(r, 0, sizeof(*r));
}

/* What the allocator will choose is not known before it has. */
static double once_chosen(const struct srq_resolved *r, double v)
{
    return srq_spec_has_budget(&r->job.spec) && !r->choice.allocated ? (double)NAN : v;
}

cJSON *srq_resolved_json(const struct srq_resolved *r)
{
    cJSON *root = cJSON_CreateObject(), *size = NULL;
    char why[800];
    bool refused = srq_job_train_refused(&r->job, why, sizeof(why));
    bool ok =
        root != NULL && cJSON_AddItemToObject(root, "spec", srq_spec_json(&r->job.spec)) &&
        cJSON_AddItemToObject(root, "plan", srq_plan_json(&r->choice.plan)) &&
        (size = cJSON_AddObjectToObject(root, "size")) != NULL &&
        srq_put_number(size, "before_bytes", (double)r->choice.size.before_bytes) &&
        srq_put_number(size, "after_bytes", once_chosen(r, (double)r->choice.size.after_bytes)) &&
        srq_put_number(size, "average_bits", once_chosen(r, r->choice.size.average_bits)) &&
        cJSON_AddItemToObject(root, "memory", srq_needs_json(&r->footprint.memory, r->footprint.planned_bytes)) &&
        cJSON_AddItemToObject(root, "disk", srq_needs_json(&r->footprint.disk, r->footprint.planned_disk_bytes)) &&
        srq_put_number(root, "estimate_s", srq_estimate_s(r)) &&
        cJSON_AddItemToObject(root, "warnings", cJSON_Duplicate(r->notes, true)) &&
        srq_put_number(root, "threads", (double)r->job.spec.opt.threads) &&
        srq_put_text(root, "refused", refused ? why : NULL);

    if (ok)
        return root;
    cJSON_Delete(root);
    return NULL;
}
