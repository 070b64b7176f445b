/* Tables in getopt's forms, and its answers in ours. */
#include "tui/client/args.h"

#include "core/base/alloc.h"
#include "core/base/nearest.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64

/* Both tables in the forms that getopt_long wants; a row's number + 256 is its code. */
struct rows {
    const struct ctl_option *row[ROWS_MAX];
    struct option longs[ROWS_MAX + 1];
    char shorts[2 * ROWS_MAX + 4];
    int count;
};

static void add_rows(struct rows *r, const struct ctl_option *table, char **s)
{
    for (; table != NULL && table->name != NULL && r->count < ROWS_MAX; table++) {
        int has = table->arg != NULL ? required_argument : no_argument;

        r->row[r->count] = table;
        r->longs[r->count] = (struct option){ table->name, has, NULL, 256 + r->count };
        r->count++;
        if (table->letter != 0) {
            *(*s)++ = table->letter;
            if (has == required_argument)
                *(*s)++ = ':';
        }
    }
}

static void make_rows(struct rows *r, const struct ctl_grammar *g)
{
    char *s = r->shorts;

    memset(r, 0, sizeof(*r));
    if (g->stop)
        *s++ = '+';
    *s++ = ':';
    add_rows(r, g->tables[0], &s);
    add_rows(r, g->tables[1], &s);
    *s = '\0';
}

static const struct ctl_option *row_of(const struct rows *r, int code)
{
    if (code >= 256 && code - 256 < r->count)
        return r->row[code - 256];
    for (int i = 0; i < r->count; i++)
        if (r->row[i]->letter == code && code != 0)
            return r->row[i];
    return NULL;
}

/* The option's name in a word "--name=value", in `out`. */
static const char *bare_name(const char *word, char *out, size_t cap)
{
    snprintf(out, cap, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    return out;
}

/* `optopt` tells what getopt stumbled over: 0 for a long name that it cannot place, a row's code for a long option with
 * a value too many or too few, a letter otherwise. */
static int explain(const struct rows *r, const char *help, int what, const char *word, struct srq_error *err)
{
    const char *names[ROWS_MAX], *near;
    char name[128], letter[3] = { '-', (char)optopt, '\0' };

    for (int i = 0; i < r->count; i++)
        names[i] = r->row[i]->name;
    if (optopt >= 256 && what == ':')
        return srq_fail_field(err, -SRQ_EINVAL, row_of(r, optopt)->name, "option --%s needs a value, %s",
                              row_of(r, optopt)->name, row_of(r, optopt)->arg);
    if (optopt >= 256)
        return srq_fail_field(err, -SRQ_EINVAL, row_of(r, optopt)->name, "option --%s takes no value",
                              row_of(r, optopt)->name);
    if (optopt != 0 && what == ':')
        return srq_fail_field(err, -SRQ_EINVAL, letter, "option %s needs a value, %s", letter, row_of(r, optopt)->arg);
    if (optopt != 0)
        return srq_fail_field(err, -SRQ_EINVAL, letter, "unknown option %s; see: %s", letter, help);
    bare_name(word, name, sizeof(name));
    for (int i = 0; i < r->count; i++)
        if (strncmp(names[i], name, strlen(name)) == 0)
            return srq_fail_field(err, -SRQ_EINVAL, name, "option --%s could be more than one; write it out", name);
    near = srq_nearest_word(name, names, (size_t)r->count);
    if (near != NULL)
        return srq_fail_field(err, -SRQ_EINVAL, name, "unknown option --%s; did you mean --%s?", name, near);
    return srq_fail_field(err, -SRQ_EINVAL, name, "unknown option --%s; see: %s", name, help);
}

static int parse(const struct rows *r, const char *help, int argc, char **argv, struct ctl_args *out,
                 struct srq_error *err)
{
    int c;

    optind = 0; /* glibc: start afresh, so that a process may parse twice */
    opterr = 0;
    for (;;) {
        const struct ctl_option *row;

        c = getopt_long(argc, argv, r->shorts, r->longs, NULL);
        if (c == -1)
            return 0;
        row = row_of(r, c);
        if (row == NULL)
            return explain(r, help, c, argv[optind - 1], err); /* an unknown long option has just been passed */
        for (size_t i = 0; i < out->value_count && !row->many; i++)
            if (out->values[i].option == row && row->arg != NULL && strcmp(out->values[i].value, optarg) != 0)
                return srq_fail_field(err, -SRQ_EINVAL, row->name, "option --%s is given twice: %s and %s", row->name,
                                      out->values[i].value, optarg);
        out->values[out->value_count].option = row;
        out->values[out->value_count++].value = row->arg != NULL ? optarg : NULL;
    }
}

/* Every letter of a cluster -abc may be an option, so letters bound the number of options. */
static int room_for(struct ctl_args *out, int count, const char *const *words, struct srq_error *err)
{
    size_t letters = 1;

    for (int i = 0; i < count; i++)
        letters += strlen(words[i]);
    memset(out, 0, sizeof(*out));
    out->values = srq_calloc(letters, sizeof(*out->values));
    out->positional = srq_calloc((size_t)count + 1, sizeof(*out->positional));
    return out->values != NULL && out->positional != NULL ? 0 : srq_fail(err, -SRQ_ENOMEM, "out of memory");
}

int ctl_args_read(const struct ctl_grammar *g, int count, const char *const *words, struct ctl_args *out,
                  struct srq_error *err)
{
    char **argv = srq_calloc((size_t)count + 2, sizeof(*argv)), program[] = "";
    struct rows r;
    int rc = room_for(out, count, words, err);

    if (argv == NULL)
        rc = srq_fail(err, -SRQ_ENOMEM, "out of memory");
    if (rc == 0) {
        argv[0] = program; /* getopt wants a name first; the words themselves are only reordered */
        for (int i = 0; i < count; i++)
            argv[i + 1] = (char *)(uintptr_t)words[i];
        make_rows(&r, g);
        rc = parse(&r, g->help, count + 1, argv, out, err);
    }
    for (int i = optind; rc == 0 && i < count + 1; i++)
        out->positional[out->positional_count++] = argv[i];
    srq_free(argv);
    return rc;
}

void ctl_args_fini(struct ctl_args *a)
{
    srq_free(a->values);
    srq_free(a->positional);
    memset(a, 0, sizeof(*a));
}

bool ctl_given(const struct ctl_args *a, const char *name)
{
    for (size_t i = 0; i < a->value_count; i++)
        if (strcmp(a->values[i].option->name, name) == 0)
            return true;
    return false;
}

const char *ctl_value(const struct ctl_args *a, const char *name)
{
    for (size_t i = a->value_count; i > 0; i--)
        if (strcmp(a->values[i - 1].option->name, name) == 0)
            return a->values[i - 1].value;
    return NULL;
}

const char *ctl_next_value(const struct ctl_args *a, const char *name, size_t *at)
{
    while (*at < a->value_count) {
        const struct ctl_value *v = &a->values[(*at)++];

        if (strcmp(v->option->name, name) == 0)
            return v->value;
    }
    return NULL;
}

int ctl_number(const struct ctl_args *a, const char *name, double min, double max, double *out, struct srq_error *err)
{
    const char *text = ctl_value(a, name);
    char *end;
    double v;

    if (text == NULL)
        return 0;
    v = strtod(text, &end);
    if (end == text || *end != '\0' || isnan(v))
        return srq_fail_field(err, -SRQ_EINVAL, name, "--%s %s is not a number", name, text);
    if (v < min || v > max)
        return srq_fail_field(err, -SRQ_EINVAL, name, "--%s %s is not between %g and %g", name, text, min, max);
    *out = v;
    return 0;
}
