# tui/client: what srqctl and srqtop share to talk with srqd.
noinst_LTLIBRARIES += tui/libsrqclient.la
tui_libsrqclient_la_SOURCES = \
	tui/client/args.c tui/client/args.h \
	tui/client/client.c tui/client/client.h \
	tui/client/connect.c tui/client/connect.h \
	tui/client/dial.c tui/client/dial.h \
	tui/client/human.c tui/client/human.h \
	tui/client/locate.c tui/client/locate.h tui/client/talk.c tui/client/talk.h
tui_libsrqclient_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_SBINDIR='"$(sbindir)"'
tui_libsrqclient_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
tui_libsrqclient_la_LIBADD = core/libsrqbase.la -lm

# The same inside an event loop.
noinst_LTLIBRARIES += tui/libsrqasync.la
tui_libsrqasync_la_SOURCES = tui/client/async.c tui/client/async.h
tui_libsrqasync_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS) $(EVENT_CFLAGS)
tui_libsrqasync_la_LIBADD = tui/libsrqclient.la $(EVENT_LIBS)
