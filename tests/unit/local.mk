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

# Unit tests and what they load alone are built: it is how the tree with AddressSanitizer is run, where the benchmark, the
# fuzz targets and the tools of other tests would be compiled for nothing.
check-unit:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(unit_tests)' check_PROGRAMS='$(unit_tests)'

# What runs on several threads, in a tree that was configured with --enable-tsan: the team, products, walks and whole jobs,
# changes of a plan while it runs, tokenizers, the worker's control. Without any program but them: what they load are the
# plugins, and of the daemon and the clients nothing is compiled. And without addresses drawn at random where that can be
# had, of which older versions of ThreadSanitizer bear few. The longest come first.
thread_tests = tests/unit/test_job tests/unit/test_units tests/unit/test_math tests/unit/test_tokenizer tests/unit/test_worker
check-tsan: $(BUILT_SOURCES)
	$(MAKE) $(AM_MAKEFLAGS) $(plugin_LTLIBRARIES) $(thread_tests)
	if setarch -R true 2>/dev/null; then alone='setarch -R'; else alone=; fi; \
	$$alone $(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(thread_tests)' check_PROGRAMS='$(thread_tests)' \
	  check_LTLIBRARIES= check_SCRIPTS= dist_check_SCRIPTS=
.PHONY: check-unit check-tsan
