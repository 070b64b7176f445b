/* Calibration samples with words drawn anew: what stays, how much changes, that words follow the model's
 * distribution. */
#include "tests/unit/test.h"
#include "tests/unit/math_start.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/tune/resample.h"
#include "core/flow/walk.h"

#include <math.h>

#define SEQ 32
#define SAMPLES 12
#define COPIES 3
#define TOKENS (SAMPLES * SEQ)

static struct srq_model *open_demo(void)
{
    const char *top = getenv("top_srcdir");
    char *folder = srq_asprintf("%s/share/models/demo-lm", top != NULL ? top : ".");
    struct srq_model *m;
    struct srq_error err = { 0 };

    assert_ok(srq_model_open(folder, true, &m, &err), &err);
    srq_free(folder);
    return m;
}

static struct srq_samples some_samples(const struct srq_model *m, bool padded)
{
    struct srq_samples s = { .count = SAMPLES, .seqlen = SEQ };
    struct srq_error err = { 0 };

    s.ids = srq_calloc(TOKENS, sizeof(*s.ids));
    s.mask = padded ? srq_calloc(TOKENS, 1) : NULL;
    for (int64_t i = 0; i < TOKENS; i++) {
        s.ids[i] = (int32_t)(srq_rng_uniform(11, 3, (uint64_t)i) * (double)srq_model_info(m)->vocab);
        if (padded)
            s.mask[i] = i % SEQ < SEQ / 2;
    }
    assert_ok(srq_resample_extend(&s, COPIES, &err), &err);
    assert_int_equal(s.count, SAMPLES * (1 + COPIES));
    return s;
}

static struct srq_resample_config config(const struct srq_model *m, uint64_t seed, int64_t batch)
{
    return (struct srq_resample_config){
        .model = m, .nsamples = SAMPLES, .seq = SEQ, .batch = batch, .copies = COPIES, .seed = seed, .compute = SRQ_F32
    };
}

static void draw(const struct srq_model *m, struct srq_samples *s, uint64_t seed)
{
    struct srq_resample_config cfg = config(m, seed, 5); /* the last batch is a smaller one */
    struct srq_error err = { 0 };

    assert_ok(srq_resample_run(&cfg, s, NULL, NULL, &err), &err);
}

static void test_copies(void **state)
{
    (void)state;
    assert_int_equal(srq_resample_copies(0, 4, 16), 0);
    assert_int_equal(srq_resample_copies(64, 4, 16), 0);
    assert_int_equal(srq_resample_copies(65, 4, 16), 1);
    assert_int_equal(srq_resample_copies(128, 4, 16), 1);
    assert_int_equal(srq_resample_copies(129, 4, 16), 2);
    assert_int_equal(srq_resample_copies(1 << 30, 4, 16), SRQ_RESAMPLE_MOST);
    assert_int_equal(srq_resample_copies(100, 0, 16), 0);
}

/* The samples themselves stay, so do the first words of copies; of the others about six in ten are drawn. The same seed
 * draws the same, another does not. */
static void test_what_changes(void **state)
{
    struct srq_model *m = open_demo();
    struct srq_samples a = some_samples(m, false), b = some_samples(m, false), c = some_samples(m, false),
                       was = some_samples(m, false);
    int64_t changed = 0, places = 0, other = 0;

    (void)state;
    draw(m, &a, 1);
    draw(m, &b, 1);
    draw(m, &c, 2);
    assert_memory_equal(a.ids, was.ids, TOKENS * sizeof(*a.ids));
    assert_memory_equal(a.ids, b.ids, (1 + COPIES) * TOKENS * sizeof(*a.ids));
    for (int64_t i = TOKENS; i < (1 + COPIES) * TOKENS; i++) {
        assert_in_range(a.ids[i], 0, srq_model_info(m)->vocab - 1);
        if (i % SEQ == 0) {
            assert_int_equal(a.ids[i], was.ids[i]);
            continue;
        }
        places++;
        changed += a.ids[i] != was.ids[i];
        other += a.ids[i] != c.ids[i];
    }
    assert_true(changed > places * 55 / 100 && changed < places * 65 / 100);
    assert_true(other > places / 2);
    srq_samples_fini(&a);
    srq_samples_fini(&b);
    srq_samples_fini(&c);
    srq_samples_fini(&was);
    srq_model_close(m);
}

static void test_padding_stays(void **state)
{
    struct srq_model *m = open_demo();
    struct srq_samples s = some_samples(m, true), was = some_samples(m, true);
    int64_t changed = 0;

    (void)state;
    draw(m, &s, 1);
    for (int64_t i = 0; i < (1 + COPIES) * TOKENS; i++) {
        assert_int_equal(s.mask[i], i % SEQ < SEQ / 2);
        if (s.mask[i] == 0)
            assert_int_equal(s.ids[i], was.ids[i]);
        changed += s.ids[i] != was.ids[i];
    }
    assert_true(changed > TOKENS / 2);
    srq_samples_fini(&s);
    srq_samples_fini(&was);
    srq_model_close(m);
}

/* Logits of all tokens of the samples, one sample after the other. */
static float *all_logits(const struct srq_model *m, const struct srq_samples *s)
{
    int64_t vocab = srq_model_info(m)->vocab;
    float *logits;
    const struct srq_walk_config config = { m, SRQ_F32, SRQ_F32, 1, SEQ, .backward = false };
    const struct srq_states_config of = { m, SRQ_F32, 1, SEQ, false, NULL };
    struct srq_states *states;
    struct srq_walk *walk;
    struct srq_head *head;
    struct srq_error err = { 0 };

    logits = srq_calloc((size_t)(TOKENS * vocab), sizeof(*logits));
    assert_ok(srq_walk_create(&config, &walk, &err), &err);
    assert_ok(srq_states_create(&of, &states, &err), &err);
    assert_ok(srq_head_create(m, &head, &err), &err);
    for (int64_t k = 0; k < SAMPLES; k++) {
        assert_ok(srq_walk_model(walk, states, s->ids + k * SEQ, 1, NULL, NULL, &err), &err);
        assert_ok(srq_head_logits(head, srq_states_final(states, 0), SRQ_F32, SEQ, logits + k * SEQ * vocab, &err),
                  &err);
    }
    srq_head_free(head);
    srq_walk_free(walk);
    srq_states_free(states);
    return logits;
}

/* Over many places the mean of log p of what was drawn is the mean of Σ p log p: minus the entropy. */
static void test_words_follow_the_model(void **state)
{
    struct srq_model *m = open_demo();
    struct srq_samples s = some_samples(m, false), was = some_samples(m, false);
    int64_t vocab = srq_model_info(m)->vocab, n = 0;
    float *logits = all_logits(m, &s);
    double drawn = 0, expected = 0, spread = 0;

    (void)state;
    draw(m, &s, 7);
    for (int64_t i = TOKENS; i < (1 + COPIES) * TOKENS; i++) {
        int64_t place = i % TOKENS;
        const float *row = logits + (place - 1) * vocab;
        double most = -INFINITY, sum = 0, mean = 0, square = 0;

        if (i % SEQ == 0 || s.ids[i] == was.ids[i])
            continue;
        for (int64_t w = 0; w < vocab; w++)
            most = fmax(most, (double)row[w]);
        for (int64_t w = 0; w < vocab; w++)
            sum += exp((double)row[w] - most);
        for (int64_t w = 0; w < vocab; w++) {
            double p = exp((double)row[w] - most) / sum, log_p = (double)row[w] - most - log(sum);

            mean += p * log_p;
            square += p * log_p * log_p;
        }
        drawn += (double)row[s.ids[i]] - most - log(sum);
        expected += mean;
        spread += square - mean * mean;
        n++;
    }
    assert_true(n > 500);
    assert_true(fabs(drawn - expected) < 4 * sqrt(spread)); /* of sums, both over n places */
    srq_free(logits);
    srq_samples_fini(&s);
    srq_samples_fini(&was);
    srq_model_close(m);
}

static int stop_late(void *ctx, int64_t done, int64_t all)
{
    int *calls = ctx;

    (*calls)++;
    return done + 1 >= all ? -SRQ_ECANCELED : 0;
}

static void test_stops_and_refuses(void **state)
{
    struct srq_model *m = open_demo();
    struct srq_samples s = some_samples(m, false);
    struct srq_resample_config cfg = config(m, 1, 5);
    struct srq_error err = { 0 };
    int calls = 0;

    (void)state;
    assert_int_equal(srq_resample_run(&cfg, &s, stop_late, &calls, &err), -SRQ_ECANCELED);
    assert_int_equal(calls, srq_model_info(m)->blocks * ((SAMPLES + 4) / 5) + 1); /* a batch each, and the words */
    cfg.copies = COPIES - 1;
    assert_int_equal(srq_resample_run(&cfg, &s, NULL, NULL, &err), -SRQ_EINVAL);
    assert_non_null(strstr(err.text, "have no room for 2 copies of 12"));
    srq_samples_fini(&s);
    srq_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_what_changes),
        cmocka_unit_test(test_padding_stays),
        cmocka_unit_test(test_words_follow_the_model),
        cmocka_unit_test(test_stops_and_refuses),
    };

    return cmocka_run_group_tests_name("resample", tests, math_start, math_stop);
}
