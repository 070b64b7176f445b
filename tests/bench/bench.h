/* The benchmark's parts. */
#ifndef SRQ_BENCH_H
#define SRQ_BENCH_H

#include "core/model/model.h"
#include "core/tape/times.h"

/* ---- what is measured ---- */

/* A decoder block, and how many tokens go through it at once. */
struct bench_shape {
    const char *name;
    bool by_default;
    const char *shipped;  /* a model that comes with srq; NULL: one block with random weights */
    const char *pictures; /* a diffusion model that does; NULL: there is none */
    int64_t hidden, heads, kv_heads, head_dim, inner, batch, seq, group;
};
extern const struct bench_shape bench_shapes[];
extern const int bench_shape_count;

struct bench_layer {
    int64_t out, in;
    int alike; /* the first of the block's layers with the same shape */
    bool dx;   /* its input wants a gradient where the block's own does not */
};
#define BENCH_LAYERS 7
void bench_layers_of(const struct bench_shape *s, struct bench_layer out[BENCH_LAYERS]);

/* A shipped model, from the folder `models`, or one that is made of random weights; of words, else of pictures. The
 * caller closes it. */
int bench_model_open(const struct bench_shape *s, bool words, const char *models, struct srq_model **out,
                     struct srq_error *err);

/* ---- products ---- */

/* The three products of a linear layer [out, in] with its gradients. */
enum bench_product { BENCH_Y, BENCH_DX, BENCH_DW, BENCH_PRODUCTS };
extern const char *const bench_product_names[BENCH_PRODUCTS];

struct bench_gemm_row {
    const struct bench_shape *shape;
    const char *backend;
    enum srq_dtype dtype;
    int64_t out, in;
    double seconds[BENCH_PRODUCTS]; /* the fastest of several */
};
#define BENCH_GEMM_ROWS 128
struct bench_gemm {
    struct bench_gemm_row rows[BENCH_GEMM_ROWS];
    int count;
};

/* Adds the layers of a block by every backend of this build, F32 and BF16. */
void bench_gemm(const struct bench_shape *s, bool quick, struct bench_gemm *out);
double bench_gemm_flops(const struct bench_gemm_row *r); /* of each product */
/* Seconds of all products of a tuning iteration of the block, each by the fastest backend. */
double bench_gemm_block(const struct bench_gemm *g, const struct bench_shape *s, enum srq_dtype dtype);

/* ---- the machine's limits, of all threads of the team together ---- */

struct bench_limits {
    int count;
    const char *name[4]; /* of the instruction */
    enum srq_dtype dtype[4];
    double flops[4]; /* a second, from registers alone */
    double bytes;    /* a second, read and written, of a copy in memory */
    double region_s; /* that a parallel loop of the whole team takes where it has nothing to do */
};
void bench_limits(struct bench_limits *out);
double bench_limit(const struct bench_limits *l, enum srq_dtype dtype); /* the most; 0: not known here */
double bench_region(void);
/* Seconds that work takes at least: by its FLOPs, or by its bytes; 0: not known. */
double bench_roof_s(const struct bench_limits *l, enum srq_dtype dtype, struct srq_tape_work work);

/* ---- iterations ---- */

struct bench_method;

#define BENCH_PARTS 48
#define BENCH_WHAT 120
struct bench_iteration {
    const struct bench_shape *shape;
    const struct bench_method *method;
    char what[BENCH_WHAT]; /* sizes, for people */
    enum srq_dtype dtype;
    int count; /* iterations measured */
    double median_s, fastest_s, mean_s;
    double gemm_flops; /* of all products of layers */
    double gemm_s;     /* of the same at the best backend's speed; 0: not known */
    struct bench_part {
        char name[32];
        double seconds; /* of one iteration, as its work is */
        struct srq_tape_work work;
    } parts[BENCH_PARTS];
    int part_count;
    uint64_t tape_bytes, weight_bytes, param_bytes, peak_rss_bytes;
};

struct bench_method {
    const char *name;
    bool words; /* of language models; else the shipped diffusion model's */
    bool once;  /* an iteration has the products of one block's layers once each */
    int (*run)(struct srq_model *m, const struct bench_shape *s, int iterations, struct bench_iteration *out,
               struct srq_error *err);
};
extern const struct bench_method bench_methods[];
extern const int bench_method_count;

/* Whether the method has such a block. */
bool bench_has(const struct bench_method *m, const struct bench_shape *s);
/* By the product's own loop, with its products by the backend that is chosen by itself. */
int bench_iterate(const struct bench_method *method, const struct bench_shape *s, struct srq_model *model,
                  int iterations, struct bench_iteration *out, struct srq_error *err);

/* The same iteration with fewer threads. */
#define BENCH_TEAMS 16
struct bench_scaling {
    const struct bench_shape *shape;
    const struct bench_method *method;
    int count;
    struct {
        int threads;
        double median_s, fastest_s, region_s;
    } at[BENCH_TEAMS];
};

/* ---- what is said of it ---- */

#define BENCH_ITERATIONS 8
struct bench_results {
    char backend[512];
    struct bench_limits limits;
    struct bench_gemm gemm;
    struct bench_iteration iterations[BENCH_ITERATIONS];
    int count;
    struct bench_scaling scaling;
};

/* The one that is looked at first: of smollm2, else of what there is. */
const struct bench_iteration *bench_main_iteration(const struct bench_results *r);

void bench_print_gemm(const struct bench_gemm *g);
void bench_print_limits(const struct bench_limits *l);
void bench_print_iteration(const struct bench_iteration *b, const struct bench_limits *l);
void bench_print_scaling(const struct bench_scaling *s);
int bench_print_json(const struct bench_results *r);
/* A chart of each iteration, one below the other. */
int bench_roofline(const struct bench_results *r, const char *path, struct srq_error *err);

#endif
