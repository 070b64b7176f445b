# Unit tests: one program per room or file under test, cmocka, TAP output. To add one:
#   unit_tests += tests/unit/test_thing
#   tests_unit_test_thing_SOURCES = tests/unit/test_thing.c
#   tests_unit_test_thing_CFLAGS = $(unit_cflags)
#   tests_unit_test_thing_LDADD = $(unit_ldadd)
# in a fragment tests/unit/ROOM.mk that is included below.
include tests/unit/base.mk
include tests/unit/math.mk
include tests/unit/format.mk
include tests/unit/text.mk
include tests/unit/model.mk
include tests/unit/tune.mk
include tests/unit/budget.mk
include tests/unit/job.mk
include tests/unit/proto.mk
include tests/unit/daemon.mk
include tests/unit/client.mk
include tests/unit/eval.mk
include tests/unit/diffusion.mk
include tests/unit/top.mk
include tests/unit/screen.mk

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

# who includes whom, of all sources
dist_check_SCRIPTS += tests/unit/layers.py tests/unit/form.py
TESTS += tests/unit/layers.py tests/unit/form.py

check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(unit_tests)'
.PHONY: check-unit
