/* Tables in getopt's forms, and its answers in ours. */
#include "tui/client/args.h"

#include "core/base/alloc.h"
#include "core/base/nearest.h"
#include "tui/client/talk.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64
#define CHOICES_MAX 40

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
    *s++ = g->stop ? '+' : '-'; /* other words end the options, or are given in their order */
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

static const char *flag_of(const struct ctl_option *row, bool short_form, char *out)
{
    if (short_form)
        snprintf(out, CTL_FLAG, "-%c", row->letter);
    else
        snprintf(out, CTL_FLAG, "--%s", row->name);
    return out;
}

static int take(struct ctl_args *out, const struct ctl_option *row, bool short_form, const char *value,
                struct srq_error *err)
{
    char flag[CTL_FLAG];

    for (size_t i = 0; i < out->value_count && !row->many; i++)
        if (out->values[i].option == row && row->arg != NULL && strcmp(out->values[i].value, value) != 0)
            return srq_fail_field(err, -SRQ_EINVAL, row->name, "option %s is given twice: %s and %s",
                                  flag_of(row, short_form, flag), out->values[i].value, value);
    out->values[out->value_count++] = (struct ctl_value){ row, row->arg != NULL ? value : NULL, short_form };
    return 0;
}

static bool negative_number(const char *word)
{
    return word[0] == '-' && strchr("0123456789.", word[1]) != NULL && word[1] != '\0';
}

static int parse(const struct rows *r, const struct ctl_grammar *g, int argc, char **argv, struct ctl_args *out,
                 struct srq_error *err)
{
    int rc = 0;

    optind = 0; /* glibc: start afresh, so that a process may parse twice; the call on no words does it */
    opterr = 0;
    getopt_long(1, argv, r->shorts, r->longs, NULL);
    while (rc == 0) {
        const struct ctl_option *row;
        int c;

        if (!g->stop && optind < argc && negative_number(argv[optind])) {
            out->positional[out->positional_count++] = argv[optind++];
            continue;
        }
        c = getopt_long(argc, argv, r->shorts, r->longs, NULL);
        if (c == -1)
            return 0;
        if (c == 1) {
            out->positional[out->positional_count++] = optarg;
            continue;
        }
        row = row_of(r, c);
        if (row == NULL)
            return explain(r, g->help, c, argv[optind - 1], err); /* an unknown long option has just been passed */
        rc = take(out, row, c < 256, optarg, err);
    }
    return rc;
}

/* Words that have to be one of a few are. */
static int check_choices(const struct ctl_args *a, struct srq_error *err)
{
    for (size_t i = 0; i < a->value_count; i++) {
        const struct ctl_value *v = &a->values[i];
        const char *text = v->value;
        char flag[CTL_FLAG];

        if (v->option->complete != CTL_C_CHOICE)
            continue;
        for (;;) {
            size_t n = v->option->many ? strcspn(text, ",") : strlen(text);
            int rc = ctl_choice(flag_of(v->option, v->short_form, flag), v->option->words, text, n, err);

            if (rc != 0 || text[n] == '\0') {
                if (rc != 0)
                    return rc;
                break;
            }
            text += n + 1;
        }
    }
    return 0;
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
    for (int i = 0; rc == 0 && i < count; i++)
        rc = srq_talk_check_text(words[i], "", err);
    if (rc == 0) {
        argv[0] = program; /* getopt wants a name first; the words themselves are only reordered */
        for (int i = 0; i < count; i++)
            argv[i + 1] = (char *)(uintptr_t)words[i];
        make_rows(&r, g);
        rc = parse(&r, g, count + 1, argv, out, err);
    }
    for (int i = optind; rc == 0 && i < count + 1; i++)
        out->positional[out->positional_count++] = argv[i];
    srq_free(argv);
    return rc == 0 && !ctl_given(out, "help") ? check_choices(out, err) : rc;
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

const char *ctl_flag(const struct ctl_args *a, const char *name, char *out)
{
    for (size_t i = a->value_count; i > 0; i--)
        if (strcmp(a->values[i - 1].option->name, name) == 0)
            return flag_of(a->values[i - 1].option, a->values[i - 1].short_form, out);
    snprintf(out, CTL_FLAG, "--%s", name);
    return out;
}

int ctl_next_name(const struct ctl_args *a, const char *name, struct ctl_names *n, const char **text, size_t *len,
                  struct srq_error *err)
{
    char flag[CTL_FLAG];

    if (n->rest == NULL && (n->rest = ctl_next_value(a, name, &n->at)) == NULL)
        return 0;
    *text = n->rest;
    *len = strcspn(n->rest, ",");
    n->rest = n->rest[*len] == ',' ? n->rest + *len + 1 : NULL;
    if (*len == 0)
        return srq_fail_field(err, -SRQ_EINVAL, name, "%s has an empty name", ctl_flag(a, name, flag));
    return 1;
}

int ctl_choice(const char *what, const char *words, const char *text, size_t len, struct srq_error *err)
{
    const char *names[CHOICES_MAX], *near;
    char copy[400], word[100], list[500];
    size_t n = 0, used = 0;

    snprintf(copy, sizeof(copy), "%s", words);
    snprintf(word, sizeof(word), "%.*s", (int)len, text);
    for (char *at = copy; n < CHOICES_MAX && *at != '\0';) {
        size_t length = strcspn(at, " ");
        bool last = at[length] == '\0';

        at[length] = '\0';
        names[n++] = at;
        at += length + !last;
    }
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], word) == 0)
            return 0;
    if (len == 0)
        return srq_fail_field(err, -SRQ_EINVAL, what, "%s has an empty name", what);
    near = srq_nearest_word(word, names, n);
    if (near != NULL)
        used = (size_t)snprintf(list, sizeof(list), "%s", near);
    for (size_t i = 0; i < n && used < sizeof(list); i++)
        if (names[i] != near)
            used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used > 0 ? ", " : "", names[i]);
    return srq_fail_field(err, -SRQ_EINVAL, what, "%s %s is none of %s", what, word, list);
}

#define BOUND_CAP 32

/* A bound for people: a whole number with all its digits. */
static const char *bound(double v, char out[BOUND_CAP])
{
    snprintf(out, BOUND_CAP, fabs(v) < 1e16 && v == floor(v) ? "%.0f" : "%.15g", v);
    return out;
}

int ctl_number(const struct ctl_args *a, const char *name, double min, double max, double *out, struct srq_error *err)
{
    const char *text = ctl_value(a, name);
    char *end, flag[CTL_FLAG], least[BOUND_CAP], most[BOUND_CAP];
    double v;

    if (text == NULL)
        return 0;
    ctl_flag(a, name, flag);
    v = strtod(text, &end);
    if (end == text || *end != '\0' || isnan(v))
        return srq_fail_field(err, -SRQ_EINVAL, name, "%s %s is not a number", flag, text);
    if (v < min || v > max)
        return srq_fail_field(err, -SRQ_EINVAL, name, "%s %s is not between %s and %s", flag, text, bound(min, least),
                              bound(max, most));
    *out = v;
    return 0;
}

int ctl_duration(const struct ctl_args *a, const char *name, double min, double max, double *out, struct srq_error *err)
{
    static const char units[] = "smhd";
    static const double seconds[] = { 1, 60, 3600, 86400 };
    const char *text = ctl_value(a, name), *at = text;
    char flag[CTL_FLAG];
    double sum = 0;

    if (text == NULL)
        return 0;
    ctl_flag(a, name, flag);
    do {
        char *end;
        double v = strtod(at, &end);
        const char *unit = *end != '\0' ? strchr(units, *end) : NULL;

        if (end == at || isnan(v) || (unit == NULL && (*end != '\0' || at != text)))
            return srq_fail_field(err, -SRQ_EINVAL, name, "%s %s is no time: seconds, or like 90s, 15m, 1h30m, 2d",
                                  flag, text);
        sum += unit != NULL ? v * seconds[unit - units] : v;
        at = unit != NULL ? end + 1 : end;
    } while (*at != '\0');
    if (!(sum >= min && sum <= max))
        return srq_fail_field(err, -SRQ_EINVAL, name, "%s %s is not between %.15g and %.15g s", flag, text, min, max);
    *out = sum;
    return 0;
}

int ctl_whole(const struct ctl_args *a, const char *name, double min, double max, double *out, struct srq_error *err)
{
    char flag[CTL_FLAG];
    double v = *out;
    int rc = ctl_number(a, name, min, max, &v, err);

    if (rc == 0 && ctl_given(a, name) && v != floor(v))
        rc = srq_fail_field(err, -SRQ_EINVAL, name, "%s %s is not a whole number", ctl_flag(a, name, flag),
                            ctl_value(a, name));
    if (rc == 0)
        *out = v;
    return rc;
}
