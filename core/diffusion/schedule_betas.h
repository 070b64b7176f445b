/* The beta schedules of spec diffusion-qat 7, and alpha_bar. */
#ifndef SRQ_DIFFUSION_SCHEDULE_BETAS_H
#define SRQ_DIFFUSION_SCHEDULE_BETAS_H

#include <stdbool.h>

/* Fills betas [times]. */
typedef void srq_beta_schedule(double start, double end, int times, float *betas);

/* The schedule of that name, NULL where there is none. */
srq_beta_schedule *srq_beta_schedule_find(const char *name);
/* "linear, scaled_linear, …": all names, for a sentence. */
const char *srq_beta_schedule_names(void);

/* Replaces betas [times] so that nothing of the picture is left at the last time (Lin et al. 2024, algorithm 1).
 * `scratch` [times]. At least two times. */
void srq_betas_zero_snr(float *betas, int times, double *scratch);
/* alpha_bar [times]: cumulative products of 1 - beta. */
void srq_betas_product(const float *betas, int times, double *alpha_bar);

#endif
