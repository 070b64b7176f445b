core_libsrq_la_SOURCES += \
	core/job/control.c core/job/control.h \
	core/job/describe.c \
	core/job/jobdir.c core/job/jobdir.h \
	core/job/journal.c core/job/journal.h \
	core/job/options.c core/job/options.h \
	core/job/spec.c core/job/spec.h core/job/spec_write.c
