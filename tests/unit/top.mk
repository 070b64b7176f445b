unit_tests += tests/unit/test_top_feed tests/unit/test_top_command
top_ldadd = tui/libsrqtop.la $(CMOCKA_LIBS) $(CJSON_LIBS) -lm
tests_unit_test_top_feed_SOURCES = tests/unit/test_top_feed.c tests/unit/test.h
tests_unit_test_top_feed_CFLAGS = $(unit_cflags)
tests_unit_test_top_feed_LDADD = $(top_ldadd)
tests_unit_test_top_command_SOURCES = tests/unit/test_top_command.c tests/unit/test.h
tests_unit_test_top_command_CFLAGS = $(unit_cflags)
tests_unit_test_top_command_LDADD = $(top_ldadd)
