/* Scores of pictures: the features network against PyTorch, Fréchet distances against SciPy, PSNR and SSIM against
 * scikit-image, and what holds of them whatever the figures are. */
#include "tests/unit/folder.h"

#include "core/base/alloc.h"
#include "core/base/rng.h"
#include "core/eval/bootstrap.h"
#include "core/eval/features.h"
#include "core/eval/frechet.h"
#include "core/eval/picture_scores.h"
#include "core/format/tensors.h"
#include "core/math/symmetric.h"
#include "core/math/team.h"

#include <math.h>

#define PICTURE 784

static struct srq_error err;

static const char *top_srcdir(void)
{
    const char *top = getenv("top_srcdir");

    return top != NULL ? top : ".";
}

/* As the script that made the reference does it. */
static void wave(float *out, int count, double stride, double bend)
{
    for (int i = 0; i < count; i++)
        out[i] = (float)sin(stride * i + bend * i * i);
}

/* The k-th line of the reference that begins with `name`; what follows it. */
static char *reference(const char *name, int k, char *line, size_t cap)
{
    char path[1024];
    FILE *f;

    snprintf(path, sizeof(path), "%s/tests/reference/picture_scores_reference.txt", top_srcdir());
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, (int)cap, f) != NULL) {
        if (strncmp(line, name, strlen(name)) != 0 || k-- > 0)
            continue;
        fclose(f);
        return line + strlen(name);
    }
    fclose(f);
    return NULL;
}

static void assert_near(double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound * (1 + fabs(want))))
        fail_msg("%.12g, not %.12g", got, want);
}

/* ---- features ---------------------------------------------------------------------------------------------------- */

static struct srq_features *shipped_network(void)
{
    struct srq_features *f;
    char path[1024];

    snprintf(path, sizeof(path), "%s/share/models/demo-features/model.safetensors", top_srcdir());
    assert_ok(srq_features_open(path, &f, &err), &err);
    return f;
}

static void features_are_those_of_pytorch(void **state)
{
    struct srq_features *f = shipped_network();
    float pictures[3 * PICTURE], got[3 * 64];
    const struct srq_picture_batch batch = { pictures, 3, 28, 28, 1 };
    char line[4096];
    int positive = 0;

    (void)state;
    assert_int_equal(srq_features_count(f), 64);
    wave(pictures, 3 * PICTURE, 0.05, 2e-5);
    assert_ok(srq_features_run(f, &batch, got, &err), &err);
    for (int i = 0; i < 3; i++) {
        char *rest = reference("features", i, line, sizeof(line));

        assert_non_null(rest);
        for (int k = 0; k < 64; k++) {
            double want = strtod(rest, &rest);

            positive += want > 0;
            assert_near((double)got[i * 64 + k], want, 1e-5);
        }
    }
    assert_true(positive > 40);
    srq_features_close(f);
}

static void features_do_not_depend_on_the_batch_or_the_team(void **state)
{
    enum { N = 9 };
    struct srq_features *f = shipped_network();
    float *pictures = malloc(N * PICTURE * sizeof(*pictures)), whole[N * 64], part[N * 64];

    (void)state;
    assert_non_null(pictures);
    wave(pictures, N * PICTURE, 0.03, 1e-5);
    assert_ok(srq_features_run(f, &(struct srq_picture_batch){ pictures, N, 28, 28, 1 }, whole, &err), &err);
    for (int threads = 1; threads <= 2; threads++) {
        assert_ok(srq_team_start(threads, &err), &err);
        for (int at = 0; at < N; at += 4) {
            int n = at + 4 < N ? 4 : N - at;
            const struct srq_picture_batch batch = { pictures + at * PICTURE, n, 28, 28, 1 };

            assert_ok(srq_features_run(f, &batch, part + at * 64, &err), &err);
        }
        assert_memory_equal(part, whole, sizeof(whole));
    }
    free(pictures);
    srq_features_close(f);
}

static void pictures_of_another_size_are_refused(void **state)
{
    static const int64_t sizes[][3] = { { 32, 32, 1 }, { 28, 28, 3 }, { 0, 28, 1 }, { INT64_MAX, INT64_MAX, 1 } };
    struct srq_features *f = shipped_network();
    float out[64];

    (void)state;
    for (int i = 0; i < 4; i++) {
        const struct srq_picture_batch batch = { NULL, 1, sizes[i][0], sizes[i][1], sizes[i][2] };

        assert_refused(srq_features_run(f, &batch, out, &err), -SRQ_EFORMAT, &err, "is not for pictures of");
    }
    srq_features_close(f);
}

/* A network with one tensor of another shape, or without it. */
static void make_network(struct folder *d, const char *odd, int rank, const int64_t *odd_shape, float value)
{
    static const struct {
        const char *name;
        int rank;
        int64_t shape[4];
    } rows[] = {
        { "conv1.weight", 4, { 2, 1, 3, 3 } }, { "conv1.bias", 1, { 2 } },
        { "conv2.weight", 4, { 3, 2, 3, 3 } }, { "conv2.bias", 1, { 3 } },
        { "fc1.weight", 2, { 5, 12 } },        { "fc1.bias", 1, { 5 } },
    };
    struct srq_tensor_writer *w;
    float data[128];

    for (int i = 0; i < 128; i++)
        data[i] = value;
    assert_ok(srq_writer_create(d->path, "model", 0, &w, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            bool is_odd = odd != NULL && strcmp(odd, rows[i].name) == 0;
            const int64_t *shape = is_odd ? odd_shape : rows[i].shape;
            int n = is_odd ? rank : rows[i].rank;
            size_t bytes = sizeof(float);

            if (is_odd && rank == 0)
                continue;
            for (int k = 0; k < n; k++)
                bytes *= (size_t)shape[k];
            if (pass == 0)
                assert_ok(srq_writer_declare(w, rows[i].name, SRQ_F32, n, shape, &err), &err);
            else
                assert_ok(srq_writer_put(w, rows[i].name, 0, data, bytes, &err), &err);
        }
        if (pass == 0)
            assert_ok(srq_writer_begin(w, &err), &err);
    }
    assert_ok(srq_writer_finish(w, &err), &err);
    srq_writer_free(w);
    folder_file(d, "model.safetensors");
}

static void networks_that_do_not_fit_together_are_refused(void **state)
{
    static const struct {
        const char *odd;
        int rank;
        int64_t shape[4];
        const char *part;
    } rows[] = {
        { "conv1.weight", 0, { 0 }, "conv1.weight is missing" },
        { "conv2.bias", 0, { 0 }, "conv2.bias is missing" },
        { "fc1.weight", 0, { 0 }, "fc1.weight is missing" },
        { "conv1.weight", 2, { 2, 9 }, "conv1.weight is not of 4 dimensions" },
        { "conv1.weight", 4, { 2, 1, 2, 2 }, "conv1.weight has a kernel" },
        { "conv1.weight", 4, { 2, 1, 3, 1 }, "conv1.weight has a kernel" },
        { "conv2.weight", 4, { 3, 1, 3, 3 }, "conv2.weight does not take what" },
        { "conv1.bias", 1, { 3 }, "conv1.weight has another number" },
        { "fc1.weight", 2, { 5, 13 }, "fc1.weight does not take what" },
    };
    struct srq_features *f;
    struct folder d;
    float picture[35] = { 0 }, out[5];

    (void)state;
    folder_make(&d);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make_network(&d, rows[i].odd, rows[i].rank, rows[i].shape, 0);
        assert_refused(srq_features_open(d.file, &f, &err), -SRQ_EFORMAT, &err, rows[i].part);
        assert_null(f);
    }
    make_network(&d, NULL, 0, NULL, NAN);
    assert_refused(srq_features_open(d.file, &f, &err), -SRQ_EFORMAT, &err, "not finite");
    make_network(&d, NULL, 0, NULL, 1);
    assert_ok(srq_features_open(d.file, &f, &err), &err); /* 7 x 5 pixels become 4 x 3, then 2 x 2 of 3 channels */
    assert_ok(srq_features_run(f, &(struct srq_picture_batch){ picture, 1, 5, 7, 1 }, out, &err), &err);
    /* A black picture leaves 1, the bias, everywhere. Of the second kernel's taps 4 lie inside on the left and 6 on the
     * right, in both rows: 2 * 4 + 1 and 2 * 6 + 1. Two of each in 3 channels, and 1. */
    for (int k = 0; k < 5; k++)
        assert_true(out[k] == 133);
    srq_features_close(f);
    folder_remove(&d);
}

/* ---- Fréchet distance -------------------------------------------------------------------------------------------- */

static void frechet_distances_are_those_of_scipy(void **state)
{
    char line[256];
    int k = 0;

    (void)state;
    for (char *rest; (rest = reference("frechet", k, line, sizeof(line))) != NULL; k++) {
        int na = (int)strtol(rest, &rest, 10), nb = (int)strtol(rest, &rest, 10), d = (int)strtol(rest, &rest, 10);
        float *a = malloc((size_t)(na * d) * sizeof(*a)), *b = malloc((size_t)(nb * d) * sizeof(*b));
        double got;

        assert_true(a != NULL && b != NULL);
        wave(a, na * d, 0.7, 0.013);
        wave(b, nb * d, 1.1, 0.017);
        for (int i = 0; i < nb * d; i++)
            b[i] = 0.6f * b[i] + 0.1f;
        assert_ok(srq_frechet(a, na, b, nb, d, &got, &err), &err);
        assert_near(got, strtod(rest, &rest), 1e-6);
        free(a);
        free(b);
    }
    assert_int_equal(k, 4);
}

/* Equal sets, sets that are only moved, and sets whose every feature is independent have distances that are known. */
static void frechet_distances_follow_their_definition(void **state)
{
    float a[4 * 3], b[4 * 3];
    double got;

    (void)state;
    wave(a, 12, 1.3, 0.4);
    assert_ok(srq_frechet(a, 4, a, 4, 3, &got, &err), &err);
    assert_true(got < 1e-7);
    for (int i = 0; i < 12; i++)
        b[i] = a[i] + (i % 3 == 1 ? 2 : 0);
    assert_ok(srq_frechet(a, 4, b, 4, 3, &got, &err), &err);
    assert_near(got, 4, 1e-6);
    for (int i = 0; i < 12; i++) /* standard deviations of one feature, 1 and 3 times */
        a[i] = i % 3 == 0 ? (i < 6 ? 1.0f : -1.0f) : 5, b[i] = i % 3 == 0 ? 3 * a[i] : 5;
    assert_ok(srq_frechet(a, 4, b, 4, 3, &got, &err), &err);
    assert_near(got, 4 * 4.0 / 3, 1e-6);
    assert_refused(srq_frechet(a, 1, b, 4, 3, &got, &err), -SRQ_EINVAL, &err, "1 pictures in the first set");
    b[7] = NAN;
    assert_refused(srq_frechet(a, 4, b, 4, 3, &got, &err), -SRQ_ENUMERIC, &err, "feature 1 of picture 2 in the second");
}

static void eigenvectors_give_the_matrix_back(void **state)
{
    enum { N = 7 };
    double a[N * N], v[N * N], values[N];

    (void)state;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i * N + j] = v[i * N + j] = cos(1.7 * (i + 1) * (j + 1)) + (i == j);
    assert_ok(srq_symmetric_eigen(v, N, values, &err), &err);
    for (int i = 0; i < N; i++) {
        assert_true(i == 0 || values[i] >= values[i - 1]);
        for (int j = 0; j < N; j++) {
            double sum = 0;

            for (int k = 0; k < N; k++)
                sum += values[k] * v[k * N + i] * v[k * N + j];
            assert_near(sum, a[i * N + j], 1e-12);
        }
    }
    v[3] = INFINITY;
    assert_refused(srq_symmetric_eigen(v, N, values, &err), -SRQ_ENUMERIC, &err, "not finite");
    assert_refused(srq_symmetric_eigen(v, 0, values, &err), -SRQ_ELIMIT, &err, "0 rows");
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static void pairs_score_as_in_scikit_image(void **state)
{
    char line[256];
    int k = 0;

    (void)state;
    for (char *rest; (rest = reference("pair", k, line, sizeof(line))) != NULL; k++) {
        int h = (int)strtol(rest, &rest, 10), w = (int)strtol(rest, &rest, 10), c = (int)strtol(rest, &rest, 10);
        float a[2048], b[2048];
        double similar;

        assert_true(h * w * c <= 2048);
        wave(a, h * w * c, 0.11, 1e-4);
        wave(b, h * w * c, 0.9, 3e-4);
        for (int i = 0; i < h * w * c; i++)
            b[i] = a[i] + 0.2f * b[i];
        assert_near(srq_picture_psnr(srq_picture_mse(a, b, h * w * c)), strtod(rest, &rest), 1e-6);
        assert_near(srq_sqnr(a, b, h * w * c), strtod(rest, &rest), 1e-6);
        assert_ok(srq_picture_ssim(a, b, h, w, c, &similar, &err), &err);
        assert_near(similar, strtod(rest, &rest), 1e-6);
    }
    assert_int_equal(k, 3);
}

static void equal_pictures_have_perfect_scores(void **state)
{
    float a[15 * 12];
    double similar;

    (void)state;
    wave(a, 15 * 12, 0.3, 1e-3);
    assert_true(srq_picture_mse(a, a, 180) == 0 && srq_picture_mse(a, a, 0) == 0);
    assert_true(isinf(srq_picture_psnr(0)) && isinf(srq_sqnr(a, a, 180)));
    assert_ok(srq_picture_ssim(a, a, 15, 12, 1, &similar, &err), &err);
    assert_near(similar, 1, 1e-12);
    assert_refused(srq_picture_ssim(a, a, 18, 10, 1, &similar, &err), -SRQ_EINVAL, &err, "10 x 18 pixels are smaller");
}

/* ---- intervals --------------------------------------------------------------------------------------------------- */

/* The interval of a mean of many values is the normal one; and it holds the true mean in 95 of 100 sets. */
static void intervals_cover_the_mean(void **state)
{
    enum { N = 200, SETS = 300 };
    int covered = 0;

    (void)state;
    for (int set = 0; set < SETS; set++) {
        double values[N], mean = 0, var = 0;
        struct srq_interval got, again;

        for (int i = 0; i < N; i++)
            values[i] = srq_rng_uniform(9, (uint64_t)set, (uint64_t)i);
        for (int i = 0; i < N; i++)
            mean += values[i] / N;
        for (int i = 0; i < N; i++)
            var += (values[i] - mean) * (values[i] - mean) / N;
        assert_ok(srq_bootstrap_mean(values, N, 400, 5, &got, &err), &err);
        assert_near(got.mean, mean, 1e-12);
        assert_true(fabs((got.high - got.low) / (2 * 1.96 * sqrt(var / N)) - 1) < 0.2);
        covered += got.low <= 0.5 && got.high >= 0.5;
        assert_ok(srq_bootstrap_mean(values, N, 400, 5, &again, &err), &err);
        assert_true(again.low == got.low && again.high == got.high);
    }
    assert_true(covered > SETS * 0.95 - 4 * sqrt(SETS * 0.95 * 0.05) && covered <= SETS);
}

static void values_without_an_interval_are_refused(void **state)
{
    double values[3] = { 1, 1, 1 };
    struct srq_interval got;

    (void)state;
    assert_ok(srq_bootstrap_mean(values, 3, 100, 1, &got, &err), &err);
    assert_true(got.mean == 1 && got.low == 1 && got.high == 1);
    assert_refused(srq_bootstrap_mean(values, 0, 100, 1, &got, &err), -SRQ_EINVAL, &err, "0 values");
    assert_refused(srq_bootstrap_mean(values, 3, 0, 1, &got, &err), -SRQ_EINVAL, &err, "0 draws");
    values[1] = INFINITY;
    assert_refused(srq_bootstrap_mean(values, 3, 100, 1, &got, &err), -SRQ_ENUMERIC, &err, "value 1 of 3");
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static int allocations;

static bool fail_at(size_t size, void *ctx)
{
    (void)size;
    return ++allocations != *(int *)ctx;
}

static int score_something(const char *network)
{
    struct srq_features *f;
    float picture[35] = { 0 }, out[10];
    double distance;
    int rc = srq_features_open(network, &f, &err);

    if (rc == 0)
        rc = srq_features_run(f, &(struct srq_picture_batch){ picture, 1, 5, 7, 1 }, out, &err);
    if (rc == 0)
        rc = srq_frechet(picture, 7, picture, 7, 5, &distance, &err);
    srq_features_close(f);
    return rc;
}

static void running_out_of_memory_is_an_error(void **state)
{
    struct folder d;
    int rc = -1, n = 0;

    (void)state;
    folder_make(&d);
    make_network(&d, NULL, 0, NULL, 0.5f);
    while (rc != 0) {
        allocations = 0;
        n++;
        srq_set_alloc_hook(fail_at, &n);
        rc = score_something(d.file);
        srq_set_alloc_hook(NULL, NULL);
        assert_true(rc == 0 || rc == -SRQ_ENOMEM);
    }
    assert_true(n > 10);
    folder_remove(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_are_those_of_pytorch),
        cmocka_unit_test(features_do_not_depend_on_the_batch_or_the_team),
        cmocka_unit_test(pictures_of_another_size_are_refused),
        cmocka_unit_test(networks_that_do_not_fit_together_are_refused),
        cmocka_unit_test(frechet_distances_are_those_of_scipy),
        cmocka_unit_test(frechet_distances_follow_their_definition),
        cmocka_unit_test(eigenvectors_give_the_matrix_back),
        cmocka_unit_test(pairs_score_as_in_scikit_image),
        cmocka_unit_test(equal_pictures_have_perfect_scores),
        cmocka_unit_test(intervals_cover_the_mean),
        cmocka_unit_test(values_without_an_interval_are_refused),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
