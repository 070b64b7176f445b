/* The transform stage of a job with a trainer: the model is trained, and what came out takes its place. */
#include "core/job/run.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "core/job/pace.h"
#include "core/job/plan_json.h"
#include "core/job/preview.h"
#include "core/job/tasks.h"
#include "core/job/train.h"

#include <inttypes.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUNNING "training" /* in ckpt/, .safetensors: a run that was cut short */
#define TIME_PARTS 10      /* of the times that pictures are at */
#define POINTS 400         /* loss points in the journal, about */

struct stage {
    struct srq_run *run;
    struct srq_train *t;
    struct srq_noisy *noisy;
    struct srq_preview *preview;
    char *done, *running; /* files */
    struct srq_pace pace; /* of checkpoints */
    uint64_t plan;        /* that it works towards */
    double lr;            /* learning rate, before it decays */
    double best;
    int64_t told; /* points */
    struct srq_error tick_error;
};

static int checkpoint(struct stage *s, struct srq_error *err)
{
    struct stat st;
    int rc;

    srq_pace_begin(&s->pace);
    rc = srq_train_save(s->t, s->run->ckpt, RUNNING, err);
    return rc == 0 ? srq_pace_end(&s->pace, -1, srq_train_step(s->t),
                                  stat(s->running, &st) == 0 ? (size_t)st.st_size : 0, err)
                   : rc;
}

static double learning_rate(const struct srq_run *run)
{
    double lr = run->option[SRQ_LIVE_LR];

    return isnan(lr) ? run->job->train.lr : lr;
}

/* A change of the plan or of the learning rate holds from this step on, which the checkpoint says to a resume. */
static int follow_plan(struct stage *s, bool *changed, struct srq_error *err)
{
    int rc = srq_tasks_sync(s->run->tasks, err);
    uint64_t plan = srq_tasks_plan_key(s->run->tasks);
    double submitted = s->run->job->train.lr, lr = learning_rate(s->run);

    *changed = plan != s->plan || lr != s->lr;
    s->plan = plan;
    s->lr = lr;
    srq_train_set_rate(s->t, lr == submitted ? 1 : lr / submitted); /* that may be 0 */
    return rc;
}

/* Progress, requests, and between steps checkpoints. Told to finish, the training ends with what it has. */
static int on_tick(void *ctx, int64_t done, int64_t all)
{
    struct stage *s = ctx;
    struct srq_run *run = s->run;
    bool pause, changed = false;

    if (!atomic_load(&run->flags->finish))
        srq_preview_look(s->preview, done - run->job->train.warmup);
    pause = atomic_load(&run->flags->pause);
    srq_event_progress(&run->events, (double)done, (double)all, "steps", srq_spec_trainer(&run->job->spec)->name);
    (void)srq_usage_peak(run->usage);
    if (follow_plan(s, &changed, &s->tick_error) != 0)
        return -s->tick_error.code;
    if (done > 0 && (changed || pause || srq_pace_due(&s->pace) || atomic_exchange(&run->flags->checkpoint, false)) &&
        checkpoint(s, &s->tick_error) != 0)
        return -s->tick_error.code;
    /* Ranges that nothing was observed for would be no grid. */
    if (atomic_load(&run->flags->finish) && done >= run->job->train.warmup) {
        srq_event_log(&run->events, SRQ_LOG_INFO, "told to finish: trained for %" PRId64 " of %" PRId64 " steps",
                      done - run->job->train.warmup, run->job->train.steps);
        return srq_run_keep_finish_step(run, run->events.stage, done - run->job->train.warmup, &s->tick_error) == 0
                   ? 1
                   : -s->tick_error.code;
    }
    return srq_run_check(run, &s->tick_error);
}

static int on_trajectory(void *ctx, int64_t done, int64_t all)
{
    struct stage *s = ctx;

    srq_event_progress(&s->run->events, (double)done, (double)all, "trajectories", NULL);
    return srq_run_check(s->run, &s->tick_error);
}

/* The batch's kd by ten equal parts of all times. */
static void put_by_time(cJSON *data, const struct srq_train_point *p, int times)
{
    double sum[TIME_PARTS] = { 0 };
    int count[TIME_PARTS] = { 0 };
    cJSON *list = cJSON_AddArrayToObject(data, "kd_by_time");

    for (int64_t i = 0; i < p->n; i++) {
        int part = (int)(p->at[i].t * TIME_PARTS / times);

        part = part < 0 ? 0 : part < TIME_PARTS ? part : TIME_PARTS - 1;
        sum[part] += p->each[i];
        count[part]++;
    }
    for (int i = 0; list != NULL && i < TIME_PARTS; i++)
        cJSON_AddItemToArray(list, count[i] > 0 ? cJSON_CreateNumber(sum[i] / count[i]) : cJSON_CreateNull());
}

static void on_point(void *ctx, const struct srq_train_point *p)
{
    struct stage *s = ctx;
    int64_t all = s->run->job->train.steps, every = all > POINTS ? (all + POINTS - 1) / POINTS : 1;
    cJSON *data = p->step >= 0 && (p->step % every == 0 || p->step == all - 1) ? cJSON_CreateObject() : NULL;

    if (data == NULL)
        return;
    cJSON_AddNumberToObject(data, "iter", (double)p->step);
    srq_put_number(data, "loss", p->loss);
    srq_put_number(data, "lr", s->lr);
    srq_put_number(data, "task", p->task);
    srq_put_number(data, "kd", p->kd);
    srq_put_number(data, "kd_layers", p->layers);
    put_by_time(data, p, s->run->job->noise->times);
    srq_event_send(&s->run->events, "transform.point", data, false);
}

/* Told to finish, it may be fewer than the job has. */
static int write_fact(const struct stage *s, struct srq_error *err)
{
    int64_t steps = srq_train_step(s->t);
    cJSON *fact = cJSON_CreateObject();
    int rc = fact != NULL && srq_put_number(fact, "steps", (double)(steps > 0 ? steps : 0))
                 ? srq_fact_write(s->run->ckpt, SRQ_TRAINED_FACT, fact, err)
                 : srq_fail(err, -SRQ_ENOMEM, "out of memory after training");

    cJSON_Delete(fact);
    return rc;
}

static int train(struct stage *s, struct srq_error *err)
{
    struct srq_run *run = s->run;
    struct srq_noisy_config noisy = srq_job_noisy_config(run->job);
    struct srq_train_config cfg = srq_job_train_config(&run->resolved);
    const struct srq_train_events events = { .ctx = s, .tick = on_tick, .point = on_point };
    int64_t all = run->job->train.steps + run->job->train.warmup;
    int rc;

    noisy.tick = on_trajectory;
    noisy.ctx = s;
    if (noisy.set == NULL)
        srq_event_stage(&run->events, SRQ_STAGE_TRANSFORM, 0, (double)noisy.trajectories, "trajectories");
    rc = srq_noisy_create(&noisy, &s->noisy, err);
    cfg.batch_ctx = s->noisy;
    srq_event_stage(&run->events, SRQ_STAGE_TRANSFORM, 0, (double)all, "steps");
    s->plan = srq_tasks_plan_key(run->tasks);
    s->lr = learning_rate(run);
    if (rc == 0)
        rc = srq_train_create(&cfg, &s->t, err);
    if (rc == 0)
        rc = srq_preview_create(run, s->t, &s->preview, err);
    if (rc == 0)
        rc = srq_train_run(s->t, srq_path_exists(s->running) ? s->running : NULL, &events, err);
    if (rc == 0)
        srq_preview_end(s->preview);
    if (rc == 0)
        rc = write_fact(s, err);
    if (rc == 0)
        rc = srq_train_write(s->t, run->ckpt, SRQ_TRAINED_FILE, err);
    if (rc != 0 && s->tick_error.code != 0)
        *err = s->tick_error;
    srq_preview_free(s->preview);
    srq_train_free(s->t);
    srq_noisy_free(s->noisy);
    return rc;
}

int srq_stage_train(struct srq_run *run, struct srq_error *err)
{
    struct stage s = { .run = run, .best = INFINITY };
    int rc = 0;

    srq_pace_init(&s.pace, &run->events, run->job->spec.opt.checkpoint_s);
    s.done = srq_asprintf("%s/" SRQ_TRAINED_FILE ".safetensors", run->ckpt);
    s.running = srq_asprintf("%s/" RUNNING ".safetensors", run->ckpt);
    if (s.done == NULL || s.running == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory beginning to train");
    if (rc == 0 && !srq_path_exists(s.done)) {
        rc = srq_tasks_sync(run->tasks, err);
        if (rc == 0)
            rc = train(&s, err);
        if (rc == 0)
            unlink(s.running);
    }
    if (rc == 0)
        rc = srq_model_replace(run->job->model, s.done, err);
    srq_free(s.done);
    srq_free(s.running);
    return rc == 0 ? srq_events_check(&run->events, err) : rc;
}

int srq_run_roundings(const struct srq_run *run, const struct srq_scheme *schemes, struct srq_layer_roundings *out,
                      struct srq_error *err)
{
    struct srq_train_config cfg = srq_job_train_config(&run->resolved);
    char *path = srq_asprintf("%s/" SRQ_TRAINED_FILE ".safetensors", run->ckpt);
    int rc;

    cfg.schemes = schemes;
    rc = path != NULL ? srq_train_read_roundings(path, &cfg, out, err)
                      : srq_fail(err, -SRQ_ENOMEM, "out of memory for ranges of activations");

    srq_free(path);
    return rc;
}
