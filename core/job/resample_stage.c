/* Calibration samples with words drawn anew, once for a job. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/job/resample.h"
#include "core/job/tasks.h"

#include <inttypes.h>

#define WORDS "resampled.bin" /* in ckpt/: ids of all copies */
#define FACT "resample"

int srq_run_extend_samples(struct srq_run *run, struct srq_error *err)
{
    struct srq_resolved *r = &run->resolved;

    srq_tasks_lock(run->tasks);
    r->choice.copies = srq_job_copies(r, run->calib.count);
    if (run->calib.count > 0)
        run->planned_samples = run->calib.count * (1 + r->choice.copies);
    srq_tasks_unlock(run->tasks);
    return r->choice.copies > 0 ? srq_resample_extend(&run->calib, r->choice.copies, err) : 0;
}

/* ---- kept words -------------------------------------------------------------------------------------------------- */

static size_t word_bytes(const struct srq_run *run, int32_t **at)
{
    int64_t tokens = run->calib.count / (1 + run->resolved.choice.copies) * run->calib.seqlen;

    *at = run->calib.ids + tokens;
    return (size_t)(tokens * run->resolved.choice.copies) * sizeof(int32_t);
}

static bool take_up(struct srq_run *run)
{
    int32_t *words;
    size_t bytes = word_bytes(run, &words);
    cJSON *fact = srq_fact_read(run->ckpt, FACT);
    const char *of = srq_member_text(fact, "of");
    const char *hash = srq_member_text(fact, "hash");
    struct srq_map map;
    bool known = false;

    if (of != NULL && strcmp(of, run->basis) == 0 && srq_hashed_open(run->ckpt, WORDS, hash, &map)) {
        known = map.size == bytes;
        if (known)
            memcpy(words, map.data, bytes);
        srq_map_close(&map);
    }
    cJSON_Delete(fact);
    return known;
}

static int keep(struct srq_run *run, struct srq_error *err)
{
    int32_t *words;
    size_t bytes = word_bytes(run, &words);
    char hash[SRQ_HASHED_HEX];
    cJSON *fact = cJSON_CreateObject();
    int rc = 0;

    srq_hashed_text(words, bytes, hash);
    if (!srq_put_text(fact, "of", run->basis) || !srq_put_text(fact, "hash", hash))
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory keeping words");
    if (rc == 0)
        rc = srq_hashed_write(run->ckpt, WORDS, words, bytes, err);
    if (rc == 0)
        rc = srq_fact_write(run->ckpt, FACT, fact, err);
    cJSON_Delete(fact);
    return rc;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

struct drawing {
    struct srq_run *run;
    struct srq_error error;
};

static int on_tick(void *ctx, int64_t done, int64_t all)
{
    struct drawing *d = ctx;

    srq_event_progress(&d->run->events, (double)done, (double)all, "blocks", NULL);
    return srq_run_check(d->run, &d->error);
}

int srq_stage_resample(struct srq_run *run, struct srq_error *err)
{
    struct srq_resample_config cfg = srq_job_resample_config(&run->resolved, run->calib.count);
    struct drawing d = { .run = run };
    int rc;

    if (cfg.copies == 0 || take_up(run))
        return 0;
    srq_event_stage(&run->events, SRQ_STAGE_CALIBRATE, 0, 1, "blocks");
    rc = srq_resample_run(&cfg, &run->calib, on_tick, &d, err);
    if (rc != 0 && d.error.code != 0 && err != NULL)
        *err = d.error;
    if (rc == 0)
        rc = keep(run, err);
    if (rc == 0)
        srq_event_log(&run->events, SRQ_LOG_INFO,
                      "calibration text is short (%" PRId64 " tokens): beside it %" PRId64
                      " copies of each sample are used, "
                      "with words that the model expects",
                      cfg.nsamples * cfg.seq, cfg.copies);
    return rc;
}
