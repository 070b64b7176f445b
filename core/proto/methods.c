/* The table of methods: parameters and replies of everything a client may ask srqd, and srqd a worker. */
#include "core/proto/fields.h"

#include <string.h>

/* clang-format off */
#define JOB_PARAM F_RNG("job", SRQ_T_STRING, 1, 255, "id of the job, a unique beginning of it, or @last")
#define JOB_ID F_RNG("job", SRQ_T_STRING, 1, 255, "id of the job")
#define PAGE_PARAMS                                                                                                  \
    F_ORNG("offset", SRQ_T_INT, -COUNT_MAX, COUNT_MAX, "first element wanted (default 0); negative: from the end"),   \
    F_ORNG("limit", SRQ_T_INT, 1, 10000, "most elements wanted; a page may hold fewer")
#define PAGE_REPLY                                                                                                   \
    F_RNG("total", SRQ_T_INT, 0, COUNT_MAX, "elements in all"),                                                       \
    F_NUL("next_offset", SRQ_T_INT, "offset of the next page; null: this was the last")

static const struct srq_field nothing[] = { F_END };
static const struct srq_field job_only[] = { JOB_PARAM, F_END };
#define WISH F_OCHO("wish", srq_wish_words, "what it was told and has not done yet")
static const struct srq_field resumed[] = { JOB_ID, F_CHO("state", srq_job_state_words, "its state now"), F_END };
static const struct srq_field job_and_state[] = { JOB_ID, F_CHO("state", srq_job_state_words, "its state now"), WISH,
                                                  F_END };

static const struct srq_field hello_params[] = {
    F_RNG("major", SRQ_T_INT, 0, 1000000, "protocol major that the client speaks"),
    F_RNG("minor", SRQ_T_INT, 0, 1000000, "protocol minor that the client speaks"),
    F_RNG("client", SRQ_T_STRING, 1, 100, "name and version of the client"),
    F_END
};
static const struct srq_field hello_reply[] = {
    F_REQ("major", SRQ_T_INT, "protocol major that the server speaks"),
    F_REQ("minor", SRQ_T_INT, "protocol minor that the server speaks"),
    F_REQ("server", SRQ_T_STRING, "name of the server"),
    F_REQ("version", SRQ_T_STRING, "version of the server"),
    F_REQ("pid", SRQ_T_INT, "process of the server"),
    F_CHO("mode", WORDS("user", "system"), "one user's daemon, or the machine's"),
    F_REQ("uid", SRQ_T_INT, "the client's user id, as the kernel says"),
    F_REQ("admin", SRQ_T_BOOL, "whether the client may administrate"),
    F_END
};

static const struct srq_field counts[] = {
    F_REQ("queued", SRQ_T_INT, "jobs that wait"),
    F_REQ("starting", SRQ_T_INT, "jobs whose worker comes up"),
    F_REQ("running", SRQ_T_INT, "jobs that run"),
    F_REQ("paused", SRQ_T_INT, "jobs that their users paused"),
    F_REQ("done", SRQ_T_INT, "jobs that ended well"),
    F_REQ("failed", SRQ_T_INT, "jobs that failed"),
    F_REQ("canceled", SRQ_T_INT, "jobs that were canceled"),
    F_END
};
static const struct srq_field limits[] = {
    F_NUL("max_running", SRQ_T_INT, "jobs at once; null: no limit"),
    F_NUL("max_threads", SRQ_T_INT, "threads of running jobs in sum"),
    F_NUL("max_memory_bytes", SRQ_T_NUMBER, "memory of running jobs in sum, planned or used"),
    F_NUL("user_max_running", SRQ_T_INT, "jobs of one user at once"),
    F_NUL("user_max_threads", SRQ_T_INT, "threads of one user's running jobs"),
    F_NUL("user_max_memory_bytes", SRQ_T_NUMBER, "memory of one user's running jobs, planned or used"),
    F_OPT("user_max_disk_bytes", SRQ_T_NUMBER, "disk that the folders of one user's jobs take"),
    F_NUL("user_max_queued", SRQ_T_INT, "unfinished jobs that one user may have"),
    F_END
};
static const struct srq_field in_use[] = {
    F_REQ("running", SRQ_T_INT, "jobs with a worker"),
    F_REQ("threads", SRQ_T_INT, "their threads"),
    F_REQ("memory_bytes", SRQ_T_NUMBER, "their memory: of each what was planned or what it used, whichever is more"),
    F_OPT("disk_bytes", SRQ_T_NUMBER, "disk that the folders of all jobs take, ended ones too"),
    F_END
};
static const struct srq_field disk_fields[] = {
    F_NUL("free_bytes", SRQ_T_NUMBER, "free for those who are not root"),
    F_NUL("total_bytes", SRQ_T_NUMBER, "in all"),
    F_END
};
static const struct srq_field daemon_info[] = {
    F_REQ("version", SRQ_T_STRING, "version of srqd"),
    F_REQ("pid", SRQ_T_INT, "its process"),
    F_REQ("uid", SRQ_T_INT, "its user"),
    F_CHO("mode", WORDS("user", "system"), "one user's daemon, or the machine's"),
    F_REQ("socket", SRQ_T_STRING, "path of its socket"),
    F_REQ("state_dir", SRQ_T_STRING, "where jobs and the store are"),
    F_NUL("config", SRQ_T_STRING, "configuration file read; null: none"),
    F_REQ("worker", SRQ_T_STRING, "program started for jobs"),
    F_REQ("started", SRQ_T_NUMBER, "when it started, seconds since the epoch"),
    F_REQ("uptime_s", SRQ_T_NUMBER, "time since then, seconds"),
    F_REQ("draining", SRQ_T_BOOL, "whether it starts no more jobs"),
    F_NUL("refusing", SRQ_T_STRING, "why it takes no new jobs; null: it takes them"),
    F_REQ("clients", SRQ_T_INT, "connections"),
    F_SUB("jobs", SRQ_T_OBJECT, counts, "jobs by state"),
    F_SUB("limits", SRQ_T_OBJECT, limits, "limits set"),
    F_SUB("in_use", SRQ_T_OBJECT, in_use, "what counts against them now"),
    F_OPT("unremoved", SRQ_T_STRINGS, "folders of deleted jobs that could not be removed; for administrators"),
    F_OSUB("disk", SRQ_T_OBJECT, disk_fields, "the file system that jobs are kept on"),
    F_END
};
static const struct srq_field reload_reply[] = { F_NUL("config", SRQ_T_STRING, "file that was read"), F_END };
static const struct srq_field drain_params[] = {
    F_OPT("on", SRQ_T_BOOL, "false takes draining back (default true)"), F_END
};
static const struct srq_field drain_reply[] = { F_REQ("draining", SRQ_T_BOOL, "whether it drains now"), F_END };
static const struct srq_field stop_params[] = {
    F_OPT("jobs", SRQ_T_BOOL, "true: checkpoint and end the workers first; they go on at the next start"), F_END
};
static const struct srq_field stop_reply[] = {
    F_REQ("workers", SRQ_T_INT, "workers alive: left running, or being ended with jobs = true"), F_END
};

static const struct srq_field plugin_short[] = {
    F_REQ("name", SRQ_T_STRING, "name of the plugin"),
    F_REQ("version", SRQ_T_STRING, "its version"),
    F_REQ("summary", SRQ_T_STRING, "one sentence"),
    F_REQ("parts", SRQ_T_STRINGS, "what it can do: oneshot, tunable, transform, scorer, allocator, trainer"),
    F_END
};
static const struct srq_field plugin_list[] = {
    F_SUB("plugins", SRQ_T_ARRAY, plugin_short, "the plugins found"),
    F_OPT("broken", SRQ_T_STRINGS, "what was found but cannot be loaded: a sentence each"), F_END
};
static const struct srq_field plugin_params[] = { F_RNG("name", SRQ_T_STRING, 1, 64, "name of the plugin"), F_END };
static const struct srq_field plugin_option[] = {
    F_REQ("name", SRQ_T_STRING, "name, without the plugin's"),
    F_REQ("type", SRQ_T_STRING, "type of the value"),
    F_OPT("unit", SRQ_T_STRING, "unit of the value"),
    F_OPT("min", SRQ_T_NUMBER, "smallest value"),
    F_OPT("max", SRQ_T_NUMBER, "largest value"),
    F_OPT("choices", SRQ_T_STRINGS, "the words allowed"),
    F_OPT("default", SRQ_T_ANY, "value where none is given"),
    F_OPT("help", SRQ_T_STRING, "one sentence"),
    F_END
};
static const struct srq_field plugin_info[] = {
    F_REQ("name", SRQ_T_STRING, "name of the plugin"),
    F_REQ("version", SRQ_T_STRING, "its version"),
    F_REQ("summary", SRQ_T_STRING, "one sentence"),
    F_REQ("parts", SRQ_T_STRINGS, "what it can do"),
    F_SUB("options", SRQ_T_ARRAY, plugin_option, "its options"),
    F_OPT("recipes", SRQ_T_ARRAY, "named sets of options"),
    F_END
};

static const struct srq_field submit_params[] = {
    F_REQ("spec", SRQ_T_OBJECT, "what is asked, as in srq-job(5)"),
    F_OPT("paused", SRQ_T_BOOL, "true: accept it, but wait for job.resume"),
    F_END
};
static const struct srq_field amount_row[] = {
    F_REQ("name", SRQ_T_STRING, "what it is for"),
    F_REQ("bytes", SRQ_T_NUMBER, "how much"),
    F_OPT("stage", SRQ_T_STRING, "stage that needs it; null: all of them"),
    F_END
};
static const struct srq_field amounts[] = {
    F_SUB("rows", SRQ_T_ARRAY, amount_row, "parts"),
    F_REQ("planned_bytes", SRQ_T_NUMBER, "sum"),
    F_END
};
const struct srq_field srq_size_fields[] = {
    F_NUL("before_bytes", SRQ_T_NUMBER, "weights as they are"),
    F_NUL("after_bytes", SRQ_T_NUMBER, "all tensors of the export, in its first format; null: not chosen yet"),
    F_NUL("average_bits", SRQ_T_NUMBER, "bits that a quantized weight takes, scales and zero-points included"),
    F_END
};
static const struct srq_field new_options[] = {
    F_ORNG("lr", SRQ_T_NUMBER, 0, 1, "learning rate of a trainer"),
    F_ORNG("hp_first", SRQ_T_INT, 0, COUNT_MAX, "first steps of sampling that the mix computes in high precision"),
    F_ORNG("hp_last", SRQ_T_INT, 0, COUNT_MAX, "the same of the last steps"),
    F_END
};
const struct srq_field srq_live_options_fields[] = {
    F_NRNG("lr", SRQ_T_NUMBER, 0, 1, "learning rate of a trainer"),
    F_NRNG("hp_first", SRQ_T_INT, 0, COUNT_MAX, "first steps of sampling that the mix computes in high precision"),
    F_NRNG("hp_last", SRQ_T_INT, 0, COUNT_MAX, "the same of the last steps"),
    F_END
};
#define PLAN_ANSWER                                                                                                  \
    F_NSUB("size", SRQ_T_OBJECT, srq_size_fields, "size before and after"),                                          \
    F_NSUB("memory", SRQ_T_OBJECT, amounts, "memory planned"),                                                       \
    F_NSUB("disk", SRQ_T_OBJECT, amounts, "disk planned"),                                                           \
    F_NUL("estimate_s", SRQ_T_NUMBER, "expected time, seconds"),                                                     \
    F_NUL("threads", SRQ_T_INT, "threads it will use"),                                                              \
    F_REQ("warnings", SRQ_T_STRINGS, "what the user should know")
static const struct srq_field submit_reply[] = {
    JOB_ID,
    F_CHO("state", srq_job_state_words, "its state"),
    F_NUL("reason", SRQ_T_STRING, "what it waits for"),
    F_REQ("directory", SRQ_T_STRING, "its job directory"),
    PLAN_ANSWER,
    F_END
};
static const struct srq_field layer_fields[] = {
    F_REQ("name", SRQ_T_STRING, "checkpoint name of the layer"),
    F_NUL("block", SRQ_T_INT, "number of its block; null: outside all blocks"),
    F_OPT("module", SRQ_T_STRING, "its name inside the block"),
    F_REQ("out", SRQ_T_INT, "rows of the weight"),
    F_REQ("in", SRQ_T_INT, "columns of the weight"),
    F_REQ("scheme", SRQ_T_STRING, "how it is stored"),
    F_CHO("source", srq_decider_words, "who decided"),
    F_OPT("tie", SRQ_T_ANY, "layers with the same tie change together"),
    F_OPT("why", SRQ_T_STRING, "why it stays in 16 bits though something else was asked for"),
    F_OPT("asked", SRQ_T_STRING, "with why: what was asked for"),
    F_OPT("untied", SRQ_T_BOOL, "true: a pin took it out of its tie"),
    F_OPT("widths", SRQ_T_INTS, "bits of an integer scheme that its shape and every export format can hold"),
    F_OPT("bits", SRQ_T_NUMBER, "bits of a weight in that scheme, scales not counted; of a job's plan"),
    F_OCHO("state", srq_work_state_words, "how far it is; of a job's plan"),
    F_OPT("score", SRQ_T_NUMBER, "sensitivity score of that scheme: the loss that it is expected to add"),
    F_OPT("pin", SRQ_T_BOOL, "whether a user decided"),
    F_END
};
static const struct srq_field plan_spec_params[] = {
    F_REQ("spec", SRQ_T_OBJECT, "what would be asked, as in srq-job(5); the same for every page"),
    PAGE_PARAMS,
    F_END
};
static const struct srq_field plan_spec_reply[] = {
    F_REQ("spec", SRQ_T_OBJECT, "the spec with its defaults filled in"),
    F_REQ("revision", SRQ_T_INT, "revision of the plan"),
    PLAN_ANSWER,
    F_SUB("layers", SRQ_T_ARRAY, layer_fields, "the plan"),
    PAGE_REPLY,
    F_END
};

#define SUMMARY                                                                                                      \
    JOB_ID,                                                                                                          \
    F_NUL("name", SRQ_T_STRING, "its name"),                                                                         \
    F_REQ("owner", SRQ_T_STRING, "user name of who submitted it"),                                                   \
    F_REQ("uid", SRQ_T_INT, "user id of who submitted it"),                                                          \
    F_CHO("state", srq_job_state_words, "its state"),                                                                \
    F_NUL("reason", SRQ_T_STRING, "what it waits for, or what ended it"),                                            \
    WISH,                                                                                                            \
    F_REQ("priority", SRQ_T_INT, "higher goes first"),                                                               \
    F_NUL("position", SRQ_T_INT, "place in the queue, from 1"),                                                      \
    F_REQ("model", SRQ_T_STRING, "path of the model"),                                                               \
    F_REQ("method", SRQ_T_STRING, "plugins in their order"),                                                         \
    F_REQ("scheme", SRQ_T_STRING, "default scheme, or the budget that schemes are chosen within"),                   \
    F_REQ("output", SRQ_T_STRING, "where the result goes"),                                                          \
    F_REQ("submitted", SRQ_T_NUMBER, "when, seconds since the epoch"),                                               \
    F_NUL("started", SRQ_T_NUMBER, "when its worker first started"),                                                 \
    F_NUL("ended", SRQ_T_NUMBER, "when it ended"),                                                                   \
    F_NUL("stage", SRQ_T_STRING, "stage that runs"),                                                                 \
    F_NUL("done", SRQ_T_NUMBER, "units of the stage done"),                                                          \
    F_NUL("total", SRQ_T_NUMBER, "units of the stage in all"),                                                       \
    F_NUL("unit", SRQ_T_STRING, "what the units are"),                                                               \
    F_NUL("rate", SRQ_T_NUMBER, "units per second"),                                                                 \
    F_NUL("eta_s", SRQ_T_NUMBER, "time left of the job, or where that is unknown in the stage, seconds"),            \
    F_NUL("before_bytes", SRQ_T_NUMBER, "weights as they are"),                                                      \
    F_NUL("after_bytes", SRQ_T_NUMBER, "weights as they will be"),                                                   \
    F_NUL("average_bits", SRQ_T_NUMBER, "bits a quantized weight takes"),                                            \
    F_NUL("memory_bytes", SRQ_T_NUMBER, "memory planned"),                                                           \
    F_OPT("disk_used_bytes", SRQ_T_NUMBER, "disk that its folder takes, as last measured"),                          \
    F_NUL("threads", SRQ_T_INT, "threads"),                                                                          \
    F_NUL("pid", SRQ_T_INT, "process of its worker"),                                                                \
    F_REQ("restarts", SRQ_T_INT, "times its worker died and was started again")
static const struct srq_field summary[] = { SUMMARY, F_END };
static const struct srq_field list_params[] = {
    F_OCHOS("states", srq_job_state_words, "only jobs in these states"),
    F_OPT("all", SRQ_T_BOOL, "other users' jobs too, where the configuration opens them"),
    PAGE_PARAMS,
    F_END
};
static const struct srq_field list_reply[] = {
    F_SUB("jobs", SRQ_T_ARRAY, summary, "newest first"),
    PAGE_REPLY,
    F_SUB("counts", SRQ_T_OBJECT, counts, "all jobs of all users by state"),
    F_END
};
static const struct srq_field get_reply[] = {
    SUMMARY,
    F_REQ("spec", SRQ_T_OBJECT, "complete spec"),
    F_REQ("directory", SRQ_T_STRING, "its job directory"),
    F_NSUB("memory", SRQ_T_OBJECT, amounts, "memory planned"),
    F_NSUB("disk", SRQ_T_OBJECT, amounts, "disk planned"),
    F_NUL("estimate_s", SRQ_T_NUMBER, "time expected at submission, seconds"),
    F_REQ("warnings", SRQ_T_STRINGS, "what the plan warned of"),
    F_NUL("exit_code", SRQ_T_INT, "how the last worker exited"),
    F_NUL("signal", SRQ_T_INT, "signal that killed the last worker"),
    F_OPT("on_end_failure", SRQ_T_STRING, "what became of its on_end command; null: nothing wrong"),
    F_REQ("attached", SRQ_T_BOOL, "whether srqd hears its worker"),
    F_NUL("last_seq", SRQ_T_INT, "last journal line sent as an event since srqd started"),
    F_END
};
static const struct srq_field priority_params[] = {
    JOB_PARAM, F_RNG("priority", SRQ_T_INT, -1000, 1000, "higher goes first; above 0 needs an administrator"), F_END
};
static const struct srq_field priority_reply[] = { JOB_ID, F_REQ("priority", SRQ_T_INT, "as set"), F_END };
static const struct srq_field delete_reply[] = { JOB_ID, F_END };
static const struct srq_field gc_params[] = {
    F_OPT("dry_run", SRQ_T_BOOL, "only say what would go"), F_END
};
static const struct srq_field gc_reply[] = {
    F_REQ("deleted", SRQ_T_STRINGS, "ids of the jobs that went"), F_END
};
static const struct srq_field paged_job[] = { JOB_PARAM, PAGE_PARAMS, F_END };
static const struct srq_field pin_fields[] = {
    F_RNG("pattern", SRQ_T_STRING, 1, 1000, "a layer's name, a glob, or re: and a regular expression"),
    F_RNG("scheme", SRQ_T_STRING, 1, 64, "how those layers are stored"),
    F_OPT("untied", SRQ_T_BOOL, "true: only they, not the layers that runtimes fuse with them"),
    F_END
};
static const struct srq_field budget_fields[] = {
    F_NRNG("bits", SRQ_T_NUMBER, 0, BITS_MOST, "average bits of a weight; null: none any more"),
    F_OPT("candidates", SRQ_T_STRINGS, "schemes that the allocator chooses from"),
    F_END
};
static const struct srq_field plan_reply[] = {
    F_REQ("revision", SRQ_T_INT, "revision of the plan"),
    F_OSUB("budget", SRQ_T_OBJECT, budget_fields, "size that the plan keeps to; null: there never was one"),
    F_OSUB("pins", SRQ_T_ARRAY, pin_fields, "what users decided, in order; a later one wins"),
    F_OSUB("options", SRQ_T_OBJECT, srq_live_options_fields, "options that were changed; null values: as submitted"),
    F_OSUB("size", SRQ_T_OBJECT, srq_size_fields, "size before and after"),
    F_SUB("layers", SRQ_T_ARRAY, layer_fields, "the plan"),
    PAGE_REPLY,
    F_END
};
static const struct srq_field series_params[] = {
    JOB_PARAM,
    F_ORNG("block", SRQ_T_INT, 0, COUNT_MAX, "number of the block: its loss"),
    F_ORNG("layer", SRQ_T_STRING, 1, 1000, "name of a layer: its error"),
    F_OCHO("kind", srq_series_words,
           "batch loss (default with a block), probe loss, layer error; of the transform: batch loss, probe loss"),
    PAGE_PARAMS,
    F_END
};
static const struct srq_field point[] = {
    F_REQ("iter", SRQ_T_INT, "iteration"),
    F_NUL("value", SRQ_T_NUMBER, "loss or error"),
    F_NUL("lr", SRQ_T_NUMBER, "step size, for batch losses"),
    F_REQ("time", SRQ_T_NUMBER, "seconds since the epoch"),
    F_END
};
static const struct srq_field series_reply[] = {
    F_CHO("kind", srq_series_words, "what the values are"),
    F_SUB("points", SRQ_T_ARRAY, point, "in the order of the journal"),
    PAGE_REPLY,
    F_END
};
static const struct srq_field heatmap_params[] = {
    JOB_PARAM,
    F_CHO("by", srq_heat_words, "what the values are"),
    PAGE_PARAMS,
    F_END
};
static const struct srq_field cell[] = {
    F_REQ("layer", SRQ_T_STRING, "checkpoint name of the layer"),
    F_NUL("block", SRQ_T_INT, "number of its block; null: outside all blocks"),
    F_REQ("module", SRQ_T_STRING, "its name inside the block"),
    F_NUL("value", SRQ_T_NUMBER, "sensitivity: score of its scheme, else of the lowest candidate; bits: of a weight; "
                                 "loss: last relative output error; gain: share of the first error that tuning took "
                                 "away; saturation: share of codes at the ends of the range; null: not known"),
    F_REQ("scheme", SRQ_T_STRING, "how it is stored"),
    F_REQ("pin", SRQ_T_BOOL, "whether a user decided that"),
    F_CHO("state", srq_work_state_words, "how far it is"),
    F_END
};
static const struct srq_field heatmap_reply[] = {
    F_CHO("by", srq_heat_words, "what the values are"),
    F_REQ("revision", SRQ_T_INT, "revision of the plan"),
    F_SUB("cells", SRQ_T_ARRAY, cell, "one a layer, in the order of the plan"),
    PAGE_REPLY,
    F_END
};

/* A change of the plan: what all of them take, and what all of them answer. */
#define CHANGE_GUARDS                                                                                                 \
    F_ORNG("revision", SRQ_T_INT, 0, COUNT_MAX, "refuse unless the plan has this revision"),                           \
    F_OPT("dry_run", SRQ_T_BOOL, "true: only say what would change")
#define CHANGE_AGAIN                                                                                                  \
    F_OPT("propagate", SRQ_T_BOOL, "true: tune every later block again too, since its inputs change")
#define CHANGE_RUNNING                                                                                                \
    F_OCHO("running", WORDS("restart", "after"), "the block being tuned starts again (default), or finishes first")
static const struct srq_field pin_params[] = {
    JOB_PARAM,
    F_LIST("pins", pin_fields, 1, 1000, "decisions, in order"),
    CHANGE_RUNNING, CHANGE_AGAIN, CHANGE_GUARDS, F_END
};
static const struct srq_field unpin_params[] = {
    JOB_PARAM,
    F_RNG("patterns", SRQ_T_STRINGS, 1, 1000, "layers that no pin holds any more"),
    CHANGE_RUNNING, CHANGE_AGAIN, CHANGE_GUARDS, F_END
};
static const struct srq_field budget_params[] = {
    JOB_PARAM,
    F_NRNG("bits", SRQ_T_NUMBER, 0, BITS_MOST, "average bits of a weight; null: no budget, layers keep what they have"),
    F_OPT("release", SRQ_T_BOOL, "true: finished layers may change too"),
    CHANGE_RUNNING, CHANGE_AGAIN, CHANGE_GUARDS, F_END
};
static const struct srq_field retune_params[] = {
    JOB_PARAM,
    F_RNG("patterns", SRQ_T_STRINGS, 1, 1000, "layers whose blocks are tuned again"),
    CHANGE_AGAIN, CHANGE_GUARDS, F_END
};
static const struct srq_field set_params[] = {
    JOB_PARAM,
    F_SUB("options", SRQ_T_OBJECT, new_options, "values from now on; null: as submitted"),
    CHANGE_GUARDS, F_END
};
static const struct srq_field revert_params[] = {
    JOB_PARAM,
    F_RNG("to", SRQ_T_INT, 0, COUNT_MAX, "the revision whose pins, schemes and budget come back"),
    CHANGE_RUNNING, CHANGE_AGAIN, CHANGE_GUARDS, F_END
};
static const struct srq_field worker_change_params[] = {
    F_CHO("op", WORDS("pin", "unpin", "budget", "retune", "set", "revert"), "which change"),
    F_RNG("by", SRQ_T_STRING, 1, 300, "who asked"),
    F_OLIST("pins", pin_fields, 1000, "of pin"),
    F_ORNG("patterns", SRQ_T_STRINGS, 1, 1000, "of unpin and retune"),
    F_ORNG("bits", SRQ_T_NUMBER, 0, BITS_MOST, "of budget; null: none any more"),
    F_OPT("release", SRQ_T_BOOL, "of budget"),
    F_OSUB("options", SRQ_T_OBJECT, new_options, "of set"),
    F_ORNG("to", SRQ_T_INT, 0, COUNT_MAX, "of revert"),
    CHANGE_RUNNING, CHANGE_AGAIN, CHANGE_GUARDS, F_END
};
static const struct srq_field revision_row[] = {
    F_REQ("layer", SRQ_T_STRING, "name of the layer"),
    F_REQ("old", SRQ_T_STRING, "scheme it had"),
    F_REQ("new", SRQ_T_STRING, "scheme it got"),
    F_END
};
static const struct srq_field revision_fields[] = {
    F_REQ("revision", SRQ_T_INT, "its number; 0 is the plan as submitted"),
    F_NUL("time", SRQ_T_NUMBER, "when, seconds since the epoch"),
    F_NUL("by", SRQ_T_STRING, "who or what made it"),
    F_NCHO("op", srq_change_words, "what was asked; null: the submission"),
    F_NUL("what", SRQ_T_STRING, "of which layers, or how many bits, or which revision"),
    F_NUL("changed", SRQ_T_INT, "layers that got another scheme"),
    F_SUB("changes", SRQ_T_ARRAY, revision_row, "the first of them"),
    F_END
};
static const struct srq_field history_reply[] = {
    F_REQ("revision", SRQ_T_INT, "the plan's revision"),
    F_SUB("revisions", SRQ_T_ARRAY, revision_fields, "those that are kept, oldest first"),
    PAGE_REPLY,
    F_END
};
static const struct srq_field change_row[] = {
    F_REQ("layer", SRQ_T_STRING, "name of the layer"),
    F_NUL("old", SRQ_T_STRING, "scheme it had"),
    F_REQ("new", SRQ_T_STRING, "scheme it has"),
    F_CHO("source", srq_decider_words, "who decided"),
    F_CHO("state", srq_work_state_words, "how far it is now"),
    F_END
};
static const struct srq_field forecast[] = {
    F_NUL("now", SRQ_T_NUMBER, "sum of the scores before the change"),
    F_NUL("then", SRQ_T_NUMBER, "sum of the scores after it"),
    F_END
};
static const struct srq_field change_reply[] = {
    JOB_ID,
    F_RNG("revision", SRQ_T_INT, 0, COUNT_MAX, "revision of the plan after the change; in a dry run the present one"),
    F_REQ("applied", SRQ_T_BOOL, "false: it was a dry run, or nothing changed"),
    F_OPT("effect", SRQ_T_BOOL, "false: nothing changes, and warnings say why"),
    F_RNG("matched", SRQ_T_INT, 0, COUNT_MAX, "layers that the patterns name"),
    F_RNG("changed", SRQ_T_INT, 0, COUNT_MAX, "layers that get another scheme"),
    F_LIST("changes", change_row, 0, SRQ_CHANGES_MAX, "the first of them"),
    F_SUB("size", SRQ_T_OBJECT, srq_size_fields, "size after the change"),
    F_SUB("size_now", SRQ_T_OBJECT, srq_size_fields, "size before it"),
    F_RNG("moved", SRQ_T_INT, 0, COUNT_MAX, "those of them that the allocator chose again, to keep the budget"),
    F_NSUB("forecast", SRQ_T_OBJECT, forecast, "predicted loss; null: not known, or the job has no budget"),
    F_SUB("options", SRQ_T_OBJECT, srq_live_options_fields, "in force then; null values: as submitted"),
    F_NUL("forecast_missing", SRQ_T_STRING, "why it is not known; null: it is, or the job has no budget"),
    F_NUL("restarts", SRQ_T_INT, "block that starts again at iteration 0"),
    F_REQ("retunes", SRQ_T_INTS, "numbers of the blocks that are tuned again after the first pass"),
    F_NUL("cost_s", SRQ_T_NUMBER, "time that tuning again takes, seconds"),
    F_ORNG("budget_bits", SRQ_T_NUMBER, 0, 64, "average bits that the plan keeps to after the change; 0: no budget"),
    F_OSUB("memory", SRQ_T_OBJECT, amounts, "memory planned after the change"),
    F_OSUB("disk", SRQ_T_OBJECT, amounts, "disk planned after it"),
    F_REQ("warnings", SRQ_T_STRINGS, "what the user should know"),
    F_END
};
static const struct srq_field log_params[] = {
    JOB_PARAM,
    F_OCHO("source", WORDS("events", "worker"),
           "the job's log events (default), or the last 2 MiB of what its worker printed"),
    PAGE_PARAMS,
    F_END
};
static const struct srq_field log_line[] = {
    F_NUL("seq", SRQ_T_INT, "number in the journal"),
    F_NUL("time", SRQ_T_NUMBER, "seconds since the epoch"),
    F_NUL("level", SRQ_T_STRING, "how much it matters"),
    F_REQ("text", SRQ_T_STRING, "the line"),
    F_END
};
static const struct srq_field log_reply[] = {
    F_SUB("lines", SRQ_T_ARRAY, log_line, "oldest first"), PAGE_REPLY, F_END
};
static const struct srq_field report_reply[] = {
    F_REQ("report", SRQ_T_OBJECT, "report.json without its layers"),
    F_REQ("layers", SRQ_T_ARRAY, "the report's layers"),
    PAGE_REPLY,
    F_END
};

static const struct srq_field subscribe_params[] = {
    F_ORNG("job", SRQ_T_STRING, 1, 255, "only this job; null: all that the client may look at"),
    F_OPT("events", SRQ_T_STRINGS, "only events of these names; null: all"),
    F_ORNG("since_seq", SRQ_T_INT, 0, COUNT_MAX, "with a job: first its journal after this line; 0: all of it"),
    F_END
};
static const struct srq_field subscribe_reply[] = {
    F_REQ("subscription", SRQ_T_STRING, "for events.unsubscribe"), F_END
};
static const struct srq_field unsubscribe_params[] = {
    F_RNG("subscription", SRQ_T_STRING, 1, 64, "from events.subscribe"), F_END
};

static const struct srq_field attach_params[] = {
    F_RNG("since_seq", SRQ_T_INT, 0, COUNT_MAX, "last journal line that the caller has"), F_END
};
static const struct srq_field attach_reply[] = {
    F_RNG("pid", SRQ_T_INT, 1, COUNT_MAX, "the worker's process"),
    F_RNG("seq", SRQ_T_INT, 0, COUNT_MAX, "last line of the journal now"),
    F_NCHO("stage", srq_stage_words, "stage that runs"),
    F_END
};

static const struct srq_method methods[] = {
    { "hello", SRQ_AUTH_ANY, "First call on a connection: says which protocol each side speaks.",
      hello_params, hello_reply, NULL, SRQ_SERVER_DAEMON },
    { "daemon.info", SRQ_AUTH_ANY, "What the daemon is and does.", nothing, daemon_info, NULL, SRQ_SERVER_DAEMON },
    { "daemon.reload", SRQ_AUTH_ADMIN, "Reads the configuration again.", nothing, reload_reply, NULL,
      SRQ_SERVER_DAEMON },
    { "daemon.drain", SRQ_AUTH_ADMIN, "Starts no more jobs; running ones go on.", drain_params, drain_reply, NULL,
      SRQ_SERVER_DAEMON },
    { "daemon.stop", SRQ_AUTH_ADMIN, "Ends the daemon; workers go on unless jobs is true.", stop_params, stop_reply,
      NULL, SRQ_SERVER_DAEMON },
    { "plugin.list", SRQ_AUTH_ANY, "Lists the algorithms.", nothing, plugin_list, NULL, SRQ_SERVER_DAEMON },
    { "plugin.info", SRQ_AUTH_ANY, "Describes an algorithm and its options.", plugin_params, plugin_info, NULL,
      SRQ_SERVER_DAEMON },
    { "job.submit", SRQ_AUTH_ANY, "Plans a job, stores it and puts it in the queue.", submit_params, submit_reply,
      NULL, SRQ_SERVER_DAEMON },
    { "job.plan_spec", SRQ_AUTH_ANY, "Plans a job and submits nothing.", plan_spec_params, plan_spec_reply, "layers",
      SRQ_SERVER_DAEMON },
    { "job.list", SRQ_AUTH_ANY, "Lists jobs.", list_params, list_reply, "jobs", SRQ_SERVER_DAEMON },
    { "job.get", SRQ_AUTH_LOOK, "Everything about one job.", job_only, get_reply, NULL, SRQ_SERVER_DAEMON },
    { "job.cancel", SRQ_AUTH_OWNER, "Ends a job for good.", job_only, job_and_state, NULL, SRQ_SERVER_DAEMON },
    { "job.pause", SRQ_AUTH_OWNER, "Checkpoints a job and frees its memory.", job_only, job_and_state, NULL,
      SRQ_SERVER_DAEMON },
    { "job.resume", SRQ_AUTH_OWNER, "Puts a paused or failed job back in the queue.", job_only, resumed, NULL,
      SRQ_SERVER_DAEMON },
    { "job.finish", SRQ_AUTH_OWNER, "Rounds what is left plainly and exports now.", job_only, job_and_state, NULL,
      SRQ_SERVER_DAEMON },
    { "job.priority", SRQ_AUTH_LOOK, "Sets a job's priority: its owner, not above 0, or an administrator.",
      priority_params, priority_reply, NULL, SRQ_SERVER_DAEMON },
    { "job.delete", SRQ_AUTH_OWNER, "Forgets an ended job and its directory; the output stays.", job_only,
      delete_reply, NULL, SRQ_SERVER_DAEMON },
    { "job.gc", SRQ_AUTH_ANY, "Deletes ended jobs beyond the configured retention; others' need an administrator.",
      gc_params, gc_reply, NULL, SRQ_SERVER_DAEMON },
    { "job.plan", SRQ_AUTH_LOOK, "The scheme of every layer.", paged_job, plan_reply, "layers", SRQ_SERVER_DAEMON },
    { "job.pin", SRQ_AUTH_OWNER, "Decides the scheme of layers; no allocator changes it.", pin_params, change_reply,
      NULL, SRQ_SERVER_DAEMON },
    { "job.unpin", SRQ_AUTH_OWNER, "Takes decisions about layers back.", unpin_params, change_reply, NULL,
      SRQ_SERVER_DAEMON },
    { "job.budget", SRQ_AUTH_OWNER, "Sets the average bits and solves the plan again around its pins.", budget_params,
      change_reply, NULL, SRQ_SERVER_DAEMON },
    { "job.retune", SRQ_AUTH_OWNER, "Has the blocks of layers tuned again.", retune_params, change_reply, NULL,
      SRQ_SERVER_DAEMON },
    { "job.set", SRQ_AUTH_OWNER, "Changes options of a job while it runs.", set_params, change_reply, NULL,
      SRQ_SERVER_DAEMON },
    { "job.revert", SRQ_AUTH_OWNER, "Takes the plan back to what was decided at an earlier revision, as a new one.",
      revert_params, change_reply, NULL, SRQ_SERVER_DAEMON },
    { "job.history", SRQ_AUTH_LOOK, "What each revision of the plan changed.", paged_job, history_reply, "revisions",
      SRQ_SERVER_DAEMON },
    { "job.heatmap", SRQ_AUTH_LOOK, "One number for every layer.", heatmap_params, heatmap_reply, "cells",
      SRQ_SERVER_DAEMON },
    { "job.series", SRQ_AUTH_LOOK, "Loss of a block or error of a layer over the iterations.", series_params,
      series_reply, "points", SRQ_SERVER_DAEMON },
    { "job.log", SRQ_AUTH_LOOK, "Log lines of a job.", log_params, log_reply, "lines", SRQ_SERVER_DAEMON },
    { "job.report", SRQ_AUTH_LOOK, "The report of a finished job.", paged_job, report_reply, "layers",
      SRQ_SERVER_DAEMON },
    { "events.subscribe", SRQ_AUTH_LOOK, "Sends events from now on, after a replay where since_seq is given.",
      subscribe_params, subscribe_reply, NULL, SRQ_SERVER_DAEMON },
    { "events.unsubscribe", SRQ_AUTH_ANY, "Ends a subscription.", unsubscribe_params, nothing, NULL,
      SRQ_SERVER_DAEMON },

    { "worker.attach", SRQ_AUTH_OWNER, "Sends the journal after a line, then every new line, as events.",
      attach_params, attach_reply, NULL, SRQ_SERVER_WORKER },
    { "worker.pause", SRQ_AUTH_OWNER, "Checkpoint and exit with code 10.", nothing, nothing, NULL,
      SRQ_SERVER_WORKER },
    { "worker.cancel", SRQ_AUTH_OWNER, "Exit with code 11.", nothing, nothing, NULL, SRQ_SERVER_WORKER },
    { "worker.finish", SRQ_AUTH_OWNER, "Round what is left plainly, export, exit.", nothing, nothing, NULL,
      SRQ_SERVER_WORKER },
    { "worker.checkpoint", SRQ_AUTH_OWNER, "Take a checkpoint now and go on.", nothing, nothing, NULL,
      SRQ_SERVER_WORKER },
    { "worker.change", SRQ_AUTH_OWNER, "Change the plan, durably before the answer.", worker_change_params,
      change_reply, NULL, SRQ_SERVER_WORKER },
};
/* clang-format on */

const struct srq_method *srq_proto_methods(size_t *count)
{
    *count = sizeof(methods) / sizeof(methods[0]);
    return methods;
}

const struct srq_method *srq_proto_method(const char *name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    }
    return NULL;
}
