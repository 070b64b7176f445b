# tui/srqtop, the data half: model, feed, edits, commands. A library, so that tests link it.
noinst_LTLIBRARIES += tui/libsrqtopdata.la
tui_libsrqtopdata_la_SOURCES = \
	tui/srqtop/candidates.c tui/srqtop/candidates.h \
	tui/srqtop/command.c tui/srqtop/command.h \
	tui/srqtop/deadly.c tui/srqtop/deadly.h \
	tui/srqtop/edits.c tui/srqtop/edits.h \
	tui/srqtop/feed.c tui/srqtop/feed_diffusion.c tui/srqtop/feed_plan.c tui/srqtop/feed.h tui/srqtop/feed_value.h \
	tui/srqtop/json.c tui/srqtop/json.h \
	tui/srqtop/model.c tui/srqtop/model.h \
	tui/srqtop/options.c tui/srqtop/options.h \
	tui/srqtop/session.c tui/srqtop/session.h \
	tui/srqtop/undo.c tui/srqtop/undo.h
tui_libsrqtopdata_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS) $(EVENT_CFLAGS)
tui_libsrqtopdata_la_LIBADD = tui/libsrqasync.la core/libsrqbase.la -lm
