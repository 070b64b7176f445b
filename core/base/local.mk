core_libsrqbase_la_SOURCES += \
	core/base/alloc.c core/base/alloc.h \
	core/base/base64.c core/base/base64.h \
	core/base/buf.c core/base/buf.h \
	core/base/cache_dir.c core/base/cache_dir.h \
	core/base/clock.c core/base/clock.h \
	core/base/digits.c core/base/digits.h \
	core/base/ends.h \
	core/base/fs.c core/base/fs.h core/base/map.c \
	core/base/hash.c core/base/hash.h \
	core/base/log.c core/base/log.h \
	core/base/nearest.c core/base/nearest.h \
	core/base/part.h \
	core/base/rng.c core/base/rng.h \
	core/base/simd.c core/base/simd.h \
	core/base/utf8.c core/base/utf8.h
