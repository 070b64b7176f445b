/* Prints srqctl(1): its template from standard input, with verbs and options from their tables. */
#include "tui/srqctl/verb.h"

#include <stdio.h>
#include <string.h>

/* Text of a table as mdoc text: a line must not begin with a request, a backslash is written out, and a sentence begins
 * a line. */
static void text(const char *t)
{
    if (*t == '.' || *t == '\'')
        fputs("\\&", stdout);
    if (*t != '\0' && *t != '\\')
        putchar(*t++);
    for (; *t != '\0'; t++) {
        if (*t == '\\')
            fputs("\\e", stdout);
        else if (*t == '\n')
            fputs(t[1] == '.' || t[1] == '\'' ? "\n\\&" : "\n", stdout);
        else if (t[0] == ' ' && t[-1] == '.')
            putchar('\n');
        else
            putchar(*t);
    }
}

static void sentence(const char *t)
{
    text(t);
    puts(t[strlen(t) - 1] == '.' ? "" : ".");
}

static void options(const struct ctl_option *o)
{
    puts(".Bl -tag -width Ds -compact");
    for (; o->name != NULL; o++) {
        fputs(".It", stdout);
        if (o->letter != 0)
            printf(" Fl %c ,", o->letter);
        printf(" Fl Fl %s", o->name);
        if (o->arg != NULL)
            printf(" Ar %s", o->arg);
        if (o->many)
            fputs(" ...", stdout);
        puts("");
        sentence(o->help);
    }
    puts(".El");
}

static void verb(const struct ctl_verb *v)
{
    printf(".It Ic %s", v->name);
    if (v->args[0] != '\0')
        printf(" Ar %s", v->args);
    puts("");
    sentence(v->help);
    if (v->more != NULL)
        sentence(v->more);
    if (v->options != NULL)
        options(v->options);
}

static void verbs(void)
{
    const char *group = "";

    for (const struct ctl_verb *v = ctl_verbs; v->name != NULL; v++) {
        if (strcmp(group, v->group) != 0) {
            if (group[0] != '\0')
                puts(".El");
            printf(".Ss %s\n.Bl -tag -width Ds\n", v->group);
        }
        group = v->group;
        verb(v);
    }
    puts(".El");
}

int main(void)
{
    char line[1024];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "@VERBS@\n") == 0)
            verbs();
        else if (strcmp(line, "@COMMON@\n") == 0)
            options(ctl_common_options);
        else
            fputs(line, stdout);
    }
    return ferror(stdin) || ferror(stdout) || fflush(stdout) != 0;
}
