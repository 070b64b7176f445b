/* Charts of a job: curves, a heatmap, and the front of an allocation, drawn into a picture. */
#ifndef SRQ_CTL_CHART_H
#define SRQ_CTL_CHART_H

#include "tui/srqctl/picture.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

/* One curve. Points with an unknown value are left out. */
struct ctl_curve {
    const char *name; /* in the legend; NULL: none */
    const double *x, *y;
    int count;
    bool dots; /* marks at the points beside the line */
};

/* Axes with round numbers, a legend where there is more than one curve. `log_y`: only where all values are positive. */
void ctl_chart_curves(struct ctl_picture *p, const char *title, const char *x_name, const char *y_name,
                      const struct ctl_curve *curves, int count, bool log_y);

/* Blocks by modules from a reply of job.heatmap (all pages): a square a layer, its number inside where there is room, a
 * frame around pinned ones, a scale beside it. Makes `p`, of the size that it needs. */
void ctl_chart_heatmap(struct ctl_picture *p, const cJSON *reply);

/* The points of a reply of job.series as arrays, free both with srq_free; false: out of memory. */
bool ctl_chart_points(const cJSON *series, double **x, double **y, int *count);

#endif
