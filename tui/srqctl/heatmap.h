/* What text and pictures of a heatmap share: the scale of its values, the modules that are its columns. `cells` is the
 * array of a reply of job.heatmap. */
#ifndef SRQ_CTL_HEATMAP_H
#define SRQ_CTL_HEATMAP_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

struct ctl_heat_scale {
    double low, high; /* NaN: no value at all */
    bool log;         /* they are far apart and positive */
    bool whole;       /* all of them are whole numbers */
};
struct ctl_heat_scale ctl_heat_scale(const cJSON *cells);
/* A value as people read it, in out[CTL_HUMAN]. */
char *ctl_heat_number(const struct ctl_heat_scale *s, double v, char *out);
double ctl_heat_share(const struct ctl_heat_scale *s, double v); /* 0 … 1 from low to high; 0.5 where all are equal */

/* Modules in the order of the plan, those of layers outside the blocks left out. Names are the reply's. */
struct ctl_heat_modules {
    const char **name;
    int count;
};
struct ctl_heat_modules ctl_heat_modules(const cJSON *cells);
void ctl_heat_modules_fini(struct ctl_heat_modules *m);
int ctl_heat_module_at(const struct ctl_heat_modules *m, const char *name); /* -1: none */
int ctl_heat_blocks(const cJSON *cells); /* one more than the largest block's number */
/* The last part of a module's name, without the "_proj" that they all have, in out[cap]. */
const char *ctl_heat_short_name(const char *module, char *out, size_t cap);

#endif
