/* The command line of srqtop: one table for parsing, --help and the manual page. */
#ifndef SRQ_TUI_SRQTOP_OPTIONS_H
#define SRQ_TUI_SRQTOP_OPTIONS_H

#include "core/base/buf.h"
#include "tui/client/args.h"
#include "tui/srqtop/glyphs.h"

#include <srq/error.h>

extern const struct ctl_option top_option_rows[]; /* ends with a NULL name */

struct top_options {
    const char *job, *theme, *socket;
    bool notify, progress; /* at a job's end; how far the job shown is */
    bool readonly, once, json, ascii, mono, user_only, help, version;
    int glyphs;        /* enum glyph_set; -1: not given */
    int width, height; /* 0: not given */
    int panel;         /* enum top_panel; -1: not given */
};

/* -SRQ_EINVAL with one sentence. Strings point into argv. */
int top_options_read(int argc, char **argv, struct top_options *out, struct srq_error *err);
/* The characters to draw with: as asked for, as $SRQTOP_GLYPHS says, braille; always ASCII where `utf8` is false. */
enum glyph_set top_options_glyphs(const struct top_options *o, bool utf8);
void top_options_help(struct srq_buf *b);

#endif
