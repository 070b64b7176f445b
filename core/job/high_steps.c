/* The steps of high precision, and whether they and what else may be changed are there to be changed. */
#include "core/job/high_steps.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static int chosen(double changed, int64_t submitted, int rule)
{
    return !isnan(changed) ? (int)changed : submitted >= 0 ? (int)submitted : rule;
}

struct srq_high_steps srq_job_high_steps(const struct srq_job *job, const double *option, const double *sqnr)
{
    const struct srq_job_options *o = &job->spec.opt;
    int n = (int)o->sample_steps, tenth = (n + 5) / 10;
    struct srq_high_steps k = { tenth, tenth };

    if (o->hp_sqnr > 0 && sqnr != NULL) {
        k = (struct srq_high_steps){ 0, 0 };
        for (int i = 0; i < n / 2; i++)
            k.first = sqnr[i] < o->hp_sqnr ? i + 1 : k.first;
        for (int i = n - 1; i >= n / 2; i--)
            k.last = sqnr[i] < o->hp_sqnr ? n - i : k.last;
    }
    return (struct srq_high_steps){ chosen(option[SRQ_LIVE_HP_FIRST], o->hp_first, k.first),
                                    chosen(option[SRQ_LIVE_HP_LAST], o->hp_last, k.last) };
}

bool srq_job_mixes_steps(const struct srq_job *job)
{
    return srq_spec_trainer(&job->spec) != NULL || (job->info->pictures && job->spec.opt.samples > 0);
}

struct srq_high_steps srq_job_high_forecast(const struct srq_job *job)
{
    const struct srq_job_options *o = &job->spec.opt;
    double none[SRQ_LIVE_OPTIONS];
    struct srq_high_steps k;

    for (int i = 0; i < SRQ_LIVE_OPTIONS; i++)
        none[i] = NAN;
    k = srq_job_high_steps(job, none, NULL);
    if (o->hp_sqnr > 0)
        k = (struct srq_high_steps){ o->hp_first < 0 ? 1 : k.first, o->hp_last < 0 ? 1 : k.last };
    return k;
}

uint64_t srq_job_high_bytes(const struct srq_job *job, const char *format, struct srq_high_steps steps)
{
    uint64_t bytes = job->info->bytes;

    if (!srq_job_mixes_steps(job) || strcmp(format, "int8") != 0 || steps.first + steps.last <= 0)
        return 0;
    for (int i = 0; srq_job_high_dtype(job) == SRQ_BF16 && i < job->layer_count; i++)
        if (job->layers[i]->dtype == SRQ_F32)
            bytes -= (uint64_t)(job->layers[i]->out * job->layers[i]->in) * (sizeof(float) - sizeof(uint16_t));
    return bytes;
}

enum srq_dtype srq_job_high_dtype(const struct srq_job *job)
{
    return job->spec.opt.hp_dtype == 0 ? SRQ_BF16 : SRQ_F32;
}

int srq_job_check_live(const struct srq_job *job, const struct srq_change *change, struct srq_error *err)
{
    if (change->sets[SRQ_LIVE_LR] && (srq_spec_trainer(&job->spec) == NULL || job->train.steps == 0))
        return srq_fail_field(err, -SRQ_EINVAL, "lr",
                              "method %s trains nothing: its learning rate cannot be changed while it runs",
                              srq_spec_quantizer(&job->spec)->name);
    if (change->sets[SRQ_LIVE_LR] && !(job->train.lr > 0))
        return srq_fail_field(err, -SRQ_EINVAL, "lr",
                              "the job was submitted with a learning rate of %g, which others "
                              "have no proportion to",
                              job->train.lr);
    for (int i = SRQ_LIVE_HP_FIRST; i <= SRQ_LIVE_HP_LAST; i++) {
        if (!change->sets[i])
            continue;
        if (!job->info->pictures || job->spec.opt.samples == 0)
            return srq_fail_field(err, -SRQ_EINVAL, srq_live_option_words[i],
                                  "the job samples no pictures: %s is of none", srq_live_option_words[i]);
        if (change->option[i] > (double)job->spec.opt.sample_steps)
            return srq_fail_field(err, -SRQ_EINVAL, srq_live_option_words[i],
                                  "%s %g is more than the %" PRId64 " steps in which pictures are sampled",
                                  srq_live_option_words[i], change->option[i], job->spec.opt.sample_steps);
    }
    return 0;
}
