# tui/client: what srqctl and srqtop share to talk with srqd.
noinst_LTLIBRARIES += tui/libsrqclient.la
tui_libsrqclient_la_SOURCES = \
	tui/client/client.c tui/client/client.h \
	tui/client/connect.c tui/client/connect.h \
	tui/client/locate.c tui/client/locate.h
tui_libsrqclient_la_CPPFLAGS = $(AM_CPPFLAGS) -DSRQ_SBINDIR='"$(sbindir)"'
tui_libsrqclient_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
tui_libsrqclient_la_LIBADD = core/libsrqbase.la
