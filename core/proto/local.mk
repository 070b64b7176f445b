core_libsrqbase_la_SOURCES += \
	core/proto/proto.h core/proto/fields.h \
	core/proto/check.c core/proto/events.c core/proto/frames.c \
	core/proto/journal_line.c core/proto/journal_line.h \
	core/proto/json.c \
	core/proto/members.c core/proto/members.h \
	core/proto/message.c core/proto/methods.c \
	core/proto/words.c core/proto/words.h
