EXTRA_DIST += tests/reference/grid_reference.py tests/reference/grid_reference.txt

unit_tests += tests/unit/test_grid
tests_unit_test_grid_SOURCES = tests/unit/test_grid.c tests/unit/reference_text.h
tests_unit_test_grid_CFLAGS = $(unit_cflags)
tests_unit_test_grid_LDADD = $(unit_ldadd)

EXTRA_DIST += tests/reference/float_grid_reference.py tests/reference/float_grid_reference.txt

unit_tests += tests/unit/test_grid_float
tests_unit_test_grid_float_SOURCES = tests/unit/test_grid_float.c tests/unit/grid_layer.h tests/unit/reference_text.h
tests_unit_test_grid_float_CFLAGS = $(unit_cflags)
tests_unit_test_grid_float_LDADD = $(unit_ldadd)

EXTRA_DIST += tests/reference/k_reference.py tests/reference/k_reference.txt tests/reference/straight.py

unit_tests += tests/unit/test_k_quants
tests_unit_test_k_quants_SOURCES = tests/unit/test_k_quants.c tests/unit/grid_layer.h tests/unit/reference_text.h
tests_unit_test_k_quants_CFLAGS = $(unit_cflags)
tests_unit_test_k_quants_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_pack_ct
tests_unit_test_pack_ct_SOURCES = tests/unit/test_pack_ct.c
tests_unit_test_pack_ct_CFLAGS = $(unit_cflags)
tests_unit_test_pack_ct_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_plugin_host
tests_unit_test_plugin_host_SOURCES = tests/unit/test_plugin_host.c tests/lib/layer_room.h
tests_unit_test_plugin_host_CFLAGS = $(unit_cflags)
tests_unit_test_plugin_host_LDADD = $(unit_ldadd)

# plugins with one defect each, for that test
broken_ldflags = -module -avoid-version -shared -rpath $(abs_top_builddir)/tests/unit/plugins
check_LTLIBRARIES += tests/unit/plugins/broken_magic.la
tests_unit_plugins_broken_magic_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_magic_la_CPPFLAGS = -I$(top_srcdir)/core/include -DMAGIC=0x12345678u
tests_unit_plugins_broken_magic_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_major.la
tests_unit_plugins_broken_major_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_major_la_CPPFLAGS = -I$(top_srcdir)/core/include -DMAJOR=1
tests_unit_plugins_broken_major_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_minor.la
tests_unit_plugins_broken_minor_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_minor_la_CPPFLAGS = -I$(top_srcdir)/core/include -DMINOR=7
tests_unit_plugins_broken_minor_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_size.la
tests_unit_plugins_broken_size_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_size_la_CPPFLAGS = -I$(top_srcdir)/core/include -DSIZE=24
tests_unit_plugins_broken_size_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_part.la
tests_unit_plugins_broken_part_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_part_la_CPPFLAGS = -I$(top_srcdir)/core/include -DPART_SIZE=8
tests_unit_plugins_broken_part_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_table.la
tests_unit_plugins_broken_table_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_table_la_CPPFLAGS = -I$(top_srcdir)/core/include -DOPTIONS=NULL
tests_unit_plugins_broken_table_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_count.la
tests_unit_plugins_broken_count_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_count_la_CPPFLAGS = -I$(top_srcdir)/core/include -DCOUNT=0xffffffffu
tests_unit_plugins_broken_count_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_stride.la
tests_unit_plugins_broken_stride_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_stride_la_CPPFLAGS = -I$(top_srcdir)/core/include -DSTRIDE=16
tests_unit_plugins_broken_stride_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_short.la
tests_unit_plugins_broken_short_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_short_la_CPPFLAGS = -I$(top_srcdir)/core/include -DROW_SIZE=8
tests_unit_plugins_broken_short_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_long.la
tests_unit_plugins_broken_long_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_long_la_CPPFLAGS = -I$(top_srcdir)/core/include -DROW_SIZE=4096
tests_unit_plugins_broken_long_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_nameless.la
tests_unit_plugins_broken_nameless_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_nameless_la_CPPFLAGS = -I$(top_srcdir)/core/include -DOPTION=NULL
tests_unit_plugins_broken_nameless_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_keyless.la
tests_unit_plugins_broken_keyless_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_keyless_la_CPPFLAGS = -I$(top_srcdir)/core/include -DRECIPE_KEY=NULL
tests_unit_plugins_broken_keyless_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_symbol.la
tests_unit_plugins_broken_symbol_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_symbol_la_CPPFLAGS = -I$(top_srcdir)/core/include -DNO_SYMBOL
tests_unit_plugins_broken_symbol_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_name.la
tests_unit_plugins_broken_name_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_name_la_CPPFLAGS = -I$(top_srcdir)/core/include -DNAME='"Bad/Name"'
tests_unit_plugins_broken_name_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_create.la
tests_unit_plugins_broken_create_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_create_la_CPPFLAGS = -I$(top_srcdir)/core/include -DCREATE=NULL
tests_unit_plugins_broken_create_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_parts.la
tests_unit_plugins_broken_parts_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_parts_la_CPPFLAGS = -I$(top_srcdir)/core/include -DONESHOT=NULL
tests_unit_plugins_broken_parts_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_quantize.la
tests_unit_plugins_broken_quantize_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_quantize_la_CPPFLAGS = -I$(top_srcdir)/core/include -DQUANTIZE=NULL
tests_unit_plugins_broken_quantize_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_tunable.la
tests_unit_plugins_broken_tunable_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_tunable_la_CPPFLAGS = -I$(top_srcdir)/core/include -DTUNABLE='&tunable'
tests_unit_plugins_broken_tunable_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_default.la
tests_unit_plugins_broken_default_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_default_la_CPPFLAGS = -I$(top_srcdir)/core/include -DDEFAULT='"11"'
tests_unit_plugins_broken_default_la_LDFLAGS = $(broken_ldflags)
check_LTLIBRARIES += tests/unit/plugins/broken_recipe.la
tests_unit_plugins_broken_recipe_la_SOURCES = tests/unit/plugins/broken.c
tests_unit_plugins_broken_recipe_la_CPPFLAGS = -I$(top_srcdir)/core/include -DRECIPE_KEY='"absent"'
tests_unit_plugins_broken_recipe_la_LDFLAGS = $(broken_ldflags)

unit_tests += tests/unit/test_picture_tuner
tests_unit_test_picture_tuner_SOURCES = tests/unit/test_picture_tuner.c tests/unit/math_start.h tests/unit/test.h
tests_unit_test_picture_tuner_CFLAGS = $(unit_cflags)
tests_unit_test_picture_tuner_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_tuner
tests_unit_test_tuner_SOURCES = tests/unit/test_tuner.c tests/unit/tuner_bed.h tests/unit/block_through.h tests/unit/model_folder.c tests/unit/model_folder.h
tests_unit_test_tuner_CFLAGS = $(unit_cflags)
tests_unit_test_tuner_LDADD = $(unit_ldadd)

EXTRA_DIST += tests/reference/signround2_reference.py tests/reference/signround2_reference.txt
unit_tests += tests/unit/test_signround2
tests_unit_test_signround2_SOURCES = tests/unit/test_signround2.c tests/unit/plugin_bench.c tests/unit/plugin_bench.h
tests_unit_test_signround2_CFLAGS = $(unit_cflags)
tests_unit_test_signround2_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_statistics
tests_unit_test_statistics_SOURCES = tests/unit/test_statistics.c tests/unit/model_folder.c tests/unit/model_folder.h
tests_unit_test_statistics_CFLAGS = $(unit_cflags)
tests_unit_test_statistics_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_feedback
tests_unit_test_feedback_SOURCES = tests/unit/test_feedback.c tests/unit/math_start.h
tests_unit_test_feedback_CFLAGS = $(unit_cflags)
tests_unit_test_feedback_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_methods
tests_unit_test_methods_SOURCES = tests/unit/test_methods.c tests/unit/plugin_bench.c tests/unit/plugin_bench.h \
	tests/unit/synthetic_layer.c tests/unit/synthetic_layer.h
tests_unit_test_methods_CFLAGS = $(unit_cflags)
tests_unit_test_methods_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_transform
tests_unit_test_transform_SOURCES = tests/unit/test_transform.c tests/unit/model_folder.c tests/unit/model_folder.h
tests_unit_test_transform_CFLAGS = $(unit_cflags)
tests_unit_test_transform_LDADD = $(unit_ldadd)
unit_tests += tests/unit/test_scales
tests_unit_test_scales_SOURCES = tests/unit/test_scales.c tests/unit/model_folder.c tests/unit/model_folder.h
tests_unit_test_scales_CFLAGS = $(unit_cflags)
tests_unit_test_scales_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test_gguf
tests_unit_test_gguf_SOURCES = tests/unit/test_gguf.c
tests_unit_test_gguf_CFLAGS = $(unit_cflags)
tests_unit_test_gguf_LDADD = $(unit_ldadd)
