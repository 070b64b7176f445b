core_libsrq_la_SOURCES += \
	core/budget/live.h \
	core/budget/pattern.c \
	core/budget/plan.c core/budget/plan.h core/budget/plan_file.c
