/* srqctl compare: methods by schemes, one job each, as one table. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/srqctl/compare.h"
#include "tui/srqctl/report_html.h"
#include "tui/srqctl/follow.h"
#include "tui/srqctl/jobspec.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REPORT_MAX ((size_t)256 << 20)
#define PAGE_MAX ((size_t)16 << 20)

const struct ctl_option ctl_compare_options[] = {
    { "methods", 'm', "LIST", CTL_C_NONE, NULL, "[LABEL=]PLUGIN[+PLUGIN][:KEY=VALUE], comma-separated", true },
    { "schemes", 's', "LIST", CTL_C_NONE, NULL, "schemes, separated by commas", true },
    { "calib", 0, "PATH", CTL_C_FILE, NULL, "calibration text, file or folder", true },
    { "eval", 0, "FILE", CTL_C_FILE, NULL, "text to measure on", true },
    { "set", 0, "KEY=VALUE", CTL_C_SET, NULL, "an option of every job", true },
    { "seeds", 0, "N", CTL_C_NONE, NULL, "run each with N seeds, for mean and deviation (1)", false },
    { "output", 'o', "DIR", CTL_C_DIR, NULL, "where results are kept and found again (srq-compare)", false },
    { "keep", 0, NULL, CTL_C_NONE, NULL, "keep the models, not only their reports", false },
    { "format", 'F', "NAME", CTL_C_WORDS, "auto_round auto_gptq auto_awq compressed-tensors gguf fake int8",
      "layout of kept models (fake)", true },
    { "force", 0, NULL, CTL_C_NONE, NULL, "run again what is there already", false },
    { "dry-run", 0, NULL, CTL_C_NONE, NULL, "say what would be run; submit nothing", false },
    { "csv", 0, "FILE", CTL_C_FILE, NULL, "write the table as CSV", false },
    { "html", 0, "FILE", CTL_C_FILE, NULL, "write one page with table and picture", false },
    { "png", 0, "FILE", CTL_C_FILE, NULL, "draw quality against size", false },
    { .name = NULL },
};

/* ---- results that are there -------------------------------------------------------------------------------------- */

static void take_report(struct ctl_compare_run *run)
{
    char *path = srq_path_join(run->folder, "report.json"), *text = NULL;
    size_t len = 0;

    if (path != NULL && srq_read_file(path, REPORT_MAX, &text, &len, NULL) == 0)
        run->report = cJSON_ParseWithLength(text, len);
    srq_free(text);
    srq_free(path);
}

/* The report stays, the model goes. */
static void drop_model(const struct ctl_compare_run *run)
{
    DIR *d = opendir(run->folder);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        char *path;

        if (strcmp(e->d_name, "report.json") == 0 || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        path = srq_path_join(run->folder, e->d_name);
        if (path != NULL)
            srq_remove_tree(path, NULL);
        srq_free(path);
    }
    if (d != NULL)
        closedir(d);
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

static void refuse(struct ctl_compare_run *run, enum ctl_run_state state, const char *why)
{
    run->state = state;
    srq_free(run->reason);
    run->reason = srq_strdup(why);
}

/* CTL_OK also where the job is refused: its row says so. */
static int submit(struct ctl *ctl, struct ctl_compare_run *run)
{
    cJSON *p = cJSON_CreateObject(), *reply = NULL;
    struct srq_error err = { 0 };
    int rc;

    cJSON_AddItemToObject(p, "spec", cJSON_Duplicate(run->spec, true));
    rc = srq_client_call(ctl->client, "job.submit", p, 60, &reply, &err);
    if (rc == 0)
        run->job = srq_strdup(ctl_str(reply, "job"));
    cJSON_Delete(reply);
    if (rc == 0 && run->job != NULL) {
        run->state = CTL_RUN_STOPPED;
        return CTL_OK;
    }
    if (ctl_exit_of(&err) == CTL_NO_DAEMON)
        return ctl_complain(ctl, CTL_NO_DAEMON, &err);
    refuse(run, CTL_RUN_REFUSED, err.text);
    return CTL_OK;
}

/* One before it that will give the same result; `submitted`: of those that are. */
static const struct ctl_compare_run *twin_of(const struct ctl_compare *c, const struct ctl_compare_run *run,
                                             bool submitted)
{
    for (int i = 0; i < c->count; i++) {
        for (int k = 0; k < c->rows[i].count; k++) {
            const struct ctl_compare_run *other = &c->rows[i].runs[k];

            if (other == run)
                return NULL;
            if ((!submitted || other->job != NULL) && strcmp(other->key, run->key) == 0)
                return other;
        }
    }
    return NULL;
}

static int submit_all(struct ctl *ctl, struct ctl_compare *c, int *queued)
{
    bool force = ctl_given(&ctl->args, "force");
    int rc = CTL_OK;

    *queued = 0;
    for (int i = 0; i < c->count && rc == CTL_OK; i++) {
        for (int k = 0; k < c->rows[i].count && rc == CTL_OK; k++) {
            struct ctl_compare_run *run = &c->rows[i].runs[k];

            run->twin = twin_of(c, run, true);
            if (run->twin != NULL) {
                run->state = CTL_RUN_STOPPED;
                continue;
            }
            if (!force)
                take_report(run);
            if (run->report != NULL) {
                run->state = CTL_RUN_REUSED;
                continue;
            }
            rc = submit(ctl, run);
            *queued += run->job != NULL;
        }
    }
    return rc;
}

static void take_end(struct ctl *ctl, struct ctl_compare_run *run, int ended, const cJSON *job)
{
    if (ended == CTL_OK)
        take_report(run);
    if (run->report != NULL) {
        run->state = CTL_RUN_DONE;
        if (!ctl_given(&ctl->args, "keep"))
            drop_model(run);
    } else {
        const char *why = job != NULL ? ctl_str(job, "reason") : "";

        refuse(run, CTL_RUN_FAILED, why[0] != '\0' ? why : "its report is not there");
    }
}

/* What has not ended is not wanted any more. */
static void cancel_rest(struct ctl *ctl, struct ctl_compare *c)
{
    int n = 0;

    for (int i = 0; i < c->count; i++) {
        for (int k = 0; k < c->rows[i].count; k++) {
            struct ctl_compare_run *run = &c->rows[i].runs[k];

            if (run->job == NULL || run->state != CTL_RUN_STOPPED)
                continue;
            n += srq_client_call(ctl->client, "job.cancel", ctl_job_params(run->job), 30, NULL, NULL) == 0;
            refuse(run, CTL_RUN_STOPPED, "interrupted");
        }
    }
    fprintf(stderr, "srqctl: %d %s canceled; the same command goes on with what is done\n", n,
            n == 1 ? "job is" : "jobs are");
}

/* What those that share another one's job came to, and whether any was refused. */
static int take_twins(struct ctl_compare *c)
{
    int rc = CTL_OK;

    for (int i = 0; i < c->count; i++) {
        for (int k = 0; k < c->rows[i].count; k++) {
            struct ctl_compare_run *run = &c->rows[i].runs[k];
            const struct ctl_compare_run *twin = run->twin;

            if (twin != NULL && twin->report != NULL) {
                run->state = CTL_RUN_DONE;
                run->report = cJSON_Duplicate(twin->report, true);
            } else if (twin != NULL) {
                refuse(run, twin->state, twin->reason != NULL ? twin->reason : "");
            }
            rc = run->state == CTL_RUN_REFUSED ? CTL_REFUSED : rc;
        }
    }
    return rc;
}

static int wait_all(struct ctl *ctl, struct ctl_compare *c, int queued)
{
    int at = 0, rc = CTL_OK;

    for (int i = 0; i < c->count; i++) {
        for (int k = 0; k < c->rows[i].count; k++) {
            struct ctl_compare_run *run = &c->rows[i].runs[k];
            cJSON *job = NULL;
            int ended;

            if (run->job == NULL)
                continue;
            at++;
            if (!ctl->json)
                printf("%d of %d: %s %s, seed %lld, job %s\n", at, queued, c->rows[i].label, c->rows[i].scheme,
                       (long long)run->seed, run->job);
            fflush(stdout);
            ended = ctl_follow(ctl, run->job, ctl->tty && !ctl->json ? CTL_SHOW_PROGRESS : CTL_SHOW_NOTHING, 0, &job);
            if (ended == CTL_OK || ended == CTL_JOB_FAILED)
                take_end(ctl, run, ended, job);
            cJSON_Delete(job);
            if (ended == CTL_INTERRUPTED) {
                ctl_interrupted = 0;
                cancel_rest(ctl, c);
                return ended;
            }
            if (ended != CTL_OK && ended != CTL_JOB_FAILED)
                return ended;
            rc = ended == CTL_JOB_FAILED ? ended : rc;
        }
    }
    return rc;
}

/* ---- what is shown ----------------------------------------------------------------------------------------------- */

static int write_text(struct ctl *ctl, const char *option, struct srq_buf *text)
{
    const char *path = ctl_value(&ctl->args, option);
    struct srq_error err = { 0 };
    int rc = text->failed ? srq_fail(&err, -SRQ_ENOMEM, "out of memory writing %s", path)
                          : srq_write_file_durable(path, text->data, text->len, 0666, &err);

    srq_buf_fini(text);
    return rc == 0 ? CTL_OK : ctl_complain(ctl, CTL_REFUSED, &err);
}

static int show(struct ctl *ctl, const struct ctl_compare *c)
{
    struct srq_error err = { 0 };
    struct srq_buf text;
    int rc = CTL_OK;

    if (ctl_value(&ctl->args, "csv") != NULL) {
        srq_buf_init(&text, PAGE_MAX);
        ctl_compare_csv(c, &text);
        rc = write_text(ctl, "csv", &text);
    }
    if (rc == CTL_OK && ctl_value(&ctl->args, "html") != NULL) {
        srq_buf_init(&text, PAGE_MAX);
        ctl_compare_html(c, ctl->args.positional[0], &text);
        rc = write_text(ctl, "html", &text);
    }
    if (rc == CTL_OK && ctl_value(&ctl->args, "png") != NULL &&
        ctl_compare_png(c, ctl_value(&ctl->args, "png"), &err) != 0)
        rc = ctl_complain(ctl, CTL_REFUSED, &err);
    if (rc != CTL_OK)
        return rc;
    if (ctl->json)
        return ctl_print_json(ctl_compare_json(c));
    ctl_compare_table(c);
    return ctl_flush(ctl);
}

static int dry_run(struct ctl *ctl, struct ctl_compare *c)
{
    int jobs = 0, there = 0;

    for (int i = 0; i < c->count; i++) {
        for (int k = 0; k < c->rows[i].count; k++) {
            struct ctl_compare_run *run = &c->rows[i].runs[k];

            take_report(run);
            if (twin_of(c, run, false) == NULL) {
                there += run->report != NULL;
                jobs++;
            }
            if (!ctl->json)
                printf("%s %s, seed %lld: %s\n", c->rows[i].label, c->rows[i].scheme, (long long)run->seed,
                       run->report != NULL ? "there already" : "to be run");
            run->state = run->report != NULL ? CTL_RUN_REUSED : CTL_RUN_STOPPED;
        }
    }
    if (ctl->json)
        return ctl_print_json(ctl_compare_json(c));
    printf("%d jobs, %d of them there already\n", jobs, there);
    return ctl_flush(ctl);
}

/* What the files would take the place of, before hours of work for them. */
static int check_files(const struct ctl_args *a, struct srq_error *err)
{
    static const struct {
        const char *option, *begin, *kind;
    } files[] = { { "csv", "label,", "table of srqctl compare" },
                  { "html", CTL_PAGE_BEGIN, "page of HTML" },
                  { "png", "\x89PNG", "PNG picture" } };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(files) / sizeof(files[0]); i++)
        if (ctl_value(a, files[i].option) != NULL)
            rc = srq_check_replaced(ctl_value(a, files[i].option), files[i].begin, files[i].kind, err);
    return rc;
}

int ctl_cmd_compare(struct ctl *ctl)
{
    const char *dir = ctl_value(&ctl->args, "output");
    char *folder = NULL, *runs = NULL;
    struct ctl_compare c = { 0 };
    struct srq_error err = { 0 };
    cJSON *base = NULL;
    int rc = ctl_jobspec(&ctl->args, &base, &err), queued = 0, ended = CTL_OK;

    if (rc == 0)
        rc = srq_make_absolute(dir != NULL ? dir : "srq-compare", &folder, &err);
    if (rc == 0)
        rc = check_files(&ctl->args, &err);
    if (rc == 0 && ctl_get(base, "eval") == NULL)
        rc = srq_fail_field(&err, -SRQ_EINVAL, "eval", "compare needs --eval FILE, the text to measure on");
    if (rc == 0)
        rc = ctl_compare_make(&ctl->args, base, folder, &c, &err);
    cJSON_Delete(base);
    if (rc != 0) {
        srq_free(folder);
        return ctl_complain(ctl, rc == -SRQ_EINVAL ? CTL_USAGE : CTL_REFUSED, &err);
    }
    if (ctl_given(&ctl->args, "dry-run")) {
        ended = dry_run(ctl, &c);
    } else {
        runs = srq_asprintf("%s/runs", folder);
        if (runs == NULL || srq_mkdirs(runs, 0777, &err) != 0)
            ended = ctl_complain(ctl, CTL_REFUSED, &err);
        if (ended == CTL_OK)
            ended = ctl_connect(ctl, true);
        if (ended == CTL_OK)
            ended = submit_all(ctl, &c, &queued);
        if (ended == CTL_OK)
            ended = wait_all(ctl, &c, queued);
        if (ended == CTL_OK || ended == CTL_JOB_FAILED || ended == CTL_INTERRUPTED) {
            int refused = take_twins(&c), shown = show(ctl, &c);

            ended = shown != CTL_OK ? shown : ended == CTL_OK ? refused : ended;
        }
    }
    ctl_compare_fini(&c);
    srq_free(runs);
    srq_free(folder);
    return ended;
}
