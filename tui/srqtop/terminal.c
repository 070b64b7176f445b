/* ncurses behind a canvas. */
#include "tui/srqtop/terminal.h"

#include "core/base/clock.h"
#include "tui/srqtop/decode.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <term.h>

#define DOUBLE_CLICK_S 0.35
enum { RESTORE_MOST = 512, SHADES = 256, PAIRS_MOST = 32000, DEEP_ROWS = 1000 };

/* There is one terminal: the only state of srqtop outside model and view, because signal handlers need it. */
static struct {
    SCREEN *screen;
    const struct theme *theme;
    bool mono;
    int colours;
    struct termios modes;        /* as they were */
    volatile sig_atomic_t taken; /* the terminal is ours */
    char restore[RESTORE_MOST];  /* what gives it back, made ready beforehand */
    size_t restore_len;
    struct canvas shown; /* what is on the screen */
    bool all;            /* write everything next time */
    struct decoder keys;
    bool mouse;                     /* it reports clicks */
    bool gone;                      /* its input has ended */
    bool deep;                      /* it shows colours of 24 bits */
    bool direct;                    /* its colour numbers are 0xRRGGBB, from 8 on */
    int progress;                   /* told last, percent; -1: none */
    uint16_t pairs[SHADES][SHADES]; /* of two colours of a picture; 0: it has none yet */
    int next_pair;
    bool repaint[DEEP_ROWS]; /* rows whose pixels are to be shown in 24 bits */
    double click_s;
    int click_x, click_y;
} term;

bool terminal_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

/* ---- colours */

static bool no_colour(void)
{
    const char *v = getenv("NO_COLOR");

    return v != NULL && v[0] != '\0';
}

/* Terminals with direct colours (RGB of terminfo) take the colour itself for a number; the first 8 are the usual ones.
 */
static int number_of(int colour)
{
    return term.direct && colour >= 8 ? (int)theme_rgb(colour) : colour;
}

static bool set_pair(int pair, int fg, int bg)
{
#if defined(NCURSES_EXT_COLORS) && NCURSES_EXT_COLORS
    return init_extended_pair(pair, number_of(fg), number_of(bg)) != ERR;
#else
    return !term.direct && init_pair((short)pair, (short)fg, (short)bg) != ERR;
#endif
}

static void make_pairs(void)
{
    for (int r = 0; term.colours >= 8 && r < ROLE_COUNT; r++) {
        struct theme_look look = theme_look_of(term.theme, (enum role)r, term.colours);

        (void)set_pair(r + 1, look.fg, look.bg);
    }
}

/* Whether 24 bits of colour are terminfo's RGB: said as a flag, as 8 bits each, or in words. */
static bool is_direct(void)
{
    const char *words = tigetstr("RGB");
    bool said = tigetflag("RGB") == 1 || tigetnum("RGB") == 8 ||
                (words != NULL && words != (const char *)-1 && strcmp(words, "8/8/8") == 0);

    return said && COLORS >= 1 << 24;
}

/* Pairs for pictures come behind those of the roles. */
static void forget_pairs(void)
{
    memset(term.pairs, 0, sizeof(term.pairs));
    term.next_pair = ROLE_COUNT + 1;
}

static int distance(struct pixel p, const int c[3])
{
    int sum = 0;

    for (int i = 0; i < 3; i++)
        sum += (p.rgb[i] - c[i]) * (p.rgb[i] - c[i]);
    return sum;
}

/* The nearest of the 256 colours: of the cube of 6 x 6 x 6 from 16 on, or of the 24 grays from 232 on. */
static int shade_of(struct pixel p)
{
    static const int levels[6] = { 0, 95, 135, 175, 215, 255 };
    int at[3], cube[3], gray = (p.rgb[0] + p.rgb[1] + p.rgb[2]) / 3, step = gray < 8 ? 0 : (gray - 8 + 5) / 10;
    const int ramp = 8 + 10 * (step < 23 ? step : 23), grays[3] = { ramp, ramp, ramp };

    for (int i = 0; i < 3; i++) {
        at[i] = 0;
        for (int k = 1; k < 6; k++)
            if (abs(levels[k] - p.rgb[i]) < abs(levels[at[i]] - p.rgb[i]))
                at[i] = k;
        cube[i] = levels[at[i]];
    }
    return distance(p, grays) < distance(p, cube) ? 232 + (ramp - 8) / 10 : 16 + 36 * at[0] + 6 * at[1] + at[2];
}

static short pair_of(const struct cell *cell)
{
    int most = COLOR_PAIRS < PAIRS_MOST ? COLOR_PAIRS : PAIRS_MOST, top = shade_of(cell->top),
        bottom = shade_of(cell->bottom);

    if (term.pairs[top][bottom] == 0) {
        if (term.next_pair >= most) { /* what has a pair of before is drawn anew next time */
            forget_pairs();
            term.all = true;
        }
        if (term.next_pair >= most || !set_pair(term.next_pair, top, bottom))
            return 0;
        term.pairs[top][bottom] = (uint16_t)term.next_pair++;
    }
    return (short)term.pairs[top][bottom];
}

static bool says_deep(void)
{
    const char *v = getenv("COLORTERM");

    return v != NULL && (strcmp(v, "truecolor") == 0 || strcmp(v, "24bit") == 0);
}

void terminal_set_theme(const struct theme *theme)
{
    term.theme = theme;
    if (term.screen != NULL) {
        make_pairs();
        terminal_redraw();
    }
}

int terminal_colours(void)
{
    return term.colours;
}

static void begin_colours(void)
{
    term.colours = 0;
    if (term.mono || no_colour() || !has_colors() || start_color() == ERR)
        return;
    use_default_colors();
    term.direct = is_direct();
    term.colours = COLORS > 256 && !term.direct ? 8 : COLORS >= 256 ? 256 : COLORS >= 16 ? 16 : COLORS >= 8 ? 8 : 0;
    if (COLOR_PAIRS <= ROLE_COUNT)
        term.colours = 0;
    make_pairs();
    forget_pairs();
    term.deep = term.direct || (term.colours >= 256 && says_deep());
}

static attr_t attributes(const struct cell *cell)
{
    int attr = cell->attr | theme_look_of(term.theme, (enum role)cell->role, term.colours).attr;

    return ((attr & ATTR_BOLD) ? A_BOLD : 0) | ((attr & ATTR_UNDERLINE) ? A_UNDERLINE : 0) |
           ((attr & ATTR_REVERSE) ? A_REVERSE : 0);
}

/* ---- taking the terminal and giving it back */

static void add_restore(const char *sequence)
{
    size_t n;

    if (sequence == NULL || sequence == (const char *)-1)
        return;
    n = strlen(sequence);
    if (term.restore_len + n > sizeof(term.restore))
        return;
    memcpy(term.restore + term.restore_len, sequence, n);
    term.restore_len += n;
}

/* A capability that may hold padding ("$<5>"), which is left out. */
static void add_capability(const char *name)
{
    const char *text = tigetstr(name), *pad;
    char copy[128];

    if (text == NULL || text == (const char *)-1)
        return;
    pad = strstr(text, "$<");
    if (pad != NULL && (size_t)(pad - text) < sizeof(copy)) {
        memcpy(copy, text, (size_t)(pad - text));
        copy[pad - text] = '\0';
        text = copy;
    }
    add_restore(text);
}

static void prepare_restore(void)
{
    const char *mouse = tigetstr("kmous");

    term.restore_len = 0;
    term.mouse = mouse != NULL && mouse != (const char *)-1;
    if (tigetstr("cup") != NULL)
        add_restore("\033[?2004l"); /* bracketed paste; neither it nor the mouse's modes are in terminfo */
    if (term.mouse)
        add_restore("\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?2026l");
    add_capability("sgr0");
    add_capability("op");
    add_capability("rmkx");
    add_capability("cnorm");
    add_capability("rmcup");
    if (tigetstr("rmcup") == NULL) /* the picture stays: what follows begins below it */
        add_restore("\r\n");
}

void terminal_restore(void)
{
    size_t at = 0;
    int saved = errno;

    if (!term.taken)
        return;
    term.taken = 0;
    if (term.progress >= 0)
        (void)!write(STDOUT_FILENO, "\033]9;4;0\033\\", 10);
    while (at < term.restore_len) {
        ssize_t n = write(STDOUT_FILENO, term.restore + at, term.restore_len - at);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &term.modes);
    errno = saved;
}

/* Asks for pastes in brackets, for clicks, and whether it knows synchronized output. A terminal that knows neither
 * passes over both. */
static void ask_reports(void)
{
    static const char paste[] = "\033[?2004h", mouse[] = "\033[?1000h\033[?1006h\033[?2026$p";

    (void)!write(STDOUT_FILENO, paste, sizeof(paste) - 1);
    if (term.mouse)
        (void)!write(STDOUT_FILENO, mouse, sizeof(mouse) - 1);
}

/* Past ncurses, which has written what it had. */
static void send(const char *text)
{
    size_t n = strlen(text);

    if (n > 0)
        (void)!write(STDOUT_FILENO, text, n);
}

static void modes(void)
{
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    meta(stdscr, TRUE);
    typeahead(-1); /* keys are read here, not by ncurses */
    curs_set(0);
    ask_reports();
}

/* Terminfo's names of keys that a terminal may send in a way of its own, and how long it may take after ESC: ESCDELAY
 * of the environment, in milliseconds, as ncurses has it. */
static void prepare_keys(void)
{
    static const struct {
        const char *name;
        int key;
    } names[] = { { "kcuu1", TOP_KEY_UP },     { "kcud1", TOP_KEY_DOWN },   { "kcub1", TOP_KEY_LEFT },
                  { "kcuf1", TOP_KEY_RIGHT },  { "kpp", TOP_KEY_PAGE_UP },  { "knp", TOP_KEY_PAGE_DOWN },
                  { "khome", TOP_KEY_HOME },   { "kend", TOP_KEY_END },     { "kdch1", TOP_KEY_DELETE },
                  { "kich1", TOP_KEY_INSERT }, { "kcbt", TOP_KEY_BACKTAB }, { "kent", TOP_KEY_ENTER },
                  { "kf1", TOP_KEY_F1 },       { "kf2", TOP_KEY_F2 },       { "kf3", TOP_KEY_F3 },
                  { "kf4", TOP_KEY_F4 },       { "kf5", TOP_KEY_F5 },       { "kf6", TOP_KEY_F6 },
                  { "kf7", TOP_KEY_F7 },       { "kf8", TOP_KEY_F8 },       { "kf9", TOP_KEY_F9 },
                  { "kf10", TOP_KEY_F10 } };
    const char *delay = getenv("ESCDELAY");
    long ms = delay != NULL ? strtol(delay, NULL, 10) : 0;

    decode_init(&term.keys, terminal_utf8());
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        decode_own(&term.keys, tigetstr(names[i].name), names[i].key);
    if (ms > 0 && ms <= 60000)
        term.keys.esc_s = (double)ms / 1000;
}

int terminal_open(const struct theme *theme, bool mono, struct srq_error *err)
{
    const char *name = getenv("TERM");
    TERMINAL *tried;
    int known = 0;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &term.modes) != 0)
        return srq_fail(err, -SRQ_EINVAL, "standard input and output are not a terminal; --once prints without one");
    if (name == NULL || setupterm(name, STDOUT_FILENO, &known) == ERR)
        return srq_fail(err, -SRQ_EINVAL, "terminal type \"%.64s\" is not known to terminfo; --once prints without it",
                        name != NULL ? name : "");
    tried = cur_term;
    /* Without a way to move the cursor, ncurses would scroll instead. */
    term.screen = tigetstr("cup") != NULL ? newterm(NULL, stdout, stdin) : NULL;
    if (tried != cur_term)
        del_curterm(tried);
    if (term.screen == NULL)
        return srq_fail(err, -SRQ_EINVAL, "terminal type \"%.64s\" cannot show full screens; --once prints without it",
                        name);
    term.theme = theme;
    term.mono = mono;
    canvas_init(&term.shown);
    prepare_restore();
    prepare_keys();
    term.gone = false;
    term.taken = 1;
    term.progress = -1;
    modes();
    begin_colours();
    term.all = true;
    return 0;
}

void terminal_close(void)
{
    if (term.screen == NULL)
        return;
    if (term.taken)
        endwin();
    terminal_restore();
    delscreen(term.screen);
    term.screen = NULL;
    canvas_fini(&term.shown);
}

void terminal_suspend(void)
{
    if (term.screen == NULL || !term.taken)
        return;
    endwin(); /* so that ncurses takes the screen again at the next refresh */
    terminal_restore();
}

void terminal_resume(void)
{
    if (term.screen == NULL)
        return;
    term.taken = 1;
    modes();
    terminal_resized();
    terminal_redraw();
}

/* ---- size */

void terminal_size(int *width, int *height)
{
    *width = COLS > 0 ? COLS : 1;
    *height = LINES > 0 ? LINES : 1;
}

void terminal_resized(void)
{
    struct winsize size;

    if (term.screen == NULL)
        return;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0)
        resizeterm(size.ws_row, size.ws_col);
    terminal_redraw();
}

void terminal_redraw(void)
{
    term.all = true;
}

/* ---- showing */

static bool is_pixels(const struct cell *cell)
{
    return term.colours >= 256 && cell->role == ROLE_PICTURE && cell->code >= 0x80;
}

static void show_cell(int x, int y, const struct cell *cell)
{
    wchar_t text[2] = { (wchar_t)cell->code, 0 };
    cchar_t wide;
    short pair = (short)(term.colours >= 8 ? cell->role + 1 : 0);

    if (is_pixels(cell))
        pair = pair_of(cell);
    if (setcchar(&wide, text, attributes(cell), pair, NULL) == OK)
        mvadd_wch(y, x, &wide);
}

static bool same(const struct cell *a, const struct cell *b)
{
    return a->code == b->code && a->role == b->role && a->attr == b->attr &&
           memcmp(&a->top, &b->top, sizeof(a->top)) == 0 && memcmp(&a->bottom, &b->bottom, sizeof(a->bottom)) == 0;
}

/* Cells of one row that changed, with both halves of wide characters. */
static void show_row(const struct canvas *c, int y, int w, bool all)
{
    const struct cell *new = c->cells + (size_t)y *(size_t)c->w;
    struct cell *old = term.shown.cells + (size_t)y * (size_t)c->w;

    for (int x = 0; x < w; x++) {
        bool wide = x + 1 < c->w && new[x + 1].code == 0;

        if (new[x].code == 0 || (!all && same(&new[x], &old[x]) && (!wide || same(&new[x + 1], &old[x + 1]))))
            continue;
        show_cell(x, y, &new[x]);
        term.repaint[y < DEEP_ROWS ? y : DEEP_ROWS - 1] = true;
    }
    memcpy(old, new, (size_t)c->w * sizeof(*old));
}

/* ncurses knows 256 colours at most here: pixels in rows that it wrote to are written once more, in their own colours.
 * It finds cursor and attributes as it left them. */
static void show_deep(const struct canvas *c, int w, int h)
{
    bool any = false;

    for (int y = 0; y < h && y < DEEP_ROWS; y++) {
        const struct cell *row = c->cells + (size_t)y * (size_t)c->w;
        int at = -1;

        for (int x = 0; term.repaint[y] && x < w; x++) {
            const uint8_t *t = row[x].top.rgb, *b = row[x].bottom.rgb;

            if (!is_pixels(&row[x]))
                continue;
            if (!any)
                fputs("\0337", stdout);
            any = true;
            if (at != x)
                printf("\033[%d;%dH", y + 1, x + 1);
            printf("\033[0;38;2;%d;%d;%d;48;2;%d;%d;%dm\u2580", t[0], t[1], t[2], b[0], b[1], b[2]);
            at = x + 1;
        }
        term.repaint[y] = false;
    }
    if (any)
        fputs("\0338", stdout);
    fflush(stdout);
}

void terminal_flush(const struct canvas *c)
{
    int w = c->w < COLS ? c->w : COLS, h = c->h < LINES ? c->h : LINES;
    bool all;

    if (term.screen == NULL || !term.taken)
        return;
    if (term.shown.cells == NULL || term.shown.w != c->w || term.shown.h != c->h) {
        if (!canvas_resize(&term.shown, c->w, c->h))
            return;
        term.all = true;
    }
    if (term.all) {
        erase();
        clearok(stdscr, TRUE);
    }
    all = term.all;
    term.all = false; /* pairs that ran out set it for the next time */
    for (int y = 0; y < h; y++)
        show_row(c, y, w, all);
    if (c->cursor_x >= 0 && c->cursor_x < w && c->cursor_y >= 0 && c->cursor_y < h) {
        move(c->cursor_y, c->cursor_x);
        curs_set(1);
    } else {
        curs_set(0);
    }
    send(term.keys.synchronized ? "\033[?2026h" : ""); /* the picture changes at once, when all of it is there */
    refresh();
    if (term.deep)
        show_deep(c, w, h);
    send(term.keys.synchronized ? "\033[?2026l" : "");
}

/* ---- what the terminal's window is told */

void terminal_progress(int percent)
{
    char text[40];

    if (term.screen == NULL || !term.taken || percent == term.progress)
        return;
    term.progress = percent;
    snprintf(text, sizeof(text), percent >= 0 ? "\033]9;4;1;%d\033\\" : "\033]9;4;0\033\\", percent);
    send(text);
}

void terminal_notify(const char *message)
{
    char text[300];
    int n = snprintf(text, sizeof(text), "\a\033]9;");

    if (term.screen == NULL || !term.taken)
        return;
    for (; *message != '\0' && n < (int)sizeof(text) - 3; message++)
        text[n++] = (char)(*message >= ' ' && *message < 0x7f ? *message : '?');
    snprintf(text + n, sizeof(text) - (size_t)n, "\033\\");
    send(text);
}

/* ---- keys */

/* The second click at one place soon after the first is a double one. */
static int click(const struct top_key *key)
{
    double now = srq_clock_s();

    if (now - term.click_s < DOUBLE_CLICK_S && key->x == term.click_x && key->y == term.click_y) {
        term.click_s = 0;
        return TOP_KEY_DOUBLE_CLICK;
    }
    term.click_s = now;
    term.click_x = key->x;
    term.click_y = key->y;
    return TOP_KEY_CLICK;
}

/* One byte of standard input, if there is any. */
static bool read_byte(unsigned char *byte)
{
    struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
    ssize_t n;

    if (poll(&p, 1, 0) <= 0)
        return false;
    if ((p.revents & POLLIN) == 0) {
        term.gone = true;
        return false;
    }
    n = read(STDIN_FILENO, byte, 1);
    term.gone = term.gone || n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
    return n == 1;
}

bool terminal_key(struct top_key *key)
{
    unsigned char byte;

    *key = (struct top_key){ .code = TOP_KEY_NONE };
    if (term.screen == NULL || !term.taken)
        return false;
    while (!decode_next(&term.keys, key, srq_clock_s())) {
        if (!read_byte(&byte))
            return false;
        decode_byte(&term.keys, byte, srq_clock_s());
    }
    if (key->code == TOP_KEY_CLICK)
        key->code = click(key);
    return true;
}

double terminal_key_wait(void)
{
    return term.screen != NULL && term.taken ? decode_wait(&term.keys, srq_clock_s()) : -1;
}

bool terminal_gone(void)
{
    return term.gone;
}
