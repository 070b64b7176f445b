# packed layouts of integer codes
core_libsrq_la_SOURCES += \
	core/grid/pack_awq.c core/grid/pack_fields.h core/grid/pack_gptq.c \
	core/grid/pack_layout.c core/grid/pack_layout.h core/grid/plane.h core/grid/pack_read.c \
	core/grid/pack_ct.c core/grid/pack_ct.h core/grid/pack_ct_read.c \
	core/grid/pack_gguf.c core/grid/pack_gguf.h core/grid/pack_k.c core/grid/pack_k.h \
	core/grid/pack_f16.h
