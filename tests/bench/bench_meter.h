/* What all methods are measured with: a meter between two events of a loop, and a plugin with its options. */
#ifndef SRQ_BENCH_METER_H
#define SRQ_BENCH_METER_H

#include "bench.h"

#include "core/grid/grid.h"
#include "core/tune/memory.h"
#include "core/tune/plugin_host.h"

#define BENCH_SKIPPED \
    1 /* iterations before the first that is measured: pages are touched, caches of libraries filled */

struct bench_meter {
    struct bench_iteration *out;
    struct srq_tape *tape; /* to be set before the loop */
    double *seconds;       /* [wanted] */
    int wanted, done;
    double since;
};
int bench_meter_open(struct bench_meter *m, int iterations, struct bench_iteration *out, struct srq_error *err);
void bench_meter_close(struct bench_meter *m);
/* Before and after an iteration; the last one that is wanted fills m->out. */
void bench_meter_begin(struct bench_meter *m);
void bench_meter_end(struct bench_meter *m);
/* Memory as the method plans it, but for what is told apart. */
void bench_meter_memory(struct bench_iteration *out, const struct srq_memory_rows *rows, uint64_t apart);

struct bench_plugin {
    struct srq_plugin_handle handle;
    struct srq_options *options;
    void *self;
};
/* settings: names and values, up to a NULL. Closed also after a failure. */
int bench_plugin_open(struct bench_plugin *p, const char *name, const char *const *settings, struct srq_error *err);
void bench_plugin_close(struct bench_plugin *p);
/* The same scheme for every layer of a model, srq_free; NULL after a failure. */
struct srq_scheme *bench_schemes(const struct srq_model *m, const char *text, struct srq_error *err);

/* bench_words.c, bench_pictures.c: methods. */
int bench_signround(struct srq_model *m, const struct bench_shape *s, int iterations, struct bench_iteration *out,
                    struct srq_error *err);
int bench_teq(struct srq_model *m, const struct bench_shape *s, int iterations, struct bench_iteration *out,
              struct srq_error *err);
int bench_qat(struct srq_model *m, const struct bench_shape *s, int iterations, struct bench_iteration *out,
              struct srq_error *err);

#endif
