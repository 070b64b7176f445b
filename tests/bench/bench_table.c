/* Results for people. */
#include "bench.h"

#include "core/math/team.h"
#include "core/tensor/dtype.h"

static double rate(double work, double seconds)
{
    return seconds > 0 ? work / seconds * 1e-9 : 0;
}

void bench_print_gemm(const struct bench_gemm *g)
{
    const struct bench_shape *last = NULL;

    for (int i = 0; i < g->count; i++) {
        const struct bench_gemm_row *r = &g->rows[i];
        char shape[32];

        if (r->shape != last) {
            printf("\nProducts of the layers [out, in] of block %s with %d tokens, GFLOPS (fastest of several)\n\n",
                   r->shape->name, (int)(r->shape->batch * r->shape->seq));
            printf("%-12s %-6s %14s", "backend", "dtype", "[out, in]");
            for (int p = 0; p < BENCH_PRODUCTS; p++)
                printf(" %11s", bench_product_names[p]);
            printf("\n");
        }
        last = r->shape;
        snprintf(shape, sizeof(shape), "[%d, %d]", (int)r->out, (int)r->in);
        printf("%-12s %-6s %14s", r->backend, srq_dtype_name(r->dtype), shape);
        for (int p = 0; p < BENCH_PRODUCTS; p++)
            printf(" %11.4g", rate(bench_gemm_flops(r), r->seconds[p]));
        printf("\n");
    }
}

void bench_print_limits(const struct bench_limits *l)
{
    printf("The machine's limits: ");
    for (int i = 0; i < l->count; i++)
        printf("%s%s %.0f GFLOPS", i > 0 ? ", " : "", l->name[i], l->flops[i] * 1e-9);
    printf("%smemory %.1f GB/s, a parallel region of %d %.2f us\n", l->count > 0 ? "; " : "", l->bytes * 1e-9,
           srq_team_size(), l->region_s * 1e6);
}

/* A number with its decimals, or a dash for what is not known. */
static void print_known(int width, int decimals, double v)
{
    if (v > 0)
        printf(" %*.*f", width, decimals, v);
    else
        printf(" %*s", width, "-");
}

static void print_part(const struct bench_part *p, const struct bench_iteration *b, const struct bench_limits *l)
{
    printf("%-20s %9.3f %6.1f%%", p->name, p->seconds * 1e3, p->seconds / b->mean_s * 100);
    print_known(9, 3, p->work.flops * 1e-9);
    print_known(8, 1, rate(p->work.flops, p->seconds));
    print_known(9, 2, p->work.bytes * 1e-6);
    print_known(8, 2, rate(p->work.bytes, p->seconds));
    print_known(8, 1, bench_roof_s(l, b->dtype, p->work) / p->seconds * 100);
    printf("\n");
}

/* The products of layers against what was measured of the same, and against the machine. */
static void print_ratios(const struct bench_iteration *b, double limit)
{
    if (b->gemm_s > 0)
        printf("products alone at the best backend's speed: %.4g ms (%.3g GFLOP); ratio %.3f (median %.3f)\n",
               b->gemm_s * 1e3, b->gemm_flops * 1e-9, b->fastest_s / b->gemm_s, b->median_s / b->gemm_s);
    if (limit > 0)
        printf("products at the machine's limit: %.4g ms; ratio %.3f (median %.3f)\n", b->gemm_flops / limit * 1e3,
               b->fastest_s / (b->gemm_flops / limit), b->median_s / (b->gemm_flops / limit));
}

void bench_print_iteration(const struct bench_iteration *b, const struct bench_limits *l)
{
    printf("\nOne iteration of %s, block %s: %s\n\n", b->method->name, b->shape->name, b->what);
    printf("%-20s %9s %7s %9s %8s %9s %8s %8s\n", "operation", "ms", "share", "GFLOP", "GFLOPS", "MB", "GB/s",
           "% roof");
    for (int i = 0; i < b->part_count; i++)
        print_part(&b->parts[i], b, l);
    printf("%-20s %9.3f\n\n", "mean", b->mean_s * 1e3);
    printf("median %.4g ms, fastest %.4g ms of %d iterations\n", b->median_s * 1e3, b->fastest_s * 1e3, b->count);
    print_ratios(b, bench_limit(l, b->dtype));
    printf("memory: tape %.4g MiB, weights %.4g MiB, arrays beside them %.4g MiB; peak resident so far %.4g MiB\n",
           (double)b->tape_bytes / 1048576, (double)b->weight_bytes / 1048576, (double)b->param_bytes / 1048576,
           (double)b->peak_rss_bytes / 1048576);
}

void bench_print_scaling(const struct bench_scaling *s)
{
    printf("\nThe same with fewer threads: %s, block %s\n\n", s->method->name, s->shape->name);
    printf("%8s %11s %11s %9s %11s\n", "threads", "median ms", "fastest ms", "speed-up", "region us");
    for (int i = 0; i < s->count; i++)
        printf("%8d %11.3f %11.3f %9.2f %11.2f\n", s->at[i].threads, s->at[i].median_s * 1e3, s->at[i].fastest_s * 1e3,
               s->at[0].fastest_s / s->at[i].fastest_s, s->at[i].region_s * 1e6);
}
