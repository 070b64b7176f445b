/* Prints srq-job(5): its template from standard input, with the job options from their table. */
#include "core/job/options.h"

#include <stdio.h>
#include <string.h>

static void row(const struct srq_job_option *o)
{
    const char *last = o->help + strlen(o->help) - 1;

    printf(".It Va %s\n%s%s\n", o->name, o->help, *last == '.' ? "" : ".");
    if (o->choices != NULL)
        printf("One of %s.\n", o->choices);
    if (o->value != NULL)
        printf("Default %s.\n", o->value);
}

int main(void)
{
    char line[1024];
    int count;
    const struct srq_job_option *table = srq_job_option_table(&count);

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "@OPTIONS@\n") != 0) {
            fputs(line, stdout);
            continue;
        }
        for (int i = 0; i < count; i++)
            row(&table[i]);
    }
    return ferror(stdin) || ferror(stdout) || fflush(stdout) != 0;
}
