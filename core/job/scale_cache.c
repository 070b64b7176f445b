/* Scales in the cache folder, HASH.safetensors each. */
#include "core/job/scale_cache.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/cache.h"

static bool key_hex(const struct srq_scale_key *key, char out[SRQ_HASH_HEX])
{
    const struct srq_job *job = key->job;
    const struct srq_transform_config *c = &key->data;
    const int64_t numbers[] = { c->nsamples, c->seq, c->batch, (int64_t)c->seed, job->layer_count };
    struct srq_hash *h = srq_hash_create();
    char scheme[32];

    if (h == NULL)
        return false;
    srq_hash_add_text(h, "srq scales 1");
    srq_hash_add_text(h, key->model);
    srq_hash_add_text(h, key->tokens);
    srq_cache_add_plugin(h, &job->spec.plugins[job->spec.transform]);
    srq_cache_add_machine(h, job, c->compute);
    for (int i = 0; i < job->layer_count; i++)
        srq_hash_add_text(h, srq_scheme_text(&c->schemes[i], scheme, sizeof(scheme)));
    srq_hash_add(h, numbers, sizeof(numbers));
    srq_hash_hex(h, out);
    srq_hash_free(h);
    return true;
}

bool srq_scale_cache_read(const struct srq_scale_key *key, struct srq_scales *out)
{
    char hex[SRQ_HASH_HEX], *dir = srq_cache_dir("scales");
    char *path = dir != NULL && key_hex(key, hex) ? srq_asprintf("%s/%s.safetensors", dir, hex) : NULL;
    bool ok = path != NULL && srq_path_exists(path) && srq_scales_read(out, key->job->model, path, NULL) == 0;

    if (ok)
        srq_cache_used(path);
    srq_free(path);
    srq_free(dir);
    return ok;
}

bool srq_scale_cache_write(const struct srq_scale_key *key, const struct srq_scales *s, struct srq_error *why)
{
    char hex[SRQ_HASH_HEX], *dir = srq_cache_dir("scales");
    int rc = 0;

    if (dir != NULL && key_hex(key, hex)) {
        rc = srq_mkdirs(dir, 0700, why);
        if (rc == 0)
            rc = srq_scales_write(s, key->job->model, dir, hex, why);
        srq_cache_tidy(dir);
    }
    srq_free(dir);
    return rc == 0;
}
