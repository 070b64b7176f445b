/* make bench: speed of matrix products, and of one tuning iteration of a block, on this machine.
 *
 * usage: bench [--json] [--threads N] [--iterations N] [--quick] */
#include "bench.h"

#include "core/math/team.h"
#include "core/tensor/dtype.h"
#include "daemon/srq-worker/passive.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

struct settings {
    bool json, quick;
    int threads, iterations;
};

static bool parse_count(const char *text, int *out)
{
    char *end;
    long n = strtol(text, &end, 10);

    *out = (int)n;
    return *end == '\0' && end != text && n >= 0 && n <= 100000;
}

static bool parse(int argc, char **argv, struct settings *s)
{
    *s = (struct settings){ .iterations = 20 };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            s->json = true;
        else if (strcmp(argv[i], "--quick") == 0)
            s->quick = true;
        else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc && parse_count(argv[i + 1], &s->threads))
            i++;
        else if (strcmp(argv[i], "--iterations") == 0 && i + 1 < argc && parse_count(argv[i + 1], &s->iterations))
            i++;
        else
            return false;
    }
    if (s->quick && s->iterations > 5)
        s->iterations = 5;
    return s->iterations > 0;
}

struct machine {
    struct bench_limits limits;
    double bytes_a_s;
};

static double gflops(double flops, double seconds)
{
    return seconds > 0 ? flops / seconds * 1e-9 : 0;
}

static double row_flops(const struct bench_gemm_row *r)
{
    return 2.0 * BENCH_TOKENS * (double)(r->out * r->in);
}

/* ---- table ---- */

static void print_gemm(const struct bench_gemm_row *rows, int count)
{
    printf("Products of a layer [out, in] with %d tokens, GFLOPS (fastest of several)\n\n", BENCH_TOKENS);
    printf("%-10s %-6s %12s", "backend", "dtype", "[out, in]");
    for (int p = 0; p < BENCH_PRODUCTS; p++)
        printf(" %11s", bench_product_names[p]);
    printf("\n");
    for (int i = 0; i < count; i++) {
        char shape[32];

        snprintf(shape, sizeof(shape), "[%d, %d]", (int)rows[i].out, (int)rows[i].in);
        printf("%-10s %-6s %12s", rows[i].ran, srq_dtype_name(rows[i].dtype), shape);
        for (int p = 0; p < BENCH_PRODUCTS; p++)
            printf(" %11.0f", gflops(row_flops(&rows[i]), rows[i].seconds[p]));
        printf("\n");
    }
}

static void print_limits(const struct machine *m)
{
    printf("\nThe machine's limits: ");
    for (int i = 0; i < m->limits.count; i++)
        printf("%s%s %.0f GFLOPS", i > 0 ? ", " : "", m->limits.name[i], m->limits.flops[i] * 1e-9);
    printf("%smemory %.1f GB/s\n", m->limits.count > 0 ? "; " : "", m->bytes_a_s * 1e-9);
}

static void print_block(const struct bench_block *b, const struct machine *m)
{
    double total = 0, limit = bench_limit(&m->limits, b->dtype);

    for (int i = 0; i < b->part_count; i++)
        total += b->parts[i].seconds;
    printf("\nOne tuning iteration of a block (hidden %d, %d heads, %d kv, MLP %d, %d x %d tokens, w4g%d, signround, "
           "%s)\n\n",
           BENCH_HIDDEN, BENCH_HEADS, BENCH_KV_HEADS, BENCH_INNER, BENCH_BATCH, BENCH_SEQ, BENCH_GROUP,
           srq_dtype_name(b->dtype));
    printf("%-24s %10s %8s %8s %9s\n", "operation", "ms", "share", "GFLOPS", "of limit");
    for (int i = 0; i < b->part_count; i++) {
        printf("%-24s %10.3f %7.1f%%", b->parts[i].name, b->parts[i].seconds * 1e3, b->parts[i].seconds / total * 100);
        if (b->parts[i].flops > 0)
            printf(" %8.0f", gflops(b->parts[i].flops, b->parts[i].seconds));
        if (b->parts[i].flops > 0 && limit > 0)
            printf(" %8.1f%%", b->parts[i].flops / b->parts[i].seconds / limit * 100);
        printf("\n");
    }
    printf("%-24s %10.3f\n\n", "mean of the iteration", total * 1e3);
    printf("median %.4g ms, fastest %.4g ms of %d iterations\n", b->median_s * 1e3, b->fastest_s * 1e3, b->iterations);
    printf("products alone at the best backend's speed: %.4g ms (%.3g GFLOP); ratio %.3f (median %.3f)\n",
           b->gemm_s * 1e3, b->gemm_flops * 1e-9, b->fastest_s / b->gemm_s, b->median_s / b->gemm_s);
    if (limit > 0)
        printf("products at the machine's limit: %.4g ms; ratio %.3f (median %.3f)\n", b->gemm_flops / limit * 1e3,
               b->fastest_s / (b->gemm_flops / limit), b->median_s / (b->gemm_flops / limit));
    printf("memory: tape %.4g MiB, weights %.4g MiB, plugin arrays %.4g MiB; peak resident %.4g MiB\n",
           (double)b->tape_bytes / 1048576, (double)b->weight_bytes / 1048576, (double)b->param_bytes / 1048576,
           (double)b->peak_rss_bytes / 1048576);
}

/* ---- JSON ---- */

static cJSON *gemm_json(const struct bench_gemm_row *rows, int count)
{
    static const char *const keys[BENCH_PRODUCTS] = { "y_gflops", "dx_gflops", "dw_gflops" };
    cJSON *all = cJSON_CreateArray();

    for (int i = 0; i < count; i++) {
        cJSON *r = cJSON_CreateObject();

        cJSON_AddStringToObject(r, "backend", rows[i].ran);
        cJSON_AddStringToObject(r, "dtype", srq_dtype_name(rows[i].dtype));
        cJSON_AddNumberToObject(r, "tokens", BENCH_TOKENS);
        cJSON_AddNumberToObject(r, "out", (double)rows[i].out);
        cJSON_AddNumberToObject(r, "in", (double)rows[i].in);
        for (int p = 0; p < BENCH_PRODUCTS; p++)
            cJSON_AddNumberToObject(r, keys[p], gflops(row_flops(&rows[i]), rows[i].seconds[p]));
        cJSON_AddItemToArray(all, r);
    }
    return all;
}

static cJSON *block_json(const struct bench_block *b)
{
    cJSON *o = cJSON_CreateObject(), *parts = cJSON_AddArrayToObject(o, "operations");

    for (int i = 0; i < b->part_count; i++) {
        cJSON *p = cJSON_CreateObject();

        cJSON_AddStringToObject(p, "name", b->parts[i].name);
        cJSON_AddNumberToObject(p, "seconds", b->parts[i].seconds);
        if (b->parts[i].flops > 0)
            cJSON_AddNumberToObject(p, "gflops", gflops(b->parts[i].flops, b->parts[i].seconds));
        else
            cJSON_AddNullToObject(p, "gflops");
        cJSON_AddItemToArray(parts, p);
    }
    cJSON_AddStringToObject(o, "dtype", srq_dtype_name(b->dtype));
    cJSON_AddNumberToObject(o, "iterations", b->iterations);
    cJSON_AddNumberToObject(o, "median_s", b->median_s);
    cJSON_AddNumberToObject(o, "fastest_s", b->fastest_s);
    cJSON_AddNumberToObject(o, "gemm_s", b->gemm_s);
    cJSON_AddNumberToObject(o, "gemm_flops", b->gemm_flops);
    cJSON_AddNumberToObject(o, "ratio", b->fastest_s / b->gemm_s);
    cJSON_AddNumberToObject(o, "ratio_median", b->median_s / b->gemm_s);
    cJSON_AddNumberToObject(o, "tape_bytes", (double)b->tape_bytes);
    cJSON_AddNumberToObject(o, "weight_bytes", (double)b->weight_bytes);
    cJSON_AddNumberToObject(o, "param_bytes", (double)b->param_bytes);
    cJSON_AddNumberToObject(o, "peak_rss_bytes", (double)b->peak_rss_bytes);
    return o;
}

static cJSON *limits_json(const struct machine *m)
{
    cJSON *o = cJSON_CreateObject(), *all = cJSON_AddArrayToObject(o, "instructions");

    for (int i = 0; i < m->limits.count; i++) {
        cJSON *l = cJSON_CreateObject();

        cJSON_AddStringToObject(l, "name", m->limits.name[i]);
        cJSON_AddStringToObject(l, "dtype", srq_dtype_name(m->limits.dtype[i]));
        cJSON_AddNumberToObject(l, "gflops", m->limits.flops[i] * 1e-9);
        cJSON_AddItemToArray(all, l);
    }
    cJSON_AddNumberToObject(o, "memory_bytes_a_s", m->bytes_a_s);
    return o;
}

static int print_json(const struct bench_gemm_row *rows, int count, const struct bench_block *b,
                      const struct machine *m, const char *backend)
{
    double limit = bench_limit(&m->limits, b->dtype);
    cJSON *o = cJSON_CreateObject();
    char *text;

    cJSON_AddStringToObject(o, "version", PACKAGE_VERSION);
    cJSON_AddNumberToObject(o, "threads", srq_team_size());
    cJSON_AddStringToObject(o, "gemm_backend", backend);
    cJSON_AddItemToObject(o, "gemm", gemm_json(rows, count));
    cJSON_AddItemToObject(o, "limits", limits_json(m));
    cJSON_AddItemToObject(o, "block", block_json(b));
    if (limit > 0)
        cJSON_AddNumberToObject(cJSON_GetObjectItem(o, "block"), "limit_ratio", b->fastest_s / (b->gemm_flops / limit));
    text = cJSON_Print(o);
    cJSON_Delete(o);
    if (text == NULL)
        return 1;
    puts(text);
    cJSON_free(text);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench_gemm_row rows[BENCH_GEMM_ROWS];
    struct bench_block block;
    struct machine machine;
    struct srq_error err = { 0 };
    struct settings s;
    char backend[512];
    int count;

    worker_passive(argv);
    if (!parse(argc, argv, &s)) {
        fprintf(stderr, "usage: bench [--json] [--threads N] [--iterations N] [--quick]\n");
        return 2;
    }
    if (srq_team_start(s.threads, &err) != 0 || srq_gemm_start(NULL, &err) != 0) {
        fprintf(stderr, "bench: %s\n", err.text);
        return 1;
    }
    snprintf(backend, sizeof(backend), "%s", srq_gemm_describe());
    srq_gemm_stop();
    if (!s.json)
        printf("srq %s, %d threads, %s\n\n", PACKAGE_VERSION, srq_team_size(), backend);
    bench_limits(&machine.limits);
    machine.bytes_a_s = bench_bandwidth();
    count = bench_gemm(rows, s.quick);
    if (!s.json) {
        print_gemm(rows, count);
        print_limits(&machine);
    }
    if (bench_block(rows, count, s.iterations, &block, &err) != 0) {
        fprintf(stderr, "bench: %s\n", err.text);
        return 1;
    }
    if (s.json)
        return print_json(rows, count, &block, &machine, backend);
    print_block(&block, &machine);
    return 0;
}
