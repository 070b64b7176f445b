# Every suite speaks TAP, so that the closing line can sum test cases.
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
PY_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)
PY_LOG_COMPILER = $(PYTHON3)
TEST_EXTENSIONS = .sh .py
AM_TESTS_ENVIRONMENT = \
	srcdir='$(srcdir)'; export srcdir; \
	top_srcdir='$(abs_top_srcdir)'; export top_srcdir; \
	top_builddir='$(abs_top_builddir)'; export top_builddir; \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY;
unit_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(CJSON_CFLAGS) $(JANSSON_CFLAGS) -Wno-missing-prototypes
unit_ldadd = core/libsrq.la core/libsrqbase.la $(CMOCKA_LIBS) $(OPENMP_LIBS) -lm

include tests/unit/local.mk
include tests/e2e/local.mk
include tests/interop/local.mk
include tests/fault/local.mk
include tests/bench/local.mk
include tests/fuzz/local.mk
