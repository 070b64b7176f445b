/* srqctl submit: ask for a job, or only for its plan. */
#include "tui/srqctl/cmds.h"

#include "core/base/log.h"
#include "tui/srqctl/follow.h"
#include "tui/client/human.h"
#include "tui/srqctl/jobspec.h"
#include "tui/srqctl/plan_text.h"
#include "tui/srqctl/worker_run.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const struct ctl_option ctl_submit_options[] = {
    { "output", 'o', "OUT", CTL_C_DIR, NULL, "folder of the result (must not exist)", false },
    { "method", 'm', "NAMES", CTL_C_PLUGIN, NULL, "plugins in order, e.g. signround", false },
    { "scheme", 's', "SCHEME", CTL_C_WORDS,
      "w4g128 w4g128z w4g64 w3g128 w2g64 w8 w8a8 mxfp4 mxfp8 nvfp4 fp8 fp8t "
      "q2_k q3_k q4_k q5_k q6_k bf16",
      "how layers are stored", false },
    { "calib", 0, "PATH", CTL_C_FILE, NULL, "calibration text, file or folder; or pictures", true },
    { "eval", 0, "FILE", CTL_C_FILE, NULL, "text to measure perplexity on; or pictures to be like", true },
    { "features", 0, "FILE", CTL_C_FILE, NULL, "network that tells what pictures look like", false },
    { "layer", 'l', "PATTERN=SCHEME", CTL_C_NONE, NULL, "another scheme for some layers", true },
    { "budget", 'b', "BITS", CTL_C_NONE, NULL, "average bits a weight; schemes by measured sensitivity", false },
    { "candidates", 0, "LIST", CTL_C_NONE, NULL, "what --budget chooses from, e.g. w2g64,w4g64,w8", true },
    { "embedding", 0, "SCHEME", CTL_C_WORDS, "q8_0 q6_k q5_k q4_k", "how gguf stores the embedding (as it is)", false },
    { "untied", 0, NULL, CTL_C_NONE, NULL, "let --layer split q/k/v or gate/up, which runtimes fuse", false },
    { "set", 0, "KEY=VALUE", CTL_C_SET, NULL, "an option of the job or PLUGIN.OPTION", true },
    { "format", 'F', "NAME", CTL_C_WORDS, "auto_round auto_gptq auto_awq compressed-tensors gguf fake int8",
      "layout of the result (auto_round)", true },
    { "wait", 'w', NULL, CTL_C_NONE, NULL, "show progress until it ends", false },
    { "dry-run", 0, NULL, CTL_C_NONE, NULL, "print plan, memory, disk and time; submit nothing", false },
    { "job", 'j', "FILE", CTL_C_FILE, NULL, "the same as JSON, see srq-job(5); '-': standard input", false },
    { "name", 0, "NAME", CTL_C_NONE, NULL, "a name for people", false },
    { "priority", 'p', "N", CTL_C_NONE, NULL, "higher goes first (0)", false },
    { "time-limit", 0, "TIME", CTL_C_NONE, NULL, "pause it and call it failed after so long (3600, 90m, 2d)", false },
    { "paused", 0, NULL, CTL_C_NONE, NULL, "accept it, and wait for srqctl resume", false },
    { "on-end", 0, "COMMAND", CTL_C_NONE, NULL, "run this when the job ends", false },
    { "force", 0, NULL, CTL_C_NONE, NULL, "replace an output that exists", false },
    { "lm-head", 0, NULL, CTL_C_NONE, NULL, "quantize the output layer too", false },
    { "incompatible", 0, "WHAT", CTL_C_CHOICE, "keep refuse", "layers that a format cannot hold: keep (bf16) or refuse",
      false },
    { "accept-drift", 0, NULL, CTL_C_NONE, NULL, "resume even where machine or build differ", false },
    { .name = NULL },
};

static int dry_run(struct ctl *ctl, cJSON *spec)
{
    cJSON *p = cJSON_CreateObject(), *reply = NULL;
    int rc;

    cJSON_AddItemToObject(p, "spec", spec);
    rc = ctl_call_paged(ctl, "job.plan_spec", p, &reply);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(reply);
    ctl_print_resolved(reply);
    ctl_print_layers(ctl_get(reply, "layers"), "scheme|source");
    puts("");
    ctl_print_amounts(reply);
    cJSON_Delete(reply);
    return ctl_flush(ctl);
}

static void say_accepted(const cJSON *reply, const cJSON *spec, bool wait)
{
    const char *id = ctl_str(reply, "job"), *reason = ctl_str(reply, "reason");
    char model[4096], output[4096];

    printf("job %s %s%s%s: %s, %s to %s\n", id, ctl_str(reply, "state"), reason[0] != '\0' ? ", " : "", reason,
           ctl_str(spec, "method")[0] != '\0' ? ctl_str(spec, "method") : "default method",
           srq_escape_control(ctl_str(spec, "model"), model, sizeof(model)),
           srq_escape_control(ctl_str(spec, "output"), output, sizeof(output)));
    ctl_print_sums(reply);
    ctl_print_warnings(reply);
    if (!wait)
        printf("watch it with: srqctl watch %s\n", id);
    fflush(stdout);
}

static int wait_for(struct ctl *ctl, const char *id)
{
    cJSON *job = NULL, *report = NULL, *out;
    int ended = ctl_follow(ctl, id, ctl->json ? CTL_SHOW_NOTHING : CTL_SHOW_PROGRESS, 0, &job);

    ctl_say_goes_on(ended, id);
    if (ctl->json && (ended == CTL_OK || ended == CTL_JOB_FAILED || ended == CTL_INTERRUPTED)) {
        out = job != NULL ? job : ctl_job_params(id);
        if (ended == CTL_OK && srq_client_call(ctl->client, "job.report", ctl_job_params(id), 60, &report, NULL) == 0)
            cJSON_AddItemToObject(out, "report", cJSON_DetachItemFromObjectCaseSensitive(report, "report"));
        cJSON_Delete(report);
        return ctl_print_json(out) == CTL_OK ? ended : CTL_REFUSED;
    }
    if (job != NULL)
        ended = ctl_print_end(ctl, job, ended);
    cJSON_Delete(job);
    return ended;
}

/* The archive of a model is unpacked here, where it may take its time: the daemon's planner, which does not wait for
 * ever, finds it done. */
static int unpack(const cJSON *spec, struct srq_error *err)
{
    const char *const args[] = { "--unpack", ctl_str(spec, "model"), NULL };
    cJSON *answer = NULL;
    struct stat st;
    int rc;

    if (stat(args[1], &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    rc = ctl_worker_run(args, NULL, NULL, NULL, &answer, err);
    cJSON_Delete(answer);
    return rc;
}

int ctl_cmd_submit(struct ctl *ctl)
{
    struct srq_error err = { 0 };
    cJSON *spec = NULL, *p, *reply = NULL;
    bool wait = ctl_given(&ctl->args, "wait");
    int rc;

    if (ctl->args.positional_count == 0 && !ctl_given(&ctl->args, "job")) {
        srq_fail_field(&err, SRQ_EINVAL, "model", "submit needs a MODEL, or --job FILE that names one");
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    rc = ctl_jobspec(&ctl->args, &spec, &err);
    if (rc != 0)
        return ctl_complain(ctl, rc == -SRQ_EINVAL ? CTL_USAGE : CTL_REFUSED, &err);
    if (ctl_given(&ctl->args, "untied") && !ctl_given(&ctl->args, "layer"))
        fprintf(stderr,
                "srqctl: warning: --untied changes nothing without a --layer, whose scheme it would split off\n");
    rc = unpack(spec, &err);
    if (rc != 0) {
        cJSON_Delete(spec);
        return ctl_refused(ctl, &err);
    }
    rc = ctl_connect(ctl, true);
    if (rc != CTL_OK || ctl_given(&ctl->args, "dry-run")) {
        if (rc == CTL_OK)
            return dry_run(ctl, spec);
        cJSON_Delete(spec);
        return rc;
    }
    p = cJSON_CreateObject();
    cJSON_AddItemToObject(p, "spec", cJSON_Duplicate(spec, true));
    if (ctl_given(&ctl->args, "paused"))
        cJSON_AddTrueToObject(p, "paused");
    rc = ctl_call(ctl, "job.submit", p, &reply);
    if (rc == CTL_OK && !ctl->json)
        say_accepted(reply, spec, wait);
    cJSON_Delete(spec);
    if (rc == CTL_OK && wait) {
        rc = wait_for(ctl, ctl_str(reply, "job"));
    } else if (rc == CTL_OK && ctl->json) {
        return ctl_print_json(reply);
    }
    cJSON_Delete(reply);
    return rc;
}
