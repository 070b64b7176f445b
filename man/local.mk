# Manual pages. srq-protocol(7) is printed from the message table, the options of srq-job(5) from theirs.
noinst_PROGRAMS += man/protocol_page man/job_page
man_protocol_page_SOURCES = man/protocol_page.c man/mdoc.c man/mdoc.h
man_protocol_page_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
man_protocol_page_LDADD = core/libsrqbase.la
man_job_page_SOURCES = man/job_page.c man/mdoc.c man/mdoc.h
man_job_page_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
man_job_page_LDADD = core/libsrq.la core/libsrqbase.la

nodist_man_MANS = man/srq-protocol.7 man/srq-job.5
CLEANFILES += man/srq-protocol.7 man/srq-job.5
EXTRA_DIST += man/srq-job.5.in
dist_man_MANS += man/srq-plugin.7 man/srq-measured.7

man/srq-protocol.7: man/protocol_page$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) man && man/protocol_page$(EXEEXT) >$@.tmp && mv $@.tmp $@
man/srq-job.5: man/job_page$(EXEEXT) $(srcdir)/man/srq-job.5.in
	$(AM_V_GEN)$(MKDIR_P) man && man/job_page$(EXEEXT) <$(srcdir)/man/srq-job.5.in >$@.tmp && mv $@.tmp $@

# The verbs and options of srqctl(1) are its own tables.
noinst_PROGRAMS += man/srqctl_page
man_srqctl_page_SOURCES = man/srqctl_page.c man/mdoc.c man/mdoc.h
man_srqctl_page_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
man_srqctl_page_LDADD = tui/libsrqctl.la
nodist_man_MANS += man/srqctl.1
CLEANFILES += man/srqctl.1
EXTRA_DIST += man/srqctl.1.in
dist_man_MANS += man/srq.7
man/srqctl.1: man/srqctl_page$(EXEEXT) $(srcdir)/man/srqctl.1.in
	$(AM_V_GEN)$(MKDIR_P) man && man/srqctl_page$(EXEEXT) <$(srcdir)/man/srqctl.1.in >$@.tmp && mv $@.tmp $@

# The keys of srqd.conf(5) are the daemon's own table.
noinst_PROGRAMS += man/srqd_page
man_srqd_page_SOURCES = man/srqd_page.c man/mdoc.c man/mdoc.h
man_srqd_page_CFLAGS = $(AM_CFLAGS)
man_srqd_page_LDADD = daemon/srqd/libsrqd.la core/libsrqbase.la $(EVENT_LIBS) $(SQLITE_LIBS) $(CJSON_LIBS)
nodist_man_MANS += man/srqd.conf.5
CLEANFILES += man/srqd.conf.5
EXTRA_DIST += man/srqd.conf.5.in
dist_man_MANS += man/srqd.8
man/srqd.conf.5: man/srqd_page$(EXEEXT) $(srcdir)/man/srqd.conf.5.in
	$(AM_V_GEN)$(MKDIR_P) man && man/srqd_page$(EXEEXT) <$(srcdir)/man/srqd.conf.5.in >$@.tmp && mv $@.tmp $@

# The options, panels, keys and commands of srqtop(1) are its own tables.
noinst_PROGRAMS += man/srqtop_page
man_srqtop_page_SOURCES = man/srqtop_page.c man/mdoc.c man/mdoc.h
man_srqtop_page_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
man_srqtop_page_LDADD = tui/libsrqtop.la
nodist_man_MANS += man/srqtop.1
CLEANFILES += man/srqtop.1
EXTRA_DIST += man/srqtop.1.in
man/srqtop.1: man/srqtop_page$(EXEEXT) $(srcdir)/man/srqtop.1.in
	$(AM_V_GEN)$(MKDIR_P) man && man/srqtop_page$(EXEEXT) <$(srcdir)/man/srqtop.1.in >$@.tmp && mv $@.tmp $@
