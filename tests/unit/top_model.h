/* A made-up model for tests of srqtop's screen: some jobs, one of them open with blocks, layers, curves and a log. */
#ifndef SRQ_TEST_TOP_MODEL_H
#define SRQ_TEST_TOP_MODEL_H

#include "tui/srqtop/view.h"

/* Jobs "j-run", "j-wait", "j-done", "j-fail" and "j-pause"; "j-run" and "j-done" are open with `blocks` blocks of seven
 * layers and a lm_head, whose curves have `points` points where the tuning has been. Its first third is finished (one
 * block stale), one block runs, the rest is pending; numbers not known yet are unknown. */
void top_fixture(struct top_model *m, int blocks, int points);
/* Preview of an edit, as a dry run would fill it. */
void top_fixture_preview(struct top_model *m);

/* The first job becomes one on a diffusion model that is trained, or (`sampled`) whose result was sampled. */
void top_fixture_diffusion(struct top_model *m, bool sampled);

#endif
