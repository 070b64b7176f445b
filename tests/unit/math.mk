# unit tests of math
unit_tests += tests/unit/test_math
tests_unit_test_math_SOURCES = tests/unit/test_math.c tests/unit/test.h
tests_unit_test_math_CFLAGS = $(unit_cflags)
tests_unit_test_math_LDADD = $(unit_ldadd)
unit_tests += tests/unit/test_tape
tests_unit_test_tape_SOURCES = tests/unit/test_tape.c tests/unit/test.h
tests_unit_test_tape_CFLAGS = $(unit_cflags)
tests_unit_test_tape_LDADD = $(unit_ldadd)
unit_tests += tests/unit/test_pictures_tape
tests_unit_test_pictures_tape_SOURCES = tests/unit/test_pictures_tape.c tests/unit/test.h
EXTRA_DIST += tests/reference/picture_reference.py tests/reference/picture_reference.safetensors
tests_unit_test_pictures_tape_CFLAGS = $(unit_cflags)
tests_unit_test_pictures_tape_LDADD = $(unit_ldadd)
unit_tests += tests/unit/test_loss_filter
tests_unit_test_loss_filter_SOURCES = tests/unit/test_loss_filter.c tests/unit/test.h
tests_unit_test_loss_filter_CFLAGS = $(unit_cflags)
tests_unit_test_loss_filter_LDADD = $(unit_ldadd)
