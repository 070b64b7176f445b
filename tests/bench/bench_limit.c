/* What this machine could do at most: products from registers alone, on all threads of the team at once, and memory
 * that is read and written; and what it costs to have all threads begin and end something. */
#include "bench.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/math/panels.h"
#include "core/math/team.h"

#include <stdlib.h>

#define LOOPS 400000
#define ROUNDS 5
#define COPIED ((size_t)32 << 20) /* of each thread: more than its share of any cache */

#if defined(__x86_64__) && defined(SRQ_PANEL_KERNELS)
#include <immintrin.h>

#define FMA_TARGET __attribute__((target("avx2,fma")))
#define AMX_TARGET __attribute__((target("amx-tile,amx-bf16")))

/* FLOPs done; *keep takes what was summed up, so that it is summed up. */
static double dot_bf16(float *keep)
{
    return srq_loop_of_dots(LOOPS, keep);
}

static double fma_512(float *keep)
{
    return srq_loop_of_fmas(LOOPS, keep);
}

#define SUMS_256 12 /* that do not wait for each other */

FMA_TARGET static double fma_256(float *keep)
{
    const __m256 a = _mm256_set1_ps(1e-9f);
    __m256 s[SUMS_256];
    float out[8];

    for (int j = 0; j < SUMS_256; j++)
        s[j] = _mm256_setzero_ps();
    for (long i = 0; i < LOOPS; i++) {
#pragma GCC unroll 12
        for (int j = 0; j < SUMS_256; j++)
            s[j] = _mm256_fmadd_ps(a, a, s[j]);
    }
    for (int j = 0; j < SUMS_256; j++) {
        _mm256_storeu_ps(out, s[j]);
        *keep += out[0];
    }
    return 16.0 * SUMS_256 * LOOPS;
}

AMX_TARGET static double tiles_bf16(float *keep)
{
    (void)keep;
    srq_panels_amx.enter();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    for (long i = 0; i < LOOPS / 8; i++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    srq_panels_amx.leave();
    return 4.0 * 2 * 16 * 16 * 32 * (LOOPS / 8);
}

static double halves(float *keep)
{
#ifdef SRQ_FP16_KERNEL
    return srq_loop_of_halves(LOOPS, keep);
#else
    (void)keep;
    return 0;
#endif
}

static const struct {
    const char *name;
    enum srq_dtype dtype;
    double (*run)(float *keep);
} loops[] = { { "TDPBF16PS", SRQ_BF16, tiles_bf16 },
              { "VDPBF16PS", SRQ_BF16, dot_bf16 },
              { "VFMADDPH", SRQ_F16, halves },
              { "FMA, 512 bits", SRQ_F32, fma_512 },
              { "FMA, 256 bits", SRQ_F32, fma_256 } };

static bool runs_here(int i)
{
    __builtin_cpu_init();
    switch (i) {
    case 0:
        return srq_panels_amx.usable();
    case 1:
        return srq_panels_avx512.usable();
    case 2:
#ifdef SRQ_FP16_KERNEL
        return srq_panels_fp16.usable();
#else
        return false;
#endif
    case 3:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    default:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
}

struct looping {
    double (*run)(float *keep);
    double flops[SRQ_TEAM_MAX];
    float keep[SRQ_TEAM_MAX];
};

static void loop_share(void *ctx, int64_t begin, int64_t end)
{
    struct looping *l = ctx;

    for (int64_t i = begin; i < end; i++)
        l->flops[i] = l->run(&l->keep[i]);
}

/* FLOPs a second of all threads together, the best of some rounds. */
static double fastest(double (*run)(float *keep))
{
    struct looping *l = srq_calloc(1, sizeof(*l));
    double best = 0;

    for (int r = 0; l != NULL && r < ROUNDS; r++) {
        double since = srq_clock_s(), flops = 0;

        l->run = run;
        srq_parallel(srq_team_size(), 1, loop_share, l);
        since = srq_clock_s() - since;
        for (int i = 0; i < srq_team_size(); i++)
            flops += l->flops[i];
        best = flops / since > best ? flops / since : best;
    }
    srq_free(l);
    return best;
}

static void time_loops(struct bench_limits *out)
{
    for (int i = 0; i < (int)(sizeof(loops) / sizeof(loops[0])); i++) {
        if (!runs_here(i))
            continue;
        out->name[out->count] = loops[i].name;
        out->dtype[out->count] = loops[i].dtype;
        out->flops[out->count++] = fastest(loops[i].run);
    }
}

#else

static void time_loops(struct bench_limits *out)
{
    (void)out;
}

#endif

/* ---- memory ---- */

struct copying {
    char *from, *to;
};

static void copy_share(void *ctx, int64_t begin, int64_t end)
{
    const struct copying *c = ctx;

    for (int64_t i = begin; i < end; i++)
        memcpy(c->to + (size_t)i * COPIED, c->from + (size_t)i * COPIED, COPIED);
}

static double bandwidth(void)
{
    size_t bytes = COPIED * (size_t)srq_team_size();
    struct copying c = { srq_pages_alloc(bytes), srq_pages_alloc(bytes) };
    double best = 0;

    if (c.from != NULL)
        memset(c.from, 1, bytes);
    for (int r = 0; c.from != NULL && c.to != NULL && r <= ROUNDS; r++) {
        double since = srq_clock_s();

        srq_parallel(srq_team_size(), 1, copy_share, &c);
        since = srq_clock_s() - since;
        if (r > 0 && 2.0 * (double)bytes / since > best) /* the first round makes the pages */
            best = 2.0 * (double)bytes / since;
    }
    srq_pages_free(c.from, bytes);
    srq_pages_free(c.to, bytes);
    return best;
}

/* ---- the team ---- */

#define REGIONS 2000

static void nothing(void *ctx, int64_t begin, int64_t end)
{
    (void)ctx;
    (void)begin;
    (void)end;
}

double bench_region(void)
{
    double best = 0;

    for (int r = 0; r <= ROUNDS; r++) {
        double since = srq_clock_s();

        for (int i = 0; i < REGIONS; i++)
            srq_parallel(srq_team_size(), 1, nothing, NULL);
        since = (srq_clock_s() - since) / REGIONS;
        best = r == 0 || since < best ? since : best;
    }
    return best;
}

/* ---- all of them ---- */

void bench_limits(struct bench_limits *out)
{
    memset(out, 0, sizeof(*out));
    time_loops(out);
    out->bytes = bandwidth();
    out->region_s = bench_region();
}

double bench_limit(const struct bench_limits *l, enum srq_dtype dtype)
{
    double best = 0;

    for (int i = 0; i < l->count; i++) {
        const bool fits = l->dtype[i] == dtype || l->dtype[i] == SRQ_F32 || dtype == SRQ_BF16; /* widened, or scaled */

        if (fits && l->flops[i] > best)
            best = l->flops[i];
    }
    return best;
}

double bench_roof_s(const struct bench_limits *l, enum srq_dtype dtype, struct srq_tape_work work)
{
    double limit = bench_limit(l, dtype), compute = limit > 0 ? work.flops / limit : 0,
           memory = l->bytes > 0 ? work.bytes / l->bytes : 0;

    return compute > memory ? compute : memory;
}
