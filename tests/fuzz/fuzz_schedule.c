/* Configurations of schedulers: what is accepted has an alpha_bar that descends inside 0 … 1, and times inside it. */
#include "tests/fuzz/fuzz.h"

#include "core/diffusion/steps.h"

#include <math.h>
#include <stdlib.h>

#define C "\"_class_name\":"

const struct fuzz_seed fuzz_seeds[] = {
    FUZZ_SEED("{" C "\"DDPMScheduler\",\"num_train_timesteps\":9,\"beta_end\":0.5,\"timestep_spacing\":\"linspace\"}"),
    FUZZ_SEED("{" C "\"DDIMScheduler\",\"beta_schedule\":\"sigmoid\",\"num_train_timesteps\":30,\"steps_offset\":1}"),
    FUZZ_SEED("{" C "\"DDIMScheduler\",\"trained_betas\":[0.1,0.2,3e-1],\"num_train_timesteps\":3}"),
    FUZZ_SEED("{" C "\"DDIMScheduler\",\"prediction_type\":\"v_prediction\",\"rescale_betas_zero_snr\":true,"
              "\"beta_schedule\":\"squaredcos_cap_v2\",\"num_train_timesteps\":20,\"timestep_spacing\":\"trailing\"}"),
    FUZZ_SEED("{" C "\"DDPMScheduler\",\"thresholding\":true,\"sample_max_value\":2,\"num_train_timesteps\":5,"
              "\"variance_type\":\"fixed_large\",\"beta_schedule\":\"scaled_linear\"}"),
};
const size_t fuzz_seed_count = sizeof(fuzz_seeds) / sizeof(fuzz_seeds[0]);
const char fuzz_name[] = "scheduler configurations";

/* All steps from a picture of ordinary values give finite ones. */
static void walk(const struct srq_noise_schedule *s, int steps)
{
    int32_t *times = malloc((size_t)steps * sizeof(*times));
    float x[2] = { 0.5f, -1 }, said[2] = { 0.3f, 0.1f }, z[2] = { 1, -2 }, scratch[4], next[2];
    struct srq_sample_step step = { .schedule = s, .eta = 1, .n = 1, .pixels = 2, .x = x, .said = said, .z = z };

    step.scratch = scratch;
    step.next = next;
    if (times == NULL)
        abort();
    for (int i = 0; srq_schedule_timesteps(s, steps, times, NULL) == 0 && i < steps; i++) {
        if (times[i] < 0 || times[i] >= s->times || (i > 0 && times[i] >= times[i - 1]))
            abort();
        step.from = times[i];
        step.to = i + 1 < steps ? times[i + 1] : -1;
        srq_step_ddpm(&step);
        if (!isfinite(next[0]) || !isfinite(next[1]))
            abort();
        srq_step_ddim(&step);
        if (!isfinite(next[0]) || !isfinite(next[1]))
            abort();
    }
    free(times);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct srq_noise_schedule *s;
    struct srq_error err = { 0 };

    if (srq_schedule_read((const char *)data, size, &s, &err) != 0) {
        if (err.code == 0 || err.text[0] == '\0' || s != NULL)
            abort();
        return 0;
    }
    for (int t = 0; t < s->times; t++)
        if (!(s->alpha_bar[t] >= 0 && s->alpha_bar[t] < 1) || (t > 0 && s->alpha_bar[t] > s->alpha_bar[t - 1]))
            abort();
    walk(s, 1);
    walk(s, s->times < 100 ? s->times : 100);
    srq_schedule_free(s);
    return 0;
}
