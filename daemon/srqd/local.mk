sbin_PROGRAMS += daemon/srqd/srqd
noinst_LTLIBRARIES += daemon/srqd/libsrqd.la
srqd_cflags = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SQLITE_CFLAGS) $(CJSON_CFLAGS) \
	-DSRQ_LIBEXECDIR='"$(libexecdir)"' -DSRQ_SYSCONFDIR='"$(sysconfdir)"'

# Everything but main, so that unit tests can link it.
daemon_srqd_libsrqd_la_SOURCES = \
	daemon/srqd/authority.c daemon/srqd/authority.h \
	daemon/srqd/background.c daemon/srqd/background.h \
	daemon/srqd/capture.c daemon/srqd/capture.h \
	daemon/srqd/change.c daemon/srqd/change.h \
	daemon/srqd/children.c daemon/srqd/children.h \
	daemon/srqd/client.c daemon/srqd/client.h \
	daemon/srqd/config.c daemon/srqd/config.h \
	daemon/srqd/environment.c daemon/srqd/environment.h \
	daemon/srqd/events.c daemon/srqd/events.h \
	daemon/srqd/job.c daemon/srqd/job.h \
	daemon/srqd/jobdir.c daemon/srqd/jobdir.h \
	daemon/srqd/journal_view.c daemon/srqd/journal_view.h \
	daemon/srqd/launch.c daemon/srqd/launch.h \
	daemon/srqd/layer_view.c daemon/srqd/layer_view.h \
	daemon/srqd/lifecycle.c daemon/srqd/lifecycle.h \
	daemon/srqd/listener.c daemon/srqd/listener.h \
	daemon/srqd/notify.c daemon/srqd/notify.h \
	daemon/srqd/options.c daemon/srqd/options.h \
	daemon/srqd/outcome.c daemon/srqd/outcome.h \
	daemon/srqd/places.c daemon/srqd/places.h \
	daemon/srqd/process.c daemon/srqd/process.h \
	daemon/srqd/queue.c daemon/srqd/queue.h \
	daemon/srqd/rpc.c daemon/srqd/rpc.h daemon/srqd/rpc_daemon.c daemon/srqd/rpc_job.c \
	daemon/srqd/rpc_look.c daemon/srqd/rpc_plan.c daemon/srqd/rpc_submit.c \
	daemon/srqd/srqd.c daemon/srqd/srqd.h \
	daemon/srqd/store.c daemon/srqd/store.h \
	daemon/srqd/submission.c daemon/srqd/submission.h \
	daemon/srqd/summary.c daemon/srqd/summary.h \
	daemon/srqd/supervise.c daemon/srqd/supervise.h \
	daemon/srqd/worker_answer.c daemon/srqd/worker_answer.h \
	daemon/srqd/worker_link.c daemon/srqd/worker_link.h
daemon_srqd_libsrqd_la_CFLAGS = $(srqd_cflags)
daemon_srqd_libsrqd_la_LIBADD = core/libsrqbase.la $(EVENT_LIBS) $(SQLITE_LIBS) $(CJSON_LIBS)

daemon_srqd_srqd_SOURCES = daemon/srqd/main.c
daemon_srqd_srqd_CFLAGS = $(srqd_cflags)
daemon_srqd_srqd_LDADD = daemon/srqd/libsrqd.la core/libsrqbase.la
