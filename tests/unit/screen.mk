unit_tests += tests/unit/test_layout tests/unit/test_plot tests/unit/test_screen tests/unit/test_view
screen_ldadd = tui/libsrqtopscreen.la tui/libsrqtopdata.la tui/libsrqctl.la core/libsrqbase.la $(CMOCKA_LIBS) $(CJSON_LIBS) \
	$(EVENT_LIBS) -lm
tests_unit_test_layout_SOURCES = tests/unit/test_layout.c tests/unit/test.h
tests_unit_test_layout_CFLAGS = $(unit_cflags)
tests_unit_test_layout_LDADD = $(screen_ldadd)
tests_unit_test_plot_SOURCES = tests/unit/test_plot.c tests/unit/test.h
tests_unit_test_plot_CFLAGS = $(unit_cflags)
tests_unit_test_plot_LDADD = $(screen_ldadd)
tests_unit_test_screen_SOURCES = tests/unit/test_screen.c tests/unit/top_model.c tests/unit/top_model.h tests/unit/test.h
tests_unit_test_screen_CFLAGS = $(unit_cflags)
tests_unit_test_screen_LDADD = $(screen_ldadd)
tests_unit_test_view_SOURCES = tests/unit/test_view.c tests/unit/top_model.c tests/unit/top_model.h tests/unit/test.h
tests_unit_test_view_CFLAGS = $(unit_cflags)
tests_unit_test_view_LDADD = $(screen_ldadd)
EXTRA_DIST += tests/unit/golden
