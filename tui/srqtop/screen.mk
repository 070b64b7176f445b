# tui/srqtop, the drawing half: canvas, panels, keys, terminal. A library, so that tests link it.
noinst_LTLIBRARIES += tui/libsrqtopscreen.la
tui_libsrqtopscreen_la_SOURCES = \
	tui/srqtop/canvas.c tui/srqtop/canvas.h tui/srqtop/role.h \
	tui/srqtop/decode.c tui/srqtop/decode.h \
	tui/srqtop/columns.c tui/srqtop/columns.h \
	tui/srqtop/figures.c tui/srqtop/figures.h \
	tui/srqtop/glyphs.c tui/srqtop/glyphs.h \
	tui/srqtop/keys.c tui/srqtop/keys.h \
	tui/srqtop/layout.c tui/srqtop/layout.h \
	tui/srqtop/panel_candidates.c \
	tui/srqtop/panel_diff.c tui/srqtop/panel_diffusion.c tui/srqtop/picture_cells.c tui/srqtop/picture_cells.h \
	 tui/srqtop/panel_edit.c tui/srqtop/panel_heat.c tui/srqtop/panel_help.c \
	tui/srqtop/panel_job.c tui/srqtop/panel_log.c tui/srqtop/panel_queue.c tui/srqtop/panels.h \
	tui/srqtop/plot.c tui/srqtop/plot.h \
	tui/srqtop/prompt.c tui/srqtop/prompt.h \
	tui/srqtop/screen.c tui/srqtop/screen.h \
	tui/srqtop/tabs.c tui/srqtop/tabs.h \
	tui/srqtop/terminal.c tui/srqtop/terminal.h \
	tui/srqtop/theme.c tui/srqtop/theme.h \
	tui/srqtop/tree.c tui/srqtop/tree.h \
	tui/srqtop/view.c tui/srqtop/view.h tui/srqtop/view_cursor.c tui/srqtop/view_edit.c tui/srqtop/view_key.c \
	tui/srqtop/view_parts.h
tui_libsrqtopscreen_la_CFLAGS = $(AM_CFLAGS) $(NCURSES_CFLAGS) $(UTF8PROC_CFLAGS) $(CJSON_CFLAGS)
tui_libsrqtopscreen_la_LIBADD = $(NCURSES_LIBS) $(UTF8PROC_LIBS) -lm
