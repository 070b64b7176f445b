core_libsrq_la_SOURCES += \
	core/text/added.c core/text/added.h \
	core/text/bpe.c core/text/bpe.h \
	core/text/chat.c core/text/chat.h core/text/chat_source.c core/text/chat_source.h \
	core/text/members.c core/text/members.h \
	core/text/normalize.c core/text/normalize.h \
	core/text/regex.c core/text/regex.h core/text/regex_class.c \
	core/text/regex_names.c core/text/regex_parts.h core/text/regex_translate.c \
	core/text/samples.c core/text/samples.h core/text/steps.c core/text/steps.h \
	core/text/pretokenize.c core/text/pretokenize.h \
	core/text/template.h core/text/template_parts.h core/text/template_read.h core/text/template_run.h \
	core/text/template_arena.c core/text/template_lex.c core/text/template_read.c core/text/template_expression.c \
	core/text/template_value.c core/text/template_text.c core/text/template_access.c core/text/template_call.c \
	core/text/template_test.c core/text/template_filter.c core/text/template_filter.h core/text/template_sort.c core/text/template_loop.c core/text/template_eval.c \
	core/text/template_run.c \
	core/text/tokenizer_encode.c core/text/tokenizer.h core/text/tokenizer_parts.h \
	core/text/tokenizer_read.c core/text/tokenizer_added.c core/text/tokenizer_config.c core/text/tokenizer_class.c \
	core/text/unicode.c core/text/unicode.h \
	core/text/vocab.c core/text/vocab.h
