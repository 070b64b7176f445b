core_libsrq_la_SOURCES += \
	core/budget/allocate.c \
	core/budget/change.c \
	core/budget/live.c core/budget/live.h \
	core/budget/pattern.c \
	core/budget/plan.c core/budget/plan.h \
	core/budget/scores.c core/budget/scores.h
