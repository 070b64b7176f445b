EXTRA_DIST += tests/reference/grid_reference.py tests/reference/grid_reference.txt

unit_tests += tests/unit/test_grid
tests_unit_test_grid_SOURCES = tests/unit/test_grid.c
tests_unit_test_grid_CFLAGS = $(unit_cflags)
tests_unit_test_grid_LDADD = $(unit_ldadd)
