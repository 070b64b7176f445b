/* The one thread team. Every parallel loop of srq goes through srq_parallel; no other file has an OpenMP pragma, so
 * that one OpenMP runtime (libgomp, the one OpenBLAS and oneDNN use) serves gcc and clang builds alike. */
#ifndef SRQ_MATH_TEAM_H
#define SRQ_MATH_TEAM_H

#include <srq/error.h>

#include <stdint.h>

/* Sets the number of threads of srq, OpenBLAS and oneDNN; 0: the default (cgroup quota, else processors allowed).
 * Called once, before any work. Also checks that OpenBLAS uses OpenMP and that only one OpenMP runtime is mapped
 * (a second one is logged as a warning). */
int srq_team_start(int threads, struct srq_error *err);
int srq_team_size(void);
int srq_team_default(void); /* what 0 would give here */

/* Runs fn(ctx, begin, end) over [0, n) in contiguous shares, at most one a thread, none smaller than `grain` unless n
 * is. The split depends only on n, grain and the team's size. Inside a parallel region it runs on the caller alone. */
void srq_parallel(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);
/* The same with work handed out item by item (for uneven items): fn(ctx, item, thread), thread in [0, team size). */
void srq_parallel_items(int64_t n, void (*fn)(void *ctx, int64_t item, int thread), void *ctx);

#endif
