/* The noisy pictures of a run: drawn once, those of trajectories kept beside the checkpoints. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/job/noisy_pictures.h"

#define STATES "noisy.bin" /* in ckpt/: the times and pictures */
#define FACT "noisy"

/* ---- kept ones --------------------------------------------------------------------------------------------------- */

static bool take_up(struct srq_run *run, size_t bytes)
{
    cJSON *fact = srq_fact_read(run->ckpt, FACT);
    const char *hash = srq_member_text(fact, "hash");
    struct srq_map map;
    bool known = hash != NULL && srq_hashed_open(run->ckpt, STATES, hash, &map);

    if (known) {
        known = map.size == bytes;
        if (known)
            memcpy(run->noisy.at, map.data, bytes);
        srq_map_close(&map);
    }
    cJSON_Delete(fact);
    return known;
}

static int keep(struct srq_run *run, size_t bytes, const char *hash, struct srq_error *err)
{
    cJSON *fact = cJSON_CreateObject();
    int rc = fact != NULL && srq_put_text(fact, "hash", hash)
                 ? srq_hashed_write(run->ckpt, STATES, run->noisy.at, bytes, err)
                 : srq_fail(err, -SRQ_ENOMEM, "out of memory keeping noisy pictures");

    if (rc == 0)
        rc = srq_fact_write(run->ckpt, FACT, fact, err);
    cJSON_Delete(fact);
    return rc;
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

struct drawing {
    struct srq_run *run;
    struct srq_error error;
};

static int on_tick(void *ctx, int64_t done, int64_t all)
{
    struct drawing *d = ctx;

    srq_event_progress(&d->run->events, (double)done, (double)all, "trajectories", NULL);
    return srq_run_check(d->run, &d->error);
}

static int draw(struct srq_run *run, struct srq_error *err)
{
    const struct srq_noisy_batch all = { .n = run->noisy.n, .x = run->noisy.x, .at = run->noisy.at };
    struct srq_noisy_config c = srq_noisy_pictures_source(run->job);
    struct drawing d = { .run = run };
    struct srq_noisy *noisy = NULL;
    int rc;

    c.tick = on_tick;
    c.ctx = &d;
    if (c.set == NULL)
        srq_event_stage(&run->events, SRQ_STAGE_CALIBRATE, 0, (double)c.trajectories, "trajectories");
    rc = srq_noisy_create(&c, &noisy, err);
    if (rc != 0 && d.error.code != 0 && err != NULL)
        *err = d.error;
    if (rc == 0)
        rc = srq_noisy_batch(noisy, 0, &all, err);
    srq_noisy_free(noisy);
    return rc;
}

int srq_run_draw_pictures(struct srq_run *run, struct srq_error *err)
{
    int64_t n = run->job->spec.opt.nsamples;
    size_t bytes = srq_noisy_pictures_bytes(run->job);
    bool given = run->job->pictures != NULL;
    char hash[SRQ_HASHED_HEX];
    int rc = 0;

    run->noisy = (struct srq_noisy_pictures){ .n = n, .at = srq_calloc(1, bytes) };
    if (run->noisy.at == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for %zu bytes of noisy pictures", bytes);
    run->noisy.x = (float *)(void *)(run->noisy.at + n);
    if (given || !take_up(run, bytes)) {
        rc = draw(run, err);
        srq_hashed_text(run->noisy.at, bytes, hash);
        if (rc == 0 && !given) /* given ones are drawn in no time, and may not be the same files any more */
            rc = keep(run, bytes, hash, err);
    } else {
        srq_hashed_text(run->noisy.at, bytes, hash);
    }
    run->calib.count = rc == 0 ? n : 0;
    run->calib.seqlen = 1;
    snprintf(run->calib.hash, sizeof(run->calib.hash), "%.32s", hash);
    return rc;
}
