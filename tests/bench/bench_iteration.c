/* Methods and their blocks. */
#include "bench_meter.h"

#include <sys/resource.h>

const struct bench_method bench_methods[] = {
    { "signround", true, true, bench_signround },
    { "teq", true, false, bench_teq },
    { "diffusion-qat", false, false, bench_qat },
};
const int bench_method_count = (int)(sizeof(bench_methods) / sizeof(bench_methods[0]));

bool bench_has(const struct bench_method *m, const struct bench_shape *s)
{
    return m->words || s->pictures != NULL;
}

static uint64_t peak_rss(void)
{
    struct rusage u;

    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_maxrss * 1024 : 0;
}

int bench_iterate(const struct bench_method *method, const struct bench_shape *s, struct srq_model *model,
                  int iterations, struct bench_iteration *out, struct srq_error *err)
{
    int rc = srq_gemm_start(NULL, err);

    *out = (struct bench_iteration){ .shape = s, .method = method };
    if (rc == 0)
        rc = method->run(model, s, iterations, out, err);
    srq_gemm_stop();
    out->peak_rss_bytes = peak_rss();
    return rc;
}
