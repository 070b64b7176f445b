/* Text of tables as mdoc(7) text. */
#include "man/mdoc.h"

#include <stdio.h>
#include <string.h>

void mdoc_text(const char *t)
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
        else if (t[0] == ' ' && t[-1] == '.' && (t[1] < 'a' || t[1] > 'z')) /* not behind "e.g." */
            fputs(t[1] == '.' || t[1] == '\'' ? "\n\\&" : "\n", stdout);
        else
            putchar(*t);
    }
}

void mdoc_sentence(const char *t)
{
    size_t n = strlen(t);

    mdoc_text(t);
    puts(n > 0 && t[n - 1] == '.' ? "" : ".");
}
