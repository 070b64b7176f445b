# Every suite speaks TAP, so that the closing line can sum test cases.
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
PY_LOG_DRIVER = $(LOG_DRIVER)
SH_LOG_COMPILER = $(SHELL)
PY_LOG_COMPILER = $(PYTHON3)
TEST_EXTENSIONS = .sh .py
# Tests see this tree and nothing of who runs them: no srq that is installed, no settings of a user, no temporary folder
# whose name is too long for a socket.
AM_TESTS_ENVIRONMENT = \
	unset SRQ_SOCKET SRQ_STATE_DIR SRQ_RUNTIME_DIR SRQ_CACHE_DIR SRQ_TEST_DIR SRQ_SRQD SRQ_WORKER SRQ_CTL SRQ_PLUGIN_PATH \
	  SRQ_CONFIG XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR NO_COLOR COLUMNS LINES ESCDELAY NOTIFY_SOCKET; \
	SRQ_PLUGIN_DIR=/nonexistent; export SRQ_PLUGIN_DIR; \
	XDG_CONFIG_HOME=/nonexistent; export XDG_CONFIG_HOME; \
	LC_ALL=C.UTF-8; export LC_ALL; \
	TZ=UTC0; export TZ; \
	umask 022; \
	test `expr "x$$TMPDIR" : '.*'` -le 41 || unset TMPDIR; \
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
include tests/reference/local.mk
