/* The benchmark's parts. */
#ifndef SRQ_BENCH_H
#define SRQ_BENCH_H

#include "core/math/gemm.h"

/* Shapes of SmolLM2-135M; the tokens of one micro-batch of 8 x 256. */
enum {
    BENCH_BATCH = 8,
    BENCH_SEQ = 256,
    BENCH_TOKENS = BENCH_BATCH * BENCH_SEQ,
    BENCH_HIDDEN = 576,
    BENCH_HEADS = 9,
    BENCH_KV_HEADS = 3,
    BENCH_HEAD_DIM = 64,
    BENCH_INNER = 1536,
    BENCH_GROUP = 64
};

/* The three products of a linear layer [out, in] with its gradients. */
enum bench_product { BENCH_Y, BENCH_DX, BENCH_DW, BENCH_PRODUCTS };
extern const char *const bench_product_names[BENCH_PRODUCTS];

struct bench_gemm_row {
    const char *backend; /* asked for */
    const char *ran;     /* who computed it */
    enum srq_dtype dtype;
    int64_t out, in;
    double seconds[BENCH_PRODUCTS]; /* the fastest of several */
};
#define BENCH_GEMM_ROWS 48

/* Every backend of this build, F32 and BF16. Returns the number of rows. */
int bench_gemm(struct bench_gemm_row rows[BENCH_GEMM_ROWS], bool quick);
/* The least time of a product at BENCH_TOKENS over all backends, in `dtype`. */
double bench_gemm_best(const struct bench_gemm_row *rows, int count, enum srq_dtype dtype, int64_t out, int64_t in,
                       enum bench_product product);

/* The machine's limits, of all threads of the team together. */
struct bench_limits {
    int count;
    const char *name[4]; /* of the instruction */
    enum srq_dtype dtype[4];
    double flops[4]; /* a second, from registers alone */
};
void bench_limits(struct bench_limits *out);
double bench_limit(const struct bench_limits *l, enum srq_dtype dtype); /* the most; 0: not known here */
double bench_bandwidth(void); /* bytes a second, read and written, of a copy in memory */

#define BENCH_PARTS 24
struct bench_block {
    enum srq_dtype dtype;
    int iterations;
    double median_s, fastest_s;
    double gemm_s; /* all products of an iteration at the best backend's speed */
    double gemm_flops;
    struct {
        const char *name;
        double seconds, flops; /* of one iteration */
    } parts[BENCH_PARTS];
    int part_count;
    uint64_t tape_bytes, weight_bytes, param_bytes, peak_rss_bytes;
};

/* One block of a llama, tuned by the signround plugin (found by $SRQ_PLUGIN_PATH). */
int bench_block(const struct bench_gemm_row *rows, int row_count, int iterations, struct bench_block *out,
                struct srq_error *err);

#endif
