sbin_PROGRAMS += daemon/srqd/srqd
noinst_LTLIBRARIES += daemon/srqd/libsrqd.la
srqd_cflags = $(AM_CFLAGS) $(EVENT_CFLAGS) $(SQLITE_CFLAGS) $(CJSON_CFLAGS) \
	-DSRQ_LIBEXECDIR='"$(libexecdir)"' -DSRQ_SYSCONFDIR='"$(sysconfdir)"'

# Everything but main, so that unit tests can link it. Each folder includes from itself and from those above it here.
daemon_srqd_libsrqd_la_SOURCES = \
	daemon/srqd/base/background.c daemon/srqd/base/background.h \
	daemon/srqd/base/capture.c daemon/srqd/base/capture.h \
	daemon/srqd/base/children.c daemon/srqd/base/children.h \
	daemon/srqd/base/config.c daemon/srqd/base/config.h \
	daemon/srqd/base/environment.c daemon/srqd/base/environment.h \
	daemon/srqd/base/launch.c daemon/srqd/base/launch.h \
	daemon/srqd/base/notify.c daemon/srqd/base/notify.h \
	daemon/srqd/base/options.c daemon/srqd/base/options.h \
	daemon/srqd/base/places.c daemon/srqd/base/places.h \
	daemon/srqd/base/process.c daemon/srqd/base/process.h \
	daemon/srqd/base/removal.c daemon/srqd/base/removal.h \
	daemon/srqd/base/turns.c daemon/srqd/base/turns.h \
	daemon/srqd/store/store.c daemon/srqd/store/store.h \
	daemon/srqd/jobs/disk.c daemon/srqd/jobs/disk.h \
	daemon/srqd/jobs/job.c daemon/srqd/jobs/job.h \
	daemon/srqd/jobs/jobdir.c daemon/srqd/jobs/jobdir.h \
	daemon/srqd/jobs/jobs.h \
	daemon/srqd/jobs/lifecycle.c daemon/srqd/jobs/lifecycle.h \
	daemon/srqd/jobs/on_end.c daemon/srqd/jobs/on_end.h \
	daemon/srqd/jobs/queue.c daemon/srqd/jobs/queue.h \
	daemon/srqd/jobs/record.c daemon/srqd/jobs/record.h \
	daemon/srqd/workers/answer.c daemon/srqd/workers/answer.h \
	daemon/srqd/workers/journal_view.c daemon/srqd/workers/journal_view.h \
	daemon/srqd/workers/layer_file.c daemon/srqd/workers/layer_file.h \
	daemon/srqd/workers/layer_view.c daemon/srqd/workers/layer_view.h \
	daemon/srqd/workers/link.c daemon/srqd/workers/link.h \
	daemon/srqd/workers/outcome.c daemon/srqd/workers/outcome.h \
	daemon/srqd/workers/reading.c daemon/srqd/workers/reading.h \
	daemon/srqd/workers/scope.c daemon/srqd/workers/scope.h \
	daemon/srqd/workers/supervise.c daemon/srqd/workers/supervise.h \
	daemon/srqd/workers/testament.c daemon/srqd/workers/testament.h \
	daemon/srqd/workers/worker.c daemon/srqd/workers/worker.h \
	daemon/srqd/clients/authority.c daemon/srqd/clients/authority.h \
	daemon/srqd/clients/change.c daemon/srqd/clients/change.h \
	daemon/srqd/clients/client.c daemon/srqd/clients/client.h \
	daemon/srqd/clients/dispatch.c daemon/srqd/clients/dispatch.h \
	daemon/srqd/clients/errand.c daemon/srqd/clients/errand.h \
	daemon/srqd/clients/events.c daemon/srqd/clients/events.h \
	daemon/srqd/clients/handlers.h \
	daemon/srqd/clients/listener.c daemon/srqd/clients/listener.h \
	daemon/srqd/clients/rpc.c daemon/srqd/clients/rpc.h \
	daemon/srqd/clients/rpc_daemon.c \
	daemon/srqd/clients/rpc_job.c \
	daemon/srqd/clients/rpc_look.c \
	daemon/srqd/clients/rpc_plan.c \
	daemon/srqd/clients/rpc_submit.c \
	daemon/srqd/clients/service.c daemon/srqd/clients/service.h \
	daemon/srqd/clients/share.c daemon/srqd/clients/share.h \
	daemon/srqd/clients/submission.c daemon/srqd/clients/submission.h \
	daemon/srqd/clients/summary.c daemon/srqd/clients/summary.h \
	daemon/srqd/clients/sweep.c daemon/srqd/clients/sweep.h \
	daemon/srqd/srqd.c daemon/srqd/srqd.h
daemon_srqd_libsrqd_la_CFLAGS = $(srqd_cflags)
daemon_srqd_libsrqd_la_LIBADD = core/libsrqbase.la $(EVENT_LIBS) $(SQLITE_LIBS) $(CJSON_LIBS)

daemon_srqd_srqd_SOURCES = daemon/srqd/main.c
daemon_srqd_srqd_CFLAGS = $(srqd_cflags)
daemon_srqd_srqd_LDADD = daemon/srqd/libsrqd.la core/libsrqbase.la
