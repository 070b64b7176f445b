# tui/srqtop, the data half: model, feed, edits, commands. A library, so that tests link it.
noinst_LTLIBRARIES += tui/libsrqtopdata.la
tui_libsrqtopdata_la_SOURCES = \
	tui/srqtop/edits.c tui/srqtop/edits.h \
	tui/srqtop/feed.c tui/srqtop/feed_plan.c tui/srqtop/feed.h tui/srqtop/feed_value.h \
	tui/srqtop/model.c tui/srqtop/model.h
tui_libsrqtopdata_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS) $(EVENT_CFLAGS)
tui_libsrqtopdata_la_LIBADD = tui/libsrqasync.la core/libsrqbase.la -lm
