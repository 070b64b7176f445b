/* The table at a job's end. */
#include "tui/srqctl/summary.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"
#include "tui/srqctl/verb.h"

#include <stdio.h>

static void row(struct ctl_table *t, const cJSON *report, const char *name, const char *key,
                char *(*human)(double, char *))
{
    char path[64], n[CTL_HUMAN];

    ctl_table_cell(t, name);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "eval.%s.%s", srq_measured_words[i], key);
        ctl_table_cell(t, human(ctl_num(report, path), n));
    }
}

static int blocks_tuned(const cJSON *report, int *all)
{
    const cJSON *b;
    int tuned = 0;

    *all = 0;
    cJSON_ArrayForEach(b, ctl_get(report, "blocks"))
    {
        ++*all;
        tuned += cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(b, "best_iteration"));
    }
    return tuned;
}

const char *ctl_result_name(const cJSON *report)
{
    int all, tuned = blocks_tuned(report, &all);

    return tuned == 0 ? "quantized" : tuned < all ? "partly tuned" : "tuned";
}

void ctl_finish_text(const cJSON *report, struct srq_buf *out)
{
    const cJSON *finish = ctl_get(report, "finish");
    double iteration = ctl_num(finish, "iteration");
    int all, tuned = blocks_tuned(report, &all);
    char name[600];

    if (!cJSON_IsObject(finish))
        return;
    if (!cJSON_IsString(ctl_get(finish, "name"))) {
        srq_buf_printf(out, "told to finish at step %.0f of stage %s", ctl_num(finish, "step"),
                       ctl_str(finish, "stage"));
        return;
    }
    srq_buf_printf(out, "told to finish at %s", srq_escape_control(ctl_str(finish, "name"), name, sizeof(name)));
    if (iteration > 0)
        srq_buf_printf(out, ", iteration %.0f", iteration);
    srq_buf_printf(out, ": %d of %d blocks are tuned, the others rounded plainly", tuned, all);
}

/* Pictures from equal noise. */
static void picture_row(struct ctl_table *t, const cJSON *report, const char *name, const char *key)
{
    static const char *const models[] = { "full", "quantized", "mixed" };
    char path[64], n[CTL_HUMAN];

    ctl_table_cell(t, name);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "diffusion.%s.%s", key, models[i]);
        ctl_table_cell(t, ctl_human_number(ctl_num(report, path), n));
    }
}

static void picture_rows(struct ctl_table *t, const cJSON *report)
{
    picture_row(t, report, "squared difference", "pair_mse");
    picture_row(t, report, "PSNR, dB", "psnr");
    picture_row(t, report, "SSIM", "ssim");
    picture_row(t, report, "Frechet distance", "fid");
    picture_row(t, report, "s a picture and step", "latency");
}

void ctl_summary(const cJSON *report, const char *output, struct srq_buf *out)
{
    bool pictures = cJSON_IsObject(ctl_get(report, "diffusion"));
    char heads[64];
    struct ctl_table *t;
    char a[CTL_HUMAN], b[CTL_HUMAN], path[4096];

    snprintf(heads, sizeof(heads), pictures ? "|>original|>quantized|>mixed" : "|>original|>rounded|>%s",
             ctl_result_name(report));
    t = ctl_table_create(heads);
    if (t == NULL)
        return;
    if (pictures) {
        picture_rows(t, report);
    } else {
        row(t, report, "perplexity", "perplexity", ctl_human_number);
        row(t, report, "KL to the original", "kl", ctl_human_number);
        row(t, report, "top-1 agreement", "top1", ctl_human_percent);
    }
    ctl_human_bytes(ctl_num(report, "size.before_bytes"), a);
    ctl_human_bytes(ctl_num(report, "size.after_bytes"), b);
    ctl_table_cell(t, "size");
    ctl_table_cell(t, a);
    ctl_table_cell(t, b);
    ctl_table_cell(t, b);
    ctl_human_number(ctl_num(report, "size.average_bits"), b);
    ctl_table_cell(t, "average bits");
    ctl_table_cell(t, "");
    ctl_table_cell(t, b);
    ctl_table_cell(t, b);
    ctl_table_text(t, out);
    ctl_table_free(t);
    if (cJSON_IsObject(ctl_get(report, "finish"))) {
        ctl_finish_text(report, out);
        srq_buf_puts(out, "\n");
    }
    srq_buf_printf(out, "time %s", ctl_human_seconds(ctl_num(report, "timing.total_s"), a));
    if (output != NULL && output[0] != '\0')
        srq_buf_printf(out, ", output %s", srq_escape_control(output, path, sizeof(path)));
    srq_buf_puts(out, "\n");
}
