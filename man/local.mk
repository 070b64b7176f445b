# Manual pages. srq-protocol(7) is printed from the message table.
noinst_PROGRAMS += man/protocol_page
man_protocol_page_SOURCES = man/protocol_page.c
man_protocol_page_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
man_protocol_page_LDADD = core/libsrqbase.la

nodist_man_MANS = man/srq-protocol.7
CLEANFILES += man/srq-protocol.7
man/srq-protocol.7: man/protocol_page$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && man/protocol_page$(EXEEXT) >$@.tmp && mv $@.tmp $@
