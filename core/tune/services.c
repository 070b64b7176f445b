/* The services that every plugin gets through struct srq_host. */
#include "core/tune/plugin_host.h"

#include "core/base/alloc.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/math/team.h"
#include "core/tensor/dtype.h"
#include "core/tune/feedback.h"
#include "core/tune/grid_service.h"
#include "core/tune/options.h"
#include "core/tune/params.h"
#include "core/tune/quadratic.h"
#include "core/tune/sign_step.h"

/* Streams of plugins have the top bit set, so that none collides with the host's own draws. */
#define PLUGIN_STREAM ((uint64_t)1 << 63)

static uint64_t host_seed;

void srq_host_seed(uint64_t seed)
{
    host_seed = seed;
}

static double host_uniform(uint64_t stream, uint64_t index)
{
    return srq_rng_uniform(host_seed, stream | PLUGIN_STREAM, index);
}

static void host_widen(const void *src, enum srq_dtype dtype, float *dst, int64_t n)
{
    (void)srq_convert(src, dtype, dst, SRQ_F32, n);
}

static void *host_alloc(size_t size)
{
    return srq_calloc(1, size);
}

const struct srq_host *srq_host_services(void)
{
    static const struct srq_host host = {
        .size = sizeof(host),
        .abi_major = SRQ_ABI_MAJOR,
        .abi_minor = SRQ_ABI_MINOR,
        .version = PACKAGE_VERSION,
        .opt_set = srq_option_is_set,
        .opt_int = srq_option_int,
        .opt_float = srq_option_float,
        .opt_bool = srq_option_bool,
        .opt_string = srq_option_string,
        .log = srq_log,
        .alloc = host_alloc,
        .free = srq_free,
        .parallel = srq_parallel,
        .uniform = host_uniform,
        .declare = srq_params_add,
        .grid = srq_grid_service,
        .sign_step = srq_sign_step,
        .sign_momentum_step = srq_sign_momentum_step,
        .quadratic = srq_quadratic,
        .inverse_factor = srq_inverse_factor,
        .column_feedback = srq_column_feedback,
        .widen = host_widen,
    };

    return &host;
}
