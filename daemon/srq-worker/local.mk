# srq-worker: hosts core and plugins for one job; started by srqd, or by hand.
libexec_PROGRAMS += daemon/srq-worker/srq-worker
noinst_LTLIBRARIES += daemon/srq-worker/libworker.la

# What the process of a job is made of, so that unit tests can link it.
daemon_srq_worker_libworker_la_SOURCES = \
	daemon/srq-worker/control.c daemon/srq-worker/control.h \
	daemon/srq-worker/jobdir.c daemon/srq-worker/jobdir.h \
	daemon/srq-worker/passive.c daemon/srq-worker/passive.h
daemon_srq_worker_libworker_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)

daemon_srq_worker_srq_worker_SOURCES = \
	daemon/srq-worker/answer.c \
	daemon/srq-worker/commands.h \
	daemon/srq-worker/evaluate.c \
	daemon/srq-worker/machine.c \
	daemon/srq-worker/main.c \
	daemon/srq-worker/progress.c \
	daemon/srq-worker/run_job.c \
	daemon/srq-worker/sample.c \
	daemon/srq-worker/ticker.c daemon/srq-worker/ticker.h
daemon_srq_worker_srq_worker_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
daemon_srq_worker_srq_worker_LDADD = daemon/srq-worker/libworker.la core/libsrq.la core/libsrqbase.la \
	$(CJSON_LIBS) -lm -ldl -lpthread
