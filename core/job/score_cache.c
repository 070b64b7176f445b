/* Scores kept in the user's cache folder, so that another job with only another budget need not measure again. */
#include "core/job/budget.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/cache.h"
#include "core/job/scores_json.h"

static bool key_hex(const struct srq_score_key *key, char out[SRQ_HASH_HEX])
{
    const struct srq_job *job = key->job;
    const int64_t numbers[] = { key->data.nsamples, key->data.seq, key->data.batch, job->layer_count };
    struct srq_hash *h = srq_hash_create();
    char scheme[32];

    if (h == NULL)
        return false;
    srq_hash_add_text(h, "srq scores 2");
    srq_hash_add_text(h, key->model);
    srq_hash_add_text(h, key->tokens);
    srq_cache_add_plugin(h, &job->spec.plugins[job->spec.scorer]);
    srq_cache_add_machine(h, job, key->data.compute);
    srq_hash_add_text(h, srq_scheme_text(&job->candidates.scheme[key->candidate], scheme, sizeof(scheme)));
    srq_hash_add(h, numbers, sizeof(numbers));
    srq_hash_hex(h, out);
    srq_hash_free(h);
    return true;
}

static char *file_in(const char *dir, const struct srq_score_key *key)
{
    char hex[SRQ_HASH_HEX];

    return key_hex(key, hex) ? srq_asprintf("%s/%s.json", dir, hex) : NULL;
}

bool srq_score_cache_read(const struct srq_score_key *key, double *score)
{
    const struct srq_job *job = key->job;
    struct srq_scores s = { 0 };
    char *dir = srq_cache_dir("scores"), *path = dir != NULL ? file_in(dir, key) : NULL;
    bool ok = path != NULL && srq_scores_load(path, job->layers, job->layer_count, &s, NULL) == 0 && s.count == 1 &&
              srq_scheme_equal(&s.scheme[0], &job->candidates.scheme[key->candidate]);

    if (ok) {
        memcpy(score, s.score, (size_t)job->layer_count * sizeof(score[0]));
        srq_cache_used(path);
    }
    srq_scores_fini(&s);
    srq_free(path);
    srq_free(dir);
    return ok;
}

bool srq_score_cache_write(const struct srq_score_key *key, const double *score, struct srq_error *why)
{
    const struct srq_job *job = key->job;
    struct srq_scores s = { 0 };
    char *dir = srq_cache_dir("scores"), *path = dir != NULL ? file_in(dir, key) : NULL;
    int rc = 0;

    if (path != NULL) {
        rc = srq_scores_init(&s, &job->candidates.scheme[key->candidate], 1, job->layer_count, why);
        if (rc == 0) {
            memcpy(s.score, score, (size_t)job->layer_count * sizeof(score[0]));
            rc = srq_mkdirs(dir, 0700, why);
        }
        if (rc == 0)
            rc = srq_scores_save(&s, job->layers, path, why);
        srq_cache_tidy(dir);
    }
    srq_scores_fini(&s);
    srq_free(path);
    srq_free(dir);
    return rc == 0;
}
