/* Exports a model by plain rounding, and writes the integer codes apart from it, for tests in other languages to
 * compare.
 *
 * usage: export_tool MODEL FORMAT SCHEME OUT CODES.safetensors [LAYER=SCHEME]…
 * CODES holds LAYER.codes U8 [out, in], LAYER.scale F32 and LAYER.zero U8, both [out, groups], [1, 1] where one group
 * spans the tensor. */
#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/math/team.h"
#include "core/model/export.h"
#include "tests/interop/round_plainly.h"

#include <stdio.h>
#include <string.h>

struct tool {
    struct srq_model *model;
    struct srq_scheme *schemes;
    struct srq_codes codes; /* of the layer asked for last */
};

static int give(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct tool *t = ctx;

    srq_codes_fini(&t->codes);
    *out = &t->codes;
    return round_plainly(t->model, layer, &t->schemes[layer], &t->codes, err);
}

static int parse_schemes(struct tool *t, const char *scheme, char **more, int count, struct srq_error *err)
{
    int n = srq_model_layer_count(t->model), rc = 0;

    t->schemes = srq_calloc((size_t)n, sizeof(*t->schemes));
    if (t->schemes == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory");
    for (int i = 0; i < n && rc == 0; i++) {
        const struct srq_layer_info *l = srq_model_layer(t->model, i);

        rc = srq_scheme_parse(l->block >= 0 ? scheme : "bf16", &t->schemes[i], err);
        for (int k = 0; k < count && rc == 0; k++) {
            size_t len = strlen(l->name);

            if (strncmp(more[k], l->name, len) == 0 && more[k][len] == '=')
                rc = srq_scheme_parse(more[k] + len + 1, &t->schemes[i], err);
        }
    }
    return rc;
}

/* Declares (data false) or writes the three tensors of every quantized layer. */
static int put_layers(struct tool *t, struct srq_tensor_writer *w, bool data, struct srq_error *err)
{
    int n = srq_model_layer_count(t->model), rc = 0;

    for (int i = 0; i < n && rc == 0; i++) {
        const struct srq_layer_info *l = srq_model_layer(t->model, i);
        struct srq_groups g = srq_groups_of(l->out, l->in, t->schemes[i].group);
        int64_t rows = t->schemes[i].group == 0 ? 1 : l->out;
        const struct srq_codes *c = NULL;
        char name[3][512];

        if (t->schemes[i].grid == SRQ_GRID_NONE)
            continue;
        snprintf(name[0], sizeof(name[0]), "%s.codes", l->name);
        snprintf(name[1], sizeof(name[1]), "%s.scale", l->name);
        snprintf(name[2], sizeof(name[2]), "%s.zero", l->name);
        if (!data) {
            rc = srq_writer_declare(w, name[0], SRQ_U8, 2, (int64_t[]){ l->out, l->in }, err);
            if (rc == 0)
                rc = srq_writer_declare(w, name[1], SRQ_F32, 2, (int64_t[]){ rows, g.per_row }, err);
            if (rc == 0)
                rc = srq_writer_declare(w, name[2], SRQ_U8, 2, (int64_t[]){ rows, g.per_row }, err);
            continue;
        }
        rc = give(t, i, &c, err);
        if (rc == 0)
            rc = srq_writer_put(w, name[0], 0, c->codes, (size_t)(l->out * l->in), err);
        if (rc == 0)
            rc = srq_writer_put(w, name[1], 0, c->scale, (size_t)g.count * sizeof(float), err);
        if (rc == 0)
            rc = srq_writer_put(w, name[2], 0, c->zero, (size_t)g.count, err);
    }
    return rc;
}

/* `path` is FOLDER/NAME.safetensors. */
static int write_codes(struct tool *t, const char *path, struct srq_error *err)
{
    char *dir = srq_strdup(path), *base = strrchr(dir, '/');
    struct srq_tensor_writer *w = NULL;
    int rc;

    if (base == NULL || strlen(base) < sizeof(".safetensors") + 1) {
        srq_free(dir);
        return srq_fail(err, -SRQ_EINVAL, "%s is not FOLDER/NAME.safetensors", path);
    }
    *base++ = '\0';
    base[strlen(base) - strlen(".safetensors")] = '\0';
    rc = srq_writer_create(dir, base, UINT64_MAX, &w, err);
    if (rc == 0)
        rc = put_layers(t, w, false, err);
    if (rc == 0)
        rc = srq_writer_begin(w, err);
    if (rc == 0)
        rc = put_layers(t, w, true, err);
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    if (w != NULL)
        srq_writer_free(w);
    srq_free(dir);
    return rc;
}

int main(int argc, char **argv)
{
    struct srq_export_request r = { 0 };
    struct srq_error err = { 0 };
    struct tool t = { 0 };
    int rc;

    if (argc < 6) {
        fprintf(stderr, "usage: %s MODEL FORMAT SCHEME OUT CODES.safetensors [LAYER=SCHEME]...\n", argv[0]);
        return 2;
    }
    rc = srq_team_start(0, &err);
    if (rc == 0)
        rc = srq_model_open(argv[1], true, &t.model, &err);
    if (rc == 0)
        rc = parse_schemes(&t, argv[3], argv + 6, argc - 6, &err);
    if (rc == 0) {
        r = (struct srq_export_request){
            .format = srq_format_find(argv[2], &err), .schemes = t.schemes, .codes = give, .codes_ctx = &t
        };
        rc = r.format != NULL ? srq_export(t.model, &r, argv[4], true, &err) : -SRQ_EINVAL;
    }
    if (rc == 0)
        rc = write_codes(&t, argv[5], &err);
    if (rc != 0)
        fprintf(stderr, "%s\n", err.text);
    srq_codes_fini(&t.codes);
    srq_free(t.schemes);
    srq_model_close(t.model);
    return rc == 0 ? 0 : 1;
}
