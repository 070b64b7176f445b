/* The table of events. Each has the job, its number in the job's journal and the wall time first. */
#include "core/proto/fields.h"

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
    F_CHO("state", JOB_STATES, "the state it is in now"),
    F_NUL("reason", SRQ_T_STRING, "why: what it waits for, or what ended it"),
    F_END
};

static const struct srq_field stage_progress[] = {
    EVENT_HEAD,
    F_CHO("stage", JOB_STAGES, "what the job is doing"),
    F_RNG("done", SRQ_T_NUMBER, 0, COUNT_MAX, "units done"),
    F_NRNG("total", SRQ_T_NUMBER, 0, COUNT_MAX, "units in all"),
    F_REQ("unit", SRQ_T_STRING, "what is counted, e.g. blocks"),
    F_RNG("elapsed_s", SRQ_T_NUMBER, 0, COUNT_MAX, "time since the stage began, seconds"),
    F_NRNG("rate", SRQ_T_NUMBER, 0, 1e18, "units per second"),
    F_NRNG("eta_s", SRQ_T_NUMBER, 0, 1e18, "time left in this stage, seconds"),
    F_OPT("detail", SRQ_T_STRING, "one more word, e.g. the block's name"),
    F_END
};

static const struct srq_field block_begin[] = {
    EVENT_HEAD,
    F_RNG("block", SRQ_T_INT, 0, COUNT_MAX, "number of the block"),
    F_REQ("name", SRQ_T_STRING, "name of the block"),
    F_REQ("layers", SRQ_T_STRINGS, "names of its layers"),
    F_RNG("iters", SRQ_T_INT, 0, COUNT_MAX, "iterations planned"),
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
    F_END
};

static const struct srq_field plan_change[] = {
    F_REQ("layer", SRQ_T_STRING, "name of the layer"),
    F_NUL("old", SRQ_T_STRING, "scheme it had"),
    F_REQ("new", SRQ_T_STRING, "scheme it has"),
    F_REQ("source", SRQ_T_STRING, "default, allocator or pin"),
    F_END
};

static const struct srq_field plan_changed[] = {
    EVENT_HEAD,
    F_RNG("revision", SRQ_T_INT, 0, COUNT_MAX, "revision of the plan after the change"),
    F_SUB("changes", SRQ_T_ARRAY, plan_change, "the layers that changed"),
    F_NUL("by", SRQ_T_STRING, "who or what changed them"),
    F_END
};

static const struct srq_field eval_result[] = {
    EVENT_HEAD,
    F_CHO("which", "before|rtn|after", "the model measured: original, plainly rounded, tuned"),
    F_NUL("perplexity", SRQ_T_NUMBER, "exp of the mean negative log-likelihood of a token"),
    F_NUL("kl", SRQ_T_NUMBER, "mean KL divergence from the original's distribution, nats"),
    F_NUL("top1", SRQ_T_NUMBER, "share of positions with the original's most likely token"),
    F_RNG("tokens", SRQ_T_INT, 0, COUNT_MAX, "tokens scored"),
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
    F_CHO("level", "error|warning|info|debug", "how much it matters"),
    F_REQ("text", SRQ_T_STRING, "one line"),
    F_END
};

static const struct srq_event events[] = {
    { "job.state", "A job came into another state.", job_state },
    { "stage.progress", "How far the running stage is.", stage_progress },
    { "block.begin", "The tuning of a block begins.", block_begin },
    { "tune.point", "Loss of one tuning iteration.", tune_point },
    { "tune.probe", "Loss on the fixed probe set.", tune_probe },
    { "layer.error", "Error of one layer on the probe set.", layer_error },
    { "block.end", "A block is tuned.", block_end },
    { "plan.changed", "Layers got another scheme.", plan_changed },
    { "eval.result", "A model was measured.", eval_result },
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
