/* The one thread team. Every parallel loop of srq goes through srq_parallel; no file has an OpenMP pragma, and none is
 * compiled for OpenMP: team.c calls GNU libgomp, the runtime that OpenBLAS and oneDNN use, by name. So one runtime
 * serves gcc and clang builds alike (clang's -fopenmp would map its own beside it).
 *
 * Waiting: an idle thread of the team must sleep, not spin, on a machine that others use. libgomp reads
 * OMP_WAIT_POLICY when it is loaded, before main, so a program cannot set it for itself. Whoever launches a worker puts
 * OMP_WAIT_POLICY=passive into its environment; a worker started without it starts itself again, and lets threads look
 * for work for some ten microseconds before they sleep (GOMP_SPINCOUNT). */
#ifndef SRQ_MATH_TEAM_H
#define SRQ_MATH_TEAM_H

#include <srq/error.h>

#include <stdint.h>

#define SRQ_TEAM_MAX 1024

/* Sets the number of threads of srq, OpenBLAS and oneDNN; 0: the default (cgroup quota, else processors allowed).
 * Called once, before any work (tests may call it again). Also checks that OpenBLAS uses OpenMP and that only one
 * OpenMP runtime is mapped (anything else is logged as a warning). Denormal numbers count as zero in the threads of the
 * team, the calling one included: gradients that fade out would otherwise cost a hundred times more.
 * More than SRQ_TEAM_MAX, or negative: -SRQ_EINVAL. */
int srq_team_start(int threads, struct srq_error *err);
/* Binds every thread of the team, the calling one first, to a processor of its own, of those that the process may use,
 * in order; threads that the caller starts later share its processor. After srq_team_start, for good. Fewer processors
 * than threads: -SRQ_EINVAL, which srq_team_bindable tells beforehand. */
int srq_team_bind(struct srq_error *err);
int srq_team_bindable(struct srq_error *err);
int srq_team_size(void);    /* 1 before srq_team_start */
int srq_team_default(void); /* what 0 would give here */
/* Number of OpenMP runtimes mapped into the process, their paths in `names` separated by blanks. */
int srq_team_runtimes(char *names, size_t cap);

/* Runs fn(ctx, begin, end) over [0, n) in contiguous shares, at most one a thread, none smaller than `grain` unless n
 * is. The split depends only on n, grain and the team's size. Inside a parallel region it runs on the caller alone. */
void srq_parallel(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx);
/* The same with work handed out item by item (for uneven items): fn(ctx, item, thread), thread in [0, team size). Which
 * thread gets an item is not fixed: the result of an item must not depend on it. */
void srq_parallel_items(int64_t n, void (*fn)(void *ctx, int64_t item, int thread), void *ctx);
/* The calling thread's number in the team, 0 outside of parallel regions. */
int srq_team_thread(void);

#endif
