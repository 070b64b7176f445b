/* Fingerprint of a job. */
#include "core/job/fingerprint.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/fs.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"
#include "core/model/export.h"
#include "core/proto/members.h"

/* Keys of the specification that do not touch the result. */
static const char *const harmless[] = {
    "name", "priority", "on_end", "force", "accept_drift", "output", "time_limit_s"
};
static const char *const harmless_options[] = { "archive",          "bind_threads", "checkpoint_s",
                                                "keep_checkpoints", "max_disk",     "threads" };

static bool spec_hash(const struct srq_spec *s, char out[SRQ_HASH_HEX])
{
    cJSON *json = srq_spec_json(s), *options = cJSON_GetObjectItemCaseSensitive(json, "options");
    struct srq_hash *h = srq_hash_create();
    char *text;
    bool ok;

    for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(json, harmless[i]);
    for (size_t i = 0; i < sizeof(harmless_options) / sizeof(harmless_options[0]); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(options, harmless_options[i]);
    text = json != NULL ? cJSON_PrintUnformatted(json) : NULL;
    ok = text != NULL && h != NULL;
    if (ok) {
        srq_hash_add_text(h, text);
        srq_hash_hex(h, out);
    }
    srq_hash_free(h);
    cJSON_free(text);
    cJSON_Delete(json);
    return ok;
}

/* A file's content under its name; one that is not there counts as that. */
static int add_file(struct srq_hash *h, const char *name, const char *path, struct srq_error *err)
{
    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory taking the fingerprint");
    if (!srq_path_exists(path))
        return 0;
    srq_hash_add_text(h, name);
    return srq_hash_add_file(h, path, err);
}

/* Those of `names` (ends with NULL) that lie in the model's folder. */
static int add_model_files(struct srq_hash *h, const struct srq_model *m, const char *const *names,
                           struct srq_error *err)
{
    int rc = 0;

    for (; rc == 0 && *names != NULL; names++) {
        char *path = srq_path_join(srq_model_info(m)->folder, *names);

        rc = add_file(h, *names, path, err);
        srq_free(path);
    }
    return rc;
}

/* Weights, and the small files that say what they mean. */
static int model_hash(const struct srq_model *m, struct srq_hash *h, struct srq_error *err)
{
    static const char *const files[] = { "config.json", "tokenizer.json", NULL };
    char weights[33];
    int rc = srq_tensors_hash(srq_model_tensors(m), weights, err);

    if (rc == 0)
        srq_hash_add_text(h, weights);
    return rc == 0 ? add_model_files(h, m, files, err) : rc;
}

struct fingerprint {
    const struct srq_job *job;
    cJSON *json;
};

static int add(struct fingerprint *f, const char *field, const char *value, struct srq_error *err)
{
    if (!srq_put_text(f->json, field, value))
        return srq_fail(err, -SRQ_ENOMEM, "out of memory taking the fingerprint");
    return 0;
}

/* field: "TEXT hash" of the one file at `path`, or TEXT alone where it cannot be looked at. */
static void file_text(struct srq_buf *out, const char *text, const char *path)
{
    struct srq_hash *h = path != NULL ? srq_hash_create() : NULL;
    char hex[SRQ_HASH_HEX];

    srq_buf_printf(out, "%s", text);
    if (h != NULL && srq_path_exists(path) && add_file(h, "", path, NULL) == 0) {
        srq_hash_hex(h, hex);
        srq_buf_printf(out, " %.16s", hex);
    }
    srq_hash_free(h);
}

static int add_programs(struct fingerprint *f, struct srq_error *err)
{
    const struct srq_spec *s = &f->job->spec;
    struct srq_buf text;
    int rc;

    srq_buf_init(&text, 8192);
    file_text(&text, PACKAGE_VERSION, "/proc/self/exe");
    rc = text.failed ? -SRQ_ENOMEM : add(f, "srq", text.data, err);
    srq_buf_fini(&text);
    srq_buf_init(&text, 8192);
    for (int i = 0; i < s->plugin_count; i++) {
        srq_buf_printf(&text, "%s%s ", i > 0 ? ", " : "", s->plugins[i].name);
        file_text(&text, s->plugins[i].handle.plugin->version, s->plugins[i].handle.path);
    }
    if (rc == 0)
        rc = text.failed ? -SRQ_ENOMEM : add(f, "plugins", text.data, err);
    srq_buf_fini(&text);
    return rc == -SRQ_ENOMEM ? srq_fail(err, rc, "out of memory taking the fingerprint") : rc;
}

static int add_model(struct fingerprint *f, struct srq_error *err)
{
    const char *load = f->job->transform.load;
    struct srq_hash *model = srq_hash_create(), *files = srq_hash_create(), *scales = srq_hash_create();
    char hex[SRQ_HASH_HEX];
    int rc = model != NULL && files != NULL && scales != NULL
                 ? model_hash(f->job->model, model, err)
                 : srq_fail(err, -SRQ_ENOMEM, "out of memory hashing the model");

    if (rc == 0) {
        srq_hash_hex(model, hex);
        rc = add(f, "model", hex, err);
    }
    if (rc == 0)
        rc = add_model_files(files, f->job->model, srq_export_carried, err);
    if (rc == 0) {
        srq_hash_hex(files, hex);
        rc = add(f, "files", hex, err);
    }
    if (rc == 0 && load != NULL)
        rc = add_file(scales, "", load, err);
    if (rc == 0) {
        srq_hash_hex(scales, hex);
        rc = add(f, "scales", load != NULL ? hex : "none", err);
    }
    srq_hash_free(model);
    srq_hash_free(files);
    srq_hash_free(scales);
    return rc;
}

static const char *hash_of(const struct srq_samples *s)
{
    return s->count > 0 ? s->hash : "";
}

static int add_texts(struct fingerprint *f, const struct srq_fingerprint_texts *t, struct srq_error *err)
{
    const struct srq_samples *const all[] = { t->calib, t->score, t->scaling };
    char text[3 * (SRQ_HASH_HEX + 1) + 8] = "";
    int rc;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        const char *hash = hash_of(all[i]);

        if (hash[0] != '\0')
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", text[0] != '\0' ? "+" : "", hash);
    }
    rc = add(f, "calibration", text[0] != '\0' ? text : "none", err);
    return rc == 0 ? add(f, "evaluation", t->eval->count > 0 ? t->eval->hash : "none", err) : rc;
}

int srq_fingerprint_make(const struct srq_job *job, const struct srq_fingerprint_texts *texts, cJSON **out,
                         struct srq_error *err)
{
    struct fingerprint f = { job, cJSON_CreateObject() };
    char spec[SRQ_HASH_HEX], threads[32];
    int rc = f.json != NULL && spec_hash(&job->spec, spec)
                 ? add_programs(&f, err)
                 : srq_fail(err, -SRQ_ENOMEM, "out of memory taking the fingerprint");

    snprintf(threads, sizeof(threads), "%lld", (long long)job->spec.opt.threads);
    if (rc == 0)
        rc = add(&f, "spec", spec, err);
    if (rc == 0)
        rc = add_model(&f, err);
    if (rc == 0)
        rc = add_texts(&f, texts, err);
    if (rc == 0)
        rc = add(&f, "gemm", srq_gemm_describe(), err);
    if (rc == 0)
        rc = add(&f, "simd", srq_simd_name(), err);
    if (rc == 0)
        rc = add(&f, "threads", threads, err);
    if (rc == 0)
        *out = f.json;
    else
        cJSON_Delete(f.json);
    return rc;
}

int srq_fingerprint_basis(const cJSON *now, char out[SRQ_HASH_HEX], struct srq_error *err)
{
    struct srq_hash *h = srq_hash_create();
    const cJSON *field;

    if (h == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory taking the fingerprint");
    cJSON_ArrayForEach(field, now)
    {
        srq_hash_add_text(h, field->string);
        srq_hash_add_text(h, field->valuestring);
    }
    srq_hash_hex(h, out);
    srq_hash_free(h);
    return 0;
}

/* The first field that differs, as a sentence in `err`. */
static int compare(const cJSON *before, const cJSON *now, struct srq_error *err)
{
    const cJSON *field;

    cJSON_ArrayForEach(field, now)
    {
        const char *old = srq_member_text(before, field->string);

        if (old == NULL || strcmp(old, field->valuestring) != 0)
            return srq_fail_field(
                err, -SRQ_EDRIFT, field->string,
                "the job cannot go on as it began: %s was \"%.300s\" and is \"%.300s\" (one submitted "
                "with accept_drift goes on all the same)",
                field->string, old != NULL ? old : "unknown", field->valuestring);
    }
    return 0;
}

static int write_fingerprint(const char *path, const cJSON *now, struct srq_error *err)
{
    char *text = cJSON_Print(now);
    int rc = text != NULL ? srq_write_file_durable(path, text, strlen(text), 0644, err)
                          : srq_fail(err, -SRQ_ENOMEM, "out of memory writing %s", path);

    cJSON_free(text);
    return rc;
}

int srq_fingerprint_check(const char *path, const cJSON *now, bool accept, char **drift, struct srq_error *err)
{
    struct srq_error differs = { 0 };
    char *text;
    size_t len;
    cJSON *before;
    int rc;

    *drift = NULL;
    if (!srq_path_exists(path))
        return write_fingerprint(path, now, err);
    rc = srq_read_file(path, 1 << 20, &text, &len, err);
    if (rc != 0)
        return rc;
    before = cJSON_ParseWithLength(text, len);
    srq_free(text);
    rc = compare(before, now, &differs);
    cJSON_Delete(before);
    if (rc == 0)
        return 0;
    if (!accept) {
        if (err != NULL)
            *err = differs;
        return rc;
    }
    *drift = srq_strdup(differs.text);
    return write_fingerprint(path, now, err);
}

int srq_fingerprint_model(const char *dir, char *out, size_t cap, struct srq_error *err)
{
    char *path = srq_path_join(dir, "fingerprint.json"), *text = NULL;
    size_t len = 0;
    cJSON *json;
    const char *model;
    int rc = path != NULL ? srq_read_file(path, 1 << 20, &text, &len, err)
                          : srq_fail(err, -SRQ_ENOMEM, "out of memory reading the fingerprint");

    if (rc == 0) {
        json = cJSON_ParseWithLength(text, len);
        model = srq_member_text(json, "model");
        snprintf(out, cap, "%s", model != NULL ? model : "");
        if (out[0] == '\0')
            rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s does not name the model's hash", path);
        cJSON_Delete(json);
    }
    srq_free(text);
    srq_free(path);
    return rc;
}
