# unit tests of budget
unit_tests += tests/unit/test_allocate
tests_unit_test_allocate_SOURCES = tests/unit/test_allocate.c
tests_unit_test_allocate_CFLAGS = $(unit_cflags)
tests_unit_test_allocate_LDADD = $(unit_ldadd)
