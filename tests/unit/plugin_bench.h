/* One plugin and one layer, through the plugin interface alone. */
#ifndef SRQ_TEST_PLUGIN_BENCH_H
#define SRQ_TEST_PLUGIN_BENCH_H

#include "core/grid/grid.h"
#include "core/tune/params.h"
#include "core/tune/plugin_host.h"
#include "tests/lib/layer_room.h"

struct bench {
    struct srq_plugin_handle plugin;
    struct srq_options *options;
    void *self;
    struct srq_layer layer;
    struct layer_room room;
    struct srq_params declared;
    float *arrays[SRQ_MAX_PARAMS];
    struct srq_codes codes;
};

/* The plugin of this build; settings: name, value, …, NULL. */
void bench_load(struct bench *b, const char *name, const char *const *settings);
/* A layer with the weight w [out, in], which stays the caller's, and room for its codes. */
void bench_layer(struct bench *b, const char *scheme, float *w, int64_t out, int64_t in, const float *importance);
struct srq_result bench_result(struct bench *b);
/* The arrays of a tunable plugin, and its begin(). */
void bench_begin(struct bench *b);
void bench_finish(struct bench *b);
void bench_close(struct bench *b);
const float *bench_array(const struct bench *b, const char *name);

#endif
