# unit tests of budget
unit_tests += tests/unit/test_allocate
tests_unit_test_allocate_SOURCES = tests/unit/test_allocate.c
tests_unit_test_allocate_CFLAGS = $(unit_cflags)
tests_unit_test_allocate_LDADD = $(unit_ldadd)

EXTRA_DIST += tests/reference/deltaloss_reference.py tests/reference/deltaloss_reference.txt \
	tests/reference/allocation.py
unit_tests += tests/unit/test_scoring
tests_unit_test_scoring_SOURCES = tests/unit/test_scoring.c tests/unit/model_folder.c tests/unit/model_folder.h \
	tests/unit/test.h
tests_unit_test_scoring_CFLAGS = $(unit_cflags)
tests_unit_test_scoring_LDADD = $(unit_ldadd)

# scales tuned end to end
unit_tests += tests/unit/test_resample
tests_unit_test_resample_SOURCES = tests/unit/test_resample.c tests/unit/test.h
tests_unit_test_resample_CFLAGS = $(unit_cflags)
tests_unit_test_resample_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_refine
tests_unit_test_refine_SOURCES = tests/unit/test_refine.c tests/unit/test.h
tests_unit_test_refine_CFLAGS = $(unit_cflags)
tests_unit_test_refine_LDADD = $(unit_ldadd)
