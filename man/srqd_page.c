/* Prints srqd.conf(5): its template from standard input, with the keys from the table that the daemon reads them by. */
#include "daemon/srqd/base/config.h"
#include "man/mdoc.h"

#include <stdio.h>
#include <string.h>

static const char *kind_text(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_INT:
        return "A whole number.";
    case CONFIG_SIZE:
        return "Bytes, with the suffixes K, M, G and T.";
    case CONFIG_BOOL:
        return "yes or no.";
    case CONFIG_NAME:
        return "A name.";
    case CONFIG_PAUSES:
        return "Numbers of seconds, separated by blanks.";
    }
    return "";
}

static void keys(void)
{
    size_t n;
    const struct config_row *rows = config_rows(&n);
    const char *section = "";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(section, rows[i].section) != 0) {
            if (section[0] != '\0')
                puts(".El");
            section = rows[i].section;
            printf(".Ss [%s]\n.Bl -tag -width Ds\n", section);
        }
        printf(".It Va %s\n", rows[i].key);
        mdoc_sentence(rows[i].help);
        printf("%s\nDefault ", kind_text(rows[i].kind));
        mdoc_sentence(rows[i].initial);
    }
    puts(".El");
}

int main(void)
{
    char line[1024];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "@KEYS@\n") == 0)
            keys();
        else
            fputs(line, stdout);
    }
    return ferror(stdin) || ferror(stdout) || fflush(stdout) != 0;
}
