/* Results for programs. */
#include "bench.h"

#include "core/math/team.h"
#include "core/tensor/dtype.h"

#include <cjson/cJSON.h>

/* Null for what is not known. */
static void put_known(cJSON *o, const char *key, double v)
{
    cJSON_AddItemToObject(o, key, v > 0 ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static double gflops(double flops, double seconds)
{
    return seconds > 0 ? flops / seconds * 1e-9 : 0;
}

static cJSON *shapes_json(void)
{
    cJSON *all = cJSON_CreateArray();

    for (int i = 0; i < bench_shape_count; i++) {
        const struct bench_shape *s = &bench_shapes[i];
        cJSON *o = cJSON_CreateObject();

        cJSON_AddStringToObject(o, "name", s->name);
        cJSON_AddNumberToObject(o, "hidden", (double)s->hidden);
        cJSON_AddNumberToObject(o, "heads", (double)s->heads);
        cJSON_AddNumberToObject(o, "kv_heads", (double)s->kv_heads);
        cJSON_AddNumberToObject(o, "head_dim", (double)s->head_dim);
        cJSON_AddNumberToObject(o, "inner", (double)s->inner);
        cJSON_AddNumberToObject(o, "batch", (double)s->batch);
        cJSON_AddNumberToObject(o, "seq", (double)s->seq);
        cJSON_AddNumberToObject(o, "group", (double)s->group);
        cJSON_AddItemToArray(all, o);
    }
    return all;
}

static cJSON *gemm_json(const struct bench_gemm *g)
{
    static const char *const keys[BENCH_PRODUCTS] = { "y_gflops", "dx_gflops", "dw_gflops" };
    cJSON *all = cJSON_CreateArray();

    for (int i = 0; i < g->count; i++) {
        const struct bench_gemm_row *r = &g->rows[i];
        cJSON *o = cJSON_CreateObject();

        cJSON_AddStringToObject(o, "block", r->shape->name);
        cJSON_AddStringToObject(o, "backend", r->backend);
        cJSON_AddStringToObject(o, "dtype", srq_dtype_name(r->dtype));
        cJSON_AddNumberToObject(o, "tokens", (double)(r->shape->batch * r->shape->seq));
        cJSON_AddNumberToObject(o, "out", (double)r->out);
        cJSON_AddNumberToObject(o, "in", (double)r->in);
        for (int p = 0; p < BENCH_PRODUCTS; p++)
            cJSON_AddNumberToObject(o, keys[p], gflops(bench_gemm_flops(r), r->seconds[p]));
        cJSON_AddItemToArray(all, o);
    }
    return all;
}

static cJSON *limits_json(const struct bench_limits *l)
{
    cJSON *o = cJSON_CreateObject(), *all = cJSON_AddArrayToObject(o, "instructions");

    for (int i = 0; i < l->count; i++) {
        cJSON *one = cJSON_CreateObject();

        cJSON_AddStringToObject(one, "name", l->name[i]);
        cJSON_AddStringToObject(one, "dtype", srq_dtype_name(l->dtype[i]));
        cJSON_AddNumberToObject(one, "gflops", l->flops[i] * 1e-9);
        cJSON_AddItemToArray(all, one);
    }
    cJSON_AddNumberToObject(o, "memory_bytes_a_s", l->bytes);
    cJSON_AddNumberToObject(o, "region_s", l->region_s);
    return o;
}

static cJSON *part_json(const struct bench_part *p, const struct bench_iteration *b, const struct bench_limits *l)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "name", p->name);
    cJSON_AddNumberToObject(o, "seconds", p->seconds);
    put_known(o, "flops", p->work.flops);
    put_known(o, "bytes", p->work.bytes);
    put_known(o, "gflops", gflops(p->work.flops, p->seconds));
    put_known(o, "bytes_a_s", p->work.bytes / p->seconds);
    put_known(o, "roof_share", bench_roof_s(l, b->dtype, p->work) / p->seconds);
    return o;
}

static cJSON *iteration_json(const struct bench_iteration *b, const struct bench_limits *l)
{
    cJSON *o = cJSON_CreateObject(), *parts = cJSON_AddArrayToObject(o, "operations");
    double limit = bench_limit(l, b->dtype);

    for (int i = 0; i < b->part_count; i++)
        cJSON_AddItemToArray(parts, part_json(&b->parts[i], b, l));
    cJSON_AddStringToObject(o, "block", b->shape->name);
    cJSON_AddStringToObject(o, "method", b->method->name);
    cJSON_AddStringToObject(o, "what", b->what);
    cJSON_AddStringToObject(o, "dtype", srq_dtype_name(b->dtype));
    cJSON_AddNumberToObject(o, "iterations", b->count);
    cJSON_AddNumberToObject(o, "mean_s", b->mean_s);
    cJSON_AddNumberToObject(o, "median_s", b->median_s);
    cJSON_AddNumberToObject(o, "fastest_s", b->fastest_s);
    cJSON_AddNumberToObject(o, "gemm_flops", b->gemm_flops);
    put_known(o, "gemm_s", b->gemm_s);
    put_known(o, "ratio", b->gemm_s > 0 ? b->fastest_s / b->gemm_s : 0);
    put_known(o, "ratio_median", b->gemm_s > 0 ? b->median_s / b->gemm_s : 0);
    put_known(o, "limit_ratio", limit > 0 ? b->fastest_s / (b->gemm_flops / limit) : 0);
    cJSON_AddNumberToObject(o, "tape_bytes", (double)b->tape_bytes);
    cJSON_AddNumberToObject(o, "weight_bytes", (double)b->weight_bytes);
    cJSON_AddNumberToObject(o, "param_bytes", (double)b->param_bytes);
    cJSON_AddNumberToObject(o, "peak_rss_bytes", (double)b->peak_rss_bytes);
    return o;
}

static cJSON *scaling_json(const struct bench_scaling *s)
{
    cJSON *o = cJSON_CreateObject(), *rows;

    cJSON_AddStringToObject(o, "block", s->shape->name);
    cJSON_AddStringToObject(o, "method", s->method->name);
    rows = cJSON_AddArrayToObject(o, "teams");
    for (int i = 0; i < s->count; i++) {
        cJSON *one = cJSON_CreateObject();

        cJSON_AddNumberToObject(one, "threads", s->at[i].threads);
        cJSON_AddNumberToObject(one, "median_s", s->at[i].median_s);
        cJSON_AddNumberToObject(one, "fastest_s", s->at[i].fastest_s);
        cJSON_AddNumberToObject(one, "speed_up", s->at[0].fastest_s / s->at[i].fastest_s);
        cJSON_AddNumberToObject(one, "region_s", s->at[i].region_s);
        cJSON_AddItemToArray(rows, one);
    }
    return o;
}

int bench_print_json(const struct bench_results *r)
{
    cJSON *o = cJSON_CreateObject(), *blocks;
    char *text;

    cJSON_AddStringToObject(o, "version", PACKAGE_VERSION);
    cJSON_AddNumberToObject(o, "threads", srq_team_size());
    cJSON_AddStringToObject(o, "gemm_backend", r->backend);
    cJSON_AddItemToObject(o, "shapes", shapes_json());
    cJSON_AddItemToObject(o, "gemm", gemm_json(&r->gemm));
    cJSON_AddItemToObject(o, "limits", limits_json(&r->limits));
    blocks = cJSON_AddArrayToObject(o, "blocks");
    for (int i = 0; i < r->count; i++)
        cJSON_AddItemToArray(blocks, iteration_json(&r->iterations[i], &r->limits));
    cJSON_AddItemToObject(o, "block", iteration_json(bench_main_iteration(r), &r->limits));
    cJSON_AddItemToObject(o, "scaling", scaling_json(&r->scaling));
    text = cJSON_Print(o);
    cJSON_Delete(o);
    if (text == NULL)
        return 1;
    puts(text);
    cJSON_free(text);
    return 0;
}
