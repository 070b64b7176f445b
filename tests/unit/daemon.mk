check_PROGRAMS += tests/lib/fake_worker
tests_lib_fake_worker_SOURCES = tests/lib/fake_worker.c tests/lib/fake_change.c tests/lib/fake_change.h
tests_lib_fake_worker_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
tests_lib_fake_worker_LDADD = core/libsrqbase.la $(CJSON_LIBS)

check_PROGRAMS += tests/lib/check_messages
tests_lib_check_messages_SOURCES = tests/lib/check_messages.c
tests_lib_check_messages_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
tests_lib_check_messages_LDADD = core/libsrqbase.la $(CJSON_LIBS)

unit_tests += tests/unit/test_srqd
tests_unit_test_srqd_SOURCES = tests/unit/test_srqd.c tests/unit/test.h
tests_unit_test_srqd_CFLAGS = $(unit_cflags) $(EVENT_CFLAGS)
tests_unit_test_srqd_LDADD = daemon/srqd/libsrqd.la core/libsrqbase.la $(CMOCKA_LIBS)

unit_tests += tests/unit/test_worker
tests_unit_test_worker_SOURCES = tests/unit/test_worker.c tests/unit/test.h
tests_unit_test_worker_CFLAGS = $(unit_cflags)
tests_unit_test_worker_LDADD = daemon/srq-worker/libworker.la $(unit_ldadd)

unit_tests += tests/unit/test_srqd_journal
tests_unit_test_srqd_journal_SOURCES = tests/unit/test_srqd_journal.c tests/unit/test.h
tests_unit_test_srqd_journal_CFLAGS = $(unit_cflags) $(EVENT_CFLAGS)
tests_unit_test_srqd_journal_LDADD = daemon/srqd/libsrqd.la core/libsrqbase.la $(CMOCKA_LIBS)

unit_tests += tests/unit/test_srqd_turns
tests_unit_test_srqd_turns_SOURCES = tests/unit/test_srqd_turns.c tests/unit/test.h
tests_unit_test_srqd_turns_CFLAGS = $(unit_cflags) $(EVENT_CFLAGS)
tests_unit_test_srqd_turns_LDADD = daemon/srqd/libsrqd.la core/libsrqbase.la $(CMOCKA_LIBS)

unit_tests += tests/unit/test_srqd_layers
tests_unit_test_srqd_layers_SOURCES = tests/unit/test_srqd_layers.c tests/unit/test.h
tests_unit_test_srqd_layers_CFLAGS = $(unit_cflags) $(EVENT_CFLAGS) $(CJSON_CFLAGS)
tests_unit_test_srqd_layers_LDADD = daemon/srqd/libsrqd.la core/libsrqbase.la $(CMOCKA_LIBS) $(CJSON_LIBS)
