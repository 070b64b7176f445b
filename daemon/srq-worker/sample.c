/* --sample: pictures of a diffusion model, as a sheet and as numbers. */
#include "daemon/srq-worker/commands.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/diffusion/generator.h"
#include "core/diffusion/high_rule.h"
#include "core/eval/npy.h"
#include "core/flow/integers.h"
#include "core/flow/roundings.h"
#include "core/format/picture_sheet.h"
#include "core/math/gemm.h"
#include "core/math/team.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"
#include "daemon/srq-worker/ticker.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PICTURES_MAX 1000000
#define BATCH 16
#define SHEET_GAP 2
#define SHEET_SIDE 128 /* pixels that a picture of a sheet has at least, unless the user says otherwise */

static const char *const sampler_words[] = { "ddpm", "ddim", NULL }; /* enum srq_scheduler */
static const char *const dtype_words[] = { "bf16", "f32", NULL };
static const enum srq_dtype dtypes[] = { SRQ_BF16, SRQ_F32 };

struct request {
    cJSON *json;
    const char *model, *high, *output, *npy, *noise;
    double steps, eta, seed, pictures, columns, scale, batch, threads, high_first, high_last, class;
    int sampler;    /* enum srq_scheduler */
    int high_dtype; /* in dtype_words; -1: as the folder says */
    bool force;
};

struct made {
    char *own_high; /* its path */
    struct srq_model *model, *high;
    struct srq_integers *integers; /* of a model whose folder has codes */
    int integer_layers;
    struct srq_layer_roundings *rounds, *high_rounds; /* as their folders say, or NULL */
    struct srq_generator *generator;
    struct srq_pictures shape;
    struct srq_picture_sheet sheet;
    float *pictures; /* [n, height*width*channels] */
    double seconds;  /* of sampling */
};

/* ---- the request ------------------------------------------------------------------------------------------------- */

/* Numbers of a request. 0 columns, scale or threads: as it fits. */
static const struct number {
    const char *key;
    size_t offset;
    double min, max;
    bool whole;
} numbers[] = {
    { "steps", offsetof(struct request, steps), 1, SRQ_TIMES_MAX, true },
    { "eta", offsetof(struct request, eta), 0, 1, false },
    { "seed", offsetof(struct request, seed), 0, 9007199254740992.0, true },
    { "pictures", offsetof(struct request, pictures), 1, PICTURES_MAX, true },
    { "columns", offsetof(struct request, columns), 0, PICTURES_MAX, true },
    { "scale", offsetof(struct request, scale), 0, 1024, true },
    { "batch", offsetof(struct request, batch), 1, PICTURES_MAX, true },
    { "threads", offsetof(struct request, threads), 0, SRQ_TEAM_MAX, true },
    { "hp_first", offsetof(struct request, high_first), 0, SRQ_TIMES_MAX, true },
    { "hp_last", offsetof(struct request, high_last), 0, SRQ_TIMES_MAX, true },
    { "class", offsetof(struct request, class), 0, 1e9, true },
};

static int take_number(struct request *r, const struct number *n, const cJSON *item, struct srq_error *err)
{
    double v = cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;

    if (!(v >= n->min && v <= n->max) || (n->whole && v != floor(v)))
        return srq_fail_field(err, -SRQ_EINVAL, n->key, "\"%s\" is not a %s from %.15g to %.15g", n->key,
                              n->whole ? "whole number" : "number", n->min, n->max);
    memcpy((char *)r + n->offset, &v, sizeof(v));
    return 0;
}

static int take_word(const char *const *words, int *out, const cJSON *item, struct srq_error *err)
{
    const char *word = cJSON_GetStringValue(item);

    *out = word != NULL ? srq_word_place(words, word) : -1;
    return *out >= 0 ? 0
                     : srq_fail_field(err, -SRQ_EINVAL, item->string, "%s \"%.60s\" is neither %s nor %s", item->string,
                                      word != NULL ? word : "", words[1], words[0]);
}

static int take_path(const char **out, const cJSON *item, struct srq_error *err)
{
    *out = cJSON_GetStringValue(item);
    if (*out == NULL || (*out)[0] != '/')
        return srq_fail_field(err, -SRQ_EINVAL, item->string, "\"%s\" is not an absolute path", item->string);
    return 0;
}

static int take_member(struct request *r, const cJSON *item, struct srq_error *err)
{
    const struct {
        const char *key;
        const char **path;
    } paths[] = { { "model", &r->model },
                  { "high", &r->high },
                  { "output", &r->output },
                  { "npy", &r->npy },
                  { "noise", &r->noise } };

    if (cJSON_IsNull(item))
        return 0;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (strcmp(item->string, paths[i].key) == 0)
            return take_path(paths[i].path, item, err);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(item->string, numbers[i].key) == 0)
            return take_number(r, &numbers[i], item, err);
    if (strcmp(item->string, "sampler") == 0)
        return take_word(sampler_words, &r->sampler, item, err);
    if (strcmp(item->string, "high_dtype") == 0)
        return take_word(dtype_words, &r->high_dtype, item, err);
    if (strcmp(item->string, "force") != 0 || !cJSON_IsBool(item))
        return srq_fail_field(err, -SRQ_EINVAL, item->string, "sampling has no key \"%.100s\", or not of this type",
                              item->string);
    r->force = cJSON_IsTrue(item);
    return 0;
}

static int check_request(const struct request *r, struct srq_error *err)
{
    if (r->model == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, "model", "the request lacks \"model\"");
    if (r->output == NULL && r->npy == NULL)
        return srq_fail_field(err, -SRQ_EINVAL, "output", "the request lacks \"output\" or \"npy\"");
    if (r->high != NULL && fmax(r->high_first, 0) + fmax(r->high_last, 0) < 1)
        return srq_fail_field(err, -SRQ_EINVAL, "high", "no step is computed by %s: give hp_first or hp_last", r->high);
    if (r->sampler == SRQ_SCHEDULER_DDPM && r->eta > 0)
        return srq_fail_field(err, -SRQ_EINVAL, "eta", "eta %g is for the ddim sampler; ddpm has noise of its own",
                              r->eta);
    return 0;
}

static int read_request(struct request *r, struct srq_error *err)
{
    const cJSON *item;
    char *text = NULL;
    size_t len;
    int rc = worker_read_input(&text, &len, err);

    if (rc == 0)
        rc = srq_json_parse(text, len, SRQ_DEPTH_MAX, &r->json, err);
    srq_free(text);
    if (rc == 0 && !cJSON_IsObject(r->json))
        rc = srq_fail(err, -SRQ_EINVAL, "a request is a JSON object");
    if (rc != 0)
        return rc;
    cJSON_ArrayForEach(item, r->json)
    {
        rc = take_member(r, item, err);
        if (rc != 0)
            return rc;
    }
    return check_request(r, err);
}

/* ---- what can be known before the work --------------------------------------------------------------------------- */

/* Whether a file can be put there. It is written when all is computed, so that nothing is left of what is stopped. */
static int check_place(const char *path, bool force, struct srq_error *err)
{
    struct stat st;
    char *dir;
    int rc = 0;

    if (path == NULL)
        return 0;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return srq_fail_field(err, -SRQ_EINVAL, path, "%s is a folder, not a file to be written", path);
    if (srq_path_exists(path) && !force)
        return srq_fail_field(err, -SRQ_EEXIST, path, "%s exists already; --force replaces it", path);
    dir = srq_strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
    if (dir == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (access(dir, W_OK | X_OK) != 0)
        rc = srq_fail_errno(err, "write", path);
    srq_free(dir);
    return rc;
}

/* No two of them are one file, however it is spelt. */
static int check_places(const struct request *r, struct srq_error *err)
{
    const char *const places[] = { r->output, r->npy, r->noise };
    enum { PLACES = sizeof(places) / sizeof(places[0]) };
    char *real[PLACES] = { NULL };
    int rc = 0;

    for (int i = 0; rc == 0 && i < PLACES; i++) {
        if (places[i] == NULL)
            continue;
        rc = check_place(places[i], r->force, err);
        if (rc == 0 && (real[i] = srq_path_canonical(places[i])) == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
        for (int k = 0; rc == 0 && k < i; k++)
            if (real[k] != NULL && strcmp(real[k], real[i]) == 0)
                rc =
                    srq_fail_field(err, -SRQ_EINVAL, i == 1 ? "npy" : "noise", "two of the files would be %s", real[i]);
    }
    for (int i = 0; i < PLACES; i++)
        srq_free(real[i]);
    return rc;
}

static int plan_sheet(const struct request *r, struct made *m, struct srq_error *err)
{
    int64_t side = m->shape.height > m->shape.width ? m->shape.height : m->shape.width;
    int rc;

    if (r->output == NULL)
        return 0;
    m->sheet = (struct srq_picture_sheet){ .n = (int64_t)r->pictures,
                                           .height = m->shape.height,
                                           .width = m->shape.width,
                                           .channels = m->shape.channels,
                                           .columns = (int64_t)(r->columns > 0 ? r->columns : ceil(sqrt(r->pictures))),
                                           .gap = SHEET_GAP,
                                           .scale = (int64_t)r->scale };
    if (r->scale > 0)
        return srq_picture_sheet_check(r->output, &m->sheet, err);
    m->sheet.scale = (SHEET_SIDE + side - 1) / side;
    while ((rc = srq_picture_sheet_check(r->output, &m->sheet, err)) == -SRQ_ELIMIT && m->sheet.scale > 1)
        m->sheet.scale--;
    return rc;
}

/* Which steps another model computes, where the request does not say so: as the model's folder says (high_rule.h). */
static int settle_high(struct request *r, struct made *m, struct srq_error *err)
{
    struct srq_high_rule rule = { 0, 0, SRQ_F32 };
    int ruled = r->high == NULL ? srq_high_rule_read(r->model, &rule, err) : 0;
    bool asked = r->high_first >= 0 || r->high_last >= 0;

    if (ruled < 0)
        return ruled;
    m->own_high = srq_path_join(r->model, SRQ_HIGH_FOLDER);
    if (m->own_high == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    r->high_first = asked ? fmax(r->high_first, 0) : rule.first;
    r->high_last = asked ? fmax(r->high_last, 0) : rule.last;
    if (r->high_dtype < 0)
        r->high_dtype = rule.dtype == SRQ_BF16 ? 0 : 1;
    if (r->high != NULL || r->high_first + r->high_last < 1)
        return 0;
    if (srq_path_exists(m->own_high)) {
        r->high = m->own_high;
        return 0;
    }
    if (asked)
        return srq_fail_field(err, -SRQ_EINVAL, "high",
                              "the first %g and last %g steps need a model that computes them (high), and %s has none",
                              r->high_first, r->high_last, r->model);
    srq_log(SRQ_LOG_WARN,
            "%s is meant to have its first %d and last %d steps computed by its original; all are computed by itself, "
            "as no such model is given (high)",
            r->model, rule.first, rule.last);
    r->high_first = r->high_last = 0;
    return 0;
}

/* A model, and how its folder says that what passes between its layers is rounded. */
static int open_model(const char *path, struct srq_model **out, struct srq_layer_roundings **rounds,
                      struct srq_error *err)
{
    int rc = srq_model_open(path, false, out, err);

    for (int i = 0; rc == 0 && srq_model_note(*out, i) != NULL; i++)
        srq_log(SRQ_LOG_WARN, "%s", srq_model_note(*out, i));
    return rc == 0 ? srq_roundings_read(*out, rounds, err) : rc;
}

/* The codes of a folder that stores them: its layers compute with those. */
static int open_integers(struct made *m, struct srq_error *err)
{
    const char *method = srq_model_info(m->model)->quantized;
    int rc;

    if (method == NULL || m->rounds == NULL)
        return 0;
    rc = srq_integers_create(m->model, NULL, &m->integers, err);
    if (rc == 0)
        m->integer_layers = srq_integers_count(m->integers, m->rounds);
    return rc;
}

static int open_generator(const struct request *r, struct made *m, struct srq_error *err)
{
    int64_t batch = (int64_t)(r->batch < r->pictures ? r->batch : r->pictures);
    const struct srq_denoiser_config high = {
        .model = m->high, .compute = dtypes[r->high_dtype], .roundings = m->high_rounds, .apart = true
    };
    const struct srq_generator_config cfg = {
        .denoiser = { .model = m->model,
                      .compute = SRQ_F32,
                      .batch = batch,
                      .weights = m->integers != NULL ? srq_integers_weights(m->integers) : NULL,
                      .roundings = m->rounds,
                      .apart = true,
                      .integers = m->integers != NULL },
        .high = m->high != NULL ? &high : NULL,
        .high_first = (int)r->high_first,
        .high_last = (int)r->high_last,
        .scheduler = (enum srq_scheduler)r->sampler,
        .steps = (int)r->steps,
        .eta = r->eta,
        .seed = (uint64_t)r->seed,
        .one_class = r->class >= 0,
        .class = (int64_t)r->class,
    };

    int rc = srq_generator_create(&cfg, &m->generator, err);
    const struct srq_noise_schedule *s = rc == 0 ? srq_generator_schedule(m->generator) : NULL;

    if (s != NULL && s->unknown[0] != '\0')
        srq_log(SRQ_LOG_WARN, SRQ_SCHEDULE_UNKNOWN, s->unknown);
    return rc;
}

static int prepare(struct request *r, struct made *m, struct srq_error *err)
{
    int rc = check_places(r, err);

    if (rc == 0)
        rc = settle_high(r, m, err);
    if (rc == 0)
        rc = srq_team_start(r->threads > 0 ? (int)r->threads : srq_team_default(), err);
    if (rc == 0)
        rc = srq_gemm_start(NULL, err);
    if (rc == 0)
        rc = open_model(r->model, &m->model, &m->rounds, err);
    if (rc == 0 && r->high != NULL)
        rc = open_model(r->high, &m->high, &m->high_rounds, err);
    if (rc == 0)
        rc = open_integers(m, err);
    if (rc == 0)
        rc = open_generator(r, m, err);
    if (rc != 0)
        return rc;
    m->shape = srq_model_pictures(m->model);
    return plan_sheet(r, m, err);
}

/* ---- the work ---------------------------------------------------------------------------------------------------- */

static int sample(const struct request *r, struct made *m, struct srq_error *err)
{
    struct worker_ticker ticker;
    const struct srq_generation run = { .n = (int64_t)r->pictures, .tick = worker_tick, .ctx = &ticker };
    int64_t pixels = m->shape.height * m->shape.width * m->shape.channels;
    double began = srq_clock_s();
    int rc;

    m->pictures = srq_calloc((size_t)run.n, (size_t)pixels * sizeof(*m->pictures));
    if (m->pictures == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %" PRId64 " pictures of %" PRId64 " values", run.n,
                        pixels);
    worker_ticker_begin(&ticker, "sample", "picture-steps", run.n * (int64_t)r->steps);
    rc = srq_generator_run(m->generator, &run, m->pictures, err);
    m->seconds = srq_clock_s() - began;
    return rc == -SRQ_ECANCELED ? srq_fail(err, rc, "sampling was interrupted; nothing was written") : rc;
}

/* n pictures of `pixels` values each: those that were made, or (pictures NULL) what they began with. */
static int write_npy(const char *path, const struct request *r, const struct made *m, const float *pictures,
                     struct srq_error *err)
{
    int64_t n = (int64_t)r->pictures, pixels = m->shape.height * m->shape.width * m->shape.channels;
    float *one = srq_malloc((size_t)pixels * sizeof(*one));
    struct srq_npy *f = NULL;
    int rc = one != NULL ? srq_npy_create(path, n, pixels, &f, err) : srq_fail(err, -SRQ_ENOMEM, "out of memory");

    for (int64_t i = 0; rc == 0 && i < n; i++) {
        if (pictures == NULL)
            srq_picture_noise((uint64_t)r->seed, i, -1, pixels, one);
        rc = srq_npy_add(f, pictures != NULL ? pictures + i * pixels : one, 1, err);
    }
    if (rc == 0)
        rc = srq_npy_finish(f, err);
    srq_npy_free(f);
    srq_free(one);
    return rc;
}

static int write_files(const struct request *r, struct made *m, struct srq_error *err)
{
    int rc = 0;

    m->sheet.pictures = m->pictures;
    if (r->output != NULL)
        rc = srq_picture_sheet_write(r->output, &m->sheet, err);
    if (rc == 0 && r->npy != NULL)
        rc = write_npy(r->npy, r, m, m->pictures, err);
    if (rc == 0 && r->noise != NULL)
        rc = write_npy(r->noise, r, m, NULL, err);
    return rc;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static cJSON *result_json(const struct request *r, const struct made *m)
{
    cJSON *o = cJSON_CreateObject();
    bool high = r->high != NULL;
    bool ok =
        o != NULL && srq_put_text(o, "model", r->model) && srq_put_number(o, "pictures", r->pictures) &&
        srq_put_number(o, "height", (double)m->shape.height) && srq_put_number(o, "width", (double)m->shape.width) &&
        srq_put_number(o, "channels", (double)m->shape.channels) && srq_put_number(o, "steps", r->steps) &&
        srq_put_text(o, "sampler", sampler_words[r->sampler]) && srq_put_number(o, "eta", r->eta) &&
        srq_put_number(o, "seed", r->seed) && srq_put_number(o, "class", r->class >= 0 ? r->class : (double)NAN) &&
        srq_put_text(o, "high", r->high) && srq_put_number(o, "hp_first", high ? r->high_first : (double)NAN) &&
        srq_put_number(o, "hp_last", high ? r->high_last : (double)NAN) &&
        srq_put_text(o, "high_dtype", high ? dtype_words[r->high_dtype] : NULL) &&
        srq_put_number(o, "integer_layers", m->integer_layers) &&
        srq_put_text(o, "int8_backend", m->integer_layers > 0 ? srq_int8_backend() : NULL) &&
        srq_put_number(o, "seconds", m->seconds) && srq_put_text(o, "output", r->output) &&
        srq_put_number(o, "columns", r->output != NULL ? (double)m->sheet.columns : (double)NAN) &&
        srq_put_number(o, "scale", r->output != NULL ? (double)m->sheet.scale : (double)NAN) &&
        srq_put_text(o, "npy", r->npy) && srq_put_text(o, "noise", r->noise) &&
        srq_put_text(o, "gemm_backend", srq_gemm_backend(SRQ_F32)) && srq_put_number(o, "threads", srq_team_size());

    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

int worker_sample(void)
{
    struct request r = { .steps = 50,
                         .pictures = 16,
                         .class = -1,
                         .batch = BATCH,
                         .sampler = SRQ_SCHEDULER_DDIM,
                         .high_dtype = -1,
                         .high_first = -1,
                         .high_last = -1 };
    struct made m = { 0 };
    struct srq_error err = { 0 };
    int rc = read_request(&r, &err), code;

    if (rc == 0)
        rc = prepare(&r, &m, &err);
    if (rc == 0)
        rc = sample(&r, &m, &err);
    if (rc == 0)
        rc = write_files(&r, &m, &err);
    code = rc == 0 ? worker_answer(result_json(&r, &m)) : worker_refuse(&err);
    srq_free(m.pictures);
    srq_generator_free(m.generator);
    srq_integers_free(m.integers);
    srq_free(m.own_high);
    srq_free(m.rounds);
    srq_free(m.high_rounds);
    srq_model_close(m.high);
    srq_model_close(m.model);
    cJSON_Delete(r.json);
    return code;
}
