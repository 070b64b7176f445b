/* Editing of the line at the bottom. */
#include "tui/srqtop/prompt.h"

#include "core/base/alloc.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <string.h>

const char *prompt_sign(enum top_prompt prompt)
{
    static const char *const signs[] = {
        [TOP_PROMPT_NONE] = "",     [TOP_PROMPT_SEARCH] = "/",       [TOP_PROMPT_FILTER] = "filter \\",
        [TOP_PROMPT_COMMAND] = ":", [TOP_PROMPT_BITS] = "scheme = ", [TOP_PROMPT_OTHER] = "compare with job: "
    };

    return signs[prompt];
}

static void set_line(struct top_view *v, const char *text)
{
    snprintf(v->line, sizeof(v->line), "%s", text);
    v->line_at = (int)strlen(v->line);
}

void prompt_open(struct top_view *v, enum top_prompt prompt, const char *text)
{
    v->prompt = prompt;
    v->history_at = v->history_count;
    set_line(v, text);
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static int before(const struct top_view *v, int at)
{
    if (at > 0)
        at--;
    while (at > 0 && continues(v->line[at]))
        at--;
    return at;
}

static int after(const struct top_view *v, int at)
{
    if (v->line[at] != '\0')
        at++;
    while (continues(v->line[at]))
        at++;
    return at;
}

static void erase(struct top_view *v, int from, int to)
{
    memmove(v->line + from, v->line + to, strlen(v->line + to) + 1);
    v->line_at = from;
}

static void insert(struct top_view *v, int code)
{
    char utf8[4];
    size_t n, len = strlen(v->line);

    if (code < ' ' || code >= TOP_KEY_SPECIAL || (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code < 0xe000))
        return;
    n = (size_t)srq_utf8_put((uint32_t)code, utf8);
    if (len + n >= sizeof(v->line))
        return;
    memmove(v->line + v->line_at + n, v->line + v->line_at, len - (size_t)v->line_at + 1);
    memcpy(v->line + v->line_at, utf8, n);
    v->line_at += (int)n;
}

void prompt_paste(struct top_view *v, int code)
{
    bool control = code < ' ' || (code >= 0x7f && code < 0xa0);

    if (control && v->line_at > 0 && v->line[v->line_at - 1] == ' ')
        return;
    insert(v, control ? ' ' : code);
}

static int word_before(const struct top_view *v)
{
    int at = v->line_at;

    while (at > 0 && v->line[at - 1] == ' ')
        at--;
    while (at > 0 && v->line[at - 1] != ' ')
        at--;
    return at;
}

static void recall(struct top_view *v, int step)
{
    int to = v->history_at + step;

    if (v->prompt != TOP_PROMPT_COMMAND || to < 0 || to > v->history_count)
        return;
    v->history_at = to;
    set_line(v, to < v->history_count ? v->history[to] : "");
}

/* Remembers a command line; the oldest goes, and the same one twice in a row counts once. */
static void remember(struct top_view *v)
{
    char *copy;

    if (v->line[0] == '\0' || (v->history_count > 0 && strcmp(v->history[v->history_count - 1], v->line) == 0))
        return;
    copy = srq_strdup(v->line);
    if (copy == NULL)
        return;
    if (v->history_count == TOP_HISTORY) {
        srq_free(v->history[0]);
        memmove(v->history, v->history + 1, (TOP_HISTORY - 1) * sizeof(v->history[0]));
        v->history_count--;
    }
    v->history[v->history_count++] = copy;
}

enum {
    CTRL_A = 1,
    CTRL_B = 2,
    CTRL_C = 3,
    CTRL_D = 4,
    CTRL_E = 5,
    CTRL_F = 6,
    CTRL_G = 7,
    CTRL_H = 8,
    CTRL_K = 11,
    CTRL_N = 14,
    CTRL_P = 16,
    CTRL_U = 21,
    CTRL_W = 23
};

enum prompt_end prompt_key(struct top_view *v, int code)
{
    switch (code) {
    case TOP_KEY_ENTER:
        if (v->prompt == TOP_PROMPT_COMMAND)
            remember(v);
        v->prompt = TOP_PROMPT_NONE;
        return PROMPT_ACCEPTED;
    case TOP_KEY_ESC:
    case CTRL_C:
    case CTRL_G:
        v->prompt = TOP_PROMPT_NONE;
        return PROMPT_CANCELED;
    case TOP_KEY_BACKSPACE:
    case CTRL_H:
        if (v->line[0] == '\0') { /* as in vi: deleting the sign itself */
            v->prompt = TOP_PROMPT_NONE;
            return PROMPT_CANCELED;
        }
        erase(v, before(v, v->line_at), v->line_at);
        break;
    case TOP_KEY_DELETE:
    case CTRL_D:
        erase(v, v->line_at, after(v, v->line_at));
        break;
    case TOP_KEY_LEFT:
    case CTRL_B:
        v->line_at = before(v, v->line_at);
        break;
    case TOP_KEY_RIGHT:
    case CTRL_F:
        v->line_at = after(v, v->line_at);
        break;
    case TOP_KEY_HOME:
    case CTRL_A:
        v->line_at = 0;
        break;
    case TOP_KEY_END:
    case CTRL_E:
        v->line_at = (int)strlen(v->line);
        break;
    case CTRL_U:
        erase(v, 0, v->line_at);
        break;
    case CTRL_K:
        v->line[v->line_at] = '\0';
        break;
    case CTRL_W:
        erase(v, word_before(v), v->line_at);
        break;
    case TOP_KEY_UP:
    case CTRL_P:
        recall(v, -1);
        break;
    case TOP_KEY_DOWN:
    case CTRL_N:
        recall(v, 1);
        break;
    default:
        insert(v, code);
    }
    return PROMPT_GOES_ON;
}
