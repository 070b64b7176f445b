/* Model folders for tests, made from the reference models. */
#include "tests/unit/test.h"

#include "tests/unit/model_folder.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <unistd.h>

const char *reference_path(const char *name)
{
    static char path[4096];
    const char *top = getenv("top_srcdir");

    snprintf(path, sizeof(path), "%s/tests/reference/models/%s", top != NULL ? top : ".", name);
    return path;
}

json_t *reference_config(const char *model)
{
    char name[128];
    json_error_t error;
    json_t *config;

    snprintf(name, sizeof(name), "%s.json", model);
    config = json_load_file(reference_path(name), 0, &error);
    if (config == NULL)
        fail_msg("%s: %s", reference_path(name), error.text);
    return config;
}

const char *reference_weights(const char *model)
{
    if (strcmp(model, "qwen3") == 0)
        return "qwen3";
    if (strncmp(model, "gemma", 5) == 0)
        return "gemma";
    if (strcmp(model, "llama-gptq") == 0)
        return "gptq";
    return strncmp(model, "qwen2", 5) == 0 || strcmp(model, "llama-bias") == 0 ? "bias" : "plain";
}

static const char *weights_path(const char *weights)
{
    char name[128];

    snprintf(name, sizeof(name), "weights-%s.safetensors", weights);
    return reference_path(name);
}

char *folder_create(const json_t *config, const char *weights)
{
    char template[] = "/tmp/srq-model-XXXXXX", *path, *absolute;

    assert_non_null(mkdtemp(template));
    if (config != NULL) {
        path = srq_path_join(template, "config.json");
        assert_int_equal(json_dump_file(config, path, 0), 0);
        srq_free(path);
    }
    if (weights != NULL) {
        path = srq_path_join(template, "model.safetensors");
        absolute = srq_path_absolute(weights_path(weights));
        assert_int_equal(symlink(absolute, path), 0);
        srq_free(absolute);
        srq_free(path);
    }
    return srq_strdup(template);
}

char *folder_of(const char *model)
{
    json_t *config = reference_config(model);
    char *folder = folder_create(config, reference_weights(model));

    json_decref(config);
    return folder;
}

void folder_remove(char *folder)
{
    struct srq_error err = { 0 };

    assert_ok(srq_remove_tree(folder, &err), &err);
    srq_free(folder);
}

static uint64_t load_le64(const char *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

/* Changes the header; a dropped tensor leaves its bytes to a tensor named "spare". */
static void change_header(json_t *header, const struct tensor_change *c)
{
    json_t *t = json_object_get(header, c->name), *shape;

    if (t == NULL)
        fail_msg("no tensor %s to change", c->name);
    shape = json_object_get(t, "shape");
    if (c->dtype != NULL)
        json_object_set_new(t, "dtype", json_string(c->dtype));
    if (c->transpose)
        json_array_insert(shape, 0, json_array_get(shape, 1));
    if (c->transpose)
        json_array_remove(shape, 2);
    if (c->drop) {
        json_object_set(header, "spare", t);
        json_object_del(header, c->name);
    }
}

void folder_change_tensor(const char *folder, const char *weights, const struct tensor_change *change)
{
    struct srq_error err = { 0 };
    char *data, *text, *path = srq_path_join(folder, "model.safetensors"), length[8];
    json_t *header;
    size_t len, header_len, new_len;
    FILE *f;

    assert_ok(srq_read_file(weights_path(weights), 1 << 20, &data, &len, &err), &err);
    header_len = (size_t)load_le64(data);
    header = json_loadb(data + 8, header_len, 0, NULL);
    assert_non_null(header);
    if (change->nonfinite >= 0) {
        json_t *at = json_object_get(json_object_get(header, change->name), "data_offsets");
        size_t begin = (size_t)json_integer_value(json_array_get(at, 0)) + 2 * (size_t)change->nonfinite;

        memcpy(data + 8 + header_len + begin, change->zero ? "\0" : "\xc0\x7f", 2);
    }
    change_header(header, change);
    text = json_dumps(header, JSON_COMPACT);
    new_len = (strlen(text) + 7) / 8 * 8;
    for (int i = 0; i < 8; i++)
        length[i] = (char)(new_len >> 8 * i);
    f = fopen(path, "w");
    assert_non_null(f);
    fwrite(length, 1, 8, f);
    fprintf(f, "%-*s", (int)new_len, text);
    fwrite(data + 8 + header_len, 1, len - 8 - header_len, f);
    assert_int_equal(fclose(f), 0);
    free(text);
    json_decref(header);
    srq_free(data);
    srq_free(path);
}
