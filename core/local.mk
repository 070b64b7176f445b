# core: libsrqbase (what daemon and clients use) and libsrq (everything that computes).
noinst_LTLIBRARIES += core/libsrqbase.la core/libsrq.la

core_libsrqbase_la_SOURCES =
core_libsrqbase_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS) $(XXHASH_CFLAGS)
core_libsrqbase_la_LIBADD = $(CJSON_LIBS) $(XXHASH_LIBS) -lpthread -lm

core_libsrq_la_SOURCES =
core_libsrq_la_CFLAGS = $(AM_CFLAGS) $(CJSON_CFLAGS) $(XXHASH_CFLAGS) $(JANSSON_CFLAGS) \
	$(OPENBLAS_CFLAGS) $(DNNL_CFLAGS) $(PCRE2_CFLAGS) $(UTF8PROC_CFLAGS) $(ARCHIVE_CFLAGS) $(ZLIB_CFLAGS) $(PNG_CFLAGS)
core_libsrq_la_LIBADD = core/libsrqbase.la $(JANSSON_LIBS) $(OPENBLAS_LIBS) $(DNNL_LIBS) $(PCRE2_LIBS) \
	$(UTF8PROC_LIBS) $(ARCHIVE_LIBS) $(ZLIB_LIBS) $(PNG_LIBS) $(OPENMP_LIBS) -lm -ldl

srqincludedir = $(includedir)/srq
srqinclude_HEADERS = core/include/srq/allocator.h core/include/srq/error.h core/include/srq/grid.h core/include/srq/host.h \
	core/include/srq/layer.h core/include/srq/plugin.h core/include/srq/quantizer.h core/include/srq/scorer.h \
	core/include/srq/step.h core/include/srq/trainer.h core/include/srq/transform.h core/include/srq/types.h

include core/base/local.mk
include core/proto/local.mk
include core/tensor/local.mk
include core/math/local.mk
include core/tape/local.mk
include core/format/local.mk
include core/text/local.mk
include core/model/local.mk
include core/model/export.mk
include core/grid/local.mk
include core/grid/pack.mk
include core/flow/local.mk
include core/tune/local.mk
include core/budget/local.mk
include core/eval/local.mk
include core/diffusion/local.mk
include core/job/local.mk
