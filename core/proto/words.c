/* The lists of words, and what a scheme's name says. */
#include "core/proto/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const srq_job_state_words[] = {
    [SRQ_JOB_QUEUED] = "queued",     [SRQ_JOB_STARTING] = "starting", [SRQ_JOB_RUNNING] = "running",
    [SRQ_JOB_PAUSED] = "paused",     [SRQ_JOB_DONE] = "done",         [SRQ_JOB_FAILED] = "failed",
    [SRQ_JOB_CANCELED] = "canceled", [SRQ_JOB_STATES] = NULL
};

const char *const srq_wish_words[] = {
    [SRQ_WISH_PAUSE] = "pausing", [SRQ_WISH_CANCEL] = "canceling", [SRQ_WISH_FINISH] = "finishing", NULL
};

const char *const srq_stage_words[] = { [SRQ_STAGE_LOAD] = "load",           [SRQ_STAGE_CALIBRATE] = "calibrate",
                                        [SRQ_STAGE_SCORE] = "score",         [SRQ_STAGE_ALLOCATE] = "allocate",
                                        [SRQ_STAGE_TRANSFORM] = "transform", [SRQ_STAGE_QUANTIZE] = "quantize",
                                        [SRQ_STAGE_REFINE] = "refine",       [SRQ_STAGE_EVALUATE] = "evaluate",
                                        [SRQ_STAGE_EXPORT] = "export",       [SRQ_STAGES] = NULL };

const char *const srq_work_state_words[] = { [SRQ_WORK_PENDING] = "pending",
                                             [SRQ_WORK_RUNNING] = "running",
                                             [SRQ_WORK_FINISHED] = "finished",
                                             [SRQ_WORK_STALE] = "stale",
                                             NULL };

const char *const srq_decider_words[] = {
    [SRQ_BY_DEFAULT] = "default", [SRQ_BY_ALLOCATOR] = "allocator", [SRQ_BY_PIN] = "pin", NULL
};

const char *const srq_change_words[] = {
    [SRQ_ASK_PIN] = "pin", [SRQ_ASK_UNPIN] = "unpin",   [SRQ_ASK_BUDGET] = "budget",     [SRQ_ASK_RETUNE] = "retune",
    [SRQ_ASK_SET] = "set", [SRQ_ASK_REVERT] = "revert", [SRQ_ASK_ALLOCATE] = "allocate", NULL
};

const char *const srq_measured_words[] = { [SRQ_MEASURED_BEFORE] = "before",
                                           [SRQ_MEASURED_RTN] = "rtn",
                                           [SRQ_MEASURED_AFTER] = "after",
                                           [SRQ_MEASUREMENTS] = NULL };

const char *const srq_sampled_words[] = { [SRQ_SAMPLED_FULL] = "full",
                                          [SRQ_SAMPLED_QUANTIZED] = "quantized",
                                          [SRQ_SAMPLED_MIXED] = "mixed",
                                          [SRQ_SAMPLINGS] = NULL };

const char *const srq_heat_words[] = { [SRQ_HEAT_SENSITIVITY] = "sensitivity",
                                       [SRQ_HEAT_BITS] = "bits",
                                       [SRQ_HEAT_LOSS] = "loss",
                                       [SRQ_HEAT_GAIN] = "gain",
                                       [SRQ_HEAT_SATURATION] = "saturation",
                                       [SRQ_HEATS] = NULL };

const char *const srq_series_words[] = { [SRQ_SERIES_LOSS] = "loss",
                                         [SRQ_SERIES_PROBE] = "probe",
                                         [SRQ_SERIES_ERROR] = "error",
                                         [SRQ_SERIES_TRANSFORM] = "transform",
                                         [SRQ_SERIES_TRANSFORM_PROBE] = "transform_probe",
                                         NULL };

int srq_word_place(const char *const *words, const char *text)
{
    for (int i = 0; text != NULL && words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0)
            return i;
    }
    return -1;
}

char *srq_words_text(const char *const *words, char *out, size_t cap)
{
    size_t n = 0;

    out[0] = '\0';
    for (int i = 0; words[i] != NULL && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%s", i > 0 ? "|" : "", words[i]);
    return out;
}

static bool is_integer(const char *scheme)
{
    return scheme[0] == 'w' && scheme[1] >= '0' && scheme[1] <= '9';
}

struct srq_scheme_look srq_scheme_look(const char *scheme)
{
    struct srq_scheme_look look = { .group = -1, .integer = is_integer(scheme) };
    char *rest;
    long bits = strtol(scheme + strcspn(scheme, "0123456789"), &rest, 10);

    look.bits = bits <= 64 ? (int)bits : 0;
    if (look.integer && rest[0] == 'g')
        look.group = rest[1] == 't' ? 0 : (int)strtol(rest + 1, &rest, 10);
    look.zero_points = look.integer && strchr(rest, 'z') != NULL;
    return look;
}

static double groups_of(int64_t out, int64_t in, int group)
{
    if (group == 0)
        return 1;
    return (double)out * (double)(group < 0 || group >= in ? 1 : (in + group - 1) / group);
}

double srq_scheme_look_bits(const char *scheme, int64_t out, int64_t in)
{
    static const struct {
        const char *name;
        int group, scale_bits;
    } named[] = { { "mxfp4", 32, 8 }, { "mxfp8", 32, 8 }, { "nvfp4", 16, 8 }, { "fp8", -1, 16 },  { "fp8t", 0, 16 },
                  { "q2_k", 16, 10 }, { "q3_k", 16, 7 },  { "q4_k", 32, 16 }, { "q5_k", 32, 16 }, { "q6_k", 16, 9 } };
    struct srq_scheme_look look = srq_scheme_look(scheme);
    double numel = (double)out * (double)in;

    if (strcmp(scheme, "bf16") == 0)
        return 16 * numel;
    if (look.integer)
        return look.bits * numel + groups_of(out, in, look.group) * (16 + look.bits);
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (strcmp(scheme, named[i].name) == 0)
            return look.bits * numel + groups_of(out, in, named[i].group) * named[i].scale_bits;
    }
    return 0;
}

bool srq_scheme_with_bits(const char *scheme, int bits, char *out, size_t cap)
{
    int n = 0;

    if (is_integer(scheme))
        n = snprintf(out, cap, "w%d%s", bits, scheme + 1 + strspn(scheme + 1, "0123456789"));
    else if (bits >= 2 && bits <= 6 && scheme[0] == 'q' &&
             strcmp(scheme + 1 + strspn(scheme + 1, "0123456789"), "_k") == 0)
        n = snprintf(out, cap, "q%d_k", bits);

    return n > 0 && (size_t)n < cap;
}
