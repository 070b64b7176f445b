/* srq_sampling.json. */
#include "core/diffusion/high_rule.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/diffusion/schedule.h"
#include "core/format/json.h"

#define FILE_NAME "srq_sampling.json"
#define FILE_MAX 65536

int srq_high_rule_write(const struct srq_high_rule *r, const char *dir, struct srq_error *err)
{
    char *path = srq_path_join(dir, FILE_NAME),
         *text = srq_asprintf("{\n  \"hp_first\": %d,\n  \"hp_last\": %d,\n  \"hp_dtype\": \"%s\"\n}\n", r->first,
                              r->last, r->dtype == SRQ_BF16 ? "bf16" : "f32");
    int rc = path != NULL && text != NULL ? srq_write_file_durable(path, text, strlen(text), 0666, err)
                                          : srq_fail(err, -SRQ_ENOMEM, "out of memory writing " FILE_NAME);

    srq_free(path);
    srq_free(text);
    return rc;
}

static int take_steps(const json_t *o, const char *key, const char *path, int *out, struct srq_error *err)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > SRQ_TIMES_MAX)
        return srq_fail_field(err, -SRQ_EFORMAT, key, "%s: \"%s\" is not a number of steps from 0 to %d", path, key,
                              SRQ_TIMES_MAX);
    *out = (int)json_integer_value(v);
    return 0;
}

static int take_dtype(const json_t *o, const char *path, enum srq_dtype *out, struct srq_error *err)
{
    const char *word = json_string_value(json_object_get(o, "hp_dtype"));

    if (word == NULL || (strcmp(word, "bf16") != 0 && strcmp(word, "f32") != 0))
        return srq_fail_field(err, -SRQ_EFORMAT, "hp_dtype", "%s: \"hp_dtype\" is neither bf16 nor f32", path);
    *out = strcmp(word, "bf16") == 0 ? SRQ_BF16 : SRQ_F32;
    return 0;
}

int srq_high_rule_read(const char *dir, struct srq_high_rule *r, struct srq_error *err)
{
    char *path = srq_path_join(dir, FILE_NAME);
    json_t *o = NULL;
    int rc = 0;

    if (path == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory reading " FILE_NAME);
    if (srq_path_exists(path)) {
        rc = srq_json_read(path, FILE_MAX, &o, err);
        if (rc == 0 && !json_is_object(o))
            rc = srq_fail_field(err, -SRQ_EFORMAT, path, "%s is not an object", path);
        if (rc == 0)
            rc = take_steps(o, "hp_first", path, &r->first, err);
        if (rc == 0)
            rc = take_steps(o, "hp_last", path, &r->last, err);
        if (rc == 0)
            rc = take_dtype(o, path, &r->dtype, err);
        rc = rc == 0 ? 1 : rc;
    }
    json_decref(o);
    srq_free(path);
    return rc;
}
