/* Files beside the weights that an export carries along as they are. */
#include "core/model/export_parts.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CARRIED_MAX ((size_t)512 * 1024 * 1024)
#define SCHEDULER "scheduler"

const char *const srq_export_carried[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "NOTICE",
    "README.md",
    NULL,
};

/* What a pipeline has beside its network. */
static const char *const of_pipelines[] = {
    "model_index.json",
    SCHEDULER "/scheduler_config.json",
    "scheduler_config.json",
};

const char *srq_export_carried_name(const struct srq_model *m, int i)
{
    const int common = (int)(sizeof(srq_export_carried) / sizeof(srq_export_carried[0])) - 1;
    const int more = srq_model_info(m)->pictures ? (int)(sizeof(of_pipelines) / sizeof(of_pipelines[0])) : 0;

    if (i < 0 || i >= common + more)
        return NULL;
    return i < common ? srq_export_carried[i] : of_pipelines[i - common];
}

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");
}

static int check_file(const char *path, struct srq_error *err)
{
    int64_t bytes;
    int rc;

    if (!srq_path_exists(path))
        return 0;
    rc = srq_file_check(path, CARRIED_MAX, &bytes, err);
    if (rc != 0 && err != NULL)
        snprintf(err->field, sizeof(err->field), "model");
    return rc == 0 && access(path, R_OK) != 0 ? srq_fail_errno(err, "open", path) : rc;
}

int srq_export_check_carried(const struct srq_model *m, struct srq_error *err)
{
    const char *name;
    int rc = 0;

    for (int i = 0; rc == 0 && (name = srq_export_carried_name(m, i)) != NULL; i++) {
        char *path = srq_path_join(srq_model_info(m)->folder, name);

        rc = path != NULL ? check_file(path, err) : no_memory(err);
        srq_free(path);
    }
    return rc;
}

uint64_t srq_export_carried_bytes(const struct srq_model *m)
{
    uint64_t bytes = 0;
    const char *name;

    for (int i = 0; (name = srq_export_carried_name(m, i)) != NULL; i++) {
        char *path = srq_path_join(srq_model_info(m)->folder, name);
        struct stat st;

        if (path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
        srq_free(path);
    }
    return bytes;
}

/* Mapped, so that it takes no memory of its own. */
static int carry_file(const char *src, const char *dst, struct srq_error *err)
{
    struct srq_map from, back;
    int rc = srq_map_open(src, &from, err);

    if (rc != 0)
        return rc;
    rc = srq_write_file_durable(dst, from.data, from.size, 0666, err);
    if (rc == 0)
        rc = srq_map_check(&from, err);
    if (rc == 0)
        rc = srq_map_open(dst, &back, err);
    if (rc == 0) {
        if (back.size != from.size || (from.size > 0 && memcmp(from.data, back.data, from.size) != 0))
            rc = srq_fail_field(err, -SRQ_EIO, dst, "%s differs from %s after copying", dst, src);
        srq_map_close(&back);
    }
    srq_map_close(&from);
    return rc;
}

/* The folder is there where the pipeline has one, even without the file. */
static int make_scheduler(const char *from, const char *to, struct srq_error *err)
{
    char *source = srq_path_join(from, SCHEDULER), *made = srq_path_join(to, SCHEDULER);
    int rc = source != NULL && made != NULL ? 0 : no_memory(err);

    if (rc == 0 && srq_path_exists(source) && mkdir(made, 0777) != 0)
        rc = srq_fail_errno(err, "create", made);
    srq_free(source);
    srq_free(made);
    return rc;
}

static int sync_scheduler(const char *to, struct srq_error *err)
{
    char *made = srq_path_join(to, SCHEDULER);
    int rc = made == NULL ? no_memory(err) : srq_path_exists(made) ? srq_fsync_dir(made, err) : 0;

    srq_free(made);
    return rc;
}

/* What a folder of one file has beside it: what people read. */
static bool is_for_people(const char *name)
{
    return strncmp(name, "LICENSE", 7) == 0 || strcmp(name, "NOTICE") == 0 || strcmp(name, "README.md") == 0;
}

int srq_export_carry(const struct srq_export_plan *p, const char *to, struct srq_error *err)
{
    const struct srq_model *m = p->model;
    const struct srq_model_info *info = srq_model_info(m);
    int rc = info->pictures ? make_scheduler(info->folder, to, err) : 0;
    const char *name;

    for (int i = 0; rc == 0 && (name = srq_export_carried_name(m, i)) != NULL; i++) {
        char *src, *dst;

        if (p->format->build != NULL && !is_for_people(name))
            continue;
        src = srq_path_join(info->folder, name);
        dst = srq_path_join(to, name);

        if (src == NULL || dst == NULL)
            rc = no_memory(err);
        else if (srq_path_exists(src))
            rc = carry_file(src, dst, err);
        srq_free(src);
        srq_free(dst);
    }
    return rc == 0 && info->pictures ? sync_scheduler(to, err) : rc;
}
