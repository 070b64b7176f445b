/* The block tuner with the SignRound plugin on the demo model: what it gains, that a resumed block gives the same
 * bytes, that its memory is the planned memory, and what it refuses. */
#include "tests/unit/tuner_bed.h"
#include "tests/unit/block_through.h"
#include "tests/unit/math_start.h"

/* ---- what it gains ----------------------------------------------------------------------------------------------- */

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* The block loss of the probe samples with the weights that are in the block now, computed here, without the `dropped`
 * largest squares. */
static double loss_without(struct bed *b, int64_t dropped)
{
    double *squares = srq_calloc((size_t)(PROBES * SEQ * b->width), sizeof(*squares));
    struct srq_error err = { 0 };
    struct srq_tape *t;
    int64_t width = b->width, count = 0;
    double sum = 0;

    assert_ok(srq_tape_create((size_t)64 << 20, SRQ_F32, false, &t, &err), &err);
    srq_tape_record(t, false);
    for (int64_t p = 0; p < PROBES; p++) {
        int64_t s = p * SAMPLES / PROBES;
        const float *x = (const float *)b->io.input[0] + s * SEQ * width,
                    *y = (const float *)b->io.target[0] + s * SEQ * width;
        struct srq_tensor in = srq_tensor_2d((void *)(uintptr_t)x, SRQ_F32, SEQ, width);
        const float *got;

        srq_tape_reset(t);
        got = block_through(b->block, t, srq_tape_input(t, &in, false), 1, SEQ)->value.data;
        for (int64_t i = 0; i < SEQ * width; i++)
            squares[count++] = pow((double)got[i] - (double)y[i], 2);
    }
    srq_tape_free(t);
    qsort(squares, (size_t)count, sizeof(*squares), descending);
    for (int64_t i = dropped; i < count; i++)
        sum += squares[i];
    srq_free(squares);
    return sum / (double)count;
}

static double loss_of_block(struct bed *b)
{
    return loss_without(b, 0);
}

static void round_plainly(struct bed *b)
{
    struct srq_error err = { 0 };

    assert_ok(srq_block_load(b->block, 0, &err), &err);
    for (int i = 0; i < LAYERS; i++) {
        struct srq_linear *l = srq_block_linear(b->block, i);
        struct srq_tensor w;
        struct srq_codes c;
        struct srq_grid_args a = { .size = sizeof(a), .weight = &w, .scheme = &b->schemes[i], .groups = &c.groups };
        struct srq_result r = { .size = sizeof(r) };
        float *range;

        assert_ok(srq_model_weight(b->model, i, &w, &err), &err);
        assert_ok(srq_codes_alloc(l->out, l->in, &b->schemes[i], &c, &err), &err);
        r.codes = c.codes;
        r.scale = c.scale;
        r.zero = c.zero;
        range = srq_calloc(2 * (size_t)c.groups.count, sizeof(float));
        a.lo = range;
        a.hi = range + c.groups.count;
        assert_int_equal(srq_grid(b->schemes[i].grid)->extrema(&a, range, range + c.groups.count), 0);
        srq_grid(b->schemes[i].grid)->encode(&a, 0, l->out, &r);
        assert_ok(srq_codes_decode(&c, l->weight.data, SRQ_F32, &err), &err);
        srq_codes_fini(&c);
        srq_free(range);
    }
}

static void fifty_iterations_at_two_bits_beat_plain_rounding(void **state)
{
    struct bed *b = bed_open("w2g64", (const char *const[]){ "iters", "50", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    double plain;

    (void)state;
    assert_ok(tune(b, &out, &err), &err);
    assert_int_equal(b->points, 50);
    assert_int_equal(b->probes, 11);
    assert_int_equal(b->errors, 11 * LAYERS);
    assert_int_equal(out.iters_done, 50);
    assert_true(out.loss_best < 0.6 * out.loss_first);
    /* What is in the block is what the codes say, and its loss is the one that was reported. */
    assert_true(fabs(loss_of_block(b) / out.loss_best - 1) < 1e-4);
    round_plainly(b);
    plain = loss_of_block(b);
    assert_true(fabs(plain / out.loss_first - 1) < 1e-4);
    for (int i = 0; i < LAYERS; i++)
        assert_true(out.error_first[i] > 0 && out.error_best[i] > 0);
    bed_close(b);
}

static void searched_scales_end_with_a_smaller_loss(void **state)
{
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    double all[2], most[2];

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct bed *b =
            bed_open("w2g64", (const char *const[]){ "iters", "30", "alg_ext", k == 0 ? "no" : "yes", NULL });

        assert_ok(tune(b, &out, &err), &err);
        all[k] = loss_of_block(b);
        most[k] = loss_without(b, PROBES * SEQ * b->width / 1000); /* the probe samples are one batch */
        assert_true(fabs((k == 0 ? all[k] : most[k]) / out.loss_best - 1) < 1e-4);
        bed_close(b);
    }
    assert_true(all[1] < all[0] && most[1] < most[0]);
}

static void codes_decode_to_the_weights_in_the_block(void **state)
{
    struct bed *b = bed_open("w4g32z", (const char *const[]){ "iters", "6", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(tune(b, &out, &err), &err);
    for (int i = 0; i < LAYERS; i++) {
        const struct srq_codes *c = srq_tuner_codes(b->tuner, i);
        const struct srq_linear *l = srq_block_linear(b->block, i);
        const float *w = l->weight.data;

        for (int64_t k = 0; k < l->out * l->in; k++)
            assert_true(w[k] == c->scale[k / 32] * (float)(c->codes[k] - c->zero[k / 32]));
    }
    assert_null(srq_tuner_codes(b->tuner, LAYERS));
    bed_close(b);
}

static void a_layer_left_alone_has_no_codes_and_keeps_its_weight(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "4", NULL });
    struct srq_linear *l = srq_block_linear(b->block, 2);
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    size_t bytes = (size_t)(l->out * l->in) * sizeof(float);
    float *before = srq_malloc(bytes);

    (void)state;
    memcpy(before, l->weight.data, bytes);
    assert_ok(srq_scheme_parse("bf16", &b->schemes[2], &err), &err);
    assert_ok(tune(b, &out, &err), &err);
    assert_null(srq_tuner_codes(b->tuner, 2));
    assert_non_null(srq_tuner_codes(b->tuner, 1));
    assert_true(isnan(out.error_first[2]) && isnan(out.error_best[2]));
    assert_memory_equal(before, l->weight.data, bytes);
    srq_free(before);
    bed_close(b);
}

static void no_iterations_round_plainly(void **state)
{
    struct bed *b = bed_open("w3g64", (const char *const[]){ "iters", "0", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(tune(b, &out, &err), &err);
    assert_int_equal(b->points, 0);
    assert_int_equal(b->probes, 1);
    assert_true(out.loss_best == out.loss_first && out.best_iter == 0);
    round_plainly(b);
    assert_true(fabs(loss_of_block(b) / out.loss_best - 1) < 1e-4);
    bed_close(b);
}

/* A learning rate that wrecks the block: the best iterate is the one before the first step. */
static void a_worse_result_rolls_back_to_plain_rounding(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "8", "lr", "1", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    double kept;

    (void)state;
    assert_ok(tune(b, &out, &err), &err);
    assert_true(b->last_probe > out.loss_first);
    assert_int_equal(out.best_iter, 0);
    kept = loss_of_block(b);
    round_plainly(b);
    assert_true(kept == loss_of_block(b));
    bed_close(b);
}

/* Half of the rate is left at half of the way in both; a quarter of the way on, 3/4 of it or (1 + cos 45 degrees) /
 * 2. */
static void steps_shrink_as_asked_for(void **state)
{
    static const struct {
        const char *decay;
        double first, quarter;
    } rows[] = { { "linear", 1 / 8.0, 0.75 }, { "cosine", 1.5 / 8, 0.85355339059327373 } };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "8", "decay", rows[i].decay, NULL });
        struct srq_tune_outcome out;
        struct srq_error err = { 0 };

        assert_ok(tune(b, &out, &err), &err);
        assert_true(fabs(b->rates[0] / rows[i].first - 1) < 1e-12);
        assert_true(fabs(b->rates[2] / b->rates[0] - rows[i].quarter) < 1e-12);
        assert_true(fabs(b->rates[4] / b->rates[0] - 0.5) < 1e-12);
        bed_close(b);
    }
}

static void the_last_iterate_is_kept_where_asked_for(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "8", "lr", "1", "keep_best", "no", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(tune(b, &out, &err), &err);
    assert_int_equal(out.best_iter, 8);
    assert_true(out.loss_best == b->last_probe && out.loss_best > out.loss_first);
    assert_true(fabs(loss_of_block(b) / out.loss_best - 1) < 1e-4);
    bed_close(b);
}

static void patience_ends_a_block_that_does_not_improve(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "100", "lr", "1", "patience", "7", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    assert_ok(tune(b, &out, &err), &err);
    assert_int_equal(out.iters_done, 7);
    bed_close(b);
}

static void what_is_masked_does_not_matter(void **state)
{
    struct bed *a = bed_open("w3g64", (const char *const[]){ "iters", "5", NULL });
    struct bed *b = bed_open("w3g64", (const char *const[]){ "iters", "5", NULL });
    uint8_t *mask = srq_calloc(SAMPLES, SEQ), *mask2 = srq_calloc(SAMPLES, SEQ);
    float *target = (float *)(uintptr_t)b->io.target[0];
    struct srq_tune_outcome one, two;
    struct srq_error err = { 0 };

    (void)state;
    for (int i = 0; i < SAMPLES * SEQ; i++) {
        mask[i] = mask2[i] = i % SEQ < SEQ - 1 - i / SEQ;
        for (int64_t k = 0; mask[i] == 0 && k < b->width; k++)
            target[i * b->width + k] = 1e6f;
    }
    a->io.mask = mask;
    b->io.mask = mask2;
    assert_ok(tune(a, &one, &err), &err);
    assert_ok(tune(b, &two, &err), &err);
    assert_true(one.loss_first == two.loss_first && one.loss_best == two.loss_best);
    for (int i = 0; i < LAYERS; i++) {
        const struct srq_codes *c = srq_tuner_codes(a->tuner, i);

        assert_memory_equal(c->codes, srq_tuner_codes(b->tuner, i)->codes, (size_t)(c->groups.out * c->groups.in));
    }
    bed_close(a);
    bed_close(b);
}

/* ---- stopping and resuming --------------------------------------------------------------------------------------- */

static void assert_same_codes(struct bed *a, struct bed *b)
{
    for (int i = 0; i < LAYERS; i++) {
        const struct srq_codes *c = srq_tuner_codes(a->tuner, i), *d = srq_tuner_codes(b->tuner, i);

        assert_memory_equal(c->codes, d->codes, (size_t)(c->groups.out * c->groups.in));
        assert_memory_equal(c->scale, d->scale, (size_t)c->groups.count * sizeof(float));
        assert_memory_equal(c->zero, d->zero, (size_t)c->groups.count);
    }
}

static void check_resume(const char *scheme, const char *const *settings, int64_t stop_at)
{
    struct bed *a = bed_open(scheme, settings), *b = bed_open(scheme, settings);
    struct srq_tune_events e = events_of(b);
    struct srq_tune_outcome whole, parts;
    struct srq_error err = { 0 };

    assert_ok(tune(a, &whole, &err), &err);
    b->stop_at = stop_at;
    assert_int_equal(tune(b, &parts, &err), -SRQ_ECANCELED);
    srq_tuner_free(b->tuner);
    b->tuner = NULL;
    b->stop_at = -1;
    make_tuner(b);
    assert_ok(srq_block_load(b->block, 0, &err), &err);
    assert_ok(tune_from(b, (struct srq_part){ b->saved, b->saved_len }, &e, &parts, &err), &err);
    assert_same_codes(a, b);
    assert_true(whole.loss_first == parts.loss_first && whole.loss_best == parts.loss_best);
    assert_int_equal(whole.best_iter, parts.best_iter);
    assert_int_equal(a->points, b->points);
    assert_int_equal(a->probes, b->probes);
    for (int i = 0; i < LAYERS; i++)
        assert_true(whole.error_first[i] == parts.error_first[i] && whole.error_best[i] == parts.error_best[i]);
    bed_close(a);
    bed_close(b);
}

static void resumed_equals_undisturbed(void **state)
{
    (void)state;
    check_resume("w2g64", (const char *const[]){ "iters", "12", NULL }, 7);
    check_resume("w2g64", (const char *const[]){ "iters", "12", NULL }, 10);
    check_resume("w2g64", (const char *const[]){ "iters", "12", NULL }, 0);
}

static void resumed_equals_undisturbed_with_momentum_and_accumulation(void **state)
{
    (void)state;
    check_resume("w3gtz", (const char *const[]){ "iters", "8", "momentum", "0.9", "accum", "2", NULL }, 3);
    check_resume("w3", (const char *const[]){ "iters", "8", "keep_best", "no", "minmax", "no", NULL }, 5);
}

static void resumed_equals_undisturbed_with_searched_scales(void **state)
{
    (void)state;
    check_resume("w2g64", (const char *const[]){ "iters", "11", "alg_ext", "yes", NULL }, 7);
    check_resume("w3gt", (const char *const[]){ "iters", "6", "alg_ext", "yes", "momentum", "0.9", "accum", "2", NULL },
                 3);
}

static void a_state_can_be_saved_after_the_stop_too(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "9", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    struct srq_tuner_state parts;
    void *again;

    (void)state;
    b->stop_at = 3;
    assert_refused(tune(b, &out, &err), -SRQ_ECANCELED, &err, "before iteration 3");
    assert_ok(srq_tuner_save(b->tuner, &parts, &err), &err);
    again = in_one(&parts);
    assert_int_equal(parts.len, b->saved_len);
    assert_memory_equal(again, b->saved, parts.len);
    srq_free(again);
    b->stop_at = -1;
    b->points = 0;
    assert_ok(tune(b, &out, &err), &err);
    assert_refused(srq_tuner_save(b->tuner, &parts, &err), -SRQ_ESTATE, &err, "no block");
    bed_close(b);
}

static void cut_and_foreign_checkpoints_are_refused(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "9", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    struct srq_tune_task second;
    uint8_t *bytes;

    (void)state;
    b->stop_at = 2;
    assert_int_equal(tune(b, &out, &err), -SRQ_ECANCELED);
    bytes = b->saved;
    second = (struct srq_tune_task){ 1, b->block, b->schemes, &b->io, { bytes, b->saved_len }, NULL };
    assert_refused(tune_from(b, (struct srq_part){ bytes, 10 }, NULL, &out, &err), -SRQ_EFORMAT, &err, "too short");
    assert_refused(tune_from(b, (struct srq_part){ bytes, b->saved_len - 8 }, NULL, &out, &err), -SRQ_EDRIFT, &err,
                   "another block, plan or set of options");
    bytes[0] ^= 1;
    assert_refused(tune_from(b, (struct srq_part){ bytes, b->saved_len }, NULL, &out, &err), -SRQ_EFORMAT, &err,
                   "are no tuner's checkpoint");
    bytes[0] ^= 1;
    assert_ok(srq_scheme_parse("w3g64", &b->schemes[1], &err), &err);
    assert_refused(tune_from(b, (struct srq_part){ bytes, b->saved_len }, NULL, &out, &err), -SRQ_EDRIFT, &err,
                   "another block, plan or set of options");
    assert_ok(srq_scheme_parse("w4g64", &b->schemes[1], &err), &err);
    assert_refused(srq_tuner_run(b->tuner, &second, &out, &err), -SRQ_EDRIFT, &err, "another block");
    bed_close(b);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void the_loop_allocates_nothing_after_its_first_iteration(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "12", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    int rc;

    (void)state;
    b->counting = true;
    rc = tune(b, &out, &err);
    srq_set_alloc_hook(NULL, NULL);
    assert_ok(rc, &err);
    assert_int_equal(b->allocations, 0);
    bed_close(b);
}

struct largest {
    size_t sizes[64];
    int count;
};

static bool note_size(size_t size, void *ctx)
{
    struct largest *l = ctx;

    if (l->count < 64 && size > 65536)
        l->sizes[l->count++] = size;
    return true;
}

static void the_plan_is_what_is_allocated(void **state)
{
    struct bed *b = bed_open("w4g64", (const char *const[]){ "iters", "12", NULL });
    struct srq_memory_rows plan = { .count = 0 };
    struct srq_error err = { 0 };
    struct largest seen = { 0 };
    uint64_t v = 0, block = srq_block_bytes(b->model, SRQ_F32);
    int large = 0;

    (void)state;
    assert_ok(srq_tuner_footprint(&b->cfg, &plan, &err), &err);
    srq_set_alloc_hook(note_size, &seen);
    make_tuner(b);
    srq_set_alloc_hook(NULL, NULL);
    for (int i = 0; i < plan.count; i++) {
        int found = 0;

        large += plan.row[i].bytes > 65536;
        for (int k = 0; k < seen.count; k++)
            found += seen.sizes[k] == plan.row[i].bytes;
        if (plan.row[i].bytes > 65536 && found == 0)
            fail_msg("row \"%s\" of %llu bytes is no allocation", plan.row[i].name,
                     (unsigned long long)plan.row[i].bytes);
        if (strcmp(plan.row[i].name, "tuner: parameters") == 0)
            v = plan.row[i].bytes;
    }
    for (int k = 0; k < seen.count; k++) /* and nothing else of size, but the block that measuring looks at */
        large -= seen.sizes[k] != block;
    assert_int_equal(large, 0);
    /* V and two range factors a group, for all weights of a block: 4 (1 + 2/64) bytes each */
    assert_true(fabs((double)v / (double)(block / 4) - 4.125) < 0.02);
    bed_close(b);
}

static void a_plan_with_smaller_groups_is_over_the_limit(void **state)
{
    struct bed *b = bed_open("w4g128", (const char *const[]){ "iters", "3", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    make_tuner(b);
    assert_ok(srq_scheme_parse("w4g32", &b->schemes[3], &err), &err);
    assert_refused(tune(b, &out, &err), -SRQ_ELIMIT, &err, "were planned");
    assert_ok(srq_scheme_parse("w3g128", &b->schemes[3], &err), &err);
    assert_ok(tune(b, &out, &err), &err);
    assert_int_equal(srq_tuner_codes(b->tuner, 3)->scheme.bits, 3);
    bed_close(b);
}

static void leaving_errors_out_has_to_be_planned(void **state)
{
    struct bed *b = bed_open("w4g128", (const char *const[]){ "iters", "3", "alg_ext", "yes", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    make_tuner(b);
    assert_ok(srq_scheme_parse("w3g128", &b->schemes[3], &err), &err);
    assert_refused(tune(b, &out, &err), -SRQ_ELIMIT, &err, "tuner: activations");
    srq_tuner_free(b->tuner);
    b->tuner = NULL;
    assert_ok(tune(b, &out, &err), &err);
    b->io.importance = NULL;
    assert_refused(tune(b, &out, &err), -SRQ_EINVAL, &err,
                   "signround needs the importance of the inputs of model.layers.0");
    bed_close(b);
}

static void more_data_than_planned_is_over_the_limit(void **state)
{
    struct bed *b = bed_open("w4g128", (const char *const[]){ "iters", "3", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    b->cfg.nsamples = SAMPLES - 1;
    assert_refused(tune(b, &out, &err), -SRQ_ELIMIT, &err, "12 samples of 48 tokens in F32, and 11 of 48");
    b->io.nsamples = SAMPLES - 1;
    assert_ok(tune(b, &out, &err), &err);
    bed_close(b);
}

/* ---- other arithmetic -------------------------------------------------------------------------------------------- */

static void blocks_can_compute_in_bf16(void **state)
{
    struct bed *b = bed_open("w2g64", (const char *const[]){ "iters", "12", NULL });
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };

    (void)state;
    srq_block_free(b->block);
    b->cfg.compute = SRQ_BF16;
    assert_ok(srq_block_create(b->model, SRQ_BF16, &b->block, &err), &err);
    assert_ok(srq_block_load(b->block, 0, &err), &err);
    assert_ok(tune(b, &out, &err), &err);
    assert_true(out.loss_best < 0.9 * out.loss_first);
    bed_close(b);
}

/* ---- a layer outside the blocks ---------------------------------------------------------------------------------- */

/* Mean squared error of the head's output on the probe samples, computed here in double. */
static double head_loss(const struct bed *b, const struct srq_tensor *w, const float *fake, const float *xq,
                        const float *xf)
{
    int64_t out = w->shape[0], in = w->shape[1], n = 0;
    float *full = srq_calloc((size_t)(out * in), sizeof(float));
    double sum = 0;

    assert_int_equal(srq_convert(w->data, w->dtype, full, SRQ_F32, out * in), 0);
    for (int64_t p = 0; p < PROBES; p++) {
        for (int64_t i = 0; i < SEQ; i++) {
            int64_t token = (p * b->io.nsamples / PROBES) * SEQ + i;

            for (int64_t o = 0; o < out; o++, n++) {
                double d = 0;

                for (int64_t k = 0; k < in; k++)
                    d += (double)xq[token * in + k] * (double)fake[o * in + k] -
                         (double)xf[token * in + k] * (double)full[o * in + k];
                sum += d * d;
            }
        }
    }
    srq_free(full);
    return sum / (double)n;
}

static void an_untied_head_is_tuned_alone(void **state)
{
    char *folder = folder_of("llama-default");
    struct bed *b = bed_open_folder(folder, "w2g32", (const char *const[]){ "iters", "40", NULL });
    int head = srq_model_layer_count(b->model) - 1;
    const struct srq_layer_info *info = srq_model_layer(b->model, head);
    size_t n = (size_t)(SAMPLES * SEQ * info->in);
    float *xq = srq_calloc(n, sizeof(float)), *xf = srq_calloc(n, sizeof(float)), *fake;
    struct srq_block_io io = { .dtype = SRQ_F32, .nsamples = SAMPLES, .seq = SEQ, .input = { xq }, .target = { xf } };
    struct srq_tune_task task = { info->unit, NULL, b->schemes, &io, { NULL, 0 }, NULL };
    struct srq_tune_outcome out;
    struct srq_error err = { 0 };
    struct srq_tensor w;

    (void)state;
    b->folder = folder;
    assert_int_equal(info->block, -1);
    for (size_t i = 0; i < n; i++) { /* correlated between the chains */
        xf[i] = (float)(srq_rng_uniform(21, 1, i / 3) - 0.5);
        xq[i] = xf[i] + 0.02f * (float)(srq_rng_uniform(21, 2, i) - 0.5);
    }
    make_tuner(b);
    assert_ok(srq_tuner_run(b->tuner, &task, &out, &err), &err);
    assert_true(out.loss_best < 0.9 * out.loss_first);
    assert_true(out.error_best[0] < out.error_first[0]);
    assert_ok(srq_model_weight(b->model, head, &w, &err), &err);
    fake = srq_calloc((size_t)(info->out * info->in), sizeof(float));
    assert_ok(srq_codes_decode(srq_tuner_codes(b->tuner, 0), fake, SRQ_F32, &err), &err);
    assert_true(fabs(head_loss(b, &w, fake, xq, xf) / out.loss_best - 1) < 1e-4);
    b->schemes[head] = srq_scheme_none();
    assert_refused(srq_tuner_run(b->tuner, &task, &out, &err), -SRQ_EINVAL, &err, "no layer that is to be quantized");
    task.unit++;
    assert_refused(srq_tuner_run(b->tuner, &task, &out, &err), -SRQ_EINVAL, &err, "of a model with");
    srq_free(xq);
    srq_free(xf);
    srq_free(fake);
    bed_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_iterations_at_two_bits_beat_plain_rounding),
        cmocka_unit_test(searched_scales_end_with_a_smaller_loss),
        cmocka_unit_test(codes_decode_to_the_weights_in_the_block),
        cmocka_unit_test(a_layer_left_alone_has_no_codes_and_keeps_its_weight),
        cmocka_unit_test(no_iterations_round_plainly),
        cmocka_unit_test(a_worse_result_rolls_back_to_plain_rounding),
        cmocka_unit_test(steps_shrink_as_asked_for),
        cmocka_unit_test(the_last_iterate_is_kept_where_asked_for),
        cmocka_unit_test(patience_ends_a_block_that_does_not_improve),
        cmocka_unit_test(what_is_masked_does_not_matter),
        cmocka_unit_test(resumed_equals_undisturbed),
        cmocka_unit_test(resumed_equals_undisturbed_with_momentum_and_accumulation),
        cmocka_unit_test(resumed_equals_undisturbed_with_searched_scales),
        cmocka_unit_test(a_state_can_be_saved_after_the_stop_too),
        cmocka_unit_test(cut_and_foreign_checkpoints_are_refused),
        cmocka_unit_test(the_loop_allocates_nothing_after_its_first_iteration),
        cmocka_unit_test(the_plan_is_what_is_allocated),
        cmocka_unit_test(a_plan_with_smaller_groups_is_over_the_limit),
        cmocka_unit_test(leaving_errors_out_has_to_be_planned),
        cmocka_unit_test(more_data_than_planned_is_over_the_limit),
        cmocka_unit_test(blocks_can_compute_in_bf16),
        cmocka_unit_test(an_untied_head_is_tuned_alone),
    };

    return cmocka_run_group_tests_name("tuner", tests, math_start, math_stop);
}
