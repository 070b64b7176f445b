/* Memory and disk that a job needs, from shapes. */
#include "core/job/footprint.h"

#include "core/job/train.h"

#include "core/base/alloc.h"
#include "core/base/digits.h"
#include "core/base/fs.h"
#include "core/format/archive_pack.h"
#include "core/eval/evaluator.h"
#include "core/job/budget.h"
#include "core/job/high_steps.h"
#include "core/job/noisy_pictures.h"
#include "core/flow/walk.h"
#include "core/job/refine.h"
#include "core/job/resample.h"
#include "core/job/transform.h"
#include "core/job/usage.h"
#include "core/math/gemm.h"
#include "core/text/samples.h"
#include "core/tune/block_tuner.h"
#include "core/tune/feedback.h"
#include "core/tune/importance.h"
#include "core/tune/statistics.h"

#include <inttypes.h>
#include <sys/stat.h>

#define SNAPSHOTS_MOST 4 /* kept, evenly spread over the blocks */

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Codes of a layer as they are held. */
static uint64_t codes_bytes(const struct srq_plan_layer *l)
{
    return srq_codes_bytes(&l->scheme, l->info->out, l->info->in);
}

/* A block's layers are neighbours in the model's order. */
static uint64_t largest_block_codes(const struct srq_resolved *r)
{
    uint64_t block = 0, most = 0;

    for (int i = 0; i < r->job.layer_count; i++) {
        uint64_t c = codes_bytes(&r->choice.plan.layers[i]);

        block = i > 0 && r->job.layers[i]->block == r->job.layers[i - 1]->block ? block + c : c;
        most = block > most ? block : most;
    }
    return most;
}

static uint64_t largest_layer(const struct srq_resolved *r)
{
    uint64_t most = 0;

    for (int i = 0; i < r->job.layer_count; i++) {
        uint64_t n = (uint64_t)(r->job.layers[i]->out * r->job.layers[i]->in);

        if (r->choice.schemes[i].grid != SRQ_GRID_NONE && n > most)
            most = n;
    }
    return most;
}

static uint64_t largest_feedback(const struct srq_resolved *r)
{
    uint64_t most = 0;

    for (int i = 0; i < r->job.layer_count; i++) {
        uint64_t bytes = srq_feedback_bytes(r->job.layers[i]->out, r->job.layers[i]->in);

        if (r->choice.schemes[i].grid != SRQ_GRID_NONE && bytes > most)
            most = bytes;
    }
    return most;
}

/* A vocabulary with its merges as tables, while the file is read also as a tree: so many bytes for one of the file. */
#define TOKENIZER_BYTES_A_BYTE 7

static uint64_t file_bytes(const struct srq_resolved *r, const char *name)
{
    char *path = srq_path_join(r->job.info->folder, name);
    struct stat st;
    uint64_t bytes = path != NULL && stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;

    srq_free(path);
    return bytes;
}

/* Of what the reader of tokenizers takes. */
static uint64_t tokenizer_bytes(const struct srq_resolved *r)
{
    uint64_t bytes = file_bytes(r, "tokenizer.json");

    return bytes > 0 ? bytes : file_bytes(r, "vocab.json") + file_bytes(r, "merges.txt");
}

/* Whether a format holds the tokenizer, which is then read once more. */
static bool holds_words(const struct srq_resolved *r)
{
    for (int i = 0; i < r->job.spec.format_count; i++) {
        const struct srq_format *f = srq_format_find(r->job.spec.formats[i], NULL);

        if (f != NULL && srq_format_has_words(f))
            return true;
    }
    return false;
}

/* The stage that reads texts; they are over before the work. */
static void add_texts(const struct srq_resolved *r, struct srq_needs *memory)
{
    const struct srq_spec *s = &r->job.spec;
    bool pictures = r->job.info->pictures;
    bool calib = r->job.calibrates || r->job.transform.nsamples > 0 || srq_spec_has_budget(s);
    int64_t most = calib && !pictures ? srq_samples_memory((const char *const *)s->calib, s->calib_count,
                                                           (enum srq_sampling)s->opt.sampling)
                                      : 0;
    int64_t eval = pictures ? 0 : srq_samples_memory((const char *const *)s->eval, s->eval_count, SRQ_SAMPLING_WINDOWS);

    if (pictures || (!calib && s->eval_count == 0))
        return;
    srq_needs_add(memory, "calibrate", "tokenizer", TOKENIZER_BYTES_A_BYTE * tokenizer_bytes(r));
    srq_needs_add(memory, "calibrate", "text, its words and ids", (uint64_t)(eval > most ? eval : most));
}

struct srq_tune_config srq_job_tune_config(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_job_options *o = &r->job.spec.opt;

    return (struct srq_tune_config){ .model = r->job.model,
                                     .plugin = srq_spec_quantizer(&r->job.spec),
                                     .self = r->job.self,
                                     .schemes = r->choice.schemes,
                                     .batch = r->choice.batch < nsamples ? r->choice.batch : nsamples,
                                     .seq = srq_job_seqlen(&r->job),
                                     .nsamples = nsamples,
                                     .seed = (uint64_t)o->seed,
                                     .probe_every = o->probe_every,
                                     .probe_samples = o->probe_samples < nsamples ? o->probe_samples : nsamples,
                                     .compute = r->job.compute,
                                     .cache = r->job.cache,
                                     .roundings = srq_job_observes(&r->job),
                                     .split = r->job.train.split_skip != 0 };
}

struct srq_walk_config srq_job_chain_walk(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_tune_config c = srq_job_tune_config(r, nsamples);

    return (struct srq_walk_config){
        c.model, c.compute, c.cache, srq_walk_samples(c.batch, c.seq), c.seq, .roundings = c.roundings, .split = c.split
    };
}

static int add_tuner(const struct srq_resolved *r, int64_t nsamples, struct srq_needs *memory, struct srq_error *err)
{
    const struct srq_tune_config cfg = srq_job_tune_config(r, nsamples);
    struct srq_memory_rows rows = { .count = 0 };
    int rc = srq_tuner_footprint(&cfg, &rows, err);

    if (rc == 0)
        srq_needs_add_all(memory, "quantize", &rows);
    return rc;
}

/* One of the two chains: states of all samples. */
static uint64_t chain_bytes(const struct srq_resolved *r, int64_t nsamples)
{
    const struct srq_states_config c = { r->job.model, r->job.cache, nsamples, srq_job_seqlen(&r->job), false, NULL };
    size_t bytes;

    return srq_states_bytes(&c, &bytes, NULL) == 0 ? bytes : UINT64_MAX / 64;
}

int64_t srq_footprint_windows(char *const *files, int count, int64_t seqlen)
{
    return srq_samples_bytes((const char *const *)files, count) / (3 * seqlen) + 1;
}

static int64_t guess_windows(const struct srq_resolved *r)
{
    int64_t most = srq_footprint_windows(r->job.spec.eval, r->job.spec.eval_count, r->job.spec.opt.eval_seqlen);

    return r->job.spec.opt.eval_windows > 0 && r->job.spec.opt.eval_windows < most ? r->job.spec.opt.eval_windows
                                                                                   : most;
}

static int add_evaluation(const struct srq_resolved *r, int64_t windows, struct srq_needs *memory,
                          struct srq_error *err)
{
    const struct srq_job_options *o = &r->job.spec.opt;
    struct srq_eval_config cfg = { .windows = o->eval_windows, .inputs = srq_resolved_rounds_inputs(r) };
    struct srq_eval_memory m;
    uint64_t layer = largest_layer(r);
    int rc = srq_eval_footprint(r->job.model, &cfg, windows, o->eval_seqlen, true, &m, err);

    if (rc != 0)
        return rc;
    srq_needs_add(memory, "all", "evaluation token ids", (uint64_t)windows * (uint64_t)o->eval_seqlen * 4);
    srq_needs_add(memory, "evaluate", "hidden states of all windows", m.hidden);
    srq_needs_add(memory, "evaluate", "final states of the original", m.reference);
    if (m.block + m.tape > m.head + m.logits) { /* never both: the larger is what counts */
        srq_needs_add(memory, "evaluate", "block parameters in F32", m.block);
        srq_needs_add(memory, "evaluate", "forward pass of some windows", m.tape);
    } else {
        srq_needs_add(memory, "evaluate", "head", m.head);
        srq_needs_add(memory, "evaluate", "logits", m.logits);
    }
    srq_needs_add(memory, "evaluate", "codes of the largest layer", layer + layer / 8);
    return 0;
}

#define MOMENT_ROWS 256 /* inputs that are added to a moment at once */
#define LOGIT_ROWS 1024 /* tokens whose logits are made at once, at most */

static void expect(int64_t m, int64_t n, int64_t k)
{
    const struct srq_mat a = { NULL, SRQ_F32, k, false }, b = { NULL, SRQ_F32, k, true };

    srq_gemm_expect(&(struct srq_product){ m, n, k, a, b, .c = { NULL, SRQ_F32, n } });
}

/* F32 products outside of tapes: moments of inputs and what is done with them, logits. Only their sizes count, and of
 * these the largest. */
static void expect_others(const struct srq_resolved *r)
{
    const struct srq_plugin *transform = srq_spec_transform(&r->job.spec);
    uint32_t needs = r->job.needs;
    int64_t widest = 0, tokens = 0;

    if (transform != NULL && transform->transform->needs != NULL)
        needs |= transform->transform->needs(srq_host_services(), r->job.transform_self);
    for (int i = 0; i < r->job.layer_count; i++) {
        if (r->job.layers[i]->block >= 0 && r->job.layers[i]->in > widest)
            widest = r->job.layers[i]->in;
    }
    if ((needs & SRQ_NEED_HESSIAN) != 0)
        expect(widest, widest, MOMENT_ROWS);
    if (r->job.spec.eval_count > 0 || transform != NULL || srq_spec_has_budget(&r->job.spec) || srq_job_refines(r))
        tokens = LOGIT_ROWS;
    expect(tokens, r->job.info->vocab, r->job.info->hidden);
}

/* What the libraries take for the products that the rows before have named (design 6): measured, since it is another on
 * every processor. What they took earlier they keep. */
static void add_libraries(const struct srq_resolved *r, struct srq_footprint *f)
{
    struct srq_needs *memory = &f->memory;
    uint64_t before, after;

    expect_others(r);
    before = srq_usage_now();
    srq_gemm_rehearse();
    after = srq_usage_now();
    f->library_bytes += after > before ? after - before : 0;
    srq_needs_add(memory, "all", "libraries: code, scratch, packed operands", f->library_bytes);
}

/* What the job needs with what is decided about it: from these alone, but for what libraries take, which is measured.
 */
static int memory_rows(const struct srq_resolved *r, int64_t nsamples, int64_t windows, struct srq_footprint *f,
                       struct srq_error *err)
{
    struct srq_needs *memory = &f->memory;
    const struct srq_job_options *o = &r->job.spec.opt;
    uint64_t layer = largest_layer(r);
    const struct srq_walk_config walk = srq_job_chain_walk(r, nsamples);
    struct srq_walk_memory forward = { 0, 0, 0 };
    int rc = 0;

    memset(memory, 0, sizeof(*memory));
    add_texts(r, memory);
    if (r->job.calibrates) {
        if (r->job.info->pictures)
            rc = srq_noisy_pictures_needs(r, memory, err);
        else
            srq_needs_add(memory, "all", "calibration token ids", (uint64_t)nsamples * (uint64_t)o->seqlen * 4);
    }
    if (rc == 0 && r->job.calibrates) {
        rc = srq_walk_measure(&walk, &forward, err);
        srq_needs_add(memory, "quantize", "block parameters", forward.block);
        srq_needs_add(memory, "quantize", "rope tables", forward.rope);
        srq_needs_add(memory, "quantize", "forward pass of a batch", forward.tape);
        if (!r->choice.spill) {
            if (r->job.tunes || (r->job.needs & SRQ_NEED_IMPORTANCE) != 0)
                srq_needs_add(memory, "quantize", "activation cache, full precision", chain_bytes(r, nsamples));
            if (r->job.tunes || (r->job.needs & SRQ_NEED_IMPORTANCE) == 0)
                srq_needs_add(memory, "quantize", "activation cache, quantized", chain_bytes(r, nsamples));
        }
    }
    if ((r->job.needs & SRQ_NEED_IMPORTANCE) != 0)
        srq_needs_add(memory, "quantize", "importance of a block's inputs", srq_importance_bytes(r->job.model));
    if (!r->job.tunes && (r->job.needs & SRQ_NEED_FEEDBACK) != 0)
        srq_needs_add(memory, "quantize", "feedback of the largest layer", largest_feedback(r));
    if (!r->job.tunes)
        srq_needs_add(memory, "quantize", "statistics of a block's inputs",
                      srq_statistics_bytes(r->job.model, r->job.needs, true));
    if (rc == 0 && r->job.tunes)
        rc = add_tuner(r, nsamples, memory, err);
    if (!r->job.tunes)
        srq_needs_add(memory, "quantize", "codes of the largest block", largest_block_codes(r));
    if (rc == 0)
        rc = srq_budget_needs(r, memory, err);
    if (rc == 0)
        rc = srq_job_transform_needs(r, memory, err);
    if (rc == 0)
        rc = srq_job_resample_needs(r, memory, nsamples, err);
    if (rc == 0)
        rc = srq_job_refine_needs(r, memory, nsamples, err);
    if (rc == 0)
        rc = srq_job_train_needs(r, memory, err);
    if (rc == 0 && r->job.spec.eval_count > 0 && !r->job.info->pictures)
        rc = add_evaluation(r, windows, memory, err);
    if (srq_model_embedding(r->job.model) != NULL)
        srq_needs_add(memory, "load", "rows of the embedding", srq_model_embedding_bytes(r->job.model));
    srq_needs_add(memory, "export", "packing of the largest layer", 3 * layer);
    if (holds_words(r))
        srq_needs_add(memory, "export", "tokenizer", TOKENIZER_BYTES_A_BYTE * tokenizer_bytes(r));
    if (rc == 0)
        add_libraries(r, f);
    return rc;
}

/* What memory the job may have: the user's limit, else what the machine or control group has. */
static uint64_t memory_allowed(const struct srq_resolved *r)
{
    uint64_t machine = srq_usage_limit(), asked = (uint64_t)r->job.spec.opt.max_memory;

    return asked != 0 && asked < machine ? asked : machine;
}

static uint64_t stage_bytes(const struct srq_needs *n, const char *stage)
{
    uint64_t sum = 0;

    for (int i = 0; i < n->count; i++) {
        if (strcmp(n->rows[i].stage, "all") == 0 || strcmp(n->rows[i].stage, stage) == 0)
            sum += n->rows[i].bytes;
    }
    return sum;
}

/* Fewer samples go through the model together while layers are scored: more time, the same scores. */
static int fit_scoring(struct srq_resolved *r, int64_t nsamples, int64_t windows, uint64_t allowed,
                       struct srq_error *err)
{
    int64_t batch = r->job.score_data.batch, all = batch > 0 ? (r->job.score_data.nsamples + batch - 1) / batch : 0;
    int rc = 0;

    while (rc == 0 && all > 1 && stage_bytes(&r->footprint.memory, "score") > allowed) {
        all = (all + 1) / 2;
        r->choice.score_sweep = all;
        rc = memory_rows(r, nsamples, windows, &r->footprint, err);
    }
    r->footprint.planned_bytes = srq_needs_peak(&r->footprint.memory);
    return rc;
}

static int check_memory(const struct srq_resolved *r, struct srq_error *err)
{
    uint64_t allowed = memory_allowed(r);
    char want[32], have[32], table[700];

    if (r->footprint.planned_bytes <= allowed)
        return 0;
    return srq_fail_field(err, -SRQ_ELIMIT, "options.max_memory", "the job needs %s of memory and may have %s: %s",
                          srq_bytes_text((double)r->footprint.planned_bytes, want, sizeof(want)),
                          srq_bytes_text((double)allowed, have, sizeof(have)),
                          srq_needs_text(&r->footprint.memory, table, sizeof(table)));
}

static int fit_memory(struct srq_resolved *r, int64_t nsamples, int64_t windows, struct srq_error *err)
{
    uint64_t allowed = memory_allowed(r);
    char have[32];
    int64_t asked_batch = r->choice.batch;
    int rc;

    r->choice.spill = false;
    r->choice.score_sweep = 0;
    rc = memory_rows(r, nsamples, windows, &r->footprint, err);
    if (rc == 0)
        rc = fit_scoring(r, nsamples, windows, allowed, err);
    if (rc == 0 && r->footprint.planned_bytes > allowed && r->job.calibrates && !r->choice.spill) {
        r->choice.spill = true;
        rc = memory_rows(r, nsamples, windows, &r->footprint, err);
        r->footprint.planned_bytes = srq_needs_peak(&r->footprint.memory);
        srq_resolved_note(r, "stored activations go to disk: with them in memory more than %s would be needed",
                          srq_bytes_text((double)allowed, have, sizeof(have)));
    }
    while (rc == 0 && r->footprint.planned_bytes > allowed && r->job.tunes && r->choice.batch > 1) {
        r->choice.batch /= 2;
        rc = memory_rows(r, nsamples, windows, &r->footprint, err);
        r->footprint.planned_bytes = srq_needs_peak(&r->footprint.memory);
    }
    if (rc != 0)
        return rc;
    if (r->choice.batch != asked_batch)
        srq_resolved_note(r, "batch %" PRId64 " shrinks to %" PRId64 " to stay inside %s of memory", asked_batch,
                          r->choice.batch, srq_bytes_text((double)allowed, have, sizeof(have)));
    return check_memory(r, err);
}

/* ---- disk -------------------------------------------------------------------------------------------------------- */

static int output_bytes(const struct srq_resolved *r, uint64_t *total, struct srq_error *err)
{
    *total = 0;
    for (int i = 0; i < r->job.spec.format_count; i++) {
        const struct srq_format *f = srq_format_find(r->job.spec.formats[i], err);
        uint64_t bytes = 0;
        int rc = f != NULL ? srq_export_bytes(f, r->job.model, r->choice.schemes, &bytes, err) : -SRQ_EINVAL;

        if (rc != 0)
            return rc;
        *total += bytes;
    }
    return 0;
}

/* Text around the tensors, with room for long names: of each format the configuration, twice where it has a copy, the
 * headers and the index of the weights; once the plan, which formats beside others have too, and the report. */
#define FORMAT_BYTES ((uint64_t)16 << 10)
#define FORMAT_BYTES_A_LAYER ((uint64_t)3 << 9)
#define FORMAT_BYTES_A_TENSOR ((uint64_t)1 << 8)
#define REPORT_BYTES ((uint64_t)16 << 10)
#define REPORT_BYTES_A_LAYER ((uint64_t)1 << 9)
#define PLAN_BYTES_A_LAYER ((uint64_t)1 << 8)

static uint64_t beside_bytes(const struct srq_resolved *r)
{
    uint64_t layers = (uint64_t)r->job.layer_count, formats = (uint64_t)r->job.spec.format_count;
    uint64_t tensors = (uint64_t)srq_tensors_count(srq_model_tensors(r->job.model));
    uint64_t format = FORMAT_BYTES + FORMAT_BYTES_A_LAYER * layers + FORMAT_BYTES_A_TENSOR * tensors;
    uint64_t scales = 0;

    for (int i = 0; srq_spec_transform(&r->job.spec) != NULL && i < r->job.layer_count; i++)
        scales += (uint64_t)r->job.layers[i]->in * sizeof(float);
    return formats * (srq_export_carried_bytes(r->job.model) + format) + REPORT_BYTES + REPORT_BYTES_A_LAYER * layers +
           (formats + 1) * PLAN_BYTES_A_LAYER * layers + scales;
}

/* The whole model once more, which a format for srq's own sampler has for the steps of full precision. */
static uint64_t high_bytes(const struct srq_resolved *r)
{
    const struct srq_high_steps steps = srq_job_high_forecast(&r->job);

    for (int i = 0; i < r->job.spec.format_count; i++) {
        uint64_t bytes = srq_job_high_bytes(&r->job, r->job.spec.formats[i], steps);

        if (bytes > 0)
            return bytes + srq_export_carried_bytes(r->job.model);
    }
    return 0;
}

static int disk_rows(struct srq_resolved *r, int64_t nsamples, struct srq_error *err)
{
    uint64_t codes = 0, output, beside = beside_bytes(r), high = high_bytes(r);
    int rc = output_bytes(r, &output, err);

    memset(&r->footprint.disk, 0, sizeof(r->footprint.disk));
    for (int i = 0; i < r->job.layer_count; i++)
        codes += codes_bytes(&r->choice.plan.layers[i]);
    srq_needs_add(&r->footprint.disk, "output", "output", output);
    srq_needs_add(&r->footprint.disk, "output", "model for steps of full precision", high);
    srq_needs_add(&r->footprint.disk, "output", "files beside the weights", beside);
    if (r->job.spec.opt.archive != SRQ_ARCHIVE_NONE)
        srq_needs_add(&r->footprint.disk, "output", "output, packed", output + high + beside);
    srq_needs_add(&r->footprint.disk, "job", "results of all blocks", codes);
    if (srq_model_embedding(r->job.model) != NULL)
        srq_needs_add(&r->footprint.disk, "job", "embedding, rounded",
                      (uint64_t)(r->job.info->vocab * r->job.info->hidden) * sizeof(float));
    if (r->job.tunes) {
        /* Rounding offsets in F32, kept twice (running and best). */
        srq_needs_add(&r->footprint.disk, "job", "checkpoint of the running block",
                      2 * largest_block_codes(r) * 2 * sizeof(float));
        if (r->choice.snapshots > 0) /* and the one being written */
            srq_needs_add(&r->footprint.disk, "job", "snapshots of both chains",
                          (uint64_t)(r->choice.snapshots + 1) * 2 * chain_bytes(r, nsamples));
    }
    srq_needs_add(&r->footprint.disk, "job", "words drawn anew",
                  (uint64_t)(nsamples / (1 + r->choice.copies) * r->choice.copies * r->job.spec.opt.seqlen) *
                      sizeof(int32_t));
    srq_needs_add(&r->footprint.disk, "job", "scales tuned end to end", srq_job_refine_disk(r));
    if (r->choice.spill)
        srq_needs_add(&r->footprint.disk, "job", "activation cache", 2 * chain_bytes(r, nsamples));
    r->footprint.planned_disk_bytes = srq_needs_sum(&r->footprint.disk);
    return rc;
}

static uint64_t disk_of(const struct srq_needs *n, const char *stage)
{
    uint64_t sum = 0;

    for (int i = 0; i < n->count; i++) {
        if (strcmp(n->rows[i].stage, stage) == 0)
            sum += n->rows[i].bytes;
    }
    return sum;
}

static int fit_disk(struct srq_resolved *r, int64_t nsamples, struct srq_error *err)
{
    uint64_t allowed = (uint64_t)r->job.spec.opt.max_disk, available, output;
    char want[32], have[32], table[400], *above;
    int rc;

    /* Snapshots of the chains can be done without: a resume then computes them again. */
    r->choice.snapshots = r->job.tunes ? SNAPSHOTS_MOST : 0;
    rc = disk_rows(r, nsamples, err);
    while (rc == 0 && r->choice.snapshots > 0 && allowed != 0 && disk_of(&r->footprint.disk, "job") > allowed) {
        r->choice.snapshots--;
        rc = disk_rows(r, nsamples, err);
    }
    if (rc != 0)
        return rc;
    if (allowed != 0 && disk_of(&r->footprint.disk, "job") > allowed)
        return srq_fail_field(err, -SRQ_ENOSPC, "options.max_disk",
                              "checkpoints and stored inputs need %s of disk and may have %s: %s",
                              srq_bytes_text((double)disk_of(&r->footprint.disk, "job"), want, sizeof(want)),
                              srq_bytes_text((double)allowed, have, sizeof(have)),
                              srq_needs_text(&r->footprint.disk, table, sizeof(table)));
    above = srq_path_ancestor(r->job.spec.output);
    output = disk_of(&r->footprint.disk, "output");
    if (above != NULL && srq_disk_free(above, &available, NULL) == 0 && available < output)
        rc = srq_fail_field(err, -SRQ_ENOSPC, "output", "the output needs %s and %s has %s free",
                            srq_bytes_text((double)output, want, sizeof(want)), above,
                            srq_bytes_text((double)available, have, sizeof(have)));
    srq_free(above);
    return rc;
}

static void swap_schemes(struct srq_resolved *r, struct srq_scheme *other)
{
    for (int i = 0; i < r->job.layer_count; i++) {
        struct srq_scheme s = r->choice.schemes[i];

        r->choice.schemes[i] = r->choice.plan.layers[i].scheme = other[i];
        other[i] = s;
    }
}

int srq_footprint_settle(struct srq_resolved *r, int64_t nsamples, int64_t windows, struct srq_error *err)
{
    struct srq_scheme *largest = NULL;
    int rc;

    if (srq_spec_has_budget(&r->job.spec) && !r->choice.allocated) { /* nobody knows yet what will be chosen */
        largest = srq_calloc((size_t)r->job.layer_count + 1, sizeof(*largest));
        if (largest == NULL)
            return srq_fail(err, -SRQ_ENOMEM, "out of memory planning memory");
        rc = srq_budget_largest(r, largest, err);
        if (rc != 0) {
            srq_free(largest);
            return rc;
        }
        swap_schemes(r, largest);
    }
    rc = fit_memory(r, nsamples, windows > 0 ? windows : guess_windows(r), err);
    if (rc == 0)
        rc = fit_disk(r, nsamples, err);
    if (largest != NULL)
        swap_schemes(r, largest);
    srq_free(largest);
    return rc;
}

int srq_footprint_again(struct srq_resolved *r, int64_t nsamples, int64_t windows, struct srq_error *err)
{
    int rc = memory_rows(r, nsamples, windows > 0 ? windows : guess_windows(r), &r->footprint, err);

    r->footprint.planned_bytes = srq_needs_peak(&r->footprint.memory);
    if (rc == 0)
        rc = check_memory(r, err);
    return rc == 0 ? fit_disk(r, nsamples, err) : rc;
}
