# unit tests of diffusion
unit_tests += tests/unit/test_schedule
tests_unit_test_schedule_SOURCES = tests/unit/test_schedule.c tests/unit/test.h
tests_unit_test_schedule_CFLAGS = $(unit_cflags)
tests_unit_test_schedule_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_sampler
tests_unit_test_sampler_SOURCES = tests/unit/test_sampler.c tests/unit/test.h
tests_unit_test_sampler_CFLAGS = $(unit_cflags)
tests_unit_test_sampler_LDADD = $(unit_ldadd)
EXTRA_DIST += tests/reference/diffusion_reference.py tests/reference/diffusion_reference.txt

unit_tests += tests/unit/test_generator
tests_unit_test_generator_SOURCES = tests/unit/test_generator.c tests/unit/folder.h tests/unit/math_start.h tests/unit/test.h
tests_unit_test_generator_CFLAGS = $(unit_cflags)
tests_unit_test_generator_LDADD = $(unit_ldadd)
