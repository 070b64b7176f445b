# sources of core/model
core_libsrq_la_SOURCES += \
	core/model/open.c core/model/notes.c core/model/model.h core/model/internal.h core/model/quantized.h \
	core/model/block.c \
	core/model/config.c \
	core/model/families.c core/model/units.c \
	core/model/family_llama.c \
	core/model/diffusers.c core/model/family_unet2d.c core/model/pictures.h core/model/unet.h core/model/unet_config.c \
	core/model/unpacked.c \
	core/model/fields.c core/model/fields.h \
	core/model/fold.c core/model/pairs.c core/model/scale_pairs.h \
	core/model/embedding.c \
	core/model/head.c core/model/head_loss.c \
	core/model/read.c \
	core/model/rope.c core/model/rope.h
