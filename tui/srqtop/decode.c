/* Keys as xterm and its like send them; a terminal with others names them in terminfo. */
#include "tui/srqtop/decode.h"

#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ESC = 27, WHEEL = 64, MOTION = 32, BUTTONS = 3, MODIFIERS = 0x1c, MODE_SYNCHRONIZED = 2026 };

static const char paste_end[] = "\033[201~";

void decode_init(struct decoder *d, bool utf8)
{
    memset(d, 0, sizeof(*d));
    d->utf8 = utf8;
    d->esc_s = DECODE_ESC_S;
}

void decode_own(struct decoder *d, const char *sequence, int key)
{
    if (sequence == NULL || sequence == (const char *)-1 || strlen(sequence) < 2 ||
        strlen(sequence) >= sizeof(d->own[0].text) || d->own_count == DECODE_OWN)
        return;
    snprintf(d->own[d->own_count].text, sizeof(d->own[0].text), "%s", sequence);
    d->own[d->own_count++].key = key;
}

static void give(struct decoder *d, int code)
{
    if (d->ready_count < (int)(sizeof(d->ready) / sizeof(d->ready[0])))
        d->ready[d->ready_count++] = (struct top_key){ .code = code, .pasted = d->pasting };
}

static void forget(struct decoder *d, int n)
{
    d->held_len -= n;
    memmove(d->held, d->held + n, (size_t)d->held_len);
}

/* ---- sequences ----------------------------------------------------------------------------------------------------
 */

static int letter_key(char final)
{
    switch (final) {
    case 'A':
        return TOP_KEY_UP;
    case 'B':
        return TOP_KEY_DOWN;
    case 'C':
        return TOP_KEY_RIGHT;
    case 'D':
        return TOP_KEY_LEFT;
    case 'F':
        return TOP_KEY_END;
    case 'H':
        return TOP_KEY_HOME;
    case 'Z':
        return TOP_KEY_BACKTAB;
    case 'P':
    case 'Q':
    case 'R':
    case 'S':
        return TOP_KEY_F1 + (final - 'P');
    default:
        return TOP_KEY_NONE;
    }
}

static int number_key(int number)
{
    static const int first[] = { TOP_KEY_NONE,    TOP_KEY_HOME,      TOP_KEY_INSERT, TOP_KEY_DELETE, TOP_KEY_END,
                                 TOP_KEY_PAGE_UP, TOP_KEY_PAGE_DOWN, TOP_KEY_HOME,   TOP_KEY_END };

    if (number >= 0 && number < (int)(sizeof(first) / sizeof(first[0])))
        return first[number];
    if (number >= 11 && number <= 15)
        return TOP_KEY_F1 + (number - 11);
    if (number >= 17 && number <= 21)
        return TOP_KEY_F6 + (number - 17);
    return TOP_KEY_NONE;
}

static void give_mouse(struct decoder *d, int buttons, int x, int y, bool press)
{
    give(d, TOP_KEY_NONE);
    if (!press || x < 1 || y < 1 || (buttons & MOTION) != 0)
        return;
    d->ready[d->ready_count - 1].x = x - 1;
    d->ready[d->ready_count - 1].y = y - 1;
    buttons &= ~MODIFIERS;
    d->ready[d->ready_count - 1].code = buttons == 0           ? TOP_KEY_CLICK
                                        : buttons == WHEEL     ? TOP_KEY_WHEEL_UP
                                        : buttons == WHEEL + 1 ? TOP_KEY_WHEEL_DOWN
                                                               : TOP_KEY_NONE;
}

/* "\033[" parameters final, all of it held. Keys with Shift, Ctrl or Alt mean nothing here. */
static void give_csi(struct decoder *d, const char *parameters, char final)
{
    int a = 0, b = 0, c = 0, n;

    if (parameters[0] == '<' && (final == 'M' || final == 'm')) {
        n = sscanf(parameters + 1, "%6d;%6d;%6d", &a, &b, &c);
        give_mouse(d, n == 3 ? a : BUTTONS, b, c, final == 'M');
        return;
    }
    if (parameters[0] == '?' && final == 'y') { /* a report on a mode: 1 set, 2 reset, 3 always set; else not known */
        n = sscanf(parameters + 1, "%6d;%6d", &a, &b);
        d->synchronized = n == 2 && a == MODE_SYNCHRONIZED ? b >= 1 && b <= 3 : d->synchronized;
        give(d, TOP_KEY_NONE);
        return;
    }
    n = sscanf(parameters, "%6d;%6d", &a, &b);
    if (final == '~' && n == 1 && a == 200) {
        d->pasting = true;
        give(d, TOP_KEY_PASTE); /* it begins */
        return;
    }
    if (n == 2 && b > 1)
        give(d, TOP_KEY_NONE);
    else if (final == '~')
        give(d, n >= 1 ? number_key(a) : TOP_KEY_NONE);
    else
        give(d, letter_key(final));
}

/* What is held from "\033[" or "\033O" on; true once it was complete. */
static bool take_sequence(struct decoder *d)
{
    char parameters[DECODE_HELD] = "";
    int at = 2;

    if (d->held_len < 3)
        return false;
    if (d->held[1] == '[' && d->held[2] == 'M') { /* buttons, column and row as bytes */
        if (d->held_len < 6)
            return false;
        give_mouse(d, d->held[3] - 32, d->held[4] - 32, d->held[5] - 32, (d->held[3] & BUTTONS) != BUTTONS);
        forget(d, 6);
        return true;
    }
    if (d->held[1] == '[' && d->held[2] == '[') { /* function keys of the console */
        if (d->held_len < 4)
            return false;
        give(d, d->held[3] >= 'A' && d->held[3] <= 'E' ? TOP_KEY_F1 + (d->held[3] - 'A') : TOP_KEY_NONE);
        forget(d, 4);
        return true;
    }
    while (at < d->held_len && d->held[at] >= 0x20 && d->held[at] < 0x40)
        at++;
    if (at == d->held_len)
        return false;
    memcpy(parameters, d->held + 2, (size_t)(at - 2));
    if (d->held[at] < 0x40 || d->held[at] > 0x7e) { /* broken off: what comes next is read for itself */
        give(d, TOP_KEY_NONE);
        forget(d, at);
        return true;
    }
    if (d->held[1] == '[')
        give_csi(d, parameters, (char)d->held[at]);
    else
        give(d, at > 2 ? TOP_KEY_NONE : d->held[at] == 'M' ? TOP_KEY_ENTER : letter_key((char)d->held[at]));
    forget(d, at + 1);
    return true;
}

/* A sequence of terminfo: 1 taken, 0 none, -1 may become one. */
static int take_own(struct decoder *d)
{
    int maybe = 0;

    for (int i = 0; i < d->own_count; i++) {
        int len = (int)strlen(d->own[i].text), n = len < d->held_len ? len : d->held_len;

        if (memcmp(d->own[i].text, d->held, (size_t)n) != 0)
            continue;
        if (n == len) {
            give(d, d->own[i].key);
            forget(d, len);
            return 1;
        }
        maybe = -1;
    }
    return maybe;
}

/* ---- characters ---------------------------------------------------------------------------------------------------
 */

static int utf8_length(unsigned char first)
{
    return first < 0x80                    ? 1
           : first >= 0xc2 && first < 0xe0 ? 2
           : first >= 0xe0 && first < 0xf0 ? 3
           : first >= 0xf0 && first < 0xf5 ? 4
                                           : 0;
}

/* The character that is held first, or a byte of none; false: it is not all there. */
static bool take_character(struct decoder *d)
{
    int n = d->utf8 ? utf8_length(d->held[0]) : 1;
    uint32_t code = d->held[0];

    for (int i = 1; i < n; i++) {
        if (i == d->held_len)
            return false;
        if ((d->held[i] & 0xc0) != 0x80)
            n = 0; /* broken off */
    }
    if (n > 1 && srq_utf8_check((const char *)d->held, (size_t)n) == (size_t)n)
        (void)srq_utf8_next((const char *)d->held, &code);
    else if (n != 1)
        n = code = TOP_KEY_NONE;
    if (code == '\n')
        code = TOP_KEY_ENTER;
    else if (code == 8)
        code = TOP_KEY_BACKSPACE;
    give(d, (int)code);
    forget(d, n > 0 ? n : 1);
    return true;
}

/* Inside a paste only its end is a sequence. */
static bool take_pasted(struct decoder *d)
{
    int len = (int)sizeof(paste_end) - 1, n = len < d->held_len ? len : d->held_len;

    if (memcmp(paste_end, d->held, (size_t)n) != 0)
        return take_character(d);
    if (n < len)
        return false;
    forget(d, len);
    d->pasting = false;
    give(d, TOP_KEY_NONE);
    return true;
}

static bool take_held(struct decoder *d)
{
    int own;

    if (d->held_len == 0)
        return false;
    if (d->pasting)
        return take_pasted(d);
    own = take_own(d);
    if (own != 0)
        return own > 0;
    if (d->held[0] != ESC)
        return take_character(d);
    if (d->held_len < 2)
        return false;
    if (d->held[1] == '[' || d->held[1] == 'O')
        return take_sequence(d);
    give(d, TOP_KEY_ESC);
    forget(d, 1);
    return true;
}

/* ---- public ---------------------------------------------------------------------------------------------------------
 */

void decode_byte(struct decoder *d, unsigned char byte, double now)
{
    if (d->held_len == DECODE_HELD) { /* no sequence is so long */
        d->held_len = 0;
        give(d, TOP_KEY_NONE);
    }
    d->held[d->held_len++] = byte;
    d->last_s = now;
}

static double patience(const struct decoder *d)
{
    if (d->pasting)
        return DECODE_PASTE_S;
    return d->held_len == 1 && d->held[0] == ESC ? d->esc_s : DECODE_REST_S;
}

/* Nothing came for long enough: ESC was the key; the beginning of anything else is dropped. */
static void give_up(struct decoder *d)
{
    if (d->pasting)
        d->pasting = false;
    else
        give(d, d->held_len == 1 && d->held[0] == ESC ? TOP_KEY_ESC : TOP_KEY_NONE);
    d->held_len = 0;
}

bool decode_next(struct decoder *d, struct top_key *key, double now)
{
    while (d->ready_count == 0 && take_held(d))
        ;
    if (d->ready_count == 0 && (d->held_len > 0 || d->pasting) && now - d->last_s >= patience(d))
        give_up(d);
    if (d->ready_count == 0)
        return false;
    *key = d->ready[0];
    d->ready_count--;
    memmove(d->ready, d->ready + 1, (size_t)d->ready_count * sizeof(d->ready[0]));
    return true;
}

double decode_wait(const struct decoder *d, double now)
{
    double left = d->last_s + patience(d) - now;

    if (d->held_len == 0 && !d->pasting)
        return -1;
    return left > 0 ? left : 0;
}
