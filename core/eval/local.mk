# sources of core/eval
core_libsrq_la_SOURCES += \
	core/eval/evaluator.c core/eval/evaluator.h \
	core/eval/npy.c core/eval/npy.h \
	core/eval/scores.c core/eval/scores.h
