/* Checkpoints of the training of scales: "PRODUCER.scale", "PRODUCER.best" and "PRODUCER.state0" … F32 [channels] of
 * every group, and "srq.training" F64 [4]. */
#include "core/tune/transform_parts.h"

#include <math.h>

#define HEAD "srq.training"
#define NAME_CAP 320
#define ARRAYS 6 /* scale, best, four states */

/* The k-th array of a group, NULL behind the last; its name. */
static float *array_of(const struct srq_transformer *t, int group, int k, char name[NAME_CAP])
{
    const struct srq_transform_group *g = &t->groups[group];

    if (k < 2) {
        snprintf(name, NAME_CAP, "%s.%s", g->info.name, k == 0 ? "scale" : "best");
        return k == 0 ? g->info.scale : t->best.alpha[g->pair_index];
    }
    snprintf(name, NAME_CAP, "%s.state%d", g->info.name, k - 2);
    return k - 2 < t->schedule.states ? g->info.state[k - 2] : NULL;
}

static int declare(const struct srq_transformer *t, struct srq_tensor_writer *w, struct srq_error *err)
{
    const int64_t four = 4;
    char name[NAME_CAP];
    int rc = srq_writer_declare(w, HEAD, SRQ_F64, 1, &four, err);

    for (int g = 0; g < t->group_count; g++)
        for (int k = 0; rc == 0 && k < ARRAYS && array_of(t, g, k, name) != NULL; k++)
            rc = srq_writer_declare(w, name, SRQ_F32, 1, &t->groups[g].info.channels, err);
    return rc == 0 ? srq_writer_begin(w, err) : rc;
}

int srq_training_write(const struct srq_transformer *t, const struct srq_training_state *s, const char *dir,
                       const char *base, struct srq_error *err)
{
    const double head[4] = { (double)s->step, s->first, s->best, (double)s->best_step };
    struct srq_tensor_writer *w = NULL;
    char name[NAME_CAP];
    int rc = srq_writer_create(dir, base, 0, &w, err);

    if (rc == 0)
        rc = declare(t, w, err);
    if (rc == 0)
        rc = srq_writer_put(w, HEAD, 0, head, sizeof(head), err);
    for (int g = 0; g < t->group_count; g++) {
        for (int k = 0; rc == 0 && k < ARRAYS; k++) {
            const float *a = array_of(t, g, k, name);

            if (a == NULL)
                break;
            rc = srq_writer_put(w, name, 0, a, (size_t)t->groups[g].info.channels * sizeof(*a), err);
        }
    }
    if (rc == 0)
        rc = srq_writer_finish(w, err);
    srq_writer_free(w);
    return rc;
}

static int take(const struct srq_transformer *t, const struct srq_tensors *file, int g, int k, const char *path,
                struct srq_error *err)
{
    char name[NAME_CAP];
    float *a = array_of(t, g, k, name);
    struct srq_tensor x;

    if (a == NULL)
        return 0;
    if (!srq_tensors_get(file, name, &x) || x.dtype != SRQ_F32 || x.rank != 1 ||
        x.shape[0] != t->groups[g].info.channels)
        return srq_fail_field(err, -SRQ_EFORMAT, name,
                              "%s has no tensor %s F32 [%lld]: it is not a checkpoint of this job", path, name,
                              (long long)t->groups[g].info.channels);
    memcpy(a, x.data, (size_t)x.shape[0] * sizeof(*a));
    return 0;
}

int srq_training_read(struct srq_transformer *t, struct srq_training_state *s, const char *path, struct srq_error *err)
{
    struct srq_tensors *file = NULL;
    struct srq_tensor x;
    double head[4] = { -1, 0, 0, 0 };
    int rc = srq_tensors_open(path, &file, err);

    if (rc == 0 && srq_tensors_get(file, HEAD, &x) && x.dtype == SRQ_F64 && x.rank == 1 && x.shape[0] == 4)
        memcpy(head, x.data, sizeof(head));
    if (rc == 0 && !(head[0] >= 0 && head[0] <= (double)t->schedule.steps && head[3] >= -1 && head[3] <= head[0]))
        rc = srq_fail_field(err, -SRQ_EFORMAT, HEAD, "%s does not say where its training is (tensor " HEAD ")", path);
    for (int g = 0; g < t->group_count; g++)
        for (int k = 0; rc == 0 && k < ARRAYS; k++)
            rc = take(t, file, g, k, path, err);
    if (rc == 0)
        *s = (struct srq_training_state){ (int64_t)head[0], head[1], head[2], (int64_t)head[3] };
    srq_tensors_close(file);
    return rc;
}
