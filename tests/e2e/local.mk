# tests/e2e

# srqctl against a scripted daemon
ctl_tests = tests/e2e/ctl_start.py tests/e2e/ctl_follow.py tests/e2e/ctl_completion.sh
dist_check_SCRIPTS += $(ctl_tests) tests/lib/fake_srqd.py
TESTS += $(ctl_tests)

# srqd against stand-in workers
daemon_e2e = tests/e2e/daemon_jobs.py
TESTS += $(daemon_e2e)
dist_check_SCRIPTS += $(daemon_e2e) tests/lib/srqd_client.py
