/* Exports of the demo model: what each format accepts, what stands in its files, that they open again with the same
 * weights, and that a name is given only to a complete folder. */
#include "tests/unit/test.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/format/json.h"
#include "core/model/export.h"
#include "core/model/quantized.h"
#include "core/model/save_json.h"

#include <sys/stat.h>
#include <unistd.h>

#define MAX_LAYERS 64

/* The demo model with pseudo-random codes for every layer. */
struct fixture {
    struct srq_model *model;
    struct srq_scheme schemes[MAX_LAYERS];
    char reason[MAX_LAYERS][SRQ_FORMAT_REASON_MAX];
    struct srq_codes codes; /* of the layer asked for last */
    int layers, calls, fail_at;
    char dir[64], model_dir[512], out[128], other[128];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *top = getenv("top_srcdir");
    struct srq_error err = { 0 };

    snprintf(f->model_dir, sizeof(f->model_dir), "%s/share/models/demo-lm", top != NULL ? top : ".");
    snprintf(f->dir, sizeof(f->dir), "/tmp/srq-test-export-XXXXXX");
    if (mkdtemp(f->dir) == NULL || srq_model_open(f->model_dir, true, &f->model, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
    snprintf(f->other, sizeof(f->other), "%s/other", f->dir);
    f->layers = srq_model_layer_count(f->model);
    f->fail_at = -1;
    *state = f;
    return f->layers <= MAX_LAYERS ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    srq_codes_fini(&f->codes);
    srq_model_close(f->model);
    srq_remove_tree(f->dir, NULL);
    free(f);
    return 0;
}

static void use_scheme(struct fixture *f, const char *text)
{
    struct srq_error err = { 0 };

    for (int i = 0; i < f->layers; i++)
        assert_ok(srq_scheme_parse(text, &f->schemes[i], &err), &err);
}

static int layer_named(const struct fixture *f, const char *name)
{
    for (int i = 0; i < f->layers; i++)
        if (strcmp(srq_model_layer(f->model, i)->name, name) == 0)
            return i;
    fail_msg("no layer %s", name);
    return -1;
}

static void set_layer(struct fixture *f, const char *name, const char *scheme)
{
    struct srq_error err = { 0 };

    assert_ok(srq_scheme_parse(scheme, &f->schemes[layer_named(f, name)], &err), &err);
}

static void fill_codes(struct srq_codes *c, uint64_t stream)
{
    for (int64_t i = 0; i < c->groups.out * c->groups.in; i++)
        c->codes[i] = (uint8_t)srq_rng_below(7, stream, (uint64_t)i, 1u << c->scheme.bits);
    for (int64_t i = 0; i < c->groups.count; i++) {
        double u = srq_rng_uniform(8, stream, (uint64_t)i);

        c->scale[i] = srq_round_f16((float)((u + 0.1) * (i % 3 == 0 ? -0.01 : 0.01)));
        c->zero[i] = (uint8_t)(1 << (c->scheme.bits - 1));
        if (c->scheme.grid == SRQ_GRID_INT_ASYM) {
            c->scale[i] = srq_round_f16((float)(u + 0.1) * 0.01f);
            c->zero[i] = (uint8_t)srq_rng_below(9, stream, (uint64_t)i, 1u << c->scheme.bits);
        }
    }
}

static int give_codes(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct fixture *f = ctx;
    const struct srq_layer_info *l = srq_model_layer(f->model, layer);
    int rc;

    if (f->calls++ == f->fail_at)
        return srq_fail(err, -SRQ_EIO, "codes of %s are lost", l->name);
    srq_codes_fini(&f->codes);
    rc = srq_codes_alloc(l->out, l->in, &f->schemes[layer], &f->codes, err);
    if (rc == 0)
        fill_codes(&f->codes, (uint64_t)layer);
    *out = &f->codes;
    return rc;
}

static struct srq_export_request request(struct fixture *f, const char *format)
{
    struct srq_error err = { 0 };
    const struct srq_format *found = srq_format_find(format, &err);

    assert_non_null(found);
    f->calls = 0;
    return (struct srq_export_request){ .format = found, .schemes = f->schemes, .codes = give_codes, .codes_ctx = f };
}

static json_t *config_of(const char *dir, const char *file)
{
    struct srq_error err = { 0 };
    char path[1024];
    json_t *j;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    assert_ok(srq_json_read(path, SRQ_JSON_CONFIG_MAX, &j, &err), &err);
    return j;
}

static const char *text_in(const json_t *config, const char *key)
{
    const char *s = json_string_value(json_object_get(json_object_get(config, "quantization_config"), key));

    return s != NULL ? s : "(none)";
}

/* Opens the export as a model and compares every layer with its codes. */
static void assert_decodes(struct fixture *f, const char *dir)
{
    struct srq_error err = { 0 };
    struct srq_quantized *q;
    struct srq_tensors *ts;
    json_t *config = config_of(dir, "config.json");

    assert_ok(srq_tensors_open(dir, &ts, &err), &err);
    assert_ok(srq_quantized_open(json_object_get(config, "quantization_config"), ts, &q, &err), &err);
    for (int i = 0; i < f->layers; i++) {
        const struct srq_layer_info *l = srq_model_layer(f->model, i);
        const struct srq_codes *c;
        float *got, worst = 0;

        if (f->schemes[i].grid == SRQ_GRID_NONE) {
            assert_int_equal(srq_quantized_has(q, l->name, l->out, l->in, &err), 0);
            continue;
        }
        assert_int_equal(srq_quantized_has(q, l->name, l->out, l->in, &err), 1);
        assert_ok(give_codes(f, i, &c, &err), &err);
        got = malloc((size_t)(l->out * l->in) * sizeof(*got));
        assert_ok(srq_quantized_decode(q, l->name, 0, l->out, got, SRQ_F32, &err), &err);
        for (int64_t k = 0; k < l->out * l->in; k++) {
            int64_t g = k / l->in * c->groups.per_row + k % l->in / c->groups.len;
            float want = c->scale[g] * (float)(c->codes[k] - c->zero[g]), d = got[k] - want;

            worst = d > worst ? d : -d > worst ? -d : worst;
        }
        free(got);
        assert_true(worst == 0);
    }
    srq_quantized_close(q);
    srq_tensors_close(ts);
    json_decref(config);
}

static void formats_round_trip(void **state)
{
    static const struct {
        const char *format, *scheme, *key, *value;
    } row[] = {
        { "auto_round", "w4g32", "packing_format", "auto_round:auto_gptq" },
        { "auto_round", "w4g32z", "packing_format", "auto_round:auto_awq" },
        { "auto_round", "w3g64z", "packing_format", "auto_round" },
        { "auto_round", "w2g64", "packing_format", "auto_round:auto_gptq" },
        { "auto_gptq", "w8", "checkpoint_format", "gptq" },
        { "auto_gptq", "w3g128", "checkpoint_format", "gptq" },
        { "auto_gptq", "w2g32z", "checkpoint_format", "gptq_v2" },
        { "auto_awq", "w4g64", "version", "gemm" },
        { "auto_awq", "w4g128z", "version", "gemm" },
        { "compressed-tensors", "w4g64z", "format", "pack-quantized" },
        { "compressed-tensors", "w8", "format", "pack-quantized" },
    };
    struct fixture *f = *state;
    struct srq_error err = { 0 };

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct srq_export_request r = request(f, row[i].format);
        struct srq_model *m;
        json_t *config;

        use_scheme(f, row[i].scheme);
        assert_ok(srq_export(f->model, &r, f->out, false, &err), &err);
        config = config_of(f->out, "config.json");
        assert_string_equal(text_in(config, row[i].key), row[i].value);
        json_decref(config);
        assert_decodes(f, f->out);
        assert_ok(srq_model_open(f->out, false, &m, &err), &err);
        assert_non_null(srq_model_info(m)->quantized);
        assert_int_equal(srq_model_info(m)->hidden, srq_model_info(f->model)->hidden);
        srq_model_close(m);
        assert_refused(srq_model_open(f->out, true, &m, &err), -SRQ_EUNSUPPORTED, &err, "already quantized");
        assert_ok(srq_remove_tree(f->out, &err), &err);
    }
}

/* Mixed widths in extra_config: only what differs, and 16 bits for layers left alone. */
static void auto_round_lists_only_what_differs(void **state)
{
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "auto_round");
    struct srq_error err = { 0 };
    json_t *config, *quantization, *extra, *down, *o, *copy;

    use_scheme(f, "w4g64");
    set_layer(f, "model.layers.3.mlp.down_proj", "w8g64");
    set_layer(f, "model.layers.0.self_attn.o_proj", "bf16");
    assert_ok(srq_export(f->model, &r, f->out, false, &err), &err);
    config = config_of(f->out, "config.json");
    copy = config_of(f->out, "quantization_config.json");
    quantization = json_object_get(config, "quantization_config");
    assert_true(json_equal(quantization, copy));
    assert_string_equal(text_in(config, "block_name_to_quantize"), "model.layers");
    assert_string_equal(json_string_value(json_object_get(config, "dtype")), "bfloat16");
    extra = json_object_get(quantization, "extra_config");
    assert_int_equal(json_object_size(extra), 2);
    down = json_object_get(extra, "model.layers.3.mlp.down_proj");
    assert_int_equal(json_object_size(down), 1);
    assert_int_equal(json_integer_value(json_object_get(down, "bits")), 8);
    o = json_object_get(extra, "model.layers.0.self_attn.o_proj");
    assert_int_equal(json_integer_value(json_object_get(o, "bits")), 16);
    json_decref(config);
    json_decref(copy);
    assert_decodes(f, f->out);
}

static void gptq_names_exceptions_by_pattern(void **state)
{
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "auto_gptq");
    struct srq_error err = { 0 };
    json_t *config, *quantization, *dynamic;

    use_scheme(f, "w4g64");
    set_layer(f, "model.layers.2.mlp.gate_proj", "w8g32");
    set_layer(f, "model.layers.2.mlp.up_proj", "w8g32");
    set_layer(f, "model.layers.1.mlp.down_proj", "bf16");
    assert_ok(srq_export(f->model, &r, f->out, false, &err), &err);
    config = config_of(f->out, "config.json");
    quantization = json_object_get(config, "quantization_config");
    dynamic = json_object_get(quantization, "dynamic");
    assert_non_null(json_object_get(dynamic, "+:^model\\.layers\\.2\\.mlp\\.(?:gate_proj|gate_up_proj)$"));
    assert_non_null(json_object_get(dynamic, "-:^model\\.layers\\.1\\.mlp\\.down_proj$"));
    assert_int_equal(json_object_size(dynamic), 3);
    assert_int_equal(json_array_size(json_object_get(quantization, "modules_in_block_to_quantize")), 7);
    assert_string_equal(json_string_value(json_object_get(config, "dtype")), "float16");
    json_decref(config);
    assert_decodes(f, f->out);
}

/* Everything but the two named keys is as the source has it, in its order. */
static void configuration_is_carried_over(void **state)
{
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "auto_round");
    struct srq_error err = { 0 };
    json_t *was, *is;
    void *a, *b;

    use_scheme(f, "w4g64");
    assert_ok(srq_export(f->model, &r, f->out, false, &err), &err);
    was = config_of(f->model_dir, "config.json");
    is = config_of(f->out, "config.json");
    a = json_object_iter(was);
    b = json_object_iter(is);
    for (; a != NULL; a = json_object_iter_next(was, a), b = json_object_iter_next(is, b)) {
        assert_non_null(b);
        assert_string_equal(json_object_iter_key(a), json_object_iter_key(b));
        assert_true(json_equal(json_object_iter_value(a), json_object_iter_value(b)));
    }
    assert_string_equal(json_object_iter_key(b), "quantization_config");
    json_decref(was);
    json_decref(is);
}

static void assert_same_file(const char *a, const char *b, const char *name)
{
    char pa[1024], pb[1024], *da, *db;
    struct srq_error err = { 0 };
    size_t na, nb;

    snprintf(pa, sizeof(pa), "%s/%s", a, name);
    snprintf(pb, sizeof(pb), "%s/%s", b, name);
    assert_ok(srq_read_file(pa, (size_t)1 << 30, &da, &na, &err), &err);
    assert_ok(srq_read_file(pb, (size_t)1 << 30, &db, &nb, &err), &err);
    assert_int_equal(na, nb);
    assert_memory_equal(da, db, na);
    srq_free(da);
    srq_free(db);
}

static void two_exports_have_the_same_bytes(void **state)
{
    static const char *const file[] = { "config.json", "model.safetensors", "quantization_config.json",
                                        "tokenizer.json", "generation_config.json" };
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "auto_round");
    struct srq_error err = { 0 };

    use_scheme(f, "w4g32z");
    assert_ok(srq_export(f->model, &r, f->out, false, &err), &err);
    assert_ok(srq_export(f->model, &r, f->other, false, &err), &err);
    for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++)
        assert_same_file(f->out, f->other, file[i]);
    assert_same_file(f->out, f->model_dir, "tokenizer.json");
}

static void fake_holds_dequantized_weights_in_the_models_dtype(void **state)
{
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "fake");
    struct srq_error err = { 0 };
    const struct srq_codes *c;
    struct srq_model *m;
    struct srq_tensor w;
    json_t *config;
    int layer;

    use_scheme(f, "w3gt");
    assert_ok(srq_export(f->model, &r, f->out, false, &err), &err);
    assert_ok(srq_model_open(f->out, true, &m, &err), &err);
    layer = layer_named(f, "model.layers.5.mlp.up_proj");
    assert_ok(give_codes(f, layer, &c, &err), &err);
    assert_ok(srq_model_weight(m, layer, &w, &err), &err);
    assert_int_equal(w.dtype, SRQ_BF16);
    for (int64_t i = 0; i < w.shape[0] * w.shape[1]; i++) {
        float want = c->scale[0] * (float)(c->codes[i] - c->zero[0]);

        assert_int_equal(((const uint16_t *)w.data)[i], srq_f32_to_bf16(want));
    }
    srq_model_close(m);
    config = config_of(f->out, "config.json");
    assert_null(json_object_get(config, "quantization_config"));
    json_decref(config);
}

static void plans_that_a_format_cannot_carry_are_refused_by_layer(void **state)
{
    struct fixture *f = *state;
    struct srq_error err = { 0 };
    int down = layer_named(f, "model.layers.4.mlp.down_proj"), q = layer_named(f, "model.layers.0.self_attn.q_proj"),
        k = layer_named(f, "model.layers.0.self_attn.k_proj");

    use_scheme(f, "w4g64");
    assert_int_equal(srq_format_plan(srq_format_find("auto_awq", &err), f->model, f->schemes, f->reason, &err), 0);
    set_layer(f, "model.layers.4.mlp.down_proj", "w8g64");
    assert_int_equal(srq_format_plan(srq_format_find("auto_round", &err), f->model, f->schemes, f->reason, &err), 0);
    assert_int_equal(srq_format_plan(srq_format_find("auto_awq", &err), f->model, f->schemes, f->reason, &err), 1);
    assert_non_null(strstr(f->reason[down], "4 bits, not 8"));
    set_layer(f, "model.layers.4.mlp.down_proj", "w4g32");
    assert_int_equal(srq_format_plan(srq_format_find("auto_awq", &err), f->model, f->schemes, f->reason, &err), 1);
    assert_non_null(strstr(f->reason[down], "one scheme for all layers"));
    set_layer(f, "model.layers.4.mlp.down_proj", "w4g96");
    assert_int_equal(srq_format_plan(srq_format_find("auto_round", &err), f->model, f->schemes, f->reason, &err), 1);
    assert_non_null(strstr(f->reason[down], "group 96 does not divide rows of 512"));
    use_scheme(f, "w4gt");
    assert_int_equal(srq_format_plan(srq_format_find("auto_gptq", &err), f->model, f->schemes, f->reason, &err),
                     f->layers);
    assert_non_null(strstr(f->reason[0], "whole tensor"));
    use_scheme(f, "w4g64");
    set_layer(f, "model.layers.0.self_attn.q_proj", "w8g64");
    assert_int_equal(srq_format_plan(srq_format_find("auto_round", &err), f->model, f->schemes, f->reason, &err), 3);
    assert_non_null(strstr(f->reason[q], "k_proj"));
    assert_non_null(strstr(f->reason[k], "q_proj"));
    use_scheme(f, "mxfp4");
    assert_int_equal(
        srq_format_plan(srq_format_find("compressed-tensors", &err), f->model, f->schemes, f->reason, &err), 0);
    assert_int_equal(srq_format_plan(srq_format_find("auto_round", &err), f->model, f->schemes, f->reason, &err),
                     f->layers);
    assert_non_null(strstr(f->reason[down], "compressed-tensors holds mxfp4"));
    set_layer(f, "model.layers.4.mlp.down_proj", "w3g64");
    assert_int_equal(
        srq_format_plan(srq_format_find("compressed-tensors", &err), f->model, f->schemes, f->reason, &err), 1);
    assert_non_null(strstr(f->reason[down], "down_proj: compressed-tensors holds integers of 4 or 8 bits, not 3"));
    use_scheme(f, "w5g64");
    assert_int_equal(srq_format_plan(srq_format_find("fake", &err), f->model, f->schemes, f->reason, &err), 0);
    assert_null(srq_format_find("gguf_q4", &err));
    assert_non_null(strstr(err.text, "gguf_q4"));
}

static void planned_bytes_are_what_is_written(void **state)
{
    static const char *const names[] = { "auto_round", "auto_gptq", "auto_awq", "compressed-tensors", "fake" };
    struct fixture *f = *state;
    struct srq_error err = { 0 };

    for (size_t i = 0; i < 5; i++) {
        struct srq_export_request r = request(f, names[i]);
        struct srq_tensors *ts;
        uint64_t bytes;

        use_scheme(f, "w4g64");
        assert_ok(srq_export_bytes(r.format, f->model, f->schemes, &bytes, &err), &err);
        assert_ok(srq_export(f->model, &r, f->out, i > 0, &err), &err);
        assert_ok(srq_tensors_open(f->out, &ts, &err), &err);
        assert_int_equal(srq_tensors_bytes(ts), bytes);
        srq_tensors_close(ts);
    }
}

static void output_that_exists_is_kept_without_force(void **state)
{
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "fake");
    struct srq_error err = { 0 };
    char *hidden = srq_export_temporary(f->out);
    char note[160];

    use_scheme(f, "w4g64");
    assert_ok(srq_mkdirs(f->out, 0777, &err), &err);
    assert_refused(srq_export(f->model, &r, f->out, false, &err), -SRQ_EEXIST, &err, "--force");
    assert_ok(srq_export(f->model, &r, f->out, true, &err), &err);
    assert_ok(srq_export(f->model, &r, f->out, true, &err), &err);
    assert_false(srq_path_exists(hidden));
    snprintf(note, sizeof(note), "%s/notes.txt", f->other);
    assert_ok(srq_mkdirs(f->other, 0777, &err), &err);
    assert_ok(srq_write_file_durable(note, "keep", 4, 0600, &err), &err);
    assert_refused(srq_export(f->model, &r, f->other, true, &err), -SRQ_EEXIST, &err, "not a model folder");
    assert_true(srq_path_exists(note));
    srq_free(hidden);
}

static void the_model_itself_is_never_replaced(void **state)
{
    struct fixture *f = *state;
    struct srq_error err = { 0 };
    char inside[600];

    assert_refused(srq_export_check_output(f->model_dir, f->model_dir, true, &err), -SRQ_EINVAL, &err,
                   "would replace the model");
    assert_refused(srq_export_check_output("/", f->model_dir, true, &err), -SRQ_EINVAL, &err, "would replace");
    snprintf(inside, sizeof(inside), "%s/a/b", f->model_dir);
    assert_refused(srq_export_check_output(inside, f->model_dir, false, &err), -SRQ_EINVAL, &err, "in the folder of");
    snprintf(inside, sizeof(inside), "%s/config.json/out", f->model_dir);
    assert_refused(srq_export_check_output(inside, NULL, false, &err), -SRQ_EINVAL, &err,
                   "config.json is not a folder");
}

static mode_t mode_of(const char *dir, const char *name)
{
    char *path = srq_path_join(dir, name);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    srq_free(path);
    return st.st_mode & 07777;
}

static void missing_parents_are_made_and_modes_follow_the_umask(void **state)
{
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "auto_round");
    struct srq_error err = { 0 };
    mode_t old = umask(027);

    use_scheme(f, "w4g64");
    snprintf(f->out, sizeof(f->out), "%s/not/there/yet", f->dir);
    assert_ok(srq_export(f->model, &r, f->out, false, &err), &err);
    umask(old);
    assert_int_equal(mode_of(f->out, ".."), 0750);
    assert_int_equal(mode_of(f->out, "."), 0750);
    assert_int_equal(mode_of(f->out, "config.json"), 0640);
    assert_int_equal(mode_of(f->out, "model.safetensors"), 0640);
}

static void failure_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct srq_export_request r = request(f, "auto_round");
    struct srq_error err = { 0 };
    char *hidden = srq_export_temporary(f->out);

    use_scheme(f, "w4g64");
    for (int at = 0; at < 2 * f->layers; at += f->layers + 3) {
        f->calls = 0;
        f->fail_at = at;
        assert_refused(srq_export(f->model, &r, f->out, false, &err), -SRQ_EIO, &err, "are lost");
        assert_false(srq_path_exists(f->out));
        assert_false(srq_path_exists(hidden));
    }
    srq_free(hidden);
}

/* Between writing and checking the codes change: the check must see it. */
static int give_changed_codes(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct fixture *f = ctx;
    int rc = give_codes(ctx, layer, out, err);

    if (rc == 0 && f->calls > f->layers && layer == 9)
        f->codes.codes[12345] ^= 1;
    return rc;
}

static void verification_names_a_layer_that_differs(void **state)
{
    static const char *const names[] = { "auto_round", "auto_gptq", "auto_awq", "fake" };
    struct fixture *f = *state;
    struct srq_error err = { 0 };

    use_scheme(f, "w4g64");
    for (size_t i = 0; i < 4; i++) {
        struct srq_export_request r = request(f, names[i]);

        r.codes = give_changed_codes;
        assert_refused(srq_export(f->model, &r, f->out, false, &err), -SRQ_EFORMAT, &err,
                       srq_model_layer(f->model, 9)->name);
        assert_false(srq_path_exists(f->out));
    }
}

static void reals_are_written_as_short_as_they_can_be(void **state)
{
    struct srq_error err = { 0 };
    json_t *j = NULL, *back = NULL;
    const char *source = "{\"a\": 1e-05, \"b\": 0.02, \"c\": 10000.0, \"d\": 0.1234567890123456789, \"e\": [], "
                         "\"f\": \"tab\\t\\u00e9\\\"\", \"g\": 9007199254740993}";
    char *text;
    size_t len;

    (void)state;
    assert_ok(srq_json_read_text(source, strlen(source), "test", &j, &err), &err);
    assert_ok(srq_json_text(j, &text, &len, &err), &err);
    assert_non_null(strstr(text, "\"a\": 1e-05,\n  \"b\": 0.02,\n  \"c\": 10000.0,\n"));
    assert_non_null(strstr(text, "\"g\": 9007199254740993\n}\n"));
    assert_ok(srq_json_read_text(text, len, "test", &back, &err), &err);
    assert_true(json_equal(j, back));
    srq_free(text);
    json_decref(j);
    json_decref(back);
}

#define EXPORT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPORT_TEST(formats_round_trip),
        EXPORT_TEST(auto_round_lists_only_what_differs),
        EXPORT_TEST(gptq_names_exceptions_by_pattern),
        EXPORT_TEST(configuration_is_carried_over),
        EXPORT_TEST(two_exports_have_the_same_bytes),
        EXPORT_TEST(fake_holds_dequantized_weights_in_the_models_dtype),
        EXPORT_TEST(plans_that_a_format_cannot_carry_are_refused_by_layer),
        EXPORT_TEST(planned_bytes_are_what_is_written),
        EXPORT_TEST(output_that_exists_is_kept_without_force),
        EXPORT_TEST(the_model_itself_is_never_replaced),
        EXPORT_TEST(missing_parents_are_made_and_modes_follow_the_umask),
        EXPORT_TEST(failure_leaves_nothing),
        EXPORT_TEST(verification_names_a_layer_that_differs),
        cmocka_unit_test(reals_are_written_as_short_as_they_can_be),
    };

    return cmocka_run_group_tests_name("export", tests, NULL, NULL);
}
