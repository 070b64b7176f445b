/* Reading packed folders of strangers: configuration decides, tensors must agree with it, nothing is guessed. */
#include "tests/unit/folder.h"
#include "tests/unit/test.h"

#include "core/format/json.h"
#include "core/model/quantized.h"
#include "core/tensor/dtype.h"

#define LAYER "model.layers.0.mlp.down_proj"
#define OUT 32
#define IN 64

/* A folder with one packed 4-bit layer [32, 64], group 32: code (row + column) % 16, zero field 7, scale 0.5. */
struct packed {
    struct folder dir;
    struct srq_tensors *ts;
    struct srq_quantized *q;
    uint32_t qweight[IN / 8 * OUT], qzeros[2 * OUT / 8];
    uint16_t scales[2 * OUT];
    int32_t g_idx[IN];
    bool with_index, with_plain;
};

static void packed_init(struct packed *p)
{
    memset(p, 0, sizeof(*p));
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++)
            p->qweight[i / 8 * OUT + o] |= (uint32_t)((o + i) % 16) << 4 * (i % 8);
    for (size_t i = 0; i < sizeof(p->qzeros) / 4; i++)
        p->qzeros[i] = 0x77777777;
    for (int i = 0; i < 2 * OUT; i++)
        p->scales[i] = srq_f32_to_f16(0.5f);
    for (int i = 0; i < IN; i++)
        p->g_idx[i] = i / 32;
}

static void add(struct srq_tensor_writer *w, const char *suffix, enum srq_dtype dtype, int rank, int64_t a, int64_t b)
{
    const int64_t shape[2] = { a, b };
    struct srq_error err = { 0 };
    char name[128];

    snprintf(name, sizeof(name), LAYER ".%s", suffix);
    assert_ok(srq_writer_declare(w, name, dtype, rank, shape, &err), &err);
}

static void put(struct srq_tensor_writer *w, const char *suffix, const void *data, size_t bytes)
{
    struct srq_error err = { 0 };
    char name[128];

    snprintf(name, sizeof(name), LAYER ".%s", suffix);
    assert_ok(srq_writer_put(w, name, 0, data, bytes, &err), &err);
}

static void packed_write(struct packed *p)
{
    static const uint16_t plain[OUT * IN];
    struct srq_tensor_writer *w;
    struct srq_error err = { 0 };

    folder_make(&p->dir);
    assert_ok(srq_writer_create(p->dir.path, "model", UINT64_MAX, &w, &err), &err);
    add(w, "qweight", SRQ_I32, 2, IN / 8, OUT);
    add(w, "qzeros", SRQ_I32, 2, 2, OUT / 8);
    add(w, "scales", SRQ_F16, 2, 2, OUT);
    if (p->with_index)
        add(w, "g_idx", SRQ_I32, 1, IN, 0);
    if (p->with_plain)
        add(w, "weight", SRQ_BF16, 2, OUT, IN);
    assert_ok(srq_writer_begin(w, &err), &err);
    put(w, "qweight", p->qweight, sizeof(p->qweight));
    put(w, "qzeros", p->qzeros, sizeof(p->qzeros));
    put(w, "scales", p->scales, sizeof(p->scales));
    if (p->with_index)
        put(w, "g_idx", p->g_idx, sizeof(p->g_idx));
    if (p->with_plain)
        put(w, "weight", plain, sizeof(plain));
    assert_ok(srq_writer_finish(w, &err), &err);
    srq_writer_free(w);
    assert_ok(srq_tensors_open(p->dir.path, &p->ts, &err), &err);
}

static int packed_open(struct packed *p, const char *config, struct srq_error *err)
{
    json_t *j;
    int rc;

    assert_ok(srq_json_read_text(config, strlen(config), "config", &j, err), err);
    rc = srq_quantized_open(j, p->ts, &p->q, err);
    json_decref(j);
    return rc;
}

static void packed_fini(struct packed *p)
{
    srq_quantized_close(p->q);
    srq_tensors_close(p->ts);
    folder_remove(&p->dir);
}

#define GPTQ(more) "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"desc_act\":false" more "}"
#define V1 ",\"packing_format\":\"auto_round:auto_gptq\""
#define WEIGHTS(more) "{\"num_bits\":4,\"type\":\"int\",\"strategy\":\"group\",\"group_size\":32" more "}"
#define COMPRESSED(weights, more)                                                                                    \
    "{\"quant_method\":\"compressed-tensors\",\"format\":\"pack-quantized\","                                        \
    "\"quantization_status\":\"compressed\",\"config_groups\":{\"a\":{\"targets\":[\"Linear\"],\"weights\":" weights \
    "}" more "}"
#define GROUP(weights) ",\"b\":{\"targets\":[\"re:.*up\",\"Linear\"],\"weights\":" weights "}"
#define ONLINE(at) \
    ",\"transform_config\":{\"config_groups\":{\"u\":{\"type\":\"hadamard\",\"apply\":[{\"location\":\"" at "\"}]}}}"
#define ROUND(more) "{\"quant_method\":\"auto-round\",\"bits\":4,\"group_size\":32,\"sym\":true" more "}"

static void zero_points_mean_what_the_configuration_says(void **state)
{
    static const struct {
        const char *config;
        int zero;
    } row[] = {
        { GPTQ(",\"checkpoint_format\":\"gptq\""), 8 },
        { GPTQ(",\"checkpoint_format\":\"gptq_v2\""), 7 },
        { GPTQ(""), 8 },
        { ROUND(",\"packing_format\":\"auto_round:auto_gptq\""), 8 },
        { ROUND(",\"packing_format\":\"auto_round\""), 7 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct srq_error err = { 0 };
        uint16_t half[IN];
        struct packed p;
        float got[IN];

        packed_init(&p);
        packed_write(&p);
        assert_ok(packed_open(&p, row[i].config, &err), &err);
        assert_int_equal(srq_quantized_has(p.q, LAYER, OUT, IN, &err), 1);
        assert_int_equal(srq_quantized_has(p.q, "model.layers.0.mlp.up_proj", OUT, IN, &err), 0);
        assert_ok(srq_quantized_decode(p.q, LAYER, 5, 1, got, SRQ_F32, &err), &err);
        assert_ok(srq_quantized_decode(p.q, LAYER, 5, 1, half, SRQ_BF16, &err), &err);
        for (int k = 0; k < IN; k++) {
            assert_true(got[k] == 0.5f * (float)((5 + k) % 16 - row[i].zero));
            assert_int_equal(half[k], srq_f32_to_bf16(got[k]));
        }
        packed_fini(&p);
    }
}

static void configurations_that_cannot_be_decoded_are_refused(void **state)
{
    static const struct {
        const char *config;
        int code;
        const char *part;
    } row[] = {
        { "{\"quant_method\":\"bitsandbytes\"}", -SRQ_EUNSUPPORTED, "bitsandbytes" },
        { "{\"bits\":4}", -SRQ_EUNSUPPORTED, "quant_method" },
        { "[]", -SRQ_EFORMAT, "not an object" },
        { GPTQ(",\"checkpoint_format\":\"marlin\""), -SRQ_EUNSUPPORTED, "marlin" },
        { GPTQ(",\"pack_dtype\":\"int64\""), -SRQ_EUNSUPPORTED, "int64" },
        { ROUND(""), -SRQ_EUNSUPPORTED, "packing_format" },
        { ROUND(",\"packing_format\":\"auto_round:auto_gptq\",\"data_type\":\"mx_fp\""), -SRQ_EUNSUPPORTED, "mx_fp" },
        { "{\"quant_method\":\"awq\",\"bits\":8,\"group_size\":32,\"version\":\"gemm\"}", -SRQ_EFORMAT, "8 bits" },
        { "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,\"version\":\"gemv\"}", -SRQ_EUNSUPPORTED, "gemv" },
        { "{\"quant_method\":\"gptq\",\"bits\":5,\"group_size\":32}", -SRQ_EFORMAT, "5 bits" },
        { "{\"quant_method\":\"gptq\",\"bits\":\"4\",\"group_size\":32}", -SRQ_EFORMAT, "\"bits\"" },
        { "{\"quant_method\":\"gptq\",\"bits\":4}", -SRQ_EFORMAT, "group_size" },
        { "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":0}", -SRQ_EFORMAT, "group_size 0" },
        { GPTQ(",\"dynamic\":{\"+:[a-\":{\"bits\":8}}"), -SRQ_EFORMAT, "does not compile" },
        { GPTQ(",\"dynamic\":{\"+:a\":{\"bits\":7}}"), -SRQ_EFORMAT, "bits" },
        { GPTQ(",\"dynamic\":[1]"), -SRQ_EFORMAT, "dynamic" },
        { ROUND(",\"packing_format\":\"auto_round\",\"extra_config\":{\"a\":3}"), -SRQ_EFORMAT, "not an object" },
    };
    struct packed p;

    (void)state;
    packed_init(&p);
    packed_write(&p);
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct srq_error err = { 0 };

        assert_refused(packed_open(&p, row[i].config, &err), row[i].code, &err, row[i].part);
    }
    packed_fini(&p);
}

/* What a loader computes beside the weights is refused by its key; what says nothing, as writers leave it, is not. */
static void keys_that_change_the_computation_are_refused(void **state)
{
    static const struct {
        const char *config, *key; /* NULL: accepted */
    } row[] = {
        { ROUND(V1 ",\"act_bits\":8,\"act_data_type\":\"int\",\"act_dynamic\":true"), "act_bits" },
        { ROUND(V1 ",\"extra_config\":{\"mlp\":{\"bits\":8,\"act_bits\":8}}"), "act_bits" },
        { ROUND(V1 ",\"rotation_config\":{\"type\":\"hadamard\"}"), "rotation_config" },
        { ROUND(V1 ",\"spinquant_config\":{\"r1\":true}"), "spinquant_config" },
        { ROUND(V1 ",\"static_kv_dtype\":\"fp8\""), "static_kv_dtype" },
        { ROUND(V1 ",\"act_bits\":16,\"extra_config\":{\"mlp\":{\"act_bits\":16}}"), NULL },
        { ROUND(V1 ",\"act_bits\":null,\"rotation_config\":{},\"static_kv_dtype\":null"), NULL },
        { COMPRESSED(WEIGHTS(), "}" ONLINE("input")), "transform_config" },
        { COMPRESSED(WEIGHTS(), "},\"transform_config\":{\"other\":1}"), "transform_config" },
        { COMPRESSED(WEIGHTS(), "}" ONLINE("weight_output")), NULL },
        { COMPRESSED(WEIGHTS(), "},\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}"), "sparsity_config" },
        { COMPRESSED(WEIGHTS(), "},\"sparsity_config\":{\"format\":\"dense\",\"sparsity_structure\":\"0:0\"}"), NULL },
        { COMPRESSED(WEIGHTS(), "},\"kv_cache_scheme\":{\"num_bits\":8,\"type\":\"float\"}"), "kv_cache_scheme" },
        { COMPRESSED(WEIGHTS(), "},\"kv_cache_scheme\":null,\"sparsity_config\":{},\"transform_config\":{}"), NULL },
        { COMPRESSED(WEIGHTS(",\"dynamic\":true"), "}"), "weights" },
        { COMPRESSED(WEIGHTS(",\"dynamic\":false"), "}"), NULL },
        { COMPRESSED(WEIGHTS(), GROUP(WEIGHTS(",\"symmetric\":false")) "}"), "config_groups" },
        { COMPRESSED(WEIGHTS(), GROUP(WEIGHTS()) "}"), NULL },
    };
    struct packed p;

    (void)state;
    packed_init(&p);
    packed_write(&p);
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        struct srq_error err = { 0 };
        int rc = packed_open(&p, row[i].config, &err);

        if (row[i].key == NULL) {
            assert_ok(rc, &err);
            srq_quantized_close(p.q);
            p.q = NULL;
            continue;
        }
        assert_true(rc < 0);
        assert_string_equal(err.field, row[i].key);
        assert_non_null(strstr(err.text, row[i].key));
    }
    packed_fini(&p);
}

/* desc_act: columns are of any group, and which one only the index says. */
static void an_index_that_the_configuration_means_is_not_done_without(void **state)
{
    for (int with = 0; with < 2; with++) {
        struct srq_error err = { 0 };
        struct packed p;

        (void)state;
        packed_init(&p);
        p.with_index = with == 1;
        packed_write(&p);
        assert_ok(packed_open(&p, "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,\"desc_act\":true}", &err),
                  &err);
        if (with == 1)
            assert_int_equal(srq_quantized_has(p.q, LAYER, OUT, IN, &err), 1);
        else
            assert_refused(srq_quantized_has(p.q, LAYER, OUT, IN, &err), -SRQ_EFORMAT, &err,
                           LAYER " has no tensor " LAYER ".g_idx, which \"desc_act\"");
        packed_fini(&p);
    }
}

/* In both kinds of layout the sentence has the layer, and so has the field. */
static void a_group_that_does_not_divide_the_rows_is_refused_by_layer(void **state)
{
    static const char *const config[] = { "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":48}",
                                          COMPRESSED("{\"num_bits\":4,\"type\":\"int\",\"strategy\":\"group\","
                                                     "\"group_size\":48}",
                                                     "}") };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct srq_error err = { 0 };
        struct packed p;

        packed_init(&p);
        packed_write(&p);
        assert_ok(packed_open(&p, config[i], &err), &err);
        assert_refused(srq_quantized_has(p.q, LAYER, OUT, IN, &err), -SRQ_EUNSUPPORTED, &err,
                       LAYER ": group 48 does not divide rows of 64");
        assert_string_equal(err.field, LAYER);
        packed_fini(&p);
    }
}

static void tensors_that_disagree_with_the_configuration_are_refused(void **state)
{
    static const struct {
        const char *config, *part;
    } row[] = {
        { GPTQ(",\"dynamic\":{\"+:model.*down\":{\"bits\":8}}"), LAYER ".qweight is I32 [8, 32]" },
        { GPTQ(",\"dynamic\":{\"+:model.*down\":{\"group_size\":64}}"), LAYER ".qzeros" },
        { GPTQ(",\"dynamic\":{\"-:.*down_proj\":{}}"), "its configuration says it is not" },
        { ROUND(",\"packing_format\":\"auto_round\",\"extra_config\":{\"" LAYER "\":{\"bits\":16}}"),
          "says it is not" },
        { ROUND(",\"packing_format\":\"auto_round\",\"extra_config\":{\"mlp\":{\"bits\":16}}"), "says it is not" },
        { "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32}", LAYER ".qweight is I32 [8, 32]" },
    };
    struct srq_error err = { 0 };
    struct packed p;

    (void)state;
    packed_init(&p);
    packed_write(&p);
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        assert_ok(packed_open(&p, row[i].config, &err), &err);
        assert_refused(srq_quantized_has(p.q, LAYER, OUT, IN, &err), -SRQ_EFORMAT, &err, row[i].part);
        srq_quantized_close(p.q);
    }
    assert_ok(packed_open(&p, GPTQ(""), &err), &err);
    assert_refused(srq_quantized_has(p.q, LAYER, OUT, 2 * IN, &err), -SRQ_EFORMAT, &err, "[16, 32]");
    packed_fini(&p);
}

/* Patterns match from the start in one method and anywhere in the other; the first row that matches wins. */
static void first_matching_row_wins(void **state)
{
    struct srq_error err = { 0 };
    struct packed p;

    (void)state;
    packed_init(&p);
    packed_write(&p);
    assert_ok(
        packed_open(&p, GPTQ(",\"dynamic\":{\"+:down_proj\":{\"bits\":8},\"+:model\":{\"bits\":4},\"-:.*\":{}}"), &err),
        &err);
    assert_int_equal(srq_quantized_has(p.q, LAYER, OUT, IN, &err), 1);
    packed_fini(&p);
}

/* Nested repetition takes time without end on a name that does not match. */
static void a_pattern_that_takes_too_long_is_refused(void **state)
{
    struct srq_error err = { 0 };
    struct packed p;

    (void)state;
    packed_init(&p);
    packed_write(&p);
    assert_ok(packed_open(&p, GPTQ(",\"dynamic\":{\"+:(([a-z.0_]+)+)+[XY]\":{\"bits\":8}}"), &err), &err);
    assert_refused(srq_quantized_has(p.q, LAYER, OUT, IN, &err), -SRQ_ELIMIT, &err, "too long");
    packed_fini(&p);
}

static void columns_follow_their_group_index(void **state)
{
    struct srq_error err = { 0 };
    float got[OUT * IN];
    struct packed p;

    (void)state;
    packed_init(&p);
    p.with_index = true;
    for (int i = 0; i < IN; i++)
        p.g_idx[i] = i % 2;
    for (int o = 0; o < OUT; o++)
        p.scales[OUT + o] = srq_f32_to_f16(-2.0f);
    packed_write(&p);
    assert_ok(packed_open(&p, GPTQ(""), &err), &err);
    assert_int_equal(srq_quantized_has(p.q, LAYER, OUT, IN, &err), 1);
    assert_ok(srq_quantized_decode(p.q, LAYER, 0, OUT, got, SRQ_F32, &err), &err);
    for (int k = 0; k < OUT * IN; k++)
        assert_true(got[k] == (k % 2 ? -2.0f : 0.5f) * (float)((k / IN + k % IN) % 16 - 8));
    packed_fini(&p);

    packed_init(&p);
    p.with_index = true;
    p.g_idx[40] = 2;
    packed_write(&p);
    assert_ok(packed_open(&p, GPTQ(""), &err), &err);
    assert_refused(srq_quantized_decode(p.q, LAYER, 0, 1, got, SRQ_F32, &err), -SRQ_EFORMAT, &err, "g_idx[40] is 2");
    packed_fini(&p);
}

static void a_layer_stored_twice_is_refused(void **state)
{
    struct srq_error err = { 0 };
    struct packed p;

    (void)state;
    packed_init(&p);
    p.with_plain = true;
    packed_write(&p);
    assert_ok(packed_open(&p, GPTQ(""), &err), &err);
    assert_refused(srq_quantized_has(p.q, LAYER, OUT, IN, &err), -SRQ_EFORMAT, &err, "stored twice");
    packed_fini(&p);
}

static void bad_values_and_rows_are_refused(void **state)
{
    struct srq_error err = { 0 };
    float got[IN];
    struct packed p;

    (void)state;
    packed_init(&p);
    p.scales[7] = 0x7c00; /* infinity, group 0 of row 7 */
    packed_write(&p);
    assert_ok(packed_open(&p, GPTQ(""), &err), &err);
    assert_ok(srq_quantized_decode(p.q, LAYER, 6, 1, got, SRQ_F32, &err), &err);
    assert_refused(srq_quantized_decode(p.q, LAYER, 7, 1, got, SRQ_F32, &err), -SRQ_ENUMERIC, &err, LAYER ".scales");
    assert_refused(srq_quantized_decode(p.q, LAYER, 31, 2, got, SRQ_F32, &err), -SRQ_EINVAL, &err, "which has 32");
    assert_refused(srq_quantized_decode(p.q, "no.such", 0, 1, got, SRQ_F32, &err), -SRQ_ENOENT, &err, "no.such");
    packed_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_points_mean_what_the_configuration_says),
        cmocka_unit_test(configurations_that_cannot_be_decoded_are_refused),
        cmocka_unit_test(keys_that_change_the_computation_are_refused),
        cmocka_unit_test(an_index_that_the_configuration_means_is_not_done_without),
        cmocka_unit_test(a_group_that_does_not_divide_the_rows_is_refused_by_layer),
        cmocka_unit_test(tensors_that_disagree_with_the_configuration_are_refused),
        cmocka_unit_test(first_matching_row_wins),
        cmocka_unit_test(a_pattern_that_takes_too_long_is_refused),
        cmocka_unit_test(columns_follow_their_group_index),
        cmocka_unit_test(a_layer_stored_twice_is_refused),
        cmocka_unit_test(bad_values_and_rows_are_refused),
    };

    return cmocka_run_group_tests_name("quantized", tests, NULL, NULL);
}
