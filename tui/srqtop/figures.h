/* Numbers as panels show them: units, three significant digits, "-" for what is not known. */
#ifndef SRQ_TUI_SRQTOP_FIGURES_H
#define SRQ_TUI_SRQTOP_FIGURES_H

#include "tui/client/human.h"
#include "tui/srqtop/canvas.h"
#include "tui/srqtop/glyphs.h"
#include "tui/srqtop/model.h"

#define FIGURE (2 * CTL_HUMAN + 8) /* room for any of them */

/* Each writes into out[FIGURE] and returns it. */
char *figure_number(struct metric m, char *out);
char *figure_bytes(struct metric m, char *out);
char *figure_seconds(struct metric m, char *out);
char *figure_percent(struct metric share, char *out);
char *figure_count(struct metric m, char *out); /* whole number */
char *figure_bits(struct metric m, char *out);  /* two decimals: "4.25" */
char *figure_change(struct metric from, struct metric to, char *(*figure)(struct metric, char *), uint32_t arrow,
                    char *out); /* "1.2 GiB → 400 MiB"; one of them when they read alike */

static inline struct metric known(double v)
{
    return (struct metric){ true, v };
}
/* Seconds from a job's start to its end, or to `now`. */
struct metric figure_elapsed(const struct top_job *j, double now);
/* a/b where both are known and b > 0 */
struct metric figure_share(struct metric a, struct metric b);

const char *figure_job_state(const struct top_job *j); /* its state, or what it is about to do: "pausing" */
enum role figure_job_role(enum srq_job_state s);
const char *figure_work_state(enum srq_work_state s); /* "pending", "tuning", "finished", "stale" */
enum role figure_work_role(enum srq_work_state s);
/* Bits that a scheme's name says; unknown where it does not. */
struct metric figure_scheme_bits(const char *scheme);
const char *figure_scheme_group(const char *scheme, char out[16]); /* "128" of w4g128; "row", "tensor", "-" */

/* Progress bar with eighths of a cell, `share` 0 … 1; unknown: an empty one. */
void figure_bar(struct canvas *c, int x, int y, int w, struct metric share, enum glyph_set set);

#endif
