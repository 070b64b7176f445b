# Faults: a worker killed at every change of a file, and at random; disks that fill up.
check_LTLIBRARIES += tests/fault/crash_at.la
tests_fault_crash_at_la_SOURCES = tests/fault/crash_at.c
tests_fault_crash_at_la_CFLAGS = $(SRQ_CFLAGS) -Wno-missing-prototypes
tests_fault_crash_at_la_LDFLAGS = -module -avoid-version -rpath /nowhere
fault_tests = tests/fault/crash_test.sh tests/fault/kill_test.sh tests/fault/worker_test.sh tests/fault/full_disk.py
dist_check_SCRIPTS += $(fault_tests)
TESTS += $(fault_tests)
