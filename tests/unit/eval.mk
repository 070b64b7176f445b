unit_tests += tests/unit/test_pack
tests_unit_test_pack_SOURCES = tests/unit/test_pack.c tests/unit/test.h
tests_unit_test_pack_CFLAGS = $(unit_cflags)
tests_unit_test_pack_LDADD = $(unit_ldadd)
unit_tests += tests/unit/test_export
tests_unit_test_export_SOURCES = tests/unit/test_export.c tests/unit/test.h
tests_unit_test_export_CFLAGS = $(unit_cflags)
tests_unit_test_export_LDADD = $(unit_ldadd) $(JANSSON_LIBS)
unit_tests += tests/unit/test_eval
tests_unit_test_eval_SOURCES = tests/unit/test_eval.c tests/unit/test.h tests/interop/round_plainly.h
tests_unit_test_eval_CFLAGS = $(unit_cflags)
tests_unit_test_eval_LDADD = $(unit_ldadd)
EXTRA_DIST += tests/reference/eval_reference.py tests/reference/eval_reference.txt \
	tests/reference/act_reference.py tests/reference/act_reference.txt
unit_tests += tests/unit/test_quantized
tests_unit_test_quantized_SOURCES = tests/unit/test_quantized.c tests/unit/folder.h tests/unit/test.h
tests_unit_test_quantized_CFLAGS = $(unit_cflags)
tests_unit_test_quantized_LDADD = $(unit_ldadd) $(JANSSON_LIBS)
