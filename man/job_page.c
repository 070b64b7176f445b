/* Prints srq-job(5): its template from standard input, with the job options from their table. */
#include "core/job/options.h"
#include "man/mdoc.h"

#include <stdio.h>
#include <string.h>

static void row(const struct srq_job_option *o)
{
    printf(".It Va %s\n", o->name);
    mdoc_sentence(o->help);
    if (o->choices != NULL) {
        fputs("One of ", stdout);
        mdoc_sentence(o->choices);
    }
    if (o->value != NULL) {
        fputs("Default ", stdout);
        mdoc_sentence(o->value);
    }
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
