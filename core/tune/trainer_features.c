/* Distillation of what units of the model give on the way (spec diffusion-qat 3, kd_layers): the mean over the units of
 * mean((student - teacher)^2) / mean(teacher^2). */
#include "core/tune/trainer_parts.h"

#include "core/base/alloc.h"
#include "core/math/team.h"

#include <fnmatch.h>
#include <string.h>

#define GRAIN 65536

/* The first pattern of a list that is separated by commas; returns what is behind it, NULL where the list is over. */
static const char *next_pattern(const char *list, char one[SRQ_NAME_CAP])
{
    size_t n;

    if (list == NULL || *list == '\0')
        return NULL;
    n = strcspn(list, ",");
    snprintf(one, SRQ_NAME_CAP, "%.*s", (int)n, list);
    return list + n + (list[n] == ',');
}

static bool listed(const char *list, const char *name)
{
    char one[SRQ_NAME_CAP];

    while ((list = next_pattern(list, one)) != NULL)
        if (fnmatch(one, name, 0) == 0)
            return true;
    return false;
}

/* The port that a unit's own output is; the model's is distilled anyway. */
static int port_of(const struct srq_model *m, int unit)
{
    int port = srq_model_unit(m, unit)->out[0];

    return port != srq_model_port_count(m) - 1 && srq_model_port(m, port)->readers > 0 ? port : -1;
}

static int64_t elements(const struct srq_model *m, int port)
{
    return srq_model_port(m, port)->rows * srq_model_port(m, port)->cols;
}

/* Calls for every unit that is listed; returns how many there are. */
static int each(const struct srq_train_config *c, struct srq_train_feature *out, int64_t *sum)
{
    int count = 0;

    *sum = 0;
    for (int u = 0; u < srq_model_info(c->model)->blocks; u++) {
        int port = port_of(c->model, u);

        if (port < 0 || !listed(c->schedule.kd_layers, srq_model_unit(c->model, u)->name))
            continue;
        if (out != NULL)
            out[count] = (struct srq_train_feature){ .unit = u, .port = port, .n = elements(c->model, port) };
        *sum += elements(c->model, port);
        count++;
    }
    return count;
}

/* Every pattern has to name a unit that can be distilled. */
static int check_patterns(const struct srq_train_config *c, struct srq_error *err)
{
    const struct srq_model *m = c->model;
    const char *list = c->schedule.kd_layers;
    char one[SRQ_NAME_CAP];

    while ((list = next_pattern(list, one)) != NULL) {
        bool found = false;

        for (int u = 0; !found && u < srq_model_info(m)->blocks; u++)
            found = port_of(m, u) >= 0 && fnmatch(one, srq_model_unit(m, u)->name, 0) == 0;
        if (!found)
            return srq_fail_field(err, -SRQ_ENOENT, "kd_layers",
                                  "kd_layers \"%s\" names no block whose output others read; there are %s … %s", one,
                                  srq_model_unit(m, 0)->name, srq_model_unit(m, srq_model_info(m)->blocks - 2)->name);
    }
    return 0;
}

uint64_t srq_train_features_bytes(const struct srq_train_config *c)
{
    int64_t sum;

    (void)each(c, NULL, &sum);
    return (uint64_t)(sum * c->schedule.batch) * sizeof(float);
}

int srq_train_features_create(struct srq_train *t, struct srq_error *err)
{
    const struct srq_train_config *c = &t->cfg;
    int64_t sum, batch = c->schedule.batch;
    int rc = check_patterns(c, err);
    float *at;

    if (rc != 0)
        return rc;
    t->feature_count = each(c, NULL, &sum);
    if (t->feature_count == 0)
        return 0;
    t->features = srq_calloc((size_t)t->feature_count, sizeof(*t->features));
    t->feature_values = at = srq_malloc((size_t)(sum * batch) * sizeof(float));
    if (t->features == NULL || at == NULL)
        return srq_fail(err, -SRQ_ENOMEM, "out of memory for what blocks are to give");
    (void)each(c, t->features, &sum);
    for (int i = 0; i < t->feature_count; i++) {
        t->features[i].value = at;
        at += t->features[i].n * batch;
    }
    return 0;
}

void srq_train_features_free(struct srq_train *t)
{
    srq_free(t->features);
    srq_free(t->feature_values);
}

void srq_train_features_teach(struct srq_train *t)
{
    for (int i = 0; i < t->feature_count; i++) {
        struct srq_train_feature *f = &t->features[i];
        int64_t n = f->n * t->batch.n;
        double sum = 0;

        memcpy(f->value, srq_states_at(t->states, f->port, 0), (size_t)n * sizeof(float));
        for (int64_t k = 0; k < n; k++)
            sum += (double)f->value[k] * (double)f->value[k];
        f->size = sum > 0 ? sum : 1;
    }
}

double srq_train_features_loss(struct srq_train *t)
{
    double loss = 0;

    for (int i = 0; i < t->feature_count; i++) {
        struct srq_train_feature *f = &t->features[i];
        const float *said = (const float *)(const void *)srq_states_at(t->states, f->port, 0);
        double factor = 2 * t->cfg.schedule.kd_layers_weight / (f->size * (double)t->feature_count), sum = 0;

        for (int64_t k = 0; k < f->n * t->batch.n; k++) {
            double off = (double)said[k] - (double)f->value[k];

            sum += off * off;
            f->value[k] = (float)(factor * off);
        }
        loss += sum / (f->size * (double)t->feature_count);
    }
    return loss;
}

struct adding {
    float *to;
    const float *from;
};

static void add_range(void *ctx, int64_t begin, int64_t end)
{
    const struct adding *a = ctx;

    for (int64_t i = begin; i < end; i++)
        a->to[i] += a->from[i];
}

void srq_train_features_push(struct srq_train *t, int unit)
{
    for (int i = 0; i < t->feature_count; i++) {
        const struct srq_train_feature *f = &t->features[i];
        struct adding a = { (float *)(void *)srq_states_gradient(t->states, f->port, 0), f->value };

        if (f->unit == unit)
            srq_parallel(f->n * t->batch.n, GRAIN, add_range, &a);
    }
}
