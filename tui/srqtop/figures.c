/* Numbers, states and bars as panels show them. */
#include "tui/srqtop/figures.h"

#include "core/base/utf8.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static char *unknown(char *out)
{
    snprintf(out, FIGURE, "-");
    return out;
}

char *figure_number(struct metric m, char *out)
{
    return m.known ? ctl_human_number(m.v, out) : unknown(out);
}

char *figure_bytes(struct metric m, char *out)
{
    return m.known ? ctl_human_bytes(m.v, out) : unknown(out);
}

char *figure_seconds(struct metric m, char *out)
{
    return m.known ? ctl_human_seconds(m.v, out) : unknown(out);
}

char *figure_percent(struct metric share, char *out)
{
    return share.known ? ctl_human_percent(share.v, out) : unknown(out);
}

char *figure_count(struct metric m, char *out)
{
    if (!m.known || !isfinite(m.v))
        return unknown(out);
    snprintf(out, FIGURE, "%.0f", fabs(m.v) < 1e15 ? m.v : copysign(1e15, m.v));
    return out;
}

char *figure_bits(struct metric m, char *out)
{
    if (!m.known || !isfinite(m.v) || fabs(m.v) >= 1000)
        return unknown(out);
    snprintf(out, FIGURE, "%.2f", m.v);
    return out;
}

char *figure_change(struct metric from, struct metric to, char *(*figure)(struct metric, char *), uint32_t arrow,
                    char *out)
{
    char a[FIGURE], b[FIGURE], utf8[4];
    int len = srq_utf8_put(arrow, utf8);

    figure(from, a);
    figure(to, b);
    if (strcmp(a, b) == 0)
        snprintf(out, FIGURE, "%.*s", CTL_HUMAN, a);
    else
        snprintf(out, FIGURE, "%.*s %.*s %.*s", CTL_HUMAN - 1, a, len, utf8, CTL_HUMAN - 1, b);
    return out;
}

struct metric figure_elapsed(const struct top_job *j, double now)
{
    double end = j->ended.known ? j->ended.v : now;

    return (struct metric){ j->started.known && end >= j->started.v, end - j->started.v };
}

struct metric figure_share(struct metric a, struct metric b)
{
    if (!a.known || !b.known || !(b.v > 0))
        return (struct metric){ false, 0 };
    return known(a.v / b.v);
}

const char *figure_job_state(const struct top_job *j)
{
    return j->wish != NULL ? j->wish : srq_job_state_words[j->state];
}

enum role figure_job_role(enum srq_job_state s)
{
    switch (s) {
    case SRQ_JOB_STARTING:
    case SRQ_JOB_RUNNING:
        return ROLE_RUNNING;
    case SRQ_JOB_DONE:
        return ROLE_GOOD;
    case SRQ_JOB_FAILED:
        return ROLE_BAD;
    default:
        return ROLE_WAITING;
    }
}

const char *figure_work_state(enum srq_work_state s)
{
    return s == SRQ_WORK_RUNNING ? "tuning" : srq_work_state_words[s];
}

enum role figure_work_role(enum srq_work_state s)
{
    static const enum role roles[] = { [SRQ_WORK_PENDING] = ROLE_WAITING,
                                       [SRQ_WORK_RUNNING] = ROLE_RUNNING,
                                       [SRQ_WORK_FINISHED] = ROLE_GOOD,
                                       [SRQ_WORK_STALE] = ROLE_STALE };

    return roles[s];
}

struct metric figure_scheme_bits(const char *scheme)
{
    int bits = srq_scheme_look(scheme).bits;

    return (struct metric){ bits > 0, bits };
}

const char *figure_scheme_group(const char *scheme, char out[16])
{
    struct srq_scheme_look look = srq_scheme_look(scheme);

    if (!look.integer)
        return "-";
    if (look.group <= 0)
        return look.group < 0 ? "row" : "tensor";
    snprintf(out, 16, "%d", look.group);
    return out;
}

void figure_bar(struct canvas *c, int x, int y, int w, struct metric share, enum glyph_set set)
{
    const struct glyphs *g = glyphs_of(set);
    double part = share.known ? share.v : 0;
    int eighths;

    part = part < 0 || isnan(part) ? 0 : part > 1 ? 1 : part;
    /* A bar is full only when all is done. */
    eighths = (int)floor(part * w * GLYPH_LEVELS + 1e-9);
    for (int i = 0; i < w; i++) {
        int have = eighths - i * GLYPH_LEVELS;

        if (have >= GLYPH_LEVELS)
            canvas_put(c, x + i, y, g->part[GLYPH_LEVELS - 1], ROLE_DONE_PART, 0);
        else if (have > 0)
            canvas_put(c, x + i, y, g->part[have - 1], ROLE_DONE_PART, 0);
        else
            canvas_put(c, x + i, y, g->rest, ROLE_REST_PART, 0);
    }
}
