core_libsrq_la_SOURCES += \
	core/tune/memory.h \
	core/tune/plugin_host.c core/tune/plugin_host.h \
	core/tune/options.c core/tune/options.h core/tune/params.c core/tune/params.h \
	core/tune/scoring.c core/tune/scoring.h core/tune/refine.c core/tune/refine.h \
	core/tune/resample.c core/tune/resample.h \
	core/tune/services.c \
	core/tune/quadratic.c core/tune/quadratic.h \
	core/tune/feedback.c core/tune/feedback.h \
	core/tune/grid_service.c core/tune/grid_service.h \
	core/tune/sign_step.c core/tune/sign_step.h \
	core/tune/importance.c core/tune/importance.h \
	core/tune/statistics.c core/tune/statistics.h \
	core/tune/block_tuner.h core/tune/tuner.c core/tune/tuner.h \
	core/tune/tuner_area.c core/tune/tuner_memory.c core/tune/tuner_layers.c core/tune/tuner_data.c core/tune/tuner_pass.c \
	core/tune/tuner_single.c core/tune/tuner_probe.c core/tune/tuner_state.c \
	core/tune/tensor_scale.c core/tune/tensor_scale.h core/tune/fold_error.c core/tune/fold_error.h \
	core/tune/scales.c core/tune/scales.h \
	core/tune/trainer_run.c core/tune/trainer_features.c core/tune/trainer.h core/tune/trainer_parts.h core/tune/trainer_state.c \
	core/tune/transform_life.c core/tune/transform.h core/tune/transform_parts.h core/tune/transform_begin.c core/tune/transform_effective.c core/tune/transform_train.c core/tune/transform_state.c
core_libsrq_la_CFLAGS += -DSRQ_PLUGINDIR='"$(plugindir)"'
