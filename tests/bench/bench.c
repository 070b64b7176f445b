/* make bench: what this machine can do at most, the speed of matrix products, and one iteration of each method, split
 * by operation. */
#include "bench.h"

#include "core/base/alloc.h"
#include "core/math/team.h"
#include "daemon/srq-worker/passive.h"

#include <stdlib.h>

static const char usage[] =
    "usage: bench [--block demo|smollm2|7b|all] [--method signround|teq|diffusion-qat|all] [--iterations N]\n"
    "             [--threads N] [--quick] [--json] [--png FILE] [--models DIR]\n"
    "Without --block, demo and smollm2. --models: where the models that come with srq are.\n";

struct settings {
    bool json, quick;
    int threads, iterations;
    const char *block, *method, *png, *models; /* block NULL: those by default; method NULL: all */
};

/* ---- arguments ---- */

static bool parse_count(const char *text, int *out)
{
    char *end;
    long n = strtol(text, &end, 10);

    *out = (int)n;
    return *end == '\0' && end != text && n >= 0 && n <= 100000;
}

static bool parse_value(struct settings *s, const char *name, const char *value)
{
    if (strcmp(name, "--threads") == 0)
        return parse_count(value, &s->threads);
    if (strcmp(name, "--iterations") == 0)
        return parse_count(value, &s->iterations);
    if (strcmp(name, "--block") == 0)
        s->block = value;
    else if (strcmp(name, "--method") == 0)
        s->method = value;
    else if (strcmp(name, "--png") == 0)
        s->png = value;
    else if (strcmp(name, "--models") == 0)
        s->models = value;
    else
        return false;
    return true;
}

static bool wants_block(const struct settings *s, const struct bench_shape *shape)
{
    if (s->block == NULL)
        return shape->by_default;
    return strcmp(s->block, "all") == 0 || strcmp(s->block, shape->name) == 0;
}

static bool wants_method(const struct settings *s, const struct bench_method *m)
{
    return s->method == NULL || strcmp(s->method, "all") == 0 || strcmp(s->method, m->name) == 0;
}

/* Whether there is anything that they name. */
static bool wants_any(const struct settings *s)
{
    for (int i = 0; i < bench_shape_count; i++)
        for (int k = 0; k < bench_method_count; k++)
            if (wants_block(s, &bench_shapes[i]) && wants_method(s, &bench_methods[k]) &&
                bench_has(&bench_methods[k], &bench_shapes[i]))
                return true;
    return false;
}

static bool parse(int argc, char **argv, struct settings *s)
{
    *s = (struct settings){ .iterations = 10, .models = "share/models" };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            s->json = true;
        else if (strcmp(argv[i], "--quick") == 0)
            s->quick = true;
        else if (i + 1 < argc && parse_value(s, argv[i], argv[i + 1]))
            i++;
        else
            return false;
    }
    if (s->quick && s->iterations > 2)
        s->iterations = 2;
    return s->iterations > 0 && wants_any(s);
}

/* ---- iterations ---- */

static int iterate(const struct settings *s, const struct bench_shape *shape, const struct bench_method *method,
                   struct srq_model *model, struct bench_results *r, struct srq_error *err)
{
    struct bench_iteration *b = &r->iterations[r->count];
    int rc = bench_iterate(method, shape, model, s->iterations, b, err);

    if (rc != 0)
        return rc;
    if (method->once)
        b->gemm_s = bench_gemm_block(&r->gemm, shape, b->dtype);
    if (!s->json)
        bench_print_iteration(b, &r->limits);
    r->count++;
    return 0;
}

/* All that is wanted of a block; models are opened once. */
static int measure_block(const struct settings *s, const struct bench_shape *shape, struct bench_results *r,
                         struct srq_error *err)
{
    int rc = 0;

    for (int words = 1; rc == 0 && words >= 0; words--) {
        struct srq_model *model = NULL;

        for (int k = 0; rc == 0 && k < bench_method_count; k++) {
            const struct bench_method *m = &bench_methods[k];

            if (m->words != (words != 0) || !wants_method(s, m) || !bench_has(m, shape))
                continue;
            if (model == NULL)
                rc = bench_model_open(shape, m->words, s->models, &model, err);
            if (rc == 0)
                rc = iterate(s, shape, m, model, r, err);
        }
        srq_model_close(model);
    }
    return rc;
}

const struct bench_iteration *bench_main_iteration(const struct bench_results *r)
{
    for (int i = 0; i < r->count; i++)
        if (strcmp(r->iterations[i].shape->name, "smollm2") == 0)
            return &r->iterations[i];
    return &r->iterations[0];
}

/* ---- scaling ---- */

static int measure_team(const struct settings *s, int threads, struct srq_model *model, struct bench_scaling *out,
                        struct srq_error *err)
{
    struct bench_iteration *b = srq_calloc(1, sizeof(*b));
    int rc = b != NULL ? srq_team_start(threads, err) : srq_fail(err, -SRQ_ENOMEM, "no memory for an iteration");

    if (rc == 0)
        rc = bench_iterate(out->method, out->shape, model, s->iterations, b, err);
    if (rc == 0) {
        out->at[out->count].threads = threads;
        out->at[out->count].median_s = b->median_s;
        out->at[out->count].fastest_s = b->fastest_s;
        out->at[out->count++].region_s = bench_region();
    }
    srq_free(b);
    return rc;
}

/* One thread, twice as many and so on, and all. */
static int measure_scaling(const struct settings *s, struct bench_results *r, struct srq_error *err)
{
    const struct bench_iteration *b = bench_main_iteration(r);
    struct bench_scaling *out = &r->scaling;
    struct srq_model *model;
    int all = srq_team_size(), rc = bench_model_open(b->shape, b->method->words, s->models, &model, err);

    out->shape = b->shape;
    out->method = b->method;
    for (int n = 1; rc == 0 && n < all && out->count < BENCH_TEAMS - 1; n *= 2)
        rc = measure_team(s, n, model, out, err);
    if (rc == 0)
        rc = measure_team(s, all, model, out, err);
    srq_model_close(model);
    return rc;
}

/* ---- all of it ---- */

static int measure(const struct settings *s, struct bench_results *r, struct srq_error *err)
{
    int rc = 0;

    bench_limits(&r->limits);
    if (!s->json)
        bench_print_limits(&r->limits);
    for (int i = 0; i < bench_shape_count; i++)
        if (wants_block(s, &bench_shapes[i]))
            bench_gemm(&bench_shapes[i], s->quick, &r->gemm);
    if (!s->json)
        bench_print_gemm(&r->gemm);
    for (int i = 0; rc == 0 && i < bench_shape_count; i++)
        if (wants_block(s, &bench_shapes[i]))
            rc = measure_block(s, &bench_shapes[i], r, err);
    if (rc == 0)
        rc = measure_scaling(s, r, err);
    if (rc == 0 && !s->json)
        bench_print_scaling(&r->scaling);
    return rc == 0 && s->png != NULL ? bench_roofline(r, s->png, err) : rc;
}

int main(int argc, char **argv)
{
    struct bench_results *r = srq_calloc(1, sizeof(*r));
    struct srq_error err = { 0 };
    struct settings s;
    int rc;

    worker_passive(argv);
    if (!parse(argc, argv, &s)) {
        fputs(usage, stderr);
        return 2;
    }
    rc = r != NULL ? srq_team_start(s.threads, &err) : srq_fail(&err, -SRQ_ENOMEM, "no memory for results");
    if (rc == 0)
        rc = srq_gemm_start(NULL, &err);
    if (rc == 0) {
        snprintf(r->backend, sizeof(r->backend), "%s", srq_gemm_describe());
        srq_gemm_stop();
        if (!s.json)
            printf("srq %s, %d threads, %s\n\n", PACKAGE_VERSION, srq_team_size(), r->backend);
        rc = measure(&s, r, &err);
    }
    if (rc != 0)
        fprintf(stderr, "bench: %s\n", err.text);
    else if (s.json)
        rc = bench_print_json(r);
    srq_free(r);
    return rc != 0;
}
