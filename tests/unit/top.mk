unit_tests += tests/unit/test_top_feed
top_ldadd = tui/libsrqtopdata.la $(CMOCKA_LIBS) $(CJSON_LIBS) -lm
tests_unit_test_top_feed_SOURCES = tests/unit/test_top_feed.c tests/unit/test.h
tests_unit_test_top_feed_CFLAGS = $(unit_cflags)
tests_unit_test_top_feed_LDADD = $(top_ldadd)
