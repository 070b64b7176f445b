/* Commands that answer with one JSON object: describe, plan, inspect. */
#include "daemon/srq-worker/commands.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/job/resolve.h"
#include "core/model/pictures.h"
#include "core/proto/members.h"
#include "core/proto/proto.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)16 << 20)

int worker_answer(cJSON *json)
{
    char *text = json != NULL ? cJSON_PrintUnformatted(json) : NULL;
    int rc = text == NULL || puts(text) < 0 || fflush(stdout) != 0 ? WORKER_TRY_AGAIN : WORKER_DONE;

    if (text == NULL)
        fputs("srq-worker: out of memory writing the answer\n", stderr);
    cJSON_free(text);
    cJSON_Delete(json);
    return rc;
}

int worker_refuse(const struct srq_error *err)
{
    worker_answer(srq_proto_error(err));
    return WORKER_FAILED;
}

int worker_read_input(char **text, size_t *len, struct srq_error *err)
{
    struct srq_buf b;
    char data[65536];
    ssize_t n;

    srq_buf_init(&b, INPUT_MAX);
    while ((n = read(STDIN_FILENO, data, sizeof(data))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || !srq_buf_add(&b, data, (size_t)n)) {
            srq_buf_fini(&b);
            return n < 0 ? srq_fail(err, -SRQ_EIO, "cannot read standard input: %s", strerror(errno))
                         : srq_fail(err, -SRQ_ELIMIT, "standard input has more than %zu bytes", INPUT_MAX);
        }
    }
    *len = b.len;
    *text = srq_buf_take(&b);
    if (*text == NULL)
        return srq_fail(err, -SRQ_EINVAL, "standard input is empty; a JSON object is expected there");
    return 0;
}

int worker_describe(const char *name)
{
    struct srq_error err = { 0 };
    cJSON *json = NULL;

    if (srq_describe(name, &json, &err) != 0)
        return worker_refuse(&err);
    return worker_answer(json);
}

int worker_plan(void)
{
    struct srq_error err = { 0 };
    struct srq_resolved r;
    char *text = NULL;
    size_t len;
    cJSON *answer;
    int rc = worker_read_input(&text, &len, &err);

    if (rc == 0)
        rc = srq_resolve_text(text, len, 0, &r, &err);
    srq_free(text);
    if (rc != 0)
        return worker_refuse(&err);
    answer = srq_resolved_json(&r);
    srq_resolved_fini(&r);
    return worker_answer(answer);
}

/* ---- inspect ----------------------------------------------------------------------------------------------------- */

static bool add_layers(cJSON *root, const struct srq_model *m)
{
    cJSON *list = cJSON_AddArrayToObject(root, "layers");

    for (int i = 0; list != NULL && i < srq_model_layer_count(m); i++) {
        const struct srq_layer_info *l = srq_model_layer(m, i);
        cJSON *o = cJSON_CreateObject();

        if (o == NULL || !cJSON_AddItemToArray(list, o) || !srq_put_text(o, "name", l->name) ||
            !srq_put_number(o, "block", l->block >= 0 ? l->block : NAN) || !srq_put_text(o, "module", l->module) ||
            !srq_put_number(o, "out", (double)l->out) || !srq_put_number(o, "in", (double)l->in) ||
            !srq_put_number(o, "kernel", l->kernel > 0 ? l->kernel : NAN) ||
            !srq_put_text(o, "dtype", srq_dtype_name(l->dtype)) ||
            cJSON_AddBoolToObject(o, "bias", l->has_bias) == NULL || !srq_put_text(o, "tie", l->tie_name))
            return false;
    }
    return list != NULL;
}

static bool add_notes(cJSON *root, const struct srq_model *m)
{
    cJSON *list = cJSON_AddArrayToObject(root, "warnings");
    bool ok = list != NULL;

    for (int i = 0; ok && srq_model_note(m, i) != NULL; i++)
        ok = cJSON_AddItemToArray(list, cJSON_CreateString(srq_model_note(m, i)));
    return ok;
}

/* What only models of words have: null for one of pictures. */
static bool add_words(cJSON *o, const struct srq_model_info *i)
{
    const struct {
        const char *name;
        int64_t value;
    } widths[] = { { "hidden", i->hidden },
                   { "intermediate", i->intermediate },
                   { "heads", i->heads },
                   { "kv_heads", i->kv_heads },
                   { "head_dim", i->head_dim },
                   { "vocab", i->vocab },
                   { "max_positions", i->max_positions } };
    bool ok = true;

    for (size_t k = 0; ok && k < sizeof(widths) / sizeof(widths[0]); k++)
        ok = srq_put_number(o, widths[k].name, i->pictures ? NAN : (double)widths[k].value);
    if (i->pictures)
        return ok && cJSON_AddNullToObject(o, "tied_head") != NULL;
    return ok && cJSON_AddBoolToObject(o, "tied_head", i->tied_head) != NULL;
}

/* What only models of pictures have: null for one of words. */
static bool add_pictures(cJSON *root, const struct srq_model *m)
{
    struct srq_pictures p;
    cJSON *o;

    if (!srq_model_info(m)->pictures)
        return cJSON_AddNullToObject(root, "pictures") != NULL;
    p = srq_model_pictures(m);
    o = cJSON_AddObjectToObject(root, "pictures");
    return o != NULL && srq_put_number(o, "height", (double)p.height) && srq_put_number(o, "width", (double)p.width) &&
           srq_put_number(o, "channels", (double)p.channels) &&
           srq_put_number(o, "out_channels", (double)p.out_channels);
}

static cJSON *model_json(const struct srq_model *m)
{
    const struct srq_model_info *i = srq_model_info(m);
    cJSON *o = cJSON_CreateObject();
    bool ok = o != NULL && srq_put_text(o, "path", i->path) && srq_put_text(o, "family", i->family) &&
              srq_put_text(o, "architecture", i->architecture[0] != '\0' ? i->architecture : NULL) &&
              srq_put_text(o, "quantized", i->quantized) && srq_put_text(o, "dtype", srq_dtype_name(i->dtype)) &&
              srq_put_number(o, "parameters", (double)i->parameters) && srq_put_number(o, "bytes", (double)i->bytes) &&
              srq_put_number(o, "blocks", i->blocks) && add_words(o, i) && add_pictures(o, m) && add_layers(o, m) &&
              add_notes(o, m);

    if (ok)
        return o;
    cJSON_Delete(o);
    return NULL;
}

int worker_unpack(const char *path)
{
    struct srq_error err = { 0 };
    struct srq_unpacked made;
    cJSON *answer;

    if (srq_model_unpack(path, &made, &err) != 0)
        return worker_refuse(&err);
    answer = cJSON_CreateObject();
    if (answer != NULL)
        srq_put_text(answer, "folder", made.folder != NULL ? made.folder : path);
    srq_unpacked_fini(&made);
    return worker_answer(answer);
}

int worker_inspect(const char *path)
{
    struct srq_error err = { 0 };
    struct srq_model *m = NULL;
    cJSON *answer;

    if (srq_model_open(path, false, &m, &err) != 0)
        return worker_refuse(&err);
    answer = model_json(m);
    srq_model_close(m);
    return worker_answer(answer);
}
