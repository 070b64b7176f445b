/* Events of jobs on diffusion models. A worker's words are not believed: what does not fit together is left out, and
 * what was known before stays. */
#include "tui/srqtop/feed_value.h"

#include "core/base/alloc.h"
#include "core/base/base64.h"

#include <string.h>

static const int64_t far = INT64_C(1000000000);

void feed_loss_parts(struct top_job *j, const cJSON *e)
{
    double iter = srq_member_number(e, "iter");

    top_series_add(&j->diffusion.task, iter, srq_member_number(e, "task"));
    top_series_add(&j->diffusion.kd, iter, srq_member_number(e, "kd"));
}

void feed_sample_result(struct top_job *j, const cJSON *e)
{
    int which = feed_word(e, "which", srq_sampled_words, -1);
    struct top_sampled *s;

    if (which < 0)
        return;
    s = &j->diffusion.of[which];
    s->fid = feed_metric(e, "fid");
    s->pair_mse = feed_metric(e, "pair_mse");
    s->psnr = feed_metric(e, "psnr");
    s->ssim = feed_metric(e, "ssim");
    s->picture_step_s = feed_metric(e, "picture_step_s");
}

/* False: sizes and text do not agree. */
static bool take_pictures(struct top_pictures *to, const cJSON *e)
{
    struct top_pictures p = { .count = (int)feed_int(e, "count", 1, TOP_PICTURES, 0),
                              .height = (int)feed_int(e, "height", 1, TOP_PICTURE_SIDE, 0),
                              .width = (int)feed_int(e, "width", 1, TOP_PICTURE_SIDE, 0),
                              .channels = (int)feed_int(e, "channels", 1, 3, 0),
                              .train_step = feed_metric(e, "train_step"),
                              .steps = feed_int(e, "steps", 1, far, 0) };
    size_t n = (size_t)(p.count * p.height * p.width * p.channels);
    const char *text = srq_member_text(e, "pixels");

    if (n == 0 || p.channels == 2 || p.steps == 0 || text == NULL)
        return false;
    p.bytes = srq_malloc(n);
    if (p.bytes == NULL || !srq_base64_get(text, p.bytes, n)) {
        srq_free(p.bytes);
        return false;
    }
    srq_free(to->bytes);
    *to = p;
    return true;
}

/* Step `at` of `steps`, in the job's own sample_steps: whether the mix computes it in full precision. */
static bool is_high(const struct top_diffusion *d, int64_t at, int64_t steps)
{
    int64_t own = steps > 0 ? at * d->sample_steps / steps : 0;

    return own < d->hp_first || own > d->sample_steps - 1 - d->hp_last;
}

static void take_sqnr(struct top_diffusion *d, const cJSON *list, int64_t steps, bool first)
{
    int64_t n = cJSON_GetArraySize(list), i = 0;
    const cJSON *v;

    top_series_fini(&d->sqnr);
    top_series_fini(&d->sqnr_high);
    if (first)
        top_series_fini(&d->sqnr_first);
    d->sqnr_steps = steps;
    cJSON_ArrayForEach(v, list)
    {
        int64_t at = i++ * steps / n;

        if (!cJSON_IsNumber(v))
            continue;
        top_series_add(&d->sqnr, (double)at, v->valuedouble);
        if (is_high(d, at, steps))
            top_series_add(&d->sqnr_high, (double)at, v->valuedouble);
        if (first)
            top_series_add(&d->sqnr_first, (double)at, v->valuedouble);
    }
    /* Another number of steps is another curve. */
    if (d->sqnr_first.count > 0 && d->sqnr_first.points[d->sqnr_first.count - 1].iter >= (float)steps)
        top_series_fini(&d->sqnr_first);
}

void feed_sample_pictures(struct top_job *j, const cJSON *e)
{
    struct top_diffusion *d = &j->diffusion;
    int which = feed_word(e, "which", srq_sampled_words, -1);
    const cJSON *sqnr = cJSON_GetObjectItemCaseSensitive(e, "step_sqnr");
    const struct top_pictures *p;

    if (which < 0 || !take_pictures(&d->of[which].pictures, e))
        return;
    p = &d->of[which].pictures;
    d->sample_steps = feed_int(e, "sample_steps", 1, far, 0);
    d->hp_first = feed_int(e, "hp_first", 0, far, 0);
    d->hp_last = feed_int(e, "hp_last", 0, far, 0);
    if (which == SRQ_SAMPLED_QUANTIZED && cJSON_IsArray(sqnr))
        take_sqnr(d, sqnr, p->steps, p->train_step.known && p->train_step.v == 0);
}
