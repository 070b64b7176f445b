/* Prints srqtop(1): its template from standard input, with options, panels, keys and commands from their tables. */
#include "man/mdoc.h"
#include "tui/srqtop/command.h"
#include "tui/srqtop/keys.h"
#include "tui/srqtop/options.h"

#include <stdio.h>
#include <string.h>

static void options(void)
{
    puts(".Bl -tag -width Ds -compact");
    for (const struct ctl_option *o = top_option_rows; o->name != NULL; o++) {
        fputs(".It", stdout);
        if (o->letter != 0)
            printf(" Fl %c ,", o->letter);
        printf(" Fl Fl %s", o->name);
        if (o->arg != NULL)
            printf(" Ar %s", o->arg);
        puts("");
        mdoc_sentence(o->help);
    }
    puts(".El");
}

static void panels(void)
{
    puts(".Bl -tag -width Heatmap");
    for (int p = 0; p < TOP_PANEL_COUNT; p++) {
        printf(".It Sy %s\n", panel_name((enum top_panel)p));
        mdoc_sentence(panel_summary((enum top_panel)p));
    }
    puts(".El");
}

/* Keys, their names quoted, since mdoc would read "." or "," as punctuation. */
static void key_list(unsigned panels_mask, bool everywhere)
{
    puts(".Bl -tag -width \"PgUp, Ctrl-B\" -compact");
    for (const struct key_row *k = key_rows; k->keys != NULL; k++) {
        if ((k->panels == IN_ALL) != everywhere || (k->panels & panels_mask) == 0)
            continue;
        fputs(".It \\&", stdout);
        for (const char *c = k->keys; *c != '\0'; c++) /* one line, dots and all */
            fputs(*c == '\\' ? "\\e" : (char[]){ *c, '\0' }, stdout);
        puts("");
        mdoc_sentence(k->help);
    }
    puts(".El");
}

static void keys(void)
{
    puts(".Ss Everywhere");
    key_list(IN_ALL, true);
    for (int p = 0; p < TOP_PANEL_COUNT; p++) {
        bool any = false;

        for (const struct key_row *k = key_rows; k->keys != NULL; k++)
            any = any || (k->panels != IN_ALL && (k->panels >> p & 1) != 0);
        if (!any)
            continue;
        printf(".Ss %s\n", panel_name((enum top_panel)p));
        key_list(1u << p, false);
    }
}

static void commands(void)
{
    const char *name, *args, *help;

    for (int i = 0; top_command_row(i, &name, &args, &help); i++) {
        printf(".It Ic %s", name);
        if (args[0] != '\0')
            printf(" Ar %s", args);
        puts("");
        mdoc_sentence(help);
    }
}

int main(void)
{
    static const struct {
        const char *mark;
        void (*print)(void);
    } parts[] = {
        { "@OPTIONS@\n", options },
        { "@PANELS@\n", panels },
        { "@KEYS@\n", keys },
        { "@COMMANDS@\n", commands },
    };
    char line[1024];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        size_t i = 0;

        while (i < sizeof(parts) / sizeof(parts[0]) && strcmp(line, parts[i].mark) != 0)
            i++;
        if (i < sizeof(parts) / sizeof(parts[0]))
            parts[i].print();
        else
            fputs(line, stdout);
    }
    return ferror(stdin) || ferror(stdout) || fflush(stdout) != 0;
}
