/* The services of the host: all that a plugin can call. */
#ifndef SRQ_HOST_H
#define SRQ_HOST_H

#include <srq/types.h>

struct srq_grid_ops;
struct srq_options; /* opaque: the values of one plugin's options for one job */
struct srq_param;
struct srq_params;

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
    /* n elements of any of F32, F16, BF16 to F32. One thread. */
    void (*widen)(const void *src, enum srq_dtype dtype, float *dst, int64_t n);

    /* From srq_tunable.declare alone: one array more. What is wrong with it fails declare() as a whole. */
    void (*declare)(struct srq_params *to, const struct srq_param *param);
    /* The operations of a grid, or NULL where this build lacks it. */
    const struct srq_grid_ops *(*grid)(enum srq_grid_kind kind);
    /* p[i] -= lr * sign(g[i]), sign(0) = 0. One thread. (spec signround 4) */
    void (*sign_step)(float *p, const float *g, float lr, int64_t n);
    /* With momentum: buf = mu*buf + g, then p -= lr * sign(buf). `first`: buf = g. One thread. */
    void (*sign_momentum_step)(float *p, float *buf, const float *g, float lr, float mu, bool first, int64_t n);

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
};

#endif
