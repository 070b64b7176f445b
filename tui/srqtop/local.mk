# tui/srqtop: the terminal client. Data and drawing are libraries; all but main() is one, so that tests link it.
include tui/srqtop/data.mk
include tui/srqtop/screen.mk

noinst_LTLIBRARIES += tui/libsrqtop.la
tui_libsrqtop_la_SOURCES = \
	tui/srqtop/app.c tui/srqtop/app.h \
	tui/srqtop/once.c tui/srqtop/once.h
tui_libsrqtop_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS) $(EVENT_CFLAGS)
tui_libsrqtop_la_LIBADD = tui/libsrqtopdata.la tui/libsrqtopscreen.la

bin_PROGRAMS += tui/srqtop/srqtop
tui_srqtop_srqtop_SOURCES = tui/srqtop/main.c
tui_srqtop_srqtop_LDADD = tui/libsrqtop.la
