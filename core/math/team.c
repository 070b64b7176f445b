/* The thread team over libgomp's entry points. */
#include "core/math/team.h"

#include "core/base/log.h"

#include <cblas.h>
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* libgomp's ABI (GOMP_4.0, OMP_1.0), stable since GCC 4.9. */
void GOMP_parallel(void (*fn)(void *), void *data, unsigned num_threads, unsigned flags);
int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_in_parallel(void);
void omp_set_num_threads(int n);
void omp_set_dynamic(int on);

/* ThreadSanitizer does not see how libgomp, which is not built for it, orders what threads do: it is told that a region
 * begins after what its caller did before, and that the caller goes on after all that the region did. Regions inside
 * libraries nobody can tell it about, so these compute on their caller alone then. */
#ifdef SRQ_TSAN
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(region) __tsan_release(region)
#define TAKE_OVER(region) __tsan_acquire(region)
#define LIBRARY_THREADS 1
#else
#define HAND_OVER(region) ((void)(region))
#define TAKE_OVER(region) ((void)(region))
#define LIBRARY_THREADS team_size
#endif

static int team_size = 1;
static cpu_set_t allowed; /* processors that threads are bound to, each to one of them, in order */
static bool bound;

/* One region of the whole team, also when it has fewer shares: libgomp ends the threads that a smaller region does not
 * need and would start them again for the next one. */
static void run_region(void (*fn)(void *region), void *region)
{
    HAND_OVER(region);
    GOMP_parallel(fn, region, (unsigned)team_size, 0);
    TAKE_OVER(region);
}

/* Flush-to-zero and denormals-are-zero. Each region asks again: libgomp may have started new threads since. */
static inline void flush_denormals(void)
{
#if defined(__x86_64__)
    unsigned mode = _mm_getcsr();

    if ((mode & 0x8040u) != 0x8040u)
        _mm_setcsr(mode | 0x8040u);
#elif defined(__aarch64__)
    uint64_t mode;

    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    if ((mode & (1u << 24)) == 0)
        __asm__ volatile("msr fpcr, %0" : : "r"(mode | 1u << 24));
#endif
}

/* Thread i to the i-th of the processors allowed; once, as long as libgomp keeps the thread. */
static inline void bind_self(void)
{
    static _Thread_local bool done;
    cpu_set_t one;
    int left = omp_get_thread_num();

    if (!bound || done)
        return;
    done = true;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || left-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof(one), &one);
        return;
    }
}

static inline void settle_thread(void)
{
    flush_denormals();
    bind_self();
}

/* ---- how many threads ---- */

static bool read_line(const char *path, char *line, size_t cap)
{
    FILE *f = fopen(path, "re");
    bool ok;

    if (f == NULL)
        return false;
    ok = fgets(line, (int)cap, f) != NULL;
    fclose(f);
    return ok;
}

/* Whole processors that a quota allows, at least 1; 0: no quota. */
static int quota_threads(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    return quota < period ? 1 : (int)(quota / period);
}

static int smaller_quota(int a, int b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

static int quota_at(const char *dir)
{
    char path[4400], line[128];
    long long quota, period;

    snprintf(path, sizeof(path), "%s/cpu.max", dir);
    if (read_line(path, line, sizeof(line)))
        return sscanf(line, "%lld %lld", &quota, &period) == 2 ? quota_threads(quota, period) : 0;
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lld", &quota) != 1)
        return 0;
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
    if (!read_line(path, line, sizeof(line)) || sscanf(line, "%lld", &period) != 1)
        return 0;
    return quota_threads(quota, period);
}

/* The smallest quota on the way from the process's group to the root of hierarchy `mount`. */
static int quota_on_path(const char *mount, char *group)
{
    char dir[4300];
    int least = 0;

    for (;;) {
        char *slash;

        snprintf(dir, sizeof(dir), "%s%s", mount, group);
        least = smaller_quota(least, quota_at(dir));
        slash = strrchr(group, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

static int cgroup_threads(void)
{
    char line[4200];
    int least = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");

    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        char *controllers = strchr(line, ':'), *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

        if (group == NULL)
            continue;
        *group++ = '\0';
        controllers++;
        group[strcspn(group, "\n")] = '\0';
        if (controllers[0] == '\0')
            least = smaller_quota(least, quota_on_path("/sys/fs/cgroup", group));
        else if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 ||
                 strstr(controllers, ",cpu,") != NULL || strcmp(controllers, "cpuacct,cpu") == 0)
            least = smaller_quota(least, quota_on_path("/sys/fs/cgroup/cpu", group));
    }
    fclose(f);
    return least;
}

static int affinity_threads(void)
{
    cpu_set_t set;
    long online;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return CPU_COUNT(&set);
    online = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than cpu_set_t holds */
    return online > 0 ? (int)online : 1;
}

int srq_team_default(void)
{
    int n = smaller_quota(affinity_threads(), cgroup_threads());

    if (n < 1)
        n = 1;
    return n < SRQ_TEAM_MAX ? n : SRQ_TEAM_MAX;
}

/* ---- start ---- */

static bool is_runtime(const char *name)
{
    return strncmp(name, "libgomp", 7) == 0 || strncmp(name, "libomp", 6) == 0 || strncmp(name, "libiomp", 7) == 0;
}

int srq_team_runtimes(char *names, size_t cap)
{
    char line[4400];
    size_t used = 0;
    int count = 0;
    FILE *f = fopen("/proc/self/maps", "re");

    names[0] = '\0';
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        char *path = strchr(line, '/'), *base = strrchr(line, '/');
        int n;

        if (path == NULL || !is_runtime(base + 1))
            continue;
        path[strcspn(path, "\n")] = '\0';
        if (strstr(names, path) != NULL)
            continue;
        count++;
        n = snprintf(names + used, cap - used, "%s%s", used > 0 ? " " : "", path);
        used += n > 0 && (size_t)n < cap - used ? (size_t)n : 0;
    }
    fclose(f);
    return count;
}

static void check_runtimes(void)
{
    char names[2048];

    if (openblas_get_parallel() != OPENBLAS_OPENMP)
        srq_log(SRQ_LOG_WARN, "OpenBLAS (%s) has threads of its own, not OpenMP's: expect more threads than asked for",
                openblas_get_config());
    if (srq_team_runtimes(names, sizeof(names)) > 1)
        srq_log(SRQ_LOG_WARN, "more than one OpenMP runtime is mapped, each with threads of its own: %s", names);
}

static void region_start(void *region)
{
    TAKE_OVER(region);
    settle_thread();
    HAND_OVER(region);
}

int srq_team_start(int threads, struct srq_error *err)
{
    static bool checked;

    if (threads < 0 || threads > SRQ_TEAM_MAX)
        return srq_fail_field(err, -SRQ_EINVAL, "threads", "threads is %d; it must be 0 (default) to %d", threads,
                              SRQ_TEAM_MAX);
    team_size = threads > 0 ? threads : srq_team_default();
    omp_set_dynamic(0);
    omp_set_num_threads(LIBRARY_THREADS);
    openblas_set_num_threads(LIBRARY_THREADS);
    flush_denormals();
    if (team_size > 1)
        run_region(region_start, &team_size);
    if (!checked)
        check_runtimes();
    checked = true;
    return 0;
}

int srq_team_bindable(struct srq_error *err)
{
    if (bound || team_size <= affinity_threads())
        return 0;
    return srq_fail_field(err, -SRQ_EINVAL, "bind_threads",
                          "%d threads cannot be bound to a processor each: the job may use %d", team_size,
                          affinity_threads());
}

int srq_team_bind(struct srq_error *err)
{
    int rc = srq_team_bindable(err);

    if (rc != 0 || bound)
        return rc;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return srq_fail_field(err, -SRQ_EIO, "bind_threads", "cannot read which processors the job may use: %s",
                              strerror(errno));
    bound = true;
    run_region(region_start, &team_size);
    return 0;
}

int srq_team_size(void)
{
    return team_size;
}

int srq_team_thread(void)
{
    return omp_get_thread_num();
}

/* ---- loops ---- */

struct shares {
    void (*fn)(void *ctx, int64_t begin, int64_t end);
    void *ctx;
    int64_t n;
    int count;
};

/* Share s is [n*s/count, n*(s+1)/count), without the overflow. */
static int64_t share_start(const struct shares *w, int64_t s)
{
    return w->n / w->count * s + w->n % w->count * s / w->count;
}

/* Every share is run even if the runtime gives fewer threads than asked for. */
static void run_shares(void *data)
{
    const struct shares *w = data;
    int step = omp_get_num_threads();

    TAKE_OVER(data);
    settle_thread();
    for (int s = omp_get_thread_num(); s < w->count; s += step)
        w->fn(w->ctx, share_start(w, s), share_start(w, s + 1));
    HAND_OVER(data);
}

void srq_parallel(int64_t n, int64_t grain, void (*fn)(void *ctx, int64_t begin, int64_t end), void *ctx)
{
    struct shares w = { .fn = fn, .ctx = ctx, .n = n };
    int64_t most;

    if (n <= 0)
        return;
    most = n / (grain > 0 ? grain : 1);
    w.count = most < team_size ? (int)most : team_size;
    if (w.count <= 1 || omp_in_parallel()) {
        fn(ctx, 0, n);
        return;
    }
    run_region(run_shares, &w);
}

struct items {
    void (*fn)(void *ctx, int64_t item, int thread);
    void *ctx;
    int64_t n;
    _Atomic int64_t next;
};

static void run_items(void *data)
{
    struct items *w = data;
    int thread = omp_get_thread_num();
    int64_t i;

    TAKE_OVER(data);
    settle_thread();
    while ((i = atomic_fetch_add_explicit(&w->next, 1, memory_order_relaxed)) < w->n)
        w->fn(w->ctx, i, thread);
    HAND_OVER(data);
}

void srq_parallel_items(int64_t n, void (*fn)(void *ctx, int64_t item, int thread), void *ctx)
{
    struct items w = { .fn = fn, .ctx = ctx, .n = n };

    if (n <= 0)
        return;
    if (n == 1 || team_size == 1 || omp_in_parallel()) {
        int thread = omp_in_parallel() ? omp_get_thread_num() : 0;

        for (int64_t i = 0; i < n; i++)
            fn(ctx, i, thread);
        return;
    }
    run_region(run_items, &w);
}
