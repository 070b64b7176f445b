/* A job's progress in words. */
#include "tui/srqctl/progress.h"

#include "core/base/log.h"
#include "tui/client/human.h"
#include "tui/srqctl/table.h"
#include "tui/srqctl/verb.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void ctl_progress_init(struct ctl_progress *p)
{
    memset(p, 0, sizeof(*p));
    p->done = p->total = p->rate = p->eta_s = p->started = p->stage_elapsed_s = (double)NAN;
    p->iter = p->iters = p->loss = p->loss_first = p->loss_best = (double)NAN;
    p->said_s = -INFINITY;
    p->block = -1;
}

static void copy(char *out, size_t cap, const char *text)
{
    srq_escape_control(text, out, cap);
}

static void forget_block(struct ctl_progress *p)
{
    p->block = -1;
    p->block_name[0] = '\0';
    p->iter = p->iters = p->loss = p->loss_first = p->loss_best = (double)NAN;
}

/* "block 13/30" while it runs, "12/30 files", "12 windows" where the total is unknown. */
static void put_share(struct srq_buf *b, const struct ctl_progress *p)
{
    char done[CTL_HUMAN], total[CTL_HUMAN];

    if (isnan(p->done))
        return;
    if (strcmp(p->unit, "bytes") == 0) {
        srq_buf_printf(b, "%s", ctl_human_bytes(p->done, done));
        if (!isnan(p->total))
            srq_buf_printf(b, "/%s", ctl_human_bytes(p->total, total));
        return;
    }
    if (strcmp(p->unit, "blocks") == 0 && p->block >= 0 && !isnan(p->total)) {
        srq_buf_printf(b, "block %d/%.0f", p->block + 1, p->total);
        return;
    }
    srq_buf_printf(b, "%.0f", floor(p->done)); /* half a block is not done */
    if (!isnan(p->total))
        srq_buf_printf(b, "/%.0f", p->total);
    if (p->unit[0] != '\0')
        srq_buf_printf(b, " %s", p->unit);
}

static void put_rate(struct srq_buf *b, const struct ctl_progress *p)
{
    char rate[CTL_HUMAN];

    if (isnan(p->rate) || p->rate <= 0)
        return;
    if (strcmp(p->unit, "bytes") == 0)
        srq_buf_printf(b, "%s/s", ctl_human_bytes(p->rate, rate));
    else if (p->rate < 1) /* "0.00833 blocks/s" tells less than its inverse */
        srq_buf_printf(b, "%s each", ctl_human_seconds(1 / p->rate, rate));
    else
        srq_buf_printf(b, "%s/s", ctl_human_number(p->rate, rate));
}

static void put_losses(struct srq_buf *b, double first, double best)
{
    char a[CTL_HUMAN], z[CTL_HUMAN];

    srq_buf_printf(b, "loss %s %s %s", ctl_human_number(first, a), ctl_arrow(), ctl_human_number(best, z));
}

static void say_state(struct ctl_progress *p, const cJSON *e, struct srq_buf *lines)
{
    char state[sizeof(p->state)], reason[sizeof(p->reason)];
    bool news;

    copy(state, sizeof(state), ctl_str(e, "state"));
    copy(reason, sizeof(reason), ctl_str(e, "reason"));
    news = strcmp(state, p->state) != 0 || strcmp(reason, p->reason) != 0;
    snprintf(p->state, sizeof(p->state), "%s", state);
    snprintf(p->reason, sizeof(p->reason), "%s", reason);
    if (news)
        srq_buf_printf(lines, "%s%s%s\n", state, reason[0] != '\0' ? ": " : "", reason);
}

static void take_stage(struct ctl_progress *p, const cJSON *e, double now, bool live, struct srq_buf *lines)
{
    bool changed = strcmp(ctl_str(e, "stage"), p->stage) != 0;

    if (changed)
        forget_block(p);
    copy(p->stage, sizeof(p->stage), ctl_str(e, "stage"));
    copy(p->unit, sizeof(p->unit), ctl_str(e, "unit"));
    copy(p->detail, sizeof(p->detail), ctl_str(e, "detail"));
    p->done = ctl_num(e, "done");
    p->total = ctl_num(e, "total");
    p->rate = ctl_num(e, "rate");
    p->eta_s = ctl_num(e, isnan(ctl_num(e, "left_s")) ? "eta_s" : "left_s");
    p->stage_elapsed_s = ctl_num(e, "elapsed_s");
    p->stage_seen_s = now;
    if (live || (!changed && now - p->said_s < CTL_PLAIN_EVERY_S))
        return;
    p->said_s = now;
    srq_buf_printf(lines, "%s ", p->stage);
    put_share(lines, p);
    if (!isnan(p->rate) && p->rate > 0) {
        srq_buf_puts(lines, ", ");
        put_rate(lines, p);
    }
    if (!isnan(p->eta_s)) {
        char left[CTL_HUMAN];

        srq_buf_printf(lines, ", %s left", ctl_human_seconds(p->eta_s, left));
    }
    srq_buf_puts(lines, "\n");
}

static void say_block(struct ctl_progress *p, const cJSON *e, bool live, struct srq_buf *lines)
{
    char name[128], spent[CTL_HUMAN];
    double best = ctl_num(e, "best_iteration");

    p->loss_first = ctl_num(e, "loss_first");
    p->loss_best = ctl_num(e, "loss_best");
    p->tuned += !isnan(best);
    p->plain += isnan(best);
    if (live)
        return;
    srq_buf_printf(lines, "block %.0f %s: ", ctl_num(e, "block") + 1,
                   srq_escape_control(ctl_str(e, "name"), name, sizeof(name)));
    if (!isnan(p->loss_best)) { /* plain rounding has none */
        put_losses(lines, p->loss_first, p->loss_best);
        if (!isnan(best))
            srq_buf_printf(lines, " at iteration %.0f", best);
        srq_buf_puts(lines, ", ");
    }
    srq_buf_printf(lines, "%s\n", ctl_human_seconds(ctl_num(e, "elapsed_s"), spent));
}

static void say_result(const struct ctl_progress *p, const cJSON *e, struct srq_buf *lines)
{
    const char *after = p->tuned == 0 ? "quantized" : p->plain > 0 ? "partly tuned" : "tuned";
    const char *const names[] = { "original", "rounded", after };
    int which = srq_word_place(srq_measured_words, ctl_str(e, "which"));
    char n[CTL_HUMAN];

    srq_buf_printf(lines, "%s model: perplexity %s", which >= 0 ? names[which] : "a",
                   ctl_human_number(ctl_num(e, "perplexity"), n));
    if (!isnan(ctl_num(e, "kl")))
        srq_buf_printf(lines, ", KL %s", ctl_human_number(ctl_num(e, "kl"), n));
    if (!isnan(ctl_num(e, "top1")))
        srq_buf_printf(lines, ", top-1 %s", ctl_human_percent(ctl_num(e, "top1"), n));
    srq_buf_printf(lines, " on %.0f tokens\n", ctl_num(e, "tokens"));
}

static void say_sample(const cJSON *e, struct srq_buf *lines)
{
    char mse[CTL_HUMAN], fid[CTL_HUMAN];

    if (!isnan(ctl_num(e, "pair_mse")))
        srq_buf_printf(lines, "%s pictures: squared difference %s from the original's", ctl_str(e, "which"),
                       ctl_human_number(ctl_num(e, "pair_mse"), mse));
    else if (!isnan(ctl_num(e, "fid")))
        srq_buf_printf(lines, "%s pictures", ctl_str(e, "which"));
    else
        return;
    if (!isnan(ctl_num(e, "fid")))
        srq_buf_printf(lines, ", Frechet distance %s", ctl_human_number(ctl_num(e, "fid"), fid));
    srq_buf_puts(lines, "\n");
}

static void say_log(const cJSON *e, bool live, struct srq_buf *lines)
{
    char text[2048];
    const char *level = ctl_str(e, "level");

    if (strcmp(level, "debug") == 0 || (live && strcmp(level, "info") == 0))
        return;
    srq_escape_control(ctl_str(e, "text"), text, sizeof(text));
    if (strcmp(level, "info") == 0)
        srq_buf_printf(lines, "%s\n", text);
    else
        srq_buf_printf(lines, "%s: %s\n", strcmp(level, "error") == 0 ? "error" : "warning", text);
}

void ctl_progress_event(struct ctl_progress *p, const char *event, const cJSON *e, double now, bool live,
                        struct srq_buf *lines)
{
    if (isnan(p->started))
        p->started = ctl_num(e, "time");
    if (strcmp(event, "job.state") == 0) {
        say_state(p, e, lines);
    } else if (strcmp(event, "stage.progress") == 0) {
        take_stage(p, e, now, live, lines);
    } else if (strcmp(event, "block.begin") == 0) {
        forget_block(p);
        p->block = (int)ctl_num(e, "block");
        p->iters = ctl_num(e, "iters");
        copy(p->block_name, sizeof(p->block_name), ctl_str(e, "name"));
    } else if (strcmp(event, "tune.point") == 0) {
        p->iter = ctl_num(e, "iter");
        p->loss = ctl_num(e, "loss");
    } else if (strcmp(event, "tune.probe") == 0) {
        p->iter = ctl_num(e, "iter");
        if (isnan(p->loss_first))
            p->loss_first = ctl_num(e, "loss");
        p->loss_best = ctl_num(e, "best");
    } else if (strcmp(event, "block.end") == 0) {
        say_block(p, e, live, lines);
    } else if (strcmp(event, "eval.result") == 0) {
        say_result(p, e, lines);
    } else if (strcmp(event, "sample.result") == 0) {
        say_sample(e, lines);
    } else if (strcmp(event, "log") == 0) {
        say_log(e, live, lines);
    }
}

/* Adds a part of the line when it fits. */
static void fit(struct srq_buf *out, const char *part, int width)
{
    int used = out->len > 0 ? ctl_text_width(out->data) : 0;

    if (part[0] == '\0' || used + (used > 0 ? 2 : 0) + ctl_text_width(part) > width)
        return;
    if (used > 0)
        srq_buf_puts(out, "  ");
    srq_buf_puts(out, part);
}

static void fit_buf(struct srq_buf *out, struct srq_buf *part, int width)
{
    if (part->len > 0)
        fit(out, part->data, width);
    srq_buf_clear(part);
}

void ctl_progress_line(const struct ctl_progress *p, double now, double wall, int width, struct srq_buf *out)
{
    struct srq_buf part;
    char n[CTL_HUMAN];
    double age = now - p->stage_seen_s;
    bool running = strcmp(p->state, "running") == 0 && p->stage[0] != '\0';

    srq_buf_init(&part, 1024);
    if (!running) {
        srq_buf_printf(&part, "%s%s%s", p->state[0] != '\0' ? p->state : "waiting for news",
                       p->reason[0] != '\0' ? ": " : "", p->reason);
        if (ctl_text_width(part.data) > width) {
            srq_buf_clear(&part);
            srq_buf_puts(&part, p->state);
        }
        fit_buf(out, &part, width);
        srq_buf_fini(&part);
        return;
    }
    fit(out, p->stage, width);
    put_share(&part, p);
    fit_buf(out, &part, width);
    if (p->block >= 0 && !isnan(p->iters) && p->iters > 0) {
        srq_buf_printf(&part, "iteration %.0f/%.0f", isnan(p->iter) ? 0 : p->iter, p->iters);
        fit_buf(out, &part, width);
    }
    if (p->block >= 0 && !isnan(p->loss_first)) {
        put_losses(&part, p->loss_first, p->loss_best);
        fit_buf(out, &part, width);
    }
    if (!isnan(p->eta_s)) {
        srq_buf_printf(&part, "%s left", ctl_human_seconds(p->eta_s > age ? p->eta_s - age : 0, n));
        fit_buf(out, &part, width);
    }
    put_rate(&part, p);
    fit_buf(out, &part, width);
    if (!isnan(p->started)) {
        srq_buf_printf(&part, "%s so far", ctl_human_seconds(wall - p->started, n));
        fit_buf(out, &part, width);
    }
    fit(out, p->detail, width);
    srq_buf_fini(&part);
}
