/* Prints srqctl(1): its template from standard input, with verbs and options from their tables. */
#include "man/mdoc.h"
#include "tui/srqctl/verb.h"

#include <stdio.h>
#include <string.h>

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
        mdoc_sentence(o->help);
    }
    puts(".El");
}

static void verb(const struct ctl_verb *v)
{
    printf(".It Ic %s", v->name);
    if (v->args[0] != '\0')
        printf(" Ar %s", v->args);
    puts("");
    mdoc_sentence(v->help);
    if (ctl_alias_of(v) != NULL)
        printf("Also\n.Ic %s .\n", ctl_alias_of(v));
    if (v->more != NULL)
        mdoc_sentence(v->more);
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
