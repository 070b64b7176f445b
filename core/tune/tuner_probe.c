/* The probe: loss on a fixed set of samples, and the relative output error of every layer on some of their tokens. */
#include "core/tune/tuner.h"

#include "core/math/gemm.h"
#include "core/math/team.h"

#include <math.h>

/* ---- layer errors ------------------------------------------------------------------------------------------------ */

/* Picks `quota` valid tokens, evenly spaced, among the n gathered samples. Pictures have no tokens: what a layer reads
 * of them are pixels, patches in strips, or one row a picture, and the rows are picked when they come. */
static void pick_tokens(struct srq_tuner *t, int64_t n, int64_t quota)
{
    int64_t tokens = n * t->io->seq, valid = data_valid(t, n), seen = 0;

    t->err_quota = quota;
    t->err_count = 0;
    if (srq_model_info(t->model)->pictures)
        return;
    quota = quota < valid ? quota : valid;
    for (int64_t i = 0; i < tokens && t->err_count < quota; i++) {
        if (t->io->mask != NULL && t->mask[i] == 0)
            continue;
        if (seen++ >= (2 * t->err_count + 1) * valid / (2 * quota))
            t->err_picks[t->err_count++] = i;
    }
}

struct tile {
    const struct srq_tuner *t;
    const struct tuned_layer *l;
    int64_t row;
};

/* err_w = W, err_d = W - Ŵ for the rows of a tile. */
static void tile_share(void *ctx, int64_t begin, int64_t end)
{
    const struct tile *k = ctx;
    int64_t in = k->l->layer.groups->in, from = (k->row + begin) * in, n = (end - begin) * in;
    const struct srq_tensor *w = &k->l->weight, *f = &k->l->fake;
    float *full = k->t->err_w + begin * in, *diff = k->t->err_d + begin * in;

    (void)srq_convert((const char *)w->data + (size_t)from * srq_dtype_size(w->dtype), w->dtype, full, SRQ_F32, n);
    (void)srq_convert((const char *)f->data + (size_t)from * srq_dtype_size(f->dtype), f->dtype, diff, SRQ_F32, n);
    for (int64_t i = 0; i < n; i++)
        diff[i] = full[i] - diff[i];
}

/* As many rows of x as were to be picked, evenly spaced. */
static void pick_rows(struct srq_tuner *t, int64_t rows)
{
    int64_t quota = t->err_quota < rows ? t->err_quota : rows;

    for (int64_t k = 0; k < quota; k++)
        t->err_picks[k] = (2 * k + 1) * rows / (2 * quota);
    t->err_count = (int)quota;
}

static double product_squared(const struct srq_tuner *t, const float *w, int64_t rows, int64_t in)
{
    const struct srq_mat a = { t->err_x, SRQ_F32, in, false }, b = { w, SRQ_F32, in, true };
    double sum = 0;

    srq_gemm(&(struct srq_product){ t->err_count, rows, in, a, b, .c = { t->err_y, SRQ_F32, rows } });
    for (int64_t i = 0; i < t->err_count * rows; i++)
        sum += (double)t->err_y[i] * (double)t->err_y[i];
    return sum;
}

static void take_errors(struct srq_tuner *t, struct tuned_layer *l, const struct srq_tensor *x)
{
    int64_t in = l->layer.groups->in, out = l->layer.groups->out, most = tile_rows(in);

    if (srq_model_info(t->model)->pictures)
        pick_rows(t, x->shape[0]);
    for (int k = 0; k < t->err_count; k++)
        (void)srq_convert((const char *)x->data + (size_t)(t->err_picks[k] * in) * srq_dtype_size(x->dtype), x->dtype,
                          t->err_x + k * in, SRQ_F32, in);
    for (int64_t row = 0; row < out; row += most) {
        struct tile k = { t, l, row };
        int64_t rows = out - row < most ? out - row : most;

        srq_parallel(rows, 8, tile_share, &k);
        l->num += product_squared(t, t->err_d, rows, in);
        l->den += product_squared(t, t->err_w, rows, in);
    }
}

static void tap(void *ctx, const struct srq_linear *linear, const struct srq_tensor *x)
{
    struct tuned_layer *l = ctx;

    (void)linear;
    take_errors(l->tuner, l, x);
}

static void set_taps(struct srq_tuner *t, bool on)
{
    for (int i = 0; i < t->count; i++) {
        if (t->layers[i].linear != NULL) {
            t->layers[i].linear->tap = on ? tap : NULL;
            t->layers[i].linear->tap_ctx = &t->layers[i];
        }
    }
}

/* ---- the probe --------------------------------------------------------------------------------------------------- */

static int probe_loss(struct srq_tuner *t, double *out, struct srq_error *err)
{
    int64_t chunks = (t->probe_count + t->batch - 1) / t->batch, total = 0;
    double sum = 0, loss;
    int rc = 0;

    for (int i = 0; i < t->count; i++)
        t->layers[i].num = t->layers[i].den = 0;
    set_taps(t, true);
    for (int64_t at = 0; rc == 0 && at < t->probe_count; at += t->batch) {
        int64_t n = t->probe_count - at < t->batch ? t->probe_count - at : t->batch, valid;

        data_gather(t, t->probe + at, n);
        pick_tokens(t, n, chunks < ERROR_TOKENS ? ERROR_TOKENS / chunks : 1);
        valid = data_valid(t, n);
        rc = pass_run(t, n, false, &loss, err);
        if (rc == 0 && t->block == NULL) { /* a single layer: what it got is what was gathered */
            const struct srq_tensor x = srq_tensor_2d(t->x[0], SRQ_F32, n * t->io->seq, t->layers[0].layer.groups->in);

            take_errors(t, &t->layers[0], &x);
        }
        sum += valid > 0 ? loss * (double)valid : 0;
        total += valid;
    }
    set_taps(t, false);
    *out = total > 0 ? sum / (double)total : 0;
    return rc;
}

/* Keeps what the probe found, and tells. */
static void note(struct srq_tuner *t, double loss, bool best)
{
    const struct srq_tune_events *e = t->events;

    for (int i = 0; i < t->count; i++) {
        const struct tuned_layer *l = &t->layers[i];
        double error = !l->active ? (double)NAN : l->den > 0 ? l->num / l->den : 0;

        t->error_last[i] = error;
        if (t->iter == 0)
            t->error_first[i] = error;
        if (best)
            t->error_best[i] = error;
        if (l->active && e != NULL && e->layer_error != NULL)
            e->layer_error(e->ctx, i, t->iter, error);
    }
    if (e != NULL && e->probe != NULL)
        e->probe(e->ctx, t->iter, loss, best);
}

/* The first layer whose rounded weights are no numbers; where there is none, the block as a whole. */
static int name_culprit(const struct srq_tuner *t, struct srq_error *err)
{
    for (int i = 0; i < t->count; i++) {
        const struct tuned_layer *l = &t->layers[i];
        char text[32];

        if (l->active && l->fake.data != NULL && srq_tensor_first_nonfinite(&l->fake) >= 0)
            return srq_fail_field(
                err, -SRQ_ENUMERIC, l->layer.name,
                "%s rounded to %s holds values that are no numbers: give it another scheme, such as bf16",
                l->layer.name, srq_scheme_text(l->layer.scheme, text, sizeof(text)));
    }
    return srq_fail_field(err, -SRQ_ENUMERIC, t->layers[0].layer.name,
                          "the outputs of the block of %s are not numbers, though its weights are",
                          t->layers[0].layer.name);
}

int probe_run(struct srq_tuner *t, struct srq_error *err)
{
    double loss = 0;
    bool best;
    int rc = unit_weights(t, err);

    if (rc == 0)
        rc = probe_loss(t, &loss, err);
    if (rc != 0)
        return rc;
    if (t->iter == 0 && !isfinite(loss))
        return name_culprit(t, err);
    best = t->best_iter < 0 || loss < t->loss_best;
    t->loss_last = loss;
    t->last_probe = t->iter;
    if (t->iter == 0)
        t->loss_first = loss;
    if (best) {
        t->loss_best = loss;
        t->best_iter = t->iter;
        unit_keep_best(t);
    }
    note(t, loss, best);
    return 0;
}
