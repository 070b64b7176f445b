/* ncurses behind a canvas. */
#include "tui/srqtop/terminal.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
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
enum { RESTORE_MOST = 512 };

/* There is one terminal: the only state of srqtop outside model and view, because signal handlers need it. */
static struct {
    SCREEN *screen;
    const struct theme *theme;
    bool mono;
    int colours;
    struct termios modes;              /* as they were */
    volatile sig_atomic_t taken;       /* the terminal is ours */
    char restore[RESTORE_MOST];        /* what gives it back, made ready beforehand */
    size_t restore_len;
    struct canvas shown;               /* what is on the screen */
    bool all;                          /* write everything next time */
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

static void make_pairs(void)
{
    for (int r = 0; term.colours >= 8 && r < ROLE_COUNT; r++) {
        struct theme_look look = theme_look_of(term.theme, (enum role)r, term.colours);

        init_pair((short)(r + 1), look.fg, look.bg);
    }
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
    term.colours = COLORS >= 256 ? 256 : COLORS >= 16 ? 16 : COLORS >= 8 ? 8 : 0;
    if (COLOR_PAIRS <= ROLE_COUNT)
        term.colours = 0;
    make_pairs();
}

static attr_t attributes(const struct cell *cell)
{
    int attr = cell->attr | theme_look_of(term.theme, (enum role)cell->role, term.colours).attr;

    return ((attr & ATTR_BOLD) ? A_BOLD : 0) | ((attr & ATTR_UNDERLINE) ? A_UNDERLINE : 0) | ((attr & ATTR_REVERSE) ? A_REVERSE : 0);
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
    if (mouse != NULL && mouse != (const char *)-1) /* the mouse's modes are not in terminfo */
        add_restore("\033[?1000l\033[?1002l\033[?1003l\033[?1006l");
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
    while (at < term.restore_len) {
        ssize_t n = write(STDOUT_FILENO, term.restore + at, term.restore_len - at);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &term.modes);
    errno = saved;
}

static void modes(void)
{
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    meta(stdscr, TRUE);
    curs_set(0);
    mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
    mouseinterval(0);
    set_escdelay(25);
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
        return srq_fail(err, -SRQ_EINVAL, "terminal type \"%.64s\" cannot show full screens; --once prints without it", name);
    term.theme = theme;
    term.mono = mono;
    canvas_init(&term.shown);
    prepare_restore();
    term.taken = 1;
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

static void show_cell(int x, int y, const struct cell *cell)
{
    wchar_t text[2] = { (wchar_t)cell->code, 0 };
    cchar_t wide;
    short pair = (short)(term.colours >= 8 ? cell->role + 1 : 0);

    if (setcchar(&wide, text, attributes(cell), pair, NULL) == OK)
        mvadd_wch(y, x, &wide);
}

static bool same(const struct cell *a, const struct cell *b)
{
    return a->code == b->code && a->role == b->role && a->attr == b->attr;
}

/* Cells of one row that changed, with both halves of wide characters. */
static void show_row(const struct canvas *c, int y, int w)
{
    const struct cell *new = c->cells + (size_t)y * (size_t)c->w;
    struct cell *old = term.shown.cells + (size_t)y * (size_t)c->w;

    for (int x = 0; x < w; x++) {
        bool wide = x + 1 < c->w && new[x + 1].code == 0;

        if (new[x].code == 0 || (!term.all && same(&new[x], &old[x]) && (!wide || same(&new[x + 1], &old[x + 1]))))
            continue;
        show_cell(x, y, &new[x]);
    }
    memcpy(old, new, (size_t)c->w * sizeof(*old));
}

void terminal_flush(const struct canvas *c)
{
    int w = c->w < COLS ? c->w : COLS, h = c->h < LINES ? c->h : LINES;

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
    for (int y = 0; y < h; y++)
        show_row(c, y, w);
    term.all = false;
    if (c->cursor_x >= 0 && c->cursor_x < w && c->cursor_y >= 0 && c->cursor_y < h) {
        move(c->cursor_y, c->cursor_x);
        curs_set(1);
    } else {
        curs_set(0);
    }
    refresh();
}

/* ---- keys */

static const struct {
    int curses, key;
} specials[] = {
    { KEY_UP, TOP_KEY_UP },          { KEY_DOWN, TOP_KEY_DOWN },        { KEY_LEFT, TOP_KEY_LEFT },
    { KEY_RIGHT, TOP_KEY_RIGHT },    { KEY_PPAGE, TOP_KEY_PAGE_UP },    { KEY_NPAGE, TOP_KEY_PAGE_DOWN },
    { KEY_HOME, TOP_KEY_HOME },      { KEY_END, TOP_KEY_END },          { KEY_DC, TOP_KEY_DELETE },
    { KEY_IC, TOP_KEY_INSERT },      { KEY_BTAB, TOP_KEY_BACKTAB },     { KEY_ENTER, TOP_KEY_ENTER },
    { KEY_BACKSPACE, TOP_KEY_BACKSPACE }, { KEY_RESIZE, TOP_KEY_RESIZE },
};

static int mouse_key(struct top_key *key)
{
    MEVENT e;
    double now = srq_clock_s();

    if (getmouse(&e) != OK)
        return TOP_KEY_NONE;
    key->x = e.x;
    key->y = e.y;
    if (e.bstate & BUTTON4_PRESSED)
        return TOP_KEY_WHEEL_UP;
    if (e.bstate & BUTTON5_PRESSED)
        return TOP_KEY_WHEEL_DOWN;
    if (!(e.bstate & BUTTON1_PRESSED))
        return TOP_KEY_NONE;
    if (now - term.click_s < DOUBLE_CLICK_S && e.x == term.click_x && e.y == term.click_y) {
        term.click_s = 0;
        return TOP_KEY_DOUBLE_CLICK;
    }
    term.click_s = now;
    term.click_x = e.x;
    term.click_y = e.y;
    return TOP_KEY_CLICK;
}

static int special_key(wint_t code, struct top_key *key)
{
    if (code == KEY_MOUSE)
        return mouse_key(key);
    if (code >= KEY_F(1) && code <= KEY_F(10))
        return TOP_KEY_F1 + (int)(code - KEY_F(1));
    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
        if (specials[i].curses == (int)code)
            return specials[i].key;
    return TOP_KEY_NONE;
}

bool terminal_key(struct top_key *key)
{
    wint_t code;
    int rc;

    *key = (struct top_key){ 0, 0, 0 };
    if (term.screen == NULL)
        return false;
    rc = get_wch(&code);
    if (rc == ERR)
        return false;
    if (rc == KEY_CODE_YES)
        key->code = special_key(code, key);
    else if (code == '\n' || code == '\r')
        key->code = TOP_KEY_ENTER;
    else if (code == 8)
        key->code = TOP_KEY_BACKSPACE;
    else
        key->code = (int)code < TOP_KEY_SPECIAL ? (int)code : TOP_KEY_NONE;
    return true;
}
