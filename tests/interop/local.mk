# tests/interop: what srq writes, read by others. Python by $SRQ_PYTHON, else python3.
check_PROGRAMS += tests/interop/export_tool
tests_interop_export_tool_SOURCES = tests/interop/export_tool.c tests/interop/round_plainly.h
tests_interop_export_tool_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
tests_interop_export_tool_LDADD = core/libsrq.la core/libsrqbase.la -lm

check_PROGRAMS += tests/interop/encode_tool
tests_interop_encode_tool_SOURCES = tests/interop/encode_tool.c
tests_interop_encode_tool_CFLAGS = $(AM_CFLAGS)
tests_interop_encode_tool_LDADD = core/libsrq.la core/libsrqbase.la $(JANSSON_LIBS)

check_PROGRAMS += tests/interop/template_tool
tests_interop_template_tool_SOURCES = tests/interop/template_tool.c
tests_interop_template_tool_CFLAGS = $(AM_CFLAGS)
tests_interop_template_tool_LDADD = core/libsrq.la core/libsrqbase.la $(JANSSON_LIBS)

interop_tests = tests/interop/export_layouts.py tests/interop/export_loads.py tests/interop/gguf_loads.py tests/interop/diffusers_loads.py tests/interop/pipeline.py \
	tests/interop/tiny_jobs.py tests/interop/tokenizers_agree.py tests/interop/templates_agree.py
TESTS += $(interop_tests)
EXTRA_DIST += $(interop_tests) tests/interop/tap.py tests/interop/llama_runs.py tests/interop/unpack.py tests/interop/unpack_ct.py tests/interop/tiny_llama.py

check-interop:
	$(MAKE) $(AM_MAKEFLAGS) check TESTS='$(interop_tests)'
.PHONY: check-interop
