# sources of core/eval
core_libsrq_la_SOURCES += \
	core/eval/bootstrap.c core/eval/bootstrap.h \
	core/eval/evaluator.c core/eval/evaluator.h \
	core/eval/features.c core/eval/features.h \
	core/eval/frechet.c core/eval/frechet.h \
	core/eval/npy.c core/eval/npy.h \
	core/eval/picture_scores.c core/eval/picture_scores.h \
	core/eval/scores.c core/eval/scores.h
