# sources of core/flow
core_libsrq_la_SOURCES += \
	core/flow/snapshot.c core/flow/snapshot.h \
	core/flow/integers.c core/flow/integers.h \
	core/flow/denoise.c core/flow/denoise.h core/flow/roundings.c core/flow/roundings.h \
	core/flow/round_inputs.c core/flow/round_inputs.h \
	core/flow/states.c core/flow/states.h \
	core/flow/unit_loss.c core/flow/unit_loss.h \
	core/flow/walk.c core/flow/walk.h
