/* The noise schedule of a diffusion model and how its scheduler is set up: scheduler_config.json of a diffusers folder
 * (spec diffusion-qat 7 and 8).
 *
 * t is a time 0 … times-1, 0 the least noisy. alpha_bar[t] is the share of the picture's power that is left at t:
 *     x_t = sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) eps,  eps ~ N(0, 1).
 * Betas and their cumulative products are rounded to F32 where diffusers rounds them, as models were trained with those
 * values (1 - alpha_bar at small t has few digits in F32); what is computed from them is computed in double. */
#ifndef SRQ_DIFFUSION_SCHEDULE_H
#define SRQ_DIFFUSION_SCHEDULE_H

#include <srq/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRQ_TIMES_MAX 100000 /* num_train_timesteps at most */

enum srq_scheduler { SRQ_SCHEDULER_DDPM, SRQ_SCHEDULER_DDIM };
/* What the model's output is. */
enum srq_prediction { SRQ_PREDICTS_EPS, SRQ_PREDICTS_SAMPLE, SRQ_PREDICTS_V };
/* Which times the steps of sampling visit. */
enum srq_spacing { SRQ_SPACING_LEADING, SRQ_SPACING_LINSPACE, SRQ_SPACING_TRAILING };
/* sigma^2 of a DDPM step. fixed_small_log is the same as fixed_small. */
enum srq_variance { SRQ_VARIANCE_SMALL, SRQ_VARIANCE_LARGE };

/* Read-only for everybody once it is read. */
struct srq_noise_schedule {
    enum srq_scheduler scheduler; /* _class_name: whose step is the model's own */
    enum srq_prediction prediction;
    enum srq_spacing spacing;
    enum srq_variance variance;
    int times;               /* T = num_train_timesteps, 1 … SRQ_TIMES_MAX */
    int offset;              /* steps_offset: added to each time of leading spacing */
    bool clip;               /* clip_sample: predicted x_0 to ±clip_range */
    bool thresholding;       /* dynamic thresholding of predicted x_0, in the place of clipping */
    bool alpha_to_one;       /* set_alpha_to_one: DDIM's last step ends at alpha_bar 1, else at alpha_bar[0] */
    double clip_range;       /* above 0 */
    double threshold_ratio;  /* the quantile of |x_0|, 0 … 1 */
    double threshold_max;    /* sample_max_value, above 0 */
    const double *alpha_bar; /* [times], descending, each an F32 value in (0, 1); the last one may be 0 */
    char unknown[160];       /* keys of the file that nobody reads, the first of them; "": there are none */
};

/* What is said of keys that are unknown. */
#define SRQ_SCHEDULE_UNKNOWN "scheduler_config.json: nothing is known of \"%s\", which was not looked at"

/* Reads scheduler_config.json, `len` bytes at `text` (NULL: the folder has none, -SRQ_ENOENT). Keys that are not of
 * spec 8 change nothing and are named in `unknown`, unless their names begin with _; null counts as absent; defaults
 * are diffusers' own. -SRQ_EFORMAT or -SRQ_EUNSUPPORTED naming key and value: a value of the wrong type or out of
 * range; a class, schedule, prediction, spacing or variance that is not known; learned, learned_range and
 * fixed_large_log variance; zero terminal SNR where the model predicts epsilon; a schedule that leaves no noise at time
 * 0 or no picture before the last. The caller frees `*out`. */
int srq_schedule_read(const char *text, size_t len, struct srq_noise_schedule **out, struct srq_error *err);
void srq_schedule_free(struct srq_noise_schedule *s); /* NULL is fine */

/* The times of `steps` steps, descending, out [steps]. -SRQ_EINVAL: steps outside 1 … times, or the offset leads to a
 * time that the schedule does not have. */
int srq_schedule_timesteps(const struct srq_noise_schedule *s, int steps, int32_t *out, struct srq_error *err);

/* alpha_bar / (1 - alpha_bar) at t. */
double srq_schedule_snr(const struct srq_noise_schedule *s, int32_t t);

/* Each of the following is elementwise over `count` values, of one time t; `out` may be one of the inputs. */

/* x_t from x_0 and eps. */
void srq_schedule_noise(const struct srq_noise_schedule *s, int32_t t, const float *x0, const float *eps, int64_t count,
                        float *out);
/* What the model should say for x_t: eps, x_0, or v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0. */
void srq_schedule_target(const struct srq_noise_schedule *s, int32_t t, const float *x0, const float *eps,
                         int64_t count, float *out);
/* x_0 and eps as the model's output `said` for x_t implies them, nothing clipped. */
void srq_schedule_x0(const struct srq_noise_schedule *s, int32_t t, const float *xt, const float *said, int64_t count,
                     float *out);
void srq_schedule_eps(const struct srq_noise_schedule *s, int32_t t, const float *xt, const float *said, int64_t count,
                      float *out);

/* Thresholds or clips the predicted x_0 of one picture of `count` values in place, as the schedule asks for.
 * `scratch` [count] is overwritten where thresholding is on, and may be NULL where it is not. */
void srq_schedule_limit(const struct srq_noise_schedule *s, float *x0, int64_t count, float *scratch);

#endif
