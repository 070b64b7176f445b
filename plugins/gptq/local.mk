plugin_LTLIBRARIES += plugins/gptq/gptq.la
plugins_gptq_gptq_la_SOURCES = plugins/gptq/gptq.c plugins/one_group.c plugins/one_group.h
plugins_gptq_gptq_la_CPPFLAGS = -I$(top_srcdir) -I$(top_srcdir)/core/include
plugins_gptq_gptq_la_LDFLAGS = -module -avoid-version -shared -export-symbols-regex '^srq_plugin$$'
