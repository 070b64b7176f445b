/* Fingerprint of a job. */
#include "core/job/fingerprint.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"

#define FILE_MAX ((size_t)256 << 20)

/* Keys of the specification that do not touch the result. */
static const char *const harmless[] = { "name", "priority", "on_end", "force", "accept_drift", "output" };
static const char *const harmless_options[] = { "checkpoint_s", "max_disk", "threads" };

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

/* Weights, and the small files that say what they mean. */
static int model_hash(const struct srq_model *m, char out[SRQ_HASH_HEX], struct srq_error *err)
{
    static const char *const files[] = { "config.json", "tokenizer.json" };
    struct srq_hash *h = srq_hash_create();
    char weights[33];
    int rc = h != NULL ? srq_tensors_hash(srq_model_tensors(m), weights, err)
                       : srq_fail(err, -SRQ_ENOMEM, "out of memory hashing the model");

    if (rc == 0)
        srq_hash_add_text(h, weights);
    for (size_t i = 0; rc == 0 && i < sizeof(files) / sizeof(files[0]); i++) {
        char *path = srq_path_join(srq_model_info(m)->path, files[i]), *text;
        size_t len;

        if (path == NULL)
            rc = srq_fail(err, -SRQ_ENOMEM, "out of memory hashing the model");
        else if (srq_path_exists(path) && (rc = srq_read_file(path, FILE_MAX, &text, &len, err)) == 0) {
            srq_hash_add_text(h, files[i]);
            srq_hash_add(h, text, len);
            srq_free(text);
        }
        srq_free(path);
    }
    if (rc == 0)
        srq_hash_hex(h, out);
    srq_hash_free(h);
    return rc;
}

int srq_fingerprint_make(const struct srq_resolved *r, const struct srq_samples *samples,
                         const struct srq_samples *scored, const struct srq_samples *scaled, cJSON **out,
                         struct srq_error *err)
{
    char spec[SRQ_HASH_HEX], model[SRQ_HASH_HEX], threads[32], texts[120];
    struct srq_buf plugins;
    cJSON *json = cJSON_CreateObject();
    int rc = model_hash(r->model, model, err);

    srq_buf_init(&plugins, 8192);
    for (int i = 0; i < r->spec.plugin_count; i++)
        srq_buf_printf(&plugins, "%s%s %s", i > 0 ? ", " : "", r->spec.plugins[i].name,
                       r->spec.plugins[i].handle.plugin->version);
    snprintf(texts, sizeof(texts), "%s%s%s%s%s",
             samples != NULL ? samples->hash : scored != NULL || scaled != NULL ? "" : "none",
             samples != NULL && scored != NULL ? "+" : "", scored != NULL ? scored->hash : "",
             scaled != NULL && (samples != NULL || scored != NULL) ? "+" : "", scaled != NULL ? scaled->hash : "");
    snprintf(threads, sizeof(threads), "%lld", (long long)r->spec.opt.threads);
    if (rc == 0 && (json == NULL || plugins.failed || !spec_hash(&r->spec, spec) ||
                    cJSON_AddStringToObject(json, "srq", PACKAGE_VERSION) == NULL ||
                    cJSON_AddStringToObject(json, "spec", spec) == NULL ||
                    cJSON_AddStringToObject(json, "model", model) == NULL ||
                    cJSON_AddStringToObject(json, "calibration", texts) == NULL ||
                    cJSON_AddStringToObject(json, "plugins", plugins.data) == NULL ||
                    cJSON_AddStringToObject(json, "gemm", srq_gemm_describe()) == NULL ||
                    cJSON_AddStringToObject(json, "simd", srq_simd_name()) == NULL ||
                    cJSON_AddStringToObject(json, "threads", threads) == NULL))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory taking the fingerprint");
    srq_buf_fini(&plugins);
    if (rc == 0)
        *out = json;
    else
        cJSON_Delete(json);
    return rc;
}

/* The first field that differs, as a sentence in `err`. */
static int compare(const cJSON *before, const cJSON *now, struct srq_error *err)
{
    const cJSON *field;

    cJSON_ArrayForEach(field, now)
    {
        const char *old = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(before, field->string));

        if (old == NULL || strcmp(old, field->valuestring) != 0)
            return srq_fail_field(err, -SRQ_EDRIFT, field->string,
                                  "the job cannot go on as it began: %s was \"%.300s\" and is \"%.300s\" (accept_drift goes "
                                  "on all the same)", field->string, old != NULL ? old : "unknown", field->valuestring);
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

int srq_fingerprint_model(const struct srq_jobdir *dir, char *out, size_t cap, struct srq_error *err)
{
    char *path = srq_jobdir_name(dir, "fingerprint.json"), *text = NULL;
    size_t len = 0;
    cJSON *json;
    const char *model;
    int rc = path != NULL ? srq_read_file(path, 1 << 20, &text, &len, err)
                          : srq_fail(err, -SRQ_ENOMEM, "out of memory reading the fingerprint");

    if (rc == 0) {
        json = cJSON_ParseWithLength(text, len);
        model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "model"));
        snprintf(out, cap, "%s", model != NULL ? model : "");
        if (out[0] == '\0')
            rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s does not name the model's hash", path);
        cJSON_Delete(json);
    }
    srq_free(text);
    srq_free(path);
    return rc;
}
