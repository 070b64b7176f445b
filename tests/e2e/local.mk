# tests/e2e

# srqctl: against a scripted daemon, with the real programs, and the examples of its manual
ctl_tests = tests/e2e/ctl_start.py tests/e2e/ctl_follow.py tests/e2e/ctl_completion.sh \
	tests/e2e/ctl_real.sh tests/e2e/ctl_manual.sh tests/e2e/ctl_plan.py tests/e2e/ctl_examples.py \
	tests/e2e/ctl_jobs.py tests/e2e/ctl_history.py
dist_check_SCRIPTS += $(ctl_tests) tests/lib/fake_srqd.py
TESTS += $(ctl_tests)

# srqd against stand-in workers
daemon_e2e = tests/e2e/daemon_clients.py tests/e2e/daemon_jobs.py tests/e2e/daemon_plan.py tests/e2e/daemon_shares.py \
	tests/e2e/daemon_folders.py tests/e2e/daemon_load.py tests/e2e/daemon_retention.py
TESTS += $(daemon_e2e)
dist_check_SCRIPTS += $(daemon_e2e) tests/lib/srqd_client.py tests/lib/message_table.py

# wrong models, texts, jobs, frames, plugins and users; the examples of pages and README
bad_e2e = tests/e2e/runtime_dir.py tests/e2e/bad_input.py tests/e2e/pages.sh tests/e2e/optional_members.py
TESTS += $(bad_e2e)
dist_check_SCRIPTS += $(bad_e2e)

# plugins, shipped and built outside the tree
check_PROGRAMS += tests/e2e/plugin_suite
tests_e2e_plugin_suite_SOURCES = tests/e2e/plugin_suite.c tests/lib/layer_room.h
tests_e2e_plugin_suite_CFLAGS = $(AM_CFLAGS)
tests_e2e_plugin_suite_LDADD = core/libsrq.la core/libsrqbase.la -lm
dist_check_SCRIPTS += tests/e2e/plugin_outside.sh tests/e2e/demo.sh tests/e2e/plugin_growth.py
EXTRA_DIST += tests/e2e/hungry_plugin.c tests/e2e/outside_plugin.c tests/e2e/outside_importance.c tests/e2e/old_plugin.c \
	tests/e2e/witness_plugin.c tests/e2e/abi_1_1/srq/plugin.h tests/e2e/abi_1_1/srq/types.h tests/e2e/abi_1_1/srq/error.h
TESTS += tests/e2e/plugin_outside.sh tests/e2e/demo.sh tests/e2e/plugin_growth.py

# the live plan with the real programs
TESTS += tests/e2e/live_daemon.py
dist_check_SCRIPTS += tests/e2e/live_daemon.py

# whole jobs with the real programs: killed at random, repeated, held against their plan of memory
job_e2e = tests/e2e/budget.py tests/e2e/live.py tests/e2e/live_methods.py tests/e2e/kills.py tests/e2e/same_bytes.py \
	tests/e2e/memory.py \
	tests/e2e/methods.py tests/e2e/compare.py tests/e2e/scales.py tests/e2e/sizes.py tests/e2e/unstorable.py tests/e2e/contradictions.py tests/e2e/quantized_input.py tests/e2e/gguf_input.py tests/e2e/diffusion.py tests/e2e/picture_blocks.py \
	tests/e2e/archives.py tests/e2e/told.py tests/e2e/disk.py tests/e2e/admin.py tests/e2e/chat.py
TESTS += $(job_e2e)
dist_check_SCRIPTS += $(job_e2e) tests/lib/real_jobs.py tests/lib/gguf_file.py tests/lib/tensor_folder.py tests/lib/make_stable_diffusion.py

# under a batch system; with a real Slurm where it is installed
TESTS += tests/e2e/slurm.py
dist_check_SCRIPTS += tests/e2e/slurm.py tests/lib/slurm_cluster.py

# srqtop in a terminal (tmux)
top_e2e = tests/e2e/top_terminal.py tests/e2e/top_live.py tests/e2e/top_diffusion.py tests/e2e/top_window.py
TESTS += $(top_e2e)
dist_check_SCRIPTS += $(top_e2e) tests/lib/tmux.py

# pictures of diffusion models
TESTS += tests/e2e/sample.py
dist_check_SCRIPTS += tests/e2e/sample.py
