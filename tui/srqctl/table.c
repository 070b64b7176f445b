/* A table of text. */
#include "tui/srqctl/table.h"

#include "core/base/alloc.h"
#include "core/base/log.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define COLUMNS_MAX 16
#define TABLE_BYTES ((size_t)256 << 20) /* a plan of a million layers is less */

struct ctl_table {
    int columns;
    bool right[COLUMNS_MAX];
    char **cell; /* row by row, headings first */
    size_t count, cap;
};

/* One code point from text; *len bytes of it. */
static wchar_t decode(const char *text, int *len)
{
    const unsigned char *p = (const unsigned char *)text;
    int more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc2 ? 1 : 0;
    uint32_t c = more == 3 ? p[0] & 7u : more == 2 ? p[0] & 15u : more == 1 ? p[0] & 31u : p[0];

    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *len = 1;
            return L'?';
        }
        c = c << 6 | (p[i] & 63u);
    }
    *len = more + 1;
    return (wchar_t)c;
}

int ctl_text_width(const char *text)
{
    int width = 0, len;

    for (; *text != '\0'; text += len) {
        int w = wcwidth(decode(text, &len));

        width += w >= 0 ? w : 1; /* -1 in a locale that does not know the character: shown as something */
    }
    return width;
}

const char *ctl_arrow(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "→" : "->";
}

int ctl_terminal_width(void)
{
    struct winsize ws;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0)
        return 0;
    return ws.ws_col > 0 ? ws.ws_col : 80;
}

struct ctl_table *ctl_table_create(const char *columns)
{
    struct ctl_table *t = srq_calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    while (t->columns < COLUMNS_MAX) {
        size_t n = strcspn(columns, "|");
        char name[64];

        t->right[t->columns] = columns[0] == '>';
        snprintf(name, sizeof(name), "%.*s", (int)n - (columns[0] == '>'), columns + (columns[0] == '>'));
        t->columns++;
        ctl_table_cell(t, name);
        if (columns[n] == '\0')
            break;
        columns += n + 1;
    }
    return t;
}

void ctl_table_cell(struct ctl_table *t, const char *text)
{
    size_t cap = strlen(text) * 4 + 1;
    char **grown, *copy;

    if (t == NULL)
        return;
    if (t->count == t->cap) {
        grown = srq_reallocarray(t->cell, t->cap * 2 + 64, sizeof(*grown));
        if (grown == NULL)
            return;
        t->cell = grown;
        t->cap = t->cap * 2 + 64;
    }
    copy = srq_malloc(cap);
    if (copy != NULL)
        srq_escape_control(text, copy, cap);
    t->cell[t->count++] = copy;
}

void ctl_table_cellf(struct ctl_table *t, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ctl_table_cell(t, text);
}

static void put_blanks(struct srq_buf *out, int n)
{
    if (n > 0)
        srq_buf_printf(out, "%*s", n, "");
}

void ctl_table_text(const struct ctl_table *t, struct srq_buf *out)
{
    int wide[COLUMNS_MAX] = { 0 };

    for (size_t i = 0; t != NULL && i < t->count; i++) {
        int w = ctl_text_width(t->cell[i] != NULL ? t->cell[i] : "");
        int *most = &wide[i % (size_t)t->columns];

        *most = w > *most ? w : *most;
    }
    for (size_t i = 0; t != NULL && i < t->count; i++) {
        int column = (int)(i % (size_t)t->columns);
        const char *text = t->cell[i] != NULL ? t->cell[i] : "";
        int pad = wide[column] - ctl_text_width(text);
        bool last = column + 1 == t->columns || i + 1 == t->count;

        if (t->right[column])
            put_blanks(out, pad);
        srq_buf_puts(out, text);
        if (!t->right[column] && !last)
            put_blanks(out, pad);
        srq_buf_puts(out, last ? "\n" : "  ");
    }
}

void ctl_table_print(struct ctl_table *t)
{
    struct srq_buf b;

    srq_buf_init(&b, TABLE_BYTES);
    ctl_table_text(t, &b);
    if (b.data != NULL)
        fputs(b.data, stdout);
    srq_buf_fini(&b);
    ctl_table_free(t);
}

void ctl_table_free(struct ctl_table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        srq_free(t->cell[i]);
    srq_free(t->cell);
    srq_free(t);
}
