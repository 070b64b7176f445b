unit_tests += tests/unit/test_pack
tests_unit_test_pack_SOURCES = tests/unit/test_pack.c tests/unit/test.h
tests_unit_test_pack_CFLAGS = $(unit_cflags)
tests_unit_test_pack_LDADD = $(unit_ldadd)
unit_tests += tests/unit/test_export
tests_unit_test_export_SOURCES = tests/unit/test_export.c tests/unit/test.h
tests_unit_test_export_CFLAGS = $(unit_cflags)
tests_unit_test_export_LDADD = $(unit_ldadd) $(JANSSON_LIBS)
