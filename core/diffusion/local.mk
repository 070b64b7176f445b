# sources of core/diffusion
core_libsrq_la_SOURCES += \
	core/diffusion/generator.c core/diffusion/generator.h core/diffusion/high_rule.c core/diffusion/high_rule.h \
	core/diffusion/sampler.c core/diffusion/sampler.h \
	core/diffusion/schedule.c core/diffusion/schedule.h \
	core/diffusion/schedule_betas.c core/diffusion/schedule_betas.h \
	core/diffusion/schedule_read.c \
	core/diffusion/steps.c core/diffusion/steps.h
