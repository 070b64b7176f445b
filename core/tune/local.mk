core_libsrq_la_SOURCES += \
	core/tune/plugin_host.c core/tune/plugin_host.h \
	core/tune/options.c core/tune/options.h \
	core/tune/services.c \
	core/tune/sign_step.c core/tune/sign_step.h
core_libsrq_la_CFLAGS += -DSRQ_PLUGINDIR='"$(plugindir)"'
