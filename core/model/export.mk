# writing quantized folders and reading them back
core_libsrq_la_SOURCES += \
	core/model/export_folder.c core/model/export_carried.c core/model/export.h core/model/export_parts.h \
	core/model/export_config.c core/model/export_formats.c core/model/export_tensors.c core/model/export_verify.c \
	core/model/export_planes.c core/model/quantized_readers.c core/model/quantized_reader.h core/model/quantized_integers.c \
	core/model/quantized_config.c core/model/quantized_config.h \
	core/model/quantized_ct.c core/model/export_ct_config.c core/model/export_int8.c core/model/quantized_int8.c \
	core/model/save_json.c core/model/save_json.h \
	core/model/export_gguf.c core/model/export_gguf.h core/model/export_gguf_keys.c core/model/export_gguf_words.c \
	core/model/gguf_names.c core/model/gguf_names.h core/model/gguf_words.c core/model/gguf_words.h \
	core/model/import_gguf.c core/model/import_gguf.h core/model/import_gguf_parts.h core/model/import_gguf_config.c \
	core/model/import_gguf_words.c core/model/quantized_gguf.c
