core_libsrq_la_SOURCES += \
	core/format/archive.c core/format/archive.h \
	core/format/archive_pack.c core/format/archive_pack.h \
	core/format/archive_name.c core/format/archive_name.h \
	core/format/gguf.h core/format/gguf_read.c core/format/gguf_write.c \
	core/format/json.c core/format/json.h \
	core/format/picture_sheet.c core/format/picture_sheet.h \
	core/format/picture_shape.h \
	core/format/pictures.c core/format/pictures.h \
	core/format/pictures_array.c core/format/pictures_array.h \
	core/format/pictures_npy.c \
	core/format/pictures_png.c core/format/pictures_png.h \
	core/format/st_header.c core/format/st_header.h \
	core/format/st_index.c core/format/st_index.h \
	core/format/tensors.c core/format/tensors.h \
	core/format/writer.c
