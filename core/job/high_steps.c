/* The steps of high precision. */
#include "core/job/high_steps.h"

struct srq_high_steps srq_job_high_steps(const struct srq_job *job, const double *sqnr)
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
    return (struct srq_high_steps){ o->hp_first >= 0 ? (int)o->hp_first : k.first,
                                    o->hp_last >= 0 ? (int)o->hp_last : k.last };
}

enum srq_dtype srq_job_high_dtype(const struct srq_job *job)
{
    return job->spec.opt.hp_dtype == 0 ? SRQ_BF16 : SRQ_F32;
}
