/* The command line. */
#include "tui/srqtop/options.h"

#include "tui/srqtop/keys.h"
#include "tui/srqtop/theme.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SIZE_MAX_CELLS 1000
#define GLYPH_SETS "braille block ascii"

const struct ctl_option top_option_rows[] = {
    { "job", 'j', "JOB", CTL_C_NONE, NULL, "show this job at once: its id, a beginning of it, its name, or @last",
      false },
    { "panel", 'p', "NAME", CTL_C_NONE, NULL, "show this panel at first; an unknown name shows the known ones", false },
    { "readonly", 'r', NULL, CTL_C_NONE, NULL, "refuse every key and command that changes a job", false },
    { "once", '1', NULL, CTL_C_NONE, NULL, "print one picture as text and leave", false },
    { "json", 0, NULL, CTL_C_NONE, NULL, "with --once: print what is known as JSON instead", false },
    { "glyphs", 'g', "SET", CTL_C_CHOICE, GLYPH_SETS, "draw with braille, block or ascii; also $SRQTOP_GLYPHS", false },
    { "ascii", 'a', NULL, CTL_C_NONE, NULL, "the same as --glyphs ascii", false },
    { "mono", 'm', NULL, CTL_C_NONE, NULL, "use no colours; so does NO_COLOR in the environment", false },
    { "notify", 'n', NULL, CTL_C_NONE, NULL, "ring, and notify where the terminal can, when a job of yours ends",
      false },
    { "progress", 0, NULL, CTL_C_NONE, NULL, "tell the terminal's window how far the job shown is (OSC 9;4)", false },
    { "theme", 't', "NAME", CTL_C_NONE, NULL, "colours to use; an unknown name shows the known ones", false },
    { "width", 0, "N", CTL_C_NONE, NULL, "columns of the picture of --once", false },
    { "height", 0, "N", CTL_C_NONE, NULL, "rows of the picture of --once", false },
    { "user", 0, NULL, CTL_C_NONE, NULL, "use your own daemon, not the system service", false },
    { "socket", 0, "PATH", CTL_C_NONE, NULL, "the daemon's socket (default: $SRQ_SOCKET)", false },
    { "help", 'h', NULL, CTL_C_NONE, NULL, "show this help", false },
    { "version", 'V', NULL, CTL_C_NONE, NULL, "show the version", false },
    { .name = NULL },
};

/* Its place in the list; -1: none of them, or NULL. */
static int glyph_set(const char *name)
{
    static const char *const names[] = {
        [GLYPHS_BRAILLE] = "braille", [GLYPHS_BLOCK] = "block", [GLYPHS_ASCII] = "ascii", NULL
    };

    return srq_word_place(names, name);
}

enum glyph_set top_options_glyphs(const struct top_options *o, bool utf8)
{
    int set = o->glyphs >= 0 ? o->glyphs : glyph_set(getenv("SRQTOP_GLYPHS"));

    if (o->ascii || !utf8)
        return GLYPHS_ASCII;
    return set >= 0 ? (enum glyph_set)set : GLYPHS_BRAILLE;
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

static int read_panel(const char *name, struct top_options *out, struct srq_error *err)
{
    char known[200] = "";

    for (int p = 0; p < TOP_PANEL_COUNT; p++) {
        if (strcasecmp(name, panel_name((enum top_panel)p)) == 0) {
            out->panel = p;
            return 0;
        }
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", p > 0 ? ", " : "",
                 panel_name((enum top_panel)p));
    }
    return srq_fail_field(err, -SRQ_EINVAL, "panel", "there is no panel \"%.60s\"; there are %s", name, known);
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

static int read_size(const struct ctl_args *a, const char *name, int *out, struct srq_error *err)
{
    double n = 0;
    int rc = ctl_number(a, name, 1, SIZE_MAX_CELLS, &n, err);

    *out = (int)n;
    return rc;
}

int top_options_read(int argc, char **argv, struct top_options *out, struct srq_error *err)
{
    const struct ctl_grammar g = { { top_option_rows, NULL }, "srqtop --help", false };
    struct ctl_args a;
    int rc = ctl_args_read(&g, argc - 1, (const char *const *)argv + 1, &a, err);

    *out = (struct top_options){ .panel = -1, .glyphs = -1 };
    if (rc == 0) {
        *out = (struct top_options){ .panel = -1,
                                     .glyphs = glyph_set(ctl_value(&a, "glyphs")),
                                     .job = ctl_value(&a, "job"),
                                     .socket = ctl_value(&a, "socket"),
                                     .notify = ctl_given(&a, "notify"),
                                     .progress = ctl_given(&a, "progress"),
                                     .readonly = ctl_given(&a, "readonly"),
                                     .once = ctl_given(&a, "once"),
                                     .json = ctl_given(&a, "json"),
                                     .ascii = ctl_given(&a, "ascii"),
                                     .mono = ctl_given(&a, "mono"),
                                     .user_only = ctl_given(&a, "user"),
                                     .help = ctl_given(&a, "help"),
                                     .version = ctl_given(&a, "version") };
        rc = read_size(&a, "width", &out->width, err);
    }
    if (rc == 0)
        rc = read_size(&a, "height", &out->height, err);
    if (rc == 0 && ctl_given(&a, "theme"))
        rc = read_theme(ctl_value(&a, "theme"), out, err);
    if (rc == 0 && ctl_given(&a, "panel"))
        rc = read_panel(ctl_value(&a, "panel"), out, err);
    if (rc == 0 && a.positional_count > 0)
        rc = srq_fail_field(err, -SRQ_EINVAL, "option", "srqtop does not expect \"%s\"; a job is named with --job",
                            a.positional[0]);
    ctl_args_fini(&a);
    return rc == 0 ? check(out, err) : rc;
}

void top_options_help(struct srq_buf *b)
{
    srq_buf_puts(
        b, "usage: srqtop [options]\n\nWatch compression jobs, and change the bits of layers while they run.\n\n");
    for (const struct ctl_option *o = top_option_rows; o->name != NULL; o++) {
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
