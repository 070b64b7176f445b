/* Chooses the kernels. */
#include "core/math/kernels.h"

#include "core/base/log.h"

#include <stdatomic.h>
#include <stdlib.h>

extern const struct srq_kernels srq_kernels_base;
#ifdef SRQ_X86_KERNELS
extern const struct srq_kernels srq_kernels_avx2, srq_kernels_avx512;
#endif

const struct srq_kernels *srq_kernels_named(const char *name)
{
#ifdef SRQ_X86_KERNELS
    __builtin_cpu_init();
    if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        return &srq_kernels_avx512;
    if (strcmp(name, "avx2") == 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &srq_kernels_avx2;
#endif
    return strcmp(name, "base") == 0 ? &srq_kernels_base : NULL;
}

const struct srq_kernels *srq_kernels(void)
{
    static const struct srq_kernels *_Atomic chosen;
    const struct srq_kernels *k = atomic_load_explicit(&chosen, memory_order_acquire);
    const char *wish;

    if (k != NULL)
        return k;
    wish = getenv("SRQ_KERNELS");
    if (wish != NULL)
        k = srq_kernels_named(wish);
    if (k == NULL)
        k = srq_kernels_named("avx512");
    if (k == NULL)
        k = srq_kernels_named("avx2");
    if (k == NULL)
        k = srq_kernels_named("base");
    if (wish != NULL && strcmp(wish, k->name) != 0)
        srq_log(SRQ_LOG_WARN, "SRQ_KERNELS: no kernels \"%.20s\" (avx512, avx2, base) run here; used are those for %s",
                wish, k->name);
    atomic_store_explicit(&chosen, k, memory_order_release);
    return k;
}
