/* The table of events. Each has the job, its number in the job's journal and the wall time first. */
#include "core/proto/fields.h"

#include "core/base/log.h"

#include <string.h>

/* clang-format off */
#define EVENT_HEAD                                                                                                   \
    F_RNG("job", SRQ_T_STRING, 1, 255, "id of the job"),                                                              \
    F_NRNG("seq", SRQ_T_INT, 1, COUNT_MAX, "number of the line in the job's journal; null: srqd's own event"),        \
    F_RNG("time", SRQ_T_NUMBER, 0, COUNT_MAX, "seconds since the epoch"),                                             \
    F_ORNG("skipped", SRQ_T_INT, 0, COUNT_MAX, "samples of this series left out since the last one, because this "    \
                                               "client reads slowly")

static const struct srq_field job_state[] = {
    EVENT_HEAD,
    F_CHO("state", srq_job_state_words, "the state it is in now"),
    F_NUL("reason", SRQ_T_STRING, "why: what it waits for, or what ended it"),
    F_END
};

static const struct srq_field stage_progress[] = {
    EVENT_HEAD,
    F_CHO("stage", srq_stage_words, "what the job is doing"),
    F_RNG("done", SRQ_T_NUMBER, 0, COUNT_MAX, "units done"),
    F_NRNG("total", SRQ_T_NUMBER, 0, COUNT_MAX, "units in all"),
    F_REQ("unit", SRQ_T_STRING, "what is counted, e.g. blocks"),
    F_RNG("elapsed_s", SRQ_T_NUMBER, 0, COUNT_MAX, "time since the stage began, seconds"),
    F_NRNG("rate", SRQ_T_NUMBER, 0, 1e18, "units per second"),
    F_NRNG("eta_s", SRQ_T_NUMBER, 0, 1e18, "time left in this stage, seconds"),
    F_ORNG("left_s", SRQ_T_NUMBER, 0, 1e18, "time left of the job, seconds; null: not known"),
    F_OPT("detail", SRQ_T_STRING, "one more word, e.g. the block's name"),
    F_END
};

static const struct srq_field job_memory[] = {
    EVENT_HEAD,
    F_CHO("stage", srq_stage_words, "what the job is doing"),
    F_RNG("planned_bytes", SRQ_T_NUMBER, 0, COUNT_MAX, "memory planned, now that the texts are read"),
    F_RNG("used_bytes", SRQ_T_NUMBER, 0, COUNT_MAX, "the most that it used so far"),
    F_END
};

static const struct srq_field block_begin[] = {
    EVENT_HEAD,
    F_RNG("block", SRQ_T_INT, 0, COUNT_MAX, "number of the block"),
    F_REQ("name", SRQ_T_STRING, "name of the block"),
    F_REQ("layers", SRQ_T_STRINGS, "names of its layers"),
    F_RNG("iters", SRQ_T_INT, 0, COUNT_MAX, "iterations planned"),
    F_OPT("again", SRQ_T_BOOL, "true: it was tuned before and is stale"),
    F_OCHO("state", srq_work_state_words, "how far the block and its layers are now"),
    F_END
};

static const struct srq_field tune_point[] = {
    EVENT_HEAD,
    F_RNG("block", SRQ_T_INT, 0, COUNT_MAX, "number of the block"),
    F_RNG("iter", SRQ_T_INT, 0, COUNT_MAX, "iteration"),
    F_NUL("loss", SRQ_T_NUMBER, "block loss on the iteration's batch"),
    F_NUL("lr", SRQ_T_NUMBER, "step size"),
    F_END
};

static const struct srq_field tune_probe[] = {
    EVENT_HEAD,
    F_RNG("block", SRQ_T_INT, 0, COUNT_MAX, "number of the block"),
    F_RNG("iter", SRQ_T_INT, 0, COUNT_MAX, "iteration"),
    F_NUL("loss", SRQ_T_NUMBER, "block loss on the fixed probe set"),
    F_NUL("best", SRQ_T_NUMBER, "the smallest of them so far"),
    F_END
};

static const struct srq_field transform_point[] = {
    EVENT_HEAD,
    F_RNG("iter", SRQ_T_INT, 0, COUNT_MAX, "training step"),
    F_NUL("loss", SRQ_T_NUMBER, "loss of the step's batch"),
    F_NUL("lr", SRQ_T_NUMBER, "step size"),
    F_OPT("task", SRQ_T_NUMBER, "of a trainer: the loss's mean squared error to what was to be said; null: it has no "
                                "such part"),
    F_OPT("kd", SRQ_T_NUMBER, "of a trainer: the loss's mean squared error to what the full-precision model says"),
    F_OPT("kd_layers", SRQ_T_NUMBER, "of a trainer: its part of what blocks give; null: it has no such part"),
    F_OPT("kd_by_time", SRQ_T_ARRAY,
          "of a trainer: `kd` by the times of the batch's pictures, in ten equal parts, the least noisy first; null: "
          "none was of these times"),
    F_END
};

static const struct srq_field transform_pairs[] = {
    F_REQ("kind", SRQ_T_STRING, "A: q, k, v; B: gate, up; C: o; D: down; E: lm_head"),
    F_NUL("spread_mean", SRQ_T_NUMBER, "mean of |log scale| over their channels"),
    F_NUL("spread_max", SRQ_T_NUMBER, "the largest of them"),
    F_END
};

static const struct srq_field transform_probe[] = {
    EVENT_HEAD,
    F_RNG("iter", SRQ_T_INT, 0, COUNT_MAX, "training steps done"),
    F_NUL("loss", SRQ_T_NUMBER, "loss on the samples held out"),
    F_NUL("best", SRQ_T_NUMBER, "the smallest of them so far"),
    F_NUL("spread_mean", SRQ_T_NUMBER, "mean of |log scale| over all channels"),
    F_NUL("spread_max", SRQ_T_NUMBER, "the largest of them"),
    F_OLIST("pairs", transform_pairs, 5, "the same by kinds of pairs"),
    F_END
};

static const struct srq_field layer_error[] = {
    EVENT_HEAD,
    F_RNG("block", SRQ_T_INT, 0, COUNT_MAX, "number of the block"),
    F_REQ("layer", SRQ_T_STRING, "name of the layer"),
    F_RNG("iter", SRQ_T_INT, 0, COUNT_MAX, "iteration"),
    F_NUL("error", SRQ_T_NUMBER, "relative output error of the layer on the probe set"),
    F_END
};

static const struct srq_field block_end[] = {
    EVENT_HEAD,
    F_RNG("block", SRQ_T_INT, 0, COUNT_MAX, "number of the block"),
    F_REQ("name", SRQ_T_STRING, "name of the block"),
    F_NUL("loss_first", SRQ_T_NUMBER, "probe loss before tuning"),
    F_NUL("loss_best", SRQ_T_NUMBER, "probe loss of the iterate that was kept"),
    F_NUL("best_iteration", SRQ_T_INT, "iteration of that iterate"),
    F_RNG("elapsed_s", SRQ_T_NUMBER, 0, COUNT_MAX, "time the block took, seconds"),
    F_ORNG("generation", SRQ_T_INT, 1, COUNT_MAX, "1 for the block's first result, larger for each later one"),
    F_OCHO("state", srq_work_state_words, "how far the block and its layers are now: stale where the plan went on"),
    F_END
};

static const struct srq_field plan_change[] = {
    F_REQ("layer", SRQ_T_STRING, "name of the layer"),
    F_NUL("old", SRQ_T_STRING, "scheme it had"),
    F_REQ("new", SRQ_T_STRING, "scheme it has"),
    F_CHO("source", srq_decider_words, "who decided"),
    F_OCHO("state", srq_work_state_words, "how far the layer is"),
    F_END
};

static const struct srq_field place_in_job[] = {
    F_NUL("block", SRQ_T_INT, "block that was being tuned"),
    F_NUL("iter", SRQ_T_INT, "its iteration"),
    F_END
};

static const struct srq_field plan_changed[] = {
    EVENT_HEAD,
    F_RNG("revision", SRQ_T_INT, 0, COUNT_MAX, "revision of the plan after the change"),
    F_LIST("changes", plan_change, 0, SRQ_CHANGES_MAX, "the layers that changed, the first of them"),
    F_NUL("by", SRQ_T_STRING, "who or what changed them"),
    F_OCHO("op", srq_change_words, "what was asked"),
    F_ORNG("changed", SRQ_T_INT, 0, COUNT_MAX, "layers that changed, all of them"),
    F_OPT("retunes", SRQ_T_INTS, "numbers of the blocks that are tuned again after the first pass"),
    F_OPT("restarts", SRQ_T_INT, "block that starts again at iteration 0; null: none"),
    F_OCHOS("states", srq_work_state_words, "how far each block and its layers are after the change, in their order; "
                                            "the last is what lies outside the blocks"),
    F_OSUB("size", SRQ_T_OBJECT, srq_size_fields, "size after the change"),
    F_OSUB("options", SRQ_T_OBJECT, srq_live_options_fields, "options that were changed; null values: as submitted"),
    F_OSUB("at", SRQ_T_OBJECT, place_in_job, "where the job was; a resume applies the change there"),
    F_END
};

static const struct srq_field layer_scored[] = {
    EVENT_HEAD,
    F_NUL("block", SRQ_T_INT, "number of its block; null: outside all blocks"),
    F_REQ("layer", SRQ_T_STRING, "name of the layer"),
    F_REQ("scheme", SRQ_T_STRING, "scheme that the score is of"),
    F_NUL("score", SRQ_T_NUMBER, "loss that the scheme is expected to add"),
    F_END
};

static const struct srq_field layer_done[] = {
    EVENT_HEAD,
    F_NUL("block", SRQ_T_INT, "number of its block; null: outside all blocks"),
    F_REQ("layer", SRQ_T_STRING, "name of the layer"),
    F_REQ("scheme", SRQ_T_STRING, "scheme that it was tuned in"),
    F_NUL("error_first", SRQ_T_NUMBER, "relative output error before tuning"),
    F_NUL("error_best", SRQ_T_NUMBER, "relative output error of the iterate that was kept"),
    F_NUL("saturation", SRQ_T_NUMBER, "share of codes at the ends of the range"),
    F_END
};

static const struct srq_field front_point[] = {
    F_REQ("average_bits", SRQ_T_NUMBER, "bits of a weight, scales included"),
    F_REQ("loss", SRQ_T_NUMBER, "sum of the scores"),
    F_END
};

static const struct srq_field plan_allocated[] = {
    EVENT_HEAD,
    F_NUL("target_bits", SRQ_T_NUMBER, "average bits that were asked for"),
    F_REQ("average_bits", SRQ_T_NUMBER, "average bits of the plan found"),
    F_NUL("loss", SRQ_T_NUMBER, "its sum of scores"),
    F_NUL("bound", SRQ_T_NUMBER, "no plan of that size has a smaller sum"),
    F_NUL("gap", SRQ_T_NUMBER, "how far the loss may be above the best, relative"),
    F_REQ("candidates", SRQ_T_STRINGS, "schemes that it chose from"),
    F_LIST("front", front_point, 0, 200, "best loss at each size, ascending bits"),
    F_END
};

static const struct srq_field eval_result[] = {
    EVENT_HEAD,
    F_CHO("which", srq_measured_words, "the model measured: original, plainly rounded, tuned"),
    F_NUL("perplexity", SRQ_T_NUMBER, "exp of the mean negative log-likelihood of a token"),
    F_NUL("kl", SRQ_T_NUMBER, "mean KL divergence from the original's distribution, nats"),
    F_NUL("top1", SRQ_T_NUMBER, "share of positions with the original's most likely token"),
    F_RNG("tokens", SRQ_T_INT, 0, COUNT_MAX, "tokens scored"),
    F_END
};

static const struct srq_field sample_result[] = {
    EVENT_HEAD,
    F_CHO("which", srq_sampled_words, "the model that pictures were sampled with"),
    F_NUL("fid", SRQ_T_NUMBER, "Frechet distance from given pictures"),
    F_NUL("pair_mse", SRQ_T_NUMBER, "mean squared difference from the full model's pictures of equal seeds"),
    F_NUL("psnr", SRQ_T_NUMBER, "the same in dB of the range"),
    F_NUL("ssim", SRQ_T_NUMBER, "structural similarity with them"),
    F_OPT("picture_step_s", SRQ_T_NUMBER, "time that one step of one picture took, seconds"),
    F_END
};

static const struct srq_field sample_pictures[] = {
    EVENT_HEAD,
    F_CHO("which", srq_sampled_words, "the model that they were sampled with; the same place is the same noise"),
    F_NRNG("train_step", SRQ_T_INT, 0, COUNT_MAX, "training steps done by then; null: of the job's result"),
    F_RNG("count", SRQ_T_INT, 1, SRQ_SHOWN_MAX, "pictures"),
    F_RNG("height", SRQ_T_INT, 1, SRQ_SHOWN_SIDE_MAX, "rows of one, made smaller to fit"),
    F_RNG("width", SRQ_T_INT, 1, SRQ_SHOWN_SIDE_MAX, "columns of one"),
    F_RNG("channels", SRQ_T_INT, 1, 3, "1: gray, 3: red, green, blue"),
    F_RNG("pixels", SRQ_T_STRING, 4, SRQ_SHOWN_TEXT_MAX,
          "base64 of a byte for each value, 0 dark to 255 light, [count, height, width, channels]"),
    F_RNG("steps", SRQ_T_INT, 1, COUNT_MAX, "steps in which they were sampled"),
    F_RNG("sample_steps", SRQ_T_INT, 1, COUNT_MAX, "steps of the job's samples, which the next two are about"),
    F_RNG("hp_first", SRQ_T_INT, 0, COUNT_MAX, "first steps that the mix computes in full precision"),
    F_RNG("hp_last", SRQ_T_INT, 0, COUNT_MAX, "the same of the last steps"),
    { .name = "step_sqnr", .type = SRQ_T_NUMBERS, .required = true, .nullable = true, .max = SRQ_STEPS_TOLD_MAX,
      .help = "along the full-precision model's steps, what it says against how far off this model is, dB: one a step, "
              "or of steps at equal distances where there are many; null: this is that model, or their mix" },
    F_END
};

static const struct srq_field checkpoint[] = {
    EVENT_HEAD,
    F_NUL("block", SRQ_T_INT, "number of the running block"),
    F_NUL("iter", SRQ_T_INT, "iteration it would resume at"),
    F_RNG("bytes", SRQ_T_NUMBER, 0, COUNT_MAX, "size of what was written"),
    F_RNG("elapsed_s", SRQ_T_NUMBER, 0, COUNT_MAX, "time that the writing took, seconds"),
    F_END
};

static const struct srq_field log_event[] = {
    EVENT_HEAD,
    F_CHO("level", srq_log_level_words, "how much it matters"),
    F_REQ("text", SRQ_T_STRING, "one line"),
    F_END
};

static const struct srq_event events[] = {
    { "job.state", "A job came into another state.", job_state },
    { "stage.progress", "How far the running stage is.", stage_progress },
    { "job.memory", "Memory planned and used: once the plan is settled, and where it is exceeded.", job_memory },
    { "block.begin", "The tuning of a block begins.", block_begin },
    { "tune.point", "Loss of one tuning iteration.", tune_point },
    { "tune.probe", "Loss on the fixed probe set.", tune_probe },
    { "transform.point", "Loss of one training step of a transform.", transform_point },
    { "transform.probe", "Loss of a transform on the samples held out.", transform_probe },
    { "layer.error", "Error of one layer on the probe set.", layer_error },
    { "block.end", "A block is tuned.", block_end },
    { "layer.done", "A layer of a block that ends: what tuning made of it.", layer_done },
    { "layer.scored", "How much a scheme is expected to hurt a layer.", layer_scored },
    { "plan.allocated", "The allocator chose schemes within the budget.", plan_allocated },
    { "plan.changed", "Layers got another scheme, or are tuned again.", plan_changed },
    { "eval.result", "A model was measured.", eval_result },
    { "sample.result", "A diffusion model was sampled.", sample_result },
    { "sample.pictures", "Some pictures of a diffusion model, while it is trained and once it was sampled.",
      sample_pictures },
    { "checkpoint", "A resume would go on from here.", checkpoint },
    { "log", "A line for people.", log_event },
};
/* clang-format on */

const struct srq_event *srq_proto_events(size_t *count)
{
    *count = sizeof(events) / sizeof(events[0]);
    return events;
}

const struct srq_event *srq_proto_event(const char *name)
{
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (strcmp(events[i].name, name) == 0)
            return &events[i];
    }
    return NULL;
}

bool srq_proto_is_sample(const char *event)
{
    static const char *const samples[] = { "tune.point",      "tune.probe",  "transform.point",
                                           "transform.probe", "layer.error", "stage.progress" };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        if (strcmp(event, samples[i]) == 0)
            return true;
    }
    return false;
}
