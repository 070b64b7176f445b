core_libsrq_la_SOURCES += \
	core/format/json.c core/format/json.h \
	core/format/st_header.c core/format/st_header.h \
	core/format/st_index.c core/format/st_index.h \
	core/format/tensors.c core/format/tensors.h \
	core/format/writer.c
