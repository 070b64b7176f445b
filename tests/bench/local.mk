# tests/bench: `make bench` builds and runs it; BENCH_ARGS=--json and others go to the program.
check_PROGRAMS += tests/bench/bench
tests_bench_bench_SOURCES = tests/bench/bench.c tests/bench/bench.h tests/bench/bench_gemm.c \
	tests/bench/bench_iteration.c tests/bench/bench_json.c tests/bench/bench_limit.c tests/bench/bench_meter.c \
	tests/bench/bench_meter.h tests/bench/bench_pictures.c tests/bench/bench_roofline.c tests/bench/bench_shape.c \
	tests/bench/bench_table.c tests/bench/bench_words.c
tests_bench_bench_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
tests_bench_bench_LDADD = tui/libsrqctl.la daemon/srq-worker/libworker.la core/libsrq.la core/libsrqbase.la \
	$(CJSON_LIBS) -lm
bench_plugins = plugins/signround/signround.la plugins/teq/teq.la plugins/diffusion-qat/diffusion-qat.la
bench_path = $(abs_top_builddir)/plugins/signround/.libs:$(abs_top_builddir)/plugins/teq/.libs:$(abs_top_builddir)/plugins/diffusion-qat/.libs

bench: tests/bench/bench $(bench_plugins)
	@SRQ_PLUGIN_PATH='$(bench_path)' tests/bench/bench --models '$(abs_top_srcdir)/share/models' $(BENCH_ARGS)
.PHONY: bench

TESTS += tests/e2e/bench.py
dist_check_SCRIPTS += tests/e2e/bench.py

EXTRA_DIST += tests/bench/peer.py

# Element passes of the grids: `make bench-grid`.
EXTRA_PROGRAMS += tests/bench/bench_grid
CLEANFILES += tests/bench/bench_grid
tests_bench_bench_grid_SOURCES = tests/bench/bench_grid.c
tests_bench_bench_grid_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_grid_LDADD = daemon/srq-worker/libworker.la core/libsrq.la core/libsrqbase.la -lm

bench-grid: tests/bench/bench_grid plugins/signround/signround.la
	@OMP_WAIT_POLICY=passive SRQ_PLUGIN_PATH='$(abs_top_builddir)/plugins/signround/.libs' tests/bench/bench_grid
.PHONY: bench-grid

# Frames of srqtop: `make bench-screen`.
EXTRA_PROGRAMS += tests/bench/bench_screen
CLEANFILES += tests/bench/bench_screen
tests_bench_bench_screen_SOURCES = tests/bench/bench_screen.c tests/unit/top_model.c tests/unit/top_model.h
tests_bench_bench_screen_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS)
tests_bench_bench_screen_LDADD = tui/libsrqtop.la $(CJSON_LIBS) -lm

bench-screen: tests/bench/bench_screen
	@tests/bench/bench_screen
.PHONY: bench-screen

# The allocator on a thousand layers: `make bench-allocate`.
EXTRA_PROGRAMS += tests/bench/bench_allocate
CLEANFILES += tests/bench/bench_allocate
tests_bench_bench_allocate_SOURCES = tests/bench/bench_allocate.c
tests_bench_bench_allocate_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_allocate_LDADD = core/libsrq.la core/libsrqbase.la -lm

bench-allocate: tests/bench/bench_allocate plugins/knapsack/knapsack.la
	@OMP_WAIT_POLICY=passive SRQ_PLUGIN_PATH='$(abs_top_builddir)/plugins/knapsack/.libs' tests/bench/bench_allocate
.PHONY: bench-allocate

# Layers and whole models on integers: `make bench-int8`, with BENCH_MODEL a diffusers folder and BENCH_ARGS as above.
EXTRA_PROGRAMS += tests/bench/bench_int8
CLEANFILES += tests/bench/bench_int8
tests_bench_bench_int8_SOURCES = tests/bench/bench_int8.c tests/unit/integer_model.c tests/unit/integer_model.h
tests_bench_bench_int8_CFLAGS = $(AM_CFLAGS)
tests_bench_bench_int8_LDADD = daemon/srq-worker/libworker.la core/libsrq.la core/libsrqbase.la -lm
BENCH_MODEL = $(top_srcdir)/share/models/demo-ddpm

bench-int8: tests/bench/bench_int8
	@tests/bench/bench_int8 $(BENCH_ARGS) '$(BENCH_MODEL)'
.PHONY: bench-int8

# What one user of srqd can do to another, and a soak of small jobs: `make load`, as root.
EXTRA_DIST += tests/bench/load.py
LOAD_ARGS =

load: daemon/srqd/srqd tests/lib/fake_worker
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' $(top_srcdir)/tests/bench/load.py $(LOAD_ARGS)
.PHONY: load

# How time and memory grow with the work: `make curves`.
EXTRA_DIST += tests/bench/curves.py
CURVES_ARGS =

curves: all tests/lib/fake_worker
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' $(top_srcdir)/tests/bench/curves.py $(CURVES_ARGS)
.PHONY: curves
