/* Forward and backward of whole models and blocks against what transformers computed (tests/reference/models). */
#include "tests/unit/test.h"
#include "tests/unit/block_through.h"

#include "tests/unit/model_folder.h"

#include "core/base/alloc.h"
#include "core/grid/grid.h"
#include "core/model/model.h"

#include <math.h>

/* ---- reference data ---------------------------------------------------------------------------------------------- */

static struct srq_tensors *expected;

static int open_expected(void **state)
{
    struct srq_error err = { 0 };

    (void)state;
    return srq_tensors_open(reference_path("expected.safetensors"), &expected, &err);
}

static int close_expected(void **state)
{
    (void)state;
    srq_tensors_close(expected);
    return 0;
}

static struct srq_tensor expected_tensor(const char *kind, const char *model, const char *part)
{
    struct srq_tensor t;
    char name[128];

    snprintf(name, sizeof(name), "%s%s%s%s%s", kind, model[0] != '\0' ? "." : "", model, part[0] != '\0' ? "." : "",
             part);
    if (!srq_tensors_get(expected, name, &t))
        fail_msg("expected.safetensors has no %s", name);
    return t;
}

/* Largest |a - b| relative to the larger of |b| and the root mean square of b. */
static double difference(const float *a, const float *b, int64_t n)
{
    double square = 0, worst = 0, rms;

    for (int64_t i = 0; i < n; i++)
        square += (double)b[i] * (double)b[i];
    rms = sqrt(square / (double)n);
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]) / fmax(fabs((double)b[i]), rms));
    return isnan(worst) ? INFINITY : worst;
}

/* ---- a whole model ----------------------------------------------------------------------------------------------- */

/* y = block(x) for block `index`, both [batch*seq, hidden] of the block's dtype; the arena is what a measuring tape
 * says. */
static void run_block(const struct srq_model *m, struct srq_block *b, enum srq_dtype dtype, const void *x, void *y,
                      int64_t batch, int64_t seq)
{
    const struct srq_tensor in = srq_tensor_2d((void *)(uintptr_t)x, dtype, batch * seq, srq_model_info(m)->hidden);
    struct srq_error err = { 0 };
    struct srq_var *out;
    struct srq_tape *t;
    size_t bytes;

    assert_ok(srq_tape_create(0, dtype, true, &t, &err), &err);
    srq_tape_record(t, false);
    block_through(b, t, srq_tape_input(t, &in, false), batch, seq);
    assert_ok(srq_tape_error(t, &err), &err);
    bytes = srq_tape_peak(t);
    srq_tape_free(t);
    assert_ok(srq_tape_create(bytes, dtype, false, &t, &err), &err);
    srq_tape_record(t, false);
    out = block_through(b, t, srq_tape_input(t, &in, false), batch, seq);
    assert_ok(srq_tape_error(t, &err), &err);
    assert_non_null(out);
    memcpy(y, out->value.data, (size_t)(batch * seq * srq_model_info(m)->hidden) * srq_dtype_size(dtype));
    srq_tape_free(t);
}

/* Logits [batch*seq, vocab] of the folder's model, all in F32 but the blocks in `dtype`. */
static float *run_model(const char *folder, const int32_t *ids, int64_t batch, int64_t seq, enum srq_dtype dtype)
{
    struct srq_error err = { 0 };
    struct srq_model *m;
    struct srq_block *b;
    struct srq_head *h;
    float *logits;
    void *x;

    assert_ok(srq_model_open(folder, false, &m, &err), &err);
    x = srq_calloc((size_t)(batch * seq * srq_model_info(m)->hidden), sizeof(float));
    logits = srq_calloc((size_t)(batch * seq * srq_model_info(m)->vocab), sizeof(float));
    assert_ok(srq_model_embed(m, ids, batch * seq, x, dtype, &err), &err);
    assert_ok(srq_block_create(m, dtype, &b, &err), &err);
    for (int i = 0; i < srq_model_info(m)->blocks; i++) {
        assert_ok(srq_block_load(b, i, &err), &err);
        run_block(m, b, dtype, x, x, batch, seq);
    }
    assert_ok(srq_head_create(m, &h, &err), &err);
    assert_ok(srq_head_logits(h, x, dtype, batch * seq, logits, &err), &err);
    srq_head_free(h);
    srq_block_free(b);
    srq_model_close(m);
    srq_free(x);
    return logits;
}

/* Difference between a model's logits and the reference's at the positions that it keeps. */
static double logits_difference(const char *folder, const char *model, enum srq_dtype dtype)
{
    struct srq_tensor ids = expected_tensor("ids", "", ""), at = expected_tensor("positions", "", "");
    struct srq_tensor want = expected_tensor("logits", model, "");
    int64_t batch = ids.shape[0], seq = ids.shape[1], kept = at.shape[0], vocab = want.shape[2];
    float *logits = run_model(folder, ids.data, batch, seq, dtype);
    float *got = srq_calloc((size_t)(batch * kept * vocab), sizeof(float));
    double worst;

    for (int64_t i = 0; i < batch * kept; i++)
        memcpy(got + i * vocab, logits + (i / kept * seq + ((const int32_t *)at.data)[i % kept]) * vocab,
               (size_t)vocab * sizeof(float));
    worst = difference(got, want.data, batch * kept * vocab);
    srq_free(got);
    srq_free(logits);
    return worst;
}

static void logits_agree(void **state)
{
    const char *model = *state;
    char *folder = folder_of(model);
    double worst = logits_difference(folder, model, SRQ_F32);

    print_message("# %s: largest relative difference of logits %.2g\n", model, worst);
    assert_true(worst < 1e-4);
    folder_remove(folder);
}

/* bf16 keeps 8 bits: products of two blocks stay within a few per cent of the logits' size. */
static void logits_of_bf16_blocks_are_near(void **state)
{
    char *folder = folder_of("llama-default");

    (void)state;
    assert_true(logits_difference(folder, "llama-default", SRQ_BF16) < 0.1);
    folder_remove(folder);
}

/* A copy of weights-plain.safetensors with every tensor in `dtype`. */
static void write_weights(const char *folder, enum srq_dtype dtype)
{
    struct srq_error err = { 0 };
    struct srq_tensor_writer *w;
    struct srq_tensors *ts;
    struct srq_tensor t;

    assert_ok(srq_tensors_open(reference_path("weights-plain.safetensors"), &ts, &err), &err);
    assert_ok(srq_writer_create(folder, "model", 0, &w, &err), &err);
    for (int64_t i = 0; i < srq_tensors_count(ts); i++) {
        assert_true(srq_tensors_get(ts, srq_tensors_name(ts, i), &t));
        assert_ok(srq_writer_declare(w, srq_tensors_name(ts, i), dtype, t.rank, t.shape, &err), &err);
    }
    assert_ok(srq_writer_begin(w, &err), &err);
    for (int64_t i = 0; i < srq_tensors_count(ts); i++) {
        size_t n;
        void *data;

        assert_true(srq_tensors_get(ts, srq_tensors_name(ts, i), &t));
        n = (size_t)srq_tensor_count(&t);
        data = srq_calloc(n, sizeof(float));
        assert_int_equal(srq_convert(t.data, t.dtype, data, dtype, (int64_t)n), 0);
        assert_ok(srq_writer_put(w, srq_tensors_name(ts, i), 0, data, n * srq_dtype_size(dtype), &err), &err);
        srq_free(data);
    }
    assert_ok(srq_writer_finish(w, &err), &err);
    srq_writer_free(w);
    srq_tensors_close(ts);
}

static void dtype_of_storage_does_not_matter(void **state)
{
    static const enum srq_dtype dtypes[] = { SRQ_F32, SRQ_F16 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *config = reference_config("llama-default");
        char *folder = folder_create(config, NULL);

        write_weights(folder, dtypes[i]);
        assert_true(logits_difference(folder, "llama-default", SRQ_F32) < 1e-4);
        json_decref(config);
        folder_remove(folder);
    }
}

static void sequences_of_a_batch_do_not_see_each_other(void **state)
{
    struct srq_tensor ids = expected_tensor("ids", "", "");
    int64_t seq = ids.shape[1], vocab = 64;
    const int32_t *second = (const int32_t *)ids.data + seq;
    char *folder = folder_of("qwen3");
    float *both = run_model(folder, ids.data, 2, seq, SRQ_F32), *alone = run_model(folder, second, 1, seq, SRQ_F32);

    (void)state;
    assert_true(difference(both + seq * vocab, alone, seq * vocab) < 1e-5);
    srq_free(both);
    srq_free(alone);
    folder_remove(folder);
}

/* ---- gradients of one block -------------------------------------------------------------------------------------- */

struct collected {
    float *grad; /* [out, in] */
    int64_t in;
};

static void collect(void *ctx, int64_t row, int64_t rows, float *grad)
{
    const struct collected *c = ctx;

    memcpy(c->grad + row * c->in, grad, (size_t)(rows * c->in) * sizeof(float));
}

static struct srq_var *block_loss(struct srq_block *b, struct srq_tape *t, const char *model, struct srq_var **x)
{
    struct srq_tensor in = expected_tensor("block", model, "x"), target = expected_tensor("block", model, "target");
    int64_t batch = in.shape[0], seq = in.shape[1], hidden = in.shape[2];

    in = srq_tensor_2d(in.data, SRQ_F32, batch * seq, hidden);
    target = srq_tensor_2d(target.data, SRQ_F32, batch * seq, hidden);
    *x = srq_tape_input(t, &in, true);
    return srq_op_mse(t, block_through(b, t, *x, batch, seq), &target, NULL);
}

static void compare(const char *model, const char *part, const float *got)
{
    struct srq_tensor want = expected_tensor("block", model, part);
    double worst = difference(got, want.data, srq_tensor_count(&want));

    if (!(worst < 1e-4))
        fail_msg("%s of the block of %s differs by %g", part, model, worst);
}

static void output_agrees(struct srq_model *m, struct srq_block *b, const char *model)
{
    struct srq_tensor in = expected_tensor("block", model, "x");
    float *y = srq_calloc((size_t)srq_tensor_count(&in), sizeof(float));

    run_block(m, b, SRQ_F32, in.data, y, in.shape[0], in.shape[1]);
    compare(model, "y", y);
    srq_free(y);
}

static void gradients_agree(const char *model, int index)
{
    char *folder = folder_of(model);
    struct collected grads[7];
    struct srq_error err = { 0 };
    struct srq_var *x, *loss;
    struct srq_model *m;
    struct srq_block *b;
    struct srq_tape *t;

    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    assert_ok(srq_block_create(m, SRQ_F32, &b, &err), &err);
    assert_ok(srq_block_load(b, index, &err), &err);
    output_agrees(m, b, model);
    for (int i = 0; i < 7; i++) {
        struct srq_linear *l = srq_block_linear(b, i);

        grads[i] = (struct collected){ srq_calloc((size_t)(l->out * l->in), sizeof(float)), l->in };
        l->sink = collect;
        l->sink_ctx = &grads[i];
    }
    assert_ok(srq_tape_create((size_t)16 << 20, SRQ_F32, false, &t, &err), &err);
    loss = block_loss(b, t, model, &x);
    assert_ok(srq_tape_error(t, &err), &err);
    assert_ok(srq_tape_backward(t, loss, &err), &err);
    compare(model, "loss", loss->value.data);
    compare(model, "dx", x->grad.data);
    for (int i = 0; i < 7; i++) {
        compare(model, srq_model_layer(m, i)->module, grads[i].grad);
        srq_free(grads[i].grad);
    }
    srq_tape_free(t);
    srq_block_free(b);
    srq_model_close(m);
    folder_remove(folder);
}

static void gradients_of_a_llama_block_agree(void **state)
{
    (void)state;
    gradients_agree("llama-default", 1);
}

static void gradients_of_a_qwen3_block_agree(void **state)
{
    (void)state;
    gradients_agree("qwen3", 0);
}

static void gradients_of_a_gemma_block_agree(void **state)
{
    (void)state;
    gradients_agree("gemma", 1);
}

/* ---- the ends ---------------------------------------------------------------------------------------------------- */

/* Each group of 32 has one scale, of which no value is off by more than half, unless it is beyond its shorter end. */
static void rows_of_an_embedding_are_rounded_with_the_least_weighed_error(void **state)
{
    enum { VOCAB = 64, HIDDEN = 32 };
    char *folder = folder_of("llama-tied");
    struct srq_scheme scheme;
    struct srq_model *m;
    struct srq_error err = { 0 };
    int32_t ids[VOCAB];
    float before[VOCAB * HIDDEN], after[VOCAB * HIDDEN];
    double weight[HIDDEN] = { 0 }, all_ours = 0, all_plain = 0;
    int64_t changed = 0;

    (void)state;
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    for (int i = 0; i < VOCAB; i++)
        ids[i] = i;
    assert_ok(srq_model_embed(m, ids, VOCAB, before, SRQ_F32, &err), &err);
    assert_null(srq_model_embedding(m));
    assert_ok(srq_scheme_parse("q6_k", &scheme, &err), &err);
    assert_refused(srq_model_round_embedding(m, &scheme, &err), -SRQ_EUNSUPPORTED, &err, "q6_k in rows of 32");
    assert_ok(srq_scheme_parse("w4g32", &scheme, &err), &err);
    assert_ok(srq_model_round_embedding(m, &scheme, &err), &err);
    assert_true(srq_scheme_equal(srq_model_embedding(m), &scheme));
    assert_ok(srq_model_make_embedding(m, folder, &err), &err);
    assert_ok(srq_model_embed(m, ids, VOCAB, after, SRQ_F32, &err), &err);
    for (int i = 0; i < HIDDEN; i++)
        for (int r = 0; r < VOCAB; r++)
            weight[i] += (double)before[r * HIDDEN + i] * before[r * HIDDEN + i];
    for (int r = 0; r < VOCAB; r++) {
        const float *x = before + (ptrdiff_t)(r * HIDDEN), *y = after + (ptrdiff_t)(r * HIDDEN);
        double ours = 0, plain = 0;
        float top = 0, level[16];
        int levels = 0;

        for (int i = 0; i < HIDDEN; i++)
            top = fabsf(x[i]) > fabsf(top) ? x[i] : top;
        for (int i = 0; i < HIDDEN; i++) {
            double to = fmax(-8, fmin(7, rint(x[i] / (top / -8)))) * (top / -8);
            int k = 0;

            while (k < levels && level[k] != y[i])
                k++;
            assert_true(k < 16);
            level[k] = y[i];
            levels += k == levels;
            ours += weight[i] * ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
            plain += weight[i] * (to - x[i]) * (to - x[i]);
            changed += x[i] != y[i];
        }
        assert_true(ours <= 1.001 * plain);
        all_ours += ours;
        all_plain += plain;
    }
    assert_true(all_ours < 0.95 * all_plain);
    assert_true(changed > VOCAB * HIDDEN / 2);
    srq_model_close(m);
    folder_remove(folder);
}

static void ids_outside_the_vocabulary_are_refused(void **state)
{
    const int32_t ids[2][3] = { { 0, 63, 64 }, { 5, -1, 0 } };
    char *folder = folder_of("llama-default");
    struct srq_error err = { 0 };
    struct srq_model *m;
    float x[3 * 32];

    (void)state;
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    assert_refused(srq_model_embed(m, ids[0], 3, x, SRQ_F32, &err), -SRQ_EINVAL, &err, "token id 64 at 2");
    assert_refused(srq_model_embed(m, ids[1], 3, x, SRQ_F32, &err), -SRQ_EINVAL, &err, "token id -1 at 1");
    srq_model_close(m);
    folder_remove(folder);
}

/* Of gemma, by sqrt(32): 5.65685425 in F32, 5.65625 in BF16, where the product is rounded again. */
static void embeddings_are_multiplied_in_the_type_of_the_states(void **state)
{
    char *folder = folder_of("gemma");
    struct srq_error err = { 0 };
    struct srq_tensor table;
    struct srq_model *m;
    float wide[32], x[32];
    uint16_t half[32];

    (void)state;
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    assert_true(srq_tensors_get(srq_model_tensors(m), "model.embed_tokens.weight", &table));
    assert_ok(srq_convert((const uint16_t *)table.data + 9 * 32, table.dtype, wide, SRQ_F32, 32), &err);
    assert_ok(srq_model_embed(m, &(int32_t){ 9 }, 1, x, SRQ_F32, &err), &err);
    assert_ok(srq_model_embed(m, &(int32_t){ 9 }, 1, half, SRQ_BF16, &err), &err);
    for (int i = 0; i < 32; i++) {
        assert_true(x[i] == wide[i] * 5.65685425f);
        assert_int_equal(half[i], srq_f32_to_bf16(wide[i] * 5.65625f));
    }
    srq_model_close(m);
    folder_remove(folder);
}

/* More rows than the head takes at once: each row's logits depend on that row alone. */
static void long_inputs_of_the_head_go_in_parts(void **state)
{
    enum { N = 1500 };
    char *folder = folder_of("llama-default");
    int32_t *ids = srq_calloc(N, sizeof(*ids));
    float *x = srq_calloc(N * 32, sizeof(float)), *logits = srq_calloc(N * 64, sizeof(float));
    struct srq_error err = { 0 };
    struct srq_model *m;
    struct srq_head *h;

    (void)state;
    for (int i = 0; i < N; i++)
        ids[i] = i % 64;
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    assert_ok(srq_head_create(m, &h, &err), &err);
    assert_ok(srq_model_embed(m, ids, N, x, SRQ_F32, &err), &err);
    assert_ok(srq_head_logits(h, x, SRQ_F32, N, logits, &err), &err);
    for (int i = 64; i < N; i++)
        assert_true(difference(logits + i * 64, logits + i % 64 * 64, 64) < 1e-5);
    srq_head_free(h);
    srq_model_close(m);
    srq_free(logits);
    srq_free(x);
    srq_free(ids);
    folder_remove(folder);
}

/* An untied head may be pointed at another weight (its fake-quantized one), and logits follow. */
static void logits_follow_the_weight_of_the_head(void **state)
{
    char *folder = folder_of("llama-default");
    float *weight = srq_calloc(64 * 32, sizeof(float)), x[32], before[64], after[64];
    struct srq_error err = { 0 };
    struct srq_linear *l;
    struct srq_model *m;
    struct srq_head *h;

    (void)state;
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    assert_ok(srq_head_create(m, &h, &err), &err);
    assert_ok(srq_model_embed(m, &(int32_t){ 7 }, 1, x, SRQ_F32, &err), &err);
    assert_ok(srq_head_logits(h, x, SRQ_F32, 1, before, &err), &err);
    l = srq_head_linear(h);
    assert_non_null(l);
    assert_int_equal(srq_convert(l->weight.data, l->weight.dtype, weight, SRQ_F32, 64 * 32), 0);
    for (int i = 0; i < 64 * 32; i++)
        weight[i] *= -2;
    l->weight = srq_tensor_2d(weight, SRQ_F32, 64, 32);
    assert_ok(srq_head_logits(h, x, SRQ_F32, 1, after, &err), &err);
    for (int i = 0; i < 64; i++)
        assert_true(fabsf(after[i] + 2 * before[i]) <= 1e-5f * (1 + fabsf(before[i])));
    srq_head_free(h);
    srq_model_close(m);
    srq_free(weight);
    folder_remove(folder);
}

static void tied_head_is_not_for_tuning(void **state)
{
    char *folder = folder_of("llama-tied");
    struct srq_error err = { 0 };
    struct srq_model *m;
    struct srq_head *h;

    (void)state;
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    assert_ok(srq_head_create(m, &h, &err), &err);
    assert_null(srq_head_linear(h));
    srq_head_free(h);
    srq_model_close(m);
    folder_remove(folder);
}

static void loading_points_linears_back(void **state)
{
    char *folder = folder_of("llama-default");
    struct srq_error err = { 0 };
    struct srq_linear *l;
    struct srq_model *m;
    struct srq_block *b;
    void *own;

    (void)state;
    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    assert_ok(srq_block_create(m, SRQ_F32, &b, &err), &err);
    assert_ok(srq_block_load(b, 0, &err), &err);
    l = srq_block_linear(b, 3);
    own = l->weight.data;
    l->weight.data = NULL;
    l->sink = collect;
    assert_ok(srq_block_load(b, 1, &err), &err);
    assert_ptr_equal(srq_block_linear(b, 3), l);
    assert_ptr_equal(l->weight.data, own);
    assert_true(l->sink == NULL);
    assert_string_equal(l->name, "model.layers.1.self_attn.o_proj");
    assert_refused(srq_block_load(b, 2, &err), -SRQ_EINVAL, &err, "block 2");
    srq_block_free(b);
    srq_model_close(m);
    folder_remove(folder);
}

#define LOGITS(model)                                                                 \
    {                                                                                 \
        "logits_agree_for_" model, logits_agree, NULL, NULL, (void *)(uintptr_t)model \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGITS("llama-default"),
        LOGITS("llama-gptq"),
        LOGITS("llama-linear"),
        LOGITS("llama-dynamic"),
        LOGITS("llama-llama3"),
        LOGITS("llama-yarn"),
        LOGITS("llama-yarn-mscale"),
        LOGITS("llama-longrope-long"),
        LOGITS("llama-longrope-short"),
        LOGITS("llama-tied"),
        LOGITS("llama-bias"),
        LOGITS("mistral"),
        LOGITS("mistral-full"),
        LOGITS("qwen2"),
        LOGITS("qwen2-window"),
        LOGITS("qwen2-types"),
        LOGITS("qwen3"),
        LOGITS("gemma"),
        LOGITS("gemma-untied"),
        cmocka_unit_test(logits_of_bf16_blocks_are_near),
        cmocka_unit_test(dtype_of_storage_does_not_matter),
        cmocka_unit_test(sequences_of_a_batch_do_not_see_each_other),
        cmocka_unit_test(gradients_of_a_llama_block_agree),
        cmocka_unit_test(gradients_of_a_qwen3_block_agree),
        cmocka_unit_test(gradients_of_a_gemma_block_agree),
        cmocka_unit_test(embeddings_are_multiplied_in_the_type_of_the_states),
        cmocka_unit_test(rows_of_an_embedding_are_rounded_with_the_least_weighed_error),
        cmocka_unit_test(ids_outside_the_vocabulary_are_refused),
        cmocka_unit_test(long_inputs_of_the_head_go_in_parts),
        cmocka_unit_test(logits_follow_the_weight_of_the_head),
        cmocka_unit_test(tied_head_is_not_for_tuning),
        cmocka_unit_test(loading_points_linears_back),
    };

    return cmocka_run_group_tests_name("model forward", tests, open_expected, close_expected);
}
