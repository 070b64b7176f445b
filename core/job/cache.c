/* What every file of the cache depends on. */
#include "core/job/cache.h"

#include "core/base/alloc.h"
#include "core/base/simd.h"
#include "core/math/gemm.h"
#include "core/tune/options.h"

void srq_cache_add_plugin(struct srq_hash *h, const struct srq_spec_plugin *p)
{
    const struct srq_plugin *plugin = p->handle.plugin;

    srq_hash_add_text(h, p->name);
    srq_hash_add_text(h, plugin->version);
    if (p->handle.path != NULL)
        (void)srq_hash_add_file(h, p->handle.path, NULL);
    for (uint32_t i = 0; i < plugin->option_count; i++) {
        const struct srq_option *row = &plugin->options[i];
        char *text = srq_options_text(p->options, row->name);

        srq_hash_add_text(h, row->name);
        srq_hash_add_text(h, text != NULL ? text : "");
        srq_free(text);
    }
}

void srq_cache_add_machine(struct srq_hash *h, const struct srq_job *job, enum srq_dtype compute)
{
    int64_t threads = job->spec.opt.threads;
    char scheme[64];

    srq_hash_add_text(h, PACKAGE_VERSION);
    (void)srq_hash_add_file(h, "/proc/self/exe", NULL);
    srq_hash_add_text(h, srq_dtype_name(compute));
    srq_hash_add_text(h, srq_gemm_describe());
    srq_hash_add_text(h, srq_simd_name());
    srq_hash_add(h, &threads, sizeof(threads));
    if (srq_model_embedding(job->model) != NULL)
        srq_hash_add_text(h, srq_scheme_text(srq_model_embedding(job->model), scheme, sizeof(scheme)));
}
