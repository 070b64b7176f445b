/* A grid of character cells. */
#include "tui/srqtop/canvas.h"

#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

static const struct cell blank = { .code = ' ', .role = ROLE_TEXT };

void canvas_init(struct canvas *c)
{
    memset(c, 0, sizeof(*c));
    c->cursor_x = c->cursor_y = -1;
}

void canvas_fini(struct canvas *c)
{
    srq_free(c->cells);
    canvas_init(c);
}

bool canvas_resize(struct canvas *c, int w, int h)
{
    struct cell *cells;

    w = w > 0 ? w : 1;
    h = h > 0 ? h : 1;
    if (c->cells == NULL || w != c->w || h != c->h) {
        cells = srq_calloc((size_t)w * (size_t)h, sizeof(*cells));
        if (cells == NULL)
            return false;
        srq_free(c->cells);
        c->cells = cells;
        c->w = w;
        c->h = h;
    }
    canvas_clear(c);
    return true;
}

void canvas_clear(struct canvas *c)
{
    for (size_t i = 0; i < (size_t)c->w * (size_t)c->h; i++)
        c->cells[i] = blank;
    c->clip = (struct rect){ 0, 0, c->w, c->h };
    c->cursor_x = c->cursor_y = -1;
}

static struct rect meet(struct rect a, struct rect b)
{
    int x0 = a.x > b.x ? a.x : b.x, y0 = a.y > b.y ? a.y : b.y;
    int x1 = a.x + a.w < b.x + b.w ? a.x + a.w : b.x + b.w, y1 = a.y + a.h < b.y + b.h ? a.y + a.h : b.y + b.h;

    return (struct rect){ x0, y0, x1 > x0 ? x1 - x0 : 0, y1 > y0 ? y1 - y0 : 0 };
}

struct rect canvas_clip(struct canvas *c, struct rect r)
{
    struct rect old = c->clip;

    c->clip = meet(old, r);
    return old;
}

void canvas_unclip(struct canvas *c, struct rect old)
{
    c->clip = old;
}

static bool inside(const struct canvas *c, int x, int y)
{
    return x >= c->clip.x && x < c->clip.x + c->clip.w && y >= c->clip.y && y < c->clip.y + c->clip.h;
}

/* A wide character that loses one half loses both. */
static void break_wide(struct canvas *c, int x, int y)
{
    struct cell *row = c->cells + (size_t)y * (size_t)c->w;

    if (row[x].code == 0 && x > 0)
        row[x - 1].code = ' ';
    if (x + 1 < c->w && row[x + 1].code == 0)
        row[x + 1].code = ' ';
}

int canvas_width_of(uint32_t code)
{
    if (code < 0x300) /* Latin: one column, the soft hyphen too */
        return 1;
    return utf8proc_charwidth((utf8proc_int32_t)code);
}

void canvas_put(struct canvas *c, int x, int y, uint32_t code, enum role role, int attr)
{
    struct cell *row;
    int width = canvas_width_of(code);

    if (!inside(c, x, y) || width == 0)
        return;
    if (c->ascii && code >= 0x80) {
        code = '?';
        width = 1;
    }
    if (width == 2 && !inside(c, x + 1, y)) {
        code = ' ';
        width = 1;
    }
    row = c->cells + (size_t)y * (size_t)c->w;
    break_wide(c, x, y);
    row[x] = (struct cell){ .code = code, .role = (uint8_t)role, .attr = (uint8_t)attr };
    if (width == 2) {
        break_wide(c, x + 1, y);
        row[x] = (struct cell){ .code = code, .role = (uint8_t)role, .attr = (uint8_t)attr };
        row[x + 1] = (struct cell){ .role = (uint8_t)role, .attr = (uint8_t)attr };
    }
}

/* Luminance by the weights of ITU-R BT.601, 0 … 255. */
static int light_of(struct pixel p)
{
    return (299 * p.rgb[0] + 587 * p.rgb[1] + 114 * p.rgb[2]) / 1000;
}

void canvas_pixels(struct canvas *c, int x, int y, struct pixel top, struct pixel bottom)
{
    static const char ramp[] = " .:-=+*#%@";
    struct cell *cell;

    if (!c->pixels || c->ascii) {
        canvas_put(c, x, y, (uint32_t)ramp[(light_of(top) + light_of(bottom)) * 10 / 512], ROLE_PICTURE, 0);
        return;
    }
    canvas_put(c, x, y, 0x2580, ROLE_PICTURE, 0);
    if (!inside(c, x, y))
        return;
    cell = &c->cells[(size_t)y * (size_t)c->w + (size_t)x];
    cell->top = top;
    cell->bottom = bottom;
}

void canvas_fill(struct canvas *c, struct rect r, uint32_t code, enum role role, int attr)
{
    r = meet(r, c->clip);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++)
            canvas_put(c, x, y, code, role, attr);
}

uint32_t canvas_next(const char **text)
{
    const char *p = *text;
    unsigned char first = (unsigned char)*p;
    size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4, have = 0;
    uint32_t code;

    if (first == 0)
        return 0;
    while (have < len && p[have] != '\0')
        have++;
    if (have < len || srq_utf8_check(p, len) < len) {
        *text = p + 1;
        return '?';
    }
    *text = p + srq_utf8_next(p, &code);
    return code < 0x20 || (code >= 0x7f && code < 0xa0) ? '?' : code;
}

/* Columns of the next character as this canvas shows it. */
static int next_width(const struct canvas *c, uint32_t code)
{
    int width = canvas_width_of(code);

    return c->ascii && code >= 0x80 && width > 0 ? 1 : width;
}

static int columns_of(const struct canvas *c, const char *text)
{
    int n = 0;

    for (uint32_t code; (code = canvas_next(&text)) != 0;)
        n += next_width(c, code);
    return n;
}

int canvas_columns(const char *text)
{
    static const struct canvas any = { 0 };

    return columns_of(&any, text);
}

int canvas_str(struct canvas *c, int x, int y, int max, const char *text, enum role role, int attr)
{
    bool cut;
    int used = 0;

    if (text == NULL || max <= 0)
        return 0;
    cut = columns_of(c, text) > max;
    for (uint32_t code; (code = canvas_next(&text)) != 0;) {
        int width = next_width(c, code);

        if (used + width > (cut ? max - 1 : max))
            break;
        canvas_put(c, x + used, y, code, role, attr);
        used += width;
    }
    if (cut)
        canvas_put(c, x + used++, y, c->ascii ? '~' : 0x2026, role, attr);
    return used;
}

int canvas_str_tail(struct canvas *c, int x, int y, int max, const char *text, enum role role, int attr)
{
    int n;

    if (text == NULL || max <= 0)
        return 0;
    n = columns_of(c, text);
    if (n <= max)
        return canvas_str(c, x, y, max, text, role, attr);
    while (n > max - 1 && *text != '\0')
        n -= next_width(c, canvas_next(&text));
    canvas_put(c, x, y, c->ascii ? '~' : 0x2026, role, attr);
    return 1 + canvas_str(c, x + 1, y, max - 1, text, role, attr);
}

void canvas_str_right(struct canvas *c, int x, int y, int max, const char *text, enum role role, int attr)
{
    int n = text != NULL ? columns_of(c, text) : 0;

    canvas_str(c, n < max ? x + max - n : x, y, max, text, role, attr);
}

int canvas_printf(struct canvas *c, int x, int y, int max, enum role role, int attr, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return canvas_str(c, x, y, max, text, role, attr);
}

void canvas_mark(struct canvas *c, struct rect r, enum role role, int attr)
{
    r = meet(r, c->clip);
    for (int y = r.y; y < r.y + r.h; y++)
        for (int x = r.x; x < r.x + r.w; x++) {
            struct cell *cell = &c->cells[(size_t)y * (size_t)c->w + (size_t)x];

            cell->attr |= (uint8_t)attr;
            if (role != ROLE_COUNT)
                cell->role = (uint8_t)role;
        }
}

/* Lines of `letter(cell)`; blanks at their ends are left out. */
static char *lines(const struct canvas *c, int (*letter)(const struct cell *cell, char out[4]))
{
    struct srq_buf b;

    srq_buf_init(&b, (size_t)c->w * (size_t)c->h * 4 + (size_t)c->h + 1);
    srq_buf_add(&b, "", 0);
    for (int y = 0; y < c->h; y++) {
        const struct cell *row = c->cells + (size_t)y * (size_t)c->w;
        int end = c->w;

        while (end > 0 && row[end - 1].code == ' ' && row[end - 1].attr == 0)
            end--;
        for (int x = 0; x < end; x++) {
            char out[4];

            srq_buf_add(&b, out, (size_t)letter(&row[x], out));
        }
        srq_buf_puts(&b, "\n");
    }
    return srq_buf_take(&b);
}

static int glyph(const struct cell *cell, char out[4])
{
    return cell->code != 0 ? srq_utf8_put(cell->code, out) : 0;
}

static int role_letter(const struct cell *cell, char out[4])
{
#define ROLE_LETTER(name, letter) letter,
    static const char letters[] = { ROLE_LIST(ROLE_LETTER) };
#undef ROLE_LETTER

    out[0] = cell->code == ' ' && cell->attr == 0 && cell->role == ROLE_TEXT ? ' ' : letters[cell->role];
    return 1;
}

char *canvas_text(const struct canvas *c)
{
    char *text = lines(c, glyph);

    if (text == NULL)
        return NULL;
    /* Cells with an attribute but nothing in them count for the roles only. */
    char *to = text, *line = text;

    for (char *from = text; *from != '\0'; from++) {
        if (*from == '\n')
            while (to > line && to[-1] == ' ')
                to--;
        *to++ = *from;
        if (*from == '\n')
            line = to;
    }
    *to = '\0';
    return text;
}

char *canvas_roles(const struct canvas *c)
{
    return lines(c, role_letter);
}
