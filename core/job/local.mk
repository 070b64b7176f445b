core_libsrq_la_SOURCES += \
	core/job/allocate.c \
	core/job/blocks.c \
	core/job/budget.c core/job/budget.h \
	core/job/cache.c core/job/cache.h \
	core/job/change_json.c core/job/change_json.h \
	core/job/checkpoint.c core/job/checkpoint.h \
	core/job/describe.c \
	core/job/estimate.c core/job/estimate.h \
	core/job/events.c core/job/events.h \
	core/job/fingerprint.c core/job/fingerprint.h \
	core/job/export_stage.c \
	core/job/flags.h \
	core/job/history.c core/job/history.h \
	core/job/footprint.c core/job/footprint.h \
	core/job/job.c core/job/job.h \
	core/job/journal.c core/job/journal.h \
	core/job/loop.c core/job/loop.h core/job/loop_tune.c core/job/loop_oneshot.c \
	core/job/measure.c \
	core/job/needs.c core/job/needs.h \
	core/job/noisy_pictures.c core/job/noisy_pictures.h core/job/noisy_stage.c \
	core/job/preview.c core/job/preview.h core/job/preview_plan.c core/job/preview_plan.h \
	core/job/show.c core/job/show.h \
	core/job/options.c core/job/overuse.c core/job/options.h \
	core/job/pace.c core/job/pace.h \
	core/job/plan_file.c core/job/plan_file.h \
	core/job/plan_json.c core/job/plan_json.h \
	core/job/quantize.c core/job/refine.c core/job/refine.h core/job/refine_stage.c \
	core/job/resample.c core/job/resample.h core/job/resample_stage.c \
	core/job/report.c \
	core/job/resolve.c core/job/resolve.h core/job/resolved.c core/job/resolved.h core/job/size.c core/job/size.h \
	core/job/run.h \
	core/job/scale_cache.c core/job/scale_cache.h \
	core/job/score.c core/job/score_cache.c \
	core/job/scores_json.c core/job/scores_json.h \
	core/job/spec.c core/job/spec.h core/job/spec_parts.c core/job/spec_write.c \
	core/job/stages.c \
	core/job/tasks.c core/job/tasks.h \
	core/job/transform.c core/job/transform.h	core/job/noisy.c core/job/noisy.h core/job/sample_stage.c core/job/sample_models.c core/job/sample_models.h core/job/high_steps.c core/job/high_steps.h core/job/train.c core/job/train.h core/job/train_stage.c \
	core/job/transform_stage.c \
	core/job/usage.c core/job/usage.h
