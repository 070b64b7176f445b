/* Pairs that take scales, and models with scales folded in (acceptance tests of spec teq 14 by their numbers). */
#include "tests/unit/test.h"

#include "tests/unit/model_folder.h"
#include "tests/unit/routed_family.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/grid/round_plain.h"
#include "core/model/export.h"
#include "core/model/scale_pairs.h"
#include "core/tune/fold_error.h"

#include <math.h>
#include <unistd.h>

#define TOKENS 24
#define PAIRS 16

static const char *const models[] = { "llama-default", "llama-bias", "llama-tied", "mistral",
                                      "qwen2",         "qwen3",      "gemma",      "gemma-untied" };

struct fixture {
    char *folder;
    struct srq_model *model;
    float *alpha[PAIRS];
    int32_t tokens[TOKENS];
};

static void open_folder(struct fixture *f, char *folder)
{
    struct srq_error err = { 0 };

    memset(f, 0, sizeof(*f));
    f->folder = folder;
    assert_ok(srq_model_open(f->folder, false, &f->model, &err), &err);
    assert_true(srq_model_pair_count(f->model) <= PAIRS);
    for (int i = 0; i < TOKENS; i++)
        f->tokens[i] = (int32_t)srq_rng_below(3, 0, (uint64_t)i, (uint32_t)srq_model_info(f->model)->vocab);
}

static void open_model(struct fixture *f, const char *name)
{
    open_folder(f, folder_of(name));
}

static void close_model(struct fixture *f)
{
    for (int i = 0; i < PAIRS; i++)
        free(f->alpha[i]);
    srq_model_close(f->model);
    folder_remove(f->folder);
}

/* exp2 of a uniform number in [-1, 1], or of a whole one in -3 … 3. */
static void draw(struct fixture *f, int pair, bool powers)
{
    int64_t n = srq_model_pair(f->model, pair)->channels;

    f->alpha[pair] = calloc((size_t)n, sizeof(float));
    for (int64_t j = 0; j < n; j++) {
        double u = srq_rng_uniform(5, (uint64_t)pair, (uint64_t)j);

        f->alpha[pair][j] = (float)exp2(powers ? floor(u * 7) - 3 : 2 * u - 1);
    }
}

static void fold(struct fixture *f)
{
    struct srq_error err = { 0 };

    assert_ok(srq_model_fold(f->model, (const float *const *)f->alpha, &err), &err);
    assert_true(srq_model_folded(f->model));
}

static double error_of(struct fixture *f)
{
    struct srq_error err = { 0 };
    double relative = NAN;

    assert_ok(srq_fold_error(f->model, f->tokens, TOKENS, &relative, &err), &err);
    return relative;
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static void test_pairs(void **state)
{
    struct fixture f;
    const struct srq_pair_info *p;

    (void)state;
    open_model(&f, "llama-default");
    assert_int_equal(srq_model_pair_count(f.model), 9);
    p = srq_model_pair(f.model, 4);
    assert_string_equal(p->name, "model.layers.1.input_layernorm");
    assert_int_equal(p->kind, 'A');
    assert_int_equal(p->block, 1);
    assert_int_equal(p->producer, -1);
    assert_int_equal(p->consumer_count, 3);
    assert_string_equal(srq_model_layer(f.model, p->consumers[2])->name, "model.layers.1.self_attn.v_proj");
    /* Grouped queries: 4 heads of 8 read 2 heads of v. */
    p = srq_model_pair(f.model, 2);
    assert_int_equal(p->kind, 'C');
    assert_string_equal(p->name, "model.layers.0.self_attn.v_proj");
    assert_int_equal(p->channels, 16);
    assert_int_equal(p->in, 32);
    assert_int_equal(srq_pair_channel(p, 7), 7);
    assert_int_equal(srq_pair_channel(p, 8), 0);
    assert_int_equal(srq_pair_channel(p, 16), 8);
    assert_int_equal(srq_pair_channel(p, 31), 15);
    p = srq_model_pair(f.model, 8);
    assert_int_equal(p->kind, 'E');
    assert_int_equal(p->block, -1);
    assert_string_equal(p->name, "model.norm");
    assert_null(srq_model_pair(f.model, 9));
    close_model(&f);
    open_model(&f, "llama-tied"); /* a tied head takes none */
    assert_int_equal(srq_model_pair_count(f.model), 8);
    close_model(&f);
}

static void test_no_pairs_when_quantized(void **state)
{
    const float *none[PAIRS] = { NULL };
    struct srq_error err = { 0 };
    struct fixture f;

    (void)state;
    open_model(&f, "llama-gptq");
    assert_int_equal(srq_model_pair_count(f.model), 0);
    assert_refused(srq_model_fold(f.model, none, &err), -SRQ_EUNSUPPORTED, &err, "quantized");
    close_model(&f);
}

/* Spec teq 14.7. */
static void test_between_refused(void **state)
{
    struct srq_error err = { 0 };

    (void)state;
    assert_refused(srq_between_check(SRQ_BETWEEN_GELU, "mlp.fc1", "mlp.fc2", &err), -SRQ_EUNSUPPORTED, &err,
                   "mlp.fc1 and mlp.fc2 cannot share scales: GELU");
    assert_refused(srq_between_check(SRQ_BETWEEN_SILU, "mlp.fc1", "mlp.fc2", &err), -SRQ_EUNSUPPORTED, &err, "SiLU");
    assert_ok(srq_between_check(SRQ_BETWEEN_RELU, "mlp.fc1", "mlp.fc2", &err), &err);
    assert_ok(srq_between_check(SRQ_BETWEEN_PRODUCT, "mlp.up_proj", "mlp.down_proj", &err), &err);
}

/* ---- exactness --------------------------------------------------------------------------------------------------- */

/* Spec teq 14.2: each kind of pair alone, then all of them; grouped queries, biases, norms of q and k, norms that store
 * their gains less 1, tied and untied heads. */
static void test_logits_unchanged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        for (const char *kind = "ABCDE*"; *kind != '\0'; kind++) {
            struct fixture f;
            double off;
            int drawn = 0;

            open_model(&f, models[i]);
            for (int p = 0; p < srq_model_pair_count(f.model); p++) {
                if (*kind == '*' || srq_model_pair(f.model, p)->kind == *kind) {
                    draw(&f, p, false);
                    drawn++;
                }
            }
            fold(&f);
            off = error_of(&f);
            if (off > SRQ_FOLD_TOLERANCE || (drawn > 0 && off == 0)) /* float arithmetic is not associative */
                fail_msg("%s, pairs %c: logits are off by %g", models[i], *kind, off);
            close_model(&f);
        }
    }
}

/* A wrong scale shows, so that the measure measures something. */
static void test_error_is_seen(void **state)
{
    struct fixture f;
    double off;

    (void)state;
    open_model(&f, "llama-default");
    draw(&f, 3, false);
    fold(&f);
    ((float *)(uintptr_t)srq_model_folded_scale(f.model, 3))[5] *= 1.5f; /* both sides see it: still exact */
    assert_true(error_of(&f) < SRQ_FOLD_TOLERANCE);
    srq_model_unfold(f.model);
    assert_false(srq_model_folded(f.model));
    assert_null(srq_model_folded_scale(f.model, 3));
    assert_true(error_of(&f) == 0);
    draw(&f, 0, false);
    fold(&f);
    ((float *)(uintptr_t)srq_model_folded_scale(f.model, 0))[5] *= 1.5f; /* the norm was folded before */
    off = error_of(&f);
    assert_true(off > 1e-4);
    close_model(&f);
}

/* llama-default with one tensor changed. */
static void open_changed(struct fixture *f, const struct tensor_change *change)
{
    json_t *config = reference_config("llama-default");
    char *folder = folder_create(config, NULL);

    json_decref(config);
    folder_change_tensor(folder, reference_weights("llama-default"), change);
    open_folder(f, folder);
}

/* A norm is rounded to the dtype it is stored in, and its consumers take what that leaves. */
static void test_norm_rounding(void **state)
{
    const struct tensor_change change = { .name = "model.layers.0.input_layernorm.weight", .nonfinite = 4 };
    struct srq_error err = { 0 };
    struct srq_tensor gamma;
    struct fixture f;
    float wide[32];
    const float *scale;

    (void)state;
    open_changed(&f, &change);
    assert_true(srq_tensors_get(srq_model_tensors(f.model), "model.layers.0.input_layernorm.weight", &gamma));
    assert_int_equal(gamma.dtype, SRQ_BF16);
    assert_ok(srq_convert(gamma.data, gamma.dtype, wide, SRQ_F32, 32), &err);
    draw(&f, 0, false);
    fold(&f);
    scale = srq_model_folded_scale(f.model, 0);
    for (int j = 0; j < 32; j++) {
        float folded = wide[j] / scale[j], again = srq_bf16_to_f32(srq_f32_to_bf16(folded));

        if (j == 4) {
            assert_true(scale[j] == 1.0f); /* NaN / alpha is none */
            continue;
        }
        assert_true(fabsf(folded - again) <= 1e-6f * fabsf(folded)); /* it fits into BF16 */
        assert_true(fabsf(scale[j] - f.alpha[0][j]) <= 0.005f * f.alpha[0][j]);
    }
    close_model(&f);
}

/* Where the gain is 0 every scale is exact, and the consumers get the one that was asked for: with another their
 * weights would not fit into their groups. */
static void test_norm_without_gain(void **state)
{
    const struct tensor_change change = { .name = "model.layers.0.input_layernorm.weight",
                                          .nonfinite = 4,
                                          .zero = true };
    struct fixture f;
    double off;

    (void)state;
    open_changed(&f, &change);
    draw(&f, 0, false);
    f.alpha[0][4] = 0.001f;
    fold(&f);
    assert_true(srq_model_folded_scale(f.model, 0)[4] == 0.001f);
    off = error_of(&f);
    if (off > SRQ_FOLD_TOLERANCE)
        fail_msg("logits are off by %g", off);
    close_model(&f);
}

/* In F16, which ends at 65504: a scale goes towards 1 as far as it must, and the fold is exact. */
static void test_norm_beyond_its_dtype(void **state)
{
    const struct tensor_change change = { .name = "model.layers.0.input_layernorm.weight",
                                          .dtype = "F16",
                                          .nonfinite = -1 };
    struct srq_error err = { 0 };
    struct srq_tensor gamma;
    struct fixture f;
    float wide[32];
    const float *scale;
    double off;

    (void)state;
    open_changed(&f, &change);
    assert_true(srq_tensors_get(srq_model_tensors(f.model), change.name, &gamma));
    assert_ok(srq_convert(gamma.data, gamma.dtype, wide, SRQ_F32, 32), &err);
    draw(&f, 0, false);
    f.alpha[0][4] = 1e-5f;
    f.alpha[0][5] = 1e30f;
    fold(&f);
    scale = srq_model_folded_scale(f.model, 0);
    assert_true(wide[4] / 1e-5f > 65504 && wide[4] / scale[4] <= 65504 && wide[4] / scale[4] > 65504 / 2.1f);
    assert_true(scale[5] > 1e4f && scale[5] < 1e30f);
    off = error_of(&f);
    if (off > SRQ_FOLD_TOLERANCE)
        fail_msg("logits are off by %g", off);
    close_model(&f);
}

/* Of gemma, whose tensors hold the gain less 1: what is stored is in their dtype, the block adds 1 to that, and alpha'
 * is what this leaves. */
static void test_norm_stored_less_one(void **state)
{
    static const char name[] = "model.layers.0.input_layernorm.weight";
    struct srq_error err = { 0 };
    struct srq_tensor before, after;
    struct srq_block *b;
    struct fixture f;
    const float *scale;
    void *owned;

    (void)state;
    open_model(&f, "gemma");
    assert_true(srq_tensors_get(srq_model_tensors(f.model), name, &before));
    draw(&f, 0, false);
    fold(&f);
    scale = srq_model_folded_scale(f.model, 0);
    assert_ok(srq_model_tensor(f.model, name, &after, &owned, &err), &err);
    assert_int_equal(after.dtype, SRQ_BF16);
    assert_ok(srq_block_create(f.model, SRQ_F32, &b, &err), &err);
    assert_ok(srq_block_load(b, 0, &err), &err);
    for (int j = 0; j < 32; j++) {
        float gain = 1 + srq_bf16_to_f32(((const uint16_t *)before.data)[j]);
        float folded = 1 + srq_bf16_to_f32(((const uint16_t *)after.data)[j]);

        assert_true(srq_block_vector(b, 0)->value[j] == folded);
        assert_true(fabsf(folded * scale[j] - gain) <= 1e-6f * gain);
        assert_true(fabsf(folded - gain / f.alpha[0][j]) <= 0.004f * fabsf(folded - 1) + 1e-6f);
    }
    srq_free(owned);
    srq_block_free(b);
    close_model(&f);
}

/* ---- codes ------------------------------------------------------------------------------------------------------- */

static void codes_of(struct fixture *f, int layer, const char *scheme, struct srq_codes *out)
{
    const struct srq_layer_info *l = srq_model_layer(f->model, layer);
    struct srq_error err = { 0 };
    struct srq_scheme s;
    struct srq_tensor w;

    assert_ok(srq_scheme_parse(scheme, &s, &err), &err);
    assert_ok(srq_codes_alloc(l->out, l->in, &s, out, &err), &err);
    assert_ok(srq_model_weight(f->model, layer, &w, &err), &err);
    assert_ok(srq_round_plain(&w, l->name, out, &err), &err);
}

static void assert_codes(struct fixture *f, int pair, int layer, bool scales_equal)
{
    static const char *const schemes[] = { "w4", "w3z", "w4g8z" };

    for (size_t s = 0; s < sizeof(schemes) / sizeof(schemes[0]); s++) {
        struct srq_codes a = { 0 }, b = { 0 };
        int64_t n;

        srq_model_unfold(f->model);
        codes_of(f, layer, schemes[s], &a);
        fold(f);
        codes_of(f, layer, schemes[s], &b);
        n = a.groups.out * a.groups.in;
        if (memcmp(a.codes, b.codes, (size_t)n) != 0)
            fail_msg("codes of layer %d under %s moved with pair %d", layer, schemes[s], pair);
        assert_int_equal(memcmp(a.scale, b.scale, (size_t)a.groups.count * sizeof(float)) == 0, scales_equal);
        srq_codes_fini(&a);
        srq_codes_fini(&b);
    }
}

/* Spec teq 14.1: scales of one leave codes and steps of every layer as they are. */
static void test_scales_of_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        struct fixture f;

        open_model(&f, models[i]);
        for (int p = 0; p < srq_model_pair_count(f.model); p++) {
            draw(&f, p, false);
            for (int64_t j = 0; j < srq_model_pair(f.model, p)->channels; j++)
                f.alpha[p][j] = 1;
        }
        for (int l = 0; l < srq_model_layer_count(f.model); l++)
            assert_codes(&f, -1, l, true);
        assert_true(error_of(&f) == 0);
        close_model(&f);
    }
}

/* Spec teq 14.4: one power of two for a whole row's inputs scales its steps and nothing else. */
static void test_common_factor(void **state)
{
    struct fixture f;

    (void)state;
    open_model(&f, "llama-default");
    for (int pair = 0; pair < 4; pair++) {
        const struct srq_pair_info *p = srq_model_pair(f.model, pair);

        f.alpha[pair] = calloc((size_t)p->channels, sizeof(float));
        for (int64_t j = 0; j < p->channels; j++)
            f.alpha[pair][j] = 4;
        for (int c = 0; c < p->consumer_count; c++)
            assert_codes(&f, pair, p->consumers[c], false);
        free(f.alpha[pair]);
        f.alpha[pair] = NULL;
    }
    close_model(&f);
}

/* Spec teq 14.5: powers of two change the steps of a producer's rows, not their codes. */
static void test_producer_codes(void **state)
{
    struct fixture f;

    (void)state;
    open_model(&f, "llama-default");
    for (int pair = 2; pair < 4; pair++) {
        draw(&f, pair, true);
        assert_codes(&f, pair, srq_model_pair(f.model, pair)->producer, false);
        free(f.alpha[pair]);
        f.alpha[pair] = NULL;
    }
    close_model(&f);
}

/* ---- exports ----------------------------------------------------------------------------------------------------- */

/* The exported weight of a layer is the folded one, in the layer's dtype. */
static void assert_folded_in(const struct fixture *f, const struct srq_model *exported, int layer)
{
    const struct srq_layer_info *l = srq_model_layer(f->model, layer);
    size_t bytes = (size_t)(l->out * l->in) * srq_dtype_size(l->dtype);
    uint8_t *narrow = malloc(bytes);
    struct srq_error err = { 0 };
    struct srq_tensor a, b;

    assert_ok(srq_model_weight(f->model, layer, &a, &err), &err);
    assert_ok(srq_model_weight(exported, layer, &b, &err), &err);
    assert_int_equal(b.dtype, l->dtype);
    assert_ok(srq_convert(a.data, a.dtype, narrow, l->dtype, l->out * l->in), &err);
    assert_memory_equal(narrow, b.data, bytes);
    free(narrow);
}

/* Spec teq 14.8: readers that are not quantized are scaled as well, so the exported weights compute what the stored
 * ones did. */
static void test_unquantized_export(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        struct srq_scheme schemes[32];
        struct srq_error err = { 0 };
        struct srq_export_request r = { .format = srq_format_find("fake", &err), .schemes = schemes };
        struct fixture f, g;
        char dir[] = "/tmp/srq-test-pairs-XXXXXX", out[64];

        open_model(&f, models[i]);
        assert_true(srq_model_layer_count(f.model) <= 32);
        for (int l = 0; l < srq_model_layer_count(f.model); l++)
            assert_ok(srq_scheme_parse("bf16", &schemes[l], &err), &err);
        for (int p = 0; p < srq_model_pair_count(f.model); p++)
            draw(&f, p, true); /* exact in any dtype */
        fold(&f);
        assert_non_null(mkdtemp(dir));
        snprintf(out, sizeof(out), "%s/out", dir);
        assert_ok(srq_export_build(f.model, &r, out, &err), &err);
        memset(&g, 0, sizeof(g));
        assert_ok(srq_model_open(out, true, &g.model, &err), &err);
        assert_folded_in(&f, g.model, 2);
        assert_folded_in(&f, g.model, 5);
        assert_true(error_of(&f) <= SRQ_FOLD_TOLERANCE);
        srq_model_close(g.model);
        srq_remove_tree(dir, NULL);
        close_model(&f);
    }
}

struct rounded {
    const struct srq_model *model;
    const struct srq_scheme *schemes;
    struct srq_codes codes;
};

static int round_layer(void *ctx, int layer, const struct srq_codes **out, struct srq_error *err)
{
    struct rounded *r = ctx;
    const struct srq_layer_info *l = srq_model_layer(r->model, layer);
    struct srq_tensor w;
    int rc;

    srq_codes_fini(&r->codes);
    if ((rc = srq_codes_alloc(l->out, l->in, &r->schemes[layer], &r->codes, err)) != 0 ||
        (rc = srq_model_weight(r->model, layer, &w, err)) != 0)
        return rc;
    *out = &r->codes;
    return srq_round_plain(&w, l->name, &r->codes, err);
}

/* Spec teq 14.8: a router, which is never rounded, has its inputs scaled beside those of the expert's linears: logits
 * stay, and so it is written where the expert is rounded. Where it is forgotten, logits move. */
static void test_router(void **state)
{
    struct srq_error err = { 0 };
    struct fixture f, g = { 0 };
    struct srq_scheme schemes[2 * ROUTED_LINEARS];
    struct rounded made = { .schemes = schemes };
    struct srq_export_request r = {
        .format = srq_format_find("fake", &err), .schemes = schemes, .codes = round_layer, .codes_ctx = &made
    };
    char dir[] = "/tmp/srq-test-pairs-XXXXXX", out[64];

    (void)state;
    srq_family_bring(&careless_family);
    open_folder(&f, routed_folder());
    draw(&f, 0, false);
    fold(&f);
    assert_true(error_of(&f) > 1e-2);
    close_model(&f);
    srq_family_bring(&routed_family);
    open_folder(&f, routed_folder());
    for (int p = 0; p < srq_model_pair_count(f.model); p++)
        draw(&f, p, false);
    fold(&f);
    assert_true(error_of(&f) <= SRQ_FOLD_TOLERANCE);
    for (int l = 0; l < 2 * ROUTED_LINEARS; l++)
        assert_ok(srq_scheme_parse(l % ROUTED_LINEARS == ROUTER ? "bf16" : "w4g16", &schemes[l], &err), &err);
    assert_non_null(mkdtemp(dir));
    snprintf(out, sizeof(out), "%s/out", dir);
    made.model = f.model;
    assert_ok(srq_export_build(f.model, &r, out, &err), &err);
    assert_ok(srq_model_open(out, true, &g.model, &err), &err);
    assert_folded_in(&f, g.model, ROUTER);
    assert_folded_in(&f, g.model, ROUTED_LINEARS + ROUTER);
    srq_codes_fini(&made.codes);
    srq_model_close(g.model);
    srq_remove_tree(dir, NULL);
    close_model(&f);
    srq_family_bring(NULL);
}

/* ---- bad scales -------------------------------------------------------------------------------------------------- */

static void test_bad_scales(void **state)
{
    const float bad[] = { 0.0f, -1.0f, 1e-6f, NAN, INFINITY };
    struct fixture f;

    (void)state;
    open_model(&f, "llama-default");
    draw(&f, 1, false);
    fold(&f);
    draw(&f, 3, false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct srq_error err = { 0 };

        f.alpha[3][7] = bad[i];
        assert_refused(srq_model_fold(f.model, (const float *const *)f.alpha, &err), -SRQ_ENUMERIC, &err,
                       "model.layers.0.mlp.up_proj, channel 7");
        assert_non_null(srq_model_folded_scale(f.model, 1)); /* the fold before stays */
        assert_null(srq_model_folded_scale(f.model, 3));
    }
    close_model(&f);
}

static int allowed;

static bool fail_after(size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    return allowed-- > 0;
}

/* Every allocation fails once; what was folded before stays readable. */
static void test_out_of_memory(void **state)
{
    struct fixture f;
    int rc = -1;

    (void)state;
    open_model(&f, "llama-default");
    for (int p = 0; p < srq_model_pair_count(f.model); p++)
        draw(&f, p, false);
    for (int n = 0; n < 200 && rc != 0; n++) {
        struct srq_error err = { 0 };
        double relative;

        allowed = n;
        srq_set_alloc_hook(fail_after, NULL);
        rc = srq_model_fold(f.model, (const float *const *)f.alpha, &err);
        if (rc == 0)
            rc = srq_fold_error(f.model, f.tokens, TOKENS, &relative, &err);
        srq_set_alloc_hook(NULL, NULL);
        if (rc != 0)
            assert_int_equal(rc, -SRQ_ENOMEM);
    }
    assert_int_equal(rc, 0);
    assert_true(srq_model_fold_bytes(f.model) > 0);
    close_model(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_no_pairs_when_quantized),
        cmocka_unit_test(test_between_refused),
        cmocka_unit_test(test_logits_unchanged),
        cmocka_unit_test(test_error_is_seen),
        cmocka_unit_test(test_norm_rounding),
        cmocka_unit_test(test_norm_without_gain),
        cmocka_unit_test(test_norm_beyond_its_dtype),
        cmocka_unit_test(test_norm_stored_less_one),
        cmocka_unit_test(test_scales_of_one),
        cmocka_unit_test(test_common_factor),
        cmocka_unit_test(test_producer_codes),
        cmocka_unit_test(test_unquantized_export),
        cmocka_unit_test(test_router),
        cmocka_unit_test(test_bad_scales),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
