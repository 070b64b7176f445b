/* Time and proven gap of the knapsack allocator: a thousand layers with eight candidates each, several kinds of
 * problems at several budgets. Prints one line a kind: milliseconds (median and longest) and the largest gap.
 *
 * usage: bench_allocate [LAYERS] */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/grid/grid.h"
#include "core/tune/options.h"
#include "core/tune/plugin_host.h"

#include <math.h>
#include <stdlib.h>

enum { CHOICES = 8, BUDGETS = 15, FRONT = 200 };

enum kind { LLAMA, IRREGULAR, PROPORTIONAL, ARBITRARY, KINDS };
static const char *const kinds[KINDS] = {
    "sizes of a llama's layers, losses that fall with bits",
    "sizes without a common divisor",
    "losses nearly in proportion to bits",
    "losses and bits at random",
};

struct problem {
    int units;
    struct srq_alloc_unit *unit;
    const struct srq_alloc_unit **shown;
    uint64_t *bits, least, most;
    double *loss;
    int *choice;
};

static double draw(uint64_t stream, uint64_t *at)
{
    return srq_rng_uniform(11, stream, (*at)++);
}

static void fill(struct problem *p, enum kind kind)
{
    static const char *const schemes[CHOICES] = { "w2g128", "w2g64", "w3g128", "w3g64",
                                                  "w4g128", "w4g64", "w5g128", "w8g128" };
    static const int64_t shapes[][2] = { { 4096, 4096 }, { 1024, 4096 }, { 14336, 4096 }, { 4096, 14336 } };
    uint64_t at = 0;

    p->least = p->most = 0;
    for (int u = 0; u < p->units; u++) {
        const int64_t *shape = shapes[(int)(4 * draw(kind, &at))];
        double weight = exp(5 * draw(kind, &at));
        uint64_t *bits = p->bits + u * CHOICES, least = UINT64_MAX, most = 0;
        double *loss = p->loss + u * CHOICES;

        for (int c = 0; c < CHOICES; c++) {
            struct srq_scheme s;

            (void)srq_scheme_parse(schemes[c], &s, NULL);
            bits[c] = srq_scheme_bits(&s, shape[0], shape[1]);
            if (kind == IRREGULAR || kind == PROPORTIONAL)
                bits[c] += (uint64_t)(1e6 * draw(kind, &at));
            if (kind == ARBITRARY)
                bits[c] = (uint64_t)(1e9 * draw(kind, &at));
            loss[c] =
                weight * pow(3.5, -(double)bits[c] / (double)(shape[0] * shape[1])) * (0.9 + 0.2 * draw(kind, &at));
            if (kind == PROPORTIONAL)
                loss[c] = 1e3 - 1e-6 * (double)bits[c] + 1e-3 * draw(kind, &at);
            if (kind == ARBITRARY)
                loss[c] = draw(kind, &at);
            least = bits[c] < least ? bits[c] : least;
            most = bits[c] > most ? bits[c] : most;
        }
        p->least += least;
        p->most += most;
        p->unit[u] = (struct srq_alloc_unit){ sizeof(p->unit[u]), CHOICES, bits, loss };
        p->shown[u] = &p->unit[u];
    }
}

static int earlier(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int measure(struct problem *p, enum kind kind, const struct srq_plugin *plugin, void *self,
                   struct srq_error *err)
{
    uint64_t front_bits[FRONT];
    double front_loss[FRONT], seconds[BUDGETS], gap = 0;

    fill(p, kind);
    for (int k = 0; k < BUDGETS; k++) {
        uint64_t budget = p->least + (p->most - p->least) / (BUDGETS + 1) * (uint64_t)(k + 1);
        struct srq_alloc_result r = { .size = sizeof(r),
                                      .front_cap = FRONT,
                                      .choice = p->choice,
                                      .front_bits = front_bits,
                                      .front_loss = front_loss };
        double start = srq_clock_s();
        int rc = plugin->allocator->solve(srq_host_services(), self, p->shown, p->units, budget, &r, err);

        if (rc != 0)
            return rc;
        seconds[k] = srq_clock_s() - start;
        gap = fmax(gap, (r.loss - r.bound) / r.loss);
    }
    qsort(seconds, BUDGETS, sizeof(seconds[0]), earlier);
    printf("%4d layers x %d, %-54s %6.1f ms, longest %6.1f ms, gap at most %.2g\n", p->units, CHOICES, kinds[kind],
           1e3 * seconds[BUDGETS / 2], 1e3 * seconds[BUDGETS - 1], gap);
    return 0;
}

int main(int argc, char **argv)
{
    struct problem p = { .units = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000 };
    size_t n = (size_t)(p.units > 0 ? p.units : 1);
    struct srq_plugin_handle handle;
    struct srq_options *options = NULL;
    struct srq_error err = { 0 };
    void *self = NULL;
    int rc = srq_plugin_load("knapsack", &handle, &err);

    p.unit = srq_calloc(n, sizeof(*p.unit));
    p.shown = srq_calloc(n, sizeof(*p.shown));
    p.bits = srq_calloc(n * CHOICES, sizeof(*p.bits));
    p.loss = srq_calloc(n * CHOICES, sizeof(*p.loss));
    p.choice = srq_calloc(n, sizeof(*p.choice));
    if (rc == 0)
        rc = srq_options_create(handle.plugin, &options, &err);
    if (rc == 0)
        rc = srq_options_finish(options, NULL, NULL, &err);
    if (rc == 0)
        rc = handle.plugin->create(srq_host_services(), options, &self, &err);
    if (rc == 0 && (p.unit == NULL || p.shown == NULL || p.bits == NULL || p.loss == NULL || p.choice == NULL))
        rc = srq_fail(&err, -SRQ_ENOMEM, "no memory for the problem");
    for (int k = 0; rc == 0 && k < KINDS; k++)
        rc = measure(&p, (enum kind)k, handle.plugin, self, &err);
    if (rc != 0)
        fprintf(stderr, "bench_allocate: %s\n", err.text);
    return rc != 0;
}
