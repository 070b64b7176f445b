/* The panels: each draws its part of the model into rectangles of the layout. They read; only screen.c calls them. */
#ifndef SRQ_TUI_SRQTOP_PANELS_H
#define SRQ_TUI_SRQTOP_PANELS_H

#include "tui/srqtop/canvas.h"
#include "tui/srqtop/view.h"

#include <stddef.h>

/* What every panel draws with. */
struct draw {
    struct canvas *c;
    const struct top_model *m;
    const struct top_view *v;
    const struct glyphs *g;
    const struct top_job *job; /* shown; NULL: none */
};

/* Queue: the table of jobs, and what there is to say about the one under the cursor. */
void panel_queue_meters(const struct draw *d, struct rect r); /* what the daemon has under way and may at most */
void panel_queue(const struct draw *d, struct rect r);
void panel_queue_detail(const struct draw *d, struct rect r);
/* Order in which jobs are shown: indices into m->jobs that pass the filter; freed with srq_free. */
int panel_queue_order(const struct top_model *m, const struct top_view *v, int **order);
const char *panel_queue_sort_name(int sort);
#define QUEUE_SORTS 5

/* Job: name and phases, tree of blocks and layers, curves of the selection. */
void panel_job_head(const struct draw *d, struct rect r);
void panel_job(const struct draw *d, struct rect r);
void panel_job_curves(const struct draw *d, struct rect r);

/* Heatmap: its key, the map, and the layer under the cursor in words. */
void panel_heat_head(const struct draw *d, struct rect r);
void panel_heat(const struct draw *d, struct rect r);
void panel_heat_detail(const struct draw *d, struct rect r);
/* Columns of a cell of the map and of the names of its rows, for a rectangle that wide: also used to find a click. */
struct heat_shape {
    int label, cell, columns; /* columns of the map that fit */
};
struct heat_shape panel_heat_shape(const struct top_job *j, struct rect r, int map_columns);

/* Lines that the preview's warnings, and why it would be refused, take in `width` columns; the text of one of them. */
int panel_edit_warning_rows(const struct top_preview *p, int width);
void panel_edit_warning(const struct top_preview *p, int width, int row, char *out, size_t cap);
void panel_edit(const struct draw *d, struct rect r);
void panel_log_head(const struct draw *d, struct rect r);
void panel_log(const struct draw *d, struct rect r);
/* Lines that pass level and filter: indices into j->lines, freed with srq_free. */
int panel_log_lines(const struct top_job *j, const struct top_view *v, int **lines);
/* Diffusion: how the steps are divided, the pictures with what was measured, and curves. */
void panel_diffusion_head(const struct draw *d, struct rect r);
void panel_diffusion(const struct draw *d, struct rect r);
void panel_diffusion_curves(const struct draw *d, struct rect r);
int panel_diffusion_last(const struct top_job *j); /* the last picture that can be gone to */
void panel_diff_head(const struct draw *d, struct rect r);
void panel_diff(const struct draw *d, struct rect r);
int panel_diff_rows(const struct top_model *m, const struct top_view *v); /* how many there are to scroll */
void panel_help(const struct draw *d, struct rect r);
int panel_help_rows(int width); /* lines of the text when it is that wide */

/* What a layer could be stored as: rows that its table has, the table, and all of it in one line. */
int panel_candidates_rows(const struct top_job *j, const struct top_layer *l);
void panel_candidates(const struct draw *d, struct rect r, const struct top_layer *l);
void panel_candidates_line(const struct draw *d, int x, int y, int w, const struct top_layer *l);

#endif
