# srq-worker: hosts core and plugins for one job; started by srqd, or by hand.
libexec_PROGRAMS += daemon/srq-worker/srq-worker
daemon_srq_worker_srq_worker_SOURCES = \
	daemon/srq-worker/answer.c \
	daemon/srq-worker/commands.h \
	daemon/srq-worker/evaluate.c \
	daemon/srq-worker/machine.c \
	daemon/srq-worker/main.c \
	daemon/srq-worker/progress.c \
	daemon/srq-worker/run_job.c
daemon_srq_worker_srq_worker_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
daemon_srq_worker_srq_worker_LDADD = core/libsrq.la core/libsrqbase.la $(CJSON_LIBS) -lm -ldl -lpthread
