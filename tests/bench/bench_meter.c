/* An iteration's time, split by what the tape accounts. */
#include "bench_meter.h"

#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/tune/options.h"

#include <stdlib.h>

/* ---- the meter ---- */

int bench_meter_open(struct bench_meter *m, int iterations, struct bench_iteration *out, struct srq_error *err)
{
    *m = (struct bench_meter){ .out = out, .wanted = iterations };
    m->seconds = srq_calloc((size_t)iterations, sizeof(*m->seconds));
    return m->seconds != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "no memory for %d times", iterations);
}

void bench_meter_close(struct bench_meter *m)
{
    srq_free(m->seconds);
}

void bench_meter_begin(struct bench_meter *m)
{
    if (m->done == BENCH_SKIPPED)
        srq_tape_timing(m->tape, true);
    m->since = srq_clock_s();
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void add_part(struct bench_iteration *out, const char *op, const char *behind, double seconds,
                     struct srq_tape_work work)
{
    struct bench_part *p = &out->parts[out->part_count];

    if (out->part_count == BENCH_PARTS || seconds <= 0)
        return;
    snprintf(p->name, sizeof(p->name), "%s%s", op, behind);
    p->seconds = seconds / out->count;
    p->work = (struct srq_tape_work){ work.flops / out->count, work.bytes / out->count };
    out->part_count++;
}

/* What comes behind a kind's name for its way back. */
static const char *back_of(int kind)
{
    switch (kind) {
    case SRQ_TAPE_LINEAR:
    case SRQ_TAPE_CONV:
        return ", dx";
    case SRQ_TAPE_WEIGHT_GRAD:
    case SRQ_TAPE_SINK:
        return "";
    default:
        return ", back";
    }
}

static bool is_product(int kind)
{
    return kind == SRQ_TAPE_LINEAR || kind == SRQ_TAPE_CONV || kind == SRQ_TAPE_WEIGHT_GRAD;
}

static void collect(struct bench_meter *m)
{
    struct bench_iteration *out = m->out;
    struct srq_tape_time t[SRQ_TAPE_KINDS];
    double rest = 0;

    (void)srq_tape_times(m->tape, t, SRQ_TAPE_KINDS, true);
    srq_tape_timing(m->tape, false);
    out->count = m->wanted;
    for (int i = 0; i < m->wanted; i++)
        rest += m->seconds[i];
    out->mean_s = rest / m->wanted;
    for (int k = 0; k < SRQ_TAPE_KINDS; k++) {
        add_part(out, t[k].op, "", t[k].forward_s, t[k].forward);
        add_part(out, t[k].op, back_of(k), t[k].backward_s, t[k].backward);
        rest -= t[k].forward_s + t[k].backward_s;
        if (is_product(k))
            out->gemm_flops += (t[k].forward.flops + t[k].backward.flops) / m->wanted;
    }
    add_part(out, "everything else", "", rest, (struct srq_tape_work){ 0, 0 });
    out->tape_bytes = srq_tape_peak(m->tape);
    qsort(m->seconds, (size_t)m->wanted, sizeof(*m->seconds), compare_doubles);
    out->median_s = m->seconds[m->wanted / 2];
    out->fastest_s = m->seconds[0];
}

void bench_meter_end(struct bench_meter *m)
{
    int at = m->done++ - BENCH_SKIPPED;

    if (at >= 0 && at < m->wanted)
        m->seconds[at] = srq_clock_s() - m->since;
    if (at == m->wanted - 1)
        collect(m);
}

/* ---- the plugin ---- */

int bench_plugin_open(struct bench_plugin *p, const char *name, const char *const *settings, struct srq_error *err)
{
    int rc = srq_plugin_load(name, &p->handle, err);

    if (rc == 0)
        rc = srq_options_create(p->handle.plugin, &p->options, err);
    for (int i = 0; rc == 0 && settings[i] != NULL; i += 2)
        rc = srq_options_set(p->options, settings[i], settings[i + 1], err);
    if (rc == 0)
        rc = srq_options_finish(p->options, NULL, NULL, err);
    return rc == 0 ? p->handle.plugin->create(srq_host_services(), p->options, &p->self, err) : rc;
}

void bench_plugin_close(struct bench_plugin *p)
{
    if (p->self != NULL)
        p->handle.plugin->destroy(srq_host_services(), p->self);
    srq_options_free(p->options);
    if (p->handle.plugin != NULL)
        srq_plugin_unload(&p->handle);
}

struct srq_scheme *bench_schemes(const struct srq_model *m, const char *text, struct srq_error *err)
{
    int n = srq_model_layer_count(m);
    struct srq_scheme *all = srq_calloc((size_t)n + 1, sizeof(*all)), one;

    if (all == NULL) {
        srq_fail(err, -SRQ_ENOMEM, "no memory for schemes");
    } else if (srq_scheme_parse(text, &one, err) != 0) {
        srq_free(all);
        return NULL;
    }
    for (int i = 0; all != NULL && i < n; i++)
        all[i] = one;
    return all;
}

void bench_meter_memory(struct bench_iteration *out, const struct srq_memory_rows *rows, uint64_t apart)
{
    for (int i = 0; i < rows->count; i++)
        out->param_bytes += rows->row[i].bytes;
    out->param_bytes -= apart < out->param_bytes ? apart : out->param_bytes;
}
