/* srqctl sample: pictures of a diffusion model. srq-worker makes them; no daemon is needed. */
#include "tui/srqctl/cmds.h"

#include "core/base/alloc.h"
#include "core/base/fs.h"
#include "tui/srqctl/json_text.h"
#include "tui/srqctl/worker_run.h"
#include "tui/srqctl/worker_view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHEET "sheet.png"

const struct ctl_option ctl_sample_options[] = {
    { "output", 'o', "FILE", CTL_C_FILE, NULL, "sheet as PNG (" SHEET ", or none with --npy)", false },
    { "npy", 0, "FILE", CTL_C_FILE, NULL, "values, F32 [n, height*width*channels]", false },
    { "noise", 0, "FILE", CTL_C_FILE, NULL, "what they begin with, as --npy", false },
    { "force", 0, NULL, CTL_C_NONE, NULL, "replace files that exist", false },
    { "pictures", 'n', "N", CTL_C_NONE, NULL, "how many (16)", false },
    { "seed", 0, "N", CTL_C_NONE, NULL, "another seed, other pictures (0)", false },
    { "class", 0, "N", CTL_C_NONE, NULL, "all of this class, where there are some (in turn)", false },
    { "steps", 0, "N", CTL_C_NONE, NULL, "steps from noise to picture (50)", false },
    { "sampler", 0, "NAME", CTL_C_CHOICE, "ddim ddpm", "whose steps (ddim)", false },
    { "eta", 0, "X", CTL_C_NONE, NULL, "share of new noise in a ddim step, 0 to 1 (0)", false },
    { "high", 0, "MODEL", CTL_C_DIR, NULL, "model of the first and last steps (MODEL/high)", false },
    { "hp-first", 0, "K", CTL_C_NONE, NULL, "how many first steps it computes", false },
    { "hp-last", 0, "K", CTL_C_NONE, NULL, "how many last steps it computes", false },
    { "high-dtype", 0, "TYPE", CTL_C_CHOICE, "bf16 f32", "what it computes in (f32)", false },
    { "columns", 0, "N", CTL_C_NONE, NULL, "pictures in a row of the sheet (a square)", false },
    { "scale", 0, "N", CTL_C_NONE, NULL, "enlargement (to 128 pixels a side)", false },
    { "batch", 0, "N", CTL_C_NONE, NULL, "pictures at a time (16)", false },
    { "threads", 0, "N", CTL_C_NONE, NULL, "threads (what the machine has)", false },
    { .name = NULL },
};

/* Options that are numbers, and what the worker calls them. */
static const struct {
    const char *option, *key;
    double min, max;
    bool whole;
} numbers[] = {
    { "pictures", "pictures", 1, 1e6, true }, { "seed", "seed", 0, 9007199254740992.0, true },
    { "steps", "steps", 1, 1e5, true },       { "eta", "eta", 0, 1, false },
    { "hp-first", "hp_first", 0, 1e5, true }, { "hp-last", "hp_last", 0, 1e5, true },
    { "columns", "columns", 1, 1e6, true },   { "scale", "scale", 1, 1024, true },
    { "batch", "batch", 1, 1e6, true },       { "threads", "threads", 1, 1024, true },
    { "class", "class", 0, 1e9, true },
};

static int put_numbers(cJSON *request, const struct ctl_args *a, struct srq_error *err)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const char *option = numbers[i].option;
        double v = 0;
        int rc = (numbers[i].whole ? ctl_whole : ctl_number)(a, option, numbers[i].min, numbers[i].max, &v, err);

        if (rc != 0)
            return rc;
        if (ctl_given(a, option))
            cJSON_AddNumberToObject(request, numbers[i].key, v);
    }
    return 0;
}

static int put_path(cJSON *request, const struct ctl_args *a, const char *key, const char *path, struct srq_error *err)
{
    char *absolute, flag[CTL_FLAG];
    int rc;

    if (path == NULL)
        return 0;
    if (path[0] == '\0')
        return srq_fail_field(err, -SRQ_EINVAL, key, "the path of %s is empty",
                              ctl_given(a, key) ? ctl_flag(a, key, flag) : key);
    rc = srq_make_absolute(path, &absolute, err);
    if (rc != 0)
        return rc;
    cJSON_AddStringToObject(request, key, absolute);
    srq_free(absolute);
    return 0;
}

/* Options that say nothing without each other. */
static int check(const struct ctl_args *a, struct srq_error *err)
{
    const char *sampler = ctl_value(a, "sampler"), *high = ctl_value(a, "high");
    double first = 0, last = 0, eta = 0;
    int rc = ctl_number(a, "hp-first", 0, 1e5, &first, err);

    if (rc == 0)
        rc = ctl_number(a, "hp-last", 0, 1e5, &last, err);
    if (rc == 0)
        rc = ctl_number(a, "eta", 0, 1, &eta, err);
    if (rc != 0)
        return rc;
    if (high != NULL && first + last < 1)
        return srq_fail_field(err, -SRQ_EINVAL, "high", "--high %s needs --hp-first K or --hp-last K, its steps", high);
    if (sampler != NULL && strcmp(sampler, "ddpm") == 0 && eta > 0)
        return srq_fail_field(err, -SRQ_EINVAL, "eta", "--eta %g is for --sampler ddim; ddpm has noise of its own",
                              eta);
    return 0;
}

static int make_request(const struct ctl_args *a, cJSON *request, struct srq_error *err)
{
    const char *npy = ctl_value(a, "npy"), *output = ctl_value(a, "output");
    int rc = check(a, err);

    if (output == NULL && npy == NULL)
        output = SHEET;
    if (rc == 0)
        rc = put_path(request, a, "model", a->positional[0], err);
    if (rc == 0)
        rc = put_path(request, a, "high", ctl_value(a, "high"), err);
    if (rc == 0)
        rc = put_path(request, a, "output", output, err);
    if (rc == 0)
        rc = put_path(request, a, "npy", npy, err);
    if (rc == 0)
        rc = put_path(request, a, "noise", ctl_value(a, "noise"), err);
    if (rc == 0)
        rc = put_numbers(request, a, err);
    if (ctl_value(a, "sampler") != NULL)
        cJSON_AddStringToObject(request, "sampler", ctl_value(a, "sampler"));
    if (ctl_value(a, "high-dtype") != NULL)
        cJSON_AddStringToObject(request, "high_dtype", ctl_value(a, "high-dtype"));
    if (ctl_given(a, "force"))
        cJSON_AddTrueToObject(request, "force");
    return rc;
}

static int run(const struct ctl *ctl, const char *request, cJSON **answer, struct srq_error *err)
{
    static const char *const args[] = { "--sample", NULL };
    struct ctl_worker_view view;
    int rc;

    ctl_worker_view_init(&view, ctl);
    ctl_catch_signals();
    rc = ctl_worker_run(args, request, ctl_worker_view_line, &view, answer, err);
    ctl_worker_view_end(&view);
    return rc;
}

/* What was not asked for is not shown. */
static void drop_nulls(cJSON *answer)
{
    for (cJSON *m = answer->child, *next; m != NULL; m = next) {
        next = m->next;
        if (cJSON_IsNull(m))
            cJSON_Delete(cJSON_DetachItemViaPointer(answer, m));
    }
}

int ctl_cmd_sample(struct ctl *ctl)
{
    cJSON *request = cJSON_CreateObject(), *answer = NULL;
    struct srq_error err = { 0 };
    struct srq_buf out;
    char *text = NULL;
    int rc = make_request(&ctl->args, request, &err);

    if (rc != 0) {
        cJSON_Delete(request);
        return ctl_complain(ctl, CTL_USAGE, &err);
    }
    text = cJSON_PrintUnformatted(request);
    cJSON_Delete(request);
    rc = text != NULL ? run(ctl, text, &answer, &err) : srq_fail(&err, -SRQ_ENOMEM, "out of memory");
    cJSON_free(text);
    if (rc != 0)
        return ctl_refused(ctl, &err);
    if (ctl->json)
        return ctl_print_json(answer);
    drop_nulls(answer);
    srq_buf_init(&out, (size_t)1 << 20);
    ctl_json_text(answer, &out);
    cJSON_Delete(answer);
    return ctl_print_text(&out);
}
