/* The command line. */
#include "tui/srqtop/options.h"

#include "tui/srqtop/theme.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 16
#define SIZE_MAX_CELLS 1000

const struct top_option top_option_rows[] = {
    { "job", 'j', "JOB", "show this job at once: its id, a beginning of it, or @last" },
    { "readonly", 'r', NULL, "refuse every key and command that changes a job" },
    { "once", '1', NULL, "print one picture as text and leave" },
    { "json", 0, NULL, "with --once: print what is known as JSON instead" },
    { "ascii", 'a', NULL, "draw with ASCII only" },
    { "mono", 'm', NULL, "use no colours; so does NO_COLOR in the environment" },
    { "theme", 't', "NAME", "colours to use; an unknown name shows the known ones" },
    { "width", 0, "N", "columns of the picture of --once" },
    { "height", 0, "N", "rows of the picture of --once" },
    { "user", 0, NULL, "use your own daemon, not the system service" },
    { "socket", 0, "PATH", "the daemon's socket (default: $SRQ_SOCKET)" },
    { "help", 'h', NULL, "show this help" },
    { "version", 'V', NULL, "show the version" },
    { .name = NULL },
};

static int count_rows(void)
{
    int n = 0;

    while (top_option_rows[n].name != NULL)
        n++;
    return n;
}

/* getopt's forms of the table; a row's number + 256 is its code. */
static void make_forms(struct option *longs, char *shorts)
{
    int n = count_rows();

    *shorts++ = ':';
    for (int i = 0; i < n; i++) {
        const struct top_option *o = &top_option_rows[i];
        int has = o->arg != NULL ? required_argument : no_argument;

        longs[i] = (struct option){ o->name, has, NULL, 256 + i };
        if (o->letter != 0) {
            *shorts++ = o->letter;
            if (o->arg != NULL)
                *shorts++ = ':';
        }
    }
    longs[n] = (struct option){ 0 };
    *shorts = '\0';
}

static const struct top_option *row_of(int code)
{
    for (int i = 0; top_option_rows[i].name != NULL; i++)
        if (code == 256 + i || (top_option_rows[i].letter != 0 && code == top_option_rows[i].letter))
            return &top_option_rows[i];
    return NULL;
}

static int read_size(const char *name, const char *text, int *out, struct srq_error *err)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end != '\0' || n < 1 || n > SIZE_MAX_CELLS)
        return srq_fail_field(err, -SRQ_EINVAL, name, "--%s %s is no number between 1 and %d", name, text,
                              SIZE_MAX_CELLS);
    *out = (int)n;
    return 0;
}

static int read_theme(const char *name, struct top_options *out, struct srq_error *err)
{
    char known[300] = "";

    out->theme = name;
    if (theme_find(name) != NULL)
        return 0;
    for (const struct theme *t = themes; t->name != NULL; t++)
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", known[0] != '\0' ? ", " : "", t->name);
    return srq_fail_field(err, -SRQ_EINVAL, "theme", "there is no theme \"%.60s\"; there are %s", name, known);
}

static int take(const struct top_option *row, const char *value, struct top_options *out, struct srq_error *err)
{
    const struct {
        const char *name;
        bool *flag;
        const char **text;
    } places[] = {
        { "job", NULL, &out->job },         { "readonly", &out->readonly, NULL }, { "once", &out->once, NULL },
        { "json", &out->json, NULL },       { "ascii", &out->ascii, NULL },       { "mono", &out->mono, NULL },
        { "user", &out->user_only, NULL },  { "socket", NULL, &out->socket },     { "help", &out->help, NULL },
        { "version", &out->version, NULL },
    };

    if (strcmp(row->name, "theme") == 0)
        return read_theme(value, out, err);
    if (strcmp(row->name, "width") == 0 || strcmp(row->name, "height") == 0)
        return read_size(row->name, value, row->name[0] == 'w' ? &out->width : &out->height, err);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (strcmp(places[i].name, row->name) == 0) {
            if (places[i].flag != NULL)
                *places[i].flag = true;
            else
                *places[i].text = value;
        }
    return 0;
}

static int check(const struct top_options *o, struct srq_error *err)
{
    if (o->help || o->version)
        return 0;
    if (o->json && !o->once)
        return srq_fail_field(err, -SRQ_EINVAL, "json", "--json goes with --once");
    if ((o->width != 0 || o->height != 0) && !o->once)
        return srq_fail_field(err, -SRQ_EINVAL, "width",
                              "--width and --height go with --once; a terminal has its own size");
    return 0;
}

int top_options_read(int argc, char **argv, struct top_options *out, struct srq_error *err)
{
    struct option longs[ROWS + 1];
    char shorts[2 * ROWS + 4];
    int c, rc = 0;

    *out = (struct top_options){ 0 };
    make_forms(longs, shorts);
    optind = 0; /* glibc: start afresh, so that a process may parse twice */
    opterr = 0;
    while (rc == 0 && (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct top_option *row = c != ':' && c != '?' ? row_of(c) : NULL;

        if (row != NULL)
            rc = take(row, optarg, out, err);
        else if (c == ':')
            rc = srq_fail_field(err, -SRQ_EINVAL, "option", "option %s needs a value", argv[optind - 1]);
        else
            rc = srq_fail_field(err, -SRQ_EINVAL, "option",
                                "unknown option %s, or a value too many; see: srqtop --help", argv[optind - 1]);
    }
    if (rc == 0 && optind < argc)
        rc = srq_fail_field(err, -SRQ_EINVAL, "option", "srqtop does not expect \"%s\"; a job is named with --job",
                            argv[optind]);
    return rc == 0 ? check(out, err) : rc;
}

void top_options_help(struct srq_buf *b)
{
    srq_buf_puts(
        b, "usage: srqtop [options]\n\nWatch compression jobs, and change the bits of layers while they run.\n\n");
    for (const struct top_option *o = top_option_rows; o->name != NULL; o++) {
        char left[40];

        snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg != NULL ? " " : "", o->arg != NULL ? o->arg : "");
        if (o->letter != 0)
            srq_buf_printf(b, "  -%c, %-16s %s\n", o->letter, left, o->help);
        else
            srq_buf_printf(b, "      %-16s %s\n", left, o->help);
    }
    srq_buf_puts(b, "\nInside, ? shows all keys and : takes commands. Leaving never ends a job.\n\n"
                    "examples:\n  srqtop --job @last\n  srqtop --once --json | python3 -m json.tool\n");
}
