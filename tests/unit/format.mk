unit_tests += tests/unit/test_safetensors
tests_unit_test_safetensors_SOURCES = tests/unit/test_safetensors.c tests/unit/test.h tests/unit/folder.h
tests_unit_test_safetensors_CFLAGS = $(unit_cflags)
tests_unit_test_safetensors_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_writer
tests_unit_test_writer_SOURCES = tests/unit/test_writer.c tests/unit/skip.h tests/unit/test.h tests/unit/folder.h
tests_unit_test_writer_CFLAGS = $(unit_cflags)
tests_unit_test_writer_LDADD = $(unit_ldadd)
tests_unit_test_writer_LDFLAGS = -Wl,--wrap=pwrite

unit_tests += tests/unit/test_picture_sets
tests_unit_test_picture_sets_SOURCES = tests/unit/test_picture_sets.c tests/unit/test.h tests/unit/folder.h
tests_unit_test_picture_sets_CFLAGS = $(unit_cflags) $(PNG_CFLAGS) $(ARCHIVE_CFLAGS)
tests_unit_test_picture_sets_LDADD = $(unit_ldadd) $(PNG_LIBS) $(ARCHIVE_LIBS)
