/* The plugin interface: how an algorithm joins srq.
 *
 * A plugin is one shared object that exports one symbol, `const struct srq_plugin srq_plugin`. It includes only the
 * headers of this folder and links against nothing of srq: every service comes through `struct srq_host`.
 *
 * The host owns data order, loops, schedules, best-iterate choice, memory, checkpoints and events; a plugin owns its
 * mathematics. All structs here are append-only: a reader uses `size` to know which members its peer has.
 *
 * Calls into one plugin instance never overlap, except where a comment says "called from several threads". */
#ifndef SRQ_PLUGIN_H
#define SRQ_PLUGIN_H

#include <srq/error.h>
#include <srq/types.h>

#if defined(__GNUC__)
#define SRQ_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define SRQ_PLUGIN_EXPORT
#endif

#define SRQ_PLUGIN_MAGIC 0x53525121u /* "SRQ!" */
#define SRQ_ABI_MAJOR 1              /* differs: the plugin is refused */
#define SRQ_ABI_MINOR 2              /* plugin newer than host: refused */

/* ---- options ----------------------------------------------------------------------------------------------------- */

enum srq_option_type { SRQ_OPT_BOOL, SRQ_OPT_INT, SRQ_OPT_FLOAT, SRQ_OPT_STRING, SRQ_OPT_CHOICE };

/* One row of a plugin's option table. It parses job specs and makes `srqctl plugin info`, forms and man pages. */
struct srq_option {
    const char *name; /* without the plugin's name: "iters" is set by `--set signround.iters=…` */
    enum srq_option_type type;
    const char *unit;    /* "iterations", "s", … or NULL */
    double min, max;     /* inclusive; numbers only; both 0: unbounded */
    const char *choices; /* SRQ_OPT_CHOICE: "a,b,c" */
    const char *value;   /* default, as text; NULL: unset (the getters say so) */
    const char *help;    /* one sentence */
};

/* A named set of defaults, chosen by the option named "recipe". Keys without a dot are job options (nsamples, seqlen,
 * batch); a value that the user set wins over the recipe's. */
struct srq_recipe_row {
    const char *recipe;
    const char *key; /* "iters", or a job option prefixed by "job.": "job.nsamples" */
    const char *value;
};

struct srq_options; /* opaque: the values of one plugin's options for one job */

/* ---- what the host shows a plugin -------------------------------------------------------------------------------- */

/* Where a layer's groups are. `per_row` groups in each of `out` rows, the last one short by `pad` elements (as if the
 * row were padded with zeros); with group 0, one group for the whole tensor and per_row is 1. */
struct srq_groups {
    int64_t out, in;
    int64_t len;     /* elements in a group along `in` (in for -1 and 0) */
    int64_t per_row; /* groups in one row */
    int64_t count;   /* all groups of the layer: out * per_row, or 1 with group 0 */
};

/* One layer while it is being quantized. Everything is the host's; a plugin may keep its own pointer in `user`. */
struct srq_layer {
    uint32_t size;
    const char *name;         /* checkpoint tensor without ".weight": "model.layers.3.mlp.down_proj" */
    int block, index;         /* which block; position inside it */
    struct srq_tensor weight; /* original [out, in], F32, F16 or BF16, read-only */
    struct srq_scheme scheme;
    struct srq_groups groups;
    const float *importance; /* [in] sum over calibration tokens of x^2, or NULL when not asked for */
    float **param;           /* param[k]: the array declared as k-th, `count` floats */
    void *user;
    float tensor_scale; /* nvfp4: gs = 448*6 / largest magnitude of the weight and of those tied to it
                           (spec signround 9.2); 1 for other grids */
    /* Of the layer's inputs x, where asked for (SRQ_NEED_…), else NULL; importance is not given beside them. (since
     * 1.2) */
    const float *in_max, *in_mean; /* [in] largest and mean |x| */
    const float *hessian;          /* [in, in] mean of x xᵀ, symmetric, both halves filled */
    int64_t tokens;                /* that they were taken over */
};

/* What a quantizer gives back; the arrays are the host's, already of the right size. */
struct srq_result {
    uint32_t size;
    uint8_t *codes; /* [out, in] unsigned stored codes: sym q + 2^(bits-1), asym q in 0 … 2^bits-1; mxfp4, nvfp4: the
                       four bits of E2M1 (sign highest); mxfp8, fp8: the byte of E4M3 */
    float *scale;   /* [count] of srq_groups. Integers: exactly representable in F16, sign included; mx: a power of two
                       of E8M0; nvfp4: a value of E4M3, not yet divided by tensor_scale; fp8: any positive F32 */
    uint8_t *zero;  /* [count] stored zero-points: 2^(bits-1) for sym; 0 for floating-point grids */
};

/* ---- tunable quantizers ------------------------------------------------------------------------------------------ */

enum {
    SRQ_PARAM_TUNED = 1,   /* part of the best-iterate snapshot and of checkpoints */
    SRQ_PARAM_STATE = 2,   /* part of checkpoints only (momentum) */
    SRQ_PARAM_SCRATCH = 3, /* neither: made again by begin(), or valid only within an iteration */
};

/* One array of floats that a plugin wants for a layer. The host allocates it inside the planned memory, filled with
 * `init` before begin(). */
struct srq_param {
    const char *name;
    int64_t count;
    float init;
    int kind; /* SRQ_PARAM_… */
};
#define SRQ_MAX_PARAMS 16

/* How the host shall run the loop of one block. */
struct srq_schedule {
    uint32_t size;
    int64_t iters;    /* 0: no tuning, finish() is called at once */
    int64_t accum;    /* micro-batches per step, at least 1 */
    bool keep_best;   /* restore the iterate with the lowest probe loss at the end (else the last one) */
    int64_t patience; /* stop after so many iterations without a better probe; 0: never */
    double lr;        /* learning rate at the first step, for display only; 0: unknown */
    int decay;        /* SRQ_DECAY_…, how srq_step.schedule falls (since 1.1) */
};

enum {
    SRQ_DECAY_LINEAR = 0, /* 1 - t/T */
    SRQ_DECAY_COSINE,     /* (1 + cos(pi t/T)) / 2 */
};

/* Where the loop is. */
struct srq_step {
    uint32_t size;
    int64_t iter, iters;  /* 0-based */
    int64_t micro, accum; /* micro-batch within the step */
    double schedule;      /* factor on learning rates, by srq_schedule.decay */
};

struct srq_host;

enum {
    SRQ_NEED_IMPORTANCE = 1u << 0, /* layer->importance */
    SRQ_NEED_HESSIAN = 1u << 1,    /* layer->hessian (since 1.2) */
    SRQ_NEED_RANGES = 1u << 2,     /* layer->in_max and in_mean (since 1.2) */
    SRQ_NEED_SEQUENTIAL = 1u << 3, /* one-shot quantizers: the statistics of a layer come through the layers before it
                                      as they were quantized, those of its own block included (true-sequential); without
                                      it only the blocks before are. (since 1.2) */
    SRQ_NEED_FEEDBACK = 1u << 4,   /* one-shot quantizers: memory to round with column_feedback (three squares of the
                                      layer's inputs and its weights, F32) is planned beside its second moment */
};

/* What holds for one block alone. The host fills it with zeros first. */
struct srq_block_rules {
    uint32_t size;
    double drop_largest; /* share of the elements of a micro-batch's block output whose errors are largest that is left
                            out of the loss, rounded down but at least one (spec signround 8.3); 0: none is */
};

struct srq_tunable {
    uint32_t size;
    /* How to run the loop. */
    int (*schedule)(const struct srq_host *h, void *self, struct srq_schedule *out, struct srq_error *err);
    /* Which arrays `layer` needs; called with shapes and scheme only, also for the memory plan. */
    int (*declare)(const struct srq_host *h, void *self, const struct srq_layer *layer,
                   struct srq_param param[SRQ_MAX_PARAMS], int *count, struct srq_error *err);
    /* Once per layer and block, also after a resume (then followed by the restored TUNED and STATE arrays). */
    int (*begin)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_error *err);
    /* Writes the fake-quantized weight [out, in] for the present parameters. `dst` is F32 or BF16. May use
     * h->parallel. */
    int (*weight)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_tensor *dst,
                  struct srq_error *err);
    /* Receives rows [row, row+rows) of dL/dŴ, `grad` [rows, in] F32, which it may overwrite. Every row comes exactly
     * once per micro-batch, after weight(). Called from several threads, for different rows of the same layer. */
    void (*sink)(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                 int64_t row, int64_t rows, float *grad);
    /* After the last micro-batch of a step, once per layer. */
    int (*step)(const struct srq_host *h, void *self, struct srq_layer *layer, const struct srq_step *step,
                struct srq_error *err);
    /* Codes for the present parameters (the host has restored the best ones). */
    int (*finish)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                  struct srq_error *err);
    /* SRQ_NEED_… for this job; NULL: nothing. Importance is that of the full-precision inputs. (since 1.1) */
    uint32_t (*needs)(const struct srq_host *h, void *self);
    /* Before begin(), once per block, and for the memory plan with shapes and schemes only; NULL: no special rules.
     * `layers`: those that are quantized. (since 1.1) */
    int (*rules)(const struct srq_host *h, void *self, const struct srq_layer *const *layers, int count,
                 struct srq_block_rules *out, struct srq_error *err);
};

/* ---- one-shot quantizers ----------------------------------------------------------------------------------------- */

struct srq_oneshot {
    uint32_t size;
    uint32_t needs; /* SRQ_NEED_…, for every job; see needs_of */
    int (*quantize)(const struct srq_host *h, void *self, struct srq_layer *layer, struct srq_result *out,
                    struct srq_error *err);
    /* What this job needs beside `needs`, by its options; NULL: nothing. (since 1.1) */
    uint32_t (*needs_of)(const struct srq_host *h, void *self);
};

/* ---- scorers (since 1.1) ----------------------------------------------------------------------------------------- */

/* The data on which scores are taken. */
struct srq_score_data {
    uint32_t size;
    int64_t nsamples, seqlen, batch; /* 0: the job's own */
};

/* Some rows of one layer at the quantized point: every layer of the model carries the candidate scheme, integers with 4
 * bits at least, rounded plainly, and `grad` is the gradient of the model's mean next-token cross-entropy over one
 * batch, taken there. `fake` has the candidate's own bits. All [rows, in], F32. */
struct srq_score_rows {
    uint32_t size;
    const struct srq_layer *layer; /* layer->scheme is the candidate */
    int64_t row, rows;
    const float *weight, *fake, *grad; /* W, Ŵ, dL/dW */
};

/* Measures how much a layer suffers from a scheme. The host runs the model forward and backward, a block at a time,
 * once for every candidate and batch, and adds up, in a fixed order, what rows() returns. "bf16" scores 0 by
 * definition. */
struct srq_scorer {
    uint32_t size;
    int (*data)(const struct srq_host *h, void *self, struct srq_score_data *out, struct srq_error *err);
    /* What these rows add to the layer's score. Called from several threads, for different rows. */
    double (*rows)(const struct srq_host *h, void *self, const struct srq_score_rows *r);
};

/* ---- allocators (since 1.1) -------------------------------------------------------------------------------------- */

/* One decision: a layer, or layers that share a scheme. */
struct srq_alloc_unit {
    int choices;          /* at least 1 */
    const uint64_t *bits; /* [choices] stored bits, scales and zero-points counted */
    const double *loss;   /* [choices] score */
};

struct srq_alloc_point {
    uint64_t bits;
    double loss;
};

/* The arrays are the host's. */
struct srq_alloc_result {
    uint32_t size;
    int *choice;   /* [units] */
    uint64_t bits; /* of the plan chosen */
    double loss;
    double bound;                  /* no plan within the budget has a smaller loss than this */
    struct srq_alloc_point *front; /* [front_cap] the Pareto front of all plans, ascending bits, evenly thinned when it
                                      is longer; its two ends are always kept */
    int front_cap, front_count;
};

struct srq_allocator {
    uint32_t size;
    /* The plan of least loss of at most `budget` bits. Units that are decided already have one choice. None fits:
     * -SRQ_EINVAL naming the smallest budget possible. */
    int (*solve)(const struct srq_host *h, void *self, const struct srq_alloc_unit *units, int count, uint64_t budget,
                 struct srq_alloc_result *out, struct srq_error *err);
};

/* ---- transforms (since 1.2) -------------------------------------------------------------------------------------- */

/* A producer and the layers that read what it makes, which can take one positive scale a channel without changing what
 * the model computes (spec teq 3): the producer gives x/scale, and every consumer's weight is multiplied by scale along
 * `in`. What is quantized then is W·diag(scale). */
struct srq_scale_group {
    uint32_t size;
    const char *name; /* the producer's module */
    char kind; /* 'A' norm -> q, k, v; 'B' norm -> gate, up; 'C' v -> o; 'D' up -> down; 'E' final norm -> head */
    int block, index;                         /* -1 for 'E'; place among all groups of the model */
    int64_t channels;                         /* of scale */
    int64_t in;                               /* input channels of the consumers */
    int64_t width, repeat;                    /* input channel c uses scale[c / width / repeat * width + c % width] */
    const struct srq_layer *const *consumers; /* weights as stored, schemes as planned ("bf16": not quantized),
                                                 statistics of the full-precision inputs as far as asked for */
    int count;
    float *scale;    /* [channels] */
    float *state[4]; /* [channels] each, as many as srq_transform_schedule.states, zero at first; part of checkpoints */
    void *user;      /* the plugin's */
};

enum srq_objective {
    SRQ_OBJECTIVE_NONE = 0,  /* begin() is all there is */
    SRQ_OBJECTIVE_CE,        /* next-token cross-entropy of the whole model */
    SRQ_OBJECTIVE_KD,        /* Kullback-Leibler divergence from the full-precision model's words */
    SRQ_OBJECTIVE_BLOCK_MSE, /* each block for itself: full-precision input, mean squared error of the output */
};

/* How the host shall train scales. Every step all quantized layers compute with Q(W·diag(scale))·diag(1/scale), Q being
 * plain rounding under the layer's own scheme. */
struct srq_transform_schedule {
    uint32_t size;
    int objective;            /* SRQ_OBJECTIVE_… */
    int64_t steps, batch;     /* samples a step */
    int64_t nsamples, seqlen; /* of the calibration set; 0: the job's own */
    int64_t holdout;          /* samples kept for probes, not trained on; at least 1 where keep_best is set */
    int64_t probe_every;      /* steps between probes on them */
    bool keep_best;           /* the scales of the best probe, those before the first step among them */
    double lr;                /* for display */
    double warmup;            /* share of the steps over which srq_step.schedule rises to 1 */
    int decay;                /* SRQ_DECAY_… after that */
    int states;               /* arrays of a group's state, at most 4 */
    const char *load; /* scales to take instead, from a file that an earlier job left; NULL: none. Lives as long as
                         the instance. */
    bool ranges;      /* integers with groups inside a row: the gradient follows the ends of a group's range, which
                         move with the scales of their channels; false: ranges count as constants */
};

struct srq_transform {
    uint32_t size;
    uint32_t (*needs)(const struct srq_host *h, void *self); /* SRQ_NEED_HESSIAN, SRQ_NEED_RANGES; NULL: nothing */
    /* Kinds that are scaled, a subset of "ABCDE". */
    const char *(*kinds)(const struct srq_host *h, void *self);
    int (*schedule)(const struct srq_host *h, void *self, struct srq_transform_schedule *out, struct srq_error *err);
    /* Sets g->scale, all ones on entry: what statistics say, or where training starts. In the order of blocks; with the
     * statistics of this group alone. */
    int (*begin)(const struct srq_host *h, void *self, struct srq_scale_group *g, struct srq_error *err);
    /* One step of training: grad [channels] is dL/dscale with rounding passed straight through (spec teq 5), and may be
     * overwritten. NULL where schedule() never asks for training. */
    int (*step)(const struct srq_host *h, void *self, struct srq_scale_group *g, const struct srq_step *step,
                float *grad, struct srq_error *err);
};

/* ---- grids, as services ------------------------------------------------------------------------------------------ */

/* The parameters of a grid for rows of one layer. Arrays are indexed by group: row * per_row + g (group 0: index 0).
 * NULL alpha, beta: all ones. NULL v: all zeros. */
struct srq_grid_args {
    uint32_t size;
    const struct srq_tensor *weight;
    struct srq_scheme scheme;
    struct srq_groups groups;
    const float *lo, *hi;      /* [count] m = min(min W,0), M = max(max W,0), made by extrema() */
    const float *v;            /* [out, in] rounding offset */
    const float *alpha, *beta; /* [count] range coefficients */
    const float *start; /* [count] of search(): integers: the scale before beta, alpha is then unused; mx, nvfp4: factor
                           on the group's largest magnitude. NULL: none (since 1.1) */
    float tensor_scale; /* of srq_layer, nvfp4 (since 1.1) */
};

struct srq_grid_ops {
    uint32_t size;
    /* Fills lo[count], hi[count] from the weight. Parallel inside. */
    int (*extrema)(const struct srq_grid_args *a, float *lo, float *hi);
    /* Ŵ of rows [row, row+rows) into `dst`, row stride `ld` elements, F32 or BF16. One thread. */
    void (*fake)(const struct srq_grid_args *a, int64_t row, int64_t rows, void *dst, enum srq_dtype dtype, int64_t ld);
    /* Straight-through gradients (spec signround 3). `grad` [rows, in] holds dL/dŴ on entry and dL/dV on return; dL/dα
     * and dL/dβ are added into galpha[count], gbeta[count] (both or neither may be NULL). One thread; with group 0 the
     * caller gives arrays of its own per thread or per row, each with the one entry that is added to. */
    void (*grad)(const struct srq_grid_args *a, int64_t row, int64_t rows, float *grad, float *galpha, float *gbeta);
    /* Codes, scales and zero-points of rows [row, row+rows), into the whole layer's arrays. One thread. */
    void (*encode)(const struct srq_grid_args *a, int64_t row, int64_t rows, struct srq_result *out);
    /* The start of every group of rows [row, row+rows) that gives the least sum of importance * (Ŵ - W)², importance
     * [in] or NULL for all ones, among the candidates of spec signround 8.1, V = 0 and beta = 1. Channels without
     * importance are filled in as spec signround 6 says; integer scales are rounded as they will be stored. With group
     * 0 give all rows in one call. One thread; NULL where the grid has no search. (since 1.1) */
    void (*search)(const struct srq_grid_args *a, const float *importance, int64_t row, int64_t rows, float *start);
};

/* ---- services of the host ---------------------------------------------------------------------------------------- */

enum srq_log_level { SRQ_LOG_ERROR, SRQ_LOG_WARN, SRQ_LOG_INFO, SRQ_LOG_DEBUG };

struct srq_host {
    uint32_t size;
    uint32_t abi_major, abi_minor;
    const char *version; /* of srq */

    /* Option values. A name that is not in the plugin's table is a programming error and gives 0/false/NULL. */
    bool (*opt_set)(const struct srq_options *o, const char *name); /* given by user, recipe or default */
    int64_t (*opt_int)(const struct srq_options *o, const char *name);
    double (*opt_float)(const struct srq_options *o, const char *name);
    bool (*opt_bool)(const struct srq_options *o, const char *name);
    const char *(*opt_string)(const struct srq_options *o, const char *name);

    void (*log)(enum srq_log_level level, const char *fmt, ...);
    void *(*alloc)(size_t size); /* zeroed; counted; NULL when memory is out */
    void (*free)(void *p);

    /* Runs fn(ctx, begin, end) over [0, n) in contiguous shares of at least `grain`, on the job's threads. */
    void (*parallel)(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);
    /* Uniform in [0, 1) from the counter-based generator: the same for the same (stream, index) in every run. */
    double (*uniform)(uint64_t stream, uint64_t index);

    /* The operations of a grid, or NULL where this build lacks it. */
    const struct srq_grid_ops *(*grid)(enum srq_grid_kind kind);
    /* p[i] -= lr * sign(g[i]), sign(0) = 0. One thread. (spec signround 4) */
    void (*sign_step)(float *p, const float *g, float lr, int64_t n);
    /* With momentum: buf = mu*buf + g, then p -= lr * sign(buf). `first`: buf = g. One thread. */
    void (*sign_momentum_step)(float *p, float *buf, const float *g, float lr, float mu, bool first, int64_t n);

    /* (since 1.2) */
    /* sum over rows of d_r H d_rᵀ: d [rows, n], h [n, n] symmetric, all F32: with H = mean x xᵀ the mean over tokens of
     * |x dᵀ|². Uses the job's threads. NaN when memory is out. */
    double (*quadratic)(const float *d, int64_t rows, const float *h, int64_t n);
    /* u [n, n] becomes the upper triangular U with Uᵀ U = (H + damp I)⁻¹, zeros below its diagonal; h [n, n] symmetric.
     * 0, -SRQ_ENOMEM, or -SRQ_ENUMERIC where H + damp I is not positive definite; u is undefined then. Uses the job's
     * threads. */
    int (*inverse_factor)(const float *h, int64_t n, double damp, float *u);
    /* Rounds the columns of w [rows, n] one after the other with feedback of the error to those behind (GPTQ). `round`
     * gives the value of column `col` of a row whose weights, with the feedback so far, are w [n]; it is called from
     * several threads for different rows. `block` columns are updated at once, those behind them afterwards together:
     * the first column of a block sees all feedback in all columns behind it, another one up to the end of its block. 0
     * or -SRQ_ENOMEM. */
    int (*column_feedback)(float *w, int64_t rows, int64_t n, const float *u, int64_t block,
                           float (*round)(void *ctx, int64_t row, int64_t col, const float *w), void *ctx);
    /* n elements of any of F32, F16, BF16 to F32. One thread. */
    void (*widen)(const void *src, enum srq_dtype dtype, float *dst, int64_t n);
};

/* ---- the plugin itself ------------------------------------------------------------------------------------------- */

struct srq_plugin {
    uint32_t magic; /* SRQ_PLUGIN_MAGIC */
    uint16_t abi_major, abi_minor;
    uint32_t size;                        /* sizeof(struct srq_plugin) */
    const char *name;                     /* [a-z][a-z0-9-]*, the word used in --method */
    const char *version;                  /* of the algorithm; part of the resume fingerprint */
    const char *summary;                  /* one sentence */
    const struct srq_option *options;     /* ends with a NULL name; may be NULL */
    const struct srq_recipe_row *recipes; /* ends with a NULL recipe; may be NULL */

    /* One instance per job. `*self` may stay NULL. Both functions are needed. */
    int (*create)(const struct srq_host *h, const struct srq_options *o, void **self, struct srq_error *err);
    void (*destroy)(const struct srq_host *h, void *self);
    /* Whether this scheme can be handled for this shape; called at planning time. NULL: every scheme whose grid
     * exists. */
    int (*accepts)(const struct srq_host *h, void *self, const struct srq_layer *layer, struct srq_error *err);

    const struct srq_oneshot *oneshot;
    const struct srq_tunable *tunable;
    const struct srq_scorer *scorer;       /* since 1.1 */
    const struct srq_allocator *allocator; /* since 1.1 */
    const struct srq_transform *transform; /* since 1.2 */
};

/* The one symbol that a plugin exports. */
extern SRQ_PLUGIN_EXPORT const struct srq_plugin srq_plugin;

#endif
