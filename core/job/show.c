/* Pictures as an event: made small, a byte a value. */
#include "core/job/show.h"

#include "core/base/alloc.h"
#include "core/base/base64.h"
#include "core/job/train.h"

#include <math.h>

/* Mean of the values of one picture that rows y0 … y1-1 and columns x0 … x1-1 have in a channel, as a byte. */
static uint8_t mean_of(const float *picture, const struct srq_picture_shape *s, const int64_t y[2], const int64_t x[2],
                       int64_t channel)
{
    double sum = 0, level;

    for (int64_t i = y[0]; i < y[1]; i++)
        for (int64_t k = x[0]; k < x[1]; k++)
            sum += (double)picture[(i * s->width + k) * s->channels + channel];
    level = (sum / (double)((y[1] - y[0]) * (x[1] - x[0])) + 1) * 127.5;
    return level >= 255 ? 255 : level > 0 ? (uint8_t)(level + 0.5) : 0;
}

/* Where pixel i of `small` lies among `large` ones. */
static void span_of(int64_t i, int64_t small, int64_t large, int64_t out[2])
{
    out[0] = i * large / small;
    out[1] = (i + 1) * large / small;
}

static void make_small(const struct srq_shown *s, const struct srq_picture_shape *small, uint8_t *out)
{
    for (int64_t n = 0; n < small->count; n++) {
        const float *picture = s->pictures + n * s->shape.height * s->shape.width * s->shape.channels;

        for (int64_t i = 0; i < small->height; i++)
            for (int64_t k = 0; k < small->width; k++) {
                int64_t y[2], x[2];

                span_of(i, small->height, s->shape.height, y);
                span_of(k, small->width, s->shape.width, x);
                for (int64_t c = 0; c < small->channels; c++)
                    *out++ = mean_of(picture, &s->shape, y, x, c);
            }
    }
}

static bool put_pixels(cJSON *o, const struct srq_shown *s)
{
    int64_t longer = s->shape.height > s->shape.width ? s->shape.height : s->shape.width;
    int64_t side = longer < SRQ_SHOWN_SIDE ? longer : SRQ_SHOWN_SIDE;
    struct srq_picture_shape small = { .count = s->count < SRQ_SHOWN_PICTURES ? s->count : SRQ_SHOWN_PICTURES,
                                       .height = s->shape.height * side / longer,
                                       .width = s->shape.width * side / longer,
                                       .channels = s->shape.channels < 3 ? 1 : 3 };
    size_t n;
    uint8_t *bytes;
    char *text;
    bool ok;

    small.height += small.height == 0;
    small.width += small.width == 0;
    n = (size_t)(small.count * small.height * small.width * small.channels);
    bytes = srq_malloc(n + 1);
    text = srq_malloc(SRQ_BASE64_LEN(n) + 1);
    ok = bytes != NULL && text != NULL;
    if (ok) {
        make_small(s, &small, bytes);
        srq_base64_put(bytes, n, text);
        ok = srq_put_number(o, "count", (double)small.count) && srq_put_number(o, "height", (double)small.height) &&
             srq_put_number(o, "width", (double)small.width) && srq_put_number(o, "channels", (double)small.channels) &&
             srq_put_text(o, "pixels", text);
    }
    srq_free(bytes);
    srq_free(text);
    return ok;
}

static bool put_sqnr(cJSON *o, const struct srq_shown *s)
{
    int count = s->steps < SRQ_STEPS_TOLD_MAX ? s->steps : SRQ_STEPS_TOLD_MAX;
    cJSON *list = s->noise != NULL ? cJSON_AddArrayToObject(o, "step_sqnr") : cJSON_AddNullToObject(o, "step_sqnr");
    bool ok = list != NULL;

    for (int i = 0; ok && s->noise != NULL && i < count; i++) {
        int64_t at = (int64_t)i * s->steps / count;
        bool known = s->noise[at] > 0 && s->signal[at] > 0;

        ok = cJSON_AddItemToArray(list, known ? cJSON_CreateNumber(10 * log10(s->signal[at] / s->noise[at]))
                                              : cJSON_CreateNull());
    }
    return ok;
}

void srq_show_pictures(struct srq_run *run, const struct srq_shown *s)
{
    struct srq_high_steps high = s->high != NULL ? *s->high : srq_job_high_steps(run->job, run->option, NULL);
    cJSON *o = cJSON_CreateObject();
    bool ok = o != NULL && srq_put_text(o, "which", srq_sampled_words[s->which]) &&
              srq_put_number(o, "train_step", s->train_step >= 0 ? (double)s->train_step : (double)NAN) &&
              put_pixels(o, s) && srq_put_number(o, "steps", s->steps) &&
              srq_put_number(o, "sample_steps", (double)run->job->spec.opt.sample_steps) &&
              srq_put_number(o, "hp_first", high.first) && srq_put_number(o, "hp_last", high.last) && put_sqnr(o, s);

    if (!ok) {
        cJSON_Delete(o);
        o = NULL;
    }
    srq_event_send(&run->events, "sample.pictures", o, false);
}
