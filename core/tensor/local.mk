core_libsrq_la_SOURCES += \
	core/tensor/dtype.c core/tensor/dtype.h \
	core/tensor/tensor.c core/tensor/tensor.h \
	core/tensor/gguf_type.c core/tensor/gguf_type.h
