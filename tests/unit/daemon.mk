check_PROGRAMS += tests/lib/fake_worker
tests_lib_fake_worker_SOURCES = tests/lib/fake_worker.c
tests_lib_fake_worker_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
tests_lib_fake_worker_LDADD = core/libsrqbase.la $(CJSON_LIBS)
