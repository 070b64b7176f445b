/* A folder that is complete before it has its name: built beside it, checked, then exchanged in one step. */
#include "core/model/export_parts.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/model/save_json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_memory(struct srq_error *err)
{
    return srq_fail(err, -SRQ_ENOMEM, "out of memory exporting");
}

static int write_json(const char *dir, const char *name, const json_t *value, struct srq_error *err)
{
    char *path = srq_path_join(dir, name), *text = NULL;
    size_t len;
    int rc;

    if (path == NULL)
        return no_memory(err);
    rc = srq_json_text(value, &text, &len, err);
    if (rc == 0)
        rc = srq_write_file_durable(path, text, len, 0666, err);
    srq_free(text);
    srq_free(path);
    return rc;
}

static int write_configs(const struct srq_export_plan *p, const char *dir, struct srq_error *err)
{
    const char *copy = p->format->config_copy;
    json_t *quantization = NULL, *config = NULL;
    int rc = srq_export_quantization_config(p, &quantization, err);

    if (rc == 0)
        rc = srq_export_config(p, quantization, &config, err);
    if (rc == 0)
        rc = write_json(dir, "config.json", config, err);
    if (rc == 0 && copy != NULL)
        rc = write_json(dir, copy, quantization, err);
    json_decref(quantization);
    json_decref(config);
    return rc;
}

static int fail_errno(struct srq_error *err, const char *doing, const char *path)
{
    int code;

    switch (errno) {
    case EEXIST:
    case ENOTEMPTY:
        code = -SRQ_EEXIST;
        break;
    case ENOSPC:
    case EDQUOT:
        code = -SRQ_ENOSPC;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        code = -SRQ_EPERM;
        break;
    case ENOENT:
    case ENOTDIR:
        code = -SRQ_ENOENT;
        break;
    default:
        code = -SRQ_EIO;
    }
    return srq_fail_field(err, code, path, "cannot %s %s: %s", doing, path, strerror(errno));
}

/* Configuration and weights; of a diffusers folder they go into a folder of it. */
static int build_network(const struct srq_export_plan *p, const struct srq_export_request *r, const char *dir,
                         struct srq_error *err)
{
    const struct srq_model_info *info = srq_model_info(p->model);
    const char *inside = info->network + strlen(info->folder);
    char *to = srq_asprintf("%s%s", dir, info->network == info->folder ? "" : inside);
    int rc = to == NULL                                              ? no_memory(err)
             : info->network == info->folder || mkdir(to, 0777) == 0 ? srq_export_tensors(p, r, to, err)
                                                                     : fail_errno(err, "create", to);

    if (rc == 0)
        rc = write_configs(p, to, err);
    if (rc == 0)
        rc = srq_export_verify(p, r, to, err);
    if (rc == 0)
        rc = srq_fsync_dir(to, err);
    srq_free(to);
    return rc;
}

int srq_export_build(const struct srq_model *m, const struct srq_export_request *r, const char *dir,
                     struct srq_error *err)
{
    const struct srq_model_info *info = srq_model_info(m);
    struct srq_export_plan p;
    int rc;

    if (info->quantized != NULL)
        return srq_fail_field(err, -SRQ_EUNSUPPORTED, "model", "%s is quantized already (%s)", info->path,
                              info->quantized);
    rc = srq_export_plan_make(&p, m, r->format, r->schemes, err);
    if (rc != 0)
        return rc;
    p.narrow = r->narrow;
    if (mkdir(dir, 0777) != 0)
        return fail_errno(err, "create", dir);
    rc = p.format->build != NULL ? p.format->build(&p, r, dir, err) : build_network(&p, r, dir, err);
    if (rc == 0)
        rc = srq_export_carry(&p, dir, err);
    if (rc == 0)
        rc = srq_fsync_dir(dir, err);
    if (rc != 0)
        srq_remove_tree(dir, NULL);
    return rc;
}

/* The folder that holds `path`, and optionally the last component. Free with srq_free. */
static char *parent_of(const char *path, char **base)
{
    char *copy = srq_strdup(path), *slash, *parent = NULL;
    size_t len;

    if (copy == NULL)
        return NULL;
    for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
        copy[len - 1] = '\0';
    slash = strrchr(copy, '/');
    if (base != NULL)
        *base = srq_strdup(slash != NULL ? slash + 1 : copy);
    if (slash == NULL)
        parent = srq_strdup(".");
    else
        parent = srq_strndup(copy, slash == copy ? 1 : (size_t)(slash - copy));
    srq_free(copy);
    return parent;
}

char *srq_export_temporary(const char *final_dir)
{
    char *base = NULL, *parent = parent_of(final_dir, &base), *path = NULL;

    if (parent != NULL && base != NULL)
        path = srq_asprintf("%s/.%s.srq-new", parent, base);
    srq_free(parent);
    srq_free(base);
    return path;
}

/* Whether `force` may take this away: a folder that holds a model or a report, or nothing at all. */
static bool replaceable(const char *path)
{
    static const char *const marks[] = { "config.json", "model_index.json", "report.json" };
    bool empty = true;
    struct dirent *e;
    DIR *d;

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        char *file = srq_path_join(path, marks[i]);
        bool there = file != NULL && srq_path_exists(file);

        srq_free(file);
        if (there)
            return true;
    }
    d = opendir(path);
    if (d == NULL)
        return false;
    while ((e = readdir(d)) != NULL)
        empty = empty && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    closedir(d);
    return empty;
}

static bool exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static int check_existing(const char *final_dir, bool force, struct srq_error *err)
{
    if (!exists(final_dir))
        return 0;
    if (!force)
        return srq_fail_field(err, -SRQ_EEXIST, "output", "output %s exists; remove it, choose another, or use --force",
                              final_dir);
    if (!replaceable(final_dir))
        return srq_fail_field(err, -SRQ_EEXIST, "output",
                              "output %s exists and is not a model folder: it is not replaced even with --force",
                              final_dir);
    return 0;
}

/* Whether folder `inner` is `outer` or lies in it, both resolved. */
static bool within(const char *inner, const char *outer)
{
    char *a = realpath(inner, NULL), *b = realpath(outer, NULL);
    bool yes = false;

    if (a != NULL && b != NULL) {
        size_t n = strlen(b);

        yes = strncmp(a, b, n) == 0 && (a[n] == '\0' || a[n] == '/' || n == 1);
    }
    free(a);
    free(b);
    return yes;
}

int srq_export_check_output(const char *final_dir, const char *model_dir, bool force, struct srq_error *err)
{
    char *above = srq_path_ancestor(final_dir);
    struct stat st;
    int rc = 0;

    if (above == NULL)
        return no_memory(err);
    if (model_dir != NULL && within(model_dir, final_dir))
        rc = srq_fail_field(err, -SRQ_EINVAL, "output", "output %s would replace the model %s", final_dir, model_dir);
    if (rc == 0 && model_dir != NULL && within(above, model_dir))
        rc = srq_fail_field(err, -SRQ_EINVAL, "output", "output %s lies in the folder of the model %s", final_dir,
                            model_dir);
    if (rc == 0)
        rc = check_existing(final_dir, force, err);
    if (rc == 0 && stat(above, &st) == 0 && !S_ISDIR(st.st_mode))
        rc = srq_fail_field(err, -SRQ_EINVAL, "output", "output %s cannot be made: %s is not a folder", final_dir,
                            above);
    if (rc == 0 && access(above, W_OK | X_OK) != 0) {
        rc = fail_errno(err, "write into", above);
        if (err != NULL)
            snprintf(err->field, sizeof(err->field), "output");
    }
    srq_free(above);
    return rc;
}

/* Exchanges two folders; where the file system cannot, the old one steps aside first. */
static int exchange(const char *built, const char *final_dir, struct srq_error *err)
{
    char *aside;
    int rc = 0;

#ifdef RENAME_EXCHANGE
    if (renameat2(AT_FDCWD, built, AT_FDCWD, final_dir, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return fail_errno(err, "replace", final_dir);
#endif
    aside = srq_asprintf("%s.old", built);
    if (aside == NULL)
        return no_memory(err);
    srq_remove_tree(aside, NULL);
    if (rename(final_dir, aside) != 0)
        rc = fail_errno(err, "move aside", final_dir);
    else if (rename(built, final_dir) != 0) {
        rc = fail_errno(err, "rename the finished folder to", final_dir);
        if (rename(aside, final_dir) != 0 && err != NULL)
            snprintf(err->text + strlen(err->text), sizeof(err->text) - strlen(err->text), "; the old one is %s",
                     aside);
    } else if (rename(aside, built) != 0) {
        rc = fail_errno(err, "move", aside);
    }
    srq_free(aside);
    return rc;
}

int srq_export_publish(const char *built, const char *final_dir, bool force, struct srq_error *err)
{
    char *parent = parent_of(final_dir, NULL);
    int rc = check_existing(final_dir, force, err);
    bool replace = exists(final_dir);

    if (parent == NULL)
        rc = no_memory(err);
    if (rc == 0 && replace)
        rc = exchange(built, final_dir, err);
    else if (rc == 0 && rename(built, final_dir) != 0)
        rc = fail_errno(err, "rename the finished folder to", final_dir);
    if (rc == 0)
        rc = srq_fsync_dir(parent, err);
    if (rc == 0 && replace)
        rc = srq_remove_tree(built, err);
    srq_free(parent);
    return rc;
}

int srq_export_parents(const char *final_dir, struct srq_error *err)
{
    char *parent = parent_of(final_dir, NULL);
    int rc = parent != NULL ? srq_mkdirs(parent, 0777, err) : no_memory(err);

    srq_free(parent);
    return rc;
}

int srq_export(const struct srq_model *m, const struct srq_export_request *r, const char *final_dir, bool force,
               struct srq_error *err)
{
    char *temporary;
    int rc = srq_export_check_output(final_dir, srq_model_info(m)->path, force, err);

    if (rc != 0)
        return rc;
    temporary = srq_export_temporary(final_dir);
    if (temporary == NULL)
        return no_memory(err);
    rc = srq_export_parents(final_dir, err);
    if (rc == 0 && exists(temporary))
        rc = srq_remove_tree(temporary, err);
    if (rc == 0)
        rc = srq_export_build(m, r, temporary, err);
    if (rc == 0) {
        rc = srq_export_publish(temporary, final_dir, force, err);
        if (rc != 0)
            srq_remove_tree(temporary, NULL);
    }
    srq_free(temporary);
    return rc;
}
