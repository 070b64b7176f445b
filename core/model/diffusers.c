/* Diffusers folders: a model_index.json that names components, each in a folder of its own (spec diffusion-qat 8). */
#include "core/model/pictures.h"

#include "core/base/alloc.h"
#include "core/format/json.h"
#include "core/model/internal.h"

#define INDEX "model_index.json"
#define SCHEDULER_MAX ((size_t)1 << 20)

/* "unet": ["diffusers", "UNet2DModel"]; null components are left out of a pipeline. */
static const char *class_of(const json_t *index, const char *component)
{
    const json_t *v = json_object_get(index, component);

    return json_is_array(v) && json_array_size(v) == 2 ? json_string_value(json_array_get(v, 1)) : NULL;
}

static int check_pipeline(const json_t *index, const char *path, struct srq_error *err)
{
    static const char *const known[] = { "DDPMPipeline", "DDIMPipeline", "StableDiffusionPipeline" };
    const char *pipeline = json_string_value(json_object_get(index, "_class_name"));

    if (pipeline == NULL)
        return srq_fail_field(err, -SRQ_EFORMAT, "_class_name", "%s/" INDEX " names no pipeline (_class_name)", path);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(pipeline, known[i]) == 0)
            return class_of(index, "unet") != NULL
                       ? 0
                       : srq_fail_field(err, -SRQ_EFORMAT, "unet", "%s/" INDEX " names no unet", path);
    return srq_fail_field(err, -SRQ_EUNSUPPORTED, "_class_name",
                          "%s/" INDEX ": pipeline \"%.60s\" is not one that srq knows (DDPMPipeline, DDIMPipeline, "
                          "StableDiffusionPipeline)",
                          path, pipeline);
}

/* Where the network of a pipeline is: in unet/, or (old hubs) beside the index. */
static int find_network(const char *path, char **out, struct srq_error *err)
{
    char *inside = srq_path_join(path, "unet"), *beside = srq_path_join(path, "config.json");
    int rc = inside != NULL && beside != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory opening model %s", path);

    if (rc == 0 && (srq_path_exists(inside) || !srq_path_exists(beside))) {
        *out = inside;
        inside = NULL;
    }
    srq_free(inside);
    srq_free(beside);
    return rc;
}

int srq_diffusers_network(const char *path, char **out, struct srq_error *err)
{
    char *name = srq_path_join(path, INDEX);
    json_t *index = NULL;
    int rc = 0;

    *out = NULL;
    if (name == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory opening model %s", path);
    if (srq_path_exists(name)) {
        rc = srq_json_read(name, SRQ_JSON_CONFIG_MAX, &index, err);
        if (rc == 0)
            rc = check_pipeline(index, path, err);
        if (rc == 0)
            rc = find_network(path, out, err);
        json_decref(index);
    }
    srq_free(name);
    return rc;
}

int srq_model_scheduler(const struct srq_model *m, char **text, size_t *len, struct srq_error *err)
{
    char *name = srq_asprintf("%s/scheduler/scheduler_config.json", m->info.folder),
         *beside = srq_asprintf("%s/scheduler_config.json", m->info.folder);
    int rc = name != NULL && beside != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory opening %s", m->info.path);

    *text = NULL;
    *len = 0;
    if (rc == 0 && srq_path_exists(name))
        rc = srq_read_file(name, SCHEDULER_MAX, text, len, err);
    else if (rc == 0 && srq_path_exists(beside))
        rc = srq_read_file(beside, SCHEDULER_MAX, text, len, err);
    srq_free(name);
    srq_free(beside);
    return rc;
}
